"""The alarms: what they watch, when they fire, which topic they notify. tests/stack shows that they fire."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from outbound_calls.contracts.vocabulary import OutcomeSource, Priority, ReasonCode, Status
from outbound_calls.domain.timing import DEFERRALS, EXPIRE_AFTER_SECONDS, KEY_DECLINED_BACKOFF_SECONDS, backoff_seconds
from outbound_calls.domain.transitions import TERMINAL
from outbound_calls.policy.evaluation import UNREADABLE_LOOK_SECONDS
from outbound_calls.runtime.telemetry import (
    Metric,
    deferral_metric,
    ending_metrics,
    needs_a_person,
    rejection_metric,
    source_metric,
    status_metric,
    waiting_metric,
)
from tests.tooling.docs.markdown import code, read, table
from tests.tooling.template.conftest import StackOf
from tests.tooling.template.expressions import breaches, evaluate, needs
from tests.tooling.template.rendering import RenderedStack, Template

OURS: Final = "AllomiaOutboundCalls"
MOST_METRICS: Final = 24
"""Limits the alarms' cost to 1.40 dollars a month beyond an account's free ones."""

EVENTS: Final = {
    "UnknownOutcomesAlarm",
    "RejectedRequestsAlarm",
    "ExpiredRequestsAlarm",
    "CallIdsContradictingAlarm",
    "WebhooksContradictingAlarm",
    "PlaceCallErrorsAlarm",
}
"""Alarms on single events. Their end would only mean that a minute has passed."""

# docs.aws.amazon.com: AWSSimpleQueueService, sqs-available-cloudwatch-metrics; lambda, monitoring-metrics-types;
# step-functions, procedure-cw-metrics; apigateway, http-api-metrics
AWS_METRICS: Final[dict[tuple[str, str], list[set[str]]]] = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): [{"QueueName"}],
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): [{"QueueName"}],
    ("AWS/Lambda", "Errors"): [{"FunctionName"}, {"FunctionName", "Resource"}],
    ("AWS/Lambda", "Throttles"): [{"FunctionName"}],
    ("AWS/Lambda", "IteratorAge"): [{"FunctionName"}],
    ("AWS/States", "ExecutionsSucceeded"): [{"StateMachineArn"}],
    ("AWS/States", "ExecutionsFailed"): [{"StateMachineArn"}],
    ("AWS/ApiGateway", "5xx"): [{"ApiId"}],
}
"""AWS's metrics, and the sets of dimensions that AWS reports them by."""

IDENTIFIES: Final = {
    "QueueName": ("AWS::SQS::Queue", ".QueueName}"),
    "FunctionName": ("AWS::Lambda::Function", "}"),
    "Resource": ("AWS::Lambda::Function", "}:live"),
    "StateMachineArn": ("AWS::StepFunctions::StateMachine", "}"),
    "ApiId": ("AWS::ApiGatewayV2::Api", "}"),
}
"""The type of resource that a dimension names, and how its value ends."""


@dataclass(frozen=True)
class Watched:
    """A metric that an alarm or the dashboard reads."""

    namespace: str
    name: str
    dimensions: dict[str, str]
    stat: str


def watched(alarm: Template) -> Iterator[Watched]:
    """The metrics that an alarm reads, and is billed for."""
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
    by_reason = {*map(deferral_metric, DEFERRALS), *map(rejection_metric, ReasonCode)}
    waiting = {*map(waiting_metric, Priority)}
    return {*map(str, Metric), *map(status_metric, TERMINAL), *map(source_metric, OutcomeSource), *by_reason, *waiting}


def assert_exists(stack: RenderedStack, metric: Watched, where: str) -> None:
    """Fail unless the code or AWS reports this metric with these dimensions."""
    if metric.namespace == OURS:
        assert metric.name in emitted(), where
        assert metric.dimensions == {"service": "${AWS::StackName}"}, where
        return
    assert metric.dimensions.keys() in AWS_METRICS[metric.namespace, metric.name], where
    for dimension, value in metric.dimensions.items():
        kind, end = IDENTIFIES[dimension]
        assert value in {f"${{{logical_id}{end}" for logical_id, _ in stack.of_type(kind)}, where


@pytest.fixture(scope="module")
def alarms(stack: RenderedStack) -> dict[str, Template]:
    """The alarms on AWS, by logical id."""
    return dict(stack.of_type("AWS::CloudWatch::Alarm"))


def test_every_metric_of_an_alarm_exists(prod: RenderedStack) -> None:
    for name, alarm in prod.of_type("AWS::CloudWatch::Alarm"):
        for metric in watched(alarm):
            assert_exists(prod, metric, name)


