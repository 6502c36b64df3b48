"""Every result has a form for a person, which shows what the JSON says."""

import io
from contextlib import nullcontext

import pytest
from rich.console import Console

from calls.cli.output import NotConfirmed, Output
from calls.cli.render import render
from calls.operations.doctor import Check, Diagnosis, Verdict
from calls.operations.following import FollowedAttempt, Following
from calls.operations.placing import PlaceReport, UnsentRow
from calls.operations.placing_again import AgainPreflight, AgainRow
from calls.operations.preflight import DuplicateRow, InvalidRow, InvalidRows, KnownRow, Preflight, SimilarRows
from calls.operations.records import FoundAttempt, SearchResult
from calls.operations.redriving import RedriveReport, UnsentMessage
from calls.operations.republishing import OutcomesFound, RepublishReport
from calls.operations.resolving import Redial, RedialReport, Resolved
from calls.operations.waiting_messages import QueueListing, WaitingMessage
from calls.operations.watching import QueueDepth, StackState
from outbound_calls.contracts.allomia import CallDetails
from outbound_calls.contracts.status_api import AttemptReport, RequestReport
from outbound_calls.contracts.vocabulary import Dialled, OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.contracts.wire import WireModel
from tests.unit.parts import CALL_ID

# A reason or an id may look like rich's markup.
MARKUP = "[red]odd[/red] [/]"

CREATED = "2026-12-01T09:30:00Z"
FOUND = FoundAttempt(
    organization="north",
    request_id="a-1",
    attempt=2,
    status=Status.UNKNOWN,
    final=False,
    dialled=Dialled.MAYBE,
    created_at=CREATED,
    recorded_at="2026-12-01T11:30:00Z",
    outcome_source=OutcomeSource.DEADLINE,
    reason_code=ReasonCode.NO_OUTCOME,
    reason=MARKUP,
)
PARKED = FoundAttempt(
    request_id="a-2",
    attempt=1,
    status=Status.SCHEDULED,
    final=False,
    dialled=Dialled.NO,
    created_at=CREATED,
    park_reason=ParkReason.DIAL_AGAIN,
)
REPORT = RequestReport(
    request_id="a-1",
    status=Status.UNKNOWN,
    final=False,
    batch="december",
    metadata={"visit": MARKUP},
    attempts=[
        AttemptReport(
            attempt=1,
            status=Status.COMPLETED,
            final=True,
            dialled=Dialled.YES,
            created_at=CREATED,
            outbound_call_id=CALL_ID,
            call_details=CallDetails(duration=150, ended_reason="customer-ended-call"),
        ),
        FOUND,
    ],
)
PREFLIGHT = Preflight(
    rows=9,
    to_send=4,
    invalid=[InvalidRow(row=2, field="phoneNumber", rule=MARKUP)],
    duplicate=[DuplicateRow(row=3, request_id="a-3", same_as_row=1)],
    known=[KnownRow(row=4, request_id="a-4", status=Status.BUSY)],
    similar=[SimilarRows(rows=[5, 6], phone_number="+1514•••••99")],
    derived_ids=3,
)
FOLLOWING = Following(
    calls=[FollowedAttempt(request_id="a-1", attempt=1, row=23, status="unknown", reason=MARKUP, ended=True)],
    ended=1,
    all_ended=True,
    needs_a_person=True,
)
PLACED = PlaceReport(
    preflight=PREFLIGHT,
    sent=3,
    unsent=[UnsentRow(row=7, request_id="a-7", reason="AccessDenied")],
    following=FOLLOWING,
)
AGAIN = AgainPreflight(
    rows=60,
    to_send=32,
    again=[
        AgainRow(row=7, request_id="a-5.2", rejected_id="a-5", reason_code=ReasonCode.REFUSED_BY_ALLOMIA, reason=MARKUP)
    ]
    * 32,
    invalid=[],
    duplicate=[],
    others={"unknown": 17},
)
REDIAL = Redial(
    request_id="a-1",
    attempt=2,
    phone_number="+1514•••••99",
    last_status=Status.UNKNOWN,
    last_reason_code=ReasonCode.NO_OUTCOME,
    last_reason=MARKUP,
    metadata_kept=True,
)
RESOLVED = Resolved(request_id="a-1", attempt=2, status=Status.BUSY)
INVALID_MESSAGES = QueueListing(
    queue="invalid messages",
    messages=[
        WaitingMessage(
            id="m-1", request_id="a-1", phone_number="+1514•••••99", reason=MARKUP, age_seconds=7200, expired=True
        )
    ],
    more=True,
    exported_to="invalid.jsonl",
)
REDRIVE = RedriveReport(
    sent=5,
    unsent=[UnsentMessage(id="m-1", reason="Throttled")],
    expired=["m-3"],
    unreadable=["m-4"],
    not_found=["m-2"],
    not_deleted=1,
    still_there=4,
)
FOUND_OUTCOMES = OutcomesFound(
    since=CREATED,
    until="2026-12-01T12:30:00Z",
    to_publish=17,
    by_status={"busy": 17},
    first_recorded_at="2026-12-01T11:30:00Z",
    last_recorded_at="2026-12-01T12:00:00Z",
)
SICK = Check(name="webhook", verdict=Verdict.FAILED, found=MARKUP, advice="Check the API.")

