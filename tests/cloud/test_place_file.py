"""`calls place FILE`: a file that a spreadsheet has rewritten calls no one twice unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calls.cli.output import Exit
from local.cloud import LocalCloud
from tests.cloud.operator import OperatedStack


@pytest.fixture(scope="module")
def module_operated(cloud: LocalCloud) -> OperatedStack:
    return OperatedStack(cloud)


class Clinic:
    """A clinic's file, the command, and the queue that it sends to."""

    def __init__(self, operated: OperatedStack, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.operated, self.file, self._capsys = operated, file, capsys
        self.sqs = operated.stack.client("sqs")

    def place(self, *options: str, content: str | None = None) -> tuple[int, dict[str, Any]]:
        if content is not None:
            self.file.write_text(content)
        return self.operated.calls(self._capsys, "place", str(self.file), *options)

    def sent(self) -> list[dict[str, Any]]:
        """What has come to the queue since the last look."""
        found: list[dict[str, Any]] = []
        url = self.operated.stack.call_queue_url
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return sorted(found, key=lambda request: str(request["phoneNumber"]))


@pytest.fixture
def clinic(
    module_operated: OperatedStack,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Clinic:
    # Each test has a machine of its own.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Clinic(module_operated, tmp_path / "reminders.csv", capsys)


EXPORTED = """phoneNumber,customerName,dynamicVariables.appointmentDate,dynamicVariables.appointmentTime
+15005550100,Robin Sample,2026-12-01,09:30
+15005550101,Ada Sample,2026-12-01,10:00
5005550102,Bo Sample,2026-12-01,10:30
"""
MENDED = """phoneNumber,customerName,dynamicVariables.appointmentDate,dynamicVariables.appointmentTime
+15005550100,Robin Sample,12/1/2026,9:30
+15005550101,Ada Sample,12/1/2026,10:00
+15005550102,Bo Sample,12/1/2026,10:30
"""
HEAD = "requestId,phoneNumber,batch\n"


def test_a_file_that_a_spreadsheet_has_rewritten_asks_for_the_same_calls(clinic: Clinic) -> None:
    # Given a file that was placed without its invalid row
    code, report = clinic.place("--skip-invalid", "--yes", content=EXPORTED)
    first = clinic.sent()
    assert (code, report["sent"], len(first)) == (Exit.DONE, 2, 2)

    # When it is fixed in a spreadsheet, which rewrites its dates and times, and placed again
    code, report = clinic.place("--yes", content=MENDED)

    # Then the rows from before have their ids, which the stack deduplicates by
    assert (code, report["preflight"]["placedBefore"]["rows"]) == (Exit.DONE, 2)
    assert report["preflight"]["placedBefore"]["rewritten"] == []
    assert {each["requestId"] for each in first} < {each["requestId"] for each in clinic.sent()}


def test_invalid_rows_are_fixed_and_placed_from_a_file_of_their_own(clinic: Clinic) -> None:
    _, report = clinic.place("--skip-invalid", "--yes", content=EXPORTED)
    clinic.sent()
    (invalid,) = report["preflight"]["invalid"]
    assert (invalid["row"], invalid["column"], invalid["value"]) == (4, "A", "••••••••02")
    assert "did you mean +1500•••••02?" in invalid["rule"]

    clinic.file = Path(report["invalidRowsIn"])
    assert clinic.file.name == "reminders.invalid.csv"
    code, report = clinic.place("--country", "us", "--yes")

    assert (code, report["sent"]) == (Exit.DONE, 1)
    assert [each["phoneNumber"] for each in clinic.sent()] == ["+15005550102"]


@pytest.mark.parametrize(
    "changed",
    [
        EXPORTED.replace("Robin Sample", "Robin Samples"),
        EXPORTED.replace("customerName", "metadata.name"),
        "\n".join(
            f"{line},{'metadata.clinic' if not n else 'north'}" for n, line in enumerate(EXPORTED.split("\n")[:2])
        ),
        "requestId,phoneNumber\n123,+15005550100\n",
    ],
    ids=["a name", "a column", "a new column", "ids"],
)
def test_a_changed_row_is_sent_only_if_asked_for(clinic: Clinic, changed: str) -> None:
    clinic.place("--skip-invalid", "--yes", content=EXPORTED)
    clinic.sent()

    # When a row has changed, then --yes is not enough
    code, report = clinic.place("--skip-invalid", "--yes", content=changed)
    assert code == Exit.REFUSED
    assert "--call-again" in report["error"]["message"]
    assert clinic.sent() == []

    # And a dry run says which
    _, report = clinic.place("--dry-run")
    assert 2 in [each["row"] for each in report["preflight"]["placedBefore"]["rewritten"]]

    # And asked for, or as another batch, it is sent
    for options in (["--batch", "second"], ["--call-again"]):
        code, _ = clinic.place("--skip-invalid", "--yes", *options)
        assert code == Exit.DONE
        assert "+15005550100" in [each["phoneNumber"] for each in clinic.sent()]


def test_the_batch_that_a_file_is_placed_with_is_that_of_its_requests(clinic: Clinic) -> None:
    clinic.place("--yes", "--batch", "december", content=f"{HEAD}a,+15005550100,\nb,+15005550101,december\n")
    assert [each["batch"] for each in clinic.sent()] == ["december", "december"]

    code, report = clinic.place("--yes", "--batch", "january", content=f"{HEAD}c,+15005550102,december\n")
    assert (code, report["preflight"]["invalid"][0]["field"], clinic.sent()) == (Exit.REFUSED, "batch", [])
    assert clinic.place("--yes", "--batch", "no such batch", content=HEAD)[0] == Exit.REFUSED


def test_an_id_that_has_lost_its_zeros_is_sent_only_if_asked_for(clinic: Clinic) -> None:
    clinic.place("--yes", content="requestId,phoneNumber\n000123,+15005550100\n")
    assert len(clinic.sent()) == 1

    code, _ = clinic.place("--yes", content="requestId,phoneNumber\n123,+15005550100\n")

    assert (code, clinic.sent()) == (Exit.REFUSED, [])


def test_nothing_is_sent_where_nothing_can_be_remembered(clinic: Clinic, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")

    code, report = clinic.place("--yes", "--skip-invalid", content=EXPORTED)

    assert (code, clinic.sent()) == (Exit.REFUSED, [])
    assert "state" in report["error"]["message"]


def test_an_unknown_country_is_an_error_of_the_command_line(clinic: Clinic) -> None:
    code, report = clinic.place("--country", "XX", content=EXPORTED)

    assert (code, report["error"]["exitCode"]) == (Exit.USAGE, Exit.USAGE)
    assert "such as CA" in report["error"]["message"]
