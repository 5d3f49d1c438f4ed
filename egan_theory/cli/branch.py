"""egan branch: the bifurcation diagram of an experiment."""

from __future__ import annotations

from typing import Annotated

import typer

from ..base.terminal import progress_bar
from ..console.answer import Answer
from ..console.shared import ExperimentFile, Figure, Json, Output, load
from ..show import plot


def branch(
    experiment: ExperimentFile,
    vary: Annotated[
        str, typer.Option("--vary", metavar="PATH[=LOW:HIGH]", help="A real-valued field, e.g. generator.kernel.ratio.")
    ],
    at: Annotated[
        list[float] | None, typer.Option("--at", metavar="VALUE", help="Also the orbits at this value (repeatable).")
    ] = None,
    collapsed: Annotated[
        int, typer.Option("--collapsed", metavar="POINTS", help="Values at which the collapsed state is simulated.")
    ] = 13,
    output: Output = None,
    figure: Figure = None,
    json: Json = False,
) -> None:
    """What takes the place of the spread state beyond its thresholds: orbits, their size, stability and folds.

    Beside them the equilibrium and the collapsed state. Default range: 0 to 1 for the kernel ratio, 0 to 0.99 for
    momenta, else a factor 100 either side of the value. Ctrl-C ends it with what was found.
    """
    answer = Answer(json, output, figure, inputs=[experiment])
    exp = load(experiment)
    from ..predict.branch import branch as predict
    from ..show.diagram import diagram_text

    with progress_bar("branches") as update:
        found = predict(exp, vary, at=at or (), collapsed=collapsed, progress=update)
    answer.give(found.to_dict(), lambda: diagram_text(found), found.to_dataset(), lambda: plot.branch(found))
