"""The dashboard: its metrics exist, its alarms are all there, its widgets don't overlap."""

import json
import re
from collections.abc import Iterator
from itertools import batched
from typing import Any, Final

import pytest

from outbound_calls.contracts.vocabulary import OutcomeSource
from outbound_calls.domain.transitions import TERMINAL
from outbound_calls.runtime.telemetry import source_metric, status_metric
from tests.tooling.template.conftest import StackOf
from tests.tooling.template.rendering import RenderedStack
from tests.tooling.template.test_alarms import Watched, assert_exists
from tools import dashboard

NOT_IN_FLIGHT: Final = {OutcomeSource.UPSTREAM, OutcomeSource.OPERATOR}
"""They cancel what was not dialled, and resolve what left the calls in flight when it became unknown."""

FREE_METRICS: Final = 50
"""On a dashboard within the free tier. Source: aws.amazon.com/cloudwatch/pricing"""


@pytest.fixture(scope="module")
def charts(stack: RenderedStack) -> dict[str, dict[str, Any]]:
    """The widgets that show metrics, by title."""
    widgets = json.loads(stack.properties("Dashboard")["DashboardBody"])["widgets"]
    return {each["properties"]["title"]: each["properties"] for each in widgets if each["type"] == "metric"}


def shown(chart: dict[str, Any]) -> Iterator[Watched]:
    """A widget's metrics, with CloudWatch's shorthand expanded: `.` and `...` repeat the line before.

    docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    """
    before: list[str] = []
    for metric in chart["metrics"]:
        names = [each for each in metric if isinstance(each, str)]
        if not names:
            continue
        if names[0] == "...":
            names = before[: len(before) - len(names) + 1] + names[1:]
        before = [before[at] if name == "." else name for at, name in enumerate(names)]
        namespace, name, *dimensions = before
        options = next((each for each in metric if isinstance(each, dict)), {})
        stat: str = options.get("stat", chart.get("stat", ""))
        yield Watched(namespace, name, dict(batched(dimensions, 2, strict=True)), stat)


def test_every_metric_of_the_dashboard_exists(stack: RenderedStack, charts: dict[str, dict[str, Any]]) -> None:
    metrics = [(title, metric) for title, chart in charts.items() for metric in shown(chart)]

    assert len(metrics) > 40
    assert len({(each.namespace, each.name, *each.dimensions.values()) for _, each in metrics}) <= FREE_METRICS
    for title, metric in metrics:
        assert_exists(stack, metric, title)
        assert metric.stat, title


def test_the_dashboard_shows_outcomes_latency_and_calls_in_flight(charts: dict[str, dict[str, Any]]) -> None:
    names = {title: {metric.name for metric in shown(chart)} for title, chart in charts.items()}
    by_source = {source: source_metric(source) for source in OutcomeSource}
    latency = charts["Seconds from dispatch to outcome"]

    assert names["Outcomes by status"] == {status_metric(each) for each in TERMINAL}
    assert names["Outcomes by source"] == {*by_source.values()}
    assert {name for source, name in by_source.items() if source not in NOT_IN_FLIGHT} == {
        name for name in names["In flight and queued"] if name.startswith("OutcomeBy")
    }
    assert [metric.stat for metric in shown(latency)] == ["p50", "p95"]


def test_the_expression_for_calls_in_flight_uses_the_metrics_beside_it(charts: dict[str, dict[str, Any]]) -> None:
    lines = [line for chart in charts.values() for line in chart["metrics"]]
    options = [each for line in lines for each in line if isinstance(each, dict)]
    (expression,) = (each["expression"] for each in options if "expression" in each)

    assert set(re.findall(r"[a-z]+", expression)) == {each["id"] for each in options if "id" in each} - {"flying"}


@pytest.mark.parametrize("environment", ["local", "prod"])
def test_the_dashboard_lists_every_alarm_but_codedeploys(stack_of: StackOf, environment: str) -> None:
    stack = stack_of(Environment=environment)
    listed = json.loads(stack.properties("Dashboard")["DashboardBody"])["widgets"][0]["properties"]["alarms"]
    notifying = [name for name, each in stack.of_type("AWS::CloudWatch::Alarm") if "AlarmActions" in each]

    assert sorted(listed) == sorted(f"${{{name}.Arn}}" for name in notifying)


def test_no_widget_overlaps_another(stack: RenderedStack) -> None:
    covered = [
        (x, y)
        for each in json.loads(stack.properties("Dashboard")["DashboardBody"])["widgets"]
        for x in range(each["x"], each["x"] + each["width"])
        for y in range(each["y"], each["y"] + each["height"])
    ]

    assert len(covered) == len(set(covered))
    assert max(x for x, _ in covered) == 23


def test_the_picture_in_the_docs_shows_these_widgets(stack: RenderedStack) -> None:
    body = stack.properties("Dashboard")["DashboardBody"]

    assert json.loads(body.replace("${AWS::StackName}", "")) == {
        "start": "-PT12H",
        "widgets": json.loads(json.dumps(dashboard.widgets()).replace("${AWS::StackName}", "")),
    }
    assert dashboard.FILE.read_text() == dashboard.picture(), "run python -m tools.dashboard"


def test_a_picture_shows_calls_in_flight_by_the_dashboards_expression() -> None:
    placed: dashboard.Series = [3.0, 1.0, None, *[0.0] * (dashboard.PERIODS - 3)]
    ended: dashboard.Series = [0.0, 2.0, 2.0, *[0.0] * (dashboard.PERIODS - 3)]

    in_flight = dashboard.running_sum("RUNNING_SUM(FILL(a,0)-FILL(b,0))", {"a": placed, "b": ended})

    assert in_flight[:4] == [3, 2, 0, 0]
    with pytest.raises(ValueError, match="MAX"):
        dashboard.running_sum("MAX(a)", {"a": placed})
