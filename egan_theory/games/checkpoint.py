"""Whether two PyTorch networks, a loss, data and latents make a game: each thing that is wrong has its own message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..base.arrays import numbers
from ..base.errors import InputError
from .modules import Apart, Network, drops, require_torch
from .refusals import TORCH_ENDS, Failed, check_samples, failed, no_loss
from .scores import LABELS, Objective


class Found(NamedTuple):
    """What one evaluation at the checkpoint tells. ``saved``: bytes that a forward pass of D's objective keeps for its
    gradient; ``real_counts``: whether the generator's objective depends on the scores of data; ``separate``: samples do
    not see each other, neither in the networks nor in the loss; ``samples``: in the smaller of both batches."""

    saved: int
    real_counts: bool
    separate: bool
    samples: int
    notes: tuple[str, ...]


def batched(data: Any, latents: Any, device: Any, dtype: Any) -> tuple[list[Any], list[Any]]:
    """Mini-batches of both as tensors. Raises InputError."""
    found = []
    for name, value in (("data", data), ("latents", latents)):
        batches = list(value) if isinstance(value, list | tuple) else [value]
        if not batches:
            raise InputError(name, "hold one mini-batch at least", "found none")
        found.append([_tensor(name, batch, device, dtype) for batch in batches])
        shapes = {tuple(batch.shape[1:]) for batch in found[-1]}
        if name == "data" and len(batches) == 2 and len({len(shape) for shape in shapes}) == 2:
            raise InputError(name, "be samples, or a list of mini-batches of them", LABELS)
        if len(shapes) > 1:
            raise InputError(name, "have samples of one shape in all mini-batches", f"found {sorted(shapes)}")
    if len(found[0]) != len(found[1]):
        raise InputError(
            "latents", f"be in as many mini-batches as the data, {len(found[0])}", f"found {len(found[1])}"
        )
    return found[0], found[1]


def _tensor(name: str, value: Any, device: Any, dtype: Any) -> Any:
    torch = require_torch()
    check_samples(name, value)
    if not isinstance(value, torch.Tensor):
        value = torch.from_numpy(np.array(numbers(name, value)))
    if value.ndim == 0 or value.numel() == 0:
        raise InputError(name, "hold samples (first axis)", f"found the shape {tuple(value.shape)}")
    if value.device.type == "meta":
        raise InputError(name, "have values", "the device meta")
    if not bool(torch.isfinite(value).all()):
        raise InputError(name, "be finite", "found NaN or infinity")
    whole = name == "latents" and not value.is_floating_point()  # numbers of classes
    return value.detach().to(device, value.dtype if whole else dtype)


def coarse(*modules: Any) -> Any:
    """The modules' own precision, single at least."""
    torch = require_torch()
    dtypes = {p.dtype for module in modules for p in module.parameters()}
    return torch.float64 if torch.float64 in dtypes else torch.float32


def told(error: BaseException) -> InputError:
    """What networks or loss raised, as the error of their user."""
    if isinstance(error, Failed):
        return error.said
    return InputError("D, G or loss", "run on data and latents, and have second derivatives", f"found: {error}")


def loss_of(objective: Objective, real: Any, fake: Any) -> Any:
    """The objective as a tensor without axes. Raises InputError."""
    torch = require_torch()
    try:
        value = objective(real, fake)
    except (RuntimeError, InputError):
        raise
    except Exception as error:
        raise failed("loss", "(real, fake) scores", error) from error
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise InputError("loss", "give one number for a batch (take the mean over samples)", f"found {shape}")
    return value.reshape(())


