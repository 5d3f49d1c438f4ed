"""The derivation from the model to its predictions, every result computed by SymPy where it is printed.

Source of the model: Durr, Mroueh, Tu, Wang, Phys. Rev. X 13, 041004 (2023), arXiv:2212.04580.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sympy as sp

from ..tables.losses import LOSSES
from ..tables.penalties import PENALTIES, symbolic_coefficients
from ..tables.updates import RULES, UpdateRule
from . import damping, linearize, maps
from .document import Derivation, Equation, Step, Table, tex
from .linearize import symbols

SOURCES = (
    "S. Durr, Y. Mroueh, Y. Tu, S. Wang, Effective Dynamics of Generative Adversarial Networks, "
    "Phys. Rev. X 13, 041004 (2023), arXiv:2212.04580 (the model; best regularization by critical damping).",
    "L. Mescheder, A. Geiger, S. Nowozin, Which Training Methods for GANs do actually Converge?, ICML 2018, "
    "arXiv:1801.04406 (R1, R2, instance noise, simultaneous and alternating updates).",
    "L. Mescheder, S. Nowozin, A. Geiger, The Numerics of GANs, NeurIPS 2017, arXiv:1705.10461 (consensus).",
    "V. Khrulkov, A. Babenko, I. Oseledets, Functional Space Analysis of Local GAN Convergence, 2021, "
    "arXiv:2102.04448 (function-space limit).",
    "E. I. Jury, Theory and Application of the z-Transform Method, 1964 (stability conditions).",
)


def _model() -> Step:
    return Step(
        "The model",
        "A wide generator is replaced by $N$ particles $x_i$, which move through its tangent kernel; the discriminator "
        "is linear in its weights $w$, so gradient ascent moves it in function space through its kernel $K$. "
        "The target density is $p$, the density of the particles $q$; $D_*$ is the value of $D$ where $q = p$.",
        (
            "The tangent kernel of the generator is constant and has two values: $g_1$ for a particle with itself, "
            "$g_2$ for two distinct ones, $0 \\le g_2 \\le g_1$ (wide network, high-dimensional latent inputs).",
            "$D = D_* + w \\cdot \\psi$ with constant features $\\psi$: random features, Fourier modes, or a wide "
            "network in its tangent regime. Weight decay therefore pulls $D$ towards $D_*$.",
            "Densities count particles (sum normalization).",
        ),
        (
            Equation(r"\Gamma_{ij}", r"g_1\,\delta_{ij} + g_2\,(1 - \delta_{ij})"),
            Equation(r"\frac{dx_i}{dt}", r"\eta_G \sum_j \Gamma_{ij}\,\nabla [h(D)](x_j) \qquad (1)"),
            Equation(
                r"\frac{\partial D}{\partial t}",
                r"\eta_D \left\{ K * \left[ p f_1'(D) + q f_2'(D) + \lambda \nabla\!\cdot(p \nabla D)"
                r" - m_v\, p\,(D - D_*) \right] - \nu (D - D_*) \right\} \qquad (2)",
            ),
        ),
    )


def _losses() -> Step:
    D = sp.Symbol("D", real=True)

    def readable(f: Any) -> str:
        if f.has(sp.Piecewise):  # min(0, u), as (u, where u < 0), (0, elsewhere)
            return rf"\min(0,\, {tex(f.args[0][0])})"
        s = sp.Symbol("s(D)", positive=True)
        return tex(sp.simplify(f.subs(sp.tanh(D / 2), 2 * s - 1)))

    rows = []
    for loss in LOSSES.values():
        cells = [readable(loss.expressions[name]) for name in ("f1", "f2", "h")]
        cells += [tex(v) for v in (loss.equilibrium, loss.exact["c"], loss.exact["b"], loss.exact["kappa"])]
        rows.append((loss.title, *(f"${cell}$" for cell in cells)))
    return Step(
        "Losses",
        "The discriminator ascends $E_p[f_1(D)] + E_q[f_2(D)]$ minus the penalties, the generator ascends $E_q[h(D)]$. "
        "Near equilibrium only three numbers of a loss matter. Here $s(D) = 1/(1 + e^{-D})$. Fisher and Sobolev IPM "
        "are the Wasserstein loss, to which its multiplier adds the damping of the next table.",
        ("$f_1'(D_*) + f_2'(D_*) = 0$: $q = p$ with $D = D_*$ is an equilibrium.",),
        (Equation("c", "f_1'(D_*) = -f_2'(D_*), \\qquad b = h'(D_*), \\qquad \\kappa = -(f_1'' + f_2'')(D_*)"),),
        (Table(("loss", "$f_1$", "$f_2$", "$h$", "$D_*$", "$c$", "$b$", "$\\kappa$"), tuple(rows)),),
    )


def _penalties() -> Step:
    coefficients = symbolic_coefficients()
    keys = [key for key, penalty in PENALTIES.items() if penalty.terms is not None]
    totals = {
        r"\lambda": coefficients["grad_p"] + coefficients["grad_q"],
        "m_v": coefficients["value_p"] + coefficients["value_q"],
        r"\nu": coefficients["nu"],
    }
    rows = []
    for key, penalty in PENALTIES.items():
        strength = sp.Symbol(penalty.symbol)
        name = key.replace("_", " ")
        if penalty.terms is None:
            continue
        parts = zip(("E_p", "E_q", ""), penalty.expressions(strength), strict=True)
        term = " + ".join((rf"{e}\left[{tex(t)}\right]" if e else tex(t)) for e, t in parts if t != 0)
        others = {sp.Symbol(other): 0 for other in keys if other != key}
        adds = {n: sp.factor(total.subs(others).subs(sp.Symbol(key), strength)) for n, total in totals.items()}
        text = ", ".join(f"{tex(v)} \\text{{ to }} {n}" for n, v in adds.items() if v != 0)
        rows.append((name, f"${term}$", f"${text}$"))
    noise, consensus = PENALTIES["instance_noise"], PENALTIES["consensus"]
    rows.append((noise.key.replace("_", " "), r"$x \to x + \sigma \xi$", r"$\chi \text{ on both couplings}$"))
    rows.append((consensus.key, r"$F \to F - \gamma \nabla \lVert F\rVert^{2}/2$", r"$J \to J - \gamma J^{T} J$"))
    return Step(
        "Penalties",
        "The terms subtracted from the discriminator's objective, and what each adds to (2) at $p = q$: to the "
        "coefficient $\\lambda$ of $\\nabla\\cdot(p \\nabla D)$, to the coefficient $m_v$ of $p\\,(D - D_*)$, which "
        "acts like $\\kappa$, or to $\\nu$. Instance noise ($\\xi$ standard normal) multiplies the couplings of a mode "
        "by $\\chi$; consensus changes the joint field $F$ of all parameters, hence its Jacobian.",
        ("The multiplier $m$ is held constant.",),
        (Equation(r"\chi", r"E \cos(k \sigma \xi) = " + tex(linearize.noise_factor())),),
        (Table(("penalty", "term", "adds"), tuple(rows)),),
    )


def _linearization() -> Step:
    y, J, M = symbols, linearize.linearize_field(None), _bare_mode()
    return Step(
        "Linearization",
        "Insert $D = D_* + \\epsilon D_k(t) \\cos kx$ and $q = \\rho + \\epsilon q_k(t) \\cos kx$ into (2) and into "
        "the continuity equation of the particles, and keep the first order in $\\epsilon$. The kernel acts as "
        "$K * \\cos kx = K_k \\cos kx$. The collective part $g_2 \\sum_j \\nabla h(D)(x_j)$ is the integral of "
        "$\\nabla \\cos kx$ over whole periods and vanishes. Noise smooths the particles that $D$ sees and the $D$ "
        "that particles see, one factor $\\chi$ each; averages of feature pairs over a uniform density do not change. "
        "In the coordinates $D_k = \\sqrt{K_k}\\, w_k$, $q_k = \\sqrt{\\rho (g_1 - g_2)}\\, k\\, \\theta_k$ the "
        "Jacobian is that of the parameters, where consensus acts; learning rates multiply its rows last.",
        (
            "Uniform density $\\rho$ on a periodic box, $p = q = \\rho$ and $D = D_*$ at equilibrium, $k \\neq 0$.",
            "Translation-invariant kernel $K$; small deviations.",
        ),
        (
            Equation(r"\int \rho\, b\, \nabla (D_k \cos kx)\, dx", linearize.collective_velocity()),
            Equation(r"\frac{d D_k}{dt}", -y.eta_D * _bare_damping() * sp.Symbol("D_k") + J[0, 1] * sp.Symbol("q_k")),
            Equation(r"\frac{d q_k}{dt}", J[1, 0] * sp.Symbol("D_k")),
            Equation("M", M),
            Equation(r"\mu^2", r"(g_1 - g_2)\,\beta, \quad \beta = \rho k^2 K_k, \quad A = " + tex(_bare_damping())),
            Equation("J", tex(sp.diag(y.eta_D, y.eta_G)) + r" \left( M - \gamma M^{T} M \right)"),
        ),
    )


def _bare_mode() -> sp.Matrix:
    y = symbols
    chi = sp.Symbol("chi", positive=True)
    M = linearize.oscillator_jacobian().subs({y.gamma: 0, y.eta_D: 1, y.eta_G: 1})
    return M.subs(y.mu, chi * y.mu)


def _bare_damping() -> sp.Expr:
    y = symbols
    return sp.collect(sp.expand(-linearize.linearize_field(None)[0, 0] / y.eta_D), y.K * y.rho)


def _dispersion() -> Step:
    w2, y = damping.damping_and_frequency()[1], symbols
    roots = sp.solve(y.s**2 + y.a * y.s + y.w2, y.s)
    return Step(
        "Dispersion relation and regimes",
        "Each mode is a damped oscillator. It is under-damped for $\\zeta < 1$ (decay rate $a/2$, frequency "
        "$\\sqrt{\\omega^2 - a^2/4}$), critical at $\\zeta = 1$ and over-damped for $\\zeta > 1$, where the slow root "
        "rules. R1 damps a mode in proportion to its own stiffness $\\beta$, weight decay damps all modes alike, "
        "$\\kappa$ damps modes of large $K_k$, the low frequencies. With a discriminator that is free at every point "
        "($K$ white with respect to $p$, $K_k = 1/\\rho$) and unit rates, $\\xi = k^2$ is the eigenvalue of "
        "$-\\nabla\\cdot(p \\nabla)/p$.",
        ("Continuous time, no consensus.",),
        (
            Equation("0", "s^2 + a s + \\omega^2 \\qquad (3)"),
            Equation("a", symbols.eta_D * _bare_damping()),
            Equation(r"\omega^2", w2),
            Equation(r"s_{\pm}", ",\\quad ".join(tex(r) for r in roots)),
            Equation(r"\zeta", r"\frac{a}{2 \omega}"),
            Equation(r"0", damping.function_space_limit()),
        ),
    )


def _strengths() -> Step:
    bmin, bmax = damping.beta_min, damping.beta_max
    r1, decay = damping.best_r1_formula(), damping.best_weight_decay_formula()
    square = [sp.factor(sp.simplify(v**2)) for v in r1]
    ends = [sp.limit(v, bmax, end) for end in (bmin, sp.oo) for v in (square[0], square[1])]
    square_of_best = r"{\lambda'_*}^2"  # braces: a prime is a superscript already
    return Step(
        "Critical damping and the best strength",
        "Write $\\lambda' = \\eta_D \\lambda$, $\\nu' = \\eta_D \\nu$ and $G = \\eta_D \\eta_G b c (g_1 - g_2)$. "
        "With R1 alone one mode is critical at $\\lambda'_k$. Over modes with $\\beta$ between "
        "$\\beta_{min}$ and $\\beta_{max}$ the rate of under-damped modes, $\\lambda' \\beta/2$, grows with $\\beta$ "
        "and the slow rate of over-damped modes falls towards $G/\\lambda'$: the slowest mode is one of the two ends. "
        "Stronger R1 speeds up the soft end and slows down the stiff end: the best strength makes both rates $r$ "
        "equal. One mode and a broad spectrum are its limits, in this order below. "
        "Weight decay alone is best where the slowest mode is critical.",
        (
            "Continuous time; $\\kappa = 0$, no noise, no consensus, one regularizer alone.",
            "Zero modes are left out: no strength damps a mode with $\\beta = 0$ by R1.",
        ),
        (
            Equation("0", damping.r1_dispersion()),
            Equation(
                r"\lambda'_k", sp.solve(sp.discriminant(damping.r1_dispersion(), symbols.s), damping.lam_prime)[0]
            ),
            Equation(
                r"\frac{\lambda' \beta_{min}}{2}",
                r"\frac{\lambda' \beta_{max} - \sqrt{\lambda'^2 \beta_{max}^2 - 4 G \beta_{max}}}{2}",
            ),
            Equation(square_of_best, square[0]),
            Equation("r_*^2", square[1]),
            Equation(square_of_best, ends[0], r"\to"),
            Equation("r_*^2", ends[1], r"\to"),
            Equation(square_of_best, ends[2], r"\to"),
            Equation("r_*^2", ends[3], r"\to"),
            Equation(r"\nu'_*", tex(decay.strength) + ", \\qquad r_* = " + tex(decay.rate)),
        ),
    )


def _update_map(title: str, text: str, poly: sp.Poly, assumptions: tuple[str, ...] = ()) -> Step:
    conditions = tuple(Equation("0", condition, "<") for condition in maps.jury_conditions(poly))
    return Step(title, text, assumptions, (Equation("P(z)", poly), *conditions))


def _critic_polynomial() -> sp.Poly:
    """``alternating_n`` with r = (1-a)^n and S = (1-r)/a as symbols."""
    y, (r, S) = symbols, sp.symbols("r S")
    trace = sp.expand(-maps.alternating_n().all_coeffs()[1].subs((1 - y.a) ** y.n, r))
    parts = [trace.coeff(y.w2, 0), sp.simplify(trace.coeff(y.w2, 1).subs(r, 1 - y.a * S))]
    return sp.Poly(y.z**2 - (parts[0] + parts[1] * y.w2) * y.z + r, y.z)


def _updates() -> tuple[Step, ...]:
    moving = 0.5  # any non-zero momentum is printed as its symbol
    shape = ("Lower right entry of $J$ zero (no consensus).",)
    polynomial = maps.characteristic_polynomial
    plain = {
        name: _update_map(
            rule.title.capitalize(),
            rule.text,
            polynomial(UpdateRule.of(name, {key: p.default for key, p in rule.parameters.items()})),
            () if rule.invariant else shape,
        )
        for name, rule in RULES.items()
        if not (rule.continuous or rule.responds or rule.networks)
    }
    critic = _update_map(
        "Critic steps",
        "With $n$ discriminator steps per generator step, $r = (1 - a)^n$ and $S = (1 - r)/a = 1 + (1-a) + \\dots "
        "+ (1-a)^{n-1}$ ($S = n$ where $a = 0$), by induction over the critic's steps. The continuous limit has "
        "$n a$ and $n \\omega^2$ for $a$ and $\\omega^2$.",
        _critic_polynomial(),
        shape,
    )
    at = list(plain).index("alternating") + 1
    return (
        *list(plain.values())[:at],
        critic,
        *list(plain.values())[at:],
        _update_map(
            "Heavy ball, discriminator only",
            "The increment is the velocity plus $\\beta_D$ times the previous increment (simultaneous). The continuous "
            "limit has $\\eta_D/(1 - \\beta_D)$ for $\\eta_D$.",
            polynomial(UpdateRule("simultaneous", momentum_discriminator=moving)),
            shape,
        ),
        _update_map(
            "Heavy ball on both sides",
            "With momentum $\\beta_D$ and $\\beta_G$ (simultaneous).",
            polynomial(UpdateRule("simultaneous", momentum_discriminator=moving, momentum_generator=moving)),
            shape,
        ),
    )


@cache
def derive() -> Derivation:
    """The whole derivation, in order: model, losses, penalties, linear theory, strengths, update maps, remedies."""
    from . import derivation_remedies as remedies

    steps = (_model(), _losses(), _penalties(), _linearization(), _dispersion(), _strengths(), *_updates())
    steps = (*steps, *remedies.remedy_steps())
    return Derivation(
        "Effective dynamics of adversarial training: from the model to its predictions",
        steps,
        (*SOURCES, *remedies.SOURCES),
    )
