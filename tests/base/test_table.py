"""Results declare their fields once: JSON form, Dataset and tables follow."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from dataclasses import dataclass, fields
from typing import ClassVar, NamedTuple

import numpy as np
import pytest

import egan_theory
from egan_theory.base.json import json_ready, json_text, number
from egan_theory.base.table import Column, Record, Table


class Pair(NamedTuple):
    low: float = 0.0
    high: float = np.inf


ENDS = Pair()


@dataclass(frozen=True)
class Row(Record):
    KEYS = ("name", "rate", "ends", "twice")

    name: str
    rate: float | None
    ends: Pair = ENDS

    @property
    def twice(self) -> float | None:
        return None if self.rate is None else 2 * self.rate


@dataclass(frozen=True)
class Rows(Table):
    KEYS = ("rows", "kind")
    TITLE = "rows of {0.kind}"
    DIM, ROWS = "row", "rows"

    rows: tuple[Row, ...]
    kind: str
    remarks: ClassVar[tuple[str, ...]] = ("a < b",)

    def columns(self):
        return [
            Column("rate", "decay rate", "1/step"),
            Column("high", "upper end", "1", lambda row: row.ends.high),
            Column("label", of=lambda row: row.name.upper()),
        ]

    def attrs(self):
        return {"kind": self.kind}

    def grid(self):
        return ["row", "rate"], [[row.name, row.rate] for row in self.rows]


ROWS = Rows((Row("a", np.float64(0.25)), Row("<b>", None), Row("c", np.nan)), "three")


def test_the_json_form_has_the_declared_keys_in_order_and_null_for_what_does_not_exist():
    assert ROWS.to_dict() == {
        "rows": [
            {"name": "a", "rate": 0.25, "ends": {"low": 0.0, "high": None}, "twice": 0.5},
            {"name": "<b>", "rate": None, "ends": {"low": 0.0, "high": None}, "twice": None},
            {"name": "c", "rate": None, "ends": {"low": 0.0, "high": None}, "twice": None},
        ],
        "kind": "three",
    }
    assert list(ROWS.to_dict()["rows"][0]) == list(Row.KEYS)
    assert json.loads(json_text({"found": ROWS}))["found"] == ROWS.to_dict()


def test_without_keys_the_fields_are_the_json_form():
    @dataclass(frozen=True)
    class Plain(Record):
        size: np.int64
        values: np.ndarray

    assert Plain(np.int64(3), np.array([1.0, np.inf])).to_dict() == {"size": 3, "values": [1.0, None]}


def test_numbers_words_and_everything_else():
    assert json_ready({1: (np.bool_(True), "x", None, 2, np.float32(0.5))}) == {"1": [True, "x", None, 2, 0.5]}
    assert [number(v) for v in (1, np.nan, -np.inf, np.float64(2))] == [1.0, None, None, 2.0]


def test_the_dataset_has_the_declared_columns_with_long_names_and_units():
    ds = ROWS.to_dataset()
    assert list(ds.data_vars) == ["rate", "high", "label"] and ds["row"].values.tolist() == ["a", "<b>", "c"]
    assert ds["rate"].attrs == {"long_name": "decay rate", "units": "1/step"} and ds["label"].attrs == {}
    np.testing.assert_array_equal(ds["rate"].values, [0.25, np.nan, np.nan])
    np.testing.assert_array_equal(ds["high"].values, np.inf)
    assert ds["label"].values.tolist() == ["A", "<B>", "C"] and ds.attrs == {"kind": "three"}


def test_notebook_and_terminal_show_the_same_grid_escaped_with_its_title_and_remarks():
    html = ROWS._repr_html_()
    plain = re.sub(r' (style|onclick|scope|type)="[^"]*"', "", html)
    assert plain.startswith(
        "<table><caption>rows of three</caption><thead><tr><th><button>row</button></th>"
        "<th><button>rate</button></th></tr></thead><tbody><tr><td>a</td><td>0.25</td></tr><tr><td>&lt;b&gt;</td><td>-</td></tr>"
    )
    assert "<details><summary>1 remark</summary><p>a &lt; b</p></details>" in plain
    table = ROWS.rich("title")
    assert [list(c.cells) for c in table.columns] == [["a", "<b>", "c"], ["0.25", "-", "-"]]


def test_a_record_shows_its_numbers_and_words():
    plain = re.sub(r' (style|scope)="[^"]*"', "", ROWS.rows[0]._repr_html_())
    shown, folded = plain.split("<details>")
    assert "<tr><th>name</th><td>a</td></tr><tr><th>rate</th><td>0.25</td></tr><tr><th>twice" in shown
    assert "ends" not in shown and "<th>ends</th>" in folded


def results() -> list[type[Record]]:
    for module in pkgutil.walk_packages(egan_theory.__path__, "egan_theory."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, new = set(), {Record}
    while new:
        found |= new
        new = {sub for cls in new for sub in cls.__subclasses__() if sub.__module__.startswith("egan_theory.")} - found
    return sorted(found - {Record, Table}, key=lambda cls: cls.__name__)


def test_every_result_declares_keys_that_it_has():
    classes = results()
    assert {"Regularizer", "Thresholds", "Agreement", "Remedies", "Advice"} <= {cls.__name__ for cls in classes}
    for cls in classes:
        has = {*(getattr(cls, "model_fields", None) or [f.name for f in fields(cls)]), *dir(cls)}
        assert {*cls.KEYS, *cls.SHOWN} <= has, cls
        assert not cls.KEYS or set(cls.SHOWN) <= {*cls.KEYS}, cls
        assert {key for key, _ in cls.UNITS} <= {*cls.SHOWN, *cls.KEYS}, cls
        if issubclass(cls, Table):
            assert {cls.DIM, cls.ROWS} and cls.ROWS in has, cls


@pytest.mark.parametrize("value", [object(), 1 + 2j])
def test_what_json_has_not_is_text(value):
    assert json_ready(value) == str(value)
