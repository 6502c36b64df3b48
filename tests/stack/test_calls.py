"""The operators' command on a deployed stack, with the permissions in docs/operate/operator-policy.json."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from calls.cli.app import main
from calls.cli.output import Exit
from calls.operations.watching import queue_depth
from local.cloud import ROOT
from local.environment import API_KEY, LocalEnvironment
from tests.stack.conftest import every, let_deadline_pass, wait_until

COMPLETED = "+15005550100"
BUSY = "+15005550101"
STUCK = "+15005550400"
ANSWER_AND_WEBHOOK_LOST = "+15005550501"

EMULATED = {
    "sqs:SendMessage": "sqs:SendMessageBatch",
    "sqs:DeleteMessage": "sqs:DeleteMessageBatch",
    "sqs:ChangeMessageVisibility": "sqs:ChangeMessageVisibilityBatch",
    "lambda:GetEventSourceMapping": "lambda:ListEventSourceMappings",
}
"""Permissions that the emulator checks under another name than AWS."""

WITHIN = {"TransactWriteItems": "dynamodb:PutItem", "GetCallerIdentity": ""}
"""Operations without a permission of their own. A transaction needs those of its writes; anyone may ask its name."""

type Calls = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="session")
def operator(world: LocalEnvironment) -> dict[str, str]:
    """The environment of an operator: an IAM user with the documented policy."""
    region, account, name = world.cloud.region, world.cloud.account, f"operator-{uuid4().hex[:8]}"
    policy = (ROOT / "docs/operate/operator-policy.json").read_text()
    secrets = world.cloud.client("secretsmanager")
    secret = secrets.describe_secret(SecretId=f"{world.stack.name}/allomia-api-key")["ARN"]
    hash_secret = world.cloud.client("cloudformation").describe_stack_resource(
        StackName=world.stack.name, LogicalResourceId="NumberHashSecret"
    )["StackResourceDetail"]["PhysicalResourceId"]
    for permission, emulated in EMULATED.items():
        policy = policy.replace(f'"{permission}"', f'"{permission}", "{emulated}"')
    for placeholder, value in {
        "ARN-OF-THE-SECRET-WITH-THE-ALLOMIA-KEY": secret,
        "ARN-OF-THE-NUMBER-HASH-SECRET": secrets.describe_secret(SecretId=hash_secret)["ARN"],
        "PARTITION": "aws",
        "REGION": region,
        "ACCOUNT": account,
        "STACK": world.stack.name,
    }.items():
        policy = policy.replace(placeholder, value)
    root: Any = boto3.session.Session(account, "local", region_name=region)
    iam = root.client("iam", endpoint_url=world.cloud.endpoint_url)
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="operator", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    iam.close()
    return world.cloud.environment() | {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "CALLS_STACK": world.stack.name,
    }


def permission_for(model: Any) -> str:
    """The permission for an AWS operation. A batch operation of SQS needs that of the single one."""
    if model.name in WITHIN:
        return WITHIN[model.name]
    service = {"monitoring": "cloudwatch"}.get(model.service_model.signing_name, model.service_model.signing_name)
    return f"{service}:{model.name.removesuffix('Batch') if service == 'sqs' else model.name}"


@pytest.fixture(scope="session")
def used() -> set[str]:
    """The permissions that the commands have used so far."""
    return set()


@pytest.fixture
def calls(
    operator: dict[str, str],
    used: set[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Calls:
    """Runs a command; returns its exit code and JSON document. Each test has a machine of its own."""
    for name, value in {**operator, "XDG_STATE_HOME": str(tmp_path / "state")}.items():
        monkeypatch.setenv(name, value)
    session = boto3.Session()
    session.events.register("before-call", lambda model, **_: used.add(permission_for(model)))

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        code = main([*arguments, "--json"], session)
        printed = capsys.readouterr()
        assert printed.err == ""
        return code, json.loads(printed.out)

    return run


def as_person(operator: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, without --json."""
    return subprocess.run(
        [ROOT / ".venv/bin/calls", *arguments],
        env={"PATH": "/usr/bin:/bin", **operator},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


HEADER = "phoneNumber,customerName,dynamicVariables.date,metadata.visit"
VALID = [f"{COMPLETED},Ada,2026-12-01,V1", f"{BUSY},Eve,2026-12-01,V2"]
INVALID = "5145550199,Zoë,2026-12-01,V3"


def test_an_invalid_row_stops_the_whole_file(calls: Calls, tmp_path: Path) -> None:
    file = tmp_path / "reminders.csv"
    file.write_text("\n".join([HEADER, *VALID, INVALID]), encoding="utf-8-sig")

    code, dry_run = calls("place", str(file), "--dry-run")
    refused, report = calls("place", str(file), "--yes")

    assert (code, refused) == (Exit.REFUSED, Exit.REFUSED)
    assert dry_run.pop("policy")["counts"] == {"dial": 2, "wait": 0, "reject": 0}
    assert dry_run == report
    assert report["preflight"]["toSend"] == 2
    assert [(each["row"], each["field"]) for each in report["preflight"]["invalid"]] == [(4, "phoneNumber")]
    assert "sent" not in report


def test_what_a_call_achieved_is_asked_of_allomia(calls: Calls, tmp_path: Path) -> None:
    name, file = f"achieved-{uuid4().hex[:8]}", tmp_path / "call.txt"
    code, _ = calls("place", "--request-id", name, "--phone-number", COMPLETED, "--yes", "--wait", "--timeout", "60")
    assert code == Exit.DONE

    code, record = calls("record", name)
    saved, _ = calls("transcript", name, str(file))

    assert (code, record["outcome"]) == (Exit.DONE, "appointment_confirmed")
    assert (saved, file.read_text(encoding="utf-8").partition(":")[0]) == (Exit.DONE, "assistant")


def test_each_row_of_a_file_is_one_call_however_often_it_is_run(
    calls: Calls, world: LocalEnvironment, tmp_path: Path
) -> None:
    # Given a file with an invalid row, of which the valid rows are placed
    file = tmp_path / "reminders.csv"
    file.write_text("\n".join([HEADER, *VALID, INVALID]), encoding="utf-8-sig")
    code, placed = calls("place", str(file), "--yes", "--skip-invalid", "--wait", "--timeout", "60")

    # When the fixed file is placed, twice: its row for a number that was placed before is meant
    file.write_text("\n".join([HEADER, f"{COMPLETED},Zoë,2026-12-01,V3", *VALID]))
    fixed_code, fixed = calls("place", str(file), "--yes", "--call-again", "--wait", "--timeout", "60")
    last_code, last = calls("place", str(file), "--yes")

    # Then each row is one call
    assert (code, fixed_code, last_code) == (Exit.DONE, Exit.DONE, Exit.DONE)
    assert (placed["sent"], fixed["sent"], last["sent"]) == (2, 1, 0)
    assert sorted(call["status"] for call in placed["following"]["calls"]) == ["busy", "completed"]
    assert sorted(call["row"] for call in fixed["following"]["calls"]) == [2, 3, 4]
    ids = {call["requestId"] for call in fixed["following"]["calls"]}
    assert {id_: world.dials()[id_] for id_ in ids} == dict.fromkeys(ids, (1, 1))
    assert {world.calls()[id_]["metadata"]["visit"] for id_ in ids} == {"V1", "V2", "V3"}


def test_a_call_is_shown_listed_and_watched(calls: Calls, world: LocalEnvironment) -> None:
    # Given an open call
    calls("place", "--phone-number", STUCK, "--request-id", "cli-stuck", "--metadata", "visit=V1", "--yes")
    wait_until(lambda: world.calls().get("cli-stuck", {}).get("status") == "calling")

    # Then every way to look finds it
    code, shown = calls("show", "cli-stuck")
    assert (code, shown["status"], shown["metadata"]) == (Exit.DONE, "calling", {"visit": "V1"})
    for search in ([], ["--status", "calling"], ["--since", "1h"], ["--status", "calling", "--since", "1h"]):
        code, found = calls("list", "--limit", "1000", *search)
        assert code == Exit.DONE
        assert "cli-stuck" in [call["requestId"] for call in found["calls"]]
    _, found = calls("list", "--status", "scheduled")
    assert "cli-stuck" not in [call["requestId"] for call in found["calls"]]
    _, state = calls("watch")
    assert state["open"]["calling"] >= 1
    queues = {"requests", "invalid messages", "dead letters", "failed outcomes"}
    assert {queue["queue"] for queue in state["queues"]} == queues

    # And an unknown request is an error
    code, answer = calls("show", "never-sent")
    assert (code, answer["error"]["exitCode"]) == (Exit.REFUSED, Exit.REFUSED)


@pytest.fixture(scope="module")
def unknown_calls(world: LocalEnvironment) -> tuple[str, str]:
    """The ids of two requests whose calls ended as unknown."""
    ids = ("cli-resolved", "cli-redialled")
    for request_id in ids:
        world.send({"requestId": request_id, "phoneNumber": ANSWER_AND_WEBHOOK_LOST, "metadata": {"v": "1"}})

    def look_after_their_deadline() -> None:
        for request_id in ids:
            let_deadline_pass(world, request_id)
        world.sweep()

    wait_until(
        lambda: all(world.calls().get(request_id, {}).get("status") == "unknown" for request_id in ids),
        meanwhile=every(5, look_after_their_deadline),
    )
    return ids


def test_an_unknown_call_is_resolved_once(
    calls: Calls, unknown_calls: tuple[str, str], operator: dict[str, str]
) -> None:
    request_id, _ = unknown_calls

    code, resolved = calls("resolve", request_id, "--as", "no-answer", "--yes")
    again, _ = calls("resolve", request_id, "--as", "completed", "--yes")

    assert (code, again) == (Exit.DONE, Exit.REFUSED)
    assert resolved == {"requestId": request_id, "attempt": 1, "status": "no-answer"}
    shown = as_person(operator, "show", request_id)
    assert shown.returncode == 0
    assert "no-answer" in shown.stdout
    assert "operator" in shown.stdout


def test_an_unknown_call_is_dialled_again(
    calls: Calls, world: LocalEnvironment, unknown_calls: tuple[str, str]
) -> None:
    _, request_id = unknown_calls

    code, report = calls("resolve", request_id, "--dial-again", "--phone-number", COMPLETED, "--yes")
    again, _ = calls("resolve", request_id, "--dial-again", "--phone-number", COMPLETED, "--yes")

    assert (code, again) == (Exit.DONE, Exit.REFUSED)
    assert report["redial"]["phoneNumber"] == "+1500•••••00"
    wait_until(lambda: world.calls()[request_id]["status"] == "completed", meanwhile=every(3, world.sweep))
    _, request = calls("show", request_id)
    assert [attempt["status"] for attempt in request["attempts"]] == ["unknown", "completed"]
    assert request["metadata"] == {"v": "1"}


def test_an_invalid_message_is_listed_fixed_and_sent(
    calls: Calls, world: LocalEnvironment, operator: dict[str, str], tmp_path: Path
) -> None:
    # Given an invalid message without a request id
    message_id = world.send({"phoneNumber": "15005550100", "customerName": "Ada"})
    wait_until(lambda: queue_depth(world.cloud.client("sqs"), "", world.stack.invalid_messages_queue_url).waiting)

    # When it is listed, exported, fixed and sent
    _, listing = calls("invalid")
    person = as_person(operator, "invalid")
    export, fixed = tmp_path / "invalid.jsonl", tmp_path / "fixed.jsonl"
    calls("invalid", "--export", str(export))
    unfixed, report = calls("redrive", "--file", str(export), "--yes")
    (line,) = map(json.loads, export.read_text().splitlines())
    line["request"]["phoneNumber"] = COMPLETED
    fixed.write_text(json.dumps(line))
    code, redriven = calls("redrive", "--file", str(fixed), "--yes")
    again, _ = calls("redrive", "--file", str(fixed), "--yes")

    # Then it stayed there until it was fixed, and its call has the id of the first message
    (waiting,) = listing["messages"]
    assert waiting["reason"].startswith("phoneNumber: required")
    assert waiting["id"] in person.stdout
    assert "555" not in person.stdout + json.dumps(listing)
    assert (unfixed, report["invalid"][0]["field"]) == (Exit.REFUSED, "phoneNumber")
    assert (code, redriven["sent"], redriven["stillThere"], again) == (Exit.DONE, 1, 0, Exit.REFUSED)
    wait_until(lambda: world.calls().get(message_id, {}).get("status") == "completed")
    assert world.dials()[message_id] == (1, 1)
    assert calls("invalid", "--export", str(export))[0] == Exit.REFUSED  # an export replaces no file


def test_dead_letters_are_sent_again(calls: Calls, world: LocalEnvironment) -> None:
    # Given a dead letter
    sqs = world.cloud.client("sqs")
    body = json.dumps({"phoneNumber": COMPLETED})
    message_id = sqs.send_message(QueueUrl=world.stack.dead_letter_queue_url, MessageBody=body)["MessageId"]

    code, redriven = calls("redrive", "--dead-letters", "--yes")

    assert (code, redriven["sent"], redriven["stillThere"]) == (Exit.DONE, 1, 0)
    wait_until(lambda: world.calls().get(message_id, {}).get("status") == "completed")


def test_what_expired_is_sent_again_under_a_derived_id(calls: Calls, world: LocalEnvironment, tmp_path: Path) -> None:
    # Given a file with a row that comes too late
    file = tmp_path / "late.csv"
    file.write_text(f"requestId,phoneNumber,notAfter\ncli-late,{COMPLETED},2026-01-01T09:00:00Z\n")
    calls("place", str(file), "--yes")
    wait_until(lambda: world.calls().get("cli-late", {}).get("status") == "rejected")

    # When its rejected rows are sent again, with the time corrected
    file.write_text(f"requestId,phoneNumber\ncli-late,{COMPLETED}\n")
    _, preview = calls("place", str(file), "--again", "rejected", "--dry-run")
    code, placed = calls("place", str(file), "--again", "rejected", "--yes", "--wait", "--timeout", "60")
    last_code, last = calls("place", str(file), "--again", "rejected", "--yes")

    # Then it is one call
    assert [(row["requestId"], row["reasonCode"]) for row in preview["preflight"]["again"]] == [
        ("cli-late.2", "expired")
    ]
    assert (code, placed["sent"], placed["following"]["calls"][0]["status"]) == (Exit.DONE, 1, "completed")
    assert (last_code, last["sent"], last["preflight"]["others"]) == (Exit.DONE, 0, {"completed": 1})
    assert world.dials()["cli-late.2"] == (1, 1)


def test_outcomes_are_published_again(calls: Calls, world: LocalEnvironment) -> None:
    # Given an outcome that was published
    calls("place", "--phone-number", BUSY, "--request-id", "cli-republished", "--yes", "--wait", "--timeout", "60")

    heard: list[dict[str, Any]] = []

    def events() -> list[dict[str, Any]]:
        heard.extend(event for event in world.outcome_events() if event["requestId"] == "cli-republished")
        return heard

    wait_until(lambda: len(events()) == 1)

    # When the last hour's outcomes are published again
    _, counted = calls("republish", "--since", "1h", "--dry-run")
    code, report = calls("republish", "--since", "1h", "--yes")

    # Then the same event arrives once more
    assert code == Exit.DONE
    assert report["published"] == report["found"]["toPublish"] >= counted["found"]["toPublish"] >= 1
    assert "published" not in counted
    wait_until(lambda: len(events()) == 2)
    first, again = events()
    assert first == again


def test_the_doctor_finds_what_is_wrong(calls: Calls, world: LocalEnvironment) -> None:
    # Given a healthy stack, apart from what other tests may have left
    def verdicts() -> dict[str, str]:
        _, diagnosis = calls("doctor")
        return {check["name"]: check["verdict"] for check in diagnosis["checks"]}

    before = verdicts()
    for name in ("deployment", "parameters", "AlloMia key", "AlloMia", "webhook", "schedule", "overdue calls"):
        assert before[name] == "ok", name

    # When AlloMia declines the key and a dead letter waits
    world.cloud.client("sqs").send_message(QueueUrl=world.stack.dead_letter_queue_url, MessageBody="{}")
    world.allomia.configure(accepted_keys=("another-key",))
    try:
        code, _ = calls("doctor")
        after = verdicts()
    finally:
        world.allomia.configure(accepted_keys=(API_KEY, "new-key"))
        world.dead_letters()

    # Then both checks fail
    assert code == Exit.REFUSED
    new = {name for name in before if after.get(name) == "failed" and before[name] != "failed"}
    assert new == {"AlloMia", "dead letters"}
    assert after["alarm subscribers"] == "warning"


def test_watch_ends_with_ctrl_c(operator: dict[str, str]) -> None:
    terminal, inner = os.openpty()
    with subprocess.Popen(
        [ROOT / ".venv/bin/calls", "watch", "--every", "1"],
        env={"PATH": "/usr/bin:/bin", "TERM": "xterm", **operator},
        stdin=inner,
        stdout=subprocess.PIPE,
        stderr=inner,
        text=True,
    ) as watch:
        seen = b""
        while seen.count(b"dead letters") < 2:  # it looks repeatedly
            seen += os.read(terminal, 4096)
        watch.send_signal(signal.SIGINT)
        printed, _ = watch.communicate(timeout=30)
    os.close(inner)
    os.close(terminal)

    assert watch.returncode == Exit.DONE
    assert "dead letters" in printed


def test_without_a_terminal_nothing_is_confirmed(operator: dict[str, str], world: LocalEnvironment) -> None:
    asked = as_person(operator, "place", "--phone-number", COMPLETED, "--request-id", "cli-not-asked")

    assert asked.returncode == Exit.REFUSED
    assert asked.stdout == ""
    assert "--yes" in asked.stderr
    assert "cli-not-asked" not in world.calls()


def test_aws_errors_are_reported(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    code, answer = calls("show", "a", "--stack", "nothing-here")
    assert (code, answer["error"]["exitCode"]) == (Exit.UNREACHABLE, Exit.UNREACHABLE)

    code, answer = calls("show", "a", "--endpoint-url", "http://127.0.0.1:9")
    assert code == Exit.UNREACHABLE

    monkeypatch.setenv("CALLS_STACK", "another-stack")
    code, answer = calls("show", "a")
    assert code == Exit.UNREACHABLE
    assert "AccessDenied" in answer["error"]["message"]


# The calling policy.


@pytest.fixture
def open_again(calls: Calls) -> Iterator[None]:
    """Whatever the test sets, calls are allowed at the end."""
    yield
    assert calls("policy", "set", "--preset", "open", "--yes")[0] == Exit.DONE


@pytest.mark.usefixtures("open_again")
# Before the pause: for some seconds after it, calls are still held back.
def test_a_number_on_the_list_is_not_called_until_it_is_removed(
    calls: Calls, world: LocalEnvironment, tmp_path: Path
) -> None:
    file = tmp_path / "list.csv"
    file.write_text(f"phoneNumber\n{BUSY}\n")
    assert calls("do-not-call", "import", str(file))[1]["added"] == 1
    assert calls("do-not-call", "count")[1]["entries"] >= 1

    place = ("place", "--request-id", "cli-listed", "--phone-number", BUSY, "--yes", "--wait")
    code, report = calls(*place)

    assert (code, report["following"]["calls"][0]["reasonCode"]) == (Exit.NEEDS_A_PERSON, "do-not-call")
    assert "dispatchedAt" not in world.calls()["cli-listed"]
    assert calls("forget", BUSY)[1]["doNotCallEntries"] == 1
    assert calls("do-not-call", "remove", BUSY)[1]["listed"] is False
    assert calls("audit", "--from", "1h")[0] == Exit.DONE


def test_a_paused_call_waits_is_explained_and_is_cancelled(calls: Calls, world: LocalEnvironment) -> None:
    # Given a pause that is in force
    code, paused = calls("pause")
    assert (code, paused["changed"]) == (Exit.DONE, True)
    assert calls("policy", "show")[1]["setBy"].startswith("user/operator-")
    time.sleep(10)

    # When a call is placed
    place = ("place", "--request-id", "cli-paused", "--phone-number", COMPLETED)
    code, dry_run = calls(*place, "--dry-run")
    assert (code, dry_run["policy"]["rows"][0]["parkReason"]) == (Exit.DONE, "paused")
    assert calls(*place, "--yes")[0] == Exit.DONE
    wait_until(lambda: calls("show", "cli-paused")[0] == Exit.DONE)

    # Then it waits, which is explained, and is cancelled
    assert calls("show", "cli-paused")[1]["waiting"] == "Waiting to be resumed: calls are paused"
    assert calls("explain", "cli-paused")[1]["forecast"]["parkReason"] == "paused"
    assert calls("cancel", "cli-paused")[1]["counts"] == {"cancelled": 1}
    assert calls("cancel", "--batch", "cli-never-sent")[1]["counts"] == {}
    code, resumed = calls("resume")
    assert (code, resumed["version"]) == (Exit.DONE, paused["version"] + 1)
    assert calls("policy", "history")[1]["versions"][0]["version"] == resumed["version"]
    assert "dispatchedAt" not in world.calls()["cli-paused"]


# Last, after all commands have run.
def test_the_policy_allows_exactly_what_the_commands_use(used: set[str]) -> None:
    statements = json.loads((ROOT / "docs/operate/operator-policy.json").read_text())["Statement"]
    actions = [statement["Action"] for statement in statements]

    assert used - {""} == {action for each in actions for action in ([each] if isinstance(each, str) else each)}
