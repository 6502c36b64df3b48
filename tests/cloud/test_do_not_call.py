"""The commands of the do-not-call list on the real table. No number is ever printed whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calls.cli.output import Exit
from calls.operations.do_not_call import DoNotCallList
from calls.operations.requests_file import Row
from local.cloud import LocalCloud
from outbound_calls.adapters.dynamodb import to_dynamodb
from outbound_calls.adapters.policy_table import NumberHashes, PolicyTable
from outbound_calls.domain.recipients import Objection
from outbound_calls.use_cases.decide import CurrentPolicy
from tests.cloud.operator import Calls, OperatedStack
from tests.cloud.parts import LOSE_REQUEST, FaultyNetwork
from tests.unit.parts import SecretsInMemory, a_secret
from tests.world import NOW, create_policy_table

NUMBER, OTHER, MASKED = "+15145550199", "+15145550198", "+1514•••••99"
LATER = "2099-01-01T00:00:00Z"


@pytest.fixture
def calls(operated: OperatedStack, capsys: pytest.CaptureFixture[str]) -> Calls:
    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        code, answer = operated.calls(capsys, "do-not-call", *arguments)
        shown = json.dumps(answer, ensure_ascii=False)
        assert not any(number[2:] in shown for number in (NUMBER, OTHER))
        return code, answer

    return run


def listed(cloud: LocalCloud) -> DoNotCallList:
    """A list of the test's own, at a fixed time."""
    dynamodb = cloud.client("dynamodb")
    table = PolicyTable(dynamodb, create_policy_table(dynamodb))
    numbers = NumberHashes(a_secret(SecretsInMemory({"AWSCURRENT": "a key"})))
    return DoNotCallList(table, numbers, CurrentPolicy(table, "open", lambda: NOW), lambda: NOW)


def row(number: int, **fields: Any) -> Row:
    return Row(number, json.dumps(fields))


def done(_result: object) -> None:
    pass


# One number.


def test_a_number_is_added_checked_and_removed(calls: Calls) -> None:
    assert calls("check", NUMBER) == (0, {"phoneNumber": MASKED, "listed": False, "entries": []})

    code, added = calls("add", NUMBER)
    assert (code, added["changed"], added["listed"]) == (0, True, True)
    assert [each["source"] for each in added["entries"]] == ["operator"]
    assert calls("add", NUMBER)[1]["changed"] is False
    assert calls("check", NUMBER)[1] == {key: value for key, value in added.items() if key != "changed"}
    assert calls("check", OTHER)[1]["listed"] is False

    code, removed = calls("remove", NUMBER)
    assert (code, removed["changed"], removed["listed"]) == (0, True, False)
    assert calls("remove", NUMBER)[0] == Exit.REFUSED


