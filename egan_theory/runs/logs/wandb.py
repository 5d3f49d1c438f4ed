"""W&B: exports of its web page and of its public API, and its own files (offline.py; a folder "wandb" of runs).

"Export CSV" of a chart gives columns "Step", "RUN - METRIC", "RUN - METRIC__MIN", "RUN - METRIC__MAX" (the least and
the largest value of the steps that the page drew as one), the first column being whatever the chart's x axis is. The
history of a run (``run.history()``, ``run.scan_history()``; docs.wandb.ai, "Import and export data") has a row per
step with "_step", "_runtime", "_timestamp" and the logged scalars, as CSV or lines of JSON of the user's own writing,
or as Parquet (artifacts of type wandb-history; docs.wandb.ai, "Why are steps missing from a CSV metric export?"). In
JSON numbers that are not finite are the words "NaN", "Infinity", "-Infinity".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .log import Choice, Format, Log, RunLog, head
from .offline import HEAD, read_offline
from .rows import PARQUET, read_json_table, read_parquet_table
from .table import Layout, Roles, arranged, named, step_column, wide

_ENDS = ("__MIN", "__MAX")
#: columns of a history that are no scalars of the training
_OWN = ("_runtime", "_wandb")


def _is_chart(names: Sequence[str]) -> bool:
    rest = list(names)[1:]
    return bool(rest) and all(" - " in n for n in rest) and any(n.removesuffix(_ENDS[0]) != n for n in rest)


def _chart(names: Sequence[str], given: str | None, file: str) -> Roles:
    step = names[0] if given is None else given
    step = step_column(names, step, file)
    kept = [n for n in names if n != step and not n.endswith(_ENDS)]
    columns = {n: (run, metric) for n in kept for run, _, metric in [n.rpartition(" - ")]}
    unit = "epoch" if "epoch" in step.lower() else "time" if "time" in step.lower() else "step"
    return Roles(columns, step, unit=unit, notes=("the page's least and largest values (__MIN, __MAX) are left out",))


def _is_history(names: Sequence[str]) -> bool:
    return bool(named(names, ("_step",)))


def _history(names: Sequence[str], given: str | None, file: str) -> Roles:
    found = wide(names, given, file)
    kept = {n: c for n, c in found.columns.items() if not n.startswith((*_OWN, "column "))}
    return Roles(kept, found.step, found.wall, found.runs, unit=found.unit)


LAYOUTS = (
    Layout("CSV export of a W&B chart", _is_chart, _chart),
    Layout("history of a W&B run", _is_history, _history),
)


def _recognises(path: Path) -> bool:
    if path.is_dir():
        return bool(_files(path))
    start = head(path).removeprefix(b"\xef\xbb\xbf").lstrip()
    return start[:1] in (b"{", b"[") or start.startswith((PARQUET, HEAD))


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.wandb") if p.is_file())


def _folder(path: Path, choice: Choice) -> Log:
    """Every run of a folder "wandb", or the one of a run's own folder."""
    runs, notes = dict[str, RunLog](), list[str]()
    for file in _files(path):
        log = _read(file, choice)
        for run in log.runs:
            run.name = f"{run.name} {file.stem}" if run.name in runs else run.name
            runs[run.name] = run
        notes += log.notes
    return Log(list(runs.values()), log.unit, [*dict.fromkeys(notes)])


def _read(path: Path, choice: Choice) -> Log:
    if path.is_dir():
        return _folder(path, choice)
    if head(path, 4) == HEAD:
        table, name = read_offline(path)
        return arranged(table, _history(list(table.columns), choice.step, str(path)), name)
    table = read_parquet_table(path) if head(path, 4) == PARQUET else read_json_table(path)
    names = list(table.columns)
    return arranged(table, (_history if _is_history(names) else wide)(names, choice.step, str(path)), path.stem)


FORMAT = Format("wandb", "W&B export", _recognises, _read)
