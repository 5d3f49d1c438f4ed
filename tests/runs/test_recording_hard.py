"""Recordings in hard places: forks, threads, another working directory, links, folders that vanish, odd steps."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from itertools import count

import filelock
import h5py
import numpy as np
import pytest

import egan_theory as eg
from egan_theory.base import locks
from egan_theory.base.errors import InputError
from egan_theory.runs.recording import WriteError
from egan_theory.runs.store import LOCK
from egan_theory.runs.unfinished import store_of

#: of other tests' JAX, and of threads: what is forked here ends at once
pytestmark = [
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]
X = np.arange(8.0).reshape(4, 2)


def steps_of(path):
    return eg.open_runs(path)["time"].values.tolist()


@pytest.fixture
def begun(tmp_path):
    """A writer with two complete samples."""
    w = eg.RunWriter(tmp_path / "a.nc", chunk=1)
    w.log(0, X)
    w.log(1, X + 1)
    return w


# -- forked processes ----------------------------------------------------------------------------------------------


def in_a_fork(do):
    """Run ``do`` in a forked process; what it says."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "nothing"
        try:
            said = str(do())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    with open(read) as end:
        said = end.read()
    os.waitpid(pid, 0)
    return said


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
# threads of Zarr are there; the child needs none of them
ignored = pytest.mark.filterwarnings("ignore:This process.*multi-threaded")


@needs_fork
@ignored
def test_a_forked_process_that_leaves_the_block_leaves_the_recording_alone(tmp_path, begun):
    with begun as w:
        assert in_a_fork(lambda: w.__exit__(None, None, None)) == "None"
        assert in_a_fork(lambda: w.__exit__(SystemExit, SystemExit(), None)) == "None"
        assert in_a_fork(w.abandon) == "None"
        assert store_of(w.path).is_dir() and not w.path.exists()
        w.log(2, X)
    assert steps_of(w.path) == [0, 1, 2] and os.listdir(tmp_path) == ["a.nc"]


@needs_fork
@ignored
def test_a_forked_process_may_not_write(begun):
    said = "InputError: RunWriter: must be used by the process that made it, but found one that was forked from it"
    for do in (lambda: begun.log(9, X), begun.flush, begun.close, lambda: begun.note(1, "x")):
        assert in_a_fork(do) == said
    begun.log(2, X)
    begun.close()
    assert steps_of(begun.path) == [0, 1, 2]


HELD_BY_CHILD = """
import os, sys, threading, time
import numpy as np, egan_theory as eg
made = []
make = lambda: made.append(eg.RunWriter(sys.argv[1], chunk=1))
thread = threading.Thread(target=make)  # as loggers do: not the thread that forks
thread.start(), thread.join()
made[0].log(0, np.ones((4, 2)))
pid = os.fork()
if pid == 0:
    os.close(1)
    time.sleep(60)
    os._exit(0)
print(pid, flush=True)
os.kill(os.getpid(), 9)
"""


