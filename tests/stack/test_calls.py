"""The operator's command on a deployed stack, by an operator who may do what docs/operate/operator-policy.json says."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from calls.app import main
from calls.output import Exit
from calls.watching import depth
from local.cloud import ROOT
from local.environment import API_KEY, LocalEnvironment
from tests.stack.conftest import every, wait_until

COMPLETED = "+15005550100"
BUSY = "+15005550101"
STUCK = "+15005550400"
ANSWER_AND_WEBHOOK_LOST = "+15005550322"

EMULATED = {
    "sqs:SendMessage": "sqs:SendMessageBatch",
    "sqs:DeleteMessage": "sqs:DeleteMessageBatch",
    "sqs:ChangeMessageVisibility": "sqs:ChangeMessageVisibilityBatch",
    "lambda:GetEventSourceMapping": "lambda:ListEventSourceMappings",
}
"""Rights for which the emulator asks under another name than AWS."""

type Calls = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="session")
def operator(world: LocalEnvironment) -> dict[str, str]:
    """The environment of an operator: a user of the account with the rights that the documentation lists."""
    region, account, name = world.cloud.region, world.cloud.account, f"operator-{uuid4().hex[:8]}"
    policy = (ROOT / "docs/operate/operator-policy.json").read_text()
    secret = world.cloud.client("secretsmanager").describe_secret(SecretId=f"{world.stack.name}/allomia-api-key")["ARN"]
    for right, as_the_emulator_has_it in EMULATED.items():
        policy = policy.replace(f'"{right}"', f'"{right}", "{as_the_emulator_has_it}"')
    for placeholder, value in {
        "ARN-OF-THE-SECRET-WITH-THE-ALLOMIA-KEY": secret,
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


def right_for(model: Any) -> str:
    """The right that an operation of AWS needs; a batch of SQS needs that of its single one."""
    service = {"monitoring": "cloudwatch"}.get(model.service_model.signing_name, model.service_model.signing_name)
    return f"{service}:{model.name.removesuffix('Batch') if service == 'sqs' else model.name}"


@pytest.fixture(scope="session")
def asked() -> set[str]:
    """The rights that the commands have needed so far."""
    return set()


@pytest.fixture
def calls(
    operator: dict[str, str], asked: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Calls:
    """Gives a command; returns the exit code and the JSON document that was answered."""
    for name, value in operator.items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()
    session: Any = boto3.DEFAULT_SESSION
    session.events.register("before-call", lambda model, **_: asked.add(right_for(model)))

    def give(*arguments: str) -> tuple[int, dict[str, Any]]:
        code = main([*arguments, "--json"])
        told = capsys.readouterr()
        assert told.err == ""
        return code, json.loads(told.out)

    return give


def as_person(operator: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command as a person gives it, in a process of its own."""
    return subprocess.run(
        [ROOT / ".venv/bin/calls", *arguments],
        env={"PATH": "/usr/bin:/bin", **operator},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_calls_of_a_file_are_placed_and_followed_and_placed_once_however_often_it_is_run(
    calls: Calls, world: LocalEnvironment, tmp_path: Path
) -> None:
    # Given a file as a spreadsheet writes it, of which one row breaks a rule
    file = tmp_path / "reminders.csv"
    head = "phoneNumber,customerName,dynamicVariables.date,metadata.visit"
    good = [f"{COMPLETED},Ada,2026-12-01,V1", f"{BUSY},Eve,2026-12-01,V2"]
    file.write_text("\n".join([head, *good, "5145550199,Zoë,2026-12-01,V3"]), encoding="utf-8-sig")

    # When it is looked over, and tried
    code, dry = calls("place", str(file), "--dry-run")
    refused, _ = calls("place", str(file), "--yes")

    # Then nothing has been sent
    assert (code, refused) == (Exit.REFUSED, Exit.REFUSED)
    assert dry["preflight"]["toSend"] == 2
    assert [(each["row"], each["field"]) for each in dry["preflight"]["refused"]] == [(4, "phoneNumber")]
    assert "sent" not in dry

    # When the good rows are placed, and the mended file after that, twice
    code, placed = calls("place", str(file), "--yes", "--skip-refused", "--wait", "--timeout", "60")
    file.write_text("\n".join([head, f"{COMPLETED},Zoë,2026-12-01,V3", *good]))
    again, mended = calls("place", str(file), "--yes", "--wait", "--timeout", "60")
    last, nothing = calls("place", str(file), "--yes")

    # Then each row is one call
    assert (code, again, last) == (Exit.DONE, Exit.DONE, Exit.DONE)
    assert (placed["sent"], mended["sent"], nothing["sent"]) == (2, 1, 0)
    assert sorted(call["status"] for call in placed["following"]["calls"]) == ["busy", "completed"]
    assert sorted(call["row"] for call in mended["following"]["calls"]) == [2, 3, 4]
    names = {each["requestId"] for each in mended["following"]["calls"]}
    assert {name: world.dials()[name] for name in names} == dict.fromkeys(names, (1, 1))
    assert {world.calls()[name]["metadata"]["visit"] for name in names} == {"V1", "V2", "V3"}


def test_a_call_is_shown_and_found(calls: Calls, world: LocalEnvironment) -> None:
    # Given a call that goes on
    calls("place", "--phone-number", STUCK, "--request-id", "cli-stuck", "--metadata", "visit=V1", "--yes")
    wait_until(lambda: world.calls().get("cli-stuck", {}).get("status") == "calling", 60)

    code, shown = calls("show", "cli-stuck")
    assert (code, shown["status"], shown["metadata"]) == (Exit.DONE, "calling", {"visit": "V1"})
    for search in ([], ["--status", "calling"], ["--since", "1h"], ["--status", "calling", "--since", "1h"]):
        code, found = calls("list", "--limit", "1000", *search)
        assert code == Exit.DONE
        assert "cli-stuck" in [call["requestId"] for call in found["calls"]]
    _, found = calls("list", "--status", "scheduled")
    assert "cli-stuck" not in [call["requestId"] for call in found["calls"]]
    _, view = calls("watch")
    assert view["underWay"]["calling"] >= 1
    assert {queue["queue"] for queue in view["queues"]} == {"requests", "rejected", "dead letters", "failed outcomes"}

    # And of another nothing is known
    code, answer = calls("show", "never-asked")
    assert (code, answer["error"]["exitCode"]) == (Exit.REFUSED, Exit.REFUSED)


def test_an_unknown_call_is_resolved_or_dialled_again(
    calls: Calls, world: LocalEnvironment, operator: dict[str, str]
) -> None:
    # Given two calls that end as unknown
    for name in ("cli-resolved", "cli-redialled"):
        calls("place", "--phone-number", ANSWER_AND_WEBHOOK_LOST, "--request-id", name, "--metadata", "v=1", "--yes")
    wait_until(
        lambda: all(
            world.calls().get(name, {}).get("status") == "unknown" for name in ("cli-resolved", "cli-redialled")
        ),
        150,
        meanwhile=every(5, world.sweep),
    )

    # When a person knows what became of one, and has the other dialled again
    code, resolved = calls("resolve", "cli-resolved", "--as", "no-answer", "--yes")
    again, _ = calls("resolve", "cli-resolved", "--as", "completed", "--yes")
    redialled, redial = calls("resolve", "cli-redialled", "--dial-again", "--phone-number", COMPLETED, "--yes")
    refused, _ = calls("resolve", "cli-redialled", "--dial-again", "--phone-number", COMPLETED, "--yes")

    # Then both are recorded, and published like any outcome
    assert (code, again) == (Exit.DONE, Exit.REFUSED)
    assert resolved == {"requestId": "cli-resolved", "attempt": 1, "status": "no-answer"}
    assert (redialled, refused) == (Exit.DONE, Exit.REFUSED)
    assert redial["redial"]["phoneNumber"] == "+1500•••••00"
    wait_until(lambda: world.calls()["cli-redialled"]["status"] == "completed", 90, meanwhile=every(3, world.sweep))
    _, report = calls("show", "cli-redialled")
    assert [attempt["status"] for attempt in report["attempts"]] == ["unknown", "completed"]
    assert report["metadata"] == {"v": "1"}

    # And a person who reads sees the same, and no number
    shown = as_person(operator, "show", "cli-resolved")
    assert shown.returncode == 0
    assert "no-answer" in shown.stdout
    assert "operator" in shown.stdout


def test_a_rejected_message_is_looked_at_mended_and_put_back(
    calls: Calls, world: LocalEnvironment, operator: dict[str, str], tmp_path: Path
) -> None:
    # Given a message that breaks a rule, and names no request
    message_id = world.send({"phoneNumber": "15005550100", "customerName": "Ada"})
    wait_until(lambda: depth(world.cloud.client("sqs"), "", world.stack.invalid_messages_queue_url).waiting, 60)

    # When it is looked at, exported, mended and put back
    _, look = calls("rejected")
    person = as_person(operator, "rejected")
    export, mended = tmp_path / "rejected.jsonl", tmp_path / "mended.jsonl"
    calls("rejected", "--export", str(export))
    unmended, refusals = calls("redrive", "--from", "rejected", "--file", str(export), "--yes")
    (line,) = map(json.loads, export.read_text().splitlines())
    line["request"]["phoneNumber"] = COMPLETED
    mended.write_text(json.dumps(line))
    code, redriven = calls("redrive", "--from", "rejected", "--file", str(mended), "--yes")
    again, _ = calls("redrive", "--from", "rejected", "--file", str(mended), "--yes")

    # Then it was there with its reason until it was mended, and its call is placed under the id it would have had
    (waiting,) = look["messages"]
    assert waiting["reason"].startswith("phoneNumber: required")
    assert waiting["id"] in person.stdout
    assert "555" not in person.stdout + json.dumps(look)
    assert export.stat().st_mode & 0o777 == 0o600
    assert (unmended, refusals["refused"][0]["field"]) == (Exit.REFUSED, "phoneNumber")
    assert (code, redriven["sent"], redriven["stillThere"]) == (Exit.DONE, 1, 0)
    assert again == Exit.REFUSED
    wait_until(lambda: world.calls().get(message_id, {}).get("status") == "completed", 60)
    assert world.dials()[message_id] == (1, 1)

    # And what was exported is not written over
    assert calls("rejected", "--export", str(export))[0] == Exit.REFUSED


def test_dead_letters_are_put_back(calls: Calls, world: LocalEnvironment) -> None:
    # Given a message that the stack failed on five times
    sqs = world.cloud.client("sqs")
    body = json.dumps({"phoneNumber": COMPLETED})
    message_id = sqs.send_message(QueueUrl=world.stack.dead_letter_queue_url, MessageBody=body)["MessageId"]

    code, redriven = calls("redrive", "--dead-letters", "--yes")

    assert (code, redriven["sent"], redriven["stillThere"]) == (Exit.DONE, 1, 0)
    wait_until(lambda: world.calls().get(message_id, {}).get("status") == "completed", 60)


def test_the_doctor_finds_what_is_out_of_order(calls: Calls, world: LocalEnvironment) -> None:
    # Given a stack in order, apart from what the other tests may have left
    def verdicts() -> dict[str, str]:
        _, diagnosis = calls("doctor")
        return {check["name"]: check["verdict"] for check in diagnosis["checks"]}

    well = verdicts()
    healthy = ("deployment", "parameters", "AlloMia key", "AlloMia", "webhook", "schedule", "dead letters", "due calls")
    assert {name: well[name] for name in healthy} == dict.fromkeys(healthy, "ok")

    # When the key is refused, a dead letter waits, and nobody hears the alarms
    sqs = world.cloud.client("sqs")
    sqs.send_message(QueueUrl=world.stack.dead_letter_queue_url, MessageBody="{}")
    world.allomia.configure(accepted_keys=("another-key",))
    try:
        code, _ = calls("doctor")
        ill = verdicts()
    finally:
        world.allomia.configure(accepted_keys=(API_KEY, "new-key"))
        world.dead_letters()

    # Then it says so
    assert code == Exit.REFUSED
    assert {name for name in well if ill[name] == "failed" and well[name] != "failed"} == {"AlloMia", "dead letters"}
    assert ill["who hears the alarms"] == "warning"


def test_a_person_watches_until_ctrl_c(operator: dict[str, str]) -> None:
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
        while seen.count(b"dead letters") < 2:  # it looks more than once
            seen += os.read(terminal, 4096)
        watch.send_signal(signal.SIGINT)
        told, _ = watch.communicate(timeout=30)
    os.close(inner)
    os.close(terminal)

    assert watch.returncode == Exit.DONE
    assert "dead letters" in told


def test_a_person_is_asked_and_nobody_answers_for_them(operator: dict[str, str], world: LocalEnvironment) -> None:
    asked = as_person(operator, "place", "--phone-number", COMPLETED, "--request-id", "cli-not-asked")

    assert asked.returncode == Exit.REFUSED
    assert asked.stdout == ""
    assert "--yes" in asked.stderr
    assert "cli-not-asked" not in world.calls()


def test_what_aws_refuses_is_told(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    code, answer = calls("show", "a", "--stack", "nothing-here")
    assert (code, answer["error"]["exitCode"]) == (Exit.OUT_OF_REACH, Exit.OUT_OF_REACH)

    code, answer = calls("show", "a", "--endpoint-url", "http://127.0.0.1:9")
    assert code == Exit.OUT_OF_REACH

    monkeypatch.setenv("CALLS_STACK", "outbound-of-somebody-else")
    code, answer = calls("show", "a")
    assert code == Exit.OUT_OF_REACH
    assert "AccessDenied" in answer["error"]["message"]


# Last, when all the commands have been given.
def test_the_operators_rights_are_those_that_the_commands_use(asked: set[str]) -> None:
    statements = json.loads((ROOT / "docs/operate/operator-policy.json").read_text())["Statement"]
    rights = [statement["Action"] for statement in statements]

    assert asked == {right for each in rights for right in ([each] if isinstance(each, str) else each)}
