"""The finite-n chain is SGD, step by step given the noise and in law; it resumes, fails clearly, follows the ODE."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, kurtosis

from analyses import solvable_trajectories
from egan_theory.base.errors import InputError
from egan_theory.papers.solvable import SETTING_E, Quadrature, Solvable, chain, kernel, simulate_solvable, solve_ode
from egan_theory.papers.solvable.records import dataset_state, random_stream, record_steps
from egan_theory.papers.solvable.state import gram, gram_root, gram_state
from tests.analyses.drawing import labelled

#: the update and a direct step in R^n differ by rounding of numbers of size 1e2 at most
ROUNDING = 1e-10
#: largest z-scores of a mean and of a log variance, least p-value after Bonferroni's correction
SIGMAS, VARIANCE_SIGMAS, LEVEL = 3.0, 4.0, 0.01

CONSTRAINTS = {kernel.HARD: lambda x: 0 * x, kernel.LINEAR: lambda x: x - 1, kernel.TANH: lambda x: np.tanh(x - 1)}
#: one draw of a law in R^n, n small and rates large, so that every quadratic term of a step counts
ONE_STEP = {"time": 1 / 7, "n": 7, "record": 2, "tau": 2.0, "taut": 1.5}
SETTINGS = {
    "hard": {},
    "tanh and a penalty": {
        "nonlinearity": "tanh", "noise": 1.0, "fake_noise": 0.5, "constraint": "x - 1", "strength": 2.0, "z0": 0.8,
    },
    "saturating penalty, Rademacher latents": {
        "constraint": "tanh(x - 1)", "strength": 30.0, "Lambda": (2.0, 1.0), "latent": "rademacher",
        "S0": ((1.2, 0.1), (0.1, 0.7)),
    },
}  # fmt: skip


def samples(model, method):
    """(run, number) every overlap at every recorded time after the start that is not fixed by a constraint."""
    ds = simulate_solvable(model, method)
    assert ds.attrs["status"] == "finished"
    packed = dataset_state(ds).pack()[:, 1:]
    packed = packed.reshape(len(packed), -1)
    return packed[:, packed.std(0) > 1e-9]


def assert_same_law(model):
    a, b = samples(model, "chain"), samples(model.replace({"seed": model.seed + 1}), "sgd")
    assert a.shape == b.shape and a.shape[1] >= 7  # P, q, r, S_12 at least less what the constraints fix
    z = (a.mean(0) - b.mean(0)) / np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))
    p = np.array([ks_2samp(a[:, i], b[:, i]).pvalue for i in range(a.shape[1])])
    # the standard error of a variance follows from the fourth moment
    errors = sum((kurtosis(v, fisher=False) - 1) / len(v) for v in (a, b))
    assert np.abs(z).max() < SIGMAS
    assert np.all(np.abs(np.log(a.var(0) / b.var(0))) < VARIANCE_SIGMAS * np.sqrt(errors))
    assert p.min() * len(p) > LEVEL


# -- one step ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), d=st.integers(1, 3), kind=st.sampled_from(sorted(CONSTRAINTS)))
def test_update_is_the_step_in_n_dimensions(seed, d, kind):
    """Given the noise, G' is the Gram matrix of the updated vectors, to rounding."""
    rng, n, lam = np.random.default_rng(seed), 2 * d + 4, 0.7
    tau, taut = rng.uniform(0.1, 2, 2)
    X = np.linalg.qr(rng.standard_normal((n, 2 * d + 1)))[0]
    U = X[:, :d]
    V, w = rng.standard_normal((n, d)), rng.standard_normal(n)
    if kind == kernel.HARD:
        V, w = V / np.linalg.norm(V, axis=0), w / np.linalg.norm(w)
    c, ct, e = rng.standard_normal(d), rng.standard_normal(d), rng.standard_normal(n)
    fx, ft = rng.standard_normal(2)

    X = np.column_stack([U, V, w])
    G, H = X.T @ X, CONSTRAINTS[kind]
    noise = X.T @ e, e @ e
    Delta = fx * U @ c - ft * V @ ct + e  # f(x) y - f(x~) y~ with e the part of a, a~
    w_new = w + tau / n * (Delta - lam * H(w @ w) * w)
    V_new = V + taut / n * (ft * np.outer(w, ct) - lam * V * H((V**2).sum(0)))
    if kind == kernel.HARD:
        V_new, w_new = V_new / np.linalg.norm(V_new, axis=0), w_new / np.linalg.norm(w_new)
    X = np.column_stack([U, V_new, w_new])

    kernel.update.py_func((0,) * d, G, fx * c, ft * ct, *noise, tau / n, taut / n, kind, lam, np.empty((3, d)))
    assert np.allclose(G, X.T @ X, rtol=0, atol=ROUNDING * np.abs(X.T @ X).max())


