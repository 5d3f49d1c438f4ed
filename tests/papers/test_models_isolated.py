"""Several generated points on one true point: derivation, the simulator's own step Jacobian, and simulation."""

import numpy as np
import pytest
import sympy as sp
from scipy.optimize import minimize_scalar

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.linear import equilibrium, linearize
from egan_theory.papers.isolated import best_ridge, isolated_points, local_modes, single_point_threshold, symbolic_field
from tests.stepjac import check_step, pair, predicted_flow

SIGMA, MU = 0.4, 0.8
TIGHT = 1e-9
#: weights and the masses on each point; sums are 1
CASES = {
    "matched": ((0.5, 0.5), ((0.25, 0.25), (0.5,))),
    "unmatched": ((0.5, 0.3, 0.2), ((0.1, 0.1, 0.1), (0.2, 0.2), (0.3,))),
    "unequal": ((0.6, 0.4), ((0.2, 0.05, 0.1), (0.25, 0.4))),
}


# -- derivation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3])
def test_equal_masses_separate(count):
    """det(s - J) = (s^2 + 2 h s + mu m p/sigma^2) (s - relative)^(count - 1), from the kernel by SymPy."""
    field, state, y = symbolic_field(count)
    m, s = sp.Symbol("m", positive=True), sp.Symbol("s")
    J = field.jacobian(state).subs({each: m for each in y["masses"]})
    delta = y["p"] - count * m
    relative = -y["mu"] * m * delta / (y["nu"] * y["sigma"] ** 2)
    centre = s**2 + (y["nu"] - relative) * s + y["mu"] * m * y["p"] / y["sigma"] ** 2
    assert sp.simplify(J.charpoly(s).as_expr() - centre * (s - relative) ** (count - 1)) == 0


@pytest.mark.parametrize("masses", [(0.1, 0.1), (0.3,), (0.2, 0.05, 0.1), (0.3, 0.25)])
def test_numbers_are_those_of_the_symbolic_field(masses):
    field, state, y = symbolic_field(len(masses))
    values = {y["nu"]: 0.3, y["mu"]: MU, y["p"]: 0.4, y["sigma"]: SIGMA} | dict(zip(y["masses"], masses, strict=True))
    J = np.array(field.jacobian(state).subs(values), dtype=float)
    found = local_modes(0.4, masses, SIGMA, 0.3, MU)
    assert pair(found.all, np.linalg.eigvals(J)) <= TIGHT
    if len(set(masses)) == 1:
        assert pair(found.all, [*found.centre, *[found.relative] * (len(masses) - 1)]) <= TIGHT
    else:
        assert np.isnan(found.relative)


def test_threshold_of_a_single_point():
    """Trace of the pair, -(nu + mu m Delta/(nu sigma^2)): its determinant is positive, so it alone decides."""
    nu, mu, m, p, sigma = sp.symbols("nu mu m p sigma", positive=True)
    field, state, y = symbolic_field(1)
    J = field.jacobian(state).subs({y["masses"][0]: m})
    trace = sp.simplify(J.trace().subs({y["nu"]: nu, y["mu"]: mu, y["p"]: p, y["sigma"]: sigma}))
    root = [r for r in sp.solve(sp.Eq(trace, 0), nu) if r.could_extract_minus_sign() is False]
    assert any(sp.simplify(r**2 - mu * m * (m - p) / sigma**2) == 0 for r in root)
    assert sp.simplify(J.det().subs({y["mu"]: mu, y["p"]: p, y["sigma"]: sigma}) - mu * m * p / sigma**2) == 0
    edge = single_point_threshold(0.1, 0.25, SIGMA, MU)
    for factor, stable in ((1.001, True), (0.999, False)):
        assert local_modes(0.1, [0.25], SIGMA, factor * edge, MU).stable == stable
    assert single_point_threshold(0.3, 0.25, SIGMA, MU) == 0.0


@pytest.mark.parametrize(("p", "mass", "count"), [(0.4, 0.1, 2), (0.4, 0.1, 1), (0.5, 0.03, 3)])
@pytest.mark.parametrize("values", [True, False])
def test_best_ridge_by_brute_force(p, mass, count, values):
    def rate(nu):
        own = local_modes(p, [mass] * count, SIGMA, nu, MU).all.real
        return -max(own.max(), -nu if values else -np.inf)

    best = best_ridge(p, mass, count, SIGMA, MU, values=values)
    # double roots: rounding moves them by its square root
    assert rate(best.nu) == pytest.approx(best.rate, rel=1e-6)
    scan = np.geomspace(best.nu / 30, best.nu * 30, 4001)
    rates = np.array([rate(nu) for nu in scan])
    assert rates.max() <= best.rate * (1 + 1e-6)
    near = scan[np.argmax(rates)]
    found = minimize_scalar(lambda nu: -rate(nu), bounds=(near * 0.99, near * 1.01), method="bounded")
    if count > 1 or values:
        assert found.x == pytest.approx(best.nu, rel=3e-3)
    assert -found.fun == pytest.approx(best.rate, rel=3e-3)


