"""The table in memory gives the same answers as the local cloud's DynamoDB, operation by operation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.cloud import LocalCloud
from outbound_calls.adapters.calls_table import CallsTable, DueEntry
from outbound_calls.adapters.dial_marks import DialMarks
from outbound_calls.adapters.due_entries import DueKeeper
from outbound_calls.adapters.policy_table import PolicyChanged, PolicyTable, Remembered, TakenDial
from outbound_calls.adapters.waiting_attempts import FIRST_LOOK_SECONDS, KEEPER_SECONDS, WaitingAttempts
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.domain.attempts import (
    Allowance,
    Attempt,
    AttemptKey,
    CallDetails,
    CallRequest,
    Labels,
    Outcome,
    Redial,
    Refusal,
    Terms,
)
from outbound_calls.domain.log_matches import Window
from outbound_calls.domain.recipients import Objection, PastDial
from outbound_calls.domain.transitions import ALLOMIA_OUTCOMES, TERMINAL, TRANSITIONS
from tests.proof.explorer.table import (
    ConditionalCheckFailed,
    TableInMemory,
    TransactionCancelled,
    Unsupported,
    key_of,
)
from tests.proof.explorer.workers import DUE_SHARDS, attempt_key, calls_table
from tests.world import create_calls_table, create_policy_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EXAMPLES = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CALLS = ("c3d4e5f6-a7b8-9012-cdef-345678901234", "0a0b0c0d-a7b8-9012-cdef-345678901234")
numbers = itertools.count()


class Twins:
    """A DynamoDB client that asks both tables, and fails when their answers differ."""

    class exceptions:  # noqa: N801 - boto3's name
        ConditionalCheckFailedException: ClassVar = ConditionalCheckFailed
        TransactionCanceledException: ClassVar = TransactionCancelled

    def __init__(self, cloud: DynamoDBClient, name: str) -> None:
        self.memory = TableInMemory()
        self.cloud, self.name = cloud, name
        self.operations = 0

    def get_item(self, **arguments: Any) -> Any:
        return self._both("get_item", arguments)

    def put_item(self, **arguments: Any) -> Any:
        return self._both("put_item", arguments)

    def update_item(self, **arguments: Any) -> Any:
        return self._both("update_item", arguments)

    def delete_item(self, **arguments: Any) -> Any:
        return self._both("delete_item", arguments)

    def transact_write_items(self, *, TransactItems: list[Any]) -> Any:  # noqa: N803 - boto3's name
        writes = [
            {kind: arguments | {"TableName": self.name}} for each in TransactItems for kind, arguments in each.items()
        ]
        self.operations += 1
        # Sent again under one token, it must answer the same, and change nothing.
        token = str(uuid4())
        memory_error = None
        for _ in range(2):
            asked = {"TransactItems": writes, "ClientRequestToken": token}
            _, memory_error = self._ask(self.memory.transact_write_items, asked)
            _, cloud_error = self._ask(self.cloud.transact_write_items, asked)
            assert _content(memory_error) == _content(cloud_error), writes
            for write in writes:
                ((_, arguments),) = write.items()
                self._same(arguments.get("Key") or arguments["Item"])
        if memory_error:
            raise memory_error
        return {}

    def due(self, shard: int, now: int, request_id: str) -> list[Any]:
        """What both find of one request's attempts in the index."""
        found = [
            [item for item in client.query(**self._query(shard, now))["Items"] if item["requestId"]["S"] == request_id]
            for client in (self.memory, self.cloud)
        ]
        assert found[0] == found[1]
        return found[0]

    def get_paginator(self, operation: str) -> Twins:
        assert operation == "query"
        return self

    def paginate(self, **arguments: Any) -> Iterator[Any]:
        arguments |= {"TableName": self.name}
        found = self.memory.query(**arguments)["Items"]
        assert found == self.cloud.query(**arguments)["Items"]
        yield {"Items": found}

    def empty(self, subject: str) -> None:
        """Forget all items of a subject of the policy table."""
        asked: Any = {"KeyConditionExpression": "subject = :subject", "ConsistentRead": True}
        asked["ExpressionAttributeValues"] = {":subject": {"S": subject}}
        for item in self.cloud.query(TableName=self.name, **asked)["Items"]:
            self.cloud.delete_item(TableName=self.name, Key={name: item[name] for name in ("subject", "entry")})
        for key in [key for key in self.memory.items if key[0] == subject]:
            del self.memory.items[key]

    def query(self, **arguments: Any) -> Any:
        arguments |= {"TableName": self.name}
        answer = self.cloud.query(**arguments)
        found = self.memory.query(**arguments)
        assert found == {name: answer[name] for name in ("Items", "Count") if name in answer}, arguments
        return answer

    def _query(self, shard: int, now: int) -> Any:
        return {
            "TableName": self.name,
            "IndexName": "due",
            "KeyConditionExpression": "dueShard = :shard AND dueAt <= :sweptAt",
            "ExpressionAttributeValues": {":shard": {"N": str(shard)}, ":sweptAt": {"N": str(now)}},
        }

    def _both(self, operation: str, arguments: dict[str, Any]) -> Any:
        arguments = arguments | {"TableName": self.name}
        self.operations += 1
        in_memory, memory_error = self._ask(getattr(self.memory, operation), arguments)
        in_cloud, cloud_error = self._ask(getattr(self.cloud, operation), arguments)
        assert (in_memory, _content(memory_error)) == (in_cloud, _content(cloud_error)), arguments
        self._same(arguments.get("Key") or arguments["Item"])
        if memory_error:
            raise memory_error
        return in_memory

    def _same(self, item: dict[str, Any]) -> None:
        """Check that both have the same item under the key that is in this one."""
        names = "requestId", "attempt", "subject", "entry"
        key: Any = {name: item[name] for name in names if name in item}
        stored = self.cloud.get_item(TableName=self.name, Key=key, ConsistentRead=True).get("Item")
        assert self.memory.items.get(key_of(key)) == stored

    def _ask(self, ask: Callable[..., Any], arguments: dict[str, Any]) -> tuple[Any, ClientError | None]:
        try:
            answer = ask(**arguments)
        except ClientError as error:
            return None, error
        return {name: answer[name] for name in ("Attributes", "Item") if name in answer}, None


