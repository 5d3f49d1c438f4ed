"""Simulations of networks: the same field and the same runs as NumPy's where both exist, starts, records, refusals."""

import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from analyses import wide_discriminator
from egan_theory.base.errors import InputError, NotLinearizable
from egan_theory.features import feature_map
from egan_theory.features.networks.tangent import tangent_features
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.runs.schema import ATTRS, DIMS, validate_runs
from egan_theory.simulation import simulate
from egan_theory.simulation.networks.field import NetworkField
from egan_theory.simulation.networks.simulate import simulate_networks
from egan_theory.simulation.run import _simulate
from tests.analyses.drawing import labelled
from tests.builders import with_network as experiment

jax = pytest.importorskip("jax")

#: the same field in other sums, relative to its largest entry
FIELD = 1e-10
#: one trajectory computed in another order for a few dozen steps, relative to how far it moves
TRAJECTORY = 1e-9

EVERYTHING = {"r1": 0.3, "r2": 0.2, "weight_decay": 0.1, "multiplier": 0.3, "alpha": 0.5, "consensus": 0.4,
              "instance_noise": 0.1}  # fmt: skip
GENERATOR = {"width": 8, "depth": 1, "activation": "tanh", "latent_dimension": 6}


def fourier(**tables):
    return experiment(**({"discriminator": {"features": 12, "length_scale": 0.8, "learning_rate": 0.2}} | tables))


FIELDS = {
    "fourier, logistic, everything": fourier(loss={"kind": "logistic"}, penalty=EVERYTHING),
    "fourier, hinge": fourier(loss={"kind": "hinge"}, penalty={"r1": 0.3, "consensus": 0.2}),
    "random network, least squares": fourier(
        discriminator={"kernel": "tanh", "features": 9}, loss={"kind": "least_squares"}, penalty={"r2": 0.3}
    ),
    "linearised network, non-saturating, everything": experiment(loss={"kind": "non_saturating"}, penalty=EVERYTHING),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if "everything" in n else []) for n in FIELDS]
)
def test_field_is_the_one_of_numpy_on_the_same_features(name):
    exp = FIELDS[name]
    rng = np.random.default_rng(0)
    numpy_field = Field(Problem(exp))
    w, x = rng.standard_normal((2, numpy_field.features.size)) / 3, rng.standard_normal((2, 6, 2))
    output = None
    if exp.discriminator.finite_network:
        D = tangent_features(exp).output_function
        output = lambda theta0, w, x: jax.jvp(lambda t: D(t, x), (theta0,), (w,))[1]  # noqa: E731
    field = NetworkField(exp, [exp, exp], output)

    def both(data, w, x):
        return field.Vw(data, w, x), field.Vg(data, w, x), *field.forces(data, w, x)[1:]

    with jax.enable_x64(True):
        found = field.mapped(both, 0, 0)(field.data, w, x)
        found = [np.asarray(v) for v in found]
    expected = numpy_field.Vw(w, x), numpy_field.Vx(w, x), *numpy_field.forces(x, w)
    for a, b in zip(found, expected, strict=True):
        assert np.abs(a - b).max() <= FIELD * np.abs(b).max()


@pytest.mark.parametrize("update", [
    {"rule": "alternating", "critic_steps": 2, "momentum_discriminator": 0.3}, {"rule": "flow", "substeps": 3},
])  # fmt: skip
def test_runs_are_those_of_numpy_on_the_same_features(update):
    exp = fourier(update=update).replace({"run.kick": 0.05})
    expected, found = _simulate(exp, None, None), simulate_networks(exp, None, None)
    x = expected["particles"].values
    assert np.abs(found["particles"].values - x).max() <= TRAJECTORY * np.abs(x - x[:, :1]).max()
    for name in ("discriminator", "force", "weights"):
        assert np.abs(found[name] - expected[name]).max() <= TRAJECTORY * np.abs(expected[name]).max()
    assert found.attrs == expected.attrs and set(found.data_vars) == set(expected.data_vars)


