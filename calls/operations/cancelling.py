"""Cancel requests by hand: one by one, those of a file, or all of a batch."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pydantic import Field
from pydantic_core import from_json

from calls.operations.preflight import InvalidRow, RowIds, read_row
from calls.operations.records import FoundAttempt, Records
from calls.operations.requests_file import REQUESTS, Columns, Row
from outbound_calls.adapters.calls_table import WriteUnanswered
from outbound_calls.adapters.policy_table import PolicyTable
from outbound_calls.contracts.messages import read_message
from outbound_calls.contracts.vocabulary import OutcomeSource, Status
from outbound_calls.contracts.wire import (
    ORGANIZATION_SEPARATOR,
    AttemptNumber,
    InvalidInput,
    OrganizationName,
    RequestId,
    WireModel,
)
from outbound_calls.domain.attempts import RequestKey
from outbound_calls.domain.recipients import DEFAULT_ORGANIZATION
from outbound_calls.domain.timing import utc_text
from outbound_calls.domain.transitions import TERMINAL
from outbound_calls.use_cases.cancel import CancelRequests, CancelResult, RequestKeepsChanging
from outbound_calls.use_cases.place import Defaults

NOT_CONFIRMED = "not-confirmed"
"""The table didn't say whether it made the change. Doing it again tells."""

COLUMNS = Columns(REQUESTS.plain, REQUESTS.objects, nested=REQUESTS.nested)
"""The columns of a file of requests to cancel: those of `place`, of which `requestId` is enough."""

_WORKERS = 8


class CancelledRequest(WireModel):
    """What happened to one request."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    request_id: RequestId
    result: str = Field(description=f"one of {', '.join(CancelResult)}, {NOT_CONFIRMED}")
    attempt: AttemptNumber | None = Field(None, description="the last attempt; absent where there is no record")
    status: Status | None = Field(None, description="its status when it was looked at")
    in_progress_since: str | None = Field(None, description="when AlloMia was asked for the call that is in progress")


class CancelReport(WireModel):
    """What happened to all of them."""

    batch: RequestId | None = Field(None, description="the batch, which is cancelled with what is still to come of it")
    counts: dict[str, int] = Field(description="requests by their result")
    requests: list[CancelledRequest] = Field(description="without those that had ended, where a batch is cancelled")

    @property
    def confirmed(self) -> bool:
        """Whether the result of each is known."""
        return NOT_CONFIRMED not in self.counts


def keys_in_file(
    rows: Iterable[Row], ids: RowIds, defaults: Defaults
) -> tuple[dict[RequestKey, None], list[InvalidRow]]:
    """The requests of a file, each once, and the rows that name none: by `requestId`, or by the id derived for it."""
    keys: dict[RequestKey, None] = {}
    invalid: list[InvalidRow] = []
    for row in rows:
        try:
            keys[_key_in(row, ids, defaults)] = None
        except InvalidInput as error:
            invalid.append(InvalidRow.of(row, error))
    return keys, invalid


def _key_in(row: Row, ids: RowIds, defaults: Defaults) -> RequestKey:
    # An error in another cell is no reason to have a person called.
    if row.error and row.error.field in {"row", "requestId"}:
        raise row.error
    try:
        fields = from_json(row.message)
    except ValueError:
        fields = None
    if isinstance(fields, dict) and isinstance(request_id := fields.get("requestId"), str):
        return request_key(request_id, fields.get("organization"))
    return read_row(row, ids, defaults).key.request


def check_batch(batch: str, organization: str | None) -> None:
    """Check the names of a batch and an organization by the rules of the message that would cancel it.

    Raises:
        InvalidInput: When no batch can have it.
    """
    message: dict[str, object] = {"cancel": {"batch": batch}}
    read_message(json.dumps(message | ({"organization": organization} if organization else {})))


def request_key(text: str, organization: object = None) -> RequestKey:
    """The key of a request by its id, or by its organization and id as the commands show them: ``north~visit-1``.

    Raises:
        InvalidInput: When no request can have it.
    """
    if organization and organization != DEFAULT_ORGANIZATION and ORGANIZATION_SEPARATOR not in text:
        text = f"{organization}{ORGANIZATION_SEPARATOR}{text}"
    return RequestKey.from_text(text.removeprefix(f"{DEFAULT_ORGANIZATION}{ORGANIZATION_SEPARATOR}"))


@dataclass(frozen=True, slots=True)
class Cancelling:
    """Cancels requests of one stack. `clock` is epoch seconds."""

    requests: CancelRequests
    records: Records
    table: PolicyTable
    clock: Callable[[], float] = time.time

    def cancel(self, keys: Sequence[RequestKey], on_done: Callable[[], None] = lambda: None) -> CancelReport:
        """Cancel these requests, those that the stack has never seen included."""
        cancelled = self._cancel_all(keys, on_done)
        return CancelReport(counts=_counts(cancelled), requests=cancelled)

    def cancel_batch(
        self, organization: str | None, batch: str, on_found: Callable[[int], Callable[[], None]]
    ) -> CancelReport:
        """Cancel every request of a batch, those not sent yet included.

        First the batch is marked, so that nothing of it is dialled any more, and then what the stack has of it is
        cancelled. `on_found` gets how many those are, and returns what to call after each.
        """
        own = None if organization == DEFAULT_ORGANIZATION else organization
        self.table.cancel_batch(own, batch, OutcomeSource.OPERATOR, self.clock())
        found: dict[RequestKey, list[FoundAttempt]] = {}
        for attempt in self.records.of_batch(own, batch):
            found.setdefault(attempt.key.request, []).append(attempt)
        going_on = [key for key, attempts in found.items() if any(map(_goes_on, attempts))]
        cancelled = self._cancel_all(going_on, on_found(len(going_on)))
        ended = {CancelResult.ENDED.value: len(found) - len(going_on)} if len(found) > len(going_on) else {}
        counts = dict(Counter(_counts(cancelled)) + Counter(ended))
        return CancelReport(
            batch=batch, counts=counts, requests=[each for each in cancelled if each.result != CancelResult.ENDED]
        )

    def _cancel_all(self, keys: Sequence[RequestKey], on_done: Callable[[], None]) -> list[CancelledRequest]:
        def cancel(key: RequestKey) -> CancelledRequest:
            try:
                return self._cancel(key)
            finally:
                on_done()

        with ThreadPoolExecutor(_WORKERS) as pool:
            return list(pool.map(cancel, keys))

    def _cancel(self, key: RequestKey) -> CancelledRequest:
        try:
            cancelled = self.requests.cancel(key, OutcomeSource.OPERATOR)
        except (WriteUnanswered, RequestKeepsChanging):
            return CancelledRequest(organization=key.organization, request_id=key.request_id, result=NOT_CONFIRMED)
        last = cancelled.attempt
        since = last.dispatched_at if last and cancelled.result is CancelResult.TOO_LATE else None
        return CancelledRequest(
            organization=key.organization,
            request_id=key.request_id,
            result=cancelled.result.value,
            attempt=last.key.number if last else None,
            status=last.status if last else None,
            in_progress_since=utc_text(since) if since else None,
        )


def _goes_on(attempt: FoundAttempt) -> bool:
    """Whether something may still follow for its request."""
    return attempt.status not in TERMINAL or attempt.redial_pending


def _counts(cancelled: Iterable[CancelledRequest]) -> dict[str, int]:
    return dict(sorted(Counter(each.result for each in cancelled).items()))
