"""Every sample event of events/, by the functions as `sam build` made them, under Lambda's own runtime emulator."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.emulator import Emulator, Invocation
from local.environment import LocalEnvironment
from local.sam import ROOT
from local.stack import function_environment
from outbound_calls.contracts.messages import read_message
from outbound_calls.contracts.wire import InvalidInput

EVENTS = ROOT / "events"
FUNCTIONS = {
    "place_call": "PlaceCallFunction",
    "receive_webhook": "ReceiveWebhookFunction",
    "poll_calls": "PollCallsFunction",
    "publish_outcome": "PublishOutcomeFunction",
    "get_call": "GetCallFunction",
}


class Functions:
    """The functions, each started when first needed and kept, as Lambda keeps them."""

    def __init__(self, world: LocalEnvironment) -> None:
        self._world = world
        self._running: dict[str, Emulator] = {}

    def invoke(self, event: str) -> Invocation:
        path = EVENTS / event
        name = FUNCTIONS[path.parent.name]
        if name not in self._running:
            environment = function_environment(self._world.cloud, self._world.stack, name)
            self._running[name] = Emulator(name, environment)
            self._running[name].__enter__()
        return self._running[name].invoke(json.loads(path.read_text()))

    def stop(self) -> None:
        for emulator in self._running.values():
            emulator.stop()


@pytest.fixture(scope="module")
def functions(world: LocalEnvironment) -> Iterator[Functions]:
    started = Functions(world)
    yield started
    started.stop()


def call(world: LocalEnvironment, request_id: str) -> dict[str, Any]:
    return world.calls()[request_id]


def test_place_call(world: LocalEnvironment, functions: Functions) -> None:
    # When each of its sample events is handled, then no message is left on the queue for another try
    for path in sorted((EVENTS / "place_call").glob("*.json")):
        if path.stem != "dispatch":
            answer = functions.invoke(f"place_call/{path.name}")
            assert (path.name, answer.error, answer.answer) == (path.name, None, {"batchItemFailures": []})

    # And each case is what its name says
    assert call(world, "sample-completed")["status"] in {"calling", "completed"}
    assert call(world, "sample-answer-lost")["status"] == "dispatching"
    assert call(world, "sample-declined")["parkReason"] == "refused-by-allomia"
    assert call(world, "sample-throttled")["status"] == "scheduled"
    assert call(world, "sample-cancelled")["reasonCode"] == "cancelled-unseen"
    policy = world.cloud.client("dynamodb").scan(TableName=world.stack.policy_table_name)["Items"]
    assert [item for item in policy if item["entry"]["S"].startswith("do-not-call#")]
    fields = [message.attributes["field"] for message in world.invalid_messages()]
    assert sorted(fields) == ["body", "phoneNumber"]

    # And a dispatch message dials what was parked, once
    functions.invoke("place_call/dispatch.json")
    functions.invoke("place_call/dispatch.json")
    assert call(world, "sample-throttled")["status"] in {"calling", "completed"}
    assert world.dials()["sample-throttled"] == (2, 1)


def test_receive_webhook(world: LocalEnvironment, functions: Functions) -> None:
    # Given an attempt whose answer got lost
    functions.invoke("place_call/answer-lost.json")

    # When each sample webhook comes, then each is answered as its name says
    cases = ("forged", "other-attempt", "not-an-outcome", "completed", "no-answer")
    answers = {case: functions.invoke(f"receive_webhook/{case}.json").answer["statusCode"] for case in cases}
    assert answers == {"forged": 403, "other-attempt": 403, "not-an-outcome": 200, "completed": 200, "no-answer": 200}
    assert {f"{case}.json" for case in cases} == {path.name for path in (EVENTS / "receive_webhook").iterdir()}

    # And the first outcome is the one that stays
    assert call(world, "sample-answer-lost")["status"] == "completed"


def test_poll_calls(functions: Functions) -> None:
    # Entries of an index read long ago are no lease any more
    assert functions.invoke("poll_calls/page.json").answer["skipped"] == 2
    assert functions.invoke("poll_calls/empty.json").answer["polled"] == 0


def test_publish_outcome(world: LocalEnvironment, functions: Functions) -> None:
    world.outcome_events()
    for case in ("completed", "unknown"):
        assert functions.invoke(f"publish_outcome/{case}.json").error is None

    heard = {event["requestId"]: event for event in world.outcome_events() if event["recordedAt"] < "2026"}
    assert heard["sample-completed"]["callDetails"]["duration"] == 150
    assert heard["sample-completed"]["metadata"] == {"appointmentId": "A-1001"}
    assert heard["sample-answer-lost"]["final"] is False


def test_get_call(functions: Functions) -> None:
    # Given the request that one of the samples asks for
    functions.invoke("place_call/completed.json")

    # When each sample is handled, then each is answered as its name says
    cases = {"found": 200, "not-found": 404, "invalid-id": 400}
    answers = {case: functions.invoke(f"get_call/{case}.json").answer for case in cases}
    assert {case: answer["statusCode"] for case, answer in answers.items()} == cases
    assert {f"{case}.json" for case in cases} == {path.name for path in (EVENTS / "get_call").iterdir()}
    assert json.loads(answers["found"]["body"])["requestId"] == "sample-completed"


@pytest.mark.parametrize("path", sorted((EVENTS / "requests").glob("*.json")), ids=lambda path: path.stem)
def test_a_sample_request_is_valid_unless_its_name_says_otherwise(path: Path) -> None:
    if path.stem == "invalid-message":
        with pytest.raises(InvalidInput, match="phoneNumber"):
            read_message(path.read_text())
    else:
        read_message(path.read_text())
