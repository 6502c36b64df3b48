"""The do-not-call list as messages fill it: whose it is, until when, and that no later message weakens it."""

from __future__ import annotations

from typing import Any

import pytest

from outbound_calls.adapters.policy_table import StoredObjection
from outbound_calls.adapters.secrets import SecretUnusable
from outbound_calls.contracts.vocabulary import OutcomeSource
from outbound_calls.domain.attempts import Attempt, AttemptKey, Labels, RequestKey
from outbound_calls.use_cases.placement import PlaceResult
from tests.cloud.world import CloudWorld
from tests.unit.parts import PHONE_NUMBER, a_request
from tests.world import NOW

CALLING, REJECTED, LISTED = PlaceResult.CALLING, PlaceResult.REJECTED, PlaceResult.DO_NOT_CALL
NEXT_DAY, NEXT_WEEK = "2026-04-02T14:30:00Z", "2026-04-08T14:30:00Z"
DAY = 86_400


@pytest.fixture(autouse=True)
def own_table(world: CloudWorld) -> None:
    world.own_policy_table()


def ask(world: CloudWorld, organization: str | None = None, **entry: Any) -> None:
    """Ask that the number isn't called."""
    message: dict[str, Any] = {"doNotCall": {"phoneNumber": PHONE_NUMBER} | entry}
    placement = world.place(message | ({"organization": organization} if organization else {}))
    assert (placement.result, placement.key, placement.detail) == (LISTED, None, "")


def listed(world: CloudWorld) -> tuple[StoredObjection, ...]:
    number_hash = world.place_calls.judge.numbers.of(PHONE_NUMBER)
    return world.policy_table.remembered(number_hash).objections


def is_called(world: CloudWorld, organization: str | None = None, purpose: str | None = None) -> bool:
    """Whether policy would let the number be dialled now."""
    key = AttemptKey(RequestKey("any", organization), 1)
    attempt = Attempt(key, int(world.clock.now), request=a_request(), labels=Labels(purpose=purpose))
    decision = world.place_calls.judge.judge(attempt, world.clock.now).decision
    return type(decision).__name__ == "Dial"


def test_a_number_on_the_list_is_not_called(world: CloudWorld) -> None:
    ask(world)

    placement = world.place(world.request())

    assert (placement.result, placement.code) == (REJECTED, "do-not-call")
    assert placement.detail == "the number is on the do-not-call list"
    assert world.place(world.request(phoneNumber="+14155550199")).result is CALLING
    (entry,) = listed(world)
    assert (entry.source, entry.added_at) == (OutcomeSource.UPSTREAM, NOW)
    assert (entry.objection.until, entry.objection.organization, entry.objection.purposes) == (None, None, ())


def test_a_parked_request_for_it_is_rejected_when_it_comes_up(world: CloudWorld) -> None:
    key = world.placed(notBefore="2026-04-01T15:00:00Z")
    ask(world)
    assert world.attempts.status(key) == "scheduled"

    placement = world.come_up(key)

    assert (placement.result, placement.code) == (REJECTED, "do-not-call")
    assert world.allomia.posts == []


def test_an_entry_applies_until_its_time(world: CloudWorld) -> None:
    ask(world, until="2026-04-01T10:31:00-04:00")
    world.clock.now = NOW + 59.9
    assert world.place(world.request()).code == "do-not-call"

    world.clock.now = NOW + 60
    assert world.place(world.request()).result is CALLING


@pytest.mark.parametrize(
    ("organization", "purposes", "not_called"),
    [
        (None, None, {(None, None), (None, "marketing"), ("north", None), ("north", "marketing")}),
        (None, ["marketing"], {(None, "marketing"), ("north", "marketing")}),
        (None, ["reminder", "marketing"], {(None, "marketing"), ("north", "marketing")}),
        (None, ["reminder"], set()),
        ("default", None, {(None, None), (None, "marketing")}),
        ("default", ["marketing"], {(None, "marketing")}),
    ],
)
def test_an_entry_applies_to_its_organization_and_its_purposes(
    world: CloudWorld,
    organization: str | None,
    purposes: list[str] | None,
    not_called: set[tuple[str | None, str | None]],
) -> None:
    world.decide_by(purposes={"marketing": {}, "reminder": {}})
    ask(world, organization, **({"purposes": purposes} if purposes else {}))

    asked = [(whose, purpose) for whose in (None, "north") for purpose in (None, "marketing")]

    assert {each for each in asked if not is_called(world, *each)} == not_called


