"""`make rehearse STACK=…`: the guarantees of a deployed dev or staging stack, checked without ringing anyone.

Deploys AlloMia's sandbox beside the stack, points the stack at it, sends the demo's requests and checks each guarantee
from what the sandbox counted and the tables hold. Then the stack gets its parameters back, and everything else is
removed. The report is written as JSON and as Markdown. Exits with 1 if a guarantee does not hold.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
import httpx
from rich.console import Console

from calls.operations.stack import DeployedStack, NoSuchStack, aws_clients
from local.demo import Case, Check, check, policy_cases, request_cases, send, watch
from local.environment import LocalEnvironment
from local.sam import ROOT, SamError, run_sam
from local.simulator import ANSWERS, Dials
from local.simulator.magic_numbers import behaviour_of
from local.stack import Stack

if TYPE_CHECKING:
    from local.cloud import LocalCloud
    from local.simulator import Simulator

TEMPLATE = "rehearsal/template.yaml"
# A folder of its own, beside which sam keeps its notes on the build: those of the stack must not change.
BUILD = ".aws-sam/rehearsal/build"
REPORTS = ROOT / "rehearsals"
REAL = "allomia.com"

QUICK = {"WebhookGraceSeconds": "10", "CallDeadlineSeconds": "300", "CallingPolicy": "open"}
"""The stack's parameters during a rehearsal, which turn minutes into seconds. No request of it ends by the deadline."""

WARM = 6
"""How many of the sandbox's and of the stack's internet-facing functions start beforehand."""

GIVE_UP_SECONDS = 300.0

LEFT_OUT = (
    "a worker that is killed or squeezed by reserved concurrency",
    "a gradual release, and one that fails its check",
    "denied PutEvents, and alarms",
    "connections that AlloMia drops or leaves open: an API Gateway can't do that",
    "cold starts and the cost of the run",
)
"""What a rehearsal doesn't show."""


class NotRehearsed(Exception):
    """The stack was not touched, or has its parameters back; the message says why."""


@dataclass(frozen=True)
class Account:
    """An AWS account, with the one method of the local cloud that its environment needs."""

    client: Callable[[str], Any]


@dataclass(frozen=True)
class Sandbox:
    """The deployed sandbox, with the one method of the simulator that the environment needs."""

    client: Callable[[str], Any]
    table: str
    url: str

    def dials(self) -> Dials:
        """How many POSTs arrived and how many were accepted, for each callback URL."""
        counts: dict[str, dict[str, int]] = {"attempted": {}, "accepted": {}}
        for page in self.client("dynamodb").get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True):
            for item in page["Items"]:
                kind, _, url = item["subject"]["S"].partition(" ")
                for name in counts if kind == "dial" else ():
                    if name in item:
                        counts[name][url] = int(item[name]["N"])
        return Dials.model_validate(counts)


@dataclass(frozen=True)
class Report:
    """What a rehearsal showed, without a phone number."""

    stack: str
    started_at: str
    ended_at: str
    holds: bool
    guarantees: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    left_out: tuple[str, ...] = LEFT_OUT

    def write(self, folder: Path) -> Path:
        """Write both forms; returns the path of the Markdown."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self.stack}-{self.started_at.replace(':', '')}"
        (folder / f"{name}.json").write_text(json.dumps(asdict(self), indent=2) + "\n")
        path = folder / f"{name}.md"
        path.write_text(self.markdown())
        return path

    def markdown(self) -> str:
        """The report for people."""
        lines = [
            f"# Rehearsal of {self.stack}",
            f"From {self.started_at} to {self.ended_at}. **{'All guarantees held' if self.holds else 'FAILED'}.**",
            _table(self.guarantees),
            "## Calls",
            _table(self.calls),
            "## Not part of it",
            "\n".join(f"- {each}" for each in self.left_out),
        ]
        return "\n\n".join(lines) + "\n"


def _table(rows: list[dict[str, Any]]) -> str:
    head = list(rows[0]) if rows else []
    lines = [head, ["---"] * len(head), *([str(row[name]) for name in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cases(run: str) -> list[Case]:
    """The demo's requests that an API Gateway can play, under ids of this run: a stack remembers those of the last."""
    every = [*request_cases(), *policy_cases(datetime.now(UTC))]
    playable = [
        each for each in every if ANSWERS[behaviour_of(json.loads(each.body)["phoneNumber"]).post].error is None
    ]
    return [_named(each, run) for each in playable]


