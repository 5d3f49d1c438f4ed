"""Kernels of wide networks on images: against neural-tangents, networks of finite width in JAX, fully connected ones,
complex steps and the Jacobian of the simulator's step."""

import numpy as np
import pytest

import egan_theory as eg
from analyses.kernel_benchmark import RECORDED_IMAGES, recorded_points
from egan_theory.experiment import Experiment
from egan_theory.features import feature_map
from egan_theory.kernels.wide.images import ImageKernel
from egan_theory.kernels.wide.pairs import steps
from egan_theory.kernels.wide.recursion import gp_kernel, tangent_kernel
from egan_theory.kernels.wide.tangent import TangentKernel
from egan_theory.tables.architecture import Architecture
from egan_theory.tables.layers import LAYERS
from tests.kernels.test_tangent_kernel import COMPLEX_STEP, KINKS, RECORDED, SAME, THEIRS
from tests.stepjac import check_step

CONVOLUTION = {"kind": "convolution", "size": 2}
#: every kind of layer and padding: layers, image
LAYERED = {
    "flatten": ([{**CONVOLUTION, "stride": 2}, {**CONVOLUTION, "size": 3}, r"flatten", "dense"], (2, 3, 4)),
    "pool": ([{**CONVOLUTION, "padding": "circular"}, {"kind": "average_pool"}, CONVOLUTION, "flatten"], (2, 4, 3)),
    "overlap": ([{"kind": "average_pool", "stride": 1}, CONVOLUTION, "flatten"], (1, 4, 3)),
    "global": ([{**CONVOLUTION, "padding": "valid"}, CONVOLUTION, "global_average_pool"], (1, 3, 3)),
}
#: standard errors of the mean over networks, and their width: its kernel differs from the limit by O(1 / width)
ERRORS, WIDTH, NETWORKS = 3.0, 96, 32


def architecture(name, **changes):
    layers, image = LAYERED[name]
    numbers = {"weight_variance": 1.6, "bias_variance": 0.15, "leak": 0.3, "activation": "gelu"}
    return Architecture(layers=layers, image=image, **(numbers | changes))


def pixels(name):
    return int(np.prod(LAYERED[name][1]))


def points(name, count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, pixels(name)))


# -- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", RECORDED["images"], ids=lambda r: f"{r['activation']} {r['layers'][-1]['kind']}")
def test_agrees_with_neural_tangents(row):
    fields = ("activation", "weight_variance", "bias_variance", "image", "layers")
    arch, X = Architecture(**{f: row[f] for f in fields}), recorded_points(int(np.prod(row["image"])))
    np.testing.assert_allclose(tangent_kernel(arch, X), row["ntk"], rtol=THEIRS)
    np.testing.assert_allclose(gp_kernel(arch, X), row["nngp"], rtol=THEIRS)
    np.testing.assert_allclose(tangent_kernel(arch, X, X[:2]), np.array(row["ntk"])[:, :2], rtol=THEIRS)
    readout = Architecture(trained="readout", **{f: row[f] for f in fields})
    np.testing.assert_allclose(ImageKernel(readout).value(X, X), row["nngp"], rtol=THEIRS)


def test_recorded_values_cover_every_layer():
    rows = RECORDED["images"]
    assert [(r["activation"], tuple(r["image"]), tuple(r["layers"])) for r in rows] == [
        (name, image, listed) for name, _, _, image, listed in RECORDED_IMAGES
    ]
    assert {layer["kind"] for row in rows for layer in row["layers"]} == set(LAYERS)
    assert {layer.get("padding") for row in rows for layer in row["layers"]} > {"same", "valid", "circular"}
    assert {layer.get("stride") for row in rows for layer in row["layers"]} > {1, 2}


