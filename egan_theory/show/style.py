"""How every figure looks: colours with a marker of their own each, fonts legible at the page's width.

A plot function without axes makes its figure through pyplot, so that a notebook shows it; reports and the command
line make plain Figure objects (``detached``), which nobody else holds. Nothing here changes a global setting.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from textwrap import wrap
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    Formatter,
    FuncFormatter,
    LogFormatter,
    LogLocator,
    NullLocator,
    ScalarFormatter,
)
from matplotlib.transforms import Transform

from ..base.files import atomic
from ..runs.outcome import Outcome
from . import panel

#: those of Okabe and Ito (2008, jfly.uni-koeln.de/color), some darker, so that marks have a contrast of 3 with white
BLUE, ORANGE, GREEN, VERMILLION = "#1A71B0", "#CA8100", "#02905E", "#BE4F01"
SKY, PURPLE, BLACK, GREY = "#2E9AD3", "#C977A5", "#000000", "#767676"
#: colour and marker of each damping regime, and of modes that rounding does not tell from 0
REGIMES = {"underdamped": (BLUE, "o"), "critical": (GREEN, "D"), "overdamped": (VERMILLION, "^"),
           "unresolved": (GREY, "s")}  # fmt: skip
#: colour and marker of each outcome of a run; light ones, for lines and hatches lie over them
OUTCOMES = {
    Outcome.SETTLED: ("#FFFFFF", "o"),
    Outcome.CIRCLING: ("#AAF0A0", "P"),
    Outcome.PARTLY_LOST: ("#F0E442", "v"),
    Outcome.NOT_SETTLED: ("#B8B8B8", "D"),
    Outcome.COLLAPSED: ("#B5528A", "s"),
    Outcome.ESCAPED: ("#56B4E9", ">"),
    Outcome.DIVERGED: ("#3B3B3B", "*"),
}
#: the same for lines on a white page
OUTCOME_LINES = {
    Outcome.SETTLED: (BLUE, "-"),
    Outcome.CIRCLING: (GREEN, (0, (3, 1))),
    Outcome.PARTLY_LOST: (ORANGE, "--"),
    Outcome.NOT_SETTLED: (GREY, ":"),
    Outcome.COLLAPSED: (PURPLE, (0, (5, 1, 1, 1))),
    Outcome.ESCAPED: (SKY, (0, (7, 2))),
    Outcome.DIVERGED: (VERMILLION, "-."),
}
#: a thick line behind others
FAINT = "#8C9298"
#: areas behind lines, by the colour of what they are of
PALE = {
    GREEN: "#B8E7CE",
    BLUE: "#A2BDD7",
    VERMILLION: "#E8C1A6",
    GREY: "#BBBBBB",
    ORANGE: "#BAAD7A",
    PURPLE: "#ECD1E5",
}
SIZE = (7.2, 4.6)
DPI = 150
#: values that span more than this factor are drawn on a logarithmic axis
WIDE = 30.0

_STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "legend.fontsize": 9.5,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.title_fontsize": 10,
}

P = ParamSpec("P")
R = TypeVar("R")


def styled(plot: Callable[P, R]) -> Callable[P, R]:
    """The plot function, run under the package's style; the caller's settings are as before when it returns."""

    @wraps(plot)
    def with_style(*args: P.args, **kwargs: P.kwargs) -> R:
        if not _DETACHED.get() and not any(isinstance(value, Axes) for value in (*args, *kwargs.values())):
            # the backend of notebooks sets Matplotlib interactive when it is first used, and the context would take
            # that back: later figures were not shown
            from matplotlib import pyplot

            pyplot.draw_if_interactive()
        with rc_context(_STYLE):
            drawn = plot(*args, **kwargs)
            if isinstance(drawn, Axes):
                panel.fit(drawn)
            return drawn

    return with_style


_DETACHED: ContextVar[bool] = ContextVar("detached", default=False)


@contextmanager
def detached() -> Iterator[None]:
    """Within the block new figures are the caller's alone: no window, no notebook shows them, none is left open."""
    token = _DETACHED.set(True)
    try:
        yield
    finally:
        _DETACHED.reset(token)


class Plain(Formatter):
    """Numbers at the ticks that another formatter labels, without superscripts."""

    def __init__(self, other: Formatter) -> None:
        self.other = other

    @staticmethod
    def of(other: Formatter) -> Formatter:
        """The formatter, or where it sets powers of ten this one in its place."""
        return Plain(other) if isinstance(other, LogFormatter) else other

    def set_locs(self, locs: Any) -> None:
        self.other.set_locs(locs)

    def __call__(self, value: float, pos: int | None = None) -> str:
        return _plain(value, 0) if self.other(value, pos) else ""


def axes(ax: Axes | None, size: tuple[float, float] = SIZE) -> Axes:
    """The given axes, or those of a new figure: pyplot's, or within ``detached`` one that belongs to nobody else."""
    if ax is not None:
        return ax
    if not _DETACHED.get():
        from matplotlib import pyplot

        return pyplot.figure(figsize=size, layout="constrained").subplots()
    if panel.is_narrow():
        size = (min(size[0], panel.NARROW), size[1])
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure.subplots()


