"""Is a deployed stack in order? Each check looks at one thing and says what to do about it.

Nothing is changed and nobody is called. What a check cannot see, it says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import uuid4

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from calls.stack import Deployed, NoSuchStack
from calls.watching import depth
from outbound_calls.allomia import KEY_REFUSED, NOT_FOUND, AllomiaClient, StatusUnavailable, http_client
from outbound_calls.contracts import Wire
from outbound_calls.secrets import Secret, SecretUnusable, api_key

OVERDUE_SECONDS = 300
"""A sweep comes every minute; what has been due for longer than this, no sweep has looked at."""


class Verdict(StrEnum):
    """How one thing stands."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Check(Wire):
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    found: str
    advice: str | None = Field(None, description="what to do about it")


class Diagnosis(Wire):
    """All that was looked at."""

    in_order: bool = Field(description="false when a check failed")
    checks: list[Check]


def _ok(name: str, found: str) -> Check:
    return Check(name=name, verdict=Verdict.OK, found=found)


def _skipped(name: str, found: str) -> Check:
    return Check(name=name, verdict=Verdict.SKIPPED, found=found)


def _warning(name: str, found: str, advice: str) -> Check:
    return Check(name=name, verdict=Verdict.WARNING, found=found, advice=advice)


def _failed(name: str, found: str, advice: str) -> Check:
    return Check(name=name, verdict=Verdict.FAILED, found=found, advice=advice)