@pytest.mark.parametrize("trained", ["all", "readout"])
@pytest.mark.parametrize("activation", ["tanh", "leaky_relu"])
def test_one_position_is_a_fully_connected_network(activation, trained):
    """Dense layers on one pixel of many channels, or a filter as large as the image."""
    shared = {"activation": activation, "weight_variance": 1.4, "bias_variance": 0.2, "trained": trained}
    X, Y = np.random.default_rng(1).standard_normal((2, 3, 6))
    connected = TangentKernel(Architecture(depth=2, **shared), 0.7)
    filters = ({"kind": "convolution", "size": 2, "padding": "valid"}, "dense")
    for layers, image in ((("dense", "dense"), (6, 1, 1)), (("flatten", "dense", "dense"), (1, 2, 3))):
        kernel = ImageKernel(Architecture(layers=layers, image=image, **shared), 0.7)
        for method in ("value", "gradient", "mixed", "hessian", "third"):
            expected = getattr(connected, method)(X, Y)
            found = getattr(kernel, method)(X, Y)
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())
    square = ImageKernel(Architecture(layers=filters, image=(1, 2, 2), **shared), 0.7)
    np.testing.assert_allclose(square.mixed(X[:, :4], Y[:, :4]), connected.mixed(X[:, :4], Y[:, :4]), rtol=1e-10)


@pytest.mark.parametrize("name", LAYERED)
def test_gram_matrix_is_the_same_by_blocks(name, monkeypatch):
    kernel, X = ImageKernel(architecture(name), 0.8), points(name, 5)
    value, mixed = kernel.value(X, X), kernel.mixed(X, X)
    np.testing.assert_allclose(value, value.T, rtol=SAME)
    np.testing.assert_allclose(kernel.diagonal(X), np.diag(value), rtol=SAME)
    np.testing.assert_allclose(kernel.mixed_diagonal(X), mixed[np.arange(5), np.arange(5)], rtol=1e-10, atol=1e-12)
    monkeypatch.setattr("egan_theory.kernels.wide.images.BLOCK", 400)
    np.testing.assert_allclose(kernel.value(X, X), value, rtol=SAME)
    np.testing.assert_allclose(kernel.mixed(X, X), mixed, rtol=1e-10, atol=1e-12)
    d = pixels(name)
    np.testing.assert_allclose(kernel.gradient(X, X[:2]), kernel.gradient(X, X)[:, :2], rtol=1e-10, atol=1e-12)
    assert np.linalg.eigvalsh(value).min() > -1e-12
    assert np.linalg.eigvalsh(mixed.transpose(0, 2, 1, 3).reshape(5 * d, 5 * d)).min() > -1e-9


def test_only_pairs_that_are_read_are_kept():
    arch = Architecture(layers=["convolution", "convolution", "flatten"], image=(1, 8, 8))
    assert [step.matrix.shape for step in steps(arch)] == [(64, 64), (64, 64), (1, 64)]
    pooled = Architecture(layers=["convolution", {"kind": "average_pool"}, r"convolution", "flatten"], image=(1, 8, 8))
    assert [step.matrix.shape for step in steps(pooled)][1:] == [(16, 16 * 16), (1, 16)]  # pairs within 16 windows
    everything = Architecture(layers=["convolution", "global_average_pool"], image=(1, 8, 8))
    assert steps(everything)[1].matrix.shape == (1, 64 * 64)
    big = Architecture(layers=["convolution", "global_average_pool"], image=(1, 100, 100))
    with pytest.raises(eg.InputError, match=r"architecture.layers: must read at most 5e.07 pairs"):
        steps(big)


# -- derivatives ------------------------------------------------------------------------------------------------------


def check_derivatives(kernel, X, Y, which):
    d = X.shape[-1]
    for derived, primitive, side in which:
        found, moved = getattr(kernel, derived)(X, Y), []
        for e in 1j * COMPLEX_STEP * np.eye(d):
            moved.append(getattr(kernel, primitive)(*((X + e, Y) if side == 0 else (X, Y + e))).imag / COMPLEX_STEP)
        np.testing.assert_allclose(found, np.stack(moved, -1), atol=100 * SAME * np.abs(found).max())
        assert np.abs(found).max() > 1e-4


DERIVED = (("gradient", "value", 0), ("hessian", "gradient", 0), ("mixed", "gradient", 1), ("third", "hessian", 1))


