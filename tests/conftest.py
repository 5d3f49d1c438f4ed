"""One thread for linear algebra, no display: set before NumPy and Matplotlib are first imported."""

import os
import sys

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


@pytest.fixture
def experiment(tmp_path):
    """The name of a file with a small experiment."""
    from tests.builders import RING

    file = tmp_path / "e.toml"
    file.write_text(RING)
    return str(file)


@pytest.fixture
def in_this_process(monkeypatch):
    """Batches of a sweep without worker processes."""
    from egan_theory.sweeps import run
    from egan_theory.sweeps.batch import run_batch

    monkeypatch.setattr(run, "in_processes", lambda text, left, workers: ((i, run_batch(text, i)) for i in left))


@pytest.fixture(autouse=True)
def _no_open_figures():
    """Plot functions without axes leave their figures with pyplot, as notebooks want it."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(autouse=True)
def _no_word_on_long_work(monkeypatch):
    """Commands that take long say so on stderr: on a busy machine that would be any of them."""
    from egan_theory.base import terminal  # after the variables above

    monkeypatch.setattr(terminal, "FIRST_WORD", 3600.0)


pytest.register_assert_rewrite("tests.stepjac")
