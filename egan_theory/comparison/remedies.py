"""Remedies for one experiment side by side: each at its predicted best strength, and pairs of them.

A remedy is a change of the experiment with at most one number to choose. The number that maximises the slowest decay
rate is found on the exact spectrum; the nonlinear model is then simulated there. Sources: symbolic.remedies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from ..base.errors import InputError, NotLinearizable
from ..base.table import Column, Record, Table
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..linear.seen import features_of
from ..predict.asymptotic import convergence_rate
from ..predict.collective import collective_instability
from ..predict.spectrum import spectrum
from ..problem.problem import Problem
from ..runs.outcome import have_left, tally
from ..simulation.run import simulate
from .compare import at_rest, slowest_measured
from .cost import step_cost
from .remedy import REMEDIES, best_together
from .strength import SWEEP_E_FOLDS, kicked

#: what a remedy may change
RATIO = "generator.kernel.ratio"
#: the largest simulation of packed samples: weights times steps times runs
MAX_PACKED = 5e9
#: longest simulation, in steps (flow: units of time)
MAX_STEPS = 40_000


@dataclass(frozen=True)
class Row(Record):
    """One remedy or pair, of names ``remedies``. strengths: what was chosen, by field; rate: predicted slowest rate of
    the modes that move the particles; simulated, stderr: the same as measured (NaN: not measured, ``note`` says why);
    margin: see spectrum; threshold: smallest generator.kernel.ratio at which the spread equilibrium is unstable, None
    if none; cost: evaluations and products of a step (see comparison.cost), and its products over those of the
    experiment as given, counts that are the same on every machine. same_as: the row whose experiment this one is."""

    KEYS = (
        "name", "strengths", "rate", "margin", "simulated", "stderr", "evaluations", "products", "cost", "threshold",
        "note",
    )  # fmt: skip

    name: str
    remedies: tuple[str, ...]
    strengths: Mapping[str, float | int | str]
    rate: float
    margin: float
    threshold: float | None
    simulated: float = float("nan")
    stderr: float = float("nan")
    evaluations: float = float("nan")
    products: float = float("nan")
    cost: float = float("nan")
    note: str = ""
    same_as: str = ""

    @property
    def left_out(self) -> bool:
        """Whether one of the row's remedies is best left out."""
        return bool(self.same_as)


