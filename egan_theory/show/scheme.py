"""Colours of pages by scheme: what each colour of a figure is on a dark page, as values of CSS variables.

The colours of ``style`` have a counterpart each, chosen so that on either background marks have a contrast of at least
3 and stay apart for readers who lack one kind of cone. Of every other colour (tints, colour maps) the lightness is
turned over in OKLab (B. Ottosson, 2020, bottosson.github.io/posts/oklab), from white as the dark background to black as
its text, so that a scale of colours stays one.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..runs.outcome import Outcome
from . import style

#: the page, and its text, where it is dark
BACKGROUND, TEXT = "#14171b", "#f2f4f6"
#: counterparts of the colours of ``style``
DARK = {
    style.BLUE: "#3786c8",
    style.ORANGE: "#ffb428",
    style.GREEN: "#2fb487",
    style.VERMILLION: "#ee721e",
    style.SKY: "#6fc8ff",
    style.PURPLE: "#e395cc",
    style.GREY: "#8d949c",
    style.FAINT: "#666C73",
    style.BLACK: TEXT,
    "#FFFFFF": BACKGROUND,
}
_OUTCOMES = {
    Outcome.CIRCLING: "#0A833D",
    Outcome.PARTLY_LOST: "#9E8220",
    Outcome.NOT_SETTLED: "#5C5C5C",
    Outcome.COLLAPSED: "#CF6EB1",
    Outcome.ESCAPED: "#216199",
    Outcome.DIVERGED: "#8C8C8B",
}
DARK |= {style.OUTCOMES[outcome][0]: dark for outcome, dark in _OUTCOMES.items()}
DARK |= dict(zip(style.PALE.values(), ("#1C332B", "#20415A", "#5A2D19", "#555555", "#5B4906", "#725372"), strict=True))
_DARK = {light.lower(): dark for light, dark in DARK.items()}
#: of the colourfulness of a light page's colour a dark one's has this part
_CHROMA = 0.9

# linear sRGB to cone responses, and their cube roots to lightness and two opponent coordinates
_CONES = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                   [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
_OPPONENT = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                      [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip


def variable(colour: str) -> str:
    """The CSS value that is this colour (#rrggbb) on a light page and its counterpart on a dark one."""
    return f"var(--c{colour[1:].lower()}, {colour.lower()})"


def dark(colour: str) -> str:
    """The counterpart of a colour (#rrggbb) on a dark page."""
    known = _DARK.get(colour.lower())
    if known is not None:
        return known
    return _text(dark_pixels(_bytes(colour)[None])[0])


def dark_variables(colours: Iterable[str]) -> str:
    """CSS declarations of the variables of these colours on a dark page."""
    return " ".join(f"--c{colour[1:]}: {dark(colour)};" for colour in sorted(colours))


def dark_pixels(rgb: np.ndarray) -> np.ndarray:
    """The counterparts of (..., 3) bytes of red, green and blue."""
    flat = rgb.reshape(-1, 3)
    each, where = np.unique(flat, axis=0, return_inverse=True)
    lab = _oklab(each)
    low, high = (_oklab(_bytes(c)[None])[0, 0] for c in (BACKGROUND, TEXT))
    lab[:, 0] = low + (1 - lab[:, 0]) * (high - low)
    lab[:, 1:] *= _CHROMA
    turned = _rgb(lab)
    for i, colour in enumerate(each):
        if (known := _DARK.get(_text(colour))) is not None:
            turned[i] = _bytes(known)
    return turned[where.ravel()].reshape(rgb.shape)


def _bytes(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.uint8)


def _text(rgb: np.ndarray) -> str:
    return "#" + "".join(f"{int(v):02x}" for v in rgb)


def linear(rgb: np.ndarray) -> np.ndarray:
    """Linear light of sRGB bytes (IEC 61966-2-1)."""
    c = np.asarray(rgb, dtype=float) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _oklab(rgb: np.ndarray) -> np.ndarray:
    return np.cbrt(linear(rgb) @ _CONES.T) @ _OPPONENT.T


def _rgb(lab: np.ndarray) -> np.ndarray:
    light = (lab @ np.linalg.inv(_OPPONENT).T) ** 3 @ np.linalg.inv(_CONES).T
    light = np.clip(light, 0, 1)
    c = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * c).astype(np.uint8)


__all__ = ["BACKGROUND", "DARK", "TEXT", "dark", "dark_pixels", "dark_variables", "linear", "variable"]