@needs_fork
@pytest.mark.slow
def test_a_living_child_of_a_killed_process_does_not_keep_the_lock(tmp_path):
    """Also with the oldest filelock, which leaves its file open in the child."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HELD_BY_CHILD, str(tmp_path / "a.nc")], stdout=subprocess.PIPE, text=True
    )
    child = int(done.stdout)
    try:
        assert done.returncode == -signal.SIGKILL
        os.kill(child, 0)
        with eg.RunWriter(tmp_path / "a.nc", resume=True) as w:
            w.log(1, X)
    finally:
        os.kill(child, signal.SIGKILL)
    assert steps_of(tmp_path / "a.nc") == [0, 1]


@needs_fork
@ignored
def test_a_forked_process_closes_the_file_of_a_lock(tmp_path, monkeypatch):
    """What filelock before 4 does not do: a lock belongs to all processes that have its file open."""
    file = tmp_path / "lock"
    held = locks.lock(file)
    descriptor = held._held._context.lock_file_fd
    assert in_a_fork(lambda: os.readlink(f"/proc/self/fd/{descriptor}") == str(file)) != "True"
    assert in_a_fork(held.release) == "None" and locks.lock(file) is None
    held.release()


def test_a_lock_is_released_by_any_thread(begun):
    thread = threading.Thread(target=begun.abandon)
    thread.start(), thread.join()
    eg.RunWriter(begun.path, resume=True).abandon()


@pytest.mark.skipif(
    not hasattr(filelock.BaseFileLock, "_reset_after_fork_in_child"), reason="old ones empty the files of others"
)
def test_the_lock_of_a_process_that_has_ended_is_waited_for(tmp_path, monkeypatch):
    """A kill is seen before all files of the process are closed; one that lives is not waited for."""
    file = tmp_path / "lock"
    held = locks.lock(file)
    begin = time.monotonic()
    assert locks.lock(file) is None and locks.holder(file) == os.getpid() and time.monotonic() - begin < 0.5
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    file.write_text(file.read_text().replace(str(os.getpid()), str(ended.pid)))
    threading.Timer(0.1, held.release).start()
    again = locks.lock(file)
    assert again is not None
    file.write_text(f"{ended.pid} another.machine")
    assert locks.lock(file) is None  # nobody here knows whether it lives
    monkeypatch.setattr(locks, "LINGER", 0.05)
    monkeypatch.setattr(locks, "UNKNOWN", 0.0)
    file.write_text(f"{ended.pid} {os.uname().nodename}")
    assert locks.lock(file) is None
    again.release()
    assert file.read_text() == ""


def test_who_records_already_is_said(begun):
    with pytest.raises(InputError, match=rf"one RunWriter at a time, but found another .*process {os.getpid()}\)"):
        eg.RunWriter(begun.path)
    begun.abandon()


# -- threads -------------------------------------------------------------------------------------------------------


def test_four_threads_write_one_recording(tmp_path):
    w, number, refused, failed = eg.RunWriter(tmp_path / "a.nc", chunk=3), count(), [], []

    def work():
        for _ in range(30):
            step = next(number)
            try:
                w.log(step, X + step, loss_generator=float(step))
                if step % 7 == 0:
                    w.flush()
                    w.note(step, f"step {step}")
            except InputError:  # another thread was faster with a later step
                refused.append(step)
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    w.close()
    ds = eg.open_runs(tmp_path / "a.nc")
    assert not failed and sorted([*ds["time"].values.tolist(), *refused]) == list(range(120))
    np.testing.assert_array_equal(ds["particles"][0], X + ds["time"].values[:, None, None])
    np.testing.assert_array_equal(ds["loss_generator"][0], ds["time"])


# -- paths ---------------------------------------------------------------------------------------------------------


def test_a_relative_path_is_that_of_the_beginning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    with eg.RunWriter("a.nc", chunk=1) as w:
        w.log(0, X)
        os.chdir("other")
        w.log(1, X)
    assert os.listdir(tmp_path / "other") == [] and steps_of(tmp_path / "a.nc") == [0, 1]


def test_a_monitors_relative_path_is_that_of_the_beginning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    monitor = eg.Monitor(loss="wasserstein", latents=np.ones((3, 2)), path="a.nc")
    os.chdir("other")
    assert monitor.path == tmp_path / "a.nc"


def test_a_symbolic_link_stays_one_and_what_it_points_to_is_written(tmp_path):
    (tmp_path / "scratch").mkdir()
    link, real = tmp_path / "a.nc", tmp_path / "scratch" / "b.nc"
    link.symlink_to(real)
    w = eg.RunWriter(link, chunk=1)
    w.log(0, X)
    assert store_of(real).is_dir() and steps_of(link) == [0]  # unfinished, by the link's name
    w.close()
    assert link.is_symlink() and steps_of(real) == [0]
    with eg.RunWriter(link, chunk=1, resume=True) as w:
        w.log(1, X)
    assert link.is_symlink() and steps_of(link) == [0, 1] and os.listdir(tmp_path / "scratch") == ["b.nc"]
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(InputError, match=r"path: must be a usable file name, but found .*a\.nc"):
        eg.RunWriter(link)


# -- folders that vanish -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("removed", ["folder", "store"])
def test_a_removed_folder_is_said_and_not_begun_anew(tmp_path, removed):
    """What would be written to a new one lacks what was written before."""
    (tmp_path / "runs").mkdir()
    path = tmp_path / "runs" / "a.nc"
    gone = path.parent if removed == "folder" else store_of(path)
    with pytest.raises(WriteError, match=r"a chunk could not be written: .*a\.nc\.zarr was removed, and with it 2 sam"):
        with eg.RunWriter(path, chunk=2) as w:
            for step in range(4):
                w.log(step, X)
                if step == 2:
                    shutil.rmtree(gone)
    assert not gone.exists()
    (tmp_path / "runs").mkdir(exist_ok=True)
    w = eg.RunWriter(path, chunk=1)
    w.log(0, X)
    shutil.rmtree(gone)
    for _ in range(2):
        with pytest.raises(WriteError, match=r"the file could not be written: .* was removed, and with it 1 samples$"):
            w.close()
    w.abandon()
    assert not path.exists() and not gone.exists()


def test_a_store_that_another_one_put_in_its_place_is_left_alone(begun):
    shutil.rmtree(begun.folder)
    with eg.RunWriter(begun.path, chunk=1) as other:
        other.log(5, X)
        with pytest.raises(WriteError, match="was removed"):
            begun.log(2, X)
        begun.abandon()
    assert steps_of(other.path) == [5]


# -- odd steps, seeds and masks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [-3, -1e-9, 1e300, 2**53 + 2, 10**400])
def test_steps_that_are_no_number_of_steps_are_refused(tmp_path, step):
    """A divergence at step -3 could not be told from none, one at 1e300 from the step before."""
    w = eg.RunWriter(tmp_path / "a.nc", chunk=1)
    with pytest.raises(InputError, match=r"step: must (be from 0 to 2\^53|hold real numbers)"):
        w.log(step, X)
    with pytest.raises(InputError, match=r"step: must (be from 0 to 2\^53|hold real numbers|increase)"):
        w.log(0, X)
        w.log(step, np.nan * X)
    w.log(2**53, np.nan * X)
    w.close()
    assert eg.open_runs(tmp_path / "a.nc").attrs["status"] == f"diverged at step {2**53}"


@pytest.mark.parametrize("finished", [pytest.param(True, marks=pytest.mark.slow), False])
def test_another_seed_is_another_recording(tmp_path, finished):
    w = eg.RunWriter(tmp_path / "a.nc", seed=3, chunk=1)
    w.log(0, X)
    w.close() if finished else w.abandon()
    with pytest.raises(InputError, match="seed: must be that of the recording to resume, 3, but found 4"):
        eg.RunWriter(tmp_path / "a.nc", seed=4, resume=True)
    for step, given in enumerate(({"seed": 3}, {"seed": np.int64(3)}, {}), 1):
        with eg.RunWriter(tmp_path / "a.nc", resume=True, **given) as w:
            w.log(step, X)
    assert eg.open_runs(tmp_path / "a.nc").attrs["seed"] == 3
    w = eg.RunWriter(tmp_path / "b.nc", chunk=1)
    w.log(0, X)
    w.abandon()
    with pytest.raises(InputError, match="seed: must be that of the recording to resume, which has none, but found 4"):
        eg.RunWriter(tmp_path / "b.nc", seed=4, resume=True)


class Wrapped:
    """Something that is an array to NumPy, as columns of tables and views of files are."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_masks_of_what_becomes_an_array_are_not_ignored(tmp_path):
    masked = np.ma.masked_less(np.where(np.eye(4, 2), -999.0, X), 0)
    with eg.RunWriter(tmp_path / "a.nc") as w:
        with pytest.raises(InputError, match="particles: must have no masked entries"):
            w.log(0, Wrapped(masked))
        w.log(0, Wrapped(X))
    with pytest.raises(InputError, match="target: must have no masked entries"):
        eg.RunWriter(tmp_path / "b.nc", target=Wrapped(masked))


