# %% [markdown]
# # Does a likelihood term damp the generator's side as theory says?
# Random experiments get a likelihood term (a difference of Gaussian-smoothed scores, egan_theory.likelihood). Theory
# predicts the weight that maximises the slowest decay rate; the nonlinear model is simulated at that weight and at
# others around it. The prediction passes when its own simulated rate is at least 97 % of the best simulated one.
# Beside it, on one periodic box: the slowest rate over R1 strength and likelihood weight together, where theory says
# that damping both sides alike removes the over-damped regime, so that the best pair beats the best of either alone.
# Run: python analyses/remedies_likelihood.py --seed 1 --draws 10 --output out/remedies_likelihood

# %%
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr

import egan_theory as eg
from egan_theory.comparison.strength import SWEEP_E_FOLDS
from egan_theory.predict.regularizer import convergence_rate
from egan_theory.simulation.run import resolved_rule

sys.path.insert(0, str(Path(__file__).parent))
from draws import draw_experiment

POINTS, SPAN, SHARE, RUNS = 13, 6.0, 0.97, 4
MAX_EVALUATIONS, EXACT = 12_000, 5
#: the pair of strengths: this many values of each
PAIR = 61
BOX = {
    "target": {"kind": "uniform", "side": 9, "length": 2.0, "dimension": 1},
    "generator": {"particles": 9, "learning_rate": 0.02},
    "discriminator": {"length_scale": 0.35, "features": 0, "learning_rate": 0.1},
    "penalty": {"r1": 0.0},
    "update": {"rule": "flow"},
}


# %%
def draw(rng: np.random.Generator) -> tuple[eg.Experiment, eg.Regularizer]:
    """An experiment whose predicted best weight is positive, inside the scan, and quick enough to simulate."""
    while True:
        exp = draw_experiment(rng)
        if exp.penalty.instance_noise or exp.penalty.consensus:
            continue
        scale = exp.discriminator.length_scale * float(rng.uniform(0.5, 1.5))
        exp = exp.replace({"likelihood.bandwidth": scale, "penalty.consensus": 0.0})
        if exp.discriminator.features > 100:
            continue
        best = eg.best_regularizer(exp, "likelihood")
        edge = best.best in (best.strengths[0], best.strengths[-1])
        if best.best <= 0 or edge or best.rate <= 0:
            continue
        stiffest = resolved_rule(exp.replace({"likelihood.weight": SPAN * best.best}))
        evaluations = 4 * stiffest.substeps if stiffest.continuous else 1
        evaluations *= EXACT if exp.discriminator.features == 0 else 1
        if SWEEP_E_FOLDS / best.rate * evaluations <= MAX_EVALUATIONS:
            return exp, best


