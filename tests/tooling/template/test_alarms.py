"""A person is told when a person is needed."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import batched
from typing import Any, Final

import pytest

from outbound_calls.contracts import Outcome
from outbound_calls.lifecycle import PLACE_WITHIN_SECONDS, TERMINAL, OutcomeSource, Status, parking_seconds
from outbound_calls.telemetry import Metric, outcome_metrics
from tests.tooling.docs.markdown import code, read, table
from tests.tooling.template.conftest import StackOf
from tests.tooling.template.expressions import evaluate
from tests.tooling.template.rendering import Stack, Template

OURS: Final = "AllomiaOutboundCalls"
MOST_METRICS: Final = 18
"""So that the alarms stay under a dollar a month beyond an account's free ones."""

SOURCES: Final = (OutcomeSource.WEBHOOK, OutcomeSource.POLL, OutcomeSource.DISPATCH, OutcomeSource.DEADLINE)
"""Whose outcomes the functions count."""

EVENTS: Final = {"UnknownOutcomesAlarm", "CallIdsContradictingAlarm", "PlaceCallErrorsAlarm"}
"""Alarms that tell of something that has happened. Their end would only say that a minute has passed."""

AWS_METRICS: Final = {
    # docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): {"QueueName"},
    ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible"): {"QueueName"},
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): {"QueueName"},
    # docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    ("AWS/Lambda", "Errors"): {"FunctionName"},
    ("AWS/Lambda", "Throttles"): {"FunctionName"},
    ("AWS/Lambda", "IteratorAge"): {"FunctionName"},
    # docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
    ("AWS/States", "ExecutionsSucceeded"): {"StateMachineArn"},
    ("AWS/States", "ExecutionsFailed"): {"StateMachineArn"},
    # docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
    ("AWS/ApiGateway", "5xx"): {"ApiId"},
    ("AWS/ApiGateway", "4xx"): {"ApiId"},
}
"""What AWS reports, and by which dimensions."""

IDENTIFIES: Final = {
    "QueueName": ("AWS::SQS::Queue", ".QueueName"),
    "FunctionName": ("AWS::Lambda::Function", ""),
    "StateMachineArn": ("AWS::StepFunctions::StateMachine", ""),
    "ApiId": ("AWS::ApiGatewayV2::Api", ""),
}
"""The type of resource that a dimension names, and the attribute that does."""


@dataclass(frozen=True)
class Watched:
    """A metric that something looks at."""

    namespace: str
    name: str
    dimensions: dict[str, str]
    stat: str


def watched(alarm: Template) -> Iterator[Watched]:
    """The metrics that an alarm looks at: what it is billed for."""
    if "Metrics" not in alarm:
        yield _watched(alarm, alarm.get("Statistic") or alarm["ExtendedStatistic"])
    for query in alarm.get("Metrics", []):
        if "MetricStat" in query:
            yield _watched(query["MetricStat"]["Metric"], query["MetricStat"]["Stat"])


def _watched(metric: Template, stat: str) -> Watched:
    dimensions = {each["Name"]: each["Value"] for each in metric["Dimensions"]}
    return Watched(metric["Namespace"], metric["MetricName"], dimensions, stat)


def emitted() -> set[str]:
    """The metrics that the code can emit."""
    outcomes = (Outcome(status=status, source=source) for status in Status for source in OutcomeSource)
    return {str(metric) for metric in Metric} | {name for outcome in outcomes for name in outcome_metrics(outcome)}


@pytest.fixture(scope="module")
def alarms(stack: Stack) -> dict[str, Template]:
    """The alarms on AWS, by logical id."""
    return dict(stack.of_type("AWS::CloudWatch::Alarm"))


# What they look at.


def test_every_metric_of_an_alarm_exists(stack: Stack, alarms: dict[str, Template]) -> None:
    for name, alarm in alarms.items():
        for metric in watched(alarm):
            assert_exists(stack, metric, name)


