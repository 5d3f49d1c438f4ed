"""The objectives of both players, differentiated: what moves particles and discriminator before learning rates.

With f = D - D* = w . psi(x) and expectations over p and q as weighted sums over nodes (instance noise included),

    F_w = dL_D/dw = sum_y p [(f1'(D) - value_p f) psi - grad_p grad psi . grad D] + (same with f2', q) - nu w
    F_x = dL_G/dx_i = m_i h'(D) grad D(x_i) + likelihood term (problem.likelihood)

With packed samples (features.packed) D takes m of them, p and q are p x ... x p and q x ... x q, grad runs over all m,
and the generator ascends E h(D): F_x = sum over tuples and over the samples in them that are x_i.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..features import FeatureMap, FourierFeatures, FourierGrid, Located, LocatedPacked, PackedFeatures, feature_map
from ..features.noise import nodes, sum_nodes
from ..features.packed import power
from .batch import inverse_or_nan, merged, over, present
from .cloud import Cloud
from .likelihood import Score
from .problem import Problem
from .terms import coupled, generator_force, pair_force, pair_pulls, slope_pull, value_pull

Positions = Cloud | np.ndarray

#: a product with a matrix of all features costs as much as D and its slope at a FEWth as many points, and is made for
#: so many features at most
FEW, LARGEST = 8, 2048


class Objectives:
    """Of a batch of runs. ``x``: (run, N, d), array or Cloud; ``w``: (run, P); the run axis may be absent.

    members: one problem per run, equal to ``problem`` but for fields in field.VARIABLE. features: in place of the
    problem's own.
    """

    def __init__(
        self,
        problem: Problem,
        members: Sequence[Problem] | None = None,
        features: FeatureMap | None = None,
    ) -> None:
        self.problem, self.members = problem, members
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

    # -- what depends on the target alone ------------------------------------------------------------------------

    @cached_property
    def at_Y(self) -> Located:
        return self.features.at(self.Y)

    @cached_property
    def damped(self) -> FourierFeatures | None:
        """The features averaged over instance noise, where that is the same functions with other amplitudes: what is
        linear in them then needs no nodes."""
        if len(self.node_weights) == 1 or not isinstance(self.features, FourierFeatures):
            return None
        return self.features.damped(self.offsets, self.node_weights)

    @cached_property
    def pushes_only(self) -> bool:
        """Whether the particles enter F_w by E_q psi alone: f2' constant, no penalty under q."""
        return self.loss.df2.constant is not None and not present(self.value_q) and not present(self.grad_q)

    @property
    def nodes_per_step(self) -> int:
        """Points per particle that a step looks at: the nodes of instance noise, or 1 where it needs none."""
        averaged = self.damped is not None and not self.loss.pairs and not present(self.gamma)
        few = averaged and self.pushes_only and self.loss.dh.constant is not None
        return 1 if few else len(self.node_weights)

    @cached_property
    def _pushed(self) -> np.ndarray:
        """The target's push where f1' is constant (Wasserstein): the same at every step."""
        return self.loss.df1.constant * self.mean(self.at_Y, self.p)

    @cached_property
    def _under_p(self) -> Any:
        """Penalties under p are linear in w: with modes on a grid their cost need not grow with the target's points."""
        many = isinstance(self.features, FourierGrid) and len(self.Y) > self.features.size
        many |= self.damped is not None and FEW * len(self.Y) > self.features.size <= LARGEST
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
        return nodes(X, self.offsets)

    def sum_nodes(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Add up the instance-noise nodes of each particle along ``axis`` (negative)."""
        return sum_nodes(values, len(self.node_weights), axis)

    def outside(self, x: np.ndarray) -> np.ndarray:
        """Which runs have a particle where the kernel's Fourier modes do not stand for it: (run,), or () for one."""
        if not isinstance(self.features, FourierGrid):
            return np.zeros(x.shape[:-2], dtype=bool)
        return self.features.outside(np.real(x), np.abs(self.offsets).max(axis=0))

    # -- gradients ----------------------------------------------------------------------------------------------------

    def mean(self, at: Located, one: np.ndarray) -> np.ndarray:
        """E psi over what the discriminator judges, single samples having weights ``one``."""
        return at.mean(one) if isinstance(at, LocatedPacked) else at.adjoint(one, None)

    def metric(self, F: np.ndarray) -> np.ndarray:
        """M F = omega sum_j Gamma_ij F_j: (..., N, d), never building Gamma."""
        return coupled(over(self.relative, 2), over(self.collective, 2), F)

    def forces(self, x: Positions, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(f, grad f) at the particles, averaged over instance noise: (..., N), (..., N, d). Packed: averaged over the
        other samples too, and the sum of the gradients along every sample (LocatedPacked.felt)."""
        cloud = self.place(x)
        if cloud.averaged is not None:
            return cloud.averaged.value(w), cloud.averaged.gradient(w)
        at, weight = cloud.located, np.tile(self.node_weights, x.shape[-2])
        f, g = at.felt(w, self.q) if isinstance(at, LocatedPacked) else (at.value(w), at.gradient(w))
        return self.sum_nodes(weight * f, -1), self.sum_nodes(weight[:, None] * g, -2)

    def discriminator_gradient(self, w: np.ndarray, x: Positions) -> np.ndarray:
        """F_w = dL_D/dw, (..., P)."""
        if self.loss.pairs:
            return self._paired(w, self.place(x).located) - over(self.nu, 1) * w
        cloud = self.place(x)
        if cloud.averaged is not None and self.pushes_only:
            return self._target_side(w) + self.loss.df2.constant * self.push(cloud) - over(self.nu, 1) * w
        on_q = (self.q, self.q_judged, self.loss.df2, self.value_q, self.grad_q)
        return self._target_side(w) + self._side(w, cloud.located, *on_q) - over(self.nu, 1) * w

    def _paired(self, w: np.ndarray, at: Located) -> np.ndarray:
        """F_w of a loss of pairs, without weight decay."""
        sides, f = (self.at_Y, at), (self.at_Y.value(w), at.value(w))
        pulls = pair_pulls(self.p, self.q, self.loss.df, *f)
        out: Any = 0.0
        for side, one, v, pull, value, grad in zip(
            sides, (self.p, self.q), f, pulls, (self.value_p, self.value_q), (self.grad_p, self.grad_q), strict=True
        ):
            b = slope_pull(one * over(grad, 1), side.gradient(w)) if present(grad) else None
            out = out + side.adjoint(pull - one * over(value, 1) * v, b)
        return out

    def _side(
        self, w: np.ndarray, at: Located, one: np.ndarray, judged: np.ndarray, df: Any, value: Any, grad: Any
    ) -> np.ndarray:
        """One side's part of F_w, samples having weights ``one`` and what D judges ``judged``."""
        # constant derivatives (Wasserstein) and absent penalties need no evaluation of D
        need_value = df.constant is None or present(value)
        if not need_value and not present(grad):
            return df.constant * self.mean(at, one)
        f = at.value(w) if need_value else 0.0
        a = value_pull(judged, df, self.D0 + f, f, over(value, 1))
        b = slope_pull(judged * over(grad, 1), at.gradient(w)) if present(grad) else None
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
        cloud, loss = self.place(x), self.loss
        dh = None if loss.pairs else loss.dh
        if dh is not None and dh.constant is not None and cloud.averaged is not None:
            return self._with_score(self.masses[:, None] * dh.constant * cloud.averaged.gradient(w), cloud)
        at = cloud.located
        if dh is None:
            force = pair_force(self.p, self.q, loss.df, self.at_Y.value(w), at.value(w), at.gradient(w))
        elif isinstance(at, LocatedPacked):
            if dh.constant is not None:
                force = self.q[:, None] * dh.constant * at.felt(w, self.q)[1]
            else:
                force = at.pulled(self.q_judged * dh(self.D0 + at.value(w)), w)
        elif dh.constant is not None:
            force = self.q[:, None] * dh.constant * at.gradient(w)
        else:
            force = generator_force(self.q, dh, self.D0 + at.value(w), at.gradient(w))
        return self._with_score(self.sum_nodes(force, -2), cloud)

    def _with_score(self, force: np.ndarray, cloud: Cloud) -> np.ndarray:
        if self.score is None:
            return force
        drift = self.masses[:, None] * self.score(cloud.x)
        # a score that does not exist (NaN) is nothing to a run without the term
        weight = over(self.likelihood, 2)
        return force + np.where(weight != 0, weight * drift, 0.0)

    def push(self, x: Positions) -> np.ndarray:
        """E_q psi, (..., P); of packed samples that of tuples."""
        cloud = self.place(x)
        if cloud.averaged is not None:
            return cloud.averaged.adjoint(self.masses, None)
        return self.mean(cloud.located, np.broadcast_to(self.q, (*x.shape[:-2], len(self.q))))

    def unlike(self, x: Positions, q: np.ndarray) -> np.ndarray:
        """What seeing q in place of push(x) adds to F_w."""
        return -self.loss.c * (q - self.push(x))

    def discriminator_hessian(self, w: np.ndarray, x: Positions) -> np.ndarray:
        """dF_w/dw, (..., P, P), dense."""

        def side(at: Located, weight: np.ndarray, ddf: Any, value: Any, grad: Any) -> Any:
            out: Any = 0.0
            if ddf.constant != 0 or present(value):
                curvature = ddf.constant if ddf.constant is not None else ddf(self.D0 + at.value(w))
                psi = at.psi()
                out = np.swapaxes(psi, -1, -2) @ ((weight * (curvature - over(value, 1)))[..., None] * psi)
            if present(grad):
                g = at.grad()
                g = g.reshape(*g.shape[:-3], -1, g.shape[-1])
                each = np.repeat(weight, g.shape[-2] // len(weight))[:, None]
                out = out - over(grad, 2) * (np.swapaxes(g, -1, -2) @ (each * g))
            return out

        return (
            side(self.at_Y, self.p_judged, self.loss.ddf1, self.value_p, self.grad_p)
            + side(self.place(x).located, self.q_judged, self.loss.ddf2, self.value_q, self.grad_q)
            - over(self.nu, 2) * np.eye(w.shape[-1])
        )

    @cached_property
    def constant_inverse(self) -> np.ndarray | None:
        """The inverse of dF_w/dw where that is the same everywhere, NaN where it is singular."""
        quadratic = self.loss.ddf1.constant is not None and self.loss.ddf2.constant == 0
        if not quadratic or present(self.value_q) or present(self.grad_q):
            return None
        P, home = self.features.size, self.place(self.problem.home)
        return inverse_or_nan(self.discriminator_hessian(np.zeros(P), home))
