"""One message's way through place_call to the POST: what is written, in which order and until when, and reported."""

from __future__ import annotations

import json
import math
from dataclasses import astuple, fields, replace
from typing import Any

import pytest

from local.simulator import call_id, returns
from outbound_calls.adapters.allomia import MAX_EXCHANGE_SECONDS
from outbound_calls.adapters.batch_searches import BATCH_SEARCHED_AFTER_SECONDS
from outbound_calls.adapters.conditional_writes import WriteUnanswered
from outbound_calls.adapters.dial_marks import DIAL_KEPT_SECONDS
from outbound_calls.adapters.dynamodb import from_dynamodb, to_dynamodb
from outbound_calls.adapters.fingerprints import Fingerprints
from outbound_calls.adapters.policy_table import DIALS_KEPT_SECONDS
from outbound_calls.adapters.waiting_attempts import FIRST_LOOK_SECONDS
from outbound_calls.contracts.messages import PHONE_NUMBER_RULE
from outbound_calls.contracts.vocabulary import OutcomeSource, ReasonCode, Status
from outbound_calls.domain.attempts import AttemptKey, Outcome, RequestKey
from outbound_calls.domain.recipients import organization_key
from outbound_calls.domain.timing import (
    EXPIRE_AFTER_SECONDS,
    KEY_DECLINED_BACKOFF_SECONDS,
    MAX_DECISION_AGE_SECONDS,
    utc_text,
)
from outbound_calls.policy.evaluation import UNREADABLE_LOOK_SECONDS
from outbound_calls.use_cases.dial import SECONDS_TO_PLACE, DialAttempts
from outbound_calls.use_cases.place import Message
from outbound_calls.use_cases.placement import OTHER_CALL, Placement, PlaceResult
from tests.unit.dynamodb import fault, number
from tests.unit.parts import (
    ASSISTANT_ID,
    PHONE_NUMBER,
    PHONE_NUMBER_ID,
    SETTING,
    SecretsInMemory,
    a_secret,
)
from tests.unit.placing import (
    CALLING,
    CLAIM,
    DAY_SECONDS,
    DENIED,
    DISPATCH,
    DUPLICATE,
    IDS,
    JITTER,
    KEY,
    LOST,
    PARKED,
    REQUEST,
    SCHEDULED,
    UNANSWERED,
    Item,
    World,
    of,
    open_circuit,
    served,
    world,
)
from tests.world import GRACE_SECONDS, NOW

__all__ = ["served", "world"]


def test_what_is_reported_in_words() -> None:
    assert {each.name.lower().replace("_", "-") for each in PlaceResult} == set(PlaceResult)
    assert OTHER_CALL == "other-call-recorded"
    assert astuple(Placement(PARKED, None)) == (PARKED, None, "", "", None, None, None, None)


def test_each_claim_has_an_id_and_each_wait_a_length_of_its_own() -> None:
    defaults: dict[str, Any] = {each.name: each.default for each in fields(DialAttempts)}

    ids = [defaults["new_claim_id"]() for _ in range(9)]
    assert (len(set(ids)), {len(each) for each in ids}) == (9, {32})
    waits = [defaults["jitter"](0.0, 15.0) for _ in range(9)]
    assert len(set(waits)) == 9
    assert 0.0 <= min(waits) <= max(waits) <= 15.0


# A new request.


