"""The particle simulation: from equilibrium plus a kick, or from a random start, to the run schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..base.errors import InputError, NotLinearizable
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..features import DictionaryFeatures, FourierGrid, experiment_grid
from ..kernels.wide.universality import output_covariance
from ..linear import eigenvalues, linearize
from ..linear.equilibrium import Equilibrium, equilibrium, matched_masses
from ..problem.field import Field, check_variants
from ..runs.outcome import outcomes
from ..runs.schema import variable
from ..tables.updates import UpdateRule
from .condense import condensed

Progress = Callable[[int, int], None]

#: a run has diverged when a particle is this many times the size of the problem away from the target's centre
DIVERGENCE = 1e6
#: Runge-Kutta steps from which on a simulation is announced
WORTH_SAYING = 100_000
#: weights are recorded when they are at most this many numbers
MAX_WEIGHTS = 5_000_000
#: a Fourier box is doubled at most so many times for particles that leave it
WIDENINGS = 3


def simulate(
    exp: Experiment,
    *,
    variants: Sequence[Experiment] | None = None,
    kicks: np.ndarray | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Simulate ``run.runs`` independent runs of the nonlinear model and record them in the run schema.

    One step is one generator step of the update rule (flow: one unit of time by Runge-Kutta substeps). Recorded:
    particles, discriminator and force at the particles, every ``record_every`` steps from step 0 on.

    ``variants``: experiments equal to ``exp`` but for strengths and rates (dynamics.VARIABLE), simulated side by side;
    the run axis then holds every variant's runs in turn, with the differing fields as coordinates. All variants share
    the same starts, so that differences are due to the parameters alone.

    ``kicks`` (run.runs, particles, dimension): displacements from equilibrium to start with, of every particle, in
    place of random ones of size run.kick (run.start "kick").

    A player with an architecture of finite width is that network, trained (simulation.networks; needs the extra
    ``networks``, else MissingExtra).

    Kicked particles that share a point move together and are simulated as one (``condensed``).

    The exact kernel (features = 0) is that of a basis that grows with the particles' ways: attrs kernel_error and
    kernel_gradient_error bound the errors of K and of its gradient between their positions, relative to the norms of
    the functions (features.dictionary). Where that is too much, evaluation "fourier" is right to its tolerance.

    A run that leaves every bound is frozen as NaN from then on, with the step in ``diverged_at`` and in attrs status.
    ``outcome`` says what became of each run (outcome.Outcome).
    A flow whose fastest mode needs more than updates.MOST_SUBSTEPS per unit of time raises InputError.
    KeyboardInterrupt ends the run early: what was recorded is returned with status "interrupted".
    Raises InputError, NotLinearizable (a kick needs an equilibrium).
    """
    members = [exp] if variants is None else list(variants)
    if variants is not None:
        check_variants(exp, members)
    if kicks is not None:
        shape = (exp.run.runs, exp.generator.particles, exp.dimension)
        if exp.run.start != "kick" or np.shape(kicks) != shape or not np.all(np.isfinite(kicks)):
            rule = f"be finite numbers of shape {shape} (run, particle, component), with run.start 'kick'"
            raise InputError("kicks", rule, f"shape {np.shape(kicks)} with run.start {exp.run.start!r}")
    if exp.run.start == "kick":
        if variants is not None and not all(map(matched_masses, members)):  # each has an equilibrium of its own
            parts = _comparable([_simulate(member, None, progress, kicks=kicks) for member in members], exp)
            joined = xr.concat(parts, "run", data_vars="minimal", coords="minimal", compat="override", join="override")
            return _with_parameters(joined.assign_attrs(provenance(exp), status=_joint_status(parts)), exp, members)
        small = condensed(exp) if kicks is None else exp
        if small is not exp:
            reduced = None if variants is None else [condensed(member) for member in members]
            return _expanded(_simulate(small, reduced, progress), exp, members)
    return _simulate(exp, variants, progress, kicks=kicks)


