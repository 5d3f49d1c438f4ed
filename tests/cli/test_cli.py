"""The command line end to end: what each command prints and writes, its exit codes, interruption, atomic output."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import egan_theory
from egan_theory.base import files as _files
from egan_theory.base.errors import InputError
from egan_theory.cli.app import main
from egan_theory.experiment import Experiment, templates
from egan_theory.runs.reading import open_runs
from egan_theory.tables.architecture import GeneratorArchitecture
from tests.builders import RING, posix

COMMANDS = (
    "new", "derive", "spectrum", "regularizer", "threshold", "phase", "simulate", "sweep", "compare", "advise",
    "report",
)  # fmt: skip


def egan(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "egan_theory.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def strict_json(text: str) -> dict:
    """The one JSON object that the text is; NaN and Infinity are refused."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON number")

    return json.loads(text, parse_constant=refuse)


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return strict_json(out)


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# -- start-up ----------------------------------------------------------------------------------------------------


def test_help_imports_nothing_heavy():
    heavy = ("numpy", "scipy", "sympy", "xarray", "pydantic", "matplotlib", "h5py", "pandas", "rich")
    loaded = f"print([m for m in {heavy} if m in sys.modules])"
    code = f"import sys; from egan_theory.cli import main; main(['--help']); {loaded}"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    elapsed = time.perf_counter() - start
    assert done.stdout.splitlines()[-1] == "[]", f"took {elapsed:.2f} s"
    for command in (*COMMANDS, "published"):
        assert f"  {command} " in done.stdout


def test_an_experiment_imports_no_arrays_with_labels_and_no_algebra():
    heavy = ("scipy", "sympy", "xarray", "matplotlib", "h5py", "pandas", "rich")
    code = f"import sys, egan_theory as eg; eg.Experiment(); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"egan {command}" in out and ("--json" in out or command == "new")


RATIO, R1 = "generator.kernel.ratio=0:0.9:5", "penalty.r1=0.01:10:4:log"


def test_phase(experiment, tmp_path, capsys):
    figure, out = tmp_path / "phase.png", tmp_path / "phase.nc"
    data = run_json(
        capsys, "phase", experiment, "--vary", RATIO, "--vary", R1, "--simulate", "2", "--figure", str(figure),
        "-o", str(out),
    )  # fmt: skip
    assert figure.stat().st_size > 0
    assert data["first"]["vary"] == "generator.kernel.ratio" and len(data["first"]["values"]) == 5
    assert data["second"]["log"] and len(data["second"]["values"]) == 4
    for row in data["mechanisms"]:
        assert np.shape(row["margin"]) == np.shape(row["beyond"]) == (4, 5)
        assert row["share"] == pytest.approx(np.mean(row["beyond"]))
    simulated = data["simulated"]
    assert simulated["first"]["values"] == [0.0, 0.9] and np.shape(simulated["covered"]) == (2, 2)
    table = simulated["confusion"]
    assert np.shape(table["cells"]) == (len(table["simulated"]), len(table["predicted"]))
    assert np.sum(table["cells"]) == 4
    assert set(table["simulated"]) == set(np.ravel(simulated["kind"])) and "balanced_accuracy" in simulated["accuracy"]
    assert simulated["runs"] == 2  # run.runs
    np.testing.assert_allclose(sum(np.array(share) for share in simulated["outcomes"].values()), 1.0)
    with xr.open_dataset(out, engine="h5netcdf") as ds:
        assert 'start = "random"' in ds.attrs["experiment"]  # the boundaries are those of the starts simulated
        assert ds["margin"].shape == (2, 4, 5) and ds["covered"].shape == ds["outcome"].shape == (2, 2, 2)
        np.testing.assert_array_equal(ds["margin"].values[0] > 0, np.array(data["mechanisms"][0]["beyond"]) > 0)
    assert main(["phase", experiment, "--vary", RATIO, "--vary", R1, "--simulate", "2", "--start", "kick"]) == 0
    assert "Cells by kind, simulated against predicted" in capsys.readouterr().out
    assert main(["phase", experiment, "--vary", RATIO, "--vary", R1, "--start", "here"]) == 2
    assert "--start: must be" in capsys.readouterr().err
    assert main(["phase", experiment, "--vary", RATIO, "--vary", R1]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Predicted boundaries over generator.kernel.ratio and penalty.r1" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--vary", RATIO], "--vary: must be given twice"),
        (["--vary", RATIO, "--vary", RATIO], "vary: must name two different fields"),
        (["--vary", RATIO, "--vary", "penalty.r1=0:1"], "PATH=LOW:HIGH:POINTS"),
        (["--vary", RATIO, "--vary", R1, "--simulate", "1"], "--simulate: must be at least 2"),
        (["--vary", RATIO, "--vary", R1, "--mechanism", "gravity"], "mechanism: must be one of"),
    ],
)
def test_phase_refuses(arguments, says, experiment, tmp_path, capsys):
    out = tmp_path / "phase.nc"
    assert main(["phase", experiment, *arguments, "-o", str(out)]) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1 and not out.exists()


