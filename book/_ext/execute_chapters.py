"""Run the chapters: side by side, again when lmmsim changed, and never report a failed build as a success.

Jupyter Book executes chapters one after the other while it reads them, and keeps the results under a key made of the
cells alone. This extension runs every chapter whose result is not kept yet, as many at a time as there are processors,
in the order in which Sphinx reads pages: a page is read when its chapter is done, while others still run. It keeps the
results in a folder whose name is made of everything else a result depends on: the source of lmmsim, the helper of
claims, the data files, Python and the installed packages.
"""

import hashlib
import os
import platform
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.metadata import distributions
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import create_nb_reader
from sphinx.application import ENV_PICKLE_FILENAME
from sphinx.errors import ExtensionError
from sphinx.util import logging
from warm_kernels import warm_kernels

log = logging.getLogger(__name__)
PROFILE = """c.InlineBackend.figure_formats = {"svg"}
c.InlineBackend.print_figure_kwargs = {"bbox_inches": None}  # every figure keeps its figsize, hence its scale
"""
SOURCES = ("lmmsim/**/*.py", "book/claims.py", "book/data/**/*", "book/matplotlibrc")


def fingerprint(top):
    """Hash what the results depend on beside the cells."""
    digest = hashlib.sha256((platform.python_version() + PROFILE).encode())
    for name, version in sorted({(d.name.lower(), d.version) for d in distributions()}):
        digest.update(f"{name}=={version}\n".encode())
    for pattern in SOURCES:
        for path in sorted(p for p in Path(top).glob(pattern) if p.is_file()):
            digest.update(path.relative_to(top).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def draw_svg(app, config):
    """Tell the kernels, which inherit the environment, to draw SVG."""
    folder = Path(app.outdir).parent / "ipython" / "profile_default"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ipython_kernel_config.py").write_text(PROFILE, encoding="utf-8")
    os.environ["IPYTHONDIR"] = str(folder.parent)


def key_the_cache(app, config):
    """Name the folder of kept results by the fingerprint; a new name makes Sphinx read every chapter again."""
    caches = Path(app.outdir).parent / "executed"
    here = caches / fingerprint(app.srcdir)
    config.nb_execution_cache_path = str(here)
    for old in caches.glob("*"):
        if old != here:
            shutil.rmtree(old, ignore_errors=True)


def forget_an_older_order(app, config):
    """After a change of `_toc.yml`, remove what Sphinx remembers: it can't renumber pages that it does not read."""
    pickle, toc = Path(app.doctreedir) / ENV_PICKLE_FILENAME, Path(app.srcdir) / "_toc.yml"
    if pickle.is_file() and toc.is_file() and toc.stat().st_mtime > pickle.stat().st_mtime:
        pickle.unlink()


class Running:
    """Chapters that are being executed, and those that were."""

    def __init__(self, env, jobs, folder):
        self.cache, self.jobs = get_cache(env.mystnb_config.execution_cache_path), jobs
        self.open = ExitStack()
        if jobs:
            self.open.enter_context(warm_kernels(folder))
        self.pool = ThreadPoolExecutor(max_workers=os.cpu_count())
        timeout = env.mystnb_config.execution_timeout
        self.results = {name: self.pool.submit(execute, name, *job, timeout) for name, job in jobs.items()}

    def keep(self, docname):
        """Keep the result of a chapter as soon as there is one; if it failed, keep the others and say which failed."""
        if docname in self.results and self._kept(docname):
            errors = [f"{name}: {error}" for name in self.results if (error := self._kept(name))]
            raise ExtensionError(f"{len(errors)} of {len(self.jobs)} chapters failed:\n\n" + "\n\n".join(errors))

    def _kept(self, docname):
        """Wait for a result and keep it, or return what went wrong."""
        (path, notebook), result = self.jobs[docname], self.results[docname].result()
        if not result.err:
            bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": result.time})
            self.cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        return result.err

    def end(self):
        """Leave no process behind."""
        self.pool.shutdown(cancel_futures=True)
        self.open.close()


def execute(docname, path, notebook, timeout):
    """Run the cells of a chapter, which are then those of the notebook."""
    result = single_nb_execution(
        notebook,
        cwd=str(path.parent),
        timeout=timeout,
        allow_errors=False,
        extra_arguments=["--log-level=ERROR"],
    )
    log.info("executed %s in %.1f s%s", docname, result.time, " and failed" if result.err else "")
    return result


def run_side_by_side(app, env, docnames):
    """Begin to execute the chapters among `docnames` that have no kept result."""
    cache = get_cache(env.mystnb_config.execution_cache_path)
    waiting = {}
    for docname in docnames:
        path = Path(env.doc2path(docname))
        text = path.read_text(encoding="utf-8")
        reader = create_nb_reader(str(path), env.myst_config, env.mystnb_config, text)
        if reader is None:
            continue
        notebook = reader.read(text)
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            waiting[docname] = (path, notebook)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # chapters share the processors: no chapter may take them all
    app.running = Running(env, waiting, Path(app.srcdir) / "book")


def wait_for_a_chapter(app, docname, source):
    """Read a page when its chapter has run."""
    app.running.keep(docname)


def leave_no_kernel(app, exception):
    """End what still runs after a failure."""
    if hasattr(app, "running"):
        app.running.end()


def forget_a_failed_build(app, exception):
    """After warnings, remove what Sphinx remembers, so that the next build meets them again."""
    if exception is not None or app._warncount:
        (Path(app.doctreedir) / ENV_PICKLE_FILENAME).unlink(missing_ok=True)


def setup(app):
    app.connect("config-inited", draw_svg)
    app.connect("config-inited", key_the_cache)
    app.connect("config-inited", forget_an_older_order)
    app.connect("env-before-read-docs", run_side_by_side)
    app.connect("source-read", wait_for_a_chapter, priority=0)
    app.connect("build-finished", leave_no_kernel, priority=0)
    app.connect("build-finished", forget_a_failed_build, priority=999)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
