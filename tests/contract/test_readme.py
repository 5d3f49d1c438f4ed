"""README is short, its links lead somewhere, and its four doors open: each runs as it stands in a fresh folder."""

import re
import shutil
from pathlib import Path

import pytest

from tests.blocks import blocks, looked_at, run

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = ROOT / "egan_theory" / "guide"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(GUIDE.glob("*.md"))]
COMMANDS = (
    "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/egan report -o report",
    "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/python -m pytest",
)
DOORS = dict(re.findall(r"^### (.+?)\n(.*?)(?=^###? )", README.split("\n## Four doors")[1], re.MULTILINE | re.DOTALL))
#: the lines of a block that a door may have
SHORT = 11


def links(page: Path) -> list[tuple[str, Path, str]]:
    """(link, file, anchor) of the links and images of a page that are files of the repository."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    split = [(t, *t.partition("#")[::2]) for t in targets if not re.match(r"[a-z]+:", t)]
    return [(t, page.parent / path if path else page, anchor) for t, path, anchor in split]


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_it_is_short():
    lines = README.splitlines()
    assert len(lines) <= 120 and max(map(len, lines)) <= 120
    assert len(DOORS) == 4
    for door in DOORS.values():
        assert blocks(door) and all(5 <= code.count("\n") <= SHORT for _, code in blocks(door))


def test_the_two_commands_are_lines_of_it():
    lines = README.splitlines()
    assert all(lines.count(command) == 1 for command in COMMANDS)
    assert COMMANDS[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_images_are_there(page):
    found = links(page)
    assert [link for link, file, _ in found if not file.exists()] == []
    assert [link for link, file, a in found if a and file.suffix == ".md" and a not in anchors(file)] == []


def test_it_leads_to_what_there_is():
    said = {file.resolve().relative_to(ROOT).as_posix() for _, file, _ in links(ROOT / "README.md")}
    notebooks = {p.relative_to(ROOT).as_posix() for p in (ROOT / "analyses" / "notebooks").glob("*.ipynb")}
    assert {"egan_theory/theory.md", "egan_theory/guide/README.md", "analyses/README.md", "CONTRIBUTING.md"} <= said
    assert notebooks <= said and {"collapse_transition.png", "critical_damping.png"} <= {Path(s).name for s in said}


def test_doors_opened_one_after_another_do_not_refuse_each_others_files():
    """Nothing is written over what is there, so that no two commands may write one file."""
    code = [text for door in DOORS.values() for _, text in blocks(door)]
    written = [name for text in code for name in re.findall(r"(?:-o|--figure) (\S+)", text)]
    assert len(written) >= 8 and sorted(written) == sorted(set(written))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="blocks are for a POSIX shell")
@pytest.mark.parametrize("title", DOORS)
def test_a_door_opens_and_ends_in_a_figure(title, tmp_path):
    if "import torch" in DOORS[title]:
        pytest.importorskip("torch")
    run(DOORS[title], tmp_path)
    assert looked_at(tmp_path)
