"""The report: every prediction of one experiment, its simulation and their agreement, as an HTML page with its data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..base.errors import EganError, InputError
from ..comparison.agreement import Agreement
from ..comparison.compare import compare
from ..comparison.left import compare_left, sweep_left
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..predict.learning import frequency
from ..predict.learnt import Frequency
from ..predict.left import left_over
from ..predict.regularizer import Regularizer, best_regularizer
from ..predict.spectrum import spectrum
from ..predict.threshold import Thresholds
from ..runs.outcome import outcomes
from ..runs.schema import variable
from ..simulation.run import simulate
from ..symbolic import derive
from ..tables.penalties import strength_field
from . import plot, words
from .boundaries import boundaries, headline, table_rows
from .folder import INDEX, Draft, claim, staged
from .frequency import caption_frequency, on_frequency
from .own import fitted, origin
from .picture import Slider
from .plot.runs import has_losses
from .slides import strength_slider

Progress = Callable[[str, int, int], None]

#: strengths simulated, relative to the advised one, and along how many directions each is kicked
SWEEP, DIRECTIONS = (1 / 30, 1 / 10, 1 / 3, 1 / 1.6, 1.0, 1.6, 3.0, 10.0), 4
#: eigenvalues listed on the page
LISTED = 24


@dataclass
class _Results:
    """What the stages found; ``failures``: stage to reason where one was impossible."""

    exp: Experiment
    penalty: str
    spectrum: xr.Dataset | None = None
    frequency: Frequency | None = None
    boundaries: Thresholds | None = None
    regularizer: Regularizer | None = None
    runs: xr.Dataset | None = None
    agreement: Agreement | None = None
    swept: xr.Dataset | None = None
    strength: Agreement | None = None
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def present(self) -> float | None:
        """Slowest rate of the experiment as it is."""
        return None if self.spectrum is None else float(self.spectrum.attrs["slowest_coupled_rate"])

    @property
    def table(self) -> Agreement | None:
        """Both comparisons as one."""
        parts = [a for a in (self.agreement, self.strength) if a is not None]
        if not parts:
            return None
        return Agreement(
            tuple(q for a in parts for q in a.quantities),
            tuple(u for a in parts for u in a.unmatched),
            "; ".join(dict.fromkeys(a.method for a in parts if a.method)),
            tuple(dict.fromkeys(text for a in parts for text in a.assumptions)),
        )


def report(
    exp: Experiment | None = None,
    directory: str | Path = "report",
    *,
    penalty: str = "r1",
    runs: xr.Dataset | None = None,
    progress: Progress | None = None,
) -> Path:
    """Predict, simulate, compare and write the page. Default: the built-in ring.

    What is impossible for the experiment is left out, with its reason on the page. All or nothing: it is written when
    everything is computed, and only where there is nothing, an empty folder or a former report (whose files are
    replaced).

    Args:
        directory: where index.html goes, and beside it spectrum.nc, frequency.nc, runs.nc, strength.nc, agreement.nc,
            regularizer.json, experiment.toml, derivation.md.
        penalty: whose strength is advised.
        runs: runs of your own, reported on instead; then nothing is simulated, the sweep of strengths included.
        progress: called with (stage, done, total) as the work advances.

    Returns:
        The path of index.html.

    Shapes:
        runs: the run schema, particles (run, time, particle, component) of the experiment's numbers.

    Units:
        On the page beside each number, and as attribute ``units`` in the files.

    Raises:
        InputError: a place that holds something else, a penalty that is none, or runs that do not
            fit the experiment.

    Source:
        theory.md, whose equations the page cites.
    """
    exp = Experiment() if exp is None else exp
    penalty = strength_field(penalty)[0]
    folder = claim(directory)
    own = None if runs is None else fitted(exp, runs)
    if own is not None:  # runs that do not say what they are of
        own = own.assign(outcome=variable("outcome", outcomes(own, exp)))
    results = _compute(exp, penalty, progress or (lambda stage, done, total: None), own)
    with staged(folder) as temporary:
        draft = Draft(temporary)
        _figures(results, draft, progress)
        _data(results, draft)
        _page(results, draft)
    if progress is not None:
        progress("write", 1, 1)
    return folder / INDEX


def _compute(exp: Experiment, penalty: str, progress: Progress, own: xr.Dataset | None) -> _Results:
    out = _Results(exp, penalty)

    def stage(name: str, work: Callable[[Callable[[int, int], None]], Any], *needs: str) -> Any:
        missing = [n for n in needs if n in out.failures]
        if missing:
            out.failures[name] = f"needs the result of: {', '.join(missing)}"
            return None
        progress(name, 0, 1)
        try:
            value = work(partial(progress, name))
        except (EganError, ArithmeticError, np.linalg.LinAlgError) as error:
            out.failures[name] = str(error) or type(error).__name__
            return None
        progress(name, 1, 1)
        return value

    out.spectrum = stage("spectrum", lambda tick: spectrum(exp))
    out.frequency = stage(
        "frequency", lambda tick: frequency(exp, progress=lambda done, total, _: tick(done, total)), "spectrum"
    )
    out.boundaries = stage("boundaries", lambda tick: boundaries(exp))
    out.regularizer = best = stage("regularizer", lambda tick: best_regularizer(exp, penalty, progress=tick))
    if own is not None:
        out.runs = own
        out.agreement = stage("compare", lambda tick: compare(exp, own))
        return out
    out.runs = runs = stage("simulate", lambda tick: simulate(exp, progress=tick))
    if runs is not None and runs.attrs.get("status") == "interrupted":
        raise KeyboardInterrupt
    out.agreement = stage("compare", lambda tick: compare(exp, runs), "simulate")
    out.swept = swept = stage("strength", lambda tick: _sweep(exp, best, tick), "regularizer")
    out.strength = stage("compare strength", lambda tick: compare_left(swept), "strength")
    return out


def _sweep(exp: Experiment, best: Regularizer, tick: Callable[[int, int], None]) -> xr.Dataset:
    centre = best.best if best.best > 0 else best.optimum
    if not centre > 0:
        raise InputError(strength_field(best.penalty)[1], "have a best strength above 0 to sweep around", centre)
    steps = max(int(best.horizon), 1)
    return sweep_left(exp, best.penalty, centre * np.array(SWEEP), steps, directions=DIRECTIONS, progress=tick)


def _figures(results: _Results, draft: Draft, progress: Progress | None) -> None:
    """Draw what there is, in the page's order."""
    r, drawings = results, []

    def add(name: str, alt: str, caption: str, draw: Callable[[], Any], slider: Slider | None = None) -> None:
        drawings.append((name, alt, caption, draw, slider))

    if (s := r.spectrum) is not None and s.sizes["mode"]:
        add("eigenvalues", "Eigenvalues in the complex plane, predicted and measured",
            words.caption_eigenvalues(s, r.agreement), lambda: plot.eigenvalues(s, r.agreement))  # fmt: skip
    if (best := r.regularizer) is not None:
        strength = float(r.exp.get(strength_field(r.penalty)[1]))
        present = (strength, left_over(r.exp, best.horizon).moving)
        add("strength", f"What training leaves of a kick against the strength of {r.penalty}, predicted and simulated",
            words.caption_strength(best, r.swept),
            lambda: plot.left(best, r.swept, present=present), strength_slider(best, r.swept))  # fmt: skip
    if s is not None and np.isfinite(s["wavenumber"].values).any():
        add("dispersion", "Decay rate and frequency of each mode against wavenumber", words.caption_dispersion(s),
            lambda: plot.dispersion(s))  # fmt: skip
    if (f := r.frequency) is not None:
        add("frequency", "Learning time against wavenumber, and the boundary in the kernel ratio, for each kernel",
            caption_frequency(f), lambda: plot.frequency(f))  # fmt: skip
    if s is not None and np.isfinite(s["damping_ratio"].values[s["coupled"].values != 0]).any():
        add("damping", "Damping ratio of each mode", words.caption_damping(s), lambda: plot.damping_ratio(s))
    if (runs := r.runs) is not None:
        add("relaxation", "Distance from equilibrium against time, one line per run",
            words.caption_relaxation(runs, r.agreement),
            lambda: plot.relaxation(runs, agreement=r.agreement))  # fmt: skip
        if has_losses(runs):
            add("losses", "Losses of discriminator and generator against time", words.caption_losses(runs),
                lambda: plot.losses(runs))  # fmt: skip
        add("cloud", "Particles and target points of one run", words.caption_cloud(runs),
            lambda: plot.cloud(runs))  # fmt: skip
    for i, drawing in enumerate(drawings):
        draft.figure(*drawing)
        if progress is not None:
            progress("figures", i + 1, len(drawings))