def _content(error: ClientError | None) -> tuple[str, Any] | None:
    found: Any = error.response if error else {}
    reasons = [each["Code"] for each in found.get("CancellationReasons", [])]
    return (found["Error"]["Code"], found.get("Item") or reasons) if error else None


@pytest.fixture(scope="module")
def cloud_tables() -> Iterator[tuple[DynamoDBClient, str, str]]:
    with LocalCloud() as cloud:
        dynamodb = cloud.client("dynamodb")
        yield dynamodb, create_calls_table(dynamodb), create_policy_table(dynamodb)


@pytest.fixture
def twins(cloud_tables: tuple[DynamoDBClient, str, str]) -> Twins:
    return Twins(*cloud_tables[:2])


@pytest.fixture
def policy_twins(cloud_tables: tuple[DynamoDBClient, str, str]) -> Twins:
    return Twins(cloud_tables[0], cloud_tables[2])


type Operation = Callable[[CallsTable, AttemptKey, list[Attempt]], object]

times = st.integers(1000, 1040)
claims = st.sampled_from(["claim one", "claim two"])
outcomes = st.builds(
    Outcome,
    status=st.sampled_from([Status.COMPLETED, Status.BUSY, Status.REJECTED, Status.UNKNOWN]),
    source=st.just(OutcomeSource.WEBHOOK),
    outbound_call_id=st.sampled_from([None, *CALLS]),
    call_details=st.sampled_from([None, CallDetails(duration=2.5, ended_reason="x"), CallDetails(duration=150)]),
).flatmap(
    lambda outcome: st.sampled_from([outcome, replace(outcome, reason_code=ReasonCode.EXPIRED, reason="a reason")])
)
requests = st.builds(
    CallRequest,
    phone_number=st.just("+14155550123"),
    assistant_id=st.just(CALLS[0]),
    phone_number_id=st.just(CALLS[1]),
    dynamic_variables=st.sampled_from([None, {"clinic": "North"}]),
)
redials = st.sampled_from([None, Redial(2, {"busy": (20,)}), Redial(5, {"busy": (20,)}, {"x": (5,)})])
labels = st.builds(Labels, metadata=st.sampled_from([{}, {"a": "b"}]), batch=st.sampled_from([None, "batch"]))


