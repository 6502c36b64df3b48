"""`calls explain`, `place --dry-run`, `show` and `audit`: they say what place_call does, and why it did."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls.cli.output import Exit
from calls.operations.auditing import Auditing
from calls.operations.calling_policy import Policies
from calls.operations.dial_rules import DialRule, DialRules
from calls.operations.explaining import Explaining, Verdict
from calls.operations.forecasting import Forecasting, Forecasts, RowForecast
from calls.operations.preflight import CheckedRow, read_request
from local.cloud import LocalCloud
from outbound_calls.adapters.organizations import Organizations
from outbound_calls.adapters.policy_table import PolicyTable
from outbound_calls.adapters.secrets import Secret
from outbound_calls.contracts.messages import MAX_DAYS_AHEAD
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, Preset, Status
from outbound_calls.domain.attempts import Allowance, AttemptKey, Labels
from outbound_calls.domain.lines import COUNT_AFTER_SECONDS, line_reserved_for
from outbound_calls.domain.timing import utc_text
from outbound_calls.runtime.settings.place_call import PlaceCallSettings
from outbound_calls.use_cases.decide import CACHE_SECONDS, JudgeAttempts
from outbound_calls.use_cases.look_up import LookUpRequests
from outbound_calls.use_cases.new_attempt import Defaults
from outbound_calls.use_cases.placement import PlaceResult
from tests.cloud.operator import Calls, OperatedStack
from tests.cloud.parts import SampleAttempts, an_outcome, new_attempt, new_key
from tests.cloud.world import CloudWorld, key_of
from tests.unit.parts import API_KEY, ASSISTANT_ID, PHONE_NUMBER, PHONE_NUMBER_ID
from tests.unit.policy.parts import DAYS
from tests.unit.policy.test_widening import documents, windows
from tests.world import NOW, CloudResources

DEFAULTS = Defaults(ASSISTANT_ID, PHONE_NUMBER_ID)
DAY = 86_400
VERDICTS = {
    PlaceResult.CALLING: Verdict.DIAL,
    PlaceResult.PARKED: Verdict.WAIT,
    PlaceResult.REJECTED: Verdict.REJECT,
}


class PolicyWorld(CloudWorld):
    """Tables of its own, and the operator's view of them."""

    def __init__(self, cloud: LocalCloud) -> None:
        resources = CloudResources(cloud)
        super().__init__(resources, SampleAttempts.over(cloud.client("dynamodb"), resources.table_name))
        self.policy = PolicyTable(cloud.client("dynamodb"), resources.policy_table_name)
        self.version = 0
        self.judge = self.new_judge()

    def new_judge(self) -> JudgeAttempts:
        settings = PlaceCallSettings.from_environment(self.resources.environment())
        assembly = self.assembly
        policy = assembly.current_policy(self.policy, settings.calling_policy)
        return assembly.judge(policy, self.policy, assembly.number_hashes(settings.number_hash_secret_arn))

    def put_in_force(self, document: dict[str, Any]) -> None:
        self.version = self.policy.set_policy(json.dumps(document), "test", self.clock.now, self.version).number
        self.pass_seconds(CACHE_SECONDS)

    def forecast(self, *requests: dict[str, Any]) -> Forecasts:
        rows = [
            CheckedRow.of(number, read_request(json.dumps(request), DEFAULTS))
            for number, request in enumerate(requests)
        ]
        return Forecasting(self.judge, DEFAULTS, self.clock).forecast(rows)

    @property
    def explaining(self) -> Explaining:
        return Explaining(self.attempts.table, self.judge, self.place_calls.dial.hand_on.lines_table, self.clock)


@pytest.fixture(scope="module")
def policy_world(cloud: LocalCloud) -> Iterator[PolicyWorld]:
    world = PolicyWorld(cloud)
    yield world
    world.close()


numbers = (f"{prefix}{number:04}" for number in count() for prefix in ("+1416555", "+1800555", "+1867975"))
terms = st.fixed_dictionaries(
    {},
    optional={
        "purpose": st.sampled_from(["results", "marketing"]),
        "timeZone": st.sampled_from(["America/Vancouver", "Europe/Paris"]),
        "callingWindows": windows(),
        "batch": st.sampled_from(["december", "spring"]),
    },
)
hours = st.none() | st.integers(-48, 48)


