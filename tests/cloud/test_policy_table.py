"""The policy table's writes on the real table, and what two who write at once leave in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from local.cloud import LocalCloud
from outbound_calls.adapters.dynamodb import from_dynamodb, to_dynamodb
from outbound_calls.adapters.policy_table import (
    DIALS_KEPT_SECONDS,
    NumberHashes,
    PolicyChanged,
    PolicyTable,
    Remembered,
    StoredObjection,
    StoredVersion,
    TakenDial,
)
from outbound_calls.contracts.vocabulary import OutcomeSource
from outbound_calls.domain.recipients import Objection, PastDial
from tests.cloud.parts import LOSE_ANSWER, FaultyNetwork, at_once, consistent_reads
from tests.cloud.reading import table_items
from tests.unit.parts import PHONE_NUMBER, SecretsInMemory, a_secret
from tests.world import NOW, create_policy_table

DAY = 86_400
OPERATOR, UPSTREAM = OutcomeSource.OPERATOR, OutcomeSource.UPSTREAM


@pytest.fixture(scope="module")
def shared(cloud: LocalCloud) -> PolicyTable:
    dynamodb = cloud.client("dynamodb")
    return PolicyTable(dynamodb, create_policy_table(dynamodb))


@pytest.fixture
def table(cloud: LocalCloud) -> PolicyTable:
    """A table of the test's own, for what there is only one of."""
    dynamodb = cloud.client("dynamodb")
    return PolicyTable(dynamodb, create_policy_table(dynamodb))


@pytest.fixture
def number() -> str:
    return f"hash-{uuid4().hex}"


def a_dial(attempt: str, claim_id: str = "claim", at: float = NOW, **whose: Any) -> TakenDial:
    return TakenDial(attempt, claim_id, PastDial(at, **whose))


def through(network: FaultyNetwork, table: PolicyTable, tries: int = 3) -> PolicyTable:
    return replace(table, client=network.client("dynamodb", tries))


def items(table: PolicyTable) -> list[dict[str, Any]]:
    return [from_dynamodb(item) for item in table_items(table.client, table.name)]


# The document.


def test_the_version_in_force_is_the_last_one_set_and_every_one_is_kept(table: PolicyTable) -> None:
    assert table.policy() is None

    first = table.set_policy("{}", "alice", NOW, 0)
    second = table.set_policy('{"paused": true}', "bob", NOW + 60.5, first.number)

    assert table.policy() == second == StoredVersion(2, '{"paused": true}', NOW + 60, "bob")
    assert list(table.policy_history()) == [second, first]
    with consistent_reads(table.client, "GetItem") as asked:
        table.policy()
    assert asked == [True]


def test_the_history_is_in_the_order_of_its_numbers(table: PolicyTable) -> None:
    for seen in range(11):
        table.set_policy("{}", "alice", NOW, seen)

    assert [version.number for version in table.policy_history()] == [*range(11, 0, -1)]


def test_a_version_says_since_when_it_limits_calls_at_once(table: PolicyTable) -> None:
    limited = json.dumps({"organizations": {"north": {"maxConcurrentCalls": 2}}})
    documents = ["{}", limited, limited, "not a policy", limited]
    since = [
        dict(table.set_policy(document, "alice", NOW + seen, seen).limited_since)
        for seen, document in enumerate(documents)
    ]

    assert since == [{}, {"north": NOW + 1}, {"north": NOW + 1}, {}, {"north": NOW + 4}]
    in_force = table.policy()
    assert in_force
    assert dict(in_force.limited_since) == since[-1]


@pytest.mark.parametrize("seen", [0, 1, 3])
def test_who_has_not_seen_the_version_in_force_can_not_replace_it(table: PolicyTable, seen: int) -> None:
    table.set_policy("{}", "alice", NOW, 0)
    in_force = table.set_policy("{}", "alice", NOW, 1)

    with pytest.raises(PolicyChanged):
        table.set_policy('{"paused": true}', "bob", NOW, seen)

    assert table.policy() == in_force
    assert len(list(table.policy_history())) == 2


