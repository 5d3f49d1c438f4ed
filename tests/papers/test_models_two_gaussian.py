"""The two-Gaussian interval GAN: best intervals, gradients, equilibria, stable numbers of inner steps, success."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from egan_theory.base.errors import InputError
from egan_theory.papers import two_gaussian as tg
from egan_theory.papers.two_gaussian import equilibria, intervals, training
from egan_theory.papers.two_gaussian.intervals import TRUE_MEANS
from tests.stepjac import pair

EPS = np.finfo(float).eps
#: the grid's own error: midpoint rule with kinks at the zeros, spacing^2 times the slope of p - q
SPACING = 5e-4
#: central differences of smooth functions of order 1: eps^(2/3)
DIFFERENCE = 1e-9
MEANS = st.lists(st.floats(-4, 4), min_size=2, max_size=2).map(np.array)


def grid(width=13.0):
    return np.arange(-width, width, SPACING) + SPACING / 2


# -- the objective --------------------------------------------------------------------------------------------------


def test_gradients_are_those_of_the_objective():
    """L = sum over intervals of P - Q mass (and a constant), differentiated by SymPy."""
    ends, means = sp.symbols("l1 r1 l2 r2"), sp.symbols("mu1 mu2")
    cdf = lambda x: (1 + sp.erf(x / sp.sqrt(2))) / 2  # noqa: E731
    half = lambda x, m: (cdf(x - m[0]) + cdf(x - m[1])) / 2  # noqa: E731
    signs = (-1, 1, -1, 1)
    L = sum(s * (half(e, (-1, 1)) - half(e, means)) for s, e in zip(signs, ends, strict=True))
    rng = np.random.default_rng(3)
    e, m = np.sort(rng.normal(size=4)), rng.normal(size=2)
    at = dict(zip((*ends, *means), (*e, *m), strict=True))
    number = lambda expression: float(expression.subs(at))  # noqa: E731
    found = training.SIGNS * intervals.excess(e, m)
    np.testing.assert_allclose([number(L.diff(v)) for v in ends], found, rtol=1e-13, atol=4 * EPS)
    np.testing.assert_allclose([-number(L.diff(v)) for v in means], training.generator_force(e, m), rtol=1e-13)
    cross = [[number(L.diff(v, u)) for u in means] for v in ends]
    np.testing.assert_allclose(training.force_on_ends_by_means(e, m), cross, rtol=1e-13, atol=4 * EPS)
    second = [number(L.diff(v, 2)) for v in ends]
    np.testing.assert_allclose(training.SIGNS * intervals.excess_slope(e, m), second, rtol=1e-12)
    assert number(L) == pytest.approx(float(intervals.mass(e, TRUE_MEANS) - intervals.mass(e, m)), abs=8 * EPS)


@given(roots=st.lists(st.floats(-2, 2), min_size=3, max_size=3, unique=True))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_zeros_of_exponential_sums(roots):
    """(y - y1)(y - y2)(y - y3) with y = e^x has its three zeros at x = log y_i."""
    roots = np.sort(roots)
    if np.diff(roots).min() < 1e-2:
        return
    c = np.poly(np.exp(roots))[::-1]
    found = intervals.exponential_zeros(np.sign(c), np.log(np.abs(c)), np.arange(4.0), np.array(-9.0), np.array(9.0))
    np.testing.assert_allclose(found, roots, atol=1e-8)  # zeros 1e-2 apart magnify rounding by 1e4 to 1e5


@given(means=MEANS)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_best_intervals_attain_the_total_variation(means):
    x = grid()
    difference = intervals.excess(x, means)
    brute = SPACING * np.maximum(difference, 0).sum()
    assert abs(tg.total_variation(means) - brute) <= SPACING**2
    ends = tg.best_intervals(means)
    assert np.all(np.diff(ends) >= 0)
    inside = ((x > ends[0]) & (x < ends[1])) | ((x > ends[2]) & (x < ends[3]))
    # away from the zeros, and where the densities are above rounding
    decided = np.abs(difference) > 1e-9
    assert np.array_equal(inside[decided], difference[decided] > 0)
    # Descartes: at most three sign changes
    assert np.sum(np.diff(np.sign(difference[decided])) != 0) <= 3


def test_known_total_variation():
    """Means far away: disjoint, also where densities underflow; one mean far away: half. Swapped means: equal."""
    assert tg.total_variation(np.array([[30.0, 30.0], [-70.0, 90.0]])) == pytest.approx(1, abs=8 * EPS)
    assert tg.total_variation(np.array([1.0, 500.0])) == pytest.approx(0.5, abs=8 * EPS)
    assert tg.total_variation(np.array([[-1.0, 1.0], [1.0, -1.0]])) == pytest.approx(0, abs=4 * EPS)


def test_projection_is_the_nearest_sorted_point():
    """<e - y, z - y> <= 0 for every sorted z, and y is sorted: the definition of the projection on a convex cone."""
    rng = np.random.default_rng(0)
    e = rng.normal(size=(300, 4))
    y = training.isotonic(e)
    assert np.all(np.diff(y, axis=-1) >= -4 * EPS)
    z = np.sort(2 * rng.normal(size=(200, 1, 4)), axis=-1)
    assert np.all(((e - y) * (z - y)).sum(-1) <= 1e-13)
    moved = np.abs(e - y).max(-1) > 0
    assert 0.8 < moved.mean() < 1  # 23 of 24 orders are wrong
    np.testing.assert_array_equal(training.isotonic(np.sort(e, axis=-1)), np.sort(e, axis=-1))


# -- equilibria -----------------------------------------------------------------------------------------------------


def jacobian(function, v, h=1e-5):
    """Central differences, rows = outputs."""
    steps = h * np.eye(len(v))
    return np.stack([(function(v + s) - function(v - s)) / (2 * h) for s in steps], axis=-1)


def free_jacobian(ends):
    """Of (dL/de, -dL/dmu), (6, 6), at balanced ends and the true means, from the derivative of the ends' force."""
    C = -training.force_on_ends_by_means(ends, TRUE_MEANS).T
    return np.block([[np.zeros((4, 4)), -C.T], [C, np.diag(-C.sum(1))]])


