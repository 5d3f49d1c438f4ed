"""Remedies for one experiment side by side: each at its predicted best strength, and pairs of them.

A remedy is a change of the experiment with at most one number to choose. The number that maximises the slowest decay
rate is found on the exact spectrum; the nonlinear model is then simulated there. Sources: symbolic.remedies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from html import escape
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import xarray as xr
from scipy.optimize import minimize

from ..base.errors import InputError, NotLinearizable
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.targets import Uniform
from ..features.choose import sample_features
from ..linear.coupling import damping
from ..linear.seen import features_of
from ..predict.asymptotic import convergence_rate, fastest_strength
from ..predict.collective import collective_instability
from ..predict.spectrum import number, spectrum
from ..runs.outcome import Outcome, tally
from ..simulation.condense import condensed
from ..simulation.run import simulate
from .compare import slowest_measured
from .cost import step_cost
from .strength import KICK, RECORDS, SWEEP_E_FOLDS

#: what a remedy may change
RATIO = "generator.kernel.ratio"
#: critic steps and averaging times (steps or units of time) that are tried
CRITIC_STEPS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
TIMES = np.concatenate([[0.0], np.geomspace(1.0, 1e4, 41)])
#: samples that a packed discriminator judges at once, and the largest simulation of one: weights times steps times runs
DEGREES, MAX_PACKED = (1, 2, 3), 5e9
#: most weights of a dense spectrum that a search over strengths repeats some hundred times
MAX_SEEN = 400
#: a pair's strengths stay within this factor of each one's best alone
SPAN = 100.0
#: beginning of the note on a row whose best strengths are those of another
LEFT_OUT = "the same as"
#: rates this close, relative, are equal
SAME = 1e-6
#: longest simulation, in steps (flow: units of time)
MAX_STEPS = 40_000


@dataclass(frozen=True)
class Row:
    """One remedy or pair. strengths: what was chosen, by field; rate: predicted slowest rate of the modes that move the
    particles; simulated, stderr: the same as measured (NaN: not measured, ``note`` says why); margin: see spectrum;
    threshold: smallest generator.kernel.ratio at which the spread equilibrium is unstable, None if none; cost:
    evaluations and products of a step (see comparison.cost), and its products over those of the experiment as given,
    counts that are the same on every machine."""

    name: str
    strengths: Mapping[str, float | int | str]
    rate: float
    margin: float
    threshold: float | None
    simulated: float
    stderr: float
    evaluations: float = float("nan")
    products: float = float("nan")
    cost: float = float("nan")
    note: str = ""

    @property
    def left_out(self) -> bool:
        """Whether one of the row's remedies is best left out."""
        return self.note.startswith(LEFT_OUT)

    def to_dict(self) -> dict[str, Any]:
        """The --json form."""
        names = ("rate", "margin", "simulated", "stderr", "evaluations", "products", "cost")
        return {
            "name": self.name,
            "strengths": dict(self.strengths),
            **{key: number(getattr(self, key)) for key in names},
            "threshold": self.threshold,
            "note": self.note,
        }


