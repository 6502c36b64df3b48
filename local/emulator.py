"""Runs the functions that `sam build` built as Lambda runs them, without Docker.

The real Lambda runtime interface emulator, which is part of aws-sam-cli, drives the real Python runtime client. A
function can import its own code, its layers and the standard library, and nothing else. The timeout is enforced, the
memory limit is not.

    python -m local.emulator PlaceCallFunction events/place_call/completed.json
"""

import argparse
import json
import os
import platform
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from samtranslator.yaml_helper import yaml_parse

from local.child_process import ChildProcess
from local.cloud import ACCOUNT, HOST, REGION, free_port
from local.sam import BUILD, ROOT, SamError, build

START_SECONDS = 10.0
LOG_SECONDS = 2.0

# Lambda sets these itself; a template cannot.
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION")

DEFAULT_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": ACCOUNT,
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_REGION": REGION,
}


class EmulatorError(Exception):
    """The function could not run; the message says what to do."""


@dataclass(frozen=True)
class Invocation:
    """The result of one invocation."""

    answer: Any
    """What the function returned, or Lambda's description of its error, if there is either."""
    error: str | None
    """The error's type and message, a timeout or a failed start; None when the function returned."""
    log: tuple[str, ...]
    """The lines that the function printed."""


@dataclass(frozen=True)
class BuiltFunction:
    """One function as the built template describes it."""

    name: str
    code: Path
    handler: str
    timeout: float
    memory: int
    layers: tuple[Path, ...]
    variables: Mapping[str, str | None]
    """Its environment variables; None where only a deployed stack knows the value."""
    logging: dict[str, str] = field(default_factory=dict)
    """The log format and level, as Lambda passes them on to its runtime client."""

    @classmethod
    def load(cls, name: str) -> Self:
        """Read the function with this logical id from the build.

        Raises:
            EmulatorError: There is no such function.
        """
        template = yaml_parse((BUILD / "template.yaml").read_text())
        functions = {
            logical_id: resource["Properties"]
            for logical_id, resource in template["Resources"].items()
            if resource["Type"] == "AWS::Serverless::Function"
        }
        if name not in functions:
            raise EmulatorError(f"There is no function {name}. There are: {', '.join(sorted(functions))}.")
        own, common = functions[name], template.get("Globals", {}).get("Function", {})
        settings = common | own
        declared = common.get("Environment", {}).get("Variables", {}) | own.get("Environment", {}).get("Variables", {})
        parameters = template.get("Parameters", {})
        return cls(
            name=name,
            code=BUILD / settings["CodeUri"],
            handler=settings["Handler"],
            timeout=float(settings["Timeout"]),
            memory=int(settings.get("MemorySize", 128)),
            layers=tuple(BUILD / layer["Ref"] / "python" for layer in settings.get("Layers", [])),
            variables={key: _value(value, parameters) for key, value in declared.items()},
            logging=_logging(common.get("LoggingConfig", {}) | own.get("LoggingConfig", {})),
        )

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """The environment variables of the template, with the given values.

        Raises:
            EmulatorError: The template does not declare a given variable, so Lambda would not set it.
        """
        unknown = sorted(given.keys() - self.variables.keys() - set(CREDENTIALS))
        if unknown:
            raise EmulatorError(f"The template declares no variable {', '.join(unknown)} for {self.name}.")
        known = {key: value for key, value in self.variables.items() if value is not None}
        return DEFAULT_ENVIRONMENT | known | dict(given)


