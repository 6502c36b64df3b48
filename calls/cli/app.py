"""The commands. Each reads its options, calls `calls.operations`, and prints the result."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated

import boto3
import typer

from calls import version
from calls.cli.call_records import record, recording, transcript
from calls.cli.cancelling import cancel, forget
from calls.cli.command import Context, command, run
from calls.cli.console import console
from calls.cli.do_not_call import do_not_call
from calls.cli.events import events
from calls.cli.explaining import audit, explain
from calls.cli.lines import lines
from calls.cli.messages import discard, invalid, redrive
from calls.cli.options import (
    AssistantId,
    Batch,
    Country,
    CustomerName,
    Limit,
    Metadata,
    OfOrganization,
    OrganizationOption,
    PhoneNumber,
    PhoneNumberId,
    Purpose,
    RequestIdOption,
    ShowNumbers,
    Timeout,
    TimeZone,
    Variables,
    Wait,
    Whose,
    Yes,
    message_from_options,
    read_since,
)
from calls.cli.output import Exit
from calls.cli.policy import pause, policy, resume
from calls.cli.reporting import report
from calls.cli.resolving import record_many, resolving_of
from calls.operations.cancelling import check_batch, request_key
from calls.operations.doctor import Doctor
from calls.operations.explaining import Explaining
from calls.operations.following import Follower, Following
from calls.operations.forecasting import Forecasting, Forecasts
from calls.operations.invalid_rows import write_invalid
from calls.operations.local_times import local_times
from calls.operations.masking import Mask, mask_text, masked, unmasked
from calls.operations.placed_rows import PlacedRows
from calls.operations.placing import PlaceReport, UnsentRow, attempts_to_follow, send_rows, unsent_rows
from calls.operations.placing_again import AgainPreflight, check_again
from calls.operations.preflight import CheckedRow, InvalidRows, Preflight, RowIds, check_rows, read_request
from calls.operations.records import OPEN, Search
from calls.operations.republishing import MAX_DAYS_AGO, Republishing, RepublishReport, find_outcomes, stopped
from calls.operations.requests_file import RequestsFile, Row, read_rows
from calls.operations.resolving import Finding, RedialReport, request_in_file
from calls.operations.resolving_many import COLUMNS as FINDINGS
from calls.operations.resolving_many import ResolvingMany, read_findings
from calls.operations.sending import Sender
from calls.operations.watching import Watch
from outbound_calls.contracts.vocabulary import ParkReason, Status
from outbound_calls.contracts.wire import MAX_ATTEMPT_NUMBER
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.domain.transitions import TERMINAL

app = typer.Typer(
    epilog="Exit codes: 0 done; 1 refused, or a check failed; 2 the command line is wrong; 3 AWS or the stack can't be "
    "reached; 4 not everything was sent; 5 the timeout passed before all calls ended; 6 some calls need a person; "
    "130 Ctrl-C.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(shown: bool) -> None:
    if shown:
        typer.echo(f"calls {version()}")
        raise typer.Exit


@app.callback()
def calls(
    shows_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version.")
    ] = False,
) -> None:
    """Place calls through a deployed stack, see their outcomes, and fix what needs a person."""


OPEN_ALWAYS = "On a dev stack: `calls policy set --preset open`."
"""For a developer whose first call meets a closed window."""

LIST_DAYS = 7
"""How far back the calls with a status are listed."""


class Again(StrEnum):
    """What of a file may be sent again."""

    REJECTED = "rejected"


@command(app)
def place(
    context: Context,
    file: Annotated[
        Path | None, typer.Argument(help="Requests, one per row: .csv, .xlsx, .ods, .jsonl or .json.")
    ] = None,
    organization: Whose = None,
    request_id: RequestIdOption = None,
    phone_number: PhoneNumber = None,
    assistant_id: AssistantId = None,
    phone_number_id: PhoneNumberId = None,
    customer_name: CustomerName = None,
    purpose: Purpose = None,
    time_zone: TimeZone = None,
    variable: Variables = None,
    metadata: Metadata = None,
    batch: Batch = "",
    country: Country = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the rows, ask policy, and send nothing.")] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Send the valid rows, and write the others to a new file.")
    ] = False,
    call_again: Annotated[
        bool, typer.Option("--call-again", help="Also call numbers that another version of the file has called.")
    ] = False,
    again: Annotated[
        Again | None, typer.Option(help="Send again the rows of the file that were rejected, under new ids.")
    ] = None,
    yes: Yes = False,
    wait: Wait = False,
    timeout: Timeout = 900,
    show_numbers: ShowNumbers = False,
) -> Exit:
    """Place one call, or those of a file.

    The same row is the same call, however often you run the file.
    """
    stack, out = context.stack, context.out
    asked = (phone_number, assistant_id, phone_number_id, customer_name, purpose, time_zone, variable, metadata)
    message = message_from_options(request_id, *asked, organization)
    if (file is None) == (message is None):
        raise typer.BadParameter("pass either a file, or --phone-number and the other options of one call")
    if again and file is None:
        raise typer.BadParameter("--again goes with a file")
    if batch:
        check_batch(batch, organization)
    requests = RequestsFile(file, country=country) if file else None
    rows = requests.rows() if requests else iter([Row(1, str(message))])
    ids = RowIds(stack.arn, batch)
    placed = PlacedRows(_state_folder() / "placed.sqlite", stack.arn, batch)
    preflight: Preflight | AgainPreflight
    if again:
        preflight, to_send = check_again(rows, ids, stack.defaults, stack.records)
    else:
        preflight, to_send = check_rows(rows, ids, stack.defaults, stack.records.statuses, _mask(show_numbers))
        if requests:
            preflight = preflight.with_placed(placed.look(to_send, _mask(show_numbers), time.time()))
    known = preflight.known if isinstance(preflight, Preflight) else []
    if dry_run or (preflight.invalid and not skip_invalid):
        out.show(PlaceReport(preflight=preflight, policy=_forecasts(context, to_send) if dry_run else None))
        return Exit.REFUSED if preflight.invalid else Exit.DONE
    out.note(preflight)
    if to_send:
        what = "rejected calls again" if again else "calls"
        when = local_times(((row.request.phone_number, row.request.time_zone) for row in to_send), time.time())
        out.confirm(f"{when} Place {len(to_send)} {what} through {stack.name} ({stack.environment})?", yes)
    if count := len(preflight.rewritten):
        out.confirm(f"{count} of them were perhaps placed before. Call these again?", call_again, "--call-again")
    report = PlaceReport(preflight=preflight)
    if requests:
        if preflight.invalid:
            report = report.model_copy(update={"invalid_rows_in": str(write_invalid(requests, preflight.invalid))})
        placed.remember(to_send, time.time())
    sent: set[int] = set()
    out.known(lambda: report.model_copy(update={"sent": len(sent), "unsent": unsent_rows(to_send, sent)}))
    unsent = _send(context, to_send, sent.add)
    report = report.model_copy(update={"sent": len(to_send) - len(unsent), "unsent": unsent})
    out.known(lambda: report)
    following = _follow(context, attempts_to_follow(known, to_send, unsent), timeout) if wait else None
    out.show(report.model_copy(update={"following": following}))
    return Exit.NOT_ALL_SENT if unsent else _exit_code(following)


@command(app)
def show(
    context: Context,
    request_id: Annotated[str, typer.Argument(help="The request's id.")],
    organization: OfOrganization = None,
) -> Exit:
    """Show all attempts of a request, and why it waits."""
    stack = context.stack
    report = Explaining(stack.table, stack.judge, stack.lines_table).show(request_key(request_id, organization))
    if report is None:
        return context.out.refuse(f"there is no record of {mask_text(request_id)}", Exit.REFUSED)
    if report.park_reason is ParkReason.OUTSIDE_CALLING_WINDOW and report.waiting and stack.is_for_development:
        report = report.model_copy(update={"waiting": f"{report.waiting}. {OPEN_ALWAYS}"})
    context.out.show(report)
    return Exit.DONE


@command(app, "list")
def list_(
    context: Context,
    status: Annotated[list[Status] | None, typer.Option(help="Only calls with this status. Repeatable.")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help=f"Also calls that ended since: 90m, 2h, 3d or a date. With --status: by default {LIST_DAYS}d."
        ),
    ] = None,
    organization: OrganizationOption = None,
    limit: Limit = 50,
) -> Exit:
    """List open calls, or those that ended.

    What ended comes first, newest first, then what is open, in the order in which it is due. Reads indexes only, and no
    more of them than --limit needs.
    """
    stack, now = context.stack, time.time()
    statuses = frozenset(status or (Status if since else OPEN))
    first = read_since(since, now) if since else now - LIST_DAYS * 86_400
    own = [request_key("a", organization).organization] if organization else None
    organizations = own or (stack.organization_names() if TERMINAL & statuses else [None])
    context.out.show(stack.records.search(Search(statuses, organizations, first, now, limit, of_all=own is None)))
    return Exit.DONE


@command(app)
def watch(
    context: Context,
    every: Annotated[float, typer.Option(min=1, help="The interval in seconds.")] = 3,
) -> Exit:
    """Watch calls and queues until Ctrl-C.

    Shows open calls by status, what ended during the watch, and how many messages wait. With --json, prints once.
    """
    stack, out = context.stack, context.out
    watching = Watch(stack.records, stack.sqs, stack.queues)
    state = watching.look()
    with out.live() as display, suppress(KeyboardInterrupt):
        while out.interactive:
            display(state)
            time.sleep(every)
            state = watching.look()
    out.show(state)
    return Exit.DONE


command(app)(events)


@command(app)
def resolve(
    context: Context,
    request_id: Annotated[
        str | None, typer.Argument(help="The request's id; left out with a file of outcomes, or --since.")
    ] = None,
    as_: Annotated[
        Finding | None,
        typer.Option("--as", help="Record this outcome of an unknown call; unknown if it can't be found out."),
    ] = None,
    attempt: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_ATTEMPT_NUMBER, help="With --as: the attempt; the last unknown one by default."),
    ] = None,
    dial_again: Annotated[
        bool, typer.Option("--dial-again", help="Make another attempt. Pass the request again.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            help=f"Outcomes, one per row ({', '.join(FINDINGS.names)}), in a file as for `place`. With --dial-again: a "
            "file of `place`, with a row for this request."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Record --as for all that became unknown since: 90m, 2h, 3d or a date.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="With --since: only until then.")] = None,
    organization: Annotated[
        str | None, typer.Option("--organization", help="The request's organization; with --since: only this one.")
    ] = None,
    phone_number: PhoneNumber = None,
    assistant_id: AssistantId = None,
    phone_number_id: PhoneNumberId = None,
    customer_name: CustomerName = None,
    purpose: Purpose = None,
    time_zone: TimeZone = None,
    variable: Variables = None,
    metadata: Metadata = None,
    batch: Annotated[
        str, typer.Option(help="With --since: only this batch. With --dial-again: the --batch of `place`.")
    ] = "",
    country: Country = None,
    force: Annotated[bool, typer.Option("--force", help="Dial again although the call was completed.")] = False,
    yes: Yes = False,
    wait: Wait = False,
    timeout: Timeout = 900,
    show_numbers: ShowNumbers = False,
) -> Exit:
    """Resolve unknown calls by hand.

    One, those of a file of outcomes, or all that became unknown since a time.

    Record what you found out, or dial again. Only the outcome is recorded; keep notes in your own files. The record of
    a finished call holds no phone number, so --dial-again needs the request again; its metadata, batch and purpose are
    kept unless you pass other.
    """
    stack, out = context.stack, context.out
    asked = (phone_number, assistant_id, phone_number_id, customer_name, purpose, time_zone, variable, metadata)
    if any(asked) and not dial_again:
        raise typer.BadParameter("the request's options go with --dial-again")
    if request_id is None:
        if dial_again or attempt is not None:
            raise typer.BadParameter("--dial-again and --attempt go with one request's id")
        return _resolve_many(context, as_, file, since, until, organization, batch, yes)
    if (as_ is None) != dial_again:
        raise typer.BadParameter("pass either --as with an outcome, or --dial-again")
    if attempt is not None and dial_again:
        raise typer.BadParameter("--attempt goes with --as: --dial-again makes the next attempt")
    if since or until or (file and not dial_again):
        raise typer.BadParameter("--since, --until and a file of outcomes go without a request's id")
    resolving = resolving_of(context)
    key = request_key(request_id, organization)
    if as_ is not None:
        number = resolving.unknown_attempt(key, attempt).number
        question = f"Record attempt {number} of {mask_text(request_id)} as {as_}? It can't be changed afterwards."
        if as_ is Finding.UNKNOWN:
            question = f"Leave attempt {number} of {mask_text(request_id)} unknown? Then it no longer needs a person."
        out.confirm(question, yes)
        out.show(resolving.record(key, as_, number))
        return Exit.DONE
    if (file is None) != any(asked):
        raise typer.BadParameter("pass either --file, or --phone-number and the other options of the request")
    if file:
        rows_of_file = RequestsFile(file, country=country).rows()
        request = request_in_file(key, rows_of_file, RowIds(stack.arn, batch), stack.defaults)
    else:
        request = read_request(str(message_from_options(None, *asked, key.organization)), stack.defaults)
    redial, prepared = resolving.prepare(key, request, force, _mask(show_numbers))
    out.note(redial)
    when = local_times([(request.phone_number, request.time_zone)], time.time())
    out.confirm(f"{when} Dial again? The person at {redial.phone_number} may be called a second time.", yes)
    attempt_key = resolving.dial_again(redial, prepared)
    out.known(lambda: RedialReport(redial=redial))
    following = _follow(context, {attempt_key: None}, timeout) if wait else None
    out.show(RedialReport(redial=redial, following=following))
    return _exit_code(following)


def _resolve_many(
    context: Context,
    finding: Finding | None,
    file: Path | None,
    since: str | None,
    until: str | None,
    organization: str | None,
    batch: str,
    yes: bool,
) -> Exit:
    stack, now = context.stack, time.time()
    if (file is None) == (since is None) or (finding is None and file is None):
        raise typer.BadParameter("pass a request's id, or --file with outcomes, or --as with --since")
    if file and (until or organization or batch):
        raise typer.BadParameter("--until, --organization and --batch go with --since: a file names the calls itself")
    many = ResolvingMany(stack.records, resolving_of(context))
    if file:
        rows, invalid = read_findings(read_rows(file, FINDINGS), finding)
        if invalid:
            context.out.show(InvalidRows(invalid=invalid))
            return Exit.REFUSED
        plan, chosen = many.plan_rows(rows)
        return record_many(context, many, plan, chosen, yes)
    first, last = read_since(str(since), now), read_since(until, now, "--until") if until else now
    if not now - MAX_DAYS_AGO * 86_400 <= first <= last - 1:
        raise typer.BadParameter(f"--since must be at most {MAX_DAYS_AGO} days ago, and earlier than --until")
    if batch:
        check_batch(batch, organization)
    own = [request_key("a", organization).organization] if organization else stack.organization_names()
    plan, chosen = many.plan_found(own, first, last, batch or None, Finding(str(finding)))
    return record_many(context, many, plan, chosen, yes)


for waiting in (invalid, redrive, discard):
    command(app)(waiting)


@command(app)
def republish(
    context: Context,
    since: Annotated[str, typer.Option(help="Outcomes recorded since: 90m, 2h, 3d or a date.")],
    until: Annotated[str | None, typer.Option(help="Only outcomes recorded until: 90m, 2h, 3d or a date.")] = None,
    organization: OrganizationOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the outcomes, and publish nothing.")] = False,
    yes: Yes = False,
) -> Exit:
    """Publish outcomes again.

    For outcomes that were recorded and not published. Those that were published arrive once more, and no one is called.
    """
    stack, out, now = context.stack, context.out, time.time()
    first, last = read_since(since, now), read_since(until, now, "--until") if until else now
    if not now - MAX_DAYS_AGO * 86_400 <= first <= last - 1:
        raise typer.BadParameter(f"--since must be at most {MAX_DAYS_AGO} days ago, and earlier than --until")
    own = [request_key("a", organization).organization] if organization else stack.organization_names()
    ended = chain.from_iterable(stack.table.ended(each, first, last) for each in own)
    found, outcomes = find_outcomes(ended, first, last)
    if dry_run or not outcomes:
        out.show(RepublishReport(found=found))
        return Exit.DONE
    out.note(found)
    out.confirm(f"Publish {len(outcomes)} outcomes again on {stack.outcome_bus.name}?", yes)
    published: list[int] = []
    out.known(lambda: stopped(found, outcomes, sum(published)))
    with out.progress("published", len(outcomes)) as progress:

        def on_published(count: int) -> None:
            published.append(count)
            progress.advance(progress.task_ids[0], count)

        report = Republishing(stack.outcome_bus).publish(found, outcomes, on_published)
    out.show(report)
    return Exit.NOT_ALL_SENT if report.not_published else Exit.DONE


@command(app)
def doctor(context: Context) -> Exit:
    """Check the stack's health.

    Checks the key, the webhook, the poller, the queues and the alarms. Calls no one and changes nothing.
    """
    with context.out.live() as display:
        diagnosis = Doctor(context.stack).examine(display)
    context.out.show(diagnosis)
    return Exit.DONE if diagnosis.healthy else Exit.REFUSED


for each in (
    report,
    console,
    pause,
    resume,
    lines,
    cancel,
    forget,
    explain,
    audit,
    record,
    recording,
    transcript,
):
    command(app)(each)
app.add_typer(policy)
app.add_typer(do_not_call)


def _forecasts(context: Context, rows: Sequence[CheckedRow]) -> Forecasts:
    return Forecasting(context.stack.judge, context.stack.defaults).forecast(rows)


def _state_folder() -> Path:
    """Where this machine keeps what the command must remember."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "allomia-outbound-calls"


def _mask(show_numbers: bool) -> Mask:
    return unmasked if show_numbers else masked


def _send(context: Context, rows: Sequence[CheckedRow], on_sent: Callable[[int], None]) -> list[UnsentRow]:
    sender = Sender(context.stack.sqs, context.stack.call_queue_url)
    with context.out.progress("sent", len(rows)) as progress:

        def sent(position: int) -> None:
            on_sent(position)
            progress.advance(progress.task_ids[0])

        return send_rows(rows, sender, sent)


def _follow(context: Context, rows: Mapping[AttemptKey, int | None], timeout: float) -> Following:
    with context.out.live() as display:
        return Follower(context.stack.records).follow(rows, timeout, display)


def _exit_code(following: Following | None) -> Exit:
    if following is None:
        return Exit.DONE
    if not following.all_ended:
        return Exit.TIMED_OUT
    return Exit.NEEDS_A_PERSON if following.needs_a_person else Exit.DONE


def main(arguments: Sequence[str] | None = None, session: boto3.Session | None = None) -> int:
    """Run a command; returns its exit code."""
    return run(app, sys.argv[1:] if arguments is None else arguments, session)
