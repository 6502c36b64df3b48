"""Recognise a message in another service's envelope, or with its fields in another spelling, to say what to do.

Loaded for the first such message.
"""

from collections.abc import Collection, Mapping
from typing import Any

from outbound_calls.contracts.wire import InvalidInput

SNS = "an SNS notification around the message: turn on raw message delivery for the subscription"
SNS_CONFIRMATION = "SNS asks to confirm a subscription: a queue's owner subscribes without a message"
EVENTBRIDGE = (
    "an EventBridge event around the message: give the target the input path $.detail, or an input transformer"
)
S3 = "an S3 notification, which holds no request: read the object, and send a message for each request in it"
RECORDS = "a batch of records: send a message for each request"

_MAX_NAME = 64
_APART = dict.fromkeys(map(ord, "_- "))


def explained(fields: Mapping[str, Any], known: Collection[str]) -> InvalidInput | None:
    """The error of a message without a phone number, where it's clear what it is. `known` are a request's fields."""
    match fields:
        case {"Type": "Notification", "Message": _}:
            return InvalidInput("body", SNS)
        case {"Type": "SubscriptionConfirmation" | "UnsubscribeConfirmation"}:
            return InvalidInput("body", SNS_CONFIRMATION)
        case {"detail-type": _, "detail": _}:
            return InvalidInput("body", EVENTBRIDGE)
        case {"Records": [{"eventSource": "aws:s3"}, *_]} | {"Event": "s3:TestEvent"}:
            return InvalidInput("body", S3)
        case {"Records": list()}:
            return InvalidInput("body", RECORDS)
    spellings = {_plain(name): name for name in known}
    for name in fields:
        if name not in known and len(name) <= _MAX_NAME and (meant := spellings.get(_plain(name))):
            return InvalidInput(name, f"spelled {meant}", known=False)
    return None


def _plain(name: str) -> str:
    return name.translate(_APART).lower() if name.isascii() else name
