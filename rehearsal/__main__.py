"""Runs as `python -m rehearsal STACK`."""

import sys

from rehearsal.rehearse import main

sys.exit(main())
