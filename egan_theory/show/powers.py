"""What a report says of training against averages over all of the past: powers of time in place of eigenvalues."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from ..base.errors import InputError
from ..base.terminal import cell
from ..experiment import Experiment
from ..predict.converging import Turn, turns
from ..predict.play import power_laws
from ..tables.penalties import strength_field, strength_title, strength_unit
from .answered import NOT_KNOWN, Answered
from .boundaries import RATIO
from .captions import Words
from .reasons import no_prediction
from .words import duration, per

#: strengths and kernel ratios between which a change is looked for
STRENGTHS, RATIOS = np.geomspace(1e-3, 1e3, 13), np.linspace(0.0, 1.0, 13)
DECAY = "weight_decay"


class Along(NamedTuple):
    """Of a field: whether the last iterate converges at its lowest value, and where that changes."""

    name: str
    path: str
    first: bool
    turns: tuple[Turn, ...]


class Powers(NamedTuple):
    """``laws``: of ``power_laws``; ``strength`` and ``ratio``: where along them training begins to converge, None
    where no powers of time are known for any of their values."""

    laws: xr.Dataset
    strength: Along | None
    ratio: Along | None


def powers(exp: Experiment, penalty: str) -> Powers:
    """The laws, and where along the strength of the penalty (of weight decay, where that has none) and the kernel ratio
    they change. Raises InputError as ``power_laws``."""
    laws, now = power_laws(exp), float(exp.get(RATIO))
    strength = next((a for key in (penalty, DECAY) if (a := _along(exp, key, strength_field(key)[1], STRENGTHS))), None)
    return Powers(laws, strength, _along(exp, "kernel ratio", RATIO, np.union1d(RATIOS, [now])))


def _along(exp: Experiment, name: str, path: str, values: np.ndarray) -> Along | None:
    try:
        first, found = turns(exp, path, values.tolist())
    except InputError:
        return None
    return Along(name, path, first, tuple(found))


# -- the first screen ----------------------------------------------------------------------------------------------


def rest(p: Powers, exp: Experiment) -> Answered:
    """Whether training comes to rest."""
    ask, ds = "Does it come to rest?", p.laws
    last, average, many = (ds[n].values for n in ("last", "average", "multiplicity"))
    count = int(many.sum())
    if not count:
        return Answered(ask, "none", "", "No mode moves the particles.", "power of time", "spectrum")
    span, end = float(exp.run.steps), duration(float(exp.run.steps), exp)
    growing = int(many[~np.isfinite(last)].sum())
    onset = float(ds["onset"].values[0])
    if growing:
        rate, power = (float(ds[n].values[0]) for n in ("growth_rate", "growth_power"))
        times = np.exp(min(rate * span**power, 700.0))
        text = (
            f"No: {growing} of {count} modes grow, not as an exponential but the fastest as this, with T the elapsed "
            f"time; within the run of {end} by a factor of about {times:.2g}. Averages over all of the past have no "
            "eigenvalues."
        )
        return Answered(ask, f"exp({cell(rate)} T^{cell(power)})", "growth", text, "power of time", "spectrum", False)
    slowest, mean = float(last.max()), float(average.max())
    late = f"from about {duration(onset, exp)} on" if onset < span else f"after {duration(onset, exp)}, beyond this run"
    if slowest < 0:
        text = (
            f"Yes, but as a power of the elapsed time T, without a rate: all {count} modes shrink, the slowest as "
            f"this, {late}; its average since the start as T^{cell(mean)}."
        )
    elif mean < 0:
        text = (
            f"Not the particles, of which {_grow(last, many)} of {count} modes grow, {late}, the fastest as this power "
            f"of the elapsed time T; but their average since the start does, as T^{cell(mean)}."
        )
    else:
        text = (
            f"No: {_grow(last, many)} of {count} modes grow, {late}, the fastest as this power of the elapsed time T; "
            f"their average since the start grows as T^{cell(mean)}."
        )
    return Answered(ask, f"T^{cell(slowest)}", "of the time T", text, "power of time", "spectrum", slowest < 0)


def _grow(last: np.ndarray, many: np.ndarray) -> int:
    return int(many[last >= 0].sum())


def strength(p: Powers, exp: Experiment, penalty: str) -> Answered:
    """Which strength training asks for."""
    key = penalty if p.strength is None else p.strength.name
    ask, term = f"Which {strength_title(key)} for this training?", "strength of a penalty"
    if p.strength is None:
        text = no_prediction("no strength of it, nor of weight decay, leaves modes that are independent of each other")
        return Answered(ask, NOT_KNOWN, "", text, term, "unsaid")
    also = "" if key == penalty else f" Of {strength_title(penalty)} no powers of time are known here."
    rising = [t for t in p.strength.turns if t.above]
    if not rising:
        low, high = cell(float(STRENGTHS[0])), cell(float(STRENGTHS[-1]))
        if p.strength.first and not p.strength.turns:
            text = f"Training converges at every strength from {low} to {high}: as a power of time.{also}"
            return Answered(ask, "any", "strength", text, term, "spectrum", True)
        text = f"With no strength from {low} to {high} do all modes of the particles shrink.{also}"
        return Answered(ask, "none", "", text, term, "spectrum", False)
    least, now = rising[0].value, float(exp.get(p.strength.path))
    upper = next((t.value for t in p.strength.turns if t.value > least), None)
    upto = f" up to {cell(upper)}" if upper is not None else ""
    text = f"From this strength on{upto} all modes of the particles shrink, as a power of time. Now it is {cell(now)}."
    text += " The stronger, the later these laws set in: there is no best strength without a length of training."
    inside = least <= now and (upper is None or now < upper)
    return Answered(
        ask, f"≥ {cell(least)}", strength_unit(key).removeprefix("1"), text + also, term, "spectrum", inside
    )


def spread(p: Powers, exp: Experiment) -> Answered:
    """How far in kernel ratio the end of convergence is."""
    ask, term = "How far is the spread state from its end?", "threshold"
    now, inside = float(exp.get(RATIO)), bool(p.laws.attrs["converges"])
    if p.ratio is None:
        text = no_prediction("no kernel ratio leaves modes that are independent of each other")
        return Answered(ask, NOT_KNOWN, "", text, term, "unsaid")
    if not p.ratio.turns:
        state = "shrink" if p.ratio.first else "do not all shrink"
        text = f"At every kernel ratio the modes of the particles {state}, as powers of time."
        return Answered(ask, "no threshold", "", text, term, "spectrum", inside)
    nearest = min(p.ratio.turns, key=lambda t: abs(t.value - now))
    side = "above" if nearest.above != inside else "below"
    times = f", {nearest.value / now:.3g} times the present {now:.3g}" if now > 0 else f" (now {now:.3g})"
    what = "cease to shrink" if inside else "do not shrink now; they would"
    text = f"All else the same, the modes of the particles {what} {side} this ratio{times}."
    return Answered(ask, cell(nearest.value), "kernel ratio", text, term, "spectrum", inside)


# -- sections and figures ------------------------------------------------------------------------------------------


def verdict(p: Powers) -> str:
    """The beginning of the page's line."""
    if p.laws.attrs["converges"]:
        return "Comes to rest as a power of time"
    if p.laws.attrs["average_converges"]:
        return "Converges on average only"
    return "Grows away from equilibrium"


