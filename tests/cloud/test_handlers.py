"""The functions as Lambda runs them: a process of their own, told everything by its environment.

What they answer decides what is deleted: an identifier that SQS does not know, or none where one is due, loses a
message. What they print is what operators see, so it is searched for whatever must not be in it.
"""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from local.cloud import LocalCloud
from outbound_calls.contracts import AttemptKey
from outbound_calls.lifecycle import Status
from outbound_calls.reports import Reports
from tests.cloud.parts import ROOT, Calls
from tests.cloud.world import BASE_URL, DEADLINE, SIGNING_KEY, Surroundings, World
from tests.unit.parts import (
    API_KEY,
    ASSISTANT_ID,
    CONTACT_ID,
    MEASURED,
    OTHER_CALL_ID,
    PHONE_NUMBER,
    PHONE_NUMBER_ID,
    Behaviour,
    HttpRequest,
    SocketServer,
    closed_port,
    http_answer,
)

CANARY = "Zqx"
CANARIES = (CANARY, PHONE_NUMBER[1:], API_KEY, SIGNING_KEY, "/webhooks/allomia/")

# Invokes a function as Lambda does: imports it once, then calls it for each event.
RUNTIME = """
import importlib.util, json, sys

class Context:
    function_name = "the-function"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:ca-central-1:123456789012:function:the-function"
    aws_request_id = "11111111-2222-3333-4444-555555555555"

    def get_remaining_time_in_millis(self):
        return 45000

spec = importlib.util.spec_from_file_location("app", sys.argv[1])
app = importlib.util.module_from_spec(spec)
spec.loader.exec_module(app)
for line in sys.stdin:
    print("ANSWER", json.dumps(app.handler(json.loads(line), Context())), flush=True)
"""


@dataclass(frozen=True)
class Run:
    """What a function answered to each event, and what it printed."""

    answers: list[Any]
    printed: str
    failed: bool

    def lines(self, **keys: Any) -> list[dict[str, Any]]:
        """The lines that have these keys."""
        found = [json.loads(line) for line in self.printed.splitlines() if line.startswith("{")]
        return [line for line in found if keys.items() <= line.items()]

    def counted(self, metric: str) -> float:
        return sum(sum(line[metric]) for line in self.lines() if metric in line)