RESULTS: dict[str, tuple[WireModel, list[str]]] = {
    "show": (
        REPORT,
        ["a-1", "december", MARKUP, "completed", CALL_ID, "150 s", "customer-ended-call", "maybe", "deadline"],
    ),
    "list": (
        SearchResult(
            calls=[FOUND, PARKED], by_status={"unknown": 1, "scheduled": 1}, more=True, open=9000, records_read=7
        ),
        ["2 of 9,000 open calls: 1 unknown, 1 scheduled", "north~a-1 #2", "no-outcome", "dial-again", "--limit"],
    ),
    "dry run": (
        PlaceReport(preflight=PREFLIGHT),
        ["phoneNumber", MARKUP, "a-3", "a-4", "busy", "5, 6", "+1514•••••99"],
    ),
    "place": (PLACED, ["3 of 4 sent", "a-7", "AccessDenied", "1 of 1", "23"]),
    "place again": (
        PlaceReport(preflight=AGAIN),
        ["a-5.2", "a-5", MARKUP, "2 more", "unknown", "17"],
    ),
    "watch": (
        StackState(
            total=142,
            open={"calling": 42},
            not_read=100,
            queues=[QueueDepth(queue="dead letters", waiting=17, held=3)],
            ended_by_status={"unknown": 16},
            ended=[FOUND],
        ),
        ["142 open calls: 42 calling, 100 not read yet", "dead letters", "17", "16 unknown (the last 1)", "a-1"],
    ),
    "resolve": (RESOLVED, ["a-1", "2", "busy"]),
    "redial": (REDIAL, ["a-1", "+1514•••••99", "unknown", "no-outcome", MARKUP, "kept from the record"]),
    "dial again": (RedialReport(redial=REDIAL, following=FOLLOWING), ["attempt 2", "1 of 1"]),
    "invalid": (
        INVALID_MESSAGES,
        [
            "m-1",
            "a-1",
            "+1514•••••99",
            MARKUP,
            "2 hours, expired",
            "1 invalid message, 1 expired; there are more",
            "--limit",
            "invalid.jsonl",
        ],
    ),
    "invalid rows": (InvalidRows(invalid=[InvalidRow(row=2, field="id", rule=MARKUP)]), ["2", "id", MARKUP]),
    "redrive": (REDRIVE, ["5", "m-1", "Throttled", "m-2", "m-3", "--late", "m-4", "not JSON", "not deleted here"]),
    "outcomes to publish": (RepublishReport(found=FOUND_OUTCOMES), ["17", "busy", "2026-12-01T11:30:00Z"]),
    "republish": (
        RepublishReport(
            found=FOUND_OUTCOMES,
            published=10,
            not_published=7,
            continue_since="2026-12-01T12:00:00Z",
            reason="AccessDenied",
        ),
        ["10 of 17", "7 not published", "AccessDenied", "--since 2026-12-01T12:00:00Z"],
    ),
    "doctor": (
        Diagnosis(healthy=False, checks=[SICK]),
        ["failed", "webhook", MARKUP, "→ Check the API.", "not healthy"],
    ),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_shows_what_its_json_says(name: str) -> None:
    result, shown = RESULTS[name]
    text = io.StringIO()

    Console(file=text, width=200, markup=False, highlight=False, emoji=False).print(render(result))

    assert [words for words in shown if words not in text.getvalue()] == []


def test_allomias_own_word_is_shown_to_an_operator_and_is_no_part_of_the_json() -> None:
    attempt = REPORT.attempts[0].model_copy(update={"allomia_status": "voicemail"})
    report = REPORT.model_copy(update={"attempts": [attempt, *REPORT.attempts[1:]]})

    text = io.StringIO()
    Console(file=text, width=200, markup=False, highlight=False, emoji=False).print(render(report))

    assert "voicemail" in text.getvalue()
    assert report.wire() == REPORT.wire()


def test_a_value_without_a_form_is_an_error() -> None:
    with pytest.raises(TypeError, match="QueueDepth"):
        render(QueueDepth(queue="a", waiting=1, held=1))


def test_only_results_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=False)

    out.note("read this first")
    with out.progress("sent", 2) as progress:
        progress.advance(progress.task_ids[0])
    with out.live() as display:
        display(FOLLOWING)
    out.show(RESOLVED)

    printed = capsys.readouterr()
    assert "read this first" in printed.err
    assert printed.out == "a-1, attempt 2: recorded as busy\n"


