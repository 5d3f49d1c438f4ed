"""The penalties as data, and what each adds to the discriminator's equation.

Three kinds of term, each written once:

* functional: E_p[...] , E_q[...] or |w|^2 terms subtracted from L_D, functions of f = D - D* and G2 = |grad D|^2;
* input: instance noise, which replaces every point x by x + sigma eps on both sides;
* field: consensus optimisation, which replaces the joint vector field F by F - gamma grad (1/2)|F|^2.

``coefficients`` differentiates the functional terms by SymPy. The linear equation of the discriminator then has

    grad_p, grad_q   the coefficients of div(p grad D), div(q grad D)        (lambda of R1, R2)
    value_p, value_q the coefficients of p f, q f                            (Fisher's 2 m alpha, split over p and q)
    nu               the coefficient of w                                    (weight decay)

Sources: Mescheder et al. 2018 (R1, R2, instance noise), Mescheder et al. 2017 (consensus), Mroueh and Sercu 2017 and
Mroueh et al. 2018 (Fisher, Sobolev; expectations over (p + q)/2), Gulrajani et al. 2017 (WGAN-GP, refused).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from ..base.errors import InputError
from ..base.parameters import Parameter, collected, not_negative
from ..base.spelling import unknown, word

WGAN_GP = ("wgan_gp", "gradient_penalty")
WGAN_GP_REASON = (
    "not be used: the WGAN-GP field is discontinuous where grad D = 0, so at equilibrium it has no Jacobian "
    "(Mescheder et al. 2018); use r1 or multiplier"
)


class Coefficients(NamedTuple):
    """Coefficients of the discriminator's equation, see the module docstring. Scalars or broadcastable arrays."""

    grad_p: Any
    grad_q: Any
    value_p: Any
    value_q: Any
    nu: Any


@dataclass(frozen=True)
class Penalty:
    """One penalty: all that is known about it. Its strength is the field ``key`` of [penalty], >= 0.

    symbol: the strength in formulas. unit: that of the strength, "1" of a pure number. text: the term in the words
    of the experiment file. kind: "functional", "input" or "field". terms: of functional ones, (under E_p, under
    E_q, on the weights) as a function of the strength, f = D - D*, G2 = |grad D|^2, W2 = |w|^2 and, by name, the
    parameters: linear in f^2, G2 and W2. parameters: fields of [penalty] beside the strength.
    """

    key: str
    symbol: str
    title: str
    unit: str
    text: str
    terms: Callable[..., tuple[Any, Any, Any]] | None = None
    kind: str = "functional"
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def expressions(self, strength: Any = None) -> tuple[Any, Any, Any]:
        """``terms`` in SymPy symbols: f, G2, W2, the parameters by name, the strength by key if not given."""
        import sympy as sp

        assert self.terms is not None
        f, G2, W2 = sp.symbols("f G2 W2")
        strength = sp.Symbol(self.key) if strength is None else strength
        p, q, w = self.terms(strength, f, G2, W2, **{name: sp.Symbol(name) for name in self.parameters})
        for term, linear in ((p, (f**2, G2)), (q, (f**2, G2)), (w, (W2,))):
            full = sp.expand(term)
            rest = sp.expand(full - sum(full.coeff(x) * x for x in linear))
            if rest.free_symbols & {f, G2, W2} or any(full.coeff(x).has(f, G2, W2) for x in linear):
                raise ValueError(f"penalty {self.key}: {term} must be linear in {', '.join(map(str, linear))}")
        return p, q, w


def _under_both(term: Any) -> tuple[Any, Any, int]:
    """The expectation over (p + q)/2."""
    return term / 2, term / 2, 0


PENALTIES: dict[str, Penalty] = {
    p.key: p
    for p in (
        Penalty("r1", "lambda_1", "R1", "length²", "(r1/2) |grad D|^2 on the data",
                lambda s, f, G2, W2: (s * G2 / 2, 0, 0)),
        Penalty("r2", "lambda_2", "R2", "length²", "(r2/2) |grad D|^2 on the particles",
                lambda s, f, G2, W2: (0, s * G2 / 2, 0)),
        Penalty("weight_decay", "nu", "weight decay", "1", "(weight_decay/2) |w|^2",
                lambda s, f, G2, W2: (0, 0, s * W2 / 2)),
        Penalty("multiplier", "m", "Fisher / Sobolev multiplier", "length²",
                "multiplier [alpha (D - D*)^2 + |grad D|^2 - 1], mean over data and particles (Fisher, Sobolev)",
                lambda s, f, G2, W2, alpha: _under_both(s * (alpha * f**2 + G2 - 1)),
                parameters={"alpha": not_negative(0.0, "see multiplier")}),
        Penalty("instance_noise", "sigma", "instance noise", "length",
                "length; standard deviation of the noise added to both sides", kind="input"),
        Penalty("consensus", "gamma", "consensus optimisation", "1",
                "consensus optimisation: F becomes F - consensus * grad |F|^2 / 2", kind="field"),
    )
}  # fmt: skip

