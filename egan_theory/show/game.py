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
from ..games.scan import Scan
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
            for row, mode in sorted(zip(rows, spectrum.modes, strict=True), key=lambda both: -both[1].modulus)
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
            _alt_multipliers(s),
            "Multipliers per training step. Within the unit circle a mode shrinks, outside it grows; the angle is how "
            "far it turns per step. Drawn is the part of the plane in which the modes are.",
            lambda: plot.game(s),
        )
    ]
    if s.scan is not None:
        out.append(
            picture(
                "scan",
                _alt_scan(s.scan),
                f"The modes over the strength of {s.scan.penalty.upper()}, followed from now (dotted), drawn where the "
                "residual is at most a tenth of |z − 1|. The networks are those of this checkpoint throughout.",
                lambda: plot.game_scan(s),
            )
        )
    if s.curvature_D is not None or s.curvature_G is not None:
        out.append(
            picture(
                "curvature",
                _alt_curvature(s),
                "Each player's own curvature, times the step that its optimiser takes per unit of gradient, from one "
                "random direction each: how large a part of all directions has it. Beyond the dashed line (drawn where "
                "it is near) a player's step overshoots by itself.",
                lambda: plot.game_curvature(s),
            )
        )
    return out


def _alt_multipliers(s: GameSpectrum) -> str:
    outside = [m for m in s.modes if abs(m.multiplier) > 1]
    text = f"{len(s.modes)} modes of the training step in the complex plane, {len(outside)} outside of the unit circle"
    if s.modes:
        most = max(s.modes, key=lambda m: abs(m.multiplier))
        text += f"; the largest has modulus {abs(most.multiplier):.6g} per step ({most.kind})"
    return f"{text}."


def _alt_scan(scan: Scan) -> str:
    text = (
        f"Moduli of the modes over {scan.penalty.upper()} strengths {scan.strengths[0]:.3g} to {scan.strengths[-1]:.3g}"
    )
    found = [f"{c.strength:.4g}" for c in scan.crossings if c.strength is not None]
    if found:
        return f"{text}: growing modes come into the unit circle at {', '.join(found)}."
    if scan.crossings:
        return f"{text}: no growing mode is seen to come into the unit circle."
    return f"{text}: no mode grows at the present strength."


def _alt_curvature(s: GameSpectrum) -> str:
    parts = []
    for name, d in (("discriminator", s.curvature_D), ("generator", s.curvature_G)):
        if d is not None:
            top = float(d.re.max(initial=0.0))
            edge = "" if d.edge is None else f", {'beyond' if top > d.edge else 'within'} the edge at {d.edge:.3g}"
            parts.append(f"the {name}'s largest is {top:.3g}{edge}")
    return f"How step times curvature is distributed for each player: {'; '.join(parts)}."


def _about(s: GameSpectrum) -> list[tuple[str, str]]:
    def said(values: Any) -> str:
        return ", ".join(f"{k} {cell(v)}" for k, v in values.items() if k != "fresh") or "none"

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
