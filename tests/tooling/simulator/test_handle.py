"""The simulator as a process: started, stopped, started again, and never left behind."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import override

import httpx
import pytest

from local.simulator import Simulator, SimulatorError
from tests.tooling.simulator.conftest import KEY, PATIENCE_SECONDS, Caller, Receiver, eventually

ROOT = Path(__file__).parents[3]


class Observed(Simulator):
    """Keeps every process it starts, so that a test can ask what became of it."""

    processes: list[subprocess.Popen[bytes]]

    @override
    def _spawn(self) -> subprocess.Popen[bytes]:
        process = super()._spawn()
        self.processes = [*getattr(self, "processes", []), process]
        return process


def test_an_outage_refuses_connections_and_forgets_nothing(receiver: Receiver) -> None:
    with Observed(ring_seconds=1.0, webhook_delay_seconds=0.02) as simulator:
        caller = Caller(simulator.url, receiver)
        callback = caller.callback()
        simulator.configure(accepted_keys=["test-key", "second-key"], webhook_delay_seconds=0.03)
        placed = caller.post(caller.order("+15005550101", callbackUrl=callback)).json()
        before = simulator.url, simulator.faults(), simulator.dials()

        simulator.stop()

        with pytest.raises(httpx.ConnectError):
            caller.post(caller.order())
        assert receiver.at(callback) == []
        with pytest.raises(SimulatorError, match="not running"):
            simulator.calls()

        simulator.start()

        assert (simulator.url, simulator.faults(), simulator.dials()) == before
        assert receiver.wait_for(callback)[0].body["status"] == "busy"
        assert caller.status(placed["outboundCallId"]).json()["status"] == "busy"
        assert [call.outbound_call_id for call in simulator.calls()] == [placed["outboundCallId"]]
        caller.http.close()

    assert [process.poll() is not None for process in simulator.processes] == [True, True]


def test_hanging_requests_do_not_hold_up_the_end(receiver: Receiver) -> None:
    with Observed(hang_seconds=60) as simulator:
        caller = Caller(simulator.url, receiver)
        with pytest.raises(httpx.ReadTimeout):
            caller.post(caller.order("+15005550316"), timeout=0.1)
        caller.http.close()

    assert simulator.processes[0].poll() is not None


def test_closing_is_done_once_and_before_a_start_does_nothing() -> None:
    simulator = Simulator()

    simulator.stop()
    simulator.close()

    with pytest.raises(SimulatorError, match="has not been started"):
        _ = simulator.url


def test_a_second_start_is_a_mistake(running_simulator: Simulator) -> None:
    with pytest.raises(SimulatorError, match="running already"):
        running_simulator.start()


def test_a_taken_port_is_told_and_leaves_nothing_behind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        simulator = Observed(port=taken.getsockname()[1])
        with pytest.raises(SimulatorError, match="address already in use"):
            simulator.start()

    assert [process.poll() is not None for process in simulator.processes] == [True]


def test_a_start_that_takes_too_long_leaves_nothing_behind() -> None:
    simulator = Observed(start_seconds=0.0)

    with pytest.raises(SimulatorError, match="said nothing"):
        simulator.start()

    assert [process.poll() is not None for process in simulator.processes] == [True]


def test_it_does_not_outlive_the_process_that_started_it(tmp_path: Path) -> None:
    script = """
import os
from local.simulator import Simulator

simulator = Simulator()
simulator.start()
print(simulator.url, flush=True)
os._exit(0)
"""

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )

    url = done.stdout.strip()
    assert url.startswith("http://127.0.0.1:")
    eventually(lambda: refuses(url))


def refuses(url: str) -> bool:
    try:
        httpx.get(f"{url}/_control", headers=KEY, trust_env=False)
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
def test_the_command_line_refuses_what_makes_no_sense(arguments: list[str], words: str) -> None:
    done = run_module(*arguments)

    assert done.returncode == 2
    assert words in done.stderr


def test_the_command_line_prints_the_magic_numbers() -> None:
    done = run_module("--numbers")

    assert done.returncode == 0
    assert "| `+15005550100` | the person answers | 1 | `completed` | webhook |" in done.stdout.splitlines()


def run_module(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local.simulator", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
