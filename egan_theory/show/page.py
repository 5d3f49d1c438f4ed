"""The report: every prediction of one experiment, its simulation and their agreement, as one HTML file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import xarray as xr

from ..base.terminal import cell
from ..base.threads import threads_for
from ..comparison.agreement import Agreement
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..predict.left import part, resolved
from ..runs.outcome import outcomes
from ..runs.schema import variable
from ..symbolic import derive
from ..tables.penalties import strength_field, strength_title
from . import powers, words
from .answers import answers, verdict
from .apart import why_apart
from .boundaries import RATIO, table_rows
from .diagram import curves_text, diagram_text
from .drawings import Drawing, drawings
from .folder import Draft, Target, claimed, written
from .frequency import on_frequency
from .glossary import GLOSSARY
from .lighter import left_out
from .moving import moving_on
from .own import fitted, origin
from .stages import Progress, Results, compute
from .unsaid import unsaid

#: file of the points of a target that had one, beside the page
POINTS = "points.nc"
#: eigenvalues listed on the page
LISTED = 24
#: sections of the page, in its order
SECTIONS = (
    ("answer", "Answer"),
    ("spectrum", "Spectrum and damping"),
    ("strength", "Best strength"),
    ("collapse", "Collapse"),
    ("simulation", "Simulation"),
    ("agreement", "Agreement"),
    ("unsaid", "What could not be said"),
    ("method", "Method"),
    ("experiment", "Experiment and provenance"),
    ("definitions", "Definitions"),
)


@takes_experiment
def report(
    exp: Experiment | None = None,
    path: str | Path = "report",
    *,
    data: bool = False,
    penalty: str = "r1",
    runs: xr.Dataset | None = None,
    progress: Progress | None = None,
) -> Path:
    """Predict, simulate, compare and write the page. Default: the built-in ring.

    The page is one file that needs no other. What is impossible for the experiment is left out, with its reason on the
    page. All or nothing: it is written when everything is computed, and only where there is nothing, an empty folder or
    a former report (whose files are replaced).

    Args:
        path: a folder, in which the page is index.html, or the file itself where the name ends in .html.
        data: beside the page, in the folder, the numbers: spectrum.nc (or powers.nc), frequency.nc, runs.nc,
            random.nc (runs from random starts), strength.nc, phase.nc, branch.nc, agreement.nc, boundaries.json,
            regularizer.json, experiment.toml, derivation.md, points.nc (those of a target that has them in a file).
        penalty: whose strength is advised.
        runs: runs of your own, reported on instead; then nothing is simulated, the sweep of strengths included.
        progress: called with (stage, done, total) as the work advances.

    Returns:
        The path of the page.

    Shapes:
        runs: the run schema, particles (run, time, particle, component) of the experiment's numbers.

    Units:
        On the page beside each number, and as attribute ``units`` in the files.

    Raises:
        InputError: a place that holds something else, ``data`` with one file, a penalty that is none, or runs that do
            not fit the experiment.

    Assumes:
        What each of ``eg.spectrum``, ``eg.best_regularizer``, ``eg.reached``, ``eg.thresholds``, ``eg.branch`` and
        ``eg.phase`` assumes; the page says it of each figure.

    Source:
        theory.md, whose equations the page cites.
    """
    exp = Experiment() if exp is None else exp
    penalty = strength_field(penalty)[0]
    with claimed(path, data) as target:
        return _written(exp, target, penalty, runs, progress)


def _written(exp: Experiment, target: Target, penalty: str, runs: xr.Dataset | None, progress: Progress | None) -> Path:
    """``report`` at its place: everything computed, then written."""
    own = None if runs is None else fitted(exp, runs)
    if own is not None:  # runs that do not say what they are of
        own = own.assign(outcome=variable("outcome", outcomes(own, exp)))
    size = exp.discriminator.features + exp.generator.particles * exp.dimension
    with threads_for(float(size) ** 3):
        results = compute(exp, penalty, progress or (lambda stage, done, total: None), own)
    drawn = drawings(results)

    def fill(draft: Draft) -> None:
        for i, drawing in enumerate(drawn):
            draft.pictures.append(drawing.picture())
            if progress is not None:
                progress("figures", i + 1, len(drawn))
        _data(results, draft)
        _page(results, draft, drawn)

    index = written(target, fill)
    if progress is not None:
        progress("write", 1, 1)
    return index


def _data(r: Results, draft: Draft) -> None:
    """Write the numbers."""
    datasets: dict[str, tuple[xr.Dataset | None, str]] = {
        POINTS: (_points(r.exp), "the points of the target and their weights"),
        "spectrum.nc": (r.spectrum, "eigenvalues, damping ratios and regimes"),
        "powers.nc": (None if r.powers is None else r.powers.laws, "powers of time, mode by mode"),
        "frequency.nc": (
            None if r.frequency is None else r.frequency.to_dataset(),
            "learning times of wavenumbers, by discriminator kernel",
        ),
        "runs.nc": (r.runs, f"the {'simulated' if r.runs is None else origin(r.runs)} runs"),
        "random.nc": (r.scattered, "the runs simulated from random starts"),
        "strength.nc": (
            r.swept,
            "left of what can move of a kick, over the penalty's strength, simulated and predicted",
        ),
        "phase.nc": (r.phase, "margins of the mechanisms over kernel ratio and strength"),
        "branch.nc": (None if r.branch is None else r.branch.to_dataset(), "the branch diagram"),
        "agreement.nc": (None if r.table is None else r.table.to_dataset(), "the agreement table"),
    }
    for name, (ds, what) in datasets.items():
        if ds is not None:
            foreign = ds is r.runs  # the user's runs, if they do not say of what: their seed is not ours to tell
            about = {"experiment": _toml(r.exp)} if foreign else provenance(r.exp)
            told = ds if "experiment" in ds.attrs else ds.assign_attrs(about)
            draft.dataset(name, _beside(told, r.exp), what)
    texts = {
        "experiment.toml": (_toml(r.exp), "the experiment"),
        "derivation.md": (derive().to_markdown(), "the derivation, as Markdown"),
    }
    for name, found, what in (
        ("boundaries.json", r.boundaries, "the thresholds"),
        ("regularizer.json", r.regularizer, "the best strength"),
    ):
        if found is not None:
            texts[name] = (json.dumps(found.to_dict(), indent=2) + "\n", what)
    for name, (text, what) in texts.items():
        draft.text(name, text, what)


def _toml(exp: Experiment, points: str = POINTS) -> str:
    """The experiment, its points in the file beside it: where they lay on this machine is nobody's business."""
    return _elsewhere(str(provenance(exp)["experiment"]), exp, points)