def _data(results: _Results, draft: Draft) -> None:
    """Write the numbers."""
    r = results
    datasets = {
        "spectrum.nc": (r.spectrum, "eigenvalues, damping ratios and regimes"),
        "frequency.nc": (
            None if r.frequency is None else r.frequency.to_dataset(),
            "learning times of wavenumbers, by discriminator kernel",
        ),
        "runs.nc": (r.runs, f"the {'simulated' if r.runs is None else origin(r.runs)} runs"),
        "strength.nc": (r.swept, "what is left of a kick over the penalty's strength, simulated and predicted"),
        "agreement.nc": (None if r.table is None else r.table.to_dataset(), "the agreement table"),
    }
    for name, (ds, what) in datasets.items():
        if ds is not None:
            foreign = ds is r.runs  # the user's runs, if they do not say of what: their seed is not ours to tell
            about = {"experiment": _toml(r.exp)} if foreign else provenance(r.exp)
            draft.dataset(name, ds if "experiment" in ds.attrs else ds.assign_attrs(about), what)
    texts = {
        "experiment.toml": (_toml(r.exp), "the experiment"),
        "derivation.md": (derive().to_markdown(), "the derivation, as Markdown"),
    }
    if r.boundaries is not None:
        texts["boundaries.json"] = (json.dumps(r.boundaries.to_dict(), indent=2) + "\n", "the boundaries")
    if r.regularizer is not None:
        texts["regularizer.json"] = (json.dumps(r.regularizer.to_dict(), indent=2) + "\n", "the best strength")
    for name, (text, what) in texts.items():
        draft.text(name, text, what)


