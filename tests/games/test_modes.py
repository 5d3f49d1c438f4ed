"""One multiplier in words and numbers: kinds, shares, what averages leave, which learning rate ends an overshoot."""

import numpy as np
import pytest

from egan_theory.games.modes import KINDS, Mode, adjoint, averaged, carried, kind, rate_factor, root, shares

CASES = {
    -1.42 + 0.37j: "step too large",
    -1.2: "step too large",
    -1.02: "edge of stability",
    -0.97 + 0.05j: "edge of stability",
    -0.5: "decay",
    -0.5 + 0.2j: "rotation, damped",
    0.99 + 0.2j: "rotation, growing",
    0.9 + 0.2j: "rotation, damped",
    1.17: "drift",
    1.011 + 6.96e-5j: "drift",  # e-fold larger in 91 steps, a turn in 91,300
    1.1 + 0.09j: "drift",
    1.01 + 0.02j: "rotation, growing",
    1.0: "decay",
    0.3: "decay",
}


@pytest.mark.parametrize(("z", "name"), CASES.items())
def test_kinds(z, name):
    assert kind(complex(z)) == name and name in KINDS


@pytest.mark.parametrize(("z", "name"), {1.001 + 0.01j: "drift", 0.99 + 0.01j: "decay"}.items())
def test_a_turn_within_the_residual_is_none(z, name):
    assert kind(z, 0.02) == name and kind(z, 0.005).startswith("rotation")
    assert Mode(z, z, 1, 0.02, 0.5, 0.5, 0.0, False).kind == "not resolved"
    assert Mode(z, z, 1, 0.02, 0.5, 0.5, 0.0, False, condition=1e-3).kind == name


def test_numbers_of_a_mode():
    z = 0.98 * np.exp(0.1j)
    m = Mode(z, z, 1, 1e-6, 0.5, 0.5, 0.0, True)
    assert m.period == pytest.approx(2 * np.pi / 0.1) and m.modulus**m.growth == pytest.approx(np.e)
    s = np.log(z)
    assert m.damping_ratio == pytest.approx(-s.real / abs(s)) and m.pair and m.certain and m.mainly == "both"
    real = Mode(1.0 + 1e-7, 1.0 + 1e-7, 1, 1e-6, 0.9, 0.1, 0.0, False, condition=5.0)
    assert real.period == np.inf and not real.pair and not real.certain and real.mainly == "D"
    assert real.error == pytest.approx(5e-6)
    assert set(Mode.KEYS) >= {"re", "im", "kind", "residual"} and m.to_dict()["im"] == pytest.approx(z.imag)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_roots_of_a_product_of_steps(k):
    z = np.array([0.9 + 0.3j, 1.2 + 0j, -0.7 + 0j])
    w = root(z, k)
    assert np.allclose(w**k, z) and np.all(w.imag >= 0) and np.all(np.angle(w) <= np.pi / k + 1e-12)


def test_participation_does_not_depend_on_units_and_shares_do():
    rng = np.random.default_rng(0)
    A, parts = rng.standard_normal((6, 6)), {"psi": slice(0, 3), "theta": slice(3, 5), "m_theta": slice(5, 6)}
    found = []
    for scale in (np.ones(6), np.array([100.0, 100, 100, 1, 1, 7])):
        B = A * scale[:, None] / scale
        z, X = np.linalg.eig(B)
        j = int(np.argmax(z.real))
        u = np.linalg.inv(X)[j]
        found.append((carried(u, X[:, j], parts), shares(X[:, j], parts)))
    assert found[0][0] == pytest.approx(found[1][0]) and sum(found[0][0]) == pytest.approx(1)
    assert found[0][1][0] < found[1][1][0] and sum(found[0][1][:2]) == pytest.approx(1)
    x = np.array([3.0, 0, 0, 4, 0, 12])
    assert shares(x, parts) == pytest.approx((9 / 25, 16 / 25, 1 - 25 / 169))


def test_what_an_average_leaves_is_what_averaging_does():
    z, b = np.exp(0.07j), 0.95
    rotation, mean, means = 1.0 + 0j, 0.0, []
    for _ in range(2000):
        rotation *= z
        mean = b * mean + (1 - b) * rotation
        means.append(abs(mean))
    assert averaged(z, b) == pytest.approx(means[-1], rel=1e-9)
    assert averaged(1.0, b) == pytest.approx(1) and averaged(0.5 * z, b) == pytest.approx(averaged(z, b))


@pytest.mark.parametrize(("b", "h"), [(0.0, 2.7), (0.0, 3.0 + 0.4j), (0.9, 5.0), (0.5, 4.0)])
def test_the_factor_of_the_learning_rate_brings_the_mode_to_the_unit_circle(b, h):
    """Heavy ball on a curvature: w+ = w - f h w + b (w - w-), dense."""

    def largest(f):
        z = np.linalg.eigvals(np.array([[1 + b - f * h, -b], [1, 0]]))
        return z[np.argmax(np.abs(z))]

    f = rate_factor(complex(largest(1.0)), b)
    assert 0 < f < 1 and abs(largest(f)) == pytest.approx(1, abs=1e-6)
    assert abs(largest(0.98 * f)) < 1 < abs(largest(1.02 * f))
    assert rate_factor(0.9 + 0.1j, 0.0) is None


def test_adjoints_are_matched_one_to_one():
    z = np.array([0.9 + 0.1j, -1.2, 1.1])
    left = np.array([1.1 + 1e-9, 0.9 + 0.1j, 5.0])
    assert adjoint(z, left, np.zeros(3), np.zeros(3)).tolist() == [1, -1, 0]
    near = np.array([1.1, 1.1 + 1e-4])
    assert adjoint(near, np.array([1.1 + 3e-5]), np.zeros(2), np.zeros(1)).tolist() == [0, -1]
    assert adjoint(z, np.zeros(0, complex), np.zeros(3), np.zeros(0)).tolist() == [-1, -1, -1]
