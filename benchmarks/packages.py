"""What do boto3 and Powertools cost a cold start, beside the least that could replace them?

CPU, user and system, of a fresh process with Lambda's Python and the built layer that imports them and makes what a
function makes of them. In turns.

    python -m benchmarks.packages
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.cold_start import PYTHON
from benchmarks.spread import Spread
from local.sam import build

RUNS = 25

BOTOCORE = "from botocore.session import Session; Session().create_client('dynamodb')"
BOTO3 = "import boto3; boto3.Session().client('dynamodb')"
TYPES = "from boto3.dynamodb.types import TypeDeserializer, TypeSerializer; TypeDeserializer(), TypeSerializer()"
POWERTOOLS = (
    "from aws_lambda_powertools import Logger, Metrics; Logger(service='a'); Metrics(namespace='a', service='a')"
)
PIECES: Mapping[str, tuple[str, ...]] = {
    "Python alone": (),
    "a client of botocore": (BOTOCORE,),
    "a client of boto3": (BOTO3,),
    "and boto3's type conversion": (BOTO3, TYPES),
    "and Powertools' Logger and Metrics": (BOTO3, TYPES, POWERTOOLS),
}


@dataclass(frozen=True)
class Taken:
    """Milliseconds, and the share of a client of botocore, run by run."""

    ms: Spread
    of_botocore: Spread


def measure(runs: int = RUNS) -> dict[str, Taken]:
    """Every piece's CPU."""
    layer = build() / "DependenciesLayer/python"
    # The first run filled the caches of the file system.
    found = [{name: _cpu_ms(lines, str(layer)) for name, lines in PIECES.items()} for _ in range(runs + 1)][1:]
    return {
        name: Taken(
            Spread.of([run[name] for run in found]),
            Spread.of([run[name] / run["a client of botocore"] for run in found]),
        )
        for name in PIECES
    }


def _cpu_ms(lines: tuple[str, ...], layer: str) -> float:
    process = subprocess.Popen(
        [PYTHON, "-c", "\n".join(lines)],
        env={
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_DEFAULT_REGION": "ca-central-1",
            "PYTHONPATH": layer,
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"this failed: {lines}")
    return (used.ru_utime + used.ru_stime) * 1000


def table(found: Mapping[str, Taken]) -> Table:
    """The medians and their spread."""
    shown = Table("", "CPU, ms", "of a client of botocore")
    for name, each in found.items():
        shown.add_row(name, f"{each.ms:.0f}", f"{each.of_botocore:.2f}")
    return shown


if __name__ == "__main__":
    Console().print(table(measure()))