def test_a_new_request_is_decided_claimed_and_posted(world: World) -> None:
    placement = world.place(REQUEST)

    url = world.place_calls.dial.callbacks.url(KEY)
    assert placement == Placement(CALLING, KEY, outbound_call_id=call_id(url))
    assert world.operations == ["GetItem policy", "Query policy", "PutItem calls", "UpdateItem calls"]
    claim, settled = world.written
    assert claim["createdAt"] == NOW
    assert (claim["claimId"], claim["dueAt"], claim["allowedBy"]) == (CLAIM, NOW + GRACE_SECONDS, "open 0")
    assert claim["fingerprint"] == world.place_calls.fingerprints.of({"phoneNumber": PHONE_NUMBER})
    assert claim.keys().isdisjoint({"numberHash", "redial", "line"})
    assert (settled["status"], settled["outboundCallId"]) == ("calling", placement.outbound_call_id)
    assert settled["contactId"]
    assert settled["expectedClaimId"] == CLAIM
    assert world.allomia.posts == [
        {
            "phoneNumber": PHONE_NUMBER,
            "assistantId": ASSISTANT_ID,
            "phoneNumberId": PHONE_NUMBER_ID,
            "callbackUrl": url,
        }
    ]


def test_a_request_counts_from_when_the_queue_got_it(world: World) -> None:
    world.place(REQUEST, sent_at=NOW - 60.5)
    world.place_calls.place(Message("a-message", json.dumps(REQUEST | {"requestId": "visit-2032"}), lambda: 45.0))

    assert [each["createdAt"] for each in world.written if "createdAt" in each] == [NOW - 61, NOW]


def test_a_request_without_an_id_is_named_by_its_message(world: World) -> None:
    assert world.place({"phoneNumber": PHONE_NUMBER}).key == AttemptKey(RequestKey("a-message"), 1)


def test_a_request_that_is_parked_while_the_signing_secret_is_unreadable_has_no_fingerprint(world: World) -> None:
    world.decide_by(paused=True)
    world.place(REQUEST)
    world.place_calls.fingerprints = Fingerprints(a_secret(SecretsInMemory()))
    world.place(REQUEST | {"requestId": "visit-2032"})

    assert ["fingerprint" in each for each in world.written if "createdAt" in each] == [True, False]


def test_a_request_is_stored_with_the_ids_of_its_organization(world: World) -> None:
    world.decide_by(paused=True)
    world.place(REQUEST)

    assert world.written[-1]["request"] == IDS | {"phoneNumber": PHONE_NUMBER}


@pytest.mark.parametrize("missing", IDS)
def test_a_request_must_name_the_ids_that_its_organization_does_not(world: World, missing: str) -> None:
    ids = {name: value for name, value in IDS.items() if name != missing}

    placement = world.place(of("clinic-a", **REQUEST, **ids))

    assert placement.result is PlaceResult.INVALID
    assert placement.detail.startswith(f"{missing}: ")


# Messages that dial no one.


def test_an_invalid_message_is_kept_with_its_age(world: World) -> None:
    placement = world.place({"phoneNumber": "5"}, sent_at=NOW - 5)

    assert placement == Placement(PlaceResult.INVALID, None, detail=f"phoneNumber: {PHONE_NUMBER_RULE}")
    ((_, kept),) = world.tables.asked
    assert kept["MessageBody"] == '{"phoneNumber": "5"}'
    values = {name: each["StringValue"] for name, each in kept["MessageAttributes"].items()}
    assert (values["messageId"], values["sentAt"]) == ("a-message", str((NOW - 5) * 1000))


@pytest.mark.parametrize("organization", [None, "clinic-a"])
def test_a_batch_is_marked_at_once_and_then_searched_for(world: World, organization: str | None) -> None:
    world.clock.step = 1.0
    placement = world.place(of(organization, cancel={"batch": "monday"}))

    assert placement == Placement(PlaceResult.CANCELLATION, None, "batch", organization=organization)
    (_, mark), (_, search) = world.tables.asked
    assert mark["Key"]["subject"] == {"S": f"batch#{organization or ''}~monday"}
    assert from_dynamodb(mark["ExpressionAttributeValues"]).items() >= {":source": "upstream", ":now": NOW + 1}.items()
    assert search["Key"]["requestId"] == {"S": f"{organization or ''}~~batch~monday"}
    assert search["ExpressionAttributeValues"][":due"] == number(NOW + 2 + BATCH_SEARCHED_AFTER_SECONDS)


