"""The Zarr store of a sweep: made whole, filled batch by batch, continued after anything.

One chunk of every variable is one batch. Chunks are written to a temporary name and renamed (Zarr's LocalStore), the
batch's status last: a batch is complete when its chunk of ``status`` is there, and nothing half-written is ever read.
Nothing in the store depends on when or by how many workers it was filled.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..base.errors import EganError, InputError, described
from ..base.files import check_output_folder, synchronised
from ..experiment import Experiment
from ..runs.outcome import FLAGS, UNKNOWN
from ..runs.schema import variable
from .batch import STATUS, columns
from .plan import SWEEP_VERSION, Plan, digest, plan_text, read_plan

#: versions of the layout that can be read, with the arrays of today's that they lack
READABLE: dict[str, tuple[str, ...]] = {"1": ("outcome",), SWEEP_VERSION: ()}
#: entries in one chunk of an axis
COORDINATE_CHUNK = 1_000_000


def create(path: Path, plan: Plan) -> None:
    """A store with every cell pending, made beside ``path`` and renamed to it."""
    import zarr

    new = path.resolve().with_name(f".{path.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        coordinates = plan.columns(np.arange(plan.cells))
        names = {path: path.replace(".", "_") for path in coordinates} | {"run.seed": "seed"}
        times = ["time"] * plan.record
        attrs = plan.attrs | {"coordinates": " ".join([*names.values(), *times])}
        group = zarr.open_group(new, mode="w-", zarr_format=3, attributes=attrs)
        for field, values in coordinates.items():
            _array(group, names[field], ("cell",), values, long_name=field, units="1")
        if plan.record:
            unit = "time" if plan.exp.update_rule.continuous else "step"
            values = np.arange(plan.sizes["time"]) * float(plan.exp.run.record_every)
            _array(group, "time", ("time",), values, long_name="training time", units=unit)
        for name, column in columns(plan).items():
            shape = tuple(plan.sizes[d] for d in column.dims)
            attributes: dict[str, Any] = {"long_name": column.long_name, "units": column.units}
            if name == "status":
                attributes |= {"flag_values": list(range(len(STATUS))), "flag_meanings": " ".join(STATUS)}
            if name == "outcome":
                attributes |= {"flag_values": FLAGS["flag_values"].tolist(), "flag_meanings": FLAGS["flag_meanings"]}
            group.create_array(
                name, shape=shape, chunks=(plan.batch, *shape[1:]), dtype=column.dtype, fill_value=column.fill,
                dimension_names=column.dims, attributes=attributes, config={"write_empty_chunks": True},
            )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that consolidated metadata are not in Zarr's specification yet
            zarr.consolidate_metadata(group.store)
        new.rename(path.resolve())
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise EganError(f"{path}: the sweep could not be begun: {_why(error)}") from None


def _array(group: Any, name: str, dims: tuple[str], values: np.ndarray, **attributes: str) -> None:
    array = group.create_array(
        name, shape=values.shape, chunks=(min(len(values), COORDINATE_CHUNK),), dtype=values.dtype,
        dimension_names=dims, attributes=attributes, config={"write_empty_chunks": True},
    )  # fmt: skip
    array[:] = values


def prepare(path: Path, plan: Plan, *, resume: bool, overwrite: bool) -> None:
    """Make the store, or check that the one there belongs to the plan.

    Raises InputError: a store that is there without being asked for, or of another experiment or grid (the field).
    """
    if resume and overwrite:
        raise InputError("--resume", "not be given together with --overwrite")
    check_output_folder(path)
    with locked(path.resolve().parent, wait=True):  # two that begin the same store would build it in the same place
        _prepare(path, plan, resume, overwrite)


def _prepare(path: Path, plan: Plan, resume: bool, overwrite: bool) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        found = stored_attrs(path, "output")
        if overwrite:
            gone = path.resolve().with_name(f".{path.name}.new")
            shutil.rmtree(gone, ignore_errors=True)
            with locked(path):  # or another sweep would go on into nothing
                path.resolve().rename(gone)
            shutil.rmtree(gone)
        elif not resume:
            rule = "not be there yet (--resume continues it, --overwrite begins anew)"
            raise InputError("output", rule, f"a sweep in {path}")
        else:
            check_same(found, plan, path)
            open_sweep(path)  # which checks its arrays
            return
    elif path.exists():
        path.rmdir()
    create(path, plan)


def check_same(found: dict[str, Any], plan: Plan, path: Path) -> None:
    """Raise InputError naming the first field in which a store's sweep is another one than the plan's."""
    wanted = plan.attrs
    check_experiment(found, plan.exp, path)
    if found["sweep_version"] != SWEEP_VERSION:
        rule = f"have sweep_version {SWEEP_VERSION!r} to be continued (it can be read)"
        raise InputError("output", rule, repr(found["sweep_version"]))
    names = (("axes", "vary"), ("seeds", "seeds"), ("record", "record"), ("batch", "batch"), ("versions", "versions"))
    for key, field in names:
        if found[key] != wanted[key]:
            raise InputError(field, f"be that of {path}, {_axes(found[key])}", _axes(wanted[key]))


def check_experiment(found: dict[str, Any], exp: Experiment, path: Path) -> None:
    """Raise InputError naming the first field in which a store's experiment differs from this one."""
    theirs = read_plan(plan_text(found)).exp
    for field, ours, other in _differences(exp.model_dump(mode="json"), theirs.model_dump(mode="json")):
        raise InputError(field, f"be {other!r} as in {path}", repr(ours))
    if digest(exp) != found["target_sha256"]:
        raise InputError("target", f"have the points that {path} was begun with", "others in its file")


