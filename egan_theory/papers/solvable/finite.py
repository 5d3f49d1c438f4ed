"""The solvable model at finite n, by either of two methods with the same law."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from ...base.dataset import shown
from ...base.errors import InputError
from .chain import simulate_chain
from .model import Solvable
from .records import Progress
from .sgd import simulate_sgd


@shown
def simulate_solvable(
    model: Solvable,
    method: str = "chain",
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
) -> xr.Dataset:
    """Finite-n runs of the model, by either of two methods with the same law.

    Args:
        method: "chain": the exact Markov chain of the overlaps, at any n (``simulate_chain``), which can be resumed
            from ``checkpoint``; "sgd": the updates themselves in R^n (``simulate_sgd``), for n up to about 10^4.

    Returns:
        A Dataset of the shared form.

    Shapes:
        P (run, time, feature, fake), q (run, time, feature), r (run, time, fake), S (run, time, fake, fake2), z (run,
        time), diverged_at (run).

    Units:
        Overlaps are pure numbers, time in steps/n, diverged_at in steps.

    Raises:
        InputError: another method, a checkpoint of "sgd", and what the two refuse.

    Source:
        Updates of Wang, Hu, Lu, NeurIPS 2019 (arXiv:1805.08349).
    """
    if method == "chain":
        return simulate_chain(model, progress, checkpoint)
    if method != "sgd":
        raise InputError("method", "be 'chain' or 'sgd'", repr(method))
    if checkpoint is not None:
        raise InputError("checkpoint", "be given for method 'chain' only", f"method {method!r}")
    return simulate_sgd(model, progress)
