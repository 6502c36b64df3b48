"""The functions as Lambda runs them: a process of their own that gets everything from its environment.

What they answer decides what is deleted: an identifier that SQS does not know, or a missing one, loses a message. What
they print is what operators see, so it is searched for everything that must not be in it.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from local.cloud import LocalCloud
from outbound_calls.adapters.batch_searches import BatchSearches
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.domain.timing import utc_text
from outbound_calls.use_cases.look_up import request_report
from outbound_calls.use_cases.polls import PollResult
from tests.cloud.parts import SampleAttempts, new_attempt, new_key
from tests.cloud.world import CloudWorld, key_of
from tests.functions import FunctionRun, kill_function, run_function
from tests.unit.parts import (
    API_KEY,
    ASSISTANT_ID,
    CALL_ID,
    CONTACT_ID,
    OTHER_CALL_ID,
    PHONE_NUMBER,
    PHONE_NUMBER_ID,
    Behaviour,
    HttpRequest,
    SocketServer,
    closed_port,
    http_answer,
)
from tests.world import DEADLINE_SECONDS, NOW, SIGNING_KEY, CloudResources, dispatch_message

CANARY = "Zqx"
PRIVATE = (CANARY, PHONE_NUMBER[1:], API_KEY, SIGNING_KEY, "/webhooks/allomia/")


def run(name: str, environment: Mapping[str, str], *events: Any) -> FunctionRun:
    """Run a function, and check that it prints no number, name, key or callback URL."""
    done = run_function(name, environment, *events)
    assert [text for text in PRIVATE if text in done.printed] == []
    return done


@pytest.fixture
def environment(cloud: LocalCloud, resources: CloudResources) -> dict[str, str]:
    """The environment of all functions, with queues of the test's own and without one default."""
    own = {"CALL_QUEUE_URL": resources.new_queue(), "INVALID_MESSAGES_QUEUE_URL": resources.new_queue()}
    return cloud.environment() | resources.environment(**own, DEFAULT_PHONE_NUMBER_ID="")


def without(environment: Mapping[str, str], *parts: str) -> dict[str, str]:
    """The environment without the variables whose names have one of these parts."""
    return {name: value for name, value in environment.items() if not any(part in name for part in parts)}


def accept_calls(connection: socket.socket, request: HttpRequest) -> bool:
    """AlloMia accepts each call, and reports it as completed when asked."""
    call_id = request.path.split("/")[-2] if request.method == "GET" else str(uuid4())
    status = "completed" if request.method == "GET" else "calling"
    state = {"outboundCallId": call_id, "contactId": CONTACT_ID, "status": status}
    connection.sendall(http_answer(json.dumps(state), Content_Type="application/json"))
    return True


@contextmanager
def allomia_server(environment: dict[str, str], behave: Behaviour = accept_calls) -> Iterator[SocketServer]:
    """A real HTTP server in AlloMia's place."""
    with SocketServer(behave) as server:
        environment["ALLOMIA_BASE_URL"] = server.url
        yield server


def counted(done: FunctionRun, *metrics: str) -> list[float]:
    return [done.counted(metric) for metric in metrics]


# place_call.


def batch(*bodies: str) -> dict[str, Any]:
    """The event of place_call. Message ids say nothing of their order."""
    return {"Records": [{"messageId": f"m-{uuid4().hex}", "receiptHandle": "h", "body": body} for body in bodies]}


def failures(event: dict[str, Any], *positions: int) -> dict[str, Any]:
    """The answer that has these messages of the event delivered again."""
    return {"batchItemFailures": [{"itemIdentifier": event["Records"][i]["messageId"]} for i in positions]}


def a_message(**changes: Any) -> str:
    fields = {
        "customerName": f"{CANARY} Lovelace",
        "dynamicVariables": {"illness": f"{CANARY}-itis"},
        "phoneNumberId": PHONE_NUMBER_ID,
    }
    return json.dumps(CloudWorld.request(**fields | changes))


