"""Who may do what. A right that is not in the table below fails, and so does a row that the template lost."""

from typing import Final

import pytest

from tests.template.conftest import StackOf
from tests.template.rendering import Stack, Template

TRACING: Final = [
    ("xray:PutTraceSegments", "*"),
    ("xray:PutTelemetryRecords", "*"),
]

# The rights that AWS offers for no narrower resource than all: X-Ray's, and those that deliver an Express workflow's
# log. docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
NOT_NARROWER: Final = {
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}

RIGHTS: Final = {
    "PlaceCallRole": [
        ("dynamodb:PutItem", "${CallsTable.Arn}"),
        ("dynamodb:UpdateItem", "${CallsTable.Arn}"),
        ("logs:CreateLogStream", "${PlaceCallLogGroup.Arn}"),
        ("logs:PutLogEvents", "${PlaceCallLogGroup.Arn}"),
        ("secretsmanager:GetSecretValue", "${AllomiaApiKeySecretArn}"),
        ("secretsmanager:GetSecretValue", "${SigningSecret.Id}"),
        ("sqs:DeleteMessage", "${CallQueue.Arn}"),
        ("sqs:GetQueueAttributes", "${CallQueue.Arn}"),
        ("sqs:ReceiveMessage", "${CallQueue.Arn}"),
        ("sqs:SendMessage", "${RejectedQueue.Arn}"),
        *TRACING,
    ],
    "ReceiveWebhookRole": [
        ("dynamodb:UpdateItem", "${CallsTable.Arn}"),
        ("logs:CreateLogStream", "${ReceiveWebhookLogGroup.Arn}"),
        ("logs:PutLogEvents", "${ReceiveWebhookLogGroup.Arn}"),
        ("secretsmanager:GetSecretValue", "${SigningSecret.Id}"),
        *TRACING,
    ],
    "PollerRole": [
        ("dynamodb:Query", "${CallsTable.Arn}/index/due"),
        ("lambda:InvokeFunction", "${PollCallsFunction.Arn}"),
        ("logs:CreateLogDelivery", "*"),
        ("logs:DeleteLogDelivery", "*"),
        ("logs:DescribeLogGroups", "*"),
        ("logs:DescribeResourcePolicies", "*"),
        ("logs:GetLogDelivery", "*"),
        ("logs:ListLogDeliveries", "*"),
        ("logs:PutResourcePolicy", "*"),
        ("logs:UpdateLogDelivery", "*"),
        ("xray:GetSamplingRules", "*"),
        ("xray:GetSamplingTargets", "*"),
        *TRACING,
    ],
    "PollerScheduleRole": [
        ("states:StartExecution", "${Poller}"),
    ],
    "PollCallsRole": [
        ("dynamodb:UpdateItem", "${CallsTable.Arn}"),
        ("logs:CreateLogStream", "${PollCallsLogGroup.Arn}"),
        ("logs:PutLogEvents", "${PollCallsLogGroup.Arn}"),
        ("secretsmanager:GetSecretValue", "${AllomiaApiKeySecretArn}"),
        ("sqs:SendMessage", "${CallQueue.Arn}"),
        *TRACING,
    ],
    "PublishOutcomeRole": [
        ("dynamodb:DescribeStream", "${CallsTable.StreamArn}"),
        ("dynamodb:GetRecords", "${CallsTable.StreamArn}"),
        ("dynamodb:GetShardIterator", "${CallsTable.StreamArn}"),
        ("dynamodb:ListStreams", "${CallsTable.Arn}/stream/*"),
        ("events:PutEvents", "${OutcomeBus.Arn}"),
        ("logs:CreateLogStream", "${PublishOutcomeLogGroup.Arn}"),
        ("logs:PutLogEvents", "${PublishOutcomeLogGroup.Arn}"),
        ("sqs:SendMessage", "${FailedOutcomesQueue.Arn}"),
        *TRACING,
    ],
    "GetCallRole": [
        ("dynamodb:Query", "${CallsTable.Arn}"),
        ("logs:CreateLogStream", "${GetCallLogGroup.Arn}"),
        ("logs:PutLogEvents", "${GetCallLogGroup.Arn}"),
        *TRACING,
    ],
}

ASSUMED_BY: Final = {
    "PlaceCallRole": "lambda.amazonaws.com",
    "ReceiveWebhookRole": "lambda.amazonaws.com",
    "PollerRole": "states.amazonaws.com",
    "PollerScheduleRole": "scheduler.amazonaws.com",
    "PollCallsRole": "lambda.amazonaws.com",
    "PublishOutcomeRole": "lambda.amazonaws.com",
    "GetCallRole": "lambda.amazonaws.com",
}


def statements(role: Template) -> list[Template]:
    return [statement for policy in role["Policies"] for statement in policy["PolicyDocument"]["Statement"]]


@pytest.mark.parametrize("environment", ["local", "dev", "staging", "prod"])
def test_each_role_may_do_what_its_work_needs_and_nothing_else(stack_of: StackOf, environment: str) -> None:
    stack = stack_of(Environment=environment)

    rights = {
        logical_id: sorted((statement["Action"], statement["Resource"]) for statement in statements(role))
        for logical_id, role in stack.of_type("AWS::IAM::Role")
    }

    assert rights == {role: sorted(expected) for role, expected in RIGHTS.items()}


