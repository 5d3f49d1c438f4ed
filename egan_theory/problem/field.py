"""The nonlinear particle model: the velocity field of equations (1) and (2) with every loss and penalty.

With f = D - D* = w . psi(x), expectations over p and q as weighted sums over nodes (instance noise included) and
M = omega Gamma the generator's kernel,

    F_w = dL_D/dw = sum_y p [(f1'(D) - value_p f) psi - grad_p grad psi . grad D] + (same with f2', q) - nu w
    F_x = dL_G/dx_i = m_i h'(D) grad D(x_i) + likelihood term (egan_theory.problem.likelihood)
    V_w = eta_D (F_w - gamma dR/dw),   V_x = eta_G M (F_x - gamma dR/dx),   R = |F_w|^2/2 + F_x . M F_x / 2

R is half the squared field in parameter space (consensus optimisation; gamma = 0 leaves it out). With packed samples
(features.packed) D takes m of them, p and q are p x ... x p and q x ... x q, grad runs over all m, and the generator
ascends E h(D): F_x = sum over tuples and over the samples in them that are x_i.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from ..features.noise import noise_nodes
from ..features.packed import power
from ..tables.updates import Opponents
from .likelihood import Score

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

#: Newton's iteration for a discriminator at its optimum: largest |F_w| relative to its terms, steps, halvings of one
RESPONSE_TOLERANCE, RESPONSE_STEPS, HALVINGS = 1e-12, 60, 30

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
        self.likelihood = number("likelihood.weight")
        self.score = Score(exp) if np.any(self.likelihood) else None
        points = exp.points
        self.offsets, self.node_weights = noise_nodes(exp.penalty.instance_noise, exp.dimension)
        self.Y = self._nodes(points.coordinates)
        self.p = (points.weights[:, None] * self.node_weights).ravel()
        self.q = (self.masses[:, None] * self.node_weights).ravel()
        self._last_x: np.ndarray | None = None
        self._grown_at: np.ndarray | None = None
        self._joint_weights: dict[int, np.ndarray] = {}
        self._strayed: Any = False
        self._looked_at: np.ndarray | None = None
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
        self._features, self._last_x, self._looked_at = value, None, None
        self._at_Y: Located = value.at(self.Y)
        self._pushed: np.ndarray | None = None
        self._response: np.ndarray | None = None
        # penalties under p are linear in w: with modes on a grid their cost need not grow with the target's points
        many = isinstance(value, FourierGrid) and len(self.Y) > value.size
        self._under_p = value.weighted(self.Y, self.p) if many else None  # type: ignore[attr-defined]

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

    def outside(self, x: np.ndarray) -> np.ndarray:
        """Which runs have a particle where the kernel's Fourier modes do not stand for it: (run,), or () for one."""
        if not isinstance(self.features, FourierGrid):
            return np.zeros(x.shape[:-2], dtype=bool)
        if self._looked_at is not x:
            self._looked_at = x
            self._outside = self.features.outside(np.real(x), np.abs(self.offsets).max(axis=0))
        return self._outside

    def strayed(self, x: np.ndarray) -> np.ndarray:
        """``outside`` at x or at any positions that were evaluated since the last question."""
        before, self._strayed = self._strayed, False
        return self.outside(x) | before

    def needs_gradient_span(self) -> bool:
        """Whether the discriminator moves along grad psi at the particles (R2, Fisher, consensus)."""
        return bool(np.any(self.grad_q != 0) or np.any(self.gamma != 0))

    def grow(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """For the exact kernel: extend the dictionary to the particles' positions; returns w padded with zeros.

        Raises LeftBox when a particle is outside the domain of the kernel's Fourier modes.
        """
        if self.outside(x).any():
            raise LeftBox()
        if not self.grows:
            return w
        # the residual of K(., x) grows as the fourth power of the way: no need to look before a particle has moved
        if self._grown_at is not None and self._grown_at.shape == x.shape:
            if not np.abs(x - self._grown_at).max() > GROWTH_DISTANCE * self.exp.discriminator.length_scale:
                return w
        self._grown_at = x
        nodes = self._nodes(x).reshape(-1, x.shape[-1])
        old: Any = self.features
        bigger = old.extended(nodes, self.needs_gradient_span())
        if bigger is old:
            return w
        self.features = bigger
        return old.padded(w, bigger)

    @property
    def grows(self) -> bool:
        """Whether the features are an exact kernel's dictionary, to be extended where the particles go."""
        one = self.features.base if isinstance(self.features, PackedFeatures) else self.features
        return isinstance(one, DictionaryFeatures)

    def _joint(self, one: np.ndarray) -> np.ndarray:
        """Weights of what the discriminator judges, from those of single samples (self.p or self.q)."""
        if not isinstance(self.features, PackedFeatures):
            return one
        if id(one) not in self._joint_weights:
            self._joint_weights[id(one)] = power(one, self.features.degree)
        return self._joint_weights[id(one)]

    def _mean(self, at: Located, one: np.ndarray) -> np.ndarray:
        """E psi over what the discriminator judges, single samples having weights ``one``."""
        return at.mean(one) if isinstance(at, LocatedPacked) else at.adjoint(one, None)

    def metric(self, F: np.ndarray) -> np.ndarray:
        """M F = omega sum_j Gamma_ij F_j: (..., N, d), never building Gamma."""
        return over(self.relative, 2) * F + over(self.collective, 2) * F.sum(-2, keepdims=True)

    def _located(self, x: np.ndarray) -> Located:
        """The features at the particles; kept for the next call, which most update rules make at the same x."""
        if self._last_x is not x:
            self._last_x, self._at_x = x, self.features.at(self._nodes(x))
            if isinstance(self.features, FourierGrid) and self.features.domain is not None:
                self._strayed = self._strayed | self.outside(x)
        return self._at_x

    def forces(self, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(f, grad f) at the particles, averaged over instance noise: (..., N), (..., N, d). Packed: averaged over the
        other samples too, and the sum of the gradients along every sample (LocatedPacked.felt)."""
        at, weight = self._located(x), np.tile(self.node_weights, x.shape[-2])
        f, g = at.felt(w, self.q) if isinstance(at, LocatedPacked) else (at.value(w), at.gradient(w))
        return self._sum_nodes(weight * f, -1), self._sum_nodes(weight[:, None] * g, -2)

    def discriminator_gradient(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """F_w = dL_D/dw, (..., P)."""
        loss, D0, at_x = self.loss, self.D0, self._located(x)

        def side(at: Located, weight: np.ndarray, df: Any, value: Any, grad: Any) -> np.ndarray:
            # constant derivatives (Wasserstein) and absent penalties need no evaluation of D
            need_value = df.constant is None or _present(value)
            if not need_value and not _present(grad):
                return df.constant * self._mean(at, weight)
            weight = self._joint(weight)
            f = at.value(w) if need_value else 0.0
            a = weight * (df(D0 + f) - over(value, 1) * f)
            b = -weight[:, None] * over(grad, 2) * at.gradient(w) if _present(grad) else None
            return at.adjoint(a, b)

        return (
            self._target_side(w, side) + side(at_x, self.q, loss.df2, self.value_q, self.grad_q) - over(self.nu, 1) * w
        )

    def _target_side(self, w: np.ndarray, side: Any) -> np.ndarray:
        """The target's part of F_w. Where f1' is constant (Wasserstein) its push is the same at every step."""
        df1, value, grad = self.loss.df1, self.value_p, self.grad_p
        form: Any = self._under_p
        quadratic = _present(value) or _present(grad)
        if df1.constant is None or (quadratic and form is None):
            if form is None or not _present(grad):
                return side(self._at_Y, self.p, df1, value, grad)
            return side(self._at_Y, self.p, df1, value, 0.0) - over(grad, 1) * form.gradients(w)
        if self._pushed is None:
            self._pushed = df1.constant * self._mean(self._at_Y, self.p)
        out = self._pushed
        if _present(value):
            out = out - over(value, 1) * form.values(w)
        return out - over(grad, 1) * form.gradients(w) if _present(grad) else out

    def generator_gradient(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """F_x = dL_G/dx, (..., N, d), masses included, Gamma not."""
        at, dh = self._located(x), self.loss.dh
        if isinstance(at, LocatedPacked):
            if dh.constant is not None:
                force = self.q[:, None] * dh.constant * at.felt(w, self.q)[1]
            else:
                force = at.pulled(self._joint(self.q) * dh(self.D0 + at.value(w)), w)
        elif dh.constant is not None:
            force = self.q[:, None] * dh.constant * at.gradient(w)
        else:
            force = (self.q * dh(self.D0 + at.value(w)))[..., None] * at.gradient(w)
        force = self._sum_nodes(force, -2)
        if self.score is None:
            return force
        drift = self.masses[:, None] * self.score(x)
        # a score that does not exist (NaN) is nothing to a run without the term
        weight = over(self.likelihood, 2)
        return force + np.where(weight != 0, weight * drift, 0.0)

    # -- what the players answer to, beside the present opponent ----------------------------------------------------

    @property
    def opponents(self) -> Opponents:
        """For updates.UpdateRule: best responses, and averages of the particles' mean features."""
        return Opponents(self.best_response, self.push, self.facing)

    def push(self, x: np.ndarray) -> np.ndarray:
        """E_q psi, (..., P); of packed samples that of tuples."""
        return self._mean(self._located(x), np.broadcast_to(self.q, (*x.shape[:-2], len(self.q))))

    def facing(self, w: np.ndarray, x: np.ndarray, q: np.ndarray) -> np.ndarray:
        """V_w of a discriminator that sees the mean features q in place of push(x): f2'(D*) (q - E_q psi) is added to
        F_w. Exact for f2' constant; for others exact to first order in the deviation from equilibrium."""
        return self.Vw(w, x) + over(self.eta_D, 1) * self._unlike(x, q)

    def _unlike(self, x: np.ndarray, q: np.ndarray) -> np.ndarray:
        return -self.loss.c * (q - self.push(x))

    def best_response(self, w: np.ndarray, x: np.ndarray, q: np.ndarray | None = None) -> np.ndarray:
        """The w with F_w(w, x) = 0, (..., P), by Newton's method from w with halved steps: F_w is the gradient of a
        concave function. NaN for runs without one (where nothing bounds D: no weight decay, say)."""
        shift = 0.0 if q is None else self._unlike(x, q)

        def gradient(w: np.ndarray) -> np.ndarray:
            return self.discriminator_gradient(w, x) + shift

        F = gradient(w)
        scale = self._size_of_terms(x)
        for _ in range(RESPONSE_STEPS):
            largest = np.abs(F.real).max(-1, initial=0.0)
            settled, close = largest <= RESPONSE_TOLERANCE * scale, largest <= np.sqrt(RESPONSE_TOLERANCE) * scale
            step = self._newton(w, x, F)
            length = np.ones(w.shape[:-1])
            for _ in range(HALVINGS):
                trial = w + length[..., None] * step
                F_trial = gradient(trial)
                before, after = (np.linalg.norm(v.real, axis=-1) for v in (F, F_trial))
                worse = ~(after <= before) & ~close
                if not worse.any() or not np.isfinite(step).all():
                    break
                length = np.where(worse, length / 2, length)
            # close by, whole steps: at the rounding of F (large where its terms cancel) they no longer make it smaller
            stuck = close & ~(after <= before / 2)
            w, F = trial, F_trial
            if np.all(settled | stuck | ~np.isfinite(F).all(-1)):  # one step beyond: the last one carries derivatives
                break
        settled = np.abs(F.real).max(-1, initial=0.0) <= np.sqrt(RESPONSE_TOLERANCE) * scale
        return np.where(settled[..., None], w, np.nan)

    def _size_of_terms(self, x: np.ndarray) -> Any:
        """What F_w is small against, (...,): its sums may vanish where their terms do not (instance noise around the
        data of a linear kernel)."""
        if self._only_decays():  # one step is exact
            sizes = np.abs(self._mean(self._at_Y, self.p)).max() + np.abs(self.push(x)).max(-1)
        else:
            sides = ((self._at_Y, self.p), (self._located(x), self.q))
            sizes = sum((self._joint(weight) @ np.abs(at.psi())).max(-1) for at, weight in sides)
        return self.loss.c * sizes + np.finfo(float).tiny

    def _newton(self, w: np.ndarray, x: np.ndarray, F: np.ndarray) -> np.ndarray:
        """-H^-1 F, H = dF_w/dw; NaN where -H is not positive definite."""
        if self._only_decays():
            return F / over(self.nu, 1) if np.all(self.nu) else np.full(F.shape, np.nan)
        quadratic = self.loss.ddf1.constant is not None and self.loss.ddf2.constant == 0
        if quadratic and not _present(self.value_q) and not _present(self.grad_q):  # H is the same everywhere
            if self._response is None:
                H = self.discriminator_hessian(np.zeros(w.shape[-1]), x)
                self._response = np.where(_definite(H)[..., None, None], np.linalg.inv(_or_unit(H)), np.nan)
            return -(self._response @ F[..., None])[..., 0]
        H = self.discriminator_hessian(w, x)
        ok = np.isfinite(F).all(-1) & _definite(H.real)
        step = -np.linalg.solve(np.where(ok[..., None, None], H, np.eye(H.shape[-1])), F[..., None])[..., 0]
        return np.where(ok[..., None], step, np.nan)

    def _only_decays(self) -> bool:
        """Whether dF_w/dw is -nu: a linear loss with weight decay alone."""
        strengths = (self.value_p, self.value_q, self.grad_p, self.grad_q)
        return self.loss.ddf1.constant == self.loss.ddf2.constant == 0 and not any(_present(v) for v in strengths)

    def discriminator_hessian(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """dF_w/dw, (..., P, P), dense."""

        def side(at: Located, weight: np.ndarray, ddf: Any, value: Any, grad: Any) -> Any:
            out: Any = 0.0
            weight = self._joint(weight)
            if ddf.constant != 0 or _present(value):
                curvature = ddf.constant if ddf.constant is not None else ddf(self.D0 + at.value(w))
                psi = at.psi()
                out = np.swapaxes(psi, -1, -2) @ ((weight * (curvature - over(value, 1)))[..., None] * psi)
            if _present(grad):
                g = at.grad()
                g = g.reshape(*g.shape[:-3], -1, g.shape[-1])
                each = np.repeat(weight, g.shape[-2] // len(weight))[:, None]
                out = out - over(grad, 2) * (np.swapaxes(g, -1, -2) @ (each * g))
            return out

        P = w.shape[-1]
        H = (
            side(self._at_Y, self.p, self.loss.ddf1, self.value_p, self.grad_p)
            + side(self._located(x), self.q, self.loss.ddf2, self.value_q, self.grad_q)
            - over(self.nu, 2) * np.eye(P)
        )
        return H

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
        if _present(self.gamma):
            F = F - over(self.gamma, 1) * self.consensus_gradient(w, x)[0]
        return over(self.eta_D, 1) * F

    def Vx(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """dx/dt, (..., N, d)."""
        F = self.generator_gradient(w, x)
        if _present(self.gamma):
            F = F - over(self.gamma, 2) * self.consensus_gradient(w, x)[1]
        return over(self.eta_G, 2) * self.metric(F)


def _definite(H: np.ndarray) -> np.ndarray:
    """Whether each -H (..., P, P) is positive definite to rounding."""
    H = np.where(np.isfinite(H).all((-2, -1))[..., None, None], H, 0.0)
    try:
        # a pivot of Cholesky's factorization is at most the diagonal entry, and small for a singular matrix
        pivots = np.diagonal(np.linalg.cholesky(-H), axis1=-2, axis2=-1) ** 2
    except np.linalg.LinAlgError:
        low = -np.linalg.eigvalsh(H)
        return low.min(-1) > np.finfo(float).eps * H.shape[-1] * np.abs(low).max(-1)
    return pivots.min(-1) > np.finfo(float).eps * H.shape[-1] * pivots.max(-1)


def _or_unit(H: np.ndarray) -> np.ndarray:
    return np.where(_definite(H)[..., None, None], H, np.eye(H.shape[-1]))


def _apply(H: np.ndarray, u: np.ndarray) -> np.ndarray:
    return np.einsum("...nab,...nb->...na", H, u)


def _present(value: Any) -> bool:
    """Whether a strength, one number or one per run, is not zero everywhere; called many times a step."""
    return value != 0 if isinstance(value, float) else bool(np.any(value))


def over(value: Any, axes: int) -> Any:
    """A number, or one per run with ``axes`` axes appended so that it broadcasts over the rest."""
    return value if np.ndim(value) == 0 else np.asarray(value).reshape(-1, *(1,) * axes)


def check_variants(exp: Experiment, variants: Sequence[Experiment]) -> None:
    """Raise InputError unless the variants differ from exp only in fields of VARIABLE."""
    # an architecture determines the generator's kernel, so that there is nothing to put back
    fixed = exp.generator.architecture is not None
    paths = [path for path in VARIABLE if not (fixed and path.startswith("generator.kernel."))]
    for v in variants:
        same = v.replace({path: exp.get(path) for path in paths})
        if same != exp:
            raise InputError("variants", f"differ only in {', '.join(VARIABLE)}")
