"""The real use cases, run one effect at a time.

A worker is one run of a use case: it places a message, receives a webhook or polls an attempt. Its AWS clients, HTTP
transport and clock do nothing themselves. At each use they pause the use case and return an `Effect`, which waits for
an answer. So a worker's position consists of its task and the answers that it has received, which can be stored,
compared and hashed. To take a worker one step further, the real code runs again from the start with the answers it had,
up to its next effect. A run depends on nothing else, so each is done once and remembered, however many schedules
contain it. Every run also checks that the code repeats the effects of the runs before it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import httpx
from botocore.exceptions import ClientError

from outbound_calls.adapters.callback_urls import sign
from outbound_calls.adapters.calls_table import CallsTable, DueEntry
from outbound_calls.adapters.due_entries import DueBatch, DueKeeper
from outbound_calls.contracts.vocabulary import Preset
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings.place_call import PlaceCallSettings
from outbound_calls.runtime.settings.poll_calls import PollCallsSettings
from outbound_calls.runtime.settings.receive_webhook import ReceiveWebhookSettings
from outbound_calls.runtime.settings.release_lines import ReleaseLinesSettings
from outbound_calls.use_cases.place import Message
from outbound_calls.use_cases.receive import Webhook
from tests.proof.explorer.allomia import ANSWERS, log_response, status_response
from tests.proof.explorer.by_hand import (
    CancelTask,
    RedialTask,
    RedriveTask,
    ResolveTask,
    Surroundings,
    TaskByHand,
    perform,
)
from tests.proof.explorer.guarantees import DEADLINE_SECONDS, GRACE_SECONDS
from tests.proof.explorer.table import SENT_ONCE, ConditionalCheckFailed, TransactionCancelled, client_error

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CALL_QUEUE_URL, INVALID_MESSAGES_QUEUE_URL = "https://sqs.invalid/calls", "https://sqs.invalid/invalid-messages"
HANDED_ON_QUEUE_URL = "https://sqs.invalid/handed-on"
DEAD_LETTER_QUEUE_URL = "https://sqs.invalid/dead-letters"
WEBHOOK_URL = "https://stack.invalid/webhooks/allomia"
SIGNING_KEY, NUMBER_HASH_KEY = "signing-key", "number-hash-key"
TABLE_NAME, POLICY_TABLE_NAME, RETENTION_DAYS, DUE_SHARDS = "calls", "policy", 1, 2
ASSISTANT_ID = "11111111-2222-4333-8444-555555555555"
PLENTY_OF_SECONDS = 900.0
CIRCUIT = "~11111111-66666666"
"""The name of the circuit breaker of all requests here."""

CIRCUIT_OPEN, SHORT_OF_TIME, TIME_RUNS_OUT = BLOCKED = ("circuit-open", "short-of-time", "time-runs-out")
"""Why a worker may not dial: AlloMia fails, or its invocation ends soon, which it sees before its claim or after it."""

_COMMON: dict[str, Any] = {"powertools_service_name": "explorer", "powertools_metrics_namespace": "explorer"}
_TABLE: dict[str, Any] = {"calls_table_name": TABLE_NAME, "retention_days": RETENTION_DAYS}
# `_SecretsManager` returns a secret's ARN as its value.
_ALLOMIA: dict[str, Any] = {"allomia_api_key_secret_arn": "api-key", "allomia_base_url": "https://allomia.invalid"}
_PLACE_CALL = PlaceCallSettings(
    **_COMMON,
    **_TABLE,
    **_ALLOMIA,
    policy_table_name=POLICY_TABLE_NAME,
    number_hash_secret_arn=NUMBER_HASH_KEY,
    calling_policy=Preset.OPEN,
    invalid_messages_queue_url=INVALID_MESSAGES_QUEUE_URL,
    handed_on_queue_url=HANDED_ON_QUEUE_URL,
    call_deadline_seconds=DEADLINE_SECONDS,
    signing_secret_arn=SIGNING_KEY,
    webhook_url=WEBHOOK_URL,
    webhook_grace_seconds=GRACE_SECONDS,
    due_shards=DUE_SHARDS,
)
_RELEASE_LINES = ReleaseLinesSettings(
    **_COMMON,
    calls_table_name=TABLE_NAME,
    policy_table_name=POLICY_TABLE_NAME,
    calling_policy=Preset.OPEN,
    handed_on_queue_url=HANDED_ON_QUEUE_URL,
)
_RECEIVE_WEBHOOK = ReceiveWebhookSettings(**_COMMON, **_TABLE, signing_secret_arn=SIGNING_KEY)
_POLL_CALLS = PollCallsSettings(
    **_COMMON,
    **_TABLE,
    **_ALLOMIA,
    policy_table_name=POLICY_TABLE_NAME,
    call_queue_url=CALL_QUEUE_URL,
    handed_on_queue_url=HANDED_ON_QUEUE_URL,
    calling_policy=Preset.OPEN,
    webhook_grace_seconds=GRACE_SECONDS,
    call_deadline_seconds=DEADLINE_SECONDS,
    due_shards=DUE_SHARDS,
    max_polls_per_second=1000,
)


_WITH_ID = {"allomia_api_key_secret_arn": '{"apiKey": "api-key", "organizationId": "organization"}'}


class PlaceTask(NamedTuple):
    """A delivery of a queue message."""

    message: str
    delivery: int
    body: str
    sent_at: int
    blocked: str = ""
    """One of `BLOCKED`: the worker may not dial now."""

    logged: bool = False
    """Whether AlloMia's id of the organization is configured, so that its call log can be read."""

    def __str__(self) -> str:
        return f"place {self.message}.{self.delivery}"


