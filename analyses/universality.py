# %% [markdown]
# # Two numbers for a generator: do finite networks have the kernel that theory gives them?
# A wide generator's tangent kernel has one number g1 for x = y and one, g2, for every pair of independent latents
# (Durr, Mroueh, Tu, Wang, PRX 13, 041004). 1. g1 and g2 of nine activations against networks of finite width, with
# z-scores. 2. The scatter of the off-diagonal entries over latents falls as n_0^(-1/2). 3. The error of a finite
# network falls as width^(-1/2). 4. The ratio against depth, and its limits in the ordered and chaotic phases and on
# the edge. Run: python -m analyses.universality --seed 0 --draws 10 --output out/universality

# %%
from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.optimize import brentq

from analyses.script import above, made, options, redraws, sheet
from egan_theory.fits.scatter import few
from egan_theory.kernels.wide.depth import depth_limit
from egan_theory.kernels.wide.recursion import tangent_kernel
from egan_theory.kernels.wide.universality import (
    every_activation,
    kernel_numbers,
    latents,
    sampled_kernel,
    sampled_kernel_numbers,
)
from egan_theory.show.style import BLUE, GREY, VERMILLION
from egan_theory.tables.architecture import GeneratorArchitecture

BASE = GeneratorArchitecture(depth=2, weight_variance=1.5, bias_variance=0.1, latent_dimension=64)
SAMPLES = 8
#: latents of one draw in the scatter over latents
PAIRED = 48
DIMENSIONS = tuple(2**k for k in range(4, 15))
#: the slope is fitted from here on: the scatter's own corrections are O(1/n_0)
LARGE = 512
DEPTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7")


# %% [markdown]
# ## Theory against networks
# %%
def against_networks(seed: int, draws: int, width: int) -> xr.Dataset:
    """g1, g2 by theory and as means over ``draws`` networks with standard errors, one row per activation. Few networks
    know their scatter badly: t quantiles."""
    rows = []
    for i, (name, arch) in enumerate(every_activation(BASE).items()):
        theory = kernel_numbers(arch)
        seen = sampled_kernel_numbers(arch.model_copy(update={"width": width}), SAMPLES, draws, seed + i)
        g1_stderr, g2_stderr = (few(draws - 1) * error for error in (seen.g1_stderr, seen.g2_stderr))
        rows.append((name, theory.g1, seen.g1, g1_stderr, theory.g2, seen.g2, g2_stderr, theory.ratio))
    columns = list(zip(*rows, strict=True))
    names = ("g1", "g1_sampled", "g1_stderr", "g2", "g2_sampled", "g2_stderr", "ratio")
    ds = xr.Dataset(
        {n: ("activation", np.array(c), {"long_name": n.replace("_", " "), "units": "1"})
         for n, c in zip(names, columns[1:], strict=True)},
        {"activation": list(columns[0])},
    )  # fmt: skip
    for n in ("g1", "g2"):
        ds[f"{n}_z"] = (ds[f"{n}_sampled"] - ds[n]) / ds[f"{n}_stderr"]
        ds[f"{n}_z"].attrs = {"long_name": f"deviation of {n} in standard errors", "units": "1"}
    return ds


# %% [markdown]
# ## How the scatter falls
# %%
def slopes(x: tuple[int, ...], y: np.ndarray, lowest: int = 0) -> tuple[float, float]:
    """Mean over draws (rows of y) of the slope of log y in log x, x >= lowest, and its standard error."""
    kept = np.array(x) >= lowest
    fits = np.polyfit(np.log(np.array(x)[kept]), np.log(y[:, kept].T), 1)[0]
    return float(fits.mean()), float(fits.std(ddof=1) / np.sqrt(len(fits)))


