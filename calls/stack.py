"""A deployed stack: where its parts are, as CloudFormation tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from calls.records import Records
from outbound_calls.contracts import CallRequest
from outbound_calls.ledger import Ledger
from outbound_calls.reports import Reports

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient


class NoSuchStack(Exception):
    """There is no stack of that name here, or it is not one of this project."""


@dataclass(frozen=True, slots=True)
class Aws:
    """AWS as boto3 finds it: region, credentials and endpoint from the environment, unless an endpoint is given."""

    endpoint_url: str | None = None

    def client(self, service: Any) -> Any:
        """A client that waits for a person's patience and no longer."""
        settings = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4})
        return boto3.client(service, endpoint_url=self.endpoint_url, config=settings)


@dataclass(frozen=True, slots=True)
class Resource:
    """One part of the stack. `id` is its physical id: a name, a URL or an ARN, as the type has it."""

    name: str
    type: str
    id: str


@dataclass(frozen=True)
class Deployed:
    """The stack, and what is built over its parts."""

    name: str
    arn: str
    status: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    aws: Aws

    @classmethod
    def find(cls, name: str, aws: Aws) -> Deployed:
        """Look a stack up by its name.

        Raises:
            NoSuchStack: when there is none.
        """
        cloudformation: CloudFormationClient = aws.client("cloudformation")
        try:
            (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            # CloudFormation's word for a stack that does not exist.
            if error.response["Error"].get("Code") == "ValidationError":
                raise NoSuchStack(f"there is no stack {name} in this account and region") from None
            raise
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        if "CallsTableName" not in outputs:
            raise NoSuchStack(f"the stack {name} has no output CallsTableName: it is not one of these, or not complete")
        return cls(
            name=name,
            arn=stack["StackId"],
            status=stack["StackStatus"],
            outputs=outputs,
            parameters={each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", [])},
            aws=aws,
        )

    @cached_property
    def resources(self) -> list[Resource]:
        """All parts, for those that no output names."""
        pages = self.aws.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.name)
        return [
            Resource(each["LogicalResourceId"], each["ResourceType"], each.get("PhysicalResourceId", ""))
            for page in pages
            for each in page["StackResourceSummaries"]
        ]

    def resource(self, name: str) -> str:
        """The physical id of the part with this logical id.

        Raises:
            NoSuchStack: when there is none: the stack is of another version than this command.
        """
        found = next((each.id for each in self.resources if each.name == name), None)
        if found is None:
            raise NoSuchStack(f"the stack {self.name} has no {name}: is it of another version than this command?")
        return found

    def of_type(self, type_: str) -> list[Resource]:
        """The parts of one type, such as ``AWS::CloudWatch::Alarm``."""
        return [each for each in self.resources if each.type == type_]

    @property
    def environment(self) -> str:
        """What the stack is for: local, dev, staging or prod."""
        return self.parameters["Environment"]

    @property
    def call_queue_url(self) -> str:
        """Where requests go."""
        return self.outputs["CallQueueUrl"]

    @property
    def due_shards(self) -> int:
        """How many shards the index of due calls has."""
        return int(self.parameters["DueShards"])

    @cached_property
    def sqs(self) -> Any:
        """A client for the queues."""
        return self.aws.client("sqs")

    @cached_property
    def _dynamodb(self) -> Any:
        return self.aws.client("dynamodb")

    @cached_property
    def records(self) -> Records:
        """What an operator looks up in the calls table."""
        return Records(self._dynamodb, self.outputs["CallsTableName"], self.due_shards)

    @cached_property
    def reports(self) -> Reports:
        """The reports of requests."""
        return Reports(self._dynamodb, self.outputs["CallsTableName"])

    @cached_property
    def ledger(self) -> Ledger:
        """The calls table, as the functions write it."""
        retention_days = int(self.parameters["RetentionDays"])
        return Ledger(self._dynamodb, self.outputs["CallsTableName"], retention_days, self.due_shards)

    def completed(self, request: CallRequest) -> CallRequest:
        """A request with this stack's defaults; refused where it names no assistant and the stack has none."""
        parameters = self.parameters
        return request.completed(
            parameters.get("DefaultAssistantId") or None, parameters.get("DefaultPhoneNumberId") or None
        )
