"""`calls policy`, `calls pause` and `calls resume`: the calling policy."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from calls.cli.command import Context, EndpointUrl, Json, Profile, StackName, command, find_stack
from calls.cli.examples import help_examples
from calls.cli.listing import Listing, counted
from calls.cli.options import OrganizationOption, Yes
from calls.cli.output import Exit, Output
from calls.cli.render import render
from calls.operations.calling_policy import InvalidPolicy, PolicyHistory, PolicyInForce, PolicySet, Proposal
from calls.operations.pausing import PauseReport, Pausing
from calls.operations.policy_changes import PolicyChanges
from calls.operations.policy_files import PolicyCheck, check_policy
from outbound_calls.contracts.policy import CallingPolicy
from outbound_calls.contracts.vocabulary import Preset
from outbound_calls.policy.rules import preset_document

policy = typer.Typer(
    name="policy",
    help="When, how often and how many at once: the calling policy.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

PresetOption = Annotated[Preset, typer.Option("--preset", help="A preset.")]


@policy.command(epilog=help_examples(policy, "check"))
def check(
    file: Annotated[Path, typer.Argument(help="A policy document, JSON.")],
    preset: PresetOption = Preset.CANADA,
    as_json: Json = False,
) -> Exit:
    """Check a policy document.

    Prints each field that breaks its rule, and what may not mean what you expect.

    --preset is the one that the stack uses where the document names none. Needs no stack.
    """
    result = check_policy(file.read_bytes(), datetime.now(UTC).date(), preset)
    Output(as_json).show(result)
    return Exit.DONE if result.valid else Exit.REFUSED


@policy.command(epilog=help_examples(policy, "show"))
def show(
    context: typer.Context,
    preset: Annotated[
        Preset | None, typer.Option("--preset", help="Show a preset's document instead; needs no stack.")
    ] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Show an earlier version.")] = None,
    stack: StackName = None,
    profile: Profile = None,
    endpoint_url: EndpointUrl = None,
    as_json: Json = False,
) -> Exit:
    """Show the document in force, with its version and who set it when.

    stdout holds the document alone, so that it can be edited and set.
    """
    out = Output(as_json)
    if preset:
        out.show(CallingPolicy.model_validate(preset_document(preset)))
        return Exit.DONE
    in_force = find_stack(context, stack, endpoint_url, profile).policies.in_force(version)
    out.note(in_force)
    out.show(in_force if as_json else in_force.document)
    return Exit.DONE


@command(policy, "set")
def set_(
    context: Context,
    file: Annotated[Path | None, typer.Argument(help="A policy document, JSON.")] = None,
    preset: Annotated[Preset | None, typer.Option("--preset", help="Set the document that names this alone.")] = None,
    replaces: Annotated[
        int | None, typer.Option(min=0, help="The version that the file was made from. Refused if another is in force.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and set nothing.")] = False,
    yes: Yes = False,
) -> Exit:
    """Put another policy in force, everywhere within 10 seconds.

    Shows what becomes allowed, then what becomes forbidden, and asks. If someone else sets one meanwhile, yours is
    refused.
    """
    if (file is None) == (preset is None):
        raise typer.BadParameter("pass either a file, or --preset")
    stack, out = context.stack, context.out
    text = file.read_bytes() if file else json.dumps({"basedOn": preset}).encode()
    try:
        proposal, document = stack.policies.propose(text, replaces)
    except InvalidPolicy as error:
        out.show(error.check)
        return Exit.REFUSED
    if dry_run:
        out.show(proposal)
        return Exit.DONE
    out.note(proposal)
    out.confirm(f"Put this in force on {stack.name} ({stack.environment})?", yes)
    out.show(stack.policies.set(proposal, document, stack.operator))
    return Exit.DONE


@command(policy)
def history(context: Context) -> Exit:
    """List every version that was set, the newest first."""
    context.out.show(context.stack.policies.history())
    return Exit.DONE


def pause(context: Context, organization: OrganizationOption = None) -> Exit:
    """Pause calls: no one is dialled any more within 10 seconds.

    Calls in progress go on. Requests wait, and keep expiring.
    """
    return _pause(context, True, organization)


def resume(context: Context, organization: OrganizationOption = None) -> Exit:
    """Resume calls that were paused. What waits is dialled, as policy allows it."""
    return _pause(context, False, organization)


def _pause(context: Context, paused: bool, organization: str | None) -> Exit:
    stack = context.stack
    context.out.show(Pausing(stack.policies, stack.records).set_paused(paused, organization, stack.operator))
    return Exit.DONE


@render.register
def _(result: PolicyCheck) -> RenderableType:
    verdict = Text("valid", "green") if result.valid else Text("not valid: it would change nothing", "bold red")
    errors = Table("field", "rule", box=None)
    for error in result.errors:
        errors.add_row(error.field, error.rule)
    return Group(verdict, *([errors] if result.errors else []), *_warnings(result.warnings))


def _warnings(warnings: list[str]) -> list[Text]:
    return [Text(f"warning: {warning}", "yellow") for warning in warnings]


@render.register
def _(document: CallingPolicy) -> RenderableType:
    return Text(json.dumps(document.wire(), indent=2, ensure_ascii=False))


@render.register
def _(policy: PolicyInForce) -> RenderableType:
    set_ = f"version {policy.version}, set at {policy.set_at} by {policy.set_by}" if policy.version else "never set"
    lines = [Text(f"{set_}; it is based on the preset {policy.preset}")]
    if policy.paused:
        lines.append(Text(f"paused: {', '.join(policy.paused)}", "bold red"))
    if policy.holidays_until:
        lines.append(Text(f"holidays are known until {policy.holidays_until}"))
    return Group(*lines)


@render.register
def _(history: PolicyHistory) -> RenderableType:
    table = Listing([">version", "set at"], long="preset, set by, paused")
    for each in history.versions:
        paused = f"  paused: {', '.join(each.paused)}" if each.paused else ""
        table.add(str(each.version), each.set_at or "", long=f"{each.preset}  {each.set_by}{paused}")
    heading = Text(counted(len(history.versions), "version"), "bold")
    return Group(heading, table) if len(table) else heading


@render.register
def _(changes: PolicyChanges) -> RenderableType:
    if changes.nothing:
        return Text("It means the same as what is in force.")
    lines: list[Text] = []
    for title, style, words in (
        ("Becomes allowed:", "bold red", changes.allowed),
        ("Becomes forbidden:", "bold yellow", changes.forbidden),
        ("Changes otherwise:", "bold", changes.other),
    ):
        if words:
            lines += [Text(title, style), *(Text(f"  {each}") for each in words)]
    return Group(*lines)


@render.register
def _(proposal: Proposal) -> RenderableType:
    replaced = Text(f"It replaces version {proposal.replaces}." if proposal.replaces else "It is the first one.")
    return Group(render(proposal.changes), *_warnings(proposal.warnings), replaced)


@render.register
def _(result: PolicySet) -> RenderableType:
    return Text(f"version {result.version} is set; in force everywhere at {result.in_force_everywhere_at}", "green")


@render.register
def _(report: PauseReport) -> RenderableType:
    whose = f" of organization {report.organization}" if report.organization else ""
    word = "paused" if report.paused else "resumed"
    when = f"in force everywhere at {report.in_force_everywhere_at}" if report.changed else "nothing has changed"
    lines = [Text(f"calls{whose} are {word} (version {report.version}); {when}", "bold")]
    least = "at least " if report.at_least else ""
    if report.paused:
        lines.append(Text(f"{least}{report.in_progress:,} calls in progress go on"))
        lines.append(
            Text(f"{least}{report.waiting:,} requests wait; a pause doesn't stop the clock by which they expire")
        )
    elif report.still_paused:
        lines.append(Text(f"still paused: {', '.join(report.still_paused)}", "bold red"))
    else:
        lines.append(Text(f"{least}{report.waiting:,} requests wait, and are dialled as policy allows it"))
    return Group(*lines, *_warnings(report.warnings))
