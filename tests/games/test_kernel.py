"""The two kernel numbers of a generator, by probes and by the dense kernel, in NumPy, JAX and PyTorch."""

from copy import deepcopy

import numpy as np
import pytest

from egan_theory.base.errors import InputError
from egan_theory.games import probes
from egan_theory.games.game import game
from egan_theory.games.generators import GeneratorMap
from egan_theory.games.kernel import KernelNumbers, kernel_numbers, measured, preconditioning
from egan_theory.games.optimizers import Optimizer

NAMES = ("g1", "g2", "ratio", "share", "unequal_diagonal", "unequal_pairs", "not_identity", "two_matrices")


def of_matrix(J, N):
    """The map whose derivative is J (N d, n)."""
    d = len(J) // N
    return GeneratorMap(N, d, J.shape[1], lambda v: (J @ v).reshape(N, d), lambda u: J.T @ u.ravel())


def dense(theta, N):
    """``NAMES`` from the definitions, with the whole kernel and the two-number one written out."""
    d = len(theta) // N
    T = np.einsum("iaja->ij", theta.reshape(N, d, N, d)) / d
    off = ~np.eye(N, dtype=bool)
    g1, g2 = np.diag(T).mean(), T[off].mean()
    norm = np.linalg.norm(theta) ** 2
    traces = np.kron(T, np.eye(d))
    diagonal = np.kron(np.diag(np.diag(T)), np.eye(d)) - g1 * np.eye(N * d)
    pairs = np.kron(np.where(off, T - g2, 0), np.eye(d))
    two = np.kron(np.where(off, g2, g1), np.eye(d))
    assert np.allclose(two + diagonal + pairs, traces)
    parts = [np.linalg.norm(part) ** 2 / norm for part in (theta - two, diagonal, pairs, theta - traces)]
    same = np.mean([theta[i * d :][:d, i * d :][:, :d] for i in range(N)], axis=0)
    other = [theta[i * d :][:d, j * d :][:, :d] for i in range(N) for j in range(N) if i != j]
    matrices = np.kron(np.eye(N), same) + np.kron(off, np.mean(other, axis=0))
    return np.array([g1, g2, g2 / g1, 1 - parts[0], *parts[1:], 1 - np.linalg.norm(theta - matrices) ** 2 / norm])


def example(seed, N=5, d=4, n=30):
    """(J, P): latents and outputs of unequal size, with a part that is common."""
    rng = np.random.default_rng(seed)
    common = np.kron(np.ones((N, 1)), np.eye(d)) @ rng.standard_normal((d, n))
    J = rng.standard_normal((N * d, n)) * np.linspace(0.4, 1.6, N * d)[:, None] + 0.7 * common
    return J, rng.uniform(0.2, 2, n)


def numbers(found):
    return np.array([getattr(found, name) for name in NAMES])


def test_the_whole_kernel_gives_the_definitions():
    J, P = example(0)
    found = measured([of_matrix(J, 5)], P)
    assert found.exact and found.products == 20
    assert numbers(found) == pytest.approx(dense(J * P @ J.T, 5), rel=1e-12)
    assert numbers(found)[3:7].sum() == pytest.approx(1)
    # several batches: means, and the ratio of the means
    other, _ = example(1)
    both = measured([of_matrix(J, 5), of_matrix(other, 5)], P)
    mean = (dense(J * P @ J.T, 5) + dense(other * P @ other.T, 5)) / 2
    assert numbers(both)[[0, 1, 3, 4, 5, 6, 7]] == pytest.approx(mean[[0, 1, 3, 4, 5, 6, 7]])
    assert both.ratio == pytest.approx(mean[1] / mean[0])


