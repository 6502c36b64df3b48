"""What do calls cost, in dollars?

Computed, not measured: the counts of `healthy_call`, the CPU of `endurance`, what the template holds, and a table of
dated list prices (prices.json). What AlloMia charges is no part of it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from samtranslator.yaml_helper import yaml_parse

from benchmarks import features
from benchmarks.batch import ANSWER_SECONDS
from benchmarks.endurance import Endurance
from benchmarks.function import HERE
from benchmarks.healthy_call import HealthyCalls
from local.sam import ROOT
from outbound_calls.contracts.vocabulary import OutcomeSource, Priority, ReasonCode, Status
from outbound_calls.domain.timing import DEFERRALS
from outbound_calls.runtime.telemetry import (
    Metric,
    deferral_metric,
    rejection_metric,
    source_metric,
    status_metric,
    waiting_metric,
)
from outbound_calls.runtime.workers import WORKERS

if TYPE_CHECKING:
    from benchmarks.figures import Figures

LIMIT_OF_A_MILLION = 9
LIMIT_OF_A_MONTH = 4
"""What is aimed at, in dollars: for a million healthy calls in bursts; beside them, with the free tier."""

MONTH_MINUTES = 730 * 60
CALLS_A_MONTH = (1_000, 10_000, 100_000, 1_000_000)
UNSOURCED = 1.1
"""What a price in Canada is taken for when no public page has it: a tenth more than in Virginia."""

AWS_ANSWER_SECONDS = 0.01
"""Assumed of DynamoDB and EventBridge; nothing here ran on AWS."""

SWEEP_SECONDS = 0.5
"""Assumed of a sweep that finds nothing."""

SWEEP_GB = 64 / 1024
BURST_CALLS_PER_SECOND = 50.0
"""What MaxWorkers lets through by default when AlloMia takes a second to answer: batches are full then."""

IDLE_POLLS_PER_MINUTE = 5 * 3
"""Of Lambda on a queue that is empty: five long polls side by side, of twenty seconds each."""

VCPU_MB = 1769
"""At this memory a function has one vCPU: docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""

TRACED = 0.05
"""Lambda records the first request of a second and this share of the rest, and that cannot be changed:
docs.aws.amazon.com/lambda/latest/dg/services-xray.html"""

POLL_EVERY_SECONDS = 30
CALL_SECONDS = 150


class Region(StrEnum):
    """Where prices were looked up for."""

    VIRGINIA = "us-east-1"
    CANADA = "ca-central-1"


class Shape(StrEnum):
    """How calls come: both ends of what is possible."""

    BURSTS = "in bursts"
    SINGLE = "one by one"


class Price(BaseModel):
    """A list price in US dollars, before tax."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True, extra="forbid")

    what: str
    dollars: float
    per: int
    free_each_month: float
    canada: float | None
    source: str
    of_aws: bool
    dated: str
    canada_source: str | None = None

    def of_one(self, region: Region) -> float:
        """The price of one unit."""
        if region is Region.VIRGINIA:
            return self.dollars / self.per
        return (self.dollars * UNSOURCED if self.canada is None else self.canada) / self.per


class Prices(BaseModel):
    """The price table."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True)

    looked_up: str
    prices: dict[str, Price]


@dataclass(frozen=True)
class Line:
    """Something that is billed: how many units of a price for each call, and how many each month in any case."""

    what: str
    price: str
    per_call: float = 0.0
    per_month: float = 0.0

    def dollars(self, calls: float, region: Region = Region.VIRGINIA) -> float:
        """Without the free tier, which is for all lines of a price together."""
        return (self.per_call * calls + self.per_month) * price_table().prices[self.price].of_one(region)


@cache
def price_table() -> Prices:
    """The prices as they were looked up."""
    return Prices.model_validate_json((HERE / "prices.json").read_text())


def total(lines: Iterable[Line], calls: float, region: Region = Region.VIRGINIA, *, free_tier: bool = False) -> float:
    """Dollars a month for so many calls. The free tier is what never expires, in an account that has nothing else."""
    table = price_table().prices
    units: defaultdict[str, float] = defaultdict(float)
    for line in lines:
        units[line.price] += line.per_call * calls + line.per_month
    return sum(
        max(0.0, count - (table[price].free_each_month if free_tier else 0.0)) * table[price].of_one(region)
        for price, count in units.items()
    )


def per_million(lines: Iterable[Line], region: Region = Region.VIRGINIA) -> float:
    """Dollars for a million calls, without the free tier and without what is billed in any case."""
    return sum(line.per_call * 1e6 * price_table().prices[line.price].of_one(region) for line in lines)


