"""Encryption, retention and protection of messages, records and logs."""

from typing import Final

import pytest

from tests.tooling.template.conftest import StackOf
from tests.tooling.template.rendering import RenderedStack

DAYS: Final = 24 * 60 * 60

LOG_DAYS: Final = {"local": 1, "dev": 14, "staging": 30, "prod": 365}


def test_every_queue_is_encrypted(stack: RenderedStack) -> None:
    queues = dict(stack.of_type("AWS::SQS::Queue"))
    assert queues.keys() == {
        "CallQueue",
        "HandedOnQueue",
        "DeadLetterQueue",
        "InvalidMessagesQueue",
        "FailedOutcomesQueue",
    }
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues.values())


def test_messages_that_need_a_person_are_kept_for_the_longest_time_that_sqs_allows(stack: RenderedStack) -> None:
    for queue in ("DeadLetterQueue", "InvalidMessagesQueue", "FailedOutcomesQueue"):
        assert stack.properties(queue)["MessageRetentionPeriod"] == 14 * DAYS, queue
    # A message keeps its age when it becomes a dead letter
    for queue in ("CallQueue", "HandedOnQueue"):
        assert stack.properties(queue)["MessageRetentionPeriod"] <= 4 * DAYS, queue


def test_a_message_that_fails_five_times_becomes_a_dead_letter(stack: RenderedStack) -> None:
    queue = stack.properties("CallQueue")

    assert queue["RedrivePolicy"] == {"deadLetterTargetArn": "${DeadLetterQueue.Arn}", "maxReceiveCount": 5}
    # docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    assert queue["VisibilityTimeout"] >= 6 * stack.properties("PlaceCallFunction")["Timeout"]


PROJECTED = [
    *("status", "createdAt", "dispatchedAt", "timesParked", "metadata", "batch", "purpose", "setting"),
    *("outboundCallId", "contactId", "callDetails", "allowedBy", "redialAt", "nextAttempt", "cancelRequestedAt"),
    *("outcomeSource", "reasonCode", "reason"),
]
"""What a report and an outcome event show of an attempt that has ended. No phone number, name or variable."""


def test_the_keys_of_the_calls_table(stack: RenderedStack) -> None:
    table = stack.properties("CallsTable")

    assert table["KeySchema"] == [
        {"AttributeName": "requestId", "KeyType": "HASH"},
        {"AttributeName": "attempt", "KeyType": "RANGE"},
    ]
    assert table["GlobalSecondaryIndexes"] == [
        {
            "IndexName": "due",
            "KeySchema": [
                {"AttributeName": "dueShard", "KeyType": "HASH"},
                {"AttributeName": "dueAt", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        },
        {
            "IndexName": "ended",
            "KeySchema": [
                {"AttributeName": "endedOn", "KeyType": "HASH"},
                {"AttributeName": "recordedAt", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": PROJECTED},
        },
        {
            "IndexName": "waiting",
            "KeySchema": [
                {"AttributeName": "waitsFor", "KeyType": "HASH"},
                {"AttributeName": "waitsSince", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["policyVersion"]},
        },
    ]
    assert {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]} == {
        "requestId": "S",
        "attempt": "N",
        "dueShard": "N",
        "dueAt": "N",
        "endedOn": "S",
        "recordedAt": "N",
        "waitsFor": "S",
        "waitsSince": "N",
    }


def test_the_keys_of_the_policy_table(stack: RenderedStack) -> None:
    table = stack.properties("PolicyTable")

    assert table["KeySchema"] == [
        {"AttributeName": "subject", "KeyType": "HASH"},
        {"AttributeName": "entry", "KeyType": "RANGE"},
    ]
    assert {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]} == {
        "subject": "S",
        "entry": "S",
    }
    assert "GlobalSecondaryIndexes" not in table


@pytest.mark.parametrize("name", ["CallsTable", "PolicyTable"])
def test_a_table_is_encrypted_restorable_and_expires_records(stack: RenderedStack, name: str) -> None:
    table = stack.properties(name)

    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


def test_only_the_calls_table_has_a_stream(stack: RenderedStack) -> None:
    streams = {name: each.get("StreamSpecification") for name, each in stack.of_type("AWS::DynamoDB::Table")}

    assert streams == {"CallsTable": {"StreamViewType": "NEW_IMAGE"}, "PolicyTable": None}


@pytest.mark.parametrize(("environment", "days"), LOG_DAYS.items())
def test_the_environment_decides_on_protection_and_log_retention(
    stack_of: StackOf, environment: str, days: int
) -> None:
    stack = stack_of(Environment=environment)
    protected = environment == "prod"

    for name, table in stack.of_type("AWS::DynamoDB::Table"):
        assert table["DeletionProtectionEnabled"] is protected, name
    # Without the key of the hashes no entry of the do-not-call list would be found again
    for name in ("CallsTable", "PolicyTable", "NumberHashSecret"):
        kept = stack.resources[name]
        assert {kept["DeletionPolicy"], kept["UpdateReplacePolicy"]} == {"Retain" if protected else "Delete"}, name
    assert {group["RetentionInDays"] for _, group in stack.of_type("AWS::Logs::LogGroup")} == {days}


def test_every_log_has_its_own_group(stack: RenderedStack) -> None:
    used = [function["LoggingConfig"]["LogGroup"] for _, function in stack.of_type("AWS::Lambda::Function")]
    used += [stage["AccessLogSettings"]["DestinationArn"] for _, stage in stack.of_type("AWS::ApiGatewayV2::Stage")]
    used += [
        destination["CloudWatchLogsLogGroup"]["LogGroupArn"]
        for _, machine in stack.of_type("AWS::StepFunctions::StateMachine")
        for destination in machine["LoggingConfiguration"]["Destinations"]
    ]

    groups = [name.removeprefix("${").removesuffix("}").removesuffix(".Arn") for name in used]
    assert sorted(groups) == sorted(logical_id for logical_id, _ in stack.of_type("AWS::Logs::LogGroup"))
