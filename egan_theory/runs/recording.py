"""Runs recorded from any training loop, chunk by chunk, so that a killed process loses at most the last of them.

    writer = RunWriter("runs.nc", experiment)
    with writer:
        for step in range(...):
            writer.log(step, particles)

In PyTorch, with ``z`` the fixed latents that the particles are the images of:

    exp = eg.Experiment.from_toml("experiment.toml")
    with eg.RunWriter("runs.nc", exp) as writer:
        for step in range(steps + 1):
            if step % 10 == 0:
                writer.log(step, generator(z),
                           loss_discriminator=loss_d, loss_generator=loss_g,
                           parameters_discriminator=torch.nn.utils.parameters_to_vector(discriminator.parameters()))
            loss_d, loss_g = train_step()

(JAX: ``jax.flatten_util.ravel_pytree(parameters)[0]``.) Neither library is imported here.
"""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..base.errors import InputError
from ..base.files import check_output, remove
from ..experiment import Experiment
from .continuing import continued
from .header import free, header_of
from .reading import parts_of
from .sample import STATE, Form, check_scalar_name, finite_number
from .schema import DIMS, LAST_STEP, finished_status, variable
from .store import claim, discard, foreign, is_store, vacant, why
from .unfinished import CHUNK, CHUNK_BYTES, WriteError, is_recording, store_of

#: a chunk is also written when this many seconds have passed since its first sample
SECONDS = 60.0
#: longest remark, in characters
NOTE = 300