@dataclass(frozen=True, slots=True)
class Doctor:
    """Looks at one stack; `clock` is epoch seconds, `transport` stands in for the internet in tests."""

    stack: Deployed
    clock: Callable[[], float] = time.time
    transport: httpx.BaseTransport | None = None

    def examine(self, tell: Callable[[Check], None] = lambda _check: None) -> Diagnosis:
        """Make every check; `tell` hears of each when it is made."""
        checks: list[Check] = []
        for examine in (
            self.deployment,
            self.parameters,
            self.key,
            self.webhook,
            self.event_sources,
            self.schedule,
            self.sweeps,
            self.overdue,
            self.queues,
            self.oldest_request,
            self.alarms,
            self.subscriptions,
        ):
            for check in self._safely(examine):
                tell(check)
                checks.append(check)
        return Diagnosis(in_order=all(check.verdict is not Verdict.FAILED for check in checks), checks=checks)

    def _safely(self, examine: Callable[[], Iterator[Check]]) -> Iterator[Check]:
        """One thing that cannot be looked at must not hide the others."""
        name = examine.__name__.replace("_", " ")
        try:
            yield from examine()
        except ClientError as error:
            code = str(error.response["Error"].get("Code"))
            yield _failed(
                name, f"{error.operation_name}: {code}", "See which rights this needs: docs/operate/command.md."
            )
        except BotoCoreError as error:
            yield _failed(name, type(error).__name__, "AWS could not be reached.")
        except (NoSuchStack, KeyError) as error:
            yield _failed(name, f"not found: {error}", "Is the stack of another version than this command?")

    def deployment(self) -> Iterator[Check]:
        """The stack's own state."""
        status = self.stack.status
        if status in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}:
            yield _ok("deployment", status)
        elif status.endswith("_IN_PROGRESS"):
            yield _warning("deployment", status, "Wait until it is complete.")
        else:
            yield _failed("deployment", status, "The last deployment did not succeed: look at the stack's events.")

    def parameters(self) -> Iterator[Check]:
        """Parameters that contradict each other, or that leave something out."""
        parameters = self.stack.parameters
        grace, deadline = int(parameters["WebhookGraceSeconds"]), int(parameters["CallDeadlineSeconds"])
        said = f"grace {grace} s, deadline {deadline} s, records kept for {parameters['RetentionDays']} days"
        if deadline <= grace:
            yield _failed("parameters", said, "CallDeadlineSeconds must be more than WebhookGraceSeconds.")
        else:
            yield _ok("parameters", said)
        missing = [name for name in ("DefaultAssistantId", "DefaultPhoneNumberId") if not parameters.get(name)]
        if missing:
            yield _warning("defaults", f"no {' and no '.join(missing)}", "Every request must name its own.")
        else:
            yield _ok("defaults", "an assistant and a number to call from")

    def key(self) -> Iterator[Check]:
        """The AlloMia key, read as the functions read it, and shown to AlloMia without placing a call."""
        client = self.stack.aws.client("secretsmanager")
        secret = Secret(client, self.stack.parameters["AllomiaApiKeySecretArn"], time.monotonic)
        try:
            api_key(secret.current())
        except SecretUnusable as error:
            yield _failed("AlloMia key", str(error), "Put the key into the secret AllomiaApiKeySecretArn.")
            return
        yield _ok("AlloMia key", "the secret holds one")
        with http_client(self.stack.parameters["AllomiaBaseUrl"], self.transport) as http:
            answer = AllomiaClient(http, secret).call_status(str(uuid4()))
        match answer:
            case StatusUnavailable(reason) if reason == NOT_FOUND:
                yield _ok("AlloMia", "accepts the key: no such call (404)")
            case StatusUnavailable(reason) if reason == KEY_REFUSED:
                yield _failed("AlloMia", "refuses the key", "Put the right key into the secret; calls are parked.")
            case StatusUnavailable(reason):
                yield _failed("AlloMia", reason, "AlloMia could not be asked from here: look at its status, and retry.")
            case _:
                yield _failed("AlloMia", "knows a call that nobody made", "Is AllomiaBaseUrl AlloMia's?")

    def webhook(self) -> Iterator[Check]:
        """The way of AlloMia's webhooks into the stack, tried with a signature that is none."""
        url = f"{self.stack.outputs['WebhookUrl']}/doctor/1/not-a-signature"
        try:
            with httpx.Client(transport=self.transport, timeout=15, trust_env=False) as http:
                code = http.post(url, json={}).status_code
        except httpx.RequestError as error:
            yield _failed(
                "webhook", type(error).__name__, "AlloMia must reach WebhookUrl: look at the API or the domain."
            )
            return
        if code == httpx.codes.FORBIDDEN:
            yield _ok("webhook", "reached, and refuses what the stack has not signed (403)")
        else:
            yield _failed(
                "webhook", f"HTTP {code} instead of 403", "Look at the API's route and ReceiveWebhookFunction."
            )

    def event_sources(self) -> Iterator[Check]:
        """What starts the functions that read the queue and the stream."""
        functions = self.stack.aws.client("lambda")
        for mapping in self.stack.of_type("AWS::Lambda::EventSourceMapping"):
            state = functions.get_event_source_mapping(UUID=mapping.id)["State"]
            if state == "Enabled":
                yield _ok(mapping.name, state)
            else:
                yield _failed(mapping.name, state, "Nothing starts its function: enable the event source mapping.")

    def schedule(self) -> Iterator[Check]:
        """What starts the poller."""
        scheduler = self.stack.aws.client("scheduler")
        schedules = self.stack.of_type("AWS::Scheduler::Schedule")
        for schedule in schedules:
            found = scheduler.get_schedule(Name=schedule.id.rpartition("|")[2])
            said = f"{found['ScheduleExpression']}, {found['State']}"
            if found["State"] == "ENABLED":
                yield _ok("schedule", said)
            else:
                yield _failed("schedule", said, "Nobody looks at calls that are due: enable the schedule.")

    def sweeps(self) -> Iterator[Check]:
        """The poller's last executions. Express workflows keep no history, so their metrics have to tell."""
        succeeded, failed = (
            self._metric("AWS/States", name, "StateMachineArn", self.stack.outputs["PollerArn"])
            for name in ("ExecutionsSucceeded", "ExecutionsFailed")
        )
        if succeeded is None and self.stack.environment == "local":
            yield _skipped("sweeps", "the local cloud keeps no metrics of executions")
        elif not succeeded:
            yield _failed(
                "sweeps", "none succeeded in ten minutes", "Look at the log of the poller, and at its schedule."
            )
        elif failed:
            yield _warning(
                "sweeps", f"{succeeded:.0f} succeeded, {failed:.0f} failed", "Look at the log of the poller."
            )
        else:
            yield _ok("sweeps", f"{succeeded:.0f} succeeded in ten minutes")

    def overdue(self) -> Iterator[Check]:
        """What the poller should have looked at by now."""
        waited = self.stack.records.overdue_since(self.clock())
        if waited is None or waited <= OVERDUE_SECONDS:
            yield _ok("due calls", "none that was passed over")
        else:
            yield _failed("due calls", f"one is due for {waited} s", "The poller does not get to it: look at its log.")

    def queues(self) -> Iterator[Check]:
        """The queues in which messages wait for a person, and the one in which they wait for their call."""
        sqs, outputs = self.stack.sqs, self.stack.outputs
        for name, url, advice in (
            ("dead letters", outputs["DeadLetterQueueUrl"], "Mend the fault, then: calls redrive --dead-letters"),
            ("rejected messages", outputs["InvalidMessagesQueueUrl"], "See why: calls rejected"),
            (
                "failed outcomes",
                self.stack.resource("FailedOutcomesQueue"),
                "Recorded, but never published: see README.",
            ),
        ):
            found = depth(sqs, name, url)
            if found.waiting or found.held:
                yield _failed(name, f"{found.waiting + found.held} messages", advice)
            else:
                yield _ok(name, "none")

    def oldest_request(self) -> Iterator[Check]:
        """How long a request waits for a worker."""
        name = self.stack.call_queue_url.rpartition("/")[2]
        seconds = self._metric("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", name, statistic="Maximum")
        if seconds is None:
            yield _skipped("oldest request", "no metric: the queue has been empty, or it is a local one")
        elif seconds > OVERDUE_SECONDS:
            yield _warning(
                "oldest request", f"waited {seconds:.0f} s", "Raise MaxWorkers, or look at place_call's log."
            )
        else:
            yield _ok("oldest request", f"waited {seconds:.0f} s")

    def alarms(self) -> Iterator[Check]:
        """The stack's alarms."""
        cloudwatch = self.stack.aws.client("cloudwatch")
        names = [each.id for each in self.stack.resources if each.type.endswith("Alarm") and each.id]
        pages = cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        found = [
            alarm for page in pages for kind in ("MetricAlarms", "CompositeAlarms") for alarm in page.get(kind, [])
        ]
        ringing = [alarm for alarm in found if alarm["StateValue"] == "ALARM"]
        for alarm in ringing:
            yield _failed(alarm["AlarmName"], "in alarm", str(alarm.get("AlarmDescription", "")))
        if not ringing:
            yield _ok("alarms", f"{len(found)}, none of which rings")

    def subscriptions(self) -> Iterator[Check]:
        """Whether anybody hears the alarms."""
        sns = self.stack.aws.client("sns")
        found = sns.list_subscriptions_by_topic(TopicArn=self.stack.resource("AlarmTopic"))["Subscriptions"]
        confirmed = [each for each in found if each["SubscriptionArn"].startswith("arn:")]
        if confirmed:
            yield _ok("who hears the alarms", f"{len(confirmed)} confirmed")
        elif found:
            yield _failed(
                "who hears the alarms", "nobody has confirmed", "Follow the link in the e-mail that AWS has sent."
            )
        else:
            yield _warning("who hears the alarms", "nobody", "Set AlarmEmail, or subscribe to AlarmTopic.")

    def _metric(self, namespace: str, metric: str, dimension: str, value: str, statistic: str = "Sum") -> float | None:
        """What a metric says of the last ten minutes; None when it says nothing."""
        now = datetime.fromtimestamp(self.clock(), UTC)
        points: Sequence[Any] = self.stack.aws.client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": dimension, "Value": value}],
            StartTime=now - timedelta(minutes=10),
            EndTime=now,
            Period=600,
            Statistics=[statistic],
        )["Datapoints"]
        values = [float(point[statistic]) for point in points]
        return (sum(values) if statistic == "Sum" else max(values)) if values else None
