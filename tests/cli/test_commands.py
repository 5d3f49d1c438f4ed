"""One contract for all commands: every one that the table holds has the shared options, and they mean the same."""

import inspect
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import typer

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.base.spelling import one_of
from egan_theory.base.toml import assignments
from egan_theory.cli.app import COMMANDS, app, main
from tests.monitoring.test_monitor import monitor

TINY = """
[target]
kind = "ring"
modes = 2
[generator]
particles = 2
learning_rate = 0.05
[generator.architecture]
depth = 1
[discriminator]
learning_rate = 0.2
[discriminator.architecture]
depth = 1
activation = "erf"
[penalty]
r1 = 0.5
weight_decay = 0.1
[run]
steps = 40
record_every = 2
runs = 2
"""
#: what an experiment needs to be quick where networks are not asked for
PLAIN = TINY.replace("[generator.architecture]\ndepth = 1\n", "").replace(
    '[discriminator.architecture]\ndepth = 1\nactivation = "erf"\n', "features = 8\n"
)
MODEL = "[solvable]\nLambda = [2.0]\nP0 = [[0.1]]\nq0 = [0.1]\ntime = 2.0\nn = 50\nrecord = 51\n"
AXES = ["--vary", "generator.kernel.ratio=0:0.5:2", "--vary", "penalty.r1=0.1:1:2"]

#: of every command: its arguments before the shared options, E the experiment, M the model, R its runs, W runs of a
#: Monitor, and the names of what -o and --figure write ("" for a command without). A new command needs its line here.
EXAMPLES = {
    "guide": (["own-runs"], "g.md", ""),
    "new": ([], "e.toml", ""),
    "derive": ([], "d.md", ""),
    "spectrum": (["E"], "s.nc", "s.png"),
    "frequency": (["E"], "f.nc", "f.png"),
    "power-laws": (["E", "--set", "memory.generator=uniform", "--set", "penalty.r1=0"], "p.nc", "p.png"),
    "universality": (["N"], "u.json", "u.png"),
    "regularizer": (["E"], "r.json", "r.png"),
    "advise": (["E", "--gram", "H", "--points", "2", "--dimension", "2"], "a.json", "a.png"),
    "threshold": (["E", "--vary", "penalty.r1=0.1:1", "--mechanism", "collective-instability"], "t.nc", ""),
    "branch": (["E", "--vary", "penalty.r1=0.1:1", "--collapsed", "2"], "b.nc", "b.png"),
    "phase": (["E", *AXES, "--curves"], "p.nc", "p.png"),
    "simulate": (["E"], "r.nc", "r.png"),
    "import": (["L"], "r.nc", "r.png"),
    "sweep": (["E", "--vary", "penalty.r1=0.1:1:2", "--workers", "1"], "s.zarr", ""),
    "compare": (["E", "R"], "c.nc", ""),
    "compare-remedies": (["E", "--single"], "c.nc", "c.png"),
    "report": (["E"], "page", ""),
    "monitor": (["W"], "m.html", "m.png"),
    "solvable ode": (["M"], "o.nc", "o.png"),
    "solvable sde": (["M", "--weights", "10"], "s.nc", ""),
    "solvable simulate": (["M"], "r.nc", "r.png"),
    "solvable phase": (["M", "--vary", "noise=1:2:2"], "p.nc", "p.png"),
    "solvable report": (["M"], "page", ""),
}
#: they read a clone of published data, which tests do not have
WITHOUT_EXAMPLE = {"published import", "published fit", "published predict"}
#: what -o may say, by what it writes
OUTPUTS = {
    "Also write the result: NetCDF, or .json as --json prints it.",
    "Write the text, or .json what --json prints, to this file.",
    "NetCDF file to write.", "Folder to write, or one file: a name that ends in .html.", "Zarr store to write.",
    "NetCDF run file to write.",
    "JSON file to write.", "Write the page: HTML, or .json as --json prints it.",
}  # fmt: skip


def leaves(group=None, before=""):
    group = typer.main.get_command(app) if group is None else group
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, f"{before}{name} ")
        else:
            yield before + name, command


LEAVES = dict(leaves())


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for name, text in (("E", PLAIN), ("N", TINY), ("M", MODEL)):
        (tmp_path / f"{name}.toml").write_text(text)
    psi = np.random.default_rng(0).standard_normal((6, 12))  # values and 2 derivatives at 2 points, 12 weights
    np.save(tmp_path / "gram.npy", psi @ psi.T)
    (tmp_path / "log.csv").write_text("step,d_loss,g_loss\n0,1.4,0.7\n10,1.3,0.8\n")
    return {name: str(tmp_path / f"{name}.toml") for name in "ENM"} | {
        "H": str(tmp_path / "gram.npy"),
        "L": str(tmp_path / "log.csv"),
    }


