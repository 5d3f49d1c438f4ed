"""Logs that are damaged, or none: one line that names file and line or record, and nothing is written."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import egan_theory as eg
from egan_theory.base.errors import EganError, InputError
from egan_theory.cli.app import main
from egan_theory.runs.logs.importing import FORMATS
from egan_theory.runs.logs.wire import Records, fields

from .test_logs import EVENTS, block, event, events, record, write

CSV = "step,d_loss,g_loss\n0,1,2\n"


def refused(source: Path, found: str, *options: str) -> None:
    """The command says so in one line with exit code 2, and leaves nothing."""
    folder = source.parent
    before = sorted(p.name for p in folder.rglob("*"))
    assert main(["import", str(source), "-o", str(folder / "runs.nc"), *options]) == 2
    assert sorted(p.name for p in folder.rglob("*")) == before


BAD_TEXT = {
    "no number": (
        CSV + "1,x,3\n2,1,1\n",
        "log.csv, line 3: must hold a number in the column of values 'd_loss', but found 'x'",
    ),
    "no number, far": (CSV + "1,2,3\n" * 150_000 + "1,2,what\n", "line 150003: must hold a number"),
    "no step": (CSV + ",1,3\n", "log.csv, line 3: must have its step, below 2^53, in column 'step', but found none"),
    "step of words": (
        CSV + "one,1,3\n",
        "log.csv, line 3: must hold a number in the column of steps 'step', but found 'one'",
    ),
    "step infinite": (CSV + "inf,1,3\n", "line 3: must have its step, below 2^53"),
    "step beyond": (CSV + "1e300,1,3\n", "line 3: must have its step, below 2^53, in column 'step', but found 1e+300"),
    "one cell more": (CSV + "1,2,3,4\n", "log.csv, line 3: must have 3 cells as the header"),
    "cells more": (CSV + "1,2,3,4,5,6\n", "log.csv, line 3: must have 3 cells as the header, but found 6 cells"),
    "cells more at once": (
        "step,d_loss\n0,1,2,3\n",
        "log.csv, line 2: must have as many cells as the header has names",
    ),
    "no steps": ("time of day,d_loss\n0,1\n", "must have a column of steps"),
    "more columns than any log has": ("a," * 20_000 + "step\n", "log.csv, line 1: must name at most 10000 columns"),
    "no names": ("0,1,2\n1,2,3\n", "log.csv, line 1: must be a line of column names, but found numbers"),
    "empty": ("", "must begin with a line of column names"),
    "names only": ("step,d_loss\n", "must hold values"),
    "steps only": ("step,d_loss\n0,\n", "must hold values"),
    "zero bytes": ("step,d_loss\n0,\0\n", "must be a text file"),
    "open quote": ('step,d_loss\n0,"1\n1,2\n2,3\n', "log.csv"),
    "table of runs": ("run_id,experiment_id,metrics.d_loss\na,0,1\n", "must hold values with their steps"),
    "json": (
        '{"_step": 0, "d_loss": 1}\n{"_step": 1, "d_loss"\n{"_step": 2}\n',
        "log.csv, line 2: must be a JSON object",
    ),
    "json of words": (
        '{"_step": 0, "d_loss": 1}\n{"_step": "two", "d_loss": 2}\n',
        "line 2: must hold a number in the column of steps",
    ),
    "json list": ('{"_step": 0, "d_loss": 1}\n[1, 2]\n', "line 2: must be a JSON object"),
    "json deep": ("[" * 100_000 + "\n", "must be a list of JSON objects"),
    "json huge": ('{"_step": 0, "d_loss": 1' + "0" * 5000 + "}\n", "line 1: must"),
}


@pytest.mark.parametrize("name", BAD_TEXT)
def test_tables_that_are_not_what_they_should_be(name, tmp_path, capsys):
    text, found = BAD_TEXT[name]
    refused(write(tmp_path / "log.csv", text), found)
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and found in err


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _made(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _deep(folder: Path) -> Path:
    bad = folder / "run" / "metrics" / "d_loss"
    write(bad, "1700000000000 1 0\n1700000000000 one 1\n")
    return folder / "run"


BAD_SOURCES = {
    "nothing": (lambda f: f / "log.csv", "log: must be an existing file or folder, but found no such file"),
    "a pipe": (lambda f: _fifo(f / "log.csv"), "log: must be an existing file or folder, but found no regular file"),
    "empty folder": (lambda f: f, "must hold a log"),
    "device": (lambda f: Path("/dev/null"), "log: must be an existing file or folder, but found no regular file"),
    "long name": (lambda f: f / ("x" * 5000), "log: must be an existing file or folder"),
    "zero byte": (lambda f: Path("a\0b"), "log: must be an existing file or folder"),
    "binary": (lambda f: _made(f / "log.csv", bytes(range(256)) * 50), "must be a text file"),
    "latin": (lambda f: _made(f / "log.csv", b"step,d\xe9\n0,1\n"), "must be a UTF-8 text file"),
    "image": (lambda f: _made(f / "log.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(99)), "must be a text file"),
    "mlflow": (_deep, 'd_loss, line 2: must be "timestamp value step", but found'),
    "offline": (lambda f: _made(f / "run-1.wandb", b":W&B\xe1\xbe\0xxxx\5\0\1" + b"x" * 9), "a chunk at byte 7"),
    "offline, empty": (lambda f: _made(f / "run-1.wandb", b":W&B\xe1\xbe\0"), "run-1.wandb: must hold a history"),
    "no events": (lambda f: _made(f / "a.tfevents", b""), "must hold scalars, but found none in 1 event file"),
    "other events": (lambda f: _made(f / "a.tfevents", b"0123456789" * 9), "must be a TensorBoard event file"),
    "no scalars": (lambda f: _made(f / "a.tfevents", record(b"\x09" + bytes(8))), "must hold scalars"),
    "far event": (lambda f: _made(f / "a.tfevents", events(2**60)), "a.tfevents, d_loss: must have steps below 2^53"),
    "broken event": (
        lambda f: _made(f / "a.tfevents", events(1) + record(b"\x2a\x7f\x0a")),
        "record 2: a field beyond the end of its message",
    ),
    "endless number": (
        lambda f: _made(f / "a.tfevents", events(1) + record(b"\x10" + b"\xff" * 12)),
        "record 2: a number without an end",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SOURCES)
def test_sources_that_hold_no_log(name, tmp_path, capsys):
    make, found = BAD_SOURCES[name]
    assert main(["import", str(make(tmp_path)), "-o", str(tmp_path / "runs.nc")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and found in err and not (tmp_path / "runs.nc").exists()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--map", "d_lss=loss_generator"], "map: must name scalars of the log (such as 'd_loss'"),
        (["--map", "d_loss"], "map: must be NAME=VAR"),
        (["--map", "d_loss=particles"], "particles: must be a name that the schema leaves free"),
        (["--map", "d_loss=two words"], "two words: must be a name that the schema leaves free"),
        (["--map", "d_loss=wall_time"], "map: must give each variable once"),
        (["--map", "d_loss=a", "--map", "g_loss=a"], "map: must give each variable once"),
        (["--step", "stp"], "step: must be a column of"),
        (["--format", "tensorbord"], "format: must be one of mlflow, tensorboard, wandb, csv"),
        (["--format", "tensorboard"], "must be a TensorBoard event file"),
        (["--format", "mlflow"], "must be a folder of MLflow"),
        (["--format", "wandb"], "must be a JSON object"),
    ],
)
def test_options_that_do_not_fit(options, found, tmp_path, capsys):
    refused(write(tmp_path / "log.csv", CSV), found, *options)
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and found in err


def test_a_log_is_not_written_over(tmp_path, capsys):
    path = write(tmp_path / "log.nc", CSV)
    assert main(["import", str(path), "-o", str(path), "--overwrite"]) == 2
    assert "output: must not be one of the files read" in capsys.readouterr().err and path.read_text() == CSV


FUZZ = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def tried(path: Path) -> None:
    """Runs, or an error of the package's own, in every format."""
    for kind in (None, *FORMATS):
        try:
            ds = eg.import_log(path, format=kind)
        except EganError:
            continue
        assert ds.sizes["run"] and ds.sizes["time"]


