"""Phase diagrams over two parameters: what lies on either side of each mechanism's boundary, drawn apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
import xarray as xr

from ..base.dataset import shown
from ..base.errors import InputError
from ..base.spelling import one_of
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from .boundary import TOLERANCE, boundary
from .crossings import changed, check_range, spelled
from .mechanism import MECHANISMS, Mechanism, known_margins

#: cells between the nodes that are always evaluated: islands smaller than this can be missed
BLOCK = 16
#: at least so many nodes along an axis
NODES = 8
#: most values along one axis
MAX_POINTS = 2000
#: what an infinite margin (never, or at once) counts as between evaluated cells
BEYOND = 1e6
#: mechanisms whose margin needs no simulation
QUICK = tuple(name for name, mechanism in MECHANISMS.items() if not mechanism.noisy)


@dataclass(frozen=True)
class PhaseAxis:
    """The values that one field of the experiment takes along an axis of the diagram, ascending."""

    path: str
    values: tuple[float, ...]
    log: bool = False

    @classmethod
    def of(cls, coordinate: xr.DataArray) -> PhaseAxis:
        """The axis that ``coordinate`` made."""
        about = coordinate.attrs
        return cls(about["long_name"], tuple(coordinate.values.tolist()), bool(about["log"]))

    @property
    def name(self) -> str:
        """The path as the name of a dimension, dots as "_"."""
        return self.path.replace(".", "_")

    def coordinate(self, name: str) -> tuple[str, np.ndarray, dict[str, Any]]:
        """Coordinate ``name`` of a Dataset."""
        return name, np.array(self.values), {"long_name": self.path, "units": "1", "log": int(self.log)}

    def coarser(self, points: int) -> PhaseAxis:
        """About ``points`` of the values, spread evenly, both ends among them."""
        chosen = np.unique(np.rint(np.linspace(0, len(self.values) - 1, points)).astype(int))
        return PhaseAxis(self.path, tuple(self.values[i] for i in chosen), self.log)


#: fields that say how to simulate, of which no margin is a function
NOT_PREDICTED = ("run.seed", "run.runs", "run.record_every")
#: how axes may be given, see ``parse_axis``
AxisLike = PhaseAxis | str | Sequence[Any]


def phase_axis(exp: Experiment, path: str, low: float, high: float, points: int, log: bool = False) -> PhaseAxis:
    """``points`` values of a numeric field from ``low`` to ``high``; rounded, each once, where the field holds whole
    numbers.

    Raises InputError: no number, an empty range, or ends that the experiment refuses.
    """
    axis = _spaced(exp, path, float(low), float(high), points, log)
    _check_ends(exp, [axis])
    return axis


def _spaced(exp: Experiment, path: str, low: float, high: float, points: int, log: bool) -> PhaseAxis:
    current = exp.get(path)
    if isinstance(current, bool) or not isinstance(current, int | float):
        raise InputError("vary", "name a numeric field of the experiment", f"{path} = {current!r}")
    check_range(low, high)
    if not 2 <= points <= MAX_POINTS:
        raise InputError("vary", f"have 2 to {MAX_POINTS} points", points)
    if log and not low > 0:
        raise InputError("vary", "have LOW > 0 on a logarithmic axis", f"{low:g}")
    if isinstance(current, int) and not (low.is_integer() and high.is_integer()):
        raise InputError(f"vary {path}", "have whole numbers LOW and HIGH, as the field has", f"{low:g}:{high:g}")
    values = np.geomspace(low, high, points) if log else np.linspace(low, high, points)
    values[0], values[-1] = low, high
    found = np.unique(np.rint(values)).astype(int).tolist() if isinstance(current, int) else values.tolist()
    return PhaseAxis(path, tuple(found), log)


def _check_ends(exp: Experiment, axes: Sequence[PhaseAxis]) -> None:
    """Raise InputError, in the field's own words, for an end that the experiment refuses as it is and with every
    combination of the other axes' ends (a likelihood weight needs the bandwidth that another axis gives)."""
    for i, axis in enumerate(axes):
        others = [[(a.path, v) for v in (a.values[0], a.values[-1])] for j, a in enumerate(axes) if j != i]
        for end in (axis.values[0], axis.values[-1]):
            try:
                exp.replace({axis.path: end})
            except InputError:
                if not any(changed(exp, {**dict(c), axis.path: end}) for c in product(*others) if c):
                    raise


