"""A handle on a simulator that runs as a process of its own, for tests and the demo."""

import json
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from pydantic import TypeAdapter

from local.simulator.calls import CallReport, Dials
from local.simulator.faults import Faults

_ROOT = Path(__file__).parents[2]
_HOST = "127.0.0.1"
_STOP_SECONDS = 5.0
_CONTROL_SECONDS = 10.0
_CALLS = TypeAdapter(list[CallReport])


class SimulatorError(Exception):
    """The simulator could not be started, or is not running."""


class Simulator:
    """AlloMia on this machine, from `with` to its end.

    `stop()` and `start()` play an outage in which connections are refused: the address stays the same, and no
    call, dial, fault or webhook to come is forgotten.

    Args:
        gateway: The local cloud's URL, which gets the webhooks for an API Gateway.
        port: The port to listen on; 0 lets the system choose.
        start_seconds: How long a start may take.
        faults: Fields of `Faults`: how the simulator behaves at first and after a `reset()`.
    """

    def __init__(
        self, *, gateway: str | None = None, port: int = 0, start_seconds: float = 20.0, **faults: object
    ) -> None:
        self._gateway = gateway
        self._port = port
        self._start_seconds = start_seconds
        self._first_faults = _patch(faults)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._client: httpx.Client | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where AlloMia is, or was before `stop()`: the value of the stack's `AllomiaBaseUrl`."""
        if self._port == 0:
            raise SimulatorError("the simulator has not been started")
        return f"http://{_HOST}:{self._port}"

    def start(self) -> None:
        """Start the process, and return when it answers.

        Raises:
            SimulatorError: It ended, or said nothing in time; its standard error is in the message.
        """
        if self._process is not None:
            raise SimulatorError("the simulator is running already")
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="allomia-simulator-")
        try:
            self._process = self._spawn()
            self._port = self._announced_port(self._process)
            self._client = httpx.Client(base_url=self.url, timeout=_CONTROL_SECONDS, trust_env=False)
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """End the process: from now on, connections are refused. Does nothing when it is not running."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def close(self) -> None:
        """End the process and forget everything. Does nothing the second time."""
        self.stop()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def faults(self) -> Faults:
        """The faults as they are set now."""
        return Faults.model_validate_json(self._control("GET", ""))

    def configure(self, **faults: object) -> Faults:
        """Set fields of `Faults` by their Python names, leave the others, and return them all.

        Raises:
            pydantic.ValidationError: There is no such field, or no such value of it.
        """
        patch = _patch(faults)
        body = patch.model_dump(mode="json", exclude_unset=True)
        return Faults.model_validate_json(self._control("PATCH", "", body))

    def reset(self) -> None:
        """Forget all calls and dials, and behave as at the first start."""
        self._control("POST", "/reset")

    def calls(self) -> list[CallReport]:
        """The accepted calls, in the order of their acceptance."""
        return _CALLS.validate_json(self._control("GET", "/calls"))

    def dials(self) -> Dials:
        """How many POSTs arrived, and how many were accepted, for each callback URL."""
        return Dials.model_validate_json(self._control("GET", "/dials"))

    def _control(self, method: str, path: str, body: Mapping[str, object] | None = None) -> bytes:
        if self._client is None:
            raise SimulatorError("the simulator is not running")
        return self._client.request(method, f"/_control{path}", json=body).raise_for_status().content

    @property
    def _error_log(self) -> Path:
        return self._path("stderr.log")

    def _path(self, name: str) -> Path:
        if self._folder is None:
            raise SimulatorError("the simulator has not been started")
        return Path(self._folder.name) / name

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "local.simulator", "--host", _HOST, "--port", str(self._port)]
        command += ["--memory-file", str(self._path("memory.json")), "--stop-at-end-of-input"]
        if self._gateway is not None:
            command += ["--gateway", self._gateway]
        for name in self._first_faults.model_fields_set:
            value = getattr(self._first_faults, name)
            if value is None:
                continue
            values = value if isinstance(value, tuple) else (value,)
            command += [f"--{name.replace('_', '-')}", *(str(each) for each in values)]
        return command

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._error_log.open("wb") as error_log:
            return subprocess.Popen(
                self._command(),
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=error_log,
                # Ctrl-C on the terminal is for the one who holds this handle.
                start_new_session=True,
            )

    def _announced_port(self, process: subprocess.Popen[bytes]) -> int:
        if process.stdout is None:
            raise SimulatorError("the simulator has no standard output")
        ready, _, _ = select.select([process.stdout], [], [], self._start_seconds)
        line = process.stdout.readline() if ready else b""
        if not line:
            said = self._error_log.read_text(errors="replace").strip()
            problem = "ended" if ready else f"said nothing in {self._start_seconds} seconds"
            raise SimulatorError(f"the simulator {problem} before it listened: {said or 'no error output'}")
        return httpx.URL(json.loads(line)["url"]).port or 80


def _patch(faults: Mapping[str, object]) -> Faults:
    return Faults.model_validate(dict(faults), by_name=True)
