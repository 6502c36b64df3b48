"""The steps that the local cloud can't play, on an account in memory: each holds there, and fails where AWS differs.

tests/stack/test_rehearsal.py plays the others on the local cloud.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast, override

import pytest

from local.demo import Check
from local.stack import Stack
from rehearsal.steps import (
    STEPS,
    RehearsedStack,
    Stage,
    alarms_raised,
    events_denied,
    released_gradually,
    worker_ended,
    works_stopped,
)
from tests.tooling.rehearsal.account import Account

BEGAN = datetime(2026, 12, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Played(RehearsedStack):
    """A stack in which each request ends at once, and whose outcomes are published unless that is denied."""

    account: Account = field(default_factory=Account)
    ends: dict[str, Any] = field(default_factory=lambda: {"status": "completed", "outcomeSource": "webhook"})
    accepted: int = 1
    ignores_denials: bool = False
    published: list[str] = field(default_factory=list)

    @override
    def send(self, body: str | Mapping[str, Any]) -> str:
        content = json.loads(body) if isinstance(body, str) else body
        self.sent.append(content["requestId"])
        return "message"

    @override
    def calls(self) -> dict[str, dict[str, Any]]:
        return {each: dict(self.ends) for each in self.sent}

    @override
    def dials(self) -> dict[str, tuple[int, int]]:
        return dict.fromkeys(self.sent, (1, self.accepted))

    @override
    def sweep(self) -> None:
        pass

    @override
    def outcome_events(self) -> list[dict[str, Any]]:
        if self.account.bus_policy and not self.ignores_denials:
            return []
        return [{"requestId": each} for each in self.sent]

    @override
    def invalid_messages(self) -> list[Any]:
        return []


def a_stage(account: Account, **changes: Any) -> Stage:
    environment = Played(
        cast("Any", None), cast("Any", None), Stack("calls", "", {}, {}), "", "one", account=account, **changes
    )
    return Stage(account.stack(), environment, "ending", BEGAN, 0.1, 0.0, 0.1, 0.0)


def held(checks: list[Check]) -> list[bool]:
    return [each.holds for each in checks]


# A gradual release, and one that fails.


def test_a_gradual_release_takes_over_and_a_failing_one_is_held_back() -> None:
    account = Account()

    checks = list(released_gradually(a_stage(account)))

    assert held(checks) == [True, True, True]
    assert account.verdicts == ["Succeeded", "Failed"]
    assert "UPDATE_ROLLBACK_COMPLETE; CodeDeploy: Failed" in checks[1].found


def test_a_release_that_only_failed_some_calls_does_not_hold() -> None:
    checks = list(released_gradually(a_stage(Account(), accepted=2)))

    assert held(checks) == [False, True, False]


def test_a_version_that_gets_traffic_although_it_does_not_start_does_not_hold() -> None:
    account = Account()

    def release(params: Any) -> Any:
        account.verdicts.append("Succeeded")
        account.live += 1
        account.parameters = {each["ParameterKey"]: each["ParameterValue"] for each in params["Parameters"]}
        return {}

    account.answers["update_stack"] = release

    assert held(list(released_gradually(a_stage(account)))) == [True, False, True]


# Denied PutEvents.


def test_a_denied_outcome_is_published_afterwards() -> None:
    account = Account()

    (check,) = events_denied(a_stage(account))

    assert (check.holds, check.found) == (True, "while denied: held; afterwards: published")
    assert account.bus_policy is None


def test_a_denial_that_denies_nothing_does_not_count() -> None:
    (check,) = events_denied(a_stage(Account(), ignores_denials=True))

    assert not check.holds


# Alarms.


def history(state: str) -> Callable[[Any], Any]:
    return lambda _: {"AlarmHistoryItems": [{"HistoryData": json.dumps({"newState": {"stateValue": state}})}]}


@pytest.mark.parametrize(("state", "holds"), [("OK", True), ("ALARM", False)])
def test_the_alarms_of_broken_guarantees_must_not_have_been_raised(state: str, holds: bool) -> None:
    account = Account(answers={"describe_alarm_history": history(state)})

    raised, not_raised = alarms_raised(a_stage(account))

    assert (raised.holds, not_raised.holds) == (True, holds)


def test_an_alarm_that_is_not_raised_in_time_does_not_hold() -> None:
    account = Account(answers={"describe_alarms": lambda _: {"MetricAlarms": []}})

    assert held(list(alarms_raised(a_stage(account)))) == [False, True]


# A worker that is ended, and workers that are squeezed.


@pytest.mark.parametrize(
    ("answer", "accepted", "holds"),
    [({"FunctionError": "Unhandled"}, 1, True), ({"FunctionError": "Unhandled"}, 2, False), ({}, 1, False)],
    ids=["ended", "dialled twice", "not ended"],
)
def test_a_worker_must_have_been_ended_and_no_one_dialled_twice(
    answer: dict[str, Any], accepted: int, holds: bool
) -> None:
    account = Account(answers={"invoke": lambda _: answer})
    before = account.state()

    (check,) = worker_ended(a_stage(account, accepted=accepted))

    assert check.holds is holds
    assert account.state() == before


def test_a_throttled_worker_that_works_does_not_hold() -> None:
    account = Account()
    before = account.state()

    checks = list(works_stopped(a_stage(account)))

    # Here the webhook still came, and the request was dialled although nothing ran.
    assert held(checks) == [False, False]
    assert account.state() == before


# Where a step isn't played.


@pytest.mark.parametrize(
    ("parameters", "left_out"),
    [
        ({}, []),
        ({"Environment": "dev"}, ["only a staging stack with Rollout=Gradual releases gradually"]),
        ({"Rollout": "AtOnce"}, ["only a staging stack with Rollout=Gradual releases gradually"]),
        (
            {"Environment": "local"},
            [
                "the local cloud doesn't throttle what an alias runs",
                "the local cloud doesn't enforce the policy of an event bus",
                "the local cloud has no CodeDeploy",
                "the local cloud has no metrics of queues for them",
            ],
        ),
    ],
)
def test_a_step_that_is_not_played_says_why(parameters: dict[str, str], left_out: list[str]) -> None:
    account = Account()
    account.parameters |= parameters

    assert [why for step in STEPS if (why := step.missing(a_stage(account)))] == left_out
