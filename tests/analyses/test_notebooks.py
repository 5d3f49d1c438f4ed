"""The notebooks: stored without outputs. The documentation's build runs each from the first cell to the last and ends
where one fails or warns; what they show there is held by tests/contract/test_site.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "analyses" / "notebooks"
NAMES = ("best_r1", "collapse_on_the_ring", "your_own_logs")
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
