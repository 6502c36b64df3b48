"""The stack on virtual time: the real use cases, breakers and ledger, between a queue and a table in memory.

What AWS does is played as its documentation has it: batches of ten, a maximum concurrency, execution environments that
are kept for a while and each have a breaker of their own, a sweep every minute in pages of 50, redelivery when a
message's visibility timeout ends, and a dead-letter queue after five receives.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from random import Random
from typing import TYPE_CHECKING, Any, cast

from outbound_calls.allomia import AllomiaClient, http_client
from outbound_calls.breaker import Breaker
from outbound_calls.callbacks import CallbackUrls
from outbound_calls.ledger import DueItem, Ledger
from outbound_calls.lifecycle import TERMINAL, PollSchedule
from outbound_calls.place import InvalidMessages, Message, PlaceCalls
from outbound_calls.poll import CallQueue, PollCalls
from outbound_calls.receive import ReceiveWebhooks, Webhook
from outbound_calls.workers import WORKERS
from tests.proof.explorer.table import TableInMemory
from tests.proof.outage.allomia import AllomiaWithOutage, Kind
from tests.proof.outage.virtual_time import VirtualTime
from tests.unit.parts import API_KEY, ASSISTANT_ID, PHONE_NUMBER, PHONE_NUMBER_ID, SecretsInMemory, a_secret

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

# The template's values and defaults; test_outage.py holds them against it.
BATCH_SIZE = 10
MAX_WORKERS = 5
PLACE_CALL_TIMEOUT = 45.0
POLL_CALLS_TIMEOUT = 60.0
VISIBILITY_TIMEOUT = 270.0
MAX_RECEIVES = 5
PAGE_SIZE = 50
DUE_SHARDS = 4
GRACE = 180
DEADLINE = 7200
SWEEP_EVERY = 60.0

WRITE_SECONDS = 0.008
"""What a conditional write takes."""

BATCHING_SECONDS = 0.02
IDLE_SECONDS = 420.0
"""An execution environment that had nothing to do for this long is gone, and its breaker with it."""

LIFE_SECONDS = (1500.0, 2700.0)
"""Busy ones are replaced as well; on AWS rather every two hours, so this is the harder case."""

UNDER_WAY = 50
SECONDS_BEFORE = 30.0
"""From the calls that are under way when the outage begins to its beginning: shorter than they ring."""

WEBHOOK_URL = "https://stack.invalid/webhooks/allomia"
_STARTED_AT = 1_800_000_000.0


@dataclass
class _Table:
    """The table in memory, whose writes take time."""

    inner: TableInMemory
    time: VirtualTime

    @property
    def exceptions(self) -> Any:
        return self.inner.exceptions

    def put_item(self, **arguments: Any) -> Any:
        self.time.sleep(WRITE_SECONDS)
        return self.inner.put_item(**arguments)

    def update_item(self, **arguments: Any) -> Any:
        self.time.sleep(WRITE_SECONDS)
        return self.inner.update_item(**arguments)


@dataclass
class _Queue:
    """Answers as an SQS client does; whatever is sent waits in `bodies`."""

    arrived: Callable[[], None]
    bodies: list[tuple[str, int]] = field(default_factory=list)

    def send_message(self, *, QueueUrl: str, MessageBody: str, **_: Any) -> dict[str, str]:  # noqa: N803 - AWS's names
        del QueueUrl
        self.bodies.append((MessageBody, 0))
        self.arrived()
        return {"MessageId": "m"}


@dataclass
class _Environment:
    """An execution environment of place_call."""

    place_calls: PlaceCalls
    born_at: float
    lives: float
    used_at: float


@dataclass(frozen=True)
class Figures:
    """What one outage came to. Seconds are virtual."""

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
    """From the recovery until all that is not unknown has its outcome."""
    polled: int
    """Calls under way when it began, whose webhook it lost, and whose outcome the poller brought."""
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


class StackOnVirtualTime:
    """See the module. `seed` draws the jitter, and which environment gets a batch."""

    def __init__(self, time: VirtualTime, kind: Kind, outage: float, seed: int) -> None:
        self.time = time
        self._dice = Random(seed)  # noqa: S311
        self.table = TableInMemory()
        self._client = cast("DynamoDBClient", _Table(self.table, time))
        fails_from = time.now + SECONDS_BEFORE
        self.allomia = AllomiaWithOutage(time, kind, fails_from, fails_from + outage, self._webhook)
        self._queue = _Queue(self._arrived)
        self._idle: list[_Environment] = []
        self._busy = 0
        self.environments = 0
        self.dead_letters: list[str] = []
        self.longest_batch = 0.0
        self.events: list[tuple[float, str]] = []
        self._callbacks = CallbackUrls(self._secret("signing-key"), WEBHOOK_URL)
        self._receive = ReceiveWebhooks(self._ledger(), self._callbacks, time.clock)
        self._poll = PollCalls(
            self._ledger(),
            self._allomia_client(),
            CallQueue(cast("SQSClient", self._queue), "calls"),
            PollSchedule(GRACE, DEADLINE),
            time.clock,
        )
        time.after(SWEEP_EVERY * self._dice.random(), self._sweep)

    def send(self, request_id: str) -> None:
        """Ask for a call."""
        body = {"requestId": request_id, "phoneNumber": PHONE_NUMBER}
        self._queue.send_message(QueueUrl="calls", MessageBody=json.dumps(body))

    def statuses(self) -> dict[str, str]:
        """The status of each request."""
        return {request_id: item["status"]["S"] for (request_id, _), item in self.table.items.items()}

    def ended(self, requests: int) -> bool:
        """Whether so many requests have all come to their end."""
        items = self.table.items.values()
        return len(items) == requests and all(item["status"]["S"] in TERMINAL for item in items)

    # place_call

    def _environment(self) -> _Environment:
        self.environments += 1
        place_calls = PlaceCalls(
            ledger=self._ledger(),
            allomia=self._allomia_client(),
            callbacks=self._callbacks,
            rejected=InvalidMessages(cast("SQSClient", _Queue(lambda: None)), "rejected"),
            breaker=Breaker(self.time.clock),
            grace=GRACE,
            default_assistant_id=ASSISTANT_ID,
            default_phone_number_id=PHONE_NUMBER_ID,
            clock=self.time.clock,
            jitter=self._dice.uniform,
        )
        return _Environment(place_calls, self.time.now, self._dice.uniform(*LIFE_SECONDS), self.time.now)

    def _arrived(self) -> None:
        if len(self._queue.bodies) == 1:
            self.time.after(BATCHING_SECONDS, self._hand_out)

    def _hand_out(self) -> None:
        while self._queue.bodies and self._busy < MAX_WORKERS:
            batch, self._queue.bodies[:] = self._queue.bodies[:BATCH_SIZE], self._queue.bodies[BATCH_SIZE:]
            now = self.time.now
            self._idle = [
                each for each in self._idle if now - each.used_at < IDLE_SECONDS and now - each.born_at < each.lives
            ]
            self._busy += 1
            environment = self._idle.pop(self._dice.randrange(len(self._idle))) if self._idle else self._environment()
            self.time.after(0.0, lambda e=environment, b=batch: self._invoke(e, b))  # type: ignore[misc]

    def _invoke(self, environment: _Environment, batch: list[tuple[str, int]]) -> None:
        began = self.time.now

        def place(body: str, receives: int) -> None:
            message = Message(f"m-{began}", body, lambda: began + PLACE_CALL_TIMEOUT - self.time.now)
            try:
                environment.place_calls.place(message)
            except Exception:  # noqa: BLE001 - as the handler does
                if receives + 1 >= MAX_RECEIVES:
                    self.dead_letters.append(body)
                else:
                    self.time.after(VISIBILITY_TIMEOUT, lambda: self._again(body, receives + 1))

        assert len(batch) <= WORKERS
        self.time.side_by_side([lambda m=message: place(*m) for message in batch])  # type: ignore[misc]
        self.longest_batch = max(self.longest_batch, self.time.now - began)
        environment.used_at = self.time.now
        self._idle.append(environment)
        self._busy -= 1
        self._hand_out()

    def _again(self, body: str, receives: int) -> None:
        self._queue.bodies.append((body, receives))
        self._arrived()

    # poll_calls

    def _sweep(self) -> None:
        self.time.after(SWEEP_EVERY, self._sweep)
        swept_at = int(self.time.now)
        self.time.side_by_side([lambda s=shard: self._sweep_shard(s, swept_at) for shard in range(DUE_SHARDS)])  # type: ignore[misc]

    def _sweep_shard(self, shard: int, swept_at: int) -> None:
        due = self.table.query(
            TableName="calls",
            IndexName="due",
            KeyConditionExpression="dueShard = :shard AND dueAt <= :sweptAt",
            ExpressionAttributeValues={":shard": {"N": str(shard)}, ":sweptAt": {"N": str(swept_at)}},
            Limit=len(self.table.items) + 1,
        )["Items"]
        for first in range(0, len(due), PAGE_SIZE):
            self._poll_page([DueItem.from_index(item) for item in due[first : first + PAGE_SIZE]])

    def _poll_page(self, page: list[DueItem]) -> None:
        began = self.time.now

        def thread() -> None:
            while page:
                self._poll.poll(page.pop(0), lambda: began + POLL_CALLS_TIMEOUT - self.time.now)

        self.time.side_by_side([thread] * WORKERS)

    # receive_webhook

    def _webhook(self, url: str, call_id: str) -> None:
        request_id, attempt, signature = url.removeprefix(f"{WEBHOOK_URL}/").split("/")
        body = json.dumps({"outboundCallId": call_id, "status": "completed"})
        receipt = self._receive.receive(Webhook(request_id, attempt, signature, body))
        assert receipt.status is HTTPStatus.OK

    # parts

    def _ledger(self) -> Ledger:
        return Ledger(self._client, "calls", retention_days=90, due_shards=DUE_SHARDS)

    def _secret(self, text: str) -> Any:
        return a_secret(SecretsInMemory({"AWSCURRENT": text}), self.time.clock)

    def _allomia_client(self) -> AllomiaClient:
        return AllomiaClient(
            http_client("https://allomia.invalid", self.allomia), self._secret(API_KEY), self.time.clock
        )


def play(kind: Kind, queued: int, seed: int = 1, outage: float = 3600.0) -> Figures:
    """One outage, with so many calls queued and some under way when it begins, until all of them have ended."""
    with VirtualTime(_STARTED_AT) as time:
        stack = StackOnVirtualTime(time, kind, outage, seed)

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
        return Figures(
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
