"""Tables of lines of JSON, one object a row, or of one list of objects, and of Parquet files."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...base.errors import InputError, MissingExtra
from ...base.ram import check_size
from .table import ABSENT, Column, Table, number, words_of

PARQUET = b"PAR1"
#: characters of a line at most
_LONGEST = 10**8


def read_json_table(path: Path) -> Table:
    """The rows of a file of JSON. Values that are no numbers (media, histograms, nested ones) are left out; "NaN" and
    "Infinity", as W&B writes them, are numbers. Raises InputError, which names the line."""
    name = str(path)
    check_size(name, 2 * path.stat().st_size, "hold what fits in memory", "its numbers")
    end = [False]
    try:
        with open(path, "rb") as file:
            start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
            file.seek(0)
            listed = start.startswith(b"[")
            rows = _listed(file.read(), name) if listed else _lines(file, name, end)
            what = "record" if listed else "line"
            columns, words, count, places = collected(rows)
    except OSError as error:
        raise InputError(name, "be a readable file", error.strerror) from None
    if not count:
        raise InputError(name, "hold a history of scalars", "none")
    return Table(name, columns, words, count, lambda row: f"{name}, {what} {places[row]}", end[0])


def _listed(data: bytes, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        rows = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(name, "be a list of JSON objects", error) from None
    for i, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise InputError(f"{name}, record {i}", "be a JSON object", type(row).__name__)
        yield i, row


def _lines(file: Iterable[bytes], name: str, end: list[bool]) -> Iterator[tuple[int, dict[str, Any]]]:
    for i, line in enumerate(file, 1):
        if i == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        try:
            if len(line) > _LONGEST:
                raise ValueError("a line without an end")
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(type(row).__name__)
        except (ValueError, RecursionError) as error:
            if i > 1 and not line.endswith(b"\n"):
                end[0] = True
                return
            raise InputError(f"{name}, line {i}", "be a JSON object", error) from None
        yield i, row


def collected(
    rows: Iterable[tuple[int, dict[str, Any]]],
) -> tuple[dict[str, Column], dict[str, np.ndarray], int, array]:
    """Columns, words, the number of rows, and where each stands in the file."""
    places, indices, values = array("q"), dict[str, array](), dict[str, array]()
    columns: dict[str, Column] = {}
    texts: dict[str, dict[int, str]] = {}
    for count, (place, row) in enumerate(rows):
        places.append(place)
        for key, given in row.items():
            value = given.get("mean") if isinstance(given, dict) else given  # StyleGAN's stats.jsonl
            if key not in indices:
                indices[key], values[key], columns[key] = array("q"), array("d"), Column()
            if isinstance(value, str):
                texts.setdefault(key, {})[count] = value
                plain = None if value.strip().lower() in ABSENT else number(value)
                if plain is None:
                    if value.strip().lower() not in ABSENT:
                        columns[key].add_text(count, value)
                    continue
                value = plain
            elif value is None or isinstance(value, list | dict):
                continue
            try:
                values[key].append(value)
            except OverflowError:
                columns[key].add_text(count, "a whole number too large")
                continue
            indices[key].append(count)
    for key, column in columns.items():
        column.add(np.array(indices[key], np.int64), np.array(values[key], float))
    words = {n: _words(n, columns[n], texts.get(n, {}), len(places)) for n in words_of(list(columns))}
    return columns, words, len(places), places


def _words(name: str, column: Column, texts: dict[int, str], count: int) -> np.ndarray:
    out = np.full(count, "", object)
    for row, value in zip(*column.whole(), strict=True):
        out[row] = f"{value:g}"
    for row, text in texts.items():
        out[row] = text
    return out.astype(str)


def read_parquet_table(path: Path) -> Table:
    """The rows of a Parquet file. Raises InputError; MissingExtra without PyArrow."""
    name = str(path)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra("Parquet files need the extra logs: pip install 'egan-theory[logs]'") from None
    try:
        file = pq.ParquetFile(path)
        numeric = [f.name for f in file.schema_arrow if _is_number(pa, f.type)]
        words = words_of(file.schema_arrow.names)
        wanted = [*dict.fromkeys([*numeric, *words])]
        check_size(name, 9 * file.metadata.num_rows * max(len(wanted), 1), "hold what fits in memory", "its numbers")
        data = file.read(columns=wanted)
        columns, said = {}, {}
        for n in wanted:
            cells = data.column(n).combine_chunks()
            if n in words:
                said[n] = np.array(["" if v is None else str(v) for v in cells.to_pylist()], dtype=str)
                columns[n] = Column()
                continue
            rows = np.flatnonzero(~np.asarray(cells.is_null(nan_is_null=False)))
            columns[n] = Column(
                [rows], [cells.drop_null().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)]
            )
    except InputError:
        raise
    except Exception as error:  # PyArrow fails in many ways on what is not whole
        raise InputError(name, "be a readable Parquet file", error) from None
    return Table(name, columns, said, data.num_rows, lambda row: f"{name}, row {row + 1}")


def _is_number(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))
