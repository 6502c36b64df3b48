"""A run: requests pass through the deployed stack while everything fails. Then the faults end, and it must recover."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from local.environment import LocalEnvironment
from local.simulator.behaviours import OVER_HTTP, STATUS_ANSWERS, WEBHOOKS
from outbound_calls.adapters.policy_table import PolicyTable
from tests.proof.chaos.saboteurs import (
    Forger,
    Killer,
    Meanwhile,
    poller_stopped,
    table_denies_writes,
)

TERMINAL = {"completed", "failed", "busy", "no-answer", "rejected", "cancelled", "unknown"}

NUMBERS = ("+15005550100", "+15005550101", "+15005550102", "+15005550103", "+14155550199")
"""Answered, busy, not answered, failed, and a number without a meaning, which is answered."""

CAPPED, LISTED, BUSY = "+14155550144", "+14155550155", "+15005550101"
"""Called no more often than a cap allows; on the do-not-call list in the end; and busy, so that a redial follows."""

CALLS_ALLOWED, MOST_ATTEMPTS = 2, 2
BATCH = "chaos-batch"
ROLES: Mapping[int, tuple[str, Mapping[str, Any]]] = {
    1: ("redialled", {"phoneNumber": BUSY, "redial": {"on": {"busy": [1]}, "maxAttempts": MOST_ATTEMPTS}}),
    2: ("capped", {"phoneNumber": CAPPED, "purpose": "capped"}),
    3: ("listed", {"phoneNumber": LISTED}),
    4: ("batch", {"batch": BATCH}),
}
"""Every eighth request is of one of these kinds: its name, and what its message says."""

KINDS = 8
PURPOSES = {"capped": {"recipientCaps": [{"calls": CALLS_ALLOWED, "perSeconds": 86_400}]}}
OPEN: dict[str, Any] = {"basedOn": "open", "purposes": PURPOSES}
CAUTIOUS: dict[str, Any] = OPEN | {"basedOn": "united-states-health-care", "callingWindows": "always"}
PAUSED: dict[str, Any] = OPEN | {"paused": True}
IN_FORCE_SECONDS = 10
"""How long after it was set a policy is in force everywhere."""

HELD_BACK = {"paused", "outside-calling-window", "recipient-cap", "concurrency-limit"}
"""What the keeper must let go on, once another policy allows it, or the end of a call."""

CANCELLED_SHARE = 0.15
"""Of the requests, those that are cancelled one by one, at a random moment: before their own message, or after."""

FAULTS = {
    "post": [name for name in OVER_HTTP if name not in {"ok", "huge-after-accept"}],
    "webhooks": [name for name in WEBHOOKS if name != "normal"],
    "status": [name for name in STATUS_ANSWERS if name != "normal"],
}

HASTY_VISIBILITY_SECONDS = 5
"""During this stack's own faults: so short that messages are delivered again while they are still processed."""


ENOUGH_DENIED = 10
"""Writes that IAM must have denied before this fault ends."""


@dataclass(frozen=True)
class Size:
    """The size of a run."""

    requests: int
    workers: int
    """Of place_call at once. Each that is killed costs the start of another."""
    allomia_fails_seconds: float
    workers_die_seconds: float
    kills: int
    """While AlloMia has a POST that it did not answer yet, if there are that many."""
    paused_seconds: float
    """From when a pause is in force, with workers killed meanwhile."""
    table_denies_seconds: float
    quiet_seconds: float
    lines: int | None = None
    """`maxConcurrentCalls`; None for no limit."""


