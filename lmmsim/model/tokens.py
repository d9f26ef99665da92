"""Tokens: the words and signs of a formula, and what may stand beside what.

Inside the parentheses of a function stands Python, which is left alone; everywhere else stand terms.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

PATTERN = re.compile(
    r"""(?P<quoted>Q\(\s*(?:'[^']*'|"[^"]*")\s*\)|`[^`]+`)|(?P<name>[^\W\d]\w*)|(?P<text>'[^']*'|"[^"]*")
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<sign>%in%|\*\*|\|\||==|!=|<=|>=|//|[-+*/:^|~()\[\]{},.=<>&%@])|(?P<space>\s+)|(?P<other>.)""",
    re.VERBOSE,
)
BETWEEN = ("+", "-", "*", "/", ":", "**", "^", "%in%")  # what may stand between two terms
PAIRS = {")": "(", "]": "[", "}": "{"}
OPERANDS = ("name", "quoted", "number", "text")
PYTHON = ("abs", "round", "pow", "min", "max", "sum", "len", "float", "int", "bool", "str")
# Names that a formula may call, or take functions from: formulaic's own, which need not be imported to know them.
# fmt: off
FUNCTIONS = frozenset([
    "C", "Diff", "Helmert", "I", "Poly", "Q", "Sum", "Treatment", "bs", "cc", "center", "contr", "cr", "cs", "exp",
    "exp10", "exp2", "hashed", "lag", "log", "log10", "log2", "np", "poly", "scale", "standardize", *PYTHON,
])
# fmt: on
# What people who come from R write, and what it is here.
ELSEWHERE = {
    "as.factor": "C(x)",
    "factor": "C(x)",
    "as.character": "C(x)",
    "relevel": "C(x, contr.treatment(base='a'))",
    "ifelse": "np.where(condition, a, b)",
    "interaction": "a:b",
    "ns": "cr(x, df=3, constraints='center')",
    "s": "bs(x, df=4)",
    "as.numeric": "data.astype({'x': float}) before, and x here",
    "as.integer": "data.astype({'x': int}) before, and x here",
    "offset": "the response with the offset subtracted, computed in the data first",
}


@dataclass(frozen=True)
class Token:
    """One word or sign.

    Attributes
    ----------
    kind : str
        "name", "quoted" (in backticks, or Q('...')), "number", "text", "sign" or "other".
    text : str
        As it was written.
    start, end : int
        Where it stands.
    depth : int
        How many parentheses are open around it.
    code : bool
        Whether it is inside a function, where Python stands.
    role : str
        Of a name: "column", "function", "attribute", "argument" or "keyword".
    """

    kind: str
    text: str
    start: int
    end: int
    depth: int = 0
    code: bool = False
    role: str = ""

    @property
    def is_column(self) -> bool:
        """Whether it names a column, or may."""
        return self.role == "column"

    @property
    def value(self) -> str:
        """The name without what quotes it."""
        return re.sub(r"^Q\(\s*['\"]|['\"]\s*\)$|^`|`$", "", self.text) if self.kind == "quoted" else self.text

    @property
    def is_plain(self) -> bool:
        """Whether formulaic and Python read it as the name of a column, without backticks if it has some."""
        if self.kind != "name" and not self.text.startswith("`"):
            return False
        name = self.value
        return name.isidentifier() and name.isascii() and not keyword.iskeyword(name) and name not in FUNCTIONS


def fail(formula: str, position: int, problem: str) -> NoReturn:
    """Refuse a formula, with a caret under the place."""
    line = re.sub(r"\s", " ", formula)  # a formula may be written on several lines; the caret needs one
    raise ValueError(f"{problem}\n    {line}\n    {' ' * position}^")


def tokens(formula: str) -> Iterator[Token]:
    """Cut a formula into tokens, each with the parentheses around it; refuse what does not open or close."""
    found = [match for match in PATTERN.finditer(formula) if match.lastgroup != "space"]
    opened: list[tuple[Token, bool]] = []  # the parentheses around, and whether Python stands inside them
    for i, match in enumerate(found):
        kind, text = str(match.lastgroup), match[0]
        if kind == "other":
            never = "is never closed" if text in "`'\"" else "has no meaning in a formula"
            fail(formula, match.start(), f"{text} {never}")
        code = bool(opened) and opened[-1][1]
        depth = len(opened) - (text in PAIRS)
        token = Token(kind, text, match.start(), match.end(), depth, code, _role(found, i, code))
        if text in PAIRS:
            if not opened or opened[-1][0].text != PAIRS[text]:
                fail(formula, token.start, "this parenthesis was never opened")
            opened.pop()
        elif text in PAIRS.values():
            called = i > 0 and found[i - 1].lastgroup == "name"
            opened.append((token, code or called or text != "("))
        yield token
    if opened:
        fail(formula, opened[-1][0].start, "this parenthesis is never closed")


def _role(found: Sequence[re.Match[str]], i: int, code: bool) -> str:
    """What a name is: a column, a function, an attribute, an argument, or a word of Python."""
    if found[i].lastgroup == "quoted":
        return "column"
    if found[i].lastgroup != "name":
        return ""
    name, before, after = found[i][0], found[i - 1][0] if i else "", found[i + 1][0] if i + 1 < len(found) else ""
    if after == "(" and not (code and keyword.iskeyword(name)):
        return "function"
    if before == ".":
        return "attribute"
    if code and after == "=" and before in ("(", ","):
        return "argument"
    if name in FUNCTIONS and (after == "." or (code and before == ",")):
        return "function"  # np of np.log, Sum of C(f, Sum)
    if code and keyword.iskeyword(name):
        touches = [found[j].lastgroup in OPERANDS for j in (i - 1, i + 1) if 0 <= j < len(found)]
        if name in ("True", "False", "None") or after == "(" or any(touches):
            return "keyword"  # the lambda of np.log(lambda) is a column, that of `lambda v: v` is not
    return "column"


def check_terms(formula: str, terms: Sequence[Token], response: str = "") -> None:
    """Refuse what cannot stand as terms, at the place where it stands."""
    for i, token in enumerate(terms):
        before = terms[i - 1] if i else None
        if token.kind == "name" or token.text == ".":
            _check_name(formula, terms, i)
        if token.role == "keyword" and token.text in ("lambda", "for"):
            fail(formula, token.start, "a formula defines no functions; compute the column in the data first")
        if token.code:
            continue
        if token.is_column and token.value == response:
            fail(formula, token.start, f"'{response}' stands on both sides of '~'")
        is_method = before is not None and before.text == "."
        if token.role == "function" and not is_method and i + 1 < len(terms) and terms[i + 1].text == "(":
            _check_call(formula, terms, i)
        if token.text in BETWEEN:
            _check_operator(formula, terms, i)
        elif token.kind in OPERANDS or token.text == "(":
            _check_operand(formula, terms, i)
        elif token.text not in (*PAIRS, *PAIRS.values(), "."):
            fail(formula, token.start, f"'{token.text}' has no meaning between terms")
        if before and before.text in ("**", "^") and terms[i - 2].is_column:
            base = terms[i - 2].text
            fail(
                formula,
                terms[i - 2].start,
                f"{base}{before.text}{token.text} as a term is {base} alone; its power is I({base} ** {token.text})",
            )


def _check_operator(formula: str, terms: Sequence[Token], i: int) -> None:
    """Refuse an operator without a term on each side; a sign needs one on its right only."""
    token, before = terms[i], terms[i - 1].text if i else "("
    after = terms[i + 1].text if i + 1 < len(terms) else ")"
    if after == ")" or (before in ("(", *BETWEEN) and token.text not in ("+", "-")):
        fail(formula, token.end if after == ")" else token.start, "a term is missing here")


def _check_call(formula: str, terms: Sequence[Token], i: int) -> None:
    """Refuse a function of no column, such as C(True)."""
    end = next(j for j in range(i, len(terms)) if terms[j].text == ")" and terms[j].depth == terms[i].depth)
    inside = terms[i + 1 : end + 1]
    if any(token.is_column for token in inside):
        return
    word = next((token.text for token in inside if token.role == "keyword"), None)
    way = f"; '{word}' is a word of Python, and a column of that name stands in backticks" if word else ""
    fail(formula, terms[i].start, f"this function is of no column, so it is the same in every row{way}")


def _check_operand(formula: str, terms: Sequence[Token], i: int) -> None:
    """Refuse what is no term, and two terms with nothing between them."""
    token, before = terms[i], terms[i - 1] if i else None
    if token.kind == "text":
        fail(formula, token.start, "a text is no term; a column stands without quotes, or in backticks")
    power = before is not None and before.text in ("**", "^")
    if before and before.kind == "name" and before.end == token.start and token.text.startswith("."):
        whole = re.match(r"[\w.]+", formula[before.start :])
        fail(formula, before.start, f"a name with a dot in it stands in backticks: `{whole[0] if whole else ''}`")
    if token.kind == "number" and token.text not in ("0", "1") and not power:
        fail(formula, token.start, "a number other than 0 and 1 is no term; numbers multiply inside I(), as I(3 * x)")
    called = token.text == "(" and before is not None and before.kind == "name"
    if before and not called and (before.kind in OPERANDS or before.text in PAIRS):
        name = f"`{before.text} {token.text}`" if before.kind == token.kind == "name" else ""
        way = f"; a name with a space in it stands in backticks: {name}" if name else ""
        fail(formula, token.start, f"an operator is missing between '{before.text}' and '{token.text}'{way}")


def _check_name(formula: str, terms: Sequence[Token], i: int) -> None:
    """Refuse a function that is not known, and a name with a dot that is not in backticks."""
    token = terms[i]
    if token.text == "." and not token.code and i and terms[i - 1].text == ")":
        fail(formula, token.start, "one call after the other stands inside I(), as I(x.clip(0).round())")
    if (
        token.text == "."
        and not token.code
        and (i == 0 or (terms[i - 1].kind == "sign" and terms[i - 1].text not in PAIRS))
    ):
        fail(formula, token.start, "'.' does not stand for all columns here; name those that you mean")
    if token.kind != "name" or (i and terms[i - 1].text == "."):
        return
    last = i
    while last + 2 < len(terms) and terms[last + 1].text == "." and terms[last + 2].kind == "name":
        last += 2
    whole = "".join(one.text for one in terms[i : last + 1])
    called = last + 1 < len(terms) and terms[last + 1].text == "("
    if token.text in FUNCTIONS:
        return
    if called and whole in ELSEWHERE:
        fail(formula, token.start, f"'{whole}' of R is not known here; write {ELSEWHERE[whole]}")
    if called and last == i and token.role == "function":
        way = f"NumPy's stands as np.{whole}" if hasattr(np, whole) else "compute the column in the data first"
        fail(formula, token.start, f"the function '{whole}' is not known here; {way}")
    if last > i and not token.code and not called:
        fail(formula, token.start, f"a name with a dot in it stands in backticks: `{whole}`")