@dataclass(frozen=True)
class Remedies:
    """The rows, the experiment as given first, and what could not be used with the reason."""

    rows: tuple[Row, ...]
    unused: tuple[dict[str, str], ...]
    unit: str
    exp: Experiment

    @property
    def at_the_end(self) -> tuple[str, ...]:
        """Fields of which some remedy alone is best at the largest value that was tried: more may be better still."""
        largest = {r.field: max(r.values) for r in REMEDIES.values() if r.field is not None and r.values}
        alone = [row for row in self.rows if not row.left_out and " + " not in row.name]
        return tuple(f for f, value in largest.items() if any(row.strengths.get(f) == value for row in alone))

    @property
    def idle(self) -> tuple[str, ...]:
        """Remedies that are best left out of this experiment."""
        return tuple(row.name for row in self.rows if row.left_out and " + " not in row.name)

    def to_dict(self) -> dict[str, Any]:
        """The --json form."""
        rows = [row.to_dict() for row in self.rows]
        end = list(self.at_the_end)
        return {"remedies": rows, "unused": list(self.unused), "at_the_end": end, "unit": self.unit}

    def to_dataset(self) -> xr.Dataset:
        """Over dimension ``remedy``."""
        units = {"rate": self.unit, "simulated": self.unit, "stderr": self.unit, "margin": "1"}
        units |= dict.fromkeys(("evaluations", "products", "cost"), "1")
        names = {
            "rate": "predicted slowest rate",
            "simulated": "simulated slowest rate",
            "stderr": "its standard error",
            "margin": "stability margin",
            "evaluations": "gradient evaluations of a step",
            "products": "multiplications of a feature with a weight in a step",
            "cost": "products relative to the experiment as given",
        }
        data = {
            key: ("remedy", [getattr(row, key) for row in self.rows], {"long_name": names[key], "units": units[key]})
            for key in units
        }
        thresholds = [np.nan if row.threshold is None else row.threshold for row in self.rows]
        attrs = {"long_name": f"threshold in {RATIO}", "units": "1"}
        strengths = [", ".join(f"{k} = {_shown(v)}" for k, v in row.strengths.items()) for row in self.rows]
        return xr.Dataset(
            {**data, "threshold": ("remedy", thresholds, attrs), "strengths": ("remedy", np.array(strengths))},
            coords={"remedy": np.array([row.name for row in self.rows])},
            attrs=provenance(self.exp),
        )

    #: titles of ``table``
    HEAD = ("remedy", "at", "predicted", "simulated", "margin", "threshold", "evaluations", "cost")

    def _repr_html_(self) -> str:
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>" for cells in self.table()
        )
        return "<table><tr>" + "".join(f"<th>{escape(h)}</th>" for h in self.HEAD) + f"</tr>{body}</table>"

    def table(self) -> list[list[str]]:
        """One list of texts per row; remedies that are best left out, and pairs with one of them, are not shown."""
        return [
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


# -- the remedies ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Remedy:
    """``prepare`` turns the experiment into one that can have it; ``field`` holds its number (None: it has none), any
    number >= 0 where ``smooth``, else one of ``values``."""

    name: str
    field: str | None
    prepare: Callable[[Experiment], Experiment]
    values: tuple[float, ...] = ()
    smooth: bool = False


def _as_it_is(exp: Experiment) -> Experiment:
    return exp


def _with_bandwidth(exp: Experiment) -> Experiment:
    if exp.likelihood.bandwidth or exp.points.period is not None:
        return exp
    return exp.replace({"likelihood.bandwidth": exp.discriminator.length_scale})


def _responding(exp: Experiment) -> Experiment:
    rule = "best_response_flow" if exp.update_rule.continuous else "best_response"
    plain = {"update.critic_steps": 1, "update.momentum_discriminator": 0.0, "update.momentum_generator": 0.0}
    return exp.replace({"update.rule": rule, **plain})


def _critic(exp: Experiment) -> Experiment:
    if exp.update_rule.continuous or exp.update_rule.responds:
        raise InputError("update.rule", "be a discrete first-order rule for critic steps", repr(exp.update.rule))
    return exp.replace({"update.rule": "alternating"})


def _packable(exp: Experiment) -> Experiment:
    _check_packed(exp.replace({"packing.degree": 2}))
    return exp


def _check_packed(exp: Experiment) -> None:
    """Raise InputError where packed samples have too many weights to be simulated, or too many that are seen for a
    search over dense spectra."""
    features_of(exp)
    if exp.packing.kernel == "product" and any(damping(exp)[1:]) and not isinstance(exp.target, Uniform):
        points, d = exp.points.coordinates.shape
        seen = min(points * (1 + d), sample_features(exp).size)
        size = comb(seen + exp.packing.degree - 1, exp.packing.degree)
        if size > MAX_SEEN:
            rule = f"leave at most {MAX_SEEN} weights that the data see, with a value or gradient penalty"
            raise InputError("packing.degree", rule, size)


REMEDIES: dict[str, Remedy] = {
    r.name: r
    for r in (
        Remedy("R1", "penalty.r1", _as_it_is, smooth=True),
        Remedy("weight decay", "penalty.weight_decay", _as_it_is, smooth=True),
        Remedy("likelihood", "likelihood.weight", _with_bandwidth, smooth=True),
        Remedy("best response", None, _responding),
        Remedy("critic steps", "update.critic_steps", _critic, CRITIC_STEPS),
        Remedy("averaged generator", "memory.generator", _as_it_is, tuple(TIMES)),
        Remedy("averaged discriminator", "memory.discriminator", _as_it_is, tuple(TIMES)),
        Remedy("packing", "packing.degree", _packable, DEGREES),
    )
}


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
    scales, ``runs`` of them, 12 e-folds of the predicted rate or MAX_STEPS. What the experiment cannot have (a best
    response of an unbounded discriminator, say) is listed in ``unused``. Raises NotLinearizable as ``spectrum`` does.
    """
    convergence_rate(exp)  # raises the reason
    chosen: list[tuple[str, Experiment, dict[str, Any]]] = [("as given", exp, {})]
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
            changed, strengths = _best(exp, [REMEDIES[name] for name in group], alone)
        except InputError as error:
            unused.append({"name": title, "reason": str(error)})
            continue
        if len(group) == 1 and REMEDIES[group[0]].field is not None:
            alone[group[0]] = float(strengths[REMEDIES[group[0]].field])  # type: ignore[index]
        chosen.append((title, changed, strengths))
    rows: list[Row] = []
    done: dict[Experiment, Row] = {}
    base = step_cost(exp)
    for i, (title, changed, strengths) in enumerate(chosen):
        if progress is not None:
            progress(len(names) + i, 2 * len(names), title)
        if changed in done:  # one of a pair is best left out
            rows.append(
                replace(done[changed], name=title, strengths=strengths, note=f"{LEFT_OUT} {done[changed].name}")
            )
            continue
        row, cost = _measured(title, changed, strengths, runs), base if i == 0 else step_cost(changed)
        done[changed] = replace(
            row, evaluations=cost.evaluations, products=cost.products, cost=cost.products / base.products
        )
        rows.append(done[changed])
    return Remedies(tuple(rows), tuple(unused), "1/time" if exp.update_rule.continuous else "1/step", exp)


def _best(
    exp: Experiment, remedies: list[Remedy], alone: Mapping[str, float]
) -> tuple[Experiment, dict[str, float | int | str]]:
    """The experiment with the remedies at the strengths that maximise the slowest rate, and those strengths."""
    for remedy in sorted(remedies, key=lambda r: r.field is None):
        exp = remedy.prepare(exp)
    free = [r for r in remedies if r.field is not None]
    shown: dict[str, float | int | str] = {} if len(free) == len(remedies) else {"update.rule": exp.update.rule}
    if not free:
        convergence_rate(exp)  # raises the reason
        return exp, shown
    bounded = exp.update_rule.responds and free[0].field == "penalty.weight_decay"  # not to be scanned from 0
    if len(free) == 1 and free[0].smooth and not bounded:
        key = {"likelihood.weight": "likelihood"}.get(str(free[0].field), str(free[0].field).split(".")[-1])
        found = fastest_strength(exp, key)
        best = float(found.strengths[-1]) if found.best is None else found.best
        return exp.replace({best_field(free[0]): best}), {**shown, best_field(free[0]): best}
    values = _search(exp, free, alone)
    return exp.replace(values), {**shown, **values}


def best_field(remedy: Remedy) -> str:
    assert remedy.field is not None
    return remedy.field


def _rate(exp: Experiment, values: Mapping[str, float]) -> float:
    try:
        changed = exp.replace(values)
        if changed.packing.degree > 1:
            _check_packed(changed)
        rate = convergence_rate(changed)
    except InputError:
        return -np.inf
    return rate if np.isfinite(rate) else -np.inf


def _search(exp: Experiment, free: list[Remedy], alone: Mapping[str, float]) -> dict[str, float]:
    """Strengths by a coarse grid over all of them, then the simplex method in the smooth ones' logarithms."""
    grids = []
    for remedy in free:
        centre = alone.get(remedy.name, 0.0) or float(exp.get(best_field(remedy))) or 1.0
        smooth = (0.0, *(centre * np.geomspace(1 / SPAN, SPAN, 9)))
        fewer = sorted({*remedy.values[::2], alone.get(remedy.name, 0.0)} & set(remedy.values))
        grids.append(smooth if remedy.smooth else remedy.values if len(free) == 1 else fewer)
    fields = [best_field(remedy) for remedy in free]
    mesh = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, len(free))
    rates = [_rate(exp, dict(zip(fields, map(float, point), strict=True))) for point in mesh]
    # ties go to the first, which uses least
    point = mesh[int(np.argmax(np.array(rates) >= max(rates) * (1 - np.sign(max(rates)) * SAME)))]
    best = dict(zip(fields, map(float, point), strict=True))
    moving = [i for i, remedy in enumerate(free) if remedy.smooth and point[i] > 0]
    if not moving:
        return best
    bounds = [(np.log(min(v for v in grids[i] if v > 0)), np.log(max(grids[i]))) for i in moving]

    def at(u: np.ndarray) -> dict[str, float]:
        return best | {fields[i]: float(np.exp(v)) for i, v in zip(moving, u, strict=True)}

    found = minimize(
        lambda u: -_rate(exp, at(u)), np.log(point[moving]), method="Nelder-Mead", bounds=bounds,
        options={"xatol": 1e-4, "fatol": 1e-6 * abs(max(rates)), "maxiter": 200},
    )  # fmt: skip
    return at(found.x) if -found.fun > max(rates) else best


