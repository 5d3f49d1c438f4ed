"""What the report could not say: the reason, and what would make it possible."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..nonlinear.hill import EQUAL
from ..predict.following import SPENT
from ..predict.mechanism import MECHANISMS
from .boundaries import RATIO
from .collapse import REACHED
from .reasons import Reason, reason_of
from .stages import Failure, Results

#: what each stage is about
ABOUT = {
    "spectrum": "Eigenvalues and damping",
    "powers": "Powers of time",
    "frequency": "Learning times",
    "regularizer": "The best strength",
    "simulate": "The simulation",
    "compare": "Eigenvalues measured in the runs",
    "strength": "Simulated strengths",
    "compare strength": "Comparison of simulated strengths",
    "random starts": "The simulation from random starts",
    "reached": "Which state random starts reach",
    "boundaries": "Thresholds",
    "branch": "The branch diagram",
    "phase": "The phase diagram",
    "curves": "What is born along the threshold in the phase diagram",
}
#: what helps where a comparison has nothing to go by: words of its reason, and the remedy
HELPS = (
    ("slowest mode does not decay", "an experiment in which every mode decays: egan regularizer E.toml"),
    ("unexplained", "an experiment that describes the runs (finite networks: wider ones), or smaller kicks (run.kick)"),
    ("slower ones are compared", "an experiment with fewer modes: so many are fitted at once"),
    ("between two samples", "denser records (run.record_every)"),
    ("rounding", "a shorter training, or a larger kick (run.kick)"),
    ("second order", "a shorter training: so little is left that no kick shows it"),
    ("kicks resolve", "a shorter training (run.steps), which leaves more"),
    ("diverged", "strengths below the edge of stability"),
    ("near equilibrium", "runs that start near equilibrium (run.start = kick), or longer ones"),
    ("linear regime", "smaller kicks (run.kick)"),
    ("no exponent", "damping, which makes modes decay (penalty.weight_decay)"),
    ("no fitted", "longer or more runs (run.steps, run.runs)"),
    ("no predicted", "an experiment that describes the runs"),
)
#: what it means where a mechanism says nothing and gives no reason
NO_STATEMENT = "it makes no statement here"
SILENT = {
    "collapsed state": "the collapsed cloud leaves the data, or whether it draws particles in is not decided here"
}
#: reasons that differ in these only are one reason
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
COMPARED = "longer runs, more of them or denser records (run.steps, run.runs, run.record_every)"
ELSEWHERE = "egan threshold E.toml --vary discriminator.learning_rate"
UNLIMITED = f"egan branch E.toml --vary {RATIO} has no limit"
#: values on each axis of a phase diagram that costs simulations in every cell
FEW = 5
BRANCH = f"egan branch E.toml --set penalty.weight_decay=0.05 --vary {RATIO} --figure branch.png"


@dataclass(frozen=True)
class Unsaid:
    """What could not be said, why, and what would make it possible ("" if nobody knows)."""

    what: str
    reason: str
    remedy: str = ""


def unsaid(r: Results) -> list[Unsaid]:
    """Everything that failed, was refused, left out or not searched."""
    found = [*_failed(r), *_mechanisms(r), *_branch(r), *_phase(r)]
    return [*_together(found), *_compared(r)]


def _failed(r: Results) -> Iterator[Unsaid]:
    """The stages without a result; of those that need another one, that one's reason."""
    for name, failed in r.failures.items():
        reason, remedy = rooted(r, failed)
        yield Unsaid(ABOUT.get(name, name), reason, remedy)


def rooted(r: Results, failed: Failure) -> Reason:
    """Why, followed to the stage whose result is missing first."""
    while failed.needs:
        failed = r.failures[failed.needs[0]]
    return Reason(failed.reason, failed.remedy)


def _together(found: list[Unsaid]) -> list[Unsaid]:
    """One row of all that has the same reason."""
    rows: dict[tuple[str, str], dict[str, None]] = {}
    for u in found:
        rows.setdefault((u.reason, u.remedy), {})[u.what] = None
    return [Unsaid("; ".join(what), *why) for why, what in rows.items()]


