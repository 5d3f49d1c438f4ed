"""The table of activations, and the description of architectures in the experiment file."""

import numpy as np
import pytest
import sympy as sp

import egan_theory as eg
from egan_theory.experiment import Experiment
from egan_theory.tables.activations import ACTIVATIONS, NETWORK_ACTIVATIONS, get_activation
from egan_theory.tables.architecture import Architecture

#: sixth derivatives, relative to the largest
DERIVATIVE = 1e-11
COMPLEX_STEP = 1e-30
COEFFICIENTS = (0.3, -1.0, 0.0, 0.5, 0.1)
POINTS = np.array([-2.3, -0.9, -0.2, 0.05, 0.4, 1.7, 3.1])


@pytest.mark.parametrize("name", NETWORK_ACTIVATIONS)
def test_derivatives_are_those_of_the_expression(name):
    act, z = get_activation(name, 0.3, COEFFICIENTS), sp.Symbol("z", real=True)
    for order in range(7):
        derived = sp.diff(act.expression(z), z, order)
        expected = np.array([float(sp.N(derived.subs(z, sp.Float(p, 40)), 30)) for p in POINTS])
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(act.derivative(POINTS, order), expected, atol=DERIVATIVE * scale)
    np.testing.assert_array_equal(act.value(POINTS), act.derivative(POINTS, 0))
    np.testing.assert_array_equal(act.curvature(POINTS), act.derivative(POINTS, 2))


@pytest.mark.parametrize("name", NETWORK_ACTIVATIONS)
def test_complex_steps(name):
    act = get_activation(name, 0.3, COEFFICIENTS)
    for order in range(3):
        moved = act.derivative(POINTS + 1j * COMPLEX_STEP, order)
        np.testing.assert_allclose(moved.imag / COMPLEX_STEP, act.derivative(POINTS, order + 1), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(moved.real, act.derivative(POINTS, order), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", NETWORK_ACTIVATIONS)
def test_parity(name):
    for coefficients in ((0.0, 1.0, 0.0, -0.2), (0.0, 1.0, 0.3)):
        act = get_activation(name, 0.3, coefficients)
        assert act.odd == np.allclose(act.value(-POINTS), -act.value(POINTS), atol=1e-15)


def test_softplus_and_gelu_do_not_overflow():
    far = np.array([-800.0, 800.0])
    np.testing.assert_array_equal(get_activation("softplus").value(far), [0, 800])
    np.testing.assert_array_equal(get_activation("softplus").value(far.astype(complex)), [0, 800])
    np.testing.assert_array_equal(get_activation("gelu").value(far), [0, 800])


def test_random_features_are_rows_of_the_same_table():
    assert [*ACTIVATIONS] == ["relu", "tanh", "sine"]
    assert all(ACTIVATIONS[n] is NETWORK_ACTIVATIONS[n] for n in ACTIVATIONS)


@pytest.mark.parametrize("table, message", [
    ({"activation": "swish"}, "generator.architecture.activation: must be one of relu, leaky_relu, erf"),
    ({"activation": "polynomial", "coefficients": [1.0]}, "architecture.coefficients: must hold a power above 0"),
    ({"activation": "polynomial", "coefficients": [0.0] * 20 + [1.0]}, "coefficients: must be of degree at most 12"),
    ({"depth": 0}, "generator.architecture.depth: must be at least 1"),
    ({"leak": 1.0}, "generator.architecture.leak: must be less than 1"),
    ({"weight_variance": 0.0}, "generator.architecture.weight_variance: must be greater than 0"),
    ({"colour": 1}, "generator.architecture.colour: must be one of the known keys"),
])  # fmt: skip
def test_bad_architectures_are_refused(table, message):
    with pytest.raises(eg.InputError, match=message):
        Experiment(generator={"architecture": table})


def test_architectures_compare_by_their_fields():
    assert Architecture(depth=3) == Architecture(depth=3) != Architecture(depth=4)
    assert len({Architecture(depth=3), Architecture(depth=3)}) == 1
