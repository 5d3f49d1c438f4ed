"""What is wrong with networks, losses and data that a user gives, told in one line that names what must hold."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from ..base.errors import EganError, InputError

#: how samples are given
SAMPLES = "be a tensor or array of samples, or a list of such mini-batches"
#: why gradients end, inside of what is named
TORCH_ENDS = "detach(), no_grad, numpy() or item() in it"
JAX_ENDS = "stop_gradient in it, or dead units"
#: functions of D, and of G with them, that gradients were seen to go through
_ALIVE: weakref.WeakKeyDictionary[Any, weakref.WeakSet[Any]] = weakref.WeakKeyDictionary()


class Failed(RuntimeError):
    """A network of PyTorch that did not run in one precision: ``said`` is the error where no other one is left."""

    def __init__(self, said: InputError) -> None:
        super().__init__(str(said))
        self.said = said


def failed(name: str, what: str, error: BaseException) -> InputError:
    """What a user's function raised, as an error about it: its kind and its first line."""
    lines = str(error).strip().splitlines() or [""]
    return InputError(name, f"run on {what}", f"{type(error).__name__}: {lines[0].strip()}")


@contextmanager
def running(name: str, what: str) -> Iterator[None]:
    """Whatever a user's function raises is told as an error about it."""
    try:
        yield
    except EganError:
        raise
    except Exception as error:
        raise failed(name, what, error) from error


def check_samples(name: str, value: Any) -> None:
    """Raise InputError for what is no array: loaders, generators, data sets and tables; and for complex numbers."""
    if isinstance(value, list | tuple | dict | str | bytes) or not hasattr(value, "__array__"):
        loader = hasattr(value, "__iter__") and not isinstance(value, dict | str | bytes | list | tuple)
        hint = " (of a loader: [x for x, _ in loader])" if loader else ""
        raise InputError(name, SAMPLES + hint, type(value).__name__)
    if "complex" in str(getattr(value, "dtype", "")):  # of every library, on every device
        raise InputError(name, "hold real numbers", f"{type(value).__name__} of complex ones")


def check_devices(*modules: Any) -> None:
    """Raise InputError where two PyTorch modules do not lie on one device that computes."""
    found = []
    for name, module in zip("DG", modules, strict=True):
        devices = sorted({str(p.device) for p in module.parameters()})
        if len(devices) > 1:
            raise InputError(name, "be on one device", f"weights on {' and '.join(devices)}")
        if devices == ["meta"]:
            raise InputError(name, "have weights with values (module.to_empty, load_state_dict)", "the device meta")
        found += devices
    if len(set(found)) > 1:
        raise InputError("G", f"be on the device of D, {found[0]}", found[1])


def check_alive(jax: Any, nets: Any, objectives: Any, x: Any, z: Any) -> None:
    """Raise InputError where gradients do not reach the weights, as torch's graph tells of PyTorch: one evaluation of
    both JAX networks, the first time that their functions come. Losses are asked at random scores, where none of the
    usual ones is saturated."""
    rng, (D, G) = np.random.default_rng(0), nets
    own = rng.standard_normal(len(x)), rng.standard_normal(len(z))
    for name, objective, wanted in zip("DG", objectives, ((0, 1), (1,)), strict=True):
        found = jax.grad(lambda r, f, of=objective: jax.numpy.reshape(of(r, f), ()), argnums=(0, 1))(*own)
        if not any(np.any(np.asarray(found[i]) != 0) for i in wanted):
            of_real = name == "G" and bool(np.any(np.asarray(found[0]) != 0))
            raise no_loss(name, of_real, JAX_ENDS.partition(",")[0])
    if _alive_before(D.function, G.function):
        return
    made, pushed = jax.jvp(lambda t: G.apply(t, z), (G.flat,), (rng.standard_normal(G.size),))
    _moves("G", "weights", pushed)
    pushes, slopes = [], []
    for points in (x, made):
        score: Callable[..., Any] = lambda p, y: jax.numpy.sum(D.apply(p, y))  # noqa: E731
        pushes.append(jax.jvp(lambda p, y=points: D.apply(p, y), (D.flat,), (rng.standard_normal(D.size),))[1])
        slopes.append(jax.grad(score, argnums=1)(D.flat, jax.numpy.asarray(points)))
    _moves("D", "weights", *pushes)
    _moves("D", "samples", *slopes)
    with suppress(TypeError):
        _ALIVE.setdefault(D.function, weakref.WeakSet()).add(G.function)


def _alive_before(D: Any, G: Any) -> bool:
    """Whether these functions were evaluated: a Monitor makes a game of them at every sample."""
    with suppress(TypeError):  # of what has no weak references
        return G in _ALIVE.get(D, ())
    return False


def _moves(name: str, inputs: str, *changes: Any) -> None:
    if not any(np.any(np.asarray(change) != 0) for change in changes):
        raise InputError(name, f"depend on its {inputs}", f"its gradient is 0 ({JAX_ENDS})")


def no_loss(name: str, of_real: bool, ends: str) -> InputError:
    """A loss that moves nobody: a constant, or a generator's that has to do with the data's scores alone."""
    rule = "depend on the scores, and so on the weights, in a way that gradients follow"
    if of_real:
        rule = "depend on the scores of generated samples, the second argument"
    return InputError(f"loss of {name}", rule, "those of the data alone" if of_real else f"a constant ({ends}?)")


__all__ = ["Failed", "check_alive", "check_devices", "check_samples", "failed", "no_loss", "running"]
