"""Dual activations, and tangent kernels of wide networks: against SymPy, quadrature, neural-tangents, complex steps and
the Jacobian of the simulator's step."""

import json
import math
from pathlib import Path

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import egan_theory as eg
from analyses.kernel_benchmark import recorded_points
from egan_theory.cli.app import main
from egan_theory.experiment import Experiment
from egan_theory.features import feature_map
from egan_theory.kernels.wide.dual import dual_activation
from egan_theory.kernels.wide.jets import Jet
from egan_theory.kernels.wide.mixture import NODES, kolmogorov, kolmogorov_density
from egan_theory.kernels.wide.network import EPS, LARGEST_ROUNDING
from egan_theory.kernels.wide.recursion import gp_kernel, tangent_kernel
from egan_theory.kernels.wide.tangent import TangentKernel
from egan_theory.tables.activations import NETWORK_ACTIVATIONS, get_activation
from egan_theory.tables.architecture import Architecture
from tests.stepjac import check_step

SAME = 1e-12
#: 2-d Gauss-Hermite quadrature of NODES2 nodes each way, at the variances used here (poles of tanh)
QUADRATURE, NODES2 = 1e-7, 160
#: of kinked integrands by the trapezoidal rule on 2^15 angles
KINKED = 1e-8
#: neural-tangents' own accuracy in float64, relative
THEIRS = 1e-7
#: Gauss quadrature with NODES nodes against 30: values, and derivatives of third order relative to their largest
MIXTURE, MIXTURE_THIRD = 1e-12, 1e-10
COMPLEX_STEP = 1e-30
#: of one random change of every covariance: the error's size, not its value
ROUNDING = 20
COEFFICIENTS = (0.2, 0.9, -0.3, 0.1)
SMOOTH = [name for name, a in NETWORK_ACTIVATIONS.items() if a.smooth]
KINKS = [name for name, a in NETWORK_ACTIVATIONS.items() if not a.smooth]
COVARIANCES = [(1.0, 0.7, 0.3), (0.5, 1.6, -0.6), (1.2, 1.2, 1.2), (0.8, 0.4, 0.0)]
#: neural-tangents' values at recorded points
RECORDED = json.loads((Path(__file__).parent / "neural_tangents_values.json").read_text())


def architecture(name, depth=2, weight_variance=1.6, bias_variance=0.15):
    return Architecture(
        depth=depth, activation=name, weight_variance=weight_variance, bias_variance=bias_variance, leak=0.3,
        coefficients=COEFFICIENTS,
    )  # fmt: skip


def activation(name):
    return get_activation(name, 0.3, COEFFICIENTS)


# -- dual activations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("a, b, c", COVARIANCES)
@pytest.mark.parametrize("name", SMOOTH)
def test_dual_is_the_gaussian_mean(name, a, b, c):
    act, dual = activation(name), dual_activation(architecture(name))
    z, w = np.polynomial.hermite_e.hermegauss(NODES2)
    w = w / w.sum()
    u = math.sqrt(a) * z[:, None] + 0 * z
    v = c / math.sqrt(a) * z[:, None] + math.sqrt(max(0.0, b - c * c / a)) * z
    for order, found in enumerate(dual(np.array(a), np.array(b), np.array(c))):
        mean = w @ (act.derivative(u, order) * act.derivative(v, order)) @ w
        np.testing.assert_allclose(found, mean, rtol=QUADRATURE, atol=QUADRATURE)
    np.testing.assert_allclose(dual.variance(np.array(a)), (act.value(u[:, 0]) ** 2) @ w, rtol=QUADRATURE)
    np.testing.assert_allclose(dual.slope(np.array(a)), (act.slope(u[:, 0]) ** 2) @ w, rtol=QUADRATURE)


@pytest.mark.parametrize("a, b, c", COVARIANCES)
@pytest.mark.parametrize("name", KINKS)
def test_dual_of_a_kink_is_the_mean_over_angles(name, a, b, c):
    """A homogeneous activation: E r^2 = 2 times the mean over the angle."""
    act, dual = activation(name), dual_activation(architecture(name))
    angle = (np.arange(1 << 15) + 0.5) * (2 * np.pi / (1 << 15))
    u = math.sqrt(a) * np.cos(angle)
    v = c / math.sqrt(a) * np.cos(angle) + math.sqrt(max(0.0, b - c * c / a)) * np.sin(angle)
    value, slope = dual(np.array(a), np.array(b), np.array(c))
    np.testing.assert_allclose(value, 2 * np.mean(act.value(u) * act.value(v)), atol=KINKED)
    # steps: the rule is exact to a part of a cell at each of the four jumps
    np.testing.assert_allclose(slope, np.mean(act.slope(u) * act.slope(v)), atol=4 / (1 << 15))
    np.testing.assert_allclose(dual.variance(a), 2 * np.mean(act.value(u) ** 2), atol=KINKED)


