"""The built book as one PDF, by Chromium: `_build/lmmsim-book.pdf`, with bookmarks, page numbers and links inside it.

    python book/make_pdf.py       # after the book is built; the variable BROWSER_PATH names a Chromium

All articles are put into one page, with ids that are unique there; links between pages lead to places in the PDF.
Folds and solutions are open, the code of figures stays away, explorables show their static picture.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import yaml
from bs4 import BeautifulSoup

TOP = Path(__file__).resolve().parents[1]
HTML = TOP / "_build" / "html"
TARGET = TOP / "_build" / "lmmsim-book.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
DROPPED = (
    "style, script, noscript, .headerlink, .live-offer, .live, .howto, .skip-link, .hero .dial, .doors, "
    "details.code-fold"
)
FIT = """() => {  // what is too wide is made smaller, what is short stays in one piece
    const room = document.querySelector("article.bd-article").clientWidth, page = 940
    let shrunk = 0
    for (const e of document.querySelectorAll("table, .cell_output pre, .formula math, svg")) {
        const width = e.getBoundingClientRect().width
        if (width > room + 1) { e.style.zoom = room / width * 0.995; shrunk++ }
    }
    for (const e of document.querySelectorAll("table, figure, .highlight, .output, .admonition, .exercise, .cell")) {
        const height = e.getBoundingClientRect().height
        const most = e.matches(".cell, .admonition, .exercise") ? page / 2.5 : page
        e.classList.add(height < most ? "short" : "tall")
    }
    return shrunk
}"""
HEADINGS = """[...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter(h => h.getClientRects().length)
    .map(h => h.textContent.replace(/\\s+/g, " ").trim()).filter(Boolean)"""
FOOTER = """<div style="width: 100%; font: 8pt Georgia, serif; color: #555; text-align: center">
<span class="pageNumber"></span></div>"""
NOTE = "Text and figures: CC BY 4.0. Code: MIT. Every number in a sentence was computed when its page was built."


def parts() -> list[tuple[str, list[str]]]:
    """Captions and pages in the order of the book."""
    toc = yaml.safe_load((TOP / "_toc.yml").read_text(encoding="utf-8"))
    found = [("", [toc["root"]])]
    for part in toc["parts"]:
        files = [page["file"] for chapter in part["chapters"] for page in [chapter, *chapter.get("sections", [])]]
        found.append((part["caption"], files))
    return found


def article(page: str, pages: set[str], site: str) -> BeautifulSoup:
    """The text of a page, with ids and links that work among all others."""
    soup = BeautifulSoup((HTML / f"{page}.html").read_text(encoding="utf-8"), "lxml")
    text = soup.select_one("article.bd-article")
    own = Path(page).name
    for unwanted in text.select(DROPPED):
        unwanted.decompose()
    for fold in text.select("details"):
        fold["open"] = ""
    for tag in text.find_all(True):
        if tag.get("id"):
            tag["id"] = f"{own}--{tag['id']}"
        for key in ("for", "aria-labelledby", "aria-describedby"):
            if tag.get(key):
                tag[key] = f"{own}--{tag[key]}"
        for key, value in list(tag.attrs.items()):
            if isinstance(value, str) and "url(#" in value:
                tag[key] = value.replace("url(#", f"url(#{own}--")
        if tag.get("href") is not None:
            tag["href"] = place(tag["href"], page, pages, site)
    text["id"] = f"{own}--"
    return text


def place(link: str, page: str, pages: set[str], site: str) -> str:
    """Where a link leads: inside the PDF if it can, else to the published book or elsewhere."""
    address = urlsplit(link)
    if address.scheme or address.netloc:
        return link
    if not address.path:
        return f"#{Path(page).name}--{address.fragment}"
    target = unquote(urljoin(f"{page}.html", address.path))
    if target.removesuffix(".html") in pages:
        return f"#{Path(target).stem}--{address.fragment}"
    return urljoin(site, target) + (f"#{address.fragment}" if address.fragment else "")


def document() -> str:
    """The whole book as one HTML page."""
    config = yaml.safe_load((TOP / "_config.yml").read_text(encoding="utf-8"))
    site = config["html"]["baseurl"]
    pages = {page for _, files in parts() for page in files}
    contents, texts = [], []
    for caption, files in parts():
        if caption:
            contents.append(f"<h2>{caption}</h2>")
        for page in files:
            text = article(page, pages, site)
            heading = text.select_one("h1")
            title = re.sub(r"\s+", " ", heading.get_text()).strip() if heading else page
            contents.append(f'<p><a href="#{Path(page).name}--">{title}</a></p>')
            texts.append(str(text))
    title, style = config["title"], (TOP / "book" / "make_pdf.css").read_text(encoding="utf-8")
    sheets = '<link rel="stylesheet" href="../_static/site.css">'
    cover = f'<div class="cover"><h1>{title}</h1><p>{config["author"]}</p><p>{site}</p><p>{NOTE}</p></div>'
    return (
        f'<!doctype html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f'<title>{title}</title><base href="{(HTML / "book").as_uri()}/">{sheets}<style>{style}</style></head><body>'
        f'<div class="book">{cover}<div class="contents"><h1>Contents</h1>{"".join(contents)}</div>'
        f"{''.join(texts)}</div></body></html>"
    )


def with_whole_titles(pdf: bytes, headings: list[str]) -> bytes:
    """Bookmarks as the headings read: Chromium joins lines without a space, and doubles what it lays out twice.

    New versions of the bookmarks are appended to the file, as the format allows.
    """
    items = {int(n): body for n, body in re.findall(rb"\n(\d+) 0 obj\n(<</Title .*?)\nendobj", pdf, re.DOTALL)}
    links = {n: {k.decode(): int(v) for k, v in re.findall(rb"/(First|Next) (\d+) 0 R", b)} for n, b in items.items()}
    below = {target for link in links.values() for target in link.values()}
    order, waiting = [], [n for n, body in items.items() if b"/Parent" in body and n not in below]
    while waiting:
        n = waiting.pop()
        order.append(n)
        waiting += [links[n][key] for key in ("Next", "First") if key in links[n]]
    old = re.search(rb"trailer\n<<(.*?)>>\nstartxref\n(\d+)", pdf, re.DOTALL)
    if len(order) != len(headings) or old is None:
        return pdf
    table, new = b"xref\n", pdf if pdf.endswith(b"\n") else pdf + b"\n"
    for n, heading in zip(order, headings, strict=True):
        title = b"<" + ("\ufeff" + heading).encode("utf-16-be").hex().encode() + b">"
        table += b"%d 1\n%010d 00000 n \n" % (n, len(new))
        rest = re.sub(rb"^<</Title (\((?:\\.|[^\\)])*\)|<[^>]*>)", b"", items[n], flags=re.DOTALL)
        new += b"%d 0 obj\n<</Title %s%s\nendobj\n" % (n, title, rest)
    return new + table + b"trailer\n<<%s\n/Prev %s>>\nstartxref\n%d\n%%%%EOF\n" % (old[1], old[2], len(new))


def main() -> None:
    browser = os.environ.get("BROWSER_PATH") or next((path for path in map(shutil.which, BROWSERS) if path), None)
    if browser is None:
        raise SystemExit("no Chromium on this machine: install one, or let BROWSER_PATH say where it is")
    if not (HTML / "book").is_dir():
        raise SystemExit("the book is not built: make book")
    from playwright.sync_api import sync_playwright

    source = HTML.parent / "whole-book.html"
    source.write_text(document().replace('href="#', 'href="' + source.as_uri() + "#"), encoding="utf-8")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page(viewport={"width": 605, "height": 930})
        page.goto(source.as_uri(), timeout=300_000)
        page.emulate_media(media="print")
        page.evaluate("document.fonts.ready.then(() => true)")
        shrunk = page.evaluate(FIT)
        headings = page.evaluate(HEADINGS)
        page.set_default_timeout(600_000)
        page.pdf(
            path=TARGET,
            prefer_css_page_size=True,
            print_background=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
            tagged=True,
            outline=True,
        )
        chromium.close()
    source.unlink()
    TARGET.write_bytes(with_whole_titles(TARGET.read_bytes(), headings))
    print(
        f"{TARGET.relative_to(TOP)}: {TARGET.stat().st_size / 2**20:.1f} MB; {shrunk} pieces were made smaller to fit"
    )


if __name__ == "__main__":
    main()
