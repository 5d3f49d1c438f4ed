from .estimate import Poincare as Poincare
from .estimate import poincare as poincare
from .graph import graph_laplacian as graph_laplacian
from .strength import ImpliedR1 as ImpliedR1
from .strength import implied_r1 as implied_r1
