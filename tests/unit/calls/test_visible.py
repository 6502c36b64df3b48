"""Text that others wrote reaches the terminal and stdout with its control characters visible."""

import io
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from rich.console import Console

from calls.cli.output import Exit, NotConfirmed, Output, escape_what_the_terminal_lacks
from calls.cli.visible import visible, visible_json
from calls.operations.doctor import Check, Diagnosis, Verdict
from calls.operations.following import FollowedAttempt, Following
from calls.operations.records import FoundAttempt, SearchResult
from calls.operations.waiting_messages import QueueListing, WaitingMessage
from outbound_calls.contracts.allomia import CallDetails
from outbound_calls.contracts.status_api import AttemptReport, RequestReport
from outbound_calls.contracts.vocabulary import Dialled, Status
from outbound_calls.contracts.wire import WireModel

HOSTILE = "\x1b[2J\x9b1A\x7f\r\u202e\u2066\u2028\u200e\ud83d"
"""An escape sequence, a C1 one, DEL, a carriage return, bidirectional controls, a line separator, half an emoji."""

PLAIN = "Zoë, 中文, 😀, \\, ."

_ATTEMPT: dict[str, Any] = {
    "attempt": 1,
    "status": Status.FAILED,
    "final": True,
    "dialled": Dialled.YES,
    "created_at": HOSTILE,
}
_DETAILS = CallDetails.model_construct(started_at=HOSTILE, ended_reason=HOSTILE)
RESULTS: dict[str, WireModel] = {
    "metadata and details": RequestReport.model_construct(
        request_id="a",
        status=Status.FAILED,
        final=True,
        metadata={HOSTILE: HOSTILE},
        attempts=[AttemptReport.model_construct(**_ATTEMPT, call_details=_DETAILS, reason=HOSTILE)],
    ),
    "a list": SearchResult.model_construct(
        calls=[FoundAttempt.model_construct(**_ATTEMPT, request_id=HOSTILE, reason=HOSTILE)],
        more=False,
        by_status={},
        records_read=1,
    ),
    "numbers and reasons of messages": QueueListing(
        queue="dead letters",
        messages=[WaitingMessage.model_construct(id=HOSTILE, phone_number=HOSTILE, reason=HOSTILE, age_seconds=1)],
        more=False,
    ),
    "progress": Following(
        calls=[FollowedAttempt.model_construct(request_id=HOSTILE, attempt=1, status="x", ended=True, reason=HOSTILE)],
        ended=1,
        all_ended=True,
        needs_a_person=False,
    ),
    "the doctor": Diagnosis(
        healthy=False, checks=[Check(name=HOSTILE, verdict=Verdict.FAILED, found=HOSTILE, advice=HOSTILE)]
    ),
}


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True

    def commands(self) -> set[str]:
        return set(self.getvalue()) & set(HOSTILE) - set("[2J1A")


def outputs() -> tuple[Output, Terminal, Terminal]:
    stdout, stderr = Terminal(), Terminal()
    first, second = (Console(file=file, width=200, no_color=True, color_system=None) for file in (stdout, stderr))
    return Output(False, first, second, stdin=Terminal("n\n")), stdout, stderr


@pytest.mark.parametrize("name", RESULTS)
def test_no_control_character_of_a_result_reaches_the_terminal(name: str) -> None:
    out, stdout, stderr = outputs()

    out.show(RESULTS[name])
    out.note(RESULTS[name])

    assert (stdout.commands(), stderr.commands()) == (set(), set())
    assert "\\x1b" in stdout.getvalue()
    assert "\\u202e" in stderr.getvalue()


@pytest.mark.parametrize(
    "write",
    [
        lambda out: out.note(HOSTILE),
        lambda out: out.refuse(HOSTILE, Exit.REFUSED),
        lambda out: out.confirm(HOSTILE, False),
    ],
    ids=["note", "error", "question"],
)
def test_no_control_character_of_an_error_or_a_question_reaches_the_terminal(write: Callable[[Output], object]) -> None:
    out, _, stderr = outputs()

    with suppress(NotConfirmed):
        write(out)

    assert stderr.commands() == set()
    assert "\\x9b" in stderr.getvalue()


def test_json_escapes_them_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    document = visible_json(json.dumps({"text": HOSTILE, "plain": PLAIN}, indent=2, ensure_ascii=False))

    assert json.loads(document) == {"text": HOSTILE, "plain": PLAIN}
    assert set(document) & set(HOSTILE) == set("[2J1A") & set(document)
    assert PLAIN.replace("\\", "\\\\") in document

    Output(as_json=True).refuse(HOSTILE, Exit.REFUSED)
    assert json.loads(capsys.readouterr().out)["error"]["message"] == HOSTILE


def test_a_terminal_that_lacks_a_character_gets_its_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, "ascii"))

    escape_what_the_terminal_lacks()
    Output(as_json=True).refuse("Zoë", Exit.REFUSED)
    sys.stdout.flush()

    assert b"Zo\\xeb" in written.getvalue()


def test_other_characters_stay_as_they_are() -> None:
    assert visible(PLAIN) == PLAIN
    assert visible("a\x1b[31mb\n\U000e0041") == "a\\x1b[31mb\\n\\U000e0041"