def _toml(exp: Experiment) -> str:
    """The experiment, with a path that holds wherever the report is read from on this machine."""
    path = getattr(exp.target, "path", None)
    if path is not None:
        exp = exp.replace({"target.path": str(Path(path).resolve())})
    return str(provenance(exp)["experiment"])


def _headline(r: _Results) -> list[str]:
    lines = []
    if r.spectrum is not None:
        lines.append(words.on_spectrum(r.spectrum, r.exp))
    if r.frequency is not None:
        lines.append(" ".join(on_frequency(r.frequency)))
    if r.boundaries is not None and (said := headline(r.boundaries)):
        lines.append(said)
    if r.regularizer is not None:
        lines.append(words.on_regularizer(r.regularizer, r.exp))
    if r.runs is not None:
        lines += words.on_runs(r.runs, r.exp)
    lines.append(words.on_agreement(r.table, r.agreement is not None, r.runs))
    if r.runs is not None:
        lines += words.on_distance(r.agreement, r.runs)
    return lines


def _eigenvalues(spectrum: xr.Dataset) -> list[dict[str, Any]]:
    names = ("eigenvalue_re", "eigenvalue_im", "multiplicity", "damping_ratio", "regime")
    return [{n: spectrum[n].values[i] for n in names} for i in range(min(LISTED, spectrum.sizes["mode"]))]


def _page(r: _Results, draft: Draft) -> None:
    table, about = r.table or Agreement(()), provenance(r.exp)
    methods = {
        "eigenvalues": None if r.spectrum is None else r.spectrum.attrs["method"],
        "learning times": None if r.frequency is None else r.frequency.method,
        "best strength": None if r.regularizer is None else r.regularizer.method,
        "comparison": table.method,
    }
    sections = {
        "experiment": True,
        "agreement": True,
        "boundaries": r.boundaries is not None,
        "figures": True,
        "eigenvalues": r.spectrum is not None and r.spectrum.sizes["mode"] > 0,
        "derivation": True,
        "provenance": True,
    }
    draft.page(
        "page.html.j2",
        sections=[(name, name.capitalize()) for name, there in sections.items() if there],
        verdict=words.verdict(r.spectrum),
        origin="simulated" if r.runs is None else origin(r.runs),
        headline=_headline(r),
        failures=r.failures,
        experiment=_toml(r.exp),
        boundaries=[] if r.boundaries is None else table_rows(r.boundaries),
        rows=words.agreement_table(table),
        unmatched=table.unmatched,
        assumptions=table.assumptions,
        eigenvalues=[] if r.spectrum is None else _eigenvalues(r.spectrum),
        modes=0 if r.spectrum is None else r.spectrum.sizes["mode"],
        unit=words.per(r.exp),
        derivation=derive(),
        methods={k: v for k, v in methods.items() if v},
        seed=about["seed"] if r.runs is None else r.runs.attrs.get("seed", "not recorded"),
        versions=about["versions"],
        schema=about["schema_version"],
    )
