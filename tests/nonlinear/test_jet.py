"""Taylor arithmetic against SymPy's series and against Cauchy's integral, for every rule in its tables."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from egan_theory.base.errors import InputError
from egan_theory.base.series import Series, first_of, order_of
from egan_theory.experiment.targets import Ring
from egan_theory.features import PolynomialFeatures
from egan_theory.kernels import KERNELS
from egan_theory.kernels.dot import Linear
from egan_theory.kernels.stationary import Gaussian, Laplace, Matern
from egan_theory.nonlinear.functions import COMPARISONS, FUNCTIONS, TAYLOR
from egan_theory.nonlinear.jet import ARRAYS, Jet
from tests.nonlinear import cauchy

T = sp.Symbol("t", real=True)
#: relative to the largest coefficient
ROUNDING, BY_CAUCHY = 1e-13, 1e-10
K = 4


def jet(seed, *shape, order=K, size=0.3, value=1.0):
    """Coefficients of that size about a positive value."""
    c = size * np.random.default_rng(seed).uniform(-1, 1, (order + 1, *shape))
    c[0] += value
    return Jet(c)


def polynomial(a, t):
    """The series at a complex t."""
    return np.tensordot(t ** np.arange(a.order + 1), a.coefficients, 1)


def same(a, b, tolerance=ROUNDING):
    a, b = (v.coefficients if isinstance(v, Jet) else np.asarray(v) for v in (a, b))
    return a.shape == b.shape and np.abs(a - b).max(initial=0.0) <= tolerance * max(1.0, np.abs(b).max(initial=0.0))


# -- the ring of series ---------------------------------------------------------------------------------------------

SERIES = st.integers(0, 10**6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SERIES, SERIES, SERIES, st.integers(0, 6))
def test_ring_axioms(i, j, k, order):
    a, b, c = (jet(seed, 2, 3, order=order, value=2.0) for seed in (i, j, k))
    one = Jet(np.concatenate([np.ones((1, 2, 3)), np.zeros((order, 2, 3))]))
    assert same(a + b, b + a) and same((a + b) + c, a + (b + c)) and same(a - a, 0 * one)
    assert same(a * b, b * a) and same((a * b) * c, a * (b * c)) and same((a + b) * c, a * c + b * c)
    assert same(a / b * b, a, 1e-11) and same(a / a, one, 1e-11) and same(1 / (1 / a), a, 1e-11)
    assert same(a**3, a * a * a) and same(a**-2, 1 / (a * a), 1e-11) and same(np.sqrt(a) ** 2, a)
    assert same(np.log(np.exp(a)), a) and same(np.exp(a + b), np.exp(a) * np.exp(b), 1e-12)
    assert same(np.sin(a) ** 2 + np.cos(a) ** 2, one) and same(np.tanh(a), np.sinh(a) / np.cosh(a), 1e-12)


#: functions of one series in SymPy's terms; those of two with the second one given
SYMPY = {
    "sin": sp.sin, "cos": sp.cos, "tan": sp.tan, "exp": sp.exp, "expm1": lambda x: sp.exp(x) - 1, "sinh": sp.sinh,
    "cosh": sp.cosh, "tanh": sp.tanh, "sqrt": sp.sqrt, "log": sp.log, "log1p": lambda x: sp.log(1 + x),
    "square": lambda x: x**2, "reciprocal": lambda x: 1 / x, "expit": lambda x: 1 / (1 + sp.exp(-x)), "erf": sp.erf,
    "arctan": sp.atan, "absolute": lambda x: x, "fabs": lambda x: x, "divide": lambda x: (1 + x) / (2 + x**2),
    "power": lambda x: x**x, "float_power": lambda x: x ** sp.Rational(-3, 2),
    "logaddexp": lambda x: sp.log(sp.exp(x) + sp.exp(x**2)), "maximum": lambda x: 2 + x, "minimum": lambda x: x / 2,
}  # fmt: skip
OF_TWO = {
    "divide": lambda x: np.divide(1 + x, 2 + x**2),
    "power": lambda x: np.power(x, x),
    "float_power": lambda x: np.float_power(x, -1.5),
    "logaddexp": lambda x: np.logaddexp(x, x * x),
    "maximum": lambda x: np.maximum(x, 2 + x),
    "minimum": lambda x: np.minimum(x, x / 2),
}


def numerical(name):
    return OF_TWO.get(name) or getattr(np, name, None) or getattr(special, name)


def taylor(function, coefficients):
    """Coefficients of SymPy's function of a polynomial with these."""
    inner = sum(sp.Float(c, 40) * T**m for m, c in enumerate(coefficients))
    out, derivative = [], function(inner)
    for m in range(len(coefficients)):
        out.append(float(sp.N(derivative.subs(T, 0), 25)) / float(sp.factorial(m)))
        derivative = sp.diff(derivative, T)
    return np.array(out)