def run(function: str, environment: Mapping[str, str], *events: Any) -> Run:
    """Run a function; nothing that it prints may hold a number, a name, a key or a callback URL."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNTIME, ROOT / "functions" / function / "app.py"],
        input="".join(json.dumps(event) + "\n" for event in events),
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = done.stdout.splitlines()
    printed = "\n".join([line for line in lines if not line.startswith("ANSWER ")] + [done.stderr])
    assert [canary for canary in CANARIES if canary in printed] == []
    answers = [json.loads(line.removeprefix("ANSWER ")) for line in lines if line.startswith("ANSWER ")]
    return Run(answers, printed, done.returncode != 0)


@pytest.fixture
def environment(cloud: LocalCloud, surroundings: Surroundings) -> dict[str, str]:
    """What the template tells the functions, all of them at once."""
    return (
        MEASURED
        | cloud.environment()
        | {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT / "layers" / "outbound_calls"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "POWERTOOLS_SERVICE_NAME": "calls-test",
            "POWERTOOLS_METRICS_NAMESPACE": "AllomiaOutboundCalls",
            "CALLS_TABLE_NAME": surroundings.calls.table,
            "CALL_QUEUE_URL": surroundings.new_queue(),
            "INVALID_MESSAGES_QUEUE_URL": surroundings.new_queue(),
            "ALLOMIA_API_KEY_SECRET_ARN": surroundings.key_arn,
            "ALLOMIA_BASE_URL": "http://127.0.0.1:9",
            "SIGNING_SECRET_ARN": surroundings.signing_arn,
            "WEBHOOK_URL": BASE_URL,
            "DEFAULT_ASSISTANT_ID": ASSISTANT_ID,
            "DEFAULT_PHONE_NUMBER_ID": "",
            "WEBHOOK_GRACE_SECONDS": "180",
            "CALL_DEADLINE_SECONDS": str(DEADLINE),
            "MAX_POLLS_PER_SECOND": "1000",
            "DUE_SHARDS": "4",
            "RETENTION_DAYS": "90",
            "OUTCOME_BUS_NAME": "none",
        }
    )


@pytest.fixture
def world(surroundings: Surroundings) -> Iterator[World]:
    world = World(surroundings)
    yield world
    world.close()


def takes_calls(connection: socket.socket, request: HttpRequest) -> bool:
    """AlloMia in the best of health."""
    call_id = request.path.split("/")[-2] if request.method == "GET" else str(uuid4())
    status = "completed" if request.method == "GET" else "calling"
    answer = {"outboundCallId": call_id, "contactId": CONTACT_ID, "status": status}
    connection.sendall(http_answer(json.dumps(answer), Content_Type="application/json"))
    return True


@contextmanager
def allomia(environment: dict[str, str], behave: Behaviour = takes_calls) -> Iterator[SocketServer]:
    """A server that the functions take for AlloMia."""
    with SocketServer(behave) as server:
        environment["ALLOMIA_BASE_URL"] = server.url
        yield server


def batch(*bodies: str) -> dict[str, Any]:
    """What the queue hands to place_call. The ids of messages say nothing of their order."""
    return {"Records": [{"messageId": f"m-{uuid4().hex}", "receiptHandle": "h", "body": body} for body in bodies]}


def ids(event: dict[str, Any], *positions: int) -> list[dict[str, str]]:
    return [{"itemIdentifier": event["Records"][i]["messageId"]} for i in positions]


def a_message(**changes: Any) -> str:
    request = World.request(
        customerName=f"{CANARY} Lovelace",
        dynamicVariables={"illness": f"{CANARY}-itis"},
        phoneNumberId=PHONE_NUMBER_ID,
        **changes,
    )
    return json.dumps(request)


# place_call.


def test_a_batch_of_ten_is_placed_side_by_side_and_acknowledged(calls: Calls, environment: dict[str, str]) -> None:
    together = threading.Barrier(10)

    def behave(connection: socket.socket, request: HttpRequest) -> bool:
        # Passes only when all ten are here.
        together.wait(20)
        return takes_calls(connection, request)

    event = batch(*(a_message() for _ in range(10)))
    with allomia(environment, behave) as server:
        done = run("place_call", environment, event)

    assert done.answers == [{"batchItemFailures": []}]
    assert len(server.posts()) == 10
    assert {post.headers["authorization"] for post in server.posts()} == {f"Bearer {API_KEY}"}
    for record in event["Records"]:
        request_id = json.loads(record["body"])["requestId"]
        assert calls.status(AttemptKey(request_id=request_id, attempt=1)) == "calling"
        (line,) = done.lines(messageId=record["messageId"])
        assert line.items() >= {"message": "message calling", "requestId": request_id, "attempt": 1}.items()
        assert line["service"] == "calls-test"
        assert line["outboundCallId"]
    assert done.counted("CallsPlaced") == 10


def test_of_a_batch_with_one_poisoned_message_only_that_one_comes_back(
    calls: Calls, environment: dict[str, str]
) -> None:
    poisoned = calls.scheduled()
    item = calls.there(poisoned)
    calls.put_raw(item | {"request": {"phoneNumber": f"{CANARY} {PHONE_NUMBER}"}})
    before = a_message()
    event = batch(
        before,
        "not JSON",
        json.dumps({"release": poisoned.wire()}),
        before,
        a_message(),
    )
    with allomia(environment) as server:
        done = run("place_call", environment, event)

    assert done.answers == [{"batchItemFailures": ids(event, 2)}]
    assert len(server.posts()) == 2
    (fault,) = done.lines(level="ERROR")
    assert fault["messageId"] == event["Records"][2]["messageId"]
    assert fault["error"].startswith("ValidationError at ")
    counts = ["FailedMessages", "InvalidMessages", "DuplicateMessages", "CallsPlaced"]
    assert [done.counted(metric) for metric in counts] == [1, 1, 1, 2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALLS_TABLE_NAME", "no-such-table"),
        ("SIGNING_SECRET_ARN", "arn:aws:secretsmanager:ca-central-1:123456789012:secret:none-AbCdEf"),
    ],
)
def test_when_the_table_or_the_secret_is_missing_every_message_comes_back(
    environment: dict[str, str], name: str, value: str
) -> None:
    event = batch(a_message(), a_message(), json.dumps({"release": {"requestId": "a", "attempt": 1}}))
    with allomia(environment) as server:
        done = run("place_call", environment | {name: value}, event)

    assert done.answers == [{"batchItemFailures": ids(event, 0, 1, 2)}]
    assert server.requests == []
    assert done.counted("FailedMessages") == 3
    assert len(done.lines(level="ERROR")) == 3


def test_each_way_that_a_message_can_go_is_counted(surroundings: Surroundings, environment: dict[str, str]) -> None:
    codes = iter(["429 Too Many Requests", "401 Unauthorized", "400 Bad Request", "500 Oops", *["429 Again"] * 99])

    def behave(connection: socket.socket, request: HttpRequest) -> bool:
        said = json.dumps({"error": f"{PHONE_NUMBER} of {CANARY} Lovelace: {json.loads(request.body)['callbackUrl']}"})
        connection.sendall(http_answer(said, next(codes)))
        return True

    with allomia(environment, behave):
        done = run("place_call", environment, *(batch(a_message()) for _ in range(4)), batch("not JSON"))

    assert done.answers == [{"batchItemFailures": []}] * 5
    counts = {
        metric: done.counted(metric)
        for metric in ("CallsParked", "AllomiaKeyRefused", "CallsRejected", "AmbiguousAnswers", "InvalidMessages")
    }
    assert counts == {
        "CallsParked": 2,
        "AllomiaKeyRefused": 1,
        "CallsRejected": 1,
        "AmbiguousAnswers": 1,
        "InvalidMessages": 1,
    }
    assert (done.counted("OutcomeRejected"), done.counted("OutcomeByDispatch")) == (1, 1)
    (rejected,) = done.lines(message="message rejected")
    assert rejected["reason"] == "HTTP 400: […] of […]: […]"
    assert [message["Body"] for message in surroundings.take(environment["INVALID_MESSAGES_QUEUE_URL"])] == ["not JSON"]


def test_a_call_that_became_another_while_it_was_placed_is_counted(world: World, environment: dict[str, str]) -> None:
    """AlloMia's answer names another call than the webhook that came before it."""
    message = a_message()
    key = AttemptKey(request_id=json.loads(message)["requestId"], attempt=1)

    def behave(connection: socket.socket, request: HttpRequest) -> bool:
        assert world.webhook(key, "completed").status == 200
        answer = {"outboundCallId": OTHER_CALL_ID, "status": "calling"}
        connection.sendall(http_answer(json.dumps(answer)))
        return True

    with allomia(environment, behave):
        done = run("place_call", environment, batch(message))

    assert done.counted("CallIdsContradicting") == 1
    (line,) = done.lines(message="message calling")
    assert line["reason"] == "another-call-recorded"


