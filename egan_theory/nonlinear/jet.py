"""Truncated Taylor series in one real variable as arrays that NumPy's functions take.

A jet of order K is a_0 + a_1 t + ... + a_K t^K + O(t^(K+1)), each a_m an array of the jet's shape. Any program of sums,
products and smooth functions that is run on jets in place of arrays returns the series of its result, exact to
rounding (truncated Taylor arithmetic: Griewank and Walther, Evaluating Derivatives, 2nd ed., ch. 13):

    (a b)_m = sum_j a_j b_(m-j),   (a / b)_m = (a_m - sum_(j>0) b_j (a/b)_(m-j)) / b_0,
    f(a)_m  = sum_(j<=m) f^(j)(a_0)/j! [(a - a_0)^j]_m

What a program decides (comparisons, ``isfinite``) it decides by the value a_0. So does ``real``: a program that also
takes complex steps asks it for the value, and a_0 (its real part) is what it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ..base.errors import InputError
from .functions import BILINEAR, COMPARISONS, FUNCTIONS, LINEAR, TAYLOR
from .parts import Part, aligned, axes_of, convolved, matmul_shape, order_of

#: what NumPy's functions of whole arrays do to jets; entered by the module ``arrays``
ARRAYS: dict[Callable, Callable] = {}


class Jet(NDArrayOperatorsMixin):
    """``coefficients`` (order + 1, *shape): a_0 first. Behaves as an array of that shape.

    Parts that are 0 by structure are not stored, and one that is the same along the first axis (a batch) is stored
    once: (1, *shape[1:]).
    """

    __slots__ = ("_powers", "_shared", "parts", "shape")

    def __init__(self, coefficients: Any) -> None:
        c = np.asarray(coefficients)
        self._set(tuple(c), c.shape[1:])

    @classmethod
    def of(cls, parts: Sequence[Part], shape: tuple[int, ...]) -> Self:
        """From its coefficients: None for 0, or arrays of len(shape) axes that broadcast to ``shape``."""
        jet = object.__new__(cls)
        jet._set(tuple(parts), tuple(shape))
        return jet

    def _set(self, parts: tuple[Part, ...], shape: tuple[int, ...]) -> None:
        self.parts, self.shape = parts, shape
        self._powers: dict[int, list[Part]] = {}
        self._shared: dict[str, Any] = {}

    # -- as an array ----------------------------------------------------------------------------------------------

    @property
    def order(self) -> int:
        return len(self.parts) - 1

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def dtype(self) -> np.dtype:
        return np.result_type(float, *(p for p in self.parts if p is not None))

    @property
    def coefficients(self) -> np.ndarray:
        """(order + 1, *shape)."""
        out = np.zeros((self.order + 1, *self.shape), dtype=self.dtype)
        for m, part in enumerate(self.parts):
            if part is not None:
                out[m] = part
        return out

    @property
    def value(self) -> np.ndarray:
        """a_0, read-only."""
        return self.full(0)

    @property
    def first(self) -> np.ndarray:
        """a_0 as it is stored."""
        one, *rest = self.shape or (1,)
        zero = np.zeros((min(one, 1), *rest) if self.shape else ())
        return zero if self.parts[0] is None else self.parts[0]

    def full(self, m: int) -> np.ndarray:
        """a_m at full shape, read-only."""
        part = self.parts[m]
        return np.broadcast_to(np.zeros((), dtype=self.dtype) if part is None else part, self.shape)

    @property
    def real(self) -> np.ndarray:
        """The real part of the value, an array (see the module docstring)."""
        return self.value.real

    @property
    def imag(self) -> np.ndarray:
        """The imaginary part of the value, an array."""
        return self.value.imag

    @property
    def T(self) -> Jet:
        return self.transpose()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a jet of no axes")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Jet(order={self.order}, shape={self.shape})"

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError("a Taylor series is no array: this function of NumPy has no rule for it")

    def __float__(self) -> float:
        raise TypeError("a Taylor series is no number")

    def mapped(self, function: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...] | None = None) -> Jet:
        """A linear map of full coefficients to arrays of one shape."""
        parts = [None if p is None else function(np.broadcast_to(p, self.shape)) for p in self.parts]
        if shape is None:
            shape = next((p.shape for p in parts if p is not None), None)
            if shape is None:
                shape = function(np.zeros(self.shape)).shape
        return Jet.of(parts, shape)

    def batchwise(self, function: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...]) -> Jet:
        """A linear map that leaves the first axis alone, so that what is stored once stays so."""
        return Jet.of([None if p is None else function(p) for p in self.parts], shape)

    def __getitem__(self, key: Any) -> Jet:
        keys = key if isinstance(key, tuple) else (key,)
        shape = np.broadcast_to(np.empty(()), self.shape)[key].shape
        plain = len(keys) > 0 and keys[0] is Ellipsis and all(k is None or isinstance(k, int | slice) for k in keys[1:])
        if plain and sum(k is not None for k in keys[1:]) < self.ndim:
            return self.batchwise(lambda p: p[key], shape)
        return self.mapped(lambda p: p[key], shape)

    def __setitem__(self, key: Any, value: Any) -> None:
        parts = list(self.coefficients)
        for m, part in enumerate(parts):
            if isinstance(value, Jet):
                part[key] = value.full(m)
            else:
                part[key] = value if m == 0 else 0
        self._set(tuple(parts), self.shape)

    def reshape(self, *shape: Any) -> Jet:
        new = np.broadcast_to(np.empty(()), self.shape).reshape(*shape).shape
        if self.ndim and new and new[0] == self.shape[0]:
            return self.batchwise(lambda p: p.reshape(len(p), *new[1:]), new)
        return self.mapped(lambda p: p.reshape(new), new)

    def ravel(self) -> Jet:
        return self.reshape(-1)

    def astype(self, dtype: Any) -> Jet:
        return self.batchwise(lambda p: p.astype(dtype), self.shape)

    def copy(self) -> Jet:
        return self.batchwise(np.copy, self.shape)

    def transpose(self, *axes: Any) -> Jet:
        return self.mapped(lambda p: p.transpose(*axes))

    def conj(self) -> Jet:
        return self.batchwise(np.conj, self.shape)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Jet:
        axes = tuple(range(self.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(a % self.ndim for a in axes)
        kept = [1 if a in axes else s for a, s in enumerate(self.shape)]
        shape = tuple(kept) if keepdims else tuple(s for a, s in enumerate(self.shape) if a not in axes)
        if 0 in axes:
            return self.mapped(lambda p: np.asarray(p.sum(axes, keepdims=keepdims)), shape)
        return self.batchwise(lambda p: p.sum(axes, keepdims=keepdims), shape)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Jet:
        total = self.sum(axis, keepdims)
        return total / (self.size / max(total.size, 1))

    def max(self, axis: int = -1, keepdims: bool = False, initial: Any = None) -> Jet:
        """Along one axis, the one of the largest value."""
        at = np.expand_dims(np.argmax(self.value, axis), axis)
        out = self.mapped(lambda p: np.take_along_axis(p, at, axis))
        out = out if initial is None else np.maximum(out, initial)
        return out if keepdims else out.mapped(lambda p: np.squeeze(p, axis))

    # -- series arithmetic ------------------------------------------------------------------------------------------

    def powers(self, j: int) -> list[Part]:
        """Coefficients of (a - a_0)^j, j >= 1."""
        if j == 1:
            return [None, *self.parts[1:]]
        if j not in self._powers:
            self._powers[j] = convolved(np.multiply, self.powers(j - 1), self.powers(1))
        return self._powers[j]

    def composed(self, taylor: Sequence[np.ndarray | float | None], reached: bool = False) -> Jet:
        """f(a) from f^(j)(a_0)/j!, j = 0 ... order: arrays that broadcast to the shape, None for 0. reached: infinite
        ones count only where their factors are not 0."""
        parts: list[Part] = [None if taylor[0] is None else axes_of(taylor[0], self.ndim)]
        for m in range(1, self.order + 1):
            total: Part = None
            for j in range(1, m + 1):
                f, power = taylor[j], self.powers(j)[m]
                if f is not None and power is not None:
                    term = np.where(power == 0, 0.0, f) * power if reached else f * power
                    total = term if total is None else total + term
            parts.append(total)
        return Jet.of(parts, self.shape)

    def primitive(self, value: np.ndarray, slope: Any) -> Jet:
        """f(a) from f(a_0) and f'(a), itself a jet: m f_m = sum_j j a_j [f'(a)]_(m-j)."""
        parts: list[Part] = [axes_of(value, self.ndim)]
        for m in range(1, self.order + 1):
            total: Part = None
            for j in range(1, m + 1):
                a, f = self.parts[j], slope.parts[m - j]
                if a is not None and f is not None:
                    total = j / m * a * f if total is None else total + j / m * a * f
            parts.append(total)
        return Jet.of(parts, self.shape)

    def through(self, derivatives: Callable[[np.ndarray, int], Sequence[np.ndarray]], order: int) -> list[Jet]:
        """[f(a), f'(a), ..., f^(order)(a)] from ``derivatives(x, n)`` = [f(x), ..., f^(n)(x)].

        An infinite derivative counts as 0 where the series does not reach it: at coincident points a squared distance
        begins with t^2. Raises InputError where terms beyond the first need one (a kernel that is not smooth enough).
        """
        f = [np.asarray(v) for v in derivatives(self.first, order + self.order)]
        factorial = np.cumprod([1.0, *range(1, self.order + 1)])
        infinite = not all(np.isfinite(v).all() for v in f)
        out = []
        for n in range(order + 1):
            taylor = [f[n + j] / factorial[j] for j in range(self.order + 1)]
            out.append(self.composed(taylor, reached=infinite))
        parts = [p for jet in out for p in jet.parts if p is not None]
        if infinite and self.order > 1 and not all(np.isfinite(p).all() for p in parts):
            rule = f"have derivatives to order {self.order + order} of its profile at coincident points"
            raise InputError("discriminator.kernel", f"{rule} (a smoother kernel, or features > 0)", "infinite ones")
        return out

    def shared(self, name: str, make: Callable[[np.ndarray], Any]) -> Any:
        """What several functions of this jet need of its value, once."""
        if name not in self._shared:
            self._shared[name] = make(self.first)
        return self._shared[name]

    # -- NumPy ------------------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            return NotImplemented
        name = ufunc.__name__
        if name in COMPARISONS:
            return ufunc(*(x.value if isinstance(x, Jet) else x for x in inputs))
        if name in LINEAR:
            result: Any = _sum(ufunc, *inputs)
        elif name in BILINEAR:
            result = product(ufunc, *inputs)
        elif name in TAYLOR:
            result = inputs[0].composed(TAYLOR[name](inputs[0]))
        elif name in FUNCTIONS:
            result = FUNCTIONS[name](*inputs)
        else:
            return NotImplemented
        if out is None:
            return result
        (target,) = out
        if not isinstance(target, Jet):
            return NotImplemented
        target._set(result.parts, result.shape)
        return target

    def __array_function__(self, function: Callable, types: Any, args: Any, kwargs: Any) -> Any:
        rule = ARRAYS.get(function)
        if rule is None:
            raise TypeError(f"numpy.{function.__name__} has no rule for Taylor series")
        return rule(*args, **kwargs)


def product(bilinear: Callable, a: Any, b: Any) -> Jet:
    """A bilinear map of arrays (``multiply``, ``matmul``) of which one or both are jets."""
    order = order_of(a, b)
    na, nb = np.ndim(a), np.ndim(b)
    if bilinear is np.matmul:
        shape = matmul_shape(np.shape(a), np.shape(b))
        # a first axis that is one of the matrix's is no batch
        a, b = (_whole(v) if isinstance(v, Jet) and v.ndim <= 2 else v for v in (a, b))
        wide = max(na, nb)
        x, y = aligned(a, order, na if na == 1 else wide), aligned(b, order, nb if nb == 1 else wide)
    else:
        shape = np.broadcast_shapes(np.shape(a), np.shape(b))
        x, y = aligned(a, order, len(shape)), aligned(b, order, len(shape))
    return Jet.of(convolved(bilinear, x, y), shape)


def _whole(jet: Jet) -> Jet:
    return jet.mapped(lambda p: p, jet.shape)


def _sum(ufunc: np.ufunc, *inputs: Any) -> Jet:
    order = order_of(*inputs)
    if len(inputs) == 1:
        return inputs[0].batchwise(ufunc, inputs[0].shape)
    shape = np.broadcast_shapes(*(np.shape(x) for x in inputs))
    out: list[Part] = []
    for x, y in zip(*(aligned(v, order, len(shape)) for v in inputs), strict=True):
        if x is not None and y is not None:
            out.append(ufunc(x, y))
        elif x is None and y is None:
            out.append(None)
        else:
            one = x if x is not None else y if ufunc is np.add else np.negative(y)
            assert one is not None
            out.append(one if not shape else np.broadcast_to(one, (*one.shape[:1], *shape[1:])))
    return Jet.of(out, shape)