class Drawn(NamedTuple):
    """What an operation is made with."""

    now: int
    claim_id: str
    place: int
    """Which of the attempts seen before it is for."""

    request: CallRequest
    labels: Labels
    outcome: Outcome
    call_id: str
    redial: Redial | None
    park_reason: ParkReason

    def new(self, key: AttemptKey) -> Attempt:
        terms = Terms(not_after=1100, redial={"maxAttempts": 2} if self.redial else None)
        allowance = Allowance(1, "open") if self.redial else None
        return Attempt(
            key,
            self.now,
            request=self.request,
            labels=self.labels,
            terms=terms,
            redial=self.redial,
            allowance=allowance,
        )

    def following(self, attempt: Attempt) -> Attempt:
        return self.new(replace(attempt.key, number=attempt.key.number + 1))

    def on(self, do: Callable[[CallsTable, Attempt], object], may_become: Status | None = None) -> Operation:
        """An operation on an attempt as it was seen some time before."""

        def operation(table: CallsTable, _key: AttemptKey, attempts: list[Attempt]) -> object:
            attempt = attempts[self.place % len(attempts)] if attempts else None
            if attempt is None or (may_become and may_become not in TRANSITIONS[attempt.status]):
                return None
            return do(table, attempt)

        return operation


drawn = st.builds(
    Drawn,
    times,
    claims,
    st.integers(0, 9),
    requests,
    labels,
    outcomes,
    st.sampled_from(CALLS),
    redials,
    st.sampled_from(list(ParkReason)),
)


def operations_on_a_key(drawn: Drawn) -> list[Operation]:
    now, outcome = drawn.now, drawn.outcome
    return [
        lambda table, key, _seen: table.read(key),
        lambda table, key, _seen: table.read_all(key.request),
        lambda table, key, _seen: table.claim(drawn.new(key), drawn.claim_id, now, 10),
        lambda table, key, _seen: table.park(drawn.new(key), now + 5, ParkReason.SHORT_OF_TIME),
        lambda table, key, _seen: table.reject(drawn.new(key), outcome, now),
        lambda table, key, _seen: table.record(key, outcome, now),
        lambda table, key, _seen: table.resolve(key, Status.COMPLETED, now),
        lambda table, key, _seen: table.cancel_unseen(key.request, OutcomeSource.UPSTREAM, now),
    ]


def operations_on_an_attempt(drawn: Drawn) -> list[Operation]:
    now, outcome, on = drawn.now, drawn.outcome, drawn.on
    return [
        on(
            lambda table, attempt: (
                table.cancel_scheduled(attempt, outcome, now)
                if outcome.status in TRANSITIONS[Status.SCHEDULED]
                else None
            )
        ),
        on(lambda table, attempt: table.stop(attempt, outcome, now)),
        on(lambda table, attempt: table.stop_of(attempt)),
        on(lambda table, attempt: table.request_cancel(attempt, OutcomeSource.UPSTREAM, now)),
        on(lambda table, attempt: table.note_answered(attempt, now)),
        on(lambda table, attempt: table.drop_redial(attempt, now, requested=True) if attempt.redial_at else None),
        on(
            lambda table, attempt: (
                table.make_next(attempt, drawn.following(attempt), ParkReason.REDIAL, now)
                and table.read(drawn.following(attempt).key)
                if attempt.status in TERMINAL
                else None
            )
        ),
        on(
            lambda table, attempt: table.drop(attempt, outcome, now) if attempt.status not in ALLOMIA_OUTCOMES else None
        ),
        on(lambda table, attempt: table.note(attempt.key, drawn.call_id, "ringing", now)),
        on(lambda table, attempt: table.park(attempt, now + 9, drawn.park_reason), Status.SCHEDULED),
        on(lambda table, attempt: table.claim(replace(attempt, redial=drawn.redial), drawn.claim_id, now, 10)),
        on(lambda table, attempt: table.park(attempt, now + 30.5, ParkReason.RATE_LIMITED), Status.SCHEDULED),
        on(lambda table, attempt: table.reject(attempt, outcome, now), outcome.status),
        on(lambda table, attempt: table.settle(attempt, drawn.call_id, None)),
        on(lambda table, attempt: table.give_up(attempt, outcome, now)),
        on(lambda table, attempt: table.note_lost_answer(attempt, "a time-out")),
        on(lambda table, attempt: table.count_refused(attempt, 3)),
        on(
            lambda table, attempt: table.park(
                attempt, now + 60, ParkReason.REFUSED_BY_ALLOMIA, Refusal(now, 1, "HTTP 400")
            ),
            Status.SCHEDULED,
        ),
        on(lambda table, attempt: table.lease(DueEntry(attempt.key, attempt.due_at or 1), now, 10)),
        on(lambda table, attempt: table.set_due(attempt, now + 3) if attempt.due_at else None),
    ]


operations = drawn.flatmap(
    lambda drawn: st.sampled_from([*operations_on_a_key(drawn), *operations_on_an_attempt(drawn)])
)


