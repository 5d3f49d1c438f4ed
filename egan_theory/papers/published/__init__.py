"""The published MNIST runs (data of arXiv:2212.04580): reading them, and what the linear theory says of them.

The data are read from a user's own clone of the authors' repository; none of them is part of this package.
"""

from ...base.lazy import lazily

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


__getattr__ = lazily(__name__, _HOME)
