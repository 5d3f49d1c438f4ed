"""Products with normalizations in the discriminator, against differences of the gradient; what a forward pass does by
itself (mixed precision, random numbers, layers whose derivatives are wrong) is said."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from egan_theory.base.errors import InputError  # noqa: E402
from egan_theory.games.game import game  # noqa: E402
from egan_theory.games.spectrum import spectrum_of  # noqa: E402

F = nn.functional
DENSE = {
    "BatchNorm": lambda: nn.BatchNorm1d(6),
    "LayerNorm": lambda: nn.LayerNorm(6),
    "RMSNorm": lambda: nn.RMSNorm(6),
    "torch.layer_norm": lambda: Does(lambda self, x: torch.layer_norm(x, (6,))),
    "old weight_norm": lambda: nn.utils.weight_norm(nn.Linear(6, 6)),
    "old weight_norm of all": lambda: nn.utils.weight_norm(nn.Linear(6, 6), dim=None),
    "weight_norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(6, 6)),
}
IMAGES = {
    "BatchNorm": lambda: nn.BatchNorm2d(4),
    "BatchNorm, not tracked": lambda: nn.BatchNorm2d(4, track_running_stats=False),
    "BatchNorm, eval": lambda: nn.BatchNorm2d(4).eval(),
    "InstanceNorm": lambda: nn.InstanceNorm2d(4, affine=True),
    "InstanceNorm, tracked": lambda: nn.InstanceNorm2d(4, track_running_stats=True),
    "GroupNorm": lambda: nn.GroupNorm(2, 4),
    "weight_norm": lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 3, padding=1)),
}


class Does(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.does = forward

    def forward(self, x):
        return self.does(self, x)


def dense(layer):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), layer, nn.Tanh(), nn.Linear(6, 1))


def images(layer):
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), layer, nn.Tanh(), nn.Flatten(), nn.Linear(64, 1))


def made(build, layer, **more):
    torch.manual_seed(0)
    D, G = build(layer()), nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Unflatten(1, (1, 4, 4)))
    optimizers = (torch.optim.SGD(D.parameters(), 0.1), torch.optim.SGD(G.parameters(), 0.1))
    x, z = torch.randn(6, 1, 4, 4), torch.randn(6, 3)
    return game(D, G, loss="non_saturating", data=x, latents=z, optimizers=optimizers, **more)


CASES = [(dense, layer, name) for name, layer in DENSE.items()] + [
    (images, layer, name) for name, layer in IMAGES.items()
]


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(("build", "layer"), [c[:2] for c in CASES], ids=[f"{c[0].__name__} {c[2]}" for c in CASES])
def test_products_with_normalizations_are_derivatives_of_the_gradient(build, layer):
    g = made(build, layer, penalty={"r1": 1.0, "r2": 0.5})
    p, (psi, theta), rng, h = g.players, g.players.weights, np.random.default_rng(0), 1e-5
    d, e, w = rng.standard_normal(psi.size), rng.standard_normal(theta.size), rng.standard_normal(psi.size)
    fd = (p.gradient(0, psi + h * d, theta + h * e, g.strengths)
          - p.gradient(0, psi - h * d, theta - h * e, g.strengths)) / (2 * h)  # fmt: skip
    pushed = p.push(0, psi, theta, d, e, g.strengths)
    np.testing.assert_allclose(pushed, fd, atol=1e-6 * np.abs(fd).max())
    back = p.pull(0, psi, theta, w, g.strengths)
    assert back[0] @ d + back[1] @ e == pytest.approx(w @ pushed, rel=1e-9)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(("build", "layer"), [c[:2] for c in CASES], ids=[f"{c[0].__name__} {c[2]}" for c in CASES])
def test_normalizations_do_what_those_of_torch_do(build, layer):
    """Values and running statistics."""
    from egan_theory.games.elementary import elementary

    torch.manual_seed(0)
    net, x = build(layer()).double(), torch.randn(6, 1, 4, 4, dtype=torch.float64)
    start = {key: value.clone() for key, value in net.state_dict().items()}
    theirs = net(x).detach(), {key: value.clone() for key, value in net.state_dict().items()}
    net.load_state_dict(start)
    with elementary("cpu")():
        ours = net(x).detach()
    torch.testing.assert_close(ours, theirs[0], rtol=1e-10, atol=1e-12)
    for key, value in net.state_dict().items():
        torch.testing.assert_close(value, theirs[1][key], rtol=1e-10, atol=1e-12)


def test_mixed_precision_inside_a_forward_pass_is_off_and_said():
    def mixed(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return x @ x.new_ones(6, 6).mul(0.3)

    def plain(self, x):
        return x @ x.new_ones(6, 6).mul(0.3)

    a, b = (made(dense, lambda f=f: Does(f), penalty={"r1": 1.0}) for f in (mixed, plain))
    v = np.random.default_rng(0).standard_normal(a.map.n)
    np.testing.assert_array_equal(a.map.product(v), b.map.product(v))
    assert any("Mixed precision is turned on inside" in note for note in a.players.notes)
    assert b.players.notes == () and not torch.is_autocast_enabled("cpu")
    half = made(dense, lambda: Does(lambda self, x: x.bfloat16().to(x)))
    assert any("casts to a lower precision" in note for note in half.players.notes)


def test_random_numbers_that_are_no_dropout_layer_are_said():
    for draw in (lambda self, x: F.dropout(x, 0.3, self.training), lambda self, x: x + 0.1 * torch.randn_like(x)):
        (note,) = made(dense, lambda draw=draw: Does(draw)).players.notes
        assert note.startswith("The discriminator draws random numbers in its forward pass: they are drawn once")
    (note,) = made(dense, lambda: nn.Dropout(0.3)).players.notes
    assert "has dropout" in note


def test_a_layer_whose_derivatives_are_wrong_is_told():
    wrong = Does(lambda self, x: torch.native_layer_norm(x, (6,), None, None, 1e-5)[0])
    for layer, said in ((wrong, True), (nn.LayerNorm(6), False)):
        s = spectrum_of(made(dense, lambda layer=layer: layer, penalty={"r1": 1.0}), 60, scan=None, progress=False)
        assert any("wrong in PyTorch itself" in line for line in s.reading) == said


def test_checkpointing_of_activations_is_refused():
    from torch.utils.checkpoint import checkpoint

    inner = nn.Sequential(nn.Linear(6, 6), nn.Tanh())
    layer = Does(lambda self, x: checkpoint(self.inner, x, use_reentrant=False))
    layer.inner = inner
    with pytest.raises(InputError, match=r"D: must run without checkpointing of activations"):
        made(dense, lambda: layer)
    assert not inner._forward_pre_hooks and not inner[0]._forward_pre_hooks
