"""A monitor as a callback of Lightning, whose package is used where it is installed and never needed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ..base.errors import InputError, MissingExtra

#: names of Lightning's package, old and new; both may be installed
PACKAGES = ("lightning.pytorch", "pytorch_lightning")
#: key of a checkpoint under which the number of batches is kept
BATCHES = "batches"


def callback(
    monitor: Any,
    *,
    loss_discriminator: str | None = "loss_discriminator",
    loss_generator: str | None = "loss_generator",
    batch: Callable[[Any], Any] | None = None,
    scalars: tuple[str, ...] = (),
) -> Any:
    """A ``Callback`` that calls ``monitor.step`` at the end of every training batch, on the first process only.

    ``loss_discriminator``, ``loss_generator``, ``scalars``: names under which the module logs them (``self.log``).
    ``batch``: what of a batch is the data; default, the first of several tensors. Steps are batches, counted from 1;
    the count is kept in checkpoints: training that goes on from one continues the recording from there, what was
    recorded beyond it is cut off (with ``resume=True``). Optimisers that were not given to the monitor are found in the
    trainer.
    Raises MissingExtra without Lightning.
    """
    base = callback_base()

    class MonitorCallback(base):  # type: ignore[misc, valid-type]
        """Looks at training every so often, see ``Monitor``."""

        def __init__(self) -> None:
            super().__init__()
            self.monitor, self.batches = monitor, 0

        def state_dict(self) -> dict[str, Any]:
            return {BATCHES: self.batches}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            self.batches = int(state_dict[BATCHES])
            monitor.resume_at(self.batches)

        def on_train_batch_end(
            self, trainer: Any, pl_module: Any, outputs: Any, batch_: Any = None, batch_idx: int = 0, *_: Any
        ) -> None:
            self.batches += 1
            if not getattr(trainer, "is_global_zero", True):
                return
            logged = getattr(trainer, "callback_metrics", {})
            values = {
                name: logged[key]
                for name, key in (("loss_discriminator", loss_discriminator), ("loss_generator", loss_generator))
                if key is not None and key in logged
            }
            values |= {name: logged[name] for name in scalars if name in logged}
            data = batch(batch_) if batch is not None else first(batch_)
            monitor.step(self.batches, data, optimizers=monitor.optimizers or owners(monitor, trainer), **values)

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            monitor.__exit__(None, None, None)

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            monitor.__exit__(type(exception), exception, None)

    return MonitorCallback()


def callback_base() -> type:
    """Lightning's Callback: of the package that is imported already, else of the first that can be; of both, a class
    that is either's. Raises MissingExtra."""
    loaded = [sys.modules[name] for name in PACKAGES if name in sys.modules]
    if not loaded:
        for name in PACKAGES:
            try:
                loaded.append(import_module(name))
                break
            except ImportError:
                continue
    bases = tuple(dict.fromkeys(module.Callback for module in loaded))
    if not bases:
        raise MissingExtra("a Lightning callback needs lightning: pip install lightning (or pytorch-lightning)")
    return bases[0] if len(bases) == 1 else type("Callback", bases, {})


def first(batch: Any) -> Any:
    """The data of a batch: itself, or the first of several tensors."""
    while isinstance(batch, list | tuple) and batch:
        batch = batch[0]
    return batch


def owners(monitor: Any, trainer: Any) -> tuple[Any, Any]:
    """The trainer's optimisers of D and of G, by the weights that they hold. Raises InputError."""
    found = []
    for name, module in zip("DG", monitor.players, strict=True):
        weights = {id(p) for p in module.parameters()}
        mine = [
            opt for opt in trainer.optimizers
            if any(id(p) in weights for group in opt.param_groups for p in group["params"])
        ]  # fmt: skip
        if len(mine) != 1:
            raise InputError(
                f"the optimizer of {name}", "be one of the trainer's", f"{len(mine)} that hold its weights"
            )
        found.append(mine[0])
    return found[0], found[1]


__all__ = ["callback", "callback_base"]