def _named(case: Case, run: str) -> Case:
    name = f'"requestId": {json.dumps(case.request_id)}'
    other = f'"requestId": {json.dumps(f"rehearsal-{run}-{case.request_id}")}'
    return replace(case, body=case.body.replace(name, other), then=case.then and case.then.replace(name, other))


def warm_up(sandbox_url: str, webhook_url: str) -> None:
    """Start some of the functions, so that no first answer is late: a late answer is a lost one to the stack."""
    requests = [("GET", f"{sandbox_url}/api/calls"), ("POST", f"{webhook_url}/warm-up/1/not-a-signature")] * WARM
    with httpx.Client(timeout=60, trust_env=False) as http, ThreadPoolExecutor(len(requests)) as threads:
        for answer in threads.map(lambda each: http.request(*each), requests):
            if answer.status_code not in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
                raise NotRehearsed(f"a first request was answered with {answer.status_code}")


def rehearse(environment: LocalEnvironment, name: str, console: Console) -> Report:
    """Send the requests through a stack that dials the sandbox, and check what happened.

    Raises:
        NotRehearsed: The sandbox or the stack's API doesn't answer as it must.
    """
    warm_up(environment.allomia.url, environment.stack.webhook_url)
    started = datetime.now(UTC)
    requests = cases(f"{started:%Y%m%dT%H%M%S}")
    send(environment, requests)
    mine = {each.request_id for each in requests}
    seen = watch(environment, requests, console, GIVE_UP_SECONDS)
    calls = {request_id: call for request_id, call in seen.items() if request_id in mine}
    checks = list(check(environment, requests, calls))
    return report(name, started, checks, requests, calls, environment.dials())


def report(
    name: str,
    started: datetime,
    checks: Iterable[Check],
    requests: Iterable[Case],
    calls: Mapping[str, Mapping[str, Any]],
    dials: Mapping[str, tuple[int, int]],
) -> Report:
    """The report of a rehearsal."""
    found = [asdict(each) for each in checks]
    rows = []
    for case in requests:
        call = calls.get(case.request_id, {})
        ended = call.get("recordedAt")
        row = {"what": case.what, "status": call.get("status", "none"), "source": call.get("outcomeSource", "")}
        seconds = "" if ended is None else ended - call["createdAt"]
        rows.append(row | {"seconds": seconds, "dials": dials.get(case.request_id, (0, 0))[1]})
    return Report(
        name,
        f"{started:%Y-%m-%dT%H:%M:%SZ}",
        f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        all(each["holds"] for each in found),
        found,
        rows,
    )


def refusal(stack: DeployedStack, real_too: bool) -> str | None:
    """Why this stack can't be rehearsed; None if it can."""
    if stack.environment == "prod":
        return "it is a prod stack, and a rehearsal changes its parameters"
    if REAL in stack.parameters["AllomiaBaseUrl"] and not real_too:
        return "it dials the real AlloMia, and would not for a while: pass --really if no one needs it now"
    if not stack.status.endswith("_COMPLETE"):
        return f"it is in {stack.status}"
    for name, url in stack.queues.items():
        asked = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        if int(asked["Attributes"]["ApproximateNumberOfMessages"]):
            return f"its queue of {name} isn't empty, and a rehearsal reads that queue"
    return None


