"""What the analyses of advised strengths claim, at a reduced size."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("sklearn")

FOLDER = Path(__file__).parents[2] / "analyses"


@pytest.fixture
def load(monkeypatch):
    """A script as a module; its own change of the path is undone."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])

    def of(name):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return of


def test_distances_of_images(load):
    """Energy distance and matched displacement of a cloud that is moved, permuted, collapsed, lost."""
    script = load("fixed_images")
    y = np.random.default_rng(0).standard_normal((8, 64))
    shift = np.full(64, 0.01)
    assert script.displacement(y[::-1] + shift, y) == pytest.approx(np.linalg.norm(shift))
    assert script.energy_distance(y[::-1], y) == pytest.approx(0, abs=1e-12)
    # two points: 2 (|s| + L) / 2 - 2 L / 2 with L their distance, to first order in the shift
    two, s = y[:2], 1e-6
    axis = np.linalg.svd(two - two.mean(0))[2][-1]  # across the line between them: L changes in second order
    assert script.energy_distance(two + s * axis, two) == pytest.approx(s, rel=1e-4)
    assert np.isnan(script.energy_distance(y * np.nan, y)) and np.isnan(script.displacement(y * np.nan, y))


@pytest.mark.slow
def test_whole_kernels_of_two_numbers_are_the_advice(load):
    """A generator kernel that is its two numbers: J on (w, x) with Theta and kappa against the library's own."""
    script = load("fixed_images")
    D, G, z = script.start(0)
    y, steps, strengths = script.images(0), 50, np.array([0.0, 1.0, 10.0])
    _, g1, g2, share = script.generator_kernel(G, z)
    assert 0 < share < 1 and 0 < g2 < g1
    two = np.kron((g1 - g2) * np.eye(8) + g2, np.eye(64))
    script.generator_kernel = lambda G, z: (two, g1, g2, 1.0)
    found = script.left_with_whole_kernel(D, G, z, y, steps, strengths)
    from egan_theory.advice.practice import on, practice
    from egan_theory.features.networks.tangent import TangentFeatures
    from egan_theory.features.rows import RowFeatures
    from egan_theory.predict.left import left_over

    Y = y.reshape(8, 64).astype(float)
    seen, exact = TangentFeatures(lambda p, x: script.one_image(p, x.reshape(8, 8)), D).seen_rows(Y)
    training = {
        "loss": {"kind": "non_saturating"},
        "discriminator": {"learning_rate": script.RATE},
        "generator": {"learning_rate": script.RATE, "kernel": {"diagonal": g1, "ratio": g2 / g1}},
        "update": {"rule": "alternating"},
    }
    exp = on(practice(training), Y, RowFeatures(seen, 8, exact))
    expected = [left_over(exp.replace({"penalty.r1": float(s)}), steps).total for s in strengths]
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_fixed_images(load, tmp_path):
    """Reproducible, and says itself whether theory reaches that far and why not."""
    script = load("fixed_images")
    ds = script.study(3, 1, steps=24, whole=False)
    y = script.images(3)
    again = script.trained(3000, y, script.STRENGTHS[4], 24)[0][-1]
    assert ds["energy"].shape == (1, 11, 13)
    assert float(ds["energy"][0, 4, -1]) == script.energy_distance(again, y.reshape(8, -1).astype(float))
    assert np.allclose(ds["strength"][0, -2:], ds["advised"][0])
    text = script.verdict(ds)
    reached = bool((ds["excess"] <= script.ALLOWED).all())
    assert text.startswith("The advice is within" if reached else "Theory does not reach that far")
    script.figure(ds).savefig(tmp_path / "figure.png", dpi=30)


@pytest.mark.slow
def test_advise_r1(load, tmp_path):
    """The advised strength leaves at most 1.05 times the least of the sweep, simulated."""
    script = load("advise_r1")
    ds = script.study(2, 1)
    assert float(ds["excess"][0]) <= script.ALLOWED < float(ds["left"][0, 2] / ds["least"][0])
    script.figure(ds).savefig(tmp_path / "figure.png", dpi=30)