def test_every_command_has_an_example_here():
    assert set(LEAVES) == set(EXAMPLES) | WITHOUT_EXAMPLE


@pytest.mark.parametrize("name", LEAVES)
def test_options_that_commands_share_are_the_same_ones(name):
    options = {p.name: p for p in LEAVES[name].params}
    opts = {opt: p for p in options.values() for opt in p.opts}
    assert "--json" in opts and opts["--json"].help == "Print one JSON object and nothing else."
    if "experiment" in options or "model" in options:
        assert opts["--set"].multiple and opts["--set"].metavar == "PATH=VALUE"
        assert "- for standard input" in options["experiment" if "experiment" in options else "model"].help
    assert ("--figure" in opts) == bool(EXAMPLES.get(name, ("", "", ""))[2])
    if "--figure" in opts:
        assert opts["--figure"].help == "Also draw a .png, .pdf or .svg."
    if "-o" in opts:
        assert opts["-o"].help in OUTPUTS and "--output" in opts["-o"].opts
    assert ("--overwrite" in opts) == ("-o" in opts or "--figure" in opts)


@pytest.mark.parametrize("name", EXAMPLES)
def test_options_mean_the_same_everywhere(name, files, tmp_path, capsys, monkeypatch):
    """--json prints one object and nothing else; -o and --figure write what they name, and replace nothing unasked."""
    arguments, out, figure = EXAMPLES[name]
    given = [files.get(a, a) for a in arguments]
    if "R" in given:
        runs = str(tmp_path / "runs.nc")
        assert main(["simulate", files["E"], "-o", runs]) == 0
        given = [runs if a == "R" else a for a in given]
    if "W" in given:
        given = [_watched(tmp_path / "watched.nc")]
    if name.endswith("report"):  # what it computes is tested elsewhere
        where = "papers.solvable.report.solvable_report" if " " in name else "show.page.report"
        monkeypatch.setattr(f"egan_theory.{where}", lambda _, folder, **options: _written(folder))
    target = [*name.split(), *given, "-o", str(tmp_path / out)]
    target += ["--figure", str(tmp_path / figure)] if figure else []
    capsys.readouterr()
    assert main([*target, "--json"]) == 0
    printed, err = capsys.readouterr()
    assert err == "" and (tmp_path / out).exists() and (not figure or (tmp_path / figure).stat().st_size > 0)
    assert isinstance(json.loads(printed), dict)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert main(target) == 2
    assert re.fullmatch(r"egan: (output|figure): must not be there yet .*\n", capsys.readouterr().err)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before


def _watched(path):
    with monitor(path) as watching:
        for step in range(21):
            watching.step(step, loss_generator=1.0)
    return str(path)


def _written(folder):
    Path(folder).mkdir()
    (Path(folder) / "index.html").write_text("page")
    return Path(folder) / "index.html"


@pytest.mark.parametrize("name", ["new", "spectrum", "regularizer", "solvable ode"])
def test_overwrite_replaces(name, files, tmp_path, capsys):
    arguments, out, figure = EXAMPLES[name]
    target = [*name.split(), *(files.get(a, a) for a in arguments), "-o", str(tmp_path / out)]
    target += ["--figure", str(tmp_path / figure)] if figure else []
    for path in filter(None, (out, figure)):
        (tmp_path / path).write_text("old")
    assert main([*target, "--overwrite"]) == 0
    assert all((tmp_path / path).read_bytes() != b"old" for path in filter(None, (out, figure)))


@pytest.mark.parametrize("name", ["guide", "new", "derive", "spectrum", "threshold", "phase", "compare"])
def test_json_files_hold_what_json_prints(name, files, tmp_path, capsys):
    given = [files.get(a, a) for a in EXAMPLES[name][0]]
    if "R" in given:
        assert main(["simulate", files["E"], "-o", str(tmp_path / "runs.nc")]) == 0
        given = [str(tmp_path / "runs.nc") if a == "R" else a for a in given]
    capsys.readouterr()
    assert main([name, *given, "--json", "-o", str(tmp_path / "x.json")]) == 0
    assert (tmp_path / "x.json").read_text() == capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["simulate", "E"], ["import", "L"], ["solvable", "sde", "M"], ["solvable", "simulate", "M"]]
)
def test_runs_are_netcdf(arguments, files, tmp_path, capsys):
    assert main([*(files.get(a, a) for a in arguments), "-o", str(tmp_path / "r.json")]) == 2
    assert "output: must be a NetCDF file" in capsys.readouterr().err


