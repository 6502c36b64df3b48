"""The stack on virtual time: the real use cases and circuit breakers between a queue and a table in memory.

It simulates AWS as its documentation describes it: batches of ten; a maximum concurrency; execution environments that
are kept for some time, each with a circuit breaker of its own; a sweep every minute in pages of 50, under the poller's
rate limit and its limits of time; redelivery when a message's visibility timeout ends; a dead-letter queue after five
receives; and the table's stream to release_lines, whose queue has workers of its own.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from random import Random
from typing import Any, NamedTuple, cast, override

from outbound_calls.adapters.calls_table import DueEntry
from outbound_calls.adapters.due_entries import DueBatch, DueKeeper, due_entry
from outbound_calls.adapters.policy_table import PolicyTable
from outbound_calls.adapters.rate_limiter import RateLimiter
from outbound_calls.contracts.vocabulary import Preset
from outbound_calls.domain.transitions import TERMINAL
from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings.place_call import PlaceCallSettings
from outbound_calls.runtime.settings.poll_calls import PollCallsSettings
from outbound_calls.runtime.settings.receive_webhook import ReceiveWebhookSettings
from outbound_calls.runtime.settings.release_lines import ReleaseLinesSettings
from outbound_calls.runtime.workers import WORKERS
from outbound_calls.use_cases.place import Message, PlaceCalls
from outbound_calls.use_cases.polls import SECONDS_TO_POLL
from outbound_calls.use_cases.receive import Webhook
from outbound_calls.use_cases.release_lines import ReleaseLines
from tests.proof.explorer.table import Item, Key, TableInMemory, key_of
from tests.proof.outage.allomia import AllomiaWithOutage, Kind
from tests.proof.outage.virtual_time import VirtualTime
from tests.unit.parts import API_KEY, ASSISTANT_ID, PHONE_NUMBER, PHONE_NUMBER_ID, SecretsInMemory

# The template's values and defaults; test_outage.py compares them with it.
BATCH_SIZE = 10
MAX_WORKERS = 5
HANDED_ON_WORKERS = 2
STREAM_BATCH_SIZE, STREAM_READERS = 10, 4
PLACE_CALL_TIMEOUT = 45.0
POLL_CALLS_TIMEOUT = 60.0
RELEASE_LINES_TIMEOUT = 30.0
VISIBILITY_TIMEOUT = 270.0
MAX_RECEIVES = 5
PAGE_SIZE = 50
DUE_SHARDS = 4
GRACE_SECONDS = 180
DEADLINE_SECONDS = 7200
RETENTION_DAYS = 90
SWEEP_EVERY = 60.0
NO_PAGE_AFTER, NO_POLL_AFTER = 50.0, 59.0
"""How long after its start a sweep still begins with a page, and a page with an attempt."""

MAX_POLLS_PER_SECOND = 100

READ_SECONDS, WRITE_SECONDS = 0.004, 0.008
"""What a consistent read and a conditional write take. Sending a message takes as long as a write."""

ENTRY_SECONDS = 0.00002
"""What each item of a query's answer adds."""

BATCHING_SECONDS = 0.02
STREAM_SECONDS = 0.25
"""Lambda reads a shard of a stream four times a second."""

IDLE_SECONDS = 420.0
"""An execution environment that was idle for this long is removed, and its circuit breaker with it."""

LIFE_SECONDS = (1500.0, 2700.0)
"""Busy ones are replaced too. On AWS that happens about every two hours, so this is the harder case."""

KEEPER_NUMBER = 0
"""The attempt number of a keeper, which is no attempt."""

UNDER_WAY = 50
SECONDS_BEFORE = 30.0
"""How long before the outage the calls start that are under way when it begins. They ring for longer."""

WEBHOOK_URL = "https://stack.invalid/webhooks/allomia"
CALL_QUEUE_URL = "https://sqs.invalid/calls"
HANDED_ON_QUEUE_URL = "https://sqs.invalid/handed-on"
_STARTED_AT = 1_800_000_000.0

