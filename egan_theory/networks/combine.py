"""One advice from all draws: the strength that costs the worst of them least, scatter, powers of the batch size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

from ..experiment import Experiment
from ..features.rows import RowFeatures
from ..predict.regularizer import binding_modes
from .advice import Advice, Draw
from .carried import CARRIED, best_carried, binding, rates_at
from .practice import CHECK_ROWS, affordable, dense_rows, on, value_damping
from .single import betas, betas_of, guess, stable, varied

Array = np.ndarray
Progress = Callable[[int, int], None]

#: the curves: this many strengths, this far either side of the advice
CURVE_POINTS, CURVE_SPAN = 33, 16.0
#: accuracy of log strength to which the draws are balanced
REGRET_TOLERANCE = 3e-3
#: parts of a batch at which the dependence on its size is measured
PARTS = (4, 2, 1)
SIZED = ("points", "best", "rate", "beta_min", "beta_max")


def combined(
    rows: dict[tuple[int, int], RowFeatures],
    chosen: list[Array],
    base: Experiment,
    variations: bool,
    progress: Progress | None,
    values: bool = True,
    precision: str = "float64",
    own: bool = False,
) -> Advice:
    """Advice from the rows of each (initialisation, batch); ``values``: those of D's values are known; precision: of
    the rows' products; own: with the particles of ``base`` itself (practice.on)."""
    exact = {key: on(base, chosen[key[1]], features, own) for key, features in rows.items()}
    scanned = {key: affordable(exp) for key, exp in exact.items()}
    draws: list[Draw] = []
    for key, exp in scanned.items():
        fastest, rate, result = best_carried(exp, lambda exp=exp, f=rows[key]: guess(exp, f))  # type: ignore[misc]
        low, high = betas(rows[key])
        found = binding if result is None else binding_modes
        modes = found(exp.replace({"penalty.r1": fastest}))
        draws.append(
            Draw(*key, best=fastest, rate=rate, rate_at_advised=np.nan, beta_min=low, beta_max=high,
                 modes=(count := chosen[key[1]].size), unresolved=count - len(betas_of(rows[key])),
                 stable=stable(exp, fastest), method="numerical" if result is None else result.method,
                 binding_modes=tuple(modes))
        )  # fmt: skip
        if progress is not None:
            progress(len(rows) + len(draws), 2 * len(rows))
    bests = np.array([draw.best for draw in draws])
    positive = bests[bests > 0]
    # where most draws want none, none is the advice
    best = _least_regret(list(scanned.values()), draws) if 2 * len(positive) > len(bests) else 0.0
    middle = float(np.exp(np.log(positive).mean())) if best else 0.0
    spread = float(np.log(positive).std(ddof=1)) if best and len(positive) > 1 else float("nan")
    at = np.array([rates_at(exp, best * np.array([0.5, 1.0, 2.0])) for exp in scanned.values()])
    draws = [replace(draw, rate_at_advised=float(r)) for draw, r in zip(draws, at[:, 1], strict=True)]
    first = next(iter(rows))
    centre = best or guess(scanned[first], rows[first])
    strengths = centre * np.geomspace(1 / CURVE_SPAN, CURVE_SPAN, CURVE_POINTS)
    neglected = scanned[first] is not exact[first]
    check = None
    if neglected and best and dense_rows(exact[first]) <= CHECK_ROWS:
        factors = {"half": 0.5, "the advised strength": 1.0, "twice": 2.0}
        check = {k: float(rates_at(exact[first], np.array([f * best]))[0]) for k, f in factors.items()}
    sizes, exponents = _sizes(rows, chosen, base, own)
    over_batches, over_initialisations = _spreads(draws) if best else (float("nan"), float("nan"))
    lows = [d.stable[0] for d in draws]
    highs = [d.stable[1] for d in draws if d.stable[1] is not None]
    return Advice(
        best=best,
        low=middle * float(np.exp(-spread)),
        high=middle * float(np.exp(spread)),
        rate=float(at[:, 1].mean()),
        rate_at_half=float(at[:, 0].mean()),
        rate_at_double=float(at[:, 2].mean()),
        spread_batches=over_batches,
        spread_initialisations=over_initialisations,
        batch_size=rows[first].points,
        draws=tuple(draws),
        stable=(None if None in lows else max(v for v in lows if v is not None), min(highs, default=None)),
        sizes=sizes,
        exponents=exponents,
        variations=tuple(varied(exact[first], rows[first], draws[0].rate, values)) if variations else (),
        check=check,
        assumptions=_assumptions(exact[first], draws, neglected, check is not None, precision),
        unit="1/time" if base.update_rule.continuous else "1/step",
        strengths=strengths,
        rates=np.array([rates_at(exp, strengths) for exp in scanned.values()]),
    )


