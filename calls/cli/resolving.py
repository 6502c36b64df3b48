"""`calls resolve` for many calls at once."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from calls.cli.command import Context
from calls.cli.listing import Listing, counted, tallied
from calls.cli.output import Exit
from calls.cli.render import render
from calls.operations.resolving import Finding, Resolving
from calls.operations.resolving_many import ManyResolved, ResolvingMany, UnresolvedCall, so_far
from outbound_calls.domain.attempts import AttemptKey, RequestKey

_MAX_SHOWN = 30


def resolving_of(context: Context) -> Resolving:
    """Resolves calls of the stack in the name of who runs the command."""
    return Resolving(context.stack.table, context.stack.defaults, by=context.stack.operator_arn)


def record_many(
    context: Context,
    many: ResolvingMany,
    plan: ManyResolved,
    chosen: Mapping[AttemptKey, Finding],
    yes: bool,
) -> Exit:
    """Show what would be recorded, ask, and record it."""
    out = context.out
    if not chosen:
        out.show(plan)
        return Exit.REFUSED if plan.left else Exit.DONE
    out.note(plan)
    out.confirm(f"Record {counted(len(chosen), 'outcome')}? They can't be changed afterwards.", yes)
    done: list[UnresolvedCall | None] = []
    out.known(lambda: so_far(plan, done))
    with out.progress("recorded", len(chosen)) as progress:

        def on_done(result: UnresolvedCall | None) -> None:
            done.append(result)
            progress.advance(progress.task_ids[0])

        result = many.record(plan, chosen, on_done)
    out.show(result)
    if result.not_recorded:
        return Exit.NOT_ALL_SENT
    return Exit.REFUSED if result.left else Exit.DONE


@render.register
def _(result: ManyResolved) -> RenderableType:
    tally = tallied(result.by_outcome)
    heading = counted(result.to_record, "unknown call")
    heading = f"{heading} to record" if result.recorded is None else f"{result.recorded:,} of {heading} recorded"
    shown: list[RenderableType] = [Text(f"{heading}: {tally}" if tally else heading, "bold")]
    for title, calls in (
        ("Not to be recorded", result.left if result.recorded is None else []),
        ("Not recorded", result.not_recorded),
    ):
        if calls:
            shown += [Text(f"{title}: {counted(len(calls), 'call')}", "bold red"), _calls(calls)]
            if (more := len(calls) - _MAX_SHOWN) > 0:
                shown.append(Text(f"{more} more are not shown; --json shows all"))
    if result.recorded is not None and result.left:
        shown.append(Text(f"{counted(len(result.left), 'call')} left as they are"))
    return Group(*shown)


def _calls(calls: Sequence[UnresolvedCall]) -> Listing:
    listing = Listing([">row"], long="request and reason")
    for each in calls[:_MAX_SHOWN]:
        name = str(RequestKey(each.request_id, each.organization))
        number = f" #{each.attempt}" if each.attempt else ""
        listing.add("" if each.row is None else str(each.row), long=f"{name}{number}  {each.reason}")
    return listing
