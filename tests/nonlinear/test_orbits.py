"""Closed orbits, branches of them and their multipliers, on maps and flows whose orbits are known."""

from dataclasses import replace

import numpy as np
import pytest

from egan_theory.nonlinear import floquet as floquet_module
from egan_theory.nonlinear.circle import Orbit, resampled
from egan_theory.nonlinear.continuation import END_OF_RANGE, Scales, Walk, at_value
from egan_theory.nonlinear.floquet import along_orbit, floquet
from egan_theory.nonlinear.krylov import gmres
from egan_theory.nonlinear.orbits import Equations


class Planar:
    """A system in the plane from a complex function f(c, conj c) and its two derivatives, after a shear by which its
    circles become ellipses about a point off the origin."""

    size = 2
    shear, centre = np.array([[1.0, 0.6], [0.0, 0.8]]), np.array([0.3, -0.2])

    def __init__(self, function, derivatives, continuous=False):
        self.function, self.derivatives, self.continuous = function, derivatives, continuous

    def plain(self, z):
        u = (z - self.centre) @ np.linalg.inv(self.shear).T
        return u[..., 0] + 1j * u[..., 1]

    def sheared(self, c):
        return np.stack([c.real, c.imag], axis=-1) @ self.shear.T

    def advance(self, z):
        return self.sheared(self.function(self.plain(z))) + (0 if self.continuous else self.centre)

    def products(self, z, v):
        c, d = self.plain(z), self.plain(v + self.centre)
        a, b = self.derivatives(c)
        return self.sheared(a * d + b * d.conj())


def turning(mu, first=-1.0 + 0.3j, second=0.0, angle=0.7):
    """c -> e^(i angle) c (1 + mu + first r^2 + second r^4), r = |c|: circles where the modulus is 1."""
    turn = np.exp(1j * angle)

    def gain(r2):
        return 1 + mu + first * r2 + second * r2**2

    def slopes(c):
        r2 = abs(c) ** 2
        by_r2 = first + 2 * second * r2
        return turn * (gain(r2) + r2 * by_r2), turn * c**2 * by_r2

    return Planar(lambda c: turn * c * gain(abs(c) ** 2), slopes)


def stuart_landau(mu, omega=1.3, first=-1.0 + 0.4j):
    """c' = (mu + i omega) c + first |c|^2 c: r^2 = mu, angular velocity omega + Im(first) mu, exponent -2 mu."""
    return Planar(
        lambda c: (mu + 1j * omega) * c + first * abs(c) ** 2 * c,
        lambda c: (mu + 1j * omega + 2 * first * abs(c) ** 2, first * c**2),
        continuous=True,
    )


def branch(family, angle, bounds, wave, rest, *, continuous=False, largest=0.1, m=9, first=0.02, ended=None):
    """(equations, points, reason) of the branch that leaves ``rest`` at the parameter 0."""
    equations = Equations(family, bounds[1] - bounds[0])
    start = Orbit(np.broadcast_to(rest, (m, len(rest))).copy(), angle, 0.0, continuous)
    scales = Scales(np.ones(len(rest)), 1.0, bounds[1] - bounds[0])
    more = {} if ended is None else {"ended": ended}
    walk = Walk(equations, scales, start, (wave, 0.0, 0.0), first=first, largest=largest, bounds=bounds, **more)
    points = list(walk)
    return equations, points, walk.reason


def round_wave(m=9):
    phi = 2 * np.pi * np.arange(m) / m
    return np.stack([np.cos(phi), np.sin(phi)], axis=-1) @ Planar.shear.T


def radii(system, orbit):
    return abs(system.plain(orbit.points))


def test_circles_of_a_map_have_their_radius_and_angle():
    _, points, reason = branch(turning, 0.7, (-0.1, 0.3), round_wave(), Planar.centre)
    assert reason == END_OF_RANGE and points[-1].orbit.value == 0.3 and len(points) > 8
    for point in points:
        mu, r = point.orbit.value, radii(turning(0), point.orbit)
        r2 = r.mean() ** 2
        assert np.ptp(r) < 1e-9
        assert abs(1 + mu + (-1 + 0.3j) * r2) == pytest.approx(1, abs=2e-8)
        assert point.orbit.angle == pytest.approx(0.7 + np.angle(1 + mu + (-1 + 0.3j) * r2), abs=1e-9)
        assert point.orbit.period == pytest.approx(2 * np.pi / point.orbit.angle)


@pytest.mark.parametrize("whole", [480, 0])
def test_multipliers_of_a_circle(monkeypatch, whole):
    """d rho/dr of the radius' own map r -> rho(r); whole problem and reduced one."""
    monkeypatch.setattr(floquet_module, "WHOLE", whole)
    _, points, _ = branch(turning, 0.7, (-0.1, 0.3), round_wave(), Planar.centre)
    for point in points[2::4]:
        mu, r = point.orbit.value, radii(turning(0), point.orbit).mean()
        slope = np.imag(1e-20**-1 * _radius(mu, r + 1e-20j))
        found = floquet(turning(mu), point.orbit, 1)
        assert found.exponents[0] == pytest.approx(np.log(slope), abs=1e-8) and found.stable
        assert found.multipliers[0] == pytest.approx(slope ** (2 * np.pi / point.orbit.angle), rel=1e-6)


