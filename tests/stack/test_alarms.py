"""Each alarm goes off and notifies its topic.

The local cloud evaluates alarms and notifies their topic, but no metric reaches it except those of Lambda: neither what
the functions print in embedded metric format nor what SQS, Step Functions and API Gateway report. So each test brings
the stack into the situation and hands on the metric that AWS would make of it: of a line, the very line that the
deployed function printed; of a queue, what the queue says. Only ages are made up: no test can wait for them.
What the local cloud does not look at, an alarm's dimensions, is compared here.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from local.cloud import LocalCloud
from local.environment import LocalEnvironment, deploy_into
from local.simulator import Simulator
from tests.stack.conftest import every, let_deadline_pass, wait_until
from tests.stack.test_stack import OUTCOME, STUCK, post, signature_of, status_of
from tests.tooling.template.expressions import evaluate
from tests.tooling.template.rendering import read_template, render, transform

ANSWER_LOST_AND_NOT_ACCEPTED: Final = "+15005550310"
REFUSED: Final = "+15005550301"
KEY_REFUSED: Final = "+15005550304"
WEBHOOK_LOST: Final = "+15005550200"

type Datum = dict[str, Any]
"""One metric with its values, as PutMetricData takes it, and its namespace beside it."""


@dataclass
class Watch:
    """A stack, and a queue that hears what its alarm topic tells."""

    world: LocalEnvironment
    queue_url: str
    heard: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cloudwatch = self.world.cloud._make_client("cloudwatch")

    def alarm(self, logical_id: str) -> dict[str, Any]:
        """The alarm as it was deployed."""
        name = self.world.stack.resources[logical_id]
        (alarm,) = self.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return dict(alarm)

    def fire(self, logical_id: str, datum: Datum) -> None:
        """Report a metric, and see the alarm go off and notify."""
        alarm = self._quiet(logical_id)
        assert datum["Namespace"] == alarm["Namespace"]
        assert datum["MetricName"] == alarm["MetricName"]
        assert datum["Dimensions"] == alarm["Dimensions"]
        self.report(datum)
        self._hear(alarm)

    def fire_by_lambda(self, logical_id: str, function: str, metric: str) -> None:
        """See the alarm go off by a metric that the local cloud's Lambda has reported."""
        alarm = self._quiet(logical_id)
        assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", metric)
        name = self.world.stack.resources[function]
        # Errors are counted for the alias, so that a failed check of a release pages no one.
        alias = [{"Name": "Resource", "Value": f"{name}:live"}] if metric == "Errors" else []
        assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": name}, *alias]
        self.report({"Namespace": "Tests", "MetricName": "Anything", "Values": [0]})  # alarms are looked at with each
        self._hear(alarm)

    def report(self, datum: Datum) -> None:
        """Let the local cloud have a metric."""
        metric = {name: value for name, value in datum.items() if name != "Namespace"}
        self.cloudwatch.put_metric_data(Namespace=datum["Namespace"], MetricData=[metric])

    def _quiet(self, logical_id: str) -> dict[str, Any]:
        """Let the alarm be in order, whatever has been before."""
        alarm = self.alarm(logical_id)
        self.cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="OK", StateReason="a test begins")
        self.listen()
        self.heard.clear()
        return alarm

    def _hear(self, alarm: Mapping[str, Any]) -> None:
        wait_until(lambda: self.hears(alarm, "ALARM"))
        assert "docs/operate/runbook.md#" in alarm["AlarmDescription"]

    def hears(self, alarm: Mapping[str, Any], state: str) -> bool:
        """Whether the topic has reported that the alarm is in this state."""
        self.listen()
        return (alarm["AlarmName"], state) in self.heard

    def listen(self) -> None:
        """Receive what the topic has sent."""
        sqs = self.world.cloud.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
                told = json.loads(message["Body"])
                self.heard.append((told["AlarmName"], told["NewStateValue"]))

    def printed(self, function: str, metric: str) -> list[Datum]:
        """The metric in each line that a function has printed, as CloudWatch reads it there."""
        pages = (
            self.world.cloud.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=f"/aws/lambda/{self.world.stack.name}/{function}")
        )
        texts = (event["message"] for page in pages for event in page["events"])
        lines = (json.loads(text) for text in texts if '"_aws"' in text)
        return [datum for line in lines for datum in data(line) if datum["MetricName"] == metric]

    def soon_printed(self, function: str, metric: str, seconds: float = 60) -> Datum:
        """The last of these, as soon as there is one; the poller is started meanwhile."""
        return wait_until(lambda: self.printed(function, metric), seconds, every(3, self.world.sweep))[-1]

    def waiting(self, queue: str) -> Datum:
        """What SQS would report of a queue that is not empty."""
        url = self.world.stack.resources[queue]

        def count() -> int:
            attributes = self.world.cloud.client("sqs").get_queue_attributes(
                QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
            )
            return int(attributes["Attributes"]["ApproximateNumberOfMessages"])

        messages = wait_until(count)
        return of_aws("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", url.rsplit("/", 1)[-1], messages)


