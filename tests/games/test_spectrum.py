"""A game's spectrum on games of matrices: against dense eigenvalues, within its products, in every form."""

import json
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from egan_theory.base.errors import InputError
from egan_theory.base.json import json_text
from egan_theory.base.netcdf import read_netcdf, save
from egan_theory.games.game import Game
from egan_theory.games.leading import Budget
from egan_theory.games.modes import Mode
from egan_theory.games.optimizers import Optimizer
from egan_theory.games.spectrum import _shift, _told, cost_of, spectrum_of
from egan_theory.games.stepmap import GameMap, Schedule
from tests.games.double import Quadratic, descent


def dense(A):
    return np.stack([A.product(e) for e in np.eye(A.n)], axis=1)


def adam(n, rate, beta1, beta2=0.99, seed=0, floor=0.1):
    rng = np.random.default_rng(seed)
    moments = {"m": 0.1 * rng.standard_normal(n), "v": floor + rng.random(n)}
    return Optimizer("adam", {"learning_rate": rate, "beta1": beta1, "beta2": beta2}, moments, 500)


def game_of(kind, n=20, batches=1, scatter=0.0, schedule=None, **settings):
    players = Quadratic(n, batches, scatter=scatter, **settings)
    if kind == "sgd":
        return descent(players, (0.3, 0.3), {"r1": 0.1})
    beta = {"adam": 0.0, "adam with momentum": 0.5}[kind]
    optimizers = tuple(adam(k, 0.2, beta, seed=k) for k in players.sizes)
    return Game(players, optimizers, schedule or Schedule(), {"r1": 0.1})


@pytest.mark.parametrize("schedule", [Schedule(False), Schedule(True, 2), Schedule(True, 1, 4)], ids=str)
@pytest.mark.parametrize("kind", ["sgd", "adam", "adam with momentum"])
def test_modes_are_dense_eigenvectors_with_their_adjoints(kind, schedule):
    game = game_of(kind, schedule=schedule)
    s = spectrum_of(game, 240, progress=False, count=5)
    A = dense(game.map)
    z = np.linalg.eigvals(A)
    assert s.products <= 240 and len(s.modes) >= 5 and s.steps == game.schedule.lazy
    for j, m in enumerate(s.modes):
        assert np.abs(z - m.of_product).min() < 1e-6
        assert m.multiplier**s.steps == pytest.approx(m.of_product)
        x, u = s.vectors[:, j], s.adjoints[:, j]
        assert np.linalg.norm(A @ x - m.of_product * x) < 1e-4
        if np.isfinite(u[0]):
            assert np.linalg.norm(A.T @ u - m.of_product * u) < 1e-3 * np.linalg.norm(u)
            assert u @ x == pytest.approx(1) and m.carried_D + m.carried_G == pytest.approx(1)
            assert m.condition == pytest.approx(np.linalg.norm(u))
        assert m.share_D + m.share_G == pytest.approx(1)
    assert np.isfinite(s.adjoints[0]).sum() >= 4


def test_small_steps_are_the_flow():
    """(z - 1) / eta tends to the eigenvalues of the field, alternating or not."""
    players = Quadratic(10)
    for alternating in (False, True):
        s = spectrum_of(descent(players, (1e-5, 1e-5), {}, alternating), 200, count=20, progress=False)
        field = (np.eye(18) - players.jacobian((1.0, 1.0), {})) * -1
        flow = np.linalg.eigvals(field)
        for m in s.modes:
            assert np.abs(flow - (m.multiplier - 1) / 1e-5).min() < 1e-3


