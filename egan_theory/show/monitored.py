"""The page of a monitored training: one HTML file that needs nothing beside it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import xarray as xr

from ..base.files import atomic, check_output
from ..games.modes import KINDS
from ..monitoring.reading import Monitored, monitor
from ..runs.reading import open_runs
from ..runs.schema import validate_runs
from . import plot
from .html import rendered
from .picture import picture
from .plot.monitored import panels

#: analyses listed on the page, the latest
LISTED = 60
#: of each figure: what it shows, for those who do not see it, and its caption
TEXTS = {
    "losses": ("Losses of discriminator and generator over training",
               "Losses as the loop reports them, each point the mean over the steps since the one before."),
    "moduli": ("Moduli of the leading multipliers over training, by kind",
               "Leading multipliers of one training step: what lies above 1 grows at every step."),
    "angles": ("Angles of the leading multipliers over training, by kind",
               "Their angles: 0 is no turning, 180 degrees a change of sign at every step."),
    "path": ("Cosine between the game's field and the path, over training",
             "Cosine between the game's vector field and the straight path from the weights of the analysis before to "
             "the present ones (Berard et al. 2020): 1, training goes straight on; about 0, the players turn; from "
             "positive at the present weights to negative beyond them, they come to rest."),
    "kernel": ("The generator's kernel numbers and their share of its kernel, over training",
               "The generator's two kernel numbers, and the share of its tangent kernel that they explain: the test of "
               "the effective model on this generator."),
    "strengths": ("R1 strength that is set and the one that theory advises, over training",
                  "R1 strength set, advised, and the edge of stability of the discriminator's own steps. With SGD "
                  "half of it is advised at most; with Adam the edge itself, beyond which its moments hold them."),
}  # fmt: skip


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
    pictures = [picture(name, *TEXTS[name], partial(plot.monitor, ds, what=name)) for name in panels(ds)]
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
        asked=found.asked,
        status=found.status,
        versions=ds.attrs.get("versions", "not recorded"),
        schema=ds.attrs.get("schema_version", "not recorded"),
    )


def verdict(found: Monitored) -> str:
    """The title."""
    if not found.analyses:
        return f"Training until step {found.last:g}: nothing measured yet"
    if found.status.startswith("diverged"):
        return f"Training {found.status}"
    latest = found.analyses[-1]
    since = "" if latest.step == found.last else f" (of {found.last:g} so far)"
    return f"Training at step {latest.step:g}{since}: {found.kind or 'no multipliers'}"


__all__ = ["monitor_page", "page"]
