"""Likelihood term, packing, wide networks and those that people train."""

from __future__ import annotations

from itertools import product

import numpy as np
import sympy as sp
from scipy.special import erf

from egan_theory.kernels.wide.depth import depth_limit
from egan_theory.kernels.wide.recursion import gp_kernel, tangent_kernel
from egan_theory.kernels.wide.universality import kernel_numbers
from egan_theory.symbolic import (
    remedies,
)
from egan_theory.tables.architecture import Architecture, GeneratorArchitecture

from .toy import Y, check, column, draw, hermite, jacobian, numbers, over

# -- likelihood and packing -------------------------------------------------------------------------------------------


@check("score-rate")
def _(rng):
    v = draw(rng, "k", r"\sigma_s")
    return v | {"f_k": numbers(remedies.score_rate(), {Y.k: v["k"], Y.sigma: v[r"\sigma_s"]})}


@check("likelihood-dispersion")
def _(rng):
    v = draw(rng, "a", "x", r"\omega")
    polynomial = sp.Poly(remedies.likelihood_dispersion(), Y.s)
    at = {Y.a: v["a"], Y.w2: v[r"\omega"] ** 2, sp.Symbol("x", nonnegative=True): v["x"]}
    return v | {"s": np.roots([float(c.subs(at)) for c in polynomial.all_coeffs()])[rng.integers(2)]}


@check("best-likelihood")
def _(rng):
    f, w, v = np.sort(rng.uniform(0.5, 3, 4)), rng.uniform(0.5, 2, 4), draw(rng, r"\eta_G", "g_2")
    v["g_1"] = v["g_2"] + 0.7
    best = remedies.best_likelihood(f, w)
    return v | {
        "f": f,
        r"\omega": w,
        "f_i": f[0],
        r"\alpha_*": best.strength / v[r"\eta_G"] / (v["g_1"] - v["g_2"]),
        "r_*": best.rate,
        "ranges": over("j", 4),
    }


@check("score-jacobian")
def _(rng):
    y, p, s = rng.normal(size=(3, 2)), rng.dirichlet(np.ones(3)), 0.9

    def score(at, points):
        G = np.array([np.exp(-((at - z) @ (at - z)) / 2 / s**2) for z in points])
        return sum(w * g * (z - at) / s**2 for w, g, z in zip(p, G, points, strict=True)) / (p @ G)

    ell, n = 0, int(rng.integers(3))
    r = y[ell] - y[n]
    L = -jacobian(lambda u: score(y[ell], [z + (u / p[n] if i == n else 0 * u) for i, z in enumerate(y)]), np.zeros(2))
    return {
        r"L_\elln": L,
        r"\ell": ell,
        "n": n,
        "G": lambda r: np.exp(-np.sum(r**2) / 2 / s**2),
        "r": column(r),
        r"\sigma_s": s,
        "I": np.eye(2),
        "p_s": lambda z: sum(p * [np.exp(-np.sum((np.ravel(z) - q) ** 2) / 2 / s**2) for q in y]),
        "y": y[:, :, None],
        r"\varsigma": np.stack([score(z, y) for z in y])[:, :, None],
    }


@check("packed-kernel")
def _(rng):
    m, u = int(rng.integers(2, 4)), rng.normal(size=2)
    x, y = rng.uniform(0.3, 0.9, 2)
    names = [sp.Symbol(f"{n}_{i}", real=True) for n in ("u", "psi", "phi") for i in (1, 2)]
    K_m = sp.lambdify(names, remedies.packed_kernel(m))

    def psi(x):
        return np.array([np.sin(x), np.cos(2 * x)])

    return {
        "m": m,
        "x": x,
        "y": y,
        "K": lambda x, y: psi(x) @ psi(y),
        "K_m": lambda x, y: K_m(*u, *psi(x), *psi(y)),
        r"\kappa_0": u @ u,
        r"\kappa_1": lambda x: u @ psi(x),
    }


@check("packed-coupling")
def _(rng):
    m, u, B = 2, rng.normal(size=3), rng.normal(size=(4, 3))
    unit = u / np.linalg.norm(u)

    def tensor(v):  # an isometry from v to the symmetric tensors that single charges reach
        along = v @ unit
        across = v - along * unit
        return along * np.outer(unit, unit) + (np.outer(across, unit) + np.outer(unit, across)) / np.sqrt(2)

    B_m = np.stack([m * B @ tensor(v) @ u for v in np.eye(3)], -1)
    return {"m": m, "B": B, "B_m": B_m, r"\kappa_0": u @ u, r"\hat \psi": column(unit), "I": np.eye(3)}