def test_probes_are_unbiased_and_their_errors_calibrated():
    """Against the dense kernel: the mean over 300 measurements, and z-scores by the errors each of them states."""
    J, P = example(2)
    exact = dense(J * P @ J.T, 5)
    runs = [measured([of_matrix(J, 5)], P, exact=False, probes=24, seed=s) for s in range(300)]
    values = np.array([numbers(r) for r in runs])
    scatter = values.std(0, ddof=1)
    assert np.all(np.abs(values.mean(0) - exact) < 3.5 * scatter / np.sqrt(300))
    errors = np.array([[r.over_probes.g1, r.over_probes.g2, r.over_probes.ratio, r.over_probes.share] for r in runs])
    assert np.sqrt((errors**2).mean(0)) == pytest.approx(scatter[:4], rel=0.12)
    z = (values[:, :4] - exact[:4]) / errors
    assert np.all(np.abs(z.std(0) - 1) < 0.35) and np.mean(np.abs(z) < 2) > 0.88
    # uncorrected, the means' squares are biased by several errors
    product = of_matrix(J, 5).product(P)
    plain = [probes.numbers([probes.probed(product, 5, 4, 24, np.random.default_rng(s))]) for s in range(300)]
    found = np.mean(plain, axis=0)
    assert np.any(np.abs(found - exact) > 6 * np.std(plain, axis=0) / np.sqrt(300))


@pytest.mark.parametrize("ratio", [-0.25, 0.0, 0.3, 1.0])
def test_a_kernel_that_is_two_numbers_is_found_as_such_by_every_probe(ratio):
    """share = 1 and no error, at the ends of what the ratio can be, too: -1/(N - 1) and 1."""
    N, d, g1 = 5, 3, 2.0
    values, vectors = np.linalg.eigh(g1 * ((1 - ratio) * np.eye(N) + ratio))
    J = np.kron(vectors * np.sqrt(np.maximum(values, 0)), np.eye(d))
    for exact in (True, False):
        found = measured([of_matrix(J, N)], exact=exact, probes=2, seed=3)
        assert numbers(found)[:4] == pytest.approx([g1, ratio * g1, ratio, 1], abs=1e-12)
        assert np.allclose([*found.over_probes.to_dict().values()], 0, atol=1e-12)
    assert found.kernel == {"diagonal": pytest.approx(g1), "ratio": pytest.approx(max(ratio, 0), abs=1e-12)}
    assert ("negative" in " ".join(found.remarks)) == (ratio < 0)


@pytest.mark.parametrize("common", [1e-3, 1e3])
def test_ratio_and_share_stay_where_they_can_be(common):
    """Kernels near an end of the ratio's range, few probes: the correction alone would lead out of it."""
    N, d, ends = 4, 6, []
    for seed in range(40):
        J = np.random.default_rng(seed).standard_normal((N * d, 9))
        blocks = J.reshape(N, d, 9)
        blocks -= (1 - common) * blocks.mean(0)  # nearly centred over the latents, or nearly alike
        for found in (measured([of_matrix(J, N)], exact=False, probes=2, seed=seed), measured([of_matrix(J, N)])):
            assert -1 / (N - 1) <= found.ratio <= 1 and 0 <= found.share <= 1
        ends.append(found.ratio)
    assert max(ends) < -0.3 if common < 1 else min(ends) > 0.9


def test_errors_over_latents():
    """Kernels of one trained weight per output, J_i = a_i: tr Theta_ij = a_i a_j, whose mean and scatter are known."""

    def draw(rng, N):
        a = 1 + 0.5 * rng.standard_normal(N)
        return of_matrix(np.kron(a[:, None], np.eye(3)), N)

    found, several = [], []
    for s in range(150):
        rng = np.random.default_rng(s)
        found.append(measured([draw(rng, 12)], exact=s % 2 == 0, probes=8, seed=s))
        several.append(measured([draw(rng, 12) for _ in range(4)], probes=8, seed=s))
    for name, truth in (("g1", 1.25), ("g2", 1.0)):
        for of in (found, several):
            values = np.array([getattr(f, name) for f in of])
            errors = np.array([getattr(f.stderr, name) for f in of])
            assert abs(values.mean() - truth) < 3.5 * values.std() / np.sqrt(150)
            assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.2)
    assert np.isnan(found[1].over_latents.share) and np.isfinite(found[0].over_latents.share)


