"""A batch is worked on side by side, and one item's fault stays its own."""

import threading
from itertools import islice

import pytest

from outbound_calls.runtime.workers import WORKERS, each, new_pool


def test_as_many_as_there_are_workers_are_under_way_at_once() -> None:
    together = threading.Barrier(WORKERS)

    def work(item: int) -> int:
        # Passes only when all of them are in here.
        together.wait(10)
        return item * 2

    with new_pool() as pool:
        assert sorted(each(pool, work, range(WORKERS))) == [(item, item * 2) for item in range(WORKERS)]


def test_an_item_that_takes_long_holds_back_no_other() -> None:
    others_are_reported = threading.Event()

    def work(item: str) -> str:
        if item == "slow":
            assert others_are_reported.wait(10)
        return item

    with new_pool() as pool:
        results = each(pool, work, ["slow", "second", "third"])
        assert {item for item, _ in islice(results, 2)} == {"second", "third"}
        others_are_reported.set()
        assert list(results) == [("slow", "slow")]


def test_an_item_is_reported_even_if_no_other_is_ever_done() -> None:
    """As when Lambda ends the function: nothing waits for the rest of the batch."""
    end = threading.Event()

    def work(item: int) -> int:
        assert item == 9 or end.wait(10)
        return item

    with new_pool() as pool:
        assert next(each(pool, work, range(100))) == (9, 9)
        end.set()


def test_a_fault_is_returned_beside_its_own_item() -> None:
    fault = ValueError("no")

    def work(item: int) -> int:
        if item == 1:
            raise fault
        return item

    with new_pool() as pool:
        assert dict(each(pool, work, range(3))) == {0: 0, 1: fault, 2: 2}


def test_more_items_than_workers_are_all_done() -> None:
    with new_pool() as pool:
        assert dict(each(pool, str, range(95))) == {item: str(item) for item in range(95)}


def test_a_pool_serves_one_batch_after_another() -> None:
    with new_pool() as pool:
        for _ in range(3):
            assert dict(each(pool, len, ["a", "bb"])) == {"a": 1, "bb": 2}
        assert list(each(pool, len, [])) == []


def test_what_must_end_the_process_is_no_result() -> None:
    def work(_item: int) -> None:
        raise KeyboardInterrupt

    with new_pool() as pool, pytest.raises(KeyboardInterrupt):
        list(each(pool, work, [1]))
