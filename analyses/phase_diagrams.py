# %% [markdown]
# # Is what becomes of training from random starts predicted, kind by kind?
# Random experiments (seed and number of diagrams are arguments), one per family: a ring with weight decay over
# (kernel ratio, critic's learning rate), from starts half as wide as the ring; random points with a gradient penalty
# over (ratio, R1); a grid with momentum over (ratio, generator's learning rate). Each cell is simulated from random
# positions; what becomes of a run is one of seven outcomes (egan_theory.runs.outcome), and modes are lost where it is
# neither "settled" nor "circling with modes kept". Predicted are the same kinds (egan_theory.predict.kinds), which know
# nothing of the simulation: a confusion table per diagram, and the balanced accuracy of modes kept against lost.
# "State reached from the start" knows the mean and width of as many clusters of the start as the target has modes (and,
# in a row of its own, of the whole start alone). Where another draw of the start decides a cell otherwise, nobody who
# does not know the draw can be right: --repeats further draws, simulated in single precision and in leaps, tell how
# right the majority of the other draws is (the ceiling). Costs are processor seconds, side by side in one run.
# Run: python -m analyses.phase_diagrams --seed 1 --draws 3 --output out/phase_diagrams

# %%
from __future__ import annotations

import sys
import time
import warnings
from textwrap import fill

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.script import above, made, options, redraws, sheet
from egan_theory.predict.basin import diagram
from egan_theory.predict.mechanism import MECHANISMS
from egan_theory.predict.phase import QUICK, phase, phase_axis
from egan_theory.problem.problem import Problem
from egan_theory.runs.outcome import Outcome, modes_are_lost, tally
from egan_theory.show.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION
from egan_theory.simulation.accelerated import follow
from egan_theory.simulation.macro import judged, verdict_times
from egan_theory.simulation.start import random_starts
from egan_theory.sweeps.confusion import sided
from egan_theory.sweeps.phase import compare_phase, simulate_phase

SIDE, FINE, STEPS, RUNS, REPEATS = 20, 120, 3000, 1, 3
#: third difference of the leaps in which repeated starts are simulated: a sixth of what the prediction allows
ACCURATE = 0.01
START, ALONE, SPREAD = "state reached from the start", "mean and width alone", "spread state alone"
ACCURACY = ("balanced_accuracy", "stderr", "sensitivity", "specificity")
FAMILIES = ("ring, weight decay", "random points, R1", "grid, momentum")


