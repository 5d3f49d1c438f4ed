"""Products of a PyTorch game against dense Jacobians of torch.optim's own steps, and against real training."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from egan_theory.games import pytorch  # noqa: E402
from egan_theory.games.game import game  # noqa: E402
from egan_theory.games.kept import Kept  # noqa: E402
from egan_theory.games.protocol import Players  # noqa: E402
from egan_theory.games.stepmap import GameMap  # noqa: E402

from .torch_games import SETUPS  # noqa: E402


def dense(A):
    return A.product(np.eye(A.n)), A.transposed(np.eye(A.n))


def made(setup):
    return game(setup.D, setup.G, **setup.asked)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if i else []) for i, name in enumerate(SETUPS)]
)
def test_products_are_those_of_the_dense_jacobian(name):
    setup = SETUPS[name]()
    g = made(setup)
    A = GameMap(g.players, g.optimizers, g.schedule, g.strengths, frozen=False)
    expected = setup.jacobian(A.parts, A.state)
    forward, backward = dense(A)
    np.testing.assert_allclose(forward, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    np.testing.assert_allclose(backward.T, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert A.steps == setup.lazy and isinstance(g.players, Players)


@pytest.mark.parametrize("name", SETUPS)
def test_the_map_is_real_training(name):
    """Five steps of the user's own loop, counts and second moments carried along."""
    setup = SETUPS[name]()
    A = made(setup).map
    run = A.run(A.state)
    for _ in range(5):
        z = next(run)
        for position in range(setup.lazy):
            setup.train(position)
        for net, key in ((setup.D, "psi"), (setup.G, "theta")):
            now = torch.cat([p.detach().reshape(-1) for p in net.parameters()]).numpy()
            np.testing.assert_allclose(z[A.parts[key]], now, rtol=0, atol=1e-12)