def test_a_batch_of_ten_is_placed_side_by_side_and_acknowledged(
    attempts: SampleAttempts, environment: dict[str, str]
) -> None:
    together = threading.Barrier(10)

    def behave(connection: socket.socket, request: HttpRequest) -> bool:
        together.wait(20)  # passes only when all ten are here
        return accept_calls(connection, request)

    event = batch(*(a_message() for _ in range(10)))
    with allomia_server(environment, behave) as server:
        done = run("place_call", environment, event)

    assert done.answers == [failures(event)]
    assert len(server.posts()) == 10
    assert {post.headers["authorization"] for post in server.posts()} == {f"Bearer {API_KEY}"}
    for record in event["Records"]:
        key = key_of(json.loads(record["body"]))
        item = attempts.existing_item(key)
        (line,) = done.lines(messageId=record["messageId"])
        assert item["status"] == "calling"
        assert line["outboundCallId"] == item["outboundCallId"]
        expected = {"message": "call placed", "level": "INFO", "service": "calls-test", "attempt": 1}
        assert line.items() >= (expected | {"requestId": key.request.request_id}).items()
    assert done.counted("CallsPlaced") == 10


def test_what_was_placed_is_reported_even_if_lambda_ends_the_function(environment: dict[str, str]) -> None:
    end = threading.Event()

    def behave(connection: socket.socket, request: HttpRequest) -> bool:
        if b"hangs" in request.body:
            end.wait(60)
        return accept_calls(connection, request)

    event = batch(a_message(dynamicVariables={"it": "hangs"}), *(a_message() for _ in range(9)))
    with allomia_server(environment, behave):
        ended = kill_function("place_call", environment, event, after_lines=9)
        end.set()

    assert ended.counted("CallsPlaced") == 9
    assert {line["messageId"] for line in ended.lines()} == {each["messageId"] for each in event["Records"][1:]}


def test_only_the_message_that_fails_is_delivered_again(attempts: SampleAttempts, environment: dict[str, str]) -> None:
    broken = attempts.scheduled().key
    attempts.put_item(attempts.existing_item(broken) | {"status": f"{CANARY} {PHONE_NUMBER}"})
    first = a_message()
    event = batch(first, "not JSON", dispatch_message(broken), first, a_message())

    with allomia_server(environment) as server:
        done = run("place_call", environment, event)

    assert done.answers == [failures(event, 2)]
    assert len(server.posts()) == 2
    (fault,) = done.lines(level="ERROR")
    assert (fault["message"], fault["messageId"]) == ("message failed", event["Records"][2]["messageId"])
    assert fault["error"].startswith("ValueError at ")
    metrics = ("FailedMessages", "InvalidMessages", "DuplicateMessages", "CallsPlaced")
    assert counted(done, *metrics) == [1, 1, 1, 2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALLS_TABLE_NAME", "no-such-table"),
        ("SIGNING_SECRET_ARN", "arn:aws:secretsmanager:ca-central-1:123456789012:secret:none-AbCdEf"),
    ],
)
def test_every_message_is_delivered_again_without_the_table_or_the_secret(
    attempts: SampleAttempts, environment: dict[str, str], name: str, value: str
) -> None:
    event = batch(a_message(), a_message(), dispatch_message(attempts.scheduled(int(time.time())).key))
    with allomia_server(environment) as server:
        done = run("place_call", environment | {name: value}, event)

    (answer,) = done.answers
    assert sorted(each["itemIdentifier"] for each in answer["batchItemFailures"]) == sorted(
        record["messageId"] for record in event["Records"]
    )
    assert server.requests == []
    assert done.counted("FailedMessages") == 3
    assert len(done.lines(level="ERROR")) == 3


def test_each_result_of_a_message_is_logged_and_counted(resources: CloudResources, environment: dict[str, str]) -> None:
    codes = iter(["429 Too Many Requests", "401 Unauthorized", "400 Bad Request", "500 Internal Server Error"])

    def behave(connection: socket.socket, request: HttpRequest) -> bool:
        words = f"{PHONE_NUMBER} of {CANARY} Lovelace: {json.loads(request.body)['callbackUrl']}"
        connection.sendall(http_answer(json.dumps({"error": words}), next(codes)))
        return True

    events = [*(batch(a_message()) for _ in range(4)), batch("not JSON")]
    with allomia_server(environment, behave):
        done = run("place_call", environment, *events)

    assert done.answers == [failures(event) for event in events]
    assert [(line["message"], line.get("code"), line.get("detail")) for line in done.lines()] == [
        ("attempt parked", "rate-limited", "HTTP 429"),
        ("attempt parked", "key-declined", "HTTP 401"),
        ("attempt parked", "refused-by-allomia", "HTTP 400: no known words"),
        ("answer lost", None, "HTTP 500"),
        ("invalid message", None, "body: a JSON object in UTF-8"),
    ]
    assert counted(done, "CallsParked", "AllomiaKeyDeclined", "CallsRefused") == [3, 1, 1]
    assert counted(done, "AmbiguousAnswers", "InvalidMessages") == [1, 1]
    assert [message["Body"] for message in resources.take(environment["INVALID_MESSAGES_QUEUE_URL"])] == ["not JSON"]


