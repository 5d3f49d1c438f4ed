"""Commands that predict: derive, spectrum, regularizer, threshold, phase, universality, advise.

Each imports what it runs when it runs.
"""

from __future__ import annotations

from typing import Annotated, Any, Optional

import typer

from ..base.errors import InputError
from ..console.shared import (
    ExperimentFile,
    Figure,
    Json,
    Output,
    Text,
    complain,
    json_file,
    load,
    load_if_given,
    new_file,
    outputs,
    plot_function,
    save,
    show_text,
    written,
)
from ..show.text import (
    per,
    phase_dataset,
    phase_json,
    phase_text,
    power_laws_text,
    regularizer_text,
    spectrum_text,
    threshold_text,
)

#: a spectrum that will take more seconds than this is announced
WORTH_SAYING = 5.0


def derive(
    latex: Annotated[bool, typer.Option("--latex", help="A LaTeX document instead of Markdown.")] = False,
    output: Text = None,
    json: Json = False,
) -> None:
    """Print the theory: its text, its numbered equations, what SymPy derives."""
    out = None if output is None else new_file(output)
    from ..symbolic import derive as derivation

    result = derivation()
    data: dict[str, Any] = {}
    if json or (out is not None and out.suffix.lower() == ".json"):
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
        data = {"title": result.title, "steps": steps, "sources": result.sources}
    show_text(result.to_latex() if latex else result.to_markdown(), data, out, json)


def spectrum(
    experiment: ExperimentFile,
    output: Output = None,
    extreme: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--extreme", metavar="K", help="Only the K softest and K stiffest modes, without a matrix."),
    ] = None,
    memory: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--memory", metavar="GB", help="Use no more than this; default: 80 % of what is free."),
    ] = None,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """Eigenvalues, damping ratios and regimes of the modes."""
    from ..base.terminal import save_figure, show, show_json

    out, picture = outputs(output, figure, experiment)
    exp = load(experiment)
    from ..linear import cost, memory_limit
    from ..predict import spectrum as predict
    from ..predict import spectrum_json

    plot = plot_function("plot_eigenvalues", picture)
    needed = cost(exp) if extreme is None else None
    if needed is not None and needed.seconds > WORTH_SAYING:
        complain(f"this needs {needed}")
    with memory_limit(memory):
        ds = predict(exp, extreme)
    data = spectrum_json(ds)
    save(ds, out, data)
    if picture:
        save_figure(plot, ds, picture)
    if json:
        show_json(data)
    else:
        show(*spectrum_text(data, per(exp)), *written(out, picture))


def powers(experiment: ExperimentFile, output: Output = None, json: Json = False) -> None:
    """How training against averages over all of the past converges: powers of time, mode by mode.

    For [memory] generator or discriminator = "uniform", where nothing decays exponentially.
    """
    from ..base.terminal import show, show_json

    out, _ = outputs(output, None, experiment)
    exp = load(experiment)
    from ..predict.play import power_laws, power_laws_json

    ds = power_laws(exp)
    data = power_laws_json(ds)
    save(ds, out, data)
    if json:
        show_json(data)
    else:
        show(*power_laws_text(data, per(exp).removeprefix("1/")), *written(out))