def _differences(ours: dict, theirs: dict, parent: str = "") -> Iterator[tuple[str, Any, Any]]:
    for key in [*ours, *(k for k in theirs if k not in ours)]:
        a, b = ours.get(key), theirs.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _differences(a, b, f"{parent}{key}.")
        elif a != b:
            yield parent + key, a, b


def _axes(value: Any) -> str:
    """Axes as they are given on the command line; other attributes as they are."""
    if not isinstance(value, list):
        return str(value)
    words = [f"{a['path']}={min(a['values'])}:{max(a['values'])}:{len(a['values'])}{':log' * a['log']}" for a in value]
    return " and ".join(words) or "no axis"


def stored_attrs(path: str | Path, field: str = "sweep") -> dict[str, Any]:
    """The attributes of a sweep store. Raises InputError for anything else."""
    import zarr

    try:
        attrs: dict[str, Any] = dict(zarr.open_group(Path(path), mode="r").attrs)
    except Exception as error:  # Zarr has many words for what is no group
        raise InputError(field, "be the Zarr store of a sweep", f"{path}: {error}") from None
    if "sweep_version" not in attrs:
        raise InputError(field, "be the Zarr store of a sweep", f"another Zarr group, {path}")
    if attrs["sweep_version"] not in list(READABLE):  # which may be of any type
        raise InputError(field, f"have sweep_version {' or '.join(READABLE)}", described(attrs["sweep_version"]))
    for name in ("versions", "schema_version"):
        if not isinstance(attrs.get(name), str):
            raise InputError(f"{path}: attribute {name}", "be a string", described(attrs.get(name)))
    try:
        read_plan(plan_text(attrs))
    except InputError as error:
        raise InputError(f"{path}: {error.field}", error.must, error.found) from None
    return attrs


def is_sweep(path: str | Path) -> bool:
    """Whether there is a Zarr group, which only a sweep's store can be."""
    with suppress(OSError, ValueError):
        return (Path(path) / "zarr.json").is_file()
    return False


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[None]:
    """Nobody else fills this store meanwhile (where the system has such locks): whoever does is waited for, or
    InputError. A killed process leaves no lock."""
    try:
        import fcntl
    except ImportError:  # a system without them
        yield
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise _in_use(path) from None
        except OSError:  # a file system without locks
            pass
        else:
            if not (path.exists() and os.path.samestat(os.fstat(handle), os.stat(path))):
                raise _in_use(path)  # by one that has just put another store in its place
        yield
    finally:
        os.close(handle)


def _in_use(path: Path) -> InputError:
    return InputError("output", "not be in use", f"another process that fills {path}")


