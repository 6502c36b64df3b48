import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.cloud import LocalCloud
from local.stack import Stack, deploy, function_environment

ROUTES = {
    "GET /calls/{requestId}": "AWS_IAM",
    "POST /webhooks/allomia/{requestId}/{attempt}/{signature}": "NONE",
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as started:
        yield started


@pytest.fixture(scope="module")
def stack(cloud: LocalCloud) -> Stack:
    return deploy(cloud, "gaps", {"MaxWorkers": 7})


def test_the_webhook_url_leads_to_the_function(stack: Stack) -> None:
    response = httpx.post(f"{stack.webhook_url}/request/1/forged", json={}, trust_env=False)

    assert response.status_code == 403


def test_the_status_url_leads_to_the_function(cloud: LocalCloud, stack: Stack) -> None:
    request = AWSRequest("GET", f"{stack.status_api_url}/missing")
    SigV4Auth(Credentials(cloud.account, "local"), "execute-api", cloud.region).add_auth(request)

    response = httpx.get(f"{stack.status_api_url}/missing", headers=dict(request.headers), trust_env=False)

    assert (response.status_code, response.headers["cache-control"]) == (404, "no-store")


def test_the_routes_are_those_of_the_template(cloud: LocalCloud, stack: Stack) -> None:
    routes = cloud.client("apigatewayv2").get_routes(ApiId=stack.resources["HttpApi"])["Items"]

    assert {route["RouteKey"]: route["AuthorizationType"] for route in routes} == ROUTES


def test_old_records_expire(cloud: LocalCloud, stack: Stack) -> None:
    for table in (stack.calls_table_name, stack.policy_table_name):
        described = cloud.client("dynamodb").describe_time_to_live(TableName=table)

        assert described["TimeToLiveDescription"] == {
            "TimeToLiveStatus": "ENABLED",
            "AttributeName": "expiresAt",
        }


def test_the_concurrency_is_the_parameters_and_a_number(cloud: LocalCloud, stack: Stack) -> None:
    # boto3 would turn a text into a number, so the answer is read as it came.
    bodies: list[dict[str, Any]] = []
    functions = cloud.client("lambda")
    functions.meta.events.register_last(
        "before-parse.lambda.GetEventSourceMapping",
        lambda response_dict, **_: bodies.append(json.loads(response_dict["body"])),
    )

    functions.get_event_source_mapping(UUID=stack.resources["PlaceCallFunctionRequest"])

    assert bodies[0]["ScalingConfig"] == {"MaximumConcurrency": 7}


def test_a_deployed_functions_environment_is_complete(cloud: LocalCloud, stack: Stack) -> None:
    environment = function_environment(cloud, stack, "PollCallsFunction")

    assert environment["CALLS_TABLE_NAME"] == stack.calls_table_name
    assert environment["POLICY_TABLE_NAME"] == stack.policy_table_name
    assert environment["AWS_ENDPOINT_URL"] == cloud.endpoint_url


def test_a_local_stack_calls_at_any_hour(cloud: LocalCloud, stack: Stack) -> None:
    assert function_environment(cloud, stack, "PlaceCallFunction")["CALLING_POLICY"] == "open"


def test_a_stack_is_updated_and_an_empty_parameter_is_one(cloud: LocalCloud, stack: Stack) -> None:
    updated = deploy(cloud, "gaps", {"MaxWorkers": 3, "WebhookBaseUrl": ""})

    # Only the function with this parameter gets a new version, which is live now.
    changed = updated.resources.items() - stack.resources.items()
    (version,) = (name for name, _ in changed)
    assert version.startswith("PlaceCallFunctionVersion")
    live = cloud.client("lambda").get_function_configuration(
        FunctionName=updated.place_call_function_name, Qualifier="live"
    )
    assert live["Environment"]["Variables"]["WEBHOOK_URL"] == updated.webhook_url
    assert updated.webhook_url.startswith("https://")
    forged = f"{updated.api_url}/webhooks/allomia/request/1/forged"
    assert httpx.post(forged, json={}, trust_env=False).status_code == 403


def test_another_stack_is_deployed_beside_it(cloud: LocalCloud, stack: Stack) -> None:
    other = deploy(cloud, "other")

    assert other.call_queue_url != stack.call_queue_url
    assert httpx.post(f"{other.webhook_url}/request/1/forged", json={}, trust_env=False).status_code == 403
