# %% [markdown]
# # Does the package still compute the numbers that it computed when they were frozen?
# Frozen are, over random experiments that use every table of the experiment file: spectra, best strengths and what they
# leave, thresholds and 50 simulated steps; further a sweep, recordings, comparisons of prediction and simulation, a
# phase diagram, power laws, the models of single papers, the kernels of wide networks and advice. A refusal is a result
# like any other: the error's type and the field it names. Words (methods, assumptions, remarks) are not frozen.
#
# Simulated positions have to be the same bytes, which holds on one kind of processor with one version of NumPy. Of
# every other number the freezing also measures how far rounding alone moves it, by computing all of them again with
# other instructions; --check allows TOLERANCE of the quantity's scale, or ROOM times that movement if it is more. Only
# the public interface of the package is used, so that the numbers outlive its modules.
#
# Run from the repository: python -m analyses.frozen_numbers --output before     (freezes in before.npz)
#                          python -m analyses.frozen_numbers --output before --check
# The figure: of each kind, how many quantities are the same and how far the others move, by rounding or since.
# Numbers of another checkout: run there, with this file and script.py in its analyses/.

# %%
# ruff: noqa: E402 (threads are counted when NumPy is imported)

from __future__ import annotations

import os
import sys

#: one thread, so that sums are taken in one order; not for the runs that measure rounding, which bring their own
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
if "--raw" not in sys.argv:
    os.environ |= ONE_THREAD

import argparse
import dataclasses
import hashlib
import json
import signal
import subprocess
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.optimize import linear_sum_assignment
from threadpoolctl import threadpool_info

import egan_theory as eg
from analyses.script import above, made, options, redraws, sheet
from egan_theory.show.style import BLACK, BLUE, GREY, ORANGE, SKY, VERMILLION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray
Tables = dict[str, Any]

#: what a number may deviate, relative to the scale of its quantity; or so many times what rounding moves it
TOLERANCE, ROOM = 1e-12, 10.0
#: the same computation rounded otherwise: other instructions of the linear algebra and of NumPy
ROUNDING = {
    "OPENBLAS_CORETYPE": "Sandybridge",
    "OPENBLAS_NUM_THREADS": "1",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
}
#: every so many experiments: thresholds, best strengths, two networks of finite width
THRESHOLDS, STRENGTHS, NETWORKS = 5, 3, 33
#: coordinates of the target up to which best strengths and thresholds are asked for: they take hundreds of spectra
CHEAP = 12
STEPS = 50
#: rows that are paired one by one
PAIRED = 1000
#: results that take more seconds of processor time than this are left out when numbers are frozen; of networks, more
LIMIT, LIMIT_NETWORKS = 2.0, 20.0

TARGETS = ("ring", "grid", "mixture", "uniform", "points")
STATIONARY = ("gaussian", "matern", "rational_quadratic")
#: as many as have no divisor in common with TARGETS: every discriminator meets every target
DISCRIMINATORS = (
    *(("features", name) for name in (*STATIONARY, "laplace", "polynomial")),
    *(("exact", name) for name in (*STATIONARY, "linear", "polynomial", "profile")),
    ("fourier", "gaussian"), ("fourier", "matern"),
    *(("readout", name) for name in ("relu", "tanh", "sine")),
    *(("wide", name) for name in ("erf", "tanh", "gelu", "sine", "softplus", "identity", "polynomial", "leaky_relu")),
)  # fmt: skip
LOSSES = ("wasserstein", "logistic", "non_saturating", "least_squares", "hinge", "sobolev")
RULES: tuple[Tables, ...] = (
    {"rule": "flow", "substeps": 2}, {"rule": "simultaneous"}, {"rule": "alternating"},
    {"rule": "alternating", "critic_steps": 3}, {"rule": "simultaneous", "momentum_discriminator": 0.5},
    {"rule": "alternating", "momentum_generator": 0.3}, {"rule": "extragradient"}, {"rule": "optimistic"},
    {"rule": "best_response"}, {"rule": "best_response_flow", "substeps": 2},
)  # fmt: skip


def public(*paths: str) -> Any:
    """The first of these names that the package has: a name may have moved into a namespace."""
    for path in paths:
        found: Any = eg
        try:
            for name in path.split("."):
                module = f"{getattr(found, '__name__', '')}.{name}"
                found = getattr(found, name) if hasattr(found, name) else import_module(module)
            return found
        except ImportError:
            continue
    raise AttributeError(f"the package has none of {', '.join(paths)}")


def model(namespace: str, name: str) -> Any:
    """``name`` of a special model, flat or in its namespace."""
    return public(f"{namespace}.{name}", f"models.{namespace}.{name}", name)


# -- random experiments ------------------------------------------------------------------------------------------


