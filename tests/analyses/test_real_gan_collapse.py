"""The GAN of two finite networks against the effective model: the fields behind the analysis, and what it finds."""

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.predict.collective import margin

pytest.importorskip("jax")

from analyses import real_gan_collapse as script
from analyses.real_gan_verdict import crossing, transition

#: two orders of the same sums, per step of a growing kick
SAME = 1e-9
#: growth per step: fitted to 150 steps, against the exact spectrum
RATE = 1.5e-3
#: multipliers of two routes to one spectrum; close pairs split by the root of rounding
SPECTRUM = 1e-7


def test_a_scaled_bias_is_a_network_of_that_bias_variance():
    """One compiled step for all bias variances is the library's simulation of each."""
    seeds, bias = [4, 3], [0.4, 0.05]
    exp = script.experiment(6, 1.0).replace({"run.steps": 4, "run.record_every": 2, "run.kick": 0.05})
    field = script.Networks(exp, seeds)
    field.set(np.array(bias))
    x = script.kicks(exp, seeds)
    runs = script.Runs(field)
    alone = eg.simulate(exp.replace({script.BIAS: bias[1], "run.seed": seeds[1]}))
    x[1] = alone["particles"].values[0, 0]
    size = runs.kicked(x)[1, : alone.sizes["time"] - 1]
    force = np.sqrt((alone["force"].values[0, 1:] ** 2).sum((-2, -1)))
    np.testing.assert_allclose(size, force, rtol=SAME)


@pytest.mark.parametrize(
    "penalty", [{"weight_decay": 0.3}, {"weight_decay": 0.05, "r1": 0.4}], ids=["weight decay", "r1"]
)
@pytest.mark.parametrize("loss", ["wasserstein", "logistic"])
def test_two_kernel_numbers_give_the_margin_of_the_effective_model(penalty, loss):
    """The margin of a given Theta, at Theta = Gamma (x) 1, is that of egan_theory.linear."""
    exp = script.experiment(0, 0.3, penalty=penalty, loss={"kind": loss}).replace({script.RATE: 0.15})
    assert abs(script.own_margin(exp, script.gamma(exp)) - margin(exp)) < SPECTRUM


def test_own_theta_gives_the_multipliers_of_the_network_s_own_step():
    """Largest |z| from Theta against the Jacobian of the simulated step, by automatic differentiation.

    Its multipliers of modulus 1 are the weights that move no particle; beyond the threshold the largest is above.
    """
    import jax

    from egan_theory.features.networks.double import double

    exp = script.experiment(4, 0.3).replace({script.RATE: 0.3, "generator.architecture.latent_dimension": 3})
    exp = exp.replace({"discriminator.features": 16})
    field = script.Networks(exp, [5])
    field.set(np.array([0.3]), np.array([0.3]))
    runs = script.Runs(field)

    @double
    def jacobian():
        jnp = jax.numpy
        data = {k: jax.tree.map(lambda v, a=field.axes[k]: v[0] if a == 0 else v, v) for k, v in field.data.items()}
        g = jnp.zeros_like(data["phi0"])
        data["offset"] = jnp.asarray(exp.points.coordinates[exp.assignment]) - field.generate(data, g)
        n = field.features.size

        def step(state):
            return jnp.concatenate(runs.stepper.stepped(data, (state[:n], state[n:])))

        return np.asarray(jax.jit(jax.jacfwd(step))(jnp.zeros(n + g.size)))

    largest = np.abs(np.linalg.eigvals(jacobian())).max() - 1
    assert largest > 10 * SPECTRUM
    assert abs(script.own_margin(exp, field.theta()[0]) - largest) < SPECTRUM


def test_clouds_with_two_kernel_numbers_are_the_particle_model():
    """Theta = Gamma (x) 1, held: the simulation of the particle model, from the same start."""
    exp = script.particles(script.random_start(0, "features"), 0.05, 0.4).replace({"run.steps": 20})
    alone = eg.simulate(exp.replace({"run.record_every": 20}))["particles"].values[0]
    clouds = script.Clouds(exp, script.gamma(exp)[None], np.array([0.05]))
    cloud, _ = script.Runs(clouds).trained(20, alone[:1])
    assert np.abs(alone[1] - alone[0]).max() > 0.01
    np.testing.assert_allclose(cloud.values[0], alone[1], rtol=SAME, atol=SAME)


def test_growth_is_read_off_within_the_linear_time():
    """exp(rate t) of an oscillation, and the same cut short by rounding, saturation or divergence."""
    t = np.arange(0, script.STEPS, script.RECORD_EVERY) + script.RECORD_EVERY
    rates = np.array([-0.2, -0.01, 0.004, 0.1])
    sizes = np.exp(rates[:, None] * t) * np.sqrt(1 + 0.3 * np.cos(0.8 * t))
    sizes = np.clip(sizes, 1e-9, 1e5)
    sizes[3, 100:] = np.nan
    np.testing.assert_allclose(script.growth(sizes), rates, atol=RATE, rtol=0.02)


def test_transition_and_crossing():
    ratios = np.array(script.RATIOS)
    kept = np.where(ratios[:, None] < 0.55, 1.0, 0.0) * np.ones((1, 3))
    value, error = transition(ratios, kept)
    assert 0.5 < value < 0.6 and error < np.sqrt(np.finfo(float).eps)
    assert crossing(np.array([1.0, 2.0, 3.0]), np.array([-1.0, 1.0, 3.0])) == 1.5
    assert np.isnan(crossing(np.array([1.0, 2.0]), np.array([1.0, 2.0])))


def test_boundary_of_one_network(monkeypatch):
    """Bisected by simulation and from its own Theta: one boundary; not that of the effective model."""
    monkeypatch.setattr(script, "ROUNDS", 5)
    found = script.stability(16, [11, 12], "features")
    bracket = np.log(found["high"] / found["low"])
    assert np.all(np.abs(np.log(found["simulated"] / found["own"])) < bracket)
    assert np.all(np.abs(found["rate"] - found["rate_own"]) < RATE)
    np.testing.assert_allclose(found["infinite"], script.PLACED, rtol=1e-6)


@pytest.mark.slow
def test_the_study(tmp_path):
    """Two networks per case, short lists: own Theta predicts each boundary, and the figure is drawn."""
    ds = script.study(2, 2, (32,), (32,))
    found = script.numbers(ds)
    for row in found["stability"]:
        assert row["found"] == 2
        assert abs(row["simulated / own"][0] - 1) < 0.05
    assert abs(found["depth"]["simulated"][0] - found["depth"]["own"][0]) < 0.5
    for row in found["starts"]:
        assert all(0 <= share <= 1 for share in row["agreement"].values())
    kept = ds["kept"].sel(rung="GAN").mean("run").values
    assert np.all(kept[:, 0] > 0.8) and np.all(kept[:, -1] < 0.5)  # free particles spread, a rigid cloud cannot
    assert len(script.verdict(found)) == len(found["stability"]) + 1 + len(found["starts"])
    script.figure(ds).savefig(tmp_path / "figure.png", dpi=30)
    assert (tmp_path / "figure.png").stat().st_size > 1000
