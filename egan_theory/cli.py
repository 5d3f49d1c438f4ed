"""The `egan` command. Nothing heavy is imported here: each command imports what it runs.

Exit codes: 0 done; 2 bad input, one line on stderr (what must hold, what was found, where); 1 failed run.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from . import __version__
from ._files import check_output, check_output_folder
from ._text import (
    compare_text,
    per,
    phase_dataset,
    phase_json,
    phase_text,
    regularizer_text,
    run_summary,
    run_text,
    side_tex,
    spectrum_text,
    threshold_text,
)
from .errors import EganError, InputError
from .models.solvable.command import solvable
from .published.command import published
from .sweeps.command import sweep

if TYPE_CHECKING:
    import xarray as xr

    from .experiment import Experiment

DONE, FAILED, BAD_INPUT = 0, 1, 2
TEMPLATES = ("ring", "grid", "mixture", "uniform", "points")
SOLVABLE = "solvable"
#: a spectrum that will take more seconds than this is announced
WORTH_SAYING = 5.0
#: what a template changes in the common part: its particles sit evenly on its points; the box has its own features
TEMPLATE_CHANGES = {
    "grid": {"length_scale = 0.5": "length_scale = 0.4"},
    "mixture": {"length_scale = 0.5": "length_scale = 0.3"},
    "uniform": {"particles = 64": "particles = 72", "features = 256 ": "features = 0   "},
    "points": {"particles = 64": "particles = 48", "length_scale = 0.5": "length_scale = 0.3"},
}

app = typer.Typer(
    name="egan",
    help="The theory of adversarial training, to compute with and to check. One experiment file drives everything.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(sweep)
app.add_typer(published)
app.add_typer(solvable)

ExperimentFile = Annotated[str, typer.Argument(metavar="E.toml", help="Experiment file; see 'egan new'.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Figure = Annotated[Optional[str], typer.Option("--figure", metavar="FILE", help="Also draw a .png, .pdf or .svg.")]  # noqa: UP045


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"egan-theory {__version__}")
        raise typer.Exit(DONE)
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def new(
    kind: Annotated[
        str, typer.Argument(metavar=f"[{'|'.join((*TEMPLATES, SOLVABLE))}]", help="Kind of target.")
    ] = "ring",
) -> None:
    """Print a commented experiment to edit."""
    sys.stdout.write(template(kind))


@app.command()
def derive(
    latex: Annotated[bool, typer.Option("--latex", help="A LaTeX document instead of Markdown.")] = False,
    json: Json = False,
) -> None:
    """Print the derivation of the theory, from SymPy."""
    from ._terminal import show_json
    from .symbolic import derive as derivation

    result = derivation()
    if json:
        from .symbolic.document import tex

        steps = [
            {
                "title": step.title,
                "explanation": step.explanation,
                "assumptions": step.assumptions,
                "equations": [
                    {"lhs": tex(e.lhs), "relation": e.relation, "rhs": side_tex(e.rhs)} for e in step.equations
                ],
                "tables": [{"header": t.header, "rows": t.rows} for t in step.tables],
            }
            for step in result.steps
        ]
        show_json({"title": result.title, "steps": steps, "sources": result.sources})
    else:
        sys.stdout.write(result.to_latex() if latex else result.to_markdown())


@app.command()
def spectrum(
    experiment: ExperimentFile,
    output: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("-o", "--output", metavar="FILE", help="Also write NetCDF."),
    ] = None,
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
    from ._terminal import save_figure, show, show_json

    out, picture = _outputs(output, figure, experiment)
    exp = _load(experiment)
    from .linear import cost, memory_limit
    from .predict import spectrum as predict
    from .predict import spectrum_json

    plot = _plot("plot_eigenvalues", picture)
    needed = cost(exp) if extreme is None else None
    if needed is not None and needed.seconds > WORTH_SAYING:
        _complain(f"this needs {needed}")
    with memory_limit(memory):
        ds = predict(exp, extreme)
    if out:
        _save(ds, out)
    if picture:
        save_figure(plot, ds, picture)
    data = spectrum_json(ds)
    if json:
        show_json(data)
    else:
        show(*spectrum_text(data, per(exp)), *_written(out, picture))


@app.command()
def regularizer(
    experiment: ExperimentFile,
    penalty: Annotated[
        str, typer.Option("--penalty", metavar="NAME", help="A key of [penalty], or likelihood.")
    ] = "r1",
    json: Json = False,
    figure: Figure = None,
) -> None:
    """The strength of a penalty that converges fastest."""
    from ._terminal import progress_bar, save_figure, show, show_json

    _, picture = _outputs(None, figure, experiment)
    exp = _load(experiment)
    from .penalties import strength_field
    from .predict import best_regularizer

    key, path = strength_field(penalty)
    plot = _plot("plot_rate_curve", picture)
    with progress_bar(f"scanning {path}") as update:
        result = best_regularizer(exp, key, progress=update)
    if picture:
        save_figure(plot, result, picture)
    if json:
        show_json(result.to_dict())
    else:
        show(*regularizer_text(result.to_dict(), per(exp)), *_written(picture))


@app.command()
def threshold(
    experiment: ExperimentFile,
    vary: Annotated[
        str, typer.Option("--vary", metavar="PATH[=LOW:HIGH]", help="A real-valued field, e.g. generator.kernel.ratio.")
    ],
    mechanism: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--mechanism", metavar="NAME", help="Only this mechanism (repeatable); default: all."),
    ] = None,
    output: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("-o", "--output", metavar="FILE", help="Also write NetCDF."),
    ] = None,
    json: Json = False,
) -> None:
    """Where one parameter makes the cloud collapse, one threshold per mechanism.

    Default range: 0 to 1 for the kernel ratio, 0 to 0.99 for momenta, else a factor 100 either side of the value.
    """
    from ._terminal import progress_bar, show, show_json

    out, _ = _outputs(output, None, experiment)
    path, low, high = _axis(vary)
    exp = _load(experiment)
    from .predict.threshold import thresholds

    with progress_bar("thresholds") as bar:

        def update(done: int, total: int, label: str) -> None:
            if bar is not None:
                bar(done, total, label)

        result = thresholds(exp, path, low, high, mechanisms=mechanism or None, progress=update)
    if out:
        _save(result.to_dataset(), out)
    if json:
        show_json(result.to_dict())
    else:
        show(*threshold_text(result.to_dict(), per(exp)), *_written(out))


@app.command()
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
    output: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("-o", "--output", metavar="FILE", help="Also write NetCDF."),
    ] = None,
    figure: Figure = None,
    json: Json = False,
) -> None:
    """Predicted phase diagram over two parameters: where each mechanism makes the cloud collapse.

    With --simulate, runs from random starts on a coarser grid are compared with it; with --sweep, those of a sweep.
    """
    from ._terminal import progress_bar, save_figure, show, show_json

    out, picture = _outputs(output, figure, experiment)
    vary = vary or []
    if len(vary) != 2 and not (sweep and not vary):
        raise InputError("--vary", "be given twice, once for each axis", f"{len(vary)} times")
    if sweep and simulated:
        raise InputError("--simulate", "not be given together with --sweep")
    if simulated < 0 or simulated == 1:
        raise InputError("--simulate", "be at least 2 (or 0: nothing is simulated)", simulated)
    exp = _load(experiment)
    from .predict.phase import QUICK, parse_axis
    from .predict.phase import phase as predict

    swept = None
    if sweep:
        from .sweeps.command import phase_runs

        axes, swept = phase_runs(exp, sweep, vary)
    else:
        axes = [parse_axis(exp, text) for text in vary]
    plot = _plot("plot_phase", picture)
    with progress_bar("phase diagram") as bar:

        def update(label: str, done: int, total: int) -> None:
            if bar is not None:
                bar(done, total, label)

        found = predict(exp, *axes, mechanisms=mechanism or QUICK, progress=update)
        runs = compared = None
        if simulated or swept is not None:
            from .comparison.phase import compare_phase, simulate_phase

            runs = swept
            if runs is None:
                coarse = [axis.coarser(simulated) for axis in axes]
                runs = simulate_phase(exp, *coarse, progress=lambda done, total: update("simulating", done, total))
            compared = compare_phase(exp, runs, mechanisms=mechanism or QUICK, progress=update)
    data = phase_json(found, runs, compared)
    if out:
        _save(phase_dataset(found, runs, compared), out)
    if picture:
        save_figure(lambda ds, ax: plot(ds, runs, compared, ax=ax), found, picture, size=(7.6, 5.6))
    if json:
        show_json(data)
    else:
        show(*phase_text(data), *_written(out, picture))


@app.command()
def simulate(
    experiment: ExperimentFile,
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="NetCDF file to write.")],
    json: Json = False,
    figure: Figure = None,
) -> None:
    """Simulate the particles and record the runs. Ctrl-C ends early and keeps what was recorded."""
    from ._terminal import check_memory, progress_bar, save_figure, show, show_json

    out, picture = _outputs(output, figure, experiment)
    assert out is not None
    exp = _load(experiment)
    from .simulation.run import simulate as run

    samples = exp.run.steps // exp.run.record_every + 1
    check_memory(
        "run.record_every", 8 * exp.run.runs * samples * exp.generator.particles * (2 * exp.dimension + 1) + 8 * samples
    )
    plot = _plot("plot_cloud", picture)
    with progress_bar("simulating") as update:
        ds = run(exp, progress=update)
    _save(ds, out)
    if picture:
        save_figure(plot, ds, picture)
    data = run_summary(ds, out)
    if json:
        show_json(data)
    else:
        show(*run_text(data, per(exp)), *_written(out, picture))
    if data["status"] == "interrupted":
        reached = f"interrupted at step {data['steps']} of {exp.run.steps}"
        _complain(f"{reached}: {out} holds the {data['samples']} samples until then")
        raise typer.Exit(FAILED)


@app.command()
def compare(
    experiment: ExperimentFile,
    runs: Annotated[str, typer.Argument(metavar="runs.nc", help="Run file ('egan simulate' or your own) or sweep.")],
    output: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("-o", "--output", metavar="FILE", help="Also write NetCDF."),
    ] = None,
    json: Json = False,
) -> None:
    """Predicted against measured, with error bars."""
    from ._terminal import show, show_json

    out, _ = _outputs(output, None, experiment, runs)
    exp = _load(experiment)
    from .sweeps.store import is_sweep

    if is_sweep(runs):
        from .sweeps.command import compare_command

        return compare_command(exp, runs, out, json)
    from .comparison.compare import compare as agree
    from .schema import open_runs

    agreement = agree(exp, open_runs(runs))
    if out:
        _save(agreement.to_dataset(), out)
    if json:
        show_json(agreement.to_dict())
    else:
        show(*compare_text(agreement.to_dict()), *_written(out))


@app.command()
def universality(
    experiment: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="[E.toml]", help="With [generator.architecture]; default: every activation."),
    ] = None,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """Kernel numbers g1, g2 of a generator network, the scatter of its kernel's entries, and their limit with depth."""
    from ._terminal import save_figure, show, show_json

    _, picture = _outputs(None, figure, *([experiment] if experiment else []))
    arch = None if experiment is None else _load(experiment).generator.architecture
    if experiment is not None and arch is None:
        raise InputError(f"{experiment}: generator.architecture", "be given")
    from .kernels.command import plot_universality, universality_text
    from .kernels.command import universality as numbers

    data = numbers(arch)
    if picture:
        save_figure(lambda a, ax: plot_universality(a, ax), arch, picture, size=(7.6, 4.6))
    if json:
        show_json(data)
    else:
        show(*universality_text(data), *_written(picture))


