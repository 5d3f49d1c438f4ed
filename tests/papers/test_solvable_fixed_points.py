"""Fixed points of the solvable model: closed forms against numeric Jacobians, boundaries and regimes against runs."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from egan_theory.base.errors import InputError
from egan_theory.papers.solvable import SETTING_R, Solvable, State, derivation, simulate_solvable, solve_ode
from egan_theory.papers.solvable.equilibria import (
    fixed_points,
    jacobian,
    locked_onset,
    locked_overlaps,
    newton,
    one_feature_parameters,
)
from egan_theory.papers.solvable.limits import boundaries
from egan_theory.papers.solvable.line import (
    block_eigenvalues,
    forgetting,
    learnable,
    line_block,
    line_drift,
    line_eigenvalues,
    success_ratio,
    trace_ratio,
)
from egan_theory.papers.solvable.ode import drift
from egan_theory.papers.solvable.phase import agreement, solvable_phase
from egan_theory.papers.solvable.records import state_dataset
from egan_theory.papers.solvable.regimes import REGIMES, classify, coverage, predict_regime, saddle_escape

#: closed forms against the numeric Jacobian's eigenvalues, relative to the largest of them
EIGENVALUE = 1e-10
ROUNDING = 1e-12


def matched(a, b):
    """Largest distance of the eigenvalues a from b, each used once."""
    rest, worst = list(b), 0.0
    for value in a:
        i = int(np.argmin(np.abs(np.array(rest) - value)))
        worst = max(worst, abs(rest.pop(i) - value))
    return worst


def one_feature(Lambda, noise, tau, ratio):
    return Solvable(Lambda=(Lambda,), noise=noise, tau=tau, taut=ratio * tau)


PARAMETERS = {
    "Lambda": st.floats(0.5, 6), "noise": st.floats(0.05, 8), "tau": st.floats(0.02, 0.5), "ratio": st.floats(0.02, 4),
}  # fmt: skip


@given(**PARAMETERS)
@settings(max_examples=20, deadline=None)
def test_one_feature_closed_forms(Lambda, noise, tau, ratio):
    """Every state is fixed, and its eigenvalues are the numeric Jacobian's."""
    m = one_feature(Lambda, noise, tau, ratio)
    for point in fixed_points(m):
        numeric = np.linalg.eigvals(jacobian(m, point.state))
        scale = max(np.abs(numeric).max(), m.tau * Lambda)
        assert np.abs(drift(m, point.state).pack()).max() < ROUNDING * 100 * scale
        # a pair about to merge moves like the root of what perturbs it
        root = np.abs(np.subtract.outer(point.eigenvalues, point.eigenvalues)) + np.eye(len(point.eigenvalues)) * scale
        assume(root.min() > 1e-4 * scale)
        assert matched(point.eigenvalues, numeric) < EIGENVALUE * scale, point.kind


def test_every_kind_occurs_stable_or_not():
    """Settings with each state, so that the test above cannot pass by their absence."""
    found = {}
    for noise in np.linspace(0.2, 7, 15):
        for ratio in np.linspace(0.05, 3, 15):
            for p in fixed_points(one_feature(5.0, float(noise), 0.2, float(ratio))):
                found.setdefault(p.kind, set()).add(p.stable)
    assert found.pop("saddle") == {False}
    assert set(found) == {"perfect", "noninformative", "locked", "self-locked"}
    assert all(found[k] == {True, False} for k in ("perfect", "noninformative", "self-locked", "locked"))


def test_perfect_and_noninformative_formulas():
    """As printed: taut L/2 - tau^2 eta^2 +- (L/2) sqrt(taut (taut - 4 tau)); tau (L - xi), taut L - tau (L + xi)."""
    for ratio in (0.2, 4.5):
        m = one_feature(5.0, 1.3, 0.2, ratio)
        L, xi, tau, taut = 5.0, 0.2 * 1.3**2, m.tau, m.taut
        root = np.sqrt(complex(taut * (taut - 4 * tau)))
        perfect = [taut * L / 2 - tau * xi + sign * L / 2 * root for sign in (1, -1)]
        by_kind = {p.kind: p.eigenvalues for p in fixed_points(m)}
        assert matched(by_kind["perfect"], perfect) < ROUNDING
        assert matched(by_kind["noninformative"], [tau * (L - xi), taut * L - tau * (L + xi)]) < ROUNDING


