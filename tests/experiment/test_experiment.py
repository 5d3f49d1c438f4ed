"""The experiment: TOML round trips, defaults, dotted fields, equality, and the quantities derived from it."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egan_theory.base.errors import InputError
from egan_theory.experiment import Experiment
from egan_theory.experiment import given as target_tables
from egan_theory.experiment.targets import TARGETS, Grid, Mixture, PointSet, Ring, Uniform
from egan_theory.kernels import KERNELS, Gaussian
from egan_theory.tables.losses import single_losses

EPS = np.finfo(float).eps

#: the experiment that the design shows, word for word
DESIGN = """
[target]
kind = "ring"
modes = 8
radius = 1.0
[generator]
particles = 64
learning_rate = 0.01
normalisation = "sum"
[generator.kernel]
diagonal = 1.0
ratio = 0.05
[discriminator]
kernel = "gaussian"
length_scale = 0.5
features = 256
learning_rate = 0.1
[loss]
kind = "wasserstein"
[penalty]
r1 = 0.1
weight_decay = 0.0
[update]
rule = "simultaneous"
critic_steps = 1
[run]
steps = 3000
seed = 0
record_every = 10
"""


def test_defaults_are_the_designs_example():
    assert Experiment.from_toml_string(DESIGN) == Experiment()
    assert Experiment.from_toml_string("[run]") == Experiment()


# -- round trips ------------------------------------------------------------------------------------------------------

positive = st.floats(1e-6, 1e6)
small_number = st.floats(0, 10)
seed = st.integers(0, 2**63 - 1)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory) -> str:
    file = tmp_path_factory.mktemp("clouds") / "a cloud.npy"
    np.save(file, np.random.default_rng(0).standard_normal((5, 3)))
    return str(file)


@st.composite
def targets(draw, cloud):
    """(table, number of points)."""
    kind = draw(st.sampled_from(sorted(TARGETS)))
    if kind == "ring":
        table, M = {"modes": draw(st.integers(1, 6)), "radius": draw(positive)}, 0
        M = table["modes"]
    elif kind == "grid":
        table = {"side": draw(st.integers(1, 3)), "dimension": draw(st.integers(1, 2)), "spacing": draw(positive)}
        M = table["side"] ** table["dimension"]
    elif kind == "mixture":
        components, d, M = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 6))
        number = st.floats(-1e3, 1e3)
        means = draw(st.lists(st.tuples(*[number] * d), min_size=components, max_size=components))
        std = draw(st.one_of(small_number, st.tuples(*[small_number] * components)))
        table = {"means": means, "std": std, "samples": M, "seed": draw(seed)}
        if draw(st.booleans()):
            table["weights"] = draw(st.tuples(*[positive] * components))
        return {"kind": kind, **table}, M
    elif kind == "uniform":
        table = {"side": draw(st.sampled_from([3, 5])), "dimension": draw(st.integers(1, 2)), "length": draw(positive)}
        return {"kind": kind, **table}, table["side"] ** table["dimension"]
    else:
        table, M = {"path": cloud}, 5
    if draw(st.booleans()):
        table["weights"] = draw(st.tuples(*[positive] * M))
    return {"kind": kind, **table}, M


@st.composite
def experiments(draw, cloud):
    target, M = draw(targets(cloud))
    box = target["kind"] == "uniform"
    N = draw(st.integers(1, 8))
    generator = {
        "particles": N,
        "learning_rate": draw(positive),
        "normalisation": draw(st.sampled_from(["sum", "mean"])),
        "kernel": {"diagonal": draw(positive), "ratio": draw(st.floats(0, 1))},
    }
    if draw(st.booleans()):
        cuts = sorted(draw(st.lists(st.integers(0, N), min_size=M - 1, max_size=M - 1)))
        generator["per_point"] = tuple(b - a for a, b in zip([0, *cuts], [*cuts, N], strict=True))
    masses = draw(st.sampled_from(["equal", "matched", "numbers"]))
    if masses == "numbers":
        raw = np.array(draw(st.lists(st.floats(0.1, 1), min_size=N, max_size=N)))
        masses = tuple((raw / raw.sum()).tolist())
    generator["masses"] = masses
    names = ["gaussian", "matern", "laplace", "rational_quadratic"] if box else sorted(KERNELS)
    discriminator = {
        "kernel": draw(st.sampled_from(names)),
        "length_scale": draw(positive),
        "smoothness": draw(positive),
        "alpha": draw(positive),
        "variance": draw(positive),
        "degree": draw(st.integers(1, 12)),
        "offset": draw(small_number),
        "features": 0 if box else 2 * draw(st.integers(0, 100)),
        "learning_rate": draw(positive),
        "seed": draw(seed),
    }
    names = ["r1", "r2", "weight_decay", "alpha", "instance_noise", "consensus"]
    penalty = draw(st.fixed_dictionaries({}, optional={n: small_number for n in names})) | {
        "multiplier": draw(st.floats(0.1, 1))
    }
    update = draw(
        st.sampled_from(
            [
                {"rule": "flow", "substeps": 7},
                {"rule": "alternating", "critic_steps": 5, "momentum_generator": 0.25},
                {"rule": "simultaneous", "momentum_discriminator": 0.1},
                {"rule": "optimistic"},
                {"rule": "extragradient"},
            ]
        )
    )
    steps = draw(st.integers(1, 10**9))
    run = {
        "steps": steps,
        "seed": draw(seed),
        "record_every": draw(st.integers(1, steps)),
        "runs": draw(st.integers(1, 100)),
        "start": draw(st.sampled_from(["kick", "random"])),
        "kick": draw(positive),
        "spread": draw(small_number),
    }
    return Experiment(
        target=target,
        generator=generator,
        discriminator=discriminator,
        loss={"kind": draw(st.sampled_from(sorted(single_losses())))},
        penalty=penalty,
        update=update,
        run=run,
    )


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_toml_round_trip(cloud, data):
    """Every field survives, to the last bit; so do equality, hash and the derived numbers."""
    exp = data.draw(experiments(cloud))
    again = Experiment.from_toml_string(exp.to_toml())
    assert again == exp and hash(again) == hash(exp)
    assert again.model_dump() == exp.model_dump()
    assert np.array_equal(again.points.coordinates, exp.points.coordinates)
    assert np.array_equal(again.assignment, exp.assignment)


@pytest.mark.parametrize(
    "target",
    [
        Ring(modes=3, radius=0.1, weights=(1.0, 2.0, 3.0)),
        Grid(side=2, dimension=3, spacing=0.3),
        Mixture(means=((0.0, 1.0), (2.0, 3.0)), std=(0.1, 0.2), weights=(0.25, 0.75), samples=9, seed=4),
        Uniform(length=2.5, dimension=2, side=3),
    ],
    ids=lambda t: t.kind,
)
def test_round_trip_through_a_file(target, tmp_path):
    features = 0 if target.kind == "uniform" else 10
    exp = Experiment(target=target, discriminator={"features": features})
    (tmp_path / "e.toml").write_text(exp.to_toml())
    assert Experiment.from_toml(tmp_path / "e.toml") == exp
    # a byte order mark, as some editors write it
    (tmp_path / "mark.toml").write_text(exp.to_toml(), encoding="utf-8-sig")
    assert Experiment.from_toml(str(tmp_path / "mark.toml")) == exp


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    folder = tmp_path / "experiments"
    folder.mkdir()
    points = np.array([[0.0, 1.0], [2.0, 3.0]])
    np.save(folder / "cloud.npy", points)
    (folder / "e.toml").write_text('[target]\nkind = "points"\npath = "cloud.npy"\n')
    monkeypatch.chdir(tmp_path)
    exp = Experiment.from_toml("experiments/e.toml")
    assert np.array_equal(exp.points.coordinates, points)
    # the same experiment built in code means the working folder
    assert exp.target == PointSet(path=str(Path("experiments/cloud.npy")))
    with pytest.raises(InputError, match=r"target.path: must be an existing \.npy or \.nc file"):
        Experiment(target={"kind": "points", "path": "cloud.npy"})


def test_a_file_is_read_once_and_its_points_are_kept(tmp_path, monkeypatch):
    """However often the experiment is changed elsewhere, and whatever becomes of the file."""
    file, reads = tmp_path / "cloud.npy", []
    points = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 4.0]])
    np.save(file, points)
    read = target_tables.read_npy
    monkeypatch.setattr(target_tables, "read_npy", lambda *args: reads.append(args) or read(*args))
    first = exp = Experiment(target={"kind": "points", "path": str(file)})
    for r1 in np.linspace(0.1, 1, 81):
        exp = exp.replace({"penalty.r1": float(r1), "generator.kernel.ratio": float(r1)})
        unchanged = [name for name in Experiment.model_fields if name not in ("penalty", "generator")]
        assert all(getattr(exp, name) is getattr(first, name) for name in unchanged)
        assert exp.dimension == exp.target.dimension == 2
    assert len(reads) == 1
    np.save(file, points + 1)
    later = Experiment(target={"kind": "points", "path": str(file)})
    for kept in (exp, exp.replace({"penalty.r2": 0.1}), copy.deepcopy(exp), pickle.loads(pickle.dumps(exp))):
        assert np.array_equal(kept.points.coordinates, points) and kept.target == exp.target != later.target
    assert np.array_equal(later.points.coordinates, points + 1) and len(reads) == 2
    file.unlink()
    assert exp.replace({"run.seed": 3}).points is exp.points
    with pytest.raises(InputError, match=r"target\.path: must be an existing"):
        exp.replace({"target.weights": (1.0, 1.0, 1.0)})  # another target


def test_a_kernel_object_has_no_toml_form():
    exp = Experiment(discriminator={"kernel": Gaussian(length_scale=0.3)})
    assert exp.discriminator.kernel_object.length_scale == 0.3
    with pytest.raises(InputError, match=r"discriminator\.kernel: must be a named kernel to be written as TOML"):
        exp.to_toml()


# -- fields -----------------------------------------------------------------------------------------------------------


def test_replace_and_get():
    exp = Experiment()
    changes = {"penalty.r1": 0.25, "generator.kernel.ratio": 0.5, "run.steps": 70.0, "update.rule": "flow"}
    new = exp.replace(changes)
    assert [new.get(path) for path in changes] == [0.25, 0.5, 70, "flow"]
    assert isinstance(new.run.steps, int)
    # the original and all other fields stay
    assert exp == Experiment()
    assert new.replace({path: exp.get(path) for path in changes}) == exp
    assert exp.get("generator.kernel") == exp.generator.kernel


def test_replace_builds_the_derived_quantities_anew():
    exp = Experiment()
    assert len(exp.points.coordinates) == 8 and len(exp.assignment) == 64
    new = exp.replace({"target.modes": 4, "generator.particles": 6})
    assert len(new.points.coordinates) == 4 and np.array_equal(new.assignment, [0, 0, 1, 1, 2, 3])
    assert np.array_equal(new.masses, np.full(6, 1 / 6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"penalty.r3": 1.0}, r"penalty.r3: must be one of r1, r2"),
        ({"penalties.r1": 1.0}, r"penalties: must be a table of the experiment"),
        ({"penalty": 1.0}, r"penalty: must be a dotted field, e.g. penalty.r1, but found a whole table"),
        ({"penalty": {"r1": 1.0}}, r"penalty: must be a dotted field, e.g. penalty.r1"),
        ({"generator.kernel": {"ratio": 0.1}}, r"generator.kernel: must be a dotted field, e.g. generator.kernel.\w+"),
        ({"penalty.r1.x": 1.0}, r"penalty.r1: must be a table of the experiment"),
        ({"penalty.r1": -1.0}, r"penalty.r1: must be at least 0"),
        ({"run.steps": 2.5}, r"run.steps: must be a whole number"),
        ({"penalty.r1": "0.1"}, r"penalty.r1: must be a number"),
    ],
)
def test_replace_checks(changes, message):
    with pytest.raises(InputError, match=message):
        Experiment().replace(changes)


@pytest.mark.parametrize("path", ["penalty.r3", "x", "penalty.r1.real", "points", "penalty.coefficients", ""])
def test_get_refuses_what_is_no_field(path):
    with pytest.raises(InputError, match="must be a field of the experiment"):
        Experiment().get(path)


def test_frozen():
    exp = Experiment()
    for part, name in ((exp, "run"), (exp.penalty, "r1"), (exp.generator.kernel, "ratio"), (exp.target, "modes")):
        with pytest.raises(InputError, match=f"{name}: must not be assigned"):
            setattr(part, name, getattr(part, name))


def test_equality_and_hash_see_only_fields():
    """Cached arrays neither break comparison nor make a used experiment differ from a fresh one."""
    used, fresh = Experiment(), Experiment()
    _ = used.points, used.assignment, used.masses, used.discriminator.kernel_object, used.update_rule
    assert used == fresh and hash(used) == hash(fresh) and len({used, fresh}) == 1
    assert used != fresh.replace({"run.seed": 1})
    assert used.penalty != fresh.update and used != 3
    for twin in (copy.deepcopy(used), pickle.loads(pickle.dumps(used))):
        assert twin == used and hash(twin) == hash(used)
        assert np.array_equal(twin.points.coordinates, used.points.coordinates)


# -- targets ----------------------------------------------------------------------------------------------------------


def test_ring_and_grid():
    ring = Ring(modes=4, radius=2.0).points()
    np.testing.assert_allclose(ring.coordinates, [[2, 0], [0, 2], [-2, 0], [0, -2]], atol=4 * EPS)
    grid = Grid(side=2, dimension=2, spacing=3.0, weights=(1.0, 1.0, 2.0, 4.0)).points()
    assert sorted(grid.coordinates.tolist()) == [[-1.5, -1.5], [-1.5, 1.5], [1.5, -1.5], [1.5, 1.5]]
    np.testing.assert_allclose(grid.weights, [0.125, 0.125, 0.25, 0.5], rtol=EPS)
    assert grid.period is None


def test_uniform_lattice():
    points = Uniform(length=3.0, dimension=2, side=3).points()
    assert points.period == 3.0 and points.coordinates.shape == (9, 2)
    assert sorted(set(points.coordinates.ravel().tolist())) == [0.0, 1.0, 2.0]


def test_mixture_is_seeded():
    mixture = Mixture(means=((0.0,), (10.0,)), std=0.1, samples=50, seed=3)
    same = mixture.points().coordinates
    assert np.array_equal(same, mixture.points().coordinates)
    assert not np.array_equal(same, mixture.model_copy(update={"seed": 4}).points().coordinates)


def test_mixture_respects_weights_and_stds():
    n, weights, std = 20_000, np.array([0.2, 0.7, 0.1]), np.array([0.1, 0.5, 0.0])
    mixture = Mixture(
        means=((0.0, 0.0), (20.0, 0.0), (40.0, 5.0)), weights=tuple(10 * weights), std=tuple(std), samples=n, seed=1
    )
    points = mixture.points()
    assert np.array_equal(points.weights, np.full(n, 1 / n))
    component = np.rint(points.coordinates[:, 0] / 20).astype(int)
    share = np.bincount(component) / n
    assert np.all(np.abs(share - weights) <= 5 * np.sqrt(weights * (1 - weights) / n))
    for c, mean in enumerate(mixture.means):
        cloud = points.coordinates[component == c] - mean
        count = 2 * (component == c).sum()
        # the standard deviation of m normal values has the relative error 1/sqrt(2 m)
        assert abs(np.sqrt((cloud**2).mean()) - std[c]) <= 5 * std[c] / np.sqrt(2 * count)
        assert abs(cloud.mean()) <= 5 * std[c] / np.sqrt(count)


# -- particles --------------------------------------------------------------------------------------------------------


def three_points(**generator):
    return Experiment(target=Ring(modes=3, weights=(1.0, 2.0, 5.0)), generator=generator)


def test_assignment_is_as_even_as_possible():
    assert np.array_equal(three_points(particles=8).assignment, [0, 0, 0, 1, 1, 1, 2, 2])
    assert np.array_equal(three_points(particles=2).assignment, [0, 1])
    assert np.array_equal(three_points(particles=4, per_point=(0, 3, 1)).assignment, [1, 1, 1, 2])


def test_masses():
    assert np.array_equal(three_points(particles=5).masses, np.full(5, 0.2))
    matched = three_points(particles=4, per_point=(1, 1, 2), masses="matched").masses
    np.testing.assert_allclose(matched, [0.125, 0.25, 0.3125, 0.3125], rtol=2 * EPS)
    given = (0.5, 0.25, 0.25)
    assert np.array_equal(three_points(particles=3, masses=given).masses, given)


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ({"particles": 3, "masses": (0.5, 0.5)}, "generator.masses: must have 3 positive entries"),
        ({"particles": 2, "masses": (1.5, -0.5)}, "generator.masses: must have 2 positive entries"),
        ({"particles": 2, "masses": (0.5, 0.6)}, "generator.masses: must sum to 1"),
        ({"particles": 2, "masses": "unequal"}, "generator.masses: must be 'equal', 'matched' or"),
        ({"particles": 3, "per_point": (1, 2)}, "generator.per_point: must have 3 entries >= 0"),
        ({"particles": 3, "per_point": (4, -1, 0)}, "generator.per_point: must have 3 entries >= 0"),
        ({"particles": 3, "per_point": (1, 1, 2)}, "generator.per_point: must sum to generator.particles = 3"),
    ],
)
def test_masses_and_counts_are_checked(generator, message):
    with pytest.raises(InputError, match=message):
        three_points(**generator)


def test_matched_masses_need_a_particle_on_every_point():
    exp = three_points(particles=2, masses="matched")
    with pytest.raises(
        InputError, match=r"generator\.masses: must not be 'matched' when a target point has no particle"
    ):
        _ = exp.masses


def test_normalisation():
    assert three_points(particles=7).omega == 7.0
    assert three_points(particles=7, normalisation="mean").omega == 1.0
    kernel = three_points(kernel={"diagonal": 3.0, "ratio": 0.25}).generator.kernel
    assert (kernel.g1, kernel.g2) == (3.0, 0.75)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"update.critic_steps": 2}, "update.critic_steps: must be 1 unless update.rule is 'alternating'"),
        ({"update.rule": "flow", "update.momentum_generator": 0.1}, "update.momentum_generator: must be 0 unless"),
        ({"update.rule": "adam"}, "update.rule: must be one of flow"),
        ({"loss.kind": "sobolev"}, "penalty.multiplier: must be greater than 0 for loss.kind 'sobolev'"),
        ({"discriminator.features": 7}, "discriminator.features: must be even"),
        ({"run.record_every": 5000}, "run.record_every: must be at most run.steps = 3000"),
    ],
)
def test_parts_must_fit_each_other(changes, message):
    with pytest.raises(InputError, match=message):
        Experiment().replace(changes)
