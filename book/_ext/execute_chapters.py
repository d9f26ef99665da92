"""Run the chapters: side by side, again when lmmsim changed, and never report a failed build as a success.

Jupyter Book executes chapters one after the other while it reads them, and keeps the results under a key made of the
cells alone. This extension runs, before the reading, every chapter whose result is not kept yet, as many at a time as
there are processors, and keeps the results in a folder whose name is made of everything else a result depends on:
the source of lmmsim, the helper of claims, the data files, Python and the installed packages.
"""

import hashlib
import os
import platform
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
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


def run_side_by_side(app, env, docnames):
    """Execute the chapters among `docnames` that have no kept result, and keep theirs."""
    cache = get_cache(env.mystnb_config.execution_cache_path)
    waiting = []
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
            waiting.append((docname, path, notebook))

    def run(job):
        docname, path, notebook = job
        result = single_nb_execution(
            notebook,
            cwd=str(path.parent),
            timeout=env.mystnb_config.execution_timeout,
            allow_errors=False,
            extra_arguments=["--log-level=ERROR"],
        )
        log.info("executed %s in %.1f s%s", docname, result.time, " and failed" if result.err else "")
        return result

    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # chapters share the processors: no chapter may take them all
    warm = warm_kernels(Path(app.srcdir) / "book") if waiting else nullcontext()
    with warm, ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = list(pool.map(run, waiting))

    failed = []
    for (docname, path, notebook), result in zip(waiting, results, strict=True):
        if result.err:
            failed.append(f"{docname}: {result.err}")
            continue
        cache.cache_notebook_bundle(
            CacheBundleIn(notebook, str(path), data={"execution_seconds": result.time}),
            check_validity=False,
            overwrite=True,
        )
    if failed:
        raise ExtensionError(f"{len(failed)} of {len(waiting)} chapters failed:\n\n" + "\n\n".join(failed))


def forget_a_failed_build(app, exception):
    """After warnings, remove what Sphinx remembers, so that the next build meets them again."""
    if exception is not None or app._warncount:
        (Path(app.doctreedir) / ENV_PICKLE_FILENAME).unlink(missing_ok=True)


def setup(app):
    app.connect("config-inited", draw_svg)
    app.connect("config-inited", key_the_cache)
    app.connect("config-inited", forget_an_older_order)
    app.connect("env-before-read-docs", run_side_by_side)
    app.connect("build-finished", forget_a_failed_build, priority=999)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
