"""Taylor coefficients by another route: Cauchy's integral over a circle of complex points, by a Fourier transform."""

import numpy as np

NODES = 32


def circle(radius):
    return radius * np.exp(2j * np.pi * np.arange(NODES) / NODES)


def coefficients(function, order, radius):
    """(order + 1, ...): those of ``function(t)``, t complex, analytic for |t| <= radius, one call for each t."""
    values = np.stack([np.asarray(function(t)) for t in circle(radius)])
    return (
        np.fft.fft(values, axis=0)[: order + 1]
        / NODES
        / radius ** np.arange(order + 1).reshape(-1, *(1,) * (values.ndim - 1))
    )


def along(function, z, v, order, radius):
    """(order, n): those of t, ..., t^order of ``function(z + t v)``, all points of the circle in one batch."""
    values = function(z + circle(radius)[:, None] * v)
    return (np.fft.fft(values, axis=0) / NODES)[1 : order + 1] / radius ** np.arange(1, order + 1)[:, None]
