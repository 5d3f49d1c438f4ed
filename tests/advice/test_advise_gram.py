"""Gram matrices as people save them: one meaning in shell and Python, checked, and honest about their precision."""

import json

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.advice.gram import checked_gram
from egan_theory.base.errors import InputError
from egan_theory.cli.app import main

M, DIMENSION = 8, 2


def rows(X, W, b, v):
    """[psi; grad psi] of v . tanh(W x + b), written out."""
    values, gradients = [], []
    for x in X:
        t = np.tanh(W @ x + b)
        t1, t2 = 1 - t**2, -2 * t * (1 - t**2)
        values.append(np.concatenate([t, v * t1, np.outer(v * t1, x).ravel()]))
        for a, e in enumerate(np.eye(len(x))):
            inner = np.outer(v * t2 * W[:, a], x) + np.outer(v * t1, e)
            gradients.append(np.concatenate([t1 * W[:, a], v * t2 * W[:, a], inner.ravel()]))
    return np.array(values + gradients)


def gram_of(points, dimension, width, seed=3, spread=1.0):
    r = np.random.default_rng(seed)
    X = spread * r.uniform(-1, 1, (points, dimension))
    W = r.standard_normal((width, dimension)) / np.sqrt(dimension)
    R = rows(X, W, 0.5 * r.standard_normal(width), r.standard_normal(width) / np.sqrt(width))
    return R @ R.T


GRAM = gram_of(M, DIMENSION, 64)
TABLES = {"discriminator": {"learning_rate": 0.1}, "generator": {"learning_rate": 0.02, "kernel": {"ratio": 0.0}}}
TOML = """
[target]
kind = "ring"
modes = 4
[generator]
particles = {particles}
learning_rate = 0.02
normalisation = "{normalisation}"
[generator.kernel]
ratio = 0.0
[discriminator]
learning_rate = 0.1
"""


def advised(gram, training=TABLES, points=M, dimension=DIMENSION):
    return eg.advise_from_gram(gram, points, dimension, training, variations=False)


@pytest.mark.parametrize(("particles", "normalisation"), [(4, "sum"), (64, "mean")])
def test_one_meaning_in_shell_and_python(particles, normalisation, tmp_path, capsys):
    """The points are the matrix's own, one particle on each, losses means over them: the experiment's own particles
    and its target play no part, and a file, its experiment and its tables say the same."""
    file, gram = tmp_path / "e.toml", tmp_path / "gram.npy"
    file.write_text(TOML.format(particles=particles, normalisation=normalisation))
    np.save(gram, GRAM)
    assert main(["advise", str(file), "--gram", str(gram), "--points", "8", "--dimension", "2", "--json"]) == 0
    shell = json.loads(capsys.readouterr().out)
    tables, experiment = advised(GRAM), advised(GRAM, eg.Experiment.from_toml(file))
    assert shell["best"] == tables.best == experiment.best > 0
    assert shell["left"] == tables.left == experiment.left and shell["horizon"] == 3000
    assert any("1 on each point of the batch" in text and "means" in text for text in shell["assumptions"])


def test_the_meaning_is_that_of_the_experiment_written_out():
    """M points, M particles, G = eta_D eta_G (g1 - g2) / M of a mean: slowest |z| of z^2 - (2 - a) z + 1 - a + w^2 for
    independent particles."""
    found = advised(GRAM)
    beta = np.linalg.eigvalsh(GRAM[M:, M:]) / M

    def rate(strength):
        a, w2 = 0.1 * strength * beta, 0.1 * 0.02 / M * beta
        return -np.log(max(np.abs(np.roots([1, x - 2, 1 - x + y])).max() for x, y in zip(a, w2, strict=True)))

    endless = found.asymptotic
    assert endless.rate == pytest.approx(rate(endless.best), rel=1e-5)
    assert endless.rate >= max(rate(endless.best * f) for f in np.geomspace(0.1, 10, 401)) * (1 - 1e-5)
    assert found.rate == pytest.approx(rate(found.best), rel=1e-5)


def test_sums_are_refused_in_tables():
    with pytest.raises(InputError, match=r"training.generator.normalisation: must be 'mean' or left out"):
        advised(GRAM, {"generator": {"normalisation": "sum"}})
    with pytest.raises(InputError, match=r"training.packing.degree: must be left out"):
        advised(GRAM, eg.Experiment(packing={"degree": 2}, loss={"kind": "wasserstein"}))


def spoilt(value):
    """The matrix with a lowest eigenvalue of ``value`` times the largest."""
    w, V = np.linalg.eigh(GRAM)
    w[0] = value * w[-1]
    return (V * w) @ V.T


def with_entry(value):
    out = GRAM.copy()
    out[3, 5] = out[5, 3] = value
    return out


