"""Calling windows open on the local cloud, for some dozens of requests. `tests/proof/outage` has 10,000 of them."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

from outbound_calls.adapters.calls_table import DueEntry
from outbound_calls.adapters.due_entries import due_entry
from outbound_calls.contracts.vocabulary import DAYS, ParkReason
from outbound_calls.domain.timing import OPENING_SPREAD_SECONDS
from outbound_calls.use_cases.placement import Placement, PlaceResult
from tests.cloud.reading import index_items
from tests.cloud.test_keeper import KeeperWorld, world
from tests.world import NOW

__all__ = ["world"]

WAITING = 60
MINUTE = 60
OPENS_AT = NOW + 600


def opening() -> str:
    """A policy whose windows open ten minutes from now."""
    opens = datetime.fromtimestamp(OPENS_AT, UTC)
    hours = {"days": list(DAYS), "from": f"{opens:%H:%M}", "to": f"{opens + timedelta(hours=2):%H:%M}"}
    return json.dumps({"basedOn": "open", "callingWindows": [hours]})


def sweep(world: KeeperWorld) -> list[Placement]:
    """One sweep over all that is due, and what place_call does with its messages."""
    found = index_items(world.table.client, world.table.name)
    for due in map(due_entry, found):
        if due.due_at <= world.clock.now and isinstance(due, DueEntry):
            world.poll_entry(due)
    placements = []
    while messages := world.queued():
        placements += [world.place(message) for message in messages]
    return placements


def test_an_opening_is_no_burst_delays_no_newcomer_and_leaves_nothing_behind(world: KeeperWorld) -> None:
    world.put_text(opening())
    for number in range(WAITING):
        request = world.request(requestId=f"waiting-{number}", timeZone="Etc/UTC")
        assert world.place(request).code == ParkReason.OUTSIDE_CALLING_WINDOW
    world.pass_seconds(OPENS_AT - world.clock.now)

    dialled: Counter[int] = Counter()
    for minute in range(1, OPENING_SPREAD_SECONDS // MINUTE + 1):
        world.pass_seconds(MINUTE)
        placements = sweep(world)
        assert {each.result for each in placements} == {PlaceResult.CALLING}
        dialled[minute] = len(placements)
        # Who asks now isn't behind those that wait.
        assert world.place(world.request(timeZone="Etc/UTC")).result is PlaceResult.CALLING

    assert dialled.total() == WAITING
    # Twelve a minute, give or take what chance does.
    assert all(5 <= count <= 20 for count in dialled.values()), dialled
    assert len(world.allomia.posts) == WAITING + len(dialled)
