"""The optimisers' steps against torch.optim, and their derivatives against SymPy's of the same step."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from egan_theory.base.errors import InputError
from egan_theory.games.optimizers import FUNCTIONS, OPTIMIZERS, Functions, Optimizer, cotangent, tangent

SYMBOLIC = Functions(sp.sqrt, sp.Max)
#: settings that use every part of every entry
CASES = {
    "plain": ("sgd", {}),
    "decay": ("sgd", {"weight_decay": 0.1}),
    "heavy ball": ("sgd", {"momentum": 0.7, "dampening": 0.2, "weight_decay": 0.1}),
    "nesterov": ("sgd", {"momentum": 0.7, "nesterov": 1.0, "weight_decay": 0.1}),
    "adam": ("adam", {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    "adam, no mean": ("adam", {"beta1": 0.0, "beta2": 0.9}),
    "adamw": ("adamw", {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3, "weight_decay": 0.3}),
    "amsgrad": ("adam", {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3, "amsgrad": 1.0, "weight_decay": 0.1}),
}
AT = {"w": 0.7, "m": -0.3, "v": 0.4, "v_max": 0.45, "g": 1.3}


def test_every_entry_has_a_case():
    assert {kind for kind, _ in CASES.values()} == set(OPTIMIZERS)


def derived(optimizer, t, values):
    """SymPy's derivative of the step at these values."""
    x = {name: sp.Symbol(name, real=True) for name in ("w", *optimizer.blocks)}
    g = sp.Symbol("g", real=True)
    after = optimizer.rule.step(optimizer.settings, x, g, t, SYMBOLIC)
    at = {symbol: values[symbol.name] for symbol in (*x.values(), g)}
    return {(i, str(j)): float(sp.diff(e, j).subs(at).evalf()) for i, e in after.items() for j in (*x.values(), g)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("t", [1, 7])
def test_slopes_are_the_derivatives_of_the_step(case, t):
    kind, settings = CASES[case]
    optimizer = Optimizer(kind, {"learning_rate": 0.05, **settings}, count=t - 1)
    names = ("w", *optimizer.blocks)
    for v_max in (0.45, 0.9) if "v_max" in names else (0.45,):  # the largest mean square is new, or an older one
        values = AT | {"v_max": v_max}
        blocks = {name: np.array([values[name]]) for name in names}
        found = optimizer.slopes(blocks, np.array([values["g"]]), frozen=False)
        for (i, j), expected in derived(optimizer, t, values).items():
            assert float(np.squeeze(found.get((i, j), 0.0))) == pytest.approx(expected, rel=1e-12, abs=1e-14), (i, j)


@pytest.mark.parametrize("case", ["adam", "adamw", "amsgrad"])
def test_frozen_slopes_hold_the_mean_square_of_the_next_step(case):
    kind, settings = CASES[case]
    optimizer = Optimizer(kind, {"learning_rate": 0.05, **settings}, count=6)
    blocks = {name: np.array([AT[name]]) for name in ("w", *optimizer.blocks)}
    found = optimizer.slopes(blocks, np.array([AT["g"]]))
    after = optimizer.advance(blocks, np.array([AT["g"]]))
    w, m, g, P = sp.symbols("w m g P")
    decay = optimizer.settings["weight_decay"]
    full = g if kind == "adamw" else g + decay * w
    mean = 0.5 * m + 0.5 * full
    step = {"w": w * (1 - 0.05 * decay if kind == "adamw" else 1) - P * mean, "m": mean}
    top = after.get("v_max", after["v"])
    held = {P: float(0.05 / (1 - 0.5**7) / (np.sqrt(top / (1 - 0.9**7)) + 1e-3)[0])}
    expected = {(i, str(j)): float(sp.diff(e, j).subs(held)) for i, e in step.items() for j in (w, m, g)}
    assert {ij for ij, c in expected.items() if c} == set(found)
    for ij, c in found.items():
        assert float(np.squeeze(c)) == pytest.approx(expected[ij], rel=1e-12)
    assert float(optimizer.rule.preconditioner(optimizer.settings, after, 7)[0]) == pytest.approx(
        held[P] * (1 - 0.5**7), rel=1e-12
    )


@pytest.mark.parametrize("case", CASES)
def test_the_step_is_the_one_of_torch(case):
    torch = pytest.importorskip("torch")
    kind, s = CASES[case]
    rng = np.random.default_rng(0)
    p = torch.tensor(rng.normal(size=5), requires_grad=True)
    if kind == "sgd":
        more = {k: s[k] for k in ("momentum", "dampening", "weight_decay") if k in s}
        theirs = torch.optim.SGD([p], lr=0.05, nesterov=bool(s.get("nesterov")), **more)
    else:
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        theirs = kinds[kind](
            [p], lr=0.05, betas=(s["beta1"], s["beta2"]), eps=s.get("eps", 1e-8),
            weight_decay=s.get("weight_decay", 0.0), amsgrad=bool(s.get("amsgrad")),
        )  # fmt: skip
    ours = Optimizer(kind, {"learning_rate": 0.05, **s})
    blocks = ours.start(p.detach().numpy().copy())
    for i in range(6):
        g = rng.normal(size=5) * (1 + i % 3)
        p.grad = torch.tensor(g)
        theirs.step()
        blocks = ours.advance(blocks, g, i)
        np.testing.assert_allclose(blocks["w"], p.detach().numpy(), rtol=1e-13, atol=1e-15)


def test_cotangents_are_the_transpose_of_tangents_with_numbers_per_weight():
    rng = np.random.default_rng(1)
    rates = np.array([0.1, 0.1, 0.3])
    for kind, settings in CASES.values():
        optimizer = Optimizer(kind, {**settings, "learning_rate": rates}, count=3)
        blocks = {name: np.abs(rng.normal(size=3)) for name in ("w", *optimizer.blocks)}
        slopes = optimizer.slopes(blocks, rng.normal(size=3), frozen=False)
        d, e = ({name: rng.normal(size=3) for name in blocks} for _ in range(2))
        dg = rng.normal(size=3)
        ahead = tangent(slopes, d, dg)
        back, back_g = cotangent(slopes, e)
        left = sum(e[n] @ ahead[n] for n in blocks)
        assert left == pytest.approx(sum(back[n] @ d[n] for n in blocks) + back_g @ dg, rel=1e-12)


def test_what_no_optimiser_has_is_refused():
    with pytest.raises(InputError, match="one of sgd, adam, adamw"):
        Optimizer("rmsprop", {"learning_rate": 0.1})
    with pytest.raises(InputError, match=r"momentum: must be 0 to below 1"):
        Optimizer("sgd", {"learning_rate": 0.1, "momentum": 1.0})
    with pytest.raises(InputError, match="no setting but"):
        Optimizer("sgd", {"learning_rate": 0.1, "beta1": 0.5})
    with pytest.raises(InputError, match="have a learning_rate"):
        Optimizer("adam")
    with pytest.raises(InputError, match="one number per weight, 4"):
        Optimizer("adam", {"learning_rate": np.arange(3.0)}).start(np.zeros(4))
    with pytest.raises(InputError, match="have taken a step"):
        _ = Optimizer("adam", {"learning_rate": 0.1}).preconditioner
    assert Optimizer("sgd", {"learning_rate": 0.1, "momentum": 0.5}).preconditioner == pytest.approx(0.2)
    assert FUNCTIONS.largest(1, 2) == 2
