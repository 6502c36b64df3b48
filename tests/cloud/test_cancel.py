"""Cancelling a request or a batch: what isn't dialled yet never is, and what is in progress is followed by nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from local.simulator import PostAnswer, fails, returns
from outbound_calls.adapters.calls_table import RecordResult
from outbound_calls.adapters.conditional_writes import WriteUnanswered
from outbound_calls.contracts.vocabulary import OutcomeSource
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.use_cases.cancel import CancelRequests, RequestKeepsChanging
from outbound_calls.use_cases.look_up import request_report
from outbound_calls.use_cases.place import Message
from outbound_calls.use_cases.placement import PlaceResult
from outbound_calls.use_cases.publish import PublishOutcomes
from tests.cloud.parts import LOSE_ANSWER, LOSE_REQUEST, PASS, FaultyNetwork, at_once, new_key
from tests.cloud.world import CloudWorld, OverANetwork, key_of
from tests.world import DEADLINE_SECONDS

CALLING, PARKED, CANCELLED = PlaceResult.CALLING, PlaceResult.PARKED, PlaceResult.CANCELLED
DUPLICATE, DROPPED = PlaceResult.DUPLICATE, PlaceResult.REDIAL_DROPPED
AFTER_BUSY = {"on": {"busy": [600]}, "maxAttempts": 3}
FAULTS = [LOSE_ANSWER, LOSE_REQUEST]


def cancel(world: CloudWorld, key: AttemptKey) -> str:
    """Cancel a request by message. Returns what that changed."""
    placement = world.place({"cancel": {"requestId": key.request.request_id}})
    assert placement.result is PlaceResult.CANCELLATION
    return placement.code


def published(world: CloudWorld, key: AttemptKey) -> dict[str, Any] | None:
    """The event for an attempt as it is now; None where none is published."""
    events: list[Any] = []
    publish = PublishOutcomes(cast("Any", SimpleNamespace(publish=events.extend)), cast("Any", None))
    publish.publish([world.attempts.image(key) or {}])
    return events[0].wire() if events else None


# Each row of the contract's table: a request somewhere on its way, and what cancelling it changes.


def unseen(_world: CloudWorld) -> AttemptKey:
    return new_key()


def parked_by_policy(world: CloudWorld) -> AttemptKey:
    return world.placed(notBefore="2026-04-02T00:00:00Z")


def parked_by_allomia(world: CloudWorld) -> AttemptKey:
    world.allomia.post = returns(429)
    return world.placed()


def refused(world: CloudWorld) -> AttemptKey:
    world.allomia.post = returns(400, {"error": "no"})
    return world.placed()


def claimed(world: CloudWorld) -> AttemptKey:
    world.allomia.post = fails(httpx.ReadTimeout)
    return world.placed()


def calling(world: CloudWorld) -> AttemptKey:
    return world.placed()


def ended(status: str) -> Callable[[CloudWorld], AttemptKey]:
    def make(world: CloudWorld) -> AttemptKey:
        key = world.placed()
        world.webhook(key, status)
        return key

    return make


def unknown(world: CloudWorld) -> AttemptKey:
    key = claimed(world)
    world.pass_seconds(DEADLINE_SECONDS)
    world.sweep(key)
    return key


def rejected(world: CloudWorld) -> AttemptKey:
    return world.placed(purpose="unheard-of")


def redial_made(world: CloudWorld) -> AttemptKey:
    return world.redialled(ended("busy")(world))


def redial_calling(world: CloudWorld) -> AttemptKey:
    key = redial_made(world)
    world.place_queued()
    return key


def redial_dropped(world: CloudWorld) -> AttemptKey:
    key = world.placed(notAfter="2026-04-01T14:40:30Z")
    world.webhook(key, "busy")
    key = world.redialled(key)
    world.pass_seconds(60)
    world.place_queued()
    return key


type Row = tuple[Callable[[CloudWorld], AttemptKey], str, str]
ROWS: dict[str, Row] = {
    "unseen": (unseen, "cancelled-unseen", "cancelled"),
    "parked by policy": (parked_by_policy, "cancelled", "cancelled"),
    "parked by AlloMia": (parked_by_allomia, "cancelled", "cancelled"),
    "refused": (refused, "cancelled", "cancelled"),
    "claimed": (claimed, "too-late", "dispatching"),
    "calling": (calling, "too-late", "calling"),
    "redial pending": (ended("busy"), "redial-dropped", "busy"),
    "redial made": (redial_made, "redial-dropped", "cancelled"),
    "redial calling": (redial_calling, "too-late", "calling"),
    "redial dropped": (redial_dropped, "ended", "cancelled"),
    "completed": (ended("completed"), "ended", "completed"),
    "failed": (ended("failed"), "ended", "failed"),
    "rejected": (rejected, "ended", "rejected"),
    "unknown": (unknown, "ended", "unknown"),
}


@pytest.mark.parametrize("row", ROWS)
def test_cancelling_changes_what_the_contract_says(world: CloudWorld, row: str) -> None:
    make, result, status = ROWS[row]
    world.decide_by(redial=AFTER_BUSY)
    key = make(world)
    before = world.attempts.item(key)

    assert cancel(world, key) == result

    item = world.attempts.existing_item(key)
    assert item["status"] == status
    assert ("cancelRequestedAt" in item) is (result in {"too-late", "redial-dropped"} and row != "redial made")
    if result == "ended":
        assert item == before
    # Nothing follows, whatever happens now.
    assert item.keys().isdisjoint({"redial", "redialAt"})
    assert bool(world.attempts.due_entries(key)) is (result == "too-late")


@pytest.mark.parametrize("row", ROWS)
def test_cancelling_again_changes_nothing(world: CloudWorld, row: str) -> None:
    make, result, _ = ROWS[row]
    world.decide_by(redial=AFTER_BUSY)
    key = make(world)
    cancel(world, key)
    item = world.attempts.item(key)
    world.pass_seconds(60)

    assert cancel(world, key) == ("too-late" if result == "too-late" else "ended")

    assert world.attempts.item(key) == item


@pytest.mark.parametrize("during_the_post", [False, True])
def test_a_request_whose_redial_is_cancelled_ends_with_its_last_outcome(
    world: CloudWorld, during_the_post: bool
) -> None:
    world.decide_by(redial=AFTER_BUSY)
    first = ended("busy")(world)
    second, results = world.redialled(first), list[str]()
    if during_the_post:
        # Which AlloMia doesn't take
        world.allomia.post = returns(429)
        world.allomia.before_answer = lambda _post: results.append(cancel(world, first))
        world.place_queued()
    else:
        assert cancel(world, first) == "redial-dropped"

    assert published(world, second) is None
    event = published(world, first)
    assert event
    assert (event["status"], event["attempt"], event["final"]) == ("busy", 1, True)
    assert world.attempts.existing_item(second)["isDropped"] is True


@pytest.mark.parametrize("source", [OutcomeSource.UPSTREAM, OutcomeSource.OPERATOR])
def test_a_cancellation_during_the_post_says_who_asked_for_it(world: CloudWorld, source: OutcomeSource) -> None:
    request = world.request()
    world.allomia.post = returns(429)
    requests = CancelRequests(world.attempts.table, world.clock)
    results: list[object] = []
    world.allomia.before_answer = lambda _post: results.append(requests.cancel(key_of(request).request, source))

    assert world.place(request).result is CANCELLED

    assert world.attempts.existing_item(key_of(request))["outcomeSource"] == source


@pytest.mark.parametrize(("row", "code"), [("unseen", "cancelled-unseen"), ("parked by policy", "cancelled")])
@pytest.mark.parametrize("source", [OutcomeSource.UPSTREAM, OutcomeSource.OPERATOR])
def test_a_cancelled_request_says_who_cancelled_it_and_is_never_dialled(
    world: CloudWorld, row: str, code: str, source: OutcomeSource
) -> None:
    key = ROWS[row][0](world)

    CancelRequests(world.attempts.table, world.clock).cancel(key.request, source)

    item = world.attempts.existing_item(key)
    assert (item["outcomeSource"], item["reasonCode"], item["recordedAt"]) == (source, code, world.clock.now)
    # No report counts what the stack never saw.
    assert ("endedOn" in item) is (code == "cancelled")
    assert item.keys().isdisjoint({"request", "terms", "dueAt", "waitsFor"})
    request = world.request(requestId=key.request.request_id)
    assert world.place(request).result is DUPLICATE
    assert world.allomia.posts == []


# In progress.

NOTHING_TAKEN: dict[str, PostAnswer] = {
    "429": returns(429),
    "401": returns(401),
    "400": returns(400, {"error": "no"}),
}


@pytest.mark.parametrize("answer", NOTHING_TAKEN)
@pytest.mark.parametrize("kind", ["new", "parked"])
def test_a_request_that_is_cancelled_during_the_post_is_not_tried_again(
    world: CloudWorld, kind: str, answer: str
) -> None:
    request = world.request(notBefore=None if kind == "new" else "2026-04-01T15:00:00Z")
    key = key_of(request)
    if kind == "parked":
        world.place(request)
    world.allomia.post = NOTHING_TAKEN[answer]
    results: list[str] = []
    world.allomia.before_answer = lambda _post: results.append(cancel(world, key))

    placement = world.place(request) if kind == "new" else world.come_up(key)

    assert (results, placement.result, placement.code) == (["too-late"], CANCELLED, "cancelled")
    item = world.attempts.existing_item(key)
    assert (item["status"], item["reasonCode"], item["endedOn"]) == ("cancelled", "cancelled", "~2026-04-01")
    assert item.keys().isdisjoint({"request", "dueAt", "claimId", "dispatchedAt", "allowedBy", "waitsFor"})
    assert "cancelRequestedAt" in item


@pytest.mark.parametrize("status", ["completed", "busy"])
@pytest.mark.parametrize("row", ["claimed", "calling", "redial calling"])
def test_the_outcome_of_a_call_that_could_not_be_cancelled_is_final_and_says_when_it_was_asked(
    world: CloudWorld, row: str, status: str
) -> None:
    world.decide_by(redial=AFTER_BUSY)
    key = ROWS[row][0](world)
    cancel(world, key)

    assert world.webhook(key, status).result is RecordResult.STORED

    event = published(world, key)
    assert event
    assert (event["status"], event["final"], "nextAttemptAt" in event) == (status, True, False)
    assert event["cancelRequestedAt"] is not None
    assert world.attempts.due_entries(key) == []


def test_an_outcome_that_a_webhook_brings_replaces_a_cancellation(world: CloudWorld) -> None:
    """Only AlloMia knows the callback URL, so the person was called."""
    key = parked_by_allomia(world)
    cancel(world, key)

    assert world.webhook(key, "completed").result is RecordResult.REPLACED

    assert (world.attempts.status(key), world.attempts.read(key).final) == ("completed", True)


# What is published and reported.


@pytest.mark.parametrize(
    ("row", "status", "code"),
    [
        ("unseen", "cancelled", "cancelled-unseen"),
        ("parked by policy", "cancelled", "cancelled"),
        ("redial pending", "busy", None),
    ],
)
def test_a_cancelled_request_is_published_once_and_for_all(
    world: CloudWorld, row: str, status: str, code: str | None
) -> None:
    world.decide_by(redial=AFTER_BUSY)
    key = ROWS[row][0](world)
    cancel(world, key)

    event = published(world, key)

    assert event
    assert (event["status"], event.get("reasonCode"), event["final"]) == (status, code, True)
    assert request_report(world.attempts.table.read_all(key.request)).final is True


def test_a_dropped_redial_is_not_published_and_the_outcome_before_it_is_again(world: CloudWorld) -> None:
    world.decide_by(redial=AFTER_BUSY)
    key = redial_dropped(world)
    first = replace(key, number=1)

    assert published(world, key) is None
    event = published(world, first)
    assert event
    assert (event["attempt"], event["status"], event["final"]) == (1, "busy", True)


def test_making_the_next_attempt_publishes_nothing(world: CloudWorld) -> None:
    world.decide_by(redial=AFTER_BUSY)
    key = ended("busy")(world)
    provisional = published(world, key)
    world.redialled(key)

    assert provisional
    assert provisional["final"] is False
    assert published(world, key) is None


# A batch.


def cancel_batch(world: CloudWorld, batch: str) -> None:
    placement = world.place({"cancel": {"batch": batch}})
    assert (placement.result, placement.code, placement.key) == (PlaceResult.CANCELLATION, "batch", None)


@pytest.mark.parametrize("row", ["new", "parked", "redial pending"])
def test_no_request_of_a_cancelled_batch_is_dialled_when_it_comes_up(world: CloudWorld, row: str) -> None:
    world.decide_by(redial=AFTER_BUSY)
    key = new_key()
    fields: dict[str, Any] = {"requestId": key.request.request_id, "batch": "monday"}
    if row == "parked":
        world.placed(notBefore="2026-04-01T15:00:00Z", **fields)
    if row == "redial pending":
        world.placed(**fields)
        world.webhook(key, "busy")
    cancel_batch(world, "monday")
    cancel_batch(world, "monday")
    posts = len(world.allomia.posts)

    match row:
        case "new":
            placement = world.place(world.request(**fields))
        case "parked":
            placement = world.come_up(key)
        case _:
            world.redialled(key)
            placement = world.place_queued()

    assert (placement.result, placement.code) == (DROPPED if row == "redial pending" else CANCELLED, "cancelled")
    event = published(world, key)
    assert event
    assert (event["status"], event["final"]) == ("busy" if row == "redial pending" else "cancelled", True)
    assert len(world.allomia.posts) == posts


def test_only_that_batch_of_that_organization_is_cancelled(world: CloudWorld) -> None:
    world.own_policy_table()
    cancel_batch(world, "monday")
    world.policy_table.cancel_batch("north", "tuesday", OutcomeSource.OPERATOR, world.clock.now)

    assert world.place(world.request(batch="tuesday")).result is CALLING
    assert world.place(world.request()).result is CALLING


def test_a_batch_that_an_operator_cancelled_says_so(world: CloudWorld) -> None:
    world.own_policy_table()
    world.policy_table.cancel_batch(None, "monday", OutcomeSource.OPERATOR, world.clock.now)
    cancel_batch(world, "monday")

    key = world.placed(batch="monday")

    assert world.attempts.existing_item(key)["outcomeSource"] == "operator"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cancel": {}}, "cancel"),
        ({"cancel": {"requestId": "a", "batch": "b"}}, "cancel"),
        ({"cancel": {"requestId": "a"}, "organization": "north"}, "organization"),
        ({"cancel": {"batch": "b"}, "organization": "north"}, "organization"),
    ],
)
def test_a_cancellation_that_names_nothing_known_is_invalid(
    world: CloudWorld, body: dict[str, Any], field: str
) -> None:
    assert world.place(body).result is PlaceResult.INVALID
    assert [message["field"] for message in world.invalid_messages()] == [field]


# Races and lost answers.


def test_a_cancellation_and_a_request_at_once_are_handled_one_after_the_other(world: CloudWorld) -> None:
    request = world.request()
    key = key_of(request)

    results = at_once(2, lambda number: cancel(world, key) if number else world.place(request).result)

    assert set(results) in ({"cancelled-unseen", DUPLICATE}, {"too-late", CALLING})
    assert len(world.allomia.posts) == (CALLING in results)


def test_of_a_cancellation_and_a_sweep_at_once_the_redial_is_dropped_or_cancelled(world: CloudWorld) -> None:
    world.decide_by(redial=AFTER_BUSY)
    key = ended("busy")(world)
    world.pass_seconds(600)

    at_once(2, lambda number: cancel(world, key) if number else [poll.result for poll in world.sweep(key)])
    for message in world.queued():
        world.place(message)

    attempts = world.attempts.table.read_all(key.request)
    assert request_report(attempts).final is True
    assert attempts[-1].status in {"busy", "cancelled"}
    assert len(world.allomia.posts) == 1


def test_a_cancellation_gives_up_where_the_request_keeps_changing(world: CloudWorld) -> None:
    key = parked_by_policy(world)
    table = world.attempts.table
    stale = table.read_all(key.request)
    cancel(world, key)
    frozen = SimpleNamespace(read_all=lambda _request: stale, cancel_scheduled=table.cancel_scheduled)

    with pytest.raises(RequestKeepsChanging):
        CancelRequests(cast("Any", frozen)).cancel(key.request, OutcomeSource.UPSTREAM)


class TestOverANetwork(OverANetwork):
    """The use cases behind a network that loses requests or answers; clients send everything once or twice."""

    @pytest.fixture(params=[1, 2], ids=["sent once", "sent again"])
    def tries(self, request: pytest.FixtureRequest) -> int:
        return int(request.param)

    @pytest.mark.parametrize("fault", FAULTS)
    @pytest.mark.parametrize("row", ["unseen", "parked by policy", "calling", "redial pending", "redial made"])
    def test_a_cancellation_that_is_delivered_again_has_happened_once(
        self, world: CloudWorld, network: FaultyNetwork, row: str, fault: str
    ) -> None:
        make, result, status = ROWS[row]
        world.decide_by(redial=AFTER_BUSY)
        key = make(world)
        network.fail_once("PutItem" if row == "unseen" else "UpdateItem", fault)

        codes = []
        for _ in range(2):
            with suppress(WriteUnanswered):
                codes.append(cancel(world, key))

        assert codes[-1] in {result, "ended"}
        item = world.attempts.existing_item(key)
        assert (item["status"], "redial" in item, "redialAt" in item) == (status, False, False)

    @pytest.mark.parametrize("fault", FAULTS)
    def test_an_attempt_cancelled_during_the_post_ends_though_its_writes_are_not_answered(
        self, world: CloudWorld, network: FaultyNetwork, fault: str
    ) -> None:
        request = world.request()
        world.allomia.post = returns(429)

        def cancel_and_lose_the_next(_post: httpx.Request) -> None:
            assert cancel(world, key_of(request)) == "too-late"
            network.fail_once("UpdateItem", fault)

        world.allomia.before_answer = cancel_and_lose_the_next

        world.place(request)

        assert world.attempts.status(key_of(request)) == "cancelled"

    def test_an_unanswered_claim_that_was_cancelled_meanwhile_is_given_back_as_cancelled(
        self, world: CloudWorld, network: FaultyNetwork
    ) -> None:
        """The claim was made, but no answer came; the cancellation found it."""
        request = world.request()
        key = key_of(request)
        network.plan = lambda operation, _: LOSE_ANSWER if operation == "PutItem" else PASS
        seconds_left = itertools.chain([45.0], itertools.repeat(5.0))
        cancels = iter([lambda: cancel(world, key)])

        def left() -> float:
            seconds = next(seconds_left)
            if seconds < 45:
                next(cancels, lambda: None)()
            return seconds

        with pytest.raises(WriteUnanswered):
            world.place_calls.place(Message("an-id", json.dumps(request), left))

        assert world.attempts.status(key) == "cancelled"
        assert world.allomia.posts == []


def test_the_default_organization_need_not_be_named(world: CloudWorld) -> None:
    request = world.request()
    world.place({"cancel": {"requestId": request["requestId"]}, "organization": "default"})

    assert world.attempts.status(key_of(request)) == "cancelled"
