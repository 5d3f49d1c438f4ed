"""Commands that predict: derive, spectrum, frequency, regularizer, threshold, phase, universality, advise.

Each imports what it runs when it runs.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..base.errors import InputError
from ..base.spelling import one_of
from ..base.terminal import progress_bar, stages
from ..console.answer import Answer, complain
from ..console.shared import ExperimentFile, Figure, Json, Output, Text, load, load_if_given
from ..show import plot
from ..show.diagram import curves_text
from ..show.phase_text import phase_dataset, phase_json, phase_text
from ..show.text import power_laws_text, regularizer_text, spectrum_text, threshold_text

#: a spectrum that will take more seconds than this is announced
WORTH_SAYING = 5.0


def derive(
    latex: Annotated[bool, typer.Option("--latex", help="A LaTeX document instead of Markdown.")] = False,
    html: Annotated[
        bool, typer.Option("--html", help="A page for the browser, one file, instead of Markdown.")
    ] = False,
    output: Text = None,
    json: Json = False,
) -> None:
    """Print the theory: its text, its numbered equations, what SymPy derives."""
    answer = Answer(json, output)
    if latex and html:
        raise InputError("html", "not be given with --latex", "both")
    from ..symbolic import derive as derivation

    result = derivation()

    def data() -> dict[str, Any]:
        steps = [
            {
                "title": step.title,
                "explanation": step.explanation,
                "assumptions": step.assumptions,
                "equations": [
                    {"name": e.name, "number": e.number, "lhs": lhs, "relation": relation, "rhs": rhs}
                    for e in step.equations
                    for lhs, relation, rhs in e.parts
                ],
                "tables": [{"header": t.header, "rows": t.rows} for t in step.tables],
            }
            for step in result.steps
        ]
        return {"title": result.title, "steps": steps, "sources": result.sources}

    if html:
        from ..show.theory import theory_page

        text = theory_page(result)
    else:
        text = result.to_latex() if latex else result.to_markdown()
    answer.give_text(text, data)


def spectrum(
    experiment: ExperimentFile,
    output: Output = None,
    extreme: Annotated[
        int | None,
        typer.Option("--extreme", metavar="K", help="Only the K softest and K stiffest modes, without a matrix."),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option("--memory", metavar="GB", help="Use no more than this; default: 80 % of what is free."),
    ] = None,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """Eigenvalues, damping ratios and regimes of the modes."""
    answer = Answer(json, output, figure, inputs=[experiment])
    exp = load(experiment)
    from ..linear import cost, memory_limit
    from ..predict.spectrum import spectrum as predict
    from ..predict.spectrum import spectrum_json

    needed = cost(exp) if extreme is None else None
    if needed is not None and needed.seconds > WORTH_SAYING:
        complain(f"this needs {needed}")
    with memory_limit(memory):
        ds = predict(exp, extreme)
    data = spectrum_json(ds)
    answer.give(data, lambda: spectrum_text(data, exp.update_rule.rate_unit), ds, lambda: plot.eigenvalues(ds))


def frequency(
    experiment: ExperimentFile,
    collapsed: Annotated[
        bool,
        typer.Option("--collapsed", help="Also where the collapsed state attracts (a simulation per kernel)."),
    ] = False,
    output: Output = None,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """What is learnt when: the learning time of every wavenumber, which one separates two modes, and how the boundary
    in the kernel ratio moves between discriminator kernels.
    """
    answer = Answer(json, output, figure, inputs=[experiment])
    exp = load(experiment)
    from ..predict.learning import frequency as predict
    from ..show.frequency import frequency_text

    with progress_bar("learning times") as update:
        found = predict(exp, collapsed=collapsed, progress=update)
    answer.give(found.to_dict(), lambda: frequency_text(found), found.to_dataset(), lambda: plot.frequency(found))


def powers(experiment: ExperimentFile, output: Output = None, json: Json = False, figure: Figure = None) -> None:
    """How training against averages over all of the past converges: powers of time, mode by mode.

    For [memory] generator or discriminator = "uniform", where nothing decays exponentially.
    """
    answer = Answer(json, output, figure, inputs=[experiment])
    exp = load(experiment)
    from ..predict.play import power_laws, power_laws_json
    from ..show import plot

    ds = power_laws(exp)
    data = power_laws_json(ds)

    answer.give(data, lambda: power_laws_text(data, exp.update_rule.time_unit), ds, lambda: plot.power_laws(ds))


def regularizer(
    experiment: ExperimentFile,
    penalty: Annotated[
        str, typer.Option("--penalty", metavar="NAME", help="A key of [penalty], or likelihood.")
    ] = "r1",
    horizon: Annotated[
        float | None,
        typer.Option(
            "--horizon", metavar="T", help="Length of the training in steps (flow: time); default: run.steps."
        ),
    ] = None,
    safety: Annotated[
        float, typer.Option("--safety", metavar="FACTOR", help="Stay this factor below the edge of stability.")
    ] = 2.0,
    output: Output = None,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """The strength of a penalty that leaves least of a kick after the training one has time for."""
    answer = Answer(json, output, figure, inputs=[experiment], form="json")
    exp = load(experiment)
    from ..predict.regularizer import best_regularizer
    from ..tables.penalties import strength_field

    key, path = strength_field(penalty)
    with progress_bar(f"scanning {path}") as update:
        result = best_regularizer(exp, key, horizon, update, safety=safety)
    data = result.to_dict()
    answer.give(data, lambda: regularizer_text(data, exp.update_rule.rate_unit), draw=lambda: plot.left(result))


def threshold(
    experiment: ExperimentFile,
    vary: Annotated[
        str, typer.Option("--vary", metavar="PATH[=LOW:HIGH]", help="A real-valued field, e.g. generator.kernel.ratio.")
    ],
    mechanism: Annotated[
        list[str] | None,
        typer.Option("--mechanism", metavar="NAME", help="Only this mechanism (repeatable); default: all."),
    ] = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Thresholds in one parameter: where the spread state stops resting, the collapsed state attracts, time is short.

    Says of each what holds on either side of it, and what the spread state becomes: a small orbit with all modes kept,
    or a jump.

    Default range: 0 to 1 for the kernel ratio, 0 to 0.99 for momenta, else a factor 100 either side of the value.
    """
    answer = Answer(json, output, inputs=[experiment])
    exp = load(experiment)
    from ..predict.threshold import thresholds

    with progress_bar("thresholds") as update:
        result = thresholds(exp, vary, mechanisms=mechanism or None, progress=update)
    answer.give(result.to_dict(), lambda: threshold_text(result, exp.update_rule.rate_unit), result.to_dataset())


