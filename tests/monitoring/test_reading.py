"""What is read from a monitored training: rows, sentences, page and figure; and that others read such files, too."""

import dataclasses
import json
import re

import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.cli.app import main
from egan_theory.monitoring.reading import monitor as read
from egan_theory.runs.schema import validate_runs, variable
from egan_theory.show import style
from egan_theory.show.monitored import page, verdict
from egan_theory.show.plot.monitored import PANELS, panels
from tests.monitoring.doubles import Network
from tests.monitoring.test_monitor import LATENTS, monitor, train

TIME = [0, 10, 20]


def runs(multipliers=((0.9 + 0.2j,),) * 3, status="finished", notes=(), residual=1e-9, share=0.5, **scalars):
    """A monitored training of three analyses, multipliers (analysis, multiplier), other values at each of them."""
    z = np.full((1, len(TIME), 3), np.nan, complex)
    for i, row in enumerate(multipliers):
        z[0, i, : len(row)] = row
    data = {"multiplier_re": z.real, "multiplier_im": z.imag, "multiplier_residual": np.full(z.shape, residual),
            "multiplier_share": np.full(z.shape, share), "monitor_seconds": np.full((1, 3), 0.3),
            "training_seconds": np.full((1, 3), 10.0), "particles": np.zeros((1, 3, 2, 2))}  # fmt: skip
    data |= {name: np.broadcast_to(np.asarray(values, float), (1, 3)) for name, values in scalars.items()}
    ds = xr.Dataset({name: variable(name, values) for name, values in data.items()})
    attrs = {"monitor_version": "1", "status": status, "notes": json.dumps(list(notes)), "monitor": '{"every": 10}'}
    return ds.assign_coords(time=("time", TIME, {"units": "step"})).assign_attrs(attrs)


SAID = [
    (dict(multipliers=[[0.9, 0.8 + 0.3j]] * 3), "At step 20 no mode overshoots or circles with growing size (1 "
     "rotation, damped; 1 decay); the largest multiplier is 0.9: nothing grows."),
    (dict(multipliers=[[1.2, 0.8]] * 3), "the largest multiplier is 1.2: it grows without turning"),
    (dict(multipliers=[[1.05, 0.8]] * 3), "1.05: it grows without turning, as it does while training is under way."),
    (dict(multipliers=[[1.2, 0.8]] * 3), "1.2: it grows without turning, and fast: where the next analyses say so"),
    (dict(multipliers=[[1.0, -1.42 + 0.37j]] * 3, share=0.97, strength_r1=1.0), "At step 20: step too large. A mode "
     "carried by the discriminator is multiplied per step by −1.42 ± 0.37i (modulus 1.467)"),
    (dict(multipliers=[[1.0, -1.42 + 0.37j]] * 3, share=0.97, strength_r1=1.0),
     "Lower the discriminator's learning rate or the R1 strength."),
    (dict(multipliers=[[1.0, -1.42]] * 3, share=0.1, strength_r1=1.0), "Lower the generator's learning rate."),
    (dict(multipliers=[[1.0 + 0.1j]] * 3), "rotation, growing. A mode carried by both players"),
    (dict(multipliers=[[1.0 + 0.1j]] * 3), "Add an R1 penalty, or lower the learning rates."),
    (dict(multipliers=[[1.0 + 0.1j]] * 3, strength_r1=1.0), "Raise the R1 strength, or lower the learning rates."),
    (dict(multipliers=[[1.0 + 0.1j]] * 3, residual=0.1), "which its residual leaves in doubt"),
    (dict(path_angle=0.9, path_angle_beyond=0.8), "is 0.90: training goes straight on"),
    (dict(path_angle=0.9, path_angle_beyond=-0.1), "the weights come to rest along this way"),
    (dict(path_angle=-0.9, path_angle_beyond=-0.9), "the steps overshoot"),
    (dict(path_angle=0.1, path_angle_beyond=0.05), "the field goes across the way"),
    (dict(path_angle=0.5, path_angle_beyond=0.4), "along a bent way"),
    (dict(kernel_share=0.2, kernel_g1=4.0, kernel_g2=1.0), "Two numbers (g1 = 4 length², g2/g1 = 0.25) explain "
     "20% of the generator's kernel: the effective model is a rough one here."),
    (dict(kernel_share=0.9), "Two numbers explain 90% of the generator's kernel."),
    (dict(strength_r1=1.0, strength_advised=12.0), "advises an R1 strength of 12 length²: raise it from 1 "
     "length², and look at the next advice: it is more than a factor 3 from the strength trained at"),
    (dict(strength_r1=1.0, strength_advised=12.0, strength_edge=12.0), "take it for a lower end."),
    (dict(strength_r1=100.0, strength_advised=12.0), "lower it from 100 length²,"),
    (dict(strength_r1=10.0, strength_advised=12.0), "The R1 strength of 10 length² is near the one that theory "
     "advises, 12 length²."),
    (dict(strength_r1=0.0, strength_advised=12.0), "none is set."),
    ({}, "The analyses took 3.0% of the training time."),
    (dict(notes=[[12, 15, "kernel: out of memory"]]), "the latest from step 12: kernel: out of memory."),
    (dict(status="diverged at step 17"), "Training diverged at step 17: from there on nothing is finite."),
    (dict(multipliers=[]), "No analysis was made until step 20."),
]  # fmt: skip