@pytest.mark.parametrize("organization", [None, "clinic-a"])
def test_a_request_that_was_never_seen_is_cancelled_as_its_first_attempt(
    world: World, organization: str | None
) -> None:
    placement = world.place(of(organization, cancel={"requestId": "visit-2031"}))

    key = AttemptKey(RequestKey("visit-2031", organization), 1)
    assert placement == Placement(PlaceResult.CANCELLATION, key, "cancelled-unseen")
    assert [(each["requestId"], each["outcomeSource"]) for each in world.written] == [(str(key.request), "upstream")]


def test_a_cancellation_names_the_last_attempt(world: World) -> None:
    second = world.parked(attempt=2)
    world.tables.found[""] = [SCHEDULED | {"status": "busy", "nextAttempt": 2}, second]

    placement = world.place({"cancel": {"requestId": "visit-2031"}})

    assert placement == Placement(PlaceResult.CANCELLATION, replace(KEY, number=2), "cancelled")
    assert [each["outcomeSource"] for each in world.written] == ["upstream"]


@pytest.mark.parametrize(
    ("organization", "entry", "stored"),
    [
        (None, {}, {"entry": "do-not-call##"}),
        ("clinic-a", {}, {"entry": "do-not-call#clinic-a#", "organization": "clinic-a"}),
        ("default", {}, {"entry": "do-not-call#default#", "organization": "default"}),
        (None, {"until": "2026-04-02T14:30:00Z"}, {"entry": "do-not-call##", "until": NOW + DAY_SECONDS}),
        (None, {"purposes": ["news", "ads"]}, {"entry": "do-not-call##ads,news", "purposes": ["ads", "news"]}),
    ],
)
def test_a_do_not_call_entry_is_stored_as_the_message_says(
    world: World, organization: str | None, entry: Item, stored: Item
) -> None:
    world.decide_by(purposes={"ads": {}, "news": {}})

    placement = world.place(of(organization, doNotCall={"phoneNumber": PHONE_NUMBER} | entry))

    assert placement == Placement(PlaceResult.DO_NOT_CALL, None, organization=organization_key(organization))
    put = next(asked for name, asked in world.tables.asked if name == "PutItem policy")
    item = from_dynamodb(put["Item"])
    expires = {"expiresAt": item["until"] + DIALS_KEPT_SECONDS} if "until" in item else {}
    subject = f"number#{world.place_calls.judge.numbers.of(PHONE_NUMBER)}"
    assert item == stored | expires | {"subject": subject, "source": "upstream", "addedAt": NOW}


@pytest.mark.parametrize("organization", [None, "clinic-a"])
def test_an_entry_for_an_undefined_purpose_is_listed_and_kept_as_invalid(
    world: World, organization: str | None
) -> None:
    world.decide_by(purposes={"ads": {}}, organizations={"clinic-b": {"purposes": {"news": {}}}})
    message = of(organization, doNotCall={"phoneNumber": PHONE_NUMBER, "purposes": ["ads", "news"]})

    placement = world.place(message)

    words = "doNotCall.purposes: only purposes that the policy defines"
    known = organization is None  # some organization has this purpose
    listed = Placement(PlaceResult.DO_NOT_CALL, None)
    assert placement == (listed if known else Placement(PlaceResult.INVALID, None, detail=words))
    assert world.operations[0] == "PutItem policy"


def test_an_entry_is_listed_while_the_policy_is_unreadable(world: World) -> None:
    world.tables.items["policy", "current"] = {"version": 1, "document": "{", "setAt": 1, "setBy": "a"}

    placement = world.place({"doNotCall": {"phoneNumber": PHONE_NUMBER, "purposes": ["ads"]}})

    assert placement == Placement(PlaceResult.DO_NOT_CALL, None)


