"""The run schema: what a recorded run looks like, whoever recorded it. Version 1.

An xarray Dataset (NetCDF-4), required:

    particles        (run, time, particle, component)   positions x_i; a log of scalars (runs.logs) has none, but at
                                                        least one variable (run, time)
    time             coordinate (time,), increasing; unit "step" for discrete rules, "time" for the flow; of a log
                     what it counts, "epoch" where that are epochs

optional, used when present:

    discriminator    (run, time, particle)              f = D - D* at the particles (noise-averaged)
    force            (run, time, particle, component)   grad D at the particles (noise-averaged)
    weights          (run, time, feature)               discriminator weights on the experiment's feature map
    target           (point, component)                 target points
    target_weight    (point,)                           their weights, sum 1
    assignment       (particle,)                        index of the target point of each particle at equilibrium
    mass             (particle,)                        masses, sum 1
    diverged_at      (run,)                             step at which the run diverged, -1 if it did not
    outcome          (run,)                             what became of the run: 0 settled, 6 circling with modes
                                                        kept, 1 part of the modes lost, 2 not settled, 3 collapsed,
                                                        4 escaped, 5 diverged (outcome.py; flag_values and
                                                        flag_meanings say so, too; files of earlier versions call 0
                                                        "covered", at rest or moving: read as settled); where it is
                                                        missing, eg.outcomes finds it from the particles
    loss_discriminator, loss_generator  (run, time)     what each player minimises or maximises, as the loop reports it
    parameters_discriminator  (run, time, parameter_d)  all weights of a network discriminator, in any fixed order
    parameters_generator      (run, time, parameter_g)  all weights of a network generator, in any fixed order
    kernel_drift     (run, time)                        |K(t) - K(0)| / |K(0)|, Frobenius norms: how far the
                                                        discriminator's tangent kernel has moved since the start
    generator_drift  (run, time)                        the same for the generator's, a network's
    wall_time        (run, time)                        seconds since 1970; imported logs have it
    multiplier_re, multiplier_im  (run, time, multiplier)  leading multipliers of one training step at this checkpoint,
                                                        most telling first, of a conjugate pair the one with im >= 0
    multiplier_residual  (run, time, multiplier)        |A x - z x| of each, |x| = 1: how far it is from exact
    multiplier_share (run, time, multiplier)            the discriminator's part of the mode's weights, 0 to 1
    path_angle, path_angle_start, path_angle_beyond  (run, time)  cosine between the game's vector field and the
                                                        straight path from the weights of the analysis before to the
                                                        present ones: at its end, at its start, a quarter beyond its end
    velocity         (run, time)                        size of one training step over that of all weights
    kernel_g1, kernel_g2, kernel_share  (run, time)     the generator's two kernel numbers, and the share of its tangent
                                                        kernel that they explain
    strength_r1, strength_advised, strength_edge  (run, time)  R1 strength that is set, that theory advises, and up to
                                                        which training is stable
    monitor_seconds, training_seconds  (run, time)      time that analyses and training took since the sample before
    monitor_products (run, time)                        products with the step's Jacobian in this analysis
    any other name   (run, time)                        a scalar of the loop; kept, not used
    penalty_* , ...  (run,)                             coordinates: parameters that differ between runs, dots as "_"

Where the discriminator judges several samples (packing.degree m > 1), ``discriminator`` is E D over the other m - 1,
``force`` the sum of E grad D over all m, and ``weights`` those of the packed map, flattened (features.packed).

attrs: schema_version, experiment (TOML), seed, versions, status ("finished", "diverged at step n", "interrupted"),
rewound where a recording was cut back to the checkpoint that training went on from ("cut back from step a to step b"),
notes: what was said while recording, a JSON list of [first step, last step, text]; of a Monitor also
monitor_version ("1", the multiplier_* to monitor_* above) and monitor (JSON: what was asked for). An imported log says
its source and format, and what went back ("to before step b") with the numbers of values replaced and given_up, and in
import_notes what was left out.
Samples after a divergence are NaN (scalars of a log stay as they were logged). Every variable has long_name and units.
The optional variables of training (losses, parameters, kernel_drift, all of a Monitor) may be NaN at samples where they
were not measured. One unit of ``time`` is one generator step (flow: one unit of time), and the learning rates are per
such step: the predictions that runs are compared with count alike.

``RunWriter`` writes this schema from any training loop: NetCDF-4 when it is closed, and until then a Zarr store beside
it, runs.nc.zarr, that a crash leaves. ``open_runs("runs.nc")``, and so every command, reads the one that is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np
import xarray as xr

from ..base.errors import InputError
from ..experiment.provenance import SCHEMA_VERSION
from .outcome import FLAGS, WORDS, current
from .positions import scalars_of

#: dims, long_name and units of each variable
_VARIABLES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "particles": (("run", "time", "particle", "component"), "particle positions", "length"),
    "discriminator": (("run", "time", "particle"), "discriminator at the particles, D - D*", "1"),
    "force": (("run", "time", "particle", "component"), "gradient of the discriminator at the particles", "1/length"),
    "weights": (("run", "time", "feature"), "discriminator weights", "1"),
    "target": (("point", "component"), "target points", "length"),
    "target_weight": (("point",), "weight of the target points", "1"),
    "assignment": (("particle",), "target point of each particle at equilibrium", "1"),
    "mass": (("particle",), "mass of the particles", "1"),
    "diverged_at": (("run",), "step of divergence, -1 if none", "step"),
    "outcome": (("run",), "outcome of the run", "1"),
    "loss_discriminator": (("run", "time"), "loss of the discriminator", "1"),
    "loss_generator": (("run", "time"), "loss of the generator", "1"),
    "parameters_discriminator": (("run", "time", "parameter_d"), "parameters of the discriminator", "1"),
    "parameters_generator": (("run", "time", "parameter_g"), "parameters of the generator", "1"),
    "kernel_drift": (("run", "time"), "relative change of the discriminator's tangent kernel since the start", "1"),
    "generator_drift": (("run", "time"), "relative change of the generator's tangent kernel since the start", "1"),
    "multiplier_re": (("run", "time", "multiplier"), "real part of a multiplier of the training step", "1"),
    "multiplier_im": (("run", "time", "multiplier"), "imaginary part of a multiplier of the training step", "1"),
    "multiplier_residual": (("run", "time", "multiplier"), "residual of the multiplier", "1"),
    "multiplier_share": (("run", "time", "multiplier"), "the discriminator's part of the mode's weights", "1"),
    "path_angle": (("run", "time"), "cosine between field and path at the present weights", "1"),
    "path_angle_start": (("run", "time"), "cosine between field and path at the weights before", "1"),
    "path_angle_beyond": (("run", "time"), "cosine between field and path a quarter beyond the present weights", "1"),
    "velocity": (("run", "time"), "size of one training step relative to the weights", "1/step"),
    "kernel_g1": (("run", "time"), "the generator's kernel number g1", "length^2"),
    "kernel_g2": (("run", "time"), "the generator's kernel number g2", "length^2"),
    "kernel_share": (("run", "time"), "share of the generator's tangent kernel explained by g1 and g2", "1"),
    "strength_r1": (("run", "time"), "R1 strength that is set", "length^2"),
    "strength_advised": (("run", "time"), "R1 strength that theory advises", "length^2"),
    "strength_edge": (
        ("run", "time"),
        "R1 strength beyond which the discriminator's own steps are too large",
        "length^2",
    ),
    "monitor_seconds": (("run", "time"), "time of the analyses since the sample before", "s"),
    "training_seconds": (("run", "time"), "time of the training since the sample before", "s"),
    "monitor_products": (("run", "time"), "products with the training step's Jacobian", "1"),
}
#: larger steps are not told apart
LAST_STEP = 2**53
#: of what a Monitor records, in attribute monitor_version
MONITOR_VERSION = "1"
DIMS = {name: dims for name, (dims, _, _) in _VARIABLES.items()}
ATTRS = {name: (long_name, units) for name, (_, long_name, units) in _VARIABLES.items()}


def variable(name: str, data: Any) -> xr.Variable:
    """A variable of the schema with its dims, long_name and units."""
    long_name, units = ATTRS[name]
    flags = FLAGS if name == "outcome" else {}
    return xr.Variable(DIMS[name], data, {"long_name": long_name, "units": units, **flags})


def validate_runs(ds: xr.Dataset, name: str = "runs") -> xr.Dataset:
    """The dataset with its dims in schema order, after checking it.

    Raises InputError naming the variable, the rule and what was found.
    """

    def refuse(what: str, must: str, found: Any) -> NoReturn:
        raise InputError(f"{name}: {what}", must, found)

    if not isinstance(ds, xr.Dataset):
        rule = "be runs, such as eg.simulate(exp) or eg.open_runs(path)"
        raise InputError(name, rule, repr(ds) if isinstance(ds, str) else type(ds).__name__)
    version = ds.attrs.get("schema_version", SCHEMA_VERSION)
    if str(version) != SCHEMA_VERSION:
        refuse("attribute schema_version", f"be {SCHEMA_VERSION!r}", repr(version))
    if "particles" not in ds and not scalars_of(ds):
        refuse("variable particles", "be present", f"variables {sorted(map(str, ds.variables))}")
    ds = _with_run(ds)
    for variable_name in [v for v in DIMS if v in ds]:
        found, dims = ds[variable_name], DIMS[variable_name]
        if sorted(map(str, found.dims)) != sorted(dims):
            refuse(f"variable {variable_name}", f"have dims {dims}", found.dims)
        if found.dtype.kind not in "fiu":
            refuse(f"variable {variable_name}", "hold real numbers", f"dtype {found.dtype}")
    for dim in DIMS["particles" if "particles" in ds else "loss_generator"]:
        if ds.sizes[dim] == 0:
            refuse(f"dimension {dim}", "have at least one entry", 0)
    if "time" not in ds.coords:
        refuse("coordinate time", "be present", f"coordinates {sorted(map(str, ds.coords))}")
    time = ds["time"].values
    if time.ndim != 1 or time.dtype.kind not in "fiu":
        refuse("coordinate time", "be one number per sample", f"dtype {time.dtype}, shape {time.shape}")
    if not np.all(np.isfinite(time)):
        i = int(np.flatnonzero(~np.isfinite(time))[0])
        refuse("coordinate time", "be finite", f"{time[i]} at sample {i}")
    if not np.all(near := np.abs(time.astype(float)) <= LAST_STEP):
        refuse("coordinate time", "be at most 2^53", f"{time[~near][0]} at sample {int(np.flatnonzero(~near)[0])}")
    back = np.flatnonzero(time[1:] <= time[:-1])  # compared, not subtracted: unsigned steps wrap
    if len(back):
        i = int(back[0])
        refuse("coordinate time", "be increasing", f"{time[i]} before {time[i + 1]} at sample {i}")
    if "particles" in ds and not np.all(finite := np.isfinite(ds["particles"].isel(time=0).values)):
        refuse("variable particles", "be finite at the first time", f"{(~finite).sum()} that are not")
    for weights in ("target_weight", "mass"):
        if weights in ds and not _is_distribution(ds[weights].values):
            refuse(f"variable {weights}", "be positive and sum to 1", f"sum {ds[weights].values.sum()}")
    if "target" in ds and not np.all(np.isfinite(ds["target"].values)):
        refuse("variable target", "be finite", "points that are not")
    _check_monitored(ds, refuse)
    if "outcome" in ds:
        if not np.isin(ds["outcome"].values, FLAGS["flag_values"]).all():
            refuse("variable outcome", f"hold 0 to {len(WORDS) - 1}", f"{sorted(set(ds['outcome'].values.tolist()))}")
        ds = ds.assign(outcome=current(ds["outcome"]))
    if "assignment" in ds:
        given, points = ds["assignment"].values, ds.sizes.get("point")
        if np.any(given != np.floor(given)) or given.min() < 0 or (points is not None and given.max() >= points):
            refuse("variable assignment", "hold indices of target points", f"{given.min()} to {given.max()}")
        ds = ds.assign(assignment=ds["assignment"].astype(np.int64))  # others wrote whole numbers of another type
    return ds.assign({v: ds[v].transpose(*DIMS[v]) for v in DIMS if v in ds})


def decoded(attrs: Mapping[Any, Any], name: str, refuse: Callable[[str, str, Any], NoReturn] | None = None) -> Any:
    """The value of attribute ``notes`` (remarks [first step, last step, text]) or ``monitor`` (settings by name), which
    are JSON; empty where it is not there. Raises InputError."""
    empty: list[Any] | dict[str, Any] = [] if name == "notes" else {}
    rule = "be JSON, " + ("a list of [first step, last step, text]" if name == "notes" else "settings by name")
    try:
        value = json.loads(str(attrs[name])) if name in attrs else empty
        fits = isinstance(value, type(empty))
        if fits and name == "notes":
            fits = all(
                isinstance(note, list) and len(note) == 3 and isinstance(note[2], str)
                and all(isinstance(step, int | float) for step in note[:2]) for note in value
            )  # fmt: skip
    except (ValueError, RecursionError):
        fits = False
    if not fits:
        found = repr(str(attrs.get(name)))
        found = found if len(found) <= 60 else f"{found[:60]}..."
        if refuse is None:
            raise InputError(f"runs: attribute {name}", rule, found)
        refuse(f"attribute {name}", rule, found)
    return value


def _check_monitored(ds: xr.Dataset, refuse: Callable[[str, str, Any], NoReturn]) -> None:
    """What a Monitor records belongs together."""
    said = ds.attrs.get("monitor_version", MONITOR_VERSION)
    if str(said) != MONITOR_VERSION:
        refuse("attribute monitor_version", f"be {MONITOR_VERSION!r}", repr(said))
    if "monitor_version" in ds.attrs:
        for name in ("notes", "monitor"):
            decoded(ds.attrs, name, refuse)
    parts = [n for n in ("multiplier_re", "multiplier_im") if n in ds]
    if len(parts) == 1:
        refuse("variables multiplier_re and multiplier_im", "be there both or not at all", parts[0])
    for part in ("multiplier_share", "kernel_share"):
        if part in ds:
            values = ds[part].values[np.isfinite(ds[part].values)]
            if len(values) and not (values.min() >= -1e-6 and values.max() <= 1 + 1e-6):
                refuse(f"variable {part}", "lie between 0 and 1", f"{values.min()} to {values.max()}")


def finished_status(diverged: np.ndarray, status: str = "finished") -> str:
    """The status of runs that were not interrupted: "finished", or the first step at which one diverged."""
    lost = diverged[diverged >= 0]
    return f"diverged at step {lost.min()}" if status == "finished" and len(lost) else status


def _with_run(ds: xr.Dataset) -> xr.Dataset:
    """A single run may be recorded without the dimension ``run``: then it is added."""
    if ds.sizes.get("run", 1) != 1:
        return ds
    missing = [v for v, dims in DIMS.items() if v in ds and "run" in dims and "run" not in ds[v].dims]
    missing = [v for v in missing if set(ds[v].dims) == set(DIMS[v]) - {"run"}]
    if "particles" not in ds:
        missing += [v for v in scalars_of(ds) if v not in DIMS and ds[v].dims == ("time",)]
    return ds.assign({v: ds[v].expand_dims("run") for v in missing})


def _is_distribution(weights: np.ndarray) -> bool:
    return bool(np.all(weights > 0) and abs(weights.sum() - 1) < 1e-6)