@app.command("compare-remedies")
def remedies(
    experiment: ExperimentFile,
    pairs: Annotated[bool, typer.Option("--pairs/--single", help="Also every two remedies together.")] = True,
    output: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("-o", "--output", metavar="DIR", help="Folder for the table (JSON, NetCDF) and its figure."),
    ] = None,
    json: Json = False,
) -> None:
    """Remedies side by side, each at its predicted best strength, predicted and simulated.

    R1, weight decay, a likelihood term, a discriminator at its best response, more critic steps, averaged opponents.
    Printed: slowest decay rates, margin of stability, the kernel ratio at which the spread equilibrium becomes unstable
    and the time of a step relative to the experiment as given; pairs only where both are of use.
    """
    from ._terminal import json_ready, progress_bar, save_figure, show, show_json, table

    folder = None if output is None else check_output_folder(output)
    exp = _load(experiment)
    from .comparison.remedies import compare_remedies

    with progress_bar("remedies") as bar:

        def update(done: int, total: int, label: str) -> None:
            if bar is not None:
                bar(done, total, label)

        found = compare_remedies(exp, pairs=pairs, progress=update)
    if folder is not None:
        import json as text

        from ._files import atomic
        from .reporting.remedied import plot_remedies

        folder.mkdir(exist_ok=True)
        with atomic(folder / "remedies.json") as name:
            name.write_text(text.dumps(json_ready(found.to_dict()), indent=1) + "\n", encoding="utf-8")
        _save(found.to_dataset(), folder / "remedies.nc")
        save_figure(plot_remedies, found, folder / "remedies.png", size=(8.4, 1.6 + 0.28 * len(found.rows)))
    if json:
        show_json(found.to_dict())
    else:
        title = f"Slowest decay rates [{per(exp)}]"
        show(table(title, found.HEAD, found.table()), *(f"{u['name']}: {u['reason']}" for u in found.unused))