@pytest.mark.parametrize(
    "message", [REQUEST, {"cancel": {"batch": "monday"}}, {"doNotCall": {"phoneNumber": PHONE_NUMBER}}]
)
def test_a_message_for_an_organization_that_the_secret_does_not_name_is_invalid(world: World, message: Item) -> None:
    placement = world.place(message | {"organization": "clinic-z"})

    assert placement.result is PlaceResult.INVALID
    assert placement.detail.startswith("organization: ")
    assert world.operations == ["SendMessage"]


# Duplicates.


def test_a_duplicate_changes_nothing(world: World) -> None:
    world.decide_by(recipientCaps=[{"calls": 1, "perSeconds": 60}])
    world.claimed_by_another(fingerprint=world.place_calls.fingerprints.of({"phoneNumber": PHONE_NUMBER}))

    assert world.place(REQUEST) == Placement(DUPLICATE, KEY)
    assert world.operations == ["GetItem policy", "Query policy", "PutItem calls", "GetItem calls"]
    assert world.allomia.posts == []


def test_another_request_under_the_same_id_is_invalid(world: World) -> None:
    first = world.place_calls.fingerprints.of({"phoneNumber": "+14155550199"})
    world.claimed_by_another(fingerprint=first)

    placement = world.place(REQUEST)

    assert placement == Placement(PlaceResult.INVALID, None, detail="requestId: used for another request")


@pytest.mark.parametrize("changes", [{"status": "calling"}, {"timesParked": 2}], ids=str)
def test_a_dispatch_message_for_what_has_moved_on_is_a_duplicate(world: World, changes: Item) -> None:
    world.parked(**changes)

    assert world.place(DISPATCH) == Placement(DUPLICATE, KEY)
    assert world.operations == ["GetItem calls"]


def test_a_dispatch_message_for_nothing_is_a_duplicate(world: World) -> None:
    assert world.place(DISPATCH) == Placement(DUPLICATE, KEY)
    assert world.operations == ["GetItem calls"]


# A parked attempt.


def test_a_parked_attempt_is_claimed_as_it_was_read_and_posted(world: World) -> None:
    world.parked()

    placement = world.place(DISPATCH)

    assert placement == Placement(CALLING, KEY, outbound_call_id=call_id(world.place_calls.dial.callbacks.url(KEY)))
    assert world.operations == ["GetItem calls", "GetItem policy", "Query policy", *["UpdateItem calls"] * 2]
    claim, settled = world.written
    assert (claim["status"], claim["claimId"], claim["expectedTimesParked"]) == ("dispatching", CLAIM, 1)
    assert (claim["dispatchedAt"], claim["dueAt"], claim["allowedBy"]) == (NOW, NOW + GRACE_SECONDS, "open 0")
    assert (settled["status"], settled["expectedClaimId"]) == ("calling", CLAIM)


def test_a_claim_has_the_redial_rules_that_apply(world: World) -> None:
    world.decide_by(redial={"on": {"busy": [600]}, "maxAttempts": 2})
    world.place(REQUEST)

    assert json.loads(world.written[0]["redial"]) == {"max": 2, "on": {"busy": [600]}}


def test_a_parked_attempt_that_another_worker_has_is_a_duplicate(world: World) -> None:
    world.claimed_by_another()
    world.parked()

    assert world.place(DISPATCH) == Placement(DUPLICATE, KEY)
    assert world.allomia.posts == []


def test_a_parked_attempt_without_ids_gets_those_of_its_organization(world: World) -> None:
    world.parked(request={"phoneNumber": PHONE_NUMBER}, setting="-")

    assert world.place(DISPATCH).result is CALLING

    assert (world.written[0]["setting"], world.allomia.posts[0]["assistantId"]) == (SETTING, ASSISTANT_ID)


