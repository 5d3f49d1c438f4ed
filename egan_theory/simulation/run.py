"""The particle simulation: from equilibrium plus a kick, or from a random start, to the run schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from ..base.dataset import shown
from ..base.errors import InputError
from ..base.signals import recorded
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..features import DictionaryFeatures, FourierGrid, experiment_grid
from ..linear.resolved import resolved_rule
from ..problem.field import Field, check_variants
from ..problem.problem import Problem
from ..runs.schema import finished_status, variable
from ..tables.updates import UpdateRule
from .condense import condensed
from .memory import check_memory, check_samples
from .record import Recorder, with_parameters
from .start import DIVERGENCE, size_of, starts

Progress = Callable[[int, int], None]

#: kicked runs of more steps are worth what polynomials in place of a dear kernel cost
WORTH_TABLES = 50
#: a Fourier box is doubled at most so many times for particles that leave it
WIDENINGS = 3


@takes_experiment
@shown
def simulate(
    exp: Experiment,
    *,
    variants: Sequence[Experiment] | None = None,
    kicks: np.ndarray | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Simulate the nonlinear model and record it in the run schema.

    One step is one generator step of the update rule (flow: one unit of time by Runge-Kutta substeps). Recorded:
    particles, discriminator and force at the particles, every ``record_every`` steps from step 0 on. A player with an
    architecture of finite width is that network, trained (simulation.networks; extra ``networks``). Kicked particles
    that share a point move together and are simulated as one (``condensed``).

    The exact kernel (features = 0) is that of a basis that grows with the particles' ways: attrs kernel_error and
    kernel_gradient_error bound the errors of K and of its gradient between their positions, relative to the norms of
    the functions (features.dictionary). Where that is too much, evaluation "fourier" is right to its tolerance.

    A run that leaves every bound is frozen as NaN from then on, with the step in ``diverged_at`` and in attrs status.
    ``outcome`` says what became of each run (eg.Outcome).
    KeyboardInterrupt ends the run early: what was recorded is returned with status "interrupted".

    Args:
        variants: experiments equal to ``exp`` but for strengths and rates (field.VARIABLE), simulated side by side; the
            run axis then holds every variant's runs in turn, with the differing fields as coordinates. All variants
            share the same starts, so that differences are due to the parameters alone.
        progress: called with (done, total).
        kicks: displacements from equilibrium to start with, of every particle, in place of random ones of size run.kick
            (run.start "kick").

    Returns:
        A Dataset of the run schema; ``eg.compare``, ``eg.plot.cloud`` and ``eg.plot.relaxation`` take it.

    Shapes:
        - particles (run, time, particle, component) [length], discriminator (run, time, particle) [1]: D - D*
        - force (run, time, particle, component) [1/length]: grad D
        - weights (run, time, feature) [1]: of the discriminator, where recorded
        - target (point, component) [length], target_weight (point) [1], mass (particle) [1], assignment (particle) [1]
        - diverged_at (run) [step or time], outcome (run) [1]
        - kicks (run, particle, component) [length]

    Units:
        In brackets above; time in steps, of flows in units of time.

    Raises:
        InputError: kicks or variants that do not fit, samples or steps that do not fit in memory, or a flow whose
            fastest mode needs too many substeps per unit of time.
        NotLinearizable: a kick where there is no equilibrium.
        MissingExtra: a network without the extra ``networks``.

    Source:
        Eq. (4, discriminator-flow), Eq. (5, particle-flow), Eq. (45, simultaneous) to Eq. (49, heavy-ball).

    Examples:
        >>> import egan_theory as eg
        >>> exp = eg.Experiment(target=eg.Ring(modes=4), run=eg.Run(steps=100, runs=2, record_every=50))
        >>> runs = eg.simulate(exp)
        >>> dict(runs.particles.sizes)
        {'run': 2, 'time': 3, 'particle': 64, 'component': 2}
        >>> runs.attrs["status"]
        'finished'
    """
    members = [exp] if variants is None else list(variants)
    if variants is not None:
        check_variants(exp, members)
    if kicks is not None:
        shape = (exp.run.runs, exp.generator.particles, exp.dimension)
        if exp.run.start != "kick" or np.shape(kicks) != shape or not np.all(np.isfinite(kicks)):
            rule = f"be finite numbers of shape {shape} (run, particle, component), with run.start 'kick'"
            raise InputError("kicks", rule, f"shape {np.shape(kicks)} with run.start {exp.run.start!r}")
    check_samples(exp, exp.run.runs * len(members))
    if exp.run.start == "kick":
        if variants is not None and not all(Problem(e).matched for e in members):  # each has an equilibrium of its own
            parts = _comparable([_simulate(member, None, progress, kicks=kicks) for member in members], exp)
            joined = xr.concat(parts, "run", data_vars="minimal", coords="minimal", compat="override", join="override")
            return with_parameters(joined.assign_attrs(provenance(exp), status=_joint_status(parts)), exp, members)
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
    runs = exp.run.runs * (1 if variants is None else len(variants))
    if exp.generator.finite_network or exp.discriminator.finite_network:
        check_memory(exp, runs)
        from .networks.simulate import simulate_networks

        return simulate_networks(exp, variants, progress, kicks=kicks)
    members = [exp] if variants is None else list(variants)
    problem = Problem(exp)
    each = [member for member in map(Problem, members) for _ in range(exp.run.runs)]
    wider = experiment_grid(exp, widenings) if widenings else None
    field = Field(problem, each if variants is not None else None, wider)
    check_memory(exp, runs, field.features)
    x, w, features, status_note = starts(problem, field.features, kicks)
    if isinstance(features, DictionaryFeatures) and exp.run.start == "kick" and exp.run.steps > WORTH_TABLES:
        features = features.near(field.nodes(problem.Y), exp.discriminator.length_scale)
    field = field.with_features(features)
    x = np.tile(x, (len(members), 1, 1))
    w = np.tile(w, (len(members), 1))
    if field.outside(x).any() and _can_widen(exp, widenings):
        return _simulate(exp, variants, progress, widenings + 1, kicks)
    grown = field.grown(x)
    w, field = grown.padded(w, field.features), grown
    recorder = Recorder(exp, field.features.size, len(each))
    rule = max((resolved_rule(member) for member in members), key=lambda r: r.substeps)  # the stiffest decides
    state = rule.start(w, field.place(x), field.Vw, field.Vx, field.opponents)

    def record(step: int, state: tuple, alive: np.ndarray) -> None:
        recorder.add(step, state[1].x, *field.forces(state[1], state[0]), state[0], alive)

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
                here = state[1].x
                bad = ~(np.abs(here - centre).max(axis=(-2, -1)) < size) | ~np.isfinite(state[0]).all(-1)
                left = state[1].strayed() & ~bad
                if left.any():
                    if _can_widen(exp, widenings):
                        return _simulate(exp, variants, progress, widenings + 1, kicks)
                    bad |= left
                    left_box |= left & (diverged < 0)
                if bad.any():
                    new = bad & (diverged < 0)
                    diverged[new] = step
                    # keep the arrays finite: a frozen run costs nothing and disturbs nobody
                    rest = (np.where(_column(bad, v), 0.0, v) if np.ndim(v) else v for v in state[2:])
                    back = field.place(np.where(bad[:, None, None], x, here))
                    state = (np.where(bad[:, None], 0.0, state[0]), back, *rest)
                    if np.all(diverged >= 0):
                        if step % exp.run.record_every == 0:
                            record(step, state, diverged < 0)
                        break
                field, state = grown_state(field, rule, state)
                if step % exp.run.record_every == 0:
                    record(step, state, diverged < 0)
                    if progress is not None:
                        progress(step, exp.run.steps)
        recorded()
    except KeyboardInterrupt:
        status = "interrupted"
    ds = recorder.dataset(members, diverged, finished_status(diverged, status), status_note)
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


