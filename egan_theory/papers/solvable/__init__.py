"""The solvable high-dimensional GAN (Wang, Hu, Lu, NeurIPS 2019, arXiv:1805.08349).

from . import SETTING_R, solve_ode, simulate_solvable
solve_ode(SETTING_R.replace({"noise": 1.0}))
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