#: the fields of [penalty]: of every penalty its strength, then its parameters
STRENGTHS = collected({p.key: not_negative(0.0, p.text), **p.parameters} for p in PENALTIES.values())
#: those of them that functional penalties have, which ``coefficients`` takes
FUNCTIONAL = tuple(name for p in PENALTIES.values() if p.terms is not None for name in (p.key, *p.parameters))


@cache
def symbolic_coefficients() -> dict[str, Any]:
    """Coefficients as SymPy expressions in the names of FUNCTIONAL."""
    import sympy as sp

    f, G2, W2 = sp.symbols("f G2 W2")
    parts = [penalty.expressions() for penalty in PENALTIES.values() if penalty.terms is not None]
    on_p, on_q, on_w = (sum(terms, sp.S(0)) for terms in zip(*parts, strict=True))
    return {
        # d/dD of G2 = |grad D|^2 gives -2 div(p grad D), of f^2 gives 2 f, of |w|^2 gives 2 w
        "grad_p": sp.expand(2 * sp.diff(on_p, G2)),
        "grad_q": sp.expand(2 * sp.diff(on_q, G2)),
        "value_p": sp.expand(sp.diff(on_p, f, 2)),
        "value_q": sp.expand(sp.diff(on_q, f, 2)),
        "nu": sp.expand(2 * sp.diff(on_w, W2)),
    }


@cache
def _coefficient_function() -> Callable[..., list[Any]]:
    import sympy as sp

    expressions = symbolic_coefficients()
    return sp.lambdify(sp.symbols(FUNCTIONAL), [expressions[n] for n in Coefficients._fields], "numpy")


def coefficients(**values: Any) -> Coefficients:
    """Numeric coefficients of the values of FUNCTIONAL (scalars, or arrays that broadcast over runs); those that are
    not given are 0."""
    return Coefficients(*_coefficient_function()(*(values.get(name, 0.0) for name in FUNCTIONAL)))


def unit_coefficients(key: str, values: Any) -> Coefficients:
    """What the penalty adds at strength 1, its parameters as in ``values`` (a table of the experiment)."""
    penalty = PENALTIES[key]
    return coefficients(**{key: 1.0}, **{name: getattr(values, name) for name in penalty.parameters})


def get_penalty(key: str) -> Penalty:
    """The penalty of that name; InputError names the choices, or says why WGAN-GP is refused."""
    key = word(key)
    if key in WGAN_GP:
        raise InputError(f"penalty.{key}", WGAN_GP_REASON)
    if key not in PENALTIES:
        raise unknown("penalty", key, (*PENALTIES, "likelihood"))
    return PENALTIES[key]


def strength_field(name: str) -> tuple[str, str]:
    """(key, dotted field) of what has a strength to choose: a penalty, or "likelihood" for the likelihood term."""
    name = word(name)
    if name == "likelihood":
        return name, "likelihood.weight"
    key = get_penalty(name).key
    return key, f"penalty.{key}"


def strength_unit(name: str) -> str:
    """The unit of a strength, "1" of a pure number; as ``strength_field``."""
    key = strength_field(name)[0]
    return PENALTIES[key].unit if key in PENALTIES else "1"


def strength_label(name: str) -> str:
    """What axes and tables call a strength: "R1 strength (length²)"; as ``strength_field``."""
    key = strength_field(name)[0]
    return f"{strength_title(key)} strength ({strength_unit(name)})"


def strength_title(name: str) -> str:
    """What has the strength, in words: "R1"; as ``strength_field``."""
    key = strength_field(name)[0]
    return PENALTIES[key].title if key in PENALTIES else "likelihood"


def strength_meaning(name: str) -> str:
    """What the strength is a factor of, or what it is, a sentence without its full stop; as ``strength_field``."""
    key = strength_field(name)[0]
    if key not in PENALTIES:
        return "The generator's force gains strength times the difference of the scores of target and particles"
    penalty = PENALTIES[key]
    term = re.sub(rf"\b{key}\b", "strength", penalty.text).replace("^2", "²")
    if penalty.kind == "functional":
        return f"The discriminator's objective is reduced by {term}"
    if penalty.kind == "field":  # after the name
        return f"The joint field {term.partition(': ')[2]}"
    return f"The strength is the {term.partition('; ')[2]}"
