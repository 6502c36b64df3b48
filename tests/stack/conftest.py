"""One cloud, one simulator and two stacks for all of these tests: real parts, started once."""

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from local.cloud import LocalCloud
from local.environment import API_KEY, KEY_WITH_ID, LocalEnvironment, deploy_into
from local.simulator import Simulator

GRACE_SECONDS = 8
"""Long enough for a webhook to come before the first poll, even where a busy machine is slow to start functions."""

DEADLINE_SECONDS = 50
"""Long enough for several polls before it."""

LATE_SECONDS = DEADLINE_SECONDS + 20
"""So that a late webhook meets an `unknown`, although a look into the call log may wait for some sweeps before it."""

LATE_ENTRY_SECONDS = 600
"""So that no look finds a late entry of the call log: a look waits for its shard's turn to read, for some sweeps."""

WORKERS = 3
"""Of place_call at once, so that two processors are enough for them."""


PATIENCE_SECONDS = 150
"""How long a test waits for what must happen. Only a test that fails waits that long, or one on a busy machine."""


@pytest.fixture(scope="session")
def parts() -> Iterator[tuple[LocalCloud, Simulator]]:
    with (
        LocalCloud() as cloud,
        Simulator(
            gateway=cloud.endpoint_url,
            accepted_keys=(API_KEY,),
            late_seconds=LATE_SECONDS,
            late_entry_seconds=LATE_ENTRY_SECONDS,
        ) as allomia,
    ):
        yield cloud, allomia


@pytest.fixture(scope="session")
def world(parts: tuple[LocalCloud, Simulator]) -> LocalEnvironment:
    """A stack under which minutes are seconds."""
    seconds = {"WebhookGraceSeconds": GRACE_SECONDS, "CallDeadlineSeconds": DEADLINE_SECONDS}
    return deploy_into(*parts, {**seconds, "MaxWorkers": WORKERS}, "outbound", KEY_WITH_ID)


@pytest.fixture(scope="session")
def scheduled_world(parts: tuple[LocalCloud, Simulator]) -> LocalEnvironment:
    """A stack with the defaults where they matter: its own API URL, one shard, and only the schedule to start it.

    Two calls wait for their outcomes in it: the schedule takes a minute or two, in which other tests run.
    """
    world = deploy_into(*parts, {"WebhookBaseUrl": "", "DueShards": 1}, "scheduled")
    world.send({"requestId": "by-webhook", "phoneNumber": "+15005550100"})
    world.send({"requestId": "by-poll", "phoneNumber": "+15005550200"})

    def are_placed() -> bool:
        statuses = {name: call["status"] for name, call in world.calls().items()}
        return statuses.get("by-webhook") == "completed" and statuses.get("by-poll") in {"calling", "completed"}

    # Other tests make AlloMia fail.
    wait_until(are_placed)
    return world


def wait_until[T](
    probe: Callable[[], T], seconds: float = PATIENCE_SECONDS, meanwhile: Callable[[], None] = lambda: None
) -> T:
    """What `probe` answers once that is true. Fails the test when it is not within `seconds`, which measure nothing."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s")
        meanwhile()
        time.sleep(0.5)
    return answer


def every(seconds: float, do: Callable[[], None]) -> Callable[[], None]:
    """`do`, but not more often than every so many seconds."""
    last = -seconds

    def maybe() -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            do()

    return maybe


def bring_forward(world: LocalEnvironment, request_id: str) -> None:
    """Make a parked attempt due now, instead of waiting for it."""
    dynamodb = world.cloud.client("dynamodb")
    with contextlib.suppress(dynamodb.exceptions.ConditionalCheckFailedException):
        dynamodb.update_item(
            TableName=world.stack.calls_table_name,
            Key={"requestId": {"S": request_id}, "attempt": {"N": "1"}},
            UpdateExpression="SET dueAt = :now",
            ConditionExpression="#status = :scheduled",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":now": {"N": str(int(time.time()))}, ":scheduled": {"S": "scheduled"}},
        )


def let_deadline_pass(world: LocalEnvironment, request_id: str) -> None:
    """Make a dispatched attempt's deadline pass now, instead of waiting for it."""
    dynamodb = world.cloud.client("dynamodb")
    with contextlib.suppress(dynamodb.exceptions.ConditionalCheckFailedException):
        dynamodb.update_item(
            TableName=world.stack.calls_table_name,
            Key={"requestId": {"S": request_id}, "attempt": {"N": "1"}},
            UpdateExpression="SET dispatchedAt = :then, dueAt = :now",
            ConditionExpression="#status IN (:dispatching, :calling) AND dispatchedAt > :then",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":then": {"N": str(int(time.time()) - DEADLINE_SECONDS)},
                ":now": {"N": str(int(time.time()))},
                ":dispatching": {"S": "dispatching"},
                ":calling": {"S": "calling"},
            },
        )
