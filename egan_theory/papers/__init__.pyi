from . import dirac as dirac
from . import isolated as isolated
from . import packing as packing
from . import poincare as poincare
from . import published as published
from . import solvable as solvable
from . import two_gaussian as two_gaussian
