"""What time it is for people who would be rung, for the question before."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from outbound_calls.contracts.time_zones import time_zone, time_zone_names
from outbound_calls.policy.number_zones import recipient_zones

type Recipient = tuple[object, object]
"""A phone number and the `timeZone` of its request, as they came."""


def local_times(recipients: Iterable[Recipient], now: float) -> str:
    """The earliest and the latest time in all zones that these people may be in, as a sentence; empty for no one.

    By the rules of policy: the request's own zone, or else every zone of the number. What policy allows is another
    question, which place_call asks.
    """
    counted = unknown = 0
    zones: set[str] = set()
    for number, zone in recipients:
        counted += 1
        found = _zones(number, zone)
        zones.update(found)
        unknown += not found
    if not counted:
        return ""
    if not zones:
        return "Their local time isn't known."
    # By the wall clock, of which the zone is no part.
    clocks = sorted(datetime.fromtimestamp(now, time_zone(name)).replace(tzinfo=None) for name in zones)
    first, last = (f"{clock:%a %H:%M}" for clock in (clocks[0], clocks[-1]))
    span = first if first == last else f"{first} to {last}"
    return f"Their local time is {span}{f', and not known for {unknown:,}' if unknown else ''}."


def _zones(number: object, zone: object) -> tuple[str, ...]:
    if isinstance(zone, str) and zone in time_zone_names():
        return (zone,)
    is_number = isinstance(number, str) and number.startswith("+")
    found = recipient_zones(str(number), None, None) if is_number else None
    return found.names if found else ()