def _compared(r: Results) -> list[Unsaid]:
    """What was not compared; of several with one reason, whose numbers may differ, the first and how many."""
    rows: dict[str, list[dict[str, str]]] = {}
    for u in () if r.table is None else r.table.unmatched:
        rows.setdefault(NUMBER.sub("#", u["reason"]), []).append(u)
    out = []
    for alike in rows.values():
        names = list(dict.fromkeys(u["name"] for u in alike))
        reasons = list(dict.fromkeys(u["reason"] for u in alike))
        what = f"Comparison of '{names[0]}'" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        reason, remedy = reason_of(reasons[0])
        several = f" (and so on to: {reasons[-1]})" if len(reasons) > 1 else ""
        out.append(Unsaid(what, f"{reason}{several}", remedy or helped(reasons[0])))
    return out


def helped(reason: str) -> str:
    """What would make a comparison possible."""
    return next((remedy for words, remedy in HELPS if words in reason), COMPARED)


def _mechanisms(r: Results) -> Iterator[Unsaid]:
    for t in () if r.boundaries is None else r.boundaries.thresholds:
        silent = t.margin is None or np.isnan(t.margin)
        if t.reason or silent:
            reason, remedy = reason_of(t.reason)
            if "minutes" in t.reason:
                remedy = f'egan threshold E.toml --vary {RATIO} --mechanism "{t.mechanism}"'
            yield Unsaid(f"Mechanism '{t.mechanism}'", reason or SILENT.get(t.mechanism, NO_STATEMENT), remedy)
        elif t.range[1] <= t.range[0] and r.exp.generator.architecture is not None:
            why = f"they are looked for in {RATIO}, which generator.architecture determines"
            yield Unsaid(f"Thresholds of '{t.mechanism}'", why, f'{ELSEWHERE} --mechanism "{t.mechanism}"')
        elif t.range[1] <= t.range[0]:
            strip = 0 if r.branch is None or t.mechanism != "collapsed state" else len(r.branch.collapsed)
            at = f" beyond the {strip} ratios of the branch diagram" if strip else ""
            command = f'egan threshold E.toml --vary {RATIO} --mechanism "{t.mechanism}"'
            yield Unsaid(
                f"Thresholds of '{t.mechanism}'", f"they were not searched{at}: each value costs simulations", command
            )


def _branch(r: Results) -> Iterator[Unsaid]:
    if (found := r.branch) is None:
        return
    for i, born in enumerate(found.branches):
        if not any(o.branch == i for o in found.orbits):
            why, remedy = reason_of(born.reason)
            if "weight decay" in born.reason:
                remedy = f"weight decay, however small: {BRANCH}"
            if born.reason == EQUAL:
                remedy = f"a larger weight decay: {BRANCH}"
            if born.reason == SPENT:
                remedy = UNLIMITED
            yield Unsaid(f"Orbits born at a kernel ratio of {born.threshold:.4g}", why, remedy)
    if found.status == "limited" and found.orbits:
        last = max(o.value for o in found.orbits)
        yield Unsaid("Orbits in the rest of the range", f"{SPENT}; the last one is at {last:.4g}", UNLIMITED)


def _axes(found: xr.Dataset) -> str:
    """Those of a phase diagram as options of the command, with so few values that simulations of each are borne."""
    said = []
    for axis in (found["first"], found["second"]):
        low, high, log = float(axis.min()), float(axis.max()), ":log" if axis.attrs["log"] else ""
        said.append(f"--vary {axis.attrs['long_name']}={low:.3g}:{high:.3g}:{FEW}{log}")
    return " ".join(said)


def _phase(r: Results) -> Iterator[Unsaid]:
    if r.phase is None:
        return
    for name in filter(None, r.phase.attrs["left_out"].split("; ")):
        if name == REACHED and "reached" in r.failures:
            continue  # said already
        cost = "it costs simulations in every cell" if MECHANISMS[name].noisy else "it makes no statement in any cell"
        remedy = f'egan phase E.toml {_axes(r.phase)} --mechanism "{name}"' if MECHANISMS[name].noisy else ""
        yield Unsaid(f"'{name}' in the phase diagram", cost, remedy)


__all__ = ["Unsaid", "helped", "rooted", "unsaid"]