def study(seed: int, draws: int) -> xr.Dataset:
    """One row per experiment: point 0 is the predicted best weight, the others the grid."""
    rows, texts = [], []
    for i in range(draws):
        exp, best = draw(np.random.default_rng([seed, i]))
        grid = best.best * np.geomspace(1 / SPAN, SPAN, POINTS) * (SPAN**2) ** (0.5 / (POINTS - 1))
        swept = eg.sweep_strength(exp, "likelihood", np.concatenate([[best.best], grid]), runs=RUNS)
        rate = swept["rate"].values
        share = rate[0] / np.nanmax(rate)
        without = convergence_rate(exp)
        label = f"{exp.target.kind} {exp.discriminator.kernel} {exp.loss.kind} {exp.update.rule}"
        print(
            f"{i:3d} weight {best.best:.4g} ({best.method}) rate {best.rate:.4g}, without {without:.4g}, "
            f"share {share:.4f}, simulated/predicted {rate[0] / best.rate:.4f} {label}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
        part = swept.assign_coords(point=("strength", np.arange(len(rate)))).swap_dims(strength="point")
        rows.append(
            part.reset_coords("strength").assign(
                share=share, best=best.best, best_rate=best.rate, rate_without=without, label=label
            )
        )
        texts.append(exp.to_toml())
    ds = xr.concat(rows, "draw", combine_attrs="drop").assign(experiment=("draw", np.array(texts)))
    ds["share"].attrs = {"long_name": "simulated rate at the predicted best / best simulated rate", "units": "1"}
    return ds.assign_attrs(seed=seed, draws=draws, threshold=SHARE)


def pairs() -> xr.Dataset:
    """Slowest rate of the box over both strengths, each relative to its own best alone."""
    exp = eg.Experiment(**BOX)
    r1, likelihood = (eg.best_regularizer(exp, name) for name in ("r1", "likelihood"))
    grid = np.concatenate([[0.0], np.geomspace(0.05, 20, PAIR - 1)])
    rate = [
        [
            convergence_rate(exp.replace({"penalty.r1": u * r1.best, "likelihood.weight": v * likelihood.best}))
            for u in grid
        ]
        for v in grid
    ]
    return xr.Dataset(
        {"rate": (("likelihood", "r1"), rate, {"long_name": "predicted slowest rate", "units": "1/time"})},
        coords={"likelihood": grid, "r1": grid},
        attrs={"best_r1": r1.best, "rate_r1": r1.rate, "best_likelihood": likelihood.best,
               "rate_likelihood": likelihood.rate},
    )  # fmt: skip


def figure(ds: xr.Dataset, both: xr.Dataset):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(10, 4.2), layout="constrained")
    ax, right = fig.subplots(1, 2)
    for i in range(ds.sizes["draw"]):
        row = ds.isel(draw=i)
        x, order = row["strength"].values / float(row["best"]), np.argsort(row["strength"].values)
        scale = float(row["rate"].max())
        ax.semilogx(x[order], row["predicted_rate"].values[order] / scale, "-", color="#0072B2", lw=0.8,
                    label="predicted" if i == 0 else None)  # fmt: skip
        ax.semilogx(x, row["rate"].values / scale, ".", color="#D55E00", label="simulated" if i == 0 else None)
    ax.axvline(1, color="0.5", ls=":")
    ax.set_ylim(-0.2, 1.1)
    ax.set_xticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
    ax.minorticks_off()
    ax.set_xlabel("likelihood weight / predicted best")
    ax.set_ylabel("slowest rate / best simulated rate")
    ax.set_title(f"{ds.sizes['draw']} random experiments: lowest share {float(ds['share'].min()):.3f}")
    ax.legend()
    grid = both["r1"].values[1:]
    reference = both.attrs["rate_r1"]
    drawn = right.pcolormesh(grid, grid, both["rate"].values[1:, 1:] / reference, shading="nearest", cmap="viridis")
    right.set(xscale="log", yscale="log", xlabel="R1 strength / its best alone",
              ylabel="likelihood weight / its best alone", title="Periodic box, flow: both together")  # fmt: skip
    fig.colorbar(drawn, ax=right, label="predicted slowest rate / that of the best R1 alone")
    right.plot(1, grid[0], "w^", ms=8, clip_on=False)
    right.plot(grid[0], 1, "w>", ms=8, clip_on=False)
    return fig


def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("out/remedies_likelihood"))
    args = parser.parse_args(argv)
    matplotlib.use("Agg")
    ds, both = study(args.seed, args.draws), pairs()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    eg.save(ds, args.output.with_suffix(".nc"))
    eg.save(both, args.output.with_name(args.output.name + "_pairs.nc"))
    figure(ds, both).savefig(args.output.with_suffix(".png"), dpi=150)
    shares = ds["share"].values
    top = float(both["rate"].max())
    print(f"{int((shares >= SHARE).sum())} of {args.draws} predicted weights reach {SHARE:.0%} of the best simulated "
          f"rate; lowest share {shares.min():.4f}")  # fmt: skip
    print(f"box: best R1 alone {both.attrs['rate_r1']:.4g}, best likelihood alone {both.attrs['rate_likelihood']:.4g}, "
          f"best pair in the range {top:.4g} per unit of time")  # fmt: skip
    return ds


# %%
if __name__ == "__main__":
    main()
