"""The operators' command on a stack of tables, a secret and a queue, with no functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from uuid import uuid4

import boto3
import pytest

from calls.cli.app import main
from calls.operations.stack import DeployedStack, aws_clients
from local.cloud import LocalCloud
from tests.cloud.parts import SampleAttempts
from tests.world import DUE_SHARDS, RETENTION_DAYS, create_calls_table, create_policy_table

PARAMETERS = {
    "Environment": "local",
    "RetentionDays": str(RETENTION_DAYS),
    "DueShards": str(DUE_SHARDS),
    "DefaultAssistantId": "11111111-2222-4333-8444-555555555555",
    "DefaultPhoneNumberId": "66666666-7777-4888-9999-aaaaaaaaaaaa",
    "CallingPolicy": "open",
    "AllomiaApiKeySecretArn": "arn:aws:secretsmanager:ca-central-1:123456789012:secret:no-such-secret",
}


type Calls = Callable[..., tuple[int, dict[str, Any]]]
"""Runs a command with --json. Returns its exit code and document."""


@cache
def _session(account: str, region: str) -> Any:
    """One for all stacks, because it reads AWS's descriptions of its services once."""
    return boto3.session.Session(account, "local", region_name=region)


class OperatedStack:
    """A stack of tables, queues and a secret, and the command on it. `parameters` are more of the stack's."""

    def __init__(
        self,
        cloud: LocalCloud,
        *,
        name: str | None = None,
        outputs: Mapping[str, str] | None = None,
        **parameters: str,
    ) -> None:
        dynamodb = cloud.client("dynamodb")
        self.session = _session(cloud.account, cloud.region)
        self.endpoint_url = cloud.endpoint_url
        self.name = name or f"operated-{uuid4().hex[:8]}"
        queues = {
            name: cloud.client("sqs").create_queue(QueueName=f"{self.name}-{name}")["QueueUrl"]
            for name in ("CallQueueUrl", "InvalidMessagesQueueUrl", "DeadLetterQueueUrl")
        }
        found = queues | {
            "CallsTableName": create_calls_table(dynamodb),
            "PolicyTableName": create_policy_table(dynamodb),
            **(outputs or {}),
        }
        values = PARAMETERS | parameters
        template = {
            "Parameters": {name: {"Type": "String"} for name in values},
            "Resources": {
                "NumberHashSecret": {
                    "Type": "AWS::SecretsManager::Secret",
                    "Properties": {"Name": self.name, "SecretString": "a key of this test"},
                }
            },
            "Outputs": {name: {"Value": value} for name, value in found.items()},
        }
        cloudformation = cloud.client("cloudformation")
        cloudformation.create_stack(
            StackName=self.name,
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
        )
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        self.stack = DeployedStack.find(self.name, aws_clients(self.session, self.endpoint_url))
        self.attempts = SampleAttempts(self.stack.table)

    def run(self, *arguments: str) -> int:
        """Run a command as a person would; returns its exit code."""
        return main([*arguments, "--stack", self.name, "--endpoint-url", self.endpoint_url], self.session)

    def calls(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run a command with --json; returns its exit code and document."""
        capsys.readouterr()
        code = self.run(*arguments, "--json")
        printed = capsys.readouterr()
        assert printed.err == ""
        return code, json.loads(printed.out)
