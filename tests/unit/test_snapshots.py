"""Execution environments may be restored from one snapshot of an initialized function (Lambda SnapStart).

They share what is in the snapshot, so no connection, no secret and no random number may be in it.
"""

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from outbound_calls.use_cases.dial import DialAttempts
from tests.tables import ROOT
from tests.unit.parts import MEASURED, SocketServer
from tests.world import environment

APPS = sorted(ROOT.glob("functions/*/app.py"))

START = """
import importlib.util, sys, threading

spec = importlib.util.spec_from_file_location("app", sys.argv[1])
app = importlib.util.module_from_spec(spec)
spec.loader.exec_module(app)
print("threads", threading.active_count())
print("secrets", sum(len(each._texts) for each in __import__("gc").get_objects() if type(each).__name__ == "Secret"))
"""


def environment_at(url: str) -> dict[str, str]:
    """The environment of every function, with every service at `url`."""
    process = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}/layers/outbound_calls:{ROOT}/functions/check_release",
        "AWS_ACCESS_KEY_ID": "123456789012",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "ca-central-1",
        "AWS_ENDPOINT_URL": url,
    }
    return MEASURED | process | environment(ALLOMIA_BASE_URL=url)


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.parent.name)
def test_initialization_opens_no_connection_reads_no_secret_and_starts_no_thread(app: Path) -> None:
    with SocketServer(lambda _connection, _request: None) as server:
        done = subprocess.run(
            [sys.executable, "-c", START, app],
            env=environment_at(server.url),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["threads", "1", "secrets", "0"]
    assert server.connections == 0


def test_jitter_and_claim_ids_do_not_depend_on_a_shared_seed() -> None:
    part: Any = cast("Any", None)
    dial = DialAttempts(part, part, part, part, part, part, part, part, 180, 7200, part)

    def drawn() -> tuple[float, str]:
        random.seed(1)
        return dial.jitter(0, 1), dial.new_claim_id()

    first, second = drawn(), drawn()

    assert first[0] != second[0]
    assert first[1] != second[1]