def test_a_parked_attempt_waits_while_no_one_names_its_ids(world: World) -> None:
    world.parked(requestId="clinic-a~visit-2031", request={"phoneNumber": PHONE_NUMBER}, setting="-")

    placement = world.place({"dispatch": {"requestId": "clinic-a~visit-2031", "attempt": 1}, "timesParked": 1})

    words = "neither the request nor the secret names an assistant and a number"
    key = AttemptKey(RequestKey("visit-2031", "clinic-a"), 1)
    assert placement == Placement(PARKED, key, "key-unreadable", words)
    assert [each["dueAt"] for each in world.written] == [NOW + KEY_DECLINED_BACKOFF_SECONDS + JITTER]


def test_an_attempt_waits_while_its_organizations_key_is_unreadable(world: World) -> None:
    world.secrets.versions = {}
    world.place_calls.judge.numbers.secret = a_secret(SecretsInMemory({"AWSCURRENT": "a-key"}))

    placement = world.place(REQUEST)

    words = "the secret can't be read: ResourceNotFoundException"
    assert placement == Placement(PARKED, KEY, "key-unreadable", words)
    (parked,) = world.written
    assert (parked["parkReason"], parked["dueAt"]) == ("key-unreadable", NOW + KEY_DECLINED_BACKOFF_SECONDS + JITTER)


# What policy says.


@pytest.mark.parametrize("kind", ["new", "parked"])
def test_what_policy_rejects_ends_with_its_words(world: World, kind: str) -> None:
    created = world.parked()["createdAt"] if kind == "parked" else NOW
    world.clock.now = NOW + EXPIRE_AFTER_SECONDS + 1

    placement = world.place(DISPATCH if kind == "parked" else REQUEST)

    words = f"not dialled by {utc_text(created + EXPIRE_AFTER_SECONDS)}"
    words += "; it waited for rate-limited" if kind == "parked" else ""
    outcome = Outcome(Status.REJECTED, OutcomeSource.POLICY, reason_code=ReasonCode.EXPIRED, reason=words)
    assert placement == Placement(PlaceResult.REJECTED, KEY, "expired", words, outcome=outcome)
    (ended,) = world.written
    assert ended["recordedAt"] == world.clock.now
    assert (ended["status"], ended["outcomeSource"], ended["reasonCode"]) == ("rejected", "policy", "expired")


@pytest.mark.parametrize("source", ["upstream", "operator"])
def test_a_request_of_a_cancelled_batch_names_the_source_of_the_cancellation(world: World, source: str) -> None:
    world.tables.items["batch#~monday", "cancelled"] = {"source": source}

    placement = world.place(REQUEST | {"batch": "monday"})

    words = "cancelled before it was dialled"
    outcome = Outcome(Status.CANCELLED, OutcomeSource(source), reason_code=ReasonCode.CANCELLED, reason=words)
    assert placement == Placement(PlaceResult.CANCELLED, KEY, "cancelled", words, outcome=outcome)
    assert [each["outcomeSource"] for each in world.written] == [source]


@pytest.mark.parametrize("kind", ["new", "parked"])
def test_what_policy_rejects_and_another_worker_has_is_a_duplicate(world: World, kind: str) -> None:
    world.claimed_by_another()
    if kind == "parked":
        world.parked()
    world.clock.now = NOW + EXPIRE_AFTER_SECONDS + 1

    assert world.place(DISPATCH if kind == "parked" else REQUEST) == Placement(DUPLICATE, KEY)


def test_a_redial_that_policy_rejects_is_dropped(world: World) -> None:
    world.parked(isRedial=True)
    world.clock.now = NOW + EXPIRE_AFTER_SECONDS + 1

    placement = world.place(DISPATCH)

    words = f"not dialled by {utc_text(NOW - 60 + EXPIRE_AFTER_SECONDS)}; it waited for rate-limited"
    assert placement == Placement(PlaceResult.REDIAL_DROPPED, KEY, "expired", words)
    assert "TransactWriteItems" in world.operations
    assert world.written == []


