"""What theory.md leaves to be computed: the tables of losses and penalties, the update maps with their conditions of
stability, the polynomials of averaged play and the numbers of packed modes, all from SymPy where they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import sympy as sp

from ..tables.losses import LOSSES
from ..tables.penalties import PENALTIES, symbolic_coefficients
from ..tables.updates import RULES, UpdateRule
from . import maps, remedies
from .document import Equation, Table
from .linearize import symbols
from .widths import TOKEN

#: Widest right-hand side, in printed characters, before a sum is broken into lines.
WIDTH = 62
#: any momentum that is not zero is printed as its symbol
MOVING = 0.5

_NAMES = {"f": "(D-D_*)", "G2": r"\lvert\nabla D\rvert^{2}", "W2": r"\lvert w\rvert^{2}"}


def tex(expression: Any) -> str:
    """LaTeX of a SymPy object, with omega^2 for the symbol ``w2``."""
    expression = sp.sympify(expression).subs(symbols.w2, sp.Symbol("omega", positive=True) ** 2)
    names = {symbol: _NAMES[symbol.name] for symbol in expression.free_symbols if symbol.name in _NAMES}
    return sp.latex(expression, symbol_names=names)


def _pieces(expression: Any) -> list[str]:
    """Summands in LaTeX, each with its sign except a leading plus; polynomials by falling powers."""
    if isinstance(expression, sp.Poly):
        z, summands = expression.gens[0], []
        for (power,), coefficient in expression.terms():
            coefficient = sp.factor(coefficient)
            factor = tex(coefficient)
            if power:
                factor = "" if coefficient == 1 else rf"\left({factor}\right)" if coefficient.is_Add else factor
                factor = f"{factor} {tex(z**power)}".strip()
            summands.append(factor)
    else:
        summands = [tex(term) for term in (expression.as_ordered_terms() if expression.is_Add else [expression])]
    return [summands[0], *(s if s.startswith("-") else f"+ {s}" for s in summands[1:])]


def _lines(expression: Any) -> str:
    """LaTeX of an expression, a long sum broken into lines of at most WIDTH printed characters (or one term)."""
    lines: list[str] = []
    for piece in _pieces(expression):
        # a command counts as one character, braces and exponents as none
        width = sum(token not in "{}^_ " for token in TOKEN.findall(f"{lines[-1]} {piece}")) if lines else 0
        if lines and width <= WIDTH:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return " \\\\\n&\\quad ".join(lines)


# -- losses and penalties ---------------------------------------------------------------------------------------------


def losses() -> Table:
    """Every loss with f1, f2, h, its D* and its three numbers."""
    D, s = sp.Symbol("D", real=True), sp.Symbol("s(D)", positive=True)

    def readable(f: Any) -> str:
        if f.has(sp.Piecewise):  # min(0, u), as (u, where u < 0), (0, elsewhere)
            return rf"\min(0,\, {tex(f.args[0][0])})"
        return tex(sp.simplify(f.subs(sp.tanh(D / 2), 2 * s - 1)))

    rows = []
    for loss in LOSSES.values():
        if loss.pairs:  # f of differences in place of f1, f2 and h
            f = readable(loss.expressions["f"])
            cells = [f.replace("D", "D(x) - D(y)"), r"\text{the same}", f.replace("D", "D(y) - D(x)")]
        else:
            cells = [readable(loss.expressions[name]) for name in ("f1", "f2", "h")]
        cells += [tex(v) for v in (loss.equilibrium, *(loss.exact[name] for name in ("c", "b", "kappa")))]
        rows.append((loss.title, *(f"${cell}$" for cell in cells)))
    return Table(("loss", "$f_1$", "$f_2$", "$h$", "$D_*$", "$c$", "$b$", "$\\kappa$"), tuple(rows))


def penalties() -> Table:
    """Every penalty: the term that is subtracted, and the coefficients it adds to; noise and consensus at the end."""
    coefficients = symbolic_coefficients()
    functional = {key: penalty for key, penalty in PENALTIES.items() if penalty.terms is not None}
    totals = {
        r"\lambda": coefficients["grad_p"] + coefficients["grad_q"],
        "v": coefficients["value_p"] + coefficients["value_q"],
        r"\nu": coefficients["nu"],
    }
    alpha = sp.Symbol("alpha_m")
    rows = []
    for key, penalty in functional.items():
        strength = sp.Symbol(penalty.symbol)
        terms = [sp.sympify(t).subs(sp.Symbol("alpha"), alpha) for t in penalty.expressions(strength)]
        parts = zip(("E_p", "E_q", ""), terms, strict=True)
        term = " + ".join((rf"{e}\left[{tex(t)}\right]" if e else tex(t)) for e, t in parts if t != 0)
        values = {sp.Symbol(other): 0 for other in functional if other != key} | {sp.Symbol("alpha"): alpha}
        adds = {n: sp.factor(total.subs(values).subs(sp.Symbol(key), strength)) for n, total in totals.items()}
        text = ", ".join(f"{tex(v)} \\text{{ to }} {n}" for n, v in adds.items() if v != 0)
        rows.append((key.replace("_", " "), f"${term}$", f"${text}$"))
    rows.append(("instance noise", r"$x \to x + \sigma \xi$", r"$\chi \text{ on both couplings}$"))
    rows.append(("consensus", r"$F \to F - \gamma \nabla \lvert F\rvert^{2}/2$", r"$J \to J - \gamma J^{T} J$"))
    return Table(("penalty", "term", "adds"), tuple(rows))


# -- update maps ------------------------------------------------------------------------------------------------------


def critic_polynomial() -> sp.Poly:
    """``alternating_n`` with r = (1-a)^n and S_n = (1-r)/a as symbols."""
    y, (r, S) = symbols, sp.symbols("r S_n")
    trace = sp.expand(-maps.alternating_n().all_coeffs()[1].subs((1 - y.a) ** y.n, r))
    parts = [trace.coeff(y.w2, 0), sp.simplify(trace.coeff(y.w2, 1).subs(r, 1 - y.a * S))]
    return sp.Poly(y.z**2 - (parts[0] + parts[1] * y.w2) * y.z + r, y.z)


#: the maps whose polynomials are printed
MAPS: dict[str, Callable[[], sp.Poly]] = {
    name: (lambda rule=rule: maps.characteristic_polynomial(rule))
    for name, rule in {
        "map-simultaneous": UpdateRule("simultaneous"),
        "map-alternating": UpdateRule("alternating"),
        "map-extragradient": UpdateRule("extragradient"),
        "map-optimistic": UpdateRule("optimistic"),
        "map-heavy-ball-discriminator": UpdateRule("simultaneous", momentum_discriminator=MOVING),
        "map-heavy-ball-both": UpdateRule("simultaneous", momentum_discriminator=MOVING, momentum_generator=MOVING),
    }.items()
} | {"map-critic-steps": critic_polynomial}


def update_map(name: str) -> Equation:
    """P(z) and Jury's conditions of one of MAPS."""
    poly = MAPS[name]()
    rows = [f"P(z) &= {_lines(poly)}", *(f"0 &< {_lines(condition)}" for condition in maps.jury_conditions(poly))]
    body = " \\\\\n".join(rows)
    return Equation(name, f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}")


