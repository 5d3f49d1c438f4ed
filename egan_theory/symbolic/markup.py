"""MathML of a formula in LaTeX, as browsers draw it: MathML Core, text escaped, nothing of LaTeX left over.

latex2mathml makes the elements; what follows here is what it leaves open or what browsers do not know: ``aligned``,
``mathrm``, delimiters of a stated size, accents, signs of one argument and the spaces around names of functions.
"""

from __future__ import annotations

import html
import re
from functools import cache
from xml.etree.ElementTree import Element, tostring

#: what latex2mathml does not know or makes italic, as something that it does; a tag is printed by who numbers
_REPLACED = (
    (re.compile(r"\\(begin|end)\{aligned\}"), r"\\\1{align*}"),
    (re.compile(r"\\mathrm\{([A-Za-z]+)\}"), r"\\operatorname{\1}"),
    (re.compile(r"\\tag\{[^}]*\}"), ""),
)
_SIGNS, _BARS, _CLOSING = frozenset("+-±\N{MINUS SIGN}"), frozenset("|\N{DOUBLE VERTICAL LINE}"), frozenset(")]}!")
_PLAIN = frozenset("∂∇∞…⋯ΓΔΘΛΞΠΣΥΦΨΩ")  # upright, without spaces
_RENAMED = {"*": "\N{ASTERISK OPERATOR}", "~": "\N{TILDE OPERATOR}"}
_PRIMES = frozenset("′″‴⁗")
_SUMS = frozenset("∑∏")
_TALL = ("mfrac", "mtable", "munder", "munderover", "msqrt", "mroot")
_ACCENTS = {"¯": "¯", "^": "ˆ", "ˆ": "ˆ", "˙": "˙", "¨": "¨", "~": "˜"}
_LIMITS = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}
_SCRIPTED = (*_LIMITS, *_LIMITS.values())
_ARGUMENTS = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "msubsup": 3, "munder": 2, "mover": 2, "munderover": 3}
_MOVING = ("min", "max", "lim", "sup", "inf")
_THIN = "0.167em"
#: not in MathML Core (the columns' alignment is not either, but older browsers know it)
_NOT_CORE = ("columnspacing", "rowspacing", "linebreak")


@cache
def mathml(latex: str, display: bool = False) -> str:
    """The ``<math>`` element of a formula in LaTeX, for HTML; ``display``: on a line of its own.

    It takes the colour and the size of the text around it; ``alttext`` is the formula as given. Numbers of equations
    (``tag``) are left out.

    Returns:
        One line of HTML, everything in it escaped.

    Raises:
        ValueError: a command is not known, or braces or environments do not match.

    Source: none, it only draws what it is given.
    """
    from latex2mathml.converter import Converter

    source, shown = latex, " ".join(latex.split())
    if len(re.findall(r"(?<!\\){", latex)) != len(re.findall(r"(?<!\\)}", latex)):
        raise ValueError(f"braces do not match in the formula {shown}")
    for pattern, replacement in _REPLACED:
        source = pattern.sub(replacement, source)
    try:
        (row,) = Converter(display="block" if display else "inline").convert_to_element(source)
    except Exception as error:  # its errors have no common class and seldom a message
        raise ValueError(f"not a formula in LaTeX ({type(error).__name__}): {shown}") from error
    for element in [*row.iter()]:
        _translate(element, shown)
    row = _flat(row)
    for element in [*row.iter()]:
        if element.tag in ("mrow", "mtd"):
            _arrange(element)
    math = Element("math", {"display": "block" if display else "inline", "alttext": latex})
    math.extend(row if row.tag == "mrow" else [row])
    return tostring(math, encoding="unicode", short_empty_elements=False)


def _translate(element: Element, latex: str) -> None:
    """One element's own text and attributes."""
    text = html.unescape(element.text or "")
    if element.tag == "mo":
        text = text.removeprefix("\\") or text
    if len(element) != _ARGUMENTS.get(element.tag, len(element)):
        raise ValueError(f"a command lacks an argument in the formula {latex}")
    if text.startswith("\\") or (text == "&" and element.tag == "mi"):
        raise ValueError(f"no symbol is known for {text} in the formula {latex}")
    element.text = _RENAMED.get(text, text)
    if text in _PLAIN or (element.tag == "mo" and text.isalpha() and text.isascii()):
        element.tag, element.attrib = "mi", {}  # names of functions, and all that stands upright
        if len(text) == 1:
            element.set("mathvariant", "normal")
    elif text == "~":
        element.tag = "mo"
    elif text == "/":
        element.attrib.update(lspace="0", rspace="0")
    elif element.tag == "mover" and (mark := html.unescape(element[1].text or "")) in _ACCENTS:
        # not marked as accents: browsers would set those too low, into small letters and into each other
        element.attrib, element[1].attrib = {}, {"stretchy": "false", "scriptlevel": "0"}
        element[1].text = _ACCENTS[mark]
    elif element.tag == "mtable" and element.get("displaystyle") == "true":  # aligned: pairs of columns that touch
        for i, cell in ((i, cell) for line in element for i, cell in enumerate(line)):
            cell.set("style", f"padding-inline:{'2em' if i and not i % 2 else '0'} 0;")
    elif element.tag == "mtd" and (side := element.get("columnalign", "center")) != "center":
        # Chromium heeds only the second in a formula
        element.set("style", element.get("style", "") + f"text-align:{side};text-align:-webkit-{side}")
    elif element.tag in ("msup", "msubsup") and html.unescape(element[-1].text or "") in _PRIMES:
        _after(element)
    elif element.tag in _LIMITS and html.unescape(element[0].text or "") in _SUMS:
        element.tag = _LIMITS[element.tag]  # beside the sum where the formula is not on a line of its own
    for name in _NOT_CORE:
        element.attrib.pop(name, None)


