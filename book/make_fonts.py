"""Make the fonts of the pages anew: `python book/make_fonts.py`, after `make book`. No build needs this.

It needs npm, pip, fonttools and brotli. Text and code come from npm (@fontsource/source-serif-4 and source-code-pro,
cut to Latin and Greek there). The face of formulas, STIX Two Math, comes in the wheel of ziamath and is cut to letters,
digits, common signs, and every sign that a formula of the built pages holds. All three are under the SIL Open Font
License 1.1, which stands beside them.
"""

import html
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

BOOK = Path(__file__).parent
PAGES = BOOK.parent / "_build" / "html"
TARGET = BOOK / "_static" / "fonts"
SERIF = ("latin-400-normal", "latin-400-italic", "latin-600-normal", "greek-400-normal", "greek-600-normal")
PACKAGES = {"source-serif-4": ("5.3.1", SERIF), "source-code-pro": ("5.3.1", ("latin-400-normal",))}
ZIAMATH = "ziamath==0.13"
SIGNS = "()[]{}|+−=<>/,.:;0123456789 ∣‖∑∏√∫≈≤≥≠±×⋅∼→…⋯⊤′\u2061\u2062\u2063ℎ"  # noqa: RUF001
LETTERS = ((0x41, 0x5A), (0x61, 0x7A), (0x1D400, 0x1D467), (0x1D6E2, 0x1D71B))  # upright; bold, italic; italic Greek


def faces(folder):
    """Copy the faces of text and code out of their packages."""
    for name, (version, wanted) in PACKAGES.items():
        subprocess.run(["npm", "pack", "--silent", f"@fontsource/{name}@{version}"], cwd=folder, check=True)
        with tarfile.open(folder / f"fontsource-{name}-{version}.tgz") as package:
            package.extractall(folder / name, filter="data")
        for part in wanted:
            shutil.copy(folder / name / "package" / "files" / f"{name}-{part}.woff2", TARGET)
        licence = (folder / name / "package" / "LICENSE").read_text(encoding="utf-8").partition("\n\n")[2]
        write_licence(name, TARGET / f"{name}-{wanted[0]}.woff2", licence)
    return licence


def write_licence(name, font, licence):
    """The font's own line of copyright, and the licence that it names."""
    copyright = TTFont(font)["name"].getDebugName(0)
    (TARGET / f"{name}-OFL.txt").write_text(f"{copyright}\n\n{licence}", encoding="utf-8")


def signs():
    """Every sign that formulas are made of."""
    found = set(SIGNS)
    for first, last in LETTERS:
        found |= {chr(code) for code in range(first, last + 1)}
    for page in PAGES.rglob("*.html"):
        for formula in re.findall(r"<math.*?</math>", page.read_text(encoding="utf-8"), re.DOTALL):
            text = re.sub(r"<annotation.*?</annotation>|<[^>]*>", "", formula, flags=re.DOTALL)
            found |= set(html.unescape(text))
    return "".join(sorted(found))


def maths(folder, licence):
    """Cut the face of formulas; without the feature `ssty`, whose letters for small sizes weigh as much again."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), ZIAMATH]
    subprocess.run(pip, check=True)
    with zipfile.ZipFile(next(folder.glob("ziamath*.whl"))) as wheel:
        source = wheel.extract("ziamath/fonts/STIXTwoMath-Regular.ttf", folder)
    options = subset.Options(flavor="woff2", hinting=False, layout_features=[])
    font = subset.load_font(source, options)
    cutter = subset.Subsetter(options)
    cutter.populate(text=signs())
    held = sorted(set(font.getBestCmap()) & set(map(ord, signs())))
    (TARGET / "stix-two-math-signs.txt").write_text("".join(map(chr, held)), encoding="utf-8")
    cutter.subset(font)
    subset.save_font(font, str(TARGET / "stix-two-math.woff2"), options)
    write_licence("stix-two-math", source, licence)


if __name__ == "__main__":
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        maths(Path(temporary), faces(Path(temporary)))