# Each example has requests and numbers of its own.
@given(documents, terms, hours, hours, st.integers(0, 7 * DAY), st.integers(0, 2))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_explain_and_dry_run_say_what_place_call_does(
    policy_world: PolicyWorld,
    document: dict[str, Any],
    said: dict[str, Any],
    before: int | None,
    after: int | None,
    passed: int,
    dialled_before: int,
) -> None:
    # Given a policy, a number that was perhaps called before, and a cancelled batch
    world = policy_world
    number = next(numbers)
    world.policy.cancel_batch(None, "spring", OutcomeSource.OPERATOR, NOW)
    world.put_in_force({"basedOn": "open"} | {name: document[name] for name in ("recipientCaps",) if name in document})
    for _ in range(dialled_before):
        world.place(world.request(phoneNumber=number))
    world.put_in_force(document)
    world.pass_seconds(passed)
    ours = world.request(phoneNumber=number, **said)
    for field, ahead in (("notBefore", before), ("notAfter", after)):
        if ahead is not None and (before is None or after is None or before < after):
            ours[field] = utc_text(int(world.clock.now) + ahead * 3600)

    # When it is asked what would happen, and then happens
    forecasts = world.forecast(ours)
    [forecast] = forecasts.rows
    placement = world.place(ours)
    if placement.code == ParkReason.CONCURRENCY_LIMIT:
        # Whether a line is free is known at the moment of the dial only: a dry run says how many there are.
        assert forecast.verdict is Verdict.DIAL
        assert forecasts.at_once == {"default": document["maxConcurrentCalls"]}
        assert_explained(world, key_of(ours))
        return

    # Then the answers are the same
    is_cancelled = placement.code == "cancelled"
    assert forecast.verdict is (Verdict.REJECT if is_cancelled else VERDICTS[placement.result])
    assert placement.code == (forecast.park_reason or forecast.reason_code or "")
    check_explanation(world, ours, forecast)


def check_explanation(world: PolicyWorld, ours: Mapping[str, Any], forecast: RowForecast) -> None:
    """Check that `calls explain` and the status API say of a placed request what was forecast."""
    report = LookUpRequests(world.attempts.table).look_up(str(key_of(ours).request))
    assert report
    assert (report.park_reason, report.attempts[-1].reason_code) == (forecast.park_reason, forecast.reason_code)
    item = world.attempts.existing_item(key_of(ours))
    explanation = world.explaining.explain(key_of(ours).request)
    if forecast.verdict is Verdict.WAIT:
        assert utc_text(int(item["dueAt"])) == explanation.next_look_at == forecast.until
        assert (report.next_attempt_at, report.not_after) == (forecast.until, forecast.expires_at)
        assert explanation.forecast
        assert forecast.wire().items() >= explanation.forecast.wire().items()
        assert [each.verdict for each in explanation.rules if each.verdict is not Verdict.DIAL]
        shown = world.explaining.show(key_of(ours).request)
        assert shown
        assert shown.waiting
        assert shown.waiting.lower() == str(forecast.reason).lower()
    elif forecast.verdict is Verdict.REJECT:
        assert (explanation.reason_code, explanation.reason) == (forecast.reason_code, forecast.reason)
    else:
        assert explanation.allowed_by
        assert explanation.allowed_by.policy_version == world.version
    assert ours["phoneNumber"] not in explanation.model_dump_json()


def assert_explained(world: PolicyWorld, key: AttemptKey) -> None:
    """Check that what is said of an attempt that waits for a line is what place_call found."""
    explanation, shown = world.explaining.explain(key.request), world.explaining.show(key.request)
    assert explanation.forecast
    assert shown
    if world.place_calls.dial.hand_on.lines_table.read_lines(None).used.get(line_reserved_for(key)):
        assert explanation.forecast.verdict is Verdict.DIAL  # it was handed on to it at once
        return
    item = world.attempts.existing_item(key)
    assert (explanation.forecast.verdict, explanation.forecast.park_reason) == (Verdict.WAIT, item["parkReason"])
    assert utc_text(int(item["dueAt"])) == explanation.next_look_at == explanation.forecast.until
    assert explanation.rules[-1].rule == "calls-at-once"
    assert (shown.waiting or "").lower() == explanation.rules[-1].detail


def test_why_a_request_waits_for_a_line_is_explained(cloud: LocalCloud) -> None:
    world = PolicyWorld(cloud)
    world.put_in_force({"maxConcurrentCalls": 1})
    details = []
    for seconds in (0, COUNT_AFTER_SECONDS):
        world.pass_seconds(seconds)
        key = world.placed()
        assert_explained(world, key)
        details.append(world.explaining.explain(key.request).rules[-1].detail)

    assert details == [
        "the limit of calls at once is new, and the calls in progress are yet to be counted",
        "as many calls are in progress as the policy allows at once: 1",
    ]


