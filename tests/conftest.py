"""One thread for linear algebra, no display: set before NumPy and Matplotlib are first imported."""

import os

import pytest

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# compiling takes longer than what the tests compute
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")

pytest.register_assert_rewrite("stepjac")
