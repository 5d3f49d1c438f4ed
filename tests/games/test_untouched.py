"""A user's networks, optimisers and random numbers are what they were, whatever was computed of their game; what the
theory has something to say about is said; what is no game is refused."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, spectral_norm  # noqa: E402

from egan_theory.base.errors import InputError  # noqa: E402
from egan_theory.games.game import game  # noqa: E402

F = nn.functional


class Noisy(nn.Module):
    """Noise from the global stream and one of its own; counts its calls, and moves a buffer by each."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 4) + torch.eye(4))
        self.register_buffer("u", torch.randn(4))
        self.generator = torch.Generator().manual_seed(5)
        self.calls, self.seen = 0, {"last": 0}
        self.scale = torch.tensor(0.5)

    def forward(self, x):
        self.calls += 1
        self.seen["last"] = self.calls
        with torch.no_grad():
            self.u.copy_(F.normalize(self.u + 0.1, dim=0))
        u = self.u.clone()
        noise = torch.randn_like(x) + torch.randn(x.shape, generator=self.generator) + np.random.randn()  # noqa: NPY002
        return (
            x
            + 0.01 * self.scale * noise @ self.weight.to(x) / self.weight.norm()
            + 0.01 * u.to(x)
            + 0 * random.random()
        )


def networks():
    D = nn.Sequential(
        spectral_norm(nn.Linear(2, 6)), nn.Dropout(0.3), nn.LeakyReLU(0.2),
        parametrizations.spectral_norm(nn.Linear(6, 4)), Noisy(), nn.Tanh(), nn.Linear(4, 1),
    )  # fmt: skip
    G = nn.Sequential(
        nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)
    )
    G[3].requires_grad_(False)
    G[4].eval()
    return D, G


class Loop:
    """A plain training loop."""

    def __init__(self, seed=0):
        torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)  # noqa: NPY002
        self.D, self.G = networks()
        trained = [p for p in self.G.parameters() if p.requires_grad]
        self.optimizers = (
            torch.optim.Adam(self.D.parameters(), 1e-2, betas=(0.0, 0.9)),
            torch.optim.SGD(trained, 1e-2, 0.9),
        )
        self.x, self.z = torch.randn(8, 2), torch.randn(8, 3)

    def step(self):
        D, G, (opt_D, opt_G) = self.D, self.G, self.optimizers
        opt_D.zero_grad()
        (F.softplus(-D(self.x)).mean() + F.softplus(D(G(self.z).detach())).mean()).backward()
        opt_D.step()
        opt_G.zero_grad()
        F.softplus(-D(G(self.z))).mean().backward()
        opt_G.step()

    def game(self, **more):
        asked = {"loss": "non_saturating", "data": self.x, "latents": self.z, "optimizers": self.optimizers} | more
        return game(self.D, self.G, **asked)

    def everything(self):
        """All that may be changed, as plain data."""
        found = {}
        for name, net in (("D", self.D), ("G", self.G)):
            for key, p in net.named_parameters():
                found[name, key] = (p.detach().clone(), p.dtype, p.device, p.requires_grad, id(p), p._version)
                found[name, key, "grad"] = None if p.grad is None else (p.grad.clone(), id(p.grad))
            for key, b in net.named_buffers():
                found[name, key] = (b.clone(), b.dtype, id(b))
            for key, m in net.named_modules():
                plain = {k: v for k, v in vars(m).items() if k[0] != "_" and not isinstance(v, torch.Generator)}
                plain = {k: v.detach().clone() if torch.is_tensor(v) else copy.deepcopy(v) for k, v in plain.items()}
                found[name, key, "own"] = (plain, type(m), sorted(vars(m)))
                found[name, key, "hooks"] = (list(m._forward_pre_hooks.values()), list(m._forward_hooks.values()))
                if isinstance(m, Noisy):
                    found[name, key, "generator"] = m.generator.get_state()
        for i, optimizer in enumerate(self.optimizers):
            found["optimizer", i] = copy.deepcopy(optimizer.state_dict())
        found["random"] = (torch.get_rng_state(), np.random.get_state(), random.getstate())  # noqa: NPY002
        found["torch"] = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.backends.cudnn.allow_tf32)
        return found


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def everything_asked_of(g):
    A = g.map
    v = np.random.default_rng(0).standard_normal(A.n)
    A.product(v), A.transposed(v), A.step(A.state)
    p, (psi, theta) = g.players, g.players.weights
    X = p.generated(theta)
    p.scores(psi, X), p.slopes(psi, X), p.rows_push(psi, X, psi), p.rows_pull(psi, X, np.ones(len(X)), np.ones_like(X))
    p.generator_push(theta, theta), p.generator_pull(theta, np.ones_like(X))
    return repr(g)