@pytest.mark.slow
def test_recorded_runs_obey_the_schema():
    exp = experiment(generator={"particles": 6, "architecture": GENERATOR, "learning_rate": 0.05})
    ds = simulate(exp)
    xr.testing.assert_identical(validate_runs(ds), ds)
    for name, variable in ds.variables.items():
        assert variable.attrs["long_name"] and variable.attrs["units"], name
        if name in DIMS:
            assert variable.dims == DIMS[name]
            assert (variable.attrs["long_name"], variable.attrs["units"]) == ATTRS[name]
    assert type(exp).from_toml_string(ds.attrs["experiment"]) == exp
    assert ds.attrs["status"] == "finished" and ds.sizes["time"] == 11 and ds["time"][-1] == 40
    # what is recorded is what the weights say
    fm = tangent_features(exp)
    D = fm.moved(ds["weights"].values[1, -1]).output(ds["particles"].values[1, -1])
    np.testing.assert_allclose(ds["discriminator"][1, -1], D - fm.output(ds["particles"].values[1, -1]), atol=1e-14)
    # the same kicks as a particle generator's
    kicked = simulate(experiment()).isel(time=0)["particles"]
    np.testing.assert_allclose(ds["particles"].isel(time=0), kicked, atol=1e-14)
    np.testing.assert_array_equal(simulate(exp)["particles"], ds["particles"])  # seeded


def test_random_start_of_a_generator_network_is_its_output():
    """x_i = G_phi(z_i), latents of norm sqrt(n_0), another network in every run."""
    from egan_theory.simulation.networks.field import generator_draws

    exp = experiment(generator={"particles": 6, "architecture": GENERATOR}).replace({"run.start": "random"})
    x = simulate(exp)["particles"].values[:, 0]
    z, draws = generator_draws(exp)
    np.testing.assert_allclose((z**2).sum(-1), 6)
    for run, ((W1, b1), (W2, b2)) in enumerate(draws):
        h = np.tanh(z @ W1.T / np.sqrt(6) + np.sqrt(0.1) * b1)
        np.testing.assert_allclose(x[run], h @ W2.T / np.sqrt(8) + np.sqrt(0.1) * b2, atol=1e-13)
    assert len(draws) == 2 and np.abs(x[0] - x[1]).max() > 0.01


@pytest.mark.slow
def test_variants_are_their_own_runs():
    exp = experiment(generator={"particles": 6, "kernel": {"ratio": 0.2}, "learning_rate": 0.05})
    members = [exp.replace({"penalty.r1": r, "generator.kernel.ratio": 3 * r}) for r in (0.0, 0.2)]
    both = simulate(exp, variants=members)
    np.testing.assert_array_equal(both["penalty_r1"], [0, 0, 0.2, 0.2])
    for i, member in enumerate(members):
        alone = simulate(member)
        difference = both["particles"].isel(run=slice(2 * i, 2 * i + 2)) - alone["particles"]
        assert np.abs(difference).max() <= 1e-14


def test_divergence_and_interruption():
    wild = experiment().replace({"generator.learning_rate": 1e9, "run.kick": 0.1})
    ds = simulate(wild)
    step = int(ds["diverged_at"].min())
    assert ds.attrs["status"] == f"diverged at step {step}" and 0 < step < 40
    assert np.isnan(ds["particles"].isel(time=-1)).all() or ds.sizes["time"] < 11
    assert np.isfinite(ds["particles"].isel(time=0)).all()

    def interrupt(step, total):
        if step >= 12:
            raise KeyboardInterrupt

    ds = simulate(experiment(), progress=interrupt)
    assert ds.attrs["status"] == "interrupted" and ds["time"].values.tolist() == [0, 4, 8, 12]
    assert ds.sizes["time"] == ds["kernel_drift"].sizes["time"]