@pytest.mark.parametrize("name", NETWORK_ACTIVATIONS)
def test_slope_is_the_derivative_of_the_value(name):
    """Price's theorem, by jets; and Bonnet's in the variance where act'' exists as a function."""
    dual, order = dual_activation(architecture(name)), (1, 1)
    a, b, c = Jet({(0, 0, 0): 1.1, (1, 0, 0): 1.0}, order), Jet({(0, 0, 0): 0.8}, order), 0.35
    value, slope = dual(a, b, Jet({(0, 0, 0): np.float64(c), (0, 0, 1): 1.0}, order))
    np.testing.assert_allclose(value.derivative(0, 0, 1), slope.constant, rtol=SAME)
    np.testing.assert_allclose(value.constant, dual(np.array(1.1), np.array(0.8), np.array(c))[0], rtol=SAME)
    if dual.smooth:
        z, w = np.polynomial.hermite_e.hermegauss(NODES2)
        w, act = w / w.sum(), activation(name)
        u = math.sqrt(1.1) * z[:, None] + 0 * z
        v = c / math.sqrt(1.1) * z[:, None] + math.sqrt(0.8 - c * c / 1.1) * z
        bonnet = w @ (act.curvature(u) * act.value(v)) @ w / 2
        np.testing.assert_allclose(value.derivative(1, 0, 0), bonnet, rtol=QUADRATURE, atol=QUADRATURE)


def test_closed_forms_follow_from_prices_theorem():
    """SymPy: each form's derivative in c is a Gaussian integral done by determinants, and its value at c = 0 a product.

    E exp(-(u^2/(2 s) + v^2/(2 t))) P(u, v) is det^(-1/2) E' P with the covariance (Sigma^-1 + diag(1/s, 1/t))^-1.
    """
    a, b, c = sp.symbols("a b c", positive=True)

    def tilted(s, t):
        cov = sp.Matrix([[a, c], [c, b]])
        other = sp.diag(1 / s, 1 / t)
        return (sp.eye(2) + cov * other).det(), (cov.inv() + other).inv()

    # erf: slope by determinant, value odd
    D = (1 + 2 * a) * (1 + 2 * b) - 4 * c**2
    erf = 2 / sp.pi * sp.asin(2 * c / sp.sqrt((1 + 2 * a) * (1 + 2 * b)))
    det, _ = tilted(sp.Rational(1, 2), sp.Rational(1, 2))
    assert sp.simplify(det - D) == 0 and erf.subs(c, 0) == 0
    assert sp.simplify(sp.diff(erf, c) - 4 / sp.pi / sp.sqrt(D)) == 0
    # gelu: act'' = (2 - z^2) phi(z), Isserlis' theorem in the tilted covariance
    det, cov = tilted(1, 1)
    D = (1 + a) * (1 + b) - c**2
    assert sp.simplify(det - D) == 0
    G = sp.Rational(1, 4) + sp.asin(c / sp.sqrt((1 + a) * (1 + b))) / (2 * sp.pi)
    H, s = 1 / (2 * sp.pi * sp.sqrt(D)), 1 / (1 + a) + 1 / (1 + b)
    gelu = c * G + H * (a * b - c**2 + c**2 * s)
    A, B, C = cov[0, 0], cov[1, 1], cov[0, 1]
    second = H * (4 - 2 * A - 2 * B + A * B + 2 * C**2)
    assert sp.simplify(sp.diff(gelu, c) - (G + H * c * (s + 1 / D))) == 0
    assert sp.simplify(sp.diff(gelu, c, 2) - second) == 0
    mean = a * b / (2 * sp.pi * sp.sqrt((1 + a) * (1 + b)))  # (E u Phi(u))(E v Phi(v)), E u Phi(u) = a E phi(u)
    assert sp.simplify(gelu.subs(c, 0) - mean) == 0 and sp.diff(gelu, c).subs(c, 0) == sp.Rational(1, 4)
    # softplus at fixed scales S, T: act = u Phi(u/S) + S phi(u/S), act'' = phi(u/S)/S, act' = Phi(u/S)
    S, T = sp.symbols("S T", positive=True)
    det, _ = tilted(S**2, T**2)
    D = (S**2 + a) * (T**2 + b) - c**2
    G = sp.Rational(1, 4) + sp.asin(c / sp.sqrt((S**2 + a) * (T**2 + b))) / (2 * sp.pi)
    soft = c * G + sp.sqrt(D) / (2 * sp.pi)
    assert sp.simplify(sp.diff(soft, c) - G) == 0
    assert sp.simplify(sp.diff(soft, c, 2) - 1 / (2 * sp.pi * S * T * sp.sqrt(det))) == 0
    means = sp.sqrt((S**2 + a) * (T**2 + b)) / (2 * sp.pi)  # E act = sqrt((S^2 + a) / (2 pi)), by Stein's lemma
    assert sp.simplify(soft.subs(c, 0) - means) == 0
    # tanh at fixed scales: act = erf(u / (S sqrt 2)), act' = 2 phi(u/S)/S
    tanh = 2 / sp.pi * sp.asin(c / sp.sqrt((S**2 + a) * (T**2 + b)))
    assert sp.simplify(sp.diff(tanh, c) - 4 / (2 * sp.pi * S * T * sp.sqrt(det))) == 0
    # sine: E sin u sin v = [E cos(u - v) - E cos(u + v)] / 2 with E cos x = exp(-Var x / 2)
    sine = (sp.exp(-(a + b - 2 * c) / 2) - sp.exp(-(a + b + 2 * c) / 2)) / 2
    assert sp.simplify((sine - sp.exp(-(a + b) / 2) * sp.sinh(c)).rewrite(sp.exp)) == 0


