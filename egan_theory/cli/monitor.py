"""`egan monitor`: what a monitored training says, and its page."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..console.answer import Answer
from ..console.shared import Figure, Json


def monitor(
    runs: Annotated[str, typer.Argument(metavar="runs.nc", help="Run file that eg.Monitor writes, finished or not.")],
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write the page: HTML, or .json as --json prints it."),
    ] = None,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """A training that eg.Monitor looks at: its multipliers over time, and what the latest say. While it runs, too."""
    answer = Answer(json, output, figure, inputs=[runs], form="html")
    from ..monitoring.reading import monitor as read
    from ..runs.reading import open_runs
    from ..show import plot
    from ..show.monitored import page

    ds = open_runs(runs)
    found = read(ds)

    def text() -> list[Any]:
        table = [found.rich("Analyses")] if found.analyses else []
        return [*table, *found.remarks]

    answer.give(found.to_dict(), text, draw=lambda: plot.monitor(ds), page=lambda: page(ds, found))


__all__ = ["monitor"]
