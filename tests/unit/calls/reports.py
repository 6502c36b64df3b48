"""A report that has some of everything."""

from calls.operations.reporting import CallsReport, ReportLine
from outbound_calls.contracts.vocabulary import Dialled

TODAY, YESTERDAY = "2026-12-01", "2026-11-30"


def line(
    status: str,
    requests: int,
    dialled: Dialled = Dialled.YES,
    code: str | None = None,
    day: str | None = TODAY,
    organization: str | None = None,
) -> ReportLine:
    return ReportLine(organization=organization, day=day, status=status, code=code, dialled=dialled, requests=requests)


LINES = [
    line("completed", 912),
    line("no-answer", 100, organization="north"),
    line("rejected", 1, Dialled.NO, "do-not-call"),
    line("rejected", 2, Dialled.NO, "refused-by-allomia"),
    line("unknown", 3, Dialled.MAYBE, "no-outcome"),
    line("unknown", 1, Dialled.MAYBE, "no-outcome", organization="north"),
    line("scheduled", 200, Dialled.NO, "outside-calling-window", day=None),
    line("scheduled", 5, Dialled.NO, "key-declined", day=None),
]
REPORT = CallsReport(
    made_at="2026-12-01T16:02:00-05:00",
    time_zone="America/Toronto",
    first_day=TODAY,
    last_day=TODAY,
    batch="december",
    lines=LINES,
    trend=[line("completed", 400, day=YESTERDAY), line("busy", 100, day=YESTERDAY)],
    trend_days=14,
    records_read=1724,
)
