"""The page on a solvable model: its error bars, and what it says of the scan over noise."""

import numpy as np
import pytest
import xarray as xr

from egan_theory.base.errors import InputError
from egan_theory.comparison.agreement import Agreement, Quantity
from egan_theory.papers.solvable import SETTING_R
from egan_theory.papers.solvable.compare import compare_solvable
from egan_theory.papers.solvable.figures import plot_solvable_scan
from egan_theory.papers.solvable.records import state_dataset
from egan_theory.papers.solvable.regimes import REGIMES
from egan_theory.papers.solvable.report import _asked, scanned
from egan_theory.papers.solvable.state import State
from egan_theory.show.words import agreement_table

MODEL = SETTING_R.replace({"runs": 8})


def ended(n, first, runs):
    """Runs at rest at |P11| = ``first``, each a little off, and |P22| = 0.9, learnt from P = 0.1 I."""
    P = np.zeros((runs, 41, 2, 2))
    P[:, :, [0, 1], [0, 1]] = first, 0.9
    if runs > 1:
        P[:, :, 0, 0] += np.linspace(-1e-3, 1e-3, runs)[:, None]
    P[:, 0] = 0.1 * np.eye(2)
    zero, S = np.zeros((runs, 41, 2)), np.tile(np.eye(2), (runs, 41, 1, 1))
    return state_dataset(MODEL, np.linspace(0, 400, 41), State(P, zero, zero, S, np.ones((runs, 41))), n=n)


@pytest.mark.parametrize(("there", "agrees"), [(0.92, True), (0.91, True), (0.94, False)])
def test_standard_errors_contain_what_finite_n_shifts(there, agrees):
    """|P11| is 0.04 off at n. At 4 n half of it is left (order n^-1/2), a quarter (1/n), all of it: unexplained."""
    spread = np.linspace(-1e-3, 1e-3, 8).std(ddof=1) / np.sqrt(8)
    ode, runs = ended(5000, 0.9, 1), ended(5000, 0.94, 8)
    alone = {q.name: q for q in compare_solvable(MODEL, runs, ode).quantities}["|P11|"]
    assert alone.stderr == pytest.approx(spread) and alone.z > 100 and alone.note == ""
    table = compare_solvable(MODEL, runs, ode, larger=ended(20000, there, 4))
    found = {q.name: q for q in table.quantities}["|P11|"]
    assert (abs(found.z) < 1.01) is agrees and (abs(found.z) > 100) is not agrees
    assert found.stderr == pytest.approx(np.hypot(spread, 2 * abs(there - 0.94)), rel=1e-6)
    assert "by 0.04 at n = 5000" in found.note and f"by {there - 0.9:.2g} at n = 20000" in found.note
    assert "n = 20000" in table.assumptions[0]


def test_runs_of_no_more_dimensions_tell_nothing():
    with pytest.raises(InputError, match="larger: must be runs of more than n = 5000"):
        compare_solvable(MODEL, ended(5000, 0.94, 8), ended(5000, 0.9, 1), larger=ended(5000, 0.94, 8))


def test_agreement_says_when_only_one_percent_does():
    rows = [Quantity(name, 1.0, m, 1e-3, 1.0) for name, m in (("near", 1.002), ("close", 1.008), ("far", 1.2))]
    assert [row["verdict"] for row in agreement_table(Agreement(tuple(rows)))] == ["yes", "within 1 %", "NO"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ("data and generator alike (eta_T = eta_G)", "tau = 0.2 ", "taut = 0.04 ")),
        ({"fake_noise": 1.0}, ("of the data, eta_T, the generator's kept at eta_G = 1;",)),
    ],
)
def test_scan_says_what_it_varies_and_keeps(changes, words):
    said = scanned(SETTING_R.replace(changes))
    assert all(w in said for w in words) and ("eta_T = eta_G" in said) is (not changes)


def test_scan_marks_the_model_and_shows_where_nothing_is_predicted():
    codes = np.array([REGIMES.index("success"), REGIMES.index("undecided")])
    ds = xr.Dataset(
        {
            "predicted": ("first", codes),
            "coverage": (("first", "run", "feature"), np.ones((2, 1, 2))),
            "activity": (("first", "run"), np.zeros((2, 1))),
        },
        coords={"first": ("first", [1.0, 2.0], {"long_name": "noise", "log": 0})},
    )
    ax = plot_solvable_scan(ds, own=1.5)
    legend = ax.get_legend()
    handles = {t.get_text(): h for t, h in zip(legend.get_texts(), legend.legend_handles, strict=True)}
    assert "this model: 1.5" in handles
    assert any(list(line.get_xdata()) == [1.5, 1.5] for line in ax.lines)
    swatch = handles["predicted: undecided"]
    assert swatch.get_hatch()


def test_page_tells_runs_asked_for_from_those_taken():
    assert "runs = 1" in _asked(SETTING_R, 8) and "takes 8" in _asked(SETTING_R, 8)
    assert _asked(MODEL, 8) == ""