class Emulator:
    """One running function. Like an execution environment on Lambda, it handles one invocation at a time.

    Args:
        function: Its logical id in the built template (`local.sam.build`), or its description.
        environment: Values for variables that the template declares, and AWS credentials.
    """

    def __init__(self, function: str | BuiltFunction, environment: Mapping[str, str] | None = None) -> None:
        self._function = BuiltFunction.load(function) if isinstance(function, str) else function
        self._environment = self._function.environment(environment or {})
        self._process: ChildProcess | None = None
        self._folder: Path | None = None
        self._url = ""
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        """Start it. The function itself initializes at the first invocation.

        Raises:
            EmulatorError: It cannot run on this machine, or did not start.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="allomia-emulator-"))
        try:
            self._start(self._folder)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def stop(self) -> None:
        """Stop the function and remove its log. Safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            process.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def invoke(self, event: Any) -> Invocation:
        """Invoke the function with an event and wait for the result.

        Raises:
            EmulatorError: The emulator itself failed.
        """
        with self._turn:
            start = len(self._log())
            try:
                response = httpx.post(
                    f"{self._url}/2015-03-31/functions/function/invocations",
                    content=json.dumps(event),
                    timeout=self._function.timeout + START_SECONDS,
                    trust_env=False,
                )
            except httpx.TransportError as problem:
                raise EmulatorError(f"The emulator failed ({problem}):\n{self._log()[start:]}") from problem
            return _invocation(response, self._log_until_report(start))

    def _start(self, folder: Path) -> None:
        api, runtime = free_port(), free_port()
        self._url = f"http://{HOST}:{api}"
        self._process = ChildProcess(
            [
                _emulator_binary(),
                "--runtime-interface-emulator-address",
                f"{HOST}:{api}",
                "--runtime-api-address",
                f"{HOST}:{runtime}",
                _runtime_python(),
                "-m",
                "awslambdaric",
                self._function.handler,
            ],
            environment=self._environment
            | self._function.logging
            | {
                "PATH": "/usr/bin:/bin",
                "LANG": "en_US.UTF-8",
                "TZ": ":UTC",
                "AWS_DEFAULT_REGION": self._environment["AWS_REGION"],
                "AWS_LAMBDA_FUNCTION_NAME": self._function.name,
                "AWS_LAMBDA_FUNCTION_TIMEOUT": f"{self._function.timeout:.0f}",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self._function.memory),
                "LAMBDA_TASK_ROOT": str(self._function.code),
                "PYTHONPATH": os.pathsep.join(str(layer) for layer in self._function.layers),
                # Leave the build as it is.
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            folder=self._function.code,
            log=folder / "log",
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.running():
            try:
                httpx.get(self._url, trust_env=False, timeout=1.0)
            except httpx.TransportError:
                time.sleep(0.02)
            else:
                return
        raise EmulatorError(f"The emulator did not start. Its output:\n{self._log()}")

    def _log(self) -> str:
        if self._folder is None:
            raise EmulatorError("The emulator is not running.")
        return (self._folder / "log").read_text(errors="replace")

    def _log_until_report(self, start: int) -> str:
        # The report may follow the response after a moment.
        deadline = time.monotonic() + LOG_SECONDS
        while True:
            log = self._log()[start:]
            if "\nREPORT RequestId: " in log or "Reset initiated" in log or time.monotonic() > deadline:
                return log
            time.sleep(0.005)


def environment_file(path: Path, function: str) -> dict[str, str]:
    """One function's variables from a file in the format of sam's --env-vars.

    The function's own section overrides the common section, `Parameters`, of which only declared names count.
    """
    sections = json.loads(path.read_text())
    declared = BuiltFunction.load(function).variables
    common = {key: value for key, value in sections.get("Parameters", {}).items() if key in declared}
    return {key: str(value) for key, value in (common | sections.get(function, {})).items()}


def _value(declared: Any, parameters: Mapping[str, Any]) -> str | None:
    match declared:
        case {"Ref": str(name)} if "Default" in parameters.get(name, {}):
            return str(parameters[name]["Default"])
        case {"Ref": "AWS::StackName"}:
            return "local"
        case Mapping():
            return None
        case _:
            return str(declared)


def _logging(configured: Mapping[str, str]) -> dict[str, str]:
    variables = {"LogFormat": "AWS_LAMBDA_LOG_FORMAT", "ApplicationLogLevel": "AWS_LAMBDA_LOG_LEVEL"}
    return {variable: configured[name] for name, variable in variables.items() if name in configured}


def _emulator_binary() -> Path:
    names = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
    machine = platform.machine().lower()
    sam = find_spec("samcli")
    if platform.system() != "Linux" or machine not in names or sam is None or sam.origin is None:
        raise EmulatorError("The runtime emulator runs on Linux (x86_64 or arm64) only; elsewhere use sam local.")
    return Path(sam.origin).parent / "local/rapid" / f"aws-lambda-rie-{names[machine]}"


def _runtime_python() -> Path:
    python = ROOT / ".venv/lambda-runtime/bin/python"
    if not python.exists():
        raise EmulatorError(f"{python.relative_to(ROOT)} is missing: run `make setup` first.")
    return python


def _invocation(response: httpx.Response, log: str) -> Invocation:
    lines = tuple(line for line in log.split("\n") if line and not _of_lambda(line))
    try:
        answer = response.json()
    except json.JSONDecodeError:
        # A timeout comes as plain text, and a function that did not start has no text.
        return Invocation(answer=None, error=response.text or "the function did not start", log=lines)
    # An error also has HTTP status 200; these two fields distinguish it.
    failed = isinstance(answer, dict) and {"errorType", "errorMessage"} <= answer.keys()
    problem = f"{answer['errorType']}: {answer['errorMessage']}" if failed else None
    return Invocation(answer=answer, error=problem, log=lines)


def _of_lambda(line: str) -> bool:
    return " (rapid) " in line or line.startswith(("START RequestId: ", "END RequestId: ", "REPORT RequestId: "))


def _environment(function: str, file: Path) -> dict[str, str]:
    """Credentials of the shell and values of the file.

    Raises:
        EmulatorError: Without `make local` in another terminal the function could not even start.
    """
    environment = {key: os.environ[key] for key in CREDENTIALS if key in os.environ}
    if file.exists():
        environment |= environment_file(file, function)
    missing = sorted(
        name
        for name, value in BuiltFunction.load(function).variables.items()
        if value is None and name not in environment
    )
    if missing:
        found = f"has no value for {', '.join(missing)}" if file.exists() else "does not exist"
        shown = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
        raise EmulatorError(f"{shown} {found}. Run `make local` in another terminal first: it writes that file.")
    endpoint_url = environment.get("AWS_ENDPOINT_URL")
    if endpoint_url and not _accepts_connections(endpoint_url):
        raise EmulatorError(f"Nothing listens at {endpoint_url}. Is `make local` still running in another terminal?")
    return environment


def _accepts_connections(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or HOST, parts.port or 80), timeout=2.0).close()
    except OSError:
        return False
    return True


def main() -> int:
    """Invoke one function with one event: its log goes to standard error, its result to standard output."""
    parser = argparse.ArgumentParser(prog="python -m local.emulator", description=main.__doc__)
    parser.add_argument("function", help="its logical id, such as PlaceCallFunction")
    parser.add_argument("event", type=Path, help="a JSON file")
    parser.add_argument("--env-vars", type=Path, default=ROOT / "events/env.json", help="as for sam local invoke")
    arguments = parser.parse_args()
    try:
        event = json.loads(arguments.event.read_text())
    except (OSError, json.JSONDecodeError) as problem:
        print(f"{arguments.event} is not a readable JSON file: {problem}", file=sys.stderr)
        return 2
    try:
        build()
        environment = _environment(arguments.function, arguments.env_vars)
        with Emulator(arguments.function, environment) as emulator:
            invocation = emulator.invoke(event)
    except (EmulatorError, SamError) as problem:
        print(problem, file=sys.stderr)
        return 2
    for line in invocation.log:
        print(line.replace("\r", "\n  "), file=sys.stderr)
    print(json.dumps(invocation.answer, indent=2))
    if invocation.error is not None:
        print(f"{arguments.function} failed: {invocation.error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
