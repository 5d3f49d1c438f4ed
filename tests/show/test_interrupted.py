"""Ctrl-C while a page is written: nothing half-written stays, and one line says what happened."""

from __future__ import annotations

from pathlib import Path

import pytest

import egan_theory as eg
from egan_theory.cli.app import main
from egan_theory.show import page, stages
from tests.cli.test_signals import heard, send  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("heard")]


@pytest.fixture
def interrupted(monkeypatch, tmp_path, capsys):
    """Runs a command whose page is half written when the signal comes; what it says in one line."""
    whole = Path.write_text

    def half(self, text, *args, **kwargs):
        if "<!DOCTYPE html>" in text:
            whole(self, text[: len(text) // 2], *args, **kwargs)
            send("SIGINT")
        return whole(self, text, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", half)
    monkeypatch.setattr(page, "compute", lambda *_: stages.Results(eg.Experiment(), "r1"))
    monkeypatch.setattr(page, "drawings", lambda _: [])
    monkeypatch.chdir(tmp_path)

    def run(*words):
        assert main([*words]) not in (0, 2)
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1, (out, err)
        return err

    return run


@pytest.mark.parametrize("target", ["folder", "former.html"])
def test_a_page_that_is_interrupted_while_it_is_written(interrupted, tmp_path, target):
    before = {}
    if target == "former.html":
        before = {target: '<meta name="generator" content="egan_theory">former'}
        (tmp_path / target).write_text(before[target])
    assert "interrupted" in interrupted("report", "-o", target, "--overwrite").lower()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == before


def test_the_theory_that_is_interrupted_while_it_is_written(interrupted, tmp_path):
    assert "interrupted" in interrupted("derive", "--html", "-o", "theory.html").lower()
    assert list(tmp_path.iterdir()) == []
