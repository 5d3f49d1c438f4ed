"""`egan derive --latex`: a document that LaTeX accepts, checked here without it and, where there is one, with it."""

import re
import shutil
import subprocess

import pytest

from egan_theory.symbolic import derive, inline, typeset


def repeated_scripts(math: str) -> list[str]:
    """Places where TeX stops: a second superscript (a prime is one) or subscript of one thing."""
    found, stack, seen, before, i = [], [], set(), "", 0
    while i < len(math):
        token = re.match(r"\\[A-Za-z]+|\\.|\s+|.", math[i:], re.S).group()
        i += len(token)
        if token.isspace():
            continue
        if token in ("^", "_", "'"):
            kind = "_" if token == "_" else "^"
            if kind in seen and not (token != "_" and before == "'"):  # f'' and f'^2 are one script
                found.append(math[max(i - 20, 0) : i + 5])
            before, seen = token, seen | {kind}
            if token != "'":
                rest = math[i:].lstrip()
                i = len(math) - len(rest)
                if rest.startswith("{"):
                    stack.append(seen)
                    seen = set()
                    i += 1
                else:
                    i += len(re.match(r"\\[A-Za-z]+|.", rest, re.S).group())
        elif token == "{":
            stack.append(set())  # what follows the group's end is a new thing
            seen = set()
        elif token == "}":
            seen = stack.pop()
        else:
            seen = set()
        before = token if token in ("^", "_", "'") else before if token == "}" else ""
    return found


def test_the_check_of_scripts_itself():
    assert all(repeated_scripts(bad) for bad in (r"\lambda'_*^2", "x^2^3", "x_1_2", "x^{a}'", r"\frac{a^b^c}{2}"))
    for good in (
        r"{\lambda'_*}^2",
        "f'^2",
        "x_1^2",
        "x^{a^b}",
        r"\sqrt{x_k}^2",
        r"x^2 y^2",
        r"\lambda'_k",
        "x_{a_b}^2",
    ):
        assert not repeated_scripts(good), good


DERIVATION = derive()
DOCUMENT = DERIVATION.to_latex()


def test_the_latex_document_has_no_double_scripts():
    formulas = re.findall(r"\$([^$]+)\$|\\begin\{equation\}(.*?)\\end\{equation\}", DOCUMENT, re.S)
    assert len(formulas) > 100
    assert [bad for pair in formulas for bad in repeated_scripts("".join(pair))] == []


def test_equations_have_the_numbers_of_the_text_and_links_lead_to_them():
    pattern = (
        r"\\setcounter\{equation\}\{(\d+)\}\n\\begin\{equation\}\n.*?\\label\{eq:([a-z0-9-]+)\}\n\\end\{equation\}"
    )
    found = {name: int(before) + 1 for before, name in re.findall(pattern, DOCUMENT, re.S)}
    assert found == {name: equation.number for name, equation in DERIVATION.equations.items()}
    assert DOCUMENT.count(r"\begin{equation}") == len(found) and r"\tag" not in DOCUMENT
    linked = re.findall(r"Eq\.~\\eqref\{eq:([a-z0-9-]+)\}", DOCUMENT)
    assert len(linked) == DERIVATION.to_markdown().count("](#eq-") > 15 and set(linked) <= set(found)


def test_columns_fit_the_page_and_words_fit_the_columns():
    tables = [table for step in DERIVATION.steps for table in step.tables]
    assert DOCUMENT.count(r"\begin{longtable}") == len(tables) > 5
    for table in tables:
        widths = typeset.column_widths([table.header, *table.rows])
        assert sum(widths) + 0.6 * (len(widths) - 1) <= typeset.TABLE_LINE
    long = "a sentence of very many words " * 9
    narrow, wide = typeset.column_widths([("$x$", long), ("$y$", "short")])
    assert narrow < 2 < 40 < wide < 46
    assert sum(typeset.column_widths([("$x$", "a few words")])) < 10  # no wider than it must be
    (code,) = typeset.column_widths([("`" + "a.bc" * 40 + "`",)])
    assert code <= typeset.TABLE_LINE  # a name may be broken at its stops


def test_equations_too_long_for_a_line_are_broken_between_and_not_within():
    longest = DERIVATION.equations["transverse-exponent"]
    lines = re.search(r"gathered\}\n(.*?)\n\\end", longest.to_latex(), re.S)[1].split(" \\\\\n")
    assert r" \qquad ".join(lines) == longest.latex and len(lines) == 2
    assert "gathered" not in DERIVATION.equations["dispersion"].to_latex()


def test_what_latex_reserves_is_escaped_in_text_and_quotes_open_and_close():
    assert inline.to_latex('50 % of a_b & "c" #x ~ ^ {x} \\y') == (
        r"50 \% of a\_b \& ``c'' \#x \textasciitilde{} \^{} \{x\} \textbackslash{}y"
    )
    assert inline.to_latex("`a_b.c` **bold $x_1$**") == (
        r"\texttt{a\_\allowbreak{}b.\allowbreak{}c} \textbf{bold $x_1$}"
    )


def compiled(folder, document):
    """The log and the auxiliary file of a document, run until its references are known."""
    (folder / "d.tex").write_text(document, encoding="utf-8")
    for _ in range(3):
        command = ["pdflatex", "-interaction=nonstopmode", "d.tex"]
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
    log = (folder / "d.log").read_text(errors="replace")
    return done.returncode, log, (folder / "d.aux").read_text(errors="replace")


def complaints(log):
    """Errors, lines off the page by more than 1 pt, references that lead nowhere or to two places."""
    wide = [width for width in re.findall(r"Overfull \\[hv]box \(([\d.]+)pt", log) if float(width) > 1]
    return wide + re.findall(
        r"^!.*|.*[Uu]ndefined.*|.*multiply.defined.*|.*same identifier.*|.*may have changed.*", log, re.M
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_the_latex_document_compiles(tmp_path):
    code, log, aux = compiled(tmp_path, DOCUMENT)
    assert code == 0 and complaints(log) == []
    printed = {name: int(number) for name, number in re.findall(r"\\newlabel\{eq:([a-z0-9-]+)\}\{\{(\d+)\}", aux)}
    assert printed == {name: equation.number for name, equation in DERIVATION.equations.items()}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_a_document_that_runs_off_the_page_is_seen(tmp_path):
    wide = DOCUMENT.replace("\\begin{document}", "\\begin{document}\n\\noindent\\hbox to 50cm{x}\n", 1)
    wide = wide.replace(r"\eqref{eq:function-space}", r"\eqref{eq:nowhere}", 1)
    _, log, _ = compiled(tmp_path, wide)
    assert len(complaints(log)) >= 2
