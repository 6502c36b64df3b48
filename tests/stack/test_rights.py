"""What each role may not do, tried with its own credentials: the local cloud enforces IAM as AWS does."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.environment import LocalEnvironment

FUNCTIONS = ("PlaceCall", "ReceiveWebhook", "PollCalls", "ReleaseLines", "PublishOutcome", "GetCall")
KEY = {"requestId": {"S": "no-one"}, "attempt": {"N": "1"}}
POLICY = {"subject": {"S": "policy"}, "entry": {"S": "current"}}

type Attempt = Callable[[Callable[[str], Any], LocalEnvironment], object]


def read_allomia_key(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("secretsmanager").get_secret_value(SecretId=f"{world.stack.name}/allomia-api-key")


def read_signing_key(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("secretsmanager").get_secret_value(SecretId=world.stack.resources["SigningSecret"])


def change_signing_key(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    secret = world.stack.resources["SigningSecret"]
    return client("secretsmanager").put_secret_value(SecretId=secret, SecretString="mine")


def read_number_hash_key(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("secretsmanager").get_secret_value(SecretId=world.stack.resources["NumberHashSecret"])


def read_policy(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("dynamodb").get_item(TableName=world.stack.policy_table_name, Key=POLICY)


def read_what_is_remembered(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("dynamodb").query(
        TableName=world.stack.policy_table_name,
        KeyConditionExpression="subject = :number",
        ExpressionAttributeValues={":number": {"S": "number#no-one"}},
    )


def remember(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("dynamodb").put_item(
        TableName=world.stack.policy_table_name,
        Item={"subject": {"S": "number#no-one"}, "entry": {"S": "dials"}},
    )


def forget(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("dynamodb").delete_item(
        TableName=world.stack.policy_table_name, Key={"subject": {"S": "number#no-one"}, "entry": {"S": "dials"}}
    )


def read_table(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("dynamodb").scan(TableName=world.stack.calls_table_name)


def read_record(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("dynamodb").get_item(TableName=world.stack.calls_table_name, Key=KEY)


def look_up(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("dynamodb").query(
        TableName=world.stack.calls_table_name,
        KeyConditionExpression="requestId = :id",
        ExpressionAttributeValues={":id": KEY["requestId"]},
    )


def read_what_is_due(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("dynamodb").query(
        TableName=world.stack.calls_table_name,
        IndexName="due",
        KeyConditionExpression="dueShard = :shard",
        ExpressionAttributeValues={":shard": {"N": "0"}},
    )


def change_record(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("dynamodb").update_item(
        TableName=world.stack.calls_table_name, Key=KEY, ConditionExpression="attribute_exists(requestId)"
    )


def delete_record(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("dynamodb").delete_item(TableName=world.stack.calls_table_name, Key=KEY)


def make_record(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("dynamodb").put_item(
        TableName=world.stack.calls_table_name, Item=KEY, ConditionExpression="attribute_exists(requestId)"
    )


def ask_for_a_call(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("sqs").send_message(QueueUrl=world.stack.call_queue_url, MessageBody="{}")


def read_requests(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("sqs").receive_message(QueueUrl=world.stack.call_queue_url, MaxNumberOfMessages=1)


def read_rejected(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("sqs").receive_message(QueueUrl=world.stack.invalid_messages_queue_url, MaxNumberOfMessages=1)


def publish(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    entry = {"EventBusName": world.stack.outcome_bus_name, "Source": "me", "DetailType": "mine", "Detail": "{}"}
    return client("events").put_events(Entries=[entry])


def change_code(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("lambda").update_function_configuration(FunctionName=world.stack.place_call_function_name, Timeout=1)


def change_rights(client: Callable[[str], Any], world: LocalEnvironment) -> object:
    return client("iam").list_roles()


NO_FUNCTION = (read_table, forget, change_signing_key, read_rejected, change_code, change_rights)
NO_POLICY = (read_policy, read_what_is_remembered, remember, read_number_hash_key)
DENIED: dict[str, tuple[Attempt, ...]] = {
    # The local cloud doesn't look at the partitions to which some rights are limited.
    "PlaceCall": (*NO_FUNCTION, delete_record, ask_for_a_call, publish),
    "ReceiveWebhook": (
        *NO_FUNCTION,
        *NO_POLICY,
        delete_record,
        read_record,
        look_up,
        read_allomia_key,
        make_record,
        ask_for_a_call,
        read_requests,
        publish,
    ),
    "PollCalls": (
        *NO_FUNCTION,
        read_number_hash_key,
        read_record,
        read_signing_key,
        read_requests,
        publish,
    ),
    "ReleaseLines": (
        *NO_FUNCTION,
        read_what_is_remembered,
        remember,
        read_number_hash_key,
        delete_record,
        make_record,
        look_up,
        read_allomia_key,
        read_signing_key,
        ask_for_a_call,
        read_requests,
        publish,
    ),
    "PublishOutcome": (
        *NO_FUNCTION,
        *NO_POLICY,
        delete_record,
        read_record,
        look_up,
        read_allomia_key,
        read_signing_key,
        make_record,
        ask_for_a_call,
        read_requests,
    ),
    "GetCall": (
        *NO_FUNCTION,
        *NO_POLICY,
        delete_record,
        read_record,
        read_what_is_due,
        make_record,
        change_record,
        read_allomia_key,
        read_signing_key,
        ask_for_a_call,
        read_requests,
        publish,
    ),
}
ALLOWED: dict[str, tuple[Attempt, ...]] = {
    "PlaceCall": (read_allomia_key, read_number_hash_key, read_policy, read_what_is_remembered, remember),
    "ReceiveWebhook": (read_signing_key,),
    "PollCalls": (read_allomia_key, read_policy),
    "ReleaseLines": (read_policy,),
    "PublishOutcome": (publish,),
    "GetCall": (look_up,),
}


@pytest.fixture(scope="module")
def acting(world: LocalEnvironment) -> Iterator[Callable[[str], Callable[[str], Any]]]:
    """Clients of a function's role, by the function's name and the service."""
    clients: list[Any] = []

    def acting_as(function: str) -> Callable[[str], Any]:
        sts = world.cloud._make_client("sts")
        role = f"arn:aws:iam::{world.cloud.account}:role/{world.stack.resources[f'{function}Role']}"
        given = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        session: Any = boto3.session.Session(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=world.cloud.region
        )

        def client(service: str) -> Any:
            clients.append(session.client(service, endpoint_url=world.cloud.endpoint_url))
            return clients[-1]

        return client

    yield acting_as
    for client in clients:
        client.close()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_is_denied_what_its_function_must_not_do(
    world: LocalEnvironment, acting: Callable[[str], Callable[[str], Any]], function: str
) -> None:
    client = acting(function)

    # Its credentials are good
    for attempt in ALLOWED[function]:
        attempt(client, world)
    # And good for nothing else
    for attempt in DENIED[function]:
        with pytest.raises(ClientError) as caught:
            attempt(client, world)
        code = caught.value.response["Error"]["Code"]
        assert "AccessDenied" in code, (attempt.__name__, code)
