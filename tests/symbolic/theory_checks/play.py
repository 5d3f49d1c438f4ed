"""Update rules, averages, thresholds, learning times."""

from __future__ import annotations

import numpy as np
import sympy as sp
from scipy.linalg import expm
from scipy.optimize import brentq

from egan_theory.experiment import Experiment
from egan_theory.kernels.stationary import Gaussian
from egan_theory.predict.splitting import splitting
from egan_theory.simulation.accelerated import several
from egan_theory.symbolic import (
    play,
    remedies,
)
from egan_theory.symbolic.maps import update_matrices
from egan_theory.tables.updates import UNIFORM, UpdateRule, linear_opponents

from .toy import Toy, Y, check, column, draw, jacobian, numbers, over

# -- update rules -----------------------------------------------------------------------------------------------------


def vw(w, x):
    return 0.3 * np.sin(w) - 0.5 * x + 0.2 * w * x


def vx(w, x):
    return 0.4 * w - 0.1 * x**2 + 0.3 * np.cos(x)


def stepped(rule, memory):
    def values(rng):
        w, x, w_old, x_old, delta = rng.normal(size=5)
        state = (w, x, *{"": (), "velocities": (vw(w_old, x_old), vx(w_old, x_old)), "increment": (delta,)}[memory])
        out = rule.step(state, vw, vx)
        return {
            "w": w,
            "x": x,
            "w_-": w_old,
            "x_-": x_old,
            r"\delta": delta,
            r"\beta": 0.4,
            "w_+": out[0],
            "x_+": out[1],
            r"\delta_+": out[2] if len(out) == 3 else 0.0,
            "v_w": vw,
            "v_x": vx,
        }

    return values


check("simultaneous")(stepped(UpdateRule("simultaneous"), ""))
check("alternating")(stepped(UpdateRule("alternating"), ""))
check("extragradient")(stepped(UpdateRule("extragradient"), ""))
check("optimistic")(stepped(UpdateRule("optimistic"), "velocities"))
check("heavy-ball")(stepped(UpdateRule("simultaneous", momentum_discriminator=0.4), "increment"))


@check("critic-steps")
def _(rng):
    v, n = draw(rng, "a", r"\omega"), 4
    step = np.linalg.matrix_power(np.array([[1 - v["a"], -v[r"\omega"]], [0, 1]]), n)
    return v | {"n": n, "r": step[0, 0], "S_n": -step[0, 1] / v[r"\omega"], "ranges": over("j", n)}


def multiplier(name):
    def values(rng):
        s = complex(*rng.normal(size=2))
        found = np.linalg.eigvals(update_matrices(UpdateRule(name), s * np.eye(2)))
        return {"s": s, "z": found[rng.integers(len(found))], "tolerance": 1e-6}

    return values


check("extragradient-multiplier")(multiplier("extragradient"))
check("optimistic-multiplier")(multiplier("optimistic"))


@check("best-response")
def _(rng):
    v = draw(rng, "a", r"\omega") | {"z": float(rng.normal())}
    critic = np.linalg.matrix_power(np.array([[1 - v["a"], -v[r"\omega"]], [0, 1]]), 400)
    step = np.array([[1, 0], [v[r"\omega"], 1]]) @ critic
    flow = update_matrices(
        UpdateRule("best_response_flow", average_generator=1e-9),
        np.array([[-v["a"], -v[r"\omega"]], [v[r"\omega"], 0]]),
    )
    slow = flow[1, 2]  # what the particles answer to themselves, through the best response
    return v | {r"P_\infty": lambda z: np.linalg.det(z * np.eye(2) - step), "s": slow}


# -- averages ---------------------------------------------------------------------------------------------------------


def averaged_state(rng, **times):
    """(values, velocities) of a mode whose players are averaged."""
    v = draw(rng, "a", r"\omega", r"\tau_q", r"\tau_D")
    rule = UpdateRule("flow", **times(v) if callable(times) else times)

    def Vw(w, x):
        return -v["a"] * w - v[r"\omega"] * x

    return v, rule, linear_opponents(Vw, lambda u: -u / v["a"]), Vw, lambda w, x: v[r"\omega"] * w


