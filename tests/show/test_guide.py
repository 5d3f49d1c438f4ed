"""The guide: topics that the contents name, read in terminal, shell and Python; its blocks run as they stand."""

import io
import json
import re
import shutil
from importlib.resources import files

import pytest

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.base.terminal import show_markdown
from egan_theory.cli.app import main
from egan_theory.show.guide import GUIDE, topics
from tests.blocks import YOURS, blocks, looked_at, run

#: needs an extra that may be missing
NEEDS = {"own_gan": "torch", "kernel_numbers": "torch", "r1_strength": "torch", "networks": "jax"}
#: pages that other tests run, with more to hold than that they run
ELSEWHERE = {"own_gan"}


def test_the_contents_name_every_topic_and_its_question():
    assert set(topics()) == {p.stem for p in GUIDE.glob("*.md")} - {"README"} and len(topics()) > 5
    assert all(question.endswith("?") for question in topics().values())
    for name in topics():
        text = eg.guide(name)
        assert re.match(r"# [A-Z].+\n\n\S", text)
        assert text.count("```") % 2 == 0
    assert (files(eg) / "guide" / "README.md").is_file()  # with the package


def test_python_gives_markdown_in_either_spelling():
    assert eg.guide("own-runs") == eg.guide("own_runs") == eg.guide("own_runs")._repr_markdown_()
    assert all(f"`{name}`" in eg.guide() for name in topics())
    with pytest.raises(InputError, match=r"topic: must be one of experiment, .*, but found 'nothing'"):
        eg.guide("nothing")
    with pytest.raises(InputError, match="topic"):
        eg.guide("README")


def test_a_shell_gets_the_text_as_it_stands(capsys):
    assert main(["guide", "own_runs"]) == 0
    assert capsys.readouterr().out == eg.guide("own_runs")
    assert main(["guide"]) == 0
    assert capsys.readouterr().out == eg.guide()
    assert main(["guide", "own-runs", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["topic"] == "own_runs" and found["text"] == eg.guide("own_runs")
    assert [row["topic"] for row in found["topics"]] == list(topics())
    assert main(["guide", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["topic"] is None


@pytest.mark.parametrize("topic", ["nothing", "../theory", "README", ""])
def test_an_unknown_topic_is_one_line(topic, capsys):
    assert main(["guide", topic]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("egan: topic: must be one of experiment, ")


def test_a_terminal_gets_it_set(monkeypatch, capsys):
    """No marks of Markdown outside of code; of a figure, what it shows."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "dumb")
    assert main(["guide", "own_gan"]) == 0
    text = screen.getvalue()
    assert "```" not in text and "\n## " not in text and "![" not in text
    assert "Figure: Multipliers of a convolutional GAN on digits" in text and "with eg.Monitor(" in text
    assert "(analyses/game_digits.png)" in text and "own_gan" not in text and "r1_strength.md" not in text


@pytest.mark.parametrize("name", topics())
def test_blocks_that_take_something_say_what(name):
    """No block says yours without naming it; every block has its language."""
    text = eg.guide(name)
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert all(language in ("sh", "python", "toml") for language, _ in found)
    yours = [code for _, code in found if code.startswith("# yours")]
    assert all(code.startswith(YOURS) and len(code.splitlines()[0]) > len(YOURS) + 1 for code in yours)


def test_markdown_keeps_what_is_no_markup(capsys):
    show_markdown("A [link](own_runs.md), `code [x]` and ![what it shows](a/b.png).")
    out = capsys.readouterr().out
    assert "own_runs.md" in out and "code [x]" in out and "Figure: what it shows (a/b.png)" in out


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="blocks are for a POSIX shell")
@pytest.mark.parametrize("name", [n for n in topics() if n not in ELSEWHERE and blocks(eg.guide(n))])
def test_the_blocks_of_a_page_run_as_they_stand(name, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    run(eg.guide(name), tmp_path)
    assert looked_at(tmp_path)
