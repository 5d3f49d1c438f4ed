"""The R1 strength for a practitioner's network: theory on its tangent features at mini-batches of its data.

A mini-batch of M points y_i stands for the data, with one particle on each (brief 2b). The discriminator enters through
the rows [psi(y_i); grad psi(y_i)], psi(x) = dD/dweights, or their Gram matrix; of H = B B^T, B = grad psi, the
eigenvalues beta of H/M. Alone (phi = 0, kappa = 0, flow; 3a) the best strength is

    r1* = 2 sqrt(G beta_max / (beta_min (2 beta_max - beta_min))) / eta_D,  G = eta_D eta_G b c (g1 - g2) omega / M

with omega = 1 for losses that are means over the batch; everything else is a scan of the exact spectrum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from ..errors import InputError, NotLinearizable
from ..experiment import Experiment
from ..features.rows import RowFeatures
from ..kernels.given import FeatureKernel
from ..linear.linearize import coupling_ratio
from ..symbolic.damping import best_r1
from ..targets import Ring
from .advice import Advice, Draw
from .carried import CARRIED, best_carried, binding, carried_rate, rates_at

Array = np.ndarray
Progress = Callable[[int, int], None]

#: most rows [psi; grad psi] of a batch, M (1 + d): they are decomposed
MAX_ROWS = 2600
#: rows of the dense matrix that a scan diagonalises some hundred times; beyond it kappa and the collective part are
#: left out of the scan, and up to CHECK_ROWS put back for a check of its result
SCAN_ROWS, CHECK_ROWS = 180, 1000
#: the curves: this many strengths, this far either side of the advice
CURVE_POINTS, CURVE_SPAN = 33, 16.0
#: factor by which the limits of stability are searched, and their relative accuracy
LIMIT_SPAN, LIMIT_TOLERANCE = 1e4, 1e-3
#: accuracy of log strength to which the draws are balanced
REGRET_TOLERANCE = 3e-3
#: parts of a batch at which the dependence on its size is measured
PARTS = (4, 2, 1)
SIZED = ("points", "best", "rate", "beta_min", "beta_max")
#: a batch loss is a mean, so omega = 1; its particles are independent unless the generator's kernel is given
PRACTICE: dict[str, dict[str, Any]] = {"generator": {"normalisation": "mean", "kernel": {"ratio": 0.0}}}


def advise(
    D: Callable[[Any, Any], Any],
    params: Any,
    data: Array,
    training: Experiment | Mapping[str, Any] | None = None,
    *,
    batch_size: int = 16,
    batches: int = 4,
    initialisations: Sequence[Any] = (),
    variations: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Advice:
    """The R1 strength at which theory says a GAN with discriminator ``D`` converges fastest.

    D(params, x): JAX, a number for one sample x of the shape of ``data[0]``; all leaves of ``params`` are trained.
    data: (n, ...) samples; mini-batches of ``batch_size`` are drawn from its distinct rows with ``seed``.
    training: an experiment, or tables of one: generator (learning_rate, kernel, normalisation), discriminator
    (learning_rate), loss, penalty (r1 is what is advised), update. Default of a table: losses are means over the batch
    and particles independent, otherwise as in ``Experiment()``.
    initialisations: further trees of weights, each examined on the same batches.

    Raises MissingExtra without JAX, InputError, NotLinearizable. Not checked: that D is smooth at the data.
    """
    from .double import require_jax
    from .tangent import TangentFeatures

    samples, shape = _samples(data)
    jax = require_jax()

    def flat(params: Any, x: Any) -> Any:
        return D(params, x.reshape(shape))

    try:
        size = jax.eval_shape(flat, params, jax.ShapeDtypeStruct(samples.shape[1:], float)).size
    except TypeError as error:
        raise InputError("D", "be a JAX function of (params, one sample)", str(error).split("\n")[0]) from None
    if size != 1:
        raise InputError("D", "give one number for one sample", f"{size} of a sample of shape {shape}")
    chosen = _batches(samples, batch_size, batches, seed)
    trees = [params, *initialisations]
    total = len(trees) * len(chosen)
    rows = {}
    for i, tree in enumerate(trees):
        features = TangentFeatures(flat, tree)
        for k, Y in enumerate(chosen):
            rows[i, k] = RowFeatures(*_ordered(features.seen_rows(Y), len(Y)))
            if progress is not None:
                progress(len(rows), 2 * total)
    return _advise(rows, chosen, _practice(training), variations, progress)


def advise_experiment(
    exp: Experiment,
    data: Array | None = None,
    *,
    batch_size: int = 16,
    batches: int = 4,
    initialisations: int = 4,
    variations: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Advice:
    """``advise`` for an experiment whose discriminator is a network: data in place of its target (default: the target's
    points), fresh networks from discriminator.seed, discriminator.seed + 1, ..."""
    from .mlp import draw
    from .tangent import network_function

    disc = exp.discriminator
    if not disc.finite_network or disc.architecture is None:
        rule = "be above 0 (a network; for any other discriminator give the Gram matrix of its features)"
        found = disc.architecture.width if disc.architecture is not None else "no network"
        raise InputError("discriminator.architecture.width", rule, found)
    if initialisations < 1:
        raise InputError("initialisations", "be at least 1", initialisations)
    samples = _samples(exp.points.coordinates if data is None else data)[0]
    trees = [
        draw(disc.architecture, samples.shape[1], 1, np.random.default_rng([disc.seed + i, 4]))
        for i in range(initialisations)
    ]
    return advise(
        network_function(disc.architecture, disc.length_scale), trees[0], samples, exp, batch_size=batch_size,
        batches=batches, initialisations=trees[1:], variations=variations, seed=seed, progress=progress,
    )  # fmt: skip


def advise_from_gram(
    gram: Array,
    points: int,
    dimension: int,
    training: Experiment | Mapping[str, Any] | None = None,
    *,
    batch_size: int | None = None,
    batches: int = 4,
    variations: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Advice:
    """``advise`` from the products of the rows at M = ``points`` points, from any framework.

    gram: (M (1 + d), M (1 + d)) of [psi(y_1), ..., psi(y_M), d_1 psi(y_1), ..., d_d psi(y_1), d_1 psi(y_2), ...], or
    (M d, M d) of the gradients alone, H, which suffices where kappa = 0 (Wasserstein, hinge; no alpha): in other losses
    D's values at the data matter. batch_size: mini-batches are parts of the M points (default: all of them).
    """
    gram = np.asarray(gram)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or gram.dtype.kind != "f" or not np.all(np.isfinite(gram)):
        raise InputError("gram", "be a square matrix of finite numbers", f"{gram.dtype} of shape {gram.shape}")
    n, d = len(gram), dimension
    if points < 1 or d < 1 or n not in (points * d, points * (1 + d)):
        rule = "have points * dimension rows (gradients) or points * (1 + dimension) (values, then gradients)"
        raise InputError("gram", rule, f"{n} rows for {points} points in {d} dimensions")
    if n > MAX_ROWS:
        raise InputError("gram", f"have at most {MAX_ROWS} rows (fewer points)", n)
    difference, scale = np.abs(gram - gram.T).max(initial=0.0), np.abs(gram).max(initial=0.0)
    if difference > np.sqrt(np.finfo(gram.dtype).eps) * scale:
        raise InputError("gram", "be symmetric", f"differences up to {difference:.3g}")
    base, values = _practice(training), n == points * (1 + d)
    kappa = _value_damping(base)
    if kappa and not values:
        rule = f"hold D's values too, points * (1 + dimension) rows, in a loss with kappa = {kappa:g}"
        raise InputError("gram", rule, "those of the gradients alone")
    symmetric = (gram + gram.T) / 2
    size = points if batch_size is None else batch_size
    if not 1 <= size <= points:
        raise InputError("batch_size", f"be from 1 to the {points} points", size)
    chosen = _choices(points, size, 1 if size == points else batches, seed)
    rows, marks = {}, []
    for k, index in enumerate(chosen):
        rows[0, k] = _from_products(symmetric, points, index, values)
        marks.append(np.concatenate([index[:, None], np.zeros((size, d - 1))], axis=1).astype(float))  # distinct
    return _advise(rows, marks, base, variations, progress, values)


# -- data and settings ----------------------------------------------------------------------------------------------


def _samples(data: Array) -> tuple[Array, tuple[int, ...]]:
    """(distinct samples (n, d) in their order, the shape of one)."""
    data = np.asarray(data)
    if data.ndim < 2 or 0 in data.shape or data.dtype.kind not in "fiu" or not np.all(np.isfinite(data)):
        raise InputError("data", "hold (M, ...) samples of finite numbers", f"{data.dtype} of shape {data.shape}")
    flat = data.reshape(len(data), -1).astype(float)
    first = np.sort(np.unique(flat, axis=0, return_index=True)[1])
    return flat[first], data.shape[1:]


def _choices(total: int, size: int, count: int, seed: int) -> list[Array]:
    if count < 1:
        raise InputError("batches", "be at least 1", count)
    rng = np.random.default_rng([seed, 6])
    return [rng.choice(total, size, replace=False) for _ in range(count)]


def _batches(samples: Array, size: int, count: int, seed: int) -> list[Array]:
    n, d = samples.shape
    if size < 2:
        raise InputError("batch_size", "be at least 2", size)
    size = min(size, n)
    if size * (1 + d) > MAX_ROWS:
        rule = f"give at most {MAX_ROWS} rows, batch_size (1 + d): {MAX_ROWS // (1 + d)} samples here"
        raise InputError("batch_size", rule, f"{size} samples of {d} numbers")
    # all of the data is one batch, not several
    return [samples[index] for index in _choices(n, size, 1 if size == n else count, seed)]


def _ordered(seen: tuple[Array, bool], points: int) -> tuple[Array, int, bool]:
    return seen[0], points, seen[1]


def _from_products(gram: Array, points: int, index: Array, values: bool) -> RowFeatures:
    """The rows of the chosen points."""
    d = len(gram) // points - values
    gradients = (points * values + d * index[:, None] + np.arange(d)).ravel()
    chosen = np.concatenate([index, gradients]) if values else gradients
    found = RowFeatures.from_gram(gram[np.ix_(chosen, chosen)], len(index))
    if values:
        return found
    nothing = np.zeros((len(index), found.size))
    return RowFeatures(np.concatenate([nothing, found.rows]), len(index), exact=False)


def _practice(training: Experiment | Mapping[str, Any] | None) -> Experiment:
    """The settings as an experiment; its target and discriminator kernel are replaced for every batch."""
    if isinstance(training, Experiment):
        return training
    tables: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in dict(training or {}).items()}
    for name in tables:
        if name not in ("generator", "discriminator", "loss", "penalty", "update"):
            rule = "be one of generator, discriminator, loss, penalty, update"
            raise InputError(f"training.{name}", rule, repr(name))
    generator = tables.get("generator", {})
    if isinstance(generator, dict) and generator.get("architecture") is None:
        kernel = PRACTICE["generator"]["kernel"] | dict(generator.get("kernel") or {})
        tables["generator"] = PRACTICE["generator"] | generator | {"kernel": kernel}
    elif isinstance(generator, dict):
        tables["generator"] = {"normalisation": "mean"} | generator
    target = Ring()
    if isinstance(tables.get("generator"), dict):  # one particle per point, however many there are
        tables["generator"] = tables["generator"] | {"particles": target.modes}
    return Experiment(target=target, **tables)


def _on(base: Experiment, Y: Array, features: RowFeatures) -> Experiment:
    """The experiment on one batch, with as many particles per point as it has (1 unless its own target says more)."""
    g, k, penalty = base.generator, base.generator.kernel, base.penalty.model_dump()
    equal = g.normalisation == "mean" and g.masses == "equal"
    per_point = max(g.particles // len(base.points.coordinates), 1) if equal else 1
    return Experiment(
        target={"kind": "points", "values": Y.tolist()},
        generator={
            "particles": len(Y) * per_point, "learning_rate": g.learning_rate, "normalisation": g.normalisation,
            "kernel": {"diagonal": k.g1, "ratio": k.ratio},
        },
        discriminator={
            "kernel": FeatureKernel(features), "features": 0, "learning_rate": base.discriminator.learning_rate
        },
        loss=base.loss, penalty=penalty, update=base.update,
    )  # fmt: skip


# -- one draw -------------------------------------------------------------------------------------------------------


def _value_damping(exp: Experiment) -> float:
    """kappa: the loss's own and the penalty's."""
    k = exp.penalty.coefficients
    return float(exp.loss_object.kappa + k.value_p + k.value_q)


def _dense_rows(exp: Experiment) -> int:
    """Rows of the dense matrix that its spectrum needs; 0 where closed-form blocks suffice."""
    if not _value_damping(exp) and coupling_ratio(exp) is not None:
        return 0
    M, d = exp.points.coordinates.shape
    return M * (1 + 2 * d)


def _affordable(exp: Experiment) -> Experiment:
    """The experiment, without kappa and the collective part of Gamma if its spectrum is too large to scan.

    b and c act through b c alone, so that a Wasserstein loss with eta_G b c has the same modes; relative motion has
    g1 - g2. Raises NotLinearizable where only a loss with kappa exists."""
    if _dense_rows(exp) <= SCAN_ROWS:
        return exp
    loss, kernel = exp.loss_object, exp.generator.kernel
    changes: dict[str, Any] = {"penalty.alpha": 0.0}
    if not loss.needs_multiplier:
        eta_G = exp.generator.learning_rate * loss.b * loss.c
        changes |= {"loss.kind": "wasserstein", "generator.learning_rate": eta_G}
    if kernel.ratio < 1:
        changes |= {"generator.kernel.diagonal": kernel.g1 - kernel.g2, "generator.kernel.ratio": 0.0}
    return exp.replace(changes)


def _stable(exp: Experiment, best: float) -> tuple[float | None, float | None]:
    """Lowest and highest strength around the best at which every mode decays; None: none within LIMIT_SPAN."""

    def rate(strength: float) -> float:
        return carried_rate(exp.replace({"penalty.r1": strength}))

    if best <= 0 or not rate(best) > 0:
        return None, None
    ends: list[float | None] = []
    for factor in (1 / LIMIT_SPAN, LIMIT_SPAN):
        inside, outside = np.log(best), np.log(best * factor)
        if rate(best * factor) > 0:
            ends.append(0.0 if factor < 1 and rate(0.0) > 0 else None)
            continue
        while abs(outside - inside) > LIMIT_TOLERANCE:
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if rate(float(np.exp(middle))) > 0 else (inside, middle)
        ends.append(float(np.exp(inside)))
    return ends[0], ends[1]


def _betas(features: RowFeatures) -> tuple[float, float]:
    beta = features.gradient_values[: features.gradient_rank(np.empty(0))] ** 2 / features.points
    if not len(beta):
        raise NotLinearizable("D", "have a gradient that depends on its weights at the data", "none")
    return float(beta[-1]), float(beta[0])


def _guess(exp: Experiment, features: RowFeatures) -> float:
    """The closed form for the commuting part."""
    low, high = _betas(features)
    loss, k = exp.loss_object, exp.generator.kernel
    eta_D, eta_G = exp.discriminator.learning_rate, exp.generator.learning_rate
    gain = (k.g1 - k.g2 or k.g1) * exp.omega / exp.generator.particles
    return float(best_r1(eta_D * eta_G * loss.b * loss.c * gain, low, high)[0]) / eta_D


def _variations(exp: Experiment, rate: float) -> list[tuple[str, dict[str, Any]]]:
    """(setting, changes) of an experiment: one at a time."""
    g = exp.generator
    out: list[tuple[str, dict[str, Any]]] = []
    losses = ("wasserstein", "logistic", "least_squares")
    out += [(f"loss.kind = {k}", {"loss.kind": k}) for k in losses if k != exp.loss.kind]
    for factor in (0.5, 2.0):
        for path in ("discriminator.learning_rate", "generator.learning_rate"):
            out.append((f"{path} x {factor:g}", {path: factor * exp.get(path)}))
    out.append(("generator.kernel.diagonal x 2", {"generator.kernel.diagonal": 2 * g.kernel.diagonal}))
    nu = float(f"{abs(rate) / exp.discriminator.learning_rate:.1g}") if rate else 0.0
    for path, values in (("generator.kernel.ratio", (0.0, 0.1, 0.5)), ("penalty.weight_decay", (0.0, nu))):
        out += [(f"{path} = {v:g}", {path: v}) for v in values if v != exp.get(path)]
    plain = {"update.critic_steps": 1, "update.momentum_discriminator": 0.0, "update.momentum_generator": 0.0}
    rules = ("flow", "simultaneous", "alternating")
    out += [(f"update.rule = {r}", plain | {"update.rule": r}) for r in rules if r != exp.update.rule]
    return out


def _varied(exp: Experiment, features: RowFeatures, rate: float, values: bool) -> list[dict[str, Any]]:
    found = []
    for setting, changes in _variations(exp, rate):
        row: dict[str, Any] = {"setting": setting, "best": None, "rate": None, "reason": ""}
        try:
            changed = exp.replace(changes)
            if _value_damping(changed) and not values:
                raise InputError("gram", "hold D's values too where kappa > 0")
            best, found_rate, _ = best_carried(_affordable(changed), lambda e=changed: _guess(e, features))  # type: ignore[misc]
            row |= {"best": best, "rate": found_rate}
        except InputError as error:
            row["reason"] = str(error)
        found.append(row)
    return found


# -- all draws ------------------------------------------------------------------------------------------------------


def _advise(
    rows: dict[tuple[int, int], RowFeatures],
    chosen: list[Array],
    base: Experiment,
    variations: bool,
    progress: Progress | None,
    values: bool = True,
) -> Advice:
    """Advice from the rows of each (initialisation, batch); ``values``: those of D's values are known."""
    exact = {key: _on(base, chosen[key[1]], features) for key, features in rows.items()}
    scanned = {key: _affordable(exp) for key, exp in exact.items()}
    draws: list[Draw] = []
    for key, exp in scanned.items():
        own, rate, result = best_carried(exp, lambda exp=exp, f=rows[key]: _guess(exp, f))  # type: ignore[misc]
        low, high = _betas(rows[key])
        modes = binding(exp.replace({"penalty.r1": own})) if result is None else result.binding_modes
        draws.append(
            Draw(*key, best=own, rate=rate, rate_at_advised=np.nan, beta_min=low, beta_max=high,
                 stable=_stable(exp, own), method="numerical" if result is None else result.method,
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
    centre = best or _guess(scanned[first], rows[first])
    strengths = centre * np.geomspace(1 / CURVE_SPAN, CURVE_SPAN, CURVE_POINTS)
    neglected = scanned[first] is not exact[first]
    check = None
    if neglected and best and _dense_rows(exact[first]) <= CHECK_ROWS:
        factors = {"half": 0.5, "the advised strength": 1.0, "twice": 2.0}
        check = {k: float(rates_at(exact[first], np.array([f * best]))[0]) for k, f in factors.items()}
    sizes, exponents = _sizes(rows, chosen, base)
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
        variations=tuple(_varied(exact[first], rows[first], draws[0].rate, values)) if variations else (),
        check=check,
        assumptions=_assumptions(exact[first], draws, neglected, check is not None),
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
    rows: dict[tuple[int, int], RowFeatures], chosen: list[Array], base: Experiment
) -> tuple[tuple[dict[str, float], ...], dict[str, float]]:
    """Best strength and rate of nested parts of the first initialisation's batches, and their powers of the size."""
    M = len(chosen[0])
    table = []
    for size in sorted({M // part for part in PARTS if M // part >= 2}):
        one = []
        for k, Y in enumerate(chosen):
            features = rows[0, k].part(size)
            exp = _affordable(_on(base, Y[:size], features))
            best, rate, _ = best_carried(exp, lambda exp=exp, f=features: _guess(exp, f))  # type: ignore[misc]
            one.append((best, rate, *_betas(features)))
        if np.all(np.array(one) > 0):
            mean = np.exp(np.log(one).mean(0))
            table.append(dict(zip(SIZED, (size, *map(float, mean)), strict=True)))
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
        "the mini-batch stands for the whole data, its points weigh alike; a larger one has slower modes",
        f"the generator's tangent kernel is g1 = {k.g1:g} for a sample with itself, g2 = {k.g2:g} between samples, "
        "the identity over output dimensions",
        f"loss: c = {loss.c:g}, b = {loss.b:g}, kappa = {_value_damping(exp):g}; "
        f"particles' velocities: {'sum' if exp.generator.normalisation == 'sum' else 'mean'} over the batch",
        "modes below the rounding error of the largest are not counted",
    ]
    if neglected:
        how = "checked at the advice" if checked else "not checked: too large"
        out.append(f"kappa and the collective part of the generator's kernel are left out of the scan ({how})")
    if _value_damping(exp) and not neglected:
        out.append(f"modes with less than {CARRIED:.0%} of their motion in the particles are not counted")
    if min(draw.rate for draw in draws) <= 0:
        out.append("in some draw no R1 strength stabilises every mode")
    return tuple(out)


__all__ = ["advise", "advise_experiment", "advise_from_gram"]
