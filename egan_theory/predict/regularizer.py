"""The strength of a penalty that serves training of a stated length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..base.errors import InputError
from ..base.json import number
from ..experiment import Experiment
from ..experiment.taken import takes_experiment
from ..linear import eigenvalues, linearize
from ..tables.penalties import strength_field, strength_unit
from .asymptotic import Fastest, fastest_strength, rate_curve, scale_of, without
from .curve import LeftCurve, finer, refined, stability_edge, widened
from .left import FLAT, SAFETY, WIDE, ForHorizon, choose, horizon_of, left_over, part, told
from .spectrum import merged

#: modes whose rate is within this part of the slowest one's are said to bind
BINDING = 0.01
#: strengths scanned: decades either side of the estimate, points per decade
DECADES, PER_DECADE = 5, 10
#: a scan whose least lies at its upper end goes on for so many times DECADES
WIDENINGS = 2
#: around the least, where what is left may swing with the phase of the modes: decades either side, points per decade
CLOSE, PER_DECADE_CLOSE = 0.6, 50
#: minima of the scan within this factor of the least are refined, at most so many, to this relative accuracy
NEAR_LEAST, REFINED, TOLERANCE = 1.3, 6, 1e-4


@dataclass(frozen=True)
class Regularizer(ForHorizon):
    """The strength of one penalty for training of a stated length; most of its numbers: see ``ForHorizon``.

    Attributes:
        penalty: which one, by name.
        optimum: [unit of the penalty] where least is left of what can move, among allowed strengths.
        least: [1] how much is left there.
        binding_modes: eigenvalues whose rate is the slowest one, to 1 %: re and im per step (flow: time), multiplicity,
            damping_ratio, regime, wavenumber.
        helps: whether any strength leaves at least 1 % less than strength 0.
        limited: whether less would be left nearer to the edge than the factor ``safety`` allows.
        stable: whether there is any stable strength.
        resolution: [1] less than this of what can move is rounding.
        slow_modes: [1] how many of ``modes`` decay by less than 1/e within the horizon.
        modes: [1] number of eigenvalues by which the particles converge.
        safety: [1] smallest factor between ``best`` and ``edge``.
        rate_without: [1/step; flow: 1/time] as rate, at strength 0 (nan: no equilibrium, or below rounding).
        movings: [1] (n,) what each of ``strengths`` leaves of what can move.
        method: "numerical".

    Source:
        Eq. (27, left); the limit of a long time: Eq. (23, best-r1), Eq. (26, best-weight-decay).
    """

    KEYS = (
        "penalty", "best", "horizon", "left", "left_without", "left_at_half", "left_at_double", "frozen", "moving",
        "moving_without", "moving_at_half", "moving_at_double", "optimum", "rate", "rate_without", "rate_at_half",
        "rate_at_double", "range", "edge", "share_of_edge", "asymptotic", "slow_modes", "modes", "method", "unit",
        "binding_modes", "remarks", "assumptions",
    )  # fmt: skip
    SHOWN = ("best", "moving", "moving_without", "moving_at_half", "moving_at_double", "edge", "rate")
    NAMES: ClassVar = {
        "moving": "left of what can move", "moving_without": "left without", "moving_at_half": "left at half",
        "moving_at_double": "left at double",
    }  # fmt: skip
    UNITS = (("rate", "{0.rate_unit}"), ("best", "{0.strength_unit}"), ("edge", "{0.strength_unit}"))
    TITLE = "strength of {0.penalty} for {0.span}"

    penalty: str
    asymptotic: Fastest
    optimum: float
    binding_modes: tuple[dict[str, Any], ...]
    helps: bool
    limited: bool
    stable: bool
    least: float
    resolution: float
    slow_modes: int
    modes: int
    safety: float
    rate_without: float
    movings: np.ndarray = field(repr=False, compare=False)
    method: str = "numerical"

    @property
    def strength_unit(self) -> str:
        """Of strengths of the penalty."""
        return strength_unit(self.penalty)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the numbers mean, in words."""
        return _remarks(self)

    @property
    def range(self) -> tuple[float, float]:
        """Strengths that leave at most 1 % more [unit of the penalty]."""
        return self.low, self.high


