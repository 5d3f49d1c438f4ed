# %% [markdown]
# # Do the error bars of `compare` hold?
# Experiments whose theory is right: kicked runs of the nonlinear model, recorded in every condition, that is with 1, 2
# or 8 runs; noise of 0, 0.1, 1 and 10 % of the kick on every recorded number (of D and its gradient: of their rms at
# the second record); all records, one missing, or half of them at uneven times; positions alone, or with D and its
# gradient. Every draw has kicks and noise of its own. Right error bars leave |z| below 2 in about 95 % of the
# compared rows, whatever the condition; modes below the noise are not rows but "not seen".
# Run: python -m analyses.comparison_calibration --seed 11 --draws 40 --output out/comparison_calibration

# %%
from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.script import made, options, redraws, sheet
from egan_theory.show.style import BLUE, GREEN, VERMILLION

RUNS, NOISE = (1, 2, 8), (0.0, 0.001, 0.01, 0.1)
RECORDS, OBSERVED = ("all", "one missing", "uneven"), ("positions", "with D")
#: shares of |z| < 2 that count as right
RIGHT = (0.90, 0.99)
KICK = 1e-5


def experiment(target: dict, particles: int, loss: str, rule: str, steps: int, eta_D: float = 0.2) -> eg.Experiment:
    return eg.Experiment(
        target=target,
        generator={"particles": particles, "learning_rate": 0.02, "kernel": {"ratio": 0.05}},
        discriminator={"kernel": "gaussian", "length_scale": 0.5, "features": 64, "learning_rate": eta_D},
        loss={"kind": loss},
        penalty={"r1": 0.3},
        update={"rule": rule},
        run={"steps": steps, "record_every": steps // 150, "kick": KICK},
    )


EXPERIMENTS = {
    "ring of 5, Wasserstein, simultaneous": experiment(
        {"kind": "ring", "modes": 5, "radius": 0.8}, 5, "wasserstein", "simultaneous", 1500
    ),
    "grid of 4, logistic, alternating": experiment(
        {"kind": "grid", "side": 2, "dimension": 2}, 4, "logistic", "alternating", 1200
    ),
    "ring of 3, least squares, flow": experiment(
        {"kind": "ring", "modes": 3, "radius": 0.6}, 3, "least_squares", "flow", 900
    ),
}


# %%
def recorded(runs: xr.Dataset, noise: float, records: str, observed: str, rng) -> xr.Dataset:
    """The runs as someone else would have them: times and what was observed, with noise, at the records kept."""
    T = runs.sizes["time"]
    keep = np.arange(T)
    if records == "one missing":
        keep = np.delete(keep, T // 4)
    elif records == "uneven":
        keep = np.r_[0, np.sort(rng.choice(np.arange(1, T), T // 2, replace=False))]
    out = {}
    for name in ("particles", "discriminator", "force") if observed == "with D" else ("particles",):
        v = runs[name].values[:, keep]
        size = KICK if name == "particles" else np.sqrt((runs[name].values[:, 1] ** 2).mean())
        out[name] = (runs[name].dims, v + noise * size * rng.standard_normal(v.shape))
    return xr.Dataset(out, coords={"time": runs["time"].values[keep]})


def scores(exp: eg.Experiment, runs: xr.Dataset, seed: int, draws: int, number: int, condition: tuple) -> dict:
    """z of every compared row, modes compared and modes not seen, of all draws of one condition."""
    z, seen, unseen = [], 0, 0
    for k in range(draws):
        rng = np.random.default_rng([seed, k, number])
        part = runs.isel(run=slice(max(RUNS) * k, max(RUNS) * k + number))
        table = eg.compare(exp, recorded(part, *condition, rng))
        z += [q.z for q in table.quantities]
        seen += sum(q.name.endswith(".re") for q in table.quantities)
        unseen += sum("not seen" in u["reason"] for u in table.unmatched)
    values = np.array(z)
    return {
        "rows": len(values),
        "covered": float((np.abs(values) < 2).mean()) if len(values) else np.nan,
        "not_seen": unseen / max(seen + unseen, 1),
        "rms": float(np.sqrt((values**2).mean())) if len(values) else np.nan,
    }


def _task(arguments: tuple) -> list[dict]:
    name, seed, draws, number, conditions = arguments
    exp = EXPERIMENTS[name].replace({"run.runs": max(RUNS) * draws, "run.seed": seed})
    runs = eg.simulate(exp)
    return [scores(exp, runs, seed, draws, number, c) for c in conditions]


def study(
    seed: int,
    draws: int,
    names: Sequence[str] = tuple(EXPERIMENTS),
    runs: Sequence[int] = RUNS,
    noise: Sequence[float] = NOISE,
    records: Sequence[str] = RECORDS,
    observed: Sequence[str] = OBSERVED,
    workers: int = 1,
) -> xr.Dataset:
    """Over dimensions (experiment, runs, noise, records, observed): rows, covered, not_seen, rms."""
    conditions = list(product(noise, records, observed))
    tasks = [(name, seed, draws, n, conditions) for name in names for n in runs]
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            found = list(pool.map(_task, tasks))
    else:
        found = [_task(t) for t in tasks]
    dims = ("experiment", "runs", "noise", "records", "observed")
    shape = (len(names), len(runs), len(noise), len(records), len(observed))
    text = {
        "rows": "rows compared",
        "covered": "share of the rows with |z| < 2",
        "not_seen": "share of the modes not seen",
        "rms": "rms z",
    }
    return xr.Dataset(
        {
            k: (dims, np.array([[row[k] for row in t] for t in found]).reshape(shape), {"long_name": v, "units": "1"})
            for k, v in text.items()
        },
        coords={"experiment": list(names), "runs": list(runs), "noise": list(noise), "records": list(records),
                "observed": list(observed)},
        attrs={"seed": seed, "draws": draws},
    )  # fmt: skip


def table(ds: xr.Dataset) -> list[str]:
    """One line per condition: of every experiment, and of all together."""
    lines = []
    for n, noise, records, observed in product(*(ds[d].values for d in ("runs", "noise", "records", "observed"))):
        cell = ds.sel(runs=n, noise=noise, records=records, observed=observed)
        rows = cell["rows"].values
        parts = [(name, cell.sel(experiment=name)) for name in ds["experiment"].values]
        each = "  ".join(f"{float(p['covered']):.3f} of {int(p['rows']):3d}" for _, p in parts)
        together = np.nansum(cell["covered"].values * rows) / max(rows.sum(), 1)
        rms = np.sqrt(np.nansum(cell["rms"].values ** 2 * rows) / max(rows.sum(), 1))
        lines.append(
            f"{n} runs, noise {noise:5.1%}, {records:11s}, {observed:9s}: {int(rows.sum()):5d} rows, |z| < 2 in "
            f"{together:.3f}, not seen {float(cell['not_seen'].mean()):.2f}, rms z {rms:.2f} | {each}"
        )
    return lines


def figure(ds: xr.Dataset):
    """Share of |z| < 2 against noise, over all experiments; a panel per kind of record."""
    fig, axes = sheet(1, ds.sizes["records"], 4.4, sharey=True, squeeze=False)
    count = ds["rows"].sum("experiment")
    share = (ds["covered"].fillna(0) * ds["rows"]).sum("experiment") / count.where(count > 0)
    for ax, records in zip(axes[0], ds["records"].values, strict=True):
        ax.axhspan(*RIGHT, color="0.9", label=f"right: {RIGHT[0]:.0%} to {RIGHT[1]:.0%}")
        for n, colour, shift in zip(ds["runs"].values, (VERMILLION, GREEN, BLUE), (-0.1, 0, 0.1), strict=False):
            for observed, style in zip(ds["observed"].values, ("o", "s"), strict=False):
                part = share.sel(records=records, runs=n, observed=observed)
                runs = "1 run" if n == 1 else f"{n} runs"
                ax.plot(np.arange(ds.sizes["noise"]) + shift, part, style, ms=6, color=colour,
                        mfc=colour if style == "o" else "white", label=f"{runs}, {observed}")  # fmt: skip
        ax.set_xticks(range(ds.sizes["noise"]), [f"{x:.3g}" for x in 100 * ds["noise"].values])
        ax.set(xlabel="noise (% of the kick)", ylim=(0.75, 1.01))
        ax.set_title(f"records: {records}", fontsize=10)
    axes[0, 0].set_ylabel("compared rows with |z| < 2 (share)")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("comparison_calibration", draws=40, seed=11)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    args = parser.parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws, workers=args.workers), figure)
    print("\n".join(table(ds)))
    shares = ds["covered"].where(ds["rows"] > 0)
    right = (shares >= RIGHT[0]) & (shares <= RIGHT[1])
    print(f"{int(right.sum())} of {int(shares.notnull().sum())} conditions between {RIGHT[0]:.0%} and {RIGHT[1]:.0%}")
    return ds


# %%
if __name__ == "__main__":
    main()
