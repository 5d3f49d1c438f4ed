"""The strength of a penalty that makes the slowest mode decay fastest: what is best in the limit of a long time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..base.config import LARGEST
from ..base.errors import InputError, NotLinearizable
from ..base.table import Record
from ..experiment import Experiment
from ..experiment.settings import switched
from ..experiment.taken import takes_experiment
from ..linear import Linearization, eigenvalues, linearize
from ..symbolic.damping import best_r1, best_weight_decay
from ..symbolic.remedies import best_likelihood
from ..tables.penalties import PENALTIES, strength_field, strength_unit, unit_coefficients
from .curve import Curve, refined, widened
from .spectrum import merged

#: where the slowest rate becomes 0 is found to this relative accuracy; strengths drawn up to there, and close to it
EDGE, TO_EDGE, NEAR_EDGE = 1e-4, 6, np.array([0.03, 0.01])
#: strengths scanned: this many decades either side of the estimate, this many points
DECADES = 4.0
SCAN_POINTS = 81
#: the curve about a strength in closed form is shown up to this factor on either side
AROUND = 30.0
#: relative accuracy of the strength after refinement
STRENGTH_TOLERANCE = 1e-6
#: a scan whose best lies at its end goes on for so many times DECADES
WIDENINGS = 3
#: stands for no multiplier where the loss needs one
LEAST_MULTIPLIER = 1e-12
KICKS = ("kicks are small: the linear regime",)


@dataclass(frozen=True)
class Fastest(Record):
    """The strength of one penalty at which the slowest mode decays fastest: the limit of a long time and small kicks.

    Attributes:
        penalty: which one, by name.
        best: [unit of the penalty] the strength; None where the rate still grows at the largest one tried.
        rate: [1/step; flow: 1/time] slowest decay rate at ``best`` of the modes by which particles converge; <= 0: none
            of the strengths makes all of them decay.
        method: "closed-form" or "numerical".
        assumptions: what is taken for granted, in words.
        strengths: [unit of the penalty] (n,) strengths of the scanned curve.
        rates: [1/step; flow: 1/time] (n,) slowest decay rate at each.

    Source:
        Eq. (23, best-r1), Eq. (26, best-weight-decay), Eq. (88, best-likelihood).
    """

    KEYS = ("best", "rate", "method")
    TITLE = "strength of {0.penalty} at which the slowest mode decays fastest"
    UNITS = (("best", "{0.strength_unit}"), ("rate", "1/step; flows: 1/time"))

    penalty: str
    best: float | None
    rate: float
    method: str
    assumptions: tuple[str, ...] = field(repr=False)
    strengths: np.ndarray = field(repr=False, compare=False)
    rates: np.ndarray = field(repr=False, compare=False)

    @property
    def strength_unit(self) -> str:
        """Of strengths of the penalty."""
        return strength_unit(self.penalty)


def convergence_rate(exp: Experiment) -> float:
    """Slowest decay rate of the resolved modes by which the particles converge (``Eigenvalues.carried``); negative when
    a mode that moves them grows."""
    return eigenvalues(linearize(exp), ratios=False).slowest_carried()


def rate_curve(exp: Experiment, path: str, progress: Callable[[int, int], None] | None = None) -> Curve[float]:
    """``convergence_rate`` over strengths; NaN where there is no equilibrium."""
    return Curve(exp, path, convergence_rate, float("nan"), progress)


class Followed(Curve[float]):
    """``convergence_rate`` over strengths where rounding hides no more of the particles' modes than at the best of
    ``strengths``, NaN elsewhere: without its slowest modes one strength does not compare with others. Growth counts
    everywhere."""

    def __init__(
        self, exp: Experiment, path: str, strengths: np.ndarray, progress: Callable[[int, int], None] | None
    ) -> None:
        super().__init__(exp, path, convergence_rate, float("nan"))
        self.seen = Curve(exp, path, _seen, (float("nan"), 0), progress)
        self.fewest = min((lost for rate, lost in self.seen.over(strengths) if rate > 0), default=0)

    def at(self, strength: float) -> float:
        rate, lost = self.seen.at(strength)
        return float("nan") if rate > 0 and lost > self.fewest else rate

    def over(self, strengths: np.ndarray) -> list[float]:
        self.seen.over(strengths)
        return [self.at(s) for s in strengths]

    def lost(self, strengths: np.ndarray) -> int:
        """At how many strengths too much is lost."""
        return sum(rate > 0 and lost > self.fewest for rate, lost in self.seen.over(strengths))


def _seen(exp: Experiment) -> tuple[float, int]:
    """(``convergence_rate``, how many of the modes by which particles converge are not resolved)"""
    values = eigenvalues(linearize(exp), ratios=False)
    return values.slowest_carried(), values.verdict(values.carried).unresolved


def rates_over(exp: Experiment, penalty: str, strengths: Sequence[float] | np.ndarray) -> np.ndarray:
    """``convergence_rate`` at each strength of ``penalty.<penalty>``, or of the likelihood term."""
    _, path = strength_field(penalty)
    return np.array([convergence_rate(exp.replace({path: float(s)})) for s in np.asarray(strengths)])


@takes_experiment
def fastest_strength(
    exp: Experiment, penalty: str = "r1", progress: Callable[[int, int], None] | None = None
) -> Fastest:
    """The strength of ``penalty`` at which the slowest mode decays fastest; everything else of the experiment stays.

        maximise over strength:  min over modes of -Re s(strength)

    Closed form for R1, R2 or the multiplier with alpha = 0, alone, on commuting modes of the flow without kappa, for
    weight decay alone, and for the likelihood term ("likelihood") alone on the periodic box (symbolic.damping,
    symbolic.remedies); otherwise a scan of the exact spectrum over 8 decades, widened while the best lies at an end of
    it, and refined by Brent's method.
    Only resolved modes by which particles converge count: others decay too, but nobody waits for them.

    Returns:
        The strength, its rate and the scanned curve.

    Units:
        Strengths in that of the penalty, rates per step (flow: per unit of time).

    Raises:
        InputError: a penalty that is none, or no mode that moves the particles.
        NotLinearizable: no equilibrium, or no mode above rounding at any strength.

    Source:
        Eq. (23, best-r1), Eq. (26, best-weight-decay), Eq. (88, best-likelihood).

    Examples:
        >>> import egan_theory as eg
        >>> exp = eg.Experiment(target=eg.Ring(modes=4), discriminator=eg.Discriminator(features=0))
        >>> found = eg.fastest_strength(exp, "r1")
        >>> rates = [eg.spectrum(exp.replace({"penalty.r1": x * found.best})).slowest_rate for x in (0.5, 1, 2)]
        >>> bool(rates[0] < rates[1] > rates[2])
        True
    """
    key, path = strength_field(penalty)
    bare = without(exp, key)
    closed = _closed_form(bare, key)
    if closed is not None and closed[0] * AROUND <= LARGEST:
        curve = rate_curve(exp, path, progress)
        strengths = np.geomspace(closed[0] / AROUND, closed[0] * AROUND, SCAN_POINTS)
        strengths = np.union1d(strengths, _up_to_edge(curve, strengths, np.array(curve.over(strengths))))
        return Fastest(key, *closed, "closed-form", KICKS, strengths, np.array(curve.over(strengths)))
    centre, remarks = scale_of(bare, key), list(KICKS)
    strengths = np.geomspace(centre * 10**-DECADES, centre * 10**DECADES, SCAN_POINTS)
    curve = Followed(exp, path, strengths, progress)
    if np.isnan(curve.over(strengths)).all():
        convergence_rate(exp.replace({path: float(strengths[0])}))  # raises the reason
        found = f"none from {strengths[0]:.3g} to {strengths[-1]:.3g}"
        raise NotLinearizable(path, "leave a mode that stands above rounding at some strength", found)
    strengths = widened(lambda s: -np.array(curve.over(s)), strengths, 10**DECADES, SCAN_POINTS // 2 - 1, WIDENINGS)
    strengths = strengths[strengths <= LARGEST]
    rates = np.array(curve.over(strengths))
    best: float | None
    strengths = np.union1d(strengths, _up_to_edge(curve, strengths, rates))
    rates = np.array(curve.over(strengths))
    best, rate = _refine(curve, strengths, rates)
    at_zero = curve.at(bare.get(path))
    if at_zero >= rate or best == strengths[0]:  # below the first strength nothing changes any more
        best, rate = bare.get(path), at_zero if np.isfinite(at_zero) else rate
    elif best == strengths[-1]:
        remarks.append(f"no best strength: the rate still grows at the largest one tried, {best:.3g}")
        best = None
    if lost := curve.lost(strengths):
        remarks.append(f"left out: {lost} of {len(rates)} scanned strengths, at which rounding hides more slow modes")
    if curve.fewest:
        remarks.append(f"the slowest mode is the slowest resolved one: rounding hides {curve.fewest} at any strength")
    if missing := int(np.isnan(rates).sum()) - lost:
        remarks.append(
            f"no equilibrium, or no mode by which particles converge, at {missing} of {len(rates)} scanned strengths"
        )
    if rate <= 0:
        remarks.append("no strength of this penalty stabilises every mode")
    return Fastest(key, best, rate, "numerical", tuple(remarks), strengths, rates)


def without(exp: Experiment, key: str) -> Experiment:
    """The experiment without the penalty ``key`` (a multiplier that its loss needs: next to none)."""
    needed = exp.loss_object.needs_multiplier and key == "multiplier"
    return exp.replace({strength_field(key)[1]: LEAST_MULTIPLIER if needed else 0.0})


def _up_to_edge(curve: Curve[float], strengths: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Strengths between the last of a rate above 0 and where the rate becomes 0, close to there, on either side."""
    falls = np.flatnonzero((rates[:-1] > 0) & (rates[1:] <= 0))
    if not len(falls):
        return strengths[:0]
    low, high = strengths[falls[-1]], strengths[falls[-1] + 1]
    start = low
    while high - low > EDGE * low:
        middle = np.sqrt(low * high)
        low, high = (middle, high) if curve.at(middle) > 0 else (low, middle)
    return np.concatenate([np.geomspace(start, low, TO_EDGE)[1:-1], low - (low - start) * NEAR_EDGE, [low, high]])


