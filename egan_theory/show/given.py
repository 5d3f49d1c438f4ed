"""What plot functions take: a value of another kind is refused in one line, before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar

import xarray as xr

from ..base.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Kind:
    """What an argument may be: an instance of a class of one of these dotted names (also of several of them in a
    sequence), or a Dataset with these variables. rule: that in words."""

    rule: str
    classes: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    many: bool = False

    def missing(self, value: object) -> str | None:
        """What was found instead; None where nothing is missing."""
        if self.variables and isinstance(value, xr.Dataset):
            absent = [name for name in self.variables if name not in value.variables]
            return f"a Dataset without {', '.join(absent)}" if absent else None
        names = [f"{c.__module__}.{c.__qualname__}" for c in type(value).__mro__]
        if any(name.endswith(wanted) for name in names for wanted in self.classes):
            return None
        if self.many and isinstance(value, Sequence) and not isinstance(value, str | bytes) and value:
            return next((found for found in map(self.missing, value) if found), None)
        return type(value).__name__


AXES = Kind("be Matplotlib axes", ("axes._axes.Axes",))
SPECTRUM = Kind("be a spectrum, eg.spectrum(exp)", (), ("eigenvalue_re", "eigenvalue_im", "regime", "coupled"))
POWERS = Kind("be powers of time, eg.power_laws(exp)", (), ("last", "average", "stiffness", "growth_rate"))
AGREEMENT = Kind("be what eg.compare returns", ("comparison.agreement.Agreement",))
RUNS = Kind("be runs, eg.simulate(exp) or eg.open_runs(path)", (), ("time",))
PREDICTED = Kind("be a predicted diagram, eg.phase(exp, ...)", (), ("margin", "first", "second", "mechanism"))
SIMULATED = Kind("be a simulated diagram, eg.simulate_phase(exp, ...)", (), ("outcome", "first", "second"))
COMPARED = Kind("be what eg.compare_phase returns", (), ("confusion", "predicted_kind", "simulated_kind"))
CURVES = Kind("be what eg.curves returns", ("predict.curves.Curves",))
REACHED = Kind("be what eg.reached returns, or several of them", ("predict.basin.Reached",), many=True)
BRANCH = Kind("be what eg.branch returns", ("predict.branched.Branch",))
FREQUENCY = Kind("be what eg.frequency returns", ("predict.learnt.Frequency",))
REGULARIZER = Kind("be what eg.best_regularizer returns", ("predict.regularizer.Regularizer",))
FASTEST = Kind("be what eg.fastest_strength returns", ("predict.asymptotic.Fastest",))
LEFTS = Kind("be what eg.sweep_left returns", (), ("strength", "moving", "moving_stderr"))
RATES = Kind("be what eg.sweep_strength returns", (), ("strength", "rate", "rate_stderr"))
REMEDIES = Kind("be what eg.compare_remedies returns", ("comparison.remedies.Remedies",))
ADVICE = Kind("be what eg.advise returns", ("advice.result.Advice",))
PLACE = Kind("be what eg.place returns", ("advice.place.Place",))
NUMBERS = Kind("be the kernel numbers of a game, eg.kernel_numbers(game)", ("games.kernel.KernelNumbers",))
GAME = Kind("be that of a game, game.spectrum()", ("games.result.GameSpectrum",))
SCAN = Kind('be that of a game, game.spectrum(scan="r1"), or its scan', (*GAME.classes, "games.scan.Scan"))
ARCHITECTURE = Kind("be the architecture of a generator, or None", ("tables.architecture.GeneratorArchitecture",))


def check(name: str, kind: Kind, value: object) -> None:
    """Raise InputError where the argument of that name is not of the kind."""
    if found := kind.missing(value):
        raise InputError(name, kind.rule, found)


def given(**kinds: Kind) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The plot function, InputError before it where an argument is not of its kind; None is left to the function,
    where it is the default."""

    def checking(plot: Callable[P, R]) -> Callable[P, R]:
        takes = signature(plot)

        @wraps(plot)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            arguments = takes.bind(*args, **kwargs).arguments
            for name, kind in {"ax": AXES, **kinds}.items():
                value = arguments.get(name)
                optional = takes.parameters[name].default is None or kind is ARCHITECTURE
                if value is not None or not optional:
                    check(name, kind, value)
            return plot(*args, **kwargs)

        return checked

    return checking


__all__ = ["Kind", "check", "given"]
