"""Small polynomial maps and flows with known normal forms, as points of a map."""

import numpy as np

from egan_theory.nonlinear.point import Point


class Series:
    """A truncated power series in t: just enough arithmetic for polynomials."""

    def __init__(self, c):
        self.c = np.asarray(c)

    def __add__(self, other):
        other = other.c if isinstance(other, Series) else np.eye(1, len(self.c))[0] * other
        return Series(self.c + other)

    def __mul__(self, other):
        return Series(np.convolve(self.c, other.c)[: len(self.c)] if isinstance(other, Series) else self.c * other)

    def __sub__(self, other):
        return self + other * -1

    def __rsub__(self, other):
        return self * -1 + other

    __radd__, __rmul__ = __add__, __mul__

    def conj(self):
        return Series(self.c.conj())

    @property
    def real(self):
        return Series(self.c.real)

    @property
    def imag(self):
        return Series(self.c.imag)


def point(f, rest, continuous=False):
    """f: a function of n Series that gives n of them. The displacement of one particle is the whole state."""
    rest = np.asarray(rest, dtype=float)
    n = len(rest)

    def curve(coefficients):
        K, k, _ = coefficients.shape
        out = np.zeros((K, k, n))
        for i in range(k):
            series = [Series([rest[a], *coefficients[:, i, a]]) for a in range(n)]
            out[:, i] = np.stack([s.c[1:] for s in f(*series)], axis=-1)
        return out

    return Point(n, curve, lambda v: v[..., None, :], np.ones(1), continuous)


def of_complex(g, modes):
    """A function of Re z_1, Im z_1, Re z_2, ... from dz_l/dt = g(z)_l."""

    def f(*parts):
        z = [parts[2 * i] + parts[2 * i + 1] * 1j for i in range(modes)]
        return [part for value in g(*z) for part in (value.real, value.imag)]

    return f
