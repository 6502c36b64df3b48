"""docs/integrate/asyncapi.yaml is AsyncAPI 3.0, and says what the template and the code say."""

import copy
import importlib
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from outbound_calls.publish import DETAIL_TYPE, SOURCE
from tests.tooling.contracts.documents import Schema, document, references, target
from tests.tooling.template.rendering import read_template

QUEUE_PROPERTIES = {"visibilityTimeout": "VisibilityTimeout", "messageRetentionPeriod": "MessageRetentionPeriod"}


@pytest.fixture(scope="module")
def asyncapi() -> Schema:
    return document("asyncapi.yaml")


def check(document: Schema) -> None:
    """Raises when this is not AsyncAPI 3.0."""
    with warnings.catch_warnings():
        # One of its models has a field that is called `schema`, which pydantic does not like.
        warnings.simplefilter("ignore")
        importlib.import_module("asyncapi3").AsyncAPI3.model_validate(document)


def test_it_is_asyncapi(asyncapi: Schema) -> None:
    check(asyncapi)
    assert asyncapi["asyncapi"] == "3.0.0"


@pytest.mark.parametrize(
    "mistake",
    [
        lambda each: each["channels"]["callQueue"].update(adress="here"),
        lambda each: each["operations"]["askForCall"].update(action="publish"),
        lambda each: each["operations"]["askForCall"].pop("channel"),
        lambda each: each["channels"]["callQueue"]["bindings"]["sqs"]["queue"].pop("name"),
        lambda each: each["components"]["messages"]["callOutcome"]["correlationId"].pop("location"),
    ],
)
def test_a_mistake_would_be_found(asyncapi: Schema, mistake: Callable[[Schema], object]) -> None:
    mistaken = copy.deepcopy(asyncapi)
    mistake(mistaken)

    with pytest.raises(ValueError, match="validation error"):
        check(mistaken)


def test_every_reference_leads_somewhere(asyncapi: Schema) -> None:
    found = set(references(asyncapi))

    assert len(found) > 10
    for reference in found:
        assert target(asyncapi, reference), reference


def test_each_operation_is_on_a_channel_that_has_its_messages(asyncapi: Schema) -> None:
    actions = {name: operation["action"] for name, operation in asyncapi["operations"].items()}
    assert actions == {"askForCall": "send", "hearOutcome": "receive", "readRejected": "receive"}
    for operation in asyncapi["operations"].values():
        channel = operation["channel"]["$ref"]
        assert [each["$ref"].removeprefix(channel) for each in operation["messages"]] == [
            f"/messages/{name}" for name in target(asyncapi, channel)["messages"]
        ]


def test_the_queues_are_the_templates(asyncapi: Schema) -> None:
    resources = read_template()["Resources"]
    seen = set()
    for channel in asyncapi["channels"].values():
        binding = channel.get("bindings", {}).get("sqs", {})
        for queue in (binding[part] for part in ("queue", "deadLetterQueue") if part in binding):
            seen.add(queue["name"])
            assert resources[queue["name"]]["Type"] == "AWS::SQS::Queue"
            properties: dict[str, Any] = resources[queue["name"]]["Properties"]
            assert queue["fifoQueue"] is properties.get("FifoQueue", False)
            for ours, theirs in QUEUE_PROPERTIES.items():
                assert queue.get(ours) == properties.get(theirs), (queue["name"], ours)
            redrive = properties.get("RedrivePolicy")
            assert ("redrivePolicy" in queue) == bool(redrive)
            if redrive:
                assert queue["redrivePolicy"]["maxReceiveCount"] == redrive["maxReceiveCount"]
                name = queue["redrivePolicy"]["deadLetterQueue"]["name"]
                assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": [name, "Arn"]}
    assert seen == {"CallQueue", "InvalidMessagesQueue", "DeadLetterQueue"}


def test_the_bus_and_its_events_are_the_templates_and_the_codes(asyncapi: Schema) -> None:
    bus = asyncapi["channels"]["outcomeBus"]

    name = read_template()["Resources"]["OutcomeBus"]["Properties"]["Name"]["Fn::Sub"]
    assert bus["address"] == name.replace("${AWS::StackName}", "{stackName}")
    assert bus["x-event-pattern"] == {"source": [SOURCE], "detail-type": [DETAIL_TYPE], "detail": {"version": ["1"]}}


def test_the_outputs_that_are_named_are_the_templates(asyncapi: Schema) -> None:
    outputs = read_template()["Outputs"]
    for channel in asyncapi["channels"].values():
        (named,) = (word.rstrip(".") for word in channel["description"].split() if word.rstrip(".") in outputs)
        assert f"output {named}" in channel["description"]


def test_the_messages_are_the_schemas(asyncapi: Schema) -> None:
    messages = asyncapi["components"]["messages"]

    assert messages["callRequest"]["payload"] == {"$ref": "schemas/call-request.json"}
    assert messages["callOutcome"]["payload"] == {"$ref": "schemas/call-outcome-event.json"}
    assert messages["rejectedMessage"]["headers"] == {"$ref": "schemas/invalid-message.json"}
    for message in messages.values():
        location = message.get("correlationId", {}).get("location", "$message.payload#")
        place = target(asyncapi, message["payload"]["$ref"]) if "$ref" in message["payload"] else {}
        for step in location.removeprefix("$message.payload#").split("/")[1:]:
            place = place["properties"][step]
            place = target(asyncapi, f"schemas/{place['$ref']}") if "$ref" in place else place
