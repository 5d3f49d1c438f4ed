"""theory.md: its equations against SymPy's derivation and against numbers, its parts against the package's tables."""

import ast
import importlib.util
import itertools
import re

import numpy as np
import pytest
import sympy as sp

from egan_theory.symbolic import derive, remedies, symbols
from egan_theory.symbolic.document import Equation, Generated, read, split_equations
from egan_theory.symbolic.generated import MAPS, generated, stable_below, tex
from egan_theory.symbolic.theory import THEORY
from egan_theory.tables.losses import LOSSES
from tests.symbolic.latex_values import TOKEN, value
from tests.symbolic.test_symbolic import TABLE
from tests.symbolic.theory_checks import CHECKS

EQUATIONS = derive().equations
WRITTEN = [name for name in EQUATIONS if name not in MAPS]


def environments(name):
    return CHECKS[name](np.random.default_rng(3))


def holds(latex, values):
    """Whether all equations of a display are true for these values of their symbols."""
    ranges, tolerance = values.get("ranges", {}), values.get("tolerance", 1e-9)
    symbols = {k: v for k, v in values.items() if k not in ("ranges", "tolerance")}
    symbols |= {re.sub(r"\{(\w)\}|\s", r"\1", k): v for k, v in symbols.items()}
    parts = split_equations(latex)
    for lhs, _, rhs in parts:
        left, right = (np.squeeze(value(side, symbols, ranges)) for side in (lhs, rhs))
        if "0" not in (lhs, rhs) and left.shape != right.shape:
            return False
        if not np.allclose(left, right, rtol=tolerance, atol=tolerance):
            return False
    return bool(parts)


@pytest.mark.parametrize("name", WRITTEN)
def test_equation_holds(name):
    for values in environments(name):
        for lhs, _, rhs in EQUATIONS[name].parts:
            assert holds(f"{lhs} = {rhs}", values), (lhs, rhs)


# -- an equation that is altered is seen ------------------------------------------------------------------------------


def mutants(latex):
    """The formula with one sign turned, one number raised by 1, or a factor 3 before one symbol, each in turn."""
    tokens, out, inside = TOKEN.findall(latex), [], 0
    for i, token in enumerate(tokens):
        before = "".join(tokens[:i]).rstrip()
        named = inside or before.endswith(
            ("_", r"\nabla", r"\dot", r"\ddot", r"\hat", r"\bar", r"\mathrm", r"\mathcal", r"\begin", r"\end")
        )
        if token == "{" and (named or before.endswith("_")):
            inside += 1
        elif inside:
            inside += (token == "{") - (token == "}")
        if named or inside or before.endswith("^"):
            changed = str(int(token) + 1) if token.isdigit() and not inside and before.endswith("^") else None
        elif token.isdigit():
            changed = str(int(token) + 1)
        elif token in "+-":
            changed = {"+": "-", "-": "+"}[token]
        elif re.fullmatch(r"[A-Za-z]", token) or token in GREEK:
            changed = f"3 {token}"
        else:
            changed = None
        if changed is not None:
            out.append("".join([*tokens[:i], changed, *tokens[i + 1 :]]))
    return out


GREEK = {
    rf"\{name}"
    for name in (
        "alpha beta gamma delta epsilon zeta eta theta vartheta kappa lambda mu nu xi rho sigma tau phi varphi chi psi "
        "omega Gamma Delta Theta Lambda Sigma Omega Psi ell varsigma varpi nabla pi"
    ).split()
}


def seen(latex, environments):
    """Whether an altered formula is found out: it is false for some values, or no formula any more."""
    for values in environments:
        try:
            with np.errstate(all="ignore"):
                if not holds(latex, values):
                    return True
        except Exception:
            return True
    return False


@pytest.mark.parametrize("name", WRITTEN)
def test_an_altered_equation_is_seen(name):
    values, altered = environments(name), mutants(EQUATIONS[name].latex)
    # the slope of ReLU is a step, whatever the scale of its argument
    altered = [formula for formula in altered if not (name == "relu-dual" and r"\varphi'(3 " in formula)]
    assert altered
    assert [formula for formula in altered if not seen(formula, values)] == []


