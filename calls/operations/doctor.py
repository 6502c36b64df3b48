"""Check whether a deployed stack is healthy. Each check looks at one thing and says what to do about it.

Nothing is changed and no one is called.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import uuid4

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field
from pydantic_core import from_json

from calls.operations.proxies import proxied
from calls.operations.records import Search
from calls.operations.resolving import NotAllowed
from calls.operations.stack import DeployedStack, NoSuchStack
from calls.operations.watching import queue_depth
from outbound_calls.adapters.allomia import NOT_FOUND, AllomiaClient, StatusUnavailable, http_client
from outbound_calls.adapters.call_log import CallLog
from outbound_calls.adapters.organizations import Organization
from outbound_calls.adapters.secrets import SecretUnreadable, SecretUnusable
from outbound_calls.contracts.time_zones import TIME_ZONE_DATA_BUILT, TIME_ZONE_DATA_VERSION
from outbound_calls.contracts.vocabulary import OutcomeSource, Status
from outbound_calls.contracts.wire import WireModel
from outbound_calls.domain.transitions import TERMINAL

REFUSED_READ = 100
"""How many refused attempts of a setting are read for AlloMia's words."""

WORDS_SHOWN = 3
"""How many different words of AlloMia are shown of a setting, the latest first."""

OVERDUE_SECONDS = 300
"""A sweep runs every minute, so an attempt that has been due for longer than this was missed by several."""

UNKNOWN_DAYS = 7
_UNREACHABLE = "AlloMia can't be reached from here: check its status and your proxy, and retry."
HOLIDAYS_DAYS = 60
"""How long before a policy's holidays run out the doctor says so."""

TIME_ZONE_DATA_DAYS = 180
"""How old the time-zone data may be."""

MOST_DIALS = 100
"""How many of the last outcomes are read for the time-zone data of a dial."""

MOST_UNKNOWN = 1000
"""How many unknown outcomes are counted, at most."""


