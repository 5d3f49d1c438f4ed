"""Objectives of both players as functions of scores, for any framework: those of the table of losses, and the user's.

A named loss is evaluated from its SymPy terms f1, f2, h: L_D = -mean f1(D(x)) - mean f2(D(y)) and L_G = -mean h(D(y)),
both minimised, x data and y generated. Of a loss of pairs, L_D = -mean f(D(x_i) - D(y_i)) and L_G with the sign of the
difference turned: the i-th sample with the i-th, which on average over mini-batches is all pairs. Logarithms of
sigmoids are written with softplus first, so that neither they nor their derivatives are lost at saturation:
log s(D) = -softplus(-D), where log(1 - s(D)) of a rounded s is log 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import TYPE_CHECKING, Any

from ..base.errors import InputError
from ..base.spelling import unknown
from ..tables.losses import LOSSES, get_loss
from ..tables.penalties import PENALTIES

if TYPE_CHECKING:
    import sympy as sp

Objective = Callable[[Any, Any], Any]
#: penalties whose strength is all that they have
KEYS = tuple(p.key for p in PENALTIES.values() if p.terms is not None and not p.parameters)
#: what is found where a batch of a data loader with labels is given
LABELS = "two arrays of other kinds of shape: give the images only, not (images, labels)"


@dataclass(frozen=True)
class Functions:
    """What terms are evaluated with: ``namespace`` (torch or jax.numpy: exp, log, where, ...), and its softplus."""

    namespace: Any
    softplus: Callable[[Any], Any]


def names() -> tuple[str, ...]:
    """The losses that can be named."""
    return tuple(kind for kind, loss in LOSSES.items() if not loss.needs_multiplier)


def objectives(loss: Any, functions: Functions) -> tuple[Objective, Objective]:
    """(loss_D, loss_G) of (real scores, fake scores), both minimised: named, or as given. Raises InputError."""
    if isinstance(loss, str):
        kind = loss.replace("-", "_")
        if kind not in names():
            raise unknown("loss", loss, names(), "be one of {}, or two functions")
        return _paired(kind, functions) if get_loss(kind).pairs else _named(kind, functions)
    if not (isinstance(loss, tuple | list) and len(loss) == 2 and all(map(callable, loss))):
        raise InputError("loss", "be a name or two functions (loss_D, loss_G) of (real, fake) scores", repr(loss))
    for player, objective in zip("DG", loss, strict=True):
        try:
            signature(objective).bind(None, None)
        except TypeError as error:
            rule = "take two arguments, (real, fake) scores"
            raise InputError(f"loss of {player}", rule, f"found: {error}") from None
        except ValueError:  # one of C says nothing of its arguments
            pass
    return loss[0], loss[1]


def _named(kind: str, functions: Functions) -> tuple[Objective, Objective]:
    f1, f2, h = terms(kind)

    def loss_D(real: Any, fake: Any) -> Any:
        return -evaluate(f1, real, functions).mean() - evaluate(f2, fake, functions).mean()

    def loss_G(real: Any, fake: Any) -> Any:
        return -evaluate(h, fake, functions).mean()

    return loss_D, loss_G


def _paired(kind: str, functions: Functions) -> tuple[Objective, Objective]:
    (f,) = terms(kind)

    def paired(a: Any, b: Any) -> Any:
        if a.shape != b.shape:
            raise InputError("latents", "be as many as the data where a loss pairs them", f"{a.shape}, {b.shape}")
        return -evaluate(f, a - b, functions).mean()

    return paired, lambda real, fake: paired(fake, real)


@cache
def terms(kind: str) -> tuple[sp.Expr, ...]:
    """(f1, f2, h) of the table's loss, or (f,) of a loss of pairs, in the SymPy symbol D, in a form that is stable at
    saturation."""
    loss = get_loss(kind)
    return tuple(stable(loss.expressions[name]) for name in (("f",) if loss.pairs else ("f1", "f2", "h")))


def softplus_symbol() -> Any:
    """softplus(u) = log(1 + exp(u)) as an undefined SymPy function."""
    import sympy as sp

    return sp.Function("softplus")


def stable(expression: sp.Expr) -> sp.Expr:
    """The expression with logarithms of logistic functions written with softplus:

    log(a (1 + tanh u)) = log 2a - softplus(-2u), log(a (1 + exp u)) = log a + softplus(u), and powers of them.
    """
    import sympy as sp

    softplus = softplus_symbol()

    def rewritten(argument: Any) -> Any:
        if (found := _logistic(argument, softplus)) is not None:
            return found
        total, rest = sp.S(0), sp.S(1)
        for factor in sp.Mul.make_args(sp.factor(sp.together(argument))):
            base, power = factor.as_base_exp()
            sign = -1 if base.as_coeff_Add()[0].is_negative else 1
            found = _logistic(sp.expand(sign * base), softplus)
            if found is None:
                rest *= factor
            else:
                total, rest = total + power * found, rest * sign**power
        return total + sp.log(rest)

    return expression.replace(sp.log, rewritten)


def _logistic(base: Any, softplus: Any) -> Any:
    """log(base), where base is a (1 + tanh u) or a (1 + exp u), a > 0; else None."""
    import sympy as sp

    constant, rest = base.as_coeff_Add()
    coefficient, function = rest.as_coeff_Mul()
    if not (constant.is_positive and isinstance(function, sp.tanh | sp.exp)):
        return None
    (u,) = function.args
    if isinstance(function, sp.tanh) and abs(coefficient) == constant:
        return sp.log(2 * constant) - softplus(-2 * u * coefficient / constant)
    if isinstance(function, sp.exp) and coefficient > 0:
        return sp.log(constant) + softplus(u + sp.log(coefficient / constant))
    return None


def evaluate(expression: Any, D: Any, functions: Functions) -> Any:
    """The expression in the one symbol D at an array of scores. Its functions are the namespace's of the same name."""
    import sympy as sp

    space = functions.namespace

    def at(e: Any) -> Any:
        if e.is_Symbol:
            return D
        if e.is_number:
            return float(e)
        if isinstance(e, sp.Piecewise):
            return piecewise(e.args)
        args = [at(arg) for arg in e.args]
        if e.is_Add:
            return sum(args[1:], args[0])
        if e.is_Mul:
            out = args[0]
            for arg in args[1:]:
                out = out * arg
            return out
        if e.is_Pow:
            return args[0] ** (int(args[1]) if e.exp.is_Integer else args[1])
        if isinstance(e, sp.Max | sp.Min):
            pick = space.maximum if isinstance(e, sp.Max) else space.minimum
            out = args[0] + 0 * D
            for arg in args[1:]:
                out = pick(out, arg + 0 * D)
            return out
        name = {"softplus": "softplus", "Abs": "abs"}.get(e.func.__name__, e.func.__name__)
        return functions.softplus(*args) if name == "softplus" else getattr(space, name)(*args)

    def piecewise(branches: Any) -> Any:
        (value, condition), *rest = branches
        if condition == sp.true or not rest:
            return at(value) + 0 * D
        return space.where(holds(condition), at(value) + 0 * D, piecewise(rest))

    def holds(condition: Any) -> Any:
        difference = at(condition.lhs - condition.rhs)
        if isinstance(condition, sp.StrictLessThan):
            return difference < 0
        if isinstance(condition, sp.LessThan):
            return difference <= 0
        return difference > 0 if isinstance(condition, sp.StrictGreaterThan) else difference >= 0

    return at(expression)
