"""Networks of finite width, in JAX (the extra ``networks``): their training, and their tangent features.

Nothing here is imported before an experiment asks for a network: ``discriminator.architecture.width`` or
``generator.architecture.width`` above 0. All numbers are doubles within this room; JAX's own default stays as it is.
"""

from __future__ import annotations

from .._lazy import lazily

_HOME = {
    "advise": "advise",
    "advise_experiment": "advise",
    "advise_from_gram": "advise",
    "TangentFeatures": "tangent",
    "tangent_features": "tangent",
    "draw": "mlp",
    "network": "mlp",
    "kernel_drift": "drift",
    "NetworkField": "field",
    "simulate_networks": "simulate",
}

__all__ = sorted(_HOME)

__getattr__ = lazily(__name__, _HOME)
