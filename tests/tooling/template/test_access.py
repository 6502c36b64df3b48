"""Who may do what. A right that is not in the table below fails, and so does a row that the template lost."""

from typing import Final

import pytest

from tests.tooling.template.conftest import StackOf
from tests.tooling.template.rendering import Stack, Template

TRACING: Final = [
    ("xray:PutTraceSegments", "*"),
    ("xray:PutTelemetryRecords", "*"),
]

# The rights that AWS offers for no narrower resource than all: X-Ray's, those that deliver an Express workflow's log,
# and CodeDeploy's look at the alarms, which AWS's own policy allows no narrower.
# docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
NOT_NARROWER: Final = {
    "cloudwatch:DescribeAlarms",
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
        ("sqs:SendMessage", "${InvalidMessagesQueue.Arn}"),
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
        ("lambda:InvokeFunction", "${PollCallsFunctionAliaslive}"),
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

RELEASED: Final = (
    "PlaceCallFunction",
    "ReceiveWebhookFunction",
    "PollCallsFunction",
    "PublishOutcomeFunction",
    "GetCallFunction",
)
CODEDEPLOY: Final = "arn:${AWS::Partition}:codedeploy:${AWS::Region}:${AWS::AccountId}"
OUR_APPLICATION: Final = "${AWS::StackName}-ServerlessDeploymentApplication-*"

# Only where releases are gradual.
RIGHTS_FOR_RELEASES: Final = {
    "CheckReleaseRole": [
        ("codedeploy:GetApplicationRevision", f"{CODEDEPLOY}:application:{OUR_APPLICATION}"),
        ("codedeploy:GetDeployment", f"{CODEDEPLOY}:deploymentgroup:{OUR_APPLICATION}/*"),
        ("codedeploy:PutLifecycleEventHookExecutionStatus", f"{CODEDEPLOY}:deploymentgroup:{OUR_APPLICATION}/*"),
        *(("lambda:InvokeFunction", f"${{{function}.Arn}}:*") for function in RELEASED),
        ("logs:CreateLogStream", "${CheckReleaseLogGroup.Arn}"),
        ("logs:PutLogEvents", "${CheckReleaseLogGroup.Arn}"),
        *TRACING,
    ],
    # What AWS's own AWSCodeDeployRoleForLambdaLimited allows for all functions of an account, for these; without S3 and
    # SNS, which no release of this stack uses.
    "ReleaseRole": [
        ("cloudwatch:DescribeAlarms", "*"),
        ("lambda:InvokeFunction", "${CheckReleaseFunction.Arn}"),
        *(("lambda:GetAlias", f"${{{function}.Arn}}") for function in RELEASED),
        *(("lambda:GetProvisionedConcurrencyConfig", f"${{{function}.Arn}}:*") for function in RELEASED),
        *(("lambda:UpdateAlias", f"${{{function}.Arn}}") for function in RELEASED),
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
    "CheckReleaseRole": "lambda.amazonaws.com",
    "ReleaseRole": "codedeploy.amazonaws.com",
}

GRADUAL: Final = ("staging", "prod")


def statements(stack: Stack, role: str) -> list[Template]:
    """What a role's own policies allow, and those that are attached to it."""
    policies = [*stack.properties(role)["Policies"]]
    policies += [policy for _, policy in stack.of_type("AWS::IAM::Policy") if f"${{{role}}}" in policy["Roles"]]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


@pytest.mark.parametrize("environment", ["local", "dev", "staging", "prod"])
def test_each_role_may_do_what_its_work_needs_and_nothing_else(stack_of: StackOf, environment: str) -> None:
    stack = stack_of(Environment=environment)

    rights = {
        role: sorted((statement["Action"], statement["Resource"]) for statement in statements(stack, role))
        for role, _ in stack.of_type("AWS::IAM::Role")
    }

    wanted = {**RIGHTS, **(RIGHTS_FOR_RELEASES if environment in GRADUAL else {})}
    assert rights == {role: sorted(expected) for role, expected in wanted.items()}


def test_nobody_has_rights_by_another_way(widest: Stack) -> None:
    kinds = {resource["Type"] for resource in widest.resources.values() if resource["Type"].startswith("AWS::IAM::")}
    assert kinds == {"AWS::IAM::Role", "AWS::IAM::Policy"}
    roles = dict(widest.of_type("AWS::IAM::Role"))
    for logical_id, role in roles.items():
        assert role.keys() == {"AssumeRolePolicyDocument", "Policies"}, logical_id
    for _, policy in widest.of_type("AWS::IAM::Policy"):
        (attached_to,) = policy["Roles"]
        assert attached_to.strip("${}") in roles
        assert policy.keys() == {"PolicyName", "PolicyDocument", "Roles"}


def test_a_statement_allows_one_action_on_one_resource(widest: Stack) -> None:
    for role, _ in widest.of_type("AWS::IAM::Role"):
        for statement in statements(widest, role):
            assert statement.keys() == {"Effect", "Action", "Resource"}
            assert statement["Effect"] == "Allow"
            assert isinstance(statement["Action"], str)
            assert isinstance(statement["Resource"], str)


def test_only_what_aws_cannot_narrow_is_allowed_on_everything(widest: Stack) -> None:
    for role, _ in widest.of_type("AWS::IAM::Role"):
        for statement in statements(widest, role):
            assert "*" not in statement["Action"]
            assert statement["Resource"] != "*" or statement["Action"] in NOT_NARROWER


def test_a_role_is_assumed_by_its_own_service_alone(widest: Stack) -> None:
    assumed_by = {}
    for logical_id, role in widest.of_type("AWS::IAM::Role"):
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole")
        assumed_by[logical_id] = statement["Principal"]["Service"]

    assert assumed_by == ASSUMED_BY


@pytest.mark.parametrize("role", ["PollerRole", "PollerScheduleRole", "ReleaseRole"])
def test_services_that_work_for_many_accounts_act_for_this_one_alone(widest: Stack, role: str) -> None:
    (statement,) = widest.properties(role)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "${AWS::AccountId}"}}


