"""Losses by name as functions of a framework: values and derivatives against SymPy, saturation included."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import sympy as sp

from egan_theory.base.errors import InputError
from egan_theory.games.scores import Functions, evaluate, names, objectives, stable, terms
from egan_theory.tables.losses import LOSSES

POINTS = [-40.0, -3.0, 0.4, 45.0]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def in_torch(torch):
    return Functions(torch, lambda u: torch.nn.functional.softplus(u, threshold=50))


@pytest.mark.parametrize("kind", names())
def test_terms_and_two_derivatives_are_those_of_sympy(torch, kind):
    D = sp.Symbol("D", real=True)
    for stably, name in zip(terms(kind), ("f",) if LOSSES[kind].pairs else ("f1", "f2", "h"), strict=True):
        e = LOSSES[kind].expressions[name]
        for at in POINTS:
            x = torch.tensor(at, dtype=torch.float64, requires_grad=True)
            value = evaluate(stably, x, in_torch(torch))
            found, y = [float(value.detach())], value
            for _ in range(2):
                y = torch.autograd.grad(y, x, create_graph=True, allow_unused=True)[0] if y.requires_grad else None
                y = torch.zeros(()) if y is None else y
                found.append(float(y.detach()))
            exact = [sp.diff(e, D, n).subs(D, sp.Rational(at)).evalf(30, maxn=200) for n in range(3)]
            assert found == pytest.approx([float(v) for v in exact], rel=1e-13, abs=2e-16), (name, at)
        far = torch.tensor([-700.0, 700.0], dtype=torch.float64, requires_grad=True)
        slope = torch.autograd.grad(evaluate(stably, far, in_torch(torch)).sum() + 0 * far.sum(), far)[0]
        assert bool(torch.isfinite(slope).all())


@pytest.mark.parametrize("kind", names())
def test_both_frameworks_agree(torch, kind):
    jax = importlib.import_module("jax")
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(2, 6)) * 5
    ours = objectives(kind, in_torch(torch))
    with jax.enable_x64(True):
        theirs = objectives(kind, Functions(jax.numpy, jax.nn.softplus))
        for a, b in zip(ours, theirs, strict=True):
            value = float(a(torch.tensor(real), torch.tensor(fake)))
            assert value == pytest.approx(float(b(jax.numpy.asarray(real), jax.numpy.asarray(fake))), rel=1e-13)


def test_objectives_are_minimised_means(torch):
    real, fake = torch.tensor([0.5, -1.0], dtype=torch.float64), torch.tensor([0.2, 3.0, -2.0], dtype=torch.float64)
    log_s = torch.nn.functional.logsigmoid
    loss_D, loss_G = objectives("non-saturating", in_torch(torch))
    assert float(loss_D(real, fake)) == pytest.approx(float(-log_s(real).mean() - log_s(-fake).mean()))
    assert float(loss_G(real, fake)) == pytest.approx(float(-log_s(fake).mean()))
    loss_D, loss_G = objectives("hinge", in_torch(torch))
    assert float(loss_D(real, fake)) == pytest.approx(float((1 - real).relu().mean() + (1 + fake).relu().mean()))
    loss_D, loss_G = objectives("relativistic", in_torch(torch))
    pairs = fake[:2] - real
    assert float(loss_D(real, fake[:2])) == pytest.approx(float(-log_s(-pairs).mean()))
    assert float(loss_G(real, fake[:2])) == pytest.approx(float(-log_s(pairs).mean()))
    with pytest.raises(InputError, match="as many as the data"):
        loss_D(real, fake)


def test_other_ways_to_write_a_sigmoid_are_stable_too(torch):
    D = sp.Symbol("D", real=True)
    s = 1 / (1 + sp.exp(-D))
    for e in (sp.log(s), sp.log(1 - s), 2 * sp.log(1 + sp.exp(3 * D)), sp.log((1 + sp.tanh(D)) / 4) + D**2):
        f = stable(e)
        for at in (-25.0, -1.0, 0.5, 25.0):
            found = evaluate(f, torch.tensor(at, dtype=torch.float64), in_torch(torch))
            assert float(found) == pytest.approx(float(e.subs(D, sp.Rational(at)).evalf(30, maxn=200)), rel=1e-12)
        assert np.isfinite(float(evaluate(f, torch.tensor(-800.0, dtype=torch.float64), in_torch(torch))))
        assert np.isfinite(float(evaluate(f, torch.tensor(800.0, dtype=torch.float64), in_torch(torch))))


def test_what_is_no_loss_is_refused(torch):
    for bad in ("sobolev", "nothing", (lambda r, f: f,), 3):
        with pytest.raises(InputError, match="loss"):
            objectives(bad, in_torch(torch))