def test_a_dry_run_counts_the_dials_of_earlier_rows(policy_world: PolicyWorld) -> None:
    policy_world.put_in_force({"basedOn": "open", "recipientCaps": [{"calls": 2, "perSeconds": DAY}]})
    number, other = next(numbers), next(numbers)
    requests = [policy_world.request(phoneNumber=each) for each in (number, number, other, number)]

    found = policy_world.forecast(*requests)

    assert [each.verdict for each in found.rows] == [Verdict.DIAL, Verdict.DIAL, Verdict.DIAL, Verdict.WAIT]
    assert found.counts == {"dial": 3, "wait": 1, "reject": 0}
    assert [policy_world.place(request).result for request in requests[:2]] == [PlaceResult.CALLING] * 2
    assert policy_world.place(requests[3]).code == ParkReason.RECIPIENT_CAP


def test_times_are_shown_by_the_clock_of_the_recipient(policy_world: PolicyWorld) -> None:
    policy_world.put_in_force({"basedOn": "canada"})
    at_night = datetime(2027, 1, 14, 4, 30, tzinfo=UTC).timestamp()
    policy_world.pass_seconds(at_night - policy_world.clock.now)
    request = policy_world.request(phoneNumber=next(numbers), timeZone="America/Toronto")
    policy_world.place(request)

    explanation = policy_world.explaining.explain(key_of(request).request)
    shown = policy_world.explaining.show(key_of(request).request)

    assert explanation.now == "Wed 2027-01-13 23:30 (America/Toronto)"
    assert (explanation.zones, explanation.zone_source) == (["America/Toronto"], "request")
    assert [each.rule for each in explanation.rules if each.verdict is Verdict.WAIT] == ["calling-window"]
    assert explanation.forecast
    assert explanation.forecast.park_reason is ParkReason.OUTSIDE_CALLING_WINDOW
    assert shown
    assert shown.waiting == (
        "Waiting until Thu 2027-01-14 09:00 (America/Toronto): outside calling hours, policy canada"
    )


# The commands.


def close_now(calls: Calls, folder: Path) -> None:
    """A policy that is closed for a day at least."""
    file = folder / "closed.json"
    day = DAYS[(datetime.now(UTC) + timedelta(days=3)).weekday()]
    windows = [{"days": [day], "from": "09:00", "to": "17:00"}]
    file.write_text(json.dumps({"callingWindows": windows, "timeZone": "America/Toronto"}))
    assert calls("policy", "set", str(file), "--yes")[0] == 0


def parked(operated: OperatedStack, reason: ParkReason = ParkReason.OUTSIDE_CALLING_WINDOW) -> str:
    attempt = new_attempt(created_at=int(time.time()))
    assert operated.attempts.table.park(attempt, time.time() + DAY, reason)
    return attempt.key.request.request_id


