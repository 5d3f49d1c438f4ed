# %% [markdown]
# # Does the predicted best strength converge fastest?
# Random experiments (seed and number of draws are arguments). For each, theory predicts the R1 strength (or another
# penalty's, drawn) that maximises the slowest decay rate. The nonlinear model is simulated at that strength and at 25
# strengths around it; the convergence rate is that of the slowest mode as measured in the runs. The prediction passes
# when its own simulated rate is at least 97 % of the best simulated one. The same share by the slope of the deviation's
# norm, which knows nothing of the theory but is biased near critical damping, is given beside it.
# Run: python analyses/best_strength.py --seed 1 --draws 20 --output out/best_strength

# %%
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import xarray as xr

import egan_theory as eg
from egan_theory.comparison.strength import SWEEP_E_FOLDS
from egan_theory.simulation.run import resolved_rule

sys.path.insert(0, str(Path(__file__).parent))
from draws import draw_experiment
from script import options, write

POINTS, SPAN, SHARE, RUNS = 25, 10.0, 0.97, 4
#: largest number of field evaluations of a sweep's run (a flow takes four per Runge-Kutta substep), and what an exact
#: kernel's counts for
MAX_EVALUATIONS, EXACT = 20_000, 5


# %%
def draw(rng: np.random.Generator) -> tuple[eg.Experiment, str, eg.Regularizer]:
    """An experiment and a penalty whose best strength is positive, stable and quick enough to simulate."""
    while True:
        exp = draw_experiment(rng)
        penalty = str(rng.choice(["r1", "r1", "r1", "weight_decay", "r2", "consensus"]))
        if exp.penalty.instance_noise:
            continue  # its nodes make a step 25 times dearer
        best = eg.best_regularizer(exp, penalty)
        edge = best.best in (best.strengths[0], best.strengths[-1])
        if best.best > 0 and not edge and best.rate > 0:
            stiffest = resolved_rule(exp.replace({f"penalty.{penalty}": SPAN * best.best}))
            evaluations = 4 * stiffest.substeps if stiffest.continuous else 1
            evaluations *= EXACT if exp.discriminator.features == 0 else 1
            if SWEEP_E_FOLDS / best.rate * evaluations <= MAX_EVALUATIONS:
                return exp, penalty, best


def examine(exp: eg.Experiment, penalty: str, best: eg.Regularizer) -> xr.Dataset:
    """The sweep: strengths[0] is the predicted best, the rest the 25-point grid."""
    grid = best.best * np.geomspace(1 / SPAN, SPAN, POINTS)
    # an even number of grid points would put none on the prediction; shift by half a spacing to be fair to the others
    grid *= (SPAN**2) ** (0.5 / (POINTS - 1))
    return eg.sweep_strength(exp, penalty, np.concatenate([[best.best], grid]), runs=RUNS)


def study(seed: int, draws: int) -> xr.Dataset:
    """One row per experiment."""
    parts, texts, features = [], [], []
    for i in range(draws):
        rng = np.random.default_rng([seed, i])
        exp, penalty, best = draw(rng)
        swept = examine(exp, penalty, best)
        rate = swept["rate"].values
        share = rate[0] / np.nanmax(rate)
        slope = swept["rate_slope"].values
        blind = slope[0] / np.nanmax(slope)
        kappa = exp.loss_object.kappa + exp.penalty.coefficients.value_p
        note = (f"{exp.target.kind} {exp.discriminator.kernel} {exp.loss.kind} {exp.update.rule} phi="
                f"{exp.generator.kernel.ratio:.2f} kappa={kappa:.2f} nu={exp.penalty.weight_decay:.3f}")  # fmt: skip
        print(
            f"{i:3d} {penalty:12s} best {best.best:.4g} ({best.method}) share {share:.4f} (slope {blind:.4f}) {note}",
            file=sys.stderr,
            flush=True,
        )
        part = swept.assign_coords(point=("strength", np.arange(len(rate)))).swap_dims(strength="point")
        parts.append(
            part.reset_coords("strength").assign(share=share, share_slope=blind, best=best.best, best_rate=best.rate)
        )
        texts.append(exp.to_toml())
        features.append(f"{penalty}: {note}")
    ds = xr.concat(parts, "draw", combine_attrs="drop")
    ds["share"].attrs = {"long_name": "simulated rate at the predicted best / best simulated rate", "units": "1"}
    ds["share_slope"].attrs = {"long_name": "the same from the slope of the deviation's norm", "units": "1"}
    return ds.assign(experiment=("draw", np.array(texts)), label=("draw", np.array(features))).assign_attrs(
        seed=seed, draws=draws, threshold=SHARE
    )


def figure(ds: xr.Dataset):
    """Every sweep, scaled by its predicted best."""
    from matplotlib.figure import Figure

    columns = 5
    rows = -(-ds.sizes["draw"] // columns)
    fig = Figure(figsize=(3 * columns, 2.3 * rows), layout="constrained")
    axes = np.atleast_1d(fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)).ravel()
    for i, ax in enumerate(axes):
        if i >= ds.sizes["draw"]:
            ax.set_visible(False)
            continue
        row = ds.isel(draw=i)
        x = row["strength"].values / float(row["best"])
        scale = float(row["rate"].max())
        order = np.argsort(x)
        ax.semilogx(x[order], row["predicted_rate"].values[order] / scale, "-", color="#0072B2", label="predicted")
        ax.errorbar(x, row["rate"].values / scale, row["rate_stderr"].values / scale, fmt=".", color="#D55E00",
                    label="simulated")  # fmt: skip
        ax.axvline(1, color="0.5", ls=":")
        ax.set_title(f"{str(row['label'].values).split(' phi')[0]}\nshare {float(row['share']):.3f}", fontsize=7)
        ax.set_ylim(-0.2, 1.2)
    fig.supxlabel("strength / predicted best")
    fig.supylabel("convergence rate / best simulated rate")
    axes[0].legend(fontsize=7)
    return fig


def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("best_strength", draws=20).parse_args(argv)
    ds = study(args.seed, args.draws)
    write(args.output, ds, figure(ds))
    shares = ds["share"].values
    print(f"{int((shares >= SHARE).sum())} of {args.draws} predicted strengths reach {SHARE:.0%} of the best simulated "
          f"rate; lowest share {shares.min():.4f}, median {np.median(shares):.4f}")  # fmt: skip
    return ds


# %%
if __name__ == "__main__":
    main()
