"""A person is told when a person is needed."""

import pytest

from outbound_calls.contracts import Outcome
from outbound_calls.lifecycle import OutcomeSource, Status
from outbound_calls.telemetry import Metric, outcome_metrics
from tests.template.conftest import StackOf
from tests.template.rendering import Stack


@pytest.mark.parametrize(
    ("alarm", "queue"),
    [
        ("DeadLettersAlarm", "DeadLetterQueue"),
        ("RejectedMessagesAlarm", "RejectedQueue"),
        ("FailedOutcomesAlarm", "FailedOutcomesQueue"),
    ],
)
def test_the_first_message_that_waits_for_a_person_raises_an_alarm(stack: Stack, alarm: str, queue: str) -> None:
    properties = stack.properties(alarm)

    assert (properties["Namespace"], properties["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    assert properties["Dimensions"] == [{"Name": "QueueName", "Value": f"${{{queue}.QueueName}}"}]
    assert (properties["Statistic"], properties["ComparisonOperator"]) == ("Maximum", "GreaterThanThreshold")
    assert properties["Threshold"] == 0


@pytest.mark.parametrize(
    ("alarm", "metric"),
    [
        ("UnknownOutcomesAlarm", outcome_metrics(Outcome(status=Status.UNKNOWN, source=OutcomeSource.DEADLINE))[0]),
        ("AllomiaKeyRefusedAlarm", Metric.KEY_REFUSED),
    ],
)
def test_a_call_that_needs_a_person_raises_an_alarm_on_the_metric_that_the_code_emits(
    stack: Stack, alarm: str, metric: str
) -> None:
    properties = stack.properties(alarm)

    assert (properties["Namespace"], properties["MetricName"]) == ("AllomiaOutboundCalls", metric)
    assert properties["Dimensions"] == [{"Name": "service", "Value": "${AWS::StackName}"}]
    assert (properties["Statistic"], properties["ComparisonOperator"]) == ("Sum", "GreaterThanThreshold")
    assert properties["Threshold"] == 0


def test_a_poller_that_fails_or_never_runs_raises_an_alarm(stack: Stack) -> None:
    properties = stack.properties("PollerStoppedAlarm")

    assert (properties["Namespace"], properties["MetricName"]) == ("AWS/States", "ExecutionsSucceeded")
    assert properties["Dimensions"] == [{"Name": "StateMachineArn", "Value": "${Poller}"}]
    assert (properties["Statistic"], properties["ComparisonOperator"]) == ("Sum", "LessThanThreshold")
    assert properties["Threshold"] == 1
    assert properties["TreatMissingData"] == "breaching"


def test_every_alarm_says_what_happened_and_tells_the_topic(stack: Stack) -> None:
    alarms = dict(stack.of_type("AWS::CloudWatch::Alarm"))
    assert len(alarms) == 6
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == ["${AlarmTopic}"]
        assert alarm["AlarmDescription"]


def test_the_topic_tells_the_address_that_was_given(stack_of: StackOf) -> None:
    assert stack_of(AlarmEmail="on-call@clinic.example").properties("AlarmSubscription") == {
        "TopicArn": "${AlarmTopic}",
        "Protocol": "email",
        "Endpoint": "on-call@clinic.example",
    }
    assert "AlarmSubscription" not in stack_of().resources
