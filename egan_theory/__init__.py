"""egan_theory: the theory of adversarial training, to compute with and to check.

One experiment drives the derivation, the numerics, the simulation and the comparison:

    import egan_theory as eg
    exp = eg.Experiment.from_toml("e.toml")
    eg.spectrum(exp); eg.best_regularizer(exp, penalty="r1"); eg.compare(exp, eg.simulate(exp))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base.lazy import lazily

# Everything is imported on first use, so that `egan --help` need not load SymPy, xarray and matplotlib.
_HOME = {
    "Advice": "advice.result",
    "advise": "advice.advise",
    "advise_experiment": "advice.advise",
    "advise_from_gram": "advice.advise",
    "plot_advice": "show.advised",
    "Discriminator": "experiment.players",
    "Experiment": "experiment",
    "Generator": "experiment.players",
    "GeneratorKernel": "experiment.players",
    "Likelihood": "experiment.settings",
    "LossChoice": "experiment.settings",
    "Memory": "experiment.settings",
    "Packing": "experiment.settings",
    "Penalties": "experiment.settings",
    "Run": "experiment.settings",
    "Update": "experiment.settings",
    "Grid": "experiment.targets",
    "Mixture": "experiment.targets",
    "PointSet": "experiment.targets",
    "Ring": "experiment.targets",
    "Uniform": "experiment.targets",
    "InputError": "base.errors",
    "NotLinearizable": "base.errors",
    "kernel_from_profile": "kernels",
    "new": "experiment.templates:template",
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
    "universality": "show.universality",
    "simulate": "simulation.run",
    "RunWriter": "runs.recording",
    "open_runs": "runs.reading",
    "save": "base.netcdf",
    "compare": "comparison.compare",
    "compare_left": "comparison.left",
    "sweep_left": "comparison.left",
    "compare_phase": "sweeps.phase",
    "compare_remedies": "comparison.remedies",
    "simulate_phase": "sweeps.phase",
    "compare_strength": "comparison.strength",
    "sweep_strength": "comparison.strength",
    "order_parameters": "runs.order",
    "Outcome": "runs.outcome",
    "outcomes": "runs.outcome",
    "compare_sweep": "sweeps.agreement",
    "open_sweep": "sweeps.reading",
    "sweep": "sweeps.run",
    "sweep_grid": "sweeps.reading",
    "sweep_runs": "sweeps.reading",
    "fit_published": "papers.published.fit",
    "predict_published": "papers.published.prediction",
    "read_runs": "papers.published.importer",
    "Solvable": "papers.solvable",
    "solve_ode": "papers.solvable",
    "simulate_sde": "papers.solvable",
    "simulate_solvable": "papers.solvable",
    "solvable_phase": "papers.solvable",
    "compare_solvable": "papers.solvable",
    "dirac_gan": "papers.dirac",
    "implied_r1": "papers.poincare",
    "isolated_points": "papers.isolated",
    "poincare": "papers.poincare",
    "solvable_report": "papers.solvable",
    "report": "show.page",
    "plot_phase": "show.phases",
    "plot_cloud": "show.plots",
    "plot_damping_ratio": "show.plots",
    "plot_dispersion": "show.plots",
    "plot_eigenvalues": "show.plots",
    "plot_left": "show.plots",
    "plot_losses": "show.plots",
    "plot_rate_curve": "show.plots",
    "plot_relaxation": "show.plots",
    "plot_remedies": "show.remedied",
    "plot_universality": "show.universality",
}

__all__ = sorted(_HOME)
__version__ = "0.1.0"


__getattr__ = lazily(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if TYPE_CHECKING:
    from .experiment import Experiment as Experiment
