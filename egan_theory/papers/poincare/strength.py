"""The R1 strength that xi_1 implies: s^2 + eta_D gamma xi s + G xi = 0 over the spectrum of the weighted Laplacian.

G = eta_D eta_G b c omega (g1 - g2)/N for N equal particles. One mode alone is critical at gamma = 2 sqrt(G/xi)/eta_D;
over all modes from xi_1 to infinity the slowest decays fastest at gamma = sqrt(2 G/xi_1)/eta_D, at rate sqrt(G xi_1/2):
limits of the closed form for the best R1 strength (symbolic.damping.best_r1) at beta_max = beta_min and
beta_max -> infinity. With a smooth kernel the discriminator's own modes reach down to stiffness 0, and the slowest of
them is not xi_1's: there these strengths are no prediction of the best one on finite samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...base.errors import InputError
from ...experiment import Experiment


class ImpliedR1(NamedTuple):
    """Best R1 strengths, and the decay rates they give to the slowest mode.

    Attributes:
        single: [length^2] the strength at which one mode alone is critical.
        rate_single: [1/time] its decay rate.
        broad: [length^2] the best strength over all modes from xi to infinity.
        rate_broad: [1/time] decay rate of the slowest of them.

    Source:
        Eq. (24, best-r1-single), Eq. (25, best-r1-broad).
    """

    single: float
    rate_single: float
    broad: float
    rate_broad: float


def implied_r1(xi: float, exp: Experiment | None = None) -> ImpliedR1:
    """The R1 strengths that xi_1 implies for a discriminator that is orthonormal on the data.

    Args:
        exp: gives loss, rates and kernel ratio (None: all constants 1).

    Returns:
        Strengths and rates for one mode alone and for all modes from xi to infinity.

    Units:
        xi in 1/length^2, strengths in length^2, rates per unit of time.

    Raises:
        InputError: xi that is not above 0.

    Assumes:
        R1 alone in continuous time, kappa = nu = 0; not checked.

    Source:
        Eq. (24, best-r1-single), Eq. (25, best-r1-broad); Khrulkov et al. 2021 (arXiv:2102.04448).
    """
    if not (np.isfinite(xi) and xi > 0):
        raise InputError("xi", "be greater than 0", xi)
    G, eta_D = 1.0, 1.0
    if exp is not None:
        loss, kernel, eta_D = exp.loss_object, exp.generator.kernel, exp.discriminator.learning_rate
        relative = exp.omega * (kernel.g1 - kernel.g2) / exp.generator.particles
        G = eta_D * exp.generator.learning_rate * loss.b * loss.c * relative
    return ImpliedR1(
        2 * float(np.sqrt(G / xi)) / eta_D, float(np.sqrt(G * xi)),
        float(np.sqrt(2 * G / xi)) / eta_D, float(np.sqrt(G * xi / 2)),
    )  # fmt: skip
