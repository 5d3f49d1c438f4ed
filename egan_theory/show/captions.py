"""The report's figures in words: alternative text that says what is seen, with numbers, and a short caption."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from ..base.terminal import cell, plural
from ..comparison.agreement import Agreement
from ..predict.branched import Branch
from ..predict.learnt import Frequency
from ..predict.left import part
from ..predict.regularizer import Regularizer
from ..predict.spectrum import not_decaying
from ..runs.outcome import Outcome, known_outcomes, tally
from ..tables.penalties import strength_field
from .diagram import CALLED, MOTION
from .own import origin

#: of a boundary that is smoothed from draws
NOISE = "too few to decide which side cells next to this boundary are on"


class Words(NamedTuple):
    """Of a figure: ``alt`` for those who do not see it, ``caption``, and what it ``assumes``."""

    alt: str
    caption: str
    assumes: str = ""


def eigenvalues(spectrum: xr.Dataset, agreement: Agreement | None) -> Words:
    re, im, many = (spectrum[n].values for n in ("eigenvalue_re", "eigenvalue_im", "multiplicity"))
    growing = int(many[not_decaying(spectrum)].sum())
    where = "all in the stable half-plane" if not growing else f"{growing} outside of the stable half-plane"
    finite = re[np.isfinite(re)]
    reach = f"Re s from {cell(float(finite.min()))} to {cell(float(finite.max()))}, " if len(finite) else ""
    measured = agreement is not None and any(q.name.endswith(".re") for q in agreement.quantities)
    crosses = f" Crosses: fitted to the runs ({agreement.method})." if agreement and measured else ""
    unit = spectrum["eigenvalue_re"].attrs.get("units", "")
    log = "" if "time" in unit else " s = log z, z the factor per step."
    alt = f"{len(re)} predicted eigenvalues in the complex plane, {where}; {reach}|Im s| up to "
    alt += f"{cell(float(np.abs(im).max(initial=0.0)))} {unit}."
    if measured:
        alt += " Measured ones are drawn over them."
    caption = f"Eigenvalues of training about equilibrium, {where}: a small deviation goes as exp(s t).{log}{crosses}"
    return Words(alt, caption, f"{spectrum.attrs['assumptions']}; small deviations")


def dispersion(spectrum: xr.Dataset) -> Words:
    k, rate = spectrum["wavenumber"].values, -spectrum["eigenvalue_re"].values
    slow = float(k[np.nanargmin(rate)])
    size = f"{2 * np.pi / slow:.3g} (length)"
    text = f"The slowest wave is k = {slow:.3g} per length: structure of size {size} is learnt last."
    alt = f"Decay rate and frequency of each wave against wavenumber, up to k = {np.nanmax(k):.3g}. {text}"
    return Words(alt, f"Decay rate and frequency of each wave of the target. {text}", spectrum.attrs["assumptions"])


def damping(spectrum: xr.Dataset) -> Words:
    zeta = spectrum["damping_ratio"].values[spectrum["coupled"].values != 0]
    zeta = zeta[np.isfinite(zeta)]
    span = f"from {zeta.min():.3g} to {zeta.max():.3g}"
    below = int((zeta < 1).sum())
    alt = f"Damping ratios of {len(zeta)} eigenvalues, {span}; {below} of them are below the critical line at 1."
    text = f"Damping ratio of the modes that move the particles, {span}. Below the dashed line a mode oscillates."
    if zeta.min() < 0:
        text += " Below 0 it grows."
    return Words(alt, text, "real modes without a partner have no damping ratio and are left out")


def frequency(found: Frequency) -> Words:
    own = found.own
    unit = plural(found.unit)
    times = [t for t in own.learning_time if np.isfinite(t)]
    alt = f"Learning time against wavenumber for {len(found.kernels)} discriminator kernels."
    if times:
        alt += f" With the experiment's own, {own.kernel}, from {min(times):.3g} to {max(times):.3g} {unit}."
    if own.unstable.value is not None:
        alt += f" The spread state becomes unstable at a kernel ratio of {cell(own.unstable.value)}."
    text = "Curves: learning time of every wave with the experiment's kernel (bold) and others of the same K(0) and "
    text += "length."
    if found.separating_wavenumber is not None:
        text += f" Dashed: the wave that separates neighbouring modes, {cell(found.distance)} apart."
    if found.sample.wavenumber:
        text += " Circles: waves of the target's own points."
    text += " Bars: kernel ratios at which the spread state is unstable (shaded); modes need not be lost there."
    return Words(alt, text, "; ".join(found.assumptions))


def left(best: Regularizer, swept: xr.Dataset | None, present: tuple[float, float]) -> Words:
    path = strength_field(best.penalty)[1]
    alt = f"Left of what can move of a kick after {best.span}, against {path}."
    if best.helps and np.isfinite(best.best):
        alt += f" Least at {best.best:.3g}, where {part(best.moving)} is left; without, {part(best.moving_without)};"
        alt += f" at the present {present[0]:.3g}, {part(present[1])}."
    elif np.isfinite(best.least):
        alt += f" No strength helps: {part(best.least)} is left at best."
    if best.edge is not None:
        alt += f" Stable up to {best.edge:.3g}."
    text = f"What {best.span} of training leave of what can move of a small kick, against the strength of {path}, all "
    text += "else unchanged."
    if swept is not None:
        good = int(np.isfinite(swept["moving"].values).sum())
        count = int(swept.attrs.get("directions", 1))
        alt += f" {good} simulated strengths are drawn over the curve."
        text += f" Points: the nonlinear model simulated, kicked along {count} directions at right angles."
    return Words(alt, f"{text} Above 1 the kick has grown.", "; ".join(best.assumptions))


def endless(best: Regularizer) -> Words:
    far = best.asymptotic
    path, unit = strength_field(best.penalty)[1], "unit of time" if "time" in best.unit else "step"
    alt = f"Slowest decay rate against {path}: highest at {cell(far.best or 0.0)}, {cell(far.rate)} per {unit}."
    text = (
        f"Rate at which the slowest mode decays, against the strength of {path}: what counts in a training without end."
    )
    return Words(alt, text, "; ".join(far.assumptions))


def branch(found: Branch) -> Words:
    parts = "; ".join(
        f"{ {True: 'stable', False: 'unstable', None: 'not there'}[p.stable] } from {cell(p.low)} to {cell(p.high)}"
        for p in found.equilibrium
    )
    alt = f"Bifurcation diagram over {found.vary}: the spread state is {parts or 'not looked at'}."
    for i, born in enumerate(found.branches):
        rows = [o for o in found.orbits if o.branch == i]
        if rows:
            name = MOTION.get(born.motion, CALLED[rows[0].kind]) if rows[0].kind == "orbit" else CALLED[rows[0].kind]
            alt += f" At {cell(born.threshold)} {name} are born, up to {cell(max(o.rms for o in rows))} in rms size."
    attracts = [c.value for c in found.collapsed if c.attracts]
    if attracts:
        alt += f" The collapsed state attracts at {len(attracts)} of {len(found.collapsed)} ratios looked at."
    what = "and of the orbits born where it loses stability" if found.orbits else "at rest (no orbit could be followed)"
    text = f"rms displacement of the particles in the spread state {what}, against the kernel ratio. Solid: stable."
    text += f" Above: the collapsed state, at {len(found.collapsed)} ratios." if found.collapsed else ""
    return Words(alt, text, "; ".join(found.assumptions))


def phase(found: xr.Dataset, outcomes: np.ndarray | None, place: tuple[float, float]) -> Words:
    first, second = (found[n].attrs["long_name"] for n in ("first", "second"))
    shape = " by ".join(str(found.sizes[n]) for n in ("first", "second"))
    alt = f"Phase diagram over {first} and {second}; the experiment is at {cell(place[0])} and {cell(place[1])}."
    for name in found["mechanism"].values:
        share = float((found["margin"].sel(mechanism=name).values > 0).mean())
        alt += f" Beyond '{name}' lie {100 * share:.0f} % of the cells."
    text = "What is predicted where: hatched beyond the boundary of each mechanism. Star: this experiment"
    if outcomes is not None:
        text += f", of which runs ended as {tally(outcomes)}"
        alt += f" Its runs ended as {tally(outcomes)}."
    followed = "state reached from the start" in found["mechanism"].values
    how = f"; {found.attrs['method']}" + (
        "; starts: from about 170 draws over the plane: their boundary is known no better than draws lie apart"
        if followed
        else ""
    )
    return Words(alt, f"{text}. {shape} cells{how}.", found.attrs["assumptions"])


def cloud(runs: xr.Dataset) -> Words:
    placed = "assignment" in runs
    shared = ""
    if placed and len(np.unique(runs["assignment"].values)) < runs.sizes["particle"]:
        shared = " Particles that share a target point cover each other."
    became = tally(known_outcomes(runs)[:1])
    of = f"one {origin(runs)} run ({became})"
    alt = f"{runs.sizes['particle']} particles of {of} and {runs.sizes['point']} target points."
    if origin(runs) == "recorded":
        return Words(alt, f"Particles of one recorded run against the target.{shared}")
    start = "equilibrium with a small kick" if placed else "random positions"
    return Words(alt, f"Particles of one simulated run of the nonlinear model, started from {start}.{shared}")


def losses(runs: xr.Dataset) -> Words:
    text = f"Losses as the training loop of the {origin(runs)} runs reported them. The theory makes no use of them."
    return Words("Losses of discriminator and generator against time.", text)


def relaxation(runs: xr.Dataset, agreement: Agreement | None, laws: xr.Dataset | None = None) -> Words:
    slope = agreement is not None and any(q.name in ("rate", "s1.re") for q in agreement.quantities)
    what = "equilibrium" if "assignment" in runs else "the target"
    quantities = () if agreement is None else agreement.quantities
    signs = [q.predicted * (1 if q.name == "rate" else -1) for q in quantities if q.name in ("rate", "s1.re")]
    grows = bool(signs) and signs[0] < 0
    codes = known_outcomes(runs)
    trend = "growth" if grows or (not signs and (codes == Outcome.DIVERGED).all()) else "decay"
    alt = (
        f"Distance from {what} against time on a logarithmic scale in {len(codes)} {origin(runs)} runs: {tally(codes)}."
    )
    text = f"Distance from {what} in every {origin(runs)} run: a straight envelope is exponential {trend}."
    if laws is not None:
        line = (
            "Dashed: the predicted law of the slowest (or fastest growing) mode, from its onset on; its height is free."
        )
        alt = alt.replace("a logarithmic scale", "logarithmic scales") + " A dashed line has the predicted law."
        text = f"Distance from {what} in every {origin(runs)} run: a straight envelope is a power of time."
        return Words(alt, f"{text} {line}")
    if slope and grows:
        text += " Dashed: the predicted growth of the fastest growing mode that is seen."
        alt += " A dashed line rises at the predicted rate."
    elif slope:
        text += " Dashed: the predicted rate of the slowest visible mode; faster ones die first."
        alt += " A dashed line has the predicted rate."
    return Words(alt, text)


__all__ = [
    "Words", "branch", "cloud", "damping", "dispersion", "eigenvalues", "endless", "frequency", "left", "losses",
    "phase", "relaxation",
]  # fmt: skip
