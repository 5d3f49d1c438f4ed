"""What the linear theory says of the published runs: two constants, three classes.

Modes of the linearization, with a step of the discriminator counted as a unit of time:

    collective   z^2 - (2 - a) z + 1 - a + w^2 = 0,   a = tau lrD / T,   w^2 = gain (1 + (N-1) phi) a
    relative l   w_l^2 = gain (1 - phi) a beta_l / beta_c

T = 1000 steps, N = 100 particles. Both lines are oscillators with a gradient penalty: a_k = eta_D lam beta_k and
w_k^2 = eta_D eta_G b c g beta_k have the ratio gain g, gain = eta_G b c / lam, whatever the mode; g is the eigenvalue
of Gamma / g1. Fitted are tau (``time_scale``: damping of the collective mode over the training, per unit of lrD) and
``gain``. The stiffness ratios beta_l / beta_c come from the images: off their span, H of a dot-product kernel acts as
(N x N) x 1, and for a discriminator of random ReLU features (Cho and Saul, NeurIPS 2009, order 1)

    H_ij = 1 - angle(y_i, y_j)/pi,   beta_c = 1.H.1/N,   beta_l = eigenvalues of H between relative displacements.

Classes:

    runaway      the collective mode still has more than 0.3 data radii after T steps:
                 ln(|mean| / (0.3 R)) + T ln max|z| > 0
    memorised    undamped relative modes (they are: a_l << w_l), started from noise with D at rest, have learned the
                 share 1 - cos(w_l T) of their displacement, all of it from a quarter period on. Half of the images
                 lie within cosine 0.10 of their particle when s = mean_l (w_l T)^2 exceeds ``s_memorised``, and
                 the centroid has settled: the lesser of the two margins
    frozen       the relative modes have moved less than makes the participation ratio 54. They move in two ways: by
                 learning, s against ``s_frozen``; and carried along, unequally, by the force that moves the centroid
                 its distance |mean|: by |mean| (1 - phi)/(1 + (N-1) phi), against ``drift_frozen``:
                 s / s_frozen + (|mean| (1-phi) / (drift_frozen (1 + (N-1) phi)))^2 < 1

``s_memorised``, ``s_frozen`` and ``drift_frozen`` follow from the images and the start N(0, 0.5^2) alone
(``stiffness``); they are not fitted. Probabilities: a run's rate or amplitude scatters about the predicted one by a
logistic factor of width WIDTH in the logarithm: p = 1/(1 + exp(-margin/WIDTH)). WIDTH is a round number, not fitted;
the areas under the ROC curves move by less than 0.004 between widths 1/4 and 1.

What the theory explains: the memorised boundary at phi = 0 to a factor 1.4, flat where 1 + 99 phi is not;
the slow critics (lrD <= 2e-5) that leave centroids unsettled at every phi and clouds frozen beyond phi = 0.026
(measured 0.018, and not below); the collective instability at high phi, earlier for slower critics. What it does
not: the memorised boundary (1-phi)^-2.9, here (1-phi)^-1; which single cells run away; how far.

Not checked, or known to be wrong: the runs began far from equilibrium; the class frozen takes the force on a particle
to differ from the mean force by as much as that itself; no damping of relative modes, no noise, no limit on the critic.
The classes were chosen with half of the published runs in view: cross-validation within that half tests the
constants, only the other half tests the form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

CLASSES = ("memorised", "frozen", "runaway")
"""Names of the three classes of published runs.

Units:
    Words; their definitions are in the module's docstring.

Source:
    Order parameters of arXiv:2212.04580; the classes are this package's.
