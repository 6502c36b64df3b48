"""The first attempt for a request: what its message asks for, with the defaults of its organization."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from outbound_calls.adapters.allomia import KeyUnusable
from outbound_calls.adapters.organizations import Organization
from outbound_calls.contracts.messages import CallRequestMessage, invalid_field, read_call_request
from outbound_calls.contracts.vocabulary import ParkReason, Priority
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import Attempt, AttemptKey, CallRequest, Labels, RequestKey, Terms
from outbound_calls.use_cases.new_attempt import (
    Defaults,
    missing_defaults,
    new_attempt,
    terms_of,
    with_defaults,
    with_late_defaults,
)
from tests.unit.parts import API_KEY, ASSISTANT_ID, KEY, PHONE_NUMBER, PHONE_NUMBER_ID, a_request

NOW = 1_775_053_800
"""2026-04-01T14:30:00Z."""

OTHER_ID = "99999999-2222-4333-8444-555555555555"
DEFAULTS = Defaults(ASSISTANT_ID, PHONE_NUMBER_ID)
WINDOWS = [{"days": ["mon"], "from": "09:00", "to": "12:00"}]
REDIAL = {"maxAttempts": 2, "on": {"busy": [600]}}


def asked(**fields: Any) -> CallRequestMessage:
    return read_call_request(json.dumps({"phoneNumber": PHONE_NUMBER} | fields))


def attempt(**ids: str | None) -> Attempt:
    """An attempt whose request names these ids."""
    return Attempt(KEY, NOW, request=a_request(**{"assistant_id": None, "phone_number_id": None} | ids))


def test_an_attempt_has_everything_that_its_message_says() -> None:
    message = asked(
        requestId="its-own-id",
        organization="clinic-a",
        assistantId=ASSISTANT_ID,
        phoneNumberId=PHONE_NUMBER_ID,
        customerName="Ada",
        dynamicVariables={"day": "Monday"},
        metadata={"chart": "9"},
        batch="recalls",
        purpose="reminder",
        notBefore="2026-04-02T14:30:00.1Z",
        notAfter="2026-04-03T14:30:00.9Z",
        timeZone="America/Toronto",
        callingWindows=WINDOWS,
        redial=REDIAL,
        priority="urgent",
    )

    assert new_attempt(message, "visit-2031", Defaults(), NOW + 0.9) == Attempt(
        AttemptKey(RequestKey("visit-2031", "clinic-a"), 1),
        NOW,
        request=CallRequest(PHONE_NUMBER, ASSISTANT_ID, PHONE_NUMBER_ID, "Ada", {"day": "Monday"}),
        labels=Labels({"chart": "9"}, "recalls", "reminder"),
        terms=Terms(NOW + 86_401, NOW + 2 * 86_400, "America/Toronto", WINDOWS, REDIAL, Priority.URGENT),
    )


def test_an_attempt_has_nothing_that_its_message_does_not_say() -> None:
    assert new_attempt(asked(organization="default"), "visit-2031", DEFAULTS, NOW) == Attempt(
        KEY, NOW, request=a_request(), labels=Labels({}), terms=Terms()
    )


# Defaults.


def test_the_defaults_are_the_default_organizations_alone() -> None:
    assert (DEFAULTS.of(None), DEFAULTS.of("default"), DEFAULTS.of("clinic-a")) == (DEFAULTS, DEFAULTS, None)
    assert (Defaults().assistant_id, Defaults().phone_number_id) == (None, None)


def test_a_requests_own_ids_come_before_the_defaults() -> None:
    own = asked(assistantId=OTHER_ID, phoneNumberId=OTHER_ID)

    assert with_defaults(own, DEFAULTS) == CallRequest(PHONE_NUMBER, OTHER_ID, OTHER_ID)
    assert with_defaults(asked(), DEFAULTS) == CallRequest(PHONE_NUMBER, ASSISTANT_ID, PHONE_NUMBER_ID)


def test_without_known_defaults_a_request_may_lack_its_ids() -> None:
    assert with_defaults(asked(), None) == CallRequest(PHONE_NUMBER, None, None)


@pytest.mark.parametrize(
    ("defaults", "field"),
    [
        (Defaults(), "assistantId"),
        (Defaults(phone_number_id=PHONE_NUMBER_ID), "assistantId"),
        (Defaults(assistant_id=ASSISTANT_ID), "phoneNumberId"),
    ],
    ids=["neither", "no assistant", "no number to call from"],
)
def test_what_neither_a_request_nor_its_organization_names_is_an_error(defaults: Defaults, field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        with_defaults(asked(), defaults)
    assert str(raised.value) == str(invalid_field(field))


@pytest.mark.parametrize(
    ("own", "ids"),
    [
        ({}, {"assistant_id": ASSISTANT_ID, "phone_number_id": PHONE_NUMBER_ID}),
        ({"assistant_id": OTHER_ID}, {"assistant_id": OTHER_ID, "phone_number_id": PHONE_NUMBER_ID}),
        ({"phone_number_id": OTHER_ID}, {"assistant_id": ASSISTANT_ID, "phone_number_id": OTHER_ID}),
        (
            {"assistant_id": OTHER_ID, "phone_number_id": OTHER_ID},
            {"assistant_id": OTHER_ID, "phone_number_id": OTHER_ID},
        ),
    ],
    ids=["neither", "an assistant", "a number to call from", "both"],
)
def test_defaults_that_become_known_later_fill_what_is_missing(own: dict[str, str], ids: dict[str, str]) -> None:
    organization = Organization(API_KEY, None, ASSISTANT_ID, PHONE_NUMBER_ID)

    assert with_late_defaults(attempt(**own), organization) == attempt(**ids)


def test_an_attempt_without_its_request_gets_no_defaults() -> None:
    bare = replace(attempt(), request=None)

    assert with_late_defaults(bare, Organization(API_KEY, None, ASSISTANT_ID, PHONE_NUMBER_ID)) == bare
    assert missing_defaults(bare) is None


@pytest.mark.parametrize(
    "ids",
    [{}, {"assistant_id": ASSISTANT_ID}, {"phone_number_id": PHONE_NUMBER_ID}],
    ids=["neither", "no number to call from", "no assistant"],
)
def test_an_attempt_that_lacks_an_id_waits_for_the_secret(ids: dict[str, str]) -> None:
    words = "neither the request nor the secret names an assistant and a number"

    assert missing_defaults(attempt(**ids)) == KeyUnusable(ParkReason.KEY_UNREADABLE, words)


def test_an_attempt_with_both_ids_lacks_nothing() -> None:
    assert missing_defaults(attempt(assistant_id=ASSISTANT_ID, phone_number_id=PHONE_NUMBER_ID)) is None


# When it may be dialled.


def test_a_request_may_wait_for_thirty_days_and_no_longer() -> None:
    assert terms_of(asked(notBefore="2026-05-01T14:30:00Z"), NOW).not_before == NOW + 30 * 86_400
    with pytest.raises(InvalidInput) as raised:
        terms_of(asked(notBefore="2026-05-01T14:30:00.5Z"), NOW)
    assert str(raised.value) == str(invalid_field("notBefore"))


@pytest.mark.parametrize("priority", Priority)
def test_a_priority_is_the_one_that_the_request_names(priority: Priority) -> None:
    found = terms_of(asked(priority=priority.value), NOW).priority

    assert (found, type(found)) == (priority, Priority)