def drawn(index: int, seed: int, folder: Path) -> Tables:
    """The tables of one experiment. Each draw has a generator of its own: the others do not depend on their number."""
    rng = np.random.default_rng([seed, index])
    networks = index % NETWORKS == NETWORKS // 2
    target, points, dimension = drawn_target(TARGETS[index % len(TARGETS)], rng, folder / f"{index}.npy")
    if networks and target["kind"] == "uniform":
        target, points, dimension = {"kind": "ring", "modes": 4}, 4, 2
    box = target["kind"] == "uniform"
    degree = 1 if networks or rng.random() < 0.8 else int(rng.integers(2, 4))
    discriminator = drawn_discriminator(index, rng, target, dimension, networks, degree)
    tables: Tables = {"target": target, "discriminator": discriminator}
    tables["generator"] = drawn_generator(rng, points, box, networks)
    loss, rule = str(rng.choice(LOSSES)), dict(rng.choice(np.array(RULES, dtype=object)))
    tables |= {"loss": {"kind": loss}, "penalty": drawn_penalty(rng, loss), "update": rule}
    if networks and rng.random() < 0.3:
        tables["update"] = {"rule": "adam", "momentum_discriminator": 0.5}
    if degree > 1:
        tables["generator"] |= {"masses": "matched"} if rng.random() < 0.8 else {}
        tables["packing"] = {"degree": degree, "kernel": str(rng.choice(["product", "additive"]))}
    if not networks and rng.random() < 0.3:
        times = (0.0, float(rng.uniform(1, 30)), "uniform" if rng.random() < 0.4 else 5.0)
        tables["memory"] = {player: times[rng.integers(3)] for player in ("generator", "discriminator")}
        if rule["rule"] in ("extragradient", "optimistic") and rng.random() < 0.8:
            tables["update"] = {"rule": "simultaneous"}
    if not networks and rng.random() < 0.2:
        exact = target["kind"] in ("mixture", "uniform") and rng.random() < 0.4
        tables["penalty"].setdefault("weight_decay", 0.2)
        tables["likelihood"] = {
            "weight": float(rng.uniform(0.05, 0.5)), "score": "exact" if exact else "kernel",
            "bandwidth": 0.0 if box and rng.random() < 0.5 else float(rng.uniform(0.3, 0.8)),
        }  # fmt: skip
    remedies = {"packing", "memory", "likelihood"} & set(tables) or "best" in tables["update"]["rule"]
    if remedies and rng.random() < 0.9:
        tables["penalty"].pop("consensus", None)
    tables["run"] = {"steps": STEPS, "record_every": 10, "runs": 2, "seed": int(rng.integers(1 << 30)), "kick": 1e-4,
                     "start": "random" if rng.random() < 0.3 else "kick"}  # fmt: skip
    return tables


def drawn_target(kind: str, rng: np.random.Generator, file: Path) -> tuple[Tables, int, int]:
    """(table, points, dimension)"""
    if kind == "ring":
        points, dimension = int(rng.integers(3, 8)), 2
        table: Tables = {"modes": points, "radius": float(rng.uniform(0.8, 2.0))}
    elif kind == "grid":
        dimension = int(rng.integers(1, 4))
        side = (5, 3, 2)[dimension - 1]
        points = side**dimension
        table = {"side": side, "dimension": dimension, "spacing": float(rng.uniform(0.7, 1.3))}
    elif kind == "mixture":
        dimension, points = int(rng.integers(1, 4)), int(rng.integers(4, 8))
        means = (2 * rng.standard_normal((2, dimension))).tolist()
        table = {"means": means, "std": (0.3, 0.5), "weights": (0.4, 0.6), "samples": points, "seed": 3}
    elif kind == "uniform":
        dimension = 1 if rng.random() < 0.7 else 2
        side = (9, 5)[dimension - 1]
        points = side**dimension
        table = {"side": side, "length": float(rng.uniform(1.0, 4.0)), "dimension": dimension}
    else:
        points, dimension = int(rng.integers(3, 8)), int(rng.integers(1, 4))
        values = rng.standard_normal((points, dimension))
        np.save(file, values)
        table = {"path": str(file)} if rng.random() < 0.7 else {"values": values.tolist()}
    if kind in ("ring", "grid", "points") and rng.random() < 0.3:
        table["weights"] = tuple(rng.uniform(0.5, 1.5, points).tolist())
    return {"kind": kind, **table}, points, dimension


def drawn_discriminator(
    index: int, rng: np.random.Generator, target: Tables, dimension: int, networks: bool, degree: int
) -> Tables:
    sort, name = DISCRIMINATORS[index % len(DISCRIMINATORS)]
    seed, rate = int(rng.integers(1 << 30)), float(np.exp(rng.uniform(np.log(0.03), np.log(0.3))))
    common: Tables = {"length_scale": float(rng.uniform(0.4, 1.0)), "learning_rate": rate, "seed": seed}
    shape = {"smoothness": float(rng.choice([1.5, 2.5, 2.2])), "alpha": float(rng.uniform(1, 3)), "degree": 2}
    if networks:
        activation = str(rng.choice(["tanh", "gelu", "softplus"]))
        return common | {"architecture": {"depth": 1, "width": 6, "activation": activation}}
    if target["kind"] == "uniform" and rng.random() < 0.95:  # else it is mostly refused
        length = float(rng.uniform(0.15, 0.35)) * target["length"]
        kernel = name if name in STATIONARY else str(rng.choice(STATIONARY))
        return common | shape | {"kernel": kernel, "features": 0, "length_scale": length}
    if sort == "wide":
        variances = {"weight_variance": float(rng.uniform(0.8, 2.0)), "bias_variance": float(rng.uniform(0, 0.3))}
        polynomial = {"coefficients": (0.1, 1.0, 0.3)} if name == "polynomial" else {}
        depth = 1 if name == "polynomial" else int(rng.integers(1, 4))
        return common | {"architecture": {"activation": name, "depth": depth, **variances, **polynomial}}
    if sort == "fourier" and dimension < 3:
        return common | shape | {"kernel": name, "features": 0, "evaluation": "fourier", "tolerance": 1e-3}
    kernel = eg.kernel_from_profile(lambda u: (1 + u) ** -2) if name == "profile" else name
    features = 2 * int(rng.integers(10, 30)) if degree == 1 else 6
    random = sort in ("features", "readout") or (degree > 1 and name in STATIONARY)  # exact ones have many tuples
    return common | shape | {"kernel": kernel, "features": features if random else 0}