@takes_experiment
def best_regularizer(
    exp: Experiment,
    penalty: str = "r1",
    horizon: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    safety: float = SAFETY,
) -> Regularizer:
    """The strength of ``penalty`` that leaves least of a kick after ``horizon`` steps; all else of ``exp`` stays.

        minimise over strength:  left(T; strength) = |P_xx(T)|_F / sqrt(N d)

    P_xx is the block on the particles of the propagator of the linear dynamics over T (linear.kick): the particles are
    kicked isotropically, the discriminator is at rest. The scan covers 10 decades, is widened while the least lies at
    its upper end, made finer around the least, and refined.

    The advice is never within a factor ``safety`` of the edge of stability; where strengths that leave 1 % more than
    the least span a decade or more, it is the gentlest of them; where none leaves 1 % less than strength 0, it is 0. As
    the horizon grows it tends to ``asymptotic.best``. ``eg.regularizer`` is the same function.

    Args:
        penalty: a field of [penalty], or "likelihood".
        horizon: steps (flows: time), default run.steps.
        progress: called with (done, total).
        safety: factor >= 1.

    Returns:
        The advised strength and what it leaves; ``eg.plot.left`` and ``eg.plot.rate_curve`` draw it.

    Units:
        Strengths in that of the penalty (eg.Penalties), ``horizon`` in steps (flows: time), what is left as pure
        numbers.

    Raises:
        InputError: a penalty that is none (or WGAN-GP), a horizon that is no time > 0, safety < 1.
        NotLinearizable: no equilibrium at any strength.

    Assumes:
        Training starts near equilibrium; not checked.

    Source:
        Eq. (27, left); Eq. (23, best-r1) in the limit of a long time.

    Examples:
        >>> import egan_theory as eg
        >>> exp = eg.Experiment(target=eg.Ring(modes=4), discriminator=eg.Discriminator(features=0))
        >>> found = eg.best_regularizer(exp, "r1", horizon=500)
        >>> 0 < found.best < found.edge and found.left < found.left_without
        True
    """
    key, path = strength_field(penalty)
    time = horizon_of(exp, horizon)
    if not (np.isfinite(safety) and safety >= 1):
        raise InputError("safety", "be a number of at least 1", safety)
    bare = without(exp, key)
    zero_strength = float(bare.get(path))
    curve = LeftCurve(exp, path, time, progress)
    centre = scale_of(bare, key)
    strengths = np.geomspace(centre * 10.0**-DECADES, centre * 10.0**DECADES, 2 * DECADES * PER_DECADE + 1)
    if np.isnan(curve(strengths)).all():
        left_over(exp.replace({path: float(centre)}), time)  # raises the reason
    strengths = widened(curve, strengths, 10.0**DECADES, DECADES * PER_DECADE, WIDENINGS)
    edge, stable = stability_edge(exp, path, strengths)
    limit = np.inf if edge is None else edge / safety
    strengths = _refined(curve, strengths, limit)
    zero, moving, resolution = curve.at(zero_strength), curve(strengths), curve.resolution(strengths)
    choice = choose(strengths, moving, zero.moving, edge, safety, resolution)
    endless = choice.helps and choice.optimum == strengths[-1] and choice.best == choice.optimum
    best = choice.best if choice.helps else zero_strength
    chosen, rates = exp.replace({path: best}), rate_curve(exp, path)
    asymptotic = fastest_strength(exp, key)
    slow, modes = slow_modes(chosen, time)
    return Regularizer(
        penalty=key,
        best=float("nan") if endless else best if choice.helps else 0.0,
        horizon=time,
        **told({0.0: [zero]} | {f: [curve.at(f * best)] for f in (0.5, 1.0, 2.0)}),
        optimum=choice.optimum,
        low=choice.low,
        high=choice.high,
        edge=edge,
        rate=rates.at(best),
        rate_without=rates.at(zero_strength),
        rate_at_half=rates.at(best / 2),
        rate_at_double=rates.at(2 * best),
        asymptotic=asymptotic,
        unit=_unit(exp),
        binding_modes=binding_modes(chosen),
        helps=choice.helps,
        limited=choice.limited,
        stable=stable,
        least=float(np.where(np.isfinite(moving) & (strengths <= limit), moving, np.inf).min()),
        resolution=resolution,
        slow_modes=slow,
        modes=modes,
        safety=safety,
        assumptions=(*linearize(chosen).assumptions, *asymptotic.assumptions),
        strengths=strengths,
        lefts=np.array([left.total for left in curve.over(strengths)]),
        movings=moving,
    )


