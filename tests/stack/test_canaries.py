"""No canary comes out of the deployed stack: its logs, its events, its queues' attributes, its finished records.

What a single function does when its parts fail is searched in tests/proof/canaries; here the parts are put together,
and rights are taken away from roles while they work.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from botocore.credentials import Credentials

from local.environment import API_KEY, SIGNING_KEY, LocalEnvironment
from outbound_calls.adapters.callback_urls import sign
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from tests.proof.canaries.search import hits, texts
from tests.stack.conftest import bring_forward, every, wait_until
from tests.stack.test_get_call import get, principal

# The first file of its group: the schedule of the other stack has time until test_stack.py looks for its outcomes.
pytestmark = pytest.mark.usefixtures("scheduled_world")

NAME = "Hazel Mockingbird-Ängström"
VARIABLE = "peculiar <remark> 7331 ünïted"
REASON = "the person at +15005550100 hung up"
TERMINAL = {"completed", "failed", "busy", "no-answer", "rejected", "unknown"}

# What AlloMia does with each number: local/simulator/magic_numbers.py.
NUMBERS = {
    "healthy": "+15005550100",
    "polled": "+15005550200",
    "refused-with-the-number-in-its-words": "+15005550300",
    "refused": "+15005550301",
    "key-refused": "+15005550304",
    "throttled": "+15005550306",
    "ambiguous": "+15005550310",
    "garbage": "+15005550325",
    "accepted-and-lost": "+15005550501",
}
LISTED = "+15005550188"
"""On the do-not-call list, and in no request."""

NAMES = frozenset(f"canary-{name}" for name in (*NUMBERS, "denied"))
WAITING = ("refused-with-the-number-in-its-words", "refused", "key-refused")
ENDING_SOON = NAMES - {f"canary-{name}" for name in (*WAITING, "throttled", "ambiguous")}


def request(name: str) -> dict[str, Any]:
    return {
        "requestId": f"canary-{name}",
        "phoneNumber": NUMBERS.get(name, "+15005550100"),
        "customerName": NAME,
        "dynamicVariables": {"note": VARIABLE},
        "metadata": {"clinic": "7"},
    }


def sqs_event(name: str) -> dict[str, Any]:
    return {"Records": [{"messageId": f"message-{name}", "body": json.dumps(request(name))}]}


def invoke(world: LocalEnvironment, function: str, event: Mapping[str, Any]) -> Any:
    answer = world.cloud.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    return json.loads(answer["Payload"].read())


def remembered(world: LocalEnvironment) -> list[Any]:
    """All items of the policy table."""
    return world.cloud.client("dynamodb").scan(TableName=world.stack.policy_table_name)["Items"]


def signature(name: str) -> str:
    return sign(SIGNING_KEY, AttemptKey(RequestKey(f"canary-{name}"), 1))


OUTCOME = {"outboundCallId": "c3d4e5f6-a7b8-9012-cdef-345678901234", "status": "completed", "customerName": NAME}


def post(world: LocalEnvironment, name: str, signed: str, body: object) -> httpx.Response:
    url = f"{world.stack.api_url}/webhooks/allomia/canary-{name}/1/{signed}"
    return httpx.post(url, content=json.dumps(body), trust_env=False, timeout=30)


@contextlib.contextmanager
def without(world: LocalEnvironment, role: str, service: str) -> Iterator[None]:
    """A role that lacks its rights to a service for a while."""
    iam = world.cloud._make_client("iam")
    name = world.stack.resources[role]
    (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
    document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    left = [each for each in document["Statement"] if not each["Action"].startswith(f"{service}:")]
    assert len(left) < len(document["Statement"])
    iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document | {"Statement": left}))
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))


@dataclass
class Exits:
    """Where something can come out of the stack, and what came out there. Its logs and tables are read at the end."""

    world: LocalEnvironment
    reader: Credentials
    answers: list[object] = field(default_factory=list)
    """Of its functions and its HTTP API."""

    denied: dict[str, object] = field(default_factory=dict)
    """The answer of each function while it had no right to its table: its body, status code, or count of failures."""

    webhooks: list[int] = field(default_factory=list)
    """The status codes that webhooks were answered with: four wrong ones, and a good one."""

    bad: set[str] = field(default_factory=set)
    """The ids of the invalid messages."""

    kept: list[Mapping[str, str]] = field(default_factory=list)
    """The attributes of the messages in the queue of invalid messages."""

    events: list[dict[str, Any]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)

    def place_calls(self) -> None:
        """Place calls that go every way, and list a number that is not to be called."""
        world = self.world
        for name in NUMBERS:
            world.send(request(name))
        wait_until(lambda: {f"canary-{name}" for name in NUMBERS} <= world.calls().keys())
        # Those whose only source is a webhook get it before webhooks are refused.
        early = {"canary-healthy", "canary-garbage"}
        wait_until(lambda: all(world.calls()[name]["status"] == "completed" for name in early))
        world.send({"doNotCall": {"phoneNumber": LISTED}})
        wait_until(lambda: any(item["entry"]["S"].startswith("do-not-call#") for item in remembered(world)))

    def send_invalid_messages(self) -> None:
        self.bad = {
            self.world.send(body)
            for body in (
                {"doNotCall": {"phoneNumber": f"{LISTED}x"}},
                {"cancel": {"requestId": LISTED}},
                request("bad") | {"phoneNumber": "+15005550100x"},
                request("bad") | {"customerName": [NAME]},
                request("bad") | {NAME: VARIABLE},
                json.dumps(request("bad"))[:-1],
            )
        }

    def deny_the_table(self) -> None:
        """Let each function work without its rights to the table."""
        world, stack = self.world, self.world.stack
        with without(world, "PlaceCallRole", "dynamodb"):
            self.denied["place_call"] = invoke(world, stack.place_call_function_name, sqs_event("denied"))
        with without(world, "ReceiveWebhookRole", "dynamodb"):
            lost = post(world, "healthy", signature("healthy"), OUTCOME | {"status": "failed"})
            self.denied["receive_webhook"] = lost.status_code
        due = {"requestId": {"S": "canary-healthy"}, "attempt": {"N": "1"}, "dueShard": {"N": "0"}, "dueAt": {"N": "1"}}
        with without(world, "PollCallsRole", "dynamodb"):
            swept = invoke(world, stack.poll_calls_function_name, {"items": [due]})
            self.denied["poll_calls"] = swept["failed"]
        with without(world, "GetCallRole", "dynamodb"):
            unread = get(world, "canary-healthy", self.reader)
            self.denied["get_call"] = unread.status_code
        self.answers += [self.denied["place_call"], lost.text, swept, unread.text]
        # The failed message comes again.
        self.answers.append(invoke(world, stack.place_call_function_name, sqs_event("denied")))

    def send_webhooks(self) -> None:
        """Send forged webhooks and malformed ones, full of what no one should see, and one with a free text."""
        lost = "accepted-and-lost"
        for signed, body in (
            (signature("healthy")[::-1], OUTCOME),
            (API_KEY, OUTCOME),
            (signature(lost), OUTCOME | {"status": NAME}),
            (signature(lost), [NUMBERS, VARIABLE]),
            (signature(lost), OUTCOME | {"callDetails": {"endedReason": REASON}}),
        ):
            answer = post(self.world, lost, signed, body)
            self.webhooks.append(answer.status_code)
            self.answers.append(answer.text)

    def look_up(self, names: Iterable[str]) -> list[dict[str, Any]]:
        return [get(self.world, name, self.reader).json() for name in names]

    def wait_for_outcomes(self) -> None:
        world = self.world

        def look() -> None:
            # For some seconds after its rights came back, place_call still knew that it couldn't read the policy.
            bring_forward(world, "canary-denied")
            world.sweep()

        def ended() -> bool:
            calls = world.calls()
            return all(calls.get(name, {}).get("status") in TERMINAL for name in ENDING_SOON)

        def all_heard() -> bool:
            self.events.extend(event for event in world.outcome_events() if event["requestId"] in NAMES)
            return {event["requestId"] for event in self.events} >= ENDING_SOON

        def all_kept() -> bool:
            self.kept.extend(message.attributes for message in world.invalid_messages())
            return self.bad <= {each["messageId"] for each in self.kept}

        wait_until(ended, meanwhile=every(3, look))
        wait_until(all_heard)
        wait_until(all_kept)

    def log_lines(self) -> list[tuple[str, str]]:
        """Every line of every log, with the log's name."""
        logs = self.world.cloud.client("logs")
        return [
            (f"log {group['logGroupName']}", event["message"])
            for groups in logs.get_paginator("describe_log_groups").paginate()
            for group in groups["logGroups"]
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
            for event in page["events"]
        ]

    def records(self) -> list[dict[str, Any]]:
        return [call for name, call in self.world.calls().items() if name in NAMES]

    def texts(self) -> dict[str, str]:
        """All that came out, except what AlloMia says of a call, which belongs in outcomes."""
        attempts = [[attempt | {"callDetails": None} for attempt in each["attempts"]] for each in self.reports]
        reports = [each | {"attempts": made} for each, made in zip(self.reports, attempts, strict=True)]
        return texts(
            [
                *self.log_lines(),
                *(("item of the policy table", item) for item in remembered(self.world)),
                *(("attributes of an invalid message", each) for each in self.kept),
                *(("answer", each) for each in self.answers),
                *(("report", each) for each in reports),
                *(("event", event | {"callDetails": None}) for event in self.events),
                *(("record", call | {"callDetails": None, "request": None}) for call in self.records()),
            ]
        )


