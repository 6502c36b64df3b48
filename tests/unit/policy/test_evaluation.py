"""The decision for an attempt: each rule, their order, and the time until which an attempt waits."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from outbound_calls.contracts.vocabulary import ParkReason, ReasonCode
from outbound_calls.domain.recipients import Objection, PastDial, Recipient
from outbound_calls.domain.timing import OPENING_SPREAD_SECONDS
from outbound_calls.policy.evaluation import (
    Candidate,
    Decision,
    Dial,
    Evaluation,
    Reject,
    RuleResult,
    Wait,
    evaluate,
    expires_at,
    next_attempt_at,
    window_closes_at,
)
from outbound_calls.policy.number_zones import ZoneSource
from outbound_calls.policy.rules import Rules
from tests.unit.policy.parts import (
    DAYS,
    IN_NUNAVUT,
    IN_TORONTO,
    TOLL_FREE,
    TORONTO,
    VANCOUVER,
    WEEKDAYS_9_TO_17,
    Document,
    at,
    candidate,
    clock_shows_open,
    rules_of,
)

OFFICE = {"callingWindows": [WEEKDAYS_9_TO_17]}
WEDNESDAY_NOON = at("2026-11-25 12:00")
WEDNESDAY_NIGHT = at("2026-11-25 22:30")
STRANGER = Recipient()


def decide(asked: Candidate, rules: Rules, now: float, recipient: Recipient = STRANGER) -> Decision:
    return evaluate(asked, rules, recipient, now).decision


def window(opens: str, closes: str) -> list[Document]:
    return [WEEKDAYS_9_TO_17 | {"from": opens, "to": closes}]


def waiting(decision: Decision) -> Wait:
    assert isinstance(decision, Wait)
    return decision


def rejected(decision: Decision) -> ReasonCode:
    assert isinstance(decision, Reject)
    return decision.code


def test_an_attempt_says_nothing_unless_it_is_given() -> None:
    asked = Candidate("visit-2031/1", "+14165550123", 0)

    assert asked == replace(asked, organization=None, purpose=None, not_before=None, not_after=None, time_zone=None)
    assert asked == replace(asked, calling_windows=None, is_urgent=False, is_cancelled=False, waits_for=None)
    assert (asked.earliest, replace(asked, not_before=7).earliest) == (0, 7)
    assert RuleResult("expiry", "expires at noon").decision is None


# Open and closed.


def test_inside_a_window_it_is_dialled() -> None:
    assert decide(candidate(), rules_of(OFFICE), WEDNESDAY_NOON) == Dial()


def test_outside_it_waits_for_the_next_opening() -> None:
    asked = candidate(created_at=WEDNESDAY_NIGHT, is_urgent=True)

    assert decide(asked, rules_of(preset="canada"), WEDNESDAY_NIGHT) == Wait(
        int(at("2026-11-26 09:00")),
        ParkReason.OUTSIDE_CALLING_WINDOW,
        "waiting until Thu 2026-11-26 09:00 (America/Toronto): outside calling hours, policy canada",
    )


def test_an_open_policy_needs_no_zone() -> None:
    asked = candidate(phone_number="+80012345678")
    evaluation = evaluate(asked, rules_of(), STRANGER, WEDNESDAY_NIGHT)

    assert (evaluation.decision, evaluation.zones) == (Dial(), None)


@pytest.mark.parametrize(
    ("changes", "source", "count"),
    [
        ({"time_zone": VANCOUVER}, ZoneSource.REQUEST, 1),
        ({}, ZoneSource.NUMBER, 1),
        ({"phone_number": IN_NUNAVUT}, ZoneSource.NUMBER, 8),
        ({"phone_number": TOLL_FREE}, ZoneSource.POLICY, 1),
    ],
)
def test_an_evaluation_says_where_the_zone_comes_from(changes: dict[str, Any], source: ZoneSource, count: int) -> None:
    zones = evaluate(candidate(**changes), rules_of(OFFICE, "canada"), STRANGER, WEDNESDAY_NOON).zones

    assert zones is not None
    assert (zones.source, len(zones.names)) == (source, count)


def test_a_number_that_may_be_in_several_zones_is_judged_in_all_of_them() -> None:
    morning = at("2026-11-25 09:00")
    asked = candidate(phone_number=IN_NUNAVUT, created_at=morning, is_urgent=True)

    decision = waiting(decide(asked, rules_of(OFFICE), morning))

    assert decision.until == at("2026-11-25 09:00", VANCOUVER)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (IN_TORONTO, "(America/Toronto)"),
        ("+12085550123", "(America/Boise and 1 other possible zone)"),
        ("+12365550123", "(America/Vancouver and 2 other possible zones)"),
        (IN_NUNAVUT, " and 7 other possible zones)"),
    ],
)
def test_a_wait_names_a_zone_and_counts_the_others(number: str, words: str) -> None:
    decision = waiting(decide(candidate(phone_number=number), rules_of(OFFICE), WEDNESDAY_NIGHT))

    assert words in decision.reason


@pytest.mark.parametrize(
    ("changes", "rules", "words"),
    [
        ({"phone_number": "+80012345678"}, OFFICE, "the recipient's time zone isn't known: send timeZone"),
        ({"phone_number": TOLL_FREE}, OFFICE, "the recipient's time zone isn't known: send timeZone"),
        (
            {"phone_number": "+80012345678"},
            {"recipientCaps": [{"calls": 1, "perDays": 1}]},
            "the recipient's time zone isn't known: send timeZone",
        ),
        (
            {"calling_windows": window("18:00", "20:00"), "time_zone": TORONTO},
            OFFICE,
            "no calling window ever opens, policy open",
        ),
        (
            {"phone_number": IN_NUNAVUT, "calling_windows": window("09:00", "10:00")},
            OFFICE,
            "no calling window opens in all possible time zones, policy open: send timeZone",
        ),
    ],
)
@pytest.mark.parametrize("not_before", [None, WEDNESDAY_NOON + 86_400])
def test_where_no_window_can_open_it_is_rejected_at_once(
    changes: dict[str, Any], rules: dict[str, Any], words: str, not_before: float | None
) -> None:
    asked = candidate(**changes, not_before=not_before)

    assert decide(asked, rules_of(rules), WEDNESDAY_NOON) == Reject(ReasonCode.NO_CALLING_WINDOW, words)


def test_a_requests_windows_narrow_and_never_widen() -> None:
    rules = rules_of(OFFICE)
    asked = candidate(calling_windows=window("13:00", "20:00"), is_urgent=True)

    assert waiting(decide(asked, rules, WEDNESDAY_NOON)).until == at("2026-11-25 13:00")
    assert decide(asked, rules, at("2026-11-25 13:00")) == Dial()
    assert waiting(decide(asked, rules, at("2026-11-25 17:00"))).until == at("2026-11-26 13:00")
    assert decide(replace(asked, calling_windows="always"), rules, WEDNESDAY_NOON) == Dial()
    assert isinstance(decide(replace(asked, calling_windows="always"), rules, at("2026-11-25 17:00")), Wait)


# Expiry.


def test_an_expiry_counts_from_the_first_moment_that_is_allowed() -> None:
    rules = rules_of(OFFICE)
    friday_night = candidate(created_at=at("2026-11-27 20:00"))

    assert expires_at(friday_night, rules) == at("2026-12-01 09:00")  # Tuesday morning
    assert expires_at(candidate(), rules) == WEDNESDAY_NOON + 86_400
    assert expires_at(candidate(not_before=at("2026-11-28 12:00")), rules) == at("2026-12-01 09:00")
    assert expires_at(candidate(not_after=123), rules) == 123
    assert expires_at(candidate(), rules_of({"expireAfterSeconds": 60})) == WEDNESDAY_NOON + 60


@pytest.mark.parametrize(("late", "expected"), [(0, Dial()), (0.001, ReasonCode.EXPIRED)])
def test_it_may_be_dialled_until_the_expiry_and_not_after(late: float, expected: object) -> None:
    decision = decide(candidate(), rules_of(), WEDNESDAY_NOON + 86_400 + late)

    assert (decision.code if isinstance(decision, Reject) else decision) == expected


def test_an_expired_attempt_says_what_it_waited_for() -> None:
    asked = candidate(waits_for=ParkReason.RECIPIENT_CAP, not_after=WEDNESDAY_NOON)

    assert decide(asked, rules_of(), WEDNESDAY_NOON + 1) == Reject(
        ReasonCode.EXPIRED, "not dialled by 2026-11-25T17:00:00Z; it waited for recipient-cap"
    )


def test_what_can_only_be_dialled_after_it_expires_waits_for_the_expiry() -> None:
    asked = candidate(created_at=WEDNESDAY_NIGHT, not_after=at("2026-11-26 08:00"))

    assert decide(asked, rules_of(OFFICE), WEDNESDAY_NIGHT) == Wait(
        int(at("2026-11-26 08:00")) + 1,
        ParkReason.OUTSIDE_CALLING_WINDOW,
        "waiting until it expires: outside calling hours, policy open",
    )


@pytest.mark.parametrize(("seconds", "until"), [(0, 0), (-1, 0), (-0.5, 0)])
def test_an_opening_at_the_moment_of_the_expiry_is_in_time_and_one_after_it_is_not(seconds: float, until: int) -> None:
    opening = at("2026-11-26 09:00")
    asked = candidate(created_at=WEDNESDAY_NIGHT, not_after=opening + seconds, is_urgent=True)

    decision = waiting(decide(asked, rules_of(OFFICE), WEDNESDAY_NIGHT))

    assert decision.reason.startswith("waiting until Thu" if seconds == 0 else "waiting until it expires")
    assert decision.until == opening + until


# Not before, pause, purpose, cancelled, do-not-call.


def test_before_not_before_it_waits_for_the_first_window_after_it() -> None:
    asked = candidate(not_before=at("2026-11-28 10:00"), is_urgent=True)  # a Saturday

    decision = waiting(decide(asked, rules_of(OFFICE), WEDNESDAY_NOON))

    assert (decision.until, decision.park_reason) == (at("2026-11-30 09:00"), ParkReason.NOT_BEFORE)
    just_before = waiting(decide(asked, rules_of(), at("2026-11-28 09:59:59")))
    assert just_before.until == at("2026-11-28 10:00")
    # No zone is known, or needed.
    assert just_before.reason.startswith("waiting until 2026-11-28T15:00:00Z: ")
    assert decide(asked, rules_of(), at("2026-11-28 10:00")) == Dial()


def test_a_pause_lasts_until_it_ends_or_the_attempt_expires() -> None:
    decision = waiting(decide(candidate(), rules_of(OFFICE | {"paused": True}), WEDNESDAY_NOON))

    assert decision == Wait(int(WEDNESDAY_NOON) + 86_401, ParkReason.PAUSED, "waiting to be resumed: calls are paused")


FORBIDDING = [
    Objection(),
    Objection(until=WEDNESDAY_NOON + 0.5),
    Objection(organization="north"),
    Objection(purposes=("marketing", "reminder")),
    Objection(WEDNESDAY_NOON + 1, "north", ("marketing",)),
]
ALLOWING = [
    Objection(until=WEDNESDAY_NOON),
    Objection(organization="south"),
    Objection(organization="default"),
    Objection(purposes=("reminder",)),
]


@pytest.mark.parametrize("objection", [*FORBIDDING, *ALLOWING])
def test_an_objection_applies_to_its_time_its_organization_and_its_purposes(objection: Objection) -> None:
    asked = candidate(organization="north", purpose="marketing")
    rules = rules_of({"purposes": {"marketing": {}}}, purpose="marketing")

    decision = decide(asked, rules, WEDNESDAY_NOON, Recipient(objections=(objection,)))

    reason = Reject(ReasonCode.DO_NOT_CALL, "the number is on the do-not-call list")
    assert decision == (reason if objection in FORBIDDING else Dial())


def test_an_objection_applies_to_all_permanently_unless_it_says_otherwise() -> None:
    assert Objection() == Objection(None, None, ())


def test_an_objection_for_the_default_organization_applies_to_requests_that_name_none() -> None:
    listed = Recipient(objections=(Objection(organization="default"),))

    assert rejected(decide(candidate(), rules_of(), WEDNESDAY_NOON, listed)) is ReasonCode.DO_NOT_CALL


# Caps.


CAPPED = OFFICE | {"recipientCaps": [{"calls": 1, "perDays": 1}, {"calls": 2, "perSeconds": 7 * 86_400}]}


def dialled(*texts: str) -> Recipient:
    return Recipient(dials=tuple(PastDial(at(text)) for text in texts))


def test_a_capped_number_waits_until_every_cap_and_window_allow_it() -> None:
    rules, asked = rules_of(CAPPED), candidate(is_urgent=True, not_after=at("2026-12-20 12:00"))

    today = waiting(decide(asked, rules, WEDNESDAY_NOON, dialled("2026-11-25 10:00")))
    twice = waiting(decide(asked, rules, WEDNESDAY_NOON, dialled("2026-11-23 18:00", "2026-11-25 10:00")))

    assert (today.until, today.park_reason) == (at("2026-11-26 09:00"), ParkReason.RECIPIENT_CAP)
    words = "the number was dialled as often as a cap allows"
    explained = evaluate(asked, rules, dialled("2026-11-25 10:00"), WEDNESDAY_NOON).results[-1]
    assert explained == RuleResult("recipient-cap", words, today)
    assert today.reason.endswith(f": {words}")
    # The week is over on Monday evening, when the window has closed.
    assert twice.until == at("2026-12-01 09:00")


@pytest.mark.parametrize(
    ("organization", "purpose", "is_capped"),
    [("north", "marketing", True), ("north", None, False), (None, "marketing", False), ("south", "marketing", False)],
)
def test_a_cap_counts_the_dials_of_its_own_organization_and_purpose(
    organization: str | None, purpose: str | None, is_capped: bool
) -> None:
    document = {
        "organizations": {"north": {"purposes": {"marketing": {"recipientCaps": [{"calls": 1, "perDays": 1}]}}}}
    }
    rules = rules_of(document, organization="north", purpose="marketing")
    asked = candidate(organization="north", purpose="marketing")
    dialled_by = Recipient((PastDial(WEDNESDAY_NOON - 60, organization, purpose),))

    assert isinstance(decide(asked, rules, WEDNESDAY_NOON, dialled_by), Wait) is is_capped


def test_a_policy_may_reject_instead_of_waiting() -> None:
    rules = rules_of(CAPPED | {"whenCapped": "reject"})

    assert rejected(decide(candidate(), rules, WEDNESDAY_NOON, dialled("2026-11-25 10:00"))) is ReasonCode.RECIPIENT_CAP


def test_a_cap_that_outlasts_the_attempt_lets_it_expire() -> None:
    rules = rules_of(CAPPED | {"expireAfterSeconds": 3600})

    decision = waiting(decide(candidate(), rules, WEDNESDAY_NOON, dialled("2026-11-25 10:00")))

    assert decision.until == WEDNESDAY_NOON + 3601


# The order.


def everything_forbids() -> tuple[Candidate, Rules, Recipient]:
    """An attempt that every rule forbids."""
    asked = candidate(
        purpose="marketing", not_before=WEDNESDAY_NIGHT + 60, not_after=WEDNESDAY_NIGHT - 60, is_cancelled=True
    )
    rules = rules_of(CAPPED | {"whenCapped": "reject", "paused": True}, purpose="marketing")
    return asked, rules, replace(dialled("2026-11-25 10:00"), objections=(Objection(),))


def test_the_first_rule_that_does_not_hold_decides() -> None:
    asked, rules, recipient = everything_forbids()
    found: list[str] = []

    def look() -> None:
        decision = decide(asked, rules, WEDNESDAY_NIGHT, recipient)
        found.append(decision.park_reason if isinstance(decision, Wait) else rejected(decision))

    look()
    asked = replace(asked, not_after=WEDNESDAY_NIGHT + 30 * 86_400)
    look()
    asked = replace(asked, is_cancelled=False)
    look()
    rules = replace(rules, paused=False)
    look()
    rules = replace(rules, purpose_known=True)
    look()
    asked = replace(asked, not_before=None)
    look()
    asked = replace(asked, calling_windows=None)
    rules = replace(rules, calendar=rules_of().calendar)
    look()
    recipient = replace(recipient, objections=())
    look()

    assert found == [
        *("expired", "cancelled", "paused", "unknown-purpose", "not-before", "outside-calling-window"),
        *("do-not-call", "recipient-cap"),
    ]


def test_an_evaluation_explains_every_rule() -> None:
    asked, rules, recipient = everything_forbids()

    forbidden = evaluate(asked, rules, recipient, WEDNESDAY_NIGHT).results
    allowed = evaluate(candidate(), rules_of(CAPPED), STRANGER, WEDNESDAY_NOON).results

    names = ["expiry", "cancelled", "paused", "purpose", "not-before", "calling-window", "do-not-call", "recipient-cap"]
    assert [result.rule for result in forbidden] == [result.rule for result in allowed] == names
    assert all(result.decision for result in forbidden)
    assert [result.detail for result in forbidden] == [
        *("not dialled by 2026-11-26T03:29:00Z", "cancelled before it was dialled", "calls are paused"),
        *("the policy doesn't define this purpose", "notBefore is 2026-11-26T03:31:00Z"),
        *("outside calling hours, policy open", "the number is on the do-not-call list"),
        "the number was dialled as often as a cap allows",
    ]
    for result in forbidden:
        assert result.decision
        assert result.decision.reason.endswith(result.detail)
    assert not any(result.decision for result in allowed)
    assert [result.detail for result in allowed] == [
        "expires at 2026-11-26T17:00:00Z",
        *("not cancelled", "not paused", "none", "none"),
        "open at Wed 2026-11-25 12:00 (America/Toronto), policy open",
        *("not on the list", "below 2 caps"),
    ]


def test_an_evaluation_explains_what_has_passed_and_what_never_comes() -> None:
    asked = candidate(purpose="marketing", not_before=WEDNESDAY_NOON - 1, phone_number="+80012345678")
    rules = rules_of(OFFICE | {"purposes": {"marketing": {}}}, purpose="marketing")

    known = evaluate(replace(asked, time_zone=TORONTO), rules, STRANGER, WEDNESDAY_NOON).results
    unknown = evaluate(asked, rules, STRANGER, WEDNESDAY_NOON).results

    assert [(each.rule, each.detail) for each in (known[3], known[4], known[-1])] == [
        ("purpose", "defined in the policy"),
        ("not-before", "has passed"),
        ("recipient-cap", "none"),
    ]
    assert (unknown[4].rule, unknown[4].detail) == (
        "calling-window",
        "the recipient's time zone isn't known: send timeZone",
    )


def test_no_text_of_an_evaluation_has_the_number() -> None:
    asked, rules, recipient = everything_forbids()

    assert asked.phone_number[1:] not in repr(evaluate(asked, rules, recipient, WEDNESDAY_NIGHT))


# Holidays that are no longer known.


def test_after_the_last_known_holiday_no_one_is_dialled() -> None:
    stored = {"holidays": {"country": "CA"}, "holidayDates": {"CA": {"until": "2026-11-25", "dates": []}}}
    rules = rules_of(OFFICE | stored)
    asked = candidate(not_after=at("2026-12-24 12:00"))

    assert decide(asked, rules, at("2026-11-25 16:59")) == Dial()
    words = "the policy knows holidays until 2026-11-25 only: set it again"
    assert evaluate(asked, rules, STRANGER, at("2026-11-26 09:00")).results[5] == RuleResult(
        "calling-window", words, Wait(int(at("2026-11-26 09:05")), ParkReason.POLICY_UNREADABLE, words)
    )


def test_after_the_last_known_holiday_no_one_is_dialled_under_windows_that_are_always_open() -> None:
    stored = {"holidays": {"country": "CA"}, "holidayDates": {"CA": {"until": "2026-11-25", "dates": []}}}
    rules = rules_of({"callingWindows": "always"} | stored)

    assert decide(candidate(), rules, at("2026-11-25 23:59:59")) == Dial()
    decision = waiting(decide(candidate(created_at=at("2026-11-26 00:00")), rules, at("2026-11-26 00:00")))
    assert decision.park_reason is ParkReason.POLICY_UNREADABLE
    # Where no zone says which day it is.
    toll_free = candidate(phone_number=TOLL_FREE, created_at=at("2026-11-26 12:00"))
    assert rejected(decide(toll_free, rules, at("2026-11-26 12:00"))) is ReasonCode.NO_CALLING_WINDOW


def test_the_last_known_holiday_ends_with_the_day_of_the_person_called() -> None:
    stored = {"holidays": {"country": "CA"}, "holidayDates": {"CA": {"until": "2026-11-25", "dates": ["2026-01-01"]}}}
    always = [{"days": list(DAYS), "from": "00:00", "to": "24:00"}]
    rules = rules_of({"callingWindows": always, "timeZone": TORONTO} | stored)
    midnight = at("2026-11-26 00:00", VANCOUVER)
    asked = candidate(time_zone=VANCOUVER, created_at=midnight)

    assert decide(asked, rules, midnight - 1) == Dial()
    assert waiting(decide(asked, rules, midnight)).park_reason is ParkReason.POLICY_UNREADABLE


# At an opening.


def opening_of(name: str, **changes: Any) -> int:
    asked = candidate(name=name, created_at=WEDNESDAY_NIGHT, **changes)
    return waiting(decide(asked, rules_of(OFFICE), WEDNESDAY_NIGHT)).until


def test_what_waits_for_an_opening_is_spread_over_five_minutes() -> None:
    opening = int(at("2026-11-26 09:00"))
    waits = [opening_of(f"visit-{number}/1") - opening for number in range(1500)]

    assert min(waits) == 0
    assert max(waits) == OPENING_SPREAD_SECONDS - 1 == 299
    per_second = [waits.count(second) for second in range(OPENING_SPREAD_SECONDS)]
    assert max(per_second) <= 20
    assert opening_of("visit-7/1") == opening_of("visit-7/1")
    assert opening_of("visit-7/1", is_urgent=True) == opening


def test_the_spread_leaves_time_before_the_closing_and_the_expiry() -> None:
    opening = int(at("2026-11-26 09:00"))
    names = [f"visit-{number}/1" for number in range(200)]

    assert max(opening_of(name, not_after=opening + 60) - opening for name in names) == 29
    assert max(opening_of(name, not_after=opening + 2) - opening for name in names) == 0
    assert max(opening_of(name, calling_windows=window("09:00", "09:02")) - opening for name in names) == 59


def test_what_waits_for_its_own_time_inside_a_window_is_not_spread() -> None:
    for number in range(20):
        asked = candidate(name=f"visit-{number}/1", not_before=at("2026-11-26 10:00"))
        assert waiting(decide(asked, rules_of(OFFICE), WEDNESDAY_NOON)).until == at("2026-11-26 10:00")


# For those who park and redial.


def test_when_the_present_window_closes() -> None:
    assert window_closes_at(candidate(), rules_of(OFFICE), WEDNESDAY_NOON) == at("2026-11-25 17:00")
    assert window_closes_at(candidate(), rules_of(OFFICE), WEDNESDAY_NIGHT) == WEDNESDAY_NIGHT
    assert window_closes_at(candidate(), rules_of(), WEDNESDAY_NOON) is None
    unknown = candidate(phone_number="+80012345678")
    assert window_closes_at(unknown, rules_of(OFFICE), WEDNESDAY_NOON) == WEDNESDAY_NOON


def test_a_redial_comes_in_the_first_window_after_its_delay_unless_that_is_too_late() -> None:
    asked, rules = candidate(), rules_of(OFFICE)

    assert next_attempt_at(asked, rules, at("2026-11-25 16:59")) == at("2026-11-25 16:59")
    assert next_attempt_at(asked, rules, at("2026-11-25 17:00")) == at("2026-11-26 09:00")
    late = replace(asked, not_after=at("2026-11-26 08:00"))
    assert next_attempt_at(late, rules, at("2026-11-25 16:59")) == at("2026-11-25 16:59")
    assert next_attempt_at(late, rules, at("2026-11-25 17:00")) is None
    just = [replace(asked, not_after=at("2026-11-26 09:00") + seconds) for seconds in (0, -1)]
    assert [next_attempt_at(each, rules, at("2026-11-25 17:00")) for each in just] == [at("2026-11-26 09:00"), None]
    assert next_attempt_at(replace(asked, phone_number=TOLL_FREE), rules, at("2026-11-25 16:59")) is None


# What applies to every wait.


@settings(max_examples=120, deadline=None)
@given(
    st.builds(
        candidate,
        name=st.text(max_size=4),
        created_at=st.integers(0, 100).map(lambda hour: WEDNESDAY_NOON + hour * 3600),
        not_before=st.none() | st.integers(0, 200).map(lambda hour: WEDNESDAY_NOON + hour * 3600),
        phone_number=st.sampled_from(["+14165550123", "+16045550123", IN_NUNAVUT, "+77012345678"]),
        calling_windows=st.none() | st.sampled_from([window("12:00", "22:00"), window("09:00", "12:30")]),
        is_urgent=st.booleans(),
    ),
    st.sampled_from([{}, OFFICE, CAPPED]),
    st.lists(st.integers(-100, 60).map(lambda hour: PastDial(WEDNESDAY_NOON + hour * 3600)), max_size=4),
    st.integers(60, 300).map(lambda hour: WEDNESDAY_NOON + hour * 3600 + 0.25),
)
# The queue's clock may be ahead of a function's.
@example(
    candidate(created_at=1795849200, not_before=1795845600, phone_number="+14165550123", is_urgent=True),
    {},
    [],
    1795842000.25,
)
def test_a_wait_ends_with_a_dial_or_with_the_expiry(
    asked: Candidate, document: dict[str, Any], dials: list[PastDial], now: float
) -> None:
    rules, recipient = rules_of(document), Recipient(tuple(dials))
    evaluation: Evaluation = evaluate(asked, rules, recipient, now)
    if evaluation.decision == Dial():
        shown = document | {"callingWindows": document.get("callingWindows", "always")}
        own = {"callingWindows": asked.calling_windows or "always"}
        zones = evaluation.zones.names if evaluation.zones else ()
        assert all(clock_shows_open(each, zone, now) for zone in zones for each in (shown, own))
        assert zones or document == {}
        assert now >= (asked.not_before or 0)
    if isinstance(evaluation.decision, Wait):
        until = evaluation.decision.until
        assert until > now
        later = decide(asked, rules, until, recipient)
        assert later == Dial() if until <= evaluation.expires_at else rejected(later) is ReasonCode.EXPIRED
        # Nothing is forgotten: what isn't spread may not be dialled before.
        before = [second for second in (until - 1, until - 150, until - 299) if second > now]
        if asked.is_urgent and until <= evaluation.expires_at:
            assert all(decide(asked, rules, second, recipient) != Dial() for second in before)
