"""No role may do what nothing asks for: each right is traced to the code or to the service that needs it."""

import re
from typing import Final

import pytest

from outbound_calls import settings
from tests.tooling.template.conftest import StackOf
from tests.tooling.template.reach import actions
from tests.tooling.template.rendering import PROJECT, Stack, Template
from tests.tooling.template.test_access import statements

FUNCTIONS: Final[dict[str, tuple[str, type[settings.Settings]]]] = {
    "place_call": ("PlaceCallFunction", settings.PlaceCallSettings),
    "receive_webhook": ("ReceiveWebhookFunction", settings.ReceiveWebhookSettings),
    "poll_calls": ("PollCallsFunction", settings.PollCallsSettings),
    "publish_outcome": ("PublishOutcomeFunction", settings.PublishOutcomeSettings),
    "get_call": ("GetCallFunction", settings.GetCallSettings),
}
# What AWS does in a role's name, by the part of the template that asks for it. Sources: the guides of Lambda (execution
# role, SQS and DynamoDB as event sources) and of Step Functions (logs, X-Ray).
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
TRACING = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
SAMPLING = {"xray:GetSamplingRules", "xray:GetSamplingTargets"}
FROM_A_QUEUE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
FROM_A_STREAM = {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"}
LOG_DELIVERY = {
    *(f"logs:{verb}LogDelivery" for verb in ("Create", "Get", "Update", "Delete")),
    *("logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"),
}


def granted(stack: Stack, role: str) -> set[tuple[str, str]]:
    return {(statement["Action"], statement["Resource"]) for statement in statements(stack, role)}


def by_lambda(stack: Stack, function: str) -> set[tuple[str, str]]:
    """Actions that Lambda itself takes for a function, with the part of the stack that they are for."""
    properties = stack.properties(function)
    needed = {(action, properties["LoggingConfig"]["LogGroup"]) for action in LOGS}
    if properties["TracingConfig"] == {"Mode": "Active"}:
        needed |= {(action, "*") for action in TRACING}
    for _, mapping in stack.of_type("AWS::Lambda::EventSourceMapping"):
        if mapping["FunctionName"] == f"${{{function}Aliaslive}}":
            source = mapping["EventSourceArn"]
            needed |= {(action, source) for action in (FROM_A_STREAM if "Stream" in source else FROM_A_QUEUE)}
            if "DestinationConfig" in mapping:
                needed.add(("sqs:SendMessage", mapping["DestinationConfig"]["OnFailure"]["Destination"]))
    return needed


def part(resource: str) -> str:
    """The logical id in a resource: `${CallsTable.Arn}/stream/*` is CallsTable."""
    found = re.match(r"\$\{(\w+)", resource)
    return found[1] if found else resource


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_right_of_a_function_is_used_by_its_code_or_by_lambda(stack: Stack, name: str) -> None:
    function, told = FUNCTIONS[name]
    role = part(stack.properties(function)["Role"])
    for_lambda = {(action, part(resource)) for action, resource in by_lambda(stack, function)}
    for_code = {(action, part(resource)) for action, resource in granted(stack, role)} - for_lambda

    # The code calls each action that is allowed, and no other
    assert {action for action, _ in for_code} == actions(name)
    # And each resource is one that the function is told of, by a setting that it reads
    environment = stack.properties(function)["Environment"]["Variables"]
    read = {part(str(environment.get(setting.upper(), ""))) for setting in told.model_fields}
    assert {resource for _, resource in for_code} <= read
    # And Lambda has no right that it does not need
    assert for_lambda <= {(action, part(resource)) for action, resource in granted(stack, role)}


def test_each_right_of_the_check_is_used_by_its_code_or_by_lambda(widest: Stack) -> None:
    for_lambda = by_lambda(widest, "CheckReleaseFunction")

    # It is told of no resource: CodeDeploy names what it is to work on
    allowed = granted(widest, "CheckReleaseRole")
    assert {action for action, _ in allowed} == actions("check_release") | {action for action, _ in for_lambda}
    assert {(action, part(resource)) for action, resource in for_lambda} <= {
        (action, part(resource)) for action, resource in allowed
    }


def test_each_right_of_the_poller_is_used_by_its_definition(stack: Stack) -> None:
    definition = (PROJECT / "statemachines/poller.asl.json").read_text()
    tasks = set(re.findall(r'"Resource":\s*"arn:aws:states:::([\w:-]+)"', definition))
    used = {"aws-sdk:dynamodb:query": "dynamodb:Query", "lambda:invoke": "lambda:InvokeFunction"}
    machine: Template = stack.properties("Poller")
    for_logs = LOG_DELIVERY if "LoggingConfiguration" in machine else set()
    for_traces = TRACING | SAMPLING if machine.get("TracingConfiguration", {}).get("Enabled") else set()

    assert {action for action, _ in granted(stack, "PollerRole")} == {
        *(used[task] for task in tasks)
    } | for_logs | for_traces


def test_the_schedule_starts_the_poller_and_nothing_else(stack: Stack) -> None:
    ((_, schedule),) = stack.of_type("AWS::Scheduler::Schedule")

    assert schedule["Target"]["RoleArn"] == "${PollerScheduleRole.Arn}"
    assert granted(stack, "PollerScheduleRole") == {("states:StartExecution", schedule["Target"]["Arn"])}


def test_a_right_too_many_is_found(stack_of: StackOf) -> None:
    # Given a role with one right more, on a table that its function does use
    stack = stack_of()
    (policy,) = stack.properties("ReceiveWebhookRole")["Policies"]
    policy["PolicyDocument"]["Statement"].append(
        {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": "${CallsTable.Arn}"}
    )

    with pytest.raises(AssertionError, match="PutItem"):
        test_each_right_of_a_function_is_used_by_its_code_or_by_lambda(stack, "receive_webhook")


def test_the_reading_of_the_code_tells_functions_apart() -> None:
    # Both know the table's module, and only one of them the methods that put
    assert "dynamodb:PutItem" in actions("place_call")
    assert "dynamodb:PutItem" not in actions("receive_webhook") | actions("poll_calls")
    assert actions("publish_outcome") == {"events:PutEvents"}
    assert actions("get_call") == {"dynamodb:Query"}
