"""How far from the end of training an advice was taken: numbers by hand, and what is said of them."""

import json

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.cli.app import main

jax = pytest.importorskip("jax")
jnp = jax.numpy

R = np.random.default_rng(4)
PARAMS = {"W": R.standard_normal((10, 2)), "b": R.standard_normal(10), "v": R.standard_normal(10) / 5}
DATA = 2 * R.standard_normal((6, 2))
TABLES = {"loss": {"kind": "non_saturating"}, "generator": {"kernel": {"ratio": 0.0}}, "update": {"rule": "flow"}}


def D(p, x):
    return jnp.tanh(p["W"] @ x + p["b"]) @ p["v"]


def advised(params=PARAMS, training=TABLES, **given):
    return eg.advise(D, params, DATA, training, batch_size=6, variations=False, horizon=50.0, **given)


def gradients(p):
    """Rows d_a psi(y_i), by JAX's own reverse mode alone."""
    with jax.enable_x64(True):
        p = jax.tree.map(lambda a: jnp.asarray(a, dtype=float), p)
        rows = []
        for y in jnp.asarray(DATA):
            for a in range(2):
                leaf = jax.grad(lambda q, y=y, a=a: jax.grad(D, argnums=1)(q, y)[a])(p)
                rows.append(np.concatenate([np.ravel(v) for v in jax.tree.leaves(leaf)]))
    return np.array(rows)


def test_numbers_are_those_by_hand():
    """D* = 0 of the logistic losses; distances in units of that to the nearest other data point."""
    generated, later = DATA[::-1] + np.array([0.3, 0.4]), {k: 1.3 * v for k, v in PARAMS.items()}
    reach = advised(generated=generated, later=later).reach
    t = np.tanh(DATA @ PARAMS["W"].T + PARAMS["b"])
    slope = ((1 - t**2) * PARAMS["v"]) @ PARAMS["W"]
    apart = np.linalg.norm(DATA[:, None] - DATA, axis=-1)
    spacing = np.sqrt((np.sort(apart, axis=1)[:, 1] ** 2).mean())
    assert reach.value_offset == pytest.approx(np.sqrt(((t @ PARAMS["v"]) ** 2).mean()))
    assert reach.slope == pytest.approx(np.sqrt((slope**2).sum(1).mean()) * spacing)
    nearest = np.linalg.norm(generated[:, None] - DATA, axis=-1).min(1)
    assert reach.particles == pytest.approx(np.sqrt((nearest**2).mean()) / spacing)
    H, other = (rows @ rows.T for rows in (gradients(PARAMS), gradients(later)))
    assert reach.drift == pytest.approx(np.linalg.norm(other - H) / np.linalg.norm(H))


def test_only_differences_of_D_count_in_losses_linear_in_it():
    values = np.tanh(DATA @ PARAMS["W"].T + PARAMS["b"]) @ PARAMS["v"]
    reach = advised(training=TABLES | {"loss": {"kind": "wasserstein"}}).reach
    assert reach.value_offset == pytest.approx(values.std())


def test_what_is_far_is_said():
    near, far = {k: 0.05 * v for k, v in PARAMS.items()}, PARAMS | {"v": 40 * PARAMS["v"]}
    close = advised(near, generated=DATA + 1e-3, later=near)
    assert close.reach.far == () and not any("far from the end" in text for text in close.remarks)
    distant = advised(far, generated=DATA + 5.0, later=near)
    assert len(distant.reach.far) == 4
    said = next(text for text in distant.remarks if "far from the end of training" in text)
    for words in ("equilibrium value", "D's slope", "generated samples", "tangent kernel moves"):
        assert words in said
    unknown = advised()
    assert unknown.reach.particles is unknown.reach.drift is None
    assert any("not known" in text and "(generated)" in text and "(later)" in text for text in unknown.remarks)
    data = json.loads(json.dumps(distant.to_dict(), allow_nan=False))["reach"]
    assert set(data) == {"e_folds", "slow", "value_offset", "slope", "particles", "drift", "far"}
    assert "not to be relied on" in eg.plot.advice(distant).get_legend().get_title().get_text().replace("\n", " ")


def test_gram_matrices_at_two_times(tmp_path, capsys):
    rows = gradients(PARAMS)
    gram, other = rows @ rows.T, 1.5 * rows @ rows.T
    training = {"update": {"rule": "flow"}, "generator": {"kernel": {"ratio": 0.0}}}
    found = eg.advise_from_gram(gram, 6, 2, training, later=other, variations=False, horizon=50.0)
    assert found.reach.drift == pytest.approx(0.5) and found.reach.value_offset is None
    with pytest.raises(InputError, match=r"^later: must be positive semidefinite"):
        eg.advise_from_gram(gram, 6, 2, training, later=-other)
    for name, matrix in (("gram", gram), ("later", other)):
        np.save(tmp_path / f"{name}.npy", matrix)
    (tmp_path / "e.toml").write_text(
        '[target]\nkind = "ring"\n[generator.kernel]\nratio = 0.0\n[update]\nrule = "flow"\n'
    )
    files = ["--gram", str(tmp_path / "gram.npy"), "--later", str(tmp_path / "later.npy")]
    arguments = ["advise", str(tmp_path / "e.toml"), *files, "--points", "6", "--dimension", "2", "--horizon", "50"]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reach"]["drift"] == pytest.approx(0.5)


def test_what_is_given_is_checked():
    for given, says in (
        ({"generated": DATA[:, :1]}, "generated: must hold samples of the data's shape"),
        ({"generated": DATA * np.nan}, "generated: must hold"),
        ({"later": {"W": PARAMS["W"]}}, "later: must be weights of the shapes of params"),
        ({"later": {k: np.full(v.shape, np.nan) for k, v in PARAMS.items()}}, "D: must be finite"),
    ):
        with pytest.raises(InputError, match=f"^{says}"):
            advised(**given)
