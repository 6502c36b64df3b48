"""The calling policy right before a dial: who waits and for what, who is rejected, and what is stored of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from local.simulator import returns
from outbound_calls.adapters.policy_table import Remembered, TakenDial
from outbound_calls.contracts.time_zones import TIME_ZONE_DATA_VERSION
from outbound_calls.domain.attempts import Allowance, Redial, Terms
from outbound_calls.domain.recipients import PastDial
from outbound_calls.use_cases.decide import CACHE_SECONDS
from outbound_calls.use_cases.placement import Placement, PlaceResult
from tests.cloud.parts import LOSE_REQUEST, PASS, FaultyNetwork, SampleAttempts, at_once, new_attempt
from tests.cloud.world import CloudWorld, OverANetwork, key_of
from tests.unit.parts import PHONE_NUMBER
from tests.world import NOW, dispatch_message

CALLING, PARKED, REJECTED, CANCELLED = (
    PlaceResult.CALLING,
    PlaceResult.PARKED,
    PlaceResult.REJECTED,
    PlaceResult.CANCELLED,
)
TORONTO = {"timeZone": "America/Toronto"}
"""Where it is Wednesday, 10:30, when these tests begin."""

HOUR = 3600
TO_22_30 = 12 * HOUR
EVERY_DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def daily(first: str, last: str) -> list[dict[str, Any]]:
    return [{"days": EVERY_DAY, "from": first, "to": last}]


# A request outside its window.


def test_a_request_at_night_waits_for_the_morning_and_is_dialled_then(world: CloudWorld) -> None:
    world.decide_by(basedOn="canada")
    world.pass_seconds(TO_22_30 - CACHE_SECONDS)
    request = world.request(**TORONTO)

    placement = world.place(request)

    # 9:00 in Toronto, or up to five minutes later
    opening = NOW + TO_22_30 + 10.5 * HOUR
    words = "waiting until Thu 2026-04-02 09:00 (America/Toronto): outside calling hours, policy canada"
    assert (placement.result, placement.code, placement.detail) == (PARKED, "outside-calling-window", words)
    assert world.allomia.posts == []
    item = world.attempts.existing_item(key_of(request))
    assert (item["status"], item["parkReason"], item["policyVersion"]) == ("scheduled", "outside-calling-window", 1)
    assert opening <= item["dueAt"] < opening + 300
    assert item["expiry"] == opening + 24 * HOUR
    assert world.come_up(key_of(request)).result is CALLING


@pytest.mark.parametrize(
    ("own", "reason", "due"),
    [
        (daily("10:00", "11:00"), None, None),
        (daily("14:00", "15:00"), "outside-calling-window", NOW + 3.5 * HOUR),
        (daily("08:00", "22:00"), None, None),
        # The policy opens at 9:00, whatever the request says.
        (daily("06:00", "09:30"), "outside-calling-window", NOW + 22.5 * HOUR),
    ],
    ids=["open", "later", "wider", "earlier"],
)
def test_the_windows_of_a_request_narrow_those_of_the_policy_and_never_widen_them(
    world: CloudWorld, own: object, reason: str | None, due: float | None
) -> None:
    world.decide_by(basedOn="canada")

    key = world.placed(callingWindows=own, **TORONTO)

    item = world.attempts.existing_item(key)
    assert item.get("parkReason") == reason
    assert due is None or due <= item["dueAt"] < due + 300


def test_the_zone_of_the_number_counts_where_the_request_names_none(world: CloudWorld) -> None:
    # In San Francisco it is 7:30
    world.decide_by(basedOn="canada")

    placement = world.place(world.request())

    assert placement.detail.startswith("waiting until Wed 2026-04-01 09:00 (America/Los_Angeles)")


# The rules and their order.


def do_nothing(_world: CloudWorld) -> None:
    pass


def cancel_the_batch(world: CloudWorld) -> None:
    world.place({"cancel": {"batch": "monday"}})


def object_to_calls(world: CloudWorld) -> None:
    world.place({"doNotCall": {"phoneNumber": PHONE_NUMBER}})


def dial_before(world: CloudWorld) -> None:
    number = world.place_calls.judge.numbers.of(PHONE_NUMBER)
    taken = TakenDial("another/1", "its-claim", PastDial(world.clock.now))
    assert world.policy_table.take_dial(number, Remembered(), taken, world.clock.now)


@dataclass(frozen=True)
class Rule:
    """A rule that doesn't hold: by the policy, the request, or what happened before; and what follows."""

    result: PlaceResult
    policy: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    before: Callable[[CloudWorld], None] = do_nothing
    code: str = ""


