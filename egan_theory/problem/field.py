"""The nonlinear particle model: the velocity field of both players with every loss and penalty.

With f = D - D* = w . psi(x), expectations over p and q as weighted sums over nodes (instance noise included) and
M = omega Gamma the generator's kernel,

    F_w = dL_D/dw = sum_y p [(f1'(D) - value_p f) psi - grad_p grad psi . grad D] + (same with f2', q) - nu w
    F_x = dL_G/dx_i = m_i h'(D) grad D(x_i) + likelihood term (problem.likelihood)
    V_w = eta_D (F_w - gamma dR/dw),   V_x = eta_G M (F_x - gamma dR/dx),   R = |F_w|^2/2 + F_x . M F_x / 2

R is half the squared field in parameter space (consensus optimisation; gamma = 0 leaves it out). With packed samples
(features.packed) D takes m of them, p and q are p x ... x p and q x ... x q, grad runs over all m, and the generator
ascends E h(D): F_x = sum over tuples and over the samples in them that are x_i.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..experiment import Experiment
from ..features import (
    DictionaryFeatures,
    FeatureMap,
    FourierGrid,
    LeftBox,
    Located,
    LocatedPacked,
    PackedFeatures,
    feature_map,
)
from ..features.packed import power
from ..tables.updates import Opponents
from .batch import merged, over, present
from .cloud import Cloud
from .consensus import consensus_gradient
from .likelihood import Score
from .problem import Problem
from .response import best_response, discriminator_hessian, inverse_or_nan, same_everywhere

#: fields that may differ between the runs of one vectorised simulation
VARIABLE = (
    "penalty.r1",
    "penalty.r2",
    "penalty.weight_decay",
    "penalty.multiplier",
    "penalty.alpha",
    "penalty.consensus",
    "generator.learning_rate",
    "generator.kernel.ratio",
    "generator.kernel.diagonal",
    "discriminator.learning_rate",
    "likelihood.weight",
)

#: an exact kernel's dictionary is looked at when a particle has moved this part of the length scale
GROWTH_DISTANCE = 2e-3

Positions = Cloud | np.ndarray


class Field:
    """Velocities of a batch of runs. ``x``: (run, N, d), array or Cloud; ``w``: (run, P); the run axis may be absent.

    members: one problem per run, equal to ``problem`` but for fields in VARIABLE. features: in place of the problem's
    own. A field never changes: ``grown`` and ``with_features`` give others.
    """

    def __init__(
        self,
        problem: Problem,
        members: Sequence[Problem] | None = None,
        features: FeatureMap | None = None,
    ) -> None:
        self.problem, self.members = problem, members
        #: where an exact kernel's dictionary was last found large enough
        self._looked_at: np.ndarray | None = None
        each = list(members) if members is not None else [problem]

        def number(path: str) -> Any:
            values = np.array([float(e.exp.get(path)) for e in each])
            return values[0] if members is None or np.all(values == values[0]) else values

        self.loss, self.D0 = problem.loss, problem.loss.D0
        self.grad_p, self.grad_q, self.value_p, self.value_q, self.nu = (
            merged([e.coefficients[i] for e in each]) for i in range(5)
        )
        self.gamma = number("penalty.consensus")
        self.eta_D, self.eta_G = number("discriminator.learning_rate"), number("generator.learning_rate")
        g1 = number("generator.kernel.diagonal")
        phi = number("generator.kernel.ratio")
        self.relative, self.collective = problem.omega * g1 * (1 - phi), problem.omega * g1 * phi
        self.masses = problem.masses
        self.likelihood = number("likelihood.weight")
        self.score = Score(problem.exp) if np.any(self.likelihood) else None
        self.offsets, self.node_weights = problem.noise
        self.Y = self.nodes(problem.Y)
        self.p = (problem.p[:, None] * self.node_weights).ravel()
        self.q = (self.masses[:, None] * self.node_weights).ravel()
        self.features: FeatureMap = feature_map(problem.exp) if features is None else features
        #: samples that the discriminator judges at once
        self.degree = self.features.degree if isinstance(self.features, PackedFeatures) else 1

    def with_features(self, features: FeatureMap) -> Field:
        return self if features is self.features else Field(self.problem, self.members, features)

    # -- what depends on the target alone ------------------------------------------------------------------------

    @cached_property
    def at_Y(self) -> Located:
        return self.features.at(self.Y)

    @cached_property
    def _pushed(self) -> np.ndarray:
        """The target's push where f1' is constant (Wasserstein): the same at every step."""
        return self.loss.df1.constant * self.mean(self.at_Y, self.p)

    @cached_property
    def _under_p(self) -> Any:
        """Penalties under p are linear in w: with modes on a grid their cost need not grow with the target's points."""
        many = isinstance(self.features, FourierGrid) and len(self.Y) > self.features.size
        return self.features.weighted(self.Y, self.p) if many else None  # type: ignore[attr-defined]

    @cached_property
    def p_judged(self) -> np.ndarray:
        """Weights of what the discriminator judges: of single samples, or of tuples."""
        return power(self.p, self.degree)

    @cached_property
    def q_judged(self) -> np.ndarray:
        return power(self.q, self.degree)

    # -- positions --------------------------------------------------------------------------------------------------

    def place(self, x: Positions) -> Cloud:
        """The positions as a cloud of this field."""
        if isinstance(x, Cloud):
            return x if x.field.features is self.features else Cloud(self, x.x)
        return Cloud(self, x)

    def nodes(self, X: np.ndarray) -> np.ndarray:
        """Every position with its instance noise: (..., n Q, d)."""
        if len(self.node_weights) == 1:
            return X
        nodes = X[..., :, None, :] + self.offsets
        return nodes.reshape(*X.shape[:-2], -1, X.shape[-1])

    def sum_nodes(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Add up the instance-noise nodes of each particle along ``axis`` (negative)."""
        Q = len(self.node_weights)
        if Q == 1:
            return values
        shape = list(values.shape)
        at = len(shape) + axis
        shape[at : at + 1] = [shape[at] // Q, Q]
        return values.reshape(shape).sum(at + 1)

    def outside(self, x: np.ndarray) -> np.ndarray:
        """Which runs have a particle where the kernel's Fourier modes do not stand for it: (run,), or () for one."""
        if not isinstance(self.features, FourierGrid):
            return np.zeros(x.shape[:-2], dtype=bool)
        return self.features.outside(np.real(x), np.abs(self.offsets).max(axis=0))

    # -- an exact kernel's growing dictionary -------------------------------------------------------------------------

    def needs_gradient_span(self) -> bool:
        """Whether the discriminator moves along grad psi at the particles (R2, Fisher, consensus)."""
        return bool(np.any(self.grad_q != 0) or np.any(self.gamma != 0))

    def grown(self, x: np.ndarray) -> Field:
        """For the exact kernel: a field whose dictionary spans the kernel at x; this one where it does, and for others.

        Weights (``padded``) of the old features have zeros for the new ones. Raises LeftBox when a particle is outside
        the domain of the kernel's Fourier modes.
        """
        if self.outside(x).any():
            raise LeftBox()
        if not self.grows:
            return self
        # the residual of K(., x) grows as the fourth power of the way: no need to look before a particle has moved
        if self._looked_at is not None and self._looked_at.shape == x.shape:
            way = GROWTH_DISTANCE * self.problem.exp.discriminator.length_scale
            if not np.abs(x - self._looked_at).max() > way:
                return self
        old: Any = self.features
        bigger = old.extended(self.nodes(x).reshape(-1, x.shape[-1]), self.needs_gradient_span())
        out = copy(self) if bigger is old else self.with_features(bigger)
        out._looked_at = x
        return out

    def padded(self, w: np.ndarray, old: FeatureMap) -> np.ndarray:
        """Weights of the ``old`` features as weights of these."""
        return w if old is self.features else old.padded(w, self.features)  # type: ignore[attr-defined]

    @property
    def grows(self) -> bool:
        """Whether the features are an exact kernel's dictionary, to be extended where the particles go."""
        one = self.features.base if isinstance(self.features, PackedFeatures) else self.features
        return isinstance(one, DictionaryFeatures)

    # -- the objectives' gradients ----------------------------------------------------------------------------------

    def mean(self, at: Located, one: np.ndarray) -> np.ndarray:
        """E psi over what the discriminator judges, single samples having weights ``one``."""
        return at.mean(one) if isinstance(at, LocatedPacked) else at.adjoint(one, None)

    def metric(self, F: np.ndarray) -> np.ndarray:
        """M F = omega sum_j Gamma_ij F_j: (..., N, d), never building Gamma."""
        return over(self.relative, 2) * F + over(self.collective, 2) * F.sum(-2, keepdims=True)

    def forces(self, x: Positions, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(f, grad f) at the particles, averaged over instance noise: (..., N), (..., N, d). Packed: averaged over the
        other samples too, and the sum of the gradients along every sample (LocatedPacked.felt)."""
        at, weight = self.place(x).located, np.tile(self.node_weights, x.shape[-2])
        f, g = at.felt(w, self.q) if isinstance(at, LocatedPacked) else (at.value(w), at.gradient(w))
        return self.sum_nodes(weight * f, -1), self.sum_nodes(weight[:, None] * g, -2)

    def discriminator_gradient(self, w: np.ndarray, x: Positions) -> np.ndarray:
        """F_w = dL_D/dw, (..., P)."""
        on_q = (self.q, self.q_judged, self.loss.df2, self.value_q, self.grad_q)
        return self._target_side(w) + self._side(w, self.place(x).located, *on_q) - over(self.nu, 1) * w

    def _side(
        self, w: np.ndarray, at: Located, one: np.ndarray, judged: np.ndarray, df: Any, value: Any, grad: Any
    ) -> np.ndarray:
        """One side's part of F_w, samples having weights ``one`` and what D judges ``judged``."""
        # constant derivatives (Wasserstein) and absent penalties need no evaluation of D
        need_value = df.constant is None or present(value)
        if not need_value and not present(grad):
            return df.constant * self.mean(at, one)
        f = at.value(w) if need_value else 0.0
        a = judged * (df(self.D0 + f) - over(value, 1) * f)
        b = -judged[:, None] * over(grad, 2) * at.gradient(w) if present(grad) else None
        return at.adjoint(a, b)

    def _target_side(self, w: np.ndarray) -> np.ndarray:
        """The target's part of F_w. Where f1' is constant (Wasserstein) its push is the same at every step."""
        df1, value, grad = self.loss.df1, self.value_p, self.grad_p

        def side(grad: Any) -> np.ndarray:
            return self._side(w, self.at_Y, self.p, self.p_judged, df1, value, grad)

        form: Any = self._under_p
        quadratic = present(value) or present(grad)
        if df1.constant is None or (quadratic and form is None):
            if form is None or not present(grad):
                return side(grad)
            return side(0.0) - over(grad, 1) * form.gradients(w)
        out = self._pushed
        if present(value):
            out = out - over(value, 1) * form.values(w)
        return out - over(grad, 1) * form.gradients(w) if present(grad) else out

    def generator_gradient(self, w: np.ndarray, x: Positions) -> np.ndarray:
        """F_x = dL_G/dx, (..., N, d), masses included, Gamma not."""
        cloud, dh = self.place(x), self.loss.dh
        at = cloud.located
        if isinstance(at, LocatedPacked):
            if dh.constant is not None:
                force = self.q[:, None] * dh.constant * at.felt(w, self.q)[1]
            else:
                force = at.pulled(self.q_judged * dh(self.D0 + at.value(w)), w)
        elif dh.constant is not None:
            force = self.q[:, None] * dh.constant * at.gradient(w)
        else:
            force = (self.q * dh(self.D0 + at.value(w)))[..., None] * at.gradient(w)
        force = self.sum_nodes(force, -2)
        if self.score is None:
            return force
        drift = self.masses[:, None] * self.score(cloud.x)
        # a score that does not exist (NaN) is nothing to a run without the term
        weight = over(self.likelihood, 2)
        return force + np.where(weight != 0, weight * drift, 0.0)

    # -- what the players answer to, beside the present opponent ----------------------------------------------------

    @property
    def opponents(self) -> Opponents:
        """For updates.UpdateRule: best responses, and averages of the particles' mean features."""
        return Opponents(self.best_response, self.push, self.facing)

    def best_response(self, w: np.ndarray, x: Positions, q: np.ndarray | None = None) -> np.ndarray:
        """problem.response.best_response."""
        return best_response(self, w, self.place(x), q)

    def discriminator_hessian(self, w: np.ndarray, x: Positions) -> np.ndarray:
        """dF_w/dw, (..., P, P), dense."""
        return discriminator_hessian(self, w, self.place(x))

    @cached_property
    def constant_inverse(self) -> np.ndarray | None:
        """The inverse of dF_w/dw where that is the same everywhere, NaN where it is singular."""
        if not same_everywhere(self):
            return None
        P, home = self.features.size, self.place(self.problem.home)
        return inverse_or_nan(self.discriminator_hessian(np.zeros(P), home))

    def push(self, x: Positions) -> np.ndarray:
        """E_q psi, (..., P); of packed samples that of tuples."""
        return self.mean(self.place(x).located, np.broadcast_to(self.q, (*x.shape[:-2], len(self.q))))

    def facing(self, w: np.ndarray, x: Positions, q: np.ndarray) -> np.ndarray:
        """V_w of a discriminator that sees the mean features q in place of push(x): f2'(D*) (q - E_q psi) is added to
        F_w. Exact for f2' constant; for others exact to first order in the deviation from equilibrium."""
        return self.Vw(w, x) + over(self.eta_D, 1) * self.unlike(x, q)

    def unlike(self, x: Positions, q: np.ndarray) -> np.ndarray:
        """What seeing q in place of push(x) adds to F_w."""
        return -self.loss.c * (q - self.push(x))

    def Vw(self, w: np.ndarray, x: Positions) -> np.ndarray:
        """dw/dt, (..., P)."""
        cloud = self.place(x)
        F = self.discriminator_gradient(w, cloud)
        if present(self.gamma):
            F = F - over(self.gamma, 1) * consensus_gradient(self, w, cloud)[0]
        return over(self.eta_D, 1) * F

    def Vx(self, w: np.ndarray, x: Positions) -> np.ndarray:
        """dx/dt, (..., N, d)."""
        cloud = self.place(x)
        F = self.generator_gradient(w, cloud)
        if present(self.gamma):
            F = F - over(self.gamma, 2) * consensus_gradient(self, w, cloud)[1]
        return over(self.eta_G, 2) * self.metric(F)


def check_variants(exp: Experiment, variants: Sequence[Experiment]) -> None:
    """Raise InputError unless the variants differ from exp only in fields of VARIABLE."""
    # an architecture determines the generator's kernel, so that there is nothing to put back
    fixed = exp.generator.architecture is not None
    paths = [path for path in VARIABLE if not (fixed and path.startswith("generator.kernel."))]
    for v in variants:
        same = v.replace({path: exp.get(path) for path in paths})
        if same != exp:
            raise InputError("variants", f"differ only in {', '.join(VARIABLE)}")
