"""Signals that end a command: SIGTERM and SIGHUP keep the record as Ctrl-C does, with their own exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from egan_theory.base import signals
from egan_theory.cli.app import main
from egan_theory.simulation.record import Recorder
from egan_theory.sweeps import run as run_module
from egan_theory.sweeps import store as store_module
from tests.builders import posix

pytestmark = posix
ROOT = Path(__file__).resolve().parents[2]
#: the exit code of each
CODES = {"SIGINT": 1, "SIGTERM": 143, "SIGHUP": 129}
slow = pytest.mark.slow


@pytest.fixture(autouse=True)
def heard():
    """Signals as Python handles them by itself: a shell's background jobs and nohup ignore some."""
    before = {number: signal.signal(number, own) for number, own in signals.SIGNALS.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(name):
    os.kill(os.getpid(), getattr(signal, name))


def sending(monkeypatch, place, method, name, call=3, before=True):
    """The signal comes at the third call of a method, and twice more at once: schedulers repeat it."""
    calls, whole = [], getattr(place, method)

    def again(*given, **named):
        calls.append(1)
        for _ in range(3 * (before and len(calls) == call)):
            send(name)
        found = whole(*given, **named)
        if not before and len(calls) == call:
            send(name)
        return found

    monkeypatch.setattr(place, method, again)


def temporary(folder):
    return [p.name for p in folder.rglob(".tmp*")]


@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGINT", marks=slow), pytest.param("SIGHUP", marks=slow)])
def test_a_simulation_keeps_its_record(name, experiment, tmp_path, capsys, monkeypatch):
    sending(monkeypatch, Recorder, "add", name, before=False)
    assert main(["simulate", experiment, "-o", str(tmp_path / "runs.nc")]) == CODES[name]
    runs = eg.open_runs(tmp_path / "runs.nc")
    assert runs.attrs["status"] == "interrupted" and runs["time"].values.tolist() == [0, 5, 10]
    assert "interrupted at step 10 of 200" in capsys.readouterr().err and not temporary(tmp_path)
    assert all(signal.getsignal(number) == own for number, own in signals.SIGNALS.items())


@pytest.mark.parametrize(("name", "place"), [("SIGTERM", "dataset"), pytest.param("SIGHUP", "save", marks=slow)])
def test_a_simulation_that_is_done_is_written(name, place, experiment, tmp_path, capsys, monkeypatch):
    """Whatever comes between its last step and the end of its file."""
    from egan_theory.base import netcdf

    sending(monkeypatch, *{"dataset": (Recorder, "dataset"), "save": (netcdf, "save")}[place], name, call=1)
    assert main(["simulate", experiment, "-o", str(tmp_path / "runs.nc")]) == 0
    assert eg.open_runs(tmp_path / "runs.nc").attrs["status"] == "finished"
    assert capsys.readouterr().err == "" and not temporary(tmp_path)


def test_a_signal_while_the_record_of_another_is_written(experiment, tmp_path, monkeypatch):
    """A scheduler that sends SIGHUP and then SIGTERM."""
    from egan_theory.base import netcdf

    sending(monkeypatch, Recorder, "add", "SIGHUP")
    sending(monkeypatch, netcdf, "save", "SIGTERM", call=1)
    assert main(["simulate", experiment, "-o", str(tmp_path / "runs.nc")]) == 129
    assert eg.open_runs(tmp_path / "runs.nc").attrs["status"] == "interrupted"


def test_ignored_signals_stay_ignored(experiment, tmp_path, monkeypatch):
    """As after nohup; and those that somebody else handles are theirs."""
    came = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.signal(signal.SIGTERM, lambda n, _: came.append(n))
    try:
        sending(monkeypatch, Recorder, "add", "SIGHUP")
        sending(monkeypatch, Recorder, "dataset", "SIGTERM", call=1)
        assert main(["simulate", experiment, "-o", str(tmp_path / "runs.nc")]) == 0
        assert eg.open_runs(tmp_path / "runs.nc").attrs["status"] == "finished"
        assert came == [signal.SIGTERM] * 3 and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before[0])
        signal.signal(signal.SIGTERM, before[1])


