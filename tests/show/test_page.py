"""The report's page: what it says, and what it does when something is impossible."""

import json
import re
import warnings

import numpy as np
import pytest
import xarray as xr
from markupsafe import escape

import egan_theory as eg
from egan_theory.base.errors import InputError, NotLinearizable
from egan_theory.predict.mechanism import MECHANISMS
from egan_theory.runs.outcome import tally
from egan_theory.show import answers, drawings, lighter, page, stages, words
from egan_theory.show.boundaries import RATIO, of_random_starts
from egan_theory.show.folder import MARK
from egan_theory.show.glossary import GLOSSARY
from egan_theory.show.picture import picture
from egan_theory.show.quantities import meaning as quantity_meaning
from tests.show.fakes import RING, UNIFORM, WILD, experiment, fake_agreement, fake_sweep, fakes  # noqa: F401

#: what stands in the page for an address, and is none
NAMES = ("http-equiv", "http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML")


def read(path):
    return path.read_text(encoding="utf-8")


def section(text, name):
    """A section of the page, tags left out."""
    found = re.search(rf'<section id="{name}".*?</section>', text, re.S)[0]
    found = re.sub(r'<span class="meaning".*?</span>', "", found, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>", "", found, flags=re.S)).split())


def check_whole(text):
    """One file: every link leads to a place in it, no id twice, nothing from elsewhere, every figure described."""
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids)), [i for i in ids if ids.count(i) > 1]
    assert {link for link in re.findall(r'(?:href|popovertarget|for|labelledby)="#?([^"]+)"', text)
            if not link.startswith("data:")} - set(ids) <= set(FILES)  # fmt: skip
    for name in NAMES:
        text = text.replace(name, "")
    assert "http" not in text.replace("https://doi.org", "") and "<img" not in text
    assert text.count("<svg") == len(re.findall(r"<desc[^>]*>[^<]{30,}</desc>", text))
    assert [i for i in ids if i in dict(page.SECTIONS)] == [name for name, _ in page.SECTIONS]


@pytest.fixture
def bare(fakes, monkeypatch):  # noqa: F811
    """Without the stages on collapse, for experiments of one test alone."""

    def refuse(*args, **kwargs):
        raise InputError("this", "be tested elsewhere")

    for name in ("diagram", "map_of", "reached", "boundaries", "frequency"):
        monkeypatch.setattr(stages, name, refuse)


FILES = (
    "spectrum.nc", "frequency.nc", "runs.nc", "random.nc", "strength.nc", "phase.nc", "branch.nc", "agreement.nc",
    "experiment.toml", "derivation.md", "boundaries.json", "regularizer.json",
)  # fmt: skip