def test_kolmogorov_mixture_is_logistic():
    from scipy.special import erf
    from scipy.special import kolmogorov as survival

    x = np.linspace(0, 8, 41)[:, None]
    s, w = kolmogorov(30)
    np.testing.assert_allclose(erf(x / (s * math.sqrt(2))) @ w, np.tanh(x[:, 0]), atol=MIXTURE)
    grid = np.linspace(0.2, 3, 15)
    density = -(survival(grid + 1e-5) - survival(grid - 1e-5)) / 2e-5
    np.testing.assert_allclose(kolmogorov_density(grid), density, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", ["tanh", "softplus"])
@pytest.mark.parametrize("a", [1e-4, 0.3, 1.0, 30.0, 1e4])
def test_mixture_has_converged(name, a, monkeypatch):
    dual, order, c = dual_activation(architecture(name)), (2, 1), np.array([1.0, 0.999, 0.3, -0.9]) * a

    def numbers():
        value = np.array(dual(np.float64(a), np.float64(a), c))
        jet = dual(*(Jet({(0, 0, 0): x, (i == 0, i == 1, i == 2): a}, order) for i, x in enumerate((a, a, c))))[1]
        return value, jet.derivative(1, 0, 2)

    few = numbers()
    monkeypatch.setattr("egan_theory.kernels.wide.mixture.kolmogorov", lambda: kolmogorov(30))
    many = numbers()
    assert NODES < 30 and np.any(few[1] != many[1])
    np.testing.assert_allclose(few[0], many[0], rtol=MIXTURE, atol=MIXTURE)
    np.testing.assert_allclose(few[1], many[1], atol=MIXTURE_THIRD * np.abs(many[1]).max())


# -- the recursion ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", RECORDED["kernels"], ids=lambda r: f"{r['activation']} {r['dimension']}")
def test_agrees_with_neural_tangents(row):
    fields = ("activation", "depth", "weight_variance", "bias_variance")
    arch, X = Architecture(**{f: row[f] for f in fields}), recorded_points(row["dimension"])
    np.testing.assert_allclose(tangent_kernel(arch, X), row["ntk"], rtol=THEIRS)
    np.testing.assert_allclose(gp_kernel(arch, X), row["nngp"], rtol=THEIRS)
    np.testing.assert_allclose(tangent_kernel(arch, X, X[:2]), np.array(row["ntk"])[:, :2], rtol=THEIRS)


def test_recorded_values_cover_the_claim():
    rows = RECORDED["kernels"]
    assert {(r["activation"], r["depth"]) for r in rows} == {("relu", 3), ("erf", 2), ("gelu", 1)}
    assert {r["dimension"] for r in rows} == {2, 784} and len(rows) == 6
    assert RECORDED["provenance"]["neural_tangents"]


@pytest.mark.parametrize("name", NETWORK_ACTIVATIONS)
def test_gram_matrix_is_the_same_by_blocks(name, monkeypatch):
    """Symmetric, independent of the blocks, equal to the rectangular route and to the kernel object."""
    arch, X = architecture(name), np.random.default_rng(0).standard_normal((17, 3))
    K = tangent_kernel(arch, X)
    np.testing.assert_array_equal(K, K.T)
    monkeypatch.setattr("egan_theory.kernels.wide.recursion.BLOCK", 40)
    tolerance = SAME if name in SMOOTH else 1e-7  # at x = y of a kink (see LeakyRelu)
    np.testing.assert_allclose(tangent_kernel(arch, X), K, rtol=SAME)
    np.testing.assert_allclose(tangent_kernel(arch, X, X), K, rtol=tolerance)
    kernel = TangentKernel(arch)
    np.testing.assert_allclose(kernel.value(X, X), K, rtol=tolerance)
    np.testing.assert_allclose(kernel.diagonal(X), np.diag(K), rtol=SAME)
    assert np.linalg.eigvalsh(K).min() > -1e-12 * np.trace(K)


@pytest.mark.parametrize(
    "X, Y", [(np.ones(3), None), (np.full((2, 2), np.nan), None), (np.ones((2, 3)), np.ones((2, 2)))]
)
def test_bad_points_are_refused(X, Y):
    with pytest.raises(eg.InputError, match=r"[XY]: must (be finite points|have points of 3 dim)"):
        tangent_kernel(Architecture(), X, Y)


# -- derivatives ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("derived, primitive, side", [
    ("gradient", "value", 0), ("hessian", "gradient", 0), ("mixed", "gradient", 1), ("third", "hessian", 1),
])  # fmt: skip
def test_derivatives_by_complex_step(name, derived, primitive, side):
    rng = np.random.default_rng(3)
    X, Y = rng.standard_normal((2, 3, 2)), rng.standard_normal((3, 2))
    X[0, 1] = Y[2]  # coincident points
    X[1, 0] = -2.5 * Y[1]  # parallel ones
    kernel = TangentKernel(architecture(name), 0.8)
    found = getattr(kernel, derived)(X, Y)
    steps = []
    for e in 1j * COMPLEX_STEP * np.eye(2):
        moved = getattr(kernel, primitive)(*((X + e, Y) if side == 0 else (X, Y + e)))
        steps.append(moved.imag / COMPLEX_STEP)
    np.testing.assert_allclose(found, np.stack(steps, -1), atol=20 * SAME * np.abs(found).max() + SAME)
    assert name == "identity" or np.abs(found).max() > 1e-3


