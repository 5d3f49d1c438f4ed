"""Imports go downwards and never in a circle, those inside functions included: the contracts of pyproject.toml."""

import tomllib

import grimp
import numpy as np
import pytest
from importlinter.cli import lint_imports
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from analyses.script import ROOT

PYPROJECT = ROOT / "pyproject.toml"
CONTRACTS = {c["id"]: c for c in tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]}
PLANTED = """
[tool.importlinter]
root_package = "planted"
[[tool.importlinter.contracts]]
name = "downwards"
type = "layers"
containers = ["planted"]
layers = ["upper", "lower"]
"""


def circles(*packages):
    """Groups of modules that import each other in a circle, packages' own files among them."""
    graph = grimp.build_graph(*packages, exclude_type_checking_imports=True, cache_dir=None)
    names = sorted(graph.modules)
    row = {name: i for i, name in enumerate(names)}
    pairs = [(row[a], row[b]) for a in names for b in graph.find_modules_directly_imported_by(a)]
    i, j = np.array(pairs).T
    _, group = connected_components(coo_array((np.ones(len(i)), (i, j)), (len(names),) * 2), connection="strong")
    return [[names[k] for k in np.flatnonzero(group == g)] for g in np.flatnonzero(np.bincount(group) > 1)]


@pytest.fixture(autouse=True)
def handlers_of_others(monkeypatch):
    """The linter's set-up of logging closes every handler there is, and with that of absl pytest's captured stream."""
    monkeypatch.setattr("importlinter.cli._configure_logging", lambda verbose: None)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_contract_is_kept(contract, capsys):
    code = lint_imports(config_filename=str(PYPROJECT), limit_to_contracts=(contract,), no_cache=True)
    assert code == 0, capsys.readouterr().out


def test_no_module_imports_itself_by_way_of_others():
    assert circles("egan_theory", "analyses") == []


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A package of two rooms; the lower one imports from the upper one within a function."""
    for room, text in (("lower", "def late():\n    from ..upper import top\n"), ("upper", "top = 1\n"), ("", "")):
        (tmp_path / "planted" / room).mkdir(parents=True, exist_ok=True)
        (tmp_path / "planted" / room / "__init__.py").write_text(text)
    (tmp_path / "pyproject.toml").write_text(PLANTED)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_late_import_upwards_is_seen(planted, capsys):
    assert lint_imports(config_filename=str(planted / "pyproject.toml"), no_cache=True) != 0
    assert "planted.lower is not allowed to import planted.upper" in capsys.readouterr().out


def test_a_circle_is_seen(planted):
    assert circles("planted") == []
    (planted / "planted" / "upper" / "__init__.py").write_text("from ..lower import late\n")
    assert circles("planted") == [["planted.lower", "planted.upper"]]
