"""place_call with all that it talks to: DynamoDB and SQS played by a server on a socket, and AlloMia by a transport."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config

from local.simulator import ScriptedAllomia
from outbound_calls.adapters.dynamodb import from_dynamodb, to_dynamodb
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings.place_call import PlaceCallSettings
from outbound_calls.use_cases.place import Message
from outbound_calls.use_cases.placement import Placement, PlaceResult
from tests.unit.dynamodb import SESSION, client_of, fault, well
from tests.unit.parts import (
    API_KEY,
    ASSISTANT_ID,
    PHONE_NUMBER,
    PHONE_NUMBER_ID,
    SETTING,
    Clock,
    HttpRequest,
    SecretsInMemory,
    SocketServer,
)
from tests.world import NOW, environment

PARKED, DUPLICATE, CALLING = PlaceResult.PARKED, PlaceResult.DUPLICATE, PlaceResult.CALLING
KEY = AttemptKey(RequestKey("visit-2031"), 1)
DAY_SECONDS = 86_400
JITTER = 15
"""The longest addition to the first backoff, of 30 seconds."""

IDS = {"assistantId": ASSISTANT_ID, "phoneNumberId": PHONE_NUMBER_ID}
SECRET = {
    "organizations": {
        "default": {"apiKey": API_KEY},
        "clinic-a": {"apiKey": API_KEY, "organizationId": "org-a"},
        "clinic-b": {"apiKey": API_KEY} | IDS,
    }
}
CIRCUIT_NAME = f"~refused~{SETTING}"
CLAIM = "the-claim-of-this-worker"

REQUEST = {"requestId": "visit-2031", "phoneNumber": PHONE_NUMBER}
DISPATCH = {"dispatch": {"requestId": "visit-2031", "attempt": 1}, "timesParked": 1}
SCHEDULED: dict[str, Any] = {
    "requestId": "visit-2031",
    "attempt": 1,
    "status": "scheduled",
    "createdAt": NOW - 60,
    "timesParked": 1,
    "parkReason": "rate-limited",
    "setting": SETTING,
    "request": {"phoneNumber": PHONE_NUMBER} | IDS,
}
CLAIMED = SCHEDULED | {"status": "dispatching", "claimId": CLAIM, "dispatchedAt": NOW}
OF_ANOTHER = CLAIMED | {"claimId": "the-claim-of-another"}

DENIED = fault("AccessDeniedException")
LOST = b""
"""No answer: the connection is closed."""

CLAIM_MADE = well(Attributes=to_dynamodb(CLAIMED))
UNANSWERED = fault("InternalServerError", "500 Internal Server Error")

type Item = dict[str, Any]


class Tables:
    """Both tables and the queues, with the items that a test names. What is written changes none of them."""

    def __init__(self) -> None:
        self.items: dict[tuple[Any, ...], Item] = {}
        self.found: dict[str, list[Item]] = {}
        """What queries find, by index; without a name in the tables themselves."""

        self.answers: dict[str, list[bytes]] = {}
        """Other answers, by operation and table, in turn."""

        self.asked: list[tuple[str, Item]] = []

    def answer(self, connection: socket.socket, request: HttpRequest) -> bool:
        asked = json.loads(request.body)
        operation = request.headers["x-amz-target"].rpartition(".")[2]
        name = f"{operation} {asked.get('TableName', '')}".strip()
        self.asked.append((name, asked))
        answers = self.answers.get(name, [])
        answer = answers.pop(0) if answers else well(**self._answer(operation, asked))
        connection.sendall(answer)
        return bool(answer)

    def _answer(self, operation: str, asked: Item) -> Item:
        match operation:
            case "GetItem":
                item = self._item(asked)
                return {"Item": to_dynamodb(item)} if item else {}
            case "Query":
                found = self.found.get(asked.get("IndexName", ""), [])
                return {"Items": list(map(to_dynamodb, found)), "Count": len(found)}
            case "UpdateItem":
                return {"Attributes": to_dynamodb(self._updated(asked))}
            case "SendMessage":
                return {"MessageId": "1"}
            case _:
                return {}

    def _updated(self, asked: Item) -> Item:
        item = self._item(asked) or from_dynamodb(asked["Key"])
        sets, _, removes = asked["UpdateExpression"].partition("REMOVE")
        values = from_dynamodb(asked.get("ExpressionAttributeValues", {}))
        item = item | {name: values[f":{name}"] for name in re.findall(r"#(\w+) = :\1\b", sets)}
        return {name: value for name, value in item.items() if f"#{name}" not in re.findall(r"#\w+", removes)}

    def _item(self, asked: Item) -> Item | None:
        return self.items.get(tuple(from_dynamodb(asked["Key"]).values()))


class World:
    """place_call, and all that it talks to. The time stands still, and every jitter is the longest."""

    def __init__(self, tables: Tables, clients: dict[str, Any]) -> None:
        self.tables = tables
        self.clock, self.monotonic = Clock(NOW), Clock()
        self.allomia = ScriptedAllomia(self.clock, accepted_keys=(API_KEY,))
        self.secrets = SecretsInMemory({"AWSCURRENT": json.dumps(SECRET)})
        self.assembly = Assembly(
            client=lambda service, *_: (clients | {"secretsmanager": self.secrets})[service],
            transport=self.allomia,
            clock=self.clock,
            monotonic=self.monotonic,
            jitter=lambda _least, most: most,
            new_claim_id=lambda: CLAIM,
        )
        self.place_calls = self.assembly.place_calls(PlaceCallSettings.from_environment(environment()))

    def place(self, message: object, *seconds_left: float, sent_at: float = NOW) -> Placement:
        """Place a message, with so much time left at each look; the last again for whatever more is asked."""
        left = [45.0] if not seconds_left else list(seconds_left)
        return self.place_calls.place(
            Message("a-message", json.dumps(message), lambda: left.pop(0) if len(left) > 1 else left[0], sent_at)
        )

    def decide_by(self, **policy: Any) -> None:
        document = {"version": 7, "document": json.dumps(policy), "setAt": 1, "setBy": "a"}
        self.tables.items["policy", "current"] = document

    def parked(self, **changes: Any) -> Item:
        """Let the table have a parked attempt. Its updates answer with this item, as they change it."""
        item = SCHEDULED | changes
        self.tables.items[item["requestId"], item["attempt"]] = item
        return item

    def claimed_by_another(self, **changes: Any) -> None:
        """Let another worker have the attempt, so that whatever is written fails."""
        item = OF_ANOTHER | changes
        self.tables.items[item["requestId"], item["attempt"]] = item
        refused = fault("ConditionalCheckFailedException", Item=to_dynamodb(item))
        self.tables.answers |= {"PutItem calls": [refused] * 9, "UpdateItem calls": [refused] * 9}

    @property
    def written(self) -> list[Item]:
        """What each write to the calls table sets and expects."""
        return [
            from_dynamodb(asked["Item"])
            if name.startswith("Put")
            else {key[1:]: value for key, value in from_dynamodb(asked["ExpressionAttributeValues"]).items()}
            for name, asked in self.tables.asked
            if name in {"PutItem calls", "UpdateItem calls"}
        ]

    def dials_taken(self) -> list[list[str]]:
        """The attempts whose dials to the number each write to it remembers."""
        puts = [from_dynamodb(asked["Item"]) for name, asked in self.tables.asked if name == "PutItem policy"]
        return [[each["attempt"] for each in item["dials"]] for item in puts]

    @property
    def operations(self) -> list[str]:
        """What was asked for, with the table."""
        return [name for name, _ in self.tables.asked]


def of(organization: str | None, **message: Any) -> Item:
    """A message of an organization."""
    return message | ({"organization": organization} if organization else {})


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[SocketServer, dict[str, Any]]]:
    with SocketServer(lambda *_: None) as server, client_of(server.url) as dynamodb:
        config = Config(proxies={}, retries={"total_max_attempts": 1})
        sqs = SESSION.client("sqs", endpoint_url=server.url, config=config)
        yield server, {"dynamodb": dynamodb, "sqs": sqs}
        sqs.close()


@pytest.fixture
def world(served: tuple[SocketServer, dict[str, Any]]) -> Iterator[World]:
    server, clients = served
    tables = Tables()
    server.behave = tables.answer
    world = World(tables, clients)
    yield world
    world.allomia.check_dials()


def open_circuit(world: World, name: str = CIRCUIT_NAME) -> None:
    """Let the circuit be open for 60 seconds: five calls failed, and then the probe."""
    breaker = world.place_calls.dial.circuit_breakers.of(name)
    for seconds in (0, 0, 0, 0, 0, 30):
        world.monotonic.pass_seconds(seconds)
        permit = breaker.acquire()
        assert permit
        permit.report(healthy=False)
