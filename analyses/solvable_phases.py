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
from matplotlib.colors import ListedColormap

from analyses.script import made, options, redraws, sheet
from egan_theory.papers.solvable import Solvable
from egan_theory.papers.solvable.equilibria import locked_onset
from egan_theory.papers.solvable.figures import LOOK
from egan_theory.papers.solvable.limits import boundaries
from egan_theory.papers.solvable.phase import RATIO, agreement, solvable_phase
from egan_theory.papers.solvable.regimes import REGIMES
from egan_theory.show.style import BLACK

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


def study(seed: int, draws: int, side: int, n: int) -> xr.Dataset:
    """Counts of each draw over (features, method), and the diagrams of one feature."""
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
    return ds.assign_attrs(seed=seed, draws=draws, side=side, n=n, span=SPAN, regimes=list(REGIMES))


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


def figure(ds: xr.Dataset):
    """The first draw of one feature: predicted regime of every cell, and that of its runs, by ODE and by chain."""
    fig, axes = sheet(1, 2, 5.2, sharey=True)
    noise, ratio = ds["noise"].values[0], ds["ratio"].values
    single = Solvable.from_toml_string(str(ds["model"].values[0, 0]))
    used = np.unique(ds["ode_predicted"].values[0])
    pale = [LOOK[REGIMES[int(k)]][0] for k in used]
    for ax, method, title in zip(axes, ("ode", "chain"), ("ODE", f"exact chain, n = {ds.attrs['n']}"), strict=True):
        predicted, found = ds[f"{method}_predicted"].values[0], ds[f"{method}_regime"].values[0]
        wrong, decided = ds[f"{method}_wrong"].values[0], ds[f"{method}_decided"].values[0]
        ax.pcolormesh(noise, ratio, np.searchsorted(used, predicted), cmap=ListedColormap(pale), vmin=-0.5,
                      vmax=len(used) - 0.5, shading="nearest", alpha=0.35, lw=0)  # fmt: skip
        x, y = np.meshgrid(noise, ratio)
        first = found if found.ndim == 2 else found[..., 0]
        for k in np.unique(first):
            here = first == k
            colour, marker = LOOK[REGIMES[int(k)]]
            ax.plot(x[here], y[here], marker, ls="", ms=6, color=colour, mec="k", mew=0.6, label=REGIMES[int(k)])
        # what a run too short to tell shows is no mistake of the prediction
        bad = (wrong.astype(bool) if wrong.ndim == 2 else wrong.any(-1)) & decided.astype(bool)
        if bad.any():
            ax.plot(x[bad], y[bad], "x", color=BLACK, ms=11, mew=2, label="not as predicted")
        for (label, line), dash in zip(curves(single).items(), ("-", "--", ":", "-."), strict=True):
            ax.plot(*line, color=BLACK, ls=dash, lw=1.3, label=label)
        ax.set(xlabel="noise (1)", xlim=(0, noise[-1] * 1.04), ylim=(0, ratio[-1] * 1.04))
        ax.set_title(f"areas: predicted; markers: {title}\n{int(bad.sum())} of {int(decided.sum())} wrong", fontsize=10)
    axes[0].set_ylabel("generator's rate / discriminator's (ratio)")
    told = {k: h for ax in axes for h, k in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(told.values(), told.keys(), loc="outside upper center", ncols=4, frameon=False)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("solvable_phases", draws=2)
    parser.add_argument("--side", type=int, default=12)
    parser.add_argument("--n", type=int, default=5000)
    args = parser.parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws, args.side, args.n), figure)
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
