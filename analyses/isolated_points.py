# %% [markdown]
# # Approximate mode collapse: which unequal masses on isolated points are equilibria that training keeps?
# True points many kernel widths apart hold generated points whose masses need not add up to theirs: Delta = p - sum m.
# 1. Random such equilibria: the local formulas (papers.isolated) against the general spectrum (equilibrium with D != D*
#    by Newton's method, dense Jacobian) and against eigenvalues fitted to kicked simulations.
# 2. Points with too much mass (Delta < 0): several generated points split at any ridge nu, a single one leaves where
#    x = mu m |Delta| / (nu^2 sigma^2) > 1. Measured rates over x, and whether a visible kick grows.
# 3. The best ridge: simulated convergence rate over a sweep, and the share of its largest at the predicted ridge, for
#    the points alone and for the discriminator's values as well.
# 4. Which patterns (numbers of generated points per true point) does training keep? All patterns started near
#    themselves, and random starts: is a pattern kept if and only if every point of it is locally stable?
# Run: python -m analyses.isolated_points --seed 1 --draws 20 --output out/isolated_points

# %%
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from textwrap import fill

import numpy as np
import xarray as xr
from scipy.optimize import linear_sum_assignment

import egan_theory as eg
from analyses.proportions import wilson
from analyses.script import above, made, options, redraws, sheet
from egan_theory.base.errors import NotLinearizable
from egan_theory.fits.estimate import fit_exponentials
from egan_theory.linear import equilibrium
from egan_theory.papers.isolated import best_ridge, isolated_points, local_modes, single_point_threshold
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.show.style import BLACK, BLUE, GREEN, VERMILLION
from egan_theory.tables.updates import SUBSTEP

#: a fitted eigenvalue agrees within this part of |s|, or this many standard errors
RELATIVE, SIGMAS = 0.01, 3.0
#: no point of a drawn case is closer than this part of its weight to Delta = 0
APART = 0.1
#: x = mu m |Delta|/(nu^2 sigma^2) of the second part, and how many e-folds of the predicted rate it is followed
GROWTH_RANGE, E_FOLDS = (0.25, 4.0), 12.0
#: the visible kick, and the distance from the true point at which a point has left it, in widths
VISIBLE, LEFT = 0.02, 0.1
#: ridges of a sweep, their range, and e-folds that each is followed
RIDGES, SPAN, SWEEP_E_FOLDS, SHARE = 9, 3.0, 10.0, 0.97
#: records per run
RECORDS = 200
#: the fourth part: widths between true points (the kernel is 1e-11 there), generated points, random starts per setting
WIDTHS, PARTICLES, STARTS = 7.0, 3, 40
#: patterns whose decisive rate is within this part of the centre's frequency of 0 are too close to call
CLOSE = 0.03
#: e-folds of the fastest growth or slowest decay that a pattern is followed
PATTERN_E_FOLDS = 8.0
#: longest simulation of a pattern, in 1/eta_D; largest |s| per recorded unit of time
LONGEST, RESOLVED = 1000.0, 0.5


# %%
def draw(rng: np.random.Generator, equal: bool) -> dict:
    """Weights, masses per point (equal or unequal on each), sigma, nu and mu; Delta of both signs."""
    while True:
        count = int(rng.integers(2, 5))
        weights, whole = rng.dirichlet(np.full(count, 3.0), 2)
        if np.abs(weights - whole).min() < APART * weights.max() or min(weights.min(), whole.min()) < 0.05:
            continue
        numbers = rng.integers(1, 4, count)
        parts = [np.full(n, 1 / n) if equal else rng.dirichlet(np.full(n, 4.0)) for n in numbers]
        masses = [tuple(float(v) for v in q * part) for q, part in zip(whole, parts, strict=True)]
        sigma, mu = float(rng.uniform(0.3, 1.0)), float(np.exp(rng.uniform(np.log(0.3), np.log(3.0))))
        scale = np.sqrt(mu * weights.mean() * whole.mean()) / sigma
        nu = float(scale * np.exp(rng.uniform(np.log(0.5), np.log(3.0))))
        return {"weights": tuple(map(float, weights)), "masses": masses, "sigma": sigma, "nu": nu, "mu": mu}


