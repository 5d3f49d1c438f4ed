"""One step of an experiment's update rule as a map z -> F(z) of R^n, with its derivatives by Taylor arithmetic.

The state z holds the discriminator's weights w, the positions x of the particles (particles that stay together as one,
problem.condense) and the memory of the rule, flattened in this order. A discriminator at its best response is a
function of the rest of the state, so that z is (x, memory) there. Of a flow F is the rule's own Runge-Kutta step over
one unit of time, with substeps that resolve the fastest mode, and ``velocity`` is the vector field that it follows.

Derivatives are those of the program that simulates: F is evaluated at z + t v as a truncated series (jet.Jet), so that
every loss, penalty, update rule and feature map has them as soon as it has a step. No matrix is formed but by
``jacobian``.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cached_property
from typing import Any, Self

import numpy as np

from ..base.errors import InputError
from ..features import FeatureMap, FourierGrid, NetworkFeatures, PackedFeatures
from ..kernels.wide.network import WideKernel
from ..linear.checks import check_linearizable
from ..linear.equilibria import Equilibrium, equilibrium
from ..linear.resolved import resolved_rule
from ..problem.condense import CondensedField, groups
from ..problem.field import Field
from ..problem.problem import Problem
from ..tables.updates import UpdateRule
from .jet import Jet

#: particles closer than this part of the discriminator's length scale at rest are at one point
TOGETHER = 1e-8
#: an exact kernel's basis holds it and its gradient at every position at rest and at this part of the length scale from
#: there along every axis, to this part of their squared norms: second derivatives at rest to a part of REACH^2
REACH, FINE = 0.1, 1e-11
#: functions of such a basis, at most
LARGEST_BASIS = 3000
#: numbers that a block of directions may hold at once, all coefficients and features at the particles counted
BLOCK = 5_000_000


class StepMap:
    """The step map of a problem about its equilibrium ``rest`` (n,): F(rest) = rest.

    ``size`` n; ``shares`` (M,): parts of the particles on each of the M positions, which sum to 1. Leading axes of a
    state (..., n) are a batch. Lengths and weights are those of the experiment.

    Raises NotLinearizable where there is no equilibrium or no map that stays the same from step to step (Adam, uniform
    averages), InputError where a player is a network in training.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        check_linearizable(problem)
        for player in ("discriminator", "generator"):
            if getattr(problem.exp, player).finite_network:
                rule = "have no network of finite width beyond linear theory (its features change as it is trained)"
                raise InputError(f"{player}.architecture", rule, "a width")
        if isinstance(problem.kernel, WideKernel):
            rule = "have a profile beyond linear theory (features > 0 of a random network, or another kernel)"
            raise InputError("discriminator.kernel", rule, "an infinitely wide network's")
        self.rule: UpdateRule = resolved_rule(problem.exp)
        self.equilibrium: Equilibrium = equilibrium(problem)
        self.groups = groups(problem, self.equilibrium.x, TOGETHER * problem.exp.discriminator.length_scale)
        self.field: Field = CondensedField(problem, self.groups, dense(self.equilibrium.field.features))
        first = np.unique(self.groups.of, return_index=True)[1]
        self._x = self.equilibrium.x[first]
        self._w = self.equilibrium.w
        if self.field.grows:
            self._spanned()
        self.shares = self.groups.shares

    def _spanned(self) -> None:
        """An exact kernel's basis that also holds what D becomes near the positions at rest."""
        before, d = self.field, self._x.shape[1]
        scale = REACH * self.problem.exp.discriminator.length_scale
        around = np.concatenate([np.zeros((1, d)), scale * np.eye(d), -scale * np.eye(d)])
        places = before.nodes((self._x[:, None, :] + around).reshape(-1, d))
        if len(places) * (1 + d) > LARGEST_BASIS:
            rule = f"be greater than 0 beyond linear theory (a basis of more than {LARGEST_BASIS} functions otherwise)"
            raise InputError("discriminator.features", rule, 0)
        self.field = before.with_features(refined(before.features).extended(places, True))
        self._w = self.field.padded(self._w, before.features)

    @property
    def weights_at_rest(self) -> np.ndarray:
        """(P,)."""
        return self._w

    def with_features(self, features: FeatureMap, weights: np.ndarray) -> Self:
        """The same map on other features, with these weights at rest."""
        out = copy(self)
        out.field, out._w = self.field.with_features(features), weights
        for name in ("shapes", "ends", "rest"):
            out.__dict__.pop(name, None)
        return out

    # -- states -----------------------------------------------------------------------------------------------------

    @property
    def continuous(self) -> bool:
        """Whether the rule is a flow: time is counted in units of time, not in steps."""
        return self.rule.continuous

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the blocks of a state: (w,) x, memory."""
        P, places = self.field.features.size, self._x.shape
        memory = [places if block == "x" else (P,) for block in self.rule.blocks]
        return (*(() if self.rule.responds else ((P,),)), places, *memory)

    @cached_property
    def ends(self) -> np.ndarray:
        return np.cumsum([int(np.prod(shape)) for shape in self.shapes])

    @property
    def size(self) -> int:
        return int(self.ends[-1])

    @cached_property
    def rest(self) -> np.ndarray:
        """(n,) the state at rest."""
        f = self.field
        w, x, *memory = self.rule.start(self._w, f.place(self._x), f.Vw, f.Vx, f.opponents)
        # at rest no velocity is remembered: what the rounding of the equilibrium leaves is none
        still = [0 * m if block in self.rule.momenta else m for block, m in zip(self.rule.blocks, memory, strict=True)]
        return np.array(self.flatten((w, x.x, *still)))

    def flatten(self, state: tuple) -> Any:
        """(..., n) from (w, x, *memory), x an array or a Cloud."""
        blocks = list(state[1:] if self.rule.responds else state)
        at = 0 if self.rule.responds else 1
        blocks[at] = getattr(blocks[at], "x", blocks[at])
        lead = blocks[at].ndim - 2
        return np.concatenate([b.reshape(*b.shape[:lead], -1) for b in blocks], axis=-1)

    def state(self, z: Any) -> tuple:
        """(w, x, *memory) of z (..., n); w of a best response is where to look for it first."""
        pieces = np.split(z, self.ends[:-1], axis=-1)
        blocks = [p.reshape(*p.shape[:-1], *shape) for p, shape in zip(pieces, self.shapes, strict=True)]
        if self.rule.responds:
            blocks.insert(0, np.broadcast_to(self._w, (*z.shape[:-1], len(self._w))))
        return tuple(blocks)

    def weights(self, z: np.ndarray) -> np.ndarray:
        """(..., P): the discriminator's weights, at the best response to what it sees where the rule has it so."""
        w, x, *memory = self.state(z)
        if not self.rule.responds:
            return w
        q = memory[self.rule.blocks.index("q")] if "q" in self.rule.averages else None
        return self.field.best_response(w, self.field.place(x), q)

    def positions(self, z: np.ndarray) -> np.ndarray:
        """(..., M, d)."""
        return self.state(z)[1]

    # -- the maps ---------------------------------------------------------------------------------------------------

    def step(self, z: Any) -> Any:
        """F(z), (..., n); NaN where there is none (no best response)."""
        return self._applied(self.rule.step, z)

    def velocity(self, z: Any) -> Any:
        """dz/dt of a flow, (..., n), per unit of time. Raises InputError for steps."""
        if not self.continuous:
            raise InputError("update.rule", "be a flow to have a velocity", repr(self.rule.rule))
        return self._applied(self.rule.velocity, z)

    def _applied(self, advance: Callable[..., tuple], z: Any) -> Any:
        field = self.field
        w, x, *memory = self.state(z)
        return self.flatten(advance((w, field.place(x), *memory), field.Vw, field.Vx, field.opponents))

    # -- derivatives --------------------------------------------------------------------------------------------------

    def products(self, z: np.ndarray, v: np.ndarray) -> np.ndarray:
        """A(z) v, A = dF/dz: (k, n) for directions v (k, n) at one state z (n,) or at (k, n)."""
        return self._jets(self.step, z, v, 1)[:, 0]

    def jets(self, z: np.ndarray, v: np.ndarray, order: int = 3) -> np.ndarray:
        """(k, order, n): coefficients of t, t^2, ..., t^order of F(z + t v), derivatives over j!, for v (k, n)."""
        return self._jets(self.step, z, v, order)

    def jacobian(self, z: np.ndarray | None = None) -> np.ndarray:
        """A(z), (n, n); at rest where no state is given."""
        return self.products(self.rest if z is None else z, np.eye(self.size)).T

    def velocity_products(self, z: np.ndarray, v: np.ndarray) -> np.ndarray:
        """``products`` of the velocity."""
        return self._jets(self.velocity, z, v, 1)[:, 0]

    def velocity_jets(self, z: np.ndarray, v: np.ndarray, order: int = 3) -> np.ndarray:
        """``jets`` of the velocity."""
        return self._jets(self.velocity, z, v, order)

    def velocity_jacobian(self, z: np.ndarray | None = None) -> np.ndarray:
        """``jacobian`` of the velocity, per unit of time."""
        return self.velocity_products(self.rest if z is None else z, np.eye(self.size)).T

    def _jets(self, function: Callable[[Any], Any], z: np.ndarray, v: np.ndarray, order: int) -> np.ndarray:
        if order > 1 and not smooth(self.field.features):
            rule = "have second derivatives beyond linear theory (its curvature is all in its kinks)"
            raise InputError("discriminator.kernel", rule, repr(self.problem.exp.discriminator.kernel))
        z, v = np.asarray(z), np.asarray(v)
        if v.ndim != 2 or v.shape[1] != self.size or z.shape not in ((self.size,), v.shape):
            rule = f"be states (n,) or (k, n) and directions (k, n) with n = {self.size}"
            raise InputError("z, v", rule, f"shapes {z.shape} and {v.shape}")
        each = (order + 1) * (self.field.features.size * len(self.field.q) + 4 * self.size)
        rows = max(1, BLOCK // each)
        out = []
        for start in range(0, len(v), rows):
            part = slice(start, start + rows)
            at = z[None] if z.ndim == 1 else z[part]
            jet = function(Jet.of([at, v[part], *(None,) * (order - 1)], v[part].shape))
            out.append(np.moveaxis(jet.coefficients[1:], 0, 1))
        return np.concatenate(out) if out else np.zeros((0, order, self.size))


def refined(features: FeatureMap) -> Any:
    """A dictionary that grows until little more than rounding is left out."""
    out: Any = copy(features)
    if isinstance(features, PackedFeatures):
        out.base = refined(features.base)
    else:
        out.growth_tolerance = FINE
    return out


def smooth(features: FeatureMap) -> bool:
    """Whether D has all derivatives, those of a piecewise linear network being its pieces' alone."""
    if isinstance(features, PackedFeatures):
        return smooth(features.base)
    return not isinstance(features, NetworkFeatures) or features.activation.smooth


def dense(features: FeatureMap) -> FeatureMap:
    """The same features without transforms, which series do not pass."""
    if isinstance(features, FourierGrid):
        return features.dense
    if isinstance(features, PackedFeatures):
        one = dense(features.base)
        return features if one is features.base else PackedFeatures(one, features.degree, features.additive)
    return features
