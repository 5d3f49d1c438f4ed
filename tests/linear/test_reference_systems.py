"""Systems with known answers, reproduced by the general machinery: an Experiment and its linearization."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from egan_theory.base.errors import InputError
from egan_theory.experiment import Experiment
from egan_theory.experiment.targets import Grid, PointSet, Ring, Uniform
from egan_theory.features import feature_map
from egan_theory.kernels import Kernel
from egan_theory.linear import eigenvalues, equilibrium, linearize
from egan_theory.linear.saddle import coupling_matrix, coupling_rank, on_seen_features
from egan_theory.linear.seen import seen
from egan_theory.problem.problem import Damping, Problem
from egan_theory.tables.updates import UpdateRule
from tests.builders import small
from tests.stepjac import check_step, pair, predicted_flow

TIGHT = 1e-12
#: double roots: rounding moves coalescing eigenvalues by sqrt(eps)
COALESCING = 1e-7

# -- Dirac-GAN (Mescheder, Geiger, Nowozin 2018) --------------------------------------------------------------------


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    path = tmp_path_factory.mktemp("dirac") / "origin.npy"
    np.save(path, np.zeros((1, 1)))
    return PointSet(path=str(path))


def dirac(origin, loss="wasserstein", rate=1.0, update=None, **penalty):
    """One particle, the data at 0, D(x) = psi x."""
    if loss == "sobolev":
        penalty.setdefault("multiplier", 1e-9)
    return Experiment(
        target=origin,
        generator={"particles": 1, "learning_rate": rate},
        discriminator={"kernel": "linear", "features": 0, "learning_rate": rate},
        loss={"kind": loss},
        penalty=penalty,
        update=update or {"rule": "flow"},
    )


#: (f'(0), f''(0)) of f(t) = t and f(t) = -log(1 + e^-t)
DIRAC_LOSSES = {
    "wasserstein": (1.0, 0.0),
    "hinge": (1.0, 0.0),
    "logistic": (0.5, -0.25),
    "non_saturating": (0.5, -0.25),
}
every_loss = pytest.mark.parametrize("loss", DIRAC_LOSSES)


def flow(exp):
    return predicted_flow(linearize(exp))


def radius(exp):
    return np.abs(eigenvalues(linearize(exp)).z).max()


def roots(half_trace, determinant):
    root = np.sqrt(complex(half_trace**2 - determinant))
    return [half_trace + root, half_trace - root]


def bisect(stable, low, high):
    """The value between low (stable) and high (not) at which ``stable`` changes."""
    assert stable(low)
    assert not stable(high)
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if stable(middle) else (low, middle)
    return middle


def test_logistic_constants():
    t = sp.Symbol("t", real=True)
    f = -sp.log(1 + sp.exp(-t))
    assert (f.diff(t).subs(t, 0), f.diff(t, 2).subs(t, 0)) == (sp.Rational(1, 2), -sp.Rational(1, 4))


@every_loss
def test_dirac_without_penalty_circles(origin, loss):
    f1, _ = DIRAC_LOSSES[loss]
    assert pair(flow(dirac(origin, loss)), [1j * f1, -1j * f1]) <= TIGHT


@pytest.mark.parametrize("gamma", [0.3, 1.7, 5.0])
@pytest.mark.parametrize("key", ["r1", "r2"])
@every_loss
def test_dirac_gradient_penalty(origin, loss, key, gamma):
    f1, _ = DIRAC_LOSSES[loss]
    assert pair(flow(dirac(origin, loss, **{key: gamma})), roots(-gamma / 2, f1**2)) <= TIGHT


@every_loss
def test_dirac_critical_gamma(origin, loss):
    f1, _ = DIRAC_LOSSES[loss]
    exp = dirac(origin, loss, r1=2 * f1)
    assert pair(flow(exp), [-f1, -f1]) <= COALESCING
    assert list(eigenvalues(linearize(exp)).regime) == ["critical", "critical"]
    for factor, regime in ((0.99, "underdamped"), (1.01, "overdamped")):
        lin = linearize(dirac(origin, loss, r1=2 * f1 * factor))
        assert set(eigenvalues(lin).regime) == {regime}


@pytest.mark.parametrize("sigma", [0.4, 1.3, 2.5])
@every_loss
def test_dirac_instance_noise(origin, loss, sigma):
    f1, f2 = DIRAC_LOSSES[loss]
    assert pair(flow(dirac(origin, loss, instance_noise=sigma)), roots(f2 * sigma**2, f1**2)) <= TIGHT


def test_dirac_instance_noise_is_r1_at_half_the_variance(origin):
    """Logistic loss: not only the traces but the spectra are equal, so gamma = sigma^2/2 is exact here."""
    for sigma in (0.4, 1.3, 2.5):
        for loss in ("logistic", "non_saturating"):
            noise = flow(dirac(origin, loss, instance_noise=sigma))
            assert pair(noise, flow(dirac(origin, loss, r1=sigma**2 / 2))) <= TIGHT
            assert pair(noise, flow(dirac(origin, loss, r1=sigma**2))) > 0.01
    # the Wasserstein loss has no curvature, and noise does nothing to it
    assert pair(flow(dirac(origin, instance_noise=1.3)), flow(dirac(origin))) <= TIGHT


@pytest.mark.parametrize("gamma", [0.2, 1.5])
@every_loss
def test_dirac_consensus(origin, loss, gamma):
    f1, _ = DIRAC_LOSSES[loss]
    real = -gamma * f1**2
    assert pair(flow(dirac(origin, loss, consensus=gamma)), [real + 1j * f1, real - 1j * f1]) <= TIGHT


def test_dirac_wgan_gp_is_refused(origin):
    with pytest.raises(InputError, match="discontinuous where grad D = 0, so at equilibrium it has no Jacobian"):
        dirac(origin, wgan_gp=1.0)


@every_loss
def test_dirac_simultaneous_steps_grow(origin, loss):
    f1, _ = DIRAC_LOSSES[loss]
    for h in (0.01, 0.3, 1.0):
        exp = dirac(origin, loss, rate=h, update={"rule": "simultaneous"})
        z = np.abs(eigenvalues(linearize(exp)).z)
        np.testing.assert_allclose(z, np.sqrt(1 + (h * f1) ** 2), rtol=TIGHT)


@pytest.mark.parametrize("part", [0.2, 0.6, 0.95])
@every_loss
def test_dirac_r1_step_bound(origin, loss, part):
    """Underdamped (gamma < 2 f'): simultaneous steps are stable iff h < gamma/f'^2."""
    f1, _ = DIRAC_LOSSES[loss]
    gamma = 2 * f1 * part
    h = bisect(lambda h: radius(dirac(origin, loss, rate=h, update={"rule": "simultaneous"}, r1=gamma)) < 1, 1e-3, 20.0)
    assert abs(h - gamma / f1**2) <= 1e-7


@pytest.mark.parametrize("steps", [1, 2, 5])
@every_loss
def test_dirac_alternating_step_bound(origin, loss, steps):
    """n critic steps per generator step: on the unit circle iff h f' sqrt(n) <= 2."""
    f1, _ = DIRAC_LOSSES[loss]

    def on_circle(h):
        exp = dirac(origin, loss, rate=h, update={"rule": "alternating", "critic_steps": steps})
        return abs(radius(exp) - 1) < 1e-9

    assert abs(bisect(on_circle, 1e-2, 10.0) - 2 / (f1 * np.sqrt(steps))) <= 1e-7


@pytest.mark.parametrize("penalty", [{}, {"r1": 0.4}, {"instance_noise": 0.8}, {"consensus": 0.3}])
@every_loss
def test_dirac_simulator_agrees(origin, loss, penalty):
    for update in ({"rule": "simultaneous"}, {"rule": "alternating", "critic_steps": 2}):
        check_step(dirac(origin, loss, rate=0.3, update=update, **penalty))


# -- isolated points (after Becker, Pandit, Rangan, Fletcher 2022) --------------------------------------------------

SIGMA, NU = 0.4, 0.3
ETA_D, MU = 0.5, 0.8


def isolated(counts, masses, weights, *, update=None, eta_D=ETA_D, nu=NU):
    """Two true points 40 widths apart, several generated points of equal mass on each; the sum of masses is 1."""
    return Experiment(
        target=Grid(side=2, dimension=2, spacing=40 * SIGMA, weights=weights),
        generator={
            "particles": sum(counts),
            "per_point": counts,
            "masses": masses,
            "learning_rate": MU * eta_D,
            "normalisation": "mean",
            "kernel": {"ratio": 0.0},
        },
        discriminator={"kernel": "gaussian", "length_scale": SIGMA, "features": 0, "learning_rate": eta_D},
        penalty={"weight_decay": nu},
        update=update or {"rule": "flow"},
    )


def local_rates(p, each, count, nu=NU):
    """(centre of mass pair, relative rate) per unit of eta_D time, from the quadratic derived below."""
    delta = p - count * each
    m = (nu + MU * each * delta / (nu * SIGMA**2)) / 2
    root = np.sqrt(complex(m**2 - MU * each * p / SIGMA**2))
    return [-m + root, -m - root], -MU * each * delta / (nu * SIGMA**2)


def test_isolated_point_formulas():
    """f = (Delta/nu) K(., y) at rest; g = grad f(y) and the displacements close. K = exp(-r^2/(2 sigma^2)).

    g' = -nu g - sum_j p_j u_j/sigma^2,  u_j' = mu p_j [g - Delta/(nu sigma^2) u_j]   (time in units of 1/eta_D)
    """
    s, nu, mu, each, p, sigma, r, g = sp.symbols("s nu mu p_j p sigma r g")
    K = sp.exp(-(r**2) / (2 * sigma**2))
    curvature = K.diff(r, 2).subs(r, 0)  # of K, and minus that of d_x d_y K, at coincident points
    for count in (1, 2, 3):
        delta = p - count * each
        u = sp.symbols(f"u:{count}")
        field = [-nu * g + sum(each * uj for uj in u) * curvature]
        field += [mu * each * (g + delta / nu * curvature * uj) for uj in u]
        J = sp.Matrix(field).jacobian([g, *u])
        relative = -mu * each * delta / (nu * sigma**2)
        m = (nu + mu * each * delta / (nu * sigma**2)) / 2
        centre = s**2 + 2 * m * s + mu * each * p / sigma**2
        claimed = centre * (s - relative) ** (count - 1)
        assert sp.simplify(J.charpoly(s).as_expr() - claimed) == 0


CASES = {
    # weights of the four points (sum 1), generated points on each and their masses
    "matched": ((0.25, 0.25, 0.25, 0.25), (2, 1, 3, 2), (0.125, 0.25, 0.25 / 3, 0.125)),
    "unmatched": ((0.4, 0.1, 0.3, 0.2), (2, 3, 1, 2), (0.15, 0.07, 0.22, 0.135)),
    "strongly": ((0.1, 0.2, 0.3, 0.4), (3, 2, 1, 1), (0.2, 0.05, 0.1, 0.2)),
}


@pytest.mark.parametrize("case", CASES)
def test_isolated_points(case):
    weights, counts, each = CASES[case]
    masses = tuple(np.repeat(each, counts))
    exp = isolated(counts, masses, weights)
    lin = linearize(exp)
    found = eigenvalues(lin)
    s = np.concatenate([np.repeat(found.s, found.multiplicity), np.zeros(lin.zero_modes)]) / ETA_D
    expected = []
    for p, m, n in zip(weights, each, counts, strict=True):
        centre, relative = local_rates(p, m, n)
        expected += 2 * centre + 2 * (n - 1) * [relative]  # two dimensions
    # values of f decay by themselves
    expected += [-NU] * (len(s) - len(expected))
    assert expected.count(-NU) >= 4
    assert pair(s, expected) <= 1e-9
    check_step(exp)


def test_isolated_points_split_when_too_many():
    """Delta < 0: relative modes grow; Delta = 0: marginal; Delta > 0: they decay."""
    for each, sign in ((0.2, -1), (0.125, 0), (0.1, 1)):
        weights = (0.25, 0.25, 0.25, 0.25)
        masses = (each, each, *(((1 - 2 * each) / 3,) * 3))
        exp = isolated((2, 1, 1, 1), masses, weights)
        lin = linearize(exp)
        s = predicted_flow(lin) / ETA_D
        relative = local_rates(0.25, each, 2)[1]
        assert np.sign(-relative) == pytest.approx(sign, abs=1e-12)
        assert np.sum(np.abs(s - relative) <= 1e-9) == 2  # one relative mode in two dimensions


def test_single_point_diverges_beyond_its_threshold():
    """A single generated point of mass p~ > p is unstable iff mu p~ |Delta| > nu^2 sigma^2."""
    weights, masses = (0.1, 0.3, 0.3, 0.3), (0.25, 0.25, 0.25, 0.25)
    threshold = np.sqrt(MU * 0.25 * 0.15) / SIGMA
    for nu, stable in ((threshold * 1.01, True), (threshold * 0.99, False)):
        s = predicted_flow(linearize(isolated((1, 1, 1, 1), masses, weights, nu=nu)))
        assert (s.real.max() < 0) == stable


def test_best_ridge_of_an_isolated_point():
    """The slowest of f (rate nu), relative modes and centre of mass is fastest at nu = sqrt(mu p~ Delta)/sigma."""
    weights, counts = (0.4, 0.2, 0.2, 0.2), (2, 2, 2, 2)
    # only the first point has Delta > 0 and its own modes are followed
    each = 0.1
    rest = (1 - 2 * each) / 6
    masses = (each, each, *((rest,) * 6))
    delta = 0.4 - 2 * each
    best = np.sqrt(MU * each * delta) / SIGMA

    def slowest(nu):
        centre, relative = local_rates(0.4, each, 2, nu)
        s = predicted_flow(linearize(isolated(counts, masses, weights, nu=nu))) / ETA_D
        own = [*centre, relative, -nu]
        for value in own:
            assert np.abs(s - value).min() <= 1e-9
        return -max(np.real(own))

    rate = slowest(best)
    assert rate == pytest.approx(best, rel=1e-12)
    for factor in (0.7, 0.98, 1.02, 1.4):
        assert slowest(factor * best) < rate * (1 - 0.015)
    # without mu, as if the time unit were the generator's, the rate is lower
    assert slowest(best / np.sqrt(MU)) < rate * 0.9


def test_alternating_steps_reach_the_isolated_formulas_at_first_order():
    weights, counts, each = CASES["unmatched"]
    masses = tuple(np.repeat(each, counts))
    errors = []
    for h in (0.02, 0.01):
        exp = isolated(counts, masses, weights, update={"rule": "alternating"}, eta_D=h)
        e = eigenvalues(linearize(exp))
        s = np.repeat(e.s, e.multiplicity) / h
        expected = []
        for p, m, n in zip(weights, each, counts, strict=True):
            centre, relative = local_rates(p, m, n)
            expected += 2 * centre + 2 * (n - 1) * [relative]
        expected += [-NU] * (len(s) - len(expected))
        errors.append(pair(s, expected))
    assert errors[0] < 0.1
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.1)