def drawn_generator(rng: np.random.Generator, points: int, box: bool, networks: bool) -> Tables:
    particles = points * (1 if box else int(rng.integers(1, 3)))
    table: Tables = {"particles": particles, "learning_rate": float(np.exp(rng.uniform(np.log(0.003), np.log(0.03))))}
    if networks:
        return table | {"architecture": {"depth": 1, "width": 6, "activation": "tanh", "latent_dimension": 4}}
    if rng.random() < 0.15:
        activation = str(rng.choice(["relu", "erf", "tanh", "gelu", "sine", "leaky_relu"]))
        table["architecture"] = {"depth": int(rng.integers(1, 5)), "activation": activation, "weight_variance": 1.5}
    else:
        ratio = float(rng.choice([0.0, rng.uniform(0, 0.4), rng.uniform(0, 1), 1.0], p=[0.35, 0.4, 0.2, 0.05]))
        table["kernel"] = {"ratio": ratio, "diagonal": float(rng.uniform(0.5, 2.0))}
    if rng.random() < 0.15 and particles > points:
        per_point = rng.multinomial(particles - points, np.full(points, 1 / points)) + 1
        table["per_point"] = tuple(per_point.tolist())
    masses = rng.dirichlet(np.full(particles, 20.0))
    kinds = ["equal", "matched", "given"]
    table["masses"] = {"given": tuple(masses.tolist())}.get(kind := str(rng.choice(kinds, p=[0.5, 0.35, 0.15])), kind)
    table["normalisation"] = str(rng.choice(["sum", "mean"]))
    return table


def drawn_penalty(rng: np.random.Generator, loss: str) -> Tables:
    chances = {"r1": 0.6, "r2": 0.3, "weight_decay": 0.5, "consensus": 0.2, "instance_noise": 0.2}
    ranges = {"r1": (0.1, 2.0), "r2": (0.1, 2.0), "weight_decay": (0.01, 0.2), "consensus": (0.05, 1.0),
              "instance_noise": (0.02, 0.1)}  # fmt: skip
    table = {key: float(np.exp(rng.uniform(*np.log(ranges[key])))) for key in chances if rng.random() < chances[key]}
    if loss == "sobolev" or rng.random() < 0.15:
        table |= {"multiplier": float(rng.uniform(0.1, 1.0)), "alpha": float(rng.uniform(0, 0.5))}
    return table or {"r1": 0.5}