def _refine(curve: Curve[float], strengths: np.ndarray, rates: np.ndarray) -> tuple[float, float]:
    """The best of the scan, improved within its neighbours (log strength)."""
    finite = np.where(np.isfinite(rates), rates, -np.inf)
    i, worst = int(np.argmax(finite)), np.nanmin(rates)
    best, rate = float(strengths[i]), float(finite[i])
    # the rate is a minimum over modes: several local maxima may be close to the highest
    for j in np.flatnonzero(finite >= rate - 0.2 * abs(rate)):
        if j in (0, len(strengths) - 1) or finite[j] < max(finite[j - 1], finite[j + 1]):
            continue
        strength, negative = refined(
            lambda s: -np.nan_to_num(curve.at(s), nan=worst), strengths[j - 1], strengths[j + 1], STRENGTH_TOLERANCE
        )
        if -negative > rate:
            best, rate = strength, -negative
    return best, rate


def _coupled(lin: Linearization) -> np.ndarray:
    """Which blocks couple the players by more than rounding."""
    return np.asarray((np.abs(lin.blocks) > lin.errors)[:, [0, 1], [1, 0]].all(-1))


def _stiffness(lin: Linearization) -> np.ndarray:
    """w_k^2 of the blocks that are coupled."""
    blocks = lin.blocks[_coupled(lin)]
    return -blocks[:, 0, 1] * blocks[:, 1, 0]