def test_isolated_equilibrium_has_f_off_zero():
    weights, counts, each = CASES["unmatched"]
    exp = isolated(counts, tuple(np.repeat(each, counts)), weights)
    eq = equilibrium(exp)
    assert not eq.matched
    delta = np.array(weights) - np.array(counts) * np.array(each)
    # |f|^2 in the kernel's space is sum (Delta_a/nu)^2 for points that do not overlap
    assert np.sum(eq.w**2) == pytest.approx(np.sum((delta / NU) ** 2), rel=1e-9)


# -- function-space limit -------------------------------------------------------------------------------------------


class White(Kernel):
    """K_k = 1/rho at every k: discriminator and target's density cancel, D feels the weighted Laplacian itself."""

    name = "white"
    kind = "stationary"

    def _spectral_density(self, k, dimension):
        return np.full(k.shape, LENGTH**dimension)


LENGTH = 1.7


def white(side=9, dimension=1, loss="logistic", rate=1.0, update=None, **penalty):
    return Experiment(
        target=Uniform(side=side, dimension=dimension, length=LENGTH),
        generator={"particles": side**dimension, "learning_rate": rate, "kernel": {"ratio": 0.0}},
        discriminator={"kernel": White(), "features": 0, "learning_rate": rate},
        loss={"kind": loss},
        penalty=penalty,
        update=update or {"rule": "flow"},
    )