def test_every_function_has_a_case():
    assert set(SYMPY) == set(TAYLOR) | set(FUNCTIONS)


@pytest.mark.parametrize("name", SYMPY)
def test_functions_have_the_series_of_sympy(name):
    a = jet(3, 2, 2, order=3)
    found = numerical(name)(a)
    for place in ((0, 0), (1, 1)):
        right = taylor(SYMPY[name], a.coefficients[:, *place])
        assert np.abs(found.coefficients[:, *place] - right).max() <= ROUNDING * np.abs(right).max()


CHAINED = ("sin", "cos", "exp", "tanh", "log1p", "sqrt", "erf", "expit", "square", "reciprocal")


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(CHAINED), min_size=2, max_size=3), st.integers(0, 1000))
def test_chain_rule(names, seed):
    a = jet(seed, 1, order=3)
    found, right = a, lambda x: x
    for name in names:  # kept positive, where all of them are smooth
        found = 1.5 + numerical(name)(found) ** 2
        right = lambda x, inner=right, f=SYMPY[name]: sp.Rational(3, 2) + f(inner(x)) ** 2  # noqa: E731
    expected = taylor(right, a.coefficients[:, 0])
    assert np.abs(found.coefficients[:, 0] - expected).max() <= 1e-12 * np.abs(expected).max()


# -- functions of whole arrays --------------------------------------------------------------------------------------