def sentences(p: Powers, exp: Experiment) -> list[str]:
    """The section on the spectrum."""
    ds, unit = p.laws, per(exp)
    zero, still = int(ds.attrs["zero_modes"]), int(ds.attrs["still"])
    rows = [
        "With averages over all of the past the equations of a mode change as training goes on: there are no "
        "eigenvalues and no decay rates. At late times each mode of the particles goes as a power of the elapsed time "
        f"T, counted in {'units of time' if unit == 'unit of time' else 'steps'}, or faster (Eq. 63 to 66)."
    ]
    many, last = ds["multiplicity"].values, ds["last"].values
    finite = np.isfinite(last)
    if finite.any():
        spans = [_span(ds[n].values[finite]) for n in ("last", "average")]
        rows.append(
            f"Of {int(many[finite].sum())} modes the particles go as T to a power from {spans[0]}, their average since "
            f"the start from {spans[1]}. A negative power shrinks."
        )
    if (~finite).any():
        power, rates = float(ds["growth_power"].values[~finite].max()), _span(ds["growth_rate"].values[~finite])
        rows.append(
            f"{int(many[~finite].sum())} modes grow faster than any power: as exp(c T^{cell(power)}), c from {rates}."
        )
    if zero:
        rows.append(f"{zero} more neither grow nor decay.")
    if still:
        rows.append(f"{still} do not move the particles and are left out.")
    return rows


def _span(values: np.ndarray) -> str:
    return f"{cell(float(values.min()))} to {cell(float(values.max()))}"


def rows(p: Powers) -> list[dict[str, Any]]:
    """The table: one row per mode, numbers as text."""
    ds, out = p.laws, []
    for i in range(ds.sizes["mode"]):
        mode = {n: float(ds[n].values[i]) for n in ds.data_vars}
        grows = not np.isfinite(mode["last"])
        law = f"exp({cell(mode['growth_rate'])} T^{cell(mode['growth_power'])})"
        out.append(
            {
                "last": law if grows else f"T^{cell(mode['last'])}",
                "average": "grows alike" if grows else f"T^{cell(mode['average'])}",
                **{n: cell(mode[n]) for n in ("damping", "stiffness", "onset")},
                "multiplicity": int(mode["multiplicity"]),
            }
        )
    return out


def words_of(p: Powers) -> Words:
    """The figure of the laws."""
    last = p.laws["last"].values
    finite = last[np.isfinite(last)]
    grows = int((~np.isfinite(last)).sum())
    span = f" from {cell(float(finite.min()))} to {cell(float(finite.max()))}" if len(finite) else ""
    alt = f"Powers of time of {len(last)} modes against their squared frequency{span}"
    alt += f"; {grows} of them grow faster than any power." if grows else "."
    caption = "Power of the elapsed time with which each mode of the particles, and its average since the start, goes, "
    caption += "against its squared frequency. Below the line at 0 it shrinks."
    if grows == len(last):
        caption = "How fast each mode grows, against its squared frequency: as exp(c T^power), c being drawn."
    return Words(alt, caption, p.laws.attrs["assumptions"])


__all__ = ["Along", "Powers", "powers", "rest", "rows", "sentences", "spread", "strength", "verdict", "words_of"]
