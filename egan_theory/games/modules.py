"""A user's PyTorch module as a pure function of its trained weights; the module itself stays as it is.

Calls go to a shallow twin of the module's tree, which shares no dictionary with it: what a forward pass sets or counts
is set on the twin. Weights and buffers are handed in from outside (torch.func.functional_call), buffers as fresh
copies, so that BatchNorm statistics and power iterations begin at the checkpoint's at every call; so does every stream
of random numbers, whose state is put back afterwards.
"""

from __future__ import annotations

import copy
import random
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import wraps
from importlib import import_module
from typing import Any

import numpy as np

from ..base.errors import InputError, MissingExtra
from .elementary import elementary

Array = np.ndarray
#: every forward pass draws its dropout masks and noise from this seed
SEED = 0


def require_torch() -> Any:
    """The module torch. Raises MissingExtra."""
    try:
        return import_module("torch")
    except ImportError as error:
        raise MissingExtra(
            "networks in PyTorch need torch: install the extra 'torch' "
            f"(pip install 'egan-theory[torch]'), or torch itself as pytorch.org says for your machine; {error}"
        ) from None


class Network:
    """A module in precision ``dtype`` with the weights that are trained: those of ``held`` (by id) that ask for a
    gradient, tied ones once. ``size``: their number; ``flat`` (size,): their values, float64.

    Raises InputError where there are none.
    """

    def __init__(self, name: str, module: Any, held: set[int], dtype: Any) -> None:
        torch = require_torch()
        self.name, self.dtype = name, dtype
        module = unwrapped(module)
        if isinstance(module, torch.jit.ScriptModule):
            raise InputError(name, "be a module in Python (a scripted one has no second derivatives)", "a ScriptModule")
        self.module = _twin(module, dtype, {})
        named = dict(module.named_parameters())
        if any(isinstance(p, torch.nn.parameter.UninitializedParameter) for p in named.values()):
            raise InputError(name, "have run once (its lazy layers have no weights yet)")
        asked = {key: p for key, p in named.items() if p.requires_grad}
        trained = {key: p for key, p in asked.items() if id(p) in held}
        if not trained:
            found = "none that asks for a gradient" if not asked else f"{len(asked)} that the optimiser does not have"
            raise InputError(name, "have weights that are trained by its optimiser", f"found {found}")
        if any(p.is_complex() for p in trained.values()):
            raise InputError(name, "have real weights", "complex ones")
        self.parameters = list(trained.values())
        self.names, self.shapes = list(trained), [p.shape for p in trained.values()]
        self.counts = [p.numel() for p in trained.values()]
        self.size, self.device = sum(self.counts), self.parameters[0].device
        self.untrained = sum(p.numel() for key, p in asked.items() if key not in trained)
        self._fixed = {key: self._own(p) for key, p in named.items() if key not in trained}
        self._buffers = {key: self._own(b) for key, b in module.named_buffers()}
        self.flat = self.gathered([p.detach() for p in self.parameters])
        self._running = False
        for part in self.module.modules():
            part.register_forward_pre_hook(self._inside)

    def _inside(self, *_: Any) -> None:
        """Raises InputError outside a call: what is computed anew in a backward pass does not see the weights given."""
        if not self._running:
            raise InputError(self.name, "run without checkpointing of activations (turn it off to analyse)", "it is on")

    def _own(self, value: Any) -> Any:
        value = value.detach()
        return value.to(self.dtype, copy=True) if value.is_floating_point() else value.clone()

    def gathered(self, tensors: Sequence[Any]) -> Array:
        """(size,) float64, from tensors of the shapes of the weights."""
        return np.concatenate([t.detach().reshape(-1).to("cpu", require_torch().float64).numpy() for t in tensors])

    def scattered(self, flat: Array, leaves: bool = False) -> list[Any]:
        """Tensors of the shapes of the weights from (size,); ``leaves``: that derivatives are taken with respect to."""
        torch = require_torch()
        if np.shape(flat) != (self.size,):
            raise InputError(f"a vector of {self.name}'s weights", f"have the shape ({self.size},)", np.shape(flat))
        whole = torch.from_numpy(np.array(flat, dtype=np.float64)).to(self.device, self.dtype)
        parts = [t.view(shape) for t, shape in zip(whole.split(self.counts), self.shapes, strict=True)]
        return [t.detach().requires_grad_() for t in parts] if leaves else parts

    def __call__(self, weights: Sequence[Any], x: Any) -> Any:
        given = dict(zip(self.names, weights, strict=True))
        buffers = {key: b.clone() for key, b in self._buffers.items()}
        self._running = True
        try:
            return require_torch().func.functional_call(self.module, {**self._fixed, **buffers, **given}, (x,))
        finally:
            self._running = False


