"""`calls invalid`, `calls redrive` and `calls discard`: the messages that wait for a person."""

import time
from pathlib import Path
from typing import Annotated

import typer

from calls.cli.command import Context
from calls.cli.listing import counted
from calls.cli.options import Limit, ShowNumbers, Yes, read_since
from calls.cli.output import Exit
from calls.operations.local_times import local_times
from calls.operations.masking import Mask, masked, unmasked
from calls.operations.preflight import InvalidRows
from calls.operations.redriving import Moved, Redrive, RedrivePlan, read_fixed, redrive_report
from calls.operations.requests_file import read_rows
from calls.operations.sending import Sender
from calls.operations.waiting_messages import (
    Deletions,
    DiscardReport,
    HeldMessage,
    QueueListing,
    Selection,
    delete_messages,
    export,
    held_messages,
    json_object,
)
from calls.operations.watching import queue_depth

DeadLetters = Annotated[bool, typer.Option("--dead-letters", help="The messages that the stack failed on.")]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="ID", help="Only this message, or this requestId. Repeatable.")
]
OlderThan = Annotated[
    str | None, typer.Option("--older-than", help="Only what was sent before: 90m, 2h, 3d or a date.")
]


def invalid(
    context: Context,
    export_to: Annotated[
        Path | None, typer.Option("--export", help="Write them to this new file, to be fixed.")
    ] = None,
    limit: Limit = 1000,
    show_numbers: ShowNumbers = False,
) -> Exit:
    """List invalid messages.

    Each comes with the rule that it breaks. They stay in their queue.
    """
    stack = context.stack
    with held_messages(stack.sqs, stack.invalid_messages_queue_url, limit, kept_by_stack=True) as messages:
        if export_to:
            export(messages, export_to)
    listing = _listing(context, "invalid messages", messages, limit, _mask(show_numbers))
    context.out.show(listing.model_copy(update={"exported_to": str(export_to) if export_to else None}))
    return Exit.DONE


def redrive(
    context: Context,
    file: Annotated[
        Path | None, typer.Option(help="Invalid messages, fixed: the file of `invalid --export`, .jsonl.")
    ] = None,
    dead_letters: DeadLetters = False,
    only: Only = None,
    older_than: OlderThan = None,
    late: Annotated[bool, typer.Option("--late", help="Also dial requests that have expired.")] = False,
    limit: Limit = 1000,
    yes: Yes = False,
    show_numbers: ShowNumbers = False,
) -> Exit:
    """Send waiting messages again.

    These are fixed invalid messages, or dead letters unchanged. Each is sent first and then deleted, so nothing is
    lost; and sent under its own id, so nothing is dialled twice. A redrive doesn't change when a request expires.
    """
    if (file is None) != dead_letters:
        raise typer.BadParameter("pass either --file, or --dead-letters")
    if file and (only or older_than):
        raise typer.BadParameter("--only and --older-than go with --dead-letters: a file names the messages itself")
    stack, out = context.stack, context.out
    fixed, unfixed = read_fixed(read_rows(file), stack.defaults) if file else ([], [])
    if unfixed:
        out.show(InvalidRows(invalid=unfixed))
        return Exit.REFUSED
    selection = _selection(only, older_than)
    url = stack.dead_letter_queue_url if dead_letters else stack.invalid_messages_queue_url
    # It says when a request expires.
    stack.policies.in_force()
    moving = Redrive(stack.sqs, url, Sender(stack.sqs, stack.call_queue_url), stack.last_moment, late)
    with held_messages(stack.sqs, url, limit, kept_by_stack=not dead_letters) as messages:
        unseen = _unseen(context, url, len(messages), limit)
        if dead_letters:
            chosen, not_found = selection.of(messages)
            plan = moving.plan_unchanged(chosen, not_found, len(messages))
            out.note(_listing(context, "dead letters", chosen, limit, _mask(show_numbers), more=unseen > 0))
        else:
            plan = moving.plan_fixed(messages, fixed)
        _confirm(context, plan, yes)
        moved = Moved()
        out.known(lambda: redrive_report(plan, moved, unseen))
        moving.send(plan, moved)
    report = redrive_report(plan, moved, unseen)
    out.show(report)
    if report.unsent:
        return Exit.NOT_ALL_SENT
    return Exit.REFUSED if report.expired or report.unreadable or report.not_found else Exit.DONE


