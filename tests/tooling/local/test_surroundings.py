"""The tests see the same wherever they are started. The last test runs the others where nothing is as usual."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.surroundings import isolate, variables

ROOT = Path(__file__).parents[3]
HOSTILE = {
    "TERM": "dumb",
    "COLUMNS": "20",
    "NO_COLOR": "1",
    "FORCE_COLOR": "1",
    "LANG": "C",
    "LC_ALL": "C",
    "TZ": "Asia/Kathmandu",
    "HOME": "/dev/null",
    "XDG_CONFIG_HOME": "/dev/null",
    "AWS_PROFILE": "missing",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_MAX_ATTEMPTS": "many",
    "PYTHONWARNINGS": "error",
    "PYTHONDONTWRITEBYTECODE": "1",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "GIT_DIR": "/dev/null",
}


def test_no_variable_of_the_shell_is_visible() -> None:
    set_by_the_tests = {"TERM", "LANG", "LC_ALL", "TZ", "HOME"}

    assert not (HOSTILE.keys() - set_by_the_tests) & os.environ.keys()
    assert (os.environ["TERM"], os.environ["LC_ALL"], time.tzname[0]) == ("xterm", "C.UTF-8", "UTC")
    assert Path(os.environ["HOME"]).is_dir()


def test_ctrl_c_reaches_the_tests_and_what_they_start() -> None:
    started = subprocess.run(
        [sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT))"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert "default_int_handler" in started.stdout


def test_a_test_that_hangs_fails(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    assert 0 < float(pytestconfig.getini("test_seconds")) <= 600
    hanging = tmp_path / "test_hanging.py"
    hanging.write_text("import time\n\ndef test_it():\n    time.sleep(60)\n\ndef test_another():\n    pass\n")

    # tests/conftest.py as a plugin, for a file outside of tests.
    done = run_pytest(hanging, "-p", "tests.conftest", "-o", "test_seconds=0.2", "--rootdir", tmp_path)

    assert "time.sleep(60)" in done.stdout
    assert "Failed: not done within 0 s" in done.stdout
    assert "1 failed, 1 passed" in done.stdout


def test_programs_and_the_test_tools_settings_are_kept() -> None:
    given = {"PATH": "/bin", "PROOF_SEED": "7", "UV_CACHE_DIR": "/cache", "HOME": "/home/me", "SECRET": "x"}

    kept = variables(given, "/empty")

    assert kept.items() >= {"PATH": "/bin", "PROOF_SEED": "7", "UV_CACHE_DIR": "/cache", "HOME": "/empty"}.items()
    assert "SECRET" not in kept
    assert variables({"HOME": "/home/me"}, "/empty")["UV_CACHE_DIR"] == "/home/me/.cache/uv"


def run_pytest(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest as a background job of a script does: with SIGINT ignored and no input."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "TESTS_NESTED": "1"} | environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif("TESTS_NESTED" in os.environ, reason="this is the run that it starts")
def test_hostile_surroundings_change_nothing() -> None:
    done = run_pytest(__file__, **HOSTILE)

    assert done.returncode == 0, done.stdout
    assert "\x1b" not in done.stdout


def test_isolating_twice_changes_nothing() -> None:
    before = dict(os.environ)

    isolate()

    assert dict(os.environ) == before
