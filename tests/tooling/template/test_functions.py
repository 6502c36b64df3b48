"""The functions, what invokes them, and how their times fit together."""

import json
from typing import Any, Final

import pytest

from outbound_calls.adapters.secrets import WAIT_SECONDS
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.transitions import TERMINAL
from outbound_calls.runtime.assembly import SECRET_TRIES
from outbound_calls.runtime.clients import TRIES, Clients
from outbound_calls.runtime.settings import Settings
from outbound_calls.runtime.settings.check_release import CheckReleaseSettings
from outbound_calls.runtime.settings.get_call import GetCallSettings
from outbound_calls.runtime.settings.place_call import PlaceCallSettings
from outbound_calls.runtime.settings.poll_calls import PollCallsSettings
from outbound_calls.runtime.settings.publish_outcome import PublishOutcomeSettings
from outbound_calls.runtime.settings.receive_webhook import ReceiveWebhookSettings
from outbound_calls.runtime.settings.release_lines import ReleaseLinesSettings
from outbound_calls.use_cases.dial import SECONDS_TO_PLACE
from outbound_calls.use_cases.polls import SECONDS_TO_POLL
from tests.tooling.template.conftest import StackOf
from tests.tooling.template.rendering import PROJECT, RenderedStack, Template

SETTINGS: Final[dict[str, type[Settings]]] = {
    "place_call": PlaceCallSettings,
    "receive_webhook": ReceiveWebhookSettings,
    "poll_calls": PollCallsSettings,
    "publish_outcome": PublishOutcomeSettings,
    "release_lines": ReleaseLinesSettings,
    "get_call": GetCallSettings,
    "check_release": CheckReleaseSettings,
}

WEBHOOK: Final = "POST /webhooks/allomia/{requestId}/{attempt}/{signature}"
STATUS: Final = "GET /calls/{requestId}"

# docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
HTTP_API_TIMEOUT_SECONDS: Final = 30

# docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
STREAM_RETENTION_SECONDS: Final = 24 * 60 * 60


def name_of(folder: str) -> str:
    """The logical id of the function in `functions/FOLDER`, without `Function`."""
    return folder.title().replace("_", "")


def test_check_release_is_the_only_function_that_not_every_environment_has(
    stack: RenderedStack, prod: RenderedStack
) -> None:
    functions = {f"{name_of(folder)}Function" for folder in SETTINGS}

    assert {logical_id for logical_id, _ in prod.of_type("AWS::Lambda::Function")} == functions
    assert {logical_id for logical_id, _ in stack.of_type("AWS::Lambda::Function")} == functions - {
        "CheckReleaseFunction"
    }


@pytest.mark.parametrize("folder", SETTINGS)
def test_every_function_is_configured_alike(stack_of: StackOf, written: Template, folder: str) -> None:
    function = f"{name_of(folder)}Function"
    properties = stack_of(Architecture="x86_64", Environment="prod").properties(function)

    assert written["Resources"][function]["Properties"]["CodeUri"] == f"functions/{folder}/"
    assert (PROJECT / "functions" / folder / "app.py").is_file()
    assert properties["Handler"] == "app.handler"
    assert properties["Runtime"] == "python3.13"
    assert properties["Architectures"] == ["x86_64"]
    assert properties["TracingConfig"] == {"Mode": "Active"}
    assert properties["LoggingConfig"] == {
        "LogGroup": f"${{{name_of(folder)}LogGroup}}",
        "LogFormat": "JSON",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "WARN",
    }
    # The account's concurrency is for all functions
    assert "ReservedConcurrentExecutions" not in properties


@pytest.mark.parametrize("folder", SETTINGS)
def test_a_function_gets_exactly_the_settings_that_it_reads(prod: RenderedStack, folder: str) -> None:
    variables = prod.variables(f"{name_of(folder)}Function")

    assert variables.keys() == {field.upper() for field in SETTINGS[folder].model_fields} | {"PYDANTIC_DISABLE_PLUGINS"}
    assert variables["PYDANTIC_DISABLE_PLUGINS"] == "__all__"
    assert variables["POWERTOOLS_SERVICE_NAME"] == "${AWS::StackName}"
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "AllomiaOutboundCalls"