def test_page_holds_every_number_figure_and_file(fakes, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.setattr(drawings, "picture", picture)
    seen = []
    index = eg.report(RING, tmp_path / "r", data=True, progress=lambda *args: seen.append(args))
    text = read(index)
    check_whole(text)
    assert len(text.encode()) < 6e6
    agreement = fake_agreement(eg.spectrum(RING))
    for row in words.agreement_table(agreement):
        assert f">{row['name']}</button>" in text or f"<td>{row['name']}</td>" in text
        for key in ("predicted", "measured", "stderr", "z", "relative_error"):
            assert f"<td>{row[key]}</td>" in text
    assert text.count('class="off"') == 1 and text.count(">NO<") == 1  # s2.re
    assert "Comparison of &#39;rate&#39;" in text and "too short" in section(text, "unsaid")
    assert "<note>" not in text and "&lt;note&gt;" in text
    for name in (
        "eigenvalues",
        "damping",
        "frequency",
        "strength",
        "endless",
        "branch",
        "phase",
        "relaxation",
        "cloud",
    ):
        assert text.count(f'id="fig-{name}"') == 1
    assert {p.name for p in index.parent.iterdir()} == {*FILES, MARK, "index.html"}
    assert eg.Experiment.from_toml(index.parent / "experiment.toml") == RING
    assert json.loads((index.parent / "regularizer.json").read_text())["best"] > 0
    for name in (name for name in FILES if name.endswith(".nc")):
        with xr.open_dataset(index.parent / name, engine="h5netcdf") as ds:
            assert "[target]" in ds.attrs["experiment"]
    told = list(dict.fromkeys(stage for stage, _, _ in seen))
    usual = [name for name in stages.STAGES if name != "powers"]  # of averages over all of the past
    assert told == [*usual[: len(told) - 2], "figures", "write"]
    assert all(0 <= done <= total for _, done, total in seen)
    found = json.loads((index.parent / "boundaries.json").read_text())["thresholds"]
    assert [t["mechanism"] for t in found] == list(MECHANISMS)
    said = section(text, "collapse")
    for t in found:  # every number and clause of the file is on the page
        assert not t["meaning"] or f"In this experiment: {escape(of_random_starts(t['meaning']))}" in said
        for value, side, meaning in zip(t["values"], t["unstable_side"], t["meanings"], strict=True):
            clause = escape(of_random_starts(meaning[side]))
            assert re.search(rf"{side.capitalize()} a ratio of {value:.4g} \([^)]*\): {clause}", said)


def test_numbers_of_the_first_screen_are_those_of_the_functions(fakes, tmp_path):  # noqa: F811
    said = section(read(eg.report(RING, tmp_path / "r.html")), "answer")
    modes = eg.eigenvalues(eg.linearize(RING))
    assert f"Does it come to rest? {1 / modes.slowest(coupled_only=True):.0f} steps" in said
    best = eg.best_regularizer(RING)
    assert f"Which R1 for this training? {best.best:.4g} length²" in said
    assert f"{eg.left_over(RING).moving:.4g} at the present 0.1" in said
    assert eg.collective_instability(RING, RATIO).values == ()
    assert "no threshold At every kernel ratio the spread state stays at rest." in said
    lost = eg.reached(RING.replace({"run.start": "random"}), draws=2).lost
    assert f"Does a random start keep every mode? {100 * (1 - lost):.0f} % of starts" in said
    runs = eg.simulate(RING.replace({"run.start": "random", "run.runs": stages.RANDOM}))
    kept = int((runs["outcome"].values % 6 == 0).sum())  # settled 0, circling 6
    assert f"Simulated: {kept} of {stages.RANDOM} runs keep every mode" in said
    table = words.agreement_table(fake_agreement(eg.spectrum(RING)))
    fine = sum(row["agrees"] for row in table) + len(lighter.SWEEP) - 1  # the last strength diverged
    assert f"Does simulation agree with theory? {fine} of {len(table) + len(lighter.SWEEP) - 1} quantities" in said


def test_strengths_leave_what_the_linear_maps_power_leaves(fakes, tmp_path):  # noqa: F811
    text = eg.report(RING, tmp_path / "page.html").read_text()
    best = eg.best_regularizer(RING)
    table = re.search(r"left of what can move</th>.*?<tbody>(.*?)</tbody>", text, re.S)[1]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", table, re.S)]
    for (strength, left, _), by in zip(cells, (0.0, 0.5, 1.0, 2.0), strict=True):
        exp = RING.replace({"penalty.r1": by * best.best})
        assert float(strength) == pytest.approx(by * best.best, rel=1e-3)
        assert float(left) == pytest.approx(eg.left_over(exp, best.horizon).moving, rel=1e-3)


@pytest.mark.parametrize(("now", "side"), [(0.05, "ceases to rest above"), (0.4, "does not rest; it would below")])
def test_the_nearest_threshold_is_told_with_its_distance(now, side):
    exp = RING.replace({"penalty.r1": 0.03, RATIO: now})
    found = stages.Results(exp, "r1", boundaries=eg.thresholds(exp, RATIO, mechanisms=["collective instability"]))
    values = eg.collective_instability(exp, RATIO).values
    nearest = min(values, key=lambda v: abs(v - now))
    card = next(a for a in answers.answers(found) if a.question.startswith("How far"))
    assert len(values) > 1 and card.number == f"{nearest:.4g}" and card.unit == "kernel ratio"
    assert side in card.text and f"{nearest / now:.3g} times the present {now}" in card.text
    assert card.good == (now < nearest)


def test_every_term_of_the_page_is_defined(fakes, tmp_path):  # noqa: F811
    text = read(eg.report(RING, tmp_path / "r.html"))
    used = set(re.findall(r'<span class="meaning" popover id="[^"]+"><b>([^<]+)</b>', text))
    assert used and {name for name in used if not quantity_meaning(name)} <= set(GLOSSARY)
    defined = section(text, "definitions")
    for term in GLOSSARY.values():
        assert term.text.split(".")[0].replace("'", "&#39;") in defined
        assert not term.equation or term.number is not None
    columns = re.findall(r'<p class="terms">.*?</p>', text, re.S)
    assert len(columns) == 3 and all("popovertarget" in line for line in columns)


def test_one_file_and_its_rules(fakes, tmp_path):  # noqa: F811
    file = tmp_path / "page.html"
    assert eg.report(UNIFORM, file) == file and [p.name for p in tmp_path.iterdir()] == ["page.html"]
    check_whole(read(file))
    before = read(file)
    eg.report(RING, file)  # a former report is replaced
    assert read(file) != before
    with pytest.raises(InputError, match=r"data: must be written to a folder, without an end in \.html"):
        eg.report(RING, file, data=True)
    file.write_text("<html>mine</html>")
    with pytest.raises(InputError, match="path: must be new or a former report"):
        eg.report(RING, file)
    assert read(file) == "<html>mine</html>"


def test_page_alone_without_data(fakes, tmp_path):  # noqa: F811
    index = eg.report(UNIFORM, tmp_path / "r")
    assert {p.name for p in index.parent.iterdir()} == {MARK, "index.html"}
    assert "<h3>Files</h3>" not in read(index)


def test_page_of_the_periodic_box_has_its_dispersion(fakes, tmp_path):  # noqa: F811
    text = read(eg.report(UNIFORM, tmp_path / "r"))
    assert 'id="fig-dispersion"' in text and " (length) is learnt last" in text
    assert 'id="fig-frequency"' in text and "Learnt within the run of 200 steps: waves from k = " in text


def test_page_escapes_the_users_text(bare, tmp_path):
    file = tmp_path / "<script>alert(1)<x&y.npy"
    np.save(file, np.array([[-1.0], [0.0], [1.2]]))
    exp = experiment(eg.PointSet(path=str(file)), 3)
    text = read(eg.report(exp, tmp_path / "r"))
    assert text.count("<script") == 1 and "&lt;script&gt;" in text and "x&amp;y" in text


def test_experiment_file_finds_its_points_from_anywhere(bare, monkeypatch, tmp_path):
    """They lie beside it; nothing says where they were, in the page, the texts or the attributes of the numbers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home" / "private").mkdir(parents=True)
    xr.Dataset({"points": (("m", "d"), [[-1.0], [0.0], [1.2]]), "weights": ("m", [1.0, 2.0, 1.0])}).to_netcdf(
        "home/private/p.nc", engine="h5netcdf"
    )
    exp = experiment(eg.PointSet(path=str(tmp_path / "home" / "private" / "p.nc")), 3)
    index = eg.report(exp, "r", data=True)
    for file in index.parent.iterdir():
        assert b"private" not in file.read_bytes(), file
    (tmp_path / "r").rename(tmp_path / "elsewhere")
    monkeypatch.chdir("/")
    again = eg.Experiment.from_toml(tmp_path / "elsewhere" / "experiment.toml")
    np.testing.assert_array_equal(again.points.coordinates, exp.points.coordinates)
    np.testing.assert_array_equal(again.points.weights, exp.points.weights)


def test_page_alone_names_the_points_file_without_its_folder(bare, tmp_path):
    (tmp_path / "private").mkdir()
    np.save(tmp_path / "private" / "mine.npy", np.array([[-1.0], [0.0], [1.2]]))
    exp = experiment(eg.PointSet(path=str(tmp_path / "private" / "mine.npy")), 3)
    text = read(eg.report(exp, tmp_path / "one.html"))
    assert "private" not in text and "mine.npy" in text


@pytest.mark.parametrize("place", ["r", "r.html"])
def test_two_reports_at_once_on_one_place(bare, monkeypatch, tmp_path, place):
    """The second is refused before it computes anything, where there is nothing and where there is a report."""
    simulate, seen = stages.simulate, []

    def meanwhile(exp, *args, **kwargs):
        monkeypatch.setattr(stages, "simulate", simulate)
        with pytest.raises(InputError, match="path: must not be in use, but found another report"):
            eg.report(RING, tmp_path / place)
        seen.append(1)
        return simulate(exp, *args, **kwargs)

    for _ in range(2):
        monkeypatch.setattr(stages, "simulate", meanwhile)
        eg.report(RING, tmp_path / place)
        assert [p.name for p in tmp_path.iterdir()] == [place]
        assert place != "r" or not list((tmp_path / "r").glob(".tmp*"))
    assert len(seen) == 2


def test_failing_stages_give_a_page_with_the_reason(fakes, monkeypatch, tmp_path):  # noqa: F811
    def refuse(*args, **kwargs):
        raise NotLinearizable("penalty.r1", "be <gentle>")

    for name in ("spectrum", "best_regularizer", "compare", "diagram", "map_of"):
        monkeypatch.setattr(stages, name, refuse)
    index = eg.report(RING, tmp_path / "r", data=True)
    text = read(index)
    check_whole(text)
    assert "No linear prediction" in text
    left_out = section(text, "unsaid")
    for said in ("would have to be", "is not"):
        assert left_out.count(f"penalty.r1 {said} &lt;gentle&gt;") == 1
    for what in ("Eigenvalues and damping", "The best strength", "The branch diagram", "The phase diagram"):
        assert what in left_out
    assert "Simulated strengths" in left_out
    assert "There is nothing to compare" in text and "There is no branch diagram" in text
    assert 'id="fig-relaxation"' in text and 'id="fig-eigenvalues"' not in text and 'id="fig-phase"' not in text
    assert not (index.parent / "spectrum.nc").exists()


def test_not_linearizable_experiment_gives_a_page(bare, tmp_path):
    crowded = experiment(eg.Ring(modes=4), 2)
    text = read(eg.report(crowded, tmp_path / "r"))
    check_whole(text)
    assert "at least the number of target points" in section(text, "answer")


def test_diverging_runs_give_a_page(bare, monkeypatch, tmp_path):
    monkeypatch.setattr(stages, "compare", eg.compare)
    text = read(eg.report(WILD, tmp_path / "r"))
    assert "Unstable" in text and "What became of the 3 simulated runs: 3 diverged (the first at step" in text
    assert "Eigenvalues measured in the runs" in section(text, "unsaid")
    assert "a straight envelope is exponential growth" in section(text, "simulation")
    assert "a kick grows at the present 60" in section(text, "answer")
    assert "No: " in section(text, "answer") and "grows by a factor e in this time" in text


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("where", [(stages, "simulate"), (page, "_page")])
@pytest.mark.parametrize("target", ["r", "r.html"])
def test_nothing_is_written_when_interrupted(bare, monkeypatch, tmp_path, where, error, target):
    def stop(*args, **kwargs):
        raise error

    monkeypatch.setattr(*where, stop)
    with pytest.raises(error):
        eg.report(RING, tmp_path / target)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_simulation_is_not_reported(bare, monkeypatch, tmp_path):
    short = eg.simulate(RING.replace({"run.steps": 20})).assign_attrs(status="interrupted")
    monkeypatch.setattr(stages, "simulate", lambda exp, progress: short)
    with pytest.raises(KeyboardInterrupt):
        eg.report(RING, tmp_path / "r")


def test_foreign_folder_is_refused_and_kept(fakes, tmp_path):  # noqa: F811
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"path: must be new, empty or a former report.*thesis\.tex"):
        eg.report(RING, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match="path: must be a folder"):
        eg.report(RING, tmp_path / "thesis.tex")


def test_former_report_is_replaced_and_what_is_not_its_own_stays(fakes, tmp_path):  # noqa: F811
    folder = tmp_path / "r"
    folder.mkdir()  # empty: taken
    index = eg.report(UNIFORM, folder, data=True)
    assert (folder / "runs.nc").exists()
    (folder / "mine.txt").write_text("keep")
    before = read(index)
    assert eg.report(RING, folder) == index
    assert read(index) != before
    assert not (folder / "runs.nc").exists()
    assert (folder / "mine.txt").read_text() == "keep"
    assert set(json.loads((folder / MARK).read_text())["files"]) | {MARK, "mine.txt"} == {
        p.name for p in folder.iterdir()
    }


def test_a_mark_cannot_make_a_report_delete_other_files(bare, tmp_path):
    (tmp_path / "precious").write_text("keep")
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / MARK).write_text(json.dumps({"files": ["../precious", str(tmp_path / "precious"), 3]}))
    eg.report(RING, folder)
    assert (tmp_path / "precious").read_text() == "keep"


def test_unknown_penalty_is_bad_input(tmp_path):
    with pytest.raises(InputError):
        eg.report(RING, tmp_path / "r", penalty="r7")


def test_own_runs_are_reported_on_and_nothing_is_simulated(bare, monkeypatch, tmp_path):
    runs = eg.simulate(RING)
    del runs.attrs["start"]
    monkeypatch.setattr(stages, "simulate", None)
    text = read(eg.report(RING, tmp_path / "r.html", runs=runs))
    assert f"What became of the runs: {tally(runs['outcome'].values)}" in section(text, "answer")
    assert "Does training agree with theory?" in text and 'id="fig-scattered"' not in text


@pytest.mark.slow
def test_report_without_fakes(monkeypatch, tmp_path):
    monkeypatch.setattr(lighter, "SWEEP", (0.3, 0.8, 1.0, 1.25, 3.0))
    exp = experiment(eg.Grid(side=2, dimension=1), 2).replace({"generator.learning_rate": 0.05, "penalty.r1": 0.3})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = read(eg.report(exp, tmp_path / "r"))
    said = section(text, "agreement")
    assert "s1.re" in said and "left of what can move at" in said
    good, total = map(int, re.search(r"(\d+) of (\d+) compared quantities agree", text).groups())
    assert total >= 4 and good >= total - 1


@pytest.mark.slow
def test_default_report(tmp_path):
    text = read(eg.report(path=tmp_path / "r"))
    check_whole(text)
    assert len(text.encode()) < 6e6 and "Stable" in text
    said = section(text, "collapse")
    assert "weight decay, however small, bounds weights" in said  # why no orbit can be followed
    assert "state reached from the start" in said and 'id="fig-phase"' in text
