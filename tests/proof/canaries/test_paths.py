"""No function leaks a canary on any path, faults included.

Each request holds values that occur nowhere else. All that the functions then log, count, answer, raise, publish and
store, and the attributes of their messages, is searched for them.
"""

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from local.cloud import LocalCloud
from local.sam import build
from tests.proof.canaries import echo
from tests.proof.canaries.search import hits, texts
from tests.proof.canaries.stage import (
    API_KEY,
    NAME,
    NUMBER,
    SIGNING_KEY,
    VARIABLE,
    Stage,
    read,
    request,
    requests,
    signature,
    webhook,
)
from tests.unit.parts import CALL_ID, OTHER_CALL_ID, SocketServer, closed_port
from tests.world import CloudResources

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the runtime emulator is a Linux program")

REASON = "the person at +15145550188 hung up"
"""AlloMia's free text on how a call ended. It is passed on unchanged."""

MISSING = "no-such-resource"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    build()
    with ExitStack() as parts:
        cloud = parts.enter_context(LocalCloud())
        resources = CloudResources(cloud)
        cloud.client("events").create_event_bus(Name="outcomes")
        changes = {
            "ALLOMIA_API_KEY_SECRET_ARN": resources.new_secret(json.dumps({"apiKey": API_KEY})),
            "SIGNING_SECRET_ARN": resources.new_secret(SIGNING_KEY),
            "ALLOMIA_BASE_URL": parts.enter_context(SocketServer(echo.answer)).url,
            "WEBHOOK_GRACE_SECONDS": "1",
            "CALL_DEADLINE_SECONDS": "1",
        }
        yield Stage(resources, resources.environment(**changes) | {"AWS_ENDPOINT_URL": cloud.endpoint_url})


def test_answers_of_allomia_that_repeat_the_request(stage: Stage) -> None:
    # Given every answer that repeats the request; few at a time of those that open the circuit breaker
    for answers in (echo.DECLINED, echo.OTHERS):
        for start in range(0, len(answers), 4):
            stage.place(requests(*answers[start : start + 4]))

    # Then each leads to its status
    statuses = {name: item["status"] for name, item in stage.records().items()}
    assert statuses == dict.fromkeys(echo.DECLINED, "scheduled") | {
        **dict.fromkeys(("key-declined", "forbidden", "throttled"), "scheduled"),
        **dict.fromkeys(("unavailable", "broken", "redirected", "dropped", "odd"), "dispatching"),
        "failed": "failed",
        "calling": "calling",
    }
    assert stage.leaks() == []


def test_invalid_messages(stage: Stage) -> None:
    # Given messages that break the contract, with personal data in every place
    valid = request("invalid")
    invalid: dict[str, object] = {
        "invalid-number": valid | {"phoneNumber": f"{NUMBER}x"},
        "invalid-id": valid | {"requestId": f"{NUMBER}/{NAME}"},
        "invalid-organization": valid | {"organization": NAME},
        "invalid-batch": valid | {"batch": NUMBER},
        "invalid-name": valid | {"customerName": f"{NAME}\n"},
        "invalid-variable": valid | {"dynamicVariables": {NAME: {VARIABLE: NUMBER}}},
        "invalid-metadata": valid | {"metadata": [NUMBER]},
        "invalid-uuid": valid | {"assistantId": NAME},
        "unknown-field": valid | {"callbackUrl": f"https://example.test/{NUMBER}"},
        "unknown-field-of-words": valid | {NAME: NUMBER},
        "unknown-field-of-digits": valid | {NUMBER: NAME},
        "dispatch": {"dispatch": {"requestId": NUMBER, "attempt": NAME}, "timesParked": VARIABLE},
        "cut-off": json.dumps(valid)[:-1],
        "not-json": f"call {NAME} at {NUMBER}, {VARIABLE}",
        "too-large": json.dumps(valid) + " " * 33_000,
    }

    assert stage.place(invalid) == set()

    # Then each is kept, and no attribute repeats its content
    kept = [message["MessageAttributes"] for message in stage.take_all(stage.environment["INVALID_MESSAGES_QUEUE_URL"])]
    assert {attributes["messageId"]["StringValue"] for attributes in kept} == invalid.keys()
    stage.output += [("attributes of an invalid message", attributes) for attributes in kept]
    assert stage.leaks() == []


