"""Stores that would take more memory than they have bytes, and recordings that lost what says that they are one."""

import json
import shutil
import time

import numpy as np
import pytest
from numcodecs import Zstd

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.cli.app import main
from egan_theory.runs import unfinished
from egan_theory.runs.chunks import Form, announced
from egan_theory.runs.store import COMPLETE, LOCK, ROOT
from egan_theory.sweeps.complete import _sum
from egan_theory.sweeps.reading import DIGEST, metadata_digest
from tests.builders import RING

X = np.arange(8.0).reshape(4, 2)


@pytest.fixture
def recording(tmp_path):
    """The store of one that was not finished."""
    writer = eg.RunWriter(tmp_path / "a.nc", target=X, chunk=2)
    for step in range(4):
        writer.log(step, X + step)
    writer.abandon()
    return tmp_path / "a.nc.zarr"


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    from egan_theory.sweeps import run
    from egan_theory.sweeps.batch import run_batch

    folder = tmp_path_factory.mktemp("swept")
    (folder / "e.toml").write_text(RING)
    exp = eg.Experiment.from_toml_string(RING, changes={"run.steps": 2, "run.record_every": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "in_processes", lambda text, left, workers: ((i, run_batch(text, i)) for i in left))
        eg.sweep(exp, ["penalty.r1=0.1:1:2"], folder / "s.zarr", batch=1)
    return folder


def forged(store, name, change):
    """The metadata of a recording's array changed by somebody who knows the checksums."""
    file, root = store / name / ROOT, store / ROOT
    data, group = json.loads(file.read_text()), json.loads(root.read_text())
    change(data)
    file.write_text(json.dumps(data))
    attrs = group["attributes"]
    state = attrs.pop("recording")
    sizes = zip(data["dimension_names"], data.pop("shape"), strict=True)
    state["metadata"][name] = unfinished._digest([data, [n for dim, n in sizes if dim != "time"]])
    state["digest"] = unfinished._digest([attrs, state | {"digest": None}])
    attrs["recording"] = state
    root.write_text(json.dumps(group))


def refused(store, capsys, *named):
    start = time.monotonic()
    store.with_name("e.toml").write_text(RING)
    assert main(["compare", str(store.with_name("e.toml")), str(store)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and all(word in said for word in (store.name, *named)), said
    assert time.monotonic() - start < 10


GZIP = {"name": "gzip", "configuration": {"level": 5}}
FORGED = {
    "gzip": (lambda d: d["codecs"].insert(1, GZIP), "encode chunks by"),
    "transpose": (
        lambda d: d["codecs"].insert(0, {"name": "transpose", "configuration": {"order": [3, 2, 1, 0]}}),
        "encode chunks by",
    ),
    "shape": (lambda d: d.update(shape=[1, 3200, 4, 2 * 10**7]), "every chunk"),
    "chunks": (lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=[1, 10**12, 4, 2]), "fit in memory"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_recording_that_is_a_bomb_is_refused(name, recording, capsys):
    change, said = FORGED[name]
    forged(recording, "particles", change)
    refused(recording, capsys, "particles", said)


def test_a_target_larger_than_any_is_refused(recording, capsys):
    forged(recording, "target", lambda d: d.update(shape=[10**9, 2]))
    refused(recording, capsys, "target", "at most 20000000")


def test_a_chunk_with_more_bytes_than_its_array_has_is_not_read(recording, capsys):
    file = recording / "particles" / "c.0.0.0.0"
    with open(file, "r+b") as chunk:
        chunk.truncate(2**40)
    refused(recording, capsys, file.name, f"{2**40} bytes")


def frame_of(size, *, tells=True):
    """One frame of so many zero bytes, made of blocks of one byte repeated."""
    head = b"\x28\xb5\x2f\xfd" + (b"\xe0" + size.to_bytes(8, "little") if tells else b"\x00\x58")
    out, left = head, size
    while left:
        block = min(left, 2**17)
        left -= block
        out += (block << 3 | 1 << 1 | (left == 0)).to_bytes(3, "little") + b"\0"
    return out


BOMBS = {
    "a large frame": lambda whole: frame_of(10**6),
    "one that only says so": lambda whole: frame_of(8)[:5] + (10**15).to_bytes(8, "little") + frame_of(8)[13:],
    "one that does not tell": lambda whole: frame_of(10**6, tells=False),
    "a second frame": lambda whole: whole + frame_of(10**6),
    "cut": lambda whole: whole[:-1],
    "no frame": lambda whole: b"",
}


@pytest.mark.parametrize("array", ["final/c/1/0/0/0", "reason/c/1"])
@pytest.mark.parametrize("name", BOMBS)
def test_a_chunk_of_a_sweep_that_is_a_bomb_is_refused(name, array, swept, tmp_path, monkeypatch):
    """With the record that somebody made for it; nothing of it is inflated."""
    store = shutil.copytree(swept / "s.zarr", tmp_path / "s.zarr")
    file, record = store / array, store / COMPLETE / "1.json"
    file.write_bytes(BOMBS[name](file.read_bytes()))
    sums = json.loads(record.read_text())
    record.write_text(json.dumps(sums | {array.split("/")[0]: _sum(file.read_bytes())}))
    with pytest.raises(InputError, match=r"must be as it was written") as error:
        eg.sweep_grid(eg.open_sweep(store)[[array.split("/")[0]]])
    assert error.value.field == str(file)


def test_many_texts_in_few_bytes_are_refused(swept, tmp_path):
    store = shutil.copytree(swept / "s.zarr", tmp_path / "s.zarr")
    file, record = store / "reason/c/1", store / COMPLETE / "1.json"
    file.write_bytes(Zstd().encode(b"\xff\xff\xff\x7f" + bytes(4)))
    record.write_text(json.dumps(json.loads(record.read_text()) | {"reason": _sum(file.read_bytes())}))
    with pytest.raises(InputError, match="2147483647 texts, where 1 belong"):
        eg.open_sweep(store)["reason"].load()


def test_a_sweep_with_a_foreign_codec_is_refused(swept, tmp_path, capsys):
    store = shutil.copytree(swept / "s.zarr", tmp_path / "s.zarr")
    group = json.loads((store / ROOT).read_text())
    group["consolidated_metadata"]["metadata"]["covered"]["codecs"].append(GZIP)
    attrs = {name: value for name, value in group["attributes"].items() if name != DIGEST}
    group["attributes"][DIGEST] = metadata_digest(group, attrs)
    (store / ROOT).write_text(json.dumps(group))
    with pytest.raises(InputError, match=r"zarr.json: must encode chunks by"):
        eg.sweep_grid(eg.open_sweep(store)[["covered"]])


@pytest.mark.parametrize("size", [0, 1, 255, 256, 300, 65_791, 65_792, 400_000])
def test_what_frames_announce(size):
    data = np.random.default_rng(size).integers(0, 4, size, dtype=np.uint8).tobytes()
    for config in ({"level": 0}, {"level": 19, "checksum": True}):
        frame = Zstd(**config).encode(data)
        assert announced(frame) == (size, len(frame))
        assert announced(frame + b"more") == (size, len(frame))
    assert Zstd().decode(frame_of(max(size, 1))) == bytes(max(size, 1))  # what the tests above make is a frame


# -- a recording without its zarr.json -----------------------------------------------------------------------------


@pytest.mark.parametrize("resume", [False, True])
def test_a_recording_that_lost_its_root_is_not_begun_over(recording, resume):
    (recording / ROOT).unlink()
    before = {p: p.read_bytes() for p in recording.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match=r"a\.nc\.zarr: must hold the recording's zarr\.json"):
        eg.RunWriter(recording.with_name("a.nc"), target=X, resume=resume)
    assert before == {p: p.read_bytes() for p in recording.rglob("*") if p.is_file()}


@pytest.mark.parametrize("moment", range(1, 6))
def test_one_killed_while_its_store_was_removed_leaves_the_place_free(recording, monkeypatch, moment):
    from egan_theory.runs import store

    unlink, left = store.Path.unlink, [moment]

    def killed(file, **how):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        unlink(file, **how)

    with monkeypatch.context() as patch:
        patch.setattr(store.Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            store.discard(recording)
    assert (recording / LOCK).exists() or not (recording / ROOT).exists()
    with eg.RunWriter(recording.with_name("a.nc"), target=X) as writer:
        writer.log(0, X)


@pytest.mark.parametrize("size", [63, 65])
def test_a_chunk_inflates_to_the_size_of_its_shape_to_the_byte(size):
    form = Form(8, 64, ("bytes", "zstd"))
    form.check("f", Zstd().encode(bytes(64)))
    with pytest.raises(InputError, match=f"f: must be as it was written, but found {size} bytes when inflated"):
        form.check("f", Zstd().encode(bytes(size)))