def test_a_frozen_second_moment_is_that_of_the_next_step():
    """Frozen products against the step written out with that moment as a constant."""
    setup = SETUPS["adam, amsgrad, R1"]()
    g = made(setup)
    A, live = g.map, GameMap(g.players, g.optimizers, g.schedule, g.strengths, frozen=False)
    n_D, n_G = g.players.sizes
    assert A.n == 2 * (n_D + n_G)
    after = live.step(live.state)
    sizes = [p.numel() for p in setup.D.parameters()], [p.numel() for p in setup.G.parameters()]
    names = list(dict(setup.D.named_parameters())), list(dict(setup.G.named_parameters()))
    shapes = [p.shape for p in setup.D.parameters()], [p.shape for p in setup.G.parameters()]

    def weights(flat, i):
        pieces = flat.split(sizes[i])
        return {k: t.view(s) for k, t, s in zip(names[i], pieces, shapes[i], strict=True)}

    def function(z):
        w = [z[A.parts["psi"]], z[A.parts["theta"]]]
        m = [z[A.parts["m_psi"]], z[A.parts["m_theta"]]]
        for i, (b1, b2, lr, decay, v) in enumerate(
            ((0.5, 0.9, 0.02, 0.0, "v_max_psi"), (0.4, 0.8, 0.01, 0.1, "v_theta"))
        ):
            held = torch.tensor(after[live.parts[v]])
            own = weights(w[0], 0), weights(w[1], 1)
            value = setup.objective(i, *own, setup.strengths)
            found = torch.autograd.grad(value, list(own[i].values()), create_graph=True)
            full = torch.cat([t.reshape(-1) for t in found])
            m[i] = b1 * m[i] + (1 - b1) * full
            root = (held / (1 - b2**5)).sqrt() + 1e-8
            w[i] = w[i] * (1 - lr * decay) - lr / (1 - b1**5) * m[i] / root
        return torch.cat([*w, *m])

    expected = np.asarray(torch.autograd.functional.jacobian(function, torch.tensor(A.state)))
    forward, backward = dense(A)
    np.testing.assert_allclose(forward, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    np.testing.assert_allclose(backward.T, expected, rtol=0, atol=1e-8 * np.abs(expected).max())


def test_the_live_derivative_is_the_difference_of_real_steps():
    setup = SETUPS["adam, amsgrad, R1"]()
    g = made(setup)
    A = GameMap(g.players, g.optimizers, g.schedule, g.strengths, frozen=False)
    v = np.random.default_rng(0).standard_normal(A.n)
    for key, part in A.parts.items():  # second moments stay positive, and on one side of the largest so far
        v[part] *= A.state[part] / 10 if key.startswith("v") else 1.0
    step, h = setup.step(A.parts), 1e-6
    ahead, behind = (step(torch.tensor(A.state + s * h * v)).detach().numpy() for s in (1, -1))
    np.testing.assert_allclose(A.product(v), (ahead - behind) / (2 * h), rtol=0, atol=1e-6 * np.abs(v).max())


def test_batches_are_averaged_and_one_may_be_chosen():
    setup = SETUPS["sgd, nesterov, two critic steps"]()
    x, z = setup.x, setup.z
    asked = setup.asked | {"data": [x, 2 * x[:4]], "latents": [z, z[:4] + 1]}
    g = game(setup.D, setup.G, **asked)
    v = np.random.default_rng(0).standard_normal(g.map.n)
    psi, theta = g.players.weights
    both = [g.players.gradient(1, psi, theta, g.strengths, b) for b in (0, 1)]
    assert g.map.cost == 2 * 3 and not np.allclose(*both)
    one = GameMap(g.players, g.optimizers, g.schedule, g.strengths, batch=0)
    np.testing.assert_allclose(one.product(v), made(setup).map.product(v), rtol=1e-12, atol=1e-12)
    d = g.map._split(v)
    np.testing.assert_allclose(
        np.mean([g.players.push(0, psi, theta, d[0]["w"], d[1]["w"], g.strengths, b) for b in (0, 1)], axis=0),
        g.players.push(0, psi, theta, d[0]["w"], d[1]["w"], g.strengths, 0) / 2
        + g.players.push(0, psi, theta, d[0]["w"], d[1]["w"], g.strengths, 1) / 2,
    )
    w = np.random.default_rng(1).standard_normal(g.map.n)
    assert w @ g.map.product(v) == pytest.approx(g.map.transposed(w) @ v, rel=1e-10)


def test_other_strengths_on_the_same_trajectory_are_affine_in_them():
    setup = SETUPS["adam, amsgrad, R1"]()
    A = made(setup).map
    v = np.random.default_rng(0).standard_normal(A.n)
    at = {s: A.at(r1=s).product(v) for s in (0.0, 0.7, 2.0)}
    np.testing.assert_allclose(at[0.7], A.product(v), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(at[2.0] - at[0.0], (at[0.7] - at[0.0]) * 2 / 0.7, rtol=1e-9, atol=1e-12)
    assert not np.allclose(made(setup).at(r1=2.0).map.product(v), at[2.0], rtol=1e-6)  # a step of its own


def test_parts_of_a_batch_sum_to_the_whole(monkeypatch):
    """Large graphs are built part by part; the loss that pairs samples keeps its pairs together."""
    for name in SETUPS:
        setup = SETUPS[name]()
        whole = made(setup)
        monkeypatch.setattr(pytorch, "KEPT", 0)
        parts = made(setup)
        monkeypatch.undo()
        assert whole.players._parts == 1 and parts.players._parts == 4
        v, w = np.random.default_rng(0).standard_normal((2, whole.map.n))
        np.testing.assert_allclose(parts.map.product(v), whole.map.product(v), rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(parts.map.transposed(w), whole.map.transposed(w), rtol=1e-11, atol=1e-13)


def test_samples_that_see_each_other_are_never_parted(monkeypatch):
    setup = SETUPS["adam, amsgrad, R1"]()
    monkeypatch.setattr(pytorch, "KEPT", 0)
    coupled = torch.nn.Sequential(torch.nn.BatchNorm1d(2, affine=False).double(), setup.D)
    assert game(coupled, setup.G, **setup.asked).players._parts == 1
    ranked = (lambda r, f: (r.mean() - f.mean()) ** 2, lambda r, f: f.mean() ** 2)
    assert game(setup.D, setup.G, **setup.asked | {"loss": ranked}).players._parts == 1


def test_samples_and_rows_and_their_transposes():
    setup = SETUPS["adam, amsgrad, R1"]()
    p, rng = made(setup).players, np.random.default_rng(0)
    psi, theta = p.weights
    X = rng.normal(size=(9, 2))  # more than a batch
    d, u, a = rng.normal(size=theta.size), rng.normal(size=(6, 2)), rng.normal(size=9)
    h = 1e-6
    fd = (p.generated(theta + h * d) - p.generated(theta - h * d)) / (2 * h)
    np.testing.assert_allclose(p.generator_push(theta, d), fd, atol=1e-8)
    assert (u * p.generator_push(theta, d)).sum() == pytest.approx(p.generator_pull(theta, u) @ d, rel=1e-10)
    d, u = rng.normal(size=psi.size), rng.normal(size=(9, 2))
    values, slopes = p.rows_push(psi, X, d)
    np.testing.assert_allclose(values, (p.scores(psi + h * d, X) - p.scores(psi - h * d, X)) / (2 * h), atol=1e-8)
    np.testing.assert_allclose(slopes, (p.slopes(psi + h * d, X) - p.slopes(psi - h * d, X)) / (2 * h), atol=1e-8)
    assert a @ values + (u * slopes).sum() == pytest.approx(p.rows_pull(psi, X, a, u) @ d, rel=1e-10)
    e = rng.normal(size=2)
    np.testing.assert_allclose(
        p.slopes(psi, X) @ e, (p.scores(psi, X + h * e) - p.scores(psi, X - h * e)) / (2 * h), atol=1e-8
    )


def test_what_is_kept_goes_with_the_contents_of_arrays():
    kept, a = Kept(100), np.arange(3.0)
    assert kept.put("x", "first", 60, a) and not kept.put("x", "large", 101, a)
    assert kept.get("x", np.arange(3.0)) == "first" and kept.get("y", a) is None
    a[0] = 7
    assert kept.get("x", a) is None
    kept.put("x", "second", 60, a)
    assert kept.get("x", a) == "second" and kept.get("x", np.arange(3.0)) is None


@pytest.mark.parametrize("small", [True, False])
def test_small_networks_are_computed_on_one_thread(small, monkeypatch):
    """And there are as many as before afterwards, where it fails, too."""
    if not small:
        monkeypatch.setattr(pytorch, "SMALL", 0)
    players = made(SETUPS[next(iter(SETUPS))]()).players
    before, found = torch.get_num_threads(), []
    try:
        torch.set_num_threads(2)
        with pytest.raises(ZeroDivisionError), players.apart():
            found.append(torch.get_num_threads())
            raise ZeroDivisionError
        assert found == [1 if small else 2] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