def regularizer(
    experiment: ExperimentFile,
    penalty: Annotated[
        str, typer.Option("--penalty", metavar="NAME", help="A key of [penalty], or likelihood.")
    ] = "r1",
    horizon: Annotated[
        Optional[float],  # noqa: UP045
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
    from ..base.terminal import progress_bar, save_figure, show, show_json

    out = json_file(output, experiment)
    _, picture = outputs(output, figure, experiment)
    exp = load(experiment)
    from ..predict import best_regularizer
    from ..tables.penalties import strength_field

    key, path = strength_field(penalty)
    plot = plot_function("plot_left", picture)
    with progress_bar(f"scanning {path}") as update:
        result = best_regularizer(exp, key, horizon, update, safety=safety)
    save(None, out, result.to_dict())
    if picture:
        save_figure(plot, result, picture)
    if json:
        show_json(result.to_dict())
    else:
        show(*regularizer_text(result.to_dict(), per(exp)), *written(out, picture))


def threshold(
    experiment: ExperimentFile,
    vary: Annotated[
        str, typer.Option("--vary", metavar="PATH[=LOW:HIGH]", help="A real-valued field, e.g. generator.kernel.ratio.")
    ],
    mechanism: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--mechanism", metavar="NAME", help="Only this mechanism (repeatable); default: all."),
    ] = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Where one parameter makes the cloud collapse, one threshold per mechanism.

    Default range: 0 to 1 for the kernel ratio, 0 to 0.99 for momenta, else a factor 100 either side of the value.
    """
    from ..base.terminal import progress_bar, show, show_json

    out, _ = outputs(output, None, experiment)
    exp = load(experiment)
    from ..predict.threshold import thresholds

    with progress_bar("thresholds") as update:
        result = thresholds(exp, vary, mechanisms=mechanism or None, progress=update)
    save(result.to_dataset(), out, result.to_dict())
    if json:
        show_json(result.to_dict())
    else:
        show(*threshold_text(result.to_dict(), per(exp)), *written(out))


def phase(
    experiment: ExperimentFile,
    vary: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--vary", metavar="PATH=LOW:HIGH:POINTS[:log]", help="An axis; give two."),
    ] = None,
    mechanism: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--mechanism", metavar="NAME", help="Only this mechanism (repeatable); default: the quick ones."),
    ] = None,
    simulated: Annotated[
        int, typer.Option("--simulate", metavar="POINTS", help="Also simulate this many values of each axis.")
    ] = 0,
    sweep: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--sweep", metavar="STORE.zarr", help="Compare with this sweep ('egan sweep'); its axes."),
    ] = None,
    output: Output = None,
    figure: Figure = None,
    json: Json = False,
) -> None:
    """Predicted phase diagram over two parameters: where each mechanism makes the cloud lose modes.

    With --simulate, run.runs runs per cell from random starts on a coarser grid are compared with it, and the share of
    each outcome is shown; with --sweep, those of a sweep.
    """
    from ..base.terminal import save_figure, show, show_json, stages

    out, picture = outputs(output, figure, experiment)
    vary = vary or []
    if len(vary) != 2 and not (sweep and not vary):
        raise InputError("--vary", "be given twice, once for each axis", f"{len(vary)} times")
    if sweep and simulated:
        raise InputError("--simulate", "not be given together with --sweep")
    if simulated < 0 or simulated == 1:
        raise InputError("--simulate", "be at least 2 (or 0: nothing is simulated)", simulated)
    exp = load(experiment)
    from ..predict.phase import QUICK, parse_axes
    from ..predict.phase import phase as predict

    swept = None
    if sweep:
        from .sweep import phase_runs

        axes, swept = phase_runs(exp, sweep, vary)
    else:
        axes = parse_axes(exp, vary)
    plot = plot_function("plot_phase", picture)
    with stages("phase diagram") as update:
        found = predict(exp, *axes, mechanisms=mechanism or QUICK, progress=update)
        runs = compared = None
        if simulated or swept is not None:
            from ..sweeps.phase import compare_phase, simulate_phase

            runs = swept
            if runs is None:
                coarse = [axis.coarser(simulated) for axis in axes]
                runs = simulate_phase(exp, *coarse, progress=lambda done, total: update("simulating", done, total))
            compared = compare_phase(exp, runs, mechanisms=mechanism or QUICK, progress=update)
    data = phase_json(found, runs, compared)
    save(phase_dataset(found, runs, compared), out, data)
    if picture:
        save_figure(lambda ds, ax: plot(ds, runs, compared, ax=ax), found, picture, size=(8.6, 6.2))
    if json:
        show_json(data)
    else:
        show(*phase_text(data), *written(out, picture))


def universality(
    experiment: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(
            metavar="[E.toml]", help="With [generator.architecture]; - for standard input; default: every activation."
        ),
    ] = None,
    output: Output = None,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """Kernel numbers g1, g2 of a generator network, the scatter of its kernel's entries, and their limit with depth."""
    from ..base.terminal import save_figure, show, show_json

    out = json_file(output, experiment)
    _, picture = outputs(output, figure, experiment)
    exp = load_if_given(experiment)
    arch = None if exp is None else exp.generator.architecture
    if exp is not None and arch is None:
        raise InputError(f"{experiment or 'built-in'}: generator.architecture", "be given")
    from ..show.universality import plot_universality, universality_text
    from ..show.universality import universality as numbers

    data = numbers(arch)
    save(None, out, data)
    if picture:
        save_figure(plot_universality, arch, picture, size=(7.6, 4.6))
    if json:
        show_json(data)
    else:
        show(*universality_text(data), *written(out, picture))


def advise(
    experiment: ExperimentFile,
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--data", metavar="FILE", help="Samples, .npy (M, ...) or .nc; default: the target's points."),
    ] = None,
    gram: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--gram", metavar="FILE", help="Gram matrix of your own network (.npy) in place of the file's."),
    ] = None,
    points: Annotated[int, typer.Option("--points", metavar="M", help="Points of the Gram matrix.")] = 0,
    dimension: Annotated[int, typer.Option("--dimension", metavar="D", help="Coordinates of each of them.")] = 0,
    horizon: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--horizon", metavar="T", help="Steps of training (flows: time); default: run.steps."),
    ] = None,
    generated: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--generated", metavar="FILE", help="Generated samples (.npy): how far they are from the data."),
    ] = None,
    later: Annotated[
        Optional[str],  # noqa: UP045
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
    from ..base.terminal import progress_bar, save_figure, show, show_json

    out = json_file(output, experiment, data, gram, generated, later)
    _, picture = outputs(output, figure, experiment, data, gram, generated, later)
    exp = load(experiment)
    from .advise import advise as found

    with progress_bar("advice") as update:
        advice = found(
            exp, data, gram, points, dimension, batch=batch, generated=generated, later=later, horizon=horizon,
            batches=batches, initialisations=initialisations, seed=seed, progress=update,
        )  # fmt: skip
    save(None, out, advice.to_dict())
    if picture:
        from ..show.advised import plot_advice

        save_figure(plot_advice, advice, picture, size=(7.6, 5.0))
    if json:
        show_json(advice.to_dict())
    else:
        from ..advice.words import advice_text

        show(*advice_text(advice), *written(out, picture))
