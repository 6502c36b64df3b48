"""One message's way through place_call: what is written, in which order and until when, and what is reported of it.

DynamoDB and SQS are played by a server on a socket, and AlloMia by a transport.
"""

from __future__ import annotations

import json
import math
import re
import socket
from collections.abc import Iterator
from dataclasses import astuple, fields, replace
from typing import Any

import pytest
from botocore.config import Config

from local.simulator import ScriptedAllomia, call_id, fails, returns
from outbound_calls.adapters.allomia import MAX_EXCHANGE_SECONDS
from outbound_calls.adapters.batch_searches import BATCH_SEARCHED_AFTER_SECONDS
from outbound_calls.adapters.circuit_breaker import CircuitBreaker
from outbound_calls.adapters.conditional_writes import WriteUnanswered
from outbound_calls.adapters.dial_marks import DIAL_KEPT_SECONDS
from outbound_calls.adapters.dynamodb import from_dynamodb, to_dynamodb
from outbound_calls.adapters.fingerprints import Fingerprints
from outbound_calls.adapters.policy_table import DIALS_KEPT_SECONDS
from outbound_calls.adapters.waiting_attempts import FIRST_LOOK_SECONDS
from outbound_calls.contracts.messages import PHONE_NUMBER_RULE
from outbound_calls.contracts.vocabulary import OutcomeSource, ReasonCode, Status
from outbound_calls.domain.attempts import AttemptKey, Outcome, RequestKey
from outbound_calls.domain.lines import line_reserved_for
from outbound_calls.domain.recipients import organization_key
from outbound_calls.domain.timing import (
    EXPIRE_AFTER_SECONDS,
    KEY_DECLINED_BACKOFF_SECONDS,
    MAX_DECISION_AGE_SECONDS,
    utc_text,
)
from outbound_calls.policy.evaluation import UNREADABLE_LOOK_SECONDS
from outbound_calls.policy.refusals import MOST_ACCEPTED, MOST_REFUSED
from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings.place_call import PlaceCallSettings
from outbound_calls.use_cases.place import OTHER_CALL, SECONDS_TO_PLACE, Message, PlaceCalls, Placement, PlaceResult
from tests.unit.dynamodb import SESSION, client_of, fault, number, well
from tests.unit.parts import (
    API_KEY,
    ASSISTANT_ID,
    CALL_ID,
    OTHER_CALL_ID,
    PHONE_NUMBER,
    PHONE_NUMBER_ID,
    SETTING,
    Clock,
    HttpRequest,
    SecretsInMemory,
    SocketServer,
    a_secret,
)
from tests.world import GRACE_SECONDS, NOW, environment

PARKED, DUPLICATE, CALLING = PlaceResult.PARKED, PlaceResult.DUPLICATE, PlaceResult.CALLING
KEY = AttemptKey(RequestKey("visit-2031"), 1)
SECRET = {"organizations": {"default": {"apiKey": API_KEY}, "clinic-a": {"apiKey": API_KEY, "organizationId": "org-a"}}}
DAY_SECONDS = 86_400
JITTER = 15
"""The longest addition to the first backoff, of 30 seconds."""

IDS = {"assistantId": ASSISTANT_ID, "phoneNumberId": PHONE_NUMBER_ID}
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
    "setting": "11111111-66666666",
    "request": {"phoneNumber": PHONE_NUMBER, "assistantId": ASSISTANT_ID, "phoneNumberId": PHONE_NUMBER_ID},
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

    def place(self, message: object, *seconds_left: float, sent_at: float | None = NOW) -> Placement:
        """Place a message, with so much time left at each look; the last again for whatever more is asked."""
        left = [45.0] if not seconds_left else list(seconds_left)
        return self.place_calls.place(
            Message("a-message", json.dumps(message), lambda: left.pop(0) if len(left) > 1 else left[0], sent_at)
        )

    def decide_by(self, **policy: Any) -> None:
        document = {"version": 7, "document": json.dumps(policy), "setAt": 1, "setBy": "a"}
        self.tables.items["policy", "current"] = document

    def parked(self, **changes: Any) -> Item:
        """Let the table have a parked attempt, as its claim leaves it for whoever updates it."""
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


def test_what_is_reported_in_words() -> None:
    assert {each.name.lower().replace("_", "-") for each in PlaceResult} == set(PlaceResult)
    assert OTHER_CALL == "other-call-recorded"
    assert astuple(Placement(PARKED, None)) == (PARKED, None, "", "", None, None, None, None)


def test_each_claim_has_an_id_and_each_wait_a_length_of_its_own() -> None:
    unset = [each.default for each in fields(PlaceCalls) if each.name == "jitter"]
    (jitter,) = unset
    assert len({jitter(0.0, 15.0) for _ in range(9)}) > 1
    assert all(0.0 <= jitter(0.0, 15.0) <= 15.0 for _ in range(9))


# A new request.


def test_a_new_request_is_decided_claimed_and_posted(world: World) -> None:
    placement = world.place(REQUEST)

    url = world.place_calls.callbacks.url(KEY)
    assert placement == Placement(CALLING, KEY, outbound_call_id=call_id(url))
    assert world.operations == ["GetItem policy", "Query policy", "PutItem calls", "UpdateItem calls"]
    claim, settled = world.written
    assert claim["createdAt"] == NOW
    assert (claim["claimId"], claim["dueAt"], claim["allowedBy"]) == (CLAIM, NOW + GRACE_SECONDS, "open 0")
    assert claim.keys().isdisjoint({"numberHash", "redial", "line"})
    assert (settled["status"], settled["outboundCallId"]) == ("calling", placement.outbound_call_id)
    assert settled["contactId"]
    assert settled["expectedClaimId"] == CLAIM
    assert world.allomia.posts == [
        {
            "phoneNumber": PHONE_NUMBER,
            "assistantId": ASSISTANT_ID,
            "phoneNumberId": PHONE_NUMBER_ID,
            "callbackUrl": url,
        }
    ]


def test_a_request_counts_from_when_the_queue_got_it(world: World) -> None:
    world.place(REQUEST, sent_at=NOW - 60.5)
    world.place(REQUEST | {"requestId": "visit-2032"}, sent_at=None)

    assert [each["createdAt"] for each in world.written if "createdAt" in each] == [NOW - 61, NOW]


def test_a_request_without_an_id_is_named_by_its_message(world: World) -> None:
    assert world.place({"phoneNumber": PHONE_NUMBER}).key == AttemptKey(RequestKey("a-message"), 1)


def test_a_request_that_is_parked_while_the_signing_secret_is_unreadable_has_no_fingerprint(world: World) -> None:
    world.decide_by(paused=True)
    world.place(REQUEST)
    world.place_calls.fingerprints = Fingerprints(a_secret(SecretsInMemory()))
    world.place(REQUEST | {"requestId": "visit-2032"})

    assert ["fingerprint" in each for each in world.written if "createdAt" in each] == [True, False]


