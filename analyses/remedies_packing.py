# %% [markdown]
# # Does judging m samples at once help, beyond rescaling the discriminator?
# 1. Random packed experiments: the slowest rate of small kicks, predicted (linear.packed) and simulated.
# 2. On a periodic box packing multiplies K_k by m kappa0^(m-1) to first order, kappa0 = |E_p psi|^2. The packed model
#    is simulated beside the unpacked one with its kernel multiplied by just that, from the same displacements: their
#    difference is what packing itself does, from kicks of 10^-4 spacings to a cloud collapsed onto half of the box.
# 3. A cloud concentrated at the centre of a ring. With D at D* the discriminator of a fresh start grows as W = eta_D t
#    (u_p^m - u_q^m), and small differences between particles as exp(G t^2/2), G = eta_D eta_G omega/N (g1 - g2) L_m:
#        L_m = m [(u_p.u_q)^(m-1) E_p d^2 K(x, y)/dx^2 - (u_q.u_q)^(m-1) d^2 K(x, x')/dx^2]
#    Against the rescaled kernel the repulsion within the cloud is (|u_q|^2/kappa0)^(m-1) times as strong: packing sees
#    the concentration. Measured is the time in which the cloud's width grows a hundredfold.
# 4. Random starts on a ring, narrow and wide, weak and strong collective kernel: modes covered at the end, packed
#    against rescaled, the same starts and features.
# Run: python -m analyses.remedies_packing --seed 0 --draws 8 --output out/remedies_packing

# %%
from __future__ import annotations

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.script import above, made, merged, options, part_of, redraws, sheet
from egan_theory.comparison.compare import slowest_measured
from egan_theory.linear import eigenvalues, linearize
from egan_theory.predict.asymptotic import convergence_rate
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.runs.outcome import Outcome

SIDE, LENGTH, DEGREES = 5, 3.0, (2, 3)
AMPLITUDES = np.geomspace(1e-4, 1.0, 13)
#: e-folds of the slowest predicted mode that are simulated, Runge-Kutta steps per fastest time
E_FOLDS, FINE = 4.0, 60
#: difference of the time averages from which packing is said to matter
MATTERS = 0.01
#: the first-order prediction is held when the simulated rate is within this part of it
WITHIN, KICKED = 0.02, 12.0
#: growth of the concentrated cloud's width that is timed, from this part of the length scale
GROWTH, NARROW = 100.0, 1e-3
#: widths of the random starts and kernel ratios of the coverage study
SPREADS, RATIOS, RUNS = (0.1, 0.5), (0.05, 0.4), 12
COLOURS, MARKERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), ("o", "^", "s", "D")


def kappa0(exp: eg.Experiment) -> float:
    """|E_p psi|^2 of single samples."""
    field = Field(Problem(exp.replace({"packing.degree": 1})))
    u = field.at_Y.adjoint(field.p, None)
    return float(u @ u)


def rescaled(exp: eg.Experiment, m: int) -> eg.Experiment:
    """The unpacked experiment whose kernel is m kappa0^(m-1) times as strong."""
    variance = exp.discriminator.variance * m * kappa0(exp) ** (m - 1)
    return exp.replace({"packing.degree": 1, "discriminator.variance": variance})


# %% 1. first order
def draw(rng: np.random.Generator) -> eg.Experiment:
    """A packed experiment on few points, whose slowest mode decays."""
    while True:
        points, d = int(rng.integers(2, 5)), int(rng.integers(1, 3))
        kind = str(rng.choice(["ring", "mixture", "uniform"]))
        target = {
            "ring": {"kind": "ring", "modes": points, "radius": float(rng.uniform(0.7, 1.3))},
            "mixture": {
                "kind": "mixture", "means": rng.standard_normal((2, d)).tolist(), "std": 0.4, "samples": points,
                "seed": int(rng.integers(1 << 30)),
            },
            "uniform": {"kind": "uniform", "side": 5, "length": float(rng.uniform(2, 4)), "dimension": 1},
        }[kind]  # fmt: skip
        penalty = {"r1": float(rng.choice([0.0, rng.uniform(0.1, 0.5)])), "weight_decay": float(rng.uniform(0.1, 0.4))}
        exp = eg.Experiment(
            target=target,
            generator={
                "particles": 5 if kind == "uniform" else points * int(rng.integers(1, 3)),
                "learning_rate": float(rng.uniform(0.01, 0.05)), "kernel": {"ratio": float(rng.uniform(0, 0.3))},
            },
            discriminator={
                "features": 0 if kind == "uniform" else 2 * int(rng.integers(2, 6)),
                "length_scale": float(rng.uniform(0.5, 1.0)), "learning_rate": float(rng.uniform(0.1, 0.3)),
                "seed": int(rng.integers(1 << 30)),
            },
            loss={"kind": str(rng.choice(["wasserstein", "logistic", "least_squares"]))}, penalty=penalty,
            update={"rule": str(rng.choice(["simultaneous", "alternating", "extragradient"]))},
            packing={"degree": int(rng.integers(2, 4)), "kernel": str(rng.choice(["product", "additive"]))},
            run={"runs": 4, "kick": 1e-7, "seed": int(rng.integers(1 << 30))},
        )  # fmt: skip
        if KICKED / 20_000 < convergence_rate(exp) < 0.1:
            return exp


