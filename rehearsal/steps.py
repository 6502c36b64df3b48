"""What a rehearsal shows beyond the demo's requests, step by step. A step that can't be played somewhere says why."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, override

from calls.operations.stack import DeployedStack
from local.demo import TERMINAL, Check
from local.environment import LocalEnvironment
from rehearsal.changes import denied, stopped, update, version_with

ANSWERED, REFUSED, HANGING = "+15005550100", "+15005550308", "+15005550324"
"""The person answers; a proxy in front of AlloMia answers 404; AlloMia takes the call and hangs for longer than
place_call waits."""

ENDING_HANDLER = "ending.handler"
"""In rehearsal/ending. The folder python of a layer is on the path:
docs.aws.amazon.com/lambda/latest/dg/python-layers.html"""

SWEEP_SECONDS = 3.0
"""The poller's schedule starts it every minute; a rehearsal doesn't wait for that."""

GIVE_UP_SECONDS = 300.0
"""For one thing to happen. A throttled message is tried again within the queue's visibility timeout, of 270 s."""

DENIED_SECONDS = 60.0
"""For a policy to hold everywhere: docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html, "Changes that I make are
not always immediately visible". Then so long, again, for an event that must not come."""

ALARM_SECONDS = 1200.0
"""A queue that was idle reports its metrics up to 15 minutes late:
docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-monitoring-using-cloudwatch.html"""

RELEASE_REQUEST_SECONDS = 15.0
"""Between two requests during a gradual release, so that a tenth of some of them meets the new version."""

FUNCTIONS = (
    "PlaceCallFunction",
    "ReceiveWebhookFunction",
    "PollCallsFunction",
    "PublishOutcomeFunction",
    "ReleaseLinesFunction",
    "GetCallFunction",
)

MUST_NOT_FIRE = ("CallIdsContradictingAlarm", "DeadLettersAlarm", "FailedOutcomesAlarm", "PollerStoppedAlarm")
"""Whatever a rehearsal does, no person is called twice, nothing is given up, and the poller runs."""


@dataclass(frozen=True)
class RehearsedStack(LocalEnvironment):
    """A deployed stack, driven as the local one is. It reads the requests of this run only, not the whole table."""

    run: str = ""
    sent: list[str] = field(default_factory=list)

    @override
    def send(self, body: str | Mapping[str, Any]) -> str:
        content: Mapping[str, Any] = json.loads(body) if isinstance(body, str) else body
        request_id = content.get("requestId")
        if isinstance(request_id, str) and request_id.startswith(self.prefix) and request_id not in self.sent:
            self.sent.append(request_id)
        return super().send(body)

    @property
    def prefix(self) -> str:
        """What the ids of this run begin with."""
        return f"rehearsal-{self.run}-"

    @override
    def items(self) -> Iterator[Mapping[str, Any]]:
        pages = self.cloud.client("dynamodb").get_paginator("query")
        for request_id in list(self.sent):
            for page in pages.paginate(
                TableName=self.stack.calls_table_name,
                KeyConditionExpression="requestId = :requestId",
                ExpressionAttributeValues={":requestId": {"S": request_id}},
                ConsistentRead=True,
            ):
                yield from page["Items"]

    def request(self, name: str, phone_number: str = ANSWERED) -> dict[str, str]:
        """A request of this run."""
        return {"requestId": self.prefix + name, "phoneNumber": phone_number}

    def open_requests(self) -> list[str]:
        """Those without their last outcome."""
        calls = self.calls()
        return [name for name in self.sent if _open(calls.get(name))]

    def to_be_dialled(self) -> list[str]:
        """Those for which something may still be dialled. A call in progress isn't, once it is cancelled."""
        calls = self.calls()
        waiting = {"none", "scheduled"}
        return [
            name
            for name in self.open_requests()
            if (call := calls.get(name, {"status": "none"})) and (call["status"] in waiting or "redialAt" in call)
        ]

    def cancel(self, seconds: float = GIVE_UP_SECONDS) -> list[str]:
        """Cancel what may still be dialled; returns what is left. A stack must not dial it later, through AlloMia."""
        for request_id in self.open_requests():
            super().send({"cancel": {"requestId": request_id}})
        wait_until(lambda: not self.waiting_requests() and not self.to_be_dialled(), seconds, self.sweep)
        return self.to_be_dialled()


