"""The tables of the theory: losses, penalties and update rules against formulas typed here."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

from egan_theory.base.errors import InputError
from egan_theory.base.parameters import fraction
from egan_theory.experiment.targets import Ring
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.tables.losses import LOSSES, Loss, get_loss, single_losses
from egan_theory.tables.penalties import PENALTIES, Penalty, coefficients, get_penalty
from egan_theory.tables.updates import UpdateRule
from tests.builders import small
from tests.entries import STEPS, values
from tests.stepjac import COMPLEX_STEP

#: first and second derivatives of a loss, relative; complex steps are exact to rounding
DERIVATIVE = 1e-13
#: gradients of a penalty functional, relative to the largest entry
GRADIENT = 1e-12
#: a step written twice, relative
STEP = 1e-14

# -- losses -----------------------------------------------------------------------------------------------------------

#: D*, c, b, kappa, typed by hand
TABLE = {
    "wasserstein": (0.0, 1.0, 1.0, 0.0),
    "logistic": (0.0, 0.5, 0.5, 0.5),
    "non_saturating": (0.0, 0.5, 0.5, 0.5),
    "least_squares": (0.5, 0.5, 0.5, 2.0),
    "hinge": (0.0, 1.0, 1.0, 0.0),
    "relativistic": (0.0, 0.5, 0.5, 0.5),
    "sobolev": (0.0, 1.0, 1.0, 0.0),  # its kappa comes from the multiplier, see the penalties
}


def log_sigmoid(D):
    """log s(D) for real or complex D of either sign."""
    return np.where(np.real(D) > 0, -np.log1p(np.exp(-np.abs(np.real(D)) - 1j * np.imag(D))), 0) + np.where(
        np.real(D) > 0, 0, D - np.log1p(np.exp(-np.abs(np.real(D)) + 1j * np.imag(D)))
    )


LOGISTIC = (log_sigmoid, lambda D: log_sigmoid(-D))
WASSERSTEIN = (lambda D: D, lambda D: -D, lambda D: D)
#: f1, f2, h
FUNCTIONS = {
    "wasserstein": WASSERSTEIN,
    "logistic": (*LOGISTIC, lambda D: -log_sigmoid(-D)),
    "non_saturating": (*LOGISTIC, log_sigmoid),
    "least_squares": (lambda D: -((D - 1) ** 2) / 2, lambda D: -(D**2) / 2, lambda D: -((D - 1) ** 2) / 2),
    "hinge": (
        lambda D: np.where(np.real(D) < 1, D - 1, 0),
        lambda D: np.where(np.real(D) > -1, -1 - D, 0),
        lambda D: D,
    ),
    "sobolev": WASSERSTEIN,
}
#: f of losses of pairs
PAIRS = {"relativistic": log_sigmoid}
#: values of D off the kinks of the hinge, between rounding and saturation
RANGE = np.array([-30.0, -7.3, -1.5, -0.4, 0.0, 0.3, 0.9, 1.7, 6.1, 30.0])
#: s(-D) and s(D) vanish in doubles there
SATURATED = np.array([-800.0, 800.0])


#: and those of files of test values: D*, c, b, kappa as NUMBERS, f1, f2, h
TABLE |= {kind: module.NUMBERS for kind, module in values("loss").items()}
FUNCTIONS |= {kind: (module.f1, module.f2, module.h) for kind, module in values("loss").items()}


def test_every_loss_has_test_values():
    assert set(TABLE) == set(LOSSES) == {*FUNCTIONS, *PAIRS} and set(FUNCTIONS) == set(single_losses())


@pytest.mark.parametrize("kind", TABLE)
def test_equilibrium_constants(kind):
    loss = get_loss(kind)
    assert (loss.D0, loss.c, loss.b, loss.kappa) == TABLE[kind]


@pytest.mark.parametrize("name", ["f1", "f2", "h"])
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_derivatives(kind, name):
    loss, f = get_loss(kind), FUNCTIONS[kind][("f1", "f2", "h").index(name)]
    first, second = getattr(loss, "d" + name), getattr(loss, "dd" + name)
    moved = RANGE + 1j * COMPLEX_STEP
    slope = f(moved).imag / COMPLEX_STEP
    np.testing.assert_allclose(first(RANGE) * np.ones(10), slope, rtol=DERIVATIVE, atol=DERIVATIVE)
    curvature = np.imag(first(moved) * np.ones(10)) / COMPLEX_STEP
    np.testing.assert_allclose(second(RANGE) * np.ones(10), curvature, rtol=DERIVATIVE, atol=DERIVATIVE)


@pytest.mark.parametrize("kind", PAIRS)
def test_derivatives_of_pairs(kind):
    loss, f = get_loss(kind), PAIRS[kind]
    moved = RANGE + 1j * COMPLEX_STEP
    np.testing.assert_allclose(loss.df(RANGE), f(moved).imag / COMPLEX_STEP, rtol=DERIVATIVE, atol=DERIVATIVE)
    curvature = loss.df(moved).imag / COMPLEX_STEP
    np.testing.assert_allclose(loss.ddf(RANGE), curvature, rtol=DERIVATIVE, atol=DERIVATIVE)
    np.testing.assert_array_equal(loss.df(SATURATED), (1, 0))


#: (at -800, at 800) of the first derivatives of f1, f2, h; all second ones vanish but least squares'
LIMITS = {
    "wasserstein": ((1, 1), (-1, -1), (1, 1)),
    "sobolev": ((1, 1), (-1, -1), (1, 1)),
    "logistic": ((1, 0), (0, -1), (0, 1)),
    "non_saturating": ((1, 0), (0, -1), (1, 0)),
    "least_squares": ((801, -799), (800, -800), (801, -799)),
    "hinge": ((1, 0), (0, -1), (1, 1)),
}


@pytest.mark.parametrize("kind", LIMITS)
def test_saturation(kind):
    """No overflow, no 0/0 (warnings are errors), and the right limits."""
    loss = get_loss(kind)
    with np.errstate(all="raise"):
        for name, limit in zip(("f1", "f2", "h"), LIMITS[kind], strict=True):
            assert np.all(getattr(loss, "d" + name)(SATURATED) * np.ones(2) == limit)
            second = -1.0 if kind == "least_squares" else 0.0
            assert np.all(getattr(loss, "dd" + name)(SATURATED) * np.ones(2) == second)
            assert np.all(getattr(loss, "d" + name)(SATURATED + 0j) * np.ones(2) == limit)


@pytest.mark.parametrize("star", ["0", "1", "-1/2"])
def test_wrong_equilibrium_is_refused(star):
    """Least squares has D* = 1/2 and nothing else."""
    wrong = dataclasses.replace(get_loss("least_squares"), D_star=star)
    with pytest.raises(ValueError, match=r"f1' \+ f2' must vanish at D\*"):
        _ = wrong.c


def test_a_loss_of_ones_own():
    """f1 = -exp(-D), f2 = -exp(D) (boosting): c = 1, kappa = 2."""
    import sympy as sp

    loss = Loss("exponential", "exponential", lambda D: (-sp.exp(-D), -sp.exp(D), -sp.exp(-D)))
    assert (loss.c, loss.b, loss.kappa, loss.D0) == (1.0, 1.0, 2.0, 0.0)


def test_unknown_loss():
    with pytest.raises(InputError, match=r"loss.kind: must be one of wasserstein.*but found 'gan'"):
        get_loss("gan")
    with pytest.raises(AttributeError):
        _ = get_loss("hinge").dddf1


# -- penalties --------------------------------------------------------------------------------------------------------


def random_state(exp, seed=5):
    """(field, w, x) far from equilibrium."""
    rng = np.random.default_rng(seed)
    field = Field(Problem(exp))
    x = exp.points.coordinates[exp.assignment] + 0.3 * rng.standard_normal((len(exp.assignment), exp.dimension))
    return field, rng.standard_normal(field.features.size), x


def values_and_slopes(field, w, X):
    """f and |grad f|^2 at every row of X from cosines and sines, w complex."""
    omega, amplitude = field.features.omega, field.features.amplitude
    F = len(omega)
    f, g2 = [], []
    for x in X:
        value, slope = 0, np.zeros(len(x), dtype=complex)
        for j in range(F):
            phase = float(np.dot(omega[j], x))
            value = value + amplitude[j] * (w[j] * np.cos(phase) + w[F + j] * np.sin(phase))
            slope = slope + amplitude[j] * omega[j] * (w[F + j] * np.cos(phase) - w[j] * np.sin(phase))
        f.append(value)
        g2.append((slope * slope).sum())
    return np.array(f), np.array(g2)


def penalty_value(key, s, alpha, fp, gp, fq, gq, w, p, q):
    """The functional that is subtracted from L_D, in words of its own."""
    if key == "r1":
        return s / 2 * (p * gp).sum()
    if key == "r2":
        return s / 2 * (q * gq).sum()
    if key == "weight_decay":
        return s / 2 * (w * w).sum()
    if key != "multiplier":  # the penalty of a file of test values
        return values("penalty")[key].value(s, fp, gp, fq, gq, w, p, q)
    on_p = (p * (alpha * fp**2 + gp - 1)).sum()
    on_q = (q * (alpha * fq**2 + gq - 1)).sum()
    return s * (on_p + on_q) / 2


@pytest.mark.parametrize("loss", ["wasserstein", "least_squares"])
@pytest.mark.parametrize("key", [k for k, p in PENALTIES.items() if p.terms is not None])
def test_penalty_is_the_gradient_of_its_functional(key, loss):
    """What the penalty takes from dL_D/dw is the derivative of the penalty itself, unequal masses and weights."""
    settings = {key: 0.7, **dict.fromkeys(PENALTIES[key].parameters, 0.6)}
    generator = {"masses": (0.1, 0.2, 0.3, 0.4)}
    exp = small(Ring(modes=3, weights=(1.0, 2.0, 4.0)), loss=loss, penalty=settings, generator=generator)
    field, w, x = random_state(exp)
    bare = Field(Problem(exp.replace({f"penalty.{key}": 0.0})))
    taken = bare.discriminator_gradient(w, x) - field.discriminator_gradient(w, x)
    expected = np.empty_like(taken)
    for i in range(len(w)):
        moved = w + 1j * COMPLEX_STEP * (np.arange(len(w)) == i)
        fp, gp = values_and_slopes(field, moved, exp.points.coordinates)
        fq, gq = values_and_slopes(field, moved, x)
        value = penalty_value(key, 0.7, 0.6, fp, gp, fq, gq, moved, exp.points.weights, exp.masses)
        expected[i] = value.imag / COMPLEX_STEP
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(taken, expected, rtol=0, atol=GRADIENT * np.abs(expected).max())


def test_penalties_add_up():
    both = coefficients(r1=0.1, r2=0.2, weight_decay=0.3, multiplier=0.4, alpha=0.5)
    # kappa = 2 m alpha, lambda = 2 m, half of each under p and q
    np.testing.assert_allclose(both, (0.1 + 0.4, 0.2 + 0.4, 0.2, 0.2, 0.3), rtol=STEP)
    arrays = coefficients(r1=np.array([0.0, 1.0]), r2=0.0, weight_decay=0.0, multiplier=0.0, alpha=0.0)
    assert np.array_equal(arrays.grad_p, [0.0, 1.0])


def test_instance_noise_averages_the_objective():
    """dL_D/dw with noise is E over eps of dL_D/dw at x + sigma eps; 40 nodes per coordinate stand for the integral."""
    sigma = 0.1
    exp = small(Ring(modes=3), loss="logistic", penalty={"instance_noise": sigma})
    field, w, x = random_state(exp)
    t, weight = np.polynomial.hermite.hermgauss(40)
    plain = Field(Problem(exp.replace({"penalty.instance_noise": 0.0})))
    df1, df2 = (lambda D: 1 / (1 + np.exp(D))), (lambda D: -1 / (1 + np.exp(-D)))
    expected = np.zeros_like(w)
    for a, wa in zip(t, weight, strict=True):
        for b, wb in zip(t, weight, strict=True):
            shift = sigma * np.sqrt(2) * np.array([a, b])
            for points, mass, df in ((exp.points.coordinates, exp.points.weights, df1), (x, exp.masses, df2)):
                psi = plain.features.at(points + shift).psi()
                expected += wa * wb / np.pi * (mass * df(psi @ w)) @ psi
    # five nodes per coordinate err by (sigma k)^10 / 10!; psi f1'(w . psi) holds wavenumbers of a few |omega|
    k = 3 * np.linalg.norm(field.features.omega, axis=1).max()
    error = (sigma * k) ** 10 / math.factorial(10) + GRADIENT
    np.testing.assert_allclose(field.discriminator_gradient(w, x), expected, rtol=0, atol=error)
    assert np.abs(plain.discriminator_gradient(w, x) - expected).max() > 1e-4


def test_terms_are_linear_however_they_are_written():
    def mixed(s, f, G2, W2, share):
        return s * (1 - share) * G2 / 2, s * share * (f**2 + G2) / 2, 0

    p, q, w = Penalty("mixed", "m", "mixed", "1", "", mixed, parameters={"share": fraction(0.5)}).expressions(2)
    assert p.free_symbols | q.free_symbols == set(sp.symbols("f G2 share")) and w == 0
    for terms in (lambda s, f, G2, W2: (s * G2**2, 0, 0), lambda s, f, G2, W2: (0, s * f**2 * G2, 0)):
        with pytest.raises(ValueError, match="must be linear in"):
            Penalty("curved", "m", "curved", "1", "", terms).expressions()


def test_unknown_penalties():
    with pytest.raises(InputError, match=r"penalty: must be one of r1.*but found 'r3'"):
        get_penalty("r3")
    with pytest.raises(InputError, match=r"penalty.wgan_gp: must not be used"):
        get_penalty("wgan_gp")


# -- update rules -----------------------------------------------------------------------------------------------------


def Vw(w, x):
    return 0.3 * np.sin(w) - 0.2 * w * x[0] + 0.1 * np.cos(x[1])


def Vx(w, x):
    return np.stack([0.2 * w.sum() - 0.1 * x[0] ** 3, 0.15 * np.sin(x[0] * w[0]) - 0.05 * x[1]])


W0, X0 = np.array([0.4, -1.1, 0.7]), np.array([0.9, -0.3])
STEPS_TAKEN = 7


def reference_simultaneous(mw, mx, steps):
    ws, xs = [W0, W0], [X0, X0]  # heavy ball: z_(t+1) = z_t + V(z_t) + m (z_t - z_(t-1))
    for _ in range(steps):
        w, x = ws[-1], xs[-1]
        ws.append(w + Vw(w, x) + mw * (w - ws[-2]))
        xs.append(x + Vx(w, x) + mx * (x - xs[-2]))
    return ws[-1], xs[-1]


def reference_alternating(mw, mx, critic, steps):
    ws, xs = [W0, W0], [X0, X0]
    for _ in range(steps):
        for _ in range(critic):
            ws.append(ws[-1] + Vw(ws[-1], xs[-1]) + mw * (ws[-1] - ws[-2]))
        xs.append(xs[-1] + Vx(ws[-1], xs[-1]) + mx * (xs[-1] - xs[-2]))
    return ws[-1], xs[-1]


def reference_extragradient(steps):
    w, x = W0, X0
    for _ in range(steps):
        middle = (w + Vw(w, x), x + Vx(w, x))
        w, x = w + Vw(*middle), x + Vx(*middle)
    return w, x


def reference_optimistic(steps):
    """z_(t+1) = z_t + 2 V(z_t) - V(z_(t-1)), the first step plain."""
    path = [(W0, X0), (W0 + Vw(W0, X0), X0 + Vx(W0, X0))]
    for _ in range(steps - 1):
        old, new = path[-2], path[-1]
        path.append((new[0] + 2 * Vw(*new) - Vw(*old), new[1] + 2 * Vx(*new) - Vx(*old)))
    return path[-1]


def reference_runge_kutta(substeps, steps):
    z, h = np.concatenate([W0, X0]), 1 / substeps

    def V(z):
        return np.concatenate([Vw(z[:3], z[3:]), Vx(z[:3], z[3:])])

    for _ in range(steps * substeps):
        a = V(z)
        b = V(z + h * a / 2)
        c = V(z + h * b / 2)
        d = V(z + h * c)
        z = z + h * (a / 6 + b / 3 + c / 3 + d / 6)
    return z[:3], z[3:]


REFERENCES = {
    "simultaneous": (UpdateRule(), lambda n: reference_simultaneous(0, 0, n)),
    "heavy ball D": (UpdateRule(momentum_discriminator=0.6), lambda n: reference_simultaneous(0.6, 0, n)),
    "heavy ball G": (UpdateRule(momentum_generator=0.4), lambda n: reference_simultaneous(0, 0.4, n)),
    "heavy ball": (
        UpdateRule(momentum_discriminator=0.6, momentum_generator=0.4),
        lambda n: reference_simultaneous(0.6, 0.4, n),
    ),
    "alternating": (UpdateRule("alternating"), lambda n: reference_alternating(0, 0, 1, n)),
    "three critic steps": (UpdateRule("alternating", 3), lambda n: reference_alternating(0, 0, 3, n)),
    "alternating heavy ball": (
        UpdateRule("alternating", 2, 0.5, 0.3),
        lambda n: reference_alternating(0.5, 0.3, 2, n),
    ),
    "extragradient": (UpdateRule("extragradient"), reference_extragradient),
    "optimistic": (UpdateRule("optimistic"), reference_optimistic),
    "flow": (UpdateRule("flow", substeps=3), lambda n: reference_runge_kutta(3, n)),
}


#: and those of files of test values: reference(W0, X0, Vw, Vx, steps) of the rule at its defaults
REFERENCES |= {
    name: (UpdateRule(name), partial(module.reference, W0, X0, Vw, Vx)) for name, module in values("rule").items()
}


def run(rule, steps):
    state = rule.start(W0, X0, Vw, Vx)
    for _ in range(steps):
        state = rule.step(state, Vw, Vx)
    return state


@pytest.mark.parametrize("steps", [1, STEPS_TAKEN])
@pytest.mark.parametrize("name", REFERENCES)
def test_rule(name, steps):
    rule, reference = REFERENCES[name]
    w, x, *memory = run(rule, steps)
    expected_w, expected_x = reference(steps)
    np.testing.assert_allclose(w, expected_w, rtol=STEP * 10 * steps, atol=STEP * 10 * steps)
    np.testing.assert_allclose(x, expected_x, rtol=STEP * 10 * steps, atol=STEP * 10 * steps)
    assert [m.shape for m in memory] == [{"w": W0, "x": X0}[block].shape for block in rule.blocks]


def test_every_rule_has_a_reference():
    assert {rule.rule for rule, _ in REFERENCES.values()} == set(STEPS)


@pytest.mark.parametrize("rule", ["optimistic", "simultaneous"])
def test_first_steps_are_plain(rule):
    """Momentum starts at rest and the optimistic rule without a past."""
    momentum = {"momentum_discriminator": 0.9, "momentum_generator": 0.8} if rule == "simultaneous" else {}
    w, x, *_ = run(UpdateRule(rule, **momentum), 1)
    np.testing.assert_allclose(w, W0 + Vw(W0, X0), rtol=STEP)
    np.testing.assert_allclose(x, X0 + Vx(W0, X0), rtol=STEP)


def test_flow_is_of_fourth_order():
    """Error against an adaptive integrator: slope 4 in the substep, and a ceiling."""
    solution = solve_ivp(
        lambda _, z: np.concatenate([Vw(z[:3], z[3:]), Vx(z[:3], z[3:])]),
        (0, 4),
        np.concatenate([W0, X0]),
        method="DOP853",
        rtol=3e-14,
        atol=1e-15,
    )
    substeps = np.array([2, 4, 8, 16])
    errors = [
        np.abs(np.concatenate(run(UpdateRule("flow", substeps=int(n)), 4)) - solution.y[:, -1]).max() for n in substeps
    ]
    order = -np.polyfit(np.log(substeps), np.log(errors), 1)[0]
    assert 3.7 <= order <= 4.5
    assert errors[-1] <= 1e-7