def test_version_and_bare_command(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"egan-theory {egan_theory.__version__}\n"
    assert main([]) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["--frobnicate"], "No such option"),
        (["spectrum"], "Missing argument 'E.toml'"),
        (["spectrum", "e.toml", "--frobnicate"], "No such option"),
        (["spectrum", "e.toml", "more"], "more"),
        (["simulate", "e.toml"], "Missing option"),
        (["simulate", "e.toml", "-o"], "requires an argument"),
        (["compare", "e.toml"], "Missing argument"),
        (["report"], "Missing option"),
    ],
)
def test_usage_errors_are_one_line(arguments, found, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("egan: ") and found in err and "--help" in err


# -- new ---------------------------------------------------------------------------------------------------------


def test_the_ring_template_is_the_built_in_experiment(capsys):
    assert main(["new"]) == 0
    out = capsys.readouterr().out
    assert Experiment.from_toml_string(out).model_dump() == Experiment().model_dump()
    assert main(["new", "ring"]) == 0
    assert capsys.readouterr().out == out


@pytest.mark.parametrize("kind", templates.TEMPLATES)
def test_templates_explain_every_field_and_run(kind, tmp_path, capsys):
    assert main(["new", kind]) == 0
    text = capsys.readouterr().out
    exp = Experiment.from_toml_string(text)
    assert exp.target.kind == kind
    named = {line.lstrip("# ").split(" = ")[0]: line for line in text.splitlines() if " = " in line}
    parts = [exp.target, exp.generator, exp.generator.kernel, exp.discriminator]
    parts += [exp.loss, exp.penalty, exp.update, exp.run]
    for part in parts:
        for field in type(part).model_fields:
            if part is exp.generator and field == "kernel":
                assert "\n[generator.kernel]" in text
            elif field == "architecture":
                table = "generator" if part is exp.generator else "discriminator"
                assert f"[{table}.architecture]" in text
                assert all("#" in named[key].lstrip("# ") for key in GeneratorArchitecture.model_fields)
            else:
                assert field in named
                assert "#" in named[field] or field == "path", f"{field} is not explained"
    # what differs from the defaults is what the template says it changes, nothing by accident
    given, default = (tomllib.loads(t) for t in (text, templates.template("ring")))
    del given["target"]
    differs = [key for name, part in given.items() for key, value in part.items() if default[name][key] != value]
    assert sorted(differs) == sorted(old.split(" = ")[0] for old in templates.TEMPLATE_CHANGES.get(kind, {}))
    file = tmp_path / "e.toml"
    file.write_text(text)
    assert run_json(capsys, "spectrum", str(file))["stable"] is True
    short = exp.replace({"run.steps": 20, "run.runs": 2})
    file.write_text(short.to_toml())
    assert run_json(capsys, "simulate", str(file), "-o", str(tmp_path / "r.nc"))["status"] == "finished"


def test_template_refuses_other_kinds():
    with pytest.raises(InputError, match="kind: must be one of ring"):
        templates.template("common")


# -- each command ------------------------------------------------------------------------------------------------


def test_derive(capsys):
    assert main(["derive"]) == 0
    assert capsys.readouterr().out.startswith("# Effective dynamics")
    assert main(["derive", "--latex"]) == 0
    assert capsys.readouterr().out.startswith("\\documentclass")
    assert main(["derive", "--html"]) == 0
    page = capsys.readouterr().out
    assert page.count('<math display="block"') > 121 and 'id="eq-dispersion"' in page and 'href="#sec-losses"' in page
    assert main(["derive", "--html", "--latex"]) == 2
    assert capsys.readouterr().err == "egan: html: must not be given with --latex, but found both\n"
    data = run_json(capsys, "derive")
    assert data["steps"] and all({"title", "explanation", "assumptions", "equations"} <= set(s) for s in data["steps"])
    equations = [e for step in data["steps"] for e in step["equations"]]
    assert equations and all(isinstance(e[k], str) and e[k] for e in equations for k in ("lhs", "relation", "rhs"))


def test_spectrum(experiment, tmp_path, capsys):
    out, figure = tmp_path / "s.nc", tmp_path / "s.png"
    data = run_json(capsys, "spectrum", experiment, "-o", str(out), "--figure", str(figure))
    assert set(data) >= {"eigenvalues", "zero_modes", "stable", "slowest_rate", "spectral_radius"}
    for mode in data["eigenvalues"]:
        assert set(mode) >= {"re", "im", "multiplicity", "damping_ratio", "regime"}
        assert is_number(mode["re"]) and is_number(mode["im"]) and isinstance(mode["multiplicity"], int)
        assert mode["regime"] in ("underdamped", "critical", "overdamped")
        assert mode["damping_ratio"] is None or is_number(mode["damping_ratio"])
    assert data["stable"] is True and isinstance(data["zero_modes"], int)
    assert data["slowest_rate"] == min(-m["re"] for m in data["eigenvalues"]) and data["spectral_radius"] < 1
    with xr.open_dataset(out, engine="h5netcdf") as ds:
        assert ds.sizes["mode"] == len(data["eigenvalues"])
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert main(["spectrum", experiment]) == 0
    text = capsys.readouterr().out
    assert (
        "1/step" in text
        and "Stable: every mode that can decay decays" in text
        and "Method: " in text
        and "Assumptions: " in text
    )


def test_flow_has_rates_per_time_and_no_radius(tmp_path, capsys):
    file = tmp_path / "e.toml"
    file.write_text(RING + '[update]\nrule = "flow"\n')
    assert "spectral_radius" not in run_json(capsys, "spectrum", str(file))
    main(["spectrum", str(file)])
    assert "1/time" in capsys.readouterr().out


def test_an_unstable_spectrum_says_so(tmp_path, capsys):
    file = tmp_path / "e.toml"
    file.write_text(RING.replace("r1 = 0.5", "r1 = 0.0"))
    assert run_json(capsys, "spectrum", str(file))["stable"] is False
    main(["spectrum", str(file)])
    assert "Not stable" in capsys.readouterr().out


def test_regularizer(experiment, tmp_path, capsys):
    figure = tmp_path / "r.svg"
    data = run_json(capsys, "regularizer", experiment, "--figure", str(figure))
    assert data["penalty"] == "r1" and data["method"] in ("closed-form", "numerical") and data["binding_modes"]
    plain = ("best", "rate", "rate_at_half", "rate_at_double", "horizon", "left", "left_without", "left_at_half",
             "left_at_double", "edge", "share_of_edge")  # fmt: skip
    assert all(is_number(data[k]) for k in plain)
    assert set(data["asymptotic"]) == {"best", "rate", "method"}
    assert data["left"] < min(data["left_at_half"], data["left_without"])  # half the edge: less is left beyond
    assert data["share_of_edge"] <= 0.5
    assert run_json(capsys, "regularizer", experiment, "--horizon", "50")["horizon"] == 50
    assert b"<svg" in figure.read_bytes()
    assert run_json(capsys, "regularizer", experiment, "--penalty", "weight_decay")["penalty"] == "weight_decay"
    assert main(["regularizer", experiment]) == 0
    assert "is left without" in capsys.readouterr().out


def test_what_rounding_leaves_is_no_number_for_people(tmp_path, capsys):
    file = tmp_path / "e.toml"
    file.write_text(RING)
    asked = ("regularizer", str(file), "--horizon", "100000")
    data = run_json(capsys, *asked)
    assert 0 < data["moving"] < 1e-7 and is_number(data["moving_at_double"])
    assert main(list(asked)) == 0
    advised = next(line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("advised"))
    assert "below 1e-7" in advised
    shown = str(egan_theory.best_regularizer(Experiment.from_toml(file), horizon=100000))
    assert re.search("left of what can move +below 1e-7", shown) and "e-1" not in shown


def test_simulate_then_compare(experiment, tmp_path, capsys):
    runs, agreement, figure = tmp_path / "runs.nc", tmp_path / "a.nc", tmp_path / "c.pdf"
    data = run_json(capsys, "simulate", experiment, "-o", str(runs), "--figure", str(figure))
    assert data["status"] == "finished" and data["output"] == str(runs)
    assert (data["steps"], data["samples"], data["runs"], data["particles"], data["dimension"]) == (200, 41, 2, 6, 2)
    assert data["diverged"] == 0 and data["diverged_at"] == [None, None]
    assert data["outcome"] == ["settled", "settled"] and data["outcomes"] == {"settled": 2}
    assert open_runs(runs).sizes["time"] == 41
    assert figure.read_bytes().startswith(b"%PDF")
    data = run_json(capsys, "compare", experiment, str(runs), "-o", str(agreement))
    assert data["quantities"] and isinstance(data["unmatched"], list)
    for quantity in data["quantities"]:
        assert set(quantity) >= {"name", "predicted", "measured", "stderr", "z", "relative_error"}
        assert is_number(quantity["predicted"]) and is_number(quantity["measured"])
        assert quantity["relative_error"] < 0.01
    with xr.open_dataset(agreement, engine="h5netcdf") as ds:
        assert ds.sizes["quantity"] == len(data["quantities"])
    assert data["outcomes"] == {"settled": 2}
    assert main(["compare", experiment, str(runs)]) == 0
    out = capsys.readouterr().out
    assert "predicted" in out and "What became of the 2 runs: 2 settled." in out


def test_simulation_text(experiment, tmp_path, capsys):
    assert main(["simulate", experiment, "-o", str(tmp_path / "runs.nc")]) == 0
    out, err = capsys.readouterr()
    assert "of them settled" in out and "Settled: every mode of the target has a particle, and" in out
    assert "finished" in out and f"written: {tmp_path / 'runs.nc'}" in out and err == ""


def test_divergence_is_a_result(tmp_path, capsys):
    file = tmp_path / "e.toml"
    file.write_text(RING.replace("learning_rate = 0.2", "learning_rate = 500.0"))
    data = run_json(capsys, "simulate", str(file), "-o", str(tmp_path / "runs.nc"))
    assert data["status"].startswith("diverged at step ") and data["diverged"] == 2
    assert all(isinstance(step, int) for step in data["diverged_at"])
    assert data["outcomes"] == {"diverged": 2}


def test_report(experiment, tmp_path, capsys):
    pytest.importorskip("egan_theory.show.page")
    folder = tmp_path / "page"
    data = run_json(capsys, "report", experiment, "-o", str(folder))
    assert Path(data["index"]).is_file() and data["index"] in data["files"]


def test_report_arguments(experiment, tmp_path, capsys, monkeypatch):
    """What the command hands over, whoever writes the page."""
    calls = []

    def report(exp, directory, *, progress):
        progress("spectrum", 1, 2)
        calls.append(exp)
        Path(directory).mkdir(exist_ok=True)
        index = Path(directory) / "index.html"
        index.write_text("page")
        return index

    page = type(sys)("egan_theory.show.page")
    page.report = report
    monkeypatch.setitem(sys.modules, "egan_theory.show.page", page)
    folder = tmp_path / "page"
    assert run_json(capsys, "report", "-o", str(folder))["files"] == [str(folder / "index.html")]
    assert main(["report", experiment, "-o", str(folder), "--overwrite"]) == 0
    assert "index.html" in capsys.readouterr().out
    assert calls[0] is None and calls[1] == Experiment.from_toml(experiment)


# -- failures ----------------------------------------------------------------------------------------------------


def fail_with(error: BaseException):
    def function(*_, **__):
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("two\nlines"), "unexpected failure, RuntimeError: two lines"),
        (KeyboardInterrupt(), "interrupted: nothing was written"),
    ],
)
def test_a_failed_run_is_one_line_and_exit_code_1(error, found, experiment, tmp_path, capsys, monkeypatch):
    from egan_theory.simulation import run

    monkeypatch.setattr(run, "simulate", fail_with(error))
    assert main(["simulate", experiment, "-o", str(tmp_path / "runs.nc")]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and found in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.toml"]


def test_a_failed_write_leaves_the_old_file(experiment, tmp_path, capsys, monkeypatch):
    target = tmp_path / "runs.nc"
    target.write_text("old")
    monkeypatch.setattr(xr.Dataset, "dump_to_store", fail_with(OSError(28, "No space left on device")))
    assert main(["simulate", experiment, "-o", str(target), "--overwrite"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert target.read_text() == "old" and sorted(p.name for p in tmp_path.iterdir()) == ["e.toml", "runs.nc"]


def test_the_output_is_checked_before_the_work(experiment, tmp_path, capsys, monkeypatch):
    from egan_theory.simulation import run

    monkeypatch.setattr(run, "simulate", fail_with(AssertionError("started")))
    assert main(["simulate", experiment, "-o", str(tmp_path / "none" / "runs.nc")]) == 2
    assert "existing folder" in capsys.readouterr().err


def test_atomic_follows_links_and_keeps_permissions(tmp_path):
    real, link = tmp_path / "real.nc", tmp_path / "link.nc"
    real.write_text("old")
    link.symlink_to(real)
    with _files.atomic(link) as temporary:
        temporary.write_text("new")
        assert real.read_text() == "old"
    assert link.is_symlink() and real.read_text() == "new"
    fresh = tmp_path / "fresh"
    fresh.write_text("")
    assert real.stat().st_mode == fresh.stat().st_mode
    with pytest.raises(KeyboardInterrupt), _files.atomic(real) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert real.read_text() == "new" and len(list(tmp_path.iterdir())) == 3


def test_warnings_come_after_the_result(experiment, capsys, monkeypatch):
    import warnings

    from egan_theory.predict import spectrum as module

    def spectrum(*given, real=module.spectrum):
        warnings.warn("a\nword", UserWarning, stacklevel=2)
        return real(*given)

    monkeypatch.setattr(module, "spectrum", spectrum)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(["spectrum", experiment, "--json"]) == 0
    out, err = capsys.readouterr()
    assert strict_json(out)["stable"] and err == "egan: warning: a word\n"


def test_json_ready():
    import numpy as np

    from egan_theory.base.json import json_ready

    data = {"a": np.float64("nan"), "b": np.array([1, 2]), "c": (float("inf"), True, None), "d": np.bool_(True)}
    assert json_ready(data) == {"a": None, "b": [1, 2], "c": [None, True, None], "d": True}


def test_a_bar_on_terminals_and_lines_elsewhere_once_work_is_long(monkeypatch, capsys):
    from egan_theory.base import terminal as _terminal
    from egan_theory.base.terminal import progress_bar

    with progress_bar("x") as update:
        update(1, 2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(_terminal, "FIRST_WORD", 0.01)
    with progress_bar("x") as update:
        update(1, 2, "y")
        deadline, err = time.monotonic() + 10, ""
        while not err and time.monotonic() < deadline:
            time.sleep(0.01)
            err = capsys.readouterr().err
    assert err.startswith("egan: y, 1 of 2, 0 s so far\n")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("x") as update:
        update(1, 2)
        update(2, 2, "y")
    out, err = capsys.readouterr()
    assert out == "" and "left" in err


# -- as a process ------------------------------------------------------------------------------------------------


def test_exit_codes_of_the_process(experiment, tmp_path):
    done = egan("spectrum", experiment, "--json")
    assert done.returncode == 0 and done.stderr == "" and strict_json(done.stdout)["stable"] is True
    bad = tmp_path / "bad.toml"
    bad.write_text("[generator]\nparticles = -1\n")
    done = egan("spectrum", str(bad))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"egan: {bad}: generator.particles: must be at least 0, but found -1\n"


def test_a_closed_pipe_is_quiet(experiment):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "egan_theory.cli", "spectrum", experiment, "--json"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@posix
def test_control_c_keeps_what_was_recorded(tmp_path):
    file, runs = tmp_path / "long.toml", tmp_path / "runs.nc"
    file.write_text(RING.replace("steps = 200", "steps = 2000000").replace("record_every = 5", "record_every = 100"))
    # the first progress report says when the run is under way: no guess about how fast this machine starts
    code = (
        "import signal, sys, egan_theory.simulation.run as run\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored where the tests run in the background
        "real = run.simulate\n"
        "def told(exp, progress=None):\n"
        "    return real(exp, progress=lambda step, total: print('step', step, flush=True) if step == 300 else None)\n"
        "run.simulate = told\n"
        "from egan_theory.cli import main\n"
        f"sys.exit(main(['simulate', {str(file)!r}, '-o', {str(runs)!r}]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "step 300\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert err.count("\n") == 1 and "interrupted at step " in err and "of 2000000" in err and "Traceback" not in err
    ds = open_runs(runs)
    assert ds.attrs["status"] == "interrupted" and "interrupted" in out
    last = int(ds["time"].values[-1])
    assert last >= 300 and f"interrupted at step {last} of" in err
    assert bool(ds["particles"].notnull().all())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["long.toml", "runs.nc"]


def test_runs_that_cannot_be_compared_say_what_became_of_them(tmp_path, capsys):
    """All of them far from any equilibrium: one line, with the outcomes, and exit 2."""
    file, runs = tmp_path / "e.toml", tmp_path / "runs.nc"
    file.write_text(RING.replace("learning_rate = 0.2", "learning_rate = 500.0"))
    run_json(capsys, "simulate", str(file), "-o", str(runs))
    assert main(["compare", str(file), str(runs)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "of 2 runs: 2 diverged" in err
