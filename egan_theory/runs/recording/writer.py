"""The writer: one sample at a time, checked, copied, and written when a chunk is full."""

from __future__ import annotations

import shutil
import time as clock
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ...base.arrays import numbers, stored
from ...base.errors import InputError
from ...base.files import check_output
from ...experiment import Experiment
from ...experiment.provenance import SCHEMA_VERSION, provenance, versions
from ..schema import DIMS, validate_runs, variable
from .claim import RECORDER, Claim, unjoin
from .parts import HEADER, TEMPORARY, Parts, WriteError, parts_of, reason, survey, write_part

#: a chunk is written when it has this many samples, or this many bytes, unless told otherwise
CHUNK, CHUNK_BYTES = 100, 16 * 2**20
#: ... or when this many seconds have passed since its first sample
SECONDS = 60.0
#: what a rule adds where images are given
_FLAT = "; images as rows of numbers, x.reshape(N, -1)"
#: what belongs to the state: at every sample or at none; anything else may be logged now and then
STATE = ("particles", "discriminator", "force")


class RunWriter:
    """Write the run schema (egan_theory.runs.schema) from a training loop of your own; a context manager.

    ``experiment``: recorded with the runs; gives target, masses and the unit of time, and the particles must fit it.
    ``target`` (point, component), ``target_weight`` (point,), ``assignment`` (particle,), ``mass`` (particle,): as in
    the schema; give ``assignment`` only if particle i belongs to that target point at equilibrium.
    ``seed``: recorded with the runs, as the seed of your loop.
    ``chunk``: samples per chunk; default 100, fewer where they are large. A chunk is also written, at the next ``log``,
    when ``seconds`` have passed since it was begun.

    Chunks lie in the folder ``<path>.parts`` until ``close`` joins them into the file ``path``; ``open_runs``, and so
    `egan compare` and `egan report`, read such an unfinished recording by the same name. Leaving the ``with`` block by
    an exception, Ctrl-C included, joins what was logged with status "interrupted".

    ``resume``: continue after the last complete chunk of an unfinished recording, or at the end of a finished one;
    begin a new one where there is none. ``last`` is the last step recorded (None: none): skip ``log`` up to it.
    ``at``: the step of the checkpoint that training goes on from, with ``resume``. What was recorded after it is of a
    trajectory that is given up: it is cut off (a whole chunk or none at a time, so that a kill in between leaves a
    recording that is longer, not broken), and attribute "rewound" says so. Without ``at`` samples of the old trajectory
    stay, and those of the new one follow.

    Raises InputError: a path that exists already, is being recorded by another writer (POSIX), or lies nowhere;
    WriteError where the disk is full: what was written stays readable, and the chunk in memory is tried again by the
    next ``flush`` or ``close``.
    """

    def __init__(
        self,
        path: str | Path,
        experiment: Experiment | None = None,
        *,
        target: Any = None,
        target_weight: Any = None,
        assignment: Any = None,
        mass: Any = None,
        seed: int | None = None,
        chunk: int | None = None,
        seconds: float = SECONDS,
        resume: bool = False,
        at: float | None = None,
    ) -> None:
        if experiment is not None and not isinstance(experiment, Experiment):
            raise InputError("experiment", "be an Experiment", type(experiment).__name__)
        if chunk is not None and not (isinstance(chunk, int | np.integer) and chunk >= 1):
            raise InputError("chunk", "be an integer of at least 1", repr(chunk))
        if seed is not None and not isinstance(seed, int | np.integer):
            raise InputError("seed", "be an integer", repr(seed))
        if not (isinstance(seconds, int | float) and seconds > 0):
            raise InputError("seconds", "be > 0", repr(seconds))
        if at is not None:
            _check_checkpoint(at, resume)
        self.path = check_output(path, field="path")
        self.folder = parts_of(self.path)
        self._exp, self._chunk, self._seconds = experiment, chunk, seconds
        self._samples: list[tuple[float, dict[str, np.ndarray]]] = []
        self._begun = 0.0
        self._shapes: dict[str, tuple[int, ...]] = {}  # per sample, with the run axis
        self._state: frozenset[str] | None = None
        self._diverged: np.ndarray | None = None
        self._files = 0
        self._closed = False
        self._unit = "time" if experiment is not None and experiment.update_rule.continuous else "step"
        self.last: float | None = None
        header = self._header(target, target_weight, assignment, mass, seed)
        self._lock = Claim(self.path, self.folder, resume)
        try:
            self._begin(header, resume, at)
        except BaseException:
            self._lock.release()
            raise

    def log(
        self,
        step: float,
        particles: Any,
        *,
        discriminator: Any = None,
        force: Any = None,
        loss_discriminator: Any = None,
        loss_generator: Any = None,
        parameters_discriminator: Any = None,
        parameters_generator: Any = None,
        **scalars: Any,
    ) -> None:
        """Record one sample; everything is copied.

        ``step``: number of generator steps done (flow: the time), increasing. ``particles``: (N, d) for one run,
        (run, N, d) for several, (N,) for one run in one dimension; images as rows of numbers, x.reshape(N, -1).
        ``discriminator`` D - D* and ``force`` grad D at the particles: (N,) and (N, d), or with the run axis; at every
        sample or at none. Losses and other ``scalars``: a number, or (run,). Parameters: (P,) or (run, P). What is not
        given at a sample is NaN there.

        Arrays: what numpy.asarray takes, and tensors with detach() and cpu(); stored in their own precision.
        A run whose particles, discriminator or force are not finite has diverged: NaN from then on.
        Raises InputError (nothing of the sample is recorded then), WriteError.
        """
        if self._closed:
            raise InputError("log", "be called before close", f"{self.path} is closed")
        now = self._step(step)
        given = {
            "discriminator": discriminator,
            "force": force,
            "loss_discriminator": loss_discriminator,
            "loss_generator": loss_generator,
            "parameters_discriminator": parameters_discriminator,
            "parameters_generator": parameters_generator,
            **scalars,
        }
        for name in scalars:
            _check_scalar_name(name)
        sample = {"particles": self._particles(particles)}
        runs = sample["particles"].shape[0]
        sample |= {n: self._array(n, v, sample["particles"].shape) for n, v in given.items() if v is not None}
        state = frozenset(STATE) & sample.keys()
        if self._state is not None and state != self._state:
            name = min(state ^ self._state)
            raise InputError(name, "be given at every sample or at none", f"step {step} {_with(name in state)} it")
        diverged = np.full(runs, -1) if self._diverged is None else self._diverged.copy()
        bad = ~np.all([np.isfinite(sample[n]).reshape(runs, -1).all(1) for n in sorted(state)], axis=0)
        if self.last is None and bad.any():
            raise InputError("particles", "be finite at the first step, with discriminator and force", "values not so")
        diverged[bad & (diverged < 0)] = int(np.ceil(now))
        for values in sample.values():
            values[diverged >= 0] = np.nan
        # all is well: from here on the writer changes
        if not self._samples:
            self._begun = clock.monotonic()
        self._state, self._diverged, self.last = state, diverged, now
        self._shapes |= {name: values.shape for name, values in sample.items()}
        self._samples.append((now, sample))
        if len(self._samples) >= self._size(sample) or clock.monotonic() - self._begun >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Write the samples logged since the last chunk as a chunk of their own, now."""
        if not self._samples:
            return
        times, samples = np.array([t for t, _ in self._samples]), [sample for _, sample in self._samples]
        out = {"time": xr.Variable("time", times, {"long_name": "training time", "units": self._unit})}
        for name in dict.fromkeys(n for sample in samples for n in sample):
            nothing = np.full(self._shapes[name], np.nan, np.float32)
            data = np.stack([sample.get(name, nothing) for sample in samples], axis=1)
            known = name in DIMS
            attrs = {"long_name": name.replace("_", " "), "units": "1"}
            out[name] = variable(name, data) if known else xr.Variable(("run", "time"), data, attrs)
        out["diverged_at"] = variable("diverged_at", self._diverged)
        try:
            write_part(out, {"schema_version": SCHEMA_VERSION}, self.folder / f"{self._files:08d}.nc")
        except OSError as error:
            raise WriteError(f"{self.path}: a chunk could not be written: {reason(error)}; {self._kept()}") from None
        self._files += 1
        self._samples = []

    def close(self, status: str | None = None) -> None:
        """Join the chunks into ``path`` and remove them. ``status``: default "finished" or "diverged at step n"."""
        if self._closed:
            return
        self.flush()
        parts = survey(self.folder)
        if parts is not None:
            if self.path.exists():
                found = f"a file that came while recording; {parts.kept()}"
                raise InputError("path", "not exist before the recording is finished", found)
            parts.join(self.path, status or _status(parts.diverged_at))
        self._closed = True
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def abandon(self) -> None:
        """Stop here: the complete chunks stay as an unfinished recording, the rest is lost."""
        self._closed = True
        self._lock.release()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            self.close(None if error is None else "interrupted")
        except (InputError, WriteError):
            if error is None:
                raise
        finally:
            self.abandon()

    def __repr__(self) -> str:
        return f"RunWriter({str(self.path)!r}, last={self.last}, {'closed' if self._closed else 'open'})"

    # -- the beginning ---------------------------------------------------------------------------------------------

    def _header(self, target: Any, target_weight: Any, assignment: Any, mass: Any, seed: int | None) -> xr.Dataset:
        exp = self._exp
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

    def _begin(self, header: xr.Dataset, resume: bool, at: float | None) -> None:
        self._static = dict(header.sizes)
        parts = None
        if resume and self.path.exists():
            unjoin(self.path, self.folder, lambda found: self._check_same(found, header, self.path))
        try:
            if (self.folder / HEADER).exists():
                for left in self.folder.glob(f"{TEMPORARY}*"):
                    left.unlink()
                parts = survey(self.folder)
            if parts is None:
                write_part(header.variables, header.attrs, self.folder / HEADER)
        except OSError as error:
            raise WriteError(f"{self.path}: the recording could not be begun: {reason(error)}") from None
        if parts is not None:
            self._check_same(parts.header, header, self.folder)
            if at is not None and parts.last > at:
                parts = parts.cut(float(at))
        if parts is not None:
            self._continue(parts)

    def _check_same(self, found: xr.Dataset, header: xr.Dataset, where: Path) -> None:
        """Raise InputError unless what was given is what the recording to resume was begun with."""
        rule, other = "be that of the recording to resume", f"another one in {where}"
        if self._exp is not None and found.attrs.get("experiment") != provenance(self._exp)["experiment"]:
            raise InputError("experiment", rule, other)
        for name, given in header.data_vars.items():
            if name not in found or not np.array_equal(given, found[name]):
                raise InputError(str(name), rule, other)

    def _continue(self, parts: Parts) -> None:
        self._static, self._unit = dict(parts.header.sizes), parts.form["time"].attrs["units"]
        for name, form in parts.form.items():
            if name != "time":
                self._shapes[name] = tuple(n for dim, n in form.sizes.items() if dim != "time")
        self._state = frozenset(STATE) & parts.form.keys()
        self._diverged, self.last, self._files = parts.diverged_at, parts.last, len(parts.files)

    # -- one sample ------------------------------------------------------------------------------------------------

    def _step(self, step: float) -> float:
        number = numbers("step", step)
        if number.ndim != 0 or not np.isfinite(number):
            raise InputError("step", "be one finite number", step)
        if self.last is not None and not number > self.last:
            raise InputError("step", "increase", f"{number} after {self.last}")
        return number.item()

    def _particles(self, value: Any) -> np.ndarray:
        x = numbers("particles", value)
        if x.ndim == 1:
            x = x[:, None]
        if x.ndim == 2:
            x = x[None]
        if x.ndim != 3 or 0 in x.shape:
            rule = "have shape (N,), (N, d) or (run, N, d)" + _FLAT * (x.ndim > 3)
            raise InputError("particles", rule, f"shape {np.shape(x)}")
        before = self._shapes.get("particles")
        if before is not None and x.shape != before:
            raise InputError("particles", f"have the shape (run, N, d) = {before} of the first step", x.shape)
        for axis, dim in ((1, "particle"), (2, "component")):
            size = self._static.get(dim, x.shape[axis])
            if x.shape[axis] != size:
                image = dim == "component" and x.shape[1] * x.shape[2] == size
                must = f"have {size} entries along {dim}, as experiment, target, mass or assignment say" + _FLAT * image
                raise InputError("particles", must, f"shape (run, N, d) = {x.shape}")
        if before is None and "component" not in self._static and 3 < x.shape[1] == x.shape[2]:
            R, N, d = x.shape
            taken = f"particles of shape {x.shape} are recorded as {R} runs of {N} particles in {d} dimensions"
            warnings.warn(f"{taken}; if they are {R} images, log them as x.reshape({R}, {N * d})", stacklevel=3)
        return stored(x)

    def _array(self, name: str, value: Any, particles: tuple[int, ...]) -> np.ndarray:
        """The value with a run axis, checked against what it must be."""
        runs, N, d = particles
        array = numbers(name, value)
        dims = DIMS.get(name, ("run", "time"))
        own = {"discriminator": (N,), "force": (N, d)}.get(name)
        if own is None:
            own = () if len(dims) == 2 else array.shape[-1:]
        if name == "discriminator" and array.shape[-2:] == (N, 1) and array.shape != (runs, N):
            array = array[..., 0]
        if name == "force" and d == 1 and array.shape in ((N,), (runs, N)) and array.shape != (N, d):
            array = array[..., None]
        if runs == 1 and array.shape == own:
            array = array[None]
        if array.shape != (runs, *own) or array.size == 0:
            shape = f"(run, P) with {runs} runs" if name.startswith("parameters") else f"{(runs, *own)}"
            single = f" or {own}" if runs == 1 and not name.startswith("parameters") else ""
            raise InputError(name, f"have shape {shape}{single}", f"shape {np.shape(array)}")
        before = self._shapes.get(name)
        if before is not None and array.shape != before:
            raise InputError(name, f"have the shape {before} that it had before", array.shape)
        return stored(array)

    def _size(self, sample: Mapping[str, np.ndarray]) -> int:
        if self._chunk is not None:
            return self._chunk
        return int(np.clip(CHUNK_BYTES // sum(v.nbytes for v in sample.values()), 1, CHUNK))

    def _kept(self) -> str:
        lost = f"{len(self._samples)} samples since then are in memory only"
        parts = survey(self.folder)
        return f"{'nothing was written before' if parts is None else parts.kept()}; {lost}"


def _status(diverged: np.ndarray) -> str:
    return f"diverged at step {diverged[diverged >= 0].min()}" if np.any(diverged >= 0) else "finished"


def _check_checkpoint(at: float, resume: bool) -> None:
    number = numbers("at", at)
    if number.ndim != 0 or not np.isfinite(number):
        raise InputError("at", "be one finite number, the step of a checkpoint", repr(at))
    if not resume:
        raise InputError("at", "come with resume=True", f"at={number} for a new recording")


def _check_scalar_name(name: str) -> None:
    scalars = {variable_name for variable_name, dims in DIMS.items() if dims == ("run", "time")}
    taken = {*DIMS, "time", *(dim for dims in DIMS.values() for dim in dims)} - scalars
    if name in taken or name.startswith("_") or not name.isidentifier():
        raise InputError(name, "be a name that the schema leaves free", repr(name))


def _with(given: bool) -> str:
    return "has" if given else "lacks"
