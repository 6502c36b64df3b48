"""Cancel what is open of a batch, which a message has marked as cancelled: a part of the index in each sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from outbound_calls.adapters.batch_searches import BatchSearches
from outbound_calls.contracts.vocabulary import OutcomeSource
from outbound_calls.use_cases.cancel import CancelRequests

if TYPE_CHECKING:
    from outbound_calls.adapters.calls_table import CallsTable
    from outbound_calls.adapters.due_entries import DueBatch
    from outbound_calls.domain.attempts import RequestKey

SECONDS_TO_SEARCH = 10.0
"""What must be left of an invocation to cancel a page of requests and note it."""

_MOST_SECONDS = 20.0
"""How long one sweep searches for a batch: the page of due attempts that it came with waits for it."""

_MOST_PAGES = 100


@dataclass(frozen=True, slots=True)
class BatchCancellation:
    """What one sweep cancelled of a batch: how many requests, by result; and whether the whole index is searched."""

    results: Counter[str] = field(default_factory=Counter)
    is_whole: bool = False


@dataclass(eq=False, slots=True)
class CancelBatches:
    """The use case. `clock` is epoch seconds."""

    table: CallsTable
    clock: Callable[[], float]

    def go_on(self, due: DueBatch, seconds_left: Callable[[], float]) -> BatchCancellation | None:
        """Cancel what the next entries of the index hold of a batch. None when another sweep does.

        What moves within the index meanwhile may be missed. It then comes up, and is cancelled by the batch's mark.

        Raises when the table can't be reached, or a request keeps changing. The next sweep continues from the page.
        """
        searches = BatchSearches(self.table)
        search = searches.lease_batch(due, self.clock())
        if search is None:
            return None
        cancelled, began_with = BatchCancellation(), seconds_left()
        for _ in range(_MOST_PAGES):
            if seconds_left() < max(SECONDS_TO_SEARCH, began_with - _MOST_SECONDS):
                break
            requests, following = searches.search_batch(search)
            cancelled.results.update(self._cancel_each(requests))
            if following is None:
                searches.rest_batch(search)
                return BatchCancellation(cancelled.results, is_whole=True)
            search = following
            searches.note_searched(search)
        return cancelled

    def _cancel_each(self, requests: list[RequestKey]) -> Counter[str]:
        cancel = CancelRequests(self.table, self.clock)
        return Counter(cancel.cancel(each, OutcomeSource.UPSTREAM).result.value for each in requests)
