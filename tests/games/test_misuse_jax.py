"""What is no game, in JAX: one line each, that names what must hold and what was found."""

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.base.errors import InputError

jax = pytest.importorskip("jax")
jnp = jax.numpy
RNG = np.random.default_rng(0)
X, Z, PD, PG = (RNG.standard_normal(shape) for shape in ((6, 2), (6, 4), (2, 1), (4, 2)))
SGD = eg.Optimizer("sgd", {"learning_rate": 0.02})
STOPPED = jax.lax.stop_gradient


def D(w, x):
    return jnp.tanh(x @ w)[:, 0]


def G(w, z):
    return z @ w


def losses(D=lambda r, f: f.mean() - r.mean(), G=lambda r, f: -f.mean()):
    return D, G


def made(D=D, G=G, **given):
    told = {"loss": "wasserstein", "data": X, "latents": Z, "optimizers": (SGD, SGD)}
    return eg.game((D, PD), (G, PG), **(told | given))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dict(loss=losses(D=lambda r, f: STOPPED(f.mean()))),
         "loss of D: must depend on the scores.* a constant .stop_gra"),
        (dict(loss=losses(G=lambda r, f: STOPPED(f.mean()))), "loss of G: must depend on the scores.* a constant"),
        (dict(loss=losses(G=lambda r, f: r.mean())), "loss of G: must depend on the scores of generated samples"),
        (dict(loss=losses(D=lambda r, f: 1 / 0)),
         "loss of D: must run on what it is given, in JAX, .*ZeroDivisionError"),
        (dict(loss=losses(D=lambda r, f: f - r)), r"loss of D: must be one number .* found shape \(6,\)"),
        (dict(G=lambda w, z: STOPPED(G(w, z))), "G: must depend on its weights, but found its gradient is 0"),
        (dict(D=lambda w, x: STOPPED(D(w, x))), "D: must depend on its weights, but found its gradient is 0"),
        (dict(D=lambda w, x: D(w, STOPPED(x))), "D: must depend on its samples, but found its gradient is 0"),
        (dict(D=lambda w, x: w["a"]), "D: must run on what it is given, in JAX, but found"),
        (dict(D=lambda w, x: x.foo), "D: must run on what it is given, in JAX, but found AttributeError"),
        (dict(D=lambda w, x: D(w, x) if x.sum() > 0 else -D(w, x)), "D: must run on .* TracerBoolConversionError"),
        (dict(latents=X), "G: must run on what it is given, in JAX, but found TypeError"),
        (dict(data="x"), "data: must be a tensor or array of samples"),
        (dict(data=(x for x in [X])), "data: must be a tensor or array of samples.* but found generator"),
        (dict(data={"x": X}), "data: must be a tensor or array of samples.* but found dict"),
        (dict(data=X * 1j), "data: must hold real numbers, but found ndarray of complex ones"),
        (dict(optimizers=(0.1, 0.1)), r"optimizers \(D\): must be an egan_theory.Optimizer"),
    ],
)  # fmt: skip
def test_what_is_no_game_is_said_in_one_line(given, said):
    with pytest.raises(InputError, match=said) as caught:
        made(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("do", "said"),
    [
        (lambda: eg.advise(lambda w, x: w["q"], {"a": PD}, X),
         "D: must run on .params, one sample of shape .2,.., in JAX, but"),
        (lambda: eg.advise(lambda w, x: x.sum(), None, X), "params: must hold the weights of D"),
        (lambda: eg.kernel_numbers((lambda w, z: w["q"], PG), Z),
         "G: must run on the latents, of shape .6, 4., in JAX, but"),
        (lambda: eg.kernel_numbers((G, PG), X),
         "G: must run on the latents, of shape .6, 2., in JAX, but found TypeError"),
        (lambda: eg.kernel_numbers(G, Z), "G: must be a game, .* but found function"),
        (lambda: eg.Optimizer("sgd", 0.02), "settings: must be by name, .* but found 0.02"),
    ],
)  # fmt: skip
def test_what_is_asked_wrongly_is_said_in_one_line(do, said):
    with pytest.raises(InputError, match=said) as caught:
        do()
    assert "\n" not in str(caught.value)
