"""The strength of a penalty that makes the slowest mode decay fastest (brief 3a)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from ..errors import InputError, NotLinearizable
from ..experiment import Experiment
from ..linear import Linearization, eigenvalues, linearize
from ..penalties import strength_field
from ..symbolic.damping import best_r1, best_weight_decay
from ..symbolic.remedies import best_likelihood
from .spectrum import merged, number

#: modes whose rate is within this part of the slowest one's are said to bind
BINDING = 0.01
#: strengths scanned: this many decades either side of the estimate, this many points
DECADES = 4.0
SCAN_POINTS = 81
#: relative accuracy of the strength after refinement
STRENGTH_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Regularizer:
    """The predicted best strength of one penalty.

    rate: slowest decay rate of the modes that move the particles, at ``best`` (1/time or 1/step); rate_at_half,
    rate_at_double: at best/2 and 2 best. binding_modes: the eigenvalues whose rate is the slowest one, to 1 %.
    strengths, rates: the scanned curve. method: "closed-form" or "numerical".
    """

    penalty: str
    best: float
    rate: float
    rate_at_half: float
    rate_at_double: float
    method: str
    binding_modes: tuple[dict[str, Any], ...]
    assumptions: tuple[str, ...]
    strengths: np.ndarray = field(repr=False, compare=False)
    rates: np.ndarray = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The --json form."""
        return {
            "penalty": self.penalty,
            "best": number(self.best),
            "rate": number(self.rate),
            "rate_at_half": number(self.rate_at_half),
            "rate_at_double": number(self.rate_at_double),
            "method": self.method,
            "binding_modes": list(self.binding_modes),
            "assumptions": list(self.assumptions),
        }

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{name}</th><td>{value:.6g}</td></tr>"
            for name, value in (
                ("best", self.best), ("rate", self.rate), ("rate at half", self.rate_at_half),
                ("rate at double", self.rate_at_double),
            )
        )  # fmt: skip
        return f"<table><caption>{self.penalty} ({self.method})</caption>{rows}</table>"


def convergence_rate(exp: Experiment) -> float:
    """Slowest decay rate of the resolved modes that move the particles; negative when one of them grows."""
    return eigenvalues(linearize(exp), ratios=False).slowest(coupled_only=True)


def _rate(exp: Experiment, path: str, strength: float) -> float:
    """``convergence_rate`` at a strength; NaN where there is no equilibrium."""
    try:
        return convergence_rate(exp.replace({path: strength}))
    except NotLinearizable:
        return float("nan")


def rates_over(exp: Experiment, penalty: str, strengths: Sequence[float] | np.ndarray) -> np.ndarray:
    """``convergence_rate`` at each strength of ``penalty.<penalty>``, or of the likelihood term."""
    _, path = strength_field(penalty)
    return np.array([convergence_rate(exp.replace({path: float(s)})) for s in np.asarray(strengths)])


def best_regularizer(
    exp: Experiment, penalty: str = "r1", progress: Callable[[int, int], None] | None = None
) -> Regularizer:
    """The strength of ``penalty`` at which the slowest mode decays fastest; everything else of the experiment stays.

        maximise over strength:  min over modes of -Re s(strength)

    Closed form (3a) for R1, R2 or the multiplier with alpha = 0, alone, on commuting modes of the flow without kappa,
    for weight decay alone, and for the likelihood term ("likelihood") alone on the periodic box; otherwise a scan of
    the exact spectrum over 8 decades, refined by Brent's method.
    Only resolved modes that move the particles count: others decay too, but nobody converges by them.

    Raises InputError for an unknown penalty, NotLinearizable, or when no mode moves the particles.
    """
    key, path = strength_field(penalty)
    if exp.loss_object.needs_multiplier and key == "multiplier":
        bare = exp.replace({path: 1e-12})
    else:
        bare = exp.replace({path: 0.0})
    closed = _closed_form(bare, key)
    centre = _estimate(bare, key)
    strengths = np.geomspace(centre * 10**-DECADES, centre * 10**DECADES, SCAN_POINTS)
    if closed is not None:
        best, rate, method = *closed, "closed-form"
        strengths = np.geomspace(best / 30, best * 30, SCAN_POINTS)
        rates = rates_over(exp, key, strengths)
    else:
        rates = np.empty(len(strengths))
        for i, strength in enumerate(strengths):
            rates[i] = _rate(exp, path, float(strength))
            if progress is not None:
                progress(i + 1, len(strengths))
        if np.isnan(rates).all():
            convergence_rate(exp.replace({path: float(strengths[0])}))  # raises the reason
        best, rate = _refine(exp, path, strengths, rates)
        method = "numerical"
        at_zero = convergence_rate(bare)
        if at_zero >= rate:
            best, rate = (0.0 if not exp.loss_object.needs_multiplier else float(strengths[0])), at_zero
    assumptions = list(linearize(exp).assumptions)
    assumptions.append("kicks are small: the linear regime")
    if method == "numerical":
        assumptions.append(f"scanned from {strengths[0]:.3g} to {strengths[-1]:.3g}")
        if best in (strengths[0], strengths[-1]):
            assumptions.append("the best strength lies at the end of the scanned range")
        if missing := int(np.isnan(rates).sum()):
            assumptions.append(f"no equilibrium at {missing} of {len(rates)} scanned strengths")
    if rate <= 0:
        assumptions.append("no strength of this penalty stabilises every mode")
    return Regularizer(
        penalty=key,
        best=best,
        rate=rate,
        rate_at_half=_rate(exp, path, best / 2) if best else rate,
        rate_at_double=_rate(exp, path, 2 * best),
        method=method,
        binding_modes=_binding(exp.replace({path: best}) if best else bare),
        assumptions=tuple(assumptions),
        strengths=strengths,
        rates=rates,
    )