def laplacian(side, dimension):
    """Eigenvalues of -div(p grad .)/p on the box, without the constant."""
    n = np.arange(-(side // 2), side // 2 + 1)
    xi = sum(np.meshgrid(*[(2 * np.pi * n / LENGTH) ** 2] * dimension, indexing="ij")).ravel()
    return xi[xi > 0]


@pytest.mark.parametrize(("loss", "c", "a"), [("wasserstein", 1.0, 0.0), ("logistic", 0.5, 0.5)])
@pytest.mark.parametrize(("side", "dimension"), [(9, 1), (3, 2), (3, 3)])
@pytest.mark.parametrize("gamma", [0.0, 0.01, 0.4])
def test_function_space_limit(loss, c, a, side, dimension, gamma):
    """s^2 + (a + gamma xi) s + c^2 xi = 0 for every eigenvalue xi of the weighted Laplacian."""
    lin = linearize(white(side, dimension, loss, r1=gamma))
    found = predicted_flow(lin)
    expected = [root for xi in laplacian(side, dimension) for root in roots(-(a + gamma * xi) / 2, c**2 * xi)]
    # the constant decays at rate a; particles' motions that change no density up to Nyquist stay
    rest = [-a] + [0.0] * (len(found) - len(expected) - 1)
    assert pair(found, expected + rest) <= 1e-9 * np.abs(found).max()


def test_function_space_step_agrees():
    update = {"rule": "alternating"}
    check_step(white(5, 1, rate=0.05, update=update, r1=0.01))
    check_step(white(3, 2, "wasserstein", rate=0.05, update=update, r1=0.02))


@pytest.mark.parametrize("side", [3, 9])
def test_best_gamma_in_function_space(side):
    """a = 0: best R1 strength 2 sqrt(c^2 top/(low (2 top - low))) and its rate; 2c/sqrt(xi_1) when all xi are equal."""
    c, xi = 1.0, laplacian(side, 1)
    low, top = xi.min(), xi.max()
    best = 2 * c * np.sqrt(top / (low * (2 * top - low)))
    rate = c * np.sqrt(low * top / (2 * top - low))

    def slowest(gamma):
        e = eigenvalues(linearize(white(side, 1, "wasserstein", r1=gamma)))
        return -e.s.real[e.coupled].max()

    # low = top (side 3): critical damping, where rounding moves the double root by sqrt(eps)
    assert slowest(best) == pytest.approx(rate, rel=COALESCING)
    for factor in (0.8, 0.99, 1.01, 1.2):
        assert slowest(factor * best) < rate * (1 - 1e-3)
    if side == 3:
        assert best == pytest.approx(2 * c / np.sqrt(low))


# -- the general saddle (Nagarajan and Kolter 2017) -----------------------------------------------------------------


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    modes=st.integers(2, 4),
    loss=st.sampled_from(["wasserstein", "logistic", "least_squares"]),
    kernel=st.sampled_from(["gaussian", "matern", "rational_quadratic"]),
    decay=st.floats(0.01, 2.0),
    r1=st.floats(0.0, 2.0),
    ratio=st.floats(0.0, 0.9),
    rate=st.floats(0.01, 1.0),
)
def test_saddle_bounds(seed, modes, loss, kernel, decay, r1, ratio, rate):
    """J = [[-Q, P], [-P^T, 0]]: complex eigenvalues have Re <= -min(Q)/2, real ones
    <= -min(Q) min(P^T P)/(min(Q) max(Q) + min(P^T P)); equal learning rates, b = c for these losses."""
    exp = small(
        Ring(modes=modes),
        particles=modes + 1,
        loss=loss,
        penalty={"weight_decay": decay, "r1": r1},
        discriminator={"kernel": kernel, "smoothness": 2.5, "features": 10, "seed": seed, "learning_rate": rate},
        generator={"learning_rate": rate, "masses": "matched", "kernel": {"ratio": ratio}},
    )
    damping = exp.loss_object
    psi, gradients, mean, *_ = seen(Problem(exp))
    C = coupling_matrix(Problem(exp), mean)
    rank = coupling_rank(Problem(exp), feature_map(exp))
    reduced = on_seen_features(psi, gradients, C, Damping(decay, damping.kappa, r1), rank)
    assume(reduced.unresolved == 0)
    Q, P = reduced.A, damping.c * reduced.C.T
    q = np.linalg.eigvalsh(Q)
    low, high = q[0], q[-1]
    coupling = np.linalg.svd(P, compute_uv=False).min() ** 2
    assume(coupling > 1e-8)
    # features that no datum sees are not in Q: they decay at the rate nu
    coupled = replace(linearize(exp), scalars=())
    s = eigenvalues(coupled, UpdateRule("flow")).s / rate
    rounding = 1e-10 * np.abs(s).max()
    oscillating = np.abs(s.imag) > rounding
    assert np.all(s.real[oscillating] <= -low / 2 + rounding)
    assert np.all(s.real[~oscillating] <= -low * coupling / (low * high + coupling) + rounding)
