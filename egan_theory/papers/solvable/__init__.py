"""The solvable high-dimensional GAN (Wang, Hu, Lu, NeurIPS 2019, arXiv:1805.08349).

from . import SETTING_R, solve_ode, simulate_solvable
solve_ode(SETTING_R.replace({"noise": 1.0}))
"""

from __future__ import annotations

from ...base.lazy import lazily

# imported on first use, so that the command line starts fast
_HOME = {
    "Solvable": "model",
    "SETTING_R": "model",
    "SETTING_E": "model",
    "Profile": "profile",
    "Quadrature": "profile",
    "State": "state",
    "solve_ode": "ode",
    "classify": "regimes",
    "predict_regime": "regimes",
    "boundaries": "regimes",
    "solvable_phase": "phase",
    "compare_solvable": "compare",
    "solvable_report": "report",
    "simulate_solvable": "finite",
    "simulate_chain": "chain",
    "simulate_sgd": "sgd",
    "simulate_sde": "sde",
}

__all__ = sorted(_HOME)


__getattr__ = lazily(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