@pytest.fixture(scope="module")
def exits(world: LocalEnvironment) -> Exits:
    """The stack after calls that went every way, failures and attacks."""
    exits = Exits(world, principal(world, world.stack.outputs["StatusApiArn"]))
    exits.place_calls()
    exits.send_invalid_messages()
    exits.deny_the_table()
    # While their records hold their requests
    exits.answers += exits.look_up(f"canary-{name}" for name in ("throttled", "key-refused", "ambiguous"))
    exits.send_webhooks()
    exits.wait_for_outcomes()
    exits.reports = exits.look_up(sorted(NAMES))
    return exits


def test_a_function_without_its_table_fails_and_its_message_comes_again(exits: Exits) -> None:
    assert exits.denied == {
        "place_call": {"batchItemFailures": [{"itemIdentifier": "message-denied"}]},
        "receive_webhook": 500,
        "poll_calls": 1,
        "get_call": 500,
    }
    assert exits.world.dead_letters() == []


def test_wrong_webhooks_are_refused_and_a_good_one_is_taken(exits: Exits) -> None:
    *wrong, good = exits.webhooks
    assert len(wrong) == 4
    assert set(wrong) <= {400, 403}
    assert good == 200


def test_a_finished_record_holds_no_request(exits: Exits) -> None:
    assert [report["requestId"] for report in exits.reports] == sorted(NAMES)
    finished = [call for call in exits.records() if call["status"] in TERMINAL]
    assert len(finished) >= len(ENDING_SOON)
    assert not [call for call in finished if "request" in call]


def test_no_canary_comes_out(exits: Exits) -> None:
    secrets = {
        "name": NAME,
        "variable": VARIABLE,
        "AlloMia key": f"Bearer {API_KEY}",
        "signing key": SIGNING_KEY,
        "number on the list": LISTED,
        **{f"number of {name}": number for name, number in NUMBERS.items()},
        **{f"signature of {name}": signature(name) for name in (*NUMBERS, "denied")},
    }
    assert len(exits.log_lines()) > 40
    assert hits(exits.texts(), secrets) == []


def test_what_allomia_says_of_a_call_is_in_its_outcome_only(exits: Exits) -> None:
    outcomes = [event for event in exits.events if event["requestId"] == "canary-accepted-and-lost"]
    [details] = [event["callDetails"] for event in outcomes if event["callDetails"]]
    assert details["endedReason"] == REASON
    assert hits(exits.texts(), {"reason": REASON}) == []
