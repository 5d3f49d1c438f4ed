# %% [markdown]
# # Are the orbits beyond a threshold the ones that simulations settle on?
# The default ring (8 points, 64 particles, 256 features, weight decay 0.05, no R1) loses the stability of its spread
# state at a kernel ratio of 0.158. The orbits that take its place are followed by `eg.branch`; simulations from a kick
# of 0.02 at five ratios up to 0.6 run until they have settled. Compared: rms displacement of the particles, largest
# excursion of the centroid, period. Then the leading Floquet multiplier: two states next to the orbit, apart by the
# real and the imaginary part of its vector, are stepped through many turns, and what their distance loses in a turn is
# compared with the multiplier.
#
# The same for random experiments (seed and number of draws are arguments) over losses, penalties, kernels, update rules
# and targets, as `critical_ratios.py` draws them: 2 % beyond the threshold, wherever the branch there is stable and
# its period is not longer than a run allows. What is left out is counted, with the reason.
# Run: python -m analyses.orbits --seed 1 --draws 6 --output out/orbits

# %%
from __future__ import annotations

import sys

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.critical_ratios import draw
from analyses.script import above, made, options, redraws, sheet
from egan_theory.nonlinear.circle import Orbit, wavenumbers
from egan_theory.nonlinear.floquet import floquet
from egan_theory.nonlinear.systems import Dynamics
from egan_theory.predict.branched import OrbitState
from egan_theory.problem.problem import Problem
from egan_theory.show.style import BLUE, GREEN, GREY, ORANGE, VERMILLION

RATIO = "generator.kernel.ratio"
RATIOS = (0.17, 0.2, 0.25, 0.4, 0.6)
KICK, STEPS, LATE = 0.02, 40_000, 0.2
#: random experiments: how far beyond the threshold, kick in length scales, steps at least and at most
BEYOND, DRAWN_KICK, LEAST, MOST = 0.02, 0.01, 20_000, 80_000
#: of a decay: e-foldings that a run should hold, turns and part of the orbit's size that perturbed states are apart
FOLDS, TURNS, APART = 12.0, 20, 1e-6
AGREE = 0.01


def ring() -> eg.Experiment:
    """The default ring with weight decay alone."""
    return eg.Experiment(target={"kind": "ring", "modes": 8}, penalty={"r1": 0.0, "weight_decay": 0.05})


# %%
def settled(exp: eg.Experiment, steps: int, kick: float) -> tuple[float, float, float]:
    """(rms displacement, largest excursion of the centroid, period) over the last part of one simulated run."""
    every = 1 if steps <= 40_000 else 2
    exp = exp.replace({"run.steps": steps, "run.kick": kick, "run.start": "kick", "run.runs": 1,
                       "run.record_every": every})  # fmt: skip
    runs = eg.simulate(exp)
    late = runs.isel(run=0, time=slice(-int(LATE * steps / every), None))
    moved = late["particles"].transpose("time", "particle", "component").values - exp.points.coordinates[exp.assignment]
    centroid = moved.mean(1)
    flat = moved.reshape(len(moved), -1)
    u = np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][0]
    y = (flat - flat.mean(0)) @ u
    up = np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))
    if len(up) < 3:
        return float(np.sqrt((moved**2).sum(-1).mean())), float(np.linalg.norm(centroid, axis=1).max()), float("nan")
    times = up + y[up] / (y[up] - y[up + 1])
    turns = slice(up[0], up[-1])
    return (
        float(np.sqrt((moved[turns] ** 2).sum(-1).mean())),
        float(np.linalg.norm(centroid, axis=1).max()),
        float(every * (times[-1] - times[0]) / (len(times) - 1)),
    )


