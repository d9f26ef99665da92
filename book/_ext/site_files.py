"""What the site serves beside its pages: lmmsim as a wheel, and the data sets."""

import io
import re
import shutil
import zipfile
from base64 import urlsafe_b64encode
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
INSTALLED = distribution("lmmsim")
# In place of the one that Jupyter Book writes where there is none, which has no title, language or icon.
START = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Linear mixed models by simulation</title>
<meta http-equiv="refresh" content="0; url=book/intro.html"><link rel="icon" href="_static/favicon.svg"></head>
<body><a href="book/intro.html">Linear mixed models by simulation</a></body></html>
"""
WHEEL = f"lmmsim-{INSTALLED.version}-py3-none-any.whl"


def wheel():
    """The package of this folder as a wheel, the same bytes for the same source."""
    info = f"lmmsim-{INSTALLED.version}.dist-info"
    files = {
        path.relative_to(TOP).as_posix(): path.read_bytes()
        for path in sorted((TOP / "lmmsim").rglob("*"))
        if path.suffix in (".py", ".typed") or path.parent.name == "bank"
    }
    about = INSTALLED.read_text("METADATA") or INSTALLED.read_text("PKG-INFO")  # as installed, or as in this folder
    files[f"{info}/METADATA"] = about.encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: lmmsim\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = INSTALLED.read_text("entry_points.txt").encode()
    files[f"{info}/licenses/LICENSE"] = (TOP / "LICENSE").read_bytes()
    rows = [
        f"{name},sha256={urlsafe_b64encode(sha256(content).digest()).rstrip(b'=').decode()},{len(content)}"
        for name, content in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def data_named(code):
    """Data sets that some code names, by file (`data/rail.csv`) or without its ending (`"rail"`)."""
    files = sorted(path.name for path in (TOP / "book" / "data").glob("*.csv"))
    return [name for name in files if re.search(rf"""["'/]{Path(name).stem}(?:\.csv)?["']""", code)]


def serve(app, exception):
    if exception is None and app.builder.format == "html":
        out = Path(app.outdir)
        (out / "index.html").write_text(START, encoding="utf-8")
        (out / "_static" / WHEEL).write_bytes(wheel())
        (out / "book" / "data").mkdir(parents=True, exist_ok=True)
        for path in sorted((TOP / "book" / "data").glob("*.csv")):
            shutil.copy(path, out / "book" / "data" / path.name)


def setup(app):
    app.connect("build-finished", serve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