def rules() -> Table:
    """Every rule of discrete steps that is a map of the velocities, in words; P(z) of those that have no equation."""
    rows = []
    for name, entry in RULES.items():
        if entry.continuous or entry.responds or entry.networks:
            continue
        plain = UpdateRule.of(name, {key: p.default for key, p in entry.parameters.items()})
        below = f"map-{name}" in MAPS
        poly = "below" if below else f"${' '.join(_pieces(maps.characteristic_polynomial(plain)))}$"
        rows.append((entry.title, entry.text, poly))
    return Table(("update rule", "a step", "$P(z)$"), tuple(rows))


# -- remedies ---------------------------------------------------------------------------------------------------------


def stable_below(poly: sp.Poly) -> sp.Expr:
    """The squared frequency below which all roots of ``remedies.averaged`` have Re < 0, for a > 0; oo if any is.

    Of Routh's conditions only one is not a sum of positive terms; it is linear in omega^2.
    """
    damped = {symbols.a: sp.Symbol("a", positive=True)}
    left = set()
    for condition in remedies.routh_conditions(poly):
        for factor, _ in sp.factor_list(sp.numer(sp.together(condition.subs(damped))))[1]:
            if not sp.expand(factor).is_positive:
                left.add(factor)
    if not left:
        return sp.oo
    (condition,) = left
    slope, constant = sp.Poly(condition, symbols.w2).all_coeffs()
    return sp.factor(-constant / slope).subs({v: k for k, v in damped.items()})


def averages() -> Table:
    """The polynomial of every combination of averaged players, and what Routh's conditions ask for."""
    rows = []
    for response in (False, True):
        for generator, discriminator in ((True, False), (False, True), (True, True)):
            poly = remedies.averaged(generator, discriminator, response)
            whole = sp.Poly(sp.numer(sp.together(poly.as_expr())), symbols.s)
            bound = stable_below(poly)
            stable = "always" if bound == sp.oo else f"$\\omega^2 < {tex(bound)}$"
            who = " and ".join(n for n, on in (("generator", generator), ("discriminator", discriminator)) if on)
            rows.append(("best response" if response else "first order", who, f"${' '.join(_pieces(whole))}$", stable))
    return Table(("discriminator", "averaged", "polynomial in $s$", "stable where"), tuple(rows))


def packing() -> Table:
    """What m packed samples multiply a mode's numbers by, on a uniform target."""
    rows = []
    for m in (1, 2, 3, 4):
        cells = remedies.packed_mode(m).applyfunc(sp.simplify)
        rows.append((str(m), *(f"${tex(cell)}$" for cell in cells)))
    return Table(("$m$", "values", "gradients", "coupling"), tuple(rows))


@cache
def generated(name: str) -> Equation | Table:
    """What stands in theory.md between ``<!-- generated: name -->`` and ``<!-- end -->``."""
    if name in MAPS:
        return update_map(name)
    return {"losses": losses, "penalties": penalties, "rules": rules, "averages": averages, "packing": packing}[name]()
