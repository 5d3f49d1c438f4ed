"""Finite samples, what is left of a kick, exact kernels, general equilibria."""

from __future__ import annotations

import numpy as np
import sympy as sp
from scipy.linalg import expm, sqrtm

from .toy import Toy, check, column, draw, jacobian, numbers

# -- what is left of a kick -------------------------------------------------------------------------------------------


@check("left")
def _(rng):
    P = rng.normal(size=(6, 6))
    moved = [np.sum((P @ e) ** 2) for e in np.eye(6)]  # kicks of one coordinate each
    return {"N": 3, "d": 2, "P_xx": P, r"\Lambda": np.sqrt(np.mean(moved))}


@check("left-oscillator", "response", draws=4)
def _(rng):
    v = draw(rng, "a", r"\omega", "T") | {"t": 0.0}
    v["a"] *= rng.choice([1, 5])
    v["t"] = v["T"]
    block = np.array([[-v["a"], -v[r"\omega"]], [v[r"\omega"], 0]])
    small, large = sorted(np.linalg.eigvals(block).astype(complex), key=lambda s: (s.real, s.imag))
    return v | {"s_+": large, "s_-": small, "P_k": expm(block * v["T"])[1, 1], "x": lambda t: expm(block * t)[1, 1]}


def kicked(rng):
    """Particles that share points, one component: propagators of everything and of the sums per point."""
    toy = Toy(rng, d=1, on_data=True)
    v, N, M, P, T = toy.v, toy.N, toy.M, toy.P, 0.7
    whole = jacobian(toy.velocity, np.concatenate([toy.w, toy.x.ravel()]))
    rates = np.concatenate([np.full(P, v["eta_D"]), np.full(N, v["eta_G"])])
    P_xx = expm(T * rates[:, None] * whole)[P:, P:]
    S = v["Omega"] * toy.U @ toy.Gamma @ toy.U.T
    R = np.linalg.cholesky(S)
    # u = U x closes on itself: U J_xw and, since x enters through u alone, J_wx = Z U
    Z = np.linalg.lstsq(toy.U.T, whole[:P, P:].T, rcond=None)[0].T
    own = np.block([[whole[:P, :P], Z @ R], [np.linalg.inv(R) @ toy.U @ whole[P:, :P], np.zeros((M, M))]])
    propagator = expm(T * np.concatenate([rates[:P], rates[P : P + M]])[:, None] * own)[P:, P:]
    K = v["Omega"] * toy.Gamma @ toy.U.T
    inverse = np.linalg.inv(R)
    W_1, W_2 = inverse @ K.T @ K @ inverse.T, inverse @ toy.U @ toy.U.T @ inverse.T
    z = inverse @ toy.p
    # both matrices are multiples of the unit matrix but along z
    values_1, values_2 = np.linalg.eigvalsh(W_1), np.linalg.eigvalsh(W_2)
    epsilon = values_1[0]
    return toy.values() | {
        "N": N,
        "d": 1,
        "P_xx": P_xx,
        "Q": propagator - np.eye(M),
        "W_1": W_1,
        "W_2": W_2,
        "z": column(z),
        "R": R,
        "p": column(toy.p),
        "I": np.eye(M),
        r"\epsilon": epsilon,
        r"\epsilon_1": (values_1[-1] / epsilon - 1) / (z @ z),
        r"\epsilon_2": (1 - values_2[0] * epsilon) / (z @ z),
        "S": S,
    }


check("left-trace", "left-weights", "left-numbers")(kicked)


# -- finite samples ---------------------------------------------------------------------------------------------------


@check("coupling", draws=6)
def _(rng):
    toy = Toy(rng, on_data=True)
    ell, n = rng.integers(2, size=2)
    return toy.values() | {
        "S": toy.v["Omega"] * toy.U @ toy.Gamma @ toy.U.T,
        r"\ell": ell,
        "n": n,
        r"\delta_\elln": float(ell == n),
    }


def sample(rng, loss="logistic", **fixed):
    """A finite sample in one dimension, by complex steps about w = 0: J on (w, u) without rates, and its parts."""
    toy = Toy(rng, d=1, loss=loss, on_data=True)
    toy.v |= fixed
    toy.Gamma = toy.v["g1"] * np.eye(toy.N) + toy.v["g2"] * (1 - np.eye(toy.N))
    P, M = toy.P, toy.M
    whole = jacobian(toy.velocity, np.concatenate([toy.w, toy.x.ravel()]))
    Z = np.linalg.lstsq(toy.U.T, whole[:P, P:].T, rcond=None)[0].T
    J = np.block([[whole[:P, :P], Z], [toy.U @ whole[P:, :P], np.zeros((M, M))]])
    B = np.stack([toy.dpsi(y)[:, 0] for y in toy.y])
    S = toy.v["Omega"] * toy.U @ toy.Gamma @ toy.U.T
    return J, toy.values() | {
        "A": -J[:P, :P],
        "B": B,
        r"\Psi": np.stack([toy.psi(y) for y in toy.y]),
        "P": np.diag(toy.p),
        "S": S,
        "H": B @ B.T,
        "J": J,
    }


@check("saddle-flow", "saddle-damping")
def _(rng):
    J, v = sample(rng)
    w, u = rng.normal(size=6), rng.normal(size=3)
    rates = J @ np.concatenate([w, u])
    return v | {
        "w": column(w),
        "u": column(u),
        r"\dot w": column(v[r"\eta_D"] * rates[:6]),
        r"\dot u": column(v[r"\eta_G"] * rates[6:]),
    }