# Messages that dial no one.


def test_an_invalid_message_is_kept_with_its_age(world: World) -> None:
    placement = world.place({"phoneNumber": "5"}, sent_at=NOW - 5)

    assert placement == Placement(PlaceResult.INVALID, None, detail=f"phoneNumber: {PHONE_NUMBER_RULE}")
    ((_, kept),) = world.tables.asked
    assert kept["MessageBody"] == '{"phoneNumber": "5"}'
    values = {name: each["StringValue"] for name, each in kept["MessageAttributes"].items()}
    assert (values["messageId"], values["sentAt"]) == ("a-message", str((NOW - 5) * 1000))


@pytest.mark.parametrize("organization", [None, "clinic-a"])
def test_a_batch_is_marked_at_once_and_then_searched_for(world: World, organization: str | None) -> None:
    world.clock.step = 1.0
    placement = world.place(of(organization, cancel={"batch": "monday"}))

    assert placement == Placement(PlaceResult.CANCELLATION, None, "batch", organization=organization)
    (_, mark), (_, search) = world.tables.asked
    assert mark["Key"]["subject"] == {"S": f"batch#{organization or ''}~monday"}
    assert from_dynamodb(mark["ExpressionAttributeValues"]).items() >= {":source": "upstream", ":now": NOW + 1}.items()
    assert search["Key"]["requestId"] == {"S": f"{organization or ''}~~batch~monday"}
    assert search["ExpressionAttributeValues"][":due"] == number(NOW + 2 + BATCH_SEARCHED_AFTER_SECONDS)


@pytest.mark.parametrize("organization", [None, "clinic-a"])
def test_a_request_that_was_never_seen_is_cancelled_as_its_first_attempt(
    world: World, organization: str | None
) -> None:
    placement = world.place(of(organization, cancel={"requestId": "visit-2031"}))

    key = AttemptKey(RequestKey("visit-2031", organization), 1)
    assert placement == Placement(PlaceResult.CANCELLATION, key, "cancelled-unseen")
    assert [(each["requestId"], each["outcomeSource"]) for each in world.written] == [(str(key.request), "upstream")]


def test_a_cancellation_names_the_last_attempt(world: World) -> None:
    second = world.parked(attempt=2)
    world.tables.found[""] = [SCHEDULED | {"status": "busy", "nextAttempt": 2}, second]

    placement = world.place({"cancel": {"requestId": "visit-2031"}})

    assert placement == Placement(PlaceResult.CANCELLATION, replace(KEY, number=2), "cancelled")
    assert [each["outcomeSource"] for each in world.written] == ["upstream"]


@pytest.mark.parametrize(
    ("organization", "entry", "stored"),
    [
        (None, {}, {"entry": "do-not-call##"}),
        ("clinic-a", {}, {"entry": "do-not-call#clinic-a#", "organization": "clinic-a"}),
        ("default", {}, {"entry": "do-not-call#default#", "organization": "default"}),
        (None, {"until": "2026-04-02T14:30:00Z"}, {"entry": "do-not-call##", "until": NOW + DAY_SECONDS}),
        (None, {"purposes": ["news", "ads"]}, {"entry": "do-not-call##ads,news", "purposes": ["ads", "news"]}),
    ],
)
def test_a_number_is_listed_for_whom_and_for_what_the_message_says(
    world: World, organization: str | None, entry: Item, stored: Item
) -> None:
    world.decide_by(purposes={"ads": {}, "news": {}})

    placement = world.place(of(organization, doNotCall={"phoneNumber": PHONE_NUMBER} | entry))

    assert placement == Placement(PlaceResult.DO_NOT_CALL, None, organization=organization_key(organization))
    put = next(asked for name, asked in world.tables.asked if name == "PutItem policy")
    item = from_dynamodb(put["Item"])
    expires = {"expiresAt": item["until"] + DIALS_KEPT_SECONDS} if "until" in item else {}
    subject = f"number#{world.place_calls.judge.numbers.of(PHONE_NUMBER)}"
    assert item == stored | expires | {"subject": subject, "source": "upstream", "addedAt": NOW}


@pytest.mark.parametrize("organization", [None, "clinic-a"])
def test_an_entry_for_a_purpose_that_no_one_knows_is_listed_and_kept_as_invalid(
    world: World, organization: str | None
) -> None:
    world.decide_by(purposes={"ads": {}}, organizations={"clinic-b": {"purposes": {"news": {}}}})
    message = of(organization, doNotCall={"phoneNumber": PHONE_NUMBER, "purposes": ["ads", "news"]})

    placement = world.place(message)

    words = "doNotCall.purposes: only purposes that the policy defines"
    known = organization is None  # some organization has this purpose
    listed = Placement(PlaceResult.DO_NOT_CALL, None)
    assert placement == (listed if known else Placement(PlaceResult.INVALID, None, detail=words))
    assert world.operations[0] == "PutItem policy"


def test_an_entry_is_listed_while_the_policy_is_unreadable(world: World) -> None:
    world.tables.items["policy", "current"] = {"version": 1, "document": "{", "setAt": 1, "setBy": "a"}

    placement = world.place({"doNotCall": {"phoneNumber": PHONE_NUMBER, "purposes": ["ads"]}})

    assert placement == Placement(PlaceResult.DO_NOT_CALL, None)


@pytest.mark.parametrize(
    "message", [REQUEST, {"cancel": {"batch": "monday"}}, {"doNotCall": {"phoneNumber": PHONE_NUMBER}}]
)
def test_a_message_for_an_organization_that_the_secret_does_not_name_is_invalid(world: World, message: Item) -> None:
    placement = world.place(message | {"organization": "clinic-z"})

    assert placement.result is PlaceResult.INVALID
    assert placement.detail.startswith("organization: ")
    assert world.operations == ["SendMessage"]


def test_free_lines_are_handed_on_to_who_waits_in_the_organization(world: World) -> None:
    world.decide_by(maxConcurrentCalls=1)
    waits = SCHEDULED | {"requestId": "clinic-a~visit-2031", "waitsSince": NOW - 60, "policyVersion": 7}
    world.tables.found["waiting"] = [waits]
    world.parked(requestId="clinic-a~visit-2031", parkReason="concurrency-limit")
    world.tables.items["lines#clinic-a", "lines"] = {
        "lines": {},
        "normalArrivals": 1,
        "normalAt": NOW - 60,
        "countedSince": NOW,
    }

    placement = world.place({"handOn": {"organization": "clinic-a"}})

    assert placement == Placement(PlaceResult.HANDED_ON, None)
    sent = [json.loads(asked["MessageBody"]) for name, asked in world.tables.asked if name == "SendMessage"]
    assert sent == [{"dispatch": {"requestId": "clinic-a~visit-2031", "attempt": 1}, "timesParked": 1}]


# Duplicates.