@check("average-flow")
def _(rng):
    v, _, others, Vw, Vx = averaged_state(rng)
    rule = UpdateRule("flow", average_generator=v[r"\tau_q"], average_discriminator=v[r"\tau_D"])
    w, x, q, mean = rng.normal(size=4)
    out = rule.velocity((w, x, q, mean), Vw, Vx, others)
    return v | {"q": x, "D": w, r"\bar q": q, r"\bar D": mean, r"\dot{\bar q}": out[2], r"\dot{\bar D}": out[3]}


@check("average-dispersion")
def _(rng):
    v = draw(rng, "a", r"\omega", r"\tau_q", r"\tau_D")
    at = {Y.a: v["a"], Y.w2: v[r"\omega"] ** 2, remedies.tau_q: v[r"\tau_q"], remedies.tau_D: v[r"\tau_D"]}
    roots = np.roots([float(c.subs(at)) for c in remedies.averaged(True, True).all_coeffs()])
    return v | {"s": roots[rng.integers(4)]}


@check("slow-equation")
def _(rng):
    v, _, others, Vw, Vx = averaged_state(rng)
    w, x, mean, T = *rng.normal(size=3), float(rng.uniform(2, 5))
    rule = UpdateRule("flow", average_generator=UNIFORM)
    dw, dx, dmean, _ = rule.velocity((w, x, mean, T - 1), Vw, Vx, others)
    np.testing.assert_allclose(T * dmean + mean, x)  # R' = x
    return v | {"T": T, "R": T * mean, "R''": dx, "R'''": v[r"\omega"] * dw}


@check("slow-wave", "uniform-powers", "uniform-thresholds")
def _(rng):
    v = draw(rng, "a", r"\omega")
    at = {Y.a: v["a"], Y.w2: v[r"\omega"] ** 2}
    rule = UpdateRule("flow", average_generator=UNIFORM)
    D, N = play.slow_equation(rule)
    values = {play.p2: D.coeff(Y.s, 2), play.p3: D.coeff(Y.s, 3), play.n0: N.coeff(Y.s, 0), play.n1: N.coeff(Y.s, 1)}
    rate, power = (numbers(u.subs(values), at) for u in play.slow_wave())
    last, average = (numbers(u, at) for u in play.powers(rule))
    bounds = [np.sqrt(numbers(u, at)) for u in play.thresholds()]
    return v | {
        r"\varpi": rate,
        r"\vartheta": power,
        r"\vartheta_R'": last,
        r"\vartheta_R/T": average,
        r"\omega_R'": bounds[0],
        r"\omega_R/T": bounds[1],
    }


# -- three mechanisms -------------------------------------------------------------------------------------------------


def edge(rule):
    def values(rng):
        v = draw(rng, r"\eta_D", r"\eta_G", "b", "c", r"\nu")
        v[r"\nu"] *= 0.5

        def beyond(square):
            w = np.sqrt(v[r"\eta_D"] * v[r"\eta_G"] * v["b"] * v["c"] * square)
            block = np.array([[-v[r"\eta_D"] * v[r"\nu"], -w], [w, 0]])
            return np.abs(np.linalg.eigvals(update_matrices(UpdateRule(rule), block))).max() - 1

        return v | {r"\mu_\max": np.sqrt(brentq(lambda u: beyond(u) - 1e-9, 1e-6, 1e3, xtol=1e-13)), "tolerance": 1e-5}

    return values


check("threshold-simultaneous")(edge("simultaneous"))
check("threshold-alternating")(edge("alternating"))


@check("coupling-affine", "ratio-pencil")
def _(rng):
    toy, B = Toy(rng, on_data=True), rng.normal(size=(3, 3))

    def S(phi):
        return toy.v["Omega"] * toy.v["g1"] * toy.U @ (np.eye(5) + phi * (1 - np.eye(5))) @ toy.U.T

    phi = float(rng.uniform(0.2, 0.8))
    values, vectors = np.linalg.eigh(B.T @ S(phi) @ B)
    return {
        r"\phi": phi,
        "S": S(phi),
        "S_0": S(0),
        "S_1": S(1),
        "R_0": B.T @ S(0) @ B,
        "R_1": B.T @ S(1) @ B,
        "I": np.eye(3),
        r"\mu_c": np.sqrt(values[-1]),
        "q": vectors[:, -1:],
    }