def paced(case: dict, time: float, **changes) -> tuple[eg.Experiment, float]:
    """The experiment whose RECORDS units of training time are ``time``/eta_D, and that unit."""
    unit = time / RECORDS
    exp = isolated_points(**case, rate=unit)
    kick = changes.pop("kick", 1e-7)
    run = {"run.steps": RECORDS, "run.record_every": 1, "run.kick": kick * case["sigma"], "run.runs": 4}
    return exp.replace({**run, **changes}), unit


def locals_of(case: dict) -> list:
    """Local modes of every occupied point, None for a missed one."""
    rows = zip(case["weights"], case["masses"], strict=True)
    return [local_modes(p, m, case["sigma"], case["nu"], case["mu"]) if len(m) else None for p, m in rows]


def all_modes(case: dict) -> np.ndarray:
    return np.concatenate([modes.all for modes in locals_of(case) if modes is not None])


def general_error(exp: eg.Experiment, unit: float, expected: np.ndarray) -> float:
    """Largest distance of a local mode from its own eigenvalue of eg.spectrum, over the largest."""
    ds = eg.spectrum(exp)
    s = np.repeat(ds["eigenvalue_re"].values + 1j * ds["eigenvalue_im"].values, ds["multiplicity"].values) / unit
    cost = np.abs(expected[:, None] - s)
    return float(cost[linear_sum_assignment(cost)].max() / np.abs(expected).max())


def spectra(seed: int, draws: int) -> xr.Dataset:
    """One row per fitted real or imaginary part; attrs: the errors of the general route by draw."""
    rows, general, seen, wanted = [], [], 0, 0
    for i in range(draws):
        rng = np.random.default_rng([seed, 0, i])
        case = draw(rng, equal=i % 2 == 0)
        s = all_modes(case)
        # long enough for the slow modes, short enough that what grows stays small against sigma
        time = min(6 / np.abs(s.real).min(), 20 / np.abs(s).mean(), 6 / max(s.real.max(), 1e-9))
        exp, unit = paced(case, time, **{"run.seed": int(rng.integers(1 << 30))})
        general.append(general_error(exp, unit, s))
        table = eg.compare(exp, eg.simulate(exp), modes=len(s))
        found = [q for q in table.quantities if q.name != "rate"]
        seen += len({q.name.split(".")[0] for q in found})
        wanted += len({f"{v.real:.6g} {abs(v.imag):.6g}" for v in s})
        rows += [(i, i % 2, q.predicted / unit, q.measured / unit, q.stderr / unit, q.scale / unit) for q in found]
    columns = np.array(rows).T
    ds = xr.Dataset(
        {name: ("fit", column, {"units": unit}) for name, column, unit in zip(
            ("draw", "unequal", "predicted", "measured", "stderr", "size"), columns,
            ("1", "1", *4 * ("eta_D",)), strict=True)},
        attrs={"general": general, "seen": seen, "distinct": wanted},
    )  # fmt: skip
    difference = np.abs(ds["predicted"] - ds["measured"])
    ds["agrees"] = (difference <= RELATIVE * ds["size"]) | (difference <= SIGMAS * ds["stderr"])
    return ds


# %%
def overfull(rng: np.random.Generator, count: int, x: float) -> dict:
    """``count`` equal points of too much mass on the first of two true points, at the ridge that makes x the ratio."""
    p = float(rng.uniform(0.1, 0.4))
    excess = float(rng.uniform(0.3, 0.95)) * p
    m = (p + excess) / count
    sigma, mu = float(rng.uniform(0.3, 1.0)), float(np.exp(rng.uniform(np.log(0.3), np.log(3.0))))
    nu = float(np.sqrt(mu * m * excess / x) / sigma)
    return {"weights": (p, 1 - p), "masses": [(m,) * count, (1 - p - excess,)], "sigma": sigma, "nu": nu, "mu": mu}


def fitted(exp: eg.Experiment, unit: float, wanted: complex) -> tuple[float, float]:
    """Re of the fitted eigenvalue predicted as ``wanted``, and its standard error; NaN if the runs do not show it."""
    table = eg.compare(exp, eg.simulate(exp), modes=6)
    close = [q for q in table.quantities if q.name.endswith(".re")
             and abs(q.predicted / unit - wanted.real) <= 1e-6 * abs(wanted)]  # fmt: skip
    return (close[0].measured / unit, close[0].stderr / unit) if close else (np.nan, np.nan)