@check("packed-additive")
def _(rng):
    m, psi, slope, p = 3, rng.normal(size=(3, 2)), rng.normal(size=(3, 2, 2)), rng.dirichlet(np.ones(3))
    v = draw(rng, r"\nu", r"\kappa", "v", r"\lambda")
    A = v[r"\nu"] * np.eye(2)
    for pack in product(range(3), repeat=m):
        whole = psi[list(pack)].sum(0)
        A = A + np.prod(p[list(pack)]) * (
            (v[r"\kappa"] + v["v"]) * np.outer(whole, whole) + v[r"\lambda"] * sum(slope[i] @ slope[i].T for i in pack)
        )
    return v | {
        "m": m,
        "A_m": A,
        "I": np.eye(2),
        "C": np.einsum("n,na,nb->ab", p, psi, psi),
        r"\bar \psi": column(p @ psi),
        "G": np.einsum("n,nai,nbi->ab", p, slope, slope),
    }


# -- wide networks ----------------------------------------------------------------------------------------------------


def gaussians(qu, qv, quv, count=40):
    """Nodes and weights of two Gaussians of that covariance."""
    nodes, weights = hermite(count)
    root = np.linalg.cholesky(np.array([[qu, quv], [quv, qv]]))
    return [
        ({"u": root[0, 0] * s, "v": root[1, 0] * s + root[1, 1] * t}, w * x)
        for s, w in zip(nodes, weights, strict=True)
        for t, x in zip(nodes, weights, strict=True)
    ]


@check("covariance-recursion", "tangent-recursion", draws=1)
def _(rng):
    X, Z = rng.normal(size=(2, 1, 3))
    powers = (0.1, 1.0, 0.4, -0.2)  # exact with few nodes
    settings = {"activation": "polynomial", "coefficients": powers, "weight_variance": 1.4, "bias_variance": 0.3}
    arch = Architecture(depth=1, **settings)
    first = [1.4 * np.sum(a * b) / 3 + 0.3 for a, b in ((X, X), (Z, Z), (X, Z))]
    activation = np.polynomial.Polynomial(powers)
    return {
        r"\Sigma_l+1": gp_kernel(arch, X, Z)[0, 0],
        r"\Theta_l+1": tangent_kernel(arch, X, Z)[0, 0],
        r"\Theta_l": first[2],
        "s_w": np.sqrt(1.4),
        "s_b": np.sqrt(0.3),
        r"\varphi": activation,
        r"\varphi'": activation.deriv(),
        "ranges": {"uv": gaussians(*first, 8)},
    }


@check("image-covariance", "image-tangent", draws=1)
def _(rng):
    """The readout of a filter of one tap on four pixels."""
    x, z = rng.normal(size=(2, 4))
    powers = (0.1, 1.0, 0.4, -0.2)
    settings = {"activation": "polynomial", "coefficients": powers, "weight_variance": 1.4, "bias_variance": 0.3}
    arch = Architecture(layers=({"kind": "convolution", "size": 1}, "flatten"), image=(1, 2, 2), **settings)
    act = np.polynomial.Polynomial(powers)
    first = [1.4 * np.stack([a * a, b * b, a * b]) + 0.3 for a, b in zip(x, z, strict=True)]

    def mean(f, covariance):
        return sum(w * f(v["u"]) * f(v["v"]) for v, w in gaussians(*covariance, 8))

    return {
        r"\Sigma_l+1": gp_kernel(arch, x[None], z[None])[0, 0],
        r"\Theta_l+1": tangent_kernel(arch, x[None], z[None])[0, 0],
        r"\Theta": np.array([c[2] for c in first]),
        "V": np.array([mean(act, c) for c in first]),
        "W": np.array([mean(act.deriv(), c) for c in first]),
        "K": 4,
        "s_w": np.sqrt(1.4),
        "s_b": np.sqrt(0.3),
        "ranges": over("k", 4),
    }


