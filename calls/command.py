"""What all commands have in common: the options that say which stack and how to answer, and how faults are told."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from calls.masking import mask_text
from calls.output import Exit, NotConfirmed, Output
from calls.requests_file import UnreadableFile
from calls.resolving import NotAllowed
from calls.stack import Aws, Deployed, NoSuchStack
from outbound_calls.contracts import InvalidInput
from outbound_calls.telemetry import describe


@dataclass(frozen=True, slots=True)
class Operator:
    """Who gives a command: the stack that is meant, and where the answer goes."""

    stack: Deployed
    out: Output


def _shared(
    stack: Annotated[
        str, typer.Option(envvar="CALLS_STACK", help="The stack's name, such as allomia-outbound-calls-prod.")
    ],
    endpoint_url: Annotated[str | None, typer.Option(help="Where the local cloud is, instead of AWS.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")] = False,
) -> Operator:
    """The options of every command."""
    return Operator(Deployed.find(stack, Aws(endpoint_url)), Output(json))


def command(app: typer.Typer, name: str | None = None) -> Callable[[Callable[..., Exit]], Callable[..., Exit]]:
    """Make a function a command of `app`: its first parameter is the `Operator`, made of the shared options."""

    def register(function: Callable[..., Exit]) -> Callable[..., Exit]:
        shared = inspect.signature(_shared).parameters
        _operator, *own = inspect.signature(function).parameters.values()
        options = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *shared.values())]

        @functools.wraps(function)
        def run(**given: Any) -> Exit:
            operator = _shared(**{option: given.pop(option) for option in shared})
            return function(operator, **given)

        run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in options}
        app.command(name)(run)
        return function

    return register


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run what was asked for; returns the exit code. Whatever goes wrong is told without a number or a name."""
    out = Output(as_json="--json" in arguments)
    try:
        return int(app(args=list(arguments), prog_name="calls", standalone_mode=False) or Exit.DONE)
    except typer.TyperException as error:
        return out.refuse(mask_text(error.format_message()), Exit.USAGE)
    except typer.Abort:
        return out.refuse("not confirmed: nothing was done", Exit.REFUSED)
    except (UnreadableFile, NotAllowed, NotConfirmed, InvalidInput) as error:
        return out.refuse(str(error), Exit.REFUSED)
    except OSError as error:
        return out.refuse(f"{error.filename}: {error.strerror}", Exit.REFUSED)
    except NoSuchStack as error:
        return out.refuse(str(error), Exit.OUT_OF_REACH)
    except ClientError as error:
        answer = error.response["Error"]
        return out.refuse(
            mask_text(f"{error.operation_name}: {answer.get('Code')}: {answer.get('Message')}"), Exit.OUT_OF_REACH
        )
    except BotoCoreError as error:
        return out.refuse(mask_text(f"AWS cannot be reached: {error}"), Exit.OUT_OF_REACH)
    except Exception as error:  # noqa: BLE001 - its text may hold what somebody's row holds
        return out.refuse(f"a fault of this command, or of the stack's version: {describe(error)}", Exit.OUT_OF_REACH)
