# %% [markdown]
# # Does the advised R1 strength converge fastest on networks it has not seen?
# Twelve experiments: {ring, grid, 8 x 8 images of digits} x {tanh, gelu} x {one, two hidden layers}, drawn with a seed.
# `eg.advise` sees the data, the initial network and, for its uncertainty, three other initialisations. The network and
# its particles are then simulated, nonlinear and all weights trained, at the strength advised for it and at 15 others,
# a factor 4 either side of a random centre. The advice passes when its own simulated rate is at least 90 % of the best
# simulated one. Beside it stands the same share for the advice from the three other networks alone.
#
# Rates: every mode's (displacement, force) pair is taken out of the runs by the singular vectors of the gradients, a
# 2 x 2 map is fitted to how it moves, and the slowest of all is the rate: the vectors are the theory's, the motion is
# the simulation's. The late slope of the displacement's norm knows no theory but needs some e-folds: of the digits'
# slow modes a run sees too few, and it says nothing.
# Run: python analyses/advise_r1.py --seed 1 --draws 12 --output out/advise_r1

# %%
from __future__ import annotations

import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr

import egan_theory as eg
from egan_theory.comparison.strength import late_rate
from egan_theory.networks.tangent import tangent_features
from egan_theory.outcome import Outcome

sys.path.insert(0, str(Path(__file__).parent))
from script import options, write

POINTS, SPAN, SHARE = 15, 4.0, 0.9
#: part of an eigenvalue's stability limit eta_D r1 beta_max < 2 that the theory's best strength uses
STIFFNESS = 0.4
#: other initialisations
SEEN = 3
E_FOLDS, MAX_STEPS = 8.0, 2000
#: the kick in units of length, and the part of it below which positions of order one are rounding
KICK, FLOOR = 1e-6, 1e-6
IMAGES = 6


