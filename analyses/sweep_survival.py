# %% [markdown]
# # Does a sweep survive whatever happens to it, and do two workers do twice the work?
# A sweep is killed (SIGKILL) at random moments and resumed each time, until as many kills as `--draws` says; every
# finished store is compared, file by file, with that of an undisturbed sweep. The same for a worker of a Dask cluster
# that is killed, and for a disk that fills up; and a recording, by forks, threads and more (recording_kills.py).
# `--benchmark` times 64 cells on one worker and on two, and watches the memory of a sweep of 10,000 small cells.
# Run: python -m analyses.sweep_survival --seed 1 --draws 20 --benchmark --output out/sweep_survival

# %%
from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.recording_kills import survived
from analyses.script import above, made, options, redraws, sheet
from egan_theory.show.style import BLUE, GREY, ORANGE

#: seconds until a kill: after the sweep's start (as long as its workers may need to start), or after its first batch
AFTER_START, AFTER_BATCH = (0.2, 8.0), (0.0, 1.0)
AXES = ("penalty.r1=0.05:500:12:log", "generator.kernel.ratio=0:0.9:8")
KILLED_AXES = ("penalty.r1=0.05:500:24:log", "generator.kernel.ratio=0:0.9:16")
SIDE_BY_SIDE = 6
THROUGHPUT_AXES = ("penalty.r1=0.05:0.5:8:log", "generator.kernel.ratio=0:0.6:8")
MANY_AXES = ("penalty.r1=0.05:0.5:100:log", "generator.kernel.ratio=0:0.6:100")


# %%
def experiment(seed: int, steps: int = 600) -> eg.Experiment:
    """A small ring, kicked; some cells of AXES diverge."""
    return eg.Experiment(
        target={"kind": "ring", "modes": 5}, generator={"particles": 10, "learning_rate": 0.03},
        discriminator={"features": 64, "learning_rate": 0.2, "seed": seed}, penalty={"r1": 0.5},
        run={"steps": steps, "runs": 4, "record_every": 20, "seed": seed},
    )  # fmt: skip


def files(store: Path) -> dict[str, str]:
    """SHA-256 of every file of a store."""
    return {str(p.relative_to(store)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(store.rglob("*")) if p.is_file()}  # fmt: skip


def complete(store: Path) -> int:
    """Batches that are stored."""
    return len(list((store / "complete").glob("*.json")))


def command(toml: Path, store: Path, *more: str, axes=AXES, batch: int = SIDE_BY_SIDE) -> list[str]:
    vary = [word for axis in axes for word in ("--vary", axis)]
    words = ["sweep", str(toml), *vary, "-o", str(store), "--batch", str(batch), *more]
    return [sys.executable, "-m", "egan_theory.cli", *words]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=600)


