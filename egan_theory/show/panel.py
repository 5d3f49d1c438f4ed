"""What is drawn on one of several panels of a figure: legend and labels that fit there.

A figure of its own is wide enough for a legend above the axes. In a small panel the legend is in smaller letters and
in lines no longer than the panel is wide, above it where the figure has a layout engine that makes room for it, else
within it, where it covers least. Labels and titles are broken into lines. The same holds for a figure of its own
that is made for a narrow window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: letters of a label and of a title per inch; size of the legend's letters in points, on panels from WIDE inches on
#: and on others; letters of 1 point per inch
LABEL, TITLE, POINTS, LARGER, WIDE, SMALL = 13.0, 12.0, 7.0, 9.0, 3.2, 133.0
#: letters of a word at a tick, and of a legend's handle
WORD = 14
HANDLE = 6
#: width of figures for narrow windows (inches)
NARROW = 4.8
_NARROW: ContextVar[bool] = ContextVar("narrow", default=False)


@contextmanager
def narrow() -> Iterator[None]:
    """Within the block figures are made for narrow windows: letters of the same size on less width."""
    token = _NARROW.set(True)
    try:
        yield
    finally:
        _NARROW.reset(token)


def is_narrow() -> bool:
    """Whether figures are made for narrow windows: panels stand below each other."""
    return _NARROW.get()


def alone(ax: Axes) -> bool:
    """Whether the figure is wide and has no other axes (but what these hold, and bars of colours)."""
    figure = ax.get_figure()
    others = [] if figure is None else [a for a in figure.axes if a is not ax and not hasattr(a, "_colorbar")]
    return isinstance(figure, Figure) and not others and not is_narrow()


def inches(ax: Axes) -> tuple[float, float]:
    """(width, height) of the axes as they were placed in the figure."""
    figure = ax.get_figure(root=True) if ax.get_figure() is not None else None
    assert figure is not None
    width, height = figure.get_size_inches()
    place = ax.get_position(original=True)
    return float(place.width * width), float(place.height * height)


def legend(ax: Axes, handles: Sequence[Any], *, title: str | None = None, **wide: Any) -> Any:
    """The axes' legend: as ``wide`` says where the figure is theirs, else one that fits in the panel."""
    if alone(ax):
        return ax.legend(handles=list(handles), title=title, **wide)
    figure = ax.get_figure(root=True)
    points = LARGER if inches(ax)[0] >= WIDE else POINTS
    letters = int(SMALL * inches(ax)[0] / points)
    if not handles:  # the title alone
        return ax.legend(handles=[], title=fill(title or "", letters), title_fontsize=points, **wide)
    labels = [fill(str(handle.get_label()), max(12, letters - HANDLE)) for handle in handles]
    roomy = figure is not None and figure.get_layout_engine() is not None
    longest = max((len(line) for label in labels for line in label.splitlines()), default=0)
    height = max(1.0, wide.get("bbox_to_anchor", (0.0, 1.0))[1])
    above = {"loc": "lower left", "bbox_to_anchor": (0.0, height), "frameon": False, "borderaxespad": 0.2}
    place: dict[str, Any] = above if roomy else {"loc": "best", "framealpha": 0.8}
    return ax.legend(
        handles=list(handles), labels=labels, title=fill(title, letters) if title else None, fontsize=points,
        title_fontsize=points, ncols=2 if 2 * (longest + HANDLE) <= letters else 1, alignment="left",
        handletextpad=0.5, columnspacing=1.0, labelspacing=0.3, markerscale=0.7, **place,
    )  # fmt: skip


def fit(ax: Axes) -> None:
    """Break the labels and the title of a panel into lines that it has room for."""
    if alone(ax):
        return
    width, height = inches(ax)
    ax.set_xlabel(fill(ax.get_xlabel(), max(12, int(LABEL * width))))
    ax.set_ylabel(fill(ax.get_ylabel(), max(12, int(LABEL * height))))
    names = [text.get_text() for text in ax.get_yticklabels()]
    if any((len(name) > WORD and name.strip("−-.").isalpha()) or " " in name for name in names):
        ax.set_yticks(ax.get_yticks(), [fill(name, WORD) for name in names], fontsize=LARGER if is_narrow() else POINTS)
    for loc in ("left", "center", "right"):
        if title := ax.get_title(loc=loc):
            ax.set_title(fill(title, max(12, int(TITLE * width))), loc=loc)


def apart(ax: Axes) -> None:
    """Hide numbers below the horizontal axis that would touch the one before; the figure has been laid out."""
    end = -float("inf")
    for label in ax.get_xticklabels():
        box = label.get_window_extent()
        if label.get_text() and box.x1 > box.x0 and label.get_visible():
            label.set_visible(box.x0 > end + 3)
            end = box.x1 if label.get_visible() else end


__all__ = ["alone", "apart", "fit", "inches", "is_narrow", "legend", "narrow"]
