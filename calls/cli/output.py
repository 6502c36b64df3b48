"""Where a command writes: one JSON document on stdout, or the same values for a person to read.

Progress, questions and warnings go to stderr, so that stdout holds the result alone. Control characters are visible in
all of it.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from io import TextIOWrapper
from typing import TextIO, override

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.prompt import Confirm
from rich.text import Text

from calls.cli.render import render
from calls.cli.visible import visible, visible_json, visible_result
from outbound_calls.contracts.wire import WireModel

_FILE_WIDTH = 400
"""Of a pipe: no id is folded."""


class Exit(IntEnum):
    """The exit codes."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_ALL_SENT = 4
    TIMED_OUT = 5
    NEEDS_A_PERSON = 6
    INTERRUPTED = 130


class NotConfirmed(Exception):
    """The person answered no, or there is no terminal to ask on."""


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    return console


class _Question(Confirm):
    """A question that also takes the whole words."""

    @override
    def process_response(self, value: str) -> bool:
        words = {"yes": "y", "no": "n"}
        return super().process_response(words.get(value.strip().lower(), value))


@dataclass(frozen=True, slots=True)
class Output:
    """The output of one command."""

    as_json: bool
    stdout: Console = field(default_factory=lambda: _console(stderr=False))
    stderr: Console = field(default_factory=lambda: _console(stderr=True))
    stdin: TextIO = field(default_factory=lambda: sys.stdin)
    _known: list[Callable[[], WireModel]] = field(default_factory=list)

    def known(self, result: Callable[[], WireModel]) -> None:
        """Keep what is known before a fault or Ctrl-C, to be reported with it: what was sent stays sent.

        Until the result is shown.
        """
        self._known[:] = [result]

    def show(self, result: WireModel) -> None:
        """Print the command's result."""
        self._known.clear()
        if self.as_json:
            self._print_json(result.wire())
        else:
            self.stdout.print(_rendered(result))

    def show_one(self, result: WireModel) -> None:
        """Print one of many results at once: with --json, a document on a line."""
        if self.as_json:
            sys.stdout.write(visible_json(json.dumps(result.wire(), ensure_ascii=False)) + "\n")
            sys.stdout.flush()
        else:
            self.stdout.print(_rendered(result))

    def write(self, text: str) -> None:
        """Print a result that is for another program, such as CSV."""
        sys.stdout.write(text)

    def refuse(self, message: str, code: Exit) -> Exit:
        """Print why there is no result, or only what is known so far; returns the exit code."""
        known = [make() for make in self._known]
        self._known.clear()
        if self.as_json:
            so_far = {"soFar": known[0].wire()} if known else {}
            self._print_json({"error": {"message": message, "exitCode": int(code)}, **so_far})
        else:
            for result in known:
                self.stdout.print(_rendered(result))
            self.stderr.print(visible(f"calls: {message}"), style="red" if self.stderr.is_terminal else None)
        return code

    def note(self, what: WireModel | str) -> None:
        """Print something to read before the result; nothing with --json."""
        if not self.as_json:
            self.stderr.print(visible(what) if isinstance(what, str) else _rendered(what))

    def confirm(self, question: str, yes: bool, option: str = "--yes") -> None:
        """Ask, unless --yes (or another `option`) was given.

        Raises:
            NotConfirmed: When the answer is no, or there is no terminal to ask on.
        """
        if yes:
            return
        if self.as_json or not self.stdin.isatty():
            raise NotConfirmed(f"not confirmed: there is no terminal to ask on, so pass {option}")
        if not _Question.ask(Text(visible(question)), console=self.stderr, default=False, stream=self.stdin):
            raise NotConfirmed("not confirmed: nothing was done")

    @contextmanager
    def progress(self, words: str, total: int) -> Iterator[Progress]:
        """A progress bar on stderr. Its one task has the number 0."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.stderr, disable=not self.interactive) as progress:
            progress.add_task(words, total=total)
            yield progress

    @contextmanager
    def live(self) -> Iterator[Callable[[WireModel], None]]:
        """A live display of the last value on stderr; nothing without a terminal."""
        if not self.interactive:
            yield lambda _value: None
            return
        with Live(console=self.stderr, auto_refresh=False, transient=True) as live:
            yield lambda value: live.update(_rendered(value), refresh=True)

    @property
    def interactive(self) -> bool:
        """Whether a person is watching."""
        return self.stderr.is_terminal and not self.as_json

    def _print_json(self, value: object) -> None:
        sys.stdout.write(visible_json(json.dumps(value, indent=2, ensure_ascii=False)) + "\n")


def _rendered(result: WireModel) -> RenderableType:
    return render(visible_result(result))


def escape_what_the_terminal_lacks() -> None:
    """Let a terminal or a pipe that lacks a character get its escape, rather than an error after the work is done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
