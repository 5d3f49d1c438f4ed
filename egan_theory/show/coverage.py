"""The guide's table of what the package covers, made from its tables.

python -m egan_theory.show.coverage egan_theory/guide/predictions.md      writes it between the markers
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..base.errors import InputError
from ..experiment.targets import TARGETS
from ..kernels import KERNELS
from ..predict.mechanism import MECHANISMS
from ..tables.activations import ACTIVATIONS, NETWORK_ACTIVATIONS
from ..tables.layers import LAYERS
from ..tables.losses import LOSSES
from ..tables.penalties import PENALTIES
from ..tables.updates import RULES, rules_with

BEGIN, END = "<!-- covered: begin -->", "<!-- covered: end -->"


def covered() -> str:
    """The table in Markdown."""
    kernels = [kernel.title or name.replace("_", " ") for name, kernel in KERNELS.items()]
    averaged = ", ".join(f"`{name}`" for name in rules_with(lambda rule: rule.averages))
    rows = {
        "target": f"{', '.join(target.title for target in TARGETS.values())}; weights",
        "generator": "ratio of its kernel from 0 (free particles) to 1 (rigid cloud), given or that of a fully "
        "connected architecture; unequal masses, particles per target point; a network of finite width, trained",
        "discriminator": f"{', '.join(kernels)}, or your own profile; random features or the exact kernel, in d <= 3 "
        f"also by its Fourier modes; random {', '.join(ACTIVATIONS)} features of finite width; a network "
        f"({', '.join(NETWORK_ACTIVATIONS)}), fully connected or on images ("
        f"{', '.join(layer.title for layer in LAYERS.values())}), infinitely wide (all weights trained, or the readout "
        "alone) or of finite width, trained in all its weights",
        "loss": "; ".join(loss.title for loss in LOSSES.values()),
        "likelihood": "a drift of the particles along the difference of the scores of target and particles "
        "(`[likelihood]`); the target's estimated from its points, or exactly that of a mixture",
        "packing": "a discriminator that judges `degree` samples at once, with a product or an additive kernel "
        "(`[packing]`)",
        "penalty": f"{', '.join(penalty.title for penalty in PENALTIES.values())}. WGAN-GP is refused: it has no "
        "Jacobian at equilibrium",
        "update": f"{'; '.join(rule.title for rule in RULES.values())}; heavy-ball momentum on either side and several "
        f"critic steps; opponents averaged over a time or over all of the past (`[memory]`, with {averaged})",
        "boundary": "; ".join(f"{name}: {m.beyond}" for name, m in MECHANISMS.items()),
    }
    lines = ["| part | choices |", "|---|---|", *(f"| {part} | {choices} |" for part, choices in rows.items())]
    return "\n".join(lines)


def between(text: str) -> tuple[str, str, str]:
    """(before, table, after) of a text with the markers. Raises InputError without them."""
    before, begin, rest = text.partition(f"{BEGIN}\n")
    table, end, after = rest.partition(f"\n{END}")
    if not (begin and end):
        raise InputError("file", f"hold the lines {BEGIN} and {END}")
    return before + begin, table, end + after


if __name__ == "__main__":
    file = Path(sys.argv[1])
    before, _, after = between(file.read_text(encoding="utf-8"))
    file.write_text(before + covered() + after, encoding="utf-8")