# receive_webhook.


def webhook(world: World, key: AttemptKey, body: str, **path: str) -> dict[str, Any]:
    """What API Gateway hands to receive_webhook."""
    signature = world.callback_url(key).rsplit("/", 1)[-1]
    return {
        "version": "2.0",
        "rawPath": f"/webhooks/allomia/{key.request_id}/1/{signature}",
        "pathParameters": {"requestId": key.request_id, "attempt": "1", "signature": signature} | path,
        "body": body,
        "isBase64Encoded": False,
    }


def test_a_webhook_is_answered_by_what_became_of_it(world: World, environment: dict[str, str]) -> None:
    key = world.placed()
    outcome = json.dumps(world.allomia.state(world.callback_url(key), "completed"))
    no_path = webhook(world, key, outcome) | {"pathParameters": None}
    no_body = {name: value for name, value in webhook(world, key, outcome).items() if name != "body"}
    without_key = {name: value for name, value in environment.items() if "ALLOMIA" not in name and "QUEUE" not in name}

    done = run(
        "receive_webhook",
        without_key,
        webhook(world, key, outcome, signature="forged"),
        no_path,
        no_body,
        webhook(world, key, json.dumps({"customerName": CANARY})),
        webhook(world, key, outcome),
        webhook(world, key, outcome),
        webhook(world, key, outcome.replace("completed", "busy")),
        webhook(world, key, outcome.replace(json.loads(outcome)["outboundCallId"], OTHER_CALL_ID)),
    )

    assert [(answer["statusCode"], json.loads(answer["body"])) for answer in done.answers] == [
        (403, {"error": "not a callback URL of this stack"}),
        (403, {"error": "not a callback URL of this stack"}),
        (400, {"error": "body: a JSON object in UTF-8"}),
        (400, {"error": "outboundCallId: required: AlloMia's UUID of the call"}),
        (200, {"message": "recorded"}),
        (200, {"message": "already recorded"}),
        (200, {"message": "another outcome was recorded before"}),
        (400, {"error": "outboundCallId: not the call of this attempt"}),
    ]
    assert {answer["headers"]["content-type"] for answer in done.answers} == {"application/json"}
    counts = ["WebhooksRefused", "OutcomeCompleted", "OutcomeByWebhook"]
    assert [done.counted(metric) for metric in counts] == [4, 1, 1]
    assert (done.counted("WebhooksRepeated"), done.counted("WebhooksContradicting")) == (1, 1)
    assert done.counted("CallIdsContradicting") == 1
    # Who is not verified is named in no line.
    assert len(done.lines(requestId=key.request_id)) == 6


