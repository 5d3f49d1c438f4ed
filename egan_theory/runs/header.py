"""What a recording has from its first sample to its last: what does not change with time, and its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..base.arrays import numbers
from ..base.errors import InputError
from ..experiment import Experiment
from ..experiment.provenance import SCHEMA_VERSION, provenance, versions
from .schema import DIMS, validate_runs, variable
from .unfinished import KEY

#: says that a file was written by RunWriter, so that it can be continued
RECORDER = "egan_theory.RunWriter"


def free(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes that may be given. Raises InputError."""
    taken = {"schema_version", "versions", "recorder", "experiment", "seed", "status", "rewound", "notes", KEY}
    for name, value in attrs.items():
        if name in taken or not isinstance(value, str | int | float):
            raise InputError("attrs", "be texts or numbers under names that the schema leaves free", name)
    return dict(attrs)


def header_of(
    exp: Experiment | None, target: Any, target_weight: Any, assignment: Any, mass: Any, seed: int | None
) -> xr.Dataset:
    """What does not change with time, and the attributes. Raises InputError."""
    if exp is not None:
        if target is None and target_weight is None:
            target, target_weight = exp.points.coordinates, exp.points.weights
        mass = exp.masses if mass is None else mass
    given = {"target": target, "target_weight": target_weight, "assignment": assignment, "mass": mass}
    attrs = {"schema_version": SCHEMA_VERSION, "versions": versions(), "recorder": RECORDER}
    if exp is not None:
        attrs["experiment"] = provenance(exp)["experiment"]
    ds = xr.Dataset(attrs=attrs | ({} if seed is None else {"seed": seed}))
    for name, value in given.items():
        if value is not None:
            data = numbers(name, value)
            if name == "target" and data.ndim == 1:
                data = data[:, None]
            if data.ndim != len(DIMS[name]):
                raise InputError(name, f"have dims {DIMS[name]}", f"shape {data.shape}")
            if name == "assignment":
                if data.dtype.kind not in "iu":
                    raise InputError(name, "hold integers", f"dtype {data.dtype}")
                data = data.astype(np.int64)
            for dim, n in zip(DIMS[name], data.shape, strict=True):
                if n != ds.sizes.get(dim, n) or n == 0:
                    raise InputError(name, f"have {ds.sizes.get(dim, 'at least 1')} entries along {dim}", n)
            ds[name] = variable(name, data)
    # the schema's own rules, with a particle at the origin standing in for those to come
    N, d = ds.sizes.get("particle", 1), ds.sizes.get("component", 1)
    validate_runs(
        ds.assign(particles=variable("particles", np.zeros((1, 1, N, d)))).assign_coords(time=[0]), "RunWriter"
    )
    return ds


def check_same(found: xr.Dataset, given: xr.Dataset, where: Path) -> None:
    """Raise InputError unless what was given is what the recording to resume was begun with."""
    rule, other = "be that of the recording to resume", f"another one in {where}"
    if found.attrs.get("experiment") != given.attrs.get("experiment", found.attrs.get("experiment")):
        raise InputError("experiment", rule, other)
    if "seed" in given.attrs and found.attrs.get("seed") != given.attrs["seed"]:
        raise InputError("seed", f"{rule}, {found.attrs.get('seed', 'which has none')}", given.attrs["seed"])
    for name, value in given.data_vars.items():
        if name not in found or not np.array_equal(value, found[name]):
            raise InputError(str(name), rule, other)
