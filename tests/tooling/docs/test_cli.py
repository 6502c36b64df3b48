"""docs/operate/command.md says what the command does."""

import re
import shlex

import pytest
from typer.main import get_command

from calls.app import app
from calls.output import Exit
from calls.requests_file import COLUMNS
from outbound_calls.contracts import read_request_id
from tests.tooling.docs.markdown import code, fences, read, table

COMMANDS = dict(get_command(app).commands)  # type: ignore[attr-defined]
PAGES = ("docs/operate/command.md", "docs/operate/runbook.md", "README.md")


def lines(page: str) -> list[list[str]]:
    """The commands that a page gives, in its blocks and in its sentences, each without `calls` itself."""
    found = [line for block in fences(page, "sh") for line in block.splitlines()] + code(page)
    words = [shlex.split(line, comments=True) for line in found if re.match(r"(\S*/)?calls [a-z]", line)]
    return [each[1:] for each in words]


def options_of(name: str) -> set[str]:
    return {option for parameter in COMMANDS[name].params for option in parameter.opts if option.startswith("--")}


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_that_are_given_exist_with_their_options(page: str) -> None:
    given = lines(read(page))

    assert given
    for name, *rest in given:
        assert name in COMMANDS, name
        assert {word for word in rest if word.startswith("--")} <= options_of(name) | {"--help"}, rest


@pytest.mark.parametrize("line", lines(read("docs/operate/command.md")), ids=" ".join)
def test_the_examples_are_command_lines_that_are_understood(line: list[str]) -> None:
    name, *arguments = line

    context = COMMANDS[name].make_context(name, [*arguments, "--stack", "any"])

    assert "request_id" not in context.params or read_request_id(context.params["request_id"] or "none")


def test_every_command_has_an_example() -> None:
    assert {line[0] for line in lines(read("docs/operate/command.md"))} == COMMANDS.keys()


def test_every_option_is_explained() -> None:
    for name, command in COMMANDS.items():
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_the_exit_codes_are_those_of_the_command() -> None:
    assert [name for name, _ in table(read("docs/operate/command.md"), "exit code")] == [
        f"`{code.value}`" for code in Exit
    ]
    for exit_code in Exit:
        assert f"{exit_code.value} " in str(app.info.epilog)


def test_the_columns_are_those_of_a_file() -> None:
    assert set(COLUMNS) <= set(code(read("docs/operate/command.md")))