def phase(
    experiment: ExperimentFile,
    vary: Annotated[
        list[str] | None, typer.Option("--vary", metavar="PATH=LOW:HIGH:POINTS[:log]", help="An axis; give two.")
    ] = None,
    mechanism: Annotated[
        list[str] | None,
        typer.Option("--mechanism", metavar="NAME", help="Only this mechanism (repeatable); default: the quick ones."),
    ] = None,
    simulated: Annotated[
        int, typer.Option("--simulate", metavar="POINTS", help="Also simulate this many values of each axis.")
    ] = 0,
    start: Annotated[
        str, typer.Option("--start", metavar="random|kick", help="Where the simulated runs start.")
    ] = "random",
    sweep: Annotated[
        str | None,
        typer.Option("--sweep", metavar="STORE.zarr", help="Compare with this sweep ('egan sweep'); its axes."),
    ] = None,
    curves: Annotated[
        bool,
        typer.Option("--curves", help="Also what is born along the threshold of the spread state, and folds."),
    ] = False,
    output: Output = None,
    figure: Figure = None,
    json: Json = False,
) -> None:
    """Predicted phase diagram over two parameters: the boundary of each mechanism, and what lies beyond it.

    With --simulate, run.runs runs per cell on a coarser grid (from random starts, or --start kick) are compared with
    it: the share of each outcome, and which kind was predicted where; with --sweep, those of a sweep.
    """
    answer = Answer(json, output, figure, inputs=[experiment])
    vary = vary or []
    if len(vary) != 2 and not (sweep and not vary):
        raise InputError("--vary", "be given twice, once for each axis", f"{len(vary)} times")
    if sweep and simulated:
        raise InputError("--simulate", "not be given together with --sweep")
    start = one_of("--start", start, ("random", "kick"))
    if simulated < 0 or simulated == 1:
        raise InputError("--simulate", "be at least 2 (or 0: nothing is simulated)", simulated)
    exp = load(experiment)
    from ..predict.phase import QUICK, parse_axes
    from ..predict.phase import phase as predict
    from .sweep import phase_runs

    axes, swept = phase_runs(exp, sweep, vary) if sweep else (parse_axes(exp, vary), None)
    if simulated:
        from ..simulation.memory import check_cell

        exp = exp.replace({"run.start": start})  # predictions that depend on it are of the starts simulated
        check_cell(exp, {}, recorded=False)
    with stages("phase diagram") as update:
        found = predict(exp, *axes, mechanisms=mechanism or QUICK, progress=update)
        runs, compared = swept, None
        if simulated or runs is not None:
            from ..sweeps.phase import DEFAULT, compare_phase, simulate_phase

            if runs is None:
                coarse = [axis.coarser(simulated) for axis in axes]
                runs = simulate_phase(
                    exp, *coarse, start=start, progress=lambda done, total: update("simulating", done, total)
                )
            compared = compare_phase(exp, runs, mechanisms=mechanism or DEFAULT, progress=update)
        lines = None
        if curves:
            from ..predict.curves import curves as along

            lines = along(exp, *axes, progress=update)
    data = phase_json(found, runs, compared)
    ds = phase_dataset(found, runs, compared)
    if lines is not None:
        data["curves"] = lines.to_dict()
        ds = ds.merge(lines.to_dataset(), combine_attrs="override")
    text = lambda: [*phase_text(data), *([] if lines is None else curves_text(lines))]  # noqa: E731
    answer.give(data, text, ds, lambda: plot.phase(found, runs, compared, curves=lines))


