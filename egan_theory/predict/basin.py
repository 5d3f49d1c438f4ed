"""Mechanism 4, the state reached from the start: which of several attractors a cloud of given mean and width finds.

The spread equilibrium may be stable, and the collapsed state too; what a run finds is decided on its way from the
start. The start enters by its mean and width, or by those of as many clusters as the target has modes. They are filled
again with n macro-particles, at most MOST per mode, whatever the number N of particles. With the gains of

    r = (omega/N) (g1 - g2),   G = (omega/N) [g1 + (N-1) g2]                   (predict.transverse.gains)

Gamma has the eigenvalue r on displacements without a mean, and G on the mean. n particles of mass 1/n keep both
with g1' = r + (G - r)/n, g2' = (G - r)/n under normalisation "sum", Eq. (79, macro-particles): they move as N particles
would that are tied together in groups of N/n. What the grouping leaves out is that a group could part.

The macro-particles are trained by the experiment's own update rule, in leaps (simulation.accelerated), and judged as
runs are (runs.outcome). Clusters are filled at random, so that the outcome is a probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..base.errors import InputError
from ..base.table import Record
from ..experiment import Experiment
from ..experiment.taken import takes_experiment
from ..features import feature_map
from ..problem.field import VARIABLE
from ..problem.problem import Problem
from ..runs.outcome import Outcome, mode_centres, modes_are_lost
from ..simulation.accelerated import follow
from ..simulation.condense import condensed
from ..simulation.macro import decided, filled_starts, judged, kicked_starts, verdict_times
from .crossings import axis_of, changed, changes
from .transverse import clustered

ASSUMPTIONS = (
    "the start is known by the mean and width of as many clusters as the target has modes",
    "at most 3 macro-particles per mode, drawn anew within them; groups of particles do not part",
    "run.steps of training, judged as a run is; a probability from a few draws",
)
#: what starts are, by run.start
STARTS = {"kick": "kicks off equilibrium", "random": "random starts"}
#: macro-particles per mode of the target, at most
MOST = 3
#: draws of the start: of one experiment, of each of many, of each cell of a coarse diagram at most
DRAWS, FEW, MANY = 16, 3, 8
#: draws of a diagram in all, and the width of the smoothing, in their mean distances
CELLS, SMOOTHING = 170, 1.0
#: steps of a sequence that fills the square evenly: 1/r and 1/r^2 with r^3 = r + 1 (Roberts 2018)
SPACING = (0.7548776662466927, 0.5698402909980532)
#: runs times particles times features times steps, at most: minutes
WORK = 5e10
#: values scanned for a threshold
SCAN = 25
#: fields in which experiments that are followed side by side may differ
BESIDE = (*VARIABLE, "run.spread", "run.kick", "run.seed", "run.runs", "run.record_every")


@dataclass(frozen=True)
class Reached(Record):
    """What becomes of runs from the experiment's start.

    Attributes:
        kinds: [1] probability of each outcome of eg.Outcome, by its words.
        lost: [1] probability that the run ends with modes lost.
        stderr: [1] standard error of it, of a few draws.
        draws: [1] starts that were followed.
        particles: [1] macro-particles of each.
        clusters: [1] clusters that a start is described by.
        saving: [1] evaluations of the players' velocities over those of a simulation of as many particles.
        method: how it was found, in words.
        assumptions: what is taken for granted, in words.

    Source:
        Eq. (79, macro-particles), Eq. (80, leap-stages), Eq. (81, leap).
    """

    KEYS = (
        "kinds", "lost", "stderr", "margin", "draws", "particles", "clusters", "saving", "method", "assumptions",
    )  # fmt: skip
    SHOWN = ("lost", "stderr", "kinds", "draws", "particles", "clusters", "saving")
    UNITS = (("stderr", "of lost"), ("kinds", "shares"), ("saving", "times"))
    TITLE = "probability that modes are lost from the start"

    kinds: dict[str, float]
    lost: float
    stderr: float
    draws: int
    particles: int
    clusters: int
    saving: float
    method: str
    assumptions: tuple[str, ...]

    @property
    def margin(self) -> float:
        """2 lost - 1 [1]: > 0 modes lost, 0 undecided, +-1 certain."""
        return 2 * self.lost - 1


def posterior(lost: np.ndarray | float, draws: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation) of a probability of which ``lost`` of ``draws`` are known, before which all values
    were equally likely (Laplace): (lost + 1)/(draws + 2)."""
    mean = (np.asarray(lost) + 1) / (np.asarray(draws) + 2)
    return mean, np.sqrt(mean * (1 - mean) / (np.asarray(draws) + 3))