@dataclass(frozen=True)
class ChaosResult:
    """The state after a run."""

    requests: frozenset[str]
    messages: int
    calls: Mapping[str, Mapping[str, Any]]
    """The last attempt of each request that is an outcome of its own."""
    attempts: Mapping[str, Mapping[str, Any]]
    """By request and number, such as `chaos-1/1`."""
    dials: Mapping[str, tuple[int, int]]
    """POSTs that arrived, and those accepted, by request and number."""
    accepted_calls: Mapping[str, Mapping[str, float]]
    """When AlloMia accepted which calls (by id), by request and number."""
    most_at_once: int
    """Calls in progress at AlloMia at any moment, at most."""
    lines: int | None
    cancel_messages: int
    batch_cancelled_at: float
    listed_at: float
    paused: tuple[float, float]
    """From when and until when no one may be called."""
    policy_versions: int
    invalid_messages: int
    dead_by_allomia: int
    """Dead letters at the end of the phase in which only AlloMia failed."""
    dead: list[str]
    dialled_by_redrive: dict[str, tuple[int, int]]
    """POSTs before and after the redrive, of requests that were dialled before it and again after it."""
    events: list[dict[str, Any]]
    kills: Mapping[str, int]
    in_mid_post: int
    forged: Mapping[int, int]
    faults: Mapping[str, int]
    denied_writes: int
    seconds: Mapping[str, float]
    """The duration of each phase."""

    def figures(self) -> str:
        """The figures of the run, in one line."""
        statuses = Counter(call["status"] for call in self.calls.values())
        sources = Counter(call.get("outcomeSource", "none") for call in self.calls.values())
        return (
            f"{len(self.requests)} requests in {self.messages} messages; "
            f"{sum(self.kills.values())} workers killed at {self.in_mid_post} "
            f"POSTs, faults set {sum(self.faults.values())} times in "
            f"{len(self.faults)} kinds, {sum(self.forged.values())} forged webhooks, "
            f"{self.denied_writes} writes denied, {self.policy_versions} versions of the policy, "
            f"{self.cancel_messages} cancel messages; {_list(statuses)}; by {_list(sources)}; "
            f"{sum(number.endswith('/2') for number in self.attempts)} redials; "
            f"{sum(tried for tried, _ in self.dials.values())} POSTs, "
            f"{sum(taken for _, taken in self.dials.values())} accepted, "
            f"at most {self.most_at_once} at once, double dials {sum(taken > 1 for _, taken in self.dials.values())}; "
            f"{len(self.dead)} dead letters redriven, {len(self.dialled_by_redrive)} of them dialled again; "
            f"{sum(self.seconds.values()):.0f} s: {_list({name: round(spent) for name, spent in self.seconds.items()})}"
        )


def run(environment: LocalEnvironment, size: Size, seed: int) -> ChaosResult:
    """Run all phases."""
    return _Run(environment, size, seed).play()


