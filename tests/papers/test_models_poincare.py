"""The smallest eigenvalue of the weighted Laplacian from samples, and the R1 strength it implies."""

import numpy as np
import pytest
import sympy as sp
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import minimize_scalar

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.papers.poincare import graph_laplacian, implied_r1, poincare
from egan_theory.papers.poincare.bases import Bumps, Polynomials, _exponents, _monomials
from egan_theory.symbolic.damping import best_r1

N = 2000
#: relative standard error of 1/(sample variance) of N Gaussian samples
SAMPLING = np.sqrt(2 / N)
#: median and quantiles asked for
ACCURACY = 0.03
FIRST = [Polynomials(1, k) for k in range(1, 6)]


def gaussian(seed, d, std):
    return std * np.random.default_rng([seed, d]).standard_normal((N, d))


def grid_xi(log_density, low, high, points=6001):
    """xi_1 in one dimension: finite volumes with no flux at the ends, symmetrised."""
    x = np.linspace(low, high, points)
    h = x[1] - x[0]
    p, between = np.exp(log_density(x)), np.exp(log_density((x[1:] + x[:-1]) / 2))
    diagonal = np.zeros(points)
    diagonal[:-1] += between
    diagonal[1:] += between
    off = -between / np.sqrt(p[1:] * p[:-1])
    return eigh_tridiagonal(diagonal / p / h**2, off / h**2, select="i", select_range=(1, 1), eigvals_only=True)[0]


def mixture_log_density(m, std):
    return lambda x: np.logaddexp(-((x - m) ** 2) / 2 / std**2, -((x + m) ** 2) / 2 / std**2)


# -- known eigenvalues ----------------------------------------------------------------------------------------------


def test_weighted_laplacian_of_a_gaussian():
    """-div(p grad f)/p of He_k(x/s) is k/s^2 He_k: xi_1 = 1/s^2; for the uniform interval cos(pi x/L) has (pi/L)^2."""
    x, s = sp.symbols("x s", positive=True)
    L = lambda f, p: sp.simplify(-sp.diff(p * sp.diff(f, x), x) / p / f)  # noqa: E731
    p = sp.exp(-(x**2) / (2 * s**2))
    for f, k in ((x, 1), (x**2 - s**2, 2), (x**3 - 3 * s**2 * x, 3)):
        assert sp.simplify(L(f, p) - k / s**2) == 0
    assert L(sp.cos(sp.pi * x / s), sp.Integer(1)) == sp.pi**2 / s**2
    # the grid solve that serves as reference below
    assert grid_xi(lambda x: -(x**2) / 2 / 1.7**2, -14, 14) == pytest.approx(1 / 1.7**2, rel=1e-5)
    assert grid_xi(lambda x: 0 * x, 0, 3) == pytest.approx((np.pi / 3) ** 2, rel=1e-3)  # ends: half a cell


@pytest.mark.parametrize("d", [1, 2])
def test_poincare_constant_of_a_gaussian(d):
    """Median over seeds within 3 %, the spread that of the sampled variance, and the error bars say so."""
    bases = [Polynomials(k, degree) for k in range(1, d + 1) for degree in (1, 2, 3)]
    found = [poincare(gaussian(seed, d, 1.7), bases=bases) for seed in range(12)]
    ratio = np.array([f.constant for f in found]) / 1.7**2
    assert abs(np.median(ratio) - 1) <= ACCURACY
    assert np.abs(ratio - 1).max() <= 3.5 * SAMPLING
    stderr = np.array([f.stderr / f.xi for f in found])
    np.testing.assert_allclose(stderr, SAMPLING, rtol=0.15)
    # z-scores of about unit size: a chi-squared of 12 below its 99.9 % quantile and above its 0.1 % one
    assert 2.2 < np.sum(((ratio - 1) / stderr) ** 2) < 32.9
    assert sum(f.converged for f in found) >= 11  # three standard errors of heavy-tailed differences, many bases


def test_a_basis_that_adds_nothing_is_not_better_by_rounding():
    bases = [Polynomials(1, 1), Polynomials(2, 1)]  # the best linear function is along the first principal axis
    assert all(poincare(gaussian(seed, 2, 0.6), bases=bases).converged for seed in range(60))


def test_all_default_bases_on_a_gaussian():
    found = poincare(gaussian(3, 2, 0.6))
    assert abs(found.constant / 0.36 - 1) <= 3 * found.stderr / found.xi
    assert found.converged and {t.basis.split(" ")[0] for t in found.trials} > {"polynomials", "60"}
    # fitted to its own samples a larger basis always promises less
    own = {t.basis: t.lower for t in found.trials}
    degrees = [own[f"polynomials of degree {k} in 2 components"] for k in (1, 2, 3)]
    assert degrees[0] > degrees[1] > degrees[2]