class WebhookTask(NamedTuple):
    """A webhook: the path of the callback URL that it was sent to, and its content."""

    request_id: str
    attempt: str
    signature: str
    call_id: str
    status: str
    about: tuple[str, int]
    """The attempt whose outcome it reports."""

    def __str__(self) -> str:
        forged = f" to the URL of {self.request_id}/{self.attempt}" if self.about != self.path else ""
        return f"webhook {self.about[0]}/{self.about[1]} {self.status}{forged}"

    @property
    def path(self) -> tuple[str, int]:
        return self.request_id, int(self.attempt)


class PollTask(NamedTuple):
    """A poll of an attempt that was due at `due_at` when the index was read."""

    request_id: str
    attempt: int
    due_at: int
    copy: int
    logged: bool = False
    """As of `PlaceTask`."""

    def __str__(self) -> str:
        return f"poll {self.request_id}/{self.attempt} due {self.due_at}{"'" * self.copy}"


class ReleaseTask(NamedTuple):
    """What the table's stream delivers of an attempt that was claimed under a limit, and isn't in progress any more."""

    request_id: str
    attempt: int
    line: str
    status: str
    copy: int = 0

    def __str__(self) -> str:
        return f"release {self.request_id}/{self.attempt} {self.status} ({self.line}){"'" * self.copy}"

    @property
    def image(self) -> dict[str, Any]:
        return {
            "requestId": {"S": self.request_id},
            "attempt": {"N": str(self.attempt)},
            "line": {"S": self.line},
            "status": {"S": self.status},
            "createdAt": {"N": "0"},
            "timesParked": {"N": "0"},
        }


class KeepTask(NamedTuple):
    """A look of the keeper, which was due at `due_at` when the index was read."""

    due_at: int
    copy: int
    seen: str
    """What decides what it does, as it was when it began."""

    def __str__(self) -> str:
        return f"keeper due {self.due_at}{"'" * self.copy}"


class SearchTask(NamedTuple):
    """A sweep's search for what is open of a cancelled batch, which was due at `due_at` when the index was read."""

    batch: str
    due_at: int
    copy: int

    def __str__(self) -> str:
        return f"search for the batch due {self.due_at}{"'" * self.copy}"


type Task = PlaceTask | WebhookTask | PollTask | ReleaseTask | KeepTask | SearchTask | TaskByHand