def test_a_duplicate_changes_nothing(world: World) -> None:
    world.claimed_by_another()

    assert world.place(REQUEST) == Placement(DUPLICATE, KEY)
    assert world.operations == ["GetItem policy", "Query policy", "PutItem calls", "GetItem calls"]
    assert world.allomia.posts == []


def test_another_request_under_the_same_id_is_invalid(world: World) -> None:
    first = world.place_calls.fingerprints.of({"phoneNumber": "+14155550199"})
    world.claimed_by_another(fingerprint=first)

    placement = world.place(REQUEST)

    assert placement == Placement(PlaceResult.INVALID, None, detail="requestId: used for another request")


@pytest.mark.parametrize("changes", [{"status": "calling"}, {"timesParked": 2}], ids=str)
def test_a_dispatch_message_for_what_has_moved_on_is_a_duplicate(world: World, changes: Item) -> None:
    world.parked(**changes)

    assert world.place(DISPATCH) == Placement(DUPLICATE, KEY)
    assert world.operations == ["GetItem calls"]


def test_a_dispatch_message_for_nothing_is_a_duplicate(world: World) -> None:
    assert world.place(DISPATCH) == Placement(DUPLICATE, KEY)
    assert world.operations == ["GetItem calls"]


# A parked attempt.


def test_a_parked_attempt_is_claimed_as_it_was_read_and_posted(world: World) -> None:
    world.parked()

    placement = world.place(DISPATCH)

    assert placement == Placement(CALLING, KEY, outbound_call_id=call_id(world.place_calls.callbacks.url(KEY)))
    assert world.operations == ["GetItem calls", "GetItem policy", "Query policy", *["UpdateItem calls"] * 2]
    claim, settled = world.written
    assert (claim["status"], claim["claimId"], claim["expectedTimesParked"]) == ("dispatching", CLAIM, 1)
    assert (claim["dispatchedAt"], claim["dueAt"], claim["allowedBy"]) == (NOW, NOW + GRACE_SECONDS, "open 0")
    assert (settled["status"], settled["expectedClaimId"]) == ("calling", CLAIM)


def test_a_parked_attempt_that_another_worker_has_is_a_duplicate(world: World) -> None:
    world.claimed_by_another()
    world.parked()

    assert world.place(DISPATCH) == Placement(DUPLICATE, KEY)
    assert world.allomia.posts == []


def test_a_parked_attempt_without_ids_gets_those_of_its_organization(world: World) -> None:
    world.parked(request={"phoneNumber": PHONE_NUMBER}, setting="-")

    assert world.place(DISPATCH).result is CALLING

    assert (world.written[0]["setting"], world.allomia.posts[0]["assistantId"]) == (SETTING, ASSISTANT_ID)


def test_a_parked_attempt_waits_while_no_one_names_its_ids(world: World) -> None:
    world.parked(requestId="clinic-a~visit-2031", request={"phoneNumber": PHONE_NUMBER}, setting="-")

    placement = world.place({"dispatch": {"requestId": "clinic-a~visit-2031", "attempt": 1}, "timesParked": 1})

    words = "neither the request nor the secret names an assistant and a number"
    key = AttemptKey(RequestKey("visit-2031", "clinic-a"), 1)
    assert placement == Placement(PARKED, key, "key-unreadable", words)
    assert [each["dueAt"] for each in world.written] == [NOW + KEY_DECLINED_BACKOFF_SECONDS + JITTER]


def test_an_attempt_waits_while_its_organizations_key_is_unreadable(world: World) -> None:
    world.secrets.versions = {}
    world.place_calls.judge.numbers.secret = a_secret(SecretsInMemory({"AWSCURRENT": "a-key"}))

    placement = world.place(REQUEST)

    words = "the secret can't be read: ResourceNotFoundException"
    assert placement == Placement(PARKED, KEY, "key-unreadable", words)
    (parked,) = world.written
    assert (parked["parkReason"], parked["dueAt"]) == ("key-unreadable", NOW + KEY_DECLINED_BACKOFF_SECONDS + JITTER)


# What policy says.


@pytest.mark.parametrize("kind", ["new", "parked"])
def test_what_policy_rejects_ends_with_its_words(world: World, kind: str) -> None:
    created = world.parked()["createdAt"] if kind == "parked" else NOW
    world.clock.now = NOW + EXPIRE_AFTER_SECONDS + 1

    placement = world.place(DISPATCH if kind == "parked" else REQUEST)

    words = f"not dialled by {utc_text(created + EXPIRE_AFTER_SECONDS)}"
    words += "; it waited for rate-limited" if kind == "parked" else ""
    outcome = Outcome(Status.REJECTED, OutcomeSource.POLICY, reason_code=ReasonCode.EXPIRED, reason=words)
    assert placement == Placement(PlaceResult.REJECTED, KEY, "expired", words, outcome=outcome)
    (ended,) = world.written
    assert ended["recordedAt"] == world.clock.now
    assert (ended["status"], ended["outcomeSource"], ended["reasonCode"]) == ("rejected", "policy", "expired")


@pytest.mark.parametrize("source", ["upstream", "operator"])
def test_a_request_of_a_cancelled_batch_ends_as_cancelled_by_whom_it_was(world: World, source: str) -> None:
    world.tables.items["batch#~monday", "cancelled"] = {"source": source}

    placement = world.place(REQUEST | {"batch": "monday"})

    words = "cancelled before it was dialled"
    outcome = Outcome(Status.CANCELLED, OutcomeSource(source), reason_code=ReasonCode.CANCELLED, reason=words)
    assert placement == Placement(PlaceResult.CANCELLED, KEY, "cancelled", words, outcome=outcome)
    assert [each["outcomeSource"] for each in world.written] == [source]


@pytest.mark.parametrize("kind", ["new", "parked"])
def test_what_policy_rejects_and_another_worker_has_is_a_duplicate(world: World, kind: str) -> None:
    world.claimed_by_another()
    if kind == "parked":
        world.parked()
    world.clock.now = NOW + EXPIRE_AFTER_SECONDS + 1

    assert world.place(DISPATCH if kind == "parked" else REQUEST) == Placement(DUPLICATE, KEY)


def test_a_redial_that_policy_rejects_is_dropped(world: World) -> None:
    world.parked(isRedial=True)
    world.clock.now = NOW + EXPIRE_AFTER_SECONDS + 1

    placement = world.place(DISPATCH)

    words = f"not dialled by {utc_text(NOW - 60 + EXPIRE_AFTER_SECONDS)}; it waited for rate-limited"
    assert placement == Placement(PlaceResult.REDIAL_DROPPED, KEY, "expired", words)
    assert "TransactWriteItems" in world.operations
    assert world.written == []


def test_a_redial_that_is_dropped_and_has_moved_on_is_a_duplicate(world: World) -> None:
    world.parked(isRedial=True)
    world.clock.now = NOW + EXPIRE_AFTER_SECONDS + 1
    reasons = [{"Code": "ConditionalCheckFailed"}, {"Code": "None"}]
    world.tables.answers["TransactWriteItems"] = [fault("TransactionCanceledException", CancellationReasons=reasons)]

    assert world.place(DISPATCH) == Placement(DUPLICATE, KEY)