def _after(scripted: Element) -> None:
    """A prime behind a thing with its index in place of one as an exponent, which browsers would raise twice."""
    *base, prime = list(scripted)
    prime.tag, prime.attrib = "mo", {"form": "postfix", "lspace": "0", "rspace": "0"}
    if len(base) == 2:
        sub = Element("msub")
        sub.extend(base)
        base = [sub]
    elif base[0].tag == "msubsup" and html.unescape(base[0][-1].text or "") == "′" == html.unescape(prime.text or ""):
        sub = Element("msub")  # f_1'', of which two exponents were made
        sub.extend(base[0][:2])
        base, prime.text = [sub], "″"
    for child in list(scripted):
        scripted.remove(child)
    scripted.tag = "mrow"
    scripted.extend([*base, prime])


def _flat(element: Element) -> Element:
    """The element without rows of a single thing."""
    for i, child in enumerate(element):
        element[i] = _flat(child)
    if element.tag == "mrow" and len(element) == 1 and not element.attrib:
        return element[0]
    return element


def _core(element: Element) -> Element:
    """What an element's indices and accents hang on."""
    while element.tag in _SCRIPTED and len(element):
        element = element[0]
    return element


def _is_function(core: Element) -> bool:
    return core.tag == "mi" and len(core.text or "") > 1


def _arrange(row: Element) -> None:
    """Bars, signs and spaces of a row; limits below names such as min."""
    children, opened, before = list(row), False, None
    for child in children:
        core = _core(child)
        text = core.text or ""
        if core.tag == "mo" and text in _BARS and core.get("fence") is None:
            core.attrib = {"form": "postfix" if opened else "prefix", "fence": "true", "stretchy": "false"}
            core.attrib |= {"lspace": "0", "rspace": "0"}
            opened = not opened
        elif core.get("stretchy") == "true" and not any(part.tag in _TALL for part in row.iter()):
            core.set("stretchy", "false")  # what need not be larger is not given the wider shape of what is
        elif core.tag == "mo" and text in _SIGNS:
            core.set("form", "prefix" if _awaits(before) else "infix")
        if child.tag != "mspace":
            before = core
    for i, child in enumerate(children):
        core = _core(child)
        if not _is_function(core):
            continue
        if child.tag in _LIMITS and core.text in _MOVING and child[0] is core:
            child.tag = _LIMITS[child.tag]
            core.tag, core.attrib = "mo", {"movablelimits": "true", "lspace": "0", "rspace": "0"}
        if i and _is_operand(children[i - 1], end=True):
            row.insert(list(row).index(child), Element("mspace", width=_THIN))
        if i + 1 < len(children) and _is_operand(children[i + 1], end=False):
            row.insert(list(row).index(child) + 1, Element("mspace", width=_THIN))


def _awaits(before: Element | None) -> bool:
    """Whether a sign after this is one of a single argument: at the start, after an operator or an opening bracket."""
    if before is None:
        return True
    closes = (before.text or "") in _CLOSING or before.get("form") == "postfix"
    return before.tag == "mo" and not closes


def _is_operand(neighbour: Element, end: bool) -> bool:
    """Whether a name of a function keeps a thin space from this neighbour, of which it meets the ``end`` or the start.

    Not from operators, brackets that open before it or for its argument, and spaces.
    """
    core = _core(neighbour)
    while core.tag == "mrow" and len(core):
        core = _core(core[-1 if end else 0])
    text = core.text or ""
    if core.tag == "mo":
        is_bar = text in _BARS and core.get("form") == ("postfix" if end else "prefix")
        return is_bar or (end and text in _CLOSING)
    return core.tag != "mspace" and not (end and _is_function(core))  # a name before it has put the space
