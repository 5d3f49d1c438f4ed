"""`egan solvable`: what the commands print and write, and how they refuse."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import typer
import xarray as xr
from matplotlib.figure import Figure

from analyses import solvable_phases as script
from egan_theory.cli import app as cli
from egan_theory.papers.solvable import SETTING_E, SETTING_R, Solvable, simulate_solvable, solve_ode
from egan_theory.papers.solvable.command import app as solvable
from egan_theory.papers.solvable.compare import compare_solvable
from egan_theory.papers.solvable.regimes import Regime
from tests.analyses.drawing import labelled

SMALL = SETTING_R.replace({"time": 20.0, "n": 200, "runs": 3, "record": 41})


@pytest.fixture
def egan(monkeypatch, capsys):
    """Run the command line; (exit code, stdout, stderr). The group is mounted as the package does."""
    if not any(g.typer_instance is solvable for g in cli.app.registered_groups):
        app = typer.Typer(context_settings=cli.app.info.context_settings)
        app.add_typer(solvable)
        monkeypatch.setattr(cli, "app", app)

    def call(*arguments):
        code = cli.main(["solvable", *map(str, arguments)])
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.toml"
    path.write_text(SMALL.to_toml())
    return path


def test_ode(egan, tmp_path):
    """The built-in setting R: success, as predicted, with its boundaries."""
    code, out, err = egan("ode", "--json", "-o", tmp_path / "ode.nc", "--figure", tmp_path / "ode.png")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert data["status"] == "finished" and data["found"]["regime"] == data["predicted"]["regime"] == "success"
    assert data["found"]["learnt"] == [1, 2]
    np.testing.assert_allclose(np.diag(data["end"]["P"]), [0.939, 0.921], atol=1e-3)
    assert data["boundaries"]["noise_success"] == pytest.approx(1.581, abs=1e-3)
    assert {p["kind"] for p in data["fixed_points"]} == {"perfect", "noninformative"}
    with xr.open_dataset(tmp_path / "ode.nc", engine="h5netcdf") as ds:
        assert Solvable.from_toml_string(ds.attrs["model"]) == SETTING_R
    assert (tmp_path / "ode.png").stat().st_size > 1000


def test_ode_without_prediction(egan, model):
    model.write_text(SMALL.replace({"nonlinearity": "tanh"}).to_toml())
    code, out, _ = egan("ode", model, "--json")
    data = json.loads(out)
    assert code == 0 and data["predicted"] is None and "identity" in data["no_prediction"]
    code, out, _ = egan("ode", model)
    assert code == 0 and "No prediction" in out and "P11" in out


def test_simulate(egan, model, tmp_path):
    code, out, err = egan("simulate", model, "-o", tmp_path / "runs.nc", "--json", "--figure", tmp_path / "runs.png")
    data = json.loads(out)
    assert (code, err) == (0, "") and data["runs"] == 3 and sum(data["regimes"].values()) == 3
    with xr.open_dataset(tmp_path / "runs.nc", engine="h5netcdf") as ds:
        expected = simulate_solvable(SMALL)
        np.testing.assert_array_equal(ds["P"], expected["P"])
    assert (tmp_path / "runs.png").stat().st_size > 1000


def test_simulate_sgd_agrees_in_regime(egan, model, tmp_path):
    code, out, _ = egan("simulate", model, "-o", tmp_path / "sgd.nc", "--method", "sgd")
    assert code == 0 and "3 runs at n = 200" in out and (tmp_path / "sgd.nc").exists()


def test_sde(egan, model, tmp_path):
    code, out, _ = egan("sde", model, "-o", tmp_path / "sde.nc", "--weights", 200, "--json")
    assert code == 0 and json.loads(out)["weights"] == 200
    with xr.open_dataset(tmp_path / "sde.nc", engine="h5netcdf") as ds:
        assert ds.sizes["run"] == 3 and "w" in ds


def test_phase(egan, tmp_path):
    """Against noise: the four regimes of setting R, none wrong."""
    code, out, err = egan(
        "phase", "--vary", "noise=1:6:6", "--json", "-o", tmp_path / "p.nc", "--figure", tmp_path / "p.png"
    )
    data = json.loads(out)
    assert (code, err) == (0, "") and data["agreement"]["wrong"] == 0 and data["agreement"]["decided"] >= 4
    named = [data["regimes"][i[0]] for i in data["found"]]
    assert named[:2] == ["oscillation", "success"] and named[3] == "mode collapse" and named[5] == "nothing learnt"
    assert (tmp_path / "p.nc").exists() and (tmp_path / "p.png").stat().st_size > 1000


def test_phase_of_two_fields(egan, model, tmp_path):
    code, out, _ = egan("phase", model, "--vary", "noise=1:6:5", "--vary", "taut/tau=0.1:0.4:4", "--simulate", "none",
                        "--figure", tmp_path / "p.png")  # fmt: skip
    assert code == 0 and "mode collapse" in out and (tmp_path / "p.png").stat().st_size > 1000


def test_report(egan, tmp_path, monkeypatch):
    """One page with the agreement, figures that exist and data that opens; a second report replaces it."""
    monkeypatch.setattr("egan_theory.papers.solvable.report.SCAN", 4)
    path = tmp_path / "model.toml"
    path.write_text(SETTING_E.replace({"n": 500, "record": 51, "time": 100.0}).to_toml())
    code, out, err = egan("report", path, "-o", tmp_path / "page", "--data", "--json")
    assert (code, err) == (0, "")
    folder = Path(json.loads(out)["folder"])
    text = (folder / "index.html").read_text()
    assert "success, as predicted" in text and "coverage of feature 1" in text and "Not compared" in text
    for name in re.findall(r'(?:src|href)="([^"#:]+)"', text):
        assert (folder / name).stat().st_size > 0
    assert json.loads((folder / "theory.json").read_text())["predicted"]["regime"] == "success"
    with xr.open_dataset(folder / "runs.nc", engine="h5netcdf") as ds:
        assert ds.sizes["run"] == 8
    path.write_text(SMALL.replace({"nonlinearity": "tanh"}).to_toml())
    code, _, _ = egan("report", path, "-o", tmp_path / "page", "--overwrite")
    text = (folder / "index.html").read_text()
    assert code == 0 and "Not possible for this model" in text and not (folder / "theory.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ode", "missing.toml"), "missing.toml: must be an existing model file"),
        (("ode", "-o", "nowhere/x.nc"), "output: must lie in an existing folder"),
        (("ode", "--figure", "x.txt"), "figure: must end in .png"),
        (("phase",), "vary"),
        (("phase", "--vary", "noise=1:2"), "vary: must be PATH=LOW:HIGH:POINTS"),
        (("phase", *("--vary", "noise=1:2:3") * 3), "--vary: must be given once or twice"),
        (("phase", "--vary", "noise=1:2:3", "--simulate", "mc"), "simulate: must be one of"),
        (("simulate", "-o", "x.nc", "--method", "mc"), "method: must be"),
    ],
)
def test_bad_input(egan, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = egan(*arguments)
    assert code == 2 and out == "" and message in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_errors_name_the_file(egan, model):
    model.write_text("[solvable]\nnoise = -1.0\n")
    code, _, err = egan("ode", model)
    assert code == 2 and f"{model}: solvable.noise: must be at least 0" in err


def test_interrupted_simulation_keeps_what_it_has(egan, model, tmp_path, monkeypatch):
    def interrupted(described, **_):
        return solve_ode(described).isel(time=slice(0, 3)).assign_attrs(status="interrupted", method="chain")

    monkeypatch.setattr("egan_theory.papers.solvable.finite.simulate_solvable", interrupted)
    code, _, err = egan("simulate", model, "-o", tmp_path / "runs.nc")
    assert code == 1 and "interrupted" in err and err.count("\n") == 1 and (tmp_path / "runs.nc").exists()


def test_comparison_has_error_bars():
    """End overlaps of setting E within 4 standard errors or 2 %; what cannot be compared is said."""
    m = SETTING_E.replace({"n": 4000, "runs": 4, "time": 120.0, "record": 61})
    table = compare_solvable(m, simulate_solvable(m))
    named = {q.name: q for q in table.quantities}
    assert {"|P11|", "|P22|", "coverage of feature 1"} <= set(named)
    assert all(abs(q.z) < 4 or q.relative_error < 0.02 for q in table.quantities) and all(
        q.stderr > 0 for q in named.values()
    )
    assert {u["name"] for u in table.unmatched} <= {"|P12|", "|P21|"}
    cycle = m.replace({"noise": 1.0})
    odd = compare_solvable(cycle, solve_ode(cycle), found=(Regime("oscillation", (), (0.0, 0.0), 1.0, 1.0),))
    assert not odd.quantities and "oscillation" in odd.unmatched[-1]["reason"]


@pytest.fixture
def quick(monkeypatch):
    for name, value in (("FINE", 5), ("NOISES", 2), ("RUNS", 1), ("SPAN", 150.0)):
        monkeypatch.setattr(script, name, value)


def test_analysis(quick, tmp_path):
    """Small: no regime of ODE or chain is other than predicted where the run is long enough."""
    ds = labelled(script, "--seed 4 --draws 1 --side 3 --n 500", tmp_path)
    total = ds[["runs", "decided", "wrong"]].sum("draw")
    assert int(total["wrong"].sum()) == 0
    assert int(total["runs"].sel(features=1, outcome="ode")) == 9
    assert int(total["decided"].sel(features=1).min()) >= 5
    assert (tmp_path / "solvable_phases.nc").exists()


@pytest.mark.slow
def test_analysis_of_other_models(quick, monkeypatch):
    monkeypatch.setattr(script, "SPAN", 300.0)
    ds = script.study(5, 2, 5, 2000)
    assert int(ds["wrong"].sum()) == 0 and int(ds["decided"].sel(features=1, outcome="ode").sum()) >= 30
    assert isinstance(script.figure(ds), Figure)


def test_template_is_setting_r(capsys):
    assert cli.main(["new", "solvable"]) == 0
    written = SETTING_R.replace({"P0": [[0.1, 0.0], [0.0, 0.1]], "q0": [0.1, 0.1]})
    assert Solvable.from_toml_string(capsys.readouterr().out) == written
