"""What does a healthy call ask of AWS: requests, write units, invocations, log lines and bytes?

Counted on the deployed stack: the real template on the local cloud, the simulator as AlloMia, and between the functions
and the cloud a proxy that counts. The event sources are held until a full batch waits for them, so that every count is
exact and is the same each time.

    python -m benchmarks.healthy_call
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.counting_proxy import CountingProxy
from local.cloud import LocalCloud
from local.environment import API_KEY, LocalEnvironment, deploy_into
from local.simulator import Simulator

CALLS = 10
"""A full batch, of the queue as of the stream."""

SWEEPS = 3
SECONDS = 90.0
CALL_SECONDS = 5.0
"""So that all are settled before the first ends: the local cloud makes batches of the stream before it filters them."""

HEALTHY = ("PlaceCallFunction", "ReceiveWebhookFunction", "PublishOutcomeFunction")
"""What a healthy call invokes."""

FUNCTIONS = (*HEALTHY, "PollCallsFunction")
READS = {f"dynamodb:{name}" for name in ("GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems")}
MESSAGE: dict[str, Any] = {
    "phoneNumber": "+15005550100",
    "assistantId": "0b54d0f1-7f2a-4c53-9c0e-5a6d1f5b8a01",
    "phoneNumberId": "7c1e3d52-4b1f-4b8e-8f4d-2a9c6e0d7b02",
    "customerName": "Robin Sample",
    "dynamicVariables": {"appointmentDate": "2026-12-01", "appointmentTime": "09:30"},
    "metadata": {"appointmentId": "A-1001"},
}
MESSAGE_BYTES = 740
"""As large as a message may be for its record to stay within one write unit until the call has ended."""

_OF_LAMBDA = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ")


@dataclass(frozen=True)
class Said:
    """What one function wrote to its log group.

    Lambda's own lines, which mark the local cloud's invocations here, are left out: on AWS the template's
    SystemLogLevel keeps them out of the log of an invocation that went well.
    """

    invocations: int
    lines: int
    bytes: int


@dataclass(frozen=True)
class HealthyCalls:
    """The totals of `calls` healthy calls."""

    calls: int
    message_bytes: int
    """The longest message."""

    requests: dict[str, int]
    """Of the functions, by service and operation; reading the secrets, which are kept for minutes, is left out."""

    writes: dict[str, int]
    """How many calls had these writes, each with its units for table and index: `PutItem 1+1, UpdateItem 1+0`."""

    write_units: int
    item_bytes: int
    """The largest item that a write left."""

    said: dict[str, Said]
    metrics: list[str]
    """The names that were written."""

    @property
    def reads(self) -> int:
        """The requests that read the tables."""
        return sum(count for name, count in self.requests.items() if name in READS)


@dataclass(frozen=True)
class Idle:
    """The totals of the poller's sweeps while nothing was due."""

    sweeps: int
    invocations: int
    requests: dict[str, int]


def message(request_id: str, size: int = MESSAGE_BYTES) -> str:
    """A message of that many bytes."""
    request = {"requestId": request_id} | MESSAGE
    variables = MESSAGE["dynamicVariables"] | {"notes": ""}
    padding = size - len(json.dumps(request | {"dynamicVariables": variables}))
    return json.dumps(request | {"dynamicVariables": variables | {"notes": "x" * padding}})


@contextmanager
def counted_stack(
    cloud: LocalCloud, allomia: Simulator, name: str = "counted"
) -> Iterator[tuple[LocalEnvironment, CountingProxy]]:
    """A stack whose functions reach the cloud over a proxy that counts; warm, with what is done only once behind it."""
    with CountingProxy(cloud.endpoint_url) as proxy:
        # So late that the webhooks come first and no call is polled.
        parameters: dict[str, str | int] = {"LocalEndpointUrl": proxy.url, "WebhookGraceSeconds": 600}
        world = deploy_into(cloud, allomia, parameters | {"CallDeadlineSeconds": 3600}, name)
        world.send({"requestId": "warm-up"} | MESSAGE)
        until(lambda: bool(world.outcome_events()))
        # The log of an invocation is there a moment after what it did.
        until(lambda: all(_said(world)[function].invocations for function in HEALTHY))
        yield world, proxy


