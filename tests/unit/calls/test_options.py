"""Command line options, and the errors for wrong ones."""

import json
import subprocess
from datetime import UTC, datetime

import pytest
import typer
from typer.main import get_command

from calls.cli.app import app, main
from calls.cli.command import run
from calls.cli.options import message_from_options, read_since
from calls.cli.output import Exit
from local.cloud import ROOT

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds_ago"),
    [
        ("90s", 90),
        ("5m", 300),
        ("2h", 7200),
        ("3d", 3 * 86_400),
        ("2026-12-01", 12 * 3600),
        ("2026-12-01T09:30Z", 9000),
        ("2026-12-01T09:30", 9000),
        ("2026-12-01T12:30+02:00", 5400),
    ],
)
def test_since_takes_a_duration_or_a_date(text: str, seconds_ago: int) -> None:
    assert read_since(text, NOW) == NOW - seconds_ago


@pytest.mark.parametrize("text", ["", "yesterday", "2 h", "-2h", "h"])
def test_since_takes_nothing_else(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_since(text, NOW)


def test_options_make_the_same_message_as_a_row() -> None:
    message = message_from_options(
        *("a-1", "+15005550100", None, None, "Ada", "reminder", "America/Toronto"),
        ["date=2026-12-01", "note=a=b"],
        [],
    )

    assert json.loads(str(message)) == {
        "requestId": "a-1",
        "phoneNumber": "+15005550100",
        "customerName": "Ada",
        "purpose": "reminder",
        "timeZone": "America/Toronto",
        "dynamicVariables": {"date": "2026-12-01", "note": "a=b"},
    }
    assert message_from_options(None, None, None, None, None, None, None, None, None) is None


@pytest.mark.parametrize("pair", ["date", "=x", ""])
def test_a_variable_needs_a_name_and_a_value(pair: str) -> None:
    with pytest.raises(typer.BadParameter):
        message_from_options(None, "+15005550100", None, None, None, None, None, [pair], None)


def test_every_option_and_exit_code_has_a_help_text() -> None:
    commands = dict(get_command(app).commands)  # type: ignore[attr-defined]
    without = [(name, each.name) for name, command in commands.items() for each in command.params if not each.help]

    assert without == []
    assert [code for code in Exit if f"{code.value} " not in str(app.info.epilog)] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["show"],
        ["show", "a-1"],
        ["place", "a.csv", "+15145550199", "--stack", "s"],
        ["nonsense"],
        ["resolve", "a-1", "--as", "+15145550199", "--stack", "s"],
    ],
)
def test_usage_errors_contain_no_phone_number(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CALLS_STACK", raising=False)

    assert main(arguments) == Exit.USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("calls: ")
    assert "0199" not in printed.err

    assert main([*arguments, "--json"]) == Exit.USAGE
    printed = capsys.readouterr()
    assert json.loads(printed.out)["error"]["exitCode"] == 2
    assert printed.err == ""
    assert "0199" not in printed.out


def test_unexpected_errors_contain_no_personal_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise KeyError("+15145550199")

    assert run(app, []) == Exit.UNREACHABLE
    printed = capsys.readouterr()
    assert "KeyError at" in printed.err
    assert "0199" not in printed.err


@pytest.mark.parametrize("launcher", [[".venv/bin/calls"], [".venv/bin/uv", "run", "--offline", "calls"]])
def test_the_command_runs_from_a_clone_and_leaves_no_files(launcher: list[str]) -> None:
    # Without a VIRTUAL_ENV or PYTHONPATH of the shell that runs the tests.
    printed = subprocess.run(
        [ROOT / launcher[0], *launcher[1:], "--help"],
        cwd=ROOT / "docs",
        env={"PATH": "/usr/bin:/bin", "HOME": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "resolve" in printed.stdout
    assert not (ROOT / "uv.lock").exists()
