"""Ctrl-C while a page is written: nothing half-written stays, and one line says what happened."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from analyses.script import ROOT

pytestmark = pytest.mark.slow
#: a command whose page is half written when the signal comes
HALF = """
import os, pathlib, signal, sys
import matplotlib.pyplot
from egan_theory.cli import main
whole = pathlib.Path.write_text

def half(self, text, *args, **kwargs):
    if "<!DOCTYPE html>" in text:
        whole(self, text[: len(text) // 2], *args, **kwargs)
        os.kill(os.getpid(), signal.SIGINT)
    return whole(self, text, *args, **kwargs)

pathlib.Path.write_text = half
sys.argv = ["egan", *sys.argv[1:]]
sys.exit(main())
"""
SMALL = ("target.modes=4", "generator.particles=4", "discriminator.features=16", "run.steps=20", "run.runs=2")


def run(folder, *words):
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run([sys.executable, "-c", HALF, *words], cwd=folder, env=os.environ | {"PYTHONPATH": path},
                          capture_output=True, text=True, timeout=240)  # fmt: skip


@pytest.mark.parametrize("target", ["folder", "former.html"])
def test_a_page_that_is_interrupted_while_it_is_written(tmp_path, target):
    before = {}
    if target == "former.html":
        before = {target: '<meta name="generator" content="egan_theory">former'}
        (tmp_path / target).write_text(before[target])
    settings = [word for value in SMALL for word in ("--set", value)]
    done = run(tmp_path, "report", *settings, "-o", target, "--overwrite")
    lines = [line for line in done.stderr.splitlines() if "so far" not in line]
    assert done.returncode not in (0, 2) and len(lines) == 1 and "interrupted" in lines[0].lower(), done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == before


def test_the_theory_that_is_interrupted_while_it_is_written(tmp_path):
    done = run(tmp_path, "derive", "--html", "-o", "theory.html")
    assert done.returncode not in (0, 2) and len(done.stderr.splitlines()) == 1 and list(tmp_path.iterdir()) == []
