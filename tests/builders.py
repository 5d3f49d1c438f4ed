"""Experiments that many tests share: small, with generic numbers."""

import os

import numpy as np
import pytest

from analyses.script import PUBLISHED
from egan_theory.experiment import Experiment
from egan_theory.experiment.targets import PointSet

#: an experiment as users write it, quick to simulate
RING = """
[target]
kind = "ring"
modes = 3
[generator]
particles = 6
learning_rate = 0.05
[discriminator]
features = 16
learning_rate = 0.2
[penalty]
r1 = 0.5
[run]
steps = 200
runs = 2
record_every = 5
"""

#: for tests of what others have measured
needs_published = pytest.mark.skipif(not (PUBLISHED / "raw").is_dir(), reason="no published data on this machine")

#: for tests of signals, limits and special files that other systems do not have
posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")


def small(target, *, particles=4, generator=None, discriminator=None, loss="wasserstein", penalty=None, update=None,
          **tables):  # fmt: skip
    """A small experiment with generic numbers; keyword tables as in the TOML form."""
    penalty = dict(penalty or {})
    if loss == "sobolev":
        penalty.setdefault("multiplier", 0.3)
    return Experiment(
        target=target,
        generator={"particles": particles, "learning_rate": 0.07, **(generator or {})},
        discriminator={"features": 8, "length_scale": 0.9, "learning_rate": 0.3, **(discriminator or {})},
        loss={"kind": loss},
        penalty=penalty,
        update=update or {},
        **tables,
    )


def with_network(width=6, depth=1, activation="tanh", **tables):
    """A ring of three points and six particles with a discriminator network."""
    arch = {"width": width, "depth": depth, "activation": activation, "coefficients": (0.1, 1.0, 0.3)}
    tables = {
        "target": {"kind": "ring", "modes": 3},
        "generator": {"particles": 6, "kernel": {"ratio": 0.2}, "learning_rate": 0.05},
        "discriminator": {"architecture": arch, "length_scale": 0.8, "learning_rate": 0.2},
        "penalty": {"r1": 0.3},
        "run": {"steps": 40, "record_every": 4, "runs": 2},
    } | tables
    return Experiment(**tables)


def points_file(path, Y):
    """A target of the points Y (M, d), stored under that name."""
    np.save(path, Y)
    return PointSet(path=str(path))
