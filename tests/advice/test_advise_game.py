"""Advice on a real game: the small linear game against dense matrices, its limit, both frameworks, sizes and words."""

from dataclasses import replace

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.advice.seen import Rates, left_of, seen, step_map
from egan_theory.advice.trained import Curve, curves, loss_numbers
from egan_theory.base.errors import InputError
from egan_theory.games.game import Game, game
from egan_theory.games.optimizers import Optimizer
from egan_theory.games.stepmap import Schedule

M, d, N_D, N_G = 5, 2, 24, 30


class Rows:
    """Players with given rows: Psi (M, n_D), B (M d, n_D), J (M d, n_G); what is asked for is recorded."""

    framework, batches, notes, sizes = "NumPy", 1, (), (N_D, N_G)

    def __init__(self, scalar=None, seed=0, loss="non_saturating"):
        r = np.random.default_rng(seed)
        self.Psi, self.B = r.standard_normal((M, N_D)) / 5, r.standard_normal((M * d, N_D)) / 5
        self.J = r.standard_normal((M * d, N_G)) / 5
        if scalar:
            self.J = np.sqrt(scalar) * np.linalg.qr(r.standard_normal((N_G, M * d)))[0].T
        self.weights = np.zeros(N_D), np.zeros(N_G)
        self.Y, self.X, self.kind = 3 * r.standard_normal((M, d)), None, loss
        self.X = self.Y + 0.1 * r.standard_normal((M, d))

    def real(self, batch=0):
        return self.Y

    def generated(self, theta, batch=0):
        return self.X

    def losses(self, real, fake):
        if self.kind == "wasserstein":
            return float(fake.mean() - real.mean()), float(-fake.mean())
        softplus = lambda u: np.logaddexp(0, u)  # noqa: E731
        return float(softplus(-real).mean() + softplus(fake).mean()), float(softplus(-fake).mean())

    def rows_push(self, psi, X, v):
        return self.Psi @ v, (self.B @ v).reshape(M, d)

    def rows_pull(self, psi, X, a, u):
        return self.Psi.T @ a + self.B.T @ np.ravel(u)

    def generator_push(self, theta, v, batch=0):
        return (self.J @ v).reshape(M, d)

    def generator_pull(self, theta, u, batch=0):
        return self.J.T @ np.ravel(u)


def made(players, rates=(0.3, 0.2), schedule=None, momentum=0.0, r1=0.0):
    sgd = [Optimizer("sgd", {"learning_rate": r, "momentum": momentum}) for r in rates]
    return Game(players, tuple(sgd), schedule or Schedule(), {"r1": r1})


@pytest.mark.parametrize(("alternating", "critic"), [(True, 1), (True, 3), (False, 1)])
def test_the_small_game_is_the_dense_one(alternating, critic):
    """All weights stepped by hand: (psi, e) from the error, D's slopes at the data move the samples."""
    p, (eta_D, eta_G), strength, steps = Rows(), (0.3, 0.2), 0.7, 37
    (curve,) = curves(made(p, schedule=Schedule(alternating, critic)), steps, products=60)
    assert curve.seen.exact
    psi, e = np.zeros(N_D), (p.X - p.Y).ravel()
    first = np.linalg.norm(p.B.T @ e)
    for _ in range(steps):
        old = psi
        for _ in range(critic):
            psi = psi - eta_D * (strength * p.B.T @ p.B @ psi + 0.5 * p.Psi.T @ p.Psi @ psi + 0.5 * p.B.T @ e) / M
        e = e + 0.5 * eta_G * p.J @ p.J.T @ p.B @ (psi if alternating else old) / M
    found = left_of(curve.seen, curve.rates, strength, steps)
    assert found.start == pytest.approx(np.linalg.norm(p.B.T @ e) / first, rel=1e-8)
    assert found.total > found.start


def test_nodes_give_what_is_left_as_a_sum_over_modes():
    """J P J^T = g: e(T)^2 = sum_j w_j |(step map of mode j)^T|^2 from an eigendecomposition of the rows."""
    g, strength, steps, p = 0.4, 0.9, 50, Rows(scalar=0.4, loss="wasserstein")
    (curve,) = curves(made(p), steps, products=60)
    beta, U = np.linalg.eigh(0.3 * p.B @ p.B.T / M)
    w = beta * (U.T @ (p.X - p.Y).ravel()) ** 2
    total = 0.0
    for b, share in zip(beta, w / w.sum(), strict=True):
        step = np.array([[1 - strength * b, -b], [0, 1]])
        step = np.array([[1, 0], [0.2 * g / M, 1]]) @ step
        total += share * np.linalg.matrix_power(step, steps)[1, 1] ** 2
    assert left_of(curve.seen, curve.rates, strength, steps).start == pytest.approx(np.sqrt(total), rel=1e-8)
    nodes, weights = curve.seen.nodes()
    np.testing.assert_allclose(np.sort(nodes)[-len(beta) :], beta, rtol=1e-7, atol=1e-12)
    assert weights.sum() == pytest.approx(1)


