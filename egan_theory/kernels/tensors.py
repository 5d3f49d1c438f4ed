"""Derivatives of K(x, y) = k(u) in x and y from the profile's derivatives k = [k, k', k'', k''']: the chain rule.

Shapes: X (..., n, d), Y (m, d), each k^(j) (..., n, m); results (..., n, m) followed by the derivative axes.
"""

from __future__ import annotations

import numpy as np

Derivatives = list[np.ndarray]


def squared_distance(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """sum_a (x_a - y_a)^2: differences first, so that coincident points give exactly 0 and tiny offsets survive."""
    r = X[..., :, None, 0] - Y[:, 0]
    u = r * r
    for a in range(1, X.shape[-1]):
        r = X[..., :, None, a] - Y[:, a]
        u = u + r * r
    return u


def stationary_gradient(X: np.ndarray, Y: np.ndarray, k: Derivatives) -> np.ndarray:
    """2 k' r_a with r = x - y."""
    return 2 * _bounded(k[1])[..., None] * _offset(X, Y)


def stationary_mixed(X: np.ndarray, Y: np.ndarray, k: Derivatives) -> np.ndarray:
    """-2 k' delta_ab - 4 k'' r_a r_b."""
    r = _offset(X, Y)
    kr = _bounded(k[2])[..., None] * r
    return -2 * k[1][..., None, None] * np.eye(r.shape[-1]) - 4 * kr[..., :, None] * r[..., None, :]


def stationary_third(X: np.ndarray, Y: np.ndarray, k: Derivatives) -> np.ndarray:
    """-4 k'' (delta_ac r_b + delta_ab r_c + delta_cb r_a) - 8 k''' r_a r_c r_b, axes a, c, b."""
    r = _offset(X, Y)
    eye = np.eye(r.shape[-1])
    kr = _bounded(k[2])[..., None] * r
    cubic = (_bounded(k[3])[..., None] * r)[..., :, None, None] * r[..., None, :, None] * r[..., None, None, :]
    return -4 * _symmetric(kr, eye) - 8 * cubic


def dot_gradient(X: np.ndarray, Y: np.ndarray, k: Derivatives) -> np.ndarray:
    """k' y_a."""
    return k[1][..., None] * Y


def dot_mixed(X: np.ndarray, Y: np.ndarray, k: Derivatives) -> np.ndarray:
    """k' delta_ab + k'' y_a x_b."""
    eye = np.eye(Y.shape[-1])
    return k[1][..., None, None] * eye + k[2][..., None, None] * Y[:, :, None] * X[..., :, None, None, :]


def dot_hessian(X: np.ndarray, Y: np.ndarray, k: Derivatives) -> np.ndarray:
    """k'' y_a y_c."""
    return k[2][..., None, None] * (Y[:, :, None] * Y[:, None, :])


def dot_third(X: np.ndarray, Y: np.ndarray, k: Derivatives) -> np.ndarray:
    """k'' (delta_ab y_c + delta_cb y_a) + k''' y_a y_c x_b, axes a, c, b."""
    eye = np.eye(Y.shape[-1])
    ky = k[2][..., None] * Y
    pairs = ky[..., None, :, None] * eye[:, None, :] + ky[..., :, None, None] * eye
    yy = Y[:, :, None] * Y[:, None, :]
    return pairs + (k[3][..., None, None] * yy)[..., None] * X[..., :, None, None, None, :]


def _symmetric(v: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """delta_ac v_b + delta_ab v_c + delta_cb v_a, axes a, c, b."""
    return eye[:, :, None] * v[..., None, None, :] + eye[:, None, :] * v[..., None, :, None] + v[..., None, None] * eye


def _offset(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return X[..., :, None, :] - Y


def _bounded(k: np.ndarray) -> np.ndarray:
    """The profile derivative, with 0 for the infinite value it has only where its factors r_a make the product 0."""
    return np.where(np.isinf(k), 0, k)
