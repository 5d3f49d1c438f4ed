"""Normal forms of small maps and flows whose answers are known by hand or from books."""

import numpy as np
import pytest

from egan_theory.nonlinear.normal import normal_forms
from tests.nonlinear.textbook import of_complex, point


def cubic_plane(lin, rng):
    """A random planar map of third order and its partial derivatives at 0 by the names fxx ... gyyy."""
    c2, c3 = rng.normal(size=(2, 3)), rng.normal(size=(2, 4))

    def f(x, y):
        return [
            l[0] * x + l[1] * y + a * x * x + b * x * y + c * y * y
            + d * x * x * x + e * x * x * y + g * x * y * y + h * y * y * y
            for l, (a, b, c), (d, e, g, h) in zip(lin, c2, c3, strict=True)
        ]  # fmt: skip

    partials = {}
    for i, name in enumerate("fg"):
        for key, value in zip(("xx", "xy", "yy"), c2[i] * [2, 1, 2], strict=True):
            partials[name + key] = value
        for key, value in zip(("xxx", "xxy", "xyy", "yyy"), c3[i] * [6, 2, 2, 6], strict=True):
            partials[name + key] = value
    return f, partials


def rotation(growth, theta):
    return growth * np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])


def radius_of(form):
    """r at unit distance of a circle: its mean square is r^2."""
    return form.rms_amplitude


@pytest.mark.parametrize("seed", range(4))
def test_hopf_of_a_plane(seed):
    """Guckenheimer and Holmes, Nonlinear Oscillations, Eq. (3.4.11): dr/dt = mu r + a r^3 in Jordan form."""
    omega, seed_rng = 0.7 + 0.3 * seed, np.random.default_rng(seed)
    _, D = cubic_plane(np.zeros((2, 2)), seed_rng)
    f = {k: v for k, v in D.items() if k[0] == "f"}
    g = {k: v for k, v in D.items() if k[0] == "g"}
    a = (f["fxxx"] + f["fxyy"] + g["gxxy"] + g["gyyy"]) / 16 + (
        f["fxy"] * (f["fxx"] + f["fyy"]) - g["gxy"] * (g["gxx"] + g["gyy"]) - f["fxx"] * g["gxx"] + f["fyy"] * g["gyy"]
    ) / (16 * omega)

    def at(mu):
        lin = np.array([[mu, -omega], [omega, mu]])
        return point(cubic_plane(lin, np.random.default_rng(seed))[0], [0, 0], continuous=True)

    (form,) = normal_forms(at, 0.0, 1j * omega, "above")
    assert form.bifurcation == "hopf" and form.criticality == ("supercritical" if a < 0 else "subcritical")
    assert form.side == ("above" if a < 0 else "below") and form.stable == (a < 0)
    assert form.rms_amplitude == pytest.approx(np.sqrt(1 / abs(a)), rel=1e-8)
    assert form.angle == pytest.approx(omega) and form.motion == "circles"


@pytest.mark.parametrize("seed", range(4))
def test_neimark_sacker_of_a_plane(seed):
    """Guckenheimer and Holmes, Eq. (3.5.2) and following: r -> |lambda| r + a r^3 (after Iooss; Wan 1978)."""
    theta = 0.4 + 0.25 * seed
    _, D = cubic_plane(np.zeros((2, 2)), np.random.default_rng(seed))
    z = np.exp(1j * theta)
    x20 = ((D["fxx"] - D["fyy"] + 2 * D["gxy"]) + 1j * (D["gxx"] - D["gyy"] - 2 * D["fxy"])) / 8
    x11 = ((D["fxx"] + D["fyy"]) + 1j * (D["gxx"] + D["gyy"])) / 4
    x02 = ((D["fxx"] - D["fyy"] - 2 * D["gxy"]) + 1j * (D["gxx"] - D["gyy"] + 2 * D["fxy"])) / 8
    x21 = (
        (D["fxxx"] + D["fxyy"] + D["gxxy"] + D["gyyy"]) + 1j * (D["gxxx"] + D["gxyy"] - D["fxxy"] - D["fyyy"])
    ) / 16  # fmt: skip
    a = -((1 - 2 * z) * z.conjugate() ** 2 / (1 - z) * x11 * x20).real - abs(x11) ** 2 / 2 - abs(x02) ** 2
    a += (z.conjugate() * x21).real

    def at(mu):
        return point(cubic_plane(rotation(1 - mu, theta), np.random.default_rng(seed))[0], [0, 0])

    (form,) = normal_forms(at, 0.0, z, "below")
    assert form.bifurcation == "neimark-sacker"
    assert form.criticality == ("supercritical" if a < 0 else "subcritical")
    assert form.side == ("below" if a < 0 else "above")
    assert form.rms_amplitude == pytest.approx(np.sqrt(1 / abs(a)), rel=1e-8)