@EXAMPLES
@given(chosen=st.lists(operations, min_size=3, max_size=12))
def test_both_tables_give_the_same_answers_to_the_calls_table(twins: Twins, chosen: list[Operation]) -> None:
    # Given a request that neither table has
    key = attempt_key(f"twins-{next(numbers)}", 1)
    both = calls_table(twins)
    seen: list[Attempt] = []
    for operation in chosen:
        # When the calls table does something (`Twins` compares the answers and what is stored then)
        with suppress(ClientError):
            result = operation(both, key, seen)
            attempt = getattr(result, "attempt", result)
            if isinstance(attempt, Attempt):
                seen.append(attempt)
        # Then both indexes hold the same
        for shard in range(DUE_SHARDS):
            twins.due(shard, 1020, str(key.request))
    assert twins.operations


def test_both_tables_give_the_same_answers_to_the_keeper(twins: Twins) -> None:
    # Given two attempts that wait for another policy, the later one parked first
    both = calls_table(twins)
    waiting_attempts = WaitingAttempts(both)
    request = CallRequest("+14155550123", *CALLS)
    for place, created_at in enumerate((1002, 1001)):
        key = attempt_key(f"twins-{next(numbers)}", 1)
        waiting_attempts.expect_waiting(None, 1000 + place)
        both.park(Attempt(key, created_at, request=request, policy_version=1), 5000, ParkReason.PAUSED)
    due = DueKeeper(None, 1000 + FIRST_LOOK_SECONDS)

    # When the keeper looks twice at the same time, and lets them go
    keeper = waiting_attempts.lease_keeper(due, 1060)
    assert keeper
    assert waiting_attempts.lease_keeper(due, 1060) is None
    waiting = list(waiting_attempts.waiting_for_policy(None))
    assert waiting_attempts.first_for_policy(None) == waiting[0]

    # Then both tables let each go once, and no later than it was due
    leased = [[waiting_attempts.lease_for_dispatch(each, at, 2) for at in (5000, 1070, 1065)] for each in waiting]
    assert [[attempt is not None for attempt in each] for each in leased] == [[False, True, False]] * 2

    # And the keeper goes once nothing has arrived between two looks
    waiting_attempts.note_released(keeper, 2)
    assert not waiting_attempts.rest_keeper(keeper)
    waiting_attempts.expect_waiting(None, 1061)
    assert not waiting_attempts.rest_keeper(replace(keeper, empty_at=keeper.arrivals))
    again = waiting_attempts.lease_keeper(replace(due, due_at=1060 + KEEPER_SECONDS), 1120)
    assert again
    assert waiting_attempts.rest_keeper(replace(again, empty_at=again.arrivals))


NUMBERS = ("hash-one", "hash-two")
objections = st.sampled_from([Objection(), Objection(1020), Objection(2000.5, "boston", ("marketing",))])


@st.composite
def policy_operations(draw: st.DrawFn) -> Callable[[PolicyTable, list[Remembered]], object]:
    """One operation of the policy table."""
    now, number, place, source = draw(times), draw(st.sampled_from(NUMBERS)), draw(st.integers(0, 9)), OutcomeSource
    objection, claim = draw(objections), draw(claims)
    purpose = draw(st.sampled_from([None, "marketing"]))
    taken = TakenDial(draw(st.sampled_from(["a/1", "b/1"])), claim, PastDial(now, None, purpose))

    def take(table: PolicyTable, seen: list[Remembered]) -> object:
        return table.take_dial(number, seen[place % len(seen)] if seen else Remembered(), taken, now)

    def marks(table: PolicyTable) -> DialMarks:
        return DialMarks(table.client, table.name)

    choices: list[Callable[[PolicyTable, list[Remembered]], object]] = [
        take,
        lambda table, _seen: table.remembered(number),
        lambda table, _seen: table.give_back_dial(number, taken.attempt, claim, now),
        lambda table, _seen: table.add_objection(number, objection, source.UPSTREAM, now),
        lambda table, _seen: table.cancel_batch(None, "batch", source.OPERATOR, now),
        lambda table, _seen: table.batch_cancelled_by(None, "batch"),
        lambda table, _seen: table.policy(),
        lambda table, _seen: table.set_policy("{}", "someone", now, place % 3),
        lambda table, _seen: marks(table).mark_dial("own", number, taken.attempt, now),
        lambda table, _seen: marks(table).has_rival("own", number, "a/1", Window(now - place, now + place)),
        lambda table, _seen: marks(table).bind_entry("own", "entry", taken.attempt, now),
    ]
    chosen: Callable[[PolicyTable, list[Remembered]], object] = draw(st.sampled_from(choices))
    return chosen


