"""The periodic box and the modes that stand for a stationary kernel between two corners, with their error.

With the modes |n_a| <= m_a of a box of sides L, K is replaced by (1/V) sum_n K_k cos k.r. By Poisson's summation
formula that differs from K(r) by its images and by the modes left out,

    sum_(n != 0) K(r + n L) - (1/V) sum_(n left out) K_k cos k.r.

Images: in the domain |r_a| <= W_a, so image n is at least at distance |(|n_a| L_a - W_a)_(n_a != 0)|, and each
derivative is bounded by the largest value that it takes from there on. Modes: K_k >= 0, so the largest errors of K and
of d_a d_b K are the sums of K_k and k^2 K_k left out; these are what is missing at r = 0 of K(0) and -laplace K(0), so
no tail is summed. The gradient's is below the geometric mean of the two (Cauchy-Schwarz).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..experiment import Experiment
from ..experiment.targets import Uniform
from ..kernels import Kernel
from ..kernels.wide.universality import output_covariance
from .base import Array
from .fourier import box_modes
from .grid import FourierGrid, grid_wavevectors
from .noise import noise_nodes
from .weighted import TRANSFORM_SHARE

#: more modes than this are refused
MAX_MODES = 2_000_000
#: gaps to the images that are tried, in length scales
LARGEST_GAP = 1e4
#: shells of images that are summed
SHELLS = 400


class LeftBox(InputError):
    """A particle is outside the domain in which the modes stand for the kernel."""

    def __init__(self) -> None:
        super().__init__(
            "discriminator.evaluation",
            "be 'direct' here (no wider Fourier box)",
            "a particle that left the Fourier box",
        )


@dataclass(frozen=True)
class BoxError:
    """Bounds on |K_modes - K| and on its first and mixed second derivatives, each relative to K(0), sqrt(K(0) m) and
    m = d_x d_y K(0): largest over separations in the domain. ``transform``: the transforms' own."""

    value: float
    gradient: float
    mixed: float
    transform: float

    @property
    def largest(self) -> float:
        return max(self.value, self.gradient, self.mixed) + self.transform


@dataclass(frozen=True)
class Box:
    """Sides (d,) and numbers m_a (d,) of a box, the domain's corners (2, d), and the error there."""

    length: Array
    count: Array
    domain: Array
    error: BoxError

    @property
    def modes(self) -> int:
        return int(np.prod(2 * self.count + 1))


def choose_box(kernel: Kernel, domain: Array, tolerance: float) -> Box:
    """The smallest box whose error bounds are at most ``tolerance``, half of it for images and half for modes.

    ``domain`` (2, d): low and high corner. Raises InputError for kernels without d_x d_y K at coincident points, tails
    too long for images, spectra too long for MAX_MODES.
    """
    if kernel.kind != "stationary" or not kernel.differentiable:
        raise InputError(
            "discriminator.evaluation",
            "be 'direct' unless the kernel is stationary with a second derivative at coincident points",
            repr(kernel.name),
        )
    W = domain[1] - domain[0]
    d = len(W)
    scales = kernel_scales(kernel)
    share = 0.5 * (1 - TRANSFORM_SHARE) * tolerance
    images = _Images(kernel)
    unit = images.unit
    low, high = 0.0, unit
    while (images.bound(W + high, W) / scales).max() > share:
        low, high = high, 2 * high
        if high > LARGEST_GAP * unit:
            raise InputError(
                "discriminator.tolerance",
                "be larger (the kernel decays too slowly for a periodic box); or give evaluation = 'direct'",
                tolerance,
            )
    for _ in range(12):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if (images.bound(W + middle, W) / scales).max() <= share else (middle, high)
    L = W + high
    at_images = images.bound(L, W)
    # what the images add at r = 0, on the left of Poisson's formula
    at_zero = images.bound(L, np.zeros(d))

    def tails(count: Array) -> Array:
        k2, density = _spectrum(kernel, L, count)
        inside = np.array([density[0] + 2 * density[1:].sum(), 2 * (k2 * density[1:]).sum()]) / np.prod(L)
        value = max(scales[0] + at_zero[0] - inside[0], 0.0)
        mixed = max(d * (scales[2] + at_zero[2]) - inside[1], 0.0)
        return np.array([value, np.sqrt(value * mixed), mixed])

    def count_at(k: float) -> Array:
        return np.maximum(np.ceil(k * L / (2 * np.pi)).astype(int), 1)

    small, large = 0.0, 2 / unit
    reached = np.inf
    while True:
        modes = np.prod(2.0 * count_at(large) + 1)
        if modes > MAX_MODES:
            raise InputError(
                "discriminator.tolerance",
                f"be larger (more than {MAX_MODES} modes are needed in a box of side {L.max():.3g}; half of them leave "
                f"an error near {reached:.1e}); or give a smoother kernel or evaluation = 'direct'",
                tolerance,
            )
        reached = float((tails(count_at(large)) / scales).max())
        if reached <= share:
            break
        small, large = large, 1.4 * large
    while np.any(count_at(large) - count_at(small) > 1):
        middle = 0.5 * (small + large)
        small, large = (small, middle) if (tails(count_at(middle)) / scales).max() <= share else (middle, large)
    count = count_at(large)
    error = (tails(count) + at_images) / scales
    return Box(
        L, count, domain, BoxError(float(error[0]), float(error[1]), float(error[2]), TRANSFORM_SHARE * tolerance)
    )


