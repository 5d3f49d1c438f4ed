"""Where batches are simulated: processes of this machine, or a dask.distributed cluster. Results in any order."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..base.errors import EganError, InputError, MissingExtra
from ..base.ram import allowing
from ..base.signals import SIGNALS, held
from .batch import run_batch

Result = tuple[int, dict[str, np.ndarray]]

#: batches handed out per worker: one to work on, one waiting
AHEAD = 2
#: times in a row that workers may die before a batch is finished
DEATHS = 3
#: environment of the workers: one thread each for linear algebra, numba and JAX
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
THREADS["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
#: seconds to find a scheduler
CONNECT = 10.0


def in_processes(text: str, batches: Sequence[int], workers: int) -> Generator[Result, None, None]:
    """Each batch and its arrays. A worker that dies is replaced and its batch computed again.

    Closing the generator ends the workers at once. Raises EganError when workers die over and over.
    """
    import multiprocessing
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool

    queue, deaths = deque(batches), 0
    while queue:
        count = min(workers, len(queue))
        pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_begin)
        running: dict[Future, int] = {}
        try:
            with _one_thread():
                while queue or running:
                    with _no_interrupt():
                        while queue and len(running) < AHEAD * count:
                            future = pool.submit(run_batch, text, queue[0])  # a broken pool refuses: not lost then
                            running[future] = queue.popleft()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        values = future.result()
                        deaths = 0
                        yield running.pop(future), values
            pool.shutdown()
        except BrokenProcessPool:
            deaths += 1
            queue.extendleft(sorted(running.values(), reverse=True))
            if deaths >= DEATHS:
                raise EganError(
                    f"workers died {DEATHS} times in a row (killed, out of memory, or a script that starts a sweep "
                    "without the guard if __name__ == '__main__'); --resume continues"
                ) from None
        finally:
            with held():
                processes = list((pool._processes or {}).values())  # its public method is newer than Python 3.11
                pool.shutdown(wait=False, cancel_futures=True)
                for process in processes:
                    process.kill()
                for process in processes:
                    process.join()


def cluster(address: str) -> Any:
    """A client of a dask scheduler, to be closed. Raises MissingExtra, InputError (no scheduler there)."""
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtra("a scheduler needs dask.distributed: pip install 'egan-theory[cluster]'") from None
    if not address:
        raise InputError("scheduler", "be an address, tcp://HOST:PORT", repr(address))
    try:
        return Client(address, timeout=CONNECT, set_as_default=False)
    except Exception as error:  # distributed and its transports have many words for an address that is none
        raise InputError("scheduler", "be the address of a running dask scheduler", f"{address}: {error}") from None


def allowed(client: Any) -> float:
    """Bytes that one batch may take on the worker of a cluster that has least of them: as dask limits the worker, for
    each of its threads. inf where there is no limit, or no worker yet."""
    workers = client.scheduler_info()["workers"].values()
    return min((_each(w.get("memory_limit"), w.get("nthreads")) for w in workers), default=float("inf"))


def _each(limit: float | None, threads: int | None) -> float:
    return limit / max(threads or 1, 1) if limit else float("inf")


def _limited_batch(text: str, batch: int) -> dict[str, np.ndarray]:
    """``run_batch`` on a worker, within what dask allows it."""
    from distributed import get_worker

    worker = get_worker()
    with allowing(_each(worker.memory_manager.memory_limit, worker.state.nthreads)):
        return run_batch(text, batch)


def on_cluster(text: str, batches: Sequence[int], client: Any) -> Generator[Result, None, None]:
    """Each batch and its arrays, from the workers of a dask scheduler (which need this package, and the same versions).

    A worker that is lost is dask's business: its batches are computed elsewhere. Raises EganError (the cluster is gone,
    or gives a batch up).
    """
    from distributed import wait

    queue: deque[int] = deque(batches)
    running: dict[Any, int] = {}
    try:
        while queue or running:
            slots = max(1, sum(client.nthreads().values()))
            while queue and len(running) < AHEAD * slots:
                batch = queue.popleft()
                running[client.submit(_limited_batch, text, batch, pure=False)] = batch
            with client.as_current():
                finished = wait(list(running), return_when="FIRST_COMPLETED").done
            for future in finished:
                values = future.result()
                yield running.pop(future), values
    except GeneratorExit:
        client.cancel(list(running))
        raise
    except EganError:  # of a batch
        raise
    except Exception as error:  # distributed has many: killed workers, lost schedulers, modules that are not there
        text = " ".join(str(error).split())
        raise EganError(f"the cluster gave up ({type(error).__name__}: {text:.160}); --resume continues") from None


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Signals that end a command wait; processes started meanwhile never get them, for they are the parent's to
    handle."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set(SIGNALS))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """In a new worker: without its parent (a thread waits for its end) there is nothing left to do."""
    import multiprocessing
    from multiprocessing.connection import wait

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be blocked
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started meanwhile use one thread for linear algebra each: as fast, and the same bytes everywhere."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(THREADS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