def at(v, setting):
    means, ends = training.one_step(setting, v[None, 4:], v[None, :4])
    return np.concatenate([ends[0], means[0]])


@pytest.mark.parametrize("a", [1.25, 1.6, 2.2, 4.0])
def test_balanced_intervals_are_equilibria_without_curvature(a):
    ends = tg.balanced_intervals(a)
    assert np.abs(training.generator_force(ends, TRUE_MEANS)).max() <= 4 * EPS
    state = np.concatenate([ends, TRUE_MEANS])

    def field(v):
        return np.concatenate([training.SIGNS * intervals.excess(v[:4], v[4:]), training.generator_force(v[:4], v[4:])])

    J = jacobian(field, state)
    np.testing.assert_allclose(free_jacobian(ends), J, atol=DIFFERENCE)
    np.testing.assert_allclose(J[:4, :4], 0, atol=DIFFERENCE)  # kappa = 0
    pairs = tg.mode_pairs(ends)
    expected = [0, 0]
    for c, g in pairs.values():
        expected += list(np.roots([1, -g, c**2]))
    # rounding moves the double zero by its square root
    assert pair(np.linalg.eigvals(free_jacobian(ends)), expected) <= 1e-7


def test_equilibria_are_not_isolated():
    """Two conditions on four ends: the force's derivative by the ends has rank 2, so solutions form surfaces."""
    ends = tg.balanced_intervals(2.0)
    C = free_jacobian(ends)[4:, :4]
    sigma = np.linalg.svd(C, compute_uv=False)
    assert len(sigma) == 2 and sigma.min() > 0.05


@pytest.mark.parametrize("kind", ["simultaneous", "steps", "unrolled"])
@pytest.mark.parametrize(("inner", "a", "rate_D"), [(1, 2.0, 0.3), (4, 1.6, 2.0), (9, 3.0, 6.0)])
def test_multipliers_are_those_of_the_step(kind, inner, a, rate_D):
    setting = tg.Training(kind, inner=inner, rate=0.7, rate_discriminator=rate_D)
    ends = tg.balanced_intervals(a)
    T = jacobian(lambda v: at(v, setting), np.concatenate([ends, TRUE_MEANS]), h=3e-5)
    expected = [1, 1, *np.concatenate([tg.multipliers(setting, p) for p in tg.mode_pairs(ends).values()])]
    found = np.linalg.eigvals(T)
    # a double eigenvalue 1 moves by the root of the differences' error
    y = 1.5 * np.abs(expected).max() * np.exp(1j * np.array([0.4, 1.3, 2.4]))
    ratio = np.prod(y[:, None] - found, axis=1) / np.prod(y[:, None] - np.array(expected), axis=1)
    np.testing.assert_allclose(ratio, 1, atol=1e-6)


