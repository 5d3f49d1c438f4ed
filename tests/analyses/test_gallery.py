"""The gallery: an entry for every script, a figure that says what made it, at most LIMIT bytes each."""

import ast
import re
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from analyses.script import LIMIT, ROOT, facts
from tests.analyses.drawing import labelled
from tests.analyses.test_scripts import NEEDS, SCRIPTS

TEXT = (ROOT / "analyses" / "README.md").read_text()
#: name -> what stands below its heading
ENTRIES = {name: part for name, part in re.findall(r"^### `(\w+)\.py`\n(.*?)(?=^##|\Z)", TEXT, re.M | re.S)}
PNGS = sorted((ROOT / "analyses").glob("*.png"))


def test_every_script_has_one_entry_and_no_entry_lacks_its_script():
    assert sorted(re.findall(r"^### `(\w+)\.py`$", TEXT, re.M)) == SCRIPTS
    assert sorted(ENTRIES) == SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_entry(name):
    """A question, an answer with numbers, the figure with what it shows, and the line that its file tells."""
    entry = ENTRIES[name]
    asked = re.match(r"\n\*\*([^*]+\?)\*\*\s+(\S.*?)\n(?:\n|\Z)", entry, re.S)
    assert asked, entry
    assert re.search(r"\d", asked[2]), "an answer without a number"
    alt = re.search(rf"^!\[([^\]]+)\]\({name}\.png\)$", entry, re.M)
    assert alt and len(alt[1]) > 60
    assert facts(ROOT / "analyses" / f"{name}.png") in entry.splitlines()


@pytest.mark.parametrize("path", PNGS, ids=lambda path: path.stem)
def test_figure(path: Path):
    assert path.stat().st_size <= LIMIT and path.stem in SCRIPTS
    assert f"python -m analyses.{path.stem} --seed " in facts(path)


def compared(frozen_numbers, numbers):
    return frozen_numbers.moved(numbers, dict(list(numbers.items())[1:]), "itself")


#: the smallest run that a script's own options allow, with what is put in place of its names: it is drawn here
SMALL = {
    "advise_training": ("--draws 1 --setups 1", lambda m: {"SETUPS": (m.SETUPS[0]._replace(steps=60),)}),
    "benchmarks": (
        "--draws 1 --largest 250 --sizes 30 100",
        lambda m: {
            "STARTS": 1,
            "benchmarks_step.step_cost": partial(m.benchmarks_step.step_cost, memory=False),
            "phase_diagrams.benchmark": partial(m.phase_diagrams.benchmark, 10, 4),
            "sweep_survival.THROUGHPUT_AXES": ("penalty.r1=0.05:0.5:2:log",),
        },
    ),
    "benchmarks_spectrum": ("--draws 1 --largest 250", lambda m: {}),
    "benchmarks_step": (
        "--draws 1",
        lambda m: {"step_cost": partial(m.step_cost, sizes=(30, 100), memory=False)},
    ),
    "frozen_numbers": (  # in place of the numbers of another time: the same without one of them
        "--draws 2",
        lambda m: {"BESIDES": (), "freeze": lambda file, *draws: compared(m, m.computed(*draws)[0])},
    ),
    "game_size": ("--draws 1", lambda m: {"study": partial(m.study, channels=((4, 4, 4), (4, 4, 4)))}),
    "kernel_benchmark": (  # neural-tangents is not there: this package is timed twice
        "--draws 2 --points 20",
        lambda m: {"run": lambda python, side, *more, run=m.run: run(sys.executable, "ours", *more)},
    ),
    "start_scaling": ("--draws 1", lambda m: {"RATIOS": 2, "RATES": 2, "study": partial(m.study, factors=(1, 2))}),
}
#: scripts whose figure another test draws, whose numbers it holds: the file and its function
ELSEWHERE = {
    "advise_r1": ("test_advise_analyses", "test_advise_r1"),
    "best_strength": ("test_analyses", "test_best_strength"),
    "collapse_transition": ("test_collapse_transition", "test_figure_shows_theory_and_simulation_of_both"),
    "collapsed_state_stability": ("../predict/test_collapsed", "test_signs_over_random_settings"),
    "comparison_calibration": ("../comparison/test_comparison_errors", "test_error_bars_hold_in_all_conditions"),
    "critical_damping": ("test_analyses", "test_critical_damping"),
    "critical_ratios": ("../predict/test_threshold", "test_critical_ratios_over_more_draws"),
    "dirac_portraits": ("test_models_analyses", "test_dirac_portraits"),
    "false_verdicts": ("../linear/test_rounding", "test_a_study_finds_no_false_verdict"),
    "fixed_images": ("test_advise_analyses", "test_fixed_images"),
    "frequency_principle": ("../predict/test_frequency", "test_study"),
    "fuzz": ("test_fuzz", "test_many_draws"),
    "game_digits": ("test_game_digits", "test_the_whole_analysis_runs"),
    "game_growth": ("test_game_growth", "test_perturbations_grow_as_multipliers_say_where_they_are_valid"),
    "isolated_points": ("test_models_analyses", "test_isolated_points"),
    "kernel_share": ("test_kernel_share", "test_kernel_share"),
    "kicked_modes": ("test_analyses", "test_kicked_modes"),
    "normal_forms": ("test_normal_forms", "test_one_random_experiment"),
    "orbits": ("test_orbits_analysis", "test_followed_orbits_of_the_ring_are_simulated_ones"),
    "packing": ("test_models_analyses", "test_packing"),
    "phase_diagrams": ("test_analyses", "test_phase_diagrams"),
    "poincare_strength": ("test_models_analyses", "test_poincare_strength"),
    "published_mnist": ("test_analyses_published", "test_published_mnist"),
    "real_gan_collapse": ("test_real_gan_collapse", "test_the_study"),
    "remedies_claims": ("test_models_analyses", "test_remedies_claims"),
    "remedies_likelihood": ("test_remedies_analyses", "test_likelihood_covers_modes_within_a_window_of_weights"),
    "remedies_packing": ("test_remedies_analyses", "test_packing"),
    "remedies_play": ("test_remedies_analyses", "test_uniform_averages"),
    "solvable_phases": ("../papers/test_solvable_command", "test_analysis"),
    "solvable_trajectories": ("../papers/test_solvable_finite", "test_trajectories_analysis_finds_the_rate"),
    "spoilt_stores": ("test_spoilt_stores", "test_few_draws"),
    "sweep_survival": ("test_sweeps_survival", "test_eight_kills"),
    "two_gaussian": ("test_models_analyses", "test_two_gaussian"),
    "universality": ("../kernels/test_universality", "test_analysis_on_a_small_scale"),
    "wide_discriminator": ("../simulation/test_networks_simulation", "test_width_of_a_discriminator"),
}