def test_an_undocumented_status_is_logged_and_counted(attempts: SampleAttempts, environment: dict[str, str]) -> None:
    calling = attempts.calling(int(time.time())).key

    def behave(connection: socket.socket, request: HttpRequest) -> bool:
        status = "voicemail" if request.method == "GET" else "queued"
        connection.sendall(http_answer(json.dumps({"outboundCallId": CALL_ID, "status": status})))
        return True

    with allomia_server(environment, behave):
        placed = run("place_call", environment, batch(a_message()))
        polled = run("poll_calls", environment, {"items": [due_entry(attempts, calling)]})

    assert counted(placed, "UnfamiliarStatuses", "CallsPlaced") == [1, 1]
    assert placed.lines(message="call placed")[0]["allomiaStatus"] == "queued"
    assert counted(polled, "UnfamiliarStatuses", "PollsUnavailable") == [1, 0]
    assert polled.lines(message="call in progress")[0]["allomiaStatus"] == "voicemail"
    assert attempts.existing_item(calling)["allomiaStatus"] == "voicemail"


def test_a_request_that_waited_on_the_queue_for_a_day_is_rejected(environment: dict[str, str]) -> None:
    event = batch(a_message())
    event["Records"][0]["attributes"] = {"SentTimestamp": str(int((time.time() - 90_000) * 1000))}

    with allomia_server(environment) as server:
        done = run("place_call", environment, event)

    assert done.answers == [failures(event)]
    assert server.requests == []
    (line,) = done.lines(message="request rejected")
    assert line["code"] == "expired"
    assert counted(done, "CallsRejected", "OutcomeRejected", "OutcomeByPolicy") == [1, 0, 1]


def test_what_policy_lets_wait_is_counted_by_its_reason_and_not_as_parked(environment: dict[str, str]) -> None:
    tomorrow = datetime.fromtimestamp(time.time() + 86_400, UTC).isoformat()
    event = batch(a_message(notBefore=tomorrow))

    with allomia_server(environment) as server:
        done = run("place_call", environment, event)

    assert server.requests == []
    assert counted(done, "CallsDeferred", "DeferredNotBefore", "CallsParked") == [1, 1, 0]


def test_a_policy_that_cannot_be_read_is_counted_and_not_as_parked(environment: dict[str, str]) -> None:
    with allomia_server(environment) as server:
        done = run("place_call", environment | {"POLICY_TABLE_NAME": "no-such-table"}, batch(a_message()))

    assert server.requests == []
    assert done.lines(message="attempt parked")[0]["code"] == "policy-unreadable"
    assert counted(done, "PolicyUnreadable", "CallsParked", "CallsDeferred") == [1, 0, 0]


def test_what_policy_rejects_on_purpose_is_counted_where_it_is_recorded(environment: dict[str, str]) -> None:
    number = "+15145550177"
    objection = json.dumps({"doNotCall": {"phoneNumber": number}})

    with allomia_server(environment) as server:
        done = run("place_call", environment, batch(objection), batch(a_message(phoneNumber=number)))

    assert server.requests == []
    assert counted(done, "RejectedDoNotCall", "OutcomeRejected", "RequestsToCorrect") == [1, 1, 0]


def test_a_circuit_that_is_open_is_counted(environment: dict[str, str]) -> None:
    def behave(connection: socket.socket, _request: HttpRequest) -> bool:
        connection.sendall(http_answer("", "500 Internal Server Error"))
        return True

    with allomia_server(environment, behave):
        done = run("place_call", environment, *(batch(a_message()) for _ in range(6)))

    assert counted(done, "AmbiguousAnswers", "CallsParked", "CircuitOpen") == [5, 1, 1]


def test_two_calls_for_one_attempt_are_counted(world: CloudWorld, environment: dict[str, str]) -> None:
    """AlloMia's answer names another call than the webhook that came before it."""
    message = a_message()

    def behave(connection: socket.socket, _request: HttpRequest) -> bool:
        assert world.webhook(key_of(json.loads(message)), "completed").status == 200
        connection.sendall(http_answer(json.dumps({"outboundCallId": OTHER_CALL_ID, "status": "calling"})))
        return True

    with allomia_server(environment, behave):
        done = run("place_call", environment, batch(message))

    assert done.counted("CallIdsContradicting") == 1
    (line,) = done.lines(message="call placed")
    assert line["code"] == "other-call-recorded"


