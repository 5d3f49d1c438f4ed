"""Sweeps: any grid of experiment parameters times seeds, simulated in parallel into one Zarr store."""

from ..base.lazy import lazily

__all__ = ["open_sweep", "sweep", "sweep_grid", "sweep_runs"]

__getattr__ = lazily(
    __name__, {"open_sweep": "reading", "sweep": "run", "sweep_grid": "reading", "sweep_runs": "reading"}
)
