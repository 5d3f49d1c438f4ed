# %% [markdown]
# # Does the effective model predict the collapse of a real GAN?
# The effective model replaces a generator network by a cloud whose kernel has two numbers, g1 for a particle and itself
# and g2 for any pair. Here the generator is a network of finite width, every weight trained; the ratio g2/g1 is set by
# the variance of its biases or by its depth. The discriminator is a map of random features, or a network too.
# Eight points on a ring, three particles each. Rungs between theory and GAN, each less idealised than the one before:
#   infinite  two kernel numbers of the infinitely wide generator (the effective model; for the stability: the spectrum
#             of egan_theory.linear, for random starts: the particle model, from its own starts or the network's)
#   own       the tangent kernel Theta_ij = J_i J_j^T of the very network at its start, held
#   GAN       the network itself, trained
# infinite against own is the scatter of Theta (finite width, few latent dimensions); own against GAN its drift.
# 1. Stability: generators centred on the data and kicked by 1e-6. The bias variance at which the kick neither grows nor
#    decays is bisected per network by simulation alone, and predicted by collective_instability of the same experiment
#    and from the network's own Theta. The generator's rate is the one that theory calls critical at PLACED, so that the
#    threshold lies within the range bisected; nothing else of the prediction enters. The same in depth: growth rates.
#    Rates are compared where the kick grows: a decay is measured while the softest modes, slowest in the end, still
#    exert no force to speak of, and is then faster than the prediction.
# 2. Random starts, as in practice: the cloud is the network's output at its start. Target points kept after training
#    against the ratio; eta_G g1 is held, so that the ratio alone changes.
#    A run that loses its points runs away as a whole. The network's outputs share an offset and lie closer together
#    than independent starts, both the more so the higher the ratio, and both make that easier: the first two rungs.
# 3. Both for several widths.
# Run: python analyses/real_gan_collapse.py --seed 1 --draws 4 --output out/real_gan_collapse

# %%
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from scipy.optimize import brentq

import egan_theory as eg
from egan_theory.architecture import GeneratorArchitecture
from egan_theory.kernels.universality import kernel_numbers
from egan_theory.linear import update_matrix
from egan_theory.linear.linearize import reduce_saddle, saddle_jacobian, seen_features
from egan_theory.networks.double import double, require_jax
from egan_theory.networks.drift import kernel_drift
from egan_theory.networks.field import NetworkField, generator_draws
from egan_theory.networks.simulate import _Stepper
from egan_theory.predict.phase import QUICK
from egan_theory.simulation.run import DIVERGENCE, size_of
from egan_theory.sweeps.cells import measured

BIAS, RATE = "generator.architecture.bias_variance", "generator.learning_rate"
MODES, PARTICLES, LATENT, FEATURES = 8, 24, 64, 128
WIDTHS, START_WIDTHS, NETWORK_WIDTH, DEPTH_WIDTH = (32, 128, 256), (32, 128), 64, 128
DISCRIMINATORS = ("features", "network")

#: stability: bias variance at which the generator's rate is critical in theory, and the range that is bisected
PLACED, LOW, HIGH, ROUNDS = 0.1, 0.01, 1.0, 7
KICK, STEPS, RECORD_EVERY, BLOCK = 1e-6, 300, 2, 6
#: logarithms of the factors within which a force still tells the linear rate
AT_REST, GROWN = 16.0, 8.0
DEPTHS, DEPTH_BIAS, DEPTH_PLACED = (2, 3, 4, 5, 6, 7), 0.1, 4
#: random starts
RATIOS = (0.0, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9)
START_STEPS, COVERED = 1500, 0.5
#: a cell is one width and ratio; the lazy regime is left when Theta has moved by this much of itself
LAZY = 0.3


# %%
def experiment(width: int, bias: float, discriminator: str = "features", depth: int = 2, **parts: Any) -> eg.Experiment:
    """A GAN with weight decay, whose generator is a tanh network; ``width`` 0 is the effective model of all widths."""
    architecture = {
        "depth": depth, "width": width, "activation": "tanh", "weight_variance": 1.0, "bias_variance": bias,
        "latent_dimension": LATENT,
    }  # fmt: skip
    players = {
        "features": {"kernel": "gaussian", "length_scale": 0.5, "features": FEATURES, "learning_rate": 1.0},
        "network": {
            "architecture": {"depth": 1, "width": NETWORK_WIDTH, "activation": "tanh"},
            "length_scale": 0.5,
            "learning_rate": 1.0,
        },
    }
    return eg.Experiment(
        target={"kind": "ring", "modes": MODES},
        generator={"particles": PARTICLES, "learning_rate": 0.05, "architecture": architecture},
        discriminator=players[discriminator],
        penalty=parts.pop("penalty", {"weight_decay": 0.3}),
        run={"runs": 1, "steps": STEPS, "record_every": RECORD_EVERY, "kick": KICK},
        **parts,
    )