_COMMON: dict[str, Any] = {
    "powertools_service_name": "outage",
    "powertools_metrics_namespace": "outage",
    "calls_table_name": "calls",
    "retention_days": RETENTION_DAYS,
}
_ALLOMIA: dict[str, Any] = {"allomia_api_key_secret_arn": "key", "allomia_base_url": "https://allomia.invalid"}
_PLACE_CALL = PlaceCallSettings(
    **_COMMON,
    **_ALLOMIA,
    policy_table_name="policy",
    number_hash_secret_arn="number-hash",
    calling_policy=Preset.OPEN,
    invalid_messages_queue_url="https://sqs.invalid/invalid-messages",
    handed_on_queue_url=HANDED_ON_QUEUE_URL,
    call_deadline_seconds=DEADLINE_SECONDS,
    signing_secret_arn="signing",
    webhook_url=WEBHOOK_URL,
    default_assistant_id=ASSISTANT_ID,
    default_phone_number_id=PHONE_NUMBER_ID,
    webhook_grace_seconds=GRACE_SECONDS,
    due_shards=DUE_SHARDS,
)
_RECEIVE_WEBHOOK = ReceiveWebhookSettings(**_COMMON, signing_secret_arn="signing")
_RELEASE_LINES = ReleaseLinesSettings(
    **_COMMON, policy_table_name="policy", calling_policy=Preset.OPEN, handed_on_queue_url=HANDED_ON_QUEUE_URL
)
_POLL_CALLS = PollCallsSettings(
    **_COMMON,
    **_ALLOMIA,
    policy_table_name="policy",
    calling_policy=Preset.OPEN,
    call_queue_url=CALL_QUEUE_URL,
    handed_on_queue_url=HANDED_ON_QUEUE_URL,
    webhook_grace_seconds=GRACE_SECONDS,
    call_deadline_seconds=DEADLINE_SECONDS,
    due_shards=DUE_SHARDS,
    max_polls_per_second=MAX_POLLS_PER_SECOND,
)


class _Items(dict[Key, Item]):
    """The items of a table, with an index of what waits, and of what is due: tables of thousands are read often."""

    def __init__(self) -> None:
        super().__init__()
        self.index: dict[str, dict[str, list[tuple[float, Key]]]] = {name: defaultdict(list) for name in _INDEXES}

    @override
    def __setitem__(self, key: Key, item: Item) -> None:
        self._leave(key)
        super().__setitem__(key, item)
        for name, (partition, sort) in _INDEXES.items():
            if partition in item:
                insort(self.index[name][_text(item[partition])], (float(item[sort]["N"]), key))

    @override
    def pop(self, key: Key, *default: Any) -> Any:
        self._leave(key)
        return super().pop(key, *default)

    def _leave(self, key: Key) -> None:
        item = self.get(key, {})
        for name, (partition, sort) in _INDEXES.items():
            if partition in item:
                entries = self.index[name][_text(item[partition])]
                del entries[bisect_left(entries, (float(item[sort]["N"]), key))]


_INDEXES = {"due": ("dueShard", "dueAt"), "waiting": ("waitsFor", "waitsSince")}


def _text(value: Mapping[str, str]) -> str:
    return next(iter(value.values()))