def parse_axes(exp: Experiment, axes: Sequence[AxisLike]) -> list[PhaseAxis]:
    """Axes, given or as ``parse_axis`` takes them, that are varied together: an end must be accepted with an end of the
    others. Raises InputError."""
    found = [_parsed(exp, a) for a in axes]
    _check_ends(exp, found)
    return found


def diagram_axes(exp: Experiment, first: AxisLike, second: AxisLike) -> list[PhaseAxis]:
    """``parse_axes`` of a phase diagram: two fields that predictions depend on. Raises InputError."""
    found = parse_axes(exp, [first, second])
    for axis in found:
        if axis.path in NOT_PREDICTED:
            raise InputError(f"vary {axis.path}", "be a field that the predictions depend on", "one of the simulation")
    if found[0].path == found[1].path:
        raise InputError("vary", "name two different fields", found[0].path)
    return found


def diagram_coordinates(axes: Sequence[PhaseAxis]) -> dict[str, Any]:
    """Coordinates "first" and "second" (if there is one) of a phase diagram."""
    return {n: axis.coordinate(n) for n, axis in zip(("first", "second"), axes, strict=False)}


def parse_axis(exp: Experiment, given: AxisLike) -> PhaseAxis:
    """``PATH=LOW:HIGH:POINTS`` or ``PATH=LOW:HIGH:POINTS:log``, or a tuple (PATH, LOW, HIGH, POINTS[, "log"]). Raises
    InputError."""
    axis = _parsed(exp, given)
    _check_ends(exp, [axis])
    return axis


def _parsed(exp: Experiment, given: AxisLike) -> PhaseAxis:
    if isinstance(given, PhaseAxis):
        return given
    path, *parts = spelled(given)
    log = len(parts) == 4 and parts[3] in ("log", True)
    try:
        if not isinstance(path, str) or len(parts) != 3 + log:
            raise ValueError
        low, high, points = float(parts[0]), float(parts[1]), float(parts[2])
    except (TypeError, ValueError):
        rule = 'be PATH=LOW:HIGH:POINTS[:log] or (PATH, LOW, HIGH, POINTS[, "log"]) with numbers'
        raise InputError("vary", rule, repr(given)) from None
    if not points.is_integer():
        raise InputError(f"vary {path}", "have a whole number of points", f"{points:g}")
    return _spaced(exp, path, low, high, int(points), log)


