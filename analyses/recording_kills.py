"""A recording (``RunWriter``) of a loop that is killed, terminated, forked, run by threads, moved to another folder, or
whose folder is removed: is what is read in the end that of a loop which nothing disturbed?"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

import egan_theory as eg

STEPS, CHUNK = 60, 7
#: what is done to the loop, and how it ends
ENDS = {
    "killed": -signal.SIGKILL, "terminated": -signal.SIGTERM, "hung up": -signal.SIGHUP,
    "killed, its forked child lives": -signal.SIGKILL, "a forked child leaves the block": 0, "four threads": 0,
    "another working directory": 0, "its folder is removed": 1,
}  # fmt: skip
#: arguments: path, what is done, the step at which it is done
LOOP = f"""
import os, shutil, signal, sys, threading, time
import numpy as np
import egan_theory as eg

path, how, moment = sys.argv[1], sys.argv[2], int(sys.argv[3])
ends = {{"killed": signal.SIGKILL, "terminated": signal.SIGTERM, "hung up": signal.SIGHUP}}
index = np.arange(8).reshape(4, 2)


def happens(writer):
    if how in ends:
        if how != "killed":
            signal.signal(ends[how], signal.SIG_DFL)  # nohup ignores one
        os.kill(os.getpid(), ends[how])
        time.sleep(9)
    if "child" in how:
        child = os.fork()
        if child == 0:
            os.close(1)
            if "leaves" in how:
                writer.__exit__(None, None, None)
            else:
                time.sleep(60)
            os._exit(0)
        print(child, flush=True)
        if "lives" in how:
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
    if how == "another working directory":
        os.chdir("/")
    if how == "its folder is removed":
        shutil.rmtree(os.path.dirname(os.path.abspath(path)))


with eg.RunWriter(path, chunk={CHUNK}, seed=3, resume=True) as writer:
    first, turn = 0 if writer.last is None else int(writer.last) + 1, threading.Condition()

    def work(mine, of):
        for step in range(first, {STEPS}):
            if (step - first) % of == mine:
                with turn:
                    turn.wait_for(lambda: writer.last == step - 1 or writer.last is None and step == 0)
                    if step == moment:
                        happens(writer)
                writer.log(step, np.sin(1.0 + index + 100.0 * step), loss_generator=0.5 * step)
                with turn:
                    turn.notify_all()

    threads = [threading.Thread(target=work, args=(i, 4)) for i in range(4)] if how == "four threads" else []
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not threads:
        work(0, 1)
"""


def looped(folder: Path, how: str, moment: int) -> subprocess.CompletedProcess[str]:
    """The loop in a process of its own, with a relative path, as one mostly starts it."""
    paths = os.pathsep.join(filter(None, [str(Path(eg.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    words = [sys.executable, "-W", "ignore", "-c", LOOP, "runs/r.nc", how, str(moment)]
    env = {**os.environ, "PYTHONPATH": paths}
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    # into files: a child that lives on would keep a pipe open
    with (folder / "said").open("w+") as out, (folder / "errors").open("w+") as errors:
        done = subprocess.run(words, cwd=folder, env=env, stdout=out, stderr=errors, timeout=120)
        out.seek(0), errors.seek(0)
        return subprocess.CompletedProcess(words, done.returncode, out.read(), errors.read())


def survived(folder: Path, seed: int) -> dict[str, bool]:
    """By what was done: whether the loop ended as it should, kept every complete chunk and nothing else, and gave the
    undisturbed recording in the end, once it was started again where it had ended. Of a removed folder: whether that
    was said, and nothing was begun anew without what was lost."""
    rng = np.random.default_rng([seed, 17])
    assert looped(folder / "whole", "nothing", -1).returncode == 0
    whole, found = eg.open_runs(folder / "whole" / "runs" / "r.nc"), {}
    for i, (how, code) in enumerate(ENDS.items()):
        place, moment = folder / str(i), int(rng.integers(CHUNK, STEPS))
        done = looped(place, how, moment)
        good = done.returncode == code
        if code > 0:
            good = good and "r.nc.zarr was removed" in done.stderr.splitlines()[-1] and not (place / "runs").exists()
        elif code < 0:
            good = good and eg.open_runs(place / "runs" / "r.nc").sizes["time"] == moment // CHUNK * CHUNK
            good = good and looped(place, "nothing", -1).returncode == 0
            for child in done.stdout.split():
                os.kill(int(child), signal.SIGKILL)
        if code <= 0:
            good = good and os.listdir(place / "runs") == ["r.nc"]
            good = good and eg.open_runs(place / "runs" / "r.nc").identical(whole)
        found[how] = bool(good)
        shutil.rmtree(place)
    return found