def test_what_policy_remembers(stage: Stage) -> None:
    # Given a cap, for which each dial is remembered
    capped = json.dumps({"basedOn": "open", "recipientCaps": [{"calls": 99, "perSeconds": 60}]})
    stage.policy_table.set_policy(capped, "test", time.time(), seen=0)
    stage.place(requests("capped"))

    # When messages say who is not to be called, and what is cancelled; good ones, broken ones, and without their parts
    entry = {"phoneNumber": NUMBER, "purposes": ["canaries"]}
    good: dict[str, object] = {
        "do-not-call": {"doNotCall": entry},
        "cancel": {"cancel": {"requestId": "capped"}},
        "cancel-batch": {"cancel": {"batch": "canaries"}},
    }
    broken: dict[str, object] = {
        "do-not-call-number": {"doNotCall": entry | {"phoneNumber": f"{NUMBER}x"}},
        "do-not-call-purpose": {"doNotCall": entry | {"purposes": [NAME]}},
        "do-not-call-field": {"doNotCall": entry | {NUMBER: NAME}},
        "do-not-call-organization": {"doNotCall": entry, "organization": "none"},
        "cancel-number": {"cancel": {"requestId": NUMBER}},
        "cancel-both": {"cancel": {"requestId": NAME, "batch": VARIABLE}},
    }
    assert stage.place(good | broken) == set()
    assert stage.place({"do-not-call": good["do-not-call"]}, POLICY_TABLE_NAME=MISSING) == {"do-not-call"}
    assert stage.place({"do-not-call": good["do-not-call"]}, NUMBER_HASH_SECRET_ARN=MISSING) == {"do-not-call"}
    assert stage.place(requests("policy-missing"), POLICY_TABLE_NAME=MISSING) == set()

    # Then the number stands in the policy table as its hash alone
    entries = {item["entry"]["S"].split("#")[0] for item in stage.remembered()}
    assert entries >= {"dials", "do-not-call", "cancelled", "current"}
    assert stage.records()["policy-missing"]["parkReason"] == "policy-unreadable"
    kept = [message["MessageAttributes"] for message in stage.take_all(stage.environment["INVALID_MESSAGES_QUEUE_URL"])]
    # The policy doesn't define the purpose: the entry holds, and a person sees the message
    assert {attributes["messageId"]["StringValue"] for attributes in kept} == {*broken, "do-not-call"}
    stage.output += [("attributes of an invalid message", attributes) for attributes in kept]
    assert stage.leaks() == []


def test_missing_and_denied_parts(stage: Stage) -> None:
    # Given one request for each fault of the stack's own parts
    before = len(stage.output)
    secrets, tables = "secretsmanager:GetSecretValue", ("dynamodb:PutItem", "dynamodb:UpdateItem")
    key = "ALLOMIA_API_KEY_SECRET_ARN"
    with closed_port() as closed:
        faults: dict[str, dict[str, str]] = {
            "table-missing": {"CALLS_TABLE_NAME": MISSING},
            "table-denied": stage.role("no-table", secrets),
            "signing-missing": {"SIGNING_SECRET_ARN": MISSING},
            "secrets-denied": stage.role("no-secrets", *tables),
            "key-missing": {key: MISSING},
            "key-odd": {key: stage.resources.new_secret(json.dumps({"key": API_KEY}))},
            "key-unsendable": {key: stage.resources.new_secret(f"{API_KEY}\n{API_KEY}")},
            "allomia-closed": {"ALLOMIA_BASE_URL": closed},
            "allomia-missing": {"ALLOMIA_BASE_URL": "http://allomia.invalid"},
        }
        with ThreadPoolExecutor(2) as threads:
            failed = set().union(*threads.map(lambda name: stage.place(requests(name), **faults[name]), faults))
    # And an invalid message, without a queue to keep it
    failed |= stage.place(
        {"queue-missing": NUMBER}, INVALID_MESSAGES_QUEUE_URL=f"{stage.environment['AWS_ENDPOINT_URL']}/1/none"
    )

    # Then those that nothing was stored of are delivered again, and the others are parked
    assert failed == {"table-missing", "table-denied", "signing-missing", "queue-missing"}
    records = stage.records()
    assert {records[name]["status"] for name in faults.keys() - failed} == {"scheduled"}
    # And the faults are logged, without the content of the messages
    assert sum('"message failed"' in str(line) for _, line in stage.output[before:]) == len(failed)
    assert stage.leaks() == []