def test_penalties_are_those_of_the_model():
    for kind, constraint in enumerate(("hard", "x - 1", "tanh(x - 1)")):
        assert chain.CONSTRAINTS[kind] == constraint
        for x in (0.3, 1.0, 2.5):
            expected = 0.0 if kind == 0 else Solvable(constraint=constraint).H1(x)
            assert np.isclose(kernel.penalty.py_func(kind, x), expected, rtol=1e-15)
            assert np.isclose(CONSTRAINTS[kind](x), expected, rtol=1e-15)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), d=st.integers(1, 3), rank=st.integers(0, 4), scale=st.floats(1e-3, 1e3))
def test_cholesky_of_any_rank(seed, d, rank, scale):
    """L L^T = G within what dropped pivots allow, for V, w in any part of the span of U and ``rank`` more vectors."""
    rng = np.random.default_rng(seed)
    basis = np.eye(d + rank)
    V, w = scale * rng.standard_normal((d + rank, d)), rng.standard_normal(d + rank)
    X = np.column_stack([basis[:, :d], V, w])
    G, L = X.T @ X, np.zeros((2 * d + 1, 2 * d + 1))
    kernel.cholesky.py_func((0,) * d, G, L)
    L[:d, :d] = np.eye(d)
    size = np.sqrt(np.diag(G))
    assert np.all(np.abs(np.tril(L) - L) == 0)
    # a dropped pivot <= PIVOT G_jj leaves entries of its column of at most its root times |row|, by Cauchy-Schwarz
    assert np.all(np.abs(L @ L.T - G) <= 2 * np.sqrt(kernel.PIVOT) * np.outer(size, size))


@pytest.mark.parametrize("name", SETTINGS)
def test_one_step_has_the_law_of_sgd(name):
    """One large step in R^7, d = 2: a chi^2 of 2 degrees, and all terms quadratic in the rates, are a good part."""
    model = SETTING_E.replace({**SETTINGS[name], **ONE_STEP, "runs": 6000, "seed": 11})
    assert_same_law(model)


@pytest.mark.parametrize(
    "start",
    [
        {"P0": ((1.0, 0.0), (0.0, 1.0)), "q0": (0.0, 0.0)},  # V = U, w at right angles to both
        {"P0": ((1.0, 0.0), (0.0, 1.0)), "q0": (0.6, 0.8)},  # w in their span, too: rank 2 of 5
        {"P0": ((0.0, 0.0), (0.0, 0.0)), "q0": (0.0, 0.0), "S0": ((1.0, 1.0), (1.0, 1.0))},  # V_1 = V_2
    ],
    ids=["perfect", "all in one plane", "twin features"],
)
def test_singular_starts(start):
    """Two steps from a singular Gram matrix: the second one leaves the subspace of the start."""
    model = SETTING_E.replace({**ONE_STEP, "time": 2 / 7, "record": 3, **start, "runs": 3000, "seed": 3})
    assert np.linalg.eigvalsh(gram(model.start)).min() < 1e-12
    assert_same_law(model)


# -- runs -------------------------------------------------------------------------------------------------------------


def test_no_room_beside_the_vectors():
    """n = 2d + 1: the span is all there is."""
    assert_same_law(SETTING_E.replace({"n": 5, "time": 1.0, "record": 2, "runs": 2000, "seed": 5}))
    with pytest.raises(InputError, match=r"solvable.n: must be at least 2 d \+ 1 = 5, but found 4"):
        simulate_solvable(SETTING_E.replace({"n": 4}))