# -- moments at which a command is not at work -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_command_that_is_not_found_yet(name, capsys, monkeypatch):
    """The table of commands is being made."""
    from egan_theory.cli import app

    sending(monkeypatch, app.typer.main, "get_command", name, call=1)
    assert main(["new"]) == CODES[name]
    assert capsys.readouterr() == ("", "egan: interrupted: nothing was written\n")


def test_others_while_the_first_is_told(experiment, tmp_path, capsys, monkeypatch):
    """Impatient users press Ctrl-C again; what is said stays true."""
    from egan_theory.cli import app, runs

    sending(monkeypatch, app, "complain", "SIGINT", call=1)
    sending(monkeypatch, app.typer.main, "get_command", "SIGINT", call=1)
    assert main(["new"]) == 1
    assert capsys.readouterr() == ("", "egan: interrupted: nothing was written\n")
    sending(monkeypatch, Recorder, "add", "SIGTERM", before=False)
    sending(monkeypatch, runs, "complain", "SIGINT", call=1)
    assert main(["simulate", experiment, "-o", str(tmp_path / "runs.nc")]) == 143
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and f"interrupted at step 10 of 200: {tmp_path}/runs.nc holds the 3 samples" in err


def test_one_that_is_swallowed_can_be_sent_again(capsys, monkeypatch):
    """By a destructor, or by code of others that catches everything: yet the process can be ended, a while later."""
    from egan_theory.cli import app

    heard = []

    def swallows(*_):
        monkeypatch.setattr(signals, "REPEATED", 60.0)
        for _ in range(3):
            try:
                send("SIGTERM")
            except KeyboardInterrupt:
                heard.append(1)
                monkeypatch.setattr(signals, "REPEATED", 60.0 if len(heard) == 2 else 0.0)
        return app.app

    monkeypatch.setattr(app.typer.main, "get_command", swallows)
    main(["new"])
    assert len(heard) == 2


