"""The configuration file, and what wins over it."""

from pathlib import Path

import pytest

from calls.cli.app import main
from calls.cli.output import Exit
from calls.cli.settings import Settings, UnreadableSettings, read_settings

TEXT = 'stack = "calls-prod"\nprofile = "clinic"\nregion = "ca-central-1"\nendpoint_url = "http://127.0.0.1:1"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "calls").mkdir()
    return tmp_path / "calls/config.toml"


def test_the_file_is_found_in_the_configuration_folder(file: Path) -> None:
    file.write_text(TEXT)

    found = read_settings({"XDG_CONFIG_HOME": str(file.parent.parent)})

    assert found == Settings(file, "calls-prod", "clinic", "ca-central-1", "http://127.0.0.1:1")


def test_without_a_file_there_are_no_settings_and_their_place_is_known(tmp_path: Path) -> None:
    assert read_settings({"HOME": str(tmp_path)}) == Settings(tmp_path / ".config/calls/config.toml")


@pytest.mark.parametrize(
    ("variable", "field"),
    [
        ("AWS_PROFILE", "profile"),
        ("AWS_REGION", "region"),
        ("AWS_DEFAULT_REGION", "region"),
        ("AWS_ENDPOINT_URL", "endpoint_url"),
    ],
)
def test_the_environment_wins(file: Path, variable: str, field: str) -> None:
    file.write_text(TEXT)

    found = read_settings({"CALLS_CONFIG": str(file), variable: "other"})

    assert getattr(found, field) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [("stack =", "not TOML"), ("stak = 'a'", "stak: it takes the texts stack, profile"), ("stack = 1", "stack: ")],
)
def test_a_file_that_can_not_be_used_is_named_with_the_reason(file: Path, text: str, reason: str) -> None:
    file.write_text(text)

    with pytest.raises(UnreadableSettings, match=reason) as error:
        read_settings({"CALLS_CONFIG": str(file)})
    assert str(file) in str(error.value)


def test_a_file_that_is_named_must_be_there(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALLS_CONFIG", str(file))
        code = main(["list"])

    assert (code, "no such file" in capsys.readouterr().err) == (Exit.REFUSED, True)


def test_the_stack_comes_from_the_file_and_a_profile_that_is_not_there_is_an_error(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALLS_CONFIG", str(file))
        patch.delenv("CALLS_STACK", raising=False)
        patch.delenv("AWS_PROFILE", raising=False)
        file.write_text("")
        unnamed = main(["list"]), capsys.readouterr().err
        file.write_text('stack = "calls-prod"\nprofile = "not-there"\n')
        named = main(["list"]), capsys.readouterr().err

    assert (unnamed[0], "--stack" in unnamed[1], str(file) in unnamed[1]) == (Exit.USAGE, True, True)
    assert (named[0], "not-there" in named[1]) == (Exit.UNREACHABLE, True)
