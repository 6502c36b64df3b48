"""The one place that builds the real parts: for the functions, the operator's command, the benchmarks and the tests.

Whatever touches the world can be passed in: AWS clients, the HTTP transport, clocks, the source of jitter. Parts are
imported where they are built, so that a function loads only its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from outbound_calls.runtime.clients import Clients
from outbound_calls.runtime.workers import WORKERS

if TYPE_CHECKING:
    import httpx

    from outbound_calls.adapters.allomia import AllomiaClient
    from outbound_calls.adapters.callback_urls import CallbackUrls
    from outbound_calls.adapters.secrets import Secret
    from outbound_calls.domain.timing import Jitter
    from outbound_calls.runtime.settings import (
        GetCallSettings,
        PlaceCallSettings,
        PollCallsSettings,
        PublishOutcomeSettings,
        ReceiveWebhookSettings,
    )
    from outbound_calls.use_cases.look_up import LookUpRequests
    from outbound_calls.use_cases.place import PlaceCalls
    from outbound_calls.use_cases.publish import PublishOutcomes
    from outbound_calls.use_cases.receive import ReceiveWebhooks
    from outbound_calls.use_cases.sweep import PollCalls


@dataclass(frozen=True, slots=True)
class Assembly:
    """Builds use cases from settings.

    `client` makes an AWS client for a service and a number of connections. `clock` is epoch seconds, `monotonic` counts
    seconds and never goes back. `transport`, `jitter` and `new_claim_id` replace those that the functions use.
    """

    client: Callable[[Any, int], Any] = field(default_factory=Clients)
    transport: httpx.BaseTransport | None = None
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    jitter: Jitter | None = None
    new_claim_id: Callable[[], str] | None = None

    def place_calls(self, settings: PlaceCallSettings) -> PlaceCalls:
        """What place_call does."""
        from outbound_calls.adapters.calls_table import CallsTable
        from outbound_calls.adapters.circuit_breaker import CircuitBreaker
        from outbound_calls.adapters.queues import InvalidMessagesQueue
        from outbound_calls.use_cases.place import Defaults, PlaceCalls

        replaced: dict[str, Any] = {"jitter": self.jitter, "new_claim_id": self.new_claim_id}
        secrets = self.client("secretsmanager", 1)
        return PlaceCalls(
            table=CallsTable(
                self.client("dynamodb", WORKERS),
                settings.calls_table_name,
                settings.retention_days,
                settings.due_shards,
            ),
            allomia=self._allomia(settings, secrets),
            callbacks=self._callbacks(settings.signing_secret_arn, secrets, settings.webhook_url),
            invalid_messages=InvalidMessagesQueue(self.client("sqs", WORKERS), settings.invalid_messages_queue_url),
            circuit_breaker=CircuitBreaker(self.monotonic),
            grace_seconds=settings.webhook_grace_seconds,
            defaults=Defaults(settings.default_assistant_id, settings.default_phone_number_id),
            clock=self.clock,
            **{name: value for name, value in replaced.items() if value},
        )

    def receive_webhooks(self, settings: ReceiveWebhookSettings) -> ReceiveWebhooks:
        """What receive_webhook does."""
        from outbound_calls.adapters.calls_table import CallsTable
        from outbound_calls.use_cases.receive import ReceiveWebhooks

        return ReceiveWebhooks(
            table=CallsTable(self.client("dynamodb", 1), settings.calls_table_name, settings.retention_days),
            callbacks=self._callbacks(settings.signing_secret_arn, self.client("secretsmanager", 1)),
            clock=self.clock,
        )

    def poll_calls(self, settings: PollCallsSettings) -> PollCalls:
        """What poll_calls does with each due attempt."""
        from outbound_calls.adapters.calls_table import CallsTable
        from outbound_calls.adapters.queues import CallQueue
        from outbound_calls.use_cases.sweep import PollCalls

        return PollCalls(
            table=CallsTable(self.client("dynamodb", WORKERS), settings.calls_table_name, settings.retention_days),
            allomia=self._allomia(settings, self.client("secretsmanager", 1)),
            queue=CallQueue(self.client("sqs", WORKERS), settings.call_queue_url),
            schedule=settings.schedule,
            clock=self.clock,
        )

    def publish_outcomes(self, settings: PublishOutcomeSettings) -> PublishOutcomes:
        """What publish_outcome does."""
        from outbound_calls.adapters.outcome_bus import OutcomeBus
        from outbound_calls.adapters.queues import FailedOutcomesQueue
        from outbound_calls.use_cases.publish import PublishOutcomes

        return PublishOutcomes(
            OutcomeBus(self.client("events", 1), settings.outcome_bus_name),
            FailedOutcomesQueue(self.client("sqs", 1), settings.failed_outcomes_queue_url),
        )

    def look_up_requests(self, settings: GetCallSettings) -> LookUpRequests:
        """What get_call does."""
        from outbound_calls.adapters.calls_table import CallsTable
        from outbound_calls.use_cases.look_up import LookUpRequests

        return LookUpRequests(CallsTable(self.client("dynamodb", 1), settings.calls_table_name, retention_days=0))

    def _allomia(self, settings: PlaceCallSettings | PollCallsSettings, secrets: Any) -> AllomiaClient:
        from outbound_calls.adapters.allomia import AllomiaClient, http_client

        http = http_client(settings.allomia_base_url, self.transport, connections=WORKERS)
        key = self._secret(secrets, settings.allomia_api_key_secret_arn)
        return AllomiaClient(http, key, self.monotonic)

    def _callbacks(self, arn: str, secrets: Any, base_url: str = "") -> CallbackUrls:
        from outbound_calls.adapters.callback_urls import CallbackUrls

        return CallbackUrls(self._secret(secrets, arn), base_url)

    def _secret(self, secrets: Any, arn: str) -> Secret:
        from outbound_calls.adapters.secrets import Secret

        return Secret(secrets, arn, self.monotonic)