def remove_leftovers(path: Path) -> None:
    """Delete what a kill left half-written. Only with the store locked: a writer's own are such files, too."""
    for leftover in path.rglob("*.partial"):
        leftover.unlink(missing_ok=True)


def todo(path: Path, plan: Plan) -> list[int]:
    """The batches that are not complete."""
    try:
        done = {int(p.name) for p in (path / "status" / "c").iterdir() if p.name.isdigit()}
    except FileNotFoundError:
        done = set()
    return [i for i in range(plan.batches) if i not in done]


class Writer:
    """Writes batches into a store."""

    def __init__(self, path: Path, plan: Plan) -> None:
        import zarr

        group: Any = zarr.open_group(path, mode="r+", use_consolidated=False)
        self.path, self.plan = path, plan
        config = {"write_empty_chunks": True}
        self.arrays = {name: group[name].with_config(config) for name in columns(plan)}

    def write(self, batch: int, values: dict[str, np.ndarray]) -> None:
        """Raises EganError, one line, when the file system refuses (a full disk)."""
        cells = self.plan.span(batch)
        try:
            for name, array in self.arrays.items():  # status is the last
                array[cells.start : cells.stop] = values[name]
                self._sync(name, batch)
        except OSError as error:
            remove_leftovers(self.path)
            left = len(todo(self.path, self.plan))
            stored = f"{self.plan.batches - left} of {self.plan.batches} batches are stored and can be read"
            raise EganError(f"{self.path}: {_why(error)}; {stored}, --resume continues when there is room") from None

    def _sync(self, name: str, batch: int) -> None:
        """See the batch's chunk onto the disk, so that a machine that loses power leaves no status without its data."""
        chunk = self.path / name / "c" / str(batch)
        for path in (chunk, *chunk.rglob("*"), chunk.parent):
            with suppress(FileNotFoundError):
                synchronised(path)


def _why(error: OSError) -> str:
    return error.strerror or str(error)


# -- reading -----------------------------------------------------------------------------------------------------


def open_sweep(path: str | Path) -> xr.Dataset:
    """The store as a Dataset over ``cell``, read when used; backed by dask where that is installed.

    Coordinates: the value of each axis (dots as "_") and ``seed`` of every cell. ``final``, order parameters,
    ``diverged_at`` and ``outcome`` (outcome.Outcome; -1: none) per (cell, run); ``status`` (0 pending, 1 done, 2 done
    and a run diverged, 3 failed), ``reason``; for kicked starts ``rate``, ``rate_stderr``, ``predicted_rate``; recorded
    sweeps also have the variables of the run schema. Cells not simulated yet are NaN. ``sweep_grid`` puts variables on
    the axes, ``sweep_runs`` gives one cell's runs.
    Raises InputError for what is no sweep.
    """
    attrs = stored_attrs(path)
    try:
        import dask.array  # noqa: F401

        chunks: dict | None = {}
    except ImportError:
        chunks = None
    with _readable(path):
        ds = xr.open_dataset(Path(path), engine="zarr", chunks=chunks, decode_times=False, mask_and_scale=False)
        ds = ds.assign_coords({name: coordinate.load() for name, coordinate in ds.coords.items()})
    _check_arrays(ds, read_plan(plan_text(attrs)), path, READABLE[attrs["sweep_version"]])
    return ds.assign_attrs({k: v for k, v in attrs.items() if k != "coordinates"})


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    """Raise InputError where Zarr cannot read what is stored."""
    try:
        yield
    except Exception as error:  # Zarr, its codecs and xarray fail in many ways on what is not whole
        raise InputError(str(path), "be a Zarr store that can be read", f"{type(error).__name__}: {error}") from None


