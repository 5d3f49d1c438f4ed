"""What the Dataset of ``real_gan_collapse`` says: numbers, a verdict in sentences, and the figure."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import xarray as xr

from analyses.script import above, sheet
from egan_theory.runs.outcome import modes_are_lost, tally

#: share of the target's points at which the transition is placed
HALF = 0.5
#: the lazy regime is left when Theta has moved by this much of itself
LAZY = 0.3


def crossing(x: np.ndarray, y: np.ndarray, level: float = 0.0, downwards: bool = False) -> float:
    """x at which y first passes ``level`` upwards (or downwards), by linear interpolation; NaN where it does not."""
    v = (level - y) if downwards else (y - level)
    where = np.flatnonzero((v[:-1] < 0) & (v[1:] >= 0))
    if not where.size:
        return float("nan")
    i = where[0]
    return float(x[i] - v[i] * (x[i + 1] - x[i]) / (v[i + 1] - v[i]))


def mean_error(values: np.ndarray) -> tuple[float, float]:
    """Mean over networks and its standard error, NaN left out."""
    good = values[np.isfinite(values)]
    if len(good) < 2:
        return (float(good.mean()) if len(good) else float("nan")), float("nan")
    return float(good.mean()), float(good.std(ddof=1) / np.sqrt(len(good)))


def transition(ratios: np.ndarray, kept: np.ndarray, seed: int = 0, resamples: int = 400) -> tuple[float, float]:
    """Ratio at which the mean of kept (ratio, run) falls through HALF, and its error by bootstrap over networks."""
    at = lambda rows: crossing(ratios, rows.mean(1), HALF, downwards=True)  # noqa: E731
    chosen = np.random.default_rng(seed).integers(kept.shape[1], size=(resamples, kept.shape[1]))
    drawn = np.array([at(kept[:, c]) for c in chosen])
    return at(kept), float(np.nanstd(drawn)) if np.isfinite(drawn).any() else float("nan")


def numbers(ds: xr.Dataset) -> dict[str, Any]:
    """What the verdict rests on: ratios of boundaries (mean, standard error) and shares of cells that agree."""
    ratios = ds["ratio"].values
    out: dict[str, Any] = {"stability": [], "starts": []}
    for i, case in enumerate(ds["case"].values):
        row = {n: ds[f"critical_{n}"].values[i] for n in ("infinite", "own", "simulated")}
        with np.errstate(invalid="ignore"):
            error = (ds["rate"] - ds["rate_own"]).values[i][ds["rate_own"].values[i] > 0]
        out["stability"].append({
            "case": str(case), "found": int(np.isfinite(row["simulated"]).sum()),
            "simulated / infinite": mean_error(row["simulated"] / row["infinite"]),
            "simulated / own": mean_error(row["simulated"] / row["own"]),
            "scatter of the boundary": float(np.nanstd(np.log(row["simulated"]), ddof=1)),
            "rms rate error": float(np.sqrt(np.mean(error**2))) if error.size else float("nan"),
            "scatter": float(ds["scatter"].values[i]),
        })  # fmt: skip
    depth = ds["depth"].values.astype(float)
    out["depth"] = {
        "infinite": crossing(depth, ds["depth_infinite"].values),
        **{
            n: mean_error(np.array([crossing(depth, v) for v in ds[f"depth_{n}"].values.T]))
            for n in ("own", "simulated")
        },
    }
    for i, setting in enumerate(ds["setting"].values):
        kept = {str(n): ds["kept"].values[i, k] for k, n in enumerate(ds["rung"].values)}
        ends = {str(n): ds["outcome"].values[i, k] for k, n in enumerate(ds["rung"].values)}
        lost = {n: modes_are_lost(codes).mean(1) > HALF for n, codes in ends.items()}  # of most networks
        drift = ds["drift"].values[i]
        critical = zip(ds["mechanism"].values, ds["predicted_ratio"].values[i], strict=True)
        guesses = lost | {str(m): ratios > v for m, v in critical}
        out["starts"].append({
            "setting": str(setting), "transition": {n: transition(ratios, v) for n, v in kept.items()},
            "agreement": {n: float((c == lost["GAN"]).mean()) for n, c in guesses.items() if n != "GAN"},
            "outcomes": {n: tally(codes) for n, codes in ends.items()},
            "drift": float(np.nanmedian(drift)),
            "lazy": float((drift < LAZY).mean()),
        })  # fmt: skip
    return out


def verdict(found: dict[str, Any]) -> list[str]:
    """The verdict in sentences, from the numbers alone."""
    lines = []
    for row in found["stability"]:
        (r, dr), (o, do) = row["simulated / infinite"], row["simulated / own"]
        lines.append(
            f"stability, {row['case']}: {row['found']} boundaries bracketed; "
            f"simulated / effective {r:.3f} +- {dr:.3f}, "
            f"simulated / own Theta {o:.3f} +- {do:.3f}; networks scatter by {row['scatter of the boundary']:.0%} "
            f"(|Theta - Gamma| / |Theta| {row['scatter']:.2f}); growth rates off by {row['rms rate error']:.1e}"
        )
    d = found["depth"]
    lines.append(
        f"depth: critical at {d['infinite']:.2f} in theory, {d['own'][0]:.2f} +- {d['own'][1]:.2f} from own Theta, "
        f"{d['simulated'][0]:.2f} +- {d['simulated'][1]:.2f} simulated"
    )
    for row in found["starts"]:
        t = row["transition"]
        lines.append(
            f"random starts, {row['setting']}: points lost from ratio "
            + ", ".join(f"{v:.2f} +- {e:.2f} ({n})" for n, (v, e) in t.items())
            + f"; GAN / effective {t['GAN'][0] / t['infinite'][0]:.2f} from its starts, "
            + f"{t['GAN'][0] / t['infinite, own starts'][0]:.2f} from independent ones; the runs end "
            + "; ".join(f"{ends} ({n})" for n, ends in row["outcomes"].items())
            + "; ratios at which most networks lose points or none agree with the GAN "
            + ", ".join(f"{v:.0%} ({n})" for n, v in row["agreement"].items())
            + f"; median drift of Theta {row['drift']:.2f}, below {LAZY} in {row['lazy']:.0%} of runs: {_why(t)}"
        )
    return lines


def _why(t: dict[str, tuple[float, float]]) -> str:
    """Which rung moves the boundary most."""
    names = ("infinite, own starts", "infinite", "own", "GAN")
    causes = ("the starts (outputs of the network, not independent)", "the scatter of Theta", "the drift of Theta")
    steps = np.abs(np.diff([t[n][0] for n in names]))
    if not np.isfinite(steps).any():
        return "no transition in some rung"
    return f"the largest step between rungs, {np.nanmax(steps):.2f}, is due to {causes[int(np.nanargmax(steps))]}"


COLOURS = {"infinite, own starts": "#999999", "infinite": "#D55E00", "own": "#009E73", "GAN": "#0072B2"}
NAMES = {
    "infinite, own starts": "effective model, independent starts", "infinite": "effective model, GAN's starts",
    "own": r"GAN's own $\Theta$, held", "GAN": "GAN",
}  # fmt: skip


def figure(ds: xr.Dataset):
    """Critical bias variance against width, growth near the boundary, and points kept against the ratio."""
    fig, axes = sheet(1, 3, 4.8)
    ax = axes[0]
    ax.axhline(ds.attrs["placed"], color=COLOURS["infinite"], label="effective model")
    for i, (width, kind) in enumerate(zip(ds["width"].values, ds["discriminator"].values, strict=True)):
        for n, colour, marker, shift in (("own", COLOURS["own"], "s", 0.94), ("simulated", COLOURS["GAN"], "o", 1.06)):
            v, e = mean_error(ds[f"critical_{n}"].values[i])
            face = colour if kind == "features" else "white"
            name = {"own": "own kernel", "simulated": "GAN"}[n] + ("" if kind == "features" else ", two networks")
            ax.errorbar(width * shift * (1.15 if kind == "network" else 1), v, e, fmt=marker, color=colour, mfc=face,
                        capsize=3, label=name if i in (0, ds.sizes["case"] - 1) else None)  # fmt: skip
    ax.set(xscale="log", xlabel="width (neurons)", ylabel="critical bias variance (1)")
    widths = sorted(set(ds["width"].values.tolist()))
    ax.set_xticks(widths, [str(w) for w in widths])
    ax.minorticks_off()
    above(ax, "boundary", fontsize=8.5)
    ax = axes[1]
    for i, (width, kind) in enumerate(zip(ds["width"].values, ds["discriminator"].values, strict=True)):
        ax.plot(1e3 * ds["rate_own"].values[i], 1e3 * ds["rate"].values[i], "os^Dv"[i % 5], ms=5,
                label=f"width {width}" + ("" if kind == "features" else ", two networks"))  # fmt: skip
    low, high = ax.get_xlim()
    ax.plot([low, high], [low, high], color="#999999", lw=1, zorder=0)
    ax.set(xlabel="predicted, own kernel (0.001/step)", ylabel="measured (0.001/step)")
    above(ax, "growth near it", fontsize=8.5)
    ax = axes[2]
    for k, n in enumerate(ds["rung"].values):
        values = ds["kept"].values[0, k]
        error = values.std(1, ddof=1) / np.sqrt(values.shape[1])
        ax.errorbar(ds["ratio"] + 0.008 * (k - 1.5), values.mean(1), error, fmt="o-", ms=4, capsize=2,
                    color=COLOURS[str(n)], label=NAMES[str(n)])  # fmt: skip
    ratio = ds["predicted_ratio"].sel(mechanism="collective instability").values[0]
    ax.axvline(ratio, color="black", ls=":", lw=1.2, label="predicted instability")
    ax.set(xlabel="kernel ratio g2/g1", ylabel="points kept (share)", ylim=(-0.05, 1.05))
    above(ax, fill(f"random starts, {ds['setting'].values[0]}", 32), fontsize=8.5)
    return fig