class Effect(NamedTuple):
    """What a worker asks for: `kind` is one of clock, read, query, batch read, put, update, delete, transact, send,
    post, get, log; of an operator's also receive, send batch, delete batch, release, person."""

    kind: str
    arguments: str


class Done(NamedTuple):
    """A worker has ended: with a result, or (`raised`) with an exception."""

    result: str
    raised: bool = False


type Answer = str | int
type History = tuple[Answer, ...]

OK, ERROR, CONDITION, INVALID = "ok", "error", "condition failed", "invalid"
CONDITION_AGAIN = "condition failed when sent again"
"""The SDK had sent the write before, without an answer."""

CANCELLED, WRITE_CONFLICT = "cancelled", "conflict"
"""A transaction is not made: a condition failed. A write, or a transaction, is not made: another transaction was being
made on the same item."""


class _Pause(BaseException):
    """Leaves the use case at an effect that has no answer yet. A BaseException, as the code catches Exception."""


class NotDeterministic(AssertionError):
    """A use case asked for a different effect when it ran again with the same answers."""


class _Replay:
    """Gives a worker the answers that it had, then pauses it."""

    def __init__(self, history: History, expected: Callable[[int], Effect | None]) -> None:
        self._history, self._expected = history, expected
        self._place = 0
        self.next_effect: Effect | None = None

    def ask(self, kind: str, arguments: Any = None) -> Answer:
        effect = Effect(kind, json.dumps(arguments, sort_keys=True))
        if self.next_effect is not None or self._place == len(self._history):
            self.next_effect = self.next_effect or effect
            raise _Pause
        if self._expected(self._place) not in {None, effect}:
            raise NotDeterministic(f"{effect} instead of {self._expected(self._place)}")
        self._place += 1
        return self._history[self._place - 1]


class _ServiceFailed(ClientError):
    """An AWS service failed, or its answer was lost: the caller can't tell which."""

    def __init__(self, operation: str) -> None:
        answer: Any = {"Error": {"Code": "InternalServerError"}, "ResponseMetadata": {"HTTPStatusCode": 500}}
        super().__init__(answer, operation)


class _DynamoDB:
    class exceptions:  # noqa: N801 - boto3's name
        ConditionalCheckFailedException: ClassVar = ConditionalCheckFailed
        TransactionCanceledException: ClassVar = TransactionCancelled

    def __init__(self, replay: _Replay) -> None:
        self._replay = replay

    def get_item(self, **arguments: Any) -> Any:
        item = self._ask("read", "GetItem", arguments)
        return {"Item": item} if item else {}

    def get_paginator(self, operation: str) -> _DynamoDB:
        assert operation == "query"
        return self

    def paginate(self, **arguments: Any) -> Iterator[Any]:
        yield {"Items": self._ask("query", "Query", arguments)}

    def query(self, **arguments: Any) -> Any:
        found = self._ask("query", "Query", arguments)
        return {"Items": found, "Count": len(found)}

    def batch_get_item(self, **arguments: Any) -> Any:
        return {"Responses": {TABLE_NAME: self._ask("batch read", "BatchGetItem", arguments)}}

    def put_item(self, **arguments: Any) -> Any:
        self._ask("put", "PutItem", arguments)
        return {}

    def update_item(self, **arguments: Any) -> Any:
        return {"Attributes": self._ask("update", "UpdateItem", arguments)}

    def delete_item(self, **arguments: Any) -> Any:
        self._ask("delete", "DeleteItem", arguments)
        return {}

    def transact_write_items(self, **arguments: Any) -> Any:
        self._ask("transact", "TransactWriteItems", arguments)
        return {}

    def _ask(self, kind: str, operation: str, arguments: Any) -> Any:
        """The item in the answer, or the items."""
        answer, _, item = str(self._replay.ask(kind, arguments)).partition("\n")
        if answer == OK:
            return json.loads(item or "{}")
        if answer == CANCELLED or (answer == WRITE_CONFLICT and kind == "transact"):
            code = "ConditionalCheckFailed" if answer == CANCELLED else "TransactionConflict"
            cancelled: Any = {"Error": {"Code": "TransactionCanceledException"}}
            raise TransactionCancelled(cancelled | {"CancellationReasons": [{"Code": code}]}, operation)
        if answer == WRITE_CONFLICT:
            refused: Any = {"Error": {"Code": "TransactionConflictException"}}
            raise ClientError(refused | {"ResponseMetadata": SENT_ONCE}, operation)
        if answer in {CONDITION, CONDITION_AGAIN}:
            found: Any = {"Item": json.loads(item)} if item else {}
            found |= {"ResponseMetadata": {"RetryAttempts": int(answer == CONDITION_AGAIN)}}
            raise ConditionalCheckFailed({"Error": {"Code": "ConditionalCheckFailedException"}} | found, operation)
        if answer == INVALID:
            raise client_error(ClientError, "ValidationException", operation)
        raise _ServiceFailed(operation)