def _closed_form(bare: Experiment, key: str) -> tuple[float, float] | None:
    k = bare.penalty.coefficients
    others = (k.nu, k.value_p, k.value_q, bare.penalty.consensus, bare.penalty.instance_noise)
    if not bare.update_rule.plain_flow or bare.loss_object.kappa or any(others):
        return None
    if key == "likelihood":
        return None if k.grad_p or k.grad_q else _closed_likelihood(bare)
    if bare.likelihood.weight:
        return None
    if bare.loss_object.needs_multiplier and key == "multiplier":
        if bare.penalty.alpha or bare.penalty.r1 or bare.penalty.r2:
            return None
    elif k.grad_p or k.grad_q:
        return None
    lin = linearize(bare)
    w2 = _stiffness(lin) if len(lin.blocks) else np.empty(0)
    if not len(w2):
        return None
    eta_D = bare.discriminator.learning_rate
    if PENALTIES[key].terms is None:
        return None
    adds = unit_coefficients(key, bare.penalty)
    gradient, value = adds.grad_p + adds.grad_q, adds.value_p + adds.value_q
    if adds.nu and not (gradient or value):
        strength, rate = best_weight_decay(float(np.sqrt(w2.min())))
        return float(strength) / (eta_D * adds.nu), float(rate)
    if adds.nu or value or not gradient:
        return None
    # beta: the damping that a unit gradient penalty gives each mode, so that w^2 = G beta
    unit = bare.replace({f"penalty.{key}": 1.0})
    with_penalty = linearize(unit)
    if len(with_penalty.blocks) != len(lin.blocks):
        return None
    beta = -with_penalty.blocks[_coupled(with_penalty), 0, 0] / eta_D
    G = float(np.mean(_stiffness(with_penalty) / beta))
    strength, rate = best_r1(G, float(beta.min()), float(beta.max()))
    return float(strength) / eta_D, float(rate)