@pytest.mark.parametrize("seen", [0, 1])
def test_of_two_who_edit_at_once_one_succeeds(table: PolicyTable, seen: int) -> None:
    if seen:
        table.set_policy("{}", "alice", NOW, 0)

    def edit(editor: int) -> StoredVersion | None:
        try:
            return table.set_policy("{}", f"editor {editor}", NOW, seen)
        except PolicyChanged:
            return None

    [won] = filter(None, at_once(6, edit))

    assert table.policy() == won
    assert len(list(table.policy_history())) == seen + 1


def test_an_editor_whose_answer_was_lost_is_not_refused(table: PolicyTable, network: FaultyNetwork) -> None:
    network.fail_once("TransactWriteItems", LOSE_ANSWER)

    version = through(network, table).set_policy("{}", "alice", NOW, 0)

    assert table.policy() == version
    assert network.operations.count("TransactWriteItems") == 2


# Batches.


def test_a_cancelled_batch_keeps_who_cancelled_it_first(shared: PolicyTable) -> None:
    batch = uuid4().hex

    assert shared.batch_cancelled_by(None, batch) is None
    shared.cancel_batch(None, batch, UPSTREAM, NOW)
    shared.cancel_batch(None, batch, OPERATOR, NOW + 60)

    assert shared.batch_cancelled_by(None, batch) is UPSTREAM
    assert shared.batch_cancelled_by("north", batch) is None


def test_cancelling_a_batch_again_keeps_its_mark_for_longer(table: PolicyTable) -> None:
    table.cancel_batch(None, "december", UPSTREAM, NOW)
    [first] = items(table)
    table.cancel_batch(None, "december", UPSTREAM, NOW + DAY)
    [second] = items(table)

    assert second == first | {"expiresAt": first["expiresAt"] + DAY}


def test_the_default_organization_may_be_named_or_left_out(shared: PolicyTable) -> None:
    batch = uuid4().hex
    shared.cancel_batch("default", batch, UPSTREAM, NOW)

    assert shared.batch_cancelled_by(None, batch) == shared.batch_cancelled_by("default", batch)
    assert shared.batch_cancelled_by(None, batch)


# Dials.


def test_a_dial_is_remembered_with_what_caps_count_by(shared: PolicyTable, number: str) -> None:
    assert shared.remembered(number) == Remembered()

    taken = a_dial("visit/1", at=NOW + 0.2, organization="north", purpose="reminder")
    assert shared.take_dial(number, Remembered(), taken, NOW)

    [remembered] = shared.remembered(number).dials
    assert remembered == a_dial("visit/1", at=NOW + 1, organization="north", purpose="reminder")
    with consistent_reads(shared.client, "Query") as asked:
        shared.remembered(number)
    assert asked == [True]


def test_of_two_dials_taken_at_once_one_is_taken(shared: PolicyTable, number: str) -> None:
    for before in (0, 1):
        seen = shared.remembered(number)

        taken = at_once(6, lambda each: shared.take_dial(number, seen, a_dial(f"{before}-{each}"), NOW))  # noqa: B023

        assert taken.count(True) == 1
        assert len(shared.remembered(number).dials) == before + 1


def test_an_attempt_has_one_dial_that_never_counts_against_it(shared: PolicyTable, number: str) -> None:
    for claim_id, at in (("first", NOW), ("second", NOW + 60)):
        assert shared.take_dial(number, shared.remembered(number), a_dial("visit/1", claim_id, at), at)
    assert shared.take_dial(number, shared.remembered(number), a_dial("visit/2", "third", NOW + 70), NOW + 70)

    seen = shared.remembered(number)

    assert [each.claim_id for each in seen.dials] == ["second", "third"]
    assert seen.recipient("visit/1").dials == (PastDial(NOW + 70),)


