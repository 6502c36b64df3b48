"""The do-not-call list: add, remove and check a number, import a file, count.

No result holds a number: it is masked, or named by its row.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field, ValidationError
from pydantic_core import from_json

from calls.operations.in_parallel import in_parallel
from calls.operations.masking import masked
from calls.operations.preflight import InvalidRow
from calls.operations.requests_file import Columns, Row
from outbound_calls.adapters.policy_table import NumberHashes, PolicyTable, StoredObjection
from outbound_calls.contracts.messages import DoNotCall, epoch_seconds
from outbound_calls.contracts.terms import field_error
from outbound_calls.contracts.vocabulary import OutcomeSource
from outbound_calls.contracts.wire import ORGANIZATION_RULE, InvalidInput, OrganizationName, WireModel, first_error
from outbound_calls.domain.recipients import Objection
from outbound_calls.domain.timing import utc_text
from outbound_calls.use_cases.decide import CurrentPolicy, PolicyUnreadable

COLUMNS = Columns(("phoneNumber", "until", "organization"), lists=("purposes",), required="phoneNumber")
"""The columns of a file for the list."""

ALL_ORGANIZATIONS = "all"
"""Counted for entries that apply to every organization."""


MOST_COUNTED = 100_000
"""How many records of the policy table a count reads. They take about 2,000 read units."""


class Entry(DoNotCall):
    """An entry for the list, as a row has it."""

    organization: OrganizationName | None = Field(None, description=ORGANIZATION_RULE)

    @property
    def objection(self) -> Objection:
        """What the entry forbids."""
        until = None if self.until is None else epoch_seconds(self.until)
        return Objection(until, self.organization, tuple(sorted(set(self.purposes or ()))))


class ListedEntry(WireModel):
    """An entry of the list."""

    organization: OrganizationName | None = Field(None, description="absent for every organization")
    purposes: list[str] = Field(description="empty for all purposes")
    until: str | None = Field(None, description="absent if permanent")
    source: OutcomeSource = Field(description="upstream: by a message; operator: by a command")
    added_at: str


class NumberReport(WireModel):
    """A number, masked, and what the list has of it."""

    phone_number: str
    listed: bool = Field(description="whether any entry holds now, for anyone and anything")
    changed: bool | None = Field(None, description="whether this command changed the list; absent for a check")
    entries: list[ListedEntry] = Field(description="the entries that apply now")
    warnings: list[str] | None = Field(None, description="absent where there are none")


class UnwrittenRow(WireModel):
    """A row that the table didn't confirm."""

    row: int
    reason: str


class ImportReport(WireModel):
    """The result of an import. Each row is in one of `added`, `known` (counts), `invalid` and `unwritten`."""

    rows: int
    invalid: list[InvalidRow]
    added: int | None = Field(None, description="absent when nothing was imported, because rows are invalid")
    known: int | None = Field(None, description="rows whose number was on the list for at least as long")
    unwritten: list[UnwrittenRow] = Field(default_factory=list)
    warnings: list[str] | None = Field(None, description="absent where there are none")


class ListCount(WireModel):
    """How much is on the list."""

    entries: int
    numbers: int
    by_organization: dict[str, int] = Field(description=f"entries; `{ALL_ORGANIZATIONS}` for every organization")
    temporary: int = Field(description="entries that end by themselves")
    records_read: int = Field(description="of the policy table, which also has the dials of the last 32 days")
    at_least: bool = Field(default=False, description="true when there are more records than were to be read")


def read_entry(content: object, now: float) -> Entry:
    """An entry from JSON values.

    Raises:
        InvalidInput: With the field and the rule, and nothing of the content.
    """
    try:
        entry = Entry.model_validate(content, by_alias=True, by_name=False)
    except ValidationError as error:
        first = first_error(error)
        raise field_error(Entry, first["loc"], first) from None
    if entry.until is not None and epoch_seconds(entry.until) <= now:
        raise InvalidInput("until", "later than now")
    return entry


def read_number(text: str) -> str:
    """A phone number.

    Raises:
        InvalidInput: When it isn't one.
    """
    return read_entry({"phoneNumber": text}, 0).phone_number


def read_entries(rows: Iterable[Row], now: float) -> tuple[list[tuple[int, Entry]], list[InvalidRow]]:
    """The entries in these rows, each with its row, and the rows that are invalid."""
    valid: list[tuple[int, Entry]] = []
    invalid: list[InvalidRow] = []
    for row in rows:
        try:
            valid.append((row.number, _read(row, now)))
        except InvalidInput as error:
            invalid.append(InvalidRow.of(row, error))
    return valid, invalid


def _read(row: Row, now: float) -> Entry:
    if row.error:
        raise row.error
    try:
        content: Any = from_json(row.message)
    except ValueError:
        raise InvalidInput("row", "a JSON object") from None
    return read_entry(content, now)


