"""The gallery: an entry for every script, a figure that says what made it, at most LIMIT bytes each."""

import ast
import re
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from analyses import script
from analyses.script import LIMIT, ROOT, facts
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
    "best_strength": ("--draws 2 --seed 3", lambda m: {}),
    "collapsed_state_stability": ("--draws 2", lambda m: {}),
    "comparison_calibration": (
        "--draws 1",
        lambda m: {"study": partial(m.study, names=list(m.EXPERIMENTS)[:2], noise=(0.0, 0.1))},
    ),
    "critical_damping": ("--draws 3 --seed 0", lambda m: {}),
    "critical_ratios": (
        "--draws 1",
        lambda m: {"ring_example": partial(m.ring_example, rates=(0.1,), ratios=(0.1, 0.3), starts=(0.4,))},
    ),
    "false_verdicts": ("--draws 4", lambda m: {}),
    "frequency_principle": (
        "--draws 1",
        lambda m: {
            "BOX": m.BOX.replace({"run.runs": 1}),
            "simulated_ratio": partial(m.simulated_ratio, rounds=1, points=3),
            "study": partial(m.study, lengths=[0.5, 1.0], labels=("Gaussian", "ReLU"), modes=1, width=200),
        },
    ),
    "frozen_numbers": (  # in place of the numbers of another time: the same once more, and without one of them
        "--draws 2",
        lambda m: {
            "BESIDES": (),
            "freeze": lambda file, seed, count: m.moved(
                m.computed(seed, count)[0], dict(list(m.computed(seed, count)[0].items())[1:]), "itself"
            ),
        },
    ),
    "game_size": ("--draws 1", lambda m: {"study": partial(m.study, channels=((4, 4, 4), (4, 4, 4)))}),
    "kernel_benchmark": (  # neural-tangents is not there: this package is timed twice
        "--draws 2 --points 20",
        lambda m: {"run": lambda python, side, *more, run=m.run: run(sys.executable, "ours", *more)},
    ),
    "kicked_modes": ("--draws 2 --seed 11", lambda m: {}),
    "packing": ("--draws 600", lambda m: {}),
    "solvable_phases": ("--draws 1 --side 3 --n 500", lambda m: {}),
    "solvable_trajectories": ("--draws 2 --largest 1000 --time 1 --dots 250", lambda m: {}),
    "start_scaling": ("--draws 1", lambda m: {"RATIOS": 2, "RATES": 2, "study": partial(m.study, factors=(1, 2))}),
    "two_gaussian": ("--draws 60", lambda m: {"INNER": (1, 100), "RATES": (0.1, 1.0)}),
    "universality": ("--draws 2 --width 128", lambda m: {}),
    "wide_discriminator": ("--draws 1 --widths 16 32", lambda m: {}),
}
#: scripts whose figure another test draws: the file here and its function
ELSEWHERE = {
    "advise_r1": ("test_advise_analyses", "test_advise_r1"),
    "collapse_transition": ("test_collapse_transition", "test_figure_shows_theory_and_simulation_of_both"),
    "dirac_portraits": ("test_models_analyses", "test_dirac_portraits"),
    "fixed_images": ("test_advise_analyses", "test_fixed_images"),
    "game_digits": ("test_game_digits", "test_the_whole_analysis_runs"),
    "game_growth": ("test_game_growth", "test_perturbations_grow_as_multipliers_say_where_they_are_valid"),
    "isolated_points": ("test_models_analyses", "test_isolated_points"),
    "kernel_share": ("test_kernel_share", "test_kernel_share"),
    "normal_forms": ("test_normal_forms", "test_one_random_experiment"),
    "orbits": ("test_orbits_analysis", "test_followed_orbits_of_the_ring_are_simulated_ones"),
    "phase_diagrams": ("test_analyses", "test_phase_diagrams"),
    "poincare_strength": ("test_models_analyses", "test_poincare_strength"),
    "published_mnist": ("test_analyses_published", "test_published_mnist"),
    "real_gan_collapse": ("test_real_gan_collapse", "test_the_study"),
    "remedies_claims": ("test_models_analyses", "test_remedies_claims"),
    "remedies_likelihood": ("test_remedies_analyses", "test_likelihood_covers_modes_within_a_window_of_weights"),
    "remedies_packing": ("test_remedies_analyses", "test_packing"),
    "remedies_play": ("test_remedies_analyses", "test_uniform_averages"),
    "sweep_survival": ("test_sweeps_survival", "test_twenty_kills"),
}
#: run by a process of its own, for it forks
APART = {"fuzz": "--draws 3", "spoilt_stores": "--draws 2"}


