"""The results of the commands of calling policy have a form for a person, which shows what the JSON says."""

import io

import pytest
from rich.console import Console

import calls.cli.app  # noqa: F401 - each command's module registers its forms
from calls.cli.render import render
from calls.operations.auditing import Audit, AuditedDial
from calls.operations.calling_policy import PolicyHistory, PolicyInForce, PolicySet, PolicyVersion, Proposal
from calls.operations.cancelling import NOT_CONFIRMED, CancelledRequest, CancelReport
from calls.operations.do_not_call import ImportReport, ListCount, ListedEntry, NumberReport, UnwrittenRow
from calls.operations.explaining import Explanation, Forecast, RuleExplained, ShownRequest, Verdict
from calls.operations.forecasting import Forecasts, RowForecast
from calls.operations.forgetting import STAYS, ForgetReport
from calls.operations.pausing import PauseReport
from calls.operations.policy_changes import PolicyChanges
from calls.operations.preflight import InvalidRow
from outbound_calls.contracts.policy import CallingPolicy
from outbound_calls.contracts.status_api import AllowanceReport, PossibleZone
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, Status
from outbound_calls.contracts.wire import WireModel
from outbound_calls.use_cases.cancel import CancelResult
from tests.unit.calls.test_render import REPORT

MARKUP = "[red]odd[/red] [/]"
AT, LATER = "2026-12-01T09:30:00Z", "2026-12-01T09:30:10Z"
CHANGES = PolicyChanges(allowed=["calls on Sat"], forbidden=["calls on Sun"], other=[MARKUP])
VERSION = PolicyVersion(version=12, set_at=AT, set_by="user/alice", preset="canada", paused=["organization north"])
ZONE = PossibleZone(time_zone="America/Toronto", local_time="2026-12-01T04:30:00-05:00")
RESULTS_OF_CANCEL = [*CancelResult, NOT_CONFIRMED]
CANCELLED = CancelReport(
    batch="december",
    counts={"too-late": 2},
    requests=[
        CancelledRequest(
            organization="north",
            request_id=f"a-{result}",
            result=result,
            attempt=1,
            status=Status.BUSY,
            in_progress_since=AT,
        )
        for result in RESULTS_OF_CANCEL
    ],
)