@pytest.mark.parametrize(
    ("ends", "kept"),
    [
        ([NEXT_WEEK, NEXT_DAY], NOW + 7 * DAY),
        ([NEXT_DAY, NEXT_WEEK], NOW + 7 * DAY),
        ([None, NEXT_DAY], None),
        ([NEXT_DAY, None], None),
        ([None, None], None),
        ([NEXT_DAY, NEXT_DAY], NOW + DAY),
    ],
)
def test_an_older_message_never_weakens_a_later_one(
    world: CloudWorld, ends: list[str | None], kept: int | None
) -> None:
    for until in ends:
        ask(world, **({"until": until} if until else {}))

    (entry,) = listed(world)
    assert entry.objection.until == kept


@pytest.mark.parametrize(
    ("organization", "purpose", "known"),
    [
        (None, "marketing", True),
        (None, "news", True),
        ("default", "news", False),
        (None, "newsletters", False),
    ],
)
def test_an_entry_for_a_purpose_that_the_policy_does_not_define_is_kept_for_a_person_to_see(
    world: CloudWorld, organization: str | None, purpose: str, known: bool
) -> None:
    world.decide_by(purposes={"marketing": {}}, organizations={"north": {"purposes": {"news": {}}}})
    entry = {"doNotCall": {"phoneNumber": PHONE_NUMBER, "purposes": [purpose]}, "organization": organization}

    placement = world.place(entry)

    assert placement.result is (LISTED if known else PlaceResult.INVALID)
    reasons = [each["reason"] for each in world.invalid_messages()]
    assert reasons == ([] if known else ["doNotCall.purposes: only purposes that the policy defines"])
    # Nothing is lost: should the policy define it one day, it holds.
    assert [each.objection.purposes for each in listed(world)] == [(purpose,)]


def test_an_entry_for_some_purposes_does_not_weaken_one_for_all(world: CloudWorld) -> None:
    world.decide_by(purposes={"marketing": {}, "reminder": {}})
    ask(world)
    ask(world, purposes=["marketing"], until=NEXT_DAY)
    ask(world, "default", until=NEXT_DAY)

    assert len(listed(world)) == 3
    world.pass_seconds(2 * DAY)
    assert not is_called(world)


def test_the_purposes_of_an_entry_have_no_order(world: CloudWorld) -> None:
    world.decide_by(purposes={"marketing": {}, "reminder": {}})
    ask(world, purposes=["marketing", "reminder"])
    ask(world, purposes=["reminder", "marketing"])

    assert len(listed(world)) == 1


def test_a_time_that_has_passed_forbids_nothing(world: CloudWorld) -> None:
    ask(world, until="2026-04-01T14:00:00Z")

    assert world.place(world.request()).result is CALLING


def test_an_entry_of_an_unknown_organization_is_an_invalid_message(world: CloudWorld) -> None:
    message = {"doNotCall": {"phoneNumber": PHONE_NUMBER}, "organization": "north"}

    assert world.place(message).result is PlaceResult.INVALID
    assert [kept["field"] for kept in world.invalid_messages()] == ["organization"]
    assert listed(world) == ()


def test_an_entry_is_delivered_again_while_the_secret_cannot_be_read(world: CloudWorld) -> None:
    world.configure(NUMBER_HASH_SECRET_ARN=f"{world.resources.number_hash_arn}-none")
    with pytest.raises(SecretUnusable):
        world.place({"doNotCall": {"phoneNumber": PHONE_NUMBER}})

    world.configure()
    ask(world)

    assert len(listed(world)) == 1
