"""Phase diagrams: the adaptive grid, its axes, the simulated diagram and the accuracy of the mechanisms."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.legend import Legend

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.experiment import Experiment
from egan_theory.experiment.targets import Grid, Mixture, Ring
from egan_theory.predict.collective import collective_instability, margin
from egan_theory.predict.kinds import likeliest
from egan_theory.predict.mechanism import MECHANISMS, Mechanism
from egan_theory.predict.phase import QUICK, PhaseAxis, parse_axis, phase, phase_axis, refined
from egan_theory.runs.outcome import UNKNOWN, Outcome, mode_centres, modes_are_lost
from egan_theory.runs.outcome import shares as runs_shares
from egan_theory.show.style import OUTCOMES
from egan_theory.simulation.run import simulate
from egan_theory.sweeps.confusion import confusion, scores
from egan_theory.sweeps.phase import compare_phase, simulate_phase, with_shares
from tests.builders import small

EPS = np.finfo(float).eps
RATIO, RATE = "generator.kernel.ratio=0:0.8:33", "discriminator.learning_rate=0.01:0.5:9:log"


def ring(**tables):
    return small(Ring(modes=4), particles=4, **({"penalty": {"weight_decay": 0.05}} | tables))


def unstable_at(exp, ratio):
    """Whether the closed form calls the ratios unstable: above or below one of its values."""
    critical = collective_instability(exp, "generator.kernel.ratio")
    assert critical.method == "closed-form" and critical.values
    sides = zip(critical.values, critical.unstable_side, strict=True)
    return np.any([ratio > v if side == "above" else ratio < v for v, side in sides], axis=0)


# -- the adaptive grid ------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    angle=st.floats(0, 2 * np.pi),
    offset=st.floats(-20, 20),
    shape=st.tuples(st.integers(1, 45), st.integers(1, 45)),
    block=st.integers(1, 16),
)
def test_refined_grid_of_a_straight_boundary(angle, offset, shape, block):
    """Bilinear interpolation is exact for a linear function, and a line that crosses a block parts its corners."""
    rows, columns = np.indices(shape)
    truth = np.cos(angle) * (rows - shape[0] / 2) + np.sin(angle) * (columns - shape[1] / 2) - offset
    seen = []

    def evaluate(cells):
        seen.extend(map(tuple, cells.tolist()))
        return truth[tuple(cells.T)]

    values, known = refined(evaluate, shape, block)
    np.testing.assert_allclose(values, truth, atol=64 * EPS * 100)
    assert len(seen) == len(set(seen)) == known.sum()  # no cell twice
    np.testing.assert_array_equal(values[known], truth[known])
    # whatever sits next to a change of sign was looked at
    for axis in (0, 1):
        change = np.diff(truth > 0, axis=axis)
        first = np.take(known, np.arange(shape[axis] - 1), axis=axis)
        second = np.take(known, np.arange(1, shape[axis]), axis=axis)
        assert np.all((first & second)[change])


def test_refined_grid_saves_evaluations():
    rows, columns = np.indices((200, 200))
    truth = (rows - 90.0) ** 2 + (columns - 120.0) ** 2 - 50.0**2
    values, known = refined(lambda cells: truth[tuple(cells.T)], truth.shape, 16)
    np.testing.assert_array_equal(values > 0, truth > 0)
    assert known.mean() < 0.06


def test_no_statement_is_a_region_of_its_own():
    rows, columns = np.indices((40, 40))
    truth = np.where(columns > 21, np.nan, np.where(rows > 10, np.inf, -1.0))
    values, _ = refined(lambda cells: truth[tuple(cells.T)], truth.shape, 16)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(truth))
    np.testing.assert_array_equal(values > 0, truth > 0)


# -- axes -------------------------------------------------------------------------------------------------------------


def test_axes():
    exp = ring()
    assert parse_axis(exp, "penalty.r1=0.1:10:3:log") == PhaseAxis("penalty.r1", (0.1, pytest.approx(1.0), 10.0), True)
    assert parse_axis(exp, "generator.particles=4:7:9").values == (4, 5, 6, 7)  # whole numbers, each once
    for axis in (("penalty.r1", 0.1, 10, 3, "log"), ["penalty.r1", 0.1, 10.0, 3.0, True]):
        assert parse_axis(exp, axis) == parse_axis(exp, "penalty.r1=0.1:10:3:log")
    assert parse_axis(exp, ("penalty.r1", 0.1, 10, 3)) == parse_axis(exp, "penalty.r1=0.1:10:3")
    for path in ("run.seed", "run.runs", "run.record_every"):
        with pytest.raises(InputError, match=f"vary {path}: must be a field that the predictions depend on"):
            phase(exp, RATIO, (path, 1, 5, 3))
        with pytest.raises(InputError, match=f"vary {path}: must be a field that the predictions depend on"):
            simulate_phase(exp, (path, 1, 5, 3), RATIO)
    assert phase_axis(exp, "generator.kernel.ratio", 0.0, 1.0, 2).values == (0.0, 1.0)
    for text, field in (
        ("penalty.r1", "PATH=LOW:HIGH:POINTS"),
        ("penalty.r1=0:1", "PATH=LOW:HIGH:POINTS"),
        ("penalty.r1=0:1:5:lin", "PATH=LOW:HIGH:POINTS"),
        (("penalty.r1", 0, 1), "PATH, LOW, HIGH, POINTS"),
        (("penalty.r1", 0, 1, 5, "lin"), "PATH, LOW, HIGH, POINTS"),
        ((), "PATH, LOW, HIGH, POINTS"),
        ("penalty.r1=0:1:4.5", "vary penalty.r1: must have a whole number of points, but found 4.5"),
        ("generator.particles=4:9.5:3", "vary generator.particles: must have whole numbers LOW and HIGH"),
        ("penalty.r1=a:1:5", "PATH=LOW:HIGH:POINTS"),
        ("penalty.r1=0:1:5:log", "LOW > 0"),
        ("penalty.r1=1:0:5", "LOW < HIGH"),
        ("penalty.r1=0:inf:5", "LOW < HIGH"),
        ("penalty.r1=0:1:1", "2 to 2000 points"),
        ("loss.kind=0:1:5", "numeric field"),
        ("generator.kernel.ratio=0:2:5", "at most 1"),
        ("nothing.here=0:1:5", "nothing"),
    ):
        with pytest.raises(InputError, match=field):
            parse_axis(exp, text)
    with pytest.raises(InputError, match="two different fields"):
        phase(exp, RATIO, RATIO)
    with pytest.raises(InputError, match="mechanism: must be one of"):
        phase(exp, RATIO, RATE, mechanisms=["gravity"])
    with pytest.raises(InputError, match="block"):
        phase(exp, RATIO, RATE, block=0)


# -- the predicted diagram --------------------------------------------------------------------------------------------


def test_predicted_boundary_is_the_closed_form():
    """Simultaneous steps, weight decay alone: the critical ratio does not depend on the critic's rate."""
    exp = ring(generator={"learning_rate": 0.07})
    found = phase(exp, RATIO, RATE, block=8)
    unstable = found["margin"].sel(mechanism="collective instability").values > 0
    ratio = found["first"].values
    np.testing.assert_array_equal(unstable, np.broadcast_to(unstable_at(exp, ratio), unstable.shape))
    assert unstable.any() and not unstable.all()
    assert found["evaluated"].mean() < 0.8
    row, column = np.argwhere(found["evaluated"].sel(mechanism="collective instability").values)[7]
    cell = exp.replace(
        {"generator.kernel.ratio": ratio[column], "discriminator.learning_rate": found["second"].values[row]}
    )
    assert found["margin"].values[0, row, column] == margin(cell)
    assert found["first"].attrs["long_name"] == "generator.kernel.ratio" and found["second"].attrs["log"] == 1
    assert "collective instability:" in found.attrs["assumptions"]


