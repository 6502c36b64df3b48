"""Do the same for many values, several at a time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

_WORKERS = 8


def in_parallel[Value, Result](
    work: Callable[[Value], Result], values: Iterable[Value], on_done: Callable[[Result], None]
) -> list[Result]:
    """Do `work` for each of these; returns the results in the values' order.

    `on_done` gets each result as soon as it is there, in the thread that made it. So where a fault or Ctrl-C stops the
    rest, the caller knows what was done.
    """

    def do(value: Value) -> Result:
        result = work(value)
        on_done(result)
        return result

    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(do, values))
