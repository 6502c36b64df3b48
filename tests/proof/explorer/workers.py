"""The real use cases, run one outside effect at a time.

A worker is one run of a use case: placing a message, receiving a webhook, polling an attempt. The DynamoDB client, the
HTTP transport, the SQS client and the clock that it is given do nothing themselves: at each use they hand the worker's
wish over as an `Effect` and wait for an answer. So a worker's whole position is its task and the answers it had so far,
which can be kept, compared and hashed; to take it one step further, the real code is run again from its start with the
answers it had, up to its next wish. A run depends on nothing else, so each is made once and remembered, however many
schedules lead through it; that it wishes for the same again when it is repeated is checked each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import httpx
from botocore.exceptions import ClientError

from outbound_calls.allomia import AllomiaClient, http_client
from outbound_calls.breaker import Breaker
from outbound_calls.callbacks import CallbackUrls, sign
from outbound_calls.contracts import AttemptKey
from outbound_calls.ledger import DueItem, Ledger
from outbound_calls.lifecycle import PollSchedule
from outbound_calls.place import InvalidMessages, Message, PlaceCalls
from outbound_calls.poll import CallQueue, PollCalls
from outbound_calls.receive import ReceiveWebhooks, Webhook
from outbound_calls.secrets import Secret
from tests.proof.explorer.allomia import ANSWERS, status_response
from tests.proof.explorer.table import ConditionalCheckFailed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

GRACE, DEADLINE = 10, 15
"""Seconds; short, so that a call's life has few polls. Nothing depends on them but the number of steps."""

CALL_QUEUE, INVALID_MESSAGES_QUEUE = "call-queue", "rejected-queue"
WEBHOOK_URL = "https://stack.invalid/webhooks/allomia"
_SIGNING_KEY = "signing-key"


class Placing(NamedTuple):
    """A delivery of a queue message."""

    message: str
    delivery: int
    body: str
    hindrance: str = ""
    """`circuit-open` or `short-of-time`: the worker may not dial now."""

    def __str__(self) -> str:
        return f"place {self.message}.{self.delivery}"


class Hook(NamedTuple):
    """A webhook: the path of the callback URL it came over, and its body."""

    request_id: str
    attempt: str
    signature: str
    call_id: str
    status: str
    about: tuple[str, int]
    """The attempt whose outcome it truly tells."""

    def __str__(self) -> str:
        forged = f" over the URL of {self.request_id}/{self.attempt}" if self.about != self.path else ""
        return f"webhook {self.about[0]}/{self.about[1]} {self.status}{forged}"

    @property
    def path(self) -> tuple[str, int]:
        return self.request_id, int(self.attempt)


class Polling(NamedTuple):
    """A look at an attempt that was due at `due_at` when the index was read."""

    request_id: str
    attempt: int
    due_at: int
    copy: int

    def __str__(self) -> str:
        return f"poll {self.request_id}/{self.attempt} due {self.due_at}{"'" * self.copy}"


type Task = Placing | Hook | Polling


class Effect(NamedTuple):
    """What a worker wants done: `kind` is one of clock, put, update, send, post, get."""

    kind: str
    wish: str


class Done(NamedTuple):
    """A worker has ended: with a result, or (`raised`) with an exception."""

    words: str
    raised: bool = False


type Answer = str | int
type History = tuple[Answer, ...]

OK, ERROR, CONDITION, INVALID = "ok", "error", "condition failed", "invalid"


class _Pause(BaseException):
    """Leaves the use case at an effect that has no answer yet. A BaseException, as the code catches Exception."""


class NotDeterministic(AssertionError):
    """A use case wished for something else when it was run again with the same answers."""


class _Tape:
    """The answers a worker had, and the wish for which there is none yet."""

    def __init__(self, history: History, expected: Callable[[int], Effect | None]) -> None:
        self._history, self._expected = history, expected
        self._place = 0
        self.wish: Effect | None = None

    def ask(self, kind: str, wish: Any = None) -> Answer:
        effect = Effect(kind, json.dumps(wish, sort_keys=True))
        if self.wish is not None or self._place == len(self._history):
            self.wish = self.wish or effect
            raise _Pause
        if self._expected(self._place) not in {None, effect}:
            raise NotDeterministic(f"{effect} instead of {self._expected(self._place)}")
        self._place += 1
        return self._history[self._place - 1]


class _OutOfReach(ClientError):
    """A service of AWS failed, or its answer was lost: nobody can tell."""

    def __init__(self, operation: str) -> None:
        super().__init__({"Error": {"Code": "InternalServerError"}}, operation)