def _closed_likelihood(bare: Experiment) -> tuple[float, float] | None:
    """Undamped modes of the periodic box: best weight and its rate."""
    if bare.points.period is None:
        return None
    lin, unit = linearize(bare), linearize(bare.replace({"likelihood.weight": 1.0}))
    f = -unit.blocks[:, 1, 1]
    w2 = np.linalg.det(lin.blocks)
    if not len(f) or np.any(w2 <= np.finfo(float).eps * w2.max()):
        return None
    best = best_likelihood(f, np.sqrt(w2))  # f holds eta_G (g1 - g2): the strength is the weight itself
    return float(best.strength), float(best.rate)


def scale_of(bare: Experiment, key: str) -> float:
    """A strength of the right order: the middle of the range to scan, of an experiment without it."""
    kind = PENALTIES[key].kind if key in PENALTIES else key
    if kind == "input":
        # the noise acts through the features' own length; the nodes do not resolve sigma far above it
        return bare.discriminator.length_scale * 10**-DECADES
    eta_D, eta_G = bare.discriminator.learning_rate, bare.generator.learning_rate
    values = merged(eigenvalues(linearize(bare.replace({**switched("flow"), "memory.generator": 0.0,
        "memory.discriminator": 0.0}))))  # fmt: skip
    chosen = values.coupled & values.sized
    if not chosen.any():
        raise InputError("experiment", "have modes that move the particles", "none")
    size = np.abs(values.s[chosen])
    size = size[size >= size.max() * 10**-DECADES]  # so that the fastest mode's strength is scanned, too
    omega = float(np.exp(np.mean(np.log([size.min(), size.max()]))))
    loss = bare.loss_object
    adds = unit_coefficients(key, bare.penalty) if kind == "functional" else None
    if adds is not None and adds.nu:
        return 2 * omega / (eta_D * adds.nu)
    if key == "likelihood":  # damping of the box's longest wave, or of a point alone in its kernel
        ratio = bare.omega * bare.generator.kernel.g1 / bare.generator.particles
        length = bare.likelihood.bandwidth or (bare.points.period or 1.0) / (2 * np.pi)
        return 2 * omega * length**2 / (eta_G * ratio * len(bare.points.weights))
    G = eta_D * eta_G * loss.b * loss.c * bare.omega * bare.generator.kernel.g1 / bare.generator.particles
    if adds is None:  # consensus
        return 2 * omega / (omega**2 * (eta_D + eta_G) / (eta_D * eta_G))
    if adds.grad_p + adds.grad_q:
        return 2 * G / omega / eta_D / (adds.grad_p + adds.grad_q)
    # a penalty on values damps a point alone in its kernel by its share of the weight
    return 2 * omega * len(bare.points.weights) / (eta_D * (adds.value_p + adds.value_q))