@pytest.mark.parametrize("name", SMOOTH)
def test_diagonals_and_products(name):
    X = np.random.default_rng(4).standard_normal((5, 3))
    kernel, v = TangentKernel(architecture(name), 0.8), np.random.default_rng(5).standard_normal((5, 3))
    mixed = kernel.mixed(X, X)
    np.testing.assert_allclose(kernel.mixed_diagonal(X), mixed[np.arange(5), np.arange(5)], rtol=1e-11, atol=1e-11)
    expected = np.einsum("ijab,jb->ia", mixed, v)
    np.testing.assert_allclose(kernel.mixed_product(X)(v), expected, rtol=1e-11, atol=1e-11 * np.abs(expected).max())
    assert kernel.differentiable and np.linalg.eigvalsh(mixed.transpose(0, 2, 1, 3).reshape(15, 15)).min() > -1e-9


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(SMOOTH), st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_rotations_do_not_change_a_tangent_kernel(name, seed, depth):
    rng = np.random.default_rng(seed)
    X, Q = rng.standard_normal((4, 3)), np.linalg.qr(rng.standard_normal((3, 3)))[0]
    kernel = TangentKernel(architecture(name, depth))
    np.testing.assert_allclose(kernel.value(X @ Q, X @ Q), kernel.value(X, X), rtol=1e-9)
    turned = np.einsum("ca,ijcd,db->ijab", Q, kernel.mixed(X, X), Q)
    np.testing.assert_allclose(kernel.mixed(X @ Q, X @ Q), turned, rtol=1e-8, atol=1e-9 * np.abs(turned).max())


