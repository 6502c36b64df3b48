"""From the document to the rules of one request: what is inherited, what adds up, and that nothing left out widens."""

import json
from datetime import date
from typing import Any

import pytest

from outbound_calls.contracts.policy import OrganizationPolicy, PurposePolicy, StoredPolicy
from outbound_calls.contracts.vocabulary import Preset, WhenCapped
from outbound_calls.domain.attempts import Redial
from outbound_calls.policy.rules import (
    _DOCUMENT_FIELDS,
    _FIELDS,
    _ORGANIZATION_FIELDS,
    Cap,
    Policy,
    UnusablePolicy,
    defined_purposes,
    limited_since,
    preset_document,
    read_stored,
    redial_of,
    resolve,
)
from tests.unit.policy.parts import WEEKDAYS_9_TO_17, rules_of, stored
from tests.unit.policy.test_document import BAD_WINDOWS, INVALID, WINDOW


def hours(*spans: tuple[float, float]) -> tuple[tuple[int, int], ...]:
    return tuple((int(opens * 3600), int(closes * 3600)) for opens, closes in spans)


# The presets, figure by figure.


def test_open_has_no_windows_and_no_caps() -> None:
    rules = rules_of(preset="open")

    assert rules.calendar.is_always_open
    assert (rules.caps, rules.time_zone, rules.paused) == ((), None, False)


def test_canada_keeps_the_hours_of_the_telecommunications_rules() -> None:
    rules = rules_of(preset="canada")

    assert rules.calendar.week == (hours((9, 21.5)),) * 5 + (hours((10, 18)),) * 2
    assert (rules.caps, rules.time_zone) == ((), "America/Toronto")


def test_united_states_health_care_keeps_hours_and_caps() -> None:
    rules = rules_of(preset="united-states-health-care")

    assert rules.calendar.week == (hours((9, 21)),) * 7
    assert set(rules.caps) == {
        *(Cap(1, per_days=1), Cap(1, per_seconds=86_400)),
        *(Cap(3, per_days=7), Cap(3, per_seconds=7 * 86_400)),
    }
    assert rules.time_zone is None


@pytest.mark.parametrize("preset", Preset)
def test_no_preset_redials_and_each_has_what_every_policy_needs(preset: Preset) -> None:
    rules = rules_of(preset=preset)

    assert rules.redial == Redial() == Redial(max_attempts=1)
    assert (rules.expire_after_seconds, rules.when_capped) == (86_400, WhenCapped.WAIT)
    assert rules.max_attempts_ceiling == (3 if preset is Preset.UNITED_STATES_HEALTH_CARE else 5)
    assert rules.max_concurrent_calls is None
    assert "basedOn" not in preset_document(preset)


def test_without_a_document_the_default_preset_holds() -> None:
    assert resolve(Policy(), "canada") == rules_of({"basedOn": "canada"}, "open")


def test_an_unknown_preset_makes_no_rules() -> None:
    words = "no preset has this name; the presets are open, canada, united-states-health-care"
    with pytest.raises(UnusablePolicy, match=f"^{words}$"):
        resolve(Policy(), "canda")


# What a document, an organization and a purpose say.


def test_a_document_changes_what_it_says_and_nothing_else() -> None:
    rules = rules_of({"expireAfterSeconds": 600, "maxConcurrentCalls": 7, "whenCapped": "reject"}, "canada")

    assert (rules.expire_after_seconds, rules.max_concurrent_calls, rules.when_capped) == (600, 7, WhenCapped.REJECT)
    assert rules.calendar == rules_of(preset="canada").calendar


LAYERED = {
    "callingWindows": [WEEKDAYS_9_TO_17],
    "expireAfterSeconds": 1000,
    "organizations": {
        "boston": {"basedOn": "united-states-health-care", "maxConcurrentCalls": 4},
        "north": {"expireAfterSeconds": 2000, "recipientCaps": [{"calls": 2, "perDays": 7}]},
    },
    "purposes": {"results": {"expireAfterSeconds": 3000, "recipientCaps": [{"calls": 4, "perDays": 30}]}},
    "recipientCaps": [{"calls": 5, "perDays": 1}],
}


def test_the_narrowest_part_that_has_a_field_decides() -> None:
    def expiry(**names: str | None) -> int:
        return rules_of(LAYERED, "canada", **names).expire_after_seconds

    assert expiry() == expiry(organization="elsewhere") == expiry(organization="default") == 1000
    assert expiry(organization="north") == 2000
    assert expiry(purpose="results") == expiry(organization="north", purpose="results") == 3000


