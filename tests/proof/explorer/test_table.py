"""The table in memory answers as the local cloud's DynamoDB does, operation by operation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from outbound_calls.ledger import Call, DueItem, Ledger
from outbound_calls.lifecycle import OutcomeSource, Status

from local.cloud import LocalCloud
from outbound_calls.contracts import AttemptKey, CallDetails, CallRequest, Outcome
from tests.cloud.parts import create_calls_table
from tests.proof.explorer.table import Beyond, ConditionalCheckFailed, TableInMemory
from tests.proof.explorer.workers import ledger

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
    """A DynamoDB client that asks two tables, and insists that they answer alike."""

    class exceptions:  # noqa: N801 - the name that boto3's clients give it
        ConditionalCheckFailedException: ClassVar = ConditionalCheckFailed

    def __init__(self, cloud: DynamoDBClient, name: str) -> None:
        self.memory = TableInMemory()
        self.cloud, self.name = cloud, name
        self.operations = 0

    def put_item(self, **wish: Any) -> Any:
        return self._both("put_item", wish)

    def update_item(self, **wish: Any) -> Any:
        return self._both("update_item", wish)

    def due(self, shard: int, now: int, mine: str) -> list[Any]:
        """What both find in the index, of one request's attempts."""
        found = [
            [item for item in client.query(**self._query(shard, now))["Items"] if item["requestId"]["S"] == mine]
            for client in (self.memory, self.cloud)
        ]
        assert found[0] == found[1]
        return found[0]

    def _query(self, shard: int, now: int) -> Any:
        return {
            "TableName": self.name,
            "IndexName": "due",
            "KeyConditionExpression": "dueShard = :shard AND dueAt <= :sweptAt",
            "ExpressionAttributeValues": {":shard": {"N": str(shard)}, ":sweptAt": {"N": str(now)}},
        }

    def _both(self, operation: str, wish: dict[str, Any]) -> Any:
        wish = wish | {"TableName": self.name}
        self.operations += 1
        in_memory, memory_error = self._ask(getattr(self.memory, operation), wish)
        in_cloud, cloud_error = self._ask(getattr(self.cloud, operation), wish)
        assert (in_memory, _told(memory_error)) == (in_cloud, _told(cloud_error)), wish
        key = wish.get("Key") or {name: wish["Item"][name] for name in ("requestId", "attempt")}
        stored = self.cloud.get_item(TableName=self.name, Key=key, ConsistentRead=True).get("Item")
        assert self.memory.items.get((key["requestId"]["S"], int(key["attempt"]["N"]))) == stored
        if memory_error:
            raise memory_error
        return {"Attributes": in_memory} if in_memory else {}

    def _ask(self, ask: Callable[..., Any], wish: dict[str, Any]) -> tuple[Any, ClientError | None]:
        try:
            return ask(**wish).get("Attributes"), None
        except ClientError as error:
            return None, error


def _told(error: ClientError | None) -> tuple[str, Any] | None:
    found: Any = error.response if error else {}
    return (found["Error"]["Code"], found.get("Item")) if error else None


@pytest.fixture(scope="module")
def cloud_table() -> Iterator[tuple[DynamoDBClient, str]]:
    with LocalCloud() as cloud:
        dynamodb = cloud.client("dynamodb")
        yield dynamodb, create_calls_table(dynamodb)


@pytest.fixture
def twins(cloud_table: tuple[DynamoDBClient, str]) -> Twins:
    return Twins(*cloud_table)


type Deed = Callable[[Ledger, AttemptKey, list[Call]], object]

times = st.integers(1000, 1040)
claims = st.sampled_from(["claim one", "claim two"])