# -- results as named numbers ------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """One frozen quantity: numbers with the scale that deviations of each are relative to, or a text (a refusal, a
    hash)."""

    values: Array
    scale: Array
    text: str = ""


Entries = dict[str, Entry]


def entry(values: Any, scale: float | None = None) -> Entry:
    """Complex numbers become pairs. The default scale is the largest of the numbers."""
    found = np.asarray(values)
    if np.iscomplexobj(found):
        found = np.stack([found.real, found.imag], -1)
    found = found.astype(float)
    if scale is None:
        scale = float(np.abs(found[np.isfinite(found)]).max(initial=0.0))
    return Entry(found, np.full(found.shape, scale or 1.0))


def text(value: str) -> Entry:
    return Entry(np.empty(0), np.empty(0), value)


def digest(values: Array) -> Entry:
    return text(hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest())


def named(name: str, parts: Entries) -> Entries:
    return {f"{name}/{key}" if key else name: value for key, value in parts.items()}


def flat(value: Any) -> Entries:
    """The numbers of a result of any kind; its words are left out."""
    if isinstance(value, xr.Dataset):
        value = {str(key): v.values for key, v in value.variables.items()}
    elif hasattr(value, "to_dict"):
        value = value.to_dict()
    elif dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif hasattr(value, "_asdict"):
        value = value._asdict()
    elif isinstance(value, list | tuple) and not all(isinstance(v, int | float | complex) for v in value):
        value = {str(i): part for i, part in enumerate(value)}
    if isinstance(value, Mapping):
        return {k: v for key, part in value.items() for k, v in named(str(key), flat(part)).items()}
    numbers = np.asarray(np.nan if value is None else value)
    return {"": entry(numbers)} if numbers.dtype.kind in "fiubc" else {}


def same_bytes(ds: xr.Dataset) -> Entries:
    """Arrays that have to be the same to the last bit, and their numbers to show a deviation."""
    arrays = {str(key): v.values for key, v in ds.variables.items() if v.dtype.kind in "fiub"}
    return flat(arrays) | {f"{key}/sha256": digest(values) for key, values in arrays.items()}


# -- what is frozen of every random experiment -------------------------------------------------------------------


def spectrum(exp: Any) -> Entries:
    """Eigenvalues with their damping ratios, as often as they occur: "modes" are compared as sets."""
    ds = eg.spectrum(exp)
    names = ("eigenvalue_re", "eigenvalue_im", "damping_ratio", "coupled")
    rows = np.repeat(np.stack([ds[n].values.astype(float) for n in names], -1), ds["multiplicity"].values, axis=0)
    largest = float(np.abs(rows[:, :2][np.isfinite(rows[:, :2])]).max(initial=0.0)) or 1.0
    scale = np.stack([np.full(len(rows), largest)] * 2 + [1 + np.abs(rows[:, 2]), np.ones(len(rows))], -1)
    counts = {key: entry(ds.attrs[key]) for key in ("zero_modes", "unresolved", "stable")}
    rates = {key: entry(ds.attrs[key], largest) for key in ("slowest_rate", "slowest_coupled_rate", "margin")}
    return {"modes": Entry(rows, np.nan_to_num(scale, nan=1.0, posinf=1.0)), **counts, **rates}


def strength(exp: Any) -> Entries:
    """The best strength of one of the penalties that the experiment uses."""
    keys = ("r1", "weight_decay", "r2", "multiplier", "instance_noise", "consensus")
    used = [key for key in keys if getattr(exp.penalty, key)] + ["likelihood"] * bool(exp.likelihood.weight) or ["r1"]
    found = eg.best_regularizer(exp, penalty=used[exp.run.seed % len(used)]).to_dict()
    return flat({key: value for key, value in found.items() if key != "binding_modes"})


def threshold(exp: Any) -> Entries:
    names = ("collective instability", "too slow to split")
    return flat(eg.thresholds(exp, "generator.kernel.ratio", 0.0, 1.0, mechanisms=names).to_dataset())


def positions(exp: Any) -> Entries:
    particles = eg.simulate(exp)["particles"].values
    return {"last": entry(particles[:, -1]), "sha256": digest(particles)}


def experiments(seed: int, count: int, folder: Path, slow: set[str] | None) -> Iterator[tuple[str, Entries]]:
    """(name, numbers); an error that the package raises on purpose is a result. slow: what is left out; None: find out,
    and give no numbers for it."""
    for function in (
        (spectrum, positions, strength, threshold) if slow is None else ()
    ):  # what is imported at the first use is not counted
        function(small(run__steps=20))
    for index in range(count):
        kinds: dict[str, Callable[[Any], Entries]] = {"spectrum": spectrum, "positions": positions}
        kinds["left"] = lambda exp: flat(eg.left_over(exp))
        try:
            exp = eg.Experiment(**drawn(index, seed, folder))
        except eg.InputError as error:
            yield f"experiment/{index:03}", {"refused": text(refusal(error))}
            continue
        if "uniform" in (exp.memory.generator, exp.memory.discriminator):
            kinds["powers"] = lambda exp: flat(eg.power_laws(exp))
        if cheap(exp):
            kinds |= {"strength": strength} if index % STRENGTHS == 0 else {}
            kinds |= {"threshold": threshold} if index % THRESHOLDS == 0 else {}
        for kind, function in kinds.items():
            name = f"{kind}/{index:03}"
            if slow is not None and name in slow:
                continue
            try:
                with limited(np.inf if slow is not None else LIMIT_NETWORKS if network(exp) else LIMIT):
                    found = function(exp)
            except eg.InputError as error:
                found = {"refused": text(refusal(error))}
            except TimeoutError:
                found = {}
            yield name, found


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in what takes more processor time."""

    def late(*_: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds if np.isfinite(seconds) else 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def network(exp: Any) -> bool:
    """Whether the discriminator is a network of finite width."""
    return exp.discriminator.architecture is not None and exp.discriminator.architecture.width > 0


def cheap(exp: Any) -> bool:
    """Whether its spectrum takes milliseconds."""
    if network(exp) or exp.packing.degree > 1 or exp.likelihood.score == "exact":
        return False
    return exp.target.kind == "uniform" or exp.points.coordinates.size <= CHEAP


def refusal(error: Any) -> str:
    return f"{type(error).__name__} {error.field}"


# -- what is frozen besides --------------------------------------------------------------------------------------


def small(**changes: Any) -> Any:
    tables: Tables = {
        "target": {"kind": "ring", "modes": 4}, "generator": {"particles": 8},
        "discriminator": {"features": 32}, "run": {"steps": 200, "record_every": 20, "runs": 2},
    }  # fmt: skip
    return eg.Experiment(**tables).replace({key.replace("__", "."): value for key, value in changes.items()})


def sweep(folder: Path) -> Entries:
    axes = ["penalty.r1=0.1:1:3:log", "generator.kernel.ratio=0:0.5:3"]
    ds = eg.sweep(small(), axes, folder / "sweep.zarr", record=True, workers=1)
    return same_bytes(eg.sweep_grid(ds)) | named("cell", same_bytes(eg.sweep_runs(ds, 4)[1]))


def recording(folder: Path) -> Entries:
    """Runs that the command writes, and those that a training loop of one's own writes."""
    exp = small(loss__kind="logistic", update__rule="alternating")
    (folder / "e.toml").write_text(exp.to_toml())
    command = [sys.executable, "-m", "egan_theory", "simulate", "e.toml", "-o", "runs.nc"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    runs = eg.open_runs(folder / "runs.nc")
    with eg.RunWriter(folder / "own.nc", exp, chunk=3) as writer:
        for i, step in enumerate(runs["time"].values):
            writer.log(int(step), runs["particles"].values[:, i], loss_generator=np.full(2, 0.1 * i))
    return named("command", same_bytes(runs)) | named("own", same_bytes(eg.open_runs(folder / "own.nc")))


def compare(_: Path) -> Entries:
    """One run as it is, and four with noise in the recorded positions."""
    out: Entries = {}
    for name, count, noise in (("plain", 1, 0.0), ("noisy", 4, 1e-8)):
        exp = eg.Experiment().replace({"run.runs": count})
        runs = eg.simulate(exp)
        rough = np.random.default_rng(1).standard_normal(runs["particles"].shape)
        table = eg.compare(exp, runs.assign(particles=runs["particles"] + noise * rough))
        parts = {q.name: {"predicted": q.predicted, "measured": q.measured, "stderr": q.stderr}
                 for q in table.quantities}  # fmt: skip
        out |= named(name, flat(parts | {"unmatched": len(table.unmatched)}))
    swept = eg.sweep_left(small(), "r1", [0.1, 0.3, 1.0], horizon=100)
    return out | named("left", flat(swept))


def phase(_: Path) -> Entries:
    axes = ("generator.kernel.ratio=0:0.9:5", "penalty.r1=0.01:10:5:log")
    return flat(eg.phase(eg.Experiment(), *axes))


def powers(_: Path) -> Entries:
    out: Entries = {}
    for rule in ("flow", "simultaneous", "alternating", "best_response", "best_response_flow"):
        for player in ("generator", "discriminator"):
            exp = small(
                update__rule=rule, penalty__r1=0.0, penalty__weight_decay=0.1, **{f"memory__{player}": "uniform"}
            )
            out |= named(f"{rule}/{player}", flat(eg.power_laws(exp)))
    return out


def collapse(_: Path) -> Entries:
    box = eg.Experiment(target={"kind": "uniform", "side": 9}, discriminator={"features": 0, "length_scale": 0.2})
    state = eg.collapsed_state(small(), steps=400)
    runs = eg.simulate(small(run__start="random"))
    parts = {
        "state": {key: getattr(state, key) for key in ("exponent", "exponents", "margin") if hasattr(state, key)},
        "splitting": eg.splitting(small()), "learning": eg.learning_times(box),
        "order": eg.order_parameters(runs["particles"], runs["target"]), "outcomes": eg.outcomes(runs, small()),
    }  # fmt: skip
    return flat(parts)


def solvable(_: Path) -> Entries:
    make, out = model("solvable", "Solvable"), {}
    for name, fields in (("hard", {}), ("tanh", {"constraint": "x - 1", "nonlinearity": "tanh"}),
                         ("signs", {"latent": "rademacher", "constraint": "tanh(x - 1)"})):  # fmt: skip
        chain = make(time=4.0, n=40, runs=2, record=5, **fields)
        parts = {"ode": model("solvable", "solve_ode")(chain), "sde": model("solvable", "simulate_sde")(chain, 20)}
        for method in ("chain", "sgd"):
            parts[method] = model("solvable", "simulate_solvable")(chain, method)
        out |= named(name, flat(parts))
    return out | named("phase", flat(model("solvable", "solvable_phase")(make(time=40.0), "noise=0.5:6:4")))


def special(_: Path) -> Entries:
    """The two-Gaussian GAN, the Dirac-GAN, isolated points, packing, the Poincare constant, the published runs."""
    two, rng = "two_gaussian", np.random.default_rng(2)
    parts: dict[str, Any] = {"intervals": model(two, "balanced_intervals")(2.0), "slope": model(two, "slope_range")()}
    pair = model(two, "mode_pairs")(model(two, "balanced_intervals")(2.0))["shift"]
    starts = model(two, "random_starts")(seed=0, count=5)
    for kind in ("optimal", "simultaneous", "steps", "unrolled"):
        training = model(two, "Training")(discriminator=kind, inner=1 if kind in ("optimal", "simultaneous") else 3)
        parts[kind] = dataclasses.replace(training, steps=40)
        parts[kind] = model(two, "train")(parts[kind], starts)
        if kind != "optimal":
            parts[f"{kind} multipliers"] = model(two, "multipliers")(training, pair)
    for rule in RULES:
        dirac = model("dirac", "dirac_gan")({"r1": 0.5}, rule)
        parts[f"dirac {rule}"] = eg.spectrum(dirac)
    isolated = model("isolated", "isolated_points")((0.6, 0.4), ((0.35, 0.35), (0.3,)), sigma=0.5, nu=0.3)
    parts["isolated"] = eg.spectrum(isolated)
    parts["local"] = model("isolated", "local_modes")(0.5, (0.2, 0.2), 0.5, 0.3)
    parts["ridge"] = model("isolated", "best_ridge")(0.5, 0.2, 2, 0.5)
    P, Q = rng.dirichlet(np.ones(4), 2)
    parts["packed"] = [model("packing", "product_total_variation")(P, Q, m) for m in (1, 2, 3)]
    parts["bands"] = [model("packing", "band")(0.3, 2), model("packing", "band_with_collapse")(0.5, 0.1, 0.4, 2)]
    points = rng.standard_normal((200, 2)) * (1.0, 0.6)
    parts["poincare"] = model("poincare", "poincare")(points)
    parts["graph"] = model("poincare", "graph_laplacian")(points, 0.1)
    parts["implied"] = model("poincare", "implied_r1")(1.3, small())
    stiffness = model("published", "stiffness")(rng.uniform(0, 1, (100, 300)) * (rng.random((100, 300)) < 0.4))
    parts["stiffness"] = stiffness
    parts["published"] = model("published", "log_margins")(np.geomspace(1e-6, 1e-3, 5), 0.05, 100.0, 0.1, stiffness)
    return flat(parts)


def kernels(_: Path) -> Entries:
    rng, parts = np.random.default_rng(3), {"universality": eg.universality()}
    X, Y = rng.standard_normal((3, 2)), rng.standard_normal((2, 2))
    for sort, name in DISCRIMINATORS:
        if sort in ("wide", "exact") and name != "profile":
            polynomial = {"coefficients": (0.1, 1.0, 0.3), "depth": 1} if name == "polynomial" else {}
            table = {"kernel": name} if sort == "exact" else {"architecture": {"activation": name, **polynomial}}
            kernel = eg.Discriminator(**table).kernel_object
            smooth = name != "leaky_relu"
            keys = ("value", "gradient", "mixed") if smooth else ("value",)
            parts[f"{sort} {name}"] = {key: getattr(kernel, key)(X, Y) for key in keys}
    return flat(parts)


def advice(_: Path) -> Entries:
    rng, parts = np.random.default_rng(4), {}
    rows = rng.standard_normal((18, 30))
    training = {"generator": {"learning_rate": 2e-3}, "discriminator": {"learning_rate": 2e-3}}
    for loss, batch in (("wasserstein", 6), ("non_saturating", 4), ("least_squares", 6)):
        tables = training | {"loss": {"kind": loss}, "update": {"rule": "alternating"}}
        settings = {"horizon": 2000, "batch_size": batch, "batches": 2, "variations": loss == "wasserstein"}
        parts[loss] = eg.advise_from_gram(rows @ rows.T, 6, 2, tables, **settings)

    def discriminator(params: Any, x: Any) -> Any:
        import jax.numpy as jnp

        return params[1] @ jnp.tanh(params[0] @ x)

    params, data = [rng.standard_normal((7, 2)), rng.standard_normal(7)], rng.standard_normal((8, 2))
    settings = {"horizon": 500, "batch_size": 4, "batches": 2, "variations": False}
    parts["network"] = eg.advise(discriminator, params, data, training, **settings)
    return {key: value for key, value in flat(parts).items() if "binding_modes" not in key}


BESIDES = (sweep, recording, compare, phase, powers, collapse, solvable, special, kernels, advice)


def computed(seed: int, count: int, slow: set[str] | None = None) -> tuple[Entries, list[str]]:
    """(all that is frozen, what of the random experiments was too slow); progress to standard error."""
    out: Entries = {}
    left_out, begun, spent = [], time.monotonic(), Counter[str]()
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        last = begun
        for part, found in experiments(seed, count, Path(name), slow):
            out |= named(part, found)
            left_out += [] if found else [part]
            spent[part.split("/")[0]] += (now := time.monotonic()) - last
            last = now
            if part.startswith("spectrum") and part.endswith("0"):
                print(f"{now - begun:6.0f} s  {part}", file=sys.stderr)
        for function in BESIDES:
            out |= named(function.__name__, function(Path(name)))
            print(f"{time.monotonic() - begun:6.0f} s  {function.__name__}", file=sys.stderr)
    print({kind: round(seconds) for kind, seconds in spent.items()}, file=sys.stderr)
    return out, left_out


# -- files and comparison ----------------------------------------------------------------------------------------


def deviations(name: str, old: Entry, new: Entry) -> Array:
    """Relative to the scale, one for each old number; inf where there is nothing to compare with."""
    a, b = old.values, new.values
    if a.shape != b.shape:
        return np.full(max(a.shape, (1,)), np.inf)
    if is_set(name) and len(a):
        b = b[matching(a, b, old.scale)]
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.where(same, 0.0, np.abs(a - b) / old.scale), nan=np.inf)


def is_set(name: str) -> bool:
    """Whether the rows of a quantity have no order: the eigenvalues of a spectrum."""
    return name.startswith("spectrum/") and name.endswith("/modes")


def matching(a: Array, b: Array, scale: Array) -> Array:
    """The order of the rows (re, im, zeta, coupled) of b that brings them nearest to those of a; eigenvalues decide.
    Of more than PAIRED rows: their order by size, to 9 digits."""
    a, b = (np.nan_to_num(v / scale.max(0), nan=-1.0, neginf=-1e3, posinf=1e3) for v in (a, b))
    if len(a) > PAIRED:
        order = np.empty(len(a), dtype=int)
        order[np.lexsort(np.round(a, 9).T)] = np.lexsort(np.round(b, 9).T)
        return order
    distance = np.abs(a[:, None] - b)
    return linear_sum_assignment(distance[..., :2].sum(-1) + 1e-3 * np.minimum(distance[..., 2:], 1).sum(-1))[1]


def tolerances(found: Entries, other: Entries) -> dict[str, Array]:
    """For every number TOLERANCE, or ROOM times what rounding moved it; inf where that changes what there is."""
    out = {}
    for name, here in found.items():
        moved = deviations(name, here, other.get(name, text("none")))
        moved = moved if moved.shape == here.values.shape else np.full(here.values.shape, np.inf)
        out[name] = np.maximum(TOLERANCE, ROOM * moved)
    return out


def write(file: Path, entries: Entries, allowed: dict[str, Array], about: Tables) -> None:
    stack = [np.concatenate([np.ravel(v) for v in parts]) for parts in (
        [e.values for e in entries.values()], [e.scale for e in entries.values()], [allowed[n] for n in entries],
    )]  # fmt: skip
    layout = {name: [list(e.values.shape), e.text] for name, e in entries.items()}
    with open(file, "wb") as out:
        np.savez_compressed(
            out, values=stack[0], scale=stack[1], tolerance=stack[2].astype(np.float32),
            layout=np.frombuffer(json.dumps([about, layout]).encode(), np.uint8),
        )  # fmt: skip


def read(file: Path) -> tuple[Entries, dict[str, Array], Tables]:
    entries, allowed, at = {}, {}, 0
    with np.load(file) as data:
        about, layout = json.loads(data["layout"].tobytes())
        stack = [data[key] for key in ("values", "scale", "tolerance")]
    for name, (shape, words) in layout.items():
        end = at + int(np.prod(shape))
        values, scale, allowed[name] = (part[at:end].reshape(shape) for part in stack)
        entries[name], at = Entry(values, scale, words), end
    return entries, allowed, about


def machine() -> Tables:
    """What the bytes depend on besides the package."""
    kinds = sorted({str(lib.get("architecture")) for lib in threadpool_info() if lib["internal_api"] == "openblas"})
    return {"numpy": np.__version__, "jax": import_module("jax").__version__, "blas": kinds}


def freeze(file: Path, seed: int, count: int) -> xr.Dataset:
    """Write the numbers, and how far rounding moves each of them."""
    found, slow = computed(seed, count)
    about = {"seed": seed, "experiments": count, "slow": slow, **machine()}
    write(file, found, {name: np.full(here.values.shape, TOLERANCE) for name, here in found.items()}, about)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "analyses.frozen_numbers", "--raw", f"{folder}/raw.npz", "--check", "--output",
                   str(file.with_suffix(""))]  # fmt: skip
        subprocess.run(command, check=True, env=os.environ | ROUNDING)
        other = read(Path(folder) / "raw.npz")[0]
    allowed = tolerances(found, other)
    write(file, found, allowed, about)
    print(f"left out, for they take more than {LIMIT:g} s: {', '.join(slow)}")
    for name, here in found.items():
        same = other.get(name, text("none")).text == here.text or name.endswith("sha256")
        if not (same and np.isfinite(allowed[name]).all()):
            print(f"rounding changes what there is of {name} {here.text}")
    for kind, names in by_kind(found).items():
        tolerance = np.concatenate([allowed[name].ravel() for name in names])
        refused, above = sum(name.endswith("/refused") for name in names), np.sum(tolerance > TOLERANCE)
        print(f"{kind}: {len(names)} quantities, {refused} refusals, {len(tolerance)} numbers, {above} of them with a")
        print(f"    tolerance above {TOLERANCE:g}, at most {tolerance.max(initial=0.0):.1e}")
    return moved(found, other, "the same computation, rounded otherwise")


