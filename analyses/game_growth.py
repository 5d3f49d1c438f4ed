# %% [markdown]
# # Do multipliers of a GAN's training step say how perturbations of real training grow?
# Small GANs in PyTorch (a ring of 8 points, full batch, double precision) are trained for a while with SGD, momentum or
# Adam. At the checkpoint the multipliers mu and modes of one training step are those of eg.game's map, in which Adam's
# second moments are held. Then the weights and first moments are displaced along a mode by PERTURBATION (norm in
# weights), and the same real training, torch.optim's own steps and second moments, goes on for STEPS steps from both
# states. d_t is their difference.
#
# Measured: the growth per step of the part of d in the mode, |y d_T / y d_0|^(1/T) with the adjoint mode y, against
# |mu|. Along a complex mode d_0 is its real part; y d then grows by |mu|, too, without the turning. Also |d_T| against
# that of A^T d_0, in weights, which needs no adjoint.
#
# What can be wrong is known without that, as numbers per step in units of |mu|:
# shift: what second moments that move do to the multiplier, to first order. The map in which they are part of the
#   state is [[A, C], [S, B]] in (weights and first moments, second moments); its multiplier is
#   mu + y C (mu - B)^-1 S x / y x, B = beta2 (one step each). What one step neglects, |C S x|, is smaller by the factor
#   |mu - beta2|: second moments remember;
# drift: how much the multiplier changes while the checkpoint moves on, |y E x / y x| with E = A_t - A and A_t the map
#   half-way and at the end of the unperturbed run;
# leak: what passes through other modes and back, to second order: the sum of |y E x_j y_j E x| / |mu_j - mu|^2 times
#   max(1, |mu_j / mu|^T), of which the T-th root is the change of growth per step.
# The frozen linearization is called valid for a mode where their sum is below VALID.
# Run: python -m analyses.game_growth --seed 1 --draws 2 --output out/game_growth

# %%
from __future__ import annotations

import copy
import sys
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.ticker import NullLocator

from analyses.script import above, made, options, redraws, sheet
from egan_theory.games.game import game
from egan_theory.games.modes import NEGLECTED
from egan_theory.games.stepmap import GameMap
from egan_theory.show.style import BLACK, BLUE, GREY, VERMILLION

STEPS, PERTURBATION, VALID = 50, 1e-6, 0.01
#: standard deviation of the weights' displacement from rest where a set-up begins beside it
DISPLACED = 1e-3
#: asked of the growth per step where the linearization is valid
AGREE = 0.02
#: modes for each checkpoint: leading ones, leading complex ones, those nearest to these moduli
LEADING, TURNING, OTHERS = 6, 4, (1.0, 0.97, 0.93, 0.88)
#: what is left of a perturbation at the end for its growth to be measured
SEEN = 1e-4
TRAINED, TRAINED_AT_REST, WIDTH, POINTS = 1500, 50, 8, 64
#: name: loss, strengths, class and arguments of both optimisers, alternating. "at rest": the data are samples of a
#: generator that training begins beside, and D begins near 0, so that the checkpoint is close to an equilibrium
SETUPS: dict[str, tuple[str, dict[str, float], str, dict[str, Any], bool]] = {
    "SGD, R1 = 1": ("non_saturating", {"r1": 1.0}, "SGD", {"lr": 0.3}, False),
    "momentum .8, R1 = 1": ("non_saturating", {"r1": 1.0}, "SGD", {"lr": 0.03, "momentum": 0.8}, True),
    "SGD, R1 = .3, at rest": ("non_saturating", {"r1": 0.3}, "SGD", {"lr": 0.3}, True),
    "SGD, Wasserstein, no penalty, at rest": ("wasserstein", {"r1": 0.0}, "SGD", {"lr": 0.4}, False),
    "momentum .8, R1 = 1, at rest": ("non_saturating", {"r1": 1.0}, "SGD", {"lr": 0.1, "momentum": 0.8}, True),
    "Adam 0 / .99, R1 = 1": ("non_saturating", {"r1": 1.0}, "Adam", {"lr": 1e-3, "betas": (0.0, 0.99)}, True),
    "Adam 0 / .99, R1 = 10": ("non_saturating", {"r1": 10.0}, "Adam", {"lr": 5e-3, "betas": (0.0, 0.99)}, True),
    "Adam .5 / .999, R1 = .3": ("non_saturating", {"r1": 0.3}, "Adam", {"lr": 1e-3, "betas": (0.5, 0.999)}, True),
    "Adam .9 / .999, Wasserstein, R1 = 1": (
        "wasserstein", {"r1": 1.0}, "Adam", {"lr": 2e-3, "betas": (0.9, 0.999)}, False,
    ),
    "Adam .5 / .999, R1 = 1, at rest": (
        "non_saturating", {"r1": 1.0}, "Adam", {"lr": 1e-3, "betas": (0.5, 0.999)}, True,
    ),
}  # fmt: skip
COLUMNS = {
    "modulus": ("modulus of the multiplier", "1"),
    "angle": ("angle of the multiplier", "rad"),
    "growth": ("measured growth per step of the part in the mode", "1"),
    "size_ratio": ("size of the difference after all steps over that of the linear prediction", "1"),
    "shift": ("change of the multiplier by moving second moments, over its modulus", "1"),
    "drift": ("change of the multiplier during the run, over its modulus", "1"),
    "leak": ("change of the growth per step by what passes through other modes", "1"),
    "one_step": ("what freezing neglects in one step, over |multiplier - 1|", "1"),
    "neglected": ("what freezing neglects, second moments in step with the mode, over |multiplier - 1|", "1"),
}