def splitting(seed: int, draws: int) -> xr.Dataset:
    """Rates over x and the fate of a visible kick; count 1: a single point, its centre; more: relative modes."""
    rows = []
    for i in range(2 * draws):
        rng = np.random.default_rng([seed, 1, i])
        count = 1 if i % 2 == 0 else int(rng.integers(2, 4))
        x = float(np.exp(rng.uniform(*np.log(GROWTH_RANGE))))
        case = overfull(rng, count, x)
        first = locals_of(case)[0]
        s = complex(first.centre[0] if count == 1 else first.relative)
        if count == 1:
            assert (x > 1) == (case["nu"] < single_point_threshold(case["weights"][0], case["masses"][0][0],
                                                                   case["sigma"], case["mu"]))  # fmt: skip
        time = 5 / abs(s.real) if abs(s.imag) < abs(s.real) else min(5 / abs(s.real), 60 / abs(s.imag))
        run_seed = {"run.seed": int(rng.integers(1 << 30))}
        measured, error = fitted(*paced(case, time, **run_seed), s)
        exp, _ = paced(case, E_FOLDS / abs(s.real), kick=VISIBLE, **run_seed)
        away = np.abs(eg.simulate(exp)["particles"].values - equilibrium(exp).x)[:, RECORDS // 2 :, :count, 0].max(1)
        left = float((away.max(-1) > LEFT * case["sigma"]).mean())
        rows.append((count, x, s.real / case["nu"], measured / case["nu"], error / case["nu"], left,
                     float(np.median(away.max(-1)) / case["sigma"])))  # fmt: skip
    names = {
        "count": "generated points on the true point", "x": "mu m |Delta| / (nu^2 sigma^2)",
        "predicted": "predicted rate / nu", "measured": "fitted rate / nu", "stderr": "its standard error",
        "left": "share of runs that left the true point", "distance": "largest distance during the second half / sigma",
    }  # fmt: skip
    return xr.Dataset({
        name: ("case", np.array(column), {"long_name": text, "units": "1"})
        for (name, text), column in zip(names.items(), zip(*rows, strict=True), strict=True)
    })  # fmt: skip


# %%
def local_rates(case: dict, seed: int) -> tuple[float, float]:
    """(slowest fitted rate of the points on the first true point, decay rate of D there), per unit of eta_D.

    Kicks of positions and weights alike; centre and differences of equal masses are told apart by symmetry, each is
    fitted with as many exponentials as it has modes. The other points, out of reach, are held.
    """
    count, own = len(case["masses"][0]), locals_of(case)[0].all
    slowest = min(-own.real.max(), case["nu"])
    exp, unit = paced(case, SWEEP_E_FOLDS / slowest)
    field = Field(Problem(exp))
    substeps = int(np.ceil(unit * max(np.abs(own).max(), case["nu"]) / SUBSTEP))
    rule = replace(exp.update_rule, substeps=substeps)
    mine = np.arange(exp.generator.particles)[:, None] < count

    def moved(w: np.ndarray, x: np.ndarray) -> np.ndarray:
        return field.Vx(w, x) * mine

    at = equilibrium(exp, field)
    rng = np.random.default_rng(seed)
    kick = 1e-7 * case["sigma"]
    x = at.x + kick * rng.standard_normal((4, *at.x.shape))
    w = at.w + 1e-7 * np.abs(at.w).max() * rng.standard_normal((4, *at.w.shape))
    state = rule.start(w, x, field.Vw, moved)
    rest = field.forces(at.x[None], at.w[None])[0][0, 0]
    u, value = [x - at.x], [field.forces(x, w)[0][:, 0] - rest]
    for _ in range(RECORDS):
        state = rule.step(state, field.Vw, moved)
        u.append(state[1] - at.x)
        value.append(field.forces(state[1], state[0])[0][:, 0] - rest)
    t = np.arange(RECORDS + 1) * unit
    u = np.stack(u, axis=1)[:, :, :count, 0] / kick
    value = np.stack(value, axis=1)[..., None]
    rates = [-fit_exponentials(t, u.mean(-1, keepdims=True), 2).values.real.max()]
    if count > 1:
        rates.append(-fit_exponentials(t, u[..., 1:] - u[..., :1], 1).values.real.max())
    return float(min(rates)), float(-fit_exponentials(t, value / np.abs(value).max(), 1).values.real.max())


def ridges(seed: int, draws: int) -> xr.Dataset:
    """Simulated and predicted rates over ridges; point 0 is the predicted best one. kind: points alone, with values."""
    shape = (2, draws, RIDGES + 1)
    nu, simulated, predicted = (np.full(shape, np.nan) for _ in range(3))
    number = np.zeros(draws, int)
    for i in range(draws):
        rng = np.random.default_rng([seed, 2, i])
        count = number[i] = int(rng.integers(1, 4))
        p = float(rng.uniform(0.2, 0.6))
        m = p * float(rng.uniform(0.15, 0.85)) / count
        sigma, mu = float(rng.uniform(0.3, 1.0)), float(np.exp(rng.uniform(np.log(0.3), np.log(3.0))))
        for k, values in enumerate((False, True)):
            best = best_ridge(p, m, count, sigma, mu, values=values)
            grid = best.nu * np.geomspace(1 / SPAN, SPAN, RIDGES) * (SPAN**2) ** (0.5 / (RIDGES - 1))
            nu[k, i] = np.concatenate([[best.nu], grid])
            for j, ridge in enumerate(nu[k, i]):
                case = {"weights": (p, 1 - p), "masses": [(m,) * count, (1 - count * m,)], "sigma": sigma,
                        "nu": float(ridge), "mu": mu}  # fmt: skip
                points, value = local_rates(case, int(rng.integers(1 << 30)))
                simulated[k, i, j] = min(points, value) if values else points
                slowest = -locals_of(case)[0].all.real.max()
                predicted[k, i, j] = min(slowest, ridge) if values else slowest
    dims = ("kind", "draw", "ridge")
    ds = xr.Dataset(
        {"nu": (dims, nu, {"long_name": "ridge nu", "units": "1"}),
         "simulated": (dims, simulated, {"long_name": "simulated slowest rate", "units": "eta_D"}),
         "predicted": (dims, predicted, {"long_name": "predicted slowest rate", "units": "eta_D"})},
        coords={"kind": ["points alone", "with values"]},
    )  # fmt: skip
    ds["share"] = simulated_share(ds)
    return ds.assign(number=("draw", number))


def simulated_share(ds: xr.Dataset) -> xr.DataArray:
    share = ds["simulated"].isel(ridge=0) / ds["simulated"].max("ridge")
    return share.assign_attrs(long_name="simulated rate at the predicted ridge / best simulated one", units="1")


# %%
def patterns(points: int, particles: int) -> list[tuple[int, ...]]:
    """Every way to put the particles on the points."""
    return [v for v in product(range(particles + 1), repeat=points) if sum(v) == particles]


def setting(rng: np.random.Generator) -> dict:
    """Weights of three true points, and ridge and rates; generated points of equal mass."""
    weights = rng.dirichlet(np.full(3, 2.0))
    while weights.min() < 0.05:
        weights = rng.dirichlet(np.full(3, 2.0))
    sigma, mu = 1.0, float(np.exp(rng.uniform(np.log(0.3), np.log(3.0))))
    nu = float(np.sqrt(mu / PARTICLES) * np.exp(rng.uniform(np.log(0.2), np.log(2.0))))
    return {"weights": tuple(map(float, weights)), "sigma": sigma, "nu": nu, "mu": mu}


def with_pattern(base: dict, counts: Sequence[int]) -> dict:
    return {**base, "masses": [(1 / PARTICLES,) * int(n) for n in counts]}


def predicted_stable(base: dict, counts: Sequence[int]) -> tuple[bool, bool]:
    """(every occupied point is stable by local_modes, clearly so or clearly not)."""
    case = with_pattern(base, counts)
    s, scale = all_modes(case), np.sqrt(base["mu"] / PARTICLES * max(base["weights"])) / base["sigma"]
    return bool(s.real.max() < 0), bool(np.abs(s.real.max()) > CLOSE * scale)


def pattern_experiment(base: dict, counts: Sequence[int], time: float, **run) -> eg.Experiment:
    case = with_pattern(base, counts)
    unit = RESOLVED / np.abs(all_modes(case)).max()
    exp = isolated_points(**case, rate=unit, separation=WIDTHS)
    steps = int(np.clip(time / unit, 50, LONGEST / unit))
    return exp.replace({"run.steps": steps, "run.record_every": max(1, steps // 50),
                        "run.kick": VISIBLE * base["sigma"], **run})  # fmt: skip


def at_rest(runs: xr.Dataset, sigma: float) -> np.ndarray:
    """(run,) whether no particle moves by more than LEFT/10 widths during the last fifth of the run."""
    x = runs["particles"].values[..., 0]
    return np.ptp(x[:, int(0.8 * x.shape[1]) :], axis=1).max(-1) < LEFT / 10 * sigma


def settled(exp: eg.Experiment, runs: xr.Dataset, sigma: float) -> np.ndarray:
    """(run, point) numbers of particles that rest on each true point; a row of -1 where not all of them do.

    On a point: within LEFT widths throughout the last fifth of the run.
    """
    x, Y = runs["particles"].values[..., 0], exp.points.coordinates[:, 0]
    late = x[:, int(0.8 * x.shape[1]) :]
    close = (np.abs(late[..., None] - Y) < LEFT * sigma).all(1)  # (run, particle, point)
    counts = close.sum(1)
    return np.where((counts.sum(-1) == exp.generator.particles)[:, None], counts, -1)


def kept(seed: int, draws: int) -> xr.Dataset:
    """Every pattern from near itself, and random starts: what is kept against what local_modes calls stable."""
    planted, random = [], []
    for i in range(draws):
        rng = np.random.default_rng([seed, 3, i])
        base = setting(rng)
        for counts in patterns(3, PARTICLES):
            stable, clear = predicted_stable(base, counts)
            if not clear:
                planted.append((i, *counts, stable, np.nan))
                continue
            slow = np.abs(all_modes(with_pattern(base, counts)).real.max())
            exp = pattern_experiment(base, counts, PATTERN_E_FOLDS / slow, **{"run.runs": 2,
                                     "run.seed": int(rng.integers(1 << 30))})  # fmt: skip
            try:
                stays = (settled(exp, eg.simulate(exp), base["sigma"]) == counts).all(-1)
            except NotLinearizable:
                stays = np.array([np.nan])
            planted.append((i, *counts, stable, float(stays.mean())))
        # the slowest clear rate there may be, from a start that knows of no point
        exp = pattern_experiment(base, (PARTICLES, 0, 0), LONGEST, **{
            "run.start": "random", "run.runs": STARTS, "run.seed": int(rng.integers(1 << 30)),
            "discriminator.evaluation": "fourier", "run.spread": WIDTHS * base["sigma"]})  # fmt: skip
        runs = eg.simulate(exp)
        for counts, rests in zip(settled(exp, runs, base["sigma"]), at_rest(runs, base["sigma"]), strict=True):
            stable, clear = predicted_stable(base, counts) if counts[0] >= 0 else (False, False)
            random.append((i, *counts, stable, clear, rests))
    columns = ("draw", "n1", "n2", "n3", "stable")
    ds = xr.Dataset({f"planted_{name}": ("pattern", np.array(column, float), {"units": "1"})
                     for name, column in zip((*columns, "kept"), zip(*planted, strict=True), strict=True)})  # fmt: skip
    columns = (*columns, "clear", "rests")
    return ds.assign({f"random_{name}": ("start", np.array(column, float), {"units": "1"})
                      for name, column in zip(columns, zip(*random, strict=True), strict=True)})  # fmt: skip


def shares(ds: xr.Dataset) -> dict[str, tuple[int, int]]:
    """(successes, count) of each statement about patterns; those too close to call are left out."""
    planted = np.isfinite(ds["planted_kept"].values)
    keeps, stable = ds["planted_kept"].values[planted], ds["planted_stable"].values[planted] > 0
    ended = ds["random_clear"].values > 0
    return {
        "stable pattern, started near it: kept": (int((keeps[stable] == 1).sum()), int(stable.sum())),
        "unstable pattern, started near it: kept": (int((keeps[~stable] > 0).sum()), int((~stable).sum())),
        "random start that settles on points:\nits pattern is a stable one": (
            int((ds["random_stable"].values[ended] > 0).sum()), int(ended.sum())),
    }  # fmt: skip


def study(seed: int, draws: int) -> xr.Dataset:
    found, split = spectra(seed, draws), splitting(seed, draws)
    swept, patterned = ridges(seed, max(2, draws // 2)), kept(seed, max(1, draws // 2))
    parts = [part.rename({name: f"{tag}_{name}" for name in (*part.data_vars, *part.dims)})
             for tag, part in (("spectrum", found), ("split", split), ("ridge", swept))]  # fmt: skip
    return xr.merge([*parts, patterned]).assign_attrs(found.attrs, seed=seed, draws=draws)


def summary(ds: xr.Dataset) -> list[str]:
    """The numbers, one line per statement."""
    error = np.abs(ds["spectrum_measured"] - ds["spectrum_predicted"]) / ds["spectrum_size"]
    single, share = ds["split_count"].values == 1, ds["ridge_share"].values
    deviation = np.abs(ds["split_measured"] / ds["split_predicted"] - 1).values
    seen, grows = int(np.isfinite(deviation).sum()), ds["split_predicted"].values > 0
    lines = [
        f"spectrum: general route within {max(ds.attrs['general']):.1e} of the local formulas ({ds.attrs['draws']} "
        f"cases); fitted to simulations: {int(ds['spectrum_agrees'].sum())} of {error.size} parts of "
        f"{ds.attrs['seen']} of {ds.attrs['distinct']} modes within {RELATIVE:.0%} or {SIGMAS:g} standard errors, "
        f"largest deviation {float(error.max()):.1e} of |s|",
        f"splitting: fitted rates within {np.nanmax(deviation):.1e} of the prediction ({seen} of "
        f"{deviation.size} measured); left the true point: {int((ds['split_left'].values[grows] == 1).sum())} of "
        f"{int(grows.sum())} predicted to, {int((ds['split_left'].values[~grows] > 0).sum())} of "
        f"{int((~grows).sum())} not; single points {int(single.sum())}, several {int((~single).sum())}",
    ]  # fmt: skip
    lines += [
        f"best ridge, {kind}: {int((row >= SHARE).sum())} of {row.size} predicted ridges reach {SHARE:.0%} of the best "
        f"simulated rate, lowest share {row.min():.4f}"
        for kind, row in zip(ds["ridge_kind"].values, share, strict=True)
    ]
    for text, (good, count) in shares(ds).items():
        low, high = wilson(good, count)
        text = text.replace("\n", " ")
        lines.append(f"patterns: {text}: {good} of {count}, 95 % [{low:.3f}, {high:.3f}]")
    rest = ds["random_rests"].values > 0
    off = ds["random_n1"].values < 0
    lines.append(f"random starts: {int((~off).sum())} of {off.size} settle on points, {int((off & rest).sum())} rest "
                 f"elsewhere, {int((off & ~rest).sum())} still move")  # fmt: skip
    return lines


def figure(ds: xr.Dataset):
    """Which patterns of unequal masses stay, and how fast too much mass leaves a true point."""
    fig, (split, bars) = sheet(1, 2, 4.8)
    x = np.geomspace(*GROWTH_RANGE, 100)
    split.semilogx(x, (x - 1) / 2, color=BLUE, label="one point, predicted (x − 1)/2")
    split.semilogx(x, x, color=VERMILLION, label="several points, predicted x")
    single, left = ds["split_count"].values == 1, ds["split_left"].values > 0.5
    for chosen, colour, marker in ((single, BLUE, "o"), (~single, VERMILLION, "^")):
        for gone in (True, False):
            part = ds.isel(split_case=chosen & (left == gone))
            split.errorbar(part["split_x"], part["split_measured"], part["split_stderr"], fmt=marker, color=colour,
                           ms=7, mfc=colour if gone else "white")  # fmt: skip
    split.plot([], [], "o", color=BLACK, label="simulated: leaves the true point")
    split.plot([], [], "o", color=BLACK, mfc="white", label="simulated: stays")
    split.axhline(0, color=BLACK, lw=0.8)
    split.set(xlabel="x: pull apart / pull together (ratio)", ylabel="growth rate / ridge")
    split.set_xticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
    split.minorticks_off()
    above(split, "Too much mass on a true point")
    for row, (text, (good, count)) in enumerate(shares(ds).items()):
        low, high = wilson(good, count)
        share = good / max(count, 1)
        wanted = 0.0 if text.startswith("unstable") else 1.0
        bars.plot(wanted, -row, "D", color=BLACK, mfc="none", ms=12, label="predicted" if row == 0 else None)
        bars.errorbar(share, -row, xerr=[[max(share - low, 0)], [max(high - share, 0)]], fmt="o", capsize=4, ms=6,
                      color=GREEN, label="simulated, 95 % (Wilson)" if row == 0 else None)  # fmt: skip
        bars.text(0.5, -row + 0.12, fill(f"{text}: {good} of {count}", 44), ha="center", va="bottom", fontsize=9)
    bars.set(xlim=(-0.05, 1.05), ylim=(-2.5, 0.8), yticks=[], xlabel="runs (share)")
    above(bars, f"Patterns of {PARTICLES} equal points on 3 true points", 2)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("isolated_points", draws=20).parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws), figure)
    print("\n".join(summary(ds)))
    return ds


# %%
if __name__ == "__main__":
    main()
