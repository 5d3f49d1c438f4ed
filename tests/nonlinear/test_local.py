"""Normal forms on as few weights as matter near rest, against those on all of them."""

import numpy as np
import pytest

from egan_theory.experiment import Experiment
from egan_theory.nonlinear import normal
from egan_theory.nonlinear.local import local_basis
from egan_theory.nonlinear.point import Point
from egan_theory.nonlinear.stepmap import StepMap
from egan_theory.predict import normal as predicted
from egan_theory.predict.collective import locate
from egan_theory.problem.problem import Problem

RATIO, RATE, LENGTH = "generator.kernel.ratio", "generator.learning_rate", "discriminator.length_scale"


def ring(**changes):
    return Experiment().replace({"penalty.r1": 0.0, "penalty.weight_decay": 0.05, **changes})


def square(kernel="gaussian", target=None, length_scale=0.8, degree=None, **tables):
    tables = {
        "generator": {"particles": 8, "learning_rate": 0.3, "kernel": {"ratio": 0.3}},
        "penalty": {"r1": 0.0, "weight_decay": 0.4},
        "loss": {"kind": "logistic"},
        **tables,
    }
    return Experiment(
        target=target or {"kind": "ring", "modes": 4, "radius": 0.9},
        discriminator={"kernel": kernel, "length_scale": length_scale, "features": 200, "learning_rate": 0.5}
        | ({"degree": degree} if degree else {}),
        **tables,
    )


MIXTURE = {"kind": "mixture", "means": [[-1.0, 0.0], [1.0, 0.3], [0.0, 1.2]], "samples": 6, "std": 0.3}
NUMBERS = (
    "rms_amplitude", "centroid_amplitude", "frequency_shift", "transverse_rate", "relative_correction", "valid_to",
)  # fmt: skip
#: experiment, parameter, range: everything that takes derivatives of features, and what moves the points at rest
CASES = {
    "ring": (ring(), RATIO, 0.0, 1.0),
    "length scale": (ring(), LENGTH, 0.3, 1.2),
    "gradients on particles": (ring(**{"penalty.r2": 0.02}), RATIO, 0.0, 1.0),
    "consensus": (square(penalty={"r1": 0.1, "weight_decay": 0.4, "consensus": 0.05}), RATE, 0.5, 4.0),
    "flip": (square(update={"rule": "alternating"}, loss={"kind": "least_squares"}), RATE, 0.5, 50.0),
    "memory": (square(update={"rule": "simultaneous", "momentum_discriminator": 0.2}), RATE, 0.5, 4.0),
    "flow": (square(update={"rule": "flow"}, memory={"generator": 0.5}), RATE, 0.5, 10.0),
    "not on the data": (
        square(
            target=MIXTURE,
            generator={"particles": 6, "learning_rate": 0.3, "kernel": {"ratio": 0.3}},
            penalty={"r1": 0.1, "weight_decay": 0.4},
            likelihood={"weight": 0.02, "score": "exact", "bandwidth": 0.6},
        ),
        RATE,
        2.2,
        2.4,
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n == "not on the data" else n for n in CASES]
)
def test_as_on_all_weights(name, monkeypatch):
    """The next term takes second differences in the parameter, whose rounding is below 1e-8 at this step."""
    monkeypatch.setattr(normal, "STEP", 2e-3)
    exp, path, low, high = CASES[name]
    bases = []
    monkeypatch.setattr(predicted, "local_basis", lambda maps: bases.append(local_basis(maps)) or bases[-1])
    few = locate(exp, path, low, high).normal_forms
    monkeypatch.setattr(predicted, "local_basis", lambda maps: None)
    every = locate(exp, path, low, high).normal_forms
    assert bases and all(b is not None and b.size < 0.9 * b.whole for b in bases)
    assert [len(forms) for forms in few] == [len(forms) for forms in every] != []
    for one, other in zip(sum(few, ()), sum(every, ()), strict=True):
        assert one.reason == other.reason == "" and one.rms_amplitude > 0 and one.relative_correction is not None
        for key in NUMBERS:
            a, b = getattr(one, key), getattr(other, key)
            assert a == b if b is None else a == pytest.approx(b, rel=1e-8), key
        for key in ("criticality", "motion", "points", "stable"):
            assert getattr(one, key) == getattr(other, key)
        lengths = np.linalg.norm(one.shape) * np.linalg.norm(other.shape)
        assert np.abs(np.vdot(one.shape, other.shape)) == pytest.approx(lengths, rel=1e-10)


