"""What each part of the calling policy asks of DynamoDB, counted exactly: what isn't used costs nothing."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, override
from uuid import uuid4

import pytest

from benchmarks.features import counts
from benchmarks.healthy_call import message
from benchmarks.write_units import UNIT_BYTES, item_bytes
from local.simulator import organization_id, returns
from outbound_calls.adapters.due_entries import DueBatch
from outbound_calls.contracts.vocabulary import Priority
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.domain.lines import line_reserved_for
from outbound_calls.use_cases.placement import PlaceResult
from tests.cloud.parts import FaultyNetwork, SampleAttempts
from tests.cloud.reading import index_items
from tests.cloud.world import CloudWorld, key_of
from tests.unit.parts import API_KEY, PHONE_NUMBER
from tests.world import DEADLINE_SECONDS, DUE_SHARDS, CloudResources, dispatch_message

AFTER_BUSY = {"on": {"busy": [600]}, "maxAttempts": 2}
CAPS = [{"calls": 9, "perSeconds": 3600}]
LATER = {"notBefore": "2026-04-02T00:00:00Z"}

LOW = Priority.LOW

type Counts = dict[str, int]
CALL = counts()


class CountedWorld(CloudWorld):
    """The use cases behind a network that counts. The policy was read less than 5 seconds ago."""

    def __init__(self, resources: CloudResources, attempts: SampleAttempts, network: FaultyNetwork) -> None:
        self.network = network
        self.variables: dict[str, str] = {}
        super().__init__(resources, attempts, lambda service, *_: network.client(service))

    @override
    def configure(self, **variables: str) -> None:
        super().configure(**self.variables | variables)

    def decided_by(self, **says: Any) -> None:
        self.decide_by(**says)
        if "maxConcurrentCalls" in says:
            self.release_lines.lines_table.note_counted(None, int(self.clock.now))
        self.placed()
        self.network.operations.clear()

    def counted(self) -> Counts:
        """The requests since the last look, except for the secrets, which are kept for minutes."""
        found = Counter(each for each in self.network.operations if each != "GetSecretValue")
        self.network.operations.clear()
        return dict(found)


@pytest.fixture
def world(resources: CloudResources, attempts: SampleAttempts, network: FaultyNetwork) -> Iterator[CountedWorld]:
    world = CountedWorld(resources, attempts, network)
    yield world
    world.close()


def call(world: CountedWorld, status: str = "completed", **request: Any) -> AttemptKey:
    key = world.placed(**request)
    world.webhook(key, status)
    return key


@pytest.mark.parametrize(
    ("policy", "request_fields", "expected"),
    [
        ({}, {}, CALL),
        ({"basedOn": "canada"}, {"timeZone": "America/Toronto"}, counts("calling windows")),
        ({}, {"batch": "monday"}, counts("a batch")),
        ({"recipientCaps": CAPS}, {}, counts("a cap on calls to one recipient")),
        ({"maxConcurrentCalls": 99}, {}, counts("a limit of calls at once, with a free line")),
        ({"redial": AFTER_BUSY}, {}, counts("rules for a redial, whether it comes or not")),
        ({"redial": AFTER_BUSY}, {"redial": {"maxAttempts": 1}}, CALL),
    ],
    ids=["nothing", "windows", "batch", "caps", "lines", "redial", "no redial"],
)
def test_a_call_pays_for_what_the_policy_uses(
    world: CountedWorld, policy: dict[str, Any], request_fields: dict[str, Any], expected: Counts
) -> None:
    world.decided_by(**policy)

    call(world, **request_fields)

    assert world.counted() == expected


def test_with_an_organizations_id_each_dial_is_remembered_by_a_write(
    world: CountedWorld, resources: CloudResources
) -> None:
    with_id(world, resources)
    world.decided_by()

    key = call(world)

    assert world.counted() == counts("AlloMia's id of the organization, for its call log")
    assert "numberHash" not in world.attempts.existing_item(key)


def test_a_look_at_the_call_log_is_a_read_and_two_writes(world: CountedWorld, resources: CloudResources) -> None:
    with_id(world, resources)
    world.decided_by()
    world.allomia.post = "drop-after-accept"
    world.allomia.configure(ring_seconds=60)
    key = world.placed(phoneNumber="+14155550777")
    world.pass_seconds(DEADLINE_SECONDS)
    world.network.operations.clear()

    world.poll(key)

    # The lease; who else dialled the number; whose the entry is; and the outcome.
    assert world.attempts.status(key) == "completed"
    assert world.counted() == {"UpdateItem": 2, "Query": 1, "PutItem": 1}


def with_id(world: CountedWorld, resources: CloudResources) -> None:
    """Configure AlloMia's id of the organization."""
    secret = json.dumps({"apiKey": API_KEY, "organizationId": organization_id("own")})
    world.variables = {"ALLOMIA_API_KEY_SECRET_ARN": resources.new_secret(secret)}


