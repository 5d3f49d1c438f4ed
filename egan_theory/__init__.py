"""egan_theory: the theory of adversarial training, to compute with and to check.

One experiment drives the derivation, the numerics, the simulation and the comparison:

    import egan_theory as eg
    exp = eg.Experiment.from_toml("e.toml")
    eg.spectrum(exp); eg.best_regularizer(exp, penalty="r1"); eg.compare(exp, eg.simulate(exp))

The names and their signatures are in ``__init__.pyi``. Figures are ``eg.plot.*``, the models of single papers
``eg.solvable.*``, ``eg.published.*``, ``eg.dirac.*`` and so on.
"""

from typing import Any

from .base.public import attach

__version__ = "0.1.0"

# imported on first use, so that `egan --help` need not load SymPy, xarray and matplotlib
_public, __dir__, __all__ = attach(__name__, __file__, "egan_theory", lambda: _figures())

#: former names that go with the next version
_MOVED = {
    "Solvable": "solvable.Solvable",
    "compare_solvable": "solvable.compare_solvable",
    "dirac_gan": "dirac.dirac_gan",
    "fit_published": "published.fit_published",
    "implied_r1": "poincare.implied_r1",
    "isolated_points": "isolated.isolated_points",
    "plot_advice": "plot.advice",
    "plot_cloud": "plot.cloud",
    "plot_damping_ratio": "plot.damping_ratio",
    "plot_dispersion": "plot.dispersion",
    "plot_eigenvalues": "plot.eigenvalues",
    "plot_left": "plot.left",
    "plot_losses": "plot.losses",
    "plot_phase": "plot.phase",
    "plot_rate_curve": "plot.rate_curve",
    "plot_relaxation": "plot.relaxation",
    "plot_remedies": "plot.remedies",
    "plot_universality": "plot.universality",
    "predict_published": "published.predict_published",
    "read_runs": "published.read_runs",
    "simulate_sde": "solvable.simulate_sde",
    "simulate_solvable": "solvable.simulate_solvable",
    "solvable_phase": "solvable.solvable_phase",
    "solvable_report": "solvable.solvable_report",
    "solve_ode": "solvable.solve_ode",
}


def _figures() -> dict[str, str]:
    """Names of figures, and where they are."""
    return {name: f"plot.{name}" for name in _public("plot").__all__}


def __getattr__(name: str) -> Any:
    if name not in _MOVED:
        return _public(name)
    import warnings

    space, new = _MOVED[name].split(".")
    warnings.warn(f"egan_theory.{name} is now egan_theory.{space}.{new}", DeprecationWarning, stacklevel=2)
    return getattr(_public(space), new)