RULES = {
    "expired": Rule(REJECTED, request={"notAfter": "2026-04-01T14:30:01Z"}),
    "cancelled": Rule(CANCELLED, request={"batch": "monday"}, before=cancel_the_batch),
    "paused": Rule(PARKED, policy={"paused": True}),
    "unknown-purpose": Rule(REJECTED, request={"purpose": "marketing"}),
    "no-calling-window": Rule(
        REJECTED, {"callingWindows": daily("09:00", "21:30")}, {"callingWindows": daily("22:00", "23:00")}
    ),
    "not-before": Rule(PARKED, request={"notBefore": "2026-04-01T23:30:00Z"}),
    "outside-calling-window": Rule(PARKED, policy={"callingWindows": daily("17:00", "18:00")}),
    "do-not-call": Rule(REJECTED, before=object_to_calls),
    "recipient-cap": Rule(PARKED, policy={"recipientCaps": [{"calls": 1, "perDays": 1}]}, before=dial_before),
    "recipient-cap, rejecting": Rule(
        REJECTED,
        policy={"recipientCaps": [{"calls": 1, "perDays": 1}], "whenCapped": "reject"},
        before=dial_before,
        code="recipient-cap",
    ),
}
# A request whose notAfter isn't later than its notBefore is invalid, and one cap is enough.
PAIRS = [
    pair
    for pair in itertools.combinations(RULES, 2)
    if pair not in {("expired", "not-before"), ("recipient-cap", "recipient-cap, rejecting")}
]


def place_against(world: CloudWorld, *rules: Rule) -> Placement:
    """Place a request that breaks these rules, which the policy, the request and the past bring together."""
    policy: dict[str, Any] = {"basedOn": "open"}
    request: dict[str, Any] = dict(TORONTO)
    for rule in rules:
        policy |= rule.policy
        request |= rule.request
    world.decide_by(**policy)
    for rule in rules:
        rule.before(world)
    return world.place(world.request(**request))


@pytest.mark.parametrize("name", RULES)
def test_each_rule_decides_alone(world: CloudWorld, name: str) -> None:
    rule = RULES[name]

    placement = place_against(world, rule)

    assert (placement.result, placement.code) == (rule.result, rule.code or name)
    assert placement.key
    item = world.attempts.existing_item(placement.key)
    assert item.get("parkReason", item.get("reasonCode")) == placement.code
    assert item.get("reason", placement.detail) == placement.detail != ""
    assert world.allomia.posts == []


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_the_first_rule_that_does_not_hold_decides(world: CloudWorld, first: str, second: str) -> None:
    placement = place_against(world, RULES[first], RULES[second])

    assert (placement.result, placement.code) == (RULES[first].result, RULES[first].code or first)
    assert world.allomia.posts == []


@pytest.mark.parametrize(
    ("name", "source"),
    [(name, "policy") for name in RULES if RULES[name].result is REJECTED] + [("cancelled", "upstream")],
)
def test_what_policy_ends_says_so(world: CloudWorld, name: str, source: str) -> None:
    placement = place_against(world, RULES[name])

    assert placement.key
    assert placement.outcome
    item = world.attempts.existing_item(placement.key)
    assert (item["outcomeSource"], "request" in item, "dispatchedAt" in item) == (source, False, False)


# How soon another policy is in force.


def test_another_policy_is_in_force_after_five_seconds(world: CloudWorld) -> None:
    world.decide_by(basedOn="open")
    assert world.place(world.request()).result is CALLING
    world.policy_table.set_policy('{"paused": true}', "test", NOW, seen=1)

    world.pass_seconds(CACHE_SECONDS - 0.1)
    assert world.place(world.request()).result is CALLING
    world.pass_seconds(0.1)
    assert world.place(world.request()).code == "paused"


def test_a_policy_that_grows_old_between_decision_and_dial_dials_no_one(world: CloudWorld) -> None:
    world.clock.step = 2.5

    assert world.place(world.request()).code == "short-of-time"
    assert world.allomia.posts == []


@pytest.mark.parametrize(
    ("policy", "request_says", "reason"),
    [
        ({"callingWindows": [{"days": ["wed"], "from": "09:00", "to": "10:30"}]}, {}, "outside-calling-window"),
        ({}, {"notAfter": "2026-04-01T14:29:59Z"}, "expired"),
    ],
    ids=["a window closes", "it expires"],
)
def test_no_one_is_dialled_at_a_moment_that_came_between_decision_and_dial(
    world: CloudWorld, policy: dict[str, Any], request_says: dict[str, str], reason: str
) -> None:
    world.decide_by(basedOn="open", **policy)
    # Allowed when it is decided, 1.5 s before half past ten, and not when it would be posted.
    world.clock.now, world.clock.step = NOW - 2, 0.5

    request = world.request(timeZone="America/Toronto", **request_says)
    placement = world.place(request)

    assert (placement.code, world.allomia.posts) == ("short-of-time", [])
    assert world.attempts.existing_item(key_of(request)).keys().isdisjoint({"claimId", "dispatchedAt"})
    world.clock.step = 0.0
    assert world.come_up(key_of(request)).code == reason


