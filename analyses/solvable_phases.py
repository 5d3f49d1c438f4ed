# %% [markdown]
# # Do the fixed points of the solvable GAN say where its training succeeds, oscillates or collapses?
# Random models (seed and number of draws are arguments). One feature: a grid over noise and taut/tau; each cell is
# integrated (ODE) and simulated at finite n (exact chain), and both outcomes, judged from the overlaps alone, are
# compared with the stability of the fixed points. Two features: against noise, with the strengths drawn.
# Not counted: cells whose slowest deciding rate times the length of the run is below 10 (slow convergence), and at
# finite n those where noise alone carries a forgotten feature along the line of fixed points by 0.05 or more.
# Run: python -m analyses.solvable_phases --seed 1 --draws 2 --side 12 --output out/solvable_phases

# %%
from __future__ import annotations

import sys

import numpy as np
import xarray as xr

from analyses.script import options, write
from egan_theory.papers.solvable import Solvable
from egan_theory.papers.solvable.equilibria import locked_onset
from egan_theory.papers.solvable.figures import plot_solvable_phase, plot_solvable_scan
from egan_theory.papers.solvable.limits import boundaries
from egan_theory.papers.solvable.phase import RATIO, agreement, solvable_phase
from egan_theory.papers.solvable.regimes import REGIMES

#: length of a run in units 1/(tau Lambda)
SPAN = 400.0
#: cells of the predicted areas along each axis; noises of the scan with two features, runs for each
FINE, NOISES, RUNS = 80, 16, 4


# %%
def draw(rng: np.random.Generator, d: int, n: int) -> Solvable:
    """A model of d features: Lambda, tau and taut/tau at random; starts small. The strongest feature sets the time."""
    Lambda = np.sort(rng.uniform(1.0, 8.0, d))[::-1]
    if d > 1:
        Lambda[1] = Lambda[0] * rng.uniform(0.4, 0.7)  # apart, or collapse has no room
    tau = float(rng.uniform(0.1, 0.4))
    # two features: the weaker one is the slower
    time = SPAN / (tau * float(Lambda.min()))
    return Solvable(
        Lambda=Lambda, tau=tau, taut=float(rng.uniform(0.1, 0.3)) * tau, time=time, n=n, record=201,
        seed=int(rng.integers(1 << 30)),
    )  # fmt: skip


def axes(model: Solvable, side: int) -> tuple[str, str]:
    """Noise up to a fifth beyond where the feature is forgotten, and taut/tau."""
    top = 1.2 * float(np.sqrt(model.L[0] / model.tau))
    return f"noise={0.06 * top!r}:{top!r}:{side}", f"{RATIO}=0.08:2.4:{side}"


def one_feature(model: Solvable, side: int) -> dict[str, xr.Dataset]:
    """Predicted areas on a fine grid, ODE and finite-n outcomes on a coarse one."""
    found = {"fine": solvable_phase(model, *axes(model, FINE), simulate=None)}
    for method in ("ode", "chain"):
        found[method] = solvable_phase(model, *axes(model, side), simulate=method, progress=_tick(method))
    return found


def two_features(model: Solvable) -> dict[str, xr.Dataset]:
    """Against noise, from oscillation to nothing learnt."""
    edges = boundaries(model)
    axis = f"noise={edges['noise_success'] / 3!r}:{1.2 * edges['noise_feature_1']!r}:"
    ode = solvable_phase(model, f"{axis}{2 * NOISES}", simulate="ode", progress=_tick("ode"))
    several = model.replace({"runs": RUNS})
    return {"ode": ode, "chain": solvable_phase(several, f"{axis}{NOISES}", simulate="chain", progress=_tick("chain"))}


def _tick(label: str):
    def tick(done: int, total: int) -> None:
        if done == total or done % 20 == 0:
            print(f"{label}: {done} of {total} cells", file=sys.stderr, flush=True)

    return tick


def study(seed: int, draws: int, side: int, n: int) -> tuple[xr.Dataset, list[tuple[dict, dict, Solvable, Solvable]]]:
    """Counts of each draw over (features, method), and the diagrams."""
    found, counts, texts = [], [], []
    for i in range(draws):
        rng = np.random.default_rng([seed, i])
        one, two = draw(rng, 1, n), draw(rng, 2, n)
        found.append((one_feature(one, side), two_features(two), one, two))
        rows = [[agreement(part[method]) for method in ("ode", "chain")] for part in found[-1][:2]]
        counts.append(rows)
        texts.append([one.to_toml(), two.to_toml()])
        for d, part in zip((1, 2), found[-1][:2], strict=True):
            for method in ("ode", "chain"):
                print(f"draw {i}, {d} feature(s), {method}: {agreement(part[method])}", flush=True)
                for line in describe_wrong(part[method]):
                    print(f"    {line}", flush=True)
    dims = ("draw", "features", "outcome")
    data = {
        name: (dims, np.array([[[c[name] for c in row] for row in rows] for rows in counts]),
               {"long_name": name.replace("_", " "), "units": "1"})
        for name in counts[0][0][0]
    }  # fmt: skip
    ds = xr.Dataset(data, coords={"features": [1, 2], "outcome": ["ode", "chain"]})
    for method in ("ode", "chain"):
        for name in ("predicted", "decided", "regime", "wrong"):
            grids = [f[0][method][name].values for f in found]
            more = ("run",) if grids[0].ndim == 3 else ()
            ds[f"{method}_{name}"] = ("draw", "row", "column", *more), np.stack(grids)
    ds["noise"] = ("draw", "column"), np.stack([f[0]["ode"]["first"] for f in found])
    ds["ratio"] = "row", found[0][0]["ode"]["second"].values
    ds["model"] = ("draw", "features"), np.array(texts, dtype=str)
    return ds.assign_attrs(seed=seed, draws=draws, side=side, n=n, span=SPAN, regimes=list(REGIMES)), found


