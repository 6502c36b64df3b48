"""What several commands take, and how it is read from words."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from outbound_calls.contracts import CallRequest


def _rule(field: str) -> str:
    return str(CallRequest.model_fields[field].description)


RequestIdOption = Annotated[str | None, typer.Option(help=f"Your name for the request: {_rule('request_id')}.")]
PhoneNumber = Annotated[str | None, typer.Option(help=f"Whom to call: {_rule('phone_number')}.")]
AssistantId = Annotated[str | None, typer.Option(help=f"AlloMia's assistant: {_rule('assistant_id')}.")]
PhoneNumberId = Annotated[str | None, typer.Option(help=f"The number to call from: {_rule('phone_number_id')}.")]
CustomerName = Annotated[str | None, typer.Option(help=f"For the assistant: {_rule('customer_name')}.")]
Variables = Annotated[list[str] | None, typer.Option("--variable", metavar="NAME=VALUE", help="For the assistant.")]
Metadata = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Comes back with the outcome: no personal data.")
]
Batch = Annotated[
    str, typer.Option(help="For rows without a requestId: part of the id, so that the same row may be called again.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
ShowNumbers = Annotated[bool, typer.Option("--show-numbers", help="Show phone numbers as they are.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the calls until each has its outcome.")]
Timeout = Annotated[float, typer.Option(min=0, help="With --wait: for how many seconds at most.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]
RequestFile = Annotated[Path | None, typer.Option("--file", help="A file as of `place`: its row for this request.")]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def message_of(
    request_id: str | None,
    phone_number: str | None,
    assistant_id: str | None,
    phone_number_id: str | None,
    customer_name: str | None,
    variables: Iterable[str] | None,
    metadata: Iterable[str] | None,
) -> str | None:
    """The message that the options ask to send; None when none of them was given."""
    fields: dict[str, Any] = {
        "requestId": request_id,
        "phoneNumber": phone_number,
        "assistantId": assistant_id,
        "phoneNumberId": phone_number_id,
        "customerName": customer_name,
        "dynamicVariables": _pairs("--variable", variables),
        "metadata": _pairs("--metadata", metadata),
    }
    given = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(given, ensure_ascii=False) if given else None


def _pairs(option: str, texts: Iterable[str] | None) -> dict[str, str] | None:
    pairs: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{option} takes NAME=VALUE")
        pairs[name] = value
    return pairs or None


def read_since(text: str, now: float) -> float:
    """Epoch seconds of a time in the past, such as ``90m``, ``2h``, ``3d``, or ``2026-12-01T09:30Z``."""
    if found := re.fullmatch(r"([0-9]{1,6})([smhd])", text):
        return now - int(found[1]) * _UNITS[found[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("--since takes 90m, 2h, 3d or a date such as 2026-12-01T09:30Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