def test_multipliers_on_the_unit_circle_are_not_told_from_it():
    """Without curvature alternating steps have |z| = 1; simultaneous ones grow, however slowly."""
    players = Quadratic(10)
    players.H, players.K, players.R = 0 * players.H, 0 * players.K, 0 * players.R
    s = spectrum_of(descent(players, (0.1, 0.1), {"r1": 0.0}, True), 60, progress=False, scan=None)
    circle = [m for m in s.modes if m.pair and m.converged]
    assert len(circle) > 3 and {m.kind for m in circle} == {"not resolved"}
    assert any(line.startswith("Not resolved: ") for line in s.reading)
    s = spectrum_of(descent(players, (1e-4, 1e-4), {"r1": 0.0}), 60, progress=False, scan=None)
    assert {m.kind for m in s.modes if m.pair and m.converged} == {"rotation, growing"}
    # a residual that reaches over the circle leaves the same doubt
    z = 1.001 * np.exp(0.3j)
    close = Mode(z, z, 1, 1e-4, 0.5, 0.5, 0.0, True, condition=5.0)
    assert close.certain and close.kind == "rotation, growing"
    assert replace(close, condition=20.0).kind == "not resolved" == replace(close, rounding=1e-3).kind


def test_what_freezing_neglects_is_measured_with_the_moments_moving():
    """beta2 near 1: nothing is neglected; beta2 = 0.5 far from rest: much. Multipliers with moving moments, dense, are
    off by no more than is said, where that is small, and not by much less."""
    players = Quadratic(14)
    found, shifts = {}, []
    for beta2 in (1 - 1e-9, 0.999, 0.5):
        optimizers = tuple(adam(k, 0.2, 0.0, beta2, k) for k in players.sizes)
        game = Game(players, optimizers, Schedule(), {"r1": 0.1})
        found[beta2] = spectrum_of(game, 200, progress=False, count=4)
        live = np.linalg.eigvals(dense(GameMap(players, optimizers, Schedule(), {"r1": 0.1}, frozen=False)))
        for m in found[beta2].modes:
            if m.valid:
                away = np.abs(live - m.of_product).min() / abs(m.of_product - 1)
                assert away < 1.5 * m.condition * m.neglected + 1e-6
                shifts.append(away / m.neglected)
    assert len(shifts) >= 6 and max(shifts) > 0.5
    assert max(m.neglected for m in found[1 - 1e-9].modes) < 1e-4
    assert max(m.neglected for m in found[0.5].modes) > 0.1
    assert min(m.turnover for m in found[1 - 1e-9].modes) > 1e3 > min(m.turnover for m in found[0.5].modes)
    assert "not valid" in " ".join(found[0.5].reading) and ": valid." in " ".join(found[1 - 1e-9].reading)


@pytest.mark.parametrize(("schedule", "close"), [(Schedule(False), 1e-4), (Schedule(False, 1, 4), 0.2)], ids=str)
def test_what_freezing_neglects_is_the_moments_own_answer(schedule, close):
    """|L_ww x + L_wv (z - L_vv)^-1 L_vw x - z x| / |z - 1| with the blocks of the dense map L whose moments v move."""
    players = Quadratic(8, stiffness=0.1, rotation=0.3)
    optimizers = tuple(adam(k, 0.05, 0.0, 0.9, k) for k in players.sizes)
    game = Game(players, optimizers, schedule, {"r1": 0.1})
    s = spectrum_of(game, 200, progress=False, count=4)
    live = GameMap(players, optimizers, schedule, game.strengths, frozen=False)
    L, n = dense(live), game.map.n
    assert list(live.parts)[:2] == ["psi", "theta"] and live.n == 2 * n
    for j, m in enumerate(s.modes[:3]):
        x, z = s.vectors[:, j], m.of_product
        v = np.linalg.solve(z * np.eye(n) - L[n:, n:], L[n:, :n] @ x)
        expected = np.linalg.norm(L[:n, :n] @ x + L[:n, n:] @ v - z * x) / abs(z - 1)
        assert m.neglected == pytest.approx(expected, rel=close)


