"""A built function in a process of its own: one execution environment, with Lambda's Python and the stack's layers."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import TypeAdapter

from local.emulator import BuiltFunction
from local.sam import ROOT

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Usage:
    """What invocations, one after the other, answered and took. CPU is of the whole process, user and system."""

    answers: list[Any]
    cpu_seconds: float
    wall_seconds: float
    resident_bytes: int
    sockets: int


class Function:
    """One execution environment of a function of the template, which must be built (`local.sam.build`).

    It is no Lambda: there is no limit of memory or CPU. What it costs is to be held against something that was measured
    in the same process, such as a handler of `beside`.

    Args:
        logical_id: The function's, in the template.
        environment: Values for the variables that the template declares, and AWS credentials.
        beside: Other handlers to load into the same process, as FILE:FUNCTION.
    """

    def __init__(
        self, logical_id: str, environment: Mapping[str, str], beside: Mapping[str, str] | None = None
    ) -> None:
        built = BuiltFunction.load(logical_id)
        self._seconds = built.timeout
        self._log = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed with the process
        reading, writing = os.pipe()
        handlers = {"handler": f"{built.code}/app.py:handler", **(beside or {})}
        self._process = subprocess.Popen(
            [
                ROOT / ".venv/lambda-runtime/bin/python",
                HERE / "runtime.py",
                str(writing),
                *(f"{name}={place}" for name, place in handlers.items()),
            ],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
            env=built.environment(environment)
            | {
                "PATH": "/usr/bin:/bin",
                "AWS_DEFAULT_REGION": environment.get("AWS_REGION", "ca-central-1"),
                "PYTHONPATH": os.pathsep.join(map(str, built.layers)),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            text=True,
        )
        os.close(writing)
        self._answers = os.fdopen(reading)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._answers.close()
        self._log.close()

    def invoke(self, events: Sequence[Any], handler: str = "handler") -> Usage:
        """Invoke a handler once for each event.

        Raises:
            RuntimeError: The process ended; the message is what it printed.
        """
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        order = {"handler": handler, "events": list(events), "seconds_left": self._seconds}
        print(json.dumps(order), file=self._process.stdin, flush=True)
        answer = self._answers.readline()
        if not answer:
            raise RuntimeError(f"the function ended:\n{self.log()[-4000:]}")
        return TypeAdapter(Usage).validate_json(answer)

    def log(self) -> str:
        """What it has printed."""
        self._log.seek(0)
        return self._log.read().decode()