def scatter_over_latents(seed: int, draws: int) -> np.ndarray:
    """(draws, dimensions): standard deviation of the entries of the infinitely wide kernel, in units of g1."""
    rng, out = np.random.default_rng([seed, 1]), np.empty((draws, len(DIMENSIONS)))
    off = np.triu_indices(PAIRED, 1)
    for i, n0 in enumerate(DIMENSIONS):
        arch = BASE.model_copy(update={"latent_dimension": n0, "activation": "gelu"})
        for j in range(draws):
            out[j, i] = tangent_kernel(arch, latents(n0, PAIRED, rng))[off].std() / kernel_numbers(arch).g1
    return out


def error_of_networks(seed: int, draws: int, widths: tuple[int, ...]) -> np.ndarray:
    """(draws, widths): rms difference of a network's kernel from the limit at the same latents, in units of g1."""
    out = np.empty((draws, len(widths)))
    for i, width in enumerate(widths):
        arch = BASE.model_copy(update={"width": width, "activation": "gelu"})
        for j in range(draws):
            rng = np.random.default_rng([seed, 2, i, j])
            Z = latents(arch.latent_dimension, SAMPLES, rng)
            difference = sampled_kernel(arch, Z, rng) - tangent_kernel(arch, Z)
            out[j, i] = np.sqrt((difference**2).mean()) / kernel_numbers(arch).g1
    return out


# %% [markdown]
# ## Depth
# %%
def deep_architectures() -> dict[str, GeneratorArchitecture]:
    erf = GeneratorArchitecture(activation="erf", bias_variance=0.05)

    def excess(weight_variance: float) -> float:
        slope = depth_limit(erf.model_copy(update={"weight_variance": weight_variance})).slope
        assert slope is not None
        return slope - 1

    edge = brentq(excess, 0.9, 3.0, xtol=1e-15)
    out = {}
    for label, sw in (("ordered", 0.8), ("edge", edge), ("chaotic", 2.0)):
        out[f"erf, {label}, $s_w^2$ = {sw:.3g}"] = erf.model_copy(update={"weight_variance": float(sw)})
    relu = GeneratorArchitecture(activation="relu", weight_variance=2.0, bias_variance=0.0)
    out["relu, edge, $s_w^2$ = 2, $s_b^2$ = 0"] = relu
    out["relu, $s_w^2$ = 2, $s_b^2$ = 0.5"] = relu.model_copy(update={"bias_variance": 0.5})
    return out


def ratios_with_depth() -> tuple[np.ndarray, np.ndarray]:
    """(architectures, depths) ratios, and their limits."""
    archs = list(deep_architectures().values())
    found = [[kernel_numbers(a.model_copy(update={"depth": d})).ratio for d in DEPTHS] for a in archs]
    return np.array(found), np.array([depth_limit(a).ratio for a in archs], dtype=float)


# %%
def study(seed: int, draws: int, width: int = 4096) -> xr.Dataset:
    """All four questions; ``draws`` networks per activation and per width."""
    ds = against_networks(seed, draws, width)
    widths = tuple(2**k for k in range(6, int(np.log2(width)) + 1))
    latent, finite = scatter_over_latents(seed, draws), error_of_networks(seed, draws, widths)
    ratios, limits = ratios_with_depth()
    unit = {"units": "g1"}
    new = {
        "latent_scatter": (("draw", "latent_dimension"), latent, unit | {"long_name": "scatter over latents"}),
        "network_error": (("draw", "width"), finite, unit | {"long_name": "rms error of a finite network"}),
        "deep_ratio": (("architecture", "depth"), ratios, {"units": "1", "long_name": "kernel ratio g2/g1"}),
        "deep_limit": ("architecture", limits, {"units": "1", "long_name": "limit of the ratio with depth"}),
    }
    coords = {"latent_dimension": list(DIMENSIONS), "width": list(widths), "depth": list(DEPTHS)}
    ds = ds.assign(new).assign_coords(coords | {"architecture": list(deep_architectures())})
    for name, x, y, lowest in (("latent", DIMENSIONS, latent, LARGE), ("width", widths, finite, 0)):
        ds.attrs[f"{name}_slope"], ds.attrs[f"{name}_slope_stderr"] = slopes(x, y, lowest)
    return ds.assign_attrs(seed=seed, draws=draws, network_width=width)


