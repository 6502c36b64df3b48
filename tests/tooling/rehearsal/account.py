"""An AWS account in memory. boto3 checks each request against the service's model, and nothing is sent.

It has what the local cloud lacks: gradual releases, policies of event buses, alarms, metrics and traces.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from botocore import xform_name

from calls.operations.stack import DeployedStack, Resource
from rehearsal.steps import FUNCTIONS

type Params = Mapping[str, Any]
type Answer = dict[str, Any]


class Failed(Exception):
    """What an operation answers instead: an error of this code."""


@dataclass(frozen=True)
class _Http:
    status_code: int


@cache
def _session() -> Any:
    return boto3.session.Session("key", "secret", region_name="ca-central-1")


@cache
def _client(service: str) -> tuple[Any, list[Account]]:
    """A client, and the account that answers it."""
    client = _session().client(service, endpoint_url="http://127.0.0.1:9")
    current: list[Account] = []
    last: list[Params] = []
    # boto3 checks the parameters against the model between the two.
    client.meta.events.register_last(f"provide-client-params.{service}", lambda params, **_: last.append(params))
    client.meta.events.register_last(
        "before-call", lambda model, **_: current[0].answer(service, model.name, last.pop())
    )
    return client, current


@dataclass
class Account:
    """Its state, and every operation that was asked for. `answers` overrides what an operation answers."""

    parameters: dict[str, str] = field(
        default_factory=lambda: {
            "Environment": "staging",
            "Rollout": "Gradual",
            "WebhookGraceSeconds": "180",
            "CallDeadlineSeconds": "300",
            "AllomiaBaseUrl": "https://sandbox.example",
        }
    )
    status: str = "UPDATE_COMPLETE"
    reserved: int | None = None
    handler: str = "app.handler"
    layers: list[str] = field(default_factory=lambda: ["own"])
    versions: list[str] = field(default_factory=list)
    bus_policy: str | None = None
    queues: set[str] = field(default_factory=set)
    rules: set[str] = field(default_factory=set)
    live: int = 1
    verdicts: list[str] = field(default_factory=list)
    answers: dict[str, Callable[[Params], Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def client(self, service: str) -> Any:
        """A real client, whose requests end here. It is shared by all accounts, because making one takes long."""
        client, current = _client(service)
        current[:] = [self]
        return client

    def answer(self, service: str, operation: str, params: Params) -> tuple[_Http, Answer]:
        """Do what an operation asks for."""
        self.asked.append(f"{service}:{operation}")
        name = xform_name(operation)
        respond = self.answers.get(name) or getattr(self, name, None)
        assert respond, f"{service}:{operation} is not expected"
        try:
            return _Http(200), respond(params)
        except Failed as error:
            return _Http(400), {"Error": {"Code": "ValidationError", "Message": str(error)}}

    def stack(self) -> DeployedStack:
        """The stack in it, as it is now."""
        outputs = {"OutcomeBusName": "bus", "CallsTableName": "calls"}
        stack = DeployedStack("calls", "arn", self.status, outputs, dict(self.parameters), self.client)
        types = dict.fromkeys(FUNCTIONS, "AWS::Lambda::Function")
        types |= dict.fromkeys(("CallsTable", "PolicyTable"), "AWS::DynamoDB::Table")
        types |= {"PlaceCallLogGroup": "AWS::Logs::LogGroup", "HttpApi": "AWS::ApiGatewayV2::Api"}
        types |= {"Releases": "AWS::CodeDeploy::Application", "PollCallsGroup": "AWS::CodeDeploy::DeploymentGroup"}
        types |= {
            f"{name}Alarm": "AWS::CloudWatch::Alarm"
            for name in ("InvalidMessages", "CallIdsContradicting", "DeadLetters", "FailedOutcomes", "PollerStopped")
        }
        stack.__dict__["resources"] = [Resource(name, kind, f"calls-{name}") for name, kind in types.items()] + [
            Resource(name, "AWS::SQS::Queue", f"https://sqs.example/123/calls-{name}")
            for name in ("CallQueue", "HandedOnQueue", "InvalidMessagesQueue")
        ]
        return stack

    # CloudFormation and CodeDeploy. A version of poll_calls with a grace beyond the deadline doesn't start.

    def describe_stacks(self, _: Params) -> Answer:
        given = [{"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()]
        return {"Stacks": [{"StackName": "calls", "StackStatus": self.status, "Parameters": given}]}

    def update_stack(self, params: Params) -> Answer:
        wanted = {each["ParameterKey"]: each["ParameterValue"] for each in params["Parameters"]}
        if wanted == self.parameters:
            raise Failed("No updates are to be performed.")
        if int(wanted["WebhookGraceSeconds"]) > int(wanted["CallDeadlineSeconds"]):
            self.status = "UPDATE_ROLLBACK_COMPLETE"
            self.verdicts.append("Failed")
        else:
            self.status, self.parameters = "UPDATE_COMPLETE", wanted
            self.live += 1
            self.verdicts.append("Succeeded")
        return {}

    def continue_update_rollback(self, _: Params) -> Answer:
        self.status = "UPDATE_ROLLBACK_COMPLETE"
        return {}

    def list_deployments(self, _: Params) -> Answer:
        return {"deployments": [f"d-{number}" for number in range(len(self.verdicts))]}

    def batch_get_deployments(self, params: Params) -> Answer:
        return {
            "deploymentsInfo": [
                {
                    "status": self.verdicts[int(each[2:])],
                    "createTime": datetime(2026, 12, 1, 8, int(each[2:]), tzinfo=UTC),
                }
                for each in params["deploymentIds"]
            ]
        }

    # Lambda.

    def get_alias(self, _: Params) -> Answer:
        return {"FunctionVersion": str(self.live)}

    def get_function(self, _: Params) -> Answer:
        return {"Configuration": {"LastUpdateStatus": "Successful", "State": "Active"}}

    def get_function_configuration(self, _: Params) -> Answer:
        layers = [{"Arn": each} for each in self.layers]
        settings = {"Handler": self.handler, "Layers": layers, "MemorySize": 512}
        return settings | {"Role": "arn:aws:iam::1:role/r", "State": "Active"}

    def update_function_configuration(self, params: Params) -> Answer:
        self.handler, self.layers = params["Handler"], params["Layers"]
        return {}

    def publish_version(self, _: Params) -> Answer:
        self.versions.append("7")
        return {"Version": "7"}

    def delete_function(self, params: Params) -> Answer:
        self.versions.remove(params["Qualifier"])
        return {}

    def get_function_concurrency(self, _: Params) -> Answer:
        return {} if self.reserved is None else {"ReservedConcurrentExecutions": self.reserved}

    def put_function_concurrency(self, params: Params) -> Answer:
        self.reserved = params["ReservedConcurrentExecutions"]
        return {}

    def delete_function_concurrency(self, _: Params) -> Answer:
        self.reserved = None
        return {}

    # EventBridge and SQS.

    def describe_event_bus(self, _: Params) -> Answer:
        return {"Arn": "arn:aws:events:ca-central-1:1:event-bus/bus"} | (
            {"Policy": self.bus_policy} if self.bus_policy else {}
        )

    def put_permission(self, params: Params) -> Answer:
        self.bus_policy = params["Policy"]
        return {}

    def remove_permission(self, params: Params) -> Answer:
        assert params["RemoveAllPermissions"]
        self.bus_policy = None
        return {}

    def create_queue(self, params: Params) -> Answer:
        self.queues.add(params["QueueName"])
        return {"QueueUrl": f"https://sqs.example/123/{params['QueueName']}"}

    def delete_queue(self, params: Params) -> Answer:
        self.queues.remove(params["QueueUrl"].rpartition("/")[2])
        return {}

    def get_queue_attributes(self, _: Params) -> Answer:
        return {"Attributes": {"QueueArn": "arn:aws:sqs:ca-central-1:123:events"}}

    def set_queue_attributes(self, _: Params) -> Answer:
        return {}

    def put_rule(self, params: Params) -> Answer:
        self.rules.add(params["Name"])
        return {"RuleArn": "arn:aws:events:ca-central-1:123:rule/bus/events"}

    def put_targets(self, _: Params) -> Answer:
        return {"FailedEntryCount": 0}

    def list_rules(self, _: Params) -> Answer:
        return {"Rules": [{"Name": name} for name in self.rules]}

    def remove_targets(self, _: Params) -> Answer:
        return {}

    def delete_rule(self, params: Params) -> Answer:
        self.rules.remove(params["Name"])
        return {}

    # CloudWatch and X-Ray.

    def describe_alarms(self, params: Params) -> Answer:
        return {"MetricAlarms": [{"AlarmName": name} for name in params["AlarmNames"]]}

    def describe_alarm_history(self, _: Params) -> Answer:
        return {"AlarmHistoryItems": []}

    def state(self) -> str:
        """Whatever a rehearsal must give back."""
        kept = (self.parameters, self.reserved, self.handler, self.layers, self.versions, self.bus_policy)
        return json.dumps([*kept, sorted(self.queues), sorted(self.rules)])
