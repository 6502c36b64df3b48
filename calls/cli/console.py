"""`calls console`."""

import json
import webbrowser
from typing import Annotated

import typer

from calls.cli.command import Context
from calls.cli.options import ShowNumbers
from calls.cli.output import Exit
from calls.pages.report import Language


def console(
    context: Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; any that is free by default.")] = 0,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, and change nothing.")] = False,
    show_numbers: ShowNumbers = False,
    language: Annotated[Language, typer.Option(help="The language of the pages.")] = Language.ENGLISH,
    open_: Annotated[bool, typer.Option("--open", help="Open it in your browser.")] = False,
) -> Exit:
    """Run the console, a web page on this computer, until Ctrl-C.

    Shows what needs a person, what is in progress, what waits and until when, and today's results. Records outcomes,
    cancels, dials again, discards messages, pauses and resumes. Prints the address, which works on this computer only:
    its token lets a browser in, so don't pass it on.
    """
    # The other commands start without a web server.
    from calls.console.app import ConsoleOptions
    from calls.console.server import serve

    def started(url: str) -> None:
        typer.echo(json.dumps({"url": url}) if context.out.as_json else url)
        context.out.note("Ctrl-C ends it.")
        if open_:
            webbrowser.open(url)

    serve(context.stack, ConsoleOptions(read_only, show_numbers, language), port, started)
    return Exit.DONE
