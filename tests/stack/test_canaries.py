"""No canary comes out of the deployed stack: its logs, its events, its queues' attributes, its finished records.

What a single function does when its parts fail is searched in tests/proof/canaries; here the parts are put together,
and rights are taken away from roles while they work.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from local.environment import API_KEY, SIGNING_KEY, LocalEnvironment
from outbound_calls.adapters.callback_urls import sign
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from tests.proof.canaries.search import hits, texts
from tests.stack.conftest import bring_forward, every, wait_until
from tests.stack.test_get_call import get, principal

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

WAITING = ("refused-with-the-number-in-its-words", "refused", "key-refused")


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


def test_no_canary_comes_out(world: LocalEnvironment) -> None:
    secrets = {
        "name": NAME,
        "variable": VARIABLE,
        "AlloMia key": f"Bearer {API_KEY}",
        "signing key": SIGNING_KEY,
        "number on the list": LISTED,
        **{f"number of {name}": number for name, number in NUMBERS.items()},
        **{f"signature of {name}": signature(name) for name in (*NUMBERS, "told", "denied")},
    }
    answers: list[object] = []
    heard: list[dict[str, Any]] = []

    # Given calls that go every way
    for name in NUMBERS:
        world.send(request(name))
    early = {"canary-healthy", "canary-garbage"}
    wait_until(lambda: {f"canary-{name}" for name in NUMBERS} <= world.calls().keys(), 60)
    # (those whose only word is a webhook have it before webhooks are refused)
    wait_until(lambda: all(world.calls()[name]["status"] == "completed" for name in early), 60)
    # And a number that is not to be called
    world.send({"doNotCall": {"phoneNumber": LISTED}})
    wait_until(lambda: any(item["entry"]["S"].startswith("do-not-call#") for item in remembered(world)), 60)
    # And messages that are refused
    bad = {
        world.send({"doNotCall": {"phoneNumber": f"{LISTED}x"}}),
        world.send({"cancel": {"requestId": LISTED}}),
        world.send(request("bad") | {"phoneNumber": "+15005550100x"}),
        world.send(request("bad") | {"customerName": [NAME]}),
        world.send(request("bad") | {NAME: VARIABLE}),
        world.send(json.dumps(request("bad"))[:-1]),
    }

    # When rights are missing for a while
    with without(world, "PlaceCallRole", "dynamodb"):
        failed = invoke(world, world.stack.place_call_function_name, sqs_event("denied"))
    assert failed == {"batchItemFailures": [{"itemIdentifier": "message-denied"}]}
    with without(world, "ReceiveWebhookRole", "dynamodb"):
        lost = post(
            world,
            "healthy",
            signature("healthy"),
            {"outboundCallId": "c3d4e5f6-a7b8-9012-cdef-345678901234", "status": "failed"},
        )
    assert lost.status_code == 500
    with without(world, "PollCallsRole", "dynamodb"):
        item = {
            "requestId": {"S": "canary-healthy"},
            "attempt": {"N": "1"},
            "dueShard": {"N": "0"},
            "dueAt": {"N": "1"},
        }
        looked = invoke(world, world.stack.poll_calls_function_name, {"items": [item]})
    assert looked["failed"] == 1
    reader = principal(world, world.stack.outputs["StatusApiArn"])
    with without(world, "GetCallRole", "dynamodb"):
        unread = get(world, "canary-healthy", reader)
    assert unread.status_code == 500
    answers.append(unread.text)
    # And calls are looked up while their records hold their requests
    answers += [get(world, f"canary-{name}", reader).json() for name in ("throttled", "key-refused", "ambiguous")]
    # And the failed message comes again
    answers += [failed, lost.text, looked, invoke(world, world.stack.place_call_function_name, sqs_event("denied"))]

    # And webhooks come that are forged or no outcomes, full of what no one should see
    outcome = {"outboundCallId": "c3d4e5f6-a7b8-9012-cdef-345678901234", "status": "completed", "customerName": NAME}
    for signed, body in (
        (signature("healthy")[::-1], outcome),
        (API_KEY, outcome),
        (signature("accepted-and-lost"), outcome | {"status": NAME}),
        (signature("accepted-and-lost"), [NUMBERS, VARIABLE]),
    ):
        refused = post(world, "accepted-and-lost", signed, body)
        assert refused.status_code in {400, 403}
        answers.append(refused.text)
    # And AlloMia says more than it should, in its own free text
    told = outcome | {"callDetails": {"endedReason": REASON}}
    assert post(world, "accepted-and-lost", signature("accepted-and-lost"), told).status_code == 200

    # And all that ends soon has ended, and is heard
    names = {f"canary-{name}" for name in (*NUMBERS, "denied")}
    soon = names - {f"canary-{name}" for name in (*WAITING, "throttled", "ambiguous")}

    def ended() -> bool:
        calls = world.calls()
        return all(calls.get(name, {}).get("status") in TERMINAL for name in soon)

    def look() -> None:
        # For some seconds after its rights came back, place_call still knew that it couldn't read the policy.
        bring_forward(world, "canary-denied")
        world.sweep()

    wait_until(ended, 150, meanwhile=every(3, look))

    def all_heard() -> bool:
        heard.extend(event for event in world.outcome_events() if event["requestId"] in names)
        return soon <= {event["requestId"] for event in heard}

    wait_until(all_heard, 60)
    kept: list[Mapping[str, str]] = []

    def all_kept() -> bool:
        kept.extend(message.attributes for message in world.invalid_messages())
        return bad <= {each["messageId"] for each in kept}

    wait_until(all_kept, 60)

    # And each is looked up
    reports = [get(world, name, reader).json() for name in sorted(names)]
    assert [report["requestId"] for report in reports] == sorted(names)
    for report in reports:
        report["attempts"] = [attempt | {"callDetails": None} for attempt in report["attempts"]]

    # Then all that came out is searched
    logs = world.cloud.client("logs")
    lines = [
        (f"log {group['logGroupName']}", event["message"])
        for group in logs.describe_log_groups()["logGroups"]
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
        for event in page["events"]
    ]
    assert world.dead_letters() == []
    records = [call | {"request": None} for name, call in world.calls().items() if name in names]
    finished = [call for call in world.calls().values() if call["requestId"] in names and call["status"] in TERMINAL]
    assert not [call for call in finished if "request" in call]
    places = texts(
        [
            *lines,
            *(("item of the policy table", item) for item in remembered(world)),
            *(("attributes of a rejected message", each) for each in kept),
            *(("answer", each) for each in answers),
            *(("report", each) for each in reports),
            *(("event", event | {"callDetails": None}) for event in heard),
            *(("record", call | {"callDetails": None}) for call in records),
        ]
    )
    assert len(lines) > 40
    assert hits(places, secrets) == []
    # And what AlloMia said is where it belongs, and in no log
    (spoken,) = (event for event in heard if event["requestId"] == "canary-accepted-and-lost" and event["callDetails"])
    assert spoken["callDetails"]["endedReason"] == REASON
    assert hits(places, {"reason": REASON}) == []
