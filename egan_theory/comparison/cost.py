"""What a step of training costs, in counts that are the same on every machine: evaluations and products.

An evaluation is one of either player's gradient (Eq. (4, discriminator-flow); Eq. (5, particle-flow)). Its
products are the multiplications of a feature with a weight: a pass over n points takes n P of them, for P features; the
derivatives of D one pass per coordinate.
Of packed samples (features.packed) a pass over all tuples contracts the m axes of the weights one after the
other, sum_j n^j P^(m + 1 - j); where mean features suffice it is n P + P^m. Newton's iteration for a discriminator at
its optimum adds the products of its Hessian, n P^2 for each pass, and P^3 / 3 of solving with it; a likelihood term
adds d + 1 for each pair of a particle with a particle or target point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..experiment import Experiment
from ..features import FeatureMap, PackedFeatures, feature_map
from ..linear.resolved import resolved_rule
from ..problem.field import Field, Positions
from ..problem.problem import Problem
from ..simulation.start import starts

#: steps that are counted; the first ones of a best response are the same as the later ones within rounding
COUNTED = 10


@dataclass(frozen=True)
class Cost:
    """Of one step (flow: one unit of time) of a single run of all particles, averaged over COUNTED steps."""

    evaluations: float
    products: float


class _Counting(Field):
    """The field, with what it is asked for added up."""

    def __init__(self, problem: Problem, features: FeatureMap) -> None:
        super().__init__(problem, features=features)
        self.evaluations, self.products = 0, 0.0

    def _pass(self, points: int, *, mean: bool = False) -> float:
        """Products of one pass over so many points."""
        if not isinstance(self.features, PackedFeatures) or self.features.additive:
            size = self.features.size
            return float(points * size)
        size, m = self.features.base.size, self.features.degree
        if mean:
            return float(points * size + size**m)
        return float(sum(points**j * size ** (m + 1 - j) for j in range(1, m + 1)))

    def _sides(self) -> list[tuple[int, bool, bool]]:
        """(points, whether D is needed there, whether its gradient is) on the target's and on the particles' side."""
        pairs = self.loss.pairs  # which need D on both sides
        on_p, on_q = (pairs or getattr(self.loss, df).constant is None for df in ("df1", "df2"))
        sides = ((self.p, on_p, self.value_p, self.grad_p), (self.q, on_q, self.value_q, self.grad_q))
        return [(len(w), needed or bool(v), bool(g)) for w, needed, v, g in sides]

    def discriminator_gradient(self, w: np.ndarray, x: Positions) -> np.ndarray:
        self.evaluations += 1
        for points, value, gradient in self._sides():
            # D, then what it pushes; its gradient, and what that pushes
            passes = (2 if value else 1) + (2 * self.problem.d if gradient else 0)
            self.products += passes * self._pass(points, mean=not (value or gradient))
        return super().discriminator_gradient(w, x)

    def generator_gradient(self, w: np.ndarray, x: Positions) -> np.ndarray:
        self.evaluations += 1
        linear = not self.loss.pairs and self.loss.dh.constant is not None
        if self.loss.pairs:
            self.products += self._pass(len(self.p))
        self.products += (self.problem.d + (not linear)) * self._pass(len(self.q), mean=linear)
        if self.score is not None:
            self.products += float(len(self.masses)) * (len(self.masses) + len(self.Y)) * (self.problem.d + 1)
        return super().generator_gradient(w, x)

    def push(self, x: Positions) -> np.ndarray:
        self.products += self._pass(len(self.q), mean=True)
        return super().push(x)

    def discriminator_hessian(self, w: np.ndarray, x: Positions) -> np.ndarray:
        size, m = self.features.size, getattr(self.features, "degree", 1)
        for points, value, gradient in self._sides():
            self.products += (value + self.problem.d * gradient) * float(points) ** m * size**2
        self.products += size**3 / 3
        return super().discriminator_hessian(w, x)


def step_cost(exp: Experiment) -> Cost:
    """Evaluations and products of one step of the experiment. Raises InputError as a simulation does."""
    exp = exp.replace({"run.runs": 1, "run.start": "kick"})
    problem, rule = Problem(exp), resolved_rule(exp)
    x, w, features, _ = starts(problem, feature_map(exp))
    grown = Field(problem, features=features).grown(x)
    field = _Counting(problem, grown.features)
    state = rule.start(grown.padded(w, features), field.place(x), field.Vw, field.Vx, field.opponents)
    field.evaluations, field.products = 0, 0.0
    for _ in range(COUNTED):
        state = rule.step(state, field.Vw, field.Vx, field.opponents)
    return Cost(field.evaluations / COUNTED, field.products / COUNTED)


__all__ = ["Cost", "step_cost"]