@pytest.mark.parametrize("folder", sorted(SETTINGS.keys() - {"check_release"}))
def test_only_a_local_stack_has_another_endpoint(stack_of: StackOf, folder: str) -> None:
    function = f"{name_of(folder)}Function"
    local = stack_of(Environment="local", LocalEndpointUrl="http://localhost:4566")

    assert local.variables(function)["AWS_ENDPOINT_URL"] == "http://localhost:4566"
    assert "AWS_ENDPOINT_URL" not in stack_of().variables(function)


@pytest.mark.parametrize("layer", ["DependenciesLayer", "OutboundCallsLayer"])
def test_a_layer_fits_both_architectures_and_keeps_no_old_versions(
    stack: RenderedStack, written: Template, layer: str
) -> None:
    ((logical_id, properties),) = (
        each for each in stack.of_type("AWS::Lambda::LayerVersion") if each[0].startswith(layer)
    )

    assert properties["CompatibleArchitectures"] == ["arm64", "x86_64"]
    assert properties["CompatibleRuntimes"] == ["python3.13"]
    assert stack.resources[logical_id]["DeletionPolicy"] == "Delete"
    assert "PublishLambdaVersion" not in properties  # only SAM understands it
    assert written["Resources"][layer]["Metadata"] == {"BuildMethod": "makefile", "WorkingDirectory": "."}
    for _, function in stack.of_type("AWS::Lambda::Function"):
        assert f"${{{logical_id}}}" in function["Layers"]


def test_messages_arrive_in_batches_and_fail_one_by_one(stack_of: StackOf) -> None:
    mappings = [
        mapping
        for _, mapping in stack_of(MaxWorkers="7").of_type("AWS::Lambda::EventSourceMapping")
        if mapping["FunctionName"] == "${PlaceCallFunctionAliaslive}"
    ]

    assert {each["EventSourceArn"]: each["ScalingConfig"]["MaximumConcurrency"] for each in mappings} == {
        "${CallQueue.Arn}": "7",
        "${HandedOnQueue.Arn}": 2,
    }
    for mapping in mappings:
        assert mapping["BatchSize"] == 10
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_a_line_that_is_handed_on_does_not_wait_behind_requests(stack: RenderedStack) -> None:
    handed_on, calls = stack.properties("HandedOnQueue"), stack.properties("CallQueue")

    assert handed_on["VisibilityTimeout"] == calls["VisibilityTimeout"]
    assert handed_on["RedrivePolicy"] == calls["RedrivePolicy"]


def test_lines_are_released_of_whatever_was_claimed_under_a_limit_and_is_not_in_progress(stack: RenderedStack) -> None:
    (pattern,) = stack.event_source("ReleaseLinesFunction")["FilterCriteria"]["Filters"]
    image = json.loads(pattern["Pattern"])["dynamodb"]["NewImage"]

    assert image["line"] == {"S": [{"exists": True}]}
    assert {*image["status"]["S"]} == {*Status} - {Status.DISPATCHING, Status.CALLING}


def test_the_stream_has_no_third_reader(stack: RenderedStack) -> None:
    readers = [
        each for _, each in stack.of_type("AWS::Lambda::EventSourceMapping") if "Stream" in each["EventSourceArn"]
    ]

    assert len(readers) == 2


def test_the_timeouts_fit_the_work_and_each_other(stack: RenderedStack, written: Template) -> None:
    timeouts = {name: function["Timeout"] for name, function in stack.of_type("AWS::Lambda::Function")}
    parameters = written["Parameters"]
    grace = parameters["WebhookGraceSeconds"]["Default"]

    # The time to receive the batch and call SQS and DynamoDB, on top of what is required before a POST
    assert timeouts["PlaceCallFunction"] >= SECONDS_TO_PLACE + 10
    # A slow answer leaves time for another poll
    assert timeouts["PollCallsFunction"] >= 2 * SECONDS_TO_POLL
    # An attempt is never polled while it may still be settled
    assert timeouts["PlaceCallFunction"] < grace < parameters["CallDeadlineSeconds"]["Default"]
    assert timeouts["ReceiveWebhookFunction"] < HTTP_API_TIMEOUT_SECONDS


