"""The symbolic room against the theory's tables, particle systems, numerical roots and brute force."""

import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from egan_theory.base.errors import InputError
from egan_theory.symbolic import (
    alternating_n,
    best_r1,
    best_weight_decay,
    characteristic_polynomial,
    continuous_limit,
    critical_r1,
    damping,
    damping_ratio,
    dispersion,
    jury_conditions,
    linearize_field,
    mode_blocks,
    mode_jacobian,
    momentum_values,
    oscillator_blocks,
    stability_conditions,
    step_matrix,
    symbols,
    update_matrices,
)
from egan_theory.tables.losses import LOSSES, single_losses
from egan_theory.tables.penalties import coefficients
from egan_theory.tables.updates import UpdateRule
from tests.entries import values

Y = symbols
EPS = np.finfo(float).eps

# name: (D*, c, b, kappa), typed by hand
TABLE = {
    "wasserstein": ("0", "1", "1", "0"),
    "logistic": ("0", "1/2", "1/2", "1/2"),
    "non_saturating": ("0", "1/2", "1/2", "1/2"),
    "least_squares": ("1/2", "1/2", "1/2", "2"),
    "hinge": ("0", "1", "1", "0"),
    "sobolev": ("0", "1", "1", "0"),
}
TABLE |= {kind: module.NUMBERS for kind, module in values("loss").items()}

RULES = {
    "simultaneous": UpdateRule("simultaneous"),
    "alternating": UpdateRule("alternating"),
    "alternating 3": UpdateRule("alternating", critic_steps=3),
    "extragradient": UpdateRule("extragradient"),
    "optimistic": UpdateRule("optimistic"),
    "momentum D": UpdateRule("simultaneous", momentum_discriminator=0.4),
    "momentum G": UpdateRule("simultaneous", momentum_generator=-0.3),
    "momentum DG": UpdateRule("simultaneous", momentum_discriminator=0.3, momentum_generator=0.6),
    "alternating DG": UpdateRule("alternating", momentum_discriminator=0.5, momentum_generator=-0.2),
    "alternating 2 DG": UpdateRule("alternating", 2, momentum_discriminator=0.5, momentum_generator=0.2),
}

MODE = {
    "eta_D": 0.3, "eta_G": 0.7, "c": 0.5, "b": 0.8, "kappa": 0.6, "K": 1.3, "rho": 2.1, "k": 1.7,
    "nu": 0.05, "lam": 0.2, "value": 0.15, "g1": 1.1, "g2": 0.4, "sigma": 0.25, "gamma": 0.11,
}  # fmt: skip


def same_spectrum(a, b, tolerance):
    """Largest distance in the best greedy matching of two multisets is below tolerance."""
    a, b = list(np.ravel(a)), list(np.ravel(b))
    assert len(a) == len(b)
    for value in a:
        i = int(np.argmin([abs(value - other) for other in b]))
        assert abs(value - b.pop(i)) < tolerance


# ------------------------------------------------------------------------------------------------ linearization


def test_field_is_the_one_written_by_hand():
    beta = Y.rho * Y.k**2 * Y.K
    by_hand = sp.Matrix(
        [
            [-Y.eta_D * (Y.nu + (Y.kappa + Y.value) * Y.rho * Y.K + Y.lam * beta), -Y.eta_D * Y.c * Y.K],
            [Y.eta_G * Y.b * (Y.g1 - Y.g2) * Y.rho * Y.k**2, 0],
        ]
    )
    assert (linearize_field(None).subs(Y.sigma, 0) - by_hand).expand().is_zero_matrix
    chi = sp.exp(-(Y.sigma**2) * Y.k**2 / 2)
    noisy = linearize_field(None)
    assert sp.simplify(noisy[0, 1] - chi * by_hand[0, 1]) == sp.simplify(noisy[1, 0] - chi * by_hand[1, 0]) == 0
    assert sp.expand(noisy[0, 0] - by_hand[0, 0]) == 0


@pytest.mark.parametrize("kind", single_losses())
def test_every_loss_gives_the_coefficients_of_the_table(kind):
    D_star, c, b, kappa = map(sp.nsimplify, TABLE[kind])
    expected = linearize_field(None).subs({Y.c: c, Y.b: b, Y.kappa: kappa})
    assert (linearize_field(LOSSES[kind]) - expected).applyfunc(sp.simplify).is_zero_matrix
    assert LOSSES[kind].equilibrium == D_star