# -- ended from outside --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_terminated_is_as_killed(tmp_path):
    """SIGTERM, as clusters send it at the time limit, in a loop that does not handle it."""
    path = tmp_path / "a.nc"
    code = textwrap.dedent("""
        import sys, numpy as np, egan_theory as eg
        with eg.RunWriter(sys.argv[1], chunk=5) as w:
            for step in range(10**9):
                w.log(step, np.ones((4, 2)))
                if step == 12:
                    print("on", flush=True)
    """)
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.terminate()
        process.wait(30)
    assert process.returncode == -signal.SIGTERM
    n = len(steps_of(path))
    assert n >= 10 and n % 5 == 0
    with eg.RunWriter(path, chunk=5, resume=True) as w:
        w.log(n, X)
    assert steps_of(path) == list(range(n + 1)) and os.listdir(tmp_path) == ["a.nc"]


def test_what_somebody_puts_into_the_store_stays(tmp_path):
    """Beside a finished recording, and where only a lock says that the folder may be ours."""
    notes, other = store_of(tmp_path / "a.nc") / "notes.txt", store_of(tmp_path / "b.nc") / "notes.txt"
    with eg.RunWriter(tmp_path / "a.nc", chunk=1) as w:
        w.log(0, X)
        notes.write_text("x")
    assert steps_of(tmp_path / "a.nc") == [0] and [p.name for p in notes.parent.iterdir()] == ["notes.txt"]
    other.parent.mkdir()
    (other.parent / LOCK).touch()
    other.write_text("x")
    with pytest.raises(InputError, match="path: must leave the name of its store free"):
        eg.RunWriter(tmp_path / "b.nc")
    assert other.read_text() == notes.read_text() == "x"


