"""What the tests take from the machine and shell that start them: as little as possible.

Signals, environment variables, the time zone and the home folder are set here, once, before any test module is
imported. Tests and the processes they start then see the same on a laptop, in CI and under `nohup`.
"""

import atexit
import os
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

_KEPT = re.compile(
    r"PATH|TMPDIR|CI|PYTEST_.*|COVERAGE_.*|COV_CORE_.*|HYPOTHESIS_.*|PROOF_SEED|UV_.*|TESTS_.*", re.DOTALL
)
"""The variables that tests may see as they are: where programs are, and settings of the test tools themselves."""

_HOME = "TESTS_HOME"


def variables(given: Mapping[str, str], home: str) -> dict[str, str]:
    """The environment for tests, made from the given one and an empty home folder."""
    kept = {name: value for name, value in given.items() if _KEPT.fullmatch(name)}
    # The build inside some tests reads what `make setup` left in uv's cache, which lies in the real home.
    cache = Path(given.get("XDG_CACHE_HOME") or Path(given.get("HOME", "/")) / ".cache") / "uv"
    return {
        "UV_CACHE_DIR": str(cache),
        **kept,
        "UV_SYSTEM_CERTS": "true",
        "HOME": home,
        _HOME: home,
        "LC_ALL": "C.UTF-8",
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "TZ": "UTC",
        "SAM_CLI_TELEMETRY": "0",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def isolate() -> str:
    """Apply this to the running process; returns pytest's `--color` for the terminal that it was started on."""
    colour = _colour(os.environ)
    if _HOME not in os.environ:
        home = tempfile.mkdtemp(prefix="allomia-tests-home-")
        atexit.register(shutil.rmtree, home, ignore_errors=True)
    else:
        # A worker of pytest-xdist: its controller has made the folder and removes it.
        home = os.environ[_HOME]
    replacement = variables(os.environ, home)
    os.environ.clear()
    os.environ.update(replacement)
    time.tzset()
    # A shell starts background jobs with SIGINT ignored, and children inherit that.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return colour


def _colour(given: Mapping[str, str]) -> str:
    if given.get("NO_COLOR") or given.get("TERM") == "dumb":
        return "no"
    return "yes" if given.get("FORCE_COLOR") else "auto"
