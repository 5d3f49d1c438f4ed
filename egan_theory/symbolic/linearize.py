"""Linearization of the effective GAN about q = p = rho, carried out by SymPy.

Equation, for D = D* + eps D_k(t) cos(kx), q = rho + eps q_k(t) cos(kx) on a periodic box (k along x):

    dD/dt = eta_D { K * [p f1'(D) + q f2'(D) + lam div(p grad D) - value p (D - D*)] - nu (D - D*) }
    dq/dt = -div(q v),   v(x) = eta_G { (g1 - g2) grad h(D)(x) + g2 sum_j grad h(D)(x_j) }

Conventions: K * cos(kx) = K_k cos(kx), K_k = int K(r) exp(-ik.r) dr. D = D* + w . psi, so weight decay pulls D to D*.
p and q are number densities ("sum" normalization); q as a probability density rescales c, kappa, lam and value alike.
Instance noise: x -> x + sigma eps inside the discriminator, on both sides, also in the gradients the particles follow.

Source: Durr, Mroueh, Tu, Wang, Phys. Rev. X 13, 041004 (2023), arXiv:2212.04580; consensus: Mescheder et al. 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from ..tables.losses import Loss


def _positive(name: str) -> Any:
    return sp.Symbol(name, positive=True)


def _nonnegative(name: str) -> Any:
    return sp.Symbol(name, nonnegative=True)


def _real(name: str) -> Any:
    return sp.Symbol(name, real=True)


class Symbols(NamedTuple):
    """The SymPy symbols every formula of the package is written in."""

    eta_D: Any = _positive("eta_D")  #: learning rate of the discriminator
    eta_G: Any = _positive("eta_G")  #: learning rate of the generator
    c: Any = _positive("c")  #: f1'(D*) = -f2'(D*)
    b: Any = _positive("b")  #: h'(D*)
    kappa: Any = _nonnegative("kappa")  #: -(f1'' + f2'')(D*)
    K: Any = _positive("K_k")  #: Fourier transform of the discriminator's kernel at k
    rho: Any = _positive("rho")  #: density of target and particles
    k: Any = _positive("k")  #: wave number
    nu: Any = _nonnegative("nu")  #: weight decay
    lam: Any = _nonnegative("lambda")  #: total coefficient of div(p grad D) at p = q: grad_p + grad_q
    value: Any = _nonnegative("m_v")  #: total coefficient of p (D - D*): value_p + value_q; adds to kappa
    g1: Any = _positive("g_1")  #: generator kernel of a particle with itself
    g2: Any = _nonnegative("g_2")  #: generator kernel of two distinct particles
    sigma: Any = _nonnegative("sigma")  #: standard deviation of the instance noise
    gamma: Any = _nonnegative("gamma")  #: strength of consensus optimization
    a: Any = _real("a")  #: damping: minus the trace of a mode's Jacobian
    w2: Any = _positive("omega2")  #: squared frequency: determinant of a mode's Jacobian
    A: Any = _nonnegative("A")  #: damping of a mode before learning rates and consensus
    mu: Any = _nonnegative("mu")  #: coupling (singular value) of a mode before c, b and learning rates
    beta_D: Any = _real("beta_D")  #: heavy-ball momentum of the discriminator
    beta_G: Any = _real("beta_G")  #: heavy-ball momentum of the generator
    n: Any = sp.Symbol("n", integer=True, positive=True)  #: critic steps per generator step
    z: Any = sp.Symbol("z")  #: eigenvalue of an update map
    s: Any = sp.Symbol("s")  #: eigenvalue of a Jacobian


symbols = Symbols()

#: Arguments of ``mode_blocks``, in the order of the lambdified function.
MODE_ARGUMENTS = ("eta_D", "eta_G", "c", "b", "kappa", "K", "rho", "k", "nu", "lam", "value", "g1", "g2", "sigma")
OSCILLATOR_ARGUMENTS = ("A", "mu", "eta_D", "eta_G", "c", "b", "gamma")


@cache
def noise_factor() -> sp.Expr:
    """chi = E cos(k sigma xi) = exp(-sigma^2 k^2 / 2), xi ~ N(0, 1): what averaging over instance noise does to a mode.

    E cos(k (x + sigma xi)) = chi cos(kx); the sine part is odd in xi and averages to zero.
    """
    sigma, xi = _positive("sigma_"), sp.Symbol("xi", real=True)  # the integral needs sigma > 0; sigma = 0 gives 1
    density = sp.exp(-(xi**2) / 2) / sp.sqrt(2 * sp.pi)
    even = sp.integrate(density * sp.cos(symbols.k * sigma * xi), (xi, -sp.oo, sp.oo))
    odd = sp.integrate(density * sp.sin(symbols.k * sigma * xi), (xi, -sp.oo, sp.oo))
    if sp.simplify(odd) != 0:
        raise ArithmeticError("the sine part of the noise average must vanish")
    return sp.simplify(even).subs(sigma, symbols.sigma)


def _forces(loss: Loss | None) -> tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], Any], Any]:
    """f1', f2', h' as functions of D, and D*. Without a loss: their general first-order Taylor series."""
    if loss is None:
        y = symbols
        D_star, curvature_f2, curvature_h = sp.symbols("D_* f2'' h''", real=True)
        return (
            lambda D: y.c + (-y.kappa - curvature_f2) * (D - D_star),
            lambda D: -y.c + curvature_f2 * (D - D_star),
            lambda D: y.b + curvature_h * (D - D_star),
            D_star,
        )
    loss.refuse_pairs("the field of a single score")
    D0 = sp.Symbol("D", real=True)
    e = loss.expressions

    def at(name: str) -> Callable[[Any], Any]:
        return lambda D: e[name].subs(D0, D)

    return at("df1"), at("df2"), at("dh"), loss.equilibrium


