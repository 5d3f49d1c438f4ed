# %%
"""What do spectra cost: time and memory against the number of coordinates, by the route that finds them?

Closed form: frequency modes of a uniform box. The others: the same M points in d = 5 M dimensions, Gaussian kernel at
the median distance, R1 and weight decay. Structured: all eigenvalues through the split into the data's directions and
those across them. Matrix-free: the 10 softest and 10 stiffest modes. Dense: numpy.linalg.eigvals of the full Jacobian,
which is built from the kernel's mixed derivatives and shares no code with the others. State: weights and coordinates.

Run: python -m analyses.benchmarks_spectrum --seed 1 --draws 3 --output out/benchmarks_spectrum
"""

from __future__ import annotations

import os
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.optimize import linear_sum_assignment

import egan_theory as eg
from analyses.script import made, options, redraws, sheet
from egan_theory.linear import eigenvalues, linearize, linearize_extreme
from egan_theory.problem.problem import Problem, forget

ROUTES = ("closed form", "structured", "matrix-free", "dense")
#: numbers of points; the state has 10 M^2 coordinates
POINTS = (5, 10, 15, 20, 30, 40, 60, 80, 100)
#: dense matrices beyond this take minutes
DENSE = 4000
#: two spectra are compared, eigenvalue by eigenvalue, up to this size
COMPARED = 4000
POLL = 0.002
#: a smaller rise of the resident memory may be memory used again: arrays are traced instead, in a second run
REUSED = 1e8


# %%
def points_experiment(points: int, seed: int) -> eg.Experiment:
    """M points N(0, 1) in 5 M dimensions; all modes are underdamped, so that dense eigenvalues are well conditioned."""
    d = 5 * points
    return eg.Experiment(
        target={"kind": "mixture", "means": [[0.0] * d], "std": 1.0, "samples": points, "seed": seed},
        generator={"particles": points, "learning_rate": 0.01, "kernel": {"ratio": 0.0}},
        discriminator={"kernel": "gaussian", "length_scale": float(np.sqrt(2 * d)), "features": 0},
        penalty={"r1": 0.1, "weight_decay": 1e-3},
        update={"rule": "flow"},
    )


