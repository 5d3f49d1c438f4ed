"""What a report simulates less of than the experiment asks for, where that costs much, and the command for all."""

from __future__ import annotations

import xarray as xr

from ..base.errors import EganError, InputError
from ..experiment import Experiment
from ..features import experiment_grid, feature_map
from ..features.near import DIMENSIONS, RADIUS, SHRINK
from ..linear.resolved import resolved_rule
from ..predict.left import left_over
from ..problem.objectives import Objectives
from ..problem.problem import Problem
from ..simulation.condense import condensed
from ..tables.stepping import SUBSTEP
from .boundaries import dear

#: strengths simulated, relative to the advised one, and those of a flow, of which the stiffest decides on the steps of
#: all, or where they cost much
SWEEP, FEW = (1 / 30, 1 / 10, 1 / 3, 1 / 1.6, 1.0, 1.6, 3.0, 10.0), (1 / 3, 1.0, 1.6)
#: why runs of a wide network are left out, and what simulates them
DEAR = "the exact kernel of a network of infinite width is more work"
COMMAND = "egan simulate E.toml -o runs.nc has no limit"
RANDOM_COMMAND = "egan simulate E.toml --set run.start=random -o runs.nc has no limit"
#: error of the exact kernel, relative, for runs that only tell what becomes of them, and most Fourier modes for it
TOLERANCE, MODES = 1e-3, 4096
#: displacement, in length scales, up to which kicked runs of a wide network's exact kernel are simulated: beyond it a
#: step costs a hundred times more; and fewest steps that are worth it
NEAR, SHORTEST = RADIUS / SHRINK, 50
#: along how many directions each strength is kicked, at most and at least, and the work that decides, in steps of a
#: feature at a particle; where the fewest take MOST times as much, the strengths are fewer
DIRECTIONS, FEWEST, SWEPT, MOST = 24, 4, 1.2e9, 1.5
#: most evaluations of both players' velocities, one after another, that are simulated: minutes
STEPS = 2_000_000
#: what consensus optimisation costs, whose field is differentiated once more, in evaluations without it
CONSENSUS = 4


def coarser(exp: Experiment) -> Experiment:
    """The experiment, a flow in as few Runge-Kutta steps as resolve its modes."""
    return exp.replace({"update.substeps": 1}) if _asks_more(exp) else exp


def stages(exp: Experiment) -> int:
    """Evaluations of both players' velocities per step (flow: unit of time), each at one point for every sample: noise
    on the input takes several, where it is not averaged in closed form."""
    rule = resolved_rule(exp)
    nodes = Objectives(Problem(exp)).nodes_per_step if exp.penalty.instance_noise else 1
    return (4 * rule.substeps if rule.continuous else 1) * (CONSENSUS if exp.penalty.consensus else 1) * nodes


def lighter(exp: Experiment) -> Experiment:
    """The experiment as a report simulates it: ``coarser``, and kicks of a wide network's exact kernel only while they
    are near equilibrium."""
    light = coarser(exp)
    steps = _near_rest(exp)
    if steps == exp.run.steps:
        return light
    return light.replace({"run.steps": steps, "run.record_every": min(exp.run.record_every, steps)})


def refuse_dear(exp: Experiment) -> None:
    """Raise EganError where runs are more work than a report does: too many steps, random starts of a wide network, and
    kicks in more dimensions than polynomials stand for its kernel."""
    command = RANDOM_COMMAND if exp.run.start == "random" else COMMAND
    if exp.run.steps * stages(exp) > STEPS:
        raise EganError(f"runs of {exp.run.steps:.3g} {_unit(exp)} are more work than a report does; {command}")
    if not dear(exp):
        return
    if exp.run.start == "random":
        raise EganError(f"{DEAR} far from the target than a report does; {RANDOM_COMMAND}")
    if exp.dimension > DIMENSIONS:
        raise EganError(f"{DEAR} in more than {DIMENSIONS} dimensions than a report does; {COMMAND}")


def _unit(exp: Experiment) -> str:
    return "units of time" if exp.update_rule.continuous else "steps"