def test_the_policy_is_read_once_in_five_seconds(world: CountedWorld) -> None:
    world.decided_by()
    for _ in range(3):
        world.placed()
    assert "GetItem" not in world.counted()

    world.pass_seconds(5)
    for _ in range(3):
        world.placed()

    assert world.counted()["GetItem"] == 1


def test_a_redial_is_a_transaction_and_a_call(world: CountedWorld) -> None:
    world.decided_by(redial=AFTER_BUSY)
    key = call(world, "busy")
    # The outcome is written a second time, because rules for a redial were found.
    assert world.counted() == CALL | {"UpdateItem": 3}

    following = world.redialled(key)
    world.network.operations.remove("SendMessage")
    assert world.counted() == {"UpdateItem": 1, "TransactWriteItems": 1}

    # The dispatch message reads the attempt; the policy is read again, ten minutes later.
    (dispatch,) = world.queued()
    world.network.operations.clear()
    world.place(dispatch)
    world.webhook(following, "busy")
    assert world.counted() == {"GetItem": 2, "Query": 1, "UpdateItem": 3}


def test_a_redial_that_is_dropped_is_a_transaction_more(world: CountedWorld) -> None:
    world.decided_by(redial=AFTER_BUSY)
    key = call(world, "busy")
    world.redialled(key)
    (dispatch,) = world.queued()
    world.place({"doNotCall": {"phoneNumber": PHONE_NUMBER}})
    world.network.operations.clear()

    world.place(dispatch)

    assert world.counted() == {"GetItem": 2, "Query": 1, "TransactWriteItems": 1}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("unseen", {"Query": 1, "PutItem": 1}),
        ("parked", {"Query": 1, "UpdateItem": 1}),
        ("calling", {"Query": 1, "UpdateItem": 1}),
        ("redial pending", {"Query": 1, "UpdateItem": 1}),
        ("ended", {"Query": 1}),
    ],
)
def test_a_cancellation_is_a_read_and_a_write(world: CountedWorld, kind: str, expected: Counts) -> None:
    world.decided_by(redial=AFTER_BUSY)
    request = world.request(**(LATER if kind == "parked" else {}))
    if kind != "unseen":
        world.place(request)
    if kind in {"redial pending", "ended"}:
        world.webhook(key_of(request), "busy" if kind == "redial pending" else "completed")
    world.network.operations.clear()

    world.place({"cancel": {"requestId": request["requestId"]}})

    assert world.counted() == expected


def test_a_number_is_listed_by_one_write(world: CountedWorld) -> None:
    world.decided_by()

    world.place({"doNotCall": {"phoneNumber": PHONE_NUMBER}})

    assert world.counted() == {"PutItem": 1}


def test_a_cancelled_batch_is_two_writes_and_a_search_of_what_is_open(world: CountedWorld) -> None:
    world.decided_by()
    keys = [world.placed(batch="counted", **LATER) for _ in range(2)]
    world.network.operations.clear()

    world.place({"cancel": {"batch": "counted"}})

    # The mark, and what reminds the poller.
    assert world.counted() == {"UpdateItem": 2}
    table = world.attempts.table
    open_ = index_items(table.client, table.name)
    shards = {each["dueShard"]["N"] for each in open_ if each["attempt"]["N"] != "0"}
    world.poll_calls.cancel_batch(DueBatch(None, "counted", int(world.clock.now) + 10), lambda: 60.0)
    # A page of each shard and the records in it, noted for all but the last; the lease; a query and a write for each.
    assert world.counted() == {
        "Query": DUE_SHARDS + len(keys),
        "BatchGetItem": len(shards),
        "UpdateItem": 1 + DUE_SHARDS - 1 + len(keys),
        "DeleteItem": 1,
    }


