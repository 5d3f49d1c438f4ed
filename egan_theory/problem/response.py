"""The discriminator at its optimum for the particles that it sees: the root of F_w, by Newton's method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..features import Located
from .batch import over, present

if TYPE_CHECKING:
    from .cloud import Cloud
    from .field import Field

#: Newton's iteration: largest |F_w| relative to its terms, steps, halvings of one
RESPONSE_TOLERANCE, RESPONSE_STEPS, HALVINGS = 1e-12, 60, 30
EPS = float(np.finfo(float).eps)


def best_response(field: Field, w: np.ndarray, cloud: Cloud, q: np.ndarray | None = None) -> np.ndarray:
    """The w with F_w(w, x) = 0, (..., P), by Newton's method from w with halved steps: F_w is the gradient of a concave
    function. q: mean features that D sees in place of the cloud's. NaN for runs without one (where nothing bounds D: no
    weight decay, say)."""
    shift = 0.0 if q is None else field.unlike(cloud, q)

    def gradient(w: np.ndarray) -> np.ndarray:
        return field.discriminator_gradient(w, cloud) + shift

    F = gradient(w)
    scale = _size_of_terms(field, cloud)
    for _ in range(RESPONSE_STEPS):
        largest = np.abs(F.real).max(-1, initial=0.0)
        settled, close = largest <= RESPONSE_TOLERANCE * scale, largest <= np.sqrt(RESPONSE_TOLERANCE) * scale
        step = _newton(field, w, cloud, F)
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


def discriminator_hessian(field: Field, w: np.ndarray, cloud: Cloud) -> np.ndarray:
    """dF_w/dw, (..., P, P), dense."""

    def side(at: Located, weight: np.ndarray, ddf: Any, value: Any, grad: Any) -> Any:
        out: Any = 0.0
        if ddf.constant != 0 or present(value):
            curvature = ddf.constant if ddf.constant is not None else ddf(field.D0 + at.value(w))
            psi = at.psi()
            out = np.swapaxes(psi, -1, -2) @ ((weight * (curvature - over(value, 1)))[..., None] * psi)
        if present(grad):
            g = at.grad()
            g = g.reshape(*g.shape[:-3], -1, g.shape[-1])
            each = np.repeat(weight, g.shape[-2] // len(weight))[:, None]
            out = out - over(grad, 2) * (np.swapaxes(g, -1, -2) @ (each * g))
        return out

    return (
        side(field.at_Y, field.p_judged, field.loss.ddf1, field.value_p, field.grad_p)
        + side(cloud.located, field.q_judged, field.loss.ddf2, field.value_q, field.grad_q)
        - over(field.nu, 2) * np.eye(w.shape[-1])
    )


def _size_of_terms(field: Field, cloud: Cloud) -> Any:
    """What F_w is small against, (...,): its sums may vanish where their terms do not (instance noise around the data
    of a linear kernel)."""
    if _only_decays(field):  # one step is exact
        sizes = np.abs(field.mean(field.at_Y, field.p)).max() + np.abs(field.push(cloud)).max(-1)
    else:
        sides = ((field.at_Y, field.p_judged), (cloud.located, field.q_judged))
        sizes = sum((weight @ np.abs(at.psi())).max(-1) for at, weight in sides)
    return field.loss.c * sizes + np.finfo(float).tiny


def _newton(field: Field, w: np.ndarray, cloud: Cloud, F: np.ndarray) -> np.ndarray:
    """-H^-1 F, H = dF_w/dw; NaN where -H is not positive definite."""
    if _only_decays(field):
        return F / over(field.nu, 1) if np.all(field.nu) else np.full(F.shape, np.nan)
    inverse = field.constant_inverse
    if inverse is not None:
        return -(inverse @ F[..., None])[..., 0]
    H = field.discriminator_hessian(w, cloud)
    ok = np.isfinite(F).all(-1) & definite(H.real)
    step = -np.linalg.solve(np.where(ok[..., None, None], H, np.eye(H.shape[-1])), F[..., None])[..., 0]
    return np.where(ok[..., None], step, np.nan)


def same_everywhere(field: Field) -> bool:
    """Whether dF_w/dw depends on neither w nor x."""
    quadratic = field.loss.ddf1.constant is not None and field.loss.ddf2.constant == 0
    return quadratic and not present(field.value_q) and not present(field.grad_q)


def _only_decays(field: Field) -> bool:
    """Whether dF_w/dw is -nu: a linear loss with weight decay alone."""
    strengths = (field.value_p, field.value_q, field.grad_p, field.grad_q)
    return field.loss.ddf1.constant == field.loss.ddf2.constant == 0 and not any(present(v) for v in strengths)


def inverse_or_nan(H: np.ndarray) -> np.ndarray:
    """H^-1 (..., P, P) where -H is positive definite, NaN elsewhere."""
    ok = definite(H)[..., None, None]
    return np.where(ok, np.linalg.inv(np.where(ok, H, np.eye(H.shape[-1]))), np.nan)


def definite(H: np.ndarray) -> np.ndarray:
    """Whether each -H (..., P, P) is positive definite to rounding."""
    H = np.where(np.isfinite(H).all((-2, -1))[..., None, None], H, 0.0)
    try:
        # a pivot of Cholesky's factorization is at most the diagonal entry, and small for a singular matrix
        pivots = np.diagonal(np.linalg.cholesky(-H), axis1=-2, axis2=-1) ** 2
    except np.linalg.LinAlgError:
        low = -np.linalg.eigvalsh(H)
        return low.min(-1) > EPS * H.shape[-1] * np.abs(low).max(-1)
    return pivots.min(-1) > EPS * H.shape[-1] * pivots.max(-1)