@st.composite
def deeds(draw: st.DrawFn) -> Deed:
    """One thing that is asked of the ledger, of a call as it was seen some time before."""
    now, claim_id, place = draw(times), draw(claims), draw(st.integers(0, 9))

    def seen(calls: list[Call]) -> Call | None:
        return calls[place % len(calls)] if calls else None

    def of_call(do: Callable[[Ledger, Call], object]) -> Deed:
        return lambda ledger, _key, calls: do(ledger, call) if (call := seen(calls)) else None

    request = CallRequest(
        phone_number="+14155550123",
        dynamic_variables=draw(st.sampled_from([None, {"clinic": "North"}])),
        metadata=draw(st.sampled_from([None, {"a": "b"}])),
    )
    outcome = Outcome(
        status=draw(st.sampled_from([Status.COMPLETED, Status.BUSY, Status.REJECTED, Status.UNKNOWN])),
        source=OutcomeSource.WEBHOOK,
        outbound_call_id=draw(st.sampled_from([None, *CALLS])),
        call_details=draw(
            st.sampled_from([None, CallDetails(duration=2.5, ended_reason="x"), CallDetails(duration=150)])
        ),
        reason=draw(st.sampled_from([None, "a reason"])),
    )
    call_id = draw(st.sampled_from(CALLS))
    bound = draw(st.booleans())
    choices: list[Deed] = [
        lambda ledger, key, _calls: ledger.schedule(key, request, now, now + 5, "told so"),
        lambda ledger, key, _calls: ledger.claim_new(key, request, claim_id, now, 10),
        lambda ledger, key, _calls: ledger.claim_scheduled(key, claim_id, now, 10),
        lambda ledger, key, _calls: ledger.park_again(key, now + 30.5, "told so"),
        of_call(lambda ledger, call: ledger.unclaim(call, now + 30, "told so")),
        of_call(lambda ledger, call: ledger.settle(call, call_id, None)),
        lambda ledger, key, calls: ledger.record(key, outcome, now, seen(calls) if bound else None),
        of_call(lambda ledger, call: ledger.lease(DueItem(call.key, call.due_at or 1), now, 10)),
        of_call(lambda ledger, call: ledger.look_at(call, now + 3) if call.due_at else None),
    ]
    return draw(st.sampled_from(choices))


@EXAMPLES
@given(chosen=st.lists(deeds(), min_size=3, max_size=12))
def test_whatever_the_ledger_does_both_tables_answer_alike(twins: Twins, chosen: list[Deed]) -> None:
    # Given a request of its own in both tables
    key = AttemptKey(request_id=f"twins-{next(numbers)}", attempt=1)
    both = ledger(twins)
    calls: list[Call] = []
    for deed in chosen:
        # When the ledger does something (`Twins` compares the answers and what is stored then)
        done = deed(both, key, calls)
        call = getattr(done, "call", done)
        if isinstance(call, Call):
            calls.append(call)
        # Then both indexes say the same
        for shard in range(2):
            twins.due(shard, 1020, key.request_id)
    assert twins.operations


values = st.sampled_from([":text", ":other", ":number"])
# The local cloud adds texts up to nothing where DynamoDB refuses, so only numbers are added here.
addends = st.sampled_from([":number", "#number", "#missing"])
operands = st.sampled_from([":text", ":other", ":number", "#text", "#number", "#missing"])
paths = st.sampled_from(["#text", "#number", "#missing", "#another"])
conditions = st.recursive(
    st.one_of(
        st.builds("attribute_not_exists({})".format, paths),
        st.builds("attribute_exists({})".format, paths),
        # On the right stand only values, as in the ledger's conditions: two attributes that are both missing are equal
        # for the local cloud, and not for DynamoDB.
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
    value = st.one_of(operands, st.builds("{} + {}".format, addends, addends))
    sets = [f"{target} = {draw(value)}" for target in targets[: draw(st.integers(1, 2))]]
    clauses = [f"SET {', '.join(sets)}"]
    if draw(st.booleans()):
        clauses.append(f"REMOVE {targets[2]}")
    if draw(st.booleans()):
        clauses.append(f"ADD {targets[3]} :number")
    return " ".join(clauses)


@EXAMPLES
@given(change=changes(), condition=conditions, exists=st.booleans(), tells=st.sampled_from(["NONE", "ALL_OLD"]))
def test_both_tables_understand_an_update_alike(
    twins: Twins, change: str, condition: str, exists: bool, tells: str
) -> None:
    # Given an item, or none
    key = {"requestId": {"S": f"raw-{next(numbers)}"}, "attempt": {"N": "1"}}
    if exists:
        twins.put_item(Item=key | {"text": {"S": "a"}, "number": {"N": "7.50"}})
    # When it is updated, then both say the same of it
    names = {f"#{name}": name for name in ("text", "number", "missing", "another")}
    given_values = {":text": {"S": "a"}, ":other": {"S": "b"}, ":number": {"N": "2"}}
    used = f"{change} {condition}"
    wish = {
        "Key": key,
        "UpdateExpression": change,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {token: name for token, name in names.items() if token in used},
        "ExpressionAttributeValues": {token: value for token, value in given_values.items() if token in used},
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": tells,
    }
    if not wish["ExpressionAttributeValues"]:
        return
    with suppress(ClientError):
        twins.update_item(**wish)


@pytest.mark.parametrize("expression", ["SET #a = if_not_exists(#a, :b)", "DELETE #a :b", "SET #a.b = :b"])
def test_an_update_that_it_does_not_know_is_refused_aloud(expression: str) -> None:
    with pytest.raises(Beyond):
        TableInMemory().update_item(
            TableName="calls",
            Key={"requestId": {"S": "a"}, "attempt": {"N": "1"}},
            UpdateExpression=expression,
            ExpressionAttributeNames={"#a": "a"},
            ExpressionAttributeValues={":b": {"S": "b"}},
        )
