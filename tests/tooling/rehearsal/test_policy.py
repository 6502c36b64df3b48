"""The policy of who rehearses allows what a rehearsal asks of AWS, and nothing else."""

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import botocore.session
from botocore import xform_name

from tests.tables import ROOT
from tests.tooling.docs.markdown import read
from tests.tooling.template.test_execution_role import actions_in

POLICY: Final = json.loads(read("docs/operate/rehearsal-policy.json"))["Statement"]
SOURCES: Final = (
    *(each for each in sorted((ROOT / "rehearsal").glob("*.py")) if each.name != "cloud_tests.py"),
    ROOT / "local/environment.py",
)
SERVICES: Final = (
    *("cloudformation", "cloudwatch", "codedeploy", "dynamodb", "events"),
    *("lambda", "sqs", "stepfunctions", "xray"),
)
PREFIXES: Final = {"stepfunctions": "states"}
ACTIONS: Final = {"lambda:Invoke": "lambda:InvokeFunction"}

WAITERS: Final = {"function_updated_v2": "GetFunction", "published_version_active": "GetFunctionConfiguration"}
SAME_NAME: Final = {"lambda:RemovePermission", "sqs:RemovePermission"}
"""Operations of other services that are called as one of EventBridge is."""

BY_SAM: Final = {
    *(f"cloudformation:{each}ChangeSet" for each in ("Create", "Delete", "Describe", "Execute")),
    "cloudformation:DescribeStackEvents",
    "cloudformation:GetTemplate",
    "cloudformation:GetTemplateSummary",
    "iam:PassRole",
    "s3:GetObject",
    "s3:PutObject",
}
"""What `sam deploy` needs for the sandbox; .github/aws/deploy-role.yaml has the same."""

BY_LAMBDA: Final = {"lambda:GetLayerVersion"}
"""Of anyone who gives a function layers: docs.aws.amazon.com/lambda/latest/dg/permissions-user-function.html"""

BY_THE_STACK: Final = {"cloudformation:ListStackResources"}
"""What finding a stack takes: calls/operations/stack.py."""


@cache
def operations() -> dict[str, set[str]]:
    """The actions that a method, a paginator or a waiter of boto3 may need, by its name."""
    found: dict[str, set[str]] = {}
    session: Any = botocore.session.Session()
    for service in SERVICES:
        prefix = PREFIXES.get(service, service)
        for name in session.get_service_model(service).operation_names:
            action = f"{prefix}:{name}"
            found.setdefault(xform_name(name), set()).add(ACTIONS.get(action, action))
    for waiter, operation in WAITERS.items():
        model = session.get_waiter_model("lambda").get_waiter(operation_name(waiter))
        assert model.operation == operation
        found[waiter] = {f"lambda:{operation}"}
    return found


def operation_name(waiter: str) -> str:
    """A waiter's name as AWS spells it."""
    return "".join(part.capitalize() for part in waiter.split("_"))


def asked(path: Path) -> Iterator[str]:
    """The names of what a module calls, and of the paginators and waiters that it asks for."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr
            if node.func.attr in {"get_paginator", "get_waiter"} and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)


def test_the_policy_allows_exactly_what_a_rehearsal_asks_for() -> None:
    needed = {action for path in SOURCES for name in asked(path) for action in operations().get(name, ())}

    assert actions_in(POLICY) - BY_SAM - BY_THE_STACK - BY_LAMBDA == needed - SAME_NAME


def test_it_reaches_one_stack_and_its_sandbox() -> None:
    for statement in POLICY:
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for resource in resources:
            named = "STACK" in resource or resource.startswith("ARN-OF-") or ":stateMachine:Poller-" in resource
            of_sam = "aws-sam-cli-managed-default" in resource or "transform/Serverless" in resource
            assert (named or of_sam) is (statement["Sid"] != "WithoutAResource")


def test_it_can_run_a_version_and_delete_no_function() -> None:
    (statement,) = (each for each in POLICY if "lambda:DeleteFunction" in each["Action"])

    assert statement["Resource"].endswith(":*")
