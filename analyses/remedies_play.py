# %% [markdown]
# # Best responses and averaged opponents: who has to do what for training to converge?
# One wave on a periodic box (flow, Wasserstein loss, weight decay nu) is one oscillator s^2 + a s + w2 = 0. Its players
# answer to the present opponent or to an exponential average over a time tau, the discriminator by first-order steps or
# by its best response. Routh's conditions (symbolic.remedies) say where the last iterate converges; simulations of the
# nonlinear model from random kicks say where it does. Then, without any damping, the last iterate against its running
# average: uniform averages converge as 1/t while the last iterate goes on oscillating. And the rates of n critic steps
# against the best response that they tend to.
# Run: python analyses/remedies_play.py --seed 0 --draws 5 --output out/remedies_play

# %%
from __future__ import annotations

import argparse
from itertools import pairwise, product
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr

import egan_theory as eg
from egan_theory.comparison.strength import late_rate
from egan_theory.linear import eigenvalues, linearize
from egan_theory.predict.regularizer import convergence_rate
from egan_theory.symbolic.linearize import symbols
from egan_theory.symbolic.remedies import averaged, routh_conditions, tau_D, tau_q

#: damping and averaging time of the map, in units of the undamped frequency
DAMPING, TIME = (0.05, 5.0), (0.05, 20.0)
#: e-folds that a cell is simulated, the most units of time, and the largest |s| per unit of time
E_FOLDS, LONGEST, RESOLVED = 6.0, 400, 0.3
#: cells whose slowest rate is below this part of the frequency are too close to the boundary to be told
CLOSE = 0.03
STEPS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
RULES = {False: "flow", True: "best-response-flow"}
COMBINATIONS = [combination for combination in product((False, True), repeat=3) if any(combination[:2])]


def box(seed: int, **changes) -> eg.Experiment:
    """One wave: three particles on a periodic box."""
    exp = eg.Experiment(
        target={"kind": "uniform", "side": 3, "length": 2.0, "dimension": 1},
        generator={"particles": 3, "learning_rate": 0.1, "kernel": {"ratio": 0.0}},
        discriminator={"length_scale": 0.4, "features": 0, "learning_rate": 1.0},
        penalty={"r1": 0.0}, update={"rule": "flow"},
        run={"runs": 4, "kick": 1e-7, "seed": seed},
    )  # fmt: skip
    return exp.replace(changes)


def waves(exp: eg.Experiment, runs: xr.Dataset) -> np.ndarray:
    """(run, time, particle, component) displacements without that of the centre, which no force moves."""
    dx = runs["particles"].values - exp.points.coordinates[exp.assignment]
    return dx - dx.mean(2, keepdims=True)


def frequency(exp: eg.Experiment) -> float:
    return float(np.sqrt(np.linalg.det(linearize(exp).blocks)[0]))


