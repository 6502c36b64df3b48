"""The functions, what starts them, and how their times fit together."""

import json
from typing import Any, Final

import pytest

from outbound_calls import aws
from outbound_calls.lifecycle import TERMINAL
from outbound_calls.place import SECONDS_TO_PLACE
from outbound_calls.poll import SECONDS_TO_POLL
from outbound_calls.settings import (
    CheckReleaseSettings,
    GetCallSettings,
    PlaceCallSettings,
    PollCallsSettings,
    PublishOutcomeSettings,
    ReceiveWebhookSettings,
    Settings,
)
from tests.tooling.template.conftest import StackOf
from tests.tooling.template.rendering import PROJECT, Stack, Template

FUNCTIONS: Final = {
    "PlaceCallFunction": "place_call",
    "ReceiveWebhookFunction": "receive_webhook",
    "PollCallsFunction": "poll_calls",
    "PublishOutcomeFunction": "publish_outcome",
    "GetCallFunction": "get_call",
    "CheckReleaseFunction": "check_release",
}

ALWAYS_THERE: Final = FUNCTIONS.keys() - {"CheckReleaseFunction"}

SETTINGS: Final[dict[str, type[Settings]]] = {
    "PlaceCallFunction": PlaceCallSettings,
    "ReceiveWebhookFunction": ReceiveWebhookSettings,
    "PollCallsFunction": PollCallsSettings,
    "PublishOutcomeFunction": PublishOutcomeSettings,
    "GetCallFunction": GetCallSettings,
    "CheckReleaseFunction": CheckReleaseSettings,
}

WEBHOOK: Final = "POST /webhooks/allomia/{requestId}/{attempt}/{signature}"
READ: Final = "GET /calls/{requestId}"

# docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
HTTP_API_TIMEOUT_SECONDS: Final = 30

# docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
STREAM_RETENTION_SECONDS: Final = 24 * 60 * 60


def variables_of(stack: Stack, function: str) -> dict[str, Any]:
    variables: dict[str, Any] = stack.properties(function)["Environment"]["Variables"]
    return variables


def only_mapping_of(stack: Stack, function: str) -> Template:
    (mapping,) = [
        mapping
        for _, mapping in stack.of_type("AWS::Lambda::EventSourceMapping")
        if mapping["FunctionName"] == f"${{{function}Aliaslive}}"
    ]
    return mapping


