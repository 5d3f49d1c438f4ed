"""Make the reference runs of this folder again: python data/regenerate.py [DIRECTORY]."""

from __future__ import annotations

import sys
from pathlib import Path

import egan_theory as eg


def ring(ratio: float) -> eg.Experiment:
    """Weight decay alone: the spread equilibrium loses stability between kernel ratios 0.1 and 0.3."""
    return eg.Experiment(
        generator={"kernel": {"ratio": ratio}},
        penalty={"weight_decay": 0.05},
        run={"steps": 3000, "record_every": 100, "runs": 2, "start": "random", "spread": 0.3},
    )


EXPERIMENTS = {
    "ring_spread.nc": ring(0.1),
    "ring_collapsed.nc": ring(0.3),
    "ring_kicked.nc": eg.Experiment(
        generator={"particles": 8},
        discriminator={"features": 64},
        penalty={"r1": 2.5},
        run={"steps": 1500, "record_every": 15, "runs": 2},
    ),
}


def main(directory: Path) -> None:
    for name, exp in EXPERIMENTS.items():
        eg.save(eg.simulate(exp), directory / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
