"""Error bars of the comparison: calibrated in every kind of record, honest about what is not seen or no match."""

from functools import partial

import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from analyses import comparison_calibration as script
from egan_theory.base.errors import InputError
from egan_theory.comparison.measure import measure
from egan_theory.comparison.modes import Block, Observation, _real_where_real
from egan_theory.experiment.targets import Grid
from egan_theory.fits.joint import Series, project, solve, units
from egan_theory.fits.rounding import rounding
from egan_theory.runs.schema import validate_runs
from tests.analyses.drawing import labelled
from tests.builders import small

#: |z| < 2 in this share of the rows, for some hundred correlated rows
COVERED = (0.85, 1.0)
#: rms z of as many
RMS = (0.5, 1.5)
#: noise-free records that lack some give the same exponents as all to this part of them
SAME = 1e-4
#: a quantity is off beyond so many standard errors and this part of the eigenvalue
SIGMAS, RELATIVE = 3.0, 0.01
KICK = 1e-5


def pair():
    """Two points on a line: modes well apart, three exponents per direction of motion at most."""
    exp = small(
        Grid(side=2, dimension=1), particles=2, penalty={"r1": 1.0}, discriminator={"features": 4},
        generator={"learning_rate": 0.03},
    )  # fmt: skip
    return exp.replace({"run.steps": 300, "run.record_every": 2, "run.runs": 3, "run.kick": KICK})


@pytest.fixture(scope="module")
def runs():
    return eg.simulate(pair())


def bare(runs, x=None, time=None):
    x = runs["particles"].values if x is None else x
    return xr.Dataset(
        {"particles": (runs["particles"].dims, x)}, coords={"time": runs["time"].values if time is None else time}
    )


def modes(table):
    return {q.name: q for q in table.quantities if q.name != "rate"}


def off(table):
    return [q for q in table.quantities if abs(q.z) > SIGMAS and q.relative_error > RELATIVE]


def reasons(table, name):
    return " ".join(u["reason"] for u in table.unmatched if u["name"] == name)


# -- calibration ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise, records, observed", [(0.0, "one missing", "positions"), (0.01, "uneven", "with D")])
def test_error_bars_hold(noise, records, observed):
    """A single run, without noise (only the second order of the kick is left) and with it."""
    name = "ring of 5, Wasserstein, simultaneous"
    ds = script.study(5, 8, (name,), (1,), (noise,), (records,), (observed,))
    assert int(ds["rows"].sum()) >= 70
    assert COVERED[0] <= float(ds["covered"].squeeze()) <= COVERED[1] and RMS[0] <= float(ds["rms"].squeeze()) <= RMS[1]
    assert len(script.table(ds)) == 1 and script.figure(ds).axes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "runs", "noise"),
    [
        ("ring of 5, Wasserstein, simultaneous", (1, 8), (0.0, 0.01)),
        ("grid of 4, logistic, alternating", (8,), (0.001, 0.1)),
    ],
)
def test_error_bars_hold_in_all_conditions(name, runs, noise, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "study", partial(script.study, names=(name,), runs=runs, noise=noise))
    ds = labelled(script, "--seed 6 --draws 10", tmp_path)
    rows = ds["rows"].values
    enough = ds["covered"].values[rows >= 60]
    assert enough.min() >= 0.8 and np.mean(enough) >= 0.9 and np.median(enough) <= 0.99
    assert np.nanmax(ds["rms"].values[rows >= 60]) < 2.0


def test_modes_below_the_noise_are_not_seen():
    """Noise of 10 % of the kick and positions alone: what is compared is right, the rest is listed."""
    exp = pair().replace({"run.runs": 8, "run.seed": 3})
    runs = eg.simulate(exp)
    rng, unseen, z = np.random.default_rng(0), 0, []
    for r in range(8):
        x = runs["particles"].values[r : r + 1]
        table = eg.compare(exp, bare(runs, x + 0.1 * KICK * rng.standard_normal(x.shape)))
        unseen += sum("not seen" in u["reason"] for u in table.unmatched)
        z += [q.z for q in table.quantities]
    assert unseen >= 8 and np.abs(z).max(initial=0) < 4


# -- records ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "missing", [[0], [150], [37], [5, 6, 40, 99], range(1, 150, 3)], ids=["first", "last", "one", "several", "a third"]
)
def test_missing_records_change_nothing(runs, missing):
    everything = modes(eg.compare(pair(), bare(runs)))
    some = modes(eg.compare(pair(), bare(runs).drop_isel(time=list(missing))))
    assert some.keys() == everything.keys() and len(some) >= 4
    assert all(abs(some[n].measured - q.measured) <= SAME * q.scale for n, q in everything.items())
    assert all(q.relative_error <= SAME for q in some.values())