def test_best_ridges_differ():
    """The ridge sqrt(m Delta)/sigma is best only for several points and where the discriminator's values count: the
    points alone converge faster at a smaller one, and a single point with all its modes at a larger one."""
    single = best_ridge(0.4, 0.1, 1, SIGMA)
    assert single.nu > 1.5 * np.sqrt(0.1 * 0.3) / SIGMA and single.rate == pytest.approx(np.sqrt(0.1 * 0.4) / SIGMA)
    all_, points = (best_ridge(0.4, 0.1, 2, SIGMA, values=v) for v in (True, False))
    assert all_.nu == pytest.approx(np.sqrt(0.1 * 0.2) / SIGMA)
    assert points.nu < all_.nu and points.rate > 1.3 * all_.rate


# -- the simulator --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("update", [{"rule": "flow"}, {"rule": "alternating"}])
def test_modes_are_the_simulators(case, update):
    """The general route (equilibrium with D != D*, dense Jacobian) and the simulator's own step against local_modes."""
    weights, masses = CASES[case]
    rate, nu = 0.2, 0.35
    exp = isolated_points(weights, masses, sigma=SIGMA, nu=nu, mu=MU, rate=rate, update=update)
    lin = linearize(exp)
    expected = np.concatenate([local_modes(p, m, SIGMA, nu, MU).all for p, m in zip(weights, masses, strict=True)])
    s = predicted_flow(lin) / rate
    expected = np.concatenate([expected, np.full(len(s) - len(expected), -nu)])
    assert pair(s, expected) <= 1e-7  # zero modes of matched points: double roots
    if case != "matched":
        check_step(exp)
    assert equilibrium(exp).matched == (case == "matched")


def growth(path, time):
    """Rate of exponential growth by a straight line through the logarithm."""
    return np.polyfit(time, np.log(np.abs(path)), 1)[0]


@pytest.mark.parametrize(("each", "sign"), [(0.28, 1), (0.1, -1)])
def test_relative_motion_in_simulation(each, sign):
    """Two points on a true one of mass 0.4: Delta < 0 splits them and Delta > 0 joins them, at the predicted rate."""
    weights, masses = (0.4, 0.6), ((each, each), (1 - 2 * each,))
    nu = 0.6
    exp = isolated_points(weights, masses, sigma=SIGMA, nu=nu, mu=MU).replace(
        {"run.steps": 12, "run.record_every": 1, "run.runs": 3, "run.kick": 1e-6 * SIGMA}
    )
    runs = eg.simulate(exp)
    x = runs["particles"].values[..., 0]
    apart = x[:, :, 0] - x[:, :, 1]
    predicted = local_modes(0.4, masses[0], SIGMA, nu, MU).relative
    assert np.sign(predicted) == sign
    for run in apart:
        assert growth(run, runs["time"].values) == pytest.approx(predicted, rel=1e-3)


def test_a_split_point_comes_apart_by_a_width():
    """Beyond the linear regime: with Delta < 0 two points end of the order of sigma apart, not on the true point."""
    exp = isolated_points((0.4, 0.6), ((0.3, 0.3), (0.4,)), sigma=SIGMA, nu=0.6, mu=MU).replace(
        {"run.steps": 120, "run.record_every": 120, "run.runs": 2, "run.kick": 1e-3 * SIGMA}
    )
    x = eg.simulate(exp)["particles"].values[:, -1, :2, 0]
    assert np.all(np.abs(x[:, 0] - x[:, 1]) > 0.5 * SIGMA)


def test_single_point_in_simulation():
    """Just above the threshold ridge a kick decays, just below it grows, at the predicted rates."""
    edge = single_point_threshold(0.1, 0.25, SIGMA, MU)
    for factor in (1.3, 0.7):
        nu = factor * edge
        exp = isolated_points((0.1, 0.9), ((0.25,), (0.75,)), sigma=SIGMA, nu=nu, mu=MU).replace(
            {"run.steps": 40, "run.record_every": 1, "run.runs": 2, "run.kick": 1e-8 * SIGMA}
        )
        runs = eg.simulate(exp)
        x = runs["particles"].values[:, :, 0, 0] - equilibrium(exp).x[0, 0]
        s = local_modes(0.1, [0.25], SIGMA, nu, MU).centre[0]
        # x_(n+1) - 2 Re(z) x_n + |z|^2 x_(n-1) = 0
        for run in x:
            A = np.stack([run[1:-1], -run[:-2]], -1)
            twice, square = np.linalg.lstsq(A, run[2:], rcond=None)[0]
            z = np.exp(s)
            assert (twice, square) == (
                pytest.approx(2 * z.real, rel=1e-3, abs=1e-3),
                pytest.approx(abs(z) ** 2, rel=1e-3),
            )
            assert (square < 1) == (factor > 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [(lambda: local_modes(0.1, [], SIGMA, 0.1), "masses: must hold positive"),
     (lambda: local_modes(0.1, [0.1], SIGMA, 0.0), "nu: must be greater than 0"),
     (lambda: best_ridge(0.1, 0.1, 2, SIGMA), "mass: must leave Delta"),
     (lambda: isolated_points((1.0,), (), sigma=1.0, nu=0.1), "masses: must hold one list")],
)  # fmt: skip
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
