"""The remedies' part of the derivation: what each changes in the oscillator of a mode, computed where it is printed."""

from __future__ import annotations

import sympy as sp

from ..tables.updates import UNIFORM, UpdateRule
from . import play, remedies
from .document import Equation, Step, Table, polynomial, tex
from .linearize import symbols

SOURCES = (
    "J. Li, A. Madry, J. Peebles, L. Schmidt, On the Limitations of First-Order Approximation in GAN Dynamics, ICML "
    "2018, arXiv:1706.09884 (best responses).",
    "H. Ge, Y. Xia, X. Chen, R. Berry, Y. Wu, Fictitious GAN: Training GANs with Historical Models, ECCV 2018, "
    "arXiv:1803.08647 (averaged play).",
    "Z. Lin, A. Khetan, G. Fanti, S. Oh, PacGAN: The Power of Two Samples in Generative Adversarial Networks, NeurIPS "
    "2018, arXiv:1712.04086 (packing).",
)


def remedy_steps() -> tuple[Step, ...]:
    """Best responses, averaged opponents, averages over all of the past, packed samples, likelihood."""
    return (_best_response(), _averages(), _uniform(), _packing(), _likelihood())


def _best_response() -> Step:
    y = symbols
    return Step(
        "Best responses",
        "The discriminator at its optimum for the present particles is the limit $n \\to \\infty$ of critic steps. Of "
        "the map's two multipliers one vanishes, the other is that of a steepest descent; in continuous time the mode "
        "decays without oscillation at any strength. The optimum exists where every weight is damped.",
        ("$0 < a < 2$ per critic step; lower right entry of $J$ zero.",),
        (
            Equation(r"\lim_{n \to \infty} P(z)", remedies.best_response_limit()),
            Equation("s", -y.w2 / y.a),
        ),
    )


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
    linear = sp.Poly(condition, symbols.w2)
    slope, constant = linear.all_coeffs()
    return sp.factor(-constant / slope).subs({v: k for k, v in damped.items()})


def _averages() -> Step:
    rows = []
    for response in (False, True):
        for generator, discriminator in ((True, False), (False, True), (True, True)):
            poly = remedies.averaged(generator, discriminator, response)
            whole = sp.Poly(sp.numer(sp.together(poly.as_expr())), symbols.s)
            bound = stable_below(poly)
            stable = "always" if bound == sp.oo else f"$\\omega^2 < {tex(bound)}$"
            who = " and ".join(n for n, on in (("generator", generator), ("discriminator", discriminator)) if on)
            rows.append(("best response" if response else "first order", who, f"${polynomial(whole)}$", stable))
    return Step(
        "Averaged opponents",
        "Each player may answer to an exponential average of the other, over $\\tau_q$ of the generator's play and "
        "$\\tau_D$ of the discriminator's. The polynomial whose roots are the eigenvalues $s$ gains one power for "
        "each average. The last column is what Routh's conditions ask for. Without damping, $a = 0$, any average "
        "destabilises first-order play.",
        ("Continuous time; $a > 0$.",),
        (),
        (Table(("discriminator", "averaged", "polynomial in $s$", "stable where"), tuple(rows)),),
    )


def _uniform() -> Step:
    rule = UpdateRule("flow", average_generator=UNIFORM)
    found, responds = play.powers(rule), play.powers(UpdateRule("best_response_flow", average_generator=UNIFORM))
    last, average = play.thresholds()
    D, N = play.slow_equation(rule)
    T = sp.Symbol("T")
    return Step(
        "Averages over all of the past",
        "Where all of the past weighs alike, $\\tau_q$ is the elapsed time $T$ and there are no eigenvalues. With $r$ "
        "the integral of the particles' displacement, so that $r/T$ is their average, WKB on the equation of $r$ gives "
        "powers of $T$ times a wave of phase $2 \\omega \\sqrt{T/a}$. First-order play converges in the last iterate "
        "only for strong damping, in the average for weaker one; against best responses both converge. "
        "Averages on both sides grow as stretched exponentials.",
        ("Late times; one player averaged; $a > 0$.",),
        (
            Equation("0", f"D(d/dT)\\, r + N(d/dT)\\, \\frac{{r}}{{T}},\\quad D = {tex(D)},\\quad N = {tex(N)}"),
            Equation("r'", T**found.last, r"\sim"),
            Equation(r"\frac{r}{T}", T**found.average, r"\sim"),
            Equation(r"r' \text{ against best responses}", T**responds.last, r"\sim"),
            Equation(r"r' \to 0: \quad \omega^2", last, "<"),
            Equation(r"\frac{r}{T} \to 0: \quad \omega^2", average, "<"),
        ),
    )


def _packing() -> Step:
    rows = []
    for m in (1, 2, 3, 4):
        A, G, mu = remedies.packed_mode(m)[0].applyfunc(sp.simplify)
        rows.append((str(m), f"${tex(A)}$", f"${tex(G)}$", f"${tex(mu)}$"))
    return Step(
        "Packed samples",
        "A discriminator of $m$ samples with the product kernel has the features $\\psi(x_1) \\otimes \\dots \\otimes "
        "\\psi(x_m)$. With $u = E \\psi$ its charge is $u_p^{\\otimes m} - u_q^{\\otimes m}$ and a particle feels "
        "$m\\, \\psi(x) \\otimes u^{\\otimes (m-1)}$: to first order in $q - p$ this is an unpacked discriminator with "
        "the kernel $K_m$, where $\\kappa(x) = E_y K(x, y)$ and $\\kappa_0 = E \\kappa$. On a uniform target packing "
        "therefore only rescales a mode; the table has its part $C_k$ of $E \\psi \\psi^T$ (which $\\kappa$ "
        "multiplies), $G_k$ of the gradients (which $\\lambda$ multiplies) and its coupling. What packing does to mode "
        "collapse is of second order.",
        ("Samples are independent; to first order in the deviation from equilibrium.",),
        (
            Equation(
                "K_m(x, y)",
                r"m\, \kappa_0^{m-1} K(x, y) + m (m - 1)\, \kappa_0^{m-2}\, \kappa(x)\, \kappa(y)",
            ),
        ),
        (Table(("$m$", "values", "gradients", "coupling"), tuple(rows)),),
    )


def _likelihood() -> Step:
    best = remedies.best_likelihood_formula()
    return Step(
        "Likelihood term",
        "A drift $\\alpha \\nabla (\\log p_s - \\log q_s)$ of the particles, both densities smoothed by a Gaussian of "
        "width $\\sigma$, damps the generator's side: $x = \\eta_G (g_1 - g_2)\\, \\alpha f_k$. With $a = 0$ the "
        "weight is best where the slowest under-damped mode $i$, that of the smallest $f$, decays as fast as the "
        "over-damped mode $j$: the smallest such strength over $j$.",
        ("Uniform density on a periodic box; the best strength: continuous time, no other damping.",),
        (
            Equation("f_k", remedies.score_rate()),
            Equation("0", remedies.likelihood_dispersion()),
            Equation(r"\eta_G (g_1 - g_2)\, \alpha_*", best.strength),
            Equation("r_*", best.rate),
        ),
    )


__all__ = ["SOURCES", "remedy_steps"]