class RunWriter:
    """Write the run schema (egan_theory.runs.schema) from a training loop of your own; a context manager.

    Chunks go to the Zarr store ``<path>.zarr``, of which ``close`` makes the file ``path``; ``open_runs``, and so
    `egan compare` and `egan report`, read such an unfinished recording by the same name. Leaving the ``with`` block by
    an exception, Ctrl-C included, closes what was logged with status "interrupted".

    Threads may share one writer, each with larger steps than were logged before. A forked process has no part in the
    recording: there the end of the ``with`` block does nothing, and calls are refused.

    Args:
        experiment: recorded with the runs; gives target, masses and the unit of time, and the particles must fit it.
        target: (point, component) as in the schema, in lengths.
        target_weight: (point,) pure numbers.
        assignment: (particle,); only if particle i belongs to that target point at equilibrium.
        mass: (particle,) pure numbers.
        seed: recorded with the runs, as the seed of your loop; that of a recording resumed must be the same.
        chunk: samples per chunk; default 100, fewer where they are large.
        seconds: a chunk is also written, at the next ``log``, when so many have passed since it was begun.
        resume: continue after the last complete chunk of an unfinished recording, or at the end of a finished one;
            begin a new one where there is none. ``last`` is the last step recorded (None: none): skip ``log`` up to it.
        at: the step of the checkpoint that training goes on from, with ``resume``. What was recorded after it is of a
            trajectory that is given up: it is cut off, all of it at once, and attribute "rewound" says so. Without
            ``at`` samples of the old trajectory stay, and those of the new one follow.
        attrs: further attributes of the runs, by name, texts or numbers; of a recording resumed they are replaced.

    Raises:
        InputError: a path that exists already, is being recorded by another writer, or lies nowhere.
        WriteError: the disk is full: what was written stays readable, and the chunk in memory is tried again by the
            next ``flush`` or ``close``; or the recording's folder was removed.

    Source:
        none, it writes what it is given; schema: egan_theory.runs.schema.
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
        attrs: Mapping[str, str | int | float] | None = None,
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
            at = finite_number("at", at, ", the step of a checkpoint")
            if not resume:
                raise InputError("at", "come with resume=True", f"at={at} for a new recording")
        # where it is now, whatever the working directory will be; of a symbolic link what it points to
        self.path = check_output(path, field="path").resolve()
        self.folder = store_of(self.path)
        self._chunk, self._seconds = chunk, seconds
        self._busy = threading.RLock()
        self._samples: list[tuple[float, dict[str, np.ndarray]]] = []
        self._begun = 0.0
        self._closed = False
        added = free(attrs or {})
        header = header_of(experiment, target, target_weight, assignment, mass, seed)
        if self.path.exists() and not resume:
            raise InputError("path", "be a new file (resume=True continues the recording)", f"{path}, which exists")
        lost = self.folder.is_dir() and not vacant(self.folder) and not is_store(self.folder)
        if lost and foreign(self.folder) is None:
            rule = "hold the recording's zarr.json (move the folder away to begin anew)"
            raise InputError(str(self.folder), rule, "other files without it")
        if not vacant(self.folder) and not is_recording(self.folder):
            raise InputError("path", "leave the name of its store free", f"something else, {self.folder}")
        with self._writing("the recording could not be begun"):
            busy = InputError("path", "be recorded by one RunWriter at a time", f"another one at work in {self.folder}")
            self._lock = claim(self.folder, busy)
            try:
                self._recording = continued(self.path, header, resume, at, chunk or CHUNK)
            except BaseException:
                self._end(keep=not vacant(self.folder))
                raise
        before = self._recording
        before.attrs.update(added)
        self._form = Form(before.header().sizes, before.shapes())
        self._unit = before.unit or ("step" if experiment is None else experiment.update_rule.time_unit)
        self._diverged = before.diverged_at
        self.last: float | None = before.last

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

        ``step``: number of generator steps done (flow: the time), from 0 to 2^53, increasing. ``particles``: (N, d) for
        one run, (run, N, d) for several, (N,) for one run in one dimension, in lengths; images as rows of numbers,
        x.reshape(N, -1).
        ``discriminator`` D - D* and ``force`` grad D at the particles: (N,) and (N, d), or with the run axis; at every
        sample or at none. Losses and other ``scalars``: a number, or (run,). Parameters: (P,) or (run, P); multiplier_*
        of the schema alike. What is not given at a sample is NaN there.

        Arrays: what numpy.asarray takes, and tensors with detach() and cpu(); stored in their own precision.
        A run whose particles, discriminator or force are not finite has diverged: NaN from then on.

        Raises:
            InputError: after ``close``, in a forked process, steps that do not increase, shapes that change; nothing of
                the sample is recorded then.
            WriteError: the disk is full, or the recording's folder was removed.
        """
        self._own()
        given = {
            "discriminator": discriminator,
            "force": force,
            "loss_discriminator": loss_discriminator,
            "loss_generator": loss_generator,
            "parameters_discriminator": parameters_discriminator,
            "parameters_generator": parameters_generator,
            **scalars,
        }
        with self._busy:
            self._log(step, particles, given, scalars)

    def _log(self, step: float, particles: Any, given: Mapping[str, Any], scalars: Mapping[str, Any]) -> None:
        if self._closed:
            raise InputError("log", "be called before close", f"{self.path} is closed")
        now = finite_number("step", step, "")
        if self.last is not None and not now > self.last:
            raise InputError("step", "increase", f"{now} after {self.last}")
        if not 0 <= now <= LAST_STEP:
            raise InputError("step", "be from 0 to 2^53, the generator steps done", f"{now:g}")
        for name in scalars:
            check_scalar_name(name)
        sample = self._form.checked(step, particles, given)
        runs = len(sample["particles"])
        diverged = np.full(runs, -1) if self.last is None else self._diverged.copy()
        bad = ~np.all([np.isfinite(sample[n]).reshape(runs, -1).all(1) for n in STATE if n in sample], axis=0)
        if self.last is None and bad.any():
            raise InputError("particles", "be finite at the first step, with discriminator and force", "values not so")
        diverged[bad & (diverged < 0)] = int(np.ceil(now))
        for values in sample.values():
            values[diverged >= 0] = np.nan
        # all is well: from here on the writer changes
        if not self._samples:
            self._begun = clock.monotonic()
        self._form.keep(sample)
        self._diverged, self.last = diverged, now
        self._samples.append((now, sample))
        full = self._chunk or np.clip(CHUNK_BYTES // sum(v.nbytes for v in sample.values()), 1, CHUNK)
        if len(self._samples) >= full or clock.monotonic() - self._begun >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Write the samples logged since the last chunk, now."""
        self._own()
        with self._busy:
            if self._samples:
                self._flush()

    def _flush(self) -> None:
        times, samples = np.array([t for t, _ in self._samples]), [sample for _, sample in self._samples]
        out = {"time": xr.Variable("time", times, {"long_name": "training time", "units": self._unit})}
        for name, shape in self._form.shapes.items():
            nothing = np.full(shape, np.nan, np.float32)
            data = np.stack([sample.get(name, nothing) for sample in samples], axis=1)
            attrs = {"long_name": name.replace("_", " "), "units": "1"}
            out[name] = variable(name, data) if name in DIMS else xr.Variable(("run", "time"), data, attrs)
        with self._writing("a chunk could not be written", f"; {len(samples)} samples since then are in memory only"):
            self._recording.append(out, self._diverged, self._chunk or CHUNK)
        self._samples = []

    def note(self, step: float, text: str) -> None:
        """Keep a remark on a step with the recording (attribute notes), from the next chunk on. The same remark again
        goes on with the one before."""
        self._own()
        with self._busy:
            self._recording.note(finite_number("step", step, ""), " ".join(text.split())[:NOTE])

    def close(self, status: str | None = None) -> None:
        """Make the file ``path`` and remove the store. ``status``: default "finished" or "diverged at step n".

        Raises:
            InputError: a file of that name came while recording; in a forked process.
            WriteError: the disk is full, or the recording's folder was removed.
        """
        self._own()
        with self._busy:
            if self._closed:
                return
            self.flush()
            if self._recording.samples:
                if self.path.exists():
                    found = f"a file that came while recording; {self._recording.kept()}"
                    raise InputError("path", "not exist before the recording is finished", found)
                with self._writing("the file could not be written"):
                    self._recording.to_netcdf(self.path, status or finished_status(self._recording.diverged_at))
            self._end(keep=False)
            remove(parts_of(self.path))

    def abandon(self) -> None:
        """Stop here: the complete chunks stay as an unfinished recording, the rest is lost. Nothing in a process forked
        from the one that records."""
        if not self.inherited:
            with self._busy:
                self._end(keep=True)

    @property
    def inherited(self) -> bool:
        """Whether this is a process forked from the one that records, to which the recording does not belong."""
        return self._lock.inherited

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self.inherited:
            return
        try:
            self.close(None if error is None else "interrupted")
        except (InputError, WriteError):
            if error is None:
                raise
        finally:
            self.abandon()

    def __repr__(self) -> str:
        return f"RunWriter({str(self.path)!r}, last={self.last}, {'closed' if self._closed else 'open'})"

    def _end(self, *, keep: bool) -> None:
        if not self._closed:
            self._closed = True
            self._lock.release()
            if not keep:
                discard(self.folder)

    def _own(self) -> None:
        """Raise InputError in a forked process."""
        if self.inherited:
            raise InputError("RunWriter", "be used by the process that made it", "one that was forked from it")

    @contextmanager
    def _writing(self, failed: str, lost: str = "") -> Iterator[None]:
        """OSErrors as WriteErrors. What is gone is not begun anew, since it would lack what was written before."""
        begun = hasattr(self, "_recording")
        if begun and not self._lock.there:
            raise self._removed(failed, lost)
        try:
            yield
        except OSError as error:
            if begun and not self._lock.there:
                raise self._removed(failed, lost) from None
            kept = f"; {self._recording.kept()}{lost}" if begun else ""
            raise WriteError(f"{self.path}: {failed}: {why(error)}{kept}") from None

    def _removed(self, failed: str, lost: str) -> WriteError:
        gone = f"{self.folder} was removed, and with it {self._recording.samples} samples"
        return WriteError(f"{self.path}: {failed}: {gone}{lost}")


__all__ = ["RunWriter", "WriteError"]
