"""The example for upstream systems without AWS follows the contracts. tests/cloud tries it against a real receiver."""

import ast
import json
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from itertools import permutations
from pathlib import Path
from typing import Any

import httpx
import pytest
from samtranslator.yaml_helper import yaml_parse

from examples.receiver import KEY_HEADER, MAX_BODY_BYTES, learn, receiver
from tests.tooling.contracts.documents import document, validator
from tests.tooling.template.rendering import PROJECT

TEMPLATE = yaml_parse((PROJECT / "examples/outcomes-over-https.yaml").read_text())
RESOURCES = TEMPLATE["Resources"]
KEY = "the-key"
OUTCOME: dict[str, Any] = {
    "version": "1",
    "organization": None,
    "requestId": "reminder-A-1",
    "attempt": 1,
    "final": True,
    "nextAttemptAt": None,
    "batch": None,
    "purpose": None,
    "cancelRequestedAt": None,
    "status": "completed",
    "dialled": "yes",
    "reasonCode": None,
    "outboundCallId": None,
    "contactId": None,
    "callDetails": None,
    "outcomeSource": "webhook",
    "recordedAt": "2026-04-01T14:32:31Z",
    "metadata": {},
}


def resource(kind: str) -> dict[str, Any]:
    """The properties of the only resource of this type."""
    (found,) = (each["Properties"] for each in RESOURCES.values() if each["Type"] == f"AWS::{kind}")
    properties: dict[str, Any] = found
    return properties


# The template.


def test_its_rule_has_the_pattern_of_the_contract() -> None:
    pattern = json.loads(json.dumps(resource("Events::Rule")["EventPattern"]))

    assert pattern["detail"].pop("requestId") == [{"prefix": {"Ref": "RequestIdPrefix"}}]
    assert pattern == document("asyncapi.yaml")["channels"]["outcomeBus"]["x-event-pattern"]


def test_an_outcome_is_tried_for_a_day_and_then_kept() -> None:
    (target,) = resource("Events::Rule")["Targets"]

    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["UndeliveredQueue", "Arn"]}}
    assert resource("SQS::Queue")["MessageRetentionPeriod"] == 14 * 86_400


def test_its_queue_accepts_messages_of_its_rule_only() -> None:
    policy = resource("SQS::QueuePolicy")

    (statement,) = policy["PolicyDocument"]["Statement"]
    assert policy["Queues"] == [{"Ref": "UndeliveredQueue"}]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["OutcomesRule", "Arn"]}}}


def test_its_role_may_post_to_its_endpoint_only() -> None:
    (target,) = resource("Events::Rule")["Targets"]
    (policy,) = resource("IAM::Role")["Policies"]

    assert target["RoleArn"] == {"Fn::GetAtt": ["DeliveryRole", "Arn"]}
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == ("events:InvokeApiDestination", target["Arn"])
    assert target["Arn"] == {"Fn::GetAtt": ["Endpoint", "Arn"]}
    (trust,) = resource("IAM::Role")["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_key_is_in_no_template_and_no_parameter() -> None:
    connection = resource("Events::Connection")

    assert connection["AuthorizationType"] == "API_KEY"
    assert connection["AuthParameters"]["ApiKeyAuthParameters"] == {
        "ApiKeyName": {"Ref": "KeyHeader"},
        "ApiKeyValue": {"Fn::Sub": "{{resolve:secretsmanager:${EndpointKey}}}"},
    }
    assert resource("SecretsManager::Secret")["GenerateSecretString"]["PasswordLength"] == 64
    assert "Key" not in TEMPLATE["Parameters"]


def test_the_endpoint_is_https() -> None:
    assert resource("Events::ApiDestination")["InvocationEndpoint"] == {"Ref": "EndpointUrl"}
    assert TEMPLATE["Parameters"]["EndpointUrl"]["AllowedPattern"].startswith("^https://")
    assert TEMPLATE["Parameters"]["KeyHeader"]["Default"] == KEY_HEADER


# The receiver.


@pytest.fixture
def running(tmp_path: Path) -> Iterator[httpx.Client]:
    server = receiver(0, KEY, str(tmp_path / "outcomes.db"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    with httpx.Client(base_url=url, headers={KEY_HEADER: KEY}, trust_env=False) as http:
        yield http
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_receiver_imports_the_standard_library_only() -> None:
    imported = {
        name
        for node in ast.walk(ast.parse((PROJECT / "examples/receiver.py").read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_the_outcome_of_these_tests_keeps_the_contract() -> None:
    validator("call-outcome").validate(OUTCOME)


def test_an_outcome_is_taken_once(running: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert running.post("/outcomes", json={"detail": OUTCOME}).status_code == 204

    assert capsys.readouterr().out == "reminder-A-1: completed\n"


@pytest.mark.parametrize("key", ["", "another-key", "the-keÿ"])
def test_without_the_key_nothing_is_taken(running: httpx.Client, capsys: pytest.CaptureFixture[str], key: str) -> None:
    answer = running.post("/", json={"detail": OUTCOME}, headers={KEY_HEADER.encode(): key.encode("latin-1")})

    assert answer.status_code == 401
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"detail": 7}', b'{"detail": {"status": "completed"}}'])
def test_what_is_no_outcome_gets_400(running: httpx.Client, body: bytes) -> None:
    assert running.post("/", content=body).status_code == 400


def test_a_body_that_is_too_large_isnt_read(running: httpx.Client) -> None:
    connection = HTTPConnection("127.0.0.1", running.base_url.port, timeout=5)
    connection.putrequest("POST", "/")
    connection.putheader(KEY_HEADER, KEY)
    connection.putheader("Content-Length", str(MAX_BODY_BYTES + 1))
    connection.endheaders()

    assert connection.getresponse().status == 400
    connection.close()


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_the_last_word_wins_in_any_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    events = [
        OUTCOME | {"status": "busy", "final": False},
        OUTCOME | {"attempt": 2, "status": "unknown", "final": False},
        OUTCOME | {"attempt": 2, "status": "completed"},
    ]
    file = str(tmp_path / "outcomes.db")

    for number in order:
        learn(file, events[number])

    assert [learn(file, event) for event in events] == [False] * 3


def test_the_same_request_id_of_two_organizations_is_two_requests(tmp_path: Path) -> None:
    file = str(tmp_path / "outcomes.db")

    assert [learn(file, OUTCOME | {"organization": name}) for name in (None, "north", None)] == [True, True, False]