def _order(expression: Any, eps: sp.Symbol, n: int) -> Any:
    """Coefficient of eps^n (n = 0, 1) of a function of eps."""
    return sp.diff(expression, eps, n).subs(eps, 0).doit()


def _mode(expression: Any, x: sp.Symbol) -> Any:
    """Amplitude of cos(kx) in a first-order term, which must be a pure multiple of cos(kx)."""
    amplitude = sp.simplify(expression / sp.cos(symbols.k * x))
    if amplitude.has(x):
        raise ArithmeticError("a mode must not couple to other modes at first order")
    return sp.expand(amplitude)


@cache
def collective_velocity() -> sp.Expr:
    """First-order part of sum_j grad h(D)(x_j) at k != 0: rho b int grad cos(kx) dx over a period. It is 0."""
    y = symbols
    x, D_k = sp.symbols("x D_k", real=True)
    grad_h = y.b * sp.diff(D_k * sp.cos(y.k * x), x)
    return sp.simplify(sp.integrate(y.rho * grad_h, (x, 0, 2 * sp.pi / y.k)))


@cache
def linearize_field(loss: Loss | None = None) -> sp.Matrix:
    """2x2 Jacobian acting on (D_k, q_k), learning rates folded in; without a loss in generic c, b, kappa.

        J = [[-eta_D (nu + (kappa + value) rho K_k + lam rho k^2 K_k), -eta_D c chi K_k],
             [eta_G b chi (g1 - g2) rho k^2,                            0             ]],   chi = exp(-sigma^2 k^2/2)

    Derived by expanding the field of the module docstring to first order in eps. Noise multiplies what one of a pair
    of averages sees: the charge of q in the discriminator's features, and D in the particles' velocity. The terms
    quadratic in the features (kappa, value, R1) are averages over a uniform density, which noise leaves uniform.
    Consensus is not included: it needs parameter coordinates, see ``mode_jacobian``.
    """
    y = symbols
    x, eps, D_k, q_k = sp.symbols("x epsilon D_k q_k", real=True)
    df1, df2, dh, D_star = _forces(loss)
    wave, chi = sp.cos(y.k * x), noise_factor()
    D = D_star + eps * D_k * wave
    p, q = y.rho, y.rho + eps * q_k * wave
    q_seen = _order(q, eps, 0) + eps * chi * _order(q, eps, 1)  # the noisy particles' density

    source = p * df1(D) + q_seen * df2(D) + y.lam * sp.diff(p * sp.diff(D, x), x) - y.value * p * (D - D_star)
    if sp.simplify(_order(source, eps, 0)) != 0:
        raise ArithmeticError("q = p, D = D* must be an equilibrium")
    dD = y.eta_D * (y.K * _mode(_order(source, eps, 1), x) - y.nu * D_k)  # K * cos(kx) = K_k cos(kx)

    grad_h = sp.diff(D, x) * dh(D)
    velocity = y.eta_G * ((y.g1 - y.g2) * chi * _order(grad_h, eps, 1) + y.g2 * collective_velocity() * D_k)
    if sp.simplify(_order(grad_h, eps, 0)) != 0:
        raise ArithmeticError("particles must rest at equilibrium")
    dq = _mode(-sp.diff(_order(q, eps, 0) * velocity, x), x)

    J = sp.Matrix([dD, dq]).jacobian([D_k, q_k])
    return J.applyfunc(sp.factor).as_immutable()


