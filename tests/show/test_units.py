"""Strengths and fields have one unit each, on axes, in tables and where results show themselves."""

import re
from pathlib import Path

import pytest

import egan_theory as eg
from egan_theory.cli import main
from egan_theory.experiment.settings import Penalties
from egan_theory.show.fields import FIELDS, label
from egan_theory.symbolic.hypertext import table
from egan_theory.tables.penalties import PENALTIES, strength_label

RING = eg.Experiment(target=eg.Ring(modes=4), discriminator=eg.Discriminator(features=0))
ROOT = Path(eg.__file__).parent


@pytest.mark.parametrize("key", PENALTIES)
def test_a_penalty_has_the_unit_that_its_field_is_documented_with(key):
    unit = re.search(rf"(?m)^ +{key}: \[(.+?)\]", Penalties.__doc__)[1]
    assert PENALTIES[key].unit == unit.replace("^2", "²")
    assert label(f"penalty.{key}") == f"{PENALTIES[key].title} strength ({PENALTIES[key].unit})"


def test_fields_of_axes_are_fields():
    kinds = {"modes": eg.Ring(), "radius": eg.Ring(), "spacing": eg.Grid(), "std": eg.Mixture(means=((0.0,), (1.0,)))}
    for path in FIELDS:
        head, name = path.split(".", 1)
        exp = eg.Experiment(target=kinds[name]) if head == "target" else eg.Experiment()
        assert exp.get(path) is not None
    assert label("likelihood.weight") == "likelihood strength (1)" and label("target.seed") == "target.seed"


def test_the_advised_strength_shows_its_unit_and_what_is_left_of_what_can_move(tmp_path, capsys):
    exp = eg.Experiment(target=eg.Ring(modes=4), generator=eg.Generator(particles=8))
    found = eg.best_regularizer(exp, "r1", 300)
    shown = repr(found)
    assert found.frozen > 0.5 > found.moving and "best (length²)" in shown
    assert re.search(rf"left of what can move +{re.escape(f'{found.moving:.4g}')}", shown)
    assert f"{found.left_without:.4g}" not in shown
    for draw, made in ((eg.plot.left, found), (eg.plot.rate_curve, found.asymptotic)):
        assert draw(made).get_xlabel() == "R1 strength (length²)" == strength_label("r1")
    file = tmp_path / "e.toml"
    file.write_text(exp.to_toml())
    assert main(["regularizer", str(file), "--horizon", "300"]) == 0
    text = capsys.readouterr().out
    assert "R1 strength (length²)" in " ".join(text.split()) and "of what can move" in " ".join(text.split())
    row = next(line for line in text.splitlines() if "advised" in line)
    assert f"{found.moving:.3g}"[:4] in row and f"{found.left:.4g}" not in row
    for other, factor in ((found.moving_at_half, 0.5), (found.moving_at_double, 2.0)):
        assert other == pytest.approx(eg.left_over(exp.replace({"penalty.r1": factor * found.best}), 300).moving)


@pytest.mark.parametrize(
    "name", ["spectrum", "best_regularizer", "compare", "simulate", "thresholds", "phase", "report"]
)
def test_what_is_no_experiment_is_refused_in_one_line(name):
    arguments = {"compare": (None,), "thresholds": ("penalty.r1",), "report": ("x",)}.get(name, ())
    with pytest.raises(eg.InputError, match=r"^exp: must be an Experiment \(Experiment.from_toml reads a file\), but"):
        getattr(eg, name)("ring.toml", *arguments)


@pytest.mark.parametrize("runs", [None, "nofile.nc"])
def test_what_is_no_run_is_refused_in_one_line(runs):
    with pytest.raises(eg.InputError, match=r"^runs: must be runs, such as eg.simulate"):
        eg.compare(RING, runs)


def test_a_table_that_is_none_is_told_what_a_table_is():
    with pytest.raises(eg.InputError, match=r"^target: must be a table such as \{kind = ...\}, but found 'ring'$"):
        eg.Experiment(target="ring")


def test_an_import_refuses_names_of_pictures_and_names_the_cell(tmp_path, capsys):
    log = tmp_path / "log.csv"
    log.write_text("step,d_loss\n0,abc\n1,def\n")
    assert main(["import", str(log), "-o", str(tmp_path / "x.png")]) == 2
    assert "output: must be a NetCDF file" in capsys.readouterr().err and not (tmp_path / "x.png").exists()
    assert main(["import", str(log), "-o", str(tmp_path / "x.nc")]) == 2
    assert re.search(r"line 2: must hold a number in the column of values 'd_loss', but found 'abc'",
                     capsys.readouterr().err)  # fmt: skip


def test_every_table_of_a_page_has_a_name():
    for template in ROOT.rglob("*.j2"):
        text = re.sub(r"\{#.*?#\}", "", template.read_text("utf-8"), flags=re.S)
        assert all("aria-label=" in tag for tag in re.findall(r"<table[^>]*>", text)), template
    assert '<table aria-label="a, b">' in table(["a", "b"], [["1", "2"]])
    assert "<table>" not in eg.Experiment()._repr_html_().replace("<table><caption>", "")
