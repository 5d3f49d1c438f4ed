"""Figures of pages: an Axes as inline SVG whose colours follow the page's scheme, and what its points say.

    picture("eigenvalues", "Eigenvalues ...", "Caption.", lambda: eg.plot.eigenvalues(spectrum))

Text stays text, every colour is a CSS variable named by its hexadecimal digits (``var(--c0072b2, #0072b2)``), ids begin
with the picture's name, the same figure gives the same bytes. ``scheme``: values of the variables.
"""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import nan

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import Collection, PathCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..base.errors import InputError
from . import panel, scheme
from .style import DPI, Plain, detached, told

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
#: artists of more points than this are drawn as an image within the figure
HEAVY = 2000
#: points of SVG per inch
INCH = 72.0
#: told points this far outside of the axes (points of SVG) are still seen
RIM = 1.0
#: part of an axis by which a value at its end may be beyond it by rounding
ROUNDED = 1e-6
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NUMBER = re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True)
class Point:
    """A place in a picture (points of SVG from its upper left) and what is there."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Slider:
    """A control under a picture that goes through values of its horizontal axis that were computed; those that the
    axis does not show are left out.

    ``texts`` say in one line what holds at each value, with units; ``heights``: where on the vertical axis the marker
    has its dot, NaN for none; ``start``: which of the values it begins at.
    """

    label: str
    values: Sequence[float]
    texts: Sequence[str]
    heights: Sequence[float] | None = None
    start: int = 0

    def __post_init__(self) -> None:
        heights = self.values if self.heights is None else self.heights
        if not len(self.values) == len(self.texts) == len(heights):
            raise InputError("slider", "have a text (and a height) for each value", f"{len(self.texts)} texts")
        if any(b <= a for a, b in pairwise(self.values)):
            raise InputError("slider", "have values that increase")


@dataclass(frozen=True)
class Picture:
    """A figure of a page. ``svg``: inline SVG; ``points``: what the pointer finds; ``stops``: of the slider, at the
    height of its dot, ``start`` the one it begins at, and ``span`` the upper and lower end of its line (points of SVG);
    ``colours``: those in it; ``narrow``: the same for narrow windows, with the same points and stops in its own places,
    NaN for what it does not show."""

    name: str
    alt: str
    caption: str
    svg: str = field(repr=False)
    points: tuple[Point, ...] = field(repr=False)
    size: tuple[float, float]
    colours: frozenset[str] = field(repr=False)
    slider: Slider | None = field(default=None, repr=False)
    stops: tuple[Point, ...] = field(default=(), repr=False)
    span: tuple[float, float] = (0.0, 0.0)
    start: int = 0
    narrow: Picture | None = field(default=None, repr=False)


def picture(name: str, alt: str, caption: str, draw: Callable[[], Axes], *, slider: Slider | None = None) -> Picture:
    """The figure that ``draw`` makes. ``name``: letters, digits, - and _; a page has each once. ``alt``: what the
    figure shows, for those who do not see it."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise InputError("name", "be letters, digits, - and _, a letter first", name)
    with detached():
        wide, seen = _drawn(name, alt, caption, draw(), slider)
        with panel.narrow():
            small, also = _drawn(f"{name}-narrow", alt, caption, draw(), slider, plain=True)
    pairs = list(zip(wide.points, seen, small.points, also, strict=True))
    there = tuple(w for w, s, _, _ in pairs if s)
    other = tuple(n if a else Point(nan, nan, n.text) for _, s, n, a in pairs if s)
    if [s.text for s in wide.stops] != [s.text for s in small.stops]:
        raise ValueError(f"the figure {name} has other values in narrow windows")
    return replace(
        wide, points=there, narrow=replace(small, points=other), colours=wide.colours | small.colours, slider=slider
    )


