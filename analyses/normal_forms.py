# %% [markdown]
# # Does the normal form at a threshold say what becomes of the spread cloud beyond it?
# Random experiments (seed and number of draws are arguments) over targets, kernels, losses, penalties and update rules,
# all with some weight decay, so that no weight is free to drift. Each has a threshold in the kernel ratio or in the
# generator's learning rate. Theory: the bifurcation there, super- or subcritical, and the size of the orbit.
# Simulation: the step of the particle model itself is iterated, 2 % of the threshold's value beyond it and at half
# of that, from a small kick along the mode that grows (and some of everything else). Where the size it settles at falls
# with a power of the distance above 1/4 it is a small orbit, otherwise a jump. The amplitude at 2 % is compared where
# theory says supercritical: by the cubic truncation, with the next term of the series, and, where the normal form
# itself says that 2 % is beyond its range, by the closed orbit that is found from it (harmonic balance).
#
# How the draws are conditioned. The generator's learning rate is set so that the threshold lies in the range. Drawn
# again are those without one, those that grow by less than 1e-3 per step (flow: unit of time) at 2 % (runs would
# take too long), states of more than 500 numbers and, counted, those with a reason in place of a normal form, and
# those whose slowest other mode decays more slowly than the orbit forms at 2 %: soft modes that decay in 10^4 to 10^6
# steps are dragged along by the orbit as far as nonlinear terms of their own let them, and the normal form holds to a
# distance (which it names) far below 2 %. For that reason targets have no points closer than 0.75 of the
# discriminator's length, either.
# The flow has no threshold at D = D*: with w scaled by sqrt(b/c), J + J^T = -2 diag(A, 0) <= 0, so that the energy
# |w|^2/eta_D + theta.S^-1 theta/eta_G never grows, whatever the loss. Flows are therefore drawn with an averaged
# opponent, and with a discriminator at its best response where both are averaged, which do have one.
#
# Also: the default ring with weight decay 0.05 and no R1: the centroid's largest excursion over the root of the
# distance against simulations at four ratios, extrapolated to the threshold, and two draws once more by eg.simulate.
# Run: python -m analyses.normal_forms --seed 1 --draws 20 --output out/normal_forms

# %%
from __future__ import annotations

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.draws import KERNELS, MAX_SUBSTEPS, UPDATES, draw_players, draw_target
from analyses.script import above, made, options, redraws, sheet
from egan_theory.linear.resolved import resolved_rule
from egan_theory.nonlinear.circle import Orbit
from egan_theory.nonlinear.normal import NormalForm
from egan_theory.nonlinear.orbits import Condition, NoOrbit
from egan_theory.nonlinear.stepmap import StepMap
from egan_theory.predict.collective import locate
from egan_theory.predict.crossings import axis_of
from egan_theory.predict.following import Follower
from egan_theory.problem.problem import Problem
from egan_theory.show.style import BLUE, GREY, VERMILLION
from egan_theory.tables.losses import LOSSES, single_losses

RATIO, RATE = "generator.kernel.ratio", "generator.learning_rate"
BEYOND, AGREE = 0.02, 0.05
#: the second run is this many times nearer to the threshold; the size of a small orbit falls with the root of the
#: distance, that of what a jump leads to hardly: told apart half way
NEARER, SMALL_ORBIT = 2.0, 0.25
#: kicks, and where a run that jumps is ended, in sizes that the normal form names
KICK, JUMPED = 0.3, 4.0
#: turns at the end of a run of eg.simulate that are looked at
TURNS = 40
#: a size that changes by less over the last eighth of a run has settled
SETTLED = 3e-3
APART = 0.75
SLOW = "a mode decays more slowly than the orbit forms"
LEAST_GROWTH, EFOLDS, MOST_NUMBERS, MOST_STEPS = 1e-3, 5.0, 500, 60_000
#: flows, and whose play has to be averaged for a threshold
FLOWS = (
    ("flow", ("generator",)), ("flow", ("discriminator",)), ("best_response_flow", ("generator", "discriminator")),
)  # fmt: skip
RULES = tuple(u for u in UPDATES if u["rule"] != "flow")
#: the ring of the first part, and its ratios beyond the threshold
RING = {"penalty.r1": 0.0, "penalty.weight_decay": 0.05}
DISTANCES = (0.004, 0.008, 0.012, 0.02)


