"""What a monitored training says: of every analysis its numbers, and of the latest one, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from ..base.errors import InputError
from ..base.table import Column, Record, Table
from ..games.modes import KINDS, TROUBLE, kind
from ..games.words import FAST
from ..games.words import multiplier as shown
from ..runs.reading import open_runs
from ..runs.schema import ATTRS, decoded, validate_runs
from .pace import share_said

#: cosine above which training goes straight on, and below which (in size) it goes across
STRAIGHT, ACROSS = 0.7, 0.3
#: factor between the strengths set and advised that is worth a word
APART = 3.0
#: share of the kernel below which the effective model is a rough one
ROUGH = 0.5


@dataclass(frozen=True)
class Analysis(Record):
    """One analysis: the step, the multiplier of largest modulus with its kind (of a conjugate pair the one with im >=
    0), its residual and the discriminator's part of it; cosines of the path; the kernel numbers with their share; R1
    strengths set, advised and at the edge of stability; losses. None where not measured."""

    step: float
    re: float | None
    im: float | None
    kind: str | None
    residual: float | None
    share_D: float | None
    path_angle: float | None
    path_angle_start: float | None
    path_angle_beyond: float | None
    kernel_g1: float | None
    kernel_g2: float | None
    kernel_share: float | None
    strength_r1: float | None
    strength_advised: float | None
    strength_edge: float | None
    loss_discriminator: float | None
    loss_generator: float | None

    @property
    def multiplier(self) -> complex | None:
        return None if self.re is None or self.im is None else complex(self.re, self.im)


@dataclass(frozen=True)
class Monitored(Table):
    """A monitored training: its analyses, what the latest says (``remarks``), and what all of them cost.

    Attributes:
        analyses: one row each: largest multiplier, path angle, kernel numbers, strengths, losses.
        status: of the run file.
        last: [steps] the last one recorded.
        overhead: [1] time of the analyses over that of the training.
        kinds: [1] how many multipliers of each kind the latest analysis found.
        failures: analyses that failed, as "steps: why".
        remarks: what the latest says, in words.
        asked: settings of the Monitor.

    Source:
        What ``eg.Monitor`` recorded, and the papers named there.
    """

    TITLE: ClassVar[str] = "monitored training, {0.status}, last step {0.last:g}"
    DIM: ClassVar[str] = "analysis"
    ROWS: ClassVar[str] = "analyses"
    NAME: ClassVar[str] = "step"
    KEYS: ClassVar[Sequence[str]] = ("status", "last", "overhead", "kinds", "analyses", "failures", "remarks", "asked")

    analyses: tuple[Analysis, ...]
    status: str
    last: float
    overhead: float
    kinds: dict[str, int]
    failures: tuple[str, ...]
    remarks: tuple[str, ...]
    asked: dict[str, Any]

    @property
    def kind(self) -> str | None:
        """Of the latest analysis what needs a change first, as ``remarks`` say; else that of the largest multiplier."""
        return next((name for name in TROUBLE if name in self.kinds), self.analyses[-1].kind if self.analyses else None)

    def columns(self) -> Sequence[Column]:
        """What the Dataset holds of every analysis."""
        numeric = [name for name in Analysis.__dataclass_fields__ if name not in ("step", "kind")]
        return [
            *(Column(name, name.replace("_", " "), ATTRS.get(name, ("", "1"))[1]) for name in numeric),
            Column("kind"),
        ]

    def attrs(self) -> dict[str, Any]:
        """What holds for all analyses."""
        return {"status": self.status, "overhead": self.overhead, "remarks": "\n".join(self.remarks)}

    def grid(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Titles of columns, and a row for each analysis; what was never measured has no column."""
        head = ("step", "largest multiplier", "modulus", "kind", "path cosine", "kernel share",
                "R1 set (length²)", "R1 advised (length²)")  # fmt: skip
        rows: list[Sequence[Any]] = [
            (f"{a.step:g}", None if a.multiplier is None else shown(a.multiplier),
             None if a.multiplier is None else abs(a.multiplier), a.kind, a.path_angle, a.kernel_share, a.strength_r1,
             a.strength_advised)
            for a in self.analyses
        ]  # fmt: skip
        kept = [i for i in range(len(head)) if not rows or any(row[i] is not None for row in rows)]
        return [head[i] for i in kept], [[row[i] for i in kept] for row in rows]


