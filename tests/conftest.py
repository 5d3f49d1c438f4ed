"""One thread for linear algebra, no display: set before NumPy and Matplotlib are first imported."""

import os

import pytest
from hypothesis import settings

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# compiling takes longer than what the tests compute
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")

# the same examples in every run
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")

pytest.register_assert_rewrite("stepjac")
