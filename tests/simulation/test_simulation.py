"""The particle simulation: what is recorded, seeds, divergence, interruption, files, and the exact kernel."""

import numpy as np
import pytest
import xarray as xr

from egan_theory.base.errors import InputError
from egan_theory.base.netcdf import save
from egan_theory.cli.app import main
from egan_theory.experiment import Experiment
from egan_theory.experiment.targets import Grid, Ring, Uniform
from egan_theory.features import feature_map
from egan_theory.linear import eigenvalues, linearize
from egan_theory.linear.resolved import resolved_rule
from egan_theory.runs.reading import open_runs
from egan_theory.runs.schema import ATTRS, DIMS, validate_runs
from egan_theory.simulation import simulate
from egan_theory.simulation.condense import condensed
from egan_theory.simulation.run import _simulate
from egan_theory.simulation.start import announced
from egan_theory.tables.updates import MOST_SUBSTEPS, SUBSTEP
from tests.builders import small

#: one trajectory computed in another order for a few dozen steps, relative to how far it moves
TRAJECTORY = 1e-9
#: squared residual, relative to K(x, x), up to which the exact kernel's dictionary is not grown
GROWTH = 1e-7


def ring(particles=6, run=None, **tables):
    tables.setdefault("penalty", {"r1": 0.3})
    run = {"steps": 40, "runs": 2, "record_every": 4} | (run or {})
    return small(Ring(modes=3), particles=particles, **tables).replace({f"run.{k}": v for k, v in run.items()})


RUNS = {
    "kick": ring(),
    "flow": ring(update={"rule": "flow"}),
    "random start": ring(run={"start": "random"}),
    "exact kernel": ring(discriminator={"features": 0}),
    "exact kernel, random": ring(discriminator={"features": 0}, run={"start": "random"}, update={"rule": "optimistic"}),
    "masses that do not match": ring(4, penalty={"weight_decay": 0.5}, discriminator={"features": 20}),
    "box": small(Uniform(side=5), particles=5, discriminator={"features": 0}).replace({"run.start": "random"}),
}


@pytest.mark.parametrize("name", RUNS)
def test_recorded_runs_obey_the_schema(name):
    exp = RUNS[name].replace({"run.steps": 20, "run.record_every": 4, "run.runs": 2})
    ds = simulate(exp)
    xr.testing.assert_identical(validate_runs(ds), ds)
    for variable_name, variable in ds.variables.items():
        assert variable.attrs["long_name"] and variable.attrs["units"], variable_name
        if variable_name in DIMS:
            assert variable.dims == DIMS[variable_name]
            assert (variable.attrs["long_name"], variable.attrs["units"]) == ATTRS[variable_name]
    assert np.array_equal(ds["time"], np.arange(0, 21, 4))
    assert ds["time"].attrs["units"] == ("time" if exp.update.rule == "flow" else "step")
    assert ds["particles"].shape == (2, 6, exp.generator.particles, exp.dimension)
    assert ds.attrs["status"] == "finished" and ds.attrs["schema_version"] == "1" and ds.attrs["seed"] == exp.run.seed
    assert type(exp).from_toml_string(ds.attrs["experiment"]) == exp
    assert "numpy" in ds.attrs["versions"] and ds.attrs["start"] == exp.run.start
    assert ("assignment" in ds) == (exp.run.start == "kick")
    assert all(np.isfinite(ds[v].values).all() for v in ds.data_vars)
    np.testing.assert_array_equal(ds["mass"], exp.masses)
    np.testing.assert_array_equal(ds["target"], exp.points.coordinates)


@pytest.mark.parametrize("name", RUNS)
def test_seeds(name):
    exp = RUNS[name].replace({"run.steps": 8, "run.record_every": 4})
    first, again = simulate(exp), simulate(exp)
    assert first["particles"].values.tobytes() == again["particles"].values.tobytes()
    xr.testing.assert_identical(first, again)
    other = simulate(exp.replace({"run.seed": 1}))
    moved = np.abs(first["particles"] - other["particles"]).max()
    assert moved > (1e-6 if exp.run.start == "kick" else 1e-2)
    # the runs of one simulation differ as well
    assert np.abs(first["particles"][0] - first["particles"][1]).max() > 1e-7


