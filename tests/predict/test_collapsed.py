"""The collapsed state: its equations against the full model, its exponents against closed forms, its orbits named."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses import collapsed_state_stability as stability
from egan_theory.base.errors import InputError
from egan_theory.experiment import Experiment
from egan_theory.experiment.targets import Grid, Ring, Uniform
from egan_theory.features import feature_map
from egan_theory.predict.collapsed import collapsed_state, collapsed_states, margin, margins
from egan_theory.predict.orbits import block_stderr, classify
from egan_theory.predict.transverse import TangentField, clustered, gains
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.tables.losses import single_losses
from tests.analyses.drawing import labelled
from tests.builders import small
from tests.stepjac import COMPLEX_STEP, derivative

#: two ways to compute one velocity, relative to its largest entry
VELOCITY = 1e-11
#: an orbit that has come to rest, relative error of its multipliers (the orbit rests to NUDGE = 1e-7 length scales)
RESTED = 1e-5
RNG = np.random.default_rng(8)

PENALTIES = (
    {"r1": 0.4, "weight_decay": 0.3},
    {"r2": 0.5, "weight_decay": 0.1},
    {"multiplier": 0.4, "alpha": 0.7, "weight_decay": 0.1},
    {"weight_decay": 0.2, "instance_noise": 0.2},
    {"weight_decay": 0.2, "r2": 0.3, "consensus": 0.6},
    {"weight_decay": 0.2, "instance_noise": 0.2, "consensus": 0.6},
)
RULES = (
    {"rule": "simultaneous"},
    {"rule": "alternating", "critic_steps": 2},
    {"rule": "simultaneous", "momentum_discriminator": 0.4, "momentum_generator": 0.6},
    {"rule": "alternating", "momentum_generator": 0.3},
    {"rule": "extragradient"},
    {"rule": "optimistic"},
    {"rule": "flow", "substeps": 2},
)


def zero_sum(N, d, rng=RNG):
    u = rng.standard_normal((N, d))
    return u - u.mean(0)


# -- the equations ----------------------------------------------------------------------------------------------------


def test_two_gains_by_sympy():
    """dx_i/dt = sum_j Gamma_ij s(x_j): collective gain at one point, relative gain on displacements of zero sum."""
    g1, g2, x0, u1, u2, e = sp.symbols("g1 g2 x0 u1 u2 epsilon")
    s = sp.Function("s")
    u = (u1, u2, -u1 - u2)
    velocity = [sum((g1 if i == j else g2) * s(x0 + e * u[j]) for j in range(3)) for i in range(3)]
    for i in range(3):
        assert sp.simplify(velocity[i].subs(e, 0) - (g1 + 2 * g2) * s(x0)) == 0
        tangent = sp.diff(velocity[i], e).subs(e, 0).doit()
        assert sp.simplify(tangent - (g1 - g2) * u[i] * sp.diff(s(x0), x0)) == 0
    exp = Experiment(generator={"particles": 3, "kernel": {"diagonal": 1.7, "ratio": 0.4}})
    assert gains(Problem(exp)).collective == pytest.approx(float((g1 + 2 * g2).subs({g1: 1.7, g2: 0.68})))
    assert gains(Problem(exp)).relative == pytest.approx(1.7 - 0.68)
    mean = gains(Problem(exp.replace({"generator.normalisation": "mean"})))
    assert (mean.collective * 3, mean.relative * 3) == pytest.approx(
        (gains(Problem(exp)).collective, gains(Problem(exp)).relative)
    )


@pytest.mark.parametrize("loss", single_losses())
@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda p: "+".join(p))
@pytest.mark.parametrize("normalisation", ["sum", "mean"])
def test_tangent_field_is_the_full_models(loss, penalty, normalisation):
    """At one point with displacements of zero sum the N-particle field moves w and the centre as the cluster does, and
    the displacements as the tangent field does; every loss, every penalty, both normalisations."""
    exp = small(Ring(modes=5), particles=5, loss=loss, penalty=penalty,
                generator={"normalisation": normalisation, "kernel": {"ratio": 0.3, "diagonal": 1.4}})  # fmt: skip
    tangent, full = TangentField([Problem(exp)]), Field(Problem(exp))
    rng = np.random.default_rng(3)
    w, x0, u = 0.7 * rng.standard_normal((1, full.features.size)), rng.standard_normal((1, 2)), zero_sum(5, 2, rng)
    x = x0 + 1j * COMPLEX_STEP * u
    Vw, Vx = full.Vw(w[0].astype(complex), x), full.Vx(w[0].astype(complex), x)
    z = np.concatenate([x0, np.eye(2)])[None]
    expected = tangent.Vx(w, z)[0]
    scale = np.abs(Vx.imag).max() / COMPLEX_STEP
    assert np.abs(tangent.Vw(w, z)[0] - Vw.real).max() <= VELOCITY * np.abs(Vw.real).max()
    assert np.abs(expected[0] - Vx.real).max() <= VELOCITY * np.abs(Vx.real).max()
    assert np.abs(Vw.imag).max() / COMPLEX_STEP <= VELOCITY * np.abs(Vw.real).max()
    assert np.abs(u @ expected[1:] - Vx.imag / COMPLEX_STEP).max() <= VELOCITY * scale


def test_complex_step_and_hessian_agree():
    """The two routes to du/dt agree where both exist (a vanishing consensus switches to the complex step)."""
    exp = small(Grid(side=2, dimension=3), loss="logistic", penalty={"weight_decay": 0.1, "r1": 0.2})
    one, other = TangentField([Problem(exp)]), TangentField([Problem(exp.replace({"penalty.consensus": 1e-300}))])
    assert one.pairs is None and other.pairs is not None
    rng = np.random.default_rng(4)
    w, x, u = rng.standard_normal((1, one.field.features.size)), rng.standard_normal((1, 1, 3)), np.eye(3)[None]
    a, b = one.transverse(w, x, u), other.transverse(w, x, u)
    assert np.abs(a - b).max() <= VELOCITY * np.abs(a).max()


@given(
    N=st.integers(2, 40),
    phi=st.floats(0.0, 1.0),
    diagonal=st.floats(0.1, 10.0),
    clusters=st.integers(2, 6),
    normalisation=st.sampled_from(["sum", "mean"]),
)
@settings(max_examples=60, deadline=None)
def test_clusters_stand_for_all_particles(N, phi, diagonal, clusters, normalisation):
    exp = Experiment(generator={
        "particles": N, "normalisation": normalisation, "kernel": {"diagonal": diagonal, "ratio": phi},
    })  # fmt: skip
    g, few = gains(Problem(exp)), gains(clustered(Problem(exp), clusters))
    assert (few.collective, few.relative) == pytest.approx((g.collective, g.relative), rel=1e-12, abs=1e-12 * diagonal)
    assert gains(clustered(Problem(exp))).collective == pytest.approx(g.collective, rel=1e-12)


def test_unequal_masses_have_no_collapsed_state():
    exp = small(Ring(modes=3), particles=3, generator={"masses": (0.2, 0.3, 0.5), "kernel": {"ratio": 0.5}})
    with pytest.raises(InputError, match=r"generator.masses: must be equal for the collapsed state"):
        collapsed_state(exp)
    field = Field(Problem(exp))
    V = field.Vx(RNG.standard_normal(field.features.size), np.ones((3, 2)))
    assert np.ptp(V, axis=0).max() > 0.01 * np.abs(V).max()  # the particles do separate
    rigid = exp.replace({"generator.kernel.ratio": 1.0})
    assert gains(Problem(rigid)).relative == 0


# -- exponents --------------------------------------------------------------------------------------------------------


def two_points(update, **changes):
    """Two target points either side of the cluster, closer than a length scale: it rests in the middle."""
    exp = Experiment(
        target={"kind": "grid", "side": 2, "dimension": 1, "spacing": 0.9},
        generator={"particles": 4, "learning_rate": 0.03, "kernel": {"ratio": 0.2}},
        discriminator={"kernel": "gaussian", "length_scale": 0.8, "features": 0, "learning_rate": 0.3},
        penalty={"weight_decay": 1.0},
        update=update,
        run={"kick": 1e-3},
    )
    return exp.replace(changes)


def midpoint_hessian(features):
    """D'' at the midpoint of the two points for w at rest: (K*p - K)''/nu, differentiated by SymPy."""
    x, l, a, nu, k = sp.symbols("x l a nu k", positive=True)

    def second_derivative(K):
        return sp.diff(((K(x - a) + K(x + a)) / 2 - K(x)) / nu, x, 2).subs(x, 0)

    at = {a: sp.Rational(45, 100), nu: 1, l: sp.Rational(8, 10)}
    if features is None:  # the exact Gaussian
        H = second_derivative(sp.Lambda(x, sp.exp(-(x**2) / (2 * l**2))))
        assert sp.simplify(H - (1 - (1 - a**2 / l**2) * sp.exp(-(a**2) / (2 * l**2))) / (l**2 * nu)) == 0
        return float(H.subs(at))
    H = sp.lambdify(k, second_derivative(sp.Lambda(x, sp.cos(k * x))).subs(at))
    return float((features.amplitude**2 * H(features.omega[:, 0])).sum())


def multiplier(h, update):
    """Largest multiplier of u under the rule when du/dt = h u and nothing else moves."""
    rule, m = update["rule"], update.get("momentum_generator", 0.0)
    if rule == "flow":
        step = h / update["substeps"]
        return sum(step**n / np.prod(np.arange(1, n + 1)) for n in range(5)) ** update["substeps"]
    if rule == "extragradient":
        return 1 + h + h**2
    polynomial = [1, -(1 + 2 * h), h] if rule == "optimistic" else [1, -(1 + m + h), m]
    return np.abs(np.roots(polynomial)).max()


@pytest.mark.parametrize("update", RULES, ids=lambda u: "+".join(map(str, u.values())))
def test_fixed_point_in_closed_form(update):
    exact = update["rule"] == "simultaneous"
    exp = two_points(update, **{"discriminator.features": 0 if exact else 60})
    found = collapsed_state(exp, steps=150)
    h = 0.03 * gains(Problem(exp)).relative * midpoint_hessian(None if exact else feature_map(exp))
    assert found.orbit == "fixed point" and found.status == "converged" and found.period is None
    assert found.exponents[0] == pytest.approx(np.log(multiplier(h, update)), rel=RESTED)
    assert found.attracts is False
    assert margins([exp], steps=150)[0] == pytest.approx(-found.exponents[0], rel=1e-3)  # stops sooner


@pytest.mark.parametrize(
    "update",
    [pytest.param(u, marks=pytest.mark.slow) if u["rule"] == "flow" else u for u in RULES],
    ids=lambda u: "+".join(map(str, u.values())),
)
def test_exponents_are_the_full_step_jacobians(update):
    """At a fixed point: the Jacobian of one step of all N particles, on displacements of zero sum."""
    N, d = 3, 2
    exp = small(Ring(modes=3), particles=N, loss="logistic", penalty={"r1": 0.3, "weight_decay": 0.6}, update=update,
                generator={"learning_rate": 0.2, "kernel": {"ratio": 0.2}})  # fmt: skip
    found = collapsed_state(exp, steps=200)
    assert found.orbit == "fixed point"
    field, rule = Field(Problem(exp)), exp.update_rule
    w, x0, *memory = found.state
    tiled = [np.tile(v, (N, 1)) if b == "x" else v for b, v in zip(rule.blocks, memory, strict=True)]
    state = (w, np.tile(x0, (N, 1)), *tiled)
    if rule.continuous:  # the substeps that the prediction took
        from egan_theory.predict.cluster import cluster_rule

        rule = cluster_rule([Problem(exp)])
    J = derivative(lambda *s: rule.step(s, field.Vw, field.Vx), state)
    sizes = np.cumsum([0, *(v.size for v in state)])
    blocks = [1, *(2 + i for i, b in enumerate(rule.blocks) if b == "x")]
    columns = []
    for b in blocks:
        for a in range(d):
            u = np.zeros((N, d))
            u[0, a], u[1, a] = 1, -1
            column = np.zeros(sizes[-1])
            column[sizes[b] : sizes[b + 1]] = u.ravel()
            columns.append(column)
    basis = np.array(columns).T
    image = J @ basis
    reduced = np.linalg.lstsq(basis, image, rcond=None)[0]
    assert np.abs(basis @ reduced - image).max() <= VELOCITY * np.abs(image).max()  # invariant: w feels nothing
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(reduced))))[::-1][:d]
    assert found.exponents == pytest.approx(expected, rel=RESTED, abs=RESTED * np.abs(expected).max())


@given(seed=st.integers(0, 10_000), kernel=st.sampled_from(["gaussian", "matern", "rational_quadratic"]))
@settings(max_examples=25, deadline=None)
def test_resting_clusters_never_attract_under_weight_decay_alone(seed, kernel):
    """nu Hess D = E_p Hess K(x0 - y) - Hess K(0) = int rho(k) k k^T E_p[1 - cos k(x0 - y)] dk >= 0 for every stationary
    kernel: with a linear loss and weight decay alone only moving clusters can attract."""
    rng = np.random.default_rng(seed)
    exp = Experiment(
        target={"kind": "mixture", "means": rng.standard_normal((4, 2)).tolist(), "std": 0.1, "samples": 4},
        discriminator={"kernel": kernel, "features": 40, "seed": seed},
        penalty={"weight_decay": 0.1},
    )
    features, x0 = feature_map(exp), rng.standard_normal((1, 2))
    w = (exp.points.weights @ features.at(exp.points.coordinates).psi() - features.at(x0).psi()[0]) / 0.1
    values = np.linalg.eigvalsh(features.at(x0).hessian(w)[0])
    assert values[0] >= -1e-12 * np.abs(values).max()
    assert np.abs(TangentField([Problem(exp)]).Vw(w[None], np.concatenate([x0, np.eye(2)])[None])).max() <= 1e-13


def test_rigid_cloud_is_neutral():
    found = collapsed_state(two_points({"rule": "simultaneous"}, **{"generator.kernel.ratio": 1.0}), steps=200)
    assert found.exponents[0] == 0 and found.attracts is None and found.status == "converged"


def moving(**changes):
    """A slow discriminator on the periodic box: the cluster is driven round and round by its own trail."""
    exp = Experiment(
        target=Uniform(side=9, length=2.0, dimension=1),
        generator={"particles": 9, "learning_rate": 0.01, "kernel": {"ratio": 0.5}},
        discriminator={"kernel": "gaussian", "length_scale": 0.4, "features": 0, "learning_rate": 0.1},
        penalty={"weight_decay": 0.3},
        run={"kick": 0.01},
    )
    return exp.replace(changes)


@pytest.mark.parametrize(("decay", "attracts", "steps"), [(0.3, False, 600), (0.1, True, 3000)])
def test_travelling_cluster_in_closed_form(decay, attracts, steps):
    """Fast enough for its trail, the cluster sits where D is concave. A travelling wave, D at rest in its frame: the
    speed v solves v = eta_G G f(v), f = grad D of the trail; the exponent is the Hessian of the same trail."""
    exp = moving(**{"penalty.weight_decay": decay})
    found = collapsed_state(exp, steps=steps, windows=1)
    assert found.orbit == "periodic" and found.attracts is attracts
    # D(x0 + r) = eta_D int_0^inf exp(-eta_D nu tau) [K0 - K(r + v tau)] dtau with K periodic and K0 its mean, mode by
    # mode in r; discrete steps are Riemann sums of it
    field = Field(clustered(Problem(exp)))
    k, amplitude = field.features.omega[:, 0], field.features.amplitude
    eta_D, nu, g = 0.1, decay, gains(Problem(exp))

    def trail(v):
        q = (1 - eta_D * nu) * np.exp(1j * k * v)
        mode = -eta_D * amplitude**2 / (1 - q) * np.exp(1j * k * v)  # coefficients of exp(i k r), oldest first
        return float((1j * k * mode).real.sum()), float((-(k**2) * mode).real.sum())

    speed = abs(float(np.diff(found.trajectory["x0"].values[-2:, 0])[0]))
    force, hessian = trail(speed)
    exponent = np.log(1 + 0.01 * g.relative * hessian)
    assert speed == pytest.approx(abs(0.01 * g.collective * force), rel=RESTED)
    assert found.trajectory["growth"].values[-1, 0] == pytest.approx(exponent, rel=10 * RESTED)
    assert found.exponents[0] == pytest.approx(exponent, abs=0.01 * abs(exponent) + 3 * found.stderr[0])
    assert found.period == pytest.approx(2.0 / speed, rel=1e-3)


def test_many_side_by_side():
    """Lanes give what single runs give, whatever the order, with repeats, and for other numbers of particles."""
    ratios = (0.2, 0.5, 0.2, 0.9)
    exps = [moving(**{"generator.kernel.ratio": r, "run.kick": 0.01}) for r in ratios]
    exps += [exps[1].replace({"generator.particles": 18}), exps[0].replace({"discriminator.learning_rate": 0.3})]
    together = margins(exps, steps=200)
    assert together == pytest.approx([margins([e], steps=200)[0] for e in exps], rel=1e-9)
    assert together[0] == together[2] and len(set(together)) == 5
    other_target = [two_points({"rule": "simultaneous"}), exps[0]]
    assert margins(other_target, steps=200)[1] == pytest.approx(together[0], rel=1e-9)


def test_one_orbit_two_relative_gains():
    """The same collective gain with twice the relative one: the same orbit, twice the exponent to first order."""
    strong = {"generator.particles": 2, "generator.learning_rate": 0.002}
    one = moving(**strong, **{"generator.kernel.diagonal": 1.0, "generator.kernel.ratio": 0.5})
    two = moving(**strong, **{"generator.kernel.diagonal": 1.25, "generator.kernel.ratio": 0.2})
    assert (
        gains(Problem(one)).collective == gains(Problem(two)).collective
        and gains(Problem(two)).relative == 2 * gains(Problem(one)).relative
    )
    a, b = margins([one, two], steps=200)
    assert b == pytest.approx(2 * a, rel=0.02) and a != 0


def test_escape_is_recorded():
    """A slow discriminator and a light pull: the cluster outruns its trail in a straight line and is gone."""
    exp = Experiment(generator={"kernel": {"ratio": 0.9}}, penalty={"weight_decay": 0.05}, run={"kick": 0.05})
    found = collapsed_state(exp, steps=1000)
    assert (
        found.escaped and found.status == f"escaped at step {found.escaped_at}" and 0 < found.escaped_at <= found.steps
    )
    assert np.all(np.isnan(found.exponents)) and found.attracts is None and np.isnan(margin(exp))
    assert found.to_dict()["exponents"] == [None, None]
    x0 = found.trajectory["x0"].values[:, 0]
    assert np.isfinite(x0).sum() == found.escaped_at - (found.steps - found.window) - 1
    assert np.nanmax(np.abs(x0)) <= 10 * (1.0 + 0.5)


def test_several_starts():
    exp = two_points({"rule": "simultaneous"}, **{"discriminator.features": 60})
    found = collapsed_states(exp, 3, steps=200)
    assert len(found) == 3 and len({float(s.start[0]) for s in found}) == 3
    assert found[0].exponents == pytest.approx(collapsed_state(exp, steps=200).exponents, rel=RESTED)
    again = collapsed_state(exp, x0=found[2].state[1], w=found[2].state[0], steps=100)
    assert again.state[1] == pytest.approx(found[2].state[1], abs=RESTED)
    assert np.abs(np.diff(again.trajectory["x0"].values[:, 0])).max() <= RESTED


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: collapsed_state(e, x0=np.zeros(3)), "x0: must be 1 finite numbers"),
        (lambda e: collapsed_state(e, x0=[np.nan]), "x0: must be 1 finite numbers"),
        (lambda e: collapsed_state(e, x0=["a"]), "x0: must be 1 finite numbers"),
        (lambda e: collapsed_state(e, w=np.zeros(1000)), "w: must be"),
        (lambda e: collapsed_state(e, steps=10), "steps: must be at least 100"),
        (lambda e: collapsed_states(e, 0), "starts: must be at least 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call(two_points({"rule": "simultaneous"}))


# -- orbits and error bars --------------------------------------------------------------------------------------------

T = np.arange(2000.0)


def logistic_map(r, n=2000):
    x = [0.3]
    for _ in range(n + 500):
        x.append(r * x[-1] * (1 - x[-1]))
    return np.array(x[-n:])


@pytest.mark.parametrize(
    ("x", "orbit", "period"),
    [
        (np.exp(-T / 20), "fixed point", None),
        (np.exp(-T / 2000) * np.cos(T / 5), "undecided", None),
        (1e-9 * np.exp(T / 150), "undecided", None),
        (5e-9 * np.exp(T / 400), "undecided", None),
        (np.sin(2 * np.pi * T / 37.3), "periodic", 37.3),
        (np.sin(2 * np.pi * T / 9.7), "periodic", 9.7),
        (np.sin(2 * np.pi * T / 23.1) + 0.4 * np.sin(np.pi * T / 23.1), "periodic", 46.2),
        (-np.sin(2 * np.pi * T / 23.1) - 0.4 * np.sin(np.pi * T / 23.1), "periodic", 46.2),
        (np.sin(2 * np.pi * T / 23.1) + 0.4 * np.sin(2 * np.pi * T / 23.1 / np.sqrt(3)), "wandering", None),
        (logistic_map(3.2), "periodic", 2.0),
        (logistic_map(3.5), "periodic", 4.0),
        (logistic_map(4.0), "wandering", None),
        (1e-3 * T, "undecided", None),
        ((-1.0) ** T + 1e-3 * T, "undecided", None),
        (np.sin(2 * np.pi * T / 23.1) + 2e-4 * T, "undecided", None),
    ],
)
def test_orbits_by_name(x, orbit, period):
    points = np.stack([x[:-1], 0.3 * x[:-1]], axis=-1)
    found, length = classify(points, x[1:, None], 1.0)
    assert found == orbit
    assert length is None if period is None else length == pytest.approx(period, rel=1e-3)


def test_period_needs_equal_returns_at_equal_times():
    """Two crossings of one period at the same place and slope, unevenly apart in time: one period holds both."""
    theta = 2 * np.pi * T / 46.2
    x, slope = -np.sin(2 * theta) - 0.4 * np.sin(theta), -2 * np.cos(2 * theta) - 0.4 * np.cos(theta)
    assert classify(x[:, None], slope[:, None], 1.0) == ("periodic", pytest.approx(46.2, rel=1e-3))


@pytest.mark.parametrize("rho", [0.0, 0.8, 0.95])
def test_blocking_on_a_known_process(rho):
    """AR(1) of unit variance: the error of the mean of n samples is sqrt((1 + rho)/(1 - rho)/n)."""
    n, repeats = 4096, 200
    rng = np.random.default_rng(1)
    noise = np.sqrt(1 - rho**2) * rng.standard_normal((n, repeats))
    x = np.empty((n, repeats))
    x[0] = rng.standard_normal(repeats)
    for i in range(1, n):
        x[i] = rho * x[i - 1] + noise[i]
    error, truth = block_stderr(x), np.sqrt((1 + rho) / (1 - rho) / n)
    # the largest of several noisy levels is on the safe side, by tens of per cent, and seldom short
    assert truth <= np.median(error) <= 1.8 * truth
    assert np.mean(np.abs(x.mean(0)) < 2 * error) >= 0.95


# -- the analysis -----------------------------------------------------------------------------------------------------


def test_clouds_do_as_the_exponents_say(monkeypatch):
    """A cloud of the full model contracts round the travelling cluster and spreads round the resting one, at the rates
    predicted; an escaping one escapes."""
    monkeypatch.setattr(stability, "STEPS", 1500)
    for exp, sign in (
        (moving(**{"penalty.weight_decay": 0.1}), -1),
        (two_points({"rule": "optimistic"}, **{"discriminator.features": 60}), 1),
    ):
        row = stability.examine(exp)
        assert row["counts"] and row["agrees"] and np.sign(row["folds"]) == sign
        assert row["growth"] == pytest.approx(row["exponent"], rel=0.02)


@pytest.mark.slow
def test_signs_over_random_settings(tmp_path):
    ds = labelled(stability, "--seed 12 --draws 6", tmp_path)
    assert int(ds["agrees"].sum()) == 6 == int(ds["counts"].sum())
    assert "6 of 6 signs agree" in stability.summary(ds)
