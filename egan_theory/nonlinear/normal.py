"""Normal forms at a threshold of an equilibrium: what takes its place, how large, on which side, how far that holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..tables.bifurcations import BIFURCATION
from .amplitude import AmplitudeEquations, State, equations
from .critical import CriticalSpace, Refused
from .crossing import REAL, critical_modes
from .form import NormalForm
from .point import Point
from .reduced import reduce
from .series import correction

Array = np.ndarray
#: strong resonances: angles within this many radians of 2 pi/3 and pi/2
RESONANCE = 0.05
#: modes whose thresholds agree to this part of the parameter cross together
TOGETHER = 1e-6
#: distance in the parameter, as a part of it, at which derivatives in it are taken by central differences
STEP = 1e-4
#: cubic (quadratic) coefficients below this part of the terms that they are the sum of are zero to rounding
ZERO = 1e-9
#: the amplitude of the cubic truncation is good to this part
ACCURACY = 0.05
#: where two modes cross one after the other, amplitudes are given this part of the parameter beyond the threshold
BEYOND = 0.02
#: larger states are not searched for other modes that begin to grow; a growth below this is rounding; halvings of the
#: distance at which they do
MAX_EIGENVALUES, ROUNDING, HALVINGS = 600, 1e-10, 6
#: no larger matrices are factored: they take more than ten seconds
MAX_SIZE = 2400


def kind_of(target: complex, continuous: bool) -> str:
    """ "pair", "plus" or "minus": which way the eigenvalue leaves."""
    if continuous:
        return "pair" if abs(target.imag) > REAL else "plus"
    if abs(target.imag) > REAL:
        return "pair"
    return "plus" if target.real > 0 else "minus"


def spacing(value: float, ends: tuple[float, float]) -> float:
    """Distance in the parameter on either side of ``value`` at which ``normal_forms`` takes derivatives in it."""
    step = STEP * abs(value) if value else STEP
    return min(step, 0.5 * abs(ends[1] - value) or step, 0.5 * abs(value - ends[0]) or step)


def normal_forms(
    at: Callable[[float], Point],
    value: float,
    target: complex,
    side: str,
    *,
    ends: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[NormalForm, ...]:
    """The branches at the threshold ``value`` of a parameter, the stable ones first.

    at: the map (or flow) about its equilibrium, for values of the parameter; target: the eigenvalue of one step (flow:
    rate) that crosses there, approximately; side: "above" or "below" it is unstable; ends: of the parameter's range.
    Where there is no normal form, one record with the reason."""
    here = at(value)
    kind = kind_of(target, here.continuous)
    name = BIFURCATION[kind][here.continuous]
    angle = abs(target.imag) if here.continuous else abs(float(np.angle(target)))
    blank = NormalForm(name, angle=angle, threshold=value)
    try:
        return _found(at, here, value, target, side, ends, kind, blank)
    except Refused as refused:
        return (replace(blank, reason=str(refused)),)


def _found(
    at: Callable[[float], Point], here: Point, value: float, target: complex, side: str, ends: tuple[float, float],
    kind: str, blank: NormalForm,
) -> tuple[NormalForm, ...]:  # fmt: skip
    if here.largest > MAX_SIZE:
        raise Refused(
            f"{here.largest} numbers push each other, more than normal forms are computed for ({MAX_SIZE}): take fewer "
            "points or features"
        )
    _refuse_resonance(kind, here.continuous, blank.angle or 0.0)
    step = spacing(value, ends)
    before, after = at(value - step), at(value + step)
    if not before.size == after.size == here.size:
        raise Refused("the discriminator's basis changes with the parameter")
    space, slope, crossings = critical_modes(here, before, after, step, target, kind, value)
    reduced = reduce(space, here.differentials, here.resolvent)
    gram = here.gram(space.right)
    eq = equations(reduced, slope, gram)
    if kind == "plus" and np.abs(reduced.quadratic).max() > ZERO**0.5 * max(reduced.scale, 1e-300):
        return _quadratic(here, before, after, step, value, side, space, eq, blank)
    if np.abs(reduced.cubic).max() <= ZERO * reduced.scale or reduced.scale == 0:
        raise Refused("the cubic coefficient is zero to rounding: what happens is decided by higher orders")
    context = _Context(here, before, after, step, value, side, space, eq, crossings, blank)
    found = context.simple() if space.size == 1 else context.several()
    return tuple(_until_next(at, form, ends) for form in found)


def _until_next(at: Callable[[float], Point], form: NormalForm, ends: tuple[float, float]) -> NormalForm:
    """``valid_to`` within the range, and no further than where other modes of the equilibrium begin to grow."""
    if form.valid_to is None or form.criticality != "supercritical":
        return form
    low = form.threshold
    high = min(max(form.valid_to, ends[0]), ends[1])
    form = replace(form, valid_to=high)
    if at(low).largest > MAX_EIGENVALUES:
        return form
    own = form.modes * (2 if form.bifurcation in BIFURCATION["pair"] else 1)

    def others(value: float) -> bool:
        values = np.linalg.eigvals(at(value).block)
        growth = values.real if at(value).continuous else np.abs(values) - 1
        return bool(np.sum(growth > ROUNDING) > own)

    if not others(high):
        return form
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if others(middle) else (middle, high)
    return replace(form, valid_to=low)


def _refuse_resonance(kind: str, continuous: bool, angle: float) -> None:
    if kind != "pair" or continuous:
        return
    for order in (3, 4):
        if abs(angle - 2 * np.pi / order) < RESONANCE:
            raise Refused(
                f"strong resonance: {angle:.4g} radians per step are within {RESONANCE:g} of a turn in {order} steps, "
                "where the orbit locks to the steps and has no amplitude of its own"
            )


def _quadratic(
    here: Point, before: Point, after: Point, step: float, value: float, side: str, space: CriticalSpace,
    eq: AmplitudeEquations, blank: NormalForm,
) -> tuple[NormalForm, ...]:  # fmt: skip
    """Transcritical: dz/dt = delta L_1 z + Q z^2/2, z = -2 delta L_1/Q on both sides, unstable where the equilibrium is
    stable. (A fold has no equilibrium on one side, so that none of its thresholds is one of an equilibrium here.)"""
    if space.size > 1:
        raise Refused("several real eigenvalues cross together with quadratic terms: the branches were not sought")
    z = 2 * float(eq.linear_1[0, 0]) / float(eq.quadratic[0, 0, 0])
    form = replace(
        blank, bifurcation="transcritical", criticality="subcritical", exponent=1.0, side=side, stable=True,
        rms_amplitude=abs(z) * float(np.sqrt(eq.gram[0, 0].real)),
        centroid_amplitude=_centroid(here, z * space.right[:, 0], True), frequency_shift=0.0, equations=eq,
        shape=-z * space.right[:, 0],
    )  # fmt: skip
    return (form,)


@dataclass(frozen=True)
class _Context:
    here: Point
    before: Point
    after: Point
    step: float
    value: float
    side: str
    space: CriticalSpace
    equations: AmplitudeEquations
    crossings: Array
    blank: NormalForm

    @property
    def sign(self) -> float:
        return 1.0 if self.side == "above" else -1.0

    @property
    def scale(self) -> float:
        return abs(self.value) or 1.0

    def simple(self) -> tuple[NormalForm, ...]:
        slope, cubic = self.equations.simple()
        if abs(cubic.real) <= ZERO * abs(cubic):
            raise Refused("the cubic coefficient is zero to rounding: what happens is decided by higher orders")
        square = -slope.real / cubic.real  # per unit of the parameter
        direction = float(np.sign(square))
        z = np.array([np.sqrt(abs(square))], dtype=complex if not self.space.real else float)
        shift = direction * slope.imag + cubic.imag * abs(square)
        state = State(z, shift, np.array([-2 * direction * slope.real]))
        return (self._form(state, direction, 1.0),)

    def several(self) -> tuple[NormalForm, ...]:
        exact = AmplitudeEquations(0 * self.equations.linear_0, *self._rest())
        forms = []
        for direction in (self.sign, -self.sign):
            alike = [self._form(state, direction, 1.0, exact) for state in exact.states(direction)]
            if np.abs(self.crossings).max() <= TOGETHER * self.scale:
                forms += alike
                continue
            delta = BEYOND * self.scale
            for state in self.equations.states(direction * delta):
                form = self._form(state, direction, delta)
                twins = [f for f in alike if f.motion == form.motion and f.stable == form.stable] or alike
                if twins:  # the next order, as of the branch that there would be if both crossed together
                    apart = [abs((f.rms_amplitude or 0) - (form.rms_amplitude or 0)) for f in twins]
                    twin = twins[int(np.argmin(apart))]
                    form = replace(form, valid_to=twin.valid_to)
                forms.append(form)
        if not forms:
            raise Refused("the amplitude equations of the modes that cross together have no orbit of one frequency")
        forms.sort(key=lambda f: (not f.stable, f.criticality != "supercritical", f.rms_amplitude))
        return tuple(forms)

    def _rest(self) -> tuple:
        e = self.equations
        return e.linear_1, e.quadratic, e.cubic, e.gram, e.real

    def _form(
        self, state: State, direction: float, distance: float, eq: AmplitudeEquations | None = None
    ) -> NormalForm:
        """direction: of the branch, +1 above; state: the solution at that distance."""
        eq = self.equations if eq is None else eq
        rms = float(np.sqrt(eq.mean_square(state.z) / distance))
        supercritical = direction == self.sign
        c = self._correction(eq, state, direction) if distance == 1.0 else None
        valid = None if c is None else self.value + direction * ACCURACY / max(abs(c), 1e-12)
        return replace(
            self.blank,
            criticality="supercritical" if supercritical else "subcritical",
            rms_amplitude=rms,
            centroid_amplitude=_centroid(self.here, self.space.right @ state.z, self.space.real) / distance**0.5,
            side="above" if direction > 0 else "below",
            frequency_shift=None if self.space.real else direction * float(state.shift) / distance,
            motion="" if self.space.real else _motion(self.here, self.space.right @ state.z),
            stable=state.stable,
            valid_to=valid,
            relative_correction=c,
            modes=self.space.size,
            at=None if distance == 1.0 else self.value + direction * distance,
            shape=self.space.right @ state.z / np.sqrt(distance),
            equations=eq,
        )

    def _correction(self, eq: AmplitudeEquations, state: State, direction: float) -> float | None:
        try:
            return correction(self.here, self.before, self.after, self.step, self.space, eq, state, direction)[0]
        except Refused:  # a resonance of higher order: the next term is not a power
            return None


def _centroid(here: Point, vector: Array, real: bool) -> float:
    """Largest excursion of the centroid on Re(2 vector exp(i phi)) (real: of vector)."""
    c = here.shares @ here.displacement(vector[None])[0]
    return float(np.linalg.norm(c)) if real else float(np.sqrt(2 * (np.sum(np.abs(c) ** 2) + abs(np.sum(c * c)))))


def _motion(here: Point, vector: Array) -> str:
    """How particles move on the orbit Re(vector exp(i phi))."""
    x = np.sqrt(here.shares)[:, None] * here.displacement(vector[None])[0]
    each = np.abs(np.einsum("md,md->m", x, x)).sum() / np.sum(np.abs(x) ** 2)
    return "along lines" if each > 0.9 else ("circles" if each < 0.1 else "ellipses")


__all__ = ["MAX_SIZE", "NormalForm", "Refused", "kind_of", "normal_forms", "spacing"]