def figure(ds: xr.Dataset):
    """Both numbers of nine activations, the error against width, and the ratio against depth."""
    fig, ((numbers, latent), (finite, deep)) = sheet(2, 2, 7.6)
    x = np.arange(ds.sizes["activation"])
    for name, colour, marker, shift in (("g1", BLUE, "o", -0.12), ("g2", VERMILLION, "s", 0.12)):
        relative, error = ds[f"{name}_sampled"] / ds[name], ds[f"{name}_stderr"] / ds[name]
        numbers.errorbar(x + shift, relative, error, fmt=marker, ms=5, capsize=2, color=colour, label=name)
    numbers.axhline(1, color=GREY, lw=1)
    numbers.set_xticks(x, ds["activation"].values, rotation=35, ha="right", fontsize=9)
    numbers.set(ylabel="networks / theory (ratio)")
    above(numbers, f"Width {ds.attrs['network_width']}, {ds.attrs['draws']} networks (1 s.e.)", 2)
    for ax, name, key, label in (
        (latent, "latent_scatter", "latent", "latent dimension (number)"),
        (finite, "network_error", "width", "width (neurons)"),
    ):
        values = ds[name]
        along = values.dims[1]
        ax.errorbar(
            values[along], values.mean("draw"), values.std("draw", ddof=1) / np.sqrt(values.sizes["draw"]),
            fmt="o", ms=5, capsize=2, color=BLUE, label="mean over draws (1 s.e.)",
        )  # fmt: skip
        n = values[along].values.astype(float)
        if key == "latent":  # no free constant
            predicted = kernel_numbers(BASE.model_copy(update={"activation": "gelu"})).relative_spread
            line, text = predicted * np.sqrt(BASE.latent_dimension / n), "predicted"
        else:
            line, text = float(values.mean("draw")[-1]) * np.sqrt(n[-1] / n), "power −1/2 through the last"
        ax.plot(n, line, color=GREY, lw=1.2, label=text)
        slope, error = ds.attrs[f"{key}_slope"], ds.attrs[f"{key}_slope_stderr"]
        what = "scatter over latents / g1" if key == "latent" else "rms error / g1"
        ax.set(xscale="log", yscale="log", xlabel=label, ylabel=what)
        above(ax, f"slope {slope:.3f} ± {error:.3f}")
    for i, colour in enumerate(COLOURS):
        deep.plot(ds["depth"], ds["deep_ratio"][i], "o-", ms=3.5, color=colour, label=str(ds["architecture"].values[i]))
        deep.axhline(float(ds["deep_limit"][i]), color=colour, ls=":", lw=1.2)
    deep.set(xscale="log", xlabel="hidden layers (number)", ylabel="kernel ratio g2/g1", ylim=(-0.03, 1.03))
    above(deep, "dotted: limits 1, 1/3, 0, 1/4, 4/7", 2, fontsize=8)
    return fig


# %%
@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("universality", draws=10, seed=0, help_draws="networks per activation and per width")
    parser.add_argument("--width", type=int, default=4096, help="of the networks")
    args = parser.parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws, args.width), figure)
    for i, name in enumerate(ds["activation"].values):
        r = ds.isel(activation=i)
        print(f"{name:11s} g1 {float(r.g1):9.4f} sampled {float(r.g1_sampled):9.4f} z {float(r.g1_z):5.2f}   "
              f"g2 {float(r.g2):9.4f} sampled {float(r.g2_sampled):9.4f} z {float(r.g2_z):5.2f}   "
              f"ratio {float(r.ratio):.4f}")  # fmt: skip
    for key in ("latent", "width"):
        print(f"slope against {key}: {ds.attrs[f'{key}_slope']:.4f} +- {ds.attrs[f'{key}_slope_stderr']:.4f}")
    return ds


# %%
if __name__ == "__main__":
    main()