def monitor(runs: xr.Dataset | str | Path, run: int = 0) -> Monitored:
    """The analyses that a ``Monitor`` recorded, and in words what the latest says.

    Args:
        runs: the dataset, or the path of the run file, finished or not.
        run: which of its runs.

    Returns:
        One row per analysis; ``eg.plot.monitor`` and ``eg.monitor_page`` show it.

    Shapes:
        runs: the run schema (egan_theory.runs.schema) with dimensions (run, time, multiplier).

    Units:
        Times in training steps, multipliers and cosines pure numbers, strengths in length^2 of the samples.

    Raises:
        InputError: runs that no Monitor recorded, or a run that is none.

    Source:
        What ``eg.Monitor`` recorded.
    """
    ds = validate_runs(runs) if isinstance(runs, xr.Dataset) else open_runs(runs)
    if "monitor_version" not in ds.attrs:
        raise InputError("runs", "be recorded by eg.Monitor", "no attribute monitor_version")
    if not 0 <= run < ds.sizes["run"]:
        raise InputError("run", f"be one of the {ds.sizes['run']} runs", run)
    ds = ds.isel(run=run)
    at = analysed(ds)
    analyses = tuple(_analysis(ds, i) for i in at)
    notes = decoded(ds.attrs, "notes")
    failures = tuple(f"{f'step {a:g}' if a == b else f'steps {a:g} to {b:g}'}: {text}" for a, b, text in notes)
    trained = _sum(ds, "training_seconds")
    overhead = _sum(ds, "monitor_seconds") / trained if trained else float("nan")
    kinds: dict[str, int] = {}
    seen = _multipliers(ds, at[-1]) if len(at) else []
    for z, residual, _ in seen:
        name = _kind(z, residual)
        kinds[name] = kinds.get(name, 0) + 1
    last, status = float(ds["time"].values[-1]), str(ds.attrs.get("status", "unknown"))
    asked = decoded(ds.attrs, "monitor")
    words = _remarks(ds, analyses, seen, status, last, overhead, notes, asked)
    return Monitored(analyses, status, last, overhead, kinds, failures, tuple(words), asked)


def analysed(ds: xr.Dataset) -> np.ndarray:
    """Samples of one run at which something was measured."""
    names = [n for n in ("multiplier_re", "path_angle", "kernel_share", "strength_advised") if n in ds]
    known = np.zeros(ds.sizes["time"], dtype=bool)
    for name in names:
        values = np.isfinite(ds[name].values)
        known |= values.any(axis=-1) if values.ndim == 2 else values
    return np.flatnonzero(known)


def _multipliers(ds: xr.Dataset, i: int) -> list[tuple[complex, float, float]]:
    """(multiplier, residual, D's part) of one sample, largest modulus first."""
    if "multiplier_re" not in ds:
        return []
    at = ds.isel(time=int(i))
    z = at["multiplier_re"].values + 1j * at["multiplier_im"].values
    nothing = np.full(len(z), np.nan)
    residual, share = (
        at[n].values if n in at else nothing for n in ("multiplier_residual", "multiplier_share")
    )  # fmt: skip
    rows = [(complex(z[k]), float(residual[k]), float(share[k])) for k in range(len(z)) if np.isfinite(z[k])]
    return sorted(rows, key=lambda row: -abs(row[0]))


def _analysis(ds: xr.Dataset, i: int) -> Analysis:
    names = [name for name in Analysis.__dataclass_fields__ if name in ds]
    values = {name: _known(ds[name].values[i]) for name in names}
    worst = next(iter(_multipliers(ds, i)), None)
    z, residual, share = worst if worst is not None else (None, None, None)
    none = dict.fromkeys(Analysis.__dataclass_fields__)
    return Analysis(**(none | values | {
        "step": float(ds["time"].values[i]), "re": None if z is None else z.real, "im": None if z is None else z.imag,
        "kind": None if z is None else _kind(z, residual), "residual": residual, "share_D": share,
    }))  # type: ignore[arg-type]  # fmt: skip


def _kind(z: complex, residual: float | None) -> str:
    return kind(z, residual if residual is not None and np.isfinite(residual) else 0.0)


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _sum(ds: xr.Dataset, name: str) -> float:
    return float(np.nansum(ds[name].values)) if name in ds else 0.0


# -- words -------------------------------------------------------------------------------------------------------------


def _remarks(
    ds: xr.Dataset, analyses: Sequence[Analysis], seen: list[tuple[complex, float, float]], status: str, last: float,
    overhead: float, notes: list[list[Any]], asked: Mapping[str, Any],
) -> list[str]:  # fmt: skip
    if status.startswith("diverged"):
        out = [f"Training {status}: from there on nothing is finite."]
    else:
        out = []
    if not analyses:
        return [*out, f"No analysis was made until step {last:g}.", *_failed(notes)]
    now = analyses[-1]
    out += [*_modes(now, seen), *_path(now), *_strength(now), *_kernel(now)]
    if np.isfinite(overhead):
        out.append(f"The analyses took {share_said(overhead)}{_aim(asked, overhead)}.")
    return [*out, *_failed(notes)]


def _aim(asked: Mapping[str, Any], overhead: float) -> str:
    """Why it was more than the share asked for."""
    share = asked.get("share")
    if asked.get("every") is not None or not isinstance(share, int | float) or overhead <= share:
        return ""
    return f", above the {share:.1%} asked for, to which the latest analysis and what was done before it are added"


