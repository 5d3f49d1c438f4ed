"""Large spectra of exact kernels: the split into the data's directions and those across, banded and extreme solvers."""

import os
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

import egan_theory as eg
from analyses import benchmarks_spectrum
from egan_theory.base.errors import InputError, NotLinearizable
from egan_theory.cli.app import main
from egan_theory.experiment.targets import Grid, Mixture, PointSet, Ring
from egan_theory.linear import banded, eigenvalues, extreme, linearize, linearize_extreme, structured
from egan_theory.linear.banded import eigenvalues_in_place
from egan_theory.linear.extreme import extremes
from egan_theory.linear.limits import Estimate, allowed_memory, memory_limit
from egan_theory.linear.separate import cost, rate_bounds, separates
from egan_theory.linear.structured import directions, split, stiffness
from egan_theory.predict.asymptotic import convergence_rate
from egan_theory.predict.spectrum import spectrum
from egan_theory.problem.problem import KEPT, Problem, forget
from egan_theory.tables.updates import UpdateRule
from tests.builders import small
from tests.stepjac import SPECTRUM, at_equilibrium, field_jacobian, mismatch, nullity, predicted, predicted_flow

PUBLISHED = Path(os.environ.get("EGAN_PUBLISHED_MNIST", Path(__file__).parents[3] / "shared" / "published_mnist"))
EPS = np.finfo(float).eps
#: eigenvalues of symmetric matrices by two routes, and moments, relative to the largest
SYMMETRIC = 1e-12
KERNELS = (
    {"kernel": "gaussian"},
    {"kernel": "matern", "smoothness": 2.5},
    {"kernel": "rational_quadratic", "alpha": 1.5},
    {"kernel": "polynomial", "degree": 2},
    {"kernel": "polynomial", "degree": 3, "offset": 0.0},
    {"kernel": "linear"},
)


def points(folder, Y, name="points"):
    np.save(folder / f"{name}.npy", Y)
    return PointSet(path=str(folder / f"{name}.npy"))


def experiment(folder, Y, kernel=KERNELS[0], ratio=0.0, *, length=1.5, generator=None, **kw):
    kw.setdefault("particles", len(Y))
    generator = {"kernel": {"ratio": ratio}, **(generator or {})}
    return small(
        points(folder, Y), discriminator={"features": 0, "length_scale": length, **kernel}, generator=generator, **kw
    )


def dense_stiffness(exp):
    """Eigenvalues of S^(1/2) H S^(1/2), H from the kernel's tensors entry by entry."""
    Y, root = exp.points.coordinates, Problem(exp).coupling_root
    M, d = Y.shape
    H = np.moveaxis(exp.discriminator.kernel_object.mixed(Y, Y), 2, 1)
    return np.linalg.eigvalsh(np.einsum("ij,jakb,kl->ialb", root, H, root, optimize=True).reshape(M * d, M * d))


def all_mu2(exp):
    found = stiffness(Problem(exp))
    return np.sort(np.repeat(found.mu2, found.multiplicity))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("points")


# -- the formulas ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("radial", [True, False])
def test_blocks_of_the_stiffness_by_sympy(radial):
    """d_x_a d_y_b of k(|x - y|^2) and of k(x.y), and that a direction across x and y carries A alone."""
    t = sp.Symbol("t", positive=True)
    x, y = sp.symbols("x:3", real=True), sp.symbols("y:3", real=True)
    u = (
        sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
        if radial
        else sum(a * b for a, b in zip(x, y, strict=True))
    )
    # two profiles whose first and second derivatives are independent functions stand for every k
    for k in (sp.exp(-t), sp.log(1 + t)):
        check_blocks(k, t, u, x, y, radial)


def check_blocks(k, t, u, x, y, radial):
    k1, k2 = (sp.diff(k, t, j).subs(t, u) for j in (1, 2))
    for a in range(3):
        for b in range(3):
            if radial:
                claimed = -2 * k1 * int(a == b) - 4 * k2 * (x[a] - y[a]) * (x[b] - y[b])
            else:
                claimed = k1 * int(a == b) + k2 * y[a] * x[b]
            assert sp.simplify(sp.diff(k.subs(t, u), x[a], y[b]) - claimed) == 0


