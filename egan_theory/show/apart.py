"""Why prediction and runs are apart, where they are."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..comparison.agreement import Agreement
from ..comparison.compare import EVERY
from .words import agrees

#: part of the compared quantities that agree, below which a reason is asked for
MOST = 0.9
#: a kernel that is this part of itself away from the predicted one is named as a reason
FAR = 0.01


def why_apart(table: Agreement | None, runs: xr.Dataset | None) -> str:
    """What the theory leaves out and the runs show, as a sentence; empty where most agrees, or nothing is known."""
    if table is None or not table.quantities or runs is None:
        return ""
    if sum(map(agrees, table.quantities)) >= MOST * len(table.quantities):
        return ""
    found = [*_kernels(runs), *(u["reason"] for u in table.unmatched if u["name"] == EVERY)]
    return f"Where they do not agree, the runs leave the linear theory: {'; '.join(found)}." if found else ""


def _kernels(runs: xr.Dataset) -> list[str]:
    """Kernels of networks that are not the predicted ones."""
    out = []
    error = float(runs.attrs.get("generator_kernel_error", 0.0))
    if error > FAR:
        out.append(
            f"the generator's own kernel is {error:.0%} of itself away from that of infinite width, which is predicted "
            "with (a larger generator.architecture.width brings them closer)"
        )
    for player, name in (("discriminator", "kernel_drift"), ("generator", "generator_drift")):
        if name in runs and (moved := float(np.nanmax(runs[name].values, initial=0.0))) > FAR:
            out.append(f"the {player}'s tangent kernel moves by up to {moved:.0%} of itself, predicted to be constant")
    return out


__all__ = ["why_apart"]