@pytest.mark.parametrize(("given", "says"), SAID, ids=[says[:30] for _, says in SAID])
def test_the_latest_analysis_is_read_in_words(given, says):
    assert says in " ".join(read(runs(**given)).remarks)


def test_rows_hold_the_largest_multiplier_of_every_analysis():
    found = read(runs([[0.5, -1.1], [0.9 + 0.9j, 0.2], [1.3]], kernel_share=[np.nan, 0.5, 0.6]))
    assert [a.multiplier for a in found.analyses] == [-1.1, 0.9 + 0.9j, 1.3]
    assert [a.kind for a in found.analyses] == ["step too large", "rotation, growing", "drift"]
    assert [a.kernel_share for a in found.analyses] == [None, 0.5, 0.6] and found.kinds == {"drift": 1}
    assert found.overhead == pytest.approx(0.03) and found.last == 20 and found.asked == {"every": 10}
    ds = found.to_dataset()
    assert ds["kind"].values.tolist() == [a.kind for a in found.analyses] and ds["analysis"].values.tolist() == TIME
    json.dumps(found.to_dict(), allow_nan=False)
    assert "−1.1" in found._repr_html_()


def test_only_what_a_monitor_recorded_is_read(tmp_path):
    plain = runs()
    del plain.attrs["monitor_version"]
    with pytest.raises(InputError, match=r"runs: must be recorded by eg\.Monitor"):
        read(plain)
    with pytest.raises(InputError, match="run: must be one of the 1 runs"):
        read(runs(), run=3)


