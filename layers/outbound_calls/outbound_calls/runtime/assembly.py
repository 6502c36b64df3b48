"""The one place that builds the real parts: for the functions, the operator's command, the benchmarks and the tests.

Whatever touches the world can be passed in: AWS clients, the HTTP transport, clocks, the source of jitter. Parts are
imported where they are built, so that a function loads only its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from outbound_calls.runtime.clients import Clients
from outbound_calls.runtime.workers import WORKERS

if TYPE_CHECKING:
    import httpx
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

    from outbound_calls.adapters.allomia import AllomiaClient
    from outbound_calls.adapters.calls_table import CallsTable
    from outbound_calls.adapters.lines_table import LinesTable
    from outbound_calls.adapters.organizations import Organizations
    from outbound_calls.adapters.outcome_bus import OutcomeBus
    from outbound_calls.adapters.policy_table import NumberHashes, PolicyTable
    from outbound_calls.adapters.secrets import Secret
    from outbound_calls.domain.timing import Jitter
    from outbound_calls.runtime.settings.get_call import GetCallSettings
    from outbound_calls.runtime.settings.place_call import PlaceCallSettings
    from outbound_calls.runtime.settings.poll_calls import PollCallsSettings
    from outbound_calls.runtime.settings.publish_outcome import PublishOutcomeSettings
    from outbound_calls.runtime.settings.receive_webhook import ReceiveWebhookSettings
    from outbound_calls.runtime.settings.release_lines import ReleaseLinesSettings
    from outbound_calls.use_cases.decide import CurrentPolicy, JudgeAttempts
    from outbound_calls.use_cases.dial import DialAttempts
    from outbound_calls.use_cases.hand_on import HandOnLines
    from outbound_calls.use_cases.look_up import LookUpRequests
    from outbound_calls.use_cases.place import PlaceCalls
    from outbound_calls.use_cases.publish import PublishOutcomes
    from outbound_calls.use_cases.receive import ReceiveWebhooks
    from outbound_calls.use_cases.release_lines import ReleaseLines
    from outbound_calls.use_cases.sweep import PollCalls


SECRET_TRIES = 2
"""Few, because what was read before serves meanwhile, and a webhook must be answered within seconds."""


class MakesClients(Protocol):
    """Makes an AWS client. Where no number of tries is given, it tries as often as `Clients` does."""

    def __call__(self, service: Any, connections: int = ..., tries: int = ..., /) -> Any:
        """The client for a service."""
        ...


@dataclass(eq=False, slots=True)
class Assembly:
    """Builds use cases from settings.

    `client` makes AWS clients. `clock` is epoch seconds, `monotonic` counts seconds and never goes back. `transport`,
    `jitter` and `new_claim_id` replace those that the functions use.
    """

    client: MakesClients = field(default_factory=Clients)
    transport: httpx.BaseTransport | None = None
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    jitter: Jitter | None = None
    new_claim_id: Callable[[], str] | None = None

    def place_calls(self, settings: PlaceCallSettings) -> PlaceCalls:
        """What place_call does."""
        from outbound_calls.adapters.fingerprints import Fingerprints
        from outbound_calls.adapters.queues import InvalidMessagesQueue
        from outbound_calls.use_cases.cancel import CancelRequests
        from outbound_calls.use_cases.place import PlaceCalls

        sqs, signing = self.client("sqs", WORKERS), self.secret(settings.signing_secret_arn)
        dial = self._dial(settings, sqs, signing)
        return PlaceCalls(
            table=dial.table,
            organizations=dial.allomia.organizations,
            fingerprints=Fingerprints(signing),
            invalid_messages=InvalidMessagesQueue(sqs, settings.invalid_messages_queue_url),
            judge=dial.judge,
            cancel=CancelRequests(dial.table, self.clock),
            dial=dial,
            lines=dial.lines,
            clock=self.clock,
        )

    def _dial(self, settings: PlaceCallSettings, sqs: SQSClient, signing: Secret) -> DialAttempts:
        from outbound_calls.adapters.callback_urls import CallbackUrls
        from outbound_calls.adapters.circuit_breaker import CircuitBreakers
        from outbound_calls.adapters.dial_marks import DialMarks
        from outbound_calls.use_cases.dial import DialAttempts
        from outbound_calls.use_cases.wait_for_line import WaitForLine

        # Few tries at a time, because writes that matter are repeated: each must end before the invocation.
        dynamodb = self.client("dynamodb", WORKERS, 2)
        table = self.calls_table(dynamodb, settings.calls_table_name, settings.retention_days, settings.due_shards)
        policy = self.policy_table(dynamodb, settings.policy_table_name)
        current = self.current_policy(policy, settings.calling_policy)
        judge = self.judge(current, policy, self.number_hashes(settings.number_hash_secret_arn))
        hand_on = self._hand_on(table, settings.policy_table_name, settings.handed_on_queue_url, sqs)
        replaced: dict[str, Any] = {"jitter": self.jitter, "new_claim_id": self.new_claim_id}
        return DialAttempts(
            table=table,
            allomia=self._allomia(settings, settings.default_assistant_id, settings.default_phone_number_id),
            callbacks=CallbackUrls(signing, settings.webhook_url),
            judge=judge,
            marks=DialMarks(dynamodb, settings.policy_table_name),
            circuit_breakers=CircuitBreakers(self.monotonic),
            hand_on=hand_on,
            lines=WaitForLine(judge, hand_on),
            grace_seconds=settings.webhook_grace_seconds,
            deadline_seconds=settings.call_deadline_seconds,
            clock=self.clock,
            **{name: value for name, value in replaced.items() if value},
        )

    def release_lines(self, settings: ReleaseLinesSettings) -> ReleaseLines:
        """What release_lines does."""
        from outbound_calls.use_cases.release_lines import ReleaseLines

        dynamodb = self.client("dynamodb")
        table = self.calls_table(dynamodb, settings.calls_table_name)
        policy = self.policy_table(dynamodb, settings.policy_table_name)
        hand_on = self._hand_on(table, settings.policy_table_name, settings.handed_on_queue_url, self.client("sqs"))
        return ReleaseLines(self.current_policy(policy, settings.calling_policy), hand_on.lines_table, hand_on)

    def _hand_on(self, table: CallsTable, policy_table_name: str, queue_url: str, sqs: SQSClient) -> HandOnLines:
        from outbound_calls.adapters.queues import CallQueue
        from outbound_calls.adapters.waiting_attempts import WaitingAttempts
        from outbound_calls.use_cases.hand_on import HandOnLines

        lines = self.lines_table(table.client, policy_table_name)
        return HandOnLines(WaitingAttempts(table), lines, CallQueue(sqs, queue_url), self.clock)

    def receive_webhooks(self, settings: ReceiveWebhookSettings) -> ReceiveWebhooks:
        """What receive_webhook does."""
        from outbound_calls.adapters.callback_urls import CallbackUrls
        from outbound_calls.use_cases.receive import ReceiveWebhooks

        return ReceiveWebhooks(
            table=self.calls_table(self.client("dynamodb"), settings.calls_table_name, settings.retention_days),
            callbacks=CallbackUrls(self.secret(settings.signing_secret_arn)),
            clock=self.clock,
        )

    def poll_calls(self, settings: PollCallsSettings) -> PollCalls:
        """What poll_calls does with each due attempt."""
        from outbound_calls.adapters.dial_marks import DialMarks
        from outbound_calls.adapters.queues import CallQueue
        from outbound_calls.use_cases.sweep import PollCalls

        dynamodb, sqs = self.client("dynamodb", WORKERS), self.client("sqs", WORKERS)
        table = self.calls_table(dynamodb, settings.calls_table_name, settings.retention_days, settings.due_shards)
        return PollCalls(
            table=table,
            policy_table=self.policy_table(dynamodb, settings.policy_table_name),
            allomia=self._allomia(settings),
            marks=DialMarks(dynamodb, settings.policy_table_name),
            queue=CallQueue(sqs, settings.call_queue_url),
            hand_on=self._hand_on(table, settings.policy_table_name, settings.handed_on_queue_url, sqs),
            schedule=settings.schedule,
            preset=settings.calling_policy,
            clock=self.clock,
        )

    def publish_outcomes(self, settings: PublishOutcomeSettings) -> PublishOutcomes:
        """What publish_outcome does."""
        from outbound_calls.adapters.queues import FailedOutcomesQueue
        from outbound_calls.use_cases.publish import PublishOutcomes

        return PublishOutcomes(
            self.outcome_bus(settings.outcome_bus_name),
            FailedOutcomesQueue(self.client("sqs"), settings.failed_outcomes_queue_url),
        )

    def look_up_requests(self, settings: GetCallSettings) -> LookUpRequests:
        """What get_call does."""
        from outbound_calls.use_cases.look_up import LookUpRequests

        return LookUpRequests(self.calls_table(self.client("dynamodb"), settings.calls_table_name))

    # The parts that use cases share with the operator's command.

    def calls_table(
        self, dynamodb: DynamoDBClient, name: str, retention_days: int = 0, due_shards: int = 1
    ) -> CallsTable:
        """The calls table. What only reads it needs neither number."""
        from outbound_calls.adapters.calls_table import CallsTable

        return CallsTable(dynamodb, name, retention_days, due_shards)

    def policy_table(self, dynamodb: DynamoDBClient, name: str) -> PolicyTable:
        """The policy table."""
        from outbound_calls.adapters.policy_table import PolicyTable

        return PolicyTable(dynamodb, name)

    def lines_table(self, dynamodb: DynamoDBClient, policy_table_name: str) -> LinesTable:
        """The lines in use, in the policy table."""
        from outbound_calls.adapters.lines_table import LinesTable

        return LinesTable(dynamodb, policy_table_name)

    def outcome_bus(self, name: str) -> OutcomeBus:
        """The event bus on which outcomes are published."""
        from outbound_calls.adapters.outcome_bus import OutcomeBus

        return OutcomeBus(self.client("events"), name)

    def current_policy(self, table: PolicyTable, preset: str) -> CurrentPolicy:
        """The rules in force. `preset` applies to whatever the policy document doesn't say."""
        from outbound_calls.use_cases.decide import CurrentPolicy

        return CurrentPolicy(table, preset, self.monotonic)

    def judge(self, policy: CurrentPolicy, table: PolicyTable, numbers: NumberHashes) -> JudgeAttempts:
        """What place_call decides by."""
        from outbound_calls.use_cases.decide import JudgeAttempts

        return JudgeAttempts(policy, table, numbers)

    def number_hashes(self, secret_arn: str) -> NumberHashes:
        """The hashes of numbers, by the stack's own key."""
        from outbound_calls.adapters.policy_table import NumberHashes

        return NumberHashes(self.secret(secret_arn))

    def organizations(
        self, secret_arn: str, assistant_id: str | None = None, phone_number_id: str | None = None
    ) -> Organizations:
        """The organizations in the secret of AlloMia keys, and the ids of those that name none."""
        from outbound_calls.adapters.organizations import Organizations

        return Organizations(self.secret(secret_arn), assistant_id, phone_number_id)

    def _allomia(
        self,
        settings: PlaceCallSettings | PollCallsSettings,
        assistant_id: str | None = None,
        phone_number_id: str | None = None,
    ) -> AllomiaClient:
        from outbound_calls.adapters.allomia import AllomiaClient, http_client

        http = http_client(settings.allomia_base_url, self.transport, connections=WORKERS)
        organizations = self.organizations(settings.allomia_api_key_secret_arn, assistant_id, phone_number_id)
        return AllomiaClient(http, organizations, self.monotonic)

    def secret(self, arn: str) -> Secret:
        """A secret, which is read again after a while."""
        from outbound_calls.adapters.secrets import Secret

        return Secret(self.client("secretsmanager", 1, SECRET_TRIES), arn, self.monotonic)
