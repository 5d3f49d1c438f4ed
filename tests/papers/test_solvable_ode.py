"""The macroscopic ODE: against its SymPy derivation, against sampled averages, its conservation laws and end states."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import roots_hermitenorm

from egan_theory.base.errors import InputError
from egan_theory.papers.solvable import SETTING_E, SETTING_R, Quadrature, Solvable, State, derivation, solve_ode
from egan_theory.papers.solvable.ode import averages, drift
from egan_theory.papers.solvable.records import dataset_state
from egan_theory.papers.solvable.state import gram

#: z, S_ll and the Gram matrix may leave their bounds by this much, accumulated over a run
CONSERVED = 1e-6
ROUNDING = 1e-12
#: end states of the table, to the digits given there
TABLE = 1e-3
#: sums over Gaussian nodes of tanh for the widths used here, and the adaptive quadrature they are compared with
QUADRATURE = 1e-11
#: values of a limit cycle, which the table gives as "about"
ABOUT, BEAT = 0.015, 0.04


def random_state(rng, d, hard):
    U = np.linalg.qr(rng.standard_normal((3 * d + 2, d)))[0]
    V, w = rng.standard_normal(U.shape), rng.standard_normal(len(U))
    if hard:
        V, w = V / np.linalg.norm(V, axis=0), w / np.linalg.norm(w)
    return State(U.T @ V, U.T @ w, V.T @ w, V.T @ V, np.array(w @ w))


@given(st.integers(1, 2), st.booleans(), st.booleans(), st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_drift_is_the_derived_one(d, hard, sampling_noise, seed):
    """The vectorised drift equals Isserlis' theorem on one step of the updates."""
    rng = np.random.default_rng(seed)
    L, Lt = rng.uniform(0.5, 5, d), rng.uniform(0.5, 5, d)
    m = Solvable(
        Lambda=L, fake_Lambda=Lt, noise=rng.uniform(0, 4), fake_noise=rng.uniform(0.1, 4), tau=rng.uniform(0.05, 0.5),
        taut=rng.uniform(0.01, 0.5), constraint="hard" if hard else "x - 1", strength=1.7,
    )  # fmt: skip
    state, s = random_state(rng, d, hard), derivation.symbols(d)
    rates = derivation.drift(d, "hard" if hard else "penalty", sampling_noise)
    multipliers = {s.mu: 1.7 * (state.z - 1)} | dict(zip(s.D, 1.7 * (np.diag(state.S) - 1), strict=True))
    values = dict(zip(s.state, state.pack(), strict=True)) | dict(zip([*s.L, *s.Lt], [*L, *Lt], strict=True))
    values |= {derivation.tau: m.tau, derivation.taut: m.taut, derivation.eta_T: m.eta_T, derivation.eta_G: m.eta_G}
    arguments = list((multipliers | values).items())
    expected = sp.lambdify([k for k, _ in arguments], rates)(*(v for _, v in arguments)).ravel()
    found = drift(m, state, sampling_noise=sampling_noise).pack()
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING * max(1, np.abs(expected).max()))


def test_expectation_of_gaussian_products():
    """Second moments, in either order of a pair; odd moments vanish, constants stay."""
    x, y, v, c, b = sp.symbols("x y v c b")
    cov = {(x, x): v, (x, y): c}
    assert derivation.gaussian_expectation((x + b) ** 2 + 3 * y * x + y**2, cov) == v + b**2 + 3 * c
    assert derivation.gaussian_expectation(b * x + b, cov) == b


def test_one_feature_in_units():
    """The reduced system is that of the paper's model: its block, trace and determinant on the line."""
    a, k, P = derivation.alpha, derivation.k, derivation.P
    at = derivation.one_feature_jacobian().subs(dict.fromkeys(derivation.ONE[1:], 0))
    block = at[1:, 1:]
    assert at[0, :].is_zero_matrix
    assert sp.expand(block.trace() - (a - 2 * k)) == 0
    assert sp.expand(block.det() - (P**2 - (1 - k) * (1 + k - a))) == 0