@app.command()
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
    batch: Annotated[int, typer.Option("--batch", metavar="M", help="Points of a mini-batch; 0: 16, or all.")] = 0,
    batches: Annotated[int, typer.Option("--batches", metavar="N", help="Mini-batches.")] = 4,
    initialisations: Annotated[int, typer.Option("--initialisations", metavar="N", help="Fresh networks.")] = 4,
    seed: Annotated[int, typer.Option("--seed", help="Of the choice of mini-batches.")] = 0,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """The R1 strength for a network and data: what converges fastest, how sure that is, and what it rests on."""
    from ._terminal import progress_bar, save_figure, show, show_json

    _, picture = _outputs(None, figure, *(file for file in (experiment, data, gram) if file))
    exp = _load(experiment)
    from .networks.command import advise as found

    with progress_bar("advice") as update:
        advice = found(
            exp, data, gram, points, dimension, batch=batch, batches=batches, initialisations=initialisations,
            seed=seed, progress=update,
        )  # fmt: skip
    if picture:
        from .reporting.advised import plot_advice

        save_figure(plot_advice, advice, picture, size=(7.6, 5.0))
    if json:
        show_json(advice.to_dict())
    else:
        from .networks.advice import advice_text

        show(*advice_text(advice), *_written(picture))


@app.command()
def report(
    output: Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")],
    experiment: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="[E.toml]", help="Experiment file; default: the built-in ring."),
    ] = None,
    runs: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--runs", metavar="FILE", help="Report on these runs of the experiment; nothing is simulated."),
    ] = None,
    json: Json = False,
) -> None:
    """All of the above as an HTML page with figures and NetCDF."""
    from ._terminal import progress_bar, show, show_json

    folder = check_output_folder(output)
    if runs is not None and experiment is None:
        raise InputError("E.toml", "be given with --runs", "no experiment file")
    exp = None if experiment is None else _load(experiment)
    given: dict[str, Any] = {}
    if runs is not None:
        from .schema import open_runs

        given = {"runs": open_runs(runs)}
    from .reporting.page import report as write

    with progress_bar("report") as bar:

        def update(stage: str, done: int, total: int) -> None:
            if bar is not None:
                bar(done, total, stage)

        index = write(exp, folder, progress=update, **given)
    files = sorted(str(p) for p in Path(folder).rglob("*") if p.is_file())
    if json:
        show_json({"index": str(index), "folder": str(folder), "files": files})
    else:
        show(f"{len(files)} files in {folder}; open {index}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. Every error is one line on stderr."""
    command = typer.main.get_command(app)
    try:
        with _deferred_warnings() as pending:
            code = command.main(arguments, prog_name="egan", standalone_mode=False)
            sys.stdout.flush()
            for message in dict.fromkeys(pending):
                _complain(f"warning: {message}")
        if code == 130:  # typer's word for Ctrl-C
            return _fail("interrupted: nothing was written")
        return code if isinstance(code, int) else DONE
    except (BrokenPipeError, SystemExit):  # standalone_mode=False: typer ends the process for a broken pipe only
        return _reader_gone()
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted: nothing was written")
    except InputError as error:
        return _fail(str(error), BAD_INPUT)
    except EganError as error:
        return _fail(str(error), FAILED)
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error of the command line itself
            return _fail(_usage(error), BAD_INPUT)
        if os.environ.get("EGAN_TRACEBACK"):
            raise
        return _fail(_unexpected(error))


def template(kind: str) -> str:
    """The commented experiment of that kind of target, or the solvable model. Raises InputError for an unknown kind."""
    if kind not in (*TEMPLATES, SOLVABLE):
        raise InputError("kind", f"be one of {', '.join((*TEMPLATES, SOLVABLE))}", repr(kind))
    folder = Path(__file__).with_name("templates")
    if kind == SOLVABLE:
        return (folder / "solvable.toml").read_text(encoding="utf-8")
    common = (folder / "common.toml").read_text(encoding="utf-8")
    for old, now in TEMPLATE_CHANGES.get(kind, {}).items():
        common = common.replace(old, now, 1)
    text = (folder / f"{kind}.toml").read_text(encoding="utf-8")
    if kind == "points":
        # the example's own points, so that it runs as it is
        from json import dumps

        path = dumps(str(folder / "points.npy"))
        text = text.replace('path = "points.npy"', f"path = {path}  # an example of this package: put yours here")
    return text + common


# -- reading and writing -----------------------------------------------------------------------------------------


def _load(path: str) -> Experiment:
    """The experiment; a message says in which file."""
    from .experiment import Experiment

    try:
        return Experiment.from_toml(path)
    except InputError as error:
        if error.field in (path, "experiment"):
            raise
        raise InputError(f"{path}: {error.field}", error.must, error.found) from None


def _outputs(output: str | None, figure: str | None, *inputs: str) -> tuple[Path | None, Path | None]:
    """The checked output and figure paths: known to be writable before anything is computed."""
    from ._terminal import check_figure

    out = None if output is None else check_output(output, *inputs)
    picture = None if figure is None else check_figure(figure, *inputs)
    if out is not None and picture is not None and out.resolve() == picture.resolve():
        raise InputError("figure", "not be the output file", figure)
    return out, picture


def _axis(text: str) -> tuple[str, float | None, float | None]:
    """PATH or PATH=LOW:HIGH. Raises InputError."""
    path, given, ends = text.partition("=")
    if not given:
        return path, None, None
    low, _, high = ends.partition(":")
    try:
        return path, float(low), float(high)
    except ValueError:
        raise InputError("--vary", "be PATH or PATH=LOW:HIGH with numbers LOW and HIGH", repr(text)) from None


def _plot(name: str, picture: Path | None) -> Any:
    """The plot function if a figure is wanted, imported before anything long begins."""
    if picture is None:
        return None
    from .reporting import phases, plots

    return getattr(phases if hasattr(phases, name) else plots, name)


def _save(ds: xr.Dataset, path: Path) -> None:
    from .schema import save

    save(ds, path)


def _written(*paths: Path | None) -> list[str]:
    return [f"written: {path}" for path in paths if path is not None]


# -- errors ------------------------------------------------------------------------------------------------------


@contextmanager
def _deferred_warnings() -> Iterator[list[str]]:
    """Collect warnings, so that an error stays the only line on stderr; say nothing of failing destructors."""
    pending: list[str] = []
    hook = sys.unraisablehook
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: pending.append(str(message))
        sys.unraisablehook = lambda _: None  # h5netcdf's, of files that it could not open
        try:
            yield pending
        finally:
            sys.unraisablehook = hook


def _fail(message: str, code: int = FAILED) -> int:
    _complain(message)
    return code


def _complain(message: str) -> None:
    """One line on stderr, whatever the text holds."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))
    with suppress(OSError):
        print(f"egan: {line}", file=sys.stderr, flush=True)


def _usage(error: Any) -> str:
    """A usage error in the package's form, and where help is."""
    path = error.ctx.command_path if getattr(error, "ctx", None) is not None else "egan"
    return f"{error.format_message().rstrip('.')} (see '{path} --help')"


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"a file could not be read or written: {error}"
    if isinstance(error, MemoryError):
        return "not enough memory: use fewer particles, features, runs or records"
    text = str(error) or "no message"
    return f"unexpected failure, {type(error).__name__}: {text} (EGAN_TRACEBACK=1 shows the traceback)"


def _reader_gone() -> int:
    """The reader of our output closed it (as `| head` does): no error, and nothing more to say."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE


if __name__ == "__main__":
    sys.exit(main())