def test_root_of_the_coupling_by_sympy():
    """(1 + gamma q q^T)^2 = 1 + c |v|^2 q q^T for q = v/|v| and (1 + gamma)^2 = 1 + c |v|^2."""
    c, v0, v1 = sp.symbols("c v0 v1", positive=True)
    v = sp.Matrix([v0, v1])
    q = v / sp.sqrt(v.dot(v))
    gamma = sp.sqrt(1 + c * v.dot(v)) - 1
    root = sp.eye(2) + gamma * q * q.T
    assert (root * root - sp.eye(2) - c * v * v.T).applyfunc(sp.simplify) == sp.zeros(2)


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
def test_root_and_its_inverse(folder, ratio):
    Y = np.random.default_rng(3).standard_normal((4, 6))
    parts = split(
        Problem(experiment(folder, Y, ratio=ratio, generator={"masses": "matched"}, penalty={"weight_decay": 0.1}))
    )
    R, RT = parts.root(np.eye(parts.columns)), parts.root_transposed(np.eye(4))
    np.testing.assert_allclose(R.T, RT, atol=1e-15)
    np.testing.assert_allclose(R @ RT, np.diag(parts.s) + parts.c * np.outer(parts.p, parts.p), rtol=1e-13, atol=1e-16)
    if not parts.rigid:
        np.testing.assert_allclose(parts.root_inverse(R), np.eye(4), atol=1e-13)
        np.testing.assert_allclose(parts.root_inverse(RT, transposed=True), np.eye(4), atol=1e-13)


def test_two_points():
    """Gaussian, distance r, 40 draws on two points, phi = 0: with W = diag(shares of the draws) and
    e = exp(-r^2/(2 l^2)), mu^2 are the eigenvalues of W^(1/2) [[1, f], [f, 1]] W^(1/2) / l^2, f = e on each of the
    d - 1 directions across r and f = e (1 - r^2/l^2) along it."""
    d, r, length = 5, 1.1, 0.8
    exp = small(
        Mixture(means=((0.0,) * d, (r,) + (0.0,) * (d - 1)), std=0.0, samples=40, seed=1),
        particles=40,
        discriminator={"features": 0, "length_scale": length},
        generator={"kernel": {"ratio": 0.0}},
    )
    left = np.bincount((exp.points.coordinates[:, 0] > r / 2).astype(int)) / 40
    e = np.exp(-(r**2) / (2 * length**2))

    def pair(off):
        """By the quadratic formula: the trace is that of W, 1."""
        det = left[0] * left[1] * (1 - off**2)
        half = 0.5
        return [(half - np.sqrt(half**2 - det)) / length**2, (half + np.sqrt(half**2 - det)) / length**2]

    expected = np.sort(pair(e * (1 - r**2 / length**2)) + (d - 1) * pair(e))
    np.testing.assert_allclose(all_mu2(exp), expected, rtol=1e-13)
    lin = linearize(exp)
    assert lin.zero_modes >= 40 * d - 2 * d  # the draws that share a point


# -- the split against dense matrices -------------------------------------------------------------------------------

draws = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "points": st.integers(1, 4),
        "dimension": st.integers(2, 6),
        "rank": st.integers(1, 6),
        "kernel": st.sampled_from(KERNELS),
        "ratio": st.sampled_from([0.0, 0.2, 0.7, 1.0]),
        "extra": st.integers(0, 2),
        "weights": st.booleans(),
    }
)


def drawn(folder, draw, **kw):
    rng = np.random.default_rng(draw["seed"])
    M, d = draw["points"], draw["dimension"]
    Y = rng.standard_normal((M, d))
    if draw["rank"] < min(M, d):
        Y = Y[:, : draw["rank"]] @ rng.standard_normal((draw["rank"], d))
    exp = experiment(
        folder, Y, draw["kernel"], draw["ratio"], particles=M + draw["extra"], generator={"masses": "matched"}, **kw
    )
    return exp.replace({"target.weights": tuple(rng.uniform(0.5, 2, M))}) if draw["weights"] else exp