@pytest.mark.parametrize("name", KINKS)
def test_kinks_have_no_force(name):
    kernel, X = TangentKernel(architecture(name)), np.ones((1, 2))
    assert not kernel.differentiable
    for method in ("gradient", "mixed", "hessian", "third"):
        with pytest.raises(eg.InputError, match=r"discriminator.architecture.activation: must be smooth .* cusp"):
            getattr(kernel, method)(X, X)
    with pytest.raises(eg.InputError, match="function of one scalar"):
        kernel.derivatives(1.0)
    with pytest.raises(eg.InputError, match="must be stationary"):
        kernel.spectral_density(1.0, 2)


@pytest.mark.parametrize("name", KINKS)
def test_kernel_of_a_kink_has_a_cusp(name):
    """K(x, x) - K(x, y) falls as |x - y|: its second difference diverges as 1/h."""
    kernel, x = TangentKernel(architecture(name)), np.array([[0.6, -0.4]])
    h = np.array([1e-3, 1e-4])
    step = h[:, None] * np.array([0.3, 1.0])
    gap = 2 * kernel.diagonal(x) - kernel.value(x, x + step)[0] - kernel.value(x, x - step)[0]
    assert 9 < gap[0] / gap[1] < 11  # a smooth kernel has 100


# -- as a discriminator -----------------------------------------------------------------------------------------------


def experiment(name, depth=2, **tables):
    architecture = {"activation": name, "depth": depth, "weight_variance": 1.5, "bias_variance": 0.3}
    if name == "polynomial":
        architecture["coefficients"] = [0.1, 1.0, 0.4]
    return Experiment(
        target={"kind": "ring", "modes": 3},
        generator={"particles": 3, "learning_rate": 0.07},
        discriminator={"architecture": architecture, "length_scale": 0.9, "learning_rate": 0.2},
        **tables,
    )


@pytest.mark.parametrize("name", SMOOTH)
def test_predicted_spectrum_is_that_of_the_step(name):
    check_step(experiment(name, penalty={"r1": 0.3}, update={"rule": "alternating"}))


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["wasserstein", "logistic", "least_squares"])
@pytest.mark.parametrize("penalty", [{"r1": 0.2, "weight_decay": 0.1}, {"r2": 0.3}, {"consensus": 0.2}])
@pytest.mark.parametrize("name", ["tanh", "gelu"])
def test_predicted_spectrum_over_losses_and_penalties(name, penalty, loss):
    check_step(experiment(name, 1, penalty=penalty, loss={"kind": loss}))


def test_wide_discriminator_runs_through_every_prediction():
    exp = experiment("gelu", 1, penalty={"r1": 0.1}, run={"steps": 20, "runs": 2, "record_every": 10})
    ds = eg.spectrum(exp)
    assert np.isfinite(ds.attrs["slowest_rate"]) and ds.attrs["stable"] in (0, 1)
    assert eg.fastest_strength(exp, "r1").best > 0
    assert eg.collective_instability(exp).to_dict()
    runs = eg.simulate(exp)
    assert runs.attrs["status"] == "finished" and np.all(np.isfinite(runs["particles"]))


def test_features_are_those_of_the_mixed_derivatives():
    exp = experiment("tanh")
    Y = exp.points.coordinates
    B = feature_map(exp).at(Y).grad().reshape(Y.size, -1)
    H = np.moveaxis(exp.discriminator.kernel_object.mixed(Y, Y), 2, 1).reshape(Y.size, Y.size)

    np.testing.assert_allclose(H, B @ B.T, atol=1e-10)


def test_where_a_wide_network_cannot_be_used():
    with pytest.raises(eg.InputError, match="activation: must be smooth"):
        eg.spectrum(experiment("relu"))
    box = {"kind": "uniform", "side": 5}
    with pytest.raises(eg.InputError, match=r"discriminator.kernel: must be stationary on the periodic box"):
        Experiment(target=box, generator={"particles": 5}, discriminator={"architecture": {"activation": "tanh"}})


# -- rounding ---------------------------------------------------------------------------------------------------------