def test_records_that_are_not_finite_are_left_out(runs):
    x = runs["particles"].values.copy()
    x[1, 40], x[0, 70, 1] = np.nan, np.inf
    table = eg.compare(pair(), bare(runs, x))
    assert reasons(table, "incomplete records") == "2 of 151 records hold positions that are not finite"
    assert all(q.relative_error <= SAME for q in modes(table).values()) and len(modes(table)) >= 4


@pytest.mark.parametrize("dtype", ["i1", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"])
def test_steps_that_go_back_are_named_whatever_their_type(runs, dtype):
    time = np.arange(100, dtype=dtype)
    time[60:] = np.arange(50, 90, dtype=dtype)
    ds = bare(runs.isel(time=slice(0, 100)), time=time)
    with pytest.raises(InputError, match=r"^log\.nc: coordinate time: must be increasing, but found 59\S* before 50"):
        validate_runs(ds, "log.nc")


def test_a_trajectory_that_jumps_is_told_and_its_last_part_used(runs):
    """Training that went on from record 50 while 90 was recorded, appended without cutting the recording back."""
    x = runs["particles"].values
    other = eg.simulate(pair().replace({"run.seed": 8}))["particles"].values
    table = eg.compare(pair(), bare(runs, np.concatenate([x[:, :90], other[:, : x.shape[1] - 90]], axis=1)))
    assert "positions jump between 178 and 180" in reasons(table, "records") and "from 180 on" in reasons(
        table, "records"
    )
    assert len(modes(table)) >= 4 and not off(table)
    assert not reasons(eg.compare(pair(), bare(runs)), "records")


# -- rounding ---------------------------------------------------------------------------------------------------------


def shortened(x, kind):
    if kind == "bfloat16":
        return (x.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    if kind.endswith("decimals"):
        return np.round(x, int(kind.split()[0]))
    return x.astype(np.float16).astype(kind.split()[-1])


@pytest.mark.parametrize(
    "kind", ["float16", "float16 in float32", "float16 in float64", "bfloat16", "4 decimals", "5 decimals"]
)
def test_displacements_below_the_rounding_of_positions_are_said(runs, kind):
    table = eg.compare(pair(), bare(runs, shortened(runs["particles"].values, kind)))
    reason = reasons(table, "all modes")
    assert not table.quantities and "rounding" in reason and "displacements" in reason


@pytest.mark.parametrize("kind", ["float32", "9 decimals"])
def test_rounding_well_below_the_kick_is_noise(runs, kind):
    x = runs["particles"].values
    table = eg.compare(pair(), bare(runs, x.astype(np.float32) if kind == "float32" else shortened(x, kind)))
    assert table.quantities and not off(table)


def test_rounding_is_that_of_the_values_not_of_their_type():
    x = np.random.default_rng(0).uniform(0.5, 1, 4000)
    for kind, step in (("float16 in float64", 2.0**-11), ("bfloat16", 2.0**-8), ("6 decimals", 1e-6)):
        assert kind.split(" in ")[0] in rounding(shortened(x, kind))[1]
        assert rounding(shortened(x, kind))[0] == pytest.approx(step, rel=0.01)
    assert rounding(x)[0] == pytest.approx(2.0**-53) and rounding(x.astype(np.float32))[0] == pytest.approx(2.0**-24)
    assert rounding(np.round(x, 5).astype(np.float32))[0] == pytest.approx(1e-5)
    assert rounding(np.zeros(3))[0] == 0


# -- runs of another experiment ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.1, 0.9, 10.0, 0.1])
def test_scaled_times_do_not_pass(runs, scale):
    table = eg.compare(pair(), bare(runs, time=runs["time"].values * scale))
    assert off(table) or "unexplained" in reasons(table, "all modes")
    assert not any(abs(q.z) < SIGMAS for q in modes(table).values() if q.name.endswith("1.re"))


@pytest.mark.parametrize(
    "change",
    [{"generator.learning_rate": 0.033}, {"discriminator.length_scale": 0.55}, {"discriminator.length_scale": 0.45}],
)
def test_ten_per_cent_are_seen(runs, change):
    exp = pair().replace(
        {k: v / 0.5 * pair().discriminator.length_scale if "length" in k else v for k, v in change.items()}
    )
    assert off(eg.compare(exp, bare(runs))) or "unexplained" in reasons(eg.compare(exp, bare(runs)), "all modes")


def test_logs_of_something_else_do_not_pass(runs):
    """Oscillations and drifts that no mode of the experiment has."""
    rng, shape = np.random.default_rng(4), runs["particles"].shape
    t = np.linspace(0, 1, shape[1])[None, :, None, None]
    phase = rng.uniform(0, 6, (shape[0], 1, *shape[2:]))
    x = KICK * (np.exp(-t) * np.cos(40 * t + phase) + t * rng.standard_normal(phase.shape))
    table = eg.compare(pair(), bare(runs, pair().points.coordinates + x))
    assert "unexplained" in reasons(table, "all modes") and "another experiment" in reasons(table, "all modes")
    assert not any(abs(q.z) < SIGMAS for q in table.quantities)


# -- the fit ----------------------------------------------------------------------------------------------------------


def problem(s, rng, T=60, n=3, runs=2):
    """Random shapes with the exponents s (conjugates included), and data of exactly that form at uneven times."""
    t = np.sort(np.r_[0.0, rng.uniform(0, 1, T - 2), 1.0])
    O = rng.standard_normal((n, len(s))) + 1j * rng.standard_normal((n, len(s)))
    for j, x in enumerate(s):
        O[:, j] = O[:, j].real if np.isreal(x) else O[:, j]
    for j, x in enumerate(s):
        if np.imag(x) < 0:
            O[:, j] = O[:, list(s).index(np.conj(x))].conj()
    c = rng.standard_normal((runs, len(s))) + 0j
    for j, x in enumerate(s):
        if np.imag(x) < 0:
            c[:, j] = c[:, list(s).index(np.conj(x))].conj()
    y = np.einsum("nj,rj,tj->rtn", O, c, np.exp(np.outer(t, s))).real
    return Series(t, y, tuple(units(np.array(s, dtype=complex), O, np.ones(len(s), bool))))


EXPONENTS = [-2 + 9j, -2 - 9j, -3 + 14j, -3 - 14j, -4.0, -1.0]


def test_exponents_are_recovered_at_uneven_times():
    p = problem(EXPONENTS, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    start = p.start * (1 + 0.05 * rng.standard_normal(len(p.start)))
    fit = solve(p, start, range(len(p.units)))
    assert fit.cost < 1e-20 and np.allclose(fit.p, p.start, rtol=1e-8)


@pytest.mark.parametrize("shown", [[1, 0, 1], [0, 1, 1], [1, 1, 1]])
def test_exponents_taken_for_one_are_known_to_their_distance(shown):
    """Beside a fast mode two slow ones count as one exponent; which of them a run shows is up to its kick."""
    rng, t = np.random.default_rng(5), np.linspace(0, 1, 80)
    s, O = np.array([-0.3, -0.3 - 1.8e-6, -20.0]), rng.standard_normal((4, 3))
    c = rng.uniform(1, 2, (3, 3)) * shown
    y = np.einsum("nj,rj,tj->rtn", O, c, np.exp(np.outer(t, s)))
    seen = Observation(t, s.astype(complex), np.ones(3, bool), (Block("particles", y, O + 0j),), 0.0, 1.0, (), "1/step")
    slow, _ = measure(seen).modes
    assert slow.predicted == pytest.approx(s[:2].mean(), abs=1e-15)
    assert abs(slow.measured - slow.predicted) < 1.5 * slow.stderr.real < 2e-6


@pytest.mark.parametrize("s", [EXPONENTS, [-2 + 1e-6j, -2 - 1e-6j, -5.0], [-2.0, -2.001, -5.0]])
def test_jacobian_is_the_slope_of_the_cost(s):
    """d cost/dp = 2 J^T residual, exact for Kaufman's Jacobian: against central differences, also about coalescence."""
    rng, h = np.random.default_rng(3), 1e-5
    p = problem(s, rng)
    p = Series(p.t, p.y + 0.1 * rng.standard_normal(p.y.shape), p.units)
    chosen = range(len(p.units))
    at = p.start + 0.1
    fit = project(p, at, chosen)
    slope = 2 * np.einsum("rqf,qr->f", fit.jacobian, fit.across.T @ fit.residual)
    for k in range(len(at)):
        step = h * np.eye(len(at))[k]
        difference = (project(p, at + step, []).cost - project(p, at - step, []).cost) / (2 * h)
        assert slope[k] == pytest.approx(difference, rel=1e-4, abs=1e-6 * fit.cost)


def test_double_real_modes_that_rounding_makes_complex_are_real():
    """cos and sin of a wave on a box decay alike: their eigenvalue is double and real, and a solver may return it as a
    pair with an imaginary part of 1e-17."""
    w = 0.3
    J = np.array([[-0.1, w], [-w, -3.0]])  # two real eigenvalues, twice
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((4, 4)))[0]
    T = turn @ np.kron(np.eye(2), J) @ turn.T
    exact = np.sort(np.linalg.eigvals(J).real)
    values, vectors = np.linalg.eig(T)
    slow = np.flatnonzero(np.abs(values - exact[1]) < 1e-9)
    a, b = vectors[:, slow].real.T
    mixed = vectors.astype(complex)
    mixed[:, slow[0]], mixed[:, slow[1]] = a + 1j * b, a - 1j * b
    made = values.astype(complex)
    made[slow] = exact[1] + 1e-17j * np.array([1, -1])
    mended, shapes = _real_where_real(made, mixed)
    assert not mended.imag.any() and not shapes[:, slow].imag.any()
    assert np.linalg.matrix_rank(shapes[:, slow].real, tol=1e-6) == 2
    np.testing.assert_allclose(T @ shapes, shapes * mended, atol=1e-12)
