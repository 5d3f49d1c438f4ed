"""Phase diagrams of the solvable model over one or two fields: predicted regimes, and those of ODE or finite-n runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import xarray as xr

from ...base.dataset import shown
from ...base.errors import InputError
from ...base.spelling import unknown
from ...predict.phase import AxisLike, diagram_coordinates, parse_axes
from .finite import simulate_solvable
from .model import Solvable
from .ode import solve_ode
from .regimes import REGIMES, Prediction, Regime, check_record, classify, predict_regime

#: a field of its own: taut = ratio * tau, at the tau of the model or of the other axis
RATIO = "taut/tau"
METHODS = ("ode", "chain", "sgd")
#: per-step tolerances are looser than for one curve: regimes are all that is read off
RTOL, ATOL = 1e-7, 1e-9
#: dims after those of the cells, and attributes
VARIABLES: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "predicted": ((), {"long_name": "predicted regime", "units": "1"}),
    "decided": ((), {"long_name": "prediction that a run of this length can show", "units": "1"}),
    "rate": ((), {"long_name": "slowest deciding rate", "units": "1/time"}),
    "regime": (("run",), {"long_name": "regime of the run", "units": "1"}),
    "learnt": (("run",), {"long_name": "features learnt", "units": "1"}),
    "coverage": (("run", "feature"), {"long_name": "coverage of each feature", "units": "1"}),
    "activity": (("run",), {"long_name": "rms of q and r at the end", "units": "1"}),
    "wrong": (("run",), {"long_name": "regime other than predicted", "units": "1"}),
    "coexisting": (("run",), {"long_name": "cycle beside a stable locked state", "units": "1"}),
}


@dataclass(frozen=True)
class _Varied:
    """The model with taut/tau as one more field, for axes."""

    model: Solvable

    def get(self, path: str) -> Any:
        return self.model.taut / self.model.tau if path == RATIO else self.model.get(path)

    def replace(self, changes: Mapping[str, Any]) -> Solvable:
        model = self.model.replace({p: v for p, v in changes.items() if p != RATIO})
        return model.replace({"taut": changes[RATIO] * model.tau}) if RATIO in changes else model


@shown
def solvable_phase(
    model: Solvable,
    first: AxisLike,
    second: AxisLike | None = None,
    *,
    simulate: str | None = "ode",
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Regimes over one or two fields: predicted and, where asked for, simulated.

    Returns:
        A Dataset; regimes index attrs["regimes"].

    Shapes:
        second is left out with one axis.

        - predicted (second, first)
        - decided (second, first): 1 where a run of ``model.time`` is long enough to show it, and n large enough
        - rate (second, first) [1/time]: the slowest that decides
        - with ``simulate`` "ode", "chain" or "sgd" (``model.n``, ``model.runs``): regime (second, first, run), activity
          (second, first, run), learnt (second, first, run), a number of features, coverage (second, first, run,
          feature)
        - wrong (second, first, run): regimes that differ, or a mode collapse onto other features, where neither is
          undecided
        - coexisting (second, first, run): a cycle where a locked state is stable too, which is not wrong: the theory
          does not say which of two attractors a start reaches

    Units:
        Rates per unit of time, steps/n; axes in the unit of their field; the others pure numbers.

    Raises:
        KeyboardInterrupt: when interrupted.
        InputError: a bad axis, equal axes, an unknown method, or where no regime is predicted (see ``predict_regime``).

    Source:
        ``predict_regime`` and ``classify``; the model: Wang, Hu, Lu (arXiv:1805.08349).
    """
    varied = cast(Any, _Varied(model))  # an axis asks for a field and for a copy with another value, no more
    axes = parse_axes(varied, [first] if second is None else [first, second])
    if len({a.path for a in axes}) < len(axes):
        raise InputError("vary", "name two different fields", axes[0].path)
    if simulate is not None and simulate not in METHODS:
        raise unknown("simulate", simulate, METHODS)
    shape = tuple(len(a.values) for a in reversed(axes))
    models = []
    for cell in np.ndindex(*shape):
        models.append(varied.replace({a.path: a.values[i] for a, i in zip(axes, reversed(cell), strict=True)}))
        if simulate is not None:
            check_record(models[-1], None if simulate == "ode" else models[-1].n)
    cells = []
    for each in models:
        cells.append(_cell(each, simulate))
        if progress is not None:
            progress(len(cells), math.prod(shape))
    names = ("first", "second")[: len(axes)]
    data = {}
    for name in cells[0]:
        values = np.array([cell[name] for cell in cells])
        values = values if values.dtype.kind == "f" else values.astype(np.int8)
        dims, about = VARIABLES[name]
        data[name] = ((*reversed(names), *dims), values.reshape(*shape, *values.shape[1:]), about)
    method = f"stability of fixed points; runs compared with it: {simulate or 'none'}"
    attrs = {**model.provenance(), "regimes": list(REGIMES), "method": method}
    return xr.Dataset(data, diagram_coordinates(axes), attrs)


def _cell(model: Solvable, simulate: str | None) -> dict[str, Any]:
    """The ``VARIABLES`` of one model."""
    prediction = predict_regime(model)
    finite = simulate not in (None, "ode")
    out = {
        "predicted": REGIMES.index(prediction.label),
        "decided": prediction.decided(model.time) and (not finite or prediction.outlasts_drift(model)),
        "rate": prediction.rate,
    }
    if simulate is None:
        return out
    found = _outcomes(model, simulate)
    return out | {
        "regime": [REGIMES.index(f.label) for f in found],
        "learnt": [len(f.learnt) for f in found],
        "coverage": [f.coverage for f in found],
        "activity": [f.activity for f in found],
        "wrong": [_wrong(prediction, f) for f in found],
        "coexisting": [_coexisting(prediction, f) for f in found],
    }


def _coexisting(prediction: Prediction, found: Regime) -> bool:
    return (prediction.label, found.label) == ("locked", "oscillation")


def _wrong(prediction: Prediction, found: Regime) -> bool:
    if "undecided" in (found.label, prediction.label) or _coexisting(prediction, found):
        return False
    other_features = found.label == "mode collapse" and found.learnt != prediction.learnt
    return found.label != prediction.label or other_features


def agreement(ds: xr.Dataset) -> dict[str, int]:
    """Counts over cells and runs of ``solvable_phase``.

    Returns:
        runs: all; decided; of these wrong, undecided, coexisting; wrong_where_slow: wrong ones of the others.

    Shapes:
        ds: (second, first) and (second, first, run), as ``solvable_phase`` with ``simulate`` gives them.

    Units:
        Numbers of runs.

    Raises: nothing of its own.

    Source:
        none, it counts.
    """
    decided = ds["decided"].values.astype(bool)[..., None] & np.ones(ds.sizes["run"], dtype=bool)
    undecided = ds["regime"].values == REGIMES.index("undecided")
    return {
        "runs": int(decided.size),
        "decided": int(decided.sum()),
        "wrong": int((ds["wrong"].values.astype(bool) & decided).sum()),
        "undecided": int((undecided & decided).sum()),
        "coexisting": int((ds["coexisting"].values.astype(bool) & decided).sum()),
        "wrong_where_slow": int((ds["wrong"].values.astype(bool) & ~decided).sum()),
    }


def _outcomes(model: Solvable, simulate: str) -> tuple[Regime, ...]:
    if simulate == "ode":
        return classify(solve_ode(model, rtol=RTOL, atol=ATOL))
    ds = simulate_solvable(model, method=simulate)
    if ds.attrs["status"] == "interrupted":
        raise KeyboardInterrupt
    return classify(ds, n=model.n)
