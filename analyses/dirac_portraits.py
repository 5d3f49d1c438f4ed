# %% [markdown]
# # What does every penalty and update rule do to the Dirac-GAN?
# Phase portraits from the general machinery: field and trajectory (start drawn with the seed), the multipliers that
# linearization predicts and those measured from two further short trajectories near equilibrium. Every loss in turn.
# Run: python -m analyses.dirac_portraits --seed 1 --draws 3 --output out/dirac_portraits

# %%
from __future__ import annotations

import numpy as np
import xarray as xr

from analyses.script import options, write
from egan_theory.base.errors import InputError
from egan_theory.papers.dirac import PENALTIES, UPDATES, dirac_gan, plot_dirac, portrait

LOSSES = ("logistic", "wasserstein", "least_squares")
STEPS = 60
MOST = 4  # multipliers of a rule with memory


# %%
def study(seed: int, draws: int) -> tuple[xr.Dataset, dict]:
    """Multipliers over (loss, draw, penalty, update), rates and strengths drawn around the defaults (draw 0: those)."""
    rng = np.random.default_rng(seed)
    shape = (len(LOSSES), draws, len(PENALTIES), len(UPDATES), MOST)
    predicted, measured = np.full(shape, np.nan, complex), np.full(shape, np.nan, complex)
    shown = {}
    for i, loss in enumerate(LOSSES):
        for k in range(draws):
            rate = 0.3 if k == 0 else float(np.exp(rng.uniform(np.log(0.05), np.log(0.5))))
            strength = 1.0 if k == 0 else float(np.exp(rng.uniform(np.log(0.3), np.log(2.0))))
            angle = rng.integers(4) * np.pi / 2 + rng.uniform(np.pi / 6, np.pi / 3)  # both players away from rest
            for p, (name, penalty) in enumerate(PENALTIES.items()):
                values = {key: v * (strength if key != "alpha" else 1.0) for key, v in penalty.items()}
                for u, (label, update) in enumerate(UPDATES.items()):
                    start = (1.4 * np.cos(angle), 1.4 * np.sin(angle))
                    try:
                        exp = dirac_gan(values, update, loss=loss, rate=rate)
                        data = portrait(exp, start=start, steps=STEPS, side=9)
                    except InputError:  # nothing bounds a best response, or it is not derived (consensus)
                        continue
                    n = len(data.predicted)
                    predicted[i, k, p, u, :n], measured[i, k, p, u, :n] = data.predicted, data.measured
                    if i == k == 0:
                        shown[name, label] = data
    dims = ("loss", "draw", "penalty", "update", "mode")
    ds = xr.Dataset(
        {f"{kind}_{part}": (dims, getattr(z, part), {"long_name": f"{kind} multiplier, {part} part", "units": "1"})
         for kind, z in (("predicted", predicted), ("measured", measured)) for part in ("real", "imag")},
        coords={"loss": list(LOSSES), "penalty": list(PENALTIES), "update": list(UPDATES)},
    )  # fmt: skip
    off = np.abs(predicted - measured)
    ds["mismatch"] = dims[:-1], np.where(np.isnan(off).all(-1), np.nan, np.nan_to_num(off).max(-1))
    return ds.assign_attrs(seed=seed, draws=draws), shown


def figure(shown: dict):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(21.6, 19.2), layout="constrained")
    grid = fig.subplots(len(PENALTIES), len(UPDATES), sharex=True, sharey=True)
    for row, (name, strengths) in zip(grid, PENALTIES.items(), strict=True):
        for ax, label in zip(row, UPDATES, strict=True):
            title = label if name == next(iter(PENALTIES)) else ""
            if (name, label) in shown:
                plot_dirac(shown[name, label], ax, title=title)
            else:
                ax.set_title(title, fontsize=9)
                ax.text(0, 0, "not defined", ha="center", va="center", color="0.5")
                ax.set_xlabel(r"$\psi$ (1/length)")
            ax.label_outer()
        values = ", ".join(f"{value:g}" for value in strengths.values())
        row[0].set_ylabel(f"{name} {values}".strip() + "\n" + row[0].get_ylabel(), fontsize=11)
    fig.suptitle(
        "Dirac-GAN, logistic loss, both rates 0.3: rows are penalties with their strengths, columns update rules.\n"
        "Dot: start. Green: decays, blue: neutral, red: grows. |z|: largest multiplier per step. "
        "Discs: all multipliers in the unit circle, predicted (circles) and measured (crosses).\n"
        "For D = psi x the slope is psi everywhere: R1, R2 and weight decay are one penalty here, and so is, near "
        "equilibrium, the Sobolev multiplier."
    )  # fmt: skip
    return fig


def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("dirac_portraits", draws=3).parse_args(argv)
    ds, shown = study(args.seed, args.draws)
    write(args.output, ds, figure(shown), dpi=100)
    worst = ds["mismatch"].max(("loss", "draw", "penalty"))
    for label, value in zip(ds["update"].values, worst.values, strict=True):
        count = int(ds["mismatch"].sel(update=label).notnull().sum())
        print(f"{label}: largest |predicted - measured| {value:.1e} over {count} cases")
    return ds


# %%
if __name__ == "__main__":
    main()
