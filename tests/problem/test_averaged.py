"""Instance noise where particles and target are seen linearly: as with its nodes, at none of their work."""

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.features import FourierFeatures
from egan_theory.predict.transverse import TangentField
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.show.lighter import stages
from egan_theory.simulation.accelerated import LaneField

NOISY = eg.Experiment(
    target={"kind": "ring", "modes": 5},
    generator={"particles": 10, "learning_rate": 0.1},
    discriminator={"features": 64, "learning_rate": 0.3},
    penalty={"r1": 0.2, "instance_noise": 0.15},
    run={"steps": 40, "runs": 2},
)


def with_nodes(monkeypatch):
    monkeypatch.setattr(Field, "damped", None)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"penalty.weight_decay": 0.1},
        {"loss.kind": "logistic"},
        {"penalty.r2": 0.3},
        {"penalty.consensus": 0.1},
        {"penalty.multiplier": 0.2, "penalty.alpha": 0.5},
        {"memory.generator": 3.0},
    ],
)
def test_velocities_are_those_of_the_nodes(monkeypatch, changes):
    problem, rng = Problem(NOISY.replace(changes)), np.random.default_rng(3)
    w, x = rng.standard_normal((2, 64)), rng.standard_normal((2, 10, 2))

    def found():
        field = Field(problem)
        q = field.push(x)
        return (field.Vw(w, x), field.Vx(w, x), *field.forces(x, w), q, field.facing(w, x, 0.9 * q))

    got = found()
    with_nodes(monkeypatch)
    for a, b in zip(got, found(), strict=True):
        assert a.shape == b.shape and np.abs(a - b).max() <= 1e-12 * np.abs(b).max()


def test_displacements_of_a_cluster_are_those_of_the_nodes(monkeypatch):
    rng = np.random.default_rng(3)
    w, z = rng.standard_normal((1, 64)), rng.standard_normal((1, 3, 2))
    got = TangentField([Problem(NOISY)]).Vx(w, z)
    with_nodes(monkeypatch)
    assert got == pytest.approx(TangentField([Problem(NOISY)]).Vx(w, z), rel=1e-12)


@pytest.mark.parametrize(("changes", "nodes"), [({}, 1), ({"loss.kind": "logistic"}, 25)])
def test_a_simulation_evaluates_what_the_report_counts(monkeypatch, changes, nodes):
    exp, seen = NOISY.replace(changes), []
    one = FourierFeatures.at
    monkeypatch.setattr(FourierFeatures, "at", lambda self, X: seen.append(X[..., 0].size) or one(self, X))
    eg.simulate(exp)
    # the 5 particles that stand for 10, of 2 runs, once per step; the target and what begins the runs once
    assert stages(exp) == nodes
    assert 40 * 2 * 5 * nodes <= sum(seen) <= 40 * 2 * 5 * nodes * 1.25 + 1000


def test_single_precision_stays_single():
    field = LaneField([Problem(NOISY)] * 2)
    w, x = np.ones((2, 64), np.float32), np.ones((2, 10, 2), np.float32)
    assert {v.dtype for v in (field.Vw(w, x), field.Vx(w, x), field.push(x))} == {np.dtype(np.float32)}
