"""Phase diagrams: the adaptive grid, its axes, the simulated diagram and the accuracy of the mechanisms."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.legend import Legend
from stepjac import small

from egan_theory.comparison.phase import UNION, compare_phase, simulate_phase, with_shares
from egan_theory.errors import InputError
from egan_theory.outcome import Outcome, mode_centres
from egan_theory.predict.collective import collective_instability, margin
from egan_theory.predict.phase import PhaseAxis, parse_axis, phase, phase_axis, refined
from egan_theory.reporting.phases import plot_phase
from egan_theory.targets import Grid, Mixture, Ring

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
    assert phase_axis(exp, "generator.kernel.ratio", 0.0, 1.0, 2).values == (0.0, 1.0)
    for text, field in (
        ("penalty.r1", "PATH=LOW:HIGH:POINTS"),
        ("penalty.r1=0:1", "PATH=LOW:HIGH:POINTS"),
        ("penalty.r1=0:1:5:lin", "PATH=LOW:HIGH:POINTS"),
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
    with pytest.raises(InputError, match="mechanisms: must be among"):
        phase(exp, RATIO, RATE, mechanisms=["gravity"])
    with pytest.raises(InputError, match="block"):
        phase(exp, RATIO, RATE, block=0)


# -- the predicted diagram --------------------------------------------------------------------------------------------


def test_predicted_boundary_is_the_closed_form():
    """Simultaneous steps, weight decay alone: the critical ratio does not depend on the critic's rate (brief 3b)."""
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


def written(exp, covered):
    """A hand-written simulated diagram over (ratio, critic's rate), of one run per cell."""
    rows, columns = covered.shape
    outcome = np.where(covered, Outcome.COVERED, Outcome.ESCAPED).astype(np.int8)
    ratio = np.linspace(0.0, 0.8, columns)
    rate = np.geomspace(0.01, 0.5, rows)
    ds = xr.Dataset(
        {"outcome": (("second", "first", "run"), outcome[:, :, None], {"long_name": "outcome", "units": "1"})},
        coords={
            "first": ("first", ratio, {"long_name": "generator.kernel.ratio", "log": 0}),
            "second": ("second", rate, {"long_name": "discriminator.learning_rate", "log": 1}),
        },
    )
    return with_shares(ds)


def test_accuracy():
    exp = ring(generator={"learning_rate": 0.07})
    unstable = np.broadcast_to(unstable_at(exp, np.linspace(0.0, 0.8, 9)), (5, 9))
    right = compare_phase(exp, written(exp, ~unstable), mechanisms=["collective instability"])
    assert right["balanced_accuracy"].values.tolist() == [1.0, 1.0] and right["stderr"].values.tolist() == [0.0, 0.0]
    # half of the unstable cells keep their modes: half of the surviving ones are false alarms
    covered = ~unstable
    covered[:2] = True
    table = compare_phase(exp, written(exp, covered), mechanisms=["collective instability"]).sel(mechanism=UNION)
    survivors, alarms = covered.sum(), unstable[:2].sum()
    assert float(table["sensitivity"]) == 1.0
    assert float(table["specificity"]) == pytest.approx(1 - alarms / survivors)
    p = 1 - alarms / survivors
    assert float(table["balanced_accuracy"]) == pytest.approx((1 + p) / 2)
    assert float(table["stderr"]) == pytest.approx(np.sqrt(p * (1 - p) / survivors) / 2)
    one_sided = compare_phase(exp, written(exp, np.ones((5, 9), dtype=bool)), mechanisms=["collective instability"])
    assert np.isnan(one_sided["balanced_accuracy"]).all()


def test_figure():
    exp = ring(generator={"learning_rate": 0.07})
    predicted = phase(exp, RATIO, RATE, block=8)
    simulated = written(exp, np.broadcast_to(np.arange(9) <= 4, (5, 9)))
    compared = compare_phase(exp, simulated)
    ax = plot_phase(predicted, simulated, compared)
    assert ax.get_xlabel() == "generator.kernel.ratio" and ax.get_yscale() == "log"
    above = next(a for a in ax.get_children() if isinstance(a, Legend) and a is not ax.get_legend())
    legend = [t.get_text() for t in above.get_texts()]
    kinds = [t.get_text() for t in ax.get_legend().get_texts()]
    assert kinds == ["covered, .556 of the runs", "escaped, .444 of the runs"]
    wrong = int((compared["lost"] != compared["predicted"].sel(mechanism=UNION)).sum())
    assert any(f"{UNION} wrong: {wrong} of 45 cells" in t for t in legend)
    assert any("collective instability (balanced accuracy" in t for t in legend)
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    assert len(crosses[0].get_xdata()) == wrong
    assert plot_phase(predicted).get_legend() is not None