def test_summed_inner_steps_are_the_repeated_ones():
    for kind in ("steps", "unrolled"):
        for count in (1, 3):
            difference = equilibria.step_map(kind, count) - equilibria.step_map(kind).subs(equilibria.n, count)
            assert sp.simplify(difference) == sp.zeros(2, 2)


def test_jury_conditions_say_what_inner_steps_do():
    """n steps: det = 1 + eta g whatever n, so they damp nothing, and only an upper bound holds; simultaneous steps lose
    w^2 = eta eta_D c^2; unrolled ones gain (2 n - 1) w^2."""
    e = equilibria
    w2 = e.eta * e.eta_D * e.c**2
    assert sp.expand(e.step_map("steps").det() - (1 + e.eta * e.g)) == 0
    assert sp.expand(e.step_map("simultaneous").det() - (1 + e.eta * e.g + w2)) == 0
    assert sp.expand(e.step_map("unrolled").det() - (1 + e.eta * e.g - (2 * e.n - 1) * w2)) == 0
    for kind, k in (("simultaneous", 1), ("steps", e.n)):  # 1 - trace + det
        assert sp.expand(e.step_map(kind).charpoly().eval(1) - k * w2) == 0
    pair_ = tg.mode_pairs(tg.balanced_intervals(2.0))["spread"]
    setting = tg.Training("steps", rate=0.5, rate_discriminator=4.0)
    low, high = tg.stable_steps(setting, pair_)
    scale = 0.5 * 4.0 * pair_.c**2
    assert (low, high) == (0.0, pytest.approx((4 + 2 * 0.5 * pair_.g) / scale, rel=1e-12))
    # the Jury conditions against the multipliers themselves
    for kind in ("steps", "unrolled"):
        for count in range(1, 60):
            setting = tg.Training(kind, inner=count, rate=0.5, rate_discriminator=4.0)
            low, high = tg.stable_steps(setting, pair_)
            assert (np.abs(tg.multipliers(setting, pair_)).max() < 1) == (low < count < high)


def grows(setting, ends, kick=1e-7, seed=0):
    """Whether the coupled part of a small kick has grown at the end: the means' distance against its first size."""
    rng = np.random.default_rng(seed)
    means = TRUE_MEANS + kick * rng.normal(size=(6, 2))
    run = tg.train(setting, (means, np.tile(ends, (6, 1))))
    size = np.linalg.norm(run.means - TRUE_MEANS, axis=-1).mean(0)
    return size[-1] > size[0]


def test_stable_steps_in_training():
    """Runs beside the equilibrium decay just inside the predicted range of n_c and grow just outside."""
    ends = tg.balanced_intervals(2.2)
    pairs = tg.mode_pairs(ends).values()
    for kind in ("steps", "unrolled"):
        setting = tg.Training(kind, rate=1.0, rate_discriminator=3.0, steps=300, record_every=300)
        bound = min(tg.stable_steps(setting, p)[1] for p in pairs)
        assert 5 < bound < 200
        below, above = int(0.95 * bound), int(np.ceil(1.05 * bound))
        assert not grows(tg.Training(**{**setting.__dict__, "inner": below}), ends)
        assert grows(tg.Training(**{**setting.__dict__, "inner": above}), ends)


def test_simultaneous_steps_lose_where_unrolled_ones_gain():
    """a = 4: eta_D c^2 > -g for the spread pair, so one step at a time grows and unrolling one step decays."""
    ends = tg.balanced_intervals(4.0)
    spread = tg.mode_pairs(ends)["spread"]
    for kind, unstable in (("simultaneous", True), ("unrolled", False), ("steps", False)):
        setting = tg.Training(kind, rate=1.0, rate_discriminator=1.0, steps=2000, record_every=2000)
        radius = np.abs(tg.multipliers(setting, spread)).max()
        assert (radius > 1) == unstable
        assert grows(setting, ends) == unstable


# -- on the way there -----------------------------------------------------------------------------------------------