def test_a_healthy_call_is_told_in_two_lines(world: World, environment: dict[str, str]) -> None:
    """Over all functions, since logs are paid for by the byte: with the longest id and a long stack's name."""
    calls, environment = world.calls, environment | {"POWERTOOLS_SERVICE_NAME": "allomia-outbound-calls-production"}
    key = AttemptKey(request_id="r" * 128, attempt=1)
    with allomia(environment):
        placed = run("place_call", environment, batch(a_message(requestId=key.request_id)))
    outcome = {
        "outboundCallId": calls.there(key)["outboundCallId"],
        "contactId": CONTACT_ID,
        "status": "completed",
        "callDetails": {"duration": 150, "endedReason": "customer-ended-call"},
    }

    received = run("receive_webhook", environment, webhook(world, key, json.dumps(outcome)))
    stream = {"Records": [stream_record(calls, key)]}
    published = run("publish_outcome", environment | {"OUTCOME_BUS_NAME": "default"}, stream)

    assert not published.failed, published.printed
    lines = [line for done in (placed, received, published) for line in done.printed.splitlines()]
    told = [line for line in lines if line.startswith("{")]
    assert [json.loads(line)["message"] for line in told] == ["message calling", "webhook: recorded"]
    assert sum(len(line.encode()) + 1 for line in told) <= 1500


def test_a_webhook_that_could_not_be_stored_is_answered_with_500(world: World, environment: dict[str, str]) -> None:
    key = world.placed()
    outcome = json.dumps(world.allomia.state(world.callback_url(key), "completed"))

    done = run("receive_webhook", environment | {"CALLS_TABLE_NAME": "none"}, webhook(world, key, outcome))

    assert [answer["statusCode"] for answer in done.answers] == [500]
    assert done.counted("WebhooksFailed") == 1
    (line,) = done.lines(level="ERROR")
    assert line["error"].startswith("ResourceNotFoundException ResourceNotFoundException at ")