def test_an_alarm_on_errors_ignores_versions_that_fail_their_check(prod: RenderedStack) -> None:
    for name, alarm in prod.of_type("AWS::CloudWatch::Alarm"):
        for metric in watched(alarm):
            assert metric.name != "Errors" or "Resource" in metric.dimensions, name


def test_the_runbook_states_the_alarms_cost(alarms: dict[str, Template]) -> None:
    metrics = sum(len(list(watched(alarm))) for alarm in alarms.values())

    assert metrics <= MOST_METRICS
    assert f"The alarms look at {metrics} metrics" in read("docs/operate/runbook.md")


def test_the_metrics_page_has_every_metric_with_its_alarms(alarms: dict[str, Template]) -> None:
    page = read("docs/operate/metrics.md")
    read_by = {
        (metric.name, name)
        for name, alarm in alarms.items()
        for metric in watched(alarm)
        if metric.namespace == OURS and "ReleaseAlarm" not in name
    }
    rows = [
        (code(cells[1]), re.findall(r"\[(\w+)\]", cells[3]))
        for cells in (line.split("|") for line in page.splitlines() if line.startswith("| `"))
    ]
    named = [name for names, _ in rows for name in names]

    # A request is rejected for some of the reason codes only.
    assert len(named) == len(set(named))
    assert {name for name in emitted() - set(named) if not name.startswith("Rejected")} == set()
    assert set(named) <= emitted()
    assert {(name, alarm) for names, its in rows for name in names for alarm in its} == read_by


@pytest.mark.parametrize("queue", ["DeadLetterQueue", "InvalidMessagesQueue", "FailedOutcomesQueue"])
def test_the_first_message_that_needs_a_person_raises_an_alarm(alarms: dict[str, Template], queue: str) -> None:
    name = {"DeadLetterQueue": "DeadLettersAlarm"}.get(queue, queue.replace("Queue", "Alarm"))
    (metric,) = watched(alarms[name])

    assert (metric.name, metric.stat) == ("ApproximateNumberOfMessagesVisible", "Maximum")
    assert metric.dimensions == {"QueueName": f"${{{queue}.QueueName}}"}
    assert breaches(alarms[name], 1)
    assert not breaches(alarms[name], 0)
    assert needs(alarms[name]) == (1, 1)


@pytest.mark.parametrize(
    ("alarm", "metric"),
    [
        ("UnknownOutcomesAlarm", status_metric(Status.UNKNOWN)),
        ("RejectedRequestsAlarm", Metric.REQUESTS_TO_CORRECT),
        ("ExpiredRequestsAlarm", rejection_metric(ReasonCode.EXPIRED)),
        ("PolicyUnreadableAlarm", Metric.POLICY_UNREADABLE),
        ("AllomiaKeyDeclinedAlarm", Metric.KEY_DECLINED),
        ("CallsRefusedAlarm", Metric.CALLS_REFUSED),
        ("CallIdsContradictingAlarm", Metric.CALL_IDS_CONTRADICTING),
        ("WebhooksContradictingAlarm", Metric.WEBHOOKS_CONTRADICTING),
        ("PlaceCallErrorsAlarm", "Errors"),
    ],
)
def test_a_single_event_raises_an_alarm(alarms: dict[str, Template], alarm: str, metric: str) -> None:
    (found,) = watched(alarms[alarm])

    assert (found.name, found.stat) == (metric, "Sum")
    assert breaches(alarms[alarm], 1)
    assert needs(alarms[alarm])[0] == 1


def test_every_outcome_that_needs_a_person_has_an_alarm_on_a_count_of_publish_outcome(
    alarms: dict[str, Template],
) -> None:
    looked_at = {metric.name for alarm in alarms.values() for metric in watched(alarm)}

    for status in TERMINAL:
        for reason in (None, *ReasonCode):
            # One alarm for each thing that a person must look at
            raising = looked_at.intersection(ending_metrics(status, reason))
            assert len(raising) == needs_a_person(status, reason), (status, reason)


def test_what_policy_does_on_purpose_raises_no_alarm(alarms: dict[str, Template]) -> None:
    looked_at = {metric.name for alarm in alarms.values() for metric in watched(alarm)}
    deferred = {Metric.CALLS_DEFERRED, *map(deferral_metric, DEFERRALS)}
    rejected = {
        name
        for code in (ReasonCode.DO_NOT_CALL, ReasonCode.RECIPIENT_CAP)
        for name in ending_metrics(Status.REJECTED, code)
    }

    assert not looked_at & (deferred | rejected)


