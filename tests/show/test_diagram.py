"""Sentences on diagrams."""

import egan_theory as eg
from egan_theory.show.diagram import kept_or_lost
from egan_theory.show.text import branch_text


def test_modes_kept_against_lost_in_words():
    """No mean over both kinds of cells where one of them is missing."""
    nan = float("nan")
    both = {"balanced_accuracy": 0.85, "stderr": 0.03, "sensitivity": 0.9, "specificity": 0.8}
    assert kept_or_lost(both) == (
        "Modes kept against lost: balanced accuracy 0.85 +- 0.03 (of the cells that lost modes 0.9 were predicted to, "
        "of the others 0.8 not)."
    )
    none_lost = kept_or_lost({**both, "balanced_accuracy": nan, "stderr": nan, "sensitivity": nan, "specificity": 1.0})
    assert "no simulated cell lost modes; share of them predicted to: 0." in none_lost
    all_lost = kept_or_lost({**both, "balanced_accuracy": nan, "stderr": nan, "specificity": nan})
    assert "every simulated cell lost modes; share of them predicted to: 0.9." in all_lost


def test_times_of_flows_are_counted_in_units_of_time():
    form = {
        "bifurcation": "hopf", "criticality": "supercritical", "rms_amplitude": 0.1, "exponent": 0.5, "side": "above",
        "angle": 0.5, "motion": "circles", "stable": True, "valid_to": None, "points": "",
    }  # fmt: skip
    assert "period 12.57 units of time," in branch_text(form, 0.2, "generator.kernel.ratio", "1/time")
    assert "period 12.57 steps," in branch_text(form, 0.2, "generator.kernel.ratio", "1/step")
    flow = eg.frequency(eg.Experiment(update={"rule": "flow"}))
    assert any("[units of time]" in str(column.header) for column in flow.rich("").columns)
