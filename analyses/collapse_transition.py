# %% [markdown]
# # At which kernel ratio are modes lost, with a smooth and with a rough discriminator?
# The default ring (8 points, 64 particles, 256 random features, weight decay alone) from random starts of rms 0.5 per
# coordinate (the ring's own is 0.71), trained with a smooth discriminator (Gaussian kernel) and a rough one (Matern
# 3/2) of equal K(0) and length scale 0.8, about the distance of neighbouring points. Over the kernel ratio g2/g1: the
# share of the runs that keep every mode, and the share of the modes that they keep; what theory says of the first
# (`eg.reached`: macro-particles in the clusters of the same starts); from which ratio the spread state is unstable and
# swings instead; and from which one the collapsed state attracts, where it does not escape. Every draw has a start and
# random features of its own. Errors are over the draws.
#
# Length scale 0.8, weight decay 0.1 and starts of 0.5 were chosen on another seed, by theory and a few runs, so that
# the transitions and thresholds of both discriminators lie inside (0, 1) for most features.
# Run: python -m analyses.collapse_transition --seed 1 --draws 12 --output out/collapse_transition

# %%
from __future__ import annotations

import sys

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.script import made, options, redraws
from egan_theory.predict import collapsed
from egan_theory.predict.collective import margin
from egan_theory.runs.outcome import KEPT, LATE, covered_modes, data_radius

RATIO = "generator.kernel.ratio"
#: label: fields of the discriminator, colour, marker
KERNELS = {
    "smooth (Gaussian)": ({"kernel": "gaussian"}, "#0072B2", "o"),
    "rough (Matérn 3/2)": ({"kernel": "matern", "smoothness": 1.5}, "#D55E00", "s"),
}
RATIOS = (0.0, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9)
STEPS, RECORDS = 3000, 50
#: clouds that theory follows of each draw and ratio
CLOUDS = 4
#: steps over which the orbit of the collapsed state is followed first and averaged first
ORBIT = 1000
#: mechanism of `egan threshold` that says where the spread state begins to swing
SPREAD = "collective instability"