@check("saddle")
def _(rng):
    J, v = sample(rng)
    T = np.block([[np.eye(6), np.zeros((6, 3))], [np.zeros((3, 6)), np.real(sqrtm(v["S"]))]])
    own = np.linalg.inv(T) @ J @ T
    return v | {"J": own, "C": own[6:, :6] / v["b"]}


@check("force-closure")
def _(rng):
    J, v = sample(rng, "wasserstein", vp=0.0, vq=0.0)
    J = np.concatenate([np.full(6, v[r"\eta_D"]), np.full(3, v[r"\eta_G"])])[:, None] * J
    state = rng.normal(size=9)
    g, first, second = (column(v["B"] @ (z)[:6]) for z in (state, J @ state, J @ J @ state))
    return v | {"I": np.eye(3), "g": g, r"\dot g": first, r"\ddot g": second}


@check("finite-modes")
def _(rng):
    toy = Toy(rng, d=1, loss="wasserstein", on_data=True)
    B = np.stack([toy.dpsi(y)[:, 0] for y in toy.y])
    v = draw(rng, r"\eta_D", r"\eta_G", "c", "b", r"\nu", r"\lambda", "r")
    p = rng.dirichlet(np.ones(3))
    S, P = np.diag(v["r"] * p), np.diag(p)
    A = v[r"\nu"] * np.eye(6) + v[r"\lambda"] * B.T @ P @ B
    left, mu, right = np.linalg.svd(np.sqrt(S) @ B, full_matrices=False)
    k = rng.integers(3)
    J = np.block(
        [
            [-v[r"\eta_D"] * A, -v[r"\eta_D"] * v["c"] * (np.sqrt(S) @ B).T],
            [v[r"\eta_G"] * v["b"] * np.sqrt(S) @ B, np.zeros((3, 3))],
        ]
    )
    on_w, on_x = np.concatenate([right[k], np.zeros(3)]), np.concatenate([np.zeros(6), left[:, k]])
    pair = np.array([[a @ J @ b for b in (on_w, on_x)] for a in (on_w, on_x)])
    return v | {r"\mu_k": mu[k], "a_k": -np.trace(pair), r"\omega_k": np.sqrt(np.linalg.det(pair))}


def stiffness(rng, K, t):
    """H of a kernel by SymPy: K(t) with t of x and y, mixed second derivatives at two points."""
    x, y = sp.symbols("x:2"), sp.symbols("y:2")
    s = sp.Symbol("s")
    points = rng.normal(size=(2, 2))
    at = dict(zip((*x, *y), points.ravel(), strict=True))
    mixed = sp.Matrix(2, 2, lambda i, j: sp.diff(K(t(x, y)), x[i], y[j]))
    return {
        "H": numbers(mixed, at)[None, None],
        r"\ell": 0,
        "n": 1,
        "y": points[:, :, None],
        "r": column(points[0] - points[1]),
        r"H_\elln": numbers(mixed, at),
        "k'": sp.lambdify(s, sp.diff(K(s), s)),
        "k''": sp.lambdify(s, sp.diff(K(s), s, 2)),
        "t": float(t(x, y).subs(at)),
        "I": np.eye(2),
    }


check("stiffness-radial")(
    lambda rng: stiffness(
        rng, lambda s: (1 + s / 3) ** -2, lambda x, y: sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    )
)
check("stiffness-dot")(
    lambda rng: stiffness(rng, lambda s: sp.exp(s / 2), lambda x, y: sum(a * b for a, b in zip(x, y, strict=True)))
)


@check("coupling-root")
def _(rng):
    v, E, p = draw(rng, r"\Omega", "g_2"), np.diag(rng.uniform(0.3, 1, 4)), column(rng.dirichlet(np.ones(4)))
    S = E + v[r"\Omega"] * v["g_2"] * p @ p.T
    scaled = np.diag(1 / np.sqrt(np.diag(E)))
    inner = np.real(sqrtm(scaled @ S @ scaled))
    values, vectors = np.linalg.eigh(inner)
    return v | {
        "S": S,
        "R": np.sqrt(E) @ inner,
        "E": E,
        "p": p,
        "q": vectors[:, -1:],
        r"\vartheta": values[-1] - 1,
        "I": np.eye(4),
    }


# -- general equilibria -----------------------------------------------------------------------------------------------


@check("jacobian-ww", "jacobian-wx", "jacobian-xw", "jacobian-xx", draws=2)
def _(rng):
    toy, i = Toy(rng), 2

    def moved(z):
        return np.concatenate([toy.x[:i], z[None], toy.x[i + 1 :]])

    return toy.values() | {
        "i": i,
        r"\frac{\partial F_w}{\partial w}": jacobian(lambda w: toy.force_w(w, toy.x), toy.w),
        r"\frac{\partial F_w}{\partial x_i}": jacobian(lambda z: toy.force_w(toy.w, moved(z)), toy.x[i]),
        r"\frac{\partial F_i}{\partial w}": jacobian(lambda w: toy.force_x(w, toy.x)[i], toy.w),
        r"\frac{\partial F_i}{\partial x_i}": jacobian(lambda z: toy.force_x(toy.w, moved(z))[i], toy.x[i]),
    }