def data(line: Mapping[str, Any]) -> Iterator[Datum]:
    """What CloudWatch makes of a line in embedded metric format.

    docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    for directive in line["_aws"]["CloudWatchMetrics"]:
        (dimensions,) = directive["Dimensions"]
        for metric in directive["Metrics"]:
            values = line[metric["Name"]]
            yield {
                "Namespace": directive["Namespace"],
                "MetricName": metric["Name"],
                "Dimensions": [{"Name": name, "Value": line[name]} for name in dimensions],
                "Unit": metric["Unit"],
                "Values": values if isinstance(values, list) else [values],
            }


def of_aws(namespace: str, metric: str, dimension: str, name: str, value: float) -> Datum:
    """A metric of AWS's own."""
    dimensions = [{"Name": dimension, "Value": name}]
    return {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions, "Values": [value]}


@pytest.fixture(scope="module")
def watch(parts: tuple[LocalCloud, Simulator]) -> Iterator[Watch]:
    world = deploy_into(*parts, None, "alarms")
    topic_arn = world.stack.outputs["AlarmTopicArn"]
    sqs, sns = world.cloud.client("sqs"), world.cloud._make_client("sns")
    url = sqs.create_queue(QueueName="alarms-mails")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [allow | {"Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    yield Watch(world, url)
    # Broken as it is in the end, it would keep the cloud busy.
    world.cloud.client("cloudformation").delete_stack(StackName=world.stack.name)


# First those of AlloMia's doing, while all functions are well.


def test_a_call_that_ends_as_unknown(watch: Watch) -> None:
    watch.world.send({"requestId": "stuck", "phoneNumber": STUCK})
    wait_until(lambda: status_of(watch.world, "stuck") == "calling")
    let_deadline_pass(watch.world, "stuck")

    watch.fire("UnknownOutcomesAlarm", watch.soon_printed("publish-outcome", "OutcomeUnknown", 90))


def test_a_request_that_is_rejected(watch: Watch) -> None:
    watch.world.send({"requestId": "rejected", "phoneNumber": STUCK, "purpose": "no-one-defined-it"})

    watch.fire("RejectedRequestsAlarm", watch.soon_printed("publish-outcome", "RequestsToCorrect"))


def test_a_request_that_expires(watch: Watch) -> None:
    watch.world.send({"requestId": "expired", "phoneNumber": STUCK, "notAfter": "2026-01-01T00:00:00Z"})

    watch.fire("ExpiredRequestsAlarm", watch.soon_printed("publish-outcome", "RejectedExpired"))


def test_a_policy_that_cannot_be_read(watch: Watch) -> None:
    dynamodb = watch.world.cloud.client("dynamodb")
    key = {"subject": {"S": "policy"}, "entry": {"S": "current"}}
    broken = {"version": {"N": "1"}, "document": {"S": "{"}, "setAt": {"N": "0"}, "setBy": {"S": "a test"}}
    dynamodb.put_item(TableName=watch.world.stack.policy_table_name, Item=key | broken)
    try:
        # The functions may still have the policy that they read before
        def send_another() -> None:
            watch.world.send({"phoneNumber": STUCK})

        counted = wait_until(lambda: watch.printed("place-call", "PolicyUnreadable"), meanwhile=every(3, send_another))
        watch.fire("PolicyUnreadableAlarm", counted[-1])
    finally:
        dynamodb.delete_item(TableName=watch.world.stack.policy_table_name, Key=key)

        def is_forgotten() -> bool:
            request_id = watch.world.send({"phoneNumber": STUCK})
            wait_until(lambda: status_of(watch.world, request_id))
            return watch.world.calls()[request_id].get("parkReason") != "policy-unreadable"

        wait_until(is_forgotten)


def test_two_calls_for_one_attempt(watch: Watch) -> None:
    watch.world.send({"requestId": "two-calls", "phoneNumber": STUCK})
    wait_until(lambda: status_of(watch.world, "two-calls") == "calling")

    assert post(watch.world, "two-calls", 1, signature_of("two-calls"), OUTCOME) == 400

    watch.fire("CallIdsContradictingAlarm", watch.soon_printed("receive-webhook", "CallIdsContradicting"))


def test_a_webhook_that_proves_a_rejected_request_wrong(watch: Watch) -> None:
    watch.world.send({"requestId": "proven-wrong", "phoneNumber": STUCK, "notAfter": "2026-01-01T00:00:00Z"})
    wait_until(lambda: status_of(watch.world, "proven-wrong") == "rejected")

    assert post(watch.world, "proven-wrong", 1, signature_of("proven-wrong"), OUTCOME) == 200

    watch.fire("WebhooksContradictingAlarm", watch.soon_printed("receive-webhook", "WebhooksContradicting"))
    assert status_of(watch.world, "proven-wrong") == "completed"


def test_a_key_that_is_refused(watch: Watch) -> None:
    watch.world.send({"requestId": "refused", "phoneNumber": KEY_REFUSED})

    watch.fire("AllomiaKeyDeclinedAlarm", watch.soon_printed("place-call", "AllomiaKeyDeclined"))


def test_a_call_that_is_refused(watch: Watch) -> None:
    watch.world.send({"requestId": "refused-call", "phoneNumber": REFUSED})

    watch.fire("CallsRefusedAlarm", watch.soon_printed("place-call", "CallsRefused"))


def test_calls_that_are_parked(watch: Watch) -> None:
    watch.fire("CallsParkedAlarm", watch.soon_printed("place-call", "CallsParked"))


def test_an_outcome_that_comes_late(watch: Watch) -> None:
    # Given a call that was dispatched an hour ago
    watch.world.send({"requestId": "slow", "phoneNumber": STUCK})
    wait_until(lambda: status_of(watch.world, "slow") == "calling")
    watch.world.cloud.client("dynamodb").update_item(
        TableName=watch.world.stack.calls_table_name,
        Key={"requestId": {"S": "slow"}, "attempt": {"N": "1"}},
        UpdateExpression="SET dispatchedAt = :then",
        ExpressionAttributeValues={":then": {"N": str(int(time.time()) - 3600)}},
    )
    outcome = OUTCOME | {"outboundCallId": watch.world.calls()["slow"]["outboundCallId"]}

    # When its webhook comes
    assert post(watch.world, "slow", 1, signature_of("slow"), outcome) == 200

    datum = watch.soon_printed("receive-webhook", "DispatchToOutcomeSeconds")
    assert datum["Unit"] == "Seconds"
    watch.fire("SlowOutcomesAlarm", datum)


def test_webhooks_that_do_not_come(watch: Watch) -> None:
    """The local cloud has no metric math: the alarm of the template is computed with what the functions printed."""
    stack = render(transform(read_template()), {"AWS::StackName": watch.world.stack.name})
    alarm = stack.properties("WebhooksMissingAlarm")
    (expression,) = (query["Expression"] for query in alarm["Metrics"] if "Expression" in query)

    def share() -> float:
        values = {}
        for query in alarm["Metrics"]:
            if "MetricStat" in query:
                metric, stat = query["MetricStat"]["Metric"], query["MetricStat"]["Stat"]
                found = [
                    value
                    for function in ("receive-webhook", "poll-calls")
                    for datum in watch.printed(function, metric["MetricName"])
                    if datum["Namespace"] == metric["Namespace"] and datum["Dimensions"] == metric["Dimensions"]
                    for value in datum["Values"]
                ]
                values[query["Id"]] = {"Sum": sum(found), "SampleCount": len(found)}[stat]
        return evaluate(expression, values) or 0.0

    assert share() <= alarm["Threshold"]
    for number in range(5):
        watch.world.send({"requestId": f"no-webhook-{number}", "phoneNumber": WEBHOOK_LOST})

    wait_until(lambda: share() > alarm["Threshold"], meanwhile=every(3, watch.world.sweep))


# Then those of the stack's own doing.


@contextmanager
def broken(watch: Watch, logical_id: str) -> Iterator[None]:
    """Release a version that does not start, and in the end go back to the one before."""
    functions = watch.world.cloud.client("lambda")
    name = watch.world.stack.resources[logical_id]
    good = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    functions.update_function_configuration(FunctionName=name, Handler="app.gone")
    bad = functions.publish_version(FunctionName=name)["Version"]
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion=bad)
    yield
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion=good)


