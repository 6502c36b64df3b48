"""`make rehearse STACK=…`: the guarantees of a deployed dev or staging stack, checked without ringing anyone.

Deploys AlloMia's sandbox beside the stack, points the stack at it, sends the demo's requests, plays the further steps,
and checks each guarantee from what the sandbox counted and the tables hold. Then what may still be dialled is
cancelled, the stack gets its parameters back, and everything else is removed. The report is written as JSON and as
Markdown. Exits with 1 if a guarantee does not hold.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import boto3
import httpx
from rich.console import Console

from calls.operations.stack import DeployedStack, NoSuchStack, aws_clients
from local.demo import Case, check, policy_cases, request_cases, send, watch
from local.sam import ROOT, SamError, build, run_sam
from local.simulator import ANSWERS, MAGIC_NUMBERS, Dials
from local.simulator.magic_numbers import behaviour_of
from local.stack import Stack
from rehearsal import cloud_tests
from rehearsal.changes import NotRehearsed, subscribed, undone, with_parameters
from rehearsal.measured import RunFigures, measure
from rehearsal.report import Report, report
from rehearsal.steps import STEPS, RehearsedStack, Stage

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

METRIC_SECONDS = 180.0
"""Until Lambda's metrics of the last minutes are there: docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics.html"""

NEVER_PLAYED = ("connections that AlloMia drops: an API Gateway can't do that",)
"""What no rehearsal shows."""


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
    ending_layer: str

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


def cases(prefix: str) -> list[Case]:
    """The demo's requests that an API Gateway can play, and one more, under ids of this run.

    A stack remembers the ids of the last one.
    """
    every = [*request_cases(), *policy_cases(datetime.now(UTC)), *_more_cases()]
    playable = [
        each for each in every if ANSWERS[behaviour_of(json.loads(each.body)["phoneNumber"]).post].error is None
    ]
    return [_named(each, prefix) for each in playable]


def _more_cases() -> Iterator[Case]:
    magic = MAGIC_NUMBERS["+15005550325"]
    body = json.dumps({"requestId": "unreadable-answer", "phoneNumber": magic.number})
    yield Case(body, magic.what, magic.status, magic.source, magic.dials)


def _named(case: Case, prefix: str) -> Case:
    name = f'"requestId": {json.dumps(case.request_id)}'
    other = f'"requestId": {json.dumps(prefix + case.request_id)}'
    return replace(case, body=case.body.replace(name, other), then=case.then and case.then.replace(name, other))


def warm_up(sandbox_url: str, webhook_url: str, count: int) -> None:
    """Start some of the functions, so that no first answer is late: a late answer is a lost one to the stack."""
    requests = [("GET", f"{sandbox_url}/api/calls"), ("POST", f"{webhook_url}/warm-up/1/not-a-signature")] * count
    with httpx.Client(timeout=60, trust_env=False) as http, ThreadPoolExecutor(len(requests)) as threads:
        for answer in threads.map(lambda each: http.request(*each), requests):
            if answer.status_code not in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
                raise NotRehearsed(f"a first request was answered with {answer.status_code}")


def rehearse(stage: Stage, console: Console) -> Report:
    """Send the requests through a stack that dials the sandbox, play the steps, and check what happened.

    Raises:
        NotRehearsed: The sandbox or the stack's API doesn't answer as it must.
    """
    environment = stage.environment
    warm_up(environment.allomia.url, environment.stack.webhook_url, stage.warm)
    requests = cases(environment.prefix)
    # Or many of the sandbox's functions would have to start at once, and answer too late.
    send(environment, requests, one_by_one=True)
    calls = watch(environment, requests, console, stage.give_up_seconds)
    checks = list(check(environment, requests, calls))
    dials = environment.dials()
    left_out = list(NEVER_PLAYED)
    for step in STEPS:
        if why := step.missing(stage):
            left_out.append(f"{step.what}: {why}")
        else:
            console.print(step.what)
            checks += step.play(stage)
    return report(stage, checks, requests, calls, dials, measured(stage, left_out), left_out)


def measured(stage: Stage, left_out: list[str]) -> RunFigures | None:
    """What AWS measured; None on the local cloud, which measures little."""
    if not stage.is_on_aws:
        left_out.append("durations, cold starts and costs: the local cloud has neither the metrics nor the traces")
        return None
    time.sleep(METRIC_SECONDS)
    events = len(stage.environment.attempts())
    return measure(stage.stack, stage.began, datetime.now(UTC), events)


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


