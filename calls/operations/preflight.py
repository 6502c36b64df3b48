"""Check rows before anything is sent, and name them so that no row is ever two calls.

The stack deduplicates by the request's id, so every row gets one: its own, or one derived from everything in the row.
The same row is then the same call however often the file is run, in whatever order, whichever other rows were fixed in
between, and however a spreadsheet has rewritten its dates, times and numbers. A changed row is another call.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field
from pydantic_core import from_json

from calls.operations.masking import Mask, mask_value
from calls.operations.requests_file import Row
from calls.operations.rewriting import canonical_value
from outbound_calls.contracts.messages import CallRequestMessage, read_call_request
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.contracts.wire import InvalidInput, WireModel, validate
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.domain.recipients import organization_key
from outbound_calls.use_cases.new_attempt import Defaults, with_defaults


class InvalidRow(WireModel):
    """A row that breaks a rule."""

    row: int
    field: str
    rule: str
    column: str | None = Field(None, description="the column's letter, in a table")
    value: str | None = Field(None, description="the cell, masked")

    @classmethod
    def of(cls, row: Row, error: InvalidInput) -> InvalidRow:
        """The row with the error's public text: its `field` may be a name that the row made up."""
        field, _, rule = str(error).partition(": ")
        column, value = row.place(error.field) or (None, None)
        return cls(
            row=row.number,
            field=field,
            rule=rule,
            column=column,
            value=mask_value(value, is_number=field == "phoneNumber"),
        )


class InvalidRows(WireModel):
    """The rows of a file that break a rule, where one of them stops the whole file."""

    invalid: list[InvalidRow]


class DuplicateRow(WireModel):
    """A row with the same content as an earlier one."""

    row: int
    request_id: str
    same_as_row: int


class SimilarRows(WireModel):
    """Rows with the same number and the same variables, under different ids."""

    rows: list[int]
    phone_number: str


class KnownRow(WireModel):
    """A row whose request the stack already has."""

    row: int
    organization: str | None = Field(None, description="absent for the default organization")
    request_id: str
    status: Status


class RewrittenRow(WireModel):
    """A row that calls a number which was placed before, under another id."""

    row: int
    request_id: str
    phone_number: str
    placed_at: str = Field(description="when it was placed under the other id")


class PlacedBefore(WireModel):
    """What was placed of a file before, from this machine."""

    rows: int = Field(description="rows that were placed as they are")
    last_at: str | None = Field(None, description="when the last of them was placed")
    rewritten: list[RewrittenRow] = Field(description="rows to send that were perhaps placed as something else")


class Preflight(WireModel):
    """The result of the checks. Each row is in one of `to_send` (a count), `invalid`, `duplicate` and `known`."""

    rows: int
    to_send: int
    invalid: list[InvalidRow]
    duplicate: list[DuplicateRow]
    known: list[KnownRow]
    similar: list[SimilarRows] = Field(description="a warning: these are sent")
    placed_before: PlacedBefore | None = Field(None, description="what was placed of the file from this machine")
    derived_ids: int = Field(description="rows without a requestId, which got one derived from their content")

    @property
    def rewritten(self) -> list[RewrittenRow]:
        """The rows to send that were perhaps placed as something else."""
        return self.placed_before.rewritten if self.placed_before else []

    def with_placed(self, placed: PlacedBefore) -> Preflight:
        """With what was placed before."""
        return self.model_copy(update={"placed_before": placed})


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """A row that is a valid request, with its id. Holds the queue message alone: a file may have 100,000 rows."""

    row: int
    body: str
    request_id: str
    id_derived: bool = False
    organization: str | None = None

    @classmethod
    def of(cls, row: int, request: CallRequestMessage, *, id_derived: bool = False) -> CheckedRow:
        """A row with this request, which has an id."""
        organization = organization_key(request.organization)
        return cls(row, request.model_dump_json(exclude_none=True), str(request.request_id), id_derived, organization)

    @property
    def key(self) -> AttemptKey:
        """The attempt that it asks for."""
        return AttemptKey(RequestKey(self.request_id, self.organization), 1)

    @property
    def request(self) -> CallRequestMessage:
        """The request that it is."""
        return validate(CallRequestMessage, from_json(self.body))


@dataclass(frozen=True, slots=True)
class RowIds:
    """Derives ids for rows that have none, and puts the rows into a batch.

    Ids appear in logs, and a phone number alone is easily found from its hash. So the hash is keyed with the stack's
    ARN, which contains a random UUID and appears in no log. `batch` separates equal rows that are meant to be two
    calls, such as next month's.
    """

    stack_arn: str
    batch: str = ""

    def derive(self, request: CallRequestMessage) -> str:
        """The id for a request, from everything in it but what a spreadsheet rewrites."""
        content = _text([self.batch, _meant(request)])
        return f"row-{hmac.digest(self.stack_arn.encode(), content.encode(), hashlib.sha256).hex()[:24]}"

    def identified(self, request: CallRequestMessage) -> CallRequestMessage:
        """The request with its own id, or with a derived one, and in this batch.

        Raises:
            InvalidInput: When it is of another batch.
        """
        if self.batch and request.batch not in {None, self.batch}:
            raise InvalidInput("batch", "the same as --batch, or empty")
        request_id = request.request_id or self.derive(request)
        return request.model_copy(update={"request_id": request_id, "batch": self.batch or request.batch})


