"""The example of an upstream system, at work on the deployed stack: a process that knows two queues and no more."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from local.environment import LocalEnvironment
from tests.stack.conftest import every, let_deadline_pass, wait_until
from tests.tooling.contracts.documents import validator
from tests.tooling.template.rendering import PROJECT

UPSTREAM = PROJECT / "examples/upstream.py"
TEMPLATE = PROJECT / "examples/upstream.yaml"

ANSWERS, WEBHOOK_LOST, ALL_LOST = "+15005550100", "+15005550200", "+15005550501"
APPOINTMENTS = {"U-1": ANSWERS, "U-2": WEBHOOK_LOST, "U-3": ALL_LOST}


def deploy(world: LocalEnvironment, name: str) -> dict[str, str]:
    """Deploy the example's template; its outputs."""
    cloudformation = world.cloud.client("cloudformation")
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[
            {"ParameterKey": "OutcomeBusName", "ParameterValue": world.stack.outcome_bus_name},
            {"ParameterKey": "RequestIdPrefix", "ParameterValue": "reminder-U-"},
        ],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


@contextmanager
def upstream(world: LocalEnvironment, *arguments: str, said: Path) -> Iterator[subprocess.Popen[str]]:
    """The example as a process of its own, that says into this file what it says."""
    with said.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, UPSTREAM, *arguments],
            env=world.cloud.environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def events(world: LocalEnvironment, queue_url: str) -> list[dict[str, Any]]:
    """Whole events that came into a queue, as they came."""
    sqs, found = world.cloud.client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
    return found


def test_each_appointment_has_exactly_one_outcome(world: LocalEnvironment, tmp_path: Path) -> None:
    own, witness = deploy(world, "clinic"), deploy(world, "witness")
    appointments, said, known = tmp_path / "appointments.json", tmp_path / "said", tmp_path / "outcomes.db"
    visit = {"name": "Robin Sample", "date": "2026-12-01", "time": "09:30"}
    rows = [{"id": name, "phoneNumber": number} | visit for name, number in APPOINTMENTS.items()]
    appointments.write_text(json.dumps(rows))

    def printed() -> list[str]:
        return [line.partition(";")[0] for line in said.read_text().splitlines()]

    def listening() -> AbstractContextManager[subprocess.Popen[str]]:
        return upstream(world, "listen", own["OutcomesQueueUrl"], str(known), said=said)

    # Given all of them asked for twice, as by a system that crashed and began again
    for _ in range(2):
        with upstream(world, "ask", world.stack.call_queue_url, str(appointments), said=said) as asking:
            assert asking.wait(60) == 0

    # When it listens, is killed, and listens again, and events come a second time
    with listening():
        wait_until(lambda: {"U-1: completed", "U-2: completed"} <= {*printed()}, meanwhile=every(3, world.sweep))
    heard = events(world, witness["OutcomesQueueUrl"])
    publish_again(world, heard)
    with listening():
        let_deadline_pass(world, "reminder-U-3")
        wait_until(lambda: "U-3: unknown" in printed(), meanwhile=every(3, world.sweep))
        report_late(world, "reminder-U-3")
        wait_until(lambda: "U-3: completed" in printed())
        publish_again(world, heard)
        wait_until(lambda: not waiting(world, own["OutcomesQueueUrl"]))

    # Then each outcome was published once, and the real one after `unknown`
    assert sorted(printed()) == ["U-1: completed", "U-2: completed", "U-3: completed", "U-3: unknown"]
    assert printed().index("U-3: unknown") < printed().index("U-3: completed")
    # And no one was called twice
    assert {name: world.dials()[f"reminder-{name}"] for name in APPOINTMENTS} == dict.fromkeys(APPOINTMENTS, (1, 1))
    # And the events, those that came again too, kept the contract and belonged to this stack
    heard += events(world, witness["OutcomesQueueUrl"])
    assert {event["detail"]["requestId"] for event in heard} == {f"reminder-{name}" for name in APPOINTMENTS}
    assert len(heard) >= 8
    for event in heard:
        validator("call-outcome-event").validate(event)
    assert not waiting(world, own["UndeliveredQueueUrl"])


def report_late(world: LocalEnvironment, request_id: str) -> None:
    """AlloMia's webhook, after all."""
    (url,) = (url for url in world.allomia.dials().accepted if f"/{request_id}/" in url)
    outcome = {"outboundCallId": "c3d4e5f6-a7b8-9012-cdef-345678901234", "status": "completed"}
    assert httpx.post(url, json=outcome, trust_env=False, timeout=30).status_code == 200


def publish_again(world: LocalEnvironment, heard: list[dict[str, Any]]) -> None:
    """Publish these events once more, as may happen."""
    answer = world.cloud.client("events").put_events(
        Entries=[
            {
                "EventBusName": world.stack.outcome_bus_name,
                "Source": event["source"],
                "DetailType": event["detail-type"],
                "Detail": json.dumps(event["detail"]),
            }
            for event in heard
        ]
    )
    assert answer["FailedEntryCount"] == 0


def waiting(world: LocalEnvironment, queue_url: str) -> int:
    """How many messages are in a queue, in flight included."""
    found = world.cloud.client("sqs").get_queue_attributes(
        QueueUrl=queue_url,
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )
    return sum(int(number) for number in found["Attributes"].values())
