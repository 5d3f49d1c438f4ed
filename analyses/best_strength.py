# %% [markdown]
# # Does the advised strength leave least of a kick after the training there is time for?
# Random experiments (seed and number of draws are arguments): targets, kernels (every third an exact one), losses (with
# and without curvature, kappa), mixes of penalties, update rules; a penalty and a horizon are drawn as well, from one
# radian to 30 of the modes' median frequency. Theory advises a strength for that horizon. The nonlinear model is
# kicked along every direction of its particles and simulated to the horizon, at the advised strength, at 0 and at 14
# strengths within a factor 10. The advice passes when what it leaves, of the coordinates that can move, is at most 1.02
# times the least of the sweep among strengths that keep its margin (a factor 2) to the edge of stability.
# Run: python -m analyses.best_strength --seed 1 --draws 20 --output out/best_strength

# %%
from __future__ import annotations

import sys

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.draws import draw_experiment
from analyses.script import above, made, options, redraws, sheet
from egan_theory.comparison.left import LEAST
from egan_theory.linear.resolved import resolved_rule
from egan_theory.show.style import BLACK, BLUE, GREEN, GREY, VERMILLION

POINTS, SPAN, WITHIN = 14, 10.0, 1.02
#: horizons, in radians of the modes' median frequency
LOW, HIGH = 1.0, 30.0
#: largest number of field evaluations of a run (a flow takes four per Runge-Kutta substep), and what an exact kernel's
#: counts for
MAX_EVALUATIONS, EXACT = 3_000, 10
#: coordinates of the particles of an exact kernel, and what must be left for a simulation to measure it
MAX_COORDINATES, MEASURABLE = 16, 1e-4
#: of five draws one may be an experiment that no strength helps within its horizon
NONE_HELPS = 5


# %%
def draw(rng: np.random.Generator, exact: bool, hopeless: bool) -> tuple[eg.Experiment, str, int, eg.Regularizer]:
    """(experiment, penalty, horizon, advice) that can be simulated in reasonable time; ``hopeless``: also one in which
    no strength helps."""
    while True:
        exp = draw_experiment(rng)
        box = exp.target.kind == "uniform"
        if exp.penalty.instance_noise or (exp.discriminator.features == 0 and not box) != exact:
            continue  # the noise's nodes make a step 25 times dearer
        if exact and len(exp.points.weights) * exp.dimension > MAX_COORDINATES:
            continue
        penalty = str(rng.choice(["r1", "r1", "r1", "weight_decay", "r2", "consensus"]))
        size = np.abs(eg.eigenvalues(eg.linearize(exp.replace({f"penalty.{penalty}": 0.0}))).s)
        frequency = float(np.median(size[np.isfinite(size) & (size > 1e-8)]))
        horizon = int(np.ceil(np.exp(rng.uniform(np.log(LOW), np.log(HIGH))) / frequency))
        rule = resolved_rule(exp)
        evaluations = horizon * (4 * rule.substeps if rule.continuous else 1) * (EXACT if exact else 1)
        if evaluations > MAX_EVALUATIONS:
            continue
        best = eg.best_regularizer(exp, penalty, horizon)
        if (best.helps or hopeless) and np.isfinite(best.best) and best.moving > MEASURABLE:
            return exp, penalty, horizon, best


def strengths_of(best: eg.Regularizer) -> np.ndarray:
    """The advised strength, 0, and the grid around it (where nothing is advised: around the least)."""
    centre = best.best if best.best > 0 else best.optimum
    grid = centre * np.geomspace(1 / SPAN, SPAN, POINTS + 1)[:-1] * SPAN ** (1 / POINTS)  # none on the advice
    return np.concatenate([[best.best, 0.0], grid])