def longest_seconds(service: str, tries: int = TRIES) -> float:
    """How long a client takes at most to give up."""
    config: Any = Clients()(service, 1, tries).meta.config
    attempts = config.retries["total_max_attempts"]
    # The SDK's standard mode waits up to 1, 2, 4 s, … between attempts
    waits = sum(2**number for number in range(attempts - 1))
    return float(attempts * (config.connect_timeout + config.read_timeout) + waits)


def test_the_status_api_answers_even_if_the_table_is_out_of_reach(
    stack: RenderedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ca-central-1")
    timeout = stack.properties("GetCallFunction")["Timeout"]

    assert longest_seconds("dynamodb") < timeout < HTTP_API_TIMEOUT_SECONDS


def test_a_function_outlives_a_secret_that_is_out_of_reach(
    stack: RenderedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda takes an environment away after a timeout, and with it the secret that was read before."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ca-central-1")
    longest = longest_seconds("secretsmanager", SECRET_TRIES)

    assert longest < WAIT_SECONDS < stack.properties("ReceiveWebhookFunction")["Timeout"]
    # With the secret that was read before there is time to place the calls
    assert stack.properties("PlaceCallFunction")["Timeout"] > WAIT_SECONDS + SECONDS_TO_PLACE


def test_the_api_has_two_routes_and_throttles_both(stack: RenderedStack) -> None:
    ((_, api),) = stack.of_type("AWS::ApiGatewayV2::Api")
    ((_, stage),) = stack.of_type("AWS::ApiGatewayV2::Stage")

    routes = {
        f"{method.upper()} {path}": operation["x-amazon-apigateway-integration"]
        for path, methods in api["Body"]["paths"].items()
        for method, operation in methods.items()
    }
    assert {route: each["payloadFormatVersion"] for route, each in routes.items()} == {WEBHOOK: "2.0", STATUS: "2.0"}
    assert "${ReceiveWebhookFunctionAliaslive}" in routes[WEBHOOK]["uri"]
    assert "${GetCallFunctionAliaslive}" in routes[STATUS]["uri"]
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": "200", "ThrottlingBurstLimit": "200"}
    assert stage["RouteSettings"] == {STATUS: {"ThrottlingRateLimit": 50, "ThrottlingBurstLimit": 100}}


def test_the_access_log_has_no_path_no_address_and_no_header(stack: RenderedStack) -> None:
    ((_, stage),) = stack.of_type("AWS::ApiGatewayV2::Stage")

    assert set(json.loads(stage["AccessLogSettings"]["Format"]).values()) == {
        "$context.error.responseType",
        "$context.integrationLatency",
        "$context.integrationStatus",
        "$context.requestId",
        "$context.requestTime",
        "$context.responseLatency",
        "$context.routeKey",
        "$context.status",
    }


def test_only_outcomes_reach_publish_outcome(stack: RenderedStack) -> None:
    (criterion,) = stack.event_source("PublishOutcomeFunction")["FilterCriteria"]["Filters"]
    pattern = json.loads(criterion["Pattern"])

    statuses = pattern["dynamodb"]["NewImage"]["status"]["S"]
    assert sorted(statuses) == sorted(TERMINAL)
    assert pattern == {"eventName": ["INSERT", "MODIFY"], "dynamodb": {"NewImage": {"status": {"S": statuses}}}}


def test_publishing_an_outcome_is_retried_and_then_its_position_is_kept(stack: RenderedStack) -> None:
    mapping = stack.event_source("PublishOutcomeFunction")

    assert mapping["EventSourceArn"] == "${CallsTable.StreamArn}"
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["BatchSize"] == 10
    assert mapping["BisectBatchOnFunctionError"] is True
    # However often: attempts follow each other in seconds, so only the age can be a limit in hours
    assert mapping["MaximumRetryAttempts"] == -1
    assert 6 * 3600 <= mapping["MaximumRecordAgeInSeconds"] < STREAM_RETENTION_SECONDS
    assert mapping["DestinationConfig"] == {"OnFailure": {"Destination": "${FailedOutcomesQueue.Arn}"}}
    # The function raises for the whole batch and returns no list of failed records
    assert "FunctionResponseTypes" not in mapping
