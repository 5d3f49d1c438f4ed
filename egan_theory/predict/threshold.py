"""Thresholds in any one parameter: where the spread state stops resting, where the collapsed state attracts, where time
is too short. Mechanisms of their own, never merged, and what each of them means on either side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..base.spelling import one_of
from ..base.table import Column, Record, Table
from ..base.terminal import cell
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..nonlinear.normal import NormalForm
from .collective import first_of
from .crossings import Axis, axis_of, changed, changes, parse_range, sign_changes
from .mechanism import MECHANISMS, Mechanism, known_margins
from .normal import born

Progress = Callable[[int, int, str], None]

#: values scanned for a mechanism whose margin has no closed form
SCAN = 25
#: a margin measured on an orbit: values added between those that bracket a sign change, and how often
BETWEEN, ROUNDS = 9, 2
#: how it is said that a mechanism tells nothing at some of the values
NO_STATEMENT = "no statement at"


@dataclass(frozen=True)
class Threshold(Record):
    """Where one mechanism sets in. value: the smallest threshold in ``range``, None if there is none (``reason`` says
    why if the mechanism could not be evaluated); values, unstable_side: all of them, ascending, and the side of each on
    which the margin is positive. meanings: of each of them, what holds "below" it and "above" it. bracket: (low, high)
    around ``value`` where noise allows no more, else None. margin, meaning: at the experiment's own value, and what it
    says. mode, normal_form, normal_forms: see CollectiveInstability."""

    KEYS = (
        "mechanism", "value", "range", "values", "unstable_side", "meanings", "method", "margin", "meaning", "bracket",
        "mode", "normal_form", "normal_forms", "reason", "assumptions",
    )  # fmt: skip

    mechanism: str
    values: tuple[float, ...]
    unstable_side: tuple[str, ...]
    range: tuple[float, float]
    method: str
    assumptions: tuple[str, ...]
    margin: float = float("nan")
    bracket: tuple[float, float] | None = None
    mode: dict[str, Any] | None = None
    reason: str = ""
    normal_forms: tuple[tuple[NormalForm, ...], ...] = ()

    @property
    def value(self) -> float | None:
        return self.values[0] if self.values else None

    @property
    def meaning(self) -> str:
        return MECHANISMS[self.mechanism].meaning(self.margin)

    @property
    def meanings(self) -> tuple[dict[str, str], ...]:
        mechanism, found = MECHANISMS[self.mechanism], []
        for i, side in enumerate(self.unstable_side):
            beyond = born(self.normal_forms[i][0]) if i < len(self.normal_forms) else ""
            sides = (mechanism.within, beyond or mechanism.beyond)
            found.append(dict(zip(("below", "above"), sides if side == "above" else sides[::-1], strict=True)))
        return tuple(found)

    @property
    def normal_form(self) -> NormalForm | tuple[NormalForm, ...] | None:
        return first_of(self.normal_forms)

    @property
    def first_form(self) -> NormalForm | None:
        """The branch that is stable, of the first threshold, or the first of its branches."""
        return self.normal_forms[0][0] if self.normal_forms else None


@dataclass(frozen=True)
class Thresholds(Table):
    """The thresholds of every mechanism in ``vary``.

    Attributes:
        vary: path of the field that is varied.
        current: [unit of the field] the experiment's own value.
        thresholds: one row per mechanism: value and range [unit of the field], sides, meaning in words, margin.
        provenance: experiment, seed and versions.

    Source:
        One module each, egan_theory.predict.mechanism; Eq. (67, threshold-simultaneous), Eq. (110,
        transverse-exponent), Eq. (77, splitting-oscillator).
    """

    KEYS = ("vary", "current", "thresholds")
    TITLE = "thresholds in {0.vary}"
    DIM, ROWS, NAME = "mechanism", "thresholds", "mechanism"

    vary: str
    current: float
    thresholds: tuple[Threshold, ...]
    provenance: dict[str, Any]

    def columns(self) -> list[Column]:
        """What the Dataset holds of every mechanism, with units."""
        unit = f"units of {self.vary}"
        return [
            Column("threshold", "smallest threshold", unit, lambda t: t.value),
            Column("low", "lower end of the range", unit, lambda t: t.range[0]),
            Column("high", "upper end of the range", unit, lambda t: t.range[1]),
            Column("below", of=lambda t: t.meanings[0]["below"] if t.meanings else ""),
            Column("above", of=lambda t: t.meanings[0]["above"] if t.meanings else ""),
            Column("margin", "margin at the experiment's own value", "see mechanism"),
            Column("meaning"),
            Column("bifurcation", of=lambda t: t.first_form.bifurcation if t.first_form else ""),
            Column("criticality", of=lambda t: (t.first_form.criticality or "") if t.first_form else ""),
            Column(
                "rms_amplitude",
                "rms displacement on the orbit over the root of the distance from the threshold",
                f"length per root of {self.vary}",
                lambda t: t.first_form.rms_amplitude if t.first_form else None,
            ),
            Column(
                "angle",
                "angle of the orbit per step (flow: per unit of time)",
                "rad",
                lambda t: t.first_form.angle if t.first_form else None,
            ),
            Column(
                "valid_to",
                "value up to which the amplitude is good to 5 %",
                unit,
                lambda t: t.first_form.valid_to if t.first_form else None,
            ),
            Column("method"),
            Column("reason"),
            Column("assumptions", of=lambda t: "; ".join(t.assumptions)),
        ]

    def attrs(self) -> dict[str, Any]:
        """What holds for all mechanisms."""
        return {**self.provenance, "vary": self.vary, "current": self.current}

    def grid(self) -> tuple[list[str], list[list[Any]]]:
        """Titles of columns, and a row for each threshold, or for the mechanism that has none."""
        rows: list[list[Any]] = []
        for t in self.thresholds:
            found: list[tuple[Any, str, str]] = [
                (value, side, said[side])
                for value, side, said in zip(t.values, t.unstable_side, t.meanings, strict=True)
            ]
            for row in found or [("not known" if t.reason else "none", *self._throughout(t))]:
                rows.append(
                    [t.mechanism, *row, f"{cell(t.range[0])} to {cell(t.range[1])}", t.method or "not evaluated"]
                )
        return ["mechanism", "threshold", "side", "what holds there", "range searched", "method"], rows

    def _throughout(self, t: Threshold) -> tuple[str, str]:
        """Where a mechanism without a threshold holds, and what holds there: what does now, if that was searched."""
        if t.reason or not t.meaning or not t.range[0] <= self.current <= t.range[1]:
            return "", ""
        silent = any(a.startswith(NO_STATEMENT) for a in t.assumptions)
        return "where it says anything" if silent else "everywhere", t.meaning


@takes_experiment
def thresholds(
    exp: Experiment,
    vary: str | Sequence[Any],
    low: float | None = None,
    high: float | None = None,
    *,
    mechanisms: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Thresholds:
    """At which values of ``vary`` in [low, high] the margin of each mechanism changes its sign.

    A mechanism that knows them in closed form gives them itself ("collective instability": see
    ``collective.collective_instability``). Others: their margin at 25 values, then bisection (Brent) to 1e-9;
    "collapsed state", whose margin is an orbit average that costs a simulation, instead by two rounds
    of 9 values between those that bracket a sign change, which leaves ``bracket``; "state reached from the start", a
    probability, where that crosses 1/2 among draws at 25 values, smoothed (``basin.locate``).

    Args:
        vary: path of a real field; the range may be part of it, "PATH=LOW:HIGH" or (PATH, LOW, HIGH).
        low: default range: [0, 1] for the kernel ratio, [0, 0.99] for momenta, else a factor 100 either side of the
            value.
        high: its upper end.
        mechanisms: names of MECHANISMS (default: all).
        progress: called with (done, total, what).

    Returns:
        One row per mechanism; one that says nothing about the experiment has value None and the reason.
            ``eg.threshold`` is the same function.

    Units:
        Thresholds in the unit of the field; margins in their mechanism's own.

    Raises:
        InputError: a field that is no real number, a bad range, or an unknown mechanism.

    Source:
        Eq. (67, threshold-simultaneous), Eq. (110, transverse-exponent), Eq. (77, splitting-oscillator), Eq. (79,
        macro-particles).

    Examples:
        >>> import egan_theory as eg
        >>> exp = eg.Experiment(target=eg.Ring(modes=4), discriminator=eg.Discriminator(features=0))
        >>> found = eg.thresholds(exp, "generator.kernel.ratio", mechanisms=["collective instability"])
        >>> [(t.mechanism, len(t.values)) for t in found.thresholds]
        [('collective instability', 1)]
    """
    vary, low, high = parse_range(vary, low, high)
    axis = axis_of(exp, vary, low, high)
    names = [one_of("mechanism", name, MECHANISMS) for name in (MECHANISMS if mechanisms is None else mechanisms)]
    found = []
    for i, name in enumerate(names):
        if progress is not None:
            progress(i, len(names), name)
        found.append(_threshold(exp, axis, MECHANISMS[name]))
    if progress is not None:
        progress(len(names), len(names), "done")
    return Thresholds(vary, float(exp.get(vary)), tuple(found), provenance(exp))


def _threshold(exp: Experiment, axis: Axis, mechanism: Mechanism) -> Threshold:
    ends = (axis.low, axis.high)
    try:
        if hasattr(mechanism.source, "locate"):
            c = mechanism.source.locate(exp, axis.path, axis.low, axis.high)
            return Threshold(
                mechanism.name, c.values, c.unstable_side, ends, c.method, c.assumptions, c.margin,
                getattr(c, "bracket", None), c.mode, normal_forms=getattr(c, "normal_forms", ()),
            )  # fmt: skip
        return (_bracketed if mechanism.noisy else _refined)(exp, axis, mechanism)
    except InputError as error:
        reason = str(error)
    return Threshold(mechanism.name, (), (), ends, "", mechanism.assumptions, reason=reason)


def _refined(exp: Experiment, axis: Axis, mechanism: Mechanism) -> Threshold:
    """Sign changes of a margin that is cheap and exact."""

    def at(value: float) -> float:
        member = changed(exp, {axis.path: value})
        return float("nan") if member is None else float(mechanism.margins([member])[0])

    crossings, missing = sign_changes(at, axis, SCAN)
    if missing == SCAN:
        raise _no_statement(exp, axis, mechanism)
    return Threshold(
        mechanism.name,
        tuple(c.value for c in crossings),
        tuple(c.unstable_side for c in crossings),
        (axis.low, axis.high),
        "root of the margin",
        (*mechanism.assumptions, *_missing(missing, SCAN)),
        float(mechanism.margins([exp])[0]),
    )


def _bracketed(exp: Experiment, axis: Axis, mechanism: Mechanism) -> Threshold:
    """Sign changes of a margin that is noisy and dear: side by side, first everywhere, then between the brackets.

    Between two scanned values of opposite sign there is one threshold; where noise makes the sign change several times
    in between, it lies anywhere from the first change to the last."""

    def at(values: np.ndarray, *others: Experiment) -> np.ndarray:
        return known_margins(mechanism, [*(changed(exp, {axis.path: float(v)}) for v in values), *others])

    x = axis.grid(SCAN)
    *scanned, own = at(x, exp)  # the experiment itself beside the scan: a simulation more costs next to nothing there
    y = np.array(scanned)
    missing = int(np.isnan(y).sum())
    if missing == SCAN:
        raise _no_statement(exp, axis, mechanism)
    brackets = [(x[i : i + 2], y[i : i + 2]) for i in changes(y)]
    for _ in range(ROUNDS):
        inner = [axis.between(u[0], u[-1], BETWEEN + 2)[1:-1] for u, _ in brackets]
        if not inner:
            break
        signs = at(np.concatenate(inner)).reshape(-1, BETWEEN)
        brackets = [_narrowed(u, v, new, sign) for (u, v), new, sign in zip(brackets, inner, signs, strict=True)]
    ends = [(float(u[0]), float(u[-1])) for u, _ in brackets]
    return Threshold(
        mechanism.name,
        tuple(axis.from_scale((axis.to_scale(a) + axis.to_scale(b)) / 2) for a, b in ends),
        tuple("above" if v[-1] > 0 else "below" for _, v in brackets),
        (axis.low, axis.high),
        "sign change of a margin measured along the orbit",
        (*mechanism.assumptions, *_missing(missing, SCAN)),
        float(own),
        ends[0] if ends else None,
    )


def _narrowed(u: np.ndarray, v: np.ndarray, new: np.ndarray, sign: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bracket from the first to the last sign change; values without a statement are passed over."""
    x, y = np.concatenate([u[:1], new, u[-1:]]), np.concatenate([v[:1], sign, v[-1:]])
    x, y = x[~np.isnan(y)], y[~np.isnan(y)]
    at = changes(y)
    pick = [at[0], at[-1] + 1]
    return x[pick], y[pick]


def _no_statement(exp: Experiment, axis: Axis, mechanism: Mechanism) -> InputError:
    """Why the mechanism says nothing anywhere on the axis: its own reason if it gives one."""
    try:
        mechanism(exp.replace({axis.path: axis.low}))
    except InputError as error:
        return error
    return InputError(axis.path, f"have values that '{mechanism.name}' makes a statement about", "none in the range")


def _missing(count: int, total: int) -> tuple[str, ...]:
    return (f"{NO_STATEMENT} {count} of {total} scanned values",) if count else ()


__all__ = ["Threshold", "Thresholds", "thresholds"]


#: as the command is called
threshold = thresholds
