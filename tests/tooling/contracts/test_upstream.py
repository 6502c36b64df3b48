"""The example of an upstream system keeps to the contracts, by itself; tests/stack has it at work."""

import ast
import json
import sys
from contextlib import closing
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

from examples.upstream import NEXT_STEP, Outcomes, request_for
from outbound_calls.contracts import CallRequest, read_message
from tests.tooling.contracts.documents import document, schema
from tests.tooling.template.rendering import PROJECT

UPSTREAM = PROJECT / "examples/upstream.py"
TEMPLATE = PROJECT / "examples/upstream.yaml"


def test_the_example_knows_nothing_but_boto3() -> None:
    imported = {
        name
        for node in ast.walk(ast.parse(UPSTREAM.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    assert imported - sys.stdlib_module_names == {"boto3"}


def test_its_rule_is_that_of_the_contract() -> None:
    pattern = yaml_parse(TEMPLATE.read_text())["Resources"]["OutcomesRule"]["Properties"]["EventPattern"]

    assert pattern["detail"].pop("requestId") == [{"prefix": {"Ref": "RequestIdPrefix"}}]
    assert pattern == document("asyncapi.yaml")["channels"]["outcomeBus"]["x-event-pattern"]


def test_its_queues_take_messages_of_its_rule_only() -> None:
    resources = yaml_parse(TEMPLATE.read_text())["Resources"]

    policy = resources["OnlyThisRule"]["Properties"]
    assert policy["Queues"] == [{"Ref": name} for name, each in resources.items() if each["Type"] == "AWS::SQS::Queue"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["OutcomesRule", "Arn"]}}}


def test_it_knows_what_to_do_next_for_every_outcome() -> None:
    assert set(NEXT_STEP) == set(schema("call-outcome")["properties"]["status"]["enum"])


def test_the_same_appointment_makes_the_same_request() -> None:
    appointment = {"id": "A-1", "phoneNumber": "+15005550100", "name": "Robin", "date": "2026-12-01", "time": "09:30"}

    asked = read_message(json.dumps(request_for(appointment)))

    assert isinstance(asked, CallRequest)
    assert asked.request_id == "reminder-A-1"
    assert request_for(appointment) == request_for(dict(appointment))


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0, 1, 1), (1, 0, 1, 0)])
def test_a_final_outcome_wins_in_any_order(order: tuple[int, ...], tmp_path: Path) -> None:
    told = [
        {"requestId": "a", "attempt": 1, "status": "unknown", "final": False},
        {"requestId": "a", "attempt": 1, "status": "completed", "final": True},
    ]
    outcomes = Outcomes(str(tmp_path / "outcomes.db"))

    with closing(outcomes.database):
        news = [told[each]["status"] for each in order if outcomes.learn(told[each])]

    assert news in (["unknown", "completed"], ["completed"])
    assert news[-1] == "completed"
