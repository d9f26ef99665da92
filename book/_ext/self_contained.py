"""Make the pages self-contained: MathJax beside them, no script from elsewhere, none that nothing uses.

The site then works from a folder (file://), without the internet, and tells no third party who reads it.
"""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2", "a11y/assistive-mml.js")
UNUSED = re.compile(
    r"<script[^>]*scripts/fontawesome\.js[^>]*></script>"  # the web font has the icons
    r"|<link[^>]*scripts/fontawesome\.js[^>]*>"
    r'|<script type="text/x-thebe-config">.*?</script>\s*<script>kernelName = [^<]*</script>',
    re.DOTALL,
)


def drop_thebe(app, pagename, templatename, context, doctree):
    """Leave out the scripts of sphinx-thebe, which need a server."""

    def is_thebe(item):
        text = str(getattr(item, "filename", item)) + str(getattr(item, "attributes", {}).get("body") or "")
        return "thebe" in text.lower()

    for key in ("script_files", "css_files"):
        context[key] = [item for item in context.get(key, []) if not is_thebe(item)]


def copy_mathjax(out):
    """Copy the part of MathJax that the pages load."""
    source = Path(find_spec("sphinx-mathjax-offline").submodule_search_locations[0], "static", "mathjax")
    for name in MATHJAX:
        target = out / "_static" / "mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target, dirs_exist_ok=True)
        else:
            shutil.copy(source / name, target)


def clean(page):
    """Remove unused scripts, and roles that screen readers reject on a bibliography."""
    text = page.read_text(encoding="utf-8")
    new = UNUSED.sub("", text)
    new = new.replace('role="list" class="citation-list"', 'class="citation-list"').replace(
        ' role="doc-biblioentry"', ""
    )
    if new != text:
        page.write_text(new, encoding="utf-8")


def drop_old_source_pages(app, env, docnames):
    """Let pages of source code be written anew: Sphinx keeps them, though the API page now points at more places."""
    if docnames:
        shutil.rmtree(Path(app.outdir) / "_modules", ignore_errors=True)


def finish(app, exception):
    if exception is None and app.builder.format == "html":
        out = Path(app.outdir)
        copy_mathjax(out)
        for page in out.rglob("*.html"):
            clean(page)


def setup(app):
    app.connect("env-before-read-docs", drop_old_source_pages)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