def test_samples_lie_at_steps():
    assert record_steps(SETTING_E.replace({"n": 10, "time": 1.0, "record": 4})).tolist() == [0, 3, 7, 10]
    assert record_steps(SETTING_E.replace({"n": 5, "time": 0.4, "record": 9})).tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="hold at least one step"):
        record_steps(SETTING_E.replace({"n": 5, "time": 0.01}))
    with pytest.raises(InputError, match="fit in memory"):
        record_steps(SETTING_E.replace({"n": 10**7, "time": 10.0, "record": 10_000_000, "runs": 1_000_000}))


def test_constraints_hold_along_a_run():
    state = dataset_state(simulate_solvable(SETTING_E.replace({"n": 300, "time": 20.0})))
    assert np.allclose(state.z, 1, rtol=0, atol=1e-12) and np.allclose(np.einsum("...ll->...l", state.S), 1, atol=1e-12)
    assert np.linalg.eigvalsh(gram(state)).min() > -1e-12


def test_seeds():
    """A run depends on the seed and its number, not on how many there are; samples do not change what follows."""
    model = SETTING_E.replace({"n": 200, "time": 5.0, "runs": 2, "seed": 1})
    for method in ("chain", "sgd"):
        P, one, few, other = (
            simulate_solvable(model.replace(changes), method)["P"].values
            for changes in ({}, {"runs": 1}, {"record": 2}, {"seed": 2})
        )
        # BLAS sums a batch of one in another order
        assert np.allclose(P[:1], one, rtol=0, atol=ROUNDING if method == "sgd" else 0)
        assert np.array_equal(P[:, -1], few[:, -1])
        assert not np.allclose(P[0], P[1]) and not np.allclose(P, other)


def test_unknown_methods():
    with pytest.raises(InputError, match="method: must be 'chain' or 'sgd'"):
        simulate_solvable(SETTING_E, "euler")
    with pytest.raises(InputError, match="checkpoint: must be given for method 'chain' only"):
        simulate_solvable(SETTING_E, "sgd", checkpoint="a.npz")


WEAK = {
    "constraint": "tanh(x - 1)", "strength": 0.1, "noise": 3.0, "fake_noise": 0.0, "taut": 0.0,
    "fake_Lambda": (0.5, 0.3),
}  # fmt: skip


def test_divergence_is_a_result():
    """A penalty too weak to hold |w|^2 against a real score that the generator does not follow."""
    model = SETTING_E.replace(WEAK | {"n": 50})
    for method in ("chain", "sgd"):
        ds = simulate_solvable(model, method)
        step = int(ds["diverged_at"][0])
        late = ds["time"] * 50 >= step
        assert 0 < step < 60 * 50 and ds.attrs["status"] == f"diverged at step {step}"
        assert np.all(np.isnan(ds["z"][0, late])) and np.all(np.isfinite(ds["z"][0, ~late]))


def stop_after(calls):
    """A ``progress`` that interrupts, as Ctrl-C would."""
    seen = []

    def progress(done, total):
        seen.append((done, total))
        if len(seen) == calls:
            raise KeyboardInterrupt

    return progress


LONG = SETTING_E.replace({"n": 1000, "time": 10.0, "runs": 2, "record": 11})


def test_resumed_runs_equal_uninterrupted_ones(tmp_path):
    whole = simulate_solvable(LONG)
    for calls in (1, 3, 4, 5):  # three blocks a run
        path = tmp_path / f"{calls}.npz"
        part = simulate_solvable(LONG, progress=stop_after(calls), checkpoint=path)
        assert part.attrs["status"] == "interrupted" and part.sizes["run"] == 1 + (calls > 3)
        assert np.array_equal(part["P"][0], whole["P"][0, : part.sizes["time"]])
        assert simulate_solvable(LONG, checkpoint=path).equals(whole)
        assert simulate_solvable(LONG, checkpoint=path).equals(whole)  # a finished one is read back
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".npz" or p.name.startswith(".")] == []


def test_progress_counts_steps():
    seen = []
    simulate_solvable(LONG, progress=lambda *now: seen.append(now))
    assert [done for done, _ in seen] == [4096, 8192, 10000, 14096, 18192, 20000] and {t for _, t in seen} == {20000}


