"""A disk that is full, and files that may not grow: one line, exit code 1, and what was computed is kept."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from egan_theory.base.files import atomic
from egan_theory.base.netcdf import save
from egan_theory.cli.app import main
from tests.builders import posix

ROOT = Path(__file__).resolve().parents[2]
#: mounts a disk of the size $1 as the folder $2, and runs the rest of its arguments there
ON_A_SMALL_DISK = 'mount -t tmpfs -o size="$1" tmpfs "$2" && cd "$2" && shift 2 && "$@"; code=$?; ls -A; exit $code'


@contextmanager
def files_up_to(size):
    """No file may be larger, as after ``ulimit -f``."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@posix
@pytest.mark.parametrize("size", [0, 1000, 7000, 100_000])
def test_a_file_that_may_not_grow_is_an_error_and_no_file(tmp_path, size):
    ds = xr.Dataset({"x": ("t", np.arange(100_000.0)), "name": ("u", ["a", "b"])}, attrs={"text": "y" * 3000})
    with files_up_to(size), pytest.raises(OSError, match="File too large"):
        save(ds, tmp_path / "x.nc")
    assert not list(tmp_path.iterdir())
    save(ds, tmp_path / "x.nc")
    with xr.open_dataset(tmp_path / "x.nc", engine="h5netcdf") as back:
        xr.testing.assert_identical(back.load(), ds)


@posix
def test_a_result_that_cannot_be_written_is_printed(experiment, tmp_path, capsys):
    with files_up_to(6000):
        code = main(["spectrum", experiment, "-o", str(tmp_path / "s.nc")])
    out, err = capsys.readouterr()
    assert code == 1 and "Spectral radius of one step" in out and "written:" not in out
    assert re.fullmatch(r"egan: \S+s.nc could not be written: File too large; there was no other place .*\n", err)
    assert [p.name for p in tmp_path.iterdir()] == ["e.toml"]


@posix
@pytest.mark.parametrize("command", ["new ring -o t.toml", "new ring -o t.json", "guide map -o t.md"])
def test_a_text_without_room_is_kept_elsewhere(command, tmp_path, capsys, monkeypatch):
    """By its name, and the former file stays."""
    monkeypatch.chdir(tmp_path)
    file = Path(command.split()[-1])
    file.write_text("former")
    whole, places = Path.write_text, []

    def full(self, *given, **named):
        places.append(self)
        with files_up_to(1000 if len(places) == 1 else 100_000):
            return whole(self, *given, **named)

    monkeypatch.setattr(Path, "write_text", full)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    assert main([*command.split(), "--overwrite"]) == 1
    (kept,) = (tmp_path / "other").glob(f"egan-*/{file}")
    assert capsys.readouterr() == ("", f"egan: {file} could not be written: File too large; it is kept as {kept}\n")
    assert kept.stat().st_size > 1000 and file.read_text() == "former"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", file.name]


@posix
def test_a_file_without_room_is_named(tmp_path):
    """By the name that it was to have, whoever writes."""
    with files_up_to(10), pytest.raises(OSError, match=r"File too large: '\S+x\.txt'"):
        with atomic(tmp_path / "x.txt") as temporary:
            temporary.write_text("x" * 100)
    with pytest.raises(OSError, match=r"No such file or directory: '\S+x\.txt'"):
        with atomic(tmp_path / "gone" / "x.txt") as temporary:
            temporary.write_text("x")
    assert not list(tmp_path.iterdir())


@posix
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_figure_without_room_is_none(tmp_path, suffix):
    """Matplotlib's PDF writer fails for other reasons then."""
    from matplotlib.figure import Figure

    from egan_theory.show import style

    ax = Figure().subplots()
    with files_up_to(1000), pytest.raises(OSError, match=rf"File too large: '\S+x\.{suffix}'"):
        style.write(ax, tmp_path / f"x.{suffix}")
    assert not list(tmp_path.iterdir())


@posix
def test_where_a_result_is_kept_is_said_though_nothing_can_be_printed(experiment, tmp_path, capsys, monkeypatch):
    from egan_theory.base.errors import EganError
    from egan_theory.console import answer

    def full(*_):
        raise EganError("the output could not be written: No space left on device")

    monkeypatch.setattr(answer, "show", full)
    with files_up_to(6000):
        assert main(["import", str(_log(tmp_path)), "-o", str(tmp_path / "s.nc")]) == 1
    assert "s.nc could not be written: File too large" in capsys.readouterr().err


