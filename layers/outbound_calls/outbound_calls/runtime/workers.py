"""Work on the items of a batch side by side."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

WORKERS = 10
"""Threads of a function, and so its connections to each host."""


def new_pool() -> ThreadPoolExecutor:
    """The threads of one function, kept from one invocation to the next."""
    return ThreadPoolExecutor(WORKERS)


def each[T, R](
    pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T]
) -> Iterator[tuple[T, R | Exception]]:
    """Do `work` on every item. Yields each item as soon as it is done, with its result or what it raised.

    An item that takes long holds back no other: if Lambda ends the function meanwhile, what was done was reported.
    """
    futures = {pool.submit(work, item): item for item in items}
    for future in as_completed(futures):
        try:
            yield futures[future], future.result()
        except Exception as error:  # noqa: BLE001 - one item's fault must not stop the others
            yield futures[future], error