def decay(steps: Dynamics, orbit: Orbit) -> tuple[float, float]:
    """(predicted, measured) logarithm of the leading multiplier's modulus over one turn."""
    leading = floquet(steps, orbit)
    v = leading.vectors[0]
    size = APART * np.sqrt(((orbit.points - orbit.centre) ** 2).sum(-1).mean()) / np.linalg.norm(v[0])
    z = np.stack([orbit.points[0], orbit.points[0] + size * v[0].real, orbit.points[0] + size * v[0].imag])
    distance = [np.sqrt(((z[1:] - z[0]) ** 2).sum())]
    for _ in range(int(TURNS * orbit.period)):
        z = steps.steps.step(z)
        distance.append(np.sqrt(((z[1:] - z[0]) ** 2).sum()))
    if not orbit.circle:  # a cycle of two steps: as far apart in the same direction after both
        slope = np.polyfit(np.arange(len(distance[:: orbit.m])), np.log(distance[:: orbit.m]), 1)[0]
        return float(np.log(np.abs(leading.multipliers[0]))), float(slope)
    # the vector is longer at some angles than at others: what is left is the decay
    phi = orbit.angle * np.arange(len(distance))
    waves = np.exp(1j * np.multiply.outer(phi, wavenumbers(orbit.m)))
    length = np.linalg.norm(waves @ (np.fft.fft(v, axis=0) / orbit.m), axis=1)
    slope = np.polyfit(np.arange(len(distance)), np.log(np.array(distance) / length), 1)[0]
    return float(np.log(np.abs(leading.multipliers[0]))), float(slope * orbit.period)


# %%
NAMES = {
    "rms": ("rms displacement of the particles", "length"),
    "centroid": ("largest excursion of the centroid", "length"),
    "period": ("time of one turn", "step"),
    "log_multiplier": ("logarithm of the leading multiplier's modulus, over one turn", "1"),
}


def compared(exp: eg.Experiment, state: OrbitState, steps: int, kick: float) -> list[float]:
    """[predicted, measured] of everything in NAMES, in turn."""
    at = exp.replace({RATIO: state.value})
    rms, centroid, period = settled(at, steps, kick)
    predicted, measured = decay(Dynamics(Problem(at)), state.solution)
    return [state.rms, rms, state.centroid, centroid, float(state.period or np.nan), period, predicted, measured]


def rows_of_ring() -> tuple[list[tuple[float, list[float]]], eg.Branch]:
    """(rows at RATIOS, the whole diagram)."""
    found = eg.branch(ring(), RATIO, 0.0, 0.7, at=RATIOS, collapsed=0)
    rows = []
    for state in found.orbits:
        if any(abs(state.value - ratio) < 1e-12 for ratio in RATIOS):
            rows.append((state.value, compared(ring(), state, STEPS, KICK)))
            told(f"ratio {state.value:g}", rows[-1][1])
    return rows, found


def told(name: str, row: list[float]) -> None:
    errors = ", ".join(f"{n} {row[2 * i]:.5g} ({row[2 * i + 1] / row[2 * i] - 1:+.2%})" for i, n in enumerate(NAMES))
    print(f"{name}: {errors}", file=sys.stderr, flush=True)


def rows_of_draws(seed: int, draws: int) -> tuple[list[tuple[float, list[float]]], list[str], list[str]]:
    """(rows, their labels, reasons of the experiments that are left out)."""
    rows, labels, left = [], [], []
    for i in range(draws):
        exp, threshold = draw(np.random.default_rng([seed, i]))
        side = eg.collective_instability(exp, RATIO, 0.9 * threshold, min(1.1 * threshold, 1.0)).unstable_side
        value = threshold * (1 + (BEYOND if side[:1] == ("above",) else -BEYOND))
        label = f"{exp.target.kind} d={exp.dimension} {exp.loss.kind} {exp.update.rule}"
        low, high = threshold * (1 - 1.2 * BEYOND), min(threshold * (1 + 1.2 * BEYOND), 1.0)
        found = eg.branch(exp, RATIO, low, high, at=[value], collapsed=0)
        there = [o for o in found.orbits if abs(o.value - value) < 1e-12 and o.stable and o.period]
        if not there:
            reasons = "; ".join(f"{b.bifurcation} {b.criticality or ''} {b.reason}" for b in found.branches)
            left.append(f"{label}: no stable orbit 2 % beyond the threshold ({reasons})")
        elif FOLDS / abs(there[0].exponent) > MOST:
            left.append(f"{label}: settles in {FOLDS / abs(there[0].exponent):.0f} steps, longer than a run")
        else:
            steps = int(max(LEAST, FOLDS / abs(there[0].exponent)))
            rows.append((value, compared(exp, there[0], steps, DRAWN_KICK * exp.discriminator.length_scale)))
            labels.append(label)
            told(label, rows[-1][1])
            continue
        print(left[-1], file=sys.stderr, flush=True)
    return rows, labels, left


