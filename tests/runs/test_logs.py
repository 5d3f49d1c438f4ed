"""Logs of other tools as runs: what is read of each format, which of several values wins, what losses are called."""

import codecs
import json
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from egan_theory.base.errors import InputError, MissingExtra
from egan_theory.cli.app import main
from egan_theory.runs.logs.names import clean, player_of
from egan_theory.runs.logs.tensorboard import _Reader
from egan_theory.runs.logs.text import _unique
from egan_theory.runs.schema import validate_runs

EVENTS = Path(__file__).parent / "logs" / "events"
D, G = "loss_discriminator", "loss_generator"


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def row(ds: xr.Dataset, name: str, run: int = 0) -> dict:
    """Step -> value of what is given."""
    values = ds[name].transpose("run", "time").values[run]
    return {t.item(): v.item() for t, v in zip(ds["time"].values, values, strict=True) if not math.isnan(v)}


def test_many_columns_of_one_name():
    """In a time that grows as their number: 9,000 took for ever."""
    assert _unique(["a", "b", "a", "a (2)", "a", ""]) == ["a", "b", "a (2)", "a (2) (2)", "a (3)", "column 6"]
    assert _unique(["a"] * 9_000)[-1] == "a (9000)"
    assert clean(["a" + "/" * i for i in range(1, 300)], ())["a" + "/" * 299] == "a_299"


# -- TensorBoard -------------------------------------------------------------------------------------------------------


def test_events_of_torch_with_a_restart():
    """Written by torch's SummaryWriter (logs/make_events.py): to step 9, then on from step 5, NaN from 12 on."""
    ds = eg.import_log(EVENTS / "torch")
    steps = np.arange(12)
    np.testing.assert_array_equal(ds[D].values[0, :12], (2 - 0.125 * steps - (steps >= 5)).astype(np.float32))
    np.testing.assert_array_equal(ds[G].values[0, :12], (1 + 0.125 * steps).astype(np.float32))
    assert row(ds, "fid") == {0: 50.0, 4: 46.0, 8: 42.0, 12: 38.0}
    assert row(ds, "score_real") == {15: 0.75} and row(ds, "score_fake") == {15: 0.25}
    assert ds["score_real"].attrs["logged_as"] == "score/real" and ds[D].attrs["logged_as"] == "Loss/D"
    np.testing.assert_array_equal(ds["wall_time"][0, :8], 1.7e9 + np.arange(8) + 100 * (np.arange(8) >= 5))
    assert ds["diverged_at"].values.tolist() == [12] and ds.attrs["status"] == "diverged at step 12"
    # 5 + 5 losses and fid at 8 were written again; the two scores at step 10 were of what was given up
    assert (ds.attrs["rewound"], ds.attrs["replaced"], ds.attrs["given_up"]) == (
        "cut back from step 10 to before step 5",
        11,
        2,
    )
    assert "left out, no scalars: note/text_summary, weights" in ds.attrs["import_notes"]


def test_events_of_tensors():
    ds = eg.import_log(next((EVENTS / "tensors").iterdir()))
    steps = np.arange(6)
    for name, values in (("raw", steps / 4), ("double", steps / 3), ("whole", -steps), (D, steps / 8)):
        np.testing.assert_array_equal(ds[name].values[0], values)
    assert "vector" not in ds and "left out, no scalars: vector" in ds.attrs["import_notes"]


def test_folders_of_events_are_runs():
    ds = eg.import_log(EVENTS)
    assert ds["run_name"].values.tolist() == ["tensors", "torch"] and ds.sizes["time"] == 16
    assert row(ds, D, 0) == {i: i / 8 for i in range(6)} and ds["diverged_at"].values.tolist() == [-1, 12]