@pytest.mark.parametrize("trained", ["all", "readout"])
@pytest.mark.parametrize("name", LAYERED)
def test_derivatives_by_complex_step(name, trained):
    X, Y = points(name, 4).reshape(2, 2, -1), points(name, 2, 1)
    X[0, 1] = Y[1]  # coincident points
    which = DERIVED if pixels(name) < 13 else DERIVED[:3]
    check_derivatives(ImageKernel(architecture(name, trained=trained), 0.8), X, Y, which)


@pytest.mark.parametrize("name", ["global", "pool"])
@pytest.mark.parametrize("activation", KINKS)
def test_derivatives_of_a_kink_at_distinct_points(activation, name):
    X, Y = points(name, 2), points(name, 2, 1)
    check_derivatives(ImageKernel(architecture(name, activation=activation)), X, Y, DERIVED[:3])
    readout = ImageKernel(architecture(name, activation=activation, trained="readout"))
    check_derivatives(readout, np.concatenate([X, Y[:1]]), Y, DERIVED[:3])  # also where points coincide


@pytest.mark.parametrize("activation", KINKS)
def test_connected_kinks_at_distinct_points(activation):
    """The same of fully connected networks; with the readout alone trained there is a force at the data."""
    rng = np.random.default_rng(2)
    X, Y = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    check_derivatives(TangentKernel(Architecture(activation=activation)), X, Y, DERIVED)
    readout = TangentKernel(Architecture(activation=activation, trained="readout"))
    check_derivatives(readout, np.concatenate([X, Y[:1]]), Y, DERIVED[:3])
    assert readout.differentiable
    # the limit at coincident points: the kink is in the next order, as |x - y|
    near = [np.abs(readout.mixed(X, X + h) - readout.mixed(X, X)).max() for h in (1e-3, 1e-4)]
    assert 7 < near[0] / near[1] < 13


def test_kinks_are_refused_where_images_share_a_patch():
    kernel = ImageKernel(Architecture(layers=[CONVOLUTION, "flatten"], image=(1, 3, 3), activation="relu"))
    X = np.random.default_rng(3).standard_normal((2, 9))
    assert np.all(np.isfinite(kernel.mixed(X[:1], X[1:]))) and not kernel.differentiable
    X[1, [0, 1, 3, 4]] = X[0, [0, 1, 3, 4]]  # the filter's window at the corner
    with pytest.raises(eg.InputError, match=r"activation: must be smooth .* coincident points and equal patches"):
        kernel.mixed(X[:1], X[1:])
    assert np.all(np.isfinite(kernel.value(X, X)))


@pytest.mark.filterwarnings("error")
def test_blank_patches():
    """Zeros without a bias: values as ever, derivatives of a kink refused, of a smooth activation not."""
    layers = {"layers": [CONVOLUTION, CONVOLUTION, "flatten"], "image": (1, 3, 3), "bias_variance": 0.0}
    X = np.random.default_rng(3).standard_normal((2, 9))
    X[0, [0, 1, 3, 4]] = 0
    for trained in ("all", "readout"):
        kernel = ImageKernel(Architecture(**layers, activation="relu", trained=trained))
        np.testing.assert_allclose(kernel.value(2 * X, X), 2 * kernel.value(X, X), rtol=1e-7)
        np.testing.assert_allclose(np.diag(kernel.value(X, X)), kernel.diagonal(X), rtol=1e-7)
        with pytest.raises(eg.InputError, match=r"bias_variance: must be greater than 0|activation: must be smooth"):
            kernel.mixed(X, X)
    assert np.all(np.isfinite(ImageKernel(Architecture(**layers, activation="gelu")).mixed(X, X)))


# -- networks of finite width -----------------------------------------------------------------------------------------


