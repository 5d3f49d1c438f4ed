# %% [markdown]
# # How good must the discriminator be for the two-Gaussian GAN to find both modes?
# Random starts (seed and number of draws are arguments): means from U[-3, 3]^2, four interval ends sorted from
# U[-3, 3]. Success is a total variation below 0.05 at the end of training. Compared: optimal intervals, one gradient
# step at a time, n_c inner steps, and unrolling through n_c steps, at several discriminator rates.
# The linearization asks for no number of inner steps: at p = q the discriminator has no curvature and n_c only rescales
# its rate. What asks for steps is the way there: at total variation t the intervals' ends relax at rate
# eta_D ratio t, so following the optimum down to t needs n_c eta_D well above 1/(ratio t), for whichever n_c and eta_D.
# Run: python analyses/two_gaussian.py --seed 1 --draws 1000 --output out/two_gaussian

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from scipy.stats import binomtest

import egan_theory as eg
from egan_theory.models.two_gaussian import Training, cusp_amplitude, random_starts, slope_range, train
from egan_theory.reporting.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILLION, styled

SUCCESS = 0.05
#: the four kinds at the same rates; steps of the generator
KINDS = (
    ("optimal", Training("optimal", steps=400)),
    ("simultaneous", Training("simultaneous", steps=6000, record_every=50)),
    ("10 inner steps", Training("steps", inner=10, steps=1000)),
    ("unrolled 10", Training("unrolled", inner=10, steps=1000)),
)
INNER = (1, 2, 5, 10, 20, 50, 100)
RATES = (0.1, 0.3, 1.0)
#: generator steps and share of the draws of the sweep over n_c
SWEEP_STEPS, SWEEP_SHARE = 600, 5
COLOURS = {"optimal": GREEN, "simultaneous": VERMILLION, "10 inner steps": BLUE, "unrolled 10": ORANGE}


# %%
def interval(successes: int, count: int) -> tuple[float, float]:
    """Clopper-Pearson 95 % interval of a proportion."""
    found = binomtest(successes, count).proportion_ci(method="exact")
    return float(found.low), float(found.high)


