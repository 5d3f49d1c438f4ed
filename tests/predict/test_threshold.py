"""Thresholds of all mechanisms: the registry, scans of exact and of noisy margins, the command, the analysis."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

import egan_theory as eg
from analyses import critical_ratios as script
from egan_theory.base.errors import InputError, NotLinearizable
from egan_theory.base.netcdf import save
from egan_theory.cli.app import main
from egan_theory.experiment.targets import Ring
from egan_theory.predict import mechanism as registry
from egan_theory.predict.collective import collective_instability, margin
from egan_theory.predict.mechanism import MECHANISMS
from egan_theory.predict.threshold import thresholds
from egan_theory.runs.outcome import KEPT, Outcome, modes_are_lost
from tests.analyses.drawing import labelled
from tests.builders import small

RATIO = "generator.kernel.ratio"
#: a root found by Brent's method, absolute on [0, 1]
ROOT = 1e-9


def ring(**tables):
    tables.setdefault("penalty", {"weight_decay": 0.2})
    return small(Ring(modes=5), particles=10, discriminator={"features": 30, "learning_rate": 0.3}, **tables)


def stub(monkeypatch, margin, margins=None, assumptions=("a stub",)):
    """Put a module with that margin of the ratio in place of every mechanism but the first; returns call counts."""
    calls = {"margin": 0, "margins": 0}

    def one(exp):
        calls["margin"] += 1
        return margin(exp.get(RATIO))

    module = SimpleNamespace(ASSUMPTIONS=assumptions, margin=one)
    if margins is not None:

        def many(exps):
            calls["margins"] += 1
            return margins(np.array([e.get(RATIO) for e in exps]))

        module.margins = many
    real = registry.import_module
    monkeypatch.setattr(
        registry, "import_module", lambda name: module if not name.endswith(".collective") else real(name)
    )
    return calls


def test_registry():
    assert set(MECHANISMS) >= {"collective instability", "collapsed state", "too slow to split"}
    exp = ring()
    for name, mechanism in MECHANISMS.items():
        assert (
            mechanism.name == name and mechanism.assumptions and all(isinstance(a, str) for a in mechanism.assumptions)
        )
        assert callable(mechanism.source.margin)
    assert MECHANISMS["collective instability"](exp) == margin(exp)
    assert MECHANISMS["collective instability"].margins([exp, exp]).tolist() == [margin(exp)] * 2


def test_collective_entry_is_that_of_the_module():
    exp = ring()
    found = thresholds(exp, RATIO, mechanisms=["collective instability"])
    own = collective_instability(exp)
    (entry,) = found.thresholds
    assert entry.value == own.value and entry.method == own.method == "closed-form" and entry.mode == own.mode
    assert entry.range == (0.0, 1.0) and entry.margin == own.margin and found.current == exp.generator.kernel.ratio


def test_exact_margins_are_bisected(monkeypatch):
    calls = stub(monkeypatch, lambda x: (x - 0.1234567) * (0.654321 - x))
    found = thresholds(ring(), RATIO, mechanisms=["too slow to split"]).thresholds[0]
    np.testing.assert_allclose(found.values, [0.1234567, 0.654321], atol=ROOT)
    assert found.unstable_side == ("above", "below") and found.bracket is None and calls["margin"] < 200
    assert found.assumptions == ("a stub",) and found.margin == pytest.approx((0.05 - 0.1234567) * (0.654321 - 0.05))


def test_noisy_margins_are_bracketed(monkeypatch):
    """Two rounds of 9 between 25: a bracket of (1/24)/100 where the sign is clear; three calls in all."""
    calls = stub(monkeypatch, lambda x: x - 0.4567, lambda x: x - 0.4567)
    found = thresholds(ring(), RATIO, mechanisms=["collapsed state"]).thresholds[0]
    low, high = found.bracket
    assert low < 0.4567 < high and high - low == pytest.approx(1 / 24 / 100)
    assert found.value == pytest.approx((low + high) / 2) and found.unstable_side == ("above",)
    assert calls == {"margin": 0, "margins": 3}  # 25 and the experiment's own value, 9, 9


def test_noise_widens_the_bracket_and_adds_no_thresholds(monkeypatch):
    noise = np.random.default_rng(0)
    stub(monkeypatch, lambda x: 0.0, lambda x: x - 0.45 + 0.01 * noise.standard_normal(len(x)))
    found = thresholds(ring(), RATIO, mechanisms=["collapsed state"]).thresholds[0]
    assert len(found.values) == 1 and 1.5 / 2400 < found.bracket[1] - found.bracket[0] <= 1 / 24
    assert found.value == pytest.approx(0.45, abs=0.03)


def test_values_without_a_statement_are_passed_over(monkeypatch):
    stub(monkeypatch, lambda x: 0.0, lambda x: np.where(np.abs(x - 0.7) < 0.1, np.nan, x - 0.3))
    found = thresholds(ring(), RATIO, mechanisms=["collapsed state"]).thresholds[0]
    assert found.value == pytest.approx(0.3, abs=1 / 2400) and any("no statement at" in a for a in found.assumptions)
    stub(monkeypatch, lambda x: float("nan"), lambda x: np.full(len(x), np.nan))
    nowhere = thresholds(ring(), RATIO, mechanisms=["collapsed state"]).thresholds[0]
    assert nowhere.value is None and "none in the range" in nowhere.reason


def test_a_mechanism_that_refuses_gives_its_reason(monkeypatch):
    def refuses(x):
        raise NotLinearizable("generator.masses", "be equal")

    stub(monkeypatch, refuses)
    found = thresholds(ring(), RATIO)
    assert [t.mechanism for t in found.thresholds] == list(MECHANISMS)
    assert found.thresholds[0].value is not None
    for entry in found.thresholds[1:]:
        assert entry.value is None and entry.reason == "generator.masses: must be equal" and entry.method == ""


def test_collective_without_equilibrium():
    exp = small(Ring(modes=5), particles=3)
    entry = thresholds(exp, RATIO, mechanisms=["collective instability"]).thresholds[0]
    assert entry.value is None and "generator.particles" in entry.reason


def test_unknown_mechanism_and_field():
    with pytest.raises(InputError, match="mechanism: must be one of collective instability"):
        thresholds(ring(), RATIO, mechanisms=["gravity"])
    with pytest.raises(InputError, match="vary: must name a real-valued field"):
        thresholds(ring(), "generator.particles")


def test_forms(monkeypatch, tmp_path):
    stub(monkeypatch, lambda x: float("inf") if x > 0.5 else -1.0)
    found = thresholds(ring(), RATIO)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["vary"] == RATIO and len(data["thresholds"]) == len(MECHANISMS)
    for entry in data["thresholds"]:
        assert {"mechanism", "value", "range", "assumptions"} <= set(entry)
    assert data["thresholds"][1]["value"] == pytest.approx(0.5, abs=1e-3)
    ds = found.to_dataset()
    assert ds["threshold"].values.tolist() == [t.value for t in found.thresholds]
    save(ds, tmp_path / "t.nc")
    assert "threshold" in found._repr_html_()


# -- the command -----------------------------------------------------------------------------------------------------

ONE = ("--mechanism", "collective instability")


def test_command_json(experiment, capsys, tmp_path):
    out = tmp_path / "t.nc"
    assert main(["threshold", experiment, "--vary", f"{RATIO}=0:0.9", *ONE, "--json", "-o", str(out)]) == 0
    printed, err = capsys.readouterr()
    data = json.loads(printed)
    assert err == "" and data["vary"] == RATIO and data["thresholds"][0]["range"] == [0.0, 0.9] and out.is_file()
    assert isinstance(data["thresholds"][0]["value"], float) or data["thresholds"][0]["value"] is None


def test_command_text(experiment, capsys):
    closed = ("--set", "penalty.r1=0", "--set", "penalty.weight_decay=0.05")
    assert main(["threshold", experiment, *closed, "--vary", "generator.learning_rate", *ONE]) == 0
    out = capsys.readouterr().out
    assert "Thresholds in generator.learning_rate" in out and "closed-form" in out and "assumes:" in out


@pytest.mark.parametrize(
    ("vary", "found"),
    [
        ("generator.particles", "whole number"),
        ("generator.kernel.ratio=1", "PATH=LOW:HIGH"),
        ("generator.kernel.ratio=a:b", "PATH=LOW:HIGH"),
        ("generator.kernel.ratio=0.5:0.1", "LOW < HIGH"),
        ("generator.kernel.ratio=0:nan", "finite"),
        ("generator.kernel.ratio=0:2", "at most 1"),
        ("penalty.weight_decay", "LOW:HIGH"),
        ("nothing", "a field of the experiment"),
        ("", "a field of the experiment"),
    ],
)
def test_command_refuses(vary, found, experiment, capsys):
    assert main(["threshold", experiment, "--vary", vary]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("egan: ") and found in err


@pytest.mark.parametrize("vary", [5, None, [], ("generator.kernel.ratio", 0.0), (None, 0.0, 1.0)])
def test_what_is_no_range_is_refused(vary):
    with pytest.raises(InputError, match="PATH=LOW:HIGH"):
        eg.threshold(eg.Experiment(), vary)


def test_command_needs_vary(experiment, capsys):
    assert main(["threshold", experiment]) == 2
    assert "--vary" in capsys.readouterr().err


# -- the analysis ----------------------------------------------------------------------------------------------------


def test_verdicts_on_known_signals():
    t = np.arange(400.0)
    rng = np.random.default_rng(0)

    def force(size):
        return (size * np.cos(0.7 * t + 1) + 1e-18 * rng.standard_normal(len(t)))[:, None, None]

    assert script.trend(force(np.exp(0.02 * t))) == 1 and script.trend(force(np.exp(-0.02 * t))) == -1
    assert script.trend(force(np.exp(-0.1 * t) + 1e-3)) == 0  # a fall that levels off may end in a rise
    assert script.trend(force(np.exp(-0.1 * t) + 1e-3), last=True) == -1
    assert script.trend(force(np.exp(-0.1 * t) + 1e-6 * np.exp(0.02 * t))) == 1
    assert script.trend(force(np.ones(400))) == 0
    assert script.left(1e-4 * np.ones((10, 2, 1)), 1e-7) and not script.left(1e-6 * np.ones((10, 2, 1)), 1e-7)
    assert script.left(np.full((10, 2, 1), np.nan), 1e-7)  # diverged
    ratios, verdict = np.array([0.0, 0.1, 0.2, 0.3, 0.4]), np.array([-1, -1, 0, 1, -1])
    assert script.bracket(ratios, verdict) == (0.1, 0.3) and np.isnan(script.bracket(ratios, -np.ones(5))[0])


def test_critical_ratios(tmp_path, monkeypatch):
    """The simulated critical ratio of a random experiment is within 5 % of the predicted one; the ring is drawn."""
    monkeypatch.setattr(script, "FIRST", (0.0, 0.1, 0.3, 0.6, 0.95))
    ds = script.study(20, 1)
    assert ds["agrees"].values.tolist() == [1] and 0.01 < float(ds["predicted"][0]) < 0.95
    assert float(ds["below"][0]) < float(ds["simulated"][0]) < float(ds["above"][0])
    ring = script.ring_example(0, rates=(0.1,), ratios=(0.3,), starts=(0.4,))
    figure = script.figure(ds.merge(ring, combine_attrs="override"))
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.png", dpi=30)


@pytest.mark.slow
def test_ring_example():
    """Eight points, eight particles each: one critical ratio between 0.1 and 0.3 for discriminator rates 0.01 to 1.

    3,000 steps from a start narrower than the ring cover all points at phi = 0.1 and lose some at 0.3.
    From a start as wide as the ring they cover all: instability of the spread cloud alone is no collapse."""
    ds = script.ring_example(11, ratios=(0.1, 0.3))
    assert np.all((ds["ring_predicted"] > 0.1) & (ds["ring_predicted"] < 0.3))
    assert float(np.ptp(ds["ring_predicted"].values)) < ROOT
    assert np.all(ds["ring_radius"].sel(phi=0.1) < 1) and np.all(ds["ring_radius"].sel(phi=0.3) > 1)
    narrow, wide = ds["ring_outcome"].isel(start=0), ds["ring_outcome"].isel(start=1)
    assert np.isin(narrow.sel(phi=0.1), KEPT).all()
    assert modes_are_lost(narrow.sel(phi=0.3)).all() and (narrow.sel(phi=0.3) == Outcome.COLLAPSED).any()
    # at the largest rate the orbit is still small at the end of this run, and full-grown in one twice as long
    assert np.isin(wide.sel(phi=0.3), KEPT).all() and (wide.sel(phi=0.3) == Outcome.CIRCLING).sum() >= 4


@pytest.mark.slow
def test_critical_ratios_over_more_draws(tmp_path, monkeypatch):
    small = {"rates": (0.1,), "ratios": (0.1, 0.3), "starts": (0.4,)}
    monkeypatch.setattr(script, "ring_example", partial(script.ring_example, **small))
    ds = labelled(script, "--seed 26 --draws 2", tmp_path)
    assert int(ds["agrees"].sum()) == 2


def test_ranges_are_part_of_what_is_varied_in_either_form(monkeypatch):
    stub(monkeypatch, lambda x: x - 0.25)
    wanted = thresholds(ring(), RATIO, 0.1, 0.4, mechanisms=["too slow to split"])
    for vary in (f"{RATIO}=0.1:0.4", (RATIO, 0.1, 0.4), [RATIO, "0.1", 0.4]):
        found = thresholds(ring(), vary, mechanisms=["too-slow-to-split"])
        assert found.vary == RATIO and found.thresholds[0].range == (0.1, 0.4)
        assert found.thresholds[0].values == wanted.thresholds[0].values
    for vary, low in (
        (f"{RATIO}=0.1", None),
        (f"{RATIO}=a:b", None),
        ((RATIO, 0.1), None),
        (f"{RATIO}=0.1:0.4", 0.2),
        ((), None),
    ):
        with pytest.raises(InputError, match="vary: must be PATH"):
            thresholds(ring(), vary, low)
