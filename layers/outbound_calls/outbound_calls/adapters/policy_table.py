"""The policy table: the calling policy with its versions, cancelled batches, and what policy must remember of a number.

It is apart from the calls table, so that the function that faces the internet can't touch it. No phone number is in it:
a number is stored there as its keyed hash. Partition key `subject`, sort key `entry`:

- ``policy``: ``current``, and every version (``version#00000012``),
- ``batch#ORGANIZATION~BATCH``: ``cancelled``,
- ``number#HASH``: ``dials``, and the do-not-call entries (``do-not-call#ORGANIZATION#PURPOSES``).

Times are epoch seconds. TTL (attribute `expiresAt`) removes what can't matter any more, days late at times, so code
compares times itself.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from outbound_calls.adapters.dynamodb import from_dynamodb, to_dynamodb
from outbound_calls.contracts.vocabulary import OutcomeSource
from outbound_calls.contracts.wire import ORGANIZATION_SEPARATOR
from outbound_calls.domain.recipients import DEFAULT_ORGANIZATION, Objection, PastDial, Recipient, organization_name

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from outbound_calls.adapters.secrets import Secret

DIALS_KEPT_SECONDS = 32 * 86_400
"""How long a dial is remembered: longer than the longest span of a cap, 30 calendar days in any zone."""

_BATCH_KEPT_SECONDS = 400 * 86_400
_FORGOTTEN_KEPT_SECONDS = 3600
_POLICY = {"subject": "policy", "entry": "current"}
_VERSION, _OBJECTION = "version#", "do-not-call#"
_HASH_CHARACTERS = 27
_NOT_SET = 0
_CHANGED = {"ConditionalCheckFailed", "TransactionConflict"}


class PolicyChanged(Exception):
    """Another person set the policy meanwhile."""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version of the policy document: its text (JSON), when it was set, and the operator who set it.

    `limited_since`: since when it limits an organization's calls at once, as `policy.rules.limited_since` says.
    """

    number: int
    text: str
    set_at: int
    set_by: str
    limited_since: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TakenDial:
    """A dial to a number, taken by the claim of an attempt (named by its key's text and number)."""

    attempt: str
    claim_id: str
    dial: PastDial