def test_a_dial_is_given_back_by_the_claim_that_took_it(shared: PolicyTable, number: str) -> None:
    shared.take_dial(number, Remembered(), a_dial("visit/1", "first"), NOW)
    shared.take_dial(number, shared.remembered(number), a_dial("visit/2", "second"), NOW)

    shared.give_back_dial(number, "visit/1", "of an earlier claim", NOW)
    assert len(shared.remembered(number).dials) == 2
    for _ in range(2):
        shared.give_back_dial(number, "visit/1", "first", NOW)

    assert [each.attempt for each in shared.remembered(number).dials] == ["visit/2"]


def test_dials_given_back_at_once_are_all_given_back(shared: PolicyTable, number: str) -> None:
    for each in range(4):
        shared.take_dial(number, shared.remembered(number), a_dial(f"visit/{each}"), NOW)

    at_once(4, lambda each: shared.give_back_dial(number, f"visit/{each}", "claim", NOW))

    assert shared.remembered(number).dials == ()


def test_a_dial_whose_answer_was_lost_is_taken_by_the_next_try(
    shared: PolicyTable, number: str, network: FaultyNetwork
) -> None:
    network.fail_once("PutItem", LOSE_ANSWER)
    table = through(network, shared)

    # The SDK's second sending meets the first one.
    taken = table.take_dial(number, Remembered(), a_dial("visit/1"), NOW)
    again = table.take_dial(number, table.remembered(number), a_dial("visit/1"), NOW)

    assert (taken, again) == (False, True)
    assert len(shared.remembered(number).dials) == 1


def test_what_no_cap_can_count_any_more_is_dropped_with_the_next_dial(shared: PolicyTable, number: str) -> None:
    shared.take_dial(number, Remembered(), a_dial("old"), NOW)
    later = NOW + DIALS_KEPT_SECONDS
    for attempt, now in (("kept", later - 1), ("new", later)):
        shared.take_dial(number, shared.remembered(number), a_dial(attempt, at=now), now)

    assert [each.attempt for each in shared.remembered(number).dials] == ["kept", "new"]


def test_dials_that_are_forgotten_count_no_more(shared: PolicyTable, number: str) -> None:
    for each in range(2):
        shared.take_dial(number, shared.remembered(number), a_dial(f"visit/{each}"), NOW)

    assert shared.forget_dials(number, NOW) == 2
    assert shared.remembered(number).dials == ()
    assert shared.forget_dials(number, NOW) == 0


def test_who_looked_before_dials_were_forgotten_does_not_overwrite_the_next_one(
    shared: PolicyTable, number: str
) -> None:
    shared.take_dial(number, Remembered(), a_dial("visit/1"), NOW)
    before = shared.remembered(number)
    shared.forget_dials(number, NOW)
    assert shared.take_dial(number, shared.remembered(number), a_dial("visit/2"), NOW)

    assert not shared.take_dial(number, before, a_dial("visit/3"), NOW)

    assert [each.attempt for each in shared.remembered(number).dials] == ["visit/2"]


def test_forgetting_a_number_that_was_never_dialled_leaves_nothing(table: PolicyTable, number: str) -> None:
    assert table.forget_dials(number, NOW) == 0

    assert items(table) == []


# Objections.


FOR_GOOD, A_DAY, A_WEEK = Objection(), Objection(until=NOW + DAY), Objection(until=NOW + 7 * DAY)


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (FOR_GOOD, A_DAY, FOR_GOOD),
        (A_WEEK, A_DAY, A_WEEK),
        (A_WEEK, A_WEEK, A_WEEK),
        (FOR_GOOD, FOR_GOOD, FOR_GOOD),
        (A_DAY, A_WEEK, A_WEEK),
        (A_DAY, FOR_GOOD, FOR_GOOD),
    ],
)
def test_an_objection_that_lasts_longer_stays(
    shared: PolicyTable, number: str, first: Objection, second: Objection, kept: Objection
) -> None:
    assert shared.add_objection(number, first, UPSTREAM, NOW)
    changed = shared.add_objection(number, second, OPERATOR, NOW + 60)

    expected = StoredObjection(kept, OPERATOR, NOW + 60) if changed else StoredObjection(kept, UPSTREAM, NOW)
    assert shared.remembered(number).objections == (expected,)
    assert changed == (first is A_DAY)