def _refine(exp: Experiment, path: str, strengths: np.ndarray, rates: np.ndarray) -> tuple[float, float]:
    """The best of the scan, improved within its neighbours (log strength)."""
    finite = np.where(np.isfinite(rates), rates, -np.inf)
    i, worst = int(np.argmax(finite)), np.nanmin(rates)
    best, rate = float(strengths[i]), float(finite[i])
    # the rate is a minimum over modes: several local maxima may be close to the highest
    for j in np.flatnonzero(finite >= rate - 0.2 * abs(rate)):
        if j in (0, len(strengths) - 1) or finite[j] < max(finite[j - 1], finite[j + 1]):
            continue
        result = minimize_scalar(
            lambda u: -np.nan_to_num(_rate(exp, path, float(np.exp(u))), nan=worst),
            bounds=(np.log(strengths[j - 1]), np.log(strengths[j + 1])),
            method="bounded",
            options={"xatol": STRENGTH_TOLERANCE},
        )
        if -result.fun > rate:
            best, rate = float(np.exp(result.x)), float(-result.fun)
    return best, rate


def _stiffness(lin: Linearization, exp: Experiment) -> np.ndarray:
    """w_k^2 = det of the undamped blocks, resolved ones."""
    w2 = np.linalg.det(lin.blocks)
    return w2[w2 > np.finfo(float).eps * w2.max(initial=0.0)]


def _closed_form(bare: Experiment, key: str) -> tuple[float, float] | None:
    k = bare.penalty.coefficients
    others = (k.nu, k.value_p, k.value_q, bare.penalty.consensus, bare.penalty.instance_noise)
    if bare.update.rule != "flow" or bare.update_rule.averages or bare.loss_object.kappa or any(others):
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
    w2 = _stiffness(lin, bare) if len(lin.blocks) else np.empty(0)
    if not len(w2):
        return None
    eta_D = bare.discriminator.learning_rate
    if key == "weight_decay":
        strength, rate = best_weight_decay(float(np.sqrt(w2.min())))
        return float(strength) / eta_D, float(rate)
    if key not in ("r1", "r2", "multiplier") or (key == "multiplier" and bare.penalty.alpha):
        return None
    # beta: the damping that a unit gradient penalty gives each mode, so that w^2 = G beta
    unit = bare.replace({f"penalty.{key}": 1.0})
    with_penalty = linearize(unit)
    if len(with_penalty.blocks) != len(lin.blocks):
        return None
    det = np.linalg.det(with_penalty.blocks)
    seen = det > np.finfo(float).eps * det.max()
    beta = -with_penalty.blocks[seen, 0, 0] / eta_D
    G = float(np.mean(det[seen] / beta))
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


def _estimate(bare: Experiment, key: str) -> float:
    """A strength of the right order: the middle of the range to scan."""
    if key == "instance_noise":
        # the noise acts through the features' own length; the nodes do not resolve sigma far above it
        return bare.discriminator.length_scale * 10**-DECADES
    eta_D, eta_G = bare.discriminator.learning_rate, bare.generator.learning_rate
    values = merged(eigenvalues(linearize(bare.replace({"update.rule": "flow", "update.critic_steps": 1,
        "update.momentum_discriminator": 0.0, "update.momentum_generator": 0.0, "memory.generator": 0.0,
        "memory.discriminator": 0.0}))))  # fmt: skip
    chosen = values.coupled & values.resolved
    if not chosen.any():
        raise InputError("experiment", "have modes that move the particles", "none")
    size = np.abs(values.s[chosen])
    omega = float(np.exp(np.mean(np.log([size.min(), size.max()]))))
    loss = bare.loss_object
    if key == "weight_decay":
        return 2 * omega / eta_D
    if key == "likelihood":  # damping of the box's longest wave, or of a point alone in its kernel
        ratio = bare.omega * bare.generator.kernel.g1 / bare.generator.particles
        length = bare.likelihood.bandwidth or (bare.points.period or 1.0) / (2 * np.pi)
        return 2 * omega * length**2 / (eta_G * ratio * len(bare.points.weights))
    G = eta_D * eta_G * loss.b * loss.c * bare.omega * bare.generator.kernel.g1 / bare.generator.particles
    if key == "consensus":
        return 2 * omega / (omega**2 * (eta_D + eta_G) / (eta_D * eta_G))
    strength = 2 * G / omega / eta_D
    return strength / 2 if key == "multiplier" else strength


def _binding(exp: Experiment) -> tuple[dict[str, Any], ...]:
    values = merged(eigenvalues(linearize(exp)))
    chosen = values.coupled & values.resolved
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
