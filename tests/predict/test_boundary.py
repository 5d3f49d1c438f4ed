"""Boundaries of phase diagrams: roots of the margin between cells, held against other ways to the same place."""

import numpy as np
import pytest
from scipy.optimize import brentq

import egan_theory as eg
from egan_theory.predict.boundary import TOLERANCE, places, roots
from egan_theory.show.plot.sides import sides
from tests.builders import small

SPREAD, SLOW = "collective instability", "too slow to split"
RATIO = "generator.kernel.ratio"


@pytest.mark.parametrize(
    "function",
    [
        lambda x, r: x - r,
        lambda x, r: np.expm1(6 * (x - r)),
        lambda x, r: np.maximum(-1e-6, 3 * (x - r)),  # below the edge of stability nothing tells where it is
        lambda x, r: np.where(x < r, -np.inf, np.inf),
        lambda x, r: np.where(x <= r, 0.0, 1e-300),
        lambda x, r: np.cbrt(r - x),
    ],
)
def test_roots_are_found_whatever_the_shape(function):
    r = np.random.default_rng(0).uniform(0, 1, 200)
    asked = []

    def margin(which, x):
        asked.append(len(which))
        return function(x, r[which])

    found = roots(margin, np.zeros(200), np.ones(200), function(0.0, r), function(1.0, r), np.full(200, 1e-3))
    np.testing.assert_allclose(found, r, atol=0.501e-3)
    assert sum(asked) / 200 < 25


def test_a_root_next_to_no_statement_is_none():
    found = roots(lambda i, x: x + np.nan, np.zeros(2), np.ones(2), -np.ones(2), np.ones(2), np.full(2, 1e-3))
    assert np.isnan(found).all()


def growth(exp):
    """Growth of the fastest mode that moves the particles, from its eigenvalues."""
    s = eg.spectrum(exp)
    re = s["eigenvalue_re"].values[s["coupled"].values != 0]
    return float(re.max())


def random_experiment(rule, seed):
    rng = np.random.default_rng(seed)
    modes = int(rng.integers(3, 6))
    return small(
        eg.Ring(modes=modes),
        particles=2 * modes,
        generator={"learning_rate": float(rng.uniform(0.02, 0.1)), "kernel": {"ratio": float(rng.uniform(0, 0.3))}},
        discriminator={"learning_rate": float(rng.uniform(0.1, 0.3)), "length_scale": float(rng.uniform(0.5, 1.0))},
        penalty={"weight_decay": 0.01},
        update={"rule": rule},
    )


SLOWER = ("extragradient", "optimistic")


@pytest.mark.parametrize(
    "rule", ["simultaneous", "alternating", *(pytest.param(rule, marks=pytest.mark.slow) for rule in SLOWER)]
)
def test_edges_of_the_diagram_are_those_of_the_spectrum(rule):
    """On a coarse grid, along both axes: where the spectrum's growth, by itself, has its zero."""
    checked = 0
    for seed in range(2):
        exp = random_experiment(rule, seed)
        found = eg.phase(exp, f"{RATIO}=0:0.9:4", "penalty.r1=0.01:100:5:log", mechanisms=[SPREAD], block=1)
        for along, path, other in (("first", RATIO, "penalty.r1"), ("second", "penalty.r1", RATIO)):
            across = "second" if along == "first" else "first"
            crossing = found[f"crossing_{along}"].sel(mechanism=SPREAD).transpose(across, along).values
            for line, cell in np.argwhere(np.isfinite(crossing))[::2]:
                member = exp.replace({other: float(found[across][line])})
                low, high = (float(v) for v in found[along].values[cell : cell + 2])
                truth = brentq(lambda v, m=member, p=path: growth(m.replace({p: v})), low, high, rtol=1e-6)
                assert crossing[line, cell] == pytest.approx(truth, rel=1e-3, abs=TOLERANCE * high)
                checked += 1
    assert checked >= 4


def test_the_edge_of_a_diagram_is_the_advice_s():
    """The default experiment: 16.08 by a straight line between the cells next to it."""
    exp = eg.Experiment()
    edge = eg.best_regularizer(exp, "r1").edge
    found = eg.phase(exp, (RATIO, 0.05, 0.06, 2), "penalty.r1=0.003:100:48:log", mechanisms=[SPREAD])
    crossing = found["crossing_second"].sel(mechanism=SPREAD).values[:, 0]
    assert np.nanmax(crossing) == pytest.approx(edge, rel=1e-3)


def test_splitting_has_its_boundary_where_thresholds_say():
    exp = random_experiment("simultaneous", 1).replace({"run.steps": 300})
    found = eg.phase(exp, f"{RATIO}=0:0.98:5", "penalty.r1=0.01:100:5:log", mechanisms=[SLOW], block=1)
    crossing = found["crossing_second"].sel(mechanism=SLOW).values
    assert np.isfinite(crossing).any()
    for column in np.flatnonzero(np.isfinite(crossing).any(0)):
        member = exp.replace({RATIO: float(found["first"][column])})
        truth = eg.thresholds(member, "penalty.r1=0.01:100", mechanisms=[SLOW]).thresholds[0].values
        for value in crossing[:, column][np.isfinite(crossing[:, column])]:
            assert np.abs(np.log(np.array(truth) / value)).min() < 1e-3


def test_what_is_drawn_is_the_boundary_and_old_files_are_drawn_too():
    exp = random_experiment("simultaneous", 0)
    found = eg.phase(exp, f"{RATIO}=0:0.9:5", "penalty.r1=0.01:100:9:log", mechanisms=[SPREAD], block=1)
    at = np.array(places(found, SPREAD))
    path = eg.plot.phase(found).collections[0].get_paths()[0].vertices
    assert len(at) >= 5
    for place in at:
        assert np.abs((path - place) / [0.9, place[1]]).max(-1).min() < 1e-5
    old = found.drop_vars(["crossing_first", "crossing_second"])
    margin = old["margin"].sel(mechanism=SPREAD).values
    row, column = np.argwhere(np.diff(margin > 0, axis=0))[0]
    low, high = found["second"].values[row : row + 2]
    straight = low + (high - low) * margin[row, column] / (margin[row, column] - margin[row + 1, column])
    path = eg.plot.phase(old).collections[0].get_paths()[0].vertices
    assert np.abs((path - [found["first"].values[column], straight]) / [0.9, straight]).max(-1).min() < 1e-5


def test_triangles_fill_the_diagram_and_cross_no_boundary():
    exp = random_experiment("simultaneous", 0)
    found = eg.phase(exp, f"{RATIO}=0:0.9:12", "penalty.r1=0.01:100:9:log", mechanisms=[SPREAD], block=1)
    rng = np.random.default_rng(0)
    margin = rng.normal(size=found["margin"].shape)  # every kind of cell, corners across each other too
    margin[0, 2:4, 2:5], margin[0, 6, 6], margin[0, 5, 5] = np.nan, np.inf, 0.0
    noisy = found.drop_vars(["crossing_first", "crossing_second"]).assign(margin=(found["margin"].dims, margin))
    for ds in (found, noisy):
        triangles, height = sides(ds, SPREAD)
        x, y = triangles.x[triangles.triangles].T, triangles.y[triangles.triangles].T
        area = ((x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])) / 2
        assert area.min() > 0
        assert area.sum() == pytest.approx(0.9 * 99.99)
        own = height[triangles.triangles]
        assert not ((own.max(1) > 0) & (own.min(1) < 0)).any()
