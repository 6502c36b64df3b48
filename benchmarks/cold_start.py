"""What does a cold start take, beside the least that it could take, and beside what a plain build would ship?

From `sam build`'s own output, with Lambda's Python. Twice for each function: its import in a fresh process (CPU, user
and system), and its first invocation under Lambda's runtime interface emulator, initialisation included (the time until
its answer; its work as well, with AWS played by a server with one answer for all). Beside it, in turns:

- the floor: a handler that makes the one boto3 client that the function cannot do without, and `httpx.Client` where
  it speaks to AlloMia, and does nothing. Its layer is what `pip install` gives, with byte code.
- plain: the function's own code as a plain build ships it: packages as `pip install` gives them, without byte code.

    python -m benchmarks.cold_start
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Self

from rich.console import Console
from rich.table import Table

from benchmarks.other_side import Behaviour, OtherSide
from benchmarks.spread import Spread
from benchmarks.warm_webhook import ITEM, KEY, SIGNING_KEY, WEBHOOK, event_of
from local.emulator import BuiltFunction, Emulator
from local.sam import ROOT, build

RUNS = 15
LIMITS = {
    "ReceiveWebhookFunction": (1.25, 0.35),
    "PlaceCallFunction": (1.6, 0.4),
    "PollCallsFunction": (1.6, 0.4),
    "PublishOutcomeFunction": (1.6, 0.4),
    "GetCallFunction": (1.6, 0.4),
}
"""At most so much of the floor, and of what a plain build would take."""

CLIENT = {name: "events" if name == "PublishOutcomeFunction" else "dynamodb" for name in LIMITS}
SPEAK_TO_ALLOMIA = {"PlaceCallFunction", "PollCallsFunction"}
PYTHON = ROOT / ".venv/lambda-runtime/bin/python"
OWNERS = {
    "botocore": {"botocore", "dateutil", "jmespath", "six", "urllib3"},
    "pydantic": {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"},
    "Powertools": {"aws_lambda_powertools"},
    "httpx": {"anyio", "certifi", "h11", "httpcore", "httpx", "idna"},
    "this project": {"app", "outbound_calls"},
}
PYTHONS_OWN = "Python's own"
ARN = "arn:aws:secretsmanager:ca-central-1:123456789012:secret"
UUID = "0b54d0f1-7f2a-4c53-9c0e-5a6d1f5b8a01"


@dataclass(frozen=True)
class Taken:
    """What a function took, in milliseconds, and what share that is of the floor and of plain, run by run."""

    ms: Spread
    of_floor: Spread
    of_plain: Spread

    @classmethod
    def of(cls, runs: Sequence[Mapping[str, float]]) -> Self:
        """Each run has the milliseconds of `ours`, of the `floor` and of `plain`."""
        return cls(
            Spread.of([run["ours"] for run in runs]),
            Spread.of([run["ours"] / run["floor"] for run in runs]),
            Spread.of([run["ours"] / run["plain"] for run in runs]),
        )


@dataclass(frozen=True)
class ColdStart:
    """One function's cold start."""

    imported: Taken
    """CPU."""
    answered: Taken
    """Time."""
    modules_ms: dict[str, float]
    """What the modules of its import took themselves, by whose they are; the medians of as many starts."""


