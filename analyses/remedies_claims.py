# %% [markdown]
# # Which claims about remedies for GAN training hold, and where?
# One row per claim: the number that decides, with its 95 % interval or twice its standard error, computed here by the
# functions of the other analyses. The verdict follows from two statements about these numbers:
#     refuted     the number, with its error, contradicts the claim under the claim's own condition
#     limited     it agrees there, but not in the further setting that the claim does not exclude
#     confirmed   it agrees in both
# The figure lists the verdicts; OUTPUT_panels.png shows what each rests on.
# Papers: best responses: Li, Madry, Peebles, Schmidt 2018 (arXiv:1706.09884); averages: Ge, Xia, Chen, Berry, Wu 2018
# (Fictitious GAN, arXiv:1803.08647); packing: Lin, Khetan, Fanti, Oh 2018 (PacGAN, arXiv:1712.04086); likelihood: HGAN.
# Run: python -m analyses.remedies_claims --seed 1 --draws 200 --output out/remedies_claims

# %%
from __future__ import annotations

import sys
from collections.abc import Callable
from textwrap import fill, shorten
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.ticker import NullFormatter
from scipy.optimize import brentq

import egan_theory as eg
from analyses import packing, remedies_packing, remedies_play, two_gaussian
from analyses.proportions import wilson
from analyses.script import drawn, made, options, redraws, sheet, write
from egan_theory.comparison.compare import slowest_measured
from egan_theory.linear import eigenvalues, linearize
from egan_theory.papers.packing import band, band_with_collapse, curve, product_total_variation
from egan_theory.papers.two_gaussian import Training, cusp_amplitude, random_starts, train
from egan_theory.predict.asymptotic import convergence_rate
from egan_theory.show.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILLION

PAPERS = {"best": "Li et al. 2018", "average": "Ge et al. 2018", "pack": "Lin et al. 2018", "hgan": "HGAN"}
#: simulated rates agree with predicted ones to this part
AGREES = 0.02
#: inner steps and their rate, and generator steps of first-order play, in the two-Gaussian model
INNER, INNER_RATE, INNER_STEPS, FIRST_STEPS = (1, 3, 10, 30, 100), 1.0, 600, 4000
#: averaging times, and dampings at which they are asked about, in units of the undamped frequency
TIMES, DAMPED = np.array([0.1, 0.3, 1.0, 3.0, 10.0]), 2.0
#: samples of one wave; an exponent of time this close to -1 is -1
RECORDS, EXPONENT = 200, 0.1
#: repetitions of the packed simulations with kicks of their own, and clouds in each
REPEATS, CLOUDS = 3, 3
#: draws of features of the packed coverage, each with its own random starts
PACKED_DRAWS = 6
#: draws of features of the concentrated cloud
SPLIT_DRAWS = 4
#: likelihood weights over the best one, and the best share that passes
WEIGHTS, SHARE = np.array([1 / 8, 1 / 4, 1 / 2, 1 / 1.5, 1.5, 2, 4, 8]), 0.97
WEIGHT_LABEL = "likelihood weight / best"
#: random starts that coverage is measured on, weights of the likelihood, and steps
RUNS, COVER_WEIGHTS, COVER_STEPS = 32, (0.0, 0.003, 0.03, 0.3, 3.0, 30.0), 1500

VERDICTS = {"confirmed": GREEN, "limited": ORANGE, "refuted": VERMILLION}
MARKERS = {"confirmed": "o", "limited": "^", "refuted": "X"}
MEANING = {
    "confirmed": "agrees under the claim's own condition and beyond it",
    "limited": "not contradicted under its own condition, but beyond it",
    "refuted": "contradicted under its own condition",
}
DARK = "0.3"


class Claim(NamedTuple):
    """One row.

    value, low, high: the deciding number, named ``what``, and its interval; under, beyond: the two statements of the
    verdict; condition: where the claim holds. lines, points: (x, y[, error], label) to draw; labels: (xlabel, ylabel);
    log: which axes are logarithmic.
    """

    name: str
    paper: str
    what: str
    value: float
    low: float
    high: float
    under: bool
    beyond: bool
    condition: str
    labels: tuple[str, str]
    lines: tuple = ()
    points: tuple = ()
    log: str = ""

    @property
    def verdict(self) -> str:
        return "refuted" if not self.under else "confirmed" if self.beyond else "limited"


def spread(values) -> tuple[float, float, float]:
    """(mean, mean -+ 2 standard errors)."""
    v = np.asarray(values, dtype=float)
    error = v.std(ddof=1) / np.sqrt(len(v)) if len(v) > 1 else np.nan
    return float(v.mean()), float(v.mean() - 2 * error), float(v.mean() + 2 * error)


# -- best responses -------------------------------------------------------------------------------------------------


def shares_of(setting: Training, starts, rates=None) -> np.ndarray:
    return train(setting, starts, rates).tv[:, -1]


