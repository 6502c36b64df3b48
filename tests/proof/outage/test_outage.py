"""An AlloMia outage has a budget: how many calls may end `unknown`, and how soon the others are placed after it.

One hour of each kind of outage, on virtual time, with calls queued when it begins. `-s` shows the figures.
"""

import functools
from pathlib import Path

import pytest
import yaml

from outbound_calls.adapters.waiting_attempts import KEEPER_SECONDS
from outbound_calls.domain.lines import INDEX_LAG_SECONDS
from outbound_calls.runtime.workers import WORKERS
from tests.proof.outage import stack
from tests.proof.outage.allomia import AMBIGUOUS, Kind
from tests.proof.outage.stack import MAX_WORKERS, OutageFigures, play

SEED = 1
FEW, MANY = 200, 600
FULL, THRICE = 1000, 3000

PROBES = 4 + 3600 // 300
"""Probes of one environment's circuit breaker in an hour: after 30, 60, 120 and 240 s, then every 300 s."""

FIRST_CALL_SECONDS = 300 + 60 + 45
"""The longest time that a circuit breaker stays open, a sweep, and the shortest backoff with its jitter."""

LAST_CALL_SECONDS = 2 * 300 + 60
"""A circuit breaker's last probe may fail just before the recovery. What it parks then waits for as long again."""


LIKE_ANOTHER = {Kind.DOWN_503, Kind.KEY_DECLINED_401}
"""Declined before a call is placed, as with 429: in `make proof` only."""


@functools.cache
def played(kind: Kind, queued: int) -> OutageFigures:
    figures = play(kind, queued, SEED)
    print(f"\nseed {SEED}: {figures}")  # noqa: T201 - figures are for people
    return figures


@pytest.mark.parametrize(
    "queued", [FEW, pytest.param(FULL, marks=pytest.mark.proof), pytest.param(THRICE, marks=pytest.mark.proof)]
)
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.proof) if kind in LIKE_ANOTHER else kind for kind in Kind]
)
def test_an_hour_of_outage_stays_within_its_budget(kind: Kind, queued: int) -> None:
    # When AlloMia fails for an hour, with calls queued
    figures = played(kind, queued)

    # Then no one is rung twice, nothing is lost, and every call ends
    assert figures.rung_twice == 0
    assert figures.dead_letters == 0
    assert sum(figures.statuses.values()) == stack.UNDER_WAY + queued
    assert figures.statuses.keys() <= {"completed", "unknown"}

    # And the poller found the outcomes of the calls that were under way
    assert figures.polled >= stack.UNDER_WAY

    # And the circuit breakers bound what was dialled into the outage, whatever the queue holds
    budget = figures.environments * WORKERS + MAX_WORKERS * PROBES
    assert 0 < figures.tried <= budget
    assert figures.unknown == (figures.tried if kind in AMBIGUOUS else 0)

    # And afterwards the calls are placed within minutes
    assert 0 <= figures.first_call <= FIRST_CALL_SECONDS
    assert figures.last_call <= LAST_CALL_SECONDS

    # And no batch came near the function's timeout
    assert figures.longest_batch < stack.PLACE_CALL_TIMEOUT - 10


@pytest.mark.proof
@pytest.mark.parametrize(("queued", "more"), [(FEW, MANY), (FULL, THRICE)])
@pytest.mark.parametrize("kind", sorted(AMBIGUOUS))
def test_three_times_as_many_calls_do_not_leave_more_unknown(kind: Kind, queued: int, more: int) -> None:
    # A probe needs a call to be placed: with few in the queue there may be fewer probes
    assert played(kind, more).unknown <= 1.1 * played(kind, queued).unknown


def test_the_same_seed_gives_the_same_hour() -> None:
    assert play(Kind.FAILED_500, 50, SEED) == play(Kind.FAILED_500, 50, SEED)


class _Template(yaml.SafeLoader):
    """Reads the template, without the values that CloudFormation's functions would compute."""


_Template.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def test_the_simulated_stack_is_the_deployed_one() -> None:
    template = yaml.load(Path("template.yaml").read_text(), _Template)  # noqa: S506 - a safe loader
    defaults = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
    resources = {name: resource.get("Properties", {}) for name, resource in template["Resources"].items()}
    source = resources["PlaceCallFunction"]["Events"]["Request"]["Properties"]

    assert defaults["MaxWorkers"] == stack.MAX_WORKERS
    assert defaults["DueShards"] == stack.DUE_SHARDS
    assert defaults["WebhookGraceSeconds"] == stack.GRACE_SECONDS
    assert defaults["MaxPollsPerSecond"] == stack.MAX_POLLS_PER_SECOND
    assert defaults["CallDeadlineSeconds"] == stack.DEADLINE_SECONDS
    assert source["BatchSize"] == stack.BATCH_SIZE
    assert resources["PlaceCallFunction"]["Timeout"] == stack.PLACE_CALL_TIMEOUT
    # A worker that is about to park when a keeper looks has done so by its next look.
    assert stack.PLACE_CALL_TIMEOUT + INDEX_LAG_SECONDS <= KEEPER_SECONDS
    assert resources["PollCallsFunction"]["Timeout"] == stack.POLL_CALLS_TIMEOUT
    assert resources["CallQueue"]["VisibilityTimeout"] == stack.VISIBILITY_TIMEOUT
    assert resources["CallQueue"]["RedrivePolicy"]["maxReceiveCount"] == stack.MAX_RECEIVES
    assert resources["Poller"]["DefinitionSubstitutions"]["PageSize"] == stack.PAGE_SIZE
    assert resources["Poller"]["Events"]["EveryMinute"]["Properties"]["ScheduleExpression"] == "rate(1 minute)"
