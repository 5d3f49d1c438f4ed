"""The report on one solvable model: theory, ODE, finite-n runs and their agreement, as an HTML page with its data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ...base.errors import InputError
from ...base.json import json_text
from ...show.folder import Draft, Target, claimed, written
from ...show.words import agreement_table
from . import limits
from .compare import compare_solvable
from .figures import plot_overlaps, plot_solvable_scan
from .finite import simulate_solvable
from .model import Solvable
from .ode import solve_ode
from .phase import solvable_phase
from .regimes import REGIMES, Regime, check_record, classify

Progress = Callable[[str, int, int], None]
#: finite-n runs of the page, at least; so many more, of so many times the dimension, tell what finite n shifts
RUNS, LARGER, TIMES = 8, 4, 4
#: noises scanned, from a fifth of the model's to two and a half times the largest that any feature survives
SCAN = 24


def solvable_report(
    model: Solvable, path: str | Path = "report", *, data: bool = False, progress: Progress | None = None
) -> Path:
    """Predict, integrate, simulate (exact chain), compare and write the page.

    The page is one file that needs no other. What does not apply to the model (closed forms need f(x) = x and the hard
    constraint) is left out, with its reason on the page. All or nothing: it is written when everything is computed, and
    only where there is nothing, an empty folder or a former report.

    Args:
        path: a folder, in which the page is index.html, or the file itself where the name ends in .html.
        data: beside the page, in the folder: ode.nc, runs.nc, larger.nc (more dimensions), agreement.nc, scan.nc,
            theory.json, model.toml.
        progress: called with (stage, done, total).

    Returns:
        The path of the page.

    Units:
        On the page beside each number.

    Raises:
        InputError: a place that holds something else, ``data`` with one file, or too few records.
        KeyboardInterrupt: when interrupted.

    Source:
        The model of Wang, Hu, Lu, NeurIPS 2019 (arXiv:1805.08349).
    """
    with claimed(path, data) as target:
        return _written(model, target, progress)


def _written(model: Solvable, target: Target, progress: Progress | None) -> Path:
    """``solvable_report`` at its place: everything computed, then written."""
    several = model.replace({"runs": max(model.runs, RUNS)})
    check_record(several, several.n)
    check_record(model)
    tick = progress or (lambda stage, done, total: None)
    tick("ODE", 0, 1)
    ode = solve_ode(model)
    (found,) = classify(ode)
    runs = simulate_solvable(several, progress=lambda done, total: tick("simulate", done, total))
    if runs.attrs["status"] == "interrupted":
        raise KeyboardInterrupt
    more = model.replace({"runs": LARGER, "n": TIMES * model.n})
    larger = simulate_solvable(more, progress=lambda done, total: tick("simulate larger n", done, total))
    if larger.attrs["status"] == "interrupted":
        raise KeyboardInterrupt
    outcomes = classify(runs, n=model.n)
    table = compare_solvable(several, runs, ode, outcomes, larger)
    theory: dict[str, Any] = {}
    scan, missing = None, {}
    try:
        theory = limits.theory(model)
        scan = _scan(model, theory["boundaries"], lambda done, total: tick("scan", done, total))
    except InputError as error:
        missing["predicted regimes, fixed points and scan over noise"] = str(error)
    about = model.provenance()

    def fill(draft: Draft) -> None:
        _figures(draft, model, ode, runs, scan, theory)
        draft.dataset("ode.nc", ode, "the macroscopic ODE")
        draft.dataset("runs.nc", runs, "the finite-n runs")
        draft.dataset("larger.nc", larger, f"the runs at n = {more.n}")
        draft.dataset("agreement.nc", table.to_dataset().assign_attrs(about), "the agreement table")
        if scan is not None:
            draft.dataset("scan.nc", scan, "regimes over noise")
        draft.text("model.toml", about["model"], "the model")
        if theory:
            draft.text("theory.json", json_text(theory), "prediction, boundaries and fixed points")
        sections = {"model": "Model", "agreement": "Agreement", "figures": "Figures", "points": "Fixed points",
                    "provenance": "Provenance"}  # fmt: skip
        if not theory.get("fixed_points"):
            del sections["points"]
        draft.page(
            "report.html.j2", __package__, sections=list(sections.items()),
            verdict=_verdict(found.label, theory), about=about, failures=missing,
            headline=_headline(model, found, outcomes, theory), rows=agreement_table(table), unmatched=table.unmatched,
            assumptions=table.assumptions, points=theory.get("fixed_points", []),
            boundaries={limits.boundary_words(k): v for k, v in theory.get("boundaries", {}).items()},
        )  # fmt: skip

    index = written(target, fill)
    tick("write", 1, 1)
    return index


def _scan(model: Solvable, edges: dict[str, float], progress: Callable[[int, int], None]) -> xr.Dataset:
    top = 1.25 * max(max(v for k, v in edges.items() if k.startswith("noise_feature")), model.noise)
    low = min(edges["noise_success"] / 3, model.noise, top / 8)
    return solvable_phase(model, ("noise", low, top, SCAN), progress=progress)


def _verdict(label: str, theory: dict[str, Any]) -> str:
    predicted = theory.get("predicted", {}).get("regime")
    if predicted is None:
        return f"The training ends in {label}"
    if predicted == label:
        return f"The training ends in {label}, as predicted"
    return f"The training ends in {label}; predicted: {predicted}"


def _headline(model: Solvable, found: Regime, outcomes: tuple[Regime, ...], theory: dict[str, Any]) -> list[str]:
    counts = Counter(r.label for r in outcomes)
    return [
        f"ODE: {found.label}" + (f" ({found.note})" if found.note else ""),
        f"{len(outcomes)} runs of the exact chain at n = {model.n}{_asked(model, len(outcomes))}: "
        + ", ".join(f"{c} {label}" for label, c in counts.most_common()),
        *([f"Predicted: {theory['predicted']['regime']}; {theory['predicted']['reason']}"] if theory else []),
    ]


def _asked(model: Solvable, runs: int) -> str:
    """Why there are more runs than the model asks for."""
    if runs == model.runs:
        return ""
    return f" (the model's own is runs = {model.runs}; this page takes {runs}, for standard errors)"


def scanned(model: Solvable) -> str:
    """What the scan over noise varies, and what it keeps."""
    both = model.fake_noise is None or model.fake_noise == model.noise
    what = "of data and generator alike (eta_T = eta_G)"
    if model.fake_noise is not None:
        what = f"of the data, eta_T, the generator's kept at eta_G = {model.eta_G:g}"
        what += " (equal to the model's own)" if both else ""
    return (
        f"End state of the ODE against noise {what}; learning rates as in the model, tau = {model.tau:g} of the "
        f"discriminator and taut = {model.taut:g} of the generator"
    )


def _figures(
    draft: Draft, model: Solvable, ode: xr.Dataset, runs: xr.Dataset, scan: xr.Dataset | None, theory: dict[str, Any]
) -> None:
    draft.figure(
        "overlaps",
        _alt_overlaps(ode, runs),
        f"Overlaps of the ODE (lines) and of one run at n = {model.n} (dots). "
        "|P_ll| = 1: feature l is learnt; q -> 0: the discriminator is fooled.",
        lambda: plot_overlaps(ode, runs),
    )
    if scan is None:
        return
    names = {"noise_success": "P = I loses stability", "noise_rotation": "every rotation of it has lost stability"}
    # the formulas are of equal noise on both sides
    lines = {name: theory["boundaries"][k] for k, name in names.items() if model.d > 1 and model.fake_noise is None}
    draft.figure(
        "scan",
        f"{_alt_scan(scan)} This model is at {model.noise:.3g}.",
        f"{scanned(model)}. Background: predicted regime. Thick line: this model, noise {model.noise:g}.",
        lambda: plot_solvable_scan(scan, lines=lines, own=model.noise),
    )


def _alt_overlaps(ode: xr.Dataset, runs: xr.Dataset) -> str:
    said = []
    for i in range(ode.sizes["feature"]):
        ends = [float(np.abs(ds["P"].isel(run=0, feature=i, fake=i).values[-1])) for ds in (ode, runs)]
        said.append(f"|P{i + 1}{i + 1}| ends at {ends[0]:.3g} by the ODE and {ends[1]:.3g} in the run")
    return f"Overlaps against time, the ODE and one run at finite n: {'; '.join(said)}."


def _alt_scan(scan: xr.Dataset) -> str:
    noise, codes = scan["first"].values, scan["predicted"].values
    starts = [0, *(i for i in range(1, len(codes)) if codes[i] != codes[i - 1])]
    said = [f"{REGIMES[codes[i]]} from {noise[i]:.3g}" for i in starts]
    return f"Coverage of each feature and activity at the end of the ODE against noise; predicted: {', '.join(said)}."
