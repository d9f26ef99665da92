"""What a page loads, made small after the build: one style sheet, one script of ours in place of the theme's, no icon
font, no search index where nobody searches, nothing from another host.

The site then works from a folder (file://), without the internet, and tells no third party who reads it. Scripts and
style sheets that other extensions of the book put on a page stay as they are.
"""

import re
import shutil
from pathlib import Path

from stylesheet import merged, squeeze, vocabulary

ADDED = {  # classes that book.js sets
    *(
        "beside",
        "guess",
        "show",
        "copy-cell",
        "copied",
        "l",
        "no-sidebar",
        "fade-right",
        "open",
        "highlighted",
        "dark",
        "light",
        "auto",
    ),
    "late",
    *("search", "search-summary", "context"),  # and those that Sphinx's search writes
}
DROPPED_SHEETS = ("pygments.css", "copybutton.css", "togglebutton.css", "sphinx-thebe.css")
OURS = ("_static/explorables/", "_static/live/")
SEARCH = ("documentation_options", "doctools", "sphinx_highlight", "searchtools", "language_data", "searchindex")
THEIRS = (  # files of the theme and of extensions that book.js stands in for
    *("bootstrap", "pydata-sphinx-theme", "sphinx-book-theme", "fontawesome", "clipboard.min", "copybutton"),
    *("togglebutton", "design-tabs", "mathjax", "sphinx-thebe", *SEARCH),
)
INLINE = ("dataset.mode", "toggleHint", "toggleOpenOnPrint", "togglebuttonSelector", "MathJax", "thebe", "kernelName")
LINK = re.compile(r'\s*<link[^>]*href="([^"]*_static/[^"?]*\.css)(?:\?[^"]*)?"[^>]*/?>')
SCRIPT = re.compile(r'\s*<script\b(?:[^>]*\bsrc="(?P<src>[^"?]*)[^"]*")?[^>]*>(?P<text>.*?)</script>', re.DOTALL)
PRELOAD = re.compile(r'\s*<link rel="preload" as="script"[^>]*>')
# Before anything is drawn: light or dark, and the fonts that every page needs (not on file://, where preloads fail).
# The first page on a phone comes without fonts; book.js fetches them when its text stands, for the pages that follow.
EARLY = """<script>(d=>{let m=null,f=null;try{m=localStorage.mode;f=localStorage.fonts}catch(e){}d.dataset.mode=m||"auto";
d.dataset.theme=m=="light"||m=="dark"?m:matchMedia("(prefers-color-scheme: dark)").matches?"dark":"light";
if(screen.width<768){if(!f)d.dataset.fonts="later"}else if(location.protocol!="file:")for(let f of [FILES]){
let l=document.createElement("link");l.rel="preload";l.as="font";l.type="font/woff2";l.crossOrigin="";l.href="UP_static/fonts/"+f+".woff2";document.head.append(l)}
})(document.documentElement)</script>"""  # noqa: E501
FONTS = ["source-serif-4-latin-400-normal", "source-serif-4-latin-600-normal", "source-serif-4-latin-400-italic"]
PLAIN = re.compile(r'<span class="(?:n|o|p|w|nn|nb|nc|nd|ne|nf|ni|nl|nt|nv|fm|vm|vg|vi|vc|bp|py|nx)">([^<]*)</span>')
MENDED = (  # what assistive technology stumbles over, and what nobody sees
    (r'<button type="button" class="btn rounded-pill" id="pst-back-to-top">.*?</button>', ""),
    (r'<div class="sidebar-primary-item">\s*<div id="ethical-ad-placement".*?</div>\s*</div>', ""),
    (r'(class="[^"]*search-button-field[^"]*"[^>]*title="Search") aria-label="Search"', r"\1"),
    (r'<div id="pst-primary-sidebar"', '<div role="complementary" aria-label="The book" id="pst-primary-sidebar"'),
    (r'<summary>(?=<span class="toctree-toggle")', '<summary aria-label="Pages of this chapter">'),
    (r'(<h1>)(<span class="section-number">[^<]*</span>)(<span class="topic">)', r"\1\3\2"),
    (r'role="list" class="citation-list"', 'class="citation-list"'),
    (r' role="doc-biblioentry"', ""),
    (r'(<span class="caption-number">Exercise [\d.]+ ?</span>) \((.*?)\)</p>', r"\1 \2</p>"),
)


def theirs(script, searching):
    """Whether a script can go, because book.js stands in for it."""
    if script["src"] is not None:
        name = script["src"].rsplit("/", 1)[-1]
        if any(part in script["src"] for part in OURS) or (searching and name.startswith(SEARCH)):
            return False
        return name.startswith(THEIRS) or "/mathjax/" in script["src"]
    if "DOCUMENTATION_OPTIONS" in script["text"]:
        return not searching
    return any(word in script[0] for word in INLINE)