@check("energy")
def _(rng):
    v, C, A = draw(rng, r"\eta_D", r"\eta_G", "b", "c"), rng.normal(size=(3, 4)), rng.normal(size=(4, 4))
    A, w, theta = A @ A.T, rng.normal(size=4), rng.normal(size=3)
    dw, dtheta = -v[r"\eta_D"] * (A @ w + v["c"] * C.T @ theta), v[r"\eta_G"] * v["b"] * C @ w

    def V(w, theta):
        return sum(w**2) / v[r"\eta_D"] / v["c"] + sum(theta**2) / v[r"\eta_G"] / v["b"]

    slope = jacobian(lambda t: V(w + t[0] * dw, theta + t[0] * dtheta), np.zeros(1))[0]
    return v | {"w": column(w), r"\theta": column(theta), "A": A, "V": V(w, theta), r"\dot V": slope}


@check("collapsed-flow", "transverse-flow", "transverse-hessian")
def _(rng):
    toy = Toy(rng)
    toy.m = np.full(5, 1 / 5)
    x0 = rng.normal(size=2)
    u = rng.normal(size=(5, 2))
    u -= u.mean(0)

    def velocity(t):
        return toy.v["eta_G"] * toy.v["Omega"] * toy.Gamma @ toy.force_x(toy.w, x0 + t[0] * u)

    def hessian(x):
        return jacobian(lambda z: toy.loss.dh(toy.D(toy.w, z)) * (toy.w @ toy.dpsi(z)), np.ravel(x))

    own = toy.v["Omega"] / 5 * np.linalg.eigvalsh(toy.Gamma)
    return toy.values() | {
        r"\dot x_0": column(velocity([0.0])[1]),
        r"\dot u_i": column(jacobian(velocity, np.zeros(1))[2, :, 0]),
        "u_i": column(u[2]),
        "x_0": column(x0),
        "x": column(x0),
        r"\Gamma_c": own[-1],
        r"\Gamma_r": own[0],
        r"\nabla^2[h(D)]": hessian,
    }


@check("macro-particles")
def _(rng):
    """The two eigenvalues of the macro-particles' kernel are asked for, and its entries found from them."""
    toy, n = Toy(rng), 3
    own = toy.v["Omega"] / 5 * np.linalg.eigvalsh(toy.Gamma)
    g1, g2 = np.linalg.solve([[1, -1], [1, n - 1]], [own[0], own[-1]])
    return {r"\Gamma_c": own[-1], r"\Gamma_r": own[0], "n": n, "g'_1": g1, "g'_2": g2}


@check("leap-stages", "leap")
def _(rng):
    """Of a map that is linear with a nilpotent part: four stages are exact for it, whatever k."""
    A, k = np.triu(rng.normal(size=(5, 5)), 1), 9
    z = rng.normal(size=(1, 5))
    stages = []

    def increment(state):
        stages.append(state[0])
        return (state[0] @ A,)

    several(increment, (z,), k)
    out = {f"y_{j}": column(y) for j, y in enumerate(stages, 1)}
    out |= {f"G_{j}": column(y @ A) for j, y in enumerate(stages, 1)}
    return out | {"k": k, "z_0": column(z), "z_k": column(z @ np.linalg.matrix_power(np.eye(5) + A, k))}


@check("splitting-pattern", "splitting-secant")
def _(rng):
    toy = Toy(rng)
    A, B = toy.y[:2]
    pA, pB = toy.p[:2]
    centre = (pA * A + pB * B) / (pA + pB)
    h = np.linalg.norm(A - centre) * pA  # where the pattern on A has length 1/p_A
    delta = np.stack([(A - centre) / h, (B - centre) / h, np.zeros(2)])
    Y_ = (pA * (toy.psi(A) - toy.psi(centre)) + pB * (toy.psi(B) - toy.psi(centre))) / h
    return toy.values() | {
        r"\Delta": np.linalg.norm(A - B),
        "n": column((A - B) / np.linalg.norm(A - B)),
        "p_A": pA,
        "p_B": pB,
        "h_s": h,
        "Y": column(Y_),
        r"\delta_A": column(delta[0]),
        r"\delta_B": column(delta[1]),
        r"\delta": delta[:, :, None],
    }