def test_uniform_interval():
    """(pi/L)^2; polynomials of degree 1 give 12/L^2 and are found wanting."""
    X = np.random.default_rng(0).uniform(0, 3, (N, 1))
    found = poincare(X, bases=FIRST)
    assert abs(found.xi / (np.pi / 3) ** 2 - 1) <= 3 * found.stderr / found.xi < 0.1
    assert found.basis.startswith("polynomials of degree 3")
    linear = poincare(X, bases=FIRST[:1])
    assert linear.xi == pytest.approx(12 / 9, rel=0.08) and linear.xi > found.xi * 1.1


@pytest.mark.parametrize(("m", "std"), [(1.5, 1.0), (2.0, 1.0)])
def test_mixture_of_two_gaussians(m, std):
    """Against a fine grid: the slow mode between two wells, which no linear function shows."""
    exact = grid_xi(mixture_log_density(m, std), -m - 9, m + 9)
    rng = np.random.default_rng(4)
    X = rng.choice([-m, m], (N, 1)) + std * rng.standard_normal((N, 1))
    found = poincare(X)
    assert abs(found.xi / exact - 1) <= 3.5 * found.stderr / found.xi < 0.25
    assert found.trials[0].upper > found.xi * 1.1
    # the route without functions; bandwidth 0.05 leaves a bias of a few percent beside the sampling error
    assert graph_laplacian(X, 0.05) == pytest.approx(found.xi, rel=0.15)


def test_graph_laplacian_of_a_gaussian():
    X = gaussian(1, 1, 1.0)
    assert graph_laplacian(X, 0.05) == pytest.approx(1 / X.var(), rel=0.1)
    assert graph_laplacian(2 * X, 0.2) == pytest.approx(graph_laplacian(X, 0.05) / 4, rel=1e-8)


