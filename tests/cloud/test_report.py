"""`calls report` on the real tables: what it counts, and what that reads."""

from __future__ import annotations

import csv
import io
import json
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from calls.cli.output import Exit
from calls.operations.records import Records
from calls.operations.reporting import CallsReport, Period, Reporting, Selection
from local.cloud import LocalCloud
from outbound_calls.adapters.dynamodb import to_dynamodb
from outbound_calls.contracts.time_zones import time_zone
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, Status
from outbound_calls.domain.attempts import Attempt, AttemptKey, Labels, RequestKey
from tests.cloud.operator import OperatedStack
from tests.cloud.parts import SampleAttempts, an_outcome, new_attempt, operations_asked
from tests.world import DUE_SHARDS, create_calls_table

TORONTO = time_zone("America/Toronto")
DAY = date(2026, 4, 1)
MIDNIGHT = int(datetime(2026, 4, 1, tzinfo=TORONTO).timestamp())
NOON = MIDNIGHT + 12 * 3600
TODAY = Period(DAY, DAY, TORONTO)


@pytest.fixture
def own(cloud: LocalCloud) -> SampleAttempts:
    dynamodb = cloud.client("dynamodb")
    return SampleAttempts.over(dynamodb, create_calls_table(dynamodb))


def attempt(
    request_id: str | None = None, organization: str | None = None, batch: str | None = None, at: int = NOON
) -> Attempt:
    key = AttemptKey(RequestKey(request_id or f"visit-{uuid4().hex}", organization), 1)
    return replace(new_attempt(key, created_at=at), labels=Labels(batch=batch))


def ended(own: SampleAttempts, status: Status, at: int = NOON, **about: Any) -> AttemptKey:
    claimed = own.claim(attempt(at=at, **about), now=at)
    assert claimed is not None
    assert own.table.record(claimed.key, an_outcome(status), at).stored
    return claimed.key


def counts(report: CallsReport) -> dict[tuple[str | None, str], int]:
    found: Counter[tuple[str | None, str]] = Counter()
    for line in report.lines:
        found[line.day, line.status] += line.requests
    return dict(found)


def test_a_day_is_the_clinics_and_each_request_counts_once(own: SampleAttempts) -> None:
    # Given outcomes at the borders of the day, open calls, a redial that is pending and one that was made
    ended(own, Status.BUSY, MIDNIGHT - 1)
    ended(own, Status.COMPLETED, MIDNIGHT)
    ended(own, Status.UNKNOWN, NOON)
    own.scheduled(now=NOON)
    own.calling(NOON)
    own.redial_pending(NOON + 600)
    first = ended(own, Status.BUSY, NOON)
    assert own.table.make_next(own.read(first), attempt_after(own, first), ParkReason.DIAL_AGAIN, NOON)
    # And a request that was cancelled and never seen
    own.table.cancel_unseen(RequestKey("never-seen"), OutcomeSource.UPSTREAM, NOON)

    with operations_asked(own.table.client) as asked:
        report = Reporting(Records(own.table), NOON + 60).of_days(Selection([None]), TODAY, trend=True)

    assert counts(report) == {
        ("2026-04-01", "completed"): 1,
        ("2026-04-01", "unknown"): 1,
        (None, "calling"): 1,
        (None, "scheduled"): 3,
    }
    assert (report.days["2026-03-31"], report.requests) == ({"not-reached": 1}, 6)
    waiting = {line.code for line in report.lines if line.status == "scheduled"}
    assert waiting == {"redial", "dial-again", "rate-limited"}
    # The index is asked once for each day, and once for each shard.
    assert asked == {"Query": 14 + DUE_SHARDS, "BatchGetItem": 1}


def attempt_after(own: SampleAttempts, key: AttemptKey) -> Attempt:
    return replace(new_attempt(replace(key, number=2)), created_at=NOON)


def test_a_report_of_a_day_that_is_over_reads_nothing_that_is_open(own: SampleAttempts) -> None:
    own.scheduled(now=NOON)
    ended(own, Status.COMPLETED)

    with operations_asked(own.table.client) as asked:
        report = Reporting(Records(own.table), NOON + 86_400).of_days(Selection([None]), TODAY, trend=False)

    assert counts(report) == {("2026-04-01", "completed"): 1}
    assert asked == {"Query": 2}


def test_a_report_is_limited_to_organizations_a_batch_or_a_prefix(own: SampleAttempts) -> None:
    ended(own, Status.COMPLETED, request_id="a-1", batch="december")
    ended(own, Status.BUSY, request_id="a-2")
    ended(own, Status.FAILED, request_id="b-1", organization="north", batch="december")
    own.table.park(attempt("a-3", "north", "december"), NOON + 60, ParkReason.PAUSED)
    reporting = Reporting(Records(own.table), NOON + 60)

    def statuses(selection: Selection) -> dict[str, int]:
        return reporting.of_days(selection, TODAY, trend=False).by_status

    assert statuses(Selection([None])) == {"completed": 1, "busy": 1}
    assert statuses(Selection(["north"])) == {"failed": 1, "scheduled": 1}
    assert statuses(Selection([None, "north"], batch="december")) == {"completed": 1, "failed": 1, "scheduled": 1}
    assert statuses(Selection([None, "north"], prefix="a-")) == {"completed": 1, "busy": 1, "scheduled": 1}


