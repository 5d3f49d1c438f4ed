"""The R1 strength for a real network, from the Gram matrix of its gradients."""

from __future__ import annotations

from ..base.lazy import lazily

_HOME = {"advise": "advise", "advise_experiment": "advise", "advise_from_gram": "advise"}

__all__ = sorted(_HOME)

__getattr__ = lazily(__name__, _HOME)
