"""The kernel contract over every kernel, spectra by two routes, limits, and user-given profiles."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gamma, kv

from egan_theory.base.errors import InputError
from egan_theory.kernels import (
    KERNELS,
    Gaussian,
    Kernel,
    Laplace,
    Linear,
    Matern,
    Polynomial,
    RationalQuadratic,
    kernel_from_profile,
    make_kernel,
    radial_fourier,
)

EPS = np.finfo(float).eps
ROUNDING = 200 * EPS  # closed forms: a few operations on numbers of order one
BESSEL = 1e4 * EPS  # the Bessel routines promise about 1e-13
STEP = 1e-30  # complex step: its error, STEP^2, is far under rounding
QUADRATURE = 1e-11  # |numeric - closed form| over the spectrum's peak; radial_fourier stops at 1e-9 |K| + 1e-12 size
SIGMAS = 5.0  # Monte-Carlo means: 5 standard errors

STATIONARY = [
    Gaussian(0.8, 1.3),
    Matern(0.7, 1.2, 1.1),
    Matern(1.1, 1.5, 0.9),
    Matern(0.9, 2.0),
    Matern(0.9, 2.5),
    Matern(0.8, 3.3, 1.2),
    Matern(0.9, 12.5),
    Matern(0.9, 47.0),
    Laplace(1.2, 0.7),
    Matern(1.0, 0.8),
    RationalQuadratic(0.9, 0.7, 1.4),
    RationalQuadratic(0.8, 2.3),
]
DOT = [Linear(1.7), Polynomial(1, 0.5), Polynomial(2, 1.0, 0.6), Polynomial(3, 0.0), Polynomial(4, 0.3)]
USER = [
    kernel_from_profile(lambda u: 1 / sp.cosh(sp.sqrt(u)), name="sech"),
    kernel_from_profile(lambda u: (1 + sp.sqrt(3 * u)) * sp.exp(-sp.sqrt(3 * u)), name="user matern 3/2"),
    kernel_from_profile(lambda u: sp.exp(u / 4), kind="dot", name="exp dot"),
]
FURTHER = [KERNELS[name]() for name in KERNELS if name not in {kernel.name for kernel in STATIONARY + DOT}]
STATIONARY += [kernel for kernel in FURTHER if kernel.kind == "stationary"]
DOT += [kernel for kernel in FURTHER if kernel.kind == "dot"]
ALL = STATIONARY + DOT + USER
SMOOTH = [kernel for kernel in ALL if kernel.differentiable]


def name(kernel: Kernel) -> str:
    return kernel.name if kernel in USER else repr(kernel)


def each(kernels):
    return pytest.mark.parametrize("kernel", kernels, ids=name)


def points(seed: int, n: int, d: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def complex_step(function, X: np.ndarray, axis: int) -> np.ndarray:
    shifted = X.astype(complex)
    shifted[..., axis] += 1j * STEP
    return function(shifted).imag / STEP


def close(a, b, tolerance: float) -> bool:
    """Error relative to the largest entry, so that exact zeros may carry rounding error."""
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and bool(np.max(np.abs(a - b), initial=0) <= tolerance * np.max(np.abs(b), initial=0))


# --- the profile -----------------------------------------------------------------------------------------------------


@each(STATIONARY + DOT)
def test_profile_derivatives_equal_sympy(kernel):
    expression, u = kernel.profile_expression()
    at = [0.03, 0.4, 1.7, 6.0]
    numeric = kernel.derivatives(np.array(at), 3)
    for j in range(4):
        with mpmath.workdps(40):
            function = sp.lambdify(u, expression.diff(u, j), "mpmath")
            exact = np.array([float(function(mpmath.mpf(x))) for x in at])
        assert np.all(np.abs(numeric[j] - exact) <= BESSEL * np.abs(exact)), (j, numeric[j], exact)


@each(ALL)
def test_profile_derivatives_equal_complex_steps_of_each_other(kernel):
    u = np.array([1e-6, 0.2, 1.1, 3.0])
    stepped = kernel.derivatives(u + 1j * STEP, 2)
    for j in range(3):
        assert np.allclose(stepped[j].imag / STEP, kernel.derivatives(u, 3)[j + 1], rtol=1e-9, atol=ROUNDING), j


@pytest.mark.parametrize("nu", [0.8, 1.2, 2.0, 2.7, 6.1])
def test_matern_continues_analytically_off_the_real_axis(nu):
    u = np.array([0.3 + 0.2j, 1.0 - 0.7j, 2.0 + 1e-4j])
    z = np.sqrt(2 * nu * u) / 0.8
    exact = 2 ** (1 - nu) / gamma(nu) * z**nu * kv(nu, z)
    assert close(Matern(0.8, nu).derivatives(u)[0], exact, BESSEL)


@pytest.mark.parametrize("nu", [0.5, 0.8, 1.2, 1.5, 2.0, 3.3, 47.0])
def test_matern_on_its_branch_cut_is_the_mean_of_the_two_sides(nu):
    u, gap = np.array([-0.4, -0.03]), 1e-11
    kernel = Matern(0.8, nu)
    for cut, side in zip(kernel.derivatives(u + 0j, 3), kernel.derivatives(u + 1j * gap, 3), strict=True):
        assert not np.any(cut.imag)
        # The sides differ from the cut by gap times the next derivative, about |k^(j)| / |u|.
        assert np.all(np.abs(cut.real - side.real) <= 10 * gap * np.abs(side / u) + BESSEL * np.abs(side))


@pytest.mark.parametrize("nu", [0.5, 1.5, 2.5, 3.5, 7.5, 12.5])
def test_matern_half_integer_equals_the_bessel_form(nu):
    u = np.geomspace(1e-6, 30, 40)
    z = np.sqrt(2 * nu * u) / 0.7
    exact = 2 ** (1 - nu) / gamma(nu) * z**nu * kv(nu, z)
    assert np.all(np.abs(Matern(0.7, nu).derivatives(u)[0] / exact - 1) < BESSEL)


def test_matern_half_integer_closed_forms():
    r = np.linspace(0, 4, 9)
    a, b = np.sqrt(3) * r / 0.7, np.sqrt(5) * r / 0.7
    assert close(Matern(0.7, 0.5).derivatives(r**2)[0], np.exp(-r / 0.7), ROUNDING)
    assert close(Laplace(0.7).derivatives(r**2)[0], np.exp(-r / 0.7), ROUNDING)
    assert close(Matern(0.7, 1.5).derivatives(r**2)[0], (1 + a) * np.exp(-a), ROUNDING)
    assert close(Matern(0.7, 2.5).derivatives(r**2)[0], (1 + b + b**2 / 3) * np.exp(-b), ROUNDING)


@pytest.mark.parametrize("nu", [29.99, 30.0 + 1e-9, 32.999, 33.0 + 1e-9])
def test_matern_is_continuous_where_the_evaluation_changes(nu):
    below, above = (Matern(1.0, x).derivatives(np.array([0.0, 0.1, 2.0, 20.0]), 3) for x in (nu, nu + 1e-9))
    for k, l in zip(below, above, strict=True):
        assert close(k, l, 1e-9)


@pytest.mark.parametrize(
    ("family", "limit_error"),
    [(lambda p: Matern(0.8, p, 1.2), 1.0), (lambda p: RationalQuadratic(0.8, p, 1.2), 1.0)],
    ids=["matern", "rational_quadratic"],
)
def test_large_parameter_tends_to_the_gaussian_at_first_order(family, limit_error):
    gaussian, u, k = Gaussian(0.8, 1.2), np.linspace(0, 4, 9), np.linspace(0, 4, 9)
    errors = []
    for p in (200.0, 400.0, 1e9):
        derivatives = zip(family(p).derivatives(u, 3), gaussian.derivatives(u, 3), strict=True)
        spectra = [(family(p).spectral_density(k, d), gaussian.spectral_density(k, d)) for d in (1, 3)]
        errors.append([np.max(np.abs(a - b)) / np.max(np.abs(b)) for a, b in [*derivatives, *spectra]])
    ratio = np.array(errors[0]) / np.array(errors[1])
    assert np.all(np.abs(ratio - 2) < 0.1), ratio
    assert np.max(errors[2]) < 20 * limit_error / 1e9


# --- derivatives in x and y ------------------------------------------------------------------------------------------


@each(ALL)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_derivatives_in_x_and_y_equal_complex_steps(kernel, d):
    X, Y = points(1, 4, d), points(2, 3, d)
    gradient, mixed = kernel.gradient(X, Y), kernel.mixed(X, Y)
    hessian, third = kernel.hessian(X, Y), kernel.third(X, Y)
    assert mixed.shape == (4, 3, d, d) and third.shape == (4, 3, d, d, d)
    for c in range(d):
        assert close(complex_step(lambda x: kernel.value(x, Y), X, c), gradient[..., c], BESSEL)
        assert close(complex_step(lambda x: kernel.gradient(x, Y), X, c), hessian[..., c], BESSEL)
        assert close(complex_step(lambda x: kernel.mixed(x, Y), X, c), third[..., :, c, :], BESSEL)
        assert close(complex_step(lambda y: kernel.gradient(X, y), Y, c), mixed[..., :, c], BESSEL)
        assert close(complex_step(lambda y: kernel.hessian(X, y), Y, c), third[..., c], BESSEL)


@each(ALL)
def test_batches_and_diagonals_are_the_same_numbers(kernel):
    X, Y = np.stack([points(1, 4, 2), points(5, 4, 2)]), points(2, 3, 2)
    for method in ("value", "gradient", "mixed", "hessian", "third"):
        batch = getattr(kernel, method)(X, Y)
        for i in range(2):
            assert close(batch[i], getattr(kernel, method)(X[i], Y), ROUNDING)
    assert close(kernel.diagonal(X[0]), np.diagonal(kernel.value(X[0], X[0])), ROUNDING)
    if kernel.differentiable:
        pairs = kernel.mixed(X[0], X[0])[np.arange(4), np.arange(4)]
        assert close(kernel.mixed_diagonal(X[0]), pairs, ROUNDING)
        assert kernel.mixed_diagonal(X).shape == (2, 4, 2, 2)


@each(SMOOTH)
@pytest.mark.parametrize("d", [1, 3])
def test_gram_matrix_with_derivatives_is_symmetric_and_positive(kernel, d):
    n = 6
    X = points(3, n, d)
    value, gradient = kernel.value(X, X), kernel.gradient(X, X)
    other = gradient.transpose(1, 0, 2)  # d/dy_b K(x, y) = d/dx_b K(y, x)
    mixed = kernel.mixed(X, X).transpose(0, 2, 1, 3).reshape(n * d, n * d)
    gram = np.block([[value, other.reshape(n, n * d)], [gradient.transpose(0, 2, 1).reshape(n * d, n), mixed]])
    size = np.abs(gram).max()
    assert np.abs(gram - gram.T).max() <= BESSEL * size
    assert np.linalg.eigvalsh(gram).min() >= -BESSEL * gram.shape[0] * size
    assert np.linalg.eigvalsh(gram).max() > 0


# --- coincident points -----------------------------------------------------------------------------------------------


@each([kernel for kernel in SMOOTH if kernel.kind == "stationary" and kernel._exists_at_zero(3)])
def test_coincident_points_are_exact_limits(kernel):
    X = np.array([[0.3, -0.2], [1.0, 0.5]])
    slope = kernel.derivatives(0.0, 1)[1]
    diagonal = np.arange(2)
    assert np.isfinite(slope) and slope < 0
    assert np.array_equal(kernel.mixed(X, X)[diagonal, diagonal], np.broadcast_to(-2 * slope * np.eye(2), (2, 2, 2)))
    assert np.array_equal(kernel.hessian(X, X)[diagonal, diagonal], np.broadcast_to(2 * slope * np.eye(2), (2, 2, 2)))
    assert not np.any(kernel.gradient(X, X)[diagonal, diagonal])
    assert not np.any(kernel.third(X, X)[diagonal, diagonal])


@each([kernel for kernel in SMOOTH if kernel.kind == "stationary"])
@pytest.mark.parametrize("step", [1e-30, 1e-120, 1e-170])
def test_complex_steps_from_coincident_points_are_the_limits(kernel, step):
    Y = np.zeros((1, 2))
    X = np.array([[1j * step, 0]])
    slope = kernel.derivatives(0.0, 1)[1]
    assert kernel.value(X, Y).imag == 0
    assert close(kernel.gradient(X, Y)[0, 0].imag / step, [2 * slope, 0], BESSEL)
    assert close(kernel.mixed(X, Y)[0, 0], -2 * slope * np.eye(2) + 0j, BESSEL)


@pytest.mark.parametrize(("nu", "power"), [(1.2, 0.4), (1.5, 1.0), (1.8, 1.6)])
def test_matern_between_one_and_two_approaches_its_limit_at_the_right_power(nu, power):
    kernel, e = Matern(0.9, nu), np.array([[1.0, 0.0]])
    limit = kernel.mixed_diagonal(np.zeros((1, 2)))[0]
    gap = [np.abs(kernel.mixed(r * e, 0 * e)[0, 0] - limit).max() for r in (1e-6, 1e-5)]
    assert np.isfinite(gap).all() and abs(np.log10(gap[1] / gap[0]) - power) < 0.01


def test_matern_slope_at_zero():
    # E |k|^2 / d under the Student t with 2 nu degrees of freedom: nu / (nu - 1) / l^2.
    for nu in (1.2, 1.5, 2.0, 3.3, 40.0):
        expected = 1.3 * nu / (nu - 1) / 0.7**2
        assert close(Matern(0.7, nu, 1.3).mixed_diagonal(np.zeros((1, 2)))[0], expected * np.eye(2), ROUNDING)


@each(
    [
        Laplace(),
        Matern(1.0, 0.5),
        Matern(1.0, 0.8),
        Matern(1.0, 1.0),
        kernel_from_profile(lambda u: sp.exp(-sp.sqrt(u))),
    ]
)
def test_kernels_without_force_at_the_data_say_so(kernel):
    X = points(4, 3, 2)
    assert not kernel.differentiable
    for method in (kernel.mixed, kernel.hessian, kernel.third):
        with pytest.raises(InputError, match="second derivative at coincident points") as caught:
            method(X, X)
        assert caught.value.field == "discriminator.kernel"
    with pytest.raises(InputError, match="the force at the data would be infinite"):
        kernel.mixed_diagonal(X)
    with pytest.raises(InputError, match="second derivative at coincident points"):
        kernel.gradient(X + 1e-30j, X)
    assert not np.any(kernel.gradient(X, X)[np.arange(3), np.arange(3)])
    assert np.all(np.isfinite(kernel.mixed(X, X + 1)))


def test_unbounded_odd_derivatives_are_refused_at_coincident_points():
    X = np.zeros((1, 2))
    with pytest.raises(InputError, match="bounded first derivative"):
        Matern(1.0, 0.3).gradient(X, X)
    with pytest.raises(InputError, match="bounded third derivative"):
        Matern(1.0, 1.2).third(X, X)
    assert not np.any(Matern(1.0, 1.5).third(X, X))


# --- spectra ---------------------------------------------------------------------------------------------------------

WAVES = np.array([0.0, 1e-3, 0.1, 0.7, 2.0, 5.0, 20.0])


@each(STATIONARY)
@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_spectrum_equals_the_numeric_transform(kernel, d):
    closed = kernel.spectral_density(WAVES, d)
    numeric = radial_fourier(lambda r: kernel.derivatives(r * r)[0], WAVES, d)
    finite = np.isfinite(closed)
    assert np.array_equal(finite, np.isfinite(numeric))
    assert np.abs(closed[finite] - numeric[finite]).max() <= QUADRATURE * closed[finite].max()
    assert np.all(closed > 0) and np.all(np.diff(closed) < 0)


@each([k for k in STATIONARY if not (isinstance(k, RationalQuadratic) and k.alpha < 1)])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_parseval_spectrum_integrates_to_the_variance(kernel, d):
    total = radial_fourier(lambda k: kernel.spectral_density(k, d), 0.0, d) / (2 * np.pi) ** d
    assert abs(total / kernel.variance - 1) < 1e-9  # stopping rule of the quadrature


@pytest.mark.parametrize("kernel", [Gaussian(0.8), Matern(0.9, 2.5), RationalQuadratic(0.8, 2.3)], ids=name)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_inverse_transform_gives_the_kernel_back(kernel, d):
    r = np.array([0.1, 0.9, 2.5])
    back = radial_fourier(lambda k: kernel.spectral_density(k, d), r, d) / (2 * np.pi) ** d
    assert np.abs(back - kernel.derivatives(r**2)[0]).max() < 1e-9  # stopping rule of the quadrature


def test_rational_quadratic_spectrum_at_zero_is_infinite_for_heavy_tails():
    assert np.isinf(RationalQuadratic(1.0, 1.0).spectral_density(0.0, 2))
    assert np.isinf(RationalQuadratic(1.0, 1.0).spectral_density(0.0, 3))
    # 1/(1 + r^2/2) in one dimension: pi sqrt(2) exp(-sqrt(2) k).
    k = np.array([0.0, 0.5, 3.0])
    assert close(RationalQuadratic(1.0, 1.0).spectral_density(k, 1), np.pi * 2**0.5 * np.exp(-(2**0.5) * k), ROUNDING)


def test_matern_spectrum_has_the_declared_slope():
    k = np.array([1e4, 1e5])
    for nu, d in ((0.5, 1), (1.5, 2), (2.5, 3)):
        slope = np.diff(np.log10(Matern(1.0, nu).spectral_density(k, d)))[0]
        assert abs(slope + 2 * nu + d) < 1e-6


@each([Gaussian(0.8, 1.3), Matern(0.7, 1.2), Laplace(1.2, 0.7), RationalQuadratic(0.9, 0.7), USER[0]])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_random_frequencies_reproduce_the_kernel(kernel, d):
    rng = np.random.default_rng(d)
    k = kernel.sample_frequencies(20_000, d, rng)
    assert k.shape == (20_000, d)
    X = np.concatenate([0.6 * np.eye(d)[:1], rng.normal(size=(4, d))])
    features = np.cos(k @ X.T)
    error = np.abs(features.mean(axis=0) - kernel.value(X, np.zeros((1, d)))[:, 0] / kernel.diagonal(X))
    assert np.all(error < SIGMAS * features.std(axis=0) / np.sqrt(len(k)))


@each(DOT)
def test_dot_kernels_have_no_spectrum(kernel):
    with pytest.raises(InputError, match="be stationary"):
        kernel.spectral_density(1.0, 2)
    with pytest.raises(InputError, match="not translation invariant"):
        kernel.sample_frequencies(3, 2, np.random.default_rng(0))


def test_spectrum_refuses_what_it_cannot_give():
    with pytest.raises(InputError, match="k: must be finite wavenumbers"):
        Gaussian().spectral_density(-1.0, 2)
    with pytest.raises(InputError, match="dimension: must be an integer"):
        Gaussian().spectral_density(1.0, 0)
    with pytest.raises(InputError, match="fit a double"):
        Gaussian(5.0).spectral_density(0.1, 784)
    with pytest.raises(InputError, match="decay to zero"):
        radial_fourier(np.ones_like, 1.0, 2)
    with pytest.raises(InputError, match="smooth enough"):
        radial_fourier(lambda r: 1.0 * (r < 1.234), 3.0, 2)
    with pytest.raises(InputError, match="be finite for r > 0"):
        radial_fourier(lambda r: np.full(r.shape, np.nan), 1.0, 2)


# --- feature maps ----------------------------------------------------------------------------------------------------


@each(DOT)
@pytest.mark.parametrize("d", [1, 3])
def test_polynomial_features_give_the_kernel(kernel, d):
    exponents, coefficients = kernel.polynomial_features(d)
    assert exponents.shape == (len(coefficients), d) and len(np.unique(exponents, axis=0)) == len(exponents)
    X, Y = points(6, 4, d), points(7, 3, d)

    def psi(x):
        return coefficients * np.prod(x[:, None, :] ** exponents, axis=-1)

    assert close(psi(X) @ psi(Y).T, kernel.value(X, Y), ROUNDING)


def test_only_polynomials_have_finite_features():
    assert Gaussian().polynomial_features(2) is None
    assert kernel_from_profile(lambda u: sp.exp(u), kind="dot").polynomial_features(2) is None
    assert len(Polynomial(2, 1.0).polynomial_features(3)[1]) == 10
    assert len(Polynomial(2, 0.0).polynomial_features(3)[1]) == 6
    with pytest.raises(InputError, match="feature table"):
        Polynomial(6).polynomial_features(784)


# --- user profiles ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kernel", [Gaussian(0.8, 1.25), RationalQuadratic(0.9, 1.5), Laplace(1.2), Matern(1.0, 1.7)], ids=name
)
def test_built_in_given_as_a_user_profile_is_the_same_kernel(kernel):
    expression, symbol = kernel.profile_expression()
    user = kernel_from_profile(expression, symbol=symbol)
    u = np.array([0.0, 1e-9, 0.3, 2.0])
    for a, b in zip(user.derivatives(u, 3), kernel.derivatives(u, 3), strict=True):
        finite = np.isfinite(b)
        assert np.array_equal(a[~finite], b[~finite]) and close(a[finite], b[finite], BESSEL)
    assert user.differentiable == kernel.differentiable
    for d in (1, 2, 3):
        closed, numeric = kernel.spectral_density(WAVES, d), user.spectral_density(WAVES, d)
        finite = np.isfinite(closed)
        assert np.array_equal(finite, np.isfinite(numeric))
        assert np.abs(closed[finite] - numeric[finite]).max() <= QUADRATURE * closed[finite].max()


def test_user_sech_kernel_has_its_known_spectrum():
    sech, k = USER[0], np.array([0.2, 1.0, 4.0])
    one = np.pi / np.cosh(np.pi * k / 2)
    three = np.pi**2 / k * one * np.tanh(np.pi * k / 2)  # -(2 pi/k) d/dk of the one-dimensional transform
    assert np.abs(sech.spectral_density(k, 1) - one).max() < QUADRATURE
    assert np.abs(sech.spectral_density(k, 3) - three).max() < QUADRATURE * three.max()


def test_removable_singularity_keeps_its_digits():
    sinc = kernel_from_profile(lambda u: sp.sin(sp.sqrt(u)) / sp.sqrt(u) * sp.exp(-u / 2))
    u = np.array([0.0, 1e-18, 1e-9, 1e-5])
    # Series of sin(r)/r exp(-r^2/2) in u = r^2.
    series = sp.series(sp.sin(sp.Symbol("r")) / sp.Symbol("r") * sp.exp(-(sp.Symbol("r") ** 2) / 2), n=14).removeO()
    polynomial = np.polynomial.Polynomial([float(series.coeff(sp.Symbol("r"), 2 * i)) for i in range(7)])
    for j, k in enumerate(sinc.derivatives(u, 3)):
        assert close(k, (polynomial.deriv(j) if j else polynomial)(u), 1e-11), j


def test_user_profile_is_checked():
    x, y = sp.symbols("x y")
    assert kernel_from_profile(sp.exp(-x)) == kernel_from_profile(lambda u: sp.exp(-u))
    assert hash(kernel_from_profile(sp.exp(-x))) == hash(kernel_from_profile(sp.exp(-y)))
    for bad, message in (
        ("exp(-u)", "be a SymPy expression"),
        (lambda u: "exp(-u)", "give a SymPy expression"),
        (sp.exp(-x * y), "one symbol"),
        (lambda u: sp.exp(-u * x), "no symbol besides"),
        (sp.conjugate(x + sp.I), "real analytic"),
        (1 / x, "finite value > 0"),
    ):
        with pytest.raises(InputError, match=message):
            kernel_from_profile(bad)
    with pytest.raises(InputError, match="of kind"):
        kernel_from_profile(sp.exp(-x), kind="radial")
    assert not kernel_from_profile(sp.exp(-x), differentiable=False).differentiable


def test_user_profile_that_is_not_positive_is_refused():
    quartic = kernel_from_profile(lambda u: sp.exp(-(u**2)))  # exp(-r^4) is not a kernel in any dimension
    with pytest.raises(InputError, match="spectrum >= 0"):
        quartic.spectral_density(0.1, 2)
    with pytest.raises(InputError, match="spectrum >= 0"):
        quartic.sample_frequencies(10, 2, np.random.default_rng(0))


# --- invariance ------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    kernel=st.sampled_from([k for k in STATIONARY + USER[:2] if k.kind == "stationary"]),
    shift=st.tuples(*[st.floats(-3, 3)] * 2),
    angle=st.floats(0, 2 * np.pi),
)
def test_stationary_kernels_are_invariant_under_motions(kernel, shift, angle):
    X, Y = points(8, 3, 2), points(9, 4, 2)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = X @ rotation.T + shift, Y @ rotation.T + shift
    # Rounding of the moved coordinates is amplified by the profile's slope.
    assert close(kernel.value(*moved), kernel.value(X, Y), 10 * BESSEL)
    assert close(kernel.gradient(*moved), kernel.gradient(X, Y) @ rotation.T, 10 * BESSEL)
    assert close(kernel.mixed(*moved), rotation @ kernel.mixed(X, Y) @ rotation.T, 10 * BESSEL)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(kernel=st.sampled_from([k for k in ALL if k.kind == "dot"]), angle=st.floats(0, 2 * np.pi))
def test_dot_kernels_are_invariant_under_rotations(kernel, angle):
    X, Y = points(8, 3, 2), points(9, 4, 2)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert close(kernel.value(X @ rotation.T, Y @ rotation.T), kernel.value(X, Y), BESSEL)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(nu=st.floats(0.1, 80), r=st.floats(1e-6, 20), l=st.floats(0.1, 10))
def test_matern_lies_between_zero_and_one_and_scales(nu, r, l):
    value, scaled = Matern(l, nu).derivatives((l * r) ** 2)[0], Matern(1.0, nu).derivatives(r * r)[0]
    assert 0 <= value <= 1 + ROUNDING
    assert abs(value - scaled) <= BESSEL * max(1.0, r * np.sqrt(nu)) * scaled + np.finfo(float).tiny


# --- construction ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "field", "values"),
    [
        ("gaussian", "length_scale", [0, -1, np.inf, np.nan, "1", True]),
        ("matern", "smoothness", [0, -1.5, np.inf]),
        ("rational_quadratic", "alpha", [0, -1, np.nan]),
        ("laplace", "variance", [0, -2, None]),
        ("polynomial", "degree", [0, 1.5, -1, True]),
        ("polynomial", "offset", [-0.1, np.inf]),
        ("linear", "variance", [0]),
    ],
)
def test_parameters_are_checked(kernel, field, values):
    for value in values:
        with pytest.raises(InputError) as caught:
            make_kernel(kernel, **{field: value})
        assert caught.value.field == f"discriminator.{field}"


def test_factory_builds_every_kernel_and_refuses_unknown_names():
    assert {n: type(make_kernel(n)) for n in KERNELS} == dict(KERNELS)
    assert make_kernel("matern", length_scale=2, smoothness=2.5, degree=7) == Matern(2.0, 2.5)
    for unknown in ("rbf", None, ["gaussian"]):
        with pytest.raises(InputError, match=r"discriminator\.kernel: must be one of gaussian, matern"):
            make_kernel(unknown)


@each(ALL)
def test_kernels_are_values(kernel):
    again = replace(kernel)
    assert again == kernel and hash(again) == hash(kernel) and repr(again) == repr(kernel)
    assert len({*ALL}) == len(ALL)
    with pytest.raises(AttributeError):
        kernel.variance = 2.0
    with pytest.raises(InputError, match="order: must be"):
        kernel.derivatives(1.0, 4)
    with pytest.raises(InputError, match="points: must have shapes"):
        kernel.value(np.zeros((2, 3)), np.zeros((2, 2)))


def test_importing_kernels_does_not_import_sympy_or_special_functions():
    code = "import sys, egan_theory.kernels; print([m for m in ('sympy', 'scipy.special') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
