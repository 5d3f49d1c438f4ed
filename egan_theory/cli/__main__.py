"""``python -m egan_theory.cli``."""

import sys

from . import main

sys.exit(main())
