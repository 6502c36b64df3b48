"""Everything that a command answers has a form for a person, which says what the JSON says."""

import io
from contextlib import nullcontext

import pytest
from rich.console import Console

from calls.doctor import Check, Diagnosis, Verdict
from calls.following import Followed, Following
from calls.output import NotConfirmed, Output
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
    calls=[Followed(request_id="a-1", attempt=1, row=23, status="unknown", reason=ODD, ended=True)],
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
        ["3 of 4 sent", "a-7", "AccessDenied", "1 of 1", "23"],
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


def test_of_many_calls_the_open_ones_and_those_for_a_person_are_shown() -> None:
    calls = [Followed(request_id=f"done-{number}", attempt=1, status="completed", ended=True) for number in range(40)]
    calls += [Followed(request_id="open", attempt=1, status="calling", ended=False)]
    calls += [Followed(request_id="lost", attempt=1, status="unknown", ended=True)]
    text = io.StringIO()

    Console(file=text, width=120).print(render(Following(calls=calls, ended=41, all_ended=False, needs_a_person=True)))

    assert text.getvalue().index("lost") < text.getvalue().index("open") < text.getvalue().index("done-0")
    assert "12 more" in text.getvalue()


def test_somebody_who_looks_on_sees_a_picture_and_a_bar() -> None:
    terminal = io.StringIO()
    out = Output(as_json=False, stderr=Console(file=terminal, force_terminal=True, width=120, markup=False))

    with out.live() as picture:
        picture(FOLLOWING)
    with out.progress("sent", 2) as progress:
        progress.advance(progress.task_ids[0], 2)

    assert "1 of 1 have their outcome" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_where_nobody_can_be_asked_nothing_is_taken_for_a_yes(as_json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    out = Output(as_json)

    with pytest.raises(NotConfirmed, match="--yes"):
        out.confirm("Really?", yes=False)
    out.confirm("Really?", yes=True)


@pytest.mark.parametrize(("answer", "confirmed"), [("y", True), ("n", False), ("", False)])
def test_a_person_is_asked_and_no_answer_is_a_no(
    answer: str, confirmed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
    out = Output(as_json=False)

    with nullcontext() if confirmed else pytest.raises(NotConfirmed, match="nothing was done"):
        out.confirm("Really?", yes=False)
    told = capsys.readouterr()
    assert (told.out, "Really?" in told.err) == ("", True)