def draws(source: str, function: str, name: str) -> bool:
    """Whether a function of a test module calls the figure of a script, or its main."""
    tree = ast.parse(source)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "analyses"]
    called = {alias.asname or alias.name for node in imports for alias in node.names if alias.name == name}
    bodies = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function]
    calls = [node.func for body in bodies for node in ast.walk(body) if isinstance(node, ast.Call)]
    return any(
        isinstance(f, ast.Attribute) and f.attr in ("figure", "main")
        and isinstance(f.value, ast.Name) and f.value.id in called
        for f in calls
    )  # fmt: skip


def test_every_figure_is_drawn_by_a_test():
    """A script that is nowhere drawn fails here."""
    assert sorted([*SMALL, *ELSEWHERE, *APART]) == SCRIPTS
    for name, (file, function) in ELSEWHERE.items():
        assert draws((Path(__file__).parent / f"{file}.py").read_text(), function, name), name


def test_a_test_that_draws_is_told_from_one_that_does_not():
    text = "from analyses import a as b, c\ndef test_x():\n    f(b.figure(ds))\n    c.study()\ndef test_y(): pass\n"
    assert draws(text, "test_x", "a")
    assert not any(draws(text, function, name) for function, name in (("test_x", "c"), ("test_y", "a"), ("test", "a")))


def told(ax):
    """Whether an Axes with data says what its values are, in words; shared axes say it once."""
    words = [ax.get_xlabel(), ax.get_ylabel()]
    names = [t.get_text() for t in (*ax.get_xticklabels(), *ax.get_yticklabels())]
    return any(words) or any(re.search("[A-Za-z]", n) for n in names)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of numbers that so small a run does not give
@pytest.mark.parametrize("name", sorted(SMALL))
def test_figure_of_a_small_run_is_labelled(name, tmp_path, monkeypatch):
    """From the options to the PNG, with words at the axes and a legend where there are several series."""
    for needed in NEEDS.get(name, ()):
        pytest.importorskip(needed)
    module = import_module(f"analyses.{name}")
    options, instead = SMALL[name]
    for path, value in instead(module).items():
        *of, last = path.split(".")
        monkeypatch.setattr(getattr(module, of[0]) if of else module, last, value)
    shown = []
    monkeypatch.setattr(script, "png", lambda figure, about, png=script.png: shown.append(figure) or png(figure, about))
    module.main([*options.split(), "--output", str(tmp_path / name)])
    assert f"`python -m analyses.{name} --seed " in facts(tmp_path / f"{name}.png")
    assert (tmp_path / f"{name}.png").stat().st_size <= LIMIT
    (figure,) = shown
    axes = [ax for ax in figure.axes if ax.get_visible() and ax.has_data()]
    assert axes and all(told(ax) for ax in axes)
    assert all(re.search(r"\(|/|\d", ax.get_xlabel() + ax.get_ylabel()) for ax in axes if ax.get_ylabel())
    series = max(len(ax.get_legend_handles_labels()[0]) for ax in axes)
    assert series < 2 or figure.legends or any(ax.get_legend() for ax in axes)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(APART))
def test_figure_by_a_process_of_its_own(name, tmp_path):
    command = [sys.executable, "-m", f"analyses.{name}", *APART[name].split(), "--output", str(tmp_path / name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"`python -m analyses.{name} --seed " in facts(tmp_path / f"{name}.png")
