"""What AWS did during a rehearsal, by its own metrics and traces: durations, cold starts, and what it costs.

Durations and counts are CloudWatch's. A cold start is a trace with an Initialization subsegment: the stack's functions
leave out Lambda's REPORT lines (SystemLogLevel WARN). Prices are those of the cost page.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import Any

from benchmarks.money import price_table
from calls.operations.stack import DeployedStack
from rehearsal.steps import FUNCTIONS

MINUTE = 60
QUERIES_PER_REQUEST = 500
"""docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html"""

TRACES_PER_REQUEST = 5
"""docs.aws.amazon.com/xray/latest/api/API_BatchGetTraces.html"""

type Values = Mapping[str, float]
"""What each metric adds up to, by its name here."""


@dataclass(frozen=True)
class Metric:
    """A metric of one resource. Sums are added up over the minutes; of percentiles the worst minute counts."""

    name: str
    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str = "Sum"

    def query(self, number: int) -> dict[str, Any]:
        """The metric in a request for data."""
        dimensions = [{"Name": name, "Value": value} for name, value in self.dimensions]
        metric = {"Namespace": self.namespace, "MetricName": self.metric, "Dimensions": dimensions}
        return {"Id": f"m{number}", "MetricStat": {"Metric": metric, "Period": MINUTE, "Stat": self.statistic}}

    def total(self, values: Sequence[float]) -> float:
        """What its minutes come to."""
        return sum(values) if self.statistic == "Sum" else max(values, default=0.0)


def metrics_of(stack: DeployedStack) -> list[Metric]:
    """What is asked for. The names of metrics and dimensions are those of each service's page on CloudWatch metrics."""
    found = []
    for name in FUNCTIONS:
        function = (("FunctionName", stack.resource(name)),)
        found += [Metric(f"{name} {each}", "AWS/Lambda", each, function) for each in ("Invocations", "Errors")]
        found += [Metric(f"{name} Throttles", "AWS/Lambda", "Throttles", function)]
        found += [Metric(f"{name} {each}", "AWS/Lambda", "Duration", function, each) for each in ("Sum", "p50", "p99")]
    for name in ("CallsTable", "PolicyTable"):
        table = ("TableName", stack.resource(name))
        found += [
            Metric(f"{name} {what}", "AWS/DynamoDB", f"Consumed{what}CapacityUnits", (table,))
            for what in ("Read", "Write")
        ]
    for index in ("due", "ended", "waiting"):
        dimensions = (("TableName", stack.resource("CallsTable")), ("GlobalSecondaryIndexName", index))
        found += [
            Metric(f"{index} {what}", "AWS/DynamoDB", f"Consumed{what}CapacityUnits", dimensions)
            for what in ("Read", "Write")
        ]
    for name in ("CallQueue", "HandedOnQueue", "InvalidMessagesQueue"):
        queue = (("QueueName", stack.resource(name).rpartition("/")[2]),)
        found += [
            Metric(f"{name} {each}", "AWS/SQS", each, queue)
            for each in ("NumberOfMessagesSent", "NumberOfMessagesReceived", "NumberOfMessagesDeleted")
        ]
        found += [Metric(f"{name} NumberOfEmptyReceives", "AWS/SQS", "NumberOfEmptyReceives", queue)]
    for group in stack.of_type("AWS::Logs::LogGroup"):
        log = (("LogGroupName", group.id),)
        found += [Metric(f"{group.name} IncomingBytes", "AWS/Logs", "IncomingBytes", log)]
    api = (("ApiId", stack.resource("HttpApi")),)
    found += [Metric("HttpApi Count", "AWS/ApiGateway", "Count", api)]
    found += [Metric(f"HttpApi {each}", "AWS/ApiGateway", "Latency", api, each) for each in ("p50", "p99")]
    return found


def read(stack: DeployedStack, began: datetime, ended: datetime) -> dict[str, float]:
    """What the metrics come to between the two times, to the minute."""
    metrics = metrics_of(stack)
    collected: dict[int, list[float]] = {number: [] for number in range(len(metrics))}
    cloudwatch = stack.client("cloudwatch")
    for some in batched(range(len(metrics)), QUERIES_PER_REQUEST, strict=False):
        pages = cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=[metrics[number].query(number) for number in some],
            StartTime=began.replace(second=0, microsecond=0),
            EndTime=ended,
        )
        for page in pages:
            for result in page["MetricDataResults"]:
                collected[int(result["Id"][1:])] += result["Values"]
    return {metrics[number].name: metrics[number].total(each) for number, each in collected.items() if each}


