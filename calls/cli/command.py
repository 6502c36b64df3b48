"""What all commands share: the options for the stack and the output, and how errors are reported."""

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError

from calls.cli.examples import help_examples
from calls.cli.output import Exit, NotConfirmed, Output, escape_what_the_terminal_lacks
from calls.cli.settings import Settings, UnreadableSettings, read_settings
from calls.operations.call_records import AllomiaUnavailable
from calls.operations.masking import mask_text
from calls.operations.requests_file import UnreadableFile
from calls.operations.resolving import NotAllowed
from calls.operations.stack import DeployedStack, NoSuchStack, aws_clients
from outbound_calls.adapters.conditional_writes import WriteUnanswered
from outbound_calls.adapters.secrets import SecretUnusable
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.runtime.telemetry import describe


@dataclass(frozen=True, slots=True)
class Context:
    """What a command works on: the stack, and the output."""

    stack: DeployedStack
    out: Output


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of the command: its output, the settings, and the session that a test passes in."""

    out: Output
    settings: Settings
    session: boto3.Session | None = None


StackName = Annotated[
    str | None,
    typer.Option("--stack", envvar="CALLS_STACK", help="The stack's name, such as allomia-outbound-calls-prod."),
]
Profile = Annotated[str | None, typer.Option("--profile", help="The profile of the AWS credentials.")]
EndpointUrl = Annotated[str | None, typer.Option(help="The endpoint of the local cloud, instead of AWS.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def find_stack(
    context: typer.Context, name: str | None, endpoint_url: str | None, profile: str | None = None
) -> DeployedStack:
    """The stack with this name. What isn't given comes from the settings.

    Raises:
        BadParameter: When no stack is named.
        NoSuchStack: When there is none with this name.
    """
    run: Invocation = context.obj
    stack = name or run.settings.stack
    if stack is None:
        raise typer.BadParameter(f"name the stack: with --stack, in CALLS_STACK, or in {run.settings.path}")
    session = run.session or boto3.Session(
        profile_name=profile or run.settings.profile, region_name=run.settings.region
    )
    return DeployedStack.find(stack, aws_clients(session, endpoint_url or run.settings.endpoint_url))


def _shared(
    context: typer.Context,
    stack: StackName = None,
    profile: Profile = None,
    endpoint_url: EndpointUrl = None,
    json: Json = False,  # noqa: ARG001 - `run` has read it, for errors too
) -> Context:
    """The options of every command."""
    return Context(find_stack(context, stack, endpoint_url, profile), context.obj.out)


def command(app: typer.Typer, name: str | None = None) -> Callable[[Callable[..., Exit]], Callable[..., Exit]]:
    """Make a function a command of `app`: its first parameter is the `Context`, made from the shared options."""

    def register(function: Callable[..., Exit]) -> Callable[..., Exit]:
        shared = inspect.signature(_shared).parameters
        _context, *own = inspect.signature(function).parameters.values()
        options = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *shared.values())]

        @functools.wraps(function)
        def run(**given: Any) -> Exit:
            context = _shared(**{option: given.pop(option) for option in shared})
            return function(context, **given)

        run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in options}
        app.command(name, epilog=help_examples(app, name or function.__name__))(run)
        return function

    return register


def run(app: typer.Typer, arguments: Sequence[str], session: boto3.Session | None = None) -> int:
    """Run a command; returns the exit code. No error message contains a phone number or a name.

    Credentials come from the session, or else from the profile or the environment, as boto3 finds them.
    """
    escape_what_the_terminal_lacks()
    out = Output(as_json="--json" in arguments)
    try:
        invocation = Invocation(out, read_settings(os.environ), session)
        code = app(args=list(arguments), prog_name="calls", standalone_mode=False, obj=invocation)
        # What typer makes of Ctrl-C.
        return out.refuse("interrupted", Exit.INTERRUPTED) if code == Exit.INTERRUPTED else int(code or Exit.DONE)
    except typer.TyperException as error:
        return out.refuse(mask_text(error.format_message()), Exit.USAGE)
    except typer.Abort:
        return out.refuse("not confirmed: nothing was done", Exit.REFUSED)
    except (UnreadableFile, UnreadableSettings, NotAllowed, NotConfirmed, InvalidInput) as error:
        return out.refuse(str(error), Exit.REFUSED)
    except (NoSuchStack, AllomiaUnavailable) as error:
        return out.refuse(str(error), Exit.UNREACHABLE)
    except SecretUnusable as error:
        return out.refuse(f"NumberHashSecret: {error}", Exit.UNREACHABLE)
    except ClientError as error:
        answer = error.response["Error"]
        return out.refuse(
            mask_text(f"{error.operation_name}: {answer.get('Code')}: {answer.get('Message')}"), Exit.UNREACHABLE
        )
    except WriteUnanswered:
        words = "DynamoDB didn't say whether it made the change: look at the call before you run the command again"
        return out.refuse(words, Exit.UNREACHABLE)
    except BotoCoreError as error:
        return out.refuse(mask_text(f"AWS can't be reached: {error}"), Exit.UNREACHABLE)
    # After those of the SDK, of which some are an OSError too.
    except OSError as error:
        return out.refuse(": ".join(str(each) for each in (error.filename, error.strerror) if each), Exit.REFUSED)
    except Exception as error:  # noqa: BLE001 - its text may hold a person's data
        return out.refuse(f"a bug, or a stack of another version: {describe(error)}", Exit.UNREACHABLE)