def test_open_calls_and_those_that_need_a_person_are_shown_first() -> None:
    calls = [
        FollowedAttempt(request_id=f"done-{number}", attempt=1, status="completed", ended=True) for number in range(40)
    ]
    calls += [FollowedAttempt(request_id="open", attempt=1, status="calling", ended=False)]
    calls += [FollowedAttempt(request_id="lost", attempt=1, status="unknown", ended=True)]
    text = io.StringIO()

    Console(file=text, width=120).print(render(Following(calls=calls, ended=41, all_ended=False, needs_a_person=True)))

    assert text.getvalue().index("lost") < text.getvalue().index("open") < text.getvalue().index("done-0")
    assert "12 more" in text.getvalue()


def test_a_terminal_shows_progress_and_a_live_display() -> None:
    terminal = io.StringIO()
    out = Output(as_json=False, stderr=Console(file=terminal, force_terminal=True, width=120, markup=False))

    with out.live() as display:
        display(FOLLOWING)
    with out.progress("sent", 2) as progress:
        progress.advance(progress.task_ids[0], 2)

    assert "1 of 1 have their outcome" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_without_a_terminal_only_yes_confirms(as_json: bool) -> None:
    out = Output(as_json, stdin=io.StringIO("y\n"))

    with pytest.raises(NotConfirmed, match="--yes"):
        out.confirm("Really?", yes=False)
    out.confirm("Really?", yes=True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "confirmed"), [("y", True), ("yes", True), ("Yes", True), ("n", False), ("no", False), ("", False)]
)
def test_a_person_is_asked_and_an_empty_answer_is_a_no(
    answer: str, confirmed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Output(as_json=False, stdin=Terminal(f"{answer}\n"))

    with nullcontext() if confirmed else pytest.raises(NotConfirmed, match="nothing was done"):
        out.confirm("Really?", yes=False)
    printed = capsys.readouterr()
    assert (printed.out, "Really?" in printed.err) == ("", True)
