"""Random experiments to test claims on: drawn over targets, kernels, losses, penalties and update rules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from egan_theory.base.errors import InputError
from egan_theory.experiment import Experiment
from egan_theory.kernels import KERNELS as ENTRIES
from egan_theory.linear import eigenvalues, linearize
from egan_theory.linear.resolved import resolved_rule
from egan_theory.tables.losses import LOSSES, single_losses
from egan_theory.tables.penalties import PENALTIES
from egan_theory.tables.updates import RULES

#: stationary ones: drawn in this order, and then those that the package has besides
KERNELS = ("gaussian", "matern", "rational_quadratic", "laplace")
KERNELS = (*KERNELS, *(name for name, k in ENTRIES.items() if k.kind == "stationary" and name not in KERNELS))
UPDATES = (
    {"rule": "simultaneous"},
    {"rule": "alternating"},
    {"rule": "alternating", "critic_steps": 3},
    {"rule": "simultaneous", "momentum_discriminator": 0.5},
    {"rule": "simultaneous", "momentum_generator": 0.3},
    {"rule": "extragradient"},
    {"rule": "optimistic"},
    {"rule": "flow", "substeps": 2},
)
UPDATES = (
    *UPDATES,
    *(
        {"rule": name, **example}
        for name, rule in RULES.items()
        if not (rule.responds or rule.networks or any(u["rule"] == name for u in UPDATES))
        for example in ({}, *rule.examples)
    ),
)
#: of the penalties: the probability, and the smallest and largest strength (functional ones have those of R2)
STRENGTHS = {
    "r1": (0.6, 0.1, 2.0), "r2": (0.3, 0.1, 2.0), "weight_decay": (0.5, 0.01, 0.2), "consensus": (0.2, 0.05, 1.0),
}  # fmt: skip
STRENGTHS |= {key: STRENGTHS["r2"] for key, p in PENALTIES.items() if p.terms and key not in ("multiplier", *STRENGTHS)}

#: the least of an experiment, as users write it: spoilt where bad input is studied
SMALL = """
[target]
kind = "ring"
modes = 2
[generator]
particles = 4
[discriminator]
features = 8
[run]
steps = 8
runs = 2
record_every = 1
"""


def draw_target(rng: np.random.Generator) -> tuple[dict, int]:
    """A target table and its number of points: ring, grid, mixture (random points) or periodic box, d = 1 to 3."""
    kind = rng.choice(["ring", "grid", "mixture", "uniform"])
    if kind == "ring":
        modes = int(rng.integers(3, 10))
        return {"kind": "ring", "modes": modes, "radius": float(rng.uniform(0.8, 2.0))}, modes
    if kind == "grid":
        dimension = int(rng.integers(1, 4))
        side = {1: int(rng.integers(3, 8)), 2: 3, 3: 2}[dimension]
        return {"kind": "grid", "side": side, "dimension": dimension, "spacing": float(rng.uniform(0.7, 1.3))}, (
            side**dimension
        )
    if kind == "mixture":
        dimension, samples = int(rng.integers(1, 4)), int(rng.integers(4, 10))
        means = (2 * rng.standard_normal((samples, dimension))).tolist()
        return {
            "kind": "mixture", "means": means, "std": 0.3, "samples": samples, "seed": int(rng.integers(1 << 30)),
        }, samples  # fmt: skip
    side = 2 * int(rng.integers(3, 8)) + 1
    return {"kind": "uniform", "side": side, "length": float(rng.uniform(1.0, 4.0)), "dimension": 1}, side


#: experiments that grow by more than this per step leave the linear regime before anything can be measured
MAX_GROWTH = 0.1
#: flows stiffer than this many Runge-Kutta substeps per unit of time take too long to simulate
MAX_SUBSTEPS = 12


def draw_experiment(rng: np.random.Generator, *, runs: int = 8) -> Experiment:
    """One experiment: any target, kernel, loss, mix of penalties and update rule, phi in [0, 0.4].

    Draws that explode (growth above MAX_GROWTH a step) and stiff flows are drawn again; mild instability is kept.
    """
    while True:
        exp = _draw(rng, runs)
        values = eigenvalues(linearize(exp))
        explodes = values.rates[np.isfinite(values.rates)].min(initial=0.0) < -MAX_GROWTH
        if not explodes and _substeps(exp) <= MAX_SUBSTEPS:
            return exp


def _substeps(exp: Experiment) -> float:
    """Substeps that resolve the fastest mode; infinite where the package refuses so many."""
    try:
        return resolved_rule(exp).substeps
    except InputError:
        return np.inf


def _draw(rng: np.random.Generator, runs: int) -> Experiment:
    target, points = draw_target(rng)
    kernel = str(rng.choice(KERNELS))
    box = target["kind"] == "uniform"
    exact = box or (ENTRIES[kernel]().differentiable and rng.random() < 0.4)
    length = float(rng.uniform(0.15, 0.35)) * target["length"] if box else float(rng.uniform(0.4, 1.0))
    loss = str(rng.choice(single_losses()))
    penalty: dict[str, float] = {}
    for key, (probability, low, high) in STRENGTHS.items():
        if rng.random() < probability:
            penalty[key] = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if LOSSES[loss].needs_multiplier or rng.random() < 0.15:
        penalty["multiplier"], penalty["alpha"] = float(rng.uniform(0.1, 1.0)), float(rng.uniform(0, 0.5))
    if rng.random() < 0.15 and not exact:
        penalty["instance_noise"] = 0.1 * length
    if not penalty:
        penalty["r1"] = 0.5
    return Experiment(
        target=target,
        generator={
            "particles": points * (1 if box else int(rng.integers(1, 3))),
            "learning_rate": float(np.exp(rng.uniform(np.log(0.003), np.log(0.03)))),
            "kernel": {"ratio": float(rng.choice([0.0, rng.uniform(0.0, 0.4)]))},
        },
        discriminator={
            "kernel": kernel,
            "length_scale": length,
            "smoothness": float(rng.choice([1.5, 2.5, 2.2])),
            "alpha": float(rng.uniform(1.0, 3.0)),
            "features": 0 if exact else 2 * int(rng.integers(20, 100)),
            "learning_rate": float(np.exp(rng.uniform(np.log(0.03), np.log(0.3)))),
            "seed": int(rng.integers(1 << 30)),
        },
        loss={"kind": loss},
        penalty=penalty,
        update=dict(rng.choice(np.array(UPDATES, dtype=object))),
        run={"runs": runs, "seed": int(rng.integers(1 << 30)), "kick": 1e-5 * length},
    )


def draw_players(rng: np.random.Generator, points: int, length: float, kernel: str | Sequence[str]) -> dict[str, dict]:
    """Fields of a generator of one to three particles per point and of a discriminator with random features; kernel:
    its name, or names to draw from."""
    return {
        "generator": {"particles": points * int(rng.integers(1, 4)), "learning_rate": 0.01},
        "discriminator": {
            "kernel": kernel if isinstance(kernel, str) else str(rng.choice(kernel)),
            "length_scale": length,
            "smoothness": float(rng.choice([1.5, 2.5, 2.2])),
            "alpha": float(rng.uniform(1.0, 3.0)),
            "features": 2 * int(rng.integers(20, 60)),
            "learning_rate": float(np.exp(rng.uniform(np.log(0.1), np.log(1.0)))),
            "seed": int(rng.integers(1 << 30)),
        },
    }
