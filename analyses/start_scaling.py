# %% [markdown]
# # Does it cost the same to predict the state that a start of 24 or of 2400 particles reaches?
# Random rings with weight decay (the first family of phase_diagrams; seed and number are arguments), cells over (kernel
# ratio, critic's learning rate), with N = 24, 240 and 2400 particles. The two gains of the generator's kernel are those
# of the smallest cloud at all N, so that the cells mean the same. The outcome of each cell is that of all N particles,
# in single precision and short leaps; the prediction is that of macro-particles. Costs are processor seconds: the
# simulation's is that of STEPS steps, in double precision and one by one, times the length of the run.
# Run: python -m analyses.start_scaling --seed 1 --draws 1 --output out/start_scaling

# %%
from __future__ import annotations

import time

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.phase_diagrams import ACCURATE, FAMILIES, draw
from analyses.script import above, made, options, redraws, sheet
from egan_theory.predict.basin import margins
from egan_theory.predict.phase import phase_axis
from egan_theory.predict.transverse import clustered
from egan_theory.problem.problem import Problem
from egan_theory.runs.outcome import modes_are_lost
from egan_theory.show.style import BLUE, VERMILLION
from egan_theory.simulation.accelerated import follow
from egan_theory.simulation.macro import judged, verdict_times
from egan_theory.simulation.start import random_starts
from egan_theory.sweeps.confusion import sided

FACTORS = (1, 10, 100)
RATIOS, RATES, STEPS = 6, 4, 20


# %%
def cells(exp: eg.Experiment, second, N: int) -> list[eg.Experiment]:
    """The experiments of a coarse diagram, of N particles with the gains that the experiment's number has."""
    first = phase_axis(exp, "generator.kernel.ratio", 0.0, 0.95, RATIOS)
    other = phase_axis(exp, *second[:3], RATES, second[3])
    found = [exp.replace({first.path: a, other.path: b}) for b in other.values for a in first.values]
    return [clustered(Problem(e), N).exp for e in found]


def outcome(members: list[eg.Experiment]) -> np.ndarray:
    """Whether modes are lost in each cell, all particles followed from the start that a simulation has."""
    exp, problems = members[0], [Problem(e) for e in members]
    x = np.repeat(random_starts(problems[0]), len(members), axis=0)
    times = verdict_times(exp)
    found = follow(problems, x, times, tolerance=ACCURATE)
    return modes_are_lost(judged(exp, found.x, times, found.diverged_at))


def study(seed: int, draws: int, factors=FACTORS) -> xr.Dataset:
    """(draw, factor): particles, seconds of simulation and prediction, and accuracy."""
    rows = []
    for i in range(draws):
        exp, second = draw(FAMILIES[0], np.random.default_rng([seed, len(FAMILIES) * i]))
        exp = exp.replace({"run.runs": 1})
        for factor in factors:
            members = cells(exp, second, factor * exp.generator.particles)
            short = [e.replace({"run.steps": STEPS, "run.record_every": STEPS}) for e in members]
            began = time.process_time()
            eg.simulate(short[0], variants=short)
            simulated = (time.process_time() - began) * exp.run.steps / STEPS
            began = time.process_time()
            guess = margins(members) > 0
            predicted = time.process_time() - began
            lost = outcome(members)
            row = sided(lost, guess) | {
                "particles": members[0].generator.particles, "simulated": simulated, "predicted": predicted,
                "right": float((guess == lost).mean()), "lost": float(lost.mean()), "draw": i, "factor": factor,
            }  # fmt: skip
            rows.append(row)
            print(f"N = {row['particles']:5d}: {len(members)} cells simulated in {simulated:8.1f} s, predicted in "
                  f"{predicted:.2f} s (1 : {simulated / predicted:.0f}); {row['right']:.0%} right, balanced accuracy "
                  f"{float(row['balanced_accuracy']):.3f} +- {float(row['stderr']):.3f}", flush=True)  # fmt: skip
    about = {
        "particles": "particles", "simulated": "processor time of the simulation", "predicted": "of the prediction",
        "right": "share of the cells predicted right", "lost": "share of the cells that lose modes",
        "balanced_accuracy": "balanced accuracy", "stderr": "its standard error",
    }  # fmt: skip
    shape = (draws, len(factors))
    return xr.Dataset(
        {n: (("draw", "factor"), np.reshape([float(r[n]) for r in rows], shape),
             {"long_name": text, "units": "s" if n in ("simulated", "predicted") else "1"})
         for n, text in about.items()},
        coords={"factor": list(factors)}, attrs={"seed": seed, "draws": draws},
    )  # fmt: skip


def figure(ds: xr.Dataset):
    """Seconds against particles."""
    fig, ax = sheet(height=4.4)
    N = ds["particles"].mean("draw")
    ax.loglog(N, ds["simulated"].mean("draw"), "o-", color=VERMILLION, label="simulated, step by step")
    ax.loglog(N, ds["predicted"].mean("draw"), "s-", color=BLUE, label="predicted, macro-particles")
    for n, right, y in zip(N.values, ds["right"].mean("draw").values, ds["predicted"].mean("draw").values, strict=True):
        ax.annotate(f"{right:.0%} right", (n, y), xytext=(0, 8), textcoords="offset points", ha="center")
    ax.set(xlabel="particles (number)", ylabel=f"processor time of {RATIOS * RATES} cells (s)")
    ax.margins(x=0.08)
    above(ax, columns=2)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("start_scaling", draws=1).parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws), figure)
    return ds


# %%
if __name__ == "__main__":
    main()
