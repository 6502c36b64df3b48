"""Runs inside an execution environment: imports handlers once, then calls them and says what that took.

Started by `benchmarks.function` with Lambda's Python and the function's layers, so it may import nothing else. Its
arguments are NAME=FILE:FUNCTION; each line of its input is ``{"handler": NAME, "events": [...], "seconds_left": 45}``.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any


class Context:
    """What Lambda hands to a handler beside the event."""

    function_name = memory_limit_in_mb = "0"
    invoked_function_arn = "arn:aws:lambda:ca-central-1:123456789012:function:benchmark"
    aws_request_id = "11111111-2222-3333-4444-555555555555"

    def __init__(self, seconds_left: float) -> None:
        self._ends_at = time.monotonic() + seconds_left

    def get_remaining_time_in_millis(self) -> int:
        """As Lambda's own."""
        return int((self._ends_at - time.monotonic()) * 1000)


def load(place: str) -> Callable[[Any, Context], Any]:
    """Import a file by its path, as Lambda does, and take a function of it."""
    file, function = place.rsplit(":", 1)
    loader = SourceFileLoader(Path(file).stem, file)
    module = ModuleType(loader.name)
    loader.exec_module(module)
    handler: Callable[[Any, Context], Any] = getattr(module, function)
    return handler


def sockets() -> int:
    """How many sockets this process has open."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += entry.readlink().name.startswith("socket:")
        except OSError:  # the descriptor of this very listing
            continue
    return found


def resident_bytes() -> int:
    """The memory of this process that is in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Serve until the input ends."""
    # The function's own output goes to standard output, so the answers need another way.
    answers = os.fdopen(int(sys.argv[1]), "w")
    handlers = {name: load(place) for name, place in (each.split("=", 1) for each in sys.argv[2:])}
    for line in sys.stdin:
        order = json.loads(line)
        handler = handlers[order["handler"]]
        contexts = [Context(order["seconds_left"]) for _ in order["events"]]
        # CPU of the whole process, all of its threads, user and system.
        wall, cpu = time.perf_counter(), time.process_time()
        results = [handler(event, context) for event, context in zip(order["events"], contexts, strict=True)]
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        used = {"cpu_seconds": cpu, "wall_seconds": wall, "resident_bytes": resident_bytes(), "sockets": sockets()}
        sys.stdout.flush()
        print(json.dumps({"answers": results} | used), file=answers, flush=True)


if __name__ == "__main__":
    main()