def _modes(now: Analysis, seen: list[tuple[complex, float, float]]) -> list[str]:
    """What the multipliers say: what needs a change first."""
    if not seen:
        return [f"At step {now.step:g} no multipliers were measured."]
    out = []
    for name in TROUBLE:
        of = [row for row in seen if _kind(*row[:2]) == name]
        if of:
            z, residual, share = of[0]
            doubt = "" if abs(abs(z) - 1) > residual else ", which its residual leaves in doubt"
            who = _carrier(share)
            out.append(
                f"At step {now.step:g}: {name}. A mode carried by {who} is multiplied per step by {shown(z)} (modulus "
                f"{abs(z):.4g}{doubt}): {KINDS[name]}. {_change(name, who, now)}"
            )
    if not out:
        kinds = [_kind(*row[:2]) for row in seen]
        by = "; ".join(f"{kinds.count(name)} {name}" for name in KINDS if name in kinds)
        z = seen[0][0]
        drift = "drift" in kinds
        rest = "it grows without turning, as it does while training is under way" if drift else "nothing grows"
        if drift and abs(z) > FAST:
            rest = "it grows without turning, and fast: where the next analyses say so, too, lower the learning rates"
        out.append(
            f"At step {now.step:g} no mode overshoots or circles with growing size ({by}); the largest multiplier is "
            f"{shown(z)}: {rest}."
        )
    return out


def _carrier(share: float) -> str:
    if not np.isfinite(share):
        return "the players"
    return "the discriminator" if share >= 0.75 else "the generator" if share <= 0.25 else "both players"


def _change(name: str, who: str, now: Analysis) -> str:
    """What to change."""
    if name == "step too large":
        whose = f"{who}'s learning rate" if who in ("the discriminator", "the generator") else "the learning rates"
        penalty = "" if who == "the generator" or not now.strength_r1 else " or the R1 strength"
        return f"Lower {whose}{penalty}."
    penalty = "Raise the R1 strength" if now.strength_r1 else "Add an R1 penalty"
    return f"{penalty}, or lower the learning rates."


def _path(now: Analysis) -> list[str]:
    c, beyond = now.path_angle, now.path_angle_beyond
    if c is None:
        return []
    if beyond is not None and c > 0 > beyond:
        said = "it points back from a quarter beyond: the weights come to rest along this way"
    elif c >= STRAIGHT:
        said = "training goes straight on"
    elif c <= -STRAIGHT:
        said = "the field points back: the steps overshoot"
    elif abs(c) <= ACROSS:
        said = "the field goes across the way: the players turn, or the batch's noise is larger than their pull"
    else:
        said = "training goes on along a bent way"
    return [f"The cosine between the game's field and the way gone since the analysis before is {c:.2f}: {said}."]


def _strength(now: Analysis) -> list[str]:
    advised, is_set = now.strength_advised, now.strength_r1
    if advised is None:
        return []
    if not is_set:
        return [f"Theory advises an R1 strength of {advised:.3g}; none is set."]
    if advised and max(advised / is_set, is_set / advised) > APART:
        way = "raise" if advised > is_set else "lower"
        return [
            f"Theory advises an R1 strength of {advised:.3g}: {way} it from {is_set:.3g}, and look at the next advice: "
            f"it is more than a factor {APART:g} from the strength trained at, on which Adam's second moments depend."
            f"{_lower_end(now)}"
        ]
    return [f"The R1 strength of {is_set:.3g} is near the one that theory advises, {advised:.3g}.{_lower_end(now)}"]


def _lower_end(now: Analysis) -> str:
    """What it means that the edge itself is advised, as it is with Adam alone (advice.trained)."""
    if not now.strength_advised or not now.strength_edge or now.strength_advised < 0.99 * now.strength_edge:
        return ""
    return (
        " It is the edge of D's own steps as Adam's second moments are now: beyond it theory does not tell strengths "
        "apart, and larger ones often do better: take it for a lower end."
    )


def _kernel(now: Analysis) -> list[str]:
    if now.kernel_share is None:
        return []
    rough = "" if now.kernel_share >= ROUGH else ": the effective model is a rough one here"
    numbers = ""
    if now.kernel_g1 and now.kernel_g2 is not None:
        numbers = f" (g1 = {now.kernel_g1:.3g}, g2/g1 = {now.kernel_g2 / now.kernel_g1:.2g})"
    return [f"Two numbers{numbers} explain {now.kernel_share:.0%} of the generator's kernel{rough}."]


def _failed(notes: list[list[Any]]) -> list[str]:
    if not notes:
        return []
    first, _, text = notes[-1]
    return [f"Something could not be measured, the latest from step {first:g}: {text}."]


__all__ = ["Analysis", "Monitored", "analysed", "monitor"]