@dataclass(frozen=True, slots=True)
class DoNotCallList:
    """The list of one stack. `clock` is epoch seconds."""

    table: PolicyTable
    numbers: NumberHashes
    policy: CurrentPolicy
    clock: Callable[[], float] = time.time

    def check(self, phone_number: str, changed: bool | None = None) -> NumberReport:
        """What the list has of a number."""
        now = self.clock()
        remembered = self.table.remembered(self.numbers.of(phone_number))
        entries = [_listed(each) for each in remembered.objections if _holds(each.objection, now)]
        return NumberReport(phone_number=masked(phone_number), listed=bool(entries), changed=changed, entries=entries)

    def add(self, entry: Entry) -> NumberReport:
        """Put a number on the list. An entry that holds at least as long stays as it is."""
        report = self.check(entry.phone_number, self._add(entry))
        return report.model_copy(update={"warnings": self._undefined([entry]) or None})

    def remove(self, entry: Entry) -> NumberReport:
        """Take one entry of a number off the list: the one for this organization (or all) and these purposes."""
        removed = self.table.remove_objection(self.numbers.of(entry.phone_number), entry.objection)
        return self.check(entry.phone_number, removed)

    def import_(
        self, rows: Sequence[Row], skip_invalid: bool, on_done: Callable[[bool | UnwrittenRow], None]
    ) -> ImportReport:
        """Put all numbers of a file on the list; none if a row is invalid, unless those are to be skipped.

        Doing it again changes nothing more, so what wasn't written can be imported again with the rest. `on_done` gets
        for each row whether it changed the list, as soon as that is known.
        """
        valid, invalid = read_entries(rows, self.clock())
        if invalid and not skip_invalid:
            return ImportReport(rows=len(rows), invalid=invalid)
        # Read once, before the threads: a secret that can't be read stops the whole import.
        if valid:
            self.numbers.of(valid[0][1].phone_number)
        results = in_parallel(lambda each: self._try_to_add(*each), valid, on_done)
        warnings = self._undefined(entry for _, entry in valid) or None
        return import_report(len(rows), invalid, results).model_copy(update={"warnings": warnings})

    def count(self, most: int = MOST_COUNTED) -> ListCount:
        """Count the entries that apply now. Reads the policy table, and stops after the page with `most` records.

        A counter would cost each entry a second write, and be wrong once an entry for a time has ended.
        """
        now, read, temporary, left = self.clock(), 0, 0, False
        whose: Counter[str] = Counter()
        numbers: set[bytes] = set()

        def on_page(scanned: int, more: bool) -> bool:
            nonlocal read, left
            read += scanned
            left = more and read >= most
            return not left

        for number, each in self.table.all_objections(on_page):
            if _holds(each.objection, now):
                whose[each.objection.organization or ALL_ORGANIZATIONS] += 1
                temporary += each.objection.until is not None
                # Enough of the hash to distinguish a million numbers.
                numbers.add(number.encode()[:16])
        return ListCount(
            entries=whose.total(),
            numbers=len(numbers),
            by_organization=dict(sorted(whose.items())),
            temporary=temporary,
            records_read=read,
            at_least=left,
        )

    def _undefined(self, entries: Iterable[Entry]) -> list[str]:
        """A warning for each purpose that the policy doesn't define: it may be misspelled."""
        asked = sorted(
            {(purpose, entry.organization) for entry in entries for purpose in entry.purposes or ()}, key=str
        )
        try:
            undefined = [purpose for purpose, whose in asked if self.policy.undefined([purpose], whose)]
        except PolicyUnreadable:
            return []
        return [f"the policy defines no purpose {name}: is this its name?" for name in dict.fromkeys(undefined)]

    def _add(self, entry: Entry) -> bool:
        number = self.numbers.of(entry.phone_number)
        return self.table.add_objection(number, entry.objection, OutcomeSource.OPERATOR, self.clock())

    def _try_to_add(self, row: int, entry: Entry) -> bool | UnwrittenRow:
        try:
            return self._add(entry)
        except ClientError as error:
            return UnwrittenRow(row=row, reason=str(error.response["Error"].get("Code")))
        except BotoCoreError as error:
            return UnwrittenRow(row=row, reason=type(error).__name__)


def import_report(rows: int, invalid: list[InvalidRow], results: Sequence[bool | UnwrittenRow]) -> ImportReport:
    """The report of an import, as far as it is known."""
    return ImportReport(
        rows=rows,
        invalid=invalid,
        added=results.count(True),
        known=results.count(False),
        unwritten=[each for each in results if isinstance(each, UnwrittenRow)],
    )


def _holds(objection: Objection, now: float) -> bool:
    return objection.until is None or now < objection.until


def _listed(stored: StoredObjection) -> ListedEntry:
    objection = stored.objection
    return ListedEntry(
        organization=objection.organization,
        purposes=list(objection.purposes),
        until=None if objection.until is None else utc_text(int(objection.until)),
        source=stored.source,
        added_at=utc_text(stored.added_at),
    )