def test_what_policy_lets_wait_is_counted_for_the_keeper_before_it_is_parked(world: World) -> None:
    world.decide_by(paused=True)
    world.clock.step = 1.0

    placement = world.place(REQUEST, sent_at=NOW)

    expiry = NOW + EXPIRE_AFTER_SECONDS
    assert placement == Placement(PARKED, KEY, "paused", "waiting to be resumed: calls are paused")
    keeper, parked = world.written
    assert world.operations[-2:] == ["UpdateItem calls", "PutItem calls"]
    assert (keeper["due"], "forLines" in keeper) == (NOW + 3 + FIRST_LOOK_SECONDS, False)
    assert (parked["parkReason"], parked["dueAt"], parked["expiry"]) == ("paused", expiry + 1, expiry)
    assert parked["policyVersion"] == 7


def test_what_waits_for_its_own_time_is_counted_for_no_keeper(world: World) -> None:
    placement = world.place(REQUEST | {"notBefore": "2026-04-01T15:30:00Z"})

    assert placement.code == "not-before"
    assert [each["dueAt"] for each in world.written] == [NOW + 3600]


def test_what_is_parked_and_another_worker_has_is_a_duplicate(world: World) -> None:
    world.claimed_by_another(cancelRequestedAt=NOW)

    assert world.place(REQUEST | {"notBefore": "2026-04-01T15:30:00Z"}) == Placement(DUPLICATE, KEY)
    assert world.operations[-2:] == ["PutItem calls", "GetItem calls"]  # a look at the first, and no more


@pytest.mark.parametrize(("left", "due"), [(-10, 31), (10, 41), (100, 75)])
def test_an_attempt_is_looked_at_when_it_expires(world: World, left: int, due: int) -> None:
    """Its backoff ends 45 seconds later at the earliest, while 30 seconds pass with the POST."""
    world.parked(notAfter=NOW + 30 + left)
    world.allomia.post = returns(429)
    world.allomia.before_answer = lambda _post: world.clock.pass_seconds(30)

    assert world.place(DISPATCH).code == "rate-limited"

    assert world.written[-1]["dueAt"] == NOW + (30 if left < 0 else due)


# The circuit, and time.


def open_circuit(world: World) -> None:
    """Let the circuit be open for 60 seconds, after a probe that failed."""
    breaker = world.place_calls.circuit_breakers.of(CIRCUIT_NAME)
    for _ in range(5):
        report(breaker)
    world.monotonic.pass_seconds(30)
    report(breaker)


def report(breaker: CircuitBreaker, healthy: bool = False) -> None:
    permit = breaker.acquire()
    assert permit
    permit.report(healthy)


@pytest.mark.parametrize(
    ("stored", "code"),
    [({}, "circuit-open"), ({"refusal": {"firstAt": NOW, "times": 1, "words": "HTTP 400"}}, "refused-by-allomia")],
)
def test_while_the_circuit_is_open_an_attempt_waits_for_its_end(world: World, stored: Item, code: str) -> None:
    open_circuit(world)
    world.parked(failedTries=4, **stored)

    assert world.place(DISPATCH) == Placement(PARKED, KEY, code)

    assert [(each["parkReason"], each["dueAt"]) for each in world.written] == [(code, NOW + 60 + JITTER)]


def test_an_attempt_is_claimed_only_with_time_for_all_that_follows(world: World) -> None:
    assert SECONDS_TO_PLACE == MAX_EXCHANGE_SECONDS + 8
    assert world.place(REQUEST, SECONDS_TO_PLACE - 0.1) == Placement(PARKED, KEY, "short-of-time")
    assert [each["dueAt"] for each in world.written] == [NOW + 30 + JITTER]

    assert world.place(REQUEST, SECONDS_TO_PLACE).result is CALLING


def test_a_probe_that_is_not_made_is_left_to_another_attempt(world: World) -> None:
    open_circuit(world)
    world.monotonic.pass_seconds(60)

    assert world.place(REQUEST, 5.0).code == "short-of-time"
    assert world.place(REQUEST).result is CALLING


@pytest.mark.parametrize(
    ("seconds_left", "step", "posted"),
    [
        (MAX_EXCHANGE_SECONDS + 4, 0.0, True),
        (MAX_EXCHANGE_SECONDS + 3.9, 0.0, False),
        (45.0, MAX_DECISION_AGE_SECONDS / 2 - 0.1, True),
        (45.0, MAX_DECISION_AGE_SECONDS / 2, False),
    ],
    ids=["in time", "late", "young", "old"],
)
def test_a_claim_is_posted_while_there_is_time_and_its_decision_is_young(
    world: World, seconds_left: float, step: float, posted: bool
) -> None:
    world.parked()
    world.clock.step = step

    placement = world.place(DISPATCH, 45.0, seconds_left)

    assert len(world.allomia.posts) == posted
    assert (placement.result, placement.code) == ((CALLING, "") if posted else (PARKED, "short-of-time"))
    released = world.written[-1]
    assert released["expectedClaimId"] == CLAIM
    # At once: it wasn't the attempt's fault.
    assert posted or released["dueAt"] == math.ceil(NOW + 4 * step)


def test_what_expires_between_decision_and_dial_is_not_posted(world: World) -> None:
    world.parked(notAfter=NOW + 2)
    world.clock.step = 1.0

    assert world.place(DISPATCH).code == "short-of-time"
    assert world.allomia.posts == []


# What a claim takes and gives back.


def test_a_claim_that_may_have_to_be_found_in_the_log_is_remembered_before_the_post(world: World) -> None:
    world.clock.now += 0.5
    placement = world.place(REQUEST | IDS | {"organization": "clinic-a"})

    hashed = world.place_calls.judge.numbers.of(PHONE_NUMBER)[:16]
    key = AttemptKey(RequestKey("visit-2031", "clinic-a"), 1)
    assert (placement.result, placement.key) == (CALLING, key)
    assert world.operations[-3:] == ["PutItem calls", "PutItem policy", "UpdateItem calls"]
    _, mark = world.tables.asked[-2]
    assert from_dynamodb(mark["Item"]) == {
        "subject": f"call-log#org-a#{hashed}",
        "entry": f"{NOW}#clinic-a~visit-2031/1",
        "expiresAt": NOW + DIAL_KEPT_SECONDS,
    }
    assert world.written[0]["numberHash"] == hashed


@pytest.mark.parametrize(
    ("answer", "error"), [(DENIED, "ClientError"), (LOST, "ConnectionClosedError")], ids=["denied", "lost"]
)
def test_a_claim_that_can_not_be_remembered_is_released(world: World, answer: bytes, error: str) -> None:
    world.tables.answers["PutItem policy"] = [answer]

    placement = world.place(REQUEST | IDS | {"organization": "clinic-a"})

    words = f"what policy remembers can't be written: {error}"
    key = AttemptKey(RequestKey("visit-2031", "clinic-a"), 1)
    assert placement == Placement(PARKED, key, "policy-unreadable", words)
    assert world.allomia.posts == []
    assert world.written[-1]["dueAt"] == NOW + UNREADABLE_LOOK_SECONDS
    assert world.written[-1]["expectedClaimId"] == CLAIM


