"""How checks are registered, and a small GAN whose forces are derivatives of its two objectives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from egan_theory.symbolic import (
    symbols,
)
from egan_theory.tables.losses import LOSSES

Y = symbols
Values = dict[str, Any]
CHECKS: dict[str, Callable[[np.random.Generator], list[Values]]] = {}
STEP = 1e-30


def check(*names: str, draws: int = 3) -> Callable[[Callable[[np.random.Generator], Values]], Any]:
    """Register what these equations must agree with."""

    def register(function: Callable[[np.random.Generator], Values]) -> Any:
        for name in names:
            assert name not in CHECKS
            CHECKS[name] = lambda rng: [function(rng) for _ in range(draws)]
        return function

    return register


def draw(rng: np.random.Generator, *names: str) -> Values:
    return {name: float(rng.uniform(0.3, 1.7)) for name in names}


def over(index: str, count: int) -> dict[str, Any]:
    return {index: [({index: n}, 1.0) for n in range(count)]}


def column(v: Any) -> np.ndarray:
    return np.asarray(v)[:, None]


def jacobian(function: Callable[[np.ndarray], Any], z: np.ndarray) -> np.ndarray:
    """d function / d z by complex steps, the index of z last."""
    return np.stack([np.asarray(function(z + 1j * STEP * e)).imag / STEP for e in np.eye(len(z))], -1)


def numbers(expression: Any, values: dict[Any, Any]) -> Any:
    """A SymPy expression or matrix in floats."""
    out = sp.sympify(expression).subs(values)
    return np.array(out.evalf().tolist(), dtype=float) if isinstance(out, sp.MatrixBase) else float(out)


def hermite(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return nodes, weights / weights.sum()


# -- a small GAN whose forces are derivatives of its two objectives ---------------------------------------------------


class Toy:
    """Features cos(k.x + shift), any loss, every penalty, unequal masses; particles beside the data or on it."""

    def __init__(
        self, rng: np.random.Generator, d: int = 2, loss: str = "non_saturating", on_data: bool = False
    ) -> None:
        self.N, self.M, self.P, self.d, self.loss = 5, 3, 6, d, LOSSES[loss]
        self.k, self.shift = rng.normal(size=(self.P, d)), rng.uniform(0, 6, self.P)
        self.y, self.m = rng.normal(size=(self.M, d)), rng.uniform(1, 2, self.N)
        self.m /= self.m.sum()
        self.at = np.array([0, 0, 1, 2, 2])
        self.U = np.where(self.at == np.arange(self.M)[:, None], self.m, 0.0)
        self.p = self.U.sum(1) if on_data else rng.dirichlet(np.ones(self.M))
        self.x = self.y[self.at] if on_data else rng.normal(size=(self.N, d))
        self.w = np.zeros(self.P) if on_data else rng.normal(size=self.P)
        self.D0 = self.loss.D0 if on_data else 0.3
        self.v = draw(rng, "lp", "lq", "vp", "vq", "nu", "eta_D", "eta_G", "g1", "Omega")
        self.v["g2"] = 0.4 * self.v["g1"]
        self.Gamma = self.v["g1"] * np.eye(self.N) + self.v["g2"] * (1 - np.eye(self.N))

    def psi(self, x: Any) -> Any:
        return np.cos(self.k @ x + self.shift)

    def dpsi(self, x: Any) -> Any:
        return -np.sin(self.k @ x + self.shift)[:, None] * self.k

    def ddpsi(self, x: Any) -> Any:
        return -np.cos(self.k @ x + self.shift)[:, None, None] * self.k[:, :, None] * self.k[:, None, :]

    def D(self, w: Any, x: Any) -> Any:
        return self.D0 + w @ self.psi(x)

    def objective(self, w: Any, x: Any) -> Any:
        """What the discriminator ascends, from the loss's own f1 and f2."""
        v, out = self.v, -self.v["nu"] / 2 * (w @ w)
        for name, weights, points, lam, value in (("f1", self.p, self.y, "lp", "vp"), ("f2", self.m, x, "lq", "vq")):
            f = sp.lambdify(sp.Symbol("D", real=True), self.loss.expressions[name], "numpy")
            for weight, z in zip(weights, points, strict=True):
                g = w @ self.dpsi(z)
                out = out + weight * (f(self.D(w, z)) - v[lam] / 2 * (g @ g) - v[value] / 2 * (w @ self.psi(z)) ** 2)
        return out

    def force_w(self, w: Any, x: Any) -> Any:
        """d objective/dw, written out so that it can be differentiated again."""
        v, out = self.v, -self.v["nu"] * w
        for df, weights, points, lam, value in (
            (self.loss.df1, self.p, self.y, "lp", "vp"),
            (self.loss.df2, self.m, x, "lq", "vq"),
        ):
            for weight, z in zip(weights, points, strict=True):
                charge = df(self.D(w, z)) - v[value] * (w @ self.psi(z))
                out = out + weight * (charge * self.psi(z) - v[lam] * self.dpsi(z) @ (w @ self.dpsi(z)))
        return out

    def force_x(self, w: Any, x: Any) -> Any:
        """(N, d): of every particle, mass times grad h(D)."""
        return np.stack([m * self.loss.dh(self.D(w, z)) * (w @ self.dpsi(z)) for m, z in zip(self.m, x, strict=True)])

    def velocity(self, z: Any) -> Any:
        """Of (w, x) flat, without learning rates."""
        w, x = z[: self.P], z[self.P :].reshape(self.N, self.d)
        return np.concatenate([self.force_w(w, x), (self.v["Omega"] * self.Gamma @ self.force_x(w, x)).ravel()])

    def values(self) -> Values:
        loss, v, w = self.loss, self.v, self.w

        def flat(x: Any) -> Any:
            return np.asarray(x).ravel()

        return {
            "D": lambda x: self.D(w, flat(x)),
            "f": lambda x: w @ self.psi(flat(x)),
            "D_*": self.D0,
            r"\psi": lambda x: column(self.psi(flat(x))),
            r"\nabla\psi": lambda x: self.dpsi(flat(x)),
            r"\nabla^2\psi": lambda x: self.ddpsi(flat(x)),
            r"\nablaD": lambda x: column(w @ self.dpsi(flat(x))),
            r"\nabla^2D": lambda x: np.einsum("p,pab->ab", w, self.ddpsi(flat(x))),
            "f'_1": loss.df1,
            "f'_2": loss.df2,
            "f''_1": loss.ddf1,
            "f''_2": loss.ddf2,
            "h'": loss.dh,
            "h''": loss.ddh,
            "w": column(w),
            "x": self.x[:, :, None],
            "y": self.y[:, :, None],
            "p": self.p,
            "m": self.m,
            "I": np.eye(6),
            r"\lambda_p": v["lp"],
            r"\lambda_q": v["lq"],
            "v_p": v["vp"],
            "v_q": v["vq"],
            r"\nu": v["nu"],
            r"\eta_D": v["eta_D"],
            r"\eta_G": v["eta_G"],
            r"\Omega": v["Omega"],
            "g_1": v["g1"],
            "g_2": v["g2"],
            r"\Gamma": self.Gamma,
            "c": loss.c,
            "b": loss.b,
            r"\kappa": loss.kappa,
            "N": self.N,
            "i": 2,
            r"\lambda": v["lp"] + v["lq"],
            "v": v["vp"] + v["vq"],
            "ranges": over("i", self.N)
            | over(r"\ell", self.M)
            | over("j", self.N)
            | {r"i\in\ell": lambda s: [({"i": n}, 1.0) for n in range(self.N) if self.at[n] == s[r"\ell"]]},
        }