def first_order(seed: int, draws: int) -> xr.Dataset:
    """Predicted and simulated slowest rates of random packed experiments, one row each."""
    rows = []
    for i in range(draws):
        exp = draw(np.random.default_rng([seed, i]))
        predicted = convergence_rate(exp)
        steps = max(int(KICKED / predicted), 200)
        exp = exp.replace({"run.steps": steps, "run.record_every": max(steps // 200, 1)})
        measured, stderr = slowest_measured(exp, eg.simulate(exp))
        label = f"{exp.packing.kernel} m = {exp.packing.degree}, {exp.target.kind}, {exp.loss.kind}"
        print(f"{i:3d} predicted {predicted:.5g} simulated {measured:.5g} +- {stderr:.1g} ({label})", flush=True)
        rows.append((predicted, measured, stderr, label))
    predicted, measured, stderr, labels = zip(*rows, strict=True)
    return xr.Dataset(
        {
            "predicted": ("draw", list(predicted), {"long_name": "predicted slowest rate", "units": "1/step"}),
            "simulated": ("draw", list(measured), {"long_name": "simulated slowest rate", "units": "1/step"}),
            "stderr": ("draw", list(stderr), {"long_name": "its standard error", "units": "1/step"}),
            "label": ("draw", list(labels)),
        }
    )


# %% 2. amplitudes on the periodic box
def box() -> eg.Experiment:
    return eg.Experiment(
        target={"kind": "uniform", "side": SIDE, "length": LENGTH, "dimension": 1},
        generator={"particles": SIDE, "learning_rate": 0.05, "kernel": {"ratio": 0.0}},
        discriminator={"length_scale": 0.5, "features": 0, "learning_rate": 0.5},
        penalty={"r1": 0.0, "weight_decay": 0.4}, update={"rule": "flow"},
    )  # fmt: skip


def follow(field: Field, measure, x: np.ndarray, h: float, steps: int) -> np.ndarray:
    """(step, run) of ``measure(x)`` along Runge-Kutta steps from W = 0."""
    Vw, Vx = field.Vw, field.Vx
    W = np.zeros((len(x), field.features.size))
    out = [measure(x)]
    for _ in range(steps):
        a, b = Vw(W, x), Vx(W, x)
        c, d = Vw(W + h / 2 * a, x + h / 2 * b), Vx(W + h / 2 * a, x + h / 2 * b)
        e, f = Vw(W + h / 2 * c, x + h / 2 * d), Vx(W + h / 2 * c, x + h / 2 * d)
        g, i = Vw(W + h * e, x + h * f), Vx(W + h * e, x + h * f)
        W, x = W + h / 6 * (a + 2 * c + 2 * e + g), x + h / 6 * (b + 2 * d + 2 * f + i)
        out.append(measure(x))
    return np.array(out)


def study(seed: int, draws: int) -> xr.Dataset:
    """Distances |E_p psi - E_q psi| of packed and rescaled play over (degree, amplitude, time), rms over draws."""
    rng = np.random.default_rng(seed)
    exp = box()
    Y = exp.points.coordinates
    kicks = rng.standard_normal((draws, SIDE, 1)) * LENGTH / SIDE
    collapsed = np.sort(rng.uniform(0, LENGTH / 2, (draws, SIDE, 1)), axis=1)
    starts = [Y + amplitude * kicks for amplitude in AMPLITUDES] + [collapsed]
    x = np.concatenate(starts)
    one = Field(Problem(exp))  # one distance for both
    u_p = one.at_Y.adjoint(one.p, None)

    def distance(x):
        return np.linalg.norm(one.push(x) - u_p, axis=-1)

    parts = []
    for m in DEGREES:
        packed = exp.replace({"packing.degree": m})
        values = eigenvalues(linearize(packed))
        s = values.s[values.coupled]
        steps = int(E_FOLDS / -s.real.max() * np.abs(s).max() * FINE / 2)
        h = E_FOLDS / -s.real.max() / steps
        curves = [follow(Field(Problem(e)), distance, x, h, steps) for e in (packed, rescaled(exp, m))]
        keep = np.linspace(0, steps, 200).astype(int)
        rows = [
            np.sqrt((c[keep].reshape(len(keep), len(starts), draws) ** 2).mean(-1)).T / np.sqrt(
                (c[0].reshape(len(starts), draws) ** 2).mean(-1)
            )[:, None]
            for c in curves
        ]  # fmt: skip
        parts.append(
            xr.Dataset(
                {
                    name: (("start", "time"), row, {"long_name": f"distance, {name}, over its start", "units": "1"})
                    for name, row in zip(("packed", "rescaled"), rows, strict=True)
                },
                coords={"time": np.linspace(0, E_FOLDS, len(keep)), "start": np.append(AMPLITUDES, np.nan)},
            )
        )
    return xr.concat(parts, "degree").assign_coords(degree=list(DEGREES)).assign_attrs(seed=seed, draws=draws)


def effect(ds: xr.Dataset) -> xr.DataArray:
    """Time average of the packed distance over that of the rescaled one, minus 1: < 0 where packing helps."""
    return ds["packed"].mean("time") / ds["rescaled"].mean("time") - 1


# %% 3. a concentrated cloud
def ring(seed: int, **changes) -> eg.Experiment:
    exp = eg.Experiment(
        target={"kind": "ring", "modes": 8},
        generator={"particles": 16, "learning_rate": 0.02, "kernel": {"ratio": 0.1}},
        discriminator={"features": 20, "length_scale": 0.6, "learning_rate": 0.3, "seed": seed},
        penalty={"r1": 0.0, "weight_decay": 0.3},
        run={"steps": 2500, "record_every": 100, "start": "random", "runs": RUNS, "seed": seed},
    )  # fmt: skip
    return exp.replace(changes)


def curvature(exp: eg.Experiment, m: int) -> float:
    """Largest eigenvalue of L_m (module text) for a cloud at the ring's centre."""
    field = Field(Problem(exp.replace({"packing.degree": 1})))
    at = field.features.at(np.zeros((1, 2)))
    u_p, u_q = field.at_Y.adjoint(field.p, None), at.psi()[0]
    pull, push = at.hessian(u_p)[0], at.hessian(u_q)[0]
    L = m * ((u_p @ u_q) ** (m - 1) * pull - (u_q @ u_q) ** (m - 1) * push)
    return float(np.linalg.eigvalsh(L).max())


def splitting(seed: int, draws: int, degrees=(1, 2, 3, 4)) -> xr.Dataset:
    """Time in which a concentrated cloud's width grows GROWTH-fold, packed over rescaled: predicted and simulated."""
    predicted, simulated = np.full((2, len(degrees), draws), np.nan)
    for j in range(draws):
        slow = {"discriminator.learning_rate": 1e-3, "generator.learning_rate": 1e-3, "penalty.weight_decay": 0.0}
        base = ring(1000 * seed + j, **slow, **{"discriminator.features": 12, "generator.kernel.ratio": 0.0})
        rng = np.random.default_rng([seed, j])
        offsets = rng.standard_normal((1, 8, 2)) * NARROW * base.discriminator.length_scale
        x = np.concatenate([offsets, -offsets], axis=1)  # centred
        for i, m in enumerate(degrees):
            times = []
            for exp in (base.replace({"packing.degree": m}), rescaled(base, m)):
                L = curvature(exp, exp.packing.degree)
                times.append((np.sqrt(2 * np.log(GROWTH) / L) if L > 0 else np.nan, grown(exp, x)))
            (a, b), (c, d) = times
            predicted[i, j], simulated[i, j] = a / c, b / d
    dims = ("degree", "draw")
    return xr.Dataset(
        {
            "predicted": (dims, predicted, {"long_name": "splitting time, packed over rescaled, predicted"}),
            "simulated": (dims, simulated, {"long_name": "splitting time, packed over rescaled, simulated"}),
        },
        coords={"degree": list(degrees)},
    )


def grown(exp: eg.Experiment, x: np.ndarray, longest: int = 20_000) -> float:
    """Steps until the cloud's rms width is GROWTH times that of x; NaN if never."""
    field = Field(Problem(exp))
    W, width = np.zeros((1, field.features.size)), np.sqrt((x**2).mean())
    for step in range(longest):
        W, x = W + field.Vw(W, x), x + field.Vx(W, x)
        if np.sqrt(((x - x.mean(-2, keepdims=True)) ** 2).mean()) >= GROWTH * width:
            return float(step + 1)
    return float("nan")


# %% 4. random starts
def coverage(seed: int, draws: int) -> xr.Dataset:
    """Modes covered at the end, over (ratio, spread, degree, play, draw): the mean over RUNS starts of each draw."""
    shape = (len(RATIOS), len(SPREADS), len(DEGREES), 2, draws)
    covered, gone = np.full((2, *shape), np.nan)
    for j in range(draws):
        for a, ratio in enumerate(RATIOS):
            for b, spread in enumerate(SPREADS):
                exp = ring(1000 * seed + j, **{"generator.kernel.ratio": ratio, "run.spread": spread})
                for c, m in enumerate(DEGREES):
                    for play, e in enumerate((exp.replace({"packing.degree": m}), rescaled(exp, m))):
                        runs = eg.simulate(e)
                        last = runs["particles"].isel(time=-1)
                        found = eg.order_parameters(last, runs["target"])
                        covered[a, b, c, play, j] = float(found["modes_covered"].mean())
                        gone[a, b, c, play, j] = float(np.mean(runs["outcome"].values >= Outcome.ESCAPED))
    dims = ("ratio", "spread", "degree", "play", "draw")
    return xr.Dataset(
        {
            "covered": (dims, covered, {"long_name": "modes covered of 8", "units": "1"}),
            "gone": (dims, gone, {"long_name": "share of runs that escaped or diverged", "units": "1"}),
        },
        coords={"ratio": list(RATIOS), "spread": list(SPREADS), "degree": list(DEGREES),
                "play": ["packed", "rescaled"]},
    )  # fmt: skip


def gain(ds: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """(mean, standard error) over draws of modes covered, packed minus rescaled."""
    difference = ds["covered"].sel(play="packed") - ds["covered"].sel(play="rescaled")
    return difference.mean("draw"), difference.std("draw", ddof=1) / np.sqrt(ds.sizes["draw"])


# %%
def figure(ds: xr.Dataset):
    """The four questions: small kicks, kicks of every size on the box, a concentrated cloud, random starts."""
    fig, axes = sheet(3, 2, 11.4)
    axes = axes.ravel()
    box, left, right = part_of(ds, "box"), axes[1], axes[2]
    _first_order(axes[0], part_of(ds, "first"))
    for m, colour, marker in zip(DEGREES, COLOURS, MARKERS, strict=False):
        values = effect(box).sel(degree=m).values
        left.semilogx(AMPLITUDES, 100 * values[:-1], marker + "-", color=colour, label=f"m = {m}")
        left.axhline(100 * values[-1], color=colour, ls=":", lw=1.4, label=f"m = {m}, cloud on half")
        part = box.sel(degree=m).isel(start=-1)
        right.plot(box["time"], part["packed"], "-", color=colour, label=f"m = {m}, packed")
        right.plot(box["time"], part["rescaled"], "--", color=colour, label=f"m = {m}, rescaled kernel")
    left.axhline(0, color="k", lw=0.8)
    left.set(xlabel="kick (spacings of the points)", ylabel="distance, packed against rescaled (%)")
    above(left, "2. periodic box: below 0 packing helps", 2, fontsize=8)
    right.set(xlabel="time (e-folds of the slowest mode)", ylabel="kernel distance / its start (1)", yscale="log")
    above(right, "2. a cloud on half of the box", 2, fontsize=8)
    _splitting(axes[3], part_of(ds, "split"))
    _coverage(axes[4], axes[5], part_of(ds, "random"))
    return fig


def _first_order(ax, ds: xr.Dataset) -> None:
    error = np.abs(ds["simulated"] / ds["predicted"] - 1)
    ax.semilogy(np.arange(len(error)), error, "o", color=COLOURS[0], label="simulated")
    ax.axhline(WITHIN, color="k", ls=":", label=f"{WITHIN:.0%}")
    ax.set(xlabel="random experiment", ylabel="|simulated / predicted − 1| (1)", ylim=(1e-12, 0.1))
    ax.xaxis.get_major_locator().set_params(integer=True)
    above(ax, "1. small kicks, m = 2 and 3: slowest rate", 2, fontsize=8)


def _splitting(ax, ds: xr.Dataset) -> None:
    ax.plot([0, 1.2], [0, 1.2], "k-", lw=0.8, label="equal")
    for m, colour, marker in zip(ds["degree"].values, COLOURS, MARKERS, strict=False):
        part = ds.sel(degree=m)
        ax.plot(part["predicted"], part["simulated"], marker, color=colour, label=f"m = {m}", ms=5, mfc="none")
    ax.set(xlabel="splitting time, packed / rescaled, predicted (1)", ylabel="simulated (1)",
           xlim=(0, 1.2), ylim=(0, 1.2))  # fmt: skip
    above(ax, "3. a concentrated cloud splits sooner", 3, fontsize=8)


def _coverage(left, right, ds: xr.Dataset) -> None:
    mean, error = gain(ds)
    labels = [f"ratio {r:g}\nwidth {s:g}" for r in ds["ratio"].values for s in ds["spread"].values]
    gone = ds["gone"].mean("draw")
    for i, (m, colour) in enumerate(zip(DEGREES, COLOURS, strict=False)):
        at = np.arange(len(labels)) + 0.2 * (i - 0.5)
        pick = {"degree": m}
        left.errorbar(at, mean.sel(pick).values.ravel(), error.sel(pick).values.ravel(), fmt=MARKERS[i], color=colour,
                      label=f"m = {m}")  # fmt: skip
        for play, fill in (("packed", "full"), ("rescaled", "none")):
            values = gone.sel(degree=m, play=play).values.ravel()
            right.plot(at, values, MARKERS[i], color=colour, fillstyle=fill, label=f"m = {m}, {play}")
    left.axhline(0, color="k", lw=0.8)
    left.set(ylabel="modes of 8, packed − rescaled (modes)")
    right.set(ylabel="runs escaped or diverged (share)", ylim=(-0.05, 1.05))
    for ax, title in ((left, "4. random starts on a ring (± 1 s.e.)"), (right, "4. clouds thrown out of the ring")):
        ax.set_xticks(range(len(labels)), labels, fontsize=8)
        ax.set_xlabel("kernel ratio g2/g1 and width of the start (length)")
        above(ax, title, 2, fontsize=8)


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("remedies_packing", 8, seed=0, about=__doc__).parse_args(argv)
    few = max(args.draws // 2, 2)
    whole = made(args, lambda: merged(
        first=first_order(args.seed, 2 * args.draws), box=study(args.seed, args.draws),
        split=splitting(args.seed, few), random=coverage(args.seed, few),
    ), figure)  # fmt: skip
    first, ds, split, random = (part_of(whole, name) for name in ("first", "box", "split", "random"))
    error = np.abs(first["simulated"] / first["predicted"] - 1)
    print(f"first order: {int((error <= WITHIN).sum())} of {error.size} within {WITHIN:.0%}, median "
          f"{float(error.median()):.1e}, worst {float(error.max()):.1e}")  # fmt: skip
    for m in DEGREES:
        values = effect(ds).sel(degree=m).values
        beyond = np.flatnonzero(np.abs(values[:-1]) > MATTERS)
        where = f"{AMPLITUDES[beyond[0]]:.2g} of the spacing" if len(beyond) else "no kick tried"
        print(f"box, m = {m}: smallest kick {values[0]:+.1e}, beyond {MATTERS:.0%} from {where} on, "
              f"largest kick {values[-2]:+.3f}, cloud on half of the box {values[-1]:+.3f}")  # fmt: skip
    for m in split["degree"].values:
        part = split.sel(degree=m)
        print(f"concentrated cloud, m = {m}: splitting time over rescaled {float(part['simulated'].mean()):.3f}, "
              f"predicted {float(part['predicted'].mean()):.3f}, largest difference "
              f"{float(np.abs(part['simulated'] / part['predicted'] - 1).max()):.3f}")  # fmt: skip
    mean, standard = gain(random)
    for ratio in RATIOS:
        for spread in SPREADS:
            for m in DEGREES:
                at = {"ratio": ratio, "spread": spread, "degree": m}
                gone = random["gone"].mean("draw").sel(at)
                print(f"random starts, ratio {ratio}, width {spread}, m = {m}: modes {float(mean.sel(at)):+.2f} +- "
                      f"{float(standard.sel(at)):.2f}, escaped or diverged {float(gone.sel(play='packed')):.2f} "
                      f"against {float(gone.sel(play='rescaled')):.2f}")  # fmt: skip
    return whole


# %%
if __name__ == "__main__":
    main()
