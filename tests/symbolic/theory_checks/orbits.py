"""Orbits away from the thresholds: a map and a flow of the plane whose circles are found by running them."""

from __future__ import annotations

import numpy as np

from egan_theory.nonlinear.circle import Orbit
from egan_theory.nonlinear.continuation import Scales, Walk
from egan_theory.nonlinear.orbits import Equations

from .toy import check, column

MU, TURN, TWIST = 0.2, 0.5, 0.3


def step(x, y, mu=MU):
    """One step of the map c -> exp(i TURN) c (1 + mu - (1 - i TWIST) |c|^2)."""
    square = x * x + y * y
    re, im = 1 + mu - square, TWIST * square
    a, b = x * re - y * im, x * im + y * re
    return np.array([np.cos(TURN) * a - np.sin(TURN) * b, np.sin(TURN) * a + np.cos(TURN) * b])


def derivative(z):
    """By complex steps."""
    x, y = np.ravel(z)
    return np.stack([step(x + 1e-30j, y).imag, step(x, y + 1e-30j).imag], axis=1) / 1e-30


def settled():
    """(radius, angle per step) of the circle that runs of the map end on."""
    z = np.array([0.3, 0.1])
    for _ in range(500):
        z = step(*z)
    ahead = step(*z)
    turned = np.arctan2(z[0] * ahead[1] - z[1] * ahead[0], z @ ahead)
    return float(np.hypot(*z)), float(turned)


def on_circle(r):
    return lambda phi: column([r * np.cos(phi), r * np.sin(phi)])


@check("invariant-circle")
def _(rng):
    """The flow is one whose runs end on the same circle."""
    r, theta = settled()
    omega = float(rng.uniform(0.5, 2))

    def V(z):
        x, y = np.ravel(z)
        pull = r**2 - x * x - y * y
        return column([pull * x - omega * y, pull * y + omega * x])

    def slope(phi):
        return (on_circle(r)(phi + 1e-6) - on_circle(r)(phi - 1e-6)) / 2e-6

    return {
        "F": lambda z: column(step(*np.ravel(z))), "z": on_circle(r), "z'": slope, "V": V, r"\omega": omega,
        r"\theta": theta, r"\phi": float(rng.uniform(0, 6)), "tolerance": 1e-7,
    }  # fmt: skip


class Stepped:
    """The map as orbits' equations take it."""

    size, continuous = 2, False

    def __init__(self, mu):
        self.mu = mu

    def advance(self, z):
        return step(z[:, 0], z[:, 1], self.mu).T

    def products(self, z, v):
        moved = z + 1e-30j * v
        return step(moved[:, 0], moved[:, 1], self.mu).T.imag / 1e-30


@check("pseudo-arclength")
def _(rng):
    """Two neighbouring orbits that the package's continuation finds, the direction by the difference of two more."""
    m, weights = 9, rng.uniform(0.5, 1.5, 2)
    phi = 2 * np.pi * np.arange(m) / m
    wave = np.stack([np.cos(phi), np.sin(phi)], axis=-1)
    scales = Scales(weights, 1.0, 1.0)
    walk = Walk(
        Equations(Stepped, 1.0), scales, Orbit(np.zeros((m, 2)), TURN, 0.0), (wave, 0.0, 0.0), first=0.05, largest=0.1,
        bounds=(-0.1, 0.5),
    )  # fmt: skip
    points = list(walk)
    here, ahead = points[4], points[5]
    dz, _, dmu = here.direction
    return {
        "u": column(dz.ravel()), "z": column(ahead.orbit.points.ravel()), "z_0": column(here.orbit.points.ravel()),
        "m": dmu, r"\mu": ahead.orbit.value, r"\mu_0": here.orbit.value,
        "s": ahead.arclength - here.arclength, "W": np.diag(np.tile(weights, m)) / m, "tolerance": 1e-8,
    }  # fmt: skip


@check("floquet")
def _(rng):
    """The multiplier from what is left of a deviation after many turns of the map."""
    r, theta = settled()
    back = np.array([[np.cos(theta), np.sin(theta)], [-np.sin(theta), np.cos(theta)]])
    values, vectors = np.linalg.eig(back @ derivative([r, 0.0]))
    i = int(np.argmin(np.abs(values)))
    v = vectors[:, i].real
    z, small = np.array([r, 0.0]), 1e-7
    away, steps = z * (1 + small), 8
    for _ in range(steps):
        away = step(*away)
    shrunk = (np.hypot(*away) / r - 1) / small

    def turned(phi):
        c, s = np.cos(phi), np.sin(phi)
        return column([c * v[0] - s * v[1], s * v[0] + c * v[1]])

    return {
        "F'": derivative, "z": on_circle(r), "v": turned, r"\Lambda": float(values[i].real), r"\theta": theta,
        r"\phi": float(rng.uniform(0, 6)), r"\pi": np.pi, "M": shrunk ** (2 * np.pi / theta / steps), "tolerance": 1e-5,
    }  # fmt: skip