def test_checkpoints_of_something_else(tmp_path):
    path = tmp_path / "c.npz"
    simulate_solvable(LONG, progress=stop_after(1), checkpoint=path)
    with pytest.raises(InputError, match="checkpoint: must be of the same model"):
        simulate_solvable(LONG.replace({"seed": 9}), checkpoint=path)
    data = dict(np.load(path))
    for change in ({"step": 10**9}, {"gram": data["gram"][:2]}, {"bits": "{}"}, {"grams": data["grams"][:1]}):
        np.savez(path, **{**data, **change})
        with pytest.raises(InputError, match="checkpoint: must be a checkpoint of a chain"):
            simulate_solvable(LONG, checkpoint=path)
    path.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(InputError, match="checkpoint: must be a checkpoint of a chain"):
        simulate_solvable(LONG, checkpoint=path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="checkpoint"):
        simulate_solvable(LONG, checkpoint=path)


def test_gram_root():
    G = gram(SETTING_E.start)
    assert np.allclose(gram_root(G).T @ gram_root(G), G, atol=1e-14)
    assert all(np.array_equal(a, b) for a, b in zip(gram_state(G), SETTING_E.start, strict=True))


def test_large_n_follows_the_ode():
    """n = 10^6: the chain has the drift of the ODE, its error is of the size that falls as n^(-1/2)."""
    model = SETTING_E.replace({"n": 10**6, "time": 0.5, "record": 6})
    for changes in SETTINGS.values():
        changed = model.replace(changes)
        chain_state, ode = dataset_state(simulate_solvable(changed)), dataset_state(solve_ode(changed))
        assert max(np.abs(a - b).max() for a, b in zip(chain_state, ode, strict=True)) < 3 / np.sqrt(model.n)
        assert np.abs(chain_state.q[0, -1] - model.start.q).max() > 0.02


# -- at length --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_chain_and_sgd_have_one_law(name):
    """Means, variances and distributions of every overlap at two times, 400 runs, n = 200."""
    model = SETTING_E.replace({"n": 200, "time": 8.0, "runs": 400, "record": 3, "seed": 21, **SETTINGS[name]})
    assert_same_law(model)


@pytest.mark.slow
def test_a_profile_and_a_latent_law_from_python():
    law = Quadrature((-2.0, 0.5), (0.2, 0.8))
    model = SETTING_E.replace(
        {"nonlinearity": lambda x: x / (1 + x**2), "latent": law, "n": 100, "time": 5.0, "runs": 400, "record": 2}
    )
    assert_same_law(model)


@pytest.mark.slow
def test_profiles_numba_cannot_compile():
    model = SETTING_E.replace({"nonlinearity": lambda x: sp.Si(x)})
    with pytest.raises(InputError, match=r"solvable.nonlinearity: must be made of functions that Numba compiles"):
        simulate_solvable(model)


@pytest.mark.slow
def test_trajectories_analysis_finds_the_rate(tmp_path):
    """n = 250 to 4000, 24 seeds: the slope is -1/2 within 3 standard errors, and those are small enough to tell."""
    ds = labelled(solvable_trajectories, "--seed 3 --draws 24 --largest 4000 --time 10 --dots 1000", tmp_path)
    assert np.all(ds["slope_stderr"] < 0.06)
    assert np.all(np.abs(ds["slope"] + 0.5) < 3 * ds["slope_stderr"])
    assert {p.suffix for p in tmp_path.iterdir()} == {".nc", ".png"}
    # success: both features learnt; collapse: the second is where it began
    assert float(ds["P"].sel(noise=2.0).isel(feature=1, fake=1)[-1]) > 0.85
    assert abs(float(ds["P"].sel(noise=4.0).isel(feature=1, fake=1)[-1]) - 0.1) < 0.1


@pytest.mark.slow
def test_a_step_of_the_chain_is_300_times_faster():
    ds = solvable_trajectories.benchmark(repeats=5)
    times = dict(zip(ds["method"].values.tolist(), ds["step_time"].values, strict=True))
    assert times["NumPy SGD, plain"] > 300 * times["chain, n = 2000"]
    flat = [value for name, value in times.items() if name.startswith("chain")]
    assert max(flat) < 1.3 * min(flat)


def test_streams_differ():
    draws = {random_stream(SETTING_E, *s).random() for s in ((1, 0), (1, 1), (2, 0), (2, 1), (3, 0))}
    assert len(draws) == 5