@pytest.mark.parametrize("answer", [429, 400, 401])
def test_what_allomia_does_not_take_is_given_back_before_the_claim(world: World, answer: int) -> None:
    world.decide_by(recipientCaps=[{"calls": 1, "perSeconds": 60}])
    world.allomia.post = returns(answer)

    world.place(REQUEST)

    taken = world.dials_taken()
    assert world.operations[:4] == ["GetItem policy", "Query policy", "PutItem calls", "PutItem policy"]
    assert world.operations[4:] == ["Query policy", "UpdateItem calls"]
    assert taken == [["visit-2031/1"]]


def test_what_allomia_may_have_taken_is_not_given_back(world: World) -> None:
    world.decide_by(recipientCaps=[{"calls": 1, "perSeconds": 60}])
    world.allomia.post = returns(500)

    world.place(REQUEST)

    assert world.operations[3:] == ["PutItem policy", "UpdateItem calls"]


def test_a_claim_that_is_not_posted_gives_back_what_it_took(world: World) -> None:
    world.decide_by(recipientCaps=[{"calls": 1, "perSeconds": 60}])

    assert world.place(REQUEST, 45.0, 5.0).code == "short-of-time"

    assert world.operations[3:] == ["PutItem policy", "Query policy", "UpdateItem calls"]


# Claims and writes that aren't answered.


def test_a_claim_is_asked_for_five_times_and_given_back(world: World) -> None:
    world.tables.answers["PutItem calls"] = [UNANSWERED] * 5

    with pytest.raises(WriteUnanswered, match=r"^claim$"):
        world.place(REQUEST)

    assert world.operations[2:] == [*["PutItem calls"] * 5, "UpdateItem calls"]
    claims, released = world.written[:5], world.written[5]
    assert all(each == claims[0] for each in claims)
    assert (released["expectedClaimId"], released["parkReason"], released["dueAt"]) == (CLAIM, "short-of-time", NOW)
    assert released["status"] == "scheduled"
    assert world.allomia.posts == []


@pytest.mark.parametrize(("left", "asked"), [(8.0, 5), (7.9, 1)])
def test_a_claim_is_given_back_while_there_is_time(world: World, left: float, asked: int) -> None:
    world.tables.answers["PutItem calls"] = [UNANSWERED] * 5

    with pytest.raises(WriteUnanswered):
        world.place(REQUEST, 45.0, left)

    assert world.operations[2:] == [*["PutItem calls"] * asked, "UpdateItem calls"]


@pytest.mark.parametrize("kind", ["new", "parked"])
def test_a_claim_that_may_still_be_made_is_forestalled(world: World, kind: str) -> None:
    """There is nothing to give back, so the attempt is parked as it was read."""
    claim, message = ("PutItem calls", REQUEST) if kind == "new" else ("UpdateItem calls", DISPATCH)
    released = fault("ConditionalCheckFailedException", Item=to_dynamodb(SCHEDULED))
    world.tables.answers[claim] = [UNANSWERED] * 5
    world.tables.answers["UpdateItem calls"] = [*world.tables.answers.get("UpdateItem calls", []), released, UNANSWERED]
    if kind == "parked":
        world.parked()

    with pytest.raises(WriteUnanswered):
        world.place(message)

    forestalled = world.written[-1]
    assert (forestalled["status"], forestalled["parkReason"], forestalled["dueAt"]) == (
        "scheduled",
        "short-of-time",
        NOW,
    )
    assert "expectedClaimId" not in forestalled
    assert world.operations[2:] == (
        [*["PutItem calls"] * 5, "UpdateItem calls", "GetItem calls", "PutItem calls"]
        if kind == "new"
        else ["Query policy", *["UpdateItem calls"] * 6, "GetItem calls", *["UpdateItem calls"] * 2]
    )


@pytest.mark.parametrize("lost", [4, 5])
@pytest.mark.parametrize("answer", [200, 429, 400])
def test_a_write_after_the_post_is_made_five_times_at_most(world: World, answer: int, lost: int) -> None:
    url = world.place_calls.callbacks.url(KEY)
    world.allomia.post = returns(answer, world.allomia.state(url))
    world.tables.answers["UpdateItem calls"] = [UNANSWERED] * lost

    if lost == 5:
        with pytest.raises(WriteUnanswered):
            world.place(REQUEST)
    else:
        assert world.place(REQUEST).result is (CALLING if answer == 200 else PARKED)

    assert world.operations.count("UpdateItem calls") == 5
    assert len(world.allomia.posts) == 1


# What AlloMia answers.


def settled(world: World, *answer: Any, **headers: str) -> Placement:
    """Place a parked attempt, which AlloMia answers so."""
    world.parked()
    world.allomia.post = returns(*answer, **headers)
    world.clock.step = 0.5
    return world.place(DISPATCH)


@pytest.mark.parametrize(
    ("answer", "code", "detail", "due"),
    [
        ((429, {}, {"Retry_After": "120"}), "rate-limited", "HTTP 429", 120 + JITTER),
        ((429, {}, {"Retry_After": "1"}), "rate-limited", "HTTP 429", 30 + JITTER),
        ((401, {}, {}), "key-declined", "HTTP 401", KEY_DECLINED_BACKOFF_SECONDS + JITTER),
        ((307, {}, {"Location": "/"}), "allomia-unreachable", "HTTP 307", 30 + JITTER),
    ],
    ids=["throttled", "throttled for a moment", "key declined", "moved"],
)
def test_what_allomia_does_not_accept_waits_for_its_backoff(
    world: World, answer: tuple[int, Item, dict[str, str]], code: str, detail: str, due: float
) -> None:
    code_of_answer, body, headers = answer

    assert settled(world, code_of_answer, body, **headers) == Placement(PARKED, KEY, code, detail)

    parked = world.written[-1]
    assert (parked["parkReason"], parked["dueAt"]) == (code, math.ceil(NOW + 2 + due))
    assert parked["expectedClaimId"] == CLAIM


def test_each_try_that_failed_lengthens_the_backoff(world: World) -> None:
    world.parked(failedTries=2)
    world.allomia.post = returns(429)

    world.place(DISPATCH)

    assert world.written[-1]["dueAt"] == NOW + 120 + 60


@pytest.mark.parametrize("note_lost", [False, True])
def test_an_answer_that_says_nothing_is_noted_and_not_settled(world: World, note_lost: bool) -> None:
    if note_lost:
        world.tables.answers["UpdateItem calls"] = [CLAIM_MADE, UNANSWERED]

    assert settled(world, 500) == Placement(PlaceResult.AMBIGUOUS, KEY, detail="HTTP 500")

    assert world.written[-1] == {"detail": "HTTP 500", "dispatching": "dispatching", "claim": CLAIM}