class TestOverANetwork(OverANetwork):
    """The use cases behind a network that counts and may lose requests."""

    def test_threads_read_the_policy_once(self, world: CloudWorld, network: FaultyNetwork) -> None:
        results = at_once(8, lambda _: world.place(world.request()).result)

        assert results == [CALLING] * 8
        assert network.operations.count("GetItem") == 1
        assert network.operations.count("Query") == 8

    @pytest.mark.parametrize("operation", ["GetItem", "Query"])
    def test_what_cannot_be_read_once_is_read_at_the_next_look(
        self, world: CloudWorld, network: FaultyNetwork, operation: str
    ) -> None:
        network.plan = lambda asked, _: LOSE_REQUEST if asked == operation else PASS
        key = world.placed()
        assert world.attempts.existing_item(key)["parkReason"] == "policy-unreadable"
        network.heal()

        assert world.come_up(key).result is CALLING


# A policy that can't be read.

UNREADABLE = {
    "document": ("the policy can't be read", 300),
    "unknown field": ("the policy can't be read: it has an unknown field", 300),
    "table": ("the policy table can't be read: ResourceNotFoundException", 60),
    "secret": ("what policy remembers can't be read: SecretUnreadable", 60),
}


def make_unreadable(world: CloudWorld, what: str) -> None:
    match what:
        case "document" | "unknown field":
            world.decide_by()
            text = '{"maxCals": 1}' if what == "unknown field" else "{"
            world.policy_table.set_policy(text, "test", NOW, seen=1)
            world.pass_seconds(CACHE_SECONDS)
        case "table":
            world.configure(POLICY_TABLE_NAME="none")
        case "secret":
            world.configure(NUMBER_HASH_SECRET_ARN=f"{world.resources.number_hash_arn}-none")


def heal(world: CloudWorld) -> None:
    world.configure()
    if world.policy_table_name != world.resources.policy_table_name:
        world.decide_by(basedOn="open")


@pytest.mark.parametrize("what", UNREADABLE)
def test_without_a_policy_no_one_is_dialled_until_it_can_be_read(world: CloudWorld, what: str) -> None:
    make_unreadable(world, what)
    request = world.request()

    placement = world.place(request)

    words, look = UNREADABLE[what]
    assert (placement.result, placement.code, placement.detail) == (PARKED, "policy-unreadable", words)
    key = key_of(request)
    assert world.due_in(key) == look
    assert world.attempts.existing_item(key)["waitsFor"] == "~policy"
    assert world.come_up(key).code == "policy-unreadable"
    assert world.allomia.posts == []
    heal(world)
    assert world.come_up(key).result is CALLING


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_requests_own_not_after_holds_without_a_policy(world: CloudWorld, what: str) -> None:
    make_unreadable(world, what)
    request = world.request(notAfter=f"2026-04-01T14:31:{0 if what == 'secret' else 30:02}Z")
    key = key_of(request)
    world.place(request)
    not_after = world.attempts.existing_item(key)["notAfter"]

    assert world.attempts.existing_item(key)["dueAt"] == min(not_after + 1, world.clock.now + UNREADABLE[what][1])
    placement = world.come_up(key)
    if placement.result is PARKED:
        placement = world.come_up(key)

    assert (placement.result, placement.code) == (REJECTED, "expired")
    assert world.clock.now == not_after + 1
    assert world.allomia.posts == []


# What is stored.


@pytest.mark.parametrize(
    ("policy", "request_fields", "stored"),
    [
        (None, {}, "open 0"),
        ({"basedOn": "open"}, TORONTO, "open 1"),
        (
            {"basedOn": "canada"},
            TORONTO,
            f"canada 1 {TIME_ZONE_DATA_VERSION} request America/Toronto",
        ),
        (
            {"basedOn": "canada"},
            {"phoneNumber": "+15145550199"},
            f"canada 1 {TIME_ZONE_DATA_VERSION} number America/Toronto",
        ),
        (
            {"basedOn": "canada"},
            {"phoneNumber": "+18005550199"},
            f"canada 1 {TIME_ZONE_DATA_VERSION} policy America/Toronto",
        ),
    ],
    ids=["no document", "always open", "zone of the request", "zone of the number", "zone of the policy"],
)
def test_a_claim_stores_what_allowed_the_dial(
    world: CloudWorld, policy: dict[str, Any] | None, request_fields: dict[str, Any], stored: str
) -> None:
    if policy is not None:
        world.decide_by(**policy)

    key = world.placed(**request_fields)

    assert world.attempts.existing_item(key)["allowedBy"] == stored
    world.webhook(key)
    assert world.attempts.existing_item(key)["allowedBy"] == stored