def random_start(width: int, discriminator: str) -> eg.Experiment:
    """The GAN of the random starts."""
    penalty = {"r1": 0.5, "weight_decay": 0.01}
    exp = experiment(width, 0.1, discriminator, penalty=penalty)
    rate = {"features": 0.5, "network": 0.2}[discriminator]
    return exp.replace({"discriminator.learning_rate": rate, "run.start": "random", "run.steps": START_STEPS})


def particles(exp: eg.Experiment, rate: float, ratio: float) -> eg.Experiment:
    """The effective model with g1 = 1 in place of the generator's architecture."""
    data = {k: v for k, v in exp.model_dump().items() if k != "generator"}
    generator = {"particles": PARTICLES, "learning_rate": rate, "kernel": {"diagonal": 1.0, "ratio": ratio}}
    return eg.Experiment(**data, generator=generator)


def bias_of_ratio(ratio: float, arch: GeneratorArchitecture) -> float:
    """The bias variance with this g2/g1; tanh without biases has ratio 0."""
    if ratio == 0:
        return 0.0
    at = lambda b: kernel_numbers(arch.model_copy(update={"bias_variance": float(np.exp(b))})).ratio - ratio  # noqa: E731
    return float(np.exp(brentq(at, -12.0, 10.0)))


# %%
class Networks(NetworkField):
    """Generator networks side by side, each with latents, weights, bias variance and rate of its own.

    A network of bias variance 1 whose biases are multiplied by sb is one of bias variance sb^2, gradients included, so
    that all run in one compiled step."""

    def __init__(self, exp: eg.Experiment, seeds: list[int]) -> None:
        unit = exp.replace({BIAS: 1.0, "run.runs": 1, "run.start": "kick"})
        super().__init__(unit, [unit] * len(seeds))
        self._separate(seeds)

    @double
    def _separate(self, seeds: list[int]) -> None:
        jnp = require_jax().numpy
        found = {s: generator_draws(self.exp.replace({"run.seed": s})) for s in set(seeds)}
        flat = {s: np.concatenate([np.ravel(v) for pair in draws[0] for v in pair]) for s, (_, draws) in found.items()}
        kinds = [np.full(int(np.prod(shape)), i % 2) for i, shape in enumerate(self._shapes)]
        self._is_bias = np.concatenate(kinds).astype(bool)
        self.data |= {
            "latents": jnp.asarray(np.stack([found[s][0] for s in seeds])),
            "phi0": jnp.asarray(np.stack([flat[s] for s in seeds])),
        }
        self.axes |= {"latents": 0, "phi0": 0, "bias": 0}
        self.set(np.ones(len(seeds)))

    @double
    def set(self, bias: np.ndarray, rate: np.ndarray | None = None) -> None:
        """Bias variances (run,), and rates of the generators."""
        jnp = require_jax().numpy
        self.data = self.data | {"bias": jnp.sqrt(jnp.asarray(bias))}
        if rate is not None:
            self.data["numbers"] = self.data["numbers"] | {"eta_G": jnp.asarray(rate)}

    def generate(self, data: dict[str, Any], g: Any) -> Any:
        jnp = require_jax().numpy
        phi = jnp.where(self._is_bias, data["bias"], 1.0) * (data["phi0"] + g)
        return super().generate(data | {"phi0": phi}, jnp.zeros_like(g))

    @double
    def outputs(self) -> np.ndarray:
        """G(z) at the start, (run, N, d)."""
        jax = require_jax()
        g = jax.numpy.zeros_like(self.data["phi0"])
        return np.asarray(jax.jit(jax.vmap(self.generate, in_axes=(self.axes, 0)))(self.data, g))

    @double
    def theta(self) -> np.ndarray:
        """Theta at the start, (run, N d, N d)."""
        jax = require_jax()

        def one(data: dict[str, Any]) -> Any:
            g = jax.numpy.zeros_like(data["phi0"])
            J = jax.jacrev(lambda g: self.generate(data, g))(g).reshape(-1, g.size)
            return J @ J.T

        if not hasattr(self, "_theta"):
            self._theta = jax.jit(one)
        rows = range(len(self.members))
        return np.stack([np.asarray(self._theta(jax.tree.map(_taker(i), *_split(self.data, self.axes)))) for i in rows])