def test_each_function_has_a_role_of_its_own(widest: Stack) -> None:
    roles = [function["Role"] for _, function in widest.of_type("AWS::Lambda::Function")]
    assert len(set(roles)) == len(roles) == 6


@pytest.mark.parametrize("name", ["ReceiveWebhook", "GetCall"])
def test_the_functions_that_face_the_internet_know_nothing_of_the_allomia_key(stack: Stack, name: str) -> None:
    role, function = stack.properties(f"{name}Role"), stack.properties(f"{name}Function")

    assert function["Role"] == f"${{{name}Role.Arn}}"
    assert "AllomiaApiKey" not in str(role)
    assert "ALLOMIA" not in str(function["Environment"])
    assert "AllomiaApiKey" not in str(function["Environment"])


def test_the_function_that_reads_calls_can_neither_write_nor_sign(stack: Stack) -> None:
    rights = {(statement["Action"], statement["Resource"]) for statement in statements(stack, "GetCallRole")}

    assert {action for action, resource in rights if "CallsTable" in resource} == {"dynamodb:Query"}
    assert "Secret" not in str(stack.properties("GetCallRole")) + str(stack.properties("GetCallFunction"))


def test_only_a_functions_own_route_may_invoke_it(stack: Stack) -> None:
    permissions = [permission for _, permission in stack.of_type("AWS::Lambda::Permission")]

    assert {permission["Principal"] for permission in permissions} == {"apigateway.amazonaws.com"}
    assert sorted((each["FunctionName"], each["SourceArn"].rpartition(":")[2]) for each in permissions) == [
        ("${GetCallFunctionAliaslive}", "${HttpApi}/*/GET/calls/*"),
        ("${ReceiveWebhookFunctionAliaslive}", "${HttpApi}/*/POST/webhooks/allomia/*/*/*"),
    ]


def test_calls_are_read_by_whom_iam_lets_and_webhooks_come_from_anybody(stack: Stack) -> None:
    body = stack.properties("HttpApi")["Body"]
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
    assert "CorsConfiguration" not in stack.properties("HttpApi")
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