class _Sqs:
    def __init__(self, replay: _Replay) -> None:
        self._replay = replay

    def send_message(self, **arguments: Any) -> Any:
        self._ask("send", "SendMessage", arguments)
        return {"MessageId": "m"}

    def receive_message(self, **arguments: Any) -> Any:
        return {"Messages": json.loads(self._ask("receive", "ReceiveMessage", arguments))}

    def send_message_batch(self, **arguments: Any) -> Any:
        return self._batch("send batch", "SendMessageBatch", arguments)

    def delete_message_batch(self, **arguments: Any) -> Any:
        return self._batch("delete batch", "DeleteMessageBatch", arguments)

    def change_message_visibility_batch(self, **arguments: Any) -> Any:
        return self._batch("release", "ChangeMessageVisibilityBatch", arguments)

    def _batch(self, kind: str, operation: str, arguments: Any) -> Any:
        """The answer names the entries that failed."""
        failed = self._ask(kind, operation, arguments).split()
        entries = [entry["Id"] for entry in arguments["Entries"]]
        return {
            "Successful": [{"Id": each} for each in entries if each not in failed],
            "Failed": [{"Id": each, "Code": "InternalError", "SenderFault": True} for each in failed],
        }

    def _ask(self, kind: str, operation: str, arguments: Any) -> str:
        answer, _, content = str(self._replay.ask(kind, arguments)).partition("\n")
        if answer != OK:
            raise _ServiceFailed(operation)
        return content


class _SecretsManager:
    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, str]:  # noqa: N803 - boto3's names
        if VersionStage == "AWSPREVIOUS":
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetSecretValue")
        return {"SecretString": SecretId}


class _Transport(httpx.BaseTransport):
    def __init__(self, replay: _Replay) -> None:
        self._replay = replay

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            name, _, call_id = str(self._replay.ask("post", json.loads(request.read()))).partition("\n")
            return ANSWERS[name].response(call_id)
        if request.url.path == "/api/calls":
            asked = request.url.params
            times = [int(datetime.fromisoformat(asked[name]).timestamp()) for name in ("from", "to")]
            return log_response(str(self._replay.ask("log", times)), ASSISTANT_ID)
        return status_response(str(self._replay.ask("get", request.url.path.split("/")[-2])))


def _stopped_clock() -> float:
    return 0.0


def attempt_key(request_id: str, number: int) -> AttemptKey:
    return AttemptKey(RequestKey(request_id), number)


def claim_id(task: PlaceTask) -> str:
    """The id of the claim that this delivery makes."""
    return f"claim {task.message}.{task.delivery}"


def callback_path(request_id: str, attempt: int) -> tuple[str, str, str]:
    """The path parameters of an attempt's callback URL."""
    return request_id, str(attempt), sign(SIGNING_KEY, attempt_key(request_id, attempt))


def calls_table(client: object) -> CallsTable:
    return CallsTable(cast("DynamoDBClient", client), TABLE_NAME, RETENTION_DAYS, DUE_SHARDS)