@pytest.mark.parametrize("text", ["{", "[1, 2", "7", '[[1, "a"]]', "[[1, 2, 3]]", '{"every": '])
@pytest.mark.parametrize("name", ["notes", "monitor"])
def test_damaged_attributes_are_named_in_one_line(name, text, tmp_path, capsys):
    runs().assign_attrs({name: text}).to_netcdf(tmp_path / "r.nc", engine="h5netcdf")
    assert main(["monitor", str(tmp_path / "r.nc")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"attribute {name}: must be JSON" in said and "Traceback" not in said


@pytest.mark.parametrize(("change", "says"), [
    (lambda ds: ds.assign_attrs(monitor_version="2"), "attribute monitor_version: must be '1'"),
    (lambda ds: ds.drop_vars("multiplier_im"), "multiplier_re and multiplier_im: must be there both"),
    (lambda ds: ds.assign(multiplier_re=ds["multiplier_re"].isel(multiplier=0)), "multiplier_re: must have dims"),
    (lambda ds: ds.assign(multiplier_share=ds["multiplier_share"] + 2), "multiplier_share: must lie between 0 and 1"),
    (lambda ds: ds.assign(path_angle=(("run", "time"), [["a"] * 3])), "path_angle: must hold real numbers"),
])  # fmt: skip
def test_files_are_validated(change, says):
    with pytest.raises(InputError, match=re.escape(says)):
        validate_runs(change(runs()))


def test_multipliers_keep_their_number(tmp_path):
    with eg.RunWriter(tmp_path / "r.nc", chunk=1) as writer:
        writer.log(0, [[0.0]], multiplier_re=[1.0, 2.0])
        for given in ({"multiplier_re": [1.0]}, {"multiplier_im": [1.0, 2.0, 3.0]}):
            with pytest.raises(InputError, match="have the shape"):
                writer.log(1, [[0.0]], **given)
        with pytest.raises(InputError, match="attrs: must be texts or numbers"):
            eg.RunWriter(tmp_path / "s.nc", attrs={"status": "finished"})


def test_remarks_on_steps_are_kept_and_joined(tmp_path):
    with eg.RunWriter(tmp_path / "r.nc", chunk=1, attrs={"monitor_version": "1"}) as writer:
        for step, text in enumerate(["a", "a", "b\n c", "a"]):
            writer.log(step, [[0.0]])
            writer.note(step, text)
    with eg.RunWriter(tmp_path / "r.nc", resume=True, at=2) as writer:
        writer.note(2, "d")
    run = eg.open_runs(tmp_path / "r.nc")
    assert json.loads(run.attrs["notes"]) == [[0, 1, "a"], [2, 2, "b c"], [2, 2, "d"]]


# -- page and figure ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A training that still runs."""
    path = tmp_path_factory.mktemp("watched") / "runs.nc"
    D, G = Network(1.0, 0.0), Network(0.0, 2.0)
    m = monitor(path, D, G)
    train(m, D, G, range(31), loss_discriminator=float, loss_generator=float)
    m._samples.note(30, "kernel: <b>no</b> memory")
    m._samples.writer.flush()
    yield path
    m._samples.writer.abandon()


def test_the_page_is_one_file_while_training_runs(watched, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["monitor", str(watched), "-o", str(page)]) == 0
    text = page.read_text()
    assert f"written: {page}" in capsys.readouterr().out
    assert text.count('<figure class="picture"') == len(panels(eg.open_runs(watched))) == len(PANELS)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "<h1>Training at step 29: rotation, damped</h1>" in text or "<h1>Training at step 30" in text
    assert "&lt;b&gt;no&lt;/b&gt; memory" in text and "status of the recording: interrupted" in text
    for line in read(watched).remarks:
        assert line.replace("'", "&#39;").replace("<", "&lt;").replace(">", "&gt;") in text
    with pytest.raises(InputError, match="output: must not be there yet"):
        eg.monitor_page(watched, page)
    assert eg.monitor_page(eg.open_runs(watched), page, overwrite=True) == page
    assert main(["monitor", str(watched), "-o", str(tmp_path / "page.nc")]) == 2
    assert "output: must end in .html" in capsys.readouterr().err


def test_the_figure_draws_every_kind_where_it_belongs():
    ds = runs([[1.3, -1.2], [1.0 + 0.2j, 0.9 + 0.1j], [-0.97, 0.9]], loss_generator=1.0, strength_r1=2.0)
    with style.detached():
        ax = eg.plot.monitor(ds)
        assert len(ax.figure.axes) == len(panels(ds)) == 4
        moduli = eg.plot.monitor(ds, what="moduli")
        angles = eg.plot.monitor(ds, what="angles")
    drawn = {line.get_label(): line.get_xydata() for line in moduli.lines}
    np.testing.assert_allclose(drawn["drift"], [[0, 1.3]])
    np.testing.assert_allclose(drawn["step too large"], [[0, 1.2]])
    np.testing.assert_allclose(drawn["rotation, growing"], [[10, abs(1 + 0.2j)]])
    np.testing.assert_allclose(drawn["edge of stability"], [[20, 0.97]])
    drawn = {line.get_label(): line.get_xydata() for line in angles.lines}
    np.testing.assert_allclose(drawn["step too large"], [[0, 180]])
    np.testing.assert_allclose(drawn["rotation, growing"], [[10, np.degrees(np.arctan(0.2))]])
    with pytest.raises(InputError, match="what: must be one of losses, moduli"):
        eg.plot.monitor(ds, what="nothing")
    given = style.Figure().subplots()
    assert eg.plot.monitor(ds, ax=given) is given
    with style.detached():
        assert "nothing of this" in eg.plot.monitor(ds, what="kernel").texts[0].get_text()


@pytest.fixture
def ring(tmp_path):
    """An experiment, and a monitored training that comes to rest on its target."""
    exp = eg.Experiment(target={"kind": "ring", "modes": 3}, generator={"particles": 3}, discriminator={"features": 8})
    (tmp_path / "e.toml").write_text(exp.to_toml())
    D, G = Network(1.0, 0.0), Network(0.0, 2.0)
    with monitor(tmp_path / "r.nc", D, G, latents=exp.points.coordinates, experiment=exp) as m:
        for step in range(200):
            G.weights = 0.01 * 0.98**step * np.array([1.0, -1.0])
            m.step(step)
    assert eg.open_runs(tmp_path / "r.nc").attrs["experiment"] == exp.to_toml()
    return [str(tmp_path / "e.toml"), str(tmp_path / "r.nc")]


def test_compare_reads_such_files(ring, capsys):
    assert main(["compare", *ring]) == 0
    assert "What became of the 1 runs" in capsys.readouterr().out


def test_compare_says_what_a_training_is_that_no_experiment_describes(ring, tmp_path, capsys):
    """Of as many samples as there are particles, and of others."""
    for latents in (LATENTS, np.ones((5, 2))):
        file = tmp_path / f"{len(latents)}.nc"
        with monitor(file, latents=latents) as m:
            m.step(0)
            m.step(1)
        assert main(["compare", ring[0], str(file)]) == 2
        error = capsys.readouterr().err
        assert (
            error.startswith(f"egan: {file}: must hold runs of the experiment (egan simulate, ")
            and "\n" not in error[:-1]
        )
        assert "a training of networks that eg.Monitor recorded, which egan monitor reads; runs: " in error
        with pytest.raises(eg.InputError) as raised:
            eg.compare(eg.Experiment.from_toml(ring[0]), eg.open_runs(file))
        assert f"egan: {raised.value}\n".replace("runs", str(file), 1) == error


@pytest.mark.slow
def test_report_reads_such_files(ring, tmp_path):
    out = tmp_path / "report"
    assert main(["report", ring[0], "--runs", ring[1], "-o", str(out), "--data"]) == 0
    with xr.open_dataset(out / "runs.nc", engine="h5netcdf") as written:
        assert "multiplier_re" in written and written.attrs["monitor_version"] == "1"


def test_the_page_says_settings_in_words_and_describes_what_is_drawn():
    asked = {"every": 10, "share": 0.03, "parts": ["multipliers", "path"], "penalty": {"r1": 1.0}, "horizon": None}
    ds = runs(strength_r1=1.0, path_angle=0.5).assign_attrs(monitor=json.dumps(asked))
    text = page(ds, read(ds))
    for said in ("<li>analysis every: 10 steps</li>", "<li>measured: multipliers, path</li>",
                 "<li>penalties: R1 1 length²</li>", "<th scope=\"col\">R1 set (length²)</th>"):  # fmt: skip
        assert said in text
    for absent in ("[&#39;", "{&#39;", "share", "kernel share", "R1 advised", "beyond them", "Edge:", "not measured"):
        assert absent not in text.partition("<main")[2]
    full = runs(strength_r1=1.0, strength_edge=2.0, path_angle=0.5, path_angle_beyond=0.1)
    assert "Edge:" in page(full, read(full)) and "beyond them" in page(full, read(full))
    with style.detached():
        drawn = [line.get_label() for line in eg.plot.monitor(ds, what="path").lines]
    assert "at the present weights" in drawn and "a quarter beyond" not in drawn


def test_more_time_than_asked_for_is_explained():
    ds = runs().assign_attrs(monitor='{"every": null, "share": 0.01}')
    assert "The analyses took 3.0% of the training time, above the 1.0% asked for, to which" in read(ds).remarks[-1]
    assert "asked for" not in read(runs()).remarks[-1]


def test_the_title_is_of_the_analysis_and_agrees_with_the_sentence():
    """The largest multiplier is a drift, what needs a change first a rotation; the loop has gone on since."""
    found = read(runs(multipliers=[[1.5, 1.0 + 0.1j], [1.5, 1.0 + 0.1j], []]))
    assert verdict(dataclasses.replace(found, status="running")) == (
        "Training at step 10 (of 20 so far): rotation, growing"
    )
    assert verdict(found) == "Training at step 10 (of 20): rotation, growing"  # finished
    assert verdict(read(runs(multipliers=[[1.5], [1.5], [1.5]]))).endswith(": drift, it is still under way")
    assert any(said.startswith("At step 10: rotation, growing.") for said in found.remarks)
    assert verdict(read(runs())) == "Training at step 20: rotation, damped"


def test_every_strength_and_kernel_number_has_its_unit(monkeypatch):
    """In remarks, on the page and its figures' texts; of the JSON form under ``units``."""
    ds = runs(strength_r1=2.5, strength_advised=25.0, strength_edge=25.0, kernel_g1=4.5, kernel_g2=1.5,
              kernel_share=0.9)  # fmt: skip
    found = read(ds)
    data = found.to_dict()
    numeric = {name for name, value in data["analyses"][0].items() if not isinstance(value, str)}
    assert numeric | {"last", "overhead"} <= data["units"].keys()
    assert {data["units"][name] for name in ("strength_r1", "strength_advised", "strength_edge", "kernel_g1")} == {
        "length^2"
    }
    assert data["units"]["loss_generator"] == "1" and data["units"]["step"] == "step"
    text = page(ds, found).partition("<main")[2]
    words = re.sub(r"<table.*?</table>|<g .*?</g>", "", text, flags=re.S)  # a table's head has the units
    for number in ("2.5", "25", "4.5"):
        after = re.findall(rf"(?:R1[^<]*|[gm]1 =|from|it|advises,) (?<![-\d.]){re.escape(number)}( .{{8}})", words)
        assert after and all(a.startswith((" length²", " at step")) for a in after), after
    assert "set (length²) from 2.5 at step 0" in text and "g1 (length²) from 4.5 at step 0" in text
