"""Words of the command line, and what goes wrong in them."""

import json
import subprocess
from datetime import UTC, datetime

import pytest
import typer

from calls.app import main
from calls.command import run
from calls.options import message_of, read_since
from calls.output import Exit
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
def test_since_is_a_while_ago_or_a_date(text: str, seconds_ago: int) -> None:
    assert read_since(text, NOW) == NOW - seconds_ago


@pytest.mark.parametrize("text", ["", "yesterday", "2 h", "-2h", "h"])
def test_other_words_are_no_time(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_since(text, NOW)


def test_options_make_the_message_that_a_row_would() -> None:
    message = message_of("a-1", "+15005550100", None, None, "Ada", ["date=2026-12-01", "note=a=b"], [])

    assert json.loads(str(message)) == {
        "requestId": "a-1",
        "phoneNumber": "+15005550100",
        "customerName": "Ada",
        "dynamicVariables": {"date": "2026-12-01", "note": "a=b"},
    }
    assert message_of(None, None, None, None, None, None, None) is None


@pytest.mark.parametrize("pair", ["date", "=x", ""])
def test_a_variable_is_a_name_and_a_value(pair: str) -> None:
    with pytest.raises(typer.BadParameter):
        message_of(None, "+15005550100", None, None, None, [pair], None)


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
def test_a_wrong_command_line_is_told_without_a_number(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CALLS_STACK", raising=False)

    assert main(arguments) == Exit.USAGE
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("calls: ")
    assert "0199" not in told.err

    assert main([*arguments, "--json"]) == Exit.USAGE
    told = capsys.readouterr()
    assert json.loads(told.out)["error"]["exitCode"] == 2
    assert told.err == ""
    assert "0199" not in told.out


def test_a_fault_of_the_command_is_told_without_what_a_row_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = typer.Typer()

    @app.command()
    def stumble() -> None:
        raise KeyError("+15145550199")

    assert run(app, []) == Exit.OUT_OF_REACH
    told = capsys.readouterr()
    assert "KeyError at" in told.err
    assert "0199" not in told.err


@pytest.mark.parametrize("launcher", [[".venv/bin/calls"], [".venv/bin/uv", "run", "--offline", "calls"]])
def test_the_command_runs_from_a_clone_and_leaves_nothing_there(launcher: list[str]) -> None:
    # A VIRTUAL_ENV or a PYTHONPATH of the one who runs the tests must not be what makes it run.
    told = subprocess.run(
        [ROOT / launcher[0], *launcher[1:], "--help"],
        cwd=ROOT / "docs",
        env={"PATH": "/usr/bin:/bin", "HOME": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "resolve" in told.stdout
    assert not (ROOT / "uv.lock").exists()
