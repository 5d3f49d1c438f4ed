"""A real PyTorch loop with a monitor is bit by bit the loop without one, and has the multipliers of its own step."""

import copy

import numpy as np
import pytest

import egan_theory as eg

torch = pytest.importorskip("torch")


def networks():
    torch.manual_seed(0)
    nn = torch.nn
    D = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    G = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 2))
    kinds = {"lr": 1e-2, "betas": (0.5, 0.9)}
    return D, G, torch.optim.Adam(D.parameters(), **kinds), torch.optim.Adam(G.parameters(), **kinds)


def batch(step):
    angle = torch.arange(16) * (2 * torch.pi / 16) + 0.1 * step
    return torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)


def train(D, G, opt_D, opt_G, step, r1=0.1):
    """One training step as users write it; returns the losses."""
    softplus = torch.nn.functional.softplus
    x = batch(step).requires_grad_(True)
    scores = D(x)
    slope = torch.autograd.grad(scores.sum(), x, create_graph=True)[0]
    loss_d = softplus(-scores).mean() + softplus(D(G(torch.randn(16, 3)).detach())).mean()
    loss_d = loss_d + r1 / 2 * slope.square().sum(1).mean()
    opt_D.zero_grad()
    loss_d.backward()
    opt_D.step()
    loss_g = softplus(-D(G(torch.randn(16, 3)))).mean()
    opt_G.zero_grad()
    loss_g.backward()
    opt_G.step()
    return loss_d, loss_g


def state(*parts):
    """Everything that a loop goes on from, as bytes."""
    D, G, opt_D, opt_G = parts
    tensors = [*D.state_dict().values(), *G.state_dict().values()]
    tensors += [p.grad for net in (D, G) for p in net.parameters() if p.grad is not None]
    for opt in (opt_D, opt_G):
        tensors += [v for entry in opt.state.values() for v in entry.values() if torch.is_tensor(v)]
    flags = [m.training for net in (D, G) for m in net.modules()] + [p.requires_grad for p in G.parameters()]
    kinds = [(str(t.dtype), tuple(t.shape)) for t in tensors]
    return [t.detach().numpy().tobytes() for t in tensors], kinds, flags, torch.get_rng_state().numpy().tobytes()


def test_a_loop_with_a_monitor_is_the_loop_without_one(tmp_path):
    plain = networks()
    torch.manual_seed(1)
    losses = [[float(v.detach()) for v in train(*plain, step)] for step in range(12)]
    expected = state(*plain)
    watched = networks()
    D, G, opt_D, opt_G = watched
    latents = torch.randn(16, 3, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(1)
    with eg.Monitor(D, G, loss="non_saturating", penalty={"r1": 0.1}, latents=latents, optimizers=(opt_D, opt_G),
                    path=tmp_path / "r.nc", every=5, products=12, say=None) as monitor:  # fmt: skip
        for step in range(12):
            loss_d, loss_g = train(*watched, step)
            monitor.step(step, batch(step), loss_discriminator=loss_d, loss_generator=loss_g)
    assert state(*watched) == expected
    run = eg.open_runs(tmp_path / "r.nc")
    assert "notes" not in run.attrs, run.attrs["notes"]
    known = np.isfinite(run["multiplier_re"].values[0, :, 0])
    assert run["time"].values[known].tolist() == [0, 5, 10] and run.sizes["particle"] == 16
    assert np.isfinite(run["path_angle"].sel(time=[5, 10])).all()
    assert np.isfinite(run["kernel_share"].values[0, known]).all()
    assert run["loss_generator"].sel(time=0).item() == pytest.approx(losses[0][1], rel=1e-6)


def test_the_multiplier_is_that_of_the_loops_own_step(tmp_path):
    """A linear GAN, SGD: by finite differences of a real step from slightly changed weights."""
    torch.manual_seed(3)
    D, G = torch.nn.Linear(2, 1, bias=False).double(), torch.nn.Linear(2, 2, bias=False).double()
    opt_D, opt_G = (torch.optim.SGD(net.parameters(), lr=0.2) for net in (D, G))
    x, z = (torch.randn(6, 2, dtype=torch.float64) for _ in range(2))
    softplus = torch.nn.functional.softplus

    def step(D, G):
        """Alternating SGD, non-saturating."""
        slope = torch.autograd.grad((softplus(-D(x)) + softplus(D(G(z)))).mean(), list(D.parameters()))
        with torch.no_grad():
            for p, g in zip(D.parameters(), slope, strict=True):
                p -= 0.2 * g
        slope = torch.autograd.grad(softplus(-D(G(z))).mean(), list(G.parameters()))
        with torch.no_grad():
            for p, g in zip(G.parameters(), slope, strict=True):
                p -= 0.2 * g

    def after(change):
        nets = copy.deepcopy((D, G))
        with torch.no_grad():
            nets[0].weight += change[:2].reshape(1, 2)
            nets[1].weight += change[2:].reshape(2, 2)
        step(*nets)
        return torch.cat([net.weight.detach().ravel() for net in nets]).numpy()

    h = 1e-5
    units = torch.eye(6, dtype=torch.float64) * h
    jacobian = np.stack([(after(u) - after(-u)) / (2 * h) for u in units], axis=1)
    exact = np.linalg.eigvals(jacobian)
    with eg.Monitor(D, G, loss="non_saturating", latents=z, optimizers=(opt_D, opt_G), path=tmp_path / "r.nc",
                    data=x, every=1, say=None) as monitor:  # fmt: skip
        monitor.step(0)
    run = eg.open_runs(tmp_path / "r.nc")
    found = (run["multiplier_re"] + 1j * run["multiplier_im"]).values[0, 0]
    found = found[np.isfinite(found)]
    assert len(found) >= 3
    assert all(np.abs(exact - value).min() < 1e-8 for value in found)