class Told(Artist):
    """What points of the axes say, drawn by nothing: it travels with the axes to whoever answers to a pointer."""

    def __init__(self, x: np.ndarray, y: np.ndarray, texts: tuple[str, ...], transform: Transform | None) -> None:
        super().__init__()
        self.x, self.y, self.texts = x, y, texts
        self.given = transform
        self.set_visible(False)
        self.set_in_layout(False)

    def pixels(self) -> np.ndarray:
        """(point, 2) places in pixels of the figure."""
        assert self.axes is not None
        transform = self.axes.transData if self.given is None else self.given
        with np.errstate(all="ignore"):  # what has no logarithm is nowhere
            return np.asarray(transform.transform(np.stack([self.x, self.y], axis=-1)))


#: points told of one dense curve, at most
DENSE = 200


def tell(ax: Axes, x: Any, y: Any, texts: Sequence[str], transform: Transform | None = None) -> None:
    """Say in one line each, with units, what the drawn points (x, y) are: pages show it where the pointer is.

    Of more than DENSE points evenly spaced ones are told. ``transform``: of x and y, default the data's.
    """
    x, y = (np.asarray(values, dtype=float).ravel() for values in (x, y))
    if not len(x) == len(y) == len(texts):
        raise ValueError(f"{len(x)} and {len(y)} coordinates of {len(texts)} texts")
    kept = np.arange(len(x)) if len(x) <= DENSE else np.unique(np.linspace(0, len(x) - 1, DENSE).astype(int))
    if len(kept):
        ax.add_artist(Told(x[kept], y[kept], tuple(str(texts[int(i)]) for i in kept), transform))


def told(figure: Figure) -> list[Told]:
    """All that was told of a figure."""
    return [artist for ax in figure.axes for artist in ax.get_children() if isinstance(artist, Told)]


def write(ax: Axes, path: Path) -> None:
    """The figure of the axes, as its suffix says, whole or not at all."""
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    drawn = io.BytesIO()  # writers of PDF fail in words of their own where a disk is full
    figure.savefig(drawn, format=path.suffix[1:].lower(), dpi=DPI)
    with atomic(path) as temporary:
        temporary.write_bytes(drawn.getvalue())


def finish(ax: Axes, title: str = "", columns: int = 2, handles: list[Any] | None = None) -> Axes:
    """The axes with plain tick labels, and the legend above, where it covers no data; its title says what axes
    cannot. ``handles``: the legend's, default all that have a label."""
    for axis in (ax.xaxis, ax.yaxis):
        if isinstance(axis.get_major_formatter(), ScalarFormatter):
            axis.set_major_formatter(FuncFormatter(_plain))
    figure = ax.get_figure()
    width = int(11 * figure.get_size_inches()[0]) if isinstance(figure, Figure) else 70
    handles = ax.get_legend_handles_labels()[0] if handles is None else handles
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    columns = max(1, min(columns, int(1.1 * width) // (longest + 5)))
    panel.legend(
        ax, handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, frameon=False, columnspacing=1.2,
        handletextpad=0.5, borderaxespad=0.2, title="\n".join(wrap(title, width)) or None, alignment="left",
    )  # fmt: skip
    return ax


def _plain(value: float, _: int) -> str:
    return f"{value:.6g}".replace("-", "−")


def per(unit: str) -> str:
    """Label of the training time."""
    return f"training time ({'time units' if unit == 'time' else unit + 's'})"


def note(ax: Axes, text: str) -> Axes:
    """The axes with a message in the middle, where there is nothing to show."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", wrap=True)
    return ax


def signed_scale(ax: Axes, which: str, values: np.ndarray) -> None:
    """A symmetric logarithmic axis where the sizes of the values differ by more than WIDE, with few, readable ticks."""
    size = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(size) or size.max() <= WIDE * size.min():
        return
    # linear up to the smallest size, but no more than 8 decades of logarithm
    low, high = np.floor(np.log10(max(size.min(), size.max() * 1e-8))), np.ceil(np.log10(size.max()))
    threshold = 10.0**low
    getattr(ax, f"set_{which}scale")("symlog", linthresh=threshold, linscale=0.5)
    every = max(1, int(np.ceil((high - low) / 4)))
    decades = 10.0 ** np.arange(high, low - 1, -every)
    ticks = [0.0]
    if np.any(values > 0):
        ticks += list(decades)
    if np.any(values < 0):
        ticks += list(-decades)
    axis = getattr(ax, f"{which}axis")
    axis.set_major_locator(FixedLocator(sorted(ticks)))
    axis.set_minor_locator(NullLocator())


def log_if_wide(ax: Axes, which: str, values: np.ndarray) -> bool:
    """A logarithmic axis where positive values differ by more than WIDE; whether it was made one."""
    values = values[np.isfinite(values)]
    wide = bool(len(values) and values.min() > 0 and values.max() > WIDE * values.min())
    if wide:
        getattr(ax, f"set_{which}scale")("log")
        if values.max() < 3e3 * values.min():
            plain_ticks(ax, which)
    return wide


def plain_ticks(ax: Axes, which: str) -> None:
    """Few, readable ticks on a logarithmic axis of a few decades."""
    axis = getattr(ax, f"{which}axis")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_locator(NullLocator())
