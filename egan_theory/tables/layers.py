"""Layers of networks on images: one entry each, found by its ``kind`` in LAYERS.

A layer is its taps: for every position of its output the positions of its input that it reads, -1 where padding stands
there (a zero). What it does with them is one of three things,

    trained                      u_p = sw sum_k W_k x_tap(p, k) / sqrt(taps channels) + sb b, then the activation
    not trained, ``separate``    the taps become features of one position, side by side (flatten)
    not trained, not separate    the mean over the taps (pooling)

and all that is known of it follows: shapes, the map of the covariances of pairs of positions in the limit of infinite
width (kernels.wide.images), and the layer of a finite network (features.networks.mlp).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..base.errors import InputError
from ..base.parameters import parameters_of, whole
from ..base.spelling import unknown, word

Array = np.ndarray
T = TypeVar("T", bound="Layer")

PADDINGS = ("same", "valid", "circular")
#: sides of images, and of windows on them
LARGEST_SIDE = 1024


@dataclass(frozen=True)
class Layer:
    """What all layers have. ``trained``: it has weights, of its own for each of its taps. ``separate``: taps are kept
    apart; else their mean is taken. ``title``: in words."""

    kind: ClassVar[str] = ""
    title: ClassVar[str] = ""
    trained: ClassVar[bool] = False
    separate: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, parameter in parameters_of(self).items():
            value = parameter.checked(f"{self.kind}.{name}", getattr(self, name))
            if parameter.most is not None and value > parameter.most:
                raise InputError(f"{self.kind}.{name}", f"be at most {parameter.most:g}", value)
            object.__setattr__(self, name, value)

    def taps(self, height: int, width: int) -> tuple[int, int, Array]:
        """(height and width of the output, (positions of the output, taps) positions of the input). InputError."""
        raise NotImplementedError

    def written(self) -> dict[str, Any]:
        """As in an experiment file."""
        return {"kind": self.kind} | dataclasses.asdict(self)


#: by kind
LAYERS: dict[str, type[Layer]] = {}


def named(layer: type[T]) -> type[T]:
    """Class decorator: an entry of LAYERS."""
    LAYERS[layer.kind] = layer
    return layer


@named
@dataclass(frozen=True)
class Convolution(Layer):
    """A filter of size x size. ``padding`` "same": zeros, so that ceil(side / stride) positions come out (one more at
    the far end where their number is odd); "circular": the image repeats; "valid": none."""

    size: int = whole(3, 1, LARGEST_SIDE).field()
    stride: int = whole(1, 1, LARGEST_SIDE).field()
    padding: str = "same"

    kind: ClassVar[str] = "convolution"
    title: ClassVar[str] = f"convolution ({', '.join(PADDINGS)} padding, strides)"
    trained: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.padding not in PADDINGS:
            raise unknown("convolution.padding", self.padding, PADDINGS)

    def taps(self, height: int, width: int) -> tuple[int, int, Array]:
        return _windows(self.kind, self.size, self.stride, self.padding, height, width)


@named
@dataclass(frozen=True)
class AveragePool(Layer):
    """The mean over windows of size x size, ``stride`` apart (0: their size), within the image."""

    size: int = whole(2, 1, LARGEST_SIDE).field()
    stride: int = whole(0, 0, LARGEST_SIDE).field()

    kind: ClassVar[str] = "average_pool"
    title: ClassVar[str] = "average pooling"
    separate: ClassVar[bool] = False

    def taps(self, height: int, width: int) -> tuple[int, int, Array]:
        return _windows(self.kind, self.size, self.stride or self.size, "valid", height, width)


@named
@dataclass(frozen=True)
class GlobalAveragePool(Layer):
    """The mean over all positions."""

    kind: ClassVar[str] = "global_average_pool"
    title: ClassVar[str] = "global average pooling"
    separate: ClassVar[bool] = False

    def taps(self, height: int, width: int) -> tuple[int, int, Array]:
        return 1, 1, np.arange(height * width)[None]


@named
@dataclass(frozen=True)
class Flatten(Layer):
    """All positions side by side."""

    kind: ClassVar[str] = "flatten"
    title: ClassVar[str] = "flatten"

    def taps(self, height: int, width: int) -> tuple[int, int, Array]:
        return 1, 1, np.arange(height * width)[None]


@named
@dataclass(frozen=True)
class Dense(Layer):
    """A fully connected layer of one position."""

    kind: ClassVar[str] = "dense"
    title: ClassVar[str] = "dense"
    trained: ClassVar[bool] = True

    def taps(self, height: int, width: int) -> tuple[int, int, Array]:
        if height * width != 1:
            rule = "follow a layer that leaves one position (flatten or global_average_pool)"
            raise InputError(self.kind, rule, f"{height} x {width} positions")
        return 1, 1, np.zeros((1, 1), dtype=int)


def made(value: Any) -> Layer:
    """The layer of a table with its ``kind`` and fields, or of the kind alone. Raises InputError."""
    if isinstance(value, Layer):
        return value
    table = {"kind": value} if isinstance(value, str) else value
    if not isinstance(table, Mapping):
        raise InputError("it", "be a table with a kind", repr(value))
    kind, fields = word(table.get("kind")), {k: v for k, v in table.items() if k != "kind"}
    if kind not in LAYERS:
        raise unknown("kind", kind, LAYERS)
    known = [f.name for f in dataclasses.fields(LAYERS[kind])]
    for name in fields:
        if name not in known:
            raise unknown(f"{kind}.{name}", name, ["kind", *known], "be one of the known keys ({})")
    return LAYERS[kind](**fields)


def _windows(kind: str, size: int, stride: int, padding: str, height: int, width: int) -> tuple[int, int, Array]:
    rows, columns = (_line(kind, size, stride, padding, side) for side in (height, width))
    both = rows[:, None, :, None] * width + columns[None, :, None, :]
    outside = (rows[:, None, :, None] < 0) | (columns[None, :, None, :] < 0)
    taps = np.where(outside, -1, both).reshape(len(rows) * len(columns), size * size)
    return len(rows), len(columns), taps


def _line(kind: str, size: int, stride: int, padding: str, side: int) -> Array:
    """(positions, size) along one axis, -1 outside."""
    if padding == "valid":
        if size > side:
            raise InputError(f"{kind}.size", f"be at most the image's side {side} there", size)
        return stride * np.arange((side - size) // stride + 1)[:, None] + np.arange(size)
    count = -(-side // stride)
    before = max((count - 1) * stride + size - side, 0) // 2
    at = stride * np.arange(count)[:, None] + np.arange(size) - before
    return at % side if padding == "circular" else np.where((at >= 0) & (at < side), at, -1)


__all__ = ["LAYERS", "Layer", "made"]
