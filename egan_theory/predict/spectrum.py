"""The spectrum of the training dynamics: eigenvalues, damping ratios, regimes, stability."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..base.dataset import ShownDataset
from ..base.json import number
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..linear import Eigenvalues, eigenvalues, linearize, linearize_extreme


class Spectrum(ShownDataset):
    """The Dataset of ``spectrum``; it shows its leading modes, conjugate pairs on one row."""

    __slots__ = ()

    def headline(self) -> str:
        if self._modes is None:
            return super().headline()
        at = self.attrs
        unit = self["eigenvalue_re"].attrs.get("units", "")
        stable = {"": "", "unresolved": ", stability unresolved"}.get(v := at.get("verdict", ""), f", {v}")
        known = np.isfinite(at.get("slowest_rate", np.nan))
        slowest = f", slowest decay rate {at['slowest_rate']:.4g} {unit}" if known else ""
        radius = f", spectral radius {at['spectral_radius']:.6g}" if "spectral_radius" in at else ""
        count = int(self["multiplicity"].sum())
        lost = int(at.get("unresolved", 0))
        said = f", {lost} of them unresolved (below {_above(at['unresolved_below'])} {unit})" if lost else ""
        return f"spectrum of {count} modes{stable}{said}{slowest}{radius}"

    def grid(self) -> tuple[tuple[str, ...], list[list[Any]]] | None:
        if (modes := self._modes) is None:
            return None
        unit = self["eigenvalue_re"].attrs.get("units", "")
        head = (
            f"decay rate ({unit})",
            f"frequency (rad, {unit})",
            "multiplier's modulus",
            "damping ratio",
            "regime",
            "modes",
        )
        # the partner of a pair is the row's own conjugate
        rows = [
            [-re, abs(im), abs(complex(x, y)), zeta, regime, (2 if im else 1) * count]
            for re, im, x, y, zeta, regime, count in zip(*modes, strict=True)
            if im >= 0
        ]
        return head, rows

    @property
    def _modes(self) -> list[list[Any]] | None:
        """The columns as lists; None where some are missing or have no or other dimensions."""
        names = ("eigenvalue_re", "eigenvalue_im", "multiplier_re", "multiplier_im", "damping_ratio", "regime",
                 "multiplicity")  # fmt: skip
        if any(name not in self.data_vars or self[name].dims != ("mode",) for name in names):
            return None
        return [self[name].values.tolist() for name in names]


@takes_experiment
def spectrum(exp: Experiment, extreme: int | None = None) -> xr.Dataset:
    """Eigenvalues of the training dynamics about equilibrium, one per row of dimension ``mode``, slowest first.

    Zero modes are counted in ``attrs["zero_modes"]``, not listed. attrs also: verdict ("stable": every resolved mode
    decays; "not stable"; "unresolved": there is no resolved mode) and stable (1 for the first, else 0), slowest_rate,
    slowest_coupled_rate (of modes that move the particles), slowest_converging_rate (of those by which they converge:
    not of modes that are almost all discriminator), margin (smallest decay rate, or 1 - spectral radius),
    spectral_radius (discrete rules; zero modes left out), method, assumptions. unresolved: modes whose decay rate is
    not told from 0, no more than unresolved_below: they take no part in any of these.

    Args:
        extreme: only the modes of that many smallest and largest stiffnesses of an exact kernel, without any matrix
            (see linear.extreme); attrs then hold ``extreme`` and ``residual``, the largest |H v - mu^2 v| / |H|.

    Returns:
        A Dataset; ``eg.plot.eigenvalues`` and ``eg.plot.damping_ratio`` draw it.

    Shapes:
        - eigenvalue_re (mode), eigenvalue_im (mode) [1/time; of steps 1/step]: s, or log z per step (-inf: z = 0)
        - multiplier_re (mode), multiplier_im (mode) [1]: z per step (exp s for the flow)
        - multiplicity (mode) [1]
        - damping_ratio (mode) [1]: zeta = a/(2 omega), NaN where a real mode has no partner
        - regime (mode): underdamped, critical, overdamped; unresolved where s is not told from 0
        - coupled (mode): 1 where the mode moves the particles
        - wavenumber (mode) [1/length]: periodic box only, else NaN
        - error (mode), rate_error (mode) [1/time; of steps 1/step]: bounds on the rounding errors of s and of its real
          part

    Units:
        In brackets above; times are steps, of the flow units of time.

    Raises:
        NotLinearizable: no equilibrium or no Jacobian there; the message gives the reason.
        InputError: ``extreme`` where the modes are not those of stiffnesses of an exact kernel.

    Source:
        Eq. (16, dispersion) to Eq. (18, damping-ratio), Eq. (37, finite-modes), steps: Eq. (50, map-simultaneous) to
        Eq. (59, map-heavy-ball-both).

    Examples:
        >>> import egan_theory as eg
        >>> found = eg.spectrum(eg.Experiment(target=eg.Ring(modes=4)))
        >>> bool(found.attrs["stable"]), bool((found.damping_ratio < 1).any())
        (True, True)
    """
    lin, residual = (linearize(exp), None) if extreme is None else linearize_extreme(exp, extreme)
    values = merged(eigenvalues(lin))
    rule = exp.update_rule
    # a rate that rounding does not tell from 0 is 0 here, so that the order is not of rounding either
    rates = np.where(values.resolved, values.rates, 0)
    order = np.lexsort((-values.s.imag, rates))
    s, z = values.s[order], values.z[order]
    unit = rule.rate_unit

    def variable(data: Any, name: str, units: str) -> tuple[str, Any, dict[str, str]]:
        return "mode", data, {"long_name": name, "units": units}

    verdict = values.verdict()
    radius = float(np.exp(values.s.real.max(initial=-np.inf)))
    attrs: dict[str, Any] = {
        "method": lin.method,
        "assumptions": "; ".join(lin.assumptions),
        "rule": rule.rule,
        "zero_modes": lin.zero_modes,
        "verdict": {True: "stable", False: "not stable", None: "unresolved"}[verdict.stable],
        "stable": int(verdict.stable is True),
        "unresolved": verdict.unresolved,
        "unresolved_below": verdict.below,
        "slowest_rate": verdict.slowest,
        "slowest_coupled_rate": values.slowest(coupled_only=True),
        "slowest_converging_rate": values.slowest_carried(),
        "margin": verdict.slowest if rule.continuous else -float(np.expm1(-verdict.slowest)),
        **provenance(exp),
    }
    if not rule.continuous:
        attrs["spectral_radius"] = radius
    if residual is not None:
        attrs["extreme"], attrs["residual"] = extreme, residual
    return Spectrum(
        {
            "eigenvalue_re": variable(s.real, "real part of the eigenvalue s", unit),
            "eigenvalue_im": variable(s.imag, "imaginary part of the eigenvalue s", unit),
            "multiplier_re": variable(z.real, "real part of the multiplier z", "1"),
            "multiplier_im": variable(z.imag, "imaginary part of the multiplier z", "1"),
            "multiplicity": variable(values.multiplicity[order], "multiplicity", "1"),
            "damping_ratio": variable(values.damping_ratio[order], "damping ratio", "1"),
            "regime": variable(values.regime[order], "damping regime", "1"),
            "coupled": variable(values.coupled[order].astype(np.int8), "whether the mode moves the particles", "1"),
            "wavenumber": variable(values.wavenumber[order], "wavenumber", "1/length"),
            "error": variable(values.error[order], "bound on the rounding error of s", unit),
            "rate_error": variable(values.rate_error[order], "bound on the rounding error of the decay rate", unit),
        },
        attrs=attrs,
    )


def merged(values: Eigenvalues) -> Eigenvalues:
    """Eigenvalues that agree to their rounding errors (degenerate by symmetry) as one row with their multiplicities
    added; those that are not told from 0 are one row, too.

    A critical pair is two coalescing eigenvalues of one oscillator, not a symmetry: it merges as well.
    """
    if not len(values.s):
        return values
    finite = np.isfinite(values.s)
    s, error = np.where(finite, values.s, 0), np.where(finite & np.isfinite(values.error), values.error, 0)
    kind = values.coupled + 2 * values.carried + 4 * np.sign(s.imag) + 16 * ~finite
    kind = np.where(values.sized | ~finite, kind, 32)
    # real eigenvalues by their real parts, others by the imaginary ones: neighbours are then next to each other
    key = np.where(s.imag == 0, s.real, np.abs(s.imag))
    order = np.lexsort((key, kind))
    s, error, kind, key = s[order], error[order], kind[order], key[order]
    links, n = [], len(s)
    for step in range(1, n):
        room = error[step:] + error[:-step]
        beside = (kind[step:] == kind[:-step]) & (key[step:] - key[:-step] <= room)
        if not beside.any():
            break
        same = beside & ((np.abs(s[step:] - s[:-step]) <= room) | (kind[step:] >= 32))
        links.append(np.flatnonzero(same)[:, None] + [0, step])
    i, j = np.concatenate(links).T if links else np.empty((2, 0), dtype=int)
    group = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(n, n)), directed=False)[1]
    _, group = np.unique(group, return_inverse=True)
    # of each group the first in the list
    first = np.full(group.max() + 1, n)
    np.minimum.at(first, group, order)
    count = np.bincount(group, weights=values.multiplicity[order]).astype(int)
    felt = [np.bincount(group, weights=flag[order]) > 0 for flag in (values.coupled, values.carried)]
    rows = np.argsort(first)
    found = values.rows(first[rows])
    return replace(found, multiplicity=count[rows], coupled=felt[0][rows], carried=felt[1][rows])


def unresolved_modes(count: int, modes: int, below: float, per: str) -> str:
    """A sentence about the ``count`` of ``modes`` that take no part in a verdict; ``per``: what their rates are counted
    per."""
    many = f"{count} of {modes} modes unresolved: {'their rates are' if count != 1 else 'its rate is'}"
    return f"{many} below {_above(below)} {per}, which rounding does not tell from zero."


def _above(bound: float) -> str:
    """To one digit, rounded up, so that it still is a bound."""
    digit = 10.0 ** np.floor(np.log10(bound)) if bound > 0 else 1.0
    return f"{np.ceil(bound / digit) * digit:.0e}"


def not_decaying(spectrum: xr.Dataset) -> np.ndarray:
    """(mode,) whether a mode is known not to decay."""
    re = spectrum["eigenvalue_re"].values
    error = spectrum["rate_error"].values if "rate_error" in spectrum else np.zeros(re.shape)
    return np.asarray((re > error) | ((re == 0) & (error == 0)))


def spectrum_json(ds: xr.Dataset) -> dict[str, Any]:
    """The --json form of a spectrum; numbers that do not exist (zeta of an unpaired real mode, log 0) are null."""
    rows = []
    for i in range(ds.sizes["mode"]):
        at = {name: ds[name].values[i] for name in ds.data_vars}
        rows.append(
            {
                "re": number(at["eigenvalue_re"]),
                "im": number(at["eigenvalue_im"]),
                "multiplicity": int(at["multiplicity"]),
                "damping_ratio": number(at["damping_ratio"]),
                "regime": str(at["regime"]),
                "multiplier_re": number(at["multiplier_re"]),
                "multiplier_im": number(at["multiplier_im"]),
                "coupled": bool(at["coupled"]),
                "wavenumber": number(at["wavenumber"]),
                "error": number(at["error"]),
                "rate_error": number(at["rate_error"]),
            }
        )
    out: dict[str, Any] = {
        "eigenvalues": rows,
        "zero_modes": int(ds.attrs["zero_modes"]),
        "stable": {"stable": True, "not stable": False}.get(ds.attrs["verdict"]),
        "verdict": ds.attrs["verdict"],
        "unresolved": int(ds.attrs["unresolved"]),
        "unresolved_below": number(ds.attrs["unresolved_below"]),
    }
    for key in (
        "slowest_rate",
        "slowest_coupled_rate",
        "slowest_converging_rate",
        "margin",
        "spectral_radius",
        "residual",
    ):
        if key in ds.attrs:
            out[key] = number(ds.attrs[key])
    return out | {"method": ds.attrs["method"], "assumptions": ds.attrs["assumptions"]}