def describe_wrong(ds: xr.Dataset) -> list[str]:
    """Each wrong or undecided outcome where the run is long enough."""
    out = []
    undecided = REGIMES.index("undecided")
    for cell in np.ndindex(ds["predicted"].shape):
        for run in range(ds.sizes["run"]):
            index = int(ds["regime"].values[(*cell, run)])
            if ds["decided"].values[cell] and (ds["wrong"].values[(*cell, run)] or index == undecided):
                place = ", ".join(
                    f"{ds[name].attrs['long_name']} = {float(ds[name].values[i]):.3g}"
                    for name, i in zip(ds["predicted"].dims, cell, strict=True)
                )
                out.append(f"{place}: predicted {REGIMES[int(ds['predicted'].values[cell])]}, found {REGIMES[index]}")
    return out


def curves(model: Solvable) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The boundaries of one feature as formulas."""
    L, tau = model.L[0], model.tau
    critical = float(np.sqrt(L / tau))
    eta, wide = np.linspace(1e-3, critical, 300), np.linspace(1e-3, 1.25 * critical, 300)
    fold = np.array([locked_onset(tau * e**2 / L, tau * e / 2) for e in eta])
    return {
        "taut = 2 tau² eta² / Lambda": (eta, 2 * tau * eta**2 / L),
        "eta² = Lambda / tau": (np.array([critical, critical]), np.array([0.0, 2.0])),
        "locked states exist above": (eta, fold),
        "self-locked above max(2, 1 + k)": (wide, np.maximum(2, 1 + tau * wide**2 / L)),
    }


def figure(found: list[tuple[dict, dict, Solvable, Solvable]]):
    """The first draw: one feature by ODE and by chain, two features against noise."""
    from matplotlib.figure import Figure

    one, two, single, double = found[0]
    fig = Figure(figsize=(17, 7.2), layout="constrained")
    left, middle, right = fig.subplots(1, 3)
    for ax, method, label in ((left, "ode", "ODE"), (middle, "chain", f"exact chain, n = {single.n}")):
        plot_solvable_phase(one["fine"], one[method], curves(single), ax=ax)
        ax.set(xlabel="noise eta", ylabel="taut / tau", title=f"one feature\nareas: predicted, markers: {label}")
    edges = boundaries(double)
    lines = {
        "P = I unstable below": edges["noise_success"],
        "every rotation of it unstable below": edges["noise_rotation"],
        "feature 2 forgotten above": edges["noise_feature_2"],
        "feature 1 forgotten above": edges["noise_feature_1"],
    }
    plot_solvable_scan(two["ode"], two["chain"], lines, ax=right)
    right.set(xlabel="noise eta", title=f"two features\nlines: ODE, markers: exact chain, n = {double.n}")
    # legends below the panels; the first two panels share theirs
    for ax, columns in ((left, 3), (right, 2)):
        handles, labels = ax.get_legend().legend_handles, [t.get_text() for t in ax.get_legend().get_texts()]
        side = {"loc": "outside lower left"} if ax is left else {"loc": "outside lower right"}
        fig.legend(handles, labels, ncols=columns, frameon=False, **side)
    for ax in (left, middle, right):
        ax.get_legend().remove()
    return fig


def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("solvable_phases", draws=2)
    parser.add_argument("--side", type=int, default=12)
    parser.add_argument("--n", type=int, default=5000)
    args = parser.parse_args(argv)
    ds, found = study(args.seed, args.draws, args.side, args.n)
    write(args.output, ds, figure(found), dpi=110)
    total = ds[["runs", "decided", "wrong", "undecided", "coexisting"]].sum(("draw", "features"))
    for method in ("ode", "chain"):
        row = total.sel(outcome=method)
        print(
            f"{method}: {int(row['wrong'])} wrong of {int(row['decided'])} decided ({int(row['runs'])} in all), "
            f"{int(row['undecided'])} undecided, {int(row['coexisting'])} on a cycle beside a stable locked state"
        )
    return ds


# %%
if __name__ == "__main__":
    main()
