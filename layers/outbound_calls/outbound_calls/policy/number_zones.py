"""Which time zones the person with a phone number may be in.

A number says where a line was issued, not where its owner lives. So the sender's `timeZone` comes first, and a number
means every zone that it may be in. `python -m tools.number_zones` makes the table, which is read when it's needed.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

_NORTH_AMERICA = "+1"
_LONGEST_PREFIX = 3


class ZoneSource(StrEnum):
    """Where the zone of a recipient comes from."""

    REQUEST = "request"
    NUMBER = "number"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class RecipientZones:
    """The names of every zone that the recipient may be in."""

    names: tuple[str, ...]
    source: ZoneSource


def recipient_zones(phone_number: str, request_zone: str | None, policy_zone: str | None) -> RecipientZones | None:
    """The zones of a recipient, by an E.164 number, and the zones that the request and the policy name.

    None where they are unknown, so that no time is known to be allowed.
    """
    if request_zone:
        return RecipientZones((request_zone,), ZoneSource.REQUEST)
    table = _table()
    if not phone_number.startswith(_NORTH_AMERICA):
        digits = phone_number.removeprefix("+")
        prefixes = (digits[:length] for length in range(_LONGEST_PREFIX, 0, -1))
        return _of_number(next(filter(None, map(table["callingCodes"].get, prefixes)), None))
    area_code = phone_number[2:5]
    if area_code not in table["nonGeographicAreaCodes"].split():
        return _of_number(table["areaCodes"].get(area_code))
    if policy_zone and policy_zone in table["northAmericanZones"].split():
        return RecipientZones((policy_zone,), ZoneSource.POLICY)
    return None


def _of_number(names: str | None) -> RecipientZones | None:
    return RecipientZones(tuple(names.split()), ZoneSource.NUMBER) if names else None


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_bytes())
    return table
