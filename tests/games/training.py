"""The training step of a small game, written out, and its dense Jacobian in PyTorch and in JAX.

Update rules are written here once more, and the step is differentiated as a whole by the framework's own Jacobian.
Frozen means what the real step from the checkpoint makes of the second moments, held: ``hold`` takes the derivative
away where they divide.
"""

import numpy as np

from tests.games.games import drawn, flat, jax_gradients, torch_gradients, torch_modules, torch_optimizer


def torch_dense(game, checkpoint, frozen=True):
    """dF/dz (n, n) with z = (psi, theta, moments) in the order of ``blocks``, from one Jacobian of the whole step."""
    import torch

    D, G, data, latents = checkpoint["torch"]
    gradient = torch_gradients(game, D, G, [torch.tensor(x) for x in data], [torch.tensor(z) for z in latents])
    start = [torch.tensor(a) for a in blocks(game, checkpoint, frozen)[1]]

    def whole(z):
        named = dict(zip(blocks(game, checkpoint, frozen)[0], torch.split(z, [len(a) for a in start]), strict=True))
        out = step(game, checkpoint, gradient, named, torch.sqrt, lambda v: v.detach() if frozen else v, torch.tensor)
        return torch.cat([out[name] for name in named])

    return torch.autograd.functional.jacobian(whole, torch.cat(start)).numpy()


def jax_dense(game, checkpoint, frozen=True):
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(True):
        _, _, data, latents = checkpoint["torch"]
        gradient = jax_gradients(game, [jnp.asarray(x) for x in data], [jnp.asarray(z) for z in latents])
        names, start = blocks(game, checkpoint, frozen)
        ends = np.cumsum([len(a) for a in start])[:-1]

        def whole(z):
            named = dict(zip(names, jnp.split(z, ends), strict=True))
            hold = jax.lax.stop_gradient if frozen else lambda v: v
            out = step(game, checkpoint, gradient, named, jnp.sqrt, hold, jnp.asarray)
            return jnp.concatenate([out[name] for name in names])

        return np.asarray(jax.jit(jax.jacrev(whole))(jnp.asarray(np.concatenate(start))))


def blocks(game, checkpoint, frozen):
    """Names and values of the parts of z."""
    names, values = ["psi", "theta"], list(checkpoint["weights"])
    for player, name in enumerate(names[:2]):
        for moment in ("m", "v"):
            if moment in checkpoint["moments"][player] and not (frozen and moment == "v"):
                names.append(f"{moment}_{name}")
                values.append(checkpoint["moments"][player][moment])
    return names, values


def step(game, checkpoint, gradient, z, sqrt, hold, array):
    """``lazy`` training steps from z, the penalty on the first one: the formulas of torch.optim's manual."""
    z = dict(z)
    for player, name in enumerate(("psi", "theta")):
        if "v" in checkpoint["moments"][player] and f"v_{name}" not in z:
            z[f"v_{name}"] = array(checkpoint["moments"][player]["v"])
    count = list(checkpoint["counts"])

    def mean_gradient(player, strengths):
        each = [gradient(player, z["psi"], z["theta"], strengths, i) for i in range(game.batches)]
        return sum(each[1:], each[0]) / game.batches

    def move(player, g):
        rule, name = game.rules[player], ("psi", "theta")[player]
        count[player] += 1
        w, lr, decay = z[name], rule["learning_rate"], rule.get("weight_decay", 0.0)
        if rule["kind"] == "adamw":
            w = w - lr * decay * w
        elif decay:
            g = g + decay * w
        if rule["kind"] == "sgd":
            mu = rule.get("momentum", 0.0)
            if mu:
                z[f"m_{name}"] = mu * z[f"m_{name}"] + g
                g = g + mu * z[f"m_{name}"] if rule.get("nesterov") else z[f"m_{name}"]
            z[name] = w - lr * g
            return
        b1, b2, n = rule["beta1"], rule["beta2"], count[player]
        z[f"m_{name}"] = b1 * z.get(f"m_{name}", 0.0) + (1 - b1) * g
        z[f"v_{name}"] = b2 * z[f"v_{name}"] + (1 - b2) * g**2
        size = hold(sqrt(z[f"v_{name}"] / (1 - b2**n)) + rule["eps"])
        z[name] = w - lr * z[f"m_{name}"] / (1 - b1**n) / size

    for i in range(game.lazy):
        strengths = {k: game.lazy * s if i == 0 else 0.0 for k, s in game.strengths.items()}
        for _ in range(game.critic_steps - 1):
            move(0, mean_gradient(0, strengths))
        g_D, g_G = mean_gradient(0, strengths), mean_gradient(1, strengths)
        move(0, g_D)
        move(1, mean_gradient(1, strengths) if game.alternating else g_G)
    return z


def checkpoint(game, steps=4):
    """The game after some real steps of torch.optim: modules, optimisers, and their state as flat arrays."""
    import torch

    D, G = torch_modules(game)
    _, data, latents = drawn(game)
    x, z = [torch.tensor(a) for a in data], [torch.tensor(a) for a in latents]
    optimizers = tuple(torch_optimizer(r, m.parameters()) for r, m in zip(game.rules, (D, G), strict=True))
    train(game, (D, G), optimizers, x, z, steps * game.lazy)
    names = {"sgd": {"m": "momentum_buffer"}, "adam": {"m": "exp_avg", "v": "exp_avg_sq"}}
    names["adamw"] = names["adam"]
    moments, counts = [], []
    for rule, optimizer, module in zip(game.rules, optimizers, (D, G), strict=True):
        states = [optimizer.state.get(p, {}) for p in module.parameters()]
        found = {
            m: flat([s[key].numpy() for s in states])
            for m, key in names[rule["kind"]].items()
            if all(s.get(key) is not None for s in states)
        }
        if not rule.get("beta1", 1.0):
            del found["m"]  # the mean gradient is the gradient, and the next step forgets it
        moments.append(found)
        counts.append(int(states[0].get("step", 0)))
    weights = tuple(flat([p.detach().numpy() for p in m.parameters()]) for m in (D, G))
    return {
        "torch": (D, G, data, latents), "optimizers": optimizers, "weights": weights, "moments": moments,
        "counts": counts,
    }  # fmt: skip


def train(game, modules, optimizers, data, latents, steps):
    """Real training: a plain loop with torch.optim's own steps, the mean over all mini-batches in each."""
    import torch

    D, G = modules
    gradient = torch_gradients(game, D, G, data, latents)

    def move(player, g):
        parameters = list(modules[player].parameters())
        for p, part in zip(parameters, torch.split(g.detach(), [p.numel() for p in parameters]), strict=True):
            p.grad = part.reshape(p.shape).clone()
        optimizers[player].step()
        optimizers[player].zero_grad()

    def mean_gradient(player, strengths):
        w = [torch.cat([p.detach().ravel() for p in m.parameters()]) for m in modules]
        return sum(gradient(player, *w, strengths, i).detach() for i in range(len(data))) / len(data)

    for i in range(steps):
        strengths = {k: 0.0 if i % game.lazy else game.lazy * s for k, s in game.strengths.items()}
        for _ in range(game.critic_steps - 1):
            move(0, mean_gradient(0, strengths))
        g_D, g_G = mean_gradient(0, strengths), mean_gradient(1, strengths)
        move(0, g_D)
        move(1, mean_gradient(1, strengths) if game.alternating else g_G)