def test_adam_s_own_preconditioner(monkeypatch):
    """P is what the optimizer says over its learning rate; momentum of SGD is not the kernel's."""
    P = example(4)[1]
    monkeypatch.setattr(Optimizer, "preconditioner", property(lambda self: 1e-3 * P))
    kind, scale, rate = preconditioning(Optimizer("adam", {"learning_rate": 1e-3}))
    assert kind == "adam" and rate == 1e-3 and scale == pytest.approx(P)
    assert preconditioning(Optimizer("sgd", {"learning_rate": 0.1, "momentum": 0.9})) == ("sgd", 1.0, 0.1)
    rates = np.repeat([0.1, 0.3], 15)
    kind, scale, rate = preconditioning(Optimizer("sgd", {"learning_rate": rates}))
    assert rate == pytest.approx(0.2) and scale == pytest.approx(rates / 0.2)
    assert preconditioning(None)[:2] == ("sgd", 1.0)


def test_bad_input():
    J, P = example(0)
    good = of_matrix(J, 5)
    for error, call in (
        ("latents", lambda: measured([of_matrix(J, 1)])),
        ("probes", lambda: measured([good], probes=1)),
        ("optimizer", lambda: measured([good], -P)),
        ("generator", lambda: measured([of_matrix(J * np.nan, 5)])),
        ("latents", lambda: kernel_numbers((lambda p, z: z, [1.0]))),
        ("optimizer", lambda: preconditioning(Optimizer("sgd", {"learning_rate": 0.0}))),
    ):
        with pytest.raises(InputError, match=f"^{error}"):
            call()


def test_outputs_with_rates_of_their_own():
    """A common change of all outputs beside small ones of each: two numbers hold little of it, two matrices all."""
    N, d = 6, 8
    root = np.linalg.cholesky(0.6 * np.eye(N) + 0.4)
    J = np.hstack([np.kron(root, np.ones((d, 1))), 0.05 * np.kron(root, np.eye(d))])
    for exact in (True, False):
        found = measured([of_matrix(J, N)], exact=exact, probes=64)
        assert found.two_matrices == pytest.approx(1, abs=1e-9 if exact else 0.25) and found.share < 0.2
        assert found.ratio == pytest.approx(0.4, abs=1e-9 if exact else 0.1)
        assert any("rates of their own" in remark for remark in found.remarks)


def test_weights_that_do_nothing():
    found = measured([of_matrix(np.zeros((20, 3)), 5)])
    assert found.g1 == 0 and np.isnan(found.share) and "does not depend" in found.remarks[0]


# -- frameworks -------------------------------------------------------------------------------------------------------


def weights(rng, width=12, inputs=6, outputs=4):
    shapes = [(width, inputs), (width,), (outputs, width), (outputs,)]
    return [rng.standard_normal(s) / 2 for s in shapes]


def jax_generator():
    jnp = pytest.importorskip("jax").numpy
    return lambda p, z: jnp.tanh(z @ p[0].T + p[1]) @ p[2].T + p[3]


def torch_generator(p, *, norm=False):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    hidden, inputs = p[0].shape
    layers = [nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.Tanh(), nn.Linear(hidden, len(p[3]))]
    G = nn.Sequential(*(layers if norm else [layers[0], *layers[2:]]))
    with torch.no_grad():
        for own, value in zip([*G[0].parameters(), *G[-1].parameters()], p, strict=True):
            own.copy_(torch.as_tensor(value))
    return G


def by_hand(p, z):
    """J of tanh(z W^T + b) V^T + c, in the order W, b, V, c."""
    W, b, V, c = p
    h = np.tanh(z @ W.T + b)
    back = V[None] * (1 - h**2)[:, None]  # (N, d, width)
    eye = np.eye(len(c))
    parts = (back[..., None] * z[:, None, None], back, np.einsum("ab,nh->nabh", eye, h), np.tile(eye, (len(z), 1, 1)))
    return np.concatenate([part.reshape(len(z) * len(c), -1) for part in parts], axis=1)