"""
#: definitions of the classes
COVERED, COSINE, FROZEN_RATIO, RUNAWAY_RADII = 0.5, 0.10, 54.0, 0.3
#: width of the logistic scatter in ln(rate) or ln(amplitude); a round number, not fitted
WIDTH = 0.5
#: values of (w T)^2 searched for the boundary of a class
SEARCHED = np.geomspace(1e-3, 30, 200)
#: of the published runs
STEPS, NOISE = 1000.0, 0.5


@dataclass(frozen=True)
class Stiffness:
    """What the theory needs to know of the target images, all from the images and the start (``stiffness``).

    Attributes:
        particles: [1] N, one per image.
        relative_over_collective: [1] mean_l beta_l / beta_c.
        mean_over_radius: [1] |mean image| / R, R the images' rms distance from their mean.
        s_memorised: [1] mean (w_l T)^2 at the boundary of the class.
        s_frozen: [1] mean (w_l T)^2 at the boundary of the class.
        drift_over_frozen: [1] |mean| / (rms displacement along one direction that lowers the participation ratio of the
            start to 54).

    Source:
        Data of arXiv:2212.04580; kernel of ReLU features: Cho and Saul 2009.
    """

    particles: int
    relative_over_collective: float
    mean_over_radius: float
    s_memorised: float
    s_frozen: float
    drift_over_frozen: float

    def to_dict(self) -> dict[str, float]:
        """The fields by name [1]."""
        return asdict(self)


MNIST = Stiffness(
    particles=100,
    relative_over_collective=0.006611,
    mean_over_radius=0.673746,
    s_memorised=1.0839,
    s_frozen=0.1490,
    drift_over_frozen=3.6804,
)
"""Of the first 100 MNIST training images, as the published runs saw them: ``stiffness(images)``.

Units:
    Pure numbers.

Source:
    Computed from the images and the start of arXiv:2212.04580; not fitted.
"""


class _Images:
    """The relaxation of a white-noise cloud towards the images, mode by mode."""

    def __init__(self, images: np.ndarray, noise: float, seed: int) -> None:
        self.y = np.asarray(images, dtype=float)
        N, d = self.y.shape
        self.mean = self.y.mean(0)
        rng = np.random.default_rng(seed)
        n = noise * rng.standard_normal((N, d))
        self.noise = n - n.mean(0)
        self.along = rng.standard_normal((N,))

    @cached_property
    def unit(self) -> np.ndarray:
        return self.y / np.sqrt((self.y**2).sum(1, keepdims=True))

    @cached_property
    def modes(self) -> tuple[float, np.ndarray, np.ndarray]:
        """beta_c, beta_l (N-1,), and their particle-space vectors (N, N-1)."""
        N = len(self.y)
        H = 1 - np.arccos(np.clip(self.unit @ self.unit.T, -1, 1)) / np.pi
        np.fill_diagonal(H, 1.0)  # arccos(1 - eps) is 1e-8, not 0
        relative = np.linalg.svd(np.eye(N) - 1 / N)[0][:, : N - 1]  # a basis of the displacements of zero sum
        beta, vectors = np.linalg.eigh(relative.T @ H @ relative)
        return float(H.sum() / N), beta, relative @ vectors

    def cloud(self, s: float) -> np.ndarray:
        """Positions with the centroid settled and mean_l (w_l T)^2 = s."""
        _, beta, U = self.modes
        learned = 1 - np.cos(np.minimum(np.sqrt(s * beta / beta.mean()), np.pi / 2))
        signal, noise = U.T @ (self.y - self.mean), U.T @ self.noise
        return self.mean + U @ (learned[:, None] * signal + (1 - learned)[:, None] * noise)

    def covered(self, s: float) -> float:
        """1 - cos to the images' nearest particle, at the median image."""
        x = self.cloud(s)
        cosine = self.unit @ (x / np.sqrt((x**2).sum(1, keepdims=True))).T
        return float(np.quantile(1 - cosine.max(1), COVERED))

    def drifted(self, distance: float) -> np.ndarray:
        """The noise spread by ``distance`` (rms) along one direction."""
        u = self.along - self.along.mean()
        direction = self.mean / np.sqrt((self.mean**2).sum())
        return self.noise + distance * np.outer(u / np.sqrt((u**2).mean()), direction)


def _ratio(x: np.ndarray) -> float:
    x = x - x.mean(0)
    gram = x @ x.T
    return float(np.trace(gram) ** 2 / (gram**2).sum())