def count_calls(world: LocalEnvironment, proxy: CountingProxy, calls: int = CALLS) -> HealthyCalls:
    """Place a full batch of calls that go well, and count what that takes."""
    proxy.clear()
    said_before = _said(world)
    name = f"counted-{time.time_ns()}"
    bodies = [message(f"{name}-{number}") for number in range(calls)]
    ids = {f"{name}-{number}" for number in range(calls)}
    with held(world, "PublishOutcomeFunctionOutcome"), calls_of(world, CALL_SECONDS):
        with held(world, "PlaceCallFunctionRequest"):
            world.cloud.client("sqs").send_message_batch(
                QueueUrl=world.stack.call_queue_url,
                Entries=[{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)],
            )
        until(lambda: all(world.calls().get(each, {}).get("status") == "completed" for each in ids))
    heard: set[str] = set()

    def all_heard() -> bool:
        heard.update(event["requestId"] for event in world.outcome_events())
        return heard >= ids

    until(all_heard)
    # Each webhook is an invocation of its own, and the log of one is there a moment after what it did.
    least = {"PlaceCallFunction": 1, "ReceiveWebhookFunction": calls, "PublishOutcomeFunction": 1}
    until(lambda: all(_said(world)[name].invocations - said_before[name].invocations >= n for name, n in least.items()))
    traffic, said = proxy.clear(), _said(world)
    writes = [traffic.writes[each] for each in sorted(ids)]
    return HealthyCalls(
        calls=calls,
        message_bytes=max(len(body.encode()) for body in bodies),
        requests={each: traffic.requests[each] for each in sorted(traffic.requests) if "secrets" not in each},
        writes=dict(Counter(", ".join(map(str, each)) for each in writes)),
        write_units=sum(write.units.table + write.units.index for each in writes for write in each),
        item_bytes=max(write.item_bytes for each in writes for write in each),
        said={function: _less(said[function], said_before[function]) for function in FUNCTIONS},
        metrics=sorted({name for function in FUNCTIONS for name in _metrics(world, function)}),
    )


def count_idle(world: LocalEnvironment, proxy: CountingProxy, sweeps: int = SWEEPS) -> Idle:
    """Let the poller sweep while nothing is due, and count what that takes."""
    session = boto3.session.Session(world.cloud.account, "local", region_name=world.cloud.region)
    # On AWS this operation has a host of its own.
    config = Config(proxies={}, inject_host_prefix=False)
    machines = session.client("stepfunctions", endpoint_url=world.cloud.endpoint_url, config=config)
    proxy.clear()
    before = _said(world)["PollCallsFunction"].invocations
    for _ in range(sweeps):
        done = machines.start_sync_execution(stateMachineArn=world.stack.poller_arn, input="{}")
        if done["status"] != "SUCCEEDED":
            raise RuntimeError(f"the sweep {done['status']}: {done.get('cause')}")
    invocations = _said(world)["PollCallsFunction"].invocations - before
    return Idle(sweeps, invocations, dict(proxy.clear().requests))


@contextmanager
def held(world: LocalEnvironment, mapping: str) -> Iterator[None]:
    """Let an event source wait, so that what comes meanwhile is one batch."""
    _switch(world, mapping, on=False)
    try:
        yield
    finally:
        _switch(world, mapping, on=True)


@contextmanager
def calls_of(world: LocalEnvironment, seconds: float) -> Iterator[None]:
    """Let each call that AlloMia takes meanwhile last so long."""
    usual = world.allomia.faults().ring_seconds
    world.allomia.configure(ring_seconds=seconds)
    try:
        yield
    finally:
        world.allomia.configure(ring_seconds=usual)


def _switch(world: LocalEnvironment, mapping: str, *, on: bool) -> None:
    functions, uuid = world.cloud.client("lambda"), world.stack.resources[mapping]
    functions.update_event_source_mapping(UUID=uuid, Enabled=on)
    until(lambda: functions.get_event_source_mapping(UUID=uuid)["State"] == ("Enabled" if on else "Disabled"))


def _said(world: LocalEnvironment) -> Mapping[str, Said]:
    """What each function has written to its log group until now."""
    found = {}
    for function in FUNCTIONS:
        messages = _log(world, function)
        own = [message for message in messages if not message.startswith(_OF_LAMBDA)]
        # The report comes last, so an invocation that is counted is complete.
        reports = sum(message.startswith("REPORT ") for message in messages)
        found[function] = Said(reports, len(own), sum(len(each.encode()) for each in own))
    return found


def _log(world: LocalEnvironment, function: str) -> list[str]:
    group = world.stack.resources[function.replace("Function", "LogGroup")]
    pages = world.cloud.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
    return [event["message"] for page in pages for event in page["events"]]


def _metrics(world: LocalEnvironment, function: str) -> Iterator[str]:
    """The metrics in the function's log, by the embedded metric format."""
    for message in _log(world, function):
        if message.startswith("{") and "_aws" in (line := json.loads(message)):
            for directive in line["_aws"]["CloudWatchMetrics"]:
                yield from (metric["Name"] for metric in directive["Metrics"])


def _less(now: Said, before: Said) -> Said:
    return Said(now.invocations - before.invocations, now.lines - before.lines, now.bytes - before.bytes)


def until(done: Callable[[], bool]) -> None:
    """Wait for something; raises TimeoutError when it takes too long."""
    deadline = time.monotonic() + SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {SECONDS:.0f} s")
        time.sleep(0.2)


def measure() -> tuple[HealthyCalls, Idle]:
    """Deploy the stack and count."""
    with (
        LocalCloud() as cloud,
        Simulator(gateway=cloud.endpoint_url, accepted_keys=(API_KEY,)) as allomia,
        counted_stack(cloud, allomia) as (world, proxy),
    ):
        return count_calls(world, proxy), count_idle(world, proxy)


if __name__ == "__main__":
    print(*measure(), sep="\n")