@takes_experiment
@shown
def phase(
    exp: Experiment,
    first: AxisLike,
    second: AxisLike,
    *,
    mechanisms: Sequence[str] = QUICK,
    block: int = BLOCK,
    progress: Callable[[str, int, int], None] | None = None,
) -> xr.Dataset:
    """Margins of the mechanisms over two fields of the experiment; > 0 beyond a mechanism's boundary, < 0 within.

    Evaluated on every ``block``-th cell (8 of them at least along an axis) and, by halving, on all cells next to a
    change of sign; between, ``evaluated`` is 0 and the margin interpolated: its sign there is that of the evaluated
    cells around.

    Args:
        first: "PATH=LOW:HIGH:POINTS[:log]" or a tuple of these.
        second: likewise.
        mechanisms: the default ones need no simulation; "collapsed state" costs a simulated orbit for each evaluated
            cell, "state reached from the start" macro-particles at about 170 cells, between which it is a smoothed
            probability.
        progress: called with (what, done, total).

    Returns:
        A Dataset; ``eg.plot.phase`` draws it.

    Shapes:
        - margin (mechanism, second, first) [mechanism's]: in its module; NaN where it makes no statement (no
          equilibrium, a cluster that escapes, values that the experiment refuses together)
        - beyond (mechanism), within (mechanism): what is predicted on either side, in words
        - evaluated (mechanism, second, first): 1 evaluated, 0 interpolated
        - crossing_first (mechanism, second, first), crossing_second (mechanism, second, first): the first field's value
          at which the sign changes between a cell and the next along it, likewise the second's: a root of the margin,
          to 1e-3 of the value; NaN elsewhere, for mechanisms that simulate, and along fields of whole numbers

    Units:
        Coordinates first and second, and crossings in them, in the unit of their field.

    Raises:
        InputError: a bad axis, equal axes, an unknown mechanism, or block < 1.

    Assumes:
        No islands of the other sign, or of no statement, smaller than ``block`` cells; not checked.

    Source:
        Eq. (67, threshold-simultaneous), Eq. (110, transverse-exponent), Eq. (77, splitting-oscillator).

    Examples:
        >>> import egan_theory as eg
        >>> exp = eg.Experiment(target=eg.Ring(modes=4), discriminator=eg.Discriminator(features=0))
        >>> found = eg.phase(exp, "generator.kernel.ratio=0:0.9:3", ("penalty.r1", 0.1, 1, 2, "log"))
        >>> sorted(found.sizes.values())
        [2, 2, 3]
    """
    axes = diagram_axes(exp, first, second)
    mechanisms = [one_of("mechanism", name, MECHANISMS) for name in mechanisms]
    if block < 1:
        raise InputError("block", "be at least 1", block)
    x, y = (np.array(axis.values) for axis in axes)
    shape = len(y), len(x)
    margins, evaluated = np.empty((2, len(mechanisms), *shape))
    crossings = np.full((2, len(mechanisms), *shape), np.nan)
    for i, name in enumerate(mechanisms):
        mechanism = MECHANISMS[name]
        if hasattr(mechanism.source, "diagram"):
            grid = np.empty(shape, dtype=object)
            for r, c in np.ndindex(shape):
                grid[r, c] = changed(exp, {axes[0].path: axes[0].values[c], axes[1].path: axes[1].values[r]})
            margins[i], evaluated[i] = mechanism.source.diagram(grid)
            continue
        at = _evaluator(exp, axes, mechanism, progress)
        margins[i], known = refined(_on_cells(at, x, y), shape, block)
        evaluated[i] = known
        if not mechanism.noisy:
            crossings[:, i] = boundary(margins[i], known, axes, at)
    dims = ("mechanism", "second", "first")
    return xr.Dataset(
        {
            "margin": (dims, margins, {"long_name": "margin (> 0: beyond, < 0: within)", "units": "mechanism's"}),
            **{side: ("mechanism", [getattr(MECHANISMS[name], side) for name in mechanisms],
                      {"long_name": f"what is predicted {side} the boundary"}) for side in ("beyond", "within")},
            "evaluated": (dims, evaluated.astype(np.int8), {"long_name": "evaluated, not interpolated", "units": "1"}),
            **{f"crossing_{name}": (dims, crossings[k], {
                "long_name": f"{axis.path} where the margin changes sign before the next value", "units": "1"})
               for k, (name, axis) in enumerate(zip(("first", "second"), axes, strict=True))},
        },
        coords={"mechanism": list(mechanisms), **diagram_coordinates(axes)},
        attrs={
            **provenance(exp),
            "method": f"exact margins at every {block} cells, at {NODES} or more along an axis, and next to changes of "
            f"sign, bilinear between; boundaries without noise: roots of the margin between cells, to {TOLERANCE:g}",
            "assumptions": "; ".join(
                f"{name}: {text}" for name in mechanisms for text in MECHANISMS[name].assumptions
            ),
        },
    )  # fmt: skip


