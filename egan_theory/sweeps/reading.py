"""A sweep's store read: opened lazily, put on the axes of its grid, cell by cell as runs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..base.dataset import ShownDataset, shown
from ..base.errors import InputError, described
from ..base.ram import check_size
from ..experiment import Experiment
from ..experiment.provenance import differences, provenance
from ..runs.outcome import FLAGS, UNKNOWN, current
from ..runs.schema import finished_status, variable
from ..runs.store import ROOT, attributes, is_store, readable
from ..runs.unfinished import is_recording
from .batch import DIVERGED, DONE, RECORDED, STATUS, columns, coordinates
from .complete import Checked
from .plan import SWEEP_VERSION, Plan, digest, plan_text, read_plan

#: versions of the layout that can be read, with the arrays of today's that they lack
READABLE: dict[str, tuple[str, ...]] = {"1": ("outcome",), "2": (), "3": (), SWEEP_VERSION: ()}
#: the attribute that holds the checksum of the root file
DIGEST = "digest"


def metadata_digest(data: dict[str, Any], attrs: dict[str, Any]) -> str:
    """Of what the root file of a store says, with these attributes."""
    text = json.dumps(data | {"attributes": attrs}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _check_whole(path: str | Path, attrs: dict[str, Any]) -> None:
    """Raise InputError unless attributes and metadata are those that were written."""
    if attrs["sweep_version"] != SWEEP_VERSION and DIGEST not in attrs:
        return  # stores of the versions before do not tell
    file = Path(path) / ROOT
    own = {name: value for name, value in attrs.items() if name != DIGEST}
    if metadata_digest(json.loads(file.read_bytes()), own) != attrs.get(DIGEST):
        raise InputError(str(file), "be as it was written", "a checksum that says otherwise")


def stored_attrs(path: str | Path, field: str = "sweep", *, whole: bool = True) -> dict[str, Any]:
    """The attributes of a sweep store. Raises InputError for anything else; with ``whole`` also where the metadata of
    its arrays are damaged."""
    try:
        attrs = attributes(path)
    except InputError:
        raise
    except Exception as error:  # Zarr has many words for what is no group
        raise InputError(field, "be the Zarr store of a sweep", f"{path}: {error}") from None
    if "sweep_version" not in attrs:
        raise InputError(field, "be the Zarr store of a sweep", f"another Zarr group, {path}")
    if attrs["sweep_version"] not in list(READABLE):  # which may be of any type
        found = f"{described(attrs['sweep_version'])}, {path}"
        raise InputError(field, f"have sweep_version {' or '.join(READABLE)}", found)
    for name in ("versions", "schema_version"):
        if not isinstance(attrs.get(name), str):
            raise InputError(f"{path}: attribute {name}", "be a string", described(attrs.get(name)))
    try:
        read_plan(plan_text(attrs))
    except InputError as error:
        raise InputError(f"{path}: {error.field}", error.must, error.found) from None
    if whole:
        _check_whole(path, attrs)
    return attrs


def is_sweep(path: str | Path) -> bool:
    """Whether there is a Zarr group that is not the store of a recording."""
    return is_store(path) and not is_recording(path)


def check_experiment(found: dict[str, Any], exp: Experiment, path: Path) -> None:
    """Raise InputError naming the first field in which a store's experiment differs from this one."""
    for field, ours, theirs in differences(exp, read_plan(plan_text(found)).exp):
        raise InputError(field, f"be {theirs!r} as in {path}", repr(ours))
    if digest(exp) != found["target_sha256"]:
        raise InputError("target", f"have the points that {path} was begun with", "others in its file")


