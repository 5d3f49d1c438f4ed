"""One mode whose feature saturates: SymPy's normal forms, those of jets, and what theory.md prints."""

import numpy as np
import pytest
import sympy as sp

from egan_theory.nonlinear.normal import normal_forms
from egan_theory.show.text import branch_text
from egan_theory.symbolic import normal
from egan_theory.tables.updates import UpdateRule
from tests.nonlinear.textbook import point


def mode(rule, a, chi):
    """The mode's step as a function of omega^2, by jets."""

    def at(w2):
        omega = np.sqrt(w2)

        def f(w, x):
            psi = lambda x: omega * (x - chi * (x * x * x))  # noqa: E731
            slope = lambda x: omega * (1 - 3 * chi * (x * x))  # noqa: E731
            return UpdateRule(rule).step((w, x), lambda w, x: -a * w - psi(x), lambda w, x: slope(x) * w)

        return point(f, [0.0, 0.0])

    return at


@pytest.mark.parametrize("chi", [0.8, -0.8])
def test_mode_that_circles(chi):
    """sigma = 1/2, alpha = -3 chi a (1 + a)/2: the derivation, and the coefficients from jets in the units of x."""
    slope, alpha = normal.circling_mode()
    assert slope == sp.Rational(1, 2)
    assert sp.simplify(alpha + sp.Rational(3, 2) * normal.chi * normal.a * (1 + normal.a)) == 0
    a = 0.3
    (form,) = normal_forms(mode("simultaneous", a, chi), a, np.exp(1j * np.arccos(1 - a / 2)), "above")
    assert form.criticality == ("supercritical" if chi > 0 else "subcritical")
    growth, cubic = form.equations.simple()
    assert growth.real == pytest.approx(0.5, rel=1e-6)
    expected = float(alpha.subs({normal.a: a, normal.chi: 1})) * chi
    # z is counted along the eigenvector: in units of its x
    z_to_x = np.abs(form.shape[1]) / np.sqrt(abs(growth.real / cubic.real))
    assert cubic.real / z_to_x**2 == pytest.approx(expected, rel=1e-8)
    assert abs(form.shape[1]) ** 2 == pytest.approx(1 / (3 * abs(chi) * a * (1 + a)), rel=1e-6)


def test_mode_that_flips():
    """y^2 = (omega^2 - 4 + 2 a)/(8 chi (2 - a))."""
    growth, cubic = normal.flipping_mode()
    assert sp.simplify(-growth / cubic - 1 / (8 * normal.chi * (2 - normal.a))) == 0
    a, chi = 0.5, 1.2
    (form,) = normal_forms(mode("alternating", a, chi), 4 - 2 * a, -1.0, "above")
    assert form.bifurcation == "flip" and form.criticality == "supercritical"
    assert form.shape[1] ** 2 == pytest.approx(1 / (8 * chi * (2 - a)), rel=1e-6)


def test_words():
    """One sentence for each kind: what happens, how large, how far that holds."""
    a = 0.3
    target = np.exp(1j * np.arccos(1 - a / 2))

    def said(rule, chi, value, target):
        (form,) = normal_forms(mode(rule, a, chi), value, target, "above")
        return branch_text(form.to_dict(), value, "generator.learning_rate", "1/step")

    circling = said("simultaneous", 0.8, a, target)
    assert "supercritical: above it the spread cloud" in circling and "sqrt(|learning_rate - 0.3|)" in circling
    assert "all modes kept" in circling and f"period {2 * np.pi / np.arccos(1 - a / 2):.4g} steps" in circling
    assert "jumps beyond it" in said("simultaneous", -0.8, a, target)
    assert "to and fro at every step" in said("alternating", 0.8, 4 - 2 * a, -1.0)
    assert "no normal form (strong resonance" in said("simultaneous", 0.8, 3.0, np.exp(2j * np.pi / 3))
    (form,) = normal_forms(lambda r: point(lambda x: [r * x * (1 - x)], [0.0]), 1.0, 1.0, "above")
    assert "another equilibrium passes through" in branch_text(form.to_dict(), 1.0, "update.r", "1/step")
