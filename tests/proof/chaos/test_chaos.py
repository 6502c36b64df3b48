"""Everything fails at once on the deployed stack, and every guarantee holds afterwards; `-s` shows the figures."""

import os
from collections import Counter

import pytest

from local.environment import running
from tests.proof.chaos.run import TERMINAL, ChaosResult, Size, run
from tests.proof.chaos.saboteurs import NO_ANSWER

SEED = int(os.environ.get("PROOF_SEED", "20261123"))
SHORT = Size(
    requests=64, allomia_fails_seconds=8, workers_die_seconds=12, kills=3, table_denies_seconds=10, quiet_seconds=120
)
LONG = Size(
    requests=400, allomia_fails_seconds=90, workers_die_seconds=90, kills=15, table_denies_seconds=40, quiet_seconds=300
)


@pytest.fixture(
    scope="module", params=[pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.proof)]
)
def result(request: pytest.FixtureRequest) -> ChaosResult:
    with running(stack_name="chaos") as environment:
        result = run(environment, request.param, SEED)
    print(f"\nseed {SEED}: {result.figures()}")  # noqa: T201 - figures are for people
    return result


def test_it_was_chaos(result: ChaosResult) -> None:
    # Otherwise what follows proves nothing
    assert sum(result.kills.values()) >= 5
    assert result.in_mid_post >= 1
    assert len(result.faults) >= 20
    assert result.denied_writes >= 5
    assert sum(result.forged.values()) >= 10
    assert result.messages > len(result.requests)
    assert len({call["outcomeSource"] for call in result.calls.values()}) >= 2


def test_no_one_is_dialled_twice(result: ChaosResult) -> None:
    assert {name: dials for name, dials in result.dials.items() if dials[1] > 1} == {}


def test_every_request_ends_and_none_is_lost(result: ChaosResult) -> None:
    assert result.calls.keys() == result.requests
    assert {call["status"] for call in result.calls.values()} <= TERMINAL
    assert result.invalid_messages == 0


def test_an_outcome_is_of_a_call_that_allomia_accepted(result: ChaosResult) -> None:
    for name, call in result.calls.items():
        if call["status"] not in {"unknown", "rejected"}:
            # AlloMia may report an outcome without the call's id.
            (accepted,) = result.accepted_calls[name]
            assert call.get("outboundCallId", accepted) == accepted, name
        if call["status"] == "rejected":
            assert name not in result.accepted_calls


def test_a_finished_record_keeps_nothing(result: ChaosResult) -> None:
    for call in result.calls.values():
        assert {"dueAt", "dueShard", "request", "claimId"}.isdisjoint(call)


def test_forged_webhooks_are_declined(result: ChaosResult) -> None:
    # If a worker is killed while it has one, the gateway answers 5xx
    assert result.forged.keys() <= {403, 500, 502, 503, 504, NO_ANSWER}
    assert result.forged[403] > 0.5 * sum(result.forged.values())


def test_faults_of_allomia_make_no_dead_letters(result: ChaosResult) -> None:
    assert result.dead_by_allomia == 0


def test_a_redrive_dials_no_one_again(result: ChaosResult) -> None:
    assert result.dialled_by_redrive == {}


def test_each_outcome_is_published_and_a_real_one_once(result: ChaosResult) -> None:
    published = {(event["requestId"], event["status"]) for event in result.events}
    assert published >= {(name, call["status"]) for name, call in result.calls.items()}
    final = Counter(name for name, status in published if status != "unknown")
    assert {name: count for name, count in final.items() if count > 1} == {}