def test_few_products_are_a_quadrature():
    """Lanczos from the start: half of the products give the same number to a few per cent."""
    p = Rows(scalar=0.4, loss="wasserstein")
    exact, few = (curves(made(p), 30, products=n)[0] for n in (60, 8))
    assert exact.seen.exact and not few.seen.exact and few.seen.products == 8
    for strength in (0.2, 1.0):
        assert left_of(few.seen, few.rates, strength, 30).start == pytest.approx(
            left_of(exact.seen, exact.rates, strength, 30).start, rel=0.1
        )


def test_endless_training_is_the_closed_form_of_the_rows():
    """T to infinity: the strength of the fastest slowest mode of the same rows, by the dense route."""
    g, p = 0.4, Rows(scalar=0.4, loss="wasserstein")
    dense = eg.advise_from_gram(
        p.B @ p.B.T, M, d,
        {"discriminator": {"learning_rate": 0.3},
         "generator": {"learning_rate": 0.2, "kernel": {"diagonal": g, "ratio": 0.0}},
         "loss": {"kind": "wasserstein"}, "update": {"rule": "alternating"}}, variations=False,
    )  # fmt: skip
    found = eg.advise(made(p), horizon=1000, products=60)
    assert found.asymptotic.best == pytest.approx(dense.asymptotic.best, rel=1e-2)
    assert found.asymptotic.rate == pytest.approx(dense.asymptotic.rate, rel=1e-3)
    (curve,) = curves(made(p), 200_000, products=60)
    scan = dense.asymptotic.best * np.geomspace(0.5, 2, 41)
    left = [left_of(curve.seen, curve.rates, s, 2_000).start for s in scan]
    assert scan[int(np.argmin(left))] == pytest.approx(dense.asymptotic.best, rel=0.1)


def test_noise_is_that_of_a_simulation():
    p = Rows()
    small = seen(lambda w: (0.3 * p.B.T @ p.B @ w, 0 * w, p.B.T @ p.B @ w * 0.02), p.B.T @ np.ones(M * d),
                 np.random.default_rng(1).standard_normal((N_D, 4)), 60, M)  # fmt: skip
    rates, steps, rng = Rates(0.5, 0.5, 0.0, (0.5, 0.3)), 20, np.random.default_rng(2)
    F, k = step_map(small, rates, 0.5), len(small.start)
    total = 0.0
    for _ in range(4000):
        z = np.zeros(4 * k)
        for _ in range(steps):
            n = small.noise @ rng.standard_normal(4) / 2 * (1 - 0.5)
            z = F @ z
            z[:k] -= n
            z[2 * k : 3 * k] += n
        total += z[k : 2 * k] @ z[k : 2 * k] / 4000
    found = left_of(small, rates, 0.5, steps)
    assert found.total**2 - found.start**2 == pytest.approx(total / small.weight**2, rel=0.1)


def test_momentum_averages_gradients():
    """A heavy ball lr (g + m m_) is lr/(1 - m) times an average of gradients: the same weights."""
    p, steps = Rows(), 25
    (curve,) = curves(made(p, momentum=0.6), steps, products=60)
    psi, e, v_D, v_G = np.zeros(N_D), (p.X - p.Y).ravel(), np.zeros(N_D), np.zeros(N_G)
    first = np.linalg.norm(p.B.T @ e)
    for _ in range(steps):
        v_D = 0.6 * v_D + (0.7 * p.B.T @ p.B @ psi + 0.5 * p.Psi.T @ p.Psi @ psi + 0.5 * p.B.T @ e) / M
        psi = psi - 0.3 * v_D
        v_G = 0.6 * v_G + 0.5 * p.J.T @ p.B @ psi / M
        e = e + 0.2 * p.J @ v_G
    found = left_of(curve.seen, curve.rates, 0.7, steps)
    assert found.start == pytest.approx(np.linalg.norm(p.B.T @ e) / first, rel=1e-8)


def test_nothing_of_rows_times_weights_is_asked_for():
    """Each call has one vector of weights and one of rows."""
    p, sizes = Rows(), []
    for name in ("rows_push", "rows_pull", "generator_push", "generator_pull"):
        inner = getattr(p, name)

        def recorded(*args, inner=inner, **more):
            sizes.extend(np.size(a) for a in args)
            return inner(*args, **more)

        setattr(p, name, recorded)
    eg.advise(made(p), horizon=50, products=20)
    assert sizes and max(sizes) <= max(N_D, N_G, M * d)


