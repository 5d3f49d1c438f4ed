"""Every script of analyses/ is a module of one package, in cells, with the same arguments, on public names alone."""

import ast
import re
from importlib import import_module

import pytest

from analyses.script import ROOT

#: what scripts share
PARTS = {"__init__", "draws", "proportions", "real_gan_networks", "real_gan_verdict", "recording_kills", "script"}
SOURCES = {path.stem: path.read_text() for path in sorted((ROOT / "analyses").glob("*.py"))}
SCRIPTS = sorted(SOURCES.keys() - PARTS)

NEEDS = {
    "advise_training": ["jax"],
    "fixed_images": ["jax"],
    "fuzz": ["resource"],
    "kernel_share": ["torch"],
    "spoilt_stores": ["resource"],
}


def private_names(source):
    """Names with a leading underscore that are imported, or taken from anything but self and cls."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            found += [alias.name for alias in node.names if alias.name.startswith("_")]
            found += [part for part in (node.module or "").split(".") if part.startswith("_") and part != "__future__"]
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            of = node.value.id if isinstance(node.value, ast.Name) else ""
            named = ("_asdict", "_fields", "_replace")  # public ones of a NamedTuple
            found += [] if of in ("self", "cls", "os") or node.attr in named else [node.attr]
    return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_takes_seed_and_draws(name, capsys):
    for needed in NEEDS.get(name, ()):
        pytest.importorskip(needed)
    with pytest.raises(SystemExit) as end:
        import_module(f"analyses.{name}").main(["--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0 and f"python -m analyses.{name} " in out
    assert all(word in out for word in ("--seed", "--draws", "--output"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_is_in_cells_and_says_how_it_is_run(name):
    source = SOURCES[name]
    assert source.startswith("# %%") and f"python -m analyses.{name} " in source
    assert 'if __name__ == "__main__":' in source
    assert re.search(r"^@redraws\ndef main\(", source, re.M), (
        "a file of --from that lacks something ends in a traceback"
    )


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_public_names_alone(name):
    assert private_names(SOURCES[name]) == []
    assert "sys.path" not in SOURCES[name]


def test_private_names_are_seen():
    assert private_names("from a._b import _c\nx._d\nself._e\nx.__dict__") == ["_c", "_b", "_d"]