@EXAMPLES
@given(chosen=st.lists(policy_operations(), min_size=3, max_size=12))
def test_both_tables_give_the_same_answers_to_the_policy_table(
    policy_twins: Twins, chosen: list[Callable[[PolicyTable, list[Remembered]], object]]
) -> None:
    # Given tables that are empty
    dialled = (f"call-log#own#{number}" for number in NUMBERS)
    for name in (*(f"number#{number}" for number in NUMBERS), *dialled, "call-log#own", "policy", "batch#~batch"):
        policy_twins.empty(name)
    both = PolicyTable(cast("DynamoDBClient", policy_twins), "policy")
    seen: list[Remembered] = []
    # When the policy table does something, then both answer the same
    for operation in chosen:
        with suppress(PolicyChanged):
            if isinstance(result := operation(both, seen), Remembered):
                seen.append(result)
    assert policy_twins.operations


values = st.sampled_from([":text", ":other", ":number"])
# Only numbers are added here: the local cloud accepts adding texts, and DynamoDB does not.
addends = st.sampled_from([":number", "#number", "#missing"])
operands = st.sampled_from([":text", ":other", ":number", "#text", "#number", "#missing"])
# So what may be added is never set to a text.
COMPUTED = {"#number", "#missing"}
computed_operands = st.sampled_from([":number", "#text", "#number", "#missing"])
paths = st.sampled_from(["#text", "#number", "#missing", "#another"])
conditions = st.recursive(
    st.one_of(
        st.builds("attribute_not_exists({})".format, paths),
        st.builds("attribute_exists({})".format, paths),
        # Only values on the right, as in the calls table's conditions: two missing attributes are equal for the local
        # cloud, and not for DynamoDB.
        st.builds("{} = {}".format, paths, values),
        st.builds("{} IN ({}, {})".format, paths, values, values),
    ),
    lambda inner: st.one_of(
        st.builds("({} AND {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
        st.builds("{} AND {} OR {}".format, inner, inner, inner),
    ),
    max_leaves=4,
)


@st.composite
def changes(draw: st.DrawFn) -> str:
    """An update expression in which no attribute is changed twice."""
    targets = draw(st.permutations(["#text", "#number", "#missing", "#another"]))

    def value(target: str) -> st.SearchStrategy[str]:
        allowed = computed_operands if target in COMPUTED else operands
        return st.one_of(
            allowed,
            st.builds("{} + {}".format, addends, addends),
            st.builds("if_not_exists({}, {})".format, paths, allowed),
        )

    sets = [f"{target} = {draw(value(target))}" for target in targets[: draw(st.integers(1, 2))]]
    clauses = [f"SET {', '.join(sets)}"]
    if draw(st.booleans()):
        clauses.append(f"REMOVE {targets[2]}")
    if targets[3] in COMPUTED and draw(st.booleans()):
        clauses.append(f"ADD {targets[3]} :number")
    return " ".join(clauses)


@EXAMPLES
@given(change=changes(), condition=conditions, exists=st.booleans(), returns=st.sampled_from(["NONE", "ALL_OLD"]))
def test_both_tables_give_the_same_answer_to_any_update(
    twins: Twins, change: str, condition: str, exists: bool, returns: str
) -> None:
    # Given an item or none
    key = {"requestId": {"S": f"raw-{next(numbers)}"}, "attempt": {"N": "1"}}
    if exists:
        twins.put_item(Item=key | {"text": {"S": "a"}, "number": {"N": "7.50"}})
    # When it is updated, then both answer the same
    names = {f"#{name}": name for name in ("text", "number", "missing", "another")}
    given_values = {":text": {"S": "a"}, ":other": {"S": "b"}, ":number": {"N": "2"}}
    used = f"{change} {condition}"
    arguments = {
        "Key": key,
        "UpdateExpression": change,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {token: name for token, name in names.items() if token in used},
        "ExpressionAttributeValues": {token: value for token, value in given_values.items() if token in used},
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": returns,
    }
    if not arguments["ExpressionAttributeValues"]:
        return
    with suppress(ClientError):
        twins.update_item(**arguments)


@pytest.mark.parametrize("expression", ["SET #a = list_append(#a, :b)", "DELETE #a :b", "SET #a.b = :b"])
def test_an_unsupported_update_raises(expression: str) -> None:
    with pytest.raises(Unsupported):
        TableInMemory().update_item(
            TableName="calls",
            Key={"requestId": {"S": "a"}, "attempt": {"N": "1"}},
            UpdateExpression=expression,
            ExpressionAttributeNames={"#a": "a"},
            ExpressionAttributeValues={":b": {"S": "b"}},
        )
