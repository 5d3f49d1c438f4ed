# %% [markdown]
# # Does the advised R1 strength leave as little as the best one, on networks in training?
# Twelve experiments: {ring, grid, 8 x 8 images of digits} x {tanh, gelu} x {one, two hidden layers}, drawn with a seed,
# each with a length of training of its own. `eg.advise` sees the data and the initial network; a second advice sees
# three other initialisations alone. The network and its particles are then simulated, nonlinear and all weights
# trained, from small kicks in orthonormal directions, at both strengths, without R1 and at 13 others, a factor 16
# either side of a random centre. What is left of the kicks after that time is measured. The advice passes when it
# leaves at most 1.05 times the least of all strengths that it may name, those a factor 2 below the edge of stability.
# Run: python -m analyses.advise_r1 --seed 1 --draws 12 --output out/advise_r1

# %%
from __future__ import annotations

import sys
import time
from itertools import product

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.script import above, made, options, redraws, sheet
from egan_theory.features.networks.tangent import tangent_features
from egan_theory.predict.left import SAFETY, left_over
from egan_theory.show.style import BLUE, GREEN, GREY, ORANGE, VERMILLION, plain_ticks

POINTS, SPAN, ALLOWED = 13, 16.0, 1.05
#: part of an eigenvalue's stability limit eta_D r1 beta_max < 2 that the theory's best strength uses
STIFFNESS = 0.4
#: other initialisations
SEEN = 3
#: length of training in units of the slowest mode's time, drawn between these, and in steps (digits: at most few)
LENGTHS, MIN_STEPS, MAX_STEPS, FEW_STEPS = (0.3, 4.0), 50, 2000, 200
#: kicks per network; there are as many orthonormal ones as coordinates
DIRECTIONS = 12
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
        run={"seed": int(rng.integers(1 << 30))},
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
def examine(exp: eg.Experiment, rng: np.random.Generator) -> xr.Dataset:
    """Both advices, and the sweep of the network itself: strengths are the advised one, the others', 0 and a grid."""
    M = len(exp.points.weights)
    rate = eg.fastest_strength(exp, "r1").rate
    longest = FEW_STEPS if exp.dimension > 3 else MAX_STEPS
    steps = int(np.clip(np.exp(rng.uniform(*np.log(LENGTHS))) / rate, MIN_STEPS, longest))
    settings = {"batch_size": M, "variations": False, "horizon": steps}
    advice = eg.advise_experiment(exp, initialisations=1, **settings)
    others = exp.replace({"discriminator.seed": exp.discriminator.seed + 1})
    blind = eg.advise_experiment(others, initialisations=SEEN, **settings)
    centre = advice.choice.optimum * 2.0 ** rng.uniform(-1, 1)
    grid = centre * np.geomspace(1 / SPAN, SPAN, POINTS)
    strengths = np.concatenate([[advice.best, blind.best, 0.0], grid])
    swept = eg.sweep_left(exp, "r1", strengths, steps, directions=DIRECTIONS, seed=exp.run.seed)
    left = swept["moving"].values
    allowed = np.ones(len(left), dtype=bool) if advice.edge is None else strengths <= advice.edge / SAFETY
    least = float(np.nanmin(np.where(allowed, left, np.nan)[2:]))
    curve = np.geomspace(grid[0] / 1.2, grid[-1] * 1.2, 60)
    predicted = [left_over(exp.replace({"penalty.r1": float(s)}), steps).moving for s in curve]
    return xr.Dataset(
        {
            "strength": ("point", strengths, {"long_name": "R1 strength", "units": "1"}),
            "left": ("point", left, {"long_name": "simulated: left of the kicks", "units": "1"}),
            "curve": ("line", curve, {"long_name": "R1 strength", "units": "1"}),
            "predicted_left": ("line", predicted, {"long_name": "predicted: left of a kick", "units": "1"}),
            "low": ((), blind.low), "high": ((), blind.high), "least": ((), least),
            "edge": ((), np.nan if advice.edge is None else advice.edge),
            "asymptotic": ((), advice.asymptotic.best),
            "excess": ((), left[0] / least), "excess_blind": ((), left[1] / least),
            "excess_asymptotic": ((), left_over(exp.replace({"penalty.r1": advice.asymptotic.best}), steps).moving
                                  / left_over(exp.replace({"penalty.r1": advice.best}), steps).moving),
            "steps": ((), steps),
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
        print(
            f"{label:24s} {int(part['steps'])} steps: advised {float(part['strength'][0]):.4g}, left "
            f"{float(part['left'][0]):.3g}, {float(part['excess']):.3f} times the least (others' advice "
            f"{float(part['excess_blind']):.3f}; without R1 {float(part['left'][2] / part['least']):.3f}; the strength "
            f"without end, predicted, {float(part['excess_asymptotic']):.3g}) {time.perf_counter() - start:.0f} s",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    ds = xr.concat(parts, "draw", combine_attrs="drop")
    return ds.assign(label=("draw", np.array(labels))).assign_attrs(seed=seed, draws=draws, threshold=ALLOWED)


def figure(ds: xr.Dataset):
    """Left: what the advised strength leaves over the least, of all. Right: one sweep, that of median excess."""
    fig, (left, right) = sheet(1, 2, 4.8, width_ratios=(1.15, 1))
    y = np.arange(ds.sizes["draw"])[::-1]
    most, least = 10.0, 0.95 * min(1.0, float(np.nanmin([ds["excess"], ds["excess_blind"]])))
    without = (ds["left"][:, 2] / ds["least"]).values
    for values, marker, colour, label in (
        (without, "x", GREY, "without R1 (beyond the edge: more)"),
        (ds["excess_blind"].values, "s", ORANGE, "advice from other networks"),
        (ds["excess"].values, "D", GREEN, "advice"),
    ):
        left.plot(np.clip(values, None, most), y, marker, color=colour, ms=6, label=label)
    left.axvline(ALLOWED, color=VERMILLION, ls=":", label=f"{ALLOWED:g} times the least")
    left.set(xscale="log", xlabel="left of the kicks / least of all strengths (ratio)", xlim=(least, 1.1 * most))
    left.set_xticks([1, 2, 5, 10], ["1", "2", "5", "≥ 10"])
    left.minorticks_off()
    left.set_yticks(y, [str(name) for name in ds["label"].values], fontsize=9)
    above(left)
    row = ds.isel(draw=int(np.argsort(ds["excess"].values)[ds.sizes["draw"] // 2]))
    x, measured, predicted = row["strength"].values, row["left"].values, row["predicted_left"].values
    span = row["curve"].values[[0, -1]]
    right.plot(row["curve"], np.where(predicted < 2, predicted, np.nan), "-", color=BLUE, label="predicted")
    right.plot(x[3:], np.where(measured[3:] < 2, measured[3:], np.nan), "o", color=VERMILLION, ms=5, mfc="white",
               label="simulated")  # fmt: skip
    right.plot(np.clip(x[:1], *span), measured[:1], "D", color=GREEN, ms=8, label="simulated at the advice")
    right.axhline(measured[2], color=GREY, lw=1.2, ls="-.", label="simulated without R1")
    right.axvline(float(row["edge"]) / SAFETY, color=VERMILLION, ls=":", label=f"edge of stability / {SAFETY:g}")
    right.set(xscale="log", xlim=span, ylim=(0, min(1.3, 1.1 * np.nanmax(np.where(measured < 2, measured, np.nan)))))
    right.set(xlabel="R1 strength (length²)", ylabel=f"left of the kicks after {int(row['steps'])} steps (share)")
    plain_ticks(right, "x")
    above(right, f"{row['label'].values}, of median ratio")
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("advise_r1", draws=12).parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws), figure)
    excess, blind = ds["excess"].values, ds["excess_blind"].values
    passed, others = int((excess <= ALLOWED).sum()), int((blind <= ALLOWED).sum())
    print(f"{passed} of {ds.attrs['draws']} advised strengths leave at most {ALLOWED:g} times the least; largest "
          f"{excess.max():.3f}, median {np.median(excess):.3f}. Advice from other initialisations alone: {others} of "
          f"{ds.attrs['draws']}, largest {blind.max():.3f}")  # fmt: skip
    return ds


# %%
if __name__ == "__main__":
    main()