@given(**PARAMETERS, seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_no_other_fixed_points_of_one_feature(Lambda, noise, tau, ratio, seed):
    """Newton from random states ends on the line or on a listed state (up to signs)."""
    m = one_feature(Lambda, noise, tau, ratio)
    rng = np.random.default_rng(seed)
    known = [np.abs([p.state.P[0, 0], p.state.q[0], p.state.r[0]]) for p in fixed_points(m)]
    for _ in range(3):
        P, q, r = rng.uniform(-1, 1, 3)
        try:
            found = newton(m, State(np.array([[P]]), np.array([q]), np.array([r]), np.eye(1), np.array(1.0))).state
        except InputError:
            continue
        place = np.abs([found.P[0, 0], found.q[0], found.r[0]])
        if place[1:].max() > 1e-3 and place.max() <= 1:
            assert min(np.abs(place - k).max() for k in known) < 1e-5


def test_locked_states_derived():
    """q = P r with h = 0 solves the reduced system, by SymPy; the saddle and the self-locked state too."""
    P, q, r = derivation.ONE
    a, k, s = derivation.alpha, derivation.k, derivation.sigma
    X = sp.Symbol("X", positive=True)
    rates = derivation.one_feature()
    p2 = 1 - a * (1 - X)
    condition = X * (a * (1 + s) * (1 - X) - 2 * s)
    locked = rates.subs({q: P * r}).subs({r: sp.sqrt(X)}).subs(P, sp.sqrt(p2)).subs(k, condition)
    assert locked.applyfunc(sp.simplify).is_zero_matrix
    assert rates.subs({P: 0, r: 0, q: sp.sqrt((1 - k) / (1 + s))}).applyfunc(sp.simplify).is_zero_matrix
    fed = rates.subs({P: 0, q: 0, r: sp.sqrt((a - 1 - k) / (a + s - 1))})
    assert fed.applyfunc(sp.simplify).is_zero_matrix


@given(k=st.floats(0.01, 2), s=st.floats(0.01, 1))
@settings(max_examples=20, deadline=None)
def test_locked_onset(k, s):
    """The fold formula is where X appears: none just below, two just above (where P^2 >= 0 admits them)."""
    onset = locked_onset(k, s)
    assert locked_overlaps(onset * (1 - 1e-6), k, s) == ()
    assert len(locked_overlaps(onset * (1 + 1e-6), k, s)) == (2 if _double_root_admitted(onset, s) else 0)


def _double_root_admitted(alpha, s):
    X = (alpha * (1 + s) - 2 * s) / (2 * alpha * (1 + s))
    return alpha * (1 - X) <= 1


@given(d=st.integers(1, 3), seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_line_block_is_the_jacobian(d, seed):
    """Any d, P and S of vectors, unequal Lambda and noise: the block is the numeric Jacobian's, the rest is zero."""
    rng = np.random.default_rng(seed)
    m = Solvable(
        Lambda=rng.uniform(0.5, 5, d), fake_Lambda=rng.uniform(0.5, 5, d), noise=rng.uniform(0.1, 4),
        fake_noise=rng.uniform(0.1, 4), tau=0.2, taut=rng.uniform(0.02, 0.5),
    )  # fmt: skip
    V = rng.standard_normal((2 * d + 1, d))
    V /= np.linalg.norm(V, axis=0)
    state = State(V[:d], np.zeros(d), np.zeros(d), V.T @ V, np.array(1.0))
    full = jacobian(m, state)
    moving = slice(d * d, d * d + 2 * d)
    block = line_block(m, state.P, state.S)
    np.testing.assert_allclose(full[moving, moving], block, rtol=0, atol=ROUNDING * 100)
    full[moving, moving] = 0
    assert np.abs(full[:, moving]).max() < ROUNDING * 100
    assert np.trace(block) == pytest.approx(
        m.tau * (m.L - m.Lt).sum() + m.taut * m.Lt.sum() - 2 * d * m.tau * forgetting(m)
    )


@given(seed=st.integers(0, 10**6), d=st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_aligned_and_permuted_states(seed, d):
    """Closed forms for every P with one entry in each row and column, also some zero."""
    rng = np.random.default_rng(seed)
    m = Solvable(Lambda=rng.uniform(0.5, 5, d), noise=rng.uniform(0.3, 4), tau=0.2, taut=rng.uniform(0.02, 0.5),
                 q0=np.full(d, 0.05))  # fmt: skip
    P = np.diag(rng.uniform(-1, 1, d) * (rng.random(d) < 0.8))[rng.permutation(d)]
    closed, numeric = line_eigenvalues(m, P), np.linalg.eigvals(line_block(m, P))
    assume(np.abs(np.subtract.outer(closed, closed) + np.eye(2 * d)).min() > 1e-4)
    assert matched(closed, numeric) < EIGENVALUE


@given(seed=st.integers(0, 10**6), d=st.integers(1, 2))
@settings(max_examples=20, deadline=None)
def test_line_block_is_derived(seed, d):
    """The block as SymPy derives it, for any P, unequal Lambda and noise."""
    rng = np.random.default_rng(seed)
    m = Solvable(
        Lambda=rng.uniform(1, 5, d), fake_Lambda=rng.uniform(1, 5, d), noise=float(rng.uniform(0.3, 4)),
        fake_noise=float(rng.uniform(0.3, 4)), taut=float(rng.uniform(0.01, 0.5)),
    )  # fmt: skip
    P, s = rng.uniform(-0.7, 0.7, (d, d)), derivation.symbols(d)
    names = (*s.P, *s.L, *s.Lt, derivation.tau, derivation.taut, derivation.eta_T, derivation.eta_G)
    values = (*P.ravel(), *m.L, *m.Lt, m.tau, m.taut, m.eta_T, m.eta_G)
    apart = {entry: int(i % (d + 1) == 0) for i, entry in enumerate(s.S)}
    derived = derivation.line_block(d).subs(apart).subs(dict(zip(names, values, strict=True)))
    np.testing.assert_allclose(line_block(m, P), np.array(derived, dtype=float), rtol=0, atol=ROUNDING * 10)


def test_jacobian_of_curved_profiles():
    """Complex step against central differences of the drift, with a penalty, tanh and Rademacher latents."""
    m = Solvable(nonlinearity="tanh", latent="rademacher", constraint="tanh(x - 1)")
    state = State(np.array([[0.5, 0.1], [-0.2, 0.6]]), np.array([0.3, 0.2]), np.array([0.1, -0.3]),
                  np.array([[1.1, 0.2], [0.2, 0.9]]), np.array(0.8))  # fmt: skip
    exact = jacobian(m, state)
    step, column = 1e-6, 2 * 2 + 1  # q_2
    shift = np.array([0.0, step])
    ahead, back = (drift(m, state._replace(q=state.q + sign * shift)).pack() for sign in (1, -1))
    numeric = (ahead - back) / (2 * step)
    keep = [*range(8), 8, 9, 11, 12]
    np.testing.assert_allclose(exact[:, column], numeric[keep], atol=1e-8)
    bent = Solvable(nonlinearity=lambda x: x * sp.Abs(x) / (1 + x**2))
    assert np.all(np.isfinite(jacobian(bent, state)))


def drifting(**changes):
    """k = 1.2: nothing is learnt, but noise moves P."""
    return Solvable(Lambda=(1.6,), noise=3.36, tau=0.171, taut=0.3, q0=(0.0,)).replace(changes)


def test_drift_along_the_line_vanishes_with_n():
    m = drifting()
    drift, diffusion = line_drift(m, m.start.P)
    fewer = line_drift(m.replace({"n": 500}), m.start.P)
    np.testing.assert_allclose(fewer[0], 10 * drift, rtol=1e-9)
    np.testing.assert_allclose(fewer[1], 100 * diffusion, rtol=1e-9)
    with pytest.raises(InputError, match="P: must be a stable point"):
        line_drift(SETTING_R, np.zeros((2, 2)))


@pytest.mark.slow
def test_noise_driven_drift_along_the_line():
    """P of 600 runs of the exact chain: mean slope within 4 standard errors, spread within a factor 1.5."""
    m = drifting(n=1500, runs=600, time=120.0, record=61)
    drift, diffusion = (rate.item() for rate in line_drift(m, m.start.P))
    runs = simulate_solvable(m)
    P, t = runs["P"].values[:, :, 0, 0], runs["time"].values
    late = t >= 50  # q and r fluctuate as they will
    slopes = np.polyfit(t[late], P[:, late].T, 1)[0]
    error = slopes.std() / np.sqrt(m.runs)
    assert abs(slopes.mean() - drift) < 4 * error and slopes.mean() > 3 * error
    spread = (P[:, -1] - P[:, late][:, 0]).std() / np.sqrt(2 * diffusion * 70)
    assert 1 / 1.5 < spread < 1.5
    np.testing.assert_allclose(solve_ode(m)["P"].values, 0.1, atol=1e-12)


def test_predictions_that_noise_outlasts():
    m = drifting(time=1500.0)
    nothing = predict_regime(m)
    assert nothing.label == "nothing learnt" and not nothing.outlasts_drift(m)
    assert nothing.outlasts_drift(m.replace({"n": 500_000}))


def test_newton_finds_the_locked_state():
    m = one_feature(5.0, 1.0, 0.2, 0.5)
    (locked,) = [p for p in fixed_points(m) if p.kind == "locked" and p.stable]
    found = newton(m, locked.state._replace(P=locked.state.P + 0.02, r=locked.state.r - 0.02))
    np.testing.assert_allclose(found.state.pack(), locked.state.pack(), atol=1e-9)
    assert matched(found.eigenvalues, locked.eigenvalues) < EIGENVALUE
    with pytest.raises(InputError, match="guess: must lie near a fixed point"):
        newton(m, SETTING_R.replace({"Lambda": (5.0,)}).start, steps=1)


def test_boundaries_of_setting_r():
    """taut = 2 tau^2 eta^2/Lambda_1 at 1.581, rotations at 1.414, eta^2 = Lambda/tau at 3.873 and 5."""
    found = boundaries(SETTING_R)
    expected = {"noise_success": 1.5811, "noise_rotation": 1.4142, "noise_feature_1": 5.0, "noise_feature_2": 3.8730}
    assert {k: found[k] for k in expected} == pytest.approx(expected, abs=1e-4)
    at = SETTING_R.replace({"noise": found["noise_success"]})
    assert np.abs(line_eigenvalues(at, np.eye(2)).real).min() < ROUNDING
    assert success_ratio(at) == pytest.approx(at.taut / at.tau) and success_ratio(at) <= trace_ratio(at)
    assert learnable(SETTING_R.replace({"noise": 3.88})).tolist() == [True, False]


def test_rotations_between_the_two_bounds():
    """At eta = 1.5 P = I is unstable and a rotation of it stable; below 1.414 none is."""

    def growth(noise, angle):
        R = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.linalg.eigvals(line_block(SETTING_R.replace({"noise": noise}), R)).real.max()

    angles = np.linspace(0, np.pi / 2, 91)
    assert growth(1.5, 0.0) > 0 > min(growth(1.5, a) for a in angles)
    assert min(growth(1.41, a) for a in angles) > 0


def test_growth_rates_are_those_of_runs():
    """The ODE leaves the noninformative line at tau (Lambda - xi), then the saddle at its growth rate."""
    m = Solvable(Lambda=(5.0,), noise=3.0, taut=0.02, P0=((1e-9,),), q0=(1e-6,), time=40.0, record=401)
    ds = solve_ode(m, rtol=1e-11, atol=1e-14).isel(run=0)
    logq, logP = np.log(np.abs(ds["q"].values[:, 0])), np.log(np.abs(ds["P"].values[:, 0, 0]))
    t = ds["time"].values
    early, late = (t > 2) & (t < 12), (t > 25) & (t < 40)
    assert np.polyfit(t[early], logq[early], 1)[0] == pytest.approx(m.tau * (5.0 - forgetting(m)), rel=1e-6)
    assert np.polyfit(t[late], logP[late], 1)[0] == pytest.approx(saddle_escape(m, 0), rel=1e-3)
    saddle = next(p for p in fixed_points(m) if p.kind == "saddle")
    assert saddle.growth == pytest.approx(saddle_escape(m, 0), rel=1e-12)
    assert ds["q"].values[late, 0].mean() == pytest.approx(saddle.state.q[0], rel=1e-3)


def test_pair_eigenvalues_survive_cancellation():
    """det -> 0: the small root keeps its digits."""
    m = one_feature(5.0, 5.0 * (1 - 1e-13), 0.2, 0.2)  # k just below 1
    small = block_eigenvalues(m, 0, 0, 0.0)
    exact = m.tau * (5.0 - forgetting(m))
    assert np.abs(small - exact).min() < 1e-6 * abs(exact)


@pytest.mark.parametrize(
    ("changes", "call"),
    [({"nonlinearity": "tanh"}, fixed_points), ({"constraint": "x - 1"}, learnable),
     ({"fake_Lambda": (1.0, 2.0)}, predict_regime), ({}, one_feature_parameters),
     ({}, lambda m: line_eigenvalues(m, np.full((2, 2), 0.5)))],
)  # fmt: skip
def test_where_closed_forms_do_not_hold(changes, call):
    with pytest.raises(InputError):
        call(SETTING_R.replace(changes))


# -- regimes ------------------------------------------------------------------------------------------------------


def course(q, P=0.9, start=0.1, samples=101, time=100.0):
    """A made-up Dataset of one feature: q(t), r = 0, P from ``start`` to ``P`` at once."""
    t = np.linspace(0, time, samples)
    one = np.ones((1, samples))
    overlaps = (P * one)[..., None, None].copy()
    overlaps[:, 0] = start
    state = State(overlaps, q(t)[None, :, None], 0 * one[..., None], one[..., None, None], one)
    return state_dataset(Solvable(Lambda=(1.0,)), t, state)


@pytest.mark.parametrize(
    ("q", "P", "label", "note"),
    [
        (lambda t: 0.5 * np.exp(-t), 0.9, "success", ""),
        (lambda t: 0.5 * np.exp(-t), 0.1, "nothing learnt", ""),
        (lambda t: 0.5 * np.exp(-t), 0.17, "undecided", "too little"),
        (lambda t: 0.5 * np.cos(t), 0.9, "oscillation", ""),
        (lambda t: 0.5 + 0.2 * np.cos(t), 0.9, "oscillation", ""),
        (lambda t: 0.5 + 0 * t, 0.9, "locked", ""),
        (lambda t: 0.5 + 0.1 * np.cos(t), 0.9, "undecided", "between"),
        (lambda t: 0.5 + 0.5 * np.exp(-t / 80) * np.cos(t), 0.9, "undecided", "between"),
        (lambda t: 1.6 * np.exp(-t / 40), 0.9, "undecided", "still decay"),
        (lambda t: 1e-3 * np.exp(t / 20), 0.9, "undecided", "still grow"),
        (lambda t: 0.01 * np.exp((t - 100) / 20), 0.9, "undecided", "still grow"),
        (lambda t: 0.2 * np.exp((t - 100) / 20), 0.9, "undecided", "still grow"),
        (lambda t: 0.08 + 0 * t, 0.9, "undecided", "weakly"),
        (lambda t: np.where(t > 50, np.nan, 0.1), 0.9, "diverged", "not finite"),
    ],
)
def test_classifier(q, P, label, note):
    (regime,) = classify(course(q, P))
    assert regime.label == label and regime.to_dict()["regime"] == label and note in regime.note


def test_classifier_allows_for_finite_n():
    noisy = np.random.default_rng(0).standard_normal(101)
    ds = course(lambda t: 0.1 * noisy)
    assert classify(ds)[0].label != "success" and classify(ds, n=1000)[0].label == "success"
    with pytest.raises(InputError, match="record: must give 5 samples"):
        classify(course(lambda t: 0 * t, samples=11))


@given(seed=st.integers(0, 10**6), d=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_coverage_is_a_projection(seed, d):
    """Against the projector on span(V); 1 for rotated V = U R, also when generated features coincide it is right."""
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((10, d)))[0]
    V = rng.standard_normal((10, d))
    V[:, -1] = V[:, 0]
    projector = V @ np.linalg.pinv(V)
    state = State(U.T @ V, np.zeros(d), np.zeros(d), V.T @ V, np.array(1.0))
    np.testing.assert_allclose(coverage(state), np.linalg.norm(projector @ U, axis=0), atol=1e-6)
    R = np.linalg.qr(rng.standard_normal((d, d)))[0]
    np.testing.assert_allclose(coverage(state._replace(P=R, S=np.eye(d))), 1, atol=1e-9)


@pytest.mark.parametrize(
    ("noise", "label", "learnt"),
    [(1.0, "oscillation", (0, 1)), (2.0, "success", (0, 1)), (4.0, "mode collapse", (0,)), (6.0, "nothing learnt", ())],
)
def test_regimes_of_setting_r(noise, label, learnt):
    """Predicted and found."""
    m = SETTING_R.replace({"noise": noise})
    predicted, (found,) = predict_regime(m), classify(solve_ode(m, rtol=1e-7, atol=1e-9))
    assert predicted.label == found.label == label and found.learnt == learnt and predicted.decided(m.time)
    if label != "oscillation":
        assert predicted.learnt == learnt


def test_undecided_between_the_rotation_bounds():
    assert predict_regime(SETTING_R.replace({"noise": 1.5})).label == "undecided"
    assert not predict_regime(SETTING_R.replace({"noise": 3.87})).decided(400.0)


def check_phase_of_one_feature(side, least):
    """Away from slow convergence every regime of (noise, taut/tau) is as predicted, and four of them occur."""
    m = Solvable(Lambda=(3.0,), tau=0.3, time=200.0, record=101)
    ds = solvable_phase(m, f"noise=0.4:3.9:{side}", f"taut/tau=0.15:2.2:{side}")
    counts = agreement(ds)
    assert counts["runs"] == side**2 and counts["wrong"] == 0 and counts["decided"] >= least
    assert counts["undecided"] + counts["coexisting"] <= max(1, side**2 // 30)
    present = {REGIMES[i] for i in np.unique(ds["regime"])}
    assert {"success", "oscillation", "nothing learnt", "locked"} <= present
    assert ds["regime"].dims == ("second", "first", "run") and ds.attrs["regimes"] == list(REGIMES)


def test_phase_of_one_feature():
    check_phase_of_one_feature(3, 5)


@pytest.mark.slow
def test_phase_of_one_feature_finely():
    check_phase_of_one_feature(12, 110)


def test_self_locked_stability_is_its_formula():
    """Stable exactly where alpha > 2 and X (1 - s) < k, over a grid."""
    seen = set()
    for noise in np.linspace(0.5, 8, 12):
        for ratio in np.linspace(1.05, 4, 13):
            m = one_feature(5.0, float(noise), 0.2, float(ratio))
            alpha, k, s = one_feature_parameters(m)
            for p in fixed_points(m):
                if p.kind == "self-locked":
                    numeric = np.linalg.eigvals(jacobian(m, p.state)).real.max()
                    assert (numeric < 0) == (alpha > 2 and p.state.r[0] ** 2 * (1 - s) < k)
                    seen.add(bool(numeric < 0))
    assert seen == {True, False}


def test_self_locked_state_is_reached():
    """alpha > 1 + k: generator and discriminator hold each other far from the data, though eta^2 > Lambda/tau and
    taut < 2 tau^2 eta^2/Lambda."""
    m = Solvable(Lambda=(5.0,), noise=6.0, tau=0.2, taut=0.55, time=100.0)
    ds = solve_ode(m).isel(run=0, time=-1)
    state = next(p.state for p in fixed_points(m) if p.kind == "self-locked")
    assert m.taut < 2 * m.tau**2 * m.noise**2 / 5 and predict_regime(m).label == "locked"
    r, P = abs(ds["r"].values.item()), abs(ds["P"].values.item())
    assert r == pytest.approx(float(state.r[0]), abs=1e-6) and P < 1e-3
    assert float(state.r[0]) > 0.2


def test_phase_refuses():
    for call, message in (
        (lambda: solvable_phase(SETTING_R, "noise=1:2:3", "noise=1:3:3"), "name two different fields"),
        (lambda: solvable_phase(SETTING_R, "noise=1:2"), "vary: must be PATH=LOW:HIGH:POINTS"),
        (lambda: solvable_phase(SETTING_R, "constraint=1:2:3"), "vary: must name a numeric field"),
        (lambda: solvable_phase(SETTING_R, "noise=1:2:3", simulate="mc"), "simulate: must be one of ode, chain, sgd"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_phase_without_simulation():
    ds = solvable_phase(SETTING_R, "noise=1:6:6", simulate=None)
    assert ds["predicted"].dims == ("first",) and "regime" not in ds
    labels = [REGIMES[i] for i in ds["predicted"].values]
    assert labels == ["oscillation", "success", "success", "mode collapse", "nothing learnt", "nothing learnt"]