@dataclass(frozen=True)
class Remedies(Table):
    """The rows, the experiment as given first, and what could not be used with the reason."""

    KEYS = ("remedies", "unused", "at_the_end", "unit")
    DIM, ROWS = "remedy", "rows"
    TITLE = "remedies, each at its best strength; slowest rates in {0.unit}"

    rows: tuple[Row, ...]
    unused: tuple[dict[str, str], ...]
    unit: str
    exp: Experiment

    @property
    def at_the_end(self) -> tuple[str, ...]:
        """Fields of which some remedy alone is best at the largest value that was tried: more may be better still."""
        largest = {r.field: max(r.values) for r in REMEDIES.values() if r.field is not None and r.values}
        alone = [row for row in self.rows if not row.left_out and len(row.remedies) < 2]
        return tuple(f for f, value in largest.items() if any(row.strengths.get(f) == value for row in alone))

    @property
    def idle(self) -> tuple[str, ...]:
        """Remedies that are best left out of this experiment."""
        return tuple(row.name for row in self.rows if row.left_out and len(row.remedies) == 1)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is missing in the table."""
        out = [f"best left out: {', '.join(self.idle)}"] if self.idle else []
        out += [f"not used: {row['name']}: {row['reason']}" for row in self.unused]
        return (*out, *(f"more of {field} may be better still" for field in self.at_the_end))

    @property
    def remedies(self) -> tuple[Row, ...]:
        return self.rows

    def columns(self) -> list[Column]:
        return [
            Column("rate", "predicted slowest rate", self.unit),
            Column("simulated", "simulated slowest rate", self.unit),
            Column("stderr", "its standard error", self.unit),
            Column("margin", "stability margin", "1"),
            Column("evaluations", "gradient evaluations of a step", "1"),
            Column("products", "multiplications of a feature with a weight in a step", "1"),
            Column("cost", "products relative to the experiment as given", "1"),
            Column("threshold", f"threshold in {RATIO}", "1"),
            Column("strengths", of=lambda row: ", ".join(f"{k} = {_shown(v)}" for k, v in row.strengths.items())),
        ]

    def attrs(self) -> dict[str, Any]:
        return provenance(self.exp)

    def grid(self) -> tuple[list[str], list[list[str]]]:
        """Remedies that are best left out, and pairs with one of them, are not shown."""
        head = ["remedy", "at", "predicted", "simulated", "margin", "threshold", "evaluations", "cost"]
        return head, [
            [
                row.name,
                ", ".join(_shown(v) for k, v in row.strengths.items() if k != "update.rule"),
                f"{row.rate:.4g}",
                f"{row.simulated:.4g}" if np.isfinite(row.simulated) else "-",
                f"{row.margin:.3g}",
                "none" if row.threshold is None else f"{row.threshold:.3g}",
                f"{row.evaluations:.3g}" if np.isfinite(row.evaluations) else "-",
                f"{row.cost:.3g}" if np.isfinite(row.cost) else "-",
            ]
            for row in self.rows
            if not row.left_out
        ]


def _shown(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@takes_experiment
def compare_remedies(
    exp: Experiment,
    *,
    pairs: bool = True,
    runs: int = 4,
    progress: Callable[[int, int, str], None] | None = None,
) -> Remedies:
    """Each remedy at its predicted best strength, and (``pairs``) every two together: predicted and simulated.

    The strength maximises the slowest decay rate of the modes that move the particles, all else as in ``exp``; of a
    pair both are chosen together, within a factor 100 of each one's best alone. Simulations: kicks of 1e-7 length
    scales, ``runs`` of them, 12 e-folds of the predicted rate or 40000 steps.

    Returns:
        Rows of rate, simulated, margin, threshold and cost; what the experiment cannot have (a best response of an
            unbounded discriminator, say) is listed in ``unused``. ``eg.plot.remedies`` draws them.

    Units:
        Rates per step (flow: per unit of time), cost in products of a step over those of the experiment as given.

    Raises:
        NotLinearizable: as ``eg.spectrum`` does.

    Source:
        Eq. (60, best-response), Eq. (61, average-flow), Eq. (87, likelihood-dispersion), Eq. (91, packed-coupling).
    """
    convergence_rate(exp)  # raises the reason
    chosen: list[tuple[tuple[str, ...], Experiment, dict[str, Any]]] = [((), exp, {})]
    unused: list[dict[str, str]] = []
    alone: dict[str, float] = {}
    names = [*((name,) for name in REMEDIES), *(combinations(REMEDIES, 2) if pairs else ())]
    names = [group for group in names if not {"best response", "critic steps"} <= set(group)]
    for i, group in enumerate(names):
        title = " + ".join(group)
        if progress is not None:
            progress(i, 2 * len(names), title)
        if any(name in {u["name"] for u in unused} for name in group):
            continue
        try:
            changed, strengths = best_together(exp, [REMEDIES[name] for name in group], alone)
        except InputError as error:
            unused.append({"name": title, "reason": str(error)})
            continue
        if len(group) == 1 and REMEDIES[group[0]].field is not None:
            alone[group[0]] = float(strengths[REMEDIES[group[0]].field])  # type: ignore[index]
        chosen.append((group, changed, strengths))
    rows: list[Row] = []
    done: dict[Experiment, Row] = {}
    base = step_cost(exp)
    for i, (group, changed, strengths) in enumerate(chosen):
        title = " + ".join(group) or "as given"
        if progress is not None:
            progress(len(names) + i, 2 * len(names), title)
        if changed in done:  # one of a pair is best left out
            same = done[changed].name
            rows.append(
                replace(
                    done[changed],
                    name=title,
                    remedies=group,
                    strengths=strengths,
                    note=f"the same as {same}",
                    same_as=same,
                )
            )
            continue
        row = _measured(Row(title, group, strengths, **_predicted(changed)), changed, runs)
        cost = base if i == 0 else step_cost(changed)
        done[changed] = replace(
            row, evaluations=cost.evaluations, products=cost.products, cost=cost.products / base.products
        )
        rows.append(done[changed])
    return Remedies(tuple(rows), tuple(unused), exp.update_rule.rate_unit, exp)


def _predicted(exp: Experiment) -> dict[str, Any]:
    margin = float(spectrum(exp).attrs["margin"])
    return {
        "rate": convergence_rate(exp),
        "margin": margin,
        "threshold": collective_instability(exp, RATIO, 0.0, 1.0).value,
    }


def _measured(row: Row, exp: Experiment, runs: int) -> Row:
    """The row with what simulations show, without its cost."""
    note, growth = "", not row.rate > 0
    steps = int(np.ceil(SWEEP_E_FOLDS / abs(row.rate))) if row.rate else MAX_STEPS
    if growth:
        note, steps = "predicted to grow", min(steps, 1000)
    if steps > MAX_STEPS:
        note = f"too slow: {steps} steps for {SWEEP_E_FOLDS:g} e-folds"
    steps = max(steps, 64)
    weights = features_of(Problem(exp)).size if exp.packing.degree > 1 else 0
    if weights * steps * runs > MAX_PACKED:
        return replace(row, note=note or f"not simulated: {weights} weights")
    small = kicked(exp, steps, runs)
    if note and not growth:
        return replace(row, note=note)
    try:
        found = simulate(small)
        gone = found["outcome"].values[have_left(found["outcome"].values)]
        if len(gone) and not growth:  # no convergence, whatever their first samples show
            return replace(row, note=f"predicted to decay, but of {runs} runs {tally(gone)}")
        simulated, stderr = slowest_measured(small, found)
        if not np.isfinite(simulated):
            unseen = at_rest(small, found) or "the simulated runs show no mode that can be measured"
            note = "; ".join(filter(None, [note, unseen]))
    except (InputError, NotLinearizable) as error:
        return replace(row, note="; ".join(filter(None, [note, str(error)])))
    return replace(row, simulated=simulated, stderr=stderr, note=note)
