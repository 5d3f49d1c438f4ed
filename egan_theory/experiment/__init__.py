"""The description of an experiment: one file, read and checked once, that drives everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.lazy import lazily

__all__ = ["Experiment"]

__getattr__ = lazily(__name__, {"Experiment": "experiment"})

if TYPE_CHECKING:
    from .experiment import Experiment as Experiment