def test_dispersion_is_an_oscillator():
    beta = Y.rho * Y.k**2 * Y.K
    a = Y.eta_D * (Y.nu + (Y.kappa + Y.value) * Y.rho * Y.K + Y.lam * beta)
    w2 = Y.eta_D * Y.eta_G * Y.b * Y.c * (Y.g1 - Y.g2) * beta
    assert sp.expand(dispersion().subs(Y.sigma, 0) - (Y.s**2 + a * Y.s + w2)) == 0
    assert sp.simplify(damping_ratio().subs(Y.sigma, 0) ** 2 - a**2 / (4 * w2)) == 0


def test_fisher_and_sobolev_rows():
    # 2 m alpha and 2 m, reached through the penalties' own coefficients
    p = coefficients(r1=0.0, r2=0.0, weight_decay=0.0, multiplier=1.25, alpha=0.3)
    values = {
        Y.lam: p.grad_p + p.grad_q,
        Y.value: p.value_p + p.value_q,
        Y.nu: p.nu,
        Y.eta_D: 1,
        Y.K: 3,
        Y.rho: 2,
        Y.k: 5,
    }
    damping = -linearize_field(LOSSES["sobolev"])[0, 0].subs(values)
    assert float(damping) == pytest.approx(2 * 1.25 * 0.3 * 2 * 3 + 2 * 1.25 * 2 * 25 * 3, rel=1e-14)


def test_parameter_coordinates_keep_the_spectrum():
    field = (Y.s * sp.eye(2) - linearize_field(None)).det()
    mode = (Y.s * sp.eye(2) - mode_jacobian().subs(Y.gamma, 0)).det()
    relative = sp.Symbol("g", positive=True)
    assert sp.simplify((field - mode).subs(Y.g1, Y.g2 + relative)) == 0


def particle_jacobian(loss, *, L, N, K, eta_D, eta_G, nu, lam, value, g1, g2, sigma, gamma):
    """Complex-step Jacobian of all discriminator weights and N generator parameters, particles on the data.

    Nothing of the continuum is used: features sqrt(2 K_j / L) (cos, sin)(2 pi j x / L), sums over particles,
    x = y + Gamma^(1/2) theta, instance noise by Gauss-Hermite quadrature.
    """
    y = np.arange(N) * L / N
    ks = 2 * np.pi * np.arange(1, len(K) + 1) / L
    amplitude = np.sqrt(2 * np.asarray(K) / L)
    nodes, weights = np.polynomial.hermite_e.hermegauss(30)
    weights = weights / weights.sum()
    if sigma == 0:
        nodes, weights = np.zeros(1), np.ones(1)

    def features(x):
        phase = np.multiply.outer(x, ks)
        psi = np.concatenate([amplitude * np.cos(phase), amplitude * np.sin(phase)], -1)
        dpsi = np.concatenate([-amplitude * ks * np.sin(phase), amplitude * ks * np.cos(phase)], -1)
        return psi, dpsi

    Gamma = (g1 - g2) * np.eye(N) + g2
    values, vectors = np.linalg.eigh(Gamma)
    root = vectors @ np.diag(np.sqrt(values)) @ vectors.T

    def field(u):
        w, theta = u[: 2 * len(ks)], u[2 * len(ks) :]
        x = y + root @ theta
        Fw, pull = -nu * w, np.zeros(N, complex)
        for node, weight in zip(nodes, weights, strict=True):
            p_psi, p_dpsi = features(y + sigma * node)
            q_psi, q_dpsi = features(x + sigma * node)
            Dp, Dq = loss.D0 + p_psi @ w, loss.D0 + q_psi @ w
            charge = (loss.df1(Dp) - value * (Dp - loss.D0)) * np.ones(N)
            Fw = Fw + weight * (charge @ p_psi + (loss.df2(Dq) * np.ones(N)) @ q_psi - lam * (p_dpsi @ w) @ p_dpsi)
            pull = pull + weight * loss.dh(Dq) * (q_dpsi @ w)
        return np.concatenate([Fw, root @ pull])

    n, h = 2 * len(ks) + N, 1e-30
    assert np.max(np.abs(field(np.zeros(n, complex)))) < 1e-12  # an equilibrium
    J = np.stack([field(1j * h * e).imag / h for e in np.eye(n)], axis=1)
    rates = np.repeat([eta_D, eta_G], [2 * len(ks), N])
    return rates[:, None] * (J - gamma * J.T @ J), ks, N / L


