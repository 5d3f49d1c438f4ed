# %% [markdown]
# # The frequency principle in numbers: what does the discriminator's spectrum change?
# 1. Learning time of every frequency on a periodic box (`egan frequency`), predicted by Eq. (16, dispersion) (or the
#    rule's own map) and fitted to the Fourier modes of the simulated particles' density, for kernels
#    whose spectra fall differently; then again on randomly drawn experiments that nothing here was tuned to.
# 2. The ratio at which the collective mode becomes unstable, when only the discriminator changes: same K(0) and length
#    scale, and at matched total stiffness; predicted from the spectrum and bisected in kicked simulations.
# 3. The time to separate neighbouring modes from a random start (mechanism 3) against the time until every mode has a
#    particle, with Eq. (16, dispersion) at k = pi/Delta alone for comparison.
# 4. The exponents with which spectra fall: Matern kernels, random ReLU features, the tangent kernel of a ReLU network.
# About 20 minutes, most of it in the bisections with exact kernels.
# Run: python -m analyses.frequency_principle --seed 1 --draws 20 --output out/frequency_principle

# %%
from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.script import above, made, options, redraws, sheet
from egan_theory.experiment import Experiment
from egan_theory.features import feature_map
from egan_theory.fits.estimate import fit_exponentials, fit_mode
from egan_theory.kernels import make_kernel
from egan_theory.linear.resolved import resolved_rule
from egan_theory.linear.seen import seen
from egan_theory.predict.asymptotic import convergence_rate
from egan_theory.predict.frequency import SPECTRA, density_modes, learning_times, with_kernel
from egan_theory.predict.splitting import splitting
from egan_theory.problem.problem import Problem
from egan_theory.show.style import GREY
from egan_theory.simulation.condense import condensed

RELATIVE, SIGMAS = 0.05, 3.0
#: samples and learning times that a fit sees; modes slower than SEEN training times cannot be seen
SAMPLES, WINDOW, SEEN = 32, 6.0, 10.0
#: random features of networks, which have no spectrum, in finite number
NETWORKS = {name: {"kernel": name.lower(), "features": 256} for name in ("ReLU", "tanh", "sine")}
DISCRIMINATORS = SPECTRA | NETWORKS
COLOURS = dict(
    zip(
        DISCRIMINATORS,
        ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#CC79A7", "#D55E00", "#000000", "#767676"),
        strict=True,
    )
)


# %% [markdown]
# ## Learning times
# %%
BOX = Experiment(
    target={"kind": "uniform", "side": 21, "length": 2.0},
    generator={"particles": 21, "learning_rate": 0.01},
    discriminator={"length_scale": 0.15, "features": 0, "learning_rate": 0.05},
    penalty={"r1": 0.2},
    run={"steps": 6000, "record_every": 1, "runs": 4, "seed": 3},
)
BOX_UPDATES = (
    {"rule": "simultaneous"},
    {"rule": "alternating"},
    {"rule": "alternating", "critic_steps": 3},
    {"rule": "extragradient"},
    {"rule": "flow", "substeps": 1},
)


def draw_box(rng: np.random.Generator) -> Experiment:
    """A stable experiment on a periodic box: side, length, kernel scale, loss, penalties, rates and rule at random."""
    while True:
        side, length = 2 * int(rng.integers(4, 11)) + 1, float(rng.uniform(1.0, 4.0))
        penalty = {"r1": float(np.exp(rng.uniform(np.log(0.05), np.log(1.0))))}
        if rng.random() < 0.5:
            penalty["weight_decay"] = float(np.exp(rng.uniform(np.log(0.01), np.log(0.2))))
        loss = str(rng.choice(["wasserstein", "logistic", "non_saturating", "least_squares", "hinge"]))
        exp = Experiment(
            target={"kind": "uniform", "side": side, "length": length},
            generator={
                "particles": side,
                "learning_rate": float(np.exp(rng.uniform(np.log(0.003), np.log(0.03)))),
                "kernel": {"ratio": float(rng.uniform(0, 0.6))},
            },
            discriminator={
                "length_scale": float(rng.uniform(0.05, 0.2)) * length,
                "features": 0,
                "learning_rate": float(np.exp(rng.uniform(np.log(0.03), np.log(0.3)))),
            },
            loss={"kind": loss},
            penalty=penalty,
            update=dict(rng.choice(np.array(BOX_UPDATES, dtype=object))),
            run={"steps": 3000, "record_every": 1, "runs": 3, "seed": int(rng.integers(1 << 30)), "kick": 1e-6},
        )
        candidates = [with_kernel(exp, fields) for fields in SPECTRA.values()]
        if all(convergence_rate(e) > 0 for e in candidates):
            if max(resolved_rule(e).substeps for e in candidates) <= 4:
                return exp


