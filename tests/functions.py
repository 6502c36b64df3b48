"""Run a function as Lambda does: a process of its own that gets everything from its environment."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.unit.parts import MEASURED
from tests.world import ROOT

# Imports a function once, then calls it for each event. Lambda has the function's own folder on the path.
_RUNTIME = """
import importlib.util, json, pathlib, sys

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
    process_environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT / "layers/outbound_calls"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _RUNTIME, ROOT / "functions" / name / "app.py"],
        input="".join(json.dumps(event) + "\n" for event in events),
        env=MEASURED | process_environment | dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = done.stdout.splitlines()
    printed = "\n".join([line for line in lines if not line.startswith("ANSWER ")] + [done.stderr])
    answers = [json.loads(line.removeprefix("ANSWER ")) for line in lines if line.startswith("ANSWER ")]
    return FunctionRun(answers, printed, done.returncode != 0)