def _drawn(
    name: str, alt: str, caption: str, ax: Axes, slider: Slider | None, plain: bool = False
) -> tuple[Picture, list[bool]]:
    """The figure of these axes with all its points, and which of them are within their axes. ``plain``: without the
    small letters of exponents."""
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    for artist in _heavy(figure):
        artist.set_rasterized(True)
    if plain:
        for axis in (axis for each in figure.axes for axis in (each.xaxis, each.yaxis)):
            axis.set_major_formatter(Plain.of(axis.get_major_formatter()))
            axis.set_minor_formatter(Plain.of(axis.get_minor_formatter()))
        figure.draw_without_rendering()
        for each in figure.axes:
            panel.apart(each)
    out = io.StringIO()
    figure.set_dpi(INCH)  # one pixel is one point of SVG
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "svg.image_inline": True}):
        figure.savefig(out, format="svg", dpi=DPI, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    figure.set_dpi(INCH)
    width, height = figure.get_size_inches() * INCH
    svg, colours = _inline(out.getvalue(), name, alt)
    stops, start = _stops(ax, slider, height) if slider is not None else ((), 0)
    box = ax.get_window_extent()
    span = (round(float(height - box.y1), 2), round(float(height - box.y0), 2))
    points, seen = [], []
    for point, within in _points(figure, height):
        points.append(point)
        seen.append(within)
    made = Picture(
        name, alt, caption, svg, tuple(points), (float(width), float(height)), colours, None, stops, span, start
    )
    return made, seen


def _heavy(figure: Figure) -> Iterator[Artist]:
    """Artists that would make thousands of elements."""
    for ax in figure.axes:
        for artist in ax.get_children():
            if isinstance(artist, Line2D):  # lines are simplified, markers are not
                marked = artist.get_marker() not in ("None", "none", None, "", " ")
                count = len(np.asarray(artist.get_xydata())) if marked else 0
            elif isinstance(artist, QuadMesh):
                count = np.asarray(artist.get_array()).size
            elif isinstance(artist, PathCollection):
                count = len(np.asarray(artist.get_offsets()))
            elif isinstance(artist, Collection):
                count = sum(len(path) for path in artist.get_paths())
            else:
                continue
            if count > HEAVY:
                yield artist


def _points(figure: Figure, height: float) -> Iterator[tuple[Point, bool]]:
    """What is told, in the order told, and whether it is within its axes."""
    for artist in told(figure):
        assert artist.axes is not None
        box = artist.axes.get_window_extent().padded(RIM)
        for (x, y), text in zip(artist.pixels(), artist.texts, strict=True):
            there = bool(np.isfinite(x) and np.isfinite(y) and (artist.given is not None or box.contains(x, y)))
            yield Point(round(float(x), 2), round(float(height - y), 2), text), there


def _stops(ax: Axes, slider: Slider, height: float) -> tuple[tuple[Point, ...], int]:
    """The values within the axes, and which of them is nearest to the one it begins at."""
    inside = ax.get_window_extent()
    box = inside.padded(RIM)
    values = np.asarray(slider.values, dtype=float)
    heights = np.full(len(values), np.nan) if slider.heights is None else np.asarray(slider.heights, dtype=float)
    with np.errstate(all="ignore"):
        across = ax.transData.transform(np.stack([values, np.full(len(values), ax.get_ylim()[0])], axis=-1))[:, 0]
        up = ax.transData.transform(np.stack([np.full(len(values), ax.get_xlim()[0]), heights], axis=-1))[:, 1]
    # by the part of the axis, not in pixels: a page has the same ones whatever its width
    part = (across - inside.x0) / inside.width
    shown = np.flatnonzero((part >= -ROUNDED) & (part <= 1 + ROUNDED))
    stops = []
    for i in shown:
        dot = float(height - up[i]) if np.isfinite(up[i]) and box.y0 <= up[i] <= box.y1 else float("nan")
        stops.append(Point(round(float(across[i]), 2), round(dot, 2), slider.texts[int(i)]))
    return tuple(stops), int(np.argmin(np.abs(shown - slider.start))) if len(shown) else 0


def _inline(text: str, name: str, alt: str) -> tuple[str, frozenset[str]]:
    """The SVG element alone, with variables for colours, and the colours."""
    root = ET.fromstring(_CONTROL.sub("", text))
    colours: set[str] = set(_COLOUR.findall("#000000"))

    def variable(match: re.Match[str]) -> str:
        colour = match[0].lower()
        colours.add(colour)
        return scheme.variable(colour)

    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):  # a style would be that of the whole page
                parent.remove(child)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
        for key in list(element.attrib):
            value = element.attrib.pop(key)
            key = key.removeprefix(f"{{{XLINK}}}")
            if key == "id":
                if value not in used:
                    continue
                value = f"{name}-{value}"
            elif key == "href" and value.startswith("#"):
                value = f"#{name}-{value[1:]}"
            elif key in ("style", "fill", "stroke", "clip-path"):
                value = _COLOUR.sub(variable, value).replace("url(#", f"url(#{name}-")
                value = _font(value)
            elif key in ("d", "points", "x", "y", "transform"):
                value = _NUMBER.sub(_short, value)
            elif key == "href":
                value = re.sub(r"\s+", "", value)
            element.attrib[key] = value
    for parent in list(root.iter()):
        _two_schemes(parent)
    _root(root, name, alt)
    out = ET.tostring(root, encoding="unicode", short_empty_elements=True)
    return re.sub(r">\s+<", "><", out), frozenset(colours)


