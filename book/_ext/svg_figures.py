"""Figures as SVG in the page: they take the page's face, ink and paper, in light and in dark.

Cells draw SVG (execute_chapters.py says so to the kernels). In the HTML the picture is inlined and cleaned: black
becomes currentColor, white the paper, other colors variables with a computed twin for dark pages (ink.py); ids are
unique, the alternative text names an image, and width, height and viewBox are set, so that nothing moves.
"""

import re
from base64 import b64decode
from collections import Counter
from io import BytesIO
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from ink import dark_rules, ink
from lxml import etree
from PIL import Image
from sphinx.util.docutils import SphinxDirective
from svg_paths import compact

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
TEXT, LETTERS, GROUP = SVG + "text", SVG + "tspan", SVG + "g"
HEX = re.compile(r"#[0-9a-fA-F]{6}\b|#[0-9a-fA-F]{3}\b")
NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
URL = re.compile(r"url\(#([\w-]+)\)")
DEFAULTS = {"fill-opacity": "1", "stroke-opacity": "1", "stroke-miterlimit": "100000", "stroke-dashoffset": "0"}


def short(number):
    return f"{number:.2f}".rstrip("0").rstrip(".")


def styles(element):
    """The declarations of an element, without those that say what holds anyway."""
    pairs = (part.split(":", 1) for part in element.get("style", "").split(";") if ":" in part)
    found = {key.strip(): value.strip() for key, value in pairs}
    return {key: value for key, value in found.items() if DEFAULTS.get(key) != value}


def set_styles(element, style):
    element.attrib.pop("style", None)
    if style:
        element.set("style", ";".join(f"{key}:{value}" for key, value in style.items()))


def colored(value):
    return HEX.sub(lambda match: ink(match[0]), value)


def corner(element, x, y):
    """Where a point of an element stands, after the shifts and scales written on the element."""
    for kind, numbers in reversed(re.findall(r"(translate|scale)\(([^)]*)\)", element.get("transform", ""))):
        a, *rest = (float(n) for n in re.split(r"[ ,]+", numbers.strip()))
        b = rest[0] if rest else (a if kind == "scale" else 0.0)
        x, y = (x + a, y + b) if kind == "translate" else (x * a, y * b)
    return x, y


class Pixels:
    """A pixel image in a picture: where it stands, and where it covers the paper."""

    def __init__(self, element):
        x, y, width, height = (float(element.get(key, 0)) for key in ("x", "y", "width", "height"))
        self.first, self.last = corner(element, x, y), corner(element, x + width, y + height)
        data = b64decode((element.get(XLINK + "href") or element.get("href")).partition(",")[2])
        self.alpha = Image.open(BytesIO(data)).convert("RGBA").getchannel("A")

    def cover(self, x, y, reach):
        """Whether nearly nothing of the paper is seen around a point."""
        box = [
            round((point + r - first) / (last - first) * size)
            for r in (-reach, reach)
            for point, first, last, size in zip((x, y), self.first, self.last, self.alpha.size, strict=True)
        ]
        left, right = sorted(max(0, min(n, self.alpha.width)) for n in box[::2])
        top, bottom = sorted(max(0, min(n, self.alpha.height)) for n in box[1::2])
        if left == right or top == bottom:
            return False
        opaque = sum(self.alpha.crop((left, top, right, bottom)).histogram()[128:])
        return opaque > 0.9 * (right - left) * (bottom - top)


def on_images(root):
    """Texts that stand on a heat map: their color was chosen for its color, which is the same in the dark.

    Not those among the dots of a cloud that is drawn in pixels, because the paper is seen between the dots.
    """
    images = [Pixels(image) for image in root.iter(SVG + "image")]
    found = set()
    for text in root.iter(TEXT) if images else ():
        has_place = text.get("x") is not None
        x, y = (float(text.get("x")), float(text.get("y"))) if has_place else corner(text, 0, 0)
        if any(image.cover(x, y, 5) for image in images):
            found |= {text, *text.iter(LETTERS)}
    return found


def set_ink(root):
    """Colors as the page writes them."""
    fixed = on_images(root)
    for element in root.iter():
        style = styles(element)
        if element in fixed:
            if element.tag == TEXT:
                style.setdefault("fill", "#000000")
        else:
            style = {key: colored(value) for key, value in style.items()}
            for key in ("fill", "stroke"):
                if element.get(key):
                    style.setdefault(key, colored(element.attrib.pop(key)))
        set_styles(element, style)


def set_type(root):
    """The page's face instead of matplotlib's; the size that most texts have is said once, by `--s`."""
    sizes, found = Counter(), []
    for element in root.iter(TEXT, LETTERS):
        style = styles(element)
        font = style.pop("font", "")
        size = style.pop("font-size", None) or (re.search(r"([\d.]+)px", font) or [None, None])[1]
        weight = style.pop("font-weight", None) or ("600" if re.search(r"\b(bold|[6-9]00)\b", font) else "400")
        style.pop("font-family", None)
        if weight != "400":
            style["font-weight"] = "600"
        if "italic" in font:
            style["font-style"] = "italic"
        if size:
            style["--s"] = f"{size.removesuffix('px')}px"
            sizes[style["--s"]] += 1
        if "rotate(-0 " in element.get("transform", ""):  # of level text matplotlib writes the place twice
            element.attrib.pop("transform")
        found.append((element, style))
    common = sizes.most_common(1)[0][0] if sizes else None
    for element, style in found:
        if element.tag == TEXT and style.get("--s") == common:
            style.pop("--s")
        set_styles(element, style)
    if common:
        root.set("style", f"--s:{common}")


