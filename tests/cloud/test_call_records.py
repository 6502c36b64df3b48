"""AlloMia's record of a call, its recording and its transcript, by the operators' command and over real HTTP."""

from __future__ import annotations

import io
import json
import stat
import wave
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from calls.cli.output import Exit
from calls.operations.call_records import AllomiaUnavailable, CallRecords, Kind, Language
from local.cloud import LocalCloud
from local.simulator import Simulator
from outbound_calls.adapters.calls_table import RecordResult
from outbound_calls.contracts.vocabulary import OutcomeSource, Status
from outbound_calls.domain.attempts import AttemptKey, Outcome
from tests.cloud.operator import Calls, OperatedStack
from tests.cloud.parts import new_attempt, new_key
from tests.tooling.simulator.conftest import eventually
from tests.unit.parts import API_KEY, ASSISTANT_ID, CONTACT_ID, PHONE_NUMBER_ID, organizations_in
from tests.world import NOW, CloudResources

SUMMARY, FRENCH_SUMMARY = "The person confirmed the appointment.", "La personne a confirmé le rendez-vous."


@pytest.fixture(scope="module")
def running_simulator() -> Iterator[Simulator]:
    with Simulator(accepted_keys=(API_KEY,), ring_seconds=0) as simulator:
        yield simulator


@pytest.fixture
def simulator(running_simulator: Simulator) -> Simulator:
    running_simulator.reset()
    return running_simulator


@pytest.fixture(scope="module")
def operated(cloud: LocalCloud, resources: CloudResources, running_simulator: Simulator) -> OperatedStack:
    return OperatedStack(cloud, AllomiaBaseUrl=running_simulator.url, AllomiaApiKeySecretArn=resources.key_arn)