def _split(data: dict[str, Any], axes: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The data and, leaf by leaf, whether it differs between runs."""
    jax = require_jax()
    return data, {k: jax.tree.map(lambda _, a=axes[k]: a == 0, v) for k, v in data.items()}


def _taker(i: int) -> Any:
    return lambda leaf, differs: leaf[i] if differs else leaf


class Clouds(NetworkField):
    """Particles with a coupling Theta (run, N d, N d) of each run's own, held."""

    def __init__(self, exp: eg.Experiment, theta: np.ndarray, rate: np.ndarray) -> None:
        super().__init__(exp, [exp.replace({RATE: float(r)}) for r in rate])
        self._couple(theta)

    @double
    def _couple(self, theta: np.ndarray) -> None:
        self.data |= {"theta": require_jax().numpy.asarray(theta)}
        self.axes |= {"theta": 0}

    def metric(self, data: dict[str, Any], F: Any) -> Any:
        return self.exp.omega * (data["theta"] @ F.ravel()).reshape(F.shape)


class Runs:
    """Runs of one field, compiled once and started again as often as wanted."""

    def __init__(self, field: NetworkField) -> None:
        jax = require_jax()
        self.field = field
        self.stepper = _Stepper(field, field.exp.update_rule, DIVERGENCE * size_of(field.exp))
        self.observe = jax.jit(jax.vmap(field.forces, in_axes=(field.axes, 0, 0)))

    @double
    def kicked(self, x: np.ndarray) -> np.ndarray:
        """|force| (run, record) of generators moved to x (run, N, d); NaN where a run diverged."""
        jnp, field = require_jax().numpy, self.field
        field.data = field.data | {"offset": jnp.asarray(x - field.outputs())}
        state, diverged = self._start(jnp.zeros_like(field.data["phi0"]))
        sizes = []
        for step in range(0, STEPS, RECORD_EVERY):
            state, diverged = self.stepper.advance(state, diverged, step, RECORD_EVERY)
            force = np.asarray(self.observe(field.data, state[0], state[1])[2])
            sizes.append(np.where(np.asarray(diverged) < 0, np.sqrt((force**2).sum((-2, -1))), np.nan))
        return np.stack(sizes, 1)

    @double
    def trained(self, steps: int, x: np.ndarray | None = None) -> tuple[xr.DataArray, np.ndarray]:
        """(final clouds (run, particle, component), drift of the generator's kernel (run,)); particles start at x."""
        jnp, field = require_jax().numpy, self.field
        g = jnp.zeros_like(field.data["phi0"]) if x is None else jnp.asarray(x)
        state, diverged = self._start(g)
        state, diverged = self.stepper.advance(state, diverged, 0, steps)
        alive = np.asarray(diverged) < 0
        cloud = np.array(self.observe(field.data, state[0], state[1])[0])
        cloud[~alive] = np.nan
        drift = np.full(len(alive), np.nan)
        if x is None:
            drift[alive] = kernel_drift(field)["generator_drift"](state[0], state[1])[alive]
        return xr.DataArray(cloud, dims=("run", "particle", "component")), drift

    def _start(self, g: Any) -> tuple[Any, np.ndarray]:
        w = require_jax().numpy.zeros((len(self.field.members), self.field.features.size))
        return self.stepper.start(w, g), np.full(len(w), -1)


# %%
def growth(sizes: np.ndarray) -> np.ndarray:
    """Growth per step of |force| (run, record): slope of the logarithm of its rms over blocks, in the later half of the
    time in which the force is between AT_REST below its start (rounding) and GROWN above it (no longer linear)."""
    blocks = sizes[:, : sizes.shape[1] // BLOCK * BLOCK].reshape(len(sizes), -1, BLOCK)
    size = np.log(np.sqrt((blocks**2).mean(-1)) + np.finfo(float).tiny)
    out = np.empty(len(size))
    for i, row in enumerate(size):
        linear = (row - row[0] > -AT_REST) & (row - row[0] < GROWN)  # NaN after a divergence is not
        count = max(3, len(row) if linear.all() else int(np.argmin(linear)))
        late = row[min(count // 2, count - 3) : count]
        t = np.arange(len(late)) * BLOCK * RECORD_EVERY
        slope = (late - late.mean()) @ (t - t.mean()) / ((t - t.mean()) ** 2).sum()
        out[i] = slope if np.isfinite(slope) else np.inf
    return out


def own_margin(exp: eg.Experiment, theta: np.ndarray) -> float:
    """max |z| - 1 of the step about the data with a coupling Theta (N d, N d) in place of Gamma (x) 1.

    With F F^T = Theta, u = F^-1 dx / sqrt(omega): dw/dt = eta_D (-A w - c C^T u), du/dt = eta_G b C w with
    C = sqrt(omega) F^T m B, B the gradients of the features at the particles: the saddle of linear.linearize.
    """
    psi, gradients, mean = seen_features(exp)
    loss, k = exp.loss_object, exp.penalty.coefficients
    points, d = len(exp.points.weights), exp.dimension
    B = mean.reshape(points, d, -1)[exp.assignment] * exp.masses[:, None, None]
    values, vectors = np.linalg.eigh(theta)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    C = np.sqrt(exp.omega) * root.T @ B.reshape(len(theta), -1)
    rank = int(np.linalg.matrix_rank(C))
    kappa, lam = loss.kappa + k.value_p + k.value_q, k.grad_p + k.grad_q
    A, C, r, _ = reduce_saddle(psi, gradients, C, k.nu, kappa, lam, rank)
    rates = {"eta_D": exp.discriminator.learning_rate, "eta_G": exp.generator.learning_rate}
    J = saddle_jacobian(A, C, loss.c, loss.b, exp.penalty.consensus, **rates)
    return float(np.abs(np.linalg.eigvals(update_matrix(exp.update_rule, J, r))).max()) - 1


def gamma(exp: eg.Experiment) -> np.ndarray:
    """Gamma (x) 1, (N d, N d), of the experiment's two kernel numbers."""
    kernel, N = exp.generator.kernel, exp.generator.particles
    return np.kron((kernel.g1 - kernel.g2) * np.eye(N) + kernel.g2, np.eye(exp.dimension))


def bisected(verdict: Any, count: int, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) (count,) around the change from < 0 to > 0 of verdict(bias) (count,), all networks in step.

    NaN where the ends of the range have one sign."""
    low, high = np.full(count, LOW), np.full(count, HIGH)
    wrong = (verdict(low) > 0) | (verdict(high) < 0)
    for _ in range(rounds):
        middle = np.sqrt(low * high)
        unstable = verdict(middle) > 0
        low, high = np.where(unstable, low, middle), np.where(unstable, middle, high)
    return np.where(wrong, np.nan, low), np.where(wrong, np.nan, high)


# %%
def kicks(exp: eg.Experiment, seeds: list[int]) -> np.ndarray:
    """Data plus a kick of each particle, (run, N, d)."""
    shape = (PARTICLES, exp.dimension)
    each = [np.random.default_rng([s, 2]).standard_normal(shape) for s in seeds]
    return exp.points.coordinates[exp.assignment] + exp.run.kick * np.stack(each)


def placed(exp: eg.Experiment) -> eg.Experiment:
    """The experiment with the generator's rate that theory calls critical."""
    found = eg.collective_instability(exp.replace({"generator.architecture.width": 0}), RATE, 1e-5, 1e2)
    return exp.replace({RATE: found.values[0]})


def stability(width: int, seeds: list[int], discriminator: str) -> dict[str, np.ndarray]:
    """Critical bias variance: predicted (infinite), per network from its own Theta (own), and simulated (low, high);
    rates at the last simulated values: measured and from the own Theta."""
    exp = placed(experiment(width, PLACED, discriminator))
    predicted = eg.collective_instability(exp, BIAS, LOW, HIGH).values[0]
    field = Networks(exp, seeds)
    runs, x = Runs(field), kicks(exp, seeds)
    rates: list[tuple[np.ndarray, np.ndarray]] = []

    def own(bias: np.ndarray) -> np.ndarray:
        field.set(bias)
        return np.array([own_margin(exp, theta) for theta in field.theta()])

    def simulated(bias: np.ndarray) -> np.ndarray:
        field.set(bias)
        rates.append((bias, growth(runs.kicked(x))))
        return rates[-1][1]

    low, high = bisected(simulated, len(seeds), ROUNDS)
    own_low, own_high = bisected(own, len(seeds), 2 * ROUNDS)
    late = rates[-2:]  # the two nearest to critical
    return {
        "infinite": np.full(len(seeds), predicted),
        "own": np.sqrt(own_low * own_high),
        "low": low,
        "high": high,
        "simulated": np.sqrt(low * high),
        "rate": np.concatenate([rate for _, rate in late]),
        "rate_own": np.concatenate([np.log1p(own(bias)) for bias, _ in late]),
        "scatter": np.array(_kernel_error(field, exp, PLACED)),
    }


def _kernel_error(field: Networks, exp: eg.Experiment, bias: float) -> float:
    """rms over networks of |Theta - Gamma| / |Theta|."""
    field.set(np.full(len(field.members), bias))
    each = [np.linalg.norm(t - gamma(exp)) / np.linalg.norm(t) for t in field.theta()]
    return float(np.sqrt(np.mean(np.square(each))))


def depths(width: int, seeds: list[int]) -> dict[str, np.ndarray]:
    """Growth per step over depth: infinite (depth,), own and simulated (depth, run), and the ratio (depth,)."""
    rate = placed(experiment(width, DEPTH_BIAS, depth=DEPTH_PLACED)).generator.learning_rate
    rate *= 1.001  # so that the depth at which theory is critical is on the unstable side
    out: dict[str, list[Any]] = {"infinite": [], "own": [], "simulated": [], "ratio": []}
    for depth in DEPTHS:
        exp = experiment(width, DEPTH_BIAS, depth=depth).replace({RATE: rate})
        field = Networks(exp, seeds)
        field.set(np.full(len(seeds), DEPTH_BIAS))
        out["infinite"].append(np.log1p(own_margin(exp, gamma(exp))))
        out["own"].append([np.log1p(own_margin(exp, theta)) for theta in field.theta()])
        out["simulated"].append(growth(Runs(field).kicked(kicks(exp, seeds))))
        out["ratio"].append(exp.generator.kernel.ratio)
    return {name: np.array(values) for name, values in out.items()}


def crossing(x: np.ndarray, y: np.ndarray, level: float = 0.0, downwards: bool = False) -> float:
    """x at which y first passes ``level`` upwards (or downwards), by linear interpolation; NaN where it does not."""
    v = (level - y) if downwards else (y - level)
    where = np.flatnonzero((v[:-1] < 0) & (v[1:] >= 0))
    if not where.size:
        return float("nan")
    i = where[0]
    return float(x[i] - v[i] * (x[i + 1] - x[i]) / (v[i + 1] - v[i]))


# %%
def starts(width: int, seeds: list[int], discriminator: str, rate: float = 0.05) -> dict[str, np.ndarray]:
    """Share of the target's points kept after training from random starts, (ratio, run), by rung: "infinite, own
    starts" (N(mean, spread^2), as the particle model), "infinite" (from the network's outputs), "own", "GAN"; and the
    drift of the GAN's Theta."""
    exp = random_start(width, discriminator)
    arch = exp.generator.architecture
    bias = np.array([bias_of_ratio(r, arch) for r in RATIOS])
    g1 = np.array([kernel_numbers(arch.model_copy(update={"bias_variance": float(b)})).g1 for b in bias])
    n = len(seeds)
    field = Networks(exp, seeds * len(RATIOS))
    field.set(np.repeat(bias, n), np.repeat(rate / g1, n))
    x, theta = field.outputs(), field.theta() / np.repeat(g1, n)[:, None, None]
    effective = particles(exp, rate, 0.0)
    spread = np.sqrt((exp.points.coordinates**2).mean())
    free = np.stack([spread * np.random.default_rng([s, 3]).standard_normal(x.shape[1:]) for s in seeds])
    flat = np.full(len(x), rate)
    two = np.stack([gamma(particles(exp, rate, r)) for r in np.repeat(RATIOS, n)])
    kept = {}
    numbers = Runs(Clouds(effective, two, flat))
    for name, runs, start in (
        ("infinite, own starts", numbers, np.tile(free, (len(RATIOS), 1, 1))),
        ("infinite", numbers, x),
        ("own", Runs(Clouds(effective, theta, flat)), x),
        ("GAN", Runs(field), None),
    ):
        cloud, drift = runs.trained(exp.run.steps, start)
        kept[name] = measured(effective, cloud)["covered"].reshape(len(RATIOS), n)
    return kept | {"drift": drift.reshape(len(RATIOS), n)}


def predictions(discriminator: str, rate: float = 0.05) -> dict[str, float]:
    """The critical ratio of every mechanism for the random starts' effective model, made without a simulation of it."""
    exp = particles(random_start(0, discriminator), rate, 0.1)
    found = eg.thresholds(exp, vary="generator.kernel.ratio", mechanisms=QUICK)
    return {t.mechanism: float("nan") if t.value is None else t.value for t in found.thresholds}


# %%
def study(seed: int, draws: int, widths: tuple[int, ...], start_widths: tuple[int, ...]) -> xr.Dataset:
    """All of it: stability over ``case``, depths, random starts over ``setting``; networks along ``run``."""
    seeds = [1000 * seed + i for i in range(draws)]
    began = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - began:5.0f} s  {text}", file=sys.stderr, flush=True)

    # predictions first, of the effective model alone
    predicted = {d: predictions(d) for d in DISCRIMINATORS}
    for d, found in predicted.items():
        say(f"predicted critical ratio, random starts, {d}: {found}")
    cases = [("features", w) for w in widths] + [("network", NETWORK_WIDTH)]
    rows = []
    for discriminator, width in cases:
        rows.append(stability(width, seeds, discriminator))
        say(f"stability, {discriminator}, width {width}: simulated {np.round(rows[-1]['simulated'], 4)}")
    deep = depths(DEPTH_WIDTH, seeds)
    say("depths")
    settings = [("features", w) for w in start_widths] + [("network", start_widths[-1])]
    kept = []
    for discriminator, width in settings:
        kept.append(starts(width, seeds, discriminator))
        say(f"random starts, {discriminator}, width {width}")
    return _dataset(seed, draws, cases, rows, deep, settings, kept, predicted)


def _dataset(
    seed: int, draws: int, cases: list, rows: list, deep: dict, settings: list, kept: list, predicted: dict
) -> xr.Dataset:
    label = lambda pair: f"{pair[0]} discriminator, generator width {pair[1]}"  # noqa: E731
    text = {
        "infinite": "critical bias variance of the effective model",
        "own": "critical bias variance from the network's own Theta",
        "low": "largest bias variance simulated as stable", "high": "smallest simulated as unstable",
        "simulated": "critical bias variance of the network, simulated",
    }  # fmt: skip
    out: dict[str, Any] = {
        f"critical_{n}": (("case", "run"), np.stack([r[n] for r in rows]), {"long_name": t, "units": "1"})
        for n, t in text.items()
    }
    for n, t in (("rate", "measured growth, near critical"), ("rate_own", "growth from the network's own Theta there")):
        out[n] = (("case", "sample"), np.stack([r[n] for r in rows]), {"long_name": t, "units": "1 / step"})
    out["scatter"] = ("case", [float(r["scatter"]) for r in rows],
                      {"long_name": "|Theta - Gamma| / |Theta| at the start", "units": "1"})  # fmt: skip
    for n in ("infinite", "own", "simulated"):
        dims = ("depth",) if n == "infinite" else ("depth", "run")
        out[f"depth_{n}"] = (dims, deep[n], {"long_name": f"growth over depth, {n}", "units": "1 / step"})
    out["depth_ratio"] = ("depth", deep["ratio"], {"long_name": "g2 / g1 at this depth", "units": "1"})
    rungs = [n for n in kept[0] if n != "drift"]
    out["kept"] = (("setting", "rung", "ratio", "run"), np.stack([np.stack([k[n] for n in rungs]) for k in kept]),
                   {"long_name": "share of the target's points kept", "units": "1"})  # fmt: skip
    out["drift"] = (("setting", "ratio", "run"), np.stack([k["drift"] for k in kept]),
                    {"long_name": "relative change of the GAN's Theta in training", "units": "1"})  # fmt: skip
    mechanisms = list(QUICK)
    out["predicted_ratio"] = (
        ("setting", "mechanism"), np.array([[predicted[d][m] for m in mechanisms] for d, _ in settings]),
        {"long_name": "critical ratio of the effective model, by mechanism", "units": "1"},
    )  # fmt: skip
    ds = xr.Dataset(
        out,
        coords={
            "case": [label(c) for c in cases], "width": ("case", [w for _, w in cases], {"units": "neurons"}),
            "discriminator": ("case", [d for d, _ in cases]), "depth": list(DEPTHS), "rung": rungs,
            "setting": [label(s) for s in settings], "mechanism": mechanisms,
            "ratio": ("ratio", list(RATIOS), {"long_name": "g2 / g1", "units": "1"}),
        },
        attrs={"seed": seed, "draws": draws, "steps": STEPS, "start_steps": START_STEPS, "placed": PLACED},
    )  # fmt: skip
    return ds


# %%
def mean_error(values: np.ndarray) -> tuple[float, float]:
    """Mean over networks and its standard error, NaN left out."""
    good = values[np.isfinite(values)]
    if len(good) < 2:
        return (float(good.mean()) if len(good) else float("nan")), float("nan")
    return float(good.mean()), float(good.std(ddof=1) / np.sqrt(len(good)))


def transition(kept: np.ndarray, seed: int = 0, resamples: int = 400) -> tuple[float, float]:
    """Ratio at which the mean of kept (ratio, run) falls through COVERED, and its error by bootstrap over networks."""
    ratios = np.array(RATIOS)
    at = lambda rows: crossing(ratios, rows.mean(1), COVERED, downwards=True)  # noqa: E731
    chosen = np.random.default_rng(seed).integers(kept.shape[1], size=(resamples, kept.shape[1]))
    drawn = np.array([at(kept[:, c]) for c in chosen])
    return at(kept), float(np.nanstd(drawn)) if np.isfinite(drawn).any() else float("nan")


def numbers(ds: xr.Dataset) -> dict[str, Any]:
    """What the verdict rests on: ratios of boundaries (mean, standard error) and shares of cells that agree."""
    out: dict[str, Any] = {"stability": [], "starts": []}
    for i, case in enumerate(ds["case"].values):
        row = {n: ds[f"critical_{n}"].values[i] for n in ("infinite", "own", "simulated")}
        with np.errstate(invalid="ignore"):
            error = (ds["rate"] - ds["rate_own"]).values[i][ds["rate_own"].values[i] > 0]
        out["stability"].append({
            "case": str(case), "found": int(np.isfinite(row["simulated"]).sum()),
            "simulated / infinite": mean_error(row["simulated"] / row["infinite"]),
            "simulated / own": mean_error(row["simulated"] / row["own"]),
            "scatter of the boundary": float(np.nanstd(np.log(row["simulated"]), ddof=1)),
            "rms rate error": float(np.sqrt(np.mean(error**2))) if error.size else float("nan"),
            "scatter": float(ds["scatter"].values[i]),
        })  # fmt: skip
    depth = np.array(DEPTHS, dtype=float)
    out["depth"] = {
        "infinite": crossing(depth, ds["depth_infinite"].values),
        **{
            n: mean_error(np.array([crossing(depth, v) for v in ds[f"depth_{n}"].values.T]))
            for n in ("own", "simulated")
        },
    }
    for i, setting in enumerate(ds["setting"].values):
        kept = {str(n): ds["kept"].values[i, k] for k, n in enumerate(ds["rung"].values)}
        collapsed = {n: v.mean(1) < COVERED for n, v in kept.items()}
        drift = ds["drift"].values[i]
        critical = zip(ds["mechanism"].values, ds["predicted_ratio"].values[i], strict=True)
        guesses = collapsed | {str(m): np.array(RATIOS) > v for m, v in critical}
        out["starts"].append({
            "setting": str(setting), "transition": {n: transition(v) for n, v in kept.items()},
            "agreement": {n: float((c == collapsed["GAN"]).mean()) for n, c in guesses.items() if n != "GAN"},
            "drift": float(np.nanmedian(drift)),
            "lazy": float((drift < LAZY).mean()),
        })  # fmt: skip
    return out


def verdict(found: dict[str, Any]) -> list[str]:
    """The verdict in sentences, from the numbers alone."""
    lines = []
    for row in found["stability"]:
        (r, dr), (o, do) = row["simulated / infinite"], row["simulated / own"]
        lines.append(
            f"stability, {row['case']}: {row['found']} boundaries bracketed; "
            f"simulated / effective {r:.3f} +- {dr:.3f}, "
            f"simulated / own Theta {o:.3f} +- {do:.3f}; networks scatter by {row['scatter of the boundary']:.0%} "
            f"(|Theta - Gamma| / |Theta| {row['scatter']:.2f}); growth rates off by {row['rms rate error']:.1e}"
        )
    d = found["depth"]
    lines.append(
        f"depth: critical at {d['infinite']:.2f} in theory, {d['own'][0]:.2f} +- {d['own'][1]:.2f} from own Theta, "
        f"{d['simulated'][0]:.2f} +- {d['simulated'][1]:.2f} simulated"
    )
    for row in found["starts"]:
        t = row["transition"]
        lines.append(
            f"random starts, {row['setting']}: points lost from ratio "
            + ", ".join(f"{v:.2f} +- {e:.2f} ({n})" for n, (v, e) in t.items())
            + f"; GAN / effective {t['GAN'][0] / t['infinite'][0]:.2f} from its starts, "
            + f"{t['GAN'][0] / t['infinite, own starts'][0]:.2f} from independent ones; cells agree with the GAN "
            + ", ".join(f"{v:.0%} ({n})" for n, v in row["agreement"].items())
            + f"; median drift of Theta {row['drift']:.2f}, below {LAZY} in {row['lazy']:.0%} of runs: {_why(t)}"
        )
    return lines


def _why(t: dict[str, tuple[float, float]]) -> str:
    """Which rung moves the boundary most."""
    names = ("infinite, own starts", "infinite", "own", "GAN")
    causes = ("the starts (outputs of the network, not independent)", "the scatter of Theta", "the drift of Theta")
    steps = np.abs(np.diff([t[n][0] for n in names]))
    if not np.isfinite(steps).any():
        return "no transition in some rung"
    return f"the largest step between rungs, {np.nanmax(steps):.2f}, is due to {causes[int(np.nanargmax(steps))]}"


# %%
COLOURS = {"infinite, own starts": "#999999", "infinite": "#D55E00", "own": "#009E73", "GAN": "#0072B2"}
NAMES = {
    "infinite, own starts": "effective model, independent starts", "infinite": "effective model, GAN's starts",
    "own": r"GAN's own $\Theta$, held", "GAN": "GAN",
}  # fmt: skip


def figure(ds: xr.Dataset):
    """Critical bias variance against width, growth against depth, and points kept against the ratio."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(13, 7.6), layout="constrained")
    axes = fig.subplots(2, max(3, ds.sizes["setting"]))
    ax = axes[0, 0]
    ax.axhline(PLACED, color=COLOURS["infinite"], label="effective model")
    for i, (width, kind) in enumerate(zip(ds["width"].values, ds["discriminator"].values, strict=True)):
        for n, colour, marker, shift in (("own", COLOURS["own"], "s", 0.94), ("simulated", COLOURS["GAN"], "o", 1.06)):
            v, e = mean_error(ds[f"critical_{n}"].values[i])
            face = colour if kind == "features" else "white"
            name = {"own": NAMES["own"], "simulated": "GAN, bisected"}[n] + (
                "" if kind == "features" else ", two networks"
            )
            ax.errorbar(width * shift * (1.15 if kind == "network" else 1), v, e, fmt=marker, color=colour, mfc=face,
                        capsize=3, label=name if i in (0, ds.sizes["case"] - 1) else None)  # fmt: skip
    ax.set(xscale="log", xlabel="width of the generator (neurons)", ylabel="critical bias variance (1)",
           title="Stability: boundary")  # fmt: skip
    widths = sorted(set(ds["width"].values.tolist()))
    ax.set_xticks(widths, [str(w) for w in widths])
    ax.minorticks_off()
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom - 0.4 * (top - bottom), top)  # room for the legend
    ax.legend(fontsize=7, loc="lower center")
    ax = axes[0, 1]
    for i, case in enumerate(ds["case"].values):
        ax.plot(
            1e3 * ds["rate_own"].values[i],
            1e3 * ds["rate"].values[i],
            "o",
            ms=4,
            label=str(case).replace("generator ", ""),
        )
    low, high = ax.get_xlim()
    ax.plot([low, high], [low, high], color="#999999", lw=1, zorder=0)
    ax.set(xlabel=r"predicted from own $\Theta$ (10$^{-3}$ per step)", ylabel="measured (10$^{-3}$ per step)",
           title="Stability: growth near the boundary")  # fmt: skip
    ax.legend(fontsize=7)
    ax = axes[0, 2]
    depth = ds["depth"].values
    ax.axhline(0, color="black", lw=0.8)
    ax.plot(depth, ds["depth_infinite"], color=COLOURS["infinite"], label="effective model")
    for n, name in (("own", "own"), ("simulated", "GAN")):
        values = ds[f"depth_{n}"].values
        error = values.std(1, ddof=1) / np.sqrt(values.shape[1])
        ax.errorbar(
            depth,
            values.mean(1),
            error,
            fmt="s" if n == "own" else "o",
            color=COLOURS[name],
            capsize=3,
            label=NAMES[name],
        )
    top = ax.secondary_xaxis("top")
    top.set_xticks(depth, [f"{r:.2f}" for r in ds["depth_ratio"].values], fontsize=8)
    top.set_xlabel("kernel ratio $g_2/g_1$")
    ax.set(xlabel="depth (hidden layers)", ylabel="growth (per step)", title="Stability: depth")
    ax.legend(fontsize=7)
    for i, setting in enumerate(ds["setting"].values):
        ax = axes[1, i]
        for k, n in enumerate(ds["rung"].values):
            values = ds["kept"].values[i, k]
            error = values.std(1, ddof=1) / np.sqrt(values.shape[1])
            ax.errorbar(
                ds["ratio"] + 0.008 * (k - 1.5),
                values.mean(1),
                error,
                fmt="o-",
                ms=4,
                capsize=2,
                color=COLOURS[str(n)],
                label=NAMES[str(n)],
            )
        ax.axhline(COVERED, color="#cccccc", lw=0.8, zorder=0)
        ratio = ds["predicted_ratio"].sel(mechanism="collective instability").values[i]
        ax.axvline(ratio, color="black", ls=":", lw=1, label="collective instability, predicted")
        ax.set(xlabel="kernel ratio $g_2/g_1$", ylabel="points kept (share)", title=str(setting), ylim=(-0.05, 1.05))
        ax.title.set_fontsize(9)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
    return fig


def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=4, help="networks per case, at least 2")
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    parser.add_argument("--start-widths", type=int, nargs="+", default=list(START_WIDTHS))
    parser.add_argument("--output", type=Path, default=Path("out/real_gan_collapse"))
    args = parser.parse_args(argv)
    matplotlib.use("Agg")
    ds = study(args.seed, args.draws, tuple(args.widths), tuple(args.start_widths))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    eg.save(ds, args.output.with_suffix(".nc"))
    figure(ds).savefig(args.output.with_suffix(".png"), dpi=130)
    for line in verdict(numbers(ds)):
        print(line)
    return ds


# %%
if __name__ == "__main__":
    main()