def _evaluator(
    exp: Experiment, axes: Sequence[PhaseAxis], mechanism: Mechanism, progress: Callable[[str, int, int], None] | None
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """(n,) values of either field -> (n,) margins of the mechanism; tells how many it has been asked for."""
    done = 0

    def evaluate(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        nonlocal done
        done += len(first)
        if progress is not None:
            progress(mechanism.name, done, done)
        pairs = zip(first.tolist(), second.tolist(), strict=True)
        return known_margins(mechanism, [changed(exp, {axes[0].path: x, axes[1].path: y}) for x, y in pairs])

    return evaluate


def _on_cells(
    at: Callable[[np.ndarray, np.ndarray], np.ndarray], x: np.ndarray, y: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    return lambda cells: at(x[cells[:, 1]], y[cells[:, 0]])


def refined(
    evaluate: Callable[[np.ndarray], np.ndarray], shape: tuple[int, int], block: int
) -> tuple[np.ndarray, np.ndarray]:
    """(values, evaluated) of a function of (row, column) on a grid, evaluated fully only where its sign changes.

    ``evaluate``: (n, 2) integer cells -> (n,) values. Blocks whose corners have one sign (NaN is a sign of its own),
    and no cell of another on their edges, are filled by bilinear interpolation; the others are halved.
    """
    values, known = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    signs = np.zeros(shape, dtype=np.int8)

    def look(cells: set[tuple[int, int]]) -> None:
        new = np.array(sorted(c for c in cells if not known[c]), dtype=int).reshape(-1, 2)
        if len(new):
            at = tuple(new.T)
            values[at] = evaluate(new)
            known[at] = True
            signs[at] = np.where(np.isnan(values[at]), 2, np.where(values[at] > 0, 1, -1))

    nodes = [sorted({*range(0, n, max(min(block, n // NODES), 1)), n - 1}) for n in shape]
    look({(r, c) for r in nodes[0] for c in nodes[1]})
    pending = [(*rows, *columns) for rows in _pairs(nodes[0]) for columns in _pairs(nodes[1])]
    while True:
        mixed = [b for b in pending if _mixed(signs, *b)]
        if not mixed:
            break
        split = set(mixed)
        pending = [b for b in pending if b not in split]
        wanted: set[tuple[int, int]] = set()
        for r0, r1, c0, c1 in mixed:
            rows, columns = sorted({r0, (r0 + r1) // 2, r1}), sorted({c0, (c0 + c1) // 2, c1})
            wanted.update((r, c) for r in rows for c in columns)
            pending += [(*r, *c) for r in _pairs(rows) for c in _pairs(columns)]
        look(wanted)
    finite = np.nan_to_num(values, nan=np.nan, posinf=BEYOND, neginf=-BEYOND)
    for r0, r1, c0, c1 in pending:
        u = (np.arange(r0, r1 + 1) - r0)[:, None] / max(r1 - r0, 1)
        v = (np.arange(c0, c1 + 1) - c0) / max(c1 - c0, 1)
        low = (1 - v) * finite[r0, c0] + v * finite[r0, c1]
        high = (1 - v) * finite[r1, c0] + v * finite[r1, c1]
        here = (slice(r0, r1 + 1), slice(c0, c1 + 1))
        values[here] = np.where(known[here], values[here], (1 - u) * low + u * high)
    return values, known


def _pairs(nodes: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbouring nodes; a single one is a block of its own."""
    return list(pairwise(nodes)) or [(nodes[0], nodes[0])]


def _mixed(signs: np.ndarray, r0: int, r1: int, c0: int, c1: int) -> bool:
    """Whether a block that can be halved holds cells of different known signs."""
    if r1 - r0 <= 1 and c1 - c0 <= 1:
        return False
    found = signs[r0 : r1 + 1, c0 : c1 + 1]
    known = found[found != 0]
    return bool(np.any(known != known[0]))
