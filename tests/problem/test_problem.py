"""Compiled experiments: what they are told apart by, and that nothing that is kept can go stale."""

import ast
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

import egan_theory
from egan_theory.base.config import Config
from egan_theory.experiment import Experiment
from egan_theory.linear import equilibria, finite, seen, structured
from egan_theory.predict import splitting
from egan_theory.problem.field import Field
from egan_theory.problem.problem import KEPT, Problem, kept

#: an experiment in which no optional term is left out, and one change of every field it can have
FULL = {
    "target": {"kind": "ring", "modes": 3, "weights": (0.3, 0.3, 0.4)},
    "generator": {"particles": 4, "masses": "matched", "per_point": (1, 1, 2)},
    "discriminator": {"features": 10},
    "penalty": {"r1": 0.2},
    "run": {"steps": 100},
}
CHANGES = {
    "target.modes": None, "target.kind": None, "target.weights": (0.2, 0.4, 0.4), "target.radius": 1.5,
    "generator.particles": None, "generator.learning_rate": 0.02, "generator.normalisation": "mean",
    "generator.masses": "equal", "generator.per_point": (2, 1, 1), "generator.architecture": None,
    "generator.kernel.diagonal": 1.5, "generator.kernel.ratio": 0.3,
    "discriminator.kernel": "matern", "discriminator.length_scale": 0.7, "discriminator.smoothness": 2.5,
    "discriminator.alpha": 2.0, "discriminator.variance": 2.0, "discriminator.degree": 3, "discriminator.offset": 2.0,
    "discriminator.features": 12, "discriminator.learning_rate": 0.2, "discriminator.seed": 5,
    "discriminator.evaluation": None, "discriminator.tolerance": 1e-7, "discriminator.architecture": None,
    "loss.kind": "logistic",
    "penalty.r1": 0.3, "penalty.r2": 0.3, "penalty.weight_decay": 0.3, "penalty.multiplier": 0.3, "penalty.alpha": 0.3,
    "penalty.instance_noise": 0.1, "penalty.consensus": 0.2,
    "update.rule": "flow", "update.critic_steps": None, "update.momentum_discriminator": 0.4,
    "update.momentum_generator": 0.4, "update.substeps": 7,
    "memory.generator": 5.0, "memory.discriminator": 5.0,
    "likelihood.weight": None, "likelihood.bandwidth": 0.4, "likelihood.score": None,
    "likelihood.target_bandwidth": None,
    "packing.degree": 2, "packing.kernel": "additive",
    "run.steps": 50, "run.seed": 3, "run.record_every": 5, "run.runs": 3, "run.start": "random", "run.kick": 1e-4,
    "run.spread": 0.5,
}  # fmt: skip


def paths(node, prefix=""):
    for name in type(node).model_fields:
        value = getattr(node, name)
        yield from paths(value, f"{prefix}{name}.") if isinstance(value, Config) else [f"{prefix}{name}"]


def changed(exp, path):
    """The experiment with another value of one field, or None where nothing else is possible."""
    value = CHANGES.get(path)
    return None if value is None else exp.replace({path: value})


def test_every_field_tells_problems_apart():
    exp = Experiment(**FULL)
    assert {path for path in paths(exp) if path not in CHANGES} == set(), "a new field: say here how it may change"
    for path in paths(exp):
        other = changed(exp, path)
        if other is not None:
            assert Problem(other).key() != Problem(exp).key(), path
            assert Problem(other).key([path]) == Problem(exp).key([path]), path
            assert Problem(other).key([path.split(".")[0]]) == Problem(exp).key([path.split(".")[0]])


def test_points_of_a_file_tell_problems_apart(tmp_path):
    rng = np.random.default_rng(0)
    file, keys = tmp_path / "points.npy", []
    for _ in range(2):
        np.save(file, rng.standard_normal((4, 2)))
        keys.append(Problem(Experiment(target={"kind": "points", "path": str(file)})).key())
    assert keys[0] != keys[1]


def test_a_field_that_nobody_declares_makes_it_compute_again():
    calls = []

    @kept(("run", "penalty.r1"))
    def counted(problem, factor=1):
        calls.append(problem)
        return factor

    exp = Experiment(**FULL)
    for changes in ({}, {"run.seed": 4}, {"penalty.r1": 7.0}):
        assert counted(Problem(exp.replace(changes))) == 1
    assert len(calls) == 1
    counted(Problem(exp.replace({"penalty.r2": 0.1})))
    assert len(calls) == 2 and counted(Problem(exp), 3) == 3 and len(calls) == 3