# receive_webhook.


def webhook(world: CloudWorld, key: AttemptKey, body: str, **path: str) -> dict[str, Any]:
    """The event of receive_webhook."""
    signature = world.callback_url(key).rsplit("/", 1)[-1]
    return {
        "version": "2.0",
        "rawPath": f"/webhooks/allomia/{key.request}/1/{signature}",
        "pathParameters": {"requestId": str(key.request), "attempt": "1", "signature": signature} | path,
        "body": body,
        "isBase64Encoded": False,
    }


def test_each_webhook_is_answered_and_counted_by_its_result(world: CloudWorld, environment: dict[str, str]) -> None:
    key = world.placed()
    url = world.callback_url(key)
    completed, busy, calling, voicemail, no_word = (
        json.dumps(world.allomia.state(url, status))
        for status in ("completed", "busy", "calling", "voicemail", "no word!")
    )
    other_voicemail = json.dumps(world.allomia.state(url, "voicemail", outboundCallId=OTHER_CALL_ID))
    other_call = json.dumps(world.allomia.state(url, "completed", outboundCallId=OTHER_CALL_ID))
    whole = webhook(world, key, completed)
    exchanges = [
        (webhook(world, key, completed, signature="forged"), 403, {"error": "not a callback URL of this stack"}),
        (whole | {"pathParameters": None}, 403, {"error": "not a callback URL of this stack"}),
        (without(whole, "body"), 400, {"error": "body: a JSON object"}),
        (
            webhook(world, key, json.dumps({"customerName": CANARY})),
            400,
            {"error": "status: one of completed, failed, busy, no-answer"},
        ),
        (webhook(world, key, calling), 200, {"message": "noted, not an outcome"}),
        (webhook(world, key, voicemail), 200, {"message": "noted, not an outcome"}),
        (webhook(world, key, other_voicemail), 400, {"error": "outboundCallId: not the call of this attempt"}),
        (webhook(world, key, no_word), 400, {"error": "status: one of completed, failed, busy, no-answer"}),
        (whole, 200, {"message": "outcome recorded"}),
        (whole, 200, {"message": "outcome was recorded before"}),
        (webhook(world, key, busy), 200, {"message": "another outcome was recorded before"}),
        (webhook(world, key, voicemail), 200, {"message": "an outcome was recorded before"}),
        (webhook(world, key, other_call), 400, {"error": "outboundCallId: not the call of this attempt"}),
    ]

    done = run("receive_webhook", without(environment, "ALLOMIA", "QUEUE"), *(event for event, _, _ in exchanges))

    expected = [(status, body) for _, status, body in exchanges]
    assert [(answer["statusCode"], json.loads(answer["body"])) for answer in done.answers] == expected
    assert {answer["headers"]["content-type"] for answer in done.answers} == {"application/json"}
    assert counted(done, "WebhooksInvalid", "OutcomeCompleted", "OutcomeByWebhook") == [4, 1, 1]
    assert counted(done, "WebhooksDuplicated", "WebhooksContradicting", "CallIdsContradicting") == [1, 1, 2]
    assert done.counted("UnfamiliarStatuses") == 4
    assert [line["allomiaStatus"] for line in done.lines() if "allomiaStatus" in line] == ["voicemail"] * 3
    # An unverified sender is named in no line.
    assert len(done.lines(requestId=key.request.request_id)) == 11


def test_a_healthy_call_is_logged_in_two_short_lines(world: CloudWorld, environment: dict[str, str]) -> None:
    """Logs cost by the byte. This is the longest request id, in a stack with a long name."""
    attempts, environment = world.attempts, environment | {"POWERTOOLS_SERVICE_NAME": "allomia-outbound-calls-prod-eu"}
    key = AttemptKey(RequestKey(uuid4().hex.ljust(128, "r")), 1)
    with allomia_server(environment):
        placed = run("place_call", environment, batch(a_message(requestId=key.request.request_id)))
    state = world.allomia.state("", "completed", outboundCallId=attempts.existing_item(key)["outboundCallId"])
    details = {"duration": 150, "endedReason": "customer-ended-call"}

    received = run("receive_webhook", environment, webhook(world, key, json.dumps(state | {"callDetails": details})))
    published = run("publish_outcome", environment | {"OUTCOME_BUS_NAME": "default"}, stream_event(attempts, key))

    assert not published.failed, published.printed
    lines = [line for done in (placed, received, published) for line in done.printed.splitlines() if line[:1] == "{"]
    assert [json.loads(line)["message"] for line in lines] == ["call placed", "outcome recorded"]
    assert sum(len(line.encode()) + 1 for line in lines) <= 1500


