"""Every kind of result once, from small problems: what tests of how results show themselves and are drawn share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import egan_theory as eg
from tests.builders import RING

RATIO, R1 = "generator.kernel.ratio", "penalty.r1"
EXPERIMENT = eg.Experiment.from_toml_string(RING)
SETTING = eg.solvable.SETTING_R
SHORT = SETTING.model_copy(update={"time": 20.0})


def _place() -> eg.Place:
    from tests.advice.test_place import experiment, game_of, located

    exp = experiment(0.3)
    return located(game_of(exp), exp)


def _game() -> eg.Game:
    from tests.games.double import Quadratic, descent

    return descent(Quadratic(30), (0.8, 0.2), {"r1": 0.1})


def _game_spectrum() -> eg.GameSpectrum:
    from egan_theory.games.spectrum import spectrum_of

    return spectrum_of(_game(), 300, progress=False)


def _kernel_numbers() -> eg.KernelNumbers:
    from egan_theory.games.generators import GeneratorMap
    from egan_theory.games.kernel import measured

    rng = np.random.default_rng(0)
    J = rng.standard_normal((6 * 2, 40)) + np.tile(rng.standard_normal((2, 40)), (6, 1))
    return measured([GeneratorMap(6, 2, 40, lambda v: (J @ v).reshape(6, 2), lambda u: J.T @ u.ravel())])


def _monitored_runs() -> Any:
    from tests.monitoring.test_reading import runs

    return runs([[0.95 + 0.2j, 0.5]] * 3, strength_r1=1.0, strength_advised=12.0, kernel_share=0.6, path_angle=0.9,
                loss_discriminator=0.1, loss_generator=0.2)  # fmt: skip


def _losses() -> Any:
    """Runs with logged losses."""
    from egan_theory.runs.schema import variable

    t = np.arange(made("runs").sizes["time"])
    both = np.array([1 + 0.1 * np.sin(t / 3), 0.7 + 0.05 * np.cos(t / 3)])
    names = ("loss_discriminator", "loss_generator")
    data = {name: variable(name, np.tile(v, (2, 1))) for name, v in zip(names, both, strict=True)}
    return made("runs").assign(data)


def _advice() -> eg.Advice:
    rows = np.random.default_rng(0).standard_normal((8, 24))
    return eg.advise_from_gram(rows @ rows.T, 4, 2, horizon=200, variations=False)


FACTORIES: dict[str, Callable[[], Any]] = {
    "experiment": lambda: EXPERIMENT,
    "spectrum": lambda: eg.spectrum(EXPERIMENT),
    "uniform": lambda: eg.spectrum(
        eg.Experiment(
            target=eg.Uniform(side=7),
            generator=eg.Generator(particles=7),
            discriminator=eg.Discriminator(features=0, length_scale=0.1),
        )
    ),
    "runs": lambda: eg.simulate(EXPERIMENT),
    "regularizer": lambda: eg.best_regularizer(EXPERIMENT),
    "fastest": lambda: eg.fastest_strength(EXPERIMENT),
    "agreement": lambda: eg.compare(EXPERIMENT, made("runs")),
    "thresholds": lambda: eg.thresholds(EXPERIMENT, vary=RATIO),
    "reached": lambda: eg.reached(EXPERIMENT, draws=4),
    "branch": lambda: eg.branch(EXPERIMENT, vary=RATIO),
    "curves": lambda: eg.curves(EXPERIMENT, f"{RATIO}=0:1:4", f"{R1}=0.1:1:3"),
    "frequency": lambda: eg.frequency(EXPERIMENT),
    "collapsed": lambda: eg.collapsed_state(EXPERIMENT),
    "collective": lambda: eg.collective_instability(EXPERIMENT, RATIO),
    "splitting": lambda: eg.splitting(EXPERIMENT),
    "phase": lambda: eg.phase(EXPERIMENT, f"{RATIO}=0:1:4", f"{R1}=0.1:1:3"),
    "simulated phase": lambda: eg.simulate_phase(EXPERIMENT, f"{RATIO}=0:1:4", f"{R1}=0.1:1:3"),
    "sweep_left": lambda: eg.sweep_left(EXPERIMENT, "r1", [0.1, 1.0], 50),
    "sweep_strength": lambda: eg.sweep_strength(EXPERIMENT, "r1", [0.1, 1.0], steps=100),
    "power_laws": lambda: eg.power_laws(EXPERIMENT.replace({"memory.generator": "uniform", R1: 0.0})),
    "left_over": lambda: eg.left_over(EXPERIMENT, 50),
    "learning_times": lambda: eg.learning_times(EXPERIMENT),
    "linearized": lambda: eg.linearize(EXPERIMENT),
    "eigenvalues": lambda: eg.eigenvalues(eg.linearize(EXPERIMENT)),
    "advice": _advice,
    "place": _place,
    "kernel_numbers": _kernel_numbers,
    "game": _game,
    "game_spectrum": _game_spectrum,
    "monitored_runs": _monitored_runs,
    "monitored": lambda: eg.monitor(made("monitored_runs")),
    "losses": _losses,
    "compared phase": lambda: eg.compare_phase(EXPERIMENT, made("simulated phase")),
    "remedies": lambda: eg.compare_remedies(EXPERIMENT, pairs=False, runs=1),
    "solvable_phase": lambda: eg.solvable.solvable_phase(SHORT, ("tau", 0.1, 0.4, 3), ("taut", 0.02, 0.06, 3)),
    "solvable_scan": lambda: eg.solvable.solvable_phase(SHORT, ("tau", 0.1, 0.4, 3)),
    "architecture": lambda: None,
    "portrait": lambda: eg.dirac.portrait(eg.dirac.dirac_gan(), steps=20, side=5),
    "outcomes": lambda: eg.outcomes(made("runs")),
    "optimizer": lambda: eg.Optimizer("sgd", {"learning_rate": 0.1}),
    "solvable": lambda: SETTING,
    "ode": lambda: eg.solvable.solve_ode(SETTING),
}


@cache
def made(name: str) -> Any:
    """The result of that name."""
    return FACTORIES[name]()
