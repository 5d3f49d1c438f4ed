"""egan_theory: the theory of adversarial training, to compute with and to check.

One experiment drives the derivation, the numerics, the simulation and the comparison:

    import egan_theory as eg
    exp = eg.Experiment.from_toml("e.toml")
    eg.spectrum(exp); eg.best_regularizer(exp, penalty="r1"); eg.compare(exp, eg.simulate(exp))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import lazily

# Everything is imported on first use, so that `egan --help` need not load SymPy, xarray and matplotlib.
_HOME = {
    "Advice": "networks.advice",
    "advise": "networks.advise",
    "advise_experiment": "networks.advise",
    "advise_from_gram": "networks.advise",
    "plot_advice": "reporting.advised",
    "Discriminator": "players",
    "Experiment": "experiment",
    "Generator": "players",
    "GeneratorKernel": "players",
    "Likelihood": "settings",
    "LossChoice": "settings",
    "Memory": "settings",
    "Packing": "settings",
    "Penalties": "settings",
    "Run": "settings",
    "Update": "settings",
    "Grid": "targets",
    "Mixture": "targets",
    "PointSet": "targets",
    "Ring": "targets",
    "Uniform": "targets",
    "InputError": "errors",
    "NotLinearizable": "errors",
    "kernel_from_profile": "kernels",
    "new": "commands.templates:template",
    "derive": "symbolic",
    "linearize": "linear",
    "eigenvalues": "linear",
    "spectrum": "predict",
    "power_laws": "predict.play",
    "best_regularizer": "predict",
    "regularizer": "predict:best_regularizer",
    "Regularizer": "predict",
    "Fastest": "predict",
    "fastest_strength": "predict",
    "left_over": "predict",
    "collective_instability": "predict.collective",
    "collapsed_state": "predict.collapsed",
    "collapsed_states": "predict.collapsed",
    "learning_times": "predict.frequency",
    "phase": "predict.phase",
    "splitting": "predict.splitting",
    "CollapsedState": "predict.collapsed",
    "CollectiveInstability": "predict.collective",
    "Splitting": "predict.splitting",
    "Thresholds": "predict.threshold",
    "threshold": "predict.threshold:thresholds",
    "thresholds": "predict.threshold",
    "universality": "kernels.command",
    "simulate": "simulation.run",
    "RunWriter": "recording",
    "open_runs": "schema",
    "save": "schema",
    "compare": "comparison.compare",
    "compare_left": "comparison.left",
    "sweep_left": "comparison.left",
    "compare_phase": "comparison.phase",
    "compare_remedies": "comparison.remedies",
    "simulate_phase": "comparison.phase",
    "compare_strength": "comparison.strength",
    "sweep_strength": "comparison.strength",
    "order_parameters": "order",
    "Outcome": "outcome",
    "outcomes": "outcome",
    "compare_sweep": "sweeps.agreement",
    "open_sweep": "sweeps.store",
    "sweep": "sweeps.run",
    "sweep_grid": "sweeps.store",
    "sweep_runs": "sweeps.store",
    "fit_published": "published.fit",
    "predict_published": "published.prediction",
    "read_runs": "published.importer",
    "Solvable": "models.solvable",
    "solve_ode": "models.solvable",
    "simulate_sde": "models.solvable",
    "simulate_solvable": "models.solvable",
    "solvable_phase": "models.solvable",
    "compare_solvable": "models.solvable",
    "dirac_gan": "models.dirac",
    "implied_r1": "models.poincare",
    "isolated_points": "models.isolated",
    "poincare": "models.poincare",
    "solvable_report": "models.solvable",
    "report": "reporting.page",
    "plot_phase": "reporting.phases",
    "plot_cloud": "reporting.plots",
    "plot_damping_ratio": "reporting.plots",
    "plot_dispersion": "reporting.plots",
    "plot_eigenvalues": "reporting.plots",
    "plot_left": "reporting.plots",
    "plot_losses": "reporting.plots",
    "plot_rate_curve": "reporting.plots",
    "plot_relaxation": "reporting.plots",
    "plot_remedies": "reporting.remedied",
    "plot_universality": "kernels.command",
}

__all__ = sorted(_HOME)
__version__ = "0.1.0"


__getattr__ = lazily(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if TYPE_CHECKING:
    from .experiment import Experiment as Experiment