def _simulate(
    exp: Experiment,
    variants: Sequence[Experiment] | None,
    progress: Progress | None,
    widenings: int = 0,
    kicks: np.ndarray | None = None,
) -> xr.Dataset:
    """``simulate`` particle by particle.

    Where a particle leaves the domain of the kernel's Fourier modes, all runs start again in one of twice the width, so
    that a record is of one box; after WIDENINGS of them, or where the modes are too many, its run ends as diverged.
    """
    if exp.generator.finite_network or exp.discriminator.finite_network:
        from .networks.simulate import simulate_networks

        return simulate_networks(exp, variants, progress, kicks=kicks)
    members = [exp] if variants is None else list(variants)
    R = exp.run.runs
    each = [e for e in members for _ in range(R)]
    field = Field(exp, each if variants is not None else None)
    if widenings:
        field.features = experiment_grid(exp, widenings)
    x, w, status_note = starts(exp, field, kicks)
    x = np.tile(x, (len(members), 1, 1))
    w = np.tile(w, (len(members), 1))
    if field.outside(x).any() and _can_widen(exp, widenings):
        return _simulate(exp, variants, progress, widenings + 1, kicks)
    w = field.grow(x, w)
    recorder = Recorder(exp, field.features.size, len(each))
    rule = max((resolved_rule(member) for member in members), key=lambda r: r.substeps)  # the stiffest decides
    state = rule.start(w, x, field.Vw, field.Vx, field.opponents)

    def record(step: int, state: tuple, alive: np.ndarray) -> None:
        recorder.add(step, state[1], *field.forces(state[1], state[0]), state[0], alive)

    centre = exp.points.coordinates.mean(0)
    size = DIVERGENCE * size_of(exp)
    diverged = np.full(len(each), -1)
    left_box = np.zeros(len(each), dtype=bool)
    record(0, state, diverged < 0)
    status = "finished"
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for step in range(1, exp.run.steps + 1):
                state = rule.step(state, field.Vw, field.Vx, field.opponents)
                bad = ~(np.abs(state[1] - centre).max(axis=(-2, -1)) < size) | ~np.isfinite(state[0]).all(-1)
                left = field.strayed(state[1]) & ~bad
                if left.any():
                    if _can_widen(exp, widenings):
                        return _simulate(exp, variants, progress, widenings + 1, kicks)
                    bad |= left
                    left_box |= left & (diverged < 0)
                if bad.any():
                    new = bad & (diverged < 0)
                    diverged[new] = step
                    # keep the arrays finite: a frozen run costs nothing and disturbs nobody
                    state = tuple(np.where(_column(bad, v), 0.0, v) if np.ndim(v) else v for v in state)
                    state = (state[0], np.where(bad[:, None, None], x, state[1]), *state[2:])
                    if np.all(diverged >= 0):
                        if step % exp.run.record_every == 0:
                            record(step, state, diverged < 0)
                        break
                state = _grow(field, rule, state)
                if step % exp.run.record_every == 0:
                    record(step, state, diverged < 0)
                    if progress is not None:
                        progress(step, exp.run.steps)
    except KeyboardInterrupt:
        status = "interrupted"
    ds = recorder.dataset(members, diverged, finished_status(status, diverged), status_note)
    if isinstance(field.features, DictionaryFeatures):
        ds = ds.assign_attrs(field.features.attrs)
    if isinstance(field.features, FourierGrid):
        ds = ds.assign_attrs(field.features.attrs, fourier_left=f"runs {np.flatnonzero(left_box).tolist()}")
    return ds


def _can_widen(exp: Experiment, widenings: int) -> bool:
    """Whether a Fourier box of twice the domain is still within bounds."""
    if widenings >= WIDENINGS:
        return False
    try:
        experiment_grid(exp, widenings + 1)
    except InputError:
        return False
    return True


def finished_status(status: str, diverged: np.ndarray) -> str:
    """The status of runs that were not interrupted: "finished", or the first step at which one diverged."""
    if status == "finished" and np.any(diverged >= 0):
        return f"diverged at step {diverged[diverged >= 0].min()}"
    return status