def study(seed: int, draws: int) -> xr.Dataset:
    """The ring's orbits over "ratio", the random experiments' over "draw"."""
    ring_rows, found = rows_of_ring()
    drawn, labels, left = rows_of_draws(seed, draws)
    data = {}
    for dim, rows in (("ratio", ring_rows), ("draw", drawn)):
        for i, (name, (long, units)) in enumerate(NAMES.items()):
            for j, how in enumerate(("predicted", "measured")):
                values = np.array([row[2 * i + j] for _, row in rows])
                about = {"long_name": f"{how} {long}", "units": units}
                data[f"{dim}_{name}_{how}"] = (dim, values, about)
    about = {"long_name": "kernel ratio of the ring's orbits", "units": "1"}
    data["branch_value"] = ("orbit", np.array([o.value for o in found.orbits]), about)
    for name in ("rms", "period"):
        about = {"long_name": NAMES[name][0], "units": NAMES[name][1]}
        data[f"branch_{name}"] = ("orbit", np.array([getattr(o, name) for o in found.orbits]), about)
    data["draw_value"] = ("draw", np.array([v for v, _ in drawn]), {"long_name": "kernel ratio", "units": "1"})
    data["draw_label"] = ("draw", np.array(labels, dtype=str))
    data["left_out"] = ("left", np.array(left, dtype=str))
    coords = {"ratio": ("ratio", [v for v, _ in ring_rows], {"long_name": "kernel ratio", "units": "1"})}
    return xr.Dataset(data, coords=coords, attrs={"seed": seed, "draws": draws, "agree": AGREE})


def errors(ds: xr.Dataset, dim: str, name: str) -> np.ndarray:
    """Relative errors of a prediction; of the centroid, which may hardly move, over the particles' rms displacement."""
    predicted, measured = (ds[f"{dim}_{name}_{how}"].values for how in ("predicted", "measured"))
    scale = ds[f"{dim}_rms_predicted"].values if name == "centroid" else predicted
    return np.abs((measured - predicted) / scale)


# %%
def figure(ds: xr.Dataset):
    """The ring's branch with simulations on it, and relative errors of everything."""
    fig, (left, right) = sheet(1, 2, 4.6)
    x = ds["ratio"].values
    left.plot(ds["branch_value"], ds["branch_rms"], ".-", ms=5, color=BLUE, label="orbits, followed from the threshold")
    left.plot(x, ds["ratio_rms_measured"], "o", mfc="none", color=VERMILLION, ms=9, label="simulated from a kick")
    left.set(xlabel="kernel ratio g2/g1", ylabel="rms displacement (length)")
    above(left, "The default ring")
    for (name, marker), colour in zip(
        {"rms": "o", "centroid": "s", "period": "^", "log_multiplier": "D"}.items(),
        (BLUE, ORANGE, GREEN, VERMILLION), strict=True,
    ):  # fmt: skip
        ring_errors, drawn = errors(ds, "ratio", name), errors(ds, "draw", name)
        right.plot(1 + np.arange(len(ring_errors)), ring_errors, marker, color=colour, label=WORDS[name])
        right.plot(len(ring_errors) + 2 + np.arange(len(drawn)), drawn, marker, color=colour)
    right.axhline(AGREE, color=GREY, lw=1.2, ls="--", label=f"{AGREE:.0%}")
    right.axvline(len(x) + 1, color="0.8", lw=1)
    right.set(yscale="log", ylabel="relative error of the prediction", xlabel="ratios of the ring | random experiments")
    right.set_xticks([])
    above(right, columns=2)
    return fig


#: names of what is compared
WORDS = {"rms": "rms displacement", "centroid": "centroid's excursion", "period": "period",
         "log_multiplier": "decay per period"}  # fmt: skip


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("orbits", draws=6).parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws), figure)
    for dim, what in (("ratio", "ring"), ("draw", "random experiments")):
        for name in NAMES:
            off = errors(ds, dim, name)
            if len(off):
                print(f"{what}, {name}: largest relative error {off.max():.2e}, "
                      f"{int((off < AGREE).sum())} of {len(off)} within {AGREE:.0%}")  # fmt: skip
    for text in ds["left_out"].values:
        print(f"left out: {text}")
    return ds


# %%
if __name__ == "__main__":
    main()
