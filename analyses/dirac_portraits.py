# %% [markdown]
# # What does every penalty and update rule do to the Dirac-GAN?
# Phase portraits from the general machinery: field and trajectory (start drawn with the seed), the multipliers that
# linearization predicts and those measured from two further short trajectories near equilibrium. Every loss in turn.
# Run: python -m analyses.dirac_portraits --seed 1 --draws 3 --output out/dirac_portraits

# %%
from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from analyses.script import above, made, options, redraws, sheet
from egan_theory.base.errors import InputError
from egan_theory.papers.dirac import PENALTIES, UPDATES, dirac_gan, portrait
from egan_theory.show.style import BLACK, BLUE

LOSSES = ("logistic", "wasserstein", "least_squares")
STEPS = 60
#: a multiplier this close to 1 in size is neutral
CLOSE = 1e-6
MOST = 4  # multipliers of a rule with memory


# %%
def study(seed: int, draws: int) -> xr.Dataset:
    """Multipliers over (loss, draw, penalty, update), rates and strengths drawn around the defaults (draw 0: those)."""
    rng = np.random.default_rng(seed)
    shape = (len(LOSSES), draws, len(PENALTIES), len(UPDATES), MOST)
    predicted, measured = np.full(shape, np.nan, complex), np.full(shape, np.nan, complex)
    for i, loss in enumerate(LOSSES):
        for k in range(draws):
            rate = 0.3 if k == 0 else float(np.exp(rng.uniform(np.log(0.05), np.log(0.5))))
            strength = 1.0 if k == 0 else float(np.exp(rng.uniform(np.log(0.3), np.log(2.0))))
            angle = rng.integers(4) * np.pi / 2 + rng.uniform(np.pi / 6, np.pi / 3)  # both players away from rest
            for p, penalty in enumerate(PENALTIES.values()):
                values = {key: v * (strength if key != "alpha" else 1.0) for key, v in penalty.items()}
                for u, update in enumerate(UPDATES.values()):
                    start = (1.4 * np.cos(angle), 1.4 * np.sin(angle))
                    try:
                        exp = dirac_gan(values, update, loss=loss, rate=rate)
                        data = portrait(exp, start=start, steps=STEPS, side=9)
                    except InputError:  # nothing bounds a best response, or it is not derived (consensus)
                        continue
                    n = len(data.predicted)
                    predicted[i, k, p, u, :n], measured[i, k, p, u, :n] = data.predicted, data.measured
    dims = ("loss", "draw", "penalty", "update", "mode")
    ds = xr.Dataset(
        {f"{kind}_{part}": (dims, getattr(z, part), {"long_name": f"{kind} multiplier, {part} part", "units": "1"})
         for kind, z in (("predicted", predicted), ("measured", measured)) for part in ("real", "imag")},
        coords={"loss": list(LOSSES), "penalty": list(PENALTIES), "update": list(UPDATES)},
    )  # fmt: skip
    off = np.abs(predicted - measured)
    ds["mismatch"] = dims[:-1], np.where(np.isnan(off).all(-1), np.nan, np.nan_to_num(off).max(-1))
    return ds.assign_attrs(seed=seed, draws=draws)


def figure(ds: xr.Dataset):
    """Left: the largest multiplier of every penalty and rule. Right: predicted and measured ones of all cases."""
    fig, (left, right) = sheet(1, 2, 6.0, width_ratios=(1.7, 1))
    predicted, measured = (ds[f"{k}_real"].values + 1j * ds[f"{k}_imag"].values for k in ("predicted", "measured"))
    size = np.abs(predicted[0, 0])
    known = np.isfinite(size).any(-1)
    largest = np.where(known, np.nan_to_num(size).max(-1), np.nan)
    kind = np.where(~known, np.nan, np.where(largest < 1 - CLOSE, 0.0, np.where(largest <= 1 + CLOSE, 1.0, 2.0)))
    left.imshow(kind, cmap=ListedColormap(["#BFE5D8", "#FFFFFF", "#F3C9AE"]), vmin=0, vmax=2, aspect="auto")
    for (i, j), value in np.ndenumerate(largest):
        left.text(j, i, f"{value:.2f}" if np.isfinite(value) else "–", ha="center", va="center", fontsize=9)
    left.set_xticks(range(ds.sizes["update"]), ds["update"].values, rotation=40, ha="right", fontsize=9)
    left.set_yticks(range(ds.sizes["penalty"]), ds["penalty"].values, fontsize=9)
    left.grid(False)
    patches = [Patch(fc=c, ec="0.6", label=text) for c, text in
               (("#BFE5D8", "decays"), ("#FFFFFF", "neutral"), ("#F3C9AE", "grows"))]  # fmt: skip
    left.legend(handles=patches, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, alignment="left",
                title="largest |multiplier| (1/step); –: not defined")  # fmt: skip
    ok = np.isfinite(predicted) & np.isfinite(measured)
    right.plot(np.abs(predicted[ok]), np.abs(measured[ok]), "o", ms=4, mfc="none", color=BLUE,
               label=f"{int(ok.sum())} multipliers, all losses")  # fmt: skip
    ends = np.array([0, np.abs(predicted[ok]).max()])
    right.plot(ends, ends, color=BLACK, lw=0.8, label="equal")
    right.set(xlabel="predicted |multiplier| (1/step)", ylabel="measured |multiplier| (1/step)")
    above(right)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("dirac_portraits", draws=3).parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws), figure)
    worst = ds["mismatch"].max(("loss", "draw", "penalty"))
    for label, value in zip(ds["update"].values, worst.values, strict=True):
        count = int(ds["mismatch"].sel(update=label).notnull().sum())
        print(f"{label}: largest |predicted - measured| {value:.1e} over {count} cases")
    return ds


# %%
if __name__ == "__main__":
    main()
