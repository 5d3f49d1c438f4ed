"""From a problem to its linearization, by the first route that applies: that with the most structure it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..problem.problem import Problem
from . import box, finite
from .checks import check_linearizable
from .general import linearize_general
from .separate import linearize_split, separates
from .system import Linearization


class Route(NamedTuple):
    name: str
    applies: Callable[[Problem], bool]
    linearize: Callable[[Problem], Linearization]


#: the first that applies is taken
ROUTES = (
    Route("general: particles off D = D*, dense, by Newton's method", lambda p: not p.matched, linearize_general),
    Route("frequency modes of the periodic box, closed form", box.applies, box.linearize_box),
    Route("exact kernels, the data's directions apart from the others", separates, linearize_split),
    Route("commuting finite samples: a block per singular value", finite.commutes, finite.linearize_commuting),
    Route("finite samples: a dense saddle on the seen features", lambda p: True, finite.linearize_saddle),
)


def linearize(problem: Problem) -> Linearization:
    """The linearization of an experiment or problem about its equilibrium, as far as structure reduces it.

    Returns:
        Independent blocks (K, 2, 2) with multiplicities, dense systems (n, n) and single rates; ``eg.eigenvalues``
            takes it.

    Units:
        Entries of blocks and systems per unit of time (steps: per step), learning rates included.

    Raises:
        NotLinearizable: no equilibrium, a hinge at its kink, or a matrix too large; with the reason.

    Source:
        Eq. (35, saddle), Eq. (37, finite-modes), Eq. (41, jacobian-ww) to Eq. (44, jacobian-xx).

    Examples:
        >>> import egan_theory as eg
        >>> found = eg.linearize(eg.Experiment(target=eg.Ring(modes=4)))
        >>> bool((eg.eigenvalues(found).s.real < 0).all())
        True
    """
    check_linearizable(problem)
    return next(route for route in ROUTES if route.applies(problem)).linearize(problem)