class CallsInMemory(TableInMemory):
    """The calls table in memory, with thousands of attempts. `written` gets each item that is put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[Key, Item] = _Items()
        self.written: Callable[[Item], None] = lambda _: None

    @override
    def put_item(self, **arguments: Any) -> dict[str, Any]:
        answer = super().put_item(**arguments)
        self.written(self.items[key_of(arguments["Item"])])
        return answer

    @override
    def update_item(self, **arguments: Any) -> dict[str, Any]:
        answer = super().update_item(**arguments)
        self.written(self.items[key_of(arguments["Key"])])
        return answer

    @override
    def transact_write_items(self, **arguments: Any) -> dict[str, Any]:
        before = self.items
        parts = [part for each in arguments["TransactItems"] for part in each.values()]
        keys = [key_of(part.get("Key") or part["Item"]) for part in parts]
        self.items = {key: before[key] for key in keys if key in before}
        try:
            answer = super().transact_write_items(**arguments)
        finally:
            after, self.items = self.items, before
        for key in keys:
            self.items[key] = after[key]
            self.written(after[key])
        return answer

    @override
    def query(self, **arguments: Any) -> dict[str, Any]:
        """What waits for one condition, or is due in one shard, is found without looking at all items."""
        values = arguments["ExpressionAttributeValues"]
        match arguments.get("IndexName"), arguments["KeyConditionExpression"]:
            case "waiting", "waitsFor = :condition":
                entries = self._entries("waiting", values[":condition"])
                del entries[arguments["Limit"] :]
            case "due", "dueShard = :shard AND dueAt <= :sweptAt":
                entries = self._entries("due", values[":shard"])
                del entries[bisect_left(entries, (float(values[":sweptAt"]["N"]) + 1e-6,)) :]
            case _:
                return super().query(**arguments)
        return TableInMemory({key: self.items[key] for _, key in entries}).query(**arguments)

    def _entries(self, index: str, partition: Mapping[str, str]) -> list[Any]:
        return list(cast("_Items", self.items).index[index][_text(partition)])


@dataclass
class _SlowTables:
    """The tables in memory, by name. Reads and writes take time."""

    tables: Mapping[str, TableInMemory]
    time: VirtualTime
    exceptions: Any = TableInMemory.exceptions

    def get_item(self, **arguments: Any) -> Any:
        # The policy document is read under a lock, and a thread that waits for a lock lets no virtual time pass.
        if arguments["TableName"] != "policy":
            self.time.sleep(READ_SECONDS)
        return self.tables[arguments["TableName"]].get_item(**arguments)

    def put_item(self, **arguments: Any) -> Any:
        self.time.sleep(WRITE_SECONDS)
        return self.tables[arguments["TableName"]].put_item(**arguments)

    def update_item(self, **arguments: Any) -> Any:
        self.time.sleep(WRITE_SECONDS)
        return self.tables[arguments["TableName"]].update_item(**arguments)

    def delete_item(self, **arguments: Any) -> Any:
        self.time.sleep(WRITE_SECONDS)
        return self.tables[arguments["TableName"]].delete_item(**arguments)

    def transact_write_items(self, **arguments: Any) -> Any:
        self.time.sleep(WRITE_SECONDS)
        return self.tables["calls"].transact_write_items(**arguments)

    def query(self, **arguments: Any) -> Any:
        answer = self.tables[arguments["TableName"]].query(**arguments)
        self.time.sleep(READ_SECONDS + ENTRY_SECONDS * answer["Count"])
        return answer

    def get_paginator(self, operation: str) -> Any:
        assert operation == "query"
        return self

    def paginate(self, **arguments: Any) -> Iterator[Any]:
        yield self.query(**arguments, Limit=100_000)


class _Queued(NamedTuple):
    body: str
    sent_at: float
    receives: int = 0


@dataclass
class _Queue:
    """A queue that place_call reads with at most so many workers. Messages wait in `waiting`."""

    workers: int
    waiting: list[_Queued] = field(default_factory=list)
    busy: int = 0


@dataclass
class _Queues:
    """Answers as an SQS client does."""

    time: VirtualTime
    queues: Mapping[str, _Queue]
    arrived: Callable[[_Queue], None]

    def send_message(self, *, QueueUrl: str, MessageBody: str, DelaySeconds: int = 0) -> dict[str, str]:  # noqa: N803 - boto3's names
        self.time.sleep(WRITE_SECONDS)
        queue, message = self.queues[QueueUrl], _Queued(MessageBody, self.time.now)
        if DelaySeconds:
            self.time.after(DelaySeconds, lambda: self.deliver(queue, message))
        else:
            self.deliver(queue, message)
        return {"MessageId": "m"}

    def send_message_batch(self, *, QueueUrl: str, Entries: list[Any]) -> dict[str, list[str]]:  # noqa: N803 - boto3's names
        self.time.sleep(WRITE_SECONDS)
        queue = self.queues[QueueUrl]
        for entry in Entries:
            message = _Queued(entry["MessageBody"], self.time.now)
            self.time.after(entry["DelaySeconds"], lambda m=message: self.deliver(queue, m))  # type: ignore[misc]
        return {"Failed": []}

    def deliver(self, queue: _Queue, message: _Queued) -> None:
        queue.waiting.append(message)
        self.arrived(queue)


class _Stream:
    """The part of the table's stream that release_lines gets: attempts with a line that aren't in progress."""

    def __init__(self, time: VirtualTime, release_lines: ReleaseLines) -> None:
        self._time, self._release_lines = time, release_lines
        self._records: list[Item] = []
        self._readers = 0

    def written(self, item: Item) -> None:
        """Take what was written to the table."""
        if "line" in item and item["status"]["S"] not in {"dispatching", "calling"}:
            self._records.append(item)
            if len(self._records) == 1:
                self._time.after(STREAM_SECONDS, self._read)

    def _read(self) -> None:
        while self._records and self._readers < STREAM_READERS:
            batch, self._records[:] = self._records[:STREAM_BATCH_SIZE], self._records[STREAM_BATCH_SIZE:]
            self._readers += 1
            self._time.after(0.0, lambda images=batch: self._invoke(images))  # type: ignore[misc]

    def _invoke(self, images: list[Item]) -> None:
        released = self._release_lines.release(images, lambda: RELEASE_LINES_TIMEOUT)
        assert not released.unreadable
        self._readers -= 1
        self._read()


@dataclass
class _Environment:
    """An execution environment of place_call."""

    place_calls: PlaceCalls
    created_at: float
    life_seconds: float
    used_at: float


@dataclass(frozen=True)
class OutageFigures:
    """The results of one outage. Seconds are virtual."""

    kind: str
    queued: int
    tried: int
    """POSTs while AlloMia was down."""
    unknown: int
    rung_twice: int
    dead_letters: int
    longest_batch: float
    first_call: float
    """From the recovery to the first call placed."""
    last_call: float
    settled: float
    """From the recovery until every attempt that isn't `unknown` has its outcome."""
    polled: int
    """Calls under way when the outage began, whose webhook was lost and whose outcome the poller found."""
    statuses: Mapping[str, int]
    environments: int

    def __str__(self) -> str:
        statuses = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.kind:24} {self.queued:5} queued: {self.tried:4} POSTs tried, {self.unknown:3} unknown, "
            f"{self.rung_twice} rung twice, {self.dead_letters} dead letters; after the recovery the first call "
            f"{self.first_call:4.0f} s, the last {self.last_call:5.0f} s, all outcomes {self.settled:5.0f} s; "
            f"{self.environments} environments; {statuses}, {self.polled} of them polled"
        )


