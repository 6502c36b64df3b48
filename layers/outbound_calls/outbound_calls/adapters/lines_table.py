"""The lines items of the policy table, one for each organization: the lines in use, and the marks of those who wait.

Partition key ``lines#ORGANIZATION``, sort key ``lines``. `countedSince` is there once the calls were counted that were
in progress when a limit was set. Each change is one write, mostly conditional, whose answer is the item as it is then.
No two writers are in each other's way, and there is no counter: the lines in use are those in the item. A
read or write that fails raises botocore's exceptions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from outbound_calls.adapters.dynamodb import from_dynamodb, to_dynamodb
from outbound_calls.contracts.vocabulary import Priority
from outbound_calls.domain.lines import MOST_URGENT_FIRST, Lines, Mark, line_of_claim, not_less_urgent
from outbound_calls.domain.recipients import organization_name

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_NAMES = re.compile(r"#(\w+)")
_MAX_TRIES = 5
_AT_ONCE = 50


@dataclass(eq=False, slots=True)
class LinesTable:
    """The lines of every organization. `name` is the policy table's."""

    client: DynamoDBClient
    name: str

    def read_lines(self, organization: str | None) -> Lines:
        """The lines of an organization, as of every acknowledged write."""
        key = to_dynamodb(_key(organization))
        found = self.client.get_item(TableName=self.name, Key=key, ConsistentRead=True)
        return _lines(found.get("Item", {}))

    def take_line(
        self, organization: str | None, claim_id: str, reserved: str, priority: Priority, limit: int, until: float
    ) -> Lines | None:
        """Take a line for a claim, as `Lines.admits` allows it; None where it doesn't.

        Lines that lapsed count: see `drop_lapsed`. A claim that has a line already keeps it.
        """
        line = line_of_claim(claim_id)
        no_marks = " AND ".join(f"attribute_not_exists(#{_at(each)})" for each in not_less_urgent(priority))
        for _ in range(_MAX_TRIES):
            written, found = self._change(
                organization,
                "SET #lines.#line = :until REMOVE #lines.#reserved",
                "(attribute_exists(#lines.#reserved) AND size(#lines) <= :limit)"
                f" OR (size(#lines) < :limit AND {no_marks})",
                {":until": math.ceil(until), ":limit": limit},
                {"line": line, "reserved": reserved},
            )
            if written or line in found.used:
                return found
            if found.used or found.marks:
                return None
            # There is no map of lines yet, or it is empty and the limit is 0.
            if self._begin(organization, {line: math.ceil(until)}):
                return Lines({line: math.ceil(until)})
        return None

    def reserve_line(self, organization: str | None, reserved: str, limit: int, until: float) -> Lines | None:
        """Reserve a free line for an attempt; None where there is none."""
        written, found = self._change(
            organization,
            "SET #lines.#reserved = :until",
            "size(#lines) < :limit",
            {":until": math.ceil(until), ":limit": limit},
            {"reserved": reserved},
        )
        return found if written else None

    def give_back_lines(self, organization: str | None, names: Collection[str]) -> Lines:
        """Free these lines, as far as they are in use."""
        lines = Lines()
        ordered = sorted(names)
        for first in range(0, len(ordered), _AT_ONCE):
            places = {f"line{place}": name for place, name in enumerate(ordered[first : first + _AT_ONCE])}
            change = "REMOVE " + ", ".join(f"#lines.#{place}" for place in places)
            _, lines = self._change(organization, change, "attribute_exists(#lines)", names=places)
        return lines

    def drop_lapsed(self, organization: str | None, lines: Lines, now: float) -> Lines:
        """Free the lines that lapsed, unless they were taken again meanwhile."""
        for name, until in sorted(lines.lapsed(now).items()):
            change = "REMOVE #lines.#line"
            _, lines = self._change(organization, change, "#lines.#line = :until", {":until": until}, {"line": name})
        return lines

    def mark_waiting(self, organization: str | None, priority: Priority, now: float) -> Lines:
        """Mark that one more attempt of a priority waits. After it was parked."""
        _, lines = self._change(
            organization,
            f"SET #lines = if_not_exists(#lines, :none), #{_at(priority)} = :now ADD #{_arrivals(priority)} :one",
            values={":none": {}, ":now": int(now), ":one": 1},
        )
        return lines

    def clear_mark(self, organization: str | None, priority: Priority, seen: Mark) -> Lines:
        """Clear a mark, unless another attempt was marked meanwhile. Only where no one of this priority waits."""
        _, lines = self._change(
            organization,
            f"REMOVE #{_at(priority)}",
            f"#{_arrivals(priority)} = :seen",
            {":seen": seen.arrivals},
        )
        return lines

    def put_lines(self, organization: str | None, lines: Mapping[str, int]) -> None:
        """Put lines of calls in progress that have none, each with the time until which it is held at most."""
        self._change(organization, "SET #lines = if_not_exists(#lines, :none)", values={":none": {}})
        ordered = sorted(lines.items())
        for first in range(0, len(ordered), _AT_ONCE):
            some = ordered[first : first + _AT_ONCE]
            change = "SET " + ", ".join(f"#lines.#line{place} = :until{place}" for place in range(len(some)))
            times = {f":until{place}": until for place, (_, until) in enumerate(some)}
            names = {f"line{place}": name for place, (name, _) in enumerate(some)}
            self._change(organization, change, values=times, names=names)

    def note_counted(self, organization: str | None, limited_since: int) -> Lines:
        """Note that every call in progress from before the limit of that time has its line."""
        return self._change(organization, "SET #countedSince = :since", values={":since": limited_since})[1]

    def _begin(self, organization: str | None, used: Mapping[str, int]) -> bool:
        """Put the first line into an item that has none yet; False where it has by now."""
        written, _ = self._change(organization, "SET #lines = :used", "attribute_not_exists(#lines)", {":used": used})
        return written

    def _change(
        self,
        organization: str | None,
        change: str,
        condition: str = "",
        values: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> tuple[bool, Lines]:
        """Make one change. Returns whether it was made, and the lines as they are then."""
        used = dict.fromkeys(_NAMES.findall(f"{change} {condition}"))
        update: Any = {
            "TableName": self.name,
            "Key": to_dynamodb(_key(organization)),
            "UpdateExpression": change,
            "ExpressionAttributeNames": {f"#{name}": (names or {}).get(name, name) for name in used},
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if condition:
            update["ConditionExpression"] = condition
        if values:
            update["ExpressionAttributeValues"] = to_dynamodb(values)
        try:
            answer = self.client.update_item(**update)
        except self.client.exceptions.ConditionalCheckFailedException as error:
            return False, _lines(cast("Mapping[str, Any]", error.response).get("Item", {}))
        return True, _lines(answer["Attributes"])


def _key(organization: str | None) -> dict[str, str]:
    return {"subject": f"lines#{organization_name(organization)}", "entry": "lines"}


def _at(priority: Priority) -> str:
    return f"{priority}At"


def _arrivals(priority: Priority) -> str:
    return f"{priority}Arrivals"


def _lines(item: Mapping[str, Any]) -> Lines:
    values = from_dynamodb(item)
    return Lines(
        {name: int(until) for name, until in values.get("lines", {}).items()},
        {
            each: Mark(int(values[_arrivals(each)]), int(values[_at(each)]))
            for each in MOST_URGENT_FIRST
            if _at(each) in values
        },
        int(values.get("countedSince", 0)),
    )
