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
#    and the runs' outcomes (egan_theory.runs.outcome, from the final clouds) against the ratio; eta_G g1 is held, so
#    that the ratio alone changes.
#    Before a discriminator of features, a run that loses its points escapes; before a network it stays, with part of
#    the points lost or collapsed. The network's outputs share an offset and lie closer together than independent
#    starts, both the more so the higher the ratio, and both make that easier: the first two rungs.
# 3. Both for several widths.
# Run: python -m analyses.real_gan_collapse --seed 1 --draws 4 --output out/real_gan_collapse

# %%
from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import xarray as xr
from scipy.optimize import brentq

import egan_theory as eg
from analyses.real_gan_networks import BIAS, RATE, Clouds, Networks, Runs
from analyses.real_gan_verdict import figure, numbers, verdict
from analyses.script import made, options, redraws
from egan_theory.kernels.wide.universality import kernel_numbers
from egan_theory.linear import update_matrix
from egan_theory.linear.saddle import on_seen_features
from egan_theory.linear.seen import seen
from egan_theory.predict.phase import QUICK
from egan_theory.problem.problem import Problem
from egan_theory.runs.outcome import FLAGS, covered_modes, outcomes
from egan_theory.tables.architecture import GeneratorArchitecture

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
START_STEPS = 1500


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
    C = sqrt(omega) F^T m B, B the gradients of the features at the particles: the saddle of linear.saddle.
    """
    psi, gradients, mean, *_ = seen(Problem(exp))
    points, d = len(exp.points.weights), exp.dimension
    B = mean.reshape(points, d, -1)[exp.assignment] * exp.masses[:, None, None]
    values, vectors = np.linalg.eigh(theta)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    C = np.sqrt(exp.omega) * root.T @ B.reshape(len(theta), -1)
    rank = int(np.linalg.matrix_rank(C))
    reduced = on_seen_features(psi, gradients, C, Problem(exp).damping, rank)
    T = update_matrix(exp.update_rule, reduced.jacobian(Problem(exp)), len(reduced.basis))
    return float(np.abs(np.linalg.eigvals(T)).max()) - 1


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


# %%
def starts(width: int, seeds: list[int], discriminator: str, rate: float = 0.05) -> dict[str, Any]:
    """(ratio, run) after training from random starts: ``kept``, share of the target's points with a particle, and
    ``outcome``, by rung: "infinite, own starts" (N(mean, spread^2), as the particle model), "infinite" (from the
    network's outputs), "own", "GAN"; and the ``drift`` of the GAN's Theta."""
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
    kept, ends = {}, {}
    numbers = Runs(Clouds(effective, two, flat))
    for name, runs, start in (
        ("infinite, own starts", numbers, np.tile(free, (len(RATIOS), 1, 1))),
        ("infinite", numbers, x),
        ("own", Runs(Clouds(effective, theta, flat)), x),
        ("GAN", Runs(field), None),
    ):
        cloud, drift = runs.trained(exp.run.steps, start)
        kept[name] = covered_modes(effective, cloud).values.reshape(len(RATIOS), n)
        ends[name] = outcomes(xr.Dataset({"particles": cloud.expand_dims(time=[0.0])}), effective).reshape(-1, n)
    return {"kept": kept, "outcome": ends, "drift": drift.reshape(len(RATIOS), n)}


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
    ended = []
    for discriminator, width in settings:
        ended.append(starts(width, seeds, discriminator))
        say(f"random starts, {discriminator}, width {width}")
    return _dataset(seed, draws, cases, rows, deep, settings, ended, predicted)


def _dataset(
    seed: int, draws: int, cases: list, rows: list, deep: dict, settings: list, ended: list, predicted: dict
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
    rungs = list(ended[0]["kept"])
    for n, attrs in (("kept", {"long_name": "share of the target's points kept", "units": "1"}),
                     ("outcome", {"long_name": "outcome of the run", "units": "1", **FLAGS})):  # fmt: skip
        values = np.stack([np.stack([e[n][r] for r in rungs]) for e in ended])
        out[n] = (("setting", "rung", "ratio", "run"), values, attrs)
    out["drift"] = (("setting", "ratio", "run"), np.stack([e["drift"] for e in ended]),
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


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("real_gan_collapse", draws=4, help_draws="networks per case, at least 2")
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    parser.add_argument("--start-widths", type=int, nargs="+", default=list(START_WIDTHS))
    args = parser.parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws, tuple(args.widths), tuple(args.start_widths)), figure)
    for line in verdict(numbers(ds)):
        print(line)
    return ds


# %%
if __name__ == "__main__":
    main()
