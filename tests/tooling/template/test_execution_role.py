"""The role that creates the stack: every permission that CloudFormation needs for the template, and no more."""

import json
from collections.abc import Iterable
from typing import Any, Final

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse

from tests.tooling.template.conftest import StackOf
from tests.tooling.template.rendering import PROJECT

ROLE: Final = PROJECT / ".github/aws/execution-role.yaml"

UNUSED_SERVICES: Final = {
    "ec2": "no function is in a VPC",
    "elasticfilesystem": "no function mounts a file system",
    "s3files": "no function mounts a file system",
    "firehose": "no log is delivered to a stream",
    "kinesis": "no table streams to Kinesis",
    "kms": "everything is encrypted with keys that AWS owns or manages",
}
UNUSED: Final = {
    "no global tables and no import": """
        dynamodb:AssociateTableReplica dynamodb:BatchWriteItem dynamodb:CreateTableReplica dynamodb:DeleteItem
        dynamodb:GetItem dynamodb:ImportTable dynamodb:PutItem dynamodb:Query dynamodb:Scan dynamodb:UpdateItem
        iam:CreateServiceLinkedRole
    """,
    "no Kinesis and no contributor insights": """
        dynamodb:DisableKinesisStreamingDestination dynamodb:EnableKinesisStreamingDestination
        dynamodb:UpdateContributorInsights dynamodb:UpdateKinesisStreamingDestination
    """,
    "no resource policies": """
        dynamodb:DeleteResourcePolicy dynamodb:PutResourcePolicy events:PutPermission events:RemovePermission
        logs:DeleteResourcePolicy
    """,
    "no users, groups, attached policies and boundaries": """
        iam:AttachRolePolicy iam:DeleteGroupPolicy iam:DeleteRolePermissionsBoundary iam:DeleteUserPolicy
        iam:DetachRolePolicy iam:GetGroupPolicy iam:GetUserPolicy iam:PutGroupPolicy iam:PutRolePermissionsBoundary
        iam:PutUserPolicy
    """,
    "no code signing, reserved or provisioned concurrency, and other settings of functions": """
        lambda:AssociateRuntimeAlias lambda:DeleteFunctionCodeSigningConfig lambda:DeleteFunctionConcurrency
        lambda:DeleteProvisionedConcurrencyConfig lambda:PassCapacityProvider lambda:PutFunctionCodeSigningConfig
        lambda:PutFunctionConcurrency lambda:PutFunctionRecursionConfig lambda:PutFunctionScalingConfig
        lambda:PutProvisionedConcurrencyConfig lambda:PutRuntimeManagementConfig
    """,
    "no data protection, field indexes, tokens and log events": """
        logs:AssociateKmsKey logs:CreateLogStream logs:DeleteDataProtectionPolicy logs:DeleteIndexPolicy
        logs:DescribeLogStreams logs:DisassociateKmsKey logs:PutBearerTokenAuthentication
        logs:PutDataProtectionPolicy logs:PutIndexPolicy logs:PutLogEvents logs:PutLogGroupDeletionProtection
        sns:PutDataProtectionPolicy
    """,
    "no copies of secrets": "secretsmanager:RemoveRegionsFromReplication secretsmanager:ReplicateSecretToRegions",
    "no servers of our own": "codedeploy:RegisterOnPremisesInstance",
    "files of definitions and code are read, and not listed": "s3:GetObjectMetadata s3:ListBucket",
    "not actions of IAM": """
        apigateway:TagResource apigateway:UntagResource s3:REST.PUT.OBJECT s3:getObject
    """,
}
BESIDES: Final = {
    # docs.aws.amazon.com/apigateway, "Configure logging for HTTP APIs", and /step-functions, "Logging in CloudWatch
    # Logs": a delivery of logs can't be set up without these.
    "logs:DeleteLogDelivery",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:UpdateLogDelivery",
    # docs.aws.amazon.com/serverless-application-model, "Managing resource access and permissions".
    "cloudformation:CreateChangeSet",
}

# docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
LONGEST: Final = 10_240


def actions_in(statements: Iterable[Any]) -> set[str]:
    """The actions that these statements allow."""
    return {
        action
        for each in statements
        for action in (each["Action"] if isinstance(each["Action"], list) else [each["Action"]])
    }


@pytest.fixture(scope="module")
def statements() -> list[Any]:
    (policy,) = yaml_parse(ROLE.read_text())["Resources"]["ExecutionRole"]["Properties"]["Policies"]
    found: list[Any] = policy["PolicyDocument"]["Statement"]
    return found


@pytest.fixture(scope="module")
def named(stack_of: StackOf) -> set[str]:
    """The actions that the schemas name for the template's types. CloudFormation lists nothing."""
    types = {each["Type"] for each in stack_of(Environment="prod", AlarmEmail="a@b.example").resources.values()}
    handlers = (
        PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type_).schema["handlers"] for type_ in sorted(types)
    )
    return {
        action
        for each in handlers
        for name, handler in each.items()
        if name != "list"
        for action in handler["permissions"]
    }


def test_it_allows_what_the_template_needs_and_nothing_else(named: set[str], statements: list[Any]) -> None:
    unused = {action for actions in UNUSED.values() for action in actions.split()}
    needed = {action for action in named if action not in unused and action.split(":")[0] not in UNUSED_SERVICES}

    assert actions_in(statements) == needed | BESIDES
    assert unused <= named


def test_it_reaches_one_stack(statements: list[Any]) -> None:
    everywhere = [each["Sid"] for each in statements if each["Resource"] == "*"]
    assert everywhere == ["WithoutAName"]

    (passed,) = (each for each in statements if "iam:PassRole" in actions_in([each]))
    assert passed["Action"] == ["iam:PassRole"]
    assert passed["Resource"]["Fn::Sub"].endswith(":role/${StackName}-*")
    assert "*" not in str(passed["Condition"])
    (roles,) = (each for each in statements if "iam:PutRolePolicy" in actions_in([each]))
    assert roles["Resource"] == passed["Resource"]


def test_only_cloudformation_assumes_it_and_it_fits_into_a_role(statements: list[Any]) -> None:
    role = yaml_parse(ROLE.read_text())["Resources"]["ExecutionRole"]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]

    assert trust["Principal"] == {"Service": "cloudformation.amazonaws.com"}
    # The longest name of a stack, partition and region.
    written = json.dumps(statements, separators=(",", ":")).replace("${StackName}", "n" * 64)
    assert len(written.replace("${AWS::Region}", "ap-southeast-2")) < LONGEST
