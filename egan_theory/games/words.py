"""A game's spectrum in plain words: what each kind of multiplier means here, and what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .modes import NEGLECTED, TROUBLE, Mode, rate_factor, unresolved

if TYPE_CHECKING:
    from .result import GameSpectrum
    from .scan import Crossing

#: a mode that turns over this many times faster than second moments change is called no faster than they are
TURNOVER = 3.0
#: distance of the point of rest, over the norm of the weights, from where on a mode is not read as motion about it
FAR = 0.1
#: factor per step above which a drift is no slow one
FAST = 1.1
NAMES = {"step too large": "overshoot with growing size", "rotation, growing": "circle with growing size"}
#: names of the players in sentences
PLAYERS = {"D": "the discriminator", "G": "the generator", "both": "both players"}


def reading(s: GameSpectrum) -> tuple[str, ...]:
    """Sentences, most important first; notes of the modules last."""
    if not s.modes:
        out = ["No multiplier could be told from 1 within the products made: allow more of them (products=...)."]
        return (*out, *_limits(s), *s.notes)
    lines = [_verdict(s), *unresolved(s.modes), *_fresh(s), *_too_large(s), *_rotation(s), *_edge(s), *_drift(s),
             *_averaging(s), *_rest(s), *_frozen(s), *_ahead(s), *_noise(s), *_curvature(s), *_limits(s),
             *s.notes]  # fmt: skip
    return tuple(lines)


def row(m: Mode) -> list[Any]:
    """Cells of one mode for readers."""
    d, g = (m.carried_D, m.carried_G) if np.isfinite(m.carried_D) else (m.share_D, m.share_G)
    return [
        multiplier(m.multiplier), m.modulus, m.period, m.kind, _percent(d), _percent(g),
        f"{m.residual:.1e}" + ("" if m.converged else " (not converged)"), _percent(m.neglected), _percent(m.averaged),
    ]  # fmt: skip


def multiplier(z: complex) -> str:
    """Two conjugates as one, with a true minus sign."""
    text = f"{z.real:.4g}" + (f" ± {abs(z.imag):.3g}i" if z.imag else "")
    return text.replace("-", "−")


def _percent(value: float) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{100 * value:.3g} %" if value < 9.995 else f"{value:.3g} times"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _verdict(s: GameSpectrum) -> str:
    bad = s.of_kind(*TROUBLE)
    base = f"Of {_many(len(s.modes), 'leading mode')} of the training step"
    if not bad:
        drift = s.of_kind("drift")
        rest = f" {_many(len(drift), 'mode')} grow{'s' if len(drift) == 1 else ''} without turning." if drift else ""
        return f"{base}, none overshoots or circles with growing size.{rest}"
    by = [f"{len(found)} {NAMES[kind]}" for kind in TROUBLE if (found := s.of_kind(kind))]
    factor = max(m.modulus for m in bad)
    return f"{base}, {' and '.join(by)}; the largest factor of these per step is {factor:.4g}.{_inside(s)}"


def _inside(s: GameSpectrum) -> str:
    """Where the scan sees no such mode, a sentence with a space before it, or nothing."""
    if s.scan is None:
        return ""
    name, ends = s.scan.penalty.upper(), s.scan.strengths[[0, -1]]
    if s.scan.inside is None:
        return f" At no strength of {name} from {ends[0]:.3g} to {ends[1]:.3g} does the scan see all of them end."
    low, high = s.scan.inside
    text = f" With {name} from {low:.3g} to {high:.3g} (now {s.scan.now:.3g}) the scan sees none that does"
    if s.scan.checked is None or not np.isfinite(s.scan.checked[1]):
        return f"{text}, which no products were left to check."
    middle, largest = s.scan.checked
    if largest < 1:
        return (
            f"{text}; a search at {middle:.3g} found none either (largest factor {largest:.4g}), which is no proof: a "
            "circle that grows slowly may be missed. Ask again there."
        )
    return f"{text}, but a search at {middle:.3g} finds one, of factor {largest:.4g}: not confirmed."


def _worst(s: GameSpectrum, m: Mode) -> str:
    return "a mode" if len(s.of_kind(m.kind)) == 1 else f"the fastest growing of {len(s.of_kind(m.kind))} modes"


def _crossing(s: GameSpectrum, m: Mode) -> Crossing | None:
    if s.scan is None:
        return None
    at = [complex(*c.at) for c in s.scan.crossings]
    near = [c for c, z in zip(s.scan.crossings, at, strict=True) if abs(z - m.multiplier) < 1e-2 * abs(m.multiplier)]
    return near[0] if near else None


def _strength(s: GameSpectrum, m: Mode) -> str:
    """What the scan says of one mode, a sentence with a space before it, or nothing."""
    c = _crossing(s, m)
    if c is None or s.scan is None:
        return ""
    name, now = s.scan.penalty.upper(), s.scan.now
    if c.strength is None:
        if s.scan.checked is not None and s.scan.checked[1] < 1:
            return ""  # the verdict says where all modes are inside
        return f" No change of {name} alone is known to stop this: {c.reason}."
    beside = ""
    if np.isfinite(c.others) and c.others > 1 + 1e-6:
        beside = f"; but then another mode grows, by {c.others:.4g} per step"
    way = "Raising" if c.change == "raise" else "Lowering"
    return f" {way} {name} from {now:.3g} to {c.strength:.3g} brings it to the unit circle{beside}."


def _rate(s: GameSpectrum, m: Mode) -> str:
    """By which factor the learning rate has to be lowered."""
    momenta = [float(o.get("momentum") or 0.0) for o in s.optimizers]
    which = m.mainly
    momentum = max(momenta) if which == "both" else momenta["DG".index(which)]
    factor = rate_factor(m.of_product if s.steps == 1 else m.multiplier, momentum)
    if factor is None:
        return ""
    whose = {"D": "the discriminator's learning rate", "G": "the generator's learning rate"}.get(
        which, "both learning rates"
    )
    if which == "both":  # exact for a mode of one player
        by = f"roughly {1 / factor:.3g}"
        return f" Dividing both learning rates by {by} (an estimate: both carry it) brings it to the edge of stability."
    return f" Dividing {whose} by {1 / factor:.3g} brings it to the edge of stability; take more than that."


def _too_large(s: GameSpectrum) -> list[str]:
    out = []
    for m in s.of_kind("step too large")[:1]:
        penalty = " The penalty's own curvature may be the cause." if s.scan is None and s.strengths.get("r1") else ""
        out.append(
            f"Step too large: {_worst(s, m)} carried by {PLAYERS[m.mainly]} is multiplied per step by "
            f"{multiplier(m.multiplier)}: it overshoots, its sign turns at every step and "
            f"its size grows by {m.modulus:.4g}."
            f"{_rate(s, m)}{_strength(s, m)}{penalty}"
        )
    return out


def _rotation(s: GameSpectrum) -> list[str]:
    out = []
    for m in s.of_kind("rotation, growing")[:1]:
        what = _strength(s, m)
        if not what and s.scan is None:
            how = ' how much, a scan tells (scan="r1")' if "r1" in s.strengths else "the game has none as it is"
            what = f" More R1 damps rotation; {how.strip()}."
        out.append(
            f"Growing rotation: {_worst(s, m)} carried by {PLAYERS[m.mainly]} circles with a period of "
            f"{m.period:.3g} steps, e-fold larger every {m.growth:.3g} steps (multiplier "
            f"{multiplier(m.multiplier)}).{what}"
        )
    damped = [m for m in s.of_kind("rotation, damped") if m.period < 1e4]
    if damped and not out:
        m = damped[0]
        out.append(
            f"Rotation: the longest-lived circling found turns once in {m.period:.3g} steps and shrinks e-fold in "
            f"{-m.growth:.3g} steps (damping ratio {m.damping_ratio:.2g}; 1 would be no circling at all)."
        )
    return out


def _edge(s: GameSpectrum) -> list[str]:
    modes = s.of_kind("edge of stability")
    if not modes:
        return []
    m = modes[0]
    return [
        f"Edge of stability: {_many(len(modes), 'mode')} carried by {PLAYERS[m.mainly]} overshoot"
        f"{'s' if len(modes) == 1 else ''} at every step and neither grow nor shrink by more than 5 % (largest modulus "
        f"{m.modulus:.4g}). Training often goes on there; a larger learning rate or a stronger penalty would pass it."
    ]


def _fresh(s: GameSpectrum) -> list[str]:
    """Adam before its first step, whose multipliers are not those of the training that follows."""
    new = ["DG"[i] for i, o in enumerate(s.optimizers) if o.get("fresh")]
    if not new:
        return []
    whose = PLAYERS["both" if len(new) == 2 else new[0]]
    return [
        f"Adam of {whose} has taken no step yet and its second moments are empty: it divides by the gradient of the "
        "first step alone, so that these multipliers are not those of training. Train for some hundred steps, then "
        "analyse again."
    ]


def _drift(s: GameSpectrum) -> list[str]:
    modes = s.of_kind("drift")
    if not modes:
        return []
    m = modes[0]
    if any(o.get("fresh") for o in s.optimizers):
        why = "What of this is left after some steps of training, another analysis tells."
    elif m.modulus > FAST:
        why = (
            "That is fast: the weights leave a saddle, or a step is too large for where they are. Look again after "
            "some steps; where the growth stays, lower the learning rate of who carries it."
        )
    else:
        why = (
            "This is training that has not converged yet, or a saddle it is leaving, not an instability of the step: "
            "nothing has to be changed for it."
        )
    return [
        f"Drift: {_many(len(modes), 'mode')} grow{'s' if len(modes) == 1 else ''} without turning, the fastest by "
        f"{100 * (m.modulus - 1):.3g} % per step (carried by {PLAYERS[m.mainly]}). {why}"
    ]


def _averaging(s: GameSpectrum) -> list[str]:
    turning = [m for m in s.modes if m.pair and np.isfinite(m.averaged) and m.kind != "step too large"]
    if s.average is None or not turning:
        return []
    m = max(turning, key=lambda m: m.modulus)
    return [
        f"Averaging the generator's weights with factor {s.average:.6g} per step leaves {_percent(m.averaged)} of the "
        f"rotation with a period of {m.period:.3g} steps and hides the other {_percent(1 - m.averaged)}: samples of "
        "averaged weights look steadier than the game is."
    ]


def _rest(s: GameSpectrum) -> list[str]:
    out = [f"One step now moves the weights by {s.moved:.2g} of their norm."]
    far = [m for m in s.modes if np.isfinite(m.distance) and m.distance > FAR]
    if far:
        m = max(far, key=lambda m: m.distance)
        out[0] += (
            f" The checkpoint is not at rest: along {_many(len(far), 'mode')} the point of rest of the linear theory "
            f"is up to {m.distance:.2g} times the norm of the weights away; such multipliers say how neighbouring "
            "trainings part or join now, not how training circles about a point."
        )
    return out


def _ahead(s: GameSpectrum) -> list[str]:
    known = [m for m in s.modes if np.isfinite(m.shift)]
    if not known:
        return []
    moving = [m for m in known if m.shift > NEGLECTED]
    if not moving:
        return [
            f"The multipliers of the {_many(len(known), 'mode')} looked at stay where they are in the steps looked "
            f"ahead, to {_percent(max(m.shift for m in known))} of their distance from 1."
        ]
    m = max(moving, key=lambda m: m.shift)
    return [
        f"{_many(len(moving), 'multiplier')} will not stay in the steps looked ahead: the one at "
        f"{multiplier(m.multiplier)} moves by {_percent(m.shift)} of its distance from 1. Growth over many steps is "
        "another than it says."
    ]


def _frozen(s: GameSpectrum) -> list[str]:
    known = [m for m in s.modes if np.isfinite(m.neglected) and np.isfinite(m.turnover)]
    bad = [m for m in known if m.neglected > NEGLECTED]
    slow = [m for m in known if m.turnover < TURNOVER and m not in bad]
    if not known:
        return []
    if not bad and not slow:
        worst = max(known, key=lambda m: m.neglected)
        return [
            f"Holding Adam's second moments fixed neglects at most {_percent(worst.neglected)} of a mode's pull in the "
            f"{_many(len(known), 'mode')} where this was measured: valid."
        ]
    out = []
    if bad:
        m = max(bad, key=lambda m: m.neglected)
        out.append(
            f"Holding Adam's second moments fixed is not valid for {_many(len(bad), 'mode')}: it neglects "
            f"{_percent(m.neglected)} of the pull of the one at {multiplier(m.multiplier)}. Do not rely on these."
        )
    if slow:
        m = min(slow, key=lambda m: m.turnover)
        out.append(
            f"{_many(len(slow), 'mode')} change{'s' if len(slow) == 1 else ''} no faster than {m.turnover:.2g} times "
            "the rate at which Adam's second moments change: the moments will have moved before the mode has."
        )
    return out


def _noise(s: GameSpectrum) -> list[str]:
    n = s.noise
    if n is None:
        return []
    out = [f"Mini-batches ({n.batches}): the step of one differs from the mean step by {n.step:.2g} (rms, in weights)."]
    if np.isfinite(n.floor):
        seen = f", {n.floor_samples:.2g} (rms norm) in generated samples" if np.isfinite(n.floor_samples) else ""
        out[0] += (
            f" This noise keeps the {_many(n.modes, 'decaying mode')} found at an rms of {n.floor:.2g} in weights{seen}"
            ": they do not settle below it at this learning rate and batch size."
        )
    wide = [m for m in s.modes if np.isfinite(m.spread) and m.spread > abs(m.modulus - 1) and m.kind in TROUBLE]
    if wide:
        out.append(
            f"For {_many(len(wide), 'growing mode')} the multiplier differs between mini-batches by more than its "
            "distance from the unit circle: more batches are needed to tell growth from decay."
        )
    return out


def _curvature(s: GameSpectrum) -> list[str]:
    out = []
    for name, d in (("discriminator", s.curvature_D), ("generator", s.curvature_G)):
        if d is None or d.edge is None:
            continue
        top, bottom = float(d.nodes.max()), float(d.nodes.min())
        state = "beyond" if top > d.edge else "below"
        text = (
            f"The {name}'s own step times its curvature reaches {top:.3g}, {state} the {d.edge:.3g} from where on its "
            "step is too large by itself"
        )
        text += f"; its least is {bottom:.3g} (negative: its own loss curves down there)" if d.below > 0 else ""
        out.append(f"{text}.")
    return out


def _limits(s: GameSpectrum) -> list[str]:
    out = []
    rough = [m for m in s.modes if not m.converged]
    if s.ended == "interrupted":
        out.append(f"Interrupted after {s.products:.0f} of {s.allowed} products: this is what was found until then.")
    if rough:
        out.append(
            f"{_many(len(rough), 'mode')} did not converge within the products allowed; their residuals are in the "
            "table. More products make them precise."
        )
    if s.steps > 1:
        out.append(
            f"One product spans {s.steps} training steps (lazy regularization); multipliers per step are its roots of "
            f"least angle, right for modes that turn by less than a turn in {2 * s.steps} steps."
        )
    return out


__all__ = ["multiplier", "reading", "row"]
