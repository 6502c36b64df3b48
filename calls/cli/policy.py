"""`calls policy`: read and check policy documents. Needs no stack."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from calls.cli.output import Exit, Output
from calls.cli.render import render
from calls.operations.policy_files import PolicyCheck, check_policy
from outbound_calls.contracts.policy import CallingPolicy
from outbound_calls.contracts.vocabulary import Preset
from outbound_calls.policy.rules import preset_document

policy = typer.Typer(
    help="When, how often and how many at once: the calling policy.", no_args_is_help=True, rich_markup_mode=None
)

PresetOption = Annotated[Preset, typer.Option("--preset", help="A preset.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@policy.command()
def check(
    file: Annotated[Path, typer.Argument(help="A policy document, JSON.")],
    preset: PresetOption = Preset.CANADA,
    as_json: Json = False,
) -> Exit:
    """Check a policy document: print each field that breaks its rule, and what may not mean what you expect.

    --preset is the one that the stack uses where the document names none.
    """
    result = check_policy(file.read_bytes(), datetime.now(UTC).date(), preset)
    Output(as_json).show(result)
    return Exit.DONE if result.valid else Exit.REFUSED


@policy.command()
def show(preset: PresetOption, as_json: Json = False) -> Exit:
    """Show the document of a preset."""
    Output(as_json).show(CallingPolicy.model_validate(preset_document(preset)))
    return Exit.DONE


@render.register
def _(result: PolicyCheck) -> RenderableType:
    verdict = Text("valid", "green") if result.valid else Text("not valid: it would change nothing", "bold red")
    errors = Table("field", "rule", box=None)
    for error in result.errors:
        errors.add_row(error.field, error.rule)
    warnings = [Text(f"warning: {warning}", "yellow") for warning in result.warnings]
    return Group(verdict, *([errors] if result.errors else []), *warnings)


@render.register
def _(document: CallingPolicy) -> RenderableType:
    return Text(json.dumps(document.wire(), indent=2, ensure_ascii=False))