#: a command that is ended (by the signal argv[1], at first by KeyboardInterrupt in code from a text), and a process
#: that gets the signal again while it ends
LAST = """
import atexit, os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
moment, number = sys.argv[1], int(sys.argv[2])
sys.argv[1:] = ["new"]
from egan_theory.cli import main
if moment == "loading":
    class Finder:
        def find_spec(name, path=None, target=None):
            if name == "egan_theory.cli.app":
                os.kill(os.getpid(), number)
    sys.meta_path.insert(0, Finder)
else:
    from egan_theory.cli import app
    app.typer.main.get_command = lambda _: exec("import os; os.kill(os.getpid(), number)", globals())
if moment == "ending":
    atexit.register(os.kill, os.getpid(), number)
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("moment", "name", "code"),
    [
        ("loading", "SIGINT", 1),
        pytest.param("loading", "SIGTERM", 143, marks=slow),
        pytest.param("text", "SIGINT", 1, marks=slow),
        ("text", "SIGHUP", 129),
        ("ending", "SIGINT", -signal.SIGINT),
    ],
)
def test_a_process_ended_while_it_begins_or_ends(moment, name, code):
    """One line; Python itself would end by SIGINT once KeyboardInterrupt came in code that was compiled from a text."""
    argv = [sys.executable, "-c", LAST, moment, str(int(getattr(signal, name)))]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, timeout=60, capture_output=True, text=True, env=env)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == "egan: interrupted: nothing was written\n"


SWEPT = ["--vary", "penalty.r1=0.1:0.3:2", "--vary", "generator.kernel.ratio=0:0.5:2", "--batch", "1"]


@pytest.mark.parametrize(("name", "place"), [pytest.param("SIGTERM", "batch", marks=slow), ("SIGHUP", "write")])
def test_a_sweep_keeps_its_batches(name, place, experiment, tmp_path, capsys, monkeypatch, in_this_process):
    """The batch that is being written is written."""
    store = tmp_path / "s.zarr"
    command = ["sweep", experiment, "--set", "run.steps=8", *SWEPT, "-o", str(store)]
    with monkeypatch.context() as patch:
        if place == "batch":
            sending(patch, run_module, "todo", name, call=1, before=False)
        else:
            sending(patch, store_module.Writer, "write", name)
        assert main(command) == CODES[name]
    err = capsys.readouterr().err
    done = 0 if place == "batch" else 3
    assert f"interrupted: {done} of 4 cells are in {store}" in err and err.count("\n") == 1
    assert (eg.open_sweep(store)["status"].values > 0).sum() == done and not temporary(tmp_path)
    assert main([*command, "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pending"] == 0


@pytest.mark.parametrize("name", [pytest.param("SIGINT", marks=slow), "SIGTERM"])
def test_a_report_leaves_nothing(name, experiment, tmp_path, capsys, monkeypatch):
    from egan_theory.show import page, stages

    monkeypatch.setattr(page, "compute", lambda *_: stages.Results(eg.Experiment.from_toml(experiment), "r1"))
    monkeypatch.setattr(page, "drawings", lambda _: [])
    sending(monkeypatch, page, "_page", name, call=1)
    assert main(["report", experiment, "-o", str(tmp_path / "page"), "--data"]) == CODES[name]
    assert capsys.readouterr().err == "egan: interrupted: nothing was written\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.toml"]


@pytest.mark.slow
@pytest.mark.parametrize("command", [["simulate", "--method", "sgd"], ["sde", "--weights", "50"]])
def test_solvable_simulations_keep_their_record(command, tmp_path, monkeypatch, capsys):
    from egan_theory.papers.solvable import sde, sgd

    sending(monkeypatch, *{"simulate": (sgd.Sgd, "step"), "sde": (sde, "gram_root")}[command[0]], "SIGTERM")
    out = tmp_path / "o.nc"
    assert main(["solvable", *command, "-o", str(out), "--set", "time=4", "--set", "n=40"]) == 143
    assert "interrupted" in capsys.readouterr().err and [p.name for p in tmp_path.iterdir()] == ["o.nc"]
    with xr.open_dataset(out, engine="h5netcdf") as ds:
        assert ds.attrs["status"] == "interrupted"


LONG = """
[target]
kind = "ring"
modes = 4
[generator]
particles = 8
[discriminator]
features = 64
[run]
steps = 1000000
record_every = 1000
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_processes_ended_at_random_moments(name, tmp_path):
    """Of simulate, sweep and report, each: the code, no temporary file, and what there is can be read."""
    (tmp_path / "e.toml").write_text(LONG)
    rng = np.random.default_rng([5, getattr(signal, name)])
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    commands = (["simulate", "e.toml", "-o", "runs.nc"], ["report", "e.toml", "-o", "page"],
                ["sweep", "e.toml", "--set", "run.steps=400", "--set", "run.record_every=10", "--vary",
                 "penalty.r1=0.1:0.3:800", "--batch", "1", "--workers", "1", "-o", "s.zarr"])  # fmt: skip
    for k, command in enumerate(commands):
        moment, folder = float(rng.uniform(1.5, 9)), tmp_path / str(k)
        folder.mkdir()
        (folder / "e.toml").write_text(LONG)
        argv = [sys.executable, "-m", "egan_theory.cli", *command]
        process = subprocess.Popen(argv, cwd=folder, env=env, stderr=subprocess.PIPE, text=True,
                                   stdout=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        time.sleep(moment)
        group = k == 2  # as a scheduler does: the workers get it, too
        (os.killpg if group else os.kill)(process.pid, getattr(signal, name))
        _, err = process.communicate(timeout=120)
        early = process.returncode == -getattr(signal, name) and not err  # before Python had begun
        assert early or process.returncode == CODES[name], (command, moment, err)
        assert not temporary(folder), (command, moment)
        if (folder / "runs.nc").exists():
            assert eg.open_runs(folder / "runs.nc").attrs["status"] == "interrupted"
        if (folder / "s.zarr").exists() and "cells are in" in err:
            assert eg.open_sweep(folder / "s.zarr").sizes["cell"] == 800
        assert not (folder / "page").exists()
