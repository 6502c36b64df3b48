"""`calls cancel` and `calls forget`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from calls.cli.command import Context
from calls.cli.do_not_call import Number
from calls.cli.listing import Listing
from calls.cli.options import Country, OrganizationOption
from calls.cli.output import Exit
from calls.cli.render import render
from calls.operations.cancelling import (
    COLUMNS,
    NOT_CONFIRMED,
    CancelledRequest,
    Cancelling,
    CancelReport,
    cancel_report,
    check_batch,
    keys_in_file,
    request_key,
)
from calls.operations.do_not_call import read_number
from calls.operations.forgetting import ForgetReport, Forgetting
from calls.operations.preflight import InvalidRows, RowIds
from calls.operations.records import Counted
from calls.operations.requests_file import read_rows
from calls.operations.stack import DeployedStack
from outbound_calls.domain.attempts import RequestKey
from outbound_calls.use_cases.cancel import CancelRequests, CancelResult

_MAX_SHOWN = 50
_WORDS = {
    CancelResult.CANCELLED: "cancelled: it is not dialled",
    CancelResult.UNSEEN: "the stack had never seen it; if it comes, it is not dialled",
    CancelResult.TOO_LATE: "too late: in progress since {since}; no redial follows",
    CancelResult.REDIAL_DROPPED: "it had ended as {status}; its redial is dropped",
    CancelResult.ENDED: "it had already ended as {status}",
    NOT_CONFIRMED: "not confirmed: run the same command again",
}


def cancel(
    context: Context,
    request_ids: Annotated[list[str] | None, typer.Argument(metavar="REQUEST_ID...", help="The requests' ids.")] = None,
    file: Annotated[Path | None, typer.Option(help="Requests, one per row, as for `place`: .csv or .jsonl.")] = None,
    batch: Annotated[
        str | None,
        typer.Option(help="Every request of this batch. With --file: the --batch that it was placed with."),
    ] = None,
    organization: OrganizationOption = None,
    country: Country = None,
) -> Exit:
    """Cancel requests, so that they aren't dialled. Reports the result of each.

    There is no way to undo it: place the call again under another id.
    """
    stack, out = context.stack, context.out
    if bool(request_ids) + (file is not None) + (batch is not None and file is None) != 1:
        raise typer.BadParameter("pass either request ids, or --file, or --batch")
    cancelling = _cancelling(stack)
    if batch is not None and file is None:
        check_batch(batch, organization)
        cancelling.mark_batch(organization, batch)
        out.known(lambda: cancel_report([], batch=batch))
        counted = Counted()
        going_on = cancelling.open_of_batch(organization, batch, counted)
        return _cancel(context, cancelling, going_on, batch, counted.read)
    if file:
        keys, invalid = keys_in_file(read_rows(file, COLUMNS, country), RowIds(stack.arn, batch or ""), stack.defaults)
        if invalid:
            out.show(InvalidRows(invalid=invalid))
            return Exit.REFUSED
    else:
        keys = dict.fromkeys(request_key(text, organization) for text in request_ids or ())
    return _cancel(context, cancelling, list(keys))


def forget(context: Context, number: Number) -> Exit:
    """Forget a number: cancel what is parked for it, and forget its dials.

    Its do-not-call entries stay. Reports what else stays, and where. Reads all open calls.
    """
    stack = context.stack
    forgetting = Forgetting(stack.policy_table, stack.number_hashes, stack.records, _cancelling(stack))
    report = forgetting.forget(read_number(number))
    context.out.show(report)
    return Exit.DONE if report.cancelled.confirmed else Exit.NOT_ALL_SENT


def _cancelling(stack: DeployedStack) -> Cancelling:
    return Cancelling(CancelRequests(stack.table), stack.records, stack.policy_table)


def _cancel(
    context: Context,
    cancelling: Cancelling,
    keys: Sequence[RequestKey],
    batch: str | None = None,
    read: int | None = None,
) -> Exit:
    done: list[CancelledRequest] = []
    context.out.known(lambda: cancel_report(done, len(keys), batch, read))
    with context.out.progress("cancelled", len(keys)) as progress:

        def on_done(result: CancelledRequest) -> None:
            done.append(result)
            progress.advance(progress.task_ids[0])

        report = cancelling.cancel(keys, on_done)
    context.out.show(report.model_copy(update={"batch": batch, "records_read": read}))
    return Exit.DONE if report.confirmed else Exit.NOT_ALL_SENT


@render.register
def _(report: CancelReport) -> RenderableType:
    counts = ", ".join(f"{count:,} {result}" for result, count in report.counts.items())
    shown: list[RenderableType] = [Text(counts or "no requests", "bold")]
    listing = Listing(["result"], long="request")
    for each in report.requests[:_MAX_SHOWN]:
        number = f" #{each.attempt}" if each.attempt and each.attempt > 1 else ""
        listing.add(each.result, long=f"{_name(each)}{number}  {_words(each)}")
    if len(listing):
        shown.append(listing)
    if (more := len(report.requests) - _MAX_SHOWN) > 0:
        shown.append(Text(f"{more} more are not shown; --json shows all"))
    if report.batch:
        shown.append(Text(f"The batch {report.batch} is cancelled, with what is still to come of it.", "bold"))
    return Group(*shown)


def _name(request: CancelledRequest) -> str:
    return str(RequestKey(request.request_id, request.organization))


def _words(request: CancelledRequest) -> str:
    return _WORDS[request.result].format(since=request.in_progress_since, status=request.status)


@render.register
def _(report: ForgetReport) -> RenderableType:
    return Group(
        Text(f"{report.phone_number}: {report.dials_forgotten} dials forgotten", "bold"),
        render(report.cancelled),
        Text(f"{report.do_not_call_entries} do-not-call entries stay."),
        Text("What stays elsewhere:"),
        *(Text(f"  {each}") for each in report.stays_elsewhere),
    )
