"""What NumPy's functions of whole arrays do to a series: linear ones act on every coefficient."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product as choices
from typing import Any

import numpy as np

from .jet import ARRAYS, Jet
from .parts import Part, order_of, parts_of


def _rule(*functions: Callable) -> Callable[[Callable], Callable]:
    def entered(rule: Callable) -> Callable:
        for function in functions:
            ARRAYS[function] = rule
        return rule

    return entered


def _linear(function: Callable) -> None:
    """Of one array, the first argument."""
    ARRAYS[function] = lambda a, *args, **kwargs: a.mapped(lambda p: function(p, *args, **kwargs))


for function in (
    np.moveaxis, np.repeat, np.tile, np.roll, np.squeeze, np.expand_dims, np.diagonal, np.trace, np.take, np.cumsum,
    np.pad, np.take_along_axis, np.atleast_1d, np.split, np.flip, np.diff, np.rollaxis, np.delete,
):  # fmt: skip
    _linear(function)
ARRAYS.pop(np.split)

ARRAYS |= {
    np.sum: lambda a, axis=None, keepdims=False: a.sum(axis, keepdims),
    np.mean: lambda a, axis=None, keepdims=False: a.mean(axis, keepdims),
    np.reshape: lambda a, *shape, **kwargs: a.reshape(*shape, **kwargs),
    np.ravel: lambda a: a.ravel(),
    np.transpose: lambda a, axes=None: a.transpose(axes) if axes is not None else a.transpose(),
    np.max: lambda a, axis=-1, keepdims=False, initial=None: a.max(axis, keepdims, initial),
    np.copy: lambda a, **kwargs: a.copy(),
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a: a.size,
    np.real: lambda a: a.real,
    np.iscomplexobj: lambda a: a.dtype.kind == "c",
    np.isrealobj: lambda a: a.dtype.kind != "c",
    np.argmax: lambda a, *args, **kwargs: np.argmax(a.value, *args, **kwargs),
    np.argmin: lambda a, *args, **kwargs: np.argmin(a.value, *args, **kwargs),
    np.result_type: lambda *args: np.result_type(*(a.dtype if isinstance(a, Jet) else a for a in args)),
    np.zeros_like: lambda a, dtype=None, shape=None, **kwargs: _constant(a, 0.0, shape),
    np.empty_like: lambda a, dtype=None, shape=None, **kwargs: _constant(a, 0.0, shape),
    np.ones_like: lambda a, dtype=None, shape=None, **kwargs: _constant(a, 1.0, shape),
    np.full_like: lambda a, fill_value, dtype=None, shape=None, **kwargs: _constant(a, fill_value, shape),
}


def _constant(like: Jet, value: Any, shape: Any) -> Jet:
    shape = like.shape if shape is None else tuple(np.atleast_1d(shape))
    return Jet.of([np.full(shape, value, dtype=like.dtype), *(None,) * like.order], shape)


@_rule(np.swapaxes)
def _swapaxes(a: Jet, axis1: int, axis2: int) -> Jet:
    shape = np.swapaxes(np.broadcast_to(np.empty(()), a.shape), axis1, axis2).shape
    if 0 in (axis1 % a.ndim, axis2 % a.ndim):
        return a.mapped(lambda p: np.swapaxes(p, axis1, axis2), shape)
    return a.batchwise(lambda p: np.swapaxes(p, axis1, axis2), shape)


@_rule(np.broadcast_to)
def _broadcast_to(a: Jet, shape: Any, subok: bool = False) -> Jet:
    shape = tuple(np.atleast_1d(shape))
    return a if shape == a.shape else a.mapped(lambda p: np.broadcast_to(p, shape), shape)


@_rule(np.where)
def _where(condition: Any, a: Any, b: Any) -> Any:
    if isinstance(condition, Jet):
        condition = condition.value
    if not isinstance(a, Jet) and not isinstance(b, Jet):
        return np.where(condition, a, b)
    order = order_of(a, b)
    shape = np.broadcast_shapes(np.shape(condition), np.shape(a), np.shape(b))
    parts: list[Part] = []
    for m in range(order + 1):
        x, y = (v.full(m) if isinstance(v, Jet) else v if m == 0 else 0.0 for v in (a, b))
        parts.append(np.broadcast_to(np.where(condition, x, y), shape))
    return Jet.of(parts, shape)


def _joined(function: Callable) -> Callable:
    def rule(arrays: Any, axis: int = 0, **kwargs: Any) -> Jet:
        arrays = list(arrays)
        order = order_of(*arrays)
        rows = [a if isinstance(a, Jet) else np.asarray(a) for a in arrays]
        shape = function([np.broadcast_to(np.empty(()), a.shape) for a in rows], axis=axis).shape
        apart = rows[0].ndim > 0 and axis % len(shape) != 0
        lead = rows[0].shape[:1] if apart else ()
        parts: list[Part] = []
        for m in range(order + 1):
            of = [parts_of(a, order)[m] for a in rows]
            if all(p is None for p in of):
                parts.append(None)
                continue
            once = apart and all(p is None or len(p) == 1 for p in of) and lead != (1,)
            full = []
            for a, p in zip(rows, of, strict=True):
                size = (1, *a.shape[1:]) if once else a.shape
                full.append(np.broadcast_to(np.zeros(()) if p is None else p, size))
            parts.append(function(full, axis=axis, **kwargs))
        return Jet.of(parts, shape)

    return rule


ARRAYS[np.concatenate] = _joined(np.concatenate)
ARRAYS[np.stack] = _joined(np.stack)


@_rule(np.split)
def _split(a: Jet, places: Any, axis: int = 0) -> list[Jet]:
    pieces = [None if p is None else np.split(np.broadcast_to(p, a.shape), places, axis) for p in a.parts]
    shapes = [piece.shape for piece in np.split(np.broadcast_to(np.empty(()), a.shape), places, axis)]
    return [Jet.of([None if p is None else p[i] for p in pieces], shape) for i, shape in enumerate(shapes)]


@_rule(np.einsum)
def _einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Jet:
    order = order_of(*operands)
    inputs = subscripts.replace(" ", "").split("->")[0].split(",")
    factors = []
    for letters, a in zip(inputs, operands, strict=True):
        parts = parts_of(a, order)
        named = len(letters.replace("...", ""))
        if isinstance(a, Jet) and (not letters.startswith("...") or named >= a.ndim):  # the first axis has a name
            parts = [None if p is None else np.broadcast_to(p, a.shape) for p in parts]
        factors.append([(j, p) for j, p in enumerate(parts) if p is not None])
    total: list[Part] = [None] * (order + 1)
    for terms in choices(*factors):
        m = sum(j for j, _ in terms)
        if m <= order:
            term = np.einsum(subscripts, *(p for _, p in terms), **kwargs)
            old = total[m]
            total[m] = term if old is None else old + term
    dummies = [np.broadcast_to(np.empty(()), np.shape(a)) for a in operands]
    return Jet.of(total, _einsum_shape(subscripts, dummies))


def _einsum_shape(subscripts: str, operands: list[np.ndarray]) -> tuple[int, ...]:
    before, after = subscripts.replace(" ", "").split("->")
    size: dict[str, int] = {}
    lead: tuple[int, ...] = ()
    for letters, a in zip(before.split(","), operands, strict=True):
        named = letters.replace("...", "")
        if "..." in letters:
            lead = np.broadcast_shapes(lead, a.shape[: a.ndim - len(named)])
        size |= dict(zip(named, a.shape[a.ndim - len(named) :], strict=True))
    tail = tuple(size[letter] for letter in after.replace("...", ""))
    return (*lead, *tail) if "..." in after else tail


@_rule(np.dot, np.matmul)
def _dot(a: Any, b: Any) -> Any:
    return np.multiply(a, b) if 0 in (np.ndim(a), np.ndim(b)) else a @ b


@_rule(np.linalg.solve)
def _solve(A: Any, b: Any) -> Jet:
    """x with A x = b: A_0 x_m = b_m - sum_(j>0) A_j x_(m-j)."""
    order = order_of(A, b)
    a, right = (v.coefficients if isinstance(v, Jet) else np.asarray(v)[None] for v in (A, b))
    x: list[np.ndarray] = []
    for m in range(order + 1):
        rest = right[m] if m < len(right) else np.zeros_like(right[0])
        for j in range(1, min(m + 1, len(a))):
            rest = rest - a[j] @ x[m - j]
        x.append(np.linalg.solve(a[0], rest))
    return Jet(np.stack(x))


@_rule(np.linalg.inv)
def _inv(A: Jet) -> Jet:
    """X with A X = 1: X_m = -A_0^-1 sum_(j>0) A_j X_(m-j)."""
    first = np.linalg.inv(A.first)
    parts: list[Part] = [first]
    for m in range(1, A.order + 1):
        total: Part = None
        for j in range(1, m + 1):
            a, x = A.parts[j], parts[m - j]
            if a is not None and x is not None:
                total = a @ x if total is None else total + a @ x
        parts.append(None if total is None else -first @ total)
    return Jet.of(parts, A.shape)