@shown
def open_sweep(path: str | Path) -> xr.Dataset:
    """The store as a Dataset over ``cell``, read when used; backed by dask where that is installed.

    Cells not simulated yet are NaN. ``sweep_grid`` puts variables on the axes, ``sweep_runs`` gives one cell's runs.

    Returns:
        A Dataset whose arrays are read from the store when they are used.

    Shapes:
        - the value of each axis (cell), dots as "_", and seed (cell): coordinates
        - final (cell, run, particle, component) [length], diverged_at (cell, run) [step]
        - covered (cell, run) and the measures of ``eg.order_parameters`` (cell, run)
        - outcome (cell, run): eg.Outcome; -1: none
        - status (cell): 0 pending, 1 done, 2 done and a run diverged, 3 failed; reason (cell)
        - rate (cell), rate_stderr (cell), predicted_rate (cell) [1/step; flow: 1/time]: of kicked starts
        - recorded sweeps: the variables of the run schema with ``cell`` in front

    Units:
        Attribute ``units`` of each variable; axes in the unit of their field.

    Raises:
        InputError: no sweep there, or one that lacks an array of its plan.

    Source:
        none, it only reads a store.
    """
    attrs = stored_attrs(path)
    try:
        import dask.array  # noqa: F401

        chunks: dict | None = {}
    except ImportError:
        chunks = None
    plan = read_plan(plan_text(attrs))
    check_size(str(path), 8 * plan.cells * (len(plan.axes) + 1), "have cells that fit in memory", "their coordinates")
    store: Any = Checked.of(Path(path), columns(plan), recorded=DIGEST in attrs)
    with readable(path):
        # the plan knows the coordinates: what is stored is not read, nor what would be the index of a dimension
        along = [*(axis.name for axis in plan.axes), "seed", *_strangers(Path(path), plan)]
        ds = xr.open_dataset(
            store, engine="zarr", chunks=chunks, decode_times=False, mask_and_scale=False, drop_variables=along,
            zarr_format=3,
        )  # fmt: skip
    _check_arrays(ds, plan, path, READABLE[attrs["sweep_version"]])
    ds = ds.assign_coords(coordinates(plan)).assign_attrs(
        {k: v for k, v in attrs.items() if k not in ("coordinates", DIGEST)}
    )
    ds.encoding["source"] = str(path)
    return ds


def _strangers(path: Path, plan: Plan) -> set[str]:
    """Arrays of a store that are none of its plan's."""
    root = json.loads((path / ROOT).read_bytes())
    named = ((root.get("consolidated_metadata") or {}).get("metadata") or {}).keys()
    return {*named, *(item.name for item in path.iterdir() if item.is_dir())} - set(columns(plan))


def _check_arrays(ds: xr.Dataset, plan: Plan, path: str | Path, lacking: tuple[str, ...]) -> None:
    """Raise InputError unless the store has the arrays of its plan, but for those that its version lacks."""
    expected: dict[str, tuple[tuple[str, ...], str]] = {
        name: (c.dims, np.dtype(c.dtype).kind) for name, c in columns(plan).items()
    }
    for name, (dims, kinds) in expected.items():
        if name in lacking:
            continue
        if name not in ds.variables:
            raise InputError(f"{path}: array {name}", "be present", f"arrays {sorted(map(str, ds.variables))}")
        found, shape = ds[name], tuple(plan.sizes[dim] for dim in dims)
        if found.dims != dims or found.shape != shape:
            raise InputError(f"{path}: array {name}", f"have dims {dims} of sizes {shape}", dict(found.sizes))
        if found.dtype.kind not in kinds and not (kinds == "U" and found.dtype.kind in "OT"):
            raise InputError(f"{path}: array {name}", "be of its type", found.dtype)


def loaded(ds: xr.Dataset) -> xr.Dataset:
    """Variables of a sweep, in memory. Raises InputError where chunks are damaged."""
    source = str(ds.encoding.get("source", "sweep"))
    check_size(source, ds.nbytes, "have variables that fit in memory", "those asked for")
    with readable(source):
        ds = ds.load()
    for name, codes in (("status", range(len(STATUS))), ("outcome", [UNKNOWN, *FLAGS["flag_values"]])):
        if name in ds and not np.isin(ds[name], list(codes)).all():
            raise InputError(f"sweep: array {name}", f"hold numbers from {min(codes)} to {max(codes)}", "others")
    return ds.assign(outcome=current(ds["outcome"])) if "outcome" in ds else ds


