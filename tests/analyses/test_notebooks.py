"""The notebooks: stored without outputs, and each runs from the first cell to the last without a word of warning."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

import egan_theory

FOLDER = Path(__file__).parents[2] / "analyses" / "notebooks"
NAMES = ("best_r1", "collapse_on_the_ring", "your_own_logs")
#: seconds that one may take on one core; several times as long where the machine is shared
LIMIT, SHARED = 60.0, 4.0
#: characters of a paragraph
LONG = 600


def read(name):
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


def test_there_are_these_and_no_others():
    assert sorted(p.name for p in FOLDER.iterdir()) == [f"{name}.ipynb" for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_stored_bare_and_is_read_from_the_top(name):
    book = read(name)
    assert book["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in book["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
        else:
            paragraphs = "".join(cell["source"]).split("\n\n")
            assert max(map(len, paragraphs)) <= LONG
    first = "".join(book["cells"][0]["source"])
    assert book["cells"][0]["cell_type"] == "markdown" and first.startswith("# ")
    code = "\n".join("".join(c["source"]) for c in book["cells"] if c["cell_type"] == "code")
    assert "torch" not in code and "jax" not in code and "assert " in code


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_without_a_warning(name, tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    spec = tmp_path / "kernels" / "tested"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "tested", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(egan_theory.__file__).parents[1]))
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel's own shows figures
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    began = time.monotonic()
    client = nbclient.NotebookClient(
        book, timeout=SHARED * LIMIT, kernel_name="tested", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()  # CellExecutionError with the cell and the traceback
    assert time.monotonic() - began < SHARED * LIMIT
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    said = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert said == [] and not any(output.output_type == "error" for output in outputs)
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    tables = [output for output in outputs if "text/html" in output.get("data", {})]
    assert len(figures) >= 2 and len(tables) >= 3
