"""Marks of a figure in few elements and few letters: a browser styles each element, a reader loads each letter.

Matplotlib writes a scatter plot as one element a dot, each with its style and its clip. Here every `<use>` becomes the
path that it shows; neighbors of one style become one path where nobody can tell (opaque, one color), else they share a
group that holds the style; paths are written with relative coordinates. What is drawn, and in which order, stays.
"""

import re

SVG = "{http://www.w3.org/2000/svg}"
PATH, USE, GROUP, DEFS, CIRCLE = (SVG + name for name in ("path", "use", "g", "defs", "circle"))
TOKEN = re.compile(r"[A-Za-z]|-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?")
COUNT = {"M": 2, "L": 2, "Q": 4, "C": 6, "Z": 0}
POINTER = re.compile(r"#([\w-]+)")
OPACITY = {"opacity", "fill-opacity", "stroke-opacity"}
UNIT = 100  # coordinates are written to a hundredth


def parse(d):
    """A path as commands with absolute coordinates, in hundredths; None if it holds others than matplotlib writes."""
    parts, tokens, at = [], TOKEN.findall(d), 0
    while at < len(tokens):
        letter = tokens[at]
        if letter not in "MLQCzZ":
            return None
        count = COUNT[letter.upper()]
        numbers = tokens[at + 1 : at + 1 + count]
        if len(numbers) < count or any(number.isalpha() for number in numbers):
            return None
        parts.append((letter.upper(), [round(float(number) * UNIT) for number in numbers]))
        at += 1 + count
    return parts


def moved(parts, dx, dy):
    return [(letter, [n + (dy if i % 2 else dx) for i, n in enumerate(numbers)]) for letter, numbers in parts]


def circle(parts):
    """Center and radius of a path that is a circle of matplotlib's (eight arcs), else None."""
    if "".join(letter for letter, _ in parts).removesuffix("Z") != "MCCCCCCCC":
        return None
    ends = [numbers[-2:] for _, numbers in parts[1:9]]
    x, y = (sum(end[axis] for end in ends) / 8 for axis in (0, 1))
    radii = [((end[0] - x) ** 2 + (end[1] - y) ** 2) ** 0.5 for end in ends]
    r = sum(radii) / 8
    return (round(x), round(y), round(r)) if max(abs(radius - r) for radius in radii) < 3 else None


def number(n):
    """Hundredths as text, without what SVG does not ask for."""
    text = f"{n / UNIT:.2f}".rstrip("0").rstrip(".")
    return {"-0": "0"}.get(text, text).replace("0.", ".", 1) if abs(n) < UNIT else text


def joined(numbers):
    """Numbers with a space only where they would run into each other."""
    text, fraction = "", False
    for item in map(number, numbers):
        glued = not text or item.startswith("-") or (item.startswith(".") and fraction)
        text += item if glued else " " + item
        fraction = "." in item
    return text


class Writer:
    """Writes subpaths with relative coordinates."""

    def __init__(self):
        self.text, self.last, self.here, self.start = "", "", (0, 0), (0, 0)

    def say(self, letter, numbers):
        implied = letter == self.last or (letter == "l" and self.last == "m")
        said = joined(numbers)
        self.text += said if implied and said.startswith("-") else (" " + said if implied else letter + said)
        self.last = letter

    def go(self, letter, numbers):
        x, y = self.here
        relative = [n - (y if i % 2 else x) for i, n in enumerate(numbers)]
        if letter == "M" and not self.text:
            self.text = self.last = "M" + joined(numbers)
        elif letter == "Z":
            self.text += "z"
            self.last, self.here = "", self.start
            return
        elif letter == "L" and 0 in relative:
            self.say("h" if relative[1] == 0 else "v", [relative[0] or relative[1]])
        else:
            self.say(letter.lower(), relative)
        self.here = tuple(numbers[-2:])
        if letter == "M":
            self.start = self.here

    def ring(self, x, y, r):
        """A circle; each ends where it began, so that the way to the next is short."""
        self.go("M", [x - r, y])
        arc = number(r)
        self.text += f"a{arc} {arc} 0 1 1 {number(2 * r)} 0 {arc} {arc} 0 1 1{number(-2 * r)} 0"
        self.last = "a"


def written(shapes):
    """The `d` of one path for all shapes."""
    writer = Writer()
    for parts in shapes:
        if ring := circle(parts):
            writer.ring(*ring)
        else:
            for letter, numbers in parts:
                writer.go(letter, numbers)
    return writer.text