@pytest.mark.parametrize(
    "kind, sigma, gamma",
    [("logistic", 0.0, 0.0), ("logistic", 0.4, 0.0), ("least_squares", 0.3, 0.07), ("hinge", 0.0, 0.1)],
)
def test_modes_are_those_of_a_particle_system(kind, sigma, gamma):
    """N particles on a ring: every mode twice (sine and cosine), zeros for the motions that no feature sees."""
    K = [1.3, 0.4, 0.2]
    common = {"eta_D": 0.6, "eta_G": 1.4, "nu": 0.03, "lam": 0.2, "value": 0.15, "g1": 1.2, "g2": 0.5}
    loss = LOSSES[kind]
    full, ks, rho = particle_jacobian(loss, L=5.0, N=9, K=K, sigma=sigma, gamma=gamma, **common)
    blocks = mode_blocks(
        c=loss.c, b=loss.b, kappa=loss.kappa, K=K, rho=rho, k=ks, sigma=sigma, gamma=gamma, **common
    )  # fmt: skip
    modes = np.repeat(np.linalg.eigvals(blocks), 2, axis=0).ravel()
    # degenerate zeros are resolved to sqrt(eps) of the matrix's norm only
    same_spectrum(np.concatenate([modes, np.zeros(9 - 6)]), np.linalg.eigvals(full), 1e-7 * np.linalg.norm(full))


def test_mode_blocks_match_the_oscillator_and_broadcast():
    K, k = np.array([[1.3], [0.0], [0.2]]), np.array([0.5, 1.7])
    v = MODE | {"K": K, "k": k}
    blocks = mode_blocks(**v)
    assert blocks.shape == (3, 2, 2, 2)
    beta = v["rho"] * k**2 * K
    A = v["nu"] + (v["kappa"] + v["value"]) * v["rho"] * K + v["lam"] * beta
    mu = np.exp(-(v["sigma"] ** 2) * k**2 / 2) * np.sqrt((v["g1"] - v["g2"]) * beta)
    expected = oscillator_blocks(A=A, mu=mu, **{n: v[n] for n in ("eta_D", "eta_G", "c", "b", "gamma")})
    np.testing.assert_allclose(blocks, expected, rtol=1e-13, atol=1e-15)
    M = np.array([[-A[0, 1], -v["c"] * mu[0, 1]], [v["b"] * mu[0, 1], 0]])
    direct = np.diag([v["eta_D"], v["eta_G"]]) @ (M - v["gamma"] * M.T @ M)
    np.testing.assert_allclose(blocks[0, 1], direct, rtol=1e-13)
    assert mode_blocks(**MODE).shape == (2, 2)
    assert mode_blocks(**(MODE | {"sigma": np.zeros(4)})).shape == (4, 2, 2)


def test_rigid_cloud_has_no_relative_motion():
    block = mode_blocks(**(MODE | {"g2": MODE["g1"]}))
    assert np.all(block[[0, 1, 1], [1, 0, 1]] == 0) and block[0, 0] < 0


DIRAC = {"eta_D": 1, "eta_G": 1, "K": 1.0, "rho": 1.0, "k": 1.0, "nu": 0.0, "lam": 0.0, "value": 0.0, "g1": 1, "g2": 0}


@pytest.mark.parametrize("kind, slope", [("wasserstein", 1.0), ("logistic", 0.5), ("non_saturating", 0.5)])
def test_dirac_gan_table(kind, slope):
    """Mescheder, Geiger, Nowozin 2018. One point sees D = psi x: beta = 1, and no curvature without noise."""
    loss = LOSSES[kind]
    common = DIRAC | {"c": loss.c, "b": loss.b}

    def eigenvalues(**changes):
        return np.linalg.eigvals(mode_blocks(**(common | {"kappa": 0.0} | changes)))

    same_spectrum(eigenvalues(), [1j * slope, -1j * slope], 1e-14)
    g = 0.3
    root = np.emath.sqrt(g**2 / 4 - slope**2)
    same_spectrum(eigenvalues(lam=g), [-g / 2 + root, -g / 2 - root], 1e-14)
    same_spectrum(eigenvalues(nu=g), [-g / 2 + root, -g / 2 - root], 1e-14)
    same_spectrum(eigenvalues(gamma=g), [-g * slope**2 + 1j * slope, -g * slope**2 - 1j * slope], 1e-14)
    # noise of std s gives the feature x the mean square s^2 (rho K) and leaves its slope: beta = rho k^2 K = 1
    s, f2 = 0.8, -loss.kappa / 2
    root = np.emath.sqrt(f2**2 * s**4 - slope**2)
    noisy = eigenvalues(kappa=loss.kappa, K=s**2, k=1 / s)
    same_spectrum(noisy, [f2 * s**2 + root, f2 * s**2 - root], 1e-14)
    if kind == "logistic":  # rule of thumb: R1 of s^2/2 has the same trace
        assert noisy.sum().real == pytest.approx(eigenvalues(lam=s**2 / 2).sum().real, rel=1e-13)