def moved(old: Entries, new: Entries, against: str) -> xr.Dataset:
    """The largest relative deviation of every quantity, inf where words, bytes or shapes differ, or where one of the
    two has no such quantity (``there``)."""
    size, there = {}, {}
    for name in {**old, **new}:
        a, b = old.get(name), new.get(name)
        comparable = a is not None and b is not None and a.text == b.text
        size[name] = float(deviations(name, a, b).max(initial=0.0)) if comparable else np.inf
        there[name] = "new" if a is None else "gone" if b is None else "both"
    return xr.Dataset(
        {"deviation": ("quantity", list(size.values()), {"long_name": "largest relative deviation", "units": "1"}),
         "kind": ("quantity", [name.split("/")[0] for name in size]),
         "there": ("quantity", list(there.values()), {"long_name": "old, new or both numbers have it"})},
        {"quantity": list(size)}, {"against": against},
    )  # fmt: skip


def by_kind(names: Sequence[str] | Entries) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for name in names:
        out.setdefault(name.split("/")[0], []).append(name)
    return out


def check(file: Path) -> xr.Dataset:
    """Print a line per kind, and one for every quantity that deviates by more than TOLERANCE. In attrs, ``failures``:
    how many are above their tolerance."""
    old, allowed, about = read(file)
    if (now := machine()) != {key: about[key] for key in now}:
        print(f"frozen on {about}, this is {now}: bytes may differ")
    new, wrong = computed(about["seed"], about["experiments"], set(about["slow"]))[0], 0
    for kind, names in by_kind([*old, *(name for name in new if name not in old)]).items():
        rows = [compared(name, old.get(name), new.get(name), allowed.get(name)) for name in names]
        size = np.concatenate([np.zeros(0), *(row[1] for row in rows)])
        bad = sum(row[2] for row in rows)
        print(
            f"{kind}: {len(names)} quantities, {len(size)} numbers, {np.sum(size > 0)} not identical, largest relative"
        )
        print(
            f"    deviation {size.max(initial=0.0):.1e}, {np.sum(size > TOLERANCE)} above {TOLERANCE:g}, {bad} failures"
        )
        print("".join(f"    {row[0]}\n" for row in rows if row[0]), end="")
        wrong += bad
    return moved(old, new, "the frozen numbers").assign_attrs(failures=int(wrong))


