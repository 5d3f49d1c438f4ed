"""The description of the solvable model: what is accepted, refused, resolved, written and read back."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from egan_theory.base.errors import InputError
from egan_theory.papers.solvable import SETTING_E, SETTING_R, Profile, Quadrature, Solvable, State
from egan_theory.papers.solvable.state import gram, unpack

ROUNDING = 1e-12


def test_setting_r_is_the_default():
    m = Solvable()
    assert m == SETTING_R and (m.tau, m.taut, m.Lambda, m.time) == (0.2, 0.04, (5.0, 3.0), 400.0) and m.hard
    np.testing.assert_array_equal(m.start.P, 0.1 * np.eye(2))
    np.testing.assert_allclose(m.start.r, m.start.P.T @ m.start.q, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(SETTING_E.start.r, [0.5 * 0.4 + 0.1 * 0.3, 0.1 * 0.4 - 0.4 * 0.3], atol=ROUNDING)
    assert m.times[0] == 0 and m.times[-1] == m.time and len(m.times) == m.record


def test_defaults_follow_what_they_default_to():
    m = SETTING_R.replace({"noise": 1.0, "Lambda": (4.0, 2.0)})
    assert m.eta_G == 1.0 and m.Lt.tolist() == [4.0, 2.0]
    other = m.replace({"fake_noise": 3.0, "fake_Lambda": [1.0, 1.0]})
    assert (other.eta_T, other.eta_G) == (1.0, 3.0) and other.Lt.tolist() == [1.0, 1.0]
    assert other.replace({"solvable.n": 300.0}).n == 300 and other.get("solvable.tau") == 0.2


NUMBER = st.floats(0.1, 10.0)


@given(
    d=st.integers(1, 3), data=st.data(), noise=NUMBER, strength=NUMBER,
    constraint=st.sampled_from(["hard", "x - 1", "tanh(x - 1)"]),
    nonlinearity=st.sampled_from(["identity", "tanh"]), latent=st.sampled_from(["gaussian", "rademacher"]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_toml_round_trip(d, data, noise, strength, constraint, nonlinearity, latent):
    m = Solvable(
        Lambda=data.draw(st.lists(NUMBER, min_size=d, max_size=d)), noise=noise, constraint=constraint,
        strength=strength, nonlinearity=nonlinearity, latent=latent, P0=np.full((d, d), 0.1), q0=np.full(d, 0.05),
    )  # fmt: skip
    back = Solvable.from_toml_string(m.to_toml())
    assert back == m and hash(back) == hash(m)


def test_toml_file(tmp_path):
    path = tmp_path / "m.toml"
    path.write_text(SETTING_E.to_toml())
    assert Solvable.from_toml(path) == SETTING_E
    with pytest.raises(InputError, match="must be an existing model file, but found no such file"):
        Solvable.from_toml(tmp_path / "none.toml")


def test_profiles():
    m = Solvable(nonlinearity=lambda x: x / (1 + x**2))
    x = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(m.profile.f(x), x / (1 + x**2), atol=ROUNDING)
    np.testing.assert_allclose(m.profile.df(x), (1 - x**2) / (1 + x**2) ** 2, atol=ROUNDING)
    assert m == Solvable(nonlinearity=Profile.of(lambda x: x / (1 + x**2))) and not m.linear
    assert Solvable(nonlinearity=lambda x: x).linear
    with pytest.raises(InputError, match="nonlinearity: must be known by name"):
        m.to_toml()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Lambda": ()}, "Lambda: must have 1 to 100 entries"),
        ({"Lambda": (1.0, -1.0)}, "Lambda: must have positive entries"),
        ({"Lambda": "5, 3"}, "Lambda: must be an array"),
        ({"fake_Lambda": (1.0,)}, "fake_Lambda: must have 2 entries"),
        ({"P0": [[1, 2]]}, "P0: must have 2 rows of 2 numbers"),
        ({"P0": [[0.1, "a"], [0, 0.1]]}, r"P0\[0\]\[1\]: must be a number"),
        ({"q0": (1.0, 1.0)}, "solvable: must have initial overlaps .* semidefinite"),
        ({"S0": [[1, 0.2], [0, 1]]}, "S0: must be symmetric"),
        ({"S0": [[2, 0], [0, 1]]}, "S0: must have ones on its diagonal"),
        ({"z0": 2.0}, "z0: must be 1 with constraint 'hard'"),
        ({"noise": float("nan")}, "noise: must be finite"),
        ({"noise": "2"}, "noise: must be a number"),
        ({"noise": -1.0}, "noise: must be at least 0"),
        ({"tau": 0.0}, "tau: must be greater than 0"),
        ({"n": 1.5}, "n: must be a whole number"),
        ({"record": 1}, "record: must be at least 2"),
        ({"constraint": "x"}, "constraint: must be 'hard', 'x - 1' or"),
        ({"latent": "uniform"}, "latent: must be 'gaussian' or 'rademacher'"),
        ({"nonlinearity": "relu"}, "nonlinearity: must be 'identity' or 'tanh'"),
        ({"nonlinearity": lambda x: x**2}, "nonlinearity: must be odd"),
        ({"nonlinearity": lambda x: sp.Symbol("b") * x}, "nonlinearity: must depend on its argument alone"),
        ({"nonlinearity": lambda x: np.tanh(x)}, "nonlinearity: must return a SymPy expression"),
        ({"lambda": 1.0}, "lambda: must be one of the known keys"),
    ],
)
def test_refused(changes, message):
    with pytest.raises(InputError, match=message) as error:
        Solvable(**changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold at least one table"),
        ("[target]", "must have the table .solvable. only"),
        ("solvable = 3", "must have a table"),
        ("[solvable", "must be valid TOML"),
        ("[solvable]\nnoise = '2'", "solvable.noise: must be a number"),
        ("[solvable]\nseed = 0x" + "f" * 5000, r"solvable.seed: must .* a whole number of \d+ bits"),
    ],
)
def test_refused_toml(text, message):
    with pytest.raises(InputError, match=message):
        Solvable.from_toml_string(text)


def test_replace_names_the_field():
    with pytest.raises(InputError, match="etta: must be one of Lambda"):
        SETTING_R.replace({"etta": 1.0})


@pytest.mark.parametrize("nodes", [((0.0, 1.0), (0.5, 0.5)), ((-2.0, 2.0), (0.5, 0.5)), ((-1.0, 1.0), (0.5, 0.6))])
def test_quadrature_moments(nodes):
    with pytest.raises(InputError, match="latent: must have"):
        Quadrature(*nodes)


def test_penalty_derivative():
    x = np.array([0.5, 1.0, 3.0])
    np.testing.assert_allclose(Solvable(constraint="x - 1").H1(x), x - 1)
    np.testing.assert_allclose(Solvable(constraint="tanh(x - 1)").H1(x), np.tanh(x - 1))
    with pytest.raises(InputError, match="be a penalty"):
        Solvable().H1(x)


@given(d=st.integers(1, 4), n=st.integers(5, 20), seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_states_of_vectors(d, n, seed):
    """Overlaps of any vectors are accepted, their Gram matrix is that of the vectors, and packing is lossless."""
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((n, d)))[0]
    V, w = rng.standard_normal((n, d)), rng.standard_normal(n)
    X = np.column_stack([U, V, w])
    state = State(U.T @ V, U.T @ w, V.T @ w, V.T @ V, np.array(w @ w))
    np.testing.assert_allclose(gram(state), X.T @ X, atol=1e-10)
    Solvable(
        Lambda=np.ones(d), constraint="x - 1", P0=state.P, q0=state.q, r0=state.r, S0=(state.S + state.S.T) / 2,
        z0=float(state.z),
    )  # fmt: skip
    for one, same in zip(state, unpack(state.pack(), d), strict=True):
        np.testing.assert_array_equal(one, same)
