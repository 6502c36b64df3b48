"""The calls table: the record of every attempt, and its timer. The only module that writes to it.

Every write is one conditional write, and every condition is derived from `TRANSITIONS`: a writer that comes too late,
twice or out of turn changes nothing and learns so. While an attempt is not terminal its item stands in the sparse index
`due`. The write that ends the attempt removes it from there, and removes the request.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from outbound_calls.adapters.attempt_items import (
    REPORTED_FIELDS,
    WAITS_FOR_POLICY,
    WAITS_FOR_SETTING,
    allowance_text,
    attempt_from_item,
    details_item,
    ended_on,
    item_key,
    key_item,
    optional_int,
    redial_from_text,
    redial_text,
    request_item,
    terms_item,
    waits_for_line,
    waits_for_policy,
    waits_for_setting,
    without_none,
)
from outbound_calls.adapters.dynamodb import Item, from_dynamodb, to_dynamodb
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, Priority, ReasonCode, Status
from outbound_calls.contracts.wire import ORGANIZATION_SEPARATOR
from outbound_calls.domain.attempts import (
    Attempt,
    AttemptKey,
    Outcome,
    Refusal,
    RequestKey,
)
from outbound_calls.domain.timing import DISPATCH_LEASE_SECONDS, FAILED_TRIES, HAND_ON_LEASE_SECONDS
from outbound_calls.domain.transitions import ALLOMIA_OUTCOMES, predecessors
from outbound_calls.policy.redial import redial_delay

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_DAY_SECONDS = 86_400
_WITHOUT_OUTCOME = (Status.DISPATCHING, Status.CALLING, Status.UNKNOWN)
_NEVER_WITH_A_CALL = frozenset({Status.SCHEDULED, Status.REJECTED, Status.CANCELLED})
_REMOVED_AT_THE_END = (
    "dueShard",
    "dueAt",
    "pollDelay",
    "request",
    "claimId",
    "numberHash",
    "parkReason",
    "postResult",
    "refusal",
    "waitsFor",
    "waitsSince",
    "terms",
    "expiry",
    "policyVersion",
    "redial",
    "redialAt",
)
"""What is of no use any more once an attempt has ended for good."""

_KEPT_FOR_A_REDIAL = {"dueShard", "dueAt", "pollDelay", "request", "terms", "redial", "redialAt"}
_REMOVED_BY_A_CLAIM = ("parkReason", "waitsFor", "waitsSince", "expiry", "policyVersion")
_STOPS = ("cancelRequestedAt", "answeredAt")
"""What marks an attempt in progress that is never parked again, and that no other attempt follows."""

_REPORTED_NAMES = {f"#{name}": name for name in REPORTED_FIELDS}
_REPORTED = ", ".join(_REPORTED_NAMES)


class WriteUnanswered(Exception):
    """DynamoDB didn't say whether it made a write: it may have been made, or may still be made. Repeating it tells."""


class _TooMany(Exception):
    """There is more than is read at once."""


class RecordResult(Enum):
    """What happened to an outcome that was to be recorded."""

    STORED = auto()
    REPLACED = auto()
    """Stored in place of a `rejected` or `cancelled` that it proves wrong: the person was called."""

    ALREADY_RECORDED = auto()
    CONTRADICTS = auto()
    NEXT_CANCELLED = auto()
    """It contradicts the outcome, which stays: the person answered. The attempt that was to follow is cancelled."""

    OTHER_CALL = auto()
    NO_SUCH_ATTEMPT = auto()


@dataclass(frozen=True, slots=True)
class Recording:
    """The result of recording an outcome, and the attempt as it is now (None where there is none)."""

    result: RecordResult
    attempt: Attempt | None

    @property
    def stored(self) -> bool:
        """Whether this write recorded the outcome."""
        return self.result in {RecordResult.STORED, RecordResult.REPLACED}


@dataclass(frozen=True, slots=True)
class DueEntry:
    """An entry of the index `due`: this attempt was due at `due_at` (epoch seconds) when the index was read."""

    key: AttemptKey
    due_at: int

    @classmethod
    def from_index(cls, entry: Mapping[str, Any]) -> DueEntry:
        """Read an entry as DynamoDB returns it, e.g. ``{"requestId": {"S": "a"}, "attempt": {"N": "1"}, …}``."""
        values = from_dynamodb(entry)
        return cls(item_key(values), int(values["dueAt"]))


@dataclass(frozen=True, slots=True)
class DueKeeper:
    """An entry of the index `due`: an organization's keeper was due at `due_at` (epoch seconds).

    The keeper stands in `due` while attempts wait for something that isn't a time, such as another policy. So one item
    is looked at each minute, and not all of them. Its key is no request's: ``ORGANIZATION~~keeper``, attempt 0.
    """

    organization: str | None
    due_at: int


@dataclass(frozen=True, slots=True)
class DueBatch:
    """An entry of the index `due`: a cancelled batch whose open requests must be found, at `due_at` (epoch seconds).

    Its key is no request's: ``ORGANIZATION~~batch~BATCH``, attempt 0.
    """

    organization: str | None
    batch: str
    due_at: int


