"""What a report computes is counted, not timed: the same seed gives the same page on any machine."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

import egan_theory as eg
from egan_theory.base.errors import EganError
from egan_theory.predict.following import SPENT
from egan_theory.show import collapse, lighter, unsaid
from egan_theory.show.stages import Results
from tests.show.fakes import RING

#: an experiment whose orbits are followed
SMALL = eg.Experiment(
    target={"kind": "ring", "modes": 3},
    generator={"particles": 6, "learning_rate": 0.1},
    discriminator={"features": 24, "learning_rate": 0.3, "length_scale": 0.6, "seed": 1},
    penalty={"r1": 0.0, "weight_decay": 0.1},
    run={"steps": 100, "runs": 2},
)


class Slow:
    """Clocks on which every look takes an hour."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        for name in ("monotonic", "perf_counter", "process_time", "time"):
            monkeypatch.setattr(time, name, self.look)

    def look(self):
        self.now += 3600.0
        return self.now


def lines(where):
    """The page without what its provenance says of dates."""
    text = (where / "index.html").read_text()
    return [line for line in text.splitlines() if "created" not in line and "finished at" not in line]


@pytest.mark.slow
def test_a_slow_machine_makes_the_same_page(tmp_path, monkeypatch):
    for name, less in (("CELLS", 8), ("ORBITS", 5e6), ("FOLDS", 1e6)):  # of each a little
        monkeypatch.setattr(collapse, name, less)
    eg.report(SMALL, tmp_path / "a")
    with monkeypatch.context() as patched:
        Slow(patched)
        eg.report(SMALL, tmp_path / "b")
    assert lines(tmp_path / "a") == lines(tmp_path / "b")
    assert "orbits from" in (tmp_path / "a" / "index.html").read_text()


def test_nothing_of_a_page_looks_at_a_clock():
    for path in Path(collapse.__file__).parent.rglob("*.py"):
        assert not re.search(r"^\s*(import|from) (time|datetime)\b|monotonic", path.read_text(), re.M), path


def test_the_map_is_coarser_where_an_evaluation_is_dear(monkeypatch):
    asked = []
    monkeypatch.setattr(collapse, "phase", lambda exp, first, second, **_: asked.append(first[3]) or eg.phase(
        exp, (*first[:3], 3), (*second[:3], 3, "log"), mechanisms=["collective instability"]))  # fmt: skip
    for cost in (1e5, collapse.MAP / collapse.PER_VALUE / 20):
        monkeypatch.setattr(collapse, "_evaluation", lambda exp, cost=cost: cost)
        collapse.map_of(RING, "r1", None, False, lambda *_: None)
    assert asked == [collapse.CELLS, 20]
    monkeypatch.setattr(collapse, "_evaluation", lambda exp: collapse.MAP)
    with pytest.raises(EganError, match="more work than a report does"):
        collapse.map_of(RING, "r1", None, False, lambda *_: None)
    with pytest.raises(EganError, match="more work than a report does"):
        collapse.along_threshold(RING, None, lambda *_: None)


def test_starts_are_followed_elsewhere_where_they_cost_little(monkeypatch):
    found = eg.reached(RING.replace({"run.start": "random", "run.steps": 20}), draws=2)
    assert collapse.affordable(RING, found) and not collapse.affordable(RING, None)
    long = RING.replace({"run.steps": 10**9})
    assert not collapse.affordable(long, found)
    assert collapse.affordable(long, replace(found, saving=found.saving * 1e-8))


def test_a_report_says_where_orbits_were_too_much_work(monkeypatch):
    monkeypatch.setattr(collapse, "ORBITS", 1.0)
    found = collapse.diagram(SMALL, lambda *_: None)
    assert found.status == "limited" and len(found.collapsed) == collapse.COLLAPSED
    said = [u for u in unsaid.unsaid(Results(SMALL, "r1", branch=found)) if "Orbits born" in u.what]
    assert said and all(u.reason == SPENT and "has no limit" in u.remedy for u in said)


def test_runs_of_too_many_steps_are_left_out_in_words():
    long = SMALL.replace({"run.steps": 10**8, "run.record_every": 10**5})
    with pytest.raises(EganError, match=r"runs of 1e\+08 steps are more work than a report does; egan simulate"):
        lighter.refuse_dear(long)
    lighter.refuse_dear(SMALL)