def stiffness(images: np.ndarray, noise: float = NOISE, seed: int = 0) -> Stiffness:
    """``Stiffness`` of images, one particle each, started from N(0, noise^2) drawn with ``seed``.

    Returns:
        Ratios of stiffness and boundaries; one that is never reached is inf (then drift_over_frozen is 0).

    Shapes:
        images (N, d).

    Units:
        Images and noise in normalised pixels; all results are pure numbers.

    Raises: nothing of its own.

    Source:
        Module docstring; kernel of ReLU features: Cho and Saul 2009, order 1.
    """
    model = _Images(images, noise, seed)
    beta_c, beta, _ = model.modes
    length = float(np.sqrt((model.mean**2).sum()))
    scale = float(np.sqrt((model.noise**2).sum(1).mean()))
    return Stiffness(
        particles=len(model.y),
        relative_over_collective=float(beta.mean() / beta_c),
        mean_over_radius=length / float(np.sqrt(((model.y - model.mean) ** 2).sum(1).mean())),
        s_memorised=_first(lambda s: model.covered(s) - COSINE, SEARCHED),
        s_frozen=_first(lambda s: _ratio(model.cloud(s)) - FROZEN_RATIO, SEARCHED),
        drift_over_frozen=length / _first(lambda r: _ratio(model.drifted(r)) - FROZEN_RATIO, scale * SEARCHED),
    )


def _first(f: Callable[[float], float], grid: np.ndarray) -> float:
    """The least value at which f falls to 0; inf if it does not on the grid, 0 if it starts there."""
    previous = None
    for value in grid.tolist():
        if f(value) <= 0:
            return 0.0 if previous is None else float(brentq(f, previous, value, xtol=1e-12, rtol=1e-9))
        previous = value
    return float("inf")


def log_margins(
    lrD: np.ndarray,
    phi: np.ndarray,
    time_scale: float,
    gain: float,
    images: Stiffness = MNIST,
    steps: float = STEPS,
) -> dict[str, np.ndarray]:
    """For each class how far inside it a run lies, in ln(rate) or ln(amplitude); 0 on the boundary.

    -inf where no time is long enough (memorised at phi = 1).

    Returns:
        One array per class of CLASSES.

    Shapes:
        lrD > 0 and phi in [0, 1] broadcast against each other; results have their common shape (...).

    Units:
        Margins are pure numbers, time_scale in 1/lrD, gain per step, steps of training.

    Raises: nothing of its own.

    Source:
        Module docstring; Eq. (50, map-simultaneous) for the growth per step.
    """
    lrD, phi = np.broadcast_arrays(np.asarray(lrD, dtype=float), np.asarray(phi, dtype=float))
    collective = 1 + (images.particles - 1) * phi
    a = time_scale * lrD / steps
    grown = steps * log_radius(a, gain * collective * a)
    with np.errstate(divide="ignore"):
        s = steps**2 * gain * (1 - phi) * a * images.relative_over_collective
        drift = images.drift_over_frozen * (1 - phi) / collective
        runaway = np.log(images.mean_over_radius / RUNAWAY_RADII) + grown
        return {
            "memorised": np.minimum(np.log(s / images.s_memorised), -runaway),
            "frozen": -np.log(s / images.s_frozen + drift**2),
            "runaway": runaway,
        }


def log_radius(a: np.ndarray, w2: np.ndarray) -> np.ndarray:
    """ln max|z| of z^2 - (2 - a) z + 1 - a + w2 = 0, simultaneous updates: the growth per step."""
    # the roots are half +- sqrt(square)
    half, square = 1 - a / 2, a**2 / 4 - w2
    root = np.sqrt(np.abs(square))
    with np.errstate(divide="ignore"):
        complex_pair = 0.5 * np.log1p(np.where(square < 0, w2 - a, 0.0))
        real_pair = np.log(np.abs(half) + np.where(square < 0, 0.0, root))
    return np.where(square < 0, complex_pair, real_pair)


def probabilities(margins: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """p of each class: the logistic scatter of width WIDTH."""
    return {name: expit(margin / WIDTH) for name, margin in margins.items()}