def delayed_logistic(r):
    """x -> r x (1 - y), y -> x about its fixed point x = y = 1 - 1/r."""
    return point(lambda x, y: [r * x * (1 - y), x], [1 - 1 / r] * 2)


def test_delayed_logistic_map():
    """A supercritical Neimark-Sacker bifurcation at r = 2, where lambda is a sixth root of 1 (Kuznetsov, Elements of
    Applied Bifurcation Theory, ch. 4.7): radius and period of long iterations, with the next term of the series."""
    (form,) = normal_forms(delayed_logistic, 2.0, np.exp(1j * np.pi / 3), "above")
    assert form.criticality == "supercritical" and form.angle == pytest.approx(np.pi / 3)
    for delta in (1e-3, 2e-3):
        r = 2 + delta
        x, y = np.array([1 - 1 / r + 0.01]), np.array([1 - 1 / r])
        square, turns, count = 0.0, 0.0, 40_000
        last = None
        for step in range(60_000):
            x, y = r * x * (1 - y), x
            if step >= 60_000 - count:
                u, v = x[0] - 1 + 1 / r, y[0] - 1 + 1 / r
                square += (u * u + v * v) / count
                phase = np.arctan2(v - u / 2, u * np.sqrt(3) / 2)
                turns += 0.0 if last is None else (last - phase) % (2 * np.pi)
                last = phase
        predicted = form.rms_amplitude * np.sqrt(delta) * (1 + form.relative_correction * delta)
        assert np.sqrt(square) == pytest.approx(predicted, rel=1e-3)
        angle = min(turns / (count - 1), 2 * np.pi - turns / (count - 1))
        assert (angle - form.angle) / delta == pytest.approx(form.frequency_shift, rel=0.02)


def test_the_next_term_is_that_of_a_known_series():
    """dr/dt = r (mu - r^2 - e r^4): r^2 = mu - e mu^2 + ..., so that c = -e/2; and with the growth mu + f mu^2."""
    e, f = 1.7, -0.9

    def at(mu):
        def g(z):
            n = z * z.conj()
            return [z * (mu + f * mu**2 + 2j) - z * n - e * z * n * n]

        return point(of_complex(g, 1), [0, 0], continuous=True)

    (form,) = normal_forms(at, 0.0, 2j, "above")
    assert form.rms_amplitude == pytest.approx(1, rel=1e-8)
    assert form.relative_correction == pytest.approx((f - e) / 2, rel=1e-4)
    assert form.valid_to == pytest.approx(0.05 / (-(f - e) / 2), rel=1e-4)


def test_the_next_term_of_a_map_that_turns_faster_on_its_orbit():
    """z' = exp(i) z (1 + mu - n)(1 + i k n - k^2 n^2/2), n = |z|^2: the second factor turns alone (but for n^4), so
    that n = mu without any further term."""

    def at(mu):
        def g(z):
            n = z * z.conj()
            return [np.exp(1j) * z * (1 + mu - n) * (1 + 1.5j * n - 1.125 * n * n)]

        return point(of_complex(g, 1), [0, 0])

    (form,) = normal_forms(at, 0.0, np.exp(1j), "above")
    assert form.rms_amplitude == pytest.approx(1, rel=1e-8) and form.frequency_shift == pytest.approx(1.5, rel=1e-6)
    assert abs(form.relative_correction) < 1e-4


