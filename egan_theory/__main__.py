"""`python -m egan_theory`: the `egan` command."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
