"""The page of a monitored training: one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..base.files import atomic, check_output
from ..base.terminal import cell
from ..games.modes import KINDS
from ..monitoring.reading import Monitored, monitor
from ..monitoring.words import UNIT
from ..runs.reading import open_runs
from ..runs.schema import validate_runs
from . import plot
from .html import rendered
from .picture import picture
from .plot.monitored import known, multipliers, panels

#: analyses listed on the page, the latest
LISTED = 60
#: caption of each figure
CAPTIONS = {
    "losses": "Losses as the loop reports them, each point the mean over the steps since the one before.",
    "moduli": "Leading multipliers of one training step: what lies above 1 grows at every step.",
    "angles": "Their angles: 0 is no turning, 180 degrees a change of sign at every step.",
    "path": "Cosine between the game's vector field and the straight path from the weights of the analysis before to "
            "the present ones (Berard et al. 2020): 1, training goes straight on; about 0, the players turn.",
    "kernel": "How the generator's tangent kernel changes, and whether the effective model fits this generator.",
    "strengths": f"Strength of the R1 penalty, in {UNIT} of the samples.",
}  # fmt: skip
#: what a caption says besides where the variable was recorded
MORE = {
    "path": {"path_angle_beyond": "From positive at the present weights to negative beyond them, they come to rest."},
    "kernel": {
        "kernel_g1": f"g1 and g2 are its two kernel numbers, in {UNIT} of the samples.",
        "kernel_share": "The share is the part of the kernel that two numbers explain.",
    },
    "strengths": {
        "strength_r1": "Set: the strength trained with.",
        "strength_advised": "Advised: what theory advises for the steps that remain.",
        "strength_edge": "Edge: up to where the discriminator's own steps are stable; with SGD half of it is advised "
                         "at most, with Adam the edge itself, beyond which its moments hold them.",
    },
}  # fmt: skip
#: settings of the Monitor in words, and their units
SETTINGS = {
    "every": ("analysis every", "steps"),
    "share": ("part of the training time aimed at, besides the latest analysis and what was done before it", ""),
    "products": ("products with the training step's Jacobian per analysis, at most", ""),
    "count": ("multipliers kept", ""),
    "parts": ("measured", ""),
    "horizon": ("length of the whole training", "steps"),
    "loss": ("loss", ""),
    "alternating": ("the generator sees the new discriminator", ""),
    "critic_steps": ("discriminator steps per generator step", ""),
    "lazy": ("steps from one penalty to the next", ""),
    "penalty": ("penalties", UNIT),
}
#: what a figure shows, and its variables with what they are, for those who do not see it
SHOWN = {
    "losses": ("Losses over training", {"loss_discriminator": "discriminator", "loss_generator": "generator"}),
    "path": ("Cosine between the game's field and the path, over training", {
        "path_angle_start": "at the weights before", "path_angle": "at the present weights",
        "path_angle_beyond": "a quarter beyond"}),
    "kernel": ("The generator's kernel numbers over training", {
        "kernel_g1": f"g1 ({UNIT})", "kernel_g2": f"g2 ({UNIT})", "kernel_share": "share explained by the two"}),
    "strengths": ("R1 strengths over training", {
        "strength_r1": f"set ({UNIT})", "strength_advised": f"advised ({UNIT})",
        "strength_edge": f"edge of the discriminator's steps ({UNIT})"}),
}  # fmt: skip
#: kinds that say nothing by themselves, in a title
TITLES = {"drift": "drift, it is still under way", "decay": "decay, it comes to rest"}


def monitor_page(
    runs: xr.Dataset | str | Path, output: str | Path = "monitor.html", *, overwrite: bool = False
) -> Path:
    """Write the page of what an ``eg.Monitor`` recorded, figures inlined. While training runs, too.

    Returns:
        The path of the file.

    Shapes:
        runs: the run schema with dimensions (run, time, multiplier), or the path of its file.

    Units:
        On the page beside each number: multipliers per training step, times in steps.

    Raises:
        InputError: ``runs`` of no Monitor, an output that is there (without ``overwrite``) or cannot be written.

    Source:
        What the runs hold; path angle: Berard et al. 2020.
    """
    file = check_output(output, field="output", overwrite=overwrite)
    ds = validate_runs(runs) if isinstance(runs, xr.Dataset) else open_runs(runs)
    text = page(ds, monitor(ds))
    with atomic(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return file


def page(ds: xr.Dataset, found: Monitored) -> str:
    """The page's text."""
    pictures = [
        picture(name, _alt(ds, name), _caption(ds, name), partial(plot.monitor, ds, what=name)) for name in panels(ds)
    ]
    head, rows = found.grid()
    return rendered(
        "monitored.html.j2",
        verdict=verdict(found),
        headline=found.remarks,
        failures={": ".join(parts[:-1]): parts[-1] for parts in (text.split(": ", 2) for text in found.failures)},
        pictures=pictures,
        sections=[
            ("figures", "Figures"),
            *([("analyses", "Analyses")] if found.analyses else []),
            ("provenance", "Method and provenance"),
        ],
        head=head,
        rows=list(rows)[-LISTED:],
        total=len(found.analyses),
        kinds=KINDS,
        asked=_asked(found.asked),
        status=found.status,
        versions=ds.attrs.get("versions", "not recorded"),
        schema=ds.attrs.get("schema_version", "not recorded"),
    )