# %%
def draw(rng: np.random.Generator) -> tuple[eg.Experiment, str, tuple[NormalForm, ...], dict[str, int]]:
    """(experiment at its threshold, parameter, branches there, draws that were refused and why)."""
    refused: dict[str, int] = {}
    while True:
        exp = _draw(rng)
        try:
            found = _located(exp, rng)
        except eg.InputError:
            continue
        if found is None:
            continue
        exp, vary, branches = found
        if branches[0].reason:
            refused[branches[0].reason] = refused.get(branches[0].reason, 0) + 1
            continue
        if resolved_rule(exp).substeps > MAX_SUBSTEPS:
            continue
        growth = growth_at(branches[0])
        if growth < LEAST_GROWTH:
            continue
        if slowest(exp, branches[0].modes) < growth:
            refused[SLOW] = refused.get(SLOW, 0) + 1
            continue
        return exp, vary, branches, refused


def slowest(exp: eg.Experiment, critical: int) -> float:
    """The slowest decay at the threshold of any mode but the critical ones, per step (flow: per time)."""
    stepmap = StepMap(Problem(exp))
    if stepmap.continuous:
        rates = -np.linalg.eigvals(stepmap.velocity_jacobian()).real
    else:
        rates = -np.log(np.abs(np.linalg.eigvals(stepmap.jacobian())))
    return float(np.sort(rates)[2 * critical])


def _located(exp: eg.Experiment, rng: np.random.Generator):
    ratio = float(rng.uniform(0.03, 0.9))
    rate = eg.collective_instability(exp.replace({RATIO: ratio}), RATE, 1e-4, 1e3).value
    if rate is None or StepMap(Problem(exp)).size > MOST_NUMBERS:
        return None
    exp = exp.replace({RATE: rate, RATIO: ratio})
    vary, low, high = (RATIO, 0.0, 1.0) if rng.random() < 0.5 else (RATE, rate / 10, rate * 10)
    found = locate(exp, vary, low, high)
    near = [i for i, v in enumerate(found.values) if abs(v / exp.get(vary) - 1) < 0.01]
    if not near or (vary == RATIO and not 0.01 < found.values[near[0]] < 0.95):
        return None
    return exp.replace({vary: found.values[near[0]]}), vary, found.normal_forms[near[0]]


def _draw(rng: np.random.Generator) -> eg.Experiment:
    length = float(rng.uniform(0.4, 1.0))
    target, points = draw_target(rng)
    while target["kind"] == "uniform" or closest(target) < APART * length:
        target, points = draw_target(rng)
    loss = str(rng.choice(single_losses()))
    penalty = {"weight_decay": float(np.exp(rng.uniform(np.log(0.05), np.log(0.5))))}
    for key, chance, low, high in (("r1", 0.4, 0.1, 1.0), ("r2", 0.25, 0.1, 1.0), ("consensus", 0.1, 0.05, 0.5)):
        if rng.random() < chance:
            penalty[key] = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if LOSSES[loss].needs_multiplier or rng.random() < 0.15:
        penalty["multiplier"], penalty["alpha"] = float(rng.uniform(0.1, 1.0)), float(rng.uniform(0, 0.5))
    memory: dict[str, float] = {}
    update = dict(RULES[int(rng.integers(len(RULES)))])
    if rng.random() < 0.25:
        flow, averaged = FLOWS[int(rng.integers(len(FLOWS)))]
        update, memory = {"rule": flow}, {player: float(rng.uniform(1.0, 5.0)) for player in averaged}
        penalty.pop("consensus", None)
    return eg.Experiment(
        target=target,
        **draw_players(rng, points, length, KERNELS),
        loss={"kind": loss},
        penalty=penalty,
        update=update,
        memory=memory,
    )


def closest(target: dict) -> float:
    """Smallest distance of two of the target's points."""
    y = eg.Experiment(target=target).points.coordinates
    between = np.linalg.norm(y[:, None] - y, axis=-1)
    return float(between[np.triu_indices(len(y), 1)].min())


def growth_at(form: NormalForm) -> float:
    """Growth per step (flow: per time) of the mode 2 % beyond the threshold."""
    delta = BEYOND * form.threshold
    return float(np.abs(np.real(form.equations.linear_1)).max() * delta)


def unstable_side(form: NormalForm) -> str:
    same = form.criticality == "supercritical"
    return form.side if same else {"above": "below", "below": "above"}[form.side]


def size_at(form: NormalForm, distance: float) -> float:
    """rms displacement that the cubic coefficient names at a distance, whichever its sign."""
    return form.rms_amplitude * distance**form.exponent


