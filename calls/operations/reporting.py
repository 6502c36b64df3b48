"""The results of calls, in numbers: the one value that the command's text, CSV and page show, and the console.

It holds neither a name, a number nor a request's id. Each request counts once, by its last attempt: on the day, by the
clinic's clock, on which its outcome was recorded, or as open.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field, computed_field

from calls.operations.placing_again import latest_of
from calls.operations.records import OPEN_FIELDS, STATUS_ORDER, is_open, open_status
from outbound_calls.contracts.vocabulary import Dialled, OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.contracts.wire import OrganizationName, WireModel
from outbound_calls.domain.transitions import TERMINAL

if TYPE_CHECKING:
    from calls.operations.preflight import CheckedRow
    from calls.operations.records import FoundAttempt, Records
    from outbound_calls.domain.attempts import Attempt

TREND_DAYS = 14
MAX_DAYS = 92
"""The longest time that a report covers."""

NOT_SEEN = "not-seen"
"""For a row of a file that the stack has no record of."""

_BY_RULE = frozenset({ReasonCode.DO_NOT_CALL, ReasonCode.RECIPIENT_CAP})
"""Rejected as someone wanted it: the person isn't to be called, or not so often."""

_STUCK = frozenset(
    {
        ParkReason.REFUSED_BY_ALLOMIA,
        ParkReason.KEY_DECLINED,
        ParkReason.KEY_UNREADABLE,
        ParkReason.POLICY_UNREADABLE,
    }
)
"""Requests that wait for these wait until a person fixes something."""


class Group(StrEnum):
    """What the statuses come down to."""

    COMPLETED = "completed"
    NOT_REACHED = "not-reached"
    NOT_CALLED = "not-called"
    UNKNOWN = "unknown"
    OPEN = "open"


def group_of(status: str) -> Group:
    """The group of a status."""
    match status:
        case Status.COMPLETED:
            return Group.COMPLETED
        case Status.BUSY | Status.NO_ANSWER | Status.FAILED:
            return Group.NOT_REACHED
        case Status.REJECTED | Status.CANCELLED:
            return Group.NOT_CALLED
        case Status.UNKNOWN:
            return Group.UNKNOWN
        case _:
            return Group.OPEN


def needs_a_person(status: str, code: str | None, source: str | None = None) -> bool:
    """Whether nothing more happens by itself, although something should, and no person has decided on it."""
    if source == OutcomeSource.OPERATOR:
        return False
    match status:
        case Status.UNKNOWN:
            return True
        case Status.REJECTED:
            return code not in _BY_RULE
        case Status.SCHEDULED:
            return code in _STUCK
        case _:
            return False


class ReportLine(WireModel):
    """How many requests have this in common."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    day: str | None = Field(None, description="when their outcome was recorded, by the clinic's clock; absent if open")
    status: str = Field(description=f"their status, or {NOT_SEEN}")
    code: str | None = Field(None, description="the reason code, or why they wait")
    dialled: Dialled = Field(description="whether the phone rang")
    requests: int
    left_unknown: bool = Field(default=False, exclude=True, description="a person decided to leave them unknown")

    @property
    def group(self) -> Group:
        """What the status comes down to."""
        return group_of(self.status)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def needs_a_person(self) -> bool:
        """Whether nothing more happens by itself, although something should."""
        return needs_a_person(self.status, self.code) and not self.left_unknown


class CallsReport(WireModel):
    """How the calls of some days, a file, a batch or a prefix went."""

    made_at: str = Field(description="ISO 8601, by the clinic's clock")
    time_zone: str = Field(description="the clinic's")
    first_day: str
    last_day: str
    organization: OrganizationName | None = Field(None, description="where only one is asked for")
    batch: str | None = None
    prefix: str | None = None
    file: str | None = Field(None, description="the name of the file")
    lines: list[ReportLine] = Field(description="the requests of these days, and the open ones")
    trend: list[ReportLine] = Field(description="those of the days before")
    trend_days: int = Field(description="how many days the trend has, with the last of the report; 0 for no trend")
    records_read: int
    stopped: bool = Field(default=False, exclude=True, description="whether there is more than was to be read")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def requests(self) -> int:
        """How many requests it is about."""
        return sum(line.requests for line in self.lines)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def by_status(self) -> dict[str, int]:
        """The requests by status, in the statuses' order."""
        return _sums(self.lines, lambda line: line.status, (*STATUS_ORDER, NOT_SEEN))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def phone_rang(self) -> dict[str, int]:
        """The requests by whether the phone rang."""
        return _sums(self.lines, lambda line: line.dialled.value, (Dialled.YES, Dialled.MAYBE, Dialled.NO))

    @property
    def by_group(self) -> dict[str, int]:
        """The requests by what their status comes down to."""
        return _sums(self.lines, lambda line: line.group.value, tuple(Group))

    @property
    def by_organization(self) -> dict[str, list[ReportLine]]:
        """The lines of each organization; the default one's name is empty."""
        found: dict[str, list[ReportLine]] = {}
        for line in sorted(self.lines, key=lambda line: line.organization or ""):
            found.setdefault(line.organization or "", []).append(line)
        return found

    @property
    def outcomes(self) -> list[ReportLine]:
        """The lines, added up over days and organizations, in the statuses' order."""
        order = (*STATUS_ORDER, NOT_SEEN)
        return sorted(_added_up(self.lines), key=lambda line: (order.index(line.status), -line.requests))

    @property
    def to_do(self) -> list[ReportLine]:
        """What needs a person, likewise: first where a phone may have rung."""
        order = [Dialled.MAYBE, Dialled.YES, Dialled.NO]
        return sorted(
            _added_up(line for line in self.lines if line.needs_a_person),
            key=lambda line: (order.index(line.dialled), line.status, -line.requests),
        )

    @property
    def days(self) -> dict[str, dict[str, int]]:
        """For each day of the trend, its ended requests by group."""
        last = date.fromisoformat(self.last_day)
        names = [(last - timedelta(days=each)).isoformat() for each in reversed(range(self.trend_days))]
        found: dict[str, Counter[str]] = {name: Counter() for name in names}
        for line in (*self.trend, *self.lines):
            if line.day in found:
                found[line.day][line.group] += line.requests
        return {name: {group: counts[group] for group in Group if counts[group]} for name, counts in found.items()}


