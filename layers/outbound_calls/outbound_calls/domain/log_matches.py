"""Which entry of AlloMia's call log is the call of an attempt whose answer and webhook were lost.

The log has no reference of ours: the number called, the assistant and the time are all there is. So the rule decides
nothing in doubt. Exactly one entry may be the call, and everything about it must fit. Whether another attempt may have
made that entry is not known here: see `RIVALS_SECONDS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outbound_calls.contracts.call_log import LogEntry

BEFORE_SECONDS = 30
"""How long before the dispatch the entry may be, since clocks differ a little."""

AFTER_SECONDS = 60
"""How long after the longest exchange with AlloMia the entry may be."""

CLOCKS_APART_SECONDS = 300
"""How far AlloMia's clock may be from ours without another attempt's entry being taken for this one's."""

_SHORTEST_NUMBER = 7
"""Digits. A number in a national form is the end of the international one; fewer digits say nothing."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time in which the entry of an attempt must be, in epoch seconds; both ends belong to it."""

    since: int
    until: int

    @classmethod
    def around(cls, dispatched_at: int, exchange_seconds: float) -> Window:
        """The window of an attempt; `exchange_seconds`: from its dispatch to the end of the longest exchange."""
        return cls(dispatched_at - BEFORE_SECONDS, dispatched_at + int(exchange_seconds) + AFTER_SECONDS)

    @property
    def rivals(self) -> Window:
        """When another attempt to the number was dispatched whose entry may be in this window, or seem to be."""
        apart = self.until - self.since + CLOCKS_APART_SECONDS
        dispatched_at = self.since + BEFORE_SECONDS
        return Window(dispatched_at - apart, dispatched_at + apart)

    def has(self, epoch_seconds: float) -> bool:
        """Whether a time is in the window."""
        return self.since <= epoch_seconds < self.until + 1


@dataclass(frozen=True, slots=True)
class Sought:
    """What is known of the call that is looked for."""

    phone_number: str
    assistant_id: str
    window: Window


class NoMatch(StrEnum):
    """Why no entry is the call, in words for a reason."""

    NONE = "the call log shows no such call"
    SEVERAL = "the call log shows several calls that it may be"
    IN_DOUBT = "the call log shows a call that may be another one"


def match(sought: Sought, entries: Iterable[LogEntry], unreadable: int = 0) -> LogEntry | NoMatch:
    """The entry of a call among all those of its window; `unreadable`: how many more there are that can't be read.

    The same entry may be listed twice.
    """
    found = [entry for entry in entries if _may_be(entry, sought)]
    distinct = {entry.id or place: entry for place, entry in enumerate(found)}
    if len(distinct) + unreadable > 1:
        return NoMatch.SEVERAL
    if unreadable:
        return NoMatch.IN_DOUBT
    if not distinct:
        return NoMatch.NONE
    (entry,) = distinct.values()
    return entry if all(_is(each, sought) for each in found) else NoMatch.IN_DOUBT


def _may_be(entry: LogEntry, sought: Sought) -> bool:
    """Whether an entry may be the call: nothing that can be read of it says otherwise."""
    if entry.call_type not in {None, "Outbound"}:
        return False
    times = _times(entry)
    return (not times or any(map(sought.window.has, times))) and _may_be_to(entry, sought.phone_number)


def _may_be_to(entry: LogEntry, phone_number: str) -> bool:
    written = [_digits(number) for number in (entry.user_phone_number, entry.phone_number) if number]
    asked = _digits(phone_number)
    if entry.user_phone_number is None:
        return True
    return any(
        len(number) >= _SHORTEST_NUMBER and (asked.endswith(number) or number.endswith(asked)) for number in written
    )


def _is(entry: LogEntry, sought: Sought) -> bool:
    """Whether everything about an entry fits."""
    times = _times(entry)
    return (
        entry.id is not None
        and _digits(entry.user_phone_number or "") == _digits(sought.phone_number)
        and (entry.agent_id or "").lower() == sought.assistant_id.lower()
        # A call begins long after its entry is made if it rings long, and one that began before the window is another.
        and _epoch_seconds(entry.created_at or "") is not None
        and sought.window.has(min(times))
    )


def _digits(number: str) -> str:
    return re.sub(r"[^0-9]", "", number)


def _times(entry: LogEntry) -> list[float]:
    """When the entry was made and the call began (epoch seconds), as far as it can be read."""
    read = (_epoch_seconds(text) for text in (entry.created_at, entry.call_started_at) if text)
    return [time for time in read if time is not None]


def _epoch_seconds(text: str) -> float | None:
    try:
        time = datetime.fromisoformat(text)
        # Without a zone it may be the organization's own.
        return time.timestamp() if time.tzinfo else None
    except ValueError:
        return None


def took_place(entry: LogEntry) -> bool:
    """Whether an entry alone shows that the person was spoken to: the call has an end, and lasted."""
    return entry.call_ended_at is not None and (entry.call_duration_seconds or 0) > 0
