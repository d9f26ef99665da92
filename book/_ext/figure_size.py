"""Show figures at half their pixel size: `book/matplotlibrc` draws them at 192 dots per inch for sharp screens."""

import struct
from pathlib import Path

from docutils import nodes

DOTS_PER_CSS_PIXEL = 2


def png_size(path):
    """Width and height in pixels, from the header of a PNG file."""
    with path.open("rb") as file:
        header = file.read(24)
    return struct.unpack(">II", header[16:24]) if header[:8] == b"\x89PNG\r\n\x1a\n" else None


def set_width(app, doctree):
    """Give every picture that a cell made its width on the page, unless the author gave one."""
    for image in doctree.findall(nodes.image):
        path = Path(app.srcdir) / image["uri"]
        if "jupyter_execute" in path.parts and path.suffix == ".png" and "width" not in image and path.is_file():
            size = png_size(path)
            if size:
                image["width"] = f"{size[0] // DOTS_PER_CSS_PIXEL}px"


def setup(app):
    app.connect("doctree-read", set_width)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
