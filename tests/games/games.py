"""Twelve small games with the same weights in PyTorch and in JAX, independent of the package.

Networks, losses and penalties are written here once more for each framework; their training step is in
tests.games.training.
"""

from dataclasses import dataclass, field

import numpy as np

SGD = {"kind": "sgd", "learning_rate": 0.05}
HEAVY = {"kind": "sgd", "learning_rate": 0.02, "momentum": 0.8}
NESTEROV = {"kind": "sgd", "learning_rate": 0.02, "momentum": 0.7, "nesterov": True}
ADAM = {"kind": "adam", "learning_rate": 2e-3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-8}
COLD = {"kind": "adam", "learning_rate": 1e-3, "beta1": 0.0, "beta2": 0.99, "eps": 1e-8}
ADAMW = {"kind": "adamw", "learning_rate": 2e-3, "beta1": 0.6, "beta2": 0.95, "eps": 1e-6, "weight_decay": 0.02}
DECAYED = {**ADAM, "weight_decay": 0.03}  # Adam with |w|^2 in its gradient


@dataclass(frozen=True)
class Small:
    """One game: networks, loss, strengths, the players' rules, who moves when; ``seed`` draws weights and samples."""

    name: str
    net: str
    loss: str
    strengths: dict = field(default_factory=dict)
    rules: tuple = (SGD, SGD)
    alternating: bool = False
    critic_steps: int = 1
    lazy: int = 1
    seed: int = 0
    batches: int = 1

    @property
    def schedule(self):
        return {"alternating": self.alternating, "critic_steps": self.critic_steps, "lazy": self.lazy}


R1, R12 = {"r1": 0.7}, {"r1": 0.4, "r2": 0.6}
GAMES = {
    g.name: g
    for g in (
        Small("non-saturating, SGD", "mlp", "non_saturating", seed=1),
        Small("saturating + R1, SGD, alternating", "mlp", "logistic", R1, alternating=True, seed=2),
        Small("Wasserstein + R1, momentum", "mlp", "wasserstein", R1, (HEAVY, HEAVY), seed=3, batches=2),
        Small("hinge + R1, Nesterov / momentum", "mlp", "hinge", R1, (NESTEROV, HEAVY), alternating=True, seed=4),
        Small("least squares + R2, Adam", "mlp", "least_squares", {"r2": 0.5}, (ADAM, ADAM), seed=5),
        Small("relativistic + R1 + R2, Adam, alternating", "mlp", "relativistic", R12, (ADAM, COLD), True, seed=6),
        Small("non-saturating + R1, Adam, 2 critic steps", "mlp", "non_saturating", R1, (COLD, ADAM), True, 2, seed=7),
        Small("non-saturating + lazy R1, SGD", "mlp", "non_saturating", R1, (SGD, SGD), True, lazy=3, seed=8),
        Small("convolutional, non-saturating + lazy R1, Adam", "conv", "non_saturating", R1, (ADAM, ADAM), True,
              lazy=2, seed=9),
        Small("convolutional, hinge + R1, AdamW / decayed Adam", "conv", "hinge", R1, (ADAMW, DECAYED), seed=10),
        Small("least squares + lazy R1, Adam / Nesterov, 2 critic steps", "mlp", "least_squares", R1, (ADAM, NESTEROV),
              True, 2, 2, seed=11),
        Small("convolutional, relativistic + R1 + R2, AdamW, 2 critic steps", "conv", "relativistic", R12,
              (ADAMW, ADAMW), True, 2, seed=12, batches=2),
    )
}  # fmt: skip

#: shapes of the weights, D then G: MLP 2 - 6 - 1 and 3 - 5 - 2; convolutions 3 x 3 on 4 x 4 pixels
SHAPES = {
    "mlp": ([(6, 2), (6,), (1, 6), (1,)], [(5, 3), (5,), (2, 5), (2,)]),
    "conv": ([(2, 1, 3, 3), (2,), (1, 32), (1,)], [(16, 3), (16,), (1, 1, 3, 3), (1,)]),
}
POINTS = 7


def drawn(game):
    """(D's arrays, G's arrays), data and latents as lists of mini-batches; weights large enough to bend."""
    rng = np.random.default_rng([game.seed, 16])
    nets = tuple(
        [rng.standard_normal(s) * (1.3 / np.sqrt(np.prod(s[1:])) if len(s) > 1 else 0.3) for s in shapes]
        for shapes in SHAPES[game.net]
    )
    sample = (2,) if game.net == "mlp" else (1, 4, 4)
    data = [rng.standard_normal((POINTS, *sample)) for _ in range(game.batches)]
    return nets, data, [rng.standard_normal((POINTS, 3)) for _ in range(game.batches)]


def flat(arrays):
    return np.concatenate([np.ravel(a) for a in arrays])


# -- PyTorch ---------------------------------------------------------------------------------------------------------


def torch_modules(game):
    """D and G as modules, in double precision, with the drawn weights."""
    import torch
    from torch import nn

    if game.net == "mlp":
        D = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 1))
        G = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    else:
        D = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Softplus(), nn.Flatten(), nn.Linear(32, 1))
        G = nn.Sequential(nn.Linear(3, 16), nn.Unflatten(1, (1, 4, 4)), nn.Tanh(), nn.Conv2d(1, 1, 3, padding=1))
    nets, _, _ = drawn(game)
    for module, arrays in zip((D, G), nets, strict=True):
        module.double()
        with torch.no_grad():
            for p, a in zip(module.parameters(), arrays, strict=True):
                p.copy_(torch.tensor(a))
    return D, G