# -- what is computed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAPS)
def test_every_printed_condition_decides(name):
    """The conditions under a printed P(z) are the ones its roots obey: the printed text, not the objects behind it."""
    (_, _, printed), *conditions = EQUATIONS[name].parts
    assert all((lhs, relation) == ("0", "<") for lhs, relation, _ in conditions) and len(conditions) >= 3
    poly, rng, decided = MAPS[name](), np.random.default_rng(2), []
    letters = {tex(s).replace("{", "").replace("}", ""): s for s in poly.free_symbols_in_domain - {symbols.w2}}
    for _ in range(100):
        values = {letter: float(rng.uniform(0, 1.2)) for letter in letters} | {r"\omega": float(rng.uniform(0, 1.1))}
        at = {s: values[letter] for letter, s in letters.items()} | {symbols.w2: values[r"\omega"] ** 2}
        roots = np.roots([float(c.subs(at)) for c in poly.all_coeffs()])
        for root in roots:
            assert abs(value(printed, values | {"z": root})) < 1e-6
        radius = np.abs(roots).max()
        if abs(radius - 1) > 1e-6:
            stable = min(value(rhs, values) for _, _, rhs in conditions) > 0
            assert stable == (radius < 1)
            decided.append(stable)
    assert len(decided) > 90


def test_printed_bounds_of_averages_decide():
    """Roots just below and just above the printed squared frequency, for all who may average."""
    rng, bounded = np.random.default_rng(3), 0
    for players in itertools.product((False, True), repeat=3):
        if not any(players[:2]):
            continue
        poly = remedies.averaged(*players)
        bound = stable_below(poly)
        bounded += bound != sp.oo
        times = (symbols.a, remedies.tau_q, remedies.tau_D)
        for _ in range(20):
            at = dict(zip(times, np.exp(rng.uniform(-2, 2, 3)), strict=True))
            trials = [(float(rng.uniform(0, 100)), True)]
            if bound != sp.oo:
                trials = [(0.99 * float(bound.subs(at)), True), (1.01 * float(bound.subs(at)), False)]
            for w2, stable in trials:
                numbers = [float(c.subs({**at, symbols.w2: w2})) for c in poly.all_coeffs()]
                assert (np.roots(numbers).real.max() < 0) == stable
    assert bounded == 4
    text = derive().to_markdown()
    assert r"$\omega^2 < \frac{a \left(a \tau_{q} + 1\right)}{\tau_{q}}$" in text and text.count("| always |") == 2


# -- the two printed forms --------------------------------------------------------------------------------------------


def test_markdown_is_complete():
    text = derive().to_markdown()
    titles = [line.split(" ", 1)[1] for line in text.splitlines() if line[:2] == "##"]
    assert titles == [*(step.title for step in derive().steps), "Sources"]
    assert text.count("$$") == 2 * len(EQUATIONS) and text.replace("$$", "").count("$") % 2 == 0
    for kind, numbers in TABLE.items():
        cells = [f"${sp.latex(sp.nsimplify(v))}$" for v in numbers]
        assert any(LOSSES[kind].title in row and row.endswith(" | ".join(cells) + " |") for row in text.splitlines())
    assert r"| weight decay | $\frac{\lvert w\rvert^{2} \nu}{2}$ | $\nu \text{ to } \nu$ |" in text
    assert r"2 m \text{ to } \lambda" in text and r"P(z) &= z^{2} + \left(a + \omega^{2} - 2\right) z + 1 - a" in text
    for table in (table for step in derive().steps for table in step.tables):
        assert {len(row) for row in table.rows} == {len(table.header)}
    assert "arXiv:2212.04580" in text and "Phys. Rev. X 13, 041004" in text and "Mescheder" in text
    assert "omega2" not in text and "Piecewise" not in text and "\\operatorname" not in text


def balanced(text):
    depth = 0
    for previous, character in itertools.pairwise(" " + text):
        if previous != "\\" and character in "{}":
            depth += 1 if character == "{" else -1
            assert depth >= 0
    return depth == 0


