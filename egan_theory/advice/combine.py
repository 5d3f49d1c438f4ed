"""One advice from all draws: the strength that leaves the worst of them least, scatter, powers of the batch size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..experiment import Experiment
from ..features.rows import RowFeatures
from ..linear.modes import CARRIED
from ..predict.asymptotic import Fastest, fastest_strength, rates_over
from ..predict.curve import refined
from ..predict.left import Left, left_over, told
from ..predict.regularizer import binding_modes, slow_modes
from .practice import CHECK_ROWS, affordable, dense_rows, on, value_damping
from .reach import Reach, Surroundings
from .result import Advice, Asymptotic, Draw
from .strengths import Span, alone, betas, betas_of, choose_together, span, stable, varied

Array = np.ndarray
Progress = Callable[[int, int], None]

#: accuracy of log strength to which the draws' rates are balanced
REGRET_TOLERANCE = 3e-3
#: parts of a batch at which the dependence on its size is measured
PARTS = (4, 2, 1)
SIZED = ("points", "best", "left", "asymptotic", "rate", "beta_min", "beta_max")


def combined(
    rows: dict[tuple[int, int], RowFeatures],
    chosen: list[Array],
    base: Experiment,
    horizon: float,
    variations: bool,
    progress: Progress | None,
    around: Surroundings,
    *,
    values: bool = True,
    precision: str = "float64",
    own: bool = False,
) -> Advice:
    """Advice from the rows of each (initialisation, batch); ``values``: those of D's values are known; precision: of
    the rows' products; own: with the particles of ``base`` itself (practice.on)."""
    exact = {key: on(base, chosen[key[1]], features, own) for key, features in rows.items()}
    members, first = [affordable(exp) for exp in exact.values()], next(iter(rows))
    found: list[Fastest] = []
    for exp in members:
        found.append(fastest_strength(exp, "r1"))
        if progress is not None:
            progress(len(rows) + len(found), 2 * len(rows))
    spans = [span(exp, features) for exp, features in zip(members, rows.values(), strict=True)]
    limits = [stable(exp, one.best or 0.0, s) for exp, one, s in zip(members, found, spans, strict=True)]
    together = choose_together(
        members, horizon, Span(min(s.low for s in spans), max(s.high for s in spans)), [high for _, high in limits]
    )
    best = together.choice.best
    at = {f: [_left(exp, f * best, horizon) for exp in members] for f in (0.0, 0.5, 1.0, 2.0)}
    rates = np.array([rates_over(exp, "r1", best * np.array([0.5, 1.0, 2.0])) for exp in members])
    draws = []
    for i, (key, exp) in enumerate(zip(rows, members, strict=True)):
        low, high = betas(rows[key])
        count, fastest = chosen[key[1]].size, found[i].best or 0.0
        draws.append(
            Draw(
                *key, best=float(together.optimum[i]), left=float(together.least[i]), left_at_advised=at[1.0][i].moving,
                asymptotic=fastest, rate=found[i].rate, rate_at_advised=float(rates[i, 1]), beta_min=low, beta_max=high,
                modes=count, unresolved=count - len(betas_of(rows[key])), stable=limits[i], method=found[i].method,
                binding_modes=tuple(binding_modes(exp.replace({"penalty.r1": fastest}))),
            )
        )  # fmt: skip
    bests = np.array([draw.best for draw in draws])
    positive = np.log(bests[bests > 0])
    middle = float(np.exp(positive.mean())) if best and len(positive) else 0.0
    spread = float(positive.std(ddof=1)) if best and len(positive) > 1 else float("nan")
    neglected = members[0] is not exact[first]
    check = None
    if neglected and best and dense_rows(exact[first]) <= CHECK_ROWS:
        factors = {"half": 0.5, "the advised strength": 1.0, "twice": 2.0}
        check = {k: _left(exact[first], f * best, horizon).moving for k, f in factors.items()}
    sizes, exponents = _sizes(rows, chosen, base, horizon, own)
    over_batches, over_initialisations = _spreads(draws) if best else (float("nan"), float("nan"))
    lows = [low for low, _ in limits]
    left, slowest = told(at), rates.mean(0)
    return Advice(
        best=best,
        horizon=horizon,
        **left,
        choice=together.choice,
        edge=together.edge,
        asymptotic=_asymptotic(members, found),
        low=middle * float(np.exp(-spread)),
        high=middle * float(np.exp(spread)),
        rate=float(slowest[1]),
        rate_at_half=float(slowest[0]),
        rate_at_double=float(slowest[2]),
        spread_batches=over_batches,
        spread_initialisations=over_initialisations,
        batch_size=rows[first].points,
        draws=tuple(draws),
        stable=(None if None in lows else max(v for v in lows if v is not None), together.edge),
        sizes=sizes,
        exponents=exponents,
        variations=tuple(varied(exact[first], rows[first], found[0].rate, values, horizon)) if variations else (),
        check=check,
        reach=_reach(members, best, left["moving"], horizon, around),
        assumptions=_assumptions(exact[first], draws, neglected, check is not None),
        precision=precision,
        unit=base.update_rule.rate_unit,
        strengths=together.strengths,
        lefts=together.moving,
    )


def _left(exp: Experiment, strength: float, horizon: float) -> Left:
    return left_over(exp.replace({"penalty.r1": strength}), horizon)


