"""What each compared quantity is, in words."""

from __future__ import annotations

import re

_MODE = "the {0} mode that the runs show"
#: patterns of names, and what they are; {0}, {1}: their numbers
MEANINGS = (
    (
        r"s(\d+)\.re",
        "Real part of the eigenvalue of " + _MODE + ": minus its decay rate. Below 0 it decays, above 0 it grows.",
    ),
    (
        r"s(\d+)\.im",
        "Imaginary part of the eigenvalue of " + _MODE + ": how fast it turns, as an angle in radians. 0: it does not.",
    ),
    (r"rate", "Rate at which the distance from equilibrium shrinks late in the runs: that of the slowest mode seen."),
    (r"p(\d+)\.last", "Power of the elapsed time with which " + _MODE + " goes. Below 0 it shrinks."),
    (r"p(\d+)\.average", "Power of the elapsed time with which the average since the start of " + _MODE + " goes."),
    (
        r"left of what can move at (.+)",
        "Left of what can move of a small kick at the end, with strength {0}.",
    ),
    (r"best_rate", "Decay rate of the slowest mode at the best strength."),
    (r"best_strength", "The strength at which the slowest mode decays fastest."),
    (
        r"\|P(\d+?)(\d+)\|",
        "Size of the overlap of the true feature {0} with the generated feature {1}: 1: they are one direction, 0: at "
        "right angles.",
    ),
    (
        r"coverage of feature (\d+)",
        "Length of the projection of the true feature {0} on what is generated: 1: wholly learnt, 0: not at all.",
    ),
)
_ORDINALS = {"1": "slowest", "2": "2nd slowest", "3": "3rd slowest"}


def meaning(name: str) -> str:
    """What the quantity of that name is, "" where nobody says."""
    for pattern, text in MEANINGS:
        if found := re.fullmatch(pattern, name):
            numbers = found.groups()
            if _MODE in text:
                numbers = (_ORDINALS.get(numbers[0], f"{numbers[0]}th slowest"), *numbers[1:])
            return text.format(*numbers)
    return ""


__all__ = ["MEANINGS", "meaning"]