def test_every_function_of_the_template_is_known_here(stack: Stack, widest: Stack) -> None:
    assert {logical_id for logical_id, _ in widest.of_type("AWS::Lambda::Function")} == FUNCTIONS.keys()
    assert {logical_id for logical_id, _ in stack.of_type("AWS::Lambda::Function")} == ALWAYS_THERE


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_traced_and_runs_on_the_chosen_processor(stack_of: StackOf, function: str) -> None:
    properties = stack_of(Architecture="x86_64", Environment="prod").properties(function)

    assert properties["Runtime"] == "python3.13"
    assert properties["Architectures"] == ["x86_64"]
    assert properties["TracingConfig"] == {"Mode": "Active"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_takes_nothing_from_the_accounts_concurrency(widest: Stack, function: str) -> None:
    assert "ReservedConcurrentExecutions" not in widest.properties(function)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_functions_code_is_where_the_template_says(widest: Stack, written: Template, function: str) -> None:
    folder = PROJECT / written["Resources"][function]["Properties"]["CodeUri"]

    assert folder == PROJECT / "functions" / FUNCTIONS[function]
    assert widest.properties(function)["Handler"] == "app.handler"
    assert (folder / "app.py").is_file()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_told_what_it_reads_and_nothing_else(widest: Stack, function: str) -> None:
    read = {field.upper() for field in SETTINGS[function].model_fields}
    assert variables_of(widest, function).keys() == read


@pytest.mark.parametrize("function", FUNCTIONS)
def test_metrics_and_logs_bear_the_stacks_name(widest: Stack, function: str) -> None:
    variables = variables_of(widest, function)

    assert variables["POWERTOOLS_SERVICE_NAME"] == "${AWS::StackName}"
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "AllomiaOutboundCalls"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_a_function_says_is_kept_and_of_lambda_only_what_went_wrong(widest: Stack, function: str) -> None:
    assert widest.properties(function)["LoggingConfig"] == {
        "LogGroup": f"${{{function.replace('Function', 'LogGroup')}}}",
        "LogFormat": "JSON",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "WARN",
    }


@pytest.mark.parametrize("function", sorted(ALWAYS_THERE))
def test_only_a_local_stack_looks_for_aws_elsewhere(stack_of: StackOf, function: str) -> None:
    local = stack_of(Environment="local", LocalEndpointUrl="http://localhost:4566")

    assert variables_of(local, function)["AWS_ENDPOINT_URL"] == "http://localhost:4566"
    assert "AWS_ENDPOINT_URL" not in variables_of(stack_of(), function)


@pytest.mark.parametrize("layer", ["DependenciesLayer", "OutboundCallsLayer"])
def test_a_layer_fits_both_processors_and_leaves_no_old_versions(stack: Stack, written: Template, layer: str) -> None:
    ((logical_id, properties),) = [
        each for each in stack.of_type("AWS::Lambda::LayerVersion") if each[0].startswith(layer)
    ]

    assert properties["CompatibleArchitectures"] == ["arm64", "x86_64"]
    assert properties["CompatibleRuntimes"] == ["python3.13"]
    assert stack.resources[logical_id]["DeletionPolicy"] == "Delete"
    assert "PublishLambdaVersion" not in properties  # it is for SAM
    assert written["Resources"][layer]["Metadata"] == {"BuildMethod": "makefile", "WorkingDirectory": "."}
    for _, function in stack.of_type("AWS::Lambda::Function"):
        assert f"${{{logical_id}}}" in function["Layers"]


def test_requests_come_in_batches_whose_messages_fail_one_by_one(stack_of: StackOf) -> None:
    mapping = only_mapping_of(stack_of(MaxWorkers="7"), "PlaceCallFunction")

    assert mapping["EventSourceArn"] == "${CallQueue.Arn}"
    assert mapping["BatchSize"] == 10
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": "7"}


def test_a_call_is_settled_before_its_function_runs_out_of_time(stack: Stack) -> None:
    """Time for the batch to begin and for SQS and DynamoDB, beside what a record wants to see before its POST."""
    assert stack.properties("PlaceCallFunction")["Timeout"] >= SECONDS_TO_PLACE + 10


def test_after_a_slow_answer_the_poller_has_time_for_another(stack: Stack) -> None:
    assert stack.properties("PollCallsFunction")["Timeout"] >= 2 * SECONDS_TO_POLL


def test_a_call_is_not_polled_while_it_may_still_be_settled(stack: Stack, written: Template) -> None:
    grace = written["Parameters"]["WebhookGraceSeconds"]["Default"]
    assert stack.properties("PlaceCallFunction")["Timeout"] < grace
    assert grace < written["Parameters"]["CallDeadlineSeconds"]["Default"]


def test_a_webhook_is_answered_before_the_api_gives_up(stack: Stack) -> None:
    assert stack.properties("ReceiveWebhookFunction")["Timeout"] < HTTP_API_TIMEOUT_SECONDS


def test_whoever_reads_a_call_is_answered_even_when_the_table_cannot_be_reached(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ca-central-1")
    told: Any = aws.client("dynamodb").meta.config
    attempts = told.retries["total_max_attempts"]
    # Between tries the SDK's standard mode waits up to 1, 2, 4 s, … at random.
    waits = sum(2**number for number in range(attempts - 1))
    timeout = stack.properties("GetCallFunction")["Timeout"]

    assert attempts * (told.connect_timeout + told.read_timeout) + waits < timeout < HTTP_API_TIMEOUT_SECONDS


def test_the_api_has_two_routes_and_throttles_each(stack: Stack) -> None:
    ((_, api),) = stack.of_type("AWS::ApiGatewayV2::Api")
    ((_, stage),) = stack.of_type("AWS::ApiGatewayV2::Stage")

    routes = {f"{method.upper()} {path}" for path, methods in api["Body"]["paths"].items() for method in methods}
    assert routes == {WEBHOOK, READ}
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": "200", "ThrottlingBurstLimit": "200"}
    assert stage["RouteSettings"] == {READ: {"ThrottlingRateLimit": 50, "ThrottlingBurstLimit": 100}}


@pytest.mark.parametrize(("route", "function"), [(WEBHOOK, "ReceiveWebhookFunction"), (READ, "GetCallFunction")])
def test_a_route_speaks_payload_format_2_to_its_function(stack: Stack, route: str, function: str) -> None:
    method, _, path = route.partition(" ")
    operation = stack.properties("HttpApi")["Body"]["paths"][path][method.lower()]
    integration = operation["x-amazon-apigateway-integration"]

    assert integration["payloadFormatVersion"] == "2.0"
    assert f"${{{function}Aliaslive}}" in integration["uri"]


def test_the_access_log_keeps_no_path_no_address_and_no_header(stack: Stack) -> None:
    ((_, stage),) = stack.of_type("AWS::ApiGatewayV2::Stage")
    logged = json.loads(stage["AccessLogSettings"]["Format"])

    assert set(logged.values()) == {
        "$context.error.responseType",
        "$context.integrationLatency",
        "$context.integrationStatus",
        "$context.requestId",
        "$context.requestTime",
        "$context.responseLatency",
        "$context.routeKey",
        "$context.status",
    }


def test_only_outcomes_reach_the_publisher(stack: Stack) -> None:
    (criterion,) = only_mapping_of(stack, "PublishOutcomeFunction")["FilterCriteria"]["Filters"]
    pattern = json.loads(criterion["Pattern"])

    assert pattern.keys() == {"eventName", "dynamodb"}
    assert pattern["eventName"] == ["INSERT", "MODIFY"]
    assert sorted(pattern["dynamodb"]["NewImage"]["status"]["S"]) == sorted(TERMINAL)


def test_an_outcome_that_cannot_be_published_is_tried_often_and_then_kept(stack: Stack) -> None:
    mapping = only_mapping_of(stack, "PublishOutcomeFunction")

    assert mapping["EventSourceArn"] == "${CallsTable.StreamArn}"
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["BatchSize"] == 10
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] == 20
    assert mapping["MaximumRecordAgeInSeconds"] < STREAM_RETENTION_SECONDS
    assert mapping["DestinationConfig"] == {"OnFailure": {"Destination": "${FailedOutcomesQueue.Arn}"}}
    # The function raises for the whole batch, so it must not be taken for one that names the records that failed.
    assert "FunctionResponseTypes" not in mapping