def test_a_poller_that_fails_or_never_runs_raises_an_alarm(alarms: dict[str, Template]) -> None:
    alarm = alarms["PollerStoppedAlarm"]
    (metric,) = watched(alarm)

    assert (metric.name, metric.stat) == ("ExecutionsSucceeded", "Sum")
    assert breaches(alarm, 0)
    assert not breaches(alarm, 1)
    assert (alarm["Period"], needs(alarm)) == (60, (5, 5))
    # All other metrics exist only while something happens, so missing data is good news
    treatment = {name: each["TreatMissingData"] for name, each in alarms.items()}
    assert treatment == dict.fromkeys(alarms, "notBreaching") | {"PollerStoppedAlarm": "breaching"}


@pytest.mark.parametrize(
    ("polled", "outcomes", "alarming"),
    [
        (3, 3, True),  # no webhook arrived
        (3, 14, True),
        (3, 15, False),  # a fifth
        (2, 2, False),  # too few to tell
        (1, 4, False),
        (50, 1000, False),
        (300, 1000, True),
        (None, 1000, False),  # no outcome by poll
        (None, None, False),  # a quiet night
    ],
)
def test_the_share_of_polled_outcomes_shows_missing_webhooks(
    alarms: dict[str, Template], polled: int | None, outcomes: int | None, alarming: bool
) -> None:
    alarm = alarms["WebhooksMissingAlarm"]
    (expression,) = (query["Expression"] for query in alarm["Metrics"] if query["ReturnData"])
    by_id = {query["Id"]: query["MetricStat"] for query in alarm["Metrics"] if "MetricStat" in query}
    assert {name: (each["Metric"]["MetricName"], each["Stat"]) for name, each in by_id.items()} == {
        "polled": (source_metric(OutcomeSource.POLL), "Sum"),
        "outcomes": (Metric.DISPATCH_TO_OUTCOME_SECONDS, "SampleCount"),
    }

    values = {"polled": polled, "outcomes": outcomes}
    share = evaluate(expression, {name: value for name, value in values.items() if value is not None})

    assert breaches(alarm, share) is alarming


def test_the_circuit_breaker_raises_an_alarm_after_more_than_its_first_pause(alarms: dict[str, Template]) -> None:
    # The first pause of 30 seconds falls into two periods at most
    assert breaches(alarms["CircuitOpenAlarm"], 1)
    assert alarms["CircuitOpenAlarm"]["Period"] == 60
    assert needs(alarms["CircuitOpenAlarm"]) == (3, 15)


def test_an_attempt_that_is_parked_repeatedly_counts_in_every_period(alarms: dict[str, Template]) -> None:
    alarm = alarms["CallsParkedAlarm"]
    longest_backoff = backoff_seconds(99, 0, max)
    sweep_and_exchange = 60 + 45

    assert breaches(alarm, 1)
    assert longest_backoff + sweep_and_exchange < alarm["Period"]
    assert needs(alarm) == (3, 3)
    # It fires long before the attempt expires
    assert 10 * alarm["Period"] * 3 < EXPIRE_AFTER_SECONDS


def test_a_declined_key_is_one_alarm_until_the_parked_attempts_were_retried(alarms: dict[str, Template]) -> None:
    alarm = alarms["AllomiaKeyDeclinedAlarm"]

    assert backoff_seconds(99, KEY_DECLINED_BACKOFF_SECONDS, max) < alarm["Period"] * needs(alarm)[1]


def test_an_unreadable_policy_is_one_alarm_until_the_parked_attempts_were_retried(alarms: dict[str, Template]) -> None:
    alarm, sweep_and_exchange = alarms["PolicyUnreadableAlarm"], 60 + 45

    assert UNREADABLE_LOOK_SECONDS + sweep_and_exchange < alarm["Period"] * needs(alarm)[1]


def test_the_time_thresholds_allow_for_normal_retries(stack: RenderedStack, alarms: dict[str, Template]) -> None:
    hidden = stack.properties("CallQueue")["VisibilityTimeout"]
    grace, polls = 180, 1 + 2 + 3
    give_up = stack.event_source("PublishOutcomeFunction")["MaximumRecordAgeInSeconds"]

    allowed = {
        "RequestsWaitingAlarm": (3 * hidden, 4 * hidden),
        "SlowOutcomesAlarm": (grace * polls, grace * (polls + 4) + 1),
        "OutcomesDelayedAlarm": (1000 * 60, 1000 * give_up / 10),
        "LinesDelayedAlarm": (1000 * 60, 1000 * give_up / 10),
        # A call lasts minutes, and the keeper measures each minute
        "UrgentCallsWaitingAlarm": (240, 600),
    }
    for name, (normal, late) in allowed.items():
        assert not breaches(alarms[name], normal), name
        assert breaches(alarms[name], late), name


