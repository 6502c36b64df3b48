"""The corpora of bad input at the deployed stack: on its queue, and at its HTTP API over plain sockets."""

import http.client
import json
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, NamedTuple
from urllib.parse import quote, urlsplit

import pytest
from boto3.dynamodb.types import TypeSerializer

from local.environment import LocalEnvironment
from tests.proof.input.conftest import record
from tests.proof.input.messages import MessageCase, message_cases
from tests.proof.input.webhooks import REQUEST, WebhookCase, webhook_cases
from tests.stack.conftest import wait_until

TURNED_AWAY = {400, 403, 404, 405, 414, 431}
"""What the gateway may say by itself to a path or a header that the function never sees."""

LOGGED = {"level", "message", "timestamp", "service", "organization", "requestId", "attempt", "status"}

_serialize = TypeSerializer().serialize


def log_lines(world: LocalEnvironment, function: str, since: float) -> list[str]:
    logs = world.cloud.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=f"/aws/lambda/{world.stack.name}/{function}", startTime=int(since * 1000)
    )
    return [event["message"] for page in pages for event in page["events"]]


def own_lines(lines: list[str]) -> Iterator[dict[str, Any]]:
    """The function's own lines, which are JSON, without the metrics in them."""
    for line in lines:
        if line.startswith("{") and "_aws" in (told := json.loads(line)):
            (directive,) = told.pop("_aws")["CloudWatchMetrics"]
            counted = {metric["Name"] for metric in directive["Metrics"]}
            yield {name: fact for name, fact in told.items() if name not in counted}


def test_every_invalid_message_is_kept_with_its_reason_and_places_no_call(world: LocalEnvironment) -> None:
    began = time.time()
    cases = [case for case in message_cases() if case.field and case.from_a_queue]
    world.invalid_messages()

    # When all of them are sent at once, and a good one after them
    with ThreadPoolExecutor(4) as senders:
        ids = dict(zip(senders.map(lambda case: world.send(case.body), cases), cases, strict=True))
    world.send({"requestId": "after-all-that", "phoneNumber": "+15005550100"})
    kept: dict[str, dict[str, Any]] = {}

    def all_kept() -> bool:
        for message in world.invalid_messages():
            attributes = dict(message.attributes)
            assert attributes.pop("sentAt").isdecimal()
            kept[attributes["messageId"]] = {"body": message.body, **attributes}
        return len(kept) >= len(ids)

    wait_until(all_kept)

    # Then each is in the queue of invalid messages unchanged, once, with the field and the rule
    assert kept == {message_id: as_kept(message_id, case) for message_id, case in ids.items()}
    wait_until(lambda: world.calls().get("after-all-that", {}).get("status") == "completed")
    assert world.invalid_messages() == []
    # And none became a call or a dead letter
    assert not ids.keys() & world.calls().keys()
    assert not ids.keys() & world.dials().keys()
    assert world.dead_letters() == []
    # And what was logged of each is the field and the rule
    lines = log_lines(world, "place-call", began)
    told = {line["messageId"]: line for line in own_lines(lines) if line.get("messageId") in ids}
    assert told.keys() == ids.keys()
    for message_id, case in ids.items():
        line = told[message_id]
        assert line.keys() - LOGGED == {"messageId", "detail"}
        assert line["message"] == "invalid message"
        assert line["detail"] in {f"{case.field}: {case.rule}", f"unknown field: {case.rule}"}
    assert not [line for line in lines if "Traceback" in line or '"level":"ERROR"' in line]


def as_kept(message_id: str, case: MessageCase) -> dict[str, Any]:
    reason = {"reason": f"{case.field}: {case.rule}", "field": case.field, "rule": case.rule}
    return {"body": case.body, "messageId": message_id, **reason}