@settings(max_examples=40, deadline=None)
@given(draw=draws)
def test_stiffness_is_that_of_the_dense_matrix(folder, draw):
    exp = drawn(folder, draw)
    expected, parts = dense_stiffness(exp), split(Problem(exp))
    found = all_mu2(exp)
    if parts.rigid:  # the columns of R that a rigid cloud does not have are zeros of the dense matrix
        found = np.sort(np.concatenate([found, np.zeros(len(expected) - len(found))]))
    assert np.abs(found - expected).max() <= SYMMETRIC * expected[-1]
    result = stiffness(Problem(exp))
    assert result.residual <= SYMMETRIC
    assert abs(result.trace_error) <= SYMMETRIC and abs(result.norm_error) <= SYMMETRIC
    trace, squares = parts.moments()
    np.testing.assert_allclose([trace, squares], [expected.sum(), (expected**2).sum()], rtol=SYMMETRIC)
    u = np.random.default_rng(0).standard_normal(parts.size)
    lower = np.tril(parts.matrix())
    matrix = lower + np.tril(lower, -1).T
    assert np.abs(parts.apply(u) - matrix @ u).max() <= SYMMETRIC * np.abs(matrix).max() * np.abs(u).sum()


PENALTIES = ({"weight_decay": 0.1}, {"r1": 0.3}, {"r1": 0.3, "weight_decay": 0.1}, {"consensus": 0.2, "r1": 0.1})


@settings(max_examples=30, deadline=None)
@given(
    draw=draws, penalty=st.sampled_from(PENALTIES), loss=st.sampled_from(["wasserstein", "logistic", "least_squares"])
)
def test_linearization_is_that_of_the_simulator(folder, draw, penalty, loss):
    """The closed form, or the dense saddles where damping and stiffness do not commute."""
    exp = drawn(folder, draw, penalty=penalty, loss=loss)
    assume(pdist(exp.points.coordinates).min(initial=1) > 0.3)  # near points: the rank of J itself is not clear
    lin, J = linearize(exp), field_jacobian(*at_equilibrium(exp))
    flow = predicted_flow(lin)
    assert lin.size == len(J) == len(flow)
    # rounding of the symmetric eigenvalue mu^2 near 0 shows as its root
    assert mismatch(flow, np.linalg.eigvals(J)) <= max(SPECTRUM, 1e-7 if lin.unresolved else 0)
    if not lin.unresolved:  # stiffness squared: a singular value of J may be small and still not zero
        sigma = np.linalg.svd(J, compute_uv=False)
        assert np.sum(sigma <= EPS * sigma.max()) <= lin.zero_modes <= nullity(J)


@pytest.mark.parametrize("points", [2, 3, 4])
def test_rank_of_a_cubic_on_a_line(folder, points):
    """x.y cubed on a line: k' = 3 (x.y)^2 has rank 1, whatever rounding makes of its square root."""
    Y = np.outer(np.linspace(0.6, 2.1, points), [0.48, 0.6, 0.64])
    exp = experiment(folder, Y, KERNELS[4], penalty={"r1": 0.3}, loss="logistic")
    lin, J = linearize(exp), field_jacobian(*at_equilibrium(exp))
    assert lin.zero_modes == nullity(J)
    assert mismatch(predicted_flow(lin), np.linalg.eigvals(J)) <= SPECTRUM