def unwrapped(module: Any) -> Any:
    """The module within wrappers of parallel or compiled running."""
    torch = require_torch()
    while True:
        if isinstance(module, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            module = module.module
        elif hasattr(module, "_orig_mod"):  # torch.compile; its graphs have no second derivatives
            module = module._orig_mod
        else:
            return module


def _twin(module: Any, dtype: Any, done: dict[int, Any]) -> Any:
    """A copy of the module's tree of objects that shares tensors only; plain tensors are cast."""
    torch = require_torch()
    if module is None or id(module) in done:
        return done.get(id(module))
    twin = done[id(module)] = module.__class__.__new__(module.__class__)
    for key, value in module.__dict__.items():
        if isinstance(value, dict | list | set):
            value = copy.copy(value)
        elif isinstance(value, torch.Tensor) and value.is_floating_point():
            value = value.detach().to(dtype)
        elif isinstance(value, types.MethodType) and value.__self__ is module:
            value = types.MethodType(value.__func__, twin)
        twin.__dict__[key] = value
    for key, child in module._modules.items():
        twin._modules[key] = _twin(child, dtype, done)
    if is_spectral(twin):
        twin.training = False  # the power iteration's vectors stay as they are
    return twin


def is_spectral(module: Any) -> bool:
    """Whether the module runs the power iteration of a spectral norm: as a parametrization, or by the older hook."""
    hook = import_module("torch.nn.utils.spectral_norm").SpectralNorm
    parametrization = import_module("torch.nn.utils.parametrizations")._SpectralNorm
    return isinstance(module, parametrization) or any(isinstance(h, hook) for h in module._forward_pre_hooks.values())


class Apart:
    """A context in which networks run without a trace, and alike every time: random numbers begin at SEED and go on
    afterwards where they were, gradients are on, autocast is off, and only operations whose second and third
    derivatives are right are used. ``alone``: on one thread of the processor, for networks so small that threads wait
    for each other longer than they compute; afterwards there are as many as before.
    """

    alone = False

    def __init__(self, device: Any, *modules: Any) -> None:
        torch = require_torch()
        self.device = device
        parts = [part for module in modules for part in module.modules()]
        self._generators = {
            id(v): v for part in parts for v in vars(part).values() if isinstance(v, torch.Generator)
        }.values()
        self._recurrent = any(isinstance(part, torch.nn.RNNBase) for part in parts)
        self.operations = elementary(device.type)()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        torch = require_torch()
        accelerator = None if self.device.type == "cpu" else getattr(torch, self.device.type)
        with ExitStack() as stack:
            if self.alone:
                stack.callback(torch.set_num_threads, torch.get_num_threads())
                torch.set_num_threads(1)
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            for kind in {"cpu", self.device.type}:
                stack.enter_context(torch.autocast(kind, enabled=False))
            attention = import_module("torch.nn.attention")
            stack.enter_context(attention.sdpa_kernel(attention.SDPBackend.MATH))
            if self.device.type == "cuda":
                cudnn = torch.backends.cudnn
                stack.enter_context(
                    cudnn.flags(cudnn.enabled and not self._recurrent, benchmark=cudnn.benchmark, allow_tf32=False)
                )
            stack.callback(random.setstate, random.getstate())
            stack.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002
            stack.callback(torch.set_rng_state, torch.get_rng_state())
            if accelerator is not None:
                own = (self.device,) if self.device.index is not None else ()
                stack.callback(accelerator.set_rng_state, accelerator.get_rng_state(*own), *own)
            for generator in self._generators:
                stack.callback(generator.set_state, generator.get_state())
            self.reseed()
            stack.enter_context(self.operations)
            yield

    def streams(self) -> list[Any]:
        """Where every stream of random numbers is."""
        torch = require_torch()
        found = [torch.get_rng_state(), *(generator.get_state() for generator in self._generators)]
        if self.device.type != "cpu":
            own = (self.device,) if self.device.index is not None else ()
            found.append(getattr(torch, self.device.type).get_rng_state(*own))
        numpys: Any = np.random.get_state()  # noqa: NPY002
        return [random.getstate(), numpys[1].tobytes(), *numpys[2:], *(state.tolist() for state in found)]

    def reseed(self) -> None:
        """Every stream of random numbers begins again."""
        torch = require_torch()
        random.seed(SEED)
        np.random.seed(SEED)  # noqa: NPY002 - the stream that modules of others may use
        torch.default_generator.manual_seed(SEED)
        if self.device.type != "cpu":
            accelerator = getattr(torch, self.device.type)
            with accelerator.device(self.device) if hasattr(accelerator, "device") else nullcontext():
                accelerator.manual_seed(SEED)
        for generator in self._generators:
            generator.manual_seed(SEED)


def apart(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method of an object with an ``apart`` of class Apart, run in that context."""

    @wraps(method)
    def inside(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.apart():
            return method(self, *args, **kwargs)

    return inside


def drops(module: Any) -> bool:
    """Whether the module has layers of dropout that are on."""
    layers = require_torch().nn.modules.dropout._DropoutNd
    return any(isinstance(part, layers) and part.training and part.p > 0 for part in module.modules())


def notes(name: str, module: Any) -> list[str]:
    """What is in a module that the theory has something to say about, in plain words."""
    torch = require_torch()
    nn = torch.nn
    parts = [part for part in unwrapped(module).modules()]
    coupled = nn.modules.batchnorm._NormBase
    found = []
    if any(isinstance(p, coupled) and not isinstance(p, nn.modules.instancenorm._InstanceNorm)
           and (p.training or p.running_mean is None) for p in parts):  # fmt: skip
        found.append(
            f"{name} has BatchNorm in training mode: samples of one batch are coupled. The spectrum is that of the "
            "training step on these batches, this coupling included; statements about single samples (the "
            "discriminator's kernel, the generator's two numbers) do not hold for it."
        )
    if drops(unwrapped(module)):
        found.append(
            f"{name} has dropout: its mask is drawn once and kept for all that is computed here, so that the spectrum "
            "is that of training with this mask; other masks act as noise between steps."
        )
    if any(is_spectral(p) for p in parts):
        found.append(
            f"{name} has spectral norm: the vectors of its power iteration are held as they are, while in training "
            "they follow the weights, one iteration per forward pass in training mode."
        )
    if any(p.dtype in (torch.float16, torch.bfloat16) for p in unwrapped(module).parameters()):
        found.append(f"{name} has weights in half precision: it is analysed in higher precision, without rounding.")
    return found