def _comparable(parts: list[xr.Dataset], exp: Experiment) -> list[xr.Dataset]:
    """Without weights where these are of features that differ: an exact kernel's dictionary is its equilibrium's."""
    if exp.discriminator.features or exp.points.period is not None:
        return parts
    return [part.drop_vars("weights", errors="ignore") for part in parts]


def _joint_status(parts: Sequence[xr.Dataset]) -> str:
    """One status for several datasets: interrupted, else the first divergence, else finished."""
    if any(part.attrs["status"] == "interrupted" for part in parts):
        return "interrupted"
    return finished_status("finished", np.concatenate([part["diverged_at"].values for part in parts]))


def resolved_rule(exp: Experiment) -> UpdateRule:
    """The update rule; for the flow with enough Runge-Kutta substeps to resolve the fastest mode at equilibrium."""
    rule = exp.update_rule
    if not rule.continuous:
        return rule
    try:
        # a uniform average starts at the present opponent and changes ever more slowly
        plain = {f"memory.{name}": 0.0 for name in ("generator", "discriminator")} if rule.uniform else {}
        s = eigenvalues(linearize(exp.replace(plain))).s
    except NotLinearizable:
        return rule
    fastest = np.abs(s[np.isfinite(s)]).max(initial=0.0)
    return rule.resolving(fastest)


def announced(exp: Experiment) -> str | None:
    """What to say before a simulation whose modes need many Runge-Kutta steps; None for others. Raises InputError."""
    rule = resolved_rule(exp)
    total = exp.run.steps * rule.substeps
    if not rule.continuous or total < WORTH_SAYING:
        return None
    return f"this needs {total:.3g} Runge-Kutta steps, {rule.substeps} per unit of time; a million take minutes"


def starts(exp: Experiment, field: Any, kicks: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, str]:
    """(x (R, N, d), w (R, P), note): the starts of the runs, from ``run.seed``, or equilibrium and ``kicks``; field: of
    NumPy or of a network."""
    R, N, d = exp.run.runs, exp.generator.particles, exp.dimension
    rng = np.random.default_rng([exp.run.seed, 2])
    if exp.run.start == "kick":
        eq: Equilibrium = equilibrium(exp, field)
        w = eq.w
        if kicks is not None:
            return eq.x + kicks, np.tile(w, (R, 1)), "kick"
        if eq.matched:
            kick = rng.standard_normal((R, len(exp.points.weights), d))[:, exp.assignment]
        else:
            kick = rng.standard_normal((R, N, d))
        return eq.x + exp.run.kick * kick, np.tile(w, (R, 1)), "kick"
    points = exp.points
    w = np.zeros((R, field.features.size))
    if points.period is not None:
        return rng.uniform(0, points.period, (R, N, d)), w, "random"
    if exp.generator.architecture is not None:  # what a wide network puts out: a part common to all, and one of each
        variance, common = output_covariance(exp.generator.architecture)
        shared = np.sqrt(common) * rng.standard_normal((R, 1, d))
        return shared + np.sqrt(variance - common) * rng.standard_normal((R, N, d)), w, "random"
    mean = points.weights @ points.coordinates
    spread = exp.run.spread or float(np.sqrt((points.weights @ (points.coordinates - mean) ** 2).mean())) or 1.0
    return mean + spread * rng.standard_normal((R, N, d)), w, "random"


def size_of(exp: Experiment) -> float:
    """The length that "far away" is measured in."""
    extent = float(np.ptp(exp.points.coordinates, axis=0).max(initial=0.0))
    return max(extent, exp.discriminator.length_scale, exp.run.kick)


def _column(mask: np.ndarray, like: np.ndarray) -> np.ndarray:
    return mask.reshape(-1, *(1,) * (like.ndim - 1))


def _grow(field: Field, rule: UpdateRule, state: tuple) -> tuple:
    """Extend an exact kernel's dictionary to the particles; every w-shaped part of the state is padded."""
    old: Any = field.features
    w = field.grow(state[1], state[0])
    if field.features is old:
        return state
    memory = [
        old.padded(v, field.features) if block in ("w", "q") else v
        for block, v in zip(rule.memory, state[2:], strict=True)
    ]
    if "q" in rule.averages and not rule.continuous:  # the step's own push has a share in the new features
        at = rule.memory.index("q")
        new = old.padded(np.ones(old.size), field.features) == 0
        memory[at] = memory[at] + new * field.push(state[1]) / rule.average_time("q", state)
    return (w, state[1], *memory)