def _refined(curve: LeftCurve, strengths: np.ndarray, limit: float) -> np.ndarray:
    """The scan with strengths around the least among those up to ``limit``, the limit, and the minima found there."""
    strengths = finer(curve, strengths, limit, CLOSE, PER_DECADE_CLOSE)
    moving = curve(strengths)
    value = np.where((strengths <= limit) & np.isfinite(moving), moving, np.inf)
    least = value.min()
    if not np.isfinite(least) or least == 0:
        return strengths
    inner = np.arange(1, len(value) - 1)
    minima = inner[(value[inner] <= value[inner - 1]) & (value[inner] <= value[inner + 1])]
    minima = minima[value[minima] <= NEAR_LEAST * least]
    found = [
        refined(lambda s: curve.at(s).moving, strengths[j - 1], min(strengths[j + 1], limit), TOLERANCE)[0]
        for j in minima[np.argsort(value[minima])][:REFINED]
    ]
    return np.union1d(strengths, found)


def _unit(exp: Experiment) -> str:
    return "units of time" if exp.update_rule.continuous else "steps"


def binding_modes(exp: Experiment) -> tuple[dict[str, Any], ...]:
    """The modes by which the particles converge whose rate is within 1 % of the slowest."""
    values = merged(eigenvalues(linearize(exp)))
    chosen = values.decisive
    if not chosen.any():
        return ()
    slowest = values.rates[chosen].min()
    bind = np.flatnonzero(chosen & (values.rates <= slowest + BINDING * abs(slowest)))
    return tuple(
        {
            "re": number(values.s[i].real),
            "im": number(values.s[i].imag),
            "multiplicity": int(values.multiplicity[i]),
            "damping_ratio": number(values.damping_ratio[i]),
            "regime": str(values.regime[i]),
            "wavenumber": number(values.wavenumber[i]),
        }
        for i in bind
    )


def slow_modes(exp: Experiment, time: float) -> tuple[int, int]:
    """(how many eigenvalues of modes by which the particles converge decay by less than 1/e within ``time``, of how
    many)."""
    values = eigenvalues(linearize(exp), ratios=False)
    count = values.multiplicity * values.carried
    return int(count[values.rates * time < 1].sum()), int(count.sum())


def _remarks(r: Regularizer) -> tuple[str, ...]:
    """What the numbers mean, in words."""
    path, span = strength_field(r.penalty)[1], r.span
    out = []
    if not r.helps:
        if np.isfinite(r.least) and r.least > 0:
            out.append(
                f"no strength of {path} helps within {span}: {part(r.moving_without)} of what can move is left "
                f"without, {part(r.least)} at best; {r.slow_modes} of {r.modes} eigenvalues decay by less than 1/e"
            )
        else:
            out.append(
                f"no strength of {path} may be advised: none at a factor {r.safety:g} below the edge of stability"
            )
    elif np.isnan(r.best):
        out.append(f"no best strength: the larger {path}, the less is left, up to {r.optimum:.3g}, the largest tried")
    else:
        out.append(
            f"a strength of {r.best:.4g} ({path}) leaves {part(r.moving)} of what can move of a small kick after "
            f"{span}; {part(r.moving_without)} is left without"
        )
    if r.helps and r.high >= WIDE * r.low:
        much = f"at most {FLAT:.0%} more" if r.least > r.resolution else f"less than {r.resolution:g}, rounding"
        out.append(f"strengths from {r.low:.3g} to {r.high:.3g} leave {much}: the gentlest is advised")
    if r.limited:
        out.append(f"less would be left within a factor {r.safety:g} of the edge of stability, {r.edge:.4g}")
    if not r.stable:
        out.append("no strength tried makes every mode decay: some mode grows in the long run at all of them")
    elif r.helps and np.isfinite(r.rate) and r.rate < 0:
        out.append(f"at this strength some mode grows in the long run, by a factor e in {-1 / r.rate:.3g} {r.unit}")
    return (*out, *r.never_moves)


__all__ = ["Regularizer", "best_regularizer", "binding_modes", "slow_modes"]


#: as the command is called
regularizer = best_regularizer