def _short(match: re.Match[str]) -> str:
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")


def _font(style: str) -> str:
    """A style without a family: texts take that of the whole figure; formulas keep their slant."""
    style = re.sub(r"font-family:[^;]*;?", "", style)
    return re.sub(r"font: ((?:[a-z]+ )*)(\d[\d.]*px)[^;]*", lambda m: f"{_slant(m[1])}font-size: {m[2]}", style)


def _slant(words: str) -> str:
    parts = []
    if "italic" in words or "oblique" in words:
        parts.append("font-style: italic; ")
    if "bold" in words:
        parts.append("font-weight: bold; ")
    return "".join(parts)


def _root(root: ET.Element, name: str, alt: str) -> None:
    """Role, text and the defaults that Matplotlib leaves to a style sheet or to the renderer."""
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({
        "class": "figure", "viewBox": box, "preserveAspectRatio": "xMinYMid",
        "role": "img", "aria-labelledby": f"{name}-alt", "focusable": "false",
        "font-family": FONT, "stroke-linejoin": "round", "stroke-linecap": "butt",
        "style": f"--wide: {float(box.split()[2]):.0f}; fill: {scheme.variable('#000000')}",
    })  # fmt: skip
    description = ET.Element("desc", {"id": f"{name}-alt"})
    description.text = alt  # no title element: browsers would show it at the pointer, over what a point says
    root.insert(0, description)


def _two_schemes(parent: ET.Element) -> None:
    """Images once for each scheme: their pixels know no variables."""
    for i, child in reversed(list(enumerate(list(parent)))):
        href = child.attrib.get("href", "")
        if child.tag == "image" and href.startswith("data:image/png;base64,"):
            child.attrib["class"] = "light-only"
            child.attrib["href"] = _png(href, lambda rgb: rgb)
            dark = ET.Element("image", child.attrib | {"class": "dark-only", "display": "none"})
            dark.attrib["href"] = _png(href, scheme.dark_pixels)
            parent.insert(i + 1, dark)


def _png(href: str, change: Callable[[np.ndarray], np.ndarray]) -> str:
    """The image with its colours changed, as small as it gets without loss."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(href.partition(",")[2]))) as image:
        pixels = np.array(image.convert("RGBA"))
    pixels[..., :3] = change(pixels[..., :3])
    pixels[pixels[..., 3] == 0] = 0
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode('ascii')}"


__all__ = ["Picture", "Point", "Slider", "picture"]