# -------------------------------------------------------------------------------------------------- update maps


def test_polynomials_written_by_hand():
    z, a, w2 = Y.z, Y.a, Y.w2
    simultaneous = characteristic_polynomial(RULES["simultaneous"]).as_expr()
    alternating = characteristic_polynomial(RULES["alternating"]).as_expr()
    assert sp.expand(simultaneous - (z**2 - (2 - a) * z + 1 - a + w2)) == 0
    assert sp.expand(alternating - (z**2 - (2 - a - w2) * z + 1 - a)) == 0
    assert {sp.expand(c) for c in stability_conditions(RULES["simultaneous"])} == {w2, a - w2, 4 - 2 * a + w2}
    assert {sp.expand(c) for c in stability_conditions(RULES["alternating"])} == {w2, a, 4 - 2 * a - w2}


def test_polynomials_in_the_eigenvalues_of_J():
    """Extragradient: z = 1 + s + s^2; optimistic: z^2 - (1 + 2s) z + s = 0; for any J, not only the oscillator."""
    s1, s2 = sp.symbols("s1 s2")
    J = sp.Matrix([[s1 + 3 * (s2 - s1), 2 * (s1 - s2)], [3 * (s2 - s1), s2 + 3 * (s1 - s2)]])  # eigenvalues s1, s2
    assert sp.expand(J.trace() - s1 - s2) == 0 and sp.expand(J.det() - s1 * s2) == 0
    expected = {
        "extragradient": [Y.z - 1 - s - s**2 for s in (s1, s2)],
        "optimistic": [Y.z**2 - (1 + 2 * s) * Y.z + s for s in (s1, s2)],
    }
    for name, factors in expected.items():
        polynomial = step_matrix(RULES[name], J).charpoly(Y.z).as_expr()
        assert sp.expand(polynomial - sp.prod(factors)) == 0
        in_a = characteristic_polynomial(RULES[name]).as_expr().subs({Y.a: -s1 - s2, Y.w2: s1 * s2})
        assert sp.expand(in_a - sp.prod(factors)) == 0


@pytest.mark.parametrize("name", RULES)
def test_update_matrices_are_the_rule_itself(name):
    """The matrix power against the rule stepped on numbers, and its roots against the polynomial's."""
    rule, rng = RULES[name], np.random.default_rng(5)
    blocks = rng.normal(size=(4, 3, 2, 2)) * 0.5
    maps = update_matrices(rule, blocks)
    m = 2 + len(rule.blocks)
    assert maps.shape == (4, 3, m, m)
    J = blocks[2, 1]

    def Vw(w, x):
        return J[0, 0] * w + J[0, 1] * x

    def Vx(w, x):
        return J[1, 0] * w + J[1, 1] * x

    state = rule.start(0.7, -0.4, Vw, Vx)
    vector = np.array(state)
    for _ in range(5):
        state, vector = rule.step(state, Vw, Vx), maps[2, 1] @ vector
    np.testing.assert_allclose(vector, state, rtol=1e-12)
    symbolic = np.array(step_matrix(rule, sp.Matrix(J)), dtype=float)
    np.testing.assert_allclose(symbolic, maps[2, 1], rtol=1e-13, atol=1e-15)

    a, w = 0.6, 0.9
    polynomial = characteristic_polynomial(rule).as_expr().subs({Y.a: a, Y.w2: w**2} | momentum_values(rule))
    roots = np.roots([float(v) for v in sp.Poly(polynomial, Y.z).all_coeffs()])
    same_spectrum(np.linalg.eigvals(update_matrices(rule, np.array([[-a, -w], [w, 0]]))), roots, 1e-6)