# %%
class Training:
    """A small GAN and its optimisers, trained in a plain loop."""

    def __init__(self, name: str, seed: int) -> None:
        import torch
        from torch import nn

        self.loss, self.strengths, kind, numbers, self.alternating = SETUPS[name]
        rng, torch_seed = np.random.default_rng([seed, 31]), 1000 + seed
        with torch.random.fork_rng():
            torch.manual_seed(torch_seed)
            layers = [nn.Linear(2, WIDTH), nn.Softplus(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 1)]
            self.D = nn.Sequential(*layers).double()
            self.G = nn.Sequential(nn.Linear(2, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 2)).double()
        self.optimizers = tuple(getattr(torch.optim, kind)(m.parameters(), **numbers) for m in (self.D, self.G))
        angle = 2 * np.pi * (np.arange(POINTS) % 8) / 8
        x = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.1 * rng.standard_normal((POINTS, 2))
        self.x, self.z = torch.tensor(x), torch.tensor(rng.standard_normal((POINTS, 2)))
        if name.endswith("at rest"):
            with torch.no_grad():
                self.x = self.G(self.z)
                for p in (self.D[-1].weight, self.D[-1].bias):
                    p *= 0.0
                for p in [*self.D.parameters(), *self.G.parameters()]:
                    p += DISPLACED * torch.tensor(rng.standard_normal(p.shape))

    def losses(self) -> tuple[Any, Any]:
        """What D and G minimise."""
        import torch
        from torch.nn.functional import softplus

        x, y = self.x.clone().requires_grad_(), self.G(self.z)
        real, fake = self.D(x), self.D(y)
        slope = torch.autograd.grad(real.sum(), x, create_graph=True)[0]
        penalty = self.strengths["r1"] / 2 * (slope**2).sum(1).mean()
        if self.loss == "wasserstein":
            return fake.mean() - real.mean() + penalty, -fake.mean()
        return softplus(-real).mean() + softplus(fake).mean() + penalty, softplus(-fake).mean()

    def run(self, steps: int) -> None:
        import torch

        for _ in range(steps):
            for movers in ((0,), (1,)) if self.alternating else ((0, 1),):
                losses = self.losses()
                for i in movers:
                    weights = list((self.D, self.G)[i].parameters())
                    for p, g in zip(weights, torch.autograd.grad(losses[i], weights, retain_graph=True), strict=True):
                        p.grad = g
                for i in movers:
                    self.optimizers[i].step()

    def map(self, frozen: bool = True) -> GameMap:
        found = game(
            self.D, self.G, loss=self.loss, penalty=self.strengths, data=self.x, latents=self.z,
            optimizers=self.optimizers, alternating=self.alternating,
        )  # fmt: skip
        return (
            found.map
            if frozen
            else GameMap(found.players, found.optimizers, found.schedule, found.strengths, None, False)
        )

    def parts(self) -> dict[str, list[Any]]:
        """The tensors of weights and first moments that a step moves."""
        out = {}
        for name, module, optimizer in zip(("psi", "theta"), (self.D, self.G), self.optimizers, strict=True):
            out[name] = weights = list(module.parameters())
            for key in ("exp_avg", "momentum_buffer"):
                if optimizer.state.get(weights[0], {}).get(key) is not None:
                    out[f"m_{name}"] = [optimizer.state[p][key] for p in weights]
        return out

    def state(self, parts: dict[str, slice]) -> np.ndarray:
        tensors = self.parts()
        return np.concatenate([t.detach().numpy().ravel() for name in parts for t in tensors[name]])

    def displaced(self, parts: dict[str, slice], d: np.ndarray) -> Training:
        """A copy with weights and first moments moved by d."""
        import torch

        other = copy.deepcopy(self)
        tensors = other.parts()
        with torch.no_grad():
            for name, part in parts.items():
                for t, add in zip(tensors[name], np.split(d[part], np.cumsum([t.numel() for t in tensors[name]])[:-1]),
                                  strict=True):  # fmt: skip
                    t += torch.tensor(add).reshape(t.shape)
        return other