class Gateway:
    """The stack's HTTP API, spoken to without a client that would tidy up what is sent."""

    def __init__(self, world: LocalEnvironment) -> None:
        url = urlsplit(world.stack.api_url)
        self._base = url.path
        self._connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)

    def send(self, case: WebhookCase) -> tuple[int, dict[str, Any]]:
        body = b64decode(case.body) if case.is_base64 else case.body.encode()
        kind = "application/octet-stream" if case.is_base64 else "application/json"
        parts = "/".join(quote(part, safe="") for part in (case.request_id, case.attempt, case.signature))
        target = self._base + (case.target or f"/webhooks/allomia/{parts}")
        headers = dict(case.headers) if case.target else {"Content-Type": kind}
        self._connection.putrequest(case.method, target, skip_accept_encoding=True)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self._connection.putheader(name, value)
        self._connection.endheaders(body)
        try:
            response = self._connection.getresponse()
            text = response.read()
        finally:
            self._connection.close()
        try:
            answer = json.loads(text)
        except ValueError:
            answer = {}
        return response.status, answer if isinstance(answer, dict) else {}


class Record:
    """The record that the webhooks are for, in the stack's table."""

    _KEY: ClassVar[Mapping[str, Any]] = {"requestId": {"S": REQUEST}, "attempt": {"N": "1"}}

    def __init__(self, world: LocalEnvironment) -> None:
        self._dynamodb, self._table = world.cloud.client("dynamodb"), world.stack.calls_table_name

    def put(self, status: str) -> dict[str, Any]:
        item = {name: _serialize(value) for name, value in record(status, REQUEST).items()}
        self._dynamodb.put_item(TableName=self._table, Item=item)
        return item

    def found(self) -> dict[str, Any]:
        return dict(self._dynamodb.get_item(TableName=self._table, Key=self._KEY, ConsistentRead=True)["Item"])

    def delete(self) -> None:
        self._dynamodb.delete_item(TableName=self._table, Key=self._KEY)


class Answer(NamedTuple):
    """A webhook of the corpus, what it was answered, and the record before and after it."""

    case: WebhookCase
    status: int
    body: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]


@pytest.fixture(scope="module")
def answers(world: LocalEnvironment) -> tuple[list[Answer], list[str]]:
    """The answers to the corpus, and the lines that receive_webhook logged meanwhile."""
    began, gateway, stored = time.time(), Gateway(world), Record(world)
    answers: list[Answer] = []
    before: dict[str, Any] | None = None
    standing = ""
    try:
        for case in webhook_cases():
            if case.only_use_case:
                continue
            if before is None or case.record != standing:
                before, standing = stored.put(case.record), case.record
            status, body = gateway.send(case)
            after = stored.found()
            answers.append(Answer(case, status, body, before, after))
            if after != before:
                before = None
    finally:
        stored.delete()
    return answers, log_lines(world, "receive-webhook", began)


def test_every_webhook_is_answered_and_only_outcomes_change_anything(answers: tuple[list[Answer], list[str]]) -> None:
    wrong: list[tuple[object, ...]] = []
    for case, status, body, before, after in answers[0]:
        # Then it is answered as it must be, by the function in its own words
        expected = TURNED_AWAY if set(case.statuses) == {403} else set(case.statuses)
        if status not in expected or (status in {200, 400} and case.message and {*body.values()} != {case.message}):
            wrong.append((case.name, status, body))
        # And the record changes for an outcome that was taken, and for nothing else
        taken = case.stored is not None and status == 200
        if not taken and after != before:
            wrong.append((case.name, status, "changed"))
        if taken and case.stored and after["status"] != {"S": case.stored["status"]}:
            wrong.append((case.name, status, "not stored"))
    assert not wrong, "\n".join(map(str, wrong))


def test_what_is_logged_of_a_webhook_is_its_answer(answers: tuple[list[Answer], list[str]]) -> None:
    cases, lines = [answer.case for answer in answers[0]], answers[1]
    logged = [line for line in own_lines(lines) if line.get("requestId") in {REQUEST, None}]
    assert len(logged) > len(cases) / 2
    known = {"outcome recorded", *(f"webhook: {case.message}" for case in cases if case.message)}
    for line in logged:
        assert line["message"] in known
        # The attempt's name is there where it was verified.
        assert line.keys() <= LOGGED | {"allomiaStatus"}
    assert not [line for line in lines if "Traceback" in line or '"level":"ERROR"' in line]