def test_a_webhook_that_could_not_be_stored_is_answered_with_500(
    world: CloudWorld, environment: dict[str, str]
) -> None:
    key = world.placed()
    outcome = json.dumps(world.allomia.state(world.callback_url(key), "completed"))

    done = run("receive_webhook", environment | {"CALLS_TABLE_NAME": "none"}, webhook(world, key, outcome))

    assert [answer["statusCode"] for answer in done.answers] == [500]
    assert done.counted("WebhooksFailed") == 1
    (line,) = done.lines(level="ERROR")
    assert line["error"].startswith("ResourceNotFoundException ResourceNotFoundException at ")


# poll_calls.


def due_entry(attempts: SampleAttempts, key: AttemptKey) -> dict[str, Any]:
    """An entry of the index, as the state machine passes it on."""
    item = attempts.existing_item(key)
    return {
        "requestId": {"S": str(key.request)},
        "attempt": {"N": str(key.number)},
        "dueShard": {"N": str(item["dueShard"])},
        "dueAt": {"N": str(item["dueAt"])},
    }


def test_a_page_is_polled_to_its_end_whatever_is_in_it(world: CloudWorld, environment: dict[str, str]) -> None:
    attempts = world.attempts
    calling, parked, ended = world.placed(), attempts.scheduled().key, world.placed()
    outdated = due_entry(attempts, ended)
    world.webhook(ended)
    cancelled = world.placed(batch="monday", notBefore="2026-04-20T00:00:00Z")
    BatchSearches(attempts.table).expect_batch(None, "monday", NOW)
    page = [
        {"requestId": {"S": "odd"}},
        due_entry(attempts, calling),
        outdated,
        due_entry(attempts, parked),
        {"requestId": {"S": "~~batch~monday"}, "attempt": {"N": "0"}, "dueAt": {"N": str(NOW + 10)}},
        {"requestId": {"S": "a/b"}, "attempt": {"N": "1"}, "dueAt": {"N": "1"}},
    ]

    with allomia_server(environment) as server:
        done = run("poll_calls", environment, {"items": page}, {"items": []})

    none = dict.fromkeys(("polled", *PollResult, "failed"), 0)
    results = {"polled": 6, "recorded": 1, "dispatched": 1, "batch-cancelled": 1, "skipped": 1, "failed": 2}
    assert done.answers == [none | results, none]
    assert attempts.status(calling) == "completed"
    assert attempts.status(cancelled) == "cancelled"
    (line,) = done.lines(message="batch cancelled")
    assert line["detail"] == "monday: 1 cancelled"
    assert server.requests[0].path == f"/api/outbound/{attempts.existing_item(calling)['outboundCallId']}/status"
    (message,) = world.resources.take(environment["CALL_QUEUE_URL"])
    assert message["Body"] == dispatch_message(parked)
    assert counted(done, "Polls", "PollsFailed", "DispatchesSent", "OutcomeByPoll") == [6, 2, 1, 1]
    (line,) = done.lines(message="outcome recorded")
    assert line.items() >= {"requestId": calling.request.request_id, "attempt": 1, "status": "completed"}.items()


def test_a_call_is_found_in_the_call_log_and_its_pages_are_counted(
    world: CloudWorld, environment: dict[str, str]
) -> None:
    secret = json.dumps({"apiKey": API_KEY, "organizationId": f"organization-{uuid4().hex}"})
    environment["ALLOMIA_API_KEY_SECRET_ARN"] = world.resources.new_secret(secret)
    dispatched_at = int(time.time()) - DEADLINE_SECONDS - 60
    attempt = world.attempts.claim(replace(new_attempt(), number_hash="hash-of-a-number"), now=dispatched_at)
    assert attempt
    entry = {"id": str(uuid4()), "agentId": ASSISTANT_ID, "userPhoneNumber": PHONE_NUMBER}
    entry["createdAt"] = utc_text(dispatched_at)
    page = json.dumps({"calls": [entry], "pagination": {"hasNextPage": False, "total": 1}})

    def behave(connection: socket.socket, request: HttpRequest) -> bool:
        if not request.path.startswith("/api/calls"):
            return accept_calls(connection, request)
        connection.sendall(http_answer(page, Content_Type="application/json"))
        return True

    with allomia_server(environment, behave):
        items = [due_entry(world.attempts, attempt.key)]
        later = run("poll_calls", environment, {"items": items, "isFirst": False})
        done = run("poll_calls", environment, {"items": [due_entry(world.attempts, attempt.key)], "isFirst": True})

    # Only the first page of a shard reads the log.
    assert (later.answers[0]["skipped"], later.counted("CallLogPages")) == (1, 0)
    assert world.attempts.status(attempt.key) == "completed"
    assert counted(done, "Polls", "OutcomeByCallLog") == [1, 1]
    assert done.counted("CallLogPages") in {2, 3}
    assert PHONE_NUMBER not in str(done.lines())