def _sums(lines: Iterable[ReportLine], name: Callable[[ReportLine], str], order: Sequence[str]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for line in lines:
        counted[name(line)] += line.requests
    return {each: counted[each] for each in sorted(counted, key=order.index)}


def _added_up(lines: Iterable[ReportLine]) -> list[ReportLine]:
    counted: Counter[tuple[str, str | None, Dialled]] = Counter()
    for line in lines:
        counted[line.status, line.code, line.dialled] += line.requests
    return [
        ReportLine(status=status, code=code, dialled=dialled, requests=count)
        for (status, code, dialled), count in counted.items()
    ]


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days by a clock. `zone` None is the clock of this computer."""

    first: date
    last: date
    zone: tzinfo | None

    @property
    def since(self) -> float:
        """Epoch seconds of its beginning."""
        return self._midnight(self.first)

    @property
    def until(self) -> float:
        """Epoch seconds of its end."""
        return self._midnight(self.last + timedelta(days=1))

    def day_of(self, epoch_seconds: float) -> date:
        """The day on which a moment is."""
        return datetime.fromtimestamp(epoch_seconds, self.zone).date()

    def _midnight(self, day: date) -> float:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp()


@dataclass(frozen=True, slots=True)
class Selection:
    """Which requests a report is about. All of these organizations' (None is the default one), unless it says more."""

    organizations: Sequence[str | None]
    batch: str | None = None
    prefix: str | None = None

    def has(self, attempt: Attempt) -> bool:
        """Whether it is about the request of an attempt."""
        return (
            attempt.key.request.organization in self.organizations
            and self.batch in {None, attempt.labels.batch}
            and attempt.key.request.request_id.startswith(self.prefix or "")
        )


class _Count:
    """Counts requests, by day and by what they have in common. Its size doesn't grow with their number."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str | None, str | None, str, str | None, Dialled, bool]] = Counter()
        self.read = 0
        self.stopped = False

    def all[T](self, records: Iterable[T], most: int | None) -> Iterator[T]:
        """These records, each counted as read; no more than `most`."""
        for number, each in enumerate(records):
            if number == most:
                self.stopped = True
                return
            self.read += 1
            yield each

    def add(
        self,
        organization: str | None,
        day: date | None,
        status: str,
        code: str | None,
        dialled: Dialled,
        source: OutcomeSource | None = None,
    ) -> None:
        left_unknown = status == Status.UNKNOWN and source is OutcomeSource.OPERATOR
        self.counted[organization, day.isoformat() if day else None, status, code, dialled, left_unknown] += 1

    def lines(self) -> Iterator[ReportLine]:
        for (organization, day, status, code, dialled, left_unknown), requests in sorted(
            self.counted.items(), key=lambda each: tuple(str(part or "") for part in each[0])
        ):
            yield ReportLine(
                organization=organization,
                day=day,
                status=status,
                code=code,
                dialled=dialled,
                requests=requests,
                left_unknown=left_unknown,
            )


class Most(NamedTuple):
    """How many records are read at most: for one who can't wait for the rest."""

    ended: int
    open: int


@dataclass(frozen=True, slots=True)
class Reporting:
    """Makes reports of one stack. `now` is epoch seconds."""

    records: Records
    now: float

    def of_days(self, selection: Selection, period: Period, trend: bool, most: Most | None = None) -> CallsReport:
        """The report of some days. Reads the index of what ended then, and, if they aren't over, what is open.

        `trend` also reads the days before, so that it has fourteen. Where there is more than `most`, it says so.
        """
        counted = _Count()
        first = min(period.first, period.last - timedelta(days=TREND_DAYS - 1)) if trend else period.first
        since, until = Period(first, period.last, period.zone).since, min(period.until, self.now + 1)
        ended = (
            attempt
            for organization in selection.organizations
            for attempt in self.records.table.ended(organization, since, until)
        )
        for attempt in counted.all(ended, most and most.ended):
            if selection.has(attempt) and _is_last(attempt):
                day = period.day_of(attempt.recorded_at or 0)
                organization = attempt.key.request.organization
                status, source = str(attempt.status), attempt.outcome_source
                counted.add(organization, day, status, attempt.reason_code, attempt.dialled, source)
        if period.until > self.now:
            for attempt in counted.all(self.records.open_now(OPEN_FIELDS), most and most.open):
                if selection.has(attempt) and is_open(attempt):
                    waits_for = ParkReason.REDIAL if attempt.redial_at else attempt.park_reason
                    status = open_status(attempt)
                    counted.add(attempt.key.request.organization, None, status, waits_for, attempt.dialled)
        return self._report(counted, period, TREND_DAYS if trend else 0, selection)

    def of_file(self, rows: Sequence[CheckedRow], name: str, period: Period, trend: bool) -> CallsReport:
        """The report of a file's requests, each by its latest id. Reads nothing but their records."""
        counted = _Count()
        found = latest_of(rows, self.records)
        for attempts in found.values():
            counted.read += len(attempts)
            _add(counted, attempts, period)
        for _ in range(len(rows) - len(found)):
            counted.add(None, None, NOT_SEEN, None, Dialled.NO)
        days = [date.fromisoformat(day) for _, day, *_ in counted.counted if day]
        period = Period(min(days, default=period.first), max(days, default=period.last), period.zone)
        trend_days = TREND_DAYS if trend else 0
        return self._report(counted, period, trend_days, Selection([])).model_copy(update={"file": name})

    def _report(self, counted: _Count, period: Period, trend_days: int, selection: Selection) -> CallsReport:
        lines = list(counted.lines())
        first = period.first.isoformat()
        only = selection.organizations[0] if len(selection.organizations) == 1 else None
        return CallsReport(
            made_at=datetime.fromtimestamp(int(self.now), period.zone).astimezone(period.zone).isoformat(),
            time_zone=zone_name(period.zone, self.now),
            first_day=first,
            last_day=period.last.isoformat(),
            organization=only,
            batch=selection.batch,
            prefix=selection.prefix,
            lines=[line for line in lines if line.day is None or line.day >= first],
            trend=[line for line in lines if line.day is not None and line.day < first],
            trend_days=trend_days,
            records_read=counted.read,
            stopped=counted.stopped,
        )


def zone_name(zone: tzinfo | None, at: float) -> str:
    """The name of a zone; of this computer's clock, what it calls itself."""
    key: str | None = getattr(zone, "key", None)
    return key or str(datetime.fromtimestamp(at, zone).astimezone(zone).tzname())


def _is_last(attempt: Attempt) -> bool:
    """Whether an attempt that ended is the request's outcome: no other follows, and the request was ever seen."""
    follows = attempt.next_attempt is not None or attempt.redial_at is not None
    return not follows and attempt.reason_code is not ReasonCode.CANCELLED_UNSEEN


def _add(counted: _Count, attempts: Sequence[FoundAttempt], period: Period) -> None:
    """Count a request of a file by its last attempt that isn't dropped.

    Also one that was cancelled and never seen, which no other report counts: the file names it.
    """
    last = next((each for each in reversed(attempts) if not each.is_dropped), attempts[-1])
    if last.status not in TERMINAL or last.redial_pending:
        status = Status.SCHEDULED if last.redial_pending else last.status
        waits_for = ParkReason.REDIAL if last.redial_pending else last.park_reason
        counted.add(last.organization, None, str(status), waits_for, last.dialled)
    else:
        day = period.day_of(datetime.fromisoformat(str(last.recorded_at)).timestamp())
        counted.add(last.organization, day, str(last.status), last.reason_code, last.dialled, last.outcome_source)


COLUMNS = ("organization", "day", "status", "code", "dialled", "needsAPerson", "requests")
"""The columns of a CSV file."""


def report_csv(report: CallsReport) -> str:
    """A report as CSV: a row for each of its lines, those of the trend first."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in (*report.trend, *report.lines):
        writer.writerow(dict.fromkeys(COLUMNS, "") | line.wire() | {"needsAPerson": _word(line.needs_a_person)})
    return text.getvalue()


def _word(flag: bool) -> str:
    return "yes" if flag else "no"