def declared(element):
    pairs = (part.split(":", 1) for part in element.get("style", "").split(";") if ":" in part)
    style = {key.strip(): value.strip() for key, value in pairs}
    for paint in ("fill", "stroke"):
        if style.get(f"{paint}-opacity") == "0":
            style.pop(f"{paint}-opacity")
            style[paint] = "none"
    if style.get("stroke") == "none":
        style = {key: value for key, value in style.items() if not key.startswith("stroke")}
    return style


def merges(style):
    """Whether many marks of this style, drawn as one path, look as if drawn one after the other."""
    paints = {style.get("fill", "#000000"), style.get("stroke", "none")} - {"none"}
    return len(paints) <= 1 and not OPACITY & style.keys()


class Mark:
    """A path of the picture: its shape, and all that it shares with its neighbors."""

    def __init__(self, element, shape, style, kind):
        self.element, self.shape, self.kind = element, shape, kind
        if all(letter in "ML" for letter, _ in shape) and len(shape) <= 2:  # a line has nothing to fill
            style["fill"] = "none"
        self.style = style
        self.clip = element.get("clip-path")

    @property
    def key(self):
        fills = self.style.get("fill") != "none"
        return self.clip, tuple(sorted(self.style.items())), self.kind if fills else ""


def marks_of(root):
    """The marks of a picture; what a `<use>` shows counts as the path itself."""
    targets = {path.get("id"): path for path in root.iter(PATH) if path.get("id")}
    found = {}
    for element in root.iter(PATH, USE):
        known = set(element.attrib) <= {"d", "style", "clip-path", "x", "y", "href"}
        if element.tag == PATH and known:
            if shape := parse(element.get("d", "")):
                kind = "circle" if circle(shape) else element  # only circles are known to turn the same way
                found[element] = Mark(element, shape, declared(element), kind)
        elif known and (target := targets.get((element.get("href") or "")[1:])) is not None:
            shape = parse(target.get("d", ""))
            if shape and set(target.attrib) <= {"d", "style", "id"}:
                x, y = (round(float(element.get(key, 0)) * UNIT) for key in ("x", "y"))
                kind = "circle" if circle(shape) else target.get("id")
                found[element] = Mark(element, moved(shape, x, y), declared(element) | declared(target), kind)
    return found


def dress(element, clip, style):
    for key, value in (("clip-path", clip), ("style", ";".join(f"{name}:{value}" for name, value in style.items()))):
        if value:
            element.set(key, value)
    return element


def drawn_bare(mark):
    """A mark without its style, for a group that has it."""
    make = mark.element.makeelement
    if ring := circle(mark.shape):
        return make(CIRCLE, dict(zip(("cx", "cy", "r"), map(number, ring), strict=True)))
    return make(PATH, {"d": written([mark.shape])})


def put(run):
    """Put what replaces a run of neighbors of one style in their place."""
    first = run[0].element
    parent, make = first.getparent(), first.makeelement
    if len(run) == 1 or merges(run[0].style):
        new = dress(make(PATH, {"d": written([mark.shape for mark in run])}), run[0].clip, run[0].style)
    else:
        new = dress(make(GROUP, {}), run[0].clip, run[0].style)
        new.extend([drawn_bare(mark) for mark in run])
    parent.replace(first, new)
    for mark in run[1:]:
        parent.remove(mark.element)


def hand_down_clips(root):
    """Let the only child of a group have the group's clip, so that neighbors of one style stand side by side."""
    for group in list(root.iter(GROUP)):
        only = group[0] if len(group) == 1 and set(group.attrib) == {"clip-path"} else None
        if only is not None and not {"clip-path", "transform"} & set(only.attrib):
            only.set("clip-path", group.get("clip-path"))  # a transform would move the clip too
            group.getparent().replace(group, only)


def drop_unused(root):
    """Leave out definitions that nothing points at; those that are left stand in front."""
    text = [value for element in root.iter() for value in element.attrib.values() if "#" in value]
    used = {name for value in text for name in POINTER.findall(value)}
    kept = [item for defs in root.iter(DEFS) for item in defs if item.get("id") in used]
    for defs in list(root.iter(DEFS)):
        defs.getparent().remove(defs)
    if kept:
        front = root.makeelement(DEFS, {})
        front.extend(kept)
        root.insert(0, front)


def compact(root):
    """Fewer elements and letters for the same picture."""
    hand_down_clips(root)
    marks = marks_of(root)
    inside = {element for defs in root.iter(DEFS) for element in defs.iter()}
    runs = []
    for parent in [root, *root.iter(GROUP)]:
        before = None
        for child in parent:
            mark = marks.get(child) if child not in inside else None
            if mark and before and mark.key == before.key:
                runs[-1].append(mark)
            elif mark:
                runs.append([mark])
            if child.tag != DEFS:
                before = mark
    for run in runs:
        put(run)
    drop_unused(root)
