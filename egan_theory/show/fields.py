"""What axes call the fields of an experiment: words with their unit; another field by its path."""

from __future__ import annotations

from ..tables.penalties import PENALTIES, strength_label

#: words and unit of the fields that are often varied; strengths: see tables.penalties
FIELDS = {
    "generator.kernel.ratio": ("kernel ratio g2/g1", "1"),
    "generator.kernel.diagonal": ("generator kernel g1", "length²"),
    "generator.learning_rate": ("learning rate of G", "1/step; flow: 1/time"),
    "discriminator.learning_rate": ("learning rate of D", "1/step; flow: 1/time"),
    "discriminator.length_scale": ("length scale of D's kernel", "length"),
    "discriminator.variance": ("variance of D's kernel", "1"),
    "generator.particles": ("particles", "1"),
    "discriminator.features": ("features of D", "1"),
    "target.radius": ("radius of the target", "length"),
    "target.modes": ("modes of the target", "1"),
    "target.spacing": ("spacing of the target", "length"),
    "target.std": ("spread of the target's modes", "length"),
    "update.momentum_generator": ("momentum of G", "1"),
    "update.momentum_discriminator": ("momentum of D", "1"),
    "update.critic_steps": ("critic steps", "1"),
    "run.spread": ("spread of the start", "length"),
}


def label(path: str) -> str:
    """The label of an axis: "R1 strength (length²)" for penalty.r1; a field without words is its path."""
    if path == "likelihood.weight":
        return strength_label("likelihood")
    key = path.removeprefix("penalty.")
    if key != path and key in PENALTIES:
        return strength_label(key)
    if path in FIELDS:
        return "{} ({})".format(*FIELDS[path])
    return path


__all__ = ["FIELDS", "label"]
