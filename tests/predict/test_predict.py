"""Predictions: the spectrum's Dataset and JSON form, best strengths against brute force, scaling laws."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egan_theory.base.errors import InputError
from egan_theory.base.netcdf import save
from egan_theory.experiment.targets import Grid, Ring, Uniform
from egan_theory.linear import linearize
from egan_theory.predict.asymptotic import convergence_rate, fastest_strength, rates_over
from egan_theory.predict.regularizer import binding_modes
from egan_theory.predict.spectrum import spectrum, spectrum_json
from egan_theory.runs.reading import open_runs
from egan_theory.tables.penalties import WGAN_GP_REASON
from tests.builders import small
from tests.stepjac import at_equilibrium, field_jacobian, mismatch, step_jacobian

#: eigenvalues and closed forms computed twice, relative
SAME = 1e-9
#: position of a maximum found by zooming in on it; a cusp is met linearly, a smooth top to the root of rounding
STRENGTH = 1e-4
#: rate at such a maximum
RATE = 1e-5
#: scaling laws: the softest mode's beta is known to rounding times the ratio of the stiffest to it
SPREAD = 1e-6
#: rates of modes that bind, as stated by the result
BINDING = 0.01

FLOW = {"rule": "flow"}


#: independent particles: the modes commute with any penalty
APART = {"kernel": {"ratio": 0.0}}


def ring(**tables):
    return small(Ring(modes=4), **tables)


#: name: experiment; P = 8 features and 8 coordinates unless said otherwise
EXPERIMENTS = {
    "flow": ring(update=FLOW, penalty={"r1": 0.3}),
    "simultaneous": ring(penalty={"r1": 0.5, "weight_decay": 0.1}),
    "alternating heavy ball": ring(
        update={"rule": "alternating", "critic_steps": 2, "momentum_discriminator": 0.3}, penalty={"weight_decay": 0.2}
    ),
    "optimistic": ring(loss="logistic", update={"rule": "optimistic"}),
    "redundant particles": ring(particles=12, penalty={"r1": 0.3}, update={"rule": "extragradient"}),
    "many features": ring(discriminator={"features": 30}, penalty={"r1": 0.3}),
    "collective": ring(generator={"kernel": {"ratio": 0.4}}, loss="least_squares", penalty={"consensus": 0.1}),
    "box": small(Uniform(side=7), particles=7, discriminator={"features": 0, "length_scale": 0.2}, update=FLOW),
    "square": small(
        Uniform(side=3, dimension=2), particles=18, loss="logistic", discriminator={"features": 0, "length_scale": 0.2}
    ),
    "exact kernel": ring(discriminator={"features": 0}, penalty={"r1": 0.2}, update=FLOW),
    "masses that do not match": small(
        Ring(modes=3), particles=4, penalty={"weight_decay": 0.5}, discriminator={"features": 20}
    ),
}


@pytest.fixture(params=EXPERIMENTS)
def exp(request):
    return EXPERIMENTS[request.param]


# -- spectrum ---------------------------------------------------------------------------------------------------------


def test_spectrum_dataset(exp):
    ds = spectrum(exp)
    unit = "1/time" if exp.update.rule == "flow" else "1/step"
    for name, variable in ds.variables.items():
        assert variable.dims == ("mode",) and variable.attrs["long_name"], name
        assert variable.attrs["units"] == (unit if name.startswith("eigenvalue") else variable.attrs["units"])
    assert ds["wavenumber"].attrs["units"] == "1/length" and ds["damping_ratio"].attrs["units"] == "1"
    assert np.all(np.diff(-ds["eigenvalue_re"].values) >= 0)  # slowest first
    z = ds["multiplier_re"].values + 1j * ds["multiplier_im"].values
    s = ds["eigenvalue_re"].values + 1j * ds["eigenvalue_im"].values
    # the multiplier is exp(s), also where s is -inf
    np.testing.assert_allclose(np.abs(z), np.exp(s.real), rtol=SAME)
    np.testing.assert_allclose(z, np.where(np.isfinite(s), np.exp(np.where(np.isfinite(s), s, 0)), 0), atol=SAME)
    assert set(np.unique(ds["regime"].values)) <= {"underdamped", "critical", "overdamped"}
    assert np.array_equal(ds["regime"].values == "underdamped", ds["eigenvalue_im"].values != 0)
    for key in ("method", "assumptions", "rule", "zero_modes", "stable", "slowest_rate", "margin"):
        assert key in ds.attrs
    assert ds.attrs["rule"] == exp.update.rule and ("spectral_radius" in ds.attrs) == (exp.update.rule != "flow")
    assert type(exp).from_toml_string(ds.attrs["experiment"]) == exp


def test_multiplicities_fill_the_state(exp):
    """Every coordinate of (w, x, memory) is in one mode or is a zero mode."""
    ds = spectrum(exp)
    _, w, x = at_equilibrium(exp)
    memory = sum({"w": w, "x": x}[block].size for block in exp.update_rule.blocks)
    assert int(ds["multiplicity"].sum()) + ds.attrs["zero_modes"] == w.size + x.size + memory


def test_wavenumbers_of_the_box():
    ds = spectrum(EXPERIMENTS["box"])
    k = ds["wavenumber"].values
    assert np.isin(np.rint(k[np.isfinite(k)] / (2 * np.pi)), [1, 2, 3]).all()
    assert np.allclose(k[np.isfinite(k)] % (2 * np.pi), 0) and np.isfinite(k).sum() >= 6


@pytest.mark.parametrize("eta", [0.3, 3.0, 9.0])
@pytest.mark.parametrize("rule", ["simultaneous", "alternating", "optimistic", "extragradient"])
def test_stability_is_that_of_the_simulated_step(rule, eta):
    """No zero modes here: stable exactly if every multiplier of the step lies inside the unit circle."""
    exp = ring(
        penalty={"weight_decay": 0.3},
        update={"rule": rule},
        discriminator={"learning_rate": eta},
        generator={"learning_rate": 0.5 * eta},
    )
    ds = spectrum(exp)
    radius = np.abs(np.linalg.eigvals(step_jacobian(exp))).max()
    assert ds.attrs["zero_modes"] == 0 and abs(radius - 1) > 1e-6
    assert ds.attrs["spectral_radius"] == pytest.approx(radius, rel=SAME)
    assert ds.attrs["margin"] == pytest.approx(1 - radius, rel=SAME, abs=SAME)
    assert ds.attrs["slowest_rate"] == pytest.approx(-np.log(radius), rel=SAME, abs=SAME)
    assert bool(ds.attrs["stable"]) == (radius < 1)


def test_both_verdicts_occur():
    stable = [
        spectrum(ring(penalty={"weight_decay": 0.3}, discriminator={"learning_rate": eta})).attrs["stable"]
        for eta in (0.3, 9.0)
    ]
    assert stable == [1, 0]


def test_flow_stability():
    damped = spectrum(ring(update=FLOW, penalty={"weight_decay": 0.3}))
    free = spectrum(ring(update=FLOW))
    assert damped.attrs["stable"] == 1 and damped.attrs["margin"] == damped.attrs["slowest_rate"] > 0
    assert free.attrs["stable"] == 0 and np.abs(free["eigenvalue_re"].values).max() < 1e-12


def numbers_only(value):
    if isinstance(value, dict):
        return all(numbers_only(v) for v in value.values())
    if isinstance(value, list):
        return all(numbers_only(v) for v in value)
    return value is None or type(value) in (str, int, bool, float)


def test_spectrum_json(exp):
    out = spectrum_json(spectrum(exp))
    assert json.loads(json.dumps(out, allow_nan=False)) == out and numbers_only(out)
    assert {"eigenvalues", "zero_modes", "stable", "slowest_rate"} <= set(out)
    assert type(out["zero_modes"]) is int and type(out["stable"]) is bool and type(out["slowest_rate"]) is float
    assert ("spectral_radius" in out) == (exp.update.rule != "flow")
    for row in out["eigenvalues"]:
        assert {"re", "im", "multiplicity", "damping_ratio", "regime"} <= set(row)
        assert type(row["multiplicity"]) is int and row["regime"] in ("underdamped", "critical", "overdamped")


def test_dead_beat_is_null_in_json():
    """eta_D nu = 1: a weight that no particle sees is gone after one step, log 0 is no JSON number."""
    exp = ring(discriminator={"features": 30, "learning_rate": 0.5}, penalty={"weight_decay": 2.0})
    out = spectrum_json(spectrum(exp))
    dead = [row for row in out["eigenvalues"] if row["re"] is None]
    assert [row["multiplier_re"] for row in dead] == [0.0] and dead[0]["multiplicity"] == 30 - 8
    json.dumps(out, allow_nan=False)


def test_spectrum_is_saved_and_read(tmp_path):
    import xarray as xr

    ds = spectrum(EXPERIMENTS["collective"])
    save(ds, tmp_path / "spectrum.nc")
    with xr.open_dataset(tmp_path / "spectrum.nc", engine="h5netcdf") as read:
        assert read.load().identical(ds)
    with pytest.raises(InputError, match="variable particles: must be present"):
        open_runs(tmp_path / "spectrum.nc")


# -- best strength ----------------------------------------------------------------------------------------------------


def zoom(exp, penalty, low, high, points=21, rounds=7):
    """(strength, rate) of the largest rate by scans that close in on it."""
    for _ in range(rounds):
        s = np.geomspace(low, high, points)
        rates = rates_over(exp, penalty, s)
        i = int(np.nanargmax(rates))
        low, high = s[max(i - 1, 0)], s[min(i + 1, points - 1)]
    return s[i], rates[i]


CLOSED = {
    "r1": (ring(update=FLOW, generator=APART), "r1"),
    "r2": (ring(update=FLOW, generator=APART), "r2"),
    "multiplier": (ring(update=FLOW, generator=APART), "multiplier"),
    "sobolev": (ring(update=FLOW, generator=APART, loss="sobolev"), "multiplier"),
    "weight decay": (ring(update=FLOW, generator=APART), "weight_decay"),
    "weight decay, collective": (ring(update=FLOW, generator={"kernel": {"ratio": 0.4}}), "weight_decay"),
    "hinge": (ring(update=FLOW, generator=APART, loss="hinge"), "r1"),
    "mean": (ring(update=FLOW, generator={"normalisation": "mean", **APART}), "r1"),
    "two particles each": (small(Ring(modes=3), particles=6, update=FLOW, generator=APART), "r1"),
    "box": (EXPERIMENTS["box"], "r1"),
    "exact kernel": (ring(update=FLOW, generator=APART, discriminator={"features": 0}), "r1"),
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_form_is_the_maximum(name):
    exp, penalty = CLOSED[name]
    best = fastest_strength(exp, penalty)
    assert best.method == "closed-form" and best.penalty == penalty
    strength, rate = zoom(exp, penalty, best.best / 100, best.best * 100)
    assert best.rate == pytest.approx(rate, rel=RATE)
    assert best.best == pytest.approx(strength, rel=STRENGTH)


def test_closed_form_in_the_simulators_own_jacobian():
    """Not one formula of the theory: rates from complex-step Jacobians at and around the strength."""
    exp = ring(update=FLOW, generator=APART)
    best = fastest_strength(exp, "r1")

    def rate(strength):
        J = field_jacobian(*at_equilibrium(exp.replace({"penalty.r1": strength})))
        return -np.linalg.eigvals(J).real.max()

    # two eigenvalues coalesce at the best strength: there eigvals loses half the digits
    assert rate(best.best) == pytest.approx(best.rate, rel=1e-6)
    assert rate(0.97 * best.best) < best.rate > rate(1.03 * best.best)


NUMERICAL = {
    "kappa": (ring(update=FLOW, loss="logistic"), "r1"),
    "steps": (ring(penalty={}), "r1"),
    "alternating, kappa": (ring(update={"rule": "alternating"}, loss="logistic"), "r1"),
    "momentum": (ring(update={"rule": "simultaneous", "momentum_discriminator": 0.4}), "r1"),
    "optimistic": (ring(update={"rule": "optimistic"}), "weight_decay"),
    "collective": (ring(update=FLOW, generator={"kernel": {"ratio": 0.3}}), "r1"),
    "with weight decay": (ring(update=FLOW, penalty={"weight_decay": 1e-3}), "r2"),
    "fisher": (ring(update=FLOW, loss="sobolev", penalty={"alpha": 0.5}), "multiplier"),
    "consensus": (ring(), "consensus"),
    "box": (small(Uniform(side=7), particles=7, discriminator={"features": 0, "length_scale": 0.2}), "r1"),
}


@pytest.mark.parametrize("name", NUMERICAL)
def test_numerical_optimum_is_the_maximum(name):
    """No strength of a fine scan over six decades, nor of one close by, is better."""
    exp, penalty = NUMERICAL[name]
    best = fastest_strength(exp, penalty)
    assert best.method == "numerical" and best.rate > 0
    rates = rates_over(exp, penalty, best.best * np.geomspace(1e-3, 1e3, 200))
    assert np.nanmax(rates) <= best.rate * (1 + RATE)
    near, rate = zoom(exp, penalty, best.best / 1.05, best.best * 1.05)
    assert rate <= best.rate * (1 + RATE) and rate >= best.rate * (1 - RATE)
    assert near == pytest.approx(best.best, rel=1e-2)
    assert convergence_rate(exp.replace({f"penalty.{penalty}": best.best})) == pytest.approx(best.rate, rel=SAME)


@pytest.mark.parametrize("case", ["r1", "weight decay, collective"])
def test_closed_form_and_numerical_route_agree(case, monkeypatch):
    exp, penalty = CLOSED[case]
    closed = fastest_strength(exp, penalty)
    monkeypatch.setattr("egan_theory.predict.asymptotic._closed_form", lambda bare, key: None)
    numerical = fastest_strength(exp, penalty)
    assert (closed.method, numerical.method) == ("closed-form", "numerical")
    assert numerical.best == pytest.approx(closed.best, rel=STRENGTH)
    assert numerical.rate == pytest.approx(closed.rate, rel=RATE)


@pytest.mark.parametrize("name", ["r1", "weight decay", "kappa", "collective", "steps"])
def test_binding_modes(name):
    exp, penalty = (CLOSED | NUMERICAL)[name]
    best = fastest_strength(exp, penalty)
    half, double = rates_over(exp, penalty, [best.best / 2, 2 * best.best])
    assert best.rate > max(half, double)
    modes = binding_modes(exp.replace({f"penalty.{penalty}": best.best}))
    assert len(modes) >= 1
    for mode in modes:
        # a coalescing pair is resolved to the root of rounding only
        assert -mode["re"] == pytest.approx(best.rate, rel=BINDING + 1e-6)
    np.testing.assert_allclose(best.rates, rates_over(exp, penalty, best.strengths), rtol=SAME)
    assert best.strengths[0] < best.best < best.strengths[-1]


def test_r1_binds_both_ends_of_the_spectrum():
    """At the best strength the stiffest mode's slow branch and the softest mode decay alike."""
    exp, penalty = CLOSED["r1"]
    modes = binding_modes(exp.replace({"penalty.r1": fastest_strength(exp, penalty).best}))
    assert sorted({m["regime"] for m in modes}) == ["overdamped", "underdamped"]