def test_an_organizations_preset_comes_before_the_stacks_document() -> None:
    rules = rules_of(LAYERED, "canada", organization="boston")

    assert (rules.preset, rules.expire_after_seconds) == ("united-states-health-care", 86_400)
    assert rules.calendar.week == (hours((9, 21)),) * 7
    # What that preset doesn't say is the stack's.
    assert rules.time_zone == "America/Toronto"


def test_the_default_organization_may_have_a_part_of_its_own() -> None:
    document = {"organizations": {"default": {"expireAfterSeconds": 60}}}

    assert rules_of(document).expire_after_seconds == 60
    assert rules_of(document, organization="default").expire_after_seconds == 60
    assert rules_of(document, organization="north").expire_after_seconds == 86_400


def test_a_cap_counts_all_dials_of_the_stack_unless_it_says_whose() -> None:
    assert Cap(1, per_days=1) == Cap(1, 1, None, of_organization=False, of_purpose=False)


def test_caps_add_up_and_each_counts_its_own_dials() -> None:
    north = rules_of(LAYERED, organization="north", purpose="results")

    assert north.caps == (
        Cap(5, per_days=1),
        Cap(2, per_days=7, of_organization=True),
        Cap(4, per_days=30, of_purpose=True),
    )


def test_a_documents_caps_replace_those_of_its_preset_but_never_those_of_the_stack() -> None:
    document = {"organizations": {"boston": {"recipientCaps": [{"calls": 9, "perDays": 1}]}}}
    caps = rules_of(document, "united-states-health-care", organization="boston").caps

    assert caps == (*rules_of(preset="united-states-health-care").caps, Cap(9, per_days=1, of_organization=True))
    assert rules_of({"recipientCaps": [{"calls": 9, "perDays": 1}]}, "united-states-health-care").caps == (
        Cap(9, per_days=1),
    )


def test_an_organizations_purposes_are_its_own() -> None:
    document = {
        "purposes": {"reminder": {"recipientCaps": [{"calls": 1, "perDays": 1}]}},
        "organizations": {"north": {"purposes": {"results": {"recipientCaps": [{"calls": 2, "perDays": 1}]}}}},
    }
    results = rules_of(document, organization="north", purpose="results")

    assert results.caps == (Cap(2, per_days=1, of_organization=True, of_purpose=True),)
    assert not rules_of(document, organization="north", purpose="reminder").purpose_known


@pytest.mark.parametrize(
    ("organization", "defined"),
    [
        ("north", {"results"}),
        ("south", {"reminder"}),
        ("elsewhere", {"reminder"}),
        (None, {"reminder", "results"}),
    ],
)
def test_the_purposes_of_an_organization_are_its_own_or_else_the_stacks(
    organization: str | None, defined: set[str]
) -> None:
    document = {
        "purposes": {"reminder": {}},
        "organizations": {"north": {"purposes": {"results": {}}}, "south": {}},
    }

    assert defined_purposes(stored(document), organization) == defined
    assert defined_purposes(Policy(), organization) == frozenset()


def test_a_purpose_must_be_defined() -> None:
    assert not rules_of(LAYERED, purpose="marketing").purpose_known
    assert rules_of(LAYERED, purpose="marketing") != rules_of(LAYERED)
    assert rules_of(LAYERED, purpose="results").purpose_known
    assert rules_of(LAYERED).purpose_known


@pytest.mark.parametrize(
    "document",
    [
        {"paused": True},
        {"organizations": {"north": {"paused": True}}},
        {"purposes": {"results": {"paused": True}}},
        {"paused": True, "organizations": {"north": {"paused": False}}, "purposes": {"results": {"paused": False}}},
    ],
)
def test_paused_anywhere_is_paused(document: dict[str, Any]) -> None:
    named = {"purposes": {"results": {}}} | document

    assert rules_of(named, organization="north", purpose="results").paused
    assert not rules_of({"paused": False}).paused


def test_redial_is_limited_by_the_ceiling() -> None:
    redial = {"on": {"busy": [600, 1800]}, "onEndedReasons": {"voicemail": [60]}, "maxAttempts": 9}

    assert rules_of({"redial": redial, "maxAttemptsCeiling": 4}).redial == Redial(
        4, {"busy": (600, 1800)}, {"voicemail": (60,)}
    )
    assert rules_of({"redial": {"maxAttempts": 1}}).redial == Redial()


