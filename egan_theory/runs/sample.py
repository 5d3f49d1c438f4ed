"""The samples of a recording: checked against what they must be, and copied."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..base.arrays import numbers, stored
from ..base.errors import InputError
from .schema import DIMS

#: what a rule adds where images are given
_FLAT = "; images as rows of numbers, x.reshape(N, -1)"
#: what belongs to the state: at every sample or at none; anything else may be logged now and then
STATE = ("particles", "discriminator", "force")
#: several numbers per sample that are logged by name as scalars are
SERIES = tuple(name for name, dims in DIMS.items() if dims == ("run", "time", "multiplier"))


class Form:
    """What the samples of one recording look like.

    ``sizes``: those of dimensions that are given (experiment, target, mass, assignment). ``shapes`` of what was
    recorded, per sample, with the run axis; none before the first sample.
    """

    def __init__(self, sizes: Mapping[Any, int], shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.sizes, self.shapes = dict(sizes), dict(shapes)

    def checked(self, step: float, particles: Any, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Copies of what is given (not None), with a run axis. Raises InputError."""
        x = self._particles(particles)
        out = {"particles": x} | {n: self._array(n, v, x.shape) for n, v in given.items() if v is not None}
        odd = (frozenset(STATE) & out.keys()) ^ (frozenset(STATE) & self.shapes.keys())
        if self.shapes and odd:
            name = min(odd)
            has = "has" if name in out else "lacks"
            raise InputError(name, "be given at every sample or at none", f"step {step} {has} it")
        return out

    def keep(self, sample: Mapping[str, np.ndarray]) -> None:
        """Later samples must look like this one."""
        self.shapes |= {name: values.shape for name, values in sample.items()}

    def _particles(self, value: Any) -> np.ndarray:
        x = numbers("particles", value)
        if x.ndim == 1:
            x = x[:, None]
        if x.ndim == 2:
            x = x[None]
        if x.ndim != 3 or 0 in x.shape:
            rule = "have shape (N,), (N, d) or (run, N, d)" + _FLAT * (x.ndim > 3)
            raise InputError("particles", rule, f"shape {np.shape(x)}")
        before = self.shapes.get("particles")
        if before is not None and x.shape != before:
            raise InputError("particles", f"have the shape (run, N, d) = {before} of the first step", x.shape)
        for axis, dim in ((1, "particle"), (2, "component")):
            size = self.sizes.get(dim, x.shape[axis])
            if x.shape[axis] != size:
                image = dim == "component" and x.shape[1] * x.shape[2] == size
                must = f"have {size} entries along {dim}, as experiment, target, mass or assignment say" + _FLAT * image
                raise InputError("particles", must, f"shape (run, N, d) = {x.shape}")
        if before is None and "component" not in self.sizes and 3 < x.shape[1] == x.shape[2]:
            R, N, d = x.shape
            taken = f"particles of shape {x.shape} are recorded as {R} runs of {N} particles in {d} dimensions"
            warnings.warn(f"{taken}; if they are {R} images, log them as x.reshape({R}, {N * d})", stacklevel=5)
        return stored(x)

    def _array(self, name: str, value: Any, particles: tuple[int, ...]) -> np.ndarray:
        runs, N, d = particles
        array = numbers(name, value)
        own = {"discriminator": (N,), "force": (N, d)}.get(name)
        if own is None:
            own = () if _is_scalar(name) else array.shape[-1:]
        if name == "discriminator" and array.shape[-2:] == (N, 1) and array.shape != (runs, N):
            array = array[..., 0]
        if name == "force" and d == 1 and array.shape in ((N,), (runs, N)) and array.shape != (N, d):
            array = array[..., None]
        if runs == 1 and array.shape == own:
            array = array[None]
        if array.shape != (runs, *own) or array.size == 0:
            several = name.startswith("parameters") or name in SERIES
            shape = f"(run, P) with {runs} runs" if several else f"{(runs, *own)}" + f" or {own}" * (runs == 1)
            raise InputError(name, f"have shape {shape}", f"shape {np.shape(array)}")
        before = next((self.shapes[n] for n in _alike(name) if n in self.shapes), None)
        if before is not None and array.shape != before:
            raise InputError(name, f"have the shape {before} that it had before", array.shape)
        return stored(array)


def _alike(name: str) -> tuple[str, ...]:
    """The variables that have the same shape at every sample."""
    return (name, *(n for n in SERIES if n != name and DIMS[n] == DIMS[name])) if name in SERIES else (name,)


def _is_scalar(name: str) -> bool:
    return DIMS.get(name, ("run", "time")) == ("run", "time")


def check_scalar_name(name: str) -> None:
    """Raise InputError for the name of a scalar that the schema does not leave free."""
    taken = {*DIMS, "time", *(dim for dims in DIMS.values() for dim in dims)}
    free = name in SERIES or (name in DIMS and _is_scalar(name))
    if (name in taken and not free) or name.startswith("_") or not name.isidentifier():
        raise InputError(name, "be a name that the schema leaves free", repr(name))


def finite_number(name: str, value: Any, must: str) -> float:
    """One finite number. Raises InputError."""
    number = numbers(name, value)
    if number.ndim != 0 or not np.isfinite(number):
        raise InputError(name, f"be one finite number{must}", repr(value))
    return number.item()
