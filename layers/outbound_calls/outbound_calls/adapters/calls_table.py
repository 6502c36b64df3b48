"""The calls table: the record of every attempt, and its timer. The only module that writes to it.

Every write is one conditional write, and every condition is derived from `TRANSITIONS`: a writer that comes too late,
twice or out of turn changes nothing and learns so. While an attempt is not terminal its item stands in the sparse index
`due`. The write that ends the attempt removes it from there, and removes the request.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from outbound_calls.adapters.dynamodb import Item, from_dynamodb, to_dynamodb
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.contracts.wire import ORGANIZATION_SEPARATOR
from outbound_calls.domain.attempts import (
    Allowance,
    Attempt,
    AttemptKey,
    CallDetails,
    CallRequest,
    Labels,
    Outcome,
    Redial,
    Refusal,
    RequestKey,
    Terms,
)
from outbound_calls.domain.timing import DISPATCH_LEASE_SECONDS, FAILED_TRIES, utc_text
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
REPORTED_FIELDS = (
    "requestId",
    "attempt",
    "status",
    "createdAt",
    "metadata",
    "batch",
    "purpose",
    "notBefore",
    "notAfter",
    "expiry",
    "policyVersion",
    "allowedBy",
    "redialAt",
    "nextAttempt",
    "cancelRequestedAt",
    "isDropped",
    "isRedial",
    "timesParked",
    "parkReason",
    "refusal",
    "setting",
    "dueAt",
    "claimId",
    "dispatchedAt",
    "outboundCallId",
    "contactId",
    "allomiaStatus",
    "callDetails",
    "outcomeSource",
    "recordedAt",
    "reasonCode",
    "reason",
)
"""What a report needs of an attempt. The phone number, the name and the variables stay in the table."""

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
        return cls(_key(values), int(values["dueAt"]))


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

    not_cancelled: bool = False


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
        found = self.client.get_item(TableName=self.name, Key=to_dynamodb(_key_item(key)), ConsistentRead=True)
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
            found = self.client.query(
                TableName=self.name,
                IndexName="due",
                KeyConditionExpression="dueShard = :shard",
                ExpressionAttributeValues=to_dynamodb({":shard": shard}),
                Limit=most,
            )
            if found.get("LastEvaluatedKey"):
                raise _TooMany
            keys = [{name: item[name] for name in ("requestId", "attempt")} for item in found["Items"]]
            while keys:
                asked = {
                    "Keys": keys,
                    "ProjectionExpression": _REPORTED,
                    "ExpressionAttributeNames": _REPORTED_NAMES,
                }
                answer: Any = self.client.batch_get_item(RequestItems=cast("Any", {self.name: asked}))
                attempts = [attempt_from_item(from_dynamodb(item)) for item in answer["Responses"][self.name]]
                yield from (each for each in attempts if each.status is Status.CALLING)
                keys = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])

    def count_refused(self, attempt: Attempt, most: int) -> int:
        """How many attempts with this one's setting stand refused now, as far as the index has it; at most `most`.

        `most`, where they can't be read.
        """
        try:
            found = self.client.query(
                TableName=self.name,
                IndexName="waiting",
                KeyConditionExpression="waitsFor = :setting",
                ExpressionAttributeValues=to_dynamodb({":setting": _waits_for_setting(attempt)}),
                Limit=most,
                Select="COUNT",
            )
        except (BotoCoreError, ClientError):
            return most
        return found["Count"]

    # Transitions.

    def claim(self, attempt: Attempt, claim_id: str, now: float, grace_seconds: int) -> Attempt | None:
        """Claim an attempt, new or parked, and arm its first poll. Returns it claimed.

        With the attempt's `allowance` and `redial`. Only the worker that gets an attempt from this may dial it. None
        when another worker has claimed it, or when it is no longer as it was read.
        """
        timers = {"dueAt": int(now) + grace_seconds, "pollDelay": grace_seconds}
        sets = {"dispatchedAt": int(now), "claimId": claim_id, **timers}
        sets["allowedBy"] = attempt.allowance and _allowance_text(attempt.allowance)
        sets["redial"] = attempt.redial and _redial_text(attempt.redial)
        if attempt.status is None:
            item = self._new_item(attempt, Status.DISPATCHING) | _without_none(sets)
            return attempt_from_item(item) if self._put(item, claim_id) else None
        where = _Where(times_parked=attempt.times_parked)
        written, item_now = self._move(attempt.key, Status.DISPATCHING, sets, removes=_REMOVED_BY_A_CLAIM, where=where)
        if item_now is None or not (written or _is_claim(item_now, claim_id)):  # already this worker's: see `_put`
            return None
        return attempt_from_item(item_now)

    def park(self, attempt: Attempt, due_at: float, reason: ParkReason, refusal: Refusal | None = None) -> bool:
        """Park an attempt until `due_at` (epoch seconds): a new one, a parked one again, or a claimed one.

        One that AlloMia refuses, or that an open circuit holds back, stands in the index `waiting` under its setting
        until it is claimed again. One that policy holds back stands there under its organization, with the policy's
        version.

        Parking a claimed attempt releases its claim: only for one that was not posted, or that AlloMia is known not to
        have accepted. False when the attempt is no longer as it was read, or its cancellation was requested meanwhile
        (see `cancel_marked`).
        """
        sets: Item = {"dueAt": math.ceil(due_at), "pollDelay": DISPATCH_LEASE_SECONDS, "parkReason": reason.value}
        if attempt.expires_at is not None:
            sets["expiry"] = attempt.expires_at
        removes = ["claimId", "dispatchedAt", "redial", "allowedBy"]
        if reason in _WAITS_FOR_SETTING:
            sets |= {
                "waitsFor": _waits_for_setting(attempt),
                "waitsSince": (refusal.first_at if refusal else attempt.created_at),
            }
        elif reason in WAITS_FOR_POLICY:
            sets |= {
                "waitsFor": waits_for_policy(attempt.key.request.organization),
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
            where=_Where({attempt.status}, attempt.claim_id, not_cancelled=True)
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

        A webhook that came first has stored the call's id already. `OTHER_CALL` means that it stored a different one:
        AlloMia made two calls of one attempt.
        """
        sets = {"outboundCallId": outbound_call_id, "contactId": contact_id}
        where = _Where(claim_id=attempt.claim_id, outbound_call_id=outbound_call_id)
        written, item = self._move(attempt.key, Status.CALLING, sets, where=where)
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
        sets = _without_none({"outboundCallId": outbound_call_id, "allomiaStatus": allomia_status or None})
        before = {f"before{i}": status.value for i, status in enumerate(_WITHOUT_OUTCOME)}
        condition = f"#status IN ({', '.join(f':{name}' for name in before)})"
        if outbound_call_id:
            condition += " AND (attribute_not_exists(#outboundCallId) OR #outboundCallId = :outboundCallId)"
        change = "SET " + ", ".join(f"#{name} = :{name}" for name in sets)
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
            if redial_delay(attempt.redial, outcome.status, reason, attempt.key.number) is not None:
                return recording
            where = _Where(ALLOMIA_OUTCOMES, outbound_call_id=outcome.outbound_call_id)
            replaced = self._replace_provisional(attempt, outcome, now, where)
            return replaced or self.record(attempt.key, outcome, now)
        if attempt.next_attempt is not None and self._answered_meanwhile(attempt, now) and not recording.stored:
            return replace(recording, result=RecordResult.NEXT_CANCELLED)
        return recording

    def _replace_provisional(self, attempt: Attempt, outcome: Outcome, now: float, where: _Where) -> Recording | None:
        """Replace an outcome whose redial is pending by a final one; None when it changed meanwhile."""
        values = {"status": outcome.status.value} | _without_none(self._outcome_sets(attempt.key, outcome, now))
        change = "SET " + ", ".join(f"#{name} = :{name}" for name in values)
        change += " REMOVE " + ", ".join(f"#{name}" for name in _REMOVED_AT_THE_END)
        condition = "#redialAt = :seenRedialAt"
        expected: Item = {"seenRedialAt": attempt.redial_at}
        if where.outbound_call_id:
            condition += " AND (attribute_not_exists(#outboundCallId) OR #outboundCallId = :outboundCallId)"
        own = values | dict.fromkeys(_REMOVED_AT_THE_END)
        written, item = self._update(attempt.key, change, condition, values | expected, own)
        return Recording(RecordResult.REPLACED, attempt_from_item(item)) if written and item else None

    def _answered_meanwhile(self, attempt: Attempt, now: float) -> bool:
        """Cancel the attempt that was made after this one, unless it was claimed; False where it's too late."""
        number = attempt.next_attempt
        while number is not None:
            key = AttemptKey(attempt.key.request, number)
            outcome = Outcome(
                Status.CANCELLED,
                OutcomeSource.WEBHOOK,
                reason_code=ReasonCode.ANSWERED_MEANWHILE,
                reason=f"the person answered attempt {attempt.key.number}",
            )
            ending = self._end(key, outcome, now, _Where({Status.SCHEDULED}))
            found = ending.attempt
            if ending.stored or found is None:
                return ending.stored
            if found.redial_at is not None:
                return self.drop_redial(found, now)
            number = found.next_attempt
        return False

    def reject(self, attempt: Attempt, outcome: Outcome, now: float) -> Recording:
        """Record that an attempt, new or parked, will never be dialled; nothing changes if it was claimed meanwhile."""
        if attempt.status is None:
            ends = self._outcome_sets(attempt.key, outcome, now)
            item = self._new_item(attempt, outcome.status) | _without_none(ends)
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

    def resolve(self, key: AttemptKey, status: Status, now: float) -> Recording:
        """Record what a person found out about an `unknown` attempt; any other one stays as it is."""
        outcome = Outcome(status, OutcomeSource.OPERATOR)
        return self._end(key, outcome, now, _Where({Status.UNKNOWN}))

    # Cancel.

    def cancel_unseen(self, request: RequestKey, source: OutcomeSource, now: float) -> bool:
        """Cancel a request that has no record, so that a message for it that comes later is a duplicate.

        False when it has a record by now.
        """
        key = AttemptKey(request, 1)
        outcome = Outcome(Status.CANCELLED, source, reason_code=ReasonCode.CANCELLED_UNSEEN)
        item = _key_item(key) | {"status": Status.CANCELLED.value, "createdAt": int(now), "timesParked": 0}
        # No report counts it: it was never asked for.
        ends = _without_none(self._outcome_sets(key, outcome, now) | {"endedOn": None})
        return self._put(item | ends)

    def cancel_scheduled(self, attempt: Attempt, source: OutcomeSource, now: float) -> bool:
        """Cancel a parked attempt; False when it isn't parked any more."""
        outcome = Outcome(Status.CANCELLED, source, reason_code=ReasonCode.CANCELLED)
        return self._end(attempt.key, outcome, now, _Where({Status.SCHEDULED})).stored

    def cancel_marked(self, attempt: Attempt, now: float) -> bool:
        """End a claimed attempt, which AlloMia is known not to have, whose cancellation was requested meanwhile.

        False when none was, or the attempt is no longer as it was read.
        """
        outcome = Outcome(Status.CANCELLED, OutcomeSource.UPSTREAM, reason_code=ReasonCode.CANCELLED)
        values = {"status": outcome.status.value} | _without_none(self._outcome_sets(attempt.key, outcome, now))
        removes = (*_REMOVED_AT_THE_END, "dispatchedAt", "allowedBy")
        change = "SET " + ", ".join(f"#{name} = :{name}" for name in values)
        change += " REMOVE " + ", ".join(f"#{name}" for name in removes)
        condition = (
            "#status = :dispatching AND #claimId = :claim AND attribute_exists(#cancelRequestedAt)"
            " AND attribute_not_exists(#outboundCallId)"
        )
        expected = {"dispatching": Status.DISPATCHING.value, "claim": attempt.claim_id}
        own = values | dict.fromkeys(removes)
        written, _ = self._update(attempt.key, change, condition, values | expected, own)
        return written

    def request_cancel(self, attempt: Attempt, now: float) -> bool:
        """Mark an attempt in progress: no redial follows, and it is never parked again. False when it has moved on."""
        written, _ = self._update(
            attempt.key,
            "SET #cancelRequestedAt = if_not_exists(#cancelRequestedAt, :now) REMOVE #redial",
            "#status IN (:dispatching, :calling)",
            {"now": int(now), "dispatching": Status.DISPATCHING.value, "calling": Status.CALLING.value},
        )
        return written

    # Redial.

    def drop_redial(self, attempt: Attempt, now: float, *, requested: bool = False) -> bool:
        """Make a provisional outcome final; False when its redial isn't pending any more.

        `requested`: whether the request's cancellation asks for it.
        """
        removed = [name for name in _REMOVED_AT_THE_END if name not in {"claimId", "postResult"}]
        expires_at = int(now) + self.retention_days * _DAY_SECONDS
        sets = {"expiresAt": expires_at} | ({"cancelRequestedAt": int(now)} if requested else {})
        change = "SET " + ", ".join(f"#{name} = :{name}" for name in sets)
        change += " REMOVE " + ", ".join(f"#{name}" for name in removed)
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
                    "Item": to_dynamodb(_without_none(parked)),
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
        sets = _without_none(
            self._outcome_sets(attempt.key, outcome, now)
            | {"endedOn": None, "status": Status.CANCELLED.value, "isDropped": True}
        )
        change = "SET " + ", ".join(f"#{name} = :{name}" for name in sets)
        change += " REMOVE " + ", ".join(f"#{name}" for name in _REMOVED_AT_THE_END)
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
                "Key": to_dynamodb(_key_item(key)),
                "UpdateExpression": change,
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {f"#{name}": name for name in _NAMES.findall(f"{change} {condition}")},
                "ExpressionAttributeValues": {f":{name}": value for name, value in to_dynamodb(values).items()},
            }
        }

    def _transact(self, writes: list[Item]) -> bool:
        """Make all of these writes or none; False when a condition fails, or another write is in the way.

        The SDK repeats a transaction under one token, so its answer is its own.
        """
        try:
            self.client.transact_write_items(TransactItems=cast("Any", writes))
        except self.client.exceptions.TransactionCanceledException:
            return False
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
        written, _ = self._update(attempt.key, "SET #dueAt = :due", "#dueAt = :seen", seen)
        return written

    # How a write is made.

    def _end(self, key: AttemptKey, outcome: Outcome, now: float, where: _Where) -> Recording:
        """End an attempt, for good or until its redial, in one write.

        Without redial rules that write ends it for good. Where it finds some, they decide which of two writes is
        made, on condition that they are still the same.
        """
        written, item = self._end_for_good(key, outcome, now, replace(where, redial=""))
        while not written and item is not None and "redial" in item and _may_follow(item, outcome.status, where):
            seen = replace(where, redial=item["redial"])
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
            "callDetails": _details_item(outcome.call_details),
            "reasonCode": outcome.reason_code and outcome.reason_code.value,
            "reason": outcome.reason,
        }

    def _new_item(self, attempt: Attempt, status: Status) -> Item:
        if attempt.request is None:
            raise ValueError("a new attempt needs its request")
        key = _key_item(attempt.key)
        item = {
            **key,
            "status": status.value,
            "createdAt": attempt.created_at,
            "dueShard": zlib.crc32(key["requestId"].encode()) % self.due_shards,
            "timesParked": 0,
            "request": _request_item(attempt.request),
            "setting": attempt.request.setting,
            "metadata": dict(attempt.labels.metadata) or None,
            "batch": attempt.labels.batch,
            "purpose": attempt.labels.purpose,
            "notBefore": attempt.terms.not_before,
            "notAfter": attempt.terms.not_after,
            "terms": _terms_item(attempt.terms) or None,
            "fingerprint": attempt.fingerprint,
        }
        return _without_none(item)

    def _put(self, item: Item, claim_id: str | None = None) -> bool:
        """Create an item; False when there is one already that isn't this worker's own."""
        try:
            self.client.put_item(
                TableName=self.name,
                Item=to_dynamodb(item),
                ConditionExpression="attribute_not_exists(requestId)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
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
        if where.not_cancelled:
            condition.append("attribute_not_exists(#cancelRequestedAt)")
        if target in _NEVER_WITH_A_CALL:
            condition.append("attribute_not_exists(#outboundCallId)")
        if where.outbound_call_id:
            condition.append("(attribute_not_exists(#outboundCallId) OR #outboundCallId = :expectedCallId)")
            expected["expectedCallId"] = where.outbound_call_id
        removes, increments = tuple(removes), tuple(increments)
        values = {"status": target.value} | _without_none(sets)
        change = "SET " + ", ".join(f"#{name} = :{name}" for name in values)
        change += " REMOVE " + ", ".join(f"#{name}" for name in removes) if removes else ""
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
        """Update one item. Every attribute has a placeholder, since many of the names are reserved words.

        An item that has all of `own` when the condition fails was written by an earlier sending of this update.
        """
        try:
            answer = self.client.update_item(
                TableName=self.name,
                Key=to_dynamodb(_key_item(key)),
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeNames={f"#{name}": name for name in _NAMES.findall(f"{change} {condition}")},
                ExpressionAttributeValues={f":{name}": value for name, value in to_dynamodb(values).items()},
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self.client.exceptions.ConditionalCheckFailedException as error:
            found = _item_found(error) or None
            written = bool(found and own and _was_sent_again(error))
            return written and all((found or {}).get(name) == value for name, value in (own or {}).items()), found
        except (BotoCoreError, ClientError) as error:
            raise _unanswered(error) from error
        return True, from_dynamodb(answer["Attributes"])


_FOLLOWING_ENDS_SECONDS = 62 * _DAY_SECONDS
"""How long an attempt takes at the most from when it is made to its end: 30 days to expire, and time for the call."""

_NAMES = re.compile(r"#(\w+)")


# The shape of an item, and its mapping to and from the domain.


def attempt_from_item(item: Mapping[str, Any]) -> Attempt:
    """The attempt in an item of plain values, whole or as a report needs it."""
    return Attempt(
        key=_key(item),
        created_at=int(item["createdAt"]),
        status=Status(item["status"]),
        request=_request(item["request"]) if "request" in item else None,
        labels=Labels(item.get("metadata", {}), item.get("batch"), item.get("purpose")),
        terms=_terms(item),
        fingerprint=item.get("fingerprint"),
        times_parked=int(item["timesParked"]),
        failed_tries=_int(item, "failedTries") or 0,
        park_reason=ParkReason(item["parkReason"]) if "parkReason" in item else None,
        refusal=_refusal(item["refusal"]) if "refusal" in item else None,
        setting=item.get("setting"),
        due_at=_int(item, "dueAt"),
        expires_at=_int(item, "expiry"),
        policy_version=_int(item, "policyVersion"),
        allowance=_allowance(item["allowedBy"]) if "allowedBy" in item else None,
        redial=_redial(item["redial"]) if "redial" in item else None,
        redial_at=_int(item, "redialAt"),
        next_attempt=_int(item, "nextAttempt"),
        cancel_requested_at=_int(item, "cancelRequestedAt"),
        is_dropped=item.get("isDropped", False),
        is_redial=item.get("isRedial", False),
        claim_id=item.get("claimId"),
        dispatched_at=_int(item, "dispatchedAt"),
        post_result=item.get("postResult"),
        outbound_call_id=item.get("outboundCallId"),
        contact_id=item.get("contactId"),
        allomia_status=item.get("allomiaStatus"),
        call_details=_details(item["callDetails"]) if "callDetails" in item else None,
        outcome_source=OutcomeSource(item["outcomeSource"]) if "outcomeSource" in item else None,
        recorded_at=_int(item, "recordedAt"),
        reason_code=ReasonCode(item["reasonCode"]) if "reasonCode" in item else None,
        reason=item.get("reason"),
    )


def _key_item(key: AttemptKey) -> Item:
    return {"requestId": str(key.request), "attempt": key.number}


def _key(item: Mapping[str, Any]) -> AttemptKey:
    return AttemptKey(RequestKey.from_text(item["requestId"]), int(item["attempt"]))


def _request_item(request: CallRequest) -> Item:
    return _without_none(
        {
            "phoneNumber": request.phone_number,
            "assistantId": request.assistant_id,
            "phoneNumberId": request.phone_number_id,
            "customerName": request.customer_name,
            "dynamicVariables": None if request.dynamic_variables is None else dict(request.dynamic_variables),
        }
    )


def _request(item: Mapping[str, Any]) -> CallRequest:
    return CallRequest(
        phone_number=item["phoneNumber"],
        assistant_id=item["assistantId"],
        phone_number_id=item["phoneNumberId"],
        customer_name=item.get("customerName"),
        dynamic_variables=item.get("dynamicVariables"),
    )


def _terms_item(terms: Terms) -> Item:
    """What is left to do with a request says; stored as JSON, since policy alone reads it."""
    said = {"timeZone": terms.time_zone, "callingWindows": terms.calling_windows, "redial": terms.redial}
    return {name: value if name == "timeZone" else json.dumps(value) for name, value in said.items() if value}


def _terms(item: Mapping[str, Any]) -> Terms:
    said = item.get("terms", {})
    return Terms(
        not_before=_int(item, "notBefore"),
        not_after=_int(item, "notAfter"),
        time_zone=said.get("timeZone"),
        calling_windows=json.loads(said["callingWindows"]) if "callingWindows" in said else None,
        redial=json.loads(said["redial"]) if "redial" in said else None,
    )


def _allowance_text(allowance: Allowance) -> str:
    """In short: ``canada 12``, or ``canada 12 2026f number America/Toronto America/Detroit``."""
    zones = (allowance.zone_data, allowance.zone_source, *allowance.zones) if allowance.zones else ()
    return " ".join([allowance.preset, str(allowance.policy_version), *map(str, zones)])


def _allowance(text: str) -> Allowance:
    preset, version, *rest = text.split()
    if not rest:
        return Allowance(int(version), preset)
    data, source, *zones = rest
    return Allowance(int(version), preset, tuple(zones), source, data)


def _redial_text(redial: Redial) -> str:
    """As JSON: a condition compares it as a whole."""
    item = {"max": redial.max_attempts, "on": redial.after_status or None, "reasons": redial.after_ended_reason or None}
    return json.dumps(_without_none(item), separators=(",", ":"))


def _redial(text: str) -> Redial:
    item = json.loads(text)
    return Redial(item["max"], _delays(item.get("on", {})), _delays(item.get("reasons", {})))


def _delays(item: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(delays) for name, delays in item.items()}


def _may_follow(item: Item, status: Status, where: _Where) -> bool:
    """Whether an item's status lets it end like this, so that only its redial rules were in the way."""
    return Status(item["status"]) in predecessors(status) & set(where.statuses) and (
        where.outbound_call_id is None or item.get("outboundCallId") in {None, where.outbound_call_id}
    )


def _redial_at(item: Item, outcome: Outcome, now: float) -> int | None:
    """When the next attempt is to be made; None where none follows: not after `notAfter`, nor if it is cancelled."""
    if "cancelRequestedAt" in item:
        return None
    reason = outcome.call_details.ended_reason if outcome.call_details else None
    delay = redial_delay(_redial(item["redial"]), outcome.status, reason, int(item["attempt"]))
    redial_at = None if delay is None else int(now) + delay
    return None if redial_at is None or redial_at > item.get("notAfter", redial_at) else redial_at


def _refusal(item: Mapping[str, Any]) -> Refusal:
    return Refusal(int(item["firstAt"]), int(item["times"]), item["words"])


def ended_on(organization: str | None, epoch_seconds: float) -> str:
    """The partition of the index `ended` for what was recorded then: ``ORGANIZATION~2026-04-01``, the day in UTC."""
    return f"{organization or ''}{ORGANIZATION_SEPARATOR}{utc_text(int(epoch_seconds))[:10]}"


_WAITS_FOR_SETTING = {ParkReason.REFUSED_BY_ALLOMIA, ParkReason.CIRCUIT_OPEN}
WAITS_FOR_POLICY = frozenset(
    {
        ParkReason.PAUSED,
        ParkReason.OUTSIDE_CALLING_WINDOW,
        ParkReason.RECIPIENT_CAP,
        ParkReason.POLICY_UNREADABLE,
    }
)
"""What another policy may let go on at once."""


def waits_for_policy(organization: str | None) -> str:
    """The partition of the index `waiting` for the attempts that policy holds back: an organization's."""
    return f"{organization or ''}{ORGANIZATION_SEPARATOR}policy"


def _waits_for_setting(attempt: Attempt) -> str:
    """The partition of the index `waiting` for attempts that AlloMia refuses: all with the same setting."""
    setting = attempt.request.setting if attempt.request else attempt.setting
    return f"{attempt.key.request.organization or ''}{ORGANIZATION_SEPARATOR}refused{ORGANIZATION_SEPARATOR}{setting}"


def _details_item(details: CallDetails | None) -> Item | None:
    if details is None:
        return None
    duration = Decimal(str(details.duration)) if isinstance(details.duration, float) else details.duration
    return _without_none(
        {
            "startedAt": details.started_at,
            "endedAt": details.ended_at,
            "duration": duration,
            "endedReason": details.ended_reason,
        }
    )


def _details(item: Mapping[str, Any]) -> CallDetails:
    # A whole number of seconds is an integer again, so that an event says 150 as AlloMia did, and not 150.0.
    duration = item.get("duration")
    if isinstance(duration, Decimal):
        duration = int(duration) if duration == int(duration) else float(duration)
    return CallDetails(item.get("startedAt"), item.get("endedAt"), duration, item.get("endedReason"))


def _int(item: Mapping[str, Any], name: str) -> int | None:
    return int(item[name]) if name in item else None


def _without_none(item: Mapping[str, Any]) -> Item:
    return {name: value for name, value in item.items() if value is not None}


def _is_claim(item: Mapping[str, Any], claim_id: str) -> bool:
    return item.get("claimId") == claim_id and item.get("status") == Status.DISPATCHING.value


_THROTTLED = {"ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"}


def _was_sent_again(error: ClientError) -> bool:
    return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts"))


def _unanswered(error: BotoCoreError | ClientError) -> Exception:
    """The exception for a failed write: DynamoDB's own word that it won't make it, or WriteUnanswered."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status < 500 and error.response["Error"].get("Code") not in _THROTTLED:
            return error
    return WriteUnanswered(type(error).__name__)


def _item_found(error: ClientError) -> Item:
    return from_dynamodb(cast("Mapping[str, Any]", error.response).get("Item", {}))
