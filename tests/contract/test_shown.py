"""How every public result shows itself: short and readable in a terminal, a small table in a notebook."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import ModuleType

import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from egan_theory.base.dataset import ShownDataset, shown
from egan_theory.base.shown import LINES, WIDTH, Shown
from tests.results import EXPERIMENT, FACTORIES, made

#: those that take some seconds, and their lines and characters
SLOW = set("remedies solvable_phase solvable_scan curves frequency advice branch thresholds".split()) | {
    "simulated phase", "compared phase",
}  # fmt: skip
MOST, LARGEST = LINES + 4, 60_000
VOID = {"input", "br", "hr", "img", "path", "use"}
#: arrays, and what others wrote
OTHERS = {"outcomes", "monitored_runs", "losses", "portrait", "architecture"}
NAMES = [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in FACTORIES if n not in OTHERS]


class Balanced(HTMLParser):
    """Raises where a tag is closed that is not the last opened; collects the tags."""

    def __init__(self):
        super().__init__()
        self.open, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def parsed(html):
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    return parser.tags


@pytest.mark.parametrize("name", NAMES)
def test_a_result_is_short_in_a_terminal_and_a_small_table_in_a_notebook(name):
    result = made(name)
    said = repr(result)
    assert said == str(result)
    lines = said.splitlines()
    assert 1 <= len(lines) <= MOST and max(map(len, lines)) <= WIDTH, said
    assert not re.search(r"array\(|<egan_theory|dtype|object at 0x|\bnan\b|np\.float", said), said
    assert isinstance(result, Shown | ShownDataset) or len(said) <= WIDTH
    if isinstance(result, Shown | ShownDataset):
        html = result._repr_html_()
        tags = parsed(html)
        assert (len(html) < LARGEST and any(tag == "table" for tag, _ in tags)) or isinstance(result, xr.Dataset)
        assert not any(tag == "script" for tag, _ in tags) and "color:" not in re.sub(
            r"<style>.*?</style>", "", html, flags=re.S
        )


def test_every_public_result_is_among_them():
    """Each class of the top level that only functions make shows itself by the one mechanism."""
    classes = {v for n in eg.__all__ if isinstance(v := getattr(eg, n), type) and not issubclass(v, Exception)}
    inputs = {c for c in classes if hasattr(c, "model_fields")} - {eg.Experiment}
    live = {eg.Monitor, eg.RunWriter, eg.Outcome}
    assert {c.__name__ for c in classes - inputs - live if not issubclass(c, Shown)} == set()


def test_text_of_users_is_escaped():
    evil = "<script>alert(1)</script>"
    found = replace(made("collective"), vary=evil)
    assert "<script" not in found._repr_html_() and "&lt;script" in found._repr_html_()
    runs = made("runs").assign_attrs(status=evil)
    runs["particles"].attrs["long_name"] = evil
    assert "<script" not in runs._repr_html_()
    spectrum = made("spectrum").assign(regime=("mode", [evil] * made("spectrum").sizes["mode"]))
    assert "<script" not in spectrum._repr_html_() and "&lt;script" in spectrum._repr_html_()


def test_an_experiment_shows_what_differs_from_the_defaults():
    assert "all fields  as by default" in repr(eg.Experiment())
    exp = EXPERIMENT.replace({"loss.kind": "least_squares", "generator.kernel.ratio": 0.25})
    for line in ("target.modes", "generator.kernel.ratio", "loss.kind", "penalty.r1"):
        assert f'<th scope="row" style="text-align:left">{line}</th>' in exp._repr_html_()
    assert set(exp.changed(eg.Experiment())) == {"target.modes", "generator.particles", "generator.learning_rate",
                                  "generator.kernel.ratio", "discriminator.features", "discriminator.learning_rate",
                                  "loss.kind", "penalty.r1", "run.steps", "run.runs", "run.record_every"}  # fmt: skip
    assert eg.Experiment().replace(exp.changed(eg.Experiment())) == exp
    grid = eg.Experiment(target=eg.Grid(side=3))
    assert grid.changed(eg.Experiment())["target.kind"] == "grid" and grid.changed(eg.Experiment())["target.side"] == 3
    assert repr(eg.Penalties(r1=0.5)) == "Penalties(r1=0.5)" and repr(eg.Ring()) == "Ring()"


def test_an_attribute_stays_whole_and_is_folded():
    runs = made("runs")
    assert EXPERIMENT == eg.Experiment.from_toml_string(runs.attrs["experiment"]) and len(runs.attrs) < 11
    assert re.search(r"checkbox'\s*/?>\s*<label[^>]*>Attributes", runs._repr_html_())
    plain = runs.plain()._repr_html_()
    assert re.search(r"checked\s*/?>\s*<label[^>]*>Attributes", plain), "what xarray itself does"


KEPT = {
    "selection": lambda ds: ds.isel(mode=slice(2)),
    "a variable": lambda ds: ds[["eigenvalue_re"]],
    "arithmetic": lambda ds: ds[["eigenvalue_re"]] * 2,
    "reduction": lambda ds: ds.drop_vars("regime").mean("mode"),
    "copy": lambda ds: ds.copy(deep=True),
    "pickle": lambda ds: pickle.loads(pickle.dumps(ds)),
    "concatenation": lambda ds: xr.concat([ds, ds], "run"),
    "new variable": lambda ds: ds.assign(x=1.0),
    "renamed": lambda ds: ds.rename(mode="m"),
    "one": lambda ds: ds.isel(mode=0),
    "none": lambda ds: ds.isel(mode=slice(0)),
}


@pytest.mark.parametrize("change", KEPT)
def test_a_dataset_stays_one_that_shows_itself(change):
    ds = KEPT[change](made("spectrum"))
    assert type(ds) is type(made("spectrum")) and isinstance(ds, xr.Dataset)
    lines = repr(ds).splitlines()
    assert len(lines) <= MOST and max(map(len, lines)) <= WIDTH
    parsed(ds._repr_html_())


def test_a_dataset_keeps_everything_and_a_file_of_it_is_a_plain_one(tmp_path):
    ds = made("runs")
    again = ShownDataset.of(ds.plain())
    assert again.identical(ds) and set(again.coords) == set(ds.coords) and again.indexes.keys() == ds.indexes.keys()
    assert ShownDataset.of(ds) is ds
    eg.save(ds, tmp_path / "runs.nc")
    with xr.open_dataset(tmp_path / "runs.nc") as read:
        assert type(read) is xr.Dataset and read.identical(ds.plain()) and read.identical(ds)
        mine = ShownDataset.of(read)
        assert mine.encoding == read.encoding
        mine.close()
    assert type(eg.open_runs(tmp_path / "runs.nc")) is ShownDataset


def test_functions_that_return_datasets_all_do():
    """By their annotations: every public function, also of the papers, that says Dataset."""
    spaces = [eg, *(v for n in eg.__all__ if isinstance(v := getattr(eg, n), ModuleType) and hasattr(v, "__all__"))]
    functions = {f"{s.__name__}.{n}": getattr(s, n) for s in spaces for n in s.__all__}
    saying = {n: f for n, f in functions.items() if getattr(f, "__annotations__", {}).get("return") == "xr.Dataset"}
    assert len(saying) > 15
    marker = shown(lambda: xr.Dataset()).__code__

    def layers(function):
        while function is not None:
            yield getattr(function, "__code__", None)
            function = getattr(function, "__wrapped__", None)

    bare = {n for n, f in saying.items() if marker not in layers(f)}
    assert bare == {"egan_theory.spectrum"}  # a subclass


def test_the_spectrum_lists_each_pair_once_slowest_first():
    ds = made("spectrum")
    head, rows = ds.grid()
    assert head[0] == "decay rate (1/step)" and sum(row[-1] for row in rows) == int(ds["multiplicity"].sum())
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    np.testing.assert_allclose(rows[0][0], -ds["eigenvalue_re"].values.max())
    assert f"{rows[0][0]:.4g}" in repr(ds) and "slowest decay rate" in repr(ds)


@pytest.mark.slow
def test_a_table_is_sorted_by_a_click_and_stands_without_scripts(tmp_path):
    from tests.browser import page

    file, column = tmp_path / "shown.html", "tbody tr td:nth-child(4)"
    file.write_text(f"<!doctype html><meta charset=utf-8>{made('spectrum')._repr_html_()}", encoding="utf-8")
    ratios = [row[3] for row in made("spectrum").grid()[1]]
    for scripts in (True, False):
        with page(file, js=scripts) as opened:
            table = opened.locator("table").first

            def read(table=table):
                return [float(text) for text in table.locator(column).all_inner_texts()]

            given = read()
            np.testing.assert_allclose(given, ratios, rtol=1e-3)
            button = table.locator("thead button").nth(3)
            button.focus()
            opened.keyboard.press("Enter")
            assert read() == (sorted(given) if scripts else given)
            button.click()
            assert read() == (sorted(given, reverse=True) if scripts else given)
            assert opened.errors == []