def assert_exists(stack: Stack, metric: Watched, where: str) -> None:
    """Fail unless the code or AWS reports this metric by these dimensions."""
    if metric.namespace == OURS:
        assert metric.name in emitted(), where
        assert metric.dimensions == {"service": "${AWS::StackName}"}, where
        return
    assert metric.dimensions.keys() == AWS_METRICS[metric.namespace, metric.name], where
    for dimension, value in metric.dimensions.items():
        kind, attribute = IDENTIFIES[dimension]
        assert value in {f"${{{logical_id}{attribute}}}" for logical_id, _ in stack.of_type(kind)}, where


def test_the_codes_metrics_are_in_the_alarms_namespace_and_dimension(stack: Stack) -> None:
    """The dimension is `service`, by tests/unit/test_telemetry.py; its value and the namespace come from here."""
    for _, function in stack.of_type("AWS::Lambda::Function"):
        variables = function["Environment"]["Variables"]
        assert variables["POWERTOOLS_METRICS_NAMESPACE"] == OURS
        assert variables["POWERTOOLS_SERVICE_NAME"] == "${AWS::StackName}"


def test_the_alarms_cost_what_the_runbook_says(alarms: dict[str, Template]) -> None:
    metrics = sum(len(list(watched(alarm))) for alarm in alarms.values())

    assert metrics <= MOST_METRICS
    assert f"The alarms look at {metrics} metrics" in read("docs/operate/runbook.md")


# When they go off.


@pytest.mark.parametrize(
    ("alarm", "queue"),
    [
        ("DeadLettersAlarm", "DeadLetterQueue"),
        ("InvalidMessagesAlarm", "InvalidMessagesQueue"),
        ("FailedOutcomesAlarm", "FailedOutcomesQueue"),
    ],
)
def test_the_first_message_that_waits_for_a_person_raises_an_alarm(
    alarms: dict[str, Template], alarm: str, queue: str
) -> None:
    (metric,) = watched(alarms[alarm])

    assert metric == Watched(
        "AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": f"${{{queue}.QueueName}}"}, "Maximum"
    )
    assert breaches(alarms[alarm], 1)
    assert not breaches(alarms[alarm], 0)
    assert needs(alarms[alarm]) == (1, 1)


@pytest.mark.parametrize(
    ("alarm", "metric"),
    [
        ("UnknownOutcomesAlarm", outcome_metrics(Outcome(status=Status.UNKNOWN, source=OutcomeSource.DEADLINE))[0]),
        ("AllomiaKeyRefusedAlarm", Metric.KEY_REFUSED),
        ("CallIdsContradictingAlarm", "CallIdsContradicting"),
        ("PlaceCallErrorsAlarm", "Errors"),
    ],
)
def test_a_single_one_raises_an_alarm(alarms: dict[str, Template], alarm: str, metric: str) -> None:
    (looked_at,) = watched(alarms[alarm])

    assert (looked_at.name, looked_at.stat) == (metric, "Sum")
    assert breaches(alarms[alarm], 1)
    assert needs(alarms[alarm])[0] == 1


def test_a_poller_that_fails_or_never_runs_raises_an_alarm(alarms: dict[str, Template]) -> None:
    alarm = alarms["PollerStoppedAlarm"]
    (metric,) = watched(alarm)

    assert metric == Watched("AWS/States", "ExecutionsSucceeded", {"StateMachineArn": "${Poller}"}, "Sum")
    assert breaches(alarm, 0)
    assert not breaches(alarm, 1)
    assert (alarm["Period"], needs(alarm)) == (60, (5, 5))


def test_silence_is_bad_news_of_the_poller_alone(alarms: dict[str, Template]) -> None:
    """All other metrics are written only when something happens, or while a queue is in use."""
    treated = {name: alarm["TreatMissingData"] for name, alarm in alarms.items()}

    assert treated == dict.fromkeys(alarms, "notBreaching") | {"PollerStoppedAlarm": "breaching"}


