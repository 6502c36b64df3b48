"""What a command tells: one JSON document on stdout, or the same values for a person to read.

Progress, questions and warnings go to stderr, so that stdout holds the answer alone.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.prompt import Confirm
from rich.text import Text

from calls.render import render
from outbound_calls.contracts import Wire

_WIDTH_OF_A_FILE = 140


class Exit(IntEnum):
    """The exit codes."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    OUT_OF_REACH = 3
    NOT_ALL_SENT = 4
    TIMED_OUT = 5
    NEEDS_A_PERSON = 6


class NotConfirmed(Exception):
    """The person said no, or could not be asked."""


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    return console


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command tells what it has to tell."""

    as_json: bool
    stdout: Console = field(default_factory=lambda: _console(stderr=False))
    stderr: Console = field(default_factory=lambda: _console(stderr=True))

    def show(self, result: Wire) -> None:
        """The command's answer."""
        if self.as_json:
            self._print_json(result.wire())
        else:
            self.stdout.print(render(result))

    def refuse(self, message: str, code: Exit) -> Exit:
        """Why there is no answer."""
        if self.as_json:
            self._print_json({"error": {"message": message, "exitCode": int(code)}})
        else:
            self.stderr.print(f"calls: {message}", style="red" if self.stderr.is_terminal else None)
        return code

    def note(self, what: Wire | str) -> None:
        """Something to read before the answer; nothing where a program reads."""
        if not self.as_json:
            self.stderr.print(what if isinstance(what, str) else render(what))

    def confirm(self, question: str, yes: bool) -> None:
        """Ask, unless the answer was given with --yes.

        Raises:
            NotConfirmed: when the answer is no, or nobody is there to give one.
        """
        if yes:
            return
        if self.as_json or not sys.stdin.isatty():
            raise NotConfirmed("not confirmed: nobody can be asked here, so say --yes")
        if not Confirm.ask(Text(question), console=self.stderr, default=False):
            raise NotConfirmed("not confirmed: nothing was done")

    @contextmanager
    def progress(self, words: str, total: int) -> Iterator[Progress]:
        """A bar on stderr, while something goes on; its one task has the number 0."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.stderr, disable=not self.is_watched) as progress:
            progress.add_task(words, total=total)
            yield progress

    @contextmanager
    def live(self) -> Iterator[Callable[[Wire], None]]:
        """A picture on stderr that shows the last value it was given; none where nobody watches."""
        if not self.is_watched:
            yield lambda _value: None
            return
        with Live(console=self.stderr, auto_refresh=False, transient=True) as live:
            yield lambda value: live.update(render(value), refresh=True)

    @property
    def is_watched(self) -> bool:
        """Whether a person sees what goes on."""
        return self.stderr.is_terminal and not self.as_json

    def _print_json(self, value: object) -> None:
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
