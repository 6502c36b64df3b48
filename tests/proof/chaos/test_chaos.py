"""Everything fails at once on the deployed stack, and every guarantee holds afterwards; `-s` shows the figures."""

import os
from collections import Counter

import pytest

from local.environment import running
from tests.proof.chaos.run import TERMINAL, Ended, Size, run
from tests.proof.chaos.saboteurs import NO_ANSWER

SEED = int(os.environ.get("PROOF_SEED", "20261123"))
SHORT = Size(requests=64, allomia_fails=8, workers_die=12, kills=3, table_refuses=10, quiet=120)
LONG = Size(requests=400, allomia_fails=90, workers_die=90, kills=15, table_refuses=40, quiet=300)


@pytest.fixture(
    scope="module", params=[pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.proof)]
)
def ended(request: pytest.FixtureRequest) -> Ended:
    with running(stack_name="chaos") as world:
        ended = run(world, request.param, SEED)
    print(f"\nseed {SEED}: {ended.figures()}")  # noqa: T201 - figures are for people
    return ended


def test_it_was_chaos(ended: Ended) -> None:
    # Otherwise what follows proves nothing
    assert sum(ended.kills.values()) >= 5
    assert ended.in_mid_post >= 1
    assert len(ended.faults) >= 20
    assert ended.refused_writes >= 5
    assert sum(ended.forged.values()) >= 10
    assert ended.messages > len(ended.requests)
    assert len({call["outcomeSource"] for call in ended.calls.values()}) >= 2


def test_no_one_is_dialled_twice(ended: Ended) -> None:
    assert {name: dials for name, dials in ended.dials.items() if dials[1] > 1} == {}


def test_every_request_ends_and_none_is_lost(ended: Ended) -> None:
    assert ended.calls.keys() == ended.requests
    assert {call["status"] for call in ended.calls.values()} <= TERMINAL
    assert ended.rejected == 0


def test_an_outcome_is_that_of_a_call_which_allomia_took(ended: Ended) -> None:
    for name, call in ended.calls.items():
        if call["status"] not in {"unknown", "rejected"}:
            assert {call["outboundCallId"]} == ended.taken[name], name
        if call["status"] == "rejected":
            assert name not in ended.taken


def test_what_has_ended_has_nothing_left_to_do(ended: Ended) -> None:
    for call in ended.calls.values():
        assert {"dueAt", "dueShard", "request", "claimId"}.isdisjoint(call)


def test_forged_webhooks_are_refused(ended: Ended) -> None:
    # A worker that is killed under one answers nothing, and the gateway 5xx
    assert ended.forged.keys() <= {403, 500, 502, 503, 504, NO_ANSWER}
    assert ended.forged[403] > 0.5 * sum(ended.forged.values())


def test_what_allomia_does_makes_no_dead_letters(ended: Ended) -> None:
    assert ended.dead_by_allomia == 0


def test_a_redrive_dials_no_one_again(ended: Ended) -> None:
    assert ended.dialled_by_redrive == {}


def test_each_outcome_is_published_and_a_real_one_once(ended: Ended) -> None:
    told = {(event["requestId"], event["status"]) for event in ended.heard}
    assert told >= {(name, call["status"]) for name, call in ended.calls.items()}
    final = Counter(name for name, status in told if status != "unknown")
    assert {name: count for name, count in final.items() if count > 1} == {}