@pytest.mark.parametrize(
    ("polled", "outcomes", "alarming"),
    [
        (3, 3, True),  # no webhook came
        (3, 14, True),
        (3, 15, False),  # a fifth
        (2, 2, False),  # too few to tell
        (1, 4, False),
        (50, 1000, False),
        (300, 1000, True),
        (None, 1000, False),  # no outcome by poll at all
        (None, None, False),  # a quiet night
    ],
)
def test_webhooks_that_do_not_arrive_are_noticed_by_the_share_of_polls(
    alarms: dict[str, Template], polled: int | None, outcomes: int | None, alarming: bool
) -> None:
    alarm = alarms["WebhooksMissingAlarm"]
    (expression,) = (query["Expression"] for query in alarm["Metrics"] if query["ReturnData"])
    by_id = {query["Id"]: query["MetricStat"] for query in alarm["Metrics"] if "MetricStat" in query}
    looked_at = {name: (each["Metric"]["MetricName"], each["Stat"]) for name, each in by_id.items()}
    assert looked_at == {
        "polled": (outcome_metrics(Outcome(status=Status.COMPLETED, source=OutcomeSource.POLL))[1], "Sum"),
        "outcomes": (Metric.SECONDS_TO_OUTCOME, "SampleCount"),
    }

    values = {"polled": polled, "outcomes": outcomes}
    share = evaluate(expression, {name: value for name, value in values.items() if value is not None})

    assert breaches(alarm, share) is alarming


def test_the_breaker_raises_an_alarm_when_its_first_pause_did_not_help(alarms: dict[str, Template]) -> None:
    """30 seconds touch two minutes of the clock at most."""
    alarm = alarms["CircuitOpenAlarm"]

    assert breaches(alarm, 1)
    assert (alarm["Period"], needs(alarm)) == (60, (3, 15))


def test_one_call_that_is_parked_again_and_again_is_seen_in_each_period(alarms: dict[str, Template]) -> None:
    alarm = alarms["CallsParkedAlarm"]
    longest = parking_seconds(99, 0, max)
    sweep_and_exchange = 60 + 45

    assert breaches(alarm, 1)
    assert longest + sweep_and_exchange < alarm["Period"]
    assert needs(alarm) == (3, 3)
    assert 10 * alarm["Period"] * 3 < PLACE_WITHIN_SECONDS  # long before it is given up


def test_a_refused_key_stays_one_alarm_until_what_was_refused_has_been_tried_again(
    alarms: dict[str, Template],
) -> None:
    alarm = alarms["AllomiaKeyRefusedAlarm"]
    longest = parking_seconds(99, 300, max)

    assert longest < alarm["Period"] * needs(alarm)[1]


def test_requests_may_wait_for_three_deliveries_and_no_longer(stack: Stack, alarms: dict[str, Template]) -> None:
    hidden = stack.properties("CallQueue")["VisibilityTimeout"]

    assert not breaches(alarms["RequestsWaitingAlarm"], 3 * hidden)
    assert breaches(alarms["RequestsWaitingAlarm"], 4 * hidden)


def test_slow_outcomes_are_slower_than_three_polls(alarms: dict[str, Template]) -> None:
    alarm = alarms["SlowOutcomesAlarm"]
    (metric,) = watched(alarm)

    assert (metric.name, metric.stat) == (Metric.SECONDS_TO_OUTCOME, "p90")
    assert not breaches(alarm, 180 * (1 + 2 + 3))
    assert breaches(alarm, 180 * (1 + 2 + 3 + 4) + 1)


def test_an_outcome_that_is_late_is_told_long_before_the_stream_gives_up(
    stack: Stack, alarms: dict[str, Template]
) -> None:
    (mapping,) = (each for _, each in stack.of_type("AWS::Lambda::EventSourceMapping") if "StartingPosition" in each)

    assert breaches(alarms["OutcomesDelayedAlarm"], 1000 * mapping["MaximumRecordAgeInSeconds"] / 10)
    assert not breaches(alarms["OutcomesDelayedAlarm"], 1000 * 60)


def breaches(alarm: Template, value: float | None) -> bool:
    """Whether a period with this value counts as bad."""
    if value is None:
        return bool(alarm["TreatMissingData"] == "breaching")
    threshold: float = alarm["Threshold"]
    compared = {"GreaterThanThreshold": value > threshold, "LessThanThreshold": value < threshold}
    return compared[alarm["ComparisonOperator"]]


def needs(alarm: Template) -> tuple[int, int]:
    """How many bad periods of how many raise the alarm."""
    periods: int = alarm["EvaluationPeriods"]
    return alarm.get("DatapointsToAlarm", periods), periods


# Every function.


