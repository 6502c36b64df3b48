"""What policy allows for an attempt."""

import pytest

from outbound_calls.contracts.vocabulary import ReasonCode
from outbound_calls.domain.attempts import Attempt
from outbound_calls.policy.decision import Dial, Reject, decide, expires_at
from tests.unit.parts import KEY

CREATED_AT = 1_775_053_800
ATTEMPT = Attempt(KEY, CREATED_AT)


def test_an_attempt_expires_a_day_after_its_request_was_created() -> None:
    assert expires_at(ATTEMPT) == CREATED_AT + 86_400


@pytest.mark.parametrize("age_seconds", [0, 86_399.9, 86_400])
def test_within_a_day_an_attempt_may_be_dialled(age_seconds: float) -> None:
    assert decide(ATTEMPT, CREATED_AT + age_seconds) == Dial()


@pytest.mark.parametrize("age_seconds", [86_400.1, 10**9])
def test_after_a_day_it_is_rejected_as_expired(age_seconds: float) -> None:
    assert decide(ATTEMPT, CREATED_AT + age_seconds) == Reject(ReasonCode.EXPIRED, "not dialled within 24 hours")