def test_complex_blocks_are_kept():
    block = np.array([[-0.1j, -1.0], [1.0, 0.0]])
    assert update_matrices(RULES["simultaneous"], block)[0, 0] == 1 - 0.1j


def test_flow_is_exponential_and_has_no_polynomial():
    block = np.array([[-0.3, -0.8], [0.7, 0.0]])
    errors = []
    for substeps in (4, 8):
        matrix = update_matrices(UpdateRule("flow", substeps=substeps), block)
        errors.append(np.max(np.abs(matrix - expm(block))))
    assert errors[0] < 1e-4 and 3.8 < np.log2(errors[0] / errors[1]) < 4.4
    for refused in (
        lambda: step_matrix(UpdateRule("flow"), sp.eye(2)),
        lambda: characteristic_polynomial(UpdateRule("flow")),
        lambda: stability_conditions(UpdateRule("flow")),
    ):
        with pytest.raises(InputError, match=r"update.rule: must be a discrete rule.*eigenvalues of the Jacobian"):
            refused()
    with pytest.raises(InputError, match=r"update.critic_steps: must be a whole number >= 1.*found n"):
        characteristic_polynomial(UpdateRule("alternating", critic_steps=Y.n))


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_closed_form_of_n_critic_steps(n):
    closed = alternating_n().as_expr().subs(Y.n, n)
    counted = characteristic_polynomial(UpdateRule("alternating", critic_steps=n)).as_expr()
    assert sp.simplify(closed - counted) == 0
    # no damping: on the unit circle iff omega^2 n <= 4 (Mescheder et al. 2018: h f' sqrt(n) <= 2)
    undamped = sp.Poly(counted.subs(Y.a, 0), Y.z)
    assert sp.expand(undamped.as_expr() - (Y.z**2 - (2 - n * Y.w2) * Y.z + 1)) == 0
    for w2, inside in ((3.99 / n, True), (4.01 / n, False)):
        roots = np.roots([float(v.subs(Y.w2, w2)) for v in undamped.all_coeffs()])
        assert (np.max(np.abs(roots)) < 1 + 1e-7) == inside


def test_conditions_of_n_critic_steps_for_every_n():
    conditions = jury_conditions(alternating_n())
    rng = np.random.default_rng(3)
    checked = {True: 0, False: 0}
    for n in (1, 2, 5, 8):
        f = sp.lambdify([Y.a, Y.w2], [c.subs(Y.n, n) for c in conditions])
        for a, w2 in zip(rng.uniform(-0.5, 2.5, 200), rng.uniform(0, 4, 200), strict=True):
            radius = spectral_radius(UpdateRule("alternating", critic_steps=n), a, w2)
            if abs(radius - 1) > 1e-6:
                stable = min(f(a, w2)) > 0
                assert stable == (radius < 1)
                checked[stable] += 1
    assert min(checked.values()) > 100


def spectral_radius(rule, a, w2):
    w = np.sqrt(w2)
    blocks = np.stack([-a, -w, w, 0 * w], -1).reshape(*np.shape(a), 2, 2)
    return np.max(np.abs(np.linalg.eigvals(update_matrices(rule, blocks))), axis=-1)


@pytest.mark.parametrize("name", RULES)
def test_jury_conditions_decide_like_the_roots(name):
    """3,000 draws of damping and frequency per rule, 8 draws of the momenta."""
    rng, seen = np.random.default_rng(11), []
    base = RULES[name]
    f = sp.lambdify([Y.a, Y.w2, Y.beta_D, Y.beta_G], stability_conditions(base), "numpy")
    for _ in range(8):
        bD, bG = (
            rng.uniform(-0.99, 0.99) if m else 0.0 for m in (base.momentum_discriminator, base.momentum_generator)
        )
        rule = UpdateRule(base.rule, base.critic_steps, bD, bG)
        a, w2 = rng.uniform(-0.5, 4.5, 375), rng.uniform(0, 1, 375) * rng.choice([0.3, 2, 8], 375)
        radius = spectral_radius(rule, a, w2)
        stable = np.min(np.broadcast_arrays(*f(a, w2, bD, bG)), axis=0) > 0
        clear = np.abs(radius - 1) > 1e-6
        np.testing.assert_array_equal(stable[clear], radius[clear] < 1)
        seen.append(stable[clear])
    share = np.mean(np.concatenate(seen))
    assert 0.01 < share < 0.9