def _near_rest(exp: Experiment) -> int:
    """Steps of kicked runs that stay near equilibrium as predicted, of those that are asked for; all of them where the
    kernel costs little."""
    if not dear(exp) or exp.run.start == "random" or exp.dimension > DIMENSIONS:
        return exp.run.steps
    steps = exp.run.steps
    try:
        # the largest of many coordinates is a few times their rms
        while 4 * exp.run.kick * left_over(exp, steps).total > NEAR * exp.discriminator.length_scale:
            if steps < 2 * SHORTEST:
                break
            steps //= 2
    except EganError:  # no equilibrium: the simulation says so
        return exp.run.steps
    return steps


def sweep(exp: Experiment, steps: int) -> tuple[tuple[float, ...], int]:
    """(strengths that are simulated, over the advised one; along how many directions each is kicked), of kicked runs of
    so many steps."""
    small = condensed(exp)
    one = float(small.generator.particles) * feature_map(small).size * steps * stages(exp)
    few = exp.update_rule.continuous or one * len(SWEEP) * FEWEST > MOST * SWEPT
    factors = FEW if few else SWEEP
    return factors, max(FEWEST, min(DIRECTIONS, int(SWEPT / (one * len(factors)))))


def from_random(exp: Experiment) -> Experiment:
    """``lighter`` for random starts: the exact kernel by Fourier modes, where that is less work than its dictionary,
    which grows with all ways of the particles."""
    light = lighter(exp)
    if exp.discriminator.features or exp.discriminator.evaluation == "fourier" or exp.points.period is not None:
        return light
    try:
        fourier = light.replace({"discriminator.evaluation": "fourier", "discriminator.tolerance": TOLERANCE})
        grid = experiment_grid(fourier)
    except InputError:
        return light
    return fourier if grid.size <= MODES else light


def _asks_more(exp: Experiment) -> bool:
    rule = exp.update_rule
    return rule.continuous and "substeps" in rule.entry.parameters and exp.update.substeps > 1


def left_out(exp: Experiment, swept: xr.Dataset | None = None) -> list[str]:
    """What that leaves out, in words; ``swept``: of the simulated strengths."""
    rows = []
    if from_random(exp).discriminator.evaluation != exp.discriminator.evaluation:
        rows.append(
            f"Runs from random starts have the exact kernel by Fourier modes, to {TOLERANCE:g} of it. As the file "
            "says: egan simulate E.toml --set run.start=random -o runs.nc."
        )
    if (steps := _near_rest(exp)) < exp.run.steps:
        rows.append(
            f"The kicked runs have {steps} of the {exp.run.steps} {_unit(exp)}, in which they stay near equilibrium. "
            "All of them: egan simulate E.toml -o runs.nc, then egan report E.toml --runs runs.nc -o DIR."
        )
    if swept is not None and (count := int(swept.attrs["directions"])) < DIRECTIONS:
        small = condensed(exp)
        every = small.generator.particles * exp.dimension
        if count < every:
            rows.append(
                f"Each strength is kicked along {count} directions, drawn at random, of the {every} that there are. "
                "More of them: eg.sweep_left(exp, penalty, strengths)."
            )
    if swept is not None and swept.sizes["strength"] == len(FEW):
        rows.append(f"{len(FEW)} strengths are simulated; more of them: eg.sweep_left(exp, penalty, strengths).")
    if _asks_more(exp):
        rows.append(
            "This page integrates the flow by 1 Runge-Kutta step of fourth order per unit of time, or by as many as "
            f"give its fastest mode no more than {SUBSTEP:g} of its rate in a step, not by {exp.update.substeps} "
            f"(update.substeps): rates then err by at most {SUBSTEP**4 / 120:.0e} of themselves. With all of them: "
            "egan simulate E.toml -o runs.nc, then egan report E.toml --runs runs.nc -o DIR."
        )
    return rows


__all__ = ["FEW", "SWEEP", "coarser", "from_random", "left_out", "lighter", "refuse_dear", "stages", "sweep"]
