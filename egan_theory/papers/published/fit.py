"""Fitting the two constants of the linear theory to published order parameters."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import BeforeValidator, Field, ValidationError
from scipy.optimize import minimize

from ...base.config import Config, Positive
from ...base.errors import InputError, check_file
from ...base.files import atomic, check_output
from ...base.json import json_ready, json_text
from ...base.table import Record
from ...experiment.provenance import versions
from ...experiment.wording import input_error
from .theory import CLASSES, COVERED, FROZEN_RATIO, MNIST, RUNAWAY_RADII, WIDTH, log_margins

#: how a file of a fit begins
FORM = {"format": "egan published fit", "version": 1}
METHOD = (
    "maximum likelihood of the three classes of every run under the linear theory with two constants; "
    f"logistic scatter of fixed width {WIDTH:g} in ln(rate) or ln(amplitude)"
)
ASSUMPTIONS = (
    "linear theory about equilibrium, though the runs began far from it",
    "simultaneous updates; one step of the critic per generator step; T = 1000 counts steps (not published)",
    "gradient penalty alone: one ratio of squared frequency to damping for all modes",
    "discriminator of random ReLU features; its width and scale sit in the two constants",
    "target: the first 100 MNIST images; the class boundaries in (w T)^2 are theirs, not fitted",
    "standard errors take the three classes of a run, and the runs, as independent",
)
#: names of each order parameter: this package's, and that of the published table
NAMES = {
    "memorised": ("covered_share", "frac_covered_cos10"),
    "frozen": ("participation_ratio",),
    "runaway": ("centroid_displacement", "centroid_dist_rel"),
}
#: decades of each constant searched, and points per decade
TIME_SCALE, GAIN, PER_DECADE = (1e1, 1e8), (1e-5, 1e1), 6
LARGEST_FILE = 1_000_000
Error = Annotated[float, Field(allow_inf_nan=True), BeforeValidator(lambda v: math.nan if v is None else v)]
Texts = Annotated[tuple[str, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)]


class Constants(Config):
    """The two constants; see ``PublishedFit``."""

    time_scale: Positive
    gain: Positive


class Errors(Config):
    """Standard errors of the logarithms of the constants; NaN (null in a file) where there is none."""

    time_scale: Error
    gain: Error


class PublishedFit(Record, Config):
    """The two constants of the linear theory, fitted to published order parameters.

    Attributes:
        constants: time_scale tau, the damping of the collective mode over the training per unit of lrD [1/lrD], and
            gain, its squared frequency over damping at phi = 0 [1/step].
        stderr_log: standard errors of ln(constant), from the curvature of the log likelihood.
        log_likelihood: [1] at the fit.
        runs: [1] that were fitted.
        counts: [1] runs in each class.
        digest: SHA-256 of (lrD, phi, classes).
        versions: of packages.
        method: how it was fitted, in words.
        assumptions: what is taken for granted, in words.

    Source:
        Data of arXiv:2212.04580; Eq. (45, simultaneous), Eq. (50, map-simultaneous).
    """

    TITLE: ClassVar[str] = "Two constants from {0.runs} runs"

    constants: Constants
    stderr_log: Errors
    log_likelihood: float
    runs: int = Field(gt=0)
    counts: dict[str, int]
    digest: str
    versions: str
    method: str = METHOD
    assumptions: Texts = ASSUMPTIONS

    @property
    def time_scale(self) -> float:
        """Damping of the collective mode over the training per unit of lrD [1/lrD]."""
        return self.constants.time_scale

    @property
    def gain(self) -> float:
        """Squared frequency over damping of the collective mode at phi = 0 [1/step]."""
        return self.constants.gain

    @property
    def critical_ratio(self) -> float | None:
        """phi at which the collective mode stops decaying whatever lrD [1]: gain (1 + (N-1) phi) = 1; None beyond 1."""
        phi = (1 / self.gain - 1) / (MNIST.particles - 1)
        return phi if 0 <= phi <= 1 else None

    def to_dict(self) -> dict[str, Any]:
        """The --json form, and what the fit file holds."""
        return json_ready(FORM | self.model_dump(mode="json") | {"critical_ratio": self.critical_ratio})

    def grid(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        values = [(n, getattr(self.constants, n), getattr(self.stderr_log, n)) for n in ("time_scale", "gain")]
        return ("", "value", "relative standard error"), [(n.replace("_", " "), *pair) for n, *pair in values]


def cells(ds: xr.Dataset, name: str = "order parameters") -> dict[str, np.ndarray]:
    """lrD, phi and the three classes (bool) of every run of a table of order parameters; cells with NaN left out.

    The table may be a grid over dims (lrD, phi) or have both as coordinates of one dim (run). Raises InputError.
    """
    arrays = {}
    for kind, names in NAMES.items():
        found = [n for n in names if n in ds]
        if not found:
            hint = " (import the runs with --target)" if kind != "frozen" else ""
            raise InputError(name, f"hold the variable {' or '.join(names)}{hint}", sorted(map(str, ds.data_vars)))
        arrays[kind] = _numbers(ds[found[0]], f"{name}: variable {found[0]}")
    rates, ratios = rates_and_ratios(ds, name)
    try:
        values = xr.broadcast(rates, ratios, *arrays.values())
    except ValueError as error:
        raise InputError(name, "have order parameters over lrD and phi", f"the error: {error}") from None
    if set(values[0].dims) != set(rates.dims) | set(ratios.dims):
        extra = sorted(map(str, set(values[0].dims) - set(rates.dims) - set(ratios.dims)))
        raise InputError(name, "have order parameters over lrD and phi alone", f"also dims {extra}")
    lrD, phi, covered, ratio, moved = (v.values.ravel().astype(float) for v in values)
    known = np.isfinite(covered) & np.isfinite(ratio) & np.isfinite(moved)
    out = {
        "lrD": lrD,
        "phi": phi,
        "memorised": covered >= COVERED - 1e-6,  # the published shares are float32
        "frozen": ratio > FROZEN_RATIO,
        "runaway": moved > RUNAWAY_RADII,
    }
    return {key: value[known] for key, value in out.items()}


def rates_and_ratios(ds: xr.Dataset, name: str) -> tuple[xr.DataArray, xr.DataArray]:
    """The coordinates lrD and phi, one-dimensional each, checked."""
    out = []
    for key, rule, holds in (
        ("lrD", "be finite and greater than 0", lambda v: v > 0),
        ("phi", "lie between 0 and 1", lambda v: (v >= 0) & (v <= 1)),
    ):
        if key not in ds.variables:
            raise InputError(name, f"hold the coordinate {key}", sorted(map(str, ds.variables)))
        values = _numbers(ds[key], f"{name}: coordinate {key}")
        if values.ndim > 1 or not values.size:
            raise InputError(f"{name}: coordinate {key}", "have one dimension", f"shape {values.shape}")
        bad = ~(np.isfinite(values.values) & holds(values.values))
        if bad.any():
            raise InputError(f"{name}: coordinate {key}", rule, np.atleast_1d(values.values)[np.atleast_1d(bad)][0])
        out.append(values)
    return out[0], out[1]


def _numbers(values: xr.DataArray, field: str) -> xr.DataArray:
    if values.dtype.kind not in "fiu":
        raise InputError(field, "hold real numbers", f"dtype {values.dtype}")
    return values


def fit_published(ds: xr.Dataset, name: str = "order parameters") -> PublishedFit:
    """The two constants that make the classes of the runs in ``ds`` most likely: see ``theory`` and ``cells``.

        maximise over (time_scale, gain):  sum over runs and classes of ln p, p = 1/(1 + exp(-+ margin/WIDTH))

    A grid in the logarithms of both, then Nelder-Mead from its best point.

    Returns:
        The constants with standard errors, and what was fitted.

    Shapes:
        ds: order parameters (lrD, phi), or (run) with lrD (run) and phi (run).

    Units:
        lrD as published, phi a pure number, training T = 1000 steps.

    Raises:
        InputError: no runs, no class that has runs in it and runs out of it, or variables that are missing or no
            numbers.

    Source:
        Data of arXiv:2212.04580; Eq. (50, map-simultaneous).
    """
    data = cells(ds, name)
    known = {kind: data[kind] for kind in CLASSES}
    if not len(data["lrD"]):
        raise InputError(name, "hold at least one run", "none with all order parameters")
    if all(inside.all() or not inside.any() for inside in known.values()):
        raise InputError(name, "hold runs inside and outside of a class", f"{len(data['lrD'])} runs of one kind")

    def loss(logs: np.ndarray) -> float:
        margins = log_margins(data["lrD"], data["phi"], *np.exp(logs))
        # the logistic of a margin of -inf (memorised at phi = 1) is 0: bounded, so that one run cannot forbid a fit
        return float(
            sum(
                np.logaddexp(0, np.where(inside, -1, 1) * np.clip(margins[kind] / WIDTH, -50, 50)).sum()
                for kind, inside in known.items()
            )
        )

    axes = [
        np.log(np.geomspace(*span, int(PER_DECADE * np.log10(span[1] / span[0])) + 1)) for span in (TIME_SCALE, GAIN)
    ]
    scan = np.array([[loss(np.array([u, v])) for v in axes[1]] for u in axes[0]])
    i, j = np.unravel_index(int(scan.argmin()), scan.shape)
    start = np.array([axes[0][i], axes[1][j]])
    best = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 2000})
    error = _standard_errors(loss, best.x)
    digest = hashlib.sha256()
    order = np.lexsort((data["phi"], data["lrD"]))
    for key in ("lrD", "phi", *CLASSES):
        digest.update(np.ascontiguousarray(data[key][order]).tobytes())
    return PublishedFit(
        constants=Constants(time_scale=float(np.exp(best.x[0])), gain=float(np.exp(best.x[1]))),
        stderr_log=Errors(time_scale=error[0], gain=error[1]),
        log_likelihood=-float(best.fun),
        runs=len(data["lrD"]),
        counts={kind: int(inside.sum()) for kind, inside in known.items()},
        digest=digest.hexdigest(),
        versions=versions(),
    )


def _standard_errors(loss: Any, x: np.ndarray, step: float = 1e-2) -> tuple[float, float]:
    """From the curvature of the log likelihood, by central differences; NaN where it has no maximum there."""
    e = step * np.eye(2)
    curvature = np.array(
        [
            [(loss(x + a + b) - loss(x + a - b) - loss(x - a + b) + loss(x - a - b)) / (4 * step**2) for b in e]
            for a in e
        ]
    )
    if not np.all(np.linalg.eigvalsh(curvature) > 1e-9):
        return float("nan"), float("nan")
    covariance = np.linalg.inv(curvature)
    return float(np.sqrt(covariance[0, 0])), float(np.sqrt(covariance[1, 1]))


# -- files -------------------------------------------------------------------------------------------------------


def save_fit(fit: PublishedFit, path: str | Path) -> None:
    """Write the fit as JSON, whole or not at all.

    Units:
        As in the fit.

    Raises:
        InputError: a path that cannot be written.

    Source:
        none, it only writes a file.
    """
    with atomic(check_output(path)) as temporary:
        temporary.write_text(json_text(fit.to_dict()), encoding="utf-8")


def load_fit(path: str | Path) -> PublishedFit:
    """Read a fit file.

    Returns:
        The fit that was saved.

    Units:
        As in the fit.

    Raises:
        InputError: no such file, or anything that ``save_fit`` would not have written; one line.

    Source:
        none, it only reads a file.
    """
    file, field = Path(path), str(path) or "fit"
    check_file(field, file, "be an existing fit file")
    if file.stat().st_size > LARGEST_FILE:
        raise InputError(field, f"be a fit file of at most {LARGEST_FILE} bytes", f"{file.stat().st_size} bytes")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(field, "be a JSON file of 'egan published fit'", f"the error: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORM["format"]:
        raise InputError(field, "be a file of 'egan published fit'", "no such format in it")
    if data.get("version") != FORM["version"]:
        raise InputError(f"{field}: version", f"be {FORM['version']}", repr(data.get("version")))
    try:
        return PublishedFit(**{key: value for key, value in data.items() if key not in (*FORM, "critical_ratio")})
    except ValidationError as error:
        found = input_error(error, PublishedFit)
        raise InputError(f"{field}: {found.field}", found.must, found.found) from None