def _consensus(M: Any) -> Any:
    """diag(eta_D, eta_G) (M - gamma M^T M): the field F - gamma grad |F|^2/2 to first order, then learning rates."""
    y = symbols
    return sp.diag(y.eta_D, y.eta_G) * (M - y.gamma * M.T * M)


@cache
def parameter_coordinates() -> sp.Matrix:
    """T with (D_k, q_k) = T (w_k, theta_k): D_k = sqrt(K_k) w_k,  q_k = +sqrt(rho (g1 - g2)) k theta_k.

    With features sqrt(2 K_k/L) cos(kx) on a box of length L the discriminator's weight is sqrt(L/2) w_k; a displacement
    u = -sqrt(g1 - g2) Theta sin(kx) of rho L particles has squared parameter length Theta^2 rho L/2 and
    q_k = rho k sqrt(g1 - g2) Theta, so its parameter is sqrt(L/2) theta_k. The common factor drops out of J^T J.
    """
    y = symbols
    relative = _positive("g")  # g1 - g2 >= 0
    T = sp.diag(sp.sqrt(y.K), sp.sqrt(y.rho * relative) * y.k)
    return T.subs(relative, y.g1 - y.g2).as_immutable()


@cache
def mode_jacobian() -> sp.Matrix:
    """2x2 Jacobian of one mode in the symmetric parameter coordinates (w_k, theta_k), everything included:

    J = diag(eta_D, eta_G) (M - gamma M^T M),   M = [[-A, -c chi mu], [b chi mu, 0]]
    A = nu + (kappa + value) rho K_k + lam beta,  mu^2 = (g1 - g2) beta,  beta = rho k^2 K_k
    """
    y = symbols
    relative = _positive("g")
    bare = linearize_field(None).subs({y.eta_D: 1, y.eta_G: 1}).subs(y.g1, y.g2 + relative)
    T = parameter_coordinates().subs(y.g1, y.g2 + relative)
    M = (T.inv() * bare * T).applyfunc(sp.simplify).subs(relative, y.g1 - y.g2)
    return _consensus(M).as_immutable()


@cache
def oscillator_jacobian() -> sp.Matrix:
    """The same block with A and mu as symbols: diag(eta_D, eta_G)(M - gamma M^T M), M = [[-A, -c mu], [b mu, 0]]."""
    y = symbols
    return _consensus(sp.Matrix([[-y.A, -y.c * y.mu], [y.b * y.mu, 0]])).as_immutable()


@cache
def _entries(which: str) -> Callable[..., list[Any]]:
    matrix, names = {
        "mode": (mode_jacobian, (*MODE_ARGUMENTS, "gamma")),
        "oscillator": (oscillator_jacobian, OSCILLATOR_ARGUMENTS),
    }[which]
    return sp.lambdify([getattr(symbols, name) for name in names], list(matrix()), "numpy", cse=True)


def _blocks(which: str, *arguments: Any) -> np.ndarray:
    arrays = [np.asarray(a)[()] for a in arguments]
    shape = np.broadcast_shapes(*(np.shape(a) for a in arrays))
    entries = [np.broadcast_to(e, shape) for e in _entries(which)(*arrays)]
    return np.stack(entries, axis=-1).reshape(*shape, 2, 2)


def mode_blocks(
    *,
    eta_D: Any,
    eta_G: Any,
    c: Any,
    b: Any,
    kappa: Any,
    K: Any,
    rho: Any,
    k: Any,
    nu: Any,
    lam: Any,
    value: Any,
    g1: Any,
    g2: Any,
    sigma: Any = 0.0,
    gamma: Any = 0.0,
) -> np.ndarray:
    """``mode_jacobian`` in numbers, shape (..., 2, 2); every argument broadcasts. Requires K >= 0 and g1 >= g2.

    Units: time of one update (learning rates folded in). Not checked: signs.
    """
    return _blocks("mode", eta_D, eta_G, c, b, kappa, K, rho, k, nu, lam, value, g1, g2, sigma, gamma)


def oscillator_blocks(*, A: Any, mu: Any, eta_D: Any, eta_G: Any, c: Any, b: Any, gamma: Any = 0.0) -> np.ndarray:
    """``oscillator_jacobian`` in numbers, shape (..., 2, 2): one block per finite-sample mode.

    A: damping of each mode before the learning rate; mu: singular value of its coupling. Every argument broadcasts.
    """
    return _blocks("oscillator", A, mu, eta_D, eta_G, c, b, gamma)