def measure(runs: int = RUNS) -> dict[str, ColdStart]:
    """Every function's cold start, by its logical id."""
    build()
    aws_answers = {
        "GetSecretValue": {"SecretString": SIGNING_KEY},
        "UpdateItem": {"Attributes": ITEM},
        "Query": {"Items": [ITEM]},
        "PutEvents": {"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]},
    }
    with OtherSide(Behaviour(aws_answers=aws_answers)) as other_side, _sites() as (floor_site, plain_site):
        found = {}
        for name in LIMITS:
            ours = BuiltFunction.load(name)
            kinds = {"ours": ours, "floor": _floor(ours, floor_site), "plain": replace(ours, layers=(plain_site,))}
            found[name] = _cold_start(kinds, _environment(ours, other_side.url), _event(name), runs)
        return found


def _cold_start(kinds: Mapping[str, BuiltFunction], environment: Mapping[str, str], event: Any, runs: int) -> ColdStart:
    imports, answers, modules = [], [], []
    for _ in range(runs + 1):
        modules.append(_modules_ms(kinds["ours"], environment))
        imports.append({kind: _import_ms(function, environment) for kind, function in kinds.items()})
        answers.append({kind: _first_answer_ms(function, environment, event) for kind, function in kinds.items()})
    # The first run filled the caches of the file system.
    return ColdStart(
        Taken.of(imports[1:]),
        Taken.of(answers[1:]),
        {owner: median(each[owner] for each in modules[1:]) for owner in modules[0]},
    )


def _import(function: BuiltFunction, environment: Mapping[str, str], *options: str) -> subprocess.Popen[str]:
    """A process that imports the function and ends."""
    return subprocess.Popen(
        [PYTHON, *options, "-c", "import app"],
        cwd=function.code,
        env=function.environment(environment)
        | {
            "AWS_DEFAULT_REGION": "ca-central-1",
            "PYTHONPATH": os.pathsep.join(map(str, function.layers)),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        stderr=subprocess.PIPE if options else None,
        text=True,
    )


def _modules_ms(function: BuiltFunction, environment: Mapping[str, str]) -> dict[str, float]:
    """What each owner's modules take of an import, without those that they import in turn."""
    _, said = _import(function, environment, "-X", "importtime").communicate()
    taken = dict.fromkeys([*OWNERS, PYTHONS_OWN], 0.0)
    for microseconds, package in re.findall(r"^import time: +(\d+) \| +\d+ \| +(\w+)", said, re.MULTILINE):
        owner = next((owner for owner, packages in OWNERS.items() if package in packages), PYTHONS_OWN)
        taken[owner] += int(microseconds) / 1000
    return taken


def _import_ms(function: BuiltFunction, environment: Mapping[str, str]) -> float:
    """CPU of a process that imports the function and ends."""
    process = _import(function, environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{function.name} cannot be imported")
    return (used.ru_utime + used.ru_stime) * 1000


def _first_answer_ms(function: BuiltFunction, environment: Mapping[str, str], event: Any) -> float:
    """Time to the first answer, from when the emulator gets the first event, which is when it initialises."""
    with Emulator(function, environment) as emulator:
        began = time.perf_counter()
        invocation = emulator.invoke(event)
        took = time.perf_counter() - began
    if invocation.error is not None:
        raise RuntimeError(f"{function.name}: {invocation.error}\n{invocation.log}")
    return took * 1000


def _floor(function: BuiltFunction, site: Path) -> BuiltFunction:
    """A function that has what this one cannot do without, and does nothing."""
    lines = ["import boto3", f"boto3.client({CLIENT[function.name]!r})", "def handler(event, context): pass"]
    if function.name in SPEAK_TO_ALLOMIA:
        lines = ["import httpx", "httpx.Client()", *lines]
    code = site.parent / f"floor-{function.name}"
    code.mkdir()
    (code / "app.py").write_text("\n".join(lines))
    return replace(function, code=code, layers=(site,))


@contextmanager
def _sites() -> Iterator[tuple[Path, Path]]:
    """The packages as `pip install` gives them: with byte code for the floor; without, and with our code, for plain."""
    uv = [str(ROOT / ".venv/bin/uv"), "pip", "install", "--quiet", "--offline", "--no-deps", "--python-version", "3.13"]
    requirements = str(ROOT / "layers/dependencies/requirements.txt")
    boto3 = [f"{name}=={version(name)}" for name in ("boto3", "s3transfer")]
    with tempfile.TemporaryDirectory(prefix="allomia-cold-start-") as folder:
        floor, plain = Path(folder, "floor"), Path(folder, "plain")
        for site in (floor, plain):
            subprocess.run([*uv, "--target", site, "--requirement", requirements], check=True)
            subprocess.run([*uv, "--target", site, *boto3], check=True)
        shutil.copytree(
            ROOT / "layers/outbound_calls/outbound_calls",
            plain / "outbound_calls",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        subprocess.run([PYTHON, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", floor], check=True)
        yield floor, plain


def _environment(function: BuiltFunction, url: str) -> dict[str, str]:
    every = {
        "ALLOMIA_API_KEY_SECRET_ARN": f"{ARN}:key-AbCdEf",
        "ALLOMIA_BASE_URL": url,
        "AWS_ENDPOINT_URL": url,
        "CALLING_POLICY": "open",
        "CALLS_TABLE_NAME": "calls",
        "HANDED_ON_QUEUE_URL": f"{url}/123456789012/handed-on",
        "CALL_QUEUE_URL": f"{url}/123456789012/calls",
        "DEFAULT_ASSISTANT_ID": UUID,
        "DEFAULT_PHONE_NUMBER_ID": UUID,
        "OUTCOME_BUS_NAME": "outcomes",
        "FAILED_OUTCOMES_QUEUE_URL": f"{url}/123456789012/failed-outcomes",
        "INVALID_MESSAGES_QUEUE_URL": f"{url}/123456789012/invalid-messages",
        "NUMBER_HASH_SECRET_ARN": f"{ARN}:hash-AbCdEf",
        "POLICY_TABLE_NAME": "policy",
        "SIGNING_SECRET_ARN": f"{ARN}:signing-AbCdEf",
        "WEBHOOK_URL": "https://hooks.example/webhooks/allomia",
    }
    return {name: value for name, value in every.items() if name in function.variables}


def _event(name: str) -> Any:
    """The first piece of work of a function: one message, one webhook, one look, one outcome, one question."""
    match name:
        case "ReceiveWebhookFunction":
            return event_of(KEY, json.dumps(WEBHOOK), SIGNING_KEY)
        case "PlaceCallFunction":
            body = json.dumps({"requestId": KEY.request.request_id, "phoneNumber": "+15005550100"})
            return {"Records": [{"messageId": "m-1", "body": body, "attributes": {"SentTimestamp": "1775053800000"}}]}
        case "PollCallsFunction":
            due = {"dueShard": {"N": "0"}, "dueAt": {"N": "1775053980"}}
            return {"items": [{"requestId": ITEM["requestId"], "attempt": ITEM["attempt"], **due}]}
        case "PublishOutcomeFunction":
            return {"Records": [{"dynamodb": {"NewImage": ITEM}}]}
        case _:
            return {"pathParameters": {"requestId": KEY.request.request_id}}


def table(found: Mapping[str, ColdStart]) -> Table:
    """The medians, with the shares that they may have at most."""
    shown = Table("function", "import, CPU ms", "of floor", "of plain", "first answer, ms", "of floor", "of plain")
    shown.add_column("at most")
    for name, each in found.items():
        taken = [f"{one:.{digits}f}" for part in (each.imported, each.answered) for one, digits in _medians(part)]
        shown.add_row(name, *taken, " and ".join(map(str, LIMITS[name])))
    return shown


def _medians(taken: Taken) -> list[tuple[float, int]]:
    return [(taken.ms.median, 0), (taken.of_floor.median, 2), (taken.of_plain.median, 2)]


if __name__ == "__main__":
    Console().print(table(measure()))
