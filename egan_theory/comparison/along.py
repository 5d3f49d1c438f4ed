"""What the linear theory leaves of kicks along given directions."""

from __future__ import annotations

import numpy as np

from ..base.errors import InputError
from ..experiment import Experiment
from ..linear.kick import dense_answer
from ..problem.problem import Problem
from .modes import Matched
from .samples import Displacement

Array = np.ndarray


def left_along(exp: Experiment, kicks: Array, time: float) -> Array | None:
    """(kick,) squared displacement after ``time`` over that of each of the ``kicks`` (kick, particle, component), one
    particle at each point; None where the equilibrium is not on the data or the theory is another."""
    problem = Problem(exp)
    if not problem.matched or len(problem.home) != len(problem.Y) or exp.update_rule.uniform:
        return None
    try:
        reduced = Matched(problem)
    except InputError:
        return None
    count, N = kicks.shape[:2]
    runs, all_of = list(range(count)), np.arange(N)
    v = reduced.moved(Displacement(kicks[:, None], np.tile(problem.assignment, (count, 1)), runs, all_of))[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):
        moved = v @ (dense_answer(reduced.J, reduced.nw, problem.rule, time) - np.eye(reduced.nv)).T
    # back from the reduced coordinates, which are those of masses times displacements
    u = (moved @ reduced.saddle.left.T).reshape(count, *problem.Y.shape)
    xi = np.einsum("ab,kbd->kad", problem.coupling_root, u)
    end = kicks + xi[:, problem.assignment] / problem.masses[:, None]
    return (end**2).sum((1, 2)) / (kicks**2).sum((1, 2))


__all__ = ["left_along"]