def test_a_thousand_open_calls_are_read_a_hundred_at_a_time(own: SampleAttempts) -> None:
    image = own.image(own.scheduled(now=NOON).key)
    assert image is not None
    copies = [image | to_dynamodb({"requestId": f"copy-{number}", "dueShard": number % 4}) for number in range(999)]
    for start in range(0, len(copies), 25):
        batch: Any = [{"PutRequest": {"Item": copy}} for copy in copies[start : start + 25]]
        own.table.client.batch_write_item(RequestItems={own.table.name: batch})

    with operations_asked(own.table.client) as asked:
        report = Reporting(Records(own.table), NOON + 60).of_days(Selection([None]), TODAY, trend=False)

    assert report.by_status == {"scheduled": 1000}
    assert asked == {"Query": 1 + DUE_SHARDS, "BatchGetItem": 10}


def test_memory_does_not_grow_with_the_number_of_calls() -> None:
    def outcomes(organization: str | None, since: float, until: float) -> Iterator[Attempt]:
        for number in range(10_000):
            key = AttemptKey(RequestKey(f"visit-{number}"), 1)
            yield Attempt(key, NOON, status=Status.COMPLETED, recorded_at=NOON, outbound_call_id="a")

    records = cast("Records", SimpleNamespace(table=SimpleNamespace(ended=outcomes), open_now=lambda _: iter(())))
    tracemalloc.start()
    report = Reporting(records, NOON + 60).of_days(Selection([None]), TODAY, trend=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert report.requests == 10_000
    assert peak < 1_000_000


# The command.


@pytest.fixture(scope="module")
def operated(cloud: LocalCloud) -> OperatedStack:
    return OperatedStack(cloud)


def test_the_command_reports_in_every_form(
    operated: OperatedStack, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    now = int(time.time())
    ended(operated.attempts, Status.COMPLETED, now, request_id="form-1", batch="forms")
    ended(operated.attempts, Status.UNKNOWN, now, request_id="form-2", batch="forms")
    chosen = ("report", "--batch", "forms", "--time-zone", "America/Vancouver")
    page = tmp_path / "report.html"

    code, report = operated.calls(capsys, *chosen)
    assert (code, report["byStatus"], report["timeZone"]) == (
        Exit.DONE,
        {"completed": 1, "unknown": 1},
        "America/Vancouver",
    )
    assert operated.run(*chosen, "--csv") == Exit.DONE
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["status"], row["needsAPerson"]) for row in rows] == [("completed", "no"), ("unknown", "yes")]
    assert operated.run(*chosen, "--html", str(page), "--language", "fr") == Exit.DONE
    assert "Résultat inconnu" in page.read_text()
    assert "form-1" not in page.read_text()
    assert operated.run(*chosen, "--html", str(page)) == Exit.REFUSED
    assert "--force" in capsys.readouterr().err
    assert operated.run(*chosen, "--html", str(page), "--force") == Exit.DONE
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_file_is_reported_row_by_row_without_the_index(
    operated: OperatedStack, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ended(operated.attempts, Status.BUSY, int(time.time()), request_id="row-1")
    file = tmp_path / "reminders.jsonl"
    rows = [{"requestId": f"row-{number}", "phoneNumber": "+15005550100"} for number in (1, 2)]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    with operations_asked(operated.attempts.table.client) as asked:
        code, report = operated.calls(capsys, "report", "--file", str(file))

    assert (code, report["file"], report["byStatus"]) == (Exit.DONE, "reminders.jsonl", {"busy": 1, "not-seen": 1})
    assert "Scan" not in asked


def test_a_request_that_was_cancelled_and_never_seen_is_shown_only_where_it_is_named(
    operated: OperatedStack, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    key = RequestKey("never-seen", "unseen")
    assert operated.attempts.table.cancel_unseen(key, OutcomeSource.UPSTREAM, time.time())
    file = tmp_path / "reminders.jsonl"
    row = {"requestId": key.request_id, "organization": key.organization, "phoneNumber": "+15005550100"}
    file.write_text(json.dumps(row))

    def shown(*command: str) -> dict[str, Any]:
        code, document = operated.calls(capsys, *command)
        assert code == Exit.DONE
        return document

    whose = ("--organization", str(key.organization))
    assert shown("report", *whose)["lines"] == []
    assert shown("list", "--status", "cancelled", *whose)["calls"] == []
    assert shown("events", *whose)["events"] == []
    assert shown("republish", "--since", "1h", "--dry-run", *whose)["found"]["toPublish"] == 0
    assert shown("show", str(key))["attempts"][0]["reasonCode"] == "cancelled-unseen"
    assert shown("report", "--file", str(file))["byStatus"] == {"cancelled": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        ["--day", "someday"],
        ["--day", (datetime.now(TORONTO) + timedelta(days=2)).date().isoformat()],
        ["--file", "a.csv", "--prefix", "a"],
        ["--csv", "--html", "a.html"],
        ["--days", "1000"],
    ],
)
def test_what_can_not_be_reported_is_refused(operated: OperatedStack, wrong: list[str]) -> None:
    assert operated.run("report", *wrong) == Exit.USAGE


def test_a_time_zone_that_does_not_exist_is_refused(operated: OperatedStack) -> None:
    assert operated.run("report", "--time-zone", "Toronto") == Exit.REFUSED
