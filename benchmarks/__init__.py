"""Fast and cheap, in figures that anyone can take again: one module for each question, `make bench` for all of them."""

import sys
from pathlib import Path

# The layer's code, so that `python -m benchmarks.NAME` needs nothing but the project's root as its folder.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "layers/outbound_calls"))
