"""`calls lines`: how many calls are in progress at once, and who waits for their turn."""

import time
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from calls.cli.command import Context
from calls.cli.options import OrganizationOption
from calls.cli.output import Exit
from calls.cli.render import render
from calls.operations.cancelling import request_key
from calls.operations.lines import LinesReport, LinesView
from outbound_calls.use_cases.decide import PolicyUnreadable


def lines(
    context: Context,
    organization: OrganizationOption = None,
    every: Annotated[float, typer.Option(min=1, help="The interval in seconds.")] = 3,
) -> Exit:
    """Watch the lines in use, and who waits for one, until Ctrl-C.

    With --json, prints once.
    """
    stack, out = context.stack, context.out
    view = LinesView(stack.table, stack.lines_table, stack.judge.policy, time.time)
    organization = request_key("a", organization).organization if organization else None
    try:
        report = view.look(organization)
        with out.live() as display, suppress(KeyboardInterrupt):
            while out.interactive:
                display(report)
                time.sleep(every)
                report = view.look(organization)
    except PolicyUnreadable as error:
        return out.refuse(str(error), Exit.REFUSED)
    out.show(report)
    return Exit.DONE


@render.register
def _(report: LinesReport) -> RenderableType:
    limit = "no limit" if report.limit is None else f"of {report.limit}"
    paused = "; calls are paused" if report.paused else ""
    table = Table("priority", "waiting", "first", "waits for", header_style="bold")
    for each in report.waiting:
        waited = "" if each.waited_seconds is None else f"{each.waited_seconds} s"
        count = f"at least {each.waiting:,}" if each.at_least else f"{each.waiting:,}"
        table.add_row(each.priority, count, each.first or "", waited)
    title = f"{report.organization}: {report.in_use} lines in use ({limit}), {report.reserved} reserved{paused}"
    return Group(Text(title, "bold"), table)
