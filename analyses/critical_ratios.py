# %% [markdown]
# # At which kernel ratio does the spread cloud lose stability?
# Random experiments (seed and number of draws are arguments) over losses, penalties, kernels, update rules and targets
# (ring, grid, random points; d = 1, 2, 3). The theory predicts the critical ratio phi = g2/g1 of collective
# instability; the simulated one is bisected: runs of the nonlinear model, kicked off equilibrium, are lengthened until
# the force on the particles has clearly grown or decayed, and between the first two ratios of different verdict others
# are tried until they are 4 % apart. The prediction passes when it is within 5 % of the simulated ratio and that ratio
# is itself bracketed to 5 %.
#
# How the draws are conditioned. A random experiment rarely has its threshold inside (0, 1), so the generator's learning
# rate is set to the value that the theory calls critical at a ratio drawn evenly from (0.03, 0.9); experiments without
# one, or whose threshold in the ratio then lies outside (0.01, 0.95), are drawn again. Nothing else of the prediction
# enters: the simulated search starts from the same ratios for all. The flow is left out: it never loses stability at
# D = D* (predict.collective). Kernels are random features of finite number: the exact kernel's dictionary outgrows
# memory when a run leaves the data. Discriminator rates and penalties are larger than the defaults, so that runs of
# MAX_STEPS steps decide.
#
# Also: the ring of 8 points (8 particles each, 256 Gaussian features, weight decay 0.05, eta_G = 0.01) at five
# discriminator rates from 0.01 to 1: one predicted critical ratio for all of them, and what becomes of runs of 3,000
# steps from random starts (egan_theory.runs.outcome). From starts narrower than the ring no modes are lost below the
# predicted ratio, and beyond it the cloud loses part of them, collapses or escapes; from a start as wide as the ring it
# spreads at once, and beyond the threshold circles about the equilibrium at a small amplitude: linear instability of
# the spread cloud is then no loss of modes.
# Run: python -m analyses.critical_ratios --seed 1 --draws 30 --output out/critical_ratios

# %%
from __future__ import annotations

import sys

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.draws import KERNELS, UPDATES, draw_players, draw_target
from analyses.script import above, made, options, redraws, sheet
from egan_theory.predict.collective import collective_instability, margin
from egan_theory.runs.outcome import FLAGS, Outcome
from egan_theory.show.style import BLUE, GREEN, GREY, OUTCOMES, PURPLE, VERMILLION
from egan_theory.tables.losses import LOSSES, single_losses

RATIO = "generator.kernel.ratio"
#: ratios simulated first, side by side; then INNER between the first two of different verdict
FIRST = (0.0, 0.02, 0.05, 0.1, 0.17, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95)
INNER, WIDTH, AGREE = 5, 0.04, 0.05
#: how often the first ratios are halved when all of them grow or all decay
HALVINGS = 2
START_STEPS, LONGER, MAX_STEPS, RECORDS, BLOCKS = 500, 4, 32_000, 160, 8
#: the kick, in length scales of the discriminator
KICK = 1e-7
#: a run has left equilibrium when it ends this many kicks away
FAR = 100.0
RULES = tuple(u for u in UPDATES if u["rule"] != "flow")


# %%
def draw(rng: np.random.Generator) -> tuple[eg.Experiment, float]:
    """An experiment whose predicted critical ratio lies in (0.01, 0.95), and that ratio."""
    while True:
        exp = _draw(rng)
        if exp is None:
            continue
        ratio = float(rng.uniform(0.03, 0.9))
        found = collective_instability(exp.replace({RATIO: ratio}), "generator.learning_rate", 1e-4, 1e3)
        if not found.values:
            continue
        exp = exp.replace({"generator.learning_rate": found.values[0], RATIO: 0.0})
        predicted = collective_instability(exp).values
        if predicted and 0.01 < predicted[0] < 0.95:
            return exp, predicted[0]