def test_who_places_a_first_call_at_night_reads_why_it_waits(
    calls: Calls, operated: OperatedStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    close_now(calls, tmp_path)
    request_id = parked(operated)

    code, shown = calls("show", request_id)
    assert (code, shown["parkReason"]) == (0, "outside-calling-window")
    assert shown["waiting"].startswith("Waiting until ")
    assert shown["waiting"].endswith(
        ": outside calling hours, policy open. On a dev stack: `calls policy set --preset open`."
    )
    assert operated.run("show", request_id) == 0
    assert "Waiting until" in capsys.readouterr().out

    code, explained = calls("explain", request_id)
    assert (code, explained["forecast"]["verdict"]) == (0, "wait")
    assert operated.run("explain", request_id) == 0
    printed = capsys.readouterr().out
    assert "So it waits: waiting until" in printed
    assert PHONE_NUMBER[2:] not in printed + json.dumps([shown, explained])


def test_what_waits_for_something_else_is_explained_too(calls: Calls, operated: OperatedStack) -> None:
    request_id = parked(operated, ParkReason.RATE_LIMITED)

    code, explained = calls("explain", request_id)

    assert (code, explained["parkReason"], explained["forecast"]["verdict"]) == (0, "rate-limited", "dial")
    assert "waiting" not in calls("show", request_id)[1]
    assert calls("explain", "never-sent")[0] == Exit.REFUSED


def test_a_dry_run_says_what_policy_would_do_with_each_row(
    calls: Calls, operated: OperatedStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    close_now(calls, tmp_path)
    later = utc_text(int(time.time()) + (MAX_DAYS_AHEAD + 1) * DAY)
    file = tmp_path / "calls.csv"
    file.write_text(
        f"requestId,phoneNumber,timeZone,purpose,notAfter\n"
        f"a,{PHONE_NUMBER},,,{later}\nb,{PHONE_NUMBER},America/Toronto,,{later}\nc,{PHONE_NUMBER},,unknown,{later}\n"
    )

    code, answer = calls("place", str(file), "--dry-run")

    assert (code, answer["preflight"]["toSend"]) == (0, 3)
    assert answer["policy"]["counts"] == {"dial": 0, "wait": 2, "reject": 1}
    rows = {each["requestId"]: each for each in answer["policy"]["rows"]}
    assert rows["a"]["parkReason"] == "outside-calling-window"
    assert "(America/Toronto)" in rows["b"]["reason"]
    assert (rows["c"]["row"], rows["c"]["reasonCode"]) == (4, "unknown-purpose")
    assert operated.run("place", str(file), "--dry-run") == 0
    assert "If they were sent now, policy would say: 0 dial, 2 wait, 1 reject" in capsys.readouterr().out


DIALLED_AT = datetime.now(UTC).replace(hour=14, minute=30, second=0, microsecond=0) - timedelta(days=2)
"""Two days ago: an audit reads every day from then until now."""

IN_TORONTO = DIALLED_AT.astimezone(ZoneInfo("America/Toronto")).isoformat()


@pytest.fixture
def span(operated: OperatedStack) -> tuple[str, ...]:
    """The options of an audit that finds two dials of three, of which one has ended."""
    seconds = int(DIALLED_AT.timestamp())
    allowance = Allowance(12, Preset.CANADA, ("America/Toronto", "America/Detroit", "+2"), "number", "2026f")
    table = operated.attempts.table
    for number, dispatched_at in enumerate((seconds - 1, seconds, seconds + DAY)):
        key = replace(new_key(), request=replace(new_key().request, request_id=f"visit-{number}"))
        claimed = table.claim(replace(new_attempt(key), allowance=allowance), "claim", dispatched_at, 180)
        assert claimed
        if number == 1:
            operated.attempts.table.record(key, an_outcome(Status.COMPLETED), seconds + DAY + 2)
    operated.attempts.scheduled()
    return "--from", f"{DIALLED_AT:%Y-%m-%dT%H:%M}Z", "--to", utc_text(seconds + DAY + 1)


def test_an_audit_says_what_allowed_each_dial_without_personal_data(
    calls: Calls, operated: OperatedStack, span: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, audited = calls("audit", *span)

    assert code == 0
    assert (audited["organizations"], "can't be read" in audited["incomplete"]) == (["default"], True)
    assert [(each["requestId"], each["status"]) for each in audited["dials"]] == [
        ("visit-1", "completed"),
        ("visit-2", "dispatching"),
    ]
    [dial, _] = audited["dials"]
    allowed_by = tuple(dial[name] for name in ("policyVersion", "preset", "zoneSource", "zoneData"))
    assert allowed_by == (12, "canada", "number", "2026f")
    assert (dial.get("window"), dial["windowUnknown"]) == (None, "version 12 of the policy isn't kept")
    assert [each.get("localTime") for each in dial["zones"]] == [IN_TORONTO, IN_TORONTO, None]
    assert PHONE_NUMBER[2:] not in json.dumps(audited)
    assert "Ada" not in json.dumps(audited)
    assert operated.run("audit", *span) == 0
    assert "2 dials" in capsys.readouterr().out
    assert calls("audit", "--from", "1h", "--to", "2h")[0] == Exit.USAGE


def test_an_audit_is_exported_as_csv_and_json(calls: Calls, span: tuple[str, ...], tmp_path: Path) -> None:
    exported = tmp_path / "dials.csv"

    assert calls("audit", *span, "--export", str(exported))[1]["exportedTo"] == str(exported)

    [row, _] = csv.DictReader(exported.read_text().splitlines())
    assert row == {
        "organization": "",
        "requestId": "visit-1",
        "attempt": "1",
        "dispatchedAt": utc_text(int(DIALLED_AT.timestamp())),
        "recipientTime": f"{IN_TORONTO} America/Toronto; {IN_TORONTO} America/Detroit; +2",
        "zoneSource": "number",
        "zoneData": "2026f",
        "policyVersion": "12",
        "preset": "canada",
        "window": "",
        "caps": "",
        "windowUnknown": "version 12 of the policy isn't kept",
        "status": "completed",
    }
    assert calls("audit", *span, "--export", str(exported))[0] == Exit.REFUSED
    assert calls("audit", *span, "--export", str(tmp_path / "dials.txt"))[0] == Exit.REFUSED
    assert calls("audit", *span, "--export", str(tmp_path / "dials.json"))[0] == 0
    assert json.loads((tmp_path / "dials.json").read_text()) == calls("audit", *span)[1]["dials"]


WEEKDAYS = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00"}
EVERY_DAY_OF_APRIL = {"name": "April", "from": "2026-04-01", "to": "2026-04-30"}
EASTERN = ("America/Toronto", "America/Detroit", "+2")
NINE_TO_FIVE = {"callingWindows": [WEEKDAYS]}


@pytest.mark.parametrize(
    ("document", "purpose", "allowance", "expected"),
    [
        # NOW is a Wednesday, 10:30 in Toronto.
        ({}, None, Allowance(1, Preset.OPEN), DialRule("always")),
        (None, None, Allowance(0, Preset.CANADA, EASTERN), DialRule("mon-fri 09:00-21:30")),
        (NINE_TO_FIVE, None, Allowance(1, Preset.OPEN, EASTERN), DialRule("mon-fri 09:00-17:00")),
        (
            NINE_TO_FIVE,
            None,
            Allowance(1, Preset.OPEN, ("Pacific/Honolulu",)),
            DialRule(window_unknown="no window of this version was open then by these clocks"),
        ),
        (
            NINE_TO_FIVE | {"exceptions": [EVERY_DAY_OF_APRIL | {"callingWindows": [WEEKDAYS | {"from": "10:00"}]}]},
            None,
            Allowance(1, Preset.OPEN, EASTERN),
            DialRule("exception 2026-04-01 to 2026-04-30: wed 10:00-17:00"),
        ),
        (
            {
                "callingWindows": "always",
                "recipientCaps": [{"calls": 3, "perSeconds": 604_800}],
                "purposes": {"marketing": {"recipientCaps": [{"calls": 1, "perDays": 1}]}},
            },
            "marketing",
            Allowance(1, Preset.OPEN, EASTERN),
            DialRule("always", ("3 in 168 hours", "1 in 1 day, of the purpose")),
        ),
        (
            {
                "recipientCaps": [{"calls": 2, "perSeconds": 90}],
                "callingWindows": [WEEKDAYS | {"days": ["wed", "fri"]}],
            },
            None,
            Allowance(1, Preset.CANADA, EASTERN),
            DialRule("wed,fri 09:00-17:00", ("2 in 90 seconds",)),
        ),
        (
            {"organizations": {"default": {"basedOn": "canada"}}},
            None,
            Allowance(1, Preset.OPEN),
            DialRule(window_unknown="version 1 doesn't lie on the preset open any more"),
        ),
        ({}, None, Allowance(3, Preset.OPEN), DialRule(window_unknown="version 3 of the policy isn't kept")),
        (
            {"new": "field"},
            None,
            Allowance(1, Preset.OPEN),
            DialRule(window_unknown="version 1 of the policy can't be read"),
        ),
        ({}, None, None, DialRule(window_unknown="no policy is recorded")),
    ],
)
def test_an_audit_names_the_rule_of_the_version_that_allowed_a_dial(
    world: CloudWorld,
    document: dict[str, Any] | None,
    purpose: str | None,
    allowance: Allowance | None,
    expected: DialRule,
) -> None:
    world.own_policy_table()
    table = world.policy_table
    if document is not None:
        table.set_policy(json.dumps(document), "test", NOW, 0)
    # A later version changes nothing about it.
    table.set_policy('{"paused": true}', "test", NOW + 60, 0 if document is None else 1)
    dialled = replace(new_attempt(), dispatched_at=NOW, allowance=allowance, labels=Labels(purpose=purpose))

    assert DialRules(Policies(table, Preset.OPEN)).of(dialled) == expected


def test_an_audit_reads_every_organization_that_the_keys_or_the_policy_name(
    operated: OperatedStack, cloud: LocalCloud
) -> None:
    document = {"organizations": {"boston": {"paused": True}, "default": {"paused": False}}}
    operated.stack.policy_table.set_policy(json.dumps(document), "test", NOW, 0)
    secrets = cloud.client("secretsmanager")
    content = {"organizations": {name: {"apiKey": API_KEY} for name in ("default", "north")}}
    arn = secrets.create_secret(Name=f"{operated.name}-keys", SecretString=json.dumps(content))["ARN"]
    keys = Organizations(Secret(secrets, arn, time.monotonic))

    auditing = Auditing(operated.stack.records, keys, operated.stack.policies)

    assert auditing.organizations() == ([None, "boston", "north"], None)