def _comparable(parts: list[xr.Dataset], exp: Experiment) -> list[xr.Dataset]:
    """Without weights where these are of features that differ: an exact kernel's dictionary is its equilibrium's."""
    if exp.discriminator.features or exp.points.period is not None:
        return parts
    return [part.drop_vars("weights", errors="ignore") for part in parts]


def _joint_status(parts: Sequence[xr.Dataset]) -> str:
    """One status for several datasets: interrupted, else the first divergence, else finished."""
    if any(part.attrs["status"] == "interrupted" for part in parts):
        return "interrupted"
    return finished_status(np.concatenate([part["diverged_at"].values for part in parts]))


def _column(mask: np.ndarray, like: np.ndarray) -> np.ndarray:
    return mask.reshape(-1, *(1,) * (like.ndim - 1))


def stepped(field: Field, rule: UpdateRule, state: tuple) -> tuple[Field, tuple]:
    """(field, state) after one step of a state of arrays, an exact kernel's dictionary extended to the particles."""
    state = rule.step((state[0], field.place(state[1]), *state[2:]), field.Vw, field.Vx, field.opponents)
    field, (w, cloud, *memory) = grown_state(field, rule, state)
    return field, (w, cloud.x, *memory)


def grown_state(field: Field, rule: UpdateRule, state: tuple) -> tuple[Field, tuple]:
    """(field, state) for the next step, an exact kernel's dictionary extended to the particles, a cloud in the state;
    every w-shaped part of it is padded."""
    old, field = field, field.grown(state[1])
    if field.features is old.features:
        return field, (state[0], state[1].again(), *state[2:])
    cloud = field.place(state[1])
    memory = [
        field.padded(v, old.features) if block in ("w", "q") else v
        for block, v in zip(rule.blocks, state[2:], strict=True)
    ]
    if "q" in rule.averages and not rule.continuous:  # the step's own push has a share in the new features
        at = rule.blocks.index("q")
        new = field.padded(np.ones(old.features.size), old.features) == 0
        memory[at] = memory[at] + new * field.push(cloud) / rule.average_time("q", state)
    return field, (field.padded(state[0], old.features), cloud, *memory)


def _expanded(ds: xr.Dataset, exp: Experiment, members: list[Experiment]) -> xr.Dataset:
    """The runs of a condensed experiment with every particle of ``exp`` on the one that stands for it."""
    copies = {name: ds[name].isel(particle=exp.assignment) for name in ("particles", "discriminator", "force")}
    ds = ds.drop_vars([*copies, "mass", "assignment"]).assign(copies)
    ds["mass"], ds["assignment"] = variable("mass", exp.masses), variable("assignment", exp.assignment)
    ds.attrs |= provenance(exp)
    return with_parameters(ds.drop_vars([c for c in ds.coords if c != "time"]), exp, members)