@dataclass(frozen=True, slots=True)
class StoredObjection:
    """An entry of the do-not-call list, with who asked for it (`upstream` or `operator`) and when."""

    objection: Objection
    source: OutcomeSource
    added_at: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered of a number. `revision` changes with each change of its dials."""

    dials: tuple[TakenDial, ...] = ()
    objections: tuple[StoredObjection, ...] = ()
    revision: int = 0

    def recipient(self, attempt: str) -> Recipient:
        """What matters for an attempt: its own dial never counts."""
        dials = tuple(each.dial for each in self.dials if each.attempt != attempt)
        return Recipient(dials, tuple(each.objection for each in self.objections))


@dataclass(eq=False, slots=True)
class NumberHashes:
    """Keyed hashes of phone numbers: HMAC-SHA256 with a secret of its own.

    The secret is never rotated: with another one, no entry of the table is found again.
    """

    secret: Secret

    def of(self, phone_number: str) -> str:
        """The hash of an E.164 number."""
        digest = hmac.digest(self.secret.current().encode(), phone_number.encode(), hashlib.sha256)
        return urlsafe_b64encode(digest).decode()[:_HASH_CHARACTERS]


@dataclass(eq=False, slots=True)
class PolicyTable:
    """The policy table. A read or write that fails raises botocore's exceptions."""

    client: DynamoDBClient
    name: str

    # The document.

    def policy(self) -> StoredVersion | None:
        """The version in force; None where no document was ever set."""
        item = self._get(_POLICY)
        return _version(item) if item else None

    def set_policy(self, text: str, set_by: str, now: float, seen: int) -> StoredVersion:
        """Put a new version in force; `seen` is the version it replaces, 0 where there was none.

        Raises:
            PolicyChanged: When another version is in force.
        """
        before = self.policy() if seen != _NOT_SET else None
        if before is not None and before.number != seen:
            raise PolicyChanged
        version = StoredVersion(seen + 1, text, int(now), set_by, _limited_since(before, text, int(now)))
        item: dict[str, Any] = {"version": version.number, "document": text, "setAt": version.set_at, "setBy": set_by}
        if version.limited_since:
            item["limitedSince"] = version.limited_since
        history = {"subject": _POLICY["subject"], "entry": f"{_VERSION}{version.number:08}"}
        current: Any = {"TableName": self.name, "Item": to_dynamodb(_POLICY | item)}
        current["ConditionExpression"] = "attribute_not_exists(subject)"
        if seen != _NOT_SET:
            current["ConditionExpression"] = "version = :seen"
            current["ExpressionAttributeValues"] = to_dynamodb({":seen": seen})
        past: Any = {"TableName": self.name, "Item": to_dynamodb(history | item)}
        try:
            self.client.transact_write_items(TransactItems=[{"Put": current}, {"Put": past}])
        except self.client.exceptions.TransactionCanceledException as error:
            # Throttling is no one's change. What the SDK sends again after a lost answer is known by its token.
            if _CHANGED.isdisjoint(each.get("Code") for each in error.response["CancellationReasons"]):
                raise
            raise PolicyChanged from error
        return version

    def policy_history(self) -> Iterator[StoredVersion]:
        """Every version, the newest first."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="subject = :subject AND begins_with(entry, :version)",
            ExpressionAttributeValues=to_dynamodb({":subject": _POLICY["subject"], ":version": _VERSION}),
            ScanIndexForward=False,
        )
        yield from (_version(from_dynamodb(item)) for page in pages for item in page["Items"])

    # Batches.

    def cancel_batch(self, organization: str | None, batch: str, source: OutcomeSource, now: float) -> None:
        """Cancel every request of a batch, those not sent yet included.

        Repeating it keeps the mark for longer; the first source and time stay.
        """
        self.client.update_item(
            TableName=self.name,
            Key=to_dynamodb(_batch_key(organization, batch)),
            UpdateExpression="SET #source = if_not_exists(#source, :source), "
            "cancelledAt = if_not_exists(cancelledAt, :now), expiresAt = :expires",
            ExpressionAttributeNames={"#source": "source"},
            ExpressionAttributeValues=to_dynamodb(
                {":source": source.value, ":now": int(now), ":expires": int(now) + _BATCH_KEPT_SECONDS}
            ),
        )

    def batch_cancelled_by(self, organization: str | None, batch: str) -> OutcomeSource | None:
        """Who cancelled every request of a batch (`upstream` or `operator`); None where it isn't cancelled."""
        item = self._get(_batch_key(organization, batch))
        return OutcomeSource(item["source"]) if item else None

    # Numbers.

    def remembered(self, number_hash: str) -> Remembered:
        """What is remembered of a number, as of every acknowledged write."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="subject = :subject",
            ExpressionAttributeValues=to_dynamodb({":subject": _number(number_hash)}),
            ConsistentRead=True,
        )
        items = [from_dynamodb(item) for page in pages for item in page["Items"]]
        dials: Mapping[str, Any] = next((item for item in items if item["entry"] == "dials"), {})
        return Remembered(
            tuple(map(_taken_dial, dials.get("dials", ()))),
            tuple(_objection(item) for item in items if item["entry"].startswith(_OBJECTION)),
            int(dials.get("revision", 0)),
        )

    def take_dial(self, number_hash: str, seen: Remembered, taken: TakenDial, now: float) -> bool:
        """Remember a dial that is about to be made; False when the number's dials changed since they were read."""
        return self._put_dials(number_hash, seen, [*_but(seen.dials, taken.attempt), taken], now)

    def give_back_dial(self, number_hash: str, attempt: str, claim_id: str, now: float) -> None:
        """Forget the dial of a claim that is known not to have reached AlloMia."""
        while True:
            seen = self.remembered(number_hash)
            if not any((each.attempt, each.claim_id) == (attempt, claim_id) for each in seen.dials):
                return
            if self._put_dials(number_hash, seen, _but(seen.dials, attempt), now):
                return

    def forget_dials(self, number_hash: str, now: float) -> int:
        """Forget every dial to a number. Returns how many were remembered.

        Without any, the item stays for an hour. If it were gone, its revisions would begin again, and a worker that
        read an earlier one would overwrite the dial of another.
        """
        while True:
            seen = self.remembered(number_hash)
            if not seen.dials or self._put_dials(number_hash, seen, (), now, _FORGOTTEN_KEPT_SECONDS):
                return len(seen.dials)

    def add_objection(self, number_hash: str, objection: Objection, source: OutcomeSource, now: float) -> bool:
        """Put a number on the do-not-call list. An entry that holds at least as long stays as it is: False."""
        item = _objection_key(number_hash, objection) | {
            "organization": objection.organization,
            "purposes": _purposes(objection) or None,
            "source": source.value,
            "addedAt": int(now),
        }
        if objection.until is None:
            condition = "attribute_not_exists(subject) OR attribute_exists(#until)"
            return self._put_if(item, condition, {"#until": "until"})
        until = math.ceil(objection.until)
        item |= {"until": until, "expiresAt": until + DIALS_KEPT_SECONDS}
        condition = "attribute_not_exists(subject) OR #until < :until"
        return self._put_if(item, condition, {"#until": "until"}, {":until": until})

    def remove_objection(self, number_hash: str, objection: Objection) -> bool:
        """Take an entry off the do-not-call list; False where there is none. For operators only."""
        answer = self.client.delete_item(
            TableName=self.name, Key=to_dynamodb(_objection_key(number_hash, objection)), ReturnValues="ALL_OLD"
        )
        return "Attributes" in answer

    def all_objections(self, on_page: Callable[[int, bool], bool]) -> Iterator[tuple[str, StoredObjection]]:
        """Every entry of the do-not-call list with the hash of its number. Reads the whole table, a page at a time.

        `on_page` gets how many items a page has read and whether there are more, and says whether to read those too.
        """
        pages = self.client.get_paginator("scan").paginate(
            TableName=self.name,
            FilterExpression="begins_with(entry, :objection)",
            ExpressionAttributeValues=to_dynamodb({":objection": _OBJECTION}),
        )
        for page in pages:
            read_on = on_page(page["ScannedCount"], "LastEvaluatedKey" in page)
            for item in map(from_dynamodb, page["Items"]):
                yield item["subject"].removeprefix(_number("")), _objection(item)
            if not read_on:
                return

    # How a read and a write are made.

    def _get(self, key: Mapping[str, str]) -> Mapping[str, Any] | None:
        found = self.client.get_item(TableName=self.name, Key=to_dynamodb(key), ConsistentRead=True)
        return from_dynamodb(found["Item"]) if "Item" in found else None

    def _put_dials(
        self,
        number_hash: str,
        seen: Remembered,
        dials: Iterable[TakenDial],
        now: float,
        kept_seconds: int = DIALS_KEPT_SECONDS,
    ) -> bool:
        kept = [each for each in dials if each.dial.at > now - DIALS_KEPT_SECONDS]
        item = {
            "subject": _number(number_hash),
            "entry": "dials",
            "dials": [_dial_item(each) for each in kept],
            "revision": seen.revision + 1,
            "expiresAt": int(now) + kept_seconds,
        }
        if seen.revision == 0:
            return self._put_if(item, "attribute_not_exists(subject)")
        return self._put_if(item, "revision = :seen", values={":seen": seen.revision})

    def _put_if(
        self,
        item: Mapping[str, Any],
        condition: str,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> bool:
        placeholders: Any = {}
        if names:
            placeholders["ExpressionAttributeNames"] = names
        if values:
            placeholders["ExpressionAttributeValues"] = to_dynamodb(values)
        try:
            self.client.put_item(
                TableName=self.name,
                Item=to_dynamodb({name: value for name, value in item.items() if value is not None}),
                ConditionExpression=condition,
                **placeholders,
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _but(dials: Iterable[TakenDial], attempt: str) -> list[TakenDial]:
    return [each for each in dials if each.attempt != attempt]


def _number(number_hash: str) -> str:
    return f"number#{number_hash}"


def _batch_key(organization: str | None, batch: str) -> dict[str, Any]:
    whose = "" if organization_name(organization) == DEFAULT_ORGANIZATION else organization
    return {"subject": f"batch#{whose}{ORGANIZATION_SEPARATOR}{batch}", "entry": "cancelled"}


def _objection_key(number_hash: str, objection: Objection) -> dict[str, Any]:
    whose = f"{objection.organization or ''}#{','.join(_purposes(objection))}"
    return {"subject": _number(number_hash), "entry": f"{_OBJECTION}{whose}"}


def _purposes(objection: Objection) -> list[str]:
    return sorted(set(objection.purposes))


def _version(item: Mapping[str, Any]) -> StoredVersion:
    limited_since = {name: int(since) for name, since in item.get("limitedSince", {}).items()}
    return StoredVersion(int(item["version"]), item["document"], int(item["setAt"]), item["setBy"], limited_since)


def _limited_since(before: StoredVersion | None, text: str, now: int) -> dict[str, int]:
    """Since when a new version limits calls at once. One that can't be read lets no one be called."""
    # Only operators set a policy, so no function loads this for it.
    from outbound_calls.policy.rules import Policy, UnusablePolicy, limited_since, read_stored

    replaced: Policy | None = Policy()
    if before is not None:
        try:
            replaced = read_stored(before.text, before.limited_since)
        except UnusablePolicy:
            replaced = None
    try:
        return limited_since(replaced, read_stored(text), now)
    except UnusablePolicy:
        return {}


def _objection(item: Mapping[str, Any]) -> StoredObjection:
    until = int(item["until"]) if "until" in item else None
    objection = Objection(until, item.get("organization"), tuple(item.get("purposes", ())))
    return StoredObjection(objection, OutcomeSource(item["source"]), int(item["addedAt"]))


def _taken_dial(item: Mapping[str, Any]) -> TakenDial:
    dial = PastDial(int(item["at"]), item.get("organization"), item.get("purpose"))
    return TakenDial(item["attempt"], item["claimId"], dial)


def _dial_item(taken: TakenDial) -> dict[str, Any]:
    item = {
        "attempt": taken.attempt,
        "claimId": taken.claim_id,
        "at": math.ceil(taken.dial.at),
        "organization": taken.dial.organization,
        "purpose": taken.dial.purpose,
    }
    return {name: value for name, value in item.items() if value is not None}