def _caption(ds: xr.Dataset, name: str) -> str:
    """What is drawn."""
    more = (text for variable, text in MORE.get(name, {}).items() if known(ds, variable)[1].size)
    return " ".join([CAPTIONS[name], *more])


def _asked(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings of the Monitor in words; of ``share`` only where it was used."""
    out = []
    for name, value in settings.items():
        if value is None or (name == "share" and settings.get("every") is not None):
            continue
        label, unit = SETTINGS.get(name, (name.replace("_", " "), ""))
        out.append((label, _said(value, unit)))
    return out


def _said(value: Any, unit: str) -> str:
    after = f" {unit}" if unit else ""
    if isinstance(value, dict):
        return (
            ", ".join(f"{key.upper()} {cell(v)}{after if key in ('r1', 'r2') else ''}" for key, v in value.items())
            or "none"
        )
    if isinstance(value, list):
        return ", ".join(map(cell, value)) or "nothing"
    return f"{cell(value)}{after}"


def _alt(ds: xr.Dataset, name: str) -> str:
    """What the figure shows of this training: from what to what each number went."""
    if name in SHOWN:
        what, of = SHOWN[name]
        courses = (_course(*known(ds, n), label) for n, label in of.items())
        return f"{what}: {'; '.join(filter(None, courses))}."
    modes = multipliers(ds)
    last = max((time.max() for _, time, _ in modes), default=0.0)
    largest = {kind: z[time == last][np.abs(z[time == last]).argmax()] for kind, time, z in modes if last in time}
    largest_said = [
        f"{kind} {abs(z):.6g}" if name == "moduli" else f"{kind} {np.degrees(abs(np.angle(z))):.3g} degrees"
        for kind, z in largest.items()
    ]
    what = "Moduli of the leading multipliers" if name == "moduli" else "Angles of the largest multipliers"
    return f"{what} over training, by kind; at the latest analysis, step {last:g}: {', '.join(largest_said)}."


def _course(time: np.ndarray, values: np.ndarray, label: str) -> str:
    if not len(values):
        return ""
    if len(values) == 1:
        return f"{label} {values[0]:.3g}"
    return f"{label} from {values[0]:.3g} at step {time[0]:g} to {values[-1]:.3g} at step {time[-1]:g}"


def verdict(found: Monitored) -> str:
    """The title."""
    if not found.analyses:
        return f"Training until step {found.last:g}: nothing measured yet"
    if found.status.startswith("diverged"):
        return f"Training {found.status}"
    latest = found.analyses[-1]
    so_far = "" if found.status == "finished" else " so far"
    since = "" if latest.step == found.last else f" (of {found.last:g}{so_far})"
    kind = found.kind or "no multipliers"
    return f"Training at step {latest.step:g}{since}: {TITLES.get(kind, kind)}"


__all__ = ["monitor_page", "page"]
