"""What people look at most, at three widths. `python -m tests.unit.calls.widths` writes the golden files again."""

import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

import calls.cli.app  # noqa: F401 - registers every form
from calls.cli.render import render
from calls.operations.auditing import Audit, AuditedDial
from calls.operations.cancelling import CancelledRequest, CancelReport
from calls.operations.do_not_call import ImportReport, ListedEntry, NumberReport, UnwrittenRow
from calls.operations.following import FollowedAttempt, Following
from calls.operations.placing import PlaceReport, UnsentRow
from calls.operations.preflight import DuplicateRow, InvalidRow, KnownRow, Preflight, SimilarRows
from calls.operations.records import FoundAttempt, SearchResult
from calls.operations.redriving import RedriveReport, UnsentMessage
from calls.operations.resolving_many import ManyResolved, UnresolvedCall
from calls.operations.waiting_messages import QueueListing, WaitingMessage
from calls.operations.watching import QueueDepth, StackState
from outbound_calls.contracts.status_api import PossibleZone, RequestReport
from outbound_calls.contracts.vocabulary import Dialled, OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.contracts.wire import WireModel
from tests.unit.calls.reports import REPORT

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = (60, 80, 120)
MESSAGE_ID = "f2c0a1de-6a4e-4c4e-9d8a-0f0f4e1b7a11"
LONG_ID = "reminder-" + "x" * 119
"""As long as an id can be."""

