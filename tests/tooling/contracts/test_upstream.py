"""The example of an upstream system follows the contracts. tests/stack runs it on the deployed stack."""

import ast
import json
import sys
from contextlib import closing
from itertools import permutations
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

from examples.upstream import NEXT_STEP, Outcomes, next_step, request_for
from outbound_calls.contracts.messages import CallRequestMessage, read_message
from tests.tooling.contracts.documents import document, schema
from tests.tooling.template.rendering import PROJECT

UPSTREAM = PROJECT / "examples/upstream.py"
TEMPLATE = PROJECT / "examples/upstream.yaml"


def test_the_example_imports_only_boto3_and_the_standard_library() -> None:
    imported = {
        name
        for node in ast.walk(ast.parse(UPSTREAM.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    assert imported - sys.stdlib_module_names == {"boto3"}


def test_its_rule_has_the_pattern_of_the_contract() -> None:
    pattern = yaml_parse(TEMPLATE.read_text())["Resources"]["OutcomesRule"]["Properties"]["EventPattern"]

    assert pattern["detail"].pop("requestId") == [{"prefix": {"Ref": "RequestIdPrefix"}}]
    assert pattern == document("asyncapi.yaml")["channels"]["outcomeBus"]["x-event-pattern"]


def test_its_queues_accept_messages_of_its_rule_only() -> None:
    resources = yaml_parse(TEMPLATE.read_text())["Resources"]

    (policy,) = (each["Properties"] for each in resources.values() if each["Type"] == "AWS::SQS::QueuePolicy")
    assert policy["Queues"] == [{"Ref": name} for name, each in resources.items() if each["Type"] == "AWS::SQS::Queue"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["OutcomesRule", "Arn"]}}}


def test_it_has_a_next_step_for_every_status() -> None:
    assert set(NEXT_STEP) == set(schema("call-outcome")["properties"]["status"]["enum"])


def test_the_same_appointment_makes_the_same_request() -> None:
    appointment = {"id": "A-1", "phoneNumber": "+15005550100", "name": "Robin", "date": "2026-12-01", "time": "09:30"}

    request = read_message(json.dumps(request_for(appointment)))

    assert isinstance(request, CallRequestMessage)
    assert request.request_id == "reminder-A-1"
    assert request_for(appointment) == request_for(dict(appointment))


@pytest.mark.parametrize("outcome", schema("call-outcome")["examples"])
def test_it_acts_on_its_own_outcomes_and_ignores_others(outcome: dict[str, object]) -> None:
    own, other = outcome | {"metadata": {"appointmentId": "A-1"}}, outcome | {"metadata": {"clinic": "7"}}

    assert next_step(own) == f"A-1: {outcome['status']}; {NEXT_STEP[str(outcome['status'])]}"
    assert next_step(other) is None
    assert next_step(outcome | {"metadata": {}}) is None


def test_it_waits_where_another_attempt_follows() -> None:
    outcome = schema("call-outcome")["examples"][0] | {"metadata": {"appointmentId": "A-1"}}
    provisional = outcome | {"status": "busy", "final": False, "nextAttemptAt": "2026-04-01T15:30:00Z"}

    assert next_step(provisional) == "A-1: busy; wait: the stack tries again, not before 2026-04-01T15:30:00Z"


@pytest.mark.parametrize("order", [*permutations(range(4)), (0, 0, 1, 2, 2, 3, 3)])
def test_the_highest_attempt_wins_and_a_final_outcome_stays(order: tuple[int, ...], tmp_path: Path) -> None:
    events = [
        {"requestId": "a", "attempt": 1, "status": "busy", "final": False},
        {"requestId": "a", "attempt": 2, "status": "no-answer", "final": False},
        {"requestId": "a", "attempt": 2, "status": "completed", "final": True},
        {"requestId": "b", "attempt": 1, "status": "busy", "final": False},
    ]
    outcomes = Outcomes(str(tmp_path / "outcomes.db"))

    with closing(outcomes.database):
        learned = [events[each] for each in order if outcomes.learn(events[each])]

    assert [each["status"] for each in learned if each["requestId"] == "a"][-1] == "completed"
    assert [(each["attempt"], each["final"]) for each in learned if each["requestId"] == "a"] == sorted(
        {(each["attempt"], each["final"]) for each in learned if each["requestId"] == "a"}
    )


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0, 1, 1), (1, 0, 1, 0)])
def test_a_final_outcome_wins_in_any_order(order: tuple[int, ...], tmp_path: Path) -> None:
    events = [
        {"requestId": "a", "attempt": 1, "status": "unknown", "final": False},
        {"requestId": "a", "attempt": 1, "status": "completed", "final": True},
    ]
    outcomes = Outcomes(str(tmp_path / "outcomes.db"))

    with closing(outcomes.database):
        learned = [events[each]["status"] for each in order if outcomes.learn(events[each])]

    assert learned in (["unknown", "completed"], ["completed"])
    assert learned[-1] == "completed"
