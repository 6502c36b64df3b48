"""What a report says that AWS did is what AWS's metrics and traces say."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from benchmarks.money import price_table
from rehearsal.measured import Metric, costs, measure, metrics_of
from tests.tooling.rehearsal.account import Account

BEGAN, ENDED = datetime(2026, 12, 1, 8, 0, 30, tzinfo=UTC), datetime(2026, 12, 1, 8, 20, tzinfo=UTC)
VALUES = {
    ("AWS/Lambda", "Invocations"): [3.0, 4.0],
    ("AWS/Lambda", "Errors"): [1.0],
    ("AWS/Lambda", "Duration"): [120.4, 80.0],
    ("AWS/DynamoDB", "ConsumedWriteCapacityUnits"): [10.0, 20.0],
    ("AWS/ApiGateway", "Count"): [12.0],
    ("AWS/Logs", "IncomingBytes"): [5e8],
}


def data(params: Any) -> Any:
    assert params["StartTime"] == BEGAN.replace(second=0)
    results = []
    for query in params["MetricDataQueries"]:
        metric = query["MetricStat"]["Metric"]
        values = VALUES.get((metric["Namespace"], metric["MetricName"]), [])
        results.append({"Id": query["Id"], "Values": values})
    return {"MetricDataResults": results}


def summaries(params: Any) -> Any:
    function = params["FilterExpression"].split('"')[1]
    return {"TraceSummaries": [{"Id": "trace"}] if "PlaceCall" in function else []}


def documents(params: Any) -> Any:
    assert params["TraceIds"] == ["trace"]
    started = {"name": "Initialization", "start_time": 10.0, "end_time": 10.8}
    mine = {"name": "calls-PlaceCallFunction", "subsegments": [started, {"name": "Invocation", "start_time": 10.8}]}
    other = {"name": "someone-else", "subsegments": [started]}
    return {"Traces": [{"Segments": [{"Document": json.dumps(each)} for each in (mine, other)]}]}


@pytest.fixture
def account() -> Account:
    answers = {"get_metric_data": data, "get_trace_summaries": summaries, "batch_get_traces": documents}
    return Account(answers=dict(answers))


def test_the_tables_are_made_of_the_metrics_and_traces(account: Account) -> None:
    figures = measure(account.stack(), BEGAN, ENDED, events=5)

    place, *others = figures.functions
    assert place == {
        "function": "PlaceCallFunction",
        "invocations": 7,
        "errors": 1,
        "throttles": 0,
        "ms, median": 120,
        "ms, p99": 120,
        "cold starts traced": 1,
        "ms of the slowest": 800,
    }
    assert [each["cold starts traced"] for each in others] == [0] * 5
    units = {row["what"]: row["units"] for row in figures.costs}
    prices = price_table().prices
    # Two tables and three indexes; six functions.
    assert units[prices["dynamodbWrite"].what] == "150"
    assert units[prices["lambdaRequest"].what] == "42"
    assert units[prices["logGb"].what] == "0.5"
    assert units[prices["busEvent"].what] == "5"


def test_the_sum_is_that_of_its_rows() -> None:
    values = {"CallsTable Write": 2e6, "HttpApi Count": 1e6, "PlaceCallFunction Sum": 1000.0}

    *rows, last = costs(values, {"PlaceCallFunction": 1024}, events=0, traced=0)

    assert last["dollars"] == f"{2 * 0.625 + 1.0 + 13.3334e-6:.6f}"
    assert sum(float(row["dollars"]) for row in rows) == pytest.approx(float(last["dollars"]), abs=1e-6)


def test_the_worst_minute_of_a_percentile_counts() -> None:
    assert Metric("", "", "", (), "p99").total([1.0, 3.0, 2.0]) == 3.0
    assert Metric("", "", "", ()).total([1.0, 3.0, 2.0]) == 6.0


def test_each_metric_has_a_name_of_its_own(account: Account) -> None:
    names = [each.name for each in metrics_of(account.stack())]

    assert len(names) == len(set(names)) < 500
