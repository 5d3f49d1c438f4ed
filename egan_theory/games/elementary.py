"""Normalizations as elementary operations, whose derivatives of every order are right, and no mixed precision.

The double backward of PyTorch's fused normalizations holds the saved mean and inverse deviation as constants, so that
third derivatives, which products with R1 or R2 need, are silently wrong; those of their elementary operations are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any


def batch_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """torch.nn.functional.batch_norm."""
    over = [0, *range(2, input.dim())]
    if training and input.numel() == input.shape[1]:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.size()}")
    return _channels(
        input, over, running_mean, running_var, weight, bias, training or running_mean is None, momentum, eps
    )


def instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """torch.nn.functional.instance_norm."""
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.size()}")
    over = list(range(2, input.dim()))
    return _channels(input, over, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def _channels(
    x: Any, over: list[int], running_mean: Any, running_var: Any, weight: Any, bias: Any, own: bool, momentum: float,
    eps: float,
) -> Any:  # fmt: skip
    """Normalized over some axes by the statistics of x itself (``own``, which running ones follow) or running ones."""
    torch = import_module("torch")
    shape = [1, -1] + [1] * (x.dim() - 2)
    if own:
        mean = x.mean(over, keepdim=True)
        variance = (x - mean).square().mean(over, keepdim=True)
        if running_mean is not None:
            n = math.prod(x.shape[i] for i in over)
            with torch.no_grad():
                for running, value in ((running_mean, mean), (running_var, variance * (n / max(n - 1, 1)))):
                    running.mul_(1 - momentum).add_(momentum * value.mean(0).reshape(-1))
    else:
        mean, variance = running_mean.reshape(shape), running_var.reshape(shape)
    y = (x - mean) / torch.sqrt(variance + eps)
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """torch.nn.functional.layer_norm."""
    over = list(range(-len(normalized_shape), 0))
    x = input - input.mean(over, keepdim=True)
    y = x / import_module("torch").sqrt(x.square().mean(over, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def weight_norm(v: Any, g: Any, dim: int = 0) -> Any:
    """torch._weight_norm; dim -1: the norm of all of v."""
    over = [i for i in range(v.dim()) if dim == -1 or i != dim]
    return v * (g / import_module("torch").sqrt(v.square().sum(over, keepdim=dim != -1)))


def _batch(x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float,
           cudnn_enabled: bool = True) -> Any:  # fmt: skip
    return batch_norm(x, mean, var, weight, bias, training, momentum, eps)


def _instance(x: Any, weight: Any, bias: Any, mean: Any, var: Any, use_input_stats: bool, momentum: float, eps: float,
              cudnn_enabled: bool = True) -> Any:  # fmt: skip
    return instance_norm(x, mean, var, weight, bias, use_input_stats, momentum, eps)


def _layer(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5,
           cudnn_enable: bool = True) -> Any:  # fmt: skip
    return layer_norm(input, normalized_shape, weight, bias, eps)


@cache
def elementary(kind: str) -> Any:
    """The class of a context for tensors on a device of this kind, in which the normalizations are those above, and
    autocast, where a module turns it on itself, does nothing (``mixed``: it did turn it on). ``narrowed``: values that
    derivatives are taken of were cast to a lower precision by a module itself.
    """
    torch = import_module("torch")
    F, Tensor = torch.nn.functional, torch.Tensor
    replaced: dict[Callable[..., Any], Callable[..., Any]] = {
        F.batch_norm: batch_norm, F.instance_norm: instance_norm, F.layer_norm: layer_norm,
        torch.batch_norm: _batch, torch.instance_norm: _instance, torch.layer_norm: _layer,
        torch._weight_norm: weight_norm,
    }  # fmt: skip
    casts = {Tensor.to, Tensor.type, Tensor.float, Tensor.half, Tensor.bfloat16}
    kinds = tuple({"cpu", kind})

    class Elementary(torch.overrides.TorchFunctionMode):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.mixed = self.narrowed = False

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            run, kwargs = replaced.get(func, func), kwargs or {}
            on = [k for k in kinds if torch.is_autocast_enabled(k)]
            if on:
                self.mixed = True
                states = [torch.is_autocast_enabled(k) for k in kinds]
                for k in on:
                    torch.set_autocast_enabled(k, False)
                try:
                    out = run(*args, **kwargs)
                finally:
                    for k, state in zip(kinds, states, strict=True):
                        torch.set_autocast_enabled(k, state)
            else:
                out = run(*args, **kwargs)
            if func in casts and isinstance(out, Tensor) and out.is_floating_point() and args[0].requires_grad:
                self.narrowed |= out.dtype.itemsize < args[0].dtype.itemsize
            return out

    return Elementary
