"""docs/integrate/asyncapi.yaml is valid AsyncAPI 3.0 and agrees with the template and the code."""

import copy
import importlib
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from outbound_calls.contracts.events import DETAIL_TYPE, SOURCE
from tests.tooling.contracts.documents import Schema, document, references, target
from tests.tooling.template.rendering import read_template

QUEUE_PROPERTIES = {"visibilityTimeout": "VisibilityTimeout", "messageRetentionPeriod": "MessageRetentionPeriod"}


@pytest.fixture(scope="module")
def asyncapi() -> Schema:
    return document("asyncapi.yaml")


def check(document: Schema) -> None:
    """Raises if the document isn't AsyncAPI 3.0."""
    with warnings.catch_warnings():
        # pydantic warns about a field of the library's that is called `schema`.
        warnings.simplefilter("ignore")
        importlib.import_module("asyncapi3").AsyncAPI3.model_validate(document)


def test_the_document_is_asyncapi_3(asyncapi: Schema) -> None:
    check(asyncapi)
    assert asyncapi["asyncapi"] == "3.0.0"


@pytest.mark.parametrize(
    "mistake",
    [
        lambda each: each["channels"]["callQueue"].update(adress="here"),
        lambda each: each["operations"]["requestCall"].update(action="publish"),
        lambda each: each["operations"]["requestCall"].pop("channel"),
        lambda each: each["channels"]["callQueue"]["bindings"]["sqs"]["queue"].pop("name"),
        lambda each: each["components"]["messages"]["callOutcome"]["correlationId"].pop("location"),
    ],
)
def test_the_check_finds_mistakes(asyncapi: Schema, mistake: Callable[[Schema], object]) -> None:
    mistaken = copy.deepcopy(asyncapi)
    mistake(mistaken)

    with pytest.raises(ValueError, match="validation error"):
        check(mistaken)


def test_every_reference_has_a_target(asyncapi: Schema) -> None:
    found = set(references(asyncapi))

    assert len(found) > 10
    for reference in found:
        assert target(asyncapi, reference), reference


def test_each_operation_uses_a_channel_with_its_messages(asyncapi: Schema) -> None:
    actions = {name: operation["action"] for name, operation in asyncapi["operations"].items()}
    sent, received = {"requestCall", "cancelCalls", "objectToCalls"}, {"receiveOutcome", "receiveInvalidMessage"}
    assert actions == dict.fromkeys(sent, "send") | dict.fromkeys(received, "receive")
    used = [each["$ref"] for operation in asyncapi["operations"].values() for each in operation["messages"]]
    for operation in asyncapi["operations"].values():
        assert all(each["$ref"].startswith(operation["channel"]["$ref"]) for each in operation["messages"])
    assert sorted(used) == sorted(
        f"#/channels/{channel}/messages/{name}"
        for channel, each in asyncapi["channels"].items()
        for name in each["messages"]
    )


def described_queues(asyncapi: Schema) -> dict[str, Schema]:
    bindings = [channel.get("bindings", {}).get("sqs", {}) for channel in asyncapi["channels"].values()]
    queues = [binding[part] for binding in bindings for part in ("queue", "deadLetterQueue") if part in binding]
    return {queue["name"]: queue for queue in queues}


def test_the_queues_are_those_of_the_template(asyncapi: Schema) -> None:
    queues, resources = described_queues(asyncapi), read_template()["Resources"]

    assert queues.keys() == {"CallQueue", "InvalidMessagesQueue", "DeadLetterQueue"}
    for name, queue in queues.items():
        assert resources[name]["Type"] == "AWS::SQS::Queue"
        properties: dict[str, Any] = resources[name]["Properties"]
        assert queue["fifoQueue"] is properties.get("FifoQueue", False)
        for ours, theirs in QUEUE_PROPERTIES.items():
            assert queue.get(ours) == properties.get(theirs), (name, ours)
        described, redrive = queue.get("redrivePolicy"), properties.get("RedrivePolicy")
        assert bool(described) == bool(redrive)
        if described and redrive:
            assert described["maxReceiveCount"] == redrive["maxReceiveCount"]
            assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": [described["deadLetterQueue"]["name"], "Arn"]}


def test_the_bus_is_that_of_the_template_and_its_events_are_those_of_the_code(asyncapi: Schema) -> None:
    bus = asyncapi["channels"]["outcomeBus"]

    name = read_template()["Resources"]["OutcomeBus"]["Properties"]["Name"]["Fn::Sub"]
    assert bus["address"] == name.replace("${AWS::StackName}", "{stackName}")
    assert bus["x-event-pattern"] == {"source": [SOURCE], "detail-type": [DETAIL_TYPE], "detail": {"version": ["1"]}}


def test_each_channel_names_its_output_of_the_template(asyncapi: Schema) -> None:
    outputs = read_template()["Outputs"]
    for channel in asyncapi["channels"].values():
        (named,) = (word.rstrip(".") for word in channel["description"].split() if word.rstrip(".") in outputs)
        assert f"output {named}" in channel["description"]


def test_the_messages_have_the_schemas_of_the_contracts(asyncapi: Schema) -> None:
    messages = asyncapi["components"]["messages"]

    assert messages["callRequest"]["payload"] == {"$ref": "schemas/call-request.json"}
    assert messages["cancel"]["payload"] == {"$ref": "schemas/cancel.json"}
    assert messages["doNotCall"]["payload"] == {"$ref": "schemas/do-not-call.json"}
    assert messages["callOutcome"]["payload"] == {"$ref": "schemas/call-outcome-event.json"}
    assert messages["invalidMessage"]["headers"] == {"$ref": "schemas/invalid-message.json"}
    for message in messages.values():
        location = message.get("correlationId", {}).get("location", "$message.payload#")
        place = target(asyncapi, message["payload"]["$ref"]) if "$ref" in message["payload"] else {}
        for step in location.removeprefix("$message.payload#").split("/")[1:]:
            place = place["properties"][step]
            place = target(asyncapi, f"schemas/{place['$ref']}") if "$ref" in place else place
