"""Runs the simulator as a separate process, for tests and the demo."""

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

from local.simulator.calls import Dials, ShownCall
from local.simulator.faults import Faults

_ROOT = Path(__file__).parents[2]
_HOST = "127.0.0.1"
_STOP_SECONDS = 5.0
_CONTROL_SECONDS = 10.0
_CALLS = TypeAdapter(list[ShownCall])


class SimulatorError(Exception):
    """The simulator did not start, or is not running."""


class Simulator:
    """AlloMia on localhost, for the length of a `with` block.

    `stop()` and `start()` simulate an outage in which connections are refused: the address stays the same, and calls,
    dials, faults and planned webhooks are kept.

    Args:
        gateway: The local cloud's URL, which gets the webhooks for an API Gateway.
        port: The port to listen on; 0 lets the system choose.
        start_seconds: How long a start may take.
        faults: Fields of `Faults`: how it behaves at first and after a `reset()`.
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
        """The base URL, also after `stop()`: the value of the stack's `AllomiaBaseUrl`."""
        if self._port == 0:
            raise SimulatorError("the simulator has not been started")
        return f"http://{_HOST}:{self._port}"

    def start(self) -> None:
        """Start the process, and return when it listens.

        Raises:
            SimulatorError: It exited, or did not listen in time; the message contains its standard error.
        """
        if self._process is not None:
            raise SimulatorError("the simulator is already running")
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
        """Stop the process: connections are refused from now on. Does nothing when it is not running."""
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
        """Stop the process and forget everything. Can be called more than once."""
        self.stop()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def faults(self) -> Faults:
        """The faults as they are now."""
        return Faults.model_validate_json(self._control("GET", ""))

    def configure(self, **faults: object) -> Faults:
        """Set fields of `Faults` by their Python names, and return all of them.

        Raises:
            pydantic.ValidationError: A field or its value does not exist.
        """
        patch = _patch(faults)
        body = patch.model_dump(mode="json", exclude_unset=True)
        return Faults.model_validate_json(self._control("PATCH", "", body))

    def reset(self) -> None:
        """Forget all calls and dials, and behave as at the first start."""
        self._control("POST", "/reset")

    def calls(self) -> list[ShownCall]:
        """The accepted calls, in the order of acceptance."""
        return _CALLS.validate_json(self._control("GET", "/calls"))

    def dials(self) -> Dials:
        """How many POSTs arrived and how many were accepted, for each callback URL."""
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
                # Ctrl-C in the terminal is for this process, which then stops that one.
                start_new_session=True,
            )

    def _announced_port(self, process: subprocess.Popen[bytes]) -> int:
        if process.stdout is None:
            raise SimulatorError("the simulator has no standard output")
        ready, _, _ = select.select([process.stdout], [], [], self._start_seconds)
        line = process.stdout.readline() if ready else b""
        if not line:
            errors = self._error_log.read_text(errors="replace").strip()
            problem = "exited before it listened" if ready else f"did not listen within {self._start_seconds} seconds"
            raise SimulatorError(f"the simulator {problem}: {errors or 'no error output'}")
        return httpx.URL(json.loads(line)["url"]).port or 80


def _patch(faults: Mapping[str, object]) -> Faults:
    return Faults.model_validate(dict(faults), by_name=True)