MASK = np.array([[True, False, True], [False, True, True]])
SQUARE = 3 * np.eye(3)
#: by what they are called on: a jet (2, 3, 3) or an array of that shape
CASES = {
    np.moveaxis: lambda a: np.moveaxis(a, 0, -1), np.repeat: lambda a: np.repeat(a, 2, axis=-2),
    np.tile: lambda a: np.tile(a, (2, 1, 1)), np.roll: lambda a: np.roll(a, 1, axis=1),
    np.squeeze: lambda a: np.squeeze(a[:, :, :1], -1), np.expand_dims: lambda a: np.expand_dims(a, 1),
    np.diagonal: lambda a: np.diagonal(a, axis1=-2, axis2=-1), np.trace: lambda a: np.trace(a, axis1=1, axis2=2),
    np.take: lambda a: np.take(a, [2, 0], axis=1), np.cumsum: lambda a: np.cumsum(a, axis=1),
    np.pad: lambda a: np.pad(a, [(0, 1), (0, 0), (2, 0)]), np.flip: lambda a: np.flip(a, 1),
    np.take_along_axis: lambda a: np.take_along_axis(a, np.array([[[1, 0, 2]]]), 1), np.diff: lambda a: np.diff(a),
    np.atleast_1d: np.atleast_1d, np.rollaxis: lambda a: np.rollaxis(a, 2),
    np.delete: lambda a: np.delete(a, 1, axis=1),
    np.sum: lambda a: np.sum(a, axis=(0, -1), keepdims=True), np.mean: lambda a: np.mean(a, axis=-1),
    np.reshape: lambda a: np.reshape(a, (2, 9)), np.ravel: np.ravel,
    np.transpose: lambda a: np.transpose(a, (2, 0, 1)), np.copy: np.copy,
    np.swapaxes: lambda a: np.swapaxes(a, -1, -2), np.broadcast_to: lambda a: np.broadcast_to(a[:1], (4, 3, 3)),
    np.where: lambda a: np.where(MASK[..., None], a, 2.0) + np.where(MASK[..., None], 1.0, a * a),
    np.concatenate: lambda a: np.concatenate([a, np.ones((2, 3, 1)), a * a], axis=-1),
    np.stack: lambda a: np.stack([a, np.ones((2, 3, 3)), a * a], axis=-2),
    np.split: lambda a: np.split(a, [1], axis=-1)[1],
    np.einsum: lambda a: np.einsum("...ij,...jk,kl->...il", a, a * a, SQUARE) + np.einsum("bij,bkj->bik", a, a),
    np.dot: lambda a: np.dot(2.0, a), np.matmul: lambda a: np.matmul(a, SQUARE) + SQUARE @ a + a @ a,
    np.linalg.solve: lambda a: np.linalg.solve(SQUARE + a, a * a) + np.linalg.solve(SQUARE, a),
    np.linalg.inv: lambda a: np.linalg.inv(SQUARE + a),
    np.zeros_like: lambda a: np.zeros_like(a, shape=(2,)) + a[:, 0, 0], np.ones_like: lambda a: np.ones_like(a) + a,
    np.full_like: lambda a: np.full_like(a, 3.0) * a,
    np.empty_like: lambda a: filled(a),
}  # fmt: skip
#: the value decides, or no series comes out
DECIDED = {
    np.shape: (2, 3, 3), np.ndim: 3, np.size: 18, np.iscomplexobj: False, np.isrealobj: True,
    np.result_type: np.dtype(float),
}  # fmt: skip
BY_VALUE = (np.argmax, np.argmin, np.max, np.real)
#: methods and indices
METHODS = {
    "slices": lambda a: a[..., 1:, None, 0], "mask": lambda a: a[MASK], "fancy": lambda a: a[:, [0, 2], [1, 1]],
    "first": lambda a: a[1], "last": lambda a: a[..., -1], "picked": lambda a: a[..., np.array([0, 2, 1])],
    "empty": lambda a: a[()], "new axis": lambda a: a[None] * a[:, None], "T": lambda a: a[0].T @ a[1],
    "vectors": lambda a: a[..., 0] @ np.ones(3) + np.ones(3) @ a[0, 0], "row": lambda a: a[0] @ a[1],
    "sum": lambda a: a.sum((-2, -1)), "all": lambda a: a.sum(), "reshape": lambda a: a.reshape(2, -1),
    "merged": lambda a: a.reshape(6, 3), "negative": lambda a: -a + (+a) * 2 - 1.0, "right": lambda a: 2 - a / 3,
    "broadcast": lambda a: a[:, :1] + np.arange(3.0)[:, None] * a[:, 1:2], "fewer": lambda a: a[0] * a,
    "inside": lambda a: (a[..., 0, 0] * np.ones((5, 1))).sum(-1),
    "conj": lambda a: a.conj().copy().astype(float) if isinstance(a, Jet) else a,
}  # fmt: skip


def filled(a):
    out = np.empty_like(a)
    out[:, ~MASK[0]], out[:, MASK[0]], out[1, 1] = 2.0, a[:, :2] * a[:, 1:], a[0, 0]
    return out


def test_every_rule_has_a_case():
    assert set(CASES) | set(DECIDED) | set(BY_VALUE) == set(ARRAYS)


@pytest.mark.parametrize("case", [*CASES, *METHODS], ids=lambda c: getattr(c, "__name__", c))
def test_arrays_by_cauchy(case):
    function = CASES.get(case) or METHODS[case]
    a = jet(5, 2, 3, 3)
    found = function(a)
    expected = cauchy.coefficients(lambda t: function(polynomial(a, t)), K, 0.3)
    assert found.shape == expected.shape[1:] and same(found, expected, BY_CAUCHY)
    # what is the same for a batch is kept once, with the same result
    part = jet(6, 1, 3, 3).coefficients
    once = Jet.of([part[0], None, part[2], *jet(7, 2, 3, 3).coefficients[3:]], (2, 3, 3))
    assert same(function(once), function(Jet(once.coefficients)))