def simulated(exp: eg.Experiment, vary: str, form: NormalForm, part: float, rng: np.random.Generator) -> dict:
    """The step iterated at a ``part`` of the 2 % beyond the threshold: rms displacement over the last turns."""
    distance = part * BEYOND * abs(form.threshold)
    value = form.threshold + (distance if unstable_side(form) == "above" else -distance)
    stepmap = StepMap(Problem(exp.replace({vary: value})))
    expected, largest = size_at(form, distance), JUMPED * size_at(form, distance / part)
    rest, growth = stepmap.rest, part * growth_at(form)
    home = stepmap.positions(rest)
    z = rest + KICK * 2 * np.real(form.shape * np.exp(2j * np.pi * rng.random())) * distance**form.exponent
    start = 0 if stepmap.rule.responds else int(np.prod(stepmap.shapes[0]))
    z[start : start + home.size] += KICK / 10 * expected * rng.standard_normal(home.size)
    block = max(50, round(20 * np.pi / max(form.angle, 1e-3)))
    steps = max(int(min(EFOLDS / growth, MOST_STEPS)), 16 * block)
    means, square = [], 0.0
    step, drift = 0, np.inf
    # until it is settled, at most four times as long as a small orbit needs
    while step < steps or (drift > SETTLED and step < 4 * steps):
        step += 1
        z = stepmap.step(z)
        x = stepmap.positions(z) - home
        square += float(np.einsum("m,md,md->", stepmap.shares, x, x))
        if step % block == 0:
            means.append(np.sqrt(square / block))
            square = 0.0
            if not means[-1] < largest:
                break
            drift = abs(means[-1] / means[len(means) * 7 // 8 - 1] - 1) if len(means) > 8 else np.inf
    last = means[-1] if means[-1] < largest else largest
    return {"value": value, "measured": float(last), "expected": expected, "steps": step,
            "drift": float(drift)}  # fmt: skip


def continued(exp: eg.Experiment, vary: str, form: NormalForm, value: float) -> float:
    """rms displacement on the closed orbit itself at a value of the parameter, by harmonic balance from the series of
    the normal form; NaN where there is none (the branch has turned back before)."""
    axis = axis_of(exp, vary, 0.9 * form.threshold, min(1.1 * form.threshold, 1.0 if vary == RATIO else np.inf))
    follower = Follower(Problem(exp), axis, 1.0)
    m = {"flip": 2, "pitchfork": 1, "transcritical": 1}.get(form.bifurcation, 9)
    wave = np.multiply.outer(np.exp(2j * np.pi * np.arange(m) / m), form.shape).real * (2 if m > 2 else 1)
    angle = form.angle if m > 1 else 0.0
    for size in (1.0, 1.3, 0.7):
        away = value - form.threshold
        u = axis.to_scale(value)
        rest = follower.family(u).rest
        turned = angle + (form.frequency_shift or 0.0) * away
        guess = Orbit(rest + size * abs(away) ** form.exponent * wave, turned, u, exp.update_rule.continuous)
        try:
            orbit = follower.equations.resolved(guess, Condition(None, 0.0, 1.0, u))[0]
        except NoOrbit:
            continue
        if follower.rms(orbit) > 0.1 * follower.rms(guess):
            return follower.rms(orbit)
    return float("nan")


def compare(exp: eg.Experiment, vary: str, branches: tuple[NormalForm, ...], rng: np.random.Generator) -> dict:
    """One draw: predicted and simulated."""
    form = branches[0]
    run, nearer = (simulated(exp, vary, form, part, rng) for part in (1.0, 1 / NEARER))
    law = np.log(run["measured"] / nearer["measured"]) / np.log(NEARER)
    seen = "supercritical" if law > SMALL_ORBIT else "subcritical"
    cubic = form.amplitude(run["value"])
    better = form.amplitude(run["value"], next_term=True)
    small = form.criticality == "supercritical"
    momenta = exp.update.momentum_discriminator or exp.update.momentum_generator
    nan, reach = float("nan"), abs(run["value"] - form.threshold)
    valid = form.valid_to is not None and abs(form.valid_to - form.threshold) >= reach
    orbit = nan if valid or not small else continued(exp, vary, form, run["value"])
    return {
        "rule": exp.update.rule + " momentum" * bool(momenta),
        "loss": exp.loss.kind, "kernel": exp.discriminator.kernel, "vary": vary,
        "bifurcation": form.bifurcation, "criticality": form.criticality, "seen": seen, "modes": form.modes,
        "agrees": seen == form.criticality, "exponent": law, **run, "cubic": cubic if small else nan,
        "next": better if small else nan, "error": run["measured"] / cubic - 1 if small else nan,
        "error_next": run["measured"] / better - 1 if small else nan,
        "error_nearer": nearer["measured"] / nearer["expected"] - 1 if small else nan,
        "valid": valid, "orbit": orbit, "error_orbit": run["measured"] / orbit - 1,
        "correction": nan if form.relative_correction is None else form.relative_correction * reach,
        "angle": form.angle,
    }  # fmt: skip


# %%
def ring_coefficients(distances=DISTANCES) -> dict[str, np.ndarray | float]:
    """The default ring: the centroid's largest excursion over the root of the distance, predicted and simulated."""
    exp = eg.Experiment().replace(RING)
    found = locate(exp, RATIO, 0.0, 1.0)
    form, critical = found.normal_forms[0][0], found.values[0]
    measured = []
    for delta in distances:
        stepmap = StepMap(Problem(exp.replace({RATIO: critical + delta})))
        home = stepmap.positions(stepmap.rest)
        size = np.sqrt(delta) * (1 + form.relative_correction * delta)
        z = stepmap.rest + 0.8 * 2 * np.real(form.shape) * size
        growth = float(np.real(form.equations.linear_1[0, 0])) * delta
        turn = round(2 * np.pi / form.angle)
        last = []
        steps = int(5 / growth)
        for step in range(steps):
            z = stepmap.step(z)
            if step >= steps - 20 * turn:
                last.append(stepmap.shares @ (stepmap.positions(z) - home))
        measured.append(excursion(np.array(last), form.angle + form.frequency_shift * delta) / np.sqrt(delta))
    *_, slope, limit = np.polyfit(distances, measured, 2)
    print("ring:", ", ".join(f"{m:.5f} at {d:g}" for d, m in zip(distances, measured, strict=True)), flush=True)
    return {"distance": np.array(distances), "measured": np.array(measured), "extrapolated": float(limit),
            "predicted": form.centroid_amplitude, "rms": form.rms_amplitude, "threshold": critical,
            "correction": form.relative_correction, "slope": float(slope / limit)}  # fmt: skip


def excursion(x: np.ndarray, angle: float) -> float:
    """Largest excursion on the first harmonic of x (time, d), its angle per step about as given."""
    window = np.hanning(len(x))[:, None] / np.hanning(len(x)).sum()
    n = np.arange(len(x))[:, None]

    def harmonic(a: float) -> np.ndarray:
        return np.sum(window * x * np.exp(-1j * a * n), axis=0)

    near = angle * np.linspace(0.98, 1.02, 81)
    c = harmonic(max(near, key=lambda a: np.linalg.norm(harmonic(a))))
    return float(np.sqrt(2 * (np.sum(np.abs(c) ** 2) + abs(np.sum(c * c)))))


def by_simulate(exp: eg.Experiment, vary: str, form: NormalForm, rng: np.random.Generator) -> float:
    """rms displacement at the end of eg.simulate, from a random kick of every point."""
    sign = 1.0 if unstable_side(form) == "above" else -1.0
    value = form.threshold * (1 + sign * BEYOND)
    expected = size_at(form, abs(value - form.threshold))
    steps = int(min(2 * EFOLDS / growth_at(form), MOST_STEPS))
    every = max(1, int(2 * np.pi / form.angle / 16))
    steps = max(steps, 4 * TURNS * 16 * every)
    run = {"run.start": "kick", "run.runs": 1, "run.steps": steps, "run.record_every": every}
    there = exp.replace({vary: value, **run, "run.kick": 0.3 * expected, "run.seed": int(rng.integers(1 << 30))})
    ds = eg.simulate(there)
    x = ds["particles"].values[0][-TURNS * 16 :] - Problem(there).home
    return float(np.sqrt(np.mean(np.sum(x**2, axis=-1))))


def told(i: int, row: dict) -> str:
    """One line of the table."""
    return (
        f"{i:3d} {row['rule']:21s} {row['loss']:16s} {row['kernel']:18s} {row['vary'].rpartition('.')[2]:13s} "
        f"{row['bifurcation']:15s} x{row['modes']} {row['criticality']:13s} seen {row['seen']:13s} "
        f"(exponent {row['exponent']:+.2f}) cubic {row['error']:+.2%} next {row['error_next']:+.2%} "
        f"(said {row['correction']:+.2%}) nearer {row['error_nearer']:+.2%}, {row['steps']} steps, "
        f"drift {row['drift']:.0e}" + ("" if row["valid"] else f", beyond its range, orbit {row['error_orbit']:+.2%}")
    )


def study(seed: int, draws: int, repeated: int = 2) -> xr.Dataset:
    rows, again, refused = [], [], {}
    for i in range(draws):
        rng = np.random.default_rng([seed, i])
        exp, vary, branches, why = draw(rng)
        for reason, count in why.items():
            refused[reason] = refused.get(reason, 0) + count
        row = compare(exp, vary, branches, rng)
        rows.append(row)
        more = ""
        if row["criticality"] == "supercritical" and len(again) < repeated and Problem(exp).matched:
            again.append(by_simulate(exp, vary, branches[0], rng) / row["measured"] - 1)
            more = f", eg.simulate {again[-1]:+.2%}"
        print(told(i, row) + more, flush=True)
    units = {"value": "units of the varied parameter", "measured": "length", "cubic": "length", "next": "length"}
    ds = xr.Dataset({key: ("draw", np.array([row[key] for row in rows]), {"units": units.get(key, "1")})
                     for key in rows[0]})  # fmt: skip
    ds["simulate"] = "repeat", np.array(again)
    for reason, count in refused.items():
        print(f"drawn again, {count}: {reason}")
    return ds.assign_attrs(seed=seed, draws=draws)


def results(seed: int, draws: int) -> xr.Dataset:
    """The random experiments, and the ring's numbers as attributes."""
    ring = ring_coefficients()
    return study(seed, draws).assign_attrs({f"ring_{k}": v for k, v in ring.items()})


def figure(ds: xr.Dataset):
    """Left: the default ring near its threshold. Right: predicted and simulated sizes of random experiments."""
    fig, (left, right) = sheet(1, 2, 4.8)
    distance, predicted = np.asarray(ds.attrs["ring_distance"]), ds.attrs["ring_predicted"]
    delta = np.linspace(0, distance[-1] * 1.1, 50)
    left.plot(distance, ds.attrs["ring_measured"], "o", color=VERMILLION, ms=7, mfc="white", label="simulated")
    left.plot(delta, predicted * (1 + ds.attrs["ring_correction"] * delta), color=BLUE, label="normal form, next term")
    left.axhline(predicted, color=GREY, ls=":", label="normal form")
    left.set(xlabel="kernel ratio beyond its threshold (ratio)", ylabel="centroid's excursion / √distance (length)")
    above(left, "The default ring")
    small = ds["criticality"].values == "supercritical"
    best = np.where(ds["valid"], ds["next"], ds["orbit"])
    for at, x, colour, marker, label in (
        (small, best, BLUE, "o", "supercritical: a small orbit"),
        (~small, ds["expected"].values, VERMILLION, "^", "subcritical: jumps"),
    ):
        right.loglog(x[at], ds["measured"].values[at], marker, color=colour, ms=7, mfc="none", label=label)
    ends = np.array(right.get_xlim())
    right.loglog(ends, ends, "k-", lw=0.8, label="equal")
    right.set(xlabel="predicted rms displacement (length)", ylabel="simulated rms displacement (length)")
    above(right, f"{ds.sizes['draw']} random experiments, 2 % beyond")
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("normal_forms", draws=20)
    args = parser.parse_args(argv)
    ds = made(args, lambda: results(args.seed, args.draws), figure)
    ring = {k.removeprefix("ring_"): v for k, v in ds.attrs.items() if k.startswith("ring_")}
    print(f"ring: centroid {ring['predicted']:.4f} predicted, {ring['extrapolated']:.4f} simulated and extrapolated "
          f"({ring['extrapolated'] / ring['predicted'] - 1:+.2%}), rms {ring['rms']:.4f}; relative correction "
          f"{ring['correction']:.3f} predicted, {ring['slope']:.3f} fitted")  # fmt: skip
    small = ds["criticality"].values == "supercritical"
    for name in ("error", "error_next"):
        error = np.abs(ds[name].values[small])
        print(
            f"{name}: within {AGREE:.0%} in {int((error <= AGREE).sum())} of {small.sum()}, largest {error.max():.2%}"
        )
    chosen = np.where(ds["valid"], ds["error"], ds["error_orbit"])[small]
    good, none = int((np.abs(chosen) <= AGREE).sum()), int(np.isnan(chosen).sum())
    print(f"normal form where it holds, else the orbit: within {AGREE:.0%} in {good} of {small.sum()}")
    print(f"no orbit there, its branch has turned back: {none}")
    print(f"sign agrees in {int(ds['agrees'].sum())} of {ds.attrs['draws']}")
    return ds


# %%
if __name__ == "__main__":
    main()