def universality(
    experiment: Annotated[
        str | None,
        typer.Argument(
            metavar="[E.toml]", help="With [generator.architecture]; - for standard input; default: every activation."
        ),
    ] = None,
    output: Output = None,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """Kernel numbers g1, g2 of a generator network, the scatter of its kernel's entries, and their limit with depth."""
    answer = Answer(json, output, figure, inputs=[experiment], form="json")
    exp = load_if_given(experiment)
    arch = None if exp is None else exp.generator.architecture
    if exp is not None and arch is None:
        raise InputError(f"{experiment or 'built-in'}: generator.architecture", "be given")
    from ..show.universality import universality as numbers
    from ..show.universality import universality_text

    data = numbers(arch)
    answer.give(data, lambda: universality_text(data), draw=lambda: plot.universality(arch))


def advise(
    experiment: ExperimentFile,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="FILE", help="Samples, .npy (M, ...) or .nc; default: the target's points."),
    ] = None,
    gram: Annotated[
        str | None,
        typer.Option("--gram", metavar="FILE", help="Gram matrix of your own network (.npy) in place of the file's."),
    ] = None,
    points: Annotated[int, typer.Option("--points", metavar="M", help="Points of the Gram matrix.")] = 0,
    dimension: Annotated[int, typer.Option("--dimension", metavar="D", help="Coordinates of each of them.")] = 0,
    horizon: Annotated[
        float | None,
        typer.Option("--horizon", metavar="T", help="Steps of training (flows: time); default: run.steps."),
    ] = None,
    generated: Annotated[
        str | None,
        typer.Option("--generated", metavar="FILE", help="Generated samples (.npy): how far they are from the data."),
    ] = None,
    later: Annotated[
        str | None,
        typer.Option("--later", metavar="FILE", help="Gram matrix at another time of training: how far it moved."),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", metavar="M", help="Points of a mini-batch; 0: 16, or all.")] = 0,
    batches: Annotated[int, typer.Option("--batches", metavar="N", help="Mini-batches.")] = 4,
    initialisations: Annotated[int, typer.Option("--initialisations", metavar="N", help="Fresh networks.")] = 4,
    seed: Annotated[int, typer.Option("--seed", help="Of the choice of mini-batches.")] = 0,
    output: Output = None,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """The R1 strength for a network and data: what it leaves after so many steps, and what it rests on."""
    answer = Answer(json, output, figure, inputs=[experiment, data, gram, generated, later], form="json")
    exp = load(experiment)
    from .advise import advise as found

    with progress_bar("advice") as update:
        advice = found(
            exp, data, gram, points, dimension, batch=batch, generated=generated, later=later, horizon=horizon,
            batches=batches, initialisations=initialisations, seed=seed, progress=update,
        )  # fmt: skip
    from ..advice.words import advice_text

    answer.give(advice.to_dict(), lambda: advice_text(advice), draw=lambda: plot.advice(advice))
