"""Redials, cancellations and the do-not-call list on the deployed stack, by messages alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

from local.environment import LocalEnvironment
from tests.stack.conftest import every, wait_until

BUSY = "+15005550101"
LISTED = "+14155550177"


def events_of(world: LocalEnvironment, request_id: str, count: int) -> list[dict[str, Any]]:
    """The events of a request, once there are so many."""
    heard: list[dict[str, Any]] = []

    def all_heard() -> bool:
        heard.extend(event for event in world.outcome_events() if event["requestId"] == request_id)
        return len(heard) >= count

    wait_until(all_heard, meanwhile=every(3, world.sweep))
    return heard


def test_a_redial_follows_by_itself_and_its_event_is_final(world: LocalEnvironment) -> None:
    redial = {"on": {"busy": [1]}, "maxAttempts": 2}
    world.send({"requestId": "stack-redial", "phoneNumber": BUSY, "redial": redial})

    first, second = events_of(world, "stack-redial", 2)

    assert (first["attempt"], first["status"], first["final"]) == (1, "busy", False)
    assert first["nextAttemptAt"]
    assert (second["attempt"], second["status"], second["final"]) == (2, "busy", True)
    assert world.dials()["stack-redial"] == (2, 2)


def test_a_message_cancels_a_request_that_waits(world: LocalEnvironment) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    world.send({"requestId": "stack-cancelled", "phoneNumber": BUSY, "notBefore": tomorrow})
    wait_until(lambda: world.calls().get("stack-cancelled", {}).get("parkReason") == "not-before")

    world.send({"cancel": {"requestId": "stack-cancelled"}})

    (event,) = events_of(world, "stack-cancelled", 1)
    assert (event["status"], event["final"], event["dialled"]) == ("cancelled", True, "no")
    assert "stack-cancelled" not in world.dials()


def test_a_message_puts_a_number_on_the_do_not_call_list(world: LocalEnvironment) -> None:
    def entries() -> int:
        items = world.cloud.client("dynamodb").scan(TableName=world.stack.policy_table_name)["Items"]
        return sum(item["entry"]["S"].startswith("do-not-call#") for item in items)

    before = entries()
    world.send({"doNotCall": {"phoneNumber": LISTED}})
    wait_until(lambda: entries() > before)

    world.send({"requestId": "stack-listed", "phoneNumber": LISTED})

    (event,) = events_of(world, "stack-listed", 1)
    assert (event["status"], event["reasonCode"], event["final"]) == ("rejected", "do-not-call", True)
    assert "stack-listed" not in world.dials()
