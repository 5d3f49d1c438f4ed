"""`egan solvable ode | sde | simulate | phase | report`. Nothing heavy is imported until a command runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...base.errors import EganError, InputError
from ...base.files import check_output
from ...base.signals import keeping
from ...base.terminal import progress_bar, stages, table
from ...console.answer import Answer
from ...console.shared import STDIN, Data, Figure, Json, NewFile, Output, Page, is_file, new_page, read, shared, stdin

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .model import Solvable

app = typer.Typer(
    name="solvable",
    help="The solvable high-dimensional GAN: macroscopic ODE, weight SDE, finite-n simulation, phases, report.",
    rich_markup_mode=None,
)

Model = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL.toml]", help="File with a table [solvable]; - for standard input; default: setting R."
    ),
]


@app.callback(invoke_without_command=True)
def _group(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
@shared
def ode(model: Model = None, output: Output = None, json: Json = False, figure: Figure = None) -> None:
    """Integrate the macroscopic ODE; regime, prediction and boundaries."""
    answer = Answer(json, output, figure, inputs=[model])
    described = _load(model)
    from .figures import plot_overlaps
    from .limits import boundary_words, theory
    from .ode import solve_ode
    from .regimes import check_record, classify

    check_record(described)
    ds = solve_ode(described)
    (found,) = classify(ds)
    try:
        predicted = theory(described)
    except InputError as error:
        predicted = {"predicted": None, "boundaries": None, "fixed_points": None, "no_prediction": str(error)}
    end = {str(name): value.values.tolist() for name, value in ds.isel(run=0, time=-1).items()}
    conserved = {k: ds.attrs[k] for k in ("conservation", "gram_minimum") if k in ds.attrs}
    data = {"status": ds.attrs["status"], "found": found.to_dict(), **predicted, "end": end, **conserved}
    boundaries = [[boundary_words(name), value] for name, value in (data["boundaries"] or {}).items()]
    overlaps = [[f"P{i + 1}{j + 1}", v] for i, row in enumerate(end["P"]) for j, v in enumerate(row)]
    overlaps += [[f"{name}{i + 1}", v] for name in "qr" for i, v in enumerate(end[name])]
    text = [
        f"ODE: {_said(data['found'])}; {data['status']}",
        _predicted_text(data),
        table(f"Overlaps at time {described.time:g}", ["overlap", "value"], overlaps),
        *([table("Boundaries", ["boundary", "value"], boundaries)] if boundaries else []),
    ]
    answer.give(data, lambda: text, ds, lambda: plot_overlaps(ds))


@app.command()
@shared
def sde(
    output: NewFile,
    model: Model = None,
    weights: Annotated[int, typer.Option("--weights", metavar="N", help="Weights in the ensemble.")] = 10_000,
    json: Json = False,
) -> None:
    """Simulate the SDE of single weights, an ensemble at a time."""
    answer = Answer(json, output, inputs=[model], form="netcdf")
    described = _load(model)
    from .sde import simulate_sde

    with keeping():
        with progress_bar("SDE") as update:
            ds = simulate_sde(described, weights=weights, progress=update)
        data = {"output": output, "weights": weights, "runs": ds.sizes["run"], "samples": ds.sizes["time"],
                "status": ds.attrs["status"]}  # fmt: skip
        text = f"{data['runs']} runs of {weights} weights, {data['samples']} samples; {data['status']}"
        answer.give(data, lambda: [text], ds)
    _refuse_interrupted(data)


@app.command()
@shared
def simulate(
    output: NewFile,
    model: Model = None,
    method: Annotated[str, typer.Option("--method", metavar="chain|sgd", help="Exact chain, or direct SGD.")] = "chain",
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", metavar="FILE", help="Written as the chain runs; continued from if it exists."),
    ] = None,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """Simulate finite n, by the exact chain of the overlaps or by SGD itself. Ctrl-C keeps what was recorded."""
    answer = Answer(json, output, figure, inputs=[model], form="netcdf")
    kept = None
    if checkpoint is not None:
        kept = check_output(checkpoint, *filter(is_file, [model]), output, field="--checkpoint")
    described = _load(model)
    from .figures import plot_overlaps
    from .finite import simulate_solvable
    from .ode import solve_ode
    from .regimes import check_record, classify

    check_record(described, described.n)
    with keeping():
        with progress_bar("simulating") as update:
            ds = simulate_solvable(described, method=method, progress=update, checkpoint=kept)
        data: dict[str, Any] = {"output": output, "method": ds.attrs["method"], "n": described.n,
                                "runs": ds.sizes["run"], "status": ds.attrs["status"]}  # fmt: skip
        text: list[Any] = [f"{data['runs']} runs at n = {described.n}, {data['method']}; {data['status']}"]
        if data["status"] != "interrupted":
            found = classify(ds, n=described.n)
            counts = Counter(regime.label for regime in found)
            data |= {"found": [regime.to_dict() for regime in found], "regimes": dict(counts)}
            text.append(table("Regimes", ["regime", "runs"], [[label, str(count)] for label, count in counts.items()]))
        answer.give(data, lambda: text, ds, lambda: plot_overlaps(solve_ode(described), ds))
    _refuse_interrupted(data)


@app.command()
@shared
def phase(
    vary: Annotated[
        list[str],
        typer.Option(
            "--vary", metavar="PATH=LOW:HIGH:POINTS[:log]", help="An axis, e.g. noise or taut/tau; one or two."
        ),
    ],
    model: Model = None,
    simulated: Annotated[
        str, typer.Option("--simulate", metavar="none|ode|chain|sgd", help="Outcomes to compare with.")
    ] = "ode",
    output: Output = None,
    figure: Figure = None,
    json: Json = False,
) -> None:
    """Predicted regimes over one or two fields, and those of ODE or finite-n runs."""
    answer = Answer(json, output, figure, inputs=[model])
    if not 1 <= len(vary) <= 2:
        raise InputError("--vary", "be given once or twice, once for each axis", f"{len(vary)} times")
    described = _load(model)
    from .figures import plot_solvable_phase, plot_solvable_scan
    from .phase import agreement, solvable_phase

    with progress_bar("phase diagram") as update:
        ds = solvable_phase(described, *vary, simulate=None if simulated == "none" else simulated, progress=update)
    compared = "regime" in ds
    names = ds.attrs["regimes"]
    data = {
        "axes": [{"vary": ds[n].attrs["long_name"], "values": ds[n].values.tolist()} for n in ds["predicted"].dims],
        "regimes": names,
        "predicted": ds["predicted"].values.tolist(),
        "decided": ds["decided"].values.tolist(),
        "method": ds.attrs["method"],
    }
    if compared:
        data |= {"found": ds["regime"].values.tolist(), "agreement": agreement(ds)}
    rows = [
        [name, *(int((ds[v] == i).sum()) if v in ds else None for v in ("predicted", "regime"))]
        for i, name in enumerate(names)
    ]
    text = [
        table("Regimes, cells", ["regime", "predicted", "found"], [row for row in rows if any(row[1:])]),
        *(_agreement_text(data["agreement"]) if compared else []),
    ]

    def draw() -> Axes:
        return plot_solvable_scan(ds) if len(vary) == 1 else plot_solvable_phase(ds, ds if compared else None)

    answer.give(data, lambda: text, ds, draw)


@app.command()
@shared
def report(output: Page, model: Model = None, data: Data = False, json: Json = False) -> None:
    """Theory, ODE, finite-n runs and their agreement on one HTML page, in one file that needs no other."""
    answer, target = Answer(json), new_page(output, data)
    described = _load(model)
    from .report import solvable_report

    with stages("report") as update:
        index = solvable_report(described, target, data=data, progress=update)
    answer.give_page(target, index)


# -- reading, writing, saying --------------------------------------------------------------------------------------


def _load(path: str | None) -> Solvable:
    """The model; a message says in which file."""
    from .model import SETTING_R, Solvable

    if path is None or path == STDIN:
        text = SETTING_R.to_toml() if path is None else stdin()
        name = "built-in" if path is None else path
        return read(lambda _, changes: Solvable.from_toml_string(text, name, changes), name, "model", "solvable")
    return read(Solvable.from_toml, path, "model", "solvable")


def _refuse_interrupted(data: dict[str, Any]) -> None:
    if data["status"] == "interrupted":
        raise EganError(f"interrupted: {data['output']} holds the samples until then")


def _said(found: dict[str, Any]) -> str:
    learnt = ", ".join(map(str, found["learnt"])) or "none"
    return f"{found['regime']} (features learnt: {learnt})" + (f"; {found['note']}" if found.get("note") else "")


def _predicted_text(data: dict[str, Any]) -> str:
    if data["predicted"] is None:
        return f"No prediction: {data['no_prediction']}"
    p = data["predicted"]
    return f"Predicted: {p['regime']}, at the rate {p['rate']:.3g} per unit of time ({p['reason']})"


def _agreement_text(counts: dict[str, int]) -> list[str]:
    return [
        f"{counts['runs']} runs; {counts['decided']} long enough to show the prediction: {counts['wrong']} wrong, "
        f"{counts['undecided']} undecided, {counts['coexisting']} on a cycle beside a stable locked state"
    ]