def test_recorded_forces_are_those_of_the_weights():
    ds = simulate(ring(run={"kick": 0.1}))
    from egan_theory.features import feature_map

    at = feature_map(ring()).at(ds["particles"].values[:, -1])
    w = ds["weights"].values[:, -1]
    np.testing.assert_allclose(ds["discriminator"].values[:, -1], at.value(w), rtol=1e-12)
    np.testing.assert_allclose(ds["force"].values[:, -1], at.gradient(w), rtol=1e-10, atol=1e-14)


def test_kicks_have_the_stated_size():
    """Gaussian of rms ``kick`` per coordinate; particles that share a point share the kick when q = p."""
    exp = ring(12, run={"runs": 400, "steps": 1, "record_every": 1, "kick": 1e-3})
    dx = simulate(exp)["particles"].values[:, 0] - exp.points.coordinates[exp.assignment]
    n = 400 * 3 * 2
    assert np.sqrt((dx**2).mean()) == pytest.approx(1e-3, rel=5 / np.sqrt(2 * n))
    assert np.array_equal(dx[:, ::4], dx[:, 3::4])
    unmatched = RUNS["masses that do not match"]
    unmatched = unmatched.replace({"run.runs": 50, "run.steps": 1, "run.record_every": 1})
    x = simulate(unmatched)["particles"].values[:, 0]
    spread = x.std(axis=0)
    assert np.abs(spread / 1e-5 - 1).max() < 5 / np.sqrt(2 * 50)
    assert np.abs(x[:, 0] - x[:, 1]).max() > 1e-6  # not together


def test_random_starts():
    target = Ring(modes=3, radius=2.0)
    exp = small(target, particles=200).replace({"run.start": "random", "run.steps": 1, "run.record_every": 1})
    for spread, expected in ((0.0, np.sqrt(2.0)), (0.3, 0.3)):
        ds = simulate(exp.replace({"run.spread": spread}))
        x, n = ds["particles"].values[:, 0], 8 * 200 * 2
        assert x.std() == pytest.approx(expected, rel=5 / np.sqrt(2 * n))
        assert abs(x.mean()) <= 5 * expected / np.sqrt(n)
        assert not np.any(ds["weights"].values[:, 0])
    box = small(Uniform(side=5, length=3.0), particles=200, discriminator={"features": 0})
    x = simulate(box.replace({"run.start": "random", "run.steps": 1, "run.record_every": 1}))["particles"].values[:, 0]
    assert x.min() >= 0 and x.max() <= 3 and abs(x.mean() - 1.5) <= 5 * 3 / np.sqrt(12 * x.size)


# -- divergence and interruption --------------------------------------------------------------------------------------


def test_divergence_is_recorded():
    """One variant explodes: its runs are NaN from the step on; the others go on as if alone."""
    stable = ring(run={"steps": 300, "record_every": 10, "kick": 1e-2})
    wild = stable.replace({"penalty.weight_decay": 8.0})  # eta_D nu = 2.4: the weights grow by 1.4 a step
    ds = simulate(stable, variants=[stable, wild])
    at = ds["diverged_at"].values
    assert np.array_equal(at[:2], [-1, -1]) and np.all(at[2:] > 0)
    assert ds.attrs["status"] == f"diverged at step {at[2:].min()}"
    for r in (2, 3):
        alive = np.isfinite(ds["particles"].values[r]).all(axis=(-2, -1))
        assert np.array_equal(alive, ds["time"].values < at[r])
        for name in ("force", "discriminator"):
            assert np.isnan(ds[name].values[r][~alive]).all() and np.isfinite(ds[name].values[r][alive]).all()
    alone = simulate(stable)
    moved = np.abs(alone["particles"].values - alone["particles"].values[:, :1]).max()
    np.testing.assert_allclose(ds["particles"].values[:2], alone["particles"], rtol=0, atol=TRAJECTORY * moved)
    validate_runs(ds)
    lost = simulate(wild)
    assert np.array_equal(lost["diverged_at"], at[2:]) and lost.attrs["status"] == ds.attrs["status"]
    assert lost["time"].values[-1] <= 300