def _radius(mu, r):
    """|c| of the next step, analytic in r."""
    re, im = 1 + mu - r**2, 0.3 * r**2
    return r * np.sqrt(re**2 + im**2)


def test_a_flow_of_which_all_is_known():
    _, points, _ = branch(stuart_landau, 1.3, (-0.1, 0.5), round_wave(), Planar.centre, continuous=True)
    for point in points[1:]:
        mu = point.orbit.value
        assert radii(stuart_landau(0), point.orbit) == pytest.approx(np.sqrt(mu), abs=1e-7)
        assert point.orbit.angle == pytest.approx(1.3 + 0.4 * mu, abs=1e-8)
        found = floquet(stuart_landau(mu), point.orbit, 1)
        assert found.exponents[0] == pytest.approx(-2 * mu, abs=1e-7)
        assert found.multipliers[0] == pytest.approx(np.exp(-2 * mu * point.orbit.period), rel=1e-5)


def test_a_fold_is_passed_and_placed():
    """|c| gain 1 + mu + r^2 - r^4: subcritical, fold at r^2 = 1/2, mu = -1/4, stable beyond it until the
    radius overshoots."""

    def family(mu):
        return turning(mu, first=1.0, second=-1.0)

    _, points, _ = branch(family, 0.7, (-0.5, 0.3), round_wave(), Planar.centre)
    folds = [p.orbit for p in points if p.fold]
    assert len(folds) == 1
    assert folds[0].value == pytest.approx(-0.25, abs=1e-7)
    assert radii(family(0), folds[0]).mean() ** 2 == pytest.approx(0.5, abs=1e-3)
    for point in points:
        r2 = radii(family(0), point.orbit).mean() ** 2
        assert point.orbit.value == pytest.approx(r2**2 - r2, abs=1e-8)
        if not point.fold:
            slope = 1 + 2 * r2 - 4 * r2**2
            assert floquet(family(point.orbit.value), point.orbit, 1).stable == (abs(slope) < 1)
    assert [p.arclength for p in points] == sorted(p.arclength for p in points)


class DelayedLogistic:
    """(x, y) -> (a x (1 - y), x) with a = 2 + mu about (0, 0): Neimark-Sacker at a = 2, x = 1/2, angle pi/3."""

    size, continuous = 2, False

    def __init__(self, mu):
        self.a = 2 + mu

    def advance(self, z):
        return np.stack([self.a * z[..., 0] * (1 - z[..., 1]), z[..., 0]], axis=-1)

    def products(self, z, v):
        return np.stack([self.a * (v[..., 0] * (1 - z[..., 1]) - z[..., 0] * v[..., 1]), v[..., 0]], axis=-1)


def test_the_circle_of_the_delayed_logistic_map_is_its_attractor():
    m = 9
    q = np.array([np.exp(1j * np.pi / 3), 1.0]) / 2
    wave = 2 * (q * np.exp(2j * np.pi * np.arange(m) / m)[:, None]).real
    equations, points, _ = branch(
        DelayedLogistic, np.pi / 3, (-0.1, 0.12), wave, np.array([0.5, 0.5]), largest=0.15, first=0.005
    )
    near = min(points, key=lambda p: abs(p.orbit.value - 0.08))
    orbit = at_value(equations, near.orbit, 0.08)
    system, z = DelayedLogistic(0.08), np.array([0.6, 0.6])
    for _ in range(4000):
        z = system.advance(z)
    turned, phi = 0.0, np.angle((z[0] - z[1]) + 1j * (z[1] - orbit.centre[1]))
    curve = orbit.at(np.linspace(0, 2 * np.pi, 40_001))
    for _ in range(2000):
        z = system.advance(z)
        new = np.angle((z[0] - z[1]) + 1j * (z[1] - orbit.centre[1]))
        turned += (phi - new + np.pi) % (2 * np.pi) - np.pi
        phi = new
    assert np.abs(curve - z).max(axis=1).min() < 1e-4
    assert abs(turned) / 2000 == pytest.approx(orbit.angle, abs=2e-4)
    assert floquet(system, orbit, 1).stable


class Flip:
    """x -> -(1 + mu) x + x^3: the cycle +-x of two steps with x^2 = mu, multiplier over both (1 - 2 mu)^2."""

    size, continuous = 1, False

    def __init__(self, mu):
        self.mu = mu

    def advance(self, z):
        return -(1 + self.mu) * z + z**3

    def products(self, z, v):
        return (-(1 + self.mu) + 3 * z**2) * v