# -- the simulated diagram --------------------------------------------------------------------------------------------


def test_simulated_diagram():
    """Side by side or one by one, a cell is the run of its experiment; the rigid cloud covers one mode at most."""
    exp = ring(generator={"learning_rate": 0.1}, discriminator={"features": 40}).replace({"run.steps": 400})
    first = phase_axis(exp, "generator.kernel.ratio", 0.0, 1.0, 2)
    second = phase_axis(exp, "discriminator.learning_rate", 0.1, 0.2, 2)
    done = []
    together = simulate_phase(exp, first, second, runs=2, progress=lambda i, n: done.append((i, n)))
    assert together["covered"].shape == (2, 2, 2) and done[-1] == (4, 4)
    covered = together["covered"].isel(first=0).values
    assert covered.mean() > together["covered"].isel(first=1).values.mean()
    # a field that changes the features is simulated cell by cell: the same runs where it has the same value
    third = phase_axis(exp, "discriminator.length_scale", exp.discriminator.length_scale, 1.0, 2)
    apart = simulate_phase(exp.replace({"discriminator.learning_rate": 0.1}), first, third, runs=2)
    np.testing.assert_allclose(apart["spread"].values[0], together["spread"].values[0], rtol=1e-6)
    with pytest.raises(InputError, match="two different fields"):
        simulate_phase(exp, first, first)
    # each run's outcome is that of its own simulation, and run.runs is how many there are
    cell = exp.replace({"run.start": "random", "run.runs": 2, "run.record_every": 8, "generator.kernel.ratio": 1.0,
                        "discriminator.learning_rate": 0.2})  # fmt: skip
    np.testing.assert_array_equal(together["outcome"].values[1, 1], simulate(cell)["outcome"])
    three = simulate_phase(exp.replace({"run.runs": 3, "run.steps": 60}), first, second)
    assert three["outcome"].shape == (2, 2, 3) and three["outcome"].dtype == np.int8
    np.testing.assert_allclose(three["share"].sum("kind"), 1.0)
    share = (three["outcome"] == Outcome.SETTLED).mean("run")
    np.testing.assert_allclose(three["share"].sel(kind="settled"), share)


