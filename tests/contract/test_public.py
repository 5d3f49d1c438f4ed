"""The public names: what they are, where former ones went, that no module hides them, that their types are known."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import egan_theory as eg

PACKAGE = Path(eg.__file__).parent
NAMESPACES = {"dirac", "isolated", "packing", "plot", "poincare", "published", "solvable", "two_gaussian"}
#: every name of the version before namespaces that stands in one now
FORMER = {
    "plot": "advice cloud damping_ratio dispersion eigenvalues left losses phase rate_curve relaxation remedies "
    "universality",
    "published": "fit_published predict_published read_runs",
    "solvable": "Solvable compare_solvable simulate_sde simulate_solvable solvable_phase solvable_report solve_ode",
    "dirac": "dirac_gan",
    "isolated": "isolated_points",
    "poincare": "implied_r1",
}
MOVED = [
    (f"plot_{name}" if space == "plot" else name, space, name)
    for space, names in FORMER.items()
    for name in names.split()
]
#: and those that stayed
FLAT = """Advice advise advise_experiment advise_from_gram best_regularizer Branch branch collapsed_state
collapsed_states CollapsedState collective_instability CollectiveInstability compare compare_left compare_phase
compare_remedies compare_strength compare_sweep Curves curves derive Discriminator eigenvalues Experiment Fastest
fastest_strength Frequency frequency Game game game_page GameSpectrum Generator GeneratorKernel Grid guide import_log
InputError kernel_from_profile kernel_numbers KernelNumbers learning_times left_over Likelihood linearize LossChoice
Memory Mixture Monitor monitor monitor_page Monitored new NormalForm NotLinearizable open_runs open_sweep Optimizer
order_parameters Outcome outcomes Packing Penalties phase Place place PointSet power_laws Reached reached Regularizer
regularizer report Ring Run RunWriter save simulate simulate_phase spectrum Splitting splitting sweep sweep_grid
sweep_left sweep_runs sweep_strength threshold Thresholds thresholds Uniform universality Update""".split()


def run(code: str, folder: Path, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("former", "space", "name"), MOVED)
def test_former_names_warn_and_give_the_same_object(former, space, name):
    with pytest.warns(DeprecationWarning, match=rf"egan_theory\.{former} is now egan_theory\.{space}\.{name}$") as seen:
        found = getattr(eg, former)
    assert found is getattr(getattr(eg, space), name) and not isinstance(found, ModuleType)
    assert seen[0].filename == __file__


def test_the_former_function_poincare_is_a_namespace_that_can_still_be_called():
    points = [[0.0, 0.0], [1.0, 0.0]]
    with pytest.warns(DeprecationWarning, match=r"now egan_theory\.poincare\.poincare"), pytest.raises(eg.InputError):
        eg.poincare(points)


def test_only_the_new_names_are_shown():
    assert set(dir(eg)) == set(eg.__all__) == {*FLAT, *NAMESPACES}
    assert {n for n in dir(eg) if isinstance(getattr(eg, n), ModuleType)} == NAMESPACES
    with pytest.raises(AttributeError, match="nothing"):
        _ = eg.nothing


@pytest.mark.parametrize("stub", sorted(PACKAGE.rglob("*.pyi")), ids=lambda path: path.parent.name)
def test_every_stub_names_what_there_is_and_exports_it(stub):
    package = ".".join(("egan_theory", *stub.parent.relative_to(PACKAGE).parts))
    module = __import__(package, fromlist=["_"])
    nodes = [n for n in ast.parse(stub.read_text()).body if isinstance(n, ast.ImportFrom)]
    names = [a for n in nodes for a in n.names]
    assert sorted(a.name for a in names) == sorted(module.__all__) and all(a.name == a.asname for a in names)
    assert all(getattr(module, a.name) is not None for a in names)


@pytest.mark.parametrize("order", ["first", "last"])
def test_no_module_takes_the_place_of_a_public_name(order, tmp_path):
    """A function keeps its name whatever was imported before, and whatever is imported after its first use."""
    code = """
import importlib, pkgutil, sys, types
import egan_theory as eg
spaces = {n: getattr(eg, n) for n in eg.__all__ if isinstance(getattr(eg, n), types.ModuleType)}
def names():
    return {f"{s}.{n}": getattr(m, n) for s, m in {"eg": eg, **spaces}.items() for n in getattr(m, "__all__", ())}
