"""What people expect of a command: help, examples, a version, completion, and errors that say what was done."""

import json
import shlex

import pytest
import typer
from botocore import exceptions
from botocore.exceptions import BotoCoreError, ReadTimeoutError
from typer.main import get_command

from calls import version
from calls.cli.app import app, main
from calls.cli.command import run
from calls.cli.examples import EXAMPLES
from calls.cli.output import Exit
from calls.operations.placing import PlaceReport
from calls.operations.preflight import Preflight

COMMANDS = {
    f"{name} {inner}".strip(): each
    for name, found in get_command(app).commands.items()  # type: ignore[attr-defined]
    for inner, each in getattr(found, "commands", {"": found}).items()
}
SENT = PlaceReport(
    preflight=Preflight(rows=2, to_send=2, invalid=[], duplicate=[], known=[], similar=[], derived_ids=0), sent=2
)


def test_every_command_has_examples() -> None:
    assert EXAMPLES.keys() == COMMANDS.keys()
    assert [name for name, lines in EXAMPLES.items() if not lines] == []


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in EXAMPLES.items() for line in lines])
def test_an_example_is_a_valid_command_line(name: str, line: str) -> None:
    words = shlex.split(line)

    assert words[: 1 + len(name.split())] == ["calls", *name.split()]
    COMMANDS[name].make_context(name, words[1 + len(name.split()) :])


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_ends_with_the_examples(name: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), option]) == Exit.DONE

    lines = capsys.readouterr().out.splitlines()
    assert [f"    {line}" for line in EXAMPLES[name]] == lines[-len(EXAMPLES[name]) :]


def test_the_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == Exit.DONE
    assert capsys.readouterr().out == f"calls {version()}\n"


def test_a_shell_completes_commands_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    def completed(line: str) -> list[str]:
        words = line.split(" ")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("_CALLS_COMPLETE", "complete_bash")
            patch.setenv("COMP_WORDS", line)
            patch.setenv("COMP_CWORD", str(len(words) - 1))
            with pytest.raises(SystemExit):
                main([])
        return capsys.readouterr().out.split()

    assert completed("calls re") == [
        "resolve",
        "redrive",
        "republish",
        "report",
        "resume",
        "record",
        "recording",
    ]
    assert completed("calls report --language ") == ["en", "fr"]


# Faults.


def failing(fault: BaseException, known: bool) -> typer.Typer:
    """A command that sends two calls and then fails."""
    failing_app = typer.Typer(pretty_exceptions_enable=False)

    @failing_app.command()
    def place(context: typer.Context, as_json: bool = typer.Option(False, "--json")) -> None:
        if known:
            context.obj.out.known(lambda: SENT)
        raise fault

    return failing_app


SDK_FAULTS = [
    each
    for each in vars(exceptions).values()
    if isinstance(each, type) and issubclass(each, BotoCoreError) and issubclass(each, OSError)
]


@pytest.mark.parametrize("kind", SDK_FAULTS, ids=lambda kind: kind.__name__)
def test_a_network_fault_is_no_fault_of_a_file(kind: type[BotoCoreError], capsys: pytest.CaptureFixture[str]) -> None:
    fault = kind(endpoint_url="https://aws.example", proxy_url="https://proxy.example", error="broken")

    code = run(failing(fault, known=False), [])

    printed = capsys.readouterr().err
    assert (code, "AWS can't be reached" in printed, "None" in printed) == (Exit.UNREACHABLE, True, False)


def test_the_faults_of_the_sdk_that_look_like_those_of_a_file_are_known() -> None:
    assert "ReadTimeoutError" in [kind.__name__ for kind in SDK_FAULTS]


@pytest.mark.parametrize(
    ("fault", "code"),
    [(ReadTimeoutError(endpoint_url="a"), Exit.UNREACHABLE), (KeyboardInterrupt(), Exit.INTERRUPTED)],
    ids=["fault", "Ctrl-C"],
)
def test_what_was_done_before_a_fault_or_ctrl_c_is_reported(
    fault: BaseException, code: Exit, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(failing(fault, known=True), []) == code
    assert "2 of 2 sent" in capsys.readouterr().out

    assert run(failing(fault, known=True), ["--json"]) == code
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert (document["error"]["exitCode"], document["soFar"]["sent"], printed.err) == (code, 2, "")
