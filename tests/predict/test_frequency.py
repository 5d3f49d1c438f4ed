"""Learning times of frequencies: against roots, against densities in simulations, and what separates two modes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import egan_theory as eg
from analyses import frequency_principle as script
from egan_theory.experiment import Experiment
from egan_theory.kernels import make_kernel
from egan_theory.predict.frequency import (
    SPECTRA,
    density_modes,
    learning_times,
    separating_content,
    separating_wavenumber,
)

SAME = 1e-10


def box(**changes):
    exp = Experiment(
        target={"kind": "uniform", "side": 13, "length": 2.0},
        generator={"particles": 13, "kernel": {"ratio": 0.2}},
        discriminator={"length_scale": 0.2, "features": 0},
        penalty={"r1": 0.3, "weight_decay": 0.01},
        update={"rule": "flow"},
    )
    return exp.replace(changes)


def test_flow_is_equation_3():
    """s^2 + a s + w^2 = 0 by hand, for every kernel: Matern spectra from their defining power laws."""
    ds = learning_times(box(), SPECTRA)
    k = 2 * np.pi / 2.0 * np.arange(1, 7)
    np.testing.assert_allclose(ds["wavenumber"], k, rtol=SAME)
    rho, l = 0.5, 0.2
    matern = {"Matern 1/2": 0.5, "Matern 3/2": 1.5, "Matern 5/2": 2.5}
    K = {"Gaussian": np.sqrt(2 * np.pi) * l * np.exp(-((k * l) ** 2) / 2)}
    for label, nu in matern.items():
        shape = (1 + (k * l) ** 2 / (2 * nu)) ** -(nu + 0.5)
        dense = np.linspace(-4000, 4000, 4_000_001)
        total = ((1 + (dense * l) ** 2 / (2 * nu)) ** -(nu + 0.5)).sum() * (dense[1] - dense[0])
        K[label] = 2 * np.pi * shape / total  # K(0) = 1
    for label, density in K.items():
        beta = rho * k**2 * density
        a, w2 = 0.1 * (0.01 + 0.3 * beta), 0.1 * 0.01 * 0.8 * beta
        rate = np.where(a**2 < 4 * w2, a / 2, (a - np.sqrt(np.maximum(a**2 - 4 * w2, 0))) / 2)
        # the quadrature leaves out the tail beyond |k| = 4000: at most 1e-3 for nu = 1/2
        np.testing.assert_allclose(ds["decay_rate"].sel(kernel=label), rate, rtol=2e-3)
        np.testing.assert_allclose(ds["learning_time"].sel(kernel=label) * ds["decay_rate"].sel(kernel=label), 1)


def test_matern_spectra_fall_with_their_exponent():
    for nu in (0.5, 1.5, 2.5):
        for d in (1, 2, 3):
            density = make_kernel("matern", smoothness=nu).spectral_density([2e3, 4e3], d)
            assert np.log2(density[1] / density[0]) == pytest.approx(-(2 * nu + d), abs=1e-4)


@pytest.mark.parametrize(
    "update",
    [{"update.rule": "simultaneous"}, {"update.rule": "alternating", "update.critic_steps": 2},
     {"update.rule": "optimistic"}, {"update.rule": "simultaneous", "update.momentum_discriminator": 0.5}],
)  # fmt: skip
def test_discrete_rules_use_their_own_map(update):
    """The slowest multiplier of one wavenumber from iterating the rule on its 2 x 2 block."""
    exp = box(**update)
    ds = learning_times(exp)
    rule = exp.update_rule
    K = ds["spectral_density"].values[0]
    k, rho = ds["wavenumber"].values, 0.5
    beta = rho * k**2 * K
    A, mu = 0.01 + 0.3 * beta, np.sqrt(0.8 * beta)

    def Vw(w, x):
        return -0.1 * (A * w + mu * x)

    def Vx(w, x):
        return 0.01 * mu * w

    state = rule.start(np.zeros(6), np.ones(6), Vw, Vx)
    sizes = []
    for _ in range(6000):
        state = rule.step(state, Vw, Vx)
        sizes.append(np.sqrt(state[0] ** 2 / 0.1 + state[1] ** 2 / 0.01))
    # slope of the envelope: least squares over the second half averages the oscillation out
    half = np.arange(3000, 6000)
    rates = -np.polyfit(half, np.log(np.array(sizes)[half]), 1)[0]
    np.testing.assert_allclose(ds["decay_rate"].values[0], rates, rtol=0.02)


def test_two_dimensions_group_wavevectors():
    exp = box(**{"target.dimension": 2, "target.side": 5, "generator.particles": 25})
    ds = learning_times(exp)
    # |n|^2 of the half of a 5 x 5 lattice: 1, 2, 4, 5, 8; each wavevector has a cosine and a sine
    np.testing.assert_allclose(ds["wavenumber"], np.pi * np.sqrt([1, 2, 4, 5, 8]), rtol=SAME)
    assert ds["multiplicity"].values.tolist() == [4, 4, 4, 8, 4]


def test_bad_input():
    with pytest.raises(eg.InputError, match=r"target.kind: must be 'uniform'"):
        learning_times(Experiment())
    with pytest.raises(eg.InputError, match=r"generator.kernel.ratio: must be less than 1"):
        learning_times(box(**{"generator.kernel.ratio": 1.0}))
    with pytest.raises(eg.InputError, match=r"kernels: must name at least one"):
        learning_times(box(), {})
    with pytest.raises(eg.InputError, match=r"discriminator.kernel: must be stationary"):
        learning_times(box(), {"ReLU": {"kernel": "relu"}})


def test_undamped_modes_are_never_learned():
    ds = learning_times(box(**{"penalty.r1": 0.0, "penalty.weight_decay": 0.0}))
    assert np.all(np.isinf(ds["learning_time"])) and np.all(np.isfinite(ds["acting_time"]))


# -- what separates two modes -----------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(["gaussian", "matern", "laplace"]), ratio=st.floats(0.2, 5))
def test_content_integrates_to_the_difference_of_kernels(name, ratio):
    """Parseval: int K_k (1 - cos(k D/2))^2 dk/(2 pi) = (3/2) K(0) + K(D)/2 - 2 K(D/2)."""
    kernel, D = make_kernel(name, length_scale=ratio, smoothness=2.5), 1.0
    k = np.concatenate([np.linspace(0, 400, 800_001), np.geomspace(400, 1e9, 20_001)[1:]])
    content = separating_content(kernel, D, k)
    content[k > 400] = 1.5 * kernel.spectral_density(k[k > 400], 1)  # the mean of the oscillation
    integral = 2 * np.trapezoid(content, k) / (2 * np.pi)
    K = [float(kernel.derivatives(np.array([r**2]))[0][0]) for r in (0.0, D, D / 2)]
    assert integral == pytest.approx(1.5 * K[0] + K[1] / 2 - 2 * K[2], rel=2e-3)


def test_rough_kernels_separate_at_the_modes_scale_and_smooth_ones_at_their_own():
    """l >> Delta: nu < 2 gathers near 2 pi/Delta whatever l, nu > 2 at a few 1/l."""
    rough = [separating_wavenumber(make_kernel("laplace", length_scale=l), 1.0) for l in (20, 80)]
    assert rough[1] == pytest.approx(rough[0], rel=0.02) and 0.5 * np.pi < rough[0] < 2.5 * np.pi
    smooth = [separating_wavenumber(make_kernel("gaussian", length_scale=l), 1.0) for l in (20, 80)]
    assert smooth[0] / smooth[1] == pytest.approx(4, rel=0.02)
    # k^4 exp(-k^2 l^2/2): k l has the chi distribution of 5 degrees of freedom, of median 2.0856
    assert smooth[1] * 80 == pytest.approx(2.0856, rel=0.02)


# -- densities --------------------------------------------------------------------------------------------------------


def test_density_modes():
    """A displaced lattice: dq_k = -ik sum m u exp(-ikx) to first order, and the target has none."""
    exp = box(**{"update.rule": "simultaneous", "run.steps": 10, "run.runs": 2})
    runs = eg.simulate(exp)
    k = learning_times(exp)["wavenumber"].values[:, None]
    q = density_modes(runs, k)
    Y = exp.points.coordinates
    at_rest = runs.assign(particles=runs["particles"] * 0 + Y)
    assert np.abs(density_modes(at_rest, k)).max() < 1e-14
    u = runs["particles"].values - Y
    expected = np.einsum("rtn,nf->rtf", u[..., 0] / 13, -1j * k[:, 0] * np.exp(-1j * Y * k[:, 0]))
    assert np.abs(q - expected).max() <= (np.abs(u).max() * k.max()) ** 2


def test_simulated_densities_decay_at_the_predicted_rates():
    """Drawn experiments, one rate per kernel: within 5 % (they agree to 1e-4)."""
    rows = []
    for i in range(2):
        exp = script.draw_box(np.random.default_rng([77, i])).replace({"run.steps": 1500})
        rows += script.learning(exp, ("Gaussian", "Matern 1/2"), 1, np.random.default_rng(i))
    assert len(rows) == 4 and all(r["within"] for r in rows)


def test_critical_ratio_moves_with_the_spectrum():
    """Same K(0) and length scale: the rougher the kernel, the smaller the ratio; one of them in simulation."""
    ratios = [
        script.critical_ratio(script.discriminator(n, 0.6, False)) for n in ("Gaussian", "Matern 5/2", "Matern 3/2")
    ]
    assert ratios[0] > ratios[1] > ratios[2] > 0
    assert script.simulated_ratio(script.discriminator("ReLU", 0.8, False), rounds=2) == pytest.approx(
        script.critical_ratio(script.discriminator("ReLU", 0.8, False)), rel=0.1
    )


def test_relu_spectra_on_a_circle():
    """Slopes -(d + 3) with a trained readout, -(d + 1) of the tangent kernel; d = 1, 4000 units."""
    random, tangent = script.circle_spectrum("relu", 5, 4000)
    n = np.arange(20, 90)
    assert script.slope(n, random[n]) == pytest.approx(-4, abs=0.1)
    assert script.slope(n, tangent[n]) == pytest.approx(-2, abs=0.1)


@pytest.mark.slow
def test_study(tmp_path):
    ds = script.study(4, 3, lengths=[0.4, 0.8], simulated=[0.6], labels=("Matern 1/2", "ReLU"), modes=2)
    assert ds.attrs["agreeing_rates"] == 1.0
    assert ds.attrs["boundary_error"] < 0.05
    assert ds.attrs["split_within_3"] >= 0.5 * ds.attrs["split_used"]
    script.figure(ds).savefig(tmp_path / "figure.png", dpi=30)
    eg.save(ds, tmp_path / "study.nc")