def measured(exp: eg.Experiment, rate: float) -> float:
    """Simulated decay rate of the waves: time runs slower where it is fast, and ends after E_FOLDS or LONGEST."""
    s = eigenvalues(linearize(exp)).s
    slower = max(1.0, float(np.abs(s).max()) / RESOLVED)
    steps = int(np.clip(E_FOLDS / max(abs(rate), 1e-12) * slower, 40, LONGEST))
    times = {f"memory.{name}": exp.get(f"memory.{name}") * slower for name in ("generator", "discriminator")}
    rates = {
        f"{name}.learning_rate": exp.get(f"{name}.learning_rate") / slower for name in ("generator", "discriminator")
    }
    exp = exp.replace({**times, **rates, "run.steps": steps, "run.record_every": max(steps // 400, 1)})
    runs = eg.simulate(exp)
    return late_rate(runs["time"].values, np.sqrt((waves(exp, runs) ** 2).sum((-1, -2))))[0] * slower


# %%
def map_of_stability(seed: int, points: int) -> xr.Dataset:
    """Predicted and simulated rate of every combination over damping and averaging time."""
    w = frequency(box(seed))
    damping, time = np.geomspace(*DAMPING, points), np.geomspace(*TIME, points)
    shape = (len(COMBINATIONS), points, points)
    routh, rate, simulated = np.zeros(shape, dtype=bool), np.zeros(shape), np.zeros(shape)
    for i, (generator, discriminator, responds) in enumerate(COMBINATIONS):
        conditions = routh_conditions(averaged(generator, discriminator, responds))
        for (j, a), (k, tau) in product(enumerate(damping), enumerate(time)):
            at = {symbols.a: a * w, symbols.w2: w**2, tau_q: tau / w, tau_D: tau / w}
            routh[i, j, k] = all(float(c.subs(at)) > 0 for c in conditions)
            exp = box(seed, **{
                "update.rule": RULES[responds], "penalty.weight_decay": a * w,
                "memory.generator": generator * tau / w, "memory.discriminator": discriminator * tau / w,
            })  # fmt: skip
            rate[i, j, k] = convergence_rate(exp) / w
            simulated[i, j, k] = measured(exp, rate[i, j, k] * w) / w
    names = [
        f"{'best response' if r else 'first order'}, averaged {' and '.join(n for n, on in (('q', g), ('D', d)) if on)}"
        for g, d, r in COMBINATIONS
    ]
    dims = ("combination", "damping", "time")
    return xr.Dataset(
        {
            "routh": (dims, routh.astype(np.int8), {"long_name": "Routh's conditions hold"}),
            "rate": (dims, rate, {"long_name": "predicted rate over frequency", "units": "1"}),
            "simulated": (dims, simulated, {"long_name": "simulated rate over frequency", "units": "1"}),
        },
        coords={"combination": names, "damping": damping, "time": time},
    )


def neutral(seed: int) -> xr.Dataset:
    """Undamped first-order play: size of the deviation and of its running average over time."""
    exp = box(seed)
    w = frequency(exp)
    exp = exp.replace({"run.steps": int(200 * 2 * np.pi / w), "run.record_every": 1})
    runs = eg.simulate(exp)
    dx = waves(exp, runs)
    count = np.arange(1, dx.shape[1] + 1)[:, None, None]
    mean = np.cumsum(dx, axis=1) / count
    last, average = (np.sqrt((v**2).sum((-1, -2)).mean(0)) for v in (dx, mean))
    return xr.Dataset(
        {"last": ("time", last, {"units": "length"}), "average": ("time", average, {"units": "length"})},
        coords={"time": ("time", runs["time"].values * w / (2 * np.pi), {"long_name": "periods"})},
    )


def exponent(ds: xr.Dataset) -> float:
    """Of the running average's envelope (largest within each of 20 bins) from 5 periods to half of the time."""
    t, size = ds["time"].values, ds["average"].values
    edges = np.geomspace(5, t[-1] / 2, 21)
    top = [size[(t >= lo) & (t < hi)].max() for lo, hi in pairwise(edges)]
    return float(np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), np.log(top), 1)[0])


def critic_steps(seed: int) -> xr.Dataset:
    """Slowest rate against critic steps on a ring, predicted and simulated, and that of the best response."""
    exp = eg.Experiment(
        target={"kind": "ring", "modes": 5}, generator={"particles": 5, "learning_rate": 0.005},
        discriminator={"features": 32, "learning_rate": 0.3}, penalty={"r1": 0.0, "weight_decay": 0.1},
        update={"rule": "alternating"}, run={"runs": 2, "kick": 1e-7, "seed": seed},
    )  # fmt: skip
    from egan_theory.comparison.compare import slowest_measured

    variants = [exp.replace({"update.critic_steps": n}) for n in STEPS] + [
        exp.replace({"update.rule": "best-response"})
    ]
    predicted = [convergence_rate(e) for e in variants]
    measured = []
    for e, rate in zip(variants, predicted, strict=True):
        steps = int(np.clip(12 / abs(rate), 200, 4000))
        e = e.replace({"run.steps": steps, "run.record_every": max(steps // 200, 1)})
        measured.append(slowest_measured(e, eg.simulate(e))[0])
    return xr.Dataset(
        {"rate": ("steps", predicted, {"units": "1/step"}), "simulated": ("steps", measured, {"units": "1/step"})},
        coords={"steps": ("steps", [*map(float, STEPS), np.inf], {"long_name": "critic steps"})},
    )


# %%
def figure(stable: xr.Dataset, free: xr.Dataset, steps: xr.Dataset):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(12.5, 6.4), layout="constrained")
    axes = fig.subplots(2, 4).ravel()
    for ax, name in zip(axes, stable["combination"].values, strict=False):
        part = stable.sel(combination=name)
        t, a = np.meshgrid(part["time"], part["damping"])
        ok, seen = part["routh"].values > 0, part["simulated"].values > 0
        ax.pcolormesh(t, a, ok, cmap="RdYlBu", vmin=-0.6, vmax=1.6, shading="nearest", alpha=0.6)
        ax.loglog(t[seen], a[seen], "o", color="#0072B2", ms=5, label="simulated: converges")
        ax.loglog(t[~seen], a[~seen], "x", color="#D55E00", ms=6, label="simulated: diverges")
        ax.set_title(str(name), fontsize=9)
        ax.set_xlabel("averaging time x frequency")
        ax.set_ylabel("damping a / frequency")
    axes[0].legend(fontsize=7)
    ax = axes[6]
    ax.loglog(free["time"][1:], free["last"][1:], color="#D55E00", lw=0.6, label="last iterate")
    ax.loglog(free["time"][1:], free["average"][1:], color="#0072B2", lw=0.8, label="running average")
    ax.set(xlabel="time (periods)", ylabel="size of the deviation (length)")
    ax.set_title(f"no damping: average falls as t^{exponent(free):.2f}", fontsize=9)
    ax.legend(fontsize=7)
    ax = axes[7]
    ax.semilogx(steps["steps"][:-1], steps["rate"][:-1], "-", color="#0072B2", label="predicted")
    ax.semilogx(steps["steps"][:-1], steps["simulated"][:-1], "D", color="#D55E00", label="simulated")
    ax.axhline(float(steps["rate"][-1]), color="k", ls=":", label="best response")
    ax.set(xlabel="critic steps", ylabel="slowest rate (1/step)", title="")
    ax.set_title("critic steps tend to the best response", fontsize=9)
    ax.legend(fontsize=7)
    return fig


def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=5, help="values of damping and of averaging time")
    parser.add_argument("--output", type=Path, default=Path("out/remedies_play"))
    args = parser.parse_args(argv)
    matplotlib.use("Agg")
    stable, free, steps = map_of_stability(args.seed, args.draws), neutral(args.seed), critic_steps(args.seed)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    for name, ds in (("", stable), ("_neutral", free), ("_steps", steps)):
        eg.save(ds.assign_attrs(seed=args.seed), args.output.with_name(f"{args.output.name}{name}.nc"))
    figure(stable, free, steps).savefig(args.output.with_suffix(".png"), dpi=150)
    clear = np.abs(stable["rate"].values) > CLOSE
    same = (stable["simulated"].values > 0) == (stable["routh"].values > 0)
    print(f"{int(same[clear].sum())} of {int(clear.sum())} cells as Routh's conditions say "
          f"({int((~clear).sum())} too close to the boundary)")  # fmt: skip
    for name in stable["combination"].values:
        print(f"  {name}: {float((stable['routh'].sel(combination=name)).mean()):.2f} of the map converges")
    print(f"running average of an undamped oscillation: exponent {exponent(free):.3f}")
    error = float(np.abs(steps["simulated"] / steps["rate"] - 1).max())
    print(f"critic steps and best response: simulated rates within {error:.1e} of the prediction; "
          f"89 steps {float(steps['rate'][-2]):.5g}, best response {float(steps['rate'][-1]):.5g}")  # fmt: skip
    return stable


# %%
if __name__ == "__main__":
    main()
