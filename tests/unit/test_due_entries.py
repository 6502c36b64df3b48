"""What an entry of the index `due` stands for."""

from __future__ import annotations

from typing import Any

import pytest

from outbound_calls.adapters.calls_table import DueEntry
from outbound_calls.adapters.due_entries import DueBatch, DueKeeper, due_entry, shard_of
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from tests.unit.parts import KEY


def entry(request_id: str, attempt: int = 0, **more: Any) -> dict[str, Any]:
    return {"requestId": {"S": request_id}, "attempt": {"N": str(attempt)}, "dueAt": {"N": "5"}, **more}


@pytest.mark.parametrize(
    ("found", "due"),
    [
        (entry("visit-2031", 1), DueEntry(KEY, 5)),
        (entry("clinic-a~visit-2031", 2), DueEntry(AttemptKey(RequestKey("visit-2031", "clinic-a"), 2), 5)),
        (entry("~~keeper"), DueKeeper(None, 5)),
        (entry("clinic-a~~keeper"), DueKeeper("clinic-a", 5)),
        (entry("~~batch~recalls"), DueBatch(None, "recalls", 5)),
        (entry("clinic-a~~batch~recalls"), DueBatch("clinic-a", "recalls", 5)),
        (entry("clinic-a~~batch~~~batch~"), DueBatch("clinic-a", "~~batch~", 5)),
        (entry("visit-2031"), DueEntry(AttemptKey(RequestKey("visit-2031"), 0), 5)),
    ],
)
def test_an_attempt_a_keeper_or_a_batch_is_due(found: dict[str, Any], due: object) -> None:
    read = due_entry(found)

    assert (type(read), read) == (type(due), due)
    assert type(read.due_at) is int


@pytest.mark.parametrize("request_id", ["clinic-a~~keeper", "clinic-a~~batch~recalls"])
def test_only_attempt_0_is_a_keeper_or_a_batch(request_id: str) -> None:
    with pytest.raises(InvalidInput):
        due_entry(entry(request_id, 1))


def test_the_shard_of_a_page_is_that_of_its_entries() -> None:
    two, three = ({"dueShard": {"N": number}} for number in "23")

    assert shard_of([two, three]) == 2
    assert shard_of([entry("visit-2031", 1), three]) == 3
    assert (shard_of([]), shard_of([entry("visit-2031", 1)])) == (0, 0)
