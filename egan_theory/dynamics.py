"""The nonlinear particle model: the velocity field of equations (1) and (2) with every loss and penalty.

With f = D - D* = w . psi(x), expectations over p and q as weighted sums over nodes (instance noise included) and
M = omega Gamma the generator's kernel,

    F_w = dL_D/dw = sum_y p [(f1'(D) - value_p f) psi - grad_p grad psi . grad D] + (same with f2', q) - nu w
    F_x = dL_G/dx_i = m_i h'(D) grad D(x_i)
    V_w = eta_D (F_w - gamma dR/dw),   V_x = eta_G M (F_x - gamma dR/dx),   R = |F_w|^2/2 + F_x . M F_x / 2

R is half the squared field in parameter space (consensus optimisation; gamma = 0 leaves it out).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import InputError
from .experiment import Experiment
from .features import DictionaryFeatures, FeatureMap, Located, feature_map
from .noise import noise_nodes

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
)

#: an exact kernel's dictionary is looked at when a particle has moved this part of the length scale
GROWTH_DISTANCE = 2e-3


class Field:
    """Velocities of a batch of runs. ``x``: (run, N, d), ``w``: (run, P); the run axis may also be absent.

    ``variants``: one experiment per run, equal to ``exp`` but for fields in VARIABLE.
    """

    def __init__(self, exp: Experiment, variants: Sequence[Experiment] | None = None) -> None:
        self.exp = exp
        members = list(variants) if variants is not None else [exp]

        def number(path: str) -> Any:
            values = np.array([float(e.get(path)) for e in members])
            return values[0] if variants is None or np.all(values == values[0]) else values

        loss = exp.loss_object
        self.loss, self.D0 = loss, loss.D0
        self.coefficients = [e.penalty.coefficients for e in members]
        self.grad_p, self.grad_q, self.value_p, self.value_q, self.nu = (
            self._merge([c[i] for c in self.coefficients]) for i in range(5)
        )
        self.gamma = number("penalty.consensus")
        self.eta_D, self.eta_G = number("discriminator.learning_rate"), number("generator.learning_rate")
        g1 = number("generator.kernel.diagonal")
        phi = number("generator.kernel.ratio")
        self.relative, self.collective = exp.omega * g1 * (1 - phi), exp.omega * g1 * phi
        self.masses = exp.masses
        points = exp.points
        self.offsets, self.node_weights = noise_nodes(exp.penalty.instance_noise, exp.dimension)
        self.Y = self._nodes(points.coordinates)
        self.p = (points.weights[:, None] * self.node_weights).ravel()
        self.q = (self.masses[:, None] * self.node_weights).ravel()
        self._last_x: np.ndarray | None = None
        self._grown_at: np.ndarray | None = None
        self.features = feature_map(exp)

    @staticmethod
    def _merge(values: list[Any]) -> Any:
        array = np.array(values, dtype=float)
        return array[0] if np.all(array == array[0]) else array

    @property
    def features(self) -> FeatureMap:
        return self._features

    @features.setter
    def features(self, value: FeatureMap) -> None:
        self._features, self._last_x = value, None
        self._at_Y: Located = value.at(self.Y)

    def _nodes(self, X: np.ndarray) -> np.ndarray:
        if len(self.node_weights) == 1:
            return X
        nodes = X[..., :, None, :] + self.offsets
        return nodes.reshape(*X.shape[:-2], -1, X.shape[-1])

    def _sum_nodes(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Add up the instance-noise nodes of each particle along ``axis`` (negative)."""
        Q = len(self.node_weights)
        if Q == 1:
            return values
        shape = list(values.shape)
        at = len(shape) + axis
        shape[at : at + 1] = [shape[at] // Q, Q]
        return values.reshape(shape).sum(at + 1)

    def needs_gradient_span(self) -> bool:
        """Whether the discriminator moves along grad psi at the particles (R2, Fisher, consensus)."""
        return bool(np.any(self.grad_q != 0) or np.any(self.gamma != 0))

    def grow(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """For the exact kernel: extend the dictionary to the particles' positions; returns w padded with zeros."""
        if not isinstance(self.features, DictionaryFeatures):
            return w
        # the residual of K(., x) grows as the fourth power of the way: no need to look before a particle has moved
        if self._grown_at is not None and self._grown_at.shape == x.shape:
            if not np.abs(x - self._grown_at).max() > GROWTH_DISTANCE * self.exp.discriminator.length_scale:
                return w
        self._grown_at = x
        nodes = self._nodes(x).reshape(-1, x.shape[-1])
        bigger = self.features.extended(nodes, self.needs_gradient_span())
        if bigger is self.features:
            return w
        pad = np.zeros((*w.shape[:-1], bigger.size - self.features.size), dtype=w.dtype)
        self.features = bigger
        return np.concatenate([w, pad], axis=-1)

    def metric(self, F: np.ndarray) -> np.ndarray:
        """M F = omega sum_j Gamma_ij F_j: (..., N, d), never building Gamma."""
        return over(self.relative, 2) * F + over(self.collective, 2) * F.sum(-2, keepdims=True)

    def _located(self, x: np.ndarray) -> Located:
        """The features at the particles; kept for the next call, which most update rules make at the same x."""
        if self._last_x is not x:
            self._last_x, self._at_x = x, self.features.at(self._nodes(x))
        return self._at_x

    def forces(self, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(f, grad f) at the particles, averaged over instance noise: (..., N), (..., N, d)."""
        at, weight = self._located(x), np.tile(self.node_weights, x.shape[-2])
        return self._sum_nodes(weight * at.value(w), -1), self._sum_nodes(weight[:, None] * at.gradient(w), -2)

    def discriminator_gradient(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """F_w = dL_D/dw, (..., P)."""
        loss, D0, at_x, at_y = self.loss, self.D0, self._located(x), self._at_Y

        def side(at: Located, weight: np.ndarray, df: Any, value: Any, grad: Any) -> np.ndarray:
            # constant derivatives (Wasserstein) and absent penalties need no evaluation of D
            need_value = df.constant is None or np.any(value)
            f = at.value(w) if need_value else 0.0
            a = weight * (df(D0 + f) - over(value, 1) * f)
            b = -weight[:, None] * over(grad, 2) * at.gradient(w) if np.any(grad) else None
            return at.adjoint(a, b)

        return (
            side(at_y, self.p, loss.df1, self.value_p, self.grad_p)
            + side(at_x, self.q, loss.df2, self.value_q, self.grad_q)
            - over(self.nu, 1) * w
        )

    def generator_gradient(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """F_x = dL_G/dx, (..., N, d), masses included, Gamma not."""
        at = self._located(x)
        if self.loss.dh.constant is not None:
            slope: Any = self.q[:, None] * self.loss.dh.constant
        else:
            slope = (self.q * self.loss.dh(self.D0 + at.value(w)))[..., None]
        return self._sum_nodes(slope * at.gradient(w), -2)

    def consensus_gradient(self, w: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(dR/dw, dR/dx) with R = |F_w|^2/2 + F_x . M F_x / 2, i.e. J^T (F_w, M F_x) term by term."""
        loss, D0, at_x, at_y = self.loss, self.D0, self._located(x), self._at_Y
        Fw = self.discriminator_gradient(w, x)
        y = np.repeat(self.metric(self.generator_gradient(w, x)), len(self.node_weights), axis=-2)
        fy, fx, gx = D0 + at_y.value(w), D0 + at_x.value(w), at_x.gradient(w)
        # v(x) = F_w . psi(x)
        vy, gvy, vx, gvx = at_y.value(Fw), at_y.gradient(Fw), at_x.value(Fw), at_x.gradient(Fw)
        Hf, Hv = at_x.hessian(w), at_x.hessian(Fw)
        grad_p, grad_q, value_p, value_q = (
            over(self.grad_p, 2), over(self.grad_q, 2), over(self.value_p, 1), over(self.value_q, 1),
        )  # fmt: skip
        curvature = loss.ddf2(fx) - value_q
        slope = (loss.df2(fx) - value_q * (fx - D0))[..., None]
        dh = (self.q * loss.dh(fx))[..., None]
        along = self.q * loss.ddh(fx) * np.einsum("...na,...na->...n", gx, y)
        q = self.q[:, None]
        dRw = (
            at_y.adjoint(self.p * (loss.ddf1(fy) - value_p) * vy, -self.p[:, None] * grad_p * gvy)
            + at_x.adjoint(self.q * curvature * vx + along, dh * y - q * grad_q * gvx)
            - over(self.nu, 1) * Fw
        )
        dRx = (
            q * ((curvature * vx)[..., None] * gx + slope * gvx - grad_q * (_apply(Hv, gx) + _apply(Hf, gvx)))
            + along[..., None] * gx
            + dh * _apply(Hf, y)
        )
        return dRw, self._sum_nodes(dRx, -2)

    def Vw(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """dw/dt, (..., P)."""
        F = self.discriminator_gradient(w, x)
        if np.any(self.gamma):
            F = F - over(self.gamma, 1) * self.consensus_gradient(w, x)[0]
        return over(self.eta_D, 1) * F

    def Vx(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """dx/dt, (..., N, d)."""
        F = self.generator_gradient(w, x)
        if np.any(self.gamma):
            F = F - over(self.gamma, 2) * self.consensus_gradient(w, x)[1]
        return over(self.eta_G, 2) * self.metric(F)


def _apply(H: np.ndarray, u: np.ndarray) -> np.ndarray:
    return np.einsum("...nab,...nb->...na", H, u)


def over(value: Any, axes: int) -> Any:
    """A number, or one per run with ``axes`` axes appended so that it broadcasts over the rest."""
    return value if np.ndim(value) == 0 else np.asarray(value).reshape(-1, *(1,) * axes)


def check_variants(exp: Experiment, variants: Sequence[Experiment]) -> None:
    """Raise InputError unless the variants differ from exp only in fields of VARIABLE."""
    for v in variants:
        same = v.replace({path: exp.get(path) for path in VARIABLE})
        if same != exp:
            raise InputError("variants", f"differ only in {', '.join(VARIABLE)}")
