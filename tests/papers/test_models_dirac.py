"""The Dirac-GAN by the general machinery: measured multipliers against predicted ones and Mescheder's formulas."""

import numpy as np
import pytest
import sympy as sp

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.experiment.settings import Penalties
from egan_theory.papers.dirac import (
    PENALTIES,
    SMALL,
    UPDATES,
    dirac_gan,
    measured_multipliers,
    plot_dirac,
    portrait,
    predicted_multipliers,
    trajectory,
    velocity,
)
from egan_theory.tables.penalties import PENALTIES as TABLE
from tests.entries import RESPONSES, STEPS
from tests.stepjac import runge_kutta

#: trajectories of amplitude SMALL: the nonlinear part is SMALL^2, amplified by the fit with memory
MEASURED = 1e-8
#: Runge-Kutta of the flow at its default substeps: 4 (|s|/4)^5/120 per unit of time, |s| < 0.6
FLOW = 4 * 0.15**5 / 120


def test_every_penalty_and_rule_of_the_package_is_shown():
    assert {key for strengths in PENALTIES.values() for key in strengths} >= set(TABLE)
    assert {u["rule"] for u in UPDATES.values()} == {*STEPS, *RESPONSES}


def bounds_psi(penalty, loss):
    """Whether a best response exists: a penalty on psi, or a curved loss that noise lets see it; consensus has none."""
    k = Penalties(**PENALTIES[penalty]).coefficients
    return k.grad_p + k.grad_q + k.nu > 0 or (penalty == "instance noise" and loss != "wasserstein")


@pytest.mark.parametrize("loss", ["logistic", "wasserstein", "least_squares"])
@pytest.mark.parametrize("label", UPDATES)
def test_measured_multipliers_are_the_predicted_ones(label, loss):
    for name, penalty in PENALTIES.items():
        if UPDATES[label]["rule"] in RESPONSES and not bounds_psi(name, loss):
            with pytest.raises(InputError):
                portrait(dirac_gan(penalty, UPDATES[label], loss=loss), side=3, steps=3)
            continue
        exp = dirac_gan(penalty, UPDATES[label], loss=loss)
        data = portrait(exp, side=3, steps=3)
        predicted = data.predicted
        if "flow" in label:  # the simulator's flow is a Runge-Kutta step
            predicted = runge_kutta(np.log(predicted), exp.update.substeps)
            assert data.mismatch <= FLOW
        # with memory a mode is seen from the second step on, when |z|^2 of it is left
        seen = np.clip(np.abs(predicted), 0.03, 1) ** 2 if exp.update_rule.blocks else 1
        assert (np.abs(predicted - data.measured) * seen).max() <= MEASURED


def test_measurement_does_not_see_the_prediction():
    """Another penalty's trajectory has other multipliers."""
    a, b = dirac_gan({"r1": 0.5}, UPDATES["simultaneous"]), dirac_gan({"r1": 0.6}, UPDATES["simultaneous"])
    assert np.abs(measured_multipliers(a, 2) - predicted_multipliers(b)).max() > 0.01


def test_vector_field_of_the_paper():
    """V = (f'(psi theta) theta - gamma psi, -f'(psi theta) psi) with D = psi x, data at 0; f(t) = -log(1 + e^-t), for
    the saturating loss, whose generator descends f(-D): -psi f'(-psi theta)."""
    t = sp.Symbol("t")
    slope = sp.lambdify(t, sp.diff(-sp.log(1 + sp.exp(-t)), t))
    rng = np.random.default_rng(0)
    grid = rng.normal(size=(20, 2))
    psi, theta = grid.T
    rate, gamma = 0.3, 0.7
    found = velocity(dirac_gan({"r1": gamma}, rate=rate), grid)
    # discriminator: f(psi 0) + f(-psi theta); generator ascends -f(-D)
    expected = rate * np.stack([-slope(-psi * theta) * theta - gamma * psi, slope(-psi * theta) * psi], -1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        ({}, lambda f1, f2, v: (0.0, f1**2)),
        ({"r1": 0.4}, lambda f1, f2, v: (-0.2, f1**2)),
        ({"weight_decay": 0.4}, lambda f1, f2, v: (-0.2, f1**2)),
        ({"instance_noise": 0.8}, lambda f1, f2, v: (f2 * 0.64, f1**2)),
        ({"consensus": 0.6}, lambda f1, f2, v: (-0.6 * f1**2, f1**2 + 0.36 * f1**4)),
        ({"multiplier": 0.3, "alpha": 2.0}, lambda f1, f2, v: (-0.3, f1**2)),
    ],
)
def test_eigenvalues_of_the_paper(penalty, expected):
    """Half the trace and the determinant at unit rates; the measured flow multiplier is exp(s)."""
    half, det = expected(0.5, -0.25, None)
    s = half + np.array([1, -1]) * np.sqrt(complex(half**2 - det))
    measured = np.log(measured_multipliers(dirac_gan(penalty, rate=0.05), 2)) / 0.05
    assert np.abs(np.sort_complex(measured) - np.sort_complex(s)).max() <= 1e-7


def test_trajectory_is_the_simulators():
    exp = dirac_gan({"r1": 0.3}, {"rule": "alternating"}).replace(
        {"run.steps": 20, "run.record_every": 1, "run.runs": 1, "run.kick": 0.5}
    )
    runs = eg.simulate(exp)
    x = runs["particles"].values[0, :, 0, 0]
    path = trajectory(exp, (0.0, x[0]), 20)
    np.testing.assert_allclose(path[:, 1], x, rtol=1e-12, atol=1e-15)
    assert np.abs(path).max() > 0.1 > SMALL


def test_figure(tmp_path):
    data = portrait(dirac_gan({"r1": 0.5}, UPDATES["alternating"]))
    ax = plot_dirac(data, title="R1")
    ax.get_figure().savefig(tmp_path / "figure.png", dpi=40)
    assert (tmp_path / "figure.png").stat().st_size > 1000
    assert "measured" in ax.get_title() and "length" in ax.get_xlabel()
    (disc,) = ax.child_axes
    predicted, measured = (line.get_xydata() for line in disc.lines)
    np.testing.assert_array_equal(predicted, np.stack([data.predicted.real, data.predicted.imag], -1))
    np.testing.assert_array_equal(measured, np.stack([data.measured.real, data.measured.imag], -1))


def test_other_experiments_are_refused():
    with pytest.raises(InputError, match="be a Dirac-GAN"):
        portrait(eg.Experiment())