def by_mpmath(arch, X, digits=200):
    """d_x d_y Theta between the points X (length scale 1) in ``digits`` digits: central differences of the recursion
    with the dual activations in the form that their sources give (Williams 1997; Gaussian integration by parts)."""
    pi = mpmath.pi

    def dual(a, b, c):
        if arch.activation == "erf":
            root = mpmath.sqrt((1 + 2 * a) * (1 + 2 * b))
            return 2 / pi * mpmath.asin(2 * c / root), 4 / pi / mpmath.sqrt(root**2 - 4 * c * c)
        root, D = mpmath.sqrt((1 + a) * (1 + b)), (1 + a) * (1 + b) - c * c
        G, H, s = mpmath.mpf(1) / 4 + mpmath.asin(c / root) / (2 * pi), 1 / (2 * pi * mpmath.sqrt(D)), 1 / (1 + a)
        s += 1 / (1 + b)
        return c * G + H * (a * b - c * c + c * c * s), G + H * c * (s + 1 / D)

    def theta(x, y):
        sw, sb = mpmath.mpf(arch.weight_variance), mpmath.mpf(arch.bias_variance)
        a, b, c = (
            sw / len(x) * sum(p * q for p, q in zip(u, v, strict=True)) + sb for u, v in ((x, x), (y, y), (x, y))
        )
        found = c
        for _ in range(arch.depth):
            value, slope = dual(a, b, c)
            a, b, c = sw * dual(a, a, a)[0] + sb, sw * dual(b, b, b)[0] + sb, sw * value + sb
            found = c + found * sw * slope
        return found

    n, d = X.shape
    out = np.empty((n, n, d, d))
    with mpmath.workdps(digits):
        h = mpmath.mpf(10) ** -(digits // 4)
        for i, j, p, q in np.ndindex(out.shape):

            def moved(s, t, i=i, j=j, p=p, q=q):
                x, y = ([mpmath.mpf(float(v)) for v in X[k]] for k in (i, j))
                x[p] += s * h
                y[q] += t * h
                return theta(x, y)

            out[i, j, p, q] = (moved(1, 1) - moved(1, -1) - moved(-1, 1) + moved(-1, -1)) / (4 * h * h)
    return out


@pytest.mark.parametrize("name", ["erf", "gelu"])
@pytest.mark.parametrize("variance", [1.0, 4.0, 30.0, 100.0, 1000.0])
def test_rounding_is_what_is_estimated(name, variance):
    """Against 200 digits, from 1e-16 to more than the kernel itself; what is refused is what is spoilt."""
    kernel = TangentKernel(architecture(name, depth=5, weight_variance=variance), 1.0)
    X = np.array([[1.0, 0.1], [0.0, 1.1]])
    exact = by_mpmath(kernel.architecture, X)
    error = np.abs(kernel.mixed(X, X) - exact).max() / np.abs(exact).max()
    if error > LARGEST_ROUNDING:
        with pytest.raises(eg.InputError, match=r"architecture.depth: must keep the rounding error .* below 1e-08"):
            kernel.rounding(X)
    else:
        estimate = kernel.rounding(X)
        assert error <= ROUNDING * max(estimate, EPS) and estimate <= ROUNDING * max(error, EPS)


@pytest.mark.parametrize(
    ("name", "depth", "variance"),
    [("erf", 60, 1e5), ("gelu", 300, 10.0), ("identity", 400, 10.0), ("gelu", 5, 1e3), ("sine", 60, 4.0),
     ("softplus", 60, 10.0), ("polynomial", 12, 10.0)],
)  # fmt: skip
def test_kernels_that_rounding_spoils_are_refused(name, depth, variance, tmp_path, capsys):
    table = {"depth": depth, "activation": name, "weight_variance": variance, "coefficients": (0.0, 1.0, 0.5)}
    exp = Experiment(
        target={"modes": 4, "kind": "ring"}, generator={"particles": 4}, discriminator={"architecture": table}
    )
    (tmp_path / "e.toml").write_text(exp.to_toml())
    for command in (["spectrum"], ["regularizer"], ["simulate", "-o", str(tmp_path / "o.nc")]):
        assert main([command[0], str(tmp_path / "e.toml"), *command[1:]]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and "architecture.depth: must keep the rounding error" in err


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("variance", [0.5, 2.0, 4.0])
def test_plain_kernels_are_not_refused(name, variance):
    X = np.random.default_rng(0).standard_normal((40, 2))
    assert TangentKernel(architecture(name, depth=3, weight_variance=variance), 1.0).rounding(X) < 1e-10