@check("splitting-oscillator", "splitting-damping", draws=1)
def _(rng):
    ring = {
        "target": {"kind": "ring", "modes": 2, "radius": 0.6},
        "generator": {"particles": 4, "learning_rate": 0.2},
        "discriminator": {"kernel": "gaussian", "length_scale": 0.9, "features": 0, "learning_rate": 0.3},
        "loss": {"kind": "logistic"},
        "penalty": {"r1": 0.2, "weight_decay": 0.1, "multiplier": 0.1, "alpha": 0.7},
        "update": {"rule": "flow"},
    }
    exp = Experiment(**ring)
    found, y = splitting(exp), exp.points.coordinates
    # features that span the kernel and its gradients at the points and at their centre
    x, z = sp.symbols("x:2"), sp.symbols("z:2")
    K = sp.exp(-sum((a - b) ** 2 for a, b in zip(x, z, strict=True)) / (2 * sp.Float(0.9) ** 2))
    operators = [(p, i) for p in (y[0], y[1], y.mean(0)) for i in (None, 0, 1)]

    def entry(one, two):
        out = K if one[1] is None else sp.diff(K, x[one[1]])
        out = out if two[1] is None else sp.diff(out, z[two[1]])
        return float(out.subs(dict(zip((*x, *z), (*one[0], *two[0]), strict=True))))

    rows = np.linalg.cholesky(np.array([[entry(a, b) for b in operators] for a in operators]))
    psi, slope = rows[[0, 3]], [rows[[1, 2]].T, rows[[4, 5]].T]
    h = 0.6 * 0.5
    Y_ = (0.5 * (psi[0] - rows[6]) + 0.5 * (psi[1] - rows[6])) / h
    kernel, loss = exp.generator.kernel, exp.loss_object
    direction = (y[0] - y[1]) / np.linalg.norm(y[0] - y[1])
    return {
        r"\omega": found.frequency,
        "a": found.damping,
        "Y": column(Y_),
        r"\eta_D": 0.3,
        r"\eta_G": 0.2,
        "b": loss.b,
        "c": loss.c,
        r"\kappa": loss.kappa,
        "v": 0.14,
        r"\nu": 0.1,
        r"\lambda": 0.4,
        "p": np.array([0.5, 0.5]),
        "y": np.array([0, 1]),
        r"\psi": lambda i: column(psi[i]),
        r"\nabla\psi": lambda i: slope[i],
        r"\delta": np.stack([2 * direction, -2 * direction])[:, :, None],
        "tolerance": 1e-6,
        "s": 4 * (kernel.g1 - kernel.g2) * np.array([2, 2]) / 16,
        "ranges": over(r"\ell", 2),
        "Q": sum(0.25 * 4 / (4 * (kernel.g1 - kernel.g2) * 2 / 16) for _ in range(2)),
    }


# -- learning times ---------------------------------------------------------------------------------------------------


def acting(a, w, end):
    block = np.array([[-a, -w], [w, 0]])
    return brentq(lambda t: expm(block * t)[1, 1] - np.exp(-1), 0, end, xtol=1e-13)


@check("acting-undamped")
def _(rng):
    v = draw(rng, r"\omega")
    return v | {"t_0": acting(0.0, v[r"\omega"], np.pi / 2 / v[r"\omega"])}


@check("acting-overdamped")
def _(rng):
    v = draw(rng, r"\omega") | {"a": 3e3}
    return v | {r"t_\infty": acting(v["a"], v[r"\omega"], 2 * v["a"] / v[r"\omega"] ** 2), "tolerance": 1e-4}


@check("gaussian-spectrum")
def _(rng):
    v = draw(rng, "k", "l") | {"d": int(rng.integers(1, 4))}
    return v | {"K_k": float(Gaussian(length_scale=v["l"]).spectral_density(v["k"], v["d"]))}
