"""The commands. Each says what it does; how it is done is in the modules that it names."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from calls.command import Operator, command, run
from calls.doctor import Doctor
from calls.following import Follower, Following
from calls.masking import Mask, mask_text, masked, unmasked
from calls.options import (
    AssistantId,
    Batch,
    CustomerName,
    Limit,
    Metadata,
    PhoneNumber,
    PhoneNumberId,
    RequestFile,
    RequestIdOption,
    ShowNumbers,
    Timeout,
    Variables,
    Wait,
    Yes,
    message_of,
    read_since,
)
from calls.output import Exit
from calls.preflight import Naming, Prepared, look_over, read_request
from calls.queues import Redrive, export, held, read_mended
from calls.records import UNDER_WAY
from calls.requests_file import Row, read_rows
from calls.resolving import Finding, NotAllowed, Resolving
from calls.results import Look, NotSent, Placing, Redialled, Refusals
from calls.sending import Sender
from calls.stack import Deployed
from calls.watching import Watch
from outbound_calls.contracts import AttemptKey, CallRequest, InvalidInput
from outbound_calls.lifecycle import Status

app = typer.Typer(
    help="Place calls through a deployed stack, see what became of them, and put right what needs a person.",
    epilog="Exit codes: 0 done; 1 refused, or not in order; 2 the command line is wrong; 3 AWS or the stack is out of "
    "reach; 4 not all was sent; 5 not all calls ended in time; 6 some calls need a person.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

WATCHED_QUEUES = {
    "requests": "CallQueueUrl",
    "rejected": "InvalidMessagesQueueUrl",
    "dead letters": "DeadLetterQueueUrl",
}


class Source(StrEnum):
    """A queue whose messages have to be mended before they are put back."""

    REJECTED = "rejected"


@command(app)
def place(
    operator: Operator,
    file: Annotated[Path | None, typer.Argument(help="Requests, one a row: .csv or .jsonl.")] = None,
    request_id: RequestIdOption = None,
    phone_number: PhoneNumber = None,
    assistant_id: AssistantId = None,
    phone_number_id: PhoneNumberId = None,
    customer_name: CustomerName = None,
    variable: Variables = None,
    metadata: Metadata = None,
    batch: Batch = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look the rows over, and send nothing.")] = False,
    skip_refused: Annotated[bool, typer.Option("--skip-refused", help="Send the other rows.")] = False,
    yes: Yes = False,
    wait: Wait = False,
    timeout: Timeout = 900,
    show_numbers: ShowNumbers = False,
) -> Exit:
    """Place one call, given by options, or those of a file. The same row is the same call, however often it is run."""
    stack, out = operator.stack, operator.out
    message = message_of(request_id, phone_number, assistant_id, phone_number_id, customer_name, variable, metadata)
    if (file is None) == (message is None):
        raise typer.BadParameter("say whom to call: either a file, or --phone-number and what else there is to say")
    rows = read_rows(file) if file else [Row(1, str(message))]
    preflight, prepared = look_over(
        rows, Naming(stack.arn, batch), stack.completed, stack.records.statuses, _mask(show_numbers)
    )
    if dry_run or (preflight.refused and not skip_refused):
        out.show(Placing(preflight=preflight))
        return Exit.REFUSED if preflight.refused else Exit.DONE
    out.note(preflight)
    if prepared:
        out.confirm(f"Place {len(prepared)} calls through {stack.name} ({stack.environment})?", yes)
    not_sent = _send(operator, prepared)
    unsent = {each.row for each in not_sent}
    rows_of = {each.key: each.row for each in prepared if each.row not in unsent}
    rows_of |= {AttemptKey(request_id=each.request_id, attempt=1): each.row for each in preflight.already_there}
    following = _follow(operator, rows_of, timeout) if wait else None
    sent = len(prepared) - len(not_sent)
    out.show(Placing(preflight=preflight, sent=sent, not_sent=not_sent, following=following))
    return Exit.NOT_ALL_SENT if not_sent else _exit_of(following)


@command(app)
def show(operator: Operator, request_id: Annotated[str, typer.Argument(help="The request's id.")]) -> Exit:
    """Show all attempts of a request."""
    report = operator.stack.reports.of(request_id)
    if report is None:
        return operator.out.refuse(f"there is no record of {mask_text(request_id)}", Exit.REFUSED)
    operator.out.show(report)
    return Exit.DONE


@command(app, "list")
def list_(
    operator: Operator,
    status: Annotated[list[Status] | None, typer.Option(help="Only these.")] = None,
    since: Annotated[str | None, typer.Option(help="Asked for since then: 90m, 2h, 3d or a date.")] = None,
    limit: Limit = 50,
) -> Exit:
    """List calls: those under way, or with --status or --since those that match.

    Calls under way are found by an index. Any other search reads the whole table, up to its limit: at half a read unit
    for each 4 KB, which the answer counts.
    """
    records = operator.stack.records
    if not since and UNDER_WAY.issuperset(status or ()):
        search = records.under_way(limit, status or UNDER_WAY)
    else:
        search = records.search(status or (), read_since(since, time.time()) if since else None, limit)
    operator.out.show(search)
    return Exit.DONE


@command(app)
def watch(
    operator: Operator,
    every: Annotated[float, typer.Option(min=1, help="Seconds from one look to the next.")] = 3,
) -> Exit:
    """Watch what is under way, what ends, and what needs a person, until Ctrl-C; with --json, one look."""
    stack, out = operator.stack, operator.out
    queues = {name: stack.outputs[output] for name, output in WATCHED_QUEUES.items()}
    looking = Watch(stack.records, stack.sqs, queues | {"failed outcomes": stack.resource("FailedOutcomesQueue")})
    view = looking.look()
    with out.live() as picture, suppress(KeyboardInterrupt):
        while out.is_watched:
            picture(view)
            time.sleep(every)
            view = looking.look()
    out.show(view)
    return Exit.DONE


@command(app)
def resolve(
    operator: Operator,
    request_id: Annotated[str, typer.Argument(help="The request's id.")],
    as_: Annotated[Finding | None, typer.Option("--as", help="Record what you found out of an unknown call.")] = None,
    dial_again: Annotated[
        bool, typer.Option("--dial-again", help="Make another attempt. Give the request again.")
    ] = False,
    file: RequestFile = None,
    phone_number: PhoneNumber = None,
    assistant_id: AssistantId = None,
    phone_number_id: PhoneNumberId = None,
    customer_name: CustomerName = None,
    variable: Variables = None,
    metadata: Metadata = None,
    batch: Batch = "",
    force: Annotated[bool, typer.Option("--force", help="Dial again although the call took place.")] = False,
    yes: Yes = False,
    wait: Wait = False,
    timeout: Timeout = 900,
    show_numbers: ShowNumbers = False,
) -> Exit:
    """Settle by hand what became of a call: record what you found out, or dial again.

    Nothing but the outcome is recorded; keep what else you found out in your own files. The record of a call that has
    ended holds no number, so --dial-again takes the request anew; only its metadata is kept, unless you give other.
    """
    stack, out = operator.stack, operator.out
    if (as_ is None) != dial_again:
        raise typer.BadParameter("say either --as what you found out, or --dial-again")
    resolving = Resolving(stack.ledger, stack.reports, stack.completed)
    if as_ is not None:
        out.confirm(f"Record {mask_text(request_id)} as {as_}? It cannot be changed afterwards.", yes)
        out.show(resolving.record(request_id, as_))
        return Exit.DONE
    message = message_of(None, phone_number, assistant_id, phone_number_id, customer_name, variable, metadata)
    if (file is None) == (message is None):
        raise typer.BadParameter("say whom to call: either --file, or --phone-number and what else there is to say")
    request = (
        _row_of(request_id, read_rows(file), Naming(stack.arn, batch), stack)
        if file
        else read_request(str(message), stack.completed)
    )
    redial, completed = resolving.prepare(request_id, request, force, _mask(show_numbers))
    out.note(redial)
    out.confirm(f"Dial again? Whoever has {redial.phone_number} may be rung a second time.", yes)
    key = resolving.dial_again(redial, completed)
    following = _follow(operator, {key: None}, timeout) if wait else None
    out.show(Redialled(redial=redial, following=following))
    return _exit_of(following)


@command(app)
def rejected(
    operator: Operator,
    export_to: Annotated[
        Path | None, typer.Option("--export", help="Write them to this new file, to be mended.")
    ] = None,
    limit: Limit = 1000,
    show_numbers: ShowNumbers = False,
) -> Exit:
    """Show the messages that can never become a call, each with its reason. They stay in their queue."""
    stack = operator.stack
    with held(stack.sqs, stack.outputs["InvalidMessagesQueueUrl"], limit) as messages:
        if export_to:
            export(messages, export_to)
    mask, now = _mask(show_numbers), time.time()
    operator.out.show(
        Look(
            queue="rejected",
            messages=[message.waiting(mask, now) for message in messages],
            more=len(messages) == limit,
            exported_to=str(export_to) if export_to else None,
        )
    )
    return Exit.DONE


@command(app)
def redrive(
    operator: Operator,
    from_: Annotated[Source | None, typer.Option("--from", help="Put mended messages back; takes --file.")] = None,
    file: Annotated[Path | None, typer.Option(help="What `rejected --export` wrote, mended: .jsonl.")] = None,
    dead_letters: Annotated[bool, typer.Option("--dead-letters", help="Put all dead letters back.")] = False,
    limit: Limit = 1000,
    yes: Yes = False,
    show_numbers: ShowNumbers = False,
) -> Exit:
    """Put messages back on the call queue: mended ones of the rejected queue, or the dead letters as they are.

    Each is sent first and deleted then, so that nothing is lost; and under an id of its own, so that what is sent twice
    rings once.
    """
    if (from_ is None) != dead_letters or (file is None) != dead_letters:
        raise typer.BadParameter("say either --from rejected with --file, or --dead-letters")
    if file:
        return _redrive_mended(operator, file, limit, yes)
    return _redrive_dead_letters(operator, limit, yes, _mask(show_numbers))


def _redrive_mended(operator: Operator, file: Path, limit: int, yes: bool) -> Exit:
    stack, out = operator.stack, operator.out
    mended, refused = read_mended(read_rows(file), stack.completed)
    if refused:
        out.show(Refusals(refused=refused))
        return Exit.REFUSED
    out.confirm(f"Put {len(mended)} mended messages on the call queue of {stack.name}?", yes)
    url = stack.outputs["InvalidMessagesQueueUrl"]
    with held(stack.sqs, url, limit) as messages:
        redriven = Redrive(stack.sqs, url, Sender(stack.sqs, stack.call_queue_url)).mended(messages, mended)
    out.show(redriven)
    return Exit.NOT_ALL_SENT if redriven.unsent else Exit.REFUSED if redriven.not_found else Exit.DONE


def _redrive_dead_letters(operator: Operator, limit: int, yes: bool, mask: Mask) -> Exit:
    stack, out = operator.stack, operator.out
    url = stack.outputs["DeadLetterQueueUrl"]
    with held(stack.sqs, url, limit) as messages:
        waiting = [message.waiting(mask, time.time()) for message in messages]
        out.note(Look(queue="dead letters", messages=waiting, more=len(messages) == limit))
        if messages:
            out.confirm(f"Have these {len(messages)} dialled through {stack.name}, old as they are?", yes)
        redriven = Redrive(stack.sqs, url, Sender(stack.sqs, stack.call_queue_url)).as_they_are(messages)
    out.show(redriven)
    return Exit.NOT_ALL_SENT if redriven.unsent else Exit.DONE


@command(app)
def doctor(operator: Operator) -> Exit:
    """Check that the stack is in order: the key, the webhook, the poller, the queues, the alarms. Calls nobody."""
    out = operator.out
    with out.live() as picture:
        diagnosis = Doctor(operator.stack).examine(picture)
    out.show(diagnosis)
    return Exit.DONE if diagnosis.in_order else Exit.REFUSED


def _mask(show_numbers: bool) -> Mask:
    return unmasked if show_numbers else masked


def _send(operator: Operator, prepared: Sequence[Prepared]) -> list[NotSent]:
    """Send these; returns those that SQS has not confirmed."""
    stack = operator.stack
    with operator.out.progress("sent", len(prepared)) as progress:
        unsent = Sender(stack.sqs, stack.call_queue_url).send(
            [each.body for each in prepared], lambda _number: progress.advance(progress.task_ids[0])
        )
    return [
        NotSent(row=prepared[number].row, request_id=prepared[number].key.request_id, reason=reason)
        for number, reason in sorted(unsent.items())
    ]


def _follow(operator: Operator, rows_of: Mapping[AttemptKey, int | None], timeout: float) -> Following:
    with operator.out.live() as picture:
        return Follower(operator.stack.records).follow(rows_of, timeout, picture)


def _exit_of(following: Following | None) -> Exit:
    if following is None:
        return Exit.DONE
    if not following.all_ended:
        return Exit.TIMED_OUT
    return Exit.NEEDS_A_PERSON if following.needs_a_person else Exit.DONE


def _row_of(request_id: str, rows: Sequence[Row], naming: Naming, stack: Deployed) -> CallRequest:
    """The one request of a file that goes by this id."""
    found: list[Prepared] = []
    for row in rows:
        try:
            prepared = Prepared(row.number, naming.named(read_request(row.message, stack.completed)))
        except InvalidInput:
            continue
        if prepared.key.request_id == request_id and prepared.request not in [other.request for other in found]:
            found.append(prepared)
    if len(found) != 1:
        raise NotAllowed(f"the file has {len(found)} rows for this request that a call could come of")
    return found[0].request


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    return run(app, sys.argv[1:] if arguments is None else arguments)
