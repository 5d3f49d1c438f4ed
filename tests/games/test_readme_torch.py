"""The README's lines for PyTorch, run as they stand in a process of their own, around a loop that goes on."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import egan_theory as eg

pytest.importorskip("torch")

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(
    r"```(?:python|sh)\n(.*?)```", README.split("## Your own GAN while it trains")[1].split("\n## ")[0], re.S
)
BEFORE = """
import warnings

import torch

warnings.simplefilter("error")
torch.set_num_threads(1)
torch.manual_seed(0)
D = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.LeakyReLU(0.2), torch.nn.Linear(16, 1))
G = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
oD, oG = (torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.0, 0.99)) for net in (D, G))
z, r1, steps = torch.randn(32, 4), 1.0, 60
angles = torch.rand(steps, 32) * 2 * torch.pi
batches = torch.stack([angles.cos(), angles.sin()], dim=2)
softplus = torch.nn.functional.softplus


def train_step(x):
    x = x.clone().requires_grad_(True)
    scores = D(x)
    slope = torch.autograd.grad(scores.sum(), x, create_graph=True)[0]
    loss_d = softplus(-scores).mean() + softplus(D(G(torch.randn(32, 4)).detach())).mean()
    loss_d = loss_d + r1 / 2 * slope.square().sum(1).mean()
    oD.zero_grad()
    loss_d.backward()
    oD.step()
    loss_g = softplus(-D(G(torch.randn(32, 4)))).mean()
    oG.zero_grad()
    loss_g.backward()
    oG.step()
    return loss_d, loss_g
"""
AFTER = """
before = [p.clone() for p in D.parameters()]
for x in batches:
    train_step(x)
assert all(torch.isfinite(p).all() and p.dtype == torch.float32 for net in (D, G) for p in net.parameters())
assert not all(torch.equal(p, q) for p, q in zip(before, D.parameters()))
assert D.training and G.training
"""


def test_the_section_has_the_lines():
    monitored, shell, checkpoint = BLOCKS
    assert len([line for line in monitored.splitlines() if line.strip()]) == 5
    assert "eg.Monitor(" in monitored and "egan monitor runs.nc" in shell and "eg.game(" in checkpoint


def test_the_lines_run_and_training_goes_on(tmp_path):
    monitored, shell, checkpoint = BLOCKS
    (tmp_path / "loop.py").write_text("\n".join((BEFORE, monitored, AFTER, checkpoint, AFTER)))
    done = subprocess.run(
        [sys.executable, "loop.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "egan: monitor: a product takes" in done.stderr and "Game: two networks in PyTorch" in done.stdout
    run = eg.open_runs(tmp_path / "runs.nc")
    assert run.attrs["status"] == "finished" and "notes" not in run.attrs and run["time"].values[-1] == 59
    assert eg.monitor(run).analyses and run["multiplier_re"].notnull().any()
    command = shell.split("#")[0].split()
    done = subprocess.run(
        [sys.executable, "-m", "egan_theory", *command[1:]], cwd=tmp_path, env=environment(), capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "page.html").read_text()
    assert "<h1>Training at step 59:" in text or ("<h1>Training at step" in text and "(of 59 so far):" in text)


def environment():
    import os

    return os.environ | {"PYTHONPATH": str(Path(eg.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