def _log(folder):
    (folder / "log.csv").write_text("step,d_loss\n0,1.39\n10,1.31\n")
    return folder / "log.csv"


@posix
def test_a_study_without_room_is_kept_elsewhere(tmp_path, capsys, monkeypatch):
    """What took hours to compute."""
    from analyses import script

    (tmp_path / "other").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "other"))

    @script.redraws
    def study(argv):
        with files_up_to(int(argv[0])):
            script.write(tmp_path / "s", xr.Dataset({"x": ("t", np.arange(2000.0))}))

    with pytest.raises(SystemExit, match="1"):
        study(["5000"])
    assert "s.nc could not be written: File too large; there was no other place" in capsys.readouterr().err
    study(["100000"])
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["s.nc"]


def test_a_result_is_kept_elsewhere(experiment, tmp_path, capsys, monkeypatch):
    """Where there is room, under the same name."""
    (tmp_path / "full").mkdir()
    (tmp_path / "other").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "other"))
    whole = xr.Dataset.dump_to_store

    def full(self, store, **how):
        if any((tmp_path / "full").iterdir()):
            raise OSError(28, "No space left on device")
        whole(self, store, **how)

    monkeypatch.setattr(xr.Dataset, "dump_to_store", full)
    assert main(["simulate", experiment, "-o", str(tmp_path / "full" / "runs.nc")]) == 1
    err = capsys.readouterr().err
    (kept,) = (tmp_path / "other").glob("egan-*/runs.nc")
    assert err.count("\n") == 1 and f"No space left on device; it is kept as {kept}" in err
    assert eg.open_runs(kept).attrs["status"] == "finished"
    assert not list((tmp_path / "full").iterdir())


@posix
def test_a_simulation_without_room_is_not_begun(experiment, tmp_path, capsys, monkeypatch):
    from egan_theory.simulation import run

    monkeypatch.setattr(run, "simulate", None)
    with files_up_to(10_000):
        assert main(["simulate", experiment, "-o", str(tmp_path / "runs.nc")]) == 1
    out, err = capsys.readouterr()
    assert out == "" and re.fullmatch(r"egan: \S+runs.nc: no room for 0.02 MB, 0.01 MB can be written there\n", err)
    assert [p.name for p in tmp_path.iterdir()] == ["e.toml"]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the command shows them
def test_a_checkpoint_without_room_costs_no_run(tmp_path, capsys, monkeypatch):
    from egan_theory.papers.solvable.chain import Chain

    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Chain, "save", full)
    model = ["--set", "time=4", "--set", "n=40"]
    argv = ["solvable", "simulate", "-o", str(tmp_path / "o.nc"), "--checkpoint", str(tmp_path / "c.npz"), *model]
    assert main(argv) == 0
    assert (
        "warning" in (err := capsys.readouterr().err) and "c.npz: the checkpoint could not be written (No space" in err
    )
    with xr.open_dataset(tmp_path / "o.nc", engine="h5netcdf") as ds:
        assert ds.attrs["status"] == "finished"


def on_a_small_disk(size, where, *command):
    """(exit code, files left there, stderr) of `egan`."""
    argv = ["unshare", "-rm", "sh", "-c", ON_A_SMALL_DISK, "sh", size, str(where), sys.executable, "-m",
            "egan_theory.cli", *command]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(where.parent)}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=300)
    return done.returncode, done.stdout.splitlines(), done.stderr


def _can_mount():
    if shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        argv = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", folder]
        return subprocess.run(argv, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "size, command",
    [
        ("8k", ["spectrum", "E", "-o", "s.nc"]),
        ("40k", ["simulate", "E", "-o", "runs.nc"]),
        ("60k", ["report", "E", "-o", "page", "--data"]),
    ],
)
def test_a_full_disk_costs_one_line_and_no_result(experiment, tmp_path, size, command):
    if not _can_mount():
        pytest.skip("no file systems can be mounted here")
    (tmp_path / "disk").mkdir()
    command = [experiment if word == "E" else word for word in command]
    code, left, err = on_a_small_disk(size, tmp_path / "disk", *command)
    lines = [line for line in err.splitlines() if "s so far" not in line]
    assert code == 1 and len(lines) == 1, (code, err)
    (kept,) = re.findall(r"could not be written: No space left on device; it is kept as (\S+)", lines[0])
    assert Path(kept).exists() and not [name for name in left if name.startswith(".tmp")]
    assert not any(name == command[-1] for name in left)
