"""Tables of scalars, from text (CSV), lines of JSON and Parquet: read in pieces, then arranged by the layout that their
columns' names tell. A layout is one entry of the format that has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np

from ...base.errors import InputError
from .log import FARTHEST, Log, RunLog, Series

#: names of columns that count steps, the first one that is there; W&B, TensorBoard's web page, Lightning, Keras, ...
STEPS = (
    "step", "_step", "global_step", "trainer/global_step", "steps", "total_steps", "iteration", "iterations", "iter",
    "n_iter", "it", "itr", "batch", "update", "updates", "timestep", "timesteps", "epoch", "epochs", "kimg",
)  # fmt: skip
#: ... and what one of them is, if not a step
UNITS = {"epoch": "epoch", "epochs": "epoch", "kimg": "kimg"}
#: names of columns of wall times, and the seconds in their unit
WALLS = {"_timestamp": 1.0, "wall time": 1.0, "wall_time": 1.0, "timestamp": 1.0}
#: names of columns that tell runs apart
RUNS = ("run", "group", "run name", "run_name", "run id", "run_id", "dir_name")
#: seconds beyond which a wall time is one in milliseconds (the year 5138)
_MILLISECONDS = 1e11
#: what stands for a value that is not given
ABSENT = frozenset({"", "none", "null", "n/a", "na", "-", "--", "<na>"})
_NOT_FINITE = {"nan": np.nan, "inf": np.inf, "infinity": np.inf, "-inf": -np.inf, "-infinity": -np.inf, "+inf": np.inf,
               "+infinity": np.inf, "-nan": np.nan, "+nan": np.nan}  # fmt: skip


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are. ``runs``: those that tell runs apart, the first of them for people;
    ``metric``: where each row is one value, the column of its name; ``columns``: scalars, each with its run ("": that
    of the row) and name, of one with ``metric`` only the column of values."""

    columns: Mapping[str, tuple[str, str]]
    step: str | None = None
    wall: str | None = None
    runs: tuple[str, ...] = ()
    metric: str | None = None
    unit: str = "step"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """One way in which a tool arranges a table. ``fits`` its names of columns; ``roles(names, step, file)`` of them."""

    title: str
    fits: Callable[[Sequence[str]], bool]
    roles: Callable[[Sequence[str], str | None, str], Roles]


@dataclass
class Column:
    """The cells of one column that were given: their rows and numbers; texts that are no numbers, the first of them
    with its row."""

    rows: list[np.ndarray] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    texts: int = 0
    first: tuple[int, str] | None = None

    def add(self, rows: np.ndarray, values: np.ndarray) -> None:
        self.rows.append(rows)
        self.values.append(values)

    def add_text(self, row: int, text: str, count: int = 1) -> None:
        self.texts += count
        if self.first is None:
            self.first = (row, text)

    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        if not self.rows:
            return np.empty(0, np.int64), np.empty(0)
        return np.concatenate(self.rows), np.concatenate(self.values)


@dataclass
class Table:
    """A table that was read: ``rows`` of them, its columns, and of the columns of words (runs, metric) the word of each
    row. ``place(row)`` says where a row stands in the file."""

    name: str
    columns: dict[str, Column]
    words: dict[str, np.ndarray]
    rows: int
    place: Callable[[int], str]
    truncated: bool = False


def number(text: str) -> float | None:
    """A number that is written in a cell, also NaN and infinity; None for any other text."""
    plain = text.strip().lower()
    if plain in _NOT_FINITE:
        return _NOT_FINITE[plain]
    try:
        return float(plain) if "_" not in plain else None
    except ValueError:
        return None


def step_column(names: Sequence[str], given: str | None, name: str) -> str:
    """The column of steps: the one that the user names, else the first of STEPS. Raises InputError."""
    if given is not None:
        if given in names:
            return given
        near = get_close_matches(given, names, 1) or list(names)[:5]
        raise InputError("step", f"be a column of {name} (such as {', '.join(map(repr, near))})", repr(given))
    lower = {n.strip().lower(): n for n in reversed(names)}
    for known in STEPS:
        if known in lower:
            return lower[known]
    shown = ", ".join(map(repr, list(names)[:6])) + ", ..." * (len(names) > 6)
    raise InputError(
        name, "have a column of steps (step, epoch, ..., or the one that --step names)", f"columns {shown}"
    )