def hanging(html):
    """Mark lines of code, so that a narrow page can wrap them with a hanging indent; no marks that nothing reads."""

    def lines(match):
        marked = []
        for line in PLAIN.sub(r"\1", match[2]).rstrip("\n").split("\n"):
            bare = re.sub(r"<[^>]*>", "", line)
            indent = len(bare) - len(bare.lstrip(" "))
            marked.append(f'<span class="l"{f" style=--i:{indent}" if indent else ""}>{line}\n</span>')
        return match[1] + "".join(marked) + match[3]

    return re.sub(r'(<div class="highlight"><pre>(?:<span></span>)?)(.*?)(</pre>)', lines, html, flags=re.DOTALL)


def trimmed(text, up, searching):
    """A page with one style sheet and one script; `up` leads from it to the top of the site."""

    def stays(match):
        if theirs(match, searching):
            return ""
        waits = (match["src"] or "").startswith("searchindex")  # heavy: the search page is drawn before it is there
        return match[0].replace("<script ", "<script defer ") if waits else match[0]

    def sheet(match):
        return match[0] if any(part in match[1] for part in OURS) else ""

    head, _, body = text.partition("</head>")
    head = PRELOAD.sub("", LINK.sub(sheet, SCRIPT.sub(stays, head)))
    head = re.sub(r'(\s*<meta name="viewport"[^>]*>)(?=.*<meta name="viewport")', "", head, flags=re.DOTALL)
    maths = ["stix-two-math"] if "<math" in body else []
    fonts = ",".join(f'"{name}"' for name in FONTS + maths)
    links = EARLY.replace("FILES", fonts).replace("UP", up)
    if '<meta name="description"' not in head:  # pages that no author wrote: search, index, sources
        title = re.search(r"<title>(.*?)</title>", head, re.DOTALL)[1]
        links += f'<meta name="description" content="{" ".join(title.split()).replace(chr(34), "&quot;")}">'
    links += f'<link rel="stylesheet" href="{up}_static/site.css"><script defer src="{up}_static/book.js"></script>\n'
    at = head.find("<title>")
    head = head[:at] + links + head[at:]
    body = SCRIPT.sub(stays, body)
    if "bd-sidebar-secondary" in body:  # its place is kept before it is there, else the text moves aside when it comes
        body = body.replace('<div class="bd-content">', '<div class="bd-content beside">')
    for pattern, new in MENDED:
        body = re.sub(pattern, new, body, flags=re.DOTALL)
    return hanging(head + "</head>" + body)


def finish(app, exception):
    """Rewrite all pages, also those that this build did not write: their links to style sheets are known by then."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = {path: path.read_text(encoding="utf-8") for path in out.rglob("*.html") if "_static" not in path.parts}
    fresh = {path: text for path, text in pages.items() if "_static/site.css" not in text}
    found = {(path.parent / href).resolve() for path, text in fresh.items() for href in LINK.findall(text)}
    kept = Path(app.doctreedir) / "sheets.txt"  # of the last full build, for builds that write few pages
    names = {path.relative_to(out.resolve()).as_posix() for path in found if path.is_file()}
    if kept.is_file():
        names |= set(kept.read_text(encoding="utf-8").split("\n"))
    kept.write_text("\n".join(sorted(names)), encoding="utf-8")
    order = sorted(names - {""}, key=lambda name: (name.endswith("book.css"), "styles/" not in name, name))
    sheets = [
        (out / name).read_text(encoding="utf-8")
        for name in order
        if (out / name).is_file() and not name.endswith(DROPPED_SHEETS) and not name.startswith(OURS)
    ]
    words = vocabulary(pages.values(), ADDED)
    explorables = squeeze((out / "_static" / "explorables" / "explorables.css").read_text(encoding="utf-8"))
    (out / "_static" / "site.css").write_text(merged(sheets, words) + explorables, encoding="utf-8")
    for path, text in fresh.items():
        if "<title>" in text and "bd-main" in text:
            up = "../" * (len(path.relative_to(out).parts) - 1)
            path.write_text(trimmed(text, up, path.name == "search.html"), encoding="utf-8")


def drop_thebe(app, pagename, templatename, context, doctree):
    """Leave out the scripts of sphinx-thebe, which need a server."""

    def is_thebe(item):
        text = str(getattr(item, "filename", item)) + str(getattr(item, "attributes", {}).get("body") or "")
        return "thebe" in text.lower()

    for key in ("script_files", "css_files"):
        context[key] = [item for item in context.get(key, []) if not is_thebe(item)]


def drop_old_source_pages(app, env, docnames):
    """Let pages of source code be written anew: Sphinx keeps them, though the API page now points at more places."""
    if docnames:
        shutil.rmtree(Path(app.outdir) / "_modules", ignore_errors=True)


def setup(app):
    app.connect("env-before-read-docs", drop_old_source_pages)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("build-finished", finish, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
