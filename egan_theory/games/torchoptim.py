"""Optimisers of torch.optim as entries of OPTIMIZERS: settings per weight, and the state of the weights trained.

``foreach``, ``fused`` and ``capturable`` change how a step is computed, not the step. With ``maximize`` PyTorch turns
the sign of the gradient before anything else, so that moments are those of the objective that is minimised here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base.errors import InputError
from .modules import Network, require_torch
from .optimizers import Optimizer

Array = np.ndarray
#: names here and there; of the weights' state likewise
SGD = {"learning_rate": "lr", "weight_decay": "weight_decay", "momentum": "momentum", "dampening": "dampening",
       "nesterov": "nesterov"}  # fmt: skip
ADAM = {"learning_rate": "lr", "weight_decay": "weight_decay", "eps": "eps", "amsgrad": "amsgrad"}
MOMENTS = {"m": ("exp_avg", "momentum_buffer"), "v": ("exp_avg_sq",), "v_max": ("max_exp_avg_sq",)}


def held(name: str, optimizer: Any) -> set[int]:
    """Ids of the parameters that the optimiser has. Raises InputError."""
    return {id(p) for group in plain(name, optimizer).param_groups for p in group["params"]}


def plain(name: str, optimizer: Any) -> Any:
    """The optimiser of torch.optim within what training frameworks wrap about it. Raises InputError."""
    torch = require_torch()
    kinds = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
    while not isinstance(optimizer, torch.optim.Optimizer) and hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    if type(optimizer) not in kinds:
        known = ", ".join(f"torch.optim.{kind.__name__}" for kind in kinds)
        raise InputError(f"optimizers ({name})", f"be one of {known}", f"found {type(optimizer).__name__}")
    return optimizer


def read(name: str, optimizer: Any, net: Network) -> Optimizer:
    """The optimiser of a network at this checkpoint. Raises InputError."""
    torch, optimizer = require_torch(), plain(name, optimizer)
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    own = [groups[id(p)] for p in net.parameters]
    if isinstance(optimizer, torch.optim.SGD):
        kind, names = "sgd", SGD
    else:
        decoupled = {_decoupled(optimizer, group) for group in own}
        if len(decoupled) > 1:
            raise InputError(f"optimizers ({name})", "treat weight decay alike in all groups", "found both kinds")
        kind, names = ("adamw" if decoupled.pop() else "adam"), ADAM
    settings = {key: _per_weight([float(g[theirs]) for g in own], net) for key, theirs in names.items()}
    if kind != "sgd":
        for i, key in enumerate(("beta1", "beta2")):
            settings[key] = _per_weight([float(g["betas"][i]) for g in own], net)
    states = [optimizer.state.get(p, {}) for p in net.parameters]
    moments = {}
    for key, theirs in MOMENTS.items():
        found = [next((s[t] for t in theirs if s.get(t) is not None), None) for s in states]
        if any(f is not None for f in found):
            moments[key] = net.gathered(
                [torch.zeros(shape) if f is None else f for f, shape in zip(found, net.shapes, strict=True)]
            )
    if kind == "sgd":  # which counts no steps, but has no buffer before the first
        count = [0 if s.get("momentum_buffer") is None else 1 for s in states]
    else:
        count = [int(s.get("step", 0)) for s in states]
    return Optimizer(kind, settings, moments, _per_weight(count, net))


def _decoupled(optimizer: Any, group: Any) -> bool:
    return isinstance(optimizer, require_torch().optim.AdamW) or bool(group.get("decoupled_weight_decay"))


def _per_weight(values: list[Any], net: Network) -> Any:
    """One number, or one per weight where parameters differ."""
    return values[0] if len(set(values)) == 1 else np.repeat(np.asarray(values), net.counts)
