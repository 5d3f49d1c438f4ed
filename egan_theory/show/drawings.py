"""The report's figures, by section."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..predict.left import left_over
from ..runs.outcome import tally
from . import captions, plot, powers
from .boundaries import RATIO
from .captions import Words
from .picture import Picture, Slider, picture
from .plot.runs import has_losses
from .slides import strength_slider
from .stages import Results
from .words import settling


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
    if (p := r.powers) is not None and p.laws.sizes["mode"]:
        yield Drawing("spectrum", "powers", powers.words_of(p), lambda: plot.power_laws(p.laws))
    if (f := r.frequency) is not None:
        yield Drawing("spectrum", "frequency", captions.frequency(f), lambda: plot.frequency(f))


def _strength(r: Results) -> Iterator[Drawing]:
    if (best := r.regularizer) is None:
        return
    present = (r.present, left_over(r.exp, best.horizon).moving)
    if np.isfinite(best.movings).any():  # else every strength grows beyond all numbers, as the page says
        yield Drawing(
            "strength", "strength", captions.left(best, r.swept, present),
            lambda: plot.left(best, r.swept, present=present), strength_slider(best, r.swept),
        )  # fmt: skip
    far = best.asymptotic
    if np.isfinite(far.rate) and len(far.strengths) > 1:
        rate = (r.present, settling(r.spectrum)) if r.spectrum is not None else None
        now = rate if rate is not None and np.isfinite(rate[1]) else None
        yield Drawing("strength", "endless", captions.endless(best),
                      lambda: plot.rate_curve(far, unit=r.exp.update_rule.rate_unit, present=now))  # fmt: skip


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
    laws = None if r.powers is None else r.powers.laws
    yield Drawing("simulation", "relaxation", captions.relaxation(runs, r.agreement, laws),
                  lambda: plot.relaxation(runs, agreement=r.agreement, laws=laws))  # fmt: skip
    if has_losses(runs):
        yield Drawing("simulation", "losses", captions.losses(runs), lambda: plot.losses(runs))
    yield Drawing("simulation", "cloud", captions.cloud(runs), lambda: plot.cloud(runs))
    if (scattered := r.scattered) is not None:
        yield Drawing("simulation", "scattered", captions.cloud(scattered), lambda: plot.cloud(scattered))


__all__ = ["Drawing", "drawings"]
