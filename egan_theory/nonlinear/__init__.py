"""Beyond the linear theory: Taylor coefficients of one step of the dynamics, and what follows from them."""

from . import arrays as arrays