def test_errors_and_throttles_of_every_function_raise_an_alarm(stack: Stack, alarms: dict[str, Template]) -> None:
    """By the function's own metric, or by what those see who invoke it."""
    by_api = {statement["FunctionName"] for statement in permissions(stack, "apigateway.amazonaws.com")}
    by_stream = {
        each["FunctionName"]
        for _, each in stack.of_type("AWS::Lambda::EventSourceMapping")
        if "StartingPosition" in each
    }
    machine = str(stack.properties("Poller"))
    looked_at = [metric for alarm in alarms.values() for metric in watched(alarm)]

    for logical_id, _ in stack.of_type("AWS::Lambda::Function"):
        name, live = f"${{{logical_id}}}", f"${{{logical_id}Aliaslive}}"
        own = {metric.name for metric in looked_at if metric.dimensions == {"FunctionName": name}}
        told = (
            own >= {"Errors", "Throttles"}
            or (live in by_stream and "IteratorAge" in own)
            or (live in by_api and any(metric.name == "5xx" for metric in looked_at))
            or (live in machine and any(metric.namespace == "AWS/States" for metric in looked_at))
        )
        assert told, logical_id


def permissions(stack: Stack, principal: str) -> list[dict[str, Any]]:
    return [each for _, each in stack.of_type("AWS::Lambda::Permission") if each["Principal"] == principal]


# Who is told what.


def test_every_alarm_tells_the_topic_and_so_does_the_end_of_what_lasts(alarms: dict[str, Template]) -> None:
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == ["${AlarmTopic}"], name
        assert alarm.get("OKActions") == (None if name in EVENTS else ["${AlarmTopic}"]), name
        assert alarm.get("ActionsEnabled", True), name


def test_every_alarm_names_its_section_of_the_runbook(alarms: dict[str, Template]) -> None:
    runbook = read("docs/operate/runbook.md")
    sections = set(re.findall(r"^## (.+)$", runbook, re.MULTILINE))
    anchors = {name: re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name.removesuffix("Alarm")).lower() for name in alarms}

    for name, alarm in alarms.items():
        said, _, address = alarm["AlarmDescription"].partition(" docs/operate/runbook.md")
        assert re.fullmatch(r"[A-Z][^.]+\.", said), name
        assert address == f"#{anchors[name]}", name
    assert {section.lower().replace(" ", "-") for section in sections} == set(anchors.values())
    assert [row[0] for row in table(runbook, "alarm", "means")] == [f"[{name}](#{anchors[name]})" for name in alarms]


def test_every_section_of_the_runbook_answers_the_same_questions() -> None:
    for section in read("docs/operate/runbook.md").split("\n## ")[1:]:
        asked = re.findall(r"^\*\*([A-Z][a-z ]+)\.\*\* \S", section, re.MULTILINE)
        assert asked == ["Means", "Look", "Do", "Over", "False alarms"], section.partition("\n")[0]
        look = section.partition("**Look.**")[2].partition("**Do.**")[0]
        assert "```sh" in look or "`calls " in look, section.partition("\n")[0]


def test_the_runbook_names_what_exists(stack: Stack) -> None:
    runbook = read("docs/operate/runbook.md")

    assert set(re.findall(r"\bresource (\w+)\)", runbook)) <= stack.resources.keys()
    assert set(re.findall(r"\boutput (\w+)\)", runbook)) <= stack.outputs.keys()
    groups = {group["LogGroupName"].removeprefix("/aws/lambda/") for _, group in stack.of_type("AWS::Logs::LogGroup")}
    assert {f"${{AWS::StackName}}/{name}" for name in re.findall(r"^ask (\S+) '", runbook, re.MULTILINE)} <= groups
    vended = re.findall(r'"(/aws/vendedlogs/\S+)"', runbook)
    assert {name.replace("$STACK", "${AWS::StackName}") for name in vended} <= groups
    parameters = stack.template["Parameters"].keys()
    assert {name for name in code(runbook) if re.fullmatch(r"[A-Z]\w+(Seconds|Concurrency|Days|Url)", name)} <= {
        *parameters,
        *stack.outputs,
    }


def test_the_topic_tells_the_address_that_was_given(stack_of: StackOf) -> None:
    assert stack_of(AlarmEmail="on-call@clinic.example").properties("AlarmSubscription") == {
        "TopicArn": "${AlarmTopic}",
        "Protocol": "email",
        "Endpoint": "on-call@clinic.example",
    }
    assert "AlarmSubscription" not in stack_of().resources