def _draw(rng: np.random.Generator) -> eg.Experiment | None:
    target, points = draw_target(rng)
    if target["kind"] == "uniform":
        return None
    kernel = str(rng.choice(KERNELS))
    length = float(rng.uniform(0.4, 1.0))
    loss = str(rng.choice(single_losses()))
    penalty: dict[str, float] = {}
    for key, chance, low, high in (
        ("r1", 0.5, 0.1, 2.0), ("r2", 0.25, 0.1, 2.0), ("weight_decay", 0.7, 0.05, 0.5), ("consensus", 0.15, 0.05, 0.5),
    ):  # fmt: skip
        if rng.random() < chance:
            penalty[key] = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if LOSSES[loss].needs_multiplier or rng.random() < 0.15:
        penalty["multiplier"], penalty["alpha"] = float(rng.uniform(0.1, 1.0)), float(rng.uniform(0, 0.5))
    dimension = len(target["means"][0]) if "means" in target else target.get("dimension", 2)
    if rng.random() < 0.1 and dimension < 3 and "consensus" not in penalty:  # the noise's nodes cost too much time
        penalty["instance_noise"] = 0.1 * length
    if not penalty:
        return None
    return eg.Experiment(
        target=target,
        **draw_players(rng, points, length, kernel),
        loss={"kind": loss},
        penalty=penalty,
        update=dict(rng.choice(np.array(RULES, dtype=object))),
        run={"runs": 1, "seed": int(rng.integers(1 << 30)), "start": "kick", "kick": KICK * length},
    )


