# %% [markdown]
# # What does the toolkit cost, and what does structure save?
# All in one run on one machine, ratios side by side: a simulated step against the number of particles
# (`benchmarks_step`), a spectrum against its size (`benchmarks_spectrum`), predicted phase diagrams against evaluating
# every cell (`phase_diagrams`), a sweep on one worker and on two (`sweep_survival`), and the time a command needs to
# start. The load of the machine is kept with the numbers. Run:
# OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
#     python -m analyses.benchmarks --seed 1 --draws 30 --output out/benchmarks

# %%
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from textwrap import fill

import numpy as np
import xarray as xr

from analyses import benchmarks_spectrum, benchmarks_step, phase_diagrams, sweep_survival
from analyses.script import above, made, options, redraws, sheet
from egan_theory.show.style import BLUE

#: runs of a command whose start is timed
STARTS = 15


# %%
def start_up() -> dict[str, float]:
    """Shortest wall time in seconds of new processes, the bare interpreter first."""
    words = {
        "python": ["-c", ""],
        "egan --help": ["-m", "egan_theory.cli", "--help"],
        "import egan_theory": ["-c", "import egan_theory"],
        "import egan_theory, Experiment()": ["-c", "import egan_theory; egan_theory.Experiment()"],
    }
    best = dict.fromkeys(words, np.inf)
    for _ in range(STARTS):
        for name, arguments in words.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
            best[name] = min(best[name], time.perf_counter() - begin)
    return best


def study(seed: int, draws: int, largest: int, sizes: tuple[int, ...]) -> dict[str, xr.Dataset]:
    """One Dataset per question."""
    step = benchmarks_step.step_cost(seed, draws, sizes)
    spectrum = benchmarks_spectrum.study(seed, min(draws, 3), largest)
    diagram = phase_diagrams.benchmark()
    with tempfile.TemporaryDirectory() as folder:
        sweep = sweep_survival.throughput(Path(folder), seed)
    rows = {
        "predicted diagram, cells per second": diagram["cells"] / diagram["predicted"],
        "every cell, cells per second": diagram["cells"] / diagram["every"],
        "sweep on one worker, cells per second": 64 / sweep["seconds 1"],
        "sweep on two workers, cells per second": 64 / sweep["seconds 2"],
        **{f"start of {name}, seconds": seconds for name, seconds in start_up().items()},
    }
    other = xr.Dataset(
        {"value": ("row", list(rows.values()), {"long_name": "value, unit in its name", "units": "1"})},
        coords={"row": list(rows)},
        attrs={"load": os.getloadavg()[0], "load before one worker": sweep["load before 1"],
               "load before two workers": sweep["load before 2"]},
    )  # fmt: skip
    return {"step": step, "spectrum": spectrum, "other": other}


def summary(found: dict[str, xr.Dataset]) -> str:
    """The table, and the ratios."""
    value = dict(zip(found["other"]["row"].values.tolist(), found["other"]["value"].values.tolist(), strict=True))
    cpu, states = found["spectrum"]["cpu"], found["spectrum"]["state"].values
    lines = ["a step:", benchmarks_step.summary(found["step"]), "a spectrum, processor seconds:"]
    for state in states:
        row = ", ".join(f"{r} {float(cpu.sel(state=state, route=r)):.3g}" for r in cpu["route"].values
                        if np.isfinite(cpu.sel(state=state, route=r)))  # fmt: skip
        dense = float(cpu.sel(state=state, route="dense") / cpu.sel(state=state, route="structured"))
        lines.append(f"state {state}: {row}" + (f"; dense {dense:.3g} times structured" if np.isfinite(dense) else ""))
    lines += [f"{name}: {v:.3g}" for name, v in value.items()]
    diagram = value["predicted diagram, cells per second"] / value["every cell, cells per second"]
    workers = value["sweep on two workers, cells per second"] / value["sweep on one worker, cells per second"]
    loads = [found["other"].attrs[f"load before {k}"] for k in ("one worker", "two workers")]
    lines.append(f"diagram: {diagram:.3g} times every cell; two workers: {workers:.3g} times one "
                 f"(load before {loads[0]:.1f}, {loads[1]:.1f})")  # fmt: skip
    return "\n".join(lines)