# %%
def data_of(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Points (M, d) of order one."""
    if kind == "ring":
        return eg.Ring(modes=int(rng.integers(5, 8)), radius=float(rng.uniform(1.3, 1.8))).coordinates()
    if kind == "grid":
        return eg.Grid(side=3, spacing=float(rng.uniform(1.3, 1.6))).coordinates()
    from sklearn.datasets import load_digits

    images = load_digits().data / 16
    chosen = images[rng.choice(len(images), IMAGES, replace=False)]
    return chosen - images.mean(0)


def draw(seed: int, index: int) -> tuple[eg.Experiment, np.random.Generator, str]:
    """Experiment ``index`` of the 12: learning rates such that theory's best strength is well inside stability."""
    kind, activation, depth = list(product(("ring", "grid", "digits"), ("tanh", "gelu"), (1, 2)))[index % 12]
    rng = np.random.default_rng([seed, index])
    Y = data_of(kind, rng)
    digits = kind == "digits"
    # inputs of standard deviation about 1 to 2 at the first layer; gelu is flat on its scale, so it gets more of it
    variance = {"tanh": 1.0, "gelu": 4.0}[activation]
    exp = eg.Experiment(
        target={"kind": "points", "values": Y.tolist()},
        generator={"particles": len(Y), "kernel": {"ratio": 0.0}, "learning_rate": 1.0},
        discriminator={
            "architecture": {"width": 128 if digits else 64, "depth": depth, "activation": activation,
                             "weight_variance": variance, "bias_variance": 1.0},
            "length_scale": (0.3 if digits else 1.0) / np.sqrt(variance), "learning_rate": 1.0,
            "seed": int(rng.integers(1 << 30)),
        },
        update={"rule": "alternating"},
        run={"runs": 1 if digits else 2, "seed": int(rng.integers(1 << 30)), "kick": KICK},
    )  # fmt: skip
    rows = tangent_features(exp).seen_rows(Y)[0][len(Y) :]
    beta = np.linalg.svd(rows, compute_uv=False) ** 2 / len(Y)
    beta = beta[: np.linalg.matrix_rank(rows)]
    # eta_D r1* beta_max = sqrt(2 G / beta_min) beta_max = 2 STIFFNESS, G = eta_D eta_G (sum over particles)
    G = (2 * STIFFNESS / beta[0]) ** 2 * beta[-1] / 2
    eta = float(np.sqrt(G))
    exp = exp.replace({"discriminator.learning_rate": eta, "generator.learning_rate": eta})
    return exp, rng, f"{kind}, {activation}, depth {depth}"


# %%
def measured(exp: eg.Experiment, rows: np.ndarray, ds: xr.Dataset) -> tuple[float, float]:
    """(slowest rate of the modes, late slope of the displacement's norm) of one strength's runs, per step."""
    if np.any(ds["outcome"].values >= Outcome.ESCAPED):
        return np.nan, np.nan
    Y = exp.points.coordinates
    left, sigma, _ = np.linalg.svd(rows[len(Y) :], full_matrices=False)
    left = left[:, sigma > 1e-6 * sigma[0]]
    every = float(ds["time"].diff("time")[0])
    dx = (ds["particles"].values - Y).reshape(ds.sizes["run"], ds.sizes["time"], -1)
    slope, _ = late_rate(ds["time"].values, np.linalg.norm(dx, axis=-1))
    z = np.stack([dx @ left, ds["force"].values.reshape(dx.shape) @ left], axis=-1)  # (run, time, mode, 2)
    z = z / np.abs(z).max(axis=(0, 1))
    z = np.moveaxis(z, 2, 0)  # (mode, run, time, 2)
    before, after = z[:, :, :-1], z[:, :, 1:]
    size = np.linalg.norm(before, axis=-1)
    weight = np.where(size > FLOOR * 1e3 * size.max((1, 2), keepdims=True), 1 / np.maximum(size, 1e-300), 0.0)[
        ..., None
    ]
    A, b = ((weight * v).reshape(len(z), -1, 2) for v in (before, after))
    # the first vanishing columns never occur: every mode is kicked in displacement and answers in force
    maps = np.stack([np.linalg.lstsq(A[k], b[k], rcond=None)[0] for k in range(len(z))])
    return float(-np.log(np.abs(np.linalg.eigvals(maps)).max()) / every), slope


def examine(exp: eg.Experiment, rng: np.random.Generator) -> xr.Dataset:
    """Advice from fresh networks, and the sweep of the network itself: strengths[0] is the advised one."""
    M = len(exp.points.weights)
    advice = eg.advise_experiment(exp, batch_size=M, initialisations=1 + SEEN, variations=False)
    own = advice.draws[0]
    others = exp.replace({"discriminator.seed": exp.discriminator.seed + 1})
    blind = eg.advise_experiment(others, batch_size=M, initialisations=SEEN, variations=False).best
    centre = own.best * 2.0 ** rng.uniform(-1, 1)
    strengths = np.concatenate([[own.best, blind], centre * np.geomspace(1 / SPAN, SPAN, POINTS)])
    rate = own.rate
    steps = int(np.clip(E_FOLDS / rate, 200, 200 if exp.dimension > 3 else MAX_STEPS))
    base = exp.replace({"run.steps": steps, "run.record_every": max(steps // 250, 1)})
    variants = [base.replace({"penalty.r1": float(s)}) for s in strengths]
    runs = eg.simulate(variants[0], variants=variants)
    rows = tangent_features(exp).seen_rows(exp.points.coordinates)[0]
    R = base.run.runs
    found = [measured(v, rows, runs.isel(run=slice(k * R, (k + 1) * R))) for k, v in enumerate(variants)]
    rates, slopes = np.array(found).T
    beta = np.linalg.svd(rows[M:], compute_uv=False) ** 2 / M
    curve = np.geomspace(strengths.min() / 1.2, strengths.max() * 1.2, 60)
    from egan_theory.predict.asymptotic import rates_over

    if steps * rate < E_FOLDS / 2:
        slopes[:] = np.nan  # too few e-folds for a late slope
    best = np.nanmax(rates[2:])
    return xr.Dataset(
        {
            "strength": ("point", strengths, {"long_name": "R1 strength", "units": "1"}),
            "rate": ("point", rates, {"long_name": "simulated convergence rate", "units": "1/step"}),
            "rate_slope": ("point", slopes, {"long_name": "late slope of the displacement's norm", "units": "1/step"}),
            "curve": ("line", curve, {"long_name": "R1 strength", "units": "1"}),
            "predicted_rate": ("line", rates_over(exp, "r1", curve),
                               {"long_name": "predicted rate of the simulated network", "units": "1/step"}),
            "low": ((), advice.low), "high": ((), advice.high), "advised_rate": ((), rate),
            "share": ((), rates[0] / best), "share_blind": ((), rates[1] / best),
            "share_slope": ((), slopes[0] / np.nanmax(slopes[2:], initial=0.0)
                                                           if np.isfinite(slopes).any() else np.nan),
            "condition": ((), beta[0] / beta[-1]), "steps": ((), steps),
            "drift": ((), float(runs["kernel_drift"].max()) if "kernel_drift" in runs else np.nan),
        }
    )  # fmt: skip


def study(seed: int, draws: int) -> xr.Dataset:
    """One row per experiment."""
    parts, labels = [], []
    for i in range(draws):
        start = time.perf_counter()
        exp, rng, label = draw(seed, i)
        part = examine(exp, rng)
        parts.append(part)
        labels.append(label)
        low, high = float(part["low"]), float(part["high"])
        print(
            f"{label:24s} advised {float(part['strength'][0]):.4g} [{low:.3g}, {high:.3g}]"
            f" share {float(part['share']):.3f}"
            f" (others' {float(part['share_blind']):.3f})"
            f" (slope {float(part['share_slope']):.3f}) condition {float(part['condition']):.3g}"
            f" steps {int(part['steps'])} {time.perf_counter() - start:.0f} s",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    ds = xr.concat(parts, "draw", combine_attrs="drop")
    return ds.assign(label=("draw", np.array(labels))).assign_attrs(seed=seed, draws=draws, threshold=SHARE)


def figure(ds: xr.Dataset):
    """Every sweep: rate against strength, the predicted curve, and the advice with its band."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    columns = 4
    lines = -(-ds.sizes["draw"] // columns)
    fig = Figure(figsize=(3.4 * columns, 2.7 * lines), layout="constrained")
    axes = np.atleast_1d(fig.subplots(lines, columns, squeeze=False)).ravel()
    for i, ax in enumerate(axes):
        if i >= ds.sizes["draw"]:
            ax.set_visible(False)
            continue
        row = ds.isel(draw=i)
        x, y, advised = row["strength"].values, row["rate"].values, float(row["strength"][0])
        scale = np.nanmax(y)
        ax.axvspan(
            float(row["low"]), float(row["high"]), color="#009E73", alpha=0.2, lw=0, label="its spread over seeds"
        )
        ax.axvline(advised, color="#009E73", ls="--", label="advised strength")
        ax.plot(row["curve"], row["predicted_rate"] / scale, "-", color="#0072B2", label="predicted, this network")
        ax.plot(x[2:], y[2:] / scale, "o", color="#D55E00", ms=4, label="simulated")
        ax.plot(x[:1], y[:1] / scale, "D", color="#009E73", ms=7, label="simulated at the advice")
        ax.plot(x[1:2], y[1:2] / scale, "s", color="#E69F00", ms=5, label="at the advice from other networks")
        lost = x[~np.isfinite(y)]
        ax.plot(
            lost,
            np.full(len(lost), 0.03),
            "x",
            color="#D55E00",
            transform=ax.get_xaxis_transform(),
            label="escaped or diverged",
        )
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_ylim(-0.2, 1.2)
        ax.set_title(f"{row['label'].values}: share {float(row['share']):.3f}", fontsize=9)
    fig.supxlabel("R1 strength")
    fig.supylabel("convergence rate / best simulated rate")
    handles, names = axes[0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside upper center", ncols=7, fontsize=9)
    return fig


def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("advise_r1", draws=12).parse_args(argv)
    ds = study(args.seed, args.draws)
    write(args.output, ds, figure(ds))
    shares = ds["share"].values
    blind = ds["share_blind"].values
    passed, others = int((shares >= SHARE).sum()), int((blind >= SHARE).sum())
    print(f"{passed} of {args.draws} advised strengths reach {SHARE:.0%} of the best simulated rate; lowest share "
          f"{shares.min():.3f}, median {np.median(shares):.3f}. Advice from other initialisations alone: {others} of "
          f"{args.draws}, lowest {np.nan_to_num(blind).min():.3f}")  # fmt: skip
    return ds


# %%
if __name__ == "__main__":
    main()