def functions(values: Values, cold: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    """A row for each function that ran: how often, how long, and how often it started first."""
    rows = []
    for name in FUNCTIONS:
        if values.get(f"{name} Invocations"):
            starts = cold.get(name, [])
            rows.append(
                {
                    "function": name,
                    "invocations": int(values[f"{name} Invocations"]),
                    "errors": int(values.get(f"{name} Errors", 0)),
                    "throttles": int(values.get(f"{name} Throttles", 0)),
                    "ms, median": round(values.get(f"{name} p50", 0)),
                    "ms, p99": round(values.get(f"{name} p99", 0)),
                    "cold starts traced": len(starts),
                    "ms of the slowest": round(max(starts, default=0.0) * 1000),
                }
            )
    return rows


def costs(values: Values, memory_mb: Mapping[str, int], events: int, traced: int) -> list[dict[str, Any]]:
    """A row for each thing that is billed, by the counts of the run and without the free tier; the sum last.

    SQS bills requests and reports messages, so its row is the most that they can come to.
    """
    gb_seconds = sum(values.get(f"{name} Sum", 0) / 1000 * memory_mb[name] / 1024 for name in memory_mb)
    units = {
        "dynamodbWrite": _sum(values, " Write"),
        "dynamodbRead": _sum(values, " Read"),
        "sqsRequest": _sum(values, " NumberOfMessages", " NumberOfEmptyReceives"),
        "httpApiRequest": values.get("HttpApi Count", 0.0),
        "busEvent": float(events),
        "lambdaRequest": _sum(values, " Invocations"),
        "lambdaGbSecond": gb_seconds,
        "trace": float(traced),
        "logGb": _sum(values, " IncomingBytes") / 1e9,
    }
    prices = price_table().prices
    rows = []
    total = 0.0
    for price, count in units.items():
        dollars = count * prices[price].dollars / prices[price].per
        total += dollars
        rows.append({"what": prices[price].what, "units": f"{count:.6g}", "dollars": f"{dollars:.6f}"})
    return [*rows, {"what": "sum", "units": "", "dollars": f"{total:.6f}"}]


def _sum(values: Values, *parts: str) -> float:
    return sum(value for name, value in values.items() if any(part in name for part in parts))


def traces(stack: DeployedStack, began: datetime, ended: datetime) -> Iterator[list[dict[str, Any]]]:
    """The segments of each trace of the stack's functions.

    X-Ray records the first request of a second, and 5 % of the rest:
    docs.aws.amazon.com/lambda/latest/dg/services-xray.html
    """
    xray = stack.client("xray")
    names = [stack.resource(name) for name in FUNCTIONS]
    ids: list[str] = []
    for name in names:
        pages = xray.get_paginator("get_trace_summaries").paginate(
            StartTime=began, EndTime=ended, FilterExpression=f'service("{name}")'
        )
        ids += [each["Id"] for page in pages for each in page["TraceSummaries"]]
    for some in batched(dict.fromkeys(ids), TRACES_PER_REQUEST, strict=False):
        for page in xray.get_paginator("batch_get_traces").paginate(TraceIds=list(some)):
            for trace in page["Traces"]:
                yield [json.loads(each["Document"]) for each in trace["Segments"]]


def cold_starts(stack: DeployedStack, documents: Iterable[Sequence[Mapping[str, Any]]]) -> dict[str, list[float]]:
    """How long each traced start of a function took, in seconds.

    The same page names the subsegment Initialization in one place and Init in another.
    """
    by_id = {stack.resource(name): name for name in FUNCTIONS}
    starts: dict[str, list[float]] = {}
    for segments in documents:
        for segment in segments:
            function = by_id.get(segment["name"])
            for part in segment.get("subsegments", []):
                if function and part["name"] in {"Initialization", "Init"} and "end_time" in part:
                    starts.setdefault(function, []).append(part["end_time"] - part["start_time"])
    return starts


@dataclass(frozen=True)
class RunFigures:
    """The two tables of a report."""

    functions: list[dict[str, Any]]
    costs: list[dict[str, Any]]


def measure(stack: DeployedStack, began: datetime, ended: datetime, events: int) -> RunFigures:
    """Read everything, and put it into the report's two tables."""
    documents = list(traces(stack, began, ended))
    lambda_ = stack.client("lambda")
    memory = {
        name: lambda_.get_function_configuration(FunctionName=stack.resource(name))["MemorySize"] for name in FUNCTIONS
    }
    values = read(stack, began, ended)
    return RunFigures(
        functions(values, cold_starts(stack, documents)), costs(values, memory, events, traced=len(documents))
    )
