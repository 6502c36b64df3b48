"""`calls explain` and `calls audit`."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from calls.cli.command import Context
from calls.cli.listing import Listing, counted
from calls.cli.options import OrganizationOption, read_since
from calls.cli.output import Exit
from calls.cli.render import facts_table, render, render_status
from calls.operations.auditing import Audit, Auditing, export
from calls.operations.cancelling import request_key
from calls.operations.explaining import Explaining, Explanation, Verdict
from calls.operations.forecasting import Forecasts
from outbound_calls.contracts.status_api import PossibleZone
from outbound_calls.domain.attempts import RequestKey
from outbound_calls.domain.recipients import organization_name

_MAX_SHOWN = 50
_STYLES = {Verdict.DIAL: "green", Verdict.WAIT: "yellow", Verdict.REJECT: "bold red"}
_DECISIONS = {
    Verdict.DIAL: "policy allows the call now",
    Verdict.WAIT: "it waits",
    Verdict.REJECT: "it is rejected when it comes up",
}


def explain(context: Context, request_id: Annotated[str, typer.Argument(help="The request's id.")]) -> Exit:
    """Explain why a request is dialled, waits or is rejected.

    Goes through the rules of policy one by one.
    """
    stack = context.stack
    context.out.show(Explaining(stack.table, stack.judge, stack.lines_table).explain(request_key(request_id)))
    return Exit.DONE


def audit(
    context: Context,
    from_: Annotated[str, typer.Option("--from", help="Dials since: 90m, 2h, 3d or a date.")],
    to: Annotated[str | None, typer.Option("--to", help="Only dials before: 90m, 2h, 3d or a date.")] = None,
    organization: OrganizationOption = None,
    export_to: Annotated[Path | None, typer.Option("--export", help="Write to this new file: .csv or .json.")] = None,
) -> Exit:
    """List what allowed each dial.

    The policy's version, its window and caps, and the recipient's local time. Holds no personal data. Without
    --organization: of every one that the secret of keys or the policy names.
    """
    stack, now = context.stack, time.time()
    since, until = read_since(from_, now, "--from"), read_since(to, now, "--to") if to else now
    if since >= until:
        raise typer.BadParameter("--from must be earlier than --to")
    auditing = Auditing(stack.records, stack.organizations, stack.policies)
    organizations, incomplete = auditing.organizations()
    if organization:
        organizations, incomplete = [request_key("a", organization).organization], None
    audited = auditing.audit(organizations, since, until, now).model_copy(
        update={"organizations": [organization_name(each) for each in organizations], "incomplete": incomplete}
    )
    if export_to:
        export(audited, export_to)
        audited = audited.model_copy(update={"exported_to": str(export_to)})
    context.out.show(audited)
    return Exit.DONE


@render.register
def _(explanation: Explanation) -> RenderableType:
    name = str(RequestKey(explanation.request_id, explanation.organization))
    allowed = explanation.allowed_by
    shown: list[RenderableType] = [
        Text.assemble(f"{name}, attempt {explanation.attempt}  ", render_status(explanation.status)),
        facts_table(
            [
                ("parked last because of", explanation.park_reason),
                ("tried next", explanation.next_look_at),
                ("reason code", explanation.reason_code),
                ("reason", explanation.reason),
                ("dial allowed by", f"policy {allowed.preset}, version {allowed.policy_version}" if allowed else None),
                *(("recipient's clock then", f"{each.local_time} {each.time_zone}") for each in _zones(explanation)),
                ("now", explanation.now),
                ("expires", explanation.expires_at),
                ("time zones", ", ".join(explanation.zones) or None),
                ("which come from", f"the {explanation.zone_source}" if explanation.zone_source else None),
                ("policy", _policy(explanation)),
            ]
        ),
    ]
    if explanation.rules:
        table = Listing(["rule", ""], long="what it says")
        for rule in explanation.rules:
            until = f" (looked at again {rule.until})" if rule.until else ""
            table.add(rule.rule, Text(rule.verdict, _STYLES[rule.verdict]), long=f"{rule.detail}{until}")
        shown.append(table)
    if (forecast := explanation.forecast) is not None:
        reason = f": {forecast.reason}" if forecast.reason else ""
        shown.append(Text(f"So {_DECISIONS[forecast.verdict]}{reason}", _STYLES[forecast.verdict]))
    return Group(*shown)


def _zones(explanation: Explanation) -> list[PossibleZone]:
    return explanation.allowed_by.zones if explanation.allowed_by else []


def _policy(explanation: Explanation) -> str | None:
    if explanation.preset is None:
        return None
    return f"{explanation.preset}, version {explanation.policy_version}"


@render.register
def _(forecasts: Forecasts) -> RenderableType:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in forecasts.counts.items())
    table = Listing([">row", "policy"], long="request and reason")
    for row in forecasts.rows[:_MAX_SHOWN]:
        why = f"  {row.reason}" if row.reason else ""
        table.add(str(row.row), Text(row.verdict, _STYLES[row.verdict]), long=f"{row.request_id}{why}")
    shown: list[RenderableType] = [Text(f"If they were sent now, policy would say: {counts}"), table]
    for name, limit in forecasts.at_once.items():
        shown.append(Text(f"{name}: at most {counted(limit, 'call')} at once; the others wait for a line"))
    if (more := len(forecasts.rows) - _MAX_SHOWN) > 0:
        shown.append(Text(f"{more} more are not shown; --json shows all"))
    return Group(*shown)


@render.register
def _(audited: Audit) -> RenderableType:
    incomplete = [Text(audited.incomplete, style="yellow")] if audited.incomplete else []
    if audited.exported_to:
        return Group(*incomplete, Text(f"{counted(len(audited.dials), 'dial')} exported to {audited.exported_to}"))
    table = Listing(["dispatched"], long="request, recipient's clock, policy, rule")
    for dial in audited.dials[:_MAX_SHOWN]:
        clocks = ", ".join(f"{zone.local_time or ''} {zone.time_zone}".strip() for zone in dial.zones)
        name = str(RequestKey(dial.request_id, dial.organization))
        policy = "" if dial.preset is None else f"{dial.preset}, version {dial.policy_version}"
        number = f" #{dial.attempt}" if dial.attempt > 1 else ""
        rule = ", ".join(filter(None, [dial.window, *(f"at most {cap}" for cap in dial.caps), dial.window_unknown]))
        about = "  ".join(filter(None, [f"{name}{number}", clocks, dial.zone_source, policy, rule]))
        table.add(dial.dispatched_at, long=about)
    more = len(audited.dials) - _MAX_SHOWN
    words = f" ({more} more are not shown; --json or --export has all)" if more > 0 else ""
    heading = Text(f"{counted(len(audited.dials), 'dial')}{words}", "bold")
    return Group(heading, *incomplete, *([table] if len(table) else []))