def _open(call: Mapping[str, Any] | None) -> bool:
    return call is None or call["status"] not in TERMINAL or "redialAt" in call


def wait_until(probe: Callable[[], object], seconds: float, meanwhile: Callable[[], object] = lambda: None) -> bool:
    """Whether `probe` is true within so many seconds. `meanwhile` is done every few seconds."""
    deadline, again = time.monotonic() + seconds, 0.0
    while not probe():
        if time.monotonic() > deadline:
            return False
        if time.monotonic() >= again:
            again = time.monotonic() + SWEEP_SECONDS
            meanwhile()
        time.sleep(0.5)
    return True


@dataclass(frozen=True)
class Stage:
    """What the steps are played on."""

    stack: DeployedStack
    environment: RehearsedStack
    ending_layer: str = ""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    give_up_seconds: float = GIVE_UP_SECONDS
    denied_seconds: float = DENIED_SECONDS
    alarm_seconds: float = ALARM_SECONDS
    between_looks_seconds: float = 10.0
    warm: int = 6
    """How many of the sandbox's and of the stack's internet-facing functions start beforehand."""

    @property
    def is_on_aws(self) -> bool:
        """Whether it isn't the local cloud."""
        return self.stack.environment != "local"

    def ended(self, request_id: str) -> bool:
        """Wait until a request has its outcome."""
        return wait_until(
            lambda: not _open(self.environment.calls().get(request_id)),
            self.give_up_seconds,
            self.environment.sweep,
        )

    def outcome(self, request_id: str) -> tuple[str, str, tuple[int, int]]:
        """Status and source of a request, and how often it was dialled: attempted and accepted."""
        call = self.environment.calls().get(request_id, {})
        return (
            call.get("status", "none"),
            call.get("outcomeSource", ""),
            self.environment.dials().get(request_id, (0, 0)),
        )


@dataclass(frozen=True)
class Step:
    """One thing that is shown. `missing` says why it can't be shown here."""

    what: str
    play: Callable[[Stage], Iterable[Check]]
    missing: Callable[[Stage], str | None] = lambda _: None


def call_refused(stage: Stage) -> Iterator[Check]:
    """AlloMia refuses a call, for a reason that may not be the request's."""
    environment = stage.environment
    request = environment.request("refused", REFUSED)
    environment.send(request)

    def parked() -> bool:
        return environment.calls().get(request["requestId"], {}).get("parkReason") == "refused-by-allomia"

    wait_until(parked, stage.give_up_seconds)
    status, _, (attempted, accepted) = stage.outcome(request["requestId"])
    yield Check(
        "a refused request waits until the setting is right, and isn't lost",
        f"{status}; asked {attempted} times",
        status == "scheduled" and attempted >= 1 and accepted == 0,
    )


def works_stopped(stage: Stage) -> Iterator[Check]:
    """A squeeze of the concurrency: AWS runs no worker, first for the webhooks and then for the dialling."""
    environment, stack = stage.environment, stage.stack
    dialled, held = environment.request("webhook-throttled"), environment.request("dial-throttled")
    with stopped(stack, stack.resource("ReceiveWebhookFunction")):
        environment.send(dialled)
        wait_until(lambda: environment.calls().get(dialled["requestId"]), stage.give_up_seconds)
        with stopped(stack, stack.resource("PlaceCallFunction")):
            environment.send(held)
            stage.ended(dialled["requestId"])
            early = environment.dials().get(held["requestId"])
    found = stage.outcome(dialled["requestId"])
    yield Check(
        "an outcome whose webhook AWS throttled is fetched by the poller, and no one is called for it again",
        f"{found}",
        found == ("completed", "poll", (1, 1)),
    )
    stage.ended(held["requestId"])
    found = stage.outcome(held["requestId"])
    yield Check(
        "a request that AWS throttled waits, and is then dialled once",
        f"dialled meanwhile: {early or 'no'}; {found}",
        early is None and (found[0], found[2]) == ("completed", (1, 1)),
    )


