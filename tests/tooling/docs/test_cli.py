"""docs/operate/command.md describes the command as it is."""

import re
import shlex

import pytest
from typer.main import get_command

from calls.cli.app import app
from calls.cli.output import Exit
from calls.operations.requests_file import COLUMNS
from outbound_calls.domain.attempts import RequestKey
from tests.tooling.docs.markdown import code, fences, read, table

COMMANDS = dict(get_command(app).commands)  # type: ignore[attr-defined]
PAGES = ("docs/operate/command.md", "docs/operate/runbook.md", "README.md")


def lines(page: str) -> list[list[str]]:
    """The command lines in a page's code blocks and sentences, each without `calls` itself."""
    found = [line for block in fences(page, "sh") for line in block.splitlines()] + code(page)
    words = [shlex.split(line, comments=True) for line in found if re.match(r"(\S*/)?calls [a-z]", line)]
    return [each[1:] for each in words]


def options_of(name: str) -> set[str]:
    return {option for parameter in COMMANDS[name].params for option in parameter.opts if option.startswith("--")}


@pytest.mark.parametrize("page", PAGES)
def test_documented_commands_and_options_exist(page: str) -> None:
    documented = lines(read(page))

    assert documented
    for name, *rest in documented:
        assert name in COMMANDS, name
        assert {word for word in rest if word.startswith("--")} <= options_of(name) | {"--help"}, rest


@pytest.mark.parametrize("line", lines(read("docs/operate/command.md")), ids=" ".join)
def test_the_examples_are_valid_command_lines(line: list[str]) -> None:
    name, *arguments = line

    context = COMMANDS[name].make_context(name, [*arguments, "--stack", "any"])

    RequestKey.from_text(context.params.get("request_id") or "none")


def test_every_command_has_an_example() -> None:
    assert {line[0] for line in lines(read("docs/operate/command.md"))} == COMMANDS.keys()


def test_every_option_has_a_help_text() -> None:
    for name, command in COMMANDS.items():
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_the_exit_codes_are_documented() -> None:
    assert [name for name, _ in table(read("docs/operate/command.md"), "exit code")] == [
        f"`{code.value}`" for code in Exit
    ]
    for exit_code in Exit:
        assert f"{exit_code.value} " in str(app.info.epilog)


def test_the_columns_of_a_file_are_documented() -> None:
    assert set(COLUMNS) <= set(code(read("docs/operate/command.md")))
