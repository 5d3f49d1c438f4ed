"""Sweeps: any grid of experiment parameters times seeds, simulated in parallel into one Zarr store."""
