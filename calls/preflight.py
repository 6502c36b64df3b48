"""What would become of the rows of a file, before anything is sent.

A request's id is what keeps a call from being placed twice, so every row gets one: its own, or one that follows from
what the row says. The same row is then the same call, however often the file is run, in whatever order, and whichever
of its other rows have been mended meanwhile; a row that was changed is another call.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from calls.masking import Mask
from calls.requests_file import Row
from outbound_calls.contracts import AttemptKey, CallRequest, InvalidInput, Release, Wire, read_message
from outbound_calls.lifecycle import Status


class Refusal(Wire):
    """A row that cannot become a call."""

    row: int
    field: str
    rule: str


class Repeated(Wire):
    """A row that says what an earlier one said, word for word."""

    row: int
    request_id: str
    same_as_row: int


class Alike(Wire):
    """Rows that would call the same number with the same variables, each under an id of its own."""

    rows: list[int]
    phone_number: str


class Known(Wire):
    """A row whose request the stack has already."""

    row: int
    request_id: str
    status: Status


class Preflight(Wire):
    """What would become of the rows. Each is in exactly one of `to_send`, `refused`, `repeated` and `already_there`."""

    rows: int
    to_send: int
    refused: list[Refusal]
    repeated: list[Repeated]
    already_there: list[Known]
    alike: list[Alike] = Field(description="a warning: these are sent")
    ids_from_rows: int = Field(description="rows without a requestId, which got one that follows from what they say")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row that is a request, with the id that it goes by."""

    row: int
    request: CallRequest

    @property
    def key(self) -> AttemptKey:
        """The attempt that it will be."""
        return AttemptKey(request_id=str(self.request.request_id), attempt=1)

    @property
    def body(self) -> str:
        """The message that asks for it."""
        return self.request.model_dump_json(exclude_none=True)


@dataclass(frozen=True, slots=True)
class Naming:
    """Makes the ids of rows that have none.

    Ids are in logs, and a phone number alone is soon guessed from its hash: so the hash takes a key, the stack's ARN,
    which holds a random UUID and is in no log. `batch` tells rows apart that say the same and are meant to be two
    calls, such as next month's.
    """

    stack_arn: str
    batch: str = ""

    def id_of(self, request: CallRequest) -> str:
        """The id of a request, from all that it says."""
        said = json.dumps([self.batch, request.wire()], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return f"row-{hmac.digest(self.stack_arn.encode(), said.encode(), hashlib.sha256).hex()[:24]}"

    def named(self, request: CallRequest) -> CallRequest:
        """The request with its own id, or with one made for it."""
        return request if request.request_id else request.model_copy(update={"request_id": self.id_of(request)})


type Complete = Callable[[CallRequest], CallRequest]
"""Fills in the stack's defaults, or refuses."""

type Lookup = Callable[[Collection[AttemptKey]], Mapping[AttemptKey, Status]]
"""The statuses of those attempts that the stack has."""


def read_request(message: str, complete: Complete) -> CallRequest:
    """The request in a message, as it came, if the stack can place it.

    Raises:
        InvalidInput: with the field and the rule.
    """
    request = read_message(message)
    if isinstance(request, Release):
        raise InvalidInput("release", str(Release.model_fields["release"].description))
    complete(request)
    return request


def look_over(
    rows: Sequence[Row], naming: Naming, complete: Complete, lookup: Lookup, mask: Mask
) -> tuple[Preflight, list[Prepared]]:
    """Look over all rows; returns what was found, and the rows that are to be sent."""
    prepared, refused, made_ids = _read(rows, naming, complete)
    by_id: dict[str, list[Prepared]] = defaultdict(list)
    for each in prepared:
        by_id[each.key.request_id].append(each)
    first: list[Prepared] = []
    repeated: list[Repeated] = []
    for request_id, (one, *others) in by_id.items():
        if all(other.request == one.request for other in others):
            first.append(one)
            repeated += [Repeated(row=other.row, request_id=request_id, same_as_row=one.row) for other in others]
        else:
            # Which of them is meant, nobody can tell; the stack would dial whichever comes first.
            rule = f"one id, one call: the rows {_list(each.row for each in (one, *others))} say different things"
            refused += [Refusal(row=each.row, field="requestId", rule=rule) for each in (one, *others)]
    statuses = lookup([each.key for each in first])
    new = [each for each in first if each.key not in statuses]
    return Preflight(
        rows=len(rows),
        to_send=len(new),
        refused=sorted(refused, key=lambda refusal: refusal.row),
        repeated=sorted(repeated, key=lambda each: each.row),
        already_there=[
            Known(row=each.row, request_id=each.key.request_id, status=statuses[each.key])
            for each in first
            if each.key in statuses
        ],
        alike=_alike(new, mask),
        ids_from_rows=made_ids,
    ), new


def _read(rows: Iterable[Row], naming: Naming, complete: Complete) -> tuple[list[Prepared], list[Refusal], int]:
    prepared: list[Prepared] = []
    refused: list[Refusal] = []
    made_ids = 0
    for row in rows:
        try:
            if row.fault:
                raise row.fault
            request = read_request(row.message, complete)
        except InvalidInput as refusal:
            # Its text and not its field, which may be a name that the row made up.
            field, _, rule = str(refusal).partition(": ")
            refused.append(Refusal(row=row.number, field=field, rule=rule))
            continue
        made_ids += not request.request_id
        prepared.append(Prepared(row.number, naming.named(request)))
    return prepared, refused, made_ids


def _alike(prepared: Iterable[Prepared], mask: Mask) -> list[Alike]:
    groups: dict[tuple[str, str], list[Prepared]] = defaultdict(list)
    for each in prepared:
        variables = json.dumps(each.request.dynamic_variables or {}, sort_keys=True)
        groups[each.request.phone_number, variables].append(each)
    return [
        Alike(rows=[each.row for each in group], phone_number=mask(number))
        for (number, _), group in groups.items()
        if len(group) > 1
    ]


def _list(rows: Iterable[int]) -> str:
    return ", ".join(map(str, rows))
