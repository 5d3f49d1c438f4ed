"""Collective instability: where the spread equilibrium stops being stable.

The equilibrium is stable while every mode of one step decays, |z| < 1 (flow: Re s < 0). With A = nu for every mode
(weight decay alone) or at phi = 0, a mode is an oscillator with a_k = eta_D A_k and
w_k^2 = eta_D eta_G b c mu_k^2, mu_k^2 the eigenvalues of S^(1/2) H S^(1/2) (Eq. (37, finite-modes)), and
the update rule's Jury conditions (symbolic.maps) are polynomials in a and w^2. Simultaneous steps with weight decay:

    max_k mu_k^2 = nu / (eta_G b c)      while eta_D nu < 2: independent of eta_D
    S = omega g1 [(1 - phi) diag(s_a) + phi p p^T],   s_a = sum_(i on a) m_i^2

S is affine in phi, so the critical ratios are eigenvalues of the pencil (mu^2 - R_0) v = phi (R_1 - R_0) v with
R_j = B^T S_j B. The flow has no threshold: with b = c, |w|^2/eta_D + |theta|^2/eta_G never grows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..base.errors import NotLinearizable
from ..base.table import Record
from ..experiment import Experiment
from ..experiment.taken import takes_experiment
from ..linear import linearize
from ..nonlinear.normal import NormalForm
from ..problem.problem import Problem
from .critical import critical_values, jury_polynomials, stiffness_ends
from .crossings import axis_of, changed, sign_changes
from .fastest import fastest_mode, mode_beyond
from .margin import growth, margin, margins
from .normal import branches

CLOSED, NUMERICAL = "closed-form", "root of the exact spectrum"
ASSUMPTIONS = ("kicks are small: linear stability is necessary for a spread cloud to stay, not sufficient to reach it",)


@dataclass(frozen=True)
class CollectiveInstability(Record):
    """Where the spread equilibrium loses stability as ``vary`` changes over ``range`` (low, high).

    Attributes:
        vary: path of the field that is varied.
        range: [unit of the field] lower and upper end.
        values: [unit of the field] all thresholds, ascending.
        unstable_side: "above" or "below" each of them.
        method: "closed-form" or "root of the exact spectrum".
        margin: [1/step; flow: 1/time] growth at the experiment's own value (> 0: unstable).
        mode: the mode that becomes unstable at ``value``: its eigenvalue s = log z per step (flow: per time) and
            multiplier z there, how many modes share it, and ``translation``, the cosine^2 between what it does to the
            particles and a uniform translation (collective: above 1/2); None where it was not looked for.
        assumptions: what is taken for granted, in words.
        normal_forms: of every one of ``values`` the branches of orbits that are born there, where asked for.

    Source:
        Eq. (67, threshold-simultaneous), Eq. (68, threshold-alternating), Eq. (70, ratio-pencil).
    """

    KEYS = (
        "mechanism", "value", "range", "values", "unstable_side", "method", "margin", "mode", "normal_form",
        "normal_forms", "assumptions",
    )  # fmt: skip
    SHOWN = ("values", "unstable_side", "range", "margin", "method")
    TITLE = "{0.mechanism} in {0.vary}"
    mechanism: ClassVar[str] = "collective instability"

    vary: str
    range: tuple[float, float]
    values: tuple[float, ...]
    unstable_side: tuple[str, ...]
    method: str
    margin: float
    mode: dict[str, Any] | None
    assumptions: tuple[str, ...]
    normal_forms: tuple[tuple[NormalForm, ...], ...] = ()

    @property
    def value(self) -> float | None:
        """The smallest threshold [unit of the field], None if there is none in the range."""
        return self.values[0] if self.values else None

    @property
    def normal_form(self) -> NormalForm | tuple[NormalForm, ...] | None:
        """At ``value``, one branch or all of several, the stable ones first; None where not asked for."""
        return first_of(self.normal_forms)


def first_of(found: tuple[tuple[NormalForm, ...], ...]) -> NormalForm | tuple[NormalForm, ...] | None:
    """What there is at the first threshold: one branch, several, or nothing."""
    if not found:
        return None
    return found[0] if len(found[0]) > 1 else found[0][0]


@takes_experiment
def collective_instability(
    exp: Experiment,
    vary: str = "generator.kernel.ratio",
    low: float | None = None,
    high: float | None = None,
    *,
    closed_form: bool = True,
) -> CollectiveInstability:
    """All values of ``vary`` in [low, high] at which the spread equilibrium gains or loses linear stability.

    Closed form where the modes commute (module docstring), otherwise a scan of ``margin`` over 101 values refined by
    Brent's method; ``closed_form=False`` takes the second route always. Default range: see ``crossings.axis_of``.

    Returns:
        The thresholds with their sides, and the growth at the experiment's own value.

    Units:
        Thresholds in the unit of the field, growth per step (flow: per unit of time).

    Raises:
        InputError: a field that is no real number, or a bad range.
        NotLinearizable: no equilibrium anywhere in the range.

    Assumes:
        Small deviations; not checked: whether runs from elsewhere reach the equilibrium.

    Source:
        Eq. (37, finite-modes), Eq. (67, threshold-simultaneous), Eq. (70, ratio-pencil).

    Examples:
        >>> import egan_theory as eg
        >>> exp = eg.Experiment(target=eg.Ring(modes=4), discriminator=eg.Discriminator(features=0))
        >>> found = eg.collective_instability(exp, "generator.kernel.ratio")
        >>> [bool(eg.spectrum(exp.replace({"generator.kernel.ratio": x * found.values[0]})).stable) for x in (0.9, 1.1)]
        [True, False]
    """
    axis = axis_of(exp, vary, low, high)
    notes = list(ASSUMPTIONS)
    found = critical_values(Problem(exp), axis) if closed_form else None
    if found is not None:
        method, lin_notes = CLOSED, linearize(exp).assumptions
    else:
        method = NUMERICAL

        def at(value: float) -> float:
            member = changed(exp, {vary: value})
            try:
                return float("nan") if member is None else growth(member)
            except NotLinearizable:
                return float("nan")

        crossings, missing = sign_changes(at, axis)
        grid = axis.grid()
        if missing == len(grid):
            margin(exp.replace({vary: float(grid[0])}))  # raises the reason
        found = [(c.value, c.unstable_side) for c in crossings]
        if missing:
            notes.append(f"no equilibrium to linearize about at {missing} of {len(grid)} scanned values")
        notes.append(f"stability windows narrower than the scan ({len(grid)} values) may be missed")
        try:
            lin_notes = linearize(exp).assumptions
        except NotLinearizable:
            lin_notes = ()
    if exp.update_rule.plain_flow and Problem(exp).matched:
        notes.append("the flow about D = D* never gains energy: no threshold at any parameter")
    own = float(margins([exp])[0])
    if own != own and lin_notes:
        notes.append("no mode that moves the particles is resolved here: rounding does not tell whether any grows")
    return CollectiveInstability(
        vary=vary,
        range=(axis.low, axis.high),
        values=tuple(value for value, _ in found),
        unstable_side=tuple(side for _, side in found),
        method=method,
        margin=own,
        mode=mode_beyond(Problem(exp), axis, *found[0]) if found else None,
        assumptions=(*lin_notes, *notes),
    )


def locate(exp: Experiment, path: str, low: float, high: float) -> CollectiveInstability:
    """As a mechanism of ``threshold``: with the normal form at every threshold."""
    found = collective_instability(exp, path, low, high)
    axis, problem, forms = axis_of(exp, path, low, high), Problem(exp), []
    for i, (value, side) in enumerate(zip(found.values, found.unstable_side, strict=True)):
        mode = found.mode if i == 0 else mode_beyond(problem, axis, value, side)
        forms.append(branches(exp, axis, value, side, mode))
    return replace(found, normal_forms=tuple(forms))


__all__ = [
    "CollectiveInstability",
    "collective_instability",
    "fastest_mode",
    "jury_polynomials",
    "margin",
    "margins",
    "stiffness_ends",
]