def compared(name: str, old: Entry | None, new: Entry | None, allowed: Array | None) -> tuple[str, Array, bool]:
    """(what to say of it, relative deviations, whether it fails)"""
    if old is None or new is None or allowed is None:
        return f"{name} is {'new' if old is None else 'gone'} {(old or new or text('')).text}", np.zeros(0), True
    if old.text != new.text:
        return f"{name}: {old.text[:40]!r} is now {new.text[:40]!r}", np.zeros(0), True
    size = deviations(name, old, new)
    if size.max(initial=0.0) <= TOLERANCE:
        return "", size.ravel(), False
    fails = bool((size > allowed).any())
    word = "too much" if fails else "as much as rounding may"
    if old.values.shape != new.values.shape:
        return f"{name}: shape {old.values.shape} is now {new.values.shape}: {word}", size.ravel(), fails
    now = new.values[matching(old.values, new.values, old.scale)] if is_set(name) else new.values
    at = np.unravel_index(np.argmax(np.where(size > allowed, size, size * 1e-300)), size.shape)
    count, place = np.sum(size > TOLERANCE), [int(i) for i in at]
    return f"{name}{place}: {old.values[at]} is now {now[at]}: {size[at]:.1e}, {word} ({count})", size.ravel(), fails


# %%
#: what the kinds hold, where their names do not say it
SAID = {"spectrum": "spectra", "positions": "simulated positions", "left": "what is left of kicks",
        "powers": "power laws", "strength": "best strengths", "experiment": "refused experiments",
        "threshold": "thresholds", "sweep": "sweeps", "recording": "recordings", "compare": "comparisons",
        "phase": "phase diagrams", "collapse": "collapse", "solvable": "solvable model", "special": "single papers",
        "kernels": "wide kernels", "advice": "advice"}  # fmt: skip