class _Dynamo:
    class exceptions:  # noqa: N801 - the name that boto3's clients give it
        ConditionalCheckFailedException: ClassVar = ConditionalCheckFailed

    def __init__(self, tape: _Tape) -> None:
        self._tape = tape

    def put_item(self, **wish: Any) -> Any:
        return self._write("put", "PutItem", wish)

    def update_item(self, **wish: Any) -> Any:
        return self._write("update", "UpdateItem", wish)

    def _write(self, kind: str, operation: str, wish: Any) -> Any:
        answer, _, item = str(self._tape.ask(kind, wish)).partition("\n")
        if answer == OK:
            return {"Attributes": json.loads(item)}
        if answer == CONDITION:
            found: Any = {"Item": json.loads(item)} if item else {}
            raise ConditionalCheckFailed({"Error": {"Code": "ConditionalCheckFailedException"}} | found, operation)
        if answer == INVALID:
            raise ClientError({"Error": {"Code": "ValidationException"}}, operation)
        raise _OutOfReach(operation)


class _Sqs:
    def __init__(self, tape: _Tape) -> None:
        self._tape = tape

    def send_message(self, **wish: Any) -> Any:
        if self._tape.ask("send", wish) != OK:
            raise _OutOfReach("SendMessage")
        return {"MessageId": "m"}


class _Transport(httpx.BaseTransport):
    def __init__(self, tape: _Tape) -> None:
        self._tape = tape

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            asked = json.loads(request.read())
            answer = str(self._tape.ask("post", asked))
            name, _, call_id = answer.partition("\n")
            return ANSWERS[name].response(call_id)
        return status_response(str(self._tape.ask("get", request.url.path.split("/")[-2])))


class _Secrets:
    class exceptions:  # noqa: N801
        ResourceNotFoundException: ClassVar = KeyError

    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, str]:  # noqa: N803
        if VersionStage == "AWSPREVIOUS":
            raise KeyError(SecretId)
        return {"SecretString": SecretId}


def _secret(text: str) -> Secret:
    return Secret(cast("SecretsManagerClient", _Secrets()), text, _stopped_clock)


def _stopped_clock() -> float:
    return 0.0


def callback_path(request_id: str, attempt: int) -> tuple[str, str, str]:
    """The path parameters of an attempt's callback URL."""
    return request_id, str(attempt), sign(_SIGNING_KEY, AttemptKey(request_id=request_id, attempt=attempt))


def ledger(client: object) -> Ledger:
    return Ledger(cast("DynamoDBClient", client), "calls", retention_days=1, due_shards=2)


def _perform(task: Task, tape: _Tape) -> Done:
    table = ledger(_Dynamo(tape))
    sqs = cast("SQSClient", _Sqs(tape))
    callbacks = CallbackUrls(_secret(_SIGNING_KEY), WEBHOOK_URL)

    def clock() -> float:
        return float(tape.ask("clock"))

    http = http_client("https://allomia.invalid", _Transport(tape))
    allomia = AllomiaClient(http, _secret("api-key"), _stopped_clock)
    match task:
        case Placing():
            breaker = Breaker(_stopped_clock, threshold=1)
            if task.hindrance == "circuit-open" and (permit := breaker.admit()):
                permit.report(healthy=False)
            use_case = PlaceCalls(
                ledger=table,
                allomia=allomia,
                callbacks=callbacks,
                rejected=InvalidMessages(sqs, INVALID_MESSAGES_QUEUE),
                breaker=breaker,
                grace=GRACE,
                clock=clock,
                jitter=lambda least, _most: least,
                new_claim_id=lambda: f"claim {task.message}.{task.delivery}",
            )
            seconds_left = 0.0 if task.hindrance == "short-of-time" else 900.0
            placement = use_case.place(Message(task.message, task.body, lambda: seconds_left))
            return Done(placement.result.value)
        case Hook():
            body = {"outboundCallId": task.call_id, "status": task.status}
            webhook = Webhook(task.request_id, task.attempt, task.signature, json.dumps(body))
            receipt = ReceiveWebhooks(table, callbacks, clock).receive(webhook)
            return Done("200" if receipt.status is HTTPStatus.OK else str(receipt.status.value))
        case Polling():
            poll = PollCalls(table, allomia, CallQueue(sqs, CALL_QUEUE), PollSchedule(GRACE, DEADLINE), clock)
            entry = {
                "requestId": {"S": task.request_id},
                "attempt": {"N": str(task.attempt)},
                "dueAt": {"N": str(task.due_at)},
            }
            return Done(poll.poll(DueItem.from_index(entry), lambda: 900.0).result.value)


_seen: dict[tuple[Task, History], Effect | Done] = {}


def runs() -> int:
    """How often real code was run so far."""
    return len(_seen)


def next_of(task: Task, history: History) -> Effect | Done:
    """What a worker with these answers wants next, or how it ended."""
    key = (task, history)
    if key not in _seen:
        _seen[key] = _run(task, history)
    return _seen[key]


def _run(task: Task, history: History) -> Effect | Done:
    def expected(place: int) -> Effect | None:
        known = _seen.get((task, history[:place]))
        return known if isinstance(known, Effect) else None

    tape = _Tape(history, expected)
    done = Done("")
    try:
        done = _perform(task, tape)
    except _Pause:
        pass
    except Exception as error:  # noqa: BLE001 - as the handlers do
        done = Done(type(error).__name__, raised=True)
    if tape.wish is not None:
        return tape.wish
    return done