def test_a_redial_that_is_dropped_and_has_moved_on_is_a_duplicate(world: World) -> None:
    world.parked(isRedial=True)
    world.clock.now = NOW + EXPIRE_AFTER_SECONDS + 1
    reasons = [{"Code": "ConditionalCheckFailed"}, {"Code": "None"}]
    world.tables.answers["TransactWriteItems"] = [fault("TransactionCanceledException", CancellationReasons=reasons)]

    assert world.place(DISPATCH) == Placement(DUPLICATE, KEY)


def test_what_policy_lets_wait_is_counted_for_the_keeper_before_it_is_parked(world: World) -> None:
    world.decide_by(paused=True)
    world.clock.step = 1.0

    placement = world.place(REQUEST, sent_at=NOW)

    expiry = NOW + EXPIRE_AFTER_SECONDS
    assert placement == Placement(PARKED, KEY, "paused", "waiting to be resumed: calls are paused")
    keeper, parked = world.written
    assert world.operations[-2:] == ["UpdateItem calls", "PutItem calls"]
    assert (keeper["due"], "forLines" in keeper) == (NOW + 3 + FIRST_LOOK_SECONDS, False)
    assert (parked["parkReason"], parked["dueAt"], parked["expiry"]) == ("paused", expiry + 1, expiry)
    assert parked["policyVersion"] == 7


def test_what_waits_for_its_own_time_is_counted_for_no_keeper(world: World) -> None:
    placement = world.place(REQUEST | {"notBefore": "2026-04-01T15:30:00Z"})

    assert placement.code == "not-before"
    assert [each["dueAt"] for each in world.written] == [NOW + 3600]


def test_what_is_parked_and_another_worker_has_is_a_duplicate(world: World) -> None:
    world.claimed_by_another(cancelRequestedAt=NOW)

    assert world.place(REQUEST | {"notBefore": "2026-04-01T15:30:00Z"}) == Placement(DUPLICATE, KEY)
    assert world.operations[-2:] == ["PutItem calls", "GetItem calls"]  # a look at the first, and no more


@pytest.mark.parametrize(("left", "due"), [(-10, 31), (10, 41), (100, 75)])
def test_an_attempt_is_looked_at_when_it_expires(world: World, left: int, due: int) -> None:
    """Its backoff ends 45 seconds later at the earliest, while 30 seconds pass with the POST."""
    world.parked(notAfter=NOW + 30 + left)
    world.allomia.post = returns(429)
    world.allomia.before_answer = lambda _post: world.clock.pass_seconds(30)

    assert world.place(DISPATCH).code == "rate-limited"

    assert world.written[-1]["dueAt"] == NOW + (30 if left < 0 else due)


# The circuit, and time.


@pytest.mark.parametrize(
    ("stored", "code"),
    [({}, "circuit-open"), ({"refusal": {"firstAt": NOW, "times": 1, "words": "HTTP 400"}}, "refused-by-allomia")],
)
def test_while_the_circuit_is_open_an_attempt_waits_for_its_end(world: World, stored: Item, code: str) -> None:
    open_circuit(world)
    world.parked(failedTries=4, **stored)

    assert world.place(DISPATCH) == Placement(PARKED, KEY, code)

    assert [(each["parkReason"], each["dueAt"]) for each in world.written] == [(code, NOW + 60 + JITTER)]


def test_an_attempt_is_claimed_only_with_time_for_all_that_follows(world: World) -> None:
    assert SECONDS_TO_PLACE == MAX_EXCHANGE_SECONDS + 8
    assert world.place(REQUEST, SECONDS_TO_PLACE - 0.1) == Placement(PARKED, KEY, "short-of-time")
    assert [each["dueAt"] for each in world.written] == [NOW + 30 + JITTER]

    assert world.place(REQUEST, SECONDS_TO_PLACE).result is CALLING


def test_a_probe_that_is_not_made_is_left_to_another_attempt(world: World) -> None:
    open_circuit(world)
    world.monotonic.pass_seconds(60)

    assert world.place(REQUEST, 5.0).code == "short-of-time"
    assert world.place(REQUEST).result is CALLING


