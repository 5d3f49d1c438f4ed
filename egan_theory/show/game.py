"""The page of a real game's spectrum: one file, figures inside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.files import atomic, check_output
from ..base.json import json_text
from ..base.terminal import cell
from ..games.modes import KINDS, TROUBLE
from ..games.result import GameSpectrum, duration
from ..games.words import multiplier
from . import plot
from .html import rendered
from .picture import Picture, picture
from .plot.games import check_spectrum


def game_page(spectrum: GameSpectrum, path: str | Path) -> Path:
    """Write the spectrum of a real game (``Game.spectrum``) as one HTML file that needs no other.

    What it says in words, the modes, what a scan found, the figures of ``eg.plot.game``, ``game_scan`` and
    ``game_curvature``, and all numbers as JSON. A file that is there is replaced.

    Returns:
        The path of the file.

    Units:
        On the page beside each number: multipliers per training step.

    Raises:
        InputError: no spectrum of a game, or a path that cannot be written.

    Source:
        What the spectrum holds; see ``eg.GameSpectrum``.
    """
    check_spectrum(spectrum)
    if not isinstance(path, str | os.PathLike):
        raise InputError("path", "be the name of a file", repr(path))
    file = check_output(path, field="path")
    first, *rest = spectrum.reading
    head, rows = spectrum.grid()
    scan = spectrum.scan
    text = rendered(
        "game.html.j2",
        verdict=first,
        headline=rest,
        failures={},
        sections=[
            ("modes", "Modes"),
            *([("strengths", "Strengths")] if scan is not None and scan.crossings else []),
            ("figures", "Figures"),
            ("game", "The game"),
        ],
        head=head,
        rows=[
            {"cells": [cell(value) for value in row], "off": mode.kind in TROUBLE}
            for row, mode in zip(rows, spectrum.modes, strict=True)
        ],
        kinds={name: KINDS[name] for name in KINDS if spectrum.of_kind(name)},
        penalty="" if scan is None else scan.penalty.upper(),
        crossings=[] if scan is None else [_crossing(c) for c in scan.crossings],
        pictures=_pictures(spectrum),
        about=_about(spectrum),
        json=json_text(spectrum.to_dict()),
    )
    with atomic(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return file


def _crossing(c: Any) -> dict[str, str]:
    found = c.to_dict()
    return {"at": multiplier(complex(*c.at))} | {
        key: cell(found[key]) for key in ("kind", "strength", "others", "residual", "reason")
    }


def _pictures(s: GameSpectrum) -> list[Picture]:
    out = [
        picture(
            "multipliers",
            "Multipliers of the training step in the complex plane",
            "Multipliers per training step. Within the unit circle a mode shrinks, outside it grows; the angle is how "
            "far it turns per step.",
            lambda: plot.game(s),
        )
    ]
    if s.scan is not None:
        out.append(
            picture(
                "scan",
                "Modulus of the modes against a penalty's strength",
                f"The modes over the strength of {s.scan.penalty.upper()}, followed from now (dotted), drawn where the "
                "residual is at most a tenth of |z − 1|. The networks are those of this checkpoint throughout.",
                lambda: plot.game_scan(s),
            )
        )
    if s.curvature_D is not None or s.curvature_G is not None:
        out.append(
            picture(
                "curvature",
                "Density of step times curvature of each player alone",
                "Each player's own curvature, times the step that its optimiser takes per unit of gradient, from one "
                "random direction each: how large a part of all directions has it. Beyond the dashed line (drawn where "
                "it is near) a player's step overshoots by itself.",
                lambda: plot.game_curvature(s),
            )
        )
    return out


def _about(s: GameSpectrum) -> list[tuple[str, str]]:
    def said(values: Any) -> str:
        return ", ".join(f"{k} {cell(v)}" for k, v in values.items()) or "none"

    return [
        ("framework", s.framework),
        ("weights of discriminator, generator", ", ".join(f"{n:,}" for n in s.sizes)),
        ("optimiser of the discriminator", said(s.optimizers[0])),
        ("optimiser of the generator", said(s.optimizers[1])),
        ("penalties", said(s.strengths)),
        ("schedule", said(s.schedule)),
        ("mini-batches", str(s.batches)),
        ("norm of the weights", cell(s.norm)),
        ("norm of the gradients of discriminator, generator", ", ".join(map(cell, s.gradients))),
        ("products", f"{s.products:.0f} of {s.allowed}, in {duration(s.seconds)} ({s.ended})"),
        ("seed", str(s.seed)),
    ]


__all__ = ["game_page"]