# %%
def gathered(found: dict[str, xr.Dataset]) -> xr.Dataset:
    """One Dataset, variables and attributes named after their question."""
    parts = []
    for name, ds in found.items():
        own = {v: f"{name}_{v}" for v in (*ds.data_vars, *ds.dims)}
        parts.append(ds.rename(own).assign_attrs({}))
    out = xr.merge(parts, combine_attrs="drop")
    return out.assign_attrs({f"{name}: {k}": v for name, ds in found.items() for k, v in ds.attrs.items()})


def parted(ds: xr.Dataset) -> dict[str, xr.Dataset]:
    """The Datasets that were gathered."""
    out = {}
    for name in ("step", "spectrum", "other"):
        own = ds[[v for v in ds.data_vars if str(v).startswith(f"{name}_")]]
        out[name] = own.rename({v: str(v).removeprefix(f"{name}_") for v in (*own.data_vars, *own.dims)})
        out[name].attrs = {k.removeprefix(f"{name}: "): v for k, v in ds.attrs.items() if k.startswith(f"{name}: ")}
    return out


def figure(ds: xr.Dataset):
    """A step, a spectrum's time, and the rest as bars."""
    fig, ((a, b), (c, d)) = sheet(2, 2, 7.4, height_ratios=(1.25, 1))
    found = parted(ds)
    seconds = found["step"]["seconds"]
    for way, colour in benchmarks_step.COLOURS.items():
        t = seconds.sel(way=way).dropna("particles", how="all")
        if t.sizes["particles"]:
            a.plot(t["particles"], t.min("draw") * 1e3, "o-", ms=4, color=colour, label=benchmarks_step.NAMES[way])
    a.set(xscale="log", yscale="log", xlabel="particles = target points (number)", ylabel="fastest step (ms)")
    above(a, "A step, d = 2", fontsize=8.5)
    spectrum = found["spectrum"]
    for route in benchmarks_spectrum.ROUTES:
        one = spectrum["cpu"].sel(route=route).dropna("state")
        b.plot(one["state"], np.maximum(one, 1e-3), color=benchmarks_spectrum.COLOURS[route],
               marker=benchmarks_spectrum.STYLE[route], ms=5, label=route)  # fmt: skip
    b.set(xscale="log", yscale="log", xlabel="coordinates of both players (number)", ylabel="processor time (s)")
    b.set_xticks(spectrum["state"].values, [f"{n:,}" for n in spectrum["state"].values])
    b.minorticks_off()
    above(b, "A spectrum", 2, fontsize=8.5)
    rows, values = found["other"]["row"].values.astype(str), found["other"]["value"].values
    for ax, word, label, unit in ((c, "cells per second", "cells (1/s)", 1), (d, "seconds", "time to start (s)", 0)):
        at = [i for i, row in enumerate(rows) if row.endswith(word)]
        names = [rows[i].rsplit(", ", 1)[0].removeprefix("start of ") for i in at]
        ax.barh([fill(n, 22) for n in names], values[at], color=BLUE)
        ax.set(xlabel=label, xlim=(values[at].min() / 3, values[at].max() * 8) if unit else (0, 1.3 * values[at].max()))
        if unit:
            ax.set_xscale("log")
        ax.invert_yaxis()
        ax.grid(False, axis="y")
        for k, i in enumerate(at):
            ax.text(values[i], k, f" {values[i]:.3g}", va="center", fontsize=9)
    return fig


@redraws
def main(argv: list[str] | None = None) -> dict[str, xr.Dataset]:
    parser = options(
        "benchmarks", draws=30, about="What the toolkit costs, in one run.", help_draws="steps timed at each size"
    )
    parser.add_argument("--largest", type=int, default=4000, help="largest state of a spectrum")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=list(benchmarks_step.SIZES), help="numbers of particles"
    )
    args = parser.parse_args(argv)
    sizes = tuple(args.sizes)
    ds = made(args, lambda: gathered(study(args.seed, args.draws, args.largest, sizes)), figure)
    found = parted(ds)
    print(summary(found))
    return found


# %%
if __name__ == "__main__":
    main()
