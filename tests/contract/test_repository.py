"""What stands in the repository can be read by anyone: no issue numbers, no paths of one machine, no package index."""

import re
import tomllib

import pytest

import egan_theory as eg
from analyses.script import ROOT

TOP = (
    ".ci", ".github", ".gitignore", ".pre-commit-config.yaml", "analyses", "CHANGELOG.md", "CITATION.cff",
    "CONTRIBUTING.md", "data", "egan_theory", "LICENSE", "pyproject.toml", "README.md", "tests",
)  # fmt: skip
WORKFLOW = ROOT / ".github" / "workflows" / "checks.yml"
BINARY = {".nc", ".npy", ".png", ".tfevents"}
MACHINE = r"(?<![\w.~-])/(?:work|root|home|Users)(?:/|\b)|[A-Z]:\\\\?Users"
FORBIDDEN = {
    "an issue": r"\b(?:issues?|pull requests?|PR|GH|tickets?|bug)[ -]?#?\d+|(?<=[\s(])#\d{1,4}(?![\w;,\"'])",
    "a machine's path": MACHINE,
    "a text that nobody has": r"(?i)\bbriefs?\b(?! description)",
    "a package index": r"(?i)\bpypi\b|pythonhosted|anaconda\.(?:org|com)|npmjs|artifactory|devpi|index-url",
}
#: of each kind, what must be found and what not
EXAMPLES = {
    "an issue": (
        ("see issue 14", "as in #14.", "PR 7"),
        ('"#0072B2"', "solid #888;", "an issue of 3 runs"),
    ),
    "a machine's path": (("/root/x", '"/work/venv"', "(/home/me)"), ("a/work", "homework", "https://x.org/work")),
    "a text that nobody has": (("(brief 3b)",), ("a brief description",)),
    "a package index": (("pip --index-url x", "from PyPI"), ("an index of packages",)),
}


def files():
    for name in TOP:
        path = ROOT / name
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in found if file.is_file() and "__pycache__" not in file.parts)


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_file_names(kind):
    seen = []
    for file in files():
        if file.suffix in BINARY:
            if kind == "a machine's path" and (bad := re.search(MACHINE.encode(), file.read_bytes())):
                seen.append((file, bad.group()))
        elif file.name != "test_repository.py":
            lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
            seen += [(file, number, line) for number, line in lines if re.search(FORBIDDEN[kind], line)]
    assert seen == []


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_patterns(kind):
    bad, good = EXAMPLES[kind]
    assert all(re.search(FORBIDDEN[kind], text) for text in bad)
    assert not any(re.search(FORBIDDEN[kind], text) for text in good)


def test_all_of_the_package_is_read():
    names = {file.relative_to(ROOT).as_posix() for file in files()}
    assert {"egan_theory/__init__.py", "tests/contract/test_repository.py", ".ci/run", "pyproject.toml"} <= names


def test_changes_name_the_version_and_what_is_to_come():
    titles = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert titles[:2] == ["Unreleased", project["version"]] and eg.__version__ == project["version"]


def test_workflows_do_what_the_local_run_does():
    """Every command of .ci/run after the installation; the supported versions of Python."""
    local, there = (ROOT / ".ci/run").read_text(encoding="utf-8"), WORKFLOW.read_text(encoding="utf-8")
    steps = re.findall(r"(?:^|&& )\.venv/bin/(?!pip)(.+?)$", local, re.MULTILINE)
    assert len(steps) == 7 and steps[-1] == "python -m pytest -m slow"
    assert [step for step in steps if f"- run: {step}\n" not in there] == []
    assert all(f'"{version}"' in there for version in ("3.11", "3.12", "3.13"))
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert all(f"entry: {tool}" in hooks for tool in ("ruff check", "ruff format", "mypy", "lint-imports"))