def test_errors_and_throttles_of_every_function_raise_an_alarm(
    stack: RenderedStack, alarms: dict[str, Template]
) -> None:
    """By the function's own metrics, or by those of what invokes it."""
    looked_at = [metric for alarm in alarms.values() for metric in watched(alarm)]
    own = {(each.dimensions["FunctionName"], each.name) for each in looked_at if "FunctionName" in each.dimensions}
    by_api = {each["FunctionName"] for _, each in stack.of_type("AWS::Lambda::Permission")}

    assert own == {
        *(("${PlaceCallFunction}", name) for name in ("Errors", "Throttles")),
        ("${PublishOutcomeFunction}", "IteratorAge"),
        ("${ReleaseLinesFunction}", "IteratorAge"),
    }
    assert by_api == {"${ReceiveWebhookFunctionAliaslive}", "${GetCallFunctionAliaslive}"}
    assert "${PollCallsFunctionAliaslive}" in str(stack.properties("Poller"))
    assert {"5xx", "ExecutionsSucceeded"} <= {metric.name for metric in looked_at}
    assert len(list(stack.of_type("AWS::Lambda::Function"))) == 6


def test_every_alarm_notifies_the_topic_and_those_on_conditions_also_when_they_end(
    alarms: dict[str, Template],
) -> None:
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == ["${AlarmTopic}"], name
        assert alarm.get("OKActions") == (None if name in EVENTS else ["${AlarmTopic}"]), name
        assert alarm.get("ActionsEnabled", True), name


def test_every_alarm_names_its_section_of_the_runbook(alarms: dict[str, Template]) -> None:
    runbook = read("docs/operate/runbook.md")
    sections = set(re.findall(r"^## (.+)$", runbook, re.MULTILINE))
    anchors = {name: re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name.removesuffix("Alarm")).lower() for name in alarms}

    for name, alarm in alarms.items():
        text, _, address = alarm["AlarmDescription"].partition(" docs/operate/runbook.md")
        assert re.fullmatch(r"[A-Z].+\.", text), name
        assert address == f"#{anchors[name]}", name
    assert {section.lower().replace(" ", "-") for section in sections} == set(anchors.values())
    rows = [row[0] for row in table(runbook, "alarm", "means")]
    assert sorted(rows) == sorted(f"[{name}](#{anchors[name]})" for name in alarms)


def test_every_section_of_the_runbook_has_the_same_parts() -> None:
    for section in read("docs/operate/runbook.md").split("\n## ")[1:]:
        title = section.partition("\n")[0]
        assert re.findall(r"^\*\*([A-Z][a-z ]+)\.\*\* \S", section, re.MULTILINE) == [
            *("Means", "Look", "Do", "Over", "False alarms"),
        ], title
        look = section.partition("**Look.**")[2].partition("**Do.**")[0]
        assert "```sh" in look or "`calls " in look, title


def test_the_runbook_reads_logs_that_exist(stack: RenderedStack) -> None:
    runbook = read("docs/operate/runbook.md")
    groups = {group["LogGroupName"] for _, group in stack.of_type("AWS::Logs::LogGroup")}
    asked = {f"/aws/lambda/$STACK/{name}" for name in re.findall(r"^ask (\S+) '", runbook, re.MULTILINE)}
    vended = set(re.findall(r'"(/aws/vendedlogs/\S+)"', runbook))

    assert asked
    assert vended
    assert {name.replace("$STACK", "${AWS::StackName}") for name in asked | vended} <= groups


def test_the_topic_notifies_the_given_address(stack_of: StackOf) -> None:
    assert stack_of(AlarmEmail="on-call@clinic.example").properties("AlarmSubscription") == {
        "TopicArn": "${AlarmTopic}",
        "Protocol": "email",
        "Endpoint": "on-call@clinic.example",
    }
    assert "AlarmSubscription" not in stack_of().resources


def test_a_local_stack_has_all_alarms_without_metric_math(stack_of: StackOf, alarms: dict[str, Any]) -> None:
    local = dict(stack_of(Environment="local").of_type("AWS::CloudWatch::Alarm"))

    assert alarms.keys() - local.keys() == {name for name, alarm in alarms.items() if "Metrics" in alarm}
