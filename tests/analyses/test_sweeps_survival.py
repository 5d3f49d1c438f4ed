"""The study of surviving sweeps: kills at random moments, a cluster's worker, a full disk, flat memory."""

import os

import numpy as np
import pytest

from analyses import recording_kills
from analyses import sweep_survival as script

#: MB that a process may grow over three quarters of a sweep of 10,000 cells: 800 bytes per cell
FLAT = 6.0


@pytest.mark.slow
def test_eight_kills(tmp_path):
    """At the start and at work, of the sweep alone and with its workers, each twice: every finished store equals the
    undisturbed one; workers never outlive their parent."""
    ds = script.killed(tmp_path, 2, 8)
    assert ds.sizes["kill"] == 8 and np.all(ds["identical"] == 1) and ds.attrs["orphans"] == 0
    assert ds["stored"].max() > 0 and ds.attrs["files"] > 64 * 15
    figure = script.figure(ds)
    figure.savefig(tmp_path / "figure.png", dpi=30)
    assert (tmp_path / "figure.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of a cluster that loses a worker are its own
def test_killed_worker_of_a_cluster(tmp_path):
    pytest.importorskip("distributed")
    assert script.cluster_survives(tmp_path, 2)


@pytest.mark.slow
def test_full_disk(tmp_path):
    try:
        found = script.full_disk_survives(tmp_path, 2)
    except (PermissionError, FileNotFoundError) as error:
        pytest.skip(f"no small disk could be mounted: {error}")
    assert found["exit"] == 1 and found["identical"] and found["partial"] == 0
    (line,) = [line for line in found["error"].splitlines() if "so far" not in line]  # a slow machine says more
    assert "No space left" in line and "--resume" in line
    assert found["readable cells"] == found["stored"] * script.SIDE_BY_SIDE > 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_recordings_survive(tmp_path):
    """Kills, SIGTERM and SIGHUP, forks, threads, another working directory, a removed folder."""
    found = recording_kills.survived(tmp_path, 2)
    assert set(found) == set(recording_kills.ENDS) and all(found.values()), found


@pytest.mark.slow
def test_memory_of_many_cells(tmp_path):
    ds = script.memory(tmp_path, 2, compared=False)
    assert int(ds["cells"].max()) == 10_000
    assert script.growth(ds, "parent") < FLAT and script.growth(ds, "worker") < FLAT


def test_files_tell_stores_apart(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"1")
    before = script.files(tmp_path)
    (tmp_path / "a" / "x").write_bytes(b"2")
    assert script.files(tmp_path) != before
