# %% [markdown]
# # Best responses and averaged opponents: who has to do what for training to converge?
# One wave on a periodic box (flow, Wasserstein loss, weight decay nu) is one oscillator s^2 + a s + w2 = 0. Its players
# answer to the present opponent or to an exponential average over a time tau, the discriminator by first-order steps or
# by its best response. Routh's conditions (symbolic.remedies) say where the last iterate converges; simulations of the
# nonlinear model from random kicks say where it does. Then, without any damping, the last iterate against its running
# average: uniform averages converge as 1/t while the last iterate goes on oscillating. And the rates of n critic steps
# against the best response that they tend to.
# Opponents that see all of the past alike (uniform averages) are a panel of their own: damped play then converges or
# diverges as a power of time, last iterate and average with different powers, which eg.power_laws predicts. Simulations
# of discrete steps are fitted with free powers on both sides of the two thresholds, w2 = a^2/2 and 3 a^2/2.
# Run: python -m analyses.remedies_play --seed 0 --draws 5 --output out/remedies_play

# %%
from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import xarray as xr
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

import egan_theory as eg
from analyses.script import above, made, merged, options, part_of, redraws, sheet
from egan_theory.comparison.compare import slowest_measured
from egan_theory.linear import eigenvalues, linearize
from egan_theory.predict.asymptotic import convergence_rate
from egan_theory.show.style import BLUE, GREY, VERMILLION
from egan_theory.symbolic.linearize import symbols
from egan_theory.symbolic.remedies import averaged, routh_conditions, tau_D, tau_q

#: damping and averaging time of the map, in units of the undamped frequency
DAMPING, TIME = (0.05, 5.0), (0.05, 20.0)
#: e-folds that a cell is simulated, the most units of time, and the largest |s| per unit of time
E_FOLDS, LONGEST, RESOLVED = 6.0, 400, 0.3
#: cells whose slowest rate is below this part of the frequency are too close to the boundary to be told
CLOSE = 1e-3
STEPS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
RULES = {False: "flow", True: "best_response_flow"}
#: in words
NAMES = {
    "flow": "first order", "simultaneous": "first order",
    "best_response_flow": "best response", "best_response": "best response",
}  # fmt: skip
#: uniform averages: w2/a^2 of the shown runs and of the scan, and steps
SHOWN, SCAN, UNIFORM_STEPS = 0.25, (0.1, 3.0), 4000
#: colours of Routh's verdict
TOGETHER, APART = "#cfe3f2", "#f6d5c5"
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
    return slowest_measured(exp, eg.simulate(exp))[0] * slower


