"""`calls report`."""

import os
import time
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from calls.cli.command import Context
from calls.cli.listing import counted
from calls.cli.options import Country, OrganizationOption
from calls.cli.output import Exit
from calls.cli.render import narrow_table, render, render_status
from calls.operations.cancelling import request_key
from calls.operations.preflight import InvalidRows, RowIds, read_requests
from calls.operations.reporting import (
    MAX_DAYS,
    TREND_DAYS,
    CallsReport,
    Period,
    Reporting,
    Selection,
    report_csv,
)
from calls.operations.reporting import (
    Group as OutcomeGroup,
)
from calls.operations.requests_file import RequestsFile
from calls.pages.report import Language, Words, report_page
from outbound_calls.contracts.time_zones import TIME_ZONE_RULE, time_zone, time_zone_names
from outbound_calls.contracts.wire import InvalidInput

_WORDS = Words(Language.ENGLISH)
_BAR = 30


def report(
    context: Context,
    day: Annotated[
        str | None, typer.Option(help="today (the default), yesterday, or a date such as 2026-12-01.")
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_DAYS, help=f"This many days up to that one. With a batch: {TREND_DAYS}."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="The requests of this file, as for `place`: .csv or .jsonl.")
    ] = None,
    batch: Annotated[
        str | None, typer.Option(help="Requests of this batch. With --file: the --batch that it was placed with.")
    ] = None,
    country: Country = None,
    prefix: Annotated[str | None, typer.Option(help="Requests whose id begins with this.")] = None,
    organization: OrganizationOption = None,
    zone_name: Annotated[
        str | None, typer.Option("--time-zone", help="The clinic's: by default that of the calling policy.")
    ] = None,
    trend: Annotated[bool, typer.Option("--trend", help=f"Also the last {TREND_DAYS} days.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page to open, print and forward to this new file.")
    ] = None,
    language: Annotated[Language, typer.Option(help="The language of the page.")] = Language.ENGLISH,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> Exit:
    """Report the results of calls: counts and percentages by outcome, whether the phone rang, and what needs a person.

    Each request counts once, by its last attempt, on the day on which its outcome was recorded. A report holds no
    names, numbers or ids.
    """
    stack, now = context.stack, time.time()
    if file and (day or days or prefix or organization):
        raise typer.BadParameter("--file goes with none of --day, --days, --prefix and --organization")
    if csv and (html or context.out.as_json):
        raise typer.BadParameter("pass only one of --csv, --html and --json")
    own = request_key("a", organization).organization if organization else None
    zone = _zone(zone_name or stack.policies.time_zone(own))
    reporting = Reporting(stack.records, now)
    trend = trend or html is not None
    if file:
        rows, invalid, _ = read_requests(
            RequestsFile(file, country=country).rows(), RowIds(stack.arn, batch or ""), stack.defaults
        )
        today = datetime.fromtimestamp(now, zone).date()
        made = reporting.of_file(rows, file.name, Period(today, today, zone), trend)
        if invalid:
            context.out.note(InvalidRows(invalid=invalid))
    else:
        selected = [own] if organization else stack.organization_names()
        period = _period(day, days or (TREND_DAYS if day is None and (batch or prefix) else 1), zone, now)
        made = reporting.of_days(Selection(selected, batch, prefix), period, trend)
    if html:
        _write(html, report_page(made, language), force)
        context.out.note(f"written to {html}")
    if csv:
        context.out.write(report_csv(made))
    else:
        context.out.show(made)
    return Exit.DONE


def _period(day: str | None, days: int, zone: tzinfo | None, now: float) -> Period:
    """This many days up to this one.

    Raises:
        BadParameter: When it isn't a day, or hasn't come yet.
    """
    today = datetime.fromtimestamp(now, zone).date()
    named = {None: today, "today": today, "yesterday": today - timedelta(days=1)}
    try:
        last = named[day] if day in named else date.fromisoformat(str(day))
    except ValueError:
        raise typer.BadParameter("--day takes today, yesterday or a date such as 2026-12-01") from None
    if last > today:
        raise typer.BadParameter("--day hasn't come yet")
    return Period(last - timedelta(days=days - 1), last, zone)


def _zone(name: str | None) -> tzinfo | None:
    """The zone with this name; None, the clock of this computer, where there is no name.

    Raises:
        InvalidInput: When there is no such zone.
    """
    if name is None:
        return None
    if name not in time_zone_names():
        raise InvalidInput("--time-zone", TIME_ZONE_RULE)
    return time_zone(name)


def _write(path: Path, text: str, force: bool) -> None:
    """Write a page to a new file, which is there as a whole or not at all.

    Raises:
        OSError: When there is such a file (unless `force`), or it can't be written.
    """
    if not force and path.exists():
        raise FileExistsError(17, "File exists (--force replaces it)", str(path))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


@render.register
def _(report: CallsReport) -> RenderableType:
    total = report.requests
    shown: list[RenderableType] = [_heading(report)]
    groups = [f"{count} {group.replace('-', ' ')}" for group, count in report.by_group.items()]
    shown.append(Text(": ".join(filter(None, [counted(total, "request"), ", ".join(groups)]))))
    if total:
        table = narrow_table("status", ">count", ">share", "rang", "reason")
        for line in report.outcomes:
            share = _WORDS.percent(line.requests, total)
            status = render_status(line.status)
            table.add_row(status, str(line.requests), share, line.dialled.value, line.code or "")
        shown.append(table)
    if len(report.by_organization) > 1:
        table = narrow_table(">count", ">to do", "organization")
        for name, lines in report.by_organization.items():
            to_do = sum(line.requests for line in lines if line.needs_a_person)
            table.add_row(str(sum(line.requests for line in lines)), str(to_do), name or "(default)")
        shown.append(table)
    if report.trend_days:
        shown.append(_trend(report))
    to_do = sum(line.requests for line in report.to_do)
    words = (
        f"{counted(to_do, 'request')} to look at: {_what_needs_a_person(report)}" if to_do else "Nothing to look at."
    )
    shown.append(Text(words, "bold red" if to_do else ""))
    read = f"{counted(report.records_read, 'record')} read"
    shown.append(Text(f"as of {report.made_at[:16].replace('T', ' ')} {report.time_zone}; {read}", "dim"))
    return Group(*shown)


def _heading(report: CallsReport) -> Text:
    days = report.first_day if report.first_day == report.last_day else f"{report.first_day} to {report.last_day}"
    about = [
        f"{kind} {name}"
        for kind, name in (
            ("file", report.file),
            ("organization", report.organization),
            ("batch", report.batch),
            ("prefix", report.prefix),
        )
        if name
    ]
    return Text(", ".join([f"Calls, {days}", *about]), "bold")


def _what_needs_a_person(report: CallsReport) -> str:
    return ", ".join(
        f"{line.requests} {line.status} ({f'{line.code}, ' if line.code else ''}rang: {line.dialled})"
        for line in report.to_do
    )


def _trend(report: CallsReport) -> RenderableType:
    table = narrow_table("day", ">ended", ">completed", "")
    days = report.days
    busiest = max((sum(counts.values()) for counts in days.values()), default=0) or 1
    for day, counts in days.items():
        ended, completed = sum(counts.values()), counts.get(OutcomeGroup.COMPLETED, 0)
        bar = Text("#" * round(_BAR * completed / busiest), "green")
        bar.append("-" * round(_BAR * (ended - completed) / busiest))
        table.add_row(_WORDS.short_date(day), str(ended), _WORDS.percent(completed, ended), bar)
    return table
