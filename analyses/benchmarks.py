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

import numpy as np
import xarray as xr

from analyses import benchmarks_spectrum, benchmarks_step, phase_diagrams, sweep_survival
from analyses.script import options, write

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
def figure(found: dict[str, xr.Dataset]):
    """Four panels: a step, a spectrum's time and memory, the rest as bars."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(12, 8.5), layout="constrained")
    (a, b), (c, d) = fig.subplots(2, 2)
    seconds = found["step"]["seconds"]
    for way, colour in benchmarks_step.COLOURS.items():
        t = seconds.sel(way=way).dropna("particles", how="all")
        if t.sizes["particles"]:
            a.plot(t["particles"], t.min("draw") * 1e3, "o-", ms=4, color=colour, label=benchmarks_step.NAMES[way])
    a.set(
        xscale="log",
        yscale="log",
        xlabel="particles = target points",
        ylabel="fastest step / ms",
        title="A step, d = 2",
    )
    spectrum = found["spectrum"]
    for ax, name, scale, label in ((b, "cpu", 1.0, "processor time / s"), (c, "memory", 1e-6, "memory / MB")):
        for route in benchmarks_spectrum.ROUTES:
            one = spectrum[name].sel(route=route).dropna("state")
            ax.plot(one["state"], np.maximum(one * scale, 1e-3), color=benchmarks_spectrum.COLOURS[route],
                    marker=benchmarks_spectrum.STYLE[route], ms=4, label=route)  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel="coordinates of both players", ylabel=label, title="A spectrum")
        states = spectrum["state"].values
        ax.set_xticks(states, [str(n) for n in states])
        ax.minorticks_off()
    rows, values = found["other"]["row"].values, found["other"]["value"].values
    d.barh([row.replace(", ", "\n") for row in rows], values, color="#0072B2")
    d.set(xscale="log", xlim=(values.min() / 3, values.max() * 12), title="Diagrams, sweeps, starts")
    d.invert_yaxis()
    for i, v in enumerate(values):
        d.text(v * 1.1, i, f"{v:.3g}", va="center", fontsize=8)
    for ax in (a, b, c):
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    return fig


def main(argv: list[str] | None = None) -> dict[str, xr.Dataset]:
    parser = options(
        "benchmarks", draws=30, about="What the toolkit costs, in one run.", help_draws="steps timed at each size"
    )
    parser.add_argument("--largest", type=int, default=4000, help="largest state of a spectrum")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=list(benchmarks_step.SIZES), help="numbers of particles"
    )
    args = parser.parse_args(argv)
    found = study(args.seed, args.draws, args.largest, tuple(args.sizes))
    for name, ds in found.items():
        write(args.output, ds, part=name)
    write(args.output, None, figure(found), dpi=130)
    print(summary(found))
    return found


# %%
if __name__ == "__main__":
    main()
