"""How long until the console's first page is there, and what does it read, with few calls and with ten thousand?

The console's app on tables of the local cloud, asked in the same process. Most of the time is the local cloud's, which
sorts a whole index for each query; the CPU is the console's own.

    python -m benchmarks.console
"""

import asyncio
import statistics
import time
import tracemalloc
from collections import Counter
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console as Terminal

from calls.console.access import COOKIE, Keys
from calls.console.app import ConsoleOptions, console_app
from local.cloud import LocalCloud
from tests.cloud.many_attempts import write_many
from tests.cloud.operator import OperatedStack
from tests.world import NOW

SIZES = (1_000, 10_000)
ROUNDS = 9
LIMIT_SECONDS = 1.0
HOST = "127.0.0.1:8123"


@dataclass(frozen=True)
class FirstPage:
    """The overview of a stack with so many calls, of which a fifth are open."""

    calls: int
    seconds: float
    """Until the whole page is there: the median of the rounds, after a first one."""

    cpu_ms: float
    """Of the console's process, likewise."""

    peak_kilobytes: float
    """The most memory that Python allocated meanwhile."""

    requests: dict[str, int]
    """To DynamoDB, by operation."""


def measure() -> list[FirstPage]:
    """The first page for each size."""
    return [_of(calls) for calls in SIZES]


def _of(calls: int) -> FirstPage:
    with LocalCloud() as cloud:
        operated = OperatedStack(cloud)
        write_many(operated.attempts, calls * 4 // 5, calls // 5)
        keys = Keys()
        app = console_app(operated.stack, ConsoleOptions(clock=lambda: NOW + 300), HOST, keys)

        async def ask() -> None:
            transport, cookies = httpx.ASGITransport(app), {COOKIE: keys.cookie}
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}", cookies=cookies) as browser:
                (await browser.get("/")).raise_for_status()

        asyncio.run(ask())
        seconds, cpu = zip(*(_timed(ask) for _ in range(ROUNDS)), strict=True)
        requests: Counter[str] = Counter()
        operated.stack.table.client.meta.events.register(
            "before-call.dynamodb", lambda model, **_: requests.update([model.name])
        )
        tracemalloc.start()
        asyncio.run(ask())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return FirstPage(
        calls, statistics.median(seconds), 1000 * statistics.median(cpu), peak / 1024, dict(sorted(requests.items()))
    )


def _timed(ask: Any) -> tuple[float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    asyncio.run(ask())
    return time.perf_counter() - began, time.process_time() - cpu


if __name__ == "__main__":
    Terminal().print(measure())