@pytest.mark.parametrize(
    ("seconds_left", "step", "posted"),
    [
        (MAX_EXCHANGE_SECONDS + 4, 0.0, True),
        (MAX_EXCHANGE_SECONDS + 3.9, 0.0, False),
        (45.0, MAX_DECISION_AGE_SECONDS / 2 - 0.1, True),
        (45.0, MAX_DECISION_AGE_SECONDS / 2, False),
    ],
    ids=["in time", "late", "young", "old"],
)
def test_a_claim_is_posted_while_there_is_time_and_its_decision_is_young(
    world: World, seconds_left: float, step: float, posted: bool
) -> None:
    world.parked()
    world.clock.step = step

    placement = world.place(DISPATCH, 45.0, seconds_left)

    assert len(world.allomia.posts) == posted
    assert placement.result is CALLING if posted else placement == Placement(PARKED, KEY, "short-of-time")
    released = world.written[-1]
    assert released["expectedClaimId"] == CLAIM
    # At once: it wasn't the attempt's fault.
    assert posted or released["dueAt"] == math.ceil(NOW + 4 * step)


def test_what_expires_between_decision_and_dial_is_not_posted(world: World) -> None:
    world.parked(notAfter=NOW + 2)
    world.clock.step = 1.0

    assert world.place(DISPATCH).code == "short-of-time"
    assert world.allomia.posts == []


# What a claim takes and gives back.


def test_a_claim_that_may_have_to_be_found_in_the_log_is_remembered_before_the_post(world: World) -> None:
    world.clock.now += 0.5
    placement = world.place(REQUEST | IDS | {"organization": "clinic-a"})

    hashed = world.place_calls.judge.numbers.of(PHONE_NUMBER)[:16]
    key = AttemptKey(RequestKey("visit-2031", "clinic-a"), 1)
    assert (placement.result, placement.key) == (CALLING, key)
    assert world.operations[-3:] == ["PutItem calls", "PutItem policy", "UpdateItem calls"]
    _, mark = world.tables.asked[-2]
    assert from_dynamodb(mark["Item"]) == {
        "subject": f"call-log#org-a#{hashed}",
        "entry": f"{NOW}#clinic-a~visit-2031/1",
        "expiresAt": NOW + DIAL_KEPT_SECONDS,
    }
    assert world.written[0]["numberHash"] == hashed


@pytest.mark.parametrize(
    ("answer", "error"), [(DENIED, "ClientError"), (LOST, "ConnectionClosedError")], ids=["denied", "lost"]
)
def test_a_claim_that_can_not_be_remembered_is_released(world: World, answer: bytes, error: str) -> None:
    world.tables.answers["PutItem policy"] = [answer]

    placement = world.place(REQUEST | IDS | {"organization": "clinic-a"})

    words = f"what policy remembers can't be written: {error}"
    key = AttemptKey(RequestKey("visit-2031", "clinic-a"), 1)
    assert placement == Placement(PARKED, key, "policy-unreadable", words)
    assert world.allomia.posts == []
    assert world.written[-1]["dueAt"] == NOW + UNREADABLE_LOOK_SECONDS
    assert world.written[-1]["expectedClaimId"] == CLAIM


@pytest.mark.parametrize("answer", [429, 400, 401])
def test_what_allomia_does_not_take_is_given_back_before_the_claim(world: World, answer: int) -> None:
    world.decide_by(recipientCaps=[{"calls": 1, "perSeconds": 60}])
    world.allomia.post = returns(answer)

    world.place(REQUEST)

    taken = world.dials_taken()
    assert world.operations[:4] == ["GetItem policy", "Query policy", "PutItem calls", "PutItem policy"]
    assert world.operations[4:] == ["Query policy", "UpdateItem calls"]
    assert taken == [["visit-2031/1"]]


