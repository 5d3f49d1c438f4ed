"""The phase diagram for people and as --json: its boundaries and, if simulated, its accuracies."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from ..base.json import number
from ..base.terminal import table
from .text import basis, meanings

if TYPE_CHECKING:
    import xarray as xr

#: what a compared diagram says of each mechanism, and the heading of its column
ACCURACY = {
    "balanced_accuracy": "balanced accuracy",
    "stderr": "standard error",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}


def _outcomes_table(kinds: dict[str, list[list[float]]], runs: int) -> Any:
    """Shares of a simulated diagram's runs, and in how many cells an outcome occurs."""
    rows = []
    for word, grid in kinds.items():
        known = [v for row in grid for v in row if isfinite(v)]
        rows.append([word, sum(known) / len(known), f"{sum(v > 0 for v in known)} of {len(known)}"])
    return table(f"Outcomes of the simulated runs, {runs} per cell", ["outcome", "runs, share", "cells with it"], rows)


def phase_json(found: xr.Dataset, runs: xr.Dataset | None, compared: xr.Dataset | None) -> dict[str, Any]:
    """The --json form of a phase diagram: axes, margins and, if simulated, accuracies."""

    def axis(ds: xr.Dataset, name: str) -> dict[str, Any]:
        field = ds[name]
        return {"vary": field.attrs["long_name"], "log": bool(field.attrs["log"]), "values": field.values.tolist()}

    from ..predict.boundary import places
    from ..runs.outcome import UNKNOWN, Outcome, counts

    data: dict[str, Any] = {
        "first": axis(found, "first"),
        "second": axis(found, "second"),
        "mechanisms": [
            {
                "mechanism": str(name),
                "meaning": {side: str(found[side].sel(mechanism=name).values) for side in ("beyond", "within")},
                "beyond": (found["margin"].sel(mechanism=name).values > 0).astype(int).tolist(),
                "margin": found["margin"].sel(mechanism=name).values.tolist(),
                "boundary": places(found, str(name)),
                **_share(found["margin"].sel(mechanism=name)),
                "evaluated": int(found["evaluated"].sel(mechanism=name).sum()),
            }
            for name in found["mechanism"].values
        ],
        "method": found.attrs["method"],
        "assumptions": found.attrs["assumptions"],
    }
    if runs is not None and compared is not None:
        word = lambda codes: [[Outcome(c).word if c != UNKNOWN else None for c in row] for row in codes]  # noqa: E731
        data["simulated"] = {
            "first": axis(runs, "first"),
            "second": axis(runs, "second"),
            "start": runs.attrs.get("start", "random"),
            "runs": runs.sizes["run"],
            "outcomes": {word: runs["share"].sel(kind=word).values.tolist() for word in counts(runs["outcome"].values)},
            "covered": runs["covered"].mean("run").values.tolist(),
            "kind": word(compared["simulated_kind"].values),
            "predicted_kind": word(compared["predicted_kind"].values),
            "confusion": confusion_json(compared),
            "accuracy": {key: float(compared[key]) for key in ACCURACY},
        }
    return data


def confusion_json(compared: xr.Dataset) -> dict[str, Any]:
    """The confusion table: rows simulated kinds, columns predicted ones, of the kinds that occur."""
    counts = compared["confusion"].values
    rows, columns = counts.sum(1) > 0, counts.sum(0) > 0
    columns[: len(rows)] |= rows
    own = lambda name: [number(v) for v in compared[name].values[rows]]  # noqa: E731
    return {
        "simulated": compared["kind"].values[rows].tolist(),
        "predicted": compared["predicted"].values[columns].tolist(),
        "cells": counts[rows][:, columns].tolist(),
        "recall": own("recall"),
        "precision": own("precision"),
    }


def confusion_table(found: dict[str, Any]) -> Any:
    """The table of ``confusion_json``: cells, and their share of the row."""
    head = ["simulated", *(f"predicted: {word}" for word in found["predicted"]), "recall", "precision"]
    rows = []
    for word, cells, *scores in zip(*(found[n] for n in ("simulated", "cells", "recall", "precision")), strict=True):
        total = sum(cells)
        rows.append([word, *(f"{n} ({100 * n / total:.0f} %)" if n else "0" for n in cells), *scores])
    return table("Cells by kind, simulated against predicted", head, rows)


def phase_dataset(found: xr.Dataset, runs: xr.Dataset | None, compared: xr.Dataset | None) -> xr.Dataset:
    """One file: the predicted diagram, and the simulated one on axes of its own."""
    if runs is None or compared is None:
        return found
    names = {n: f"simulated_{n}" for n in ("first", "second")}
    measured = runs.rename(names)
    accuracy = compared.drop_vars(["first", "second"]).rename(names)
    return found.assign({**measured.data_vars, **accuracy.data_vars}).assign_coords(
        {**measured.coords, **accuracy.coords}
    )


def _share(margin: xr.DataArray) -> dict[str, Any]:
    """The share of the cells beyond the boundary among those of which the mechanism says something, and how many others
    there are."""
    silent = margin.isnull()
    said = int((~silent).sum())
    return {"share": float((margin > 0).sum()) / said if said else None, "silent": int(silent.sum())}


def phase_text(data: dict[str, Any]) -> list[Any]:
    from .diagram import kept_or_lost

    rows = [
        [m["mechanism"], m["meaning"]["beyond"], m["share"], str(m["silent"]), str(m["evaluated"])]
        for m in data["mechanisms"]
    ]
    cells = f"{len(data['first']['values'])} x {len(data['second']['values'])} values"
    title = f"Predicted boundaries over {data['first']['vary']} and {data['second']['vary']}, {cells}"
    columns = ["mechanism", "beyond its boundary", "share of cells beyond", "cells without a statement", "evaluated"]
    lines: list[Any] = [table(title, columns, rows)]
    if "simulated" in data:
        accuracy, kinds = data["simulated"]["accuracy"], data["simulated"]["outcomes"]
        lines.append(_outcomes_table(kinds, data["simulated"]["runs"]))
        lines += meanings(kinds)
        lines.append(confusion_table(data["simulated"]["confusion"]))
        lines.append(kept_or_lost(accuracy))
    return lines + basis(data)
