"""The effective GAN, losses and penalties, modes and the best strength."""

from __future__ import annotations

import numpy as np
import sympy as sp

from egan_theory.kernels.stationary import Gaussian
from egan_theory.symbolic import (
    best_r1,
    best_weight_decay,
    critical_r1,
    damping_ratio,
    linearize_field,
    mode_jacobian,
)
from egan_theory.symbolic.linearize import noise_factor
from egan_theory.tables.losses import LOSSES
from egan_theory.tables.penalties import coefficients

from .toy import Toy, Y, check, column, draw, hermite, jacobian, numbers

# -- the effective GAN ------------------------------------------------------------------------------------------------


@check("generator-kernel", draws=6)
def _(rng):
    N, v = 5, draw(rng, "g_1", "g_2")
    whole = np.full((N, N), 1 / N)  # by its two eigenspaces
    Gamma = (v["g_1"] - v["g_2"]) * (np.eye(N) - whole) + (v["g_1"] + (N - 1) * v["g_2"]) * whole
    i, j = rng.integers(2), 1
    return v | {r"\Gamma": Gamma, "i": i, "j": j, r"\delta_ij": float(i == j)}


@check("generator-eigenvalues")
def _(rng):
    N, v = 7, draw(rng, "g_1", "g_2")
    values = np.linalg.eigvalsh(np.where(np.eye(N) > 0, v["g_1"] + 1, v["g_2"] + 1) - 1)
    return v | {
        "N": N,
        r"\Gamma_-": values[len(values) // 2],
        r"\Gamma_+": values[np.argmax(np.abs(values - values[3]))],
    }


@check("discriminator")
def _(rng):
    toy = Toy(rng)
    x, y = rng.normal(size=(2, 2))
    return toy.values() | {
        "x": x,
        "y": y,
        "K": lambda x, y: sum(toy.psi(x) * toy.psi(y)),
        "D": lambda x: toy.D0 + sum(toy.w * toy.psi(x)),
    }


@check("discriminator-flow")
def _(rng):
    toy = Toy(rng)
    slope = jacobian(lambda w: toy.objective(w, toy.x), toy.w)
    np.testing.assert_allclose(slope, toy.force_w(toy.w, toy.x), rtol=1e-9)
    return toy.values() | {r"\dot w": column(toy.v["eta_D"] * slope)}


@check("particle-flow")
def _(rng):
    toy = Toy(rng)
    h = sp.lambdify(sp.Symbol("D", real=True), toy.loss.expressions["h"], "numpy")
    force = jacobian(lambda x: sum(toy.m * [h(toy.D(toy.w, z)) for z in x.reshape(5, 2)]), toy.x.ravel()).reshape(5, 2)
    return toy.values() | {r"\dot x": (toy.v["eta_G"] * toy.v["Omega"] * toy.Gamma @ force)[:, :, None], "i": 3}


@check("function-space")
def _(rng):
    n, P = 25, 4
    x, ks = np.arange(n) * 2 * np.pi / n, np.arange(1, P + 1)
    size = rng.uniform(0.5, 1, P)
    psi = np.concatenate([size * np.cos(np.outer(x, ks)), size * np.sin(np.outer(x, ks))], 1)
    slope = np.concatenate([-size * ks * np.sin(np.outer(x, ks)), size * ks * np.cos(np.outer(x, ks))], 1)
    modes = np.exp(1j * np.outer(np.arange(n) - n // 2, x))
    derivative = np.real(modes.conj().T @ np.diag(1j * (np.arange(n) - n // 2)) @ modes).T / n
    loss, w, v = LOSSES["least_squares"], rng.normal(size=2 * P), draw(rng, r"\lambda", "v", r"\nu", r"\eta_D")
    p, q = rng.dirichlet(np.ones(n), 2)
    f1, f2 = (sp.lambdify(sp.Symbol("D", real=True), loss.expressions[name], "numpy") for name in ("f1", "f2"))

    def objective(w):
        D = loss.D0 + psi @ w
        penalty = v[r"\lambda"] * (slope @ w) ** 2 + v["v"] * (psi @ w) ** 2
        return p @ (f1(D) - penalty / 2) + q @ f2(D) - v[r"\nu"] / 2 * (w @ w)

    return v | {
        r"\dot D": v[r"\eta_D"] * psi @ jacobian(objective, w),
        r"\mathcal K": psi @ psi.T,
        r"\nabla": derivative.T * -1,
        "p": np.diag(p),
        "q": np.diag(q),
        "D": loss.D0 + psi @ w,
        "D_*": loss.D0,
        "f'_1": loss.df1,
        "f'_2": loss.df2,
    }


# -- losses, penalties ------------------------------------------------------------------------------------------------


@check("loss-numbers", draws=1)
def _(rng):
    loss, D, values = LOSSES["least_squares"], sp.Symbol("D", real=True), {}
    # the same numbers at D*, other slopes beside it
    bent = {
        n: f + (i + 1) * (D - loss.equilibrium) ** 3
        for i, (n, f) in enumerate((n, loss.expressions[n]) for n in ("f1", "f2", "h"))
    }
    for name, key in (("f1", "f{}_1"), ("f2", "f{}_2"), ("h", "h{}")):
        for order in (1, 2):
            values[key.format("'" * order)] = sp.lambdify(D, sp.diff(bent[name], D, order))
    return values | {"c": loss.c, "b": loss.b, r"\kappa": loss.kappa, "D_*": loss.D0}


def pairs(rng):
    """(f, D): a pair loss of the table with another slope beside 0."""
    (f,) = (loss.expressions["f"] for loss in LOSSES.values() if loss.kind == "relativistic")
    D = sp.Symbol("D", real=True)
    return f + sp.Float(rng.uniform(0.5, 1)) * D**3, D


@check("pair-numbers", draws=2)
def _(rng):
    f, D = pairs(rng)
    w, x, y, p = sp.Symbol("w"), sp.symbols("x:3"), rng.normal(size=3), rng.dirichlet(np.ones(3))
    every = [(i, j) for i in range(3) for j in range(3)]
    critic = sum(p[i] * p[j] * f.subs(D, w * (y[i] - x[j])) for i, j in every)
    generator = sum(p[i] * p[j] * f.subs(D, w * (x[j] - y[i])) for i, j in every)
    at = dict(zip(x, y, strict=True))
    variance = p @ (y - p @ y) ** 2
    return {
        "c": float(-sp.diff(critic, w, x[1]).subs(w, 0).subs(at) / p[1]),
        "b": float(sp.diff(generator, x[1], w).subs(w, 0).subs(at) / p[1]),
        r"\kappa": float(-sp.diff(critic, w, 2).subs(w, 0).subs(at) / variance),
        "f'": sp.lambdify(D, sp.diff(f, D)),
        "f''": sp.lambdify(D, sp.diff(f, D, 2)),
    }


@check("pair-damping", draws=2)
def _(rng):
    f, D = pairs(rng)
    values, slopes, p = rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.dirichlet(np.ones(3))
    v, w = draw(rng, r"\nu", "v", r"\lambda"), sp.Matrix(sp.symbols("w:4"))
    at, g = sp.Matrix(values) * w, sp.Matrix(slopes) * w
    L = sum(p[i] * p[j] * f.subs(D, at[i] - at[j]) for i in range(3) for j in range(3))
    L -= sum(p[i] * (v["v"] * at[i] ** 2 + v[r"\lambda"] * g[i] ** 2) / 2 for i in range(3)) + v[r"\nu"] * w.dot(w) / 2
    A = -np.array(sp.hessian(L, list(w)).subs(dict.fromkeys(w, 0)).evalf(), dtype=float)
    kappa = float(-2 * sp.diff(f, D, 2).subs(D, 0))
    return v | {"A": A, "I": np.eye(4), r"\Psi": values, "B": slopes, "P": np.diag(p), "p": column(p), r"\kappa": kappa}


@check("penalty-sums")
def _(rng):
    v = draw(rng, r"\lambda_1", r"\lambda_2", "m", r"\alpha_m")
    k = coefficients(r1=v[r"\lambda_1"], r2=v[r"\lambda_2"], weight_decay=0.3, multiplier=v["m"], alpha=v[r"\alpha_m"])
    return v | {r"\lambda": k.grad_p + k.grad_q, "v": k.value_p + k.value_q}


@check("noise-factor")
def _(rng):
    v = draw(rng, "k", r"\sigma")
    nodes = [({r"\xi": x}, w) for x, w in zip(*hermite(), strict=True)]
    return v | {r"\chi": numbers(noise_factor(), {Y.k: v["k"], Y.sigma: v[r"\sigma"]}), "ranges": {r"\xi": nodes}}


@check("consensus-field")
def _(rng):
    J, z, gamma = rng.normal(size=(3, 3)), rng.normal(size=3), 0.3

    def field(z):
        return J @ z - gamma * np.stack([J[:, i] @ (J @ z) for i in range(3)])

    half_square = jacobian(lambda z: (J @ z) @ (J @ z) / 2, z)
    return {
        r"\gamma": gamma,
        "J": J,
        "F": column(J @ z),
        r"F_\gamma": column(J @ z - gamma * half_square),
        r"J_\gamma": jacobian(field, z),
    }


# -- modes ------------------------------------------------------------------------------------------------------------

NAMES = {
    "eta_D": r"\eta_D",
    "eta_G": r"\eta_G",
    "c": "c",
    "b": "b",
    "kappa": r"\kappa",
    "K": "K_k",
    "rho": r"\rho",
    "k": "k",
    "nu": r"\nu",
    "lam": r"\lambda",
    "value": "v",
    "g1": "g_1",
    "g2": "g_2",
    "sigma": r"\sigma",
    "gamma": r"\gamma",
}


def mode(rng, **fixed):
    """Symbols of a mode with its Jacobian from SymPy's linearization of the field, and chi, beta, omega, a from it."""
    drawn = {name: float(rng.uniform(0.3, 1.7)) for name in NAMES} | fixed
    drawn["g2"] = drawn["g1"] * 0.3
    values = {getattr(Y, name): number for name, number in drawn.items()}
    J = numbers(linearize_field(None), values)
    still = numbers(linearize_field(None), values | {Y.sigma: 0})
    rates = drawn["eta_D"] * drawn["eta_G"] * drawn["b"] * drawn["c"] * (drawn["g1"] - drawn["g2"])
    return values, {NAMES[name]: number for name, number in drawn.items()} | {
        "J": J,
        "a": -np.trace(J),
        r"\omega": np.emath.sqrt(np.linalg.det(J)),
        r"\beta": -still[0, 1] * still[1, 0] / rates,
        r"\chi": J[0, 1] / still[0, 1],
        "G": rates,
        r"\lambda'": drawn["eta_D"] * drawn["lam"],
        r"\xi": drawn["k"] ** 2,
        "s": np.linalg.eigvals(J)[rng.integers(2)],
    }


@check("kernel-transform")
def _(rng):
    v = draw(rng, "k")
    kernel = Gaussian(length_scale=0.7, variance=1.3)
    r, step = np.linspace(-9, 9, 401, retstep=True)
    return v | {
        "K": lambda r: kernel.value([[0.0]], [[r]])[0, 0],
        "K_k": float(kernel.spectral_density(v["k"], 1)),
        "ranges": {"r": [({"r": x}, step) for x in r]},
    }


@check("mode-flow")
def _(rng):
    _, v = mode(rng)
    D, q = rng.normal(size=2)
    rates = v["J"] @ [D, q]
    return v | {"D_k": D, "q_k": q, r"\dot D_k": rates[0], r"\dot q_k": rates[1]}


@check("mode-damping", "mode-frequency")
def _(rng):
    return mode(rng)[1]


@check("mode-parameters")
def _(rng):
    values, v = mode(rng)
    bare = numbers(linearize_field(None), values | {Y.eta_D: 1, Y.eta_G: 1})
    T = np.diag([np.sqrt(v["K_k"]), v["k"] * np.sqrt(v[r"\rho"] * (v["g_1"] - v["g_2"]))])
    M = np.linalg.inv(T) @ bare @ T
    return v | {
        "J": numbers(mode_jacobian(), values),
        "M": M,
        "A": v["a"] / v[r"\eta_D"],
        r"\mu": np.sqrt((v["g_1"] - v["g_2"]) * v[r"\beta"]),
    }


@check("dispersion", draws=6)
def _(rng):
    return mode(rng)[1]


@check("mode-roots", draws=6)
def _(rng):
    v = mode(rng, nu=float(rng.choice([0.1, 3.0])))[1]
    small, large = sorted(np.linalg.eigvals(v["J"]), key=lambda s: (s.real, s.imag))
    return v | {"s_+": large, "s_-": small}


@check("damping-ratio")
def _(rng):
    values, v = mode(rng)
    return v | {r"\zeta": numbers(damping_ratio(), values)}


@check("white-kernel")
def _(rng):
    rho = 0.6
    return mode(rng, K=1 / rho, rho=rho, eta_D=1, eta_G=1, nu=0, value=0, sigma=0)[1]


# -- the best strength ------------------------------------------------------------------------------------------------

ALONE = {"nu": 0, "kappa": 0, "value": 0, "sigma": 0}


@check("r1-dispersion")
def _(rng):
    return mode(rng, **ALONE)[1]


@check("r1-critical")
def _(rng):
    values, v = mode(rng, **ALONE)
    return v | {r"\lambda'_c": numbers(critical_r1(), values)}


@check("r1-balance", "best-r1")
def _(rng):
    v = draw(rng, "G", r"\beta_\min")
    v[r"\beta_\max"] = v[r"\beta_\min"] * float(rng.uniform(1.2, 9))
    best = best_r1(v["G"], v[r"\beta_\min"], v[r"\beta_\max"])
    return v | {r"\lambda'_*": float(best.strength), "r_*": float(best.rate)}


def _limit(end):
    def values(rng):
        v = draw(rng, "G", r"\beta_\min")
        best = best_r1(v["G"], v[r"\beta_\min"], end * v[r"\beta_\min"])
        return v | {r"\lambda'_*": float(best.strength), "r_*": float(best.rate)}

    return values


check("best-r1-single")(_limit(1.0))
check("best-r1-broad")(_limit(np.inf))


@check("best-weight-decay")
def _(rng):
    v = draw(rng, r"\omega_\min")
    best = best_weight_decay(v[r"\omega_\min"])
    return v | {r"\nu'_*": float(best.strength), "r_*": float(best.rate)}