def test_what_was_polled_is_reported_even_if_lambda_ends_the_function(
    world: CloudWorld, environment: dict[str, str]
) -> None:
    keys = [world.placed() for _ in range(5)]
    slow = world.attempts.existing_item(keys[0])["outboundCallId"]
    end = threading.Event()

    def behave(connection: socket.socket, request: HttpRequest) -> bool:
        if slow in request.path:
            end.wait(60)
        return accept_calls(connection, request)

    page = [due_entry(world.attempts, key) for key in keys]
    with allomia_server(environment, behave):
        ended = kill_function("poll_calls", environment, {"items": page}, after_lines=4)
        end.set()

    assert {line["requestId"] for line in ended.lines(message="outcome recorded")} == {
        key.request.request_id for key in keys[1:]
    }


def test_no_poll_starts_after_the_next_sweep_has_started(world: CloudWorld, environment: dict[str, str]) -> None:
    keys = [world.placed(), world.placed()]
    before = [world.attempts.item(key) for key in keys]

    with allomia_server(environment) as server:
        done = run("poll_calls", environment, {"items": [due_entry(world.attempts, key) for key in keys], "until": 1})

    assert done.answers[0].items() >= {"polled": 2, "skipped": 2}.items()
    assert {line["detail"] for line in done.lines(message="poll skipped")} == {"short-of-time"}
    assert server.requests == []
    assert [world.attempts.item(key) for key in keys] == before


def test_a_page_without_a_table_fails_item_by_item(world: CloudWorld, environment: dict[str, str]) -> None:
    page = [due_entry(world.attempts, world.placed()) for _ in range(3)]

    done = run("poll_calls", environment | {"CALLS_TABLE_NAME": "none"}, {"items": page})

    assert done.answers[0].items() >= {"polled": 3, "failed": 3}.items()
    assert not done.failed


def test_a_key_that_is_declined_while_polling_is_counted(attempts: SampleAttempts, environment: dict[str, str]) -> None:
    calling = attempts.calling(int(time.time())).key

    def decline(connection: socket.socket, _request: HttpRequest) -> bool:
        connection.sendall(http_answer("{}", "401 Unauthorized"))
        return True

    with allomia_server(environment, decline):
        done = run("poll_calls", environment, {"items": [due_entry(attempts, calling)]})

    assert done.answers[0].items() >= {"polled": 1, "unavailable": 1}.items()
    assert counted(done, "AllomiaKeyDeclined", "PollsUnavailable") == [1, 1]


# publish_outcome.


def stream_event(attempts: SampleAttempts, *keys: AttemptKey) -> dict[str, Any]:
    """The event of publish_outcome."""
    images = [attempts.image(key) for key in keys]
    return {"Records": [{"eventName": "MODIFY", "dynamodb": {"NewImage": image}} for image in images]}


def queue_of_outcomes(cloud: LocalCloud, resources: CloudResources, bus: str) -> str:
    """A queue that gets every outcome of a new bus. Returns its URL."""
    events, url = cloud.client("events"), resources.new_queue()
    attributes = resources.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    events.create_event_bus(Name=bus)
    events.put_rule(Name=bus, EventBusName=bus, EventPattern='{"source": ["allomia.outbound-calls"]}')
    events.put_targets(Rule=bus, EventBusName=bus, Targets=[{"Id": "1", "Arn": attributes["QueueArn"]}])
    return url