def test_distance_and_velocity_tell_where_rest_is():
    """Started one mode away from rest, all of the step is along that mode, and rest is as far as it was put."""
    players = Quadratic(10, stiffness=0.1)
    game = descent(players, (0.3, 0.3), {"r1": 0.1})
    A = dense(game.map)
    field = np.eye(18) - A
    rest = game.map.state + np.linalg.solve(field, game.map.velocity)
    z, X = np.linalg.eig(A)
    x = X[:, np.argmax(np.abs(z - 1))]
    away = 0.2 * (x + x.conj()).real
    players.weights = (rest + away)[:10], (rest + away)[10:]
    game = descent(players, (0.3, 0.3), {"r1": 0.1})
    s = spectrum_of(game, 200, progress=False, count=6)
    m = s.modes[0]
    assert abs(m.multiplier - 1) == pytest.approx(np.abs(z - 1).max())
    norm = np.linalg.norm(rest + away)
    assert s.norm == pytest.approx(norm) and m.distance == pytest.approx(2 * 0.2 / norm, rel=1e-6)
    assert m.velocity == pytest.approx(0.4 * np.abs(z - 1).max(), rel=1e-6)
    assert max(other.distance for other in s.modes[1:]) < 1e-6


def test_curvature_is_that_of_the_preconditioned_hessian():
    game = game_of("adam with momentum")
    s = spectrum_of(game, 2000, progress=False)
    for player, density in ((0, s.curvature_D), (1, s.curvature_G)):
        H = game.players.blocks({"r1": 0.1}, None)[player][player]
        P = game.map.preconditioners[player]
        expected = np.linalg.eigvalsh(np.sqrt(P)[:, None] * H * np.sqrt(P))
        assert np.sort(density.nodes) == pytest.approx(expected, abs=1e-8)
        assert density.edge == pytest.approx(2 * 1.5 / 0.5)
    assert s.density.weights.sum() == pytest.approx(1)


def test_batches_give_scatter_and_floor():
    game = game_of("sgd", batches=6, scatter=0.3, stiffness=0.8)
    s = spectrum_of(game, 300, progress=False, scan=None)
    assert s.noise.batches == 6 and s.noise.modes + s.noise.growing <= len(s.modes)
    matrices = [dense(GameMap(game.players, game.optimizers, game.schedule, game.strengths, batch=b)) for b in range(6)]
    for j, m in enumerate(s.modes[:3]):
        values = [s.adjoints[:, j] @ A @ s.vectors[:, j] for A in matrices]
        assert m.spread == pytest.approx(np.std(values, ddof=1), rel=1e-6) and m.spread > 0
        assert np.isfinite(m.floor) == (m.modulus < 1)
        if m.modulus < 1:  # two samples, theta and 2 theta: rms sqrt(5/2) of the generator's part
            assert m.floor_samples < m.floor * np.sqrt(2.5)


@pytest.mark.parametrize("products", [2, 7, 31, 90])
def test_products_are_never_exceeded(products):
    game = game_of("adam", n=30, batches=2, scatter=0.1)
    made, told = [0.0], []
    for name, cost in (("push", 0.25), ("pull", 0.25)):
        original = getattr(game.players, name)

        def counted(*args, original=original, cost=cost, **more):
            made[0] += cost
            return original(*args, **more)

        setattr(game.players, name, counted)
    s = spectrum_of(game, products, progress=lambda done, total: told.append((done, total)))
    assert made[0] <= s.products + 1e-9 <= products + 1e-9
    assert told[-1] == (pytest.approx(s.products), products) and len(told) >= s.products


def test_interrupted_it_returns_what_it_has():
    game, seen = game_of("adam", n=40), []

    def stop(done, total):
        seen.append(done)
        if done >= 40:
            raise KeyboardInterrupt

    s = spectrum_of(game, 300, progress=stop)
    assert s.ended == "interrupted" and s.products <= 41 and s.modes
    assert any(line.startswith("Interrupted after") for line in s.reading)


