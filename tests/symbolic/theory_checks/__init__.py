"""What every equation of theory.md must agree with: values of its symbols that come from SymPy's derivation, from the
package's numbers, or from differentiation and propagation by brute force, never from the formula itself.

``CHECKS[name](rng)`` gives a list of {symbol: value}, "ranges" (see latex_values) and "tolerance" among them.
"""

from . import game, model, normal, orbits, play, samples, terms
from .toy import CHECKS

__all__ = ["CHECKS", "game", "model", "normal", "orbits", "play", "samples", "terms"]
