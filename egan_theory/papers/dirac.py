"""Dirac-GAN (Mescheder, Geiger, Nowozin 2018, arXiv:1801.04406): one particle theta, the data at 0, D(x) = D* + psi x.

An Experiment like any other (linear kernel, one target point): field, steps and eigenvalues below are the package's
general ones. State (psi, theta); plots are phase portraits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..experiment import Experiment
from ..linear import eigenvalues, linearize
from ..problem.field import Field
from ..problem.problem import Problem
from ..tables.penalties import PENALTIES as TABLE
from ..tables.updates import LINEAR_RULES, RULES

#: strengths of every penalty of the package, as shown in its phase portraits
PENALTIES: dict[str, dict[str, float]] = {
    "none": {},
    "R1": {"r1": 0.5},
    "R2": {"r2": 0.5},
    "weight decay": {"weight_decay": 0.5},
    "Sobolev multiplier": {"multiplier": 0.25, "alpha": 0.5},
    "instance noise": {"instance_noise": 1.0},
    "consensus": {"consensus": 1.0},
}
#: every update rule of the package
UPDATES: dict[str, dict[str, Any]] = {
    "flow": {"rule": "flow"},
    "simultaneous": {"rule": "simultaneous"},
    "alternating": {"rule": "alternating"},
    "3 critic steps": {"rule": "alternating", "critic_steps": 3},
    "momentum 0.5": {"rule": "simultaneous", "momentum_discriminator": 0.5, "momentum_generator": 0.5},
    "extragradient": {"rule": "extragradient"},
    "optimistic": {"rule": "optimistic"},
    "best response": {"rule": "best_response"},
    "best response, flow": {"rule": "best_response_flow"},
}
PENALTIES |= {p.title: {key: 0.5} for key, p in TABLE.items() if not any(key in shown for shown in PENALTIES.values())}
UPDATES |= {RULES[name].title: {"rule": name} for name in LINEAR_RULES if {"rule": name} not in UPDATES.values()}
#: amplitude of the trajectories that multipliers are measured on: nonlinear terms are below its square
SMALL = 1e-6
#: a trajectory has left for good when it is this far away
FAR = 1e3


@dataclass(frozen=True)
class Portrait:
    """Computed data of one phase portrait.

    Attributes:
        path: [1/length, length] (T + 1, 2) one trajectory (psi, theta).
        grid: [1/length, length] (n, n, 2) places (psi, theta) of the field.
        velocity: [per step; flow: per time] (n, n, 2) the field there.
        predicted: [1] (m,) multipliers per step (flow: per unit of time).
        measured: [1] (m,) the measured ones, paired with them.

    Source:
        Mescheder, Geiger, Nowozin 2018 (arXiv:1801.04406).
    """

    path: np.ndarray
    grid: np.ndarray
    velocity: np.ndarray
    predicted: np.ndarray
    measured: np.ndarray

    @property
    def mismatch(self) -> float:
        """Largest distance of a predicted from its measured multiplier [1]."""
        return float(np.abs(self.predicted - self.measured).max())


def dirac_gan(
    penalty: Mapping[str, float] | None = None, update: Mapping[str, Any] | None = None, *, loss: str = "logistic",
    rate: float = 0.3,
) -> Experiment:  # fmt: skip
    """The Dirac-GAN as an Experiment: one particle theta, the data at 0, D(x) = D* + psi x.

    Args:
        penalty: keys as in [penalty] of an experiment's file.
        update: keys as in [update]; default: the flow.
        rate: both learning rates.

    Returns:
        An experiment like any other, with a linear kernel and one target point.

    Units:
        theta in lengths, psi in 1/length, rates per time (steps: per step), strengths as in eg.Penalties.

    Raises:
        InputError: a key or value that the experiment refuses.

    Source:
        Mescheder, Geiger, Nowozin 2018 (arXiv:1801.04406).

    Examples:
        >>> import egan_theory as eg
        >>> eg.dirac.dirac_gan().generator.particles
        1
    """
    return Experiment(
        target={"kind": "grid", "side": 1, "dimension": 1},
        generator={"particles": 1, "learning_rate": rate, "kernel": {"ratio": 0.0}},
        discriminator={"kernel": "linear", "features": 0, "learning_rate": rate},
        loss={"kind": loss},
        penalty=dict(penalty or {}),
        update=dict(update or {"rule": "flow"}),
    )


def trajectory(exp: Experiment, start: tuple[float, float], steps: int) -> np.ndarray:
    """(psi, theta) at steps 0 to ``steps``, by the simulator's own update; NaN once beyond 1000. With best responses
    psi is that of the particle from step 0 on.

    Returns:
        One row (psi, theta) per step.

    Shapes:
        Result (steps + 1, 2).

    Units:
        psi in 1/length, theta in lengths; a step of a flow is one unit of time.

    Raises: nothing of its own.

    Source:
        Mescheder, Geiger, Nowozin 2018 (arXiv:1801.04406); steps as in Eq. (45, simultaneous) to Eq. (49, heavy-ball).
    """
    field, rule = Field(Problem(exp)), exp.update_rule
    others = field.opponents
    state = rule.start(np.array([[start[0]]]), np.array([[[start[1]]]]), field.Vw, field.Vx, others)
    path = np.full((steps + 1, 2), np.nan)
    path[0] = state[0][0, 0], start[1]  # a best response does not ask where psi was
    for i in range(steps):
        state = rule.step(state, field.Vw, field.Vx, others)
        path[i + 1] = state[0][0, 0], state[1][0, 0, 0]
        if not np.abs(path[i + 1]).max() < FAR:
            path[i + 1] = np.nan
            break
    return path


def velocity(exp: Experiment, grid: np.ndarray) -> np.ndarray:
    """The field (V_psi, V_theta), learning rates included.

    Returns:
        An array like ``grid``.

    Shapes:
        grid (..., 2) of places (psi, theta); result (..., 2).

    Units:
        V_psi in 1/length, V_theta in lengths, per step (flow: per unit of time).

    Raises: nothing of its own.

    Source:
        Eq. (4, discriminator-flow), Eq. (5, particle-flow) for D(x) = D* + psi x.
    """
    field = Field(Problem(exp))
    w, x = grid.reshape(-1, 2)[:, :1], grid.reshape(-1, 2)[:, 1].reshape(-1, 1, 1)
    return np.concatenate([field.Vw(w, x), field.Vx(w, x)[..., 0]], axis=-1).reshape(grid.shape)


def predicted_multipliers(exp: Experiment) -> np.ndarray:
    """Multipliers of one step (flow: of one unit of time), largest first.

    Returns:
        Complex multipliers, as many as the rule's state has numbers.

    Shapes:
        Result (m,), complex.

    Units:
        Pure numbers.

    Raises:
        NotLinearizable: no equilibrium to linearize about.

    Source:
        Eq. (17, mode-roots), steps: Eq. (50, map-simultaneous) to Eq. (59, map-heavy-ball-both).
    """
    lin = linearize(exp)
    found = eigenvalues(lin)
    z = np.concatenate([np.repeat(found.z, found.multiplicity), np.ones(lin.zero_modes)])
    return _sorted(z)


def measured_multipliers(exp: Experiment, count: int, steps: int = 12) -> np.ndarray:
    """The ``count`` multipliers of two short trajectories near equilibrium: least squares on (psi, theta) and, for
    rules with memory, on those of the step before, in the ``count`` directions that the data span (dynamic mode
    decomposition). The theory enters with the number of multipliers alone.

    Returns:
        Complex multipliers, largest first; those that no datum spans are 0.

    Shapes:
        Result (count,), complex.

    Units:
        Pure numbers, of one step (flow: of one unit of time).

    Raises: nothing of its own.

    Source:
        Dynamic mode decomposition: Schmid 2010, J. Fluid Mech. 656, 5.
    """
    delays = 2 if exp.update_rule.blocks else 1
    before, after = [], []
    for start in ((1.0, 0.4), (-0.3, 0.9)):
        path = trajectory(exp, (SMALL * start[0], SMALL * start[1]), steps) / SMALL
        # the first step starts the memory; a state is its last positions
        rows = np.concatenate([path[delays - 1 - i : len(path) - i] for i in range(delays)], axis=1)
        before.append(rows[:-1])
        after.append(rows[1:])
    X, Y = np.concatenate(before).T, np.concatenate(after).T
    U, sigma, Vt = np.linalg.svd(X, full_matrices=False)
    n = min(count, int(np.sum(sigma > 1e-9 * sigma[0])))
    z = np.linalg.eigvals(U[:, :n].T @ Y @ Vt[:n].T / sigma[:n]).astype(complex)
    # directions that no datum spans have decayed at once
    return _sorted(np.concatenate([z, np.zeros(count - n)]))


def portrait(exp: Experiment, *, start: tuple[float, float] = (1.0, 1.0), steps: int = 60, side: int = 13) -> Portrait:
    """Trajectory, field, predicted and measured multipliers of one Dirac-GAN.

    Returns:
        The data that ``plot_dirac`` draws.

    Units:
        psi in 1/length, theta in lengths, multipliers pure numbers.

    Raises:
        InputError: an experiment that is no Dirac-GAN.

    Source:
        Mescheder, Geiger, Nowozin 2018 (arXiv:1801.04406).
    """
    if exp.dimension != 1 or exp.generator.particles != 1 or exp.discriminator.kernel != "linear":
        raise InputError("experiment", "be a Dirac-GAN (dirac_gan(...))")
    axis = np.linspace(-1.6, 1.6, side)
    grid = np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1)
    predicted = predicted_multipliers(exp)
    measured = measured_multipliers(exp, len(predicted))
    pairs = _paired(predicted, measured)
    return Portrait(trajectory(exp, start, steps), grid, velocity(exp, grid), predicted, pairs)


def _sorted(z: np.ndarray) -> np.ndarray:
    return z[np.lexsort((-z.imag, -np.round(np.abs(z), 9)))]


def _paired(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """b in the order that pairs it best with a."""
    from scipy.optimize import linear_sum_assignment

    return b[linear_sum_assignment(np.abs(a[:, None] - b))[1]]


def plot_dirac(data: Portrait, ax: Any = None, title: str = "") -> Any:
    """A phase portrait from computed data: the field as arrows of equal length, the trajectory, and in a corner the
    multipliers on the unit disc, predicted (circles) and measured (crosses).

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Units:
        x: psi in 1/length; y: theta in lengths.

    Raises:
        InputError: for anything but a portrait, or an ``ax`` that is no Axes.

    Source:
        ``portrait`` computes it.
    """
    from ..show.given import AXES, Kind, check
    from ..show.panel import fit
    from ..show.style import BLACK, BLUE, GREEN, ORANGE, VERMILLION, axes

    check("data", Kind("be a portrait, eg.dirac.portrait(exp)", ("papers.dirac.Portrait",)), data)
    if ax is not None:
        check("ax", AXES, ax)
    ax = axes(ax)
    size = np.linalg.norm(data.velocity, axis=-1, keepdims=True)
    arrows = np.divide(data.velocity, size, out=np.zeros_like(data.velocity), where=size > 0)
    ax.quiver(data.grid[..., 0], data.grid[..., 1], arrows[..., 0], arrows[..., 1], color="0.72", scale=15, width=0.008)
    largest = float(np.abs(data.predicted).max())
    colour = GREEN if largest < 1 - 1e-9 else BLUE if largest <= 1 + 1e-9 else VERMILLION
    ax.plot(*data.path.T, color=colour, lw=1.3, marker=".", ms=3.5)
    ax.plot(*data.path[0], "o", color=BLACK, ms=5)
    ax.plot(0, 0, "+", color=BLACK, ms=9)
    ax.set(xlim=(-1.7, 1.7), ylim=(-1.7, 1.7), xlabel=r"$\psi$ (1/length)", ylabel=r"$\theta$ (length)", aspect="equal")
    text = f"|z| {largest:.4f}, measured {np.abs(data.measured).max():.4f}"
    ax.set_title(f"{title}\n{text}" if title else text, fontsize=9)
    disc = ax.inset_axes((0.66, 0.66, 0.34, 0.34))
    angle = np.linspace(0, 2 * np.pi, 100)
    disc.fill(np.cos(angle), np.sin(angle), fc="white", ec="0.4", lw=0.8)
    disc.plot(data.predicted.real, data.predicted.imag, "o", color=BLACK, mfc="none", ms=6)
    disc.plot(data.measured.real, data.measured.imag, "x", color=ORANGE, ms=5, mew=1.4)
    disc.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal")
    disc.axis("off")
    fit(ax)
    return ax