# poll_calls.


def entry(calls: Calls, key: AttemptKey) -> dict[str, Any]:
    """What the poller hands on of the index."""
    item = calls.there(key)
    return {
        "requestId": {"S": key.request_id},
        "attempt": {"N": str(key.attempt)},
        "dueShard": {"N": str(item["dueShard"])},
        "dueAt": {"N": str(item["dueAt"])},
    }


def test_a_page_is_worked_on_to_its_end_whatever_is_in_it(world: World, environment: dict[str, str]) -> None:
    calls = world.calls
    taken, parked, ended = world.placed(), calls.scheduled(), world.placed()
    seen = entry(calls, ended)
    world.webhook(ended)
    page = [
        {"requestId": {"S": "odd"}},
        entry(calls, taken),
        seen,
        entry(calls, parked),
        {"requestId": {"S": "a/b"}, "attempt": {"N": "1"}, "dueAt": {"N": "1"}},
    ]

    with allomia(environment) as server:
        done = run("poll_calls", environment, {"items": page}, {"items": []})

    first, second = done.answers
    assert first.items() >= {"polled": 5, "recorded": 1, "released": 1, "skipped": 1, "failed": 2}.items()
    assert second.items() >= {"polled": 0, "recorded": 0, "failed": 0}.items()
    assert calls.status(taken) == "completed"
    assert server.requests[0].path == f"/api/outbound/{calls.there(taken)['outboundCallId']}/status"
    (release,) = world.surroundings.take(environment["CALL_QUEUE_URL"])
    assert json.loads(release["Body"]) == {"release": parked.wire(), "timesParked": 1}
    counts = ["Polls", "PollsFailed", "CallsReleased", "OutcomeByPoll"]
    assert [done.counted(metric) for metric in counts] == [5, 2, 1, 1]


def test_a_page_begins_nothing_any_more_when_the_next_sweep_does(world: World, environment: dict[str, str]) -> None:
    keys = [world.placed(), world.placed()]
    before = [world.calls.there(key) for key in keys]

    with allomia(environment) as server:
        done = run("poll_calls", environment, {"items": [entry(world.calls, key) for key in keys], "until": 1})

    assert done.answers[0].items() >= {"polled": 2, "skipped": 2}.items()
    assert server.requests == []
    assert [world.calls.there(key) for key in keys] == before


def test_a_page_without_a_table_fails_item_by_item_and_never_as_a_whole(
    world: World, environment: dict[str, str]
) -> None:
    page = [entry(world.calls, world.placed()) for _ in range(3)]

    done = run("poll_calls", environment | {"CALLS_TABLE_NAME": "none"}, {"items": page})

    assert done.answers[0].items() >= {"polled": 3, "failed": 3}.items()
    assert not done.failed


def test_a_key_that_is_refused_while_polling_is_counted(calls: Calls, environment: dict[str, str]) -> None:
    under_way = calls.calling(time.time()).key

    def refuse(connection: socket.socket, request: HttpRequest) -> bool:
        connection.sendall(http_answer("{}", "401 Unauthorized"))
        return True

    with allomia(environment, refuse):
        done = run("poll_calls", environment, {"items": [entry(calls, under_way)]})

    assert done.answers[0].items() >= {"polled": 1, "unavailable": 1}.items()
    assert (done.counted("AllomiaKeyRefused"), done.counted("PollsUnavailable")) == (1, 1)


# publish_outcome.


def stream_record(calls: Calls, key: AttemptKey) -> dict[str, Any]:
    image = calls.dynamodb.get_item(
        TableName=calls.table, Key={"requestId": {"S": key.request_id}, "attempt": {"N": "1"}}
    )["Item"]
    return {"eventName": "MODIFY", "dynamodb": {"NewImage": image}}


