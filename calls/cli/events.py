"""`calls events`: the outcome events, as they are recorded."""

import time
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from calls.cli.command import Context
from calls.cli.listing import counted, local_time, tallied
from calls.cli.options import Limit, OrganizationOption, read_since
from calls.cli.output import Exit
from calls.cli.render import render, render_status
from calls.operations.cancelling import request_key
from calls.operations.following_events import Events, EventsFollower
from calls.operations.records import tally
from calls.operations.republishing import MAX_DAYS_AGO
from outbound_calls.contracts.events import OutcomeEvent
from outbound_calls.domain.attempts import RequestKey


def events(
    context: Context,
    since: Annotated[str | None, typer.Option(help="Recorded since: 90m, 2h, 3d or a date. By default 1h.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue with new outcomes until Ctrl-C.")] = False,
    organization: OrganizationOption = None,
    every: Annotated[float, typer.Option(min=1, help="With --follow: the interval in seconds.")] = 3,
    limit: Limit = 1000,
) -> Exit:
    """Show outcome events, oldest first.

    --follow also shows those to come. With --json, --follow prints one event on each line. Subscribes to nothing: reads
    the index of what ended.
    """
    stack, out, now = context.stack, context.out, time.time()
    first = read_since(since, now) if since else now if follow else now - 3600
    if not now - MAX_DAYS_AGO * 86_400 <= first <= now:
        raise typer.BadParameter(f"--since must be at most {MAX_DAYS_AGO} days ago, and not later than now")
    own = [request_key("a", organization).organization] if organization else stack.organization_names()
    follower = EventsFollower(stack.table, own, first)
    if not follow:
        found = follower.look()
        out.show(Events(events=found[:limit], more=len(found) > limit))
        return Exit.DONE
    with suppress(KeyboardInterrupt):
        while True:
            for event in follower.look():
                out.show_one(event)
            time.sleep(every)
    return Exit.DONE


@render.register
def _(event: OutcomeEvent) -> RenderableType:
    name = str(RequestKey(event.request_id, event.organization))
    number = f" #{event.attempt}" if event.attempt > 1 else ""
    rang = f"rang: {event.dialled.value}"
    more = [] if event.final else ["not final"]
    words = "  ".join([rang, *filter(None, [event.reason_code]), *more, f"{name}{number}"])
    line = Text.assemble(local_time(event.recorded_at), "  ", render_status(event.status), "  ", words)
    line.overflow = "fold"
    return line


@render.register
def _(found: Events) -> RenderableType:
    more = "; there are more: raise --limit" if found.more else ""
    counts = tallied(tally(event.status for event in found.events))
    heading = counted(len(found.events), "event") + (f": {counts}" if counts else "") + more
    return Group(Text(heading, "bold"), *map(render, found.events))
