"""Faults while calls are placed: workers are killed, webhooks forged, writes denied, and the poller is stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx

from local.environment import SIGNING_KEY, LocalEnvironment
from outbound_calls.adapters.callback_urls import sign
from outbound_calls.domain.attempts import AttemptKey, RequestKey

NO_ANSWER = 0
"""The worker with a forged webhook was killed, or is still starting."""

ROLES = ("PlaceCallRole", "PollCallsRole", "ReceiveWebhookRole", "ReleaseLinesRole")


def function_workers(environment: LocalEnvironment, function: str) -> list[int]:
    """The ids of the processes that run a function of this cloud."""
    wanted = {
        f"AWS_LAMBDA_FUNCTION_NAME={function}".encode(),
        f"AWS_ENDPOINT_URL={environment.cloud.endpoint_url}".encode(),
    }
    found = []
    for folder in Path("/proc").iterdir():
        # Processes start and end, and not all of them may be read.
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                found.append(int(folder.name))
    return found


def kill(worker: int) -> bool:
    """Send SIGKILL, as when Lambda loses the machine. Returns whether there was such a process."""
    try:
        os.kill(worker, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


class Meanwhile:
    """Repeats something in a thread of its own, at random intervals, while the context is open."""

    def __init__(self, do: Callable[[], None], least: float, most: float, seed: int) -> None:
        self._do, self._least, self._most = do, least, most
        self._dice = Random(seed)  # noqa: S311
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(60)
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._stopped.wait(self._dice.uniform(self._least, self._most)):
                self._do()
        except Exception as error:  # noqa: BLE001 - raised again when the context ends
            self._error = error


class Killer:
    """Kills workers: all of place_call when a POST has just arrived at AlloMia, or one of another function."""

    def __init__(self, environment: LocalEnvironment, seed: int, *, with_lines: bool = False) -> None:
        self._environment = environment
        self._dice = Random(seed)  # noqa: S311
        stack = environment.stack
        self._others = [stack.receive_webhook_function_name, stack.poll_calls_function_name]
        if with_lines:
            self._others.append(stack.resources["ReleaseLinesFunction"])
        self.kills: Counter[str] = Counter()
        self.in_mid_post = 0
        """How often AlloMia had a POST that it did not answer yet."""

    def strike(self) -> None:
        stack = self._environment.stack
        if self._dice.random() < 0.2:
            other = self._dice.choice(self._others)
            self._kill(other, function_workers(self._environment, other)[:1])
            return
        # If no POST arrives, the circuit breakers may be open. New workers start with new ones.
        self.in_mid_post += self._post_arrives()
        self.kill_all(stack.place_call_function_name)

    def kill_all(self, function: str) -> None:
        """Kill every worker of a function."""
        self._kill(function, function_workers(self._environment, function))

    def _kill(self, function: str, workers: list[int]) -> None:
        self.kills[function] += sum(kill(worker) for worker in workers)

    def _post_arrives(self) -> bool:
        """Wait up to 20 s for a POST, since a new worker takes seconds to start. AlloMia answers none at once."""
        before = self._posts()
        for _ in range(200):
            if self._posts() > before:
                return True
            time.sleep(0.1)
        return False

    def _posts(self) -> int:
        return sum(self._environment.allomia.dials().attempted.values())


class Forger:
    """Sends outcomes that are not from AlloMia, to URLs that this stack did not sign for that attempt."""

    def __init__(self, environment: LocalEnvironment, request_ids: list[str], seed: int) -> None:
        self._environment, self._request_ids = environment, request_ids
        self._dice = Random(seed)  # noqa: S311
        self.answers: Counter[int] = Counter()

    def strike(self) -> None:
        victim, other = self._dice.sample(self._request_ids, 2)
        attempt, signature = self._dice.choice(
            [
                (1, sign("guess", _key(victim, 1))),
                (1, sign(SIGNING_KEY, _key(other, 1))),
                (1, sign(SIGNING_KEY, _key(victim, 2))),
                (2, sign(SIGNING_KEY, _key(victim, 1))),
                (1, sign(SIGNING_KEY, _key(victim, 1))[:-1]),
                (1, "A" * 43),
            ]
        )
        outcome = {
            "outboundCallId": str(UUID(int=self._dice.getrandbits(128))),
            "status": self._dice.choice(["completed", "failed", "busy", "no-answer"]),
        }
        url = f"{self._environment.stack.api_url}/webhooks/allomia/{victim}/{attempt}/{signature}"
        try:
            code = httpx.post(url, content=json.dumps(outcome), trust_env=False, timeout=15).status_code
        except httpx.TransportError:
            code = NO_ANSWER
        self.answers[code] += 1


@contextlib.contextmanager
def table_denies_writes(environment: LocalEnvironment) -> Iterator[None]:
    """Deny the table to every function's role meanwhile, so that its writes get AccessDenied."""
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*"}]}
    iam = _client(environment, "iam")
    roles = [environment.stack.resources[role] for role in ROLES]
    try:
        for role in roles:
            iam.put_role_policy(RoleName=role, PolicyName="NoTable", PolicyDocument=json.dumps(deny))
        yield
    finally:
        for role in roles:
            iam.delete_role_policy(RoleName=role, PolicyName="NoTable")


@contextlib.contextmanager
def poller_stopped(environment: LocalEnvironment) -> Iterator[None]:
    """Disable the schedule that starts the poller meanwhile."""
    scheduler = _client(environment, "scheduler")
    _switch(scheduler, "DISABLED")
    try:
        yield
    finally:
        _switch(scheduler, "ENABLED")


def _switch(scheduler: Any, state: str) -> None:
    for entry in scheduler.list_schedules()["Schedules"]:
        schedule = scheduler.get_schedule(Name=entry["Name"], GroupName=entry["GroupName"])
        kept = ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target")
        scheduler.update_schedule(**{name: schedule[name] for name in kept}, State=state)


def _client(environment: LocalEnvironment, service: str) -> Any:
    client: Any = environment.cloud.client
    return client(service)


def _key(request_id: str, attempt: int) -> AttemptKey:
    return AttemptKey(RequestKey(request_id), attempt)