def _expanded(ds: xr.Dataset, exp: Experiment, members: list[Experiment]) -> xr.Dataset:
    """The runs of a condensed experiment with every particle of ``exp`` on the one that stands for it."""
    copies = {name: ds[name].isel(particle=exp.assignment) for name in ("particles", "discriminator", "force")}
    ds = ds.drop_vars([*copies, "mass", "assignment"]).assign(copies)
    ds["mass"], ds["assignment"] = variable("mass", exp.masses), variable("assignment", exp.assignment)
    ds.attrs |= provenance(exp)
    return _with_parameters(ds.drop_vars([c for c in ds.coords if c != "time"]), exp, members)


class Recorder:
    """Collects samples of runs with P weights in arrays of the final size."""

    def __init__(self, exp: Experiment, P: int, runs: int) -> None:
        self.exp = exp
        T, N, d = exp.run.steps // exp.run.record_every + 1, exp.generator.particles, exp.dimension
        self.time = np.zeros(T)
        self.particles = np.full((runs, T, N, d), np.nan)
        self.discriminator = np.full((runs, T, N), np.nan)
        self.force = np.full((runs, T, N, d), np.nan)
        self.weights = np.full((runs, T, P), np.nan) if runs * T * P <= MAX_WEIGHTS else None
        self.count = 0

    @property
    def keeps_weights(self) -> bool:
        return self.weights is not None

    def add(
        self, step: int, x: np.ndarray, f: np.ndarray, g: np.ndarray, w: np.ndarray | None, alive: np.ndarray
    ) -> None:
        """Positions, D and grad D at the particles, and the weights, of all runs; ``alive``: those that count."""
        i = self.count
        self.time[i] = step
        self.particles[alive, i], self.discriminator[alive, i], self.force[alive, i] = x[alive], f[alive], g[alive]
        if self.weights is not None and w is not None and self.weights.shape[-1] == w.shape[-1]:
            self.weights[alive, i] = w[alive]
        else:  # too large, or the exact kernel's dictionary has grown: no fixed set of features
            self.weights = None
        self.count += 1

    def dataset(self, members: list[Experiment], diverged: np.ndarray, status: str, start: str) -> xr.Dataset:
        exp, n = self.exp, self.count
        ds = xr.Dataset(
            {
                "particles": variable("particles", self.particles[:, :n]),
                "discriminator": variable("discriminator", self.discriminator[:, :n]),
                "force": variable("force", self.force[:, :n]),
                "target": variable("target", exp.points.coordinates),
                "target_weight": variable("target_weight", exp.points.weights),
                "mass": variable("mass", exp.masses),
                "diverged_at": variable("diverged_at", diverged),
            },
            attrs={**provenance(exp), "status": status, "start": start, "rule": exp.update.rule},
        )
        if self.weights is not None:
            ds["weights"] = variable("weights", self.weights[:, :n])
        if start == "kick":
            ds["assignment"] = variable("assignment", exp.assignment)
        unit = "time" if exp.update_rule.continuous else "step"
        ds = ds.assign_coords(time=("time", self.time[:n], {"long_name": "training time", "units": unit}))
        ds["outcome"] = variable("outcome", outcomes(ds, exp))
        return _with_parameters(ds, exp, members)


def _with_parameters(ds: xr.Dataset, exp: Experiment, members: list[Experiment]) -> xr.Dataset:
    """Coordinates on the run axis for the fields that differ between the variants."""
    from ..problem.field import VARIABLE

    if len(members) > 1:
        for path in VARIABLE:
            values = [float(m.get(path)) for m in members]
            if len(set(values)) > 1:
                column = np.repeat(values, exp.run.runs)
                ds = ds.assign_coords({path.replace(".", "_"): ("run", column, {"long_name": path, "units": "1"})})
    return ds
