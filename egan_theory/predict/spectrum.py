"""The spectrum of the training dynamics: eigenvalues, damping ratios, regimes, stability."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..base.dataset import ShownDataset
from ..base.json import number
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..linear import Eigenvalues, eigenvalues, linearize, linearize_extreme

#: two eigenvalues closer than this part of the largest are listed as one with multiplicity 2
DEGENERACY = 1e-9


class Spectrum(ShownDataset):
    """The Dataset of ``spectrum``; it shows its leading modes, conjugate pairs on one row."""

    __slots__ = ()

    def headline(self) -> str:
        if self._modes is None:
            return super().headline()
        at = self.attrs
        unit = self["eigenvalue_re"].attrs.get("units", "")
        stable = "" if "stable" not in at else ", stable" if at["stable"] else ", not stable"
        slowest = f", slowest decay rate {at['slowest_rate']:.4g} {unit}" if "slowest_rate" in at else ""
        radius = f", spectral radius {at['spectral_radius']:.6g}" if "spectral_radius" in at else ""
        return f"spectrum of {int(self['multiplicity'].sum())} modes{stable}{slowest}{radius}"

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

    Zero modes are counted in ``attrs["zero_modes"]``, not listed. attrs also: stable (every listed mode decays),
    slowest_rate, slowest_coupled_rate, margin (smallest decay rate, or 1 - spectral radius), spectral_radius (discrete
    rules; zero modes left out), method, assumptions, unresolved.

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
        - regime (mode): underdamped, critical, overdamped
        - coupled (mode): 1 where the mode moves the particles
        - wavenumber (mode) [1/length]: periodic box only, else NaN

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
    order = np.argsort(values.rates, kind="stable")
    s, z = values.s[order], values.z[order]
    unit = rule.rate_unit

    def variable(data: Any, name: str, units: str) -> tuple[str, Any, dict[str, str]]:
        return "mode", data, {"long_name": name, "units": units}

    slowest = values.slowest()
    radius = float(np.abs(z).max(initial=0.0))
    attrs: dict[str, Any] = {
        "method": lin.method,
        "assumptions": "; ".join(lin.assumptions),
        "rule": rule.rule,
        "zero_modes": lin.zero_modes,
        "unresolved": int((~values.resolved).sum()),
        "stable": int(bool(np.all(values.rates[values.resolved] > 0))),
        "slowest_rate": slowest,
        "slowest_coupled_rate": values.slowest(coupled_only=True),
        "margin": slowest if rule.continuous else 1 - radius,
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
        },
        attrs=attrs,
    )


def merged(values: Eigenvalues) -> Eigenvalues:
    """Eigenvalues that agree to rounding (degenerate by symmetry) as one row with their multiplicities added."""
    if not len(values.s):
        return values
    largest = max(np.abs(values.s[np.isfinite(values.s)]).max(initial=0.0), 1e-290)
    finite = np.where(np.isfinite(values.s), values.s, -2 * largest)  # log 0: beyond all others
    scale = DEGENERACY * largest
    order = np.lexsort((np.rint(finite.imag / scale), np.rint(finite.real / scale), values.coupled, values.carried))
    s = finite[order]
    new = np.ones(len(s), dtype=bool)
    close = np.abs(np.diff(s)) <= scale
    kind = values.coupled[order] + 2 * values.carried[order]
    same = kind[1:] == kind[:-1]
    # a critical pair is two coalescing eigenvalues of one oscillator, not a symmetry: it merges as well
    new[1:] = ~(close & same)
    first = order[new]
    count = np.add.reduceat(values.multiplicity[order], np.flatnonzero(new))
    return Eigenvalues(
        values.s[first], values.z[first], count, values.damping_ratio[first], values.coupled[first],
        values.wavenumber[first], values.carried[first], values.noise,
    )  # fmt: skip


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
            }
        )
    out: dict[str, Any] = {
        "eigenvalues": rows,
        "zero_modes": int(ds.attrs["zero_modes"]),
        "stable": bool(ds.attrs["stable"]),
    }
    for key in ("slowest_rate", "slowest_coupled_rate", "margin", "spectral_radius", "residual"):
        if key in ds.attrs:
            out[key] = number(ds.attrs[key])
    return out | {"unresolved": int(ds.attrs["unresolved"]), "method": ds.attrs["method"],
                  "assumptions": ds.attrs["assumptions"]}  # fmt: skip