def _check_arrays(ds: xr.Dataset, plan: Plan, path: str | Path, lacking: tuple[str, ...]) -> None:
    """Raise InputError unless the store has the arrays of its plan, but for those that its version lacks."""
    expected: dict[str, tuple[tuple[str, ...], str]] = {
        name: (c.dims, np.dtype(c.dtype).kind) for name, c in columns(plan).items()
    }
    coordinates = [*(axis.path.replace(".", "_") for axis in plan.axes), "seed"]
    expected |= {name: (("cell",), "fi") for name in coordinates} | ({"time": (("time",), "f")} if plan.record else {})
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
    with _readable(ds.encoding.get("source", "sweep")):
        ds = ds.load()
    for name, codes in (("status", range(len(STATUS))), ("outcome", [UNKNOWN, *FLAGS["flag_values"]])):
        if name in ds and not np.isin(ds[name], list(codes)).all():
            raise InputError(f"sweep: array {name}", f"hold numbers from {min(codes)} to {max(codes)}", "others")
    return ds


def plan_of(ds: xr.Dataset) -> Plan:
    """The plan that a sweep's Dataset was made by."""
    if "sweep_version" not in ds.attrs:
        raise InputError("sweep", "be a Dataset of open_sweep", f"attributes {sorted(map(str, ds.attrs))}")
    return read_plan(plan_text(ds.attrs))


def sweep_grid(ds: xr.Dataset) -> xr.Dataset:
    """A sweep's variables, ``cell`` unfolded to one dim per axis (dots as "_", in the order given) and ``seed``.

    Reads the variables it is given: choose them first, ``sweep_grid(ds[["covered", "status"]])``.
    """
    plan = plan_of(ds)
    stored = ["seed", *(plan.axes[i].path.replace(".", "_") for i in plan.order)]
    wanted = [*(a.path.replace(".", "_") for a in plan.axes), "seed"]
    out: dict[Any, Any] = {}
    for name, array in loaded(ds).data_vars.items():
        if "cell" not in array.dims:
            out[name] = array
            continue
        values = array.transpose("cell", ...).values
        rest = [d for d in array.dims if d != "cell"]
        whole = xr.Variable((*stored, *rest), values.reshape(*plan.shape, *values.shape[1:]), array.attrs)
        out[name] = whole.transpose(*wanted, *rest)
    axes = {
        a.path.replace(".", "_"): (a.path.replace(".", "_"), np.array(a.values),
                                   {"long_name": a.path, "units": "1", "log": int(a.log)})
        for a in plan.axes
    }  # fmt: skip
    seeds = ("seed", plan.exp.run.seed + np.arange(plan.seeds), {"long_name": "run.seed", "units": "1"})
    return xr.Dataset(out, coords=axes | {"seed": seeds}, attrs=ds.attrs)


def sweep_runs(ds: xr.Dataset, cell: int) -> tuple[Experiment, xr.Dataset]:
    """(experiment, runs) of one cell of a recorded sweep, the runs in the run schema. Raises InputError."""
    from ..experiment.provenance import provenance

    plan = plan_of(ds)
    if not plan.record:
        raise InputError("sweep", "be recorded (--record) for the trajectories of a cell", "final states only")
    if not 0 <= cell < plan.cells:
        raise InputError("cell", f"be 0 to {plan.cells - 1}", cell)
    own = loaded(ds.isel(cell=cell))
    if int(own["status"]) not in (1, 2):
        why = str(own["reason"].values) or STATUS[int(own["status"])]
        raise InputError(f"cell {cell}", "be simulated", why)
    exp = plan.member(cell)
    lost = own["diverged_at"].values
    status = f"diverged at step {lost[lost >= 0].min()}" if np.any(lost >= 0) else "finished"
    keep = dict(run=slice(exp.run.runs), particle=slice(exp.generator.particles), component=slice(exp.dimension))
    names = ["particles", "discriminator", "force", "diverged_at", *(["outcome"] if "outcome" in own else [])]
    runs = own[names].isel(keep)
    runs = runs.assign(
        target=variable("target", exp.points.coordinates),
        target_weight=variable("target_weight", exp.points.weights),
        mass=variable("mass", exp.masses),
    )
    if exp.run.start == "kick":
        runs["assignment"] = variable("assignment", exp.assignment)
    attrs = {**provenance(exp), "status": status, "start": exp.run.start, "rule": exp.update.rule}
    runs = runs.drop_vars([c for c in runs.coords if c != "time"])
    runs.attrs = attrs
    return exp, runs


__all__ = ["open_sweep", "sweep_grid", "sweep_runs"]