def _least_regret(members: Sequence[Experiment], draws: Sequence[Draw]) -> float:
    """The strength at which the draw that fares worst keeps the largest share of its own best rate. A mean of the best
    strengths may lie beyond where some draw is stable. Each share rises to its maximum and falls (3a), so that their
    minimum does too, between the smallest and the largest of the best."""
    kept = [(exp, draw) for exp, draw in zip(members, draws, strict=True) if draw.best > 0]
    low, high = (f(draw.best for _, draw in kept) for f in (min, max))
    if low == high:
        return low

    def worst(u: float) -> float:
        one = np.array([float(np.exp(u))])
        return min(float(rates_at(exp, one)[0]) / abs(draw.rate) for exp, draw in kept)

    found = minimize_scalar(
        lambda u: -worst(u), bounds=(np.log(low), np.log(high)), method="bounded", options={"xatol": REGRET_TOLERANCE}
    )
    # a minimum of curves with edges: the search may stop beside the best
    return float(np.exp(max((np.log(low), np.log(high), found.x), key=worst)))


def _spreads(draws: Sequence[Draw]) -> tuple[float, float]:
    """(standard deviation of log best over batches of one initialisation, over initialisations with the batches' share
    taken out), nan where there is one."""
    log = {(d.initialisation, d.batch): np.log(d.best) if d.best > 0 else np.nan for d in draws}
    table = np.array([[log[i, k] for k in sorted({k for _, k in log})] for i in sorted({i for i, _ in log})])
    I, K = table.shape
    within = float(np.sqrt(np.nanmean(np.nanvar(table, axis=1, ddof=1)))) if K > 1 else float("nan")
    if I < 2:
        return within, float("nan")
    # every initialisation sees the same batches: what is left beside both is divided by their number
    residual = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    noise = (residual**2).sum() / max((I - 1) * (K - 1), 1) / K if K > 1 else 0.0
    return within, float(np.sqrt(max(table.mean(1).var(ddof=1) - noise, 0.0)))


def _sizes(
    rows: dict[tuple[int, int], RowFeatures], chosen: list[Array], base: Experiment, own: bool
) -> tuple[tuple[dict[str, float], ...], dict[str, float]]:
    """Best strength and rate of nested parts of the first initialisation's batches, and their powers of the size."""
    M = len(chosen[0])
    table = []
    for size in sorted({M // part for part in PARTS if M // part >= 2}):
        one = []
        for k, Y in enumerate(chosen):
            features = rows[0, k].part(size)
            exp = affordable(on(base, Y[:size], features, own))
            best, rate, _ = best_carried(exp, lambda exp=exp, f=features: guess(exp, f))  # type: ignore[misc]
            one.append((best, rate, *betas(features)))
        if np.all(np.array(one) > 0):
            mean = np.exp(np.log(one).mean(0))
            table.append(dict(zip(SIZED, (size, *map(float, mean)), strict=True)))
    exponents = {}
    if len(table) > 1:
        points = np.log([row["points"] for row in table])
        for name in SIZED[1:]:
            exponents[name] = float(np.polyfit(points, np.log([row[name] for row in table]), 1)[0])
    return tuple(table), exponents


def _assumptions(
    exp: Experiment, draws: Sequence[Draw], neglected: bool, checked: bool, precision: str
) -> tuple[str, ...]:
    k, loss = exp.generator.kernel, exp.loss_object
    out = [
        "the end of training: D = D* on the data, and particles on the data, small deviations from both",
        "the tangent features of D stay those of the given weights (kernel drift is neglected)",
        "the mini-batch stands for the whole data, its points weigh alike; a larger one has slower modes",
        f"the generator's tangent kernel is g1 = {k.g1:g} for a sample with itself, g2 = {k.g2:g} between samples, "
        "the identity over output dimensions",
        f"loss: c = {loss.c:g}, b = {loss.b:g}, kappa = {value_damping(exp):g}; "
        f"losses are {'sums' if exp.generator.normalisation == 'sum' else 'means'} over the generator's samples, "
        f"{exp.generator.particles // len(exp.points.weights)} on each point of the batch",
    ]
    if lost := max(draw.unresolved for draw in draws):
        out.append(
            f"{lost} of the {draws[0].modes} modes of the particles on a batch are left out: D does not see them, or "
            f"their stiffness is below the rounding error of the numbers given ({precision})"
        )
    if neglected:
        how = "checked at the advice" if checked else "not checked: too large"
        out.append(f"kappa and the collective part of the generator's kernel are left out of the scan ({how})")
    if value_damping(exp) and not neglected:
        out.append(f"modes with less than {CARRIED:.0%} of their motion in the particles are not counted")
    if min(draw.rate for draw in draws) <= 0:
        out.append("in some draw no R1 strength stabilises every mode")
    return tuple(out)
