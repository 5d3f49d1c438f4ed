"""A game at a checkpoint: multipliers of Adam, its edge, the noise floor of modes, what averages leave."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_discrete_lyapunov
from scipy.optimize import brentq

from .toy import check, draw, jacobian


def adam(P, beta, h):
    """One step of (weight, first moment) with the second moment held: m+ = beta m + (1 - beta) h w, w+ = w - P m+."""
    moment = np.array([(1 - beta) * h, beta])
    return np.array([[1.0, 0.0] - P * moment, moment])


@check("frozen-adam", draws=4)
def _(rng):
    v = draw(rng, "P", "h") | {r"\beta": rng.uniform(0.1, 0.9)}
    return v | {"z": np.linalg.eigvals(adam(v["P"], v[r"\beta"], v["h"]).astype(complex))[rng.integers(2)]}


@check("step-edge", draws=3)
def _(rng):
    P, beta = rng.uniform(0.5, 2), rng.uniform(0.1, 0.9)
    h = brentq(lambda h: np.linalg.det(adam(P, beta, h) + np.eye(2)), 0, 1e3)
    return {"P": P, "h": h, r"\beta": beta}


@check("live-adam", draws=4)
def _(rng):
    v = draw(rng, "h", "g", "v_0") | {r"\beta": rng.uniform(0.3, 0.9), r"\beta_2": rng.uniform(0.5, 0.9)}
    rate, m_0, beta, beta_2 = 0.3, float(rng.normal()), v[r"\beta"], v[r"\beta_2"]

    def step(x):  # the weight as its distance from the checkpoint
        slope = v["g"] + v["h"] * x[0]
        m, s = beta * x[1] + (1 - beta) * slope, beta_2 * x[2] + (1 - beta_2) * slope**2
        return np.array([x[0] - rate * m / np.sqrt(s), m, s])

    at = np.array([0.0, m_0, v["v_0"]])
    _, m, s = step(at)
    z = np.linalg.eigvals(jacobian(step, at).astype(complex))[rng.integers(3)]
    return {"z": z, "P": rate / np.sqrt(s), "r": m * v["g"] / s, **{k: v[k] for k in ("h", r"\beta", r"\beta_2")}}


@check("lazy-penalty", draws=3)
def _(rng):
    v, k = draw(rng, "P", "h", "s"), int(rng.integers(3, 6))
    w = 1.0
    for i in range(k):
        w -= v["P"] * (v["h"] * w + (k * v["s"] * w if i == 0 else 0.0))
    return v | {"k": k, "z": complex(w) ** (1 / k)}


@check("noise-floor", draws=3)
def _(rng):
    z = rng.uniform(0.2, 0.9, 3) * np.exp(1j * rng.uniform(0, 3, 3))
    L = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))
    Q = L @ L.conj().T
    S = solve_discrete_lyapunov(np.diag(z), Q)
    return {"S_jk": S[0, 1], "Q_jk": Q[0, 1], "z_j": z[0], r"\bar{z}_k": np.conj(z[1]), r"\bar z_k": np.conj(z[1])}


@check("averaged-weights", draws=3)
def _(rng):
    b, omega, mean = rng.uniform(0.3, 0.8), rng.uniform(0.2, 3), 0j
    for n in range(400):
        mean = b * mean + (1 - b) * np.exp(1j * n * omega)
    return {"a": abs(mean), "b": b, r"\omega": omega}
