"""The report's sentences, from results."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..base.terminal import cell, plural, sentence
from ..comparison.agreement import Agreement, Quantity
from ..comparison.compare import EVERY
from ..experiment import Experiment
from ..predict.left import left_over, part
from ..predict.regularizer import Regularizer
from ..predict.spectrum import not_decaying, unresolved_modes
from ..runs.outcome import Outcome, known_outcomes, tally
from ..tables.penalties import strength_field
from .own import differences, origin
from .quantities import meaning

#: a quantity agrees within this many standard errors, or within this relative error
STANDARD_ERRORS, RELATIVE = 3.0, 0.01
#: strengths closer than this (relative) count as the same in words
SAME = 0.01


def per(exp: Experiment) -> str:
    """What a rate is counted per."""
    return "unit of time" if exp.update_rule.continuous else "step"


def unresolved(spectrum: xr.Dataset, exp: Experiment) -> str:
    """The modes on which there is no verdict, as a sentence after others; empty without any."""
    if not spectrum.attrs["unresolved"]:
        return ""
    lost, modes = int(spectrum.attrs["unresolved"]), int(spectrum["multiplicity"].values.sum())
    return " " + unresolved_modes(lost, modes, spectrum.attrs["unresolved_below"], f"per {per(exp)}")


def resolved_modes(spectrum: xr.Dataset) -> int:
    """Number of modes on which there is a verdict."""
    return int(spectrum["multiplicity"].values.sum()) - int(spectrum.attrs["unresolved"])


def on_spectrum(spectrum: xr.Dataset, exp: Experiment) -> str:
    count = resolved_modes(spectrum)
    zero = int(spectrum.attrs["zero_modes"])
    rest = f" (besides {zero} zero modes, which neither grow nor decay)" if zero else ""
    return _on_resolved(spectrum, exp, count, rest) + unresolved(spectrum, exp)


def _on_resolved(spectrum: xr.Dataset, exp: Experiment, count: int, rest: str) -> str:
    if spectrum.attrs["verdict"] == "unresolved":
        return f"No mode is known to decay or to grow{rest}."
    if not spectrum.attrs["stable"]:
        fastest = float(spectrum["eigenvalue_re"].values[not_decaying(spectrum)].max())
        if fastest <= 0:
            return f"{_growing(spectrum)} of {count} modes neither decay nor grow: they oscillate for ever{rest}."
        text = f"{_growing(spectrum)} of {count} modes do not decay{rest}"
        growth = f"at {fastest:.3g} per {per(exp)}, that is, by a factor e in {duration(1 / fastest, exp)}"
        return f"{text}; the fastest grows {growth}."
    slowest = settling(spectrum)
    if not np.isfinite(slowest):
        return f"All {count} modes decay{rest}, but none of them moves the particles."
    known = np.abs(spectrum["eigenvalue_re"].values) > spectrum["rate_error"].values
    oscillating = int(spectrum["multiplicity"].values[known & (spectrum["eigenvalue_im"].values != 0)].sum())
    how = "none of them oscillates" if not oscillating else f"{oscillating} of them oscillate"
    how = "all of them oscillate" if oscillating == count else how
    return (
        f"All {count} modes decay{rest}; {how}. The slowest by which the particles converge decays "
        f"at {slowest:.4g} per {per(exp)}, that is, by a factor e in {duration(1 / slowest, exp)}."
        f"{slower(spectrum, exp)}"
    )


def settling(spectrum: xr.Dataset) -> float:
    """The slowest rate by which the particles converge; NaN where no mode moves them."""
    rate = float(spectrum.attrs.get("slowest_converging_rate", np.nan))
    return rate if np.isfinite(rate) else float(spectrum.attrs["slowest_coupled_rate"])


def slower(spectrum: xr.Dataset, exp: Experiment) -> str:
    """A sentence, with its blank, on modes that hardly move the particles and take much longer; or nothing."""
    own = float(spectrum.attrs["slowest_coupled_rate"])
    if not 0 < own < settling(spectrum) / 2:
        return ""
    return (
        f" Modes that are almost all discriminator, and hardly move the particles, take up to {duration(1 / own, exp)}."
    )


def on_times(spectrum: xr.Dataset, exp: Experiment) -> str:
    """Why waves are learnt sooner than the slowest mode decays; empty where none decays."""
    slowest = settling(spectrum)
    if spectrum.attrs["verdict"] != "stable" or not np.isfinite(slowest):
        return ""
    return (
        f"A learning time is that of one wave of the target by itself; the {duration(1 / slowest, exp)} above are that "
        "of the slowest of all modes by which these particles converge, whatever its shape: the one says when "
        "structure of a size is there, the other when everything rests."
    )


def _growing(spectrum: xr.Dataset) -> int:
    """Number of modes that do not decay."""
    return int(spectrum["multiplicity"].values[not_decaying(spectrum)].sum())


def duration(value: float, exp: Experiment) -> str:
    number = f"{value:.0f}" if 1000 <= value < 1e6 else f"{value:.3g}"
    return f"{number} {'units of time' if exp.update_rule.continuous else 'steps'}"


def rate_in_table(rate: float | None, left: float | None, unit: str) -> str:
    """A slowest decay rate for a table, and what it means where nothing decays; ``left``: what is left of a kick there,
    None where there is no equilibrium."""
    if rate is None or not np.isfinite(rate):
        return "no equilibrium" if left is None or np.isnan(left) else "0 to rounding: nothing damps, it does not rest"
    if rate == 0:
        return "0: nothing damps, it oscillates for ever"
    if rate > 0:
        return cell(rate)
    time = -1 / rate
    return f"{cell(rate)}: grows by a factor e in {cell(time) if time < 1000 else f'{time:.0f}'} {plural(unit)}"


def on_regularizer(best: Regularizer, exp: Experiment) -> str:
    name = strength_field(best.penalty)[1]
    strength = float(exp.get(name))
    first, *others = (text for text in best.remarks if text not in best.never_moves)  # said below the table
    text = sentence(first)
    if best.helps and abs(best.best - strength) <= SAME * max(best.best, strength):
        text += " The present strength is this one."
    elif best.helps and strength > 0:
        left = left_over(exp, best.horizon).moving
        present = f"At the present strength of {strength:.4g},"
        text += f" {present} {part(left)} is left." if left < 1 else f" {present} training is unstable: a kick grows."
    return " ".join([text, *map(sentence, others)])


def on_endless(best: Regularizer) -> list[str]:
    """The best strength for a training without end."""
    far, path = best.asymptotic, strength_field(best.penalty)[1]
    if far.best is None or not np.isfinite(far.rate):
        return []
    if far.rate <= 0:
        return [f"For a training without end no strength of {path} makes every mode decay."]
    per = "unit of time" if "time" in best.unit else "step"
    rate = f"the slowest mode decays at {cell(far.rate)} per {per}"
    if not far.best > 0:
        return [f"For a training without end no strength of {path} is better than none: {rate}."]
    return [f"For a training without end {cell(far.best)} ({path}) would be best: {rate}."]


def on_runs(runs: xr.Dataset, exp: Experiment) -> list[str]:
    lines = [ends(runs)]
    if runs.attrs.get("status") == "interrupted":
        lines.append(f"The recording was interrupted after {runs['time'].attrs.get('units', 'step')} {_last(runs):g}.")
    if "rewound" in runs.attrs:
        lines.append(f"The recording was {runs.attrs['rewound']}: training went on from there.")
    told = differences(exp, runs) if origin(runs) == "recorded" else []
    if told:
        lines.append(f"The runs say that they are of another experiment ({'; '.join(told)}).")
    return lines


def _last(runs: xr.Dataset) -> float:
    return float(runs["time"].values[-1])


def ends(runs: xr.Dataset) -> str:
    """What became of the runs, and the meaning of each outcome that occurs."""
    codes = known_outcomes(runs)
    text = f"What became of the {len(codes)} {origin(runs)} runs: {tally(codes)}"
    if "diverged_at" in runs and (at := runs["diverged_at"].values).max() >= 0:
        text += f" (the first at step {at[at >= 0].min()})"
    return f"{text}. " + " ".join(f"{o.word.capitalize()}: {o.meaning}." for o in Outcome if (codes == o).any())


def on_agreement(agreement: Agreement | None, measured: bool, of: xr.Dataset | None = None) -> str:
    """``measured``: whether the runs themselves could be compared, not only the sweep of strengths."""
    if agreement is None or not agreement.quantities:
        what = "simulation" if of is None or origin(of) == "simulated" else "recorded runs"
        return f"No predicted quantity could be compared with the {what}; the reasons are listed below."
    good, total = sum(agrees(q) for q in agreement.quantities), len(agreement.quantities)
    missed = len(agreement.unmatched)
    rest = f" ({missed} more could not be compared; see below)" if missed else ""
    runs = "" if measured else " All are of the sweep of strengths: the eigenvalues could not be measured."
    return f"{good} of {total} compared quantities agree within 3 standard errors or 1 %{rest}.{runs}"


def same_kicks(eigenvalues: Agreement | None, strengths: Agreement | None, swept: xr.Dataset | None) -> str:
    """That strengths compared are not independent; empty where there are not several."""
    if strengths is None or len(strengths.quantities) < 2:
        return ""
    others = 0 if eigenvalues is None else len(eigenvalues.quantities)
    kicks = "" if swept is None or "directions" not in swept.attrs else f"{int(swept.attrs['directions'])} "
    return (
        f" Compared are {others} parts of eigenvalues and rates, and {len(strengths.quantities)} strengths of "
        f"the same {kicks}kicks: their errors are not independent."
    )


def unseen_growth(spectrum: xr.Dataset | None, runs: xr.Dataset, exp: Experiment) -> str:
    """Of runs kicked off an unstable equilibrium that keep every mode: that they are no evidence of rest."""
    if spectrum is None or runs.attrs.get("start") != "kick" or not (fastest := _fastest(spectrum)) > 0:
        return ""
    codes = known_outcomes(runs)
    if not (codes == Outcome.SETTLED).any():
        return ""
    grown = np.exp(min(fastest * _last(runs), 700.0))
    return (
        f"The {int((codes == Outcome.SETTLED).sum())} runs that look settled are no sign of rest: a kick of "
        f"{exp.run.kick:g} is predicted to grow {grown:.3g} times, to {grown * exp.run.kick:.2g} (length), within "
        "the run. The runs are too short, or the kick too small, for the growth to be seen in what becomes of them."
    )


def _fastest(spectrum: xr.Dataset) -> float:
    return float(spectrum["eigenvalue_re"].values[not_decaying(spectrum)].max(initial=-np.inf))


def on_distance(agreement: Agreement | None, runs: xr.Dataset) -> list[str]:
    """Of recorded runs: that the theory shown is not theirs but the described model's, and how far they are from it."""
    if origin(runs) != "recorded":
        return []
    lines = ["All predictions on this page are those of the experiment described, whatever training made the runs."]
    found = () if agreement is None else agreement.quantities
    if found:
        off = [q.relative_error for q in found if np.isfinite(q.relative_error)]
        beyond = sum(not agrees(q) for q in found)
        lines[0] += (
            f" What was measured in the runs is {np.median(off):.2g} (median) and at most {np.max(off):.2g} of an "
            f"eigenvalue's size away from them; {beyond} of {len(found)} quantities by more than 3 standard errors "
            "and 1 %."
        )
    reasons = [] if agreement is None else [u["reason"] for u in agreement.unmatched if u["name"] == EVERY]
    told = {True: "are not described by them", False: "tell nothing of them"}
    return lines + [f"The runs {told['unexplained' in reason]}: {reason}." for reason in reasons]


def agrees(quantity: Quantity) -> bool:
    """Whether prediction and measurement agree within 3 standard errors or 1 %."""
    return bool(abs(quantity.z) <= STANDARD_ERRORS or quantity.relative_error <= RELATIVE)


def agreement_table(agreement: Agreement) -> list[dict[str, Any]]:
    """Rows for a page: name, units, note, the numbers as text, ``agrees``, and its ``verdict`` in words, and
    the ``meaning`` of the quantity."""
    formats = {"predicted": ".6g", "measured": ".6g", "stderr": ".2g", "z": ".2f", "relative_error": ".2g"}
    rows = []
    for q in agreement.quantities:
        row: dict[str, Any] = {"name": q.name, "units": q.units, "note": q.note, "agrees": agrees(q)}
        close = "within 1 %" if row["agrees"] else "NO"
        row["meaning"] = meaning(q.name)
        row["verdict"] = "yes" if abs(q.z) <= STANDARD_ERRORS else close
        for name, form in formats.items():
            value = float(getattr(q, name))
            row[name] = format(value, form) if np.isfinite(value) else "none"
        rows.append(row)
    return rows