def test_outcomes_arrive_on_the_bus(
    cloud: LocalCloud, resources: CloudResources, attempts: SampleAttempts, environment: dict[str, str]
) -> None:
    bus = f"outcomes-{uuid4().hex}"
    url = queue_of_outcomes(cloud, resources, bus)
    keys = {attempts.ended(status): status for status in (Status.COMPLETED, Status.UNKNOWN, Status.REJECTED)}
    left = attempts.ended(Status.UNKNOWN)
    assert attempts.table.leave_unknown(left, "alice")

    done = run("publish_outcome", environment | {"OUTCOME_BUS_NAME": bus}, stream_event(attempts, *keys, left))

    # One line for each that needs a person, and none for a healthy call, nor for one that a person left unknown
    assert done.answers == [None]
    assert {(line["requestId"], line["status"]) for line in done.lines()} == {
        (key.request.request_id, status) for key, status in keys.items() if status is not Status.COMPLETED
    }
    assert counted(done, "OutcomeUnknown", "OutcomeRejected", "OutcomeCompleted") == [1, 1, 0]
    assert counted(done, "RequestsToCorrect", "RejectedExpired") == [1, 0]
    arrived: list[dict[str, Any]] = []
    while len(arrived) < 4:
        messages = resources.take(url, wait_seconds=5)
        assert messages
        arrived += [json.loads(message["Body"]) for message in messages]
    assert {event["detail-type"] for event in arrived} == {"Call Outcome Recorded"}
    expected = {key.request.request_id: status for key, status in (keys | {left: Status.UNKNOWN}).items()}
    assert {event["detail"]["requestId"]: event["detail"]["status"] for event in arrived} == expected


def test_an_outcome_is_counted_each_time_that_it_is_delivered_and_only_when_it_was_published(
    attempts: SampleAttempts, environment: dict[str, str]
) -> None:
    event = stream_event(attempts, attempts.ended(Status.UNKNOWN))

    done = run("publish_outcome", environment | {"OUTCOME_BUS_NAME": "default"}, event, event)
    with closed_port() as nowhere:
        failed = run("publish_outcome", environment | {"AWS_ENDPOINT_URL": nowhere}, event)

    assert (done.counted("OutcomeUnknown"), done.answers) == (2, [None, None])
    assert (failed.counted("OutcomeUnknown"), failed.answers) == (0, [])


def test_a_record_that_cannot_be_read_raises_an_alarm_and_is_retried_no_more(
    attempts: SampleAttempts, resources: CloudResources, environment: dict[str, str]
) -> None:
    key, broken = attempts.ended(Status.UNKNOWN), attempts.ended(Status.COMPLETED)
    event = stream_event(attempts, broken, key)
    event["Records"][0]["dynamodb"]["NewImage"]["outcomeSource"] = {"S": CANARY}
    url = resources.new_queue()

    done = run(
        "publish_outcome", environment | {"OUTCOME_BUS_NAME": "default", "FAILED_OUTCOMES_QUEUE_URL": url}, event
    )

    assert done.answers == [None]
    assert done.counted("OutcomeUnknown") == 1
    (line,) = done.lines(level="ERROR")
    assert line["message"] == "record unreadable"
    assert line["error"].startswith("ValueError at ")
    (message,) = resources.take(url, wait_seconds=5)
    assert json.loads(message["Body"])["unreadableRecord"]["requestId"] == {"S": str(broken.request)}


# get_call.


def get_request(request_id: str | None) -> dict[str, Any]:
    """The event of get_call, with what API Gateway adds about the caller."""
    return {
        "version": "2.0",
        "rawPath": f"/calls/{request_id}",
        "headers": {"authorization": f"AWS4-HMAC-SHA256 Credential={CANARY}/x, Signature={CANARY}"},
        "requestContext": {"authorizer": {"iam": {"accessKey": CANARY, "userArn": CANARY}}},
        "pathParameters": {"requestId": request_id} if request_id is not None else None,
    }


HEADERS = {"content-type": "application/json", "cache-control": "no-store"}


def test_get_call_answers_with_the_report_of_the_request(attempts: SampleAttempts, environment: dict[str, str]) -> None:
    keys = [attempts.ended(Status.NO_ANSWER), attempts.scheduled().key]

    done = run(
        "get_call",
        without(environment, "_SECRET_ARN", "_QUEUE_URL"),
        *(get_request(str(key.request)) for key in keys),
    )

    reports = [request_report(attempts.table.read_all(key.request)).wire() for key in keys]
    assert [(answer["statusCode"], json.loads(answer["body"])) for answer in done.answers] == [
        (200, report) for report in reports
    ]
    assert [answer["headers"] for answer in done.answers] == [HEADERS] * 2
    # A successful read is not logged.
    assert done.printed == ""


