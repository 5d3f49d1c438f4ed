"""The guide's recipe for PyTorch, as it stands: products of a network's own rows, and a network left as it was."""

import copy
import warnings

import numpy as np
import pytest

import egan_theory as eg
from tests.blocks import blocks

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")

#: products of rows in double precision, by another order of sums
ROUNDING = 1e-10


@pytest.fixture(scope="module")
def gram():
    """The function of the guide's snippet."""
    code = next(code for _, code in blocks(eg.guide("r1_strength")) if "def gram(" in code)
    definitions, example = code.split("\nD = ")
    assert example.count("\n") == 3 and "gram(D, X)" in example
    space: dict = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(definitions, "r1_strength.md", "exec"), space)
    return space["gram"]


class Tied(torch.nn.Module):
    """One matrix used twice, under two names."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.out = torch.nn.Linear(4, 1)

    def forward(self, x):
        return self.out(torch.tanh(self.second(torch.tanh(self.first(x)))))


def convolutional():
    """Batch normalisation with running statistics, dropout, single precision, a frozen layer."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3, padding=1), torch.nn.BatchNorm2d(3), torch.nn.Softplus(), torch.nn.Dropout(0.5),
        torch.nn.Flatten(), torch.nn.Linear(12, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1),
    )  # fmt: skip


def by_autograd(D, X):
    """Rows [psi; grad psi] of the trained weights, one backward pass each."""
    D, X = copy.deepcopy(D).double().eval(), X.double()
    weights = [p for p in D.parameters() if p.requires_grad]
    values, gradients = [], []

    def flat(y):
        parts = torch.autograd.grad(y, weights, retain_graph=True, allow_unused=True, materialize_grads=True)
        return torch.cat([g.ravel() for g in parts])

    for x in X:
        x = x[None].clone().requires_grad_(True)
        y = D(x).squeeze()
        values.append(flat(y))
        slope = torch.autograd.grad(y, x, create_graph=True)[0].ravel()
        gradients += [flat(component) for component in slope]
    rows = torch.stack(values + gradients).numpy()
    return rows @ rows.T


CASES = {
    "convolutional": (convolutional, (2, 2)),
    "tied": (Tied, (4,)),
    "spectral norm": (
        lambda: torch.nn.Sequential(
            torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(4, 6)), torch.nn.Tanh(), torch.nn.Linear(6, 1)
        ),
        (4,),
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("frozen", [False, True], ids=["all trained", "some frozen"])
def test_recipe(gram, name, frozen):
    make, shape = CASES[name]
    torch.manual_seed(0)
    D = make()
    X = torch.randn(3, *((1, *shape) if len(shape) == 2 else shape))
    for _ in range(2):  # running statistics away from their start
        D(torch.randn(8, *X.shape[1:]))
    if frozen:
        next(D.parameters()).requires_grad_(False)
    D.train()
    optimizer = torch.optim.SGD(D.parameters(), lr=0.01)
    before = {k: v.clone() for k, v in D.state_dict().items()}
    modes = [module.training for module in D.modules()]
    found = gram(D, X)
    expected = by_autograd(D, X)
    np.testing.assert_allclose(found.numpy(), expected, atol=ROUNDING * np.trace(expected))
    assert found.dtype == torch.float64 and X.dtype == torch.float32
    # D is what it was, and goes on training
    assert [module.training for module in D.modules()] == modes
    after = D.state_dict()
    assert all(torch.equal(before[k], after[k]) and before[k].dtype == after[k].dtype for k in before)
    assert all(p.grad is None for p in D.parameters())
    D(X).mean().backward()
    optimizer.step()


def test_frozen_weights_do_not_count(gram):
    torch.manual_seed(1)
    D, X = convolutional(), torch.randn(3, 1, 2, 2)
    whole = gram(D, X)
    D[0].weight.requires_grad_(False)
    assert np.linalg.norm(gram(D, X) - whole) > 1e-3 * np.linalg.norm(whole)