def test_webhooks_that_are_not_stored(watch: Watch) -> None:
    watch.world.send({"requestId": "not-stored", "phoneNumber": STUCK})
    wait_until(lambda: status_of(watch.world, "not-stored") == "calling")

    with broken(watch, "ReceiveWebhookFunction"):
        answered = post(watch.world, "not-stored", 1, signature_of("not-stored"), OUTCOME)

    api = watch.world.stack.resources["HttpApi"]
    watch.fire("ApiErrorsAlarm", of_aws("AWS/ApiGateway", "5xx", "ApiId", api, int(500 <= answered <= 599)))


def test_a_sweep_that_fails_and_the_next_that_does_not(watch: Watch) -> None:
    # Given a call that is due, and a poll_calls that does not start
    machine = watch.world.stack.poller_arn
    machines = watch.world.cloud.client("stepfunctions")
    watch.world.send({"requestId": "due", "phoneNumber": STUCK})
    wait_until(lambda: status_of(watch.world, "due") == "calling")

    def sweeps_that_succeed() -> int:
        execution = machines.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
        status = wait_until(
            lambda: (found := machines.describe_execution(executionArn=execution)["status"]) != "RUNNING" and found
        )
        return int(status == "SUCCEEDED")

    alarm = watch.alarm("PollerStoppedAlarm")
    metric = of_aws("AWS/States", "ExecutionsSucceeded", "StateMachineArn", machine, 0)
    with broken(watch, "PollCallsFunction"):
        wait_until(lambda: not sweeps_that_succeed())
        watch.fire("PollerStoppedAlarm", metric)

    # When it is fixed, the end is notified too
    watch.report(metric | {"Values": [sweeps_that_succeed()]})
    wait_until(lambda: watch.hears(alarm, "OK"))