def grid_features(kernel: Kernel, box: Box, tolerance: float) -> FourierGrid:
    """The kernel's modes sqrt(2 K_k / V) on the box."""
    density = _spectrum(kernel, box.length, box.count)[1]
    V = float(np.prod(box.length))
    attrs = {
        "fourier_modes": box.modes,
        "fourier_box": np.atleast_1d(box.length),
        "fourier_domain": box.domain.ravel(),
        "fourier_error_value": box.error.value,
        "fourier_error_gradient": box.error.gradient,
        "fourier_error_mixed": box.error.mixed,
        "fourier_error_transform": box.error.transform,
    }
    amplitude = np.sqrt(2 * density[1:] / V)
    return FourierGrid(box.length, box.count, amplitude, float(np.sqrt(density[0] / V)), tolerance, box.domain, attrs)


def experiment_grid(exp: Experiment, widenings: int = 0) -> FourierGrid:
    """The Fourier modes of an experiment's kernel; ``widenings`` doubles the domain so many times."""
    disc = exp.discriminator
    if isinstance(exp.target, Uniform):
        dense = box_modes(disc.kernel_object, exp.target)
        d, m = exp.dimension, exp.target.side // 2
        attrs: dict[str, Any] = {
            "fourier_modes": dense.size,
            "fourier_error_transform": TRANSFORM_SHARE * disc.tolerance,
        }
        assert dense.constant is not None
        return FourierGrid(
            np.full(d, exp.target.length), np.full(d, m), dense.amplitude, dense.constant, disc.tolerance, None, attrs
        )
    box = choose_box(disc.kernel_object, experiment_domain(exp, widenings), disc.tolerance)
    return grid_features(disc.kernel_object, box, disc.tolerance)


