"""Sentences on diagrams."""

from egan_theory.show.diagram import kept_or_lost


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