def test_nobody_has_rights_by_another_way(stack: Stack) -> None:
    kinds = {resource["Type"] for resource in stack.resources.values() if resource["Type"].startswith("AWS::IAM::")}
    assert kinds == {"AWS::IAM::Role"}
    for logical_id, role in stack.of_type("AWS::IAM::Role"):
        assert role.keys() == {"AssumeRolePolicyDocument", "Policies"}, logical_id


def test_a_statement_allows_one_action_on_one_resource(stack: Stack) -> None:
    for _, role in stack.of_type("AWS::IAM::Role"):
        for statement in statements(role):
            assert statement.keys() == {"Effect", "Action", "Resource"}
            assert statement["Effect"] == "Allow"
            assert isinstance(statement["Action"], str)
            assert isinstance(statement["Resource"], str)


def test_only_what_aws_cannot_narrow_is_allowed_on_everything(stack: Stack) -> None:
    for _, role in stack.of_type("AWS::IAM::Role"):
        for statement in statements(role):
            assert "*" not in statement["Action"]
            assert statement["Resource"] != "*" or statement["Action"] in NOT_NARROWER


def test_a_role_is_assumed_by_its_own_service_alone(stack: Stack) -> None:
    assumed_by = {}
    for logical_id, role in stack.of_type("AWS::IAM::Role"):
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole")
        assumed_by[logical_id] = statement["Principal"]["Service"]

    assert assumed_by == ASSUMED_BY


@pytest.mark.parametrize("role", ["PollerRole", "PollerScheduleRole"])
def test_step_functions_and_the_scheduler_act_for_this_account_alone(stack: Stack, role: str) -> None:
    (statement,) = stack.properties(role)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "${AWS::AccountId}"}}


def test_each_function_has_a_role_of_its_own(stack: Stack) -> None:
    roles = [function["Role"] for _, function in stack.of_type("AWS::Lambda::Function")]
    assert len(set(roles)) == len(roles) == 5


@pytest.mark.parametrize("name", ["ReceiveWebhook", "GetCall"])
def test_the_functions_that_face_the_internet_know_nothing_of_the_allomia_key(stack: Stack, name: str) -> None:
    role, function = stack.properties(f"{name}Role"), stack.properties(f"{name}Function")

    assert function["Role"] == f"${{{name}Role.Arn}}"
    assert "AllomiaApiKey" not in str(role)
    assert "ALLOMIA" not in str(function["Environment"])
    assert "AllomiaApiKey" not in str(function["Environment"])


def test_the_function_that_reads_calls_can_neither_write_nor_sign(stack: Stack) -> None:
    rights = {(statement["Action"], statement["Resource"]) for statement in statements(stack.properties("GetCallRole"))}

    assert {action for action, resource in rights if "CallsTable" in resource} == {"dynamodb:Query"}
    assert "Secret" not in str(stack.properties("GetCallRole")) + str(stack.properties("GetCallFunction"))


def test_only_a_functions_own_route_may_invoke_it(stack: Stack) -> None:
    permissions = [permission for _, permission in stack.of_type("AWS::Lambda::Permission")]

    assert {permission["Principal"] for permission in permissions} == {"apigateway.amazonaws.com"}
    assert sorted((each["FunctionName"], each["SourceArn"].rpartition(":")[2]) for each in permissions) == [
        ("${GetCallFunction}", "${WebhookApi}/*/GET/calls/*"),
        ("${ReceiveWebhookFunction}", "${WebhookApi}/*/POST/webhooks/allomia/*/*/*"),
    ]


def test_calls_are_read_by_whom_iam_lets_and_webhooks_come_from_anybody(stack: Stack) -> None:
    body = stack.properties("WebhookApi")["Body"]
    routes = {
        f"{method.upper()} {path}": operation.get("security")
        for path, methods in body["paths"].items()
        for method, operation in methods.items()
    }

    assert routes == {
        "GET /calls/{requestId}": [{"AWS_IAM": []}],
        "POST /webhooks/allomia/{requestId}/{attempt}/{signature}": None,
    }
    # And what a route's name for it means, and that there is nothing that would hold for all routes
    assert body["components"]["securitySchemes"] == {
        "AWS_IAM": {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "x-amazon-apigateway-authtype": "awsSigv4",
        }
    }
    assert "security" not in body
    # And nobody's browser is invited
    assert "CorsConfiguration" not in stack.properties("WebhookApi")
    assert "x-amazon-apigateway-cors" not in body


def test_no_queue_is_used_over_plain_http(stack: Stack) -> None:
    ((_, policy),) = stack.of_type("AWS::SQS::QueuePolicy")
    (statement,) = policy["PolicyDocument"]["Statement"]

    assert set(policy["Queues"]) == {f"${{{logical_id}}}" for logical_id, _ in stack.of_type("AWS::SQS::Queue")}
    assert statement == {
        "Sid": "DenyPlainHttp",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": "*",
        "Condition": {
            "Bool": {"aws:SecureTransport": "false"},
            # No request comes to AWS from a loopback address, so on AWS this exempts nobody.
            "NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"},
        },
    }
