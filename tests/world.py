"""What the functions and use cases under test work on: a table, queues and secrets, and the settings that name them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from outbound_calls.contracts.dispatch import AttemptName, DispatchMessage
from tests.tables import table_properties
from tests.unit.parts import API_KEY, ASSISTANT_ID, PHONE_NUMBER_ID

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from local.cloud import LocalCloud
    from outbound_calls.domain.attempts import AttemptKey

NOW = 1_775_053_800
"""2026-04-01T14:30:00Z, when most of these attempts are dispatched."""

GRACE_SECONDS = 180
DEADLINE_SECONDS = 7200
RETENTION_DAYS = 90
DUE_SHARDS = 4
SIGNING_KEY = "first-signing-key"
NUMBER_HASH_KEY = "number-hash-key"
WEBHOOK_URL = "https://hooks.example/webhooks/allomia"

_QUEUES = "https://sqs.ca-central-1.amazonaws.com/123456789012"
_SECRETS = "arn:aws:secretsmanager:ca-central-1:123456789012:secret"


def environment(**changes: str) -> dict[str, str]:
    """The environment variables of all functions at once; each one's settings take their own from it."""
    return {
        "POWERTOOLS_SERVICE_NAME": "calls-test",
        "POWERTOOLS_METRICS_NAMESPACE": "AllomiaOutboundCalls",
        "CALLS_TABLE_NAME": "calls",
        "POLICY_TABLE_NAME": "policy",
        "NUMBER_HASH_SECRET_ARN": f"{_SECRETS}:hash-AbCdEf",
        "CALLING_POLICY": "open",
        "CALL_QUEUE_URL": f"{_QUEUES}/calls",
        "HANDED_ON_QUEUE_URL": f"{_QUEUES}/handed-on",
        "INVALID_MESSAGES_QUEUE_URL": f"{_QUEUES}/invalid",
        "ALLOMIA_API_KEY_SECRET_ARN": f"{_SECRETS}:key-AbCdEf",
        "ALLOMIA_BASE_URL": "https://allomia.example",
        "SIGNING_SECRET_ARN": f"{_SECRETS}:signing-AbCdEf",
        "WEBHOOK_URL": WEBHOOK_URL,
        "DEFAULT_ASSISTANT_ID": ASSISTANT_ID,
        "DEFAULT_PHONE_NUMBER_ID": PHONE_NUMBER_ID,
        "WEBHOOK_GRACE_SECONDS": str(GRACE_SECONDS),
        "CALL_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
        "MAX_POLLS_PER_SECOND": "1000",
        "DUE_SHARDS": str(DUE_SHARDS),
        "RETENTION_DAYS": str(RETENTION_DAYS),
        "OUTCOME_BUS_NAME": "outcomes",
        "FAILED_OUTCOMES_QUEUE_URL": f"{_QUEUES}/failed-outcomes",
    } | changes


def dispatch_message(key: AttemptKey, times_parked: int = 1) -> str:
    """The poller's message for a parked attempt."""
    name = AttemptName(request_id=str(key.request), attempt=key.number)
    return DispatchMessage(dispatch=name, times_parked=times_parked).model_dump_json()


def create_calls_table(dynamodb: DynamoDBClient) -> str:
    """Create a calls table as the template defines it. Returns its name."""
    return _create_table(dynamodb, "CallsTable")


def create_policy_table(dynamodb: DynamoDBClient) -> str:
    """Create a policy table as the template defines it. Returns its name."""
    return _create_table(dynamodb, "PolicyTable")


def _create_table(dynamodb: DynamoDBClient, logical_id: str) -> str:
    """Create a table from the template itself, so that the two can't drift apart."""
    properties = table_properties()[logical_id]
    kept = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "StreamSpecification")
    definition: dict[str, Any] = {name: properties[name] for name in kept if name in properties}
    if "StreamSpecification" in definition:
        definition["StreamSpecification"] = {"StreamEnabled": True} | definition["StreamSpecification"]
    name = f"{logical_id}-{uuid4().hex}"
    dynamodb.create_table(TableName=name, **definition)
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return name


class CloudResources:
    """Two tables, three queues and three secrets on the local cloud."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.sqs = cloud.client("sqs")
        self.secrets = cloud.client("secretsmanager")
        self.table_name = create_calls_table(cloud.client("dynamodb"))
        self.policy_table_name = create_policy_table(cloud.client("dynamodb"))
        self.key_arn = self.new_secret(API_KEY)
        self.signing_arn = self.new_secret(SIGNING_KEY)
        self.number_hash_arn = self.new_secret(NUMBER_HASH_KEY)
        self.renew_queues()

    def renew_queues(self) -> None:
        """Have new queues, so that no test meets another one's messages. AWS purges a queue once a minute only."""
        self.call_queue_url = self.new_queue()
        self.handed_on_queue_url = self.new_queue()
        self.invalid_messages_queue_url = self.new_queue()

    def environment(self, **changes: str) -> dict[str, str]:
        """The environment variables of functions that work on these resources."""
        names = {
            "CALLS_TABLE_NAME": self.table_name,
            "POLICY_TABLE_NAME": self.policy_table_name,
            "NUMBER_HASH_SECRET_ARN": self.number_hash_arn,
            "CALL_QUEUE_URL": self.call_queue_url,
            "HANDED_ON_QUEUE_URL": self.handed_on_queue_url,
            "INVALID_MESSAGES_QUEUE_URL": self.invalid_messages_queue_url,
            "ALLOMIA_API_KEY_SECRET_ARN": self.key_arn,
            "SIGNING_SECRET_ARN": self.signing_arn,
        }
        return environment(**names | changes)

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