@pytest.mark.slow
def test_adam_is_optax():
    """Steps of both players are those of optax.adam on their own gradients; no linearization exists."""
    optax = pytest.importorskip("optax")
    update = {"rule": "adam", "momentum_discriminator": 0.5, "momentum_generator": 0.9}
    exp = experiment(
        generator={"particles": 6, "architecture": GENERATOR, "learning_rate": 0.01}, update=update,
        loss={"kind": "non_saturating"}, run={"steps": 5, "record_every": 5, "runs": 1, "kick": 0.3},
    )  # fmt: skip
    found = simulate(exp)
    with jax.enable_x64(True):
        field = NetworkField(exp, [exp])
        data = field.of_run(0)
        w, g = jax.numpy.zeros(field.features.size), jax.numpy.zeros(field.data["phi0"].shape[-1])
        data["offset"] = found["particles"].values[0, 0] - field.generate(data, g)
        rules = optax.adam(0.2, b1=0.5), optax.adam(0.01, b1=0.9)
        memory = [rule.init(v) for rule, v in zip(rules, (w, g), strict=True)]
        gradients = jax.jit(lambda w, g: (-field.Vw(data, w, g) / 0.2, -field.Vg(data, w, g) / 0.01))
        for _ in range(5):
            steps = []
            for i, gradient in enumerate(gradients(w, g)):
                step, memory[i] = rules[i].update(gradient, memory[i])
                steps.append(step)
            w, g = w + steps[0], g + steps[1]
    assert np.abs(w).max() > 0.1
    np.testing.assert_allclose(found["weights"].values[0, -1], w, atol=1e-10)
    for refused in (eg.spectrum, lambda e: eg.compare(e, found)):
        with pytest.raises(NotLinearizable, match=r"update\.rule: must be one of flow, .*no theory covers"):
            refused(exp)


def test_drift_is_measured_against_the_start():
    """kernel_drift is the relative change of the Gram matrix of [psi; l grad psi] at the data, 0 at the start."""
    exp = experiment().replace({"run.kick": 0.3})
    ds = simulate(exp)
    drift = ds["kernel_drift"].values
    assert np.all(drift[:, 0] == 0) and np.isfinite(drift).sum(1).tolist() == [5, 5]
    fm, Y = tangent_features(exp), exp.points.coordinates

    def gram(features):
        scale = np.repeat([1.0, 0.8], [3, 6])
        return scale[:, None] * features.gram(Y) * scale

    start = gram(fm)
    for run in range(2):
        change = np.linalg.norm(gram(fm.moved(ds["weights"].values[run, -1])) - start) / np.linalg.norm(start)
        assert drift[run, -1] == pytest.approx(change, rel=1e-9) and change > 1e-4


@pytest.mark.slow
def test_compare_agrees_with_the_network():
    """The whole path: five slowest visible modes of a trained network within 1e-4 of the prediction."""
    exp = experiment(width=32, penalty={"r1": 1.0}, run={"steps": 1500, "record_every": 10, "runs": 3, "kick": 1e-5})
    table = eg.compare(exp, simulate(exp))
    errors = [q.relative_error for q in table.quantities if q.name.startswith("s")]
    assert len(errors) >= 5 and max(errors) < 1e-4
    assert any("the discriminator's tangent kernel moved by at most" in a for a in table.assumptions)


@pytest.mark.slow
def test_width_of_a_discriminator(tmp_path):
    """analyses/wide_discriminator.py: exact from the network's own gradients, width^-1/2 from the infinite one."""
    ds = labelled(wide_discriminator, "--draws 2 --widths 16 256", tmp_path)
    assert float(ds["own"].max()) < 1e-3
    error = ds["infinite"].mean(("activation", "draw")).values
    # the factor is 4 = sqrt(256/16); means of four draws scatter by some 30 % each
    assert 2 < error[0] / error[1] < 8
    assert (tmp_path / "wide_discriminator.nc").exists()


def test_feature_map_of_an_experiment():
    assert feature_map(experiment()).size == 6 * 3 + 7


def test_what_is_left_of_kicks_is_predicted():
    """Kicks in all orthonormal directions, every weight of the discriminator trained, against the linear theory."""
    exp = eg.Experiment(
        target={"kind": "ring", "modes": 4, "radius": 1.5},
        generator={"particles": 4, "learning_rate": 0.1, "kernel": {"ratio": 0.2}},
        discriminator={"architecture": {"width": 16, "depth": 1}, "learning_rate": 0.1},
        loss={"kind": "logistic"},
        update={"rule": "alternating"},
    )
    swept = eg.sweep_left(exp, "r1", [0.0, 0.3, 2.0], 200)
    assert swept["moving"].values == pytest.approx(swept["predicted_moving"].values, rel=1e-4)
    assert np.ptp(swept["moving"].values) > 0.01
    with pytest.raises(InputError, match="kicks: must be finite numbers of shape"):
        eg.simulate(exp.replace({"run.steps": 10}), kicks=np.zeros((1, 3, 2)))
