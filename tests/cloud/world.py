"""A whole stack without its functions: the use cases on the local cloud's table, queues and secrets.

AlloMia is a transport that answers as told, and holds every test to the first promise: of the requests that it may have
accepted, no two are for the same attempt.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx

from outbound_calls.allomia import AllomiaClient, http_client
from outbound_calls.breaker import Breaker
from outbound_calls.callbacks import CallbackUrls
from outbound_calls.contracts import AttemptKey
from outbound_calls.ledger import Ledger
from outbound_calls.lifecycle import PollSchedule
from outbound_calls.place import InvalidMessages, Message, PlaceCalls, Placement
from outbound_calls.poll import CallQueue, Look, PollCalls
from outbound_calls.receive import Receipt, ReceiveWebhooks, Webhook
from outbound_calls.secrets import Secret
from tests.cloud.parts import GRACE, NOW, RETENTION_DAYS, Calls
from tests.unit.parts import API_KEY, ASSISTANT_ID, CONTACT_ID, PHONE_NUMBER, PHONE_NUMBER_ID, Clock, no_jitter

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from local.cloud import LocalCloud

DEADLINE = 7200
SIGNING_KEY = "first-signing-key"
BASE_URL = "https://hooks.example/webhooks/allomia"

type Answer = Callable[[httpx.Request], httpx.Response]


def says(code: int, body: Any = None, **headers: str) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    content = {"text": body} if isinstance(body, str) else {"json": body} if body is not None else {}
    return lambda _request: httpx.Response(code, headers=names, **content)


def fails(error: type[BaseException]) -> Answer:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error("no")

    return answer


NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass
class Allomia:
    """AlloMia as a transport: `post` answers the next POSTs, `status` the next status requests."""

    post: Answer | None = None
    status: Answer | None = None
    posts: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    may_have_rung: Counter[str] = field(default_factory=Counter)
    ids: dict[str, str] = field(default_factory=dict)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        return self._post(request) if request.method == "POST" else self._status(request)

    def id_of(self, callback_url: str) -> str:
        """The id of the call that a POST with this callback URL became."""
        return self.ids.setdefault(callback_url, str(uuid4()))

    def state(self, callback_url: str, status: str = "calling", **changes: Any) -> dict[str, Any]:
        return {"outboundCallId": self.id_of(callback_url), "contactId": CONTACT_ID, "status": status} | changes

    def _post(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        url = body["callbackUrl"]
        try:
            answer = self.post(request) if self.post else httpx.Response(200, json=self.state(url))
        except NOT_SENT:
            raise
        except BaseException:
            self.posts.append(body)
            self.may_have_rung[url] += 1
            raise
        self.posts.append(body)
        proves_nothing_was_accepted = answer.is_client_error and answer.status_code != 408
        asks_for_patience = answer.status_code == 503 and answer.headers.get("Retry-After", "").isdigit()
        self.may_have_rung[url] += not (proves_nothing_was_accepted or asks_for_patience)
        return answer

    def _status(self, request: httpx.Request) -> httpx.Response:
        call_id = request.url.path.split("/")[-2]
        self.asked.append(call_id)
        if self.status:
            return self.status(request)
        return httpx.Response(200, json={"outboundCallId": call_id, "contactId": CONTACT_ID, "status": "calling"})


class Surroundings:
    """What worlds share, one after the other: the table, two queues and two secrets."""

    def __init__(self, cloud: LocalCloud, calls: Calls) -> None:
        self.cloud = cloud
        self.calls = calls
        self.sqs = cloud.client("sqs")
        self.secrets = cloud.client("secretsmanager")
        self.key_arn = self.new_secret(API_KEY)
        self.signing_arn = self.new_secret(SIGNING_KEY)
        self.call_queue_url = self.new_queue()
        self.invalid_messages_queue_url = self.new_queue()

    def new_secret(self, text: str) -> str:
        return self.secrets.create_secret(Name=f"secret-{uuid4().hex}", SecretString=text)["ARN"]

    def new_queue(self) -> str:
        return self.sqs.create_queue(QueueName=f"queue-{uuid4().hex}")["QueueUrl"]

    def take(self, url: str, wait_seconds: int = 0) -> list[MessageTypeDef]:
        """Up to ten messages of a queue."""
        answer = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=wait_seconds
        )
        return answer.get("Messages", [])


class World:
    """The use cases and everything around them. The time is `clock`'s."""

    def __init__(self, surroundings: Surroundings, client: Callable[[str], Any] | None = None) -> None:
        make = client or surroundings.cloud.client
        self.surroundings = surroundings
        self.calls = surroundings.calls
        self.clock = Clock(now=NOW)
        self.allomia = Allomia()
        self.breaker = Breaker(self.clock)
        self._sent_messages = False
        self.http = http_client("https://allomia.example", httpx.MockTransport(self.allomia))
        secrets = make("secretsmanager")
        # The time of secrets runs apart: these tests wait for hours, and rotate none.
        signing = Secret(secrets, surroundings.signing_arn, Clock())
        ledger = Ledger(make("dynamodb"), self.calls.table, RETENTION_DAYS, due_shards=4)
        allomia = AllomiaClient(self.http, Secret(secrets, surroundings.key_arn, Clock()))
        self.place_calls = PlaceCalls(
            ledger=ledger,
            allomia=allomia,
            callbacks=CallbackUrls(signing, BASE_URL),
            rejected=InvalidMessages(make("sqs"), surroundings.invalid_messages_queue_url),
            breaker=self.breaker,
            grace=GRACE,
            default_assistant_id=ASSISTANT_ID,
            default_phone_number_id=PHONE_NUMBER_ID,
            clock=self.clock,
            jitter=no_jitter,
        )
        self.poll_calls = PollCalls(
            ledger=ledger,
            allomia=allomia,
            queue=CallQueue(make("sqs"), surroundings.call_queue_url),
            schedule=PollSchedule(GRACE, DEADLINE),
            clock=self.clock,
        )
        self.receive_webhooks = ReceiveWebhooks(ledger, CallbackUrls(signing), self.clock)

    def close(self) -> None:
        """End the test: whatever happened in it, nobody's phone may have rung twice for one attempt."""
        self.http.close()
        if self._sent_messages:
            for url in (self.surroundings.call_queue_url, self.surroundings.invalid_messages_queue_url):
                self.surroundings.sqs.purge_queue(QueueUrl=url)
        assert [url for url, rung in self.allomia.may_have_rung.items() if rung > 1] == []

    # Upstream.

    @staticmethod
    def request(**changes: Any) -> dict[str, Any]:
        fields = {"requestId": f"visit-{uuid4().hex}", "phoneNumber": PHONE_NUMBER, "customerName": "Ada"} | changes
        return {name: value for name, value in fields.items() if value is not None}

    def place(self, request: Mapping[str, Any] | str, seconds_left: float = 45.0) -> Placement:
        body = request if isinstance(request, str) else json.dumps(request)
        self._sent_messages |= body == request
        return self.place_calls.place(Message("11111111-message-id", body, lambda: seconds_left))

    def placed(self, **changes: Any) -> AttemptKey:
        """A call that AlloMia took."""
        request = self.request(**changes)
        self.place(request)
        return AttemptKey(request_id=request["requestId"], attempt=1)

    # The poller.

    def sweep(self, key: AttemptKey, seconds_left: float = 60.0) -> list[Look]:
        """What a sweep does with this call: nothing when it is not due."""
        self._sent_messages = True
        due = [item for item in self.calls.due(key) if item.due_at <= self.clock.now]
        return [self.poll_calls.poll(item, lambda: seconds_left) for item in due]

    def due_in(self, key: AttemptKey) -> int:
        """In how many seconds this call comes due."""
        return int(self.calls.there(key)["dueAt"]) - int(self.clock.now)

    def queued(self) -> list[str]:
        """The messages that wait for place_call."""
        return [message["Body"] for message in self.surroundings.take(self.surroundings.call_queue_url)]

    def rejected(self) -> list[dict[str, Any]]:
        """The messages that were moved away, each with its attributes."""
        return [
            {"body": message["Body"]}
            | {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
            for message in self.surroundings.take(self.surroundings.invalid_messages_queue_url)
        ]

    # AlloMia's webhooks.

    def callback_url(self, key: AttemptKey) -> str:
        """The URL that AlloMia was given, or would be."""
        return self.place_calls.callbacks.url(key)

    def webhook(self, key: AttemptKey, status: str = "completed", **changes: Any) -> Receipt:
        url = self.callback_url(key)
        return self.send(url, json.dumps(self.allomia.state(url, status, **changes)))

    def send(self, url: str, body: str) -> Receipt:
        request_id, attempt, signature = url.removeprefix(BASE_URL + "/").split("/")
        return self.receive_webhooks.receive(Webhook(request_id, attempt, signature, body))
