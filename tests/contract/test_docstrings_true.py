"""What docstrings claim is so: the exceptions under "Raises" come, and Datasets have the variables under "Shapes"."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

import egan_theory as eg
from tests.contract.test_docstrings import entries, sections

RING = eg.Experiment(target={"kind": "ring", "modes": 3}, discriminator={"features": 8},
                     run={"steps": 40, "record_every": 4, "runs": 2})  # fmt: skip
BOX = eg.Experiment(target={"kind": "uniform", "side": 5}, discriminator={"features": 0})
MEMORY = eg.Experiment(target={"kind": "ring", "modes": 3}, discriminator={"features": 8}, update={"rule": "flow"},
                       penalty={"r1": 0.0, "weight_decay": 0.1}, memory={"generator": "uniform"})  # fmt: skip
FEW = RING.replace({"generator.particles": 2})
UNSTABLE = RING.replace({"penalty.r1": 0.0})
AXES = (("penalty.r1", 0.1, 1, 2), ("generator.kernel.ratio", 0, 0.5, 2))
MODEL = eg.solvable.Solvable(n=50, time=2.0, record=101)
RUNS = xr.Dataset({"particles": (("run", "time"), np.zeros((1, 2)))})


def raises(function) -> dict[str, str]:
    return entries(sections(inspect.unwrap(function).__doc__).get("Raises", ""))


#: (function, bad call, exception claimed)
BAD = [
    (eg.spectrum, lambda: eg.spectrum(RING, extreme=2), eg.InputError),
    (eg.best_regularizer, lambda: eg.best_regularizer(RING, "nothing"), eg.InputError),
    (eg.best_regularizer, lambda: eg.best_regularizer(RING, horizon=-1.0), eg.InputError),
    (eg.best_regularizer, lambda: eg.best_regularizer(RING, safety=0.5), eg.InputError),
    (eg.fastest_strength, lambda: eg.fastest_strength(RING, "gradient_penalty"), eg.InputError),
    (eg.left_over, lambda: eg.left_over(RING, 1.5), eg.InputError),
    (eg.thresholds, lambda: eg.thresholds(RING, "penalty.nothing"), eg.InputError),
    (eg.thresholds, lambda: eg.thresholds(RING, "penalty.r1", 1.0, 0.1), eg.InputError),
    (eg.thresholds, lambda: eg.thresholds(RING, "penalty.r1", mechanisms=["nothing"]), eg.InputError),
    (eg.collective_instability, lambda: eg.collective_instability(RING, "target.modes"), eg.InputError),
    (eg.phase, lambda: eg.phase(RING, AXES[0], AXES[0]), eg.InputError),
    (eg.phase, lambda: eg.phase(RING, *AXES, block=0), eg.InputError),
    (eg.curves, lambda: eg.curves(RING, ("target.modes", 3, 5, 2), AXES[1]), eg.InputError),
    (eg.branch, lambda: eg.branch(RING, "penalty.r1=0.1:1", at=[2.0]), eg.InputError),
    (eg.branch, lambda: eg.branch(RING, "penalty.r1=0.1:1", collapsed=-1), eg.InputError),
    (eg.collapsed_state, lambda: eg.collapsed_state(RING, steps=10), eg.InputError),
    (eg.collapsed_state, lambda: eg.collapsed_state(RING, x0=np.zeros(3)), eg.InputError),
    (eg.collapsed_states, lambda: eg.collapsed_states(RING, 0), eg.InputError),
    (eg.reached, lambda: eg.reached(RING, draws=0), eg.InputError),
    (eg.reached, lambda: eg.reached(RING.replace({"discriminator.features": 0})), eg.InputError),
    (eg.frequency, lambda: eg.frequency(RING.replace({"generator.kernel.ratio": 1.0})), eg.InputError),
    (eg.learning_times, lambda: eg.learning_times(BOX, {}), eg.InputError),
    (eg.splitting, lambda: eg.splitting(BOX), eg.InputError),
    (eg.power_laws, lambda: eg.power_laws(RING), eg.InputError),
    (eg.kernel_from_profile, lambda: eg.kernel_from_profile("exp(-u)"), eg.InputError),
    (eg.kernel_from_profile, lambda: eg.kernel_from_profile(abs), eg.InputError),
    (eg.new, lambda: eg.new("nothing"), eg.InputError),
    (eg.simulate, lambda: eg.simulate(RING, kicks=np.zeros((1, 2))), eg.InputError),
    (eg.compare, lambda: eg.compare(RING, RUNS), eg.InputError),
    (eg.outcomes, lambda: eg.outcomes(RUNS), eg.InputError),
    (eg.sweep_left, lambda: eg.sweep_left(RING, "r1", [0.1], 1.5), eg.InputError),
    (eg.sweep_left, lambda: eg.sweep_left(RING, "r1", [-0.1]), eg.InputError),
    (eg.sweep_strength, lambda: eg.sweep_strength(UNSTABLE, "r2", [0.0]), eg.InputError),
    (eg.simulate_phase, lambda: eg.simulate_phase(RING, AXES[0], AXES[0]), eg.InputError),
    (eg.open_runs, lambda: eg.open_runs("/nothing/there.nc"), eg.InputError),
    (eg.open_sweep, lambda: eg.open_sweep("/nothing/there.zarr"), eg.InputError),
    (eg.sweep_grid, lambda: eg.sweep_grid(RUNS), eg.InputError),
    (eg.import_log, lambda: eg.import_log("/nothing/there"), eg.InputError),
    (eg.save, lambda: eg.save(RUNS, "/nothing/there.nc"), eg.InputError),
    (eg.monitor, lambda: eg.monitor(RUNS), eg.InputError),
    (eg.game, lambda: eg.game(1, 2, loss="hinge", data=None, latents=None, optimizers=(1, 2)), eg.InputError),
    (eg.kernel_numbers, lambda: eg.kernel_numbers(1), eg.InputError),
    (eg.advise, lambda: eg.advise(lambda p, x: 0.0), eg.InputError),
    (eg.advise_experiment, lambda: eg.advise_experiment(RING), eg.InputError),
    (eg.advise_from_gram, lambda: eg.advise_from_gram(-np.eye(4), 2, 2), eg.InputError),
    (eg.Experiment, lambda: eg.Experiment(penalty={"r1": -1.0}), eg.InputError),
    (eg.Experiment.replace, lambda: RING.replace({"penalty.nothing": 1.0}), eg.InputError),
    (eg.Experiment.get, lambda: RING.get("penalty.nothing"), eg.InputError),
    (eg.Penalties, lambda: eg.Penalties(r1=-1.0), ValidationError),
    (eg.Update, lambda: eg.Update(rule="nothing"), ValidationError),
    (eg.Discriminator, lambda: eg.Discriminator(kernel="nothing"), ValidationError),
    (eg.Generator, lambda: eg.Generator(kernel={"ratio": 0.1}, architecture={"depth": 1}), ValidationError),
    (eg.Mixture, lambda: eg.Mixture(means=()), ValidationError),
    (eg.Uniform, lambda: eg.Uniform(side=4), ValidationError),
    (eg.Optimizer, lambda: eg.Optimizer("nothing"), eg.InputError),
    (eg.solvable.Solvable, lambda: eg.solvable.Solvable(noise=-1.0), eg.InputError),
    (eg.solvable.solve_ode, lambda: eg.solvable.solve_ode(MODEL, np.array([2.0, 1.0])), eg.InputError),
    (eg.solvable.simulate_solvable, lambda: eg.solvable.simulate_solvable(MODEL, "nothing"), eg.InputError),
    (eg.poincare.poincare, lambda: eg.poincare.poincare(np.zeros((50, 2))), eg.InputError),
    (eg.packing.band, lambda: eg.packing.band(2.0, 1), eg.InputError),
    (eg.isolated.best_ridge, lambda: eg.isolated.best_ridge(0.1, 0.2, 1, 1.0), eg.InputError),
    (eg.dirac.portrait, lambda: eg.dirac.portrait(RING), eg.InputError),
    (eg.two_gaussian.balanced_intervals, lambda: eg.two_gaussian.balanced_intervals(1.0), eg.InputError),
    (eg.published.load_fit, lambda: eg.published.load_fit("/nothing/there"), eg.InputError),
    (eg.plot.monitor, lambda: eg.plot.monitor(RUNS, what="nothing"), eg.InputError),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "call", "claimed"), BAD, ids=[f"{f.__qualname__}-{i}" for i, (f, *_) in enumerate(BAD)]
)
def test_errors_come_as_claimed(function, call, claimed):
    assert claimed.__name__ in raises(function)
    with pytest.raises(claimed) as found:
        call()
    if claimed is eg.InputError:
        assert ": must " in str(found.value) and "\n" not in str(found.value)


@pytest.mark.parametrize("function", [eg.spectrum, eg.left_over, eg.simulate, eg.fastest_strength])
def test_what_has_no_equilibrium_is_said_to_be_refused(function):
    assert "NotLinearizable" in raises(function)
    with pytest.raises(eg.NotLinearizable):
        function(FEW)


# -- shapes ------------------------------------------------------------------------------------------------------------


def claimed_variables(doc: str) -> dict[str, tuple[str, str | None]]:
    """Dimensions and units of the variables of a section "Shapes"; "a (mode), b (mode) [1]": the unit is of both."""
    found: dict[str, tuple[str, str | None]] = {}
    for item in re.split(r"^- ", doc, flags=re.MULTILINE):
        text, waiting = " ".join(item.split()), []
        for match in re.finditer(r"(\w+) \(([\w, ]*)\)|\[([^\]]+)\]", text):
            if match[1]:
                found[match[1]] = (match[2], None)
                waiting.append(match[1])
                continue
            for name in waiting:
                found[name] = (found[name][0], match[3])
            waiting = []
    return found


def units(claimed: str) -> set[str]:
    """The alternatives in a bracket: "1/time; of steps 1/step"."""
    parts = re.split(r"; | or |, ", claimed)
    return {re.sub(r"(?<=\w)s$", "", re.sub(r"^(flow: |of steps )", "", part)) for part in parts}


def holds(function, ds: xr.Dataset) -> None:
    claimed = claimed_variables(sections(inspect.unwrap(function).__doc__)["Shapes"])
    for name, variable in ds.data_vars.items():
        assert name in claimed, name
        dims, unit = claimed[name]
        assert dims == ", ".join(map(str, variable.dims)), name
        if unit is not None and "units" in variable.attrs:
            assert variable.attrs["units"] in units(unit), (name, variable.attrs["units"], unit)


DATASETS = [
    (eg.spectrum, lambda: eg.spectrum(RING)),
    (eg.simulate, lambda: eg.simulate(RING)),
    (eg.power_laws, lambda: eg.power_laws(MEMORY)),
    (eg.solvable.solve_ode, lambda: eg.solvable.solve_ode(MODEL)),
    (eg.solvable.simulate_sde, lambda: eg.solvable.simulate_sde(MODEL, weights=10)),
    (eg.solvable.simulate_sgd, lambda: eg.solvable.simulate_sgd(MODEL, weights=True)),
]
SLOW = [
    (eg.learning_times, lambda: eg.learning_times(BOX)),
    (eg.spectrum, lambda: eg.spectrum(BOX.replace({"update.rule": "flow"}))),
    (eg.phase, lambda: eg.phase(RING, *AXES)),
    (eg.sweep_left, lambda: eg.sweep_left(RING, "r1", [0.1, 0.2], 20)),
    (eg.sweep_strength, lambda: eg.sweep_strength(RING, "r1", [0.1, 0.2], steps=40, runs=1)),
    (eg.simulate_phase, lambda: eg.simulate_phase(RING, *AXES)),
    (eg.compare_phase,
     lambda: eg.compare_phase(RING, eg.simulate_phase(RING, *AXES), mechanisms=["too slow to split"])),
    (eg.solvable.solvable_phase,
     lambda: eg.solvable.solvable_phase(MODEL, ("noise", 1, 3, 2), ("taut", 0.01, 0.1, 2))),
]  # fmt: skip
CASES = [*DATASETS, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]


@pytest.mark.parametrize(("function", "made"), CASES)
def test_datasets_have_the_variables_dimensions_and_units_that_are_claimed(function, made):
    holds(function, made())


def test_a_wrong_claim_is_seen():
    ds = xr.Dataset({"a": ("mode", [1.0], {"units": "length"}), "b": ("mode", [1.0], {"units": "1/step"})})

    def function(doc):
        made = lambda: None  # noqa: E731
        made.__doc__ = f"Does this.\n\nShapes:\n    - {doc}\n"
        return made

    holds(function("a (mode) [length], b (mode) [1/time; of steps 1/step]"), ds)
    for wrong in ("a (mode) [length]", "a (mode) [1], b (mode) [1/step]", "a (run), b (mode) [1/step]"):
        with pytest.raises(AssertionError):
            holds(function(wrong), ds)