def box_experiment(state: int) -> eg.Experiment:
    """A periodic box in d = 2 with about ``state`` coordinates: side^2 particles and as many pairs of modes."""
    side = max(3, int(np.sqrt(state / 3)) // 2 * 2 + 1)
    return eg.Experiment(
        target={"kind": "uniform", "side": side, "dimension": 2},
        generator={"particles": side**2, "learning_rate": 0.01},
        discriminator={"kernel": "gaussian", "length_scale": 0.1, "features": 0},
        penalty={"r1": 0.1, "weight_decay": 1e-3},
        update={"rule": "flow"},
    )


def dense_eigenvalues(exp: eg.Experiment) -> np.ndarray:
    """J = [[-A, -c C^T], [b C, 0]] with H = L L^T, C = S^(1/2) L, A = nu + lambda L^T P L, in 2 M d coordinates: the
    weights that the gradients see, and the particles'."""
    Y, p = exp.points.coordinates, exp.points.weights
    M, d = Y.shape
    H = np.moveaxis(exp.discriminator.kernel_object.mixed(Y, Y), 2, 1).reshape(M * d, M * d)
    L = np.linalg.cholesky(H)
    del H
    C = np.tensordot(Problem(exp).coupling_root, L.reshape(M, d, -1), 1).reshape(M * d, -1)
    A = exp.penalty.weight_decay * np.eye(M * d) + exp.penalty.r1 * L.T @ (np.repeat(p, d)[:, None] * L)
    eta_D, eta_G, loss = exp.discriminator.learning_rate, exp.generator.learning_rate, exp.loss_object
    J = np.block([[-eta_D * A, -eta_D * loss.c * C.T], [eta_G * loss.b * C, np.zeros((M * d, M * d))]])
    del C, A, L
    return np.linalg.eigvals(J)


def closed_form(exp: eg.Experiment) -> np.ndarray:
    """All eigenvalues of the modes that move the particles, with multiplicity."""
    forget()
    values = eigenvalues(linearize(exp))
    return np.repeat(values.s[values.coupled], values.multiplicity[values.coupled])


def matrix_free(exp: eg.Experiment) -> np.ndarray:
    forget()
    return eigenvalues(linearize_extreme(exp, 10)[0]).s


# %%
def measured(function: Callable[[], Any]) -> tuple[Any, float, float, float]:
    """(result, wall seconds, CPU seconds, peak of the memory in bytes beyond that at the start)."""
    page, stop, peak = os.sysconf("SC_PAGE_SIZE"), threading.Event(), [0]

    def resident() -> int:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * page

    def watch() -> None:
        while not stop.wait(POLL):
            peak[0] = max(peak[0], resident())

    known = Path("/proc/self/statm").exists()
    before = resident() if known else 0
    watcher = threading.Thread(target=watch, daemon=True)
    if known:
        watcher.start()
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    stop.set()
    if known:
        watcher.join()
    memory = float(peak[0] - before)
    if memory < REUSED:
        tracemalloc.start()
        function()
        memory = max(memory, float(tracemalloc.get_traced_memory()[1]))
        tracemalloc.stop()
    return result, wall, cpu, memory


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference of the best pairing, relative to the largest eigenvalue."""
    rows, columns = linear_sum_assignment(np.abs(a[:, None] - b[None, :]))
    return float(np.abs(a[rows] - b[columns]).max() / np.abs(b).max())


def study(seed: int, draws: int, largest: int) -> xr.Dataset:
    """Median over ``draws`` problems of each size of the smallest to ``largest`` state (the dense ones: one)."""
    points = [m for m in POINTS if 10 * m * m <= largest]
    shape = (len(ROUTES), len(points), draws)
    wall, cpu, memory, error = (np.full(shape, np.nan) for _ in range(4))
    for exp in (points_experiment(12, seed), box_experiment(1000)):  # imports and first calls are not the subject
        measured(lambda exp=exp: closed_form(exp))
    for i, m in enumerate(points):
        state = 10 * m * m
        for draw in range(draws):
            exp, box = points_experiment(m, seed + draw), box_experiment(state)
            tasks: dict[str, Callable[[], np.ndarray]] = {
                "closed form": lambda box=box: closed_form(box),
                "structured": lambda exp=exp: closed_form(exp),
                "matrix-free": lambda exp=exp: matrix_free(exp),
            }
            if state <= DENSE and draw == 0:
                tasks["dense"] = lambda exp=exp: dense_eigenvalues(exp)
            found = {}
            for route, task in tasks.items():
                at = ROUTES.index(route), i, draw
                found[route], wall[at], cpu[at], memory[at] = measured(task)
            if "dense" in found and state <= COMPARED:
                error[ROUTES.index("structured"), i, draw] = difference(found["structured"], found["dense"])
    dims = ("route", "state")

    def middle(data: np.ndarray, name: str, units: str) -> tuple[Any, Any, dict[str, str]]:
        known = np.isfinite(data).any(-1)
        out = np.full(data.shape[:2], np.nan)
        out[known] = np.nanmedian(data[known], axis=-1)
        return dims, out, {"long_name": name, "units": units}

    return xr.Dataset(
        {
            "wall": middle(wall, "time on the clock", "s"),
            "cpu": middle(cpu, "processor time", "s"),
            "memory": middle(memory, "peak of the memory beyond that at the start", "bytes"),
            "error": middle(error, "largest difference from the dense eigenvalues, relative to the largest", "1"),
        },
        coords={
            "route": ("route", list(ROUTES), {"long_name": "route", "units": "1"}),
            "state": ("state", [10 * m * m for m in points], {"long_name": "coordinates of both", "units": "1"}),
        },
        attrs={"seed": seed, "draws": draws, "load": os.getloadavg()[0],
               "threads": os.environ.get("OPENBLAS_NUM_THREADS", "all")},
    )  # fmt: skip


# %%
LABELS = {
    "closed form": "closed form, uniform box",
    "structured": "structured, all modes",
    "matrix-free": "matrix-free, 20 extreme modes",
    "dense": "dense, all modes",
}
STYLE = {"closed form": "o", "structured": "s", "matrix-free": "^", "dense": "D"}
COLOURS = {"closed form": "#009E73", "structured": "#0072B2", "matrix-free": "#CC79A7", "dense": "#D55E00"}


def figure(ds: xr.Dataset):
    """Processor time and memory against the size of the state."""
    fig, (left, right) = sheet(1, 2, 4.6)
    for route in ROUTES:
        own = ds.sel(route=route)
        known = np.isfinite(own["cpu"].values)
        for ax, name, scale in ((left, "cpu", 1), (right, "memory", 1e-6)):
            ax.plot(own["state"][known], np.maximum(scale * own[name][known], 1e-3), marker=STYLE[route],
                    color=COLOURS[route], label=LABELS[route])  # fmt: skip
    left.set(xlabel="coordinates of both players (number)", ylabel="processor time (s)", xscale="log", yscale="log")
    right.set(xlabel="coordinates of both players (number)", ylabel="memory beyond the start's (MB)", xscale="log",
              yscale="log")  # fmt: skip
    for ax in (left, right):
        ax.set_xticks(ds["state"].values, [f"{n:,}" for n in ds["state"].values], fontsize=9)
        ax.minorticks_off()
    fig.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("benchmarks_spectrum", draws=3)
    parser.add_argument("--largest", type=int, default=16_000, help="largest state; 100000 takes minutes")
    args = parser.parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws, args.largest), figure)
    print(f"{'state':>8} {'route':>12} {'wall [s]':>10} {'cpu [s]':>10} {'memory [MB]':>12} {'difference':>11}")
    for state in ds["state"].values:
        for route in ROUTES:
            row = ds.sel(state=state, route=route)
            if np.isfinite(row["cpu"]):
                print(f"{state:8d} {route:>12} {float(row['wall']):10.4g} {float(row['cpu']):10.4g} "
                      f"{1e-6 * float(row['memory']):12.4g} {float(row['error']):11.2g}")  # fmt: skip
    return ds


# %%
if __name__ == "__main__":
    main()