def study(seed: int, draws: int) -> xr.Dataset:
    """One row per experiment."""
    parts, rows, texts, labels = [], [], [], []
    for i in range(draws):
        rng = np.random.default_rng([seed, i])
        exp, penalty, horizon, best = draw(rng, exact=i % 3 == 0, hopeless=i % NONE_HELPS == NONE_HELPS - 1)
        swept = eg.sweep_left(exp, penalty, strengths_of(best), horizon, directions=10**6)
        left, strength = swept["moving"].values, swept["strength"].values
        limit = np.inf if best.edge is None else best.edge / 2 * (1 + 1e-6)
        own = max(left[0], LEAST)
        ratio = own / max(np.nanmin(left[strength <= limit]), LEAST)
        ratio_all = own / max(np.nanmin(left), LEAST)
        error = np.nanmax(np.abs(left / swept["predicted_moving"].values - 1)[left > 1e3 * LEAST], initial=0.0)
        kappa = exp.loss_object.kappa + exp.penalty.coefficients.value_p
        kernel = exp.discriminator.kernel + (" exact" if exp.discriminator.features == 0 else "")
        label = (f"{exp.target.kind} {kernel} {exp.loss.kind} {exp.update.rule} phi={exp.generator.kernel.ratio:.2f} "
                 f"kappa={kappa:.2f}")  # fmt: skip
        print(
            f"{i:3d} {penalty:12s} T {horizon:5d} advice {best.best:8.3g} leaves {left[0]:.4f} "
            f"(without {left[1]:.4f}), {ratio:.4f} of the least; {ratio_all:.4f} without margin; "
            f"theory off by {error:.1e}; {label}",
            file=sys.stderr,
            flush=True,
        )
        part = swept.assign_coords(point=("strength", np.arange(len(left)))).swap_dims(strength="point")
        parts.append(part.reset_coords("strength"))
        rows.append((best.best, best.edge or np.nan, horizon, ratio, ratio_all, error, kappa))
        texts.append(exp.to_toml())
        labels.append(f"{penalty}: {label}")
    ds = xr.concat(parts, "draw", combine_attrs="drop")
    names = {
        "best": "advised strength", "edge": "largest stable strength, nan: none", "horizon": "steps or units of time",
        "ratio": "left at the advice / least of the sweep that keeps the margin",
        "ratio_all": "the same of all strengths",
        "error": "largest relative difference of theory and simulation", "kappa": "value curvature",
    }  # fmt: skip
    for (name, text), column in zip(names.items(), np.array(rows).T, strict=True):
        ds[name] = ("draw", column, {"long_name": text, "units": "1"})
    return ds.assign(experiment=("draw", np.array(texts)), label=("draw", np.array(labels))).assign_attrs(
        seed=seed, draws=draws, within=WITHIN
    )


def figure(ds: xr.Dataset):
    """Left: what the advice leaves against the least of its sweep. Right: one sweep."""
    fig, (left, right) = sheet(1, 2, 4.6)
    own, without = np.maximum(ds["moving"].values[:, :2], LEAST).T
    least = own / ds["ratio"].values
    left.plot(least, without, "x", color=GREY, label="without the penalty")
    left.plot(least, own, "D", color=GREEN, ms=6, mfc="none", label="at the advised strength")
    ends = np.array([min(least.min(), own.min()) / 1.5, 1.2])
    left.plot(ends, ends, color=BLACK, lw=0.8, label="the least of the sweep")
    left.set(xscale="log", yscale="log", ylim=(ends[0], 10 * ends[1]), xlabel="least of the sweep (share of a kick)",
             ylabel="left of a kick at the horizon (share)")  # fmt: skip
    good = int((ds["ratio"] <= WITHIN).sum())
    above(left, f"{good} of {ds.sizes['draw']} experiments: at most {WITHIN} of the least")
    gain = ds["moving"].values[:, 1] / own
    row = ds.isel(draw=int(np.argmax(np.where(ds["horizon"].values > 0, np.minimum(gain, 30), 0))))
    x, order = row["strength"].values, np.argsort(row["strength"].values)
    order = order[x[order] > 0]
    right.loglog(x[order], row["predicted_moving"].values[order], "-", color=BLUE, label="predicted")
    right.loglog(x[order], row["moving"].values[order], "o", ms=5, mfc="white", color=VERMILLION, label="simulated")
    right.axhline(float(row["moving"][1]), color=GREY, ls=":", label="simulated, strength 0")
    right.loglog([float(row["best"])], [float(row["moving"][0])], "D", color=GREEN, ms=8, label="advice")
    if np.isfinite(row["edge"]) and float(row["edge"]) < x.max():
        right.axvline(float(row["edge"]), color=VERMILLION, ls="-.", lw=1, label="edge of stability")
    finite = row["moving"].values[np.isfinite(row["moving"].values) & (row["moving"].values > 0)]
    right.set_ylim(max(finite.min(), 1e-8) / 1.5, max(min(finite.max(), 10), 1) * 1.5)
    right.set(xlabel=f"strength of {str(row['label'].values).split(':')[0]} (1)", ylabel="left of a kick (share)")
    above(right, f"one of them, horizon {float(row['horizon']):.0f} steps", 2)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("best_strength", draws=20).parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws), figure)
    ratios = ds["ratio"].values
    exact = sum(" exact" in str(label) for label in ds["label"].values)
    print(f"{int((ratios <= WITHIN).sum())} of {len(ratios)} advised strengths leave at most {WITHIN} times the least "
          f"of their sweep; largest ratio {ratios.max():.4f}, median {np.median(ratios):.4f}; {exact} exact kernels, "
          f"{int((ds['kappa'].values > 0).sum())} with kappa > 0")  # fmt: skip
    return ds


# %%
if __name__ == "__main__":
    main()
