"""MathML of every formula of the theory: it says what the LaTeX says, and browsers can draw it."""

import re
import unicodedata
from collections import Counter
from xml.etree import ElementTree

import pytest

from egan_theory.symbolic import derive
from egan_theory.symbolic.markup import mathml

DERIVATION = derive()
DISPLAYED = [equation.latex for equation in DERIVATION.equations.values()]
INLINE = re.findall(r"(?<!\$)\$([^$]+)\$(?!\$)", DERIVATION.to_markdown())

#: what a command prints, where its name does not say it
PRINTED = {
    r"\ell": "l", r"\partial": "∂", r"\nabla": "∇", r"\infty": "∞", r"\top": "⊤", r"\sum": "∑", r"\int": "∫",
    r"\to": "→",
    r"\le": "≤", r"\ne": "≠", r"\in": "∈", r"\ll": "≪", r"\gg": "≫", r"\pm": "±", r"\sim": "∼", r"\propto": "∝",
    r"\cdot": "·", r"\otimes": "⊗", r"\dots": "…", r"\lvert": "|", r"\rvert": "|", r"\lVert": "‖", r"\rVert": "‖",
    r"\{": "{", r"\}": "}", r"\bar": "¯", r"\dot": "˙", r"\ddot": "¨", r"\hat": "ˆ",
}  # fmt: skip
UNPRINTED = {rf"\{name}" for name in ("frac sqrt left right Big qquad quad mathrm mathcal text , \\").split()}
FUNCTIONS = {rf"\{name}" for name in "min max cos sin log exp arccos arcsin".split()}
SAME = {"-": "−", "*": "∗", "⋅": "·", "ς": "σ", "′": "'", "″": "''", "‴": "'''"}


def normal(characters):
    """Letters without their alphabet, one sign for what is drawn alike, no spaces."""
    out = "".join(SAME.get(c, unicodedata.normalize("NFKC", c) if c.isalnum() else c) for c in characters)
    return Counter("".join(out.split()))


def said_by_latex(latex):
    """Everything that a formula in LaTeX prints, in any order."""
    printed = []
    latex = re.sub(
        r"\\(begin|end)\{\w+\}|(?<!\\)&", "", latex.replace(r"\begin{pmatrix}", "(").replace(r"\end{pmatrix}", ")")
    )
    for token in re.findall(r"\\[A-Za-z]+|\\.|.", latex, re.S):
        if token in FUNCTIONS:
            printed.append(token[1:])
        elif token in PRINTED:
            printed.append(PRINTED[token])
        elif token[0] == "\\" and token not in UNPRINTED:
            name = token[1:].removeprefix("var")
            size = "CAPITAL" if name[0].isupper() else "SMALL"
            printed.append(unicodedata.lookup(f"GREEK {size} LETTER {name.upper().replace('LAMBDA', 'LAMDA')}"))
        elif token[0] != "\\" and token not in "{}_^":
            printed.append(token)
    return normal("".join(printed))


def said_by(markup):
    return normal("".join(ElementTree.fromstring(markup).itertext()))


def test_the_formulas_are_there():
    assert len(DISPLAYED) > 100 and len(INLINE) > 700


def test_mathml_says_what_the_latex_says():
    wrong = [latex for latex in {*DISPLAYED, *INLINE} if said_by(mathml(latex)) != said_by_latex(latex)]
    assert wrong == []


def test_a_term_that_is_dropped_is_seen():
    for latex in DISPLAYED:
        assert said_by(mathml(latex)) != said_by_latex(latex + "+ x") and said_by(
            mathml(latex + "- 2")
        ) != said_by_latex(latex)


CORE = set(
    "math mrow mi mn mo mtext mspace mfrac msqrt msub msup msubsup mover munder munderover mtable mtr mtd".split()
)


def test_browsers_know_all_of_it_and_nothing_of_latex_is_left():
    for latex in {*DISPLAYED, *INLINE}:
        math = ElementTree.fromstring(mathml(latex, display=latex in DISPLAYED))
        assert math.get("alttext") == latex
        assert math.get("display") == ("block" if latex in DISPLAYED else "inline")
        for element in math.iter():
            assert element.tag in CORE, latex
            assert not set(element.text or "") & set("\\&;"), latex


def parts(latex, tag, display=False):
    return list(ElementTree.fromstring(mathml(latex, display)).iter(tag))


def test_text_is_escaped_wherever_it_stands():
    for text in ("<script>alert(1)</script>", "&lt;b&gt;", '"onload="x'):
        markup = mathml(rf"a < \text{{{text}}}")
        assert "<script" not in markup and "<b>" not in markup
        assert set(ElementTree.fromstring(markup).attrib) == {"display", "alttext"}


@pytest.mark.parametrize("bad", [r"\frobnicate x", r"\frac{a}", "x^{2", r"\left( x", "a & b", r"\begin{aligned} x"])
def test_what_is_no_formula_is_refused_in_one_line(bad):
    with pytest.raises(ValueError) as refused:
        mathml(bad)
    assert bad in str(refused.value) and "\n" not in str(refused.value)


def test_signs_of_one_argument_stand_close_to_it():
    for latex, forms in {
        "-a - b": ["prefix", "infix"],
        "(-a)(b) - c": ["prefix", "infix"],
        "x = -|a| - b": ["prefix", "infix"],
        r"f'(x) - f' - g": ["infix", "infix"],
        r"\begin{aligned} x & = - a \\ & - b \end{aligned}": ["prefix", "infix"],
    }.items():
        assert [o.get("form") for o in parts(latex, "mo") if o.text == "−"] == forms, latex


def test_bars_come_in_pairs():
    for latex in ("|a| + |b|^2", r"\lvert a \rvert \lVert b \rVert"):
        bars = [o.get("form") for o in parts(latex, "mo") if o.text in "|‖"]
        assert bars == ["prefix", "postfix"] * 2


def test_upright_and_italic_letters_as_latex_has_them():
    upright = {i.text for i in parts(r"\mathrm{E} \mathrm{d} x \Gamma \partial \eta", "mi") if i.get("mathvariant")}
    assert upright == {"E", "d", "Γ", "∂"}
    assert [i.text for i in parts(r"\mathrm{tr}(A) \phi \varphi \mathcal{K}", "mi")] == ["tr", "A", "ϕ", "φ", "𝒦"]


def test_lines_of_an_equation_meet_at_the_relation():
    styles = [cell.get("style") for cell in parts(r"\begin{aligned} P &= a \\ 0 &< b \end{aligned}", "mtd")]
    assert ["right" in style for style in styles] == [True, False] * 2
    assert all("padding-inline:0 0" in style for style in styles)


def test_limits_stand_below_what_they_belong_to():
    for latex in (r"a \sum_{i} x_i", r"a \min_i x", r"\left[ \sum_i x \right]"):
        assert len(parts(latex, "munder", True)) == 1


def test_brackets_grow_only_around_what_is_tall():
    assert {o.get("stretchy") for o in parts(r"\log{\left(s \right)}", "mo")} == {"false"}
    assert {o.get("stretchy") for o in parts(r"\left(\frac{a}{b} \right)", "mo")} == {"true"}


def test_primes_are_no_exponents_and_two_are_one_sign():
    assert [o.text for o in parts("f_1''(x)", "mo")] == ["″", "(", ")"]
    assert not parts(r"h'(x) + {\lambda'_*} + f_1''", "msup") + parts("f_1'", "msubsup")
    assert len(parts(r"{\lambda'_*}^2", "msup")) == 1