def test_latex_is_a_whole_document():
    text = derive().to_latex()
    assert text.startswith("\\documentclass") and text.rstrip().endswith("\\end{document}")
    assert balanced(text)
    opened = []
    for piece in text.replace("\\begin{", "\n\\begin{").replace("\\end{", "\n\\end{").splitlines():
        if piece.startswith("\\begin{"):
            opened.append(piece[7:].split("}")[0])
        elif piece.startswith("\\end{"):
            assert opened.pop() == piece[5:].split("}")[0]
    assert not opened
    for step in derive().steps:
        assert f"section{{{step.title}}}" in text
        for equation in step.equations:
            assert f"\\label{{eq:{equation.name}}}" in text
            for row in equation.latex.split("\\\\\n"):  # \left and \right may not span lines or alignment marks
                if "matrix" not in row:
                    assert all(cell.count("\\left") == cell.count("\\right") for cell in row.split("&"))
    mathematics = r"\$[^$]*\$|\\begin\{equation\}.*?\\end\{equation\}"
    prose = re.sub(mathematics + r"|~\\eqref\{[^}]*\}|\\[A-Za-z]+\{?|\\[_%&#]", "", text, flags=re.S)
    assert not set(prose[prose.index("How to read") :].replace(" & ", "")) & set("_^%#~")


# -- the file itself --------------------------------------------------------------------------------------------------


def test_every_equation_has_a_check_or_is_computed():
    assert set(CHECKS) == set(WRITTEN) and set(MAPS) <= set(EQUATIONS)
    assert [e.number for e in EQUATIONS.values()] == list(range(1, len(EQUATIONS) + 1))


def outdated(source):
    """What of a theory.md is not what ``python -m egan_theory.symbolic`` writes. A table may lack rows that are new."""
    found, written = [], derive().to_markdown()
    block = re.compile(r"<!-- generated: ([a-z-]+) -->\n\n(.*?)\n\n<!-- end -->", re.S)
    computed = {
        item.name: item.content for step in derive().steps for item in step.items if isinstance(item, Generated)
    }
    if block.sub(r"\1", source) != block.sub(r"\1", written):
        found.append("text")
    for name, content in block.findall(source):
        if isinstance(computed[name], Equation):
            same = content == computed[name].to_markdown()
        else:
            rows = content.splitlines()
            same = rows == [row for row in computed[name].to_markdown().splitlines() if row in rows]
        if not same:
            found.append(name)
    return found


