"""The calls table: the record of every attempt, and its timer. No other module writes attempts.

Every write is one conditional write, and every condition is derived from `TRANSITIONS`: a writer that comes too late,
twice or out of turn changes nothing and learns so. While an attempt is not terminal its item is in the sparse index
`due`. The write that ends the attempt removes it from there, and removes the request.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple

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
    redial_from_text,
    redial_text,
    request_item,
    terms_item,
    waits_for_line,
    waits_for_policy,
    waits_for_setting,
    without_none,
)
from outbound_calls.adapters.conditional_writes import ConditionalWrites, set_and_remove
from outbound_calls.adapters.dynamodb import Item, from_dynamodb, to_dynamodb
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.domain.attempts import (
    Attempt,
    AttemptKey,
    Outcome,
    Refusal,
    RequestKey,
)
from outbound_calls.domain.timing import DISPATCH_LEASE_SECONDS, FAILED_TRIES
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
    "soughtSince",
)
"""What is of no use any more once an attempt has ended for good."""

_KEPT_FOR_A_REDIAL = {"dueShard", "dueAt", "pollDelay", "request", "terms", "redial", "redialAt"}
_REMOVED_BY_A_CLAIM = ("parkReason", "waitsFor", "waitsSince", "expiry", "policyVersion")
_STOPS = ("cancelRequestedAt", "answeredAt")
"""What marks an attempt in progress that is never parked again, and that no other attempt follows."""

_REPORTED_NAMES = {f"#{name}": name for name in REPORTED_FIELDS}
_REPORTED = ", ".join(_REPORTED_NAMES)


class TooMany(Exception):
    """There is more in the index `due` than is read at once."""


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


class Recording(NamedTuple):
    """The result of recording an outcome, and the attempt as it is now (None where there is none)."""

    result: RecordResult
    attempt: Attempt | None

    @property
    def stored(self) -> bool:
        """Whether this write recorded the outcome."""
        return self.result in {RecordResult.STORED, RecordResult.REPLACED}


class DueEntry(NamedTuple):
    """An entry of the index `due`: this attempt was due at `due_at` (epoch seconds) when the index was read."""

    key: AttemptKey
    due_at: int

    @classmethod
    def from_index(cls, entry: Mapping[str, Any]) -> DueEntry:
        """Read an entry as DynamoDB returns it, e.g. ``{"requestId": {"S": "a"}, "attempt": {"N": "1"}, …}``."""
        values = from_dynamodb(entry)
        return cls(item_key(values), int(values["dueAt"]))


class _Where(NamedTuple):
    """What a transition demands of the item, beside a status from which the target may follow."""

    statuses: Collection[Status] = tuple(Status)
    claim_id: str | None = None
    outbound_call_id: str | None = None
    due_at: int | None = None
    times_parked: int | None = None
    redial: str | None = None
    """The redial rules as stored; empty: none are stored."""

    not_stopped: bool = False


@dataclass(eq=False, slots=True)
class CallsTable:
    """The calls table.

    A write that DynamoDB doesn't answer raises WriteUnanswered.

    `due_shards` spreads the entries of the index `due` (the poller sweeps that many). `retention_days` is how long a
    finished attempt is kept.
    """

    client: DynamoDBClient
    name: str
    retention_days: int
    due_shards: int

    @property
    def writes(self) -> ConditionalWrites:
        """How its writes are made."""
        return ConditionalWrites(self.client, self.name)

    def due_shard(self, request_id: str) -> int:
        """The shard of the index `due` for a partition key."""
        return zlib.crc32(request_id.encode()) % self.due_shards

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
            ended = self._ended_since(attempt.key.request.organization, since, now, most)
            found = [*ended, *self._in_progress(most)]
        except (BotoCoreError, ClientError, TooMany):
            return None
        return [
            each
            for each in found
            if each.setting == attempt.setting
            and each.key.request.organization == attempt.key.request.organization
            and each.outbound_call_id is not None
            and each.dispatched_at is not None
            and each.dispatched_at >= since
            and each.key != attempt.key
        ]

    def first_ended(self, organization: str | None, since: float, now: float, most: int) -> Iterator[Attempt]:
        """The first attempts of an organization to end since then: at most `most` on that day, and on this one."""
        return self._ended_since(organization, since, now, most, latest_first=False)

    def _ended_since(
        self, organization: str | None, since: float, now: float, most: int, *, latest_first: bool = True
    ) -> Iterator[Attempt]:
        """The last or the first `most` attempts to end since then, on at most two days."""
        for day in sorted({int(now) // _DAY_SECONDS, int(since) // _DAY_SECONDS}, reverse=latest_first):
            found = self.client.query(
                TableName=self.name,
                IndexName="ended",
                KeyConditionExpression="endedOn = :day AND recordedAt >= :since",
                ExpressionAttributeValues=to_dynamodb(
                    {":day": ended_on(organization, day * _DAY_SECONDS), ":since": int(since)}
                ),
                ScanIndexForward=not latest_first,
                Limit=most,
            )
            yield from (attempt_from_item(from_dynamodb(item)) for item in found["Items"])

    def _in_progress(self, most: int) -> Iterator[Attempt]:
        """All attempts in the index `due` that AlloMia has accepted, without their requests."""
        for shard in range(self.due_shards):
            entries, last = self.due_page(shard, most)
            if last:
                raise TooMany
            projection = {"ProjectionExpression": _REPORTED, "ExpressionAttributeNames": _REPORTED_NAMES}
            for item in self.read_many([each.key for each in entries], projection):
                attempt = attempt_from_item(item)
                if attempt.status is Status.CALLING:
                    yield attempt

    def due_page(self, shard: int, most: int, after: Item | None = None) -> tuple[list[DueEntry], Item | None]:
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
        # Keepers and batches have attempt number 0.
        entries = [DueEntry.from_index(item) for item in found["Items"] if item["attempt"] != {"N": "0"}]
        return entries, found.get("LastEvaluatedKey") or None

    def read_many(self, keys: Iterable[AttemptKey], projection: Item) -> Iterator[Item]:
        """What the projection says of these attempts, at most a hundred. May miss the last moment."""
        left: list[Any] = [to_dynamodb(key_item(key)) for key in keys]
        while left:
            asked: Any = {self.name: {"Keys": left} | projection}
            answer: Any = self.client.batch_get_item(RequestItems=asked)
            yield from map(from_dynamodb, answer["Responses"][self.name])
            left = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])

    def count_refused(self, attempt: Attempt, most: int) -> int:
        """How many attempts with this one's setting are refused now, as far as the index has it; at most `most`.

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
            written, new = self.writes.put(self._new_item(attempt, Status.DISPATCHING) | without_none(sets))
            return attempt_from_item(new) if written or _is_claim(new, claim_id) else None
        if attempt.request and attempt.request.setting != attempt.setting:
            # It was parked before its organization's defaults were known.
            sets |= {"setting": attempt.request.setting, "request": request_item(attempt.request)}
        where = _Where(times_parked=attempt.times_parked)
        written, item_now = self._move(attempt.key, Status.DISPATCHING, sets, removes=removes, where=where)
        if item_now is None or not (written or _is_claim(item_now, claim_id)):  # an unanswered claim was made
            return None
        return attempt_from_item(item_now)

    def park(self, attempt: Attempt, due_at: float, reason: ParkReason, refusal: Refusal | None = None) -> bool:
        """Park an attempt until `due_at` (epoch seconds): a new one, a parked one again, or a claimed one.

        One that AlloMia refuses, or that an open circuit holds back, is in the index `waiting` under its setting
        until it is claimed again. One that policy holds back is there under its organization, with the policy's
        version; one that waits for a line under its organization and priority.

        Parking a claimed attempt releases its claim: only for one that was not posted, or that AlloMia is known not to
        have accepted. False when the attempt is no longer as it was read, or it was stopped meanwhile (see `stop`).
        """
        sets: Item = {"dueAt": math.ceil(due_at), "pollDelay": DISPATCH_LEASE_SECONDS, "parkReason": reason.value}
        if attempt.expires_at is not None:
            sets["expiry"] = attempt.expires_at
        removes = ["claimId", "dispatchedAt", "numberHash", "redial", "allowedBy", "soughtSince"]
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
            new = self._new_item(attempt, Status.SCHEDULED) | sets | {"timesParked": 1}
            return self.writes.put(new)[0]
        claimed = attempt.status is Status.DISPATCHING
        if not claimed:
            removes.append("line")  # the stream has it by the write that released its last claim
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
        self.update(
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
        change = set_and_remove(sets)
        written, item = self.update(key, change, condition, sets | before)
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
            recording = self._end(key, outcome, now, where._replace(statuses=disproved))
            return recording._replace(result=RecordResult.REPLACED) if recording.stored else recording
        if outcome.status is Status.COMPLETED and recording.result is not RecordResult.OTHER_CALL:
            return self._answered(recording, found, outcome, now)
        return recording

    def _answered(self, recording: Recording, attempt: Attempt, outcome: Outcome, now: float) -> Recording:
        """Follow up a webhook that says that the person answered: whatever redial was to follow, none does."""
        if attempt.redial_at is not None and attempt.redial is not None and not recording.stored:
            reason = outcome.call_details.ended_reason if outcome.call_details else None
            repeats = redial_delay(attempt.redial, outcome.status, reason, attempt.key.number) is not None
            if attempt.status is Status.COMPLETED and repeats:
                return recording
            return self._replace_provisional(attempt, outcome, now) or self.record(attempt.key, outcome, now)
        if (
            attempt.next_attempt is not None
            and self._answered_meanwhile(attempt, outcome.source, now)
            and not recording.stored
        ):
            return recording._replace(result=RecordResult.NEXT_CANCELLED)
        return recording

    def _replace_provisional(self, attempt: Attempt, outcome: Outcome, now: float) -> Recording | None:
        """Replace an outcome whose redial is pending by a final one; None when it changed meanwhile."""
        values = {"status": outcome.status.value} | without_none(self._outcome_sets(attempt.key, outcome, now))
        change = set_and_remove(values, _REMOVED_AT_THE_END)
        condition = "#redialAt = :seenRedialAt"
        expected: Item = {"seenRedialAt": attempt.redial_at}
        if outcome.outbound_call_id:
            condition += " AND (attribute_not_exists(#outboundCallId) OR #outboundCallId = :outboundCallId)"
        own = values | dict.fromkeys(_REMOVED_AT_THE_END)
        written, item = self.update(attempt.key, change, condition, values | expected, own)
        return Recording(RecordResult.REPLACED, attempt_from_item(item)) if written and item else None

    def _answered_meanwhile(self, attempt: Attempt, source: OutcomeSource, now: float) -> bool:
        """Cancel the attempt that was made after this one, unless it was claimed; False where it's too late.

        What is in progress then is followed by no other dial.
        """
        number = attempt.next_attempt
        while number is not None:
            key = AttemptKey(attempt.key.request, number)
            outcome = _answered_meanwhile(f"attempt {attempt.key.number}", source)
            ending = self._end(key, outcome, now, _Where({Status.SCHEDULED}))
            found = ending.attempt
            if ending.stored or found is None:
                return ending.stored
            if found.reason_code is ReasonCode.ANSWERED_MEANWHILE:  # it was found out before
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
            stored, _ = self.writes.put(item)
            return Recording(RecordResult.STORED if stored else RecordResult.CONTRADICTS, attempt_from_item(item))
        return self._end(attempt.key, outcome, now, _Where({attempt.status}, times_parked=attempt.times_parked))

    def give_up(self, attempt: Attempt, outcome: Outcome, now: float) -> Recording:
        """Record an outcome that was concluded from a leased attempt; nothing changes if it moved meanwhile."""
        # The due time alone isn't enough: an attempt that was claimed again may be due at the same second.
        where = _Where(tuple(Status), attempt.claim_id, outcome.outbound_call_id, attempt.due_at)
        return self._end(attempt.key, outcome, now, where)

    def resolve(self, key: AttemptKey, status: Status, now: float, by: str | None = None) -> Recording:
        """Record what a person found out about an `unknown` attempt; any other one stays as it is.

        If the person who was called answered, what waits to be dialled again is cancelled, as after a webhook.
        `by` is the ARN of the AWS identity that records it.
        """
        outcome = Outcome(status, OutcomeSource.OPERATOR, resolved_by=by)
        recording = self._end(key, outcome, now, _Where({Status.UNKNOWN}))
        if status is Status.COMPLETED and recording.stored and recording.attempt:
            self._answered_meanwhile(recording.attempt, OutcomeSource.OPERATOR, now)
        return recording

    def leave_unknown(self, key: AttemptKey, by: str | None) -> bool:
        """Note that no one will find out how an `unknown` attempt ended. A real outcome may still replace it.

        False when it isn't unknown.
        """
        values = without_none({"outcomeSource": OutcomeSource.OPERATOR.value, "resolvedBy": by})
        unknown = {"unknown": Status.UNKNOWN.value}
        change = set_and_remove(values)
        return self.update(key, change, "#status = :unknown", values | unknown, values)[0]

    # Cancel.

    def cancel_unseen(self, request: RequestKey, source: OutcomeSource, now: float) -> bool:
        """Cancel a request that has no record, so that a message for it that comes later is a duplicate.

        False when it has a record by now.
        """
        key = AttemptKey(request, 1)
        outcome = Outcome(Status.CANCELLED, source, reason_code=ReasonCode.CANCELLED_UNSEEN)
        item = key_item(key) | {"status": outcome.status.value, "createdAt": int(now), "timesParked": 0}
        # No report counts it: it was never asked for.
        ends = without_none(self._outcome_sets(key, outcome, now) | {"endedOn": None})
        return self.writes.put(item | ends)[0]

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
        change = set_and_remove(values, removes)
        condition = "#status = :dispatching AND #claimId = :claim AND attribute_not_exists(#outboundCallId)"
        expected = {"dispatching": Status.DISPATCHING.value, "claim": attempt.claim_id}
        own = values | dict.fromkeys(removes)
        written, _ = self.update(attempt.key, change, condition, values | expected, own)
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
        written, _ = self.update(attempt.key, change, "#status IN (:dispatching, :calling)", values | in_progress)
        return written

    # Redial.

    def drop_redial(self, attempt: Attempt, now: float, *, requested: bool = False) -> bool:
        """Make a provisional outcome final; False when its redial isn't pending any more.

        `requested`: whether the request's cancellation asks for it.
        """
        removed = [name for name in _REMOVED_AT_THE_END if name not in {"claimId", "postResult"}]
        expires_at = int(now) + self.retention_days * _DAY_SECONDS
        sets = {"expiresAt": expires_at} | ({"cancelRequestedAt": int(now)} if requested else {})
        change = set_and_remove(sets, removed)
        own = sets | dict.fromkeys(removed)
        written, _ = self.update(attempt.key, change, "#redialAt = :seen", sets | {"seen": attempt.redial_at}, own)
        return written

    def make_next(self, attempt: Attempt, following: Attempt, reason: ParkReason, now: float) -> bool:
        """Make the attempt that follows one that has ended, parked and due at once, in one transaction.

        The one before must be as it was read: its redial pending, or its status the same and no attempt after it. Its
        record, and that of the first attempt, which recognizes duplicates of the request, outlive the new one's.
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
            "status": attempt.status,
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
            self.writes.put_part(without_none(parked)),
            self.writes.part(key_item(attempt.key), change, condition, values),
        ]
        if attempt.key.number > 1:
            first = AttemptKey(attempt.key.request, 1)
            kept = {"expiresAt": values["expiresAt"]}
            writes.append(
                self.writes.part(key_item(first), "SET #expiresAt = :expiresAt", "attribute_exists(#requestId)", kept)
            )
        return self.writes.transact(writes)

    def drop(self, attempt: Attempt, outcome: Outcome, now: float) -> bool:
        """End a redial that is never dialled: it is no outcome of its own, and the one before is final.

        False when either of them is no longer as it was read.
        """
        sets = without_none(
            self._outcome_sets(attempt.key, outcome, now)
            | {"endedOn": None, "status": Status.CANCELLED.value, "isDropped": True}
        )
        change = set_and_remove(sets, _REMOVED_AT_THE_END)
        seen: Item = {"seenStatus": attempt.status}
        condition = "#status = :seenStatus AND attribute_not_exists(#outboundCallId)"
        if attempt.status is Status.DISPATCHING:
            condition += " AND #claimId = :seenClaim"
            seen["seenClaim"] = attempt.claim_id
        else:
            condition += " AND #timesParked = :seenTimes"
            seen["seenTimes"] = attempt.times_parked
        before = AttemptKey(attempt.key.request, attempt.key.number - 1)
        return self.writes.transact(
            [
                self.writes.part(key_item(attempt.key), change, condition, sets | seen),
                self.writes.part(
                    key_item(before), "REMOVE #nextAttempt", "#nextAttempt = :this", {"this": attempt.key.number}
                ),
            ]
        )

    # The poller's timer.

    def lease(self, due: DueEntry, now: float, step_seconds: int) -> Attempt | None:
        """Take a due attempt until its next look; None when another poller has it, or it ended.

        The write is lease and backoff at once: `dueAt` moves on by the attempt's own delay, and the delay grows by
        `step_seconds`. An attempt whose redial is due is returned as it is (`redial_at`), and not leased: the write
        that makes the next one decides who makes it.
        """
        written, item = self.update(
            due.key,
            "SET #dueAt = :now + #pollDelay, #pollDelay = #pollDelay + :step",
            "#dueAt = :seen AND attribute_not_exists(#redialAt)",
            {"now": int(now), "step": step_seconds, "seen": due.due_at},
        )
        if item is None or not (written or item.get("redialAt") == due.due_at):
            return None
        return attempt_from_item(item)

    def set_due(self, attempt: Attempt, due_at: int, sought_since: int | None = None) -> bool:
        """Bring a leased attempt's next look forward to `due_at`; False when it ended or moved meanwhile.

        `sought_since`: the time to keep of its first look after its deadline that learned nothing.
        """
        condition = "#dueAt = :seen AND attribute_not_exists(#redialAt)"
        change, sets = "SET #dueAt = :due", without_none({"due": due_at, "soughtSince": sought_since})
        if sought_since is not None:
            change += ", #soughtSince = :soughtSince"
        written, _ = self.update(attempt.key, change, condition, sets | {"seen": attempt.due_at})
        return written

    # How a write is made.

    def _end(self, key: AttemptKey, outcome: Outcome, now: float, where: _Where) -> Recording:
        """End an attempt, for good or until its redial, in one write.

        Without redial rules that write ends it for good. Where it finds some, they decide which of two writes is
        made, on condition that they are still the same: a cancellation removes them.
        """
        seen = where._replace(redial="")
        written, item = self._end_for_good(key, outcome, now, seen)
        while not written and item is not None and _may_follow(item, outcome.status, seen):
            seen = where._replace(redial=item.get("redial", ""))
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
            where = where._replace(redial=None)
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
            "dueShard": self.due_shard(key["requestId"]),
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

    def _move(
        self,
        key: AttemptKey,
        target: Status,
        sets: Mapping[str, Any],
        *,
        removes: Iterable[str],
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
        change = set_and_remove(values, removes)
        change += " ADD " + ", ".join(f"#{name} :one" for name in increments) if increments else ""
        one = {"one": 1} if increments else {}
        own = values | dict.fromkeys(removes)
        return self.update(key, change, " AND ".join(condition), values | expected | one, own)

    def update(
        self,
        key: AttemptKey,
        change: str,
        condition: str,
        values: Mapping[str, Any],
        own: Mapping[str, Any] | None = None,
    ) -> tuple[bool, Item | None]:
        """Update one attempt. See `ConditionalWrites.update`."""
        return self.writes.update(key_item(key), change, condition, values, own)


_FOLLOWING_ENDS_SECONDS = 62 * _DAY_SECONDS
"""How long an attempt takes at most from when it is made to its end: 30 days to expire, and time for the call."""


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


def _answered_meanwhile(which: str, source: OutcomeSource = OutcomeSource.WEBHOOK) -> Outcome:
    return Outcome(
        Status.CANCELLED,
        source,
        reason_code=ReasonCode.ANSWERED_MEANWHILE,
        reason=f"the person answered {which}",
    )


def _is_claim(item: Mapping[str, Any], claim_id: str) -> bool:
    return item.get("claimId") == claim_id and item.get("status") == Status.DISPATCHING.value
