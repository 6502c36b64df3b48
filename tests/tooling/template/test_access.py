"""Who may do what. Permissions are derived from the code and the AWS services that use them: no more, no fewer."""

import re
from collections.abc import Iterator
from typing import Final

import pytest

from outbound_calls.runtime.settings import Settings
from tests.tooling.template.conftest import StackOf
from tests.tooling.template.reach import Use, actions, uses
from tests.tooling.template.rendering import PROJECT, RenderedStack
from tests.tooling.template.test_functions import SETTINGS, name_of

type Permissions = set[tuple[str, str]]
"""Actions, each with its resource."""

RELEASED: Final = [f"{name_of(folder)}Function" for folder in SETTINGS if folder != "check_release"]
GRADUAL: Final = {"staging", "prod"}
KEYS: Final = "dynamodb:LeadingKeys"

# docs.aws.amazon.com/step-functions/latest/dg: cw-logs, concepts-xray-tracing
TRACING: Final = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
POLLER_ON_EVERYTHING: Final = {
    *(f"logs:{verb}LogDelivery" for verb in ("Create", "Get", "Update", "Delete")),
    *("logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"),
    *("xray:GetSamplingRules", "xray:GetSamplingTargets", *TRACING),
}
NO_RESOURCE_LEVEL: Final = {*POLLER_ON_EVERYTHING, "cloudwatch:DescribeAlarms", "dynamodb:ListStreams"}
"""Actions for which AWS supports no narrower resource. docs.aws.amazon.com/service-authorization/latest/reference"""

SERVICE_OF: Final = {"PollerRole": "states", "PollerScheduleRole": "scheduler", "ReleaseRole": "codedeploy"}
"""The service that assumes a role, if not Lambda. These work for many accounts."""

TABLE_OF: Final = {
    "CallsTable": "CALLS_TABLE_NAME",
    "ConditionalWrites": "CALLS_TABLE_NAME",
    "WaitingAttempts": "CALLS_TABLE_NAME",
    "BatchSearches": "CALLS_TABLE_NAME",
    "DialMarks": "POLICY_TABLE_NAME",
    "PolicyTable": "POLICY_TABLE_NAME",
    "LinesTable": "POLICY_TABLE_NAME",
}
"""The setting with a table's name, by the class that works on it."""

SETTING_WITH_RESOURCE: Final = {
    "events": r"OUTCOME_BUS_NAME",
    "secretsmanager": r"\w+_SECRET_ARN",
    "sqs": r"\w+_QUEUE_URL",
}
"""The settings from which a function knows the resources that it calls a service for. Tables have `TABLE_OF`."""

PARTITIONS: Final = {
    ("PlaceCallRole", "dynamodb:PutItem"): {"ForAllValues:StringLike": {KEYS: ["number#*", "call-log#*"]}},
    ("PlaceCallRole", "dynamodb:UpdateItem"): {"ForAllValues:StringLike": {KEYS: ["batch#*", "lines#*"]}},
    ("PollCallsRole", "dynamodb:GetItem"): {"ForAllValues:StringLike": {KEYS: ["policy", "lines#*"]}},
    ("PollCallsRole", "dynamodb:Query"): {"ForAllValues:StringLike": {KEYS: ["call-log#*"]}},
    ("PollCallsRole", "dynamodb:PutItem"): {"ForAllValues:StringLike": {KEYS: ["call-log#*"]}},
    ("PollCallsRole", "dynamodb:UpdateItem"): {"ForAllValues:StringLike": {KEYS: ["lines#*"]}},
    ("ReleaseLinesRole", "dynamodb:GetItem"): {"ForAllValues:StringEquals": {KEYS: ["policy"]}},
    ("ReleaseLinesRole", "dynamodb:UpdateItem"): {"ForAllValues:StringLike": {KEYS: ["lines#*"]}},
}
"""The partitions of the policy table that an action is limited to."""