def ring(label: str, seed: int, draw: int, steps: int = STEPS) -> eg.Experiment:
    """The default ring with this discriminator, weight decay alone, from a random start and with features of a draw."""
    own = int(np.random.default_rng([seed, draw]).integers(1 << 30))
    return eg.Experiment(
        target={"kind": "ring", "modes": 8},
        generator={"particles": 64, "learning_rate": 0.01},
        discriminator={"length_scale": 0.8, "features": 256, "learning_rate": 0.1, "seed": own, **KERNELS[label][0]},
        penalty={"r1": 0.0, "weight_decay": 0.1},
        run={"steps": steps, "record_every": max(steps // RECORDS, 1), "runs": 1, "start": "random", "spread": 0.5,
             "seed": own},
    )  # fmt: skip


def at_ratios(exp: eg.Experiment, ratios) -> list[eg.Experiment]:
    return [exp.replace({RATIO: float(ratio)}) for ratio in ratios]


# %%
def simulated(label: str, seed: int, draw: int, ratios=RATIOS, steps: int = STEPS) -> dict[str, np.ndarray]:
    """Over the ratios, of one start: the share of the modes that have a particle and the cloud's width over the ring's,
    means over the last fifth of the run."""
    exp = ring(label, seed, draw, steps)
    runs = eg.simulate(exp, variants=at_ratios(exp, ratios))
    late = runs["particles"].isel(time=runs["time"].values >= (1 - LATE) * steps)
    width = eg.order_parameters(late, runs["target"])["spread"] / data_radius(exp)
    return {"kept": covered_modes(exp, late).mean("time").values, "width": width.mean("time").values}


def predicted(
    label: str, seed: int, draw: int, ratios=RATIOS, steps: int = STEPS, clouds: int = CLOUDS
) -> dict[str, np.ndarray]:
    """What theory says of the same draw: over the ratios the share of the clouds that keep every mode; the ratio from
    which the spread state swings (0: from the first on, NaN: at none); the rms displacement on its orbit, over the root
    of the distance from there (normal form); over the ratios minus the top transverse exponent of the collapsed state
    (> 0: it attracts, NaN: it escapes)."""
    exp = ring(label, seed, draw, steps)
    found = [eg.reached(one, draws=clouds).kinds for one in at_ratios(exp, ratios)]
    keeps = [sum(kinds[kept.word] for kept in KEPT) for kinds in found]
    spread = eg.thresholds(exp, RATIO, mechanisms=[SPREAD]).thresholds[0]
    never = 0.0 if margin(exp.replace({RATIO: 0.0})) > 0 else np.nan
    forms = spread.normal_forms[0] if spread.normal_forms else ()
    amplitude = [form.rms_amplitude for form in forms if form.rms_amplitude is not None]
    return {
        "predicted": np.array(keeps),
        "collapsed": collapsed.margins(at_ratios(exp, ratios), steps=ORBIT, windows=2),
        "swings": np.array(never if spread.value is None else spread.value),
        "amplitude": np.array(amplitude[0] if amplitude else np.nan),
    }


DESCRIBED = {
    "kept": {"long_name": "share of the modes kept", "units": "1"},
    "width": {"long_name": "rms width of the cloud over the ring's", "units": "1"},
    "predicted": {"long_name": "share of the predicted clouds that keep every mode", "units": "1"},
    "collapsed": {"long_name": "minus the top transverse exponent of the collapsed state", "units": "1/step"},
    "swings": {"long_name": "ratio from which the spread state swings", "units": "1"},
    "amplitude": {"long_name": "rms displacement of the swinging over the root of the distance from its threshold",
               "units": "length"},
}  # fmt: skip


def study(seed: int, draws: int, ratios=RATIOS, steps: int = STEPS, clouds: int = CLOUDS) -> xr.Dataset:
    """Simulation and theory over (discriminator, draw, ratio)."""
    rows = []
    for label in KERNELS:
        for draw in range(draws):
            rows.append(
                simulated(label, seed, draw, ratios, steps) | predicted(label, seed, draw, ratios, steps, clouds)
            )
            print(f"{label}, draw {draw}: kept {np.round(rows[-1]['kept'], 2)}", file=sys.stderr, flush=True)
    return gathered(rows, seed, draws, ratios, steps)


def gathered(rows: list[dict[str, np.ndarray]], seed: int, draws: int, ratios, steps: int) -> xr.Dataset:
    dims, shape = ("discriminator", "draw", "ratio"), (len(KERNELS), draws)
    data = {}
    for name, about in DESCRIBED.items():
        values = np.stack([row[name] for row in rows])
        data[name] = (dims[: 1 + values.ndim], values.reshape(*shape, *values.shape[1:]), about)
    axis = ("ratio", list(map(float, ratios)), {"long_name": "kernel ratio g2/g1", "units": "1"})
    coords = {"discriminator": list(KERNELS), "ratio": axis}
    return xr.Dataset(data, coords=coords, attrs={"seed": seed, "draws": draws, "steps": steps})


def mean(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Mean over the draws, and its standard error."""
    return values.mean("draw"), values.std("draw", ddof=1) / np.sqrt(values.sizes["draw"])


def keepers(ds: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """(share of the runs that keep every mode throughout their last fifth, its standard error) over (discriminator,
    ratio); of n runs, k of which do, the error is that of (k + 1)/(n + 2), so that 0 and n of n are not certain."""
    n = ds.sizes["draw"]
    share = (ds["kept"] == 1).mean("draw")
    smoothed = (n * share + 1) / (n + 2)
    return share, np.sqrt(smoothed * (1 - smoothed) / (n + 3))


def attracts(ds: xr.Dataset) -> xr.DataArray:
    """(discriminator, draw) the first ratio from which the collapsed state attracts, linear between those looked at;
    NaN where it attracts at none, or escapes next to where it begins to."""
    x, out = ds["ratio"].values, ds["swings"] * np.nan
    for i, draws in enumerate(ds["collapsed"].values):
        for j, margins in enumerate(draws):
            for k in np.flatnonzero((margins[:-1] <= 0) & (margins[1:] > 0))[:1]:
                out[i, j] = np.interp(0.0, margins[k : k + 2], x[k : k + 2])
    return out


def half(x: np.ndarray, y: np.ndarray, level: float = 0.5) -> float:
    """Where a share that falls from 1 is ``level`` for the first time, linear in between; NaN: nowhere."""
    below = np.flatnonzero(y < level)
    if not below.size or below[0] == 0:
        return float("nan")
    i = below[0]
    return float(np.interp(level, y[[i, i - 1]], x[[i, i - 1]]))


def summary(ds: xr.Dataset) -> dict[str, float]:
    """Of each discriminator: the ratios at which 3/4, 1/2 and 1/4 of the runs keep every mode, simulated and predicted;
    the mean difference of both curves; the median threshold of the spread state."""
    share, _ = keepers(ds)
    theory, x, out = ds["predicted"].mean("draw"), ds["ratio"].values, {}
    for label in KERNELS:
        for name, curve in (("simulated", share), ("predicted", theory)):
            y = curve.sel(discriminator=label).values
            out |= {f"{label}, {level:g} kept, {name}": half(x, y, level) for level in (0.75, 0.5, 0.25)}
        out[f"{label}, mean difference"] = float(np.abs(share - theory).sel(discriminator=label).mean())
        out[f"{label}, swings from"] = float(ds["swings"].sel(discriminator=label).median())
        starts = attracts(ds).sel(discriminator=label)
        out[f"{label}, draws in which the collapsed state attracts"] = int(starts.notnull().sum())
        out[f"{label}, attracts from"] = float(starts.median())
        out[f"{label}, amplitude / sqrt"] = float(ds["amplitude"].sel(discriminator=label).median())
    return out


# %%
def figure(ds: xr.Dataset):
    """Runs that keep every mode over the kernel ratio, and where the spread state begins to swing."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(8.6, 5.8), layout="constrained")
    upper, lower = fig.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
    x = ds["ratio"].values
    (share, error), (theory, unsure) = keepers(ds), mean(ds["predicted"])
    for i, (label, (_, colour, marker)) in enumerate(KERNELS.items()):
        one = {"discriminator": label}
        line, band = theory.sel(one).values, unsure.sel(one).values
        upper.fill_between(x, np.maximum(line - band, 0), np.minimum(line + band, 1), color=colour, alpha=0.15, lw=0)
        upper.plot(x, line, color=colour, lw=2.2, label=f"{label}: theory, from the start")
        y, bar = share.sel(one).values, error.sel(one).values
        look = {"ms": 6.5, "color": colour, "mfc": "white", "mew": 1.7, "capsize": 2.5, "elinewidth": 1.1}
        ends = [np.minimum(bar, y), np.minimum(bar, 1 - y)]
        upper.errorbar(x + (2 * i - 1) * 0.004, y, yerr=ends, fmt=marker, label=f"{label}: simulated", **look)
        for row, found in enumerate((ds["swings"], attracts(ds))):
            starts, height = found.sel(one).values, -2.6 * row - i
            starts = starts[np.isfinite(starts)]
            if not len(starts):
                lower.text(0.0, height, "at none: it escapes", color=colour, va="center", fontsize=10)
                continue
            lower.plot([starts.min(), starts.max()], [height] * 2, color=colour, lw=7, alpha=0.3, solid_capstyle="butt")
            lower.plot([np.median(starts)], [height], "|", color=colour, ms=13, mew=2.6)
            if len(starts) < ds.sizes["draw"]:
                note = f"in {len(starts)} of {ds.sizes['draw']} draws, else it escapes"
                lower.text(starts.max() + 0.01, height, note, color=colour, va="center", fontsize=9.5)
    upper.set_ylim(-0.04, 1.06)
    upper.set_ylabel("runs that keep all 8 modes (share)", fontsize=12)
    upper.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, fontsize=11)
    lower.set(ylim=(-4.4, 0.8), yticks=[-0.5, -3.1])
    lower.set_yticklabels(["spread state\nswings from", "collapsed state\nattracts from"])
    lower.set_title("mechanisms by themselves (median and range over the draws)", fontsize=11)
    lower.set_xlabel("kernel ratio g2/g1 of the generator (1)", fontsize=12)
    for ax in (upper, lower):
        ax.grid(axis="x" if ax is lower else "both", color="#e4e4e4", lw=0.6)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=11)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("collapse_transition", draws=12, help_draws="starts and features at each ratio").parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws), figure)
    for name, value in summary(ds).items():
        print(f"{name}: {value:.3f}")
    return ds


# %%
if __name__ == "__main__":
    main()
