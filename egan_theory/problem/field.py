"""The nonlinear particle model: the velocity field of both players with every loss and penalty
(Eq. (4, discriminator-flow); Eq. (5, particle-flow)).

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
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..experiment import Experiment
from ..features import DictionaryFeatures, FeatureMap, LeftBox, PackedFeatures
from ..tables.penalties import PENALTIES, STRENGTHS
from ..tables.updates import Opponents
from .batch import over, present
from .consensus import consensus_gradient
from .objectives import Objectives, Positions
from .response import best_response

#: fields that may differ between the runs of one vectorised simulation
VARIABLE = (
    *(f"penalty.{name}" for name in STRENGTHS if name not in PENALTIES or PENALTIES[name].kind != "input"),
    "generator.learning_rate",
    "generator.kernel.ratio",
    "generator.kernel.diagonal",
    "discriminator.learning_rate",
    "likelihood.weight",
)


#: an exact kernel's dictionary is looked at when a particle has moved this part of the length scale
GROWTH_DISTANCE = 2e-3


class Field(Objectives):
    """Velocities of a batch of runs. ``x``: (run, N, d), array or Cloud; ``w``: (run, P); the run axis may be absent.

    members: one problem per run, equal to ``problem`` but for fields in VARIABLE. features: in place of the problem's
    own. A field never changes: ``grown`` and ``with_features`` give others.
    """

    #: where an exact kernel's dictionary was last found large enough
    _looked_at: np.ndarray | None = None

    def with_features(self, features: FeatureMap) -> Field:
        return self if features is self.features else Field(self.problem, self.members, features)

    # -- an exact kernel's growing dictionary -------------------------------------------------------------------------

    def needs_gradient_span(self) -> bool:
        """Whether the discriminator moves along grad psi at the particles (R2, Fisher, consensus)."""
        return bool(np.any(self.grad_q != 0) or np.any(self.gamma != 0))

    def grown(self, x: Positions) -> Field:
        """For the exact kernel: a field whose dictionary spans the kernel at x; this one where it does, and for others.

        Weights (``padded``) of the old features have zeros for the new ones. Raises LeftBox when a particle is outside
        the domain of the kernel's Fourier modes.
        """
        cloud = self.place(x)
        if cloud.outside.any():
            raise LeftBox()
        if not self.grows:
            return self
        x = cloud.x
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

    # -- what the players answer to, beside the present opponent ----------------------------------------------------

    @property
    def opponents(self) -> Opponents:
        """For updates.UpdateRule: best responses, and averages of the particles' mean features."""
        return Opponents(self.best_response, self.push, self.facing)

    def best_response(self, w: np.ndarray, x: Positions, q: np.ndarray | None = None) -> np.ndarray:
        """problem.response.best_response."""
        return best_response(self, w, self.place(x), q)

    def facing(self, w: np.ndarray, x: Positions, q: np.ndarray) -> np.ndarray:
        """V_w of a discriminator that sees the mean features q in place of push(x): f2'(D*) (q - E_q psi) is added to
        F_w. Exact for f2' constant; for others exact to first order in the deviation from equilibrium."""
        return self.Vw(w, x) + over(self.eta_D, 1) * self.unlike(x, q)

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
