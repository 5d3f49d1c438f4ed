"""CSV: any text file of a line of names and lines of numbers, one column of them steps, and folders of such files.

The delimiter (comma, semicolon, tab, bar, blanks) is that of the line of names, the encoding that of a byte order mark,
else UTF-8. Cells may be empty: Lightning's CSVLogger (lightning_logs/version_0/metrics.csv) writes training and
validation in lines of their own, Keras's has the column "epoch" for steps. TensorBoard's page downloads one scalar as
"Wall time,Step,Value", named by its file (run-RUN-tag-TAG.csv).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ...base.errors import InputError
from . import mlflow, wandb
from .log import Choice, Format, Log, RunLog
from .table import Layout, Roles, arranged, is_long, long, wide
from .text import read_text_table

_DOWNLOAD = ["wall time", "step", "value"]
_TAGGED = re.compile(r"(?:run-(?P<run>.*)-tag-)?(?P<tag>.+)")


def _is_download(names: Sequence[str]) -> bool:
    return [n.strip().lower() for n in names] == _DOWNLOAD


def _download(names: Sequence[str], given: str | None, file: str) -> Roles:
    wall, step, value = names
    found = _TAGGED.fullmatch(Path(file).stem)
    run, tag = (found["run"] or "", found["tag"]) if found else ("", "value")
    return Roles({value: (run, tag)}, step, wall)


#: how a table of text may be arranged, the first that fits
LAYOUTS: tuple[Layout, ...] = (
    Layout("CSV of TensorBoard's page", _is_download, _download),
    *wandb.LAYOUTS,
    *mlflow.LAYOUTS,
    Layout("table of single values", is_long, long),
    Layout("table of text", lambda names: True, wide),
)


def _recognises(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and bool(_files(path)))


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.csv") if p.is_file())


def _read(path: Path, choice: Choice) -> Log:
    if not path.is_dir():
        return _file(path, choice, path.stem)
    logs: list[Log] = []
    runs: dict[str, RunLog] = {}
    for file in _files(path):
        below = file.relative_to(path).parent.as_posix()
        log = _file(file, choice, file.stem if below == "." else below)
        logs.append(log)
        for run in log.runs:
            if run.name in runs and not runs[run.name].series.keys() & run.series.keys():
                runs[run.name].series |= run.series  # one scalar a file
                continue
            while run.name in runs:
                run.name = f"{run.name} {file.stem}"
            runs[run.name] = run
    if not logs:
        raise InputError(str(path), "hold logs (*.csv)", "none")
    if len(units := sorted({log.unit for log in logs})) > 1:
        raise InputError(str(path), "hold files that count alike (--step names the column)", " and ".join(units))
    return Log(
        list(runs.values()), units[0], [*dict.fromkeys(note for log in logs for note in log.notes)], logs[0].title
    )


def _file(path: Path, choice: Choice, default: str) -> Log:
    table = read_text_table(path)
    names = list(table.columns)
    layout = next(layout for layout in LAYOUTS if layout.fits(names))
    log = arranged(table, layout.roles(names, choice.step, str(path)), default)
    log.title = layout.title
    return log


FORMAT = Format("csv", "table of text", _recognises, _read)