def test_more_damping_may_only_slow_down():
    """Already overdamped by R1: the best weight decay is none."""
    best = fastest_strength(ring(update=FLOW, penalty={"r1": 300.0}), "weight_decay")
    assert best.best == 0.0
    assert best.rate == convergence_rate(ring(update=FLOW, penalty={"r1": 300.0}))
    json.dumps(best.to_dict(), allow_nan=False)


def test_progress_counts_the_scan():
    seen = []
    best = fastest_strength(*NUMERICAL["kappa"], progress=lambda i, n: seen.append((i, n)))
    n = len(best.strengths)
    assert seen == [(i + 1, n) for i in range(n)]


def test_refusals():
    with pytest.raises(InputError, match=r"penalty\.wgan_gp: must") as error:
        fastest_strength(ring(), "wgan_gp")
    assert WGAN_GP_REASON in str(error.value)
    # polynomials without a gradient at the origin: nothing moves
    still = small(
        Grid(side=1),
        particles=1,
        discriminator={"kernel": "polynomial", "offset": 0.0, "features": 0},
        penalty={"weight_decay": 0.1},
    )
    with pytest.raises(InputError, match="must have modes that move the particles"):
        fastest_strength(still, "r1")


# -- scaling laws -----------------------------------------------------------------------------------------------------