def granted(stack: RenderedStack, role: str) -> Permissions:
    return {(statement["Action"], statement["Resource"]) for statement in stack.statements(role)}


def used_by_lambda(stack: RenderedStack, name: str) -> Permissions:
    """What Lambda itself uses for a function. docs.aws.amazon.com/lambda/latest/dg: with-sqs, with-ddb"""
    used = {(action, "*") for action in TRACING}
    used |= {(f"logs:{verb}", f"${{{name}LogGroup.Arn}}") for verb in ("CreateLogStream", "PutLogEvents")}
    for _, mapping in stack.of_type("AWS::Lambda::EventSourceMapping"):
        source = mapping["EventSourceArn"]
        if mapping["FunctionName"] == f"${{{name}FunctionAliaslive}}" and "Stream" in source:
            used |= {(f"dynamodb:{verb}", source) for verb in ("DescribeStream", "GetRecords", "GetShardIterator")}
            used |= {("dynamodb:ListStreams", "*")}
            failed = mapping.get("DestinationConfig", {}).get("OnFailure", {})
            used |= {("sqs:SendMessage", queue) for queue in failed.values()}
        elif mapping["FunctionName"] == f"${{{name}FunctionAliaslive}}":
            used |= {(f"sqs:{verb}", source) for verb in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")}
    return used


def used_by_code(stack: RenderedStack, folder: str) -> Iterator[tuple[str, str]]:
    """What the code of a function uses, on the resources that its settings name."""
    variables = stack.variables(f"{name_of(folder)}Function")
    for use in uses(folder):
        service = use.action.partition(":")[0]
        pattern = TABLE_OF[use.by] if service == "dynamodb" else SETTING_WITH_RESOURCE[service]
        for setting, value in variables.items():
            if re.fullmatch(pattern, setting):
                # A Ref of a table, queue or bus is its name or URL; the policy needs its ARN.
                arn = value if setting.endswith("_ARN") else value.replace("}", ".Arn}")
                yield use.action, f"{arn}/index/{use.index}" if use.index else arn


def for_releases(stack: RenderedStack) -> dict[str, Permissions]:
    """What CodeDeploy and the check need. AWS's AWSCodeDeployRoleForLambdaLimited allows more, on all functions."""
    codedeploy = "arn:${AWS::Partition}:codedeploy:${AWS::Region}:${AWS::AccountId}"
    application = "${AWS::StackName}-ServerlessDeploymentApplication-*"
    on_functions = {"GetAlias": "", "UpdateAlias": "", "GetProvisionedConcurrencyConfig": ":*"}
    return {
        "CheckReleaseRole": {
            ("codedeploy:GetApplicationRevision", f"{codedeploy}:application:{application}"),
            ("codedeploy:GetDeployment", f"{codedeploy}:deploymentgroup:{application}/*"),
            ("codedeploy:PutLifecycleEventHookExecutionStatus", f"{codedeploy}:deploymentgroup:{application}/*"),
            *(("lambda:InvokeFunction", f"${{{function}.Arn}}:*") for function in RELEASED),
            *used_by_lambda(stack, "CheckRelease"),
        },
        "ReleaseRole": {
            ("cloudwatch:DescribeAlarms", "*"),
            ("lambda:InvokeFunction", "${CheckReleaseFunction.Arn}"),
            *((f"lambda:{verb}", f"${{{each}.Arn}}{end}") for verb, end in on_functions.items() for each in RELEASED),
        },
    }


@pytest.mark.parametrize("environment", ["local", "dev", "staging", "prod"])
def test_each_role_has_exactly_the_permissions_that_are_used(stack_of: StackOf, environment: str) -> None:
    stack = stack_of(Environment=environment)
    expected: dict[str, Permissions] = {
        "PollerRole": {
            ("dynamodb:Query", "${CallsTable.Arn}/index/due"),
            ("lambda:InvokeFunction", "${PollCallsFunctionAliaslive}"),
            *((action, "*") for action in POLLER_ON_EVERYTHING),
        },
        "PollerScheduleRole": {("states:StartExecution", "${Poller}")},
    }
    for folder in SETTINGS.keys() - {"check_release"}:
        name = name_of(folder)
        expected[f"{name}Role"] = used_by_lambda(stack, name) | set(used_by_code(stack, folder))
    if environment in GRADUAL:
        expected |= for_releases(stack)

    assert {role: granted(stack, role) for role, _ in stack.of_type("AWS::IAM::Role")} == expected


def test_the_derivation_distinguishes_functions() -> None:
    # They import the same module for the table, but call different methods
    assert {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"} <= actions("place_call")
    assert actions("receive_webhook") == {"dynamodb:UpdateItem", "secretsmanager:GetSecretValue"}
    assert actions("get_call") == {"dynamodb:Query"}
    # And it finds the parts of a transaction
    assert Use("dynamodb:PutItem", "ConditionalWrites") in uses("poll_calls")


def test_the_derivation_tells_the_indexes_of_a_table_apart() -> None:
    queried = {use.index for use in uses("place_call") if use.action == "dynamodb:Query" and use.by == "CallsTable"}

    assert {"due", "ended", "waiting"} <= queried
    assert {use.index for use in uses("get_call")} == {""}


def test_webhooks_can_neither_make_an_attempt_nor_touch_policy(stack: RenderedStack) -> None:
    granted_on_tables = {each for each in granted(stack, "ReceiveWebhookRole") if each[0].startswith("dynamodb:")}
    mentioned = f"{stack.properties('ReceiveWebhookRole')} {stack.properties('ReceiveWebhookFunction')}"

    assert granted_on_tables == {("dynamodb:UpdateItem", "${CallsTable.Arn}")}
    assert not re.findall("PolicyTable|NumberHash|CallingPolicy", mentioned)


def test_the_check_and_the_definition_use_their_permissions() -> None:
    codedeploy = {"GetApplicationRevision", "GetDeployment", "PutLifecycleEventHookExecutionStatus"}
    definition = (PROJECT / "statemachines/poller.asl.json").read_text()
    tasks = re.findall(r'"Resource": "arn:\$\{Partition\}:states:::([\w:-]+)"', definition)

    assert actions("check_release") == {"lambda:InvokeFunction", *(f"codedeploy:{each}" for each in codedeploy)}
    assert sorted(tasks) == ["aws-sdk:dynamodb:query", "lambda:invoke"]


def test_permissions_come_only_from_these_roles(prod: RenderedStack) -> None:
    roles = dict(prod.of_type("AWS::IAM::Role"))
    policies = dict(prod.of_type("AWS::IAM::Policy"))
    kinds = [each for each in prod.resources.values() if each["Type"].startswith("AWS::IAM::")]

    assert len(kinds) == len(roles) + len(policies)
    assert all(role.keys() == {"AssumeRolePolicyDocument", "Policies"} for role in roles.values())
    assert all(policy.keys() == {"PolicyName", "PolicyDocument", "Roles"} for policy in policies.values())


def test_a_statement_allows_one_action_on_one_resource(prod: RenderedStack) -> None:
    for statement in (each for role, _ in prod.of_type("AWS::IAM::Role") for each in prod.statements(role)):
        assert statement.keys() - {"Condition"} == {"Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        assert re.fullmatch(r"[a-z]+:\w+", statement["Action"])
        assert (statement["Resource"] == "*") is (statement["Action"] in NO_RESOURCE_LEVEL)


def test_a_function_changes_the_policy_table_only_where_it_must_and_none_the_policy_itself(prod: RenderedStack) -> None:
    limited = {
        (role, statement["Action"]): (statement["Resource"], statement["Condition"])
        for role, _ in prod.of_type("AWS::IAM::Role")
        for statement in prod.statements(role)
        if "Condition" in statement
    }

    assert limited == {key: ("${PolicyTable.Arn}", condition) for key, condition in PARTITIONS.items()}
    writes = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"}
    may_write = {
        (role, statement["Action"])
        for role, _ in prod.of_type("AWS::IAM::Role")
        for statement in prod.statements(role)
        if "PolicyTable" in statement["Resource"] and statement["Action"].removeprefix("dynamodb:") in writes
    }
    assert may_write == {
        ("PlaceCallRole", "dynamodb:PutItem"),
        ("PollCallsRole", "dynamodb:PutItem"),
        *((f"{name}Role", "dynamodb:UpdateItem") for name in ("PlaceCall", "PollCalls", "ReleaseLines")),
    }


def test_only_a_roles_own_service_assumes_it_and_only_for_this_account(prod: RenderedStack) -> None:
    for logical_id, role in prod.of_type("AWS::IAM::Role"):
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        condition = {"Condition": {"StringEquals": {"aws:SourceAccount": "${AWS::AccountId}"}}}
        assert statement == {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": f"{SERVICE_OF.get(logical_id, 'lambda')}.amazonaws.com"},
            **(condition if logical_id in SERVICE_OF else {}),
        }


def test_each_function_has_its_own_role(prod: RenderedStack) -> None:
    for logical_id, function in prod.of_type("AWS::Lambda::Function"):
        assert function["Role"] == f"${{{logical_id.removesuffix('Function')}Role.Arn}}"


@pytest.mark.parametrize("name", ["ReceiveWebhook", "GetCall"])
def test_functions_that_face_the_internet_have_no_access_to_the_allomia_key(stack: RenderedStack, name: str) -> None:
    settings: type[Settings] = SETTINGS["receive_webhook" if name == "ReceiveWebhook" else "get_call"]

    assert "AllomiaApiKey" not in str(stack.properties(f"{name}Role")) + str(stack.properties(f"{name}Function"))
    assert not [field for field in settings.model_fields if "allomia" in field]


def test_only_its_own_route_can_invoke_a_function(stack: RenderedStack) -> None:
    permissions = [permission for _, permission in stack.of_type("AWS::Lambda::Permission")]

    assert {permission["Principal"] for permission in permissions} == {"apigateway.amazonaws.com"}
    assert {each["FunctionName"]: each["SourceArn"].rpartition(":")[2] for each in permissions} == {
        "${GetCallFunctionAliaslive}": "${HttpApi}/*/GET/calls/*",
        "${ReceiveWebhookFunctionAliaslive}": "${HttpApi}/*/POST/webhooks/allomia/*/*/*",
    }


def test_iam_authorizes_the_status_api_and_the_webhook_is_public(stack: RenderedStack) -> None:
    api = stack.properties("HttpApi")
    scheme = {"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4"}
    security = {
        path: [each.get("security") for each in api["Body"]["paths"][path].values()] for path in api["Body"]["paths"]
    }

    assert security == {
        "/calls/{requestId}": [[{"AWS_IAM": []}]],
        "/webhooks/allomia/{requestId}/{attempt}/{signature}": [None],
    }
    assert api["Body"]["components"]["securitySchemes"] == {"AWS_IAM": scheme}
    # And no rule applies to all routes, and there is no CORS
    assert "security" not in api["Body"]
    assert "CorsConfiguration" not in api
    assert "x-amazon-apigateway-cors" not in api["Body"]


def test_every_queue_refuses_plain_http(stack: RenderedStack) -> None:
    ((_, policy),) = stack.of_type("AWS::SQS::QueuePolicy")
    (statement,) = policy["PolicyDocument"]["Statement"]

    assert set(policy["Queues"]) == {f"${{{logical_id}}}" for logical_id, _ in stack.of_type("AWS::SQS::Queue")}
    assert [statement[key] for key in ("Effect", "Principal", "Action", "Resource")] == ["Deny", "*", "sqs:*", "*"]
    assert statement["Condition"] == {
        "Bool": {"aws:SecureTransport": "false"},
        # No request reaches AWS from a loopback address, so on AWS this exempts no one.
        "NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"},
    }