def test_interrupted_runs_are_kept(tmp_path):
    exp = ring()

    def interrupt(step, steps):
        assert steps == 40
        if step == 20:
            raise KeyboardInterrupt

    ds = simulate(exp, progress=interrupt)
    assert ds.attrs["status"] == "interrupted"
    assert np.array_equal(ds["time"], np.arange(0, 21, 4))
    np.testing.assert_array_equal(ds["particles"], simulate(exp)["particles"].isel(time=slice(0, 6)))
    save(ds, tmp_path / "runs.nc")
    xr.testing.assert_identical(open_runs(tmp_path / "runs.nc"), ds)


def test_progress():
    seen = []
    simulate(ring(), progress=lambda step, steps: seen.append((step, steps)))
    assert seen == [(s, 40) for s in range(4, 41, 4)]


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_files_round_trip(name, tmp_path):
    ds = simulate(RUNS[name].replace({"run.steps": 8, "run.record_every": 4}))
    save(ds, tmp_path / "runs.nc")
    xr.testing.assert_identical(open_runs(tmp_path / "runs.nc"), ds)


@pytest.mark.parametrize("error", [OSError("no space left on device"), KeyboardInterrupt()], ids=["full", "interrupt"])
def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch, error):
    """Neither half a file nor a temporary one, and an older file stays as it was."""
    ds = simulate(ring(run={"steps": 4}))
    save(ds, tmp_path / "old.nc")
    before = (tmp_path / "old.nc").read_bytes()

    def broken(self, store, **_):
        assert any(f.name.startswith(".tmp-") for f in tmp_path.iterdir())
        raise error

    monkeypatch.setattr(xr.Dataset, "dump_to_store", broken)
    for name in ("old.nc", "new.nc"):
        with pytest.raises(type(error)):
            save(ds, tmp_path / name)
    assert [f.name for f in tmp_path.iterdir()] == ["old.nc"]
    assert (tmp_path / "old.nc").read_bytes() == before


def test_save_needs_a_folder(tmp_path):
    with pytest.raises(InputError, match="must lie in an existing folder"):
        save(simulate(ring(run={"steps": 4})), tmp_path / "none" / "runs.nc")


# -- the exact kernel -------------------------------------------------------------------------------------------------


class Centres:
    """Equation (2) for a Gaussian kernel, D as a growing sum of kernels at all places where anything ever was."""

    def __init__(self, l):
        self.l, self.value, self.slope = l, [], []  # (centre, coefficient), (centre, vector)

    def K(self, x, z):
        return np.exp(-((x - z) ** 2).sum() / (2 * self.l**2))

    def D(self, x):
        total = sum(a * self.K(x, z) for z, a in self.value)
        return total + sum(b @ (x - z) / self.l**2 * self.K(x, z) for z, b in self.slope)

    def grad(self, x):
        total = sum((-a * (x - z) / self.l**2 * self.K(x, z) for z, a in self.value), np.zeros(len(x)))
        for z, b in self.slope:
            r = (x - z) / self.l
            total = total + (b - (b @ r) * r) / self.l**2 * self.K(x, z)
        return total

    def step(self, exp, x, df1, df2, dh):
        """One simultaneous step of both players; returns the new particles."""
        k, Y, p, m = exp.penalty, exp.points.coordinates, exp.points.weights, exp.masses
        eta = exp.discriminator.learning_rate
        new_value = [(y, eta * w * df1(self.D(y))) for y, w in zip(Y, p, strict=True)]
        new_value += [(z.copy(), eta * w * df2(self.D(z))) for z, w in zip(x, m, strict=True)]
        new_slope = [(y, -eta * k.r1 * w * self.grad(y)) for y, w in zip(Y, p, strict=True)]
        new_slope += [(z.copy(), -eta * k.r2 * w * self.grad(z)) for z, w in zip(x, m, strict=True)]
        force = np.array([w * dh(self.D(z)) * self.grad(z) for z, w in zip(x, m, strict=True)])
        kernel, N = exp.generator.kernel, len(m)
        Gamma = kernel.diagonal * ((1 - kernel.ratio) * np.eye(N) + kernel.ratio)
        decay = 1 - eta * k.weight_decay
        self.value = [(z, decay * a) for z, a in self.value] + new_value
        self.slope = [(z, decay * b) for z, b in self.slope] + new_slope
        return x + exp.generator.learning_rate * N * Gamma @ force


