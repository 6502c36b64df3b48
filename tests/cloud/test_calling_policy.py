"""The commands of the calling policy on the real tables: show, set, history, pause, resume."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calls.cli.output import Exit
from calls.operations.calling_policy import Policies, PolicySet
from calls.operations.resolving import NotAllowed
from local.cloud import LocalCloud
from outbound_calls.adapters.policy_table import PolicyTable, StoredVersion
from outbound_calls.contracts.policy import MAX_POLICY_BYTES
from outbound_calls.contracts.vocabulary import ParkReason
from outbound_calls.domain.attempts import RequestKey
from outbound_calls.policy.rules import read_stored, resolve
from tests.cloud.operator import Calls, OperatedStack
from tests.cloud.parts import at_once, new_attempt, new_key
from tests.world import NOW, create_policy_table


@pytest.fixture
def policies(cloud: LocalCloud) -> Policies:
    dynamodb = cloud.client("dynamodb")
    return Policies(PolicyTable(dynamodb, create_policy_table(dynamodb)), "canada", lambda: NOW)


def set_policy(policies: Policies, document: dict[str, Any], seen: int | None = None) -> PolicySet:
    return policies.set(*policies.propose(json.dumps(document).encode(), seen), "alice")


# The document.


def test_without_a_document_the_preset_of_the_stack_holds(calls: Calls) -> None:
    assert calls("policy", "show") == (0, {"version": 0, "preset": "open", "paused": [], "document": {}})
    assert calls("policy", "history") == (0, {"versions": []})


def test_a_document_is_set_shown_and_kept(calls: Calls, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    document = {"basedOn": "canada", "holidays": {"country": "CA", "subdivision": "QC"}}
    file.write_text(json.dumps(document))

    code, dry_run = calls("policy", "set", str(file), "--dry-run")
    assert (code, dry_run["replaces"]) == (0, 0)
    assert calls("policy", "show")[1]["version"] == 0

    code, answer = calls("policy", "set", str(file), "--yes")
    assert (code, answer["version"], answer["changes"]) == (0, 1, dry_run["changes"])
    assert answer["changes"]["forbidden"]
    assert answer["inForceEverywhereAt"] > answer["setAt"]

    code, shown = calls("policy", "show")
    assert (code, shown["version"], shown["preset"], shown["document"]) == (0, 1, "canada", document)
    assert shown["holidaysUntil"].endswith("-12-31")
    assert shown["setBy"] == answer["setBy"] != ""

    code, answer = calls("policy", "set", "--preset", "open", "--yes")
    assert (code, answer["version"], answer["changes"]["forbidden"]) == (0, 2, [])
    assert [each["version"] for each in calls("policy", "history")[1]["versions"]] == [2, 1]
    assert calls("policy", "show", "--version", "1")[1]["document"] == document
    assert calls("policy", "show", "--version", "3")[0] == Exit.REFUSED


def test_what_is_shown_to_a_person_can_be_set(
    operated: OperatedStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"basedOn": "canada", "holidays": {"country": "CA"}}')
    assert operated.run("policy", "set", str(file), "--yes") == 0
    assert "Becomes forbidden:" in capsys.readouterr().err

    assert operated.run("policy", "show") == 0
    shown = capsys.readouterr()
    file.write_text(shown.out)
    assert "version 1, set at" in shown.err

    assert operated.run("policy", "set", str(file), "--yes", "--replaces", "1") == 0
    assert "It means the same" in capsys.readouterr().err


def test_an_invalid_document_changes_nothing_and_has_all_its_errors(calls: Calls, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"paused": 1, "callingWindows": [], "holidays": {"country": "CA"}}')

    code, answer = calls("policy", "set", str(file), "--yes")

    assert (code, answer["valid"]) == (Exit.REFUSED, False)
    assert {error["field"] for error in answer["errors"]} == {"paused", "callingWindows"}
    assert calls("policy", "show")[1]["version"] == 0


def test_a_change_is_confirmed(calls: Calls) -> None:
    code, answer = calls("policy", "set", "--preset", "canada")

    assert (code, answer["error"]["exitCode"]) == (Exit.REFUSED, Exit.REFUSED)
    assert calls("policy", "show")[1]["version"] == 0


def test_functions_can_read_what_is_set(policies: Policies) -> None:
    set_policy(policies, {"basedOn": "canada", "holidays": {"country": "CA", "subdivision": "QC"}})

    version = policies.table.policy()
    assert version
    rules = resolve(read_stored(version.text), "open")
    assert (rules.preset, str(rules.holidays_until)) == ("canada", "2031-12-31")


def test_of_two_who_edit_at_once_the_second_is_refused(policies: Policies) -> None:
    first, second = (policies.propose(b'{"basedOn": "open"}') for _ in range(2))
    policies.set(*first, "alice")

    with pytest.raises(NotAllowed, match="someone else"):
        policies.set(*second, "bob")

    assert [each.set_by for each in policies.history().versions] == ["alice"]


def test_a_file_that_was_made_from_an_earlier_version_is_refused(policies: Policies) -> None:
    set_policy(policies, {}, 0)

    with pytest.raises(NotAllowed, match="version 1 is in force, not 0"):
        set_policy(policies, {"basedOn": "open"}, 0)

    assert set_policy(policies, {"basedOn": "open"}, 1).version == 2


def test_reasons_that_calls_ended_with_are_no_reason_to_warn(policies: Policies) -> None:
    document = {
        "redial": {"maxAttempts": 2, "onEndedReasons": {"voicemail": [60]}},
        "organizations": {"north": {"redial": {"maxAttempts": 2, "onEndedReasons": {"hung-up": [60]}}}},
    }
    seen = {None: {"voicemail"}, "north": {"hung-up"}}
    text = json.dumps(document).encode()

    assert len(policies.propose(text)[0].warnings) == 2
    asking = replace(policies, ended_reasons=lambda organization, _now: seen[organization])
    assert asking.propose(text)[0].warnings == []
    unasked = replace(policies, ended_reasons=lambda _organization, _now: 1 / 0)  # type: ignore[arg-type, return-value]
    assert unasked.propose(b"{}")[0].warnings == []


def test_a_document_that_can_not_be_read_is_named_and_can_be_replaced_by_no_one_unseen(policies: Policies) -> None:
    policies.table.set_policy('{"newField": 1}', "a later version", NOW, 0)

    for look in (policies.in_force, lambda: policies.propose(b"{}"), lambda: policies.set_paused(True, None, "alice")):
        with pytest.raises(NotAllowed, match="version 1 of the policy can't be read"):
            look()


# Pause and resume.


def test_all_calls_are_paused_and_resumed(calls: Calls, operated: OperatedStack) -> None:
    operated.attempts.scheduled()
    operated.attempts.calling()
    operated.attempts.dispatching()

    code, answer = calls("pause")
    assert (code, answer["changed"], answer["version"], answer["stillPaused"]) == (0, True, 1, ["all calls"])
    assert (answer["inProgress"], answer["waiting"]) == (2, 1)
    assert answer["inForceEverywhereAt"]
    assert calls("policy", "show")[1]["document"] == {"paused": True}

    code, answer = calls("pause")
    assert (code, answer["changed"], answer["version"]) == (0, False, 1)

    code, answer = calls("resume")
    assert (code, answer["changed"], answer["version"], answer["stillPaused"]) == (0, True, 2, [])
    assert calls("resume")[1]["changed"] is False


def test_an_organization_is_paused_alone(calls: Calls, operated: OperatedStack) -> None:
    north = replace(new_key(), request=RequestKey("visit-1", "north"))
    operated.attempts.table.park(new_attempt(north), NOW, ParkReason.RATE_LIMITED)
    operated.attempts.scheduled()

    code, answer = calls("pause", "--organization", "north")
    assert (code, answer["waiting"], answer["warnings"]) == (0, 1, [])
    calls("pause")
    code, answer = calls("resume")
    assert answer["stillPaused"] == ["organization north"]
    assert calls("policy", "show")[1]["paused"] == ["organization north"]
    assert calls("resume", "--organization", "north")[1]["stillPaused"] == []
    assert calls("resume", "--organization", "south")[1]["changed"] is False


def test_the_default_organization_is_paused_by_its_name(calls: Calls, operated: OperatedStack) -> None:
    operated.attempts.scheduled()

    code, answer = calls("pause", "--organization", "default")

    assert (code, answer["waiting"], answer["warnings"]) == (0, 1, [])
    version = operated.stack.policy_table.policy()
    assert version
    assert resolve(read_stored(version.text), "open").paused
    assert not resolve(read_stored(version.text), "open", "north").paused


def test_a_name_that_may_be_misspelled_is_a_warning_and_one_that_can_not_be_is_refused(calls: Calls) -> None:
    assert calls("pause", "--organization", "bostn")[1]["warnings"]
    assert calls("pause", "--organization", "No Such")[0] == Exit.REFUSED


def test_a_pause_keeps_the_rest_of_the_document_and_its_holidays(policies: Policies) -> None:
    document = {"basedOn": "open", "holidays": {"country": "CA"}, "organizations": {"north": {"maxConcurrentCalls": 4}}}
    set_policy(policies, document)
    before = policies.in_force()

    policies.set_paused(True, "north", "alice")

    after = policies.in_force()
    assert after.document.wire() == document | {"organizations": {"north": {"maxConcurrentCalls": 4, "paused": True}}}
    assert after.holidays_until == before.holidays_until


def test_the_largest_document_can_be_paused(policies: Policies) -> None:
    # Its text takes thrice the room where letters like these are escaped
    closed = {"exceptions": [{"name": "é" * 90, "from": "2026-12-24", "to": "2027-01-01"}] * 100}
    document = {"basedOn": "open", "purposes": {"reminder": closed, "marketing": closed}}
    text = json.dumps(document, ensure_ascii=False).encode().ljust(MAX_POLICY_BYTES)
    assert len(text) == MAX_POLICY_BYTES
    policies.set(*policies.propose(text), "alice")

    assert policies.set_paused(True, None, "bob")
    assert policies.set_paused(True, "north", "bob")

    assert policies.in_force().paused == ["all calls", "organization north"]


def test_pauses_at_once_all_hold(policies: Policies) -> None:
    at_once(3, lambda number: policies.set_paused(True, f"clinic-{number}", "alice"))

    assert sorted(policies.in_force().paused) == [f"organization clinic-{number}" for number in range(3)]


class Edited(PolicyTable):
    """Someone else's change comes in between, once."""

    def policy(self) -> StoredVersion | None:
        found = PolicyTable.policy(self)
        if not found:
            PolicyTable.set_policy(self, '{"maxConcurrentCalls": 7}', "bob", NOW, 0)
        return found


def test_a_pause_is_made_on_top_of_a_change_that_came_in_between(policies: Policies) -> None:
    table = Edited(policies.table.client, policies.table.name)

    assert replace(policies, table=table).set_paused(True, None, "alice")

    assert policies.in_force().document.wire() == {"maxConcurrentCalls": 7, "paused": True}
