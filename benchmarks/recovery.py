"""How long until every outcome is known when all webhooks are lost, and how hard is AlloMia asked meanwhile?

The deployed stack on the local cloud, with its own schedule, state machine and functions. Its table holds calls that
AlloMia took and that have just come due: copies of a record that the stack itself made. AlloMia is a server that
answers every status request after 200 ms with an outcome, and notes when it was asked.

    python -m benchmarks.recovery
"""

import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from benchmarks.healthy_call import MESSAGE, until
from benchmarks.other_side import Behaviour, OtherSide
from local.cloud import LocalCloud
from local.environment import LocalEnvironment, deploy_into
from local.simulator import Simulator

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import WriteRequestTypeDef

CALLS = 10_000
ANSWER_SECONDS = 0.2
SHARDS = 4
LIMIT_SECONDS = 300
LOOK_EVERY_SECONDS = 2.0
GIVE_UP_SECONDS = 900.0


@dataclass(frozen=True)
class Left:
    """How many calls had no outcome yet, by shard, so many seconds after the start of the first sweep."""

    seconds: float
    calls: list[int]


@dataclass(frozen=True)
class Recovery:
    """The results of the calls."""

    calls: int
    answer_seconds: float
    seconds: float
    """From the start of the first sweep until every outcome was recorded."""

    polls: int
    most_polls_per_second: int
    """The most that AlloMia was asked in any span of one second."""

    most_polls_in_ten_seconds: int

    recorded: dict[str, int]
    """How many calls ended how, and who said so: `completed by poll`."""

    left: list[Left]


def measure(calls: int = CALLS) -> Recovery:
    """Deploy the stack, fill its table and wait."""
    with (
        LocalCloud() as cloud,
        OtherSide(Behaviour(answer_seconds=ANSWER_SECONDS)) as allomia,
        # Not used: a world has one.
        Simulator() as simulator,
    ):
        parameters: dict[str, str | int] = {"AllomiaBaseUrl": allomia.url, "DueShards": SHARDS}
        defaults = {"WebhookGraceSeconds": 180, "CallDeadlineSeconds": 7200}
        world = deploy_into(cloud, simulator, parameters | defaults, "recovery")
        _fill(world, calls)
        before = len(allomia.arrived().allomia_at)
        world.sweep()
        left = list(_left(world))
        asked_at = allomia.arrived().allomia_at[before:]
        ended = world.calls().values()
    return Recovery(
        calls=calls,
        answer_seconds=ANSWER_SECONDS,
        seconds=left[-1].seconds,
        polls=len(asked_at),
        most_polls_per_second=most_within(asked_at, 1.0),
        most_polls_in_ten_seconds=most_within(asked_at, 10.0),
        recorded=dict(Counter(f"{call['status']} by {call.get('outcomeSource')}" for call in ended)),
        left=left,
    )


def most_within(times: list[float], seconds: float) -> int:
    """The most of these (in their order) that lie within any span of so many seconds."""
    most = first = 0
    for last, moment in enumerate(times):
        while moment - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def _fill(world: LocalEnvironment, calls: int) -> None:
    """Have so many calls come due now."""
    world.send({"requestId": "model"} | MESSAGE)
    until(lambda: world.calls().get("model", {}).get("status") == "calling")
    dynamodb, table = world.cloud.client("dynamodb"), world.stack.calls_table_name
    key: dict[str, Any] = {"requestId": {"S": "model"}, "attempt": {"N": "1"}}
    model = dynamodb.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD")["Attributes"]
    due_at = int(time.time())
    for chunk in batched((f"lost-{number}" for number in range(calls)), 25, strict=False):
        requests: list[WriteRequestTypeDef] = [{"PutRequest": {"Item": _copy(model, name, due_at)}} for name in chunk]
        dynamodb.batch_write_item(RequestItems={table: requests})


def _copy(model: dict[str, Any], name: str, due_at: int) -> dict[str, Any]:
    return model | {
        "requestId": {"S": name},
        "outboundCallId": {"S": str(uuid4())},
        "dueShard": {"N": str(zlib.crc32(name.encode()) % SHARDS)},
        "dueAt": {"N": str(due_at)},
    }


def _left(world: LocalEnvironment) -> Iterator[Left]:
    """Look how many calls are left, until there are none: whatever has no outcome yet is in the index."""
    began = time.monotonic()
    while (seconds := time.monotonic() - began) < GIVE_UP_SECONDS:
        left = [_in_index(world, shard) for shard in range(SHARDS)]
        yield Left(round(seconds, 1), left)
        if not any(left):
            return
        time.sleep(LOOK_EVERY_SECONDS)
    raise TimeoutError(f"calls have no outcome after {GIVE_UP_SECONDS:.0f} s")


def _in_index(world: LocalEnvironment, shard: int) -> int:
    pages = (
        world.cloud.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=world.stack.calls_table_name,
            IndexName="due",
            Select="COUNT",
            KeyConditionExpression="dueShard = :shard",
            ExpressionAttributeValues={":shard": {"N": str(shard)}},
        )
    )
    return sum(page["Count"] for page in pages)


if __name__ == "__main__":
    print(measure())