def worker_ended(stage: Stage) -> Iterator[Check]:
    """A worker's process ends while it waits for AlloMia's answer, and the message is delivered again.

    Lambda has no call that ends a worker. A short timeout doesn't end one either: place_call starts no call that it has
    no time for. So this is a version of place_call that ends itself.
    """
    environment, stack = stage.environment, stage.stack
    request = environment.request("worker-ended", HANGING)
    body = json.dumps(request)
    record = {
        "messageId": "00000000-0000-4000-8000-000000000000",
        "body": body,
        "attributes": {"SentTimestamp": str(int(time.time() * 1000))},
    }
    function = stack.resource("PlaceCallFunction")
    with version_with(stack, function, ENDING_HANDLER, stage.ending_layer) as version:
        answer = stack.client("lambda").invoke(
            FunctionName=function, Qualifier=version, Payload=json.dumps({"Records": [record]})
        )
        ended = answer.get("FunctionError")
    # As SQS does with a message whose worker was ended.
    environment.send(body)
    stage.ended(request["requestId"])
    found = stage.outcome(request["requestId"])
    yield Check(
        "a worker that dies in the middle of a call leaves a claim: the message's next delivery dials no one",
        f"ended: {ended or 'no'}; {found}",
        bool(ended) and (found[0], found[2]) == ("completed", (1, 1)),
    )


def events_denied(stage: Stage) -> Iterator[Check]:
    """EventBridge refuses the outcomes for a while."""
    environment, stack = stage.environment, stage.stack
    request = environment.request("event-denied")["requestId"]
    function = stack.resource("PublishOutcomeFunction")
    role = stack.client("lambda").get_function_configuration(FunctionName=function)["Role"]
    seen: set[str] = set()

    def arrived() -> bool:
        seen.update(event["requestId"] for event in environment.outcome_events())
        return request in seen

    with denied(stack, role):
        time.sleep(stage.denied_seconds)
        environment.send(environment.request("event-denied"))
        stage.ended(request)
        early = wait_until(arrived, stage.denied_seconds)
    late = wait_until(arrived, stage.give_up_seconds)
    yield Check(
        "an outcome that EventBridge refuses waits, and is published once it is allowed again",
        f"while denied: {'published' if early else 'held'}; afterwards: {'published' if late else 'missing'}",
        late and not early,
    )


def released_gradually(stage: Stage) -> Iterator[Check]:
    """A good version takes over while calls are placed; then one that can't start is held back."""
    environment, stack = stage.environment, stage.stack
    before = live_versions(stack)
    sent: list[str] = []
    with ThreadPoolExecutor(1) as threads:
        grace = str(int(parameters_of(stack)["WebhookGraceSeconds"]) + 1)
        updating = threads.submit(change, stage, WebhookGraceSeconds=grace)
        released = False
        while not released:
            request = environment.request(f"released-{len(sent)}")
            environment.send(request)
            sent.append(request["requestId"])
            released = wait_until(updating.done, min(RELEASE_REQUEST_SECONDS, stage.give_up_seconds))
        status = updating.result()
    after = live_versions(stack)
    for request_id in sent:
        stage.ended(request_id)
    right = sum(stage.outcome(request_id)[::2] == ("completed", (1, 1)) for request_id in sent)
    verdicts = deployments_since(stage)
    yield Check(
        "a gradual release takes over, and each call meanwhile is dialled once and has its outcome",
        f"{status}; CodeDeploy: {', '.join(verdicts)}; {right} of {len(sent)} calls",
        status == "UPDATE_COMPLETE"
        and set(verdicts) == {"Succeeded"}
        and after["PollCallsFunction"] != before["PollCallsFunction"]
        and right == len(sent),
    )
    # poll_calls doesn't start with a grace that is longer than the deadline, so its check fails.
    status = change(stage, WebhookGraceSeconds=str(int(parameters_of(stack)["CallDeadlineSeconds"]) + 1))
    verdicts = deployments_since(stage)
    kept = live_versions(stack)["PollCallsFunction"] == after["PollCallsFunction"]
    yield Check(
        "a version that doesn't start gets no traffic, and the stack rolls back",
        f"{status}; CodeDeploy: {', '.join(verdicts)}",
        status == "UPDATE_ROLLBACK_COMPLETE" and "Failed" in verdicts and kept,
    )
    request = environment.request("after-the-rollback")
    environment.send(request)
    stage.ended(request["requestId"])
    found = stage.outcome(request["requestId"])
    yield Check("calls go on after a failed release", f"{found}", found[::2] == ("completed", (1, 1)))


