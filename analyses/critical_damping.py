# %% [markdown]
# # Convergence is fastest at an intermediate regularizer strength, where theory puts it
# Durr, Mroueh, Tu, Wang (PRX 13, 041004) argue that an intermediate strength of the gradient penalty is best, by
# critical damping. Here: the built-in ring, R1 strength scanned over two decades; predicted slowest decay rate against
# the rate measured in kicked runs of the nonlinear particle model, and what the runs look like below, at and above the
# predicted strength. Run: python -m analyses.critical_damping --seed 0 --draws 17 --output out/critical_damping

# %%
from __future__ import annotations

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.script import above, made, options, redraws, sheet
from egan_theory.comparison.modes import deviation_norms
from egan_theory.problem.problem import Problem
from egan_theory.show.style import BLUE, GREEN, GREY, ORANGE, VERMILLION
from egan_theory.simulation.condense import condensed

COLOURS = {0.2: ORANGE, 1.0: GREEN, 5.0: BLUE}


# %%
def study(seed: int, draws: int) -> tuple[eg.Fastest, xr.Dataset, xr.Dataset]:
    """(prediction, swept rates at ``draws`` strengths, decays at three strengths); ``seed`` draws the kicks."""
    exp = eg.Experiment(run={"seed": seed})
    best = eg.fastest_strength(exp, "r1")
    swept = eg.sweep_strength(exp, "r1", best.best * np.geomspace(1 / 6, 6, draws), runs=4)
    base = condensed(exp).replace({"run.steps": 5000, "run.record_every": 10, "run.runs": 4})
    curves = []
    for factor in COLOURS:
        variant = base.replace({"penalty.r1": factor * best.best})
        runs = eg.simulate(variant)
        norm = np.sqrt((deviation_norms(Problem(variant), runs) ** 2).mean(0))
        curves.append(xr.DataArray(norm / norm[0], dims="time", coords={"time": runs["time"]}))
    decays = xr.concat(curves, xr.Variable("factor", list(COLOURS))).to_dataset(name="deviation")
    decays["deviation"].attrs = {"long_name": "rms deviation from equilibrium, relative to the start", "units": "1"}
    return best, swept, decays


def results(seed: int, draws: int) -> xr.Dataset:
    """What ``study`` finds, in one Dataset: of the prediction the best strength and its rate."""
    best, swept, decays = study(seed, draws)
    return swept.merge(decays, combine_attrs="override").assign_attrs(best=best.best, best_rate=best.rate)


def figure(ds: xr.Dataset):
    """Left: rate against strength. Right: decay of the deviation at three strengths."""
    fig, (left, right) = sheet(1, 2, 4.4)
    best, rate = ds.attrs["best"], ds.attrs["best_rate"]
    # the prediction's cusp belongs in its own curve
    x = np.append(ds["strength"].values, best)
    y = np.append(ds["predicted_rate"].values, rate)
    order = np.argsort(x)
    left.plot(x[order], y[order], "-", color=BLUE, label="predicted (linear theory)")
    left.errorbar(ds["strength"], ds["rate"], ds["rate_stderr"], fmt="o", ms=5, mfc="white", color=VERMILLION,
                  label="simulated (nonlinear model)")  # fmt: skip
    left.axvline(best, color=GREY, ls=":", label=f"predicted best strength, {best:.3g}")
    left.set(xscale="log", ylim=(0, None), xlabel="R1 strength (length²)", ylabel="convergence rate (1/step)")
    above(left, "Fastest at an intermediate strength")
    for factor, colour in COLOURS.items():
        curve = ds["deviation"].sel(factor=factor)
        name = "at the predicted best" if factor == 1 else f"at {factor:g} times that"
        right.semilogy(curve["time"], curve, color=colour, lw=1.2, label=name)
    right.set(xlabel="training time (steps)", ylabel="rms deviation / start", ylim=(1e-10, 3))
    above(right, "Too weak: rings. Too strong: creeps.")
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("critical_damping", draws=17, seed=0, help_draws="number of strengths").parse_args(argv)
    ds = made(args, lambda: results(args.seed, args.draws), figure)
    top = ds.isel(strength=int(np.nanargmax(ds["rate"].values)))
    print(f"predicted best strength {ds.attrs['best']:.4g}, rate {ds.attrs['best_rate']:.4g}/step; fastest simulated "
          f"{float(top['strength']):.4g}, rate {float(top['rate']):.4g} "
          f"+- {float(top['rate_stderr']):.1g}")  # fmt: skip
    return ds


# %%
if __name__ == "__main__":
    main()
