"""The frequency principle in numbers: how long each frequency of the target takes to learn, and what that decides.

Every wavenumber is an oscillator, Eq. (16, dispersion), in continuous time and the update rule's own map of it
otherwise: on a uniform periodic target exactly, elsewhere as ``waves`` says. Its learning time is 1/(decay rate of its
slowest root).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ..base.dataset import shown
from ..base.errors import InputError
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..experiment.targets import Uniform
from ..kernels import Kernel
from ..linear import eigenvalues
from ..problem.problem import Problem
from .response import acting_times
from .waves import Waves, waves

#: discriminators whose spectra fall differently, at the same K(0) and length scale
SPECTRA: dict[str, dict[str, Any]] = {
    "Gaussian": {"kernel": "gaussian"},
    "Matern 5/2": {"kernel": "matern", "smoothness": 2.5},
    "Matern 3/2": {"kernel": "matern", "smoothness": 1.5},
    "Matern 1/2": {"kernel": "laplace"},
    "rational quadratic": {"kernel": "rational_quadratic", "alpha": 1.0},
}
#: random features in place of an exact kernel that has no force at the data
FEATURES = 256


def with_kernel(exp: Experiment, fields: Mapping[str, Any]) -> Experiment:
    """The experiment with these fields of its discriminator, at the same K(0) and length scale.

    A kernel object has its own: its K(0), and the length over which it falls, l^2 = K(0)/(-2 k'(0)) as of a Gaussian
    (its own field where it has a kink). An exact kernel without a force at the data (Laplace) is replaced by FEATURES
    random features, but on the periodic box.
    """
    changes = dict(fields)
    own = exp.discriminator.kernel
    if changes and isinstance(own, Kernel):
        value, slope = (float(v[0]) for v in own.derivatives(np.zeros(1), 1))
        changes.setdefault("variance", value)
        if np.isfinite(slope) and slope < 0:
            changes.setdefault("length_scale", float(np.sqrt(value / (-2 * slope))))
    if changes:
        changes.setdefault("evaluation", "direct")
    new = exp.replace({f"discriminator.{key}": value for key, value in changes.items()})
    if changes and not isinstance(exp.target, Uniform) and new.discriminator.features == 0:
        if not new.discriminator.network and not new.discriminator.kernel_object.differentiable:
            return new.replace({"discriminator.features": FEATURES})
    return new


@takes_experiment
@shown
def learning_times(exp: Experiment, kernels: Mapping[str, Mapping[str, Any]] | None = None) -> xr.Dataset:
    """Learning time of every wavenumber, for each of ``kernels`` (label: fields of the discriminator).

    On a uniform periodic box every frequency below Nyquist, exactly; elsewhere waves of the target's density (ring,
    grid) or of its points, with the assumptions in attrs (predict.waves). Default: the experiment's own kernel alone.

    Returns:
        A Dataset; ``eg.plot.dispersion`` draws it.

    Shapes:
        - decay_rate (kernel, wavenumber) [1/step; flow: 1/time]: min over roots of -Re s
        - learning_time (kernel, wavenumber) [steps; flow: time]: its inverse, inf where the mode does not decay
        - acting_time (kernel, wavenumber) [steps; flow: time]: until a displaced mode has lost all but 1/e
        - frequency (kernel, wavenumber) [1/step; flow: 1/time]: |Im s| of the slowest root
        - damping_ratio (kernel, wavenumber) [1], regime (kernel, wavenumber): of it
        - spectral_density (kernel, wavenumber) [length^d]: K_k
        - multiplicity (wavenumber) [1]

    Units:
        In brackets above; coordinate wavenumber in 1/length.

    Raises:
        InputError: no kernel, one that is not stationary, ratio = 1, a target of one mode, and, but on the box,
            remedies that this is not derived for.

    Source:
        Eq. (16, dispersion), Eq. (17, mode-roots), Eq. (82, response).

    Examples:
        >>> import egan_theory as eg
        >>> found = eg.learning_times(eg.Experiment(discriminator=eg.Discriminator(features=0)))
        >>> found.sizes["kernel"], found.learning_time.attrs["units"]
        (1, 'step')
    """
    kernels = {str(exp.discriminator.kernel): {}} if kernels is None else kernels
    if not kernels:
        raise InputError("kernels", "name at least one kernel", "none")
    found = [waves(Problem(with_kernel(exp, fields))) for fields in kernels.values()]
    columns = [times(member) for member in found]
    unit, first = exp.update_rule.time_unit, found[0]
    described = {
        "decay_rate": ("decay rate of the slowest root", f"1/{unit}"),
        "learning_time": ("learning time", unit),
        "acting_time": ("time to lose all but 1/e of a displacement", unit),
        "frequency": ("angular frequency of the slowest root", f"1/{unit}"),
        "damping_ratio": ("damping ratio", "1"),
        "regime": ("damping regime", "1"),
        "spectral_density": ("spectral density K_k of the discriminator's kernel", "length^d"),
    }
    return xr.Dataset(
        {
            name: (("kernel", "wavenumber"), np.stack([c[name] for c in columns]), {"long_name": text, "units": units})
            for name, (text, units) in described.items()
        },
        coords={
            "kernel": list(kernels),
            "wavenumber": ("wavenumber", first.lin.wavenumber, {"long_name": "wavenumber", "units": "1/length"}),
            "multiplicity": ("wavenumber", first.lin.multiplicity, {"long_name": "multiplicity", "units": "1"}),
        },
        attrs={
            "method": first.lin.method,
            "assumptions": "; ".join(first.assumptions),
            "rule": exp.update.rule,
            **provenance(exp),
        },
    )


def times(found: Waves) -> dict[str, np.ndarray]:
    """The variables of ``learning_times`` of one kernel, wavenumbers ascending."""
    lin = found.lin
    problem, values = lin.problem, eigenvalues(lin)
    own = np.flatnonzero(np.isfinite(values.wavenumber))
    # slowest root of every wavenumber: the first after sorting by wavenumber, then by rate
    order = own[np.lexsort((values.rates[own], values.wavenumber[own]))]
    first = order[np.r_[True, np.diff(values.wavenumber[order]) > 0]]
    rate, kernel = values.rates[first], problem.kernel
    assert kernel is not None
    return {
        "decay_rate": rate,
        "learning_time": np.where(rate > 0, 1 / np.where(rate > 0, rate, 1.0), np.inf),
        "acting_time": acting_times(lin.blocks, problem.rule),
        "frequency": np.abs(values.s[first].imag),
        "damping_ratio": values.damping_ratio[first],
        "regime": values.regime[first],
        "spectral_density": kernel.spectral_density(lin.wavenumber, found.dimension),
    }


def separating_content(kernel: Kernel, distance: float, k: Any) -> np.ndarray:
    """K_k (1 - cos(k Delta/2))^2: how much each wavenumber k >= 0 on the line through two equal modes separates them.

    K_k is the spectrum of the kernel on that line (dimension 1). Its integral over dk/(2 pi), both signs of k, is
    (3/2) K(0) + K(Delta)/2 - 2 K(Delta/2), the |y|^2 h^2 of predict.splitting. Raises InputError unless the kernel is
    stationary.
    """
    k = np.asarray(k, dtype=float)
    # 1 - cos without cancellation at small k
    return kernel.spectral_density(k, 1) * 4 * np.sin(k * distance / 4) ** 4


def separating_wavenumber(kernel: Kernel, distance: float) -> float:
    """The wavenumber below which half of ``separating_content`` lies.

    For l >> Delta the content is K_k k^4 below 1/Delta: with K_k ~ k^-(2 nu + 1) it gathers near 2 pi/Delta for a rough
    kernel, nu < 2, and near the smallest k, about 2/l, for a smooth one. For l << Delta it follows K_k, up to 1/l.
    """
    # midpoints of log-spaced cells that resolve the oscillation until its mean is all that is left
    edges = np.concatenate([[0.0], np.geomspace(1e-4, 40, 4000), np.arange(40.05, 400, 0.05)]) * (2 * np.pi / distance)
    k = (edges[1:] + edges[:-1]) / 2
    share = np.cumsum(separating_content(kernel, distance, k) * np.diff(edges))
    # beyond: the mean of (1 - cos)^2 is 3/2
    tail = np.geomspace(edges[-1], 1e6 * edges[-1], 2000)
    density = 1.5 * kernel.spectral_density(tail, 1)
    total = share[-1] + float(((density[1:] + density[:-1]) / 2 * np.diff(tail)).sum())
    return float(np.interp(total / 2, share, edges[1:]))


def density_modes(runs: xr.Dataset, wavevectors: np.ndarray) -> np.ndarray:
    """(run, time, F) complex amplitudes sum_i m_i exp(-i k.x_i) of the particles' density, for wavevectors (F, d).

    ``runs`` in the run schema; equal masses where none are recorded. On the box's lattice the target's own amplitude
    is 0 below Nyquist, so this is dq_k.
    """
    x = runs["particles"].transpose("run", "time", "particle", "component").values
    N = x.shape[2]
    masses = runs["mass"].values if "mass" in runs else np.full(N, 1 / N)
    return np.stack([np.exp(-1j * (x @ k)) @ masses for k in np.atleast_2d(wavevectors)], axis=-1)