# -- bytes that change on the disk ---------------------------------------------------------------------------------


def test_a_byte_that_changed_in_an_unfinished_recording_is_refused_by_the_name_of_its_file(tmp_path):
    path = tmp_path / "a.nc"
    w = eg.RunWriter(path, eg.Experiment(target=eg.Ring(modes=4), generator={"particles": 4}), chunk=2)
    for step in range(5):
        w.log(step, X + step, loss_generator=step)
    w.flush()
    good, rng = eg.open_runs(path), np.random.default_rng(0)
    files = [f for f in sorted(store_of(path).rglob("*")) if f.is_file() and f.name != ".lock"]
    assert len({f.parent for f in files}) > 6
    for file in files:
        data = file.read_bytes()
        for place in rng.integers(len(data), size=2):
            file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            try:
                assert eg.open_runs(path).identical(good), (file, place)  # room over time, spaces between words
            except InputError as error:
                assert str(error).startswith(f"{file}: must be "), (place, str(error))
        file.write_bytes(data)
    w.log(5, X)
    with open(store_of(path) / "particles" / "c.0.0.0.0", "r+b") as chunk:
        chunk.write(b"?")
    with pytest.raises(InputError, match=r"c\.0\.0\.0\.0: must be as it was written"):
        w.close()


def test_a_byte_that_changed_in_a_finished_file_is_refused_by_its_name(tmp_path):
    runs, saved = tmp_path / "runs.nc", tmp_path / "saved.nc"
    with eg.RunWriter(runs) as w:
        for step in range(40):
            w.log(step, np.full((2000, 2), float(step)))
    eg.save(eg.open_runs(runs), saved)
    for file in (runs, saved):
        with h5py.File(file) as found:
            summed = [found[name].id for name in ("particles", "time", "diverged_at")]
            places = [v.get_chunk_info(i).byte_offset for v in summed for i in range(v.get_num_chunks())]
        assert len(places) == 4
        data = file.read_bytes()
        for place in places:
            file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            with pytest.raises(InputError, match=f"^{re.escape(str(file))}: must be .* not those written"):
                eg.open_runs(file)
