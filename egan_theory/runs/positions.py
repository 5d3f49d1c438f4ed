"""Runs with particles, and logs of scalars, which have none."""

from __future__ import annotations

import xarray as xr

from ..base.errors import InputError


def scalars_of(ds: xr.Dataset) -> list[str]:
    """The names of variables (run, time), or (time,) of one run."""
    return [str(n) for n, v in ds.data_vars.items() if "time" in v.dims and {*v.dims} <= {"run", "time"}]


def with_positions(ds: xr.Dataset) -> xr.Dataset:
    """The runs, if they hold particles. Raises InputError for a log of scalars, which nothing that is predicted of
    positions can be compared with."""
    if "particles" in ds:
        return ds
    count = len(scalars_of(ds))
    losses = [n for n in ("loss_discriminator", "loss_generator") if n in ds]
    use = "eg.plot.losses draws its losses" if losses else "its scalars have no prediction"
    must = "be present: modes, rates, outcomes and clouds are of positions"
    raise InputError("runs: variable particles", must, f"a log of {count} scalar{'s' * (count != 1)}; {use}")
