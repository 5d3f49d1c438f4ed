"""Stability of the collapsed state: transverse Lyapunov exponents along the orbit of a collapsed cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from ..base.errors import InputError
from ..base.table import Record
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..features import FeatureMap
from ..problem.field import VARIABLE
from ..problem.problem import Problem
from .cluster import INTERVAL, SIGMAS, STEPS, WINDOWS, Lane, default_start, follow
from .transverse import clustered

ASSUMPTIONS = (
    "all particles at one point, of equal mass",
    "displacements of zero sum, infinitesimal: says nothing about how large a spread is drawn in",
    "the orbit reached from this start; other starts may lead to other orbits",
)
#: and of a network discriminator
LINEARISED = ("the discriminator network linearised in its weights at its start, also far from it",)


@dataclass(frozen=True)
class CollapsedState(Record):
    """The orbit of a collapsed cluster and its transverse Lyapunov exponents.

    Attributes:
        exponents: [1/step; flow: 1/time] (d,) growth rates of relative displacements, largest first; the collapsed
            state attracts when all are negative. NaN for a cluster that escaped: nothing stationary is left to average
            over.
        stderr: [1/step; flow: 1/time] (d,) their standard errors, by blocking.
        orbit: "fixed point", "periodic", "wandering" (quasi-periodic or chaotic), "escapes" (too many target sizes
            away, or beyond what doubles hold) or "undecided".
        period: [steps; flow: time] of a periodic orbit, else None.
        status: "converged", "undecided" (exponent within a few standard errors of 0, or orbit undecided, after the
            longest window) or "escaped at step n".
        steps: [steps] all that were taken.
        window: [steps] those averaged over.
        method: how it was found, in words.
        assumptions: what is taken for granted, in words.
        trajectory: Dataset over the window (of an escaped cluster: until it left): x0 (time, component) [length], force
            (time, component) [1/length], local growth rates growth (interval, exponent) [1/step; flow: 1/time].
        state: [mixed] arrays (w (P,), x0 (d,), memory) of the update rule at the end: the orbit can be continued.
        features: the feature map that ``state`` lives on.
        start: [length] (d,) x0 at the start.
        escaped_at: [steps] when it escaped, -1: it did not.

    Source:
        Eq. (72, collapsed-flow), Eq. (73, transverse-flow), Eq. (110, transverse-exponent).
    """

    KEYS = (
        "exponents", "stderr", "attracts", "orbit", "period", "status", "steps", "window", "method", "assumptions",
    )  # fmt: skip
    SHOWN = ("attracts", "orbit", "period", "exponents", "stderr", "status", "window", "steps")
    UNITS = (("exponents", "1/step; flows: 1/time"), ("period", "steps"), ("window", "steps"))
    TITLE = "collapsed state"

    exponents: np.ndarray
    stderr: np.ndarray
    orbit: str
    period: float | None
    status: str
    steps: int
    window: int
    method: str
    assumptions: tuple[str, ...]
    trajectory: xr.Dataset = field(repr=False, compare=False)
    #: the update rule's state (w, x0, *memory) at the end, on ``features``: the orbit can be continued from it
    state: tuple[np.ndarray, ...] = field(repr=False, compare=False)
    features: FeatureMap = field(repr=False, compare=False)
    #: x0 at the start, and the step of the escape (-1: none)
    start: np.ndarray = field(repr=False, compare=False)
    escaped_at: int = -1

    @property
    def escaped(self) -> bool:
        """Whether the cluster left for good."""
        return self.orbit == "escapes"

    @property
    def attracts(self) -> bool | None:
        """Whether the collapsed state attracts; None when the top exponent is within SIGMAS standard errors of 0."""
        top, error = float(self.exponents[0]), float(self.stderr[0])
        return bool(top < 0) if abs(top) > SIGMAS * error else None


@takes_experiment
def collapsed_state(
    exp: Experiment,
    *,
    x0: np.ndarray | None = None,
    w: np.ndarray | None = None,
    steps: int = STEPS,
    windows: int = WINDOWS,
) -> CollapsedState:
    """Orbit and transverse exponents of a cluster of all particles.

        lambda = lim (1/T) log |u(T)|/|u(0)|,   du/dt = eta_G r Hess[h(D)](x0(t)) u

    with (w, x0) moved by the update rule with the collective gain (see predict.transverse). ``steps`` of
    transient are discarded, then windows of ``steps``, 2 steps, ... are averaged, until the orbit is classified and its
    top exponent exceeds a few standard errors, ``windows`` times at most.

    With a linear loss and weight decay alone a cluster at rest never attracts: nu Hess D(x0) is then the integral of
    rho(k) k k^T E_p[1 - cos k.(x0 - y)], never negative, rho the kernel's spectrum. Clusters that attract move.

    Args:
        x0: start, default the target's mean plus ``run.kick`` times normal numbers of ``run.seed``.
        w: weights there on features.feature_map(exp), default 0.

    Returns:
        Exponents with standard errors, the kind of orbit and its trajectory.

    Shapes:
        x0 (d,), w (P,) with P the number of features; exponents and stderr (d,).

    Units:
        x0 in lengths, exponents per step (flow: per unit of time), steps and windows in steps.

    Raises:
        InputError: unequal masses, a start or weights of a wrong shape, fewer than 100 steps.

    Assumes:
        That the average converges (a "wandering" orbit may leave later); not checked. The exact kernel (features = 0)
        takes a new function wherever the cluster goes: slow for rough kernels and long ways.

    Source:
        Eq. (72, collapsed-flow), Eq. (73, transverse-flow), Eq. (110, transverse-exponent).
    """
    return _states([exp], None if x0 is None else [x0], None if w is None else [w], steps, windows)[0]


@takes_experiment
def collapsed_states(
    exp: Experiment, starts: int = 4, *, steps: int = STEPS, windows: int = WINDOWS
) -> tuple[CollapsedState, ...]:
    """``collapsed_state`` from several starts, simulated side by side: the default one and others drawn as random
    starts are, N(mean of the target, its spread^2). Different starts may end on different orbits.

    Returns:
        One result for each start.

    Units:
        As in ``collapsed_state``; ``starts`` and ``windows`` are counts.

    Raises:
        InputError: fewer than one start, and what ``collapsed_state`` refuses.

    Source:
        Eq. (73, transverse-flow), Eq. (110, transverse-exponent).
    """
    if starts < 1:
        raise InputError("starts", "be at least 1", starts)
    places = [default_start(Problem(exp))]
    points = exp.points
    mean = points.weights @ points.coordinates
    rng = np.random.default_rng([exp.run.seed, 4])
    spread = exp.run.spread or float(np.sqrt((points.weights @ (points.coordinates - mean) ** 2).mean())) or 1.0
    places += list(mean + spread * rng.standard_normal((starts - 1, exp.dimension)))
    return tuple(_states([exp] * starts, places, None, steps, windows))


def margin(exp: Experiment) -> float:
    """Minus the top transverse exponent: > 0 where the collapsed state attracts, NaN where the cluster escapes. Raises
    InputError as ``collapsed_state`` does."""
    _lane_key(Problem(exp))  # raises
    return float(margins([exp])[0])


def margins(exps: Sequence[Experiment], *, steps: int = STEPS, windows: int = WINDOWS) -> np.ndarray:
    """``margin`` of many experiments, simulated side by side where they differ in strengths, rates and gains
    (field.VARIABLE, and number of particles) alone. Equal ones are simulated once. Orbits are not classified here:
    an exponent is settled by its standard error alone. NaN also where ``collapsed_state`` raises InputError."""
    out = np.full(len(exps), np.nan)
    groups: dict[tuple, dict[tuple, list[int]]] = {}
    for i, exp in enumerate(exps):
        try:
            reference, key = _lane_key(Problem(exp))
        except InputError:
            continue
        groups.setdefault(reference, {}).setdefault(key, []).append(i)
    for lanes in groups.values():
        members = [Problem(exps[where[0]]) for where in lanes.values()]
        followed = follow(members, None, None, steps, windows, detail=False)
        for where, lane in zip(lanes.values(), followed, strict=True):
            out[where] = -lane.exponents[0]
    return out


def _lane_key(problem: Problem) -> tuple[tuple, tuple]:
    """(what lanes of one simulation share, what tells them apart)."""
    alone, run = clustered(problem), problem.exp.run
    return alone.key((*VARIABLE, "run")), (*(alone.exp.get(path) for path in VARIABLE), run.seed, run.kick)


def _states(
    members: Sequence[Experiment],
    x0: Sequence[np.ndarray] | None,
    w: Sequence[np.ndarray] | None,
    steps: int,
    windows: int,
) -> list[CollapsedState]:
    exp = members[0]
    out = []
    for lane in follow([Problem(e) for e in members], x0, w, steps, windows, detail=True):
        if lane.escaped_at >= 0:
            status = f"escaped at step {lane.escaped_at}"
        else:
            status = "converged" if lane.settled else "undecided"
        assert lane.features is not None
        out.append(
            CollapsedState(
                exponents=lane.exponents,
                stderr=lane.stderr,
                orbit=lane.orbit,
                period=lane.period,
                status=status,
                steps=lane.steps,
                window=lane.window,
                method="growth of small displacements along the simulated orbit, Eq. (73, transverse-flow); "
                f"QR every {INTERVAL} steps, errors by blocking",
                assumptions=ASSUMPTIONS + (LINEARISED if exp.discriminator.finite_network else ()),
                trajectory=_trajectory(exp, lane),
                state=lane.state,
                features=lane.features,
                start=lane.start,
                escaped_at=lane.escaped_at,
            )
        )
    return out


def _trajectory(exp: Experiment, lane: Lane) -> xr.Dataset:
    unit = exp.update_rule.time_unit
    assert lane.path is not None and lane.force is not None and lane.rates is not None
    time = lane.steps - lane.window + 1.0 + np.arange(len(lane.path))
    return xr.Dataset(
        {
            "x0": (("time", "component"), lane.path, {"long_name": "position of the cluster", "units": "length"}),
            "force": (("time", "component"), lane.force,
                      {"long_name": "gradient of the discriminator at the cluster", "units": "1/length"}),
            "growth": (("interval", "exponent"), lane.rates,
                       {"long_name": "local growth rates of transverse displacements", "units": f"1/{unit}"}),
        },
        coords={"time": ("time", time, {"long_name": "training time", "units": unit})},
        attrs=provenance(exp),
    )  # fmt: skip
