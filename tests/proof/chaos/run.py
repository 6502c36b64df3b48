"""A run: requests pass through the deployed stack while everything fails. Then the faults end, and it must recover."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any

from local.environment import LocalEnvironment
from local.simulator.behaviours import OVER_HTTP, STATUS_ANSWERS, WEBHOOKS
from tests.proof.chaos.saboteurs import (
    Forger,
    Killer,
    Meanwhile,
    poller_stopped,
    table_denies_writes,
)

TERMINAL = {"completed", "failed", "busy", "no-answer", "rejected", "unknown"}

NUMBERS = ("+15005550100", "+15005550101", "+15005550102", "+15005550103", "+14155550199")
"""Answered, busy, not answered, failed, and a number without a meaning, which is answered."""

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
    allomia_fails_seconds: float
    workers_die_seconds: float
    kills: int
    """While AlloMia has a POST that it did not answer yet, if there are that many."""
    table_denies_seconds: float
    quiet_seconds: float


@dataclass(frozen=True)
class ChaosResult:
    """The state after a run."""

    requests: frozenset[str]
    messages: int
    calls: Mapping[str, Mapping[str, Any]]
    dials: Mapping[str, tuple[int, int]]
    accepted_calls: Mapping[str, frozenset[str]]
    """The ids of the calls that AlloMia accepted, by request."""
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
        sources = Counter(call["outcomeSource"] for call in self.calls.values())
        return (
            f"{len(self.requests)} requests in {self.messages} messages; "
            f"{sum(self.kills.values())} workers killed at {self.in_mid_post} "
            f"POSTs, faults set {sum(self.faults.values())} times in "
            f"{len(self.faults)} kinds, {sum(self.forged.values())} forged webhooks, "
            f"{self.denied_writes} writes denied; {_list(statuses)}; by {_list(sources)}; "
            f"{sum(tried for tried, _ in self.dials.values())} POSTs, "
            f"{sum(taken for _, taken in self.dials.values())} accepted, "
            f"double dials {sum(taken > 1 for _, taken in self.dials.values())}; "
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
        self._faults: Counter[str] = Counter()
        self._seconds: dict[str, float] = {}
        self._phase_now, self._phase_began = "", time.monotonic()
        self._killer = Killer(environment, seed)
        self._forger = Forger(environment, self._requests, seed)

    def play(self) -> ChaosResult:
        self._phase("AlloMia fails")
        environment, size = self._environment, self._size
        half = size.requests // 3
        environment.allomia.configure(seed=self._seed, hang_seconds=20.0, late_seconds=25.0, probability=0.35)

        # AlloMia fails, and no sweep runs
        with poller_stopped(environment), self._forging(), Meanwhile(self._misbehave, 0.5, 1.5, self._seed):
            self._send(self._requests[:half], size.allomia_fails_seconds)
        self._phase("queue empties")
        self._wait_for(self._queue_is_empty, size.quiet_seconds)
        dead_by_allomia = len(environment.dead_letters())

        # This stack fails as well: first its workers, then its table
        self._visibility(HASTY_VISIBILITY_SECONDS)
        rest = self._requests[half:]
        with (
            self._forging(),
            Meanwhile(self._misbehave, 0.5, 1.5, self._seed + 1),
            Meanwhile(environment.sweep, 4.0, 8.0, self._seed),
        ):
            self._phase("workers are killed")
            self._killer.kill_all(environment.stack.place_call_function_name)
            with Meanwhile(self._killer.strike, 0.2, 1.0, self._seed):
                self._send(rest[: len(rest) // 2], size.workers_die_seconds)
                # On a busy machine it takes longer until there were enough.
                with contextlib.suppress(TimeoutError):
                    self._wait_for(lambda: self._killer.in_mid_post >= size.kills, size.quiet_seconds / 4)
            self._phase("table denies")
            with table_denies_writes(environment):
                self._send(rest[len(rest) // 2 :], size.table_denies_seconds)
                self._wait_for(lambda: self._denied_writes() >= ENOUGH_DENIED, size.quiet_seconds)

        # The faults end. Circuit breakers may stay open for minutes, so their execution environments end too
        self._phase("recovery")
        self._behave()
        self._killer.kill_all(environment.stack.place_call_function_name)
        dead: list[str] = []
        self._wait_for(lambda: self._nothing_left(dead), size.quiet_seconds, self._bring_forward_and_sweep)

        # An operator redrives the dead letters
        self._phase("redrive")
        self._visibility(60)
        before = environment.dials()
        for body in dead:
            environment.send(body)
        self._wait_for(self._all_ended, size.quiet_seconds, self._bring_forward_and_sweep)
        after = environment.dials()
        events: list[dict[str, Any]] = []
        self._phase("events")
        with contextlib.suppress(TimeoutError):
            self._wait_for(lambda: self._all_published(events), 30)
        self._phase("end")
        return ChaosResult(
            requests=frozenset(self._requests),
            messages=self._messages,
            calls=environment.calls(),
            dials=after,
            accepted_calls=self._accepted_calls(),
            invalid_messages=len(environment.invalid_messages()),
            dead_by_allomia=dead_by_allomia,
            dead=dead,
            dialled_by_redrive={
                name: (before[name][0], after[name][0])
                for name in {json.loads(body).get("requestId") for body in dead} & before.keys()
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
        numbers = {request_id: self._dice.choice(NUMBERS) for request_id in request_ids}
        copies = [
            {"requestId": request_id, "phoneNumber": number}
            for request_id, number in numbers.items()
            for _ in range(self._dice.choice((1, 1, 2, 3)))
        ]
        self._dice.shuffle(copies)
        self._messages += len(copies)
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(4) as senders:
            for left in range(len(copies), 0, -1):
                senders.submit(self._environment.send, copies[left - 1])
                time.sleep(max(0.0, until - time.monotonic()) / left)

    def _misbehave(self) -> None:
        faults = {name: self._dice.choice(names) for name, names in FAULTS.items()}
        self._faults.update(faults.values())
        self._environment.allomia.configure(**faults, latency_seconds=self._dice.choice((0.3, 0.6, 1.5)))

    def _behave(self) -> None:
        self._environment.allomia.configure(post="ok", webhooks="normal", status="normal", latency_seconds=0.0)

    def _visibility(self, seconds: int) -> None:
        self._environment.cloud.client("sqs").set_queue_attributes(
            QueueUrl=self._environment.stack.call_queue_url, Attributes={"VisibilityTimeout": str(seconds)}
        )

    def _bring_forward_and_sweep(self) -> None:
        """Make parked attempts due now, instead of in minutes."""
        dynamodb = self._environment.cloud.client("dynamodb")
        for request_id, call in self._environment.calls().items():
            if call["status"] == "scheduled" and call["dueAt"] > time.time() + 1:
                with contextlib.suppress(dynamodb.exceptions.ConditionalCheckFailedException):
                    dynamodb.update_item(
                        TableName=self._environment.stack.calls_table_name,
                        Key={"requestId": {"S": request_id}, "attempt": {"N": "1"}},
                        UpdateExpression="SET dueAt = :now",
                        ConditionExpression="#status = :scheduled",
                        ExpressionAttributeNames={"#status": "status"},
                        ExpressionAttributeValues={
                            ":now": {"N": str(int(time.time()))},
                            ":scheduled": {"S": "scheduled"},
                        },
                    )
        self._environment.sweep()

    # What is observed.

    def _wait_for(self, probe: Callable[[], bool], seconds: float, meanwhile: Callable[[], None] | None = None) -> None:
        deadline = time.monotonic() + seconds
        swept = 0.0
        while not probe():
            if time.monotonic() > deadline:
                open_calls = {name: call["status"] for name, call in self._environment.calls().items()}
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
        return self._queue_is_empty() and all(call["status"] in TERMINAL for call in self._environment.calls().values())

    def _all_ended(self) -> bool:
        calls = self._environment.calls()
        return self._queue_is_empty() and all(
            calls.get(request_id, {}).get("status") in TERMINAL for request_id in self._requests
        )

    def _all_published(self, events: list[dict[str, Any]]) -> bool:
        events += self._environment.outcome_events()
        return {event["requestId"] for event in events} >= set(self._requests)

    def _accepted_calls(self) -> dict[str, frozenset[str]]:
        accepted_calls: dict[str, set[str]] = {}
        for call in self._environment.allomia.calls():
            accepted_calls.setdefault(call.callback_url.split("/")[-3], set()).add(call.outbound_call_id)
        return {name: frozenset(ids) for name, ids in accepted_calls.items()}

    def _denied_writes(self) -> int:
        logs = self._environment.cloud.client("logs")
        groups = [
            self._environment.stack.resources[name]
            for name in ("PlaceCallLogGroup", "ReceiveWebhookLogGroup", "PollCallsLogGroup")
        ]
        return sum(
            "AccessDenied" in event["message"]
            for group in groups
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group)
            for event in page["events"]
        )


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
