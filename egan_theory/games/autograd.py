"""Derivatives of functions of lists of tensors, by PyTorch's reverse differentiation alone."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from .checkpoint import told
from .modules import require_torch

Array = np.ndarray


def gradients(value: Any, leaves: list[Any], **more: Any) -> list[Any]:
    """Gradients with respect to leaves, None where there is none."""
    if not value.requires_grad:
        return [None] * len(leaves)
    torch = require_torch()
    try:
        return list(torch.autograd.grad(value, leaves, allow_unused=True, **more))
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:  # an operation without a second derivative
        raise told(error) from error


def product(a: list[Any], b: list[Any]) -> Any:
    """<a, b> over lists of tensors; None counts as 0."""
    torch = require_torch()
    terms = [(u * v).sum() for u, v in zip(a, b, strict=True) if u is not None and (u.requires_grad or v.requires_grad)]
    return sum(terms[1:], terms[0]) if terms else torch.zeros(())


def to_array(tensor: Any) -> Array:
    torch = require_torch()
    return tensor.detach().to("cpu", torch.float64).numpy().copy()


class Linear:
    """Functions of weights, ``values`` at ``leaves``, as a linear map: ``push`` and its transpose."""

    def __init__(self, leaves: list[Any], values: list[Any]) -> None:
        self.leaves, self.values = leaves, values
        self._along = [v.detach().new_zeros(v.shape).requires_grad_() for v in values]

    @cached_property
    def _gradients(self) -> list[Any]:
        return gradients(product(self.values, self._along), self.leaves, create_graph=True)

    def push(self, d: list[Any]) -> list[Any]:
        out = gradients(product(self._gradients, d), self._along, retain_graph=True)
        return [v.new_zeros(v.shape) if g is None else g for g, v in zip(out, self.values, strict=True)]

    def pull(self, u: list[Any]) -> list[Any]:
        s = product(self.values, [a.reshape(v.shape) for a, v in zip(u, self.values, strict=True)])
        return gradients(s, self.leaves, retain_graph=True)
