"""The route about an equilibrium with D != D*: the field's dense Jacobian there."""

from __future__ import annotations

import numpy as np

from ..base.errors import NotLinearizable
from ..problem.field import Field
from ..problem.jacobian import jacobian_at
from ..problem.problem import Problem
from .equilibria import equilibrium
from .limits import MAX_DENSE
from .system import Linearization, System


def linearize_general(problem: Problem) -> Linearization:
    k = problem.coefficients
    if problem.exp.memory.generator and (problem.loss.df2.constant is None or k.value_q or k.grad_q):
        rule = "be 0 where D != D* at equilibrium, but for losses linear in D and no penalty on the particles"
        found = problem.exp.memory.generator
        raise NotLinearizable("memory.generator", f"{rule} (averages are derived about D*)", found)
    field = Field(problem)
    size = field.features.size + problem.N * problem.d
    if size > MAX_DENSE:
        raise NotLinearizable("generator.particles", f"give a dense matrix of at most {MAX_DENSE} rows", size)
    eq = equilibrium(problem, field)
    J, nw = jacobian_at(eq.field, eq.w, eq.x), len(eq.w)
    if problem.rule.responds and np.linalg.matrix_rank(J[:nw, :nw]) < nw:
        rule = f"bound every weight of the discriminator for update.rule {problem.exp.update.rule!r}"
        raise NotLinearizable("penalty.weight_decay", rule, k.nu)
    # exact zero modes show as a numerical null space here: the reduction that counts them needs D = D*
    nullity = len(J) - int(np.linalg.matrix_rank(J))
    return Linearization(
        problem,
        method="finite sample, dense Jacobian at an equilibrium found by Newton's method, "
        "Eq. (41, jacobian-ww) to Eq. (44, jacobian-xx)",
        assumptions=(
            "an equilibrium next to the data, where the discriminator is not flat (D != D*)",
            "zero modes counted by numerical rank",
        ),
        systems=(System(J, nw, zero=nullity, mixed=True, positions=True),),
    )
