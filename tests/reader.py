"""A reader of the built book: pages as trees, links that must lead somewhere, a browser if the machine has one."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from places import TOP

HTML = TOP / "_build" / "html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
GENERATED = {"genindex.html", "search.html", "prf-prf.html", "py-modindex.html"}  # by Sphinx, not by us


def pages(top: Path = HTML) -> list[str]:
    """Names of the book's pages, relative to the top of the site."""
    names = (path.relative_to(top).as_posix() for path in sorted(top.rglob("*.html")))
    return [n for n in names if n not in GENERATED | {"index.html"} and not n.startswith(("_modules/", "_static/"))]


@cache
def tree(name: str, top: Path = HTML) -> BeautifulSoup:
    """One page, parsed."""
    return BeautifulSoup((top / name).read_text(encoding="utf-8"), "lxml")


@cache
def anchors(name: str, top: Path = HTML) -> frozenset[str]:
    """Every place on a page that a link can point at."""
    return frozenset(str(tag.get("id") or tag.get("name")) for tag in tree(name, top).select("[id], a[name]"))


def article(name: str, top: Path = HTML) -> Tag:
    """The text of a page, without menus."""
    found = tree(name, top).select_one("article.bd-article")
    assert found is not None, f"{name} has no article"
    return found


def figures(name: str, top: Path = HTML) -> list[tuple[str, str, str]]:
    """(source, alt text, caption) of every picture in a page's text that does more than decorate."""
    result = []
    for image in article(name, top).select("img, svg.drawn"):
        alt = str(image.get("alt") or image.get("aria-label") or "").strip()
        figure = image.find_parent("figure")
        text = figure.select_one("figcaption .caption-text, figcaption p") if figure else None
        caption = text.get_text(" ", strip=True) if text else ""
        if image.find_parent(class_="picture"):  # a drawing of ours: decorates, or is explained by the text beside it
            if image.get("aria-hidden") == "true":
                continue
            caption = caption or "beside it"
        result.append((str(image.get("src") or image.name), alt, caption))
    return result


def weight(page) -> dict[str, int]:
    """Bytes of everything that an open page has loaded, as a server with gzip sends them."""
    sizes = {}
    for url in page.evaluate("[location.href, ...performance.getEntriesByType('resource').map(e => e.name)]"):
        path = HTML / unquote(urlsplit(url).path).lstrip("/")
        if path.is_file():
            content = path.read_bytes()
            sizes[path.name] = len(content if path.suffix in (".woff2", ".png") else gzip.compress(content))
    return sizes


def broken_links(name: str, top: Path = HTML) -> list[str]:
    """Links, pictures and scripts of a page that lead nowhere inside the site."""
    broken = []
    for tag in tree(name, top).select("[href], [src]"):
        link = str(tag.get("href") or tag.get("src"))
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or not link:
            continue
        target = (top / name).parent / unquote(parts.path) if parts.path else top / name
        if not target.resolve().is_file():
            broken.append(link)
        elif parts.fragment and target.suffix == ".html":
            page = target.resolve().relative_to(top.resolve()).as_posix()
            if unquote(parts.fragment) not in anchors(page, top):
                broken.append(link)
    return broken


def foreign_requests(name: str, top: Path = HTML) -> list[str]:
    """What a browser would load from another host: scripts, styles, pictures, frames, fonts."""
    page = tree(name, top)
    loads = [str(tag["src"]) for tag in page.select("[src]")]
    loads += [
        str(tag["href"])
        for tag in page.select("link[href]")
        if set(tag.get("rel") or []) & {"stylesheet", "preload", "icon", "preconnect", "dns-prefetch"}
    ]
    loads += re.findall(r"url\(([^)]+)\)", " ".join(tag.get_text() for tag in page.select("style")))
    return [link for link in loads if re.match(r"\s*['\"]?(https?:)?//", link)]


@contextmanager
def served(top: Path = HTML) -> Iterator[str]:
    """Serve the site on this machine; gives its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(top)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


SLOW = {
    "offline": False,
    "latency": 40,
    "downloadThroughput": 160_000,
    "uploadThroughput": 160_000,
}  # ms, bytes a second


def visit(browser, address: str, width: int = 1280, scheme: str = "light", *, slow: bool = False, **settings):
    """Open a page; returns it with what went wrong on the way: errors, failed and foreign requests.

    On a `slow` line a page is drawn before all of it is there.
    """
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce", **settings
    )
    page = context.new_page()
    if slow:
        context.new_cdp_session(page).send("Network.emulateNetworkConditions", SLOW)
    wrong: list[str] = []
    home = "/".join(address.split("/")[:3])

    def route(request) -> None:
        if request.request.url.startswith((home, "data:", "blob:")):
            request.continue_()
        else:
            wrong.append(f"asks {request.request.url}")
            request.abort()

    page.route("**/*", route)
    page.on("console", lambda message: wrong.append(f"console: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("response", lambda reply: wrong.append(f"{reply.status} {reply.url}") if reply.status >= 400 else None)
    page.goto(address)
    page.wait_for_load_state("load")
    page.evaluate("document.fonts.ready.then(() => true)")
    return page, wrong


def browser_path() -> str | None:
    """A Chromium on this machine: the variable BROWSER_PATH, or the first that is found by name."""
    return os.environ.get("BROWSER_PATH") or next((path for path in map(shutil.which, BROWSERS) if path), None)