class Verdict(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Check(WireModel):
    """One check."""

    name: str
    verdict: Verdict
    found: str
    advice: str | None = Field(None, description="what to do about it")


class Diagnosis(WireModel):
    """All checks."""

    healthy: bool = Field(description="false when a check failed")
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
    """Checks one stack. `clock` is epoch seconds; `transport` replaces the internet in tests."""

    stack: DeployedStack
    clock: Callable[[], float] = time.time
    transport: httpx.BaseTransport | None = None

    def examine(self, on_check: Callable[[Check], None] = lambda _check: None) -> Diagnosis:
        """Make every check; `on_check` gets each one as soon as it is made."""
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
            self.refused,
            self.policy,
            self.time_zones,
            self.unknown_outcomes,
            self.queues,
            self.oldest_request,
            self.alarms,
            self.subscriptions,
        ):
            for check in self._safely(examine):
                on_check(check)
                checks.append(check)
        return Diagnosis(healthy=all(check.verdict is not Verdict.FAILED for check in checks), checks=checks)

    def _safely(self, examine: Callable[[], Iterator[Check]]) -> Iterator[Check]:
        """A check that can't be made must not hide the others."""
        name = examine.__name__.replace("_", " ")
        try:
            yield from examine()
        except ClientError as error:
            code = str(error.response["Error"].get("Code"))
            yield _failed(name, f"{error.operation_name}: {code}", "Check the permissions: docs/operate/command.md.")
        except BotoCoreError as error:
            yield _failed(name, type(error).__name__, "AWS can't be reached.")
        except (NoSuchStack, KeyError) as error:
            yield _failed(name, f"not found: {error}", "Does the stack have the version of this command?")

    def deployment(self) -> Iterator[Check]:
        """The status of the last deployment."""
        status = self.stack.status
        if status in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}:
            yield _ok("deployment", status)
        elif status.endswith("_IN_PROGRESS"):
            yield _warning("deployment", status, "Wait until it is complete.")
        else:
            yield _failed("deployment", status, "The last deployment failed: look at the stack's events.")
        if self.stack.environment in {"staging", "prod"} and self.stack.parameters.get("Rollout") == "AtOnce":
            yield _warning("releases", "AtOnce: no version is checked", "Set Rollout=Gradual: docs/operate/releases.md")

    def parameters(self) -> Iterator[Check]:
        """Parameters that contradict each other, and missing defaults."""
        parameters = self.stack.parameters
        grace, deadline = int(parameters["WebhookGraceSeconds"]), int(parameters["CallDeadlineSeconds"])
        found = f"grace {grace} s, deadline {deadline} s, records kept for {parameters['RetentionDays']} days"
        if deadline <= grace:
            yield _failed("parameters", found, "CallDeadlineSeconds must be more than WebhookGraceSeconds.")
        else:
            yield _ok("parameters", found)
        missing = [name for name in ("DefaultAssistantId", "DefaultPhoneNumberId") if not parameters.get(name)]
        if missing:
            yield _warning("defaults", f"no {' and no '.join(missing)}", "Every request must name its own.")
        else:
            yield _ok("defaults", "an assistant and a phone number")

    def key(self) -> Iterator[Check]:
        """The AlloMia key of each organization, read as the functions read it, and tried without placing a call."""
        advice = "Correct the secret AllomiaApiKeySecretArn: docs/operate/deploy.md."
        try:
            content = self.stack.organizations.in_secret()
        except SecretUnreadable as error:
            yield _failed("AlloMia key", str(error), "Does the secret exist, and may you read it?")
            return
        except SecretUnusable as error:
            yield _failed("AlloMia key", str(error), advice)
            return
        if content.broken_names:
            yield _failed("AlloMia key", f"{content.broken_names} names in the secret break the rule", advice)
        url = self.stack.parameters["AllomiaBaseUrl"]
        try:
            transport = self.transport or proxied(url)
        except httpx.UnsupportedProtocol as error:
            yield _failed("AlloMia", str(error), _UNREACHABLE)
            return
        with http_client(url, transport) as http:
            for name in content.organizations:
                of = "" if name is None else f" of {name}"
                try:
                    organization = content[name]
                except SecretUnusable as error:
                    yield _failed(f"AlloMia key{of}", str(error), advice)
                    continue
                yield _ok(f"AlloMia key{of}", "the secret holds a key")
                check = _key_check(f"AlloMia{of}", _ask(http, organization.api_key))
                yield check
                if check.verdict is Verdict.OK and organization.organization_id:
                    log = CallLog(AllomiaClient(http, self.stack.organizations))
                    yield from self._id_check(f"AlloMia organization{of}", log, organization)
            yield _wrong_key_check("AlloMia's refusal", _ask(http, f"not-a-key-{uuid4()}"))

    def _id_check(self, name: str, log: CallLog, organization: Organization) -> Iterator[Check]:
        """Whether a key is one of the organization with the id beside it."""
        now = int(self.clock())
        match log.calls_page(organization, now - 1, now, limit=1):
            case StatusUnavailable(reason) if reason == NOT_FOUND:
                advice = "The key belongs to another organization, or organizationId is wrong: correct the secret."
                yield _failed(name, "the key doesn't see the organization with this organizationId", advice)
            case StatusUnavailable(reason):
                yield _warning(name, f"the call log can't be read: {reason}", "Check AlloMia's status, and retry.")
            case _:
                yield _ok(name, "the key is one of this organizationId")

    def webhook(self) -> Iterator[Check]:
        """The path of AlloMia's webhooks into the stack, tried with an invalid signature."""
        url = f"{self.stack.outputs['WebhookUrl']}/doctor/1/not-a-signature"
        try:
            transport = self.transport or proxied(url)
            with httpx.Client(transport=transport, timeout=15, trust_env=False) as http:
                code = http.post(url, json={}).status_code
        except httpx.RequestError as error:
            yield _failed(
                "webhook", type(error).__name__, "AlloMia must reach WebhookUrl: check the API and the domain."
            )
            return
        if code == httpx.codes.FORBIDDEN:
            yield _ok("webhook", "reachable, and answers an invalid signature with 403")
        else:
            yield _failed("webhook", f"HTTP {code} instead of 403", "Check the API's route and ReceiveWebhookFunction.")

    def event_sources(self) -> Iterator[Check]:
        """The event sources of the functions that read the queue and the stream."""
        functions = self.stack.client("lambda")
        for mapping in self.stack.of_type("AWS::Lambda::EventSourceMapping"):
            state = functions.get_event_source_mapping(UUID=mapping.id)["State"]
            if state == "Enabled":
                yield _ok(mapping.name, state)
            else:
                yield _failed(mapping.name, state, "Its function never runs: enable the event source mapping.")

    def schedule(self) -> Iterator[Check]:
        """The poller's schedule."""
        scheduler = self.stack.client("scheduler")
        schedules = self.stack.of_type("AWS::Scheduler::Schedule")
        for schedule in schedules:
            found = scheduler.get_schedule(Name=schedule.id.rpartition("|")[2])
            state = f"{found['ScheduleExpression']}, {found['State']}"
            if found["State"] == "ENABLED":
                yield _ok("schedule", state)
            else:
                yield _failed("schedule", state, "The poller never runs: enable the schedule.")

    def sweeps(self) -> Iterator[Check]:
        """The poller's last executions, from its metrics: Express workflows keep no history."""
        succeeded, failed = (
            self._metric("AWS/States", name, "StateMachineArn", self.stack.outputs["PollerArn"])
            for name in ("ExecutionsSucceeded", "ExecutionsFailed")
        )
        if succeeded is None and self.stack.environment == "local":
            yield _skipped("sweeps", "the local cloud has no metrics of executions")
        elif not succeeded:
            yield _failed("sweeps", "none succeeded in ten minutes", "Check the poller's log and schedule.")
        elif failed:
            yield _warning("sweeps", f"{succeeded:.0f} succeeded, {failed:.0f} failed", "Check the poller's log.")
        else:
            yield _ok("sweeps", f"{succeeded:.0f} succeeded in ten minutes")

    def overdue(self) -> Iterator[Check]:
        """Attempts that the poller should have looked at by now."""
        overdue = self.stack.records.seconds_overdue(self.clock())
        if overdue is None or overdue <= OVERDUE_SECONDS:
            yield _ok("overdue calls", "none")
        else:
            yield _failed("overdue calls", f"one has been due for {overdue} s", "Check the poller's log.")

    def refused(self) -> Iterator[Check]:
        """Attempts that AlloMia refuses, by their assistant and number. They wait until someone fixes what is wrong."""
        name, records = "refused by AlloMia", self.stack.records
        anything = False
        for (organization, setting), keys in sorted(records.refused().items(), key=lambda each: str(each[0])):
            # Those that only the circuit breaker holds back have no text from AlloMia.
            latest = keys[-REFUSED_READ:]
            attempts = records.find(latest)
            refused = [each for key in reversed(latest) if (each := attempts.get(key)) and each.reason]
            # The one that was refused last is due last.
            refused.sort(key=lambda each: str(each.due_at), reverse=True)
            words = list(dict.fromkeys(str(each.reason) for each in refused))[:WORDS_SHOWN]
            if not words:
                continue
            anything = True
            assistant, _, number = setting.partition("-")
            where = f"organization {organization}, " if organization else ""
            found = f"{len(keys)} wait, with {where}assistant {assistant}…, number {number}…: {'; '.join(words)}"
            yield _failed(name, found, "Fix the request or the setting: docs/operate/runbook.md#calls-refused")
        if not anything:
            yield _ok(name, "none")

    def policy(self) -> Iterator[Check]:
        """The calling policy: whether it can be read, pauses calls, and knows its holidays for a while."""
        name, show = "calling policy", "See: calls policy show"
        policies = replace(self.stack.policies, clock=self.clock)
        try:
            in_force = policies.in_force()
        except NotAllowed as error:
            yield _failed(name, str(error), "No one is dialled. Set another one: calls policy set")
            return
        version = f"version {in_force.version}" if in_force.version else "no document"
        yield _ok(name, f"{version}, on the preset {in_force.preset}")
        if in_force.paused:
            yield _warning("paused", ", ".join(in_force.paused), f"{show}, and: calls resume")
        if in_force.holidays_until:
            days = (date.fromisoformat(in_force.holidays_until) - self._today()).days
            found = f"known until {in_force.holidays_until}"
            if days < HOLIDAYS_DAYS:
                advice = "After that no one is dialled. Set the same policy again, which computes them: docs/operate/"
                yield _failed("holidays", f"{found}, {days} days from now", f"{advice}calling-policy.md#holidays")
            else:
                yield _ok("holidays", found)
        try:
            self.stack.number_hashes.of("")
        except SecretUnusable as error:
            yield _failed("number hashes", str(error), "Do-not-call entries and caps need NumberHashSecret.")

    def time_zones(self) -> Iterator[Check]:
        """The age of the time-zone data by which the stack reads people's clocks.

        The stack names it with its dials. Where none of the last days does, this command's own is judged.
        """
        name, own = "time zones", TIME_ZONE_DATA_VERSION
        if TIME_ZONE_DATA_BUILT is None:
            yield _failed(name, f"tzdata {own}, of unknown age", "Name its day in contracts/time_zones.py.")
            return
        named = self._time_zone_data_of_last_dial()
        used = named or own
        # The name begins with the year. What is older than this command's was built before it, too.
        built, last_day = date.fromisoformat(TIME_ZONE_DATA_BUILT), date(int(used[:4]), 12, 31)
        if used != own:
            built = min(built, last_day) if used < own else last_day
        days = (self._today() - built).days
        whose = "the stack's last dial" if named else f"this command; no dial of {UNKNOWN_DAYS} days names the stack's"
        more = f"{days} days old" if used == own else f"{own} (this command)"
        found = f"tzdata {used} ({whose}), {more}"
        if days > TIME_ZONE_DATA_DAYS:
            yield _failed(name, found, "Rules change several times a year: upgrade tzdata, and deploy.")
        elif used < own:
            yield _warning(name, found, "Deploy this version, unless you did since that dial.")
        elif used > own:
            yield _warning(name, found, "The stack is newer: use the command of its version.")
        else:
            yield _ok(name, found)

    def _time_zone_data_of_last_dial(self) -> str | None:
        """The version by which the stack decided the newest dial that names one; None where none of the last does."""
        now = self.clock()
        wanted = Search(TERMINAL, self._organizations(), now - UNKNOWN_DAYS * 86_400, now, MOST_DIALS)
        found = [
            (str(each.dispatched_at), each.allowed_by.zone_data)
            for each in self.stack.records.search(wanted).calls
            if each.allowed_by and each.allowed_by.zone_data
        ]
        return max(found)[1] if found else None

    def _organizations(self) -> list[str | None]:
        """Whose calls are looked at. While the policy can't be read, which is reported, those that it names are not."""
        with suppress(NotAllowed):
            return self.stack.organization_names()
        return [None]

    def _today(self) -> date:
        return datetime.fromtimestamp(self.clock(), UTC).date()

    def unknown_outcomes(self) -> Iterator[Check]:
        """Outcomes of the last days that could not be learned, and that a person has to find out."""
        now = self.clock()
        since = now - UNKNOWN_DAYS * 86_400
        wanted = Search({Status.UNKNOWN}, self._organizations(), since, now, MOST_UNKNOWN)
        found = self.stack.records.search(wanted)
        unknown = sum(each.outcome_source is not OutcomeSource.OPERATOR for each in found.calls)
        name, days = "unknown outcomes", f"in the last {UNKNOWN_DAYS} days"
        if unknown:
            advice = "Find out, and run: calls resolve. They are listed by: calls list --status unknown"
            yield _failed(name, f"{'at least ' if found.more else ''}{unknown} {days}", advice)
        else:
            yield _ok(name, f"none {days}")

    def queues(self) -> Iterator[Check]:
        """The queues in which messages wait for a person."""
        stack = self.stack
        for name, url, advice in (
            ("dead letters", stack.dead_letter_queue_url, "Fix the fault, then run: calls redrive --dead-letters"),
            ("invalid messages", stack.invalid_messages_queue_url, "See why with: calls invalid"),
            ("failed outcomes", stack.failed_outcomes_queue_url, "Recorded but not published: see the runbook."),
        ):
            depth = queue_depth(stack.sqs, name, url)
            count = depth.waiting + depth.held
            yield _failed(name, f"{count} messages", advice) if count else _ok(name, "none")

    def oldest_request(self) -> Iterator[Check]:
        """How long the oldest request has waited for a worker."""
        name = self.stack.call_queue_url.rpartition("/")[2]
        seconds = self._metric("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", name, statistic="Maximum")
        if seconds is None:
            yield _skipped("oldest request", "no metric: the queue was empty, or the stack is local")
        elif seconds > OVERDUE_SECONDS:
            yield _warning("oldest request", f"waited {seconds:.0f} s", "Raise MaxWorkers, or check place_call's log.")
        else:
            yield _ok("oldest request", f"waited {seconds:.0f} s")

    def alarms(self) -> Iterator[Check]:
        """The stack's alarms."""
        cloudwatch = self.stack.client("cloudwatch")
        names = [each.id for each in self.stack.resources if each.type.endswith("Alarm") and each.id]
        pages = cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        found = [
            alarm for page in pages for kind in ("MetricAlarms", "CompositeAlarms") for alarm in page.get(kind, [])
        ]
        in_alarm = [alarm for alarm in found if alarm["StateValue"] == "ALARM"]
        for alarm in in_alarm:
            yield _failed(alarm["AlarmName"], "in alarm", str(alarm.get("AlarmDescription", "")))
        if not in_alarm:
            ok = sum(alarm["StateValue"] == "OK" for alarm in found)
            states = "all OK" if ok == len(found) else f"{ok} OK, {len(found) - ok} without data"
            yield _ok("alarms", f"{len(found)} alarms, {states}")

    def subscriptions(self) -> Iterator[Check]:
        """The subscribers of the alarms."""
        sns = self.stack.client("sns")
        found = sns.list_subscriptions_by_topic(TopicArn=self.stack.resource("AlarmTopic"))["Subscriptions"]
        confirmed = [each for each in found if each["SubscriptionArn"].startswith("arn:")]
        name = "alarm subscribers"
        if confirmed:
            yield _ok(name, f"{len(confirmed)} confirmed")
        elif found:
            yield _failed(name, "none is confirmed", "Follow the link in the e-mail from AWS.")
        else:
            yield _warning(name, "none", "Set AlarmEmail, or subscribe to AlarmTopic.")

    def _metric(self, namespace: str, metric: str, dimension: str, value: str, statistic: str = "Sum") -> float | None:
        """A metric over the last ten minutes; None without data."""
        now = datetime.fromtimestamp(self.clock(), UTC)
        points: Sequence[Any] = self.stack.client("cloudwatch").get_metric_statistics(
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


def _ask(http: httpx.Client, key: str) -> httpx.Response | httpx.RequestError:
    """What AlloMia answers to this key, asked for a call that doesn't exist."""
    try:
        return http.get(f"/api/outbound/{uuid4()}/status", headers={"Authorization": f"Bearer {key}"})
    except httpx.RequestError as error:
        return error


def _key_check(name: str, answer: httpx.Response | httpx.RequestError) -> Check:
    """What AlloMia says to an organization's key."""
    elsewhere = "Check AllomiaBaseUrl, and what is between: is it AlloMia's?"
    match answer:
        case httpx.RequestError():
            return _failed(name, type(answer).__name__, _UNREACHABLE)
        case httpx.Response(status_code=404):
            if _is_allomias_error(answer.content):
                return _ok(name, "accepts the key: no such call (404)")
            return _failed(name, "HTTP 404, not AlloMia's own answer", elsewhere)
        case httpx.Response(status_code=401 | 403):
            return _failed(name, "declines the key", "Put a valid key into the secret. Calls wait for it.")
        case httpx.Response(is_success=True):
            return _failed(name, "reports a call that was never made", elsewhere)
    return _failed(name, f"HTTP {answer.status_code}", _UNREACHABLE)


def _wrong_key_check(name: str, answer: httpx.Response | httpx.RequestError) -> Check:
    """Whether a key that can't be one is declined. What accepts any key says nothing about the right one."""
    match answer:
        case httpx.RequestError():
            return _failed(name, type(answer).__name__, _UNREACHABLE)
        case httpx.Response(status_code=401 | 403):
            return _ok(name, f"declines a wrong key ({answer.status_code})")
    return _failed(name, f"HTTP {answer.status_code} to a wrong key, not 401", "Check AllomiaBaseUrl: is it AlloMia's?")


def _is_allomias_error(body: bytes) -> bool:
    """Whether it is an error as AlloMia documents it: a JSON object with a text `error`."""
    try:
        content = from_json(body)
    except ValueError:
        return False
    return isinstance(content, dict) and isinstance(content.get("error"), str)