def measured_rates(exp: Experiment, wavenumber: np.ndarray, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decay rate of the slowest exponential in every mode of the simulated density, and its standard error."""
    runs = eg.simulate(exp)
    modes, time = density_modes(runs, wavenumber[:, None]), runs["time"].values
    out = np.full((2, len(wavenumber)), np.nan)
    for i, r in enumerate(rate):
        # how much of the run is fitted is all that the prediction decides
        last = int(np.clip(WINDOW / r, 40, len(time)))
        every = max(last // SAMPLES, 1)
        signal = modes[:, :last:every, i]
        signal, at = np.stack([signal.real, signal.imag], axis=-1), time[:last:every]
        fit = fit_mode(at, signal)
        if not fit.ok:  # strongly overdamped: the fast root is gone after a sample or two, and the slow one is left
            fit = fit_exponentials(at[len(at) // 4 :], signal[:, len(at) // 4 :], 1)
        if fit.ok:
            out[:, i] = -fit.values[0].real, fit.stderr[0].real
    return out[0], out[1]


def learning(exp: Experiment, labels: tuple[str, ...], modes: int | None, rng: np.random.Generator) -> list[dict]:
    """One row per (kernel, k) cell: predicted and measured rates. ``modes``: how many wavenumbers, drawn; None: all."""
    predicted = learning_times(exp, {label: SPECTRA[label] for label in labels})
    rows = []
    for label in labels:
        rate, k = predicted["decay_rate"].sel(kernel=label).values, predicted["wavenumber"].values
        seen = np.flatnonzero(rate * exp.run.steps * SEEN > 1)
        if modes is not None:
            seen = np.sort(rng.choice(seen, min(modes, len(seen)), replace=False))
        values, errors = measured_rates(with_kernel(exp, SPECTRA[label]), k[seen], rate[seen])
        for i, value, error in zip(seen, values, errors, strict=True):
            agrees = abs(value - rate[i]) <= max(RELATIVE * rate[i], SIGMAS * error)
            row = {"kernel": label, "k": k[i], "predicted": rate[i], "measured": value, "stderr": error}
            rows.append(row | {"agrees": bool(agrees), "within": bool(abs(value / rate[i] - 1) <= RELATIVE)})
    return rows


# %% [markdown]
# ## Where the spread cloud stops resting when only the discriminator changes
# %%
RING = Experiment(
    generator={"particles": 64, "learning_rate": 0.01},
    discriminator={"features": 0, "learning_rate": 0.5},
    penalty={"r1": 0.0, "weight_decay": 0.05},
    run={"steps": 3000, "record_every": 4, "runs": 1, "kick": 1e-7},
)
LOWEST, HIGHEST = 1e-3, 0.99


def stiffness(exp: Experiment) -> float:
    """Total stiffness tr H at the data."""
    return float((seen(Problem(exp)).mean ** 2).sum())


def discriminators(length: float, matched: bool, labels: Sequence[str] = tuple(DISCRIMINATORS)) -> dict[str, dict]:
    """Fields of the discriminators, at the same K(0); ``matched``: K scaled so that tr H is the Gaussian kernel's."""
    exp = RING.replace({"discriminator.length_scale": length})
    fields = {label: dict(DISCRIMINATORS[label]) for label in labels}
    for own in fields.values() if matched else ():
        own["variance"] = stiffness(exp) / stiffness(with_kernel(exp, own))
    return fields


def critical_ratios(length: float, fields: dict[str, dict]) -> dict[str, float]:
    """phi at which the spread ring becomes unstable with each; 0 if it is at LOWEST already, 1 if at none below 1."""
    found = eg.frequency(RING.replace({"discriminator.length_scale": length}), fields)
    rows = {row.kernel: row.unstable for row in found.kernels}
    first = {label: 1.0 if rows[label].value is None else rows[label].value for label in fields}
    return {label: 0.0 if rows[label].at_zero or value <= LOWEST else value for label, value in first.items()}


def simulated_ratio(exp: Experiment, rounds: int = 3, points: int = 7) -> float:
    """The same from kicked runs: phi refined by ``points`` in every round; growing: late slope of log rms force > 0."""
    low, high = np.log(LOWEST), np.log(HIGHEST)
    for _ in range(rounds):
        grid = np.exp(np.linspace(low, high, points + 2))
        variants = [condensed(exp.replace({"generator.kernel.ratio": float(phi)})) for phi in grid]
        runs = eg.simulate(condensed(exp), variants=variants)
        # the force weighs modes by their stiffness: soft ones that fade slowly hide the growing one in the positions
        force = runs["force"].values
        size = np.sqrt((force**2).reshape(len(grid), exp.run.runs, force.shape[1], -1).mean(axis=(1, 3)))
        late = slice(size.shape[1] // 2, None)
        time = runs["time"].values[late]
        growing = np.zeros(len(grid), dtype=bool)
        for j, row in enumerate(size[:, late]):
            finite = np.isfinite(row) & (row > 0)
            # a run that grew out of bounds, or beyond the linear regime, was growing
            large = not finite.all() or row[-1] > 1e3 * row.min()
            growing[j] = large or np.polyfit(time, np.log(row), 1)[0] > 0
        if not growing.any():
            return 1.0
        first = int(np.argmax(growing))
        if first == 0:
            return 0.0
        low, high = np.log(grid[first - 1]), np.log(grid[first])
    return float(np.exp((low + high) / 2))


def boundaries(lengths: np.ndarray, simulated: np.ndarray, labels: tuple[str, ...]) -> xr.Dataset:
    """Predicted critical ratio over (matched, discriminator, length), simulated at a few lengths."""
    predicted = np.empty((2, len(labels), len(lengths)))
    bisected = np.empty((2, len(labels), len(simulated)))
    at_simulated = np.empty(bisected.shape)
    for m, matched in enumerate((False, True)):
        fields = [discriminators(float(l), matched, labels) for l in lengths]
        rows = [critical_ratios(float(l), own) for l, own in zip(lengths, fields, strict=True)]
        there = [discriminators(float(l), matched, labels) for l in simulated]
        there = [(critical_ratios(float(l), own), own) for l, own in zip(simulated, there, strict=True)]
        predicted[m] = [[row[label] for row in rows] for label in labels]
        for j, label in enumerate(labels):
            for i, l in enumerate(simulated):
                exp = with_kernel(RING.replace({"discriminator.length_scale": float(l)}), there[i][1][label])
                at_simulated[m, j, i], bisected[m, j, i] = there[i][0][label], simulated_ratio(exp)
                print(f"{label:18s} matched={matched} l={l:.2f}: critical ratio {at_simulated[m, j, i]:.4f} predicted, "
                      f"{bisected[m, j, i]:.4f} simulated", file=sys.stderr, flush=True)  # fmt: skip
    dims = ("matched", "discriminator", "length")
    described = {"long_name": "critical ratio of the generator's kernel", "units": "1"}
    return xr.Dataset(
        {
            "critical_ratio": (dims, predicted, described),
            "critical_ratio_there": ((*dims[:2], "simulated_length"), at_simulated, described),
            "simulated_ratio": ((*dims[:2], "simulated_length"), bisected, described),
        },
        coords={"matched": [0, 1], "discriminator": list(labels), "length": lengths, "simulated_length": simulated},
    )


# %% [markdown]
# ## Time to separate neighbouring modes
# %%
def draw_splitting(rng: np.random.Generator) -> Experiment:
    """Ring, grid or mixture of points; kernel scale from 0.4 to 3 distances of neighbours; stable near the target."""
    while True:
        kind = str(rng.choice(["ring", "grid", "mixture"]))
        if kind == "ring":
            modes = int(rng.integers(2, 9))
            target: dict = {"kind": "ring", "modes": modes}
        elif kind == "grid":
            dimension = int(rng.integers(1, 3))
            side = int(rng.integers(2, 7)) if dimension == 1 else int(rng.integers(2, 4))
            modes, target = side**dimension, {"kind": "grid", "side": side, "dimension": dimension}
        else:
            modes = int(rng.integers(2, 6))
            means = (1.5 * rng.standard_normal((modes, 2))).tolist()
            target = {"kind": "mixture", "means": means, "std": 0.02, "samples": 8 * modes, "seed": 1}
        label = str(rng.choice(list(DISCRIMINATORS)))
        penalty = {str(rng.choice(["r1", "r2", "weight_decay"])): float(np.exp(rng.uniform(np.log(0.03), np.log(2))))}
        points = 8 * modes if kind == "mixture" else modes
        exp = Experiment(
            target=target,
            generator={
                "particles": points * (1 if kind == "mixture" else int(rng.integers(2, 5))),
                "learning_rate": float(np.exp(rng.uniform(np.log(0.003), np.log(0.03)))),
                "kernel": {"ratio": float(rng.choice([0.0, rng.uniform(0, 0.05)]))},
            },
            discriminator={"features": 256, "learning_rate": float(np.exp(rng.uniform(np.log(0.03), np.log(0.3)))),
                           "seed": int(rng.integers(1 << 30))},
            penalty=penalty,
            update={"rule": str(rng.choice(["simultaneous", "alternating"]))},
            run={"start": "random", "runs": 4, "seed": int(rng.integers(1 << 30))},
        )  # fmt: skip
        scale = float(np.exp(rng.uniform(np.log(0.4), np.log(3)))) * splitting(exp).distance
        exp = with_kernel(exp.replace({"discriminator.length_scale": scale}), DISCRIMINATORS[label])
        time = splitting(exp).time
        if 15 <= time <= 1500 and convergence_rate(exp) > 0:
            return exp


def modes_of(exp: Experiment) -> np.ndarray:
    return np.asarray(exp.target.means) if exp.target.kind == "mixture" else exp.points.coordinates


def covering_times(exp: Experiment, distance: float) -> np.ndarray:
    """First time of every run at which each mode has had a particle within Delta/4, since the start; inf if none.

    Counted from the first sample on which not every mode is covered: starts that cover all by chance are left out."""
    runs = eg.simulate(exp)
    x, centres = runs["particles"].values, modes_of(exp)
    gap = np.sqrt(((x[..., None, :] - centres) ** 2).sum(-1))
    with np.errstate(invalid="ignore"):
        covered = (gap.min(axis=2) < distance / 4).all(-1)
    time = runs["time"].values
    first = np.array([time[np.argmax(row)] if row.any() else np.inf for row in covered])
    first[covered[:, 0]] = np.nan
    return first


#: runs last this many predicted times
PATIENCE = 12
#: times of training at which the sign of mechanism 3's margin is held against what the runs did
TRAINING_TIMES = (50, 150, 500)


def split_accuracy(predicted: np.ndarray, measured: np.ndarray, steps: np.ndarray) -> float:
    """Balanced accuracy of "not every mode covered after T steps", over draws and TRAINING_TIMES."""
    late, said = [], []
    for T in TRAINING_TIMES:
        known = ~np.isnan(measured) & (np.isfinite(measured) | (steps >= T))
        late.append(measured[known] > T)
        said.append(predicted[known] > T)
    truth, call = np.concatenate(late), np.concatenate(said)
    return float((np.mean(call[truth]) + np.mean(~call[~truth])) / 2) if truth.any() and not truth.all() else np.nan


def split_draws(seed: int, draws: int) -> list[dict]:
    """Predicted time against the median time until every mode has a particle, one row per draw."""
    rows = []
    for i in range(draws):
        exp = draw_splitting(np.random.default_rng([seed, 7, i]))
        steps = int(np.clip(PATIENCE * splitting(exp).time, 100, 6000))
        exp = exp.replace({"run.steps": steps, "run.record_every": max(steps // 600, 1)})
        result = splitting(exp)
        times = covering_times(exp, result.distance)
        times = times[~np.isnan(times)]
        label = next(n for n, f in DISCRIMINATORS.items() if with_kernel(exp, f) == exp)
        local = np.nan if result.local_time is None else result.local_time
        rows.append(
            {"kernel": label, "scale": exp.discriminator.length_scale / result.distance, "predicted": result.time,
             "local": local, "measured": float(np.median(times)) if len(times) else np.nan, "steps": steps}
        )  # fmt: skip
        row = rows[-1]
        print(f"{i:3d} {exp.target.kind:8s} {label:18s} l/Delta {row['scale']:.2f}: predicted {result.time:.0f}, "
              f"wave {local:.3g}, found at {row['measured']:.0f} of {steps}", file=sys.stderr, flush=True)  # fmt: skip
    return rows


# %% [markdown]
# ## Exponents
# %%
def slope(k: np.ndarray, density: np.ndarray) -> float:
    return float(np.polyfit(np.log(k), np.log(density), 1)[0])


def circle_spectrum(network: str, seed: int, width: int, points: int = 1024) -> tuple[np.ndarray, np.ndarray]:
    """(random-feature, tangent) spectra of a one-hidden-layer network on a circle (d = 1), n = 0..points/2.

    Mean over hidden units of |Fourier coefficient|^2 of the features: act(W.x + b) where the readout alone is trained,
    and also a act'(W.x + b) (x/l, 1), a ~ N(0, 1), where all weights are.
    """
    angle = 2 * np.pi * np.arange(points) / points
    X = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    exp = Experiment(discriminator={"kernel": network, "features": width, "length_scale": 0.5, "seed": seed})
    fm = feature_map(exp)
    z = X @ fm.weights.T + fm.biases
    readout = np.random.default_rng([seed, 5]).standard_normal(width)
    slopes = readout * fm.activation.slope(z)
    columns = [slopes, *(2 * X[:, :1] * slopes, 2 * X[:, 1:] * slopes)]

    def power(u: np.ndarray) -> np.ndarray:
        return (np.abs(np.fft.rfft(u, axis=0) / points) ** 2).mean(-1)

    random = power(fm.activation.value(z))
    return random, random + sum(power(u) for u in columns)


def exponents(seed: int, width: int) -> list[tuple[str, float, float]]:
    """(name, expected, measured) slopes of log spectrum against log k where it is a power law."""
    k = np.geomspace(300, 3000, 20)
    rows = []
    for nu in (0.5, 1.5, 2.5):
        for d in (1, 2, 3):
            density = make_kernel("matern", smoothness=nu).spectral_density(k, d)
            rows.append((f"Matern {nu:g}, d = {d}", -(2 * nu + d), slope(k, density)))
    random, tangent = circle_spectrum("relu", seed, width)
    n = np.arange(20, 90)
    rows.append(("ReLU random features, d = 1", -4.0, slope(n, random[n])))
    rows.append(("ReLU tangent kernel, d = 1", -2.0, slope(n, tangent[n])))
    return rows


# %%
def study(seed: int, draws: int, *, lengths=None, simulated=None, labels=tuple(DISCRIMINATORS), modes: int = 2,
          width: int = 20_000) -> xr.Dataset:  # fmt: skip
    """Everything the figure shows, as one Dataset."""
    rng = np.random.default_rng([seed, 1])
    kernels = tuple(label for label in labels if label in SPECTRA)
    fixed = learning(BOX, kernels, None, rng)
    cells = []
    for i in range(draws):
        new = learning(draw_box(np.random.default_rng([seed, i])), kernels, modes, rng)
        cells += new
        print(f"{i:3d} {sum(r['agrees'] for r in new)} of {len(new)} learning rates agree", file=sys.stderr, flush=True)
    split = split_draws(seed, 2 * draws)
    lengths = np.geomspace(0.2, 2.0, 19) if lengths is None else np.asarray(lengths)
    ds = boundaries(lengths, np.array([0.7]) if simulated is None else np.asarray(simulated), labels)
    slopes = exponents(seed, width)
    random, tangent = circle_spectrum("relu", seed, width)
    for prefix, dim, rows in (("fixed", "fixed_cell", fixed), ("drawn", "cell", cells), ("split", "split_draw", split)):
        for name in rows[0] if rows else ():
            values = np.array([r[name] for r in rows])
            ds[f"{prefix}_{name}"] = (dim, values.astype(np.int8) if values.dtype == bool else values)
    ds["slope_expected"] = ("spectrum", [s[1] for s in slopes])
    ds["slope_measured"] = ("spectrum", [s[2] for s in slopes], {"long_name": "slope of log K_k", "units": "1"})
    ds = ds.assign_coords(spectrum=[s[0] for s in slopes])
    ds["relu_random"], ds["relu_tangent"] = ("harmonic", random[:200]), ("harmonic", tangent[:200])
    there, found = ds["critical_ratio_there"].values, ds["simulated_ratio"].values
    inside = (there > 0) & (there < 1)
    ratio = ds["split_measured"] / ds["split_predicted"]
    known = np.isfinite(ratio.values)
    reached = ds["split_measured"].values <= ds["split_steps"].values
    ds.attrs = {
        "seed": seed, "draws": draws, "relative": RELATIVE, "sigmas": SIGMAS,
        "agreeing_rates": float(ds["drawn_agrees"].mean()), "rates": ds.sizes["cell"],
        "within_5_percent": float(ds["drawn_within"].mean()),
        "boundary_error": float(np.max(np.abs(found[inside] / there[inside] - 1), initial=0.0)),
        "split_reached": int(reached.sum()), "split_used": int((~np.isnan(ds["split_measured"].values)).sum()),
        "split_accuracy": split_accuracy(
            *(ds[f"split_{n}"].values.astype(float) for n in ("predicted", "measured", "steps"))
        ),
        "split_median_ratio": float(np.median(ratio.values[known])) if known.any() else np.nan,
        "split_within_3": int(np.sum(known & (np.abs(np.log(ratio.values.clip(1e-9))) <= np.log(3)))),
    }  # fmt: skip
    return ds


def plain_ticks(axis) -> None:
    """Readable ticks on a logarithmic axis of about one decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def figure(ds: xr.Dataset):
    """Learning times by wavenumber, and the ratio at which the spread cloud stops resting by length scale."""
    fig, (a, c) = sheet(1, 2, 5.2)
    for label in np.unique(ds["fixed_kernel"].values):
        own = ds["fixed_kernel"].values == label
        k = ds["fixed_k"].values[own]
        full = learning_times(BOX, {label: SPECTRA[label]})
        a.loglog(full["wavenumber"], full["learning_time"][0], color=COLOURS[label], label=label)
        rate, error = ds["fixed_measured"].values[own], ds["fixed_stderr"].values[own]
        a.errorbar(k, 1 / rate, yerr=error / rate**2, fmt="o", ms=5, color=COLOURS[label], capsize=2)
    a.axhline(BOX.run.steps, color=GREY, ls=":", lw=1.2, label="end of the runs")
    a.set(xlabel="wavenumber (1/length)", ylabel="learning time (steps)", ylim=(20, 1e6))
    plain_ticks(a.xaxis)
    above(a, "lines: predicted; dots: simulated", 2)
    part = ds.sel(matched=0)
    for label in ds["discriminator"].values:
        line = part["critical_ratio"].sel(discriminator=label)
        inside = (line > 0) & (line < 1)
        dots = part["simulated_ratio"].sel(discriminator=label)
        dots = dots.where((dots > 0) & (dots < 1))
        shown = bool(inside.any() or dots.notnull().any())
        c.loglog(ds["length"], line.where(inside), color=COLOURS[label], label=label if shown else None,
                 ls="--" if label in ("ReLU", "tanh", "sine") else "-")  # fmt: skip
        c.loglog(ds["simulated_length"], dots, "o", ms=6, color=COLOURS[label], mec="white", mew=0.5)
    c.set(xlabel="length scale of the discriminator (length)", ylabel="critical kernel ratio g2/g1", ylim=(LOWEST, 1.2))
    plain_ticks(c.xaxis)
    above(c, "the spread cloud stops resting from", 2)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("frequency_principle", draws=20).parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws), figure)
    for name, value in ds.attrs.items():
        print(f"{name}: {value}")
    for name, expected, measured in zip(ds["spectrum"].values, ds["slope_expected"].values, ds["slope_measured"].values,
                                        strict=True):  # fmt: skip
        print(f"{name}: slope {measured:.3f}, expected {expected:g}")
    return ds


# %%
if __name__ == "__main__":
    main()
