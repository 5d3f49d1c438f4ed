"""The terms of the pages: what each number is, in which unit, and by which equation of theory.md."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ..runs.outcome import ESCAPE, NARROW, REST
from ..tables.bifurcations import MEANING


@dataclass(frozen=True)
class Term:
    """A term: ``name`` as the page writes it, ``text`` its definition, ``unit`` ("1": a pure number, "": a word),
    ``equation`` the name of one in theory.md, or ""."""

    name: str
    text: str
    unit: str = "1"
    equation: str = ""

    @property
    def number(self) -> int | None:
        """The number of its equation."""
        return numbers().get(self.equation)

    def __str__(self) -> str:
        unit = {"": "", "1": " A pure number."}.get(self.unit, f" Unit: {self.unit}.")
        return f"{self.text}{unit}" + (f" Eq. ({self.number}, {self.equation})." if self.equation else "")


@cache
def numbers() -> dict[str, int]:
    """Number of each equation of theory.md by its name."""
    from ..symbolic import derive

    return {e.name: e.number for step in derive().steps for e in step.equations}


RATE = "per step (rule flow: per unit of time)"

_TERMS = (
    Term(
        "equilibrium",
        "The state that training is meant to reach: particles on the target's points with the target's weights, the "
        "discriminator constant. Also called the spread state, to tell it from the collapsed one.",
        "",
        "function-space",
    ),
    Term(
        "eigenvalue s",
        "A small deviation from equilibrium in one mode goes as exp(s t). Re s < 0: it decays; Im s: how fast it turns."
        " Of training in steps, s = log z with z the factor by which one step multiplies the deviation.",
        RATE,
        "mode-roots",
    ),
    Term(
        "mode of training",
        "A pattern of small deviations, of particles and discriminator together, that training carries on by itself, "
        "with one eigenvalue. Not to be confused with the modes of the target.",
        "",
        "finite-modes",
    ),
    Term("multiplicity", "How many independent modes share this eigenvalue."),
    Term(
        "decay rate",
        "-Re s: the inverse of the time in which a mode shrinks by a factor e. The slowest one of the modes that move "
        "the particles says how long all of training takes. Negative: the mode grows.",
        RATE,
        "mode-roots",
    ),
    Term(
        "decay time",
        "The time in which a mode shrinks by the factor e = 2.718: one over its decay rate.",
        "steps (rule flow: units of time)",
        "mode-roots",
    ),
    Term(
        "damping ratio",
        "How strongly a mode is damped for its frequency. Below 1 it oscillates while it decays, at 1 it returns as "
        "fast as it can for its frequency, above 1 it creeps.",
        "1",
        "damping-ratio",
    ),
    Term(
        "regime",
        "Underdamped: damping ratio below 1; critical: 1; overdamped: above 1. A real mode without a partner has none; "
        "of an unresolved one rounding tells nothing.",
        "",
        "damping-ratio",
    ),
    Term(
        "power of time",
        "T^p: against averages over all of the past a mode goes as a power of the elapsed time T, whose start "
        "counts as one step (or unit of time). p below 0: it shrinks, the later, the slower. exp(c T^p): it grows "
        "faster than any power.",
        "1",
        "uniform-powers",
    ),
    Term(
        "onset of a power", "The time well after which a law of late times holds.", "steps (rule flow: units of time)"
    ),
    Term(
        "squared frequency",
        "omega^2, the product of what moves the particles by the discriminator and the discriminator by the particles.",
        "per step squared (rule flow: per unit of time squared)",
        "uniform-thresholds",
    ),
    Term(
        "wavenumber k",
        "Of a wave of length L, 2 pi/L: structure of size L in the target is learnt with this wave.",
        "1/length",
        "mode-flow",
    ),
    Term(
        "learning time",
        "The time in which the slowest part of a wave decays by a factor e.",
        "steps (rule flow: units of time)",
        "response",
    ),
    Term(
        "strength of a penalty",
        "The factor of the penalty in the discriminator's objective. R1 is the mean squared gradient of the "
        "discriminator at the data, with factor 1/2; weight decay is a spring on its weights.",
        "gradient penalties: length squared; others: 1",
        "penalty-sums",
    ),
    Term("horizon", "The length of the training for which a strength is advised.", "steps (rule flow: units of time)"),
    Term(
        "left of what can move",
        "What training of the stated length leaves of a small kick of the particles in random directions, the "
        "discriminator at rest: rms displacement at the end over that of the kick, of the coordinates that can move "
        "(particles on one place against each other cannot). 0: all is forgotten; above 1: the kick has grown.",
        "1",
        "left",
    ),
    Term(
        "left of a kick",
        "Of runs that began near equilibrium: the rms distance of the particles from it at the end over that "
        "at the start. Above 1: they have moved away.",
        "1",
    ),
    Term(
        "edge of stability",
        "The largest strength at which every mode decays. Beyond it the steps overshoot. The advice stays a factor of "
        "2 below it.",
        "as the strength",
        "map-simultaneous",
    ),
    Term(
        "best without end",
        "The strength at which the slowest mode decays fastest: what would be best if training never ended.",
        "as the strength",
        "best-r1",
    ),
    Term(
        "kernel ratio",
        "g2/g1 of the generator's kernel: how much a step that moves one sample moves every other. 0: samples move "
        "independently; 1: all move as one.",
        "1",
        "generator-kernel",
    ),
    Term(
        "threshold",
        "The value of a parameter at which what is predicted changes, all else the same. Each mechanism has its own.",
        "that of the parameter",
        "threshold-simultaneous",
    ),
    Term(
        "mechanism",
        "One way in which a training ends elsewhere than at rest on the target: the spread state becomes unstable, the "
        "collapsed state attracts, time is too short to tell neighbouring modes apart, or starts lead elsewhere.",
        "",
    ),
    Term(
        "discriminator kernel",
        "K(x, y): how much training the discriminator at one place moves it at another. Its Fourier transform says how "
        "strongly structure of each size is felt.",
        "1",
        "discriminator",
    ),
    Term(
        "spread state",
        "The equilibrium with particles at every point of the target. Where it is unstable particles circle about "
        "their places with every mode kept, or the cloud jumps away.",
        "",
        "ratio-pencil",
    ),
    Term(
        "collapsed state",
        "All particles at one point, which moves as training goes on. It attracts where small distances between "
        "particles shrink on average along its orbit.",
        "",
        "collapsed-flow",
    ),
    Term(
        "transverse exponent",
        "Mean growth rate of small distances between particles of the collapsed cloud. Below 0 the collapsed state "
        "attracts.",
        RATE,
        "transverse-flow",
    ),
    Term(
        "time to split",
        "How long neighbouring modes of the target take to be told apart. Longer than the run: particles stay between "
        "them.",
        "steps (rule flow: units of time)",
        "splitting-pattern",
    ),
    Term(
        "probability of losing modes",
        "Of training from random starts (run.start = random), how likely it is that some mode of the target ends "
        "without a particle. Predicted with few macro-particles, from so many draws of the start as are stated.",
        "1",
        "macro-particles",
    ),
    Term(
        "share of starts that keep every mode",
        "Of training from random starts (run.start = random), how likely it is that every mode of the target has a "
        "particle in the end: 1 less the probability of losing modes.",
        "%",
        "macro-particles",
    ),
    Term(
        "orbit",
        "A closed motion of the particles that training repeats for ever instead of coming to rest.",
        "",
        "invariant-circle",
    ),
    Term(
        "bifurcation",
        "What takes the place of the spread state at rest where it loses stability. "
        + "; ".join(f"{name}: {meaning}" for name, meaning in MEANING.items())
        + ". Supercritical: from size 0 beyond the threshold; subcritical: before it, so that beyond it the cloud "
        "jumps. A fold: a branch of orbits turns back.",
        "",
        "invariant-circle",
    ),
    Term(
        "rms displacement",
        "Root mean square, over particles (and a turn of the orbit), of the distance from their places at equilibrium.",
        "length",
        "orbit-radius",
    ),
    Term(
        "outcome of a run",
        "What became of it, judged at its end: settled (every mode of the target has a particle and all come to rest), "
        f"circling with modes kept (they move on, by more than {REST:g} data radii), part of the modes lost, not "
        f"settled (still changing), collapsed (narrower than {NARROW:g} data radii), escaped (more than {ESCAPE:g} "
        "data radii away), diverged.",
        "",
    ),
    Term("data radius", "rms distance of the target's points from their mean, with their weights.", "length"),
    Term(
        "modes of the target",
        "The places of the data that must have samples: the target's points, or the means of a mixture. One is kept "
        "when a particle is within half the distance between neighbouring modes.",
        "",
    ),
    Term("predicted", "The value of the theory, exact for small deviations (linear theory).", "see the row", "saddle"),
    Term("measured", "The value fitted to the runs, without knowledge of the predicted one.", "see the row"),
    Term("standard error", "One standard deviation of the measured value.", "that of the row"),
    Term("z", "Measured minus predicted, in standard errors. Beyond 3 on either side chance is no likely reason.", "1"),
    Term(
        "relative error",
        "|measured - predicted| over the size of what is predicted (of an eigenvalue its modulus).",
        "1",
    ),
    Term(
        "agrees",
        "At most 3 standard errors between prediction and measurement (yes), or more, but at most 1 % (within 1 %).",
        "",
    ),
    Term(
        "quantity",
        "What is compared; the button in each row says which. s1, s2, ... are the slowest modes that the runs show, "
        "slowest first, s1.re and s1.im the real and imaginary part of the eigenvalue; 'left of what can move at X' is "
        "that with strength X.",
        "",
        "mode-roots",
    ),
    Term("step", "One update of the generator, with its updates of the discriminator.", ""),
    Term("seed", "Number from which all random choices follow: the same seed gives the same page.", "1"),
    Term("unit", "What the number counts in. 1: a pure number.", ""),
)
#: every term by its name
GLOSSARY = {term.name: term for term in _TERMS}


__all__ = ["GLOSSARY", "Term", "numbers"]