def deploy_sandbox(name: str, environment: Mapping[str, str], **parameters: str) -> None:
    """Build the sandbox, and deploy it.

    Raises:
        SamError: One of the two failed; the message is sam's output.
    """
    run_sam(["build", "--template-file", TEMPLATE, "--build-dir", BUILD], environment)
    built = f"{BUILD}/template.yaml"
    names = [f"--stack-name={name}", f"--s3-prefix={name}", f"--template-file={built}"]
    flags = ["--resolve-s3", "--capabilities=CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar"]
    given = [f"{key}={value}" for key, value in parameters.items()]
    run_sam(["deploy", *names, *flags, *(["--parameter-overrides", *given] if given else [])], environment)


@contextmanager
def pointed(stack: DeployedStack, url: str) -> Iterator[None]:
    """The stack dials the sandbox, on quick parameters, and gets its own back at the end."""
    given = dict(stack.parameters)
    _update(stack, given | QUICK | {"AllomiaBaseUrl": url})
    try:
        yield
    finally:
        _update(stack, given)


def _update(stack: DeployedStack, parameters: Mapping[str, str]) -> None:
    cloudformation = stack.client("cloudformation")
    cloudformation.update_stack(
        StackName=stack.name,
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    )
    cloudformation.get_waiter("stack_update_complete").wait(StackName=stack.name)


@contextmanager
def subscribed(stack: DeployedStack) -> Iterator[str]:
    """A queue that receives the stack's outcome events; yields its URL."""
    sqs, events, name = stack.client("sqs"), stack.client("events"), f"{stack.name}-rehearsal"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus, pattern = stack.outputs["OutcomeBusName"], json.dumps({"source": ["allomia.outbound-calls"]})
    try:
        rule = events.put_rule(Name=name, EventBusName=bus, EventPattern=pattern)["RuleArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "events", "Arn": arn}])
        yield url
    finally:
        events.remove_targets(Rule=name, EventBusName=bus, Ids=["events"])
        events.delete_rule(Name=name, EventBusName=bus)
        sqs.delete_queue(QueueUrl=url)


def environment_of(stack: DeployedStack, sandbox: Sandbox, events_queue_url: str) -> LocalEnvironment:
    """The stack on AWS, driven as the local one is."""
    resources = {each.name: each.id for each in stack.resources}
    described = Stack(stack.name, "", stack.outputs, resources)
    cloud, allomia = cast("LocalCloud", Account(cache(stack.client))), cast("Simulator", sandbox)
    return LocalEnvironment(cloud, allomia, described, events_queue_url)


def main() -> int:
    """Rehearse a stack on AWS; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make rehearse")
    parser.add_argument("stack")
    parser.add_argument("--really", action="store_true", help="also a stack that dials the real AlloMia")
    arguments = parser.parse_args()
    console = Console()
    client = aws_clients(boto3.Session(), None)
    try:
        stack = DeployedStack.find(arguments.stack, client)
        if why := refusal(stack, arguments.really):
            raise NotRehearsed(f"{stack.name} is not rehearsed: {why}.")
        done = _on_aws(stack, console)
    except (NoSuchStack, NotRehearsed, SamError) as problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"{'All guarantees held' if done.holds else 'A guarantee did not hold'}: {done.write(REPORTS)}")
    return 0 if done.holds else 1


def _on_aws(stack: DeployedStack, console: Console) -> Report:
    name = f"{stack.name}-sandbox"
    cloudformation = stack.client("cloudformation")
    with ExitStack() as everything:
        everything.callback(lambda: cloudformation.delete_stack(StackName=name))
        # Without the options of the make that started this: sam runs one of its own.
        deploy_sandbox(
            name, {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
        )
        described = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
        sandbox = Sandbox(cache(stack.client), outputs["SandboxTableName"], outputs["AllomiaBaseUrl"])
        everything.enter_context(pointed(stack, sandbox.url))
        queue = everything.enter_context(subscribed(stack))
        return rehearse(environment_of(stack, sandbox, queue), stack.name, console)
