"""`calls policy check` and `calls policy show`: they need neither a stack nor AWS."""

import json
from pathlib import Path
from typing import Any

import pytest

from calls.cli.app import main
from outbound_calls.contracts.vocabulary import Preset
from outbound_calls.policy.rules import preset_document


@pytest.fixture
def document(tmp_path: Path) -> Path:
    return tmp_path / "policy.json"


def check(document: Path, text: str, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any]]:
    document.write_text(text)
    code = main(["policy", "check", str(document), "--json", *options])
    return code, json.loads(capsys.readouterr().out)


def test_a_valid_document(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(document, '{"basedOn": "canada"}', capsys) == (0, {"valid": True, "errors": [], "warnings": []})


def test_every_error_is_named_by_field_and_rule(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, result = check(document, '{"paused": 1, "organizations": {"north": {"callingWindows": []}}}', capsys)

    assert (code, result["valid"]) == (1, False)
    assert {error["field"] for error in result["errors"]} == {"paused", "organizations.north.callingWindows"}
    assert all(error["rule"] for error in result["errors"])


@pytest.mark.parametrize("text", ["", "[]", '{"holidays": {"country": "XX"}}', '{"organisations": {}}'])
def test_what_can_not_be_set_is_not_valid(document: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, result = check(document, text, capsys)

    assert (code, result["valid"], len(result["errors"])) == (1, False, 1)


@pytest.mark.parametrize(
    ("text", "options", "warnings"),
    [
        ('{"redial": {"maxAttempts": 2, "onEndedReasons": {"customer-ended-call": [60]}}}', (), []),
        (
            '{"redial": {"maxAttempts": 2, "onEndedReasons": {"voicemail": [60]}}}',
            (),
            ["no call has ended with 'voicemail' yet"],
        ),
        ('{"maxAttemptsCeiling": 2, "redial": {"maxAttempts": 3}}', (), ["redial.maxAttempts 3 is limited"]),
        ("{}", ("--preset", "united-states-health-care"), ["without timeZone, toll-free numbers are rejected"]),
        ('{"recipientCaps": [{"calls": 1, "perDays": 1}]}', ("--preset", "open"), ["without timeZone, toll-free"]),
        (
            '{"organizations": {"boston": {"basedOn": "united-states-health-care"}}}',
            ("--preset", "open"),
            ["organization boston: without timeZone"],
        ),
    ],
)
def test_a_check_warns_of_what_may_not_mean_what_its_author_expects(
    document: Path, text: str, options: tuple[str, ...], warnings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, result = check(document, text, capsys, *options)

    assert (code, result["valid"], len(result["warnings"])) == (0, True, len(warnings))
    for found, expected in zip(result["warnings"], warnings, strict=True):
        assert found.startswith(expected)


def test_the_same_for_a_person(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document.write_text('{"paused": 1}')

    assert main(["policy", "check", str(document)]) == 1

    shown = capsys.readouterr().out
    assert "not valid" in shown
    assert "true or false" in shown


def test_a_file_that_does_not_exist(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "check", str(document)]) == 1
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize("preset", Preset)
def test_a_preset_is_shown_as_its_document(preset: Preset, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "show", "--preset", preset]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert main(["policy", "show", "--preset", preset, "--json"]) == 0

    assert shown == json.loads(capsys.readouterr().out) == preset_document(preset)
