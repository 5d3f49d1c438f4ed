# %% [markdown]
# # What does a step of the Fourier simulation cost?
# Wall time of one simulated step against the number of particles, d = 2, Gaussian kernel, Wasserstein loss, as many
# target points as particles: the exact kernel by its Fourier modes (tolerance 1e-6), by pairs of points in plain NumPy,
# by the package's dictionary and by 256 random features. All in float64 on one thread, measured in turns in one run:
# ratios do not depend on what else the machine does, times do, so the load average is kept with them. Peak memory is
# that of a process that simulates and records. Run:
# OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
#     python -m analyses.benchmarks_step --seed 1 --draws 60 --output out/benchmarks_step

# %%
from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.script import ROOT, above, made, options, redraws, sheet
from egan_theory.features import feature_map
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.simulation.run import grown_state
from egan_theory.simulation.start import starts

SIZES = (500, 2_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
#: numbers of particles up to which the others are timed: pairs cost seconds beyond, the dictionary minutes
LARGEST = {"cdist": 10_000, "pairs": 10_000, "pairs, forces": 10_000, "dictionary": 500, "features": 10_000}
LENGTH_SCALE, SPREAD, TOLERANCE = 0.5, 0.5, 1e-6
#: rows of a kernel matrix held at once: fits the caches
ROWS = 64
COLOURS = {
    "fourier": "#0072B2", "fourier, R1": "#56B4E9", "cdist": "#999999", "pairs": "#D55E00", "pairs, forces": "#E69F00",
    "dictionary": "#CC79A7", "features": "#009E73",
}  # fmt: skip
NAMES = {
    "fourier": "Fourier modes", "fourier, R1": "Fourier modes, with R1", "cdist": "sums over pairs (SciPy cdist)",
    "pairs": "sums over pairs, tuned", "pairs, forces": "sums over pairs, tuned, forces alone",
    "dictionary": "dictionary of kernel functions", "features": "256 random features",
}  # fmt: skip


# %%
def experiment(
    particles: int, seed: int, way: str = "fourier", r1: float = 0.0, points: int | None = None
) -> eg.Experiment:
    """A cloud of particles and as many target points, both normal; ``way``: fourier, dictionary or features."""
    return eg.Experiment(
        target={"kind": "mixture", "means": [[0.0, 0.0]], "std": SPREAD, "samples": points or particles, "seed": seed},
        generator={"particles": particles, "learning_rate": 0.01, "kernel": {"ratio": 0.0}},
        discriminator={
            "kernel": "gaussian", "length_scale": LENGTH_SCALE, "learning_rate": 0.1, "tolerance": TOLERANCE,
            "features": 256 if way == "features" else 0, "evaluation": "fourier" if way == "fourier" else "direct",
        },
        penalty={"r1": r1},
        run={"start": "random", "runs": 1, "seed": seed, "steps": 4, "record_every": 2},
    )  # fmt: skip


def package_step(exp: eg.Experiment) -> Callable[[], None]:
    """One step of the package's loop, its checks included."""
    problem, rule = Problem(exp), exp.update_rule
    x, w, features, _ = starts(problem, feature_map(exp))
    field = Field(problem, features=features).grown(x)
    state = rule.start(field.padded(w, features), field.place(x), field.Vw, field.Vx)

    def step() -> None:
        nonlocal state, field
        state = rule.step(state, field.Vw, field.Vx)
        if state[1].strayed().any() or not (np.isfinite(state[0]).all() and np.isfinite(state[1].x.max())):
            raise RuntimeError("a particle left the box")
        field, state = grown_state(field, rule, state)

    return step


def pairs_step(exp: eg.Experiment, seed: int, forces_only: bool = False) -> Callable[[], None]:
    """A step in function space by sums over pairs: D at the points of both clouds, the force at the particles.

        D(z) <- D(z) + eta_D [sum_j p_j K(z, y_j) - sum_j q_j K(z, x_j)],  z = x_i and y_i
        x_i <- x_i + eta_G [sum_j p_j grad K(x_i, y_j) - sum_j q_j grad K(x_i, x_j)]

    The force of D = the sum over all past positions has no step of fixed cost by pairs, so the particles follow the
    force of the last push alone, the gradient flow of the MMD: less than the experiment asks for. ``forces_only``
    leaves out D as well, which the Wasserstein loss without penalties never reads; it is the least that a step by pairs
    can do. Squared distances and sums are matrix products, with one exponential in place for every pair, in blocks of
    rows that stay in the caches.
    """
    Y, p, _ = exp.points
    rng = np.random.default_rng([seed, 5])
    N = exp.generator.particles
    x, q, rate = SPREAD * rng.standard_normal((N, 2)), exp.masses, -0.5 / LENGTH_SCALE**2
    D = np.zeros(N + len(Y))
    block = np.empty((ROWS, len(Y) + N))

    def step() -> None:
        nonlocal x
        Z, c = np.concatenate([x, Y]), np.concatenate([-q, p])
        # rate |x - z|^2 = [x, 1, |x|^2] . rate [-2 z, |z|^2, 1]
        square = (Z * Z).sum(1)
        right = rate * np.column_stack([-2 * Z, square, np.ones(len(Z))]).T
        left = np.column_stack([Z, np.ones(len(Z)), square])
        moments = np.column_stack([c, c[:, None] * Z])
        force = np.empty_like(x)
        for i in range(0, N if forces_only else len(Z), ROWS):
            k = block[: min(ROWS, len(Z) - i)]
            np.matmul(left[i : i + len(k)], right, out=k)
            np.exp(k, out=k)
            sums = k @ moments
            D[i : i + len(k)] += 0.1 * sums[:, 0]
            if i < N:
                inside = min(len(k), N - i)
                force[i : i + inside] = (2 * rate * (Z[i : i + len(k)] * sums[:, :1] - sums[:, 1:]))[:inside]
        x = x + 0.01 * force

    return step


def cdist_step(exp: eg.Experiment, seed: int, rows: int = 1000) -> Callable[[], None]:
    """The step of ``pairs_step`` as one would write it with NumPy and SciPy: cdist, exp, matrix products, in blocks of
    1000 rows (the memory of larger clouds)."""
    from scipy.spatial.distance import cdist

    Y, p, _ = exp.points
    rng = np.random.default_rng([seed, 5])
    N = exp.generator.particles
    x, c = SPREAD * rng.standard_normal((N, 2)), np.concatenate([-exp.masses, p])
    D = np.zeros(N + len(Y))

    def step() -> None:
        nonlocal x
        Z, force = np.concatenate([x, Y]), []
        for i in range(0, len(Z), rows):
            K = np.exp(-cdist(Z[i : i + rows], Z, "sqeuclidean") / (2 * LENGTH_SCALE**2))
            D[i : i + rows] += 0.1 * (K @ c)
            force.append((K @ (c[:, None] * Z) - (K @ c)[:, None] * Z[i : i + rows]) / LENGTH_SCALE**2)
        x = x + 0.01 * np.concatenate(force)[:N]

    return step


def timed(steps: dict[str, Callable[[], None]], draws: int, budget: float) -> dict[str, np.ndarray]:
    """(draws,) seconds per step of each, taken in turns; fewer draws for what exceeds its budget of seconds."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()  # plans, caches
    for draw in range(draws):
        for name, step in steps.items():
            if draw >= 3 and sum(times[name]) > budget:
                continue
            begin = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - begin)
    return {name: np.array(t + [np.nan] * (draws - len(t))) for name, t in times.items()}


def peak_memory(particles: int, points: int, seed: int) -> float:
    """Peak resident memory in GB of a new process that simulates 4 steps and keeps 3 records."""
    code = (
        "import resource; import egan_theory as eg; from analyses.benchmarks_step import experiment\n"
        f"ds = eg.simulate(experiment({particles}, {seed}, points={points}))\n"
        "assert ds.attrs['status'] == 'finished' and ds.sizes['time'] == 3\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(out.stdout) * 1024 / 1e9  # kilobytes on Linux


def step_cost(
    seed: int, draws: int, sizes: tuple[int, ...] = SIZES, memory: bool = True, budget: float = 8.0
) -> xr.Dataset:
    """Seconds per step (way, particles, draw), modes, load average and peak memory."""
    ways = list(COLOURS)
    seconds = np.full((len(ways), len(sizes), draws), np.nan)
    modes, load = np.zeros(len(sizes), dtype=int), np.zeros(len(sizes))
    for i, N in enumerate(sizes):
        steps = {"fourier": package_step(experiment(N, seed)), "fourier, R1": package_step(experiment(N, seed, r1=0.1))}
        if N <= LARGEST["pairs"]:
            steps["cdist"] = cdist_step(experiment(N, seed), seed)
            steps["pairs"] = pairs_step(experiment(N, seed), seed)
            steps["pairs, forces"] = pairs_step(experiment(N, seed), seed, forces_only=True)
        for way in ("dictionary", "features"):
            if N <= LARGEST[way]:
                steps[way] = package_step(experiment(N, seed, way))
        load[i] = os.getloadavg()[0]
        for way, t in timed(steps, draws, budget).items():
            seconds[ways.index(way), i] = t
        modes[i] = eg.features.feature_map(experiment(N, seed)).size
        shown = ", ".join(f"{w} {np.nanmedian(seconds[ways.index(w), i]) * 1e3:.3g}" for w in steps)
        print(f"{N:8d} particles, load {load[i]:.1f}: median ms a step {shown}", file=sys.stderr, flush=True)
    ds = xr.Dataset(
        {
            "seconds": (("way", "particles", "draw"), seconds, {"long_name": "wall time of a step", "units": "s"}),
            "modes": ("particles", modes, {"long_name": "Fourier modes", "units": "1"}),
            "load": ("particles", load, {"long_name": "load average of the last minute", "units": "1"}),
        },
        coords={
            "way": ways,
            "particles": ("particles", list(sizes), {"long_name": "particles, and target points", "units": "1"}),
        },
        attrs={"seed": seed, "draws": draws, "tolerance": TOLERANCE, "cores": os.cpu_count() or 0},
    )
    ds.attrs["exponent"] = exponent(ds)
    if memory:
        ds.attrs["peak_memory_GB"] = peak_memory(sizes[-1], 500, seed)
        ds.attrs["peak_memory_many_points_GB"] = peak_memory(sizes[-1], sizes[-1], seed)
    return ds


def exponent(ds: xr.Dataset, way: str = "fourier") -> float:
    """Slope of log(shortest time) against log(particles) from 10^4 on; nan with fewer than two sizes there."""
    large = ds["seconds"].sel(way=way).where(ds["particles"] >= 10_000, drop=True)
    if large.sizes["particles"] < 2:
        return float("nan")
    return float(np.polyfit(np.log(large["particles"]), np.log(large.min("draw")), 1)[0])


def figure(ds: xr.Dataset):
    """Shortest and median time of a step against the number of particles."""
    fig, ax = sheet(height=4.8)
    for way, colour in COLOURS.items():
        t = ds["seconds"].sel(way=way).dropna("particles", how="all")
        if t.sizes["particles"] == 0:
            continue
        N, low = t["particles"].values, t.min("draw").values * 1e3
        ax.plot(N, low, "o-", color=colour, label=NAMES[way], ms=5)
        ax.vlines(N, low, t.median("draw").values * 1e3, color=colour, lw=1)
    ax.set(xscale="log", yscale="log", xlabel="particles = target points (number)", ylabel="wall time of a step (ms)")
    above(ax, f"One step, d = 2, one thread (points: fastest of {ds.attrs['draws']}; lines: up to the median)", 2)
    return fig


def summary(ds: xr.Dataset) -> str:
    """The numbers in words."""
    least, middle = ds["seconds"].min("draw") * 1e3, ds["seconds"].median("draw") * 1e3
    lines = []
    for N in ds["particles"].values:
        a, b = least.sel(particles=N), middle.sel(particles=N)
        line = f"N = {N}: {float(a.sel(way='fourier')):.3g} ms (median {float(b.sel(way='fourier')):.3g})"
        for way in list(COLOURS)[2:]:
            if np.isfinite(a.sel(way=way)):
                ratio = [float(v.sel(way=way) / v.sel(way="fourier")) for v in (a, b)]
                line += f"; {way} {ratio[0]:.3g} times that (medians {ratio[1]:.3g})"
        lines.append(line)
    lines.append(f"exponent from 10^4: {ds.attrs['exponent']:.3f}")
    lines += [f"{name} {ds.attrs[name]:.2f}" for name in ds.attrs if name.startswith("peak")]
    return "\n".join(lines)


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("benchmarks_step", draws=60).parse_args(argv)
    ds = made(args, lambda: step_cost(args.seed, args.draws), figure)
    print(summary(ds))
    return ds


# %%
if __name__ == "__main__":
    main()