def _elsewhere(text: str, exp: Experiment, points: str = POINTS) -> str:
    """TOML of an experiment with the points file of ``exp``, with another name in its place."""
    path = getattr(exp.target, "path", None)
    return text if path is None else text.replace(tomli_w.dumps({"path": path}), tomli_w.dumps({"path": points}))


def _beside(ds: xr.Dataset, exp: Experiment) -> xr.Dataset:
    """The Dataset, its experiment as ``_toml``."""
    if not isinstance(ds.attrs["experiment"], str):
        return ds
    return ds.assign_attrs(experiment=_elsewhere(ds.attrs["experiment"], exp))


def _points(exp: Experiment) -> xr.Dataset | None:
    """The points that a file held, as ``target.path`` takes them; None for other targets."""
    if getattr(exp.target, "path", None) is None:
        return None
    Y, weights, _ = exp.points
    return xr.Dataset(
        {
            "points": (("point", "component"), Y, {"long_name": "points of the target", "units": "length"}),
            "weights": (("point",), weights, {"long_name": "their weights", "units": "1"}),
        }
    )


def _eigenvalues(spectrum: xr.Dataset) -> list[dict[str, Any]]:
    names = ("eigenvalue_re", "eigenvalue_im", "multiplicity", "damping_ratio", "regime")
    return [{n: spectrum[n].values[i] for n in names} for i in range(min(LISTED, spectrum.sizes["mode"]))]