factor = st.floats(0.05, 20)
seeds = st.integers(0, 1000)
few = settings(max_examples=4, deadline=None)


def drawn(seed):
    return ring(update=FLOW, generator=APART, discriminator={"seed": seed})


#: field: (power of the factor in the best R1 strength, in the rate); flow, kappa = nu = 0
LAWS = {
    ("generator.learning_rate",): (0.5, 0.5),
    ("generator.kernel.diagonal",): (0.5, 0.5),
    ("discriminator.learning_rate",): (-0.5, 0.5),
    ("generator.learning_rate", "discriminator.learning_rate"): (0.0, 1.0),
    ("discriminator.variance",): (-0.5, 0.5),
    ("target.radius", "discriminator.length_scale"): (1.0, -1.0),
}


@pytest.mark.parametrize("fields", LAWS)
@given(seed=seeds, a=factor)
@few
def test_best_r1_scales(fields, seed, a):
    """lambda* eta_D = 2 sqrt(G / beta) * g(spectrum shape), rate* = sqrt(G beta) * h(shape)."""
    exp = drawn(seed)
    strength, rate = LAWS[fields]
    scaled = fastest_strength(exp.replace({f: a * exp.get(f) for f in fields}), "r1")
    base = fastest_strength(exp, "r1")
    assert scaled.best == pytest.approx(base.best * a**strength, rel=SPREAD)
    assert scaled.rate == pytest.approx(base.rate * a**rate, rel=SPREAD)