@pytest.mark.parametrize(
    ("loss", "penalty"),
    [("wasserstein", {"r1": 0.3}), ("non_saturating", {"weight_decay": 0.2, "r2": 0.3}), ("wasserstein", {})],
)
def test_dictionary_follows_the_whole_history(loss, penalty):
    """From a random start, against the sum over every centre there ever was."""
    steps, l = 25, 0.9
    exp = small(
        Ring(modes=3),
        particles=4,
        loss=loss,
        penalty=penalty,
        discriminator={"features": 0, "length_scale": l},
        generator={"kernel": {"ratio": 0.2}, "learning_rate": 0.05},
    ).replace({"run.start": "random", "run.steps": steps, "run.record_every": 5, "run.runs": 1})
    ds = simulate(exp)
    s = lambda D: 1 / (1 + np.exp(-D))  # noqa: E731
    df1, df2, dh = (
        (lambda D: 1.0, lambda D: -1.0, lambda D: 1.0)
        if loss == "wasserstein"
        else (lambda D: s(-D), lambda D: -s(D), lambda D: s(-D))
    )
    D, x, path = Centres(l), ds["particles"].values[0, 0], [ds["particles"].values[0, 0]]
    for step in range(1, steps + 1):
        x = D.step(exp, x, df1, df2, dh)
        if step % 5 == 0:
            path.append(x)
    moved = np.abs(path[-1] - path[0]).max()
    assert moved > 0.05
    # each step misses at most sqrt(GROWTH) of the norm of its update eta_D (1 + penalties); |grad K| <= 1/l
    slope = exp.discriminator.learning_rate * np.arange(steps).sum() * np.sqrt(GROWTH) / l
    allowed = exp.generator.learning_rate * slope * 2
    assert allowed < 0.1 * moved
    assert np.abs(ds["particles"].values[0] - np.array(path)).max() <= allowed
    force = np.array([D.grad(z) for z in x])
    assert (
        np.abs(ds["force"].values[0, -1] - force).max() <= exp.discriminator.learning_rate * steps * np.sqrt(GROWTH) / l
    )


# -- shortcuts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalisation", ["sum", "mean"])
@pytest.mark.parametrize("rule", ["simultaneous", "alternating", "flow"])
def test_condensed_experiment_has_the_same_runs(rule, normalisation):
    """One particle per point in place of three, far beyond the linear regime; and what ``simulate`` makes of it."""
    exp = ring(
        9,
        loss="logistic",
        update={"rule": rule},
        generator={"normalisation": normalisation, "kernel": {"ratio": 0.3}, "learning_rate": 0.2},
        run={"kick": 0.2},
    )
    few = condensed(exp)
    assert few.generator.particles == 3
    full, short = _simulate(exp, None, None), _simulate(few, None, None)
    x = full["particles"].values
    moved = np.abs(x - x[:, :1]).max()
    assert moved > 0.01
    np.testing.assert_allclose(short["particles"].values[:, :, exp.assignment], x, rtol=0, atol=TRAJECTORY * moved)
    public = simulate(exp)
    assert public.sizes == full.sizes and set(public.variables) == set(full.variables)
    for name in ("particles", "discriminator", "force", "weights"):
        scale = np.abs(full[name].values).max()
        np.testing.assert_allclose(public[name], full[name], rtol=0, atol=TRAJECTORY * scale)
    np.testing.assert_array_equal(public["mass"], full["mass"])
    np.testing.assert_array_equal(public["assignment"], full["assignment"])


