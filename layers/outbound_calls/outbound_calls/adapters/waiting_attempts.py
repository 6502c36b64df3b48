"""The attempts that wait for a condition, such as another policy or a line, and the keeper that looks at them.

What waits for a condition is in the index `waiting` of the calls table. One keeper for each organization is in
the index `due` while anything waits. So one item is looked at each minute, and not all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outbound_calls.adapters.attempt_items import (
    attempt_from_item,
    item_key,
    optional_int,
    waits_for_line,
    waits_for_policy,
)
from outbound_calls.adapters.due_entries import KEEPER_MARK
from outbound_calls.adapters.dynamodb import Item, from_dynamodb, to_dynamodb
from outbound_calls.contracts.vocabulary import Priority, Status
from outbound_calls.domain.timing import DISPATCH_LEASE_SECONDS, HAND_ON_LEASE_SECONDS

if TYPE_CHECKING:
    from outbound_calls.adapters.calls_table import CallsTable
    from outbound_calls.adapters.due_entries import DueKeeper
    from outbound_calls.domain.attempts import Attempt, AttemptKey

KEEPER_SECONDS = 50
"""How long a keeper rests at least between two looks.

Less than the minute between two sweeps by what a sweep may take to get to it, so that each sweep looks. Not less than
a worker's life and the lag of an index: the next look sees what was about to park.
"""

FIRST_LOOK_SECONDS = 12
"""How soon a new keeper is due: a policy that was set when something began to wait is in force by then."""

MOST_COUNTED = 20_000
"""Of those who wait for a line, so many are counted for each priority."""


@dataclass(frozen=True, slots=True)
class Keeper:
    """A leased keeper.

    `arrivals` counts what was about to wait; `empty_at` is that count when no one was found. Nothing waits any more
    under another version of the policy than `released_version`. `for_lines`: whether anything waited for a line.
    """

    organization: str | None
    arrivals: int
    empty_at: int | None
    released_version: int | None
    for_lines: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry of the index `waiting`: an attempt that waits under a version of the policy, since it arrived."""

    key: AttemptKey
    policy_version: int
    since: int


