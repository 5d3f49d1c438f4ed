"""Experiments of the report's tests, and stages that cost next to nothing."""

from functools import partial

import numpy as np
import pytest
import xarray as xr
from markupsafe import escape

import egan_theory as eg
from egan_theory.comparison.agreement import Agreement, Quantity
from egan_theory.show import collapse, drawings, stages
from egan_theory.show.picture import Picture


def experiment(target, particles, **parts):
    parts = {"discriminator": eg.Discriminator(features=32), "run": eg.Run(steps=200, runs=3)} | parts
    return eg.Experiment(target=target, generator=eg.Generator(particles=particles), **parts)


RING = experiment(eg.Ring(modes=4), 8)
UNIFORM = experiment(eg.Uniform(side=7), 7, discriminator=eg.Discriminator(features=0, length_scale=0.1))
LINE = experiment(eg.Grid(side=3, dimension=1), 3, update=eg.Update(rule="flow"))
CUBE = experiment(eg.Grid(side=2, dimension=3), 8)
WILD = RING.replace({"penalty.r1": 60.0})
EXPERIMENTS = {"ring": RING, "uniform": UNIFORM, "line": LINE, "cube": CUBE, "wild": WILD}


def once(stage, exp, *args, cache={}, **kwargs):  # noqa: B006
    """The stage's result, kept over all tests."""
    key = (stage.__name__, exp.to_toml())
    if key not in cache:
        cache[key] = stage(exp, *args, **kwargs)
    return cache[key]


def fake_agreement(spectrum):
    """The two slowest oscillating modes; only the real part of the second is far from its prediction."""
    rows = np.flatnonzero(spectrum["eigenvalue_im"].values > 0)[:2]
    out = []
    for k, i in enumerate(rows, 1):
        re, im = (float(spectrum[f"eigenvalue_{part}"].values[i]) for part in ("re", "im"))
        size, error = abs(complex(re, im)), 0.01 * abs(complex(re, im))
        out.append(Quantity(f"s{k}.re", re, re + (k == 2) * 7.7 * error, error, size, "1/step"))
        out.append(Quantity(f"s{k}.im", im, im + error, 2 * error, size, "1/step", "a <note>"))
    return Agreement(tuple(out), ({"name": "rate", "reason": "too short"},), "fits of <fakes>", ("small kicks",))


def fake_sweep(exp, penalty, strengths, horizon=None, progress=None, **_):
    """What is left 2 % off; the last strength diverged."""
    predicted = np.array([eg.left_over(exp.replace({f"penalty.{penalty}": s}), horizon) for s in strengths])
    moving = 1.02 * predicted[:, 1]
    moving[-1] = np.nan
    unit = {"units": "1"}
    return xr.Dataset(
        {
            "moving": ("strength", moving, unit),
            "moving_stderr": ("strength", np.abs(0.05 * moving), unit),
            "left": ("strength", 1.02 * predicted[:, 0], unit),
            "predicted_moving": ("strength", predicted[:, 1], unit),
            "predicted_left": ("strength", predicted[:, 0], unit),
        },
        coords={"strength": strengths},
        attrs={"directions": 3, "horizon": horizon},
    )


def fake_picture(name, alt, caption, draw, *, slider=None):
    """A picture of nothing."""
    return Picture(name, alt, caption, f"<svg><desc>{escape(alt)}</desc></svg>", (), (1.0, 1.0), frozenset())


def quick_branch(exp, tick=None):
    return eg.branch(exp, "generator.kernel.ratio", collapsed=0)


def quick_map(exp, penalty, best, followed, progress):
    return collapse.map_of(exp, penalty, best, False, progress)


def quick_reached(exp):
    return eg.reached(exp, draws=2)


@pytest.fixture
def fakes(monkeypatch):
    """compare and the sweep without simulations of their own, the other stages coarse, once per experiment."""
    for name in ("spectrum", "frequency", "best_regularizer", "simulate", "boundaries"):
        monkeypatch.setattr(stages, name, partial(once, getattr(stages, name)))
    monkeypatch.setattr(collapse, "CELLS", 6)
    monkeypatch.setattr(collapse, "STARTS", 0.0)  # no starts are followed over the ratio
    for name, stage in (("diagram", quick_branch), ("map_of", quick_map), ("reached", quick_reached)):
        monkeypatch.setattr(stages, name, partial(once, stage))
    monkeypatch.setattr(stages, "compare", lambda exp, runs: fake_agreement(eg.spectrum(exp)))
    monkeypatch.setattr(stages, "sweep_left", fake_sweep)
    monkeypatch.setattr(drawings, "picture", fake_picture)