def test_numbers_of_losses():
    assert loss_numbers(Rows())[:3] == pytest.approx((0.5, 0.5, 0.5), abs=1e-4)
    assert loss_numbers(Rows(loss="wasserstein")) == pytest.approx((1.0, 1.0, 0.0, True))


def test_adam_holds_itself_at_the_edge_and_keeps_the_size_of_steps():
    (plain,) = curves(made(Rows(), r1=1.0), 50, products=60)
    adam = Curve(plain.seen, plain.rates, 50, (True, True), 1.0)
    assert adam.scales(1.0) == pytest.approx((1.0, 1.0), rel=1e-6)
    assert not plain(3 * plain.edge) < 2 and adam(3 * plain.edge) < 2
    slower, faster = adam.scales(3 * plain.edge)
    assert slower < 1 < faster


def test_words_and_bad_input():
    said = eg.advise(made(Rows()), horizon=50)
    assert said.best <= said.edge / 2 and "of what D sees of the error" in said.remarks[0]
    hasty = eg.advise(made(Rows(scalar=0.4, loss="wasserstein"), (0.1, 3.0)), horizon=500)
    assert hasty.choice.limited and hasty.best == pytest.approx(hasty.edge / 2)
    assert any("products with both networks" in text for text in said.remarks)
    with pytest.raises(InputError, match=r"^horizon: must be given"):
        eg.advise(made(Rows()))
    with pytest.raises(InputError, match=r"^data: must be left out for a game"):
        eg.advise(made(Rows()), None, np.ones((3, 2)), horizon=5)
    with pytest.raises(InputError, match=r"^horizon: must be a number of steps"):
        eg.advise(made(Rows()), horizon=0)
    blind = Rows()
    blind.B[:] = 0
    with pytest.raises(InputError, match=r"^D: must see an error"):
        eg.advise(made(blind), horizon=5)


def test_frameworks_agree():
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    torch.set_num_threads(1)
    torch.manual_seed(0)

    def net(i, o):
        return torch.nn.Sequential(torch.nn.Linear(i, 6), torch.nn.Tanh(), torch.nn.Linear(6, o)).double()

    D, G = net(2, 1), net(3, 2)
    data, latents = torch.randn(5, 2).double(), torch.randn(5, 3).double()
    optimizers = [torch.optim.SGD(m.parameters(), lr=r) for m, r in ((D, 0.2), (G, 0.1))]
    before = [p.detach().clone() for m in (D, G) for p in m.parameters()]
    one = eg.advise(
        game(D, G, loss="non_saturating", data=data, latents=latents, optimizers=tuple(optimizers),
             penalty={"r1": 1.0}),
        horizon=40, products=20,
    )  # fmt: skip
    assert all(torch.equal(p, q) for p, q in zip(before, (p for m in (D, G) for p in m.parameters()), strict=True))

    def function(p, x):
        return jax.numpy.tanh(x @ p[0].T + p[1]) @ p[2].T + p[3]

    weights = [[p.detach().numpy() for p in m.parameters()] for m in (D, G)]
    own = tuple(Optimizer("sgd", {"learning_rate": r}) for r in (0.2, 0.1))
    other = eg.advise(
        game((lambda p, x: function(p, x)[:, 0], weights[0]), (function, weights[1]), loss="non_saturating",
             data=data.numpy(), latents=latents.numpy(), optimizers=own, penalty={"r1": 1.0}),
        horizon=40, products=20,
    )  # fmt: skip
    assert one.best == pytest.approx(other.best, rel=1e-6)
    assert one.edge == pytest.approx(other.edge, rel=1e-6)


def test_words_at_the_edge_are_those_of_the_optimiser():
    plain = eg.advise(made(Rows()), horizon=50)
    held = [Optimizer("adam", {"learning_rate": 0.01}, moments={"m": np.zeros(n), "v": np.ones(n)}, count=9)
            for n in (N_D, N_G)]  # fmt: skip
    adam = eg.advise(Game(Rows(), tuple(held), Schedule(), {"r1": 1.0}), horizon=50)
    assert (plain.safety, adam.safety) == (2.0, 1.0)
    for advice in (plain, adam):
        said = " ".join(replace(advice, choice=replace(advice.choice, limited=True)).remarks)
        assert ("factor 2 of the edge" in said) == (advice is plain)
        assert ("a lower end" in said) == (advice is adam)
        assert "edge of D's own steps" in " ".join(name for name, _ in advice.grid()[1])
