"""Beyond the thresholds: normal forms against SymPy's change of variables, iterated maps and exact cycles."""

from __future__ import annotations

import numpy as np
import sympy as sp

from egan_theory.symbolic import normal
from egan_theory.tables.updates import UpdateRule

from .toy import check, column, draw, jacobian


def forms(rng, n):
    """Random symmetric second and third differentials of R^n, as functions of columns."""
    second, third = rng.normal(size=(n, n, n)), rng.normal(size=(n, n, n, n))
    second = second + np.swapaxes(second, 1, 2)
    third = sum(np.transpose(third, (0, *order)) for order in ((1, 2, 3), (2, 3, 1), (3, 1, 2)))
    third = third + np.swapaxes(third, 2, 3)

    def B(u, v):
        return column(np.einsum("lij,i,j->l", second, np.ravel(u), np.ravel(v)))

    def C(u, v, t):
        return column(np.einsum("lijk,i,j,k->l", third, np.ravel(u), np.ravel(v), np.ravel(t)))

    return B, C


@check("centre-coefficient")
def _(rng):
    """A plane, whose coefficient follows from SymPy's removal of the quadratic terms."""
    theta = float(rng.uniform(0.3, 1.2))
    turn = rng.normal(size=(2, 2))
    A = turn @ np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]]) @ np.linalg.inv(turn)
    values, vectors = np.linalg.eig(A)
    i = int(np.argmax(values.imag))
    q, p = vectors[:, i], np.linalg.inv(vectors)[i]
    B, C = forms(rng, 2)
    coefficients = {
        "g20": p @ B(q, q)[:, 0], "g11": p @ B(q, q.conj())[:, 0], "g02": p @ B(q.conj(), q.conj())[:, 0],
        "g21": p @ C(q, q, q.conj())[:, 0], "lambda": values[i],
    }  # fmt: skip
    names = coefficients | {f"{k}_c": np.conj(v) for k, v in coefficients.items()}
    at = {sp.Symbol(k): complex(v) for k, v in names.items()}
    g = complex(normal.resonant_coefficient().subs(at))
    return {
        "g": g, "p": column(p), "q": column(q), r"\bar q": column(q.conj()), "B": B, "C": C, "A": A, "I": np.eye(2),
        r"\lambda": values[i],
    }  # fmt: skip


@check("orbit-radius")
def _(rng):
    """The map z -> z exp(...) iterated in polar coordinates until it stays."""
    v = draw(rng, r"\sigma", r"\sigma_\theta", r"\alpha_\theta")
    alpha, theta, delta, r = -float(rng.uniform(0.5, 1.5)), 0.7, 0.1, 0.5
    for _ in range(2000):
        r = r + (v[r"\sigma"] * delta + alpha * r**2) * r
    angle = theta + v[r"\sigma_\theta"] * delta + v[r"\alpha_\theta"] * r**2
    return v | {"r": r, r"\theta": angle, r"\theta_c": theta, r"\alpha": alpha, r"\mu": 1 + delta, r"\mu_c": 1.0}


def step(rule, a, w2, chi):
    omega = np.sqrt(w2)

    def advance(state):
        return np.stack(
            UpdateRule(rule).step(
                tuple(state),
                lambda w, x: -a * w - omega * (x - chi * x**3),
                lambda w, x: omega * (1 - 3 * chi * x**2) * w,
            )
        )

    return advance


@check("circling-mode")
def _(rng):
    """The slope of the growth of the squared radius, measured over turns at the threshold; the radius from it."""
    a, chi, beyond = float(rng.uniform(0.3, 0.6)), float(rng.uniform(0.5, 1.5)), 1e-3
    theta = np.arccos(1 - a / 2)
    lam = np.exp(1j * theta)
    advance = step("simultaneous", a, a, chi)
    # coordinates of the turning plane: x = z + c.c., w = (lambda - 1)/omega z + c.c.
    q = np.array([(lam - 1) / np.sqrt(a), 1.0])
    basis = np.linalg.inv(np.stack([q, q.conj()], axis=1))
    r0, N = 1e-3, 40_000
    phases = np.exp(2j * np.pi * np.arange(16) / 16)
    state = 2 * np.real(q[:, None] * r0 * phases)
    for _ in range(N):
        state = advance(state)
    # 1/|z|^2 falls by 2 alpha per step, but for terms that turn
    inverse = np.mean(1 / np.abs((basis @ state)[0]) ** 2)
    alpha = (1 / r0**2 - inverse) / (2 * N)
    return {
        r"\alpha": alpha, r"\chi": chi, "a": a, r"\omega": np.sqrt(a + beyond), "r": np.sqrt(-beyond / 2 / alpha),
        "tolerance": 1e-4,
    }  # fmt: skip