def test_a_cycle_of_two_steps():
    _, points, _ = branch(Flip, np.pi, (-0.1, 0.4), np.array([[1.0], [-1.0]]), np.zeros(1), m=2)
    for point in points:
        mu = point.orbit.value
        assert point.orbit.points[:, 0] == pytest.approx(np.array([1, -1]) * np.sqrt(mu), abs=1e-9)
        assert floquet(Flip(mu), point.orbit).multipliers[0] == pytest.approx((1 - 2 * mu) ** 2)


class Pitchfork:
    """x -> x + mu x - x^3 + x^5/2 (and y -> y/2): fixed points off 0, with a fold at x^2 = 1, mu = 1/2."""

    size, continuous = 2, False

    def __init__(self, mu):
        self.mu = mu

    def advance(self, z):
        x, y = z[..., 0], z[..., 1]
        return np.stack([x + self.mu * x - x**3 + x**5 / 2, y / 2], axis=-1)

    def products(self, z, v):
        x = z[..., 0]
        return np.stack([(1 + self.mu - 3 * x**2 + 2.5 * x**4) * v[..., 0], v[..., 1] / 2], axis=-1)


def test_fixed_points_and_their_fold():
    _, points, _ = branch(
        Pitchfork, 0.0, (-1.0, 1.0), np.array([[1.0, 0.0]]), np.zeros(2), m=1,
        ended=lambda orbit: "far" if orbit.points[0, 0] > 1.3 else None,
    )  # fmt: skip
    fold = next(p.orbit for p in points if p.fold)
    assert fold.value == pytest.approx(0.5, abs=1e-7) and fold.points[0, 0] == pytest.approx(1, abs=1e-3)
    for point in points:
        x, mu = point.orbit.points[0, 0], point.orbit.value
        assert mu == pytest.approx(x**2 - x**4 / 2, abs=1e-8)
        slope = 1 + mu - 3 * x**2 + 2.5 * x**4
        assert floquet(Pitchfork(mu), point.orbit).multipliers == pytest.approx(
            sorted([slope, 0.5], key=abs, reverse=True)
        )


def test_a_reversing_bundle_is_counted_once():
    """v -> scale * rotation by theta/2: after a turn every direction comes back with its sign changed."""
    theta, m = 2 * np.pi / 31.4159, 15
    phi = 2 * np.pi * np.arange(m) / m
    orbit = Orbit(np.stack([np.cos(phi), np.sin(phi)], axis=-1), theta, 0.0)
    half = np.array([[np.cos(theta / 2), -np.sin(theta / 2)], [np.sin(theta / 2), np.cos(theta / 2)]])
    ahead, here = (np.stack([np.cos(a), np.sin(a)], axis=-1) for a in ((phi + theta) / 2, phi / 2))
    across = np.stack([-here[:, 1], here[:, 0]], axis=-1)
    matrices = np.broadcast_to(0.9 * half, (m, 2, 2)) - 0.3 * np.einsum("ka,kb->kab", across @ half.T, across)
    assert np.allclose(np.einsum("kab,kb->ka", matrices, here), 0.9 * ahead)
    found = along_orbit(matrices, orbit, 2)
    assert found.exponents.real == pytest.approx([np.log(0.9), np.log(0.6)], abs=1e-9)
    assert found.multipliers == pytest.approx(-(np.array([0.9, 0.6]) ** orbit.period), rel=1e-6)


def test_gmres_solves_with_and_without_a_preconditioner():
    rng = np.random.default_rng(0)
    A, b = np.eye(40) * 4 + rng.standard_normal((40, 40)) * 0.3, rng.standard_normal(40)
    near = np.linalg.inv(A + 0.01 * rng.standard_normal((40, 40)))
    plain, steps, _ = gmres(lambda u: A @ u, b, lambda u: u, 1e-12, 40)
    helped, fewer, left = gmres(lambda u: A @ u, b, lambda u: near @ u, 1e-12, 40)
    assert np.allclose(A @ plain, b) and np.allclose(A @ helped, b) and fewer < steps and left <= 1e-12


def test_more_angles_are_the_same_function():
    rng = np.random.default_rng(1)
    orbit = Orbit(rng.standard_normal((7, 3)), 0.3, 0.0)
    assert resampled(resampled(orbit.points, 15), 7) == pytest.approx(orbit.points)
    assert orbit.at(2 * np.pi * np.arange(7) / 7) == pytest.approx(orbit.points)
    wide = replace(orbit, points=resampled(orbit.points, 101))
    assert orbit.resampled(101).points == pytest.approx(orbit.at(2 * np.pi * np.arange(101) / 101))
    assert wide.derivative[3] == pytest.approx(
        (orbit.at([2 * np.pi * 3 / 101 + 1e-6]) - orbit.at([2 * np.pi * 3 / 101 - 1e-6]))[0] / 2e-6, rel=1e-6
    )
