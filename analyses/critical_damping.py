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
from analyses.script import options, write
from egan_theory.comparison.modes import deviation_norms
from egan_theory.problem.problem import Problem
from egan_theory.simulation.condense import condensed

COLOURS = {0.2: "#E69F00", 1.0: "#009E73", 5.0: "#0072B2"}


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


def figure(best: eg.Fastest, swept: xr.Dataset, decays: xr.Dataset):
    """Left: rate against strength. Right: decay of the deviation at three strengths."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(10, 4), layout="constrained")
    left, right = fig.subplots(1, 2)
    # the prediction's cusp belongs in its own curve
    x = np.append(swept["strength"].values, best.best)
    y = np.append(swept["predicted_rate"].values, best.rate)
    order = np.argsort(x)
    left.plot(x[order], y[order], "-", color="#0072B2", label="predicted (linear theory)")
    left.errorbar(swept["strength"], swept["rate"], swept["rate_stderr"], fmt="o", ms=4, color="#D55E00",
                  label="simulated (nonlinear model)")  # fmt: skip
    left.axvline(best.best, color="0.4", ls=":", label=f"predicted best R1 strength {best.best:.3g}")
    left.set(xscale="log", ylim=(0, None), xlabel="R1 strength $\\lambda$",
             ylabel="convergence rate (1/step)", title="Fastest at an intermediate strength")  # fmt: skip
    left.legend(fontsize=8)
    for factor, colour in COLOURS.items():
        curve = decays["deviation"].sel(factor=factor)
        name = "the predicted best" if factor == 1 else f"{factor:g} x best"
        right.semilogy(curve["time"], curve, color=colour, label=f"$\\lambda$ = {name}")
    right.set(xlabel="training time (steps)", ylabel="rms deviation / start", ylim=(1e-10, 3),
              title="Too weak: rings. Too strong: creeps.")  # fmt: skip
    right.legend(fontsize=8)
    return fig


def main(argv: list[str] | None = None) -> tuple[eg.Fastest, xr.Dataset]:
    args = options("critical_damping", draws=17, seed=0, help_draws="number of strengths").parse_args(argv)
    best, swept, decays = study(args.seed, args.draws)
    write(args.output, swept, figure(best, swept, decays))
    top = swept.isel(strength=int(np.nanargmax(swept["rate"].values)))
    print(f"predicted best R1 strength {best.best:.4g}, rate {best.rate:.4g}/step; fastest simulated "
          f"{float(top['strength']):.4g}, rate {float(top['rate']):.4g} "
          f"+- {float(top['rate_stderr']):.1g}")  # fmt: skip
    return best, swept


# %%
if __name__ == "__main__":
    main()
