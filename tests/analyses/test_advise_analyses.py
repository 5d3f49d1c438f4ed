"""What the analyses of advised strengths claim, at a reduced size."""

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("sklearn")

from analyses import advise_r1, fixed_images


def test_distances_of_images():
    """Energy distance and matched displacement of a cloud that is moved, permuted, collapsed, lost."""
    y = np.random.default_rng(0).standard_normal((8, 64))
    shift = np.full(64, 0.01)
    assert fixed_images.displacement(y[::-1] + shift, y) == pytest.approx(np.linalg.norm(shift))
    assert fixed_images.energy_distance(y[::-1], y) == pytest.approx(0, abs=1e-12)
    # two points: 2 (|s| + L) / 2 - 2 L / 2 with L their distance, to first order in the shift
    two, s = y[:2], 1e-6
    axis = np.linalg.svd(two - two.mean(0))[2][-1]  # across the line between them: L changes in second order
    assert fixed_images.energy_distance(two + s * axis, two) == pytest.approx(s, rel=1e-4)
    assert np.isnan(fixed_images.energy_distance(y * np.nan, y)) and np.isnan(fixed_images.displacement(y * np.nan, y))


@pytest.mark.slow
def test_whole_kernels_of_two_numbers_are_the_advice(monkeypatch):
    """A generator kernel that is its two numbers: J on (w, x) with Theta and kappa against the library's own."""
    D, G, z = fixed_images.start(0)
    y, steps, strengths = fixed_images.images(0), 50, np.array([0.0, 1.0, 10.0])
    _, g1, g2, share = fixed_images.generator_kernel(G, z)
    assert 0 < share < 1 and 0 < g2 < g1
    two = np.kron((g1 - g2) * np.eye(8) + g2, np.eye(64))
    monkeypatch.setattr(fixed_images, "generator_kernel", lambda G, z: (two, g1, g2, 1.0))
    found = fixed_images.left_with_whole_kernel(D, G, z, y, steps, strengths)
    from egan_theory.advice.practice import on, practice
    from egan_theory.features.networks.tangent import TangentFeatures
    from egan_theory.features.rows import RowFeatures
    from egan_theory.predict.left import left_over

    Y = y.reshape(8, 64).astype(float)
    seen, exact = TangentFeatures(lambda p, x: fixed_images.one_image(p, x.reshape(8, 8)), D).seen_rows(Y)
    training = {
        "loss": {"kind": "non_saturating"},
        "discriminator": {"learning_rate": fixed_images.RATE},
        "generator": {"learning_rate": fixed_images.RATE, "kernel": {"diagonal": g1, "ratio": g2 / g1}},
        "update": {"rule": "alternating"},
    }
    exp = on(practice(training), Y, RowFeatures(seen, 8, exact))
    expected = [left_over(exp.replace({"penalty.r1": float(s)}), steps).total for s in strengths]
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_fixed_images(tmp_path):
    """Reproducible, and says itself whether theory reaches that far and why not."""
    ds = fixed_images.study(3, 1, steps=24, whole=False)
    y = fixed_images.images(3)
    again = fixed_images.trained(3000, y, fixed_images.STRENGTHS[4], 24)[0][-1]
    assert ds["energy"].shape == (1, 11, 13)
    assert float(ds["energy"][0, 4, -1]) == fixed_images.energy_distance(again, y.reshape(8, -1).astype(float))
    assert np.allclose(ds["strength"][0, -2:], ds["advised"][0])
    text = fixed_images.verdict(ds)
    reached = bool((ds["excess"] <= fixed_images.ALLOWED).all())
    assert text.startswith("The advice is within" if reached else "Theory does not reach that far")
    fixed_images.figure(ds).savefig(tmp_path / "figure.png", dpi=30)


@pytest.mark.slow
def test_advise_r1(tmp_path):
    """The advised strength leaves at most 1.05 times the least of the sweep, simulated."""
    ds = advise_r1.study(2, 1)
    assert float(ds["excess"][0]) <= advise_r1.ALLOWED < float(ds["left"][0, 2] / ds["least"][0])
    advise_r1.figure(ds).savefig(tmp_path / "figure.png", dpi=30)