def of_calls(healthy: HealthyCalls, endurance: Endurance, shape: Shape) -> list[Line]:
    """What a healthy call is billed for. `healthy` was counted for full batches, or for single calls, as the shape."""
    functions = ("PlaceCallFunction", "ReceiveWebhookFunction", "PublishOutcomeFunction")
    invocations = {name: healthy.said[name].invocations / healthy.calls for name in functions}
    log_bytes = sum(said.bytes for said in healthy.said.values()) / healthy.calls
    batched = invocations["PlaceCallFunction"] + invocations["PublishOutcomeFunction"]
    return [
        Line("DynamoDB writes", "dynamodbWrite", healthy.write_units / healthy.calls),
        # Consistent, and of little: a unit each.
        Line("DynamoDB reads", "dynamodbRead", healthy.reads / healthy.calls),
        # Sent one by one; received and deleted by the batch.
        Line("SQS requests", "sqsRequest", 1 + 2 * invocations["PlaceCallFunction"]),
        Line("HTTP API requests", "httpApiRequest", 1),
        Line("EventBridge events", "busEvent", 1),
        Line("Lambda invocations", "lambdaRequest", invocations["ReceiveWebhookFunction"] + batched),
        Line("Lambda duration", "lambdaGbSecond", sum(_gb_seconds(name, endurance, invocations) for name in functions)),
        Line("CloudWatch Logs", "logGb", (log_bytes + access_log_bytes()) / 1e9),
        Line(
            "X-Ray traces",
            "trace",
            sum(count * _traced(count, shape) for count in invocations.values()),
        ),
    ]


def of_recovered_calls(figures: Figures) -> list[Line]:
    """What a call costs more that is found by its first poll: with the poll, and without the webhook."""
    page = 1 / int(template()["Resources"]["Poller"]["Properties"]["DefinitionSubstitutions"]["PageSize"])
    parameters = template()["Parameters"]
    pace = parameters["DueShards"]["Default"] / parameters["MaxPollsPerSecond"]["Default"]
    seconds = max(pace, (figures.recovery.answer_seconds + 2 * AWS_ANSWER_SECONDS) / WORKERS)
    memory = int(template()["Resources"]["PollCallsFunction"]["Properties"]["MemorySize"])
    return [
        # The lease: the record, and its entry in the index removed and added again.
        Line("write units", "dynamodbWrite", 3),
        Line("read units", "dynamodbRead", 0.5 * page),
        Line("HTTP API requests", "httpApiRequest", -1),
        Line("Lambda requests", "lambdaRequest", page - 1),
        Line("Lambda duration", "lambdaGbSecond", memory / 1024 * seconds),
    ]


def of_reads() -> list[Line]:
    """The cost of a status request."""
    memory = int(template()["Resources"]["GetCallFunction"]["Properties"]["MemorySize"])
    return [
        Line("HTTP API requests", "httpApiRequest", 1),
        Line("Lambda requests", "lambdaRequest", 1),
        Line("Lambda duration", "lambdaGbSecond", memory / 1024 * 2 * AWS_ANSWER_SECONDS),
        # The table is read consistently, so that the answer is never older than the question.
        Line("read units", "dynamodbRead", 1),
    ]


def of_cold_starts(figures: Figures) -> dict[str, list[Line]]:
    """What a start of each function is billed for, beside its invocation: since August 2025 its initialisation is.

    The measured time of the imports counts, as if Lambda's processor were this machine's.
    """
    functions = template()["Resources"]
    return {
        name: [
            Line(
                "initialisation",
                "lambdaGbSecond",
                int(functions[name]["Properties"]["MemorySize"]) / 1024 * measured.imported.ms.median / 1000,
            )
        ]
        for name, measured in figures.cold_start.items()
    }


def of_features() -> dict[str, list[Line]]:
    """What a call costs more, at least, for what the policy or the secret adds."""
    found = {}
    for name in features.MORE:
        reads, writes = features.units(name)
        found[name] = [Line("reads", "dynamodbRead", reads), Line("writes", "dynamodbWrite", writes)]
    return found


def of_months(metrics: int) -> list[Line]:
    """What is billed each month, with or without calls; the metrics only while calls are made."""
    resources = template()["Resources"]
    types = Counter(resource["Type"] for resource in resources.values())
    shards = int(template()["Parameters"]["DueShards"]["Default"])
    queues = sum(
        event["Type"] == "SQS"
        for resource in resources.values()
        for event in resource.get("Properties", {}).get("Events", {}).values()
    )
    polls = MONTH_MINUTES * IDLE_POLLS_PER_MINUTE * queues
    return [
        Line("The poller's executions, one a minute", "expressRequest", per_month=MONTH_MINUTES),
        Line("Their duration", "expressGbSecond", per_month=MONTH_MINUTES * SWEEP_SECONDS * SWEEP_GB),
        # An eventually consistent query that finds nothing is half a unit.
        Line(f"Their queries of {shards} shards", "dynamodbRead", per_month=MONTH_MINUTES * shards / 2),
        Line("Their traces", "trace", per_month=MONTH_MINUTES),
        Line("The schedule", "schedulerInvocation", per_month=MONTH_MINUTES),
        Line(f"Lambda's requests to {queues} empty queues", "sqsRequest", per_month=polls),
        # Two are the stack's, the other is yours.
        Line("Secrets", "secret", per_month=1 + types["AWS::SecretsManager::Secret"]),
        Line(f"The metrics of {types['AWS::CloudWatch::Alarm']} alarms", "alarmMetric", per_month=alarm_metrics()),
        Line("Dashboard", "dashboard", per_month=types["AWS::CloudWatch::Dashboard"]),
        Line("Custom metrics, in months with calls", "metric", per_month=metrics),
    ]