def _perform(task: Task, replay: _Replay) -> Done:
    services: dict[str, Any] = {
        "dynamodb": _DynamoDB(replay),
        "sqs": _Sqs(replay),
        "secretsmanager": _SecretsManager(),
    }
    assembly = Assembly(
        client=lambda service, *_: services[service],
        transport=_Transport(replay),
        clock=lambda: float(replay.ask("clock")),
        monotonic=_stopped_clock,
        jitter=lambda least, _most: least,
        new_claim_id=lambda: claim_id(task) if isinstance(task, PlaceTask) else "",
    )
    poll_calls = _POLL_CALLS
    if isinstance(task, PollTask) and task.logged:
        poll_calls = _POLL_CALLS.model_copy(update=_WITH_ID)
    match task:
        case PlaceTask():
            return _place(task, assembly)
        case WebhookTask():
            body = json.dumps({"outboundCallId": task.call_id, "status": task.status})
            webhook = Webhook(task.request_id, task.attempt, task.signature, body)
            return Done(str(assembly.receive_webhooks(_RECEIVE_WEBHOOK).receive(webhook).status.value))
        case PollTask():
            number, due_at = {"N": str(task.attempt)}, {"N": str(task.due_at)}
            due = DueEntry.from_index({"requestId": {"S": task.request_id}, "attempt": number, "dueAt": due_at})
            return Done(assembly.poll_calls(poll_calls).poll(due, lambda: PLENTY_OF_SECONDS).result.value)
        case ReleaseTask():
            release_lines = assembly.release_lines(_RELEASE_LINES)
            released = release_lines.release([task.image], lambda: PLENTY_OF_SECONDS)
            assert not released.unreadable
            return Done("released")
        case KeepTask(due_at):
            keeper = DueKeeper(None, due_at)
            return Done(assembly.poll_calls(_POLL_CALLS).keep(keeper, lambda: PLENTY_OF_SECONDS).result.value)
        case SearchTask(batch, due_at):
            search = DueBatch(None, batch, due_at)
            return Done(assembly.poll_calls(_POLL_CALLS).cancel_batch(search, lambda: PLENTY_OF_SECONDS).result.value)
        case ResolveTask() | RedialTask() | CancelTask() | RedriveTask():
            table = calls_table(services["dynamodb"])
            ask_person = functools.partial(replay.ask, "person")
            around = Surroundings(table, services["sqs"], CALL_QUEUE_URL, assembly.clock, ask_person)
            return Done(perform(task, around))


def _place(task: PlaceTask, assembly: Assembly) -> Done:
    place_calls = assembly.place_calls(_PLACE_CALL.model_copy(update=_WITH_ID) if task.logged else _PLACE_CALL)
    if task.blocked == CIRCUIT_OPEN:
        while permit := place_calls.dial.circuit_breakers.of(CIRCUIT).acquire():
            permit.report(healthy=False)
    left = [PLENTY_OF_SECONDS, 0.0] if task.blocked == TIME_RUNS_OUT else [PLENTY_OF_SECONDS]
    left = [0.0] if task.blocked == SHORT_OF_TIME else left

    def seconds_left() -> float:
        return left.pop(0) if len(left) > 1 else left[0]

    message = Message(task.message, task.body, seconds_left, task.sent_at)
    return Done(place_calls.place(message).result.value)


_runs: dict[tuple[Task, History], Effect | Done] = {}


def runs() -> int:
    """How often real code has run so far."""
    return len(_runs)


def next_of(task: Task, history: History) -> Effect | Done:
    """What a worker with these answers asks for next, or how it ended."""
    key = (task, history)
    if key not in _runs:
        _runs[key] = _run(task, history)
    return _runs[key]


def _run(task: Task, history: History) -> Effect | Done:
    def expected(place: int) -> Effect | None:
        known = _runs.get((task, history[:place]))
        return known if isinstance(known, Effect) else None

    replay = _Replay(history, expected)
    done = Done("")
    try:
        done = _perform(task, replay)
    except _Pause:
        pass
    except Exception as error:  # noqa: BLE001 - as the handlers do
        done = Done(type(error).__name__, raised=True)
    if replay.next_effect is not None:
        return replay.next_effect
    return done
