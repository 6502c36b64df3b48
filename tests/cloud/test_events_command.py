"""`calls events`: each outcome once, in its order, and no more read than the last minute."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any, cast

import pytest

from calls.cli.output import Exit
from calls.operations.following_events import LAG_SECONDS, EventsFollower
from local.cloud import LocalCloud
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from tests.cloud.operator import OperatedStack
from tests.cloud.parts import SampleAttempts, an_outcome, new_attempt, new_key, operations_asked
from tests.cloud.test_interrupted import InterruptedSession
from tests.unit.parts import Clock
from tests.world import DUE_SHARDS, NOW, create_calls_table


@pytest.fixture
def own(cloud: LocalCloud) -> SampleAttempts:
    dynamodb = cloud.client("dynamodb")
    return SampleAttempts.over(dynamodb, create_calls_table(dynamodb), DUE_SHARDS)


def ended(own: SampleAttempts, at: float, status: Status = Status.BUSY, organization: str | None = None) -> AttemptKey:
    key = AttemptKey(RequestKey(new_key().request.request_id, organization), 1)
    attempt = own.claim(new_attempt(key, created_at=int(at)), now=at)
    assert attempt is not None
    assert own.table.record(key, an_outcome(status), at).stored
    return key


def test_each_outcome_is_found_once_in_its_order_however_late_the_index_shows_it(own: SampleAttempts) -> None:
    clock = Clock(NOW)
    follower = EventsFollower(own.table, [None, "north"], NOW - 100, clock)
    keys = [ended(own, NOW - 10, organization="north"), ended(own, NOW - 50)]
    ended(own, NOW - 101)
    ended(own, NOW - 10, organization="south")

    assert [each.request_id for each in follower.look()] == [key.request.request_id for key in reversed(keys)]
    clock.pass_seconds(30)
    assert follower.look() == []
    late, new = ended(own, NOW - LAG_SECONDS + 31), ended(own, clock())
    assert [each.request_id for each in follower.look()] == [late.request.request_id, new.request.request_id]

    # An unknown call whose outcome is found out is another event
    unknown = ended(own, clock(), Status.UNKNOWN)
    assert [(each.status, each.final) for each in follower.look()] == [("unknown", False)]
    own.table.record(unknown, an_outcome(Status.COMPLETED), clock() + 1)
    clock.pass_seconds(1)
    assert [(each.status, each.final) for each in follower.look()] == [("completed", True)]


def test_a_look_reads_one_page_for_each_organization_and_remembers_one_minute(
    cloud: LocalCloud, own: SampleAttempts
) -> None:
    clock = Clock(NOW)
    dynamodb = cast("Any", cloud.client("dynamodb"))
    follower = EventsFollower(replace(own.table, client=dynamodb), [None, "north"], NOW, clock)
    for _ in range(5):
        ended(own, clock())
        assert len(follower.look()) == 1
        clock.pass_seconds(LAG_SECONDS + 1)

    with operations_asked(dynamodb) as asked:
        follower.look()
    assert asked == {"Query": 2}
    assert len(follower._seen) <= 1


def test_the_events_of_a_time_and_those_to_come(cloud: LocalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    operated = OperatedStack(cloud)
    keys = [ended(operated.attempts, time.time() - seconds) for seconds in (90, 30)]
    ids = [key.request.request_id for key in keys]

    code, document = operated.calls(capsys, "events", "--since", "10m", "--limit", "1")
    assert (code, [each["requestId"] for each in document["events"]], document["more"]) == (Exit.DONE, ids[:1], True)

    # Ctrl-C is the normal end of --follow. A look asks once for each day: for two just after midnight
    days = {int(time.time() - seconds) // 86_400 for seconds in (0, 600)}
    operated.session = InterruptedSession(cloud, "Query", len(days))
    assert operated.run("events", "--since", "10m", "--follow", "--every", "1", "--json") == Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["requestId"] for line in lines] == ids
    assert {json.loads(line)["version"] for line in lines} == {"1"}
