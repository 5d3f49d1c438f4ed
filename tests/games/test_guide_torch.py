"""The guide's lines for PyTorch, run as they stand in a process of their own, around a loop that goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

import egan_theory as eg
from tests.blocks import blocks

pytest.importorskip("torch")

BLOCKS = blocks(eg.guide("own_gan"))
SETUP, MONITORED, SHELL, CHECKPOINT, SHOWN = (code for _, code in BLOCKS)
BEFORE = """
import warnings

import torch

warnings.simplefilter("error")
torch.set_num_threads(1)
"""
AFTER = """
before = [p.clone() for p in D.parameters()]
for x in batches:
    train_step(x)
assert all(torch.isfinite(p).all() and p.dtype == torch.float32 for net in (D, G) for p in net.parameters())
assert not all(torch.equal(p, q) for p, q in zip(before, D.parameters()))
assert D.training and G.training
"""


def test_the_page_has_the_lines():
    assert [language for language, _ in BLOCKS] == ["python", "python", "sh", "python", "python"]
    assert len([line for line in MONITORED.splitlines() if line.strip()]) == 5
    assert "eg.Monitor(" in MONITORED and "egan monitor runs.nc" in SHELL and "eg.game(" in CHECKPOINT


@pytest.mark.slow
def test_the_lines_run_and_training_goes_on(tmp_path):
    (tmp_path / "loop.py").write_text("\n".join((BEFORE, SETUP, MONITORED, AFTER, CHECKPOINT, AFTER, SHOWN)))
    done = subprocess.run(
        [sys.executable, "loop.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "egan: monitor: a product takes" in done.stderr and "Game: two networks in PyTorch" in done.stdout
    assert (tmp_path / "game.html").stat().st_size > 0
    run = eg.open_runs(tmp_path / "runs.nc")
    assert run.attrs["status"] == "finished" and "notes" not in run.attrs and run["time"].values[-1] == 59
    assert eg.monitor(run).analyses and run["multiplier_re"].notnull().any()
    command = SHELL.split("#")[0].split()
    done = subprocess.run(
        [sys.executable, "-m", "egan_theory", *command[1:]], cwd=tmp_path, env=environment(), capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "page.html").read_text()
    assert "<h1>Training at step 59:" in text or ("<h1>Training at step" in text and "(of 59):" in text)


def environment():
    import os

    return os.environ | {"PYTHONPATH": str(Path(eg.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