def test_runs_of_different_length():
    """An axis may be the length of the runs: each is recorded often enough to be judged, and judged at its own end."""
    exp = ring().replace({"run.steps": 500, "run.record_every": 1})
    found = simulate_phase(exp, "run.steps=3:120:2", "generator.kernel.ratio=0:0.5:2", runs=1)
    assert (found["outcome"] >= 0).all()


@pytest.mark.slow
def test_the_default_ring_at_a_high_ratio_escapes():
    """What was called collapsed: a cloud many radii away from the ring, as wide as it."""
    exp = Experiment()
    found = simulate_phase(exp, "generator.kernel.ratio=0:0.9:2", "penalty.r1=0.03:0.1:2", runs=1)
    away, near = found.isel(first=1), found.isel(first=0)
    assert (away["outcome"] == Outcome.ESCAPED).all() and not modes_are_lost(near["outcome"]).any()
    assert (away["displacement"] > 10).all() and (away["spread"] > 0.2).all() and (near["displacement"] < 1).all()


def test_diverged_cells_cover_nothing():
    exp = ring(penalty={"r1": 1.0}, update={"rule": "simultaneous"}).replace({"run.steps": 60})
    found = simulate_phase(exp, "penalty.r1=0.1:5000:2:log", "generator.kernel.ratio=0:0.5:2", runs=1)
    lost = found["diverged_at"].values >= 0
    assert lost.any() and not lost.all()
    np.testing.assert_array_equal(found["covered"].values[lost], 0.0)
    assert np.isnan(found["spread"].values[lost]).all()