def test_an_error_during_the_post_counts_as_no_answer(world: World) -> None:
    world.allomia.post = fails(LookupError)

    assert world.place(REQUEST) == Placement(PlaceResult.AMBIGUOUS, KEY, detail="LookupError")


@pytest.mark.parametrize("call", [{"outboundCallId": CALL_ID}, {}], ids=["with an id", "without an id"])
def test_a_call_that_ended_at_once_is_recorded(world: World, call: Item) -> None:
    placement = settled(world, 200, {"status": "busy"} | call)

    call_id = call.get("outboundCallId")
    outcome = Outcome(Status.BUSY, OutcomeSource.DISPATCH, call_id)
    assert placement == Placement(PlaceResult.ENDED, KEY, outbound_call_id=call_id, outcome=outcome)
    ended = world.written[-1]
    assert (ended["status"], ended["recordedAt"]) == ("busy", NOW + 2)


@pytest.mark.parametrize(("known", "code"), [(CALL_ID, ""), (OTHER_CALL_ID, OTHER_CALL)], ids=["same", "other"])
@pytest.mark.parametrize("status", ["calling", "busy"])
def test_a_call_whose_webhook_came_first_is_counted_once_and_compared(
    world: World, status: str, known: str, code: str
) -> None:
    ended = SCHEDULED | {"status": "completed", "outboundCallId": known}
    refused = fault("ConditionalCheckFailedException", Item=to_dynamodb(ended))
    world.tables.answers["UpdateItem calls"] = [CLAIM_MADE, refused, refused]

    placement = settled(world, 200, {"status": status, "outboundCallId": CALL_ID})

    result = CALLING if status == "calling" else PlaceResult.ENDED
    assert placement == Placement(result, KEY, code, outbound_call_id=CALL_ID)


def test_a_status_that_is_not_documented_is_noted(world: World) -> None:
    placement = settled(world, 200, {"status": "transferred", "outboundCallId": CALL_ID})

    assert placement == Placement(CALLING, KEY, outbound_call_id=CALL_ID, allomia_status="transferred")
    assert world.written[-1].items() >= {"outboundCallId": CALL_ID, "allomiaStatus": "transferred"}.items()


def test_a_status_that_is_no_word_is_reported_and_not_noted(world: World) -> None:
    placement = settled(world, 200, {"status": 7, "outboundCallId": CALL_ID})

    assert placement == Placement(CALLING, KEY, outbound_call_id=CALL_ID, allomia_status="")
    assert len(world.written) == 2


# AlloMia refuses.


REFUSED = "HTTP 400: credit"


def refused_before(world: World, times: int, **changes: Any) -> None:
    """Let the table have a parked attempt that AlloMia has refused so often, for the first time a minute ago."""
    refusal = {"firstAt": NOW - 60, "times": times, "words": "HTTP 400: first"}
    world.parked(refusal=refusal, **changes)
    world.allomia.post = returns(400, {"error": "No credit"})


def accepted(world: World, count: int, at: int = NOW - 60) -> None:
    """Let so many others have been accepted, one after the other."""
    other = SCHEDULED | {"status": "completed", "outboundCallId": CALL_ID, "dispatchedAt": at, "recordedAt": NOW}
    world.tables.found["ended"] = [other | {"requestId": f"visit-{place}"} for place in range(count)]


def test_what_allomia_refuses_is_tried_again_after_a_minute(world: World) -> None:
    assert settled(world, 400, {"error": "No such number"}) == Placement(
        PARKED, KEY, "refused-by-allomia", "HTTP 400: not found"
    )

    parked = world.written[-1]
    assert parked["refusal"] == {"firstAt": NOW + 2, "times": 1, "words": "HTTP 400: not found"}
    assert (parked["dueAt"], parked["expectedClaimId"]) == (NOW + 2 + 60, CLAIM)


def test_a_second_refusal_counts_from_the_first(world: World) -> None:
    refused_before(world, 1)

    assert world.place(DISPATCH) == Placement(PARKED, KEY, "refused-by-allomia", REFUSED)

    parked = world.written[-1]
    assert parked["refusal"] == {"firstAt": NOW - 60, "times": 2, "words": REFUSED}
    assert parked["dueAt"] == NOW - 60 + 180
    assert "Query calls" not in world.operations


@pytest.mark.parametrize(
    ("count", "refused", "at", "final"),
    [
        (3, 0, NOW - 60, True),
        (2, 0, NOW - 60, False),
        (6, 1, NOW - 60, True),
        (5, 1, NOW - 60, False),
        (3, 0, NOW - 70, True),
        (3, 0, NOW - 71, False),
    ],
)
def test_a_refusal_is_final_where_three_times_as_many_are_accepted(
    world: World, count: int, refused: int, at: int, final: bool
) -> None:
    refused_before(world, 3)
    accepted(world, count, at)
    world.tables.found["waiting"] = [{}] * refused

    placement = world.place(DISPATCH)

    outcome = Outcome(
        Status.REJECTED, OutcomeSource.DISPATCH, reason_code=ReasonCode.REFUSED_BY_ALLOMIA, reason=REFUSED
    )
    rejected = Placement(PlaceResult.REJECTED, KEY, "refused-by-allomia", REFUSED, outcome=outcome)
    assert placement == (rejected if final else Placement(PARKED, KEY, "refused-by-allomia", REFUSED))
    assert world.written[-1].get("recordedAt") == (NOW if final else None)
    limits = [asked["Limit"] for name, asked in world.tables.asked if name == "Query calls"]
    assert limits == [MOST_ACCEPTED, *[MOST_ACCEPTED] * 4, MOST_REFUSED]


def test_nothing_is_final_while_the_others_are_unreadable(world: World) -> None:
    refused_before(world, 3)
    world.tables.answers["Query calls"] = [DENIED]

    assert world.place(DISPATCH).code == "refused-by-allomia"
    assert world.written[-1]["dueAt"] == NOW + 300


def test_a_redial_whose_refusal_is_final_is_dropped(world: World) -> None:
    refused_before(world, 3, isRedial=True)
    accepted(world, 3)

    placement = world.place(DISPATCH)

    assert placement == Placement(PlaceResult.REDIAL_DROPPED, KEY, "refused-by-allomia", REFUSED)
    assert world.operations[-1] == "TransactWriteItems"


def test_a_final_refusal_that_a_webhook_disproved_is_not_counted(world: World) -> None:
    refused_before(world, 3)
    accepted(world, 3)
    claimed = CLAIMED | {"refusal": world.tables.items["visit-2031", 1]["refusal"]}
    ended = fault("ConditionalCheckFailedException", Item=to_dynamodb(SCHEDULED | {"status": "completed"}))
    world.tables.answers["UpdateItem calls"] = [well(Attributes=to_dynamodb(claimed)), ended]

    assert world.place(DISPATCH) == Placement(PlaceResult.REJECTED, KEY, "refused-by-allomia", REFUSED)