@pytest.mark.parametrize("policy", ["open", "canada"])
@pytest.mark.parametrize("is_looked_for", [False, True])
def test_the_record_of_a_call_stays_within_one_write_unit(
    world: CountedWorld, resources: CloudResources, policy: str, is_looked_for: bool
) -> None:
    if is_looked_for:
        with_id(world, resources)
    world.decide_by(basedOn=policy)
    request = json.loads(message(f"counted-{uuid4().int}"[:30])) | {"phoneNumber": "+15145550199"}

    assert world.place(request).result is PlaceResult.CALLING

    item = world.attempts.image(key_of(request)) or {}
    # Once AlloMia has given the call an id, it needs no look at the log.
    assert "numberHash" not in item
    assert 900 < item_bytes(item) <= UNIT_BYTES
    world.webhook(key_of(request))
    assert item_bytes(world.attempts.image(key_of(request)) or {}) <= UNIT_BYTES


def test_a_dial_that_allomia_does_not_take_is_given_back_by_a_read_and_a_write(world: CountedWorld) -> None:
    world.decided_by(recipientCaps=CAPS)
    world.allomia.post = returns(429)

    world.placed()

    # The claim and the dial are put, the dial is read again and put without it, and the claim is released.
    assert world.counted() == {"Query": 2, "PutItem": 3, "UpdateItem": 1}


def test_a_claim_with_the_hash_of_its_number_stays_within_one_write_unit(
    world: CountedWorld, resources: CloudResources
) -> None:
    with_id(world, resources)
    world.decide_by(basedOn="canada")
    world.allomia.post = "drop-after-accept"
    request = json.loads(message(f"counted-{uuid4().int}"[:30])) | {"phoneNumber": "+15145550199"}

    assert world.place(request).result is PlaceResult.AMBIGUOUS

    item = world.attempts.image(key_of(request)) or {}
    assert "numberHash" in item
    assert 900 < item_bytes(item) <= UNIT_BYTES


def test_a_call_that_waits_for_a_line_pays_for_its_place(world: CountedWorld) -> None:
    world.decided_by(maxConcurrentCalls=1)
    waiting = world.placed()
    # The lines are read; the keeper is expected, the attempt put, and its mark set.
    assert world.counted() == {"Query": 1, "GetItem": 1, "PutItem": 1, "UpdateItem": 2}

    (held,) = world.release_lines.lines_table.read_lines(None).used
    world.network.operations.clear()
    image = {"requestId": {"S": "a"}, "attempt": {"N": "1"}, "line": {"S": held}, "status": {"S": "completed"}}
    world.release_lines.release([image | {name: {"N": "1"} for name in ("createdAt", "timesParked")}], lambda: 30.0)
    # The line is freed; who waits is read, leased, a line reserved for it, and it is dispatched.
    assert world.counted() == {"GetItem": 1, "UpdateItem": 3, "Query": 1, "SendMessage": 1}

    world.place(dispatch_message(waiting))
    # The dispatched attempt and the lines are read; it is claimed, takes its line, and is settled.
    assert world.counted() == {"GetItem": 2, "Query": 1, "UpdateItem": 3}


@pytest.mark.parametrize(("lines", "units"), [(10, 1), (40, 1), (50, 2), (200, 5)])
def test_a_write_of_the_lines_costs_what_the_capacity_page_says(world: CountedWorld, lines: int, units: int) -> None:
    world.decided_by(maxConcurrentCalls=lines)
    table = world.release_lines.lines_table
    for number in range(lines):
        table.take_line(None, uuid4().hex, line_reserved_for(AttemptKey(RequestKey("a"), number)), LOW, lines, 2**31)
    key = {"subject": {"S": "lines#default"}, "entry": {"S": "lines"}}
    item = table.client.get_item(TableName=table.name, Key=key)["Item"]

    assert len(item["lines"]["M"]) == lines
    assert math.ceil(item_bytes(item) / UNIT_BYTES) == units
