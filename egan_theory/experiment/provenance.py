"""What every result says about itself: the experiment, the seed, the versions."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..base.errors import InputError
from . import Experiment

SCHEMA_VERSION = "1"


@cache
def versions() -> str:
    """ "name version" of the package and of what its numbers depend on."""
    out = []
    for name in ("egan-theory", "numpy", "scipy", "sympy", "xarray"):
        try:
            out.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # run from a source tree that was not installed
            out.append(f"{name} unknown")
    return ", ".join(out)


def provenance(exp: Experiment) -> dict[str, Any]:
    """attrs: experiment (TOML), seed, versions, schema_version."""
    try:
        text = exp.to_toml()
    except InputError as error:
        text = f"# no TOML form: {error}"
    return {"experiment": text, "seed": exp.run.seed, "versions": versions(), "schema_version": SCHEMA_VERSION}