before = names() if sys.argv[1:] == ["first"] else {}
for module in pkgutil.walk_packages(eg.__path__, "egan_theory."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
after = names()
print(len(after), [n for n in before if after[n] is not before[n]])
print([n for n, v in after.items() if isinstance(v, types.ModuleType) and n[3:] not in spaces])
print([n for n in {v for v in sys.modules if v.startswith("egan_theory.papers.") or v.startswith("egan_theory.show.")}
       if getattr(sys.modules[n.rpartition(".")[0]], n.rpartition(".")[2]) is not sys.modules[n]])
"""
    out = run(f"import sys; sys.argv[1:] = [{order!r}]\n{code}", tmp_path).splitlines()
    assert out[0].endswith(" []") and int(out[0].split()[0]) > len(FLAT) and out[1:] == ["[]", "[]"]


def test_help_loads_nothing_heavy(tmp_path):
    heavy = "numpy scipy sympy xarray matplotlib pydantic h5py zarr numba jax torch rich pandas".split()
    code = f"""
import sys
from egan_theory.cli import main
main(["--help"])
print(sorted(set(sys.modules) & set({heavy})))
"""
    assert run(code, tmp_path).splitlines()[-1] == "[]"


SCRIPT = '''"""Which strength, does it do what it says, and does the solvable model agree?"""

from pathlib import Path

import egan_theory as eg


def main(folder: Path) -> list[float]:
    exp = eg.Experiment(target={"kind": "ring", "modes": 8}, penalty=eg.Penalties(r1=0.1), run=eg.Run(steps=300))
    exp = exp.replace({"target": eg.Grid(side=3), "discriminator": eg.Discriminator(features=64)})
    spectrum = eg.spectrum(exp)
    learnt = eg.frequency(exp)
    best = eg.best_regularizer(exp, penalty="r1", horizon=2000)
    found = eg.thresholds(exp, "generator.kernel.ratio")
    tuned = exp.replace({"penalty.r1": best.best})
    left = eg.left_over(tuned, 2000)
    runs = eg.simulate(tuned)
    table = eg.compare(tuned, runs)
    diagram = eg.phase(exp, ("generator.kernel.ratio", 0, 0.9, 20), "penalty.r1=0.01:10:20:log")
    collapsed = eg.collapsed_state(exp)
    modes = eg.eigenvalues(eg.linearize(exp))
    swept = eg.sweep(exp, ["penalty.r1=0.1:1:3"], folder / "sweep.zarr")
    axes = eg.plot.eigenvalues(spectrum, table)
    ode = eg.solvable.solve_ode(eg.solvable.SETTING_R)
    constant = eg.poincare.poincare(exp.points.coordinates)
    page = eg.report(exp, folder / "report")
    numbers = [best.best, left.moving, table.quantities[0].z, constant.xi]
    values = [t.values for t in found.thresholds]
    return numbers
'''
REVEALED = {
    "exp": "Experiment",
    "spectrum": "Dataset",
    "learnt": "Frequency",
    "best": "Regularizer",
    "found": "Thresholds",
    "tuned": "Experiment",
    "left": "Left",
    "runs": "Dataset",
    "table": "Agreement",
    "diagram": "Dataset",
    "collapsed": "CollapsedState",
    "modes": "Eigenvalues",
    "swept": "Dataset",
    "axes": "Axes",
    "ode": "Dataset",
    "constant": "Poincare",
    "page": "Path",
    "numbers": "list[float]",
    "values": "list[tuple[float, ...]]",
}


@pytest.mark.slow
def test_a_strictly_checked_script_knows_every_type(tmp_path):
    """mypy --strict on a user's script: no error, and no result whose type is unknown."""
    script = tmp_path / "script.py"
    asked = "".join(f"    reveal_type({name})\n" for name in REVEALED)
    script.write_text(SCRIPT.replace("    return numbers\n", f"{asked}    return numbers\n"))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", script.name],
        cwd=tmp_path, env=os.environ | {"MYPYPATH": str(PACKAGE.parent)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    notes = [line.split('Revealed type is "')[1].rstrip('"') for line in done.stdout.splitlines() if "Revealed" in line]
    for (name, word), note in zip(REVEALED.items(), notes, strict=True):
        assert word in note and "Any" not in note, (name, note)


def test_every_public_name_has_one_page_of_the_documentation():
    """The site's build asks for the same (tests/contract/test_site.py reads its pages)."""
    spec = importlib.util.spec_from_file_location("site_api", PACKAGE.parent / ".ci/pages/api.py")
    api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(api)
    names = [name for page in api.names().values() for name in page]
    assert len(names) == len(set(names)) and set(FLAT) <= set(names)