def discard(
    context: Context,
    dead_letters: DeadLetters = False,
    invalid_messages: Annotated[bool, typer.Option("--invalid", help="The messages that break the contract.")] = False,
    only: Only = None,
    older_than: OlderThan = None,
    all_: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    export_to: Annotated[
        Path | None, typer.Option("--export", help="Write them to this new file first. It holds names and numbers.")
    ] = None,
    limit: Limit = 1000,
    yes: Yes = False,
    show_numbers: ShowNumbers = False,
) -> Exit:
    """Delete waiting messages that can't be used.

    No one is called for them, and no outcome is reported. Choose them with --only, --older-than or --all.
    """
    if dead_letters == invalid_messages:
        raise typer.BadParameter("pass either --dead-letters, or --invalid")
    if all_ == bool(only or older_than):
        raise typer.BadParameter("pass either --only or --older-than, or --all")
    stack, out = context.stack, context.out
    selection = _selection(only, older_than)
    queue = "dead letters" if dead_letters else "invalid messages"
    url = stack.dead_letter_queue_url if dead_letters else stack.invalid_messages_queue_url
    with held_messages(stack.sqs, url, limit, kept_by_stack=not dead_letters) as messages:
        unseen = _unseen(context, url, len(messages), limit)
        chosen, not_found = selection.of(messages)
        deletions = Deletions()

        def report() -> DiscardReport:
            return DiscardReport(
                queue=queue,
                chosen=len(chosen),
                discarded=deletions.done,
                not_found=not_found,
                still_there=len(messages) - deletions.done,
                unseen=unseen,
                exported_to=str(export_to) if export_to and chosen else None,
            )

        if chosen:
            out.note(_listing(context, queue, chosen, limit, _mask(show_numbers), more=unseen > 0))
            copy = "" if export_to else " No copy is kept: --export writes one."
            words = f"Delete {counted(len(chosen), 'message')} for good? No one is called for them.{copy}"
            out.confirm(words, yes)
            if export_to:
                export(chosen, export_to)
            out.known(report)
            delete_messages(stack.sqs, url, chosen, deletions)
    out.show(report())
    if deletions.done < len(chosen):
        return Exit.NOT_ALL_SENT
    return Exit.REFUSED if not_found else Exit.DONE


def _confirm(context: Context, plan: RedrivePlan, yes: bool) -> None:
    if plan.to_send:
        requests = (json_object(body) for _, body in plan.to_send)
        recipients = [(each.get("phoneNumber"), each.get("timeZone")) for each in requests if "dispatch" not in each]
        question = f"Dial these {len(plan.to_send)} through {context.stack.name} now?"
        context.out.confirm(f"{local_times(recipients, time.time())} {question}".strip(), yes)
    if plan.late:
        context.out.confirm(f"{len(plan.late)} of them have expired. Dial those anyway?", yes)


def _selection(only: list[str] | None, older_than: str | None) -> Selection:
    before = read_since(older_than, time.time(), "--older-than") if older_than else None
    return Selection(tuple(dict.fromkeys(only or ())), before)


def _unseen(context: Context, url: str, seen: int, limit: int) -> int:
    """How many messages --limit kept from being looked at, while those that were are held."""
    return 0 if seen < limit else queue_depth(context.stack.sqs, "", url).waiting


def _listing(
    context: Context, queue: str, messages: list[HeldMessage], limit: int, mask: Mask, *, more: bool | None = None
) -> QueueListing:
    now = time.time()
    return QueueListing(
        queue=queue,
        messages=[message.summary(mask, now, context.stack.last_moment) for message in messages],
        more=len(messages) == limit if more is None else more,
    )


def _mask(show_numbers: bool) -> Mask:
    return unmasked if show_numbers else masked
