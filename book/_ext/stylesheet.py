"""One style sheet out of the theme's and ours: only the rules that some page can match, without comments and spaces.

A selector is kept when every class, id and element in it occurs on some page or among the names that scripts add.
Negations and states (`:hover`) are taken as fulfilled, so a rule is rather kept than lost.
"""

import re

import tinycss2

ICON_FONT = re.compile(r"fontawesome|Font ?Awesome", re.IGNORECASE)  # icons are drawn by book.css
GROUPS = ("media", "supports", "container", "layer")
ALWAYS_READ = {"--s", "--i"}  # custom properties that pages set in their elements


def vocabulary(pages, added):
    """Elements, classes and ids of all pages, and the classes that scripts add."""
    found = {f".{name}" for name in added}
    for text in pages:
        found.update(tag.lower() for tag in re.findall(r"<([a-zA-Z][\w-]*)", text))
        for names in re.findall(r'\bclass="([^"]*)"', text):
            found.update(f".{name}" for name in names.split())
        found.update(f"#{name}" for name in re.findall(r'\bid="([^"]*)"', text))
    return found


def can_match(selector, words):
    """Whether the names in a selector all occur."""
    plain = re.sub(r":(?:not|is|where|has)\((?:[^()]|\([^()]*\))*\)", "", selector)
    plain = re.sub(r"\[[^\]]*\]|::?[\w-]+(?:\((?:[^()]|\([^()]*\))*\))?", "", plain)
    names = (name.replace("\\", "") for name in re.findall(r"[#.]?(?:\\.|[\w-])+", plain))
    return all(name in words or (name[0] not in "#." and name.lower() in words) for name in names)


def selectors(prelude):
    """The parts of a list of selectors; commas inside of `:is()` don't separate."""
    parts, depth = [""], 0
    for letter in prelude:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [re.sub(r"\s+", " ", part).strip() for part in parts]


def squeeze(body):
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"\s*([:;{}])\s+", r"\1", body)).strip().rstrip(";")


def purge(rules, words):
    """The rules that can match, as text."""
    kept = []
    for rule in rules:
        if rule.type == "qualified-rule":
            body = tinycss2.serialize(rule.content).strip()
            parts = [s for s in selectors(tinycss2.serialize(rule.prelude)) if can_match(s, words)]
            if parts and body and (":root" in parts[0] or not ICON_FONT.search(body)):
                kept.append(",".join(parts) + "{" + squeeze(body) + "}")
        elif rule.type == "at-rule" and rule.content is not None:
            name, prelude = rule.lower_at_keyword, tinycss2.serialize(rule.prelude).strip()
            body = tinycss2.serialize(rule.content)
            if name in GROUPS:
                body = "".join(purge(tinycss2.parse_rule_list(rule.content, True, True), words))
            elif ICON_FONT.search(body):
                body = ""
            if body:
                kept.append(f"@{name} {prelude}{{{squeeze(body)}}}")
    return kept


def without_unread_variables(css):
    """Leave out custom properties that nothing reads (the theme defines hundreds), and rules left empty by that."""
    before = None
    while css != before:
        before, read = css, set(re.findall(r"var\(\s*(--[\w-]+)", css)) | ALWAYS_READ
        for name in set(re.findall(r"(?<=[{;])(--[\w-]+):", css)) - read:
            css = re.sub(rf"(?<=[{{;]){name}:[^;{{}}]*(?:;|(?=\}}))", "", css)
        css = re.sub(r"[^{};]+\{\}", "", css)
    return css


def merged(sheets, words):
    """All style sheets as one."""
    kept = []
    for text in sheets:
        kept += purge(tinycss2.parse_stylesheet(text.replace('@charset "UTF-8";', ""), True, True), words)
    return without_unread_variables("".join(kept))