@pytest.fixture
def calls(operated: OperatedStack, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Calls:
    """Runs a command. Neither the key nor a pre-signed link is ever printed or logged."""

    def run(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
        with caplog.at_level("DEBUG", "httpx"):
            code, answer = operated.calls(capsys, *map(str, arguments))
        for shown in (json.dumps(answer), caplog.text):
            assert API_KEY not in shown
            assert "signature" not in shown
            assert "/media/" not in shown
        return code, answer

    return run


@pytest.fixture
def placed(operated: OperatedStack, simulator: Simulator) -> Callable[..., AttemptKey]:
    """Makes a call at AlloMia, with its record in the table."""

    def place(number: str = "+15005550100", key: AttemptKey | None = None) -> AttemptKey:
        order = {"phoneNumber": number, "assistantId": ASSISTANT_ID, "phoneNumberId": PHONE_NUMBER_ID}
        headers = {"Authorization": f"Bearer {API_KEY}"}
        answer = httpx.post(f"{simulator.url}/api/outbound", json=order, headers=headers, trust_env=False)
        attempt = operated.attempts.claim(new_attempt(key))
        assert attempt
        stored = operated.stack.table.settle(attempt, answer.json()["outboundCallId"], CONTACT_ID)
        assert stored is RecordResult.STORED
        eventually(lambda: simulator.calls()[-1].status != "calling")
        return attempt.key

    return place


# The record.


def test_a_record_says_what_the_call_achieved(calls: Calls, placed: Callable[..., AttemptKey]) -> None:
    key = placed()

    code, record = calls("record", key.request.request_id)

    assert code == Exit.DONE
    assert (record["requestId"], record["attempt"]) == (key.request.request_id, 1)
    assert (record["outcome"], record["endedReason"]) == ("appointment_confirmed", "customer-ended-call")
    assert (record["summary"], record["language"]) == (SUMMARY, "en")
    assert (record["recording"], record["transcript"], record["duration"]) == (True, True, 1)


def test_a_call_that_was_found_in_the_log_is_known_by_its_id_there(
    calls: Calls,
    operated: OperatedStack,
    simulator: Simulator,
    placed: Callable[..., AttemptKey],
    capsys: pytest.CaptureFixture[str],
) -> None:
    placed()
    log_id = simulator.calls()[-1].outbound_call_id
    attempt = operated.attempts.claim(new_attempt())
    assert attempt
    found = Outcome(Status.COMPLETED, OutcomeSource.CALL_LOG, call_log_id=log_id)
    assert operated.stack.table.record(attempt.key, found, NOW).stored

    code, record = calls("record", attempt.key.request.request_id)

    assert (code, record["outboundCallId"], record["outcome"]) == (Exit.DONE, log_id, "appointment_confirmed")
    _, shown = calls("show", attempt.key.request.request_id)
    assert shown["attempts"][0]["callLogId"] == log_id
    assert operated.run("show", attempt.key.request.request_id) == Exit.DONE
    assert log_id in capsys.readouterr().out


@pytest.mark.parametrize(("language", "summary"), [("en", SUMMARY), ("fr", FRENCH_SUMMARY)])
def test_the_summary_comes_in_english_or_french(
    calls: Calls, placed: Callable[..., AttemptKey], language: str, summary: str
) -> None:
    _, record = calls("record", placed().request.request_id, "--language", language)

    assert (record["summary"], record["language"]) == (summary, language)


def test_a_person_reads_the_same(
    operated: OperatedStack, placed: Callable[..., AttemptKey], capsys: pytest.CaptureFixture[str]
) -> None:
    assert operated.run("record", placed().request.request_id) == Exit.DONE

    shown = capsys.readouterr().out
    for words in ("appointment_confirmed", SUMMARY, "summary (en)", "recording, transcript", "1 s"):
        assert words in shown


def test_a_call_that_no_one_answered_has_a_record_and_no_files(
    calls: Calls, placed: Callable[..., AttemptKey], tmp_path: Path
) -> None:
    name = placed("+15005550101").request.request_id

    _, record = calls("record", name)

    assert (record["endedReason"], record["recording"], record["transcript"]) == ("customer-busy", False, False)
    assert "summary" not in record
    code, answer = calls("recording", name, tmp_path / "recording")
    assert (code, answer["error"]["message"]) == (Exit.REFUSED, "AlloMia offers no recording of this call")
    assert list(tmp_path.iterdir()) == []


def test_the_attempt_is_the_one_asked_for_or_the_last_with_an_id(
    calls: Calls, operated: OperatedStack, placed: Callable[..., AttemptKey]
) -> None:
    first = placed()
    second = placed("+15005550102", replace(first, number=2))
    assert operated.attempts.claim(new_attempt(replace(first, number=3)))
    name = first.request.request_id

    assert calls("record", name)[1]["attempt"] == second.number
    assert calls("record", name, "--attempt", "1")[1]["outcome"] == "appointment_confirmed"
    for number, words in (("3", "attempt 3 has no id"), ("4", "there is no attempt 4")):
        code, answer = calls("record", name, "--attempt", number)
        assert code == Exit.REFUSED
        assert answer["error"]["message"].startswith(words)


def test_an_unknown_request_and_one_without_an_id_are_refused(calls: Calls, operated: OperatedStack) -> None:
    unsettled = operated.attempts.dispatching().key
    for key in (new_key(), unsettled):
        assert calls("record", key.request.request_id)[0] == Exit.REFUSED


def test_a_call_that_is_not_in_the_log_is_refused(
    calls: Calls, placed: Callable[..., AttemptKey], simulator: Simulator
) -> None:
    simulator.configure(log_entries="other-id")

    code, answer = calls("record", placed().request.request_id)

    assert (code, answer["error"]["exitCode"]) == (Exit.REFUSED, Exit.REFUSED)
    assert "no record" in answer["error"]["message"]


@pytest.mark.parametrize("fault", ["decline-401", "fail-500", "garbage", "drop", "huge"])
def test_a_failure_of_allomia_is_reported(
    calls: Calls, placed: Callable[..., AttemptKey], simulator: Simulator, fault: str
) -> None:
    name = placed().request.request_id
    simulator.configure(log=fault)

    assert calls("record", name)[0] == Exit.UNREACHABLE


def test_without_the_key_it_says_so(
    operated: OperatedStack, placed: Callable[..., AttemptKey], simulator: Simulator
) -> None:
    records = CallRecords(operated.stack.table, organizations_in(None), simulator.url)

    with pytest.raises(AllomiaUnavailable, match="the AlloMia key: the secret"):
        records.record(placed().request, None, Language.ENGLISH)


# The files.


def test_a_recording_is_saved_for_its_owner_only(
    calls: Calls, placed: Callable[..., AttemptKey], tmp_path: Path
) -> None:
    key, file = placed(), tmp_path / "call.wav"

    code, saved = calls("recording", key.request.request_id, file)

    assert code == Exit.DONE
    assert saved == {
        "requestId": key.request.request_id,
        "attempt": 1,
        "kind": "recording",
        "file": str(file),
        "sizeBytes": file.stat().st_size,
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with wave.open(str(file)) as sound:
        assert sound.getnframes() == 8000
    assert list(tmp_path.iterdir()) == [file]


def test_a_transcript_is_saved(calls: Calls, placed: Callable[..., AttemptKey], tmp_path: Path) -> None:
    file = tmp_path / "call.txt"

    assert calls("transcript", placed().request.request_id, file)[0] == Exit.DONE

    assert file.read_text(encoding="utf-8").startswith("assistant:")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_is_replaced_only_with_force(calls: Calls, placed: Callable[..., AttemptKey], tmp_path: Path) -> None:
    name, file = placed().request.request_id, tmp_path / "call.txt"
    file.write_text("mine")
    file.chmod(0o644)

    code, answer = calls("transcript", name, file)
    assert (code, file.read_text()) == (Exit.REFUSED, "mine")
    assert answer["error"]["message"] == f"{file}: File exists"

    assert calls("transcript", name, file, "--force")[0] == Exit.DONE
    assert file.read_text(encoding="utf-8").startswith("assistant:")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize("fault", ["expired", "not-found", "fail-500", "drop", "redirect-302"])
def test_a_file_that_cant_be_fetched_leaves_nothing(
    calls: Calls,
    placed: Callable[..., AttemptKey],
    simulator: Simulator,
    tmp_path: Path,
    fault: str,
    force: list[str],
) -> None:
    name = placed().request.request_id
    simulator.configure(media=fault)

    code, _ = calls("recording", name, tmp_path / "call.wav", *force)

    assert code == Exit.UNREACHABLE
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_file_that_was_to_be_replaced(
    calls: Calls, placed: Callable[..., AttemptKey], simulator: Simulator, tmp_path: Path
) -> None:
    name, file = placed().request.request_id, tmp_path / "call.wav"
    file.write_text("mine")
    simulator.configure(media="drop")

    assert calls("recording", name, file, "--force")[0] == Exit.UNREACHABLE

    assert file.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_is_too_large_is_refused(
    operated: OperatedStack, placed: Callable[..., AttemptKey], simulator: Simulator, tmp_path: Path
) -> None:
    key = placed()
    progress: list[Any] = []
    simulator.configure(media="huge")
    stack = operated.stack
    records = CallRecords(stack.table, stack.organizations, simulator.url, max_file_bytes=1_000_000)

    with pytest.raises(AllomiaUnavailable, match="larger than 1000000 bytes"):
        records.save(key.request, None, Kind.RECORDING, tmp_path / "x", False, lambda *each: progress.append(each))

    assert list(tmp_path.iterdir()) == []
    assert progress
    assert all(total > 16_000_000 for _, total in progress)


def test_a_link_without_encryption_is_not_followed(
    operated: OperatedStack,
) -> None:
    stack = operated.stack
    records = CallRecords(stack.table, stack.organizations, "https://allomia.example")

    with pytest.raises(AllomiaUnavailable, match="isn't encrypted"):
        records._fetch("http://allomia.example/file", io.BytesIO(), lambda *_: None)
