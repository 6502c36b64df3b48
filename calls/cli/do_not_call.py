"""`calls do-not-call`: the numbers that are not to be called."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from calls.cli.command import Context, command
from calls.cli.listing import Listing
from calls.cli.options import Country, OrganizationOption
from calls.cli.output import Exit
from calls.cli.render import render
from calls.operations.do_not_call import (
    COLUMNS,
    MOST_COUNTED,
    DoNotCallList,
    Entry,
    ImportReport,
    ListCount,
    NumberReport,
    UnwrittenRow,
    import_report,
    read_entry,
    read_number,
)
from calls.operations.preflight import InvalidRows
from calls.operations.requests_file import read_rows

do_not_call = typer.Typer(
    name="do-not-call",
    help="The do-not-call list: numbers that are not to be called.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="The phone number, E.164, such as +15145550199.")]
Purposes = Annotated[list[str] | None, typer.Option("--purpose", help="Only for this purpose. Repeatable.")]
Until = Annotated[
    str | None, typer.Option(help="Until then, such as 2027-01-01T00:00:00-05:00; permanently if left out.")
]


@command(do_not_call)
def add(
    context: Context,
    number: Number,
    until: Until = None,
    purpose: Purposes = None,
    organization: OrganizationOption = None,
) -> Exit:
    """Put a number on the list.

    For all organizations and purposes, permanently, unless you say otherwise.

    What is parked for it ends as rejected (do-not-call) when it comes up.
    """
    context.out.show(_list(context).add(_entry(number, until, purpose, organization)))
    return Exit.DONE


@command(do_not_call)
def remove(context: Context, number: Number, purpose: Purposes = None, organization: OrganizationOption = None) -> Exit:
    """Take an entry off the list.

    The one that was added with the same purposes and organization.
    """
    report = _list(context).remove(_entry(number, None, purpose, organization))
    context.out.show(report)
    return Exit.DONE if report.changed else Exit.REFUSED


@command(do_not_call)
def check(context: Context, number: Number) -> Exit:
    """Show the entries of a number that apply now."""
    context.out.show(_list(context).check(read_number(number)))
    return Exit.DONE


@command(do_not_call, "import")
def import_(
    context: Context,
    file: Annotated[
        Path, typer.Argument(help=f"Numbers, one per row: .csv or .xlsx ({', '.join(COLUMNS.names)}), or .jsonl.")
    ],
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Import the valid rows, and leave out the invalid ones.")
    ] = False,
    country: Country = None,
) -> Exit:
    """Put all numbers of a file on the list; none if a row is invalid.

    Importing it again changes nothing more.
    """
    rows, done = read_rows(file, COLUMNS, country), list[bool | UnwrittenRow]()
    context.out.known(lambda: import_report(len(rows), [], done))
    with context.out.progress("imported", len(rows)) as progress:

        def on_done(result: bool | UnwrittenRow) -> None:
            done.append(result)
            progress.advance(progress.task_ids[0])

        report = _list(context).import_(rows, skip_invalid, on_done)
    context.out.show(report)
    if report.unwritten:
        return Exit.NOT_ALL_SENT
    return Exit.REFUSED if report.added is None else Exit.DONE


@command(do_not_call)
def count(
    context: Context,
    limit: Annotated[int, typer.Option(min=1, help="Stop after this many records.")] = MOST_COUNTED,
) -> Exit:
    """Count the entries that apply now. The only command that reads a whole table, the policy table, page by page.

    That has a record for each entry, and one for each number that was dialled in the last 32 days. A hundred thousand
    records take about 2,000 read units.
    """
    context.out.show(_list(context).count(limit))
    return Exit.DONE


def _list(context: Context) -> DoNotCallList:
    return DoNotCallList(context.stack.policy_table, context.stack.number_hashes, context.stack.current_policy)


def _entry(number: str, until: str | None, purposes: list[str] | None, organization: str | None) -> Entry:
    fields: dict[str, Any] = {
        "phoneNumber": number,
        "until": until,
        "purposes": purposes or None,
        "organization": organization,
    }
    return read_entry({name: value for name, value in fields.items() if value is not None}, time.time())


@render.register
def _(report: NumberReport) -> RenderableType:
    words = {True: "changed; ", False: "nothing has changed; ", None: ""}[report.changed]
    verdict = "on the do-not-call list" if report.listed else "not on the do-not-call list"
    shown: list[RenderableType] = [Text(f"{report.phone_number}: {words}{verdict}", "bold")]
    if report.entries:
        table = Listing(["organization", "until"], long="purposes, source and when it was added")
        for entry in report.entries:
            purposes = ", ".join(entry.purposes) or "all"
            about = f"{purposes}  {entry.source}  {entry.added_at}"
            table.add(entry.organization or "all", entry.until or "for good", long=about)
        shown.append(table)
    return Group(*shown, *_warnings(report.warnings or []))


@render.register
def _(report: ImportReport) -> RenderableType:
    shown: list[RenderableType] = []
    if report.invalid:
        shown.append(render(InvalidRows(invalid=report.invalid)))
    if report.added is None:
        shown.append(Text(f"nothing of {report.rows} rows was imported: --skip-invalid imports the valid ones"))
    else:
        shown.append(Text(f"{report.added} of {report.rows} rows added, {report.known} were on the list"))
    if report.unwritten:
        table = Listing([">row"], long="reason")
        for row in report.unwritten:
            table.add(str(row.row), long=row.reason)
        shown += [Text("Not confirmed. Run the same command again:", "bold red"), table]
    return Group(*shown, *_warnings(report.warnings or []))


def _warnings(warnings: list[str]) -> list[Text]:
    return [Text(f"warning: {each}", "yellow") for each in warnings]


@render.register
def _(count: ListCount) -> RenderableType:
    least = f"of {count.records_read:,} records, and there are more: " if count.at_least else ""
    entries = f"{count.entries:,} entries for {count.numbers:,} numbers, {count.temporary:,} of them for a time"
    lines = [Text(f"{least}{entries}")]
    lines += [Text(f"  {organization}: {entries}") for organization, entries in count.by_organization.items()]
    return Group(*lines)
