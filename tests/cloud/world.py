"""The use cases on the local cloud's table, queues and secrets, built as the functions build them.

AlloMia is the simulator's transport. Each test must keep the first guarantee: of the POSTs that AlloMia may have
accepted, no two are for the same attempt.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from local.simulator import ScriptedAllomia, returns
from outbound_calls.adapters.calls_table import DueEntry
from outbound_calls.adapters.policy_table import PolicyTable
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.domain.recipients import organization_key
from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings.place_call import PlaceCallSettings
from outbound_calls.runtime.settings.poll_calls import PollCallsSettings
from outbound_calls.runtime.settings.receive_webhook import ReceiveWebhookSettings
from outbound_calls.runtime.settings.release_lines import ReleaseLinesSettings
from outbound_calls.use_cases.decide import CACHE_SECONDS
from outbound_calls.use_cases.place import Message
from outbound_calls.use_cases.placement import Placement
from outbound_calls.use_cases.polls import Poll, PollResult
from outbound_calls.use_cases.receive import Receipt, Webhook
from tests.unit.parts import API_KEY, PHONE_NUMBER, Clock, no_jitter
from tests.world import DEADLINE_SECONDS, NOW, WEBHOOK_URL, create_policy_table

if TYPE_CHECKING:
    from tests.cloud.parts import SampleAttempts
    from tests.world import CloudResources

type Client = Callable[..., Any]


class CloudWorld:
    """The use cases, and everyone who talks to them: upstream, the poller, AlloMia.

    `clock` is the time of day, `monotonic` the time that the function runs; `pass_seconds` moves both.
    """

    def __init__(self, resources: CloudResources, attempts: SampleAttempts, client: Client | None = None) -> None:
        self.resources = resources
        self.attempts = attempts
        self.clock = Clock(now=NOW)
        # Calls go on for a day, so that they end only as the test says.
        self.allomia = ScriptedAllomia(self.clock, accepted_keys=(API_KEY,), ring_seconds=86_400)
        self.monotonic = Clock()
        self._sent_messages = False
        self.policy_table_name = resources.policy_table_name
        self.assembly = Assembly(
            client=client or (lambda service, *_: resources.cloud.client(service)),
            transport=self.allomia,
            clock=self.clock,
            monotonic=self.monotonic,
            jitter=no_jitter,
        )
        self.configure()

    def configure(self, **variables: str) -> None:
        """Start the functions with these environment variables changed."""
        environment = self.resources.environment(**{"POLICY_TABLE_NAME": self.policy_table_name} | variables)
        self.place_calls = self.assembly.place_calls(PlaceCallSettings.from_environment(environment))
        self.poll_calls = self.assembly.poll_calls(PollCallsSettings.from_environment(environment))
        self.release_lines = self.assembly.release_lines(ReleaseLinesSettings.from_environment(environment))
        self.receive_webhooks = self.assembly.receive_webhooks(ReceiveWebhookSettings.from_environment(environment))

    def close(self) -> None:
        """End the test: whatever happened in it, no phone may have rung twice for one attempt."""
        if self._sent_messages:
            self.resources.renew_queues()
        self.allomia.check_dials()

    def pass_seconds(self, seconds: float) -> None:
        self.clock.pass_seconds(seconds)
        self.monotonic.pass_seconds(seconds)

    # The policy.

    @property
    def policy_table(self) -> PolicyTable:
        return PolicyTable(self.resources.cloud.client("dynamodb"), self.policy_table_name)

    def own_policy_table(self) -> None:
        """Start the functions with a policy table of this test's own, in which nothing stands."""
        self.policy_table_name = create_policy_table(self.resources.cloud.client("dynamodb"))
        self.configure()

    def decide_by(self, **says: Any) -> None:
        """Put a policy in force, which is then read."""
        if self.policy_table_name == self.resources.policy_table_name:
            self.own_policy_table()
        seen = self.policy_table.policy()
        self.policy_table.set_policy(json.dumps(says), "test", self.clock.now, seen.number if seen else 0)
        self.pass_seconds(CACHE_SECONDS)

    # Upstream.

    @staticmethod
    def request(**changes: Any) -> dict[str, Any]:
        fields = {"requestId": f"visit-{uuid4().hex}", "phoneNumber": PHONE_NUMBER, "customerName": "Ada"} | changes
        return {name: value for name, value in fields.items() if value is not None}

    def place(
        self, request: Mapping[str, Any] | str, seconds_left: float = 45.0, sent_at: float | None = None
    ) -> Placement:
        body = request if isinstance(request, str) else json.dumps(request)
        self._sent_messages |= body == request
        return self.place_calls.place(Message("11111111-message-id", body, lambda: seconds_left, sent_at))

    def placed(self, **changes: Any) -> AttemptKey:
        """The attempt of a new request that was placed."""
        request = self.request(**changes)
        self.place(request)
        return key_of(request)

    def open_circuit(self) -> None:
        """Let five calls fail, after which the circuit breaker opens."""
        self.allomia.post = returns(500)
        for _ in range(5):
            self.place(self.request())

    # The poller.

    def sweep(self, key: AttemptKey, seconds_left: float = 60.0) -> list[Poll]:
        """Sweep this attempt: nothing happens when it isn't due."""
        due = [entry for entry in self.attempts.due_entries(key) if entry.due_at <= self.clock.now]
        return [self.poll_entry(entry, seconds_left) for entry in due]

    def poll_entry(self, entry: DueEntry, seconds_left: float = 60.0) -> Poll:
        """Poll what the index had when it was read."""
        self._sent_messages = True
        return self.poll_calls.poll(entry, lambda: seconds_left)

    def poll(self, key: AttemptKey) -> Poll:
        """Sweep this attempt, which is due."""
        (poll,) = self.sweep(key)
        return poll

    def last_poll(self, key: AttemptKey, patience: float) -> Poll:
        """Poll a call at its deadline, and once more when it has been asked about in vain for so long."""
        dispatched_at = int(self.attempts.existing_item(key)["dispatchedAt"])
        self.pass_seconds(max(0, dispatched_at + DEADLINE_SECONDS - self.clock.now))
        self.poll(key)
        self.pass_seconds(patience)
        return self.poll(key)

    def due_in(self, key: AttemptKey) -> int:
        """In how many seconds this attempt comes due."""
        return int(self.attempts.existing_item(key)["dueAt"]) - int(self.clock.now)

    def come_up(self, key: AttemptKey) -> Placement:
        """Let a parked attempt come due, be swept and be dispatched."""
        self.pass_seconds(max(0, self.due_in(key)))
        assert self.poll(key).result is PollResult.DISPATCHED
        return self.place_queued()

    def redialled(self, key: AttemptKey) -> AttemptKey:
        """Let the redial of an attempt come due. Returns the next attempt, which isn't dispatched yet."""
        self.pass_seconds(max(0, self.due_in(key)))
        poll = self.poll(key)
        assert poll.result is PollResult.REDIALLED
        assert poll.key
        return poll.key

    def place_queued(self) -> Placement:
        """Place the one message that waits for place_call."""
        (message,) = self.queued()
        return self.place(message)

    def queued(self) -> list[str]:
        """The messages that wait for place_call."""
        return [message["Body"] for message in self.resources.take(self.resources.call_queue_url)]

    def invalid_messages(self) -> list[dict[str, Any]]:
        """The messages in the queue of invalid messages, each with its attributes."""
        return [
            {"body": message["Body"]}
            | {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
            for message in self.resources.take(self.resources.invalid_messages_queue_url)
        ]

    # AlloMia's webhooks.

    def callback_url(self, key: AttemptKey) -> str:
        """The URL that AlloMia gets with this attempt."""
        return self.place_calls.dial.callbacks.url(key)

    def webhook(self, key: AttemptKey, status: str = "completed", **changes: Any) -> Receipt:
        url = self.callback_url(key)
        return self.send(url, json.dumps(self.allomia.state(url, status, **changes)))

    def send(self, url: str, body: str) -> Receipt:
        request_id, attempt, signature = url.removeprefix(WEBHOOK_URL + "/").split("/")
        return self.receive_webhooks.receive(Webhook(request_id, attempt, signature, body))


class OverANetwork:
    """Tests whose world is behind a network that loses a request or an answer."""

    @pytest.fixture
    def world(self, networked_world: CloudWorld) -> CloudWorld:
        return networked_world


def key_of(request: Mapping[str, Any]) -> AttemptKey:
    """The first attempt of a request as upstream sends it."""
    return AttemptKey(RequestKey(request["requestId"], organization_key(request.get("organization"))), 1)