def plan_of(ds: xr.Dataset) -> Plan:
    """The plan that a sweep's Dataset was made by."""
    if "sweep_version" not in ds.attrs:
        raise InputError("sweep", "be a Dataset of open_sweep", f"attributes {sorted(map(str, ds.attrs))}")
    return read_plan(plan_text(ds.attrs))


@shown
def sweep_grid(ds: xr.Dataset) -> xr.Dataset:
    """A sweep's variables, ``cell`` unfolded to one dim per axis (dots as "_", in the order given) and ``seed``.

    Reads the variables it is given: choose them first, ``sweep_grid(ds[["covered", "status"]])``.

    Returns:
        A Dataset in memory.

    Shapes:
        Each variable (cell, ...) becomes (first axis, second axis, ..., seed, ...).

    Units:
        Kept: attribute ``units`` of each variable; axes in the unit of their field.

    Raises:
        InputError: a Dataset that is none of ``open_sweep``, or damaged chunks.

    Source:
        none, it only reads a store.
    """
    plan = plan_of(ds)
    stored = ["seed", *(plan.axes[i].name for i in plan.order)]
    wanted = [*(axis.name for axis in plan.axes), "seed"]
    out: dict[Any, Any] = {}
    for name, array in loaded(ds).data_vars.items():
        if "cell" not in array.dims:
            out[name] = array
            continue
        values = array.transpose("cell", ...).values
        rest = [d for d in array.dims if d != "cell"]
        whole = xr.Variable((*stored, *rest), values.reshape(*plan.shape, *values.shape[1:]), array.attrs)
        out[name] = whole.transpose(*wanted, *rest)
    axes = {axis.name: axis.coordinate(axis.name) for axis in plan.axes}
    seeds = ("seed", plan.exp.run.seed + np.arange(plan.seeds), {"long_name": "run.seed", "units": "1"})
    return xr.Dataset(out, coords=axes | {"seed": seeds}, attrs=ds.attrs)


def sweep_runs(ds: xr.Dataset, cell: int) -> tuple[Experiment, xr.Dataset]:
    """(experiment, runs) of one cell of a recorded sweep, the runs in the run schema.

    Returns:
        The cell's experiment and a Dataset that ``eg.compare`` takes.

    Shapes:
        runs: particles (run, time, particle, component) and the rest of the run schema.

    Units:
        Attribute ``units`` of each variable; time in steps (flow: units of time).

    Raises:
        InputError: a sweep without recordings, a cell that is none, or one that failed or is pending.

    Source:
        none, it only reads a store.
    """
    plan = plan_of(ds)
    if not plan.record:
        raise InputError("sweep", "be recorded (--record) for the trajectories of a cell", "final states only")
    if not 0 <= cell < plan.cells:
        raise InputError("cell", f"be 0 to {plan.cells - 1}", cell)
    own = loaded(ds.isel(cell=cell))
    if int(own["status"]) not in (DONE, DIVERGED):
        why = str(own["reason"].values) or STATUS[int(own["status"])]
        raise InputError(f"cell {cell}", "be simulated", why)
    exp = plan.member(cell)
    keep = dict(run=slice(exp.run.runs), particle=slice(exp.generator.particles), component=slice(exp.dimension))
    runs = own[[name for name in (*RECORDED, "diverged_at", "outcome") if name in own]].isel(keep)
    runs = runs.assign(
        target=variable("target", exp.points.coordinates),
        target_weight=variable("target_weight", exp.points.weights),
        mass=variable("mass", exp.masses),
    )
    if exp.run.start == "kick":
        runs["assignment"] = variable("assignment", exp.assignment)
    runs = runs.drop_vars([c for c in runs.coords if c != "time"])
    status = finished_status(own["diverged_at"].values)
    runs.attrs = {**provenance(exp), "status": status, "start": exp.run.start, "rule": exp.update.rule}
    return exp, ShownDataset.of(runs)


__all__ = ["open_sweep", "sweep_grid", "sweep_runs"]