def test_jax_generator_against_its_derivative_by_hand():
    rng = np.random.default_rng(5)
    p, z = weights(rng), rng.standard_normal((7, 6))
    J = by_hand(p, z)
    found = kernel_numbers((jax_generator(), p), z)
    assert numbers(found) == pytest.approx(dense(J @ J.T, 7), rel=1e-10)
    assert (found.weights, found.latents, found.dimension, found.coupled) == (J.shape[1], 7, 4, False)
    probed = kernel_numbers((jax_generator(), p), z, exact=False, probes=16)
    for name in ("g1", "g2", "ratio", "share"):
        assert abs(getattr(probed, name) - getattr(found, name)) < 4 * getattr(probed.over_probes, name)


def test_pytorch_is_jax():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(6)
    p, z = weights(rng), [rng.standard_normal((7, 6)) for _ in range(2)]
    p = [np.asarray(a, dtype=np.float32) for a in p]
    z = [np.asarray(a, dtype=np.float32) for a in z]
    G, batches = torch_generator(p), [torch.as_tensor(a) for a in z]
    for exact in (True, False):
        ours = kernel_numbers((jax_generator(), p), z, exact=exact)
        theirs = kernel_numbers(G, batches, exact=exact)
        assert numbers(theirs) == pytest.approx(numbers(ours), rel=1e-10, abs=1e-12)
        assert [*theirs.stderr.to_dict().values()] == pytest.approx([*ours.stderr.to_dict().values()], rel=1e-8)
    assert G[0].weight.dtype == torch.float32


def test_batch_statistics_couple_samples_and_nothing_is_changed():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    G = torch_generator(weights(rng), norm=True)
    G[0].bias.requires_grad_(False)
    G.append(torch.nn.Dropout(0.3))
    z = torch.as_tensor(rng.standard_normal((9, 6)), dtype=torch.float32)
    before = {k: v.clone() for k, v in G.state_dict().items()}
    state = torch.random.get_rng_state()
    train = kernel_numbers(G, z)
    assert train.coupled and "batch statistics" in " ".join(train.remarks)
    assert G.training and torch.equal(state, torch.random.get_rng_state())
    for k, v in G.state_dict().items():
        assert torch.equal(v, before[k]) and v.dtype == before[k].dtype
    assert not G[0].bias.requires_grad and all(p.grad is None for p in G.parameters())
    G.eval()
    evaluated = kernel_numbers(G, z)
    assert not evaluated.coupled and train.weights == evaluated.weights == 72 + 24 + 48 + 4
    # second route: the whole derivative by backward passes, batch statistics included
    for mode, found in ((True, train), (False, evaluated)):
        J = jacobian(G.train(mode), z)
        expected = dense(J @ J.T, 9)
        assert numbers(found) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def jacobian(G, z):
    """d outputs / d trained weights (N d, n), without touching G; random masks as kernel_numbers draws them."""
    torch = pytest.importorskip("torch")
    copy = deepcopy(G).double()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        out = copy(z.double()).flatten()
    trained = [p for p in copy.parameters() if p.requires_grad]
    rows = [torch.autograd.grad(o, trained, retain_graph=True) for o in out]
    return np.array([np.concatenate([g.numpy().ravel() for g in row]) for row in rows])