def finite_kernel(arch, X, seed):
    """Tangent kernel of one network by automatic differentiation."""
    import jax

    from egan_theory.features.networks.double import double
    from egan_theory.features.networks.mlp import draw, network

    params, f = draw(arch, X.shape[1], 1, np.random.default_rng(seed)), network(arch)

    @double
    def rows():
        J = jax.vmap(jax.grad(lambda params, x: f(params, x)[0]), (None, 0))(params, X)
        return np.concatenate([np.asarray(leaf).reshape(len(X), -1) for leaf in jax.tree.leaves(J)], axis=1)

    J = rows()
    return J @ J.T


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flatten", "pool", "global"])
def test_wide_networks_have_the_kernel(name):
    """Mean over networks of one large width, within its standard error."""
    X = points(name, 3)
    found = np.stack([finite_kernel(architecture(name, width=WIDTH), X, seed) for seed in range(NETWORKS)])
    error = found.std(0, ddof=1) / np.sqrt(NETWORKS)
    expected = ImageKernel(architecture(name)).value(X, X)
    assert np.all(np.abs(found.mean(0) - expected) < ERRORS * error)
    assert np.all(error < 0.05 * np.diag(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["same", "valid", "circular"])
def test_finite_convolution_is_that_of_jax(padding):
    """Two layers, with JAX's own convolution and padding."""
    import jax

    from egan_theory.features.networks.double import double
    from egan_theory.features.networks.mlp import draw, network

    layers = [{"kind": "convolution", "size": 3, "stride": 2, "padding": padding}, {"kind": "average_pool"}, r"flatten"]
    arch = Architecture(layers=layers, image=(2, 6, 5), width=4, weight_variance=1.3, bias_variance=0.4)
    x = np.random.default_rng(0).standard_normal((2, 6, 5))
    (W, b), (V, c) = params = draw(arch, 60, 1, np.random.default_rng(1))

    @double
    def both():
        pads = {"valid": [(0, 0)] * 2}.get(padding) or jax.lax.padtype_to_pads((6, 5), (3, 3), (2, 2), "SAME")
        wide = np.pad(x, [(0, 0), *pads], mode="wrap" if padding == "circular" else "constant")
        filters = W.reshape(4, 2, 3, 3) * np.sqrt(1.3 / 18)
        u = jax.lax.conv_general_dilated(wide[None], filters, (2, 2), "VALID")[0] + np.sqrt(0.4) * b[:, None, None]
        h = np.tanh(np.asarray(u))
        rows, columns = h.shape[1] // 2, h.shape[2] // 2
        h = h[:, : 2 * rows, : 2 * columns].reshape(4, rows, 2, columns, 2).mean((2, 4))
        out = np.sqrt(1.3 / h.size) * V @ h.ravel() + np.sqrt(0.4) * c
        return np.asarray(network(arch)(params, x.ravel())), out

    np.testing.assert_allclose(*both(), rtol=1e-12)


# -- as a discriminator -----------------------------------------------------------------------------------------------


def experiment(tmp_path, arch, **tables):
    path = tmp_path / "points.npy"
    np.save(path, np.random.default_rng(0).standard_normal((3, 12)))
    return Experiment(
        target={"kind": "points", "path": str(path)},
        generator={"particles": 3, "learning_rate": 0.07},
        discriminator={"architecture": arch, "length_scale": 0.9, "learning_rate": 0.2},
        **tables,
    )


POOLED = {"layers": [CONVOLUTION, {"kind": "average_pool"}, r"flatten"], "image": [1, 3, 4], "bias_variance": 0.3}


@pytest.mark.parametrize("arch", [
    {**POOLED, "activation": "gelu"},
    {**POOLED, "activation": "relu", "trained": "readout"},
    {"depth": 2, "activation": "relu", "trained": "readout", "bias_variance": 0.3},
], ids=["gelu", "relu readout", "connected relu readout"])  # fmt: skip
def test_predicted_spectrum_is_that_of_the_step(tmp_path, arch):
    check_step(experiment(tmp_path, arch, penalty={"r1": 0.3, "r2": 0.1}, update={"rule": "alternating"}))


def test_file_read_back(tmp_path):
    exp = experiment(tmp_path, {**POOLED, "activation": "gelu"}, penalty={"r1": 0.1}, run={"steps": 20, "runs": 2})
    again = Experiment.from_toml_string(exp.to_toml())
    assert again == exp and hash(again) == hash(exp) and again.discriminator.architecture.depth == 1
    assert exp.replace({"discriminator.architecture.bias_variance": 0.2}).discriminator.architecture.depth == 1


@pytest.mark.slow
def test_every_prediction(tmp_path):
    exp = experiment(tmp_path, {**POOLED, "activation": "gelu"}, penalty={"r1": 0.1}, run={"steps": 20, "runs": 2})
    assert np.isfinite(eg.spectrum(exp).attrs["slowest_rate"])
    assert 0 < eg.best_regularizer(exp, penalty="r1").left < 1
    assert np.isfinite(eg.simulate(exp)["particles"]).all()


@pytest.mark.slow
def test_spectrum_of_a_wide_finite_network_is_near(tmp_path):
    """One network of finite width through the experiment: the kernel of its features at the data."""
    wide = experiment(tmp_path, {**POOLED, "activation": "gelu"})
    exp = experiment(tmp_path, {**POOLED, "activation": "gelu", "width": 512})
    Y = exp.points.coordinates
    rows = feature_map(exp).at(Y).grad().reshape(36, -1)
    mixed = wide.discriminator.kernel_object.mixed(Y, Y).transpose(0, 2, 1, 3).reshape(36, 36)
    assert np.abs(rows @ rows.T - mixed).max() < 0.2 * np.abs(mixed).max()


def test_a_kink_has_no_force_at_the_data(tmp_path):
    with pytest.raises(eg.InputError, match=r"activation: must be smooth at width 0 .* trained = 'readout'"):
        eg.spectrum(experiment(tmp_path, {**POOLED, "activation": "relu"}))


@pytest.mark.parametrize("arch, message", [
    ({"layers": ["convolution"], "image": [1, 3, 4]}, r"layers: must fit the image: dense .here the readout"),
    ({"layers": ["filter"], "image": [1, 3, 4]}, r"layers\[0\]: must be a layer: kind must be one of convolution"),
    ({"layers": [{"kind": "flatten", "size": 2}], "image": [1, 3, 4]}, r"flatten.size must be one of the known keys"),
    ({"layers": ["flatten"], "image": [1, 3, 4]}, r"layers: must hold a layer with weights .convolution, dense."),
    ({"layers": ["convolution", "flatten"]}, r"image: must be given with architecture.layers"),
    ({"image": [1, 3, 4]}, r"image: must be given with architecture.layers"),
    ({"layers": ["convolution", "flatten"], "image": [3, 4]}, r"image: must be \[channels, height, width\]"),
    ({"layers": ["convolution", "flatten"], "image": [1, 4, 4]}, r"image: must have as many pixels .* 12, but found"),
    ({"layers": [{"kind": "convolution", "padding": "zero"}], "image": [1, 3, 4]}, r"padding must be one of same"),
    ({"layers": [{"kind": "convolution", "size": 0}], "image": [1, 3, 4]}, r"convolution.size must be an integer >= 1"),
    ({"layers": [{"kind": "convolution", "size": 5000}], "image": [1, 3, 4]}, r"size must be at most 1024"),
    ({"layers": [{"kind": "average_pool", "size": 4}, r"flatten", "dense"], "image": [1, 3, 4]}, r"the image's side 3"),
    ({"layers": ["convolution", "flatten"], "image": [1, 3, 4], "depth": 2}, r"depth: must not be given beside"),
    ({"layers": 3, "image": [1, 3, 4]}, r"layers: must be an array of tables"),
    ({"layers": [3], "image": [1, 3, 4]}, r"it must be a table with a kind"),
    ({"trained": "readout", "width": 5}, r"trained: must be 'all' of a finite width"),
])  # fmt: skip
def test_what_is_refused(tmp_path, arch, message):
    with pytest.raises(eg.InputError, match=message):
        experiment(tmp_path, arch)


def test_generators_are_fully_connected():
    layers = {"layers": ["convolution", "flatten"], "image": [1, 3, 4]}
    with pytest.raises(eg.InputError, match=r"generator.architecture.layers: must be left to a discriminator"):
        Experiment(generator={"architecture": layers})
    with pytest.raises(eg.InputError, match=r"generator.architecture.trained: must be 'all'"):
        Experiment(generator={"architecture": {"trained": "readout"}})
