"""What must be remembered to find a call in AlloMia's call log: who dialled which number when, and whose an entry is.

In the policy table, where a number is stored as its keyed hash. Partition key `subject`, sort key `entry`:

- ``call-log#ORGANIZATION#HASH``: ``TIME#ATTEMPT``, a dial that was about to be made,
- ``call-log#ORGANIZATION``: ``LOG ID``, an entry of the log and the attempt whose call it is.

ORGANIZATION is AlloMia's id of it, since organizations of this stack may share one. Times are epoch seconds of ten
digits, which sort as texts. Only organizations whose id is configured have any of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbound_calls.adapters.dynamodb import to_dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from outbound_calls.domain.log_matches import Window

DIAL_KEPT_SECONDS = 4 * 86_400
"""Longer than an attempt waits for its look at the log: a deadline of a day, and a day without a usable key."""

RIVALS_KNOWN_SECONDS = DIAL_KEPT_SECONDS - 3600
"""How long after its dispatch all rivals of an attempt are remembered, also those dialled shortly before it."""

ENTRY_KEPT_SECONDS = 30 * 86_400

HASH_CHARACTERS = 16
"""Of a number's hash, in an attempt's record and here: 96 bits distinguish numbers, and the record stays small."""

_MOST_READ = 20


@dataclass(eq=False, slots=True)
class DialMarks:
    """The items in the policy table. An attempt is named by its key's text and number."""

    client: DynamoDBClient
    name: str

    def mark_dial(self, organization_id: str, number_hash: str, attempt: str, dispatched_at: int) -> None:
        """Remember that an attempt was claimed at this time and may be dialled now. Before the POST."""
        item = {
            "subject": _number(organization_id, number_hash),
            "entry": f"{dispatched_at:010}#{attempt}",
            "expiresAt": dispatched_at + DIAL_KEPT_SECONDS,
        }
        self.client.put_item(TableName=self.name, Item=to_dynamodb(item))

    def has_rival(self, organization_id: str, number_hash: str, attempt: str, window: Window) -> bool:
        """Whether another attempt to the number was claimed in this time, as of every acknowledged write."""
        found = self.client.query(
            TableName=self.name,
            KeyConditionExpression="subject = :subject AND entry BETWEEN :since AND :until",
            ExpressionAttributeValues=to_dynamodb(
                {
                    ":subject": _number(organization_id, number_hash),
                    ":since": f"{window.since:010}",
                    ":until": f"{window.until + 1:010}",
                }
            ),
            ConsistentRead=True,
            Limit=_MOST_READ,
        )
        entries = [str(item["entry"]["S"]) for item in found["Items"]]
        return bool(found.get("LastEvaluatedKey")) or any(each.partition("#")[2] != attempt for each in entries)

    def bind_entry(self, organization_id: str, log_id: str, attempt: str, now: float) -> bool:
        """Make an entry of the log the call of this attempt, and of no other; False when it is another's."""
        item = {
            "subject": _organization(organization_id),
            "entry": log_id,
            "boundTo": attempt,
            "expiresAt": int(now) + ENTRY_KEPT_SECONDS,
        }
        try:
            self.client.put_item(
                TableName=self.name,
                Item=to_dynamodb(item),
                ConditionExpression="attribute_not_exists(subject) OR boundTo = :attempt",
                ExpressionAttributeValues=to_dynamodb({":attempt": attempt}),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _organization(organization_id: str) -> str:
    return f"call-log#{organization_id.lower()}"


def _number(organization_id: str, number_hash: str) -> str:
    return f"{_organization(organization_id)}#{number_hash[:HASH_CHARACTERS]}"
