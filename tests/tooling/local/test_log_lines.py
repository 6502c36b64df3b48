"""What each function logs with Lambda's own logging set-up, which shows the lines of every logger at INFO."""

import json
import socket
import sys
from typing import Any

import pytest

from local.emulator import BuiltFunction, Emulator
from local.sam import build
from outbound_calls.adapters.callback_urls import sign
from tests.unit.parts import CALL_ID, CONTACT_ID, KEY, PHONE_NUMBER, HttpRequest, SocketServer, http_answer
from tests.world import NOW, SIGNING_KEY, environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the runtime emulator is a Linux program")

CALLING = {
    "requestId": {"S": str(KEY.request)},
    "attempt": {"N": "1"},
    "status": {"S": "calling"},
    "createdAt": {"N": str(NOW)},
    "dispatchedAt": {"N": str(NOW)},
    "timesParked": {"N": "0"},
    "outboundCallId": {"S": CALL_ID},
}
COMPLETED = CALLING | {
    "status": {"S": "completed"},
    "outcomeSource": {"S": "webhook"},
    "recordedAt": {"N": str(NOW + 150)},
}
STATE = {"outboundCallId": CALL_ID, "contactId": CONTACT_ID, "status": "completed"}
REVISION = {
    "revisionType": "String",
    "string": {"content": json.dumps({"Resources": [{"f": {"Properties": {"Name": "f", "TargetVersion": "2"}}}]})},
}
ANSWERS: dict[str, Any] = {
    "GetSecretValue": {"SecretString": SIGNING_KEY},
    "UpdateItem": {"Attributes": COMPLETED},
    "Query": {"Items": [COMPLETED]},
    "PutEvents": {"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]},
    "GetDeployment": {"deploymentInfo": {"applicationName": "releases", "revision": REVISION}},
    "GetApplicationRevision": {"revision": REVISION},
}

EVENTS: dict[str, Any] = {
    "PlaceCallFunction": {
        "Records": [{"messageId": "m", "body": json.dumps({"requestId": "a", "phoneNumber": PHONE_NUMBER})}]
    },
    "ReceiveWebhookFunction": {
        "pathParameters": {"requestId": str(KEY.request), "attempt": "1", "signature": sign(SIGNING_KEY, KEY)},
        "body": json.dumps(STATE),
    },
    "PollCallsFunction": {
        "items": [{"requestId": CALLING["requestId"], "attempt": CALLING["attempt"], "dueAt": {"N": str(NOW)}}]
    },
    "ReleaseLinesFunction": {"Records": [{"dynamodb": {"NewImage": COMPLETED | {"line": {"S": "c"}}}}]},
    "PublishOutcomeFunction": {"Records": [{"dynamodb": {"NewImage": COMPLETED}}]},
    "GetCallFunction": {"pathParameters": {"requestId": str(KEY.request)}},
    "CheckReleaseFunction": {"DeploymentId": "d", "LifecycleEventHookExecutionId": "e"},
}
"""One piece of work for each function."""

LINES = {
    "PlaceCallFunction": ["call placed"],
    "ReceiveWebhookFunction": ["outcome recorded"],
    "PollCallsFunction": ["outcome recorded"],
    "ReleaseLinesFunction": ["lines released"],
    "PublishOutcomeFunction": [],
    "GetCallFunction": [],
    "CheckReleaseFunction": ["release checked"],
}
"""What each logs about it."""


def behave(connection: socket.socket, request: HttpRequest) -> bool:
    """AWS and AlloMia: each operation succeeds."""
    operation = request.headers.get("x-amz-target", "").rpartition(".")[2]
    answer = ANSWERS.get(operation, {}) if operation else None if "/functions/" in request.path else STATE
    if operation == "Query" and json.loads(request.body)["TableName"] == "policy":
        answer = {"Items": []}
    connection.sendall(http_answer(json.dumps(answer), Content_Type="application/json"))
    return True


@pytest.mark.parametrize("name", EVENTS)
def test_a_function_logs_one_line_for_each_event_and_none_for_its_start(name: str) -> None:
    build()
    function = BuiltFunction.load(name)
    with SocketServer(behave) as server:
        urls = {"ALLOMIA_BASE_URL": server.url, "AWS_ENDPOINT_URL": server.url}
        names = ("CALL_QUEUE_URL", "HANDED_ON_QUEUE_URL", "INVALID_MESSAGES_QUEUE_URL")
        queues = dict.fromkeys(names, f"{server.url}/queue")
        every = environment(**urls, **queues)
        with Emulator(function, {key: every[key] for key in every.keys() & function.variables.keys()}) as emulator:
            # The first one includes the start
            first, second = emulator.invoke(EVENTS[name]), emulator.invoke(EVENTS[name])

    for invocation in (first, second):
        assert invocation.error is None
        assert [json.loads(line)["message"] for line in invocation.log] == LINES[name]


def test_these_are_the_functions_and_the_logging_of_the_template() -> None:
    functions = [path.name for path in build().iterdir() if path.name.endswith("Function")]

    assert {*functions} == EVENTS.keys() == LINES.keys()
    for name in functions:
        assert BuiltFunction.load(name).logging == {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}
