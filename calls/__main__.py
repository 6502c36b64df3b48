"""`python -m calls`, which is what `.venv/bin/calls` runs."""

import sys

from calls.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