@pytest.mark.parametrize(
    ("status", "refused", "opens"),
    [(400, False, True), (400, True, False), (500, True, True), (200, False, False)],
    ids=["refused", "refused again", "lost again", "accepted"],
)
def test_what_opens_the_circuit(world: World, status: int, refused: bool, opens: bool) -> None:
    refusal = {"refusal": {"firstAt": NOW - 60, "times": 1, "words": "HTTP 400"}} if refused else {}
    for place in range(5):
        item = world.parked(requestId=f"visit-{place}", **refusal)
        url = world.place_calls.callbacks.url(AttemptKey(RequestKey(item["requestId"]), 1))
        world.allomia.post = returns(status, world.allomia.state(url))
        world.place({"dispatch": {"requestId": item["requestId"], "attempt": 1}, "timesParked": 1})

    assert (world.place_calls.circuit_breakers.of(CIRCUIT_NAME).acquire() is None) is opens


@pytest.mark.parametrize(("status", "closed"), [(400, False), (200, True)])
def test_a_probe_says_whether_the_circuit_closes(world: World, status: int, closed: bool) -> None:
    open_circuit(world)
    world.monotonic.pass_seconds(60)
    refused_before(world, 1)
    if closed:
        world.allomia.post = None

    world.place(DISPATCH)

    assert world.place_calls.circuit_breakers.of(CIRCUIT_NAME).closed is closed


# Stopped while it was in progress.


def stopped(world: World, is_redial: bool = False, **stop: Any) -> None:
    """Let the attempt have been stopped by the time AlloMia doesn't take it."""
    world.parked(isRedial=is_redial)
    claimed = CLAIMED | {"isRedial": is_redial}
    refused = fault("ConditionalCheckFailedException", Item=to_dynamodb(claimed))
    world.tables.answers["UpdateItem calls"] = [well(Attributes=to_dynamodb(claimed)), refused]
    world.allomia.post = returns(429)

    def stop_it(_post: object) -> None:
        world.tables.items["visit-2031", 1] = claimed | stop
        world.clock.pass_seconds(3)

    world.allomia.before_answer = stop_it


CANCEL = {"cancelRequestedAt": NOW, "cancelRequestedBy": "operator"}


def test_an_attempt_that_was_cancelled_during_the_post_ends_there(world: World) -> None:
    stopped(world, **CANCEL)

    assert world.place(DISPATCH) == Placement(PlaceResult.CANCELLED, KEY, "cancelled", "HTTP 429")

    ended = world.written[-1]
    assert (ended["status"], ended["outcomeSource"], ended["recordedAt"]) == ("cancelled", "operator", NOW + 3)
    assert ended["claim"] == CLAIM


def test_an_attempt_that_was_stopped_and_has_moved_on_is_a_duplicate(world: World) -> None:
    stopped(world, **CANCEL)
    world.tables.answers["UpdateItem calls"].append(fault("ConditionalCheckFailedException"))

    assert world.place(DISPATCH) == Placement(DUPLICATE, KEY)


def test_a_redial_that_was_cancelled_during_the_post_is_dropped(world: World) -> None:
    stopped(world, is_redial=True, **CANCEL)

    assert world.place(DISPATCH) == Placement(PlaceResult.REDIAL_DROPPED, KEY, "cancelled")
    assert world.operations[-1] == "TransactWriteItems"


def test_a_redial_whose_person_answered_meanwhile_is_cancelled(world: World) -> None:
    stopped(world, is_redial=True, answeredAt=NOW)

    placement = world.place(DISPATCH)

    assert placement == Placement(PlaceResult.CANCELLED, KEY, "answered-meanwhile", "HTTP 429")


# Lines, where calls at once are limited.

RESERVED = line_reserved_for(KEY)
LINES = ("lines#default", "lines")
WAITS = {"status": "scheduled", "parkReason": "concurrency-limit", "waitsSince": NOW - 60, "policyVersion": 7}
OTHER = SCHEDULED | WAITS | {"requestId": "visit-2032"}

FREE = well(Attributes=to_dynamodb({"lines": {}, "normalArrivals": 1, "normalAt": NOW - 60, "countedSince": NOW}))
"""The lines as a write leaves them: none in use, and someone waits."""


def limit(world: World, *used: str, marked: bool = False, calls: int = 1) -> None:
    """Limit calls at once, with these lines in use; `marked`: and let another attempt wait for one."""
    world.decide_by(maxConcurrentCalls=calls)
    marks = {"normalArrivals": 1, "normalAt": NOW - 60} if marked else {}
    world.tables.items[LINES] = {"lines": dict.fromkeys(used, NOW + 60), "countedSince": NOW} | marks
    if marked:
        world.tables.found["waiting"] = [OTHER]
        world.tables.items["visit-2032", 1] = OTHER


def handed_on(world: World) -> list[str]:
    """The requests that a line was handed on to."""
    sent = [json.loads(asked["MessageBody"]) for name, asked in world.tables.asked if name == "SendMessage"]
    return [each["dispatch"]["requestId"] for each in sent]


def given_back(world: World) -> list[str]:
    """The lines that were given back, one by one."""
    updates = [asked for name, asked in world.tables.asked if name == "UpdateItem policy"]
    names = [each["ExpressionAttributeNames"] for each in updates if each["UpdateExpression"].startswith("REMOVE")]
    return [value for each in names for name, value in each.items() if name != "#lines"]


def marks(world: World) -> list[Item]:
    """What was marked of those who wait."""
    updates = [asked for name, asked in world.tables.asked if name == "UpdateItem policy"]
    return [
        from_dynamodb(each["ExpressionAttributeValues"])
        for each in updates
        if "if_not_exists" in each["UpdateExpression"]
    ]


NO_LINE = "as many calls are in progress as the policy allows at once: 1"


def test_who_finds_no_line_is_parked_and_then_marked(world: World) -> None:
    limit(world, "a")
    world.clock.step = 1.0

    placement = world.place(REQUEST | {"priority": "low"}, sent_at=NOW)

    assert placement == Placement(PARKED, KEY, "concurrency-limit", NO_LINE)
    assert world.operations == [
        "GetItem policy",
        "Query policy",
        "GetItem policy",
        "UpdateItem calls",
        "PutItem calls",
        "UpdateItem policy",
    ]
    keeper, parked = world.written
    assert "forLines" in str(world.tables.asked[3])
    assert (keeper["due"], parked["dueAt"]) == (NOW + 3 + FIRST_LOOK_SECONDS, NOW + EXPIRE_AFTER_SECONDS + 1)
    assert [each[":now"] for each in marks(world)] == [NOW + 4]
    assert "#lowAt" in world.tables.asked[-1][1]["UpdateExpression"]