def drawing(call: ast.Call) -> ast.expr | None:
    """Whose figure a call draws: SCRIPT.figure(), SCRIPT.main(), labelled(SCRIPT, ...), by_itself(SCRIPT, ...)."""
    if isinstance(call.func, ast.Attribute) and call.func.attr in ("figure", "main"):
        return call.func.value
    if isinstance(call.func, ast.Name) and call.func.id in ("labelled", "by_itself"):
        return call.args[0]
    return None


def draws(source: str, function: str, name: str) -> bool:
    """Whether a function of a test module calls the figure of a script, or its main."""
    tree = ast.parse(source)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "analyses"]
    called = {alias.asname or alias.name for node in imports for alias in node.names if alias.name == name}
    bodies = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function]
    calls = [node for body in bodies for node in ast.walk(body) if isinstance(node, ast.Call)]
    return any(isinstance(part, ast.Name) and part.id in called for part in map(drawing, calls))


def test_every_figure_is_drawn_by_a_test():
    """A script that is nowhere drawn fails here."""
    assert sorted([*SMALL, *ELSEWHERE]) == SCRIPTS
    for name, (file, function) in ELSEWHERE.items():
        assert draws((Path(__file__).parent / f"{file}.py").read_text(), function, name), name


def test_a_test_that_draws_is_told_from_one_that_does_not():
    text = "from analyses import a as b, c, d\ndef test_x():\n    f(b.figure(ds))\n    c.study()\n    labelled(d, c)\n"
    text += "def test_y(): pass\n"
    assert draws(text, "test_x", "a") and draws(text, "test_x", "d")
    assert not any(draws(text, function, name) for function, name in (("test_x", "c"), ("test_y", "a"), ("test", "a")))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of numbers that so small a run does not give
@pytest.mark.parametrize("name", sorted(SMALL))
def test_figure_of_a_small_run_is_labelled(name, tmp_path, monkeypatch):
    for needed in NEEDS.get(name, ()):
        pytest.importorskip(needed)
    module = import_module(f"analyses.{name}")
    options, instead = SMALL[name]
    for path, value in instead(module).items():
        *of, last = path.split(".")
        monkeypatch.setattr(getattr(module, of[0]) if of else module, last, value)
    labelled(module, options, tmp_path)
