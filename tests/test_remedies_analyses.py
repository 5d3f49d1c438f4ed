"""The analyses of the remedies: each main claim on a smaller draw."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent.parent / "analyses"


def load(name, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_packing(monkeypatch):
    """Small kicks: no more than a rescaled kernel. A collapsed cloud: packing helps, more samples more."""
    script = load("remedies_packing", monkeypatch)
    ds = script.study(3, 2)
    effect = script.effect(ds).values
    assert np.abs(effect[:, 0]).max() < 1e-6
    assert effect[1, -1] < effect[0, -1] < -0.03
    assert script.figure(ds).axes


def test_running_average_of_a_neutral_oscillation(monkeypatch):
    script = load("remedies_play", monkeypatch)
    free = script.neutral(1)
    assert script.exponent(free) == pytest.approx(-1, abs=0.1)
    # the last iterate goes on
    assert free["last"].values[-500:].max() > 0.5 * free["last"].values[:500].max()


@pytest.mark.slow
def test_likelihood(monkeypatch):
    script = load("remedies_likelihood", monkeypatch)
    ds = script.study(4, 2)
    assert np.all(ds["share"] >= script.SHARE)


@pytest.mark.slow
def test_map_of_stability(monkeypatch):
    script = load("remedies_play", monkeypatch)
    ds = script.map_of_stability(2, 3)
    clear = np.abs(ds["rate"].values) > script.CLOSE
    assert np.array_equal((ds["rate"] > 0).values, ds["routh"].values > 0)
    assert np.array_equal((ds["simulated"].values > 0)[clear], (ds["routh"].values > 0)[clear])
