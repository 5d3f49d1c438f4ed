"""An experiment compiled for computation: every question that theory and simulation ask of it, answered once.

An ``Experiment`` says what a user wrote; a ``Problem`` says what it means: points and masses, the coupling S of the
particles, the damping of the discriminator, and which terms are there at all. Its parts are computed at their first use
and never change. What is costly (features at the data, stiffnesses) is kept for other problems by ``kept``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np

from ..base.config import Config
from ..experiment import Experiment
from ..experiment.settings import Likelihood, Packing
from ..experiment.targets import Uniform
from ..features.noise import noise_nodes
from ..kernels import Kernel
from ..tables.losses import Loss
from ..tables.penalties import Coefficients
from ..tables.updates import UpdateRule
from .likelihood import Score

EPS = float(np.finfo(float).eps)
#: q and p at a point are called equal when they differ by less than this part of p (they come from divisions)
MASS_TOLERANCE = 1e-12

P = ParamSpec("P")
T = TypeVar("T")


class Damping(NamedTuple):
    """Of the discriminator at q = p: weight decay, total value curvature, total gradient penalty."""

    nu: float
    kappa: float
    lam: float


class Coupling(NamedTuple):
    """S = diag(s) + c p p^T, (M, M): s_a = omega (g1 - g2) sum_(i on a) m_i^2, c = omega g2."""

    s: np.ndarray
    p: np.ndarray
    c: float

    @property
    def matrix(self) -> np.ndarray:
        return np.diag(self.s) + self.c * np.outer(self.p, self.p)


@dataclass(frozen=True, eq=False)
class Problem:
    """One experiment, compiled.

    Y (M, d), p (M,): target points and weights; N particles of masses (N,), on the points that ``assignment`` (N,)
    names; g1, g2 and omega of the generator's kernel; eta_D, eta_G learning rates. ``box``, ``kernel``, ``packing``,
    ``likelihood`` and ``score`` are None where the experiment has none of it.
    """

    exp: Experiment

    def replace(self, changes: Mapping[str, Any]) -> Problem:
        """The problem with dotted fields of its experiment changed."""
        return Problem(self.exp.replace(changes))

    # -- target and particles ----------------------------------------------------------------------------------

    @cached_property
    def Y(self) -> np.ndarray:
        return self.exp.points.coordinates

    @cached_property
    def p(self) -> np.ndarray:
        return self.exp.points.weights

    @property
    def M(self) -> int:
        return len(self.p)

    @property
    def d(self) -> int:
        return self.Y.shape[1]

    @property
    def N(self) -> int:
        return self.exp.generator.particles

    @cached_property
    def box(self) -> Uniform | None:
        """The uniform density on a periodic box, if that is the target."""
        return self.exp.target if isinstance(self.exp.target, Uniform) else None

    @cached_property
    def masses(self) -> np.ndarray:
        return self.exp.masses

    @cached_property
    def assignment(self) -> np.ndarray:
        return self.exp.assignment

    @cached_property
    def home(self) -> np.ndarray:
        """(N, d): the particles on the data."""
        return self.Y[self.assignment]

    @cached_property
    def squares(self) -> np.ndarray:
        """(M,) sums of the squared masses on each target point."""
        return np.bincount(self.assignment, weights=self.masses**2, minlength=self.M)

    @cached_property
    def noise(self) -> tuple[np.ndarray, np.ndarray]:
        """Instance noise as nodes: (offsets (Q, d), weights (Q,))."""
        return noise_nodes(self.exp.penalty.instance_noise, self.d)

    @cached_property
    def matched(self) -> bool:
        """Whether particles on the data are an equilibrium with D = D*: those on every target point have exactly its
        weight, and no exact score draws them away."""
        like = self.likelihood
        if like is not None and like.score == "exact" and self.box is None:
            return False
        q = np.bincount(self.assignment, weights=self.masses, minlength=self.M)
        return bool(np.all(np.abs(q - self.p) <= MASS_TOLERANCE * self.p))

    # -- players ------------------------------------------------------------------------------------------------

    @property
    def g1(self) -> float:
        return self.exp.generator.kernel.g1

    @property
    def g2(self) -> float:
        return self.exp.generator.kernel.g2

    @property
    def ratio(self) -> float:
        """phi = g2 / g1."""
        return self.exp.generator.kernel.ratio

    @property
    def omega(self) -> float:
        return self.exp.omega

    @property
    def rates(self) -> dict[str, float]:
        return {"eta_D": self.eta_D, "eta_G": self.eta_G}

    @property
    def eta_D(self) -> float:
        return self.exp.discriminator.learning_rate

    @property
    def eta_G(self) -> float:
        return self.exp.generator.learning_rate

    @cached_property
    def kernel(self) -> Kernel | None:
        """The discriminator's kernel; None for a network of finite width, which has none of one scalar."""
        return None if self.exp.discriminator.network else self.exp.discriminator.kernel_object

    @cached_property
    def rule(self) -> UpdateRule:
        return self.exp.update_rule

    # -- terms of the objective -----------------------------------------------------------------------------------

    @cached_property
    def loss(self) -> Loss:
        return self.exp.loss_object

    @cached_property
    def coefficients(self) -> Coefficients:
        return self.exp.penalty.coefficients

    @property
    def gamma(self) -> float:
        """Strength of consensus optimisation."""
        return self.exp.penalty.consensus

    @cached_property
    def damping(self) -> Damping:
        k = self.coefficients
        return Damping(float(k.nu), float(self.loss.kappa + k.value_p + k.value_q), float(k.grad_p + k.grad_q))

    @cached_property
    def likelihood(self) -> Likelihood | None:
        return self.exp.likelihood if self.exp.likelihood.weight else None

    @cached_property
    def score(self) -> Score | None:
        return None if self.likelihood is None else Score(self.exp)

    @cached_property
    def packing(self) -> Packing | None:
        return self.exp.packing if self.exp.packing.degree > 1 else None

    # -- the particles' coupling ------------------------------------------------------------------------------------

    @cached_property
    def coupling(self) -> Coupling:
        return Coupling(self.omega * (self.g1 - self.g2) * self.squares, self.p, self.omega * self.g2)

    @cached_property
    def coupling_root(self) -> np.ndarray:
        """S^(1/2), (M, M) symmetric positive semidefinite."""
        values, vectors = np.linalg.eigh(self.coupling.matrix)
        return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T

    @cached_property
    def coupling_ratio(self) -> float | None:
        """r if S acts as r P on every mode that the discriminator separates, else None.

        On a periodic lattice the collective part of S does not act at k != 0; elsewhere it must vanish.
        """
        s, p, c = self.coupling
        ratio = s / p
        proportional = np.ptp(ratio) <= 16 * EPS * ratio.max()
        if not proportional or (c != 0 and self.box is None):
            return None
        return float(ratio.mean())

    # -- identity -----------------------------------------------------------------------------------------------

    def key(self, irrelevant: Iterable[str] = ()) -> tuple:
        """What two problems must share to be the same but for the ``irrelevant`` fields (dotted; a table's name stands
        for all of its fields): every other field of the experiment, and the points (``content`` of the target)."""
        out: list[Any] = []
        content = self.exp.target.content
        without = frozenset((*irrelevant, "target.values") if content else irrelevant)

        def collect(node: Config, prefix: str) -> None:
            for name in type(node).model_fields:
                path, value = f"{prefix}{name}", getattr(node, name)
                if path in without:
                    continue
                if isinstance(value, Config):
                    collect(value, f"{path}.")
                else:
                    out.append((path, value))

        collect(self.exp, "")
        return (*out, content)