# -- --set and standard input ------------------------------------------------------------------------------------------


def stdin(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_set_is_the_file_with_that_value(files, tmp_path, capsys, monkeypatch):
    def spectrum(*arguments):
        assert main(["spectrum", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    other = tmp_path / "other.toml"
    other.write_text(PLAIN.replace("r1 = 0.5", "r1 = 0.7") + '[update]\nrule = "alternating"\ncritic_steps = 2\n')
    changes = ["--set", "penalty.r1=0.9", "--set", "penalty.r1 = 0.7", "--set", "update.rule=alternating"]
    changes += ["--set", "update.critic_steps=2"]
    assert spectrum(files["E"], *changes) == spectrum(str(other)) != spectrum(files["E"])
    stdin(monkeypatch, PLAIN.encode("utf-16"))
    assert spectrum("-", *changes) == spectrum(str(other))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("penalty.r1", "--set: must be PATH=VALUE"),
        ("=1", "--set: must be PATH=VALUE"),
        ("penalty.r1=", "--set: must be PATH=VALUE"),
        ("penalty..r1=1", "--set: must be PATH=VALUE"),
        ("penalty.r3=1", "--set penalty.r3: must be one of the known keys"),
        ("penalty.r1=-1", "--set penalty.r1: must be at least 0.0, but found -1"),
        ("penalty.r1=much", "--set penalty.r1: must be a number, but found 'much'"),
        ("penalty.r1=__import__('os')", "--set penalty.r1: must be a TOML value"),
        ("penalty.r1=[1", "--set penalty.r1: must be a TOML value"),
        ("penalty.r1=1\n[run]", "--set penalty.r1: must be a TOML value"),
        ("penalty.r1=" + "9" * 5000, "--set penalty.r1: must be a number"),
        ("penalty.r1.x=1", "penalty.r1: must be a table"),
        ("generator=1", "--set generator: must be a table"),
        ("loss.kind=nothing", "--set loss.kind: must be one of"),
        ("run.steps=2.5", "--set run.steps: must be"),
    ],
)
def test_set_refuses_and_names_the_path(change, says, files, capsys):
    assert main(["spectrum", files["E"], "--set", change]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("egan: ") and says in err, err


def test_errors_of_the_file_stay_errors_of_the_file(tmp_path, capsys):
    file = tmp_path / "bad.toml"
    file.write_text("[penalty]\nr2 = -1\n")
    assert main(["spectrum", str(file), "--set", "penalty.r1=0.1"]) == 2
    assert capsys.readouterr().err == f"egan: {file}: penalty.r2: must be at least 0.0, but found -1\n"


def test_values_are_toml_and_bare_words_strings():
    given = [
        "a=1",
        "b=1.5",
        "c=true",
        "d=[1, 2]",
        "e={x = 1}",
        'f="1"',
        "g=best-response",
        "h=x - 1",
        "i=./p q.npy",
        "j.k=''",
    ]
    values = [1, 1.5, True, [1, 2], {"x": 1}, "1", "best-response", "x - 1", "./p q.npy", ""]
    assert list(assignments(given).values()) == values


def test_set_without_a_file_changes_the_built_in_one(tmp_path, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr("egan_theory.show.page.report", lambda exp, folder, **_: seen.append(exp) or _written(folder))
    assert main(["report", "-o", str(tmp_path / "page"), "--set", "penalty.r1=0.7"]) == 0
    assert seen == [eg.Experiment().replace({"penalty.r1": 0.7})]
    assert main(["universality", "--json", "--set", "generator.architecture.activation=leaky-relu"]) == 0
    printed = capsys.readouterr().out
    assert '"leaky_relu"' in printed and '"relu"' not in printed
    assert main(["universality", "--set", "penalty.r1=0.7"]) == 2
    assert "generator.architecture: must be given" in capsys.readouterr().err


def test_paths_that_set_gives_start_here(tmp_path, capsys, monkeypatch):
    np.save(tmp_path / "here.npy", [[0.0, 0.0], [1.0, 0.0]])
    (tmp_path / "other").mkdir()
    file = tmp_path / "other" / "e.toml"
    file.write_text(PLAIN.replace('kind = "ring"\nmodes = 2', 'kind = "points"\npath = "none.npy"'))
    monkeypatch.chdir(tmp_path)
    assert main(["spectrum", str(file), "--set", "target.path=here.npy"]) == 0
    capsys.readouterr()
    assert main(["spectrum", str(file)]) == 2


@pytest.mark.parametrize("data", [b"", b"# nothing\n", "\ufeff".encode("utf-16-le")])
def test_an_empty_experiment_is_refused(data, tmp_path, capsys, monkeypatch):
    file = tmp_path / "e.toml"
    file.write_bytes(data)
    stdin(monkeypatch, data)
    for name in (str(file), "-"):
        assert main(["spectrum", name, "--set", "penalty.r1=1"]) == 2
        assert capsys.readouterr().err.startswith(f"egan: {name}: must hold at least one table")


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_names_are_alike_in_shell_and_python(name, capsys):
    function = "import_log" if name == "import" else name.replace("-", "_")  # Python's own word
    assert callable(getattr(eg, function)) and function in eg.__all__
    assert main([function, "--help"]) == main([name.replace("-", "_"), "--help"]) == 0


@pytest.mark.parametrize("name", ["best-regularizer", "best_regularizer", "thresholds", "import_log"])
def test_names_of_python_are_names_of_commands(name, capsys):
    assert callable(getattr(eg, name.replace("-", "_")))
    assert main([name, "--help"]) == 0


def test_the_guide_lists_every_command_in_the_order_of_use(capsys):
    block = eg.guide("experiment").split("## All commands")[1].split("```sh")[1].split("```")[0]
    listed = list(dict.fromkeys(re.findall(r"^egan ([a-z-]+)", block, re.M)))
    assert listed == [*COMMANDS, "published", "solvable"]
    assert main([]) == 0
    shown = re.findall(r"^  ([a-z-]+)  ", capsys.readouterr().out.split("Commands:")[1], re.M)
    assert shown == listed


def test_one_of_takes_any_separator():
    names = ("collapsed state", "too slow to split")
    assert [one_of("m", n, names) for n in ("collapsed-state", "too_slow_to_split")] == list(names)
    with pytest.raises(InputError, match="m: must be one of collapsed state"):
        one_of("m", "collapsed  state", names)


def test_completion_answers_the_shell(monkeypatch, capsys):
    for words, count, answer in (
        ("egan compare-", 1, "compare-remedies"),
        ("egan new gr", 2, "grid"),
        ("egan spectrum e.toml --set penalty.weight", 4, "penalty.weight_decay="),
    ):
        monkeypatch.setenv("_EGAN_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(count))
        with pytest.raises(SystemExit) as ended:
            main([])
        assert ended.value.code == 0 and capsys.readouterr().out.split() == [answer]


def test_commands_stay_documented():
    assert all(inspect.getdoc(command) for command in COMMANDS.values())


def test_models_take_set_and_standard_input_too(files, capsys, monkeypatch):
    def ode(*arguments):
        assert main(["solvable", "ode", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    stdin(monkeypatch, MODEL.replace("[solvable]", "[solvable]\nnoise = 3.0").encode())
    wanted = ode("-")
    assert wanted == ode(files["M"], "--set", "noise=3.0") == ode(files["M"], "--set", "solvable.noise=3.0")
    assert wanted != ode(files["M"])
    for path in ("noise", "solvable.noise"):
        assert main(["solvable", "ode", "--set", f"{path}=-1"]) == 2
        assert capsys.readouterr().err == "egan: --set solvable.noise: must be at least 0.0, but found -1\n"


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ("penalty.weight_decay=0.05", {"penalty.weight_decay": 0.05}),
        ("generator.learning_rate=0.02", {"generator.learning_rate": 0.02}),
        ("target.modes=4", {"target.modes": 4}),
    ],
)
def test_set_without_a_file_keeps_the_rest_of_the_built_in_one(given, changes, tmp_path, monkeypatch):
    """A table that --set touches keeps its other fields; another kind of target has its own."""
    seen = []
    monkeypatch.setattr("egan_theory.show.page.report", lambda exp, folder, **_: seen.append(exp) or _written(folder))
    assert main(["report", "-o", str(tmp_path / "page"), "--set", given]) == 0
    assert main(["report", "-o", str(tmp_path / "grid"), "--set", "target.kind=grid"]) == 0
    assert seen == [eg.Experiment().replace(changes), eg.Experiment(target=eg.Grid())]
