"""What one page of due attempts reads of AlloMia's call logs. Apart from the look itself, which few sweeps need."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from outbound_calls.adapters.allomia import NOT_FOUND, StatusUnavailable
from outbound_calls.use_cases.polls import KEY_OF_ANOTHER_ORGANIZATION, NOT_ITS_TURN, SHORT_OF_TIME

if TYPE_CHECKING:
    from outbound_calls.adapters.call_log import CallLog
    from outbound_calls.adapters.organizations import Organization
    from outbound_calls.contracts.call_log import LogEntry
    from outbound_calls.domain.log_matches import Window

MAX_PAGES = 20
"""How many pages of an organization's log one sweep reads."""

PIECE_SECONDS = 120
"""The log is read in pieces of this length, so that attempts share what they read."""

TOO_MANY_PAGES, PAGES_CHANGED = "too-many-pages", "pages-changed"


def pages_of_shard(shard: int, shards: int, swept_until: int) -> int:
    """How many pages of each organization's log a shard of a sweep may read.

    The shards of a sweep run at once and don't know of each other. So in every other sweep they share the pages evenly,
    and in the others one shard has all of them, for an organization with a long log: each shard in its turn.

    Args:
        shard: From 0.
        shards: How many there are.
        swept_until: When the sweep ends (epoch seconds). One begins each minute, or by hand at any second.
    """
    sweep = swept_until // 60 + swept_until % 60
    if sweep % 2 == 0:
        return MAX_PAGES // shards
    return MAX_PAGES if sweep // 2 % shards == shard else 0


@dataclass(slots=True)
class Entries:
    """The entries of a time: those that can be read, and how many more there are."""

    entries: list[LogEntry] = field(default_factory=list)
    unreadable: int = 0

    def is_whole(self, pages: int, more: bool | None, total: int | None) -> bool:
        """Whether the entries are all that AlloMia counts. Only a single page needs no count."""
        if total is None:
            return pages == 1 and more is False
        return len(self.entries) + self.unreadable == total


@dataclass(eq=False, slots=True)
class LogReads:
    """What is read of the logs for one page of due attempts. Its threads share it.

    `permit` waits for the next request that the rate limit allows; False when there is no time for one.
    """

    permit: Callable[[], bool] = lambda: True
    max_pages: int = MAX_PAGES
    """How many pages of each organization's log may be read: the share of this page of due attempts."""

    pages: Counter[str] = field(default_factory=Counter)
    """How many pages were read, by AlloMia's id of the organization."""

    _pieces: dict[tuple[str, int], Entries | str] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)

    def window(self, log: CallLog, organization: Organization, window: Window) -> Entries | str:
        """All entries of a time, or why they can't be had."""
        pieces = list[Entries]()
        id_ = organization.organization_id or ""
        with self._locks.setdefault(id_, threading.Lock()):
            has_all = self.max_pages - self.pages[id_] == MAX_PAGES
            for number in range(window.since // PIECE_SECONDS, window.until // PIECE_SECONDS + 1):
                if (id_, number) not in self._pieces:
                    self._pieces[id_, number] = self._read(log, organization, number)
                piece = self._pieces[id_, number]
                if piece == TOO_MANY_PAGES and not has_all:
                    return NOT_ITS_TURN
                if isinstance(piece, str):
                    return piece
                pieces.append(piece)
        return Entries([entry for each in pieces for entry in each.entries], sum(each.unreadable for each in pieces))

    def _read(self, log: CallLog, organization: Organization, number: int) -> Entries | str:
        """All pages of a piece. They must be of one log: none was added or removed while they were read."""
        since, id_ = number * PIECE_SECONDS, organization.organization_id or ""
        piece, total = Entries(), None
        for page in range(1, self.max_pages - self.pages[id_] + 1):
            if not self.permit():
                return SHORT_OF_TIME
            self.pages[id_] += 1
            # Entries of the second that ends it are in the next piece as well: whether `to` belongs isn't documented.
            answer = log.calls_page(organization, since, since + PIECE_SECONDS, page)
            if isinstance(answer, StatusUnavailable):
                # The key doesn't see the organization.
                return KEY_OF_ANOTHER_ORGANIZATION if answer.reason == NOT_FOUND else answer.reason
            if page > 1 and answer.total != total:
                return PAGES_CHANGED
            total = answer.total
            piece.entries += answer.entries
            piece.unreadable += answer.unreadable
            if not answer.more:
                return piece if piece.is_whole(page, answer.more, total) else PAGES_CHANGED
        return TOO_MANY_PAGES