def test_outcomes_arrive_on_the_bus(
    cloud: LocalCloud, surroundings: Surroundings, calls: Calls, environment: dict[str, str]
) -> None:
    bus, events = f"outcomes-{uuid4().hex}", cloud.client("events")
    queue_url = surroundings.new_queue()
    arn = surroundings.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
    events.create_event_bus(Name=bus)
    events.put_rule(Name=bus, EventBusName=bus, EventPattern='{"source": ["allomia.outbound-calls"]}')
    events.put_targets(Rule=bus, EventBusName=bus, Targets=[{"Id": "1", "Arn": arn["QueueArn"]}])
    keys = [calls.ended(status) for status in (Status.COMPLETED, Status.UNKNOWN, Status.REJECTED)]

    done = run(
        "publish_outcome",
        environment | {"OUTCOME_BUS_NAME": bus},
        {"Records": [stream_record(calls, key) for key in keys]},
    )

    assert done.answers == [None]
    assert done.lines() == []
    arrived: list[dict[str, Any]] = []
    while len(arrived) < 3:
        messages = surroundings.take(queue_url, wait_seconds=5)
        assert messages
        arrived += [json.loads(message["Body"]) for message in messages]
    assert {event["detail-type"] for event in arrived} == {"Call Outcome Recorded"}
    assert {event["detail"]["requestId"]: event["detail"]["status"] for event in arrived} == {
        keys[0].request_id: "completed",
        keys[1].request_id: "unknown",
        keys[2].request_id: "rejected",
    }


# get_call.


def read(request_id: str | None) -> dict[str, Any]:
    """What API Gateway hands to get_call: of the caller's credentials all but the secret."""
    return {
        "version": "2.0",
        "rawPath": f"/calls/{request_id}",
        "headers": {"authorization": f"AWS4-HMAC-SHA256 Credential={CANARY}/x, Signature={CANARY}"},
        "requestContext": {"authorizer": {"iam": {"accessKey": CANARY, "userArn": CANARY}}},
        "pathParameters": {"requestId": request_id} if request_id is not None else None,
    }


def test_a_call_is_told_as_the_table_has_it(calls: Calls, environment: dict[str, str]) -> None:
    ended, waiting = calls.ended(Status.NO_ANSWER), calls.scheduled()
    needed = {name: value for name, value in environment.items() if not name.endswith(("_SECRET_ARN", "_QUEUE_URL"))}

    done = run("get_call", needed, read(ended.request_id), read(waiting.request_id))

    reports = [Reports(calls.dynamodb, calls.table).of(key.request_id) for key in (ended, waiting)]
    assert [answer["statusCode"] for answer in done.answers] == [200, 200]
    assert [json.loads(answer["body"]) for answer in done.answers] == [report.wire() for report in reports if report]
    for answer in done.answers:
        assert answer["headers"] == {"content-type": "application/json", "cache-control": "no-store"}
    # And a read that went well is told in no log and counted by no metric
    assert done.printed == ""


def test_an_id_without_a_record_and_one_that_can_have_none_are_told_apart(environment: dict[str, str]) -> None:
    rule = "requestId: 1 to 128 of the characters A-Z a-z 0-9 . _ - and not only one or two dots"

    done = run("get_call", environment, read("never-asked"), read(f"{CANARY} (1)"), read("v" * 5000), read(None))

    assert [(answer["statusCode"], json.loads(answer["body"])) for answer in done.answers] == [
        (404, {"error": "no record of this request: not taken up yet, refused or expired"}),
        (400, {"error": rule}),
        (400, {"error": rule}),
        (400, {"error": rule}),
    ]
    for answer in done.answers:
        assert answer["headers"] == {"content-type": "application/json", "cache-control": "no-store"}
    assert done.printed == ""