def test_get_call_distinguishes_a_missing_record_and_an_invalid_id(environment: dict[str, str]) -> None:
    rule = "requestId: 1 to 128 of the characters A-Z a-z 0-9 . _ - and not only one or two dots"
    ids = (str(new_key().request), f"{CANARY} (1)", "v" * 5000, None)

    done = run("get_call", environment, *map(get_request, ids))

    assert [(answer["statusCode"], json.loads(answer["body"])) for answer in done.answers] == [
        (404, {"error": "no record of this request: not processed yet, invalid, or expired"}),
        *[(400, {"error": rule})] * 3,
    ]
    assert [answer["headers"] for answer in done.answers] == [HEADERS] * 4
    assert done.printed == ""


@pytest.mark.parametrize("fault", ["no table", "no network", "a broken record"])
def test_get_call_answers_with_500_and_nothing_internal(
    attempts: SampleAttempts, environment: dict[str, str], fault: str
) -> None:
    key = attempts.ended(Status.COMPLETED)
    if fault == "a broken record":
        attempts.put_item(attempts.existing_item(key) | {"status": CANARY, "outcomeSource": CANARY})
    with closed_port() as nowhere:
        changes = {"no table": {"CALLS_TABLE_NAME": "none"}, "no network": {"AWS_ENDPOINT_URL": nowhere}}

        done = run("get_call", environment | changes.get(fault, {}), get_request(str(key.request)))

    (answer,) = done.answers
    assert (answer["statusCode"], json.loads(answer["body"])) == (500, {"error": "not read, try again"})
    assert answer["headers"] == HEADERS
    assert len(done.lines(level="ERROR", message="request not read")) == 1
    # The request that was asked for is in no line.
    assert key.request.request_id not in done.printed


# check_release.

DEPLOYMENT = {"DeploymentId": "d-ABCDEF123", "LifecycleEventHookExecutionId": "the-execution"}


class CheckedRelease:
    """CodeDeploy with one deployment, and Lambda with the version that it would send traffic to."""

    def __init__(self, answer: object, app_spec: str = "") -> None:
        resource = {"Type": "AWS::Lambda::Function", "Properties": {"Name": "place-call", "TargetVersion": "7"}}
        self.app_spec = app_spec or json.dumps({"version": 0.0, "Resources": [{"place-call": resource}]})
        self.answer = answer
        self.invoked: list[str] = []
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
                self.invoked.append(request.path)
                return self.answer


@pytest.mark.parametrize(
    ("release", "invocations", "verdict"),
    [
        (CheckedRelease({"batchItemFailures": []}), 1, "Succeeded"),
        (CheckedRelease({"statusCode": 500}), 1, "Failed"),
        (CheckedRelease({"batchItemFailures": []}, CANARY), 0, "Failed"),
    ],
    ids=["expected answer", "unexpected answer", "unreadable deployment"],
)
def test_codedeploy_always_gets_a_verdict(
    environment: dict[str, str], release: CheckedRelease, invocations: int, verdict: str
) -> None:
    with SocketServer(release.behave) as aws:
        done = run("check_release", environment | {"AWS_ENDPOINT_URL": aws.url}, DEPLOYMENT)

    assert done.answers == [None]
    assert release.invoked == ["/2015-03-31/functions/place-call/invocations?Qualifier=7"] * invocations
    assert release.verdicts == [
        {"deploymentId": "d-ABCDEF123", "lifecycleEventHookExecutionId": "the-execution", "status": verdict}
    ]
    (line,) = done.lines()
    assert line["message"] == ("release checked" if invocations else "release not checked")
    assert ("complaint" in line) == (verdict == "Failed" and invocations == 1)


# The environment.


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("place_call", "WEBHOOK_URL"),
        ("receive_webhook", "SIGNING_SECRET_ARN"),
        ("poll_calls", "CALL_DEADLINE_SECONDS"),
        ("publish_outcome", "OUTCOME_BUS_NAME"),
        ("get_call", "CALLS_TABLE_NAME"),
        ("check_release", "POWERTOOLS_SERVICE_NAME"),
    ],
)
def test_a_function_does_not_start_without_a_setting_and_names_it(
    environment: dict[str, str], function: str, name: str
) -> None:
    done = run(function, without(environment, name), {})

    assert done.failed
    assert done.answers == []
    assert name.lower() in done.printed
