# %% [markdown]
# # Does packing see mode collapse? Bands of the total variation of m samples at once
# For a total variation t and a collapse (eps, delta): the range of TV(P^m, Q^m) over all pairs, over those with the
# collapse, and over those with neither it nor its reverse, computed over pairs with two to five outcomes; random pairs
# with up to 6 outcomes (seed and number of draws are arguments) must stay inside and come close to the edges.
# Run: python -m analyses.packing --seed 1 --draws 100000 --output out/packing

# %%
from __future__ import annotations

import numpy as np
import xarray as xr

from analyses.script import made, options, redraws, sheet
from egan_theory.papers.packing import band, band_with_collapse, band_without_collapse, curve, product_total_variation
from egan_theory.show.style import BLACK, BLUE, GREY, VERMILLION

#: (t, eps, delta) of the panels; the first is the paper's figure 3 setting in spirit: a tenth of the mass is missing
PANELS = ((0.11, 0.02, 0.1), (0.3, 0.05, 0.3), (0.5, 0.1, 0.5))
SIZES = (1, 2, 3, 4, 5, 6)
KINDS = ("all", "collapse", "no collapse")
LABELS = {"all": "all pairs", "collapse": "with collapse", "no collapse": "neither collapse nor its reverse"}
CONCENTRATIONS = (0.05, 0.2, 0.5, 1.0, 3.0)
#: rounding of sums over up to 462 type classes, and of the refined edges
ROUNDING = 1e-9


# %%
def random_pairs(rng: np.random.Generator, t: float, draws: int):
    """About ``draws`` pairs with TV = t exactly, 2 to 6 outcomes: Q moved along the line from P."""
    part = int(np.ceil(draws / (5 * len(CONCENTRATIONS))))
    for k in range(2, 7):
        for concentration in CONCENTRATIONS:
            found = 0
            while found < part:
                P, Q = (rng.dirichlet(np.full(k, concentration), part) for _ in range(2))
                total = np.abs(P - Q).sum(-1) / 2
                kept = total >= t
                P, share = P[kept], t / total[kept]
                Q = np.maximum(P + share[:, None] * (Q[kept] - P), 0)
                found += len(P)
                yield P, Q


def study(seed: int, draws: int) -> xr.Dataset:
    shape = (len(PANELS), len(KINDS), len(SIZES))
    low, high, least, most = (np.full(shape, np.nan) for _ in range(4))
    crossed, count = np.zeros(shape), np.zeros(shape[:2])
    for i, (t, eps, delta) in enumerate(PANELS):
        for k, m in enumerate(SIZES):
            edges = band(t, m), band_with_collapse(t, eps, delta, m), band_without_collapse(t, eps, delta, m)
            for j, edge in enumerate(edges):
                if edge is not None:
                    low[i, j, k], high[i, j, k] = edge.low, edge.high
        rng = np.random.default_rng([seed, i])
        for P, Q in random_pairs(rng, t, draws // len(PANELS) + 1):
            collapse = curve(P, Q, eps) >= delta
            none = (curve(P, Q, eps) <= delta) & (curve(Q, P, eps) <= delta)
            for k, m in enumerate(SIZES):
                tv = product_total_variation(P, Q, m)
                for j, chosen in enumerate((np.ones(len(P), bool), collapse, none)):
                    if not chosen.any():
                        continue
                    count[i, j] += chosen.sum() * (k == 0)
                    least[i, j, k] = np.nanmin([least[i, j, k], tv[chosen].min()])
                    most[i, j, k] = np.nanmax([most[i, j, k], tv[chosen].max()])
                    inside = (tv[chosen] >= low[i, j, k] - ROUNDING) & (tv[chosen] <= high[i, j, k] + ROUNDING)
                    crossed[i, j, k] += (~inside).sum()
        print(f"t = {t}, eps = {eps}, delta = {delta}:", flush=True)
        for j, kind in enumerate(KINDS):
            bands = ", ".join(f"m={m}: {a:.4f}-{b:.4f}" for m, a, b in zip(SIZES, low[i, j], high[i, j], strict=True))
            print(f"  {kind} ({int(count[i, j])} random pairs, {int(crossed[i, j].sum())} crossings, gap to the edges "
                  f"at most {np.nanmax(least[i, j] - low[i, j]):.3f} below, {np.nanmax(high[i, j] - most[i, j]):.3f} "
                  f"above): {bands}")  # fmt: skip
    dims = ("panel", "kind", "m")
    ds = xr.Dataset(
        {name: (dims, values, {"long_name": name, "units": "1"})
         for name, values in (("low", low), ("high", high), ("least", least), ("most", most), ("crossed", crossed))},
        coords={"kind": list(KINDS), "m": list(SIZES)},
    )  # fmt: skip
    ds["pairs"] = dims[:2], count
    ds["setting"] = ("panel", "number"), np.array(PANELS)
    return ds.assign_attrs(seed=seed, draws=draws)


def figure(ds: xr.Dataset):
    """Bands of the total variation of m samples, and the extremes of random pairs."""
    fig, axes = sheet(1, len(PANELS), 4.6, sharey=True)
    width = 0.24
    for i, ax in enumerate(axes):
        m = ds["m"].values
        for j, (kind, colour) in enumerate(zip(KINDS, (GREY, VERMILLION, BLUE), strict=True)):
            cell = ds.sel(kind=kind).isel(panel=i)
            at, low, high = m + (j - 1) * (width + 0.04), cell["low"].values, cell["high"].values
            ax.bar(at, np.maximum(high - low, 2e-3), width, low, color=colour, alpha=0.45, label=LABELS[kind])
            for edge, marker in (("least", "^"), ("most", "v")):
                ax.plot(at, cell[edge], marker, color=BLACK, ms=4, mfc=colour, mew=0.7,
                        label="extremes of random pairs" if (edge, j) == ("least", 0) else None)  # fmt: skip
        t, eps, delta = ds["setting"].values[i]
        ax.set(xlabel="samples judged at once (number)", ylim=(0, 1))
        ax.set_title(f"TV(P, Q) = {t:g}; collapse:\nP(S) ≥ {delta:g}, Q(S) ≤ {eps:g}", fontsize=9.5)
        ax.set_xticks(m)
        ax.grid(False, axis="x")
        if i == 0:
            ax.set_ylabel("total variation of m samples (1)")
            fig.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False,
                       title="bars: the range that theory allows", alignment="left")  # fmt: skip
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("packing", draws=100_000).parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws), figure)
    print(f"{int(ds['crossed'].sum())} crossings among {int(ds['pairs'].sel(kind='all').sum())} random pairs")
    return ds


# %%
if __name__ == "__main__":
    main()