def test_real_directions_are_real_whatever_their_phase():
    """A flip among many slow directions: the growth beyond the threshold is that of the eigenvalue."""
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(6, 6))
    back = np.linalg.inv(turn)

    def at(mu):
        A = turn @ np.diag([-1 - 0.3 * mu, 0.9, 0.5, -0.4, 0.2, 0.7]) @ back

        def row(weights, x):
            return sum((x[j] * weights[j] for j in range(1, 6)), x[0] * weights[0])

        def f(*x):
            y = row(back[0], x)
            return [row(A[i], x) + y * y * y * (0.7 * turn[i, 0]) for i in range(6)]

        return point(f, np.zeros(6))

    (form,) = normal_forms(at, 0.0, -1.0, "above")
    assert form.stable and form.equations.simple()[0] == pytest.approx(0.3, rel=1e-6)
    assert form.rms_amplitude == pytest.approx(np.sqrt(0.3 / 0.7) * np.linalg.norm(turn[:, 0]), rel=1e-6)


def test_flip_of_the_logistic_map():
    """The orbit of period 2 has the points (r + 1 +- sqrt((r - 3)(r + 1)))/(2 r)."""
    (form,) = normal_forms(lambda r: point(lambda x: [r * x * (1 - x)], [1 - 1 / r]), 3.0, -1.0, "above")
    assert (form.bifurcation, form.criticality, form.side) == ("flip", "supercritical", "above")
    assert form.rms_amplitude == pytest.approx(1 / 3, rel=1e-8)

    def exact(delta):
        r = 3 + delta
        points = (r + 1 + np.array([1, -1]) * np.sqrt((r - 3) * (r + 1))) / (2 * r)
        return np.sqrt(np.mean((points - 1 + 1 / r) ** 2))

    ratio = exact(1e-3) / (np.sqrt(1e-3) / 3) - 1
    assert form.relative_correction * 1e-3 == pytest.approx(ratio, rel=0.01)


def test_transcritical_of_the_logistic_map():
    """0 loses stability at r = 1 to 1 - 1/r, which is r - 1 to first order."""
    (form,) = normal_forms(lambda r: point(lambda x: [r * x * (1 - x)], [0.0]), 1.0, 1.0, "above")
    assert form.bifurcation == "transcritical" and form.exponent == 1
    assert form.rms_amplitude == pytest.approx(1, rel=1e-8)


def test_pitchfork_through_a_slaved_direction():
    """x' = (1 + mu) x - x y, y' = y/2 + x^2: y = 2 x^2, so that x^2 = mu/2; with the sign turned on the other side."""
    for sign in (1, -1):
        (form,) = normal_forms(
            lambda mu, s=sign: point(lambda x, y: [(1 + mu) * x - s * x * y, y * 0.5 + x * x], [0, 0]),
            0.0,
            1.0,
            "above",
        )
        assert form.bifurcation == "pitchfork"
        assert form.criticality == ("supercritical" if sign > 0 else "subcritical")
        assert form.rms_amplitude == pytest.approx(np.sqrt(1 / 2), rel=1e-8)


def two_modes(A, B, C=0.0, growth=(1.0, 1.0), shift=0.0, flow=True):
    """dz1/dt = (mu + i) z1 + z1 (A |z1|^2 + B |z2|^2) + C conj(z1) z2^2 and the same with 1 and 2 exchanged."""

    def at(mu):
        rates = (growth[0] * mu, growth[1] * (mu - shift))

        def g(a, b):
            na, nb = a * a.conj(), b * b.conj()
            out = [
                a * (rates[0] + 1j) + a * (A * na + B * nb) + C * (a.conj() * b * b),
                b * (rates[1] + 1j) + b * (A * nb + B * na) + C * (b.conj() * a * a),
            ]
            return out if flow else [(z + 0.4 * (w - 1j * z)) * np.exp(0.4j) for z, w in zip((a, b), out, strict=True)]

        return point(of_complex(g, 2), [0] * 4, continuous=flow)

    return at


