"""Small games in PyTorch, and their training step by torch.optim as a differentiable function of its state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

F = nn.functional

LOSSES = {
    "non_saturating": (lambda r, f: F.softplus(-r).mean() + F.softplus(f).mean(), lambda r, f: F.softplus(-f).mean()),
    "least_squares": (
        lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2, lambda r, f: ((f - 1) ** 2).mean() / 2,
    ),
    "relativistic": (lambda r, f: F.softplus(f - r).mean(), lambda r, f: F.softplus(r - f).mean()),
}  # fmt: skip
ADAM, ADAMW, SGD = torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD


@dataclass
class Setup:
    """Two small networks with optimisers that have made some steps of real training."""

    loss: str
    kinds: tuple[Any, Any]
    settings: tuple[dict[str, Any], dict[str, Any]]
    strengths: dict[str, float] = field(default_factory=dict)
    alternating: bool = True
    critic_steps: int = 1
    lazy: int = 1
    trained: int = 4

    def __post_init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.D = nn.Sequential(
                nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1, bias=self.loss != "relativistic")
            ).double()
            self.G = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)).double()
            self.x = torch.randn(6, 2, dtype=torch.float64)
            self.z = torch.randn(6, 2, dtype=torch.float64)
        self.optimizers = tuple(
            kind(net.parameters(), **s)
            for kind, net, s in zip(self.kinds, (self.D, self.G), self.settings, strict=True)
        )
        for position in range(self.trained):
            self.train(position)

    @property
    def asked(self) -> dict[str, Any]:
        return {
            "loss": self.loss, "data": self.x, "latents": self.z, "optimizers": self.optimizers,
            "penalty": self.strengths, "alternating": self.alternating, "critic_steps": self.critic_steps,
            "lazy": self.lazy,
        }  # fmt: skip

    def objective(self, player: int, psi: Any, theta: Any, strengths: dict[str, float]) -> Any:
        x = self.x.clone().requires_grad_()
        y = functional_call(self.G, theta, (self.z,))
        if not y.requires_grad:
            y = y.clone().requires_grad_()
        real, fake = functional_call(self.D, psi, (x,)), functional_call(self.D, psi, (y,))
        value = LOSSES[self.loss][player](real, fake)
        if player == 0:
            for name, score, at in (("r1", real, x), ("r2", fake, y)):
                if strengths.get(name):
                    (slope,) = torch.autograd.grad(score.sum(), at, create_graph=True)
                    value = value + strengths[name] / 2 * (slope**2).sum(1).mean()
        return value

    def moved(
        self, optimizers: Any, weights: tuple[dict[str, Any], dict[str, Any]], position: int, graph: bool
    ) -> None:
        """One training step in place."""
        factor = self.lazy if position % self.lazy == 0 else 0
        strengths = {name: factor * s for name, s in self.strengths.items()}

        def gradients(player: int) -> None:
            # copies: torch.optim writes over the weights, whose values the graph still needs
            held = [{k: p.clone() if p.requires_grad else p.clone().requires_grad_() for k, p in w.items()}
                    for w in weights]  # fmt: skip
            value = self.objective(player, *held, strengths)
            found = torch.autograd.grad(value, list(held[player].values()), create_graph=graph)
            for p, g in zip(weights[player].values(), found, strict=True):
                p.grad = g

        if not self.alternating:
            gradients(0), gradients(1)
            optimizers[0].step(), optimizers[1].step()
            return
        for player in (*(0,) * self.critic_steps, 1):
            gradients(player)
            optimizers[player].step()

    def train(self, position: int) -> None:
        self.moved(self.optimizers, (dict(self.D.named_parameters()), dict(self.G.named_parameters())), position, False)

    def step(self, parts: dict[str, slice]) -> Any:
        """z -> F(z) with the parts of z by name, by torch.optim with ``differentiable``: second moments move."""
        nets = (self.D, self.G)

        def split(z: Any, key: str, net: Any) -> Any:
            pieces = z[parts[key]].split([p.numel() for p in net.parameters()])
            return [t.view(p.shape).clone() for t, p in zip(pieces, net.parameters(), strict=True)]

        def function(z: Any) -> Any:
            weights, optimizers = [], []
            for i, (net, name) in enumerate(zip(nets, ("psi", "theta"), strict=True)):
                own = split(z, name, net)
                weights.append(dict(zip(dict(net.named_parameters()), own, strict=True)))
                optimizer = self.kinds[i](own, **self.settings[i], differentiable=True)
                old = [self.optimizers[i].state[p] for p in net.parameters()]
                adam = self.kinds[i] is not SGD
                keys = {"m": "exp_avg" if adam else "momentum_buffer", "v": "exp_avg_sq", "v_max": "max_exp_avg_sq"}
                for p, state in zip(own, old, strict=True):
                    optimizer.state[p] = {
                        # the count is a single-precision number, and so would be the corrections
                        k: v.double() if torch.is_tensor(v) else v
                        for k, v in state.items()
                        if v is not None
                    }
                for short, long in keys.items():
                    if f"{short}_{name}" in parts:
                        for p, t in zip(own, split(z, f"{short}_{name}", net), strict=True):
                            optimizer.state[p][long] = t
                optimizers.append(optimizer)
            for position in range(self.lazy):
                self.moved(optimizers, (weights[0], weights[1]), position, True)
            out = {}
            for i, name in enumerate(("psi", "theta")):
                own = list(weights[i].values())
                out[name] = own
                for short, long in (("m", "exp_avg"), ("m", "momentum_buffer"), ("v", "exp_avg_sq"),
                                    ("v_max", "max_exp_avg_sq")):  # fmt: skip
                    if long in optimizers[i].state[own[0]]:
                        out[f"{short}_{name}"] = [optimizers[i].state[p][long] for p in own]
            return torch.cat([t.reshape(-1) for key in parts for t in out[key]])

        return function

    def jacobian(self, parts: dict[str, slice], z: Any) -> Any:
        found = torch.autograd.functional.jacobian(self.step(parts), torch.tensor(z))
        return np.asarray(found)


SETUPS = {
    "adam, amsgrad, R1": lambda: Setup(
        "non_saturating", (ADAM, ADAMW),
        ({"lr": 0.02, "betas": (0.5, 0.9), "amsgrad": True}, {"lr": 0.01, "betas": (0.4, 0.8), "weight_decay": 0.1}),
        {"r1": 0.7, "r2": 0.2},
    ),
    "sgd, nesterov, two critic steps": lambda: Setup(
        "least_squares", (SGD, SGD),
        ({"lr": 0.1, "momentum": 0.6, "nesterov": True, "weight_decay": 0.02},
         {"lr": 0.2, "momentum": 0.3, "dampening": 0.1}),
        {"r1": 0.3}, critic_steps=2,
    ),
    "simultaneous, pairs, lazy": lambda: Setup(
        "relativistic", (ADAM, SGD), ({"lr": 0.02, "betas": (0.0, 0.9)}, {"lr": 0.05}), {"r1": 0.5},
        alternating=False, lazy=3,
    ),
}  # fmt: skip
