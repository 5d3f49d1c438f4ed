"""CONTRIBUTING.md is right: its examples, put where it says into a copy of the package, pass the contract tests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
#: of each kind: where its entry goes, in front of what (None: at the end), and the file of test values if it has one
PLACES = {
    "loss": ("egan_theory/tables/losses.py", None, "loss_exponential"),
    "kernel": ("egan_theory/kernels/stationary.py", None, None),
    "penalty": ("egan_theory/tables/penalties.py", "    )\n}  # fmt: skip", "penalty_particle_value"),
    "update rule": ("egan_theory/tables/updates.py", "#: fields of [update] beside", "rule_lookahead"),
    "mechanism": ("egan_theory/predict/mechanism.py", "MECHANISMS: dict", None),
    "layer": ("egan_theory/tables/layers.py", "def made(value", None),
}
CONTRACT = ["tests/contract/test_entries.py", "tests/tables", "tests/kernels/test_kernels.py"]
#: leaves out the tests of single other entries, which are those of the package without the examples
ONLY_THEIRS = r"""
import re

NEW = ("exponential", "two.?scales", "particle.value", "lookahead", "overshooting")


def pytest_collection_modifyitems(items):
    assert all(any(re.search(name, item.nodeid, re.I) for item in items) for name in NEW)
    items[:] = [i for i in items if not hasattr(i, "callspec") or re.search("|".join(NEW), i.nodeid, re.I)]
"""


def blocks(kind: str) -> list[str]:
    """The code of a section of the guide: entry, test values."""
    section = GUIDE.split(f"\n### A{'n' if kind[0] == 'u' else ''} {kind}\n")[1].split("\n### ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def add(kind: str, root: Path) -> list[Path]:
    """Follow the guide; the files that it touches."""
    path, before, values = PLACES[kind]
    file, (entry, *own) = root / path, blocks(kind)
    text = file.read_text(encoding="utf-8")
    at = len(text) if before is None else text.index(before)
    gap = "" if kind == "penalty" else "\n\n"
    if kind == "penalty":  # an element of the table
        entry = indent(entry.rstrip(), 8 * " ") + ",\n"
    text = text[:at].rstrip("\n") + f"\n{gap}{entry}{gap}" + text[at:]
    if kind == "mechanism":
        last, own = "    )\n}  # fmt: skip\n\n\ndef known_margins", re.search(r"`(Mechanism\(.*?\))`", GUIDE)
        assert text.count(last) == 1 and own
        text = text.replace(last, f"        {own[1]},\n{last}")
    file.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    if values is None:
        return [file]
    (root / "tests" / "values" / f"{values}.py").write_text(own[0], encoding="utf-8")
    return [file, root / "tests" / "values" / f"{values}.py"]


def run(root: Path, *arguments: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, *arguments], cwd=root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.slow
def test_the_examples_of_the_guide_are_whole(tmp_path):
    for name in ("egan_theory", "tests", "analyses", "pyproject.toml", "CONTRIBUTING.md"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "conftest.py").write_text(ONLY_THEIRS, encoding="utf-8")
    for kind in PLACES:
        add(kind, tmp_path)
    run(tmp_path, "-m", "egan_theory.show.coverage", "egan_theory/guide/predictions.md")
    run(tmp_path, "-m", "pytest", "-q", "-n", "0", "-x", *CONTRACT)
