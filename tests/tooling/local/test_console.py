"""The console that `make local` opens: its address is found, it ends with the stack, and nothing it does can fail."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from local.console import open_browser, running_until_closed, wants_browser

URL = "http://127.0.0.1:8123/?token=a-token"


def a_console(folder: Path) -> list[str]:
    """Prints the address and then runs until it is stopped. Its process id is in the file `pid`."""
    program = (
        f"import os, pathlib, time; pathlib.Path({str(folder / 'pid')!r}).write_text(str(os.getpid())); "
        f"print({URL!r}, flush=True); time.sleep(60)"
    )
    return [sys.executable, "-c", program]


def test_its_address_is_found_and_it_ends_with_the_stack(tmp_path: Path) -> None:
    with running_until_closed(a_console(tmp_path), os.environ, 20) as url:
        assert url == URL

    process = Path(f"/proc/{(tmp_path / 'pid').read_text()}")
    deadline = time.monotonic() + 5
    while process.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not process.exists()


@pytest.mark.parametrize("program", ["print('no console')", "import sys; sys.exit(1)", "print('x' * 9)"])
def test_a_console_without_an_address_is_no_error(program: str) -> None:
    with running_until_closed([sys.executable, "-c", program], os.environ, 20) as url:
        assert url is None


@pytest.mark.parametrize(
    ("variables", "platform", "opens"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"BROWSER": "firefox"}, "linux", True),
        ({}, "darwin", True),
        ({"DISPLAY": ":0", "NO_BROWSER": "1"}, "linux", False),
        ({"NO_BROWSER": "1"}, "darwin", False),
    ],
)
def test_a_browser_is_opened_where_there_is_one_unless_it_is_not_wanted(
    variables: dict[str, str], platform: str, opens: bool
) -> None:
    assert wants_browser(variables, platform) is opens


def test_a_browser_that_can_not_be_opened_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", "/no/such/browser")

    open_browser(URL)
