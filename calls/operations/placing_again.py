"""Send again the requests of a file that were rejected, and never dialled.

The id of a rejected request is used up, so it goes out under another one that is derived from it: ``ID.2``, then
``ID.3``. Only what is rejected under its latest id gets the next one. So running the same command twice sends nothing
twice: until the stack has a record of ``ID.2``, it is sent under that same id again, which makes it one call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace

from pydantic import Field

from calls.operations.preflight import CheckedRow, DuplicateRow, InvalidRow, RewrittenRow, RowIds, read_requests
from calls.operations.records import FoundAttempt, Records
from calls.operations.requests_file import Row
from outbound_calls.contracts.vocabulary import Dialled, ReasonCode, Status
from outbound_calls.contracts.wire import InvalidInput, RequestId, WireModel, check_request_key
from outbound_calls.domain.attempts import RequestKey
from outbound_calls.use_cases.new_attempt import Defaults

NOT_SENT_BEFORE = "not sent before"
"""Counted for a row that the stack has no record of."""

MAY_HAVE_RUNG = "rejected, after an attempt that may have rung"

_AGAIN = frozenset({ReasonCode.REFUSED_BY_ALLOMIA, ReasonCode.EXPIRED})


class AgainRow(WireModel):
    """A row that is sent again."""

    row: int
    request_id: RequestId = Field(description="the new id")
    rejected_id: RequestId = Field(description="the id under which it was rejected last")
    reason_code: ReasonCode
    reason: str | None = None


class AgainPreflight(WireModel):
    """What sending again would do. Each row is in one of `again`, `invalid`, `duplicate` and `others` (counts)."""

    rows: int
    to_send: int
    again: list[AgainRow]
    invalid: list[InvalidRow]
    duplicate: list[DuplicateRow]
    others: dict[str, int] = Field(description="the rows that aren't sent again, counted by their latest status")

    @property
    def rewritten(self) -> list[RewrittenRow]:
        """None: what is sent again was asked for."""
        return []


@dataclass(frozen=True, slots=True)
class _Latest:
    """The last id under which a row has a record: its own (number 1), or one derived from that (2, 3, …)."""

    row: CheckedRow
    number: int
    attempts: list[FoundAttempt]

    @property
    def next_key(self) -> RequestKey:
        """The key after it."""
        return replace(self.row.key.request, request_id=f"{self.row.request_id}.{self.number + 1}")

    @property
    def again(self) -> bool:
        """Whether it was rejected for a reason that may be gone, and certainly never dialled."""
        last = self.attempts[-1]
        never_dialled = all(each.dialled is Dialled.NO for each in self.attempts)
        return last.status is Status.REJECTED and last.reason_code in _AGAIN and never_dialled

    @property
    def status(self) -> str:
        """What it is counted by when it isn't sent again."""
        last = self.attempts[-1]
        if last.status is not Status.REJECTED:
            return last.status.value
        return MAY_HAVE_RUNG if last.reason_code in _AGAIN else f"{last.status}: {last.reason_code}"


def check_again(
    rows: Iterable[Row], ids: RowIds, defaults: Defaults, records: Records
) -> tuple[AgainPreflight, list[CheckedRow]]:
    """Find the rows that were rejected. Returns the result, and the rows to send, each under its new id."""
    first, invalid, duplicate = read_requests(rows, ids, defaults)
    row_count = len(first) + len(invalid) + len(duplicate)
    own_keys = {each.key.request for each in first}
    latest = _latest(first, own_keys, records)
    others = Counter({NOT_SENT_BEFORE: len(first) - len(latest)})
    again: list[AgainRow] = []
    to_send: list[CheckedRow] = []
    for each in latest:
        if not each.again:
            others[each.status] += 1
        elif rule := _broken_rule(each.next_key, own_keys):
            invalid.append(InvalidRow(row=each.row.row, field="requestId", rule=rule))
        else:
            again.append(_again_row(each))
            request = each.row.request.model_copy(update={"request_id": each.next_key.request_id})
            to_send.append(CheckedRow.of(each.row.row, request, id_derived=each.row.id_derived))
    preflight = AgainPreflight(
        rows=row_count,
        to_send=len(to_send),
        again=again,
        invalid=sorted(invalid, key=lambda each: each.row),
        duplicate=duplicate,
        others={status: count for status, count in sorted(others.items()) if count},
    )
    return preflight, to_send


def latest_of(rows: Sequence[CheckedRow], records: Records) -> dict[int, list[FoundAttempt]]:
    """By row: all attempts of its request, under the latest id of those that sending it again derives."""
    return {each.row.row: each.attempts for each in _latest(rows, {each.key.request for each in rows}, records)}


def _latest(rows: Iterable[CheckedRow], own_keys: Set[RequestKey], records: Records) -> list[_Latest]:
    """The latest of each row that has a record. Stops before an id that is another row's own."""
    latest: dict[int, _Latest] = {}
    asked = {each.key.request: (each, 1) for each in rows}
    while asked:
        found = [_Latest(*asked[key], attempts) for key, attempts in records.requests(asked).items()]
        latest |= {each.row.row: each for each in found}
        asked = {
            each.next_key: (each.row, each.number + 1) for each in found if each.again and each.next_key not in own_keys
        }
    return [latest[row] for row in sorted(latest)]


def _broken_rule(key: RequestKey, own_keys: Set[RequestKey]) -> str | None:
    if key in own_keys:
        return f"its next id, {key.request_id}, is another row's own"
    try:
        check_request_key(key.request_id)
    except InvalidInput:
        return "too long to derive another id from it"
    return None


def _again_row(latest: _Latest) -> AgainRow:
    last = latest.attempts[-1]
    return AgainRow(
        row=latest.row.row,
        request_id=latest.next_key.request_id,
        rejected_id=last.request_id,
        reason_code=ReasonCode(last.reason_code or ""),
        reason=last.reason,
    )
