"""The queues of messages that wait for a person, and what SQS answers to an operator's command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.proof.explorer.guarantees import Key
from tests.proof.explorer.state import DEAD, KEPT, QueuedMessage
from tests.proof.explorer.workers import (
    CALL_QUEUE_URL,
    DEAD_LETTER_QUEUE_URL,
    INVALID_MESSAGES_QUEUE_URL,
    OK,
    Effect,
    History,
)

PLACES = {DEAD_LETTER_QUEUE_URL: DEAD, INVALID_MESSAGES_QUEUE_URL: KEPT}
"""The queues of messages that wait for a person."""

type Messages = tuple[QueuedMessage, ...]


def waiting(messages: Messages, queue_url: str) -> list[QueuedMessage]:
    """The messages that a reader of a queue gets now."""
    return [message for message in messages if message.where == PLACES[queue_url] and not message.held_by]


def received(messages: Messages, effect: Effect, reader: str) -> tuple[Messages, str]:
    """The messages after a ReceiveMessage, and the answer to it."""
    arguments = json.loads(effect.arguments)
    most = arguments["MaxNumberOfMessages"]
    found = {message.name for message in waiting(messages, arguments["QueueUrl"])[:most]}
    held = [message._replace(held_by=reader) if message.name in found else message for message in messages]
    answer = [_as_sqs_delivers(message) for message in messages if message.name in found]
    return tuple(held), f"{OK}\n{json.dumps(answer)}"


def _as_sqs_delivers(message: QueuedMessage) -> dict[str, Any]:
    return {
        "MessageId": message.name,
        "ReceiptHandle": message.name,
        "Body": message.body,
        "Attributes": {"SentTimestamp": str(message.sent_at * 1000)},
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in json.loads(message.attributes).items()
        },
    }


def sent(
    messages: Messages, effect: Effect, history: History, copy: int, about: Callable[[str], Key], now: int
) -> Messages:
    """The messages after a SendMessageBatch to the call queue: each is about what its original was about."""
    arguments = json.loads(effect.arguments)
    assert arguments["QueueUrl"] == CALL_QUEUE_URL
    originals = list(_held(history))
    new = list(messages)
    for entry in arguments["Entries"]:
        name = originals[int(entry["Id"])]
        attributes = json.dumps(entry.get("MessageAttributes", {}))
        sent_again = unused(new, f"{name}.{copy}")
        new.append(QueuedMessage(sent_again, entry["MessageBody"], about(name), now, attributes))
    return tuple(sorted(new))


def _held(history: History) -> Iterator[str]:
    """The names of the messages that a command received, in its order."""
    for answer in history:
        kind, _, content = str(answer).partition("\n")
        if kind == OK and content.startswith("["):
            yield from (message["MessageId"] for message in json.loads(content))


def unused(messages: Iterable[QueuedMessage], name: str) -> str:
    """The name, or one like it that no message has."""
    names = {message.name for message in messages}
    while name in names:
        name += "'"
    return name


def deleted(messages: Messages, effect: Effect) -> Messages:
    """The messages after a DeleteMessageBatch."""
    gone = _receipts(effect)
    return tuple(message for message in messages if message.name not in gone)


def released(messages: Messages, effect: Effect) -> Messages:
    """The messages after a ChangeMessageVisibilityBatch that ends their hold."""
    free = _receipts(effect)
    return tuple(message._replace(held_by="") if message.name in free else message for message in messages)


def _receipts(effect: Effect) -> set[str]:
    return {entry["ReceiptHandle"] for entry in json.loads(effect.arguments)["Entries"]}
