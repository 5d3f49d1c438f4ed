"""Spoilt inputs of every kind: each ends in a result or in one line that says what is wrong, soon and in little
memory."""

import subprocess
import sys

import pytest

pytest.importorskip("resource")

from analyses import fuzz
from analyses.script import ROOT
from tests.analyses.drawing import by_itself


@pytest.mark.parametrize(
    ("code", "out", "err", "wrong"),
    [
        (0, "Stable.\n", "", ""),
        (2, "", "egan: e.toml: run.steps: must be at least 1, but found 0\n", ""),
        (2, "", "egan: No such option (see 'egan --help')\n", ""),
        (1, "", "egan: the sweep could not be begun: disk full\n", ""),
        (1, "", "egan: unexpected failure, TypeError: x\n", "unexpected failure"),
        (1, "", "Traceback (most recent call last)\n", "traceback"),
        (2, "half a table", "egan: a: must be b\n", "not one line"),
        (2, "", "egan: a: must be b\nand more\n", "not one line"),
        (2, "", "egan: broken\n", "no rule in the line"),
        (1, "", "egan: not enough memory: use fewer particles\n", "out of memory"),
        (0, "rate nan\n", "", "not a number, with exit code 0"),
        (3, "", "", "exit code 3"),
    ],
)
def test_what_is_wrong_is_seen(code, out, err, wrong):
    assert fuzz.judge(code, out, err) == wrong


def in_its_own_process(body):
    """Run Python with the script as ``fuzz``: its children are forks, which libraries with threads (JAX) do not bear
    in a process that tests have used before."""
    code = f"from analyses import fuzz\n{body}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_many_draws(tmp_path):
    ds = by_itself(fuzz, "--seed 0 --draws 200", tmp_path)
    assert len(set(ds["kind"].values)) > 8 and {0, 2} <= set(ds["code"].values.tolist())
    assert not [wrong for wrong in ds["wrong"].values if wrong]


@pytest.mark.slow
def test_failures_are_found():
    """An exception of the package, a child that dies, one that hangs."""
    in_its_own_process("""
def broken(*_):
    raise TypeError("broken")

def dead(*_):
    fuzz.os._exit(3)

def hangs(*_):
    while True:
        pass

fuzz.PATIENCE, fuzz.stock = 1.0, lambda folder: None
fuzz.CASES = [(lambda stock, folder, rng: ("none", ["spectrum"]), 1.0)]
for fuzz.egan, wrong in ((broken, "escaped"), (dead, "died"), (hangs, "still running")):
    assert [o.wrong.split(":")[0] for o in fuzz.study(0, 2)] == [wrong] * 2, wrong
""")
