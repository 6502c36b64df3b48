"""What a deployment to the local cloud adds to the emulator's, and what an update changes."""

import json
from typing import Any

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.cloud import LocalCloud
from local.environment import LocalEnvironment, deploy_into
from local.simulator import Simulator
from local.stack import Stack, function_environment
from tests.stack.conftest import WORKERS

ROUTES = {
    "GET /calls/{requestId}": "AWS_IAM",
    "POST /webhooks/allomia/{requestId}/{attempt}/{signature}": "NONE",
}


def status_of_a_forged_webhook(stack: Stack) -> int:
    forged = f"{stack.api_url}/webhooks/allomia/request/1/forged"
    return httpx.post(forged, json={}, trust_env=False, timeout=30).status_code


def test_the_webhook_url_leads_to_the_function(world: LocalEnvironment) -> None:
    response = httpx.post(f"{world.stack.webhook_url}/request/1/forged", json={}, trust_env=False, timeout=30)

    assert response.status_code == 403


def test_the_status_url_leads_to_the_function(world: LocalEnvironment) -> None:
    request = AWSRequest("GET", f"{world.stack.status_api_url}/missing")
    SigV4Auth(Credentials(world.cloud.account, "local"), "execute-api", world.cloud.region).add_auth(request)

    response = httpx.get(
        f"{world.stack.status_api_url}/missing", headers=dict(request.headers), trust_env=False, timeout=30
    )

    assert (response.status_code, response.headers["cache-control"]) == (404, "no-store")


def test_the_routes_are_those_of_the_template(world: LocalEnvironment) -> None:
    routes = world.cloud.client("apigatewayv2").get_routes(ApiId=world.stack.resources["HttpApi"])["Items"]

    assert {route["RouteKey"]: route["AuthorizationType"] for route in routes} == ROUTES


def test_old_records_expire(world: LocalEnvironment) -> None:
    for table in (world.stack.calls_table_name, world.stack.policy_table_name):
        described = world.cloud.client("dynamodb").describe_time_to_live(TableName=table)

        assert described["TimeToLiveDescription"] == {
            "TimeToLiveStatus": "ENABLED",
            "AttributeName": "expiresAt",
        }


def test_the_concurrency_is_the_parameters_and_a_number(world: LocalEnvironment) -> None:
    # boto3 would turn a text into a number, so the raw answer is read.
    bodies: list[dict[str, Any]] = []
    functions = world.cloud.client("lambda")
    functions.meta.events.register_last(
        "before-parse.lambda.GetEventSourceMapping",
        lambda response_dict, **_: bodies.append(json.loads(response_dict["body"])),
    )

    functions.get_event_source_mapping(UUID=world.stack.resources["PlaceCallFunctionRequest"])

    assert bodies[0]["ScalingConfig"] == {"MaximumConcurrency": WORKERS}


def test_a_deployed_functions_environment_is_complete(world: LocalEnvironment) -> None:
    environment = function_environment(world.cloud, world.stack, "PollCallsFunction")

    assert environment["CALLS_TABLE_NAME"] == world.stack.calls_table_name
    assert environment["POLICY_TABLE_NAME"] == world.stack.policy_table_name
    assert environment["AWS_ENDPOINT_URL"] == world.cloud.endpoint_url


def test_a_local_stack_calls_at_any_hour(world: LocalEnvironment) -> None:
    assert function_environment(world.cloud, world.stack, "PlaceCallFunction")["CALLING_POLICY"] == "open"


def test_two_stacks_are_deployed_side_by_side(world: LocalEnvironment, scheduled_world: LocalEnvironment) -> None:
    one, other = world.stack, scheduled_world.stack

    assert other.call_queue_url != one.call_queue_url
    assert [status_of_a_forged_webhook(each) for each in (one, other)] == [403, 403]


# Last, because it changes the stack.
def test_an_update_changes_one_function(parts: tuple[LocalCloud, Simulator], scheduled_world: LocalEnvironment) -> None:
    # Given a stack with an empty parameter, for which its API's own URL stands
    before = scheduled_world.stack
    assert before.webhook_url.startswith("https://")

    # When that parameter changes
    updated = deploy_into(*parts, {"WebhookBaseUrl": "https://hooks.example", "DueShards": 1}, before.name).stack

    # Then only the function with it gets a new version, which is live now
    (version,) = (name for name, _ in updated.resources.items() - before.resources.items())
    assert version.startswith("PlaceCallFunctionVersion")
    live = scheduled_world.cloud.client("lambda").get_function_configuration(
        FunctionName=updated.place_call_function_name, Qualifier="live"
    )
    assert live["Environment"]["Variables"]["WEBHOOK_URL"] == updated.webhook_url
    assert updated.webhook_url.startswith("https://hooks.example/")
    assert status_of_a_forged_webhook(updated) == 403