def best_response(seed: int, draws: int) -> list[Claim]:
    """Optimal intervals against simultaneous steps and n_c inner steps in the two-Gaussian model."""
    starts = random_starts(seed, draws)
    best = shares_of(Training("optimal", steps=400, record_every=400), starts)
    first = shares_of(Training("simultaneous", steps=FIRST_STEPS, record_every=FIRST_STEPS), starts)
    good, won = int((best < two_gaussian.SUCCESS).sum()), int((first < two_gaussian.SUCCESS).sum())
    (low, high), (low_1, high_1) = wilson(good, draws), wilson(won, draws)
    few = tuple(v[: max(20, draws // 2)] for v in starts)
    count = len(few[0])
    settings = [Training("steps", inner=n, rate_discriminator=INNER_RATE, steps=INNER_STEPS, record_every=INNER_STEPS)
                for n in INNER]  # fmt: skip
    inner = [int((shares_of(s, few) < two_gaussian.SUCCESS).sum()) for s in settings]
    ends = [wilson(k, count) for k in inner]
    y = np.array(inner) / count
    error = np.maximum(np.abs(np.array(ends).T - y), 0)
    rates = remedies_play.critic_steps(seed)
    off = float(np.abs(rates["simulated"] / rates["rate"] - 1).max())
    left = float(rates["rate"][-2] / rates["rate"][-1] - 1)
    success = "share of starts with final TV < 0.05"
    return [
        Claim(
            "an optimal discriminator converges where first-order steps fail", PAPERS["best"],
            "success with best responses; first order below it", good / draws, low, high, low > high_1, low > 0.95,
            f"random starts, two Gaussians; first order {won / draws:.3f} [{low_1:.3f}, {high_1:.3f}]; TV stays at "
            f"{np.median(best):.2g} (step 0.3: bound {cusp_amplitude(0.3):.2g})", ("discriminator", success),
            points=(([0], [good / draws], [[good / draws - low], [high - good / draws]], "best response"),
                    ([1], [won / draws], [[won / draws - low_1], [high_1 - won / draws]], "first order")),
        ),
        Claim(
            "many critic steps lead to the best response: linear rates", PAPERS["best"],
            "largest |simulated / predicted rate - 1|", off, 0.0, off, off < AGREES, abs(left) < AGREES,
            f"near equilibrium, weight decay 0.1: {int(rates['steps'][-2])} steps within {abs(left):.1g} of the limit",
            ("critic steps", "slowest rate (1/step)"),
            lines=((rates["steps"].values[:-1], rates["rate"].values[:-1], "predicted"),
                   (rates["steps"].values[:-1], np.full(len(rates["steps"]) - 1, float(rates["rate"][-1])), "limit")),
            points=((rates["steps"].values[:-1], rates["simulated"].values[:-1], None, "simulated"),), log="x",
        ),
        Claim(
            "many critic steps lead to the best response: success", PAPERS["best"],
            f"success with {INNER[-1]} inner steps of rate {INNER_RATE:g}", y[-1], *ends[-1],
            ends[-1][0] > ends[0][1], ends[-1][1] >= low and bool(np.all(np.diff(y) > -0.05)),
            "success by n_c: " + ", ".join(f"{v:.2f} at {n}" for n, v in zip(INNER, y, strict=True))
            + f"; best response {good / draws:.3f}",
            ("inner steps $n_c$ ($\\eta_D$ = 1)", success),
            lines=((np.array(INNER, float), np.full(len(INNER), good / draws), "best response"),),
            points=((np.array(INNER, float), y, error, "simulated"),), log="x",
        ),
    ]  # fmt: skip


# -- averages -------------------------------------------------------------------------------------------------------


def playing(seed: int, w: float, tau: float, damping: float, players: tuple[str, ...], rule: str) -> eg.Experiment:
    memory = {f"memory.{name}": tau / w for name in players}
    return remedies_play.box(seed, **{"update.rule": rule, "penalty.weight_decay": damping * w, **memory})


def fitted(exp: eg.Experiment) -> float:
    """Simulated decay rate of one wave's slowest mode, from RECORDS samples over three times of it, 12 of its fastest
    at least and 40 at most. (Late slopes are off by tens of percent where modes are close or oscillate.)"""
    s = eigenvalues(linearize(exp)).s
    time = float(np.clip(3 / np.abs(s.real).min(), 12 / np.abs(s).max(), 40 / np.abs(s).max()))
    slower = RECORDS / time
    rates = {
        f"{name}.learning_rate": exp.get(f"{name}.learning_rate") / slower for name in ("generator", "discriminator")
    }
    times = {f"memory.{name}": exp.get(f"memory.{name}") * slower for name in ("generator", "discriminator")}
    exp = exp.replace({**rates, **times, "run.steps": RECORDS, "run.record_every": 1})
    return slowest_measured(exp, eg.simulate(exp))[0] * slower


def averages(seed: int, draws: int) -> list[Claim]:
    box = remedies_play.box(seed)
    w = remedies_play.frequency(box)
    free = remedies_play.neutral(seed)
    power = remedies_play.exponent(free)
    t, last = free["time"].values, free["last"].values
    half = len(last) // 2
    kept = float(last[half:].max() / last[:half].max())
    # error: the change with half as much time
    error = abs(power - remedies_play.exponent(free.isel(time=slice(0, half))))
    value, low, high = power, power - error, power + error
    # the same without damping, in discrete simultaneous steps: the last iterate grows
    exp = box.replace({"update.rule": "simultaneous", "run.steps": int(30 * 2 * np.pi / w), "run.record_every": 1})
    dx = remedies_play.waves(exp, eg.simulate(exp))
    mean = np.cumsum(dx, axis=1) / np.arange(1, dx.shape[1] + 1)[:, None, None]
    size = np.sqrt((mean**2).sum((-1, -2)).mean(0))
    grown = float(size[-len(size) // 6 :].max() / size[len(size) // 6 : len(size) // 3].max())
    thin = np.unique(np.geomspace(1, len(t) - 1, 400).astype(int))
    first = Claim(
        "the average converges where the last iterate does not", PAPERS["average"],
        "running average's exponent of time, undamped play", value, low, high,
        high < -0.5 and kept > 0.5, grown < 1,
        f"flow; the last iterate keeps {kept:.2f} of its size. Simultaneous steps grow, and their average with them: "
        f"x {grown:.2g} in 30 periods", ("time (periods)", "size (length)"),
        lines=((t[thin], free["average"].values[thin[0]] * (t[thin] / t[thin[0]]) ** -1.0, "1/t"),),
        points=((t[thin], last[thin], None, "last iterate"), (t[thin], free["average"].values[thin], None, "average")),
        log="xy",
    )  # fmt: skip

    both = ("generator", "discriminator")
    grow_x, grow_p, grow_m = TIMES, [], []
    for tau in TIMES:
        exp = playing(seed, w, tau, 0.0, both, "flow")
        rate = convergence_rate(exp)
        grow_p.append(rate / w)
        grow_m.append(fitted(exp) / w)
    off = np.abs(np.array(grow_m) / np.array(grow_p) - 1)
    edge = brentq(lambda a: convergence_rate(playing(seed, w, 1.0, a, both, "flow")), 0.01, 20, xtol=1e-4)
    damped = [convergence_rate(playing(seed, w, tau, DAMPED, both, "flow")) / w for tau in TIMES]
    second = Claim(
        "memory of the opponent alone destabilises gradient play", "linear response",
        "largest simulated decay rate / frequency, no damping", float(np.max(grow_m)), float(np.max(grow_m) * (
            1 + off.max())), float(np.max(grow_m) * (1 - off.max())), bool(np.max(grow_m) < 0 and off.max() < AGREES),
        bool(np.max(damped) < 0),
        f"damping a below {edge:.3g} of the frequency at tau = 1/frequency (both averaged)",
        ("averaging time × frequency", "decay rate / frequency"),
        lines=((grow_x, grow_p, "predicted, no damping"), (grow_x, damped, f"predicted, a = {DAMPED:g}")),
        points=((grow_x, grow_m, None, "simulated, no damping"),), log="x",
    )  # fmt: skip

    rule, measured, predicted = "best_response_flow", {}, {}
    for player in both:
        predicted[player], measured[player] = [], []
        for tau in TIMES:
            exp = playing(seed, w, tau, 1.0, (player,), rule)
            rate = convergence_rate(exp)
            predicted[player].append(rate / w)
            measured[player].append(fitted(exp) / w)
    plain = convergence_rate(playing(seed, w, 0.0, 1.0, (), rule)) / w
    p, m = np.array(list(predicted.values())), np.array(list(measured.values()))
    off = float(np.abs(m / p - 1).max())
    third = Claim(
        "against best responses averages still converge, and damp", PAPERS["average"],
        "smallest simulated decay rate / frequency", float(m.min()), float(m.min() * (1 - off)),
        float(m.min() * (1 + off)), bool(m.min() > 0 and off < AGREES), bool(p.min() >= plain),
        f"stable at every averaging time; faster than without memory ({plain:.3g}) at "
        f"{int((p > plain * (1 + 1e-9)).sum())} of {p.size}", ("averaging time × frequency", "decay rate / frequency"),
        lines=(*((TIMES, predicted[k], f"{k} averaged, predicted") for k in both),
               (TIMES, np.full(len(TIMES), plain), "no memory")),
        points=tuple((TIMES, measured[k], None, f"{k}, simulated") for k in both), log="x",
    )  # fmt: skip
    return [first, second, third, uniform(seed, value, low, high)]


def uniform(seed: int, value: float, low: float, high: float) -> Claim:
    """Exponents of play against uniformly averaged opponents over damping, if the machinery has them."""
    name, what = "averages over all of the past converge as 1/t", "exponent of the average of undamped play"
    if not hasattr(remedies_play, "uniform_powers"):
        return Claim(name, PAPERS["average"], what, value, low, high, abs(value + 1) < EXPONENT, True,
                     "the average of play against present opponents", ("", ""))  # fmt: skip
    ds = remedies_play.uniform_powers(seed, 3, steps=1200).sel(player="generator")
    x = ds["ratio"].values
    parts = [ds.sel(which=which) for which in ("last", "average")]
    at_rate = np.abs(parts[1]["measured"] + 1) < 2 * parts[1]["stderr"] + 0.05
    shown = ", ".join(f"{v:.2f}" for v in parts[1]["measured"].values)
    return Claim(
        name, PAPERS["average"], what, value, low, high, abs(value + 1) < EXPONENT, bool(at_rate.all()),
        f"present opponents. Against averaged ones the average's exponent is {shown} at w2/a2 = "
        + ", ".join(f"{v:.2g}" for v in x), ("$\\omega^2/a^2$", "exponent of time"),
        lines=tuple((x, part["predicted"].values, f"{which}, predicted")
                    for which, part in zip(("last iterate", "average"), parts, strict=True)),
        points=tuple((x, part["measured"].values, part["stderr"].values, which)
                     for which, part in zip(("last iterate", "average"), parts, strict=True)), log="x",
    )  # fmt: skip


# -- packing --------------------------------------------------------------------------------------------------------


def packed(seed: int, draws: int) -> list[Claim]:
    """Packed training beside the rescaled kernel, over repetitions; then bands of total variation."""
    effects = np.array([remedies_packing.effect(remedies_packing.study(seed + k, CLOUDS)).values
                        for k in range(REPEATS)])  # (repeat, degree, start) # fmt: skip
    x = remedies_packing.AMPLITUDES
    mean, error = effects.mean(0), effects.std(0, ddof=1) / np.sqrt(REPEATS)
    small = float(np.abs(effects[..., 0]).max())
    ranges = [np.polyfit(np.log(x[:7]), np.log(np.abs(effects[k, 0, :7])), 1)[0] for k in range(REPEATS)]
    slope = spread(ranges)
    kicked = float(np.abs(mean[:, -2]).max())
    matter = remedies_packing.MATTERS
    starts = []
    for row in effects.reshape(-1, effects.shape[-1]):
        beyond = np.flatnonzero(row[:-1] < -matter)
        starts.append(x[beyond[0]] if len(beyond) else np.inf)
    from_ = float(np.median(starts))
    collapsed = [spread(effects[:, k, -1]) for k in range(len(remedies_packing.DEGREES))]
    labels = ("kick / spacing of the points", "|distance, packed / rescaled − 1|")
    curves = tuple((x, np.abs(mean[k, :-1]), 2 * error[k, :-1], f"m = {m}")
                   for k, m in enumerate(remedies_packing.DEGREES))  # fmt: skip
    rows = [
        Claim("to first order packing only rescales the discriminator", "linear response",
              "exponent of the difference over the kick", *slope, slope[1] > 0.5 and small < 1e-3, kicked < matter,
              f"kicks: difference {small:.1e} at 1e-4 of the spacing, {kicked:.2f} at the whole spacing", labels,
              lines=((x[:9], np.abs(mean[0, 0]) * (x[:9] / x[0]) ** round(slope[0]), f"power {round(slope[0])}"),),
              points=curves, log="xy"),
        Claim("packing helps a collapsed cloud", PAPERS["pack"],
              "change of the mean distance, cloud on half of the box, m = 3", *collapsed[-1],
              all(c[2] < 0 for c in collapsed), from_ < x[1],
              f"by more than {matter:.0%} from kicks of {from_:.2g} of the spacing on" if np.isfinite(from_)
              else f"no kick up to the spacing helps by {matter:.0%}; the cloud on half of the box does",
              ("kick / spacing of the points (last: half box)", "packed / rescaled − 1"),
              lines=((np.append(x, 2.0), np.zeros(len(x) + 1), "no difference"),),
              points=tuple((np.append(x, 2.0), mean[k], 2 * error[k], f"m = {m}")
                           for k, m in enumerate(remedies_packing.DEGREES)), log="x"),
    ]  # fmt: skip
    return [*rows, concentrated(seed), packed_coverage(seed), *bands(seed, 100 * draws)]


def concentrated(seed: int) -> Claim:
    """How much sooner a concentrated cloud splits, packed against the rescaled kernel."""
    ds = remedies_packing.splitting(seed, SPLIT_DRAWS)
    predicted, simulated = ds["predicted"].values, ds["simulated"].values  # (degree, draw)
    m = ds["degree"].values.astype(float)
    value = spread(simulated[1])
    error = float(np.abs(simulated / predicted - 1).max())
    every = [spread(row) for row in simulated]
    return Claim(
        "packing penalises collapse: a concentrated cloud splits sooner", PAPERS["pack"],
        "splitting time over the rescaled kernel's, m = 2", *value, value[2] < 1 and error < AGREES,
        all(v[2] < 1 for v in every[1:]),
        f"cloud at a ring's centre, D = D* at first; all m up to {m[-1]:.0f}; within {error:.1e} of the prediction",
        ("samples judged at once, m", "splitting time, packed / rescaled"),
        lines=((m, predicted.mean(1), "predicted, mean"),),
        points=((m, simulated.mean(1), np.array([v[2] - v[0] for v in every]), "simulated, mean"),),
    )  # fmt: skip


def packed_coverage(seed: int) -> Claim:
    """Modes of a ring covered from random starts, packed against the rescaled kernel."""
    ds = remedies_packing.coverage(seed, PACKED_DRAWS)
    mean, error = (v.values / 8 for v in remedies_packing.gain(ds))  # (ratio, spread, degree)
    gains, errors = mean.ravel(), 2 * error.ravel()
    # every setting at once: the mean over settings of each draw
    whole = (ds["covered"].sel(play="packed") - ds["covered"].sel(play="rescaled")) / 8
    value = spread(whole.mean(("ratio", "spread", "degree")).values)
    better, worse = int((gains - errors > 0).sum()), int((gains + errors < 0).sum())
    place = np.arange(1.0, len(gains) + 1)
    return Claim(
        "packing covers modes better from random starts", PAPERS["pack"],
        "gain of the covered share over the rescaled kernel", *value, value[2] > 0, better == len(gains),
        f"surely better in {better}, surely worse in {worse} of {len(gains)} settings (spread of the starts, kernel "
        f"ratio, m); covered {float(ds['covered'].sel(play='packed').mean()) / 8:.2f} packed, "
        f"{float(ds['covered'].sel(play='rescaled').mean()) / 8:.2f} rescaled; {PACKED_DRAWS} draws",
        (f"ratio {remedies_packing.RATIOS[0]:g} (left half), {remedies_packing.RATIOS[-1]:g}; narrow starts first; m",
         "gain of the covered share"),
        lines=((place, np.zeros(len(place)), "no gain"),), points=((place, gains, errors, "packed − rescaled"),),
    )  # fmt: skip


def pairs_of(panel: int, seed: int, draws: int) -> tuple[dict[str, np.ndarray], int, int]:
    """TV(P^m, Q^m) (pair, m) of random pairs with collapse and of those with neither it nor its reverse; how many pairs
    leave their band, and of how many."""
    t, eps, delta = packing.PANELS[panel]
    sizes = [int(m) for m in packing.SIZES]
    edges = {kind: [limits(t, eps, delta, m)[kind] for m in sizes] for kind in ("all", "collapse")}
    kept: dict[str, list[np.ndarray]] = {"collapse": [], "neither": []}
    crossed = total = 0
    for P, Q in packing.random_pairs(np.random.default_rng([seed, 5, panel]), t, draws):
        tv = np.stack([product_total_variation(P, Q, m) for m in sizes], -1)
        collapse = curve(P, Q, eps) >= delta
        neither = ~collapse & (curve(Q, P, eps) < delta)
        for kind, chosen in (("all", np.ones(len(P), bool)), ("collapse", collapse)):
            low, high = np.array(edges[kind]).T
            outside = (tv < low - packing.ROUNDING) | (tv > high + packing.ROUNDING)
            crossed += int((outside.any(-1) & chosen).sum())
            total += int(chosen.sum())
        kept["collapse"].append(tv[collapse])
        kept["neither"].append(tv[neither])
    return {kind: np.concatenate(v) for kind, v in kept.items()}, crossed, total


def limits(t: float, eps: float, delta: float, m: int) -> dict[str, tuple[float, float]]:
    everything, collapsed = band(t, m), band_with_collapse(t, eps, delta, m)
    assert collapsed is not None
    return {"all": (everything.low, everything.high), "collapse": (collapsed.low, collapsed.high)}


def bands(seed: int, draws: int) -> list[Claim]:
    """Random pairs of one TV with and without collapse, and the lower edges of their bands, in three settings."""
    main = 1
    t, eps, delta = packing.PANELS[main]
    sizes = np.array(packing.SIZES)
    found = [pairs_of(i, seed, draws) for i in range(len(packing.PANELS))]
    crossed, total = (sum(part[i] for part in found) for i in (1, 2))
    interval = wilson(crossed, total)
    edges = [[limits(*panel, int(m)) for m in sizes] for panel in packing.PANELS]
    raised = np.array([[e["collapse"][0] - e["all"][0] for e in row] for row in edges])
    low, top = (np.array([e["all"][k] for e in edges[main]]) for k in (0, 1))
    cut = float(np.median(raised[main, 1:] / (top[1:] - low[1:])))

    def gains(seen: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(gain, two standard errors) over m of the mean TV with collapse over that with neither."""
        a, b = seen["collapse"], seen["neither"]
        error = np.sqrt(a.var(0, ddof=1) / len(a) + b.var(0, ddof=1) / len(b))
        return (a.mean(0) - b.mean(0))[1:], 2 * error[1:]

    gain, error = gains(found[main][0])
    everywhere = [gains(part[0]) for part in found if len(part[0]["collapse"]) > 2]
    labels, seen = ("samples judged at once, m", "TV(P$^m$, Q$^m$)"), found[main][0]
    lowest = [np.min(g) for g, _ in everywhere]
    return [
        Claim("mode collapse restricts the band of total variation", PAPERS["pack"],
              "share of random pairs outside their band", crossed / total, *interval,
              interval[1] < 0.01 and bool(np.all(raised[main, 1:] > packing.ROUNDING)),
              bool(raised[:, 1:].min() > packing.ROUNDING),
              f"TV {t:g}, collapse ({eps:g}, {delta:g}): cuts off {cut:.0%} of the band (median over m); smallest rise "
              f"of the lower edge in all three settings {raised[:, 1:].min():.2g}", labels,
              lines=((sizes, low, "lower edge, all"), (sizes, low + raised[main], "lower edge, collapse"),
                     (sizes, top, "upper edge")),
              points=((sizes, seen["collapse"].min(0), None, "lowest pair, collapse"),
                      (sizes, seen["neither"].min(0), None, "lowest pair, neither"))),
        Claim("collapsed pairs move up faster with m", PAPERS["pack"],
              "mean TV with collapse minus with neither, m = 2", float(gain[0]), float(gain[0] - error[0]),
              float(gain[0] + error[0]), bool(np.all(gain - error > 0)),
              all(bool(np.all(g - e > 0)) for g, e in everywhere),
              f"on average over random pairs of TV {t:g} ({len(seen['collapse'])} with collapse, "
              f"{len(seen['neither'])} with neither it nor its reverse); smallest gain over m in each setting: "
              + ", ".join(f"{v:.3f}" for v in lowest), labels,
              points=tuple((sizes, seen[k].mean(0), 2 * seen[k].std(0) / np.sqrt(len(seen[k])), f"mean, {k}")
                           for k in ("collapse", "neither"))),
    ]  # fmt: skip


# -- likelihood -----------------------------------------------------------------------------------------------------


def likelihood(seed: int, draws: int) -> list[Claim]:
    """Two waves on a periodic box, no other damping: simulated rates over the likelihood's weight; then coverage."""
    exp = remedies_play.box(seed, **{"target.side": 5, "generator.particles": 5})
    best = eg.fastest_strength(exp, "likelihood")
    grid = np.concatenate([[1.0], WEIGHTS])
    swept = eg.sweep_strength(exp, "likelihood", best.best * grid, runs=3)
    order = np.argsort(grid)
    rate, error, predicted = (swept[k].values for k in ("rate", "rate_stderr", "predicted_rate"))
    off = float(np.nanmax(np.abs(rate / predicted - 1)))
    share = float(rate[0] / np.nanmax(rate))
    share_error = float(share * np.hypot(error[0] / rate[0], error[np.nanargmax(rate)] / np.nanmax(rate)))
    with_r1 = eg.fastest_strength(exp.replace({"penalty.r1": 0.3}), "likelihood")
    labels = (WEIGHT_LABEL, "slowest rate (1/time)")
    shown = dict(lines=((grid[order], predicted[order], "predicted"),),
                 points=((grid[order], rate[order], 2 * error[order], "simulated"),), log="x")  # fmt: skip
    return [
        Claim("a likelihood term damps the generator's side", PAPERS["hgan"],
              "simulated rate at the best weight (without: 0)",
              float(rate[0]), float(rate[0] - 2 * error[0]), float(rate[0] + 2 * error[0]),
              bool(rate[0] - 2 * error[0] > 0 and off < AGREES), bool(np.nanmin(rate) > 0),
              f"undamped play; simulated over predicted within {off:.1g} at weights from 1/8 to 8 of the best", labels,
              **shown),
        Claim("the best likelihood weight has a closed form", "linear response",
              "simulated rate at it / best simulated", share, share - 2 * share_error, share + 2 * share_error,
              share >= SHARE and best.method == "closed-form", with_r1.method == "closed-form",
              f"without other damping ({best.method}); with R1 0.3 it is {with_r1.method}", labels, **shown),
        coverage(seed),
    ]  # fmt: skip


def coverage(seed: int) -> Claim:
    """Modes of a ring found from random starts over the likelihood's weight (smoothed scores)."""
    covered = []
    for weight in COVER_WEIGHTS:
        exp = ring(seed, weight)
        final = eg.simulate(exp).isel(time=-1)
        covered.append(eg.order_parameters(final["particles"], final["target"])["modes_covered"].values)
    found = np.array(covered) / 8
    means = [spread(row) for row in found]
    best = 1 + int(np.argmax(found[1:].mean(1)))
    gain = spread(found[best] - found[0])  # the same starts
    worst = min(means[1:], key=lambda v: v[2])
    return Claim(
        "a likelihood term covers modes better", PAPERS["hgan"],
        f"gain of the covered share at weight {COVER_WEIGHTS[best]:g}, same starts",
        *gain, gain[1] > 0, worst[2] >= means[0][1],
        f"ring of 8, 8 particles, random starts ({RUNS} runs): covered {means[0][0]:.2f} without, "
        + ", ".join(f"{m[0]:.2f} at {v:g}" for m, v in zip(means[1:], COVER_WEIGHTS[1:], strict=True)),
        ("likelihood weight (first: none)", "share of modes covered"),
        points=((np.maximum(COVER_WEIGHTS, COVER_WEIGHTS[1] / 5), found.mean(1),
                 np.array([m[0] - m[1] for m in means]), "simulated"),), log="x",
    )  # fmt: skip


def ring(seed: int, weight: float) -> eg.Experiment:
    return eg.Experiment(
        target={"kind": "ring", "modes": 8}, generator={"particles": 8, "learning_rate": 0.02},
        discriminator={"features": 128, "learning_rate": 0.2, "length_scale": 0.5},
        penalty={"r1": 0.02}, update={"rule": "alternating"}, likelihood={"weight": weight, "bandwidth": 0.3},
        run={"start": "random", "runs": RUNS, "steps": COVER_STEPS, "record_every": COVER_STEPS, "seed": seed},
    )  # fmt: skip


# %%
PARTS: tuple[Callable[[int, int], list[Claim]], ...] = (best_response, averages, packed, likelihood)


def study(seed: int, draws: int) -> list[Claim]:
    rows: list[Claim] = []
    for part in PARTS:
        rows += part(seed, draws)
        print(f"{part.__name__} done", file=sys.stderr, flush=True)
    return rows


def curves(rows: list[Claim]) -> list[tuple[int, str, str, np.ndarray]]:
    """(claim, "line" or "points", label, (x, y, error below, error above) by sample) of everything that is drawn."""
    out = []
    for i, row in enumerate(rows):
        for kind, parts in (("line", row.lines), ("points", row.points)):
            for x, y, *error, label in parts:
                e = np.zeros((2, len(x))) if not error or error[0] is None else np.broadcast_to(error[0], (2, len(x)))
                out.append((i, kind, label, np.array([x, y, *e], dtype=float)))
    return out


def table(rows: list[Claim]) -> xr.Dataset:
    """The claims, and all that is drawn of them: samples of curves, curves of claims."""
    names = ("paper", "what", "value", "low", "high", "under", "beyond", "verdict", "condition", "log")
    columns = {name: np.array([getattr(row, name) for row in rows]) for name in names}
    columns |= {n: np.array([row.labels[i] for row in rows]) for i, n in enumerate(("xlabel", "ylabel"))}
    columns = {name: v.astype(np.int8) if v.dtype == bool else v for name, v in columns.items()}
    of, kinds, labels, parts = zip(*curves(rows), strict=True)
    samples = np.concatenate(parts, axis=1)
    return xr.Dataset(
        {name: ("claim", v) for name, v in columns.items()}
        | {"curve_claim": ("curve", list(of)), "curve_kind": ("curve", list(kinds))}
        | {"curve_label": ("curve", list(labels))}
        | {n: ("sample", v) for n, v in zip(("x", "y", "below", "above"), samples, strict=True)}
        | {"sample_curve": ("sample", np.repeat(np.arange(len(parts)), [p.shape[1] for p in parts]))},
        {"claim": [row.name for row in rows]},
    )  # fmt: skip


def figure(ds: xr.Dataset):
    """The claims by verdict, each with the number that decides and its interval; where one fails, what
    was seen."""
    verdicts = ds["verdict"].values.astype(str)
    rows: list[tuple[str, int | None]] = []
    for word in VERDICTS:
        of = np.flatnonzero(verdicts == word)
        rows += [(word, None), *((word, int(i)) for i in of)] if len(of) else []
    fig, ax = sheet(1, 1, 0.3 + 0.4 * len(rows))
    ax.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6))
    ax.axis("off")
    for y, (word, i) in enumerate(rows):
        if i is None:
            head = f"{word}: {(verdicts == word).sum()} of {len(verdicts)}, {MEANING[word]}"
            ax.text(0, y + 0.2, head, color=VERDICTS[word], fontsize=11, fontweight="bold", va="center")
            continue
        row = ds.isel(claim=i)
        value, low, high = (float(row[n]) for n in ("value", "low", "high"))
        ax.plot(0.012, y, MARKERS[word], color=VERDICTS[word], ms=9)
        ax.text(0.035, y - 0.18, str(row["claim"].values), fontsize=9.5, va="center")
        number = f"{row['what'].values}: {value:.3g} [{low:.3g}, {high:.3g}]"
        ax.text(0.035, y + 0.22, number, fontsize=8, va="center", color=DARK)
        more = str(row["paper"].values)
        if word != "confirmed":
            more += "; " + str(row["condition"].values)
        ax.text(0.6, y, fill(shorten(more, 118, placeholder=" …"), 62), fontsize=8, va="center", color=DARK)
    return fig


def panels(ds: xr.Dataset):
    """A panel for each claim: what decides it, and the verdict."""
    columns = 3
    lines = -(-ds.sizes["claim"] // columns)
    fig, axes = sheet(lines, columns, 3.0 * lines, squeeze=False)
    for i, ax in enumerate(axes.ravel()):
        ax.set_visible(i < ds.sizes["claim"])
        if i < ds.sizes["claim"]:
            _claim(ax, ds.isel(claim=i), ds, i)
    return fig


def _claim(ax, row: xr.Dataset, ds: xr.Dataset, number: int) -> None:
    looks = {"line": iter((("-", BLACK), ("--", BLACK), (":", GREY))), "points": iter((("o", VERMILLION), ("^", BLUE)))}
    for k in np.flatnonzero(ds["curve_claim"].values == number):
        kind, label = str(ds["curve_kind"].values[k]), str(ds["curve_label"].values[k])
        part = ds.isel(sample=np.flatnonzero(ds["sample_curve"].values == k))
        style, colour = next(looks[kind], (None, None))
        if style is None:
            continue
        if kind == "line":
            ax.plot(part["x"], part["y"], style, color=colour, lw=1.2, label=label)
        else:
            error = np.array([part["below"], part["above"]])
            style = "-" if part.sizes["sample"] > 50 else style
            ax.errorbar(part["x"], part["y"], error if error.any() else None, fmt=style, color=colour, ms=4, lw=0.8,
                        capsize=2, label=label)  # fmt: skip
    xlabel, ylabel, log = (str(row[n].values) for n in ("xlabel", "ylabel", "log"))
    if not xlabel:  # the number alone
        ax.errorbar([0], [row["value"]], [[row["value"] - row["low"]], [row["high"] - row["value"]]], fmt="o",
                    color=VERMILLION, capsize=3)  # fmt: skip
        ax.set_xticks([])
        ylabel = str(row["what"].values)
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")
    if xlabel == WEIGHT_LABEL:
        ax.set_xticks([1 / 8, 1 / 2, 1, 2, 8], ["1/8", "1/2", "1", "2", "8"])
    if xlabel == "discriminator":
        ax.set(xlim=(-0.6, 1.6), ylim=(0, 1.05))
        ax.set_xticks([0, 1], ["best response", "first order"])
    elif xlabel:
        ax.legend(fontsize=6, framealpha=0.7)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter(NullFormatter())
    ax.tick_params(labelsize=7)
    ax.set_xlabel(fill(xlabel, 44), fontsize=7.5)
    ax.set_ylabel(fill(ylabel, 34), fontsize=7.5)
    word = str(row["verdict"].values)
    ax.set_title(fill(f"{row['claim'].values} ({row['paper'].values})", 42) + "\n", fontsize=8)
    ax.annotate(f"{word}: {float(row['value']):.3g} [{float(row['low']):.3g}, {float(row['high']):.3g}]", (0.5, 1),
                (0, 4), xycoords="axes fraction", textcoords="offset points", ha="center", fontsize=8,
                fontweight="bold", color=VERDICTS[word])  # fmt: skip


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("remedies_claims", draws=200).parse_args(argv)
    ds = made(args, lambda: table(study(args.seed, args.draws)), figure)
    write(args.output.with_name(f"{args.output.name}_panels"), None, drawn(panels, ds), ds.attrs)
    for i in range(ds.sizes["claim"]):
        row = {n: ds[n].values[i] for n in ("claim", "paper", "what", "value", "low", "high", "verdict", "condition")}
        number = f"{row['what']}: {row['value']:.4g} [{row['low']:.4g}, {row['high']:.4g}]"
        print(f"{row['verdict'].upper():9s} {row['claim']} ({row['paper']})", number, row["condition"],
              sep="\n          ")  # fmt: skip
    return ds


# %%
if __name__ == "__main__":
    main()
