"""Remedies on the axes of sweeps, phase diagrams and thresholds: each cell is the experiment of its values."""

import json

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.base.errors import InputError, NotLinearizable
from egan_theory.cli.app import main
from egan_theory.predict.collective import margin
from egan_theory.predict.phase import parse_axes
from egan_theory.sweeps.agreement import compare_sweep
from egan_theory.sweeps.batch import DONE, FAILED
from egan_theory.sweeps.phase import compare_phase, simulate_phase

#: cells simulated side by side and alone differ by rounding, which the steps amplify
TOGETHER = 1e-7
#: late slopes of a few e-folds, relative to the slowest mode's rate
LATE = 0.12
WEIGHT, BANDWIDTH = "likelihood.weight=0:0.6:3", "likelihood.bandwidth=0.3:0.9:2"
AVERAGED = "memory.generator=0:24:4", "memory.discriminator=0:16:3"
#: (rule, axes)
GRIDS = {
    "likelihood": ({"rule": "simultaneous"}, (WEIGHT, BANDWIDTH)),
    "averages": ({"rule": "simultaneous"}, AVERAGED),
    "averaged flow": ({"rule": "flow"}, ("memory.generator=0:16:2", "memory.discriminator=0:16:2")),
    "critic steps": ({"rule": "alternating"}, ("update.critic_steps=1:5:5", "memory.discriminator=0:6:3")),
    "best response": ({"rule": "best_response"}, ("penalty.weight_decay=0.1:0.3:3", "memory.generator=0:20:3")),
}


def experiment(update=None, **tables):
    return eg.Experiment(
        target={"kind": "ring", "modes": 3}, generator={"particles": 3, "learning_rate": 0.1},
        discriminator={"features": 12, "learning_rate": 0.2}, penalty={"r1": 0.1, "weight_decay": 0.1},
        update=update or {}, **{"run": {"steps": 300, "record_every": 3, "runs": 2}} | tables,
    )  # fmt: skip