def test_adam_of_pytorch():
    """P from the state against the same by hand, with groups of weights, and weights that the optimizer lacks."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(8)
    G = torch_generator(weights(rng)).double()
    z = torch.as_tensor(rng.standard_normal((7, 6)))
    groups = [{"params": list(G[0].parameters()), "lr": 1e-3}, {"params": [G[-1].weight], "lr": 3e-3}]
    optimizer = torch.optim.Adam(groups, betas=(0.5, 0.9), eps=1e-4)
    for k in range(3):
        optimizer.zero_grad()
        (G(z) - k).square().mean().backward()
        optimizer.step()
    found = kernel_numbers(G, z, optimizer)
    scale = []
    for group in optimizer.param_groups:
        for p in group["params"]:
            v = optimizer.state[p]["exp_avg_sq"].numpy().ravel() / (1 - 0.9**3)
            scale.append(group["lr"] / (np.sqrt(v) + 1e-4))
    rates = [np.full(p.numel(), group["lr"]) for group in optimizer.param_groups for p in group["params"]]
    rate = np.concatenate(rates).mean()
    G[-1].bias.requires_grad_(False)
    J = jacobian(G, z)
    assert numbers(found) == pytest.approx(dense(J * np.concatenate(scale) / rate @ J.T, 7), rel=1e-9)
    assert (found.preconditioner, found.learning_rate) == ("adam", pytest.approx(rate))
    with pytest.raises(InputError, match="have taken a step"):
        kernel_numbers(G, z, torch.optim.Adam(G.parameters()))


@pytest.mark.slow
def test_adam_of_optax_is_adam_of_pytorch():
    jax, optax, torch = (pytest.importorskip(name) for name in ("jax", "optax", "torch"))
    rng = np.random.default_rng(10)
    p, z = [np.float32(a) for a in weights(rng)], rng.standard_normal((7, 6))
    G, theirs = torch_generator(p).double(), torch.as_tensor(z)
    optimizer = torch.optim.Adam(G.parameters(), 1e-3, betas=(0.5, 0.9), eps=1e-4)
    with jax.enable_x64(True):
        rule = optax.adam(1e-3, b1=0.5, b2=0.9, eps=1e-4)
        q, f = [jax.numpy.asarray(a, dtype=float) for a in p], jax_generator()
        state = rule.init(q)
        for k in range(3):
            optimizer.zero_grad()
            (G(theirs) - k).square().mean().backward()
            optimizer.step()
            g = jax.grad(lambda p, k=k: ((f(p, z) - k) ** 2).mean())(q)
            change, state = rule.update(g, state)
            q = optax.apply_updates(q, change)
    own = Optimizer("adam", {"learning_rate": 1e-3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-4})
    ours = kernel_numbers((f, q), z, (own, state))
    assert numbers(ours) == pytest.approx(numbers(kernel_numbers(G, theirs, optimizer)), rel=1e-8)
    assert ours.share != pytest.approx(kernel_numbers((f, q), z).share, rel=1e-2)


def test_a_game_s_numbers_are_those_of_its_generator():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(9)
    G, D = torch_generator(weights(rng), norm=True), torch.nn.Linear(4, 1)
    z = [torch.as_tensor(rng.standard_normal((7, 6)), dtype=torch.float32) for _ in range(2)]
    x = [torch.as_tensor(rng.standard_normal((7, 4)), dtype=torch.float32) for _ in range(2)]
    optimizers = torch.optim.SGD(D.parameters(), 0.1), torch.optim.SGD(G.parameters(), 0.2, momentum=0.5)
    found = game(D, G, loss="hinge", data=x, latents=z, optimizers=optimizers)
    for ours in (found.kernel(), kernel_numbers(found)):
        alone = kernel_numbers(G, z)
        assert numbers(ours) == pytest.approx(numbers(alone), rel=1e-9) and ours.coupled and alone.coupled
        assert ours.learning_rate == pytest.approx(0.2) and ours.batches == 2
    with pytest.raises(InputError, match="be left out for a game"):
        kernel_numbers(found, z)


def test_the_result_tells_itself():
    J, P = example(0)
    found = measured([of_matrix(J, 5)], P, preconditioner="adam", learning_rate=1e-3)
    data = found.to_dict()
    assert isinstance(found, KernelNumbers) and data["share"] == found.share and "traces" not in data
    assert data["preconditioner"] == "adam" and data["learning_rate"] == 1e-3 and data["stderr"]["g1"] > 0
    assert f"explain {found.share:.0%}" in found.remarks[0]
    assert ("rough" in found.remarks[0]) == (found.share < 0.5)
    assert "two kernel numbers" in found._repr_html_()
