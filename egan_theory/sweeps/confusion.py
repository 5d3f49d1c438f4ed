"""Simulated against predicted kinds of outcome: the confusion table, and what follows from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..runs.outcome import UNKNOWN, WORDS, Outcome, modes_are_lost

#: the column of cells of which no kind is predicted
SILENT = "no statement"
_LOST = modes_are_lost(np.array([*Outcome]))


def confusion(simulated: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(simulated kind, predicted kind and SILENT) number of cells, kinds in the order of Outcome; codes of outcomes of
    one shape. Cells without runs (-1 simulated) are left out."""
    rows = [simulated == kind for kind in Outcome]
    columns = [predicted == kind for kind in (*Outcome, UNKNOWN)]
    return np.array([[int((row & column).sum()) for column in columns] for row in rows])


def scores(counts: np.ndarray) -> dict[str, Any]:
    """Of a confusion table: ``recall`` (kind), the share of a kind's cells that were predicted to be of it;
    ``precision`` (kind), the share of the cells predicted to be of a kind that were; and of modes kept against lost:
    ``sensitivity``, the share of the cells that lost modes predicted to, ``specificity``, the share of the others not
    predicted to (no statement predicts no loss), ``balanced_accuracy``, their mean (1/2: no better than chance), and
    ``stderr``, its binomial error, which takes cells as independent. NaN where there is no such cell."""
    predicted = np.append(_LOST, False)
    n1, n0 = counts[_LOST].sum(), counts[~_LOST].sum()
    kinds = len(Outcome)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.diagonal(counts) / counts.sum(1)
        precision = np.diagonal(counts) / counts[:, :kinds].sum(0)
        sensitivity = counts[_LOST][:, predicted].sum() / n1
        specificity = counts[~_LOST][:, ~predicted].sum() / n0
        variance = sensitivity * (1 - sensitivity) / n1 + specificity * (1 - specificity) / n0
    return {
        "recall": recall, "precision": precision, "sensitivity": float(sensitivity),
        "specificity": float(specificity), "balanced_accuracy": float((sensitivity + specificity) / 2),
        "stderr": float(np.sqrt(variance) / 2),
    }  # fmt: skip


def sided(lost: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """``scores`` of predictions that modes are lost, of whatever kind (booleans of one shape)."""
    kinds = (np.where(v, Outcome.PARTLY_LOST, Outcome.SETTLED) for v in (lost, predicted))
    return {name: value for name, value in scores(confusion(*kinds)).items() if np.ndim(value) == 0}


#: long names of what ``scores`` finds
TEXT = {
    "recall": "share of the cells of this kind predicted to be of it",
    "precision": "share of the cells predicted to be of this kind that are of it",
    "sensitivity": "share of the cells that lost modes predicted to lose them",
    "specificity": "share of the other cells not predicted to lose modes",
    "balanced_accuracy": "balanced accuracy, modes kept against lost",
    "stderr": "its standard error",
}


def confusion_dataset(simulated: np.ndarray, predicted: np.ndarray) -> xr.Dataset:
    """``confusion`` (kind, predicted) and its ``scores``."""
    counts = confusion(simulated, predicted)
    found = scores(counts)
    dims = {"recall": "kind", "precision": "kind"}
    return xr.Dataset(
        {
            "confusion": (("kind", "predicted"), counts,
                          {"long_name": "cells simulated of a kind and predicted of one", "units": "1"}),
            **{n: (dims.get(n, ()), found[n], {"long_name": long, "units": "1"}) for n, long in TEXT.items()},
        },
        coords={"kind": list(WORDS), "predicted": [*WORDS, SILENT]},
    )  # fmt: skip


__all__ = ["confusion", "confusion_dataset", "scores", "sided"]
