"""What an operator does with a deployed stack, one command at a time: the real operations of the `calls` command.

A command is a worker like any other. Between what it shows and what it does it asks its person, who may take long: that
question is one more effect. The person always says yes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from calls.operations.requests_file import Row
    from calls.operations.waiting_messages import HeldMessage
    from outbound_calls.adapters.calls_table import CallsTable

MADE, REFUSED = "made", "refused"
"""What a command reports: that it is done, or that the request doesn't allow it or the table didn't confirm it."""

MOST_MESSAGES = 1000


class ResolveTask(NamedTuple):
    """A person records what was found out about a request's last attempt."""

    request_id: str
    finding: str
    copy: int

    def __str__(self) -> str:
        return f"resolve {self.request_id} as {self.finding}{"'" * self.copy}"


class RedialTask(NamedTuple):
    """A person has a request dialled again."""

    request_id: str
    request: str
    copy: int

    def __str__(self) -> str:
        return f"dial {self.request_id} again{"'" * self.copy}"


class CancelTask(NamedTuple):
    """A person cancels a request."""

    request_id: str
    copy: int

    def __str__(self) -> str:
        return f"cancel {self.request_id} by hand{"'" * self.copy}"


class RedriveTask(NamedTuple):
    """A person sends waiting messages again: dead letters as they are, or invalid messages that were fixed."""

    queue_url: str
    fixed: str
    """The request as it was fixed; empty for dead letters."""

    copy: int

    def __str__(self) -> str:
        return f"redrive {'fixed' if self.fixed else 'dead letters'}{"'" * self.copy}"


type TaskByHand = ResolveTask | RedialTask | CancelTask | RedriveTask


class Surroundings(NamedTuple):
    """What a command works with."""

    table: CallsTable
    sqs: SQSClient
    call_queue_url: str
    clock: Callable[[], float]
    ask_person: Callable[[], object]


def perform(task: TaskByHand, around: Surroundings) -> str:
    """Do what the command does; returns what it reports.

    The operations are imported here, so that a scenario without an operator need not load them.
    """
    match task:
        case RedriveTask():
            return _redrive(task, around)
        case CancelTask():
            return _cancel(task, around)
        case _:
            return _resolve(task, around)


def _cancel(task: CancelTask, around: Surroundings) -> str:
    from calls.operations.cancelling import Cancelling
    from calls.operations.records import Records
    from outbound_calls.adapters.policy_table import PolicyTable
    from outbound_calls.domain.attempts import RequestKey
    from outbound_calls.use_cases.cancel import CancelRequests

    requests = CancelRequests(around.table, around.clock)
    cancelling = Cancelling(requests, Records(around.table), PolicyTable(around.table.client, ""), around.clock)
    return MADE if cancelling.cancel([RequestKey(task.request_id)]).confirmed else REFUSED


def _resolve(task: ResolveTask | RedialTask, around: Surroundings) -> str:
    from calls.operations.masking import masked
    from calls.operations.preflight import read_request
    from calls.operations.resolving import Finding, NotAllowed, Resolving
    from outbound_calls.domain.attempts import RequestKey
    from outbound_calls.use_cases.new_attempt import Defaults

    resolving = Resolving(around.table, Defaults(), around.clock)
    key = RequestKey(task.request_id)
    try:
        if isinstance(task, ResolveTask):
            return f"{MADE} {resolving.record(key, Finding(task.finding)).attempt}"
        request = read_request(task.request, Defaults())
        redial, attempt = resolving.prepare(key, request, force=False, mask=masked)
        around.ask_person()
        return f"{MADE} {resolving.dial_again(redial, attempt).number}"
    except NotAllowed:
        return REFUSED


def _redrive(task: RedriveTask, around: Surroundings) -> str:
    from calls.operations.redriving import Moved, Redrive, read_fixed
    from calls.operations.sending import Sender
    from calls.operations.waiting_messages import held_messages, last_moment
    from outbound_calls.use_cases.new_attempt import Defaults

    kept = bool(task.fixed)
    with held_messages(around.sqs, task.queue_url, MOST_MESSAGES, kept_by_stack=kept) as messages:
        sender = Sender(around.sqs, around.call_queue_url, _no_sleep)
        redrive = Redrive(around.sqs, task.queue_url, sender, last_moment, clock=around.clock)
        if kept:
            # SQS may deliver a message twice, and the file that was fixed has one line for each.
            lines = {message.id: _line(task.fixed, message) for message in messages}
            fixed, invalid = read_fixed(lines.values(), Defaults())
            assert not invalid
            plan = redrive.plan_fixed(messages, fixed)
        else:
            plan = redrive.plan_unchanged(messages)
        around.ask_person()
        moved = Moved()
        redrive.send(plan, moved)
        return f"{MADE} {len(moved.sent)}"


def _line(request: str, message: HeldMessage) -> Row:
    """A line of the export, fixed."""
    from calls.operations.requests_file import Row

    return Row(1, json.dumps(message.exported() | {"request": json.loads(request)}))


def _no_sleep(_seconds: float) -> None:
    pass
