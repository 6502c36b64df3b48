"""Deploys the real template to the local cloud with `sam deploy`.

The template is deployed unchanged. The emulator ignores a few properties, so these are then applied through the AWS
APIs, as the processed template says: the routes of the HTTP API, the time to live of tables, and numbers that come
from a parameter, which the emulator passes as text.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from local.cloud import LocalCloud
from local.sam import build, run_sam

__all__ = ["Stack", "StackError", "build", "deploy"]

Template = Mapping[str, Any]


class StackError(Exception):
    """The template needs something that this module cannot apply."""


@dataclass(frozen=True)
class Stack:
    """A deployed stack: names, URLs and ARNs of its resources."""

    name: str
    api_url: str
    """The base URL of the HTTP API; on AWS, https://{id}.execute-api.{region}.amazonaws.com."""
    outputs: Mapping[str, str]
    resources: Mapping[str, str]
    """Physical ids by the template's logical ids."""

    @property
    def call_queue_url(self) -> str:
        """The queue for call requests."""
        return self.outputs["CallQueueUrl"]

    @property
    def invalid_messages_queue_url(self) -> str:
        """Messages that match no message of the contract."""
        return self.outputs["InvalidMessagesQueueUrl"]

    @property
    def dead_letter_queue_url(self) -> str:
        """Messages that failed five times."""
        return self.outputs["DeadLetterQueueUrl"]

    @property
    def failed_outcomes_queue_url(self) -> str:
        """Outcomes that could not be published."""
        return self.resources["FailedOutcomesQueue"]

    @property
    def calls_table_name(self) -> str:
        """The table of all calls."""
        return self.outputs["CallsTableName"]

    @property
    def policy_table_name(self) -> str:
        """The table of the calling policy."""
        return self.outputs["PolicyTableName"]

    @property
    def webhook_url(self) -> str:
        """The base of the callback URLs, reachable from localhost."""
        return self.outputs["WebhookUrl"]

    @property
    def poller_arn(self) -> str:
        """The state machine that handles due attempts."""
        return self.outputs["PollerArn"]

    @property
    def outcome_bus_name(self) -> str:
        """The event bus for outcomes."""
        return self.outputs["OutcomeBusName"]

    @property
    def place_call_function_name(self) -> str:
        """PlaceCallFunction."""
        return self.outputs["PlaceCallFunctionName"]

    @property
    def receive_webhook_function_name(self) -> str:
        """ReceiveWebhookFunction."""
        return self.outputs["ReceiveWebhookFunctionName"]

    @property
    def poll_calls_function_name(self) -> str:
        """PollCallsFunction."""
        return self.outputs["PollCallsFunctionName"]

    @property
    def status_api_url(self) -> str:
        """The base of the status API on the local cloud; the output StatusApiUrl is its URL on AWS.

        Without the name of the stage: clients differ in how they sign its dollar sign.
        """
        return f"{self.api_url.removesuffix('/$default')}/calls"


def deploy(
    cloud: LocalCloud,
    stack_name: str = "allomia-outbound-calls-local",
    parameters: Mapping[str, str | int] | None = None,
    *,
    api_key: str = "local-allomia-key",
) -> Stack:
    """Build the project and deploy it, or update the stack of that name.

    One cloud can hold several stacks.

    Args:
        cloud: The local cloud to deploy to.
        stack_name: Letters, digits and hyphens, as CloudFormation requires.
        parameters: Template parameters. They override those that a local stack has: Environment, CallingPolicy,
            LocalEndpointUrl, WebhookBaseUrl and AllomiaApiKeySecretArn.
        api_key: The value of the secret behind AllomiaApiKeySecretArn.

    Raises:
        SamError: The build or the deployment failed; the message is sam's output.
    """
    build()
    api_id = hashlib.sha256(stack_name.encode()).hexdigest()[:8]
    api_url = f"{cloud.endpoint_url}/_aws/execute-api/{api_id}/$default"
    known = {
        "Environment": "local",
        # So that a demo works at night.
        "CallingPolicy": "open",
        "LocalEndpointUrl": cloud.endpoint_url,
        "WebhookBaseUrl": api_url,
        "AllomiaApiKeySecretArn": _put_secret(cloud, f"{stack_name}/allomia-api-key", api_key),
    }
    # The emulator takes the id of the API from this tag, so one deployment can both create the API and know its URL.
    _sam_deploy(cloud, stack_name, known | dict(parameters or {}), tags={"ms-custom-id": api_id})
    stack = _describe(cloud, stack_name, api_url)
    _close_gaps(cloud, stack)
    return stack


def complete(cloud: LocalCloud, stack_name: str, api: str) -> Stack:
    """Apply to a deployed stack what the emulator ignores, and describe it; `api` is the logical id of its API."""
    stack = _describe(cloud, stack_name, "")
    _close_gaps(cloud, stack)
    return replace(stack, api_url=f"{cloud.endpoint_url}/_aws/execute-api/{stack.resources[api]}/$default")


def function_environment(cloud: LocalCloud, stack: Stack, logical_id: str) -> dict[str, str]:
    """The environment variables of a deployed function, for running it elsewhere (`local.emulator`, `sam local`)."""
    functions = cloud.client("lambda")
    described = functions.get_function_configuration(FunctionName=stack.resources[logical_id])
    return dict(described["Environment"]["Variables"])