def _said(r: Results) -> dict[str, list[str]]:
    """What each section says in sentences."""
    runs, simulated = r.runs, r.scattered
    out: dict[str, list[str]] = {
        "spectrum": [] if r.spectrum is None else [words.on_spectrum(r.spectrum, r.exp)],
        "strength": [] if r.regularizer is None else [words.on_regularizer(r.regularizer, r.exp)],
        "collapse": [] if r.branch is None else _branches(r),
        "phase": curves_text(r.curves) if r.curves is not None and r.curves.thresholds else [],
        "simulation": [] if runs is None else words.on_runs(runs, r.exp),
        "agreement": [words.on_agreement(r.table, r.agreement is not None, runs)],
    }
    if r.powers is not None:
        out["spectrum"] = powers.sentences(r.powers, r.exp)
        out["strength"] = [powers.strength(r.powers, r.exp, r.penalty).text]
    if r.frequency is not None:
        out["spectrum"] += on_frequency(r.frequency)
        if r.spectrum is not None and (times := words.on_times(r.spectrum, r.exp)):
            out["spectrum"].append(times)
    if r.regularizer is not None:
        out["strength"] += words.on_endless(r.regularizer)
    if runs is not None and (growth := words.unseen_growth(r.spectrum, runs, r.exp)):
        out["simulation"].append(growth)
    if r.agreement is not None and (same := words.same_kicks(r.agreement, r.strength, r.swept)):
        out["agreement"].append(same.strip())
    if apart := why_apart(r.table, runs):
        out["agreement"].append(apart)
    if runs is not None and not r.own:
        out["simulation"] += left_out(r.exp, r.swept)
    if simulated is not None:
        slow = moving_on(r.spectrum, simulated, r.exp)
        out["simulation"].append(f"From random starts: {words.ends(simulated)} {slow}".strip())
    if runs is not None:
        out["agreement"] += words.on_distance(r.agreement, runs)
    return out


def _branches(r: Results) -> list[str]:
    """The branch diagram in words; its method and assumptions have places of their own."""
    assert r.branch is not None
    lines = [t for t in diagram_text(r.branch) if isinstance(t, str)]
    return [t for t in lines if not t.startswith(("Method: ", "Assumptions: "))]


def _strengths(r: Results) -> list[dict[str, str]]:
    """What the advised strength, half of it, double and none leave of what can move."""
    best = r.regularizer
    if best is None:
        return []
    unit = r.exp.update_rule.rate_unit.removeprefix("1/")
    rows: list[tuple[str, float, float, float]] = [("without", 0.0, best.moving_without, best.rate_without)]
    if best.helps and np.isfinite(best.best):
        rows += [
            ("half of it", best.best / 2, best.moving_at_half, best.rate_at_half),
            ("advised", best.best, best.moving, best.rate),
            ("double", 2 * best.best, best.moving_at_double, best.rate_at_double),
        ]
    return [
        {
            "which": which,
            "strength": cell(strength),
            "left": cell(left) if resolved(left) and np.isfinite(left) else part(left),
            "rate": words.rate_in_table(rate, left, unit),
        }
        for which, strength, left, rate in rows
    ]


def _page(r: Results, draft: Draft, drawn: list[Drawing]) -> None:
    table, about = r.table or Agreement(()), provenance(r.exp)
    methods = {
        "eigenvalues": None if r.spectrum is None else r.spectrum.attrs["method"],
        "powers of time": None if r.powers is None else r.powers.laws.attrs["method"],
        "learning times": None if r.frequency is None else r.frequency.method,
        "best strength": None if r.regularizer is None else r.regularizer.method,
        "random starts": None if r.reached is None else r.reached.method,
        "branch diagram": None if r.branch is None else r.branch.method,
        "phase diagram": None if r.phase is None else r.phase.attrs["method"],
        "comparison": table.method,
    }
    made = {picture.name: picture for picture in draft.pictures}
    draft.page(
        "page.html.j2",
        sections=SECTIONS,
        verdict=verdict(r),
        answers=answers(r),
        origin="simulated" if r.runs is None else origin(r.runs),
        said=_said(r),
        shown=[(d.section, made[d.name], d.words.assumes) for d in drawn],
        best=r.regularizer,
        strengths=_strengths(r),
        penalty=strength_title(r.penalty),
        ratio=float(r.exp.get(RATIO)),
        boundaries=[] if r.boundaries is None else table_rows(r.boundaries, r.reached),
        rows=words.agreement_table(table),
        unmatched=table.unmatched,
        assumptions=table.assumptions,
        eigenvalues=[] if r.spectrum is None else _eigenvalues(r.spectrum),
        modes=0 if r.spectrum is None else r.spectrum.sizes["mode"],
        powers=[] if r.powers is None else powers.rows(r.powers)[:LISTED],
        unit=words.per(r.exp),
        unsaid=unsaid(r),
        experiment=_toml(r.exp, POINTS if draft.folder else Path(getattr(r.exp.target, "path", None) or "").name),
        derivation=derive(),
        glossary=GLOSSARY,
        methods={k: v for k, v in methods.items() if v},
        seed=about["seed"] if r.runs is None else r.runs.attrs.get("seed", "not recorded"),
        versions=about["versions"],
        schema=about["schema_version"],
    )