def test_a_number_with_many_zones_is_stored_with_three_of_them(world: CloudWorld) -> None:
    world.decide_by(
        callingWindows=daily("00:00", "24:00"), timeZone="America/Toronto", recipientCaps=[{"calls": 9, "perDays": 1}]
    )

    key = world.placed(phoneNumber="+79585550199")

    *_, source, first, second, third, more = world.attempts.existing_item(key)["allowedBy"].split()
    allowance = world.attempts.read(key).allowance
    assert allowance
    assert (allowance.zone_source, allowance.zones) == (source, (first, second, third, more))
    assert (source, more[0]) == ("number", "+")


def test_a_waiting_attempt_has_its_expiry_and_the_policys_version(world: CloudWorld) -> None:
    world.decide_by(callingWindows=daily("15:00", "16:00"))
    key = world.placed(**TORONTO)
    assert {"expiry", "policyVersion", "waitsFor"} <= world.attempts.existing_item(key).keys()

    assert world.come_up(key).result is CALLING

    waiting = {"expiry", "policyVersion", "waitsFor", "waitsSince", "parkReason"}
    assert world.attempts.existing_item(key).keys().isdisjoint(waiting)
    world.webhook(key)
    assert world.attempts.existing_item(key).keys().isdisjoint(waiting | {"terms", "redial"})


def test_what_is_released_after_its_claim_has_no_trace_of_the_decision(world: CloudWorld) -> None:
    world.decide_by(redial={"on": {"busy": [600]}, "maxAttempts": 2})
    world.allomia.post = returns(429)

    item = world.attempts.existing_item(world.placed())

    assert (item["status"], item["parkReason"]) == ("scheduled", "rate-limited")
    assert item.keys().isdisjoint({"allowedBy", "redial", "policyVersion", "claimId", "dispatchedAt"})


ALLOWANCES = [
    None,
    Allowance(0, "open"),
    Allowance(12, "canada", ("America/Toronto", "America/Detroit", "America/Nipigon", "+2"), "number", "2026f"),
]
REDIALS = [
    None,
    Redial(3, {"busy": (600, 1800), "no-answer": (14400,)}, {"voicemail": (86400,)}),
    Redial(2, {}, {'voicemail, or "so"': (1,)}),
]


@pytest.mark.parametrize("allowance", ALLOWANCES)
@pytest.mark.parametrize("redial", REDIALS)
def test_what_a_claim_stores_is_read_as_it_was(
    attempts: SampleAttempts, allowance: Allowance | None, redial: Redial | None
) -> None:
    terms = Terms(NOW, NOW + 60, "America/Toronto", daily("09:00", "24:00"), {"on": {"busy": [5]}, "maxAttempts": 2})
    new = replace(new_attempt(), allowance=allowance, redial=redial, terms=terms)

    claimed = attempts.claim(new)

    assert claimed
    assert claimed == attempts.read(new.key)
    assert (claimed.allowance, claimed.redial, claimed.terms) == (allowance, redial, terms)


def test_the_terms_of_a_request_are_kept_while_it_waits_and_removed_at_its_end(world: CloudWorld) -> None:
    own = {"callingWindows": daily("15:00", "16:00"), "redial": {"maxAttempts": 1}}
    key = world.placed(notBefore="2026-04-01T14:30:00Z", purpose=None, **own, **TORONTO)

    read = world.attempts.read(key)
    assert read.terms == Terms(NOW, None, "America/Toronto", own["callingWindows"], {"maxAttempts": 1})
    assert world.come_up(key).result is CALLING
    world.webhook(key)
    assert "terms" not in world.attempts.existing_item(key)


def test_a_parked_attempt_that_was_stored_before_the_policy_is_decided_like_any_other(world: CloudWorld) -> None:
    parked = world.attempts.scheduled()
    world.decide_by(paused=True)

    placement = world.place(dispatch_message(parked.key))

    assert (placement.result, placement.code) == (PARKED, "paused")
    assert placement.detail == "waiting to be resumed: calls are paused"