def let_flow(root):
    """Mathtext is placed letter by letter with the widths of another face: let the letters of a line follow."""
    for text in root.iter(TEXT):
        last = None
        for letter in text.findall(LETTERS):
            if letter.get("x") is None or " " in letter.get("x"):
                last = None
                continue
            x, y = float(letter.get("x")), float(letter.get("y", 0))
            if last and x > last[0]:  # not under a fraction's bar
                letter.attrib.pop("x")
                letter.attrib.pop("y", None)
                if y != last[1]:
                    letter.set("dy", short(y - last[1]))
            last = (x, y)


def set_names(root, name):
    """Ids that are pointed at get a name that is unique on the page; the others go."""
    used = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            used |= {value[1:]} if key.endswith("href") and value.startswith("#") else set(URL.findall(value))
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id":
                if value in used:
                    element.set("id", f"{name}-{value}")
                else:
                    element.attrib.pop("id")
            elif key.endswith("href"):
                element.attrib.pop(key)
                element.set("href", f"#{name}-{value[1:]}" if value.startswith("#") else value.replace("\n", ""))
            elif "url(#" in value:
                element.set(key, URL.sub(rf"url(#{name}-\1)", value))


def tidy(root):
    """Leave out what draws nothing, and digits that nobody sees."""
    for tag in ("metadata", "style"):
        for element in list(root.iter(SVG + tag)):
            element.getparent().remove(element)
    for path in list(root.iter(SVG + "path")):
        style = styles(path)
        unseen = style.get("fill") == "none" and style.get("stroke", "none") == "none" and not path.get("clip-path")
        if unseen and path.getparent().tag == GROUP:
            path.getparent().remove(path)
    for element in root.iter():
        for key in ("d", "x", "y", "transform", "points"):
            if element.get(key):
                value = NUMBER.sub(lambda match: short(float(match[0])), element.get(key))
                element.set(key, re.sub(r"\s+", " ", value).strip())


def unwrap(root):
    """Leave out groups that hold nothing, or only held an id."""
    for group in [g for g in root.iter(GROUP, SVG + "defs") if len(g) == 0]:
        group.getparent().remove(group)
    for group in [g for g in root.iter(GROUP) if not g.attrib]:
        parent = group.getparent()
        at = parent.index(group)
        parent[at : at + 1] = list(group)


def set_frame(root, label):
    """Size, shape and name of the picture."""
    if root.get("viewBox") is None:
        root.set("viewBox", f"0 0 {float(root.get('width'))} {float(root.get('height'))}")
    width, height = (float(value) for value in root.get("viewBox").split()[2:])
    unit = 4 / 3 if (root.get("width") or "").endswith("pt") else 1
    kept = {key: root.get(key) for key in ("viewBox", "style") if root.get(key)}
    root.attrib.clear()
    kept |= {"class": "drawn", "width": f"{width * unit:.0f}", "height": f"{height * unit:.0f}"}
    kept |= {"role": "img", "aria-label": " ".join(label.split())} if label else {"aria-hidden": "true"}
    for key, value in kept.items():
        root.set(key, value)


def clean(svg, name, label):
    """The picture as a string that can stand in a page."""
    root = etree.fromstring(svg, etree.XMLParser(remove_comments=True, remove_blank_text=True, huge_tree=True))
    tidy(root)
    set_ink(root)
    set_type(root)
    let_flow(root)
    set_names(root, name)
    unwrap(root)
    compact(root)
    set_frame(root, label)
    etree.cleanup_namespaces(root)
    return re.sub(r' xmlns(:\w+)?="[^"]*"', "", etree.tostring(root, encoding="unicode"))


def inline(app, doctree, docname):
    """Put every SVG that a cell drew into the page itself."""
    if app.builder.format != "html":
        return
    everything = ""
    for n, image in enumerate(list(doctree.findall(nodes.image))):
        path = Path(app.srcdir) / image["uri"]
        if path.suffix == ".svg" and "jupyter_execute" in path.parts and path.is_file():
            html = clean(path.read_bytes(), f"p{n}", image.get("alt", ""))
            everything += html
            image.replace_self(nodes.raw("", html, format="html"))
            app.env.images.pop(image["uri"], None)  # no second copy in _images
    everything += "".join(raw.astext() for raw in doctree.findall(nodes.raw) if 'class="drawn"' in raw.astext())
    if rules := dark_rules(everything):
        doctree.append(nodes.raw("", rules, format="html"))


class Picture(SphinxDirective):
    """`{picture} file.svg`, with `:alt:` unless it only decorates: a drawing of ours, treated as a cell's is."""

    required_arguments = 1
    option_spec = {"alt": directives.unchanged, "class": directives.class_option}  # noqa: RUF012

    def run(self):
        relative, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(relative)
        name = re.sub(r"\W", "-", Path(path).stem)
        html = clean(Path(path).read_bytes(), name, self.options.get("alt", ""))
        box = nodes.container(classes=["picture", *self.options.get("class", [])])
        box += nodes.raw("", html, format="html")
        return [box]


def setup(app):
    app.add_directive("picture", Picture)
    app.connect("doctree-resolved", inline, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