def test_mode_centres():
    mixture = small(Mixture(means=[[0.0, 0.0], [3.0, 0.0]], std=0.1, samples=6), particles=6)
    np.testing.assert_array_equal(mode_centres(mixture), [[0.0, 0.0], [3.0, 0.0]])
    np.testing.assert_allclose(mode_centres(ring()), ring().points.coordinates)
    line = small(Grid(side=3, dimension=1), particles=3)
    assert mode_centres(line).shape == (3, 1)


# -- accuracy ---------------------------------------------------------------------------------------------------------


def written(exp, *covered):
    """A hand-written simulated diagram over (ratio, critic's rate); for each run what it covers."""
    rows, columns = covered[0].shape
    outcome = np.where(np.stack(covered, -1), Outcome.SETTLED, Outcome.ESCAPED).astype(np.int8)
    ratio = np.linspace(0.0, 0.8, columns)
    rate = np.geomspace(0.01, 0.5, rows)
    ds = xr.Dataset(
        {"outcome": (("second", "first", "run"), outcome, {"long_name": "outcome", "units": "1"})},
        coords={
            "first": ("first", ratio, {"long_name": "generator.kernel.ratio", "log": 0}),
            "second": ("second", rate, {"long_name": "discriminator.learning_rate", "log": 1}),
        },
    )
    return with_shares(ds)


SPREAD = ["collective instability"]


def test_balanced_accuracy_follows_from_the_table():
    """Settled cells are where the spread state rests: predicted settled. Where it does not and no normal form says what
    it becomes there is no statement, which predicts no loss."""
    exp = ring(generator={"learning_rate": 0.07})
    unstable = np.broadcast_to(unstable_at(exp, np.linspace(0.0, 0.8, 9)), (5, 9))
    found = compare_phase(exp, written(exp, ~unstable), mechanisms=SPREAD)
    assert (found["predicted_kind"].values[~unstable] == Outcome.SETTLED).all()
    assert not modes_are_lost(found["predicted_kind"].values[unstable]).any()
    assert float(found["sensitivity"]) == 0.0 and float(found["specificity"]) == 1.0
    assert float(found["balanced_accuracy"]) == 0.5 and float(found["stderr"]) == 0.0
    assert int(found["confusion"].sum()) == 45
    assert float(found["recall"].sel(kind="settled")) == 1.0 and np.isnan(found["recall"].sel(kind="collapsed"))
    part = written(exp, ~unstable)
    part["outcome"][:2] = UNKNOWN  # as of cells that failed
    known = compare_phase(exp, with_shares(part), mechanisms=SPREAD)
    assert (known["simulated_kind"].values[:2] == UNKNOWN).all() and int(known["confusion"].sum()) == 27
    one_sided = compare_phase(exp, written(exp, np.ones((5, 9), dtype=bool)), mechanisms=SPREAD)
    assert np.isnan(one_sided["balanced_accuracy"]) and np.isfinite(one_sided["specificity"])


def test_scores_by_hand():
    """6 cells: 2 settled (1 said so, 1 said circling), 2 collapsed (1 said escaped, 1 settled), 1 circling without a
    statement, 1 escaped said so."""
    simulated = np.array([0, 0, 3, 3, 6, 4, UNKNOWN])
    predicted = np.array([0, 6, 4, 0, UNKNOWN, 4, 0])
    counts = confusion(simulated, predicted)
    assert counts.sum() == 6 and counts.shape == (7, 8)
    row = list(Outcome).index
    assert counts[row(0), row(0)] == counts[row(0), row(6)] == counts[row(3), row(4)] == counts[row(6), 7] == 1
    found = scores(counts)
    np.testing.assert_allclose(found["recall"][[row(k) for k in (0, 6, 3, 4)]], [0.5, 0.0, 0.0, 1.0])
    np.testing.assert_allclose(found["precision"][[row(k) for k in (0, 6, 4)]], [0.5, 0.0, 0.5])
    assert found["sensitivity"] == pytest.approx(2 / 3) and found["specificity"] == 1.0
    assert found["balanced_accuracy"] == pytest.approx(5 / 6)
    assert found["stderr"] == pytest.approx(np.sqrt(2 / 9 / 3) / 2)


