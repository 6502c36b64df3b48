"""How often one number may be dialled, given the dials that are remembered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from outbound_calls.domain.recipients import PastDial, organization_name
from outbound_calls.policy.calendars import start_of, wall_clock
from outbound_calls.policy.rules import Cap

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


def counted(cap: Cap, dials: Iterable[PastDial], organization: str | None, purpose: str | None) -> list[PastDial]:
    """The dials that a cap counts for a request of this organization and purpose."""
    return [
        dial
        for dial in dials
        if not (cap.of_organization and organization_name(dial.organization) != organization_name(organization))
        and not (cap.of_purpose and dial.purpose != purpose)
    ]


def allowed_from(cap: Cap, dials: Iterable[PastDial], zones: Sequence[ZoneInfo], at: float) -> float:
    """The first instant from `at` on at which a cap allows another dial, if nothing else is dialled until then.

    `dials` are those that it counts. With several zones, a cap by calendar days must allow it in each.
    """
    times = sorted(dial.at for dial in dials)
    if len(times) < cap.calls:
        return at
    # Once this one no longer counts, fewer than `calls` do.
    leaving = times[-cap.calls]
    match cap:
        case Cap(per_seconds=int(seconds)):
            return max(at, leaving + seconds)
        case Cap(per_days=int(days)):
            span = timedelta(days=days)
            return max([at, *(float(start_of(wall_clock(zone, leaving).date() + span, zone)) for zone in zones)])
    raise AssertionError(cap)