def torch_optimizer(rule, parameters):
    """The rule as an object of torch.optim."""
    import torch

    r = dict(rule)
    kind, lr = r.pop("kind"), r.pop("learning_rate")
    if kind == "sgd":
        return torch.optim.SGD(parameters, lr=lr, **r)
    betas = (r.pop("beta1"), r.pop("beta2"))
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind](parameters, lr=lr, betas=betas, **r)


def torch_pair(loss):
    """(loss_D, loss_G) of the scores, minimised."""
    import torch.nn.functional as F

    softplus, relu = F.softplus, F.relu
    return {
        "non_saturating": (lambda r, f: softplus(-r).mean() + softplus(f).mean(), lambda r, f: softplus(-f).mean()),
        "logistic": (lambda r, f: softplus(-r).mean() + softplus(f).mean(), lambda r, f: -softplus(f).mean()),
        "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda r, f: -f.mean()),
        "least_squares": (
            lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2, lambda r, f: ((f - 1) ** 2).mean() / 2,
        ),
        "hinge": (lambda r, f: relu(1 - r).mean() + relu(1 + f).mean(), lambda r, f: -f.mean()),
        "relativistic": (lambda r, f: softplus(f - r).mean(), lambda r, f: softplus(r - f).mean()),
    }[loss]  # fmt: skip


def torch_gradients(game, D, G, data, latents):
    """(player, psi, theta, strengths, batch) -> gradient (n,), differentiable, by plain autograd on flat tensors."""
    import torch
    from torch.func import functional_call

    pair = torch_pair(game.loss)

    def call(module, w, x):
        sizes = [p.numel() for p in module.parameters()]
        named = zip(module.named_parameters(), torch.split(w, sizes), strict=True)
        return functional_call(module, {name: part.reshape(p.shape) for (name, p), part in named}, (x,))

    def gradient(player, psi, theta, strengths, batch):
        with torch.enable_grad():
            own = [psi, theta][player]
            # an alias of its own: the opponent's new weights may depend on these, and are held in a player's gradient
            own = own.view_as(own) if own.requires_grad else own.detach().clone().requires_grad_()
            psi, theta = (own, theta) if player == 0 else (psi, own)
            x, y = data[batch], call(G, theta, latents[batch])
            value = pair[player](call(D, psi, x)[:, 0], call(D, psi, y)[:, 0])
            if player == 0:
                for s, points in ((strengths.get("r1", 0), x), (strengths.get("r2", 0), y)):
                    if s:
                        p = points if points.requires_grad else points.detach().requires_grad_()
                        slope = torch.autograd.grad(call(D, psi, p).sum(), p, create_graph=True)[0]
                        value = value + s / 2 * (slope.flatten(1) ** 2).sum(1).mean()
            return torch.autograd.grad(value, own, create_graph=True)[0]

    return gradient


# -- JAX -------------------------------------------------------------------------------------------------------------


def jax_networks(game):
    """((function, params), (function, params)), weights as in ``torch_modules`` and in the same flat order."""
    import jax
    import jax.numpy as jnp

    def conv(x, W, b):
        return jax.lax.conv(x, W, (1, 1), "SAME") + b[None, :, None, None]

    def mlp(p, x):
        return jnp.tanh(x @ p[0].T + p[1]) @ p[2].T + p[3]

    def conv_d(p, x):
        return jnp.logaddexp(conv(x, p[0], p[1]), 0.0).reshape(len(x), -1) @ p[2].T + p[3]

    def conv_g(p, z):
        return conv(jnp.tanh((z @ p[0].T + p[1]).reshape(-1, 1, 4, 4)), p[2], p[3])

    functions = (mlp, mlp) if game.net == "mlp" else (conv_d, conv_g)
    return tuple(zip(functions, drawn(game)[0], strict=True))


def jax_pair(loss):
    import jax
    import jax.numpy as jnp

    log_s = jax.nn.log_sigmoid
    return {
        "non_saturating": (lambda r, f: -log_s(r).mean() - log_s(-f).mean(), lambda r, f: -log_s(f).mean()),
        "logistic": (lambda r, f: -log_s(r).mean() - log_s(-f).mean(), lambda r, f: log_s(-f).mean()),
        "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda r, f: -f.mean()),
        "least_squares": (
            lambda r, f: jnp.square(r - 1).mean() / 2 + jnp.square(f).mean() / 2,
            lambda r, f: jnp.square(f - 1).mean() / 2,
        ),
        "hinge": (
            lambda r, f: (jnp.where(r < 1, 1 - r, 0) + jnp.where(f > -1, 1 + f, 0)).mean(), lambda r, f: -f.mean(),
        ),
        "relativistic": (lambda r, f: -log_s(r - f).mean(), lambda r, f: -log_s(f - r).mean()),
    }[loss]  # fmt: skip


def jax_gradients(game, data, latents):
    import jax
    import jax.numpy as jnp

    pair = jax_pair(game.loss)
    (d, d_params), (g, g_params) = jax_networks(game)

    def call(function, like, w, x):
        ends = np.cumsum([a.size for a in like])[:-1]
        return function([p.reshape(a.shape) for p, a in zip(jnp.split(w, ends), like, strict=True)], x)

    def objective(player, psi, theta, strengths, batch):
        x, y = data[batch], call(g, g_params, theta, latents[batch])
        one = lambda point: call(d, d_params, psi, point[None])[0, 0]  # noqa: E731
        value = pair[player](jax.vmap(one)(x), jax.vmap(one)(y))
        if player == 0:
            for s, points in ((strengths.get("r1", 0), x), (strengths.get("r2", 0), y)):
                value = value + s / 2 * jnp.square(jax.vmap(jax.grad(one))(points)).sum() / len(points)
        return value

    def gradient(player, psi, theta, strengths, batch):
        return jax.grad(objective, argnums=1 + player)(player, psi, theta, strengths, batch)

    return gradient
