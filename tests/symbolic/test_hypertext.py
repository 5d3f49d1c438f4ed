"""The theory as HTML: everything that theory.md holds, under the names and numbers of theory.md, and text escaped."""

import re
from collections import Counter
from xml.etree import ElementTree

import pytest

from egan_theory.show.theory import theory_page
from egan_theory.symbolic import Derivation, Equation, Step, Table, Text, derive, inline
from egan_theory.symbolic.widths import math_width, statements
from tests.browser import SCHEMES, WIDTHS, browser, findings, opened, overflow, shot

DERIVATION = derive()
MARKUP = DERIVATION.to_html()


def tree(markup):
    return ElementTree.fromstring(markup.replace("&nbsp;", "\N{NO-BREAK SPACE}").replace("<wbr>", ""))


PAGE = tree(MARKUP)


def of_class(name, under=PAGE):
    return [element for element in under.iter() if element.get("class") == name]


def test_every_equation_is_there_under_its_name_with_its_number_and_its_latex():
    found = of_class("equation")
    assert [e.get("id") for e in found] == [f"eq-{name}" for name in DERIVATION.equations]
    for element, equation in zip(found, DERIVATION.equations.values(), strict=True):
        (formula,), (number,) = of_class("formula", element), of_class("number", element)
        assert number.text == f"({equation.number})" and number.get("href") == f"#eq-{equation.name}"
        assert r" \qquad ".join(m.get("alttext") for m in formula) == " ".join(equation.latex.split()) or (
            [m.get("alttext") for m in formula] == [equation.latex]
        )
        assert {m.get("display") for m in formula} == {"block"}


def test_what_links_lead_to_is_there_once():
    names = Counter(element.get("id") for element in PAGE.iter() if element.get("id"))
    assert set(names.values()) == {1}
    links = [a for a in PAGE.iter("a") if a.get("class") != "number"]
    assert len(links) == DERIVATION.to_markdown().count("](#eq-") > 15
    numbers = {f"#eq-{name}": equation.number for name, equation in DERIVATION.equations.items()}
    assert all(a.text == f"Eq.\N{NO-BREAK SPACE}({numbers[a.get('href')]})" for a in links)


def test_sections_tables_and_lists_are_those_of_the_text():
    sections = list(PAGE.iter("section"))
    titles = [step.title for step in DERIVATION.steps]
    assert [s[0].text for s in sections] == [*titles, "Sources"]
    assert [s[0].get("id") for s in sections] == [*(step.anchor for step in DERIVATION.steps), "sec-sources"]
    assert [s[0].tag for s in sections] == [*(f"h{step.level}" for step in DERIVATION.steps), "h2"]
    assert all(s.get("aria-labelledby") == s[0].get("id") for s in sections)
    tables = [table for step in DERIVATION.steps for table in step.tables]
    for element, table in zip(PAGE.iter("table"), tables, strict=True):
        rows = [[cell.tag for cell in row] for row in element.find("tbody")]
        assert rows == [["th"] + ["td"] * (len(table.header) - 1)] * len(table.rows)
        assert {th.get("scope") for th in element.iter("th")} == {"row", "col"}
    sources = sections[-1].findall("ul/li")
    assert ["".join(li.itertext()) for li in sources] == list(DERIVATION.sources)


def test_no_markdown_and_no_latex_is_left_in_the_text():
    for element in PAGE.iter():
        if element.tag not in ("style", "code"):
            for text in (element.text, element.tail):
                assert not re.search(r"[$`\\]|\*\*|\]\(", text or ""), text


def test_headings_start_where_the_page_wants_them():
    inner = tree(DERIVATION.to_html(heading=2))
    assert [len(list(inner.iter(f"h{n}"))) for n in (1, 2, 3)] == [
        0,
        1,
        sum(s.level == 2 for s in DERIVATION.steps) + 1,
    ]
    assert "<h1" not in DERIVATION.to_html(title=False) and DERIVATION.to_html(title=False).count("<h2") > 20
    with pytest.raises(ValueError, match="heading must be 1 to 4, found 5"):
        DERIVATION.to_html(heading=5)


def test_text_is_escaped_everywhere():
    bad = '<script>alert("x")</script> & <b>'
    step = Step(bad, 2, (Text(bad), Text(f"- {bad}", bullets=True), Table((bad, bad), ((bad, f"`{bad}`"),))))
    markup = Derivation(bad, (step,), (bad,)).to_html()
    assert "<script" not in markup and "<b>" not in markup
    assert "".join(tree(markup).itertext()).count(bad) == 9