# %%
def chosen(values: np.ndarray, steps: int) -> list[int]:
    """Modes to perturb, of a conjugate pair the one with im > 0."""
    order = [int(i) for i in np.argsort(-np.abs(values)) if values[i].imag >= 0 and abs(values[i]) ** steps > SEEN]
    turning = [i for i in order if abs(np.angle(values[i])) > 1e-6][:TURNING]
    others = [order[int(np.argmin(np.abs(np.abs(values[order]) - size)))] for size in OTHERS]
    return list(dict.fromkeys(order[:LEADING] + turning + others))


def neglected(
    frozen: GameMap, live: GameMap, mu: complex, x: np.ndarray, y: np.ndarray
) -> tuple[complex, float, float]:
    """(change of mu by moving second moments; what one step of them does to the mode, and what they do when they move
    with it, both over |mu - 1|)."""
    slow = {name: part for name, part in live.parts.items() if name not in frozen.parts}
    if not slow:
        return 0.0, 0.0, 0.0
    beta = {f"v_{name}": o.settings["beta2"] for name, o in zip(("psi", "theta"), live.optimizers, strict=True)}

    def of_frozen(z: np.ndarray) -> np.ndarray:
        return np.concatenate([z[live.parts[name]] for name in frozen.parts])

    z = np.zeros(live.n, complex)
    for name, part in frozen.parts.items():
        z[live.parts[name]] = x[part]
    image = live.product(z)
    moved = np.zeros(live.n, complex)
    for name, part in slow.items():
        moved[part] = image[part] / (mu - beta[name])
    change = of_frozen(image) - mu * x
    total = change + of_frozen(live.product(moved))
    scale = np.linalg.norm(x) * max(abs(mu - 1), 1e-300)
    return complex(y @ total), float(np.linalg.norm(change) / scale), float(np.linalg.norm(total) / scale)