def _measured(title: str, exp: Experiment, strengths: Mapping[str, Any], runs: int) -> Row:
    """The row without its cost."""
    predicted, margin = convergence_rate(exp), float(spectrum(exp).attrs["margin"])
    threshold = collective_instability(exp, RATIO, 0.0, 1.0).value
    simulated = stderr = float("nan")
    note = ""
    growth = not predicted > 0
    steps = int(np.ceil(SWEEP_E_FOLDS / abs(predicted))) if predicted else MAX_STEPS
    if growth:
        note, steps = "predicted to grow", min(steps, 1000)
    if steps > MAX_STEPS:
        note = f"too slow: {steps} steps for {SWEEP_E_FOLDS:g} e-folds"
    steps = max(steps, 64)
    weights = features_of(exp).size if exp.packing.degree > 1 else 0
    if weights * steps * runs > MAX_PACKED:
        note = note or f"not simulated: {weights} weights"
        return Row(title, strengths, predicted, margin, threshold, simulated, stderr, note=note)
    small = condensed(exp).replace(
        {
            "run.steps": steps, "run.record_every": max(steps // RECORDS, 1), "run.runs": runs, "run.start": "kick",
            "run.kick": KICK * exp.discriminator.length_scale,
        }
    )  # fmt: skip
    if not note or growth:
        try:
            found = simulate(small)
            gone = found["outcome"].values[found["outcome"].values >= Outcome.ESCAPED]
            if len(gone) and not growth:  # no convergence, whatever their first samples show
                note = f"predicted to decay, but of {runs} runs {tally(gone)}"
            else:
                simulated, stderr = slowest_measured(small, found)
        except (InputError, NotLinearizable) as error:
            note = "; ".join(filter(None, [note, str(error)]))
    return Row(title, strengths, predicted, margin, threshold, simulated, stderr, note=note)