def _reach(members: Sequence[Experiment], best: float, left: float, horizon: float, around: Surroundings) -> Reach:
    slow = [slow_modes(exp.replace({"penalty.r1": best}), horizon) for exp in members]
    with np.errstate(divide="ignore"):
        folds = -float(np.log(left))
    return Reach(folds, sum(s for s, _ in slow) / max(sum(n for _, n in slow), 1), *around)


def _asymptotic(members: Sequence[Experiment], found: Sequence[Fastest]) -> Asymptotic:
    """The strength for a training without end: that at which the draw that fares worst keeps the largest share of its
    own best rate. A mean of the best strengths may lie beyond where some draw is stable. Each share rises to its
    maximum and falls (symbolic.damping), so that their minimum does too, between the smallest and the largest best."""
    kept = [(exp, one) for exp, one in zip(members, found, strict=True) if one.best]
    rates = [one.rate for one in found]
    if 2 * len(kept) <= len(found):  # where most draws want none, none is the advice
        return Asymptotic(0.0, float(np.mean([rates_over(e, "r1", [0.0])[0] for e in members])), "numerical")
    method = "closed-form" if len(found) == 1 and found[0].method == "closed-form" else "numerical"
    low, high = (f(one.best for _, one in kept if one.best) for f in (min, max))
    if low == high:
        return Asymptotic(float(low), float(np.mean(rates)), method)

    def worst(strength: float) -> float:
        return min(float(rates_over(exp, "r1", [strength])[0]) / abs(one.rate) for exp, one in kept)

    inner = refined(lambda strength: -worst(strength), low, high, REGRET_TOLERANCE)[0]
    # a minimum of curves with edges: the search may stop beside the best
    best = float(max((low, high, inner), key=worst))
    return Asymptotic(best, float(np.mean([rates_over(exp, "r1", [best])[0] for exp in members])), method)


def _spreads(draws: Sequence[Draw]) -> tuple[float, float]:
    """(standard deviation of log best over batches of one initialisation, over initialisations with the batches' share
    taken out), nan where there is one."""
    log = {(d.initialisation, d.batch): np.log(d.best) if d.best > 0 else np.nan for d in draws}
    table = np.array([[log[i, k] for k in sorted({k for _, k in log})] for i in sorted({i for i, _ in log})])
    if np.isnan(table).any():
        return float("nan"), float("nan")
    I, K = table.shape
    within = float(np.sqrt(np.mean(np.var(table, axis=1, ddof=1)))) if K > 1 else float("nan")
    if I < 2:
        return within, float("nan")
    # every initialisation sees the same batches: what is left beside both is divided by their number
    residual = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    noise = (residual**2).sum() / max((I - 1) * (K - 1), 1) / K if K > 1 else 0.0
    return within, float(np.sqrt(max(table.mean(1).var(ddof=1) - noise, 0.0)))


def _sizes(
    rows: dict[tuple[int, int], RowFeatures], chosen: list[Array], base: Experiment, horizon: float, own: bool
) -> tuple[tuple[dict[str, float], ...], dict[str, float]]:
    """Advice to nested parts of the first initialisation's batches, each alone, and its powers of the size."""
    M = len(chosen[0])
    table = []
    for size in sorted({M // part for part in PARTS if M // part >= 2}):
        one = []
        for k, Y in enumerate(chosen):
            features = rows[0, k].part(size)
            exp = affordable(on(base, Y[:size], features, own))
            fastest = fastest_strength(exp, "r1")
            one.append((*alone(exp, features, horizon), fastest.best or 0.0, fastest.rate, *betas(features)))
        if np.all(np.array(one) > 0):
            mean = np.exp(np.log(one).mean(0))
            table.append(dict(zip(SIZED, map(float, (size, *mean)), strict=True)))
    exponents = {}
    if len(table) > 1:
        points = np.log([row["points"] for row in table])
        for name in SIZED[1:]:
            exponents[name] = float(np.polyfit(points, np.log([row[name] for row in table]), 1)[0])
    return tuple(table), exponents


def _assumptions(exp: Experiment, draws: Sequence[Draw], neglected: bool, checked: bool) -> tuple[str, ...]:
    k, loss = exp.generator.kernel, exp.loss_object
    out = [
        "the end of training: D = D* on the data, and particles on the data, small deviations from both",
        "the tangent features of D stay those of the given weights (kernel drift is neglected)",
        "a kick of all particles in all directions alike, with D at rest",
        "the mini-batch stands for the whole data, its points weigh alike; a larger one has slower modes",
        f"the generator's tangent kernel is g1 = {k.g1:g} for a sample with itself, g2 = {k.g2:g} between samples, "
        "the identity over output dimensions",
        f"loss: c = {loss.c:g}, b = {loss.b:g}, kappa = {value_damping(exp):g}; "
        f"losses are {'sums' if exp.generator.normalisation == 'sum' else 'means'} over the generator's samples, "
        f"{exp.generator.particles // len(exp.points.weights)} on each point of the batch",
    ]
    if neglected:
        how = "checked at the advice" if checked else "not checked: too large"
        out.append(f"kappa and the collective part of the generator's kernel are left out of the scan ({how})")
    if value_damping(exp) and not neglected:
        out.append(f"rates: modes with less than {CARRIED:.0%} of their motion in the particles are not counted")
    if min(draw.rate for draw in draws) <= 0:
        out.append("in some draw no R1 strength stabilises every mode")
    return tuple(out)


__all__ = ["combined"]