class Polled(NamedTuple):
    """A due attempt that a sweep looked at, and how many seconds after it was due."""

    request_id: str
    seconds_late: float


class StackOnVirtualTime:
    """See the module. `seed` decides the jitter, and which environment gets a batch. Without an outage it is healthy.

    `first_sweep`: when in the first minute the first sweep comes, as a part of it; None: by chance.

    The webhook of a request whose id begins with `LOST` never comes.
    """

    LOST = "lost"

    def __init__(
        self,
        time: VirtualTime,
        seed: int,
        kind: Kind = Kind.DOWN_503,
        outage: float = 0.0,
        first_sweep: float | None = None,
    ) -> None:
        self.time = time
        self._dice = Random(seed)  # noqa: S311
        self.table, policy_table = CallsInMemory(), TableInMemory()
        self.policy_table = PolicyTable(cast("Any", policy_table), "policy")
        fails_from = time.now + SECONDS_BEFORE
        self.allomia = AllomiaWithOutage(time, kind, fails_from, fails_from + outage, self._webhook)
        self._queue = _Queue(MAX_WORKERS)
        queues = {CALL_QUEUE_URL: self._queue, HANDED_ON_QUEUE_URL: _Queue(HANDED_ON_WORKERS)}
        self._queues = _Queues(time, queues, self._arrived)
        services = {
            "dynamodb": _SlowTables({"calls": self.table, "policy": policy_table}, time),
            "sqs": self._queues,
            # One text for both secrets.
            "secretsmanager": SecretsInMemory({"AWSCURRENT": API_KEY}),
        }
        self._assembly = Assembly(
            client=lambda service, *_: services[service],
            transport=self.allomia,
            clock=time.clock,
            monotonic=time.clock,
            jitter=self._dice.uniform,
        )
        self._receive_webhooks = self._assembly.receive_webhooks(_RECEIVE_WEBHOOK)
        self._poll_calls = self._assembly.poll_calls(_POLL_CALLS)
        self.table.written = _Stream(time, self._assembly.release_lines(_RELEASE_LINES)).written
        self._idle: list[_Environment] = []
        self.environments = 0
        self.dead_letters: list[str] = []
        self.longest_batch = 0.0
        self.polled: list[Polled] = []
        self.longest_sweep = 0.0
        time.after(SWEEP_EVERY * (self._dice.random() if first_sweep is None else first_sweep), self._sweep)

    def send(self, request_id: str, **fields: object) -> None:
        """Send a request for a call."""
        body = {"requestId": request_id, "phoneNumber": PHONE_NUMBER} | fields
        self._queues.deliver(self._queue, _Queued(json.dumps(body), self.time.now))

    def statuses(self) -> dict[str, str]:
        """The status of each request."""
        return {
            request_id: item["status"]["S"]
            for (request_id, number), item in self.table.items.items()
            if number != KEEPER_NUMBER
        }

    def ended(self, requests: int) -> bool:
        """Whether this many requests exist and all have an outcome."""
        statuses = self.statuses()
        return len(statuses) == requests and all(status in TERMINAL for status in statuses.values())

    # place_call

    def _environment(self) -> _Environment:
        self.environments += 1
        place_calls = self._assembly.place_calls(_PLACE_CALL)
        return _Environment(place_calls, self.time.now, self._dice.uniform(*LIFE_SECONDS), self.time.now)

    def _arrived(self, queue: _Queue) -> None:
        if len(queue.waiting) == 1:
            self.time.after(BATCHING_SECONDS, lambda: self._hand_out(queue))

    def _hand_out(self, queue: _Queue) -> None:
        while (waiting := queue.waiting) and queue.busy < queue.workers:
            batch, waiting[:] = waiting[:BATCH_SIZE], waiting[BATCH_SIZE:]
            now = self.time.now
            self._idle = [
                each
                for each in self._idle
                if now - each.used_at < IDLE_SECONDS and now - each.created_at < each.life_seconds
            ]
            queue.busy += 1
            environment = self._idle.pop(self._dice.randrange(len(self._idle))) if self._idle else self._environment()
            self.time.after(0.0, lambda e=environment, b=batch: self._invoke(queue, e, b))  # type: ignore[misc]

    def _invoke(self, queue: _Queue, environment: _Environment, batch: list[_Queued]) -> None:
        started_at = self.time.now

        def seconds_left() -> float:
            return started_at + PLACE_CALL_TIMEOUT - self.time.now

        def place(queued: _Queued) -> None:
            message = Message(f"m-{started_at}", queued.body, seconds_left, queued.sent_at)
            try:
                environment.place_calls.place(message)
            except Exception:  # noqa: BLE001 - as the handler does
                received = queued._replace(receives=queued.receives + 1)
                if received.receives >= MAX_RECEIVES:
                    self.dead_letters.append(queued.body)
                else:
                    self.time.after(VISIBILITY_TIMEOUT, lambda: self._queues.deliver(queue, received))

        assert len(batch) <= WORKERS
        self.time.side_by_side([lambda m=message: place(m) for message in batch])  # type: ignore[misc]
        self.longest_batch = max(self.longest_batch, self.time.now - started_at)
        environment.used_at = self.time.now
        self._idle.append(environment)
        queue.busy -= 1
        self._hand_out(queue)

    # poll_calls

    def _sweep(self) -> None:
        self.time.after(SWEEP_EVERY, self._sweep)
        swept_at = int(self.time.now)
        self.time.side_by_side([lambda s=shard: self._sweep_shard(s, swept_at) for shard in range(DUE_SHARDS)])  # type: ignore[misc]
        self.longest_sweep = max(self.longest_sweep, self.time.now - swept_at)

    def _sweep_shard(self, shard: int, swept_at: int) -> None:
        due = self.table.query(
            TableName="calls",
            IndexName="due",
            KeyConditionExpression="dueShard = :shard AND dueAt <= :sweptAt",
            ExpressionAttributeValues={":shard": {"N": str(shard)}, ":sweptAt": {"N": str(swept_at)}},
            Limit=len(self.table.items) + 1,
        )["Items"]
        for first in range(0, len(due), PAGE_SIZE):
            if first and self.time.now >= swept_at + NO_PAGE_AFTER:
                return
            self._poll_page([due_entry(item) for item in due[first : first + PAGE_SIZE]], swept_at + NO_POLL_AFTER)

    def _poll_page(self, page: list[DueEntry | DueKeeper | DueBatch], until: float) -> None:
        started_at = self.time.now
        limiter = RateLimiter(_POLL_CALLS.polls_per_second, self.time.clock, self.time.sleep)

        def seconds_left() -> float:
            return started_at + POLL_CALLS_TIMEOUT - self.time.now

        def thread() -> None:
            while page:
                due = page.pop(0)
                if isinstance(due, DueKeeper):
                    self._poll_calls.keep(due, seconds_left)
                elif isinstance(due, DueBatch):
                    self._poll_calls.cancel_batch(due, seconds_left)
                elif limiter.acquire(min(seconds_left() - SECONDS_TO_POLL, until - self.time.now)):
                    self.polled.append(Polled(due.key.request.request_id, self.time.now - due.due_at))
                    self._poll_calls.poll(due, seconds_left)

        self.time.side_by_side([thread] * WORKERS)

    # receive_webhook

    def _webhook(self, url: str, body: Mapping[str, object]) -> None:
        request_id, attempt, signature = url.removeprefix(f"{WEBHOOK_URL}/").split("/")
        if request_id.startswith(self.LOST):
            return
        report = {name: body[name] for name in ("outboundCallId", "status")}
        receipt = self._receive_webhooks.receive(Webhook(request_id, attempt, signature, json.dumps(report)))
        assert receipt.status is HTTPStatus.OK