@pytest.mark.parametrize("name", GRIDS)
def test_phase_diagram(name):
    """Every cell's margin is that of the cell's own spectrum."""
    update, axes = GRIDS[name]
    exp = experiment(update)
    found = eg.phase(exp, *axes, block=1).sel(mechanism="collective instability")
    first, second = (found[n].attrs["long_name"] for n in ("first", "second"))
    for r, c in np.ndindex(found["margin"].shape):
        cell = exp.replace({first: found["first"].values[c].item(), second: found["second"].values[r].item()})
        ds = eg.spectrum(cell)
        assert float(found["margin"][r, c]) == margin(cell)
        radius = ds["multiplier_re"] + 1j * ds["multiplier_im"]
        growth = float(np.abs(radius[ds["coupled"] == 1]).max()) - 1
        expected = growth if "spectral_radius" in ds.attrs else -ds.attrs["slowest_coupled_rate"]
        assert float(found["margin"][r, c]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", GRIDS)
def test_sweep(name, tmp_path, in_this_process):
    """Every cell is the simulation of its experiment, its predicted rate that of its spectrum."""
    update, axes = GRIDS[name]
    exp = experiment(update)
    if exp.update_rule.continuous:
        exp = exp.replace({"run.steps": 120, "run.record_every": 2})
    ds = eg.sweep(exp, axes, tmp_path / "s.zarr").load()
    assert (ds["status"] == DONE).all() and ds.sizes["cell"] == np.prod([int(a.split(":")[2]) for a in axes])
    paths = [axis.partition("=")[0] for axis in axes]
    for cell in (0, ds.sizes["cell"] // 2, ds.sizes["cell"] - 1):
        one = ds.isel(cell=cell)
        own = exp.replace({path: one[path.replace(".", "_")].item() for path in paths})
        runs = eg.simulate(own)
        np.testing.assert_allclose(one["final"], runs["particles"][:, -1], rtol=TOGETHER, atol=TOGETHER)
        assert float(one["predicted_rate"]) == eg.spectrum(own).attrs["slowest_coupled_rate"]
    table = compare_sweep(exp, ds)
    errors = [q.relative_error for q in table.quantities]
    assert errors and max(errors) < LATE


def test_thresholds_are_where_the_spectrum_changes():
    for update, path, low, high in (
        ({"rule": "simultaneous"}, "memory.generator", 0.0, 50.0),  # between 0 and 1 step there is none
        ({"rule": "simultaneous"}, "memory.discriminator", 1.0, 50.0),
        ({"rule": "best_response"}, "generator.learning_rate", 0.01, 20.0),
    ):
        exp = experiment(update)
        found = eg.thresholds(exp, path, low, high, mechanisms=["collective instability"]).thresholds[0]
        assert found.value is not None, path
        for side in (-1, 1):
            at = exp.replace({path: found.value * (1 + 1e-6 * side)})
            assert (margin(at) > 0) == ((side > 0) == (found.unstable_side[0] == "above"))
        if low == 0:
            assert any(a.startswith("no equilibrium to linearize about at") for a in found.assumptions)


def test_default_range_of_an_average_begins_at_a_step():
    exp = experiment(memory={"generator": 5.0})
    found = eg.thresholds(exp, "memory.generator", mechanisms=["collective instability"])
    assert found.thresholds[0].range == (1.0, 500.0)
    flow = eg.thresholds(experiment({"rule": "flow"}, memory={"generator": 5.0}), "memory.generator",
                         mechanisms=["collective instability"])  # fmt: skip
    assert flow.thresholds[0].range == (0.05, 500.0)


def test_likelihood_weight_in_thresholds_and_their_reasons():
    exp = experiment(likelihood={"weight": 0.1, "bandwidth": 0.5})
    found = {t.mechanism: t for t in eg.thresholds(exp, "likelihood.weight", 0.01, 1.0).thresholds}
    assert found["collective instability"].margin == margin(exp)
    for name in ("collapsed state", "too slow to split"):
        assert found[name].reason.startswith("likelihood.weight: must be 0 for the")


def test_axes_that_need_each_other():
    """The experiment's own bandwidth is 0, which no weight can have; the other axis gives one."""
    exp = experiment()
    assert [a.path for a in parse_axes(exp, (WEIGHT, BANDWIDTH))] == ["likelihood.weight", "likelihood.bandwidth"]
    for axes in ((WEIGHT,), (WEIGHT, "penalty.r1=0.1:1:2"), (WEIGHT, "likelihood.bandwidth=-1:0:2")):
        with pytest.raises(InputError, match=r"likelihood\.bandwidth: must be"):
            parse_axes(exp, axes)
    with pytest.raises(InputError, match=r"update\.critic_steps: must be 1 unless update\.rule"):
        parse_axes(exp, ("update.critic_steps=1:5:5", WEIGHT, BANDWIDTH))


def test_cells_that_the_experiment_refuses(tmp_path, in_this_process):
    """Between 0 and 1 step there is no average: no statement, no simulation, a reason; the other cells go on."""
    exp = experiment().replace({"run.steps": 30, "run.record_every": 10})
    axes = ("memory.generator=0:2:5", "penalty.r1=0.1:0.2:2")
    found = eg.phase(exp, *axes, block=1)["margin"].sel(mechanism="collective instability").values
    refused = np.array([False, True, False, False, False])
    assert np.array_equal(np.isnan(found), np.tile(refused, (2, 1)))
    runs = simulate_phase(exp, *axes)
    assert np.array_equal(np.isnan(runs["covered"].values[..., 0]), np.tile(refused, (2, 1)))
    assert np.isfinite(compare_phase(exp, runs)["specificity"].values).all() or runs["covered"].mean() < 1
    ds = eg.sweep(exp, axes, tmp_path / "s.zarr")
    failed = ds["memory_generator"].values == 0.5
    assert np.array_equal(ds["status"].values == FAILED, failed)
    assert set(ds["reason"].values[failed]) == {"memory.generator: must be 0 or at least 1 step, but found 0.5"}


def test_no_statement_is_no_error():
    """A mechanism that is not derived with a likelihood term says nothing about such cells, something about others."""
    exp = experiment(likelihood={"bandwidth": 0.5})
    mechanisms = ["too slow to split", "collapsed state"]
    found = eg.phase(exp, "likelihood.weight=0:1:2", "penalty.r1=0.1:0.2:2", mechanisms=mechanisms)["margin"].values
    assert np.isfinite(found[0, :, 0]).all() and np.isnan(found[..., 1]).all()


def test_exact_scores_in_a_phase_diagram():
    """Equilibria off the data: margins are those of the spectra, and NaN where there is none."""
    exp = eg.Experiment(
        target={"kind": "mixture", "means": [[-1.0], [1.0]], "std": 0.3, "samples": 4}, generator={"particles": 4},
        discriminator={"features": 8}, penalty={"weight_decay": 0.1},
        likelihood={"bandwidth": 0.3, "score": "exact"},
    )  # fmt: skip
    found = eg.phase(exp, "likelihood.weight=0:0.5:3", "likelihood.bandwidth=0.2:0.4:2", block=1)
    for r, c in np.ndindex(2, 3):
        cell = exp.replace({"likelihood.weight": found["first"].values[c].item(),
                            "likelihood.bandwidth": found["second"].values[r].item()})  # fmt: skip
        got = float(found["margin"].sel(mechanism="collective instability")[r, c])
        try:
            assert got == margin(cell)
        except NotLinearizable:
            assert np.isnan(got)
    assert np.isfinite(found["margin"].sel(mechanism="collective instability")).sum() >= 4


def test_commands(tmp_path, capsys):
    file = tmp_path / "e.toml"
    file.write_text(experiment().to_toml())
    assert main(["phase", str(file), "--vary", WEIGHT, "--vary", BANDWIDTH, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert main(["threshold", str(file), "--vary", "memory.generator=1:50", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["thresholds"]
    assert next(r for r in rows if r["mechanism"] == "collective instability")["value"] > 1
    assert main(["phase", str(file), "--vary", WEIGHT, "--vary", "penalty.r1=0.1:1:2"]) == 2
    assert "likelihood.bandwidth: must be greater than 0" in capsys.readouterr().err
