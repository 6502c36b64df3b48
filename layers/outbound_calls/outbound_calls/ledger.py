"""The calls table: the truth about every attempt, and its timer. The only module that writes to it.

Every write is one conditional write, and every condition is derived from `lifecycle.TRANSITIONS`: a writer that comes
too late, twice or out of turn changes nothing and is told so. While an attempt is not terminal its item stands in the
sparse index `due`; the write that records the terminal status takes it out and removes the request.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from outbound_calls.contracts import AttemptKey, CallRequest, Outcome
from outbound_calls.items import Item, plain, typed
from outbound_calls.lifecycle import RELEASE_LEASE_SECONDS, OutcomeSource, Status, predecessors

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_DAY = 86_400
_WORK_LEFT = ("dueShard", "dueAt", "pollDelay", "request", "claimId", "parkReason")


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt as the table has it. Times are epoch seconds, UTC."""

    key: AttemptKey
    status: Status
    created_at: int
    times_parked: int = 0
    request: CallRequest | None = None
    outbound_call_id: str | None = None
    dispatched_at: int | None = None
    recorded_at: int | None = None
    due_at: int | None = None
    claim_id: str | None = None


class Recorded(Enum):
    """What became of AlloMia's word on a call that was to be recorded."""

    STORED = auto()
    ALREADY_THERE = auto()
    CONTRADICTS = auto()
    OTHER_CALL = auto()
    NO_SUCH_ATTEMPT = auto()


@dataclass(frozen=True, slots=True)
class Record:
    """The answer to recording an outcome: what became of it, and the attempt as it stands now (where there is one)."""

    result: Recorded
    call: Call | None


@dataclass(frozen=True, slots=True)
class DueItem:
    """An entry of the index: this attempt was due at `due_at` when it was read."""

    key: AttemptKey
    due_at: int

    @classmethod
    def from_index(cls, item: Mapping[str, Any]) -> DueItem:
        """Read an entry as DynamoDB returns it, e.g. ``{"requestId": {"S": "a"}, "attempt": {"N": "1"}, …}``."""
        values = plain(item)
        key = AttemptKey(request_id=values["requestId"], attempt=int(values["attempt"]))
        return cls(key, int(values["dueAt"]))


