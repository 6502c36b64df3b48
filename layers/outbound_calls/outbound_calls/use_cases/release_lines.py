"""Release the lines of calls that ended, and of attempts that were parked again; hand them on at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from outbound_calls.adapters.attempt_items import attempt_from_item
from outbound_calls.adapters.dynamodb import from_dynamodb
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.lines import line_of_claim, line_reserved_for
from outbound_calls.domain.transitions import TERMINAL
from outbound_calls.use_cases.decide import PolicyUnreadable

if TYPE_CHECKING:
    from outbound_calls.adapters.lines_table import LinesTable
    from outbound_calls.use_cases.decide import CurrentPolicy
    from outbound_calls.use_cases.hand_on import HandOnLines

_IN_PROGRESS = frozenset({Status.DISPATCHING, Status.CALLING})


@dataclass(frozen=True, slots=True)
class Released:
    """What was done for an organization: its lines in use then, and how many were handed on."""

    organization: str | None
    in_use: int
    handed_on: int


@dataclass(frozen=True, slots=True)
class ReleasedLines:
    """What was done for each organization, and what was wrong with the records that can't be read."""

    organizations: list[Released] = field(default_factory=list)
    unreadable: list[Exception] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class ReleaseLines:
    """The use case."""

    policy: CurrentPolicy
    lines_table: LinesTable
    hand_on: HandOnLines

    def release(self, images: Iterable[Mapping[str, Any]], seconds_left: Callable[[], float]) -> ReleasedLines:
        """Release the lines of the claims in these items, given as the stream has them (DynamoDB's typed JSON).

        Each by the claim that its item names: a later one of the same attempt has a line of its own. What the stream
        delivers twice or late changes nothing. A record that can't be read holds back no other: its line is free at its
        call's deadline. Raises when a table or the queue can't be reached. The stream then delivers the batch again.
        """
        released = ReleasedLines()
        lines: dict[str | None, set[str]] = defaultdict(set)
        for image in images:
            try:
                attempt = attempt_from_item(from_dynamodb(image))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it
                released.unreadable.append(error)
                continue
            if attempt.line is not None and attempt.status not in _IN_PROGRESS:
                names = lines[attempt.key.request.organization]
                names.add(line_of_claim(attempt.line))
                if attempt.status in TERMINAL:
                    names.add(line_reserved_for(attempt.key))
        for organization, names in lines.items():
            released.organizations.append(self._release(organization, names, seconds_left))
        return released

    def _release(self, organization: str | None, names: set[str], seconds_left: Callable[[], float]) -> Released:
        lines, handed_on = self.lines_table.give_back_lines(organization, names), 0
        try:
            rules, _ = self.policy.rules(organization, None)
        except PolicyUnreadable:
            # No one may be dialled. Once it can be read, the keeper hands on what is free.
            pass
        else:
            handed = self.hand_on.hand_on(organization, rules, lines, seconds_left)
            lines, handed_on = handed.lines, handed.count
        return Released(organization, len(lines.used), handed_on)