def named(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """The columns whose names are among ``known``, whatever their case, in that order."""
    lower = {n.strip().lower(): n for n in reversed(names)}
    return [lower[k] for k in known if k in lower]


def wide(names: Sequence[str], given: str | None, file: str) -> Roles:
    """One row per step, one column per scalar: CSV files, W&B's history."""
    step = step_column(names, given, file)
    walls, runs = named(names, tuple(WALLS)), [n for n in named(names, RUNS) if n != step]
    taken = {step, *runs, *walls[:1]}
    columns = {n: ("", n) for n in names if n not in taken}
    unit = UNITS.get(step.strip().lower().rpartition("/")[2], "step")
    return Roles(columns, step, walls[0] if walls else None, tuple(runs), unit=unit)


def long(names: Sequence[str], given: str | None, file: str) -> Roles:
    """One row per value, with its name: MLflow's charts, tbparse."""
    step = step_column(names, given, file)
    walls, runs = named(names, tuple(WALLS)), named(names, RUNS)
    metric, value = named(names, ("metric", "tag", "key"))[0], named(names, ("value",))[0]
    return Roles({value: ("", "")}, step, walls[0] if walls else None, tuple(runs), metric)


def is_long(names: Sequence[str]) -> bool:
    """Whether the rows are single values with their names."""
    return bool(named(names, ("metric", "tag", "key"))) and bool(named(names, ("value",)))


def words_of(names: Sequence[str]) -> list[str]:
    """The columns that are read as words."""
    return [*named(names, RUNS), *(named(names, ("metric", "tag", "key"))[:1] if is_long(names) else ())]


def arranged(table: Table, roles: Roles, default: str) -> Log:
    """The log that a table holds. Raises InputError, which names the line, for a step or a value that is no number."""
    step = np.zeros(table.rows)
    if roles.step is not None:
        rows, values = _numbers(table, roles.step, "steps")
        step = np.full(table.rows, np.nan)
        step[rows] = values
    wall = np.full(table.rows, np.nan)
    if roles.wall is not None and table.columns[roles.wall].texts == 0:  # dates in words are left out
        rows, values = table.columns[roles.wall].whole()
        wall[rows] = np.where(np.abs(values) > _MILLISECONDS, values / 1e3, values)
    notes, runs, texts = list(roles.notes), dict[str, RunLog](), []
    names, codes = _labels(table, roles, default)
    metrics, kinds = _metrics(table, roles.metric)
    for column, (run, scalar) in roles.columns.items():
        found = table.columns[column]
        rows, values = found.whole()
        if found.texts and found.texts >= len(values) and roles.metric is None:
            texts.append(column)
            continue
        rows, values = _numbers(table, column, "values")
        if not len(rows):
            continue
        unknown = np.flatnonzero(~(np.abs(step[rows]) < FARTHEST))
        if len(unknown):
            row = int(rows[unknown[0]])
            said = "none" if np.isnan(step[row]) else f"{step[row]:g}"
            raise InputError(table.place(row), f"have its step, below 2^53, in column {roles.step!r}", said)
        for i in np.unique(codes[rows]):
            of = rows[mine := codes[rows] == i]
            for k in np.unique(kinds[of]):
                one = mine & (kinds[rows] == k)
                which = run or names[i]
                log = runs.setdefault(which, RunLog(which, {}, truncated=table.truncated))
                at = rows[one]
                log.series[metrics[k] or scalar] = Series(at, step[at], values[one], wall[at])
    if texts:
        notes.append(f"left out, no numbers: {', '.join(texts[:5])}{' and others' * (len(texts) > 5)}")
    if not runs and texts:
        _numbers(table, texts[0], "values")  # raises the cell
    if not runs:
        raise InputError(table.name, "hold values", "a table without any")
    return Log(list(runs.values()), roles.unit, notes)


def _numbers(table: Table, column: str, what: str) -> tuple[np.ndarray, np.ndarray]:
    found = table.columns[column]
    if found.first is not None:
        row, text = found.first
        raise InputError(table.place(row), f"hold a number in the column of {what} {column!r}", repr(text))
    return found.whole()


def _labels(table: Table, roles: Roles, default: str) -> tuple[list[str], np.ndarray]:
    """Names of runs, and the index of that of each row."""
    words = [table.words[c] for c in roles.runs]
    if not words or not table.rows:
        return [default], np.zeros(table.rows, np.int64)
    ids, codes = np.unique(words[0], return_inverse=True)
    names = [str(i) for i in ids]
    for other in words[1:]:  # where the name for people is that of several runs
        more, finer = np.unique(other, return_inverse=True)
        pairs, joint = np.unique(codes * len(more) + finer, return_inverse=True)
        if len(pairs) > len(names):
            names = [f"{names[p // len(more)]} {more[p % len(more)]}".strip() for p in pairs]
            codes = joint
    return [n or default for n in names], codes


def _metrics(table: Table, metric: str | None) -> tuple[list[str], np.ndarray]:
    if metric is None:
        return [""], np.zeros(table.rows, np.int64)
    ids, codes = np.unique(table.words[metric], return_inverse=True)
    return [str(i) for i in ids], codes