def same(a, b):
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if hasattr(a, "at"):  # a feature map: by what it gives
        X = np.random.default_rng(0).standard_normal((3, 2))
        return a.size == b.size and np.array_equal(a.at(X).psi(), b.at(X).psi())
    return a == b


OPEN = {
    "target": {"kind": "points", "values": ((0.0, 0.0, 0.1), (1.0, 0.2, 0.0), (0.3, 1.0, 0.4))},
    "generator": {"particles": 3},
    "discriminator": {"features": 0, "length_scale": 1.0},
    "penalty": {"weight_decay": 0.1},
}
AT_REST = FULL | {"generator": {"particles": 4}, "penalty": {"weight_decay": 0.3},
                  "likelihood": {"weight": 0.1, "bandwidth": 0.4}}  # fmt: skip
CASES = {
    structured._split: OPEN, structured._stiffness: OPEN, equilibria._relaxed: AT_REST,
    seen._packed: FULL | {"packing": {"degree": 2}},
}  # fmt: skip


@pytest.mark.parametrize("function", [function for function in KEPT if "test" not in function.__module__],
                         ids=lambda f: f"{f.__module__.split('.')[-1]}.{f.__name__}")  # fmt: skip
def test_what_is_declared_irrelevant_is(function):
    """Every kept function gives the same, computed anew, whatever its irrelevant fields are."""
    irrelevant, _ = KEPT[function]
    public = {seen._packed.__wrapped__: (True,)}.get(function, ())
    case = next((data for key, data in CASES.items() if key.__wrapped__ is function), FULL)
    exp = Experiment(**case)
    declared = tuple(irrelevant(Problem(exp)))
    expected = function(Problem(exp), *public)
    tried = 0
    for path in paths(exp):
        if not any(path == field or path.startswith(f"{field}.") for field in declared):
            continue
        try:
            other = changed(exp, path)
        except egan_theory.InputError:
            continue
        if other is not None and (case is not OPEN or path not in ("penalty.instance_noise",)):
            assert same(function(Problem(other), *public), expected), path
            tried += 1
    assert tried >= 3


def test_all_that_is_kept_is_tested_here():
    assert {f.__name__ for f in KEPT if "test" not in f.__module__} >= {
        f.__name__ for f in (seen.features_of, finite._singular_values, structured._split, splitting._patterns)
    }


#: files that tell parameters and modules of PyTorch apart, which compare elementwise or not at all, within one call
TOLD_APART = {f"games/{name}.py" for name in ("generators", "modules", "torchoptim")} | {"monitoring/lightning.py"}


def test_no_cache_is_keyed_by_the_address_of_an_object():
    package = Path(egan_theory.__file__).parent
    for file in package.rglob("*.py"):
        if file.relative_to(package).as_posix() in TOLD_APART:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "id"), file


def test_shared_arrays_are_read_only():
    exp = Experiment(**FULL)
    found = seen.seen(Problem(exp))
    for array in found[:3]:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_field_never_changes():
    """Growing an exact kernel's dictionary gives another field; the old one gives what it gave."""
    problem = Problem(Experiment(**OPEN))
    field, x = Field(problem), problem.home + 0.3
    w = np.random.default_rng(1).standard_normal(field.features.size)
    before = field.Vw(w, x), field.features
    grown = field.grown(x)
    assert grown is not field and grown.features is not field.features
    assert field.features is before[1] and np.array_equal(field.Vw(w, x), before[0])


def test_positions_are_evaluated_once():
    problem = Problem(Experiment(**FULL))
    field, calls = Field(problem), []
    features = field.features

    class Counting:
        size = features.size

        def at(self, X):
            calls.append(X)
            return features.at(X)

    field = field.with_features(Counting())
    cloud = field.place(problem.home + 0.1)
    w = np.ones(features.size)
    field.Vw(w, cloud), field.Vx(w, cloud), field.forces(cloud, w)
    assert len(calls) == 2  # the target's points, and the particles
    moved = cloud + field.Vx(w, cloud)
    field.Vx(w, moved)
    assert len(calls) == 3 and isinstance(2 * moved, np.ndarray)