def checked(
    nets: tuple[Network, Network],
    losses: tuple[Objective, Objective],
    x: Any,
    z: Any,
    apart: Apart,
    large: int,
) -> Found:
    """One evaluation at the checkpoint; ``large``: bytes from which on it matters whether samples are separate.

    Raises InputError, and RuntimeError as the networks do.
    """
    torch = require_torch()
    psi, theta = (net.scattered(net.flat, leaves=True) for net in nets)
    D, G = nets
    if not all(np.all(np.isfinite(net.flat)) for net in nets):
        raise InputError("D, G", "have finite weights", "found NaN or infinity")
    saved: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    points = x.clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        begin = apart.streams()
        try:
            made = _ran("G", "latents", G, theta, z)
        except Failed as error:
            raise _swapped(error, D, psi, z) from error
        drawn_G = not drops(G.module) and apart.streams() != begin
        if not isinstance(made, torch.Tensor) or made.shape[1:] != x.shape[1:] or made.ndim != x.ndim:
            shape = tuple(made.shape) if isinstance(made, torch.Tensor) else type(made).__name__
            raise InputError("G", f"make samples of the shape of the data, {tuple(x.shape[1:])}", f"found {shape}")
        if not bool(torch.isfinite(made).all()):
            raise InputError("G", "make finite samples", "found NaN or infinity")
        apart.reseed()
        real = _scored(D, psi, points, "the data")
        drawn_D = not drops(D.module) and apart.streams() != begin
        fake = _scored(D, psi, made, "generated samples")
    for name, objective in zip("DG", losses, strict=True):
        if not bool(torch.isfinite(loss_of(objective, real, fake))):
            raise InputError(f"loss of {name}", "be finite at the checkpoint", "found NaN or infinity")
    _alive(psi, theta, points, made, real, fake)
    for name, objective in zip("DG", losses, strict=True):
        given = [s.detach().requires_grad_() for s in (real, fake)]
        value = loss_of(objective, *given)
        found = torch.autograd.grad(value, given, allow_unused=True) if value.requires_grad else (None, None)
        if found[1] is None and (name == "G" or found[0] is None):
            raise no_loss(name, found[0] is not None, TORCH_ENDS)
    own, other = (s.detach().requires_grad_() for s in (real, fake))
    value = loss_of(losses[1], own, other)
    real_counts = value.requires_grad and torch.autograd.grad(value, own, allow_unused=True)[0] is not None
    total = sum(saved.values())
    separate = total > large and _separate(nets, psi, theta, x, z, (made, real, fake), apart)
    separate = separate and all(_separate_loss(loss, real, fake) for loss in losses)
    several = real.numel() // len(x)
    notes: tuple[str, ...] = ()
    if several > 1:
        notes = (
            f"The discriminator gives {several} scores for a sample: R1, R2 and its kernel are those of their sum.",
        )
    return Found(total, real_counts, separate, min(len(x), len(z)), (*notes, *_aside(apart, drawn_D, drawn_G)))


def _aside(apart: Apart, *drawn: bool) -> Iterator[str]:
    """What D and G do by themselves in their forward passes."""
    for name, random in zip(("The discriminator", "The generator"), drawn, strict=True):
        if random:
            yield (
                f"{name} draws random numbers in its forward pass: they are drawn once and kept for all that is "
                "computed here; other draws act as noise between steps."
            )
    if apart.operations.mixed:
        yield (
            "Mixed precision is turned on inside a forward pass: everything is computed without it, so that steps "
            "differ from those in training by its rounding."
        )
    if apart.operations.narrowed:
        yield "A forward pass itself casts to a lower precision: numbers here are no more precise than that."


def _ran(name: str, what: str, net: Network, weights: Sequence[Any], x: Any) -> Any:
    on = f"the {what}, of shape {tuple(x.shape)}"
    try:
        return net(weights, x)
    except InputError:
        raise
    except RuntimeError as error:
        raise Failed(failed(name, on, error)) from error
    except Exception as error:
        raise failed(name, on, error) from error


def _swapped(error: Failed, D: Network, psi: Sequence[Any], z: Any) -> Failed:
    """The error that G does not run on the latents, with a word where D does."""
    try:
        D(psi, z)
    except Exception:  # neither does
        return error
    said = error.said
    return Failed(
        InputError(said.field, said.must, f"{said.found}; D runs on them: are D and G, or data and latents, swapped?")
    )


