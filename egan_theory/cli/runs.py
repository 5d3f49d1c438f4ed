"""Commands that simulate or read runs: simulate, compare, compare-remedies, report.

Each imports what it runs when it runs.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..base.errors import InputError
from ..base.files import check_room
from ..base.signals import keeping
from ..base.terminal import progress_bar, stages
from ..console.answer import Answer, complain
from ..console.shared import (
    FAILED,
    Data,
    ExperimentFile,
    Figure,
    Json,
    NewFile,
    Output,
    Page,
    load,
    load_if_given,
    new_page,
)
from ..show import plot
from ..show.text import compare_text, run_summary, run_text


def simulate(
    experiment: ExperimentFile,
    output: NewFile,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """Simulate the particles and record the runs. Ctrl-C, or a cluster's SIGTERM, ends early and keeps what was
    recorded."""
    answer = Answer(json, output, figure, inputs=[experiment], form="netcdf")
    exp = load(experiment)
    from ..simulation.memory import check_samples, samples
    from ..simulation.run import simulate as run
    from ..simulation.start import announced

    check_samples(exp, exp.run.runs)
    check_room(output, samples(exp, exp.run.runs))
    if (message := announced(exp)) is not None:
        complain(message)
    with keeping():
        with progress_bar("simulating") as update:
            ds = run(exp, progress=update)
        data = run_summary(ds, str(answer.out))
        answer.give(data, lambda: run_text(data, exp.update_rule.time_unit), ds, lambda: plot.cloud(ds))
    if data["status"] == "interrupted":
        reached = f"interrupted at step {data['steps']} of {exp.run.steps}"
        complain(f"{reached}: {output} holds the {data['samples']} samples until then")
        raise typer.Exit(FAILED)


def compare(
    experiment: ExperimentFile,
    runs: Annotated[str, typer.Argument(metavar="runs.nc", help="Run file ('egan simulate' or your own) or sweep.")],
    output: Output = None,
    json: Json = False,
) -> None:
    """Predicted against measured, with error bars."""
    answer = Answer(json, output, inputs=[experiment, runs])
    exp = load(experiment)
    from ..sweeps.reading import is_sweep

    if is_sweep(runs):
        from .sweep import compare_command

        return compare_command(exp, runs, answer)
    from ..comparison.compare import RUNS
    from ..comparison.compare import compare as agree
    from ..runs.outcome import counts, outcomes, tally
    from ..runs.reading import open_runs

    ds = open_runs(runs)
    try:
        agreement, codes = agree(exp, ds), outcomes(ds, exp)
    except InputError as error:
        raise InputError(runs if error.field == RUNS else error.field, error.must, error.found) from None
    data = agreement.to_dict() | {"outcomes": counts(codes)}
    became = f"What became of the {len(codes)} runs: {tally(codes)}."
    answer.give(data, lambda: [*compare_text(agreement), became], agreement.to_dataset())


def remedies(
    experiment: ExperimentFile,
    pairs: Annotated[bool, typer.Option("--pairs/--single", help="Also every two remedies together.")] = True,
    output: Output = None,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """Remedies side by side, each at its predicted best strength, predicted and simulated.

    R1, weight decay, a likelihood term, a discriminator at its best response, more critic steps, averaged opponents,
    several samples judged at once.
    Printed: slowest decay rates, margin of stability, the kernel ratio at which the spread equilibrium becomes
    unstable and what a step costs: evaluations of gradients, and products relative to the experiment as given; pairs
    only where both are of use.
    """
    answer = Answer(json, output, figure, inputs=[experiment])
    exp = load(experiment)
    from ..comparison.remedies import compare_remedies

    with progress_bar("remedies") as update:
        found = compare_remedies(exp, pairs=pairs, progress=update)

    def text() -> list[Any]:
        left = [f"Best left out here: {', '.join(found.idle)}"] if found.idle else []
        if found.at_the_end:
            left.append(f"Best at the largest value tried, more may be better still: {', '.join(found.at_the_end)}")
        unused = [f"{u['name']}: {u['reason']}" for u in found.unused]
        return [found.rich(f"Slowest decay rates [{exp.update_rule.rate_unit}]"), *left, *unused]

    answer.give(found.to_dict(), text, found.to_dataset(), lambda: plot.remedies(found))


def report(
    output: Page,
    experiment: Annotated[
        str | None,
        typer.Argument(metavar="[E.toml]", help="Experiment file; - for standard input; default: the built-in ring."),
    ] = None,
    runs: Annotated[
        str | None,
        typer.Option("--runs", metavar="FILE", help="Report on these runs of the experiment; nothing is simulated."),
    ] = None,
    data: Data = False,
    json: Json = False,
) -> None:
    """All of the above on one HTML page, in one file that needs no other."""
    target = new_page(output, data)
    if runs is not None and experiment is None:
        raise InputError("E.toml", "be given with --runs", "no experiment file")
    exp = load_if_given(experiment)
    given: dict[str, Any] = {"data": True} if data else {}
    if runs is not None:
        from ..runs.reading import open_runs

        given["runs"] = open_runs(runs)
    from ..show.page import report as write

    with stages("report") as update:
        index = write(exp, target, progress=update, **given)
    Answer(json).give_page(target, index)