@pytest.mark.parametrize("latent", ["gaussian", "rademacher", Quadrature((-2.0, 0.0, 2.0), (0.125, 0.75, 0.125))])
@pytest.mark.parametrize("profile", ["identity", "tanh", lambda x: x / (1 + x**2)])
def test_averages_against_samples(latent, profile):
    """<f c>, <f'>, <f^2>, <x f> against 5 x 10^4 samples, within 5 standard errors."""
    m = Solvable(latent=latent, nonlinearity=profile)
    rng = np.random.default_rng(3)
    overlap, z, samples = np.array([0.5, -0.4]), 1.3, 50_000
    if latent == "gaussian":
        c = rng.standard_normal((samples, 2))
    else:
        c = rng.choice(m.law.nodes, p=m.law.weights, size=(samples, 2))
    c = c * np.sqrt(m.L)
    x = c @ overlap + np.sqrt(m.eta_T * z) * rng.standard_normal(samples)
    f = m.profile.f(x)
    found = averages(m, overlap, m.L, m.eta_T, np.array(z))
    for value, drawn in zip(found, (f[:, None] * c, m.profile.df(x), f**2, x * f), strict=True):
        error = drawn.std(0) / np.sqrt(samples)
        np.testing.assert_array_less(np.abs(value - drawn.mean(0)), 5 * error + ROUNDING)


def test_gaussian_nodes_against_adaptive_quadrature():
    """For a width where tanh is hard to integrate; Gauss-Hermite gives the same to its lesser accuracy."""
    m = Solvable(nonlinearity="tanh", Lambda=(5.0,), noise=4.0)
    found = averages(m, np.array([0.9]), m.L, m.eta_T, np.array(1.0))
    sd = np.sqrt(0.81 * 5 + 4)

    def mean(f):
        return quad(lambda t: f(sd * t) * np.exp(-t * t / 2) / np.sqrt(2 * np.pi), -12, 12, epsabs=1e-13, limit=400)[0]

    f1 = mean(lambda x: 1 / np.cosh(x) ** 2)
    np.testing.assert_allclose(found.f1, f1, atol=QUADRATURE)
    np.testing.assert_allclose(found.f2, mean(lambda x: np.tanh(x) ** 2), atol=QUADRATURE)
    np.testing.assert_allclose(found.xf, mean(lambda x: x * np.tanh(x)), atol=QUADRATURE)
    np.testing.assert_allclose(found.g, f1 * 5 * 0.9, atol=10 * QUADRATURE)
    nodes, weights = roots_hermitenorm(120)
    np.testing.assert_allclose(found.f2, np.tanh(sd * nodes) ** 2 @ weights / weights.sum(), atol=1e-3)