def children(pid: int) -> list[int]:
    try:
        return [int(c) for t in Path(f"/proc/{pid}/task").iterdir() for c in (t / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def gone(pids: list[int], seconds: float = 10.0) -> bool:
    """Whether these processes end (or are zombies nobody reaps) within that time."""

    def alive(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(map(alive, pids)):
            return True
        time.sleep(0.05)
    return False


def undisturbed(folder: Path, seed: int, axes=AXES, steps: int = 600) -> tuple[Path, dict[str, str]]:
    """(experiment file, the files of a sweep that nothing disturbed), by one worker."""
    toml, store = folder / "e.toml", folder / "whole.zarr"
    toml.write_text(experiment(seed, steps).to_toml())
    done = run(*command(toml, store, "--workers", "1", axes=axes))
    assert done.returncode == 0, done.stderr
    return toml, files(store)


def killed(folder: Path, seed: int, draws: int, axes=KILLED_AXES, steps: int = 600) -> xr.Dataset:
    """Kills at random moments, each resumed; one row per kill. A sweep that ends in time is compared and begun again.

    Every other pair of kills waits for a batch first, so that it hits the writing and not the start. Every other kill
    takes the sweep's process alone: its workers must then end by themselves (``orphans``).
    """
    toml, whole = undisturbed(folder, seed, axes, steps)
    rng, store = np.random.default_rng([seed, 7]), folder / "killed.zarr"
    moments, stored, left_over, same, orphans = [], [], [], [], 0
    while len(moments) < draws:
        words = command(toml, store, "--workers", "2", "--resume", axes=axes)
        at_work = len(moments) % 4 >= 2
        moment, workers, before = float(rng.uniform(*(AFTER_BATCH if at_work else AFTER_START))), None, complete(store)
        with (folder / "errors").open("w") as errors:
            process = subprocess.Popen(words, stdout=errors, stderr=errors, start_new_session=True)
            while at_work and process.poll() is None and complete(store) == before:
                time.sleep(0.01)
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                workers = children(process.pid)
                alone = len(moments) % 2 == 0
                (os.kill if alone else os.killpg)(process.pid, signal.SIGKILL)
            process.wait()
        if workers is None:
            assert process.returncode == 0, (folder / "errors").read_text()
            same.append(files(store) == whole)
            shutil.rmtree(store)
            continue
        orphans += not gone(workers)
        moments.append(moment)
        stored.append(complete(store))
        print(f"kill {len(moments)} after {moment:.1f} s, {stored[-1]} batches stored", file=sys.stderr, flush=True)
        left_over.append(len(list(folder.rglob(".tmp-*"))) if store.is_dir() else 0)
    last = run(*command(toml, store, "--workers", "2", "--resume", axes=axes))
    assert last.returncode == 0, last.stderr
    same.append(files(store) == whole)
    return xr.Dataset(
        {
            "moment": ("kill", moments, {"long_name": "time from start or first batch to SIGKILL", "units": "s"}),
            "stored": ("kill", stored, {"long_name": "batches stored when killed", "units": "1"}),
            "partial": ("kill", left_over, {"long_name": "half-written chunks left behind", "units": "1"}),
            "identical": ("sweep", np.array(same, dtype=np.int8),
                          {"long_name": "every file equal to the undisturbed sweep's", "units": "1"}),
        },
        attrs={"batches": sum(name.startswith("status/c/") for name in whole), "files": len(whole), "orphans": orphans},
    )  # fmt: skip


# %%
def cluster_survives(folder: Path, seed: int) -> bool:
    """A worker of a local Dask cluster is killed in the middle of a sweep: are the bytes those of another?"""
    from distributed import LocalCluster

    toml, whole = undisturbed(folder, seed)
    store, killed_one = folder / "cluster.zarr", []
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:

        def progress(done: int, total: int) -> None:
            if not killed_one and done >= total // 4:
                worker = next(iter(cluster.workers.values()))
                killed_one.append(worker.pid)
                os.kill(worker.pid, signal.SIGKILL)

        eg.sweep(
            eg.Experiment.from_toml(toml), AXES, store, batch=SIDE_BY_SIDE, scheduler=cluster.scheduler_address,
            progress=progress,
        )  # fmt: skip
    return bool(killed_one) and files(store) == whole


@contextmanager
def small_disk(folder: Path, size: str):
    """A file system of that size; PermissionError where it may not be mounted."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        raise PermissionError(done.stderr.decode())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disk_survives(folder: Path, seed: int) -> dict[str, object]:
    """A disk fills up during a sweep; then there is room again."""
    toml, whole = undisturbed(folder, seed)
    with small_disk(folder / "disk", "4m") as disk:
        store, ballast = disk / "s.zarr", disk / "ballast"
        ballast.write_bytes(bytes(int(3.4 * 2**20)))
        full = run(*command(toml, store, "--workers", "1"))
        stored, left_over = complete(store), len(list(disk.rglob(".tmp-*")))
        readable = int((eg.open_sweep(store)["status"] > 0).sum())
        ballast.unlink()
        again = run(*command(toml, store, "--workers", "1", "--resume"))
        if again.returncode:
            raise RuntimeError(again.stderr)
        return {
            "exit": full.returncode, "error": full.stderr, "stored": stored, "partial": left_over,
            "readable cells": readable, "identical": files(store) == whole,
        }  # fmt: skip


# %%
def throughput(folder: Path, seed: int) -> dict[str, float]:
    """Seconds for 64 cells on one worker and on two, starting them included, and the machine's load before each."""
    exp = experiment(seed, 800).replace(
        {"generator.particles": 60, "run.start": "random", "discriminator.features": 256}
    )
    out = {}
    for workers in (1, 2):
        out[f"load before {workers}"] = os.getloadavg()[0]
        start = time.perf_counter()
        eg.sweep(exp, THROUGHPUT_AXES, folder / f"{workers}.zarr", workers=workers)
        out[f"seconds {workers}"] = time.perf_counter() - start
    assert files(folder / "1.zarr") == files(folder / "2.zarr")
    return out | {"speed-up": out["seconds 1"] / out["seconds 2"]}


def resident(pid: int | str = "self") -> float:
    """Resident memory of a process in MB; NaN if it has ended."""
    try:
        words = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()
        return int(words[0]) / 1024
    except (FileNotFoundError, IndexError, ProcessLookupError):
        return float("nan")


def memory(folder: Path, seed: int, axes=MANY_AXES, *, compared: bool = True) -> xr.Dataset:
    """Resident memory of the sweep's process and of its workers while many small cells are simulated, and after they
    are ``compared`` with the theory."""
    exp = experiment(seed, 20).replace({"run.start": "random", "run.runs": 1})
    done, parent, workers = [], [], []

    def progress(cells: int, total: int) -> None:
        done.append(cells)
        parent.append(resident())
        sizes = [resident(child.pid) for child in multiprocessing.active_children()]
        workers.append(np.nanmax(sizes) if np.isfinite(sizes).any() else np.nan)

    start = time.perf_counter()
    ds = eg.sweep(exp, axes, folder / "many.zarr", workers=2, progress=progress)
    elapsed, before = time.perf_counter() - start, resident()
    quantities = len(eg.compare_sweep(exp, ds).quantities) if compared else 0
    return xr.Dataset(
        {
            "parent": ("progress", parent, {"long_name": "resident memory of the sweep's process", "units": "MB"}),
            "worker": ("progress", workers, {"long_name": "resident memory of its largest worker", "units": "MB"}),
        },
        coords={"cells": ("progress", done, {"long_name": "cells stored", "units": "1"})},
        attrs={"seconds": elapsed, "before_comparing": before, "after_comparing": resident(),
               "quantities": quantities},
    )  # fmt: skip


def growth(ds: xr.Dataset, name: str) -> float:
    """MB by which memory grew over the last three quarters of the cells (medians of tenths)."""
    values = ds[name].values[np.isfinite(ds[name].values)]
    n = len(values)
    early, late = values[n // 4 : n // 4 + max(n // 10, 1)], values[-max(n // 10, 1) :]
    return float(np.median(late) - np.median(early))


# %%
def figure(ds: xr.Dataset):
    """Batches stored at each kill; memory against cells where it was measured."""
    many = "cells" in ds.dims or "cells" in ds.coords
    fig, axes = sheet(1, 1 + many, 4.2, squeeze=False)
    ax = axes[0, 0]
    ax.plot(np.arange(1, ds.sizes["kill"] + 1), ds["stored"], "o-", color=BLUE, label="batches stored when killed")
    ax.axhline(ds.attrs["batches"], color=GREY, ls="--", label="batches of the whole sweep")
    equal, total = int(ds["identical"].sum()), ds.sizes["sweep"]
    ax.set(xlabel="SIGKILL (number)", ylabel="batches stored (number)", ylim=(0, None))
    above(ax, f"{equal} of {total} finished sweeps identical to the undisturbed one", 1 if many else 2)
    if many:
        for name, colour in (("parent", BLUE), ("worker", ORANGE)):
            axes[0, 1].plot(ds["cells"], ds[name], color=colour, label=ds[name].attrs["long_name"])
        axes[0, 1].set(xlabel="cells stored (number)", ylabel="resident memory (MB)", ylim=(0, None))
        above(axes[0, 1])
    return fig


def study(seed: int, draws: int, benchmark: bool) -> xr.Dataset:
    """Kills, and what else a sweep survives; with ``benchmark`` its throughput and memory, too."""
    parts = [Path(tempfile.mkdtemp()) for _ in range(6)]
    try:
        kills = killed(parts[0], seed, draws)
        print(f"{draws} kills, {kills.sizes['sweep']} finished sweeps of {kills.attrs['files']} files: "
              f"{int(kills['identical'].sum())} identical; {int(kills['partial'].sum())} half-written chunks left "
              f"behind and removed; {kills.attrs['orphans']} times workers outlived their parent")  # fmt: skip
        try:
            print(f"a killed Dask worker: identical {cluster_survives(parts[1], seed)}")
        except ImportError as error:
            print(f"no Dask cluster: {error}")
        try:
            print(f"full disk: {full_disk_survives(parts[2], seed)}")
        except (PermissionError, FileNotFoundError) as error:
            print(f"no small disk could be mounted: {error}")
        for how, good in survived(parts[5], seed).items():
            print(f"a recording, {how}: {'nothing lost' if good else 'NOT WELL'}")
        if benchmark:
            speed = throughput(parts[3], seed)
            print({k: round(v, 2) for k, v in speed.items()})
            many = memory(parts[4], seed)
            a = many.attrs
            print(f"{int(many['cells'].max())} cells in {a['seconds']:.0f} s: memory of the sweep's process grew by "
                  f"{growth(many, 'parent'):.1f} MB to {float(many['parent'][-1]):.0f} MB, of a worker by "
                  f"{growth(many, 'worker'):.1f} MB; comparing {a['quantities']} cells: {a['before_comparing']:.0f} to "
                  f"{a['after_comparing']:.0f} MB")  # fmt: skip
            kills = kills.assign_attrs({k.replace(" ", "_").replace("-", "_"): v for k, v in speed.items()})
            kills = kills.merge(many, combine_attrs="no_conflicts")
    finally:
        for part in parts:
            shutil.rmtree(part, ignore_errors=True)
    return kills


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("sweep_survival", draws=20, help_draws="how often a sweep is killed")
    parser.add_argument("--benchmark", action="store_true", help="also throughput of two workers, and memory")
    args = parser.parse_args(argv)
    return made(args, lambda: study(args.seed, args.draws, args.benchmark), figure)


# %%
if __name__ == "__main__":
    main()