def test_the_file_is_up_to_date():
    assert outdated(THEORY.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", [*MAPS, "losses", "penalties", "averages", "packing"])
def test_an_altered_computed_part_is_seen(name):
    source = THEORY.read_text(encoding="utf-8")
    start = source.index(f"<!-- generated: {name} -->")
    end = source.index("<!-- end -->", start)
    places = [i for i in range(start, end) if source[i].isdigit() or source[i] in "+<"]
    assert len(places) > 5
    for i in places:
        changed = source[:i] + ("9" if source[i].isdigit() and source[i] != "9" else "-") + source[i + 1 :]
        assert outdated(changed) != [], source[i - 20 : i + 20]


def test_an_altered_number_link_or_text_is_seen():
    source = THEORY.read_text(encoding="utf-8")
    n = EQUATIONS["dispersion"].number
    links = [f"[Eq. ({i})](#eq-dispersion)" for i in (n, n + 1)]
    for old, new in ((rf"\tag{{{n}}}", rf"\tag{{{n + 1}}}"), links):
        assert old in source and outdated(source.replace(old, new)) == ["text"]
    with pytest.raises(ValueError, match="no equation is called nowhere"):
        read(source.replace("(#eq-dispersion)", "(#eq-nowhere)"), generated)
    with pytest.raises(ValueError, match="two equations are called"):
        read(source.replace('id="eq-mode-roots"', 'id="eq-dispersion"'), generated)
    with pytest.raises(ValueError, match="needs a name"):
        read(source.replace('<a id="eq-mode-roots"></a>\n', ""), generated)


def test_every_section_says_what_it_assumes_and_what_computes_it():
    for step in derive().steps:
        if step.equations:
            assert step.assumptions, step.title
            # a section's own words, or those of its last part
            computed = re.findall(r"`(egan_theory[\w.]*)`", step.explanation.rpartition("Computed by ")[2])
            assert computed, step.title
            for module in computed:
                assert importlib.util.find_spec(module) is not None, module


SYMBOL = re.compile(r"(?:\\(?:bar|hat|mathcal)\s*\{?\s*)?(?:\\[A-Za-z]+|[A-Za-z])")
NO_SYMBOL = re.compile(r"\\(?:tag|text|begin|end)\{[^}]*\}|\\mathrm\{(?:tr|E|d)\}")


def letters(latex):
    """Letters and accented letters of a formula, without their indices."""
    found = {re.sub(r"[{\s]", "", letter) for letter in SYMBOL.findall(NO_SYMBOL.sub(" ", latex))}
    accented = (r"\bar", r"\hat", r"\mathcal")
    quantities = GREEK - {r"\nabla"}
    return {s for s in found if not s.startswith("\\") or s in quantities or s.startswith(accented)}


def not_introduced(derivation):
    """(equation, symbols) that no text up to the end of its section mentions and no equation there defines."""
    known, found = {"e", r"\pi", "j"}, []
    for step in derivation.steps:
        for item in step.content:
            cells = [item.source] if item.kind == "text" else []
            cells += [cell for row in item.rows for cell in row] if item.kind == "table" else []
            for text in cells:
                known |= {letter for inline in re.findall(r"\$([^$]+)\$", text) for letter in letters(inline)}
        for equation in step.equations:
            for lhs, _, _ in equation.parts:
                known |= letters(lhs) if lhs != "0" else set()
        for equation in step.equations:
            if left := letters(equation.latex) - known:
                found.append((equation.name, sorted(left)))
    return found


def test_every_symbol_is_introduced():
    assert not_introduced(derive()) == []
    source = THEORY.read_text(encoding="utf-8")
    without = re.sub(r"\$\\zeta\$|\$\\zeta[^$]*\$|, \$\\zeta\$", "", source).replace(r"\zeta =", r"1 = \zeta -")
    assert "damping-ratio" not in dict(not_introduced(derive()))
    assert "damping-ratio" in dict(not_introduced(read(without, generated)))


# -- who cites it -----------------------------------------------------------------------------------------------------

ROOT = THEORY.parents[1]
SOURCES = sorted(p for folder in ("egan_theory", "analyses", "data", "tests") for p in (ROOT / folder).rglob("*.py"))
TEXTS = [
    *(p for p in SOURCES if p.name not in ("test_theory.py", "test_repository.py")),
    ROOT / "README.md",
    *sorted((ROOT / "egan_theory" / "guide").glob("*.md")),
    ROOT / "data" / "README.md",
]
#: a citation: number and name, "Eq. (7, dispersion)"; the number alone would go stale
CITED = re.compile(r"\bEqs?\.\s+\((\d+)(?:,\s+([a-z0-9-]+))?\)")


def wrong_citations(text):
    numbers = {name: str(e.number) for name, e in EQUATIONS.items()}
    return [m.group() for m in CITED.finditer(text) if m[2] is None or numbers.get(m[2]) != m[1]]


def test_wrong_citations_are_seen():
    number = EQUATIONS["dispersion"].number
    right = f"Eq. ({number}, dispersion)"
    assert CITED.search(right) and wrong_citations(right) == []
    for wrong in (f"Eq. ({number + 1}, dispersion)", f"Eq. ({number})", f"Eq. ({number}, dispersal)"):
        assert wrong_citations(wrong) == [wrong]


def test_citations_are_right_and_can_be_opened():
    found = []
    for path in TEXTS:
        text = path.read_text(encoding="utf-8")
        unknown = re.findall(r"\b[Bb]rief\b(?! description)|\(2[abc]\)|\b3[abc]\.\d|(?<!\d\), )equations? \(\d\)", text)
        found += [(str(path.relative_to(ROOT)), word) for word in wrong_citations(text) + unknown]
    assert found == []


#: what a stranger cannot know: names of the package's modules and of its own helpers, shorthand of the code
ROOMS = "|".join(sorted(p.name for p in (ROOT / "egan_theory").iterdir() if p.is_dir() and p.name[0] != "_"))
UNKNOWN = re.compile(
    rf"\b(?:{ROOMS})\.(?!nc\b)[a-z_]+\b|\bBrief\b|\bbrief\b|\(2[abc]\)|\(P\d|``|\b(?:lam|mu2|nw|fm)\b|\bsee module\b"
)


def sentences(path):
    """(line, text) of every string with a space in a module that is no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docs
            and " " in node.value
        ):
            yield node.lineno, node.value


def test_no_sentence_that_users_see_has_words_of_the_code():
    found = []
    for path in (ROOT / "egan_theory").rglob("*.py"):
        for line, text in sentences(path):
            found += [(path.name, line, match.group(), text) for match in UNKNOWN.finditer(text)]
    assert found == []
