# %% [markdown]
# # What does the smallest eigenvalue of the data's own Laplacian say about the best R1 strength?
# First the estimate: the Poincare constant 1/xi_1 of N(0, s^2 I) from 2,000 samples over many seeds (median,
# quantiles, and whether the reported standard error covers), of a uniform interval, and of mixtures of two Gaussians
# against a grid solve.
# The sampling error of a variance alone is sqrt(2/2000) = 3.2 %.
# Then the use: the R1 strength that xi_1 implies beside eg.best_regularizer on the same points, for discriminators that
# are orthonormal on the data (linear, scaled) and for Gaussian kernels, which are not.
# Run: python analyses/poincare_strength.py --seed 1 --draws 20 --output out/poincare_strength

# %%
from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from scipy.linalg import eigh_tridiagonal

import egan_theory as eg
from egan_theory.models.poincare import graph_laplacian, implied_r1, poincare
from egan_theory.reporting.style import BLACK, BLUE, GREY, ORANGE, styled

SAMPLES, POINTS = 2000, 80
STD = 1.7
#: bandwidth of the graph Laplacian, in variances
BANDWIDTH = 0.05
LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)


# %%
def mixture_xi(separation: float) -> float:
    """xi_1 of 1/2 N(-a, 1) + 1/2 N(a, 1): finite volumes on a fine grid."""
    x = np.linspace(-separation - 9, separation + 9, 8001)
    h = x[1] - x[0]
    density = lambda x: np.exp(np.logaddexp(-((x - separation) ** 2) / 2, -((x + separation) ** 2) / 2))  # noqa: E731
    p, between = density(x), density((x[1:] + x[:-1]) / 2)
    diagonal = (np.r_[between, 0] + np.r_[0, between]) / p / h**2
    off = -between / np.sqrt(p[1:] * p[:-1]) / h**2
    return float(eigh_tridiagonal(diagonal, off, select="i", select_range=(1, 1), eigvals_only=True)[0])


CASES = {
    "Gaussian, d = 1": (1 / STD**2, lambda rng: STD * rng.standard_normal((SAMPLES, 1))),
    "Gaussian, d = 2": (1 / STD**2, lambda rng: STD * rng.standard_normal((SAMPLES, 2))),
    "uniform interval": ((np.pi / 3) ** 2, lambda rng: rng.uniform(0, 3, (SAMPLES, 1))),
    "two Gaussians ±1.5": (None, lambda rng: _mixture(rng, 1.5)),
    "two Gaussians ±2": (None, lambda rng: _mixture(rng, 2.0)),
}


def _mixture(rng: np.random.Generator, a: float) -> np.ndarray:
    return rng.choice([-a, a], (SAMPLES, 1)) + rng.standard_normal((SAMPLES, 1))


def estimates(seed: int, draws: int) -> xr.Dataset:
    columns = ("ratio", "relative_stderr", "in_sample_ratio", "graph_ratio", "converged")
    rows = np.full((len(CASES), draws, len(columns)), np.nan)
    for i, (name, (xi, sample)) in enumerate(CASES.items()):
        exact = xi if xi is not None else mixture_xi(float(name.split("±")[1]))
        for k in range(draws):
            X = sample(np.random.default_rng([seed, i, k]))
            found = poincare(X)
            graph = graph_laplacian(X, BANDWIDTH * float(X.var())) if k < 3 else np.nan  # a large matrix each
            rows[i, k] = (
                exact / found.xi,
                found.stderr / found.xi,
                exact / found.lower,
                exact / graph,
                found.converged,
            )
        r = rows[i, :, 0]
        low, median, high = np.quantile(r, [0.1, 0.5, 0.9])
        z = (r - 1) / rows[i, :, 1]
        print(f"{name}: 1/xi_1 over exact: median {median:.4f}, 10-90 % {low:.3f}-{high:.3f}; in sample "
              f"{np.median(rows[i, :, 2]):.4f}; graph {np.nanmean(rows[i, :, 3]):.3f}; "
              f"within 2 standard errors {int(np.sum(np.abs(z) < 2))} of {draws}; "
              f"called converged {int(rows[i, :, 4].sum())}", flush=True)  # fmt: skip
    ds = xr.Dataset({c: (("case", "draw"), rows[:, :, j], {"units": "1"}) for j, c in enumerate(columns)})
    return ds.assign_coords(case=list(CASES))