# %%
def draw(family: str, rng: np.random.Generator) -> tuple[eg.Experiment, tuple[str, float, float, bool]]:
    """An experiment of the family, and its second axis (path, low, high, log)."""

    def log_uniform(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    length, eta_g = float(rng.uniform(0.4, 0.8)), log_uniform(0.005, 0.02)
    common = {"features": 128, "length_scale": length, "seed": int(rng.integers(1 << 30))}
    run = {"steps": STEPS, "seed": int(rng.integers(1 << 30)), "start": "random"}
    if family == FAMILIES[0]:
        modes, radius = int(rng.integers(5, 9)), float(rng.uniform(0.8, 1.5))
        # a start as wide as the ring finds the spread cloud at once and never shows the other state (bistability)
        run["spread"] = 0.5 * radius / np.sqrt(2)
        exp = eg.Experiment(
            target={"kind": "ring", "modes": modes, "radius": radius},
            generator={"particles": 3 * modes, "learning_rate": eta_g},
            discriminator={**common, "kernel": "gaussian"},
            loss={"kind": "wasserstein"}, penalty={"weight_decay": log_uniform(0.02, 0.1)}, run=run,
        )  # fmt: skip
        return exp, ("discriminator.learning_rate", 0.003, 0.3, True)
    if family == FAMILIES[1]:
        points, dimension = int(rng.integers(5, 9)), int(rng.integers(1, 4))
        means = (2 * rng.standard_normal((points, dimension))).tolist()
        exp = eg.Experiment(
            target={"kind": "mixture", "means": means, "std": 0.02, "samples": points, "seed": 0},
            generator={"particles": 3 * points, "learning_rate": eta_g},
            discriminator={**common, "kernel": "matern", "smoothness": 2.5, "learning_rate": log_uniform(0.05, 0.3)},
            loss={"kind": "logistic"}, penalty={"r1": 0.1, "weight_decay": 0.005},
            update={"rule": "alternating"}, run=run,
        )  # fmt: skip
        return exp, ("penalty.r1", 0.01, 10.0, True)
    exp = eg.Experiment(
        target={"kind": "grid", "side": 3, "dimension": 2, "spacing": float(rng.uniform(0.7, 1.3))},
        generator={"particles": 27, "learning_rate": eta_g},
        discriminator={**common, "kernel": "rational_quadratic", "learning_rate": log_uniform(0.05, 0.3)},
        loss={"kind": "hinge"}, penalty={"r1": log_uniform(0.05, 0.5), "weight_decay": log_uniform(0.01, 0.05)},
        update={"rule": "simultaneous", "momentum_discriminator": 0.5}, run=run,
    )  # fmt: skip
    return exp, ("generator.learning_rate", 0.0003, 0.1, True)


def examine(
    exp: eg.Experiment, second: tuple[str, float, float, bool], side: int, mechanisms, label: str, runs: int,
    repeats: int,
) -> dict:  # fmt: skip
    """Predicted boundaries on a fine grid, the simulated diagram, their comparison, the ceiling and the costs."""
    ratio = ("generator.kernel.ratio", 0.0, 0.95)
    coarse = phase_axis(exp, *ratio, side), phase_axis(exp, *second[:3], side, second[3])
    fine = phase_axis(exp, *ratio, FINE), phase_axis(exp, *second[:3], FINE, second[3])

    def tick(done: int, total: int) -> None:
        print(f"{label}: {done} of {total} cells simulated", file=sys.stderr, flush=True)

    began = time.process_time()
    simulated = simulate_phase(exp, *coarse, runs=runs, progress=tick)
    cost = time.process_time() - began
    members = grid(exp, coarse, runs)
    began = time.process_time()
    compared = compare_phase(exp, simulated, mechanisms=[START])
    spent = time.process_time() - began
    lost, known = modes_are_lost(compared["simulated_kind"].values), compared["simulated_kind"].values >= 0
    spread = compare_phase(exp, simulated, mechanisms=QUICK)
    alone = sided(lost, diagram(members, clusters=1)[0] > 0)
    rows = [compared, spread, xr.Dataset({n: alone[n] for n in ACCURACY})]
    rows = xr.concat([r[list(ACCURACY)] for r in rows], xr.Variable("predictor", [START, SPREAD, ALONE]),
                     coords="minimal", compat="override")  # fmt: skip
    drawn = [m for m in mechanisms if m in QUICK]
    predicted = phase(exp, *fine, mechanisms=drawn)
    draws = [lost, *(repeated(members, r) for r in range(1, repeats + 1))]
    return {
        "simulated": simulated, "compared": compared, "predicted": predicted, "rows": rows,
        "seconds": cost, "spent": spent, **ceiling(np.array(draws), known),
    }  # fmt: skip


def grid(exp: eg.Experiment, axes, runs: int) -> np.ndarray:
    """The experiments of a diagram, (row, column)."""
    out = np.empty((len(axes[1].values), len(axes[0].values)), dtype=object)
    for r, c in np.ndindex(out.shape):
        cell = {axes[0].path: axes[0].values[c], axes[1].path: axes[1].values[r], "run.start": "random"}
        out[r, c] = exp.replace(cell | {"run.runs": runs})
    return out


def repeated(members: np.ndarray, number: int) -> np.ndarray:
    """Whether modes are lost in each cell from another draw of the start, all particles simulated."""
    exp = members.flat[0].replace({"run.runs": 1})
    start = random_starts(Problem(exp.replace({"run.seed": (exp.run.seed + number) % 2**31})))
    times = verdict_times(exp)
    problems = [Problem(e) for e in members.flat]
    found = follow(problems, np.repeat(start, len(problems), axis=0), times, tolerance=ACCURATE)
    codes = judged(exp, found.x, times, found.diverged_at)
    return modes_are_lost(codes).reshape(members.shape)


def ceiling(draws: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """Of whether modes are lost from several draws of the start (draw, row, column), the first of them simulated: how
    right the majority of the other draws is about each, on average, and about the first; the share of cells that not
    all draws decide alike."""
    if len(draws) < 2:
        return {"ceiling": np.nan, "ceiling_here": np.nan, "undecided": np.nan}
    right = []
    for i, lost in enumerate(draws):
        others = np.delete(draws, i, axis=0).mean(0)
        right.append(sided(lost[known], (others > 0.5)[known])["balanced_accuracy"])
    mixed = (draws.any(0) & ~draws.all(0))[known].mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {"ceiling": float(np.nanmean(right)), "ceiling_here": float(right[0]), "undecided": float(mixed)}


def missed(found: dict) -> dict[str, int | str]:
    """What the cells are like of which it is predicted wrongly whether modes are kept."""
    predicted, lost = (modes_are_lost(found["compared"][f"{n}_kind"]) for n in ("predicted", "simulated"))
    codes = found["simulated"]["outcome"].values
    alarm, surprise = predicted & ~lost, ~predicted & lost
    return {
        "cells": int(lost.size), "with modes lost": int(lost.sum()), "runs": tally(codes),
        "predicted but not lost": int(alarm.sum()), "their runs": tally(codes[alarm]),
        "lost but not predicted": int(surprise.sum()), "these runs": tally(codes[surprise]),
    }  # fmt: skip


def table(compared: xr.Dataset) -> str:
    """The confusion table in words, row by row."""
    lines = []
    for kind, row in zip(Outcome, compared["confusion"].values, strict=True):
        if row.sum():
            words = [f"{n} {word}" for n, word in zip(row, compared["predicted"].values, strict=True) if n]
            lines.append(f"  simulated {kind.word}: predicted {', '.join(words)}")
    return "\n".join(lines)


def study(
    seed: int, draws: int, side: int, mechanisms=QUICK, runs: int = RUNS, repeats: int = REPEATS
) -> tuple[xr.Dataset, list[dict]]:
    """One diagram per draw: its confusion table and what follows from it, and the diagrams themselves."""
    found, rows, labels = [], [], []
    for i in range(draws):
        family = FAMILIES[i % len(FAMILIES)]
        exp, second = draw(family, np.random.default_rng([seed, i]))
        found.append(examine(exp, second, side, mechanisms, family, runs, repeats))
        rows.append(found[-1]["rows"])
        labels.append(family)
        for name in rows[-1]["predictor"].values:
            row = rows[-1].sel(predictor=name)
            print(f"{family:20s} {name:28s} balanced accuracy {float(row['balanced_accuracy']):.3f} +- "
                  f"{float(row['stderr']):.3f} (sensitivity {float(row['sensitivity']):.2f}, "
                  f"specificity {float(row['specificity']):.2f})")  # fmt: skip
        here = found[-1]
        print(f"{family:20s} ceiling {here['ceiling']:.3f} ({here['ceiling_here']:.3f} of this draw), "
              f"{here['undecided']:.0%} of the cells undecided; {here['spent']:.1f} s for {START!r} against "
              f"{here['seconds']:.1f} s: {here['spent'] / here['seconds']:.3f}")  # fmt: skip
        print(f"{table(here['compared'])}\n{family:20s} {missed(here)}", flush=True)
    ds = xr.concat(rows, "draw", combine_attrs="drop").assign_coords(family=("draw", labels))
    for name in ("covered", "spread", "deficit", "displacement"):
        stacked = np.stack([f["simulated"][name].mean("run").values for f in found])
        ds[name] = ("draw", "row", "column"), stacked, found[0]["simulated"][name].attrs
    for name, part in (("share", "simulated"), ("probability", "compared")):
        stacked = np.stack([f[part][name].values for f in found])
        ds[name] = ("draw", "kind", "row", "column"), stacked, found[0][part][name].attrs
    for name in ("confusion", "recall", "precision"):
        ds[name] = xr.concat([f["compared"][name] for f in found], "draw", coords="minimal", compat="override")
    about = {"ceiling": "balanced accuracy of the majority of other draws of the start",
             "ceiling_here": "the same, of the simulated draw", "undecided": "share of the cells decided apart",
             "seconds": "processor time of the simulation", "spent": f"processor time of {START!r}"}  # fmt: skip
    for name, text in about.items():
        ds[name] = "draw", [f[name] for f in found], {"long_name": text, "units": "s" if "time" in text else "1"}
    ds["experiment"] = "draw", [f["simulated"].attrs["experiment"] for f in found]
    return ds.assign_attrs(seed=seed, draws=draws, side=side), found


def figure(ds: xr.Dataset):
    """Balanced accuracy of every predictor and the ceiling, by family; what was found against what was predicted."""
    fig, (left, right) = sheet(1, 2, 5.0, width_ratios=(1.15, 1))
    families, predictors = [str(f) for f in ds["family"].values], [str(p) for p in ds["predictor"].values]
    looks = zip(predictors, (BLUE, VERMILLION, GREEN, PURPLE, SKY, ORANGE), "osD^vP", strict=False)
    for i, (name, colour, marker) in enumerate(looks):
        row = ds.sel(predictor=name)
        x = np.arange(len(families)) + 0.12 * (i - (len(predictors) - 1) / 2)
        left.errorbar(x, row["balanced_accuracy"], row["stderr"], fmt=marker, ms=6, capsize=2, color=colour, label=name)
    for i, value in enumerate(ds["ceiling"].values):
        left.hlines(value, i - 0.4, i + 0.4, color=BLACK, lw=2, label="majority of other draws" if i == 0 else None)
    left.axhline(0.5, color=GREY, ls=":", lw=1.2, label="chance")
    left.set_xticks(range(len(families)), [fill(f, 14) for f in families], fontsize=9)
    left.set(ylabel="balanced accuracy, modes kept or lost (1)", ylim=(0.3, 1.03))
    above(left, columns=1, fontsize=8.5)
    table = ds["confusion"].sum("draw")
    kinds, guessed = (ds[n].values for n in table.dims)
    values = table.values / np.maximum(table.values.sum(1, keepdims=True), 1)
    keep = table.values.sum(1) > 0
    right.imshow(values[keep], cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(values[keep]):
        if value > 0.005:
            right.text(j, i, f"{value:.0%}", ha="center", va="center", fontsize=8, color="w" if value > 0.6 else "k")
    right.set_xticks(range(len(guessed)), [str(g) for g in guessed], rotation=50, ha="right", fontsize=8)
    right.set_yticks(range(int(keep.sum())), [str(k) for k in kinds[keep]], fontsize=8)
    right.set(xlabel="predicted", ylabel="simulated")
    right.set_title("cells by kind, of each row (share)", fontsize=10)
    right.grid(False)
    return fig


def benchmark(side: int = 200, sample: int = 400, seed: int = 1) -> dict[str, float]:
    """Seconds of predicted diagrams of the default ring and of one experiment of each family; of the ring also those of
    evaluating every cell (from a random sample of them)."""
    exp, rng = eg.Experiment(), np.random.default_rng(0)
    axes = (
        phase_axis(exp, "generator.kernel.ratio", 0.0, 0.9, side),
        phase_axis(exp, "penalty.r1", 0.01, 10.0, side, True),
    )
    cells = [{a.path: rng.choice(a.values) for a in axes} for _ in range(sample)]
    start = time.perf_counter()
    for name in QUICK:
        MECHANISMS[name].margins([exp.replace(cell) for cell in cells])
    every = (time.perf_counter() - start) * side**2 / sample
    elapsed = timed("the default ring", exp, axes)
    print(f"every cell: {every:.0f} s, {every / elapsed:.0f} times as long")
    slowest = elapsed
    for i, family in enumerate(FAMILIES):
        exp, second = draw(family, np.random.default_rng([seed, i]))
        axes = phase_axis(exp, "generator.kernel.ratio", 0.0, 0.95, side), phase_axis(exp, *second[:3], side, second[3])
        slowest = max(slowest, timed(family, exp, axes))
    return {"cells": side**2, "predicted": elapsed, "every": every, "slowest": slowest}


def timed(label: str, exp: eg.Experiment, axes: tuple) -> float:
    """Seconds of the predicted diagram with all quick mechanisms."""
    start, cpu = time.perf_counter(), time.process_time()
    found = phase(exp, *axes)
    elapsed, cpu = time.perf_counter() - start, time.process_time() - cpu
    looked = ", ".join(f"{int(found['evaluated'].sel(mechanism=m).sum())} cells for {m}" for m in QUICK)
    side = " x ".join(str(len(a.values)) for a in axes)
    print(f"{side} predicted diagram, {label}: {elapsed:.2f} s, {cpu:.2f} s CPU ({looked})", flush=True)
    return elapsed


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("phase_diagrams", draws=3)
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--runs", type=int, default=RUNS, help="runs per cell")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="further draws of the start, for the ceiling")
    parser.add_argument("--collapsed-state", action="store_true", help="also the collapsed state's stability (slow)")
    parser.add_argument("--benchmark", action="store_true", help="only time predicted diagrams")
    args = parser.parse_args(argv)
    if args.benchmark:
        benchmark(seed=args.seed)
        return xr.Dataset()
    mechanisms = (*QUICK, "collapsed state") if args.collapsed_state else QUICK
    return made(args, lambda: study(args.seed, args.draws, args.side, mechanisms, args.runs, args.repeats)[0], figure)


# %%
if __name__ == "__main__":
    main()
