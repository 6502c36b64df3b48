"""Everything that a command answers has a form for a person, which says what the JSON says."""

import io

import pytest
from rich.console import Console

from calls.doctor import Check, Diagnosis, Verdict
from calls.following import Followed, Following
from calls.output import Output
from calls.preflight import Alike, Known, Preflight, Refusal, Repeated
from calls.queues import Redriven, Unsent, Waiting
from calls.records import Found, Search
from calls.render import render
from calls.resolving import Redial, Resolved
from calls.results import Look, NotSent, Placing, Redialled, Refusals
from calls.watching import Depth, View
from outbound_calls.contracts import CallDetails, Wire
from outbound_calls.lifecycle import OutcomeSource, Status
from outbound_calls.reports import AttemptReport, CallReport
from tests.unit.parts import CALL_ID

# A status, an id or AlloMia's words may look like the markup of the library that draws them.
ODD = "[red]odd[/red] [/]"

FOUND = Found(
    request_id="a-1",
    attempt=2,
    status=Status.UNKNOWN,
    final=False,
    created_at="2026-12-01T09:30:00Z",
    recorded_at="2026-12-01T11:30:00Z",
    outcome_source=OutcomeSource.DEADLINE,
    reason=ODD,
)
PREFLIGHT = Preflight(
    rows=9,
    to_send=4,
    refused=[Refusal(row=2, field="phoneNumber", rule=ODD)],
    repeated=[Repeated(row=3, request_id="a-3", same_as_row=1)],
    already_there=[Known(row=4, request_id="a-4", status=Status.BUSY)],
    alike=[Alike(rows=[5, 6], phone_number="+1514•••••99")],
    ids_from_rows=3,
)
FOLLOWING = Following(
    calls=[Followed(request_id="a-1", attempt=1, status="unknown", reason=ODD, ended=True)],
    ended=1,
    all_ended=True,
    needs_a_person=True,
)
REDIAL = Redial(
    request_id="a-1",
    attempt=2,
    phone_number="+1514•••••99",
    last_status=Status.UNKNOWN,
    last_reason=ODD,
    metadata_kept=True,
)

ANSWERS: dict[str, tuple[Wire, list[str]]] = {
    "show": (
        CallReport(
            request_id="a-1",
            status=Status.UNKNOWN,
            final=False,
            metadata={"visit": ODD},
            attempts=[
                AttemptReport(
                    attempt=1,
                    status=Status.COMPLETED,
                    final=True,
                    created_at="2026-12-01T09:30:00Z",
                    outbound_call_id=CALL_ID,
                    call_details=CallDetails(duration=150, ended_reason="customer-ended-call"),
                ),
                FOUND,
            ],
        ),
        ["a-1", ODD, "completed", CALL_ID, "150", "customer-ended-call", "unknown", "deadline"],
    ),
    "list": (Search(calls=[FOUND], more=True, records_read=7, read_units=3.5), ["a-1", ODD, "--limit", "7", "3.5"]),
    "preflight": (Placing(preflight=PREFLIGHT), ["phoneNumber", ODD, "a-3", "a-4", "busy", "5, 6", "+1514•••••99"]),
    "place": (
        Placing(
            preflight=PREFLIGHT,
            sent=3,
            not_sent=[NotSent(row=7, request_id="a-7", reason="AccessDenied")],
            following=FOLLOWING,
        ),
        ["3 of 4 sent", "a-7", "AccessDenied", "1 of 1"],
    ),
    "watch": (
        View(under_way={"calling": 42}, queues=[Depth(queue="rejected", waiting=17, held=3)], ended=[FOUND]),
        ["42", "rejected", "17", "a-1"],
    ),
    "resolve": (Resolved(request_id="a-1", attempt=2, status=Status.BUSY), ["a-1", "2", "busy"]),
    "redial": (REDIAL, ["a-1", "+1514•••••99", "unknown", ODD, "the record's"]),
    "dial again": (Redialled(redial=REDIAL, following=FOLLOWING), ["attempt 2", "1 of 1"]),
    "rejected": (
        Look(
            queue="rejected",
            messages=[Waiting(id="m-1", request_id="a-1", phone_number="+1514•••••99", reason=ODD, age_seconds=7200)],
            more=False,
            exported_to="rejected.jsonl",
        ),
        ["m-1", "a-1", "+1514•••••99", ODD, "2 hours", "rejected.jsonl"],
    ),
    "refusals": (Refusals(refused=[Refusal(row=2, field="id", rule=ODD)]), ["2", "id", ODD]),
    "redrive": (
        Redriven(sent=5, unsent=[Unsent(id="m-1", reason="Throttled")], not_found=["m-2"], twice=1, still_there=2),
        ["5", "m-1", "Throttled", "m-2", "still here"],
    ),
    "doctor": (
        Diagnosis(
            in_order=False,
            checks=[Check(name="webhook", verdict=Verdict.FAILED, found=ODD, advice="Look at the API.")],
        ),
        ["failed", "webhook", ODD, "→ Look at the API.", "not in order"],
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_says_to_a_person_what_it_says_to_a_program(name: str) -> None:
    answer, said = ANSWERS[name]
    text = io.StringIO()

    Console(file=text, width=200, markup=False, highlight=False, emoji=False).print(render(answer))

    assert [words for words in said if words not in text.getvalue()] == []


def test_what_has_no_form_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="Depth"):
        render(Depth(queue="a", waiting=1, held=1))


def test_an_answer_goes_to_stdout_and_all_else_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=False)

    out.note("read this first")
    with out.progress("sent", 2) as progress:
        progress.advance(progress.task_ids[0])
    with out.live() as picture:
        picture(FOLLOWING)
    out.show(ANSWERS["resolve"][0])

    told = capsys.readouterr()
    assert "read this first" in told.err
    assert told.out == "a-1, attempt 2: recorded as busy\n"