@given(pairs=st.lists(st.tuples(st.sampled_from([*Outcome, UNKNOWN]), st.sampled_from([*Outcome, UNKNOWN]))))
@settings(max_examples=50, deadline=None)
def test_confusion_sums(pairs):
    """Rows sum to the simulated kinds, columns to the predicted ones, of the cells that were simulated; with both
    exchanged the table is transposed."""
    simulated, predicted = np.array(pairs, dtype=int).reshape(-1, 2).T
    counts, known = confusion(simulated, predicted), simulated != UNKNOWN
    assert counts.sum(1).tolist() == [(simulated == kind).sum() for kind in Outcome]
    assert counts.sum(0).tolist() == [(predicted[known] == kind).sum() for kind in (*Outcome, UNKNOWN)]
    np.testing.assert_array_equal(confusion(predicted, simulated)[:, :-1], counts[:, :-1].T)
    lost, said = modes_are_lost(simulated[known]), modes_are_lost(predicted[known])
    found = scores(counts)
    np.testing.assert_equal(found["sensitivity"], np.mean(said[lost]) if lost.any() else np.nan)
    np.testing.assert_equal(found["specificity"], np.mean(~said[~lost]) if (~lost).any() else np.nan)


def test_the_kind_of_a_cell_is_on_the_side_of_most_of_its_runs():
    """Of seven runs 3 settled, 2 collapsed and 2 escaped: lost, by most; of lost kinds the first most frequent."""

    def one(*codes):
        return int(likeliest(runs_shares(np.array([codes])))[0])

    assert one(0, 0, 0, 3, 3, 4, 4) == Outcome.COLLAPSED and one(0, 0, 0, 3, 4, 4, 6) == Outcome.SETTLED
    assert one(0, 6, 6, 4) == Outcome.CIRCLING and one(0, 4) == Outcome.SETTLED and one(UNKNOWN) == UNKNOWN
    assert one(5, 5, 1, UNKNOWN) == Outcome.DIVERGED


class _Told:
    """A mechanism that follows the start: of ratios below 0.3 half settle, half collapse; above no statement."""

    ASSUMPTIONS = ("made up",)

    @staticmethod
    def margin(exp):
        return 0.0

    @staticmethod
    def kinds(exps):
        out = np.full((len(Outcome), *exps.shape), np.nan)
        for at, exp in np.ndenumerate(exps):
            if exp is not None and exp.generator.kernel.ratio < 0.3:
                out[(slice(None), *at)] = [0.4, 0, 0, 0, 0.6, 0, 0]
        return out


def test_kinds_of_a_mechanism_that_follows_the_start_come_first(monkeypatch):
    monkeypatch.setitem(MECHANISMS, "told", Mechanism("told", _Told, "beyond it", "within it"))
    exp = ring(generator={"learning_rate": 0.01})
    found = compare_phase(exp, written(exp, np.ones((5, 9), dtype=bool)), mechanisms=[*SPREAD, "told"])
    below = found["first"].values < 0.3
    np.testing.assert_allclose(found["probability"].sel(kind="collapsed").values[:, below], 0.6)
    assert (found["predicted_kind"].values[:, below] == Outcome.COLLAPSED).all()
    assert not (found["predicted_kind"].values[:, ~below] == Outcome.COLLAPSED).any()
    np.testing.assert_allclose(found["probability"].sum("kind", skipna=False).fillna(1.0), 1.0)