@pytest.mark.parametrize("flow", [True, False])
@pytest.mark.parametrize("A, B", [(-1 - 0.5j, -2 + 0.3j), (-2 - 0.5j, -1 + 0.3j)])
def test_symmetric_pair_of_a_circle(A, B, flow):
    """O(2): waves that turn, |z1|^2 = -mu/Re A, are stable where Re B < Re A < 0; standing ones, |z1| = |z2|,
    |z1|^2 = -mu/Re(A + B), where Re(A + B) < 0 and Re B > Re A (Golubitsky, Stewart, Schaeffer, ch. XVII)."""
    scale = 1 if flow else 0.4
    forms = normal_forms(two_modes(A, B, flow=flow), 0.0, 1j if flow else np.exp(0.4j), "above")
    turning, standing = np.sqrt(-1 / A.real), np.sqrt(-2 / (A + B).real)
    first = B.real < A.real
    assert [f.stable for f in forms] == [True, False] and all(f.modes == 2 for f in forms)
    assert [f.rms_amplitude for f in forms] == pytest.approx(
        [turning, standing] if first else [standing, turning], rel=1e-6
    )
    shifts = [-A.imag / A.real, -(A + B).imag / (A + B).real]
    assert [f.frequency_shift for f in forms] == pytest.approx(
        [scale * s for s in (shifts if first else shifts[::-1])], rel=1e-6
    )


def test_square_has_terms_that_a_circle_has_not():
    """D4 (Swift 1988): (z, 0): -mu/Re A; z1 = +-z2: -mu/Re(A + B + C); z1 = +-i z2: -mu/Re(A + B - C)."""
    A, B, C = -1 - 0.5j, -1.5 + 0.3j, 0.7 - 0.2j
    forms = normal_forms(two_modes(A, B, C), 0.0, 1j, "above")
    expected = {-1 / A.real: 1, -2 / (A + B + C).real: 1, -2 / (A + B - C).real: 1}
    found = [f.rms_amplitude**2 for f in forms]
    for value in expected:
        assert min(abs(np.array(found) / value - 1)) < 1e-6
    # of (z, 0): perturbations of z2 grow as 1 - Re B/Re A -+ |C|/|Re A| about, here decay
    assert forms[0].stable


def test_pair_that_is_nearly_symmetric():
    """The second mode crosses later: amplitudes from the amplitude equations with both growth rates."""
    A, B, shift = -1 - 0.5j, -2 + 0.3j, 0.001
    at = two_modes(A, B, shift=shift)
    base = lambda mu: at(mu - 0.1)  # noqa: E731  a threshold of 0.1 gives the scale
    forms = normal_forms(base, 0.1, 1j, "above")
    assert forms[0].modes == 2 and forms[0].at == pytest.approx(0.1 + 0.002)
    assert forms[0].valid_to > 0.2  # nothing of higher order is there
    within = normal_forms(base, 0.1, 1j, "above", ends=(0.05, 0.15))
    assert within[0].valid_to == 0.15 and forms[0].rms_amplitude == pytest.approx(within[0].rms_amplitude, rel=1e-4)
    for value in (0.102, 0.12):
        assert forms[0].amplitude(value) == pytest.approx(np.sqrt(value - 0.1), rel=1e-6)


@pytest.mark.parametrize("order", [3, 4])
def test_strong_resonances_are_refused(order):
    f, _ = cubic_plane(rotation(1.0, 2 * np.pi / order + 0.01), np.random.default_rng(0))
    (form,) = normal_forms(lambda mu: point(f, [0, 0]), 0.0, np.exp(1j * (2 * np.pi / order + 0.01)), "above")
    assert f"turn in {order} steps" in form.reason and form.criticality is None


def test_linear_map_is_refused():
    at = lambda mu: point(lambda x: [(mu - 1) * x], [0.0])  # noqa: E731
    (form,) = normal_forms(at, 0.0, -1.0, "below")
    assert "zero to rounding" in form.reason


def test_direction_that_nothing_damps():
    """w is pushed by |z|^2 and never comes back: no orbit; without the push it is left alone."""
    for push in (1.0, 0.0):
        at = lambda mu, push=push: point(  # noqa: E731
            lambda x, y, w: [
                (1 + mu) * (0.8 * x - 0.6 * y) - x * x * x, (1 + mu) * (0.6 * x + 0.8 * y) - y * y * y,
                w + push * (x * x + y * y),
            ],
            [0, 0, 0],
        )  # fmt: skip
        (form,) = normal_forms(at, 0.0, 0.8 + 0.6j, "above")
        assert ("nothing damps" in form.reason) == bool(push)
        assert (form.criticality == "supercritical") == (not push)
