"""The solvable model at finite n, by either of two methods with the same law."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...base.errors import InputError
from .records import Progress

if TYPE_CHECKING:
    import xarray as xr

    from .model import Solvable

METHODS = ("chain", "sgd")


def simulate_solvable(
    model: Solvable,
    method: str = "chain",
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
) -> xr.Dataset:
    """Finite-n runs of the model: P, q, r, S, z over (run, time), and diverged_at (run,).

    method "chain": the exact Markov chain of the overlaps, at any n (``chain.simulate_chain``), which can be resumed
    from ``checkpoint``. "sgd": the updates themselves in R^n (``sgd.simulate_sgd``), for n up to about 10^4. Both
    sample the same law. Raises InputError.
    """
    if method not in METHODS:
        raise InputError("method", f"be {' or '.join(map(repr, METHODS))}", repr(method))
    if method == "chain":
        from .chain import simulate_chain

        return simulate_chain(model, progress, checkpoint)
    if checkpoint is not None:
        raise InputError("checkpoint", "be given for method 'chain' only", f"method {method!r}")
    from .sgd import simulate_sgd

    return simulate_sgd(model, progress)
