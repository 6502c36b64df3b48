"""The options that several commands share, and how their text is read."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from calls.operations.phone_numbers import countries
from outbound_calls.contracts.messages import CallRequestMessage


def _rule(field: str) -> str:
    return str(CallRequestMessage.model_fields[field].description)


RequestIdOption = Annotated[str | None, typer.Option(help=f"The request's id: {_rule('request_id')}.")]
PhoneNumber = Annotated[str | None, typer.Option(help=f"The number to call, {_rule('phone_number')}.")]
AssistantId = Annotated[str | None, typer.Option(help=f"AlloMia's id of the assistant: {_rule('assistant_id')}.")]
PhoneNumberId = Annotated[str | None, typer.Option(help=f"AlloMia's id of your number: {_rule('phone_number_id')}.")]
CustomerName = Annotated[str | None, typer.Option(help=f"The person's name: {_rule('customer_name')}.")]
Purpose = Annotated[str | None, typer.Option(help=f"What the call is for, {_rule('purpose')}.")]
TimeZone = Annotated[str | None, typer.Option(help=f"Where the person lives: {_rule('time_zone')}.")]
Variables = Annotated[list[str] | None, typer.Option("--variable", metavar="NAME=VALUE", help="For the assistant.")]
Metadata = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Returned with the outcome. No personal data.")
]
Batch = Annotated[
    str,
    typer.Option(
        help="The requests' batch, to report and cancel them together. The same row in another one is another call."
    ),
]


def _country(code: str | None) -> str | None:
    if code is None or code.upper() in countries():
        return code and code.upper()
    raise typer.BadParameter("a country's two letters, such as CA, US or FR")


Country = Annotated[
    str | None,
    typer.Option("--country", callback=_country, help="Read numbers without a plus sign as numbers of this country."),
]
OrganizationOption = Annotated[str | None, typer.Option("--organization", help="Only this organization.")]
Whose = Annotated[
    str | None, typer.Option("--organization", help=f"Whose key, assistant and number to use: {_rule('organization')}.")
]
OwnOrganization = Annotated[
    str | None,
    typer.Option("--organization", help="The organization of the ids or of the batch; without it, the default one."),
]
OfOrganization = Annotated[
    str | None, typer.Option("--organization", help="The request's organization, where the id doesn't name it.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
ShowNumbers = Annotated[bool, typer.Option("--show-numbers", help="Show phone numbers unmasked.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the calls until each has its outcome.")]
Timeout = Annotated[float, typer.Option(min=0, help="With --wait: the timeout in seconds.")]
Limit = Annotated[int, typer.Option(min=1, help="The maximum number of results.")]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def message_from_options(
    request_id: str | None,
    phone_number: str | None,
    assistant_id: str | None,
    phone_number_id: str | None,
    customer_name: str | None,
    purpose: str | None,
    time_zone: str | None,
    variables: Iterable[str] | None,
    metadata: Iterable[str] | None,
    organization: str | None = None,
) -> str | None:
    """The queue message that the options describe; None when none of them was given."""
    fields: dict[str, Any] = {
        "organization": organization,
        "requestId": request_id,
        "phoneNumber": phone_number,
        "assistantId": assistant_id,
        "phoneNumberId": phone_number_id,
        "customerName": customer_name,
        "purpose": purpose,
        "timeZone": time_zone,
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


def read_since(text: str, now: float, option: str = "--since") -> float:
    """Epoch seconds of a time in the past, such as ``90m``, ``2h``, ``3d``, or ``2026-12-01T09:30Z``."""
    if found := re.fullmatch(r"([0-9]{1,6})([smhd])", text):
        return now - int(found[1]) * _UNITS[found[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{option} takes 90m, 2h, 3d or a date such as 2026-12-01T09:30Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