def test_webhooks(stage: Stage) -> None:
    # Given an attempt that waits for its outcome, and wrong webhooks of every kind
    stage.place(requests("ends"))
    outcome = {"outboundCallId": CALL_ID, "status": "completed", "phoneNumber": NUMBER, "customerName": NAME}
    forbidden = [
        webhook("ends", outcome, signed=signature("ends")[:-1]),
        webhook("ends", outcome, signed=API_KEY),
        webhook(NUMBER, outcome),
        webhook(NAME, outcome),
    ]
    invalid = [
        webhook("ends", {"outboundCallId": NUMBER, "status": NAME}),
        webhook("ends", outcome | {"status": VARIABLE}),
        webhook("ends", f"{NAME} {NUMBER}"),
        webhook("ends", json.dumps(outcome)[:-1]),
        webhook("ends", outcome | {"outboundCallId": OTHER_CALL_ID}),
    ]
    faults = [
        {"CALLS_TABLE_NAME": MISSING},
        {"SIGNING_SECRET_ARN": MISSING},
        stage.role("no-table-either", "secretsmanager:GetSecretValue"),
    ]

    answers = stage.run("ReceiveWebhookFunction", *forbidden, *invalid)
    for fault in faults:
        answers += stage.run("ReceiveWebhookFunction", webhook("ends", outcome), **fault)
    answers += stage.run("ReceiveWebhookFunction", webhook("ends", outcome | {"callDetails": {"duration": 3}}))

    assert [each.answer["statusCode"] for each in answers] == [403] * 4 + [400] * 5 + [500] * 3 + [200]
    assert stage.leaks() == []


def test_polls(stage: Stage) -> None:
    # Given attempts that AlloMia accepted, and one that is parked
    stage.place(requests("polled", "polled-without-key", "polled-without-table", "polled-last"))
    stage.place(requests("parked"), ALLOMIA_API_KEY_SECRET_ARN=MISSING)
    time.sleep(1)  # the deadline is one second after the dispatch

    # When each is polled, by functions with and without their parts
    def page(name: str) -> dict[str, object]:
        return {"items": [stage.make_due(name)]}

    no_queue = f"{stage.environment['AWS_ENDPOINT_URL']}/1/none"
    polls = stage.run("PollCallsFunction", page("polled"), page("parked"))
    polls += stage.run("PollCallsFunction", page("polled-without-key"), ALLOMIA_API_KEY_SECRET_ARN=MISSING)
    polls += stage.run("PollCallsFunction", page("polled-without-table"), CALLS_TABLE_NAME=MISSING)
    polls += stage.run("PollCallsFunction", page("parked"), CALL_QUEUE_URL=no_queue)

    # Then the results are counted, and a dispatch message names the attempt and nothing else
    assert [poll.error for poll in polls] == [None] * 5
    assert [poll.answer["failed"] for poll in polls] == [0, 0, 0, 1, 1]
    (dispatch,) = stage.take_all(stage.environment["CALL_QUEUE_URL"])
    expected = {"dispatch": {"requestId": "parked", "attempt": 1}, "timesParked": 1}
    assert json.loads(dispatch["Body"]) == expected
    stage.output.append(("dispatch message", dispatch))
    assert stage.leaks() == []