def parameters_of(stack: DeployedStack) -> dict[str, str]:
    """The parameters that the stack has now; `stack.parameters` are those that it had before."""
    (described,) = stack.client("cloudformation").describe_stacks(StackName=stack.name)["Stacks"]
    return {each["ParameterKey"]: each["ParameterValue"] for each in described["Parameters"]}


def change(stage: Stage, **parameters: str) -> str:
    """Give the rehearsed stack other parameters beside those it has; returns its status afterwards."""
    return update(stage.stack, parameters_of(stage.stack) | parameters, stage.between_looks_seconds)


def live_versions(stack: DeployedStack) -> dict[str, str]:
    """The version behind each function's alias."""
    lambda_ = stack.client("lambda")
    return {
        name: lambda_.get_alias(FunctionName=stack.resource(name), Name="live")["FunctionVersion"] for name in FUNCTIONS
    }


def deployments_since(stage: Stage) -> list[str]:
    """The results of CodeDeploy's deployments of the last update. Those before it belong to the step before."""
    codedeploy = stage.stack.client("codedeploy")
    (application,) = stage.stack.of_type("AWS::CodeDeploy::Application")
    statuses = []
    for group in stage.stack.of_type("AWS::CodeDeploy::DeploymentGroup"):
        found = codedeploy.list_deployments(
            applicationName=application.id, deploymentGroupName=group.id, createTimeRange={"start": stage.began}
        )["deployments"]
        if found:
            informed = codedeploy.batch_get_deployments(deploymentIds=found[:25])["deploymentsInfo"]
            statuses.append(str(max(informed, key=lambda each: each["createTime"])["status"]))
    return statuses


def alarms_raised(stage: Stage) -> Iterator[Check]:
    """An invalid message raises its alarm; those that report a broken guarantee stay as they are."""
    stage.environment.send({"requestId": stage.environment.prefix + "invalid", "phoneNumber": "none"})
    cloudwatch = stage.stack.client("cloudwatch")

    def raised(*names: str) -> list[str]:
        ids = {stage.stack.resource(name): name for name in names}
        pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNames=list(ids), StateValue="ALARM")
        return [ids[each["AlarmName"]] for page in pages for each in page["MetricAlarms"]]

    came = wait_until(lambda: raised("InvalidMessagesAlarm"), stage.alarm_seconds)
    stage.environment.invalid_messages()
    yield Check("an invalid message raises its alarm", "raised" if came else "not raised", came)
    wrong = fired_since(cloudwatch, {stage.stack.resource(name): name for name in MUST_NOT_FIRE}, stage.began)
    yield Check("no alarm of a broken guarantee was raised", ", ".join(wrong) or "none", not wrong)


def fired_since(cloudwatch: Any, alarms: Mapping[str, str], since: datetime) -> list[str]:
    """Which of these alarms were raised since then, also if they have ended since."""
    fired = []
    for alarm, name in alarms.items():
        pages = cloudwatch.get_paginator("describe_alarm_history").paginate(
            AlarmName=alarm, HistoryItemType="StateUpdate", StartDate=since, EndDate=datetime.now(UTC)
        )
        items = [json.loads(each["HistoryData"]) for page in pages for each in page["AlarmHistoryItems"]]
        if any(each["newState"]["stateValue"] == "ALARM" for each in items):
            fired.append(name)
    return fired


def _unless_on_aws(why: str) -> Callable[[Stage], str | None]:
    return lambda stage: None if stage.is_on_aws else why


def _unless_gradual(stage: Stage) -> str | None:
    if not stage.is_on_aws:
        return "the local cloud has no CodeDeploy"
    if stage.stack.environment != "staging" or stage.stack.parameters.get("Rollout") != "Gradual":
        return "only a staging stack with Rollout=Gradual releases gradually"
    return None


STEPS = (
    Step("a call that AlloMia refuses", call_refused),
    Step("a worker that dies in the middle of a call", worker_ended),
    Step(
        "workers that are squeezed by reserved concurrency",
        works_stopped,
        _unless_on_aws("the local cloud doesn't throttle what an alias runs"),
    ),
    Step(
        "denied PutEvents",
        events_denied,
        _unless_on_aws("the local cloud doesn't enforce the policy of an event bus"),
    ),
    Step("a gradual release, and one that fails its check", released_gradually, _unless_gradual),
    Step("alarms", alarms_raised, _unless_on_aws("the local cloud has no metrics of queues for them")),
)