def experiment_domain(exp: Experiment, widenings: int = 0) -> Array:
    """Corners (2, d) around the starts, and around the target with a length scale or a quarter of its extent to spare.

    Random starts are held to one standard deviation beyond the largest of as many normal draws, sqrt(2 ln n) of them.
    """
    Y, p, _ = exp.points
    low, high = Y.min(0), Y.max(0)
    room = max(exp.discriminator.length_scale, 0.25 * float((high - low).max()))
    if exp.run.start == "random":
        if exp.generator.architecture is not None:  # about the origin, wherever the target is
            mean, spread = np.zeros(Y.shape[1]), float(np.sqrt(output_covariance(exp.generator.architecture)[0]))
        else:
            mean = p @ Y
            spread = exp.run.spread or float(np.sqrt((p @ (Y - mean) ** 2).mean())) or 1.0
        reach = spread * (1 + np.sqrt(2 * np.log(2 * exp.run.runs * exp.generator.particles * exp.dimension)))
        low, high = np.minimum(low - room, mean - reach), np.maximum(high + room, mean + reach)
    else:
        low, high = low - room, high + room  # a kick beyond it widens the box
    middle = 0.5 * (low + high)
    half = 0.5 * (high - low) + np.abs(noise_nodes(exp.penalty.instance_noise, exp.dimension)[0]).max()
    return np.stack([middle - half * 2**widenings, middle + half * 2**widenings])


def kernel_scales(kernel: Kernel) -> Array:
    """[K(0), sqrt(K(0) m), m], m = d_x d_y K(0) = -2 k'(0): the sizes of K, its gradient and its mixed derivative."""
    k = kernel.derivatives(np.zeros(1), 1)
    K0, m = float(k[0][0]), float(-2 * k[1][0])
    return np.array([K0, np.sqrt(K0 * m), m])


def _spectrum(kernel: Kernel, L: Array, count: Array) -> tuple[Array, Array]:
    """(k^2 (F,), K_k (F + 1,) with K_0 in front)."""
    modulus = np.linalg.norm(grid_wavevectors(L, count), axis=-1)
    # equal moduli differ by rounding: each once, since a spectrum may cost a quadrature
    _, first, inverse = np.unique(np.round(modulus * L[0], 9), return_index=True, return_inverse=True)
    density = kernel.spectral_density(np.concatenate([[0.0], modulus[first]]), len(L))
    if not np.isfinite(density[0]):
        raise InputError("discriminator.alpha", "be > d/2 for evaluation = 'fourier' (K_0 is infinite)", "K_0 = inf")
    return modulus**2, np.concatenate([density[:1], density[1:][inverse]])


class _Images:
    """Envelopes of |K|, |grad K| and |d_a d_b K| in the distance, and their sums over the images of a box."""

    def __init__(self, kernel: Kernel) -> None:
        K0, _, m = kernel_scales(kernel)
        #: distance over which the kernel falls, from its curvature at 0
        self.unit = float(np.sqrt(K0 / m))
        self.r = self.unit * np.geomspace(1e-2, 1e8, 30_001)
        with np.errstate(all="ignore"):
            k, k1, k2 = (np.nan_to_num(v) for v in kernel.derivatives(self.r**2, 2))
        sizes = np.abs(np.stack([k, 2 * self.r * k1, 2 * np.abs(k1) + 4 * self.r**2 * np.abs(k2)]))
        self.envelope = np.maximum.accumulate(sizes[:, ::-1], axis=1)[:, ::-1]

    def at(self, distance: Array) -> Array:
        """(3, ...) upper bounds at this distance and beyond."""
        i = np.clip(np.searchsorted(self.r, distance, side="right") - 1, 0, len(self.r) - 1)
        return self.envelope[:, i]

    def bound(self, L: Array, W: Array) -> Array:
        """(3,) sums over all images of separations |r_a| <= W_a."""
        d = len(L)
        n = np.stack(np.meshgrid(*[np.arange(-1, 2)] * d, indexing="ij"), axis=-1).reshape(-1, d)
        n = n[np.any(n != 0, axis=1)]
        gap = np.where(n != 0, L - W, 0.0)
        total = self.at(np.linalg.norm(gap, axis=1)).sum(1)
        # further shells, every image at least as far as the shell's nearest face
        s = np.arange(2, SHELLS)
        number = (2.0 * s + 1) ** d - (2.0 * s - 1) ** d
        terms = number * self.at((s[:, None] * L - W).min(axis=1))
        # the sum's tail, if the terms fall at least as fast as s^-2
        return total + terms.sum(1) + SHELLS * terms[:, -1]
