"""Logs of other tools as runs of the schema: which format it is, and what becomes of what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ...base.dataset import shown
from ...base.errors import InputError
from ...base.ram import check_size
from ...base.spelling import one_of
from ...experiment.provenance import SCHEMA_VERSION, versions
from ..schema import ATTRS, finished_status, validate_runs, variable
from . import delimited, mlflow, tensorboard, wandb
from .log import FARTHEST, Choice, Format, Log, Series, check_source
from .names import DISCRIMINATOR, GENERATOR, WALL, check_given, clean, losses
from .steps import Settled, settled

#: every format, in the order in which a source is asked for it
FORMATS: dict[str, Format] = {m.FORMAT.kind: m.FORMAT for m in (mlflow, tensorboard, wandb, delimited)}
#: what says that a file was written here
RECORDER = "egan_theory.import_log"


@shown
def import_log(
    path: str | Path, *, format: str | None = None, step: str | None = None, names: Mapping[str, str] | None = None
) -> xr.Dataset:
    """The scalars of a training log as runs of the schema (egan_theory.runs.schema), without particles.

    Training that went on from an earlier step wins over what it replaced: attributes ``rewound``, ``replaced`` and
    ``given_up`` say from where and how many values. A player's loss that is not finite until the end has diverged at
    its step (``diverged_at``; other scalars stay as logged); where no loss is known, any scalar that was finite before.
    ``import_notes`` says what was left out and how names were understood.

    Args:
        path: a TensorBoard event file or a folder of them; a CSV export of a W&B chart, a run's history as CSV, lines
            of JSON or Parquet (extra ``logs``), W&B's own folder; MLflow's folder (mlruns, an experiment's or a run's)
            or a chart's CSV; any CSV with a column of steps, and folders of them.
        format: one of "tensorboard", "wandb", "mlflow", "csv"; default: what the source looks like.
        step: the column of steps of a table.
        names: scalars by their names in the log to variables, such as {"loss/critic": "loss_discriminator"}; without,
            losses of both players are known by their names.

    Returns:
        A Dataset of the run schema; ``eg.plot.losses`` draws it.

    Shapes:
        Every scalar (run, time), NaN at steps at which it was not logged, its name in the log as attribute
        ``logged_as``; time (time), wall_time (run, time), diverged_at (run).

    Units:
        Time in steps, or what the log counts (attribute ``units``: "epoch", "kimg"), wall_time in seconds since 1970;
        scalars as they were logged.

    Raises:
        InputError: no log there, or one that is damaged; one line that names file and line or record.
        MissingExtra: Parquet without PyArrow.

    Source:
        none, it only reads files.
    """
    source = Path(path)
    if not str(path):
        raise InputError("log", "be an existing file or folder", "an empty name")
    check_source(source)
    if format is None:
        chosen = next((f for f in FORMATS.values() if f.recognises(source)), None)
        if chosen is None:
            rule = "hold a log (TensorBoard event files, MLflow's metrics, W&B exports or CSV)"
            raise InputError(str(path), rule, "a folder with none of them")
    else:
        chosen = FORMATS[one_of("format", format, FORMATS)]
    given = {str(k): str(v) for k, v in (names or {}).items()}
    log = chosen.read(source, Choice(step))
    if format is None:
        log.notes.extend(_beside(source, chosen))
    for run in log.runs:
        for name, s in run.series.items():
            if len(beyond := s.step[~(np.abs(s.step.astype(float)) < FARTHEST)]):
                raise InputError(f"{path}: {run.name}, {name}", "have steps below 2^53", beyond[0])
    check_given(given, {n for run in log.runs for n in run.series})
    ds = _dataset(log, [settled(run) for run in log.runs], given)
    ds.attrs |= {"source": f"{log.title or chosen.title}: {source.resolve().name}", "format": chosen.kind}
    return validate_runs(ds, str(path))


def _beside(source: Path, chosen: Format) -> list[str]:
    """What a folder holds of CSV, the format asked last, where another one is read."""
    files = [f for f in source.glob("*.csv") if f.is_file()] if source.is_dir() and chosen.kind == "mlflow" else []
    count = f"{len(files)} file{'s' * (len(files) != 1)}"
    return [f"left out: {count} of CSV beside it (--format csv reads them)"] if files else []


def _dataset(log: Log, runs: list[Settled], given: Mapping[str, str]) -> xr.Dataset:
    players = [losses(run.series, given) | {n: v for n, v in given.items() if n in run.series} for run in runs]
    rest = {n for run, own in zip(runs, players, strict=True) for n in run.series if n not in own}
    cleaned = clean(rest, {*given.values(), DISCRIMINATOR, GENERATOR})
    variables = [cleaned | own for own in players]
    time = _times(runs)
    kinds = sorted({v[n] for run, v in zip(runs, variables, strict=True) for n in run.series})
    check_size("log", 8.0 * (len(kinds) + 1) * len(runs) * len(time), "have scalars that fit in memory", "its samples")
    arrays = {v: _empty(runs, variables, v, len(time)) for v in kinds}
    wall = np.full((len(runs), len(time)), np.nan)
    logged: dict[str, set[str]] = {}
    notes, diverged = list(log.notes), np.full(len(runs), -1)
    for i, (run, names) in enumerate(zip(runs, variables, strict=True)):
        notes += run.notes
        for name, s in run.series.items():
            at = np.searchsorted(time, s.step)
            arrays[names[name]][i, at] = s.value
            wall[i, at] = np.fmax(wall[i, at], s.wall)
            logged.setdefault(names[name], set()).add(name)
        diverged[i] = _diverged(run.series, names)
        notes += _not_finite(log.runs[i].name, run.series, diverged[i])
    for loss in (DISCRIMINATOR, GENERATOR):
        if loss not in arrays:
            notes.append(f"no scalar is known as {loss} (--map NAME={loss})")
    data = {v: _variable(v, values, sorted(logged[v])) for v, values in arrays.items()}
    if np.isfinite(wall).any():
        attrs = {"long_name": "wall time since the beginning of 1970, UTC", "units": "s"}
        data[WALL] = xr.Variable(("run", "time"), wall, attrs)
    data["diverged_at"] = variable("diverged_at", diverged)
    status = "interrupted" if any(run.truncated for run in log.runs) else "finished"
    if status == "interrupted":
        cut = [run.name for run in log.runs if run.truncated]
        notes.append(f"the last record is not complete, as where training goes on or was killed: {', '.join(cut[:5])}")
    attrs = {
        "schema_version": SCHEMA_VERSION, "versions": versions(), "recorder": RECORDER,
        "status": finished_status(diverged, status), **_rewound(log, runs), "import_notes": "; ".join(notes),
    }  # fmt: skip
    label = {"long_name": "name of the run in the log"}
    coords = {
        "time": xr.Variable("time", time, {"long_name": "training time", "units": log.unit}),
        "run_name": xr.Variable("run", np.array([run.name for run in log.runs], dtype=object), label),
    }
    return xr.Dataset(data, coords, attrs)


def _times(runs: list[Settled]) -> np.ndarray:
    """All steps of all scalars, increasing; whole numbers where they all are."""
    time = np.unique(np.concatenate([s.step for run in runs for s in run.series.values()]))
    if time.dtype.kind == "f" and np.all(time == np.floor(time)) and np.all(np.abs(time) < 2**53):
        time = time.astype(np.int64)
    return time


def _empty(runs: list[Settled], variables: list[dict[str, str]], kind: str, count: int) -> np.ndarray:
    found = [
        s.value.dtype for run, v in zip(runs, variables, strict=True) for n, s in run.series.items() if v[n] == kind
    ]
    return np.full((len(runs), count), np.nan, np.result_type(*found))


def _variable(name: str, values: np.ndarray, logged: list[str]) -> xr.Variable:
    told = variable(name, values) if name in ATTRS else xr.Variable(("run", "time"), values)
    if name not in ATTRS:
        told.attrs = {"long_name": logged[0], "units": "1"}
    told.attrs["logged_as"] = ", ".join(logged)
    return told


def _diverged(series: Mapping[str, Series], variables: Mapping[str, str]) -> int:
    """The step from which on a loss is not finite until the end, -1 if there is none."""
    known = [s for n, s in series.items() if variables[n] in (DISCRIMINATOR, GENERATOR)]
    found = []
    for s in known or series.values():
        finite = np.flatnonzero(np.isfinite(s.value))
        first = int(finite[-1]) + 1 if len(finite) else 0
        if first < len(s.step) and (known or first):
            found.append(int(np.ceil(s.step[first])))
    return max(min(found), 0) if found else -1


def _not_finite(run: str, series: Mapping[str, Series], diverged: int) -> list[str]:
    """What is said of values before the divergence, or besides it: infinite ones are one of their own."""
    out = []
    for name, s in series.items():
        before = (s.step < diverged) | (diverged < 0)
        infinite, missing = (np.flatnonzero(f(s.value) & before) for f in (np.isinf, np.isnan))
        if len(infinite):
            later = s.step[infinite[0] :][np.isfinite(s.value[infinite[0] :])]
            count = f"{len(infinite)} infinite value{'s' * (len(infinite) != 1)}"
            again = f", finite again at step {later[0]:.15g}" if len(later) else ""
            out.append(f"{run}: {name} diverged at step {s.step[infinite[0]]:.15g}: {count}{again}")
        if len(missing):
            count = f"{len(missing)} value{'s' * (len(missing) != 1)}"
            out.append(f"{run}: {count} of {name} not finite, the first at step {s.step[missing[0]]:.15g}")
    return out[:5] + [f"{run}: {len(out) - 5} other scalars not finite at some step"] * (len(out) > 5)


def _rewound(log: Log, runs: list[Settled]) -> dict[str, Any]:
    """The attributes that say what went back, as those of RunWriter do."""
    out: dict[str, Any] = {}
    said = [
        f"cut back from {log.unit} {a:.15g} to before {log.unit} {b:.15g}" + f" ({own.name})" * (len(runs) > 1)
        for own, run in zip(log.runs, runs, strict=True)
        for a, b in run.rewinds
    ]
    if said:
        out["rewound"] = "; ".join(said)
    for name in ("replaced", "given_up"):
        if count := sum(getattr(run, name) for run in runs):
            out[name] = count
    return out


__all__ = ["FORMATS", "import_log"]
