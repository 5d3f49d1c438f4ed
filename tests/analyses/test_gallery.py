"""The gallery: an entry for every script, a figure that says what made it, at most LIMIT bytes each."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from analyses.script import LIMIT, ROOT, drawn, facts
from tests.analyses.test_scripts import NEEDS, SCRIPTS

TEXT = (ROOT / "analyses" / "README.md").read_text()
#: name -> what stands below its heading
ENTRIES = {name: part for name, part in re.findall(r"^### `(\w+)\.py`\n(.*?)(?=^##|\Z)", TEXT, re.M | re.S)}
PNGS = sorted((ROOT / "analyses").glob("*.png"))
#: scripts whose figure is not made yet, or that make none: their entry says why
WITHOUT = set(SCRIPTS) - {path.stem for path in PNGS}


def test_every_script_has_one_entry_and_no_entry_lacks_its_script():
    assert sorted(re.findall(r"^### `(\w+)\.py`$", TEXT, re.M)) == SCRIPTS
    assert sorted(ENTRIES) == SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_entry(name):
    """A question, an answer with numbers, the figure with what it shows, and the line that its file tells."""
    entry = ENTRIES[name]
    asked = re.match(r"\n\*\*([^*]+\?)\*\*\s+(\S.*?)\n(?:\n|\Z)", entry, re.S)
    assert asked, entry
    if name in WITHOUT:
        assert "No figure" in entry and "![" not in entry
        return
    assert re.search(r"\d", asked[2]), "an answer without a number"
    alt = re.search(rf"^!\[([^\]]+)\]\({name}\.png\)$", entry, re.M)
    assert alt and len(alt[1]) > 60
    assert facts(ROOT / "analyses" / f"{name}.png") in entry.splitlines()


@pytest.mark.parametrize("path", PNGS, ids=lambda path: path.stem)
def test_figure(path: Path):
    assert path.stat().st_size <= LIMIT and path.stem in SCRIPTS
    assert f"python -m analyses.{path.stem} --seed " in facts(path)


# small runs of a few scripts; the other tests here draw those of the rest
QUICK = {
    "critical_damping": lambda m: m.results(0, 3),
    "packing": lambda m: m.study(2, 600),
    "kicked_modes": lambda m: m.study(11, 2),
    "best_strength": lambda m: m.study(3, 2),
    "two_gaussian": lambda m: m.study(2, 60),
    "benchmarks_spectrum": lambda m: m.study(1, 1, 250),
    "solvable_phases": lambda m: m.study(4, 1, 3, 500),
}


def told(ax):
    """Whether an Axes with data says what its values are, in words; shared axes say it once."""
    words = [ax.get_xlabel(), ax.get_ylabel()]
    names = [t.get_text() for t in (*ax.get_xticklabels(), *ax.get_yticklabels())]
    return any(words) or any(re.search("[A-Za-z]", n) for n in names)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(QUICK))
def test_figure_of_a_small_run_is_labelled(name):
    for needed in NEEDS.get(name, ()):
        pytest.importorskip(needed)
    script = import_module(f"analyses.{name}")
    figure = drawn(script.figure, QUICK[name](script))
    shown = [ax for ax in figure.axes if ax.get_visible() and ax.has_data()]
    assert shown and all(told(ax) for ax in shown)
    assert all(re.search(r"\(|/|\d", ax.get_xlabel() + ax.get_ylabel()) for ax in shown if ax.get_ylabel())
    series = max(len(ax.get_legend_handles_labels()[0]) for ax in shown)
    assert series < 2 or figure.legends or any(ax.get_legend() for ax in shown)
