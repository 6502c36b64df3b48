"""Run a function as Lambda does: a process of its own that gets everything from its environment."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from subprocess import DEVNULL, PIPE
from types import ModuleType
from typing import Any

from tests.recording import requests
from tests.tables import ROOT
from tests.unit.parts import MEASURED

# Imports a function once, then calls it for each event. Lambda has the function's own folder on the path.
_RUNTIME = """
import importlib.util, json, os, pathlib, sys
from botocore import handlers

def note(params, model, **_):
    request = [model.service_model.service_name, model.name, params]
    os.write(requests, json.dumps(request, default=str).encode() + b"\\n")

requests = int(sys.argv[2])
handlers.BUILTIN_HANDLERS.append(("before-parameter-build", note, handlers.REGISTER_LAST))

class Context:
    function_name = "the-function"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:ca-central-1:123456789012:function:the-function"
    aws_request_id = "11111111-2222-3333-4444-555555555555"

    def get_remaining_time_in_millis(self):
        return 45000

path = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(path.parent))
spec = importlib.util.spec_from_file_location("app", path)
app = importlib.util.module_from_spec(spec)
spec.loader.exec_module(app)
for line in sys.stdin:
    print("ANSWER", json.dumps(app.handler(json.loads(line), Context())), flush=True)
"""


@dataclass(frozen=True)
class FunctionRun:
    """What a function answered to each event, and everything that it printed."""

    answers: list[Any]
    printed: str
    failed: bool

    def lines(self, **fields: Any) -> list[dict[str, Any]]:
        """The log lines that have these fields."""
        found = [json.loads(line) for line in self.printed.splitlines() if line.startswith("{")]
        return [line for line in found if fields.items() <= line.items()]

    def counted(self, metric: str) -> float:
        """The sum of a metric, as CloudWatch reads it from the log lines."""
        return sum(sum(line[metric]) for line in self.lines() if metric in line)


def run_function(name: str, environment: Mapping[str, str], *events: Any) -> FunctionRun:
    """Start a function and give it each event in turn."""
    with _noted_requests() as descriptor:
        done = subprocess.run(
            _command(name, descriptor),
            input="".join(json.dumps(event) + "\n" for event in events),
            env=_process_environment(environment),
            pass_fds=[descriptor],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    lines = done.stdout.splitlines()
    printed = "\n".join([line for line in lines if not line.startswith("ANSWER ")] + [done.stderr])
    answers = [json.loads(line.removeprefix("ANSWER ")) for line in lines if line.startswith("ANSWER ")]
    return FunctionRun(answers, printed, done.returncode != 0)


def kill_function(name: str, environment: Mapping[str, str], event: Any, after_lines: int) -> FunctionRun:
    """Start a function, give it an event, and end it in the middle, as Lambda does at its timeout.

    It is ended once it has printed so many lines, or has printed too few of them within 30 s.
    """
    with (
        _noted_requests() as descriptor,
        subprocess.Popen(
            _command(name, descriptor),
            env=_process_environment(environment),
            pass_fds=[descriptor],
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            text=True,
        ) as process,
    ):
        assert process.stdin
        assert process.stdout
        limit = threading.Timer(30, process.kill)
        limit.start()
        process.stdin.write(json.dumps(event) + "\n")
        process.stdin.flush()
        lines = list(islice(process.stdout, after_lines))
        limit.cancel()
        process.kill()
    return FunctionRun([], "".join(lines), failed=True)


def load_function(folder: str, environment: Mapping[str, str]) -> ModuleType:
    """A function's module in this process, imported with this environment. `folder` is that of its code."""
    path = ROOT / folder / "app.py"
    spec = importlib.util.spec_from_file_location(f"{folder.replace('/', '.')}.app", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        spec.loader.exec_module(module)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return module


@contextmanager
def _noted_requests() -> Iterator[int]:
    """A file in which a function notes its requests, by its descriptor. They are checked at the end."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        yield file.fileno()
        file.seek(0)
        requests.note_lines(line for line in file if line.endswith("\n"))


def _command(name: str, descriptor: int) -> list[str]:
    # Lambda doesn't buffer what a function prints.
    path = ROOT / "functions" / name / "app.py"
    return [sys.executable, "-u", "-W", "error", "-c", _RUNTIME, str(path), str(descriptor)]


def _process_environment(environment: Mapping[str, str]) -> dict[str, str]:
    process_environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT / "layers/outbound_calls"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return MEASURED | process_environment | dict(environment)
