"""A sweep from its plan to its store."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import xarray as xr

from ..base.dataset import shown
from ..base.errors import InputError
from ..base.ram import elsewhere
from ..base.signals import held
from ..experiment import Experiment
from ..experiment.taken import takes_experiment
from ..predict.phase import AxisLike
from ..simulation.memory import check_cell
from .complete import todo
from .plan import Plan, make_plan
from .reading import open_sweep
from .store import Writer, prepare
from .workers import allowed, cluster, in_processes, on_cluster


@takes_experiment
@shown
def sweep(
    exp: Experiment,
    axes: Sequence[AxisLike],
    path: str | Path,
    *,
    seeds: int = 1,
    record: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    batch: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Simulate ``exp`` over every combination of the axes ("PATH=LOW:HIGH:POINTS[:log]", or such a tuple) and ``seeds``
    values of run.seed, into the Zarr store ``path``.

    The bytes of the store depend on experiment, grid, ``batch`` and versions alone (and on the processor's arithmetic).
    In a script, call it under ``if __name__ == "__main__":``, for the processes import the script.

    Args:
        record: keep the trajectories too.
        workers: processes (default: one per core).
        scheduler: address of a dask scheduler instead.
        resume: continue the store after whatever ended it.
        batch: cells per chunk.
        progress: called with (done, total) cells.

    Returns:
        The store, opened: see ``eg.open_sweep``.

    Shapes:
        Variables over (cell) and (cell, run), see ``eg.open_sweep``.

    Units:
        Attribute ``units`` of each variable; axes in the unit of their field.

    Raises:
        InputError: a bad axis, fewer than one worker or seed, workers beside a scheduler, a store that is there
            already, or cells that do not fit in memory, one in each process, or one in each thread of a dask worker
            within its memory limit.
        EganError: the disk is full, or workers died.
        KeyboardInterrupt: the store can be resumed.

    Source:
        none, simulations as by ``eg.simulate``.
    """
    if workers is not None and workers < 1:
        raise InputError("workers", "be at least 1", workers)
    if workers is not None and scheduler is not None:
        raise InputError("workers", "not be given with a scheduler, which has its own")
    plan, store = make_plan(exp, axes, seeds=seeds, record=record, batch=batch), Path(path)
    with ExitStack() as ends:
        client = None if scheduler is None else ends.enter_context(cluster(scheduler))  # before there is a store
        if client is None:
            _check_start()
            _check_memory(plan, min(workers or os.cpu_count() or 1, plan.batches))
        else:
            with elsewhere(allowed(client)):
                _check_memory(plan, 1)
        ends.callback(prepare(store, plan, resume=resume, overwrite=overwrite).release)
        left = todo(store, plan)
        done = plan.cells - sum(len(plan.span(i)) for i in left)
        if progress is not None:
            progress(done, plan.cells)
        if left:
            writer, count = Writer(store, plan), workers or os.cpu_count() or 1
            found = in_processes(plan.text, left, count) if client is None else on_cluster(plan.text, left, client)
            ends.enter_context(closing(found))
            for i, values in found:
                with held():
                    writer.write(i, values)
                done += len(plan.span(i))
                if progress is not None:
                    progress(done, plan.cells)
    return open_sweep(store)


def _check_start() -> None:
    """Raise InputError where worker processes cannot start: they do in the working directory."""
    try:
        os.getcwd()
    except OSError as error:
        raise InputError("working directory", "be there, for processes start in it", error.strerror) from None


def _check_memory(plan: Plan, processes: int) -> None:
    """Raise InputError where the largest cell does not fit, one in each process. Cells side by side are fewer where
    they do not (``cells.simulated``)."""
    largest = {axis.path: max(axis.values) for axis in plan.axes if isinstance(plan.exp.get(axis.path), int)}
    check_cell(plan.exp, largest, plan.record or plan.exp.run.start == "kick", processes)
