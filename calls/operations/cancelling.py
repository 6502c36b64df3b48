"""Cancel requests by hand: one by one, those of a file, or all of a batch."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, ValidationError
from pydantic_core import from_json

from calls.operations.in_parallel import in_parallel
from calls.operations.preflight import InvalidRow, RowIds, read_row
from calls.operations.records import Counted, Records
from calls.operations.requests_file import REQUESTS, Columns, Row
from outbound_calls.adapters.conditional_writes import WriteUnanswered
from outbound_calls.adapters.policy_table import PolicyTable
from outbound_calls.contracts.messages import read_message
from outbound_calls.contracts.vocabulary import OutcomeSource, Status
from outbound_calls.contracts.wire import (
    ORGANIZATION_RULE,
    ORGANIZATION_SEPARATOR,
    AttemptNumber,
    InvalidInput,
    OrganizationName,
    RequestId,
    WireModel,
    validate,
)
from outbound_calls.domain.attempts import RequestKey
from outbound_calls.domain.recipients import DEFAULT_ORGANIZATION
from outbound_calls.domain.timing import utc_text
from outbound_calls.use_cases.cancel import CancelRequests, CancelResult, RequestKeepsChanging
from outbound_calls.use_cases.new_attempt import Defaults

NOT_CONFIRMED = "not-confirmed"
"""The table didn't say whether it made the change. Doing it again shows which."""

NOT_TRIED = "not-tried"
"""Counted for requests that something stopped the command before."""

COLUMNS = Columns(REQUESTS.plain, REQUESTS.objects, nested=REQUESTS.nested)
"""The columns of a file of requests to cancel: those of `place`, of which `requestId` is enough."""


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
    requests: list[CancelledRequest] = Field(description="of a batch: those that hadn't ended")
    records_read: int | None = Field(None, description="to find the requests of a batch or a number")

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
        _check_organization(str(organization))
        text = f"{organization}{ORGANIZATION_SEPARATOR}{text}"
    return RequestKey.from_text(text.removeprefix(f"{DEFAULT_ORGANIZATION}{ORGANIZATION_SEPARATOR}"))


def _check_organization(name: str) -> None:
    kind: Any = OrganizationName
    try:
        validate(kind, name)
    except ValidationError:
        raise InvalidInput("organization", ORGANIZATION_RULE) from None


@dataclass(frozen=True, slots=True)
class Cancelling:
    """Cancels requests of one stack. `clock` is epoch seconds."""

    requests: CancelRequests
    records: Records
    table: PolicyTable
    clock: Callable[[], float] = time.time

    def cancel(
        self, keys: Sequence[RequestKey], on_done: Callable[[CancelledRequest], None] = lambda _done: None
    ) -> CancelReport:
        """Cancel these requests, those that the stack has never seen included. `on_done` gets each result at once."""
        return cancel_report(in_parallel(self._cancel, keys, on_done))

    def mark_batch(self, organization: str | None, batch: str) -> None:
        """Mark a batch as cancelled, so that nothing of it is dialled any more, nor what is still to come of it."""
        self.table.cancel_batch(own_name(organization), batch, OutcomeSource.OPERATOR, self.clock())

    def open_of_batch(self, organization: str | None, batch: str, counted: Counted) -> list[RequestKey]:
        """The requests of a batch that haven't ended.

        From the index of what is open, and the records of that organization's calls in it. What the index doesn't have
        yet is cancelled because the batch is marked.
        """
        found = self.records.open_of_batch(own_name(organization), batch, counted)
        return list(dict.fromkeys(key.request for key in found))

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


def own_name(organization: str | None) -> str | None:
    """An organization's name as the tables have it: None for the default one."""
    return None if organization == DEFAULT_ORGANIZATION else organization


def cancel_report(
    cancelled: Sequence[CancelledRequest], in_all: int | None = None, batch: str | None = None, read: int | None = None
) -> CancelReport:
    """The report of these requests, of so many. The others weren't tried."""
    counts = dict(sorted(Counter(each.result for each in cancelled).items()))
    if in_all is not None and (left := in_all - len(cancelled)) > 0:
        counts[NOT_TRIED] = left
    return CancelReport(batch=batch, counts=counts, requests=list(cancelled), records_read=read)
