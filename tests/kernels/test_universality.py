"""Kernel numbers of generator architectures: two routes, bounds, limits with depth, sampled networks, experiments."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import egan_theory as eg
from analyses import universality as script
from analyses.script import facts
from egan_theory.base.errors import InputError
from egan_theory.cli.app import main
from egan_theory.experiment import Experiment
from egan_theory.kernels.wide.depth import depth_limit
from egan_theory.kernels.wide.recursion import gp_kernel, tangent_kernel
from egan_theory.kernels.wide.universality import (
    every_activation,
    kernel_numbers,
    latents,
    output_covariance,
    sampled_kernel,
    sampled_kernel_numbers,
)
from egan_theory.tables.activations import NETWORK_ACTIVATIONS, get_activation
from egan_theory.tables.architecture import GeneratorArchitecture
from tests.analyses.drawing import labelled

SAME = 1e-11
#: arccos at a cosine of 0 or 1 of the kinked activations, by way of a Gram matrix
KINKED = 1e-7
#: largest deviation of a mean in its standard errors over some tens of comparisons
SIGMAS = 4.0
COMPLEX_STEP = 1e-30
COEFFICIENTS = (0.2, 0.9, -0.3)


def generator(name="tanh", **changes):
    chosen = {"activation": name, "depth": 2, "weight_variance": 1.5, "bias_variance": 0.2, "latent_dimension": 12}
    return GeneratorArchitecture(**(chosen | {"coefficients": COEFFICIENTS} | changes))


# -- g1 and g2 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORK_ACTIVATIONS)
def test_numbers_are_entries_of_the_kernel(name):
    """At orthogonal latents of norm sqrt(n_0); the spread by tilting one of them."""
    arch = generator(name)
    numbers, n0 = kernel_numbers(arch), arch.latent_dimension
    Z = latents(n0, 3, np.random.default_rng(0), orthogonal=True)
    np.testing.assert_allclose(np.linalg.norm(Z, axis=1), math.sqrt(n0), rtol=SAME)
    theta = tangent_kernel(arch, Z)
    np.testing.assert_allclose(np.diag(theta), numbers.g1, rtol=SAME)
    np.testing.assert_allclose(theta[np.triu_indices(3, 1)], numbers.g2, rtol=SAME)
    assert numbers.ratio == numbers.g2 / numbers.g1
    h = 1e-4
    tilted = [math.cos(s * h) * Z[1] + math.sin(s * h) * Z[0] for s in (1, -1)]  # cosine sin(h) with Z[0]
    plus, minus = (tangent_kernel(arch, Z[:1], z[None])[0, 0] for z in tilted)
    slope = (plus - minus) / (2 * math.sin(h))
    np.testing.assert_allclose(numbers.spread, abs(slope) / math.sqrt(n0), rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*NETWORK_ACTIVATIONS]),
    st.integers(1, 6),
    st.floats(1e-3, 4),
    st.one_of(st.just(0.0), st.floats(1e-6, 3)),
)
def test_ratio_is_between_0_and_1(name, depth, weight_variance, bias_variance):
    """Also of odd and oscillating activations: no entry is negative, and the diagonal is the largest."""
    arch = generator(name, depth=depth, weight_variance=weight_variance, bias_variance=bias_variance)
    numbers = kernel_numbers(arch)
    assert 0 <= numbers.g2 <= numbers.g1 * (1 + 1e-12) and 0 <= numbers.ratio <= 1 and numbers.spread >= 0
    odd = get_activation(name, arch.leak, arch.coefficients).odd
    if odd and bias_variance == 0:
        assert numbers.g2 == 0


def test_overflow_is_refused():
    arch = generator("polynomial", depth=40, weight_variance=100.0)
    with pytest.raises(eg.InputError, match=r"architecture.depth: must keep the tangent kernel within the range"):
        kernel_numbers(arch)
    with pytest.raises(eg.InputError, match=r"generator.architecture.depth: must keep the tangent kernel"):
        Experiment(generator={"architecture": arch})


def test_spread_over_latents():
    """Standard deviation of the entries over independent latents in 400 dimensions: that of first order within 3 %."""
    arch = generator("gelu", latent_dimension=400)
    Z = latents(400, 120, np.random.default_rng(1))
    off = tangent_kernel(arch, Z)[np.triu_indices(120, 1)]
    numbers = kernel_numbers(arch)
    np.testing.assert_allclose(off.std(), numbers.spread, rtol=0.03)
    np.testing.assert_allclose(off.mean(), numbers.g2, atol=0.1 * numbers.spread)


# -- depth ------------------------------------------------------------------------------------------------------------

EDGE_ERF = 0.05  # bias variance at which the weight variance of the edge is sought


def on_the_edge(name):
    """The architecture with chi = 1 at the fixed point, by bisection on the weight variance."""
    from scipy.optimize import brentq

    def excess(weight_variance):
        return depth_limit(generator(name, weight_variance=weight_variance, bias_variance=EDGE_ERF)).slope - 1

    return generator(name, weight_variance=brentq(excess, 0.9, 3, xtol=1e-15), bias_variance=EDGE_ERF)


def ratios(arch, depths):
    return np.array([kernel_numbers(arch.model_copy(update={"depth": d})).ratio for d in depths])


def test_fixed_point_is_one():
    for name, sw in (("tanh", 1.5), ("erf", 2.0), ("gelu", 1.5), ("sine", 1.2), ("softplus", 0.7)):
        limit = depth_limit(generator(name, weight_variance=sw))
        z, w = np.polynomial.hermite_e.hermegauss(120)
        act, u = get_activation(name), math.sqrt(limit.variance) * z
        mean = (act.value(u) ** 2) @ w / w.sum()
        np.testing.assert_allclose(sw * mean + 0.2, limit.variance, rtol=1e-8)
        np.testing.assert_allclose(sw * (act.slope(u) ** 2) @ w / w.sum(), limit.slope, rtol=1e-8)


@pytest.mark.parametrize("name, weight_variance", [
    ("tanh", 1.2), ("erf", 0.8), ("gelu", 1.5), ("softplus", 0.8), ("sine", 0.7), ("relu", 1.5), ("leaky_relu", 1.4),
    ("identity", 0.8),
])  # fmt: skip
def test_ordered_networks_tend_to_one(name, weight_variance):
    """1 - ratio ~ L chi^L, or chi^(L/2) with a kink: the factor per layer, corrected for the power, is the rate."""
    arch = generator(name, weight_variance=weight_variance)
    limit = depth_limit(arch)
    assert limit.phase == "ordered" and limit.ratio == 1 and limit.rate < 1
    depth = max(6, math.ceil(-14 / math.log(limit.rate)))
    first, second = 1 - ratios(arch, (depth, depth + 4))
    power = 1 if get_activation(name).smooth else 0
    np.testing.assert_allclose((second / first * (depth / (depth + 4)) ** power) ** 0.25, limit.rate, rtol=0.02)
    assert limit.rate == pytest.approx(limit.slope if power else math.sqrt(limit.slope))
    assert first < 1e-3


@pytest.mark.parametrize("name, weight_variance", [("tanh", 3.0), ("erf", 2.5), ("sine", 3.0)])
def test_chaotic_networks_tend_to_zero(name, weight_variance):
    arch = generator(name, weight_variance=weight_variance)
    limit = depth_limit(arch)
    assert limit.phase == "chaotic" and limit.ratio == 0 and limit.slope > 1
    first, second = ratios(arch, (60, 70))
    np.testing.assert_allclose((second / first) ** 0.1, limit.rate, rtol=3e-3)
    assert first < 1e-2


def power_limit(arch, depths):
    """Limit of the ratio extrapolated from L, with corrections (a + b log L) / L + c / L^2 fitted."""
    L = np.array(depths, dtype=float)
    columns = np.stack([np.ones_like(L), 1 / L, np.log(L) / L, 1 / L**2, np.log(L) / L**2, np.log(L) ** 2 / L**2], 1)
    return np.linalg.lstsq(columns, ratios(arch, depths), rcond=None)[0][0]


@pytest.mark.parametrize("arch, limit", [
    (generator("relu", weight_variance=2.0, bias_variance=0.0), 1 / 4),
    (generator("leaky_relu", weight_variance=0.9, bias_variance=0.0, leak=0.1), 1 / 4),
    (generator("identity", weight_variance=1.0), 1.0),
    (generator("identity", weight_variance=1.4), 1 / 3),
])  # fmt: skip
def test_algebraic_limits(arch, limit):
    assert depth_limit(arch).ratio == pytest.approx(limit, rel=1e-12)
    depths = (60, 80, 100, 130, 160, 200, 250, 300, 400, 500, 650, 800)
    assert power_limit(arch, depths) == pytest.approx(limit, abs=3e-3)


@pytest.mark.parametrize("name", ["erf", pytest.param("tanh", marks=pytest.mark.slow)])
def test_edge_of_chaos(name):
    arch = on_the_edge(name)
    limit = depth_limit(arch)
    assert limit.phase == "edge of chaos" and limit.ratio == 1 / 3 and limit.rate is None
    depths = (60, 80, 100, 130, 160, 200, 250, 300, 400, 500, 650, 800)
    assert power_limit(arch, depths) == pytest.approx(1 / 3, abs=3e-3)


@pytest.mark.parametrize("name, weight_variance, limit", [
    ("relu", 2.0, 4 / 7), ("relu", 2.6, 1 / 4), ("softplus", 2.6, 1 / 4), ("gelu", 2.6, 1 / 4),
])  # fmt: skip
def test_growing_variance(name, weight_variance, limit):
    """Slower than any fit: the distance falls on and on, in the right direction, by a power of the depth."""
    arch = generator(name, weight_variance=weight_variance)
    assert depth_limit(arch).ratio == pytest.approx(limit)
    distance = np.abs(ratios(arch, (100, 200, 400, 800)) - limit)
    falls = distance[1:] / distance[:-1]
    assert np.all(falls < 0.85) and distance[-1] < 0.05


def test_limits_that_depend_on_more():
    assert depth_limit(generator("polynomial")).ratio is None or depth_limit(generator("polynomial")).variance
    assert depth_limit(generator("gelu", bias_variance=0.0)).phase == "vanishing variance"
    assert depth_limit(generator("tanh", bias_variance=0.0)).ratio == 0


# -- sampled networks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORK_ACTIVATIONS)
def test_backpropagation_is_the_jacobian(name):
    """The sum over layers against J J^T, J by complex steps in every weight and bias of the same small network."""
    arch = generator(name, depth=2, width=3, latent_dimension=4)
    Z = np.random.default_rng(1).standard_normal((5, 4))
    rng, shapes = np.random.default_rng(7), [(4, 3), (3,), (3, 3), (3,), (3,)]
    parameters = np.concatenate([rng.standard_normal(s).ravel() for s in shapes] + [[0.3]])  # the last: output bias
    act = get_activation(name, arch.leak, arch.coefficients)
    sw, sb = math.sqrt(arch.weight_variance), math.sqrt(arch.bias_variance)

    def output(p):
        parts = np.split(p, np.cumsum([math.prod(s) for s in shapes]))
        W1, b1, W2, b2, W3 = (part.reshape(s) for part, s in zip(parts, shapes, strict=False))
        u = sw / 2 * (Z @ W1) + sb * b1
        u = sw / math.sqrt(3) * (act.value(u) @ W2) + sb * b2
        return sw / math.sqrt(3) * (act.value(u) @ W3) + sb * parts[-1]

    steps = parameters + 1j * COMPLEX_STEP * np.eye(len(parameters))
    J = np.stack([output(p).imag / COMPLEX_STEP for p in steps], 1)
    np.testing.assert_allclose(sampled_kernel(arch, Z, 7), J @ J.T, rtol=1e-12)


@pytest.mark.parametrize("name", NETWORK_ACTIVATIONS)
def test_sampled_numbers(name):
    arch = generator(name, width=400)
    numbers, sampled = kernel_numbers(arch), sampled_kernel_numbers(arch, 8, 12, 3)
    assert abs(sampled.g1 - numbers.g1) < SIGMAS * sampled.g1_stderr + 4 / 400 * numbers.g1
    assert abs(sampled.g2 - numbers.g2) < SIGMAS * sampled.g2_stderr + 4 / 400 * numbers.g2
    assert 0 < sampled.g1_stderr < 0.2 * numbers.g1 and sampled.fluctuation > 0


def test_sampling_is_refused():
    with pytest.raises(eg.InputError, match="width: must be greater than 0"):
        sampled_kernel(generator(), np.ones((2, 12)), 0)
    with pytest.raises(eg.InputError, match="at most latent_dimension = 12"):
        latents(12, 13, np.random.default_rng(0), orthogonal=True)
    with pytest.raises(eg.InputError, match="samples: must be at least 2"):
        sampled_kernel_numbers(generator(width=4), 1, 5, 0)


# -- in an experiment -------------------------------------------------------------------------------------------------


def with_architecture():
    return Experiment(generator={"particles": 8, "architecture": generator("gelu")}, discriminator={"features": 32})


def test_an_architecture_is_its_two_numbers():
    exp = with_architecture()
    numbers = kernel_numbers(exp.generator.architecture)
    plain = Experiment(
        generator={"particles": 8, "kernel": {"diagonal": numbers.g1, "ratio": numbers.ratio}},
        discriminator={"features": 32},
    )
    ours, theirs = eg.spectrum(exp), eg.spectrum(plain)
    for name in ("eigenvalue_re", "eigenvalue_im", "multiplicity"):
        np.testing.assert_array_equal(ours[name], theirs[name])
    spread = f"scatter by {numbers.relative_spread:.2g} of g1"
    assert spread in ours.attrs["assumptions"] and "scatter" not in theirs.attrs["assumptions"]
    assert Experiment.from_toml_string(exp.to_toml()) == exp


def test_fields_of_an_architecture_can_be_varied():
    exp = with_architecture()
    deeper = exp.replace({"generator.architecture.depth": 5.0})
    assert deeper.generator.architecture.depth == 5 and deeper.generator.kernel != exp.generator.kernel
    found = eg.thresholds(
        exp, "generator.architecture.weight_variance", 0.5, 3.0, mechanisms=["collective instability"]
    )
    assert found.to_dict()["thresholds"][0]["range"] == [0.5, 3.0]
    with pytest.raises(eg.InputError, match=r"generator.kernel.ratio: must not be changed: generator.architecture"):
        eg.thresholds(exp, "generator.kernel.ratio")
    with pytest.raises(eg.InputError, match="whole number, which cannot be varied continuously"):
        eg.thresholds(exp, "generator.architecture.depth", 1, 5)


def test_command(tmp_path, capsys):
    file = tmp_path / "e.toml"
    file.write_text(with_architecture().to_toml())
    assert main(["universality", str(file), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    numbers = kernel_numbers(generator("gelu"))
    row = data["activations"][0]
    assert (row["g1"], row["g2"], row["ratio"]) == (numbers.g1, numbers.g2, numbers.ratio)
    assert row["limit"]["ratio"] == 1 and data["architecture"]["latent_dimension"] == 12
    assert main(["universality", "--json"]) == 0
    assert [r["activation"] for r in json.loads(capsys.readouterr().out)["activations"]] == [*NETWORK_ACTIVATIONS]
    assert main(["universality", "--figure", str(tmp_path / "u.png")]) == 0
    assert (tmp_path / "u.png").stat().st_size > 10_000 and "softplus" in capsys.readouterr().out
    file.write_text(Experiment().to_toml())
    assert main(["universality", str(file)]) == 2
    assert "generator.architecture: must be given" in capsys.readouterr().err


def test_every_activation_has_a_row():
    names = every_activation(GeneratorArchitecture())
    assert [*names] == [*NETWORK_ACTIVATIONS] and names["polynomial"].coefficients[2] > 0


# -- the analysis -----------------------------------------------------------------------------------------------------


def test_analysis_on_a_small_scale(tmp_path):
    """The scatter over latents falls as n_0^(-1/2) within three errors, and the script writes what it found."""
    ds = labelled(script, "--draws 4 --width 128", tmp_path)
    assert (tmp_path / "universality.nc").exists() and "draws 4" in facts(tmp_path / "universality.png")
    slope, error = ds.attrs["latent_slope"], ds.attrs["latent_slope_stderr"]
    assert abs(slope + 0.5) < 3 * error and error < 0.02
    np.testing.assert_allclose(ds["deep_limit"], [1, 1 / 3, 0, 1 / 4, 4 / 7], atol=1e-12)
    assert set(ds["activation"].values) == set(NETWORK_ACTIVATIONS)


@pytest.mark.slow
def test_networks_of_width_2048_have_the_two_numbers():
    """Every g1 and g2 within three standard errors (a seed's 18 deviations), the error falling as width^(-1/2)."""
    ds = script.against_networks(seed=0, draws=20, width=2048)
    assert float(np.abs(ds["g1_z"]).max()) < 3 and float(np.abs(ds["g2_z"]).max()) < 3
    widths = (64, 128, 256, 512, 1024, 2048)
    slope, error = script.slopes(widths, script.error_of_networks(0, 10, widths))
    assert abs(slope + 0.5) < 3 * error and error < 0.1


@pytest.mark.parametrize("name", NETWORK_ACTIVATIONS)
def test_output_covariance_is_the_gaussian_process_at_orthogonal_latents(name):
    """By the Gram matrix of latents, which neural-tangents' values test."""
    arch = generator(name)
    K = gp_kernel(arch, latents(arch.latent_dimension, 2, np.random.default_rng(0), orthogonal=True))
    np.testing.assert_allclose(output_covariance(arch), (K[0, 0], K[0, 1]), rtol=KINKED)


def test_random_starts_are_the_outputs_of_a_wide_network():
    """Of the particle model at width 0, and of networks of finite width: the same two moments, within their errors."""
    exp = Experiment(
        generator={"particles": 16, "architecture": {"depth": 2, "bias_variance": 0.3, "latent_dimension": 100}},
        run={"start": "random", "runs": 400, "steps": 1, "record_every": 1},
    )
    variance, common = output_covariance(exp.generator.architecture)
    assert 0.2 < common / variance < 0.8
    wide = exp.replace({"generator.architecture.width": 64, "run.runs": 40})
    for one in (exp, wide):
        x = eg.simulate(one)["particles"].values[:, 0]
        particles = x.shape[1]
        square = (x**2).mean(1)
        product = (x.sum(1) ** 2 - (x**2).sum(1)) / (particles * (particles - 1))
        for found, expected in ((square, variance), (product, common)):
            error = found.std(ddof=1) / np.sqrt(found.size)
            assert abs(found.mean() - expected) < SIGMAS * error < 0.8 * variance
    with pytest.raises(InputError, match=r"run\.spread: must be 0"):
        exp.replace({"run.spread": 0.5})