def varint(n: int) -> bytes:
    out = bytearray()
    n %= 2**64
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def block(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def crc32c(data: bytes) -> int:
    """Castagnoli's, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def record(data: bytes) -> bytes:
    def mask(crc: int) -> bytes:
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)

    length = struct.pack("<Q", len(data))
    return length + mask(crc32c(length)) + data + mask(crc32c(data))


def event(step: int, **values: float) -> bytes:
    scalars = b"".join(block(1, block(1, n.encode()) + b"\x15" + struct.pack("<f", v)) for n, v in values.items())
    return record(b"\x09" + struct.pack("<d", 1e9 + step) + b"\x10" + varint(step) + block(5, scalars))


def events(*steps: int, name: str = "d_loss") -> bytes:
    return b"".join(event(s, **{name: s / 2}) for s in steps)


def test_events_by_hand(tmp_path):
    """Several values in one event, negative and large steps, the order of fields of another writer."""
    other = record(block(5, block(1, b"\x15" + struct.pack("<f", 7.0) + block(1, b"g_loss"))) + b"\x10" + varint(2**40))
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(event(-3, d_loss=1.0, g_loss=2.0) + events(1, 2, 300) + other)
    ds = eg.import_log(path)
    assert row(ds, D) == {-3: 1.0, 1: 0.5, 2: 1.0, 300: 150.0} and row(ds, G) == {-3: 2.0, 2**40: 7.0}
    assert ds.attrs["status"] == "finished" and "rewound" not in ds.attrs


def tensor(name: str, data: bytes, plugin: bytes = b"") -> bytes:
    about = block(9, block(1, block(1, plugin))) if plugin else b""
    return record(b"\x10\x05" + block(5, block(1, block(1, name.encode()) + block(8, data) + about)))


def test_tensors_that_are_no_scalars_are_left_out(tmp_path):
    """Another plugin's, a constant vector (stored as one value and its shape), words; and ones that are."""
    one, float32 = struct.pack("<f", 3.0), b"\x08\x01"
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(
        tensor("other", float32 + block(4, one), b"pr_curves")
        + tensor("constant", float32 + block(2, block(2, b"\x08\x03")) + block(5, one))
        + tensor("text", b"\x08\x07" + block(8, b"words"))
        + tensor("d_loss", float32 + block(4, one), b"scalars")
        + tensor("half", b"\x08\x13" + block(13, varint(0x3E00)))
        + tensor("bfloat", b"\x08\x0e" + block(4, b"\xc0\x3f"))
        + tensor("zero", float32)
        + tensor("flag", b"\x08\x0a\x58\x01")
    )
    ds = eg.import_log(path)
    found = {D: 3.0, "half": 1.5, "bfloat": 1.5, "zero": 0.0, "flag": 1.0}
    assert {n: row(ds, n) for n in ds.data_vars if "time" in ds[n].dims and n != "wall_time"} == {
        n: {5: v} for n, v in found.items()
    }
    assert "left out, no scalars: constant, other, text" in ds.attrs["import_notes"]


def test_events_of_a_form_that_was_seen_are_not_parsed_again(tmp_path, monkeypatch):
    parsed, real = [], _Reader._event
    monkeypatch.setattr(_Reader, "_event", lambda self, data: parsed.append(data) or real(self, data))
    (tmp_path / "events.out.tfevents.1").write_bytes(events(1, 2, 3, 500) + events(1, 2, name="g_loss"))
    ds = eg.import_log(tmp_path)
    assert len(parsed) == 2 and row(ds, D) == {1: 0.5, 2: 1, 3: 1.5, 500: 250} and row(ds, G) == {1: 0.5, 2: 1}


@pytest.mark.parametrize("cut", [1, 4, 5, 30, 40])
def test_the_last_event_may_be_cut_off(cut, tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    whole = events(1, 2, 3)
    path.write_bytes(whole[:-cut])
    ds = eg.import_log(path)
    assert row(ds, D) == {1: 0.5, 2: 1.0} and ds.attrs["status"] == "interrupted"
    assert "the last record is not complete" in ds.attrs["import_notes"]


def test_zeros_at_the_end_of_events_are_what_a_crash_leaves(tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(events(1, 2) + bytes(100))
    ds = eg.import_log(path)
    assert row(ds, D) == {1: 0.5, 2: 1.0} and ds.attrs["status"] == "interrupted"


def test_damaged_events_name_their_record(tmp_path):
    path, whole = tmp_path / "events.out.tfevents.1", bytearray(events(1, 2, 3))
    size = len(events(1))
    for at, found in ((size + 20, "record 2 (byte 44), whose data"), (size + 3, "record 2 (byte 44), whose length")):
        assert size == 44
        bad = bytearray(whole)
        bad[at] ^= 1
        path.write_bytes(bad)
        with pytest.raises(InputError, match="hold whole records") as error:
            eg.import_log(path)
        assert found in str(error.value) and str(path) in str(error.value)


# -- steps -------------------------------------------------------------------------------------------------------------


def test_a_restart_gives_up_what_was_logged_after_it(tmp_path):
    """Rewound from 90 to before 60: old 60 to 90 go, also of a scalar that the new trajectory has not logged yet."""
    old = [f"{s},{s},," for s in range(0, 100, 10)] + ["50,,5,", "80,,8,"]
    new = [f"{s},{-s},," for s in (60, 70)]
    path = write(
        tmp_path / "log.csv",
        "\n".join(["step,d_loss,fid,none", *sorted(old, key=lambda r: int(r.split(",")[0])), *new]),
    )
    ds = eg.import_log(path)
    assert row(ds, D) == {0: 0, 10: 10, 20: 20, 30: 30, 40: 40, 50: 50, 60: -60, 70: -70}
    assert row(ds, "fid") == {50: 5} and ds.attrs["rewound"] == "cut back from step 90 to before step 60"
    assert (ds.attrs["replaced"], ds.attrs["given_up"]) == (2, 3)


def test_epochs_and_steps_beside_each_other_go_back_each_on_its_own(tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(
        events(100, 200, 300) + events(1, 2, 3, name="acc") + events(400, 200, 300) + events(2, name="acc")
    )
    ds = eg.import_log(path)
    assert row(ds, D) == {100: 50, 200: 100, 300: 150} and row(ds, "acc") == {1: 0.5, 2: 1.0}


def test_which_rule_was_used_where_steps_go_back_is_said(tmp_path, capsys):
    """In one line: a restart and a file out of order look the same."""
    log = write(tmp_path / "log.csv", "step,d_loss,g_loss\n0,1,1\n10,2,2\n5,3,3\n20,4,4\n15,5,5\n")
    assert main(["import", str(log), "-o", str(tmp_path / "a.nc")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        said.count("log: step 5 comes after step 10, and 1 more: taken as training that went on from an earlier step")
        == 1
    )
    assert "if the file is merely out of order, sort it by step" in said
    assert row(eg.open_runs(tmp_path / "a.nc"), D) == {0: 1, 5: 3, 15: 5}
    assert (
        "comes after" not in eg.import_log(write(tmp_path / "b.csv", "step,d_loss\n0,1\n5,3\n")).attrs["import_notes"]
    )


def test_a_step_written_twice_has_its_later_value(tmp_path):
    ds = eg.import_log(write(tmp_path / "log.csv", "step,d_loss,g_loss\n0,1,5\n1,2,5\n1,3,\n2,4,6\n"))
    assert row(ds, D) == {0: 1, 1: 3, 2: 4} and row(ds, G) == {0: 5, 1: 5, 2: 6}
    assert ds.attrs["replaced"] == 1 and "rewound" not in ds.attrs


def test_tables_from_the_last_step_to_the_first_are_no_restarts(tmp_path):
    ds = eg.import_log(write(tmp_path / "log.csv", "step,d_loss\n3,30\n2,20\n1,10\n"))
    assert row(ds, D) == {1: 10, 2: 20, 3: 30} and "read from the end" in ds.attrs["import_notes"]


def test_a_shuffled_log_is_put_in_order(tmp_path):
    steps = np.random.default_rng(0).permutation(1000)
    text = "step,d_loss\n" + "".join(f"{s},{s}\n" for s in steps)
    ds = eg.import_log(write(tmp_path / "log.csv", text))
    assert row(ds, D) == {s: s for s in range(1000)} and "put in order" in ds.attrs["import_notes"]


def test_values_without_steps_are_numbered(tmp_path):
    write(tmp_path / "run" / "metrics" / "d_loss", "1000 0.5 0\n2000 0.25 0\n3000 0.125 0\n")
    ds = eg.import_log(tmp_path / "run")
    assert row(ds, D) == {0: 0.5, 1: 0.25, 2: 0.125} and "logged without steps" in ds.attrs["import_notes"]


@pytest.mark.parametrize(
    ("values", "diverged", "note"),
    [
        ("1,nan,inf", 1, ""),
        ("nan,nan,nan", 0, ""),
        ("1,nan,2", -1, "1 value of d_loss not finite, the first at step 1"),
        ("1,,2", -1, ""),
        ("1,2,-Infinity", 2, ""),
        ("1,inf,2", -1, "d_loss diverged at step 1: 1 infinite value, finite again at step 2"),
        ("-1e999,inf,2", -1, "d_loss diverged at step 0: 2 infinite values, finite again at step 2"),
    ],
)
def test_losses_that_are_not_finite(values, diverged, note, tmp_path):
    text = "step,d_loss,lr\n" + "".join(f"{i},{v},1\n" for i, v in enumerate(values.split(",")))
    ds = eg.import_log(write(tmp_path / "log.csv", text))
    assert ds["diverged_at"].values.tolist() == [diverged] and row(ds, "lr") == {0: 1, 1: 1, 2: 1}
    assert note in ds.attrs["import_notes"] and ("finite" in ds.attrs["import_notes"]) == bool(note)
    assert ds.attrs["status"] == (f"diverged at step {diverged}" if diverged >= 0 else "finished")


# -- W&B, MLflow, CSV --------------------------------------------------------------------------------------------------


def test_chart_of_wandb(tmp_path):
    path = write(
        tmp_path / "wandb_export.csv",
        '"Step","brisk-sea-2 - d_loss","brisk-sea-2 - d_loss__MIN","brisk-sea-2 - d_loss__MAX","a - b - d_loss",'
        '"a - b - d_loss__MIN","a - b - d_loss__MAX"\n'
        '"0","1.5","1.4","1.6","","",""\n"10","1.25","1.2","1.3","2","2","2"\n',
    )
    ds = eg.import_log(path)
    assert ds["run_name"].values.tolist() == ["brisk-sea-2", "a - b"]
    assert row(ds, D) == {0: 1.5, 10: 1.25} and row(ds, D, 1) == {10: 2} and "__MIN" in ds.attrs["import_notes"]
    assert len([v for v in ds.data_vars if "time" in ds[v].dims]) == 1


HISTORY = [
    {"_step": 0, "_runtime": 1, "_timestamp": 1.7e9, "train/d_loss": 1.5, "image": {"_type": "image-file"}},
    {"_step": 5, "_runtime": 2, "_timestamp": 1.7e9 + 1, "train/d_loss": "NaN", "train/g_loss": 2},
    {"_step": 7, "_runtime": 3, "_timestamp": 1.7e9 + 2, "train/d_loss": None, "train/g_loss": "Infinity"},
]


@pytest.mark.parametrize("form", ["lines", "list", "csv"])
def test_history_of_wandb(form, tmp_path):
    if form == "csv":  # pandas: run.history().to_csv()
        text = ",_step,_timestamp,train/d_loss,train/g_loss\n0,0,1700000000.0,1.5,\n1,5,1700000001.0,nan,2.0\n"
        text += "2,7,1700000002.0,,inf\n"
    else:
        text = json.dumps(HISTORY) if form == "list" else "".join(json.dumps(r) + "\n" for r in HISTORY)
    ds = eg.import_log(write(tmp_path / f"history.{'csv' if form == 'csv' else 'jsonl'}", text))
    assert row(ds, D) == {0: 1.5} and row(ds, G) == {5: 2.0, 7: math.inf}
    assert ds["diverged_at"].values.tolist() == [5]  # the discriminator's loss; the generator's at 7
    assert ds["wall_time"].values.tolist() == [[1.7e9, 1.7e9 + 1, 1.7e9 + 2]]
    assert {*ds.data_vars} == {D, G, "wall_time", "diverged_at"}


def chunks(*records: bytes) -> bytes:
    """A file of W&B: records in chunks that end at every 32 KiB."""
    out = bytearray(b":W&B\xe1\xbe\0")
    for data in records:
        first = True
        while True:
            if (left := 32768 - len(out) % 32768) < 7:
                out += bytes(left)
                left = 32768
            part, data = data[: left - 7], data[left - 7 :]
            kind = bytes([(1 if not data else 2) if first else (4 if not data else 3)])
            out += struct.pack("<IH", zlib.crc32(kind + part), len(part)) + kind + part
            first = False
            if not data:
                break
    return bytes(out)


def logged(**values: object) -> bytes:
    def item(name: str, value: object) -> bytes:
        keys = name.split("__")
        named = block(1, name.encode()) if len(keys) == 1 else b"".join(block(2, k.encode()) for k in keys)
        return block(1, named + block(16, json.dumps(value).encode()))

    return b"\x08\x01" + block(2, b"".join(item(n, v) for n, v in values.items()))


def test_file_of_wandb_itself(tmp_path):
    """Fields and chunks as wandb 0.31 writes them (a run of its own was read, too); a record longer than a block."""
    run = block(17, block(1, b"f58e8lo3") + block(8, b"brisk"))
    rows = [logged(_step=i, _timestamp=1.7e9 + i, d_loss=i / 2, train__g_loss="NaN" if i else 1) for i in range(3)]
    data = chunks(run, rows[0], logged(_step=0, note="x" * 70_000), *rows[1:], *[block(4, b"y" * 100)] * 400)
    path = tmp_path / "wandb" / "offline-run-1" / "run-f58e8lo3.wandb"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    ds = eg.import_log(tmp_path / "wandb")
    assert ds["run_name"].values.tolist() == ["brisk"] and ds.attrs["status"] == "diverged at step 1"
    assert row(ds, D) == {0: 0, 1: 0.5, 2: 1} and row(ds, G) == {0: 1} and ds["wall_time"].values[0, 2] == 1.7e9 + 2
    path.write_bytes(data[:-50])
    assert eg.import_log(path).attrs["status"] == "interrupted"
    path.write_bytes(data[:200].replace(b"brisk", b"brusk") + data[200:])
    with pytest.raises(InputError, match="a chunk at byte 7 without its checksum"):
        eg.import_log(path)


def test_parquet_needs_its_extra_or_is_read(tmp_path):
    path = tmp_path / "history.parquet"
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        path.write_bytes(b"PAR1" + bytes(50) + b"PAR1")
        with pytest.raises(MissingExtra, match=r"egan-theory\[logs\]"):
            eg.import_log(path)
        return
    pq.write_table(pa.table({"_step": [0, 1], "d_loss": [1.5, None], "note": ["a", "b"]}), path)
    assert row(eg.import_log(path), D) == {0: 1.5}


def test_folder_of_mlflow(tmp_path):
    run = tmp_path / "mlruns" / "0" / "8c2f"
    write(run / "metrics" / "loss" / "critic", "1700000000000 1.5 0\n1700000001000 1.25 10\n1700000002000 nan 20\n")
    write(run / "metrics" / "g_loss", "1700000000500 0.5 0 data 12ab\n1700000001500 0.25 10")  # not whole: no end
    write(run / "tags" / "mlflow.runName", "sassy-fish-1")
    write(tmp_path / "mlruns" / "0" / "91aa" / "metrics" / "g_loss", "1700000000000 3 5\n")
    write(tmp_path / "mlruns" / ".trash" / "11" / "metrics" / "g_loss", "1700000000000 3 5\n")
    ds = eg.import_log(tmp_path / "mlruns")
    assert ds["run_name"].values.tolist() == ["sassy-fish-1", "91aa"] and ds["diverged_at"].values.tolist() == [20, -1]
    assert ds.attrs["status"] == "interrupted"
    assert row(ds, D) == {0: 1.5, 10: 1.25} and row(ds, G) == {0: 0.5} and row(ds, G, 1) == {5: 3}
    assert ds["wall_time"].sel(time=0).values[0] == 1.7e9 + 0.5 and "not complete" in ds.attrs["import_notes"]


def test_runs_of_mlflow_may_hold_event_files_and_other_folders_be_called_metrics(tmp_path):
    write(tmp_path / "0" / "8c2f" / "metrics" / "d_loss", "1700000000000 1.5 7\n")
    (tmp_path / "0" / "8c2f" / "artifacts").mkdir()
    (tmp_path / "0" / "8c2f" / "artifacts" / "events.out.tfevents.1").write_bytes(events(1))
    assert row(eg.import_log(tmp_path), D) == {7: 1.5}
    (tmp_path / "other" / "metrics").mkdir(parents=True)
    (tmp_path / "other" / "metrics" / "events.out.tfevents.1").write_bytes(events(1))
    assert row(eg.import_log(tmp_path / "other"), D) == {1: 0.5}


def test_statistics_of_stylegan(tmp_path):
    """stats.jsonl: of every scalar its number, mean and standard deviation."""
    none = {"num": 0, "mean": math.nan, "std": math.nan}
    rows = [
        {"Progress/kimg": {"num": 1, "mean": k, "std": 0}, "Loss/D/loss": {"num": 8, "mean": k / 4}, "r1": none}
        for k in (4, 8)
    ]
    path = write(tmp_path / "stats.jsonl", "".join(json.dumps(r) + "\n" for r in rows))
    ds = eg.import_log(path, step="Progress/kimg")
    assert row(ds, D) == {4: 1, 8: 2} and ds["time"].attrs["units"] == "kimg"


def test_chart_of_mlflow(tmp_path):
    text = "Run,Run ID,metric,step,timestamp,value\n"
    text += "".join(
        f"fish,{i},{m},{s},{1700000000000 + s},{s + i}\n" for i in (1, 2) for m in ("D/loss", "fid") for s in (0, 5)
    )
    ds = eg.import_log(write(tmp_path / "chart.csv", text))
    assert ds["run_name"].values.tolist() == ["fish 1", "fish 2"]
    assert row(ds, D, 1) == {0: 2, 5: 7} and row(ds, "fid") == {0: 1, 5: 6}
    assert ds["wall_time"].values[0].tolist() == [1.7e9, 1.7e9 + 0.005]


def test_logger_of_lightning(tmp_path):
    """Lines of training and of validation apart, two versions: two runs."""
    text = "epoch,g_loss,step,val_fid\n0,0.5,9,\n0,,9,40\n1,0.25,19,\n"
    for version in "01":
        write(tmp_path / f"version_{version}" / "metrics.csv", text)
    ds = eg.import_log(tmp_path)
    assert ds["run_name"].values.tolist() == ["version_0", "version_1"]
    assert row(ds, G) == {9: 0.5, 19: 0.25} and row(ds, "val_fid") == {9: 40} and "replaced" not in ds.attrs


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("epoch,d_loss,g_loss\n0,1.5,2\n1,0.5,3\n", "utf-8"),  # Keras
        ("epoch;d_loss;g_loss\r\n0;1,5;2\r\n1;0,5;3\r\n", "utf-8-sig"),
        ("epoch\td_loss\tg_loss\n0\t1.5\t2\n1\t0.5\t3\n", "utf-16"),
        ("# epoch d_loss g_loss\n0 1.5 2\n1 5e-1 3\n", "utf-8"),  # numpy.savetxt
        ('#{"env": 1}\n epoch , "d_loss" , g_loss\n 0 , 1.5 , 2\n\n1,.5,3,\n', "utf-8"),
    ],
)
def test_tables_of_text(text, encoding, tmp_path):
    ds = eg.import_log(write(tmp_path / "log.csv", text, encoding))
    assert row(ds, D) == {0: 1.5, 1: 0.5} and row(ds, G) == {0: 2, 1: 3} and ds["time"].attrs["units"] == "epoch"


def test_download_of_tensorboard_and_columns_that_are_named(tmp_path):
    write(tmp_path / "run-a-tag-D_loss.csv", "Wall time,Step,Value\n1700000000.5,10,1.5\n")
    write(tmp_path / "run-a-tag-G_loss.csv", "Wall time,Step,Value\n1700000000.5,10,2.5\n")
    ds = eg.import_log(tmp_path)
    assert ds["run_name"].values.tolist() == ["a"] and row(ds, D) == {10: 1.5} and row(ds, G) == {10: 2.5}
    path = write(tmp_path / "own.csv", "n,critic,a=b,note\n0.5,1,2,start\n1.5,3,4,\n")
    ds = eg.import_log(path, step="n", names={"critic": D, "a=b": "ratio"})
    assert row(ds, D) == {0.5: 1, 1.5: 3} and row(ds, "ratio") == {0.5: 2, 1.5: 4}
    assert "left out, no numbers: note" in ds.attrs["import_notes"]


def test_a_last_line_that_is_cut_off_is_left_out(tmp_path):
    ds = eg.import_log(write(tmp_path / "log.csv", "step,d_loss,g_loss\n10,1,2\n20,3,4\n30,5"))
    assert row(ds, D) == {10: 1, 20: 3} and ds.attrs["status"] == "interrupted"
    lines = json.dumps({"_step": 1, "d_loss": 2}) + '\n{"_step": 2, "d_lo'
    ds = eg.import_log(write(tmp_path / "log.jsonl", lines))
    assert row(ds, D) == {1: 2} and ds.attrs["status"] == "interrupted"


# -- names -------------------------------------------------------------------------------------------------------------


def test_names_of_losses():
    for name in (
        "d_loss",
        "loss_D",
        "D/loss",
        "Loss/D/loss",
        "errD",
        "LossD",
        "dloss",
        "train/disc_loss_epoch",
        "critic-loss",
    ):
        assert player_of(name) == D, name
    for name in ("g_loss", "lossG", "Loss/G", "gen_total_loss", "generator.loss", "Loss_G", "train_g_loss_step"):
        assert player_of(name) == G, name
    for name in (
        "d_loss_real",
        "val/d_loss",
        "g_path_loss",
        "loss",
        "D",
        "Loss/r1",
        "gd_loss_x",
        "d_g_loss",
        "dgloss",
        "grad",
    ):
        assert player_of(name) is None, name


def test_of_several_losses_the_plainest_is_taken(tmp_path):
    ds = eg.import_log(write(tmp_path / "log.csv", "step,train/d_loss_epoch,d_loss,d_loss_step\n0,1,2,3\n"))
    assert row(ds, D) == {0: 2} and row(ds, "train_d_loss_epoch") == {0: 1} and row(ds, "d_loss_step") == {0: 3}


def test_variables_are_identifiers_that_the_schema_leaves_free():
    names = ["a/b", "a.b", "particles", "1st", "", "é α", "time", "wall_time", D, "x" * 200]
    found = clean(names, {D})
    assert len({*found.values()}) == len(names) and all(v.isidentifier() for v in found.values())
    assert found["a/b"] == "a_b_2" and found["particles"] == "particles_logged" and found["1st"] == "scalar_1st"


# -- what can be done with them ----------------------------------------------------------------------------------------


def test_command_and_what_reads_its_file(tmp_path, capsys):
    runs, page = tmp_path / "runs.nc", tmp_path / "page"
    assert main(["import", str(EVENTS), "-o", str(runs), "--map", "whole=g_loss_own", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (
        data["format"] == "tensorboard" and data["names"] == ["tensors", "torch"] and data["diverged_at"] == [None, 12]
    )
    assert data["replaced"] == 11 and {s["name"] for s in data["scalars"]} >= {D, G, "g_loss_own", "score_real"}
    ds = eg.open_runs(runs)
    assert ds.identical(eg.open_runs(runs)) and ds["run_name"].values.tolist() == ["tensors", "torch"]
    lines = eg.plot.losses(ds).get_lines()
    assert [len(line.get_xdata()) for line in lines] == [6, 12, 0, 12]
    assert main(["new", "ring", "-o", str(tmp_path / "e.toml")]) == 0
    capsys.readouterr()
    for command in (["compare", str(runs)], ["report", "--runs", str(runs), "-o", str(page)]):
        command.insert(1, str(tmp_path / "e.toml"))
        assert main(command) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and "variable particles: must be present" in err and "eg.plot.losses" in err
    assert not page.exists()
    for figure in (eg.plot.cloud, eg.plot.relaxation):
        with pytest.raises(InputError, match="a log of 9 scalars"):
            figure(ds)
    with pytest.raises(InputError, match="variable particles"):
        eg.outcomes(ds, eg.Experiment())


@pytest.mark.parametrize("name", [D, "fid"])
def test_a_log_of_ones_own_of_one_run_may_lack_its_dimension(name, tmp_path):
    xr.Dataset({name: ("time", [1.0, np.nan, 3.0])}, {"time": [0, 5, 9]}).to_netcdf(
        tmp_path / "r.nc", engine="h5netcdf"
    )
    ds = eg.open_runs(tmp_path / "r.nc")
    assert ds[name].dims == ("run", "time") and row(ds, name) == {0: 1, 9: 3}
    with pytest.raises(InputError, match="a log of 1 scalar;"):
        eg.compare(eg.Experiment(), ds)
    empty = ds.isel(time=slice(0))
    with pytest.raises(InputError, match="dimension time: must have at least one entry"):
        validate_runs(empty)


def test_text_of_the_command(tmp_path, capsys):
    text = "step,d_loss,g_loss\n0,1,1\n10,2,2\n20,3,3\n10,4,4\n20,nan,5\n"
    path, out = write(tmp_path / "log.csv", text), str(tmp_path / "r.nc")
    assert main(["import", str(path), "-o", out]) == 0
    said = capsys.readouterr().out
    assert "cut back from step 20 to before step 10" in said and "4 values logged twice: the later one counts" in said
    assert "log: not finite from step 20 on (diverged)." in said and "diverged at step 20" in said


def test_byte_order_marks_are_known():
    from egan_theory.base.files import encoding_of

    assert [encoding_of(m + b"x") for m in (b"", codecs.BOM_UTF8, codecs.BOM_UTF16_BE)] == [
        "utf-8",
        "utf-8-sig",
        "utf-16",
    ]


def test_what_lies_beside_the_format_read_is_said(tmp_path):
    write(tmp_path / "mlruns" / "0" / "8c2f" / "metrics" / "d_loss", "1700000000000 3 5\n")
    for name in ("a.csv", "b.csv"):
        write(tmp_path / name, "step,g_loss\n0,1\n1,2\n")
    notes = eg.import_log(tmp_path).attrs["import_notes"]
    assert "left out: 2 files of CSV beside it (--format csv reads them)" in notes
    assert "left out" not in eg.import_log(tmp_path / "mlruns").attrs["import_notes"]