def test_reports_hold_no_personal_data(stage: Stage) -> None:
    # Given an attempt in progress, whose record has its request, and everything that was placed before
    stage.place(requests("in-progress"))
    records = stage.records()
    assert records["calling"]["request"]["customerName"] == NAME
    names = sorted(records)

    # When requests are looked up, with ids that are not valid too, and without the table
    found = stage.run("GetCallFunction", *map(read, names))
    others = stage.run("GetCallFunction", *map(read, ("no-record", NUMBER, f"{NAME} {VARIABLE}", API_KEY)))
    for fault in ({"CALLS_TABLE_NAME": MISSING}, stage.role("no-reading", "sqs:SendMessage")):
        others += stage.run("GetCallFunction", read("calling"), **fault)

    # Then each is answered, and no answer or log repeats what it was asked
    assert {each.answer["statusCode"] for each in found} == {200}
    reports = [json.loads(each.answer["body"]) for each in found]
    assert [(report["requestId"], report["status"]) for report in reports] == [
        (name, records[name]["status"]) for name in names
    ]
    assert [each.answer["statusCode"] for each in others] == [404, 400, 400, 404, 500, 500]
    assert stage.leaks() == []


def subscribe(stage: Stage) -> str:
    """A new queue that receives every outcome from the bus."""
    sqs, events = stage.resources.sqs, stage.resources.cloud.client("events")
    queue = stage.resources.new_queue()
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventBusName="outcomes", EventPattern='{"source":["allomia.outbound-calls"]}')
    events.put_targets(Rule="all", EventBusName="outcomes", Targets=[{"Id": "all", "Arn": arn}])
    return queue


def test_events_hold_no_personal_data(stage: Stage) -> None:
    # Given the attempts that ended so far, and one more with a personal value in AlloMia's free text
    stage.place(requests("free-text"))
    outcome = {"outboundCallId": CALL_ID, "status": "completed", "callDetails": {"endedReason": REASON}}
    stage.run("ReceiveWebhookFunction", webhook("free-text", outcome))
    queue = subscribe(stage)

    # When they are published, and when they can't be
    items = [item for item in stage.items() if "recordedAt" in item]
    stream = {"Records": [{"dynamodb": {"NewImage": item}} for item in items]}
    done = stage.run("PublishOutcomeFunction", stream)
    done += stage.run("PublishOutcomeFunction", stream, OUTCOME_BUS_NAME=MISSING)
    done += stage.run("PublishOutcomeFunction", stream, **stage.role("no-bus", "sqs:SendMessage"))

    # Then every outcome is published, and no finished record has a request
    events = [json.loads(message["Body"]) for message in stage.take_all(queue)]
    assert (done[0].error, bool(done[2].error)) == (None, True)
    assert {event["detail"]["requestId"] for event in events} == {item["requestId"]["S"] for item in items}
    assert not [item for item in items if "request" in item]
    # And only AlloMia's free text is passed on unchanged, in its own field and in no log
    (free_text,) = (event["detail"] for event in events if event["detail"]["requestId"] == "free-text")
    assert free_text["callDetails"]["endedReason"] == REASON
    places = {name: text for name, text in stage.places().items() if not name.startswith("record free-text")}
    places |= texts(("event", event | {"detail": event["detail"] | {"callDetails": None}}) for event in events)
    assert hits(places, stage.secrets() | {"reason": REASON}) == []


def test_there_was_output_to_search(stage: Stage) -> None:
    logs = [line for place, line in stage.output if place.startswith("log")]

    assert len(logs) > 100
    assert sum('"_aws"' in str(line) for line in logs) > 50
    # And a planted value would have been found
    assert hits(stage.places() | {"planted": json.dumps({"a": NAME})}, stage.secrets())
