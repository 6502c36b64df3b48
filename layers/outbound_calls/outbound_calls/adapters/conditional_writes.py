"""Conditional writes to the calls table, and what DynamoDB's answers mean.

A write that DynamoDB doesn't answer raises WriteUnanswered. The SDK has then sent it several times. When it gets an
answer in the end, that may be "condition failed" because an earlier one was made: a write that finds all that it would
have written counts as its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from outbound_calls.adapters.dynamodb import Item, from_dynamodb, to_dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_NAMES = re.compile(r"#(\w+)")


class WriteUnanswered(Exception):
    """DynamoDB didn't say whether it made a write: it was made, or may still be. Repeating it shows which."""


@dataclass(eq=False, slots=True)
class ConditionalWrites:
    """Makes the writes to one table."""

    client: DynamoDBClient
    name: str

    def put(self, item: Item) -> tuple[bool, Item]:
        """Create an item. Returns whether it was written, and the item as it is then."""
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
            return _was_sent_again(error) and found == from_dynamodb(to_dynamodb(item)), found
        except (BotoCoreError, ClientError) as error:
            raise _unanswered(error) from error
        return True, item

    def update(
        self,
        key: Item,
        change: str,
        condition: str,
        values: Mapping[str, Any],
        own: Mapping[str, Any] | None = None,
    ) -> tuple[bool, Item | None]:
        """Update one item. Returns whether it was written, and the item as it is then (None: there is none).

        Every attribute has a placeholder, since many of the names are reserved words.
        An item that has all of `own` when the condition fails was written by an earlier sending of this update.
        """
        update: Any = {
            **self._expressions(key, change, condition, values),
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

    def part(self, key: Item, change: str, condition: str, values: Mapping[str, Any]) -> Item:
        """One update of a transaction."""
        return {"Update": self._expressions(key, change, condition, values)}

    def put_part(self, item: Item) -> Item:
        """The creation of an item, as a part of a transaction."""
        condition = "attribute_not_exists(requestId)"
        return {"Put": {"TableName": self.name, "Item": to_dynamodb(item), "ConditionExpression": condition}}

    def transact(self, writes: list[Item]) -> bool:
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

    def _expressions(self, key: Item, change: str, condition: str, values: Mapping[str, Any]) -> Item:
        return {
            "TableName": self.name,
            "Key": to_dynamodb(key),
            "UpdateExpression": change,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {f"#{name}": name for name in _NAMES.findall(f"{change} {condition}")},
            "ExpressionAttributeValues": {f":{name}": value for name, value in to_dynamodb(values).items()},
        }


def set_and_remove(sets: Iterable[str], removes: Collection[str] = ()) -> str:
    """The update expression that sets and removes these attributes; each value has its attribute's name."""
    change = "SET " + ", ".join(f"#{name} = :{name}" for name in sets)
    return change + (" REMOVE " + ", ".join(f"#{name}" for name in removes) if removes else "")


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