def test_every_form(tmp_path, capsys):
    game = game_of("adam", batches=3, scatter=0.2, schedule=Schedule(True, 1, 2))
    s = spectrum_of(game, 300, scan=("r1", 0.01, 1.0))
    data = json.loads(json_text(s.to_dict()))
    assert data["modes"][0].keys() >= {"re", "im", "kind", "residual"} and data["scan"]["penalty"] == "r1"
    ds = s.to_dataset()
    save(ds, tmp_path / "s.nc")
    again = read_netcdf("s", tmp_path / "s.nc")
    assert again["re"].values == pytest.approx(s.multipliers.real) and again.sizes["strength"] >= 61
    assert again["scan_re"].shape == s.scan.multipliers.shape and "density_D_re" in again
    assert all(ds[name].attrs.get("units") for name in ds.data_vars if name != "kind")
    assert "GameSpectrum: multipliers" in repr(s) and "<table>" in s._repr_html_() and "per step" in s._repr_html_()
    assert "a game of matrices" in s.reading and any("least angle" in line for line in s.reading)
    assert len(repr(s).splitlines()) <= 12
    cost = cost_of(game, 40)
    assert cost.products == 40 and cost.seconds == pytest.approx(40 * cost.seconds_each) and "at most 40" in str(cost)


def test_a_bar_says_the_cost_first(capsys, monkeypatch):
    from egan_theory.base import terminal

    monkeypatch.setattr(terminal, "FIRST_WORD", 1e-3)
    game = game_of("sgd", n=60)
    slow, push = [0], game.players.push
    game.players.push = lambda *a, **k: (slow.append(1), __import__("time").sleep(1e-3), push(*a, **k))[2]
    spectrum_of(game, 20)
    assert "spectrum, at most 20 products" in capsys.readouterr().err


def test_the_time_said_first_is_not_that_of_the_first_product(monkeypatch):
    game, clock = game_of("sgd", n=20), [0.0]
    seconds = iter([10.0])
    product = type(game.map).product

    def slow(self, v):
        clock[0] += next(seconds, 0.1)
        return product(self, v)

    monkeypatch.setattr(type(game.map), "product", slow)
    monkeypatch.setattr("egan_theory.games.spectrum.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    assert cost_of(game, 300).seconds_each == pytest.approx(0.1)


def test_the_time_said_follows_the_mean_of_the_products_made(monkeypatch):
    game, clock, said = game_of("sgd", n=20), [0.0], []

    @contextmanager
    def bar(label):
        said.append(label)
        yield lambda done, total, label=None: said.append(label)

    monkeypatch.setattr("egan_theory.games.spectrum.progress_bar", bar)
    monkeypatch.setattr("egan_theory.games.spectrum.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    with _told(game, 300, True) as tell:
        for seconds, done in ((2.0, 1), (4.0, 3)):
            clock[0] = seconds
            tell(done, 300)
    assert said[1] == "spectrum, at most 300 products, 2 s each: about 10 min"
    assert said[2] == "spectrum, at most 300 products, 1.3 s each: about 7 min"


def test_bad_input():
    game = game_of("sgd", n=6)
    for settings, field in (
        ({"products": 1}, "products"),
        ({"scan": "r2"}, "scan"),
        ({"average": 1.0}, "average"),
        ({"count": 0}, "count"),
    ):
        with pytest.raises(InputError, match=f"^{field}: must"):
            spectrum_of(game, progress=False, **settings)


def test_a_scan_holds_the_checkpoint():
    """Products at other strengths are polynomials: of degree 1 for one step of D, 2 for two, lazy or not."""
    for steps, lazy in ((1, 1), (2, 1), (1, 3), (2, 2)):
        game = game_of("adam with momentum", schedule=Schedule(True, steps, lazy))
        values = [dense(game.map.at(r1=s)) for s in (0.0, 1.0, 2.0, 3.0)]
        assert np.diff(values, steps + 1, axis=0) == pytest.approx(0, abs=1e-11)
        assert np.abs(np.diff(values, steps, axis=0)).max() > 1e-6
        assert dense(game.map.at()) == pytest.approx(dense(game.map), abs=1e-14)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"products": "many"}, "products: must be a whole number of at least 2"),
        ({"seed": -1}, "seed: must be a whole number of at least 0"),
        ({"ahead": -1}, "ahead: must be a number of training steps"),
        ({"scan": 3}, "scan: must be a penalty's name"),
        ({"scan": ("r1", 10.0, 0.1)}, "scan: must be a range of strengths, 0 < low < high"),
        ({"scan": ("r1", float("nan"), 1.0)}, "scan: must be a range of strengths, 0 < low < high"),
        ({"scan": ("r1", 1.0, 2.0)}, "scan: must hold the present strength, 0.1"),
    ],
)  # fmt: skip
def test_bad_questions_are_refused_before_any_product(options, message):
    with pytest.raises(InputError, match=message):
        spectrum_of(game_of("sgd"), **{"products": 10, "progress": False, **options})


