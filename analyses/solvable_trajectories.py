# %% [markdown]
# # Does a finite solvable GAN follow its ODE, in every regime, and how fast does the error fall with dimension?
# Setting R (small aligned start) at noises 2, 1, 4: success, oscillation, mode collapse; curves from the macroscopic
# ODE, dots from one run of the exact finite-n chain, as in Fig. 1 of Wang, Hu, Lu (arXiv:1805.08349). Setting E (larger
# start): sup error of P over time and entries, mean over seeds, against n; the central limit theorem has it fall as
# n^(-1/2). `--benchmark` times a step of the chain against direct SGD, and from n = 10^2 to 10^6.
# Run: python -m analyses.solvable_trajectories --seed 1 --draws 200 --output out/solvable_trajectories

# %%
from __future__ import annotations

import sys
from argparse import Namespace
from time import thread_time

import numpy as np
import xarray as xr
from matplotlib.ticker import LogLocator, StrMethodFormatter

from analyses.script import above, made, options, redraws, sheet
from egan_theory.papers.solvable import SETTING_E, SETTING_R, Solvable, simulate_chain, solve_ode
from egan_theory.papers.solvable.line import line_drift
from egan_theory.show.style import BLACK, BLUE, GREEN, GREY, VERMILLION

REGIMES = {2.0: "success", 1.0: "oscillation", 4.0: "mode collapse"}
NOISES = (1.0, 2.0, 4.0)
#: dimension of the simulated dots
DOTS = 5000
#: most runs of it whose end states are tabulated
ENDS = 50
#: Euler steps along the line: P moves by a few hundredths in all
DRIFT_STEPS = 100
SMALLEST, LARGEST, FACTOR = 250, 64_000, 4
#: samples of a course whose largest error is taken
SAMPLES = 601
#: dimension of the comparison with direct SGD, and those between which the cost should be flat
BENCHMARK, FLAT = 2000, (10**2, 10**3, 10**4, 10**5, 10**6)


# %%
def trajectories(seed: int, n: int = DOTS) -> xr.Dataset:
    """Setting R at the three noises: ODE (suffix _ode) and one chain run each, over (noise, time)."""
    parts = []
    for noise in REGIMES:
        model = SETTING_R.replace({"noise": noise, "n": n, "seed": seed})
        run, ode = simulate_chain(model).isel(run=0, drop=True), solve_ode(model).isel(run=0, drop=True)
        names = ["P", "q", "r"]
        parts.append(xr.merge([run[names], ode[names].rename({n: f"{n}_ode" for n in names})], combine_attrs="drop"))
    noises = xr.DataArray(list(REGIMES), dims="noise", attrs={"long_name": "noise", "units": "1"})
    return xr.concat(parts, noises).assign_attrs(dots=n)