def deploy_sandbox(name: str, environment: Mapping[str, str], role: str = "", **parameters: str) -> None:
    """Build the sandbox, and deploy it.

    Raises:
        SamError: One of the two failed; the message is sam's output.
    """
    build()
    run_sam(["build", "--template-file", TEMPLATE, "--build-dir", BUILD], environment)
    built = f"{BUILD}/template.yaml"
    names = [f"--stack-name={name}", f"--s3-prefix={name}", f"--template-file={built}"]
    flags = ["--resolve-s3", "--capabilities=CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar"]
    given = [f"{key}={value}" for key, value in parameters.items()]
    flags += [f"--role-arn={role}"] if role else []
    run_sam(["deploy", *names, *flags, *(["--parameter-overrides", *given] if given else [])], environment)


def main() -> int:
    """Rehearse a stack on AWS; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make rehearse")
    parser.add_argument("stack")
    parser.add_argument("--really", action="store_true", help="also a stack that dials the real AlloMia")
    parser.add_argument("--execution-role", default="", help="ARN of the role that CloudFormation deploys with")
    parser.add_argument("--cloud-tests", action="store_true", help="first run tests/cloud in this account")
    arguments = parser.parse_args()
    console = Console()
    # A polite kill ends it as Ctrl-C does, so that everything is undone.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    session = boto3.Session()
    client = aws_clients(session, None)
    try:
        stack = DeployedStack.find(arguments.stack, client)
        if why := refusal(stack, arguments.really):
            raise NotRehearsed(f"{stack.name} is not rehearsed: {why}.")
        if arguments.cloud_tests and not cloud_tests.run(session):
            raise NotRehearsed(f"tests/cloud fail in this account, so {stack.name} is not rehearsed.")
        done = _on_aws(stack, console, arguments.execution_role)
    except (NoSuchStack, NotRehearsed, SamError) as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"Interrupted. {arguments.stack} has back what was changed.", file=sys.stderr)
        return 1
    print("All guarantees held" if done.holds else "A guarantee did not hold")
    return 0 if done.holds else 1


def _on_aws(stack: DeployedStack, console: Console, role: str) -> Report:
    # Without the options of the make that started this: sam runs one of its own.
    shell = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    with ExitStack() as everything:
        sandbox = everything.enter_context(deployed_sandbox(stack, shell, role))
        parameters = {**QUICK, "AllomiaBaseUrl": sandbox.url}
        everything.enter_context(with_parameters(stack, parameters))
        environment = everything.enter_context(driven(stack, sandbox))
        done = rehearse(Stage(stack, environment, sandbox.ending_layer), console)
        console.print(f"Written to {done.write(REPORTS)}")
        return done


@contextmanager
def deployed_sandbox(stack: DeployedStack, shell: Mapping[str, str], role: str) -> Iterator[Sandbox]:
    """The sandbox beside a stack, as long as it is needed."""
    name, cloudformation = f"{stack.name}-sandbox", stack.client("cloudformation")
    with undone(lambda: cloudformation.delete_stack(StackName=name)):
        deploy_sandbox(name, shell, role)
        (described,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
        yield Sandbox(
            cache(stack.client), outputs["SandboxTableName"], outputs["AllomiaBaseUrl"], outputs["EndingLayerArn"]
        )


@contextmanager
def driven(stack: DeployedStack, sandbox: Sandbox) -> Iterator[RehearsedStack]:
    """The stack, driven as the local one is. At its end nothing of this run can be dialled any more.

    The stack would dial it later: through the AlloMia that its own parameters name.
    """
    resources = {each.name: each.id for each in stack.resources}
    described = Stack(stack.name, "", stack.outputs, resources)
    cloud, allomia = cast("LocalCloud", Account(cache(stack.client))), cast("Simulator", sandbox)
    with subscribed(stack) as queue_url:
        run = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
        environment = RehearsedStack(cloud, allomia, described, queue_url, run)

        def cancel() -> None:
            if left := environment.cancel():
                raise NotRehearsed(f"{stack.name} may still dial, so cancel them: {', '.join(left)}")

        with undone(cancel):
            yield environment