@pytest.mark.parametrize("precision", [None, "own"])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_nothing_is_changed_and_training_goes_on(precision, mode):
    loops = Loop(), Loop()
    for loop in loops:
        if mode == "eval":
            loop.D.eval(), loop.G.eval()
    states = []
    for loop in loops:  # one after the other: they share the streams of random numbers
        torch.manual_seed(1), np.random.seed(1), random.seed(1)  # noqa: NPY002
        for _ in range(2):
            loop.step()
        if loop is loops[0]:
            before = loop.everything()
            everything_asked_of(loop.game(penalty={"r1": 0.5, "r2": 0.1}, precision=precision))
            after = loop.everything()
            assert [key for key in before if not same(before[key], after[key])] == []
        for _ in range(3):
            loop.step()
        states.append([p.detach().clone() for p in (*loop.D.parameters(), *loop.G.parameters())])
    assert same(*states)


def test_the_same_is_computed_every_time():
    """Masks and noise are fixed, statistics and power iterations begin at the checkpoint's."""
    g = Loop().game(penalty={"r1": 0.5})
    psi, theta = g.players.weights
    d, e = np.random.default_rng(0).standard_normal(psi.size), np.random.default_rng(1).standard_normal(theta.size)
    for player in (0, 1):
        first = g.players.gradient(player, psi, theta, g.strengths)
        torch.randn(3), np.random.randn()  # noqa: NPY002
        np.testing.assert_array_equal(first, g.players.gradient(player, psi, theta, g.strengths))
        h = 1e-6
        fd = (g.players.gradient(player, psi + h * d, theta + h * e, g.strengths)
              - g.players.gradient(player, psi - h * d, theta - h * e, g.strengths)) / (2 * h)  # fmt: skip
        pushed = g.players.push(player, psi, theta, d, e, g.strengths)
        np.testing.assert_allclose(pushed, fd, atol=1e-5 * np.abs(fd).max())
        w = np.random.default_rng(2).standard_normal(len(fd))
        back = g.players.pull(player, psi, theta, w, g.strengths)
        assert back[0] @ d + back[1] @ e == pytest.approx(w @ pushed, rel=1e-9)


def test_notes_say_what_the_theory_has_to_say_something_about():
    notes = " ".join(Loop().game().players.notes)
    for words in (
        "BatchNorm in training mode: samples of one batch are coupled",
        "mask is drawn once",
        "spectral norm",
    ):
        assert words in notes
    assert "single precision" not in notes and "in no optimiser" not in notes
    loop = Loop()
    loop.D.eval(), loop.G.eval()
    notes = " ".join(loop.game(precision="own").players.notes)
    assert "BatchNorm" not in notes and "dropout" not in notes and "single precision" in notes
    some = torch.optim.Adam(list(loop.D.parameters())[:-1], 1e-3)
    found = loop.game(optimizers=(some, loop.optimizers[1])).players.notes
    assert any("1 weights of D are in no optimiser" in note for note in found)
    with torch.autocast("cpu"):
        assert any("Mixed precision" in note for note in loop.game().players.notes)
    half = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).bfloat16()
    g = loop.game()
    g = game(half, loop.G, loss="hinge", data=loop.x, latents=loop.z,
             optimizers=(torch.optim.Adam(half.parameters(), 1e-3), loop.optimizers[1]))  # fmt: skip
    assert any("half precision" in note for note in g.players.notes) and g.players.precision == "float64"


def test_frozen_weights_are_not_trained_and_tied_ones_count_once():
    loop = Loop()
    n = sum(p.numel() for p in loop.G.parameters() if p.requires_grad)
    assert loop.game().players.sizes == (sum(p.numel() for p in loop.D.parameters()), n)
    tied = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
    tied[2].weight = tied[0].weight
    g = game(tied, loop.G, loss="hinge", data=loop.x, latents=loop.z,
             optimizers=(torch.optim.SGD(tied.parameters(), 0.1), loop.optimizers[1]))  # fmt: skip
    assert g.players.sizes[0] == 4 + 2 + 2 + 3
    psi = g.players.weights[0]
    d, h, x = np.eye(11)[0], 1e-6, loop.x.numpy()
    fd = (g.players.scores(psi + h * d, x) - g.players.scores(psi - h * d, x)) / (2 * h)
    np.testing.assert_allclose(g.players.rows_push(psi, x, d)[0], fd, atol=1e-8)