def checkpoint(name: str, seed: int) -> list[dict[str, float]]:
    """Train one set-up, and a row of COLUMNS for each mode that is perturbed."""
    training = Training(name, seed)
    training.run(TRAINED_AT_REST if name.endswith("at rest") else TRAINED)
    A, live = training.map(), training.map(frozen=False)
    values, X = np.linalg.eig(A.product(np.eye(A.n)))
    Y = np.linalg.inv(X)
    weights = np.zeros(A.n, bool)
    weights[A.parts["psi"]] = weights[A.parts["theta"]] = True
    still, later = training.displaced(A.parts, np.zeros(A.n)), []
    for steps in (STEPS // 2, STEPS - STEPS // 2):
        still.run(steps)
        later.append(still.map())
    rows = []
    for i in chosen(values, STEPS):
        mu, size = complex(values[i]), np.linalg.norm(X[weights, i])
        if size < 1e-6:  # a mode of moments alone
            continue
        x, y = X[:, i] / size, Y[i] * size
        d = PERTURBATION * x.real
        if np.linalg.norm(d[weights]) < 0.1 * PERTURBATION:
            d = PERTURBATION * x.imag
        start, moved = training.state(A.parts), training.displaced(A.parts, d)
        first = moved.state(A.parts) - start
        moved.run(STEPS)
        last = moved.state(A.parts) - still.state(A.parts)
        linear = first
        for _ in range(STEPS):
            linear = A.product(linear)
        shift, one_step, moving = neglected(A, live, mu, x, y)
        drift, leak = 0.0, 0.0
        for B in later:
            out, back = Y @ (B.product(x) - mu * x) / size, (B.transposed(y) - mu * y) @ X * size
            drift = max(drift, abs(y @ (B.product(x) - mu * x)))
            others = np.arange(A.n) != i
            gap = np.maximum(np.abs(values[others] - mu), 1 / STEPS)
            faster = np.maximum(np.abs(values[others] / mu), 1.0) ** STEPS
            leak = max(leak, float((np.abs(out * back)[others] / gap**2 * faster).sum()))
        rows.append(
            {
                "modulus": abs(mu),
                "angle": float(np.angle(mu)),
                "growth": float(abs(y @ last / (y @ first)) ** (1 / STEPS)),
                "size_ratio": float(np.linalg.norm(last[weights]) / np.linalg.norm(linear[weights])),
                "shift": float((shift * np.conj(mu)).real) / abs(mu) ** 2,
                "drift": float(drift) / abs(mu),
                "leak": float(np.log1p(leak)) / STEPS,
                "one_step": one_step,
                "neglected": moving,
            }
        )
    return rows


# %%
def study(seed: int, draws: int) -> xr.Dataset:
    """One row per perturbed mode."""
    rows, names, seeds = [], [], []
    for name in SETUPS:
        for s in range(seed, seed + draws):
            found = checkpoint(name, s)
            rows += found
            names += [name] * len(found)
            seeds += [s] * len(found)
            print(f"{name}, seed {s}: {len(found)} modes", file=sys.stderr)
    data = {
        key: ("mode", [row[key] for row in rows], {"long_name": text, "units": units})
        for key, (text, units) in COLUMNS.items()
    }
    data["setup"] = ("mode", np.array(names, dtype=str))
    attrs = {"seed": seed, "draws": draws, "steps": STEPS, "perturbation": PERTURBATION, "valid_below": VALID}
    ds = xr.Dataset(data, coords={"draw": ("mode", seeds)}, attrs=attrs)
    return ds.assign(valid=("mode", known(ds) < VALID))


def known(ds: xr.Dataset) -> np.ndarray:
    """What is known to be neglected, per step, of the modulus."""
    return (np.abs(ds["shift"]) + ds["drift"] + ds["leak"]).values


def deviation(ds: xr.Dataset) -> np.ndarray:
    """Relative deviation of the measured growth per step from the modulus."""
    return (ds["growth"] / ds["modulus"] - 1).values


# %%
def figure(ds: xr.Dataset):
    """Measured growth against |multiplier|; its deviation against what is known to be neglected."""
    fig, (left, right) = sheet(1, 2, 4.8)
    off, expected = deviation(ds), known(ds)
    turning = np.abs(ds["angle"].values) > 1e-6
    for valid, colour, word in ((True, BLUE, "valid"), (False, VERMILLION, "not valid")):
        for turns, marker, what in ((False, "o", "real"), (True, "^", "complex")):
            at = (ds["valid"].values == valid) & (turning == turns)
            style = {"color": colour, "mfc": "none", "ms": 6, "ls": "none", "marker": marker}
            left.plot(ds["modulus"].values[at] - 1, ds["growth"].values[at] - 1, label=f"{word}, {what}", **style)
            right.plot(np.maximum(expected[at], 1e-9), np.maximum(np.abs(off[at]), 1e-9), **style)
    span = np.array([-1.0, 1.0]) * np.abs(ds["modulus"].values - 1).max() * 1.2
    x = np.concatenate([-np.geomspace(abs(span[0]), 1e-5, 100), np.geomspace(1e-5, span[1], 100)])
    left.plot(x, x, color=BLACK, lw=0.8, label="equal")
    left.set(xlabel="|multiplier| − 1 (1/step)", ylabel="measured growth − 1 (1/step)")
    for name, scale, axis in (("x", left.set_xscale, left.xaxis), ("y", left.set_yscale, left.yaxis)):
        scale("symlog", linthresh=1e-3)
        getattr(left, f"set_{name}ticks")(
            [-1, -0.1, -0.01, 0, 0.01, 0.1, 1], ["−1", "−0.1", "−0.01", "0", "0.01", "0.1", "1"]
        )
        axis.set_minor_locator(NullLocator())
    above(left, "modes of real training, perturbed", 2)
    right.axhline(AGREE, color=GREY, lw=1.2, ls="--", label=f"{AGREE:.0%} per step")
    right.axvline(VALID, color=GREY, lw=1.2, ls=":", label="valid to the left")
    right.plot([1e-9, 1], [1e-9, 1], color=BLACK, lw=0.8, label="equal")
    right.set(xscale="log", yscale="log", xlabel="known to be neglected (1/step)",
              ylabel="|growth / |multiplier| − 1| (1/step)")  # fmt: skip
    above(right)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("game_growth", draws=2).parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws), figure)
    off, valid = np.abs(deviation(ds)), ds["valid"].values
    for name in SETUPS:
        here = ds["setup"].values == name
        for flag, word in ((True, "valid"), (False, "not valid")):
            at = here & (valid == flag)
            if at.any():
                print(f"{name}: {at.sum()} modes {word}, |mu| {ds['modulus'].values[at].min():.4f} to "
                      f"{ds['modulus'].values[at].max():.4f}, largest deviation {off[at].max():.1e}")  # fmt: skip
    print(f"within {AGREE:.0%} per step: {(off[valid] < AGREE).sum()} of {valid.sum()} valid modes, "
          f"{(off[~valid] < AGREE).sum()} of {(~valid).sum()} others")  # fmt: skip
    z = ds["modulus"].values * np.exp(1j * ds["angle"].values)
    shift = ds["drift"].values * ds["modulus"].values / np.maximum(np.abs(z - 1), 1e-300)
    frozen = ds["neglected"].values <= NEGLECTED
    for listed, word in ((frozen, "by second moments alone"), (frozen & (shift <= NEGLECTED), "having looked ahead")):
        print(f"of those that a spectrum calls valid {word}: {(off[listed] < AGREE).sum()} of {listed.sum()}")
    return ds


# %%
if __name__ == "__main__":
    main()