@given(seed=seeds, a=factor, loss=st.sampled_from(["wasserstein", "logistic", "least_squares"]))
@settings(max_examples=15, deadline=None)
def test_unit_of_time(seed, a, loss):
    """Both learning rates times a: every eigenvalue of the flow times a, whatever the penalties and phi."""
    exp = ring(
        update=FLOW,
        loss=loss,
        penalty={"r1": 0.3, "weight_decay": 0.2, "consensus": 0.1},
        generator={"kernel": {"ratio": 0.3}},
        discriminator={"seed": seed},
    )
    etas = ("generator.learning_rate", "discriminator.learning_rate")
    scaled = exp.replace({f: a * exp.get(f) for f in etas})

    def values(e):
        ds = spectrum(e)
        return np.repeat(ds["eigenvalue_re"].values + 1j * ds["eigenvalue_im"].values, ds["multiplicity"].values)

    assert mismatch(values(scaled), a * values(exp)) <= 1e-7
    assert convergence_rate(scaled) == pytest.approx(a * convergence_rate(exp), rel=1e-6)


@given(seed=seeds, a=factor)
@few
def test_strength_of_the_damping(seed, a):
    """Weight decay alone: lambda* eta_D = 2 w_min, so four times the generator's rate doubles it."""
    exp = drawn(seed)
    w_min = np.sqrt(np.linalg.det(linearize(exp).blocks).min())
    best = fastest_strength(exp, "weight_decay")
    assert best.best * exp.discriminator.learning_rate == pytest.approx(2 * w_min, rel=SAME)
    scaled = fastest_strength(exp.replace({"generator.learning_rate": a * exp.generator.learning_rate}), "weight_decay")
    assert scaled.best == pytest.approx(np.sqrt(a) * best.best, rel=SPREAD)