def _scored(D: Network, psi: Sequence[Any], x: Any, what: str) -> Any:
    torch = require_torch()
    scores = _ran("D", what.removeprefix("the "), D, psi, x)
    if not isinstance(scores, torch.Tensor) or scores.ndim == 0 or len(scores) != len(x):
        shape = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
        raise InputError("D", f"give a score for each of the {len(x)} samples", f"found {shape}")
    if not bool(torch.isfinite(scores).all()):
        raise InputError("D", f"give finite scores of {what}", "found NaN or infinity")
    return scores


def _alive(psi: Any, theta: Any, points: Any, made: Any, real: Any, fake: Any) -> None:
    grad = require_torch().autograd.grad

    def moves(output: Any, inputs: Any) -> bool:
        if not output.requires_grad:
            return False
        found = grad(output.sum(), inputs, allow_unused=True, retain_graph=True)
        return any(g is not None and bool((g != 0).any()) for g in found)

    if not (real.requires_grad or fake.requires_grad):
        raise InputError("D", "give scores that gradients follow to its weights and samples", f"none ({TORCH_ENDS}?)")
    if not made.requires_grad:
        raise InputError("G", "give samples that gradients follow to its weights", f"none ({TORCH_ENDS}?)")
    if not (moves(real, [points]) or moves(fake, [made] if made.requires_grad else theta)):
        raise InputError("D", "depend on its samples", "its gradient is 0 at all of them (dead units, or detached?)")
    if not (moves(real, psi) or moves(fake, psi)):
        raise InputError("D", "depend on its weights", "its gradient is 0 in all of them")
    generator = require_torch().Generator().manual_seed(0)
    signs = require_torch().randint(0, 2, made.shape, generator=generator).to(made) * 2 - 1
    if not moves(made * signs, theta):
        raise InputError("G", "depend on its weights", "its gradient is 0 in all of them (dead units?)")


def _separate(nets: Any, psi: Any, theta: Any, x: Any, z: Any, whole: tuple[Any, ...], apart: Apart) -> bool:
    """Whether each half of a batch has the values it has in the whole."""
    torch, (D, G), (made, real, fake) = require_torch(), nets, whole
    tolerance = 1e-10 if made.dtype == torch.float64 else 1e-4

    def alike(function: Any, inputs: Any, values: Any) -> bool:
        for at in (slice(0, len(inputs) // 2), slice(len(inputs) // 2, None)):
            apart.reseed()
            scale = tolerance * float(values.abs().max())
            if len(inputs[at]) == 0 or not torch.allclose(function(inputs[at]), values[at], rtol=0, atol=scale):
                return False
        return True

    with torch.no_grad():
        return (
            alike(lambda t: G(theta, t), z, made)
            and alike(lambda t: D(psi, t), x, real)
            and alike(lambda t: D(psi, t), made, fake)
        )


def _separate_loss(loss: Objective, real: Any, fake: Any) -> bool:
    """Whether its second derivatives couple no sample (pair of samples) with others."""
    torch = require_torch()
    scores = [s.detach().requires_grad_() for s in (real, fake)]
    value = loss_of(loss, *scores)
    if not value.requires_grad:
        return True
    first = torch.autograd.grad(value, scores, create_graph=True, allow_unused=True)
    for of in (lambda n: 1, lambda n: n // 2):
        inside = [torch.arange(len(s), device=s.device) < of(len(s)) for s in scores]
        terms = [g[i].sum() for g, i in zip(first, inside, strict=True) if g is not None and g.requires_grad]
        if terms:
            second = torch.autograd.grad(sum(terms[1:], terms[0]), scores, allow_unused=True, retain_graph=True)
            if any(h is not None and bool((h[~i] != 0).any()) for h, i in zip(second, inside, strict=True)):
                return False
    return True
