"""What a reader sees: figures of computed data (plot), text for the terminal (text) and the HTML report (page).

Computes no physics. ``style``: how every figure looks; ``words``: the report's sentences; ``own``: runs of the user's
own made ready for the report; ``folder``: where a report is written.
"""

from ..base.public import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__, "egan_theory.show")