RESULTS: dict[str, tuple[WireModel, list[str]]] = {
    "policy show": (
        PolicyInForce(**dict(VERSION), document=CallingPolicy(), holidays_until="2031-12-31"),
        ["version 12", AT, "user/alice", "canada", "organization north", "2031-12-31"],
    ),
    "policy show of nothing": (
        PolicyInForce(version=0, preset="open", paused=[], document=CallingPolicy()),
        ["never set", "open"],
    ),
    "policy history": (
        PolicyHistory(versions=[VERSION]),
        ["12", AT, "user/alice", "canada", "organization north", "1 version"],
    ),
    "policy set": (
        Proposal(replaces=11, changes=CHANGES, warnings=["it may never happen"]),
        ["Becomes allowed:", "calls on Sat", "Becomes forbidden:", "calls on Sun", MARKUP, "never happen", "11"],
    ),
    "policy set of the same": (
        Proposal(replaces=0, changes=PolicyChanges(allowed=[], forbidden=[], other=[]), warnings=[]),
        ["It means the same", "the first one"],
    ),
    "policy that was set": (
        PolicySet(version=12, set_at=AT, set_by="user/alice", in_force_everywhere_at=LATER, changes=CHANGES),
        ["version 12", LATER],
    ),
    "pause": (
        PauseReport(
            organization="north",
            paused=True,
            changed=True,
            version=12,
            in_force_everywhere_at=LATER,
            in_progress=3,
            waiting=41,
            still_paused=["organization north"],
            warnings=["is this its name?"],
        ),
        ["organization north", "paused", LATER, "3 calls in progress go on", "41", "stop the clock", "its name?"],
    ),
    "resume": (
        PauseReport(
            paused=False, changed=False, version=12, in_progress=3, waiting=41, still_paused=["purpose x"], warnings=[]
        ),
        ["resumed", "nothing has changed", "still paused: purpose x"],
    ),
    "cancel": (
        CANCELLED,
        ["north~a-too-late", f"in progress since {AT}", "ended as busy", "not confirmed", "december", "2 too-late"],
    ),
    "forget": (
        ForgetReport(
            phone_number="+1415•••••23",
            dials_forgotten=7,
            cancelled=CANCELLED,
            do_not_call_entries=2,
            stays_elsewhere=list(STAYS),
        ),
        ["+1415•••••23", "7 dials forgotten", "north~a-too-late", "2 do-not-call entries stay", *STAYS],
    ),
    "do-not-call": (
        NumberReport(
            phone_number="+1415•••••23",
            listed=True,
            entries=[
                ListedEntry(
                    organization="north",
                    purposes=["marketing", "results"],
                    until=LATER,
                    source=OutcomeSource.UPSTREAM,
                    added_at=AT,
                )
            ],
        ),
        ["+1415•••••23", "on the do-not-call list", "north", "marketing, results", LATER, "upstream", AT],
    ),
    "do-not-call import": (
        ImportReport(
            rows=9,
            invalid=[InvalidRow(row=3, field="until", rule="later than now")],
            added=5,
            known=2,
            unwritten=[UnwrittenRow(row=8, reason="ThrottlingException")],
        ),
        ["5 of 9 rows added, 2 were on the list", "until", "later than now", "8", "ThrottlingException"],
    ),
    "do-not-call import of nothing": (ImportReport(rows=9, invalid=[]), ["nothing of 9 rows", "--skip-invalid"]),
    "do-not-call count": (
        ListCount(entries=9, numbers=8, by_organization={"all": 7, "north": 2}, temporary=1, records_read=12),
        ["9 entries for 8 numbers", "1 of them", "all: 7", "north: 2"],
    ),
    "show": (
        ShownRequest(**dict(REPORT), waiting=f"Waiting until Fri: {MARKUP}"),
        ["Waiting until Fri", MARKUP, "a-1", "december"],
    ),
    "explain": (
        Explanation(
            organization="north",
            request_id="a-1",
            attempt=2,
            status=Status.SCHEDULED,
            park_reason=ParkReason.PAUSED,
            next_look_at=LATER,
            policy_version=12,
            preset="canada",
            now="Tue 2026-12-01 04:30 (America/Toronto)",
            expires_at="Wed 2026-12-02 09:00 (America/Toronto)",
            zones=["America/Toronto", "America/Detroit"],
            zone_source="number",
            forecast=Forecast(verdict=Verdict.WAIT, park_reason=ParkReason.PAUSED, reason="calls are paused"),
            rules=[RuleExplained(rule="paused", verdict=Verdict.WAIT, detail="calls are paused", until="Wed 09:00")],
        ),
        [
            *("north~a-1, attempt 2", "scheduled", "paused", LATER, "canada, version 12", "Tue 2026-12-01 04:30"),
            *("Wed 2026-12-02 09:00", "America/Detroit", "the number", "looked at again Wed 09:00"),
            "So it waits: calls are paused",
        ],
    ),
    "explain of a dial": (
        Explanation(
            request_id="a-1",
            attempt=1,
            status=Status.CALLING,
            now=LATER,
            allowed_by=AllowanceReport(policy_version=12, preset="canada", zones=[ZONE], zone_source="request"),
        ),
        ["calling", "policy canada, version 12", "2026-12-01T04:30:00-05:00 America/Toronto"],
    ),
    "place --dry-run": (
        Forecasts(
            at=AT,
            counts={"dial": 1, "wait": 60, "reject": 0},
            rows=[
                RowForecast(row=number, request_id=f"a-{number}", verdict=Verdict.WAIT, reason="outside hours")
                for number in range(61)
            ],
        ),
        ["1 dial, 60 wait, 0 reject", "a-0", "wait", "outside hours", "11 more are not shown"],
    ),
    "audit": (
        Audit(
            since=AT,
            until=LATER,
            dials=[
                AuditedDial(
                    organization="north",
                    request_id="a-1",
                    attempt=2,
                    dispatched_at=AT,
                    zones=[ZONE],
                    zone_source="request",
                    zone_data="2026f",
                    policy_version=12,
                    preset="canada",
                    window="mon-fri 09:00-21:30",
                    caps=["3 in 7 days"],
                    window_unknown="not known",
                    status=Status.COMPLETED,
                )
            ],
            records_read=7,
        ),
        [
            *("north~a-1", AT, "2026-12-01T04:30:00-05:00 America/Toronto", "request", "canada, version 12", "1 dial"),
            "mon-fri 09:00-21:30, at most 3 in 7 days, not known",
        ],
    ),
    "audit of a file": (
        Audit(since=AT, until=LATER, dials=[], records_read=0, exported_to="d.csv"),
        ["0 dials exported to d.csv"],
    ),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_shows_what_its_json_says(name: str) -> None:
    result, shown = RESULTS[name]
    text = io.StringIO()

    Console(file=text, width=200, markup=False, highlight=False, emoji=False).print(render(result))

    assert [words for words in shown if words not in text.getvalue()] == []