@check("flipping-mode")
def _(rng):
    """The exact cycle of period two, F(z) = -z, next to its threshold."""
    a, chi, beyond = float(rng.uniform(0.3, 0.9)), float(rng.uniform(0.5, 1.5)), 1e-5
    w2 = 4 - 2 * a + beyond
    advance = step("alternating", a, w2, chi)
    guess = np.sqrt(beyond / (16 * chi * (1 - a / 2)))
    start = np.array([np.sqrt(w2) / (2 - a), 1.0]) * guess
    found = start
    for _ in range(30):
        found = found - np.linalg.solve(jacobian(lambda z: advance(z) + z, found), advance(found) + found)
    assert abs(found[1]) > guess / 3
    return {"a": a, r"\chi": chi, r"\omega": np.sqrt(w2), "y": found[1], "tolerance": 1e-4}


@check("symmetric-pair")
def _(rng):
    """Both orbits of the four real equations and the eigenvalues of their Jacobians there."""
    sigma, a1, a2 = (float(rng.uniform(0.3, 1.5)) * sign for sign in (1, -1, -1))

    def velocity(z):
        n1, n2 = z[0] ** 2 + z[1] ** 2, z[2] ** 2 + z[3] ** 2
        f1, f2 = sigma + a1 * n1 + a2 * n2, sigma + a1 * n2 + a2 * n1
        return np.array([f1 * z[0], f1 * z[1], f2 * z[2], f2 * z[3]])

    out = {r"\sigma": sigma, r"\alpha": {}, r"\alpha_1": a1, r"\alpha_2": a2}
    for name, guess in (("rot", [1.0, 0, 0, 0]), ("std", [0.8, 0, 0.8, 0])):
        z = np.array(guess)
        for _ in range(100):
            z = z - np.linalg.pinv(jacobian(velocity, z), rcond=1e-9) @ velocity(z)
        J = jacobian(velocity, z)
        mode = np.array([0, 0, 1.0, 0]) if name == "rot" else np.array([1.0, 0, -1.0, 0])
        out[f"N_{name}"] = float(z @ z)
        out[f"s_{name}"] = float(mode @ J @ mode / (mode @ mode))
    del out[r"\alpha"]
    return out


@check("transverse-exponent")
def _(rng):
    """u multiplied along the orbit of a plane that turns and drags a decaying y along; its logarithm per step."""
    theta, rho = float(rng.uniform(0.4, 1.0)), float(rng.uniform(0.2, 0.6))
    push, alpha, beta, gamma = rng.normal(size=4)
    c, s = np.cos(theta), np.sin(theta)

    def F(z):  # (x1, x2, y, u)
        x1, x2, y, u = z
        return np.array([
            c * x1 - s * x2, s * x1 + c * x2, rho * y + push * x1**2, u * (1 + alpha * x1 + beta * y + gamma * x2**2)
        ])  # fmt: skip

    r, N = 1e-3, 20_000
    z = np.array([2 * r, 0.0, 0.0, 1.0])
    for _ in range(200):
        z = F(z)
    z[3], total, window = 1.0, 0.0, np.hanning(N)
    for n in range(N):  # the mean over turns, what oscillates windowed away
        z = F(z)
        total += window[n] * np.log(z[3]) / window.mean()
        z[3] = 1.0
    A = np.zeros((4, 4))
    A[:2, :2], A[2, 2], A[3, 3] = [[c, -s], [s, c]], rho, 1.0
    x = sp.symbols("x:4", real=True)
    f = [*(0, 0), push * x[0] ** 2, x[3] * (alpha * x[0] + beta * x[2] + gamma * x[1] ** 2)]
    second = np.array([[[float(sp.diff(g, a, b).subs(dict.fromkeys(x, 0))) for b in x] for a in x] for g in f])
    third = np.array([[[[float(sp.diff(g, a, b, d)) for d in x] for b in x] for a in x] for g in f])
    q = np.array([1.0, -1j, 0, 0])  # x1 = z + c.c.
    h = np.array([0, 0, 2 * push / (1 - rho), 0])
    k = np.zeros(4, dtype=complex)
    k[3] = alpha / (np.exp(1j * theta) - 1)
    return {
        "E": total / N / r**2,
        "p_u": column([0, 0, 0, 1.0]), "u": column([0, 0, 0, 1.0]), "q": column(q), r"\bar q": column(q.conj()),
        "A": A, "h": column(h), "I": np.eye(4), r"\lambda": np.exp(1j * theta),
        "B": lambda u, v: column(np.einsum("lij,i,j->l", second, np.ravel(u), np.ravel(v))),
        "C": lambda u, v, t: column(np.einsum("lijk,i,j,k->l", third, np.ravel(u), np.ravel(v), np.ravel(t))),
        "k": column(k), r"\bar k": column(k.conj()), "tolerance": 2e-3,
    }  # fmt: skip
