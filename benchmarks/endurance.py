"""Does a function stay as it was: memory, connections, CPU, requests and writes per call, over 10,000 calls?

A thousand full batches go through the built functions, each in a process of its own with the environment that it is
deployed with, against the local cloud's real table and bus and an AlloMia that answers at once. The harness stands in
for the event sources: it hands over the batches, the webhooks and the records of the stream.

    python -m benchmarks.endurance
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.batch import batch_of
from benchmarks.counting_proxy import CountingProxy
from benchmarks.function import Function, Usage
from benchmarks.healthy_call import counted_stack, held
from benchmarks.other_side import CALL_DETAILS, CONTACT_ID, OtherSide
from benchmarks.warm_webhook import event_of
from local.cloud import LocalCloud
from local.environment import API_KEY, SIGNING_KEY, LocalEnvironment
from local.simulator import Simulator
from local.stack import function_environment
from outbound_calls.domain.attempts import AttemptKey, RequestKey

CALLS = 10
BATCHES = 1_000
WARM_UP = 3
SIZES = (100, 1_000, 10_000)
SAMPLE_EVERY = 10
LIMIT = 1.05
FUNCTIONS = ("PlaceCallFunction", "ReceiveWebhookFunction", "PublishOutcomeFunction")


@dataclass(frozen=True)
class Stage:
    """The calls after the stage before, up to this number; everything for each call."""

    calls: int
    cpu_ms: dict[str, float]
    """By function, the median of the batches."""

    requests: float
    write_units: float
    wall_seconds: float
    """Of all of the stage's calls, with the harness and the local cloud: no measure of the functions."""


@dataclass(frozen=True)
class Sample:
    """How the functions stood after so many calls."""

    calls: int
    resident_mb: dict[str, float]
    sockets: dict[str, int]


@dataclass(frozen=True)
class Endurance:
    """A thousand batches."""

    batches: int
    stages: list[Stage]
    samples: list[Sample]
    allomia_connections: int
    """That AlloMia accepted in all of this."""


@dataclass(frozen=True)
class _Environments:
    """One execution environment of each function, warm."""

    functions: Mapping[str, Function]
    world: LocalEnvironment
    proxy: CountingProxy

    def call(self, name: str) -> dict[str, Usage]:
        """Ten calls from the message to the event."""
        keys = [AttemptKey(RequestKey(f"{name}-{number}"), 1) for number in range(CALLS)]
        used = {"PlaceCallFunction": self._invoke("PlaceCallFunction", [batch_of(name, CALLS)])}
        used["ReceiveWebhookFunction"] = self._invoke("ReceiveWebhookFunction", [self._webhook(key) for key in keys])
        # In batches, as the stream hands them over; a record that was published is never looked at again.
        records = [
            {"eventName": "MODIFY", "dynamodb": {"NewImage": self.proxy.items.pop(self._id(key))}} for key in keys
        ]
        used["PublishOutcomeFunction"] = self._invoke("PublishOutcomeFunction", [{"Records": records}])
        return used

    def _invoke(self, function: str, events: list[Any]) -> Usage:
        usage = self.functions[function].invoke(events)
        for answer in usage.answers:
            if (answer is not None and answer.get("statusCode", 200) != 200) or (answer or {}).get("batchItemFailures"):
                raise RuntimeError(f"{function} answered {answer}")
        return usage

    def _webhook(self, key: AttemptKey) -> dict[str, Any]:
        call_id = self.proxy.items[self._id(key)]["outboundCallId"]["S"]
        state = {"outboundCallId": call_id, "contactId": CONTACT_ID, "status": "completed", "callDetails": CALL_DETAILS}
        return event_of(key, json.dumps(state), SIGNING_KEY)

    def _id(self, key: AttemptKey) -> tuple[str, str, str]:
        return (self.world.stack.calls_table_name, key.request.request_id, str(key.number))


@contextmanager
def environments(world: LocalEnvironment, allomia_url: str, *names: str) -> Iterator[dict[str, Function]]:
    """One execution environment for each of these functions, configured like the deployed ones."""
    credentials = {name: value for name, value in world.cloud.environment().items() if name.startswith("AWS_")}
    del credentials["AWS_ENDPOINT_URL"], credentials["AWS_DEFAULT_REGION"], credentials["AWS_EC2_METADATA_DISABLED"]
    with ExitStack() as stack:
        functions = {}
        for name in names:
            told = function_environment(world.cloud, world.stack, name)
            if "ALLOMIA_BASE_URL" in told:
                told["ALLOMIA_BASE_URL"] = allomia_url
            functions[name] = stack.enter_context(Function(name, told | credentials))
        yield functions


def measure(world: LocalEnvironment, proxy: CountingProxy, batches: int = BATCHES) -> Endurance:
    """Send that many batches through."""
    with (
        OtherSide() as allomia,
        held(world, "PlaceCallFunctionRequest"),
        held(world, "PublishOutcomeFunctionOutcome"),
        environments(world, allomia.url, *FUNCTIONS) as functions,
    ):
        parts = _Environments(functions, world, proxy)
        for number in range(WARM_UP):
            parts.call(f"warm-up-{number}")
        stages, samples, done = [], [], 0
        for size in SIZES:
            if size > batches * CALLS:
                break
            proxy.clear()
            began, used = time.monotonic(), []
            for number in range(done, size // CALLS):
                used.append(parts.call(f"endurance-{number}"))
                if number % SAMPLE_EVERY == 0:
                    samples.append(_sample(number * CALLS, used[-1]))
            done, traffic = size // CALLS, proxy.clear()
            calls = len(used) * CALLS
            stages.append(
                Stage(
                    calls=size,
                    cpu_ms={name: median(1000 * each[name].cpu_seconds / CALLS for each in used) for name in FUNCTIONS},
                    requests=sum(traffic.requests.values()) / calls,
                    write_units=sum(
                        write.units.table + write.units.index for writes in traffic.writes.values() for write in writes
                    )
                    / calls,
                    wall_seconds=time.monotonic() - began,
                )
            )
        return Endurance(done, stages, samples, allomia.arrived().connections)


def _sample(calls: int, used: Mapping[str, Usage]) -> Sample:
    return Sample(
        calls=calls,
        resident_mb={name: round(each.resident_bytes / 2**20, 2) for name, each in used.items()},
        sockets={name: each.sockets for name, each in used.items()},
    )


if __name__ == "__main__":
    with (
        LocalCloud() as cloud,
        Simulator(gateway=cloud.endpoint_url, accepted_keys=(API_KEY,)) as simulator,
        counted_stack(cloud, simulator) as counted,
    ):
        print(measure(*counted))