def _put_secret(cloud: LocalCloud, name: str, value: str) -> str:
    secrets = cloud.client("secretsmanager")
    try:
        return secrets.create_secret(Name=name, SecretString=value)["ARN"]
    except secrets.exceptions.ResourceExistsException:
        return secrets.put_secret_value(SecretId=name, SecretString=value)["ARN"]


def _sam_deploy(
    cloud: LocalCloud, stack_name: str, parameters: Mapping[str, str | int], tags: Mapping[str, str]
) -> None:
    with tempfile.TemporaryDirectory(prefix="allomia-home-") as home:
        run_sam(
            [
                "deploy",
                "--config-env=local",
                f"--stack-name={stack_name}",
                f"--s3-prefix={stack_name}",
                "--no-confirm-changeset",
                "--no-progressbar",
                "--tags",
                *(f"{key}={value}" for key, value in tags.items()),
                "--parameter-overrides",
                *(f"{key}={_quoted(str(value))}" for key, value in parameters.items()),
            ],
            # An empty home, so that no AWS profile interferes. The cloud is local: polling it ten times a second
            # halves the time that a deployment takes.
            {"PATH": "/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8", "SAM_CLI_POLL_DELAY": "0.1"}
            | cloud.environment(),
        )


def _quoted(value: str) -> str:
    # Without quotes sam silently drops an empty value, and everything after a space.
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _describe(cloud: LocalCloud, stack_name: str, api_url: str) -> Stack:
    cloudformation = cloud.client("cloudformation")
    described = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack_name)
    return Stack(
        name=stack_name,
        api_url=api_url,
        outputs={output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])},
        resources={
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for page in pages
            for resource in page["StackResourceSummaries"]
        },
    )


def _close_gaps(cloud: LocalCloud, stack: Stack) -> None:
    cloudformation = cloud.client("cloudformation")
    answer = cloudformation.get_template(StackName=stack.name, TemplateStage="Processed")
    template: Template = answer["TemplateBody"]
    described = cloudformation.describe_stacks(StackName=stack.name)["Stacks"][0]
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in described["Parameters"]}
    _create_routes(cloud, stack, template)
    _enable_time_to_live(cloud, stack, template)
    _set_concurrency(cloud, stack, template, parameters)


def _create_routes(cloud: LocalCloud, stack: Stack, template: Template) -> None:
    """Create the routes that API Gateway would read from the API's OpenAPI body."""
    gateway = cloud.client("apigatewayv2")
    for logical_id, properties in _resources(template, "AWS::ApiGatewayV2::Api"):
        api_id = stack.resources[logical_id]
        existing = {route["RouteKey"] for route in gateway.get_routes(ApiId=api_id)["Items"]}
        for path, methods in properties["Body"]["paths"].items():
            for method, operation in methods.items():
                route_key = f"{method.upper()} {path}"
                if route_key in existing:
                    continue
                wanted = operation["x-amazon-apigateway-integration"]
                integration = gateway.create_integration(
                    ApiId=api_id,
                    IntegrationType="AWS_PROXY",
                    IntegrationUri=stack.resources[_alias_of(wanted["uri"])],
                    PayloadFormatVersion=wanted["payloadFormatVersion"],
                )
                target = f"integrations/{integration['IntegrationId']}"
                gateway.create_route(
                    ApiId=api_id, RouteKey=route_key, Target=target, AuthorizationType=_authorization(operation)
                )


def _authorization(operation: Mapping[str, Any]) -> Literal["NONE", "AWS_IAM"]:
    match operation.get("security", []):
        case []:
            return "NONE"
        case [{"AWS_IAM": []}]:
            return "AWS_IAM"
        case other:
            raise StackError(f"Cannot create a route with the authorization {other}.")


def _alias_of(uri: Mapping[str, str]) -> str:
    found = re.search(r"\$\{(\w+Alias\w+)\}/invocations$", uri["Fn::Sub"])
    if found is None:
        raise StackError(f"The integration {uri} names no function alias of this template.")
    return found[1]


def _enable_time_to_live(cloud: LocalCloud, stack: Stack, template: Template) -> None:
    dynamodb = cloud.client("dynamodb")
    for logical_id, properties in _resources(template, "AWS::DynamoDB::Table"):
        wanted = properties.get("TimeToLiveSpecification")
        table = stack.resources[logical_id]
        if wanted and dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"].get(
            "TimeToLiveStatus"
        ) not in {"ENABLED", "ENABLING"}:
            dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)


def _set_concurrency(cloud: LocalCloud, stack: Stack, template: Template, parameters: Mapping[str, str]) -> None:
    functions = cloud.client("lambda")
    for logical_id, properties in _resources(template, "AWS::Lambda::EventSourceMapping"):
        wanted = properties.get("ScalingConfig", {}).get("MaximumConcurrency")
        if wanted is not None:
            value = parameters[wanted["Ref"]] if isinstance(wanted, Mapping) else wanted
            functions.update_event_source_mapping(
                UUID=stack.resources[logical_id], ScalingConfig={"MaximumConcurrency": int(value)}
            )


def _resources(template: Template, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield logical_id, resource.get("Properties", {})