@pytest.mark.parametrize("name", ["ring", "memory", "consensus", "not on the data"])
def test_linear_map_falls_apart(name):
    """A on the small state is Q^T A Q; weights beyond the core act on nothing and nothing on them, and all are alike;
    the one that stands for those left out decays as they do."""
    stepmap = StepMap(Problem(CASES[name][0]))
    basis = local_basis([stepmap] * 3)
    (small, *_), (point, *_) = basis.maps, basis.points
    A, split = small.jacobian(), point.split
    whole = np.linalg.eigvals(stepmap.jacobian())
    found = np.linalg.eigvals(point.core)
    assert all(np.abs(whole - value).min() < 1e-7 for value in found)
    assert all(np.abs(found - value).min() < 1e-7 for value in whole)
    rebuilt = np.zeros_like(A)
    rebuilt[np.ix_(split.core, split.core)] = point.core
    k = split.others.shape[1]
    for group in split.others:
        rebuilt[np.ix_(group, group)] = point.core[-k:, -k:]
    assert np.abs(A - rebuilt).max() < 1e-12
    assert point.largest < small.size < stepmap.size
    b = np.random.default_rng(0).standard_normal(small.size)
    zeta = 0.3 + 0.8j
    np.testing.assert_allclose(zeta * point.resolvent(zeta, b) - A @ point.resolvent(zeta, b), b, atol=1e-10)
    np.testing.assert_allclose(point.resolvent(zeta, b), Point.of(small).resolvent(zeta, b), rtol=1e-9, atol=1e-10)


def test_weights_left_out_have_a_stand_in():
    """200 random features of a polynomial of six coefficients: what they have beyond those decays, on all alike."""
    stepmap = StepMap(Problem(square(kernel="polynomial", degree=2, length_scale=1.0)))
    basis = local_basis([stepmap] * 3)
    assert basis.size == 7 and basis.left_out
    whole, found = (np.linalg.eigvals(m.jacobian()) for m in (stepmap, basis.maps[0]))
    assert len(whole) - len(found) == 193
    assert all(np.abs(found - value).min() < 1e-7 for value in whole)


@pytest.mark.parametrize("path, factor", [(RATIO, 1.1), (LENGTH, 0.9), (RATE, 1.2)])
@pytest.mark.parametrize("name", ["ring", "not on the data"])
def test_other_values_of_the_parameter(name, path, factor):
    """Whether the features and points at rest are the same there or not, the eigenvalues are."""
    exp = CASES[name][0]
    basis = local_basis([StepMap(Problem(exp))] * 3)
    stepmap = StepMap(Problem(exp.replace({path: factor * exp.get(path)})))
    found, whole = (np.linalg.eigvals(A) for A in (basis.point(stepmap).block, stepmap.jacobian()))
    assert len(found) < len(whole)
    assert all(np.abs(found - value).min() < 1e-7 for value in whole)
    assert all(np.abs(whole - value).min() < 1e-7 for value in found)


def test_polynomials_of_the_features():
    """D, its gradient and Hessian and the adjoint near the points: off by the next order of the displacement."""
    stepmap = StepMap(Problem(square()))
    basis = local_basis([stepmap] * 3)
    small, full, rng = basis.maps[0].field.features, stepmap.field.features, np.random.default_rng(1)
    x = stepmap.positions(stepmap.rest)
    v = rng.standard_normal(small.size)
    v[-1] = 0.0
    w = basis.Q @ v[:-1]
    u, a, b = rng.standard_normal(x.shape), rng.standard_normal(len(x)), rng.standard_normal(x.shape)
    off = []
    for h in (0.02, 0.04):
        near, exact = small.at(x + h * u), full.at(x + h * u)
        pairs = (
            (near.value(v), exact.value(w)),
            (near.psi() @ v, exact.value(w)),
            (near.gradient(v), exact.gradient(w)),
            (near.hessian(v), exact.hessian(w)),
            (near.adjoint(a, b)[:-1], basis.seen(exact.adjoint(a, b))[:-1]),
        )
        off.append([np.abs(p - q).max() for p, q in pairs])
    np.testing.assert_allclose(np.log2(np.divide(*off[::-1])), [6, 6, 5, 4, 5], atol=0.5)


def test_many_features():
    """The orbit of 4096 features, moved by one step of all of them, is turned by its angle but for the next order."""
    exp = ring(**{"discriminator.features": 4096})
    found = locate(exp, RATIO, 0.0, 1.0)
    form, critical, left = found.normal_form, found.values[0], []
    assert form.reason == "" and form.criticality == "supercritical"
    for delta in (1e-4, 4e-4):
        stepmap = StepMap(Problem(exp.replace({RATIO: critical + delta})))
        theta = form.angle + form.frequency_shift * delta
        phases = np.exp(2j * np.pi * np.arange(8) / 8)[:, None]
        z = stepmap.rest + 2 * np.sqrt(delta) * np.real(form.shape * phases)
        turned = stepmap.rest + 2 * np.sqrt(delta) * np.real(form.shape * phases * np.exp(1j * theta))
        left.append(np.linalg.norm(np.mean((stepmap.step(z) - turned) * phases.conj(), axis=0)))
    assert left[1] / left[0] == pytest.approx(8, rel=0.1)


def test_reason_where_too_many_push_each_other(monkeypatch):
    monkeypatch.setattr(normal, "MAX_SIZE", 30)
    form = locate(ring(), RATIO, 0.0, 1.0).normal_form
    assert form.rms_amplitude is None and "computed for (30)" in form.reason