@pytest.mark.parametrize(
    "exp",
    [
        ring(3),
        ring(4, penalty={"weight_decay": 0.5}, discriminator={"features": 20}),
        ring(6, generator={"masses": (0.1, 0.2333333333333333, 0.15, 0.1833333333333333, 1 / 6, 1 / 6)}),
        small(Ring(modes=3, weights=(1.0, 2.0, 3.0)), particles=6, generator={"masses": "matched"}),
    ],
    ids=["single", "unmatched", "unequal masses", "unequal weights"],
)
def test_what_cannot_be_condensed_is_left_alone(exp):
    assert condensed(exp) is exp


def test_flow_takes_substeps_for_stiff_modes():
    soft = small(Grid(side=2, dimension=1), penalty={"r1": 0.1}, update={"rule": "flow", "substeps": 2})
    stiff = soft.replace({"penalty.weight_decay": 100.0})
    assert resolved_rule(soft).substeps == 2
    fastest = np.abs(eigenvalues(linearize(stiff)).s).max()
    assert resolved_rule(stiff).substeps == int(np.ceil(fastest / SUBSTEP)) > 20
    assert resolved_rule(stiff.replace({"update.rule": "simultaneous"})).substeps == stiff.update.substeps
    # unresolved, Runge-Kutta would explode: eta_D nu / 2 = 15 > 2.8
    assert simulate(stiff.replace({"run.steps": 20, "run.runs": 2})).attrs["status"] == "finished"


def test_flows_that_would_not_end(tmp_path, capsys):
    """Refused before the first step; in slower time, the same flow is simulated; long ones are announced."""
    fast = small(Grid(side=2, dimension=1), penalty={"r1": 0.1}, update={"rule": "flow"})
    fast = fast.replace({"run.record_every": 1, "run.runs": 1, "run.steps": 2}).replace(
        {"discriminator.learning_rate": 1e7, "generator.learning_rate": 1e6}
    )
    file, out = tmp_path / "e.toml", str(tmp_path / "runs.nc")
    file.write_text(fast.to_toml())
    rate = np.abs(eigenvalues(linearize(fast)).s).max()
    assert rate > 1e6 and main(["simulate", str(file), "-o", out]) == 2
    line = capsys.readouterr().err
    assert f"update.substeps: must be at most {MOST_SUBSTEPS} per unit of time" in line and f"rate {rate:.3g}" in line
    slower = 16 * rate / (SUBSTEP * MOST_SUBSTEPS)
    slow = fast.replace({f"{player}.learning_rate": fast.get(f"{player}.learning_rate") / slower
                         for player in ("generator", "discriminator")})  # fmt: skip
    np.testing.assert_allclose(
        np.sort_complex(eigenvalues(linearize(slow)).s) * slower, np.sort_complex(eigenvalues(linearize(fast)).s), 1e-9
    )
    assert resolved_rule(slow).substeps == MOST_SUBSTEPS / 16
    file.write_text(slow.to_toml())
    assert main(["simulate", str(file), "-o", out]) == 0 and capsys.readouterr().err == ""
    assert "this needs 1e+05 Runge-Kutta steps, 625 per unit" in (announced(slow.replace({"run.steps": 160})) or "")


def test_the_stiffest_variant_sets_the_substeps():
    """Simulated beside a soft one, a stiff variant is still resolved."""
    soft = ring(3, update={"rule": "flow"}, penalty={"r1": 0.01}, run={"steps": 12})
    stiff = soft.replace({"penalty.r1": 80.0})
    assert resolved_rule(stiff).substeps > 10 * resolved_rule(soft).substeps
    together = simulate(soft, variants=[soft, stiff])
    assert together.attrs["status"] == "finished"
    alone = simulate(stiff)["particles"].values
    moved = np.abs(alone - alone[:, :1]).max()
    np.testing.assert_allclose(together["particles"].values[2:], alone, rtol=0, atol=TRAJECTORY * moved)


