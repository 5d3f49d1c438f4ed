"""The discriminator at its optimum for the particles that it sees: the root of F_w, by Newton's method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..base.series import first_of, order_of
from .batch import definite, inverse_or_nan, over, present
from .cloud import Cloud
from .objectives import Objectives

#: Newton's iteration: largest |F_w| relative to its terms, steps, halvings of one
RESPONSE_TOLERANCE, RESPONSE_STEPS, HALVINGS = 1e-12, 60, 30


def best_response(field: Objectives, w: np.ndarray, cloud: Cloud, q: np.ndarray | None = None) -> np.ndarray:
    """The w with F_w(w, x) = 0, (..., P), by Newton's method from w with halved steps: F_w is the gradient of a concave
    function. q: mean features that D sees in place of the cloud's. NaN for runs without one (where nothing bounds D: no
    weight decay, say)."""
    if order_of(w, cloud.x, q):
        return _series(field, w, cloud, q)
    gradient = _gradient(field, cloud, q)
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


def _gradient(field: Objectives, cloud: Cloud, q: np.ndarray | None) -> Callable[[np.ndarray], np.ndarray]:
    """w -> F_w, with q in place of the cloud's mean features where it is given."""
    shift = 0.0 if q is None else field.unlike(cloud, q)
    return lambda w: field.discriminator_gradient(w, cloud) + shift


def _series(field: Objectives, w: Any, cloud: Cloud, q: Any) -> Any:
    """The best response to positions that are power series in t: with H = dF_w/dw at t = 0, each of the iterations
    w <- w - H^-1 F_w(w) makes one more order exact (implicit function theorem)."""
    here = field.place(first_of(cloud.x))
    found: Any = best_response(field, first_of(w), here, None if q is None else first_of(q))
    gradient = _gradient(field, cloud, q)
    exact = _only_decays(field) or field.constant_inverse is not None
    inverse = None if exact else inverse_or_nan(field.discriminator_hessian(found, here))
    for _ in range(1 if exact else order_of(w, cloud.x, q) + 1):
        F = gradient(found)
        found = found + (_newton(field, found, cloud, F) if exact else -(inverse @ F[..., None])[..., 0])
    return found


def _size_of_terms(field: Objectives, cloud: Cloud) -> Any:
    """What F_w is small against, (...,): its sums may vanish where their terms do not (instance noise around the data
    of a linear kernel)."""
    if _only_decays(field):  # one step is exact
        sizes = np.abs(field.mean(field.at_Y, field.p)).max() + np.abs(field.push(cloud)).max(-1)
    else:
        sides = ((field.at_Y, field.p_judged), (cloud.located, field.q_judged))
        sizes = sum((weight @ np.abs(at.psi())).max(-1) for at, weight in sides)
    return field.loss.c * sizes + np.finfo(float).tiny


def _newton(field: Objectives, w: np.ndarray, cloud: Cloud, F: np.ndarray) -> np.ndarray:
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


def _only_decays(field: Objectives) -> bool:
    """Whether dF_w/dw is -nu: a linear loss with weight decay alone."""
    strengths = (field.value_p, field.value_q, field.grad_p, field.grad_q)
    return field.loss.ddf1.constant == field.loss.ddf2.constant == 0 and not any(present(v) for v in strengths)