@cache
def general_conditions(degree):
    a = sp.symbols(f"a0:{degree}")
    poly = sp.Poly([1, *a[::-1]], Y.z)
    return sp.lambdify([a], jury_conditions(poly))


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@settings(deadline=None)  # the first draw derives the table
@given(data=st.data())
def test_jury_table_of_any_polynomial(degree, data):
    size = st.floats(-1.6, 1.6).map(lambda v: v or 0.3)
    roots = []
    for _ in range(degree // 2):
        u, v, complex_pair = data.draw(size), data.draw(size), data.draw(st.booleans())
        roots += [complex(u, v), complex(u, -v)] if complex_pair else [u, v]
    if degree % 2:
        roots.append(data.draw(size))
    radius = np.max(np.abs(roots))
    if np.min(np.abs(np.abs(roots) - 1)) > 1e-3:
        coefficients_ = np.real(np.poly(roots))
        assert (min(general_conditions(degree)(coefficients_[:0:-1])) > 0) == (radius < 1)


def test_undamped_bounds():
    """a = 0: optimistic steps are stable for omega^2 < 1/3, extragradient for omega^2 < 1, simultaneous never."""
    for name, bound in (("optimistic", 1 / 3), ("extragradient", 1.0)):
        f = sp.lambdify(Y.w2, [c.subs(Y.a, 0) for c in stability_conditions(RULES[name])])
        assert min(f(bound * 0.999)) > 0 > min(f(bound * 1.001))
    assert Y.a - Y.w2 in stability_conditions(RULES["simultaneous"])


def test_r1_step_size_bound_of_the_dirac_gan():
    # stable iff h < gamma / f'^2 with a = gamma h, w2 = (f' h)^2
    h, gamma, slope = sp.symbols("h gamma f", positive=True)
    at = {Y.a: gamma * h, Y.w2: (slope * h) ** 2}
    binding = (Y.a - Y.w2).subs(at)
    assert sp.solve(binding, h) == [gamma / slope**2]


@pytest.mark.parametrize("name", RULES)
def test_small_steps_are_the_continuous_flow(name):
    """z = 1 + s h + O(h^2) with the rates the rule effectively has: n critic steps, 1/(1 - beta)."""
    rule = RULES[name]
    n = rule.critic_steps if rule.rule == "alternating" else 1
    gain_D, gain_G = n / (1 - Y.beta_D), 1 / (1 - Y.beta_G)
    limit = Y.s**2 + Y.a * gain_D * Y.s + Y.w2 * gain_D * gain_G
    moving = {m: 0 for m, v in momentum_values(rule).items() if v == 0}
    assert sp.simplify((continuous_limit(rule) - limit).subs(moving)) == 0

    a, w2 = 0.7, 1.9
    at = {Y.a: a, Y.w2: w2} | momentum_values(rule)
    s = np.roots([float(v) for v in sp.Poly(limit.subs(at), Y.s).all_coeffs()])
    errors = []
    for h in (1e-3, 5e-4):
        z = np.linalg.eigvals(update_matrices(rule, h * np.array([[-a, -np.sqrt(w2)], [np.sqrt(w2), 0]])))
        errors.append(max(np.min(np.abs(z - 1 - h * value)) for value in s))
    if name == "simultaneous":  # exact
        assert max(errors) < 1e-15
    else:
        assert 1.9 < np.log2(errors[0] / errors[1]) < 2.1


# ------------------------------------------------------------------------------------------------------ damping


def slowest(a, w2):
    """-max Re s over modes."""
    root = np.emath.sqrt(np.asarray(a, complex) ** 2 / 4 - w2)
    return np.min(np.asarray(a) / 2 - np.abs(root.real))


def test_critical_damping():
    a = damping.damping_and_frequency()[0]
    at_critical = (damping_ratio() - 1).subs(Y.lam, critical_r1() / Y.eta_D)
    assert sp.simplify(at_critical) == 0 and a.has(Y.kappa)
    alone = damping.in_stiffness(critical_r1().subs({Y.nu: 0, Y.kappa: 0, Y.value: 0}))
    assert sp.simplify(alone - 2 * sp.sqrt(damping.G / damping.beta)) == 0


def test_best_r1_formula_and_limits():
    G, low, high = damping.G, damping.beta_min, damping.beta_max
    best = damping.best_r1_formula()
    assert sp.simplify(best.strength**2 - 4 * G * high / (low * (2 * high - low))) == 0
    assert sp.simplify(best.rate**2 - G * low * high / (2 * high - low)) == 0
    assert sp.simplify(sp.limit(best.strength, high, low) - 2 * sp.sqrt(G / low)) == 0
    assert sp.simplify(sp.limit(best.rate, high, low) - sp.sqrt(G * low)) == 0
    assert sp.simplify(sp.limit(best.strength, high, sp.oo) - sp.sqrt(2 * G / low)) == 0
    assert sp.simplify(sp.limit(best.rate, high, sp.oo) - sp.sqrt(G * low / 2)) == 0
    np.testing.assert_allclose(best_r1(2.0, 0.5, np.inf), (np.sqrt(8.0), np.sqrt(0.5)), rtol=4 * EPS)
    strength, rate = best_r1(np.ones(3), np.ones(3), np.array([1.0, 2.0, np.inf]))
    assert strength.shape == rate.shape == (3,)


def test_best_r1_against_brute_force():
    """200 random spectra, 4,001 strengths each: the scan never beats the formula and comes close to it."""
    rng = np.random.default_rng(7)
    for _ in range(200):
        G = 10 ** rng.uniform(-3, 2)
        beta = 10 ** rng.uniform(-2, rng.uniform(-2, 3), size=rng.integers(1, 12))
        strength, rate = best_r1(G, beta.min(), beta.max())
        assert slowest(strength * beta, G * beta) == pytest.approx(rate, rel=1e-6)
        scan = strength * np.geomspace(0.2, 5, 4001)
        a = scan[:, None] * beta
        rates = np.min(a / 2 - np.sqrt(np.maximum(a**2 / 4 - G * beta, 0)), axis=1)
        assert rates.max() <= rate * (1 + 1e-6)
        assert scan[np.argmax(rates)] == pytest.approx(strength, rel=1e-3)


def test_best_weight_decay_against_brute_force():
    rng = np.random.default_rng(8)
    for _ in range(50):
        w = 10 ** rng.uniform(-2, 2, size=6)
        strength, rate = best_weight_decay(w.min())
        assert (strength, rate) == (2 * w.min(), w.min())
        scan = strength * np.geomspace(0.2, 5, 2001)
        rates = [slowest(np.full(6, a), w**2) for a in scan]
        assert scan[int(np.argmax(rates))] == pytest.approx(strength, rel=2e-3)
        assert max(rates) <= rate * (1 + 1e-6)


def test_zero_modes_are_refused():
    with pytest.raises(InputError, match=r"beta_min: must be > 0 and finite \(zero modes"):
        best_r1(1.0, 0.0, 1.0)
    with pytest.raises(InputError, match="beta_max: must be at least beta_min"):
        best_r1(1.0, 2.0, 1.0)
    with pytest.raises(InputError, match="w_min: must be > 0"):
        best_weight_decay(float("nan"))


def test_function_space_limit():
    """Khrulkov et al. 2021: s^2 + (a + gamma xi) s + c^2 xi = 0, and its best gamma."""
    xi, c = sp.Symbol("xi", positive=True), sp.Symbol("c_", positive=True)
    free = {Y.K: 1 / Y.rho, Y.k: sp.sqrt(xi), Y.b: c, Y.c: c, Y.g1: 1, Y.eta_D: 1, Y.eta_G: 1}
    got = dispersion().subs(free | dict.fromkeys((Y.g2, Y.nu, Y.value, Y.sigma), 0))
    assert sp.expand(got - (Y.s**2 + (Y.kappa + Y.lam * xi) * Y.s + c**2 * xi)) == 0
    xi_1, coupling = 0.8, 1.7
    np.testing.assert_allclose(best_r1(coupling**2, xi_1, xi_1).strength, 2 * coupling / np.sqrt(xi_1), rtol=4 * EPS)
    broad = (coupling * np.sqrt(2 / xi_1), coupling * np.sqrt(xi_1 / 2))
    np.testing.assert_allclose(best_r1(coupling**2, xi_1, np.inf), broad, rtol=4 * EPS)


def test_package_imports_without_sympy():
    code = "import sys, egan_theory; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
