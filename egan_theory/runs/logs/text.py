"""Tables of text: delimited columns, in pieces, so that a file of any length is read in little more memory than its
numbers take."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterator, Sequence
from io import TextIOBase
from pathlib import Path
from typing import Any

import numpy as np

from ...base.errors import InputError
from ...base.files import encoding_of
from ...base.ram import check_size
from .log import head
from .table import ABSENT, STEPS, Column, Table, number, words_of

#: rows of one piece
CHUNK = 100_000
DELIMITERS = (",", ";", "\t", "|")
_EXTRA = "\0more"
#: characters of a header at most
_HEADER = 10**6
#: columns at most
_COLUMNS = 10_000
_COMMA = re.compile(r"[-+]?\d+,\d+(e[-+]?\d+)?", re.I)


def read_text_table(path: Path) -> Table:
    """The table in a text file with a line of names. Raises InputError, which names the line."""
    name, start = str(path), head(path)
    encoding = encoding_of(start)
    if encoding.startswith("utf-8") and b"\0" in start:
        rule = "be a text file, UTF-8 or with a byte order mark"
        raise InputError(name, rule, "zero bytes, as binary files and UTF-16 without a mark have")
    check_size(name, 2 * path.stat().st_size, "hold what fits in memory", "its numbers")
    try:
        with open(path, encoding=encoding, newline="") as file:
            names, delimiter, skipped, decimal = _header(file, name)
            table = Table(
                name, {n: Column() for n in names}, {}, 0, lambda row: f"{name}, line {row + skipped + 1}",
                _unfinished(path, encoding, delimiter, len(names)),
            )  # fmt: skip
            words = words_of(names)
            kept: dict[str, list[np.ndarray]] = {n: [] for n in words}
            for piece in _pieces(file, name, names, words, delimiter, decimal, skipped):
                _take(piece, table, kept)
    except UnicodeError as error:
        rule = f"be a {encoding.upper().removesuffix('-SIG')} text file"
        raise InputError(name, rule, f"bytes that are not: {getattr(error, 'reason', error)}") from None
    except OSError as error:
        raise InputError(name, "be a readable file", error.strerror) from None
    table.words = {n: np.concatenate([*parts, np.empty(0, object)]).astype(str) for n, parts in kept.items()}
    if table.truncated:
        _drop_last(table)
    return table


def _pieces(
    file: TextIOBase, name: str, names: list[str], words: list[str], delimiter: str, decimal: str, skipped: int
) -> Iterator[Any]:
    """The lines behind the names, as data frames of CHUNK rows. Raises InputError."""
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            yield from pd.read_csv(
                file, sep=delimiter, header=None, names=[*names, _EXTRA], index_col=False, chunksize=CHUNK,
                keep_default_na=False, na_values=[""], dtype=dict.fromkeys(words, str), skip_blank_lines=False,
                skipinitialspace=True, low_memory=False, decimal=decimal,
            )  # fmt: skip
    except pd.errors.EmptyDataError:
        return
    except (UnicodeError, InputError):
        raise
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError, OverflowError) as error:
        longer = _longer(file, len(names), delimiter, skipped) if isinstance(error, Warning) else 0
        raise _misshapen(name, error, skipped, longer) from None


def _header(file: TextIOBase, name: str) -> tuple[list[str], str, int, str]:
    """Names, delimiter, how many lines they took, and the decimal mark; the file stands behind the names."""
    skipped, line = 0, ""
    while not line.strip() or (line.startswith("#") and not _names(line[1:], name)[2]):
        line = file.readline(_HEADER)
        if not line:
            raise InputError(name, "begin with a line of column names", "no such line")
        if len(line) >= _HEADER:
            raise InputError(name, "begin with a line of column names", "a line without an end")
        skipped += 1
    names, delimiter, _ = _names(line.lstrip("#"), name)
    if len(names) > _COLUMNS:
        raise InputError(f"{name}, line {skipped}", f"name at most {_COLUMNS} columns", len(names))
    decimal = "."
    if delimiter == ";":
        at = file.tell()
        decimal = "," if any(_COMMA.fullmatch(c.strip()) for c in file.readline(_HEADER).split(";")) else "."
        file.seek(at)
    if all(number(n) is not None for n in names):
        raise InputError(f"{name}, line {skipped}", "be a line of column names", "numbers")
    return names, delimiter, skipped, decimal


def _names(line: str, name: str) -> tuple[list[str], str, bool]:
    """The names in a line, the delimiter, and whether one of them is among those that tables of logs have."""
    text = line.strip("\r\n")
    found = {d: _cells(text, d) for d in DELIMITERS}
    best = max(DELIMITERS, key=lambda d: len(found[d]))
    if len(found[best]) < 2 and len(text.split()) > 1 and '"' not in text:
        best, found[best] = r"\s+", text.split()
    return _unique(found[best]), best, any(c.strip().lower() in STEPS for c in found[best])


def _cells(text: str, delimiter: str) -> list[str]:
    if delimiter not in DELIMITERS:
        return text.split()
    try:
        return next(csv.reader([text], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []


def _unique(names: Sequence[str]) -> list[str]:
    """Names of columns, each once: a second "loss" is "loss (2)", one without a name "column 3"."""
    out: dict[str, None] = {}
    last: dict[str, int] = {}  # of each name that was given more than once: not counted from 2 on again
    for i, given in enumerate(names, 1):
        base = name = given.strip() or f"column {i}"
        k = last.get(base, 2)
        while name in out:
            name, k = f"{base} ({k})", k + 1
        out[name], last[base] = None, k
    return list(out)


def _take(piece: Any, table: Table, kept: dict[str, list[np.ndarray]]) -> None:
    """The cells of a piece."""
    start, n = table.rows, len(piece)
    more = np.flatnonzero(piece[_EXTRA].notna().to_numpy())
    if len(more):
        raise InputError(table.place(start + int(more[0])), f"have {len(table.columns)} cells as the header", "more")
    for name, column in table.columns.items():
        cells = piece[name]
        if name in kept:
            kept[name].append(cells.fillna("").to_numpy(object))
            continue
        given = np.flatnonzero(cells.notna().to_numpy())
        if cells.dtype.kind in "fiub":
            column.add(start + given, cells.to_numpy(float)[given])
            continue
        texts = cells.to_numpy(object)[given]
        if len(given):
            _convert(column, start + given, texts)
    table.rows = start + n


def _convert(column: Column, rows: np.ndarray, texts: np.ndarray) -> None:
    """Cells that are not all numbers."""
    import pandas as pd

    values = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(float, copy=True)
    good = np.isfinite(values)
    for i in np.flatnonzero(~good):
        text = str(texts[i])
        value = None if text.strip().lower() in ABSENT else number(text)
        if value is not None:
            values[i], good[i] = value, True
        elif text.strip().lower() not in ABSENT:
            column.add_text(int(rows[i]), text)
    column.add(rows[good], values[good])


def _unfinished(path: Path, encoding: str, delimiter: str, count: int) -> bool:
    """Whether the last line has no end and too few cells, as of a training that was killed or goes on."""
    if not encoding.startswith("utf-8") or delimiter not in DELIMITERS:
        return False
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 2**16))
        last = file.read().rpartition(b"\n")[2]
    return bool(last.strip()) and len(_cells(last.decode("utf-8", "replace"), delimiter)) < count


def _drop_last(table: Table) -> None:
    for column in table.columns.values():
        if column.rows:
            keep = column.rows[-1] < table.rows - 1
            column.rows[-1], column.values[-1] = column.rows[-1][keep], column.values[-1][keep]
        if column.first is not None and column.first[0] == table.rows - 1:
            column.texts, column.first = 0, None


def _longer(file: TextIOBase, count: int, delimiter: str, skipped: int) -> int:
    """The first line of more cells than there are names; 0 for none."""
    file.seek(0)
    for i, line in enumerate(file, 1):
        if i > skipped and len(_cells(line.rstrip("\r\n"), delimiter)) > count:
            return i
    return 0


def _misshapen(name: str, error: Exception, skipped: int, longer: int) -> InputError:
    text = str(error)
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", text):
        line = int(found[2]) + skipped
        return InputError(f"{name}, line {line}", f"have {int(found[1]) - 1} cells as the header", f"{found[3]} cells")
    if isinstance(error, Warning):
        return InputError(f"{name}, line {longer}", "have as many cells as the header has names", "more")
    return InputError(name, "be a table of text with a line of names", text.removeprefix("Error tokenizing data. "))
