"""What every result says about itself: the experiment, the seed, the versions."""

from __future__ import annotations

from collections.abc import Iterator
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


def differences(ours: Experiment, theirs: Experiment) -> Iterator[tuple[str, Any, Any]]:
    """(field, its value here, its value there) where two experiments differ, in the order of the fields; None where an
    experiment has no such field."""
    a, b = flat(ours.model_dump(mode="json")), flat(theirs.model_dump(mode="json"))
    return (
        (field, a.get(field), b.get(field))
        for field in [*a, *(f for f in b if f not in a)]
        if a.get(field) != b.get(field)
    )


def flat(data: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Fields of tables by their whole names, "penalty.r1"."""
    out: dict[str, Any] = {}
    for key, value in data.items():
        out |= flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return out
