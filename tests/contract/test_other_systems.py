"""Recording, saving and sweeping where the system lacks what POSIX has (Windows), emulated: folders cannot be opened,
files open for reading cannot be synchronised, open files are neither replaced nor moved, there are no fcntl, pwrite,
pread and posix_fallocate."""

import errno
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.sweeps import store
from egan_theory.sweeps.batch import run_batch
from egan_theory.sweeps.plan import make_plan

EXP = eg.Experiment(
    target={"kind": "ring", "modes": 2},
    generator={"particles": 2},
    discriminator={"features": 4},
    run={"steps": 20, "runs": 1},
)
X = EXP.points.coordinates
ON_LINUX = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="which files are open is read from /proc")


@pytest.fixture
def windows(monkeypatch):
    reading: set[int] = set()
    opened, closed, synchronise, rename, replace = os.open, os.close, os.fsync, os.rename, os.replace

    def open_(path, flags, *args, **kwargs):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        handle = opened(path, flags, *args, **kwargs)
        (reading.discard if flags & (os.O_RDWR | os.O_WRONLY) else reading.add)(handle)
        return handle

    def close(handle):
        reading.discard(handle)
        closed(handle)

    def fsync(handle):
        if handle in reading:
            raise OSError(errno.EBADF, "Bad file descriptor")
        synchronise(handle)

    def unless_open(move):
        def moved(source, target, **kwargs):
            held = {os.path.realpath(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")}
            for path in (source, target):
                inside = os.path.realpath(path) + os.sep
                if os.path.realpath(path) in held or any(name.startswith(inside) for name in held):
                    raise PermissionError(errno.EACCES, "The process cannot access the file", str(path))
            if move is rename and os.path.exists(target):
                raise FileExistsError(errno.EEXIST, "File exists", str(target))
            move(source, target, **kwargs)

        return moved

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "close", close)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", unless_open(rename))
    monkeypatch.setattr(os, "replace", unless_open(replace))
    for name in ("pwrite", "pread", "posix_fallocate"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(shutil, "_use_fd_functions", False, raising=False)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "filelock"]:  # chooses when it is imported
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "resource", None)


def log(writer: eg.RunWriter, steps: range) -> None:
    for step in steps:
        writer.log(step, X + 1e-5 * step)


@ON_LINUX
@pytest.mark.filterwarnings("ignore:only soft file lock")
def test_recordings(tmp_path, windows):
    path = tmp_path / "runs.nc"
    writer = eg.RunWriter(path, EXP, chunk=3)
    log(writer, range(7))
    with pytest.raises(InputError, match="one RunWriter at a time"):
        eg.RunWriter(path, EXP, resume=True)
    writer.abandon()
    assert eg.open_runs(path).sizes["time"] == 6
    with eg.RunWriter(path, EXP, chunk=3, resume=True) as writer:
        log(writer, range(6, 12))
    with eg.RunWriter(path, EXP, chunk=3, resume=True) as writer:
        log(writer, range(12, 14))
    runs = eg.open_runs(path)
    assert runs.attrs["status"] == "finished" and sorted(p.name for p in tmp_path.iterdir()) == ["runs.nc"]
    np.testing.assert_array_equal(runs["particles"][0], X + 1e-5 * np.arange(14)[:, None, None])
    eg.save(runs, path)  # onto what is there
    np.testing.assert_array_equal(eg.open_runs(path)["particles"], runs["particles"])


@ON_LINUX
@pytest.mark.filterwarnings("ignore:only soft file lock")
def test_sweeps(tmp_path, windows):
    plan = make_plan(EXP, ["penalty.r1=0.1:1:2"], batch=1)
    path = tmp_path / "s.zarr"
    for overwrite in (False, True):
        lock = store.prepare(path, plan, resume=False, overwrite=overwrite)
        with pytest.raises(InputError, match="another process"):
            store.prepare(path, plan, resume=True, overwrite=False)
        store.Writer(path, plan).write(0, run_batch(plan.text, 0))
        lock.release()
        store.prepare(path, plan, resume=True, overwrite=False).release()
        assert store.todo(path, plan) == [1]
    lock = store.prepare(path, plan, resume=True, overwrite=False)
    store.Writer(path, plan).write(1, run_batch(plan.text, 1))
    lock.release()
    assert list(eg.open_sweep(path)["status"].values) == [1, 1]
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]
