"""The published MNIST runs (data of arXiv:2212.04580): reading them, and what the linear theory says of them.

The data are read from a user's own clone of the authors' repository; none of them is part of this package.
"""

from importlib import import_module
from typing import Any

# imported at the first use: the command line loads this package at every start
_HOME = {
    "CLASSES": "theory",
    "MNIST": "theory",
    "PublishedFit": "fit",
    "Stiffness": "theory",
    "fit_published": "fit",
    "load_fit": "fit",
    "log_margins": "theory",
    "predict_published": "prediction",
    "read_runs": "importer",
    "read_target": "importer",
    "save_fit": "fit",
    "stiffness": "theory",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
