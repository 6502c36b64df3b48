"""What calls ask of AWS, counted exactly: a request, a write or a log line more is a failure."""

from collections.abc import Iterator

import pytest

from benchmarks.counting_proxy import CountingProxy
from benchmarks.healthy_call import HealthyCalls, Idle, count_calls, count_idle, counted_stack
from local.cloud import LocalCloud
from local.environment import LocalEnvironment
from local.simulator import Simulator


@pytest.fixture(scope="module")
def counted(parts: tuple[LocalCloud, Simulator]) -> Iterator[tuple[LocalEnvironment, CountingProxy]]:
    with counted_stack(*parts) as stack:
        yield stack


LINES = {"PlaceCallFunction": 10, "ReceiveWebhookFunction": 10, "PollCallsFunction": 0, "PublishOutcomeFunction": 0}


@pytest.fixture(scope="module")
def ten(counted: tuple[LocalEnvironment, CountingProxy]) -> HealthyCalls:
    """A full batch.

    The emulator waits 50 ms for a function's lines once it has answered. On a busy machine a line may come later, and
    is then logged with that worker's next invocation. So a batch with other numbers of lines is counted again.
    """
    found = count_calls(*counted)
    for _ in range(2):
        if lines_of(found) != LINES:
            found = count_calls(*counted)
    return found


def lines_of(counts: HealthyCalls) -> dict[str, int]:
    return {function: said.lines for function, said in counts.said.items()}


@pytest.fixture(scope="module")
def idle(counted: tuple[LocalEnvironment, CountingProxy]) -> Idle:
    return count_idle(*counted)


def test_a_healthy_call_is_a_claim_a_settle_and_an_outcome_and_a_read_of_its_recipient(ten: HealthyCalls) -> None:
    # The policy itself is read once for a batch, or not at all within five seconds of the last time
    requests = {name: count for name, count in ten.requests.items() if name != "dynamodb:GetItem"}

    assert requests == {
        "dynamodb:Query": 10,
        "dynamodb:PutItem": 10,
        "dynamodb:UpdateItem": 20,
        "events:PutEvents": 1,
    }
    assert ten.requests.get("dynamodb:GetItem", 0) <= 1


def test_a_healthy_call_takes_six_write_units(ten: HealthyCalls) -> None:
    # The claim puts the entry into the index of what is due, the settling leaves it alone, the outcome takes it out and
    # puts one into the index of what has ended.
    assert ten.writes == {"PutItem 1+1, UpdateItem 1+0, UpdateItem 1+2": 10}
    assert ten.write_units == 60


def test_a_full_batch_is_one_invocation_at_each_end(ten: HealthyCalls) -> None:
    assert {function: said.invocations for function, said in ten.said.items()} == {
        "PlaceCallFunction": 1,
        "ReceiveWebhookFunction": 10,
        "PollCallsFunction": 0,
        "PublishOutcomeFunction": 1,
    }


def test_a_healthy_call_is_logged_in_two_lines(ten: HealthyCalls) -> None:
    assert lines_of(ten) == LINES
    assert sum(said.bytes for said in ten.said.values()) <= 1_500 * ten.calls


def test_a_sweep_that_finds_nothing_invokes_nothing(idle: Idle) -> None:
    assert idle.invocations == 0
    assert idle.requests == {}