def test_a_formula_stays_with_what_touches_it():
    word = '<span class="word">'
    assert inline.to_html("where ($a$), $b$ and $c$.").count(word) == 2
    assert inline.to_html("of $a$ and $b$ alone") == inline.to_html("of $a$ and $b$ alone").replace(word, "")
    assert re.sub("<math.*?</math>", "M", inline.to_html("x $a$-$b$; y")) == f"x {word}M-M;</span> y"


def test_long_names_may_be_broken_and_words_are_bold():
    assert inline.to_html("**Bold $x$** `a_b.c`").startswith("<strong>Bold <math")
    assert inline.to_html("`a_b.c`") == "<code>a_<wbr>b.<wbr>c</code>"


def test_equations_side_by_side_are_told_apart_by_their_space_alone():
    assert statements(r"a = (b \qquad c), \qquad d = e") == [r"a = (b \qquad c),", "d = e"]
    aligned = "\\begin{aligned}\na & = b, \\qquad c = d \\\\\n& e\n\\end{aligned}"
    assert statements(aligned) == [aligned]


def test_widths_know_what_stands_above_what():
    assert math_width(r"\frac{a}{b + c}") == pytest.approx(math_width("b + c"), rel=0.2)
    assert math_width(r"x_{ab}^{c}") == pytest.approx(math_width("x_{ab}"))
    assert math_width(r"\begin{aligned} a &= b \\ &= c + d + e \end{aligned}") > math_width("a = c + d")
    assert math_width("a + b") + math_width("= c") == pytest.approx(math_width("a + b = c"))


def test_notebooks_show_formulas_and_terminals_one_line():
    assert DERIVATION._repr_html_() == MARKUP
    step = DERIVATION.steps[2]
    assert tree(step._repr_html_())[0].text == step.title
    equation = Equation("x", "a = b", 3)
    assert equation._repr_latex_() == "$$\na = b \\tag{3}\n$$"
    assert repr(DERIVATION) == f"Derivation({DERIVATION.title!r}: {len(DERIVATION.steps)} sections, 121 equations)"


# -- in a browser -----------------------------------------------------------------------------------------------------

#: formulas that do not fit, and whether the keyboard can scroll them; tables that do not fit
TOO_WIDE = """[...document.querySelectorAll('.formula, .table')].filter(e => e.scrollWidth > e.clientWidth + 1)
  .map(e => [e.getAttribute('aria-label'), e.tabIndex === 0, getComputedStyle(e).overflowX])"""
#: formulas that are cut above or below; up to 3 px they reach into the margin of their box
CUT = """[...document.querySelectorAll('.formula')].filter(e => e.scrollHeight > e.clientHeight + 3)
  .map(e => e.getAttribute('aria-label'))"""
COLOURS = "[...new Set([...document.querySelectorAll('math')].map(e => getComputedStyle(e).color))]"
#: equations of several lines: by how much the places differ where their left sides end
RAGGED = """[...document.querySelectorAll('math mtable')].map(table => [...table.children].map(row => row.children[0])
  .filter(cell => cell.style.textAlign.includes('right') && cell.children.length)
  .map(cell => cell.lastElementChild.getBoundingClientRect().right)).filter(ends => ends.length > 1)
  .map(ends => Math.max(...ends) - Math.min(...ends))"""
#: right edges of the numbers, and those of the formulas that reach into them
NUMBERS = """[...document.querySelectorAll('.equation')].map(e => [e.lastChild.getBoundingClientRect().right,
  e.firstChild.getBoundingClientRect().right - e.lastChild.getBoundingClientRect().left])"""


@pytest.mark.slow
def test_in_a_browser_nothing_overflows_and_numbers_stand_at_the_margin(tmp_path):
    page = tmp_path / "theory.html"
    page.write_text(theory_page(DERIVATION), encoding="utf-8")
    with browser() as started:
        for width in WIDTHS:
            for scheme in SCHEMES:
                with opened(started, page, width=width, scheme=scheme) as new:
                    assert overflow(new) == 0 and new.errors == [] and new.requests == []
                    wide = new.evaluate(TOO_WIDE)
                    assert all(keyboard and scrolls == "auto" for _, keyboard, scrolls in wide), wide
                    assert (width < 400) == any(label.startswith("Equation") for label, *_ in wide)
                    assert new.evaluate(CUT) == []
                    ragged = new.evaluate(RAGGED)
                    assert len(ragged) > 5 and max(ragged) < 1
                    assert len(new.evaluate(COLOURS)) == 1  # that of the text, in both schemes
                    edges = new.evaluate(NUMBERS)
                    assert len({round(right) for right, _ in edges}) == 1 and max(gap for _, gap in edges) < 0
                    if (width < 400) == (scheme == "dark"):  # each once: it takes long
                        assert findings(new) == []
                    shot(new, f"theory-{width}-{scheme}")
