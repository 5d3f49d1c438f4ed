"""Curves and branches end where they should, and say why."""

import numpy as np
import pytest

import egan_theory as eg
from analyses.false_verdicts import reference
from egan_theory.nonlinear import hill
from egan_theory.nonlinear.hill import slowest
from egan_theory.nonlinear.orbits import NoOrbit
from egan_theory.predict import following
from egan_theory.predict.asymptotic import convergence_rate
from egan_theory.show.diagram import diagram_text
from tests.predict.test_branch import ring
from tests.show.fakes import RING

RATIO = "generator.kernel.ratio"


def test_the_rate_curve_is_drawn_up_to_the_edge_of_stability():
    found = eg.best_regularizer(RING)
    far = found.asymptotic
    assert far.strengths[far.rates > 0].max() == pytest.approx(found.edge, rel=1e-3)
    above = far.strengths[(far.rates <= 0) & (far.strengths > found.best)]
    assert above.min() == pytest.approx(found.edge, rel=1e-3)
    assert np.all(np.diff(far.strengths) > 0) and len(far.strengths) == len(far.rates)


def test_directions_that_cannot_be_told_apart_are_a_failed_orbit(monkeypatch):
    """Rounding may sort unlike many eigenvalues of a matrix and of its transpose."""
    mean = np.diag(np.linspace(0, 1, 60))
    assert slowest(mean, False)[0].shape[1] < 60
    calls, own = [], hill.scipy.linalg.schur

    def differs(matrix, **options):
        T, Q, count = own(matrix, **options)
        calls.append(count)
        return T, Q, count - (len(calls) > 1)

    monkeypatch.setattr(hill.scipy.linalg, "schur", differs)
    with pytest.raises(NoOrbit, match="could not be told"):
        slowest(mean, False)

    def refuses(*args, **options):
        raise np.linalg.LinAlgError("leading eigenvalues")

    monkeypatch.setattr(hill.scipy.linalg, "schur", refuses)
    with pytest.raises(NoOrbit, match="could not be told"):
        slowest(mean, False)


def test_more_equally_slow_directions_than_are_told_apart_are_said_to_be_so():
    """Weights that only weight decay moves, next to an orbit's own two directions."""
    with pytest.raises(NoOrbit, match="weight decay moves"):
        slowest(np.diag(np.concatenate([[1.0, 0.999], np.full(230, 0.99), np.linspace(0, 0.9, 40)])), False)


def test_a_branch_whose_multipliers_fail_ends_with_the_reason(monkeypatch):
    exp = ring()

    def refuses(*args, **options):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(following, "floquet", refuses)
    found = eg.branch(exp, RATIO, collapsed=0)
    assert found.branches and not found.orbits
    assert all("multipliers of an orbit could not be computed" in born.reason for born in found.branches)


def test_words_on_a_branch_have_no_empty_reason():
    exp = ring()
    found = eg.branch(exp, RATIO, collapsed=0, progress=_stops)
    text = " ".join(t for t in diagram_text(found) if isinstance(t, str))
    assert found.status == "interrupted" and found.orbits and "()" not in text and "stopped there" in text


def _stops(done, total, what):
    if done > 60:
        raise KeyboardInterrupt


def weak(target, particles, penalty=None, rule="flow", **discriminator):
    generator = {"particles": particles, "masses": "matched"}
    return eg.Experiment(
        target=target, generator=generator, discriminator={"features": 0} | discriminator, penalty=penalty or {"r1": 0},
        update={"rule": rule},
    )  # fmt: skip


def test_a_strength_at_which_rounding_hides_slow_modes_is_not_the_best():
    """R1 of 1e19 leaves the fast modes alone to be resolved: the rate of the others is far below any rounding there."""
    exp = weak(eg.Ring(modes=4), 4, length_scale=20.0)
    found = eg.fastest_strength(exp, "r1")
    true = [-reference(exp.replace({"penalty.r1": u * found.best})).real.max() for u in (0.9, 1.0, 1.1)]
    assert found.rate == pytest.approx(true[1], rel=1e-6)
    assert true[1] > max(true[0], true[2])


def test_modes_hidden_at_any_strength_are_told():
    """Eight points within a hundredth of the length: the softest modes are below the rounding of the stiffest."""
    exp = weak(eg.Ring(modes=8), 8, rule="simultaneous", length_scale=100.0)
    told = [note for note in eg.fastest_strength(exp, "r1").assumptions if "slowest resolved one" in note]
    hidden = int(eg.spectrum(exp.replace({"penalty.r1": 1.0})).attrs["unresolved"])
    assert len(told) == 1 and 0 < int(told[0].split("hides ")[1].split()[0]) <= hidden


@pytest.mark.parametrize("penalty", ["r1", "weight_decay"])
def test_closed_forms_count_every_resolved_mode(penalty):
    """Waves of a smooth kernel whose stiffness is 1e-24 of the largest are known to all digits."""
    exp = weak(eg.Uniform(side=31, length=4.0), 31)
    found = eg.fastest_strength(exp, penalty)
    at = [convergence_rate(exp.replace({f"penalty.{penalty}": u * found.best})) for u in (0.9, 1.0, 1.1)]
    assert found.method == "closed-form" and found.rate == pytest.approx(at[1], rel=1e-6) and at[1] > max(at[0], at[2])


@pytest.mark.parametrize("rule", ["simultaneous", "flow"])
def test_modes_that_hardly_move_do_not_lead_the_scan_away(rule):
    """Waves of 1e-50 per step: the scan went beyond all strengths an experiment may have, and past the stable ones."""
    exp = weak(eg.Uniform(side=15, length=1.0), 15, {"r1": 0.1}, rule)
    found = eg.best_regularizer(exp, "r1")
    assert found.asymptotic.rate > 0 and found.asymptotic.strengths.max() <= 1e20