@pytest.mark.parametrize("fault", ["no table", "no network", "a broken record"])
def test_a_call_that_cannot_be_read_is_answered_with_500_and_nothing_internal(
    calls: Calls, environment: dict[str, str], fault: str
) -> None:
    key = calls.ended(Status.COMPLETED)
    if fault == "a broken record":
        calls.put_raw(calls.there(key) | {"status": CANARY, "outcomeSource": CANARY})
    with closed_port() as nowhere:
        changes = {"no table": {"CALLS_TABLE_NAME": "none"}, "no network": {"AWS_ENDPOINT_URL": nowhere}}

        done = run("get_call", environment | changes.get(fault, {}), read(key.request_id))

    (answer,) = done.answers
    assert (answer["statusCode"], json.loads(answer["body"])) == (500, {"error": "not read, try again"})
    assert answer["headers"]["cache-control"] == "no-store"
    assert len(done.lines(level="ERROR", message="call not read")) == 1
    # And who asked after whom is in no line
    assert key.request_id not in done.printed


# check_release.

DEPLOYMENT = {"DeploymentId": "d-ABCDEF123", "LifecycleEventHookExecutionId": "the-execution"}


class Release:
    """CodeDeploy with one deployment, and Lambda with the version that it is of."""

    def __init__(self, answer: object, app_spec: str = "") -> None:
        resource = {"Type": "AWS::Lambda::Function", "Properties": {"Name": "place-call", "TargetVersion": "7"}}
        self.app_spec = app_spec or json.dumps({"version": 0.0, "Resources": [{"place-call": resource}]})
        self.answer = answer
        self.tried: list[str] = []
        self.verdicts: list[dict[str, str]] = []

    def behave(self, connection: socket.socket, request: HttpRequest) -> bool:
        connection.sendall(http_answer(json.dumps(self._answer(request)), Content_Type="application/x-amz-json-1.1"))
        return True

    def _answer(self, request: HttpRequest) -> object:
        revision = {"revisionType": "String", "string": {"content": self.app_spec}}
        match request.headers.get("x-amz-target", "").rpartition(".")[2]:
            case "GetDeployment":
                return {"deploymentInfo": {"applicationName": "releases", "revision": revision}}
            case "GetApplicationRevision":
                return {"revision": revision}
            case "PutLifecycleEventHookExecutionStatus":
                self.verdicts.append(json.loads(request.body))
                return {}
            case _:
                self.tried.append(request.path)
                return self.answer


@pytest.mark.parametrize(
    ("release", "tried", "verdict"),
    [
        (Release({"batchItemFailures": []}), 1, "Succeeded"),
        (Release({"statusCode": 500}), 1, "Failed"),
        (Release({"batchItemFailures": []}, CANARY), 0, "Failed"),
    ],
    ids=["answers as it should", "answers otherwise", "cannot be told from the deployment"],
)
def test_codedeploy_always_hears_a_verdict(
    environment: dict[str, str], release: Release, tried: int, verdict: str
) -> None:
    with SocketServer(release.behave) as aws:
        done = run("check_release", environment | {"AWS_ENDPOINT_URL": aws.url}, DEPLOYMENT)

    assert done.answers == [None]
    assert release.tried == ["/2015-03-31/functions/place-call/invocations?Qualifier=7"] * tried
    assert release.verdicts == [
        {"deploymentId": "d-ABCDEF123", "lifecycleEventHookExecutionId": "the-execution", "status": verdict}
    ]
    (line,) = done.lines()
    assert line["message"] == ("release checked" if tried else "release not checked")
    assert ("complaint" in line) == (verdict == "Failed" and tried == 1)


# The environment.


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("place_call", "WEBHOOK_URL"),
        ("receive_webhook", "SIGNING_SECRET_ARN"),
        ("poll_calls", "CALL_DEADLINE_SECONDS"),
        ("publish_outcome", "OUTCOME_BUS_NAME"),
        ("get_call", "CALLS_TABLE_NAME"),
    ],
)
def test_a_function_that_is_not_told_everything_does_not_start_and_says_what_is_missing(
    environment: dict[str, str], function: str, name: str
) -> None:
    done = run(function, {key: value for key, value in environment.items() if key != name}, {})

    assert done.failed
    assert done.answers == []
    assert name.lower() in done.printed
