"""What `egan advise` does with its files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..advice.advise import advise_experiment, advise_from_gram
from ..advice.result import Advice
from ..base.arrays import check_seed
from ..base.errors import InputError, check_file
from ..base.files import read_npy
from ..experiment import Experiment
from ..experiment.given import MAX_COORDINATES, read_points

BATCH = 16


def advise(
    exp: Experiment, data: str | None, gram: str | None, points: int, dimension: int, *, batch: int,
    generated: str | None, later: str | None, **settings: Any,
) -> Advice:  # fmt: skip
    """Advice for the network of the experiment at its data, or for the Gram matrix of a file. Raises InputError."""
    if batch < 0:
        raise InputError("--batch", "be at least 0", batch)
    check_seed("--seed", settings["seed"])
    if gram is None:
        for name, given in (("--points", points), ("--dimension", dimension), ("--later", later)):
            if given:
                raise InputError(name, "be given with --gram only", given)
        samples = None if data is None else read_samples(data)
        made = None if generated is None else _array("--generated", generated)
        return advise_experiment(exp, samples, batch_size=batch or BATCH, generated=made, **settings)
    for name, path in (("--data", data), ("--generated", generated)):
        if path is not None:
            raise InputError(name, "not be given beside --gram, which stands for the data")
    del settings["initialisations"]
    other = None if later is None else _array("--later", later)
    matrix = _array("--gram", gram)
    return advise_from_gram(matrix, points, dimension, exp, batch_size=batch or None, later=other, **settings)


def read_samples(path: str) -> np.ndarray:
    """Samples (M, ...) of a .npy file, or points as a target reads them from a .nc file."""
    return _array("--data", path) if Path(path).suffix == ".npy" else read_points(path)[0]


def _array(field: str, path: str) -> np.ndarray:
    check_file(field, Path(path), "be an existing file")
    return read_npy(
        field, path, None if field in ("--gram", "--later") else lambda shape, _: _sized(field, shape, path)
    )


def _sized(field: str, shape: tuple[int, ...], path: str) -> None:
    if math.prod(shape) > MAX_COORDINATES:
        raise InputError(field, f"hold at most {MAX_COORDINATES} coordinates", f"shape {shape} in {path}")


__all__ = ["advise", "read_samples"]