@pytest.mark.parametrize(
    ("document", "read"),
    [
        ({}, False),
        ({"recipientCaps": [{"calls": 1, "perSeconds": 60}]}, False),
        ({"recipientCaps": [{"calls": 1, "perDays": 1}]}, True),
        ({"callingWindows": [{"days": ["mon"], "from": "09:00", "to": "17:00"}]}, True),
        ({"holidays": {"country": "CA"}, "holidayDates": {"CA": {"until": "2031-12-31", "dates": []}}}, True),
    ],
)
def test_clocks_are_read_where_a_rule_depends_on_them(document: dict[str, Any], read: bool) -> None:
    assert rules_of(document).read_clocks is read


def test_the_holidays_of_a_subdivision_have_a_calendar_of_their_own() -> None:
    dates = {"until": "2031-12-31", "dates": ["2026-06-24"]}
    rules = rules_of({"holidays": {"country": "CA", "subdivision": "QC"}, "holidayDates": {"CA-QC": dates}})

    assert [day.isoformat() for day in rules.calendar.holidays] == ["2026-06-24"]


def test_holidays_come_with_the_document() -> None:
    dates = {"until": "2031-12-31", "dates": ["2026-12-25"]}
    rules = rules_of({"holidays": {"country": "CA"}, "holidayDates": {"CA": dates}})

    assert [day.isoformat() for day in rules.calendar.holidays] == ["2026-12-25"]
    assert str(rules.holidays_until) == "2031-12-31"


def test_the_fields_are_those_of_the_contract() -> None:
    for model, fields in (
        (PurposePolicy, _FIELDS),
        (OrganizationPolicy, _ORGANIZATION_FIELDS),
        (StoredPolicy, _DOCUMENT_FIELDS),
    ):
        assert fields.keys() == {field.alias for field in model.model_fields.values()}


def test_the_redial_that_a_request_asks_for_is_limited_by_the_ceiling() -> None:
    asked = {"on": {"busy": [600]}, "maxAttempts": 9}

    assert redial_of(asked, 3) == Redial(3, {"busy": (600,)})
    assert redial_of({"maxAttempts": 1}, 3) == Redial()


@pytest.mark.parametrize(("field", "path", "value"), INVALID)
def test_what_the_contract_refuses_makes_no_rules(field: str, path: str, value: Any) -> None:
    for document in ({field: value}, {"organizations": {"north": {field: value}}}):
        with pytest.raises(UnusablePolicy):
            read_stored(json.dumps(document))


@pytest.mark.parametrize(("changes", "field"), BAD_WINDOWS)
def test_a_window_that_the_contract_refuses_makes_no_rules(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(UnusablePolicy):
        read_stored(json.dumps({"callingWindows": [WINDOW | changes]}))


@pytest.mark.parametrize("to", ["09:00", "08:59"])
def test_a_window_that_is_empty_makes_no_rules(to: str) -> None:
    with pytest.raises(UnusablePolicy):
        read_stored(json.dumps({"callingWindows": [WINDOW | {"to": to}]}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "the policy can't be read"),
        ('{"organizations": {"north": {"callingWindows": []}}}', "the policy can't be read: see callingWindows"),
        ('{"purposes": {"results": {"recipientCaps": [{}]}}}', "the policy can't be read: see recipientCaps"),
        ('{"recipientCaps": [{"perDays": 1}]}', "the policy can't be read: see recipientCaps"),
        ('{"exceptions": [{"from": 7, "to": "2026-12-25"}]}', "the policy can't be read: see exceptions"),
        ('{"redial": {"on": 7, "maxAttempts": 2}}', "the policy can't be read: see redial"),
        (
            '{"exceptions": [{"name": "", "from": "2026-12-25", "to": "2026-12-25"}]}',
            "the policy can't be read: see exceptions",
        ),
        ('{"timeZone": "Mars/Olympus"}', "the policy can't be read: see timeZone"),
        ('{"purposes": {"Not a name": {}}}', "the policy can't be read: see purposes"),
        ('{"organizations": {"Not a name": {}}}', "the policy can't be read: see organizations"),
        ('{"callbackUrl": 1}', "the policy can't be read: it has an unknown field"),
        ('{"holidays": {"country": "CA"}}', "the policy can't be read"),
        ('{"purposes": {"results": {"holidays": {"country": "CA"}}}}', "the policy can't be read"),
        ('{"organizations": {"north": {"holidays": {"country": "CA"}}}}', "the policy can't be read"),
        (
            '{"organizations": {"north": {"purposes": {"a": {"holidays": {"country": "CA"}}}}}}',
            "the policy can't be read",
        ),
    ],
)
def test_a_document_that_can_not_be_read_says_which_field(text: str, words: str) -> None:
    with pytest.raises(UnusablePolicy) as caught:
        read_stored(text)

    assert str(caught.value) == words