def test_groups_of_weights_have_their_own_numbers():
    loop = Loop()
    first, *rest = loop.D.parameters()
    opt = torch.optim.Adam([{"params": rest, "lr": 0.3}, {"params": [first], "lr": 0.1, "betas": (0.5, 0.9)}], 1.0)
    read = loop.game(optimizers=(opt, loop.optimizers[1])).optimizers[0]
    rates, beta1 = read.settings["learning_rate"], read.settings["beta1"]
    assert set(rates[: first.numel()]) == {0.1} and set(rates[first.numel() :]) == {0.3}
    assert set(beta1[: first.numel()]) == {0.5} and set(beta1[first.numel() :]) == {0.9}


class Wrapped:
    """As training frameworks wrap an optimiser."""

    def __init__(self, optimizer):
        self.optimizer = optimizer


def test_wrappers_are_looked_through():
    loop = Loop()
    wrapped = tuple(map(Wrapped, loop.optimizers))
    g = game(nn.DataParallel(loop.D), torch.compile(loop.G, backend="eager"), loss="hinge", data=loop.x, latents=loop.z,
             optimizers=wrapped)  # fmt: skip
    assert g.players.sizes == loop.game().players.sizes


def dead(D):
    with torch.no_grad():
        D[6].weight.zero_()


def broken(D):
    with torch.no_grad():
        D[6].bias.fill_(float("nan"))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"data": torch.full((8, 2), float("nan"))}, r"data: must be finite"),
        ({"data": torch.randn(8, 5)}, r"G: must make samples of the shape of the data, \(5,\)"),
        ({"data": "x"}, r"data: must be a tensor or array"),
        ({"data": []}, r"data: must hold one mini-batch at least"),
        ({"latents": [torch.randn(8, 3)] * 2}, r"latents: must be in as many mini-batches as the data, 1"),
        ({"latents": torch.randn(8, 4)}, r"G: must run on the latents, of shape \(8, 4\)"),
        ({"loss": (lambda r, f: f, lambda r, f: f.mean())}, r"loss: must give one number for a batch"),
        ({"loss": "nothing"}, r"loss: must be one of wasserstein"),
        ({"loss": (lambda r, f: f.mean() / 0, lambda r, f: f.mean())}, r"loss of D: must be finite"),
        ({"penalty": {"r3": 1.0}}, r"penalty: must be of r1, r2"),
        ({"penalty": {"r1": float("nan")}}, r"penalty.r1: must be a finite number"),
        ({"penalty": 1.0}, r"penalty: must be strengths by name"),
        ({"critic_steps": 0}, r"critic_steps: must be a whole number >= 1"),
        ({"critic_steps": 2, "alternating": False}, r"critic_steps: must be 1 unless steps alternate"),
        ({"precision": "half"}, r"precision: must be"),
        ({"optimizers": None}, r"optimizers: must be those of D and of G"),
    ],
)
def test_bad_input_has_one_clear_message(changes, match):
    with pytest.raises(InputError, match=match) as seen:
        Loop().game(**changes)
    assert "\n" not in str(seen.value)


def test_networks_that_cannot_play_have_one_clear_message():
    loop = Loop()
    for change, match in ((dead, "D: must depend on its samples"), (broken, "finite")):
        other = Loop()
        change(other.D)
        with pytest.raises(InputError, match=match):
            other.game()
    unknown = torch.optim.RMSprop(loop.D.parameters())
    with pytest.raises(InputError, match=r"one of torch\.optim\.SGD, torch\.optim\.Adam, torch\.optim\.AdamW"):
        loop.game(optimizers=(unknown, loop.optimizers[1]))
    with pytest.raises(InputError, match=r"D: must have weights that are trained by its optimiser"):
        loop.game(optimizers=loop.optimizers[::-1])
    for p in loop.G.parameters():
        p.requires_grad_(False)
    with pytest.raises(InputError, match=r"G: must have weights .* none that asks for a gradient"):
        loop.game()
    with pytest.raises(InputError, match=r"two torch\.nn\.Module"):
        game(3, loop.G, loss="hinge", data=loop.x, latents=loop.z, optimizers=loop.optimizers)
    with pytest.raises(InputError, match="share no weights"):
        both = torch.optim.SGD(loop.D.parameters(), 0.1)
        game(loop.D, nn.Sequential(loop.D, nn.Linear(1, 2)), loss="hinge", data=loop.x, latents=loop.x,
             optimizers=(both, both))  # fmt: skip
