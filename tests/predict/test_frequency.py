"""Learning times of frequencies: against roots, against densities in simulations, and what separates two modes."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import egan_theory as eg
from analyses import frequency_principle as script
from egan_theory.experiment import Experiment
from egan_theory.kernels import make_kernel
from egan_theory.linear.seen import seen
from egan_theory.predict import learning
from egan_theory.predict.frequency import (
    SPECTRA,
    density_modes,
    learning_times,
    separating_content,
    separating_wavenumber,
    times,
    with_kernel,
)
from egan_theory.predict.threshold import Threshold, Thresholds
from egan_theory.predict.waves import sample_waves, separating_wave, separation, wavenumbers, waves
from egan_theory.problem.problem import Problem
from egan_theory.show import captions
from egan_theory.show.frequency import frequency_text, on_frequency
from tests.analyses.drawing import labelled

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
    with pytest.raises(eg.InputError, match=r"discriminator.kernel: must be stationary, to have a spectrum"):
        learning_times(Experiment(discriminator={"kernel": "relu"}))
    with pytest.raises(eg.InputError, match=r"discriminator.kernel: must be stationary.* found 'network'"):
        eg.frequency(Experiment(discriminator={"architecture": {"depth": 1}}))
    with pytest.raises(eg.InputError, match=r"target: must have at least two modes"):
        eg.frequency(Experiment(target={"kind": "ring", "modes": 1}))
    with pytest.raises(eg.InputError, match=r"packing.degree: must be 1 for learning times"):
        eg.frequency(Experiment(packing={"degree": 2}))
    with pytest.raises(eg.InputError, match=r"k: must be whole waves around the ring"):
        sample_waves(Problem(Experiment()), np.array([1.5]))
    with pytest.raises(eg.InputError, match=r"generator.kernel.ratio: must be less than 1"):
        learning_times(box(**{"generator.kernel.ratio": 1.0}))
    with pytest.raises(eg.InputError, match=r"kernels: must name at least one"):
        learning_times(box(), {})
    with pytest.raises(eg.InputError, match=r"discriminator.kernel: must be stationary"):
        learning_times(box(), {"ReLU": {"kernel": "relu"}})


def test_undamped_modes_are_never_learned():
    ds = learning_times(box(**{"penalty.r1": 0.0, "penalty.weight_decay": 0.0}))
    assert np.all(np.isinf(ds["learning_time"])) and np.all(np.isfinite(ds["acting_time"]))


# -- any target -------------------------------------------------------------------------------------------------------

#: rings of many points whose kernel is short against the radius and long against their spacing: kernel, length scale
FINE = [
    ("gaussian", {}, 0.2),
    ("gaussian", {}, 0.3),
    ("matern", {"smoothness": 2.5}, 0.3),
    ("rational_quadratic", {}, 0.3),
]


def fine_ring(kernel, fields, length, **changes):
    exp = Experiment(
        target={"kind": "ring", "modes": 64, "radius": 1.5},
        generator={"particles": 64, "kernel": {"ratio": 0.1}},
        discriminator={"kernel": kernel, "length_scale": 1.5 * length, "features": 0, **fields},
        penalty={"r1": 0.3, "weight_decay": 0.01},
        update={"rule": "flow"},
    )
    return exp.replace(changes)


@pytest.mark.parametrize(("kernel", "fields", "length"), FINE)
def test_a_rings_density_gives_the_modes_of_its_points(kernel, fields, length):
    """The local approximation against the eigenvectors of S H of 64 points projected on whole waves along the ring:
    decay rates of k up to 1.3/length_scale within 6 %, most of each wave being one mode."""
    exp = fine_ring(kernel, fields, length)
    B, R, M = seen(Problem(exp)).mean, 1.5, 64
    stiffness, vectors = np.linalg.eigh(0.9 / M * B @ B.T)
    angle = 2 * np.pi * np.arange(M) / M
    along = np.stack([-np.sin(angle), np.cos(angle)], axis=-1)
    m = np.arange(1, int(1.3 / length) + 1)
    predicted = times(waves(Problem(exp), m / R))["decay_rate"]
    for n, rate in zip(m, predicted, strict=True):
        wave = np.stack([(f(n * angle)[:, None] * along).ravel() for f in (np.cos, np.sin)]) / np.sqrt(M / 2)
        overlap = ((wave @ vectors) ** 2).sum(0)
        assert overlap.max() > 0.7
        mu2 = float(stiffness @ overlap / overlap.sum())
        # s^2 + a s + w^2 = 0 by hand; one particle on each of M points: R1 is E_p, and p = 1/M
        a, w2 = 0.1 * (0.01 + 0.3 * mu2 / 0.9), 0.1 * 0.01 * mu2
        slow = a / 2 if a**2 < 4 * w2 else (a - np.sqrt(a**2 - 4 * w2)) / 2
        assert rate == pytest.approx(slow, rel=0.06), (n, rate / slow)


@pytest.mark.parametrize("target", [
    {"kind": "uniform", "side": 15, "length": 2.0},
    {"kind": "uniform", "side": 5, "length": 2.0, "dimension": 2},
])  # fmt: skip
@pytest.mark.parametrize("loss", ["wasserstein", "logistic"])
def test_waves_of_points_on_the_box_are_its_modes(target, loss):
    """Projected on waves, a lattice's finite sample gives the closed form of the box, damping by values included."""
    exp = box(**{"loss.kind": loss, "penalty.r2": 0.1}).replace({f"target.{n}": v for n, v in target.items()})
    exp = exp.replace({"generator.particles": len(exp.points.weights)})
    axes = 2 * np.pi / 2.0 * np.arange(1, target["side"] // 2 + 1)  # along the axes of the lattice
    exact = learning_times(exp)
    found = times(sample_waves(Problem(exp), axes))
    for name in ("decay_rate", "acting_time"):
        there = exact[name].sel(wavenumber=axes, method="nearest", tolerance=1e-9).values[0]
        np.testing.assert_allclose(found[name], there, rtol=1e-8)


def test_waves_of_points_are_those_of_the_line_that_they_are_on():
    """The same points, as a grid and by themselves; and the density of a grid against them, up to its ends."""
    line = Experiment(target={"kind": "grid", "side": 24, "dimension": 1, "spacing": 0.1}, penalty={"r1": 0.3},
                      discriminator={"features": 0, "length_scale": 0.2}, update={"rule": "flow"})  # fmt: skip
    as_points = line.replace({"run.seed": 1}).model_copy(
        update={"target": eg.PointSet(values=[tuple(y) for y in line.points.coordinates])}
    )
    k = np.array([3.0, 6.0])
    np.testing.assert_allclose(
        times(sample_waves(Problem(as_points), k))["decay_rate"],
        times(sample_waves(Problem(line), k))["decay_rate"], rtol=1e-9,
    )  # fmt: skip
    # two length scales of twelve are the ends', where points have neighbours on one side
    np.testing.assert_allclose(
        times(waves(Problem(line), k))["decay_rate"], times(sample_waves(Problem(line), k))["decay_rate"], rtol=2 / 12
    )
    found = eg.frequency(as_points, {})
    assert found.way == "sample" and not found.sample.wavenumber and found.distance == pytest.approx(0.1)
    assert "target's own points" in found.assumptions[0]


@pytest.mark.parametrize("kernel", ["gaussian", "matern"])
@pytest.mark.parametrize("rule", ["flow", "alternating"])
def test_the_wave_that_moves_neighbours_against_each_other_is_a_mode_of_the_ring(kernel, rule):
    """Every other point of a ring forwards, the others backwards, is a mode by symmetry, and in the spectrum."""
    exp = Experiment(
        generator={"kernel": {"ratio": 0.3}}, discriminator={"kernel": kernel, "features": 0},
        penalty={"weight_decay": 0.05, "r1": 0.0}, update={"rule": rule},
    )  # fmt: skip
    found = times(separating_wave(Problem(exp)))
    spectrum = eg.spectrum(exp)
    s = spectrum["eigenvalue_re"].values + 1j * np.abs(spectrum["eigenvalue_im"].values)
    assert np.abs(s - (-found["decay_rate"][0] + 1j * found["frequency"][0])).min() < 1e-9 * np.abs(s).max()
    assert found["frequency"][0] > 0 and eg.frequency(exp, {}).own.separating_time == 1 / found["decay_rate"][0]


def test_what_separates_neighbours():
    exp = Experiment(target={"kind": "ring", "modes": 6, "radius": 2.0})
    assert separation(Problem(exp)) == pytest.approx(2.0)  # a hexagon
    k = wavenumbers(Problem(exp))
    assert k[0] == pytest.approx(0.5) and k[-1] == pytest.approx(4 * np.pi / 2) and np.any(np.isclose(k, np.pi / 2))
    means = [[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]]
    mixture = Experiment(target={"kind": "mixture", "means": means, "std": 0.0, "samples": 60})
    assert separation(Problem(mixture)) == pytest.approx(1.0)  # pairs (0, 1) and (1, 2): the lower median


# -- the command's result ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found():
    exp = Experiment(penalty={"r1": 0.1}, generator={"kernel": {"ratio": 0.1}})
    return exp, eg.frequency(exp)


def test_frequency_has_the_curves_of_learning_times_and_the_mechanisms_boundaries(found):
    exp, f = found
    curves = learning_times(exp, SPECTRA)
    assert [row.kernel for row in f.kernels] == list(SPECTRA) and [row.own for row in f.kernels] == [True] + 4 * [False]
    ds = f.to_dataset()
    np.testing.assert_array_equal(ds["learning_time"], curves["learning_time"])
    np.testing.assert_array_equal(ds["acting_time"], curves["acting_time"])
    np.testing.assert_allclose(ds["wavenumber"], curves["wavenumber"])
    for row, fields in zip(f.kernels, SPECTRA.values(), strict=True):
        member = with_kernel(exp, fields)
        assert row.split_time == eg.splitting(member).time
        assert row.unstable.values == eg.collective_instability(member).values
        assert row.unstable.at_zero == (
            eg.collective_instability(member.replace({"generator.kernel.ratio": 0.0})).margin > 0
        )
        learnt = curves["wavenumber"].values[curves["learning_time"].sel(kernel=row.kernel).values <= exp.run.steps]
        assert (row.learnt_from, row.learnt_to) == (learnt.min(), learnt.max())
        at = times(sample_waves(Problem(member), np.array([4.0])))["learning_time"][0]  # four waves round eight points
        assert row.separating_time == at and row.learnt == (at <= exp.run.steps)
    assert f.own.learnt and f.separating_wavenumber == pytest.approx(np.pi / f.distance)
    short = eg.frequency(exp.replace({"run.steps": 60, "run.record_every": 1}), {})
    assert not short.own.learnt and not short.own.told_apart and short.own.learnt_from is None


def test_frequency_in_json_and_words(found):
    exp, f = found
    data = f.to_dict()
    assert {"wavenumber", "separating_wavenumber", "kernels", "assumptions", "method", "steps", "unit"} <= set(data)
    assert {"learning_time", "separating_time", "learnt", "split_time", "unstable"} <= set(data["kernels"][0])
    text = " ".join(str(line) for line in frequency_text(f)[1:])
    assert (
        f"k = pi/Delta = {f.separating_wavenumber:.4g}" in text and "within the run" in text and "collapse" not in text
    )
    assert f"above {f.own.unstable.value:.4g}" in text and "Matern 1/2" in text
    assert "60 steps" in on_frequency(eg.frequency(exp.replace({"run.steps": 60, "run.record_every": 1}), {}))[0]
    assert "bold" in captions.frequency(f).caption
    undamped = eg.frequency(exp.replace({"penalty.r1": 0.0}), {})
    assert undamped.own.separating_time == np.inf and undamped.to_dict()["kernels"][0]["separating_time"] is None
    assert "never learnt" in on_frequency(undamped)[1]
    assert "<table>" in f._repr_html_()


def test_kernels_that_the_experiment_refuses_say_why():
    """A rational quadratic of alpha = 1 has no K_0 in two dimensions; the others stay."""
    exp = box(**{"target.dimension": 2, "target.side": 5, "generator.particles": 25})
    f = eg.frequency(exp)
    rows = {row.kernel: row for row in f.kernels}
    assert "alpha" in rows["rational quadratic"].note and np.isnan(rows["rational quadratic"].learning_time).all()
    assert np.isfinite(rows["Matern 1/2"].learning_time).all() and not rows["Matern 1/2"].note
    assert f.distance is None and "separating_wavenumber" not in f.to_dataset().attrs


def test_reference_kernels_have_the_same_size_and_scale():
    """A kernel object's own K(0), and the length over which it falls; exact ones without a force become features."""
    own = eg.kernel_from_profile(lambda u: 3 / (1 + u) ** 2)
    exp = Experiment(discriminator={"kernel": own, "features": 0})
    gaussian = with_kernel(exp, SPECTRA["Gaussian"]).discriminator
    assert gaussian.variance == pytest.approx(3) and gaussian.length_scale == pytest.approx(0.5)  # -2 k'(0) = 12
    assert with_kernel(exp, {}) == exp and with_kernel(exp, SPECTRA["Matern 3/2"]).discriminator.features == 0
    assert with_kernel(exp, SPECTRA["Matern 1/2"]).discriminator.features == 256
    f = eg.frequency(exp, {"Matern 1/2": SPECTRA["Matern 1/2"]})
    assert [row.own for row in f.kernels] == [True, False] and "random features" in f.kernels[1].note


@pytest.mark.parametrize(
    ("values", "sides", "margin", "reason", "words"),
    [((0.16,), ("above",), -0.1, "", "above 0.16"), ((), (), 0.1, "", "at every ratio"),
     ((), (), -0.1, "", "at no ratio"), ((), (), np.nan, "it escapes", "not known")],
)  # fmt: skip
def test_where_the_collapsed_state_attracts_if_asked(monkeypatch, values, sides, margin, reason, words):
    """As ``egan threshold`` finds it; its simulations are tested there."""
    asked, seen = [], []

    def thresholds(exp, vary, mechanisms):
        asked.append((vary, mechanisms))
        row = Threshold("collapsed state", values, sides, (0.0, 1.0), "simulated", (), margin, reason=reason)
        return Thresholds(vary, 0.05, (row,), {})

    monkeypatch.setattr(learning, "thresholds", thresholds)
    exp = Experiment(penalty={"r1": 0.0, "weight_decay": 0.05})
    f = eg.frequency(exp, {}, collapsed=True, progress=lambda *args: seen.append(args))
    assert asked == [("generator.kernel.ratio", ["collapsed state"])] and seen[-1][:2] == (2, 2)
    assert f.own.collapsed.words == words and f.own.collapsed.values == values
    assert f.to_dataset()["collapsed_ratio"].values == pytest.approx([values[0] if values else np.nan], nan_ok=True)
    assert (reason or words) in on_frequency(f)[-1]
    assert eg.frequency(exp, {}).own.collapsed is None


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
    ratios = script.critical_ratios(0.6, script.discriminators(0.6, False, ("Gaussian", "Matern 5/2", "Matern 3/2")))
    assert ratios["Gaussian"] > ratios["Matern 5/2"] > ratios["Matern 3/2"] > 0
    relu = script.discriminators(0.8, False, ("ReLU",))
    ring = with_kernel(script.RING.replace({"discriminator.length_scale": 0.8}), relu["ReLU"])
    assert script.simulated_ratio(ring, rounds=2) == pytest.approx(script.critical_ratios(0.8, relu)["ReLU"], rel=0.1)


def test_relu_spectra_on_a_circle():
    """Slopes -(d + 3) with a trained readout, -(d + 1) of the tangent kernel; d = 1, 4000 units."""
    random, tangent = script.circle_spectrum("relu", 5, 4000)
    n = np.arange(20, 90)
    assert script.slope(n, random[n]) == pytest.approx(-4, abs=0.1)
    assert script.slope(n, tangent[n]) == pytest.approx(-2, abs=0.1)


@pytest.mark.slow
def test_study(tmp_path, monkeypatch):
    small = {"lengths": [0.4, 0.8], "simulated": [0.6], "labels": ("Matern 1/2", "ReLU"), "modes": 2,
             "width": 1000}  # fmt: skip
    monkeypatch.setattr(script, "study", partial(script.study, **small))
    ds = labelled(script, "--seed 4 --draws 3", tmp_path)
    assert ds.attrs["agreeing_rates"] == 1.0
    assert ds.attrs["boundary_error"] < 0.05
    assert ds.attrs["split_within_3"] >= 0.5 * ds.attrs["split_used"]
    script.figure(ds).savefig(tmp_path / "figure.png", dpi=30)
    eg.save(ds, tmp_path / "study.nc")