def figure(ds: xr.Dataset) -> Figure:
    """Quantities by kind: the same bytes, within each bound, further apart, or no longer what they were."""
    kinds = list(dict.fromkeys(str(k) for k in ds["kind"].values))
    size, kind, both = ds["deviation"].values, ds["kind"].values, ds["there"].values == "both"
    edges = ((-1.0, 0.0, "identical"), (0.0, TOLERANCE, f"within {TOLERANCE:g}"), (TOLERANCE, 1e300, "further apart"),
             (1e300, np.inf, "other bytes or words"))  # fmt: skip
    parts = [(word, both & (size > low) & (size <= high)) for low, high, word in edges]
    parts += [("new", ds["there"].values == "new"), ("gone", ds["there"].values == "gone")]
    fig, ax = sheet(1, 1, 1.8 + 0.26 * len(kinds))
    left, y = np.zeros(len(kinds)), np.arange(len(kinds))[::-1]
    total = np.array([np.sum(kind == k) for k in kinds])
    for (word, inside), colour in zip(parts, (BLUE, SKY, VERMILLION, ORANGE, GREY, BLACK), strict=True):
        share = np.array([np.sum(inside & (kind == k)) for k in kinds]) / total
        ax.barh(y, share, 0.7, left=left, color=colour, label=f"{word} ({int(inside.sum()):,})")
        left += share
    ax.set_yticks(y, [f"{SAID.get(k, k)} ({n})" for k, n in zip(kinds, total, strict=True)])
    ax.grid(False, axis="y")
    ax.set(xlim=(0, 1), ylim=(-0.6, len(kinds) - 0.4), xlabel="share of the quantities", ylabel="kind (quantities)")
    above(ax, f"relative deviation from {ds.attrs['against']}", 3)
    return fig


@redraws
def main(arguments: Sequence[str] | None = None) -> int:
    parser = options("frozen_numbers", draws=200, seed=0, help_draws="random experiments")
    parser.add_argument("--check", action="store_true", help="compare with OUTPUT.npz in place of writing it")
    parser.add_argument("--raw", type=Path, help=argparse.SUPPRESS)  # where the numbers of --check go, not compared
    given = parser.parse_args(arguments)
    file = given.output.with_suffix(".npz")
    if given.raw is not None:
        about = read(file)[2]
        new = computed(about["seed"], about["experiments"], set(about["slow"]))[0]
        write(given.raw, new, {name: np.zeros(e.values.shape) for name, e in new.items()}, about)
        return 0
    file.parent.mkdir(parents=True, exist_ok=True)
    ds = made(given, lambda: check(file) if given.check else freeze(file, given.seed, given.draws), figure)
    return int(ds.attrs.get("failures", 0) > 0)


if __name__ == "__main__":
    sys.exit(main())
