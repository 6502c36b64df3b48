"""What a rehearsal changes in an account is given back: after Ctrl-C, after a failure, and where it half happened."""

import json
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from rehearsal import changes
from rehearsal.changes import NotRehearsed, denied, stopped, subscribed, undone, update, version_with
from tests.tooling.rehearsal.account import Account, Failed

OTHERS = json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "partner", "Effect": "Allow"}]})
FUNCTION = "calls-PlaceCallFunction"

type Change = Callable[[Account], AbstractContextManager[Any]]

CHANGES: dict[str, Change] = {
    "parameters": lambda account: changes.with_parameters(account.stack(), {"WebhookGraceSeconds": "10"}, 0),
    "concurrency": lambda account: stopped(account.stack(), FUNCTION),
    "version": lambda account: version_with(account.stack(), FUNCTION, "ending.handler", "ending"),
    "bus policy": lambda account: denied(account.stack(), "arn:aws:iam::1:role/r"),
    "subscription": lambda account: subscribed(account.stack()),
}
LAST = {
    "parameters": "update_stack",
    "concurrency": "put_function_concurrency",
    "version": "publish_version",
    "bus policy": "put_permission",
    "subscription": "put_targets",
}
"""The operation that makes the change, or ends it."""


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("reserved", [None, 3])
@pytest.mark.parametrize("policy", [None, OTHERS])
def test_a_change_is_undone_after_ctrl_c(name: str, reserved: int | None, policy: str | None) -> None:
    account = Account(reserved=reserved, bus_policy=policy)
    before = account.state()

    seen = []

    def rehearse() -> None:
        with CHANGES[name](account):
            seen.append(account.state())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rehearse()

    assert seen != [before]
    assert account.state() == before


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_half_happened_is_undone(name: str) -> None:
    account = Account()
    before, operation = account.state(), getattr(account, LAST[name])

    def interrupted(params: Any) -> Any:
        del account.answers[LAST[name]]
        answer = operation(params)
        if name == "version":
            # Without an answer no one knows the version's number. It is not live, and costs nothing.
            account.versions.clear()
        raise KeyboardInterrupt(answer)

    account.answers[LAST[name]] = interrupted
    with pytest.raises(KeyboardInterrupt), CHANGES[name](account):
        pass

    assert account.state() == before


def test_a_denied_role_is_added_to_what_others_may() -> None:
    account = Account(bus_policy=OTHERS)

    with denied(account.stack(), "arn:aws:iam::1:role/r"):
        partner, ours = json.loads(account.bus_policy or "")["Statement"]

    assert partner["Sid"] == "partner"
    assert ours == {
        "Sid": "Rehearsal",
        "Effect": "Deny",
        "Principal": {"AWS": "arn:aws:iam::1:role/r"},
        "Action": "events:PutEvents",
        "Resource": "arn:aws:events:ca-central-1:1:event-bus/bus",
    }


def test_a_stack_that_an_interrupted_update_left_is_brought_back() -> None:
    account = Account()
    given = dict(account.parameters)
    account.status = "UPDATE_ROLLBACK_FAILED"

    assert update(account.stack(), given | {"WebhookGraceSeconds": "10"}, 0) == "UPDATE_COMPLETE"
    assert "cloudformation:ContinueUpdateRollback" in account.asked
    assert update(account.stack(), dict(account.parameters), 0) == "UPDATE_COMPLETE"


def test_an_update_is_waited_for() -> None:
    account = Account()
    statuses = iter(["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"])
    account.answers["describe_stacks"] = lambda _: {"Stacks": [{"StackName": "calls", "StackStatus": next(statuses)}]}

    assert changes.settled(account.stack(), 0) == "UPDATE_COMPLETE"


def test_another_fault_of_an_update_is_not_hidden() -> None:
    account = Account()

    def refuse(_: Any) -> Any:
        raise Failed("Stack is in DELETE_IN_PROGRESS state and can not be updated.")

    account.answers["update_stack"] = refuse
    with pytest.raises(Exception, match="can not be updated"):
        update(account.stack(), {"WebhookGraceSeconds": "10"}, 0)


def test_a_stack_that_does_not_take_the_parameters_is_not_rehearsed() -> None:
    account = Account()
    before = account.state()

    with (
        pytest.raises(NotRehearsed, match="UPDATE_ROLLBACK_COMPLETE"),
        changes.with_parameters(account.stack(), {"WebhookGraceSeconds": "301"}, 0),
    ):
        raise AssertionError

    assert account.state() == before


def test_a_second_ctrl_c_does_not_stop_the_way_back() -> None:
    done = []

    def undo() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("undone")

    with pytest.raises(KeyboardInterrupt), undone(undo):
        raise KeyboardInterrupt

    assert done == ["undone"]
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