def test_total_variation_has_a_cusp():
    """TV is homogeneous of degree 1 about the true means: TV(r u)/r does not depend on small r."""
    u = np.random.default_rng(1).normal(size=(20, 2))
    near, nearer = (tg.total_variation(TRUE_MEANS + r * u) / r for r in (1e-4, 1e-5))
    np.testing.assert_allclose(near, nearer, rtol=2e-3)
    assert near.min() > 0.01


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_optimal_intervals_reach_the_cusp_amplitude(rate):
    there = tg.train(
        tg.Training("optimal", rate=rate, steps=int(100 / rate), record_every=10_000), tg.random_starts(5, 6)
    )
    last = tg.train(
        tg.Training("optimal", rate=rate, steps=100, record_every=1), (there.means[:, -1], there.ends[:, -1])
    ).tv
    assert last.min(axis=1).max() <= tg.cusp_amplitude(rate) * 1.01
    assert last.max() <= 3 * tg.cusp_amplitude(rate)
    # and not far below: the amplitude is that of the cusp, not of convergence
    assert np.median(last.max(axis=1)) >= 0.1 * tg.cusp_amplitude(rate)


def test_ends_follow_at_the_slope_times_the_rate():
    """Near the best intervals n inner steps contract the ends' error by (1 - eta_D |(p - q)'|)^n; and that slope per
    total variation depends on the direction alone, within slope_range."""
    low, _, high = tg.slope_range()
    rng = np.random.default_rng(2)
    for size in (0.3, 0.03):
        means = TRUE_MEANS + size * np.array([-1.0, 1.0]) + 0.1 * size * rng.normal(size=2)
        best = tg.best_intervals(means)
        inside = np.abs(best) < 6
        error = np.where(inside, 1e-5, 0.0)
        ends, n, rate = best + error, 20, 0.3
        for _ in range(n):
            ends = training.isotonic((ends + rate * training.SIGNS * intervals.excess(ends, means))[None])[0]
        slope = -(np.log((ends - best)[inside] / error[inside])) / (n * rate)
        expected = np.abs(intervals.excess_slope(best, means))[inside]
        np.testing.assert_allclose(slope, expected, rtol=0.05 * size + 2e-3)
        assert low * 0.8 < expected.max() / tg.total_variation(means) < high * 1.3


def test_optimal_discriminator_succeeds_where_first_order_steps_fail():
    starts = tg.random_starts(7, 40)
    optimal = tg.train(tg.Training("optimal", steps=400, record_every=400), starts).tv[:, -1] < 0.05
    first = tg.train(tg.Training("simultaneous", steps=4000, record_every=4000), starts).tv[:, -1] < 0.05
    assert optimal.sum() == 40
    assert binomtest(int(first.sum()), 40).proportion_ci(0.999, method="exact").high < 0.9


def test_an_interval_shrunk_to_nothing_stays_so():
    """An empty interval where p < q: both ends are pushed inwards and the projection keeps them together."""
    means = np.array([[0.0, 0.0]])
    assert intervals.excess(np.zeros(1), means[0]) < 0
    ends = np.array([[0.0, 0.0, 2.0, 3.0]])
    after = training._ascend(ends, means, 0.3)
    assert np.abs(after[0, :2]).max() <= 4 * EPS and after[0, 3] > 3


@pytest.mark.parametrize("kind", ["simultaneous", "steps", "unrolled"])
def test_rates_side_by_side_are_those_alone(kind):
    starts = tg.random_starts(4, 5)
    rates = np.array([0.1, 0.3, 1.0, 3.0, 0.5])
    setting = tg.Training(kind, inner=3, steps=30)
    together = tg.train(setting, starts, rates)
    for i, rate in enumerate(rates):
        alone = tg.train(
            tg.Training(kind, inner=3, steps=30, rate_discriminator=rate), tuple(v[i : i + 1] for v in starts)
        )
        np.testing.assert_allclose(together.ends[i], alone.ends[0], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(together.means[i], alone.means[0], rtol=1e-12, atol=1e-12)
    with pytest.raises(InputError, match="rates: must be 5 positive"):
        tg.train(setting, starts, rates[:2])


@pytest.mark.parametrize(
    ("change", "message"),
    [({"discriminator": "best"}, "discriminator: must be one of optimal"), ({"inner": 0}, "inner: must be a whole"),
     ({"rate": -1.0}, "rate: must be greater than 0"), ({"steps": 1.5}, "steps: must be a whole")],
)  # fmt: skip
def test_bad_training_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        tg.Training(**change)


def test_bad_places_are_refused():
    with pytest.raises(InputError, match="a: must lie between"):
        tg.balanced_intervals(1.0)
    with pytest.raises(InputError, match="mirror symmetric"):
        tg.mode_pairs(np.array([-2.0, -1.0, 0.5, 1.0]))
    with pytest.raises(InputError, match="starts: must be means"):
        tg.train(tg.Training(), (np.zeros(2), np.zeros(4)))