def test_kicked_runs_settle_below_the_threshold_and_circle_beyond():
    """The ring with weight decay alone, its threshold supercritical: simulated and predicted kinds are the same."""
    exp = Experiment(
        penalty={"r1": 0.0, "weight_decay": 0.05}, discriminator={"features": 64}, generator={"particles": 16},
        run={"steps": 6000, "kick": 0.02},
    )  # fmt: skip
    axes = "generator.kernel.ratio=0:0.6:4", "penalty.weight_decay=0.02:0.08:3"
    found = simulate_phase(exp, *axes, runs=1, start="kick")
    compared = compare_phase(exp, found, mechanisms=QUICK)
    assert found.attrs["start"] == "kick" and "kick" in compared.attrs["experiment"]
    np.testing.assert_array_equal(compared["simulated_kind"], compared["predicted_kind"])
    assert {*compared["predicted_kind"].values.ravel().tolist()} == {Outcome.SETTLED, Outcome.CIRCLING}
    assert float(compared["specificity"]) == 1.0


def test_figure():
    exp = ring(generator={"learning_rate": 0.07})
    predicted = phase(exp, RATIO, RATE, block=8)
    simulated = written(exp, np.broadcast_to(np.arange(9) <= 4, (5, 9)))
    compared = compare_phase(exp, simulated)
    ax = eg.plot.phase(predicted, simulated, compared)
    assert ax.get_xlabel() == "kernel ratio g2/g1 (1)" and ax.get_yscale() == "log"
    above = next(a for a in ax.get_children() if isinstance(a, Legend) and a is not ax.get_legend())
    legend = [t.get_text() for t in above.get_texts()]
    kinds = [t.get_text() for t in ax.get_legend().get_texts()]
    assert kinds == ["settled: 55.6 %", "escaped: 44.4 %"]
    lost = [modes_are_lost(compared[f"{n}_kind"]) for n in ("simulated", "predicted")]
    wrong = int((lost[0] != lost[1]).sum())
    assert wrong and any(f"kept or lost predicted wrongly: {wrong} of 45 cells (balanced" in t for t in legend)
    said = " ".join(" ".join(legend).split())
    assert all(f"{name}: {MECHANISMS[name].beyond}" in said for name in predicted["mechanism"].values)
    assert "collaps" not in said
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    assert len(crosses[0].get_xdata()) == wrong
    assert eg.plot.phase(predicted).get_legend() is not None
    # three runs per cell: the strips of a cell are its runs, sorted
    nowhere, everywhere = np.zeros((5, 9), dtype=bool), np.ones((5, 9), dtype=bool)
    mesh = eg.plot.phase(predicted, written(exp, nowhere, everywhere, everywhere)).collections[0]
    assert mesh.get_array().shape == (5, 27)
    np.testing.assert_array_equal(mesh.get_array()[0, :3], [0, 0, list(Outcome).index(Outcome.ESCAPED)])
    table = eg.plot.confusion(compared)
    cells = [int(t.get_text().split()[0]) for t in table.texts]
    assert sum(cells) == 45 and sorted(cells) == sorted(v for v in compared["confusion"].values.ravel() if v)
    assert [t.get_text() for t in table.get_yticklabels()] == ["settled", "escaped"]


def test_colours_of_outcomes_differ_for_everyone():
    """Any two are told apart in CIELAB, also without one kind of cone (Machado et al., IEEE TVCG 15, 1291, 2009)."""
    blind = {
        "none": np.eye(3),
        "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                       [-0.003882, -0.048116, 1.051998]],
        "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                         [-0.011820, 0.042940, 0.968881]],
        "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                       [0.004733, 0.691367, 0.303900]],
    }  # fmt: skip

    def lab(linear):
        xyz = np.clip(linear, 0, 1) @ np.array(
            [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
        ).T / [0.9505, 1.0, 1.089]  # fmt: skip
        f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
        return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=-1)

    rgb = np.array([to_rgb(colour) for colour, _ in OUTCOMES.values()])
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    for name, matrix in blind.items():
        seen = lab(linear @ np.array(matrix).T)
        apart = np.linalg.norm(seen[:, None] - seen, axis=-1)[np.triu_indices(len(seen), 1)]
        assert apart.min() > 20, name
    assert len({marker for _, marker in OUTCOMES.values()}) == len(OUTCOMES) == len(Outcome)