@check("relu-dual", "relu-coincident", draws=2)
def _(rng):
    qu, qv, t = float(rng.uniform(0.5, 2)), float(rng.uniform(0.5, 2)), float(rng.uniform(0.5, 2.5))
    # both are positive on one arc; the mean of the squared radius is 2
    nodes, weights = np.polynomial.legendre.leggauss(30)
    angle = (t - np.pi / 2) + (nodes + 1) / 2 * (np.pi - t)
    arc = [
        ({"u": np.sqrt(2 * qu) * np.cos(s), "v": np.sqrt(2 * qv) * np.cos(s - t)}, w * (np.pi - t) / 2 / (2 * np.pi))
        for s, w in zip(angle, weights, strict=True)
    ]
    return {
        "q_u": qu,
        "q_v": qv,
        "q_uv": np.sqrt(qu * qv) * np.cos(t),
        "t": t,
        r"\varphi": lambda u: max(u, 0),
        r"\varphi'": lambda u: float(u > 0),
        "ranges": {"uv": arc},
    }


@check("erf-dual", draws=2)
def _(rng):
    qu, qv = rng.uniform(0.3, 0.8, 2)
    quv = 0.4 * np.sqrt(qu * qv)
    return {
        "q_u": qu,
        "q_v": qv,
        "q_uv": quv,
        r"\varphi": erf,
        "ranges": {"uv": gaussians(qu, qv, quv)},
        "tolerance": 1e-7,
    }


@check("kernel-numbers", draws=1)
def _(rng):
    arch = GeneratorArchitecture(depth=2, activation="tanh", weight_variance=1.5, bias_variance=0.2, latent_dimension=8)
    found, e = kernel_numbers(arch), np.eye(8) * np.sqrt(8)

    def Theta(cosine):
        other = cosine * e[:1] + np.sqrt(1 - cosine**2) * e[1:2]
        return tangent_kernel(arch, e[:1], other)[0, 0]

    return {
        "g_1": found.g1,
        "g_2": found.g2,
        r"\delta g_2": found.spread,
        r"\Theta": Theta,
        "n_0": 8,
        "tolerance": 1e-6,
        r"\Theta'": lambda c: (Theta(c + 1e-5) - Theta(c - 1e-5)) / 2e-5,
    }


@check("depth-slope", draws=1)
def _(rng):
    arch = GeneratorArchitecture(depth=2, activation="tanh", weight_variance=1.7, bias_variance=0.3)
    found = depth_limit(arch)
    nodes = [({"g": g}, w) for g, w in zip(*hermite(150), strict=True)]
    return {
        "q_*": found.variance,
        r"\chi_*": found.slope,
        "s_w": np.sqrt(1.7),
        "s_b": np.sqrt(0.3),
        r"\varphi": np.tanh,
        r"\varphi'": lambda u: 1 / np.cosh(u) ** 2,
        "ranges": {"g": nodes},
        "tolerance": 1e-7,
    }


# -- networks that people train ---------------------------------------------------------------------------------------


@check("gram-matrix")
def _(rng):
    psi, B = rng.normal(size=(3, 7)), rng.normal(size=(6, 7))
    rows = np.concatenate([psi, B])
    return {r"\Psi": psi, "B": B, r"\mathcal G": np.einsum("ip,jp->ij", rows, rows)}


@check("advice-gain")
def _(rng):
    M, B = 4, rng.normal(size=(4, 6))
    v = draw(rng, r"\eta_D", r"\eta_G", "b", "c", "g_2") | {"M": M}
    v["g_1"] = v["g_2"] + 0.4
    # particles of mass 1/M that move alone, sums of masses times displacements on w
    J = np.block(
        [
            [np.zeros((6, 6)), -v[r"\eta_D"] * v["c"] * B.T],
            [v[r"\eta_G"] * v["b"] * (v["g_1"] - v["g_2"]) / M**2 * B, np.zeros((4, 4))],
        ]
    )
    frequency, beta = np.abs(np.linalg.eigvals(J)).max(), np.linalg.eigvalsh(B @ B.T / M)[-1]
    return v | {"G": frequency**2 / beta}


@check("regret")
def _(rng):
    left, least = rng.uniform(0.5, 1, 4), rng.uniform(0.1, 0.5, 4)
    return {r"\Lambda": left, r"\hat \Lambda": least, r"\mathcal R": sorted(left / least)[-1], "ranges": over("j", 4)}
