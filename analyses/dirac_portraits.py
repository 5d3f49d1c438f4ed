# %% [markdown]
# # What does every penalty and update rule do to the Dirac-GAN?
# Phase portraits from the general machinery: field and trajectory (start drawn with the seed), the multipliers that
# linearization predicts and those measured from two further short trajectories near equilibrium. Every loss in turn.
# Run: python analyses/dirac_portraits.py --seed 1 --draws 3 --output out/dirac_portraits

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr

import egan_theory as eg
from egan_theory.models.dirac import PENALTIES, UPDATES, dirac_gan, plot_dirac, portrait

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
            angle = rng.uniform(0, 2 * np.pi)
            for p, (name, penalty) in enumerate(PENALTIES.items()):
                values = {key: v * (strength if key != "alpha" else 1.0) for key, v in penalty.items()}
                for u, (label, update) in enumerate(UPDATES.items()):
                    exp = dirac_gan(values, update, loss=loss, rate=rate)
                    start = (1.4 * np.cos(angle), 1.4 * np.sin(angle))
                    data = portrait(exp, start=start, steps=STEPS, side=11)
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
    ds["mismatch"] = dims[:-1], np.nanmax(np.abs(predicted - measured), axis=-1)
    return ds.assign_attrs(seed=seed, draws=draws), shown


def figure(shown: dict):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(18.5, 20), layout="constrained")
    grid = fig.subplots(len(PENALTIES), len(UPDATES), sharex=True, sharey=True)
    for row, name in zip(grid, PENALTIES, strict=True):
        for ax, label in zip(row, UPDATES, strict=True):
            plot_dirac(shown[name, label], ax, title=f"{name}, {label}")
            ax.label_outer()
    fig.suptitle("Dirac-GAN, logistic loss, both rates 0.3; circle: start; green: decays, blue: neutral, red: grows")
    return fig


def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("out/dirac_portraits"))
    args = parser.parse_args(argv)
    matplotlib.use("Agg")
    ds, shown = study(args.seed, args.draws)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    eg.save(ds, args.output.with_suffix(".nc"))
    figure(shown).savefig(args.output.with_suffix(".png"), dpi=80)
    worst = ds["mismatch"].max(("loss", "draw", "penalty"))
    for label, value in zip(ds["update"].values, worst.values, strict=True):
        print(f"{label}: largest |predicted - measured| {value:.1e} over {ds['mismatch'].size // len(UPDATES)} cases")
    return ds


# %%
if __name__ == "__main__":
    main()
