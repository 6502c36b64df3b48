"""The pages give commands of `calls` that exist, with options that exist."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from calls.cli.app import app
from calls.cli.output import Exit
from calls.operations.do_not_call import COLUMNS
from calls.operations.requests_file import REQUESTS
from tests.tooling.docs.markdown import PAGES, PROJECT, code, fences, read, table

COMMANDS = {
    f"{name} {inner}".strip(): each
    for name, command in get_command(app).commands.items()  # type: ignore[attr-defined]
    for inner, each in getattr(command, "commands", {"": command}).items()
}
GROUPS = {name.partition(" ")[0] for name in COMMANDS if " " in name}
PAGE = "docs/operate/command.md"


def lines(page: str, *, sentences: bool = True) -> list[list[str]]:
    """The commands on a page, in its blocks and in its sentences, each without `calls` itself."""
    found = [line for block in fences(page, "sh") for line in block.splitlines()] + (code(page) if sentences else [])
    given = [line.partition(" > ")[0] for line in found if re.match(r"(\S*/)?calls [a-z]", line)]
    words = [shlex.split(line, comments=True) for line in given]
    return [[" ".join(each[1:3]), *each[3:]] if " ".join(each[1:3]) in COMMANDS else each[1:] for each in words]


EXAMPLES = lines(read(PAGE)) + [line for path in PAGES for line in lines(path.read_text(), sentences=False)]


def options_of(name: str) -> set[str]:
    return {option for parameter in COMMANDS[name].params for option in parameter.opts if option.startswith("--")}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_the_commands_that_are_given_exist_with_their_options(path: Path) -> None:
    for name, *rest in lines(path.read_text()):
        assert name in COMMANDS.keys() | GROUPS, name
        options = {word for word in rest if word.startswith("--")}
        assert name in GROUPS or options <= options_of(name) | {"--help"}, rest


@pytest.mark.parametrize("line", EXAMPLES, ids=" ".join)
def test_an_example_is_a_valid_command_line(line: list[str]) -> None:
    name, *arguments = line

    stack = ["--stack", "any"] if "--stack" in options_of(name) else []
    COMMANDS[name].make_context(name, [*arguments, *stack])


def test_every_command_has_an_example() -> None:
    assert {line[0] for line in lines(read(PAGE))} == COMMANDS.keys()


def test_the_exit_codes_are_those_of_the_command() -> None:
    assert [name for name, _ in table(read(PAGE), "exit code")] == [f"`{each.value}`" for each in Exit]


def test_the_columns_are_those_of_a_file() -> None:
    assert {*REQUESTS.names, *COLUMNS.names} <= set(code(read(PAGE)))