# %%
def grows(exp: eg.Experiment, ratios: np.ndarray) -> np.ndarray:
    """+1 where kicked runs leave equilibrium, -1 where they return, 0 where MAX_STEPS steps do not tell.

    The force grad D at the particles is watched: a displacement that nothing restores (a zero mode) exerts none. Very
    soft modes keep a small force for ever: a run that has fallen and not risen in MAX_STEPS steps counts as returned.
    """
    verdict = np.zeros(len(ratios), dtype=int)
    steps = START_STEPS
    while np.any(verdict == 0) and steps <= MAX_STEPS:
        open_ = np.flatnonzero(verdict == 0)
        base = exp.replace({"run.steps": steps, "run.record_every": max(steps // RECORDS, 1)})
        variants = [base.replace({RATIO: float(ratios[i])}) for i in open_]
        runs = eg.simulate(variants[0], variants=variants)
        for row, i in enumerate(open_):
            moved = runs["particles"].values[row] - exp.points.coordinates[exp.assignment]
            force = runs["force"].values[row]
            verdict[i] = 1 if left(moved, exp.run.kick) else trend(force, last=LONGER * steps > MAX_STEPS)
        steps *= LONGER
    return verdict


def left(moved: np.ndarray, kick: float) -> bool:
    """Whether displacements (time, particle, component) are far beyond the kick at the end; NaN after a divergence."""
    late = moved[-len(moved) // 4 :]
    return not bool(np.sqrt(np.mean(late**2)) < FAR * kick)


def trend(force: np.ndarray, last: bool = False) -> int:
    """Whether a run's force (time, particle, component) grew (+1), decayed (-1) or neither for certain (0).

    Grown: e^2 above an earlier block and still rising. Decayed: e^3 below the start and still falling, no slower than
    before: a fall that levels off may end in a rise (``last``: there is no longer run to see that).
    """
    squares = (force[1:] ** 2).sum((-1, -2))
    size = np.log(np.sqrt([np.mean(part) for part in np.array_split(squares, BLOCKS)]) + np.finfo(float).tiny)
    late, before = size[-1] - size[-3], size[-3] - size[-5]
    if size[-1] - size.min() > 2 and late > -0.5:
        return 1
    if size[0] - size[-1] > 16:
        return -1  # seven decades, down to rounding
    if size[0] - size[-1] > 3 and (last or (before < -0.3 and late < 0.7 * before)):
        return -1
    return 0


def simulated_ratio(exp: eg.Experiment) -> tuple[float, float, float]:
    """(critical ratio, the ratios that bracket it) by bisection from simulations alone; NaN where nothing changes."""
    tried = np.array(FIRST)
    verdict = grows(exp, tried)
    for _ in range(HALVINGS):  # a window of stability may lie between the first ratios
        if np.isfinite(bracket(tried, verdict)[0]):
            break
        tried, verdict = _added(exp, tried, verdict, (tried[1:] + tried[:-1]) / 2)
    around = False
    while True:
        low, high = bracket(tried, verdict)
        if not (np.isfinite(low) and np.isfinite(high)):
            return float("nan"), low, high
        undecided = tried[(tried > low) & (tried < high)]
        if high - low <= WIDTH * (low + high) / 2 or (undecided.size and around):
            return (low + high) / 2, low, high
        if undecided.size:  # too close to critical to tell: once more on either side of them
            around = True
            new = np.concatenate([np.linspace(low, undecided[0], 4)[1:-1], np.linspace(undecided[-1], high, 4)[1:-1]])
        else:
            new = np.linspace(low, high, INNER + 2)[1:-1]
        tried, verdict = _added(exp, tried, verdict, new)


def _added(
    exp: eg.Experiment, tried: np.ndarray, verdict: np.ndarray, new: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ratios tried with new ones simulated and sorted in."""
    tried, verdict = np.concatenate([tried, new]), np.concatenate([verdict, grows(exp, new)])
    order = np.argsort(tried)
    return tried[order], verdict[order]


def bracket(ratios: np.ndarray, verdict: np.ndarray) -> tuple[float, float]:
    """The first change of verdict from low ratios to high ones, undecided ratios passed over; NaN without one."""
    decided = np.flatnonzero(verdict)
    change = np.flatnonzero(np.diff(verdict[decided]))
    if not change.size:
        return float("nan"), float("nan")
    return float(ratios[decided[change[0]]]), float(ratios[decided[change[0] + 1]])


# %%
def study(seed: int, draws: int) -> xr.Dataset:
    """One row per experiment."""
    rows, texts, rules, labels = [], [], [], []
    for i in range(draws):
        exp, predicted = draw(np.random.default_rng([seed, i]))
        simulated, low, high = simulated_ratio(exp)
        error = abs(predicted / simulated - 1)
        agrees = error <= AGREE and (high - low) / 2 <= AGREE * simulated
        mode = collective_instability(exp).mode
        translation = float("nan") if mode is None else mode["translation"]
        rows.append((predicted, simulated, low, high, translation, agrees))
        texts.append(exp.to_toml())
        rules.append(exp.update.rule)
        k = exp.penalty
        labels.append(
            f"{exp.target.kind} d={exp.dimension} {exp.discriminator.kernel} {exp.loss.kind} {exp.update.rule} "
            + " ".join(f"{n}={v:.2g}" for n, v in k.model_dump().items() if v)
        )
        print(
            f"{i:3d} {'ok' if agrees else 'NO'} predicted {predicted:.4f} simulated {simulated:.4f} "
            f"[{low:.4f}, {high:.4f}] translation {translation:.2f} {labels[-1]}",
            file=sys.stderr,
            flush=True,
        )
    columns = np.array(rows, dtype=float).T
    names = (
        ("predicted", "predicted critical ratio"),
        ("simulated", "simulated critical ratio"),
        ("below", "nearest ratio simulated below it, of one verdict"),
        ("above", "nearest ratio simulated above it, of the other"),
        ("translation", "overlap of the unstable mode with a translation"),
        ("agrees", "prediction within 5 % of the simulated ratio, which is known to 5 %"),
    )
    return xr.Dataset(
        {
            n: ("draw", column, {"long_name": long, "units": "1"})
            for (n, long), column in zip(names, columns, strict=True)
        }
        | {
            "experiment": ("draw", np.array(texts, dtype=str)),
            "rule": ("draw", np.array(rules, dtype=str)),
            "label": ("draw", np.array(labels, dtype=str)),
        },
        attrs={"seed": seed, "draws": draws, "agree": AGREE, "width": WIDTH},
    )


# %%
RING_RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
RING_RATIOS = (0.0, 0.05, 0.1, 0.2, 0.3)
#: random starts: rms distance of the particles from the centre per coordinate; 0.71 is the ring's own
RING_STARTS = (0.4, 0.71)
#: where the axes of the figure begin
SMALLEST = 0.02


def ring(learning_rate: float, seed: int, ratio: float = 0.0, spread: float = 0.4) -> eg.Experiment:
    """Eight points on a circle of radius 1, eight particles each, weight decay alone."""
    return eg.Experiment(
        target={"kind": "ring", "modes": 8, "radius": 1.0},
        generator={"particles": 64, "learning_rate": 0.01, "kernel": {"ratio": ratio}},
        discriminator={"kernel": "gaussian", "length_scale": 0.5, "features": 256, "learning_rate": learning_rate},
        penalty={"weight_decay": 0.05},
        run={"steps": 3000, "record_every": 50, "runs": 1, "start": "random", "spread": spread, "seed": seed},
    )


def ring_example(seed: int, rates=RING_RATES, ratios=RING_RATIOS, starts=RING_STARTS) -> xr.Dataset:
    """Predicted critical ratio, and outcomes of 3,000 simulated steps over start, learning rate and ratio."""
    predicted = [collective_instability(ring(r, seed)).value for r in rates]
    radius = [[1 + margin(ring(r, seed, p)) for p in ratios] for r in rates]
    ends = np.array([_ends(seed, rates, ratios, spread) for spread in starts])
    return xr.Dataset(
        {
            "ring_predicted": ("eta_D", np.array(predicted, dtype=float),
                               {"long_name": "predicted critical ratio", "units": "1"}),
            "ring_radius": (("eta_D", "phi"), np.array(radius), {"long_name": "spectral radius", "units": "1"}),
            "ring_outcome": (("start", "eta_D", "phi"), ends,
                             {"long_name": "outcome of the run", "units": "1", **FLAGS}),
        },
        coords={
            "start": ("start", list(starts), {"long_name": "rms coordinate of the random start", "units": "length"}),
            "eta_D": ("eta_D", list(rates), {"long_name": "learning rate of the discriminator", "units": "1"}),
            "phi": ("phi", list(ratios), {"long_name": "kernel ratio", "units": "1"}),
        },
    )  # fmt: skip


def _ends(seed: int, rates, ratios, spread: float) -> np.ndarray:
    """(rate, ratio) outcomes; all side by side, from one start."""
    base = ring(rates[0], seed, spread=spread)
    cells = [{"discriminator.learning_rate": float(r), RATIO: float(p)} for r in rates for p in ratios]
    runs = eg.simulate(base, variants=[base.replace(cell) for cell in cells])
    return runs["outcome"].values.reshape(len(rates), len(ratios))


# %%
def figure(ds: xr.Dataset):
    """Predicted against simulated critical ratio, and what becomes of the ring."""
    fig, (left, right) = sheet(1, 2, 5.0)
    line = np.array([SMALLEST, 1.0])
    left.fill_between(line, line * (1 - AGREE), line * (1 + AGREE), color="0.85", label="within 5 %")
    left.plot(line, line, color=GREY, lw=1)
    for colour, rule in zip((BLUE, VERMILLION, GREEN, PURPLE), sorted({u["rule"] for u in RULES}), strict=True):
        own = ds.isel(draw=np.flatnonzero((ds["rule"].values == rule) & (ds["agrees"].values == 1)))
        x = own["simulated"].values
        widths = np.abs(np.stack([x - own["below"], own["above"] - x]))
        left.errorbar(x, own["predicted"], xerr=widths, fmt="o", ms=5, color=colour, label=rule)
    failed = ds.isel(draw=np.flatnonzero(ds["agrees"].values == 0))
    if failed.sizes["draw"]:
        x = failed["simulated"].fillna(SMALLEST)
        widths = np.abs(np.stack([x - failed["below"].fillna(SMALLEST), failed["above"].fillna(SMALLEST) - x]))
        left.errorbar(x, failed["predicted"], xerr=widths, fmt="kx", ms=8, clip_on=False,
                      label="not shown to agree (left edge: none found)")  # fmt: skip
    left.set(xlabel="simulated critical ratio g2/g1", ylabel="predicted critical ratio g2/g1")
    left.set(xscale="log", yscale="log", xlim=(SMALLEST, 1), ylim=(SMALLEST, 1), aspect="equal")
    above(left, f"{int(ds['agrees'].sum())} of {ds.sizes['draw']} random experiments within 5 %", 2)
    x, y = np.meshgrid(ds["phi"].values, ds["eta_D"].values)
    start = ds["start"].values[0]
    ends = ds["ring_outcome"].sel(start=start).values
    for outcome, (colour, marker) in OUTCOMES.items():
        if (here := ends == outcome).any():
            right.plot(x[here], y[here], marker, ls="", color=colour, mec="k", ms=10, label=outcome.word)
    right.plot(ds["ring_predicted"], ds["eta_D"], color=VERMILLION, lw=2, label="predicted critical ratio")
    right.set_yscale("log")
    right.set(xlabel="kernel ratio g2/g1", ylabel="learning rate of the discriminator (1)")
    above(right, f"Ring of 8, starts of rms {start:g}, after 3,000 steps", 2)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("critical_ratios", draws=30).parse_args(argv)
    ds = made(
        args, lambda: study(args.seed, args.draws).merge(ring_example(args.seed), combine_attrs="override"), figure
    )
    error = np.abs(ds["predicted"] / ds["simulated"] - 1)
    print(f"{int(ds['agrees'].sum())} of {len(error)} predicted critical ratios within 5 % of the simulated one; "
          f"median difference {float(error.median()):.2%}")  # fmt: skip
    print("ring: predicted critical ratio", np.round(ds["ring_predicted"].values, 4), "for eta_D", RING_RATES)
    for start, ends in zip(ds["start"].values, ds["ring_outcome"].values, strict=True):
        print(f"outcomes from a start of rms {start:g}, one row per eta_D, phi = {RING_RATIOS}:")
        print("\n".join(", ".join(Outcome(code).word for code in row) for row in ends))
    return ds


# %%
if __name__ == "__main__":
    main()
