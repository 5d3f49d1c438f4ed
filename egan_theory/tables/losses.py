"""The adversarial losses as data: f1, f2, h and the equilibrium value D* of the discriminator.

The discriminator maximises ``L_D = E_p[f1(D)] + E_q[f2(D)] - penalty``, the generator ascends ``E_q[h(D)]``
(p = target, q = particles). Everything else is differentiated from these three expressions by SymPy:

    c = f1'(D*) = -f2'(D*),   b = h'(D*),   kappa = -(f1'' + f2'')(D*)

A loss of pairs is one function f of a difference: L_D = E_(x~p, y~q)[f(D(x) - D(y))] - penalty, and the generator
ascends E f(D(y) - D(x)). D* = 0 stands for any constant, and

    c = b = f'(0),   kappa = -2 f''(0), which acts on D minus its mean under p

Source of the losses: Goodfellow et al. 2014 (logistic), Arjovsky et al. 2017 (Wasserstein), Mao et al. 2017 (least
squares), Lim and Ye 2017 (hinge), Mroueh and Sercu 2017, Mroueh et al. 2018 (Fisher and Sobolev IPM),
Jolicoeur-Martineau 2019, arXiv:1807.00734, and Huang et al. 2024, arXiv:2501.05441 (relativistic pairing).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import NotLinearizable
from ..base.spelling import unknown

if TYPE_CHECKING:
    import sympy as sp


#: derivatives of a loss of single scores, and of one of pairs
SINGLE, PAIR = ("df1", "ddf1", "df2", "ddf2", "dh", "ddh"), ("df", "ddf")


def _symbol() -> sp.Symbol:
    import sympy as sp

    return sp.Symbol("D", real=True)


@dataclass(frozen=True)
class Loss:
    """One loss. ``terms(D)`` returns (f1, f2, h); ``D_star`` is the value of D where q = p. ``needs_multiplier``: it is
    used with the penalty of that name. ``pair(D)``: f of a difference D of scores, of a loss of pairs (``pairs``); it
    has f, df, ddf in place of f1, f2, h and their derivatives: asking for those is refused with InputError, so that
    whatever is not derived for pairs ends in one line.

    Raises ValueError at the first use of its numbers if f1'(D*) + f2'(D*) != 0, i.e. if D* is no equilibrium.
    """

    kind: str
    title: str
    terms: Callable[[Any], tuple[Any, Any, Any]] | None = None
    D_star: str = "0"
    needs_multiplier: bool = False
    pair: Callable[[Any], Any] | None = None

    @property
    def pairs(self) -> bool:
        """Whether only differences of scores count."""
        return self.pair is not None

    def refuse_pairs(self, what: str) -> None:
        """Raise NotLinearizable, naming loss.kind, for a loss of pairs, for which ``what`` is not derived."""
        if self.pairs:
            raise NotLinearizable("loss.kind", f"be one of {', '.join(single_losses())} for {what}", repr(self.kind))

    @cached_property
    def expressions(self) -> dict[str, Any]:
        """f1, f2, h (of pairs: f) and their first two derivatives in the SymPy symbol D (real)."""
        import sympy as sp

        D = _symbol()
        given = {"f": self.pair(D)} if self.pair else dict(zip(("f1", "f2", "h"), self.terms(D), strict=True))  # type: ignore[misc]
        out: dict[str, Any] = {}
        for name, f in given.items():
            out[name] = f
            out[f"d{name}"] = _tidy(sp.diff(f, D))
            out[f"dd{name}"] = _tidy(sp.diff(out[f"d{name}"], D))
        if self.pairs:
            return out
        if sp.simplify((out["df1"] + out["df2"]).subs(D, self.equilibrium)) != 0:
            raise ValueError(f"loss {self.kind}: f1' + f2' must vanish at D* = {self.D_star}")
        return out

    @cached_property
    def equilibrium(self) -> sp.Rational:
        """D* as an exact number."""
        import sympy as sp

        return sp.Rational(self.D_star)

    @cached_property
    def exact(self) -> dict[str, Any]:
        """Exact c, b, kappa (SymPy numbers)."""
        import sympy as sp

        D, e = _symbol(), self.expressions
        at = {D: self.equilibrium}
        if self.pairs:
            slope = sp.nsimplify(e["df"].subs(at))
            return {"c": slope, "b": slope, "kappa": sp.nsimplify(-2 * e["ddf"].subs(at))}
        return {
            "c": sp.nsimplify(e["df1"].subs(at)),
            "b": sp.nsimplify(e["dh"].subs(at)),
            "kappa": sp.nsimplify(-(e["ddf1"] + e["ddf2"]).subs(at)),
        }

    @property
    def c(self) -> float:
        return float(self.exact["c"])

    @property
    def b(self) -> float:
        return float(self.exact["b"])

    @property
    def kappa(self) -> float:
        return float(self.exact["kappa"])

    @property
    def D0(self) -> float:
        """D* as a float: discriminator outputs are stored as deviations D - D*."""
        return float(self.equilibrium)

    @cached_property
    def functions(self) -> dict[str, Derivative]:
        """Vectorised df1, ddf1, df2, ddf2, dh, ddh of the full value D, of pairs df, ddf of a difference; real or
        complex arguments."""
        import sympy as sp

        D, e = _symbol(), self.expressions
        names = PAIR if self.pairs else SINGLE
        return {n: Derivative(sp.lambdify(D, e[n], "numpy"), e[n]) for n in names}

    def __getattr__(self, name: str) -> Derivative:
        # df1(D), ddf1(D), df2(D), ddf2(D), dh(D), ddh(D); of pairs df(D), ddf(D)
        if name in SINGLE:
            self.refuse_pairs("what is asked (it takes functions of single scores)")
        if name in (PAIR if self.pairs else SINGLE):
            return self.functions[name]
        raise AttributeError(name)


class Derivative:
    """A lambdified derivative; ``constant`` holds its value when it does not depend on D (callers can skip work)."""

    def __init__(self, function: Callable[[Any], Any], expression: Any) -> None:
        self.constant = float(expression) if expression.is_number else None
        self._function = function

    def __call__(self, D: np.ndarray) -> Any:
        return self.constant if self.constant is not None else self._function(D)


def _tidy(expression: Any) -> Any:
    """Cancel common factors in t = tanh(D/2): 0/0 at saturation would otherwise reach the numerics."""
    import sympy as sp

    if expression.has(sp.Piecewise):
        return expression
    return sp.cancel(sp.together(expression))


Terms = Callable[[Any], tuple[Any, Any, Any]]

LOSSES: dict[str, Loss] = {}


def loss(kind: str, title: str, D_star: str = "0", needs_multiplier: bool = False) -> Callable[[Terms], Terms]:
    """Decorator: the function becomes the terms of a new entry of LOSSES."""

    def entered(terms: Terms) -> Terms:
        LOSSES[kind] = Loss(kind, title, terms, D_star, needs_multiplier)
        return terms

    return entered


def pair_loss(kind: str, title: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Decorator: the function becomes f of a new entry of LOSSES, a loss of pairs."""

    def entered(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        LOSSES[kind] = Loss(kind, title, pair=f)
        return f

    return entered


def single_losses() -> tuple[str, ...]:
    """The losses that are functions of single scores."""
    return tuple(kind for kind, entry in LOSSES.items() if not entry.pairs)


@cache
def get_loss(kind: str) -> Loss:
    """The loss of that name; InputError names the choices."""
    if kind not in LOSSES:
        raise unknown("loss.kind", kind, LOSSES)
    return LOSSES[kind]


# -- the entries -----------------------------------------------------------------------------------------------------


def _sigmoid(D: Any) -> Any:
    """s(D) written with tanh: it neither overflows for large |D| nor loses the complex argument."""
    import sympy as sp

    return (1 + sp.tanh(D / 2)) / 2


@loss("wasserstein", "Wasserstein / IPM")
def _wasserstein(D: Any) -> tuple[Any, Any, Any]:
    return D, -D, D


@loss("logistic", "logistic, saturating")
def _logistic(D: Any) -> tuple[Any, Any, Any]:
    import sympy as sp

    s = _sigmoid(D)
    return sp.log(s), sp.log(1 - s), -sp.log(1 - s)


@loss("non_saturating", "logistic, non-saturating")
def _nonsaturating(D: Any) -> tuple[Any, Any, Any]:
    import sympy as sp

    s = _sigmoid(D)
    return sp.log(s), sp.log(1 - s), sp.log(s)


@loss("least_squares", "least squares (labels 1, 0, 1)", D_star="1/2")
def _least_squares(D: Any) -> tuple[Any, Any, Any]:
    return -((D - 1) ** 2) / 2, -(D**2) / 2, -((D - 1) ** 2) / 2


@loss("hinge", "hinge")
def _hinge(D: Any) -> tuple[Any, Any, Any]:
    import sympy as sp

    # min(0, .) as Piecewise: its derivative stays a function NumPy can evaluate (no Dirac delta).
    return sp.Piecewise((D - 1, D < 1), (0, True)), sp.Piecewise((-1 - D, D > -1), (0, True)), D


@loss("sobolev", "Fisher / Sobolev IPM", needs_multiplier=True)
def _sobolev(D: Any) -> tuple[Any, Any, Any]:
    return _wasserstein(D)


@pair_loss("relativistic", "relativistic pairing, logistic")
def _relativistic(D: Any) -> Any:
    import sympy as sp

    return sp.log(_sigmoid(D))