@pytest.mark.parametrize(
    ("gram", "says"),
    [
        (np.zeros_like(GRAM), "not be zero"),
        (np.zeros_like(GRAM[M:, M:]), "not be zero"),
        (np.pad(GRAM[:M, :M], (0, 2 * M)), "not be zero"),  # D does not change in x
        (spoilt(-0.02), "positive semidefinite up to the rounding of float64, but found an eigenvalue"),
        (spoilt(-1e-9), "positive semidefinite up to the rounding of float64"),
        (spoilt(-1e-2).astype(np.float32), "positive semidefinite up to the rounding of float32"),
        (spoilt(-0.2), "positive semidefinite"),
        (-GRAM, "positive semidefinite.*on its diagonal"),
        (np.triu(GRAM), "be symmetric"),
        (GRAM + np.triu(1e-6 * GRAM), "be symmetric"),
        (with_entry(np.nan), "finite numbers, but found nan at row 3, column 5"),
        (with_entry(np.inf), "finite numbers, but found inf at row 3, column 5"),
        (GRAM.astype(complex), "hold real numbers.*complex128"),
        (GRAM > 0, "hold real numbers.*bool"),
        (GRAM.astype(object), "hold real numbers.*object"),
        (GRAM.astype(str), "hold real numbers"),
        (np.ma.masked_greater(GRAM, 10), "no masked entries"),
        (GRAM[:, :-1], "square matrix"),
        (GRAM[None], "square matrix"),
        (GRAM[:-1, :-1], "rows"),
        (GRAM * 1e-200, "of a size between"),
        (GRAM * 1e200, "of a size between"),
    ],
)
def test_what_is_no_gram_matrix_is_refused(gram, says, tmp_path, capsys):
    with pytest.raises(InputError, match=f"^gram: must .*{says}"):
        advised(gram)
    if isinstance(gram, np.ma.MaskedArray) or gram.dtype == object:
        return
    np.save(tmp_path / "g.npy", gram)
    (tmp_path / "e.toml").write_text('[target]\nkind = "ring"\n')
    size = ["--points", "8", "--dimension", "2"]
    assert main(["advise", str(tmp_path / "e.toml"), "--gram", str(tmp_path / "g.npy"), *size]) == 2
    error = capsys.readouterr().err
    assert "gram: must" in error and "Traceback" not in error


def test_a_mask_that_hides_nothing_lists_and_integers_are_fine():
    reference = advised(GRAM).best
    assert advised(np.ma.masked_array(GRAM, mask=False)).best == reference
    assert advised(GRAM.tolist()).best == reference
    R = np.rint(20 * np.random.default_rng(0).standard_normal((24, 40)))
    whole = R @ R.T
    assert advised(whole.astype(np.int64)).best == advised(whole).best
    assert checked_gram(whole, M, DIMENSION).precision == "float64"  # whole numbers are exact


@pytest.mark.parametrize("stored", [False, True], ids=["as it is", "stored as float64"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_what_rounding_loses_is_counted_and_left_out(dtype, stored):
    """The kept modes stand above the perturbation that rounding is (Weyl): their stiffness is right to that."""
    gram = gram_of(8, 8, 128)
    short = gram.astype(dtype)
    found = advised(short.astype(float) if stored else short, points=8, dimension=8)
    draw, exact = found.draws[0], np.linalg.eigvalsh(gram[8:, 8:])[::-1] / 8
    error = np.linalg.norm((short.astype(float) - gram)[8:, 8:], 2) / 8
    kept = draw.modes - draw.unresolved
    assert draw.modes == 64 and 0 < kept < 64 if dtype == np.float16 else kept == 64
    assert abs(draw.beta_min - exact[kept - 1]) <= error < draw.beta_min
    said = [text for text in found.remarks if "are left out: D does not see them" in text]
    assert bool(said) == (kept < 64)
    if said:
        assert said[0].startswith(f"{64 - kept} of the 64 modes") and np.dtype(dtype).name in said[0]
        assert found.to_dict()["draws"][0]["unresolved"] == 64 - kept


def test_single_precision_of_tight_data_is_recognised_wherever_it_is_kept():
    """Points so close that most stiffnesses are below the rounding of single precision."""
    gram = gram_of(8, 6, 128, spread=0.05)
    single = gram.astype(np.float32)
    kept = [
        d.modes - d.unresolved
        for g in (gram, single, single.astype(float))
        for d in advised(g, points=8, dimension=6).draws
    ]
    assert kept[0] == 48 > kept[1] == kept[2] > 8


def test_singular_matrices_of_double_precision_are_accepted():
    """More rows than weights: rounding makes some eigenvalues negative."""
    gram = gram_of(24, 2, 9)
    assert np.linalg.eigvalsh(gram)[0] < 0
    found = advised(gram, points=24)
    assert found.draws[0].unresolved == 48 - np.linalg.matrix_rank(gram[24:, 24:], hermitian=True, tol=1e-10)
    assert found.best > 0


def test_the_table_tells_what_is_left_of_what_can_move():
    """Of 12 coordinates that 5 weights see 7 stand still, whatever the strength: what is left of the other 5 is told,
    as the remarks and the report do, and how much never moves: sqrt(7/12) of an isotropic kick."""
    rows = np.random.default_rng(0).standard_normal((12, 5))
    found = advised(rows @ rows.T, {"loss": {"kind": "wasserstein"}, "run": {"steps": 300}}, 6)
    assert found.frozen == pytest.approx(np.sqrt(7 / 12), rel=1e-6) and found.left > 2 * found.moving
    table = dict(found.grid()[1])
    assert table["left of what can move of a small kick after 300 steps, of 1"] == f"{found.moving:.3g}"
    assert table["without R1"] == f"{found.moving_without:.3g}"
    both = f"{found.moving_at_half:.3g}, {found.moving_at_double:.3g}"
    assert table["at half and at twice the strength"] == both
    assert table["of a small kick, never moves, of 1"] == f"{found.frozen:.3g}"
    assert any(f"leaves {found.moving:.3g} of what can move" in text for text in found.remarks)
    assert {"moving_at_half", "moving_at_double"} <= found.to_dict().keys()
    whole = advised(GRAM)
    assert whole.frozen == 0 and not any("never moves" in name for name, _ in whole.grid()[1])