@takes_experiment
def reached(exp: Experiment, *, draws: int = DRAWS, clusters: int | None = None) -> Reached:
    """Probabilities of what becomes of runs of ``run.steps`` from ``run.start`` (see the module docstring).

    A start "kick" is that of one particle per point (simulation.condense) with kicks drawn anew.

    Args:
        draws: starts that are followed.
        clusters: how many the start is described by; 1: its mean and width alone; default: as many as the target has
            modes.

    Returns:
        The probability that modes are lost, with its standard error, and of each outcome; ``eg.plot.reached`` draws it.

    Units:
        Probabilities, pure numbers.

    Raises:
        InputError: networks of finite width, an exact kernel (but on the periodic box), fewer than one draw or cluster.

    Source:
        Eq. (79, macro-particles), Eq. (81, leap).
    """
    for name, value in (("draws", draws), ("clusters", 1 if clusters is None else clusters)):
        if value < 1:
            raise InputError(name, "be at least 1", value)
    codes, found = _codes([exp], draws, clusters, kinds=True)
    lost, error = posterior(modes_are_lost(codes[0]).sum(), draws)
    if exp.generator.particles < len(mode_centres(exp)):  # no particle for some mode, whatever the start
        lost, error = np.array(1.0), np.array(0.0)
    return Reached(
        kinds={o.word: float((codes[0] == o).mean()) for o in Outcome},
        lost=float(lost), stderr=float(error), draws=draws, particles=found.particles, clusters=found.clusters,
        saving=found.evaluations,
        method="macro-particles followed in leaps of several steps, Eq. (79, macro-particles), Eq. (81, leap)",
        assumptions=ASSUMPTIONS,
    )  # fmt: skip


def margin(exp: Experiment) -> float:
    """2 p - 1 of the probability p that modes are lost: > 0 where it is the likelier. Raises InputError."""
    codes, _ = _codes([exp], FEW, None)
    return float(_margin(modes_are_lost(codes[0]).sum(), FEW))


def margins(exps: Sequence[Experiment]) -> np.ndarray:
    """``margin`` of each, from FEW draws, side by side where they differ in BESIDE alone; NaN where refused."""
    return _margin(_lost(_counts(exps, FEW, None, False)), FEW)


