"""What is learnt when, and what the discriminator's spectrum decides: ``frequency`` of one experiment.

Of its own kernel and of kernels whose spectra fall differently, at the same K(0) and length scale: the learning time of
every wavenumber, of the one that separates neighbouring modes, k = pi/Delta, and the time until these are told apart
(predict.splitting); and where the boundaries of the mechanisms lie in the kernel ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..base.errors import EganError
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..problem.problem import Problem
from .collective import collective_instability
from .frequency import SPECTRA, separating_wavenumber, times, with_kernel
from .learnt import Boundary, Frequency, KernelTimes, Sample
from .margin import margins
from .splitting import splitting
from .threshold import thresholds
from .waves import sample_waves, separating_wave, separation, waves

Progress = Callable[[int, int, str], None]

RATIO = "generator.kernel.ratio"
COLLAPSED = "collapsed state"


@takes_experiment
def frequency(
    exp: Experiment,
    kernels: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    collapsed: bool = False,
    progress: Progress | None = None,
) -> Frequency:
    """What the experiment learns when, with its own kernel and with ``kernels``, everything else equal.

    Wavenumbers are those of ``predict.waves``: exact on the uniform box, of the mean density of a ring or grid, of the
    points of any other target.

    Args:
        kernels: label to fields of the discriminator; default: Gaussian, three Matern kernels, rational quadratic.
        collapsed: also at which ratios the collapsed state attracts, which takes a simulation for each kernel.
        progress: called with (done, total, what) as the work advances.

    Returns:
        Rows of kernels; ``eg.plot.frequency`` draws them.

    Units:
        Times in steps (flow: units of time), wavenumbers in 1/length.

    Raises:
        InputError: a kernel without a spectrum, ratio = 1, a target of a single mode, a remedy that waves are not
            derived for; a kernel of ``kernels`` that the experiment refuses has its reason in ``note`` instead.

    Source:
        Eq. (16, dispersion), Eq. (82, response), Eq. (77, splitting-oscillator).
    """
    others = SPECTRA if kernels is None else kernels
    problem = Problem(exp)
    first = waves(problem)
    delta = None if problem.box is not None or problem.N == 1 else separation(problem)
    members: dict[str, tuple[bool, Mapping[str, Any]]] = {}
    name = _label(exp, others)
    members[name] = (True, {})
    members |= {label: (False, fields) for label, fields in others.items() if label != name}
    per = 2 if collapsed else 1
    rows, total = [], per * len(members)
    for i, (label, (own, fields)) in enumerate(members.items()):
        if progress is not None:
            progress(per * i, total, label)
        tick = None if progress is None else lambda label=label, i=i: progress(per * i + 1, total, label)
        rows.append(_row(exp, label, own, fields, first.lin.wavenumber, delta, collapsed, tick))
    if progress is not None:
        progress(total, total, name)
    sample = Sample()
    if first.way == "density":
        found = sample_waves(problem)
        data = times(found)
        sample = Sample(*(_numbers(v) for v in (found.lin.wavenumber, data["learning_time"], data["acting_time"])))
    return Frequency(
        unit=exp.update_rule.time_unit,
        steps=exp.run.steps,
        ratio=float(problem.ratio),
        way=first.way,
        distance=delta,
        separating_wavenumber=None if delta is None else float(np.pi / delta),
        wavenumber=_numbers(first.lin.wavenumber),
        kernels=tuple(rows),
        sample=sample,
        method=first.lin.method,
        assumptions=first.assumptions,
        provenance=provenance(exp),
    )


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def _label(exp: Experiment, others: Mapping[str, Mapping[str, Any]]) -> str:
    """The label of the kernel that is the experiment's own, or its name."""
    own = exp.discriminator.kernel_object
    for label, fields in others.items():
        try:
            if with_kernel(exp, fields).discriminator.kernel_object == own:
                return label
        except EganError:
            continue
    return own.title or own.name.replace("_", " ")


def _row(
    exp: Experiment,
    label: str,
    own: bool,
    fields: Mapping[str, Any],
    k: np.ndarray,
    delta: float | None,
    collapsed: bool,
    tick: Callable[[], None] | None,
) -> KernelTimes:
    notes: list[str] = []

    def known(work: Callable[[], Any]) -> Any:
        """What ``work`` finds; None, with a note, where theory has a reason to find nothing."""
        try:
            return work()
        except EganError as error:
            notes.append(str(error))
            return None

    member = exp if own else known(lambda: with_kernel(exp, fields))
    missing = Boundary(reason="; ".join(notes) or "not evaluated")
    never = tuple(float("nan") for _ in k)
    if member is None:
        return KernelTimes(
            label, own, never, never, ("",) * len(k), None, None, None, None, None, None, None, missing,
            missing if collapsed else None, notes[0],
        )  # fmt: skip
    if member.discriminator.features != exp.discriminator.features:
        notes.append(f"{member.discriminator.features} random features: the exact kernel has no force at the data")
    problem, steps = Problem(member), exp.run.steps
    data = known(lambda: times(waves(problem, None if problem.box is not None else k)))
    learning = never if data is None else _numbers(data["learning_time"])
    within = [float(one) for one, time in zip(k, learning, strict=True) if time <= steps]
    wave = split = half = None
    if delta is not None:
        wave = known(lambda: float(times(separating_wave(problem))["learning_time"][0]))
        split = known(lambda: splitting(member).time)
        half = known(lambda: separating_wavenumber(member.discriminator.kernel_object, delta))
    unstable = _unstable(member)
    if tick is not None and collapsed:
        tick()
    return KernelTimes(
        kernel=label,
        own=own,
        learning_time=learning,
        acting_time=never if data is None else _numbers(data["acting_time"]),
        regime=("",) * len(k) if data is None else tuple(str(r) for r in data["regime"]),
        learnt_from=min(within, default=None),
        learnt_to=max(within, default=None),
        separating_time=wave,
        learnt=None if wave is None else wave <= steps,
        split_time=split,
        told_apart=None if split is None else split <= steps,
        half_content=half,
        unstable=unstable,
        collapsed=_attracts(member) if collapsed else None,
        note="; ".join(dict.fromkeys(notes)),
    )


def _unstable(exp: Experiment) -> Boundary:
    """Ratios at which the spread state is unstable."""
    try:
        found = collective_instability(exp, RATIO)
        there = float(margins([exp.replace({RATIO: 0.0})])[0])
    except EganError as error:
        return Boundary(reason=str(error))
    return Boundary(found.values, found.unstable_side, None if np.isnan(there) else there > 0)


def _attracts(exp: Experiment) -> Boundary:
    """Ratios at which the collapsed state attracts, along the cluster's simulated orbit."""
    try:
        found = thresholds(exp, RATIO, mechanisms=[COLLAPSED]).thresholds[0]
        if found.reason or found.values:
            return Boundary(found.values, found.unstable_side, None, found.reason)
        return Boundary(at_zero=None if np.isnan(found.margin) else found.margin > 0)
    except EganError as error:
        return Boundary(reason=str(error))


__all__ = ["frequency"]
