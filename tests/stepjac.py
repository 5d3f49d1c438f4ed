"""Shared by the linearization tests: the Jacobian of the simulator's own step, and comparison of spectra.

The step is differentiated by a complex step of 1e-30, so its Jacobian is exact to rounding; it never sees the theory.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from egan_theory.linear import eigenvalues, equilibrium, linearize

#: spectra of generic experiments, relative to the spectral radius
SPECTRUM = 1e-9
#: entries of analytic and complex-step Jacobians, relative to the largest entry
ENTRY = 1e-11
#: below this part of the largest, a singular value counts as zero in a numerical rank
RANK = 1e-11
COMPLEX_STEP = 1e-30


def perturbed(blocks, step=COMPLEX_STEP):
    """The blocks of a state, one row per coordinate of it, each row moved by i * step in its coordinate."""
    sizes = [block.size for block in blocks]
    columns = np.split(np.eye(sum(sizes)), np.cumsum(sizes)[:-1], axis=1)
    return tuple(
        block + 1j * step * column.reshape(-1, *block.shape) for block, column in zip(blocks, columns, strict=True)
    )


def derivative(function, blocks):
    """d function(*blocks) / d blocks as one dense matrix; function returns a tuple of arrays, rows first."""
    out = function(*perturbed(blocks))
    rows = [o.imag.reshape(len(o), -1) / COMPLEX_STEP for o in out]
    return np.concatenate(rows, axis=1).T


def at_equilibrium(exp):
    """(field, w, x) at the experiment's equilibrium, the field's features grown to hold it."""
    eq = equilibrium(exp)
    field = eq.field.grown(eq.x)
    return field, field.padded(eq.w, eq.field.features), eq.x


def step_jacobian(exp, rule=None, place=None):
    """Jacobian of one step of the simulator's update rule on (w, x, memory) at equilibrium."""
    rule = exp.update_rule if rule is None else rule
    field, w, x = at_equilibrium(exp) if place is None else place
    start = rule.start(w, x, field.Vw, field.Vx, field.opponents)

    def step(w, x, *memory):
        w, cloud, *memory = rule.step((w, field.place(x), *memory), field.Vw, field.Vx, field.opponents)
        return (w, cloud.x, *memory)

    return derivative(step, start)


def field_jacobian(field, w, x):
    """Jacobian of (V_w, V_x) at any (w, x), by complex step."""
    return derivative(lambda w, x: (field.Vw(w, x), field.Vx(w, x)), (w, x))


def runge_kutta(s, substeps):
    """Multiplier of one unit of time: R(s/n)^n with R the fourth-order Taylor polynomial of exp."""
    h = s / substeps
    return (1 + h + h**2 / 2 + h**3 / 6 + h**4 / 24) ** substeps


def predicted(lin, rule=None):
    """All multipliers of one simulated step, with multiplicity, zero modes as ones."""
    rule = lin.problem.rule if rule is None else rule
    e = eigenvalues(lin, rule)
    z = runge_kutta(e.s, rule.substeps) if rule.continuous else e.z
    return np.concatenate([np.repeat(z, e.multiplicity), np.ones(lin.zero_modes)])


def predicted_flow(lin):
    """All flow eigenvalues, with multiplicity, zero modes as zeros."""
    from egan_theory.tables.updates import UpdateRule

    e = eigenvalues(lin, UpdateRule("flow"))
    return np.concatenate([np.repeat(e.s, e.multiplicity), np.zeros(lin.zero_modes)])


def pair(a, b):
    """Largest |a_i - b_j| of the best one-to-one pairing; inf if the counts differ."""
    a, b = np.asarray(a, complex), np.asarray(b, complex)
    if len(a) != len(b):
        return np.inf
    distance = np.abs(a[:, None] - b[None, :])
    i, j = linear_sum_assignment(distance)
    return float(distance[i, j].max(initial=0.0))


def mismatch(a, b):
    """``pair`` relative to the larger spectral radius."""
    return pair(a, b) / max(np.abs(a).max(), np.abs(b).max())


def polynomial_mismatch(T, z):
    """Relative error of det(y - T) = prod(y - z_i) at complex y outside the spectrum.

    Unlike single eigenvalues, which move by sqrt(eps) where two nearly coalesce in a Jordan block, the determinant is
    well conditioned there; a wrong eigenvalue moves it in proportion.
    """
    radius = max(np.abs(z).max(), 1.0)
    y = 1.5 * radius * np.exp(1j * np.array([0.4, 1.3, 2.4]))
    left = [np.linalg.slogdet(yi * np.eye(len(T)) - T) for yi in y]
    right = np.log(y[:, None] - z).sum(1)
    sign, size = np.array([x[0] for x in left]), np.array([x[1] for x in left])
    return float(np.abs(np.exp(right - size) / sign - 1).max())


def nullity(A, power=1):
    """Dimension of the numerical null space of A^power."""
    sigma = np.linalg.svd(np.linalg.matrix_power(A, power), compute_uv=False)
    return int(np.sum(sigma <= RANK * sigma.max()))


def check_step(exp, rule=None, lin=None, place=None):
    """Assert that theory and simulator agree on one step of a rule: eigenvalues and the number of multipliers 1."""
    lin = linearize(exp) if lin is None else lin
    T = step_jacobian(exp, rule, place)
    z = predicted(lin, rule)
    assert len(z) == len(T)
    assert nullity(T - np.eye(len(T))) == lin.zero_modes
    assert polynomial_mismatch(T, z) <= SPECTRUM
    assert mismatch(np.linalg.eigvals(T), z) <= SPECTRUM
