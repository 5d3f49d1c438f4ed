"""`egan derive --latex`: a document that LaTeX accepts, checked here without it and, where there is one, with it."""

import re
import shutil
import subprocess

import pytest

from egan_theory.symbolic import derive


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


def test_the_latex_document_has_no_double_scripts_and_no_table_wider_than_the_page():
    document = derive().to_latex()
    formulas = re.findall(r"\$([^$]+)\$|\\begin\{equation\*\}(.*?)\\end\{equation\*\}", document, re.S)
    assert len(formulas) > 100
    assert [bad for pair in formulas for bad in repeated_scripts("".join(pair))] == []
    tables = document.count(r"\begin{tabular}")
    fit = r"\\resizebox\{\\ifdim\\width>\\linewidth[^\n]*\n\\begin\{tabular\}.*?\\end\{tabular\}\}"
    fitted = re.findall(fit, document, re.S)
    assert tables == len(fitted) > 0


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_the_latex_document_compiles(tmp_path):
    (tmp_path / "d.tex").write_text(derive().to_latex(), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "d.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    log = (tmp_path / "d.log").read_text(errors="replace")
    assert done.returncode == 0 and not re.findall(r"^!.*", log, re.M) and "Overfull" not in log
