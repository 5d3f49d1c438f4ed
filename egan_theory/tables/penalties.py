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

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from ..base.errors import InputError
from ..base.spelling import word

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
    """One penalty: its key in ``[penalty]``, its strength symbol, and its terms."""

    key: str
    symbol: str
    title: str
    kind: str  # "functional" | "input" | "field"
    #: functional terms (under p, under q, on |w|^2) of (strength, alpha, f, G2, W2)
    terms: Callable[[Any, Any, Any, Any, Any], tuple[Any, Any, Any]] | None = None
    effect: str = ""


PENALTIES: dict[str, Penalty] = {
    p.key: p
    for p in (
        Penalty("r1", "lambda_1", "R1: (lambda/2) E_p|grad D|^2", "functional",
                lambda s, a, f, G2, W2: (s * G2 / 2, 0, 0), "adds lambda div(p grad D)"),
        Penalty("r2", "lambda_2", "R2: (lambda_q/2) E_q|grad D|^2", "functional",
                lambda s, a, f, G2, W2: (0, s * G2 / 2, 0), "adds lambda_q div(q grad D)"),
        Penalty("weight_decay", "nu", "weight decay: (nu/2)|w|^2", "functional",
                lambda s, a, f, G2, W2: (0, 0, s * W2 / 2), "adds -nu D outside the kernel"),
        Penalty("multiplier", "m", "Fisher / Sobolev: m E_(p+q)/2 [alpha (D-D*)^2 + |grad D|^2 - 1]", "functional",
                lambda s, a, f, G2, W2: (s * (a * f**2 + G2 - 1) / 2, s * (a * f**2 + G2 - 1) / 2, 0),
                "adds kappa = 2 m alpha and lambda = 2 m"),
        Penalty("instance_noise", "sigma", "instance noise: x -> x + sigma eps on both sides", "input",
                effect="every feature is averaged over the noise; kappa acts on the averaged outer product"),
        Penalty("consensus", "gamma", "consensus: F -> F - gamma grad |F|^2/2", "field",
                effect="J -> J - gamma J^T J in parameter space"),
    )
}  # fmt: skip


@cache
def symbolic_coefficients() -> dict[str, Any]:
    """Coefficients as SymPy expressions in r1, r2, weight_decay, multiplier and alpha."""
    import sympy as sp

    f, G2, W2, alpha = sp.symbols("f G2 W2 alpha")
    on_p, on_q, on_w = sp.S(0), sp.S(0), sp.S(0)
    for key, penalty in PENALTIES.items():
        if penalty.terms is not None:
            p, q, w = penalty.terms(sp.Symbol(key), alpha, f, G2, W2)
            on_p, on_q, on_w = on_p + p, on_q + q, on_w + w
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

    names = [key for key, p in PENALTIES.items() if p.kind == "functional"]
    expressions = symbolic_coefficients()
    return sp.lambdify(sp.symbols([*names, "alpha"]), [expressions[n] for n in Coefficients._fields], "numpy")


def coefficients(*, r1: Any, r2: Any, weight_decay: Any, multiplier: Any, alpha: Any) -> Coefficients:
    """Numeric coefficients (scalars, or arrays that broadcast over runs)."""
    return Coefficients(*_coefficient_function()(r1, r2, weight_decay, multiplier, alpha))


def get_penalty(key: str) -> Penalty:
    """The penalty of that name; InputError names the choices, or says why WGAN-GP is refused."""
    key = word(key)
    if key in ("wgan_gp", "gradient_penalty"):
        raise InputError(f"penalty.{key}", WGAN_GP_REASON)
    if key not in PENALTIES:
        raise InputError("penalty", f"be one of {', '.join((*PENALTIES, 'likelihood'))}", repr(key))
    return PENALTIES[key]


def strength_field(name: str) -> tuple[str, str]:
    """(key, dotted field) of what has a strength to choose: a penalty, or "likelihood" for the likelihood term."""
    name = word(name)
    if name == "likelihood":
        return name, "likelihood.weight"
    key = get_penalty(name).key
    return key, f"penalty.{key}"