def test_objections_for_others_are_entries_of_their_own(shared: PolicyTable, number: str) -> None:
    entries = [
        Objection(),
        Objection(organization="north"),
        Objection(purposes=("marketing",)),
        Objection(organization="north", purposes=("marketing", "results")),
    ]
    for entry in entries:
        assert shared.add_objection(number, entry, UPSTREAM, NOW)
    same = Objection(organization="north", purposes=("results", "marketing", "results"))
    assert not shared.add_objection(number, same, UPSTREAM, NOW)

    found = [each.objection for each in shared.remembered(number).objections]
    assert sorted(found, key=str) == sorted(entries, key=str)
    read: list[int] = []

    def on_page(scanned: int, _more: bool) -> bool:
        read.append(scanned)
        return True

    assert [hash_ for hash_, _ in shared.all_objections(on_page)].count(number) == 4
    assert sum(read) >= 4


def test_an_objection_is_removed_alone(shared: PolicyTable, number: str) -> None:
    one, other = Objection(), Objection(organization="north")
    for entry in (one, other):
        shared.add_objection(number, entry, UPSTREAM, NOW)

    assert not shared.remove_objection(number, Objection(purposes=("marketing",)))
    assert shared.remove_objection(number, one)
    assert not shared.remove_objection(number, one)

    assert [each.objection for each in shared.remembered(number).objections] == [other]


def test_dials_and_objections_do_not_touch_each_other(shared: PolicyTable, number: str) -> None:
    shared.take_dial(number, Remembered(), a_dial("visit/1"), NOW)
    shared.add_objection(number, FOR_GOOD, UPSTREAM, NOW)
    shared.forget_dials(number, NOW)

    found = shared.remembered(number)
    assert (found.dials, len(found.objections)) == ((), 1)


def test_only_what_can_not_matter_any_more_expires(table: PolicyTable, number: str) -> None:
    table.set_policy("{}", "alice", NOW, 0)
    table.take_dial(number, Remembered(), a_dial("visit/1"), NOW)
    table.add_objection(number, FOR_GOOD, UPSTREAM, NOW)
    table.add_objection(number, replace(A_WEEK, organization="north"), UPSTREAM, NOW)

    expiring = {item["entry"]: int(item["expiresAt"]) for item in items(table) if "expiresAt" in item}

    assert expiring.keys() == {"dials", "do-not-call#north#"}
    assert expiring["dials"] == NOW + DIALS_KEPT_SECONDS
    assert expiring["do-not-call#north#"] > NOW + 7 * DAY


# Numbers.


def test_no_number_is_in_the_table(table: PolicyTable) -> None:
    hashes = NumberHashes(a_secret(SecretsInMemory({"AWSCURRENT": "a key"})))
    number = hashes.of(PHONE_NUMBER)
    table.take_dial(number, Remembered(), a_dial("visit/1"), NOW)
    table.add_objection(number, FOR_GOOD, UPSTREAM, NOW)

    assert PHONE_NUMBER[2:] not in str(items(table))
    assert to_dynamodb({"subject": f"number#{number}"})["subject"]["S"] in str(items(table))


def test_a_hash_depends_on_the_number_and_the_key() -> None:
    def of(key: str, number: str) -> str:
        return NumberHashes(a_secret(SecretsInMemory({"AWSCURRENT": key}))).of(number)

    assert of("a key", PHONE_NUMBER) == of("a key", PHONE_NUMBER)
    assert len({of("a key", PHONE_NUMBER), of("another key", PHONE_NUMBER), of("a key", PHONE_NUMBER + "0")}) == 3
