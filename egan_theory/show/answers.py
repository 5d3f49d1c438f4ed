"""The first screen: one question each, its number with unit, and one plain sentence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..base.terminal import cell, sentence
from ..nonlinear.normal import NormalForm
from ..predict.basin import Reached
from ..predict.left import horizon_of, left_over, part, resolved
from ..predict.mechanism import MECHANISMS
from ..predict.spectrum import not_decaying
from ..predict.threshold import Threshold
from ..runs.outcome import known_outcomes, mode_centres, modes_are_lost, tally
from ..runs.positions import with_positions
from ..tables.penalties import strength_field, strength_meaning, strength_title, strength_unit
from . import powers
from .answered import NOT_KNOWN, Answered
from .apart import why_apart
from .boundaries import RATIO, SPREAD, STARTS, undecided
from .own import origin
from .plot.runs import distance_of
from .reasons import no_prediction, reason_of
from .stages import Results
from .unsaid import rooted
from .words import (
    SAME,
    agrees,
    duration,
    per,
    resolved_modes,
    same_kicks,
    settling,
    slower,
    unresolved,
    unseen_growth,
)


def answers(r: Results) -> list[Answered]:
    """The questions that can be asked of the experiment, each answered or said why not."""
    if (p := r.powers) is not None:
        first = [powers.rest(p, r.exp), powers.strength(p, r.exp, r.penalty), powers.spread(p, r.exp)]
    else:
        first = [*_rest(r), *_strength(r), *_spread(r)]
    return [*first, *_modes(r), *_agreement(r)]


def verdict(r: Results) -> str:
    """The page in a line."""
    if r.powers is not None:
        first = powers.verdict(r.powers)
    elif r.spectrum is None:
        first = "No linear prediction for this experiment"
    else:
        said = {"stable": "Stable near equilibrium", "not stable": "Unstable near equilibrium"}
        first = said.get(r.spectrum.attrs["verdict"], "No mode is resolved near equilibrium")
        if r.spectrum.attrs["slowest_rate"] == 0:
            first = "Near equilibrium kicks neither decay nor grow"
        unknown = int(r.spectrum.attrs["unresolved"])
        if unknown and r.spectrum.attrs["verdict"] != "unresolved":
            first += f" ({unknown} of {int(r.spectrum['multiplicity'].values.sum())} modes unresolved)"
    if r.reached is None:
        return first
    lost, error = r.reached.lost, r.reached.stderr
    if r.exp.generator.particles < len(mode_centres(r.exp)):
        return f"{first}; fewer particles than modes, so that no start can keep every mode"
    return f"{first}; {100 * lost:.0f} ± {100 * error:.0f} % of random starts lose modes"


def _rest(r: Results) -> Iterator[Answered]:
    ask, s, exp = "Does it come to rest?", r.spectrum, r.exp
    if s is None:
        yield _seen(r, ask)
        return
    count, zero = resolved_modes(s), int(s.attrs["zero_modes"])
    rest = (f" {zero} more neither grow nor decay." if zero else "") + unresolved(s, exp)
    if s.attrs["verdict"] == "unresolved":
        yield Answered(ask, NOT_KNOWN, "", f"No mode is known to decay or to grow.{rest}", "decay rate", "spectrum")
        return
    if not s.attrs["stable"]:
        growing = not_decaying(s)
        fastest, many = float(s["eigenvalue_re"].values[growing].max()), int(s["multiplicity"].values[growing].sum())
        if fastest <= 0:
            text = f"No: {many} of {count} modes neither decay nor grow: they oscillate for ever.{rest}"
            yield Answered(ask, "0", f"growth per {per(exp)}", text, "decay rate", "spectrum", False)
            return
        number, unit = _split(duration(1 / fastest, exp))
        text = f"No: {many} of {count} modes do not decay, and the fastest grows by a factor e in this time.{rest}"
        yield Answered(ask, number, f"{unit} per factor e of growth", text, "decay time", "spectrum", False)
        return
    slowest = settling(s)
    if not np.isfinite(slowest):
        text = f"All {count} modes decay, but none of them moves the particles.{rest}"
        yield Answered(ask, "none", "", text, "decay time", "spectrum")
        return
    number, unit = _split(duration(1 / slowest, exp))
    within = slowest * _length(r)
    compared = f"the run of {duration(_length(r), exp)} is {within:.2g} times as long"
    text = f"Yes: all {count} modes decay. The slowest by which the particles converge shrinks by a factor e in this "
    text = f"{text}time; {compared}.{slower(s, exp)}{rest}"
    yield Answered(ask, number, unit, text, "decay time", "spectrum", within >= 1)


def _seen(r: Results, ask: str) -> Answered:
    """What simulated kicks show where there is no spectrum."""
    why, runs = _why(r, "spectrum"), r.runs
    if runs is None or runs.attrs.get("start") != "kick" or "assignment" not in runs:
        return Answered(ask, NOT_KNOWN, "", why, "decay rate", "unsaid")
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = distance_of(with_positions(runs))[0]
        left = distance[:, -1] / distance[:, 0]
    left = left[np.isfinite(left)]
    if not len(left):
        return Answered(ask, NOT_KNOWN, "", f"{why} No simulated run has an end.", "decay rate", "unsaid")
    part, span = float(np.median(left)), duration(float(runs["time"].values[-1]), r.exp)
    text = f"Simulated, not predicted: what {span} leave of a kick of {r.exp.run.kick:g}, median over {len(left)} runs."
    return Answered(ask, cell(part), "of a kick is left", f"{text} {why}", "left of a kick", "simulation", part < 1)


def _length(r: Results) -> float:
    return horizon_of(r.exp, None)


def _strength(r: Results) -> Iterator[Answered]:
    key = strength_field(r.penalty)[0]
    ask, best = f"Which {strength_title(key)} for this training?", r.regularizer
    if best is None:
        yield Answered(ask, NOT_KNOWN, "", _why(r, "regularizer"), "strength of a penalty", "unsaid")
        return
    if not best.helps or not np.isfinite(best.best):
        number = "none" if not best.helps else "the largest"
        first = sentence(best.remarks[0])
        yield Answered(ask, number, "", first, "strength of a penalty", "strength", best.helps)
        return
    left = f"{_part(best.moving)} of what can move of a small kick is left after {best.span}"
    others = [f"{_part(best.moving_without)} without"] if np.isfinite(best.moving_without) else []
    now = r.present
    if now > 0 and abs(now - best.best) > SAME * max(now, best.best):
        moving = left_over(r.exp, best.horizon).moving
        others.append(f"{_part(moving) if np.isfinite(moving) else 'a kick grows'} at the present {cell(now)}")
    text = f"With it, {left}" + (f"; {', '.join(others)}" if others else "") + "."
    if now > 0 and len(others) < 2:
        text += " It is the present one."
    if best.edge is not None:
        text += f" Steps become unstable at {cell(best.edge)}."
    text += f" {strength_meaning(key)}."
    unit = strength_unit(key).removeprefix("1")
    yield Answered(ask, cell(best.best), unit, text, "strength of a penalty", "strength", best.helps)


def _part(value: float) -> str:
    """A part of a kick, no smaller than what a simulated one resolves."""
    return cell(value) if resolved(value) else f"{part(value)} (what a simulated kick resolves)"


def _spread(r: Results) -> Iterator[Answered]:
    ask, row = "How far is the spread state from its end?", _row(r, SPREAD)
    if row is None or row.margin is None or np.isnan(row.margin):
        told = "" if row is None or "powers" in r.failures else row.reason
        why = no_prediction(*reason_of(told)) if told else _why(r, "boundaries")
        yield Answered(ask, NOT_KNOWN, "", why, "spread state", "unsaid")
        return
    now, inside = float(r.exp.get(RATIO)), row.margin <= 0
    if not row.values:
        where = (
            "At every kernel ratio" if row.range[1] > row.range[0] else "At this kernel ratio (others cannot be set)"
        )
        text = f"{where} {row.meaning}."
        yield Answered(ask, "no threshold", "", text, "threshold", "collapse", inside)
        return
    nearest = min(row.values, key=lambda v: abs(v - now))
    times = f", {nearest / now:.3g} times the present {now:.3g}" if now > 0 else f" (now {now:.3g})"
    what = (
        "All else the same, the spread state ceases to rest" if inside else "The spread state does not rest; it would"
    )
    side = row.unstable_side[row.values.index(nearest)]
    side = side if inside else {"above": "below", "below": "above"}[side]
    text = f"{what} {side} this ratio{times}."
    if (form := row.first_form) is not None and inside:
        text += {
            "supercritical": " There the particles begin to circle at a small radius, every mode kept.",
            "subcritical": " There the cloud jumps.",
        }.get(form.criticality or "", f" What the particles do beyond it is not predicted{_size(form)}.")
    yield Answered(ask, cell(nearest), "kernel ratio", text, "threshold", "collapse", inside)


def _size(form: NormalForm) -> str:
    """Why a threshold without a normal form tells no more, in a word."""
    return ": without weight decay nothing sets the size of their motion" if "weight decay" in form.reason else ""


def _modes(r: Results) -> Iterator[Answered]:
    ask, found = "Does a random start keep every mode?", r.reached
    codes = r.outcomes if r.scattered is not None or r.exp.run.start == "random" or r.own else None
    kept, runs = (0, 0) if codes is None else (int((~modes_are_lost(codes)).sum()), len(codes))
    simulated = f" {'Recorded' if r.own else 'Simulated'}: {kept} of {runs} runs keep every mode." if runs else ""
    if found is None and not runs:
        yield Answered(ask, NOT_KNOWN, "", _why(r, "reached"), "probability of losing modes", "unsaid")
        return
    if found is None:
        text = f"{simulated.strip()} {_why(r, 'reached')}"
        yield Answered(ask, f"{kept} of {runs}", "runs", text, "outcome of a run", "simulation", 2 * kept > runs)
        return
    modes = len(mode_centres(r.exp))
    if r.exp.generator.particles < modes:
        text = f"It cannot: {modes} modes need at least as many particles, and there are {r.exp.generator.particles}."
        yield Answered(ask, "no", "start can", text, "probability of losing modes", "collapse", False)
        return
    text = f"Predicted from {found.draws} draws of the start (± {100 * found.stderr:.0f} %).{simulated}"
    row = _row(r, STARTS)
    if row is not None and row.values:
        text += f" {even(row, float(r.exp.get(RATIO)), found)}"
    attracts = _row(r, "collapsed state")
    if attracts is not None and attracts.margin is not None and attracts.margin > 0:
        text += " The collapsed state attracts, too: a cloud near to it stays."
    number = f"{100 * (1 - found.lost):.0f} %"
    yield Answered(ask, number, "of starts", text, "share of starts that keep every mode", "collapse", found.lost < 0.5)


def even(row: Threshold, now: float, found: Reached) -> str:
    """Where along the kernel ratio the odds of losing modes are even; draws leave it uncertain."""
    if undecided(row, now):
        return (
            "From which kernel ratio on most starts lose modes is not decided by so many draws: at the present one the "
            f"odds of losing some are {100 * found.lost:.0f} ± {100 * found.stderr:.0f} %."
        )
    times = f", {row.values[0] / now:.3g} times the present one" if now > 0 else ""
    return f"Most lose modes {row.unstable_side[0]} a kernel ratio of about {cell(row.values[0])}{times}."


def _agreement(r: Results) -> Iterator[Answered]:
    runs = r.runs
    what = "simulation" if runs is None or origin(runs) == "simulated" else "training"
    ask, table = f"Does {what} agree with theory?", r.table
    ended = "" if runs is None else f" What became of the runs near equilibrium: {tally(known_outcomes(runs))}."
    if runs is not None and (r.own or r.exp.run.start == "random"):
        ended = f" What became of the runs: {tally(known_outcomes(runs))}."
    if runs is not None and (growth := unseen_growth(r.spectrum, runs, r.exp)):
        ended = f" {growth}"
    if table is None or not table.quantities:
        text = f"No predicted quantity could be compared with the {what}; the reasons are below.{ended}"
        yield Answered(ask, "not compared", "", text, "agrees", "unsaid")
        return
    good, total = sum(agrees(q) for q in table.quantities), len(table.quantities)
    missed = len(table.unmatched)
    text = f"Compared quantities within 3 standard errors or 1 % of the prediction.{ended}"
    if missed:
        text += f" {missed} more could not be compared."
    text += same_kicks(r.agreement, r.strength, r.swept)
    if apart := why_apart(table, runs):
        text += f" {apart}"
    if r.agreement is None:
        text += " All are of the sweep of strengths: the eigenvalues could not be measured."
    yield Answered(ask, f"{good} of {total}", "quantities", text, "agrees", "agreement", good >= 0.9 * total)


def _row(r: Results, mechanism: str) -> Threshold | None:
    rows = () if r.boundaries is None else r.boundaries.thresholds
    return next((t for t in rows if t.mechanism == mechanism), None)


def _why(r: Results, stage: str) -> str:
    failed = r.failures.get(stage)
    if "powers" in r.failures and stage in ("spectrum", "regularizer", "boundaries"):
        failed = r.failures["powers"]  # says more: what this kind of training has in their place
    return no_prediction(*rooted(r, failed)) if failed is not None else "Not known for this experiment."


def _split(text: str) -> tuple[str, str]:
    number, _, unit = text.partition(" ")
    return number, unit


assert {SPREAD, STARTS} <= set(MECHANISMS)

__all__ = ["answers", "verdict"]
