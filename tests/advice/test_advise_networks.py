"""Networks that cannot be advised on are refused with what is wrong with them."""

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.base.errors import InputError

jax = pytest.importorskip("jax")
jnp = jax.numpy

R = np.random.default_rng(0)
PARAMS = {"W": R.standard_normal((12, 3)), "b": R.standard_normal(12), "v": R.standard_normal(12) / 6}
DATA = R.uniform(-1, 1, (10, 3))
TABLES = {"generator": {"kernel": {"ratio": 0.0}}, "update": {"rule": "flow"}}


def advised(D, params=PARAMS, data=DATA, **settings):
    return eg.advise(D, params, data, TABLES, batch_size=4, batches=1, variations=False, **settings)


def tanh(p, x):
    return jnp.tanh(p["W"] @ x + p["b"]) @ p["v"]


@pytest.mark.parametrize(
    ("D", "says"),
    [
        (lambda p, x: jax.nn.relu(p["W"] @ x - 1e3) @ p["v"], "have a gradient in x .* found zeros at all 4 points"),
        (lambda p, x: 0.0 * jnp.sum(x) + p["b"][0], "have a gradient in x .* found zeros"),
        (lambda p, x: jnp.sum(x) + 0.0 * p["b"][0], "have a gradient in x .* found zeros"),  # no weight changes D
        (lambda p, x: jnp.log(-jnp.sum(x * x) - 1) * p["b"][0], "be finite at the data.* at 4 of 4 points"),
        (lambda p, x: p["b"][0] / (0 * x[0]), "be finite at the data"),
        (lambda p, x: jnp.sqrt(jnp.maximum(x[0], 0.0)) * p["b"][0], r"be finite .* at \d of 4 points, the first \["),
        (lambda p, x: tanh(p, x) * jnp.exp(1e4 * x[1] ** 0), "be finite at the data"),
    ],
    ids=["dead units", "constant", "not trained", "nan", "infinite", "nan at some", "overflow"],
)
def test_dead_and_nan_networks_are_refused(D, says):
    with pytest.raises(InputError, match=f"^D: must {says}"):
        advised(D)


def test_dead_and_nan_networks_are_refused_through_products_too(monkeypatch):
    """Networks so large that their rows are never built."""
    monkeypatch.setattr("egan_theory.features.networks.tangent.MAX_DENSE_ROWS", 10)
    for D, says in (
        (lambda p, x: jax.nn.relu(p["W"] @ x - 1e3) @ p["v"], "zeros"),
        (lambda p, x: jnp.log(-jnp.sum(x * x) - 1) * p["b"][0], "NaN or infinity"),
    ):
        with pytest.raises(InputError, match=f"^D: .*{says}"):
            advised(D)


def test_one_bad_initialisation_is_named_as_one():
    with pytest.raises(InputError, match="D: must be finite"):
        advised(tanh, initialisations=[PARAMS | {"v": np.full(12, np.nan)}])


def test_units_of_the_data_change_the_strength_alone():
    """x -> s x with D(x / s): grad psi is 1/s of what it was and g1 s^2, so that r1* is s^2 of it."""
    s = 127.5
    scaled = eg.advise(
        lambda p, x: tanh(p, x / s), PARAMS, s * DATA,
        TABLES | {"generator": {"kernel": {"diagonal": s**2, "ratio": 0.0}}}, batch_size=4, batches=1, variations=False,
    )  # fmt: skip
    assert scaled.best == pytest.approx(s**2 * advised(tanh).best, rel=2e-4)
    single = {k: v.astype(np.float32) for k, v in PARAMS.items()}
    assert advised(tanh, single, DATA.astype(np.float32)).best == pytest.approx(advised(tanh).best, rel=1e-3)


@pytest.mark.parametrize(
    "data", [np.ma.masked_greater(DATA, 0.5), DATA.astype(complex), DATA > 0, DATA.astype(str), DATA.astype(object)]
)
def test_data_that_are_no_numbers_are_refused(data):
    with pytest.raises(InputError, match=r"^data: must (hold|have no masked)"):
        advised(tanh, data=data)
