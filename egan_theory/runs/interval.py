"""How often a run that is simulated for its outcome alone is recorded."""

from __future__ import annotations

from ..experiment import Experiment
from .outcome import FEWEST, LATE

#: fewest and most records of a run that is simulated for its outcome alone, and the steps between two within these
#: bounds: an oscillation must not seem to fade or to rest because it is seen once a turn
RECORDS, NEAR = (500, 2500), 8
#: ... and the bytes that they may fill
MEMORY = 5e8


def recording_interval(exp: Experiment) -> int:
    """``run.record_every`` of an experiment simulated for its outcomes: NEAR steps or so, the last record late; records
    within RECORDS, but fewer (30 at least, else only start and end, which show no drift) of clouds whose records would
    fill more than MEMORY."""
    steps, records = exp.run.steps, int(MEMORY // record_bytes(exp)) // 2
    if records < FEWEST / LATE:
        return steps
    longest = max(min(steps // RECORDS[0], NEAR), steps // RECORDS[1], steps // records, 1)
    return min(range(longest, longest // 2, -1), key=lambda n: (steps % n, -n))


def record_bytes(exp: Experiment) -> int:
    """Bytes of one record of all runs: positions, discriminator and force."""
    return 8 * exp.run.runs * exp.generator.particles * (2 * exp.dimension + 1)