def test_scale_shift_rotation_and_weights():
    """xi_1 has the units of 1/length^2, and neither origin nor axes; doubling a weight is repeating a sample."""
    X = gaussian(2, 2, 1.0) * [1.0, 0.4]
    base = poincare(X, bases=FIRST)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    moved = poincare(3 * X @ turn.T + 50, bases=FIRST)
    assert moved.xi * 9 == pytest.approx(base.xi, rel=1e-9)
    own = Polynomials(2, 3)
    w = np.random.default_rng(0).integers(1, 3, len(X)).astype(float)
    value, energy = own.fit(X, w / w.sum())(X)
    repeated = np.repeat(X, w.astype(int), axis=0)
    again, energies = own.fit(repeated, np.full(len(repeated), 1 / len(repeated)))(X)
    np.testing.assert_allclose(value - value.mean(), np.sign(value @ again) * (again - again.mean()), atol=1e-8)
    np.testing.assert_allclose(energy, energies, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("basis", [Polynomials(2, 4), Polynomials(1, 3), Bumps(15, 0.7, 1e-3)])
def test_functions_report_their_own_gradient(basis):
    X = gaussian(5, 2, 1.3)[:300]
    function = basis.fit(X, np.full(300, 1 / 300))
    h = 1e-5
    slopes = [(function(X + h * e)[0] - function(X - h * e)[0]) / (2 * h) for e in np.eye(2)]
    np.testing.assert_allclose(function(X)[1], np.sum(np.square(slopes), axis=0), rtol=1e-6, atol=1e-8)


def test_bumps_minimise_their_quotient():
    """The Gram form of E|grad f|^2 + ridge |f|^2 against any other combination of the same bumps."""
    X = gaussian(6, 2, 1.0)[:400]
    w = np.full(400, 1 / 400)
    quotients = []
    for ridge in (0.0, 1e-3):
        value, energy = Bumps(12, 0.8, ridge).fit(X, w)(X)
        quotients.append(w @ energy / (w @ (value - w @ value) ** 2))
    assert quotients[0] < quotients[1]  # the ridge moves it off the unpenalised minimum
    linear = 1 / np.linalg.eigvalsh(np.cov(X.T, bias=True))[-1]
    assert quotients[0] < 1.1 * linear


def test_hermite_basis():
    """He_2/sqrt(2), He_3/sqrt(6) and their slopes."""
    z = np.linspace(-2, 2, 7)[:, None]
    F, G = _monomials(z, _exponents(1, 3))
    x = z[:, 0]
    np.testing.assert_allclose(F.T, [x, (x**2 - 1) / np.sqrt(2), (x**3 - 3 * x) / np.sqrt(6)], atol=1e-14)
    np.testing.assert_allclose(G[:, :, 0].T, [1 + 0 * x, 2 * x / np.sqrt(2), 3 * (x**2 - 1) / np.sqrt(6)], atol=1e-14)
    assert len(_exponents(3, 2)) == Polynomials(3, 2).size == 9


def test_too_small_a_basis_is_called_not_converged():
    rng = np.random.default_rng(4)
    X = rng.choice([-2.0, 2.0], (N, 1)) + rng.standard_normal((N, 1))
    assert not poincare(X, bases=[Polynomials(1, 1), Polynomials(1, 3)]).converged


# -- the strength it implies ----------------------------------------------------------------------------------------


def test_implied_strengths_are_limits_of_the_closed_form():
    xi, top, gain = sp.symbols("xi xi_top G", positive=True)
    strength = 2 * sp.sqrt(gain * top / (xi * (2 * top - xi)))
    rate = sp.sqrt(gain * xi * top / (2 * top - xi))
    assert sp.limit(strength, top, sp.oo) == sp.sqrt(2) * sp.sqrt(gain) / sp.sqrt(xi)
    assert sp.simplify(sp.limit(rate, top, sp.oo) - sp.sqrt(gain * xi / 2)) == 0
    found = implied_r1(0.7)
    single, broad = best_r1(1.0, 0.7, 0.7), best_r1(1.0, 0.7, 0.7e8)
    assert (found.single, found.rate_single) == pytest.approx((float(single.strength), float(single.rate)), rel=1e-12)
    assert (found.broad, found.rate_broad) == pytest.approx((float(broad.strength), float(broad.rate)), rel=1e-7)


def test_implied_strength_by_brute_force():
    """xi_k = k xi_1 up to k = 4000: the numerical best strength of s^2 + gamma xi s + c^2 xi is c sqrt(2/xi_1)."""
    xi_1, c = 0.35, 0.5
    xi = xi_1 * np.arange(1, 4001)

    def slowest(gamma):
        a = gamma * xi
        return float(((a - np.sqrt((a**2 - 4 * c**2 * xi).astype(complex))) / 2).real.min())

    best = minimize_scalar(lambda g: -slowest(np.exp(g)), bounds=(-2, 3), method="bounded", options={"xatol": 1e-10})
    assert np.exp(best.x) == pytest.approx(c * np.sqrt(2 / xi_1), rel=1e-3)
    assert -best.fun == pytest.approx(c * np.sqrt(xi_1 / 2), rel=1e-3)
    xi = xi[:1]
    assert slowest(2 * c / np.sqrt(xi_1)) == pytest.approx(c * np.sqrt(xi_1), rel=1e-7)


def on_points(path, kernel, **discriminator):
    return eg.Experiment(
        target={"kind": "points", "path": str(path)},
        generator={"particles": 60, "learning_rate": 0.2, "kernel": {"ratio": 0.0}},
        discriminator={"kernel": kernel, "features": 0, "learning_rate": 0.5, **discriminator},
        loss={"kind": "logistic" if kernel == "gaussian" else "wasserstein"},
        penalty={"r1": 0.1},
        update={"rule": "flow"},
    )


def test_finite_samples_with_a_linear_discriminator(tmp_path):
    """x/s is orthonormal on N(0, s^2): the finite-sample best strength is 2 sqrt(G/xi)/eta_D exactly."""
    X = 1.7 * np.random.default_rng(1).standard_normal((60, 1))
    np.save(tmp_path / "points.npy", X)
    xi = 1 / X.var()
    exp = on_points(tmp_path / "points.npy", "linear", variance=xi)
    best, implied = eg.fastest_strength(exp, penalty="r1"), implied_r1(xi, exp)
    assert best.method == "closed-form"
    assert (best.best, best.rate) == pytest.approx((implied.single, implied.rate_single), rel=1e-7)
    # gradient steps on the plain feature x see beta = 1 whatever the data's variance: xi_1 is then not the constant
    plain = eg.fastest_strength(on_points(tmp_path / "points.npy", "linear"), penalty="r1")
    assert plain.best == pytest.approx(implied.single * np.sqrt(xi), rel=1e-7)


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "message"),
    [(np.zeros((5, 1)), "n >= 40"), (np.full((50, 2), np.nan), "finite"), (np.ones((50, 2)), "not all be equal"),
     ("text", "real numbers"), (np.zeros((50, 2, 2)), "n >= 40")],
)  # fmt: skip
def test_bad_points_are_refused(points, message):
    with pytest.raises(InputError, match=message):
        poincare(points)


def test_bad_numbers_are_refused():
    X = gaussian(0, 1, 1.0)
    with pytest.raises(InputError, match="weights: must be 2000 positive"):
        poincare(X, np.zeros(N))
    with pytest.raises(InputError, match="xi: must be greater than 0"):
        implied_r1(0.0)
    with pytest.raises(InputError, match="epsilon: must be greater than 0"):
        graph_laplacian(X, -1.0)
    with pytest.raises(InputError, match="bases: must hold"):
        poincare(X, bases=[])
