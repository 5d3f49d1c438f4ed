# %% [markdown]
# # How wide must a discriminator be for its infinitely wide theory to hold?
# Eight points on a ring and a discriminator network of one hidden layer, every weight trained, drawn anew for every
# width and seed. Eigenvalues fitted to simulations of the network are compared with two predictions: (i) of the tangent
# kernel of the infinitely wide network, (ii) of the tangent features of the very network at its start. The error of (i)
# is the fluctuation of a finite network's kernel and falls as width^-1/2; (ii) is exact near equilibrium at any width,
# and what is left of it is the size of the kick and the error of the fit.
# Run: python -m analyses.wide_discriminator --seed 1 --draws 4 --output out/wide_discriminator

# %%
from __future__ import annotations

import sys

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.script import above, made, options, redraws, sheet
from egan_theory.linear import eigenvalues, linearize
from egan_theory.show.style import BLUE, VERMILLION

WIDTHS = (256, 512, 1024, 2048, 4096)
ACTIVATIONS = ("tanh", "gelu")
#: the modes compared, slowest first
MODES = 5
STEPS, RECORD_EVERY, RUNS = 500, 5, 4


# %%
def experiment(width: int, activation: str, seed: int, depth: int = 1) -> eg.Experiment:
    """The ring of eight; width 0 is the infinitely wide network."""
    return eg.Experiment(
        target={"kind": "ring", "modes": 8},
        generator={"particles": 8, "learning_rate": 0.05, "kernel": {"ratio": 0.05}},
        discriminator={
            "architecture": {"width": width, "depth": depth, "activation": activation},
            "length_scale": 0.5,
            "learning_rate": 0.1,
            "seed": seed,
        },
        penalty={"r1": 1.0, "weight_decay": 0.02},
        run={"steps": STEPS, "record_every": RECORD_EVERY, "runs": RUNS, "seed": seed, "kick": 1e-4},
    )


def slow_modes(exp: eg.Experiment) -> np.ndarray:
    """Eigenvalues that move the particles, upper half plane, slowest first, repeated with their multiplicity."""
    values = eigenvalues(linearize(exp))
    chosen = values.coupled & values.resolved & (values.s.imag > 0)
    s = np.repeat(values.s[chosen], values.multiplicity[chosen])
    return s[np.argsort(-s.real, kind="stable")]


def examine(exp: eg.Experiment, infinite: np.ndarray) -> dict[str, float]:
    """Relative deviations of the fitted eigenvalues, rms over the modes: from the network's own prediction, and from
    the infinitely wide one's mode of the same rank."""
    own = slow_modes(exp)
    runs = eg.simulate(exp)
    table = {q.name: q for q in eg.compare(exp, runs, MODES).quantities}
    names = sorted({name.split(".")[0] for name in table if name.startswith("s")})
    predicted = np.array([table[f"{n}.re"].predicted + 1j * table[f"{n}.im"].predicted for n in names])
    measured = np.array([table[f"{n}.re"].measured + 1j * table[f"{n}.im"].measured for n in names])
    rank = np.abs(predicted[:, None] - own).argmin(1)
    return {
        "own": rms(measured / predicted - 1),
        "infinite": rms(measured / infinite[rank] - 1),
        "modes": len(names),
        "drift": float(runs["kernel_drift"].max()),
    }


def rms(values: np.ndarray) -> float:
    return float(np.sqrt((np.abs(values) ** 2).mean()))


def study(seed: int, draws: int, widths: tuple[int, ...], depth: int) -> xr.Dataset:
    """errors (prediction, activation, width, draw)."""
    shape = (len(ACTIVATIONS), len(widths), draws)
    out = {name: np.full(shape, np.nan) for name in ("own", "infinite", "modes", "drift")}
    for a, activation in enumerate(ACTIVATIONS):
        infinite = slow_modes(experiment(0, activation, 0, depth))
        for i, width in enumerate(widths):
            for draw in range(draws):
                found = examine(experiment(width, activation, 1000 * seed + draw, depth), infinite)
                for name, value in found.items():
                    out[name][a, i, draw] = value
            means = ", ".join(f"{name} {np.mean(out[name][a, i]):.2e}" for name in ("infinite", "own", "drift"))
            print(f"{activation} width {width}: {means}", file=sys.stderr, flush=True)
    names = {
        "own": "error of the prediction from the network's own gradients",
        "infinite": "error of the prediction from the infinitely wide network",
        "modes": "modes compared",
        "drift": "largest relative change of the tangent kernel in the runs",
    }
    dims = ("activation", "width", "draw")
    return xr.Dataset(
        {name: (dims, values, {"long_name": names[name], "units": "1"}) for name, values in out.items()},
        coords={"activation": list(ACTIVATIONS), "width": ("width", list(widths), {"units": "neurons"})},
        attrs={"seed": seed, "draws": draws, "depth": depth},
    )


def slope(widths: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """Exponent of error ~ width^slope by least squares on the logs of all (width, draw), and its standard error."""
    x, y = np.repeat(np.log(widths), errors.shape[1]), np.log(errors).ravel()
    x = x - x.mean()
    k = (x * y).sum() / (x * x).sum()
    scatter = y - y.mean() - k * x
    return float(k), float(np.sqrt((scatter**2).sum() / max(len(x) - 2, 1) / (x * x).sum()))


def figure(ds: xr.Dataset):
    """Errors of both predictions against width, one panel per activation."""
    fig, axes = sheet(1, ds.sizes["activation"], 4.6, sharey=True)
    widths = ds["width"].values.astype(float)
    for ax, activation in zip(axes, ds["activation"].values, strict=True):
        for name, label, marker, colour in (
            ("infinite", "the infinitely wide network", "o", VERMILLION), ("own", "its own gradients", "s", BLUE),
        ):  # fmt: skip
            errors = ds[name].sel(activation=activation).values
            mean, stderr = errors.mean(1), errors.std(1, ddof=min(1, errors.shape[1] - 1)) / np.sqrt(errors.shape[1])
            k, dk = slope(widths, errors)
            text = f"{label}: slope {k:.2f} ± {dk:.2f}" if name == "infinite" else label
            ax.errorbar(widths, mean, stderr, fmt=marker, color=colour, ms=6, capsize=3, label=text)
            if name == "infinite":
                line = np.exp(np.log(errors).mean() + k * (np.log(widths) - np.log(widths).mean()))
                ax.plot(widths, line, color=colour, lw=1)
        ax.set(xscale="log", yscale="log", xlabel="width of the discriminator (neurons)")
        ax.set_xticks(widths, [f"{int(w)}" for w in widths])
        ax.minorticks_off()
        above(ax, f"{activation}; predicted from")
    axes[0].set_ylabel("relative error of the eigenvalues")
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("wide_discriminator", draws=4)
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    parser.add_argument("--depth", type=int, default=1)
    args = parser.parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws, tuple(args.widths), args.depth), figure)
    for activation in ACTIVATIONS:
        for name in ("infinite", "own"):
            errors = ds[name].sel(activation=activation).values
            k, dk = slope(ds["width"].values.astype(float), errors)
            row = "  ".join(f"{w}: {e:.2e}" for w, e in zip(args.widths, errors.mean(1), strict=True))
            print(f"{activation:6s} {name:9s} {row}   slope {k:.2f} +- {dk:.2f}")
    return ds


# %%
if __name__ == "__main__":
    main()