def timers() -> dict[str, list[Line]]:
    """The cost of watching a call whose webhook was lost: here, and in three other usual ways."""
    asks = CALL_SECONDS // POLL_EVERY_SECONDS
    looking = [
        Line("its Lambda request", "lambdaRequest", 1),
        Line("its duration", "lambdaGbSecond", AWS_ANSWER_SECONDS * 0.5),
        Line("its read", "dynamodbRead", 0.5),
    ]
    return {
        "This stack: two writes of the index, and the sweep": [
            Line("index writes", "dynamodbWrite", 2),
            *(line for line in of_months(0)[:5] if line.price != "trace"),
        ],
        f"A Standard execution for each call that asks every {POLL_EVERY_SECONDS} s": [
            # Place; wait, ask and choose for each time; succeed.
            Line("transitions", "standardTransition", 1 + 3 * asks + 1),
            Line("requests", "lambdaRequest", asks),
            Line("duration", "lambdaGbSecond", asks * 0.5 * ANSWER_SECONDS),
        ],
        "A Standard execution for each call that waits and looks once": [
            # Place, wait, look, choose, succeed.
            Line("transitions", "standardTransition", 5),
            Line("its read", "dynamodbRead", 0.5),
        ],
        "A schedule of EventBridge for each call": [Line("invocations", "schedulerInvocation", 1), *looking],
    }


@cache
def template() -> dict[str, Any]:
    """The template as it is written."""
    read: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    return read


def most_metrics() -> int:
    """How many custom metrics there can be: each that is written in a month is billed for its hours."""
    names = {str(each) for each in Metric}
    names |= {status_metric(each) for each in Status} | {source_metric(each) for each in OutcomeSource}
    names |= {deferral_metric(each) for each in DEFERRALS} | {rejection_metric(each) for each in ReasonCode}
    return len(names | {waiting_metric(each) for each in Priority})


def alarm_metrics() -> int:
    """How many metrics the alarms look at: each is billed."""
    return sum(
        len([each for each in resource["Properties"].get("Metrics", [{"MetricStat": ""}]) if "MetricStat" in each])
        for resource in template()["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    )


def access_log_bytes() -> int:
    """A line of the API's access log, with values of the usual length in it."""
    text: str = template()["Resources"]["HttpApi"]["Properties"]["AccessLogSettings"]["Format"]
    values: Mapping[str, str] = {
        "$context.requestId": "x" * 16,
        "$context.requestTime": "01/Apr/2026:14:32:31 +0000",
        "$context.routeKey": "POST /webhooks/allomia/{requestId}/{attempt}/{signature}",
        "$context.status": "200",
        "$context.responseLatency": "30",
        "$context.integrationLatency": "25",
        "$context.integrationStatus": "200",
        "$context.error.responseType": "-",
    }
    for name, value in values.items():
        text = text.replace(f'"{name}"', json.dumps(value))
    return len(text.strip())


def _gb_seconds(function: str, endurance: Endurance, invocations: Mapping[str, float]) -> float:
    """For each call: its CPU, stretched to the share of a vCPU that the memory brings, and the waiting."""
    memory = int(template()["Resources"][function]["Properties"]["MemorySize"])
    cpu = endurance.stages[-1].cpu_ms[function] / 1000 * VCPU_MB / memory
    waiting = {
        "PlaceCallFunction": ANSWER_SECONDS + 2 * AWS_ANSWER_SECONDS,
        "ReceiveWebhookFunction": AWS_ANSWER_SECONDS,
        "PublishOutcomeFunction": AWS_ANSWER_SECONDS,
    }
    return memory / 1024 * (cpu + waiting[function] * invocations[function])


def _traced(invocations_per_call: float, shape: Shape) -> float:
    """The share of a function's invocations that is recorded."""
    per_second = invocations_per_call * BURST_CALLS_PER_SECOND
    if shape is Shape.SINGLE or per_second <= 1:
        return 1.0
    return (1 + TRACED * (per_second - 1)) / per_second


def both_shapes(figures: Figures) -> dict[Shape, list[Line]]:
    """What a healthy call is billed for, at both ends."""
    return {
        Shape.BURSTS: of_calls(figures.full_batch, figures.endurance, Shape.BURSTS),
        Shape.SINGLE: of_calls(figures.single_calls, figures.endurance, Shape.SINGLE),
    }
