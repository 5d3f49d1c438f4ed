"""Test cases made from the tables themselves, so that a new entry is tested wherever the others are."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

from egan_theory.kernels import KERNELS
from egan_theory.tables.penalties import PENALTIES
from egan_theory.tables.updates import RULES, Rule, UpdateRule, rules_with

#: rules with a discriminator that takes steps, and those with one at its optimum
STEPS = rules_with(lambda rule: not (rule.networks or rule.responds))
RESPONSES = rules_with(lambda rule: rule.responds)
NETWORK_RULES = rules_with(lambda rule: rule.networks)


def values(kind: str) -> dict[str, ModuleType]:
    """The files of test values of entries, tests/values/KIND_NAME.py, by name."""
    files = sorted((Path(__file__).parent / "values").glob(f"{kind}_*.py"))
    return {file.stem.removeprefix(f"{kind}_"): import_module(f"tests.values.{file.stem}") for file in files}


def settings(rule: Rule) -> list[dict]:
    """[update] tables of a rule: its defaults, and its examples."""
    return [{"rule": rule.name, **example} for example in ({}, *rule.examples)]


def update_rule(table: Mapping) -> UpdateRule:
    """As experiments with that [update] table have it."""
    name, numbers = table["rule"], {key: value for key, value in table.items() if key != "rule"}
    return UpdateRule.of(name, {key: p.default for key, p in RULES[name].parameters.items()} | numbers)


def further_rules(known: Iterable[UpdateRule]) -> dict[str, UpdateRule]:
    """Rules with steps of the discriminator that are not among the known ones, each at its defaults and examples."""
    names = {rule.rule for rule in known}
    tables = [table for name in STEPS if name not in names for table in settings(RULES[name])]
    return {" ".join(map(str, table.values())): update_rule(table) for table in tables}


def further_penalties(known: Iterable[Mapping]) -> dict[str, dict]:
    """Functional penalties that are not among the known tables, their parameters at 0.6."""
    names = {name for table in known for name in table}
    return {
        key: {key: 0.3, **dict.fromkeys(penalty.parameters, 0.6)}
        for key, penalty in PENALTIES.items()
        if key not in names and penalty.terms is not None
    }


def further_kernels(known: Iterable[Mapping]) -> dict[str, dict]:
    """Kernels that are not among the known [discriminator] tables, by features and, where they can be, exact."""
    names = {table.get("kernel", "gaussian") for table in known}
    found = {}
    for name, kernel in KERNELS.items():
        if name not in names:
            found[name] = {"kernel": name}
            if kernel().differentiable:
                found[f"{name} exact"] = {"kernel": name, "features": 0}
    return found
