"""What a report simulates less of than the experiment asks for, where that costs much, and the command for all."""

from __future__ import annotations

from ..base.errors import InputError
from ..experiment import Experiment
from ..features import experiment_grid
from ..tables.stepping import SUBSTEP

#: strengths simulated of a flow, relative to the advised one; the stiffest decides on the steps of all
FLOW_SWEEP = (1 / 3, 1.0, 1.6)
#: error of the exact kernel, relative, for runs that only tell what becomes of them, and most Fourier modes for it
TOLERANCE, MODES = 1e-3, 4096


def lighter(exp: Experiment) -> Experiment:
    """The experiment as a report simulates it: a flow in as few Runge-Kutta steps as resolve its modes."""
    return exp.replace({"update.substeps": 1}) if _asks_more(exp) else exp


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


def left_out(exp: Experiment) -> list[str]:
    """What that leaves out, in words."""
    rows = []
    if from_random(exp).discriminator.evaluation != exp.discriminator.evaluation:
        rows.append(
            f"Runs from random starts have the exact kernel by Fourier modes, to {TOLERANCE:g} of it. As the file "
            "says: egan simulate E.toml --set run.start=random -o runs.nc."
        )
    if not exp.update_rule.continuous:
        return rows
    if _asks_more(exp):
        rows.append(
            "This page integrates the flow by 1 Runge-Kutta step of fourth order per unit of time, or by as many as "
            f"give its fastest mode no more than {SUBSTEP:g} of its rate in a step, not by {exp.update.substeps} "
            f"(update.substeps): rates then err by at most {SUBSTEP**4 / 120:.0e} of themselves. With all of them: "
            "egan simulate E.toml -o runs.nc, then egan report E.toml --runs runs.nc -o DIR."
        )
    rows.append(
        f"Of a flow {len(FLOW_SWEEP)} strengths are simulated; more of them: eg.sweep_left(exp, penalty, strengths)."
    )
    return rows


__all__ = ["FLOW_SWEEP", "from_random", "left_out", "lighter"]