def test_a_scan_that_the_products_do_not_do_for_is_said():
    s = spectrum_of(game_of("sgd"), 12, progress=False, scan="r1")
    assert s.scan is None and any("scan asked for was not made: 12 products" in line for line in s.reading)


def test_looking_ahead():
    """Of a game whose Jacobian is one matrix nothing moves; the steps ahead are counted."""
    game = game_of("sgd")
    s = spectrum_of(game, 200, progress=False, ahead=8)
    assert s.products <= 200 and max(m.shift for m in s.modes if np.isfinite(m.shift)) < 1e-6
    assert any("stay where they are" in line for line in s.reading)
    state = game.map.state
    for _ in range(8):
        state = game.map.step(state)
    np.testing.assert_allclose(game.map.after(8).state, state, rtol=1e-12, atol=1e-12)
    assert all(np.isnan(m.shift) for m in spectrum_of(game, 60, progress=False).modes)


@pytest.mark.parametrize("with_adjoint", [True, False])
def test_shift_is_how_far_the_eigenvalue_moves(with_adjoint):
    rng = np.random.default_rng(3)
    A, change = rng.standard_normal((2, 12, 12)) / 6
    later = SimpleNamespace(product=lambda v: (A + 1e-6 * change) @ v)
    z, X = np.linalg.eig(A)
    i = int(np.argmax(z.imag))
    x, u = X[:, i], np.linalg.inv(X)[i]
    moved = np.linalg.eigvals(A + 1e-6 * change)
    true = np.abs(moved - z[i]).min() / abs(z[i] - 1)
    shift = _shift(later, x, u if with_adjoint else np.full(12, np.nan + 0j), complex(z[i]), Budget(10))
    if with_adjoint:
        assert shift == pytest.approx(true, rel=1e-4)
    else:  # a size, without the condition of the multiplier
        assert shift == pytest.approx(1e-6 * np.linalg.norm(change @ x) / abs(z[i] - 1), rel=1e-4)


def growing(rate, optimizers=None):
    """The reading of a game whose discriminator leaves a saddle by 1 + rate per step."""
    players = Quadratic(6, rotation=0.0)
    players.H[:] = 0.0
    players.H[0, 0] = -1.0
    game = descent(players, (rate, 0.01), {})
    if optimizers is not None:
        game = Game(players, optimizers, game.schedule, {})
    return " ".join(spectrum_of(game, 60, progress=False).reading)


def test_only_slow_growth_is_said_to_need_no_change():
    assert "nothing has to be changed" in growing(0.05)
    assert "nothing has to be changed" not in growing(0.5) and "lower the learning rate" in growing(0.5)


def test_adam_before_its_first_step_is_said_to_be_so():
    trained, fresh = adam(6, 1e-3, 0.9), Optimizer("adam", {"learning_rate": 1e-3})
    other = adam(4, 1e-3, 0.9, seed=1)
    said = growing(0.05, (fresh, other))
    assert "Adam of the discriminator has taken no step yet" in said and "nothing has to be changed" not in said
    assert "has taken no step" not in growing(0.05, (trained, other))
    assert Optimizer("adam", {"learning_rate": 1e-3}, {"v": np.zeros(6)}, 0).fresh  # as Optax begins
    assert not Optimizer("sgd", {"learning_rate": 1e-3}).fresh