@FUZZ
@given(st.binary(max_size=300))
@example(b"PAR1" + bytes(9))
def test_random_bytes_are_read_or_refused(tmp_path, data):
    for name in ("log", "log.csv", "events.out.tfevents.1", "a.wandb", "a.jsonl"):
        tried(_made(tmp_path / name, data))


@FUZZ
@given(st.binary(max_size=80))
def test_random_events_in_sound_records(tmp_path, data):
    tried(_made(tmp_path / "events.out.tfevents.1", events(1) + record(data) + record(block(5, block(1, data)))))


@FUZZ
@given(st.integers(0, 6050), st.integers(0, 255))
def test_events_with_one_byte_changed(tmp_path, at, byte):
    data = bytearray(next(p for p in sorted((EVENTS / "torch").iterdir()) if p.is_file()).read_bytes())
    data[at] = byte
    tried(_made(tmp_path / "events.out.tfevents.1", bytes(data)))


CELLS = (
    "",
    "0",
    "1",
    "-1",
    "2.5",
    "nan",
    "inf",
    "1e400",
    "x",
    "é",
    '"',
    "#",
    "1,2",
    " ",
    "step",
    "True",
    "\0",
    "9" * 30,
)
NAMES = ("step", "_step", "epoch", "d_loss", "run", "metric", "value", "a - b", "a - b__MIN", "", "Run ID", "timestamp")
PLAIN = st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.integers()
KEYS = st.sampled_from(["_step", "d_loss", "run", "x"])


@FUZZ
@given(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=5),
    st.lists(st.lists(st.sampled_from(CELLS), max_size=6), max_size=6),
    st.sampled_from([",", ";", "\t", "|", " "]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_random_tables(tmp_path, names, rows, delimiter, end):
    text = end.join(delimiter.join(cells) for cells in [names, *rows])
    tried(write(tmp_path / "log.csv", text))


@FUZZ
@given(st.recursive(PLAIN, lambda s: st.lists(s, max_size=3) | st.dictionaries(KEYS, s, max_size=3), max_leaves=12))
def test_random_json(tmp_path, value):
    last = json.dumps({"_step": 1, "d_loss": value})
    tried(write(tmp_path / "log.jsonl", f"{json.dumps(value)}\n{last}"))


def test_lengths_are_checked_before_anything_is_read(tmp_path):
    """A record that says it has 2^60 bytes is one that was cut off; a field of as many is refused."""
    path = _made(tmp_path / "events.out.tfevents.1", event(1, d_loss=1.0) + record(bytes(20))[:12])
    records = Records(path)
    assert len(list(records)) == 1 and records.truncated
    with pytest.raises(ValueError, match="beyond the end"):
        list(fields(b"\x0a" + b"\xff" * 8 + b"\x0f", 0, 10))
    with pytest.raises(InputError, match="a first record without its checksum"):
        list(Records(_made(tmp_path / "b", b"\xff" * 40)))
