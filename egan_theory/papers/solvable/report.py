"""The report on one solvable model: theory, ODE, finite-n runs and their agreement, as an HTML page with its data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined

from ...base.errors import InputError
from ...base.netcdf import save
from ...show.folder import INDEX, claim, staged
from ...show.plots import agreement_table
from ...show.style import detached, write
from .compare import compare_solvable
from .figures import plot_overlaps, plot_solvable_scan
from .finite import simulate_solvable
from .fixed_points import fixed_points
from .model import Solvable, provenance
from .ode import solve_ode
from .phase import solvable_phase
from .regimes import boundaries, classify, predict_regime

Progress = Callable[[str, int, int], None]
#: finite-n runs of the page, at least
RUNS = 8
#: noises scanned, from a fifth of the model's to two and a half times the largest that any feature survives
SCAN = 24


def solvable_report(model: Solvable, directory: str | Path = "report", *, progress: Progress | None = None) -> Path:
    """Predict, integrate, simulate (exact chain), compare and write the page; returns the path of its index.html.

    Beside the page: figures (PNG), ode.nc, runs.nc, agreement.nc, scan.nc, theory.json, model.toml. What does not apply
    to the model (closed forms need f(x) = x and the hard constraint) is left out, with its reason on the page.
    All or nothing, as ``show.page.report``. Raises InputError: a folder of something else, too few records.
    """
    folder = claim(directory)
    tick = progress or (lambda stage, done, total: None)
    missing: dict[str, str] = {}
    tick("ODE", 0, 1)
    ode = solve_ode(model)
    (found,) = classify(ode)
    several = model.replace({"runs": max(model.runs, RUNS)})
    runs = simulate_solvable(several, progress=lambda done, total: tick("simulate", done, total))
    if runs.attrs["status"] == "interrupted":
        raise KeyboardInterrupt
    outcomes = classify(runs, n=model.n)
    table = compare_solvable(several, runs, ode, outcomes)
    theory: dict[str, Any] = {}
    scan: xr.Dataset | None = None
    try:
        theory = {
            "predicted": predict_regime(model).to_dict(), "boundaries": boundaries(model),
            "fixed_points": [p.to_dict() for p in fixed_points(model)],
        }  # fmt: skip
        edges = theory["boundaries"]
        top = 1.25 * max(max(v for k, v in edges.items() if k.startswith("noise_feature")), model.noise)
        low = min(edges["noise_success"] / 3, model.noise, top / 8)
        scan = solvable_phase(
            model, f"noise={low!r}:{top!r}:{SCAN}", progress=lambda done, total: tick("scan", done, total)
        )
    except InputError as error:
        missing["predicted regimes, fixed points and scan over noise"] = str(error)
    with staged(folder) as temporary:
        figures = _figures(model, temporary, ode, runs, scan, theory)
        data = _data(model, temporary, ode, runs, table.to_dataset(), scan, theory)
        counts = Counter(r.label for r in outcomes)
        text = _template().render(
            verdict=_verdict(found.label, theory), model=data_model(model), figures=figures, data=data,
            headline=[
                f"ODE: {found.label}" + (f" ({found.note})" if found.note else ""),
                f"{len(outcomes)} runs of the exact chain at n = {model.n}: "
                + ", ".join(f"{c} {label}" for label, c in counts.most_common()),
                *([f"Predicted: {theory['predicted']['regime']}; {theory['predicted']['reason']}"] if theory else []),
            ],
            rows=agreement_table(table), unmatched=table.unmatched, assumptions=table.assumptions, failures=missing,
            points=theory.get("fixed_points", []), boundaries=theory.get("boundaries", {}), about=provenance(model),
        )  # fmt: skip
        (temporary / INDEX).write_text(text, encoding="utf-8")
    tick("write", 1, 1)
    return folder / INDEX


def _verdict(label: str, theory: dict[str, Any]) -> str:
    predicted = theory.get("predicted", {}).get("regime")
    if predicted is None:
        return f"The training ends in {label}"
    if predicted == label:
        return f"The training ends in {label}, as predicted"
    return f"The training ends in {label}; predicted: {predicted}"


def data_model(model: Solvable) -> str:
    """The model's TOML, or why it has none."""
    return str(provenance(model)["model"])


def _figures(
    model: Solvable, folder: Path, ode: xr.Dataset, runs: xr.Dataset, scan: xr.Dataset | None, theory: dict[str, Any]
) -> list[dict[str, str]]:
    with detached():
        write(plot_overlaps(ode, runs), folder / "overlaps.png")
    out = [{
        "file": "overlaps.png", "alt": "Overlaps against time, ODE and one finite-n run",
        "caption": f"Overlaps of the ODE (lines) and of one run at n = {model.n} (dots). "
        "|P_ll| = 1: feature l is learnt; q -> 0: the discriminator is fooled.",
    }]  # fmt: skip
    if scan is not None:
        lines = {k: theory["boundaries"][k] for k in ("noise_success", "noise_rotation") if model.d > 1}
        with detached():
            write(plot_solvable_scan(scan, lines=_named(lines)), folder / "scan.png")
        out.append({
            "file": "scan.png", "alt": "Coverage and activity at the end against noise",
            "caption": "End state of the ODE against noise (eta_T = eta_G). Background: predicted regime.",
        })  # fmt: skip
    return out


def _named(lines: dict[str, float]) -> dict[str, float]:
    names = {"noise_success": "P = I loses stability", "noise_rotation": "every rotation of it has lost stability"}
    return {names[k]: v for k, v in lines.items()}


def _data(
    model: Solvable, folder: Path, ode: xr.Dataset, runs: xr.Dataset, table: xr.Dataset, scan: xr.Dataset | None,
    theory: dict[str, Any],
) -> list[tuple[str, str]]:  # fmt: skip
    out = []
    for name, ds, what in (
        ("ode.nc", ode, "the macroscopic ODE"),
        ("runs.nc", runs, "the finite-n runs"),
        ("agreement.nc", table.assign_attrs(provenance(model)), "the agreement table"),
        ("scan.nc", scan, "regimes over noise"),
    ):
        if ds is not None:
            save(ds, folder / name)
            out.append((name, what))
    texts = {"model.toml": (data_model(model), "the model")}
    if theory:
        texts["theory.json"] = (json.dumps(theory, indent=2) + "\n", "prediction, boundaries and fixed points")
    for name, (text, what) in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
        out.append((name, what))
    return out


def _template() -> Any:
    loader = PackageLoader("egan_theory", "show")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # the look of the other report: its style sheet stands in its page
    page = loader.get_source(environment, "page.html.j2")[0]
    environment.globals["style"] = page.split("<style>")[1].split("</style>")[0]
    return environment.get_template("solvable.html.j2")