# %%
def map_of_stability(seed: int, points: int) -> xr.Dataset:
    """Predicted and simulated rate of every combination over damping and averaging time."""
    w = frequency(box(seed))
    damping, time = np.geomspace(*DAMPING, points), np.geomspace(*TIME, points)
    shape = (len(COMBINATIONS), points, points)
    routh, rate, simulated = np.zeros(shape, dtype=bool), np.zeros(shape), np.zeros(shape)
    unresolved = np.zeros(shape, dtype=int)
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
            unresolved[i, j, k] = eg.spectrum(exp).attrs["unresolved"]
            simulated[i, j, k] = measured(exp, rate[i, j, k] * w) / w
    names = [
        f"{NAMES[RULES[r]]}, {'both' if g and d else 'generator' if g else 'discriminator'} averaged"
        for g, d, r in COMBINATIONS
    ]
    dims = ("combination", "damping", "time")
    return xr.Dataset(
        {
            "routh": (dims, routh.astype(np.int8), {"long_name": "Routh's conditions hold"}),
            "rate": (dims, rate, {"long_name": "predicted rate over frequency", "units": "1"}),
            "simulated": (dims, simulated, {"long_name": "simulated rate over frequency", "units": "1"}),
            "unresolved": (dims, unresolved, {"long_name": "modes at rest but for rounding", "units": "1"}),
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
    variants = [exp.replace({"update.critic_steps": n}) for n in STEPS] + [
        exp.replace({"update.rule": "best_response"})
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
def uniform(seed: int, rule: str, player: str, ratio: float, steps: int) -> tuple[eg.Experiment, xr.Dataset]:
    """Runs of discrete steps in which ``player`` is averaged over all of the past, at w2 = ratio a^2."""
    exp = box(seed, **{
        "update.rule": rule, f"memory.{player}": "uniform", "run.steps": steps, "run.record_every": 1, "run.runs": 2,
        "penalty.weight_decay": frequency(box(seed)) / np.sqrt(ratio),
    })  # fmt: skip
    return exp, eg.simulate(exp)


#: who is averaged uniformly, against first-order steps and best responses
UNIFORM = [(rule, player) for rule in ("simultaneous", "best_response") for player in ("generator", "discriminator")]


def uniform_sizes(seed: int, steps: int = UNIFORM_STEPS) -> xr.Dataset:
    """Last iterate and average over time where both converge, with their predicted exponents."""
    last, average, powers = [], [], []
    for rule, player in UNIFORM:
        exp, runs = uniform(seed, rule, player, SHOWN, steps)
        dx = waves(exp, runs)
        mean = np.cumsum(dx, axis=1) / np.arange(1, steps + 2)[:, None, None]
        for sizes, v in ((last, dx), (average, mean)):
            sizes.append(np.sqrt((v**2).sum((-1, -2)).mean(0)))
        law = eg.power_laws(exp)
        powers.append([float(law[name][0]) for name in ("last", "average")])
    size = (("combination", "time"), {"units": "length"})
    return xr.Dataset(
        {
            "last": (size[0], last, size[1]), "average": (size[0], average, size[1]),
            "power": (("combination", "which"), powers, {"long_name": "predicted exponent", "units": "1"}),
        },
        coords={
            "combination": [f"{NAMES[rule]}, {player} averaged" for rule, player in UNIFORM],
            "which": ["last", "average"], "time": ("time", np.arange(1.0, steps + 2), {"units": "step"}),
        },
    )  # fmt: skip


def uniform_powers(seed: int, points: int, steps: int = UNIFORM_STEPS) -> xr.Dataset:
    """Predicted and fitted exponents of first-order steps over w2/a^2."""
    ratios, players = np.geomspace(*SCAN, points), ("generator", "discriminator")
    values = np.full((3, len(players), points, 2), np.nan)
    for (i, player), (j, ratio) in product(enumerate(players), enumerate(ratios)):
        exp, runs = uniform(seed, "simultaneous", player, ratio, steps)
        for q in eg.compare(exp, runs, modes=1).quantities:
            values[:, i, j, int(q.name.endswith("average"))] = q.predicted, q.measured, q.stderr
    dims = ("player", "ratio", "which")
    names = ("predicted", "measured", "stderr")
    return xr.Dataset(
        {n: (dims, v, {"long_name": f"exponent, {n}", "units": "1"}) for n, v in zip(names, values, strict=True)},
        coords={"player": list(players), "ratio": ("ratio", ratios, {"long_name": "w2/a^2"}),
                "which": ["last", "average"]},
    )  # fmt: skip


# %%
def figure(ds: xr.Dataset):
    """The six maps of stability; the average without damping, critic steps, and exponents of uniform averages."""
    stable = part_of(ds, "map")
    fig, axes = sheet(3, 3, 10.2)
    axes = axes.ravel()
    for ax, name in zip(axes, stable["combination"].values, strict=False):
        part = stable.sel(combination=name)
        t, a = np.meshgrid(part["time"], part["damping"])
        ok, seen = part["routh"].values > 0, part["simulated"].values > 0
        ax.pcolormesh(t, a, ok, cmap=ListedColormap((APART, TOGETHER)), vmin=0, vmax=1, shading="nearest")
        ax.loglog(t[seen], a[seen], "o", color=BLUE, ms=5, label="simulated: converges")
        ax.loglog(t[~seen], a[~seen], "x", color=VERMILLION, ms=6, label="simulated: diverges")
        ax.set_title(str(name).replace(", ", ",\n"), fontsize=9)
        ax.set(xlabel="averaging time × frequency (1)", ylabel="damping a / frequency (1)")
        ax.grid(False)
    patches = [Patch(color=c, label=f"Routh's conditions: {n}")
               for c, n in ((TOGETHER, "converges"), (APART, "diverges"))]  # fmt: skip
    points = [Line2D([], [], ls="", marker=m, color=c, label=f"simulated: {n}")
              for m, c, n in (("o", BLUE, "converges"), ("x", VERMILLION, "diverges"))]  # fmt: skip
    fig.legend(handles=[*patches, *points], loc="outside upper center", ncols=4, fontsize=9, frameon=False)
    _average(axes[6], part_of(ds, "neutral"))
    _critic(axes[7], part_of(ds, "critic"))
    _powers(axes[8], part_of(ds, "powers"))
    return fig


def _average(ax, free: xr.Dataset) -> None:
    ax.loglog(free["time"][1:], free["last"][1:], color=VERMILLION, lw=0.6, label="last iterate")
    ax.loglog(free["time"][1:], free["average"][1:], color=BLUE, lw=0.8, label="running average")
    ax.set(xlabel="time (periods)", ylabel="size of the deviation (length)")
    above(ax, f"no damping: average ~ $t^{{{exponent(free):.2f}}}$", fontsize=8)


def _critic(ax, steps: xr.Dataset) -> None:
    ax.semilogx(steps["steps"][:-1], steps["rate"][:-1], "-", color=BLUE, label="predicted")
    ax.semilogx(steps["steps"][:-1], steps["simulated"][:-1], "D", color=VERMILLION, ms=4, label="simulated")
    ax.axhline(float(steps["rate"][-1]), color="k", ls=":", label="best response")
    ax.set(xlabel="critic steps (1)", ylabel="slowest rate (1/step)")
    above(ax, "critic steps on a ring", fontsize=8)


def _powers(ax, powers: xr.Dataset) -> None:
    fine = np.linspace(0, 1.05 * float(powers["ratio"][-1]), 50)
    for which, colour, word in (("last", VERMILLION, "last iterate"), ("average", BLUE, "average")):
        ax.plot(fine, (-0.25 if which == "last" else -0.75) + fine / 2, color=colour, label=f"{word}, predicted")
        for player, marker in (("generator", "o"), ("discriminator", "s")):
            part = powers.sel(which=which, player=player)
            ax.errorbar(part["ratio"], part["measured"], part["stderr"], fmt=marker, color=colour, ms=5, capsize=2,
                        mfc="none", label=f"{player} averaged" if which == "last" else None)  # fmt: skip
    ax.axhline(0, color=GREY, lw=0.8)
    ax.set(xlabel="frequency² / damping² (1)", ylabel="exponent of time (1)", ylim=(-1, None))
    above(ax, "all of the past: < 0 converges", 1, fontsize=7)


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("remedies_play", draws=5, seed=0, help_draws="values of damping and of averaging time")
    args = parser.parse_args(argv)
    ds = made(args, lambda: merged(
        map=map_of_stability(args.seed, args.draws), neutral=neutral(args.seed), critic=critic_steps(args.seed),
        sizes=uniform_sizes(args.seed), powers=uniform_powers(args.seed, 2 * args.draws),
    ), figure)  # fmt: skip
    stable, free, steps, powers = (part_of(ds, name) for name in ("map", "neutral", "critic", "powers"))
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
    off = np.abs(powers["measured"] - powers["predicted"])
    print(f"uniform averages: {int(off.notnull().sum())} fitted exponents within {float(off.max()):.1e} of the "
          f"prediction, {float((off / powers['stderr']).max()):.2g} standard errors")  # fmt: skip
    return ds


# %%
if __name__ == "__main__":
    main()