@dataclass(frozen=True, slots=True)
class BatchSearch:
    """How far the index `due` was searched for a batch: the shards before `shard`, and in it what is up to `after`.

    `after` is the key of an entry, as DynamoDB has it; None at a shard's beginning.
    """

    organization: str | None
    batch: str
    shard: int = 0
    after: Item | None = None


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
    for_lines: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry of the index `waiting`: an attempt that waits under a version of the policy, since it arrived."""

    key: AttemptKey
    policy_version: int
    since: int = 0


def due_entry(entry: Mapping[str, Any]) -> DueEntry | DueKeeper | DueBatch:
    """Read an entry of the index `due` as DynamoDB returns it."""
    values = from_dynamodb(entry)
    if values.get("attempt") != 0:
        return DueEntry.from_index(entry)
    if values["requestId"].endswith(_KEEPER):
        return DueKeeper(values["requestId"].removesuffix(_KEEPER) or None, int(values["dueAt"]))
    organization, is_batch, batch = values["requestId"].partition(_BATCH)
    return DueBatch(organization or None, batch, int(values["dueAt"])) if is_batch else DueEntry.from_index(entry)


@dataclass(frozen=True, slots=True)
class _Where:
    """What a transition demands of the item, beside a status from which the target may follow."""

    statuses: Collection[Status] = tuple(Status)
    claim_id: str | None = None
    outbound_call_id: str | None = None
    due_at: int | None = None
    times_parked: int | None = None
    redial: str | None = None
    """The redial rules as stored; empty: none are stored."""

    not_stopped: bool = False


@dataclass(frozen=True, slots=True)
class CallsTable:
    """The calls table.

    A write that DynamoDB doesn't answer raises WriteUnanswered. The SDK has then sent it several times. When it gets an
    answer in the end, that may be "condition failed" because an earlier one was made: a write that finds all that it
    would have written counts as its own.

    `due_shards` spreads the entries of the index `due` (the poller sweeps that many). `retention_days` is how long a
    finished attempt is kept.
    """

    client: DynamoDBClient
    name: str
    retention_days: int
    due_shards: int = 1

    # Reads.

    def read(self, key: AttemptKey) -> Attempt | None:
        """An attempt with its request, as of every acknowledged write; None where there is no record."""
        found = self.client.get_item(TableName=self.name, Key=to_dynamodb(key_item(key)), ConsistentRead=True)
        return attempt_from_item(from_dynamodb(found["Item"])) if "Item" in found else None

    def read_all(self, request: RequestKey) -> list[Attempt]:
        """All attempts of a request in their order, as of every acknowledged write. Reads no request's content."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="requestId = :requestId",
            ExpressionAttributeValues=to_dynamodb({":requestId": str(request)}),
            ProjectionExpression=_REPORTED,
            ExpressionAttributeNames=_REPORTED_NAMES,
            ConsistentRead=True,
        )
        return [attempt_from_item(from_dynamodb(item)) for page in pages for item in page["Items"]]

    def ended(self, organization: str | None, since: float, until: float) -> Iterator[Attempt]:
        """The attempts of an organization that ended from `since` to before `until` (epoch seconds), oldest first.

        What the index `ended` has of them, which may lag by a moment: no request's content.
        """
        for day in range(int(since) // _DAY_SECONDS, math.ceil(until / _DAY_SECONDS)):
            pages = self.client.get_paginator("query").paginate(
                TableName=self.name,
                IndexName="ended",
                KeyConditionExpression="endedOn = :day AND recordedAt BETWEEN :since AND :last",
                ExpressionAttributeValues=to_dynamodb(
                    {
                        ":day": ended_on(organization, day * _DAY_SECONDS),
                        ":since": math.ceil(since),
                        ":last": math.ceil(until) - 1,
                    }
                ),
            )
            yield from (attempt_from_item(from_dynamodb(item)) for page in pages for item in page["Items"])

    def accepted_since(self, attempt: Attempt, since: float, now: float, most: int) -> list[Attempt] | None:
        """The other attempts with this one's setting that AlloMia accepted since then: ended or in progress.

        None where they can't be read, or where there is too much to read: `most` is for each index partition.
        """
        try:
            found = [*self._ended_since(attempt, since, now, most), *self._in_progress(most)]
        except (BotoCoreError, ClientError, _TooMany):
            return None
        return [
            each
            for each in found
            if each.setting == attempt.setting
            and each.key.request.organization == attempt.key.request.organization
            and each.outbound_call_id is not None
            and (each.dispatched_at or 0) >= since
            and each.key != attempt.key
        ]

    def _ended_since(self, attempt: Attempt, since: float, now: float, most: int) -> Iterator[Attempt]:
        """The last `most` attempts to end since then, on at most two days."""
        for day in sorted({int(now) // _DAY_SECONDS, int(since) // _DAY_SECONDS}, reverse=True):
            found = self.client.query(
                TableName=self.name,
                IndexName="ended",
                KeyConditionExpression="endedOn = :day AND recordedAt >= :since",
                ExpressionAttributeValues=to_dynamodb(
                    {":day": ended_on(attempt.key.request.organization, day * _DAY_SECONDS), ":since": int(since)}
                ),
                ScanIndexForward=False,
                Limit=most,
            )
            yield from (attempt_from_item(from_dynamodb(item)) for item in found["Items"])

    def _in_progress(self, most: int) -> Iterator[Attempt]:
        """All attempts in the index `due` that AlloMia has accepted, without their requests."""
        for shard in range(self.due_shards):
            entries, last = self._due_page(shard, most)
            if last:
                raise _TooMany
            projection = {"ProjectionExpression": _REPORTED, "ExpressionAttributeNames": _REPORTED_NAMES}
            for item in self._read_many([each.key for each in entries], projection):
                attempt = attempt_from_item(item)
                if attempt.status is Status.CALLING:
                    yield attempt

    def _due_page(self, shard: int, most: int, after: Item | None = None) -> tuple[list[DueEntry], Item | None]:
        """Attempts in a shard of the index `due`, of the next `most` entries, and the last one's key if there are more.

        The key is as DynamoDB has it.
        """
        start: Any = {"ExclusiveStartKey": after} if after else {}
        found = self.client.query(
            TableName=self.name,
            IndexName="due",
            KeyConditionExpression="dueShard = :shard",
            ExpressionAttributeValues=to_dynamodb({":shard": shard}),
            Limit=most,
            **start,
        )
        entries = map(due_entry, found["Items"])
        return [each for each in entries if isinstance(each, DueEntry)], found.get("LastEvaluatedKey") or None

    def _read_many(self, keys: Iterable[AttemptKey], projection: Item) -> Iterator[Item]:
        """What the projection says of these attempts, at most a hundred. May miss the last moment."""
        left: list[Any] = [to_dynamodb(key_item(key)) for key in keys]
        while left:
            asked: Any = {self.name: {"Keys": left} | projection}
            answer: Any = self.client.batch_get_item(RequestItems=asked)
            yield from map(from_dynamodb, answer["Responses"][self.name])
            left = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])

    def count_refused(self, attempt: Attempt, most: int) -> int:
        """How many attempts with this one's setting stand refused now, as far as the index has it; at most `most`.

        `most`, where they can't be read.
        """
        try:
            found = self.client.query(
                TableName=self.name,
                IndexName="waiting",
                KeyConditionExpression="waitsFor = :setting",
                ExpressionAttributeValues=to_dynamodb({":setting": waits_for_setting(attempt)}),
                Limit=most,
                Select="COUNT",
            )
        except (BotoCoreError, ClientError):
            return most
        return found["Count"]

    # Transitions.

    def claim(
        self, attempt: Attempt, claim_id: str, now: float, grace_seconds: int, *, with_line: bool = False
    ) -> Attempt | None:
        """Claim an attempt, new or parked, and arm its first poll. Returns it claimed.

        With the attempt's `allowance`, `redial` and `number_hash`. `with_line`: whether this claim is to take a line,
        which whatever ends or parks the attempt then gives back. Only the worker that gets an attempt from this may
        dial it. None when another worker has claimed it, or when it is no longer as it was read.
        """
        timers = {"dueAt": int(now) + grace_seconds, "pollDelay": grace_seconds}
        sets: Item = {"dispatchedAt": int(now), "claimId": claim_id, "numberHash": attempt.number_hash, **timers}
        sets["allowedBy"] = attempt.allowance and allowance_text(attempt.allowance)
        sets["redial"] = attempt.redial and redial_text(attempt.redial)
        sets["line"] = claim_id if with_line else None
        removes = _REMOVED_BY_A_CLAIM if with_line or attempt.line is None else (*_REMOVED_BY_A_CLAIM, "line")
        if attempt.status is None:
            item = self._new_item(attempt, Status.DISPATCHING) | without_none(sets)
            return attempt_from_item(item) if self._put(item, claim_id) else None
        if attempt.request and attempt.request.setting != attempt.setting:
            # It was parked before its organization's defaults were known.
            sets |= {"setting": attempt.request.setting, "request": request_item(attempt.request)}
        where = _Where(times_parked=attempt.times_parked)
        written, item_now = self._move(attempt.key, Status.DISPATCHING, sets, removes=removes, where=where)
        if item_now is None or not (written or _is_claim(item_now, claim_id)):  # already this worker's: see `_put`
            return None
        return attempt_from_item(item_now)

    def park(self, attempt: Attempt, due_at: float, reason: ParkReason, refusal: Refusal | None = None) -> bool:
        """Park an attempt until `due_at` (epoch seconds): a new one, a parked one again, or a claimed one.

        One that AlloMia refuses, or that an open circuit holds back, stands in the index `waiting` under its setting
        until it is claimed again. One that policy holds back stands there under its organization, with the policy's
        version; one that waits for a line under its organization and priority.

        Parking a claimed attempt releases its claim: only for one that was not posted, or that AlloMia is known not to
        have accepted. False when the attempt is no longer as it was read, or it was stopped meanwhile (see `stop`).
        """
        sets: Item = {"dueAt": math.ceil(due_at), "pollDelay": DISPATCH_LEASE_SECONDS, "parkReason": reason.value}
        if attempt.expires_at is not None:
            sets["expiry"] = attempt.expires_at
        removes = ["claimId", "dispatchedAt", "numberHash", "redial", "allowedBy"]
        if reason in WAITS_FOR_SETTING:
            sets |= {
                "waitsFor": waits_for_setting(attempt),
                "waitsSince": (refusal.first_at if refusal else attempt.created_at),
            }
        elif reason in WAITS_FOR_POLICY:
            sets |= {
                "waitsFor": waits_for_policy(attempt.key.request.organization),
                "waitsSince": attempt.created_at,
                "policyVersion": attempt.policy_version or 0,
            }
        elif reason is ParkReason.CONCURRENCY_LIMIT:
            sets |= {
                "waitsFor": waits_for_line(attempt.key.request.organization, attempt.terms.priority),
                "waitsSince": attempt.created_at,
                "policyVersion": attempt.policy_version or 0,
            }
        elif attempt.refusal is None:
            removes += ["waitsFor", "waitsSince"]
        if "policyVersion" not in sets:
            removes.append("policyVersion")
        if refusal:
            sets["refusal"] = {"firstAt": refusal.first_at, "times": refusal.times, "words": refusal.words}
        if attempt.status is None:
            return self._put(self._new_item(attempt, Status.SCHEDULED) | sets | {"timesParked": 1})
        claimed = attempt.status is Status.DISPATCHING
        written, _ = self._move(
            attempt.key,
            Status.SCHEDULED,
            sets,
            removes=removes,
            where=_Where({attempt.status}, attempt.claim_id, not_stopped=True)
            if claimed
            else _Where({attempt.status}, times_parked=attempt.times_parked),
            increments=("timesParked", "failedTries") if reason in FAILED_TRIES else ("timesParked",),
        )
        return written

    def note_lost_answer(self, attempt: Attempt, detail: str) -> None:
        """Store what is known of the POST of a claimed attempt whose answer was lost. Its status stays."""
        self._update(
            attempt.key,
            "SET #postResult = :detail",
            "#status = :dispatching AND #claimId = :claim",
            {"detail": detail, "dispatching": Status.DISPATCHING.value, "claim": attempt.claim_id},
        )

    def settle(self, attempt: Attempt, outbound_call_id: str, contact_id: str | None) -> RecordResult:
        """Store that AlloMia accepted the call of a claimed attempt. `dueAt` stays as the claim set it.

        With the call's id it needs no look at AlloMia's call log, so the hash of its number makes room.

        A webhook that came first has stored the call's id already. `OTHER_CALL` means that it stored a different one:
        AlloMia made two calls of one attempt.
        """
        sets = {"outboundCallId": outbound_call_id, "contactId": contact_id}
        where = _Where(claim_id=attempt.claim_id, outbound_call_id=outbound_call_id)
        written, item = self._move(attempt.key, Status.CALLING, sets, removes=("numberHash",), where=where)
        known = (item or {}).get("outboundCallId")
        if written:
            return RecordResult.STORED
        if known is None:
            return RecordResult.CONTRADICTS
        return RecordResult.ALREADY_RECORDED if known == outbound_call_id else RecordResult.OTHER_CALL

    def note(self, key: AttemptKey, outbound_call_id: str | None, allomia_status: str | None, now: float) -> Recording:
        """Keep what AlloMia reports of a call without an outcome: its id, and its word for an undocumented status.

        No status follows from it, except that a parked attempt is `dispatching` again: AlloMia has its call, so it must
        not be dialled. What has ended stays as it is, but `unknown` learns the call's id.
        """
        sets = without_none({"outboundCallId": outbound_call_id, "allomiaStatus": allomia_status or None})
        before = {f"before{i}": status.value for i, status in enumerate(_WITHOUT_OUTCOME)}
        condition = f"#status IN ({', '.join(f':{name}' for name in before)})"
        if outbound_call_id:
            condition += " AND (attribute_not_exists(#outboundCallId) OR #outboundCallId = :outboundCallId)"
        change = _change(sets)
        written, item = self._update(key, change, condition, sets | before)
        if item and item["status"] == Status.SCHEDULED.value:
            sets["dispatchedAt"] = int(now)
            where = _Where(outbound_call_id=outbound_call_id)
            written, item = self._move(key, Status.DISPATCHING, sets, removes=_REMOVED_BY_A_CLAIM, where=where)
            if not written:  # it was claimed or ended between the two writes
                return self.note(key, outbound_call_id, allomia_status, now)
        if item is None:
            return Recording(RecordResult.NO_SUCH_ATTEMPT, None)
        attempt = attempt_from_item(item)
        if written:
            return Recording(RecordResult.STORED, attempt)
        other = outbound_call_id and attempt.outbound_call_id not in {None, outbound_call_id}
        return Recording(RecordResult.OTHER_CALL if other else RecordResult.ALREADY_RECORDED, attempt)

    def record(self, key: AttemptKey, outcome: Outcome, now: float) -> Recording:
        """Record how an attempt ended.

        The first outcome stays, but `unknown` gives way to a real one, and `rejected` and `cancelled` to one that a
        webhook brings. An outcome of another call than the attempt's changes nothing.
        """
        disproved = {Status.REJECTED, Status.CANCELLED}
        where = _Where(set(Status) - disproved, outbound_call_id=outcome.outbound_call_id)
        recording = self._end(key, outcome, now, where)
        found = recording.attempt
        if outcome.source is not OutcomeSource.WEBHOOK or found is None:
            return recording
        if found.status in disproved and not recording.stored:
            recording = self._end(key, outcome, now, replace(where, statuses=disproved))
            return replace(recording, result=RecordResult.REPLACED) if recording.stored else recording
        if outcome.status is Status.COMPLETED and recording.result is not RecordResult.OTHER_CALL:
            return self._answered(recording, outcome, now)
        return recording

    def _answered(self, recording: Recording, outcome: Outcome, now: float) -> Recording:
        """Follow up a webhook that says that the person answered: whatever redial was to follow, none does."""
        attempt = recording.attempt
        if attempt is None:
            return recording
        if attempt.redial_at is not None and attempt.redial is not None and not recording.stored:
            reason = outcome.call_details.ended_reason if outcome.call_details else None
            repeats = redial_delay(attempt.redial, outcome.status, reason, attempt.key.number) is not None
            if attempt.status is Status.COMPLETED and repeats:
                return recording
            return self._replace_provisional(attempt, outcome, now) or self.record(attempt.key, outcome, now)
        if attempt.next_attempt is not None and self._answered_meanwhile(attempt, now) and not recording.stored:
            return replace(recording, result=RecordResult.NEXT_CANCELLED)
        return recording

    def _replace_provisional(self, attempt: Attempt, outcome: Outcome, now: float) -> Recording | None:
        """Replace an outcome whose redial is pending by a final one; None when it changed meanwhile."""
        values = {"status": outcome.status.value} | without_none(self._outcome_sets(attempt.key, outcome, now))
        change = _change(values, _REMOVED_AT_THE_END)
        condition = "#redialAt = :seenRedialAt"
        expected: Item = {"seenRedialAt": attempt.redial_at}
        if outcome.outbound_call_id:
            condition += " AND (attribute_not_exists(#outboundCallId) OR #outboundCallId = :outboundCallId)"
        own = values | dict.fromkeys(_REMOVED_AT_THE_END)
        written, item = self._update(attempt.key, change, condition, values | expected, own)
        return Recording(RecordResult.REPLACED, attempt_from_item(item)) if written and item else None

    def _answered_meanwhile(self, attempt: Attempt, now: float) -> bool:
        """Cancel the attempt that was made after this one, unless it was claimed; False where it's too late.

        What is in progress then is followed by no other dial.
        """
        number = attempt.next_attempt
        while number is not None:
            key = AttemptKey(attempt.key.request, number)
            outcome = _answered_meanwhile(f"attempt {attempt.key.number}")
            ending = self._end(key, outcome, now, _Where({Status.SCHEDULED}))
            found = ending.attempt
            if ending.stored or found is None:
                return ending.stored
            if found.reason_code is ReasonCode.ANSWERED_MEANWHILE:  # the same webhook came before
                return True
            # A write that fails finds it changed: it is looked at again.
            if found.redial_at is not None:
                if self.drop_redial(found, now):
                    return True
            elif found.status in {Status.DISPATCHING, Status.CALLING}:
                if self.note_answered(found, now):
                    return False
            else:
                number = found.next_attempt
        return False

    def reject(self, attempt: Attempt, outcome: Outcome, now: float) -> Recording:
        """Record that an attempt, new or parked, will never be dialled; nothing changes if it was claimed meanwhile."""
        if attempt.status is None:
            ends = self._outcome_sets(attempt.key, outcome, now)
            item = self._new_item(attempt, outcome.status) | without_none(ends)
            for name in _REMOVED_AT_THE_END:
                item.pop(name, None)
            stored = self._put(item)
            return Recording(RecordResult.STORED if stored else RecordResult.CONTRADICTS, attempt_from_item(item))
        return self._end(attempt.key, outcome, now, _Where({attempt.status}, times_parked=attempt.times_parked))

    def give_up(self, attempt: Attempt, outcome: Outcome, now: float) -> Recording:
        """Record an outcome that was concluded from a leased attempt; nothing changes if it moved meanwhile."""
        # The due time alone doesn't tell: an attempt that was claimed again may be due at the same second.
        where = _Where(tuple(Status), attempt.claim_id, outcome.outbound_call_id, attempt.due_at)
        return self._end(attempt.key, outcome, now, where)

    def resolve(self, key: AttemptKey, status: Status, now: float, by: str | None = None) -> Recording:
        """Record what a person found out about an `unknown` attempt; any other one stays as it is.

        `by` is the ARN of the AWS identity that records it.
        """
        outcome = Outcome(status, OutcomeSource.OPERATOR, resolved_by=by)
        return self._end(key, outcome, now, _Where({Status.UNKNOWN}))

    def leave_unknown(self, key: AttemptKey, by: str | None = None) -> bool:
        """Note that no one will find out how an `unknown` attempt ended. A real outcome may still replace it.

        False when it isn't unknown.
        """
        values = without_none({"outcomeSource": OutcomeSource.OPERATOR.value, "resolvedBy": by})
        unknown = {"unknown": Status.UNKNOWN.value}
        return self._update(key, _change(values), "#status = :unknown", values | unknown, values)[0]

    # Cancel.

    def cancel_unseen(self, request: RequestKey, source: OutcomeSource, now: float) -> bool:
        """Cancel a request that has no record, so that a message for it that comes later is a duplicate.

        False when it has a record by now.
        """
        key = AttemptKey(request, 1)
        outcome = Outcome(Status.CANCELLED, source, reason_code=ReasonCode.CANCELLED_UNSEEN)
        item = key_item(key) | {"status": Status.CANCELLED.value, "createdAt": int(now), "timesParked": 0}
        # No report counts it: it was never asked for.
        ends = without_none(self._outcome_sets(key, outcome, now) | {"endedOn": None})
        return self._put(item | ends)

    def cancel_scheduled(self, attempt: Attempt, outcome: Outcome, now: float) -> bool:
        """Cancel a parked attempt; False when it isn't parked any more."""
        return self._end(attempt.key, outcome, now, _Where({Status.SCHEDULED})).stored

    def stop_of(self, attempt: Attempt) -> Outcome | None:
        """How an attempt ends that was stopped while it was in progress, if it isn't in the end; None if it wasn't."""
        found = self.read(attempt.key)
        if found is None:
            return None
        if found.cancel_requested_at is not None:
            source = found.cancel_requested_by or OutcomeSource.UPSTREAM
            return Outcome(Status.CANCELLED, source, reason_code=ReasonCode.CANCELLED)
        return None if found.answered_at is None else _answered_meanwhile("an earlier attempt")

    def stop(self, attempt: Attempt, outcome: Outcome, now: float) -> bool:
        """End a claimed attempt, which AlloMia is known not to have, as `stop_of` says.

        False when the attempt is no longer as it was read.
        """
        values = {"status": outcome.status.value} | without_none(self._outcome_sets(attempt.key, outcome, now))
        removes = (*_REMOVED_AT_THE_END, "dispatchedAt", "allowedBy")
        change = _change(values, removes)
        condition = "#status = :dispatching AND #claimId = :claim AND attribute_not_exists(#outboundCallId)"
        expected = {"dispatching": Status.DISPATCHING.value, "claim": attempt.claim_id}
        own = values | dict.fromkeys(removes)
        written, _ = self._update(attempt.key, change, condition, values | expected, own)
        return written

    def request_cancel(self, attempt: Attempt, source: OutcomeSource, now: float) -> bool:
        """Mark an attempt in progress: no redial follows, and it is never parked again. False when it has moved on."""
        change = (
            "SET #cancelRequestedAt = if_not_exists(#cancelRequestedAt, :now),"
            " #cancelRequestedBy = if_not_exists(#cancelRequestedBy, :source) REMOVE #redial"
        )
        return self._mark(attempt, change, {"now": int(now), "source": source.value})

    def note_answered(self, attempt: Attempt, now: float) -> bool:
        """Mark an attempt in progress in the same way, since the person answered an earlier one."""
        change = "SET #answeredAt = if_not_exists(#answeredAt, :now) REMOVE #redial"
        return self._mark(attempt, change, {"now": int(now)})

    def _mark(self, attempt: Attempt, change: str, values: Item) -> bool:
        in_progress = {"dispatching": Status.DISPATCHING.value, "calling": Status.CALLING.value}
        written, _ = self._update(attempt.key, change, "#status IN (:dispatching, :calling)", values | in_progress)
        return written

    # Redial.

    def drop_redial(self, attempt: Attempt, now: float, *, requested: bool = False) -> bool:
        """Make a provisional outcome final; False when its redial isn't pending any more.

        `requested`: whether the request's cancellation asks for it.
        """
        removed = [name for name in _REMOVED_AT_THE_END if name not in {"claimId", "postResult"}]
        expires_at = int(now) + self.retention_days * _DAY_SECONDS
        sets = {"expiresAt": expires_at} | ({"cancelRequestedAt": int(now)} if requested else {})
        change = _change(sets, removed)
        own = sets | dict.fromkeys(removed)
        written, _ = self._update(attempt.key, change, "#redialAt = :seen", sets | {"seen": attempt.redial_at}, own)
        return written

    def make_next(self, attempt: Attempt, following: Attempt, reason: ParkReason, now: float) -> bool:
        """Make the attempt that follows one that has ended, parked and due at once, in one transaction.

        The one before must be as it was read: its redial pending, or its status the same and no attempt after it. Its
        record, and that of the first attempt, which tells duplicates of the request, outlive the new one's.
        """
        parked = self._new_item(following, Status.SCHEDULED) | {
            "dueAt": int(now) + DISPATCH_LEASE_SECONDS if reason is ParkReason.REDIAL else int(now),
            "pollDelay": DISPATCH_LEASE_SECONDS,
            "parkReason": reason.value,
            "timesParked": 1,
        }
        if reason is ParkReason.REDIAL:
            parked["isRedial"] = True
        values = {
            "next": following.key.number,
            "expiresAt": int(now) + self.retention_days * _DAY_SECONDS + _FOLLOWING_ENDS_SECONDS,
            "status": attempt.status and attempt.status.value,
        }
        condition = "#status = :status AND attribute_not_exists(#nextAttempt)"
        if attempt.redial_at is None:
            condition += " AND attribute_not_exists(#redialAt)"
        else:
            condition += " AND #redialAt = :seen"
            values["seen"] = attempt.redial_at
        change = "SET #nextAttempt = :next, #expiresAt = :expiresAt REMOVE " + ", ".join(
            f"#{name}" for name in _REMOVED_AT_THE_END
        )
        writes: list[Item] = [
            {
                "Put": {
                    "TableName": self.name,
                    "Item": to_dynamodb(without_none(parked)),
                    "ConditionExpression": "attribute_not_exists(requestId)",
                }
            },
            self._part(attempt.key, change, condition, values),
        ]
        if attempt.key.number > 1:
            first = AttemptKey(attempt.key.request, 1)
            kept = {"expiresAt": values["expiresAt"]}
            writes.append(self._part(first, "SET #expiresAt = :expiresAt", "attribute_exists(#requestId)", kept))
        return self._transact(writes)

    def drop(self, attempt: Attempt, outcome: Outcome, now: float) -> bool:
        """End a redial that came to nothing: it is no outcome of its own, and the one before is final.

        False when either of them is no longer as it was read.
        """
        sets = without_none(
            self._outcome_sets(attempt.key, outcome, now)
            | {"endedOn": None, "status": Status.CANCELLED.value, "isDropped": True}
        )
        change = _change(sets, _REMOVED_AT_THE_END)
        seen: Item = {"seenStatus": attempt.status and attempt.status.value}
        condition = "#status = :seenStatus AND attribute_not_exists(#outboundCallId)"
        if attempt.status is Status.DISPATCHING:
            condition += " AND #claimId = :seenClaim"
            seen["seenClaim"] = attempt.claim_id
        else:
            condition += " AND #timesParked = :seenTimes"
            seen["seenTimes"] = attempt.times_parked
        before = AttemptKey(attempt.key.request, attempt.key.number - 1)
        return self._transact(
            [
                self._part(attempt.key, change, condition, sets | seen),
                self._part(before, "REMOVE #nextAttempt", "#nextAttempt = :this", {"this": attempt.key.number}),
            ]
        )

    def _part(self, key: AttemptKey, change: str, condition: str, values: Mapping[str, Any]) -> Item:
        """One update of a transaction."""
        return {
            "Update": {
                "TableName": self.name,
                "Key": to_dynamodb(key_item(key)),
                "UpdateExpression": change,
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {f"#{name}": name for name in _NAMES.findall(f"{change} {condition}")},
                "ExpressionAttributeValues": {f":{name}": value for name, value in to_dynamodb(values).items()},
            }
        }

    def _transact(self, writes: list[Item]) -> bool:
        """Make all of these writes or none; False when a condition fails.

        The SDK repeats a transaction under one token, so its answer is its own. One that another write is in the way
        of counts as not answered: it can be repeated.
        """
        try:
            _past_transactions(lambda: self.client.transact_write_items(TransactItems=cast("Any", writes)))
        except self.client.exceptions.TransactionCanceledException as error:
            reasons = cast("Mapping[str, Any]", error.response).get("CancellationReasons", ())
            if any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons):
                return False
            raise WriteUnanswered(type(error).__name__) from error
        except (BotoCoreError, ClientError) as error:
            raise _unanswered(error) from error
        return True

    def keep_until(self, key: AttemptKey, until: float) -> None:
        """Keep the record of an attempt that ended at least until then (epoch seconds)."""
        self._update(key, "SET #expiresAt = :until", "#expiresAt < :until", {"until": math.ceil(until)})

    # The poller's timer.

    def lease(self, due: DueEntry, now: float, step_seconds: int) -> Attempt | None:
        """Take a due attempt until its next look; None when another poller has it, or it ended.

        The write is lease and backoff at once: `dueAt` moves on by the attempt's own delay, and the delay grows by
        `step_seconds`. An attempt whose redial is due is returned as it is (`redial_at`), and not leased: the write
        that makes the next one decides who makes it.
        """
        written, item = self._update(
            due.key,
            "SET #dueAt = :now + #pollDelay, #pollDelay = #pollDelay + :step",
            "#dueAt = :seen AND attribute_not_exists(#redialAt)",
            {"now": int(now), "step": step_seconds, "seen": due.due_at},
        )
        if item is None or not (written or item.get("redialAt") == due.due_at):
            return None
        return attempt_from_item(item)

    def set_due(self, attempt: Attempt, due_at: int) -> bool:
        """Bring a leased attempt's next look forward to `due_at`; False when it ended or moved meanwhile."""
        seen = {"due": due_at, "seen": attempt.due_at}
        condition = "#dueAt = :seen AND attribute_not_exists(#redialAt)"
        written, _ = self._update(attempt.key, "SET #dueAt = :due", condition, seen)
        return written

    # The keeper of what waits.

    def expect_waiting(self, organization: str | None, now: float, *, for_line: bool = False) -> None:
        """Have the keeper look at an organization's waiting attempts. Before one of them parks.

        `for_line`: whether it waits for a line.
        """
        key = _keeper_key(organization)
        timers = {
            "shard": zlib.crc32(key["requestId"].encode()) % self.due_shards,
            "due": int(now) + KEEPER_SECONDS,
            "one": 1,
        }
        change = "SET #dueShard = if_not_exists(#dueShard, :shard), #dueAt = if_not_exists(#dueAt, :due)"
        if for_line:
            change += ", #forLines = :one"
        self._update_item(key, f"{change} ADD #arrivals :one", "attribute_not_exists(#status)", timers)

    def lease_keeper(self, due: DueKeeper, now: float) -> Keeper | None:
        """Take a due keeper until its next look; None when another poller has it."""
        values = {"due": int(now) + KEEPER_SECONDS, "seen": due.due_at}
        change, condition = "SET #dueAt = :due", "#dueAt = :seen"
        written, item = self._update_item(_keeper_key(due.organization), change, condition, values)
        if item is None or not written:
            return None
        return Keeper(
            due.organization,
            int(item["arrivals"]),
            optional_int(item, "emptyAt"),
            optional_int(item, "releasedVersion"),
            "forLines" in item,
        )

    def waiting_for_policy(self, organization: str | None) -> Iterator[Waiting]:
        """What policy holds back of an organization, as far as the index has it, in the order of its arrival."""
        yield from self._waiting(waits_for_policy(organization))

    def waiting_for_line(self, organization: str | None, priority: Priority) -> Iterator[Waiting]:
        """What waits for a line of an organization, as far as the index has it, in the order of its arrival."""
        yield from self._waiting(waits_for_line(organization, priority))

    def _waiting(self, waits_for: str) -> Iterator[Waiting]:
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            IndexName="waiting",
            KeyConditionExpression="waitsFor = :condition",
            ExpressionAttributeValues=to_dynamodb({":condition": waits_for}),
        )
        yield from (_waiting(item) for page in pages for item in page["Items"])

    def first_waiting(self, organization: str | None, priority: Priority, most: int) -> list[Waiting]:
        """The first to wait for a line of an organization, as far as the index has them; at most `most`."""
        found = self.client.query(
            TableName=self.name,
            IndexName="waiting",
            KeyConditionExpression="waitsFor = :condition",
            ExpressionAttributeValues=to_dynamodb({":condition": waits_for_line(organization, priority)}),
            Limit=most,
        )
        return [_waiting(item) for item in found["Items"]]

    def lease_waiting(self, waiting: Waiting, priority: Priority, now: float) -> Attempt | None:
        """Take an attempt out of those who wait for a line; None when it doesn't wait any more.

        If it isn't dispatched after all, it comes due when this lease ends.
        """
        organization = waiting.key.request.organization
        written, item = self._update(
            waiting.key,
            "SET #dueAt = :due REMOVE #waitsFor, #waitsSince",
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
        written, _ = self._update(
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

    def release(self, waiting: Waiting, due_at: int, policy_version: int) -> bool:
        """Have a waiting attempt looked at again at `due_at`; False when it changed, or is due earlier."""
        written, _ = self._update(
            waiting.key,
            "SET #dueAt = :due, #policyVersion = :current",
            "#status = :scheduled AND #policyVersion = :seen AND #dueAt > :due",
            {
                "due": due_at,
                "current": policy_version,
                "scheduled": Status.SCHEDULED.value,
                "seen": waiting.policy_version,
            },
        )
        return written

    def note_released(self, keeper: Keeper, policy_version: int) -> None:
        """Note that nothing waits any more under another version of the policy."""
        change = "SET #releasedVersion = :version"
        self._update_item(
            _keeper_key(keeper.organization), change, "attribute_exists(#arrivals)", {"version": policy_version}
        )

    def rest_keeper(self, keeper: Keeper) -> bool:
        """End the keeper of an organization of which no one waits. True once it is gone.

        An attempt may have been about to wait when the index was read, and the index may lag. So no one must be found
        at two looks, with no arrival between them.
        """
        key, seen = _keeper_key(keeper.organization), {"seen": keeper.arrivals}
        if keeper.empty_at != keeper.arrivals:
            self._update_item(key, "SET #emptyAt = :seen", "#arrivals = :seen", seen)
            return False
        try:
            self.client.delete_item(
                TableName=self.name,
                Key=to_dynamodb(key),
                ConditionExpression="arrivals = :seen",
                ExpressionAttributeValues=to_dynamodb({":seen": keeper.arrivals}),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    # Cancelled batches.

    def expect_batch(self, organization: str | None, batch: str, now: float) -> None:
        """Have the poller find the open requests of a batch that is marked as cancelled, if it isn't going to.

        Not before the index shows all that was decided before the mark.
        """
        key = _batch_key(organization, batch)
        values = {
            "shard": zlib.crc32(key["requestId"].encode()) % self.due_shards,
            "due": int(now) + BATCH_SEARCHED_AFTER_SECONDS,
        }
        change = "SET #dueShard = if_not_exists(#dueShard, :shard), #dueAt = if_not_exists(#dueAt, :due)"
        self._update_item(key, change, "attribute_not_exists(#status)", values)

    def lease_batch(self, due: DueBatch, now: float) -> BatchSearch | None:
        """Take a due batch until the next sweep. Returns how far its search is; None when another poller has it."""
        values = {"due": int(now) + BATCH_LEASE_SECONDS, "seen": due.due_at}
        key = _batch_key(due.organization, due.batch)
        written, item = self._update_item(key, "SET #dueAt = :due", "#dueAt = :seen", values)
        if item is None or not written:
            return None
        after = to_dynamodb(item["after"]) if "after" in item else None
        return BatchSearch(due.organization, due.batch, optional_int(item, "shard") or 0, after)

    def search_batch(self, search: BatchSearch) -> tuple[list[RequestKey], BatchSearch | None]:
        """The open requests of a batch among the next hundred entries of the index, and where to go on.

        None once all were searched. Reads of that organization's attempts which batch they are of.
        """
        entries, last = self._due_page(search.shard, _READ_AT_ONCE, search.after)
        own = [each.key for each in entries if each.key.request.organization == search.organization]
        projection = {
            "ProjectionExpression": "#requestId, #batch",
            "ExpressionAttributeNames": {"#requestId": "requestId", "#batch": "batch"},
        }
        found = [item for item in self._read_many(own, projection) if item.get("batch") == search.batch]
        requests = list(dict.fromkeys(RequestKey.from_text(item["requestId"]) for item in found))
        if last is None and search.shard + 1 >= self.due_shards:
            return requests, None
        return requests, replace(search, shard=search.shard if last else search.shard + 1, after=last)

    def note_searched(self, search: BatchSearch) -> None:
        """Note how far the index was searched, for the next sweep or for one after a crash."""
        after = from_dynamodb(search.after) if search.after else None
        values = without_none({"shard": search.shard, "after": after})
        change = _change(values, () if after else ("after",))
        key = _batch_key(search.organization, search.batch)
        self._update_item(key, change, "attribute_exists(#dueAt)", values)

    def rest_batch(self, search: BatchSearch) -> None:
        """End the search for a batch. What comes later is found by the batch's mark."""
        self.client.delete_item(TableName=self.name, Key=to_dynamodb(_batch_key(search.organization, search.batch)))

    # How a write is made.

    def _end(self, key: AttemptKey, outcome: Outcome, now: float, where: _Where) -> Recording:
        """End an attempt, for good or until its redial, in one write.

        Without redial rules that write ends it for good. Where it finds some, they decide which of two writes is
        made, on condition that they are still the same: a cancellation removes them.
        """
        seen = replace(where, redial="")
        written, item = self._end_for_good(key, outcome, now, seen)
        while not written and item is not None and _may_follow(item, outcome.status, seen):
            seen = replace(where, redial=item.get("redial", ""))
            redial_at = _redial_at(item, outcome, now)
            if redial_at is None:
                written, item = self._end_for_good(key, outcome, now, seen)
            else:
                written, item = self._end_until(redial_at, key, outcome, now, seen)
        if item is None:
            return Recording(RecordResult.NO_SUCH_ATTEMPT, None)
        attempt = attempt_from_item(item)
        if written:
            return Recording(RecordResult.STORED, attempt)
        if outcome.outbound_call_id and attempt.outbound_call_id not in {None, outcome.outbound_call_id}:
            return Recording(RecordResult.OTHER_CALL, attempt)
        same = attempt.status is outcome.status
        return Recording(RecordResult.ALREADY_RECORDED if same else RecordResult.CONTRADICTS, attempt)

    def _end_for_good(self, key: AttemptKey, outcome: Outcome, now: float, where: _Where) -> tuple[bool, Item | None]:
        if outcome.status not in ALLOMIA_OUTCOMES:
            where = replace(where, redial=None)
        replaced = ("isDropped",) if outcome.reason_code else ("reasonCode", "reason", "allomiaStatus", "isDropped")
        sets = self._outcome_sets(key, outcome, now)
        return self._move(key, outcome.status, sets, removes=(*_REMOVED_AT_THE_END, *replaced), where=where)

    def _end_until(
        self, redial_at: int, key: AttemptKey, outcome: Outcome, now: float, where: _Where
    ) -> tuple[bool, Item | None]:
        sets = self._outcome_sets(key, outcome, now) | {
            "expiresAt": None,
            "redialAt": redial_at,
            "dueAt": redial_at,
            "pollDelay": DISPATCH_LEASE_SECONDS,
        }
        removes = [name for name in _REMOVED_AT_THE_END if name not in _KEPT_FOR_A_REDIAL]
        return self._move(key, outcome.status, sets, removes=(*removes, "allomiaStatus"), where=where)

    def _outcome_sets(self, key: AttemptKey, outcome: Outcome, now: float) -> Item:
        return {
            "outcomeSource": outcome.source.value,
            "recordedAt": int(now),
            "endedOn": ended_on(key.request.organization, now),
            "expiresAt": int(now) + self.retention_days * _DAY_SECONDS,
            "outboundCallId": outcome.outbound_call_id,
            "contactId": outcome.contact_id,
            "callLogId": outcome.call_log_id,
            "callDetails": details_item(outcome.call_details),
            "reasonCode": outcome.reason_code and outcome.reason_code.value,
            "reason": outcome.reason,
            "resolvedBy": outcome.resolved_by,
        }

    def _new_item(self, attempt: Attempt, status: Status) -> Item:
        if attempt.request is None:
            raise ValueError("a new attempt needs its request")
        key = key_item(attempt.key)
        item = {
            **key,
            "status": status.value,
            "createdAt": attempt.created_at,
            "dueShard": zlib.crc32(key["requestId"].encode()) % self.due_shards,
            "timesParked": 0,
            "request": request_item(attempt.request),
            "setting": attempt.request.setting,
            "metadata": dict(attempt.labels.metadata) or None,
            "batch": attempt.labels.batch,
            "purpose": attempt.labels.purpose,
            "notBefore": attempt.terms.not_before,
            "notAfter": attempt.terms.not_after,
            "terms": terms_item(attempt.terms) or None,
            "fingerprint": attempt.fingerprint,
        }
        return without_none(item)

    def _put(self, item: Item, claim_id: str | None = None) -> bool:
        """Create an item; False when there is one already that isn't this worker's own."""
        try:
            _past_transactions(
                lambda: self.client.put_item(
                    TableName=self.name,
                    Item=to_dynamodb(item),
                    ConditionExpression="attribute_not_exists(requestId)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            )
        except self.client.exceptions.ConditionalCheckFailedException as error:
            found = _item_found(error)
            if claim_id is not None:
                return _is_claim(found, claim_id)
            return _was_sent_again(error) and found == from_dynamodb(to_dynamodb(item))
        except (BotoCoreError, ClientError) as error:
            raise _unanswered(error) from error
        return True

    def _move(
        self,
        key: AttemptKey,
        target: Status,
        sets: Mapping[str, Any],
        *,
        removes: Iterable[str] = (),
        where: _Where,
        increments: Iterable[str] = (),
    ) -> tuple[bool, Item | None]:
        """Move an attempt to `target` if `TRANSITIONS` and `where` allow it.

        Returns whether it was written, and the item: as it is now if written, else as it was found (None: no item).
        """
        before = sorted(predecessors(target) & set(where.statuses))
        if not before:
            raise ValueError(f"no such transition to {target}")
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
        if where.redial:
            condition.append("#redial = :expectedRedial")
            expected["expectedRedial"] = where.redial
        elif where.redial == "":
            condition.append("attribute_not_exists(#redial)")
        if where.not_stopped:
            condition += [f"attribute_not_exists(#{name})" for name in _STOPS]
        if target in _NEVER_WITH_A_CALL:
            condition.append("attribute_not_exists(#outboundCallId)")
        if where.outbound_call_id:
            condition.append("(attribute_not_exists(#outboundCallId) OR #outboundCallId = :expectedCallId)")
            expected["expectedCallId"] = where.outbound_call_id
        removes, increments = tuple(removes), tuple(increments)
        values = {"status": target.value} | without_none(sets)
        change = _change(values, removes)
        change += " ADD " + ", ".join(f"#{name} :one" for name in increments) if increments else ""
        one = {"one": 1} if increments else {}
        own = values | dict.fromkeys(removes)
        return self._update(key, change, " AND ".join(condition), values | expected | one, own)

    def _update(
        self,
        key: AttemptKey,
        change: str,
        condition: str,
        values: Mapping[str, Any],
        own: Mapping[str, Any] | None = None,
    ) -> tuple[bool, Item | None]:
        """Update one attempt. See `_update_item`."""
        return self._update_item(key_item(key), change, condition, values, own)

    def _update_item(
        self,
        key: Item,
        change: str,
        condition: str,
        values: Mapping[str, Any],
        own: Mapping[str, Any] | None = None,
    ) -> tuple[bool, Item | None]:
        """Update one item. Every attribute has a placeholder, since many of the names are reserved words.

        An item that has all of `own` when the condition fails was written by an earlier sending of this update.
        """
        update: Any = {
            "TableName": self.name,
            "Key": to_dynamodb(key),
            "UpdateExpression": change,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {f"#{name}": name for name in _NAMES.findall(f"{change} {condition}")},
            "ExpressionAttributeValues": {f":{name}": value for name, value in to_dynamodb(values).items()},
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            answer = _past_transactions(lambda: self.client.update_item(**update))
        except self.client.exceptions.ConditionalCheckFailedException as error:
            found = _item_found(error) or None
            written = bool(found and own and _was_sent_again(error))
            return written and all((found or {}).get(name) == value for name, value in (own or {}).items()), found
        except (BotoCoreError, ClientError) as error:
            raise _unanswered(error) from error
        return True, from_dynamodb(answer["Attributes"])


_FOLLOWING_ENDS_SECONDS = 62 * _DAY_SECONDS
"""How long an attempt takes at most from when it is made to its end: 30 days to expire, and time for the call."""

_NAMES = re.compile(r"#(\w+)")


KEEPER_SECONDS = 60
"""How often a keeper looks."""

_KEEPER = f"{ORGANIZATION_SEPARATOR}{ORGANIZATION_SEPARATOR}keeper"

BATCH_SEARCHED_AFTER_SECONDS = 10
"""How long after its mark a batch is searched for: a dial follows its decision within 5 seconds, and the index lags."""

BATCH_LEASE_SECONDS = 60
"""How long one sweep may search for a batch."""

_BATCH = f"{ORGANIZATION_SEPARATOR}{ORGANIZATION_SEPARATOR}batch{ORGANIZATION_SEPARATOR}"
_READ_AT_ONCE = 100
"""The keys that one BatchGetItem takes."""


def _waiting(entry: Mapping[str, Any]) -> Waiting:
    item = from_dynamodb(entry)
    return Waiting(item_key(item), optional_int(item, "policyVersion") or 0, int(item["waitsSince"]))


def _keeper_key(organization: str | None) -> Item:
    return {"requestId": f"{organization or ''}{_KEEPER}", "attempt": 0}


def _batch_key(organization: str | None, batch: str) -> Item:
    return {"requestId": f"{organization or ''}{_BATCH}{batch}", "attempt": 0}


def _may_follow(item: Item, status: Status, where: _Where) -> bool:
    """Whether an item's status lets it end like this, and it has other redial rules than were expected."""
    return (
        item.get("redial", "") != where.redial
        and Status(item["status"]) in predecessors(status) & set(where.statuses)
        and (where.outbound_call_id is None or item.get("outboundCallId") in {None, where.outbound_call_id})
    )


def _redial_at(item: Item, outcome: Outcome, now: float) -> int | None:
    """When the next attempt is to be made; None where none follows: not after `notAfter`, nor if it is cancelled."""
    if "redial" not in item or not item.keys().isdisjoint(_STOPS):
        return None
    reason = outcome.call_details.ended_reason if outcome.call_details else None
    delay = redial_delay(redial_from_text(item["redial"]), outcome.status, reason, int(item["attempt"]))
    redial_at = None if delay is None else int(now) + delay
    return None if redial_at is None or redial_at > item.get("notAfter", redial_at) else redial_at


def _answered_meanwhile(which: str) -> Outcome:
    return Outcome(
        Status.CANCELLED,
        OutcomeSource.WEBHOOK,
        reason_code=ReasonCode.ANSWERED_MEANWHILE,
        reason=f"the person answered {which}",
    )


def _change(sets: Iterable[str], removes: Collection[str] = ()) -> str:
    """The update expression that sets and removes these attributes; each value stands under its attribute's name."""
    change = "SET " + ", ".join(f"#{name} = :{name}" for name in sets)
    return change + (" REMOVE " + ", ".join(f"#{name}" for name in removes) if removes else "")


def _is_claim(item: Mapping[str, Any], claim_id: str) -> bool:
    return item.get("claimId") == claim_id and item.get("status") == Status.DISPATCHING.value


_NOT_NOW = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
}
"""What DynamoDB answers where the same write may be made a moment later."""


_TRIES_PAST_TRANSACTIONS = 5


def _past_transactions[T](write: Callable[[], T]) -> T:
    """Make a write, again where DynamoDB declines it because it makes a transaction on the item, in milliseconds.

    The SDK doesn't repeat these. A webhook may come at that moment, and only once.
    """
    for _ in range(_TRIES_PAST_TRANSACTIONS - 1):
        try:
            return write()
        except ClientError as error:
            if not _is_conflict(error):
                raise
    return write()


def _is_conflict(error: ClientError) -> bool:
    reasons: Any = error.response.get("CancellationReasons", [])
    codes = {reason.get("Code") for reason in reasons} - {"None"}
    return error.response["Error"].get("Code") == "TransactionConflictException" or codes == {"TransactionConflict"}


def _was_sent_again(error: ClientError) -> bool:
    return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts"))


def _unanswered(error: BotoCoreError | ClientError) -> Exception:
    """The exception for a failed write: DynamoDB's own word that it won't make it, or WriteUnanswered."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status < 500 and error.response["Error"].get("Code") not in _NOT_NOW:
            return error
    return WriteUnanswered(type(error).__name__)


def _item_found(error: ClientError) -> Item:
    return from_dynamodb(cast("Mapping[str, Any]", error.response).get("Item", {}))
