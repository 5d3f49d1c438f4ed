"""The report's figures, by section."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.terminal import cell
from ..predict.left import left_over
from ..predict.regularizer import Regularizer
from ..runs.outcome import tally
from . import captions, plot
from .boundaries import RATIO
from .captions import Words
from .picture import Picture, Slider, picture
from .plot.runs import has_losses
from .stages import Results

#: stops of the slider, at most, and decades either side of the advice
STOPS, DECADES = 60, 2.0


@dataclass(frozen=True)
class Drawing:
    """A figure to be drawn: its section, name and words."""

    section: str
    name: str
    words: Words
    draw: Callable[[], Any]
    slider: Slider | None = None

    def picture(self) -> Picture:
        return picture(self.name, self.words.alt, self.words.caption, self.draw, slider=self.slider)


def drawings(r: Results) -> list[Drawing]:
    """All that can be drawn, in the order of the page."""
    return [*_spectrum(r), *_strength(r), *_collapse(r), *_runs(r)]


def _spectrum(r: Results) -> Iterator[Drawing]:
    s = r.spectrum
    if s is not None and s.sizes["mode"]:
        yield Drawing("spectrum", "eigenvalues", captions.eigenvalues(s, r.agreement),
                      lambda: plot.eigenvalues(s, r.agreement))  # fmt: skip
        if np.isfinite(s["damping_ratio"].values[s["coupled"].values != 0]).any():
            yield Drawing("spectrum", "damping", captions.damping(s), lambda: plot.damping_ratio(s))
        if np.isfinite(s["wavenumber"].values).any():
            yield Drawing("spectrum", "dispersion", captions.dispersion(s), lambda: plot.dispersion(s))
    if (f := r.frequency) is not None:
        yield Drawing("spectrum", "frequency", captions.frequency(f), lambda: plot.frequency(f))


def _strength(r: Results) -> Iterator[Drawing]:
    if (best := r.regularizer) is None:
        return
    present = (r.present, left_over(r.exp, best.horizon).moving)
    yield Drawing("strength", "strength", captions.left(best, r.swept, present),
                  lambda: plot.left(best, r.swept, present=present), slider(r, best))  # fmt: skip
    far = best.asymptotic
    if np.isfinite(far.rate) and len(far.strengths) > 1:
        rate = (r.present, float(r.spectrum.attrs["slowest_coupled_rate"])) if r.spectrum is not None else None
        now = rate if rate is not None and np.isfinite(rate[1]) else None
        yield Drawing("strength", "endless", captions.endless(best),
                      lambda: plot.rate_curve(far, unit=r.exp.update_rule.rate_unit, present=now))  # fmt: skip


def slider(r: Results, best: Regularizer) -> Slider | None:
    """Strengths that were computed, and what they leave; those simulated say so."""
    simulated: dict[float, str] = {}
    if r.swept is not None:
        for x, y, error in zip(*(r.swept[n].values for n in ("strength", "moving", "moving_stderr")), strict=True):
            said = f"simulated {cell(float(y))} ± {float(error):.2g}" if np.isfinite(y) else "simulated: diverged"
            simulated[float(x)] = said
    centre = best.best if np.isfinite(best.best) and best.best > 0 else best.optimum
    if not centre > 0:
        return None
    curve = dict(zip(map(float, best.strengths), map(float, best.movings), strict=True))
    if r.swept is not None:
        curve |= dict(zip(simulated, map(float, r.swept["predicted_moving"].values), strict=True))
    near = [x for x in sorted(curve) if abs(np.log10(x / centre)) <= DECADES or x in simulated]
    near = [x for x in near if np.isfinite(curve[x])]
    rest = [x for x in near if x not in simulated and x != best.best]
    places = np.unique(
        np.linspace(0, len(rest) - 1, max(min(len(rest), STOPS - len(simulated)), 0)).round().astype(int)
    )
    fixed = set(simulated) | ({best.best} if best.best in curve else set())
    chosen = sorted({rest[i] for i in places} | {x for x in fixed if np.isfinite(curve[x])})
    if len(chosen) < 2:
        return None
    path = strength_field(best.penalty)[1]
    texts = []
    for x in chosen:
        text = f"{path} = {cell(x)}: {cell(curve[x])} of a kick is left after {best.span}"
        marks = [" (advised)"] if x == best.best else []
        marks += [f"; {simulated[x]}"] if x in simulated else []
        marks += ["; some mode grows"] if best.edge is not None and x > best.edge else []
        texts.append(text + "".join(marks))
    start = int(np.argmin(np.abs(np.log(np.array(chosen) / centre))))
    return Slider(f"strength of {path}", chosen, texts, [curve[x] for x in chosen], start)


def _collapse(r: Results) -> Iterator[Drawing]:
    if (b := r.branch) is not None and (b.equilibrium or b.orbits or b.collapsed):
        yield Drawing("collapse", "branch", captions.branch(b), lambda: plot.branch(b))
    if (p := r.phase) is not None:
        codes = r.outcomes
        place = (float(r.exp.get(RATIO)), r.present)
        label = "this experiment" + ("" if codes is None else f", simulated: {tally(codes)}")
        yield Drawing("collapse", "phase", captions.phase(p, codes, place),
                      lambda: plot.phase(p, curves=r.curves, place=(*place, label)))  # fmt: skip


def _runs(r: Results) -> Iterator[Drawing]:
    if (runs := r.runs) is None:
        return
    yield Drawing("simulation", "relaxation", captions.relaxation(runs, r.agreement),
                  lambda: plot.relaxation(runs, agreement=r.agreement))  # fmt: skip
    if has_losses(runs):
        yield Drawing("simulation", "losses", captions.losses(runs), lambda: plot.losses(runs))
    yield Drawing("simulation", "cloud", captions.cloud(runs), lambda: plot.cloud(runs))
    if (scattered := r.scattered) is not None:
        yield Drawing("simulation", "scattered", captions.cloud(scattered), lambda: plot.cloud(scattered))


__all__ = ["Drawing", "drawings", "slider"]
