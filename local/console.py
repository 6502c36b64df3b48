"""The console on a local stack, for as long as `make local` runs."""

import os
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from local.child_process import ChildProcess
from local.environment import LocalEnvironment
from local.sam import ROOT

START_SECONDS = 20.0


@contextmanager
def running_console(environment: LocalEnvironment) -> Iterator[str | None]:
    """Run the console while the context is open; yields the address that lets a browser in, None if there is none."""
    cloud = environment.cloud
    stack = ("--stack", environment.stack.name, "--endpoint-url", cloud.endpoint_url)
    variables = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ} | {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'layers/outbound_calls'}",
        "AWS_ACCESS_KEY_ID": cloud.account,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": cloud.region,
    }
    with running_until_closed([sys.executable, "-m", "calls", "console", *stack], variables, START_SECONDS) as url:
        yield url


@contextmanager
def running_until_closed(command: Sequence[str], variables: Mapping[str, str], seconds: float) -> Iterator[str | None]:
    """Run a command while the context is open; yields the URL that it prints first, None where it doesn't in time."""
    with tempfile.TemporaryDirectory(prefix="calls-console-") as folder:
        log = Path(folder) / "log"
        child = ChildProcess(command, environment=variables, folder=ROOT, log=log)
        try:
            yield _url(child, log, seconds)
        finally:
            child.stop()


def _url(child: ChildProcess, log: Path, seconds: float) -> str | None:
    deadline = time.monotonic() + seconds
    while child.running() and time.monotonic() < deadline:
        first, newline, _ = log.read_text().partition("\n")
        if newline and first.startswith("http://127.0.0.1:"):
            return first
        time.sleep(0.1)
    return None


def wants_browser(variables: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether to open a browser: where there is a display or one is named, unless NO_BROWSER is set."""
    if variables.get("NO_BROWSER"):
        return False
    return platform == "darwin" or any(variables.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))


def open_browser(url: str) -> None:
    """Open the page, without waiting for the browser. A browser that fails stops nothing."""

    def opened() -> None:
        with suppress(Exception):
            webbrowser.open(url)

    threading.Thread(target=opened, daemon=True).start()