def study(seed: int, draws: int) -> xr.Dataset:
    starts = random_starts(seed, draws)
    rows = []
    for name, training in KINDS:
        run = train(training, starts)
        end, good = run.tv[:, -1], run.tv[:, -1] < SUCCESS
        rows.append((good.sum(), *interval(int(good.sum()), draws), np.median(end), end.max(),
                     ((run.empty > 0) & ~good).sum(), (run.merged & ~good).sum()))  # fmt: skip
        empty = (
            ""
            if name == "optimal"
            else (f"; of the failed {rows[-1][-2]} have an empty interval, {rows[-1][-1]} have their intervals merged")
        )
        print(f"{name}: {rows[-1][0]} of {draws}, 95 % [{rows[-1][1]:.3f}, {rows[-1][2]:.3f}]; final TV median "
              f"{rows[-1][3]:.2g}, largest {rows[-1][4]:.2g}{empty}", flush=True)  # fmt: skip
    names = (
        "successes",
        "low",
        "high",
        "tv_median",
        "tv_largest",
        "failed_with_empty_interval",
        "failed_with_merged_intervals",
    )
    ds = xr.Dataset({n: ("kind", np.array(v, float)) for n, v in zip(names, zip(*rows, strict=True), strict=True)})
    ds = ds.assign_coords(kind=[name for name, _ in KINDS])

    few = max(10, draws // SWEEP_SHARE)
    starts = tuple(v[:few] for v in starts)
    counts = np.zeros((2, len(RATES), len(INNER)))
    for i, kind in enumerate(("steps", "unrolled")):
        for j, rate in enumerate(RATES):
            for k, inner in enumerate(INNER):
                training = Training(kind, inner=inner, rate_discriminator=rate, steps=SWEEP_STEPS, record_every=100)
                counts[i, j, k] = (train(training, starts).tv[:, -1] < SUCCESS).sum()
            print(f"{kind}, eta_D = {rate}: {counts[i, j].astype(int)} of {few} for n_c = {INNER}", flush=True)
    dims = ("how", "rate", "inner")
    ds["sweep_successes"] = dims, counts, {"long_name": f"runs with final TV < {SUCCESS}", "units": "1"}
    ends = np.array([[[interval(int(v), few) for v in row] for row in block] for block in counts])
    ds["sweep_low"], ds["sweep_high"] = (dims, ends[..., 0]), (dims, ends[..., 1])
    ds = ds.assign_coords(how=["steps", "unrolled"], rate=list(RATES), inner=list(INNER))
    low, mean, high = slope_range()
    print(f"1/(ratio t) at t = {SUCCESS}: {1 / (high * SUCCESS):.0f} to {1 / (low * SUCCESS):.0f}, "
          f"mean ratio {1 / (mean * SUCCESS):.0f}; cusp amplitude at rate 0.3: {cusp_amplitude(0.3):.4f}")  # fmt: skip
    return ds.assign_attrs(seed=seed, draws=draws, sweep_draws=few, success=SUCCESS, slope_ratio=[low, mean, high],
                           sweep_steps=SWEEP_STEPS)  # fmt: skip


@styled
def figure(ds: xr.Dataset):
    """Success against n_c eta_D for both kinds, and a few trajectories of the means."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(15.5, 5.2), layout="constrained")
    left, middle, right = fig.subplots(1, 3)
    few = ds.attrs["sweep_draws"]
    low, mean, high = ds.attrs["slope_ratio"]
    for ax, how in ((left, "steps"), (middle, "unrolled")):
        for rate, colour, marker in zip(RATES, (BLUE, ORANGE, VERMILLION), "os^", strict=True):
            cell = ds.sel(how=how, rate=rate)
            y = cell["sweep_successes"].values / few
            error = np.stack([y - cell["sweep_low"].values, cell["sweep_high"].values - y])
            ax.errorbar(np.array(INNER) * rate, y, np.maximum(error, 0), color=colour, marker=marker, ms=5, capsize=2,
                        label=f"$\\eta_D$ = {rate}")  # fmt: skip
        best = ds.sel(kind="optimal")
        ax.axhspan(
            float(best["low"]), float(best["high"]), color=GREEN, alpha=0.4, lw=0, label="optimal intervals, 95 %"
        )
        ax.axvspan(1 / (high * SUCCESS), 1 / (low * SUCCESS), color=GREY, alpha=0.2, lw=0,
                   label="1 / (ratio · 0.05), all directions")  # fmt: skip
        ax.axvline(1 / (mean * SUCCESS), color=GREY, ls="--", label="at the mean ratio")
        ax.set(xscale="log", ylim=(0, 1.03), xlabel=r"inner steps times their rate, $n_c\,\eta_D$ (sd²)",
               ylabel="share of starts with final TV < 0.05",
               title={"steps": "$n_c$ inner steps", "unrolled": "unrolled through $n_c$ steps"}[how])  # fmt: skip
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    starts = random_starts(ds.attrs["seed"], 5)
    for name, training in KINDS[:3]:
        run = train(Training(**{**training.__dict__, "record_every": 1}), starts)
        for i, path in enumerate(run.means):
            right.plot(*path.T, color=COLOURS[name], lw=1, alpha=0.8, label=name if i == 0 else None)
            right.plot(*path[-1], color=COLOURS[name], marker="s", ms=5)
    right.plot(*starts[0].T, "o", color=BLACK, mfc="white", label="start")
    right.plot([-1, 1], [1, -1], "*", color=BLACK, ms=13, label="true means")
    right.set(xlabel=r"$\mu_1$ (sd)", ylabel=r"$\mu_2$ (sd)", title="means; squares: where they end", aspect="equal")
    right.legend(fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return fig


def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=Path("out/two_gaussian"))
    args = parser.parse_args(argv)
    matplotlib.use("Agg")
    ds = study(args.seed, args.draws)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    eg.save(ds, args.output.with_suffix(".nc"))
    figure(ds).savefig(args.output.with_suffix(".png"), dpi=110)
    return ds


# %%
if __name__ == "__main__":
    main()