def sum_over_the_past(exp, x, steps):
    """(steps + 1, N, d) positions of the simultaneous rule with the Wasserstein loss and R1, the Gaussian kernel summed
    over every position that a particle ever had, and its gradient over the data."""
    (Y, p, _), q, g = exp.points, exp.masses, exp.generator.kernel
    rate, eta, length = exp.generator.learning_rate * exp.omega, exp.discriminator.learning_rate, 0.5
    Gamma = np.full((len(x), len(x)), g.g2) + np.eye(len(x)) * (g.g1 - g.g2)
    centres, weights, beta, out = Y, np.zeros(len(Y)), np.zeros_like(Y), [x]

    def force(X):
        r, s = X[:, None] - centres, X[:, None] - Y
        K, L = (np.exp(-(v**2).sum(-1) / (2 * length**2)) / length**2 for v in (r, s))
        along = L * np.einsum("nma,ma->nm", s, beta) / length**2
        return L @ beta - np.einsum("nm,nma->na", along, s) - np.einsum("nm,m,nma->na", K, weights, r)

    for _ in range(steps):
        at_data, moved = force(Y), x + rate * (Gamma * q) @ force(x)
        beta = beta - eta * exp.penalty.r1 * p[:, None] * at_data
        weights = np.concatenate([weights, -eta * q])
        weights[: len(Y)] += eta * p
        centres, x = np.concatenate([centres, x]), moved
        out.append(x)
    return np.array(out)


@pytest.mark.parametrize("evaluation", ["direct", "fourier"])
def test_exact_kernel_against_a_sum_over_the_past(evaluation):
    """In plain NumPy; the error of every force is below what attrs say."""
    steps = 20
    exp = Experiment(
        target={"kind": "ring", "modes": 4}, generator={"particles": 8, "learning_rate": 0.05},
        discriminator={"features": 0, "length_scale": 0.5, "learning_rate": 0.2, "evaluation": evaluation,
                       "tolerance": 1e-12},
        penalty={"r1": 0.3}, run={"steps": steps, "record_every": 1, "runs": 1, "start": "random", "spread": 0.3},
    )  # fmt: skip
    runs = simulate(exp)
    x = runs["particles"].values[0]
    error = np.abs(x - sum_over_the_past(exp, x[0], steps)).max()
    if evaluation == "fourier":
        assert error < 1e-11
        return
    assert 0 < runs.attrs["kernel_error"] < 1e-6
    # K(x, x) = 1 and d_a d_a K(x, x) = 1 / length^2: the force is wrong by at most this after t steps of weight 1
    per_step = 0.2 * runs.attrs["kernel_gradient_error"] / 0.5
    rate = exp.generator.learning_rate * exp.omega * (1 + 7 * 0.05) / 8
    assert 1e-12 < error < rate * per_step * steps**2 / 2


def test_dictionary_keeps_its_bounds():
    rng = np.random.default_rng(3)
    exp = Experiment(discriminator={"features": 0, "length_scale": 0.5}, target={"kind": "ring", "modes": 4})
    kernel, fm = exp.discriminator.kernel_object, feature_map(exp)
    x, seen = 0.5 * rng.standard_normal((6, 2)), []
    for _ in range(30):
        fm = fm.extended(x)
        seen.append(x)
        x = x + 0.03 * rng.standard_normal(x.shape)
    X = np.concatenate(seen)
    psi, grad = fm.at(X).psi(), fm.at(X).grad()
    value = np.abs(psi @ psi.T - kernel.value(X, X)).max()
    slope = np.abs(np.einsum("nap,mp->nma", grad, psi) - kernel.gradient(X, X)).max()
    assert value <= fm.attrs["kernel_error"] and slope <= fm.attrs["kernel_gradient_error"] / 0.5
    assert slope > fm.attrs["kernel_error"]  # the bound of the values is none for the gradients