class _Keyed:
    """A problem as a key of a cache: equal to others that differ in irrelevant fields only."""

    def __init__(self, problem: Problem, key: tuple) -> None:
        self.problem, self.key, self._hash = problem, key, hash(key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and self.key == other.key

    def __hash__(self) -> int:
        return self._hash


#: every function that ``kept`` decorates: what it calls irrelevant (for the test that this is so), and its cache
KEPT: dict[Callable[..., Any], tuple[Callable[[Problem], Iterable[str]], Any]] = {}


def forget() -> None:
    """Forget all that is kept (to measure what it costs)."""
    for _, cache in KEPT.values():
        cache.cache_clear()


def kept(
    irrelevant: Iterable[str] | Callable[[Problem], Iterable[str]], size: int = 4
) -> Callable[[Callable[Concatenate[Problem, P], T]], Callable[Concatenate[Problem, P], T]]:
    """Keep the last ``size`` values of a function of a problem (and of hashable arguments) for problems that differ in
    ``irrelevant`` fields only. A field that nobody declared irrelevant makes it compute again; values must not be
    changed by anyone (arrays: read-only)."""
    fields = irrelevant if callable(irrelevant) else lambda problem, names=tuple(irrelevant): names

    def decorate(function: Callable[Concatenate[Problem, P], T]) -> Callable[Concatenate[Problem, P], T]:
        @lru_cache(maxsize=size)
        def computed(keyed: _Keyed, *args: Any) -> T:
            return function(keyed.problem, *args)  # type: ignore[call-arg]

        @wraps(function)
        def remembered(problem: Problem, *args: Any) -> T:
            return computed(_Keyed(problem, problem.key(fields(problem))), *args)

        KEPT[function] = fields, computed
        return remembered  # type: ignore[return-value]

    return decorate


def of_experiment(function: Callable[Concatenate[Problem, P], T]) -> Callable[Concatenate[Experiment, P], T]:
    """The function of an experiment that a function of problems is to users."""

    @wraps(function)
    def public(exp: Experiment, *args: P.args, **kwargs: P.kwargs) -> T:
        return function(Problem(exp), *args, **kwargs)

    return public


def frozen(*arrays: np.ndarray) -> None:
    """Make arrays read-only that others will share."""
    for array in arrays:
        array.flags.writeable = False