CALLS = [
    FoundAttempt(
        request_id="reminder-A-1001",
        attempt=2,
        status=Status.UNKNOWN,
        final=False,
        dialled=Dialled.MAYBE,
        created_at="2026-12-01T14:25:00Z",
        recorded_at="2026-12-01T16:30:00Z",
        outcome_source=OutcomeSource.DEADLINE,
        reason_code=ReasonCode.NO_OUTCOME,
        reason="no answer, no webhook and nothing in the call log until the deadline",
        metadata={"appointmentId": "A-1001"},
    ),
    FoundAttempt(
        organization="boston",
        request_id="reminder-7",
        attempt=1,
        status=Status.REJECTED,
        final=True,
        dialled=Dialled.NO,
        created_at="2026-12-01T14:25:00Z",
        recorded_at="2026-12-01T14:26:00Z",
        outcome_source=OutcomeSource.DISPATCH,
        reason_code=ReasonCode.REFUSED_BY_ALLOMIA,
        reason="AlloMia: the phone number is not valid in this country, please check it and try again",
    ),
    FoundAttempt(
        request_id="reminder-A-1002",
        attempt=1,
        status=Status.SCHEDULED,
        final=False,
        dialled=Dialled.NO,
        created_at="2026-12-02T03:25:00Z",
        due_at="2026-12-02T14:00:00Z",
        park_reason=ParkReason.OUTSIDE_CALLING_WINDOW,
    ),
]
WITH_A_LONG_ID = [*CALLS, CALLS[0].model_copy(update={"request_id": LONG_ID, "attempt": 1, "metadata": {}})]
FOLLOWED = [
    FollowedAttempt(
        request_id="reminder-A-1001",
        attempt=1,
        row=2,
        status="unknown",
        ended=True,
        dialled=Dialled.MAYBE,
        reason_code=ReasonCode.NO_OUTCOME,
    ),
    FollowedAttempt(
        request_id="row-0123456789abcdef01234567",
        attempt=1,
        row=1999,
        status="scheduled",
        ended=False,
        park_reason=ParkReason.OUTSIDE_CALLING_WINDOW,
    ),
    *(
        FollowedAttempt(
            request_id=f"reminder-A-{number}",
            attempt=1,
            row=number,
            status="completed",
            ended=True,
            dialled=Dialled.YES,
        )
        for number in range(1002, 1037)
    ),
]
RESULTS: dict[str, WireModel] = {
    "list": SearchResult(
        calls=CALLS,
        by_status={"rejected": 1, "unknown": 1, "scheduled": 1},
        more=True,
        open=10_000,
        records_read=103,
    ),
    "list-with-a-long-id": SearchResult(
        calls=WITH_A_LONG_ID, by_status={"rejected": 1, "unknown": 2, "scheduled": 1}, more=False, records_read=4
    ),
    "list-of-nothing": SearchResult(calls=[], by_status={}, more=False, open=0, records_read=0),
    "watch": StackState(
        total=10_000,
        open={"calling": 12, "dispatching": 3, "scheduled": 985},
        not_read=9000,
        queues=[
            QueueDepth(queue="requests", waiting=1200, held=10),
            QueueDepth(queue="invalid messages", waiting=2, held=0),
        ],
        ended_by_status={"completed": 400, "rejected": 1, "unknown": 1},
        ended=CALLS[:2],
    ),
    "place-and-wait": PlaceReport(
        preflight=Preflight(rows=38, to_send=38, invalid=[], duplicate=[], known=[], similar=[], derived_ids=1),
        sent=37,
        unsent=[UnsentRow(row=7, request_id="reminder-A-1006", reason="AccessDenied")],
        following=Following(calls=FOLLOWED, ended=36, all_ended=False, needs_a_person=True),
    ),
    "invalid": QueueListing(
        queue="invalid messages",
        messages=[
            WaitingMessage(
                id=MESSAGE_ID,
                request_id="reminder-A-1001",
                phone_number="+1514•••••99",
                reason="phoneNumber: required, E.164 such as +15145550199",
                age_seconds=100_000,
                expired=True,
            ),
            WaitingMessage(id=MESSAGE_ID, reason="message: not a JSON object", age_seconds=59),
        ],
        more=True,
    ),
    "redrive": RedriveReport(
        sent=3,
        unsent=[UnsentMessage(id=MESSAGE_ID, reason="Throttled")],
        expired=[MESSAGE_ID],
        unreadable=[],
        not_found=[],
        not_deleted=0,
        still_there=2,
    ),
    "show": RequestReport(
        request_id="reminder-A-1001",
        status=Status.UNKNOWN,
        final=False,
        batch="december",
        metadata={"appointmentId": "A-1001"},
        attempts=[*CALLS[:1]],
    ),
    "report": REPORT,
    "preflight": PlaceReport(
        preflight=Preflight(
            rows=1200,
            to_send=1190,
            invalid=[
                InvalidRow(row=7, field="phoneNumber", rule="E.164, such as +15145550199, with its country code"),
                InvalidRow(row=1044, field="unknown field", rule="not in the contract"),
            ],
            duplicate=[DuplicateRow(row=9, request_id="reminder-A-1001", same_as_row=8)],
            known=[KnownRow(row=11, request_id=LONG_ID, status=Status.COMPLETED)],
            similar=[SimilarRows(rows=[20, 21, 1100], phone_number="+1514•••••99")],
            derived_ids=3,
        )
    ),
    "resolve-many": ManyResolved(
        to_record=1200,
        by_outcome={"completed": 1000, "no-answer": 200},
        left=[
            UnresolvedCall(
                request_id="reminder-A-1001",
                row=7,
                reason="attempt 1 is completed; only an unknown call can be resolved",
            )
        ],
    ),
    "cancel": CancelReport(
        batch="december",
        counts={"cancelled": 1, "too-late": 1, "cancelled-unseen": 1},
        requests=[
            CancelledRequest(request_id="reminder-A-1001", result="cancelled", attempt=1, status=Status.SCHEDULED),
            CancelledRequest(
                organization="boston",
                request_id="reminder-7",
                result="too-late",
                attempt=2,
                status=Status.CALLING,
                in_progress_since="2026-12-01T14:25:00Z",
            ),
            CancelledRequest(request_id=LONG_ID, result="cancelled-unseen"),
        ],
    ),
    "audit": Audit(
        since="2026-12-01T00:00:00Z",
        until="2026-12-02T00:00:00Z",
        dials=[
            AuditedDial(
                organization="boston",
                request_id="reminder-7",
                attempt=2,
                dispatched_at="2026-12-01T14:25:00Z",
                zones=[PossibleZone(time_zone="America/New_York", local_time="2026-12-01T09:25:00-05:00")],
                zone_source="number",
                zone_data="2026f",
                policy_version=12,
                preset="united-states-health-care",
                window="mon-fri 09:00-21:00",
                caps=["1 in 1 day", "3 in 168 hours"],
                status=Status.COMPLETED,
            ),
            AuditedDial(
                request_id="reminder-A-1001",
                attempt=1,
                dispatched_at="2026-12-01T14:26:00Z",
                zones=[],
                window_unknown="no policy is recorded",
                status=Status.UNKNOWN,
            ),
        ],
        records_read=2,
    ),
    "do-not-call-check": NumberReport(
        phone_number="+1514•••••99",
        listed=True,
        entries=[
            ListedEntry(purposes=[], source=OutcomeSource.UPSTREAM, added_at="2026-12-01T14:25:00Z"),
            ListedEntry(
                organization="boston",
                purposes=["marketing", "results"],
                until="2027-01-01T05:00:00Z",
                source=OutcomeSource.OPERATOR,
                added_at="2026-12-01T14:26:00Z",
            ),
        ],
    ),
    "do-not-call-import": ImportReport(
        rows=1200,
        invalid=[InvalidRow(row=7, field="until", rule="later than now")],
        added=1100,
        known=98,
        unwritten=[UnwrittenRow(row=9, reason="ThrottlingException")],
    ),
}


@contextmanager
def clock_of(zone: str) -> Iterator[None]:
    """Lets this computer's clock be that of a place."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ")
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


def shown(result: WireModel, width: int) -> str:
    """A result as a terminal of this width shows it, without colours."""
    text = io.StringIO()
    with clock_of("EST5EDT,M3.2.0,M11.1.0"):
        Console(file=text, width=width, markup=False, highlight=False, emoji=False).print(render(result))
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def golden(result: WireModel) -> str:
    """What the file of a result holds."""
    return "\n".join(f"{'-' * width}\n{shown(result, width)}" for width in WIDTHS)


if __name__ == "__main__":
    for each in GOLDEN.glob("*.txt"):
        each.unlink()
    for name, result in RESULTS.items():
        (GOLDEN / f"{name}.txt").write_text(golden(result), encoding="utf-8")