def test_a_line_that_is_free_by_then_goes_to_who_was_just_parked(world: World) -> None:
    """The index doesn't show it yet."""
    limit(world, "a")
    world.tables.answers["UpdateItem policy"] = [FREE] * 2
    world.tables.items["visit-2031", 1] = SCHEDULED | WAITS

    assert world.place(REQUEST).code == "concurrency-limit"

    assert handed_on(world) == ["visit-2031"]


def test_no_line_is_handed_on_without_time(world: World) -> None:
    limit(world, "a")
    world.tables.answers["UpdateItem policy"] = [FREE] * 2

    assert world.place(REQUEST, 1.0).code == "concurrency-limit"

    assert handed_on(world) == []


@pytest.mark.parametrize("gives_back", [True, False], ids=["given back", "in vain"])
def test_who_waits_again_gives_back_its_reserved_line_before_it_is_parked(world: World, gives_back: bool) -> None:
    limit(world, "a", RESERVED)
    world.parked(**WAITS)
    if not gives_back:
        world.tables.answers["UpdateItem policy"] = [DENIED]

    assert world.place(DISPATCH) == Placement(PARKED, KEY, "concurrency-limit", NO_LINE)

    assert given_back(world) == [RESERVED]
    kinds = ["UpdateItem policy", "UpdateItem calls", "UpdateItem calls", "UpdateItem policy"]
    assert world.operations[-4:] == kinds


def test_a_line_that_was_taken_meanwhile_is_waited_for_again(world: World) -> None:
    """Between the look and the claim."""
    limit(world)
    full = fault("ConditionalCheckFailedException", Item=to_dynamodb({"lines": {"a": NOW + 60}, "countedSince": NOW}))
    world.tables.answers["UpdateItem policy"] = [full]
    world.parked(**WAITS)

    assert world.place(DISPATCH) == Placement(PARKED, KEY, "concurrency-limit", NO_LINE)

    assert world.allomia.posts == []
    assert given_back(world) == [RESERVED]
    assert [each.get("expectedClaimId") for each in world.written] == [None, None, CLAIM]
    assert world.written[0]["line"] == CLAIM
    assert len(marks(world)) == 1


def test_a_claim_without_a_limit_has_no_line(world: World) -> None:
    world.parked()
    world.place(DISPATCH)

    assert "line" not in world.written[0]


@pytest.mark.parametrize("kind", ["new", "parked"])
def test_what_an_earlier_try_parked_without_an_answer_is_marked(world: World, kind: str) -> None:
    limit(world, "a")
    world.claimed_by_another(**WAITS)
    world.tables.answers["UpdateItem calls"][0] = well(Attributes={"requestId": {"S": "~~keeper"}})

    assert world.place(DISPATCH if kind == "parked" else REQUEST) == Placement(DUPLICATE, KEY)

    assert len(marks(world)) == 1


@pytest.mark.parametrize("changes", [{"status": "calling"}, {"parkReason": "paused"}], ids=str)
def test_only_who_waits_for_a_line_is_marked_again(world: World, changes: Item) -> None:
    world.parked(**WAITS | changes)

    assert world.place(DISPATCH | {"timesParked": 7}) == Placement(DUPLICATE, KEY)
    assert marks(world) == []


def test_a_message_that_comes_again_marks_who_waits(world: World) -> None:
    world.parked(**WAITS)

    assert world.place(DISPATCH | {"timesParked": 7}) == Placement(DUPLICATE, KEY)
    assert len(marks(world)) == 1


def test_a_reserved_line_goes_on_where_its_attempt_is_held_back(world: World) -> None:
    limit(world, marked=True)
    world.parked(**WAITS, notBefore=NOW + 60)

    assert world.place(DISPATCH).code == "not-before"

    assert (given_back(world), handed_on(world)) == ([RESERVED], ["visit-2032"])


@pytest.mark.parametrize("fails_at", ["UpdateItem policy", "SendMessage"])
def test_a_line_that_can_not_be_handed_on_is_left_to_the_keeper(world: World, fails_at: str) -> None:
    limit(world, marked=True)
    world.parked(**WAITS, notBefore=NOW + 60)
    world.tables.answers[fails_at] = [DENIED if fails_at == "SendMessage" else LOST]

    assert world.place(DISPATCH).code == "not-before"


@pytest.mark.parametrize("reason", ["short-of-time", "circuit-open", "key-unreadable", "key-declined"])
def test_a_reserved_line_is_only_given_back_where_no_other_could_be_dialled(world: World, reason: str) -> None:
    limit(world, RESERVED, marked=True)
    world.parked(**WAITS)
    left = 45.0
    match reason:
        case "circuit-open":
            open_circuit(world)
        case "key-unreadable":
            world.parked(**WAITS, request={"phoneNumber": PHONE_NUMBER}, setting="-")
            world.place_calls.allomia.organizations.assistant_id = None
        case "key-declined":
            world.allomia.post = returns(401)
        case _:
            left = SECONDS_TO_PLACE - 1
    world.tables.answers["UpdateItem policy"] = [FREE] * 3

    assert world.place(DISPATCH, left).code == reason

    assert RESERVED in given_back(world)
    assert handed_on(world) == (["visit-2032"] if reason == "short-of-time" else [])


def test_a_line_is_handed_on_where_its_attempt_ends_undialled(world: World) -> None:
    limit(world, marked=True)
    for changes, result in (
        ({"notAfter": NOW - 1}, PlaceResult.REJECTED),
        ({"notAfter": NOW - 1, "isRedial": True}, PlaceResult.REDIAL_DROPPED),
        ({"batch": "monday"}, PlaceResult.CANCELLED),
    ):
        world.tables.items["batch#~monday", "cancelled"] = {"source": "upstream"}
        world.parked(**WAITS | changes)
        assert world.place(DISPATCH).result is result

    assert (given_back(world), handed_on(world)) == ([RESERVED] * 3, ["visit-2032"] * 3)


def test_a_line_that_is_used_is_not_handed_on(world: World) -> None:
    limit(world, RESERVED, marked=True)
    world.parked(**WAITS)
    taken = {"lines": {CLAIM[:16]: NOW + 60}, "countedSince": NOW}
    world.tables.answers["UpdateItem policy"] = [well(Attributes=to_dynamodb(taken))]

    assert world.place(DISPATCH).result is CALLING

    assert (given_back(world), handed_on(world)) == ([], [])


def test_a_parked_attempt_that_waits_for_no_line_gives_none_back(world: World) -> None:
    limit(world, marked=True)
    world.parked(notBefore=NOW + 60)

    assert world.place(DISPATCH).code == "not-before"
    assert (given_back(world), handed_on(world)) == ([], [])


def test_no_line_is_handed_on_while_the_policy_is_unreadable(world: World) -> None:
    limit(world, marked=True)
    world.tables.items["policy", "current"]["document"] = "{"
    world.parked(**WAITS)

    assert world.place(DISPATCH).code == "policy-unreadable"
    assert (given_back(world), handed_on(world)) == ([RESERVED], [])