# Then a breaker, under which no more calls are placed for a while, and what waits.


def test_a_breaker_that_is_open(watch: Watch) -> None:
    # Given that AlloMia's answers are lost, one after the other
    def send_more() -> None:
        for _ in range(10):
            watch.world.send({"phoneNumber": ANSWER_LOST_AND_NOT_ACCEPTED})

    counted = wait_until(lambda: watch.printed("place-call", "CircuitOpen"), meanwhile=every(5, send_more))

    watch.fire("CircuitOpenAlarm", counted[-1])


def test_a_message_that_cannot_become_a_call(watch: Watch) -> None:
    watch.world.send("not JSON")

    watch.fire("InvalidMessagesAlarm", watch.waiting("InvalidMessagesQueue"))


def test_an_outcome_that_could_not_be_published(watch: Watch) -> None:
    """By hand: the local cloud retries a stream's batch forever."""
    queue_url = watch.world.stack.failed_outcomes_queue_url
    watch.world.cloud.client("sqs").send_message(QueueUrl=queue_url, MessageBody="{}")

    watch.fire("FailedOutcomesAlarm", watch.waiting("FailedOutcomesQueue"))


def test_requests_that_wait_and_outcomes_and_lines_that_are_late(watch: Watch) -> None:
    resources = watch.world.stack.resources
    queue = resources["CallQueue"].rsplit("/", 1)[-1]

    watch.fire("RequestsWaitingAlarm", of_aws("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue, 901))
    publisher = resources["PublishOutcomeFunction"]
    watch.fire("OutcomesDelayedAlarm", of_aws("AWS/Lambda", "IteratorAge", "FunctionName", publisher, 300_001))
    releaser = resources["ReleaseLinesFunction"]
    watch.fire("LinesDelayedAlarm", of_aws("AWS/Lambda", "IteratorAge", "FunctionName", releaser, 300_001))
    service = watch.world.stack.name
    waited = of_aws("AllomiaOutboundCalls", "UrgentWaitedSeconds", "service", service, 301)
    watch.fire("UrgentCallsWaitingAlarm", waited)


# In the end, a PlaceCallFunction that does not work.


def test_a_function_that_does_not_start_and_a_message_that_failed_five_times(watch: Watch) -> None:
    sqs, functions = watch.world.cloud.client("sqs"), watch.world.cloud.client("lambda")
    sqs.set_queue_attributes(QueueUrl=watch.world.stack.call_queue_url, Attributes={"VisibilityTimeout": "1"})

    with broken(watch, "PlaceCallFunction"):
        # The local cloud counts what is invoked, and not what it invokes itself.
        name = watch.world.stack.place_call_function_name
        assert functions.invoke(FunctionName=name, Qualifier="live", Payload=b'{"Records": []}')["FunctionError"]
        watch.fire_by_lambda("PlaceCallErrorsAlarm", "PlaceCallFunction", "Errors")

        watch.world.send({"requestId": "dead", "phoneNumber": STUCK})
        watch.fire("DeadLettersAlarm", watch.waiting("DeadLetterQueue"))


def test_a_function_that_is_throttled(watch: Watch) -> None:
    functions = watch.world.cloud.client("lambda")
    name = watch.world.stack.place_call_function_name
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(functions.exceptions.TooManyRequestsException):
        functions.invoke(FunctionName=name, Payload=b'{"Records": []}')

    watch.fire_by_lambda("PlaceCallThrottlesAlarm", "PlaceCallFunction", "Throttles")


def test_every_alarm_that_notifies_has_its_test_here() -> None:
    resources = read_template()["Resources"]
    alarms = {name for name, each in resources.items() if "AlarmActions" in each["Properties"]}
    here = Path(__file__).read_text()

    assert set(re.findall(r'(?:fire|fire_by_lambda|properties)\(\s*"(\w+Alarm)"', here)) == alarms
