"""MLflow: its folder of runs, CSV files of its web page, and tables of runs.

A file store (mlruns/EXPERIMENT/RUN/) has for each metric a file metrics/NAME, NAME with slashes being a path, with a
line "timestamp value step" per value, the timestamp in milliseconds; lines of old versions have no step, those of new
ones may name a data set behind it (mlflow/store/tracking/file_store.py, ``_get_metric_from_line``). A run's name is
the text of tags/mlflow.runName. "Download data" of a chart gives columns Run (or Group), Run ID, metric, step,
timestamp, value (mlflow/server/js, CsvUtils ``chartMetricHistoryToCsv``). ``mlflow.search_runs()`` and the CSV of the
table of runs have a row per run with the last value of each metric and no steps.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from ...base.errors import InputError
from ...base.ram import check_size
from .log import Choice, Format, Log, RunLog, Series, head
from .table import Layout, Roles, is_long, long, named

_METRICS, _RUN_NAME = "metrics", "mlflow.runName"
#: folders beside runs
_OTHER = {".trash", "models", "artifacts"}
#: numbers of words in a line
_WORDS = (2, 3, 5)


def _is_chart(names: Sequence[str]) -> bool:
    return is_long(names) and bool(named(names, ("run id", "run_id")))


def _is_runs(names: Sequence[str]) -> bool:
    search = bool(named(names, ("run_id",))) and any(n.startswith("metrics.") for n in names)
    return search or len(named(names, ("run id", "start time", "duration"))) == 3


def _runs(names: Sequence[str], given: str | None, file: str) -> Roles:
    rule = "hold values with their steps (a chart's 'Download data', or the folder mlruns)"
    raise InputError(file, rule, "a table of runs, with the last value of each metric")


LAYOUTS = (
    Layout("CSV of an MLflow chart", _is_chart, long),
    Layout("table of MLflow runs", _is_runs, _runs),
)


def _runs_below(path: Path) -> list[Path]:
    """The folders of runs: the one given, or those below it."""
    if path.name == _METRICS:
        return [path.parent]
    if (path / _METRICS).is_dir():
        return [path]
    found = [*path.glob(f"*/{_METRICS}"), *path.glob(f"*/*/{_METRICS}"), *path.glob(f"*/*/*/{_METRICS}")]
    return sorted(p.parent for p in found if p.is_dir() and not _OTHER & set(p.relative_to(path).parts))


def _recognises(path: Path) -> bool:
    """Folders of that name are elsewhere, too, and runs of MLflow may hold event files: its lines decide."""
    if not path.is_dir():
        return False
    for run in _runs_below(path):
        for file in (run / _METRICS).rglob("*"):
            if start := head(file, 200):
                words = start.partition(b"\n")[0].split()
                return len(words) in _WORDS and words[0].isdigit()
    return False


def _read(path: Path, choice: Choice) -> Log:
    if not path.is_dir():
        raise InputError(str(path), "be a folder of MLflow (its CSV files are recognised as CSV)", "a file")
    if choice.step is not None:
        raise InputError("step", "not be given for MLflow's folder, whose values have their step", choice.step)
    runs: list[RunLog] = []
    for folder in _runs_below(path):
        base = folder / _METRICS
        files = sorted(p for p in base.rglob("*") if p.is_file())
        run = RunLog(_name(folder, {r.name for r in runs}), {})
        for file in files:
            series, truncated = _metric(file)
            run.truncated |= truncated
            if len(series.step):
                run.series[file.relative_to(base).as_posix()] = series
        if run.series:
            _in_time(run)
            runs.append(run)
    if not runs:
        raise InputError(str(path), "hold metrics", "none")
    return Log(runs)


def _name(folder: Path, taken: set[str]) -> str:
    name = ""
    with suppress(InputError):
        name = head(folder / "tags" / _RUN_NAME, 200).decode("utf-8", "replace").strip()
    return folder.name if not name else name if name not in taken else f"{name} {folder.name}"


def _metric(file: Path) -> tuple[Series, bool]:
    """The values of one file, and whether its last line was not complete."""
    name = str(file)
    check_size(name, 2 * file.stat().st_size, "hold what fits in memory", "its numbers")
    times, values, steps = array("d"), array("d"), array("q")
    try:
        with open(file, "rb") as lines:
            for number, line in enumerate(lines, 1):
                words = line.split()
                if not words:
                    continue
                if not line.endswith(b"\n"):  # MLflow writes whole lines
                    return _series(times, values, steps), True
                try:
                    if len(words) not in _WORDS:
                        raise ValueError
                    row = int(words[0]), float(words[1]), int(words[2]) if len(words) > 2 else 0
                    steps.append(row[2])
                except (ValueError, OverflowError):
                    shown = line[:60].decode("utf-8", "replace")
                    raise InputError(f"{name}, line {number}", 'be "timestamp value step"', repr(shown)) from None
                times.append(row[0] / 1e3 if abs(row[0]) < 2**63 else np.nan)
                values.append(row[1])
    except OSError as error:
        raise InputError(name, "be a readable file", error.strerror) from None
    return _series(times, values, steps), False


def _series(times: array, values: array, steps: array) -> Series:
    return Series(np.arange(len(steps)), np.array(steps, np.int64), np.array(values), np.array(times))


def _in_time(run: RunLog) -> None:
    """The order of all values of a run by their timestamps; of one metric as in its file."""
    wall = [np.fmax.accumulate(s.wall) for s in run.series.values()]
    _, order = np.unique(np.concatenate(wall), return_inverse=True)
    ends = np.cumsum([len(w) for w in wall])[:-1]
    for (name, series), own in zip(list(run.series.items()), np.split(order, ends), strict=True):
        run.series[name] = Series(own, series.step, series.value, series.wall)


FORMAT = Format("mlflow", "MLflow file store", _recognises, _read)
