"""Phase diagrams of the solvable model over one or two fields: predicted regimes, and those of ODE or finite-n runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import xarray as xr

from ...base.errors import InputError
from ...predict.phase import AxisLike, PhaseAxis, parse_axis
from .model import Solvable, provenance
from .ode import solve_ode
from .regimes import REGIMES, classify, predict_regime

#: a field of its own: taut = ratio * tau, at the tau of the model or of the other axis
RATIO = "taut/tau"
METHODS = ("ode", "chain", "sgd")
#: per-step tolerances are looser than for one curve: regimes are all that is read off
RTOL, ATOL = 1e-7, 1e-9


@dataclass(frozen=True)
class _Varied:
    """The model with taut/tau as one more field, for axes."""

    model: Solvable

    def get(self, path: str) -> Any:
        return self.model.taut / self.model.tau if path == RATIO else self.model.get(path)

    def replace(self, changes: Mapping[str, Any]) -> Solvable:
        model = self.model.replace({p: v for p, v in changes.items() if p != RATIO})
        return model.replace({"taut": changes[RATIO] * model.tau}) if RATIO in changes else model


def solvable_axis(model: Solvable, given: AxisLike) -> PhaseAxis:
    """``PATH=LOW:HIGH:POINTS[:log]`` or such a tuple, PATH a numeric field or "taut/tau". Raises InputError."""
    return parse_axis(cast(Any, _Varied(model)), given)


def solvable_phase(
    model: Solvable,
    first: AxisLike,
    second: AxisLike | None = None,
    *,
    simulate: str | None = "ode",
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Regimes over one or two fields; dims (second, first), second left out with one axis.

    ``predicted``; ``decided``, 1 where a run of ``model.time`` is long enough to show it, and n large enough; ``rate``,
    the slowest that decides. With ``simulate`` "ode", "chain" or "sgd" (``model.n``, ``model.runs``) also, over run:
    ``regime``, ``learnt`` (number of features), ``coverage`` (feature), ``activity``; ``wrong``: regimes that differ,
    or a mode collapse onto other features, where neither is undecided; and ``coexisting``: a cycle where a locked state
    is stable too, which is not wrong: the theory does not say which of two attractors a start reaches. Regimes index
    attrs["regimes"].

    Raises KeyboardInterrupt when interrupted, InputError for a bad axis, equal axes, an unknown method, or where no
    regime is predicted (see ``predict_regime``).
    """
    given = [first] if second is None else [first, second]
    axes = [solvable_axis(model, a) for a in given]
    if len({a.path for a in axes}) < len(axes):
        raise InputError("vary", "name two different fields", axes[0].path)
    if simulate is not None and simulate not in METHODS:
        raise InputError("simulate", f"be one of {', '.join(METHODS)}", repr(simulate))
    shape = tuple(len(a.values) for a in reversed(axes))
    cells = list(np.ndindex(*shape))
    runs = 1 if simulate == "ode" else model.runs
    predicted, decided = (np.zeros(shape, dtype=np.int8) for _ in range(2))
    rate = np.full(shape, np.nan)
    regime, learnt = (np.zeros((*shape, runs), dtype=np.int8) for _ in range(2))
    wrong, coexisting = (np.zeros((*shape, runs), dtype=np.int8) for _ in range(2))
    covered, activity = np.full((*shape, runs, model.d), np.nan), np.full((*shape, runs), np.nan)
    for number, cell in enumerate(cells):
        values = {a.path: a.values[i] for a, i in zip(axes, reversed(cell), strict=True)}
        member = _Varied(model).replace(values)
        prediction = predict_regime(member)
        predicted[cell], rate[cell] = REGIMES.index(prediction.label), prediction.rate
        decided[cell] = prediction.decided(member.time)
        if simulate not in (None, "ode"):
            decided[cell] &= prediction.outlasts_drift(member)
        if simulate is not None:
            for run, found in enumerate(_outcomes(member, simulate)):
                at = (*cell, run)
                regime[at], learnt[at] = REGIMES.index(found.label), len(found.learnt)
                covered[at], activity[at] = found.coverage, found.activity
                same = found.label == prediction.label and (
                    found.label != "mode collapse" or found.learnt == prediction.learnt
                )
                coexisting[at] = (prediction.label, found.label) == ("locked", "oscillation")
                wrong[at] = not (same or coexisting[at] or "undecided" in (found.label, prediction.label))
        if progress is not None:
            progress(number + 1, len(cells))
    dims = ("second", "first")[-len(axes) :]
    data: dict[str, Any] = {
        "predicted": (dims, predicted, {"long_name": "predicted regime", "units": "1"}),
        "decided": (dims, decided, {"long_name": "prediction that a run of this length can show", "units": "1"}),
        "rate": (dims, rate, {"long_name": "slowest deciding rate", "units": "1/time"}),
    }
    if simulate is not None:
        by_run = (*dims, "run")
        data |= {
            "regime": (by_run, regime, {"long_name": f"regime, {simulate}", "units": "1"}),
            "learnt": (by_run, learnt, {"long_name": "features learnt", "units": "1"}),
            "coverage": ((*by_run, "feature"), covered, {"long_name": "coverage of each feature", "units": "1"}),
            "activity": (by_run, activity, {"long_name": "rms of q and r at the end", "units": "1"}),
            "wrong": (by_run, wrong, {"long_name": "regime other than predicted", "units": "1"}),
            "coexisting": (by_run, coexisting, {"long_name": "cycle beside a stable locked state", "units": "1"}),
        }
    names = ("first", "second")[: len(axes)]
    coords = {
        n: (n, np.array(a.values), {"long_name": a.path, "units": "1", "log": int(a.log)})
        for n, a in zip(names, axes, strict=True)
    }
    about = {"regimes": list(REGIMES), "method": f"stability of fixed points; {simulate or 'nothing simulated'}"}
    return xr.Dataset(data, coords=coords, attrs={**provenance(model), **about})


def agreement(ds: xr.Dataset) -> dict[str, int]:
    """Counts over cells and runs: all, the decided, of these the wrong, undecided, coexisting; and the wrong others."""
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


def _outcomes(model: Solvable, simulate: str) -> tuple[Any, ...]:
    if simulate == "ode":
        return classify(solve_ode(model, rtol=RTOL, atol=ATOL))
    from .finite import simulate_solvable

    ds = simulate_solvable(model, method=simulate)
    if ds.attrs["status"] == "interrupted":
        raise KeyboardInterrupt
    return classify(ds, n=model.n)