def test_the_local_cloud_is_spared_what_it_does_not_have(stack_of: StackOf, alarms: dict[str, Template]) -> None:
    local = dict(stack_of(Environment="local").of_type("AWS::CloudWatch::Alarm"))

    assert alarms.keys() - local.keys() == {name for name, alarm in alarms.items() if "Metrics" in alarm}


# The dashboard.


@pytest.fixture(scope="module")
def widgets(stack: Stack) -> list[dict[str, Any]]:
    body = json.loads(stack.properties("Dashboard")["DashboardBody"])
    return list(body["widgets"])


def shown(widget: dict[str, Any]) -> Iterator[Watched]:
    """A widget's metrics, with CloudWatch's shorthand written out: `.` and `...` stand for what came before.

    docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    """
    before: list[str] = []
    for metric in widget["properties"]["metrics"]:
        names = [each for each in metric if isinstance(each, str)]
        if not names:
            continue
        if names[0] == "...":
            names = before[: len(before) - len(names) + 1] + names[1:]
        before = [before[at] if name == "." else name for at, name in enumerate(names)]
        namespace, name, *dimensions = before
        options = next((each for each in metric if isinstance(each, dict)), {})
        stat = options.get("stat", widget["properties"].get("stat"))
        yield Watched(namespace, name, dict(batched(dimensions, 2, strict=True)), stat)


def test_every_metric_of_the_dashboard_exists(stack: Stack, widgets: list[dict[str, Any]]) -> None:
    metrics = [
        (widget["properties"]["title"], each)
        for widget in widgets
        if widget["type"] == "metric"
        for each in shown(widget)
    ]

    assert len(metrics) > 40
    for title, metric in metrics:
        assert_exists(stack, metric, title)
        assert metric.stat, title


def test_the_dashboard_answers_what_somebody_asks_who_looks_in(widgets: list[dict[str, Any]]) -> None:
    names = {
        widget["properties"]["title"]: {metric.name for metric in shown(widget)}
        for widget in widgets
        if widget["type"] == "metric"
    }
    by_status = {outcome_metrics(Outcome(status=status, source=OutcomeSource.POLL))[0] for status in TERMINAL}
    by_source = {outcome_metrics(Outcome(status=Status.FAILED, source=source))[1] for source in SOURCES}

    assert names["Outcomes by status"] == by_status
    assert names["Outcomes by source"] == by_source
    assert by_source < names["In flight, and waiting on the queue"]
    (latency,) = (each for each in widgets if each["properties"]["title"] == "Seconds from dispatch to outcome")
    assert [metric.stat for metric in shown(latency)] == ["p50", "p95"]


def test_every_alarm_is_on_the_dashboard(stack_of: StackOf) -> None:
    for environment in ("local", "prod"):
        stack = stack_of(Environment=environment)
        first = json.loads(stack.properties("Dashboard")["DashboardBody"])["widgets"][0]
        # (Those of a release are for CodeDeploy.)
        alarms = stack.of_type("AWS::CloudWatch::Alarm")
        names = [f"${{{name}.Arn}}" for name, each in alarms if "AlarmActions" in each]
        assert first["properties"]["alarms"] == names


def test_an_expression_on_the_dashboard_names_the_metrics_beside_it(widgets: list[dict[str, Any]]) -> None:
    options = [
        [part for part in metric if isinstance(part, dict)]
        for widget in widgets
        if widget["type"] == "metric"
        for metric in widget["properties"]["metrics"]
    ]
    ids = {each["id"] for (each,) in filter(None, options) if "id" in each}
    (expression,) = (each["expression"] for (each,) in filter(None, options) if "expression" in each)

    assert set(re.findall(r"[a-z]+", expression)) == ids - {"flying"}


def test_no_widget_covers_another(widgets: list[dict[str, Any]]) -> None:
    covered = [
        (x, y)
        for each in widgets
        for x in range(each["x"], each["x"] + each["width"])
        for y in range(each["y"], each["y"] + each["height"])
    ]

    assert len(covered) == len(set(covered))
    assert max(x for x, _ in covered) == 23
