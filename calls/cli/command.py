"""What all commands share: the options for the stack and the output, and how errors are reported."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError

from calls.cli.output import Exit, NotConfirmed, Output, escape_what_the_terminal_lacks
from calls.operations.call_records import AllomiaUnavailable
from calls.operations.masking import mask_text
from calls.operations.requests_file import UnreadableFile
from calls.operations.resolving import NotAllowed
from calls.operations.stack import DeployedStack, NoSuchStack, aws_clients
from outbound_calls.adapters.calls_table import WriteUnanswered
from outbound_calls.adapters.secrets import SecretUnusable
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.runtime.telemetry import describe


@dataclass(frozen=True, slots=True)
class Context:
    """What a command works on: the stack, and the output."""

    stack: DeployedStack
    out: Output


EndpointUrl = Annotated[str | None, typer.Option(help="The endpoint of the local cloud, instead of AWS.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def find_stack(context: typer.Context, name: str, endpoint_url: str | None) -> DeployedStack:
    """The stack with this name, by the session that the command runs with.

    Raises:
        NoSuchStack: When there is none.
    """
    return DeployedStack.find(name, aws_clients(context.obj, endpoint_url))


def _shared(
    context: typer.Context,
    stack: Annotated[
        str, typer.Option(envvar="CALLS_STACK", help="The stack's name, such as allomia-outbound-calls-prod.")
    ],
    endpoint_url: EndpointUrl = None,
    json: Json = False,
) -> Context:
    """The options of every command."""
    return Context(find_stack(context, stack, endpoint_url), Output(json))


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
        app.command(name)(run)
        return function

    return register


def run(app: typer.Typer, arguments: Sequence[str], session: boto3.Session | None = None) -> int:
    """Run a command; returns the exit code. No error message contains a phone number or a name.

    Credentials come from the session, or else from the environment, as boto3 finds them.
    """
    escape_what_the_terminal_lacks()
    out = Output(as_json="--json" in arguments)
    try:
        code = app(args=list(arguments), prog_name="calls", standalone_mode=False, obj=session or boto3.Session())
        return int(code or Exit.DONE)
    except typer.TyperException as error:
        return out.refuse(mask_text(error.format_message()), Exit.USAGE)
    except typer.Abort:
        return out.refuse("not confirmed: nothing was done", Exit.REFUSED)
    except (UnreadableFile, NotAllowed, NotConfirmed, InvalidInput) as error:
        return out.refuse(str(error), Exit.REFUSED)
    except OSError as error:
        return out.refuse(f"{error.filename}: {error.strerror}", Exit.REFUSED)
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
    except Exception as error:  # noqa: BLE001 - its text may hold a person's data
        return out.refuse(f"a bug, or a stack of another version: {describe(error)}", Exit.UNREACHABLE)