def play(kind: Kind, queued: int, seed: int = 1, outage: float = 3600.0) -> OutageFigures:
    """Simulate one outage, with calls queued and under way when it begins, until all of them have ended."""
    with VirtualTime(_STARTED_AT) as time:
        stack = StackOnVirtualTime(time, seed, kind, outage)

        def queue_up(name: str, count: int) -> None:
            for number in range(count):
                stack.send(f"{name}-{number}")

        time.after(1.0, lambda: queue_up("under-way", UNDER_WAY))
        time.after(SECONDS_BEFORE, lambda: queue_up("queued", queued))
        time.run(lambda: stack.ended(UNDER_WAY + queued) or time.now > _STARTED_AT + 30 * 3600)
        recovered = stack.allomia.fails_until
        statuses = stack.statuses()
        accepted_at = [call.accepted_at.timestamp() for call in stack.allomia.calls()]
        placed = [moment - recovered for moment in accepted_at if moment >= recovered]
        outcomes = [
            float(Decimal(item["recordedAt"]["N"])) - recovered
            for item in stack.table.items.values()
            if item["status"]["S"] != "unknown" and "recordedAt" in item
        ]
        return OutageFigures(
            kind=kind.value,
            queued=queued,
            tried=stack.allomia.posts_in_outage,
            unknown=sum(status == "unknown" for status in statuses.values()),
            rung_twice=sum(count > 1 for count in stack.allomia.dials().accepted.values()),
            dead_letters=len(stack.dead_letters),
            longest_batch=stack.longest_batch,
            first_call=min(placed, default=0.0),
            last_call=max(placed, default=0.0),
            settled=max(outcomes, default=0.0),
            polled=sum(item.get("outcomeSource") == {"S": "poll"} for item in stack.table.items.values()),
            statuses={status: list(statuses.values()).count(status) for status in set(statuses.values())},
            environments=stack.environments,
        )
