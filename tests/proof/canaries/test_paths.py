"""No canary comes out of a function, whatever happens to it: as it was built, under Lambda's own runtime.

Each path has its requests filled with values that occur nowhere else. What the functions then logged, counted,
answered, raised, published and stored, and what they put on a message's attributes, is searched for them.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer

from local.cloud import LocalCloud
from local.emulator import Emulator, Invocation
from local.sam import build
from outbound_calls.callbacks import sign
from outbound_calls.contracts import AttemptKey
from tests.proof.canaries import echo
from tests.proof.canaries.search import hits, texts
from tests.tooling.template.rendering import read_template
from tests.unit.parts import SocketServer, closed_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the runtime emulator is a Linux program")

NUMBER = "+15145550188"
NAME = "Zoë Quillfeather"
VARIABLE = 'canary "variable" 9214 ünïted'
ASSISTANT_ID = "0b54d0f1-7f2a-4c53-9c0e-5a6d1f5b8a01"
API_KEY = "allomia_live_c4n4ryKeyThatNobodyMaySee0123456789"
SIGNING_KEY = "c4n4rySigningKeyThatNobodyMaySeeEither9876543210"
REASON = "the person at +15145550188 hung up"
"""AlloMia's free text on how a call ended, which is passed on as it came: AlloMia's word, not ours."""

SECRETS = {
    "phone number": NUMBER,
    "name": NAME,
    "variable": VARIABLE,
    "AlloMia key": API_KEY,
    "signing key": SIGNING_KEY,
}

_deserialize = TypeDeserializer().deserialize


@dataclass
class Stage:
    """A cloud with what the functions need, an AlloMia that repeats everything, and all that came out so far."""

    cloud: LocalCloud
    allomia_url: str
    said: list[tuple[str, object]] = field(default_factory=list)
    """Where something came out, and what."""
    request_ids: set[str] = field(default_factory=set)

    def environment(self, **changes: str) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.cloud.endpoint_url,
            "CALLS_TABLE_NAME": "calls",
            "INVALID_MESSAGES_QUEUE_URL": f"{self.cloud.endpoint_url}/{self.cloud.account}/rejected",
            "CALL_QUEUE_URL": f"{self.cloud.endpoint_url}/{self.cloud.account}/calls",
            "ALLOMIA_API_KEY_SECRET_ARN": "allomia",
            "ALLOMIA_BASE_URL": self.allomia_url,
            "SIGNING_SECRET_ARN": "signing",
            "WEBHOOK_URL": "https://calls.example/webhooks/allomia",
            "DEFAULT_ASSISTANT_ID": ASSISTANT_ID,
            "DEFAULT_PHONE_NUMBER_ID": ASSISTANT_ID,
            "WEBHOOK_GRACE_SECONDS": "1",
            "CALL_DEADLINE_SECONDS": "1",
            "MAX_POLLS_PER_SECOND": "1000",
            "DUE_SHARDS": "1",
            "RETENTION_DAYS": "1",
            "OUTCOME_BUS_NAME": "outcomes",
        } | changes

    def run(self, function: str, events: list[Any], **changes: str) -> list[Invocation]:
        """Handle events with a function of its own, and keep what came out of it."""
        declared = _declared(function)
        environment = {name: value for name, value in self.environment(**changes).items() if name in declared}
        with Emulator(function, environment | {n: v for n, v in changes.items() if n not in declared}) as emulator:
            done = [emulator.invoke(event) for event in events]
        for invocation in done:
            self.said += [(f"log of {function}", line) for line in invocation.log]
            self.said.append((f"answer of {function}", invocation.answer))
            self.said.append((f"error of {function}", invocation.error or ""))
        return done

    def place(self, *messages: tuple[str, object], **changes: str) -> list[Invocation]:
        """Hand place_call messages by id and body, ten at a time."""
        records = [
            {"messageId": name, "body": body if isinstance(body, str) else json.dumps(body)} for name, body in messages
        ]
        self.request_ids |= {name for name, _ in messages}
        batches = [{"Records": records[start : start + 10]} for start in range(0, len(records), 10)]
        return self.run("PlaceCallFunction", batches, **changes)

    def records(self) -> dict[str, dict[str, Any]]:
        items = [
            {name: _deserialize(value) for name, value in item.items()}
            for page in self.cloud.client("dynamodb").get_paginator("scan").paginate(TableName="calls")
            for item in page["Items"]
        ]
        return {item["requestId"]: item for item in items}

    def everything(self) -> dict[str, str]:
        """All places that may hold no canary. The request of an unfinished attempt is where it belongs."""
        kept = [(f"record {name}", item | {"request": None}) for name, item in self.records().items()]
        return texts([*self.said, *kept])

    def secrets(self) -> dict[str, str]:
        signatures = {
            f"signature of {name}": sign(SIGNING_KEY, AttemptKey(request_id=name, attempt=1))
            for name in self.request_ids
        }
        return SECRETS | signatures


def _declared(function: str) -> set[str]:
    properties = read_template()["Resources"][function]["Properties"]
    return {*properties["Environment"]["Variables"], "AWS_ENDPOINT_URL"}


def request(request_id: str) -> dict[str, Any]:
    return {
        "requestId": request_id,
        "phoneNumber": NUMBER,
        "customerName": NAME,
        "dynamicVariables": {"note": VARIABLE},
        "metadata": {"clinic": "7"},
    }


def webhook(request_id: str, body: object, signature: str | None = None) -> dict[str, Any]:
    good = sign(SIGNING_KEY, AttemptKey.model_construct(request_id=request_id, attempt=1))
    return {
        "pathParameters": {"requestId": request_id, "attempt": "1", "signature": signature or good},
        "body": body if isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    }


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    build()
    with ExitStack() as parts:
        cloud = parts.enter_context(LocalCloud())
        properties = read_template()["Resources"]["CallsTable"]["Properties"]
        wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
        cloud.client("dynamodb").create_table(TableName="calls", **{name: properties[name] for name in wanted})
        for queue in ("calls", "rejected"):
            cloud.client("sqs").create_queue(QueueName=queue)
        for name, value in (("allomia", json.dumps({"apiKey": API_KEY})), ("signing", SIGNING_KEY)):
            cloud.client("secretsmanager").create_secret(Name=name, SecretString=value)
        cloud.client("secretsmanager").create_secret(Name="odd", SecretString=json.dumps({"key": API_KEY}))
        cloud.client("secretsmanager").create_secret(Name="unsendable", SecretString=f"{API_KEY}\n{API_KEY}")
        cloud.client("events").create_event_bus(Name="outcomes")
        yield Stage(cloud, parts.enter_context(SocketServer(echo.answer)).url)


def rights(stage: Stage, name: str, *actions: str) -> dict[str, str]:
    """Credentials of a role that may do this and nothing else."""
    iam, sts = stage.cloud._make_client("iam"), stage.cloud._make_client("sts")
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": stage.cloud.account}}
    policy = [{"Effect": "Allow", "Action": action, "Resource": "*"} for action in actions]
    role = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    iam.put_role_policy(
        RoleName=name, PolicyName=name, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": policy})
    )
    given = sts.assume_role(RoleArn=role, RoleSessionName=name)["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }


def failures(done: list[Invocation]) -> set[str]:
    return {each["itemIdentifier"] for invocation in done for each in invocation.answer["batchItemFailures"]}


def test_whatever_allomia_repeats(stage: Stage) -> None:
    # Given every answer that repeats what was sent; of those that count as an outage not so many at once that the
    # circuit breaker opens
    refused = [name for name in echo.REQUESTS if name.startswith((*echo.REFUSALS, "refused"))]
    others = [name for name in echo.REQUESTS if name not in refused]
    stage.place(*((name, request(name)) for name in refused))
    for start in range(0, len(others), 4):
        stage.place(*((name, request(name)) for name in others[start : start + 4]))

    # Then each is taken for what it is
    statuses = {name: item["status"] for name, item in stage.records().items()}
    assert {statuses.pop(name) for name in refused} == {"rejected"}
    assert statuses == {
        "key-refused": "scheduled",
        "forbidden": "scheduled",
        "throttled": "scheduled",
        "unavailable": "dispatching",
        "broken": "dispatching",
        "redirected": "dispatching",
        "dropped": "dispatching",
        "odd": "dispatching",
        "failed": "failed",
        "calling": "calling",
    }
    assert hits(stage.everything(), stage.secrets()) == []


def test_messages_that_are_refused(stage: Stage) -> None:
    # Given messages that break the contract with personal values in every place
    good = request("refused")
    bad: dict[str, object] = {
        "bad-number": good | {"phoneNumber": f"{NUMBER}x"},
        "bad-id": good | {"requestId": f"{NUMBER}/{NAME}"},
        "bad-name": good | {"customerName": f"{NAME}\n"},
        "bad-variable": good | {"dynamicVariables": {NAME: {VARIABLE: NUMBER}}},
        "bad-metadata": good | {"metadata": [NUMBER]},
        "bad-uuid": good | {"assistantId": NAME},
        "unknown-field": good | {"callbackUrl": f"https://example.test/{NUMBER}"},
        "unknown-field-of-words": good | {NAME: NUMBER},
        "unknown-field-of-digits": good | {NUMBER: NAME},
        "release": {"release": {"requestId": NUMBER, "attempt": NAME}},
        "cut-off": json.dumps(good)[:-1],
        "no-json": f"call {NAME} at {NUMBER}, {VARIABLE}",
        "too-large": json.dumps(good) + " " * 33_000,
    }

    done = stage.place(*bad.items())

    # Then each is kept, with nothing of it in an attribute
    assert failures(done) == set()
    sqs = stage.cloud.client("sqs")
    url = stage.environment()["INVALID_MESSAGES_QUEUE_URL"]
    kept: dict[str, Mapping[str, Any]] = {}
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get(
        "Messages"
    ):
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            kept[message["MessageAttributes"]["messageId"]["StringValue"]] = message["MessageAttributes"]
    assert kept.keys() == bad.keys()
    stage.said += [("attributes of a rejected message", attributes) for attributes in kept.values()]
    assert hits(stage.everything(), stage.secrets()) == []


def test_parts_that_are_missing_or_denied(stage: Stage) -> None:
    # Given one request for each fault of the stack's own parts
    secrets, tables = "secretsmanager:GetSecretValue", ("dynamodb:PutItem", "dynamodb:UpdateItem")
    with closed_port() as nowhere:
        faults: dict[str, dict[str, str]] = {
            "table-missing": {"CALLS_TABLE_NAME": "no-such-table"},
            "table-denied": rights(stage, "no-table", secrets),
            "signing-missing": {"SIGNING_SECRET_ARN": "no-such-secret"},
            "secrets-denied": rights(stage, "no-secrets", *tables),
            "key-missing": {"ALLOMIA_API_KEY_SECRET_ARN": "no-such-secret"},
            "key-odd": {"ALLOMIA_API_KEY_SECRET_ARN": "odd"},
            "key-unsendable": {"ALLOMIA_API_KEY_SECRET_ARN": "unsendable"},
            "allomia-gone": {"ALLOMIA_BASE_URL": nowhere},
            "allomia-nowhere": {"ALLOMIA_BASE_URL": "http://allomia.invalid"},
        }
        with ThreadPoolExecutor(2) as two:
            done = dict(
                zip(
                    faults,
                    two.map(lambda name: stage.place((name, request(name)), **faults[name]), faults),
                    strict=True,
                )
            )
    # And a message to reject, with nowhere to keep it
    nowhere_to_keep = stage.place(
        ("queue-missing", NUMBER), INVALID_MESSAGES_QUEUE_URL=f"{stage.cloud.endpoint_url}/1/none"
    )

    # Then those that reached nothing come again, and those that could be parked are
    again = {name for name, invocations in done.items() if failures(invocations)}
    assert again == {"table-missing", "table-denied", "signing-missing", "secrets-denied"}
    assert failures(nowhere_to_keep) == {"queue-missing"}
    records = stage.records()
    assert {records[name]["status"] for name in done.keys() - again} == {"scheduled"}
    # And the faults were told, without what they were about
    assert sum("message will be delivered again" in str(said) for _, said in stage.said) >= 5
    assert hits(stage.everything(), stage.secrets()) == []


def test_webhooks(stage: Stage) -> None:
    # Given an attempt that waits for its outcome, and webhooks of every kind
    stage.place(("ends", request("calling-ends") | {"requestId": "ends"}))
    good = sign(SIGNING_KEY, AttemptKey(request_id="ends", attempt=1))
    outcome = {"outboundCallId": echo.CALL_ID, "status": "completed", "phoneNumber": NUMBER, "customerName": NAME}
    bad = [
        webhook("ends", outcome, signature=good[:-1]),
        webhook("ends", outcome, signature=API_KEY),
        webhook(NUMBER, outcome),
        webhook(NAME, outcome),
        webhook("ends", {"outboundCallId": NUMBER, "status": NAME}),
        webhook("ends", outcome | {"status": VARIABLE}),
        webhook("ends", f"{NAME} {NUMBER}"),
        webhook("ends", json.dumps(outcome)[:-1]),
        webhook("ends", outcome | {"outboundCallId": "0a0b0c0d-a7b8-9012-cdef-345678901234"}),
    ]

    answers = stage.run("ReceiveWebhookFunction", bad)
    faults = [
        {"CALLS_TABLE_NAME": "no-such-table"},
        {"SIGNING_SECRET_ARN": "no-such-secret"},
        rights(stage, "no-table-either", "secretsmanager:GetSecretValue"),
    ]
    for fault in faults:
        answers += stage.run("ReceiveWebhookFunction", [webhook("ends", outcome)], **fault)
    (recorded,) = stage.run("ReceiveWebhookFunction", [webhook("ends", outcome | {"callDetails": {"duration": 3}})])

    assert [each.answer["statusCode"] for each in answers] == [403] * 4 + [400] * 5 + [500] * 3
    assert recorded.answer["statusCode"] == 200
    assert hits(stage.everything(), stage.secrets()) == []


def due(stage: Stage, name: str) -> dict[str, Any]:
    """A record as the index would have it, made due."""
    dynamodb = stage.cloud.client("dynamodb")
    item = dynamodb.update_item(
        TableName="calls",
        Key={"requestId": {"S": name}, "attempt": {"N": "1"}},
        UpdateExpression="SET dueAt = :past",
        ExpressionAttributeValues={":past": {"N": "1"}},
        ReturnValues="ALL_NEW",
    )["Attributes"]
    return {field: item[field] for field in ("requestId", "attempt", "dueShard", "dueAt")}


def test_polls(stage: Stage) -> None:
    # Given attempts that AlloMia took, and one that waits to be released
    stage.place(
        *((name, request(name)) for name in ("polled", "polled-without-key", "polled-without-table", "polled-last"))
    )
    stage.place(("parked", request("parked")), ALLOMIA_API_KEY_SECRET_ARN="no-such-secret")
    time.sleep(1)  # the deadline is one second after the dispatch

    # When each is polled, by functions that have their parts and by those that have not
    pages = [{"items": [due(stage, name)]} for name in ("polled", "parked")]
    looks = stage.run("PollCallsFunction", pages)
    page = [{"items": [due(stage, "polled-without-key")]}]
    looks += stage.run("PollCallsFunction", page, ALLOMIA_API_KEY_SECRET_ARN="no-such-secret")
    page = [{"items": [due(stage, "polled-without-table")]}]
    looks += stage.run("PollCallsFunction", page, CALLS_TABLE_NAME="no-such-table")
    page = [{"items": [due(stage, "parked")]}]
    looks += stage.run("PollCallsFunction", page, CALL_QUEUE_URL=f"{stage.cloud.endpoint_url}/1/none")

    # Then what came of it is told, and a release names the attempt and how often it was parked, and nothing else
    assert [look.error for look in looks] == [None] * 5
    assert [look.answer["failed"] for look in looks] == [0, 0, 0, 1, 1]
    url = stage.environment()["CALL_QUEUE_URL"]
    released = stage.cloud.client("sqs").receive_message(QueueUrl=url)["Messages"]
    release = {"release": {"requestId": "parked", "attempt": 1}, "timesParked": 1}
    assert [json.loads(message["Body"]) for message in released] == [release]
    stage.said.append(("release on the call queue", released[0]["Body"]))
    assert hits(stage.everything(), stage.secrets()) == []


def read(request_id: str) -> dict[str, Any]:
    return {
        "rawPath": f"/calls/{request_id}",
        "headers": {"authorization": f"AWS4-HMAC-SHA256 Credential={API_KEY}, Signature={SIGNING_KEY}"},
        "requestContext": {"authorizer": {"iam": {"accessKey": API_KEY, "userArn": NAME}}},
        "pathParameters": {"requestId": request_id},
    }


def test_calls_are_read_without_what_is_personal(stage: Stage) -> None:
    # Given a call that is under way, whose record holds its request, and all that was placed before
    stage.place(("under-way", request("calling")))
    (item,) = (item for item in stage.records().values() if item["requestId"] == "calling")
    assert item["request"]["customerName"] == NAME

    # When calls are read, among them some that can be none, and when the table cannot be
    records = stage.records()
    names = sorted(records)
    found = stage.run("GetCallFunction", [read(name) for name in names])
    others = stage.run("GetCallFunction", [read("nobody"), read(NUMBER), read(f"{NAME} {VARIABLE}"), read(API_KEY)])
    for fault in ({"CALLS_TABLE_NAME": "no-such-table"}, rights(stage, "no-reading", "sqs:SendMessage")):
        others += stage.run("GetCallFunction", [read("calling")], **fault)

    # Then each is answered, and what was asked for by its personal values is in no answer and no log
    assert {each.answer["statusCode"] for each in found} == {200}
    reports = [json.loads(each.answer["body"]) for each in found]
    assert [report["requestId"] for report in reports] == names
    assert [report["status"] for report in reports] == [records[name]["status"] for name in names]
    assert [each.answer["statusCode"] for each in others] == [404, 400, 400, 404, 500, 500]
    assert hits(stage.everything(), stage.secrets()) == []


def test_outcomes_are_published_without_what_is_personal(stage: Stage) -> None:
    # Given the records that ended so far, and AlloMia's own words on one more, in its free text
    stage.place(("told", request("told")))
    told = {"outboundCallId": echo.CALL_ID, "status": "completed", "callDetails": {"endedReason": REASON}}
    stage.run("ReceiveWebhookFunction", [webhook("told", told)])
    sqs, events = stage.cloud.client("sqs"), stage.cloud.client("events")
    queue = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="heard", EventBusName="outcomes", EventPattern='{"source":["allomia.outbound-calls"]}')
    events.put_targets(Rule="heard", EventBusName="outcomes", Targets=[{"Id": "heard", "Arn": arn}])

    # When they are published, and when they cannot be
    items = [item for item in stage.cloud.client("dynamodb").scan(TableName="calls")["Items"] if "recordedAt" in item]
    stream = [{"Records": [{"dynamodb": {"NewImage": item}} for item in items]}]
    done = stage.run("PublishOutcomeFunction", stream)
    done += stage.run("PublishOutcomeFunction", stream, OUTCOME_BUS_NAME="no-such-bus")
    done += stage.run("PublishOutcomeFunction", stream, **rights(stage, "no-bus", "sqs:SendMessage"))
    heard = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            heard.append(json.loads(message["Body"]))

    # Then every outcome is heard, and a finished record holds no request any more
    assert done[0].error is None
    assert done[2].error is not None
    assert {event["detail"]["requestId"] for event in heard} == {item["requestId"]["S"] for item in items}
    finished = [item for item in stage.records().values() if "recordedAt" in item]
    assert not [item for item in finished if "request" in item]
    # And the one thing that is passed on as it came is AlloMia's free text: in its place, and in no log
    (spoken,) = (event["detail"] for event in heard if event["detail"]["requestId"] == "told")
    assert spoken["callDetails"]["endedReason"] == REASON
    places = {name: text for name, text in stage.everything().items() if not name.startswith("record told")}
    places |= texts(("event", event | {"detail": event["detail"] | {"callDetails": None}}) for event in heard)
    assert hits(places, stage.secrets() | {"reason": REASON}) == []


def test_there_was_something_to_search(stage: Stage) -> None:
    logs = [said for place, said in stage.said if place.startswith("log")]

    assert len(logs) > 100
    assert sum('"_aws"' in str(line) for line in logs) > 50
    # And what was searched does not end where a line does: a planted value would have been found
    planted = stage.everything() | {"planted": json.dumps({"a": NAME})}
    assert hits(planted, stage.secrets())