def end_states(seed: int, draws: int, n: int = DOTS) -> xr.Dataset:
    """Setting R at the end of training, over (noise, quantity): the ODE's, and mean and spread over ``draws`` chains.

    Means over the last quarter of the time (an oscillating state has no end): |P_11|, |P_22|, the larger cross overlap,
    and the rms of q_1, q_2 over time."""
    names = ["P11", "P22", "cross", "q1", "q2"]

    def ends(ds: xr.Dataset) -> np.ndarray:  # (run, quantity)
        last = ds.isel(time=slice(3 * ds.sizes["time"] // 4, None))
        P, q = np.abs(last["P"].mean("time")).values, np.sqrt((last["q"] ** 2).mean("time")).values
        cross = np.maximum(P[:, 0, 1], P[:, 1, 0])
        return np.stack([P[:, 0, 0], P[:, 1, 1], cross, q[:, 0], q[:, 1]], axis=1)

    table = np.full((4, len(REGIMES), len(names)), np.nan)
    for i, noise in enumerate(REGIMES):
        model = SETTING_R.replace({"noise": noise, "n": n, "seed": seed, "runs": draws})
        found = ends(simulate_chain(model))
        ode = solve_ode(model)
        table[:3, i] = ends(ode)[0], found.mean(0), found.std(0, ddof=1)
        P = drifted(model, ode)
        if P is not None:
            table[3, i, :3] = P[0, 0], P[1, 1], max(abs(P[0, 1]), abs(P[1, 0]))
    about = {
        "end_ode": "ODE",
        "end_mean": "mean over runs",
        "end_spread": "standard deviation over runs",
        "end_drifted": "ODE and finite-n drift along the line of fixed points",
    }
    return xr.Dataset(
        {
            k: (("noise", "quantity"), v, {"long_name": about[k], "units": "1"})
            for k, v in zip(about, table, strict=True)
        },
        coords={"noise": list(REGIMES), "quantity": names},
        attrs={"end_draws": draws},
    )


def drifted(model: Solvable, ode: xr.Dataset) -> np.ndarray | None:
    """P in the middle of the last quarter with the drift of order 1/n along the line of fixed points, from when q has
    relaxed to its finite-n noise on; None where it never does."""
    ode = ode.isel(run=0)
    active = np.flatnonzero(np.abs(ode["q"]).max("feature").values > model.n**-0.5)[-1]
    time = ode["time"].values
    end = time[-1] - (time[-1] - time[0]) / 8
    if time[active] >= end:
        return None
    P, S = ode["P"].values[-1].copy(), ode["S"].values[-1]
    for _ in range(DRIFT_STEPS):
        P += (end - time[active]) / DRIFT_STEPS * line_drift(model, P, S)[0]
    return P


def report_ends(ds: xr.Dataset) -> None:
    """The end states as a table: ODE, mean, spread, and the difference in spreads."""
    for noise, regime in REGIMES.items():
        print(f"setting R, noise {noise:g} ({regime}), {ds.attrs['end_draws']} runs of n = {ds.attrs['dots']}:")
        one = ds.sel(noise=noise)
        columns = (one[f"end_{k}"].values for k in ("ode", "mean", "spread", "drifted"))
        for name, ode, mean, spread, moved in zip(ds["quantity"].values, *columns, strict=True):
            line = (
                f"ODE {ode:.4f}, runs {mean:.4f} with spread {spread:.4f}: {(mean - ode) / spread:+.2f} spreads apart"
            )
            line += f"; from ODE and drift {moved:.4f}: {(mean - moved) / spread:+.2f}" if np.isfinite(moved) else ""
            print(f"  {name:5s} {line}")


def sup_errors(model: Solvable) -> np.ndarray:
    """(run,) largest |P - P_ode| over samples and entries."""
    runs = simulate_chain(model)
    ode = solve_ode(model, runs["time"].values)
    return np.abs(runs["P"] - ode["P"].isel(run=0)).max(["time", "feature", "fake"]).values


def convergence(seed: int, draws: int, largest: int = LARGEST, time: float = SETTING_E.time) -> xr.Dataset:
    """Sup errors of setting E over (noise, n, draw), and the slope of log mean error against log n with its error."""
    ns = [SMALLEST]
    while ns[-1] * FACTOR <= largest:
        ns.append(ns[-1] * FACTOR)
    errors = np.empty((len(NOISES), len(ns), draws))
    for i, noise in enumerate(NOISES):
        for j, n in enumerate(ns):
            model = SETTING_E.replace(
                {"noise": noise, "n": n, "runs": draws, "seed": seed, "time": time, "record": SAMPLES}
            )
            errors[i, j] = sup_errors(model)
            print(f"noise {noise:g}, n = {n}: {errors[i, j].mean():.4f}", file=sys.stderr, flush=True)
    x = np.log(ns) - np.log(ns).mean()
    weight = x / (x @ x)
    slope = np.log(errors.mean(-1)) @ weight
    # delta method: the log of a mean of independent draws
    relative = errors.std(-1, ddof=1) / errors.mean(-1) / np.sqrt(draws)
    return xr.Dataset(
        {
            "sup_error": (("level", "n", "draw"), errors, {"long_name": "largest |P - P_ODE|", "units": "1"}),
            "slope": ("level", slope, {"long_name": "slope of log mean error against log n", "units": "1"}),
            "slope_stderr": ("level", np.sqrt(relative**2 @ weight**2),
                             {"long_name": "standard error of the slope", "units": "1"}),
        },
        coords={"level": ("level", list(NOISES), {"long_name": "noise", "units": "1"}), "n": ns},
    )  # fmt: skip


# %%
def plain_sgd(model: Solvable, steps: int) -> None:
    """Direct SGD of one run, hard constraint, f(x) = x, as one would write it with NumPy."""
    rng = np.random.Generator(np.random.SFC64(model.seed))
    n, d = model.n, model.d
    U, V = (np.ascontiguousarray(np.linalg.qr(rng.standard_normal((n, d)))[0].T) for _ in range(2))
    w = rng.standard_normal(n) / np.sqrt(n)
    k, kt, scale, root = model.tau / n, model.taut / n, np.sqrt(model.L), np.sqrt(model.noise)
    for _ in range(steps):
        c, ct = scale * rng.standard_normal(d), scale * rng.standard_normal(d)
        y, yt = c @ U + root * rng.standard_normal(n), ct @ V + root * rng.standard_normal(n)
        x, xt = y @ w, yt @ w
        V += kt * xt * np.outer(ct, w)
        w += k * (x * y - xt * yt)
        w /= np.sqrt(w @ w)
        V /= np.sqrt((V * V).sum(1))[:, None]


def benchmark(repeats: int = 15) -> xr.Dataset:
    """Processor time of a step, in microseconds: the least of interleaved repeats, in one process."""
    from egan_theory.papers.solvable.chain import BLOCK, Chain, advance_of
    from egan_theory.papers.solvable.sgd import BATCH, Sgd, start_vectors

    model = SETTING_E.replace({"n": BENCHMARK})
    X, batch = start_vectors(model), BATCH // BENCHMARK
    single, side_by_side = Sgd(model, X, range(1)), Sgd(model, X, range(batch))
    advance = advance_of(model.profile)

    def chain(n: int):
        job = Chain(SETTING_E.replace({"n": n, "time": 100.0 * BLOCK / n, "record": 2}))
        return lambda: [job.block(advance) for _ in range(4)], 4 * BLOCK

    def steps(sgd, count):
        return lambda: [sgd.step() for _ in range(count)]

    jobs = {
        "NumPy SGD, plain": (lambda: plain_sgd(model, 300), 300),
        "SGD of the package, one run": (steps(single, 300), 300),
        f"SGD of the package, {batch} runs side by side": (steps(side_by_side, 20), 20 * batch),
        **{f"chain, n = {n}": chain(n) for n in (BENCHMARK, *FLAT)},
    }
    best = dict.fromkeys(jobs, np.inf)
    for repeat in range(repeats + 1):  # the first one warms up
        for name, (job, count) in jobs.items():
            start = thread_time()
            job()
            spent = (thread_time() - start) / count * 1e6
            if repeat:
                best[name] = min(best[name], spent)
    return xr.Dataset(
        {"step_time": ("method", list(best.values()), {"long_name": "processor time of a step", "units": "us"})},
        coords={"method": list(best)},
    )


def report_benchmark(ds: xr.Dataset) -> None:
    times = dict(zip(ds["method"].values.tolist(), ds["step_time"].values.tolist(), strict=True))
    chain = times[f"chain, n = {BENCHMARK}"]
    for name, value in times.items():
        versus = "" if name.startswith("chain") else f", {value / chain:.0f} times the chain at n = {BENCHMARK}"
        print(f"{name}: {value:.3f} us a step{versus}")
    flat = [times[f"chain, n = {n}"] for n in FLAT]
    print(f"chain, n = {FLAT[0]} to {FLAT[-1]}: times relative to the first {[round(t / flat[0], 2) for t in flat]}")


# %%
def figure(ds: xr.Dataset):
    """Setting R: a run's overlaps over its ODE, one noise. Setting E: sup error of P against n."""
    fig, (left, right) = sheet(1, 2, 4.8)
    dots = slice(None, None, 5)
    noise, regime = next(iter(REGIMES.items()))
    one = ds.sel(noise=noise)
    for index, colour, marker, label in (
        ((0, 0), BLUE, "o", "feature 1"), ((1, 1), VERMILLION, "s", "feature 2"), ((0, 1), GREY, "^", "cross overlap"),
    ):  # fmt: skip
        ode, run = (np.abs(one[n].values[(slice(None), *index)]) for n in ("P_ode", "P"))
        left.plot(one["time"], ode, color=colour)
        left.plot(one["time"][dots], run[dots], marker, ms=4, mfc="none", color=colour, label=label)
    left.plot([], [], color=BLACK, label="ODE, n → ∞")
    left.set(xlabel="time (steps / n)", ylabel="generator's overlap |P| (1)")
    above(left, f"noise {noise:g}: {regime}; one run, n = {ds.attrs['dots']}", 2)
    for level, colour, marker in zip(ds["level"].values, (BLUE, GREEN, VERMILLION), "os^", strict=True):
        one = ds.sel(level=level)
        mean = one["sup_error"].mean("draw").values
        bars = 3 * one["sup_error"].std("draw").values / np.sqrt(ds.sizes["draw"])
        label = f"noise {level:g}: slope {float(one['slope']):.3f} ± {float(one['slope_stderr']):.3f}"
        n = ds["n"].values
        fit = np.exp(np.log(mean).mean() + float(one["slope"]) * (np.log(n) - np.log(n).mean()))
        right.errorbar(n, mean, bars, fmt=marker, mfc="none", color=colour, capsize=3, label=label)
        right.plot(n, fit, color=colour, lw=1)
    guide = ds["sup_error"].mean("draw").values.max() * 1.5 * np.sqrt(ds["n"].values[0] / ds["n"].values)
    right.plot(ds["n"], guide, "--", color=GREY, label="n^(−1/2)")
    right.set(xscale="log", yscale="log", xlabel="dimension n (number)", ylabel="largest |P − P of the ODE| (1)")
    right.set_xticks(ds["n"].values, [str(n) for n in ds["n"].values], fontsize=9)
    right.minorticks_off()
    right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    right.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    above(right, "mean ± 3 s.e.")
    return fig


def results(args: Namespace) -> xr.Dataset:
    """Both settings in one Dataset."""
    ends = end_states(args.seed, min(args.draws, ENDS), args.dots)
    parts = [trajectories(args.seed, args.dots), ends, convergence(args.seed, args.draws, args.largest, args.time)]
    if args.benchmark:
        parts.append(benchmark())
    about = {"setting_R": SETTING_R.to_toml(), "setting_E": SETTING_E.to_toml(), "dots": args.dots}
    return xr.merge(parts, combine_attrs="drop").assign_attrs(ends.attrs | about)


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options(
        "solvable_trajectories",
        draws=200,
        about="Finite solvable GANs against their ODE.",
        help_draws="seeds per dimension",
    )
    parser.add_argument("--largest", type=int, default=LARGEST, help="largest dimension")
    parser.add_argument("--time", type=float, default=SETTING_E.time, help="length of setting E's runs")
    parser.add_argument("--dots", type=int, default=DOTS, help="dimension of the simulated dots of setting R")
    parser.add_argument("--benchmark", action="store_true", help="time a step, too")
    args = parser.parse_args(argv)
    ds = made(args, lambda: results(args), figure)
    if args.benchmark and args.source is None:
        report_benchmark(ds)
    report_ends(ds)
    for level in ds["level"].values:
        one = ds.sel(level=level)
        print(f"noise {level:g}: slope {float(one['slope']):.3f} +- {float(one['slope_stderr']):.3f}")
    return ds


# %%
if __name__ == "__main__":
    main()