class _Run:
    def __init__(self, environment: LocalEnvironment, size: Size, seed: int) -> None:
        self._environment, self._size, self._seed = environment, size, seed
        self._dice = Random(seed)  # noqa: S311
        self._requests = [f"chaos-{number}" for number in range(size.requests)]
        self._messages = 0
        self._cancel_messages = 0
        self._policy = PolicyTable(environment.cloud.client("dynamodb"), environment.stack.policy_table_name)
        self._version = 0
        self._faults: Counter[str] = Counter()
        self._seconds: dict[str, float] = {}
        self._phase_now, self._phase_began = "", time.monotonic()
        self._killer = Killer(environment, seed, with_lines=size.lines is not None)
        self._forger = Forger(environment, self._requests, seed)

    def play(self) -> ChaosResult:
        self._set_policy(OPEN)
        first = self._size.requests // 3
        dead_by_allomia = self._allomia_fails(self._requests[:first])
        paused = self._stack_fails(self._requests[first:])
        dead = self._recover()
        before, after = self._redrive(dead)
        events: list[dict[str, Any]] = []
        self._phase("events")
        with contextlib.suppress(TimeoutError):
            self._wait_for(lambda: self._all_published(events), 30)
        self._phase("end")
        return ChaosResult(
            requests=frozenset(self._requests),
            messages=self._messages,
            calls=self._calls(),
            attempts={_name(each): each for each in self._environment.attempts()},
            dials=after,
            accepted_calls=self._accepted_calls(),
            most_at_once=self._most_at_once(),
            lines=self._size.lines,
            cancel_messages=self._cancel_messages,
            batch_cancelled_at=self._remembered_at("cancelled", "cancelledAt"),
            listed_at=self._remembered_at("do-not-call#", "addedAt"),
            paused=paused,
            policy_versions=self._version,
            invalid_messages=len(self._environment.invalid_messages()),
            dead_by_allomia=dead_by_allomia,
            dead=dead,
            dialled_by_redrive={
                name: (before[name][0], after[name][0])
                for name in {f"{json.loads(body).get('requestId')}/1" for body in dead} & before.keys()
                if before[name][1] and before[name][0] != after[name][0]
            },
            events=events,
            kills=self._killer.kills,
            in_mid_post=self._killer.in_mid_post,
            forged=self._forger.answers,
            faults=self._faults,
            denied_writes=self._denied_writes(),
            seconds=self._seconds,
        )

    # The phases.

    def _allomia_fails(self, request_ids: list[str]) -> int:
        """Let AlloMia fail while no sweep runs. Returns the number of dead letters."""
        self._phase("AlloMia fails")
        environment, size = self._environment, self._size
        environment.allomia.configure(seed=self._seed, hang_seconds=20.0, late_seconds=25.0, probability=0.35)
        with poller_stopped(environment), self._forging(), Meanwhile(self._misbehave, 0.5, 1.5, self._seed):
            self._send(request_ids, size.allomia_fails_seconds)
        self._phase("queue empties")
        self._wait_for(self._queue_is_empty, size.quiet_seconds)
        return len(environment.dead_letters())

    def _stack_fails(self, rest: list[str]) -> tuple[float, float]:
        """Let this stack fail as well: first its workers, also while policy changes, then its table.

        Returns from when until when calls were paused.
        """
        environment, size = self._environment, self._size
        self._visibility(HASTY_VISIBILITY_SECONDS)
        with (
            self._forging(),
            Meanwhile(self._misbehave, 0.5, 1.5, self._seed + 1),
            Meanwhile(environment.sweep, 4.0, 8.0, self._seed),
        ):
            self._phase("policy changes")
            place_call = environment.stack.place_call_function_name
            # No POST tells when to kill while calls are paused
            with Meanwhile(lambda: self._killer.kill_all(place_call), 3.0, 6.0, self._seed):
                paused = self._change_policy(rest[: len(rest) // 4])
            rest = rest[len(rest) // 4 :]
            self._phase("workers are killed")
            with Meanwhile(self._killer.strike, 0.2, 1.0, self._seed):
                self._send(rest[: len(rest) // 2], size.workers_die_seconds)
                # On a busy machine it takes longer until there were enough.
                with contextlib.suppress(TimeoutError):
                    self._wait_for(lambda: self._killer.in_mid_post >= size.kills, size.quiet_seconds / 4)
            self._phase("table denies")
            with table_denies_writes(environment):
                self._send(rest[len(rest) // 2 :], size.table_denies_seconds)
                self._wait_for(lambda: self._denied_writes() >= ENOUGH_DENIED, size.quiet_seconds)
        return paused

    def _recover(self) -> list[str]:
        """End the faults. Returns the dead letters when nothing else is left."""
        self._phase("recovery")
        self._behave()
        # Circuit breakers may stay open for minutes, so their execution environments end too.
        self._killer.kill_all(self._environment.stack.place_call_function_name)
        dead: list[str] = []
        self._wait_for(lambda: self._nothing_left(dead), self._size.quiet_seconds, self._bring_forward_and_sweep)
        return dead

    def _redrive(self, dead: list[str]) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]]]:
        """Send the dead letters again, as an operator does. Returns the dials before and after."""
        self._phase("redrive")
        self._visibility(60)
        before = self._dials()
        for body in dead:
            self._environment.send(body)
        self._wait_for(self._all_ended, self._size.quiet_seconds, self._bring_forward_and_sweep)
        return before, self._dials()

    def _phase(self, name: str) -> None:
        now = time.monotonic()
        if self._phase_now:
            self._seconds[self._phase_now] = now - self._phase_began
        self._phase_now, self._phase_began = name, now

    # What happens.

    def _forging(self) -> Meanwhile:
        return Meanwhile(self._forger.strike, 0.1, 0.6, self._seed)

    def _send(self, request_ids: list[str], seconds: float) -> None:
        """Send each request one to three times, spread over this time."""
        copies = [
            message for message in map(self._message, request_ids) for _ in range(self._dice.choice((1, 1, 2, 3)))
        ]
        cancelled = [name for name in request_ids if self._dice.random() < CANCELLED_SHARE]
        self._cancel_messages += len(cancelled)
        copies += [{"cancel": {"requestId": name}} for name in cancelled]
        self._dice.shuffle(copies)
        self._messages += len(copies)
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(4) as senders:
            for left in range(len(copies), 0, -1):
                senders.submit(self._environment.send, copies[left - 1])
                time.sleep(max(0.0, until - time.monotonic()) / left)

    def _message(self, request_id: str) -> dict[str, Any]:
        _, says = ROLES.get(int(request_id.split("-")[1]) % KINDS, ("", {}))
        return {"requestId": request_id, "phoneNumber": self._dice.choice(NUMBERS), **says}

    def _set_policy(self, document: Mapping[str, Any]) -> float:
        """Put another policy in force, as `calls policy set` does. Returns when."""
        limit = {} if self._size.lines is None else {"maxConcurrentCalls": self._size.lines}
        stored = self._policy.set_policy(json.dumps({**document, **limit}), "chaos", time.time(), self._version)
        self._version = stored.number
        return time.time()

    def _change_policy(self, request_ids: list[str]) -> tuple[float, float]:
        """Pause, take another preset, and open again, while requests come. Returns from when until when it is paused.

        Meanwhile a batch is cancelled, and a number is put on the do-not-call list.
        """
        from_then = self._set_policy(PAUSED) + IN_FORCE_SECONDS
        self._environment.send({"cancel": {"batch": BATCH}})
        self._send(request_ids, IN_FORCE_SECONDS + self._size.paused_seconds)
        self._environment.send({"doNotCall": {"phoneNumber": LISTED}})
        until = time.time()
        self._set_policy(CAUTIOUS)
        time.sleep(1)
        self._set_policy(OPEN)
        return from_then, until

    def _misbehave(self) -> None:
        faults = {name: self._dice.choice(names) for name, names in FAULTS.items()}
        self._faults.update(faults.values())
        self._environment.allomia.configure(**faults, latency_seconds=self._dice.choice((0.3, 0.6, 1.5)))

    def _behave(self) -> None:
        self._environment.allomia.configure(post="ok", webhooks="normal", status="normal", latency_seconds=0.0)

    def _visibility(self, seconds: int) -> None:
        stack = self._environment.stack
        for url in (stack.call_queue_url, stack.resources["HandedOnQueue"]):
            self._environment.cloud.client("sqs").set_queue_attributes(
                QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)}
            )

    def _bring_forward_and_sweep(self) -> None:
        """Make parked attempts due now, instead of in minutes."""
        for call in self._environment.attempts():
            if call["status"] == "scheduled" and call.get("parkReason") not in HELD_BACK:
                self._make_due(call["requestId"], call["attempt"])
        # What policy holds back is the keeper's to let go on.
        self._make_due("~~keeper", 0)
        self._environment.sweep()

    def _make_due(self, request_id: str, attempt: int) -> None:
        dynamodb = self._environment.cloud.client("dynamodb")
        with contextlib.suppress(dynamodb.exceptions.ConditionalCheckFailedException):
            dynamodb.update_item(
                TableName=self._environment.stack.calls_table_name,
                Key={"requestId": {"S": request_id}, "attempt": {"N": str(attempt)}},
                UpdateExpression="SET dueAt = :now",
                ConditionExpression="dueAt > :soon AND (attribute_not_exists(#status) OR #status = :scheduled)",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={
                    ":now": {"N": str(int(time.time()))},
                    ":soon": {"N": str(int(time.time()) + 1)},
                    ":scheduled": {"S": "scheduled"},
                },
            )

    # What is observed.

    def _wait_for(self, probe: Callable[[], bool], seconds: float, meanwhile: Callable[[], None] | None = None) -> None:
        deadline = time.monotonic() + seconds
        swept = 0.0
        while not probe():
            if time.monotonic() > deadline:
                open_calls = {
                    name: f"{call['status']} {call.get('parkReason', '')}".rstrip()
                    for name, call in self._environment.calls().items()
                }
                left = Counter(open_calls.get(name, "no record") for name in self._requests)
                raise TimeoutError(f"seed {self._seed}: not within {seconds} s: {left}")
            if meanwhile is not None and time.monotonic() > swept + 3:
                meanwhile()
                swept = time.monotonic()
            time.sleep(0.5)

    def _queue_is_empty(self) -> bool:
        attributes = self._environment.cloud.client("sqs").get_queue_attributes(
            QueueUrl=self._environment.stack.call_queue_url, AttributeNames=["All"]
        )["Attributes"]
        waiting, handed_out = (
            int(attributes["ApproximateNumberOfMessages"]),
            int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        )
        return waiting == handed_out == 0

    def _nothing_left(self, dead: list[str]) -> bool:
        """Whether the queue is empty and every attempt has ended. Moves dead letters to `dead`."""
        dead += [letter.body for letter in self._environment.dead_letters()]
        return self._queue_is_empty() and all(map(self._rests, self._environment.attempts()))

    def _all_ended(self) -> bool:
        return (
            self._queue_is_empty()
            and self._calls().keys() >= set(self._requests)
            and all(map(self._rests, self._environment.attempts()))
        )

    def _rests(self, attempt: Mapping[str, Any]) -> bool:
        """Whether nothing will happen to an attempt: it has ended for good, or waits for its cap by this policy."""
        if attempt.get("parkReason") == "recipient-cap" and attempt["policyVersion"] == self._version:
            return bool(attempt["dueAt"] > time.time() + 3600)
        return attempt["status"] in TERMINAL and "redialAt" not in attempt

    def _calls(self) -> dict[str, dict[str, Any]]:
        return {each["requestId"]: each for each in self._environment.attempts() if "isDropped" not in each}

    def _dials(self) -> dict[str, tuple[int, int]]:
        dials = self._environment.allomia.dials()
        urls = dials.attempted | dials.accepted
        return {_of_url(url): (dials.attempted.get(url, 0), dials.accepted.get(url, 0)) for url in urls}

    def _remembered_at(self, entry: str, attribute: str) -> float:
        """When the policy table learnt of the batch's cancellation, or of the number on the list."""
        items = self._policy.client.scan(TableName=self._policy.name)["Items"]
        (found,) = (item for item in items if item["entry"]["S"].startswith(entry))
        return float(found[attribute]["N"])

    def _all_published(self, events: list[dict[str, Any]]) -> bool:
        events += self._environment.outcome_events()
        ended = {name for name, call in self._calls().items() if call["status"] in TERMINAL - {"unknown"}}
        return {event["requestId"] for event in events if event["final"]} >= ended

    def _accepted_calls(self) -> dict[str, dict[str, float]]:
        accepted: dict[str, dict[str, float]] = {}
        for call in self._environment.allomia.calls():
            accepted.setdefault(_of_url(call.callback_url), {})[call.outbound_call_id] = call.accepted_at.timestamp()
        return accepted

    def _most_at_once(self) -> int:
        """A call is in progress until AlloMia reported its end, and rings for as long as calls do."""
        rings = timedelta(seconds=self._environment.allomia.faults().ring_seconds)
        changes: list[tuple[datetime, int]] = []
        for call in self._environment.allomia.calls():
            reported = [each.at for each in call.webhooks_sent if each.status in TERMINAL]
            changes += [(call.accepted_at, 1), (min([call.accepted_at + rings, *reported]), -1)]
        return max(itertools.accumulate(change for _, change in sorted(changes)))

    def _denied_writes(self) -> int:
        logs = self._environment.cloud.client("logs")
        groups = [
            self._environment.stack.resources[name]
            for name in ("PlaceCallLogGroup", "ReceiveWebhookLogGroup", "PollCallsLogGroup", "ReleaseLinesLogGroup")
        ]
        return sum(
            "AccessDenied" in event["message"]
            for group in groups
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group)
            for event in page["events"]
        )


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def kind_of(request_id: str) -> str:
    """The kind of a request (see `ROLES`); empty for an ordinary one."""
    return ROLES.get(int(request_id.split("-")[1].split("/")[0]) % KINDS, ("", {}))[0]


def _of_url(callback_url: str) -> str:
    return "/".join(callback_url.split("/")[-3:-1])


def _name(attempt: Mapping[str, Any]) -> str:
    return f"{attempt['requestId']}/{attempt['attempt']}"
