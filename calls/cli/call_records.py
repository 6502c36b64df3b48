"""`calls record`, `calls recording` and `calls transcript`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from calls.cli.command import Context
from calls.cli.options import OfOrganization
from calls.cli.output import Exit
from calls.cli.render import facts_table, render
from calls.operations.call_records import CallRecords, Kind, Language, RecordReport, SavedFile
from calls.operations.cancelling import request_key
from calls.operations.stack import DeployedStack
from outbound_calls.contracts.wire import MAX_ATTEMPT_NUMBER
from outbound_calls.domain.attempts import RequestKey

_RequestId = Annotated[str, typer.Argument(help="The request's id.")]
_File = Annotated[Path, typer.Argument(help="The new file.")]
_Attempt = Annotated[
    int | None, typer.Option(min=1, max=MAX_ATTEMPT_NUMBER, help="The attempt; by default the last one AlloMia took.")
]
_Force = Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")]


def record(
    context: Context,
    request_id: _RequestId,
    attempt: _Attempt = None,
    language: Annotated[Language, typer.Option(help="The language of the summary.")] = Language.ENGLISH,
    organization: OfOrganization = None,
) -> Exit:
    """Show AlloMia's record of a call.

    The outcome that its AI extracted, a summary, and why the call ended. AlloMia is asked; the stack keeps none of it.
    """
    records = _records(context.stack)
    context.out.show(records.record(request_key(request_id, organization), attempt, language))
    return Exit.DONE


def recording(
    context: Context,
    request_id: _RequestId,
    file: _File,
    attempt: _Attempt = None,
    force: _Force = False,
    organization: OfOrganization = None,
) -> Exit:
    """Fetch the recording of a call into a new file.

    Only you can read the file.
    """
    return _save(context, request_key(request_id, organization), attempt, Kind.RECORDING, file, force)


def transcript(
    context: Context,
    request_id: _RequestId,
    file: _File,
    attempt: _Attempt = None,
    force: _Force = False,
    organization: OfOrganization = None,
) -> Exit:
    """Fetch the transcript of a call into a new file.

    Only you can read the file.
    """
    return _save(context, request_key(request_id, organization), attempt, Kind.TRANSCRIPT, file, force)


def _records(stack: DeployedStack) -> CallRecords:
    return CallRecords(stack.table, stack.organizations, stack.parameters["AllomiaBaseUrl"])


def _save(context: Context, key: RequestKey, attempt: int | None, kind: Kind, file: Path, force: bool) -> Exit:
    with context.out.progress(f"bytes of the {kind}", 0) as progress:
        task = progress.task_ids[0]
        saved = _records(context.stack).save(
            key, attempt, kind, file, force, lambda done, total: progress.update(task, completed=done, total=total)
        )
    context.out.show(saved)
    return Exit.DONE


@render.register
def _(report: RecordReport) -> RenderableType:
    name = str(RequestKey(report.request_id, report.organization))
    offered = [kind for kind, there in (("recording", report.recording), ("transcript", report.transcript)) if there]
    facts = facts_table(
        [
            ("AlloMia's call", report.outbound_call_id),
            ("outcome", report.outcome),
            ("ended reason", report.ended_reason),
            ("call started", report.started_at),
            ("call ended", report.ended_at),
            ("duration", None if report.duration is None else f"{report.duration:g} s"),
            ("files", ", ".join(offered) or None),
            (f"summary ({report.language})", report.summary),
        ]
    )
    return Group(Text(f"{name}, attempt {report.attempt}", "bold"), facts)


@render.register
def _(saved: SavedFile) -> RenderableType:
    return Text(f"{saved.kind} saved to {saved.file} ({saved.size_bytes} bytes). Only you can read it.")
