"""Whether another attempt follows an outcome, and when."""

import pytest

from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.attempts import Redial
from outbound_calls.policy.redial import redial_delay

REDIAL = Redial(4, {"busy": (600, 1800), "no-answer": (14_400,), "failed": (60,)}, {"voicemail": (86_400,)})


@pytest.mark.parametrize(
    ("status", "attempts", "delay"),
    [
        *((Status.BUSY, 1, 600), (Status.BUSY, 2, 1800), (Status.BUSY, 3, 1800)),
        *((Status.NO_ANSWER, 1, 14_400), (Status.NO_ANSWER, 3, 14_400), (Status.FAILED, 2, 60)),
        *((Status.BUSY, 0, None), (Status.BUSY, 4, None), (Status.BUSY, 5, None)),
    ],
)
def test_the_last_delay_repeats_until_max_attempts(status: Status, attempts: int, delay: int | None) -> None:
    assert redial_delay(REDIAL, status, None, attempts) == delay


def test_a_completed_call_is_redialled_by_its_ended_reason_only() -> None:
    assert redial_delay(REDIAL, Status.COMPLETED, "voicemail", 1) == 86_400
    assert redial_delay(REDIAL, Status.COMPLETED, "customer-ended-call", 1) is None
    assert redial_delay(REDIAL, Status.COMPLETED, None, 1) is None
    assert redial_delay(REDIAL, Status.BUSY, "voicemail", 1) == 600


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.BUSY, Status.NO_ANSWER, Status.FAILED}))
def test_nothing_else_is_redialled_whatever_the_rules_say(status: Status) -> None:
    everything = Redial(9, {each.value: (60,) for each in Status}, {})

    assert redial_delay(everything, status, None, 1) is None


def test_without_rules_nothing_is_redialled() -> None:
    assert redial_delay(Redial(), Status.BUSY, None, 1) is None
    assert redial_delay(Redial(3), Status.BUSY, None, 1) is None