def test_an_entry_may_be_for_a_time_for_purposes_and_for_an_organization(calls: Calls, operated: OperatedStack) -> None:
    options = ("--purpose", "results", "--purpose", "marketing", "--organization", "north")
    code, answer = calls("add", NUMBER, "--until", LATER, *options)
    [entry] = answer["entries"]
    assert answer["warnings"] == [
        f"the policy defines no purpose {name}: is this its name?" for name in ("marketing", "results")
    ]
    assert (code, entry["purposes"], entry["organization"], entry["until"]) == (
        0,
        ["marketing", "results"],
        "north",
        LATER,
    )

    number = operated.stack.number_hashes.of(NUMBER)
    [stored] = operated.stack.policy_table.remembered(number).objections
    assert stored.objection == Objection(4_070_908_800, "north", ("marketing", "results"))

    assert calls("remove", NUMBER)[1]["listed"] is True
    assert calls("remove", NUMBER, *options)[1]["listed"] is False


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("5145550199",), "phoneNumber"),
        ((NUMBER + "0000000000",), "phoneNumber"),
        ((NUMBER, "--until", "tomorrow"), "until"),
        ((NUMBER, "--until", "2020-01-01T00:00:00Z"), "until"),
        ((NUMBER, "--purpose", "No Such"), "purposes"),
        ((NUMBER, "--organization", "No Such"), "organization"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_field_and_rule(calls: Calls, arguments: tuple[str, ...], field: str) -> None:
    code, answer = calls("add", *arguments)

    assert code == Exit.REFUSED
    assert answer["error"]["message"].startswith(f"{field}")
    assert "5550199" not in answer["error"]["message"]


def test_an_entry_that_is_over_is_not_listed_any_more(cloud: LocalCloud) -> None:
    entries = listed(cloud)
    entries.import_([row(1, phoneNumber=NUMBER, until="2026-04-01T14:30:01Z")], False, done)
    later = replace(entries, clock=lambda: NOW + 1)

    assert entries.check(NUMBER).listed
    assert entries.count().entries == 1
    assert not later.check(NUMBER).listed
    assert later.count().entries == 0


# A file.


def test_a_file_is_imported_and_again_changes_nothing(calls: Calls, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text(f"phoneNumber,until,purposes,organization\n{NUMBER},,,\n{OTHER},{LATER},marketing results,north\n")

    code, answer = calls("import", str(file))
    assert (code, answer["rows"], answer["added"], answer["known"]) == (0, 2, 2, 0)
    code, answer = calls("import", str(file))
    assert (code, answer["rows"], answer["added"], answer["known"]) == (0, 2, 0, 2)

    assert calls("count")[1] == {
        "entries": 2,
        "numbers": 2,
        "byOrganization": {"all": 1, "north": 1},
        "temporary": 1,
        "recordsRead": 2,
        "atLeast": False,
    }
    assert calls("check", OTHER)[1]["entries"][0]["purposes"] == ["marketing", "results"]


def test_nothing_is_imported_of_a_file_with_a_bad_row(calls: Calls, tmp_path: Path) -> None:
    file = tmp_path / "list.jsonl"
    lines = [
        {"phoneNumber": NUMBER},
        {"phoneNumber": "5145550198"},
        {"phoneNumber": OTHER, "purposes": ["results", "No Such"]},
        {"phoneNumber": OTHER, "name": "Ada"},
    ]
    file.write_text("\n".join([*map(json.dumps, lines), "{", '"text"']))

    code, answer = calls("import", str(file))

    assert (code, answer["rows"]) == (Exit.REFUSED, 6)
    assert "added" not in answer
    found = [(each["row"], each["field"]) for each in answer["invalid"]]
    assert [number for number, _ in found] == [2, 3, 4, 5, 6]
    assert [field for _, field in found[:2]] == ["phoneNumber", "purposes[1]"]
    assert all(each["rule"] for each in answer["invalid"])
    assert "Ada" not in json.dumps(answer)
    assert calls("count")[1]["entries"] == 0

    code, answer = calls("import", str(file), "--skip-invalid")
    assert (code, answer["added"], len(answer["invalid"])) == (0, 1, 5)
    assert calls("check", NUMBER)[1]["listed"]


def test_a_row_that_is_not_confirmed_is_named_and_imported_by_the_next_run(
    cloud: LocalCloud, network: FaultyNetwork
) -> None:
    entries = listed(cloud)
    broken = replace(entries, table=PolicyTable(network.client("dynamodb"), entries.table.name))
    rows = [row(number, phoneNumber=f"+1514555{number:04}") for number in range(20)]
    network.fail_once("PutItem", LOSE_REQUEST, skip=3)
    finished: list[object] = []

    report = broken.import_(rows, False, finished.append)

    assert (report.added, report.known, len(report.unwritten), len(finished)) == (19, 0, 1, 20)
    assert entries.import_(rows, False, done).added == 1
    assert entries.count().numbers == 20


def test_a_count_stops_after_the_page_with_its_last_record_and_says_so(cloud: LocalCloud) -> None:
    entries = listed(cloud)
    for number in range(4):
        # A page is at most a megabyte.
        item = {"subject": f"number#{number}", "entry": "do-not-call##", "source": "operator", "addedAt": NOW}
        big = to_dynamodb(item | {"filler": "x" * 350_000})
        entries.table.client.put_item(TableName=entries.table.name, Item=big)

    part, whole = entries.count(most=1), entries.count()

    assert part.at_least
    assert part.entries == part.records_read < 4
    assert (whole.at_least, whole.entries, whole.numbers) == (False, 4, 4)


def test_a_person_sees_a_masked_number(operated: OperatedStack, capsys: pytest.CaptureFixture[str]) -> None:
    assert operated.run("do-not-call", "add", NUMBER) == 0
    shown = capsys.readouterr().out
    assert f"{MASKED}: changed; on the do-not-call list" in shown
    assert "for good" in shown

    assert operated.run("do-not-call", "count") == 0
    assert "1 entries for 1 numbers" in capsys.readouterr().out
