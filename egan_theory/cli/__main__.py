"""``python -m egan_theory.cli``."""

import sys

from .app import main

sys.exit(main())