CASES = {
    "commuting": (0.0, {"r1": 0.3, "weight_decay": 0.1}, "wasserstein", "symmetric reduction"),
    "weight decay and coupling": (0.3, {"weight_decay": 0.1}, "wasserstein", "symmetric reduction"),
    "collective part and R1": (0.3, {"r1": 0.3}, "wasserstein", "dense saddles"),
    "value damping": (0.0, {"weight_decay": 0.1}, "logistic", "dense saddles"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rule", ["alternating", "optimistic", "extragradient"])
def test_routes_and_update_rules(folder, case, rule):
    """Each route is the one that is claimed, and its multipliers are those of the simulator's step."""
    from tests.stepjac import check_step

    ratio, penalty, loss, method = CASES[case]
    Y = np.random.default_rng(5).standard_normal((3, 5))
    exp = experiment(folder, Y, ratio=ratio, penalty=penalty, loss=loss, particles=6, update={"rule": rule})
    lin = linearize(exp)
    assert separates(Problem(exp)) and "across them apart" in lin.method and method in lin.method
    check_step(exp)


def test_copies_carry_damping_ratios_and_multiplicity(folder):
    """The directions across the data: one dense system counted d - m times, each zeta that of its own oscillator."""
    Y = np.random.default_rng(5).standard_normal((3, 12))
    exp = experiment(folder, Y, ratio=0.3, penalty={"r1": 0.3, "weight_decay": 0.3})
    values = eigenvalues(linearize(exp), UpdateRule("flow"))
    assert set(values.multiplicity[values.coupled]) == {1, 10}
    assert np.all(np.isfinite(values.damping_ratio[values.coupled]))
    assert len(predicted(linearize(exp))) == linearize(exp).size


@pytest.mark.parametrize("kernel", KERNELS[:4])
def test_rotations_and_translations_change_nothing(folder, kernel):
    rng = np.random.default_rng(7)
    Y = rng.standard_normal((5, 9))
    Q = np.linalg.qr(rng.standard_normal((9, 9)))[0]
    shift = rng.standard_normal(9) if kernel["kernel"] != "polynomial" else 0
    before = all_mu2(experiment(folder, Y, kernel, 0.2))
    after = all_mu2(experiment(folder, Y @ Q + shift, kernel, 0.2))
    assert np.abs(before - after).max() <= SYMMETRIC * before[-1]


def test_more_directions_are_more_copies(folder):
    """Zeros appended to the coordinates add one copy of the problem across the data for each."""
    Y = np.random.default_rng(8).standard_normal((4, 5))
    first, more = (experiment(folder, np.pad(Y, ((0, 0), (0, n)))) for n in (1, 40))
    few, many = stiffness(Problem(first)), stiffness(Problem(more))
    assert np.abs(few.mu2 - many.mu2).max() <= SYMMETRIC * few.mu2[-1]
    assert many.multiplicity.sum() - few.multiplicity.sum() == 39 * 4


# -- degenerate data ------------------------------------------------------------------------------------------------


def test_directions():
    Y = np.random.default_rng(0).standard_normal((4, 7))
    inside, complement = directions(Y, True)
    assert inside.shape == (4, 3) and complement == 4
    np.testing.assert_allclose(inside @ inside.T, (Y - Y.mean(0)) @ (Y - Y.mean(0)).T, atol=1e-13)
    assert directions(Y, False)[1] == 3
    assert directions(np.outer([0, 1, 3], [1e-30, 2e-30, 0.0]), True)[1] == 2
    assert directions(np.zeros((1, 4)), True)[0].shape == (1, 1)


def test_coincident_points_are_merged():
    """Points drawn twice couple as one with the sum of their s: the dense matrix, which keeps them apart, agrees."""
    exp = small(
        Mixture(means=((0.0,) * 4, (1.0,) * 4), std=0.0, samples=5, seed=2),
        particles=5,
        discriminator={"features": 0, "length_scale": 1.2},
        generator={"kernel": {"ratio": 0.3}},
        penalty={"weight_decay": 0.1},
    )
    assert len(exp.points.weights) == 5 and len(split(Problem(exp)).p) == 2
    expected = dense_stiffness(exp)
    assert np.abs(all_mu2(exp) - expected[-8:]).max() <= SYMMETRIC * expected[-1]
    assert np.abs(expected[:-8]).max() <= SYMMETRIC * expected[-1]


def test_nearly_coincident_points_are_unresolved(folder):
    Y = np.random.default_rng(0).standard_normal((3, 5))
    exp = experiment(folder, np.concatenate([Y, Y[:1] + 1e-9]))
    assert linearize(exp).unresolved > 0


def test_cusps_are_refused(folder):
    with pytest.raises(InputError, match="second derivative"):
        linearize(experiment(folder, np.eye(4), {"kernel": "laplace"}))


# -- the banded solver ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 34, 64, 65, 66, 97, 130])
def test_two_stage_eigenvalues_and_vectors(n):
    rng = np.random.default_rng(n)
    a = rng.standard_normal((n, n))
    a += a.T
    expected = np.linalg.eigvalsh(a)
    lower = np.asfortranarray(np.tril(a) + np.triu(np.full((n, n), 1e3), 1))  # the upper triangle is not read
    found = eigenvalues_in_place(lower)
    scale = np.abs(expected).max()
    assert np.abs(found.values - expected).max() <= 8 * n * EPS * scale
    V = found.vectors(np.arange(n)) if n > 1 else np.ones((1, 1))
    assert np.linalg.norm(a @ V - V * found.values, axis=0).max() <= 64 * n * EPS * scale


def test_two_stage_with_degenerate_eigenvalues():
    """Projectors: every vector of an eigenspace is right, and rounding does not spread it."""
    Q = np.linalg.qr(np.random.default_rng(1).standard_normal((120, 120)))[0]
    a = (Q * np.repeat([0.0, 1.0, 2.0], 40)) @ Q.T
    found = eigenvalues_in_place(np.asfortranarray(a.copy()))
    np.testing.assert_allclose(found.values, np.repeat([0.0, 1.0, 2.0], 40), atol=1e-13)
    V = found.vectors(np.array([0, 60, 119]))
    assert np.linalg.norm(a @ V - V * found.values[[0, 60, 119]], axis=0).max() <= 1e-13
    assert banded.BANDWIDTH < 120


def test_stiffness_through_the_banded_solver(folder, monkeypatch):
    exp = experiment(folder, np.random.default_rng(2).standard_normal((9, 12)), ratio=0.2)
    expected = all_mu2(exp)
    monkeypatch.setattr(structured, "ALL_VECTORS", 0)
    forget()
    found = stiffness(Problem(exp))
    assert np.abs(all_mu2(exp) - expected).max() <= SYMMETRIC * expected[-1]
    assert found.checked == min(structured.SAMPLED, 72) + 9 and found.residual <= SYMMETRIC
    forget()


# -- extremes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", KERNELS[:3])
@pytest.mark.parametrize("shape", [(12, 30), (30, 4)])
def test_extremes(folder, kernel, shape, monkeypatch):
    """Against all eigenvalues of the dense matrix; in 30 x 4 no direction lies across the data."""
    exp = experiment(folder, 2 * np.random.default_rng(4).standard_normal(shape), kernel, 0.1, length=1.0)
    monkeypatch.setattr(extreme, "ALL_VECTORS", 0)
    found = extremes(Problem(exp), 5)
    dense = dense_stiffness(exp)
    low = np.repeat(found.mu2[: found.smallest], found.multiplicity[: found.smallest])
    high = np.repeat(found.mu2[found.smallest :], found.multiplicity[found.smallest :])
    assert np.abs(low - dense[: len(low)]).max() <= 1e-8 * dense[-1]
    assert np.abs(high - dense[-len(high) :]).max() <= 1e-8 * dense[-1]
    np.testing.assert_allclose(low, dense[: len(low)], rtol=1e-6)  # the inverse gives the small ones their own digits
    assert found.residual.max() <= extreme.RESIDUAL and found.products > 0


@pytest.mark.parametrize("shape", ["cross", "ring"])
def test_extremes_hold_every_copy(folder, shape, monkeypatch):
    """Symmetric points: one start of Lanczos iteration sees one vector of each eigenspace (cross: the fifth smallest,
    ring: the seventh largest, were others than they are)."""
    angle = 2 * np.pi * np.arange(250) / 250
    circle = 20 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    Y, end = {"cross": (np.vstack([np.eye(20), -np.eye(20)]), "low"), "ring": (circle, "high")}[shape]
    exp = experiment(folder, Y, ratio=0.2, length={"cross": 1.0, "ring": 0.7}[shape])
    monkeypatch.setattr(extreme, "ALL_VECTORS", 0)
    counter, parts, whole = [0], split(Problem(exp)), all_mu2(exp)
    if end == "low":
        found, *_ = extreme._smallest(parts, 5, whole[-1], counter)
        np.testing.assert_allclose(found, whole[:5], rtol=1e-6)
    else:
        found, *_ = extreme._largest(parts, 8, counter)
        np.testing.assert_allclose(found, whole[-8:], rtol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_groups_of_equal_stiffness_are_whole_or_said_to_be_cut(folder, count, monkeypatch):
    """Corners of a square and their neighbours: symmetry makes equal pairs; dense eigenvalues say which are cut."""
    Y = np.array([[x, y] for x in (-1.5, 0.0, 1.5) for y in (-1.5, 0.0, 1.5)]) + 3
    exp = experiment(folder, Y, ratio=0.0, length=1.0)
    whole = all_mu2(exp)
    groups = np.split(whole, np.flatnonzero(np.diff(whole) > 1e-6 * whole[1:]) + 1)
    assert max(map(len, groups[:3])) > 1
    for dense in (True, False):
        if not dense:
            monkeypatch.setattr(extreme, "ALL_VECTORS", 0)
        found = extremes(Problem(exp), count)
        low, high = np.split(found.mu2, [found.smallest])
        lengths = np.cumsum([len(g) for g in groups]), np.cumsum([len(g) for g in groups[::-1]])
        if dense:
            assert found.cut == (False, False)
            assert len(low) in lengths[0] and len(high) in lengths[1] and len(low) >= count <= len(high)
        else:
            assert len(low) >= count <= len(high)
            assert found.cut == (len(low) not in lengths[0], len(high) not in lengths[1])
        np.testing.assert_allclose(found.mu2, [*whole[: len(low)], *whole[-len(high) :]], rtol=1e-6)
        said = "more copies than are counted" in linearize_extreme(exp, count)[0].assumptions[-1]
        assert said == any(found.cut)


@pytest.mark.parametrize("rule", ["flow", "simultaneous", "alternating"])
def test_extreme_modes_hold_the_slowest(folder, rule):
    """Trace and determinant affine in mu^2: the slowest of all modes is at an end, for random damping and rates."""
    rng = np.random.default_rng(11)
    Y = rng.standard_normal((5, 8))
    for _ in range(12):
        exp = experiment(
            folder, Y, penalty={"r1": float(10 ** rng.uniform(-2, 2)), "weight_decay": float(10 ** rng.uniform(-3, 1))},
            update={"rule": rule},
        )  # fmt: skip
        lin, residual = linearize_extreme(exp, 1)
        ends, whole = eigenvalues(lin), eigenvalues(linearize(exp))
        assert lin.zero_modes == linearize(exp).zero_modes
        assert residual <= extreme.RESIDUAL and len(lin.blocks) == 2 and "at least as fast" in lin.assumptions[-1]
        np.testing.assert_allclose(np.abs(ends.z).max(), np.abs(whole.z).max(), rtol=1e-9)
        assert convergence_rate(exp) == pytest.approx(ends.slowest(coupled_only=True), rel=1e-8)


@pytest.mark.parametrize("rule", ["flow", "simultaneous", "alternating"])
@pytest.mark.parametrize("ratio", [0.0, 0.05, 0.4])
def test_rate_bounds(folder, rule, ratio):
    """They enclose the slowest rate of the dense saddles, and are tight where everything commutes (phi = 0)."""
    rng = np.random.default_rng(13)
    Y = rng.standard_normal((4, 9))
    for _ in range(6):
        penalty = {"r1": float(10 ** rng.uniform(-2, 2)), "weight_decay": float(10 ** rng.uniform(-3, 1))}
        exp = experiment(folder, Y, ratio=ratio, penalty=penalty, update={"rule": rule}, particles=8)
        low, high = rate_bounds(Problem(exp))
        rate = convergence_rate(exp)
        assert low <= rate + 1e-9 * abs(rate) and rate <= high + 1e-9 * abs(high)
        if ratio == 0:
            assert low == pytest.approx(rate, rel=1e-8)
    with pytest.raises(NotLinearizable, match="bounds"):
        rate_bounds(Problem(exp.replace({"penalty.consensus": 0.1})))


def test_extremes_refuse(folder):
    Y = np.random.default_rng(4).standard_normal((4, 8))
    with pytest.raises(NotLinearizable, match="commutes"):
        linearize_extreme(experiment(folder, Y, ratio=0.3, penalty={"r1": 0.1}), 2)
    with pytest.raises(NotLinearizable, match="exact"):
        linearize_extreme(small(Ring(modes=3), particles=3), 2)
    with pytest.raises(InputError, match="at least 1"):
        extremes(Problem(experiment(folder, Y)), 0)
    unlike = experiment(folder, Y, update={"rule": "optimistic"}, penalty={"r1": 0.1})
    assert "nothing is said" in linearize_extreme(unlike, 1)[0].assumptions[-1]


def test_inverse(folder):
    """Conjugate gradients against the dense inverse; their preconditioner is the inverse across the data."""
    exp = experiment(folder, np.random.default_rng(4).standard_normal((6, 9)), ratio=0.2)
    parts = split(Problem(exp))
    inverse = extreme.Inverse(parts, 1e-12, [0])
    np.testing.assert_allclose(inverse.preconditioner @ parts.first, np.eye(6), atol=1e-10)
    b = np.random.default_rng(5).standard_normal(parts.size)
    np.testing.assert_allclose(parts.apply(inverse(b)), b, atol=1e-10)


def test_extremes_below_rounding_are_refused(folder, monkeypatch):
    monkeypatch.setattr(extreme, "ALL_VECTORS", 0)
    exp = experiment(folder, 1e-3 * np.random.default_rng(4).standard_normal((20, 3)), length=1e3)
    with pytest.raises(NotLinearizable, match="below the rounding"):
        extremes(Problem(exp), 3)


# -- memory ---------------------------------------------------------------------------------------------------------


def test_memory_is_estimated_and_refused(folder):
    exp = experiment(folder, np.random.default_rng(4).standard_normal((40, 60)))
    parts = split(Problem(exp))
    n = 40 * 39
    assert cost(Problem(exp)) == parts.estimate() and str(cost(Problem(exp))).startswith("0.0")
    assert (
        cost(Problem(exp.replace({"loss.kind": "logistic"}))) is None
        and cost(Problem(small(Ring(modes=3), particles=3))) is None
    )
    assert parts.size == n and parts.estimate().memory >= 8 * n * n
    with memory_limit(0.01), pytest.raises(NotLinearizable, match=r"--extreme K.*0.01 GB allowed"):
        stiffness(Problem(exp))
    assert allowed_memory() > 1e7
    with pytest.raises(InputError, match="GB > 0"), memory_limit(0.0):
        pass
    with memory_limit(1.0):
        Estimate("a thing", 1e9, 1.0).check("less")
        with pytest.raises(NotLinearizable, match="a thing"):
            Estimate("a thing", 1.001e9, 1.0).check("less")


# -- the command ----------------------------------------------------------------------------------------------------


def test_command(folder, capsys):
    import json

    exp = experiment(folder, np.random.default_rng(4).standard_normal((5, 9)), penalty={"r1": 0.2})
    file = folder / "e.toml"
    file.write_text(exp.to_toml())
    outputs = []
    for options in ([], ["--extreme", "2", "--memory", "1"]):
        assert main(["spectrum", str(file), "--json", *options]) == 0
        outputs.append(json.loads(capsys.readouterr().out))
    assert outputs[0]["slowest_rate"] == pytest.approx(outputs[1]["slowest_rate"], rel=1e-8)
    assert outputs[1]["residual"] <= extreme.RESIDUAL
    assert len(outputs[1]["eigenvalues"]) < len(outputs[0]["eigenvalues"])
    assert main(["spectrum", str(file), "--extreme", "0"]) == 2
    assert main(["spectrum", str(file), "--memory", "1e-9"]) == 2
    assert main(["spectrum", str(file), "--extreme", "1"]) == 0
    assert "residual" in capsys.readouterr().out.lower()


def test_regularizer_solves_the_stiffness_once(folder, monkeypatch):
    exp = experiment(folder, np.random.default_rng(4).standard_normal((5, 9)), update={"rule": "flow"})
    forget()
    best = eg.fastest_strength(exp, "r1")
    assert KEPT[structured._stiffness.__wrapped__][1].cache_info().misses == 1
    assert best.method == "closed-form"
    assert spectrum(exp.replace({"penalty.r1": best.best})).attrs["slowest_rate"] == pytest.approx(best.rate, rel=1e-6)


def test_coupling_is_part_of_the_key(folder):
    Y = np.random.default_rng(4).standard_normal((4, 6))
    first, second = (experiment(folder, Y, ratio=r) for r in (0.0, 0.5))
    assert Problem(first).coupling[2] != Problem(second).coupling[2]
    assert stiffness(Problem(first)).mu2[-1] < stiffness(Problem(second)).mu2[-1]
    assert (
        split(Problem(experiment(folder, Y, {"kernel": "matern", "smoothness": 2.5}))).first[0, 1]
        != split(Problem(first)).first[0, 1]
    )
    assert not separates(Problem(small(Grid(side=2, dimension=2), particles=4, discriminator={"features": 0})))


# -- the benchmark --------------------------------------------------------------------------------------------------


def test_benchmark(folder, capsys):
    """The structured spectrum is the dense one, whose Jacobian shares no code with it; every route is timed."""
    ds = benchmarks_spectrum.main(["--draws", "1", "--largest", "1000", "--output", str(folder / "benchmark")])
    assert list(ds["state"].values) == [250, 1000]
    assert np.all(ds["wall"] > 0) and np.all(ds["memory"] > 0)
    assert float(ds["error"].max()) <= 1e-8
    assert (folder / "benchmark.png").stat().st_size > 10_000 and (folder / "benchmark.nc").exists()
    assert capsys.readouterr().out.count("matrix-free") == 2


# -- published images -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not (PUBLISHED / "mnist_first_100.nc").exists(), reason="published data not at hand")
def test_extremes_of_images(folder):
    """40 of the images in 784 dimensions: extreme eigenvalues against all of them, from 31,360."""
    import h5py

    with h5py.File(PUBLISHED / "mnist_first_100.nc") as file:
        images = file["mnist_uint8"][:40].reshape(40, -1)
    Y = (images / 255 - 0.1307) / 0.3081
    exp = experiment(folder, Y, ratio=0.1, length=float(np.median(pdist(Y))), penalty={"weight_decay": 0.1})
    found, whole = extremes(Problem(exp), 10), stiffness(Problem(exp))
    assert whole.multiplicity.sum() == 31_360
    assert whole.residual <= 1e-8 and abs(whole.trace_error) <= 1e-10 and abs(whole.norm_error) <= 1e-10
    assert found.residual.max() <= 1e-8
    np.testing.assert_allclose(found.mu2[:10], whole.mu2[:10], rtol=1e-5)
    np.testing.assert_allclose(found.mu2[10:], whole.mu2[-10:], rtol=1e-9)


def test_small_products_run_in_one_thread(folder):
    """Two threads for small products cost more than they bring: the libraries are held to one meanwhile."""
    from threadpoolctl import threadpool_info

    exp = experiment(folder, np.random.default_rng(4).standard_normal((6, 9)), ratio=0.2)
    seen: list[int] = []
    real = extreme._extremes

    def watched(*arguments):
        seen.extend(library["num_threads"] for library in threadpool_info())
        return real(*arguments)

    extreme._extremes, before = watched, threadpool_info()
    try:
        extremes(Problem(exp), 2)
    finally:
        extreme._extremes = real
    assert set(seen) == {1} and [p["num_threads"] for p in threadpool_info()] == [p["num_threads"] for p in before]
