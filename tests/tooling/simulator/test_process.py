"""The simulator as a process: started, stopped, started again, and never left behind."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import override

import httpx
import pytest

from local.simulator import Simulator, SimulatorError
from tests.tooling.simulator.conftest import PATIENCE_SECONDS, HttpFace, Receiver, eventually

ROOT = Path(__file__).parents[3]


class ObservedSimulator(Simulator):
    """Keeps every process it starts."""

    processes: list[subprocess.Popen[bytes]]

    @override
    def _spawn(self) -> subprocess.Popen[bytes]:
        process = super()._spawn()
        self.processes = [*getattr(self, "processes", []), process]
        return process

    @property
    def all_exited(self) -> bool:
        return all(process.poll() is not None for process in self.processes)


def test_an_outage_refuses_connections_and_forgets_nothing(receiver: Receiver) -> None:
    # Given a call in progress
    with ObservedSimulator(ring_seconds=1.0, webhook_delay_seconds=0.02) as simulator:
        face = HttpFace(simulator, receiver)
        callback = face.callback()
        simulator.configure(accepted_keys=["test-key", "second-key"])
        call_id = face.post("+15005550101", callbackUrl=callback).json()["outboundCallId"]
        before = simulator.url, simulator.faults(), simulator.dials()

        # When AlloMia is down
        simulator.stop()
        with pytest.raises(httpx.ConnectError):
            face.post()
        with pytest.raises(SimulatorError, match="not running"):
            simulator.calls()
        assert receiver.received(callback) == []

        # Then afterwards everything is as before, and the webhook is sent
        simulator.start()
        assert (simulator.url, simulator.faults(), simulator.dials()) == before
        assert receiver.wait_for(callback)["status"] == "busy"
        assert face.status(call_id).json()["status"] == "busy"
        face.http.close()

    assert len(simulator.processes) == 2
    assert simulator.all_exited


def test_hanging_requests_do_not_delay_the_exit(receiver: Receiver) -> None:
    with ObservedSimulator(hang_seconds=60) as simulator:
        face = HttpFace(simulator, receiver)
        with pytest.raises(httpx.ReadTimeout):
            face.post("+15005550316", timeout=0.1)
        face.http.close()

    assert simulator.all_exited


def test_closing_twice_or_before_a_start_does_nothing() -> None:
    simulator = Simulator()

    simulator.close()
    simulator.close()

    with pytest.raises(SimulatorError, match="has not been started"):
        _ = simulator.url


def test_a_second_start_is_an_error(running_simulator: Simulator) -> None:
    with pytest.raises(SimulatorError, match="already running"):
        running_simulator.start()


def test_a_port_in_use_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        simulator = ObservedSimulator(port=taken.getsockname()[1])
        with pytest.raises(SimulatorError, match="address already in use"):
            simulator.start()

    assert simulator.all_exited


def test_a_slow_start_leaves_no_process_behind() -> None:
    simulator = ObservedSimulator(start_seconds=0.0)

    with pytest.raises(SimulatorError, match="did not listen"):
        simulator.start()

    assert simulator.all_exited


def test_it_exits_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = """
import os
from local.simulator import Simulator

simulator = Simulator()
simulator.start()
print(simulator.url, flush=True)
os._exit(0)
"""

    url = run("-c", script, TMPDIR=str(tmp_path)).stdout.strip()

    assert url.startswith("http://127.0.0.1:")
    eventually(lambda: refuses_connections(url))


def refuses_connections(url: str) -> bool:
    try:
        httpx.get(f"{url}/_control", trust_env=False)
    except httpx.TransportError:
        return True
    return False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--post", "explode"], "post: "),
        (["--ring-seconds", "-1"], "ring_seconds: "),
        (["--colour", "red"], "--colour"),
    ],
)
def test_the_command_line_reports_invalid_options(arguments: list[str], words: str) -> None:
    done = run("-m", "local.simulator", *arguments)

    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--numbers", "| `+15005550100` | the person answers | 1 | `completed` | webhook |"),
        ("--settings", "| `seed` | `null` | Makes those draws repeatable. |"),
    ],
)
def test_the_command_line_prints_tables_for_the_documentation(option: str, line: str) -> None:
    assert line in run("-m", "local.simulator", option).stdout.splitlines()


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment or None,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