@dataclass(eq=False, slots=True)
class WaitingAttempts:
    """What waits for a condition, as the calls table holds it."""

    table: CallsTable

    def expect_waiting(self, organization: str | None, now: float, *, for_line: bool = False) -> None:
        """Have the keeper look at an organization's waiting attempts. Before one of them parks.

        `for_line`: whether it waits for a line.
        """
        key = _keeper_key(organization)
        timers = {
            "shard": self.table.due_shard(key["requestId"]),
            "due": int(now) + FIRST_LOOK_SECONDS,
            "one": 1,
        }
        change = "SET #dueShard = if_not_exists(#dueShard, :shard), #dueAt = if_not_exists(#dueAt, :due)"
        if for_line:
            change += ", #forLines = :one"
        self.table.writes.update(key, f"{change} ADD #arrivals :one", "attribute_not_exists(#status)", timers)

    def lease_keeper(self, due: DueKeeper, now: float) -> Keeper | None:
        """Take a due keeper until its next look; None when another poller has it."""
        values = {"due": int(now) + KEEPER_SECONDS, "seen": due.due_at}
        change, condition = "SET #dueAt = :due", "#dueAt = :seen"
        written, item = self.table.writes.update(_keeper_key(due.organization), change, condition, values)
        if item is None or not written:
            return None
        return Keeper(
            due.organization,
            int(item["arrivals"]),
            optional_int(item, "emptyAt"),
            optional_int(item, "releasedVersion"),
            "forLines" in item,
        )

    def first_for_policy(self, organization: str | None) -> Waiting | None:
        """The first that policy holds back of an organization, as far as the index has it."""
        return next(iter(self._first(waits_for_policy(organization), 1)), None)

    def waiting_for_policy(self, organization: str | None) -> Iterator[Waiting]:
        """What policy holds back of an organization, as far as the index has it, in the order of its arrival."""
        yield from self._waiting(waits_for_policy(organization))

    def waiting_for_line(self, organization: str | None, priority: Priority) -> Iterator[Waiting]:
        """What waits for a line of an organization, as far as the index has it, in the order of its arrival."""
        yield from self._waiting(waits_for_line(organization, priority))

    def _waiting(self, waits_for: str) -> Iterator[Waiting]:
        pages = self.table.client.get_paginator("query").paginate(
            TableName=self.table.name,
            IndexName="waiting",
            KeyConditionExpression="waitsFor = :condition",
            ExpressionAttributeValues=to_dynamodb({":condition": waits_for}),
        )
        yield from (_waiting(item) for page in pages for item in page["Items"])

    def first_waiting(self, organization: str | None, priority: Priority, most: int) -> list[Waiting]:
        """The first to wait for a line of an organization, as far as the index has them; at most `most`."""
        return self._first(waits_for_line(organization, priority), most)

    def _first(self, waits_for: str, most: int) -> list[Waiting]:
        found = self.table.client.query(
            TableName=self.table.name,
            IndexName="waiting",
            KeyConditionExpression="waitsFor = :condition",
            ExpressionAttributeValues=to_dynamodb({":condition": waits_for}),
            Limit=most,
        )
        return [_waiting(item) for item in found["Items"]]

    def count_waiting(self, organization: str | None, priority: Priority) -> int:
        """How many wait for a line of an organization, as far as the index has them; at most `MOST_COUNTED`."""
        count, start = 0, dict[str, Any]()
        while True:
            found = self.table.client.query(
                TableName=self.table.name,
                IndexName="waiting",
                KeyConditionExpression="waitsFor = :condition",
                ExpressionAttributeValues=to_dynamodb({":condition": waits_for_line(organization, priority)}),
                Select="COUNT",
                Limit=MOST_COUNTED - count,
                **start,
            )
            count += found["Count"]
            if count >= MOST_COUNTED or not (last := found.get("LastEvaluatedKey")):
                return count
            start = {"ExclusiveStartKey": last}

    def lease_waiting(self, waiting: Waiting, priority: Priority, now: float) -> Attempt | None:
        """Take an attempt out of those who wait for a line; None when it doesn't wait any more.

        If it isn't dispatched after all, it comes due when this lease ends.
        """
        organization = waiting.key.request.organization
        written, item = self.table.update(
            waiting.key,
            # The line of its last claim was freed by the write that parked it, and no other one is to free it again.
            "SET #dueAt = :due REMOVE #waitsFor, #waitsSince, #line",
            "#status = :scheduled AND #waitsFor = :line",
            {
                "due": int(now) + HAND_ON_LEASE_SECONDS,
                "scheduled": Status.SCHEDULED.value,
                "line": waits_for_line(organization, priority),
            },
        )
        return attempt_from_item(item) if written and item else None

    def wait_again(self, attempt: Attempt) -> bool:
        """Put a leased attempt back among those who wait for a line, in its place.

        False when it was tried meanwhile.
        """
        written, _ = self.table.update(
            attempt.key,
            "SET #waitsFor = :line, #waitsSince = :since",
            "#status = :scheduled AND #timesParked = :seen AND attribute_not_exists(#waitsFor)",
            {
                "line": waits_for_line(attempt.key.request.organization, attempt.terms.priority),
                "since": attempt.created_at,
                "scheduled": Status.SCHEDULED.value,
                "seen": attempt.times_parked,
            },
        )
        return written

    def lease_for_dispatch(self, waiting: Waiting, dispatch_at: int, policy_version: int) -> Attempt | None:
        """Take a waiting attempt that is to be dispatched then; None when it changed, or is due earlier.

        If it isn't dispatched after all, it comes due when this lease ends.
        """
        written, item = self.table.update(
            waiting.key,
            "SET #dueAt = :due, #policyVersion = :current",
            "#status = :scheduled AND #policyVersion = :seen AND #dueAt > :dispatchAt",
            {
                "due": dispatch_at + DISPATCH_LEASE_SECONDS,
                "dispatchAt": dispatch_at,
                "current": policy_version,
                "scheduled": Status.SCHEDULED.value,
                "seen": waiting.policy_version,
            },
        )
        return attempt_from_item(item) if written and item else None

    def note_released(self, keeper: Keeper, policy_version: int) -> None:
        """Note that nothing waits any more under another version of the policy."""
        change = "SET #releasedVersion = :version"
        self.table.writes.update(
            _keeper_key(keeper.organization), change, "attribute_exists(#arrivals)", {"version": policy_version}
        )

    def rest_keeper(self, keeper: Keeper) -> bool:
        """End the keeper of an organization of which no one waits. True once it is gone.

        An attempt may have been about to wait when the index was read, and the index may lag. So no one must be found
        at two looks, with no arrival between them.
        """
        key, seen = _keeper_key(keeper.organization), {"seen": keeper.arrivals}
        if keeper.empty_at != keeper.arrivals:
            self.table.writes.update(key, "SET #emptyAt = :seen", "#arrivals = :seen", seen)
            return False
        try:
            self.table.client.delete_item(
                TableName=self.table.name,
                Key=to_dynamodb(key),
                ConditionExpression="arrivals = :seen",
                ExpressionAttributeValues=to_dynamodb({":seen": keeper.arrivals}),
            )
        except self.table.client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _waiting(entry: Mapping[str, Any]) -> Waiting:
    item = from_dynamodb(entry)
    return Waiting(item_key(item), optional_int(item, "policyVersion") or 0, int(item["waitsSince"]))


def _keeper_key(organization: str | None) -> Item:
    return {"requestId": f"{organization or ''}{KEEPER_MARK}", "attempt": 0}