@dataclass(frozen=True, slots=True)
class _Where:
    """What a transition demands of the item beyond a status that may precede."""

    status: Status | None = None
    claim_id: str | None = None
    outbound_call_id: str | None = None
    due_at: int | None = None
    times_parked: int | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The calls table.

    `due_shards` spreads the index's entries (the poller sweeps that many); `retention_days` is how long a finished
    attempt is kept.
    """

    client: DynamoDBClient
    table: str
    retention_days: int
    due_shards: int = 1

    def schedule(self, key: AttemptKey, request: CallRequest, now: float, due_at: float, reason: str) -> bool:
        """Park a new attempt until `due_at`; False when the attempt exists already."""
        item = self._new_item(key, request, now, Status.SCHEDULED, due_at, RELEASE_LEASE_SECONDS)
        return self._put(item | {"parkReason": reason, "timesParked": 1}, owner=None)

    def claim_new(self, key: AttemptKey, request: CallRequest, claim_id: str, now: float, grace: int) -> Call | None:
        """Claim a new attempt and arm its first poll; None when the attempt exists already.

        Only the worker to which this returns the call may dial it.
        """
        item = self._new_item(key, request, now, Status.DISPATCHING, int(now) + grace, grace)
        item |= {"dispatchedAt": int(now), "claimId": claim_id}
        return _call(item, request) if self._put(item, owner=claim_id) else None

    def claim_scheduled(
        self, key: AttemptKey, claim_id: str, now: float, grace: int, times_parked: int | None = None
    ) -> Call | None:
        """Claim a parked attempt and arm its first poll.

        None unless it is `scheduled`, and has been parked `times_parked` times if that is given.
        """
        sets = {"dispatchedAt": int(now), "claimId": claim_id, "dueAt": int(now) + grace, "pollDelay": grace}
        where = _Where(times_parked=times_parked)
        written, item = self._move(key, Status.DISPATCHING, sets, removes=("parkReason",), where=where)
        if item is None or not (written or _is_claim(item, claim_id)):  # ours already: see `_put`
            return None
        return _call(item, CallRequest.model_validate(item["request"]))

    def park_again(self, key: AttemptKey, due_at: float, reason: str, times_parked: int | None = None) -> bool:
        """Put off a parked attempt until `due_at`; False under the conditions of `claim_scheduled`."""
        return self._park(key, due_at, reason, _Where(status=Status.SCHEDULED, times_parked=times_parked))

    def unclaim(self, call: Call, due_at: float, reason: str) -> bool:
        """Park a claimed attempt of which it is known that AlloMia took nothing; False if the claim is gone."""
        return self._park(call.key, due_at, reason, _Where(status=Status.DISPATCHING, claim_id=call.claim_id))

    def settle(self, call: Call, outbound_call_id: str, contact_id: str | None) -> Recorded:
        """Store that AlloMia took the call.

        `dueAt` stays as the claim set it. A webhook that came first has stored the call's id already; had it another
        id (`OTHER_CALL`), then AlloMia made two calls of one attempt.
        """
        sets = {"outboundCallId": outbound_call_id, "contactId": contact_id}
        written, item = self._move(call.key, Status.CALLING, sets, where=_Where(claim_id=call.claim_id))
        known = (item or {}).get("outboundCallId")
        if written:
            return Recorded.STORED
        if known is None:
            return Recorded.CONTRADICTS
        return Recorded.ALREADY_THERE if known == outbound_call_id else Recorded.OTHER_CALL

    def resolve(self, key: AttemptKey, status: Status, now: float) -> Record:
        """Record what a person found out of an attempt that ended as `unknown`; of any other, nothing changes."""
        outcome = Outcome(status=status, source=OutcomeSource.OPERATOR)
        return self.record(key, outcome, now, only_from=Status.UNKNOWN)

    def record(
        self,
        key: AttemptKey,
        outcome: Outcome,
        now: float,
        unless_moved: Call | None = None,
        only_from: Status | None = None,
    ) -> Record:
        """Record how an attempt ended: the only write that ends one.

        Of several outcomes the first stays, but `unknown` gives way to a real one. An outcome that names another
        call than the one this attempt became changes nothing, and neither does one that was concluded from how the
        attempt stood (`unless_moved`, a lease) once it stands otherwise.
        """
        sets = {
            "outcomeSource": outcome.source.value,
            "recordedAt": int(now),
            "expiresAt": int(now) + self.retention_days * _DAY,
            "outboundCallId": outcome.outbound_call_id,
            "contactId": outcome.contact_id,
            "callDetails": _details(outcome),
            "reason": outcome.reason,
        }
        written, item = self._move(
            key,
            outcome.status,
            sets,
            removes=_WORK_LEFT if outcome.reason else (*_WORK_LEFT, "reason"),
            where=_Where(
                status=only_from,
                # The due time alone does not tell: one that was claimed anew may be due at the same second.
                claim_id=unless_moved.claim_id if unless_moved else None,
                outbound_call_id=outcome.outbound_call_id,
                due_at=unless_moved.due_at if unless_moved else None,
            ),
        )
        if item is None:
            return Record(Recorded.NO_SUCH_ATTEMPT, None)
        call = _call(item)
        if written:
            return Record(Recorded.STORED, call)
        if outcome.outbound_call_id and call.outbound_call_id not in {None, outcome.outbound_call_id}:
            return Record(Recorded.OTHER_CALL, call)
        same = call.status is outcome.status
        return Record(Recorded.ALREADY_THERE if same else Recorded.CONTRADICTS, call)

    def lease(self, due: DueItem, now: float, step: int) -> Call | None:
        """Take an attempt that is due, for the time until its next look; None when another poller has, or it ended.

        The write is the lease and the backoff at once: `dueAt` moves on by the attempt's own delay, and the delay
        grows by `step` seconds.
        """
        written, item = self._update(
            due.key,
            "SET #dueAt = :now + #pollDelay, #pollDelay = #pollDelay + :step",
            "#dueAt = :seen",
            {"now": int(now), "step": step, "seen": due.due_at},
        )
        return _call(item) if written and item else None

    def look_at(self, call: Call, due_at: int) -> bool:
        """Bring a leased attempt's next look forward to `due_at`; False when it ended or moved meanwhile."""
        written, _ = self._update(call.key, "SET #dueAt = :due", "#dueAt = :seen", {"due": due_at, "seen": call.due_at})
        return written

    # How a write is made.

    def _park(self, key: AttemptKey, due_at: float, reason: str, where: _Where) -> bool:
        sets = {"dueAt": math.ceil(due_at), "pollDelay": RELEASE_LEASE_SECONDS, "parkReason": reason}
        written, _ = self._move(
            key,
            Status.SCHEDULED,
            sets,
            removes=("claimId", "dispatchedAt"),
            where=where,
            counts="timesParked",
        )
        return written

    def _new_item(
        self,
        key: AttemptKey,
        request: CallRequest,
        now: float,
        status: Status,
        due_at: float,
        poll_delay: int,
    ) -> Item:
        item: Item = {
            **key.wire(),
            "status": status.value,
            "createdAt": int(now),
            "dueShard": zlib.crc32(key.request_id.encode()) % self.due_shards,
            "dueAt": math.ceil(due_at),
            "pollDelay": poll_delay,
            "timesParked": 0,
            "request": request.order(),
        }
        return item | ({"metadata": request.metadata} if request.metadata else {})

    def _put(self, item: Item, owner: str | None) -> bool:
        """Create an item; False when there is one already, unless it is `owner`'s own.

        The SDK resends a write whose answer got lost; then the worker's own claim stands in its way.
        """
        try:
            self.client.put_item(
                TableName=self.table,
                Item=typed(item),
                ConditionExpression="attribute_not_exists(requestId)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self.client.exceptions.ConditionalCheckFailedException as error:
            return owner is not None and _is_claim(_found(error), owner)
        return True

    def _move(
        self,
        key: AttemptKey,
        target: Status,
        sets: Mapping[str, Any],
        *,
        removes: Iterable[str] = (),
        where: _Where | None = None,
        counts: str | None = None,
    ) -> tuple[bool, Item | None]:
        """Move an attempt to `target` if the lifecycle and `where` allow it.

        Returns whether it was written, and the item: as it is now if written, else as it was found (None: no item).
        """
        where = where or _Where()
        before = sorted(predecessors(target) & {where.status} if where.status else predecessors(target))
        expected: Item = {f"before{i}": status.value for i, status in enumerate(before)}
        condition = [f"#status IN ({', '.join(f':{name}' for name in expected)})"]
        if where.claim_id:
            condition.append("#claimId = :expectedClaimId")
            expected["expectedClaimId"] = where.claim_id
        if where.due_at:
            condition.append("#dueAt = :expectedDueAt")
            expected["expectedDueAt"] = where.due_at
        if where.times_parked is not None:
            condition.append("#timesParked = :expectedTimesParked")
            expected["expectedTimesParked"] = where.times_parked
        if where.outbound_call_id:
            condition.append("(attribute_not_exists(#outboundCallId) OR #outboundCallId = :expectedCallId)")
            expected["expectedCallId"] = where.outbound_call_id
        values = {"status": target.value} | {name: value for name, value in sets.items() if value is not None}
        change = "SET " + ", ".join(f"#{name} = :{name}" for name in values)
        change += " REMOVE " + ", ".join(f"#{name}" for name in removes) if removes else ""
        change += f" ADD #{counts} :one" if counts else ""
        return self._update(key, change, " AND ".join(condition), values | expected | ({"one": 1} if counts else {}))

    def _update(
        self, key: AttemptKey, change: str, condition: str, values: Mapping[str, Any]
    ) -> tuple[bool, Item | None]:
        """Update one item; every attribute is named by a placeholder, since many of the names are reserved words."""
        try:
            answer = self.client.update_item(
                TableName=self.table,
                Key=typed({"requestId": key.request_id, "attempt": key.attempt}),
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeNames={f"#{name}": name for name in _NAMES.findall(f"{change} {condition}")},
                ExpressionAttributeValues={f":{name}": value for name, value in typed(values).items()},
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self.client.exceptions.ConditionalCheckFailedException as error:
            return False, _found(error) or None
        return True, plain(answer["Attributes"])


_NAMES = re.compile(r"#(\w+)")


def _details(outcome: Outcome) -> Item | None:
    # DynamoDB's numbers are decimals.
    if outcome.call_details is None:
        return None
    details = outcome.call_details.wire()
    return {name: Decimal(str(value)) if isinstance(value, float) else value for name, value in details.items()}


def _is_claim(item: Item, claim_id: str) -> bool:
    return item.get("claimId") == claim_id and item.get("status") == Status.DISPATCHING.value


def _found(error: ClientError) -> Item:
    return plain(cast("Mapping[str, Any]", error.response).get("Item", {}))


def _number(value: Decimal | int | None) -> int | None:
    return None if value is None else int(value)


def _call(item: Item, request: CallRequest | None = None) -> Call:
    return Call(
        key=AttemptKey(request_id=item["requestId"], attempt=int(item["attempt"])),
        status=Status(item["status"]),
        created_at=int(item["createdAt"]),
        times_parked=int(item["timesParked"]),
        request=request,
        outbound_call_id=item.get("outboundCallId"),
        dispatched_at=_number(item.get("dispatchedAt")),
        recorded_at=_number(item.get("recordedAt")),
        due_at=_number(item.get("dueAt")),
        claim_id=item.get("claimId"),
    )
