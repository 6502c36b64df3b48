"""A batch is worked on side by side, and one item's fault stays its own."""

import threading

import pytest

from outbound_calls.runtime.workers import WORKERS, each, new_pool


def test_as_many_as_there_are_workers_are_under_way_at_once() -> None:
    together = threading.Barrier(WORKERS)

    def work(item: int) -> int:
        # Passes only when all of them are in here.
        together.wait(10)
        return item * 2

    with new_pool() as pool:
        assert list(each(pool, work, range(WORKERS))) == [(item, item * 2) for item in range(WORKERS)]


def test_results_come_in_the_order_of_the_items() -> None:
    last_is_done = threading.Event()

    def work(item: str) -> str:
        if item == "last":
            last_is_done.set()
        assert last_is_done.wait(10)
        return item

    with new_pool() as pool:
        assert [item for item, _ in each(pool, work, ["first", "second", "last"])] == ["first", "second", "last"]


def test_a_fault_is_returned_beside_its_own_item() -> None:
    fault = ValueError("no")

    def work(item: int) -> int:
        if item == 1:
            raise fault
        return item

    with new_pool() as pool:
        assert list(each(pool, work, range(3))) == [(0, 0), (1, fault), (2, 2)]


def test_more_items_than_workers_are_all_done() -> None:
    with new_pool() as pool:
        assert [result for _, result in each(pool, str, range(95))] == [str(item) for item in range(95)]


def test_a_pool_serves_one_batch_after_another() -> None:
    with new_pool() as pool:
        for _ in range(3):
            assert list(each(pool, len, ["a", "bb"])) == [("a", 1), ("bb", 2)]
        assert list(each(pool, len, [])) == []


def test_what_must_end_the_process_is_no_result() -> None:
    def work(_item: int) -> None:
        raise KeyboardInterrupt

    with new_pool() as pool, pytest.raises(KeyboardInterrupt):
        list(each(pool, work, [1]))
