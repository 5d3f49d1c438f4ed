"""Where the regimes of the solvable model change, and all that is predicted of one without integrating."""

from __future__ import annotations

from typing import Any

import numpy as np

from .equilibria import fixed_points, locked_onset, one_feature_parameters
from .line import success_ratio, trace_ratio
from .model import Solvable
from .regimes import predict_regime


def boundaries(model: Solvable) -> dict[str, float]:
    """Where the regimes change, as formulas: critical noises eta (equal noise), and ratios alpha = taut/tau at this
    noise.

    ``noise_success``: oscillation below (P = I, largest Lambda); ``noise_rotation``: no rotation of it is stable below;
    ``noise_feature_l``: feature l is forgotten above. ``ratio_success``, ``ratio_rotation``: alpha above which the same
    happens at the present noise. One feature: ``ratio_locked``, the fold of the locked states.

    Returns:
        Values by name.

    Units:
        Noises are variances per coordinate, ratios of rates; pure numbers.

    Raises:
        InputError: a nonlinearity that is not f(x) = x, or a constraint that is not "hard".

    Source:
        Derived by SymPy (papers.solvable.derivation) from the ODE of Wang, Hu, Lu (arXiv:1805.08349).
    """
    alpha, L = model.taut / model.tau, model.L
    out = {
        "noise_success": float(np.sqrt(alpha * L.max() / (2 * model.tau))),
        "noise_rotation": float(np.sqrt(alpha * L.mean() / (2 * model.tau))),
        **{f"noise_feature_{i + 1}": float(np.sqrt(L[i] / model.tau)) for i in range(model.d)},
        "ratio_success": success_ratio(model),
        "ratio_rotation": trace_ratio(model),
    }
    if model.d == 1 and model.eta_T == model.eta_G and model.L[0] == model.Lt[0]:
        _, k, s = one_feature_parameters(model)
        out["ratio_locked"] = locked_onset(k, s)
    return out


def boundary_words(name: str) -> str:
    """What a boundary of ``boundaries`` is, in words."""
    words = {
        "noise_success": "noise below which P = I oscillates",
        "noise_rotation": "noise below which every rotation of it oscillates",
        "ratio_success": "taut/tau above which P = I oscillates",
        "ratio_rotation": "taut/tau above which every rotation of it oscillates",
        "ratio_locked": "taut/tau from which locked states exist",
    }
    return words.get(name, f"noise above which feature {name.rsplit('_', 1)[-1]} is forgotten")


def theory(model: Solvable) -> dict[str, Any]:
    """The --json form of what is predicted without integrating: regime, boundaries and fixed points. Raises InputError
    where the theory does not apply."""
    return {
        "predicted": predict_regime(model).to_dict(),
        "boundaries": boundaries(model),
        "fixed_points": [point.to_dict() for point in fixed_points(model)],
    }
