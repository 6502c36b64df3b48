"""Everything fails at once on the deployed stack, and every guarantee holds afterwards; `-s` shows the figures."""

import os
from collections import Counter
from dataclasses import replace

import pytest

from local.environment import running
from tests.proof.chaos.run import CALLS_ALLOWED, MOST_ATTEMPTS, TERMINAL, ChaosResult, Size, kind_of, run
from tests.proof.chaos.saboteurs import NO_ANSWER

SEED = int(os.environ.get("PROOF_SEED", "20261123"))
SHORT = Size(
    requests=64,
    workers=3,
    allomia_fails_seconds=8,
    workers_die_seconds=12,
    kills=3,
    paused_seconds=4,
    table_denies_seconds=10,
    quiet_seconds=120,
)
LONG = Size(
    requests=400,
    workers=5,
    allomia_fails_seconds=90,
    workers_die_seconds=90,
    kills=15,
    paused_seconds=30,
    table_denies_seconds=40,
    quiet_seconds=300,
)
LINES = 6
LIMITED = replace(SHORT, requests=80, workers_die_seconds=20, quiet_seconds=240, lines=LINES)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(SHORT, id="short"),
        pytest.param(LIMITED, id="limited", marks=pytest.mark.proof),
        pytest.param(LONG, id="long", marks=pytest.mark.proof),
    ],
)
def result(request: pytest.FixtureRequest) -> ChaosResult:
    with running({"MaxWorkers": request.param.workers}, "chaos") as environment:
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
    assert len({call.get("outcomeSource") for call in result.calls.values()}) >= 2
    assert result.cancel_messages >= 3
    assert sum(call["status"] == "cancelled" for call in result.calls.values()) >= 3
    assert any(name.endswith("/2") for name in result.attempts)
    assert any(call["status"] == "rejected" for name, call in result.calls.items() if kind_of(name) == "listed")


def test_no_one_is_dialled_twice(result: ChaosResult) -> None:
    assert {name: dials for name, dials in result.dials.items() if dials[1] > 1} == {}


def test_no_more_calls_are_in_progress_than_the_policy_allows(result: ChaosResult) -> None:
    if result.lines is not None:
        assert 1 < result.most_at_once <= result.lines


def test_every_request_ends_and_none_is_lost(result: ChaosResult) -> None:
    assert result.calls.keys() == result.requests
    # What waits for its cap is parked for a reason that still holds
    waiting = {name: call for name, call in result.calls.items() if call["status"] not in TERMINAL}
    assert {(kind_of(name), call["parkReason"]) for name, call in waiting.items()} <= {("capped", "recipient-cap")}
    assert result.invalid_messages == 0


def test_an_outcome_is_of_a_call_that_allomia_accepted(result: ChaosResult) -> None:
    for name, attempt in result.attempts.items():
        if attempt["status"] in {"completed", "failed", "busy", "no-answer"}:
            # AlloMia may report an outcome without the call's id.
            (accepted,) = result.accepted_calls[name]
            assert attempt.get("outboundCallId", accepted) == accepted, name
        if attempt["status"] in {"rejected", "cancelled", "scheduled"}:
            assert name not in result.accepted_calls


# What was in progress when policy changed was decided this long before its claim at most.
DECISION_SECONDS = 5


def claimed_after(result: ChaosResult, kind: str, moment: float) -> set[str]:
    """Attempts of a kind that AlloMia accepted, and that were claimed after the moment when it was to end."""
    return {
        name
        for name in result.accepted_calls
        if kind_of(name) == kind and result.attempts[name]["dispatchedAt"] > moment + DECISION_SECONDS
    }


def test_after_a_cancellation_only_a_call_in_progress_reaches_anyone(result: ChaosResult) -> None:
    for name, attempt in result.attempts.items():
        if requested_at := attempt.get("cancelRequestedAt"):
            assert attempt.get("dispatchedAt", 0) <= requested_at, name
            assert "nextAttempt" not in attempt, name
    assert claimed_after(result, "batch", result.batch_cancelled_at) == set()


def test_no_one_on_the_do_not_call_list_is_called(result: ChaosResult) -> None:
    assert claimed_after(result, "listed", result.listed_at) == set()


def test_no_one_is_called_while_calls_are_paused(result: ChaosResult) -> None:
    from_then, until = result.paused
    accepted = [at for calls in result.accepted_calls.values() for at in calls.values()]
    assert [at for at in accepted if from_then <= at < until] == []
    assert [at for at in accepted if at >= until] != []


def test_a_cap_holds_over_all_that_allomia_accepted(result: ChaosResult) -> None:
    capped = [name for name in result.accepted_calls if kind_of(name) == "capped"]
    assert len(capped) <= CALLS_ALLOWED


def test_no_redial_is_lost_or_doubled(result: ChaosResult) -> None:
    for name, attempt in result.attempts.items():
        request_id, number = attempt["requestId"], int(attempt["attempt"])
        assert "redialAt" not in attempt, name
        assert number <= (MOST_ATTEMPTS if kind_of(request_id) == "redialled" else 1), name
        following = result.attempts.get(f"{request_id}/{number + 1}")
        if following is not None:
            assert ("nextAttempt" in attempt) is ("isDropped" not in following), name
        elif attempt["status"] == "busy" and number < MOST_ATTEMPTS and kind_of(request_id) == "redialled":
            assert "cancelRequestedAt" in attempt, name


def test_a_finished_record_keeps_nothing(result: ChaosResult) -> None:
    for attempt in result.attempts.values():
        if attempt["status"] in TERMINAL:
            assert {"dueAt", "dueShard", "request", "claimId", "redial", "terms"}.isdisjoint(attempt)


def test_forged_webhooks_are_declined(result: ChaosResult) -> None:
    # If a worker is killed while it has one, the gateway answers 5xx
    assert result.forged.keys() <= {403, 500, 502, 503, 504, NO_ANSWER}
    assert result.forged[403] > 0.5 * sum(result.forged.values())


def test_faults_of_allomia_make_no_dead_letters(result: ChaosResult) -> None:
    assert result.dead_by_allomia == 0


def test_a_redrive_dials_no_one_again(result: ChaosResult) -> None:
    assert result.dialled_by_redrive == {}


def test_each_outcome_is_published_and_each_request_has_one_final_event(result: ChaosResult) -> None:
    ended = {name: call["status"] for name, call in result.calls.items() if call["status"] in TERMINAL}
    assert {(event["requestId"], event["status"]) for event in result.events} >= set(ended.items())
    # An event may be delivered twice
    final = {(event["requestId"], event["attempt"], event["status"]) for event in result.events if event["final"]}
    assert Counter(name for name, *_ in final) == {name: 1 for name, status in ended.items() if status != "unknown"}
    assert {(name, status) for name, _, status in final} <= set(ended.items())