def experiment(path: Path, kernel: str, **discriminator: float) -> eg.Experiment:
    return eg.Experiment(
        target={"kind": "points", "path": str(path)},
        generator={"particles": POINTS, "learning_rate": 0.1, "kernel": {"ratio": 0.0}},
        discriminator={"kernel": kernel, "features": 0, "learning_rate": 0.5, **discriminator},
        penalty={"r1": 0.1},
        update={"rule": "flow"},
    )


def strengths(seed: int, draws: int) -> xr.Dataset:
    """Finite-sample best R1 strength over the implied one, for each discriminator and draw of POINTS points, d = 1."""
    names = ["linear, scaled", *(f"Gaussian, l = {length:g} s" for length in LENGTHS)]
    ratio, rate = (np.full((len(names), draws), np.nan) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        for k in range(draws):
            X = STD * np.random.default_rng([seed, 9, k]).standard_normal((POINTS, 1))
            path = Path(folder) / f"{k}.npy"
            np.save(path, X)
            xi = poincare(X).xi
            for j in range(len(names)):
                extra = {"variance": xi} if j == 0 else {"length_scale": LENGTHS[j - 1] * STD}
                exp = experiment(path, "linear" if j == 0 else "gaussian", **extra)
                best, implied = eg.best_regularizer(exp, penalty="r1"), implied_r1(xi, exp)
                ratio[j, k] = best.best / (implied.single if j == 0 else implied.broad)
                rate[j, k] = best.rate / (implied.rate_single if j == 0 else implied.rate_broad)
    for name, r, v in zip(names, ratio, rate, strict=True):
        print(f"{name}: finite-sample best over implied strength: median {np.median(r):.4g} "
              f"({r.min():.3g}-{r.max():.3g}); rate over implied {np.median(v):.3g}", flush=True)  # fmt: skip
    return xr.Dataset(
        {
            "strength_ratio": (("discriminator", "points_draw"), ratio),
            "rate_ratio": (("discriminator", "points_draw"), rate),
        },
        coords={"discriminator": names},
    )


@styled
def figure(ds: xr.Dataset):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(13, 5), layout="constrained")
    left, right = fig.subplots(1, 2)
    for i, name in enumerate(ds["case"].values):
        cell = ds.sel(case=name)
        for column, shift, colour, label in (
            ("ratio", -0.15, BLUE, "held-out quotient (the estimate)"),
            ("in_sample_ratio", 0.05, ORANGE, "quotient on the fitted samples"),
            ("graph_ratio", 0.25, GREY, "graph Laplacian"),
        ):
            y = cell[column].values
            left.plot(
                np.full(len(y), i + shift), y, "o", ms=3.5, alpha=0.5, color=colour, label=label if i == 0 else None
            )
            left.plot(i + shift + np.array([-0.07, 0.07]), [np.nanmedian(y)] * 2, color=BLACK, lw=2)
    left.axhspan(0.97, 1.03, color=GREY, alpha=0.2, lw=0)
    left.axhline(1, color=GREY, lw=1)
    left.set_xticks(
        range(ds.sizes["case"]), [str(n).replace(", ", "\n").replace(" ±", "\n±") for n in ds["case"].values]
    )
    left.set(ylabel="estimated / exact Poincaré constant", title=f"{SAMPLES} samples; bars: medians; band: 3 %")
    left.legend(fontsize=9, loc="lower left")
    for i, name in enumerate(ds["discriminator"].values):
        y = ds["strength_ratio"].sel(discriminator=name).values
        right.plot(np.full(len(y), i), y, "o", ms=4, alpha=0.6, color=BLUE)
    right.axhline(1, color=GREY, lw=1)
    right.set(yscale="log", ylabel="best R1 on the points / R1 implied by ξ₁", title=f"{POINTS} Gaussian points, d = 1")
    right.set_xticks(range(ds.sizes["discriminator"]), [str(n).replace(", ", "\n") for n in ds["discriminator"].values])
    return fig


def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("out/poincare_strength"))
    args = parser.parse_args(argv)
    matplotlib.use("Agg")
    ds = estimates(args.seed, args.draws)
    ds = ds.merge(strengths(args.seed, max(2, args.draws // 4))).assign_attrs(seed=args.seed, draws=args.draws)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    eg.save(ds, args.output.with_suffix(".nc"))
    figure(ds).savefig(args.output.with_suffix(".png"), dpi=110)
    return ds


# %%
if __name__ == "__main__":
    main()
