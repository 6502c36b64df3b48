"""AlloMia refuses calls: a wrong setting rejects nothing, and a wrong request is recognized and rejected."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from local.simulator import PostAnswer, returns
from outbound_calls.adapters.attempt_items import attempt_from_item
from outbound_calls.adapters.dynamodb import from_dynamodb
from outbound_calls.domain.attempts import Attempt, AttemptKey
from outbound_calls.domain.timing import EXPIRE_AFTER_SECONDS
from outbound_calls.use_cases.look_up import request_report
from outbound_calls.use_cases.placement import Placement, PlaceResult
from tests.cloud.operator import Calls, OperatedStack
from tests.cloud.parts import SampleAttempts
from tests.cloud.reading import table_items
from tests.cloud.world import CloudWorld, key_of
from tests.functions import load_function
from tests.tooling.template.expressions import is_raised
from tests.tooling.template.rendering import read_template
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER_ID, SETTING
from tests.world import NOW, CloudResources, create_calls_table, dispatch_message

MINUTE = 60
REFUSED = returns(400, {"error": "Number has no outbound calling"})
REFUSALS: dict[str, PostAnswer] = {
    "HTTP 400": REFUSED,
    "HTTP 404": returns(404, "<html><h1>Not Found</h1></html>"),
    "HTTP 402": returns(402, {"message": "No credit"}),
    "HTTP 422": returns(422),
}
"""What AlloMia answers, or a proxy before it, by how the doctor says so."""

WRONG_NUMBER = "+14155550666"
OTHER_ASSISTANT = ASSISTANT_ID.replace("1", "9")
OTHER_NUMBER = PHONE_NUMBER_ID.replace("6", "9")


class Day:
    """A stack that works on requests minute by minute, and AlloMia's phone calls, which last two minutes.

    Its table has no other attempts, because those with the same setting would count.
    """

    def __init__(self, resources: CloudResources, attempts: SampleAttempts) -> None:
        self.attempts = attempts
        self.world = CloudWorld(resources, self.attempts)
        self.world.configure(CALLS_TABLE_NAME=self.attempts.table.name)
        self.requests: list[dict[str, Any]] = []
        self.dialled_at: dict[AttemptKey, float] = {}
        self.on_the_line: dict[AttemptKey, float] = {}
        self.codes: list[str] = []
        self.each_minute: Callable[[], None] = lambda: None
        self.placed: Callable[[Placement], None] = lambda _: None

    def send(self, count: int = 1, **fields: Any) -> list[AttemptKey]:
        sent = [self.world.request(**fields) for _ in range(count)]
        self.requests += sent
        return [key_of(each) for each in sent]

    def pass_minutes(self, minutes: int) -> None:
        for _ in range(minutes):
            for request in self.requests:
                self._note(self.world.place(request))
            self.requests.clear()
            for attempt in self._due():
                self._note(self.world.place(dispatch_message(attempt.key, attempt.times_parked)))
            for key in [key for key, at in self.on_the_line.items() if self.world.clock.now >= at + 2 * MINUTE]:
                del self.on_the_line[key]
                self.world.webhook(key)
            self.each_minute()
            self.world.pass_seconds(MINUTE)

    def statuses(self, keys: list[AttemptKey]) -> Counter[str | None]:
        return Counter(self.attempts.status(key) for key in keys)

    def _due(self) -> list[Attempt]:
        """The parked attempts that are due."""
        found = table_items(self.attempts.table.client, self.attempts.table.name)
        attempts = [attempt_from_item(from_dynamodb(item)) for item in found]
        due = [each for each in attempts if each.status == "scheduled" and (each.due_at or 0) <= self.world.clock.now]
        return sorted(due, key=lambda each: each.due_at or 0)

    def _note(self, placement: Placement) -> None:
        self.placed(placement)
        self.codes.append(placement.code)
        if placement.result is PlaceResult.CALLING:
            assert placement.key
            assert placement.key not in self.dialled_at
            self.dialled_at[placement.key] = self.on_the_line[placement.key] = self.world.clock.now


@pytest.fixture
def day(resources: CloudResources) -> Iterator[Day]:
    dynamodb = resources.cloud.client("dynamodb")
    day = Day(resources, SampleAttempts.over(dynamodb, create_calls_table(dynamodb)))
    yield day
    day.world.close()


def refuses(field: str, value: str) -> Callable[[dict[str, object]], PostAnswer | None]:
    """Lets AlloMia refuse the orders with this value."""
    return lambda order: REFUSED if order[field] == value else None


class RefusedAlarm:
    """The alarm on refused calls as the template defines it, over what place_call prints, minute by minute."""

    def __init__(self, day: Day, environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
        self.alarm = read_template()["Resources"]["CallsRefusedAlarm"]["Properties"]
        assert (self.alarm["Period"], self.alarm["Statistic"]) == (MINUTE, "Sum")
        assert [each["Name"] for each in self.alarm["Dimensions"]] == ["service"]
        self.counts: list[float | None] = []
        self.raised_after: int | None = None
        self._capsys = capsys
        function = load_function("functions/place_call", environment)
        day.placed = lambda placement: function.log(placement, "message")
        day.each_minute = self._look

    def _look(self) -> None:
        lines = [json.loads(line) for line in self._capsys.readouterr().out.splitlines()]
        name = self.alarm["MetricName"]
        values = [sum(line[name]) for line in lines if self._is_counted(line)]
        self.counts.append(sum(values) if values else None)
        if self.raised_after is None and is_raised(self.alarm, self.counts):
            self.raised_after = len(self.counts)

    def _is_counted(self, line: dict[str, Any]) -> bool:
        return any(
            directive["Namespace"] == self.alarm["Namespace"]
            and directive["Dimensions"] == [["service"]]
            and any(metric["Name"] == self.alarm["MetricName"] for metric in directive["Metrics"])
            for directive in line.get("_aws", {}).get("CloudWatchMetrics", [])
        )


def test_a_setting_that_is_wrong_for_a_while_costs_no_call(
    resources: CloudResources, operated: OperatedStack, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    """AlloMia refuses everything: with one answer, then with another one, and in the end the setting is fixed."""
    day = Day(resources, operated.attempts)
    alarm = RefusedAlarm(day, resources.cloud.environment() | resources.environment(), capsys)
    keys = day.send(60)

    for words, refusal in REFUSALS.items():
        posts = len(day.world.allomia.posts)
        day.world.allomia.post = refusal
        day.pass_minutes(8)

        assert day.statuses(keys) == {"scheduled": len(keys)}
        # The circuit breaker spares AlloMia: without it there would be 60 in each round of retries.
        assert 0 < len(day.world.allomia.posts) - posts < 60
        # Anyone who looks meanwhile sees the alarm, and the doctor says what AlloMia says.
        assert alarm.raised_after == 1
        assert is_raised(alarm.alarm, alarm.counts)
        _, diagnosis = calls("doctor")
        (check,) = [each for each in diagnosis["checks"] if each["name"] == "refused by AlloMia"]
        assert check["verdict"] == "failed"
        assert check["found"].startswith("60 wait, with assistant ")
        assert words in check["found"]

    day.world.allomia.post = None
    day.pass_minutes(20)

    assert day.statuses(keys) == {"completed": len(keys)}
    assert day.dialled_at.keys() == set(keys)
    assert not is_raised(alarm.alarm, alarm.counts)
    day.world.close()


def test_wrong_requests_among_good_ones_are_rejected_within_ten_minutes(day: Day) -> None:
    day.world.allomia.post = refuses("phoneNumber", WRONG_NUMBER)
    good = day.send(30)
    wrong = day.send(3, phoneNumber=WRONG_NUMBER)
    good += day.send(30)
    start = day.world.clock.now

    day.pass_minutes(10)

    assert day.statuses(good) == {"completed": len(good)}
    assert max(day.dialled_at.values()) - start <= MINUTE
    for key in wrong:
        item = day.attempts.existing_item(key)
        assert (item["status"], item["reasonCode"], item["outcomeSource"]) == (
            "rejected",
            "refused-by-allomia",
            "dispatch",
        )
        assert item["reason"].startswith("HTTP 400")
        assert item.keys().isdisjoint({"refusal", "waitsFor", "waitsSince", "request"})


@pytest.mark.parametrize(
    ("field", "value"), [("assistantId", OTHER_ASSISTANT), ("phoneNumberId", OTHER_NUMBER)], ids=["assistant", "number"]
)
def test_a_wrong_setting_does_not_hold_up_the_others(day: Day, field: str, value: str) -> None:
    day.world.allomia.post = refuses(field, value)
    wrong = day.send(20, **{field: value})
    good = day.send(20)

    day.pass_minutes(15)

    assert day.statuses(good) == {"completed": len(good)}
    assert day.statuses(wrong) == {"scheduled": len(wrong)}
    day.world.allomia.post = None
    day.pass_minutes(15)
    assert day.statuses(wrong) == {"completed": len(wrong)}


def test_a_setting_that_breaks_within_a_burst_rejects_nothing(day: Day) -> None:
    """Some calls are accepted before the setting breaks: they prove nothing about those refused later."""
    accepted = iter(range(20))
    day.world.allomia.post = lambda _order: REFUSED if next(accepted, None) is None else None
    keys = day.send(60)

    day.pass_minutes(15)

    assert day.statuses(keys) == {"completed": 20, "scheduled": 40}


def test_a_full_line_that_is_answered_by_a_refusal_rejects_nothing(day: Day) -> None:
    """AlloMia takes two calls at a time, and refuses the others with 400."""

    def full(_order: dict[str, object]) -> PostAnswer | None:
        return REFUSED if len(day.on_the_line) >= 2 else None

    day.world.allomia.post = full
    keys = day.send(30)

    day.pass_minutes(90)

    assert day.statuses(keys) == {"completed": len(keys)}


def test_a_lone_wrong_request_waits_until_it_expires(day: Day) -> None:
    day.world.allomia.post = REFUSED
    (key,) = day.send()
    day.pass_minutes(30)
    report = request_report(day.attempts.table.read_all(key.request))
    assert (report.status, report.park_reason) == ("scheduled", "refused-by-allomia")
    assert str(report.attempts[0].reason).startswith("HTTP 400")

    day.world.pass_seconds(EXPIRE_AFTER_SECONDS)
    day.pass_minutes(2)

    item = day.attempts.existing_item(key)
    assert (item["status"], item["reasonCode"], item["outcomeSource"]) == ("rejected", "refused-by-allomia", "policy")
    assert item["reason"].endswith("still refused when it expired")


def test_a_refused_attempt_is_tried_after_1_3_and_6_minutes_and_then_every_5(day: Day) -> None:
    day.world.allomia.post = REFUSED
    day.send()
    tried_at = []
    for _ in range(25):
        before = len(day.world.allomia.posts)
        day.pass_minutes(1)
        if len(day.world.allomia.posts) > before:
            tried_at.append(int(day.world.clock.now - MINUTE - NOW) // MINUTE)

    assert tried_at == [0, 1, 3, 6, 11, 16, 21]


def test_what_is_read_to_distinguish_a_wrong_request_and_a_wrong_setting(day: Day) -> None:
    day.world.allomia.post = refuses("phoneNumber", WRONG_NUMBER)
    (wrong,) = day.send(1, phoneNumber=WRONG_NUMBER)
    good = day.send(8)
    day.pass_minutes(4)
    good += day.send(2)
    day.pass_minutes(1)

    table = day.world.place_calls.table
    unreadable = replace(table, name="no-such-table")
    attempt = replace(day.attempts.read(wrong), setting=SETTING)

    assert unreadable.accepted_since(attempt, NOW, NOW + 300, 100) is None
    assert unreadable.count_refused(attempt, 34) == 34
    # Eight have ended, two are in progress, and this one is refused.
    accepted = table.accepted_since(attempt, NOW, NOW + 300, 100)
    assert Counter(each.key for each in accepted or []) == Counter(good)
    assert table.count_refused(attempt, 34) == 1
    # With too much to read, nothing is decided.
    assert table.accepted_since(attempt, NOW, NOW + 300, 1) is None
