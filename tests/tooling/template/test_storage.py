"""What keeps messages, records and secrets: encryption, retention, protection."""

from typing import Final

import pytest

from tests.tooling.template.conftest import StackOf
from tests.tooling.template.rendering import Stack

DAYS: Final = 24 * 60 * 60

LOG_DAYS: Final = {"local": 1, "dev": 14, "staging": 30, "prod": 365}


def test_every_queue_is_encrypted(stack: Stack) -> None:
    queues = dict(stack.of_type("AWS::SQS::Queue"))
    assert queues.keys() == {"CallQueue", "DeadLetterQueue", "InvalidMessagesQueue", "FailedOutcomesQueue"}
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues.values())


@pytest.mark.parametrize("queue", ["DeadLetterQueue", "InvalidMessagesQueue", "FailedOutcomesQueue"])
def test_what_waits_for_a_person_waits_as_long_as_sqs_keeps_it(stack: Stack, queue: str) -> None:
    assert stack.properties(queue)["MessageRetentionPeriod"] == 14 * DAYS


def test_a_dead_letter_has_most_of_its_time_left(stack: Stack) -> None:
    """A standard queue's message keeps its age when it becomes a dead letter."""
    assert stack.properties("CallQueue")["MessageRetentionPeriod"] <= 4 * DAYS


def test_the_fifth_failure_makes_a_dead_letter(stack: Stack) -> None:
    assert stack.properties("CallQueue")["RedrivePolicy"] == {
        "deadLetterTargetArn": "${DeadLetterQueue.Arn}",
        "maxReceiveCount": 5,
    }


def test_a_message_stays_hidden_for_six_times_the_functions_timeout(stack: Stack) -> None:
    """docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
    timeout = stack.properties("PlaceCallFunction")["Timeout"]
    assert stack.properties("CallQueue")["VisibilityTimeout"] >= 6 * timeout


def test_the_keys_of_the_calls_table(stack: Stack) -> None:
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
        }
    ]
    assert {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]} == {
        "requestId": "S",
        "attempt": "N",
        "dueShard": "N",
        "dueAt": "N",
    }


def test_the_calls_table_is_encrypted_restorable_and_forgets(stack: Stack) -> None:
    table = stack.properties("CallsTable")

    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


def test_the_stream_carries_the_new_record_only(stack: Stack) -> None:
    assert stack.properties("CallsTable")["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}


def test_the_calls_of_prod_outlive_their_stack(stack_of: StackOf) -> None:
    table = stack_of(Environment="prod").resources["CallsTable"]

    assert table["Properties"]["DeletionProtectionEnabled"] is True
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")


@pytest.mark.parametrize("environment", ["local", "dev", "staging"])
def test_the_calls_of_other_environments_go_with_their_stack(stack_of: StackOf, environment: str) -> None:
    table = stack_of(Environment=environment).resources["CallsTable"]

    assert table["Properties"]["DeletionProtectionEnabled"] is False
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Delete", "Delete")


@pytest.mark.parametrize(("environment", "days"), LOG_DAYS.items())
def test_logs_are_kept_for_a_time_that_fits_the_environment(stack_of: StackOf, environment: str, days: int) -> None:
    groups = dict(stack_of(Environment=environment).of_type("AWS::Logs::LogGroup"))
    assert {group["RetentionInDays"] for group in groups.values()} == {days}


def test_everything_that_logs_has_a_log_group_of_its_own(stack: Stack) -> None:
    used = [function["LoggingConfig"]["LogGroup"] for _, function in stack.of_type("AWS::Lambda::Function")]
    used += [stage["AccessLogSettings"]["DestinationArn"] for _, stage in stack.of_type("AWS::ApiGatewayV2::Stage")]
    used += [
        destination["CloudWatchLogsLogGroup"]["LogGroupArn"]
        for _, machine in stack.of_type("AWS::StepFunctions::StateMachine")
        for destination in machine["LoggingConfiguration"]["Destinations"]
    ]

    groups = [name.removeprefix("${").removesuffix("}").removesuffix(".Arn") for name in used]
    assert sorted(groups) == sorted(logical_id for logical_id, _ in stack.of_type("AWS::Logs::LogGroup"))
