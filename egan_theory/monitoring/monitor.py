"""``Monitor``: the game looked at every so often while a training loop of one's own goes on."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..base.files import check_output
from ..experiment import Experiment
from ..games.game import game as make_game
from ..runs.recording import WriteError
from .analysis import PARTS, Memory, Request, analyse
from .pace import WARM, Pace, share_said
from .samples import Samples

#: parts of an analysis that its products do not count
ON_TOP = {"kernel": "kernel numbers", "advice": "the advice"}

#: of eg.game, what is not an argument of Monitor itself
OPTIONS = {"precision"}


class Monitor:
    """Measures leading multipliers, path angle, the generator's kernel numbers and the advised R1 strength during
    training, and records them beside the losses in a run file; a context manager.

        with eg.Monitor(D, G, loss="non_saturating", penalty={"r1": 1.0}, latents=z, optimizers=(opt_D, opt_G),
                        path="runs.nc") as monitor:
            for step, x in enumerate(batches):
                loss_d, loss_g = train_step(x)
                monitor.step(step, x, loss_discriminator=loss_d, loss_generator=loss_g)

    ``D``, ``G``, ``loss``, ``penalty``, ``latents``, ``optimizers``, ``alternating``, ``critic_steps``, ``lazy`` and
    ``options`` as in ``eg.game``; in JAX, where weights are values, ``step`` takes the present ones. ``experiment``,
    ``seed``, ``resume``, ``at`` as in RunWriter, whose store a crash leaves readable.

    Nothing in modules and optimisers changes. An analysis that fails, of weights that are not finite for instance,
    leaves training alone: its values are NaN and attribute ``notes`` of the runs says why. So does a full disk.

    Args:
        data: a fixed batch (N, ...) to measure on; default, the batch that ``step`` is given.
        particles: images of the latents that are the particles of the runs (default: as many as make 16,384 numbers,
            and with an ``experiment`` all).
        every: training steps from one analysis to the next. None: as many as keep the time of all that is done here
            within ``share`` of the training time, counted with the durations measured; the first analysis comes when
            some steps have been timed, and at any moment the time spent is at most ``share`` of that of the training
            plus what beginning and the last analysis took. Every sample records what was spent.
        share: part of the training time, above 0 and at most 1.
        record: steps between samples of losses (means of the steps since the last) and particles, default a tenth.
        products: products with the training step's Jacobian per analysis, at most.
        count: multipliers kept.
        parts: what is measured, of PARTS.
        horizon: steps of the whole training, None: no advice, which is for the steps that remain.
        say: function of one line that is told before the first analysis what it will cost; None: nowhere.

    Raises:
        InputError: what cannot be used, at once or at the first step: numbers out of range, a path that exists already.

    Source:
        Eq. (114, frozen-adam), Eq. (97, kernel-numbers), Eq. (103, advice-gain); path angle: Berard et al. 2020.
    """

    def __init__(
        self,
        D: Any = None,
        G: Any = None,
        *,
        loss: Any,
        latents: Any,
        path: str | Path,
        optimizers: tuple[Any, Any] | None = None,
        penalty: Mapping[str, float] | None = None,
        data: Any = None,
        every: int | None = None,
        share: float = 0.03,
        record: int | None = None,
        products: int = 30,
        count: int = 6,
        parts: tuple[str, ...] = tuple(PARTS),
        horizon: float | None = None,
        particles: int | None = None,
        experiment: Experiment | None = None,
        alternating: bool = True,
        critic_steps: int = 1,
        lazy: int = 1,
        seed: int | None = None,
        resume: bool = False,
        at: float | None = None,
        say: Callable[[str], None] | None = lambda line: print(f"egan: {line}", file=sys.stderr, flush=True),
        **options: Any,
    ) -> None:
        for name, value in (("every", every), ("record", record), ("particles", particles)):
            if value is not None:
                _whole(name, value)
        _whole("products", products, 4)
        _whole("count", count)
        if not (isinstance(share, int | float) and 0 < share <= 1):
            raise InputError("share", "be above 0 and at most 1, a part of the training time", repr(share))
        if horizon is not None and not (isinstance(horizon, int | float) and 0 < horizon < math.inf):
            raise InputError("horizon", "be a number of steps above 0", repr(horizon))
        if not isinstance(parts, str | list | tuple):
            raise InputError("parts", f"be some of {', '.join(PARTS)}", repr(parts))
        if not isinstance(path, str | Path):
            raise InputError("path", "be the name of a file", repr(path))
        if say is not None and not callable(say):
            raise InputError("say", "be a function of one line, or None", repr(say))
        if extra := set(options) - OPTIONS:
            raise InputError(min(extra), f"be an argument of Monitor, or of eg.game: {', '.join(OPTIONS)}", "neither")
        unknown = [part for part in parts if part not in PARTS]
        if unknown or isinstance(parts, str):
            raise InputError("parts", f"be some of {', '.join(PARTS)}", parts if isinstance(parts, str) else unknown[0])
        if not resume and check_output(path, field="path").exists():
            raise InputError("path", "be a new file (resume=True continues the recording)", f"{path}, which exists")
        self.path = Path(path).resolve()
        self._players, self._optimizers, self._data, self._latents = (D, G), optimizers, data, latents
        self._given = {"loss": loss, "penalty": penalty, "alternating": alternating, "critic_steps": critic_steps,
                       "lazy": lazy, **options}  # fmt: skip
        self._asked = Request(products, count, horizon, seed or 0)
        self._parts, self._particles, self._say = tuple(parts), particles, say or (lambda line: None)
        self._clock = time.perf_counter
        self._pace = Pace(share, every, record, lambda: self._clock())
        self._settings: dict[str, Any] = {"experiment": experiment, "seed": seed, "resume": resume, "at": at}
        self._samples: Samples | None = None
        self._memory = Memory()
        self._recorded = (0.0, 0.0)  # seconds looked and trained that samples tell of
        self._told = every is None
        self._latest: tuple[float, Callable[[], Any]] | None = None
        self._make = make_game

    # -- the loop's calls ----------------------------------------------------------------------------------------------

    def step(
        self,
        step: float,
        data: Any = None,
        *,
        loss_discriminator: Any = None,
        loss_generator: Any = None,
        players: tuple[Any, Any] | None = None,
        optimizers: tuple[Any, Any] | None = None,
        **scalars: Any,
    ) -> None:
        """Say that a training step was made: its number, increasing, its batch, its losses and other ``scalars``.

        Most calls only count; some record a sample, a few of those analyse. ``players``, ``optimizers``: the present
        ones where they are not those given at first (JAX). Steps up to ``last`` of a recording resumed are skipped.

        Raises:
            InputError: steps that do not increase, a loss that is a text, or at the first step what ``eg.game``
                refuses.
        """
        pace = self._pace
        pace.enter(step)
        try:
            batch = data if self._data is None else self._data

            def game() -> Any:
                return self._game(batch, players or self._players, optimizers or self._optimizers)

            if self._samples is None:
                self._samples = self._open(game)
            samples = self._samples
            for name, value in (("loss_discriminator", loss_discriminator), ("loss_generator", loss_generator)):
                if isinstance(value, str | bytes):
                    raise InputError(name, "be a number", repr(value))
            samples.add({"loss_discriminator": loss_discriminator, "loss_generator": loss_generator, **scalars})
            if samples.last is None or step > samples.last:
                self._latest = step, game
                self._look(samples, step, game)
            else:
                samples.drop()
        finally:
            pace.leave()

    @property
    def last(self) -> float | None:
        """The last step recorded [steps]; None where there is none."""
        return None if self._samples is None else self._samples.last

    @property
    def overhead(self) -> float:
        """Time spent here over that of the training, so far [1]."""
        return self._pace.overhead

    @property
    def spacing(self) -> int | None:
        """From one analysis to the next [steps]; None before it is known."""
        return self._pace.spacing

    def close(self, status: str | None = None) -> None:
        """Record the steps since the last sample, and make the file. Raises WriteError where the disk is full."""
        samples = self._samples
        if samples is None:
            return
        if self._latest is not None and samples.pending:
            step, game = self._latest
            if samples.last is None or step > samples.last:
                self._sample(samples, step, game, {})
        samples.writer.close(status)

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._samples is None or self._samples.writer.inherited:
            return
        try:
            self.close(None if error is None else "interrupted")
        except (InputError, WriteError):
            if error is None:
                raise
        finally:
            self._samples.writer.abandon()

    def resume_at(self, step: float) -> None:
        """Continue the recording from a checkpoint of that step, if one is there; before the first ``step``."""
        self._settings |= {"resume": True, "at": step}

    @property
    def players(self) -> tuple[Any, Any]:
        """D and G as they were given."""
        return self._players

    @property
    def optimizers(self) -> tuple[Any, Any] | None:
        """The optimisers as they were given."""
        return self._optimizers

    def callback(self, **settings: Any) -> Any:
        """This monitor as a callback of a Lightning Trainer, see ``monitoring.lightning.callback``."""
        from .lightning import callback

        return callback(self, **settings)

    def __repr__(self) -> str:
        return f"Monitor({str(self.path)!r}, last={self.last}, spacing={self.spacing})"

    # -- what they do --------------------------------------------------------------------------------------------------

    def _game(self, batch: Any, players: tuple[Any, Any], optimizers: tuple[Any, Any] | None) -> Any:
        if batch is None:
            raise InputError("data", "be given, to Monitor (a fixed batch) or to step (the batch trained on)")
        if optimizers is None or players[0] is None or players[1] is None:
            raise InputError("D, G and optimizers", "be given, to Monitor or to step")
        D, G = players
        return self._make(D, G, data=batch, latents=self._latents, optimizers=optimizers, **self._given)

    def _open(self, game: Callable[[], Any]) -> Samples:
        """The run file, once it is known that the game can be made. Raises InputError."""
        self._memory.weights = game().players.weights
        given = self._given
        asked = {
            "every": self._pace.every, "share": self._pace.share, "products": self._asked.products,
            "count": self._asked.count, "parts": list(self._parts), "horizon": self._asked.horizon,
            "loss": _named(given["loss"]), "alternating": given["alternating"], "critic_steps": given["critic_steps"],
            "lazy": given["lazy"],
            "penalty": {name: float(value) for name, value in (given["penalty"] or {}).items()},
        }  # fmt: skip
        return Samples(self.path, asked, self._particles, self._say, **self._settings)

    def _look(self, samples: Samples, step: float, game: Callable[[], Any]) -> None:
        pace = self._pace
        if pace.due(step):
            begin = self._clock()
            if math.isnan(pace.analysis_seconds):
                self._announce(game)
            found = analyse(game, step, self._memory, self._asked, self._parts, self._clock)
            for part, why in found.failures.items():
                samples.note(step, f"{part}: {why}")
            between = self._clock()
            self._sample(samples, step, game, {**found.values, "monitor_products": found.products})
            now = self._clock()
            pace.analysed(step, now - begin, now - between)
        elif pace.sample_due(step):
            self._sample(samples, step, game, {})
        if not self._told and pace.timed > WARM:
            self._told = True
            self._say(_cost(pace))

    def _sample(self, samples: Samples, step: float, game: Callable[[], Any], values: Mapping[str, Any]) -> None:
        pace = self._pace
        seconds = pace.looked_now, pace.trained
        spent = {"monitor_seconds": seconds[0] - self._recorded[0], "training_seconds": seconds[1] - self._recorded[1]}
        if samples.write(step, game, {**values, **spent}):
            self._recorded = seconds
        pace.sampled(step)

    def _announce(self, game: Callable[[], Any]) -> None:
        """Say what an analysis will cost, from one product."""
        pace, products = self._pace, self._asked.products
        try:
            step = game().map
            v = np.random.default_rng(0).standard_normal(step.n)
            step.product(v)  # the first one compiles
            begin = self._clock()
            step.product(v)
            took = self._clock() - begin
        except Exception:  # the analysis will say why
            return
        whole = took * products
        said = f"monitor: a product takes {took:.2g} s, at most {products} of them about {whole:.2g} s an analysis"
        if more := [
            ON_TOP[part] for part in self._parts if part in ON_TOP and (part != "advice" or self._asked.horizon)
        ]:
            said += f" ({' and '.join(more)} come on top, and may take several times as long)"
        if pace.every is None:
            said += f"; a training step takes {pace.step_seconds:.2g} s: about {pace.expected(whole)} steps "
            said += f"between two for these products, at {pace.share:.0%} of the training time"
        self._say(said)


def _cost(pace: Pace) -> str:
    """What analyses at given steps will cost, as far as the first one tells."""
    took, step = pace.analysis_seconds, pace.step_seconds
    part = took / (pace.every * step) if pace.every and step else math.nan
    hint = "" if part <= pace.share else f"; every={pace.expected(took)} would keep {pace.share:.0%}"
    return (
        f"monitor: the first analysis took {took:.2g} s, a training step takes {step:.2g} s: if later ones take as "
        f"long, every {pace.every} steps, that is an estimated {share_said(part)}{hint}"
    )


def _named(loss: Any) -> str:
    """The name of a loss, or of the functions that are one."""
    if isinstance(loss, str):
        return loss
    return ", ".join(getattr(part, "__name__", type(part).__name__) for part in loss)


def _whole(name: str, value: Any, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(name, f"be a whole number of at least {least}", repr(value))


__all__ = ["Monitor"]