def test_latent_nodes_of_the_gaussian_give_the_gaussian():
    """The two routes to one law: Stein's lemma, and a quadrature over c of the same Gaussian."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    law = Quadrature(tuple(nodes), tuple(weights / weights.sum()))
    direct, summed = (Solvable(nonlinearity="tanh", latent=latent) for latent in ("gaussian", law))
    for a, b in zip(drift(direct, SETTING_E.start), drift(summed, SETTING_E.start), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)


def test_identity_knows_the_second_moments_only():
    """A linear discriminator cannot tell latent laws of one variance apart; tanh can."""
    linear = [solve_ode(SETTING_E.replace({"latent": law, "time": 10.0})) for law in ("gaussian", "rademacher")]
    np.testing.assert_array_equal(linear[0]["P"], linear[1]["P"])
    curved = [solve_ode(SETTING_E.replace({"latent": law, "time": 10.0, "nonlinearity": "tanh"}))
              for law in ("gaussian", "rademacher")]  # fmt: skip
    assert np.abs(curved[0]["P"] - curved[1]["P"]).max() > 1e-3


def test_small_scores_make_every_profile_linear():
    """tanh(a x)/a -> x as a -> 0, at the order a^2."""
    errors = []
    for a in (0.02, 0.01):
        curved = Solvable(nonlinearity=lambda x, a=a: sp.tanh(a * x) / a)
        errors.append(np.abs(drift(curved, SETTING_E.start).pack() - drift(Solvable(), SETTING_E.start).pack()).max())
    assert errors[0] < 0.02 and errors[0] / errors[1] == pytest.approx(4, rel=0.02)


@pytest.mark.parametrize(
    ("noise", "diagonal", "q_rms"),
    [(2.0, (0.939, 0.921), None), (4.0, (0.745, 0.100), None), (1.0, (0.93, 0.86), (0.30, 0.26))],
)
def test_three_regimes_of_setting_r(noise, diagonal, q_rms):
    """The table's end states: success, mode collapse (the second overlap stays at its start), oscillation.

    The oscillation beats slowly: over 600 to 1000 its q rms is 0.28 and 0.29, over 1000 to 2000 0.30 and 0.27.
    """
    cycle = q_rms is not None
    m = SETTING_R.replace({"noise": noise, "record": 2001, "time": 1000.0 if cycle else 400.0})
    ds = solve_ode(m, rtol=1e-7, atol=1e-9).isel(run=0)
    P = ds["P"].values[-1]
    if not cycle:
        np.testing.assert_allclose(np.diag(P), diagonal, rtol=0, atol=TABLE)
        assert np.abs(P - np.diag(np.diag(P))).max() <= 0.021 + TABLE / 2
        assert np.abs(ds["q"].values[-1]).max() < TABLE
    else:
        late = ds.sel(time=slice(600, None))
        np.testing.assert_allclose(np.diag(late["P"].mean("time")), diagonal, atol=ABOUT)
        np.testing.assert_allclose(np.sqrt((late["q"] ** 2).mean("time")), q_rms, atol=BEAT)
        assert np.abs(late["q"].values[-100:]).max() > 0.3


@pytest.mark.parametrize("changes", [{}, {"noise": 1.0}, {"nonlinearity": "tanh"}, {"constraint": "x - 1"}])
def test_conservation_and_bounds(changes):
    """Hard: z = S_ll = 1. Always: the Gram matrix stays one, so that |P_lm|^2 <= S_mm and |q_l|^2 <= z."""
    ds = solve_ode(SETTING_E.replace(changes))
    state = dataset_state(ds)
    assert ds.attrs["status"] == "finished" and ds.attrs["gram_minimum"] > -CONSERVED
    assert ds.attrs["gram_minimum"] == pytest.approx(np.linalg.eigvalsh(gram(state)).min())
    norms = np.diagonal(state.S, axis1=-2, axis2=-1)
    assert np.all(state.P**2 <= norms[..., None, :] + CONSERVED) and np.all(
        state.q**2 <= state.z[..., None] + CONSERVED
    )
    np.testing.assert_allclose(state.S, np.swapaxes(state.S, -1, -2), rtol=0, atol=ROUNDING)
    if "constraint" in changes:
        assert np.abs(state.z - 1).max() > 0.1
    else:
        assert max(np.abs(state.z - 1).max(), np.abs(norms - 1).max()) == ds.attrs["conservation"] < CONSERVED


def test_without_sampling_noise_success_becomes_oscillation():
    """The tau^2 term is what lets eta = 2 settle."""
    m = SETTING_E.replace({"record": 201, "time": 150.0})
    settled, cycling = (solve_ode(m, sampling_noise=on).isel(run=0).sel(time=slice(120, None)) for on in (True, False))
    rms = [float(np.sqrt((ds["q"] ** 2).sum("feature").mean())) for ds in (settled, cycling)]
    assert rms[0] < 1e-3 and rms[1] > 0.5


def test_mirror_images():
    """w -> -w and V -> -V are symmetries; so is a relabelling of the features."""
    m = SETTING_E.replace({"time": 20.0, "record": 41})
    ds = solve_ode(m).isel(run=0)
    P, q = np.array(m.P0), np.array(m.q0)
    tolerance = 1e-6
    flipped = solve_ode(m.replace({"q0": -q})).isel(run=0)
    np.testing.assert_allclose(flipped["P"], ds["P"], atol=tolerance)
    np.testing.assert_allclose(flipped["q"], -ds["q"], atol=tolerance)
    mirrored = solve_ode(m.replace({"P0": -P})).isel(run=0)
    np.testing.assert_allclose(mirrored["P"], -ds["P"], atol=tolerance)
    swapped = solve_ode(m.replace({"P0": P[::-1, ::-1], "q0": q[::-1], "Lambda": (3.0, 5.0)})).isel(run=0)
    np.testing.assert_allclose(swapped["P"].values, ds["P"].values[:, ::-1, ::-1], atol=tolerance)


def test_strong_penalty_is_the_hard_constraint():
    """lam -> infinity, at the order 1/lam."""
    m = SETTING_E.replace({"time": 10.0})
    hard = solve_ode(m)["P"].values
    errors = [
        np.abs(solve_ode(m.replace({"constraint": "x - 1", "strength": lam}))["P"].values - hard).max()
        for lam in (100.0, 200.0)
    ]
    assert errors[0] < 0.02 and errors[0] / errors[1] == pytest.approx(2, rel=0.1)


def test_tolerance_is_kept():
    m = SETTING_E.replace({"time": 40.0, "noise": 1.0})
    fine, coarse = (solve_ode(m, rtol=rtol, atol=rtol / 100)["P"].values for rtol in (1e-11, 1e-7))
    assert 0 < np.abs(fine - coarse).max() < 1e-4


def test_a_weak_bounded_penalty_diverges():
    """tanh(x - 1) pulls with at most lam: too weak a one lets w grow without bound, which is a result."""
    m = SETTING_R.replace({"constraint": "tanh(x - 1)", "strength": 0.1, "noise": 3.0, "taut": 0.001, "time": 200.0})
    ds = solve_ode(m)
    assert ds.attrs["status"].startswith("diverged at ")
    t = float(ds.attrs["status"].removeprefix("diverged at "))
    finite = np.isfinite(ds["z"].values[0])
    np.testing.assert_array_equal(finite, ds["time"].values < t)
    assert ds["z"].values[0][finite][-1] > 100


def test_a_course_of_which_rounding_sets_the_pace_is_given_up_soon():
    """Rates 1e20 apart: steps that do not grow, 2,000 times 20,000 evaluations."""
    status = solve_ode(Solvable(taut=1e20)).attrs["status"]
    assert status.startswith("stopped at 0.") and status.endswith("it would need 4e+07 evaluations")


def test_a_run_that_needs_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr("egan_theory.papers.solvable.ode.MAX_EVALUATIONS", 300)
    ds = solve_ode(SETTING_R)
    finite = np.isfinite(ds["z"].values[0])
    assert ds.attrs["status"].startswith("stopped at ") and 0 < finite.sum() < len(finite)


def test_times_and_dataset():
    times = np.array([0.0, 0.5, 3.0])
    ds = solve_ode(SETTING_E, times)
    assert ds["P"].dims == ("run", "time", "feature", "fake") and ds["S"].dims == ("run", "time", "fake", "fake2")
    np.testing.assert_array_equal(ds["time"], times)
    np.testing.assert_array_equal(ds["P"][0, 0], SETTING_E.start.P)
    later = solve_ode(SETTING_E, times[1:])
    np.testing.assert_allclose(later["P"][0], ds["P"][0, 1:], atol=1e-8)
    assert Solvable.from_toml_string(ds.attrs["model"]) == SETTING_E
    assert all("long_name" in ds[v].attrs and "units" in ds[v].attrs for v in ds.data_vars)
    for bad in ([1.0, 0.5], [-1.0, 1.0], [0.0, np.inf], []):
        with pytest.raises(InputError, match="times: must be increasing"):
            solve_ode(SETTING_E, np.array(bad))


def test_too_many_latent_nodes():
    m = Solvable(Lambda=np.ones(15), latent="rademacher", nonlinearity="tanh", q0=np.full(15, 0.05))
    with pytest.raises(InputError, match="latent: must have at most"):
        solve_ode(m)