def test_what_allomia_may_have_taken_is_not_given_back(world: World) -> None:
    world.decide_by(recipientCaps=[{"calls": 1, "perSeconds": 60}])
    world.allomia.post = returns(500)

    world.place(REQUEST)

    assert world.operations[3:] == ["PutItem policy", "UpdateItem calls"]


def test_a_claim_that_is_not_posted_gives_back_what_it_took(world: World) -> None:
    world.decide_by(recipientCaps=[{"calls": 1, "perSeconds": 60}])

    assert world.place(REQUEST, 45.0, 5.0).code == "short-of-time"

    assert world.operations[3:] == ["PutItem policy", "Query policy", "UpdateItem calls"]


# Claims and writes that aren't answered.


def test_a_claim_is_asked_for_five_times_and_given_back(world: World) -> None:
    world.tables.answers["PutItem calls"] = [UNANSWERED] * 5

    with pytest.raises(WriteUnanswered, match=r"^claim$"):
        world.place(REQUEST)

    assert world.operations[2:] == [*["PutItem calls"] * 5, "UpdateItem calls"]
    claims, released = world.written[:5], world.written[5]
    assert all(each == claims[0] for each in claims)
    assert (released["expectedClaimId"], released["parkReason"], released["dueAt"]) == (CLAIM, "short-of-time", NOW)
    assert released["status"] == "scheduled"
    assert world.allomia.posts == []


@pytest.mark.parametrize(("left", "asked"), [(8.0, 5), (7.9, 1)])
def test_a_claim_is_given_back_while_there_is_time(world: World, left: float, asked: int) -> None:
    world.tables.answers["PutItem calls"] = [UNANSWERED] * 5

    with pytest.raises(WriteUnanswered):
        world.place(REQUEST, 45.0, left)

    assert world.operations[2:] == [*["PutItem calls"] * asked, "UpdateItem calls"]


@pytest.mark.parametrize("kind", ["new", "parked"])
def test_a_claim_that_may_still_be_made_is_forestalled(world: World, kind: str) -> None:
    """There is nothing to give back, so the attempt is parked as it was read."""
    claim, message = ("PutItem calls", REQUEST) if kind == "new" else ("UpdateItem calls", DISPATCH)
    released = fault("ConditionalCheckFailedException", Item=to_dynamodb(SCHEDULED))
    world.tables.answers[claim] = [UNANSWERED] * 5
    world.tables.answers["UpdateItem calls"] = [*world.tables.answers.get("UpdateItem calls", []), released, UNANSWERED]
    if kind == "parked":
        world.parked()

    with pytest.raises(WriteUnanswered):
        world.place(message)

    forestalled = world.written[-1]
    assert (forestalled["status"], forestalled["parkReason"], forestalled["dueAt"]) == (
        "scheduled",
        "short-of-time",
        NOW,
    )
    assert "expectedClaimId" not in forestalled
    assert world.operations[2:] == (
        [*["PutItem calls"] * 5, "UpdateItem calls", "GetItem calls", "PutItem calls"]
        if kind == "new"
        else ["Query policy", *["UpdateItem calls"] * 6, "GetItem calls", *["UpdateItem calls"] * 2]
    )


@pytest.mark.parametrize("lost", [4, 5])
@pytest.mark.parametrize("answer", [200, 429, 400])
def test_a_write_after_the_post_is_made_five_times_at_most(world: World, answer: int, lost: int) -> None:
    url = world.place_calls.dial.callbacks.url(KEY)
    world.allomia.post = returns(answer, world.allomia.state(url))
    world.tables.answers["UpdateItem calls"] = [UNANSWERED] * lost

    if lost == 5:
        with pytest.raises(WriteUnanswered):
            world.place(REQUEST)
    else:
        assert world.place(REQUEST).result is (CALLING if answer == 200 else PARKED)

    assert world.operations.count("UpdateItem calls") == 5
    assert len(world.allomia.posts) == 1
