"""Figures as SVG in the page: they take the page's face, ink and paper, in light and in dark.

Cells draw SVG (execute_chapters.py says so to the kernels). In the HTML the picture is inlined and cleaned: black
becomes currentColor, white backgrounds go, other colors become variables with a computed twin for dark pages, ids are
unique, the alternative text becomes the name of role=img, and width, height and viewBox are set, so nothing shifts.
"""

import re
from collections import Counter
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from ink import dark_rules, ink
from lxml import etree
from sphinx.util.docutils import SphinxDirective

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
HEX = re.compile(r"#[0-9a-fA-F]{6}\b|#[0-9a-fA-F]{3}\b")
NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
DEFAULTS = {"fill-opacity": "1", "stroke-opacity": "1", "stroke-miterlimit": "100000", "stroke-dashoffset": "0"}


# --- one picture ------------------------------------------------------------------------------------------------
def round_off(text):
    return NUMBER.sub(lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), text)


def declarations(style):
    return dict(d.split(":", 1) for d in (p.strip() for p in style.split(";")) if ":" in d)


def clean(svg, name, label):
    """The picture as a string that can stand in a page."""
    root = etree.fromstring(svg, etree.XMLParser(remove_comments=True, remove_blank_text=True, huge_tree=True))
    if root.get("viewBox") is None:
        root.set("viewBox", f"0 0 {float(root.get('width'))} {float(root.get('height'))}")
    for tag in ("metadata", "style"):
        for element in list(root.iter(SVG + tag)):
            element.getparent().remove(element)
    used, sizes = set(), Counter()
    for element in root.iter():
        for key, value in element.attrib.items():
            used |= set(
                re.findall(r"#([\w-]+)", value) if key.endswith("href") else re.findall(r"url\(#([\w-]+)\)", value)
            )
    for element in list(root.iter()):
        style = {k.strip(): v.strip() for k, v in declarations(element.get("style", "")).items()}
        style = {k: v for k, v in style.items() if DEFAULTS.get(k) != v}
        if element.tag == SVG + "text" or element.tag == SVG + "tspan":
            font = style.pop("font", "")
            size = style.pop("font-size", None) or (re.search(r"([\d.]+)px", font) or [None, None])[1]
            weight = style.pop("font-weight", None) or ("600" if re.search(r"\b(bold|[6-9]00)\b", font) else None)
            style.pop("font-family", None)
            if weight and weight != "400":
                style["font-weight"] = "600"
            if "italic" in font:
                style["font-style"] = "italic"
            if size:
                style["--s"] = str(size).removesuffix("px") + "px"
                sizes[style["--s"]] += 1
            if element.get("transform") and "rotate(-0 " in element.get("transform"):
                # matplotlib writes its x and y twice; the transform alone is enough to place level text
                element.attrib.pop("transform")
        if (
            element.tag == SVG + "path"
            and style.get("fill", "").lower() in ("#ffffff", "none")
            and not style.get("stroke")
        ):
            parent = element.getparent()
            if (parent.get("id") or "").startswith("patch_"):
                parent.remove(element)
                continue
        style = {k: HEX.sub(lambda m: ink(m[0]), v) for k, v in style.items()}
        for key in ("fill", "stroke"):
            if element.get(key):
                element.set(key, HEX.sub(lambda m: ink(m[0]), element.get(key)))
                if "var(" in element.get(key):
                    style[key] = element.attrib.pop(key)
        if element.get("style") is not None or style:
            element.attrib.pop("style", None)
            if style:
                element.set("style", ";".join(f"{k}:{v}" for k, v in style.items()))
        for key in ("d", "x", "y", "transform", "points"):
            if element.get(key):
                element.set(key, re.sub(r"\s+", " ", round_off(element.get(key))).strip())
        if element.get("id"):
            if element.get("id") in used:
                element.set("id", f"{name}-{element.get('id')}")
            else:
                element.attrib.pop("id")
        for key, value in list(element.attrib.items()):
            if key.endswith("href") and value.startswith("#"):
                element.attrib.pop(key)
                element.set("href", f"#{name}-{value[1:]}")
            elif key == XLINK + "href":  # a rasterized cloud
                element.attrib.pop(key)
                element.set("href", value.replace("\n", ""))
            elif "url(#" in value:
                element.set(key, re.sub(r"url\(#([\w-]+)\)", rf"url(#{name}-\1)", value))
        if key := element.attrib.pop("clip-path", None):
            element.set("clip-path", key)
    for group in [g for g in root.iter(SVG + "g", SVG + "defs") if len(g) == 0]:
        group.getparent().remove(group)
    for group in [g for g in root.iter(SVG + "g") if not g.attrib]:  # groups that only held an id
        parent = group.getparent()
        at = parent.index(group)
        for child in reversed(list(group)):
            parent.insert(at, child)
        parent.remove(group)
    for text in root.iter(
        SVG + "text"
    ):  # mathtext places letter by letter, with the widths of another face: let them flow
        last = None
        for letter in text.findall(SVG + "tspan"):
            if letter.get("x") is None or " " in letter.get("x"):
                last = None
                continue
            x, y = float(letter.get("x")), float(letter.get("y", 0))
            if last and x > last[0]:  # not under a fraction's bar
                letter.attrib.pop("x")
                letter.attrib.pop("y", None)
                if y != last[1]:
                    letter.set("dy", f"{y - last[1]:.2f}".rstrip("0").rstrip("."))
            last = (x, y)
    common = sizes.most_common(1)[0][0] if sizes else None
    for text in root.iter(SVG + "text"):
        if common and f"--s:{common}" in text.get("style", ""):
            rest = ";".join(d for d in text.get("style").split(";") if d != f"--s:{common}")
            text.attrib.pop("style")
            if rest:
                text.set("style", rest)
    width, height = (float(v) for v in root.get("viewBox").split()[2:])
    unit = 4 / 3 if (root.get("width") or "").endswith("pt") else 1
    for key in list(root.attrib):
        if key not in ("viewBox",):
            root.attrib.pop(key)
    root.set("class", "drawn")
    root.set("width", f"{width * unit:.0f}")
    root.set("height", f"{height * unit:.0f}")
    if common:
        root.set("style", f"--s:{common}")
    if label:
        root.set("role", "img")
        root.set("aria-label", " ".join(label.split()))
    else:
        root.set("aria-hidden", "true")
    etree.cleanup_namespaces(root)
    text = etree.tostring(root, encoding="unicode")
    return re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)


# --- the page ---------------------------------------------------------------------------------------------------
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
    everything += "".join(r.astext() for r in doctree.findall(nodes.raw) if 'class="drawn"' in r.astext())
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