def test_decisions_are_the_values():
    a = jet(5, 2, 3, 3, size=1.0)
    for function, right in DECIDED.items():
        assert function(a) == right
    for function in BY_VALUE:
        found = function(a, -1) if function is not np.real else function(a)
        found = found.value if isinstance(found, Jet) else found
        assert np.array_equal(found, function(a.value, -1) if function is not np.real else a.value)
    assert same(a.max(-1), np.take_along_axis(a.coefficients, np.argmax(a.value, -1)[None, ..., None], -1)[..., 0])
    assert np.array_equal(a > 1, a.value > 1) and np.array_equal(np.sign(a - 1), np.sign(a.value - 1))
    assert {"less", "isfinite"} <= COMPARISONS and np.isfinite(a).all() and np.isnan(np.where(a > 1, a, np.nan)).any()
    assert a.ndim == 3 and a.size == 18 and len(a) == 2 and a.dtype == float and a.order == K
    assert np.array_equal((a * 1j).imag, a.value) and "order=4" in repr(a)
    b = a.copy()
    b += a
    assert same(b, 2 * a)


def test_what_has_no_rule_is_refused():
    a = jet(5, 3)
    for call in (lambda: np.sort(a), lambda: np.asarray(a), lambda: np.gcd(a, a), lambda: float(a[0]),
                 lambda: len(a[0]), lambda: a ** np.arange(3), lambda: np.add.reduce(a)):  # fmt: skip
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ValueError, match="orders 4 and 2"):
        jet(1, 3, order=2) + a


def test_protocol():
    a = jet(5, 2, 3)
    assert isinstance(a, Series) and not isinstance(np.ones(3), Series)
    assert order_of(np.ones(2), a) == K and order_of(1.0) == 0
    assert np.array_equal(first_of(a), a.value) and first_of(2.0) == 2.0


# -- kernels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_take_series(name):
    """Values and derivatives in x of every kernel, away from coincident points, where all are smooth."""
    kernel, Y = KERNELS[name](), Ring(modes=3).points().coordinates
    X = jet(8, 2, 3, 2, size=0.1, value=0.3)
    for method in ("value", "gradient", "mixed", "hessian", "third"):
        of = getattr(kernel, method)
        expected = cauchy.coefficients(lambda t, of=of: of(polynomial(X, t), Y), K, 0.2)
        assert same(of(X, Y), expected, 1e-8), method
    if kernel.kind == "dot":
        assert same(kernel.diagonal(X), cauchy.coefficients(lambda t: kernel.diagonal(polynomial(X, t)), K, 0.2), 1e-9)


def test_coincident_points():
    """u = |x - y|^2 t^2 there: a Gaussian's series by hand; what is not smooth enough is refused from t^2 on."""
    Y, step = np.zeros((1, 2)), np.array([[0.6, 0.8]])
    X = Jet.of([Y, step, None, None], (1, 2))
    assert np.allclose(Gaussian().value(X, Y).coefficients.ravel(), [1, 0, -0.5, 0], atol=1e-15)
    assert np.allclose(Matern(smoothness=3.5).gradient(X, Y).coefficients[0], 0)
    first = Jet.of([Y, step], (1, 2))
    assert np.isfinite(Matern(smoothness=1.5).gradient(first, Y).coefficients).all()
    for kernel in (Matern(smoothness=1.5), Laplace()):
        with pytest.raises(InputError, match="must have derivatives to order"):
            kernel.gradient(X, Y)


def test_linear_kernel_has_derivatives_of_any_order():
    assert [v.item() for v in Linear(variance=2.0)._derivatives(np.array([3.0]), 5)] == [6, 2, 0, 0, 0, 0]


def test_polynomial_features_take_series():
    f = PolynomialFeatures(np.array([[0, 0], [2, 1], [3, 0]]), np.array([1.0, 0.5, 2.0]))
    X = jet(4, 2, 3, 2)
    for part in (lambda at: at.psi(), lambda at: at.grad(), lambda at: at.hessian(np.ones(3))):
        assert same(part(f.at(X)), cauchy.coefficients(lambda t, p=part: p(f.at(polynomial(X, t))), K, 0.3), BY_CAUCHY)
