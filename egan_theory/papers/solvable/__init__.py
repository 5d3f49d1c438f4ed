"""The solvable high-dimensional GAN (Wang, Hu, Lu, NeurIPS 2019, arXiv:1805.08349).

from . import SETTING_R, solve_ode, simulate_solvable
solve_ode(SETTING_R.replace({"noise": 1.0}))
"""

from ...base.public import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__, "eg.solvable")