def diagram(exps: np.ndarray, clusters: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(margins, evaluated) of a grid of experiments (row, column), None where there is none.

    One draw of about CELLS of them, evenly spread (of fewer cells up to MANY each), every one with a start of its own;
    the probability at all cells, and its sureness, are those of the evaluated ones around, weighted by a Gaussian of
    SMOOTHING mean distances. So neighbours serve as each other's repeated draws, and a boundary is known to about that
    distance. ``clusters``: as in ``reached``.
    """
    weights, evaluated = _smoothed(exps, clusters)
    return _margin(_lost(weights), weights.sum(0)), evaluated


def kinds(exps: np.ndarray) -> np.ndarray:
    """(kind, *shape) probability of each outcome.Outcome: of a grid of experiments (row, column) smoothed as in
    ``diagram``, else from FEW draws of each; NaN where there is no experiment or it is refused."""
    if exps.ndim == 2:
        weights = _smoothed(exps, None, kinds=True)[0]
        return weights / weights.sum(0)
    out = np.full((len(Outcome), exps.size), np.nan)
    there = np.flatnonzero(exps.ravel() != None)  # noqa: E711 (elementwise)
    out[:, there] = _counts([exps.flat[i] for i in there], FEW, None, True) / FEW
    return out.reshape(len(Outcome), *exps.shape)


def _counts(exps: Sequence[Experiment], draws: int, clusters: int | None, kinds: bool) -> np.ndarray:
    """(kind, experiment) how many of so many draws end as what; NaN where refused."""
    out = np.full((len(Outcome), len(exps)), np.nan)
    for where in _groups(exps):
        try:
            codes, _ = _codes([exps[i] for i in where], draws, clusters, kinds)
        except InputError:
            continue
        out[:, where] = [(codes == kind).sum(-1) for kind in Outcome]
    return out


def _lost(counts: np.ndarray) -> np.ndarray:
    """Of counts (kind, ...), those that lost modes."""
    return counts[modes_are_lost(np.array(Outcome))].sum(0)


def _smoothed(exps: np.ndarray, clusters: int | None, kinds: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """((kind, row, column) draws of each outcome around every cell, weighted by their distance, NaN without any; which
    cells were evaluated)."""
    rows, columns = np.indices(exps.shape)
    there = exps != None  # noqa: E711 (elementwise)
    cells = np.argwhere(there & ((rows * SPACING[0] + columns * SPACING[1]) % 1 < CELLS / exps.size))
    draws = int(np.clip(CELLS // max(len(cells), 1), 1, MANY))
    count = _counts([exps[tuple(cell)] for cell in cells], draws, clusters, kinds)
    known = np.isfinite(count).all(0)
    cells, count = cells[known], count[:, known]
    out = np.full((len(Outcome), *exps.shape), np.nan)
    if len(cells):
        scale = -0.5 * draws * len(cells) / exps.size / SMOOTHING**2
        near = [np.exp(scale * (np.arange(n)[:, None] - cells[:, i]) ** 2) for i, n in enumerate(exps.shape)]
        out[:, there] = np.einsum("rn,cn,kn->krc", *near, count)[:, there]
    evaluated = np.zeros(exps.shape, dtype=bool)
    evaluated[tuple(cells.T)] = True
    return out, evaluated


@dataclass(frozen=True)
class Located:
    """Where the probability crosses 1/2 along a parameter, as predict.threshold wants it."""

    values: tuple[float, ...]
    unstable_side: tuple[str, ...]
    bracket: tuple[float, float] | None
    method: str
    assumptions: tuple[str, ...]
    margin: float
    mode: None = None


def locate(exp: Experiment, path: str, low: float, high: float) -> Located:
    """Where along ``path`` the probability that modes are lost crosses 1/2: at SCAN values, FEW draws each, smoothed as
    in ``diagram``. bracket: around the smallest crossing, where the probability is within its standard error of 1/2,
    or the values next to it. Raises InputError."""
    if exp.run.start == "kick" and path == "run.spread":
        raise InputError("run.start", "be 'random' for starts of a width (run.spread)", repr(exp.run.start))
    axis = axis_of(exp, path, low, high)
    x = axis.grid(SCAN)
    members = [changed(exp, {path: float(v)}) for v in x]
    there = [i for i, member in enumerate(members) if member is not None]
    lost = np.full(SCAN, np.nan)
    chosen = [members[i] for i in there]
    for where in _groups(chosen):  # type: ignore[arg-type]
        codes, _ = _codes([chosen[i] for i in where], FEW, None)  # type: ignore[misc]
        lost[[there[i] for i in where]] = modes_are_lost(codes).sum(-1)
    weight = np.exp(-0.5 * (np.subtract.outer(np.arange(SCAN), there) / SMOOTHING) ** 2)
    mean, error = posterior(weight @ lost[there], FEW * weight.sum(-1))
    at = changes(mean - 0.5)
    u = np.array([axis.to_scale(float(v)) for v in x])
    values = [axis.from_scale(float(np.interp(0, *_rising(mean[i : i + 2] - 0.5, u[i : i + 2])))) for i in at]
    bracket = None
    if len(at):
        unsure = np.abs(mean - 0.5) < error
        a, b = int(at[0]), int(at[0]) + 1
        while a > 0 and unsure[a]:
            a -= 1
        while b < SCAN - 1 and unsure[b]:
            b += 1
        bracket = float(x[a]), float(x[b])
    return Located(
        tuple(values), tuple("above" if mean[i + 1] > 0.5 else "below" for i in at), bracket,
        f"probability 1/2 among {FEW} draws at each of {SCAN} values, smoothed; {STARTS[exp.run.start]}",
        ASSUMPTIONS, margin(exp),
    )  # fmt: skip


def _rising(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (a, b) if a[-1] > a[0] else (a[::-1], b[::-1])


def _margin(lost: np.ndarray, draws: np.ndarray | float) -> np.ndarray:
    return 2 * posterior(lost, draws)[0] - 1


def _groups(exps: Sequence[Experiment]) -> list[list[int]]:
    """Indices of the experiments that can be followed side by side."""
    groups: dict[tuple, list[int]] = {}
    for i, exp in enumerate(exps):
        groups.setdefault(Problem(exp).key(BESIDE), []).append(i)
    return list(groups.values())


@dataclass(frozen=True)
class _Found:
    particles: int
    clusters: int
    evaluations: float


def _codes(
    exps: Sequence[Experiment], draws: int, clusters: int | None, kinds: bool = False
) -> tuple[np.ndarray, _Found]:
    """(experiment, draw) outcomes; ``kinds``: also of those that keep every mode, else only kept or lost is sure."""
    exp = exps[0]
    _refuse(exp)
    modes = len(mode_centres(exp))
    if exp.run.start == "kick":
        reduced = [condensed(e) for e in exps]
        problems = [Problem(e) for e in reduced]
        count = modes
        begun = [kicked_starts(p, draws) for p in problems]
        x, w = (np.concatenate(parts) for parts in zip(*begun, strict=True))
    else:
        n = min(exp.generator.particles, MOST * modes)
        count = min(modes if clusters is None else clusters, n)
        problems = [Problem(e) if n == e.generator.particles else clustered(Problem(e), n) for e in exps]
        x, w = np.concatenate([filled_starts(e, n, count, draws) for e in exps]), None
    time = verdict_times(exp, kinds)
    work = float(len(x)) * x.shape[1] * feature_map(exp).size * exp.run.steps
    if work > WORK:
        rule = f"need at most {WORK:g} evaluations of features for the state reached from the start (fewer run.steps)"
        raise InputError("run", rule, f"{work:.2g}")
    lanes = [p for p in problems for _ in range(draws)]
    found = follow(lanes, x, time, w=w, decided=lambda x, t: decided(exp, x, t))
    codes = judged(exp, found.x, time, found.diverged_at)
    return codes.reshape(len(exps), draws), _Found(problems[0].N, count, found.evaluations)


def _refuse(exp: Experiment) -> None:
    if exp.generator.finite_network or exp.discriminator.finite_network:
        raise InputError(
            "architecture", "be of infinite width for the state reached from the start", "a finite network"
        )
    if exp.discriminator.architecture is not None:
        rule = "be left out for the state reached from the start"
        raise InputError("discriminator.architecture", rule, "a network of infinite width")
    if exp.discriminator.features == 0 and exp.points.period is None:
        rule = "be at least 1 for the state reached from the start (an exact kernel is simulated)"
        raise InputError("discriminator.features", rule, 0)


__all__ = ["Reached", "diagram", "kinds", "locate", "margin", "margins", "reached"]
