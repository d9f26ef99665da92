"""Offer every chapter as a notebook with its outputs, in the download menu at the top of the page."""

import shutil
from pathlib import Path

import nbformat
from jupyter_cache import get_cache


def written(app, docname):
    """Where MyST-NB leaves a chapter as a notebook."""
    return Path(app.outdir).parent / "jupyter_execute" / f"{docname}.ipynb"


def put_outputs_in(app, doctree):
    """MyST-NB leaves out the outputs of a notebook whose results were kept from before: put them in."""
    path = written(app, app.env.docname)
    if "kernelspec" in app.env.metadata.get(app.env.docname, {}) and path.is_file():
        notebook = nbformat.read(path, as_version=4)
        _, executed = get_cache(app.env.mystnb_config.execution_cache_path).merge_match_into_notebook(notebook)
        nbformat.write(executed, path)


def offer(app, pagename, templatename, context, doctree):
    """Put the executed notebook beside the page's source, where the theme's download menu looks for it."""
    if doctree is not None and "kernelspec" in app.env.metadata.get(pagename, {}) and written(app, pagename).is_file():
        target = Path(app.outdir) / "_sources" / f"{pagename}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(written(app, pagename), target)
        context["ipynb_source"] = f"{pagename}.ipynb"


def setup(app):
    app.connect("doctree-read", put_outputs_in)
    app.connect("html-page-context", offer, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
