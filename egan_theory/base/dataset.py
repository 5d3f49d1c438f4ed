"""Datasets that show themselves short: an xarray Dataset whose long attributes are folded.

A thin subclass without anything stored of its own, because nothing else gives both a plain Dataset's whole behaviour
and a readable notebook: shorter attributes would break what files promise, display options and formatters are the
user's, and a wrapper would be no Dataset. It stays through selection, arithmetic, reductions, concatenation and
pickling; ``xr.merge`` and ``xr.apply_ufunc`` give plain Datasets, as reading a file with xarray itself does. Only
``xr.testing.assert_identical`` and its like, which compare types, tell the two apart: use ``.identical``, or
``.plain()``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, Self

import xarray as xr

from .shown import WIDTH, folded, html, text
from .terminal import cell

P = ParamSpec("P")


class ShownDataset(xr.Dataset):
    """An xarray Dataset with short ``repr`` and notebook forms."""

    __slots__ = ()

    @classmethod
    def of(cls, ds: xr.Dataset) -> Self:
        """The same variables, attributes and files."""
        if type(ds) is cls:
            return ds
        new = cls(dict(ds.data_vars), ds.coords, ds.attrs)
        new.encoding = ds.encoding
        new.set_close(ds.close)
        return new

    def plain(self) -> xr.Dataset:
        """The same as xarray's own Dataset."""
        return xr.Dataset(dict(self.data_vars), self.coords, self.attrs)

    def headline(self) -> str:
        """What it is, in a few words."""
        sizes = ", ".join(f"{name} {size}" for name, size in self.sizes.items())
        return f"{sizes or 'no dimensions'}; {_bytes(self.nbytes)}"

    def grid(self) -> tuple[tuple[str, ...], list[list[Any]]] | None:
        """Rows for readers (titles of columns, rows), where there is more to say than the variables' names."""
        return None

    def __repr__(self) -> str:
        grid = self.grid()
        more = ".attrs, .plain() as xarray shows it"
        head, rows = grid or (("variable", "dimensions", "units", "what it is"), _variables(self))
        said = _attributes(self)
        return text(f"Dataset: {self.headline()}", head, rows, (), more).replace("\n  more:", f"{said}\n  more:", 1)

    def _repr_html_(self) -> str:
        with xr.set_options(display_expand_attrs=False):
            whole = super()._repr_html_()
        grid = self.grid()
        return whole if grid is None else html(self.headline(), *grid) + folded("the whole Dataset", whole)


def _attributes(ds: xr.Dataset) -> str:
    """The short attributes on one line, and that there are others."""
    if not ds.attrs:
        return ""
    short = [f"{name} {cell(value)}" for name, value in ds.attrs.items() if len(str(value)) <= 24]
    line = f"  {len(ds.attrs)} attributes: {', '.join(short)}"
    return "\n" + (line if len(line) <= WIDTH else f"{line[: WIDTH - 1].rstrip()}…")


def _variables(ds: xr.Dataset) -> list[list[Any]]:
    named = [*ds.data_vars.items(), *((f"{name} *", v) for name, v in ds.coords.items())]
    return [
        [str(name), ", ".join(map(str, v.dims)), str(v.attrs.get("units", "")), str(v.attrs.get("long_name", ""))]
        for name, v in named
    ]


def _bytes(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"


def shown(made: Callable[P, xr.Dataset]) -> Callable[P, xr.Dataset]:
    """The function, its Dataset a ``ShownDataset``."""

    @wraps(made)
    def function(*args: P.args, **kwargs: P.kwargs) -> xr.Dataset:
        ds = made(*args, **kwargs)
        return ds if isinstance(ds, ShownDataset) else ShownDataset.of(ds)

    return function


__all__ = ["ShownDataset", "shown"]