def test_a_documents_time_zone_and_exceptions_are_those_of_the_rules() -> None:
    closed = {"name": "Closed", "from": "2026-12-25", "to": "2026-12-26"}
    rules = rules_of({"timeZone": "America/Halifax", "exceptions": [closed]})
    assert rules.time_zone == "America/Halifax"
    assert [(each.first, each.last) for each in rules.calendar.exceptions] == [(date(2026, 12, 25), date(2026, 12, 26))]


@pytest.mark.parametrize("stored", [None, 7, {}])
def test_a_stored_document_that_is_no_text_makes_no_rules(stored: Any) -> None:
    with pytest.raises(UnusablePolicy):
        read_stored(stored)


NOW, BEFORE = 2000, 1000
TWO, THREE = {"maxConcurrentCalls": 2}, {"maxConcurrentCalls": 3}


@pytest.mark.parametrize(
    ("before", "since_before", "after", "since"),
    [
        ({}, {}, {}, {}),
        ({}, {}, TWO, {"*": NOW}),
        (None, {"*": BEFORE}, TWO, {"*": NOW}),
        (TWO, {"*": BEFORE}, THREE, {"*": BEFORE}),
        (TWO, {}, THREE, {"*": 0}),
        (TWO, {"*": BEFORE}, {}, {}),
        ({}, {}, {"organizations": {"north": TWO}}, {"north": NOW}),
        (TWO, {"*": BEFORE}, TWO | {"organizations": {"north": THREE}}, {"*": BEFORE, "north": BEFORE}),
        ({"organizations": {"north": TWO}}, {"north": BEFORE}, THREE, {"*": NOW, "north": BEFORE}),
        (THREE, {"*": NOW - 1, "north": BEFORE}, THREE, {"*": NOW - 1, "north": BEFORE}),
        ({"organizations": {"north": {}}}, {}, TWO, {"*": NOW, "north": NOW}),
    ],
)
def test_a_limit_counts_from_when_there_was_none_before(
    before: dict[str, Any] | None, since_before: dict[str, int], after: dict[str, Any], since: dict[str, int]
) -> None:
    replaced = None if before is None else read_stored(json.dumps(before), since_before)

    assert limited_since(replaced, read_stored(json.dumps(after)), NOW) == since


def test_the_rules_of_an_organization_say_since_when_its_calls_are_limited() -> None:
    policy = read_stored(json.dumps(TWO), {"*": BEFORE, "north": NOW})

    assert [resolve(policy, "open", name).limited_since for name in (None, "north", "south")] == [BEFORE, NOW, BEFORE]


def test_of_many_organizations_each_has_its_own_time() -> None:
    names = [f"clinic-{number}" for number in range(12)]
    said = {name: TWO if place % 2 else {} for place, name in enumerate(names)}
    after = read_stored(json.dumps({"organizations": said}))

    assert limited_since(None, after, NOW) == dict.fromkeys(names[1::2], NOW)


ONE_DAY = {"from": "2026-12-25", "to": "2026-12-25"}


@pytest.mark.parametrize(
    "document",
    [
        {"exceptions": [ONE_DAY | {"surprise": 1}]},
        {"exceptions": [ONE_DAY | {"name": ""}]},
        {"exceptions": {}},
        {"recipientCaps": {}},
        {"redial": {"on": {"busy": {}}, "maxAttempts": 2}},
        {"redial": {"onEndedReasons": {"": [60]}, "maxAttempts": 2}},
        {"redial": {"on": {"completed": [60]}, "maxAttempts": 2}},
    ],
)
def test_a_stored_document_of_another_shape_makes_no_rules(document: dict[str, Any]) -> None:
    with pytest.raises(UnusablePolicy):
        read_stored(json.dumps(document))


def test_an_exception_may_be_one_day_and_a_redial_may_follow_each_of_three_outcomes() -> None:
    after = {"busy": [60], "no-answer": [120], "failed": [180]}
    document = {"exceptions": [ONE_DAY], "redial": {"on": after, "maxAttempts": 4}}
    rules = resolve(read_stored(json.dumps(document)), "open")

    assert [(each.first.isoformat(), each.last.isoformat()) for each in rules.calendar.exceptions] == [
        ("2026-12-25", "2026-12-25")
    ]
    assert rules.redial == Redial(4, {"busy": (60,), "no-answer": (120,), "failed": (180,)})
