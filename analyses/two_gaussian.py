# %% [markdown]
# # How good must the discriminator be for the two-Gaussian GAN to find both modes?
# Random starts (seed and number of draws are arguments): means from U[-3, 3]^2, four interval ends sorted from
# U[-3, 3]. Success is a total variation below 0.05 at the end of training. Compared: optimal intervals, one gradient
# step at a time, n_c inner steps, and unrolling through n_c steps, at several discriminator rates.
# The linearization asks for no number of inner steps: at p = q the discriminator has no curvature and n_c only rescales
# its rate. What asks for steps is the way there: at total variation t the intervals' ends relax at rate
# eta_D ratio t, so following the optimum down to t needs n_c eta_D well above 1/(ratio t), for whichever n_c and eta_D.
# Run: python -m analyses.two_gaussian --seed 1 --draws 1000 --output out/two_gaussian

# %%
from __future__ import annotations

import numpy as np
import xarray as xr

from analyses.proportions import wilson
from analyses.script import made, options, redraws, sheet
from egan_theory.papers.two_gaussian import Training, cusp_amplitude, random_starts, slope_range, train
from egan_theory.show.style import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION

SUCCESS = 0.05
#: the four kinds at the same rates; steps of the generator
KINDS = (
    ("optimal", Training("optimal", steps=400)),
    ("simultaneous", Training("simultaneous", steps=6000, record_every=50)),
    ("10 inner steps", Training("steps", inner=10, steps=1000)),
    ("unrolled 10", Training("unrolled", inner=10, steps=1000)),
)
INNER = (1, 2, 5, 10, 20, 50, 100)
RATES = (0.1, 0.3, 1.0, 3.0)
HOW = ("steps", "unrolled")
#: generator steps and share of the draws of the sweep over n_c
SWEEP_STEPS, SWEEP_SHARE = 600, 5
COLOURS = {"optimal": GREEN, "simultaneous": VERMILLION, "10 inner steps": BLUE, "unrolled 10": ORANGE}


# %%
def study(seed: int, draws: int) -> xr.Dataset:
    starts = random_starts(seed, draws)
    rows = []
    for name, training in KINDS:
        run = train(training, starts)
        end, good = run.tv[:, -1], run.tv[:, -1] < SUCCESS
        rows.append((good.sum(), *wilson(int(good.sum()), draws), np.median(end), end.max(),
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
    counts, empty, merged = np.zeros((3, len(HOW), len(RATES), len(INNER)))
    side_by_side = tuple(np.tile(v, (len(RATES), 1)) for v in starts)
    for i, kind in enumerate(HOW):
        for k, inner in enumerate(INNER):
            training = Training(kind, inner=inner, steps=SWEEP_STEPS, record_every=100)
            run = train(training, side_by_side, np.repeat(RATES, few))
            good = run.tv[:, -1] < SUCCESS
            for values, chosen in ((counts, good), (empty, ~good & (run.empty > 0)), (merged, ~good & run.merged)):
                values[i, :, k] = chosen.reshape(len(RATES), few).sum(1)
        for j, rate in enumerate(RATES):
            print(f"{kind}, eta_D = {rate}: {counts[i, j].astype(int)} of {few} for n_c = {INNER}; of the failed "
                  f"{(empty + merged)[i, j].astype(int)} with an interval empty or merged", flush=True)  # fmt: skip
    dims = ("how", "rate", "inner")
    ends = np.array([[[wilson(int(v), few) for v in row] for row in block] for block in counts])
    for name, values, text in (
        ("successes", counts, f"runs with final TV < {SUCCESS}"),
        ("empty", empty, "failed runs with an empty interval"),
        ("merged", merged, "failed runs whose two intervals have become one"),
        ("low", ends[..., 0], "lower end of Wilson's 95 % interval of the share of successes"),
        ("high", ends[..., 1], "upper end of it"),
    ):
        ds[f"sweep_{name}"] = dims, values, {"long_name": text, "units": "1"}
    ds = ds.assign_coords(how=list(HOW), rate=list(RATES), inner=list(INNER))
    low, mean, high = slope_range()
    print(f"1/(ratio t) at t = {SUCCESS}: {1 / (high * SUCCESS):.0f} to {1 / (low * SUCCESS):.0f}, "
          f"mean ratio {1 / (mean * SUCCESS):.0f}; cusp amplitude at rate 0.3: {cusp_amplitude(0.3):.4f}")  # fmt: skip
    return ds.assign_attrs(seed=seed, draws=draws, sweep_draws=few, success=SUCCESS, slope_ratio=[low, mean, high],
                           sweep_steps=SWEEP_STEPS)  # fmt: skip


def figure(ds: xr.Dataset):
    """Success against n_c eta_D for both kinds."""
    fig, axes = sheet(1, 2, 4.8, sharey=True)
    few = ds.attrs["sweep_draws"]
    low, mean, high = ds.attrs["slope_ratio"]
    for ax, how in zip(axes, HOW, strict=True):
        for rate, colour, marker in zip(ds["rate"].values, (BLUE, ORANGE, VERMILLION, PURPLE), "os^D", strict=False):
            cell = ds.sel(how=how, rate=rate)
            y = cell["sweep_successes"].values / few
            error = np.stack([y - cell["sweep_low"].values, cell["sweep_high"].values - y])
            ax.errorbar(ds["inner"].values * rate, y, np.maximum(error, 0), color=colour, marker=marker, ms=5,
                        capsize=2, label=f"rate of D {rate:g}")  # fmt: skip
        best = ds.sel(kind="optimal")
        ax.axhspan(float(best["low"]), float(best["high"]), color=GREEN, alpha=0.4, lw=0, label="optimal intervals")
        ax.axvspan(1 / (high * SUCCESS), 1 / (low * SUCCESS), color=GREY, alpha=0.2, lw=0,
                   label="predicted to suffice from here on")  # fmt: skip
        ax.axvline(1 / (mean * SUCCESS), color=GREY, ls="--", label="mean direction")
        ax.set(xscale="log", ylim=(0, 1.03), xlabel="inner steps times their rate (sd²)")
        ax.set_title({"steps": "inner steps", "unrolled": "unrolled through as many steps"}[how])
    axes[0].set_ylabel(f"starts with final TV < {SUCCESS} (share)")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False,
               title="95 % intervals (Wilson)")  # fmt: skip
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("two_gaussian", draws=1000).parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws), figure)
    return ds


# %%
if __name__ == "__main__":
    main()