type Lookup = Callable[[Collection[AttemptKey]], Mapping[AttemptKey, Status]]
"""Returns the statuses of those attempts that the stack has."""


def read_request(message: str, defaults: Defaults) -> CallRequestMessage:
    """The request in a message, unchanged, if a stack with these defaults can place it.

    Raises:
        InvalidInput: With the field and the rule.
    """
    request = read_call_request(message)
    with_defaults(request, defaults.of(request.organization))
    return request


def read_row(row: Row, ids: RowIds, defaults: Defaults) -> CheckedRow:
    """The valid request in a row, with its id.

    Raises:
        InvalidInput: With the field and the rule.
    """
    if row.error:
        raise row.error
    request = read_request(row.message, defaults)
    return CheckedRow.of(row.number, ids.identified(request), id_derived=request.request_id is None)


def check_rows(
    rows: Iterable[Row], ids: RowIds, defaults: Defaults, lookup: Lookup, mask: Mask
) -> tuple[Preflight, list[CheckedRow]]:
    """Check all rows. Returns the result, and the rows to send."""
    first, invalid, duplicate = read_requests(rows, ids, defaults)
    statuses = lookup([each.key for each in first])
    new = [each for each in first if each.key not in statuses]
    derived = {each.request_id for each in first if each.id_derived}
    preflight = Preflight(
        rows=len(first) + len(invalid) + len(duplicate),
        to_send=len(new),
        invalid=invalid,
        duplicate=duplicate,
        known=[
            KnownRow(
                row=each.row,
                organization=each.key.request.organization,
                request_id=each.request_id,
                status=statuses[each.key],
            )
            for each in first
            if each.key in statuses
        ],
        similar=_similar(new, mask),
        derived_ids=len(derived) + sum(each.request_id in derived for each in duplicate),
    )
    return preflight, new


def read_requests(
    rows: Iterable[Row], ids: RowIds, defaults: Defaults
) -> tuple[list[CheckedRow], list[InvalidRow], list[DuplicateRow]]:
    """The requests in these rows, each once, and the rows that are invalid or repeat an earlier one."""
    valid, invalid = _read(rows, ids, defaults)
    first: list[CheckedRow] = []
    duplicate: list[DuplicateRow] = []
    for key, (one, *others) in _by_key(valid).items():
        if all(_same(one, other) for other in others):
            first.append(one)
            duplicate += [
                DuplicateRow(row=other.row, request_id=key.request_id, same_as_row=one.row) for other in others
            ]
        else:
            # Nothing shows which row is meant. The stack would dial the one that comes first.
            numbers = [each.row for each in (one, *others)]
            rule = f"one id, one call: rows {_list(numbers)} have different content"
            if one.id_derived:
                rule = f"rows {_list(numbers)} may be the same call, with a date rewritten: give each a requestId"
            invalid += [InvalidRow(row=number, field="requestId", rule=rule) for number in numbers]
    return first, sorted(invalid, key=_row), sorted(duplicate, key=_row)


def _same(one: CheckedRow, other: CheckedRow) -> bool:
    """Whether two rows with one id are the same call."""
    if one.body == other.body:
        return True
    first, second = one.request, other.request
    if one.id_derived and other.id_derived:
        return _meant(first, certain=True) == _meant(second, certain=True)
    return first == second


def _row(each: InvalidRow | DuplicateRow) -> int:
    return each.row


def _read(rows: Iterable[Row], ids: RowIds, defaults: Defaults) -> tuple[list[CheckedRow], list[InvalidRow]]:
    valid: list[CheckedRow] = []
    invalid: list[InvalidRow] = []
    for row in rows:
        try:
            valid.append(read_row(row, ids, defaults))
        except InvalidInput as error:
            invalid.append(InvalidRow.of(row, error))
    return valid, invalid


def _by_key(rows: Iterable[CheckedRow]) -> dict[RequestKey, list[CheckedRow]]:
    groups: dict[RequestKey, list[CheckedRow]] = defaultdict(list)
    for each in rows:
        groups[each.key.request].append(each)
    return groups


def _similar(rows: Iterable[CheckedRow], mask: Mask) -> list[SimilarRows]:
    groups: dict[bytes, list[CheckedRow]] = defaultdict(list)
    for each in rows:
        request = each.request
        content = _text([request.phone_number, request.dynamic_variables or {}])
        groups[hashlib.sha256(content.encode()).digest()].append(each)
    return [
        SimilarRows(rows=[each.row for each in group], phone_number=mask(group[0].request.phone_number))
        for group in groups.values()
        if len(group) > 1
    ]


def _text(value: object) -> str:
    """A JSON value as one text, whatever the order of its fields."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _meant(request: CallRequestMessage, *, certain: bool = False) -> dict[str, Any]:
    """A request as it was before a spreadsheet rewrote it."""
    fields: dict[str, Any] = canonical_value(request.wire(), certain=certain)
    return fields | {"phoneNumber": request.phone_number}


def _list(rows: Iterable[int]) -> str:
    return ", ".join(map(str, rows))
