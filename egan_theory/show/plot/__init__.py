"""Figures of computed data: each function takes the data and, optionally, axes, and returns the axes.

    eg.plot.eigenvalues(eg.spectrum(exp))

Without axes a figure is made, which a notebook shows. In a panel of a figure of yours legend and labels are smaller and
broken into lines; make it with ``layout="constrained"``, so that the legend finds room above the panel and lies not in
it. What a function cannot draw it refuses (InputError) before anything is drawn.

``modes``: spectra; ``strength``: curves over a penalty's strength; ``runs``: recorded runs; ``games``, ``measured``,
``monitored``: real networks; ``phases``: phase diagrams; ``basins``: states reached; ``advised``, ``remedied``,
``powers``,
``architecture``: one each.
"""

from ...base.public import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__, "eg.plot")
