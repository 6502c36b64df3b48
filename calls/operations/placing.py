"""Place calls: send checked rows to the call queue, and know which attempts to follow afterwards."""

from collections.abc import Collection, Iterable, Sequence

from pydantic import Field

from calls.operations.following import Following
from calls.operations.forecasting import Forecasts
from calls.operations.placing_again import AgainPreflight
from calls.operations.preflight import CheckedRow, KnownRow, Preflight
from calls.operations.sending import NOT_CONFIRMED, OnSent, Sender
from outbound_calls.contracts.wire import WireModel
from outbound_calls.domain.attempts import AttemptKey, RequestKey


class UnsentRow(WireModel):
    """A row that SQS did not confirm."""

    row: int
    request_id: str
    reason: str


class PlaceReport(WireModel):
    """The result of placing calls."""

    preflight: Preflight | AgainPreflight
    policy: Forecasts | None = Field(None, description="with --dry-run: what policy would do now with the valid rows")
    sent: int | None = Field(None, description="absent when nothing was to be sent: --dry-run, or invalid rows")
    invalid_rows_in: str | None = Field(None, description="with --skip-invalid: the new file with the invalid rows")
    unsent: list[UnsentRow] = Field(default_factory=list)
    following: Following | None = Field(None, description="with --wait: the state of the calls")


def send_rows(rows: Sequence[CheckedRow], sender: Sender, on_sent: OnSent = lambda _position: None) -> list[UnsentRow]:
    """Send these rows; returns those that SQS did not confirm."""
    unsent = sender.send([each.body for each in rows], on_sent)
    return [
        UnsentRow(row=rows[position].row, request_id=rows[position].request_id, reason=reason)
        for position, reason in sorted(unsent.items())
    ]


def unsent_rows(rows: Sequence[CheckedRow], sent: Collection[int]) -> list[UnsentRow]:
    """The rows that aren't at one of the positions that SQS confirmed before something stopped the sending."""
    return [
        UnsentRow(row=each.row, request_id=each.request_id, reason=NOT_CONFIRMED)
        for position, each in enumerate(rows)
        if position not in sent
    ]


def attempts_to_follow(
    known: Iterable[KnownRow], rows: Iterable[CheckedRow], unsent: Iterable[UnsentRow]
) -> dict[AttemptKey, int]:
    """The attempts of the rows that were sent or already known, each with its row."""
    not_sent = {each.row for each in unsent}
    sent = {each.key: each.row for each in rows if each.row not in not_sent}
    return sent | {AttemptKey(RequestKey(each.request_id, each.organization), 1): each.row for each in known}
