"""An outcome goes from the bus to a real receiver over HTTP, with the template's own rule, connection and target.

The local cloud's CloudFormation has no API destinations and its EventBridge no retries, so its API is given what the
template says, and the retries are held by the template's tests alone.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from samtranslator.yaml_helper import yaml_parse

from local.cloud import LocalCloud
from outbound_calls.adapters.outcome_bus import OutcomeBus
from outbound_calls.contracts.events import OutcomeEvent
from outbound_calls.contracts.vocabulary import Dialled, OutcomeSource, Status
from tests.tooling.simulator.conftest import eventually
from tests.tooling.template.rendering import PROJECT
from tests.unit.parts import closed_port

TEMPLATE = yaml_parse((PROJECT / "examples/outcomes-over-https.yaml").read_text())
KEY = "a-key-of-this-test"


def event(request_id: str, status: Status = Status.COMPLETED) -> OutcomeEvent:
    return OutcomeEvent(
        organization=None,
        request_id=request_id,
        attempt=1,
        final=True,
        next_attempt_at=None,
        batch=None,
        purpose=None,
        cancel_requested_at=None,
        status=status,
        dialled=Dialled.YES,
        reason_code=None,
        outbound_call_id=None,
        contact_id=None,
        call_details=None,
        outcome_source=OutcomeSource.WEBHOOK,
        recorded_at="2026-04-01T14:32:31Z",
        metadata={},
    )


def filled_in(part: Any, values: dict[str, str]) -> Any:
    """A part of the template with its references replaced."""
    match part:
        case {"Ref": name}:
            return values[name]
        case {"Fn::GetAtt": [name, _]}:
            return values[name]
        case {"Fn::Sub": text}:
            return values[text]
        case dict():
            return {name: filled_in(each, values) for name, each in part.items()}
        case list():
            return [filled_in(each, values) for each in part]
        case _:
            return part


def deploy(cloud: LocalCloud, url: str, key: str) -> OutcomeBus:
    """What the template creates, on a bus of its own."""
    events: Any = cloud.client("events")
    name = f"outcomes-{uuid4().hex[:8]}"
    events.create_event_bus(Name=name)
    values = {"OutcomeBusName": name, "EndpointUrl": url, "RequestIdPrefix": "reminder-", "MaxPerSecond": "20"}
    values |= {"KeyHeader": TEMPLATE["Parameters"]["KeyHeader"]["Default"], "UndeliveredQueue": "arn:aws:sqs:::x"}
    values |= {"{{resolve:secretsmanager:${EndpointKey}}}": key, "DeliveryRole": "arn:aws:iam::123456789012:role/x"}

    def properties(resource: str) -> Any:
        return filled_in(TEMPLATE["Resources"][resource]["Properties"], values)

    values["Connection"] = events.create_connection(Name=name, **properties("Connection"))["ConnectionArn"]
    endpoint = properties("Endpoint")
    endpoint["InvocationRateLimitPerSecond"] = int(endpoint["InvocationRateLimitPerSecond"])
    values["Endpoint"] = events.create_api_destination(Name=name, **endpoint)["ApiDestinationArn"]
    rule = properties("OutcomesRule")
    events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps(rule["EventPattern"]))
    answer = events.put_targets(Rule=name, EventBusName=name, Targets=rule["Targets"])
    assert answer["FailedEntryCount"] == 0
    return OutcomeBus(events, name)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    """The example's receiver as a process: its address, and what it has said."""
    said = tmp_path / "said"
    with closed_port() as url:
        port = int(url.rpartition(":")[2])
    with said.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, PROJECT / "examples/receiver.py", str(port), str(tmp_path / "outcomes.db")],
            env={"OUTCOMES_KEY": KEY},
            stdout=output,
        )
    try:
        eventually(lambda: listens(port))
        yield f"http://127.0.0.1:{port}/outcomes", lambda: said.read_text().splitlines()
    finally:
        process.kill()
        process.wait()


def test_outcomes_reach_a_receiver_that_has_the_key(
    cloud: LocalCloud, receiver: tuple[str, Callable[[], list[str]]]
) -> None:
    url, said = receiver
    bus, unauthorized = deploy(cloud, url, KEY), deploy(cloud, url, "another-key")

    unauthorized.publish([event("reminder-forged")])
    bus.publish([event("invoice-1"), event("reminder-1"), event("reminder-1")])
    eventually(said)
    bus.publish([event("reminder-2", Status.NO_ANSWER)])
    eventually(lambda: len(said()) > 1)

    assert said() == ["reminder-1: completed", "reminder-2: no-answer"]
