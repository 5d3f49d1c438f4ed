"""Bifurcation diagrams: the spread equilibrium, the orbits that take its place, and the collapsed state, along one
parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from ..base.errors import InputError
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..nonlinear.normal import NormalForm
from ..problem.problem import Problem
from ..runs.outcome import covered_modes, data_radius
from .branched import Born, Branch, OrbitState, Part
from .collective import locate
from .crossings import Axis, axis_of, changed, parse_range
from .following import Followed, Follower, Found, looked_at
from .margin import margins
from .resting import Collapsed, collapsed_along

KINDS = {1: "fixed point", 2: "cycle of two steps"}


@takes_experiment
def branch(
    exp: Experiment,
    vary: str | Sequence[Any],
    low: float | None = None,
    high: float | None = None,
    *,
    at: Sequence[float] = (),
    collapsed: int = 13,
    work: float | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Branch:
    """The bifurcation diagram of an experiment over one real field: "PATH", "PATH=LOW:HIGH" or (PATH, LOW, HIGH).

    From every threshold of the spread equilibrium the orbits that are born there are followed through the range by
    pseudo-arclength, folds included, each with its leading Floquet multipliers and with whether particles that share a
    place part on it. KeyboardInterrupt ends it early with what was found.

    Args:
        low: lower end of the range; default: see ``crossings.axis_of``.
        high: upper end.
        at: values at which orbits are placed exactly.
        collapsed: at how many values the collapsed state is simulated (0: not at all).
        work: most work that orbits are followed for, counted in angles times coordinates squared of each of them (a
            core does about 10^6 in a second); where it does not suffice ``status`` is "limited". None: no limit.
        progress: called with (done, total, what).

    Returns:
        The diagram; its orbits are rows, and ``to_dataset`` gives arrays.

    Units:
        The field's own; displacements in lengths, times in steps (flow: units of time), exponents per step or time.

    Raises:
        InputError: a field that is no real number, a bad range, ``at`` outside of it, ``collapsed`` < 0, ``work`` not
            > 0, a loss of pairs.
        NotLinearizable: no equilibrium anywhere in the range.

    Source:
        Eq. (111, invariant-circle), Eq. (112, pseudo-arclength), Eq. (113, floquet).
    """
    vary, low, high = parse_range(vary, low, high)
    axis = axis_of(exp, vary, low, high)
    for value in at:
        if not axis.low <= value <= axis.high:
            raise InputError("at", f"lie in the range of {vary}, {axis.low:g} to {axis.high:g}", f"{value:g}")
    if collapsed < 0:
        raise InputError("collapsed", "be at least 0 (0: the collapsed state is not simulated)", collapsed)
    if work is not None and not work > 0:
        raise InputError("work", "be > 0, or None (no limit)", work)
    problem = Problem(exp)
    problem.loss.refuse_pairs("branches of orbits")
    follower = Follower(problem, axis, data_radius(exp) or exp.discriminator.length_scale, work)
    branches: list[Followed] = []
    states: tuple[Collapsed, ...] = ()
    parts: tuple[Part, ...] = ()
    status = "finished"

    def told(value: float) -> None:
        if progress is not None:
            done = (value - follower.low) / (follower.high - follower.low)
            progress(round(100 * min(max(done, 0.0), 1.0)), 100, f"orbits, {axis.path} = {axis.from_scale(value):.4g}")

    try:
        found = locate(exp, axis.path, axis.low, axis.high)
        parts = _equilibrium(exp, axis, found.values)
        for form in (form for forms in found.normal_forms for form in forms):
            _add(follower, branches, form, told)
        for followed in branches:
            follower.insert(followed, at)
        if progress is not None and collapsed:
            progress(100, 100, f"the collapsed state, {collapsed} values at once")
        states = collapsed_along(exp, axis, collapsed) if collapsed else ()
        status = "limited" if follower.stopped else status
    except KeyboardInterrupt:
        status = "interrupted"
    rows = [_row(exp, follower, i, found) for i, b in enumerate(branches) for found in b.found]
    return Branch(
        vary=axis.path, range=(axis.low, axis.high), log=axis.log, current=float(exp.get(axis.path)),
        unit=exp.update_rule.time_unit, equilibrium=parts,
        branches=tuple(_born(follower, b, [r for r in rows if r.branch == i]) for i, b in enumerate(branches)),
        orbits=tuple(rows), collapsed=states, status=status, provenance=provenance(exp),
    )  # fmt: skip


def _add(follower: Follower, branches: list[Followed], form: NormalForm, told: Callable[[float], None]) -> None:
    """Follow one more branch, kept unless it is one that is known."""
    if form.shape is None:
        branches.append(Followed(form, reason=form.reason))
        return
    place = len(branches)
    for followed in follower.follow(form, told):
        branches[place:] = [followed]
    if any(follower.same(known, branches[place]) for known in branches[:place]):
        branches.pop()


def _equilibrium(exp: Experiment, axis: Axis, thresholds: Sequence[float]) -> tuple[Part, ...]:
    """Stable and unstable parts between thresholds."""
    ends = [axis.low, *thresholds, axis.high]
    middles = [axis.from_scale((axis.to_scale(a) + axis.to_scale(b)) / 2) for a, b in pairwise(ends)]
    members = [changed(exp, {axis.path: value}) for value in middles]
    margin = [float("nan") if member is None else float(margins([member])[0]) for member in members]
    return tuple(
        Part(a, b, None if np.isnan(m) else bool(m <= 0)) for a, b, m in zip(ends, ends[1:], margin, strict=False)
    )


def _row(exp: Experiment, follower: Follower, number: int, found: Found) -> OrbitState:
    orbit = found.orbit
    x, home = looked_at(follower, orbit)
    shares = follower.family(orbit.value).steps.shares
    centroid = np.linalg.norm(np.einsum("m,kmd->kd", shares, x - home), axis=-1).max()
    covered = covered_modes(exp, xr.DataArray(np.concatenate([home[None], x]), dims=("time", "particle", "component")))
    kept = float(covered[1:].min() / covered[0]) if covered[0] > 0 else float("nan")
    leading, multiplier = complex(found.floquet.exponents[0]), complex(found.floquet.multipliers[0])
    return OrbitState(
        branch=number, value=float(follower.axis.from_scale(orbit.value)), kind=KINDS.get(orbit.m, "orbit"),
        rms=follower.rms(orbit), centroid=float(centroid),
        period=float(orbit.period) if orbit.m > 1 else None, angle=float(orbit.angle),
        modes_kept=kept, exponent=leading.real, multiplier_re=multiplier.real,
        multiplier_im=multiplier.imag, stable=found.floquet.stable, parting=found.parting,
        particles_part=bool(found.parting is not None and found.parting > 0), fold=found.fold,
        harmonics=orbit.harmonics, positions=x, solution=orbit,
    )  # fmt: skip


def _born(follower: Follower, followed: Followed, rows: list[OrbitState]) -> Born:
    changes = []
    plain = [r for r in rows if not r.fold]
    for a, b in pairwise(plain):
        if a.stable != b.stable:
            t = a.exponent / (a.exponent - b.exponent)
            scale = follower.axis.to_scale
            changes.append((follower.axis.from_scale(scale(a.value) * (1 - t) + scale(b.value) * t), b.stable))
    values, form = [r.value for r in rows], followed.form
    if form.exponent == 0.5 and form.at is None and rows:
        values.append(form.threshold)
    kept = [r.modes_kept for r in rows if np.isfinite(r.modes_kept)]
    return Born(
        threshold=form.threshold, bifurcation=form.bifurcation, criticality=form.criticality, motion=form.motion,
        low=min(values, default=None), high=max(values, default=None),
        folds=tuple(r.value for r in rows if r.fold), changes=tuple(changes),
        ever_stable=any(r.stable for r in plain), modes_kept=min(kept, default=None),
        parts=any(r.particles_part for r in plain if r.stable), reason=followed.reason,
    )  # fmt: skip


__all__ = ["branch"]
